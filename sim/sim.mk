# sim.mk - the Verilated cores of sim/models.txt and the sim: backend around them; RTL testbenches.
# SPDX-License-Identifier: Apache-2.0

VERILATOR  ?= verilator
SIM        := $(B)/sim
SIM_ROOT   := $(shell $(VERILATOR) --getenv VERILATOR_ROOT 2>/dev/null || echo /usr/share/verilator)
# One word a core: kind:Kind:Rows:Lanes:ScaleUnits:MaxN:XDepth:WDepth[:DBits]
SIM_MODELS := $(shell sed -e 's/\#.*//' -e '/^ *$$/d' -e 's/  */:/g' -e 's/:$$//' sim/models.txt)
# Outliers in one chunk, in every core
SIM_ODEPTH := 256
field       = $(word $2,$(subst :, ,$1))
sim_name    = Vcore_$(call field,$1,1)_$(call field,$1,3)x$(call field,$1,4)
SIM_NAMES  := $(foreach m,$(SIM_MODELS),$(call sim_name,$m))

# Simulated speed is this project's users' time: optimize the model for the machine it is built on. The bounds on
# unrolling are lifted since rolled loops over bits are several times slower. At -O3 gcc makes vectors of a tile's rows,
# which doubles the speed and more, as long as nothing in a row's sum branches: tiles select by masks, not by ?:.
VERILATOR_FLAGS := -O3 --x-assign fast --x-initial fast --noassert --unroll-count 100000 --unroll-stmts 10000000
SIM_CXXFLAGS    := -std=c++17 -O3 -march=$(or $(MARCH),native) -fPIC -faligned-new -Idriver/include -Idriver/src -Isim \
                   -isystem $(SIM_ROOT)/include -isystem $(SIM_ROOT)/include/vltstd -DVM_TRACE=1 -DVM_TRACE_FST=1 \
                   -DVM_COVERAGE=0 -DVM_SC=0

SIM_CFLAGS := -DACCEL_WITH_SIM
SIM_OBJS   := $(SIM)/backend.o $(SIM)/table.o $(SIM)/runtime.a $(SIM_NAMES:%=$(SIM)/%/model.a)
SIM_LIBS   := -lz -latomic

# What Verilator wrote for a model, as two units: what runs once, and what runs every cycle. One at a time its dozen files
# would take most of their time for their headers.
define compile_verilated
cd $$(@D) && for f in *.cpp; do \
	    case $$$$f in *__Slow.cpp|*__Syms.cpp|*__Trace__*) u=once;; *) u=often;; esac; \
	    echo "#include \"$$$$f\"" >>$$$$u.cc; done && \
	    $$(CXX) $1 -O1 -I. -c -o once.o once.cc && $$(CXX) $1 -O3 -I. -c -o often.o often.cc
endef

