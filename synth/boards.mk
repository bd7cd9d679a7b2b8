# boards.mk - the tops of boards, rtl/boards/.
# SPDX-License-Identifier: Apache-2.0

# top:family. They are no part of the core's list of files, since its tools know no vendor's cells: Verilator and Icarus see
# the stand-ins in lint/, yosys has the ports of the real ones.
BOARD_TOPS := ulx3s:ecp5 orangecrab:ecp5 cynthion:ecp5
BOARD_CELLS_ecp5 := +/ecp5/cells_sim.v +/ecp5/cells_bb.v

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
$(foreach t,$(BOARD_TOPS),$(eval $(call board_lint,$(word 1,$(subst :, ,$t)),$(word 2,$(subst :, ,$t)))))
