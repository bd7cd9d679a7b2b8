# synth.mk - area of the tiles; docs/synthesis.md says how it is counted.
# SPDX-License-Identifier: Apache-2.0

.PHONY: synth-report synth-core
synth-report: ## LUTs of every PE kind at 1, 2, 4, 8 bits; also build/synth/report.json
	@synth/report.sh $(B)/synth

synth-core: ## LUTs, flip-flops and block RAMs of the whole core (not part of synth-report)
	@synth/core.sh $(B)/synth