define sim_model
$(SIM)/$(call sim_name,$1)/model.a: sim/sim_model.cpp sim/sim_core.h rtl/files.f $(shell grep -v '^rtl/\(link\|soc\)/' rtl/files.f) sim/models.txt
	$$(call say,VERILATE,$(call sim_name,$1))
	@rm -rf $$(@D) && mkdir -p $$(@D)
	$$(Q)$(VERILATOR) --cc --trace-fst $(VERILATOR_FLAGS) -Mdir $$(@D) --prefix $(call sim_name,$1) \
	    --top-module accel_core -GKind=$(call field,$1,2) -GRows=$(call field,$1,3) -GLanes=$(call field,$1,4) \
	    -GScaleUnits=$(call field,$1,5) -GMaxN=$(call field,$1,6) -GXDepth=$(call field,$1,7) \
	    -GWDepth=$(call field,$1,8) -GDBits=$(or $(call field,$1,9),24) -GODepth=$(SIM_ODEPTH) -f rtl/files.f
	$$(Q)$(call compile_verilated,$$(SIM_CXXFLAGS))
	$$(Q)$$(CXX) $$(SIM_CXXFLAGS) -Wall -Wextra -I$$(@D) -DMODEL=$(call sim_name,$1) -DROWS=$(call field,$1,3) \
	    -DLANES=$(call field,$1,4) -DSCALE_UNITS=$(call field,$1,5) -c -o $$(@D)/driver.o sim/sim_model.cpp
	$$(Q)ar rcs $$@ $$(@D)/*.o
endef
$(foreach m,$(SIM_MODELS),$(eval $(call sim_model,$m)))

$(SIM)/table.cpp: sim/models.txt sim/sim.mk
	@mkdir -p $(@D)
	@{ echo '#include "sim_core.h"'; \
	   $(foreach m,$(SIM_MODELS),echo 'SimCore *create_$(call sim_name,$m)();';) \
	   echo 'const SimModel sim_models[] = {'; \
	   $(foreach m,$(SIM_MODELS),echo '    { { "$(call field,$m,1)", $(call field,$m,3), $(call field,$m,4), $(call field,$m,5), $(call field,$m,6), $(call field,$m,7), $(or $(call field,$m,9),24), $(SIM_ODEPTH) }, create_$(call sim_name,$m) },';) \
	   echo '};'; echo 'const size_t sim_model_count = sizeof sim_models / sizeof *sim_models;'; } >$@
$(SIM)/table.o: $(SIM)/table.cpp sim/sim_core.h
	$(Q)$(CXX) $(SIM_CXXFLAGS) -Wall -Wextra -c -o $@ $<
$(SIM)/backend.o: sim/sim_backend.cpp sim/sim_core.h driver/src/internal.h driver/src/streams.h driver/include/accel.h
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SIM_CXXFLAGS) -Wall -Wextra -c -o $@ $<

# Verilator's own runtime, once for all cores
$(SIM)/runtime.a:
	$(call say,CXX,verilator runtime)
	@mkdir -p $(SIM)/runtime
	$(Q)for f in verilated verilated_fst_c verilated_threads; do \
	    $(CXX) $(SIM_CXXFLAGS) -w -c -o $(SIM)/runtime/$$f.o $(SIM_ROOT)/include/$$f.cpp || exit 1; done
	$(Q)ar rcs $@ $(SIM)/runtime/*.o

# A device around the core as a class V$1, or V$6. $(call soc_model,NAME,TOP,SHAPE,FLAGS,PREREQUISITES,CLASS)
# SHAPE: Kind:Rows:Lanes:ScaleUnits:MaxN:XDepth:WDepth of the core; empty: FLAGS have them.
define soc_model
$(SIM)/$1/model.a: $(shell cat rtl/files.f) rtl/files.f sim/sim.mk $5
	$$(call say,VERILATE,$1)
	@rm -rf $$(@D) && mkdir -p $$(@D)
	$$(Q)$(VERILATOR) --cc $(VERILATOR_FLAGS) -Mdir $$(@D) --prefix V$(or $6,$1) --top-module $2 \
	    $(if $3,$(foreach p,1:Kind 2:Rows 3:Lanes 4:ScaleUnits 5:MaxN 6:XDepth 7:WDepth,-G$(call field,$p,2)=$(call field,$3,$(call field,$p,1))) \
	    -GODepth=$(SIM_ODEPTH)) $4 -f rtl/files.f
	$$(Q)$(call compile_verilated,$$(filter-out -I%,$$(SIM_CXXFLAGS)))
	$$(Q)ar rcs $$@ $$(@D)/*.o
endef

# accel-board: core and link behind a pseudo terminal.
BOARD_MODEL ?= 2:8:64:4:8:2048:64
BOARD_SIM   := $(B)/accel-board
# Its processor, docs/firmware.md; BOARD_CPU= leaves it out.
BOARD_CPU   ?= 1
BOARD_HEX   := $(B)/firmware/$(subst $() $(),-,$(wordlist 1,4,$(subst :, ,$(BOARD_MODEL)))).hex
BOARD_LIB   := $(SIM)/board/model.a
$(eval $(call soc_model,board,accel_soc,$(BOARD_MODEL),-GMemory=1 $(if $(BOARD_CPU),-Wno-lint -GCpu=1 \
    -G'Firmware="$(abspath $(BOARD_HEX))"' $(B)/firmware/picorv32.v),$(if $(BOARD_CPU),$(BOARD_HEX) $(B)/firmware/picorv32.v)))

# accel-board-small: that with the parameters that synth/boards.mk gives the core of iCEBreaker.
SMALL_SIM := $(B)/accel-board-small
SMALL_LIB := $(SIM)/board_small/model.a
$(eval $(call soc_model,board_small,accel_soc,,$$(addprefix -G,ODepth=0 ClockHz=$$(word 4,$$(BOARD_icebreaker))000000 $$(filter-out board,$$(CORE_ice40))),synth/boards.mk,board))

# $(call board_sim,PROGRAM,MODEL)
define board_sim
$1: sim/board.cpp sim/soc.h sim/options.h sim/bad_wire.h sim/plain_memory.h $2 $(SIM)/runtime.a | $(LINK_NUMBERS)
	$$(call say,CXX,$$@)
	$$(Q)$(CXX) $(SIM_CXXFLAGS) -Wall -Wextra -I$(B)/gen -I$(dir $2) -o $$@ $$< $2 $(SIM)/runtime.a $(SIM_LIBS) -lpthread
endef
$(eval $(call board_sim,$(BOARD_SIM),$(BOARD_LIB)))
$(eval $(call board_sim,$(SMALL_SIM),$(SMALL_LIB)))

# The whole device from its USB pins on, with memory and processor, below accel-faults and accel-usbip. Its milliseconds are
# short, but three must be longer than a microframe: after that it would be suspended.
USB_MODEL ?= 0:8:32:8:8:256:64
USB_ID    := $(subst $() $(),-,$(wordlist 1,4,$(subst :, ,$(USB_MODEL))))
USB_HEX   := $(B)/firmware/$(USB_ID).hex
USB_LIB   := $(SIM)/usb_board/model.a
USB_HOST  := sim/usb_board.cpp sim/usb_host.cpp
$(eval $(call soc_model,usb_board,accel_usb,$(USB_MODEL),-GMillisecond=3000 -GMemory=1 -Wno-lint -GCpu=1 \
    -G'Firmware="$(abspath $(USB_HEX))"' $(B)/firmware/picorv32.v,$(USB_HEX) $(B)/firmware/picorv32.v))

# accel-usbip: that as a USB device of the running kernel.
$(B)/accel-usbip: sim/usbip.cpp $(USB_HOST) $(wildcard sim/*.h) $(B)/release/sim/fault_plan.o $(USB_LIB) $(SIM)/runtime.a | $(LINK_NUMBERS)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(SIM_CXXFLAGS) -Wall -Wextra -I$(B)/gen -isystem $(SIM)/usb_board -o $@ $(filter %.cpp %.o %.a,$^) $(SIM_LIBS) -lpthread

# accel-faults: jobs on it while its cable does what a fault plan says.
# Its way through libusb is there where umockdev is.
FAULTS_SRC := $(USB_HOST) sim/tb/tb_no_sim.cpp $(filter-out $(if $(strip $(LIBS_test_usb)),,tests/faults/usb.cpp),$(sort $(wildcard tests/faults/*.cpp)))
FAULTS_C   := sim/fault_plan $(if $(strip $(LIBS_test_usb)),tests/faults/mock_usbfs) tests/unit/random_matrix
CFLAGS_mock_usbfs := $(CFLAGS_test_usb)
# $(call faults,PROGRAM,VARIANT,FLAGS): the model itself is always the fast one
define faults
$1: $(FAULTS_SRC) $(wildcard sim/*.h tests/faults/*.h) $(FAULTS_C:%=$(B)/$2/%.o) $(B)/$2/libaccel.a $(USB_LIB) $(SIM)/runtime.a
	$$(call say,CXX,$$@)
	$$(Q)$(CXX) $(filter-out -O3,$(SIM_CXXFLAGS)) -O2 $3 -Wall -Wextra -Wshadow -I$(B)/gen -Itests/unit -Itests/faults \
	    $(CFLAGS_test_usb) $(if $(strip $(LIBS_test_usb)),-DFAULTS_USB) -isystem $(SIM)/usb_board -o $$@ $$(filter %.cpp %.o,$$^) \
	    -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(SIM_LIBS) $(USB_LIBS) $(LIBS_test_usb) -lpthread -lm
endef
$(eval $(call faults,$(B)/accel-faults,release,))
$(eval $(call faults,$(B)/asan/accel-faults,asan,$$(SANITIZE)))
