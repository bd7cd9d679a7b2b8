// SB_PLL40_PAD.v - for lint only: the ports of the PLL that ice40_clock.v uses. yosys brings its own.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
/* verilator lint_off UNUSED */             // a cell without contents uses nothing
/* verilator lint_off UNDRIVEN */           // and drives nothing
module SB_PLL40_PAD #(
    parameter       FEEDBACK_PATH = "SIMPLE",
    parameter [3:0] DIVR         = 4'd0,
    parameter [6:0] DIVF         = 7'd0,
    parameter [2:0] DIVQ         = 3'd0,
    parameter [2:0] FILTER_RANGE = 3'd0
) (
    input  wire PACKAGEPIN, RESETB, BYPASS,
    output wire PLLOUTGLOBAL, LOCK
);
endmodule
`default_nettype wire
