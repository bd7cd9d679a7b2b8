// ODDRX1F.v - for lint only: the ports of the cell that ecp5_sdram.v uses. yosys brings its own.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
/* verilator lint_off UNUSED */             // a cell without contents uses nothing
/* verilator lint_off UNDRIVEN */           // and drives nothing
module ODDRX1F (
    input  wire SCLK, RST, D0, D1,
    output wire Q
);
endmodule
`default_nettype wire
