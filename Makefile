# Makefile - builds, runs, tests and installs libaccel and the accel command.
# SPDX-License-Identifier: Apache-2.0
#
# Everything that is made lies in build/: build/accel, build/libaccel.a, build/libaccel.so, and one folder of
# objects for each way to compile (release, asan, ...). Jobs run in parallel unless -j says otherwise.
#
# Settings, as in `make MARCH=x86-64-v3`:
#   CC, CXX         gcc, g++
#   MARCH=native    processor to compile for
#   WERROR=1        compiler warnings are errors
#   V=1             show whole commands
#   PREFIX, DESTDIR where `make install` puts things
#   MODEL PROMPT DEVICE N    what `make run` runs
#   FUZZ_SECONDS=5  how long each fuzzer runs in `make test`
#   BOARD=          for which board `make bitstream` and `make program` are
#   CUDA=1          with the cuda: backend; needs nvcc (driver/src/backend/cuda/cuda.mk has its settings)

# ------------------------------------------------------------------------------------- settings

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
ifeq (,$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
CLANG        ?= clang-14
CLANGXX      ?= clang++-14
CLANG_FORMAT ?= clang-format-14
CLANG_TIDY   ?= clang-tidy-14
MARCH        ?= native
PREFIX       ?= /usr/local
V            ?= 0
comma        := ,
WERROR       ?= 0
FUZZ_SECONDS ?= 5
CUDA         ?= 0
PYTHON       ?= python3

B := build
# $(call say,WHAT,FILE) announces a step; Q hides its command.
ifeq ($(V),1)
Q   :=
say  = @:
else
Q   := @
say  = @printf '  %-8s %s\n' '$(1)' '$(2)'
endif

VERSION := $(shell awk '/define ACCEL_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' driver/include/accel.h)
SOMAJOR := $(firstword $(subst ., ,$(VERSION)))

# ------------------------------------------------------------------------------------- sources

# The usb: backend is built where libusb is, its tests where umockdev is, too.
USB_LIBS := $(shell pkg-config --libs libusb-1.0 2>/dev/null)
USB_CFLAGS := $(if $(USB_LIBS),-DACCEL_WITH_USB $(shell pkg-config --cflags libusb-1.0 | sed 's/-I/-isystem /g'))
LIBS_test_usb := $(if $(USB_LIBS),$(shell pkg-config --libs umockdev-1.0 2>/dev/null))
CFLAGS_test_usb := $(if $(LIBS_test_usb),$(shell pkg-config --cflags umockdev-1.0 | sed 's/-I/-isystem /g'))
LIBS_test_usb += $(if $(LIBS_test_usb),-Wl$(comma)--push-state$(comma)--no-as-needed -lumockdev-preload -Wl$(comma)--pop-state)

# GLPK solves for formats: the command uses it where it is, the library never does.
GLPK_LIBS := $(if $(wildcard /usr/include/glpk.h /usr/local/include/glpk.h),-lglpk)
GLPK_CFLAGS := $(if $(GLPK_LIBS),-DACCEL_WITH_GLPK)
LIBS_test_allocate := $(GLPK_LIBS)

CFLAGS_test_fault_plan := -Isim
CFLAGS_fuzz_plan := -Isim

LIB_SRC  := $(filter-out $(if $(USB_LIBS),,driver/src/backend/usb%.c),$(sort $(wildcard driver/src/*.c driver/src/*/*.c)) driver/src/backend/cuda/pack.c)
CLI_SRC  := $(sort $(wildcard driver/cli/*.c))
UNIT_SRC := $(filter-out $(if $(strip $(LIBS_test_usb)),,tests/unit/test_usb.c),$(sort $(wildcard tests/unit/test_*.c)))
HELP_SRC := $(filter-out tests/unit/test_%,$(sort $(wildcard tests/unit/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
CLI_TEST := $(sort $(wildcard tests/cli/test_*.sh))
C_SRC     = $(LIB_SRC) $(CLI_SRC) $(UNIT_SRC) $(HELP_SRC) $(FUZZ_SRC) sim/fault_plan.c $(if $(strip $(LIBS_test_usb)),tests/faults/mock_usbfs.c) $(CUDA_C_SRC)
PUBLIC_H := $(sort $(wildcard driver/include/*.h))
HEADERS  := $(sort $(PUBLIC_H) $(wildcard driver/src/*.h driver/src/*/*.h driver/src/backend/cuda/*.h driver/cli/*.h \
                              tests/unit/*.h tests/fuzz/*.h))

# The one list of Verilog files, shared by lint, simulation and synthesis.
RTL_LIST := rtl/files.f
RTL      := $(if $(wildcard $(RTL_LIST)),$(shell sed -e 's://.*$$::' $(RTL_LIST)))

# Each of these adds its own section:
#   sim/sim.mk              SIM_OBJS, SIM_LIBS, SIM_CFLAGS: the sim: backend; BOARD_SIM, SMALL_SIM: simulated boards
#   sim/tb/tb.mk            RTL_TESTS: testbench programs
#   synth/synth.mk          synth-report
#   firmware/firmware.mk    firmware, PICORV32: the processor beside the core
#   synth/boards.mk         bitstream, program, lint of the boards' tops
#   tests/formal/formal.mk  FORMAL_TESTS: quick proofs that print ok and not ok lines
#   .../cuda/cuda.mk        CUDA_OBJS, CUDA_LIBS, CUDA_CFLAGS: the cuda: backend, with CUDA=1

# The protocol's numbers for C, from the file that the RTL reads.
LINK_NUMBERS := $(B)/gen/link_constants.h
$(LINK_NUMBERS): rtl/link/link_constants.v
	@mkdir -p $(@D)
	@{ echo '/* made from $< */'; echo '#ifndef LINK_CONSTANTS_H'; echo '#define LINK_CONSTANTS_H'; \
	   sed -n 's/^`define \(LINK_[A-Z0-9_]*\) \([0-9]*\)$$/#define \1 \2u/p' $<; echo '#endif'; } >$@

-include $(wildcard sim/sim.mk sim/tb/tb.mk synth/synth.mk synth/boards.mk firmware/firmware.mk tests/formal/formal.mk)
ifeq ($(CUDA),1)
include driver/src/backend/cuda/cuda.mk
endif

# ------------------------------------------------------------------------------------- flags

WARN     := -Wall -Wextra -Wconversion -Wshadow
# -ffp-contract=off: a fused multiply-add would make floats depend on the processor.
BASE     := -std=c11 -D_POSIX_C_SOURCE=200809L -ffp-contract=off -fPIC -Idriver/include -Idriver/src -I$(B)/gen $(USB_CFLAGS) $(GLPK_CFLAGS) $(WARN) \
            $(if $(filter 1,$(WERROR)),-Werror) $(SIM_CFLAGS) $(CUDA_CFLAGS)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS   ?=
LDFLAGS  ?=
LIBS     := $(SIM_LIBS) $(if $(SIM_OBJS),-lstdc++) $(CUDA_LIBS) $(USB_LIBS) -lpthread -lm
LINK      = $(if $(SIM_OBJS),$(CXX),$(CC))

# One folder of objects for each way to compile: $(call variant,NAME,COMPILER,FLAGS). A change of flags
# rebuilds the folder, since its objects depend on the .flags file that records them.
define variant
$(B)/$(1)/%.o: %.c $(B)/$(1)/.flags | $(LINK_NUMBERS)
	$$(call say,CC $(if $(filter-out release,$(1)),[$(1)]),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $(3) $$(CFLAGS_$$(notdir $$*)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
$(B)/$(1)/.flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(2) $(3) $$(CFLAGS)' | cmp -s - $$@ || echo '$(2) $(3) $$(CFLAGS)' >$$@
$(B)/$(1)/libaccel.a: $(LIB_SRC:%.c=$(B)/$(1)/%.o)
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
-include $(C_SRC:%.c=$(B)/$(1)/%.d)
endef
# The programs of a variant: $(call programs,NAME,LINK FLAGS)
define programs
$(B)/$(1)/accel: $(CLI_SRC:%.c=$(B)/$(1)/%.o) $(B)/$(1)/libaccel.a $(SIM_OBJS) $(CUDA_OBJS)
	$$(call say,LD,$$@)
	$$(Q)$$(LINK) $(2) $$(LDFLAGS) -o $$@ -Wl,--start-group $$^ -Wl,--end-group $$(GLPK_LIBS) $$(LIBS)
$(B)/$(1)/unit/test_allocate: $(B)/$(1)/driver/cli/allocate_solve.o
$(B)/$(1)/unit/test_usb: $(B)/$(1)/tests/faults/mock_usbfs.o
$(B)/$(1)/unit/test_fault_plan: $(B)/$(1)/sim/fault_plan.o
$(B)/$(1)/unit/%: $(B)/$(1)/tests/unit/%.o $(HELP_SRC:%.c=$(B)/$(1)/%.o) $(B)/$(1)/libaccel.a $(SIM_OBJS) $(CUDA_OBJS)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) $(2) $$(LDFLAGS) -o $$@ -Wl,--start-group $$^ -Wl,--end-group -lcmocka $$(LIBS_$$(notdir $$@)) $$(LIBS)
endef

$(eval $(call variant,release,$(CC),-O3 -march=$(MARCH) $(BASE)))
$(eval $(call variant,asan,$(CC),-O2 -g $(SANITIZE) $(BASE)))
$(eval $(call variant,tsan,$(CC),-O1 -g -fsanitize=thread $(BASE)))
# Threads lose some counts, which tests/coverage allows for.
$(eval $(call variant,cov,$(CC),-O1 -g --coverage -fprofile-abs-path $(BASE)))
$(eval $(call variant,fuzz,$(CLANG),-O1 -g -fsanitize=fuzzer-no-link $(FUZZ_FLAGS) $(SANITIZE) $(BASE)))
# Only to see that both compilers have nothing to say. -O2: some warnings of gcc need the optimizer.
$(eval $(call variant,lint-gcc,gcc,-O2 $(BASE) -Werror))
$(eval $(call variant,lint-clang,$(CLANG),-O1 $(BASE) -Werror))
$(eval $(call programs,release,))
$(eval $(call programs,asan,$(SANITIZE)))
$(eval $(call programs,tsan,-fsanitize=thread))
$(eval $(call programs,cov,--coverage))

.PHONY: FORCE
FORCE:

# ------------------------------------------------------------------------------------- build and run

.PHONY: help all run board
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n 's/^# \{0,1\}//; /^Settings/,/^$$/p' $(firstword $(MAKEFILE_LIST))

all: $(B)/accel $(B)/libaccel.a $(B)/libaccel.so ## build the accel command and the library (default)

$(B)/accel: $(B)/release/accel
	@cp -f $< $@

# The static library holds the simulator too, so that a program links with -laccel alone.
$(B)/libaccel.a: $(B)/release/libaccel.a $(SIM_OBJS) $(CUDA_OBJS)
	$(call say,AR,$@)
	@rm -f $@
	@{ echo 'create $@'; for f in $^; do case $$f in *.a) echo "addlib $$f";; *) echo "addmod $$f";; esac; done; \
	   echo save; echo end; } | ar -M

# Only what the public headers declare is visible in the shared library.
$(B)/libaccel.map: $(PUBLIC_H)
	@mkdir -p $(@D)
	@{ echo 'LIBACCEL_$(SOMAJOR) {'; echo 'global:'; \
	   sed -n 's/^[a-z].*[ *]\(accel_[a-z0-9_]*\)(.*/    \1;/p' $^ | grep -v '_fn;' | sort -u; \
	   echo 'local: *;'; echo '};'; } >$@

$(B)/libaccel.so.$(VERSION): $(LIB_SRC:%.c=$(B)/release/%.o) $(SIM_OBJS) $(CUDA_OBJS) $(B)/libaccel.map
	$(call say,LD,$@)
	$(Q)$(LINK) -shared $(LDFLAGS) -Wl,-soname,libaccel.so.$(SOMAJOR) -Wl,--version-script=$(B)/libaccel.map \
	    -Wl,-z,defs -o $@ -Wl,--start-group $(filter-out %.map,$^) -Wl,--end-group $(LIBS)

$(B)/libaccel.so: $(B)/libaccel.so.$(VERSION)
	@ln -sf libaccel.so.$(VERSION) $(B)/libaccel.so.$(SOMAJOR)
	@ln -sf libaccel.so.$(VERSION) $@

board: $(BOARD_SIM) ## build accel-board, a simulated board at a serial port (BOARD_MODEL)

MODEL  ?= models/stories-ternary-tq2_0.gguf
PROMPT ?= Once upon a time
DEVICE ?= sim:
N      ?=
run: $(B)/accel ## build, then tell a story on the simulated accelerator
	@$(B)/accel run -d '$(DEVICE)' -m '$(MODEL)' -p '$(PROMPT)' $(if $(N),-n $(N))

# ------------------------------------------------------------------------------------- test

# tests/run takes suites, runs every program of each and counts the tests in it; see docs/testing.md.
RUN_TESTS := $(PYTHON) tests/run

UNIT_release := $(UNIT_SRC:tests/unit/%.c=$(B)/release/unit/%)
UNIT_asan    := $(UNIT_SRC:tests/unit/%.c=$(B)/asan/unit/%)
UNIT_tsan    := $(UNIT_SRC:tests/unit/%.c=$(B)/tsan/unit/%)
UNIT_cov     := $(UNIT_SRC:tests/unit/%.c=$(B)/cov/unit/%)
FUZZERS      := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

SUITE_unit := --suite unit $(UNIT_release) tests/runner.sh
SUITE_asan := --suite cli-asan --env ACCEL=$(B)/asan/accel --env QUICK=1 $(CLI_TEST) --suite asan $(UNIT_asan)
SUITE_cli  := --suite cli --env ACCEL=$(B)/accel $(CLI_TEST) tests/install.sh
SUITE_cov  := --suite cli-cov --env ACCEL=$(B)/cov/accel --env QUICK=1 $(CLI_TEST) --suite cov $(UNIT_cov) \
              --suite serial --env ACCEL=$(B)/cov/accel --env BOARD=$(BOARD_SIM) tests/serial.sh 'tests/serial.sh memory' \
              --suite serial-small --env ACCEL=$(B)/cov/accel --env BOARD=$(SMALL_SIM) 'tests/serial.sh small'
SUITE_fuzz := --suite fuzz $(foreach f,$(FUZZERS),'tests/fuzz/run $(f) $(FUZZ_SECONDS)')
# A few of what test-faults does
SUITE_faults := --suite faults '$(B)/accel-faults --plans 20' $(if $(strip $(LIBS_test_usb)),\
    '$(B)/accel-faults --usb --plans 5 --opens 20 --unplugs 5')
SUITE_rtl  := --suite rtl $(RTL_TESTS)
SUITE_formal := --suite formal $(FORMAL_TESTS)
# The whole table: make synth-check
SUITE_synth := --suite synth --env B=$(B) 'synth/expect.sh quick $(B)/synth' 'synth/baseline.sh check $(B)/synth' \
    'synth/gate.sh $(B)/synth/gate ecp5:lut:4:8:1:4:64:512:16'
SUITE_sum  := --after --suite coverage tests/coverage

.PHONY: test test-programs test-unit test-asan test-tsan test-cli test-rtl test-fuzz coverage cov-clean
# The slow suites come first, so that no processor waits for them at the end.
test: test-programs ## build and run every test; results also in build/test/junit.xml
	@$(RUN_TESTS) $(SUITE_asan) $(SUITE_cov) $(SUITE_rtl) $(SUITE_faults) $(SUITE_formal) $(SUITE_synth) $(SUITE_cli) $(SUITE_unit) $(SUITE_fuzz) \
	    $(SUITE_sum)

test-programs: all $(UNIT_release) $(UNIT_asan) $(UNIT_cov) $(B)/asan/accel $(B)/cov/accel $(FUZZERS) \
               $(RTL_TESTS) $(FORMAL_TESTS) $(BOARD_SIM) $(SMALL_SIM) $(B)/accel-faults $(B)/synth/gate_jobs cov-clean

test-unit: $(UNIT_release) ## unit tests of the C modules only
	@$(RUN_TESTS) $(SUITE_unit)

test-asan: $(UNIT_asan) $(B)/asan/accel ## unit and CLI tests under AddressSanitizer and UBSan
	@$(RUN_TESTS) $(SUITE_asan)

test-tsan: $(UNIT_tsan) ## unit tests under ThreadSanitizer (not part of test)
	@$(RUN_TESTS) --suite tsan --env TSAN_OPTIONS=suppressions=tests/tsan.supp $(UNIT_tsan)

.PHONY: test-faults
FAULTS_MODEL := models/stories-ternary-tq2_0.gguf
test-faults: $(B)/accel $(B)/accel-faults $(B)/asan/accel-faults $(BOARD_SIM) ## jobs under 1,200 random fault plans, cables pulled, users killed; many minutes
	@TEST_TIMEOUT=3600 $(RUN_TESTS) --suite faults '$(B)/accel-faults --plans 1000' '$(B)/accel-faults --usb --plans 200' \
	    '$(B)/accel-faults --usb --opens 1000 --unplugs 50' \
	    '$(B)/accel-faults --usb --run $(B)/accel verify -d cpu: -d usb: -m $(FAULTS_MODEL) -p Once -n 2' \
	    --suite faults-asan '$(B)/asan/accel-faults --plans 100 --seed 100001' '$(B)/asan/accel-faults --usb --plans 20 --seed 100001' \
	    --suite faults-serial --env ACCEL=$(B)/accel --env BOARD=$(BOARD_SIM) --env KILLS=100 tests/serial.sh

# The virtual machine has another processor than this one, and is slow: a small core.
KERNEL_MAKE := $(MAKE) --no-print-directory B=$(B)/kernel MARCH=x86-64-v2 SIM_OBJS= SIM_CFLAGS= USB_MODEL=1:8:32:2:8:2048:128
.PHONY: test-kernel
test-kernel: ## accel on a simulated USB board under a Debian kernel in QEMU; minutes (needs ./bootstrap --kernel)
	+@$(KERNEL_MAKE) SIM_LIBS= $(B)/kernel/accel
	+@$(KERNEL_MAKE) $(B)/kernel/accel-usbip
	@TEST_TIMEOUT=1200 $(RUN_TESTS) --suite kernel --env ACCEL=$(B)/kernel/accel --env USBIP=$(B)/kernel/accel-usbip \
	    --env OUT=$(B)/kernel tests/kernel.sh

test-cli: all ## tests of the accel command
	@$(RUN_TESTS) $(SUITE_cli)

test-rtl: $(RTL_TESTS) ## testbenches of the RTL modules; TB_SEED=random for other stalls and data
	@$(RUN_TESTS) $(SUITE_rtl)

test-fuzz: $(FUZZERS) ## each fuzzer for FUZZ_SECONDS
	@$(RUN_TESTS) $(SUITE_fuzz)

coverage: $(UNIT_cov) $(B)/cov/accel $(BOARD_SIM) $(SMALL_SIM) cov-clean ## line coverage of driver/; fails below 90 %
	@$(RUN_TESTS) $(SUITE_cov) $(SUITE_sum)

# Counts of earlier runs would add up with those of this one.
cov-clean: $(UNIT_cov) $(B)/cov/accel
	@find $(B)/cov -name '*.gcda' -delete

$(B)/fuzz/fuzz_plan: $(B)/fuzz/sim/fault_plan.o

# The fuzzers run the library without the simulator if it can be built so.
$(B)/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/libaccel.a $(SIM_OBJS) $(CUDA_OBJS)
	$(call say,LD,$@)
	$(Q)$(if $(SIM_OBJS),$(CLANGXX),$(CLANG)) -fsanitize=fuzzer $(SANITIZE) -o $@ \
	    -Wl,--start-group $^ -Wl,--end-group $(LIBS)

# ------------------------------------------------------------------------------------- lint

LINT_C     := $(C_SRC) firmware/vectors.c synth/gate_jobs.c
# Files that clang-format looks at: all C and C++ of ours.
LINT_FMT   := $(sort $(LINT_C) $(HEADERS) $(wildcard firmware/*.c firmware/*.h sim/*.cpp sim/*.h sim/*/*.cpp sim/*/*.h tests/formal/*.cpp tests/faults/*.cpp tests/faults/*.h \
                       driver/src/backend/cuda/*.cu driver/src/backend/cuda/*.cuh tests/cuda/*.c tests/cuda/*.cu))
LINT_SH    := bootstrap .ci/run $(CLI_TEST) tests/cli/lib.sh $(wildcard tests/runner.sh tests/install.sh tests/serial.sh tests/kernel.sh tests/kernel/guest.sh tests/fuzz/run tests/coverage tests/formal/*.sh synth/*.sh)
RTL_TOP    ?= accel_core
RTL_KINDS  ?= 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17

.PHONY: lint lint-c lint-format lint-rtl lint-sh format
lint: lint-c lint-format lint-rtl lint-sh ## every linter and both compilers, warnings are errors
	@echo 'lint: clean'

lint-c: $(LINT_C:%.c=$(B)/lint-gcc/%.o) $(LINT_C:%.c=$(B)/lint-clang/%.o) $(LINT_C:%.c=$(B)/lint/%.tidy) \
        $(B)/lint/cppcheck

$(B)/lint/%.tidy: %.c $(HEADERS) .clang-tidy | $(LINK_NUMBERS)
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG_TIDY) --quiet --warnings-as-errors='*' $< -- $(filter-out -Werror,$(BASE)) $(CFLAGS_$(notdir $*)) >$@.log 2>$@.err || \
	    { cat $@.log; grep -v 'warnings generated\|^Suppressed\|^Use -' $@.err; exit 1; }
	@touch $@

$(B)/lint/cppcheck: $(LINT_C) $(HEADERS) | $(LINK_NUMBERS)
	$(call say,CPPCHECK,driver tests)
	@mkdir -p $(@D)
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --error-exitcode=1 -Idriver/include -Idriver/src -I$(B)/gen $(LINT_C)
	@touch $@

lint-format:
	$(call say,FORMAT,$(words $(LINT_FMT)) files)
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(LINT_FMT)
	@! awk '/\t/ { printf "%s:%d: tab\n", FILENAME, FNR } \
	       / $$/ { printf "%s:%d: blank at the end\n", FILENAME, FNR }' $(LINT_FMT) $(RTL) | grep .

format: ## let clang-format rewrite the C and C++ files
	$(Q)$(CLANG_FORMAT) -i $(LINT_FMT)

lint-sh:
	$(call say,SHELL,$(words $(LINT_SH)) files)
	$(Q)shellcheck -x $(LINT_SH)

# Verilator judges style, Icarus reads with another parser, Yosys finds latches, loops and double drivers.
lint-rtl: $(foreach k,$(if $(RTL),$(RTL_KINDS)),$(B)/lint/verilator-$(k) $(B)/lint/yosys-$(k) $(B)/lint/iverilog-$(k))

$(B)/lint/verilator-%: $(RTL) $(RTL_LIST)
	$(call say,VERILATE,$(RTL_TOP) kind $*)
	@mkdir -p $(@D)
	$(Q)verilator --lint-only -Wall --top-module $(RTL_TOP) -GKind=$* $(if $(RTL_LANES_$*),-GLanes=$(RTL_LANES_$*) -GWDepth=512) $(RTL)
	@touch $@

$(B)/lint/iverilog-%: $(RTL) $(RTL_LIST)
	$(call say,ICARUS,$(RTL_TOP) kind $*)
	@mkdir -p $(@D)
	$(Q)iverilog -g2005 -Wall -s $(RTL_TOP) -P$(RTL_TOP).Kind=$* $(if $(RTL_LANES_$*),-P$(RTL_TOP).Lanes=$(RTL_LANES_$*) -P$(RTL_TOP).WDepth=512) -o $@.vvp $(RTL) 2>$@.log && ! [ -s $@.log ] || \
	    { cat $@.log; exit 1; }
	@touch $@

# The smallest legal shape: the checks are about structure, not size.
RTL_LANES_4  := 24
RTL_LANES_6  := 24
RTL_LANES_14 := 16
$(B)/lint/yosys-%: $(RTL) $(RTL_LIST)
	$(call say,YOSYS,$(RTL_TOP) kind $*)
	@mkdir -p $(@D)
	$(Q)yosys -q -p 'read_verilog $(RTL)' \
	    -p 'hierarchy -check -top $(RTL_TOP) -chparam Kind $* -chparam Rows 4 -chparam Lanes $(or $(RTL_LANES_$*),8) -chparam ScaleUnits 4 -chparam WDepth 512' \
	    -p 'proc; opt_clean; check -assert' >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@

# Modules that are no part of the core: LINT_TOPS holds NAME:MODULE:PARAMETER=VALUE:... of each.
define lint_top
lint-rtl: $(B)/lint/top-$(word 1,$1)
$(B)/lint/top-$(word 1,$1): $(RTL) $(RTL_LIST)
	$$(call say,LINT,$(word 1,$1))
	@mkdir -p $$(@D)
	$$(Q)verilator --lint-only -Wall --top-module $(word 2,$1) $(addprefix -G,$(wordlist 3,$(words $1),$1)) $(RTL)
	$$(Q)iverilog -g2005 -Wall -s $(word 2,$1) $(addprefix -P$(word 2,$1).,$(wordlist 3,$(words $1),$1)) -o $$@.vvp $(RTL) \
	    2>$$@.log && ! [ -s $$@.log ] || { cat $$@.log; exit 1; }
	$$(Q)yosys -q -p 'read_verilog $(RTL)' \
	    -p 'hierarchy -check -top $(word 2,$1) $(foreach p,$(wordlist 3,$(words $1),$1),-chparam $(subst =, ,$p))' \
	    -p 'proc; opt_clean; check -assert' >$$@.log 2>&1 || { cat $$@.log; exit 1; }
	@touch $$@
endef
$(foreach t,$(LINT_TOPS),$(eval $(call lint_top,$(subst :, ,$t))))

# ------------------------------------------------------------------------------------- bench

.PHONY: bench
bench: $(B)/accel ## tokens/s, cycles/token and utilisation of every kind and format
	@$(B)/accel bench --save $(B)/bench.json $(if $(N),-n $(N))

# ------------------------------------------------------------------------------------- compare

.PHONY: compare
compare: $(B)/accel ## every PE kind in every format: cycles, area, energy, as a page (KINDS=, FORMATS=)
	@KINDS='$(KINDS)' FORMATS='$(FORMATS)' $(PYTHON) tools/compare.py $(B)

# ------------------------------------------------------------------------------------- install

INC := $(DESTDIR)$(PREFIX)/include
LIB := $(DESTDIR)$(PREFIX)/lib
BIN := $(DESTDIR)$(PREFIX)/bin
MAN := $(DESTDIR)$(PREFIX)/share/man/man1
RULES := $(DESTDIR)$(PREFIX)/lib/udev/rules.d

.PHONY: install uninstall clean
install: all ## install header, libraries, pkg-config file and command (PREFIX, DESTDIR)
	install -d $(INC) $(LIB)/pkgconfig $(BIN) $(MAN) $(RULES)
	install -m 644 $(PUBLIC_H) $(INC)
	install -m 644 $(B)/libaccel.a $(LIB)
	install -m 755 $(B)/libaccel.so.$(VERSION) $(LIB)
	ln -sf libaccel.so.$(VERSION) $(LIB)/libaccel.so.$(SOMAJOR)
	ln -sf libaccel.so.$(VERSION) $(LIB)/libaccel.so
	printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/lib' '' 'Name: accel' \
	    'Description: Exact mixed-precision matrix multiplies on an accelerator' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -laccel' 'Libs.private: $(LIBS)' >$(LIB)/pkgconfig/accel.pc
	install -m 755 $(B)/accel $(BIN)
	install -m 644 docs/accel.1 $(MAN)
	install -m 644 driver/70-accel.rules $(RULES)

uninstall: ## remove what install put there
	rm -f $(PUBLIC_H:driver/include/%=$(INC)/%) $(LIB)/libaccel.a $(LIB)/libaccel.so $(LIB)/libaccel.so.$(SOMAJOR) \
	    $(LIB)/libaccel.so.$(VERSION) $(LIB)/pkgconfig/accel.pc $(BIN)/accel $(MAN)/accel.1 $(RULES)/70-accel.rules

clean: ## remove build/
	rm -rf $(B)
