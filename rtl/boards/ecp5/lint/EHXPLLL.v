// EHXPLLL.v - for lint only: the ports of the PLL that ecp5_clocks.v and ecp5_clock.v use. yosys brings its own.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
/* verilator lint_off UNUSED */             // a cell without contents uses nothing
/* verilator lint_off UNDRIVEN */           // and drives nothing
module EHXPLLL #(
    parameter CLKI_DIV     = 1,
    parameter CLKFB_DIV    = 1,
    parameter CLKOP_DIV    = 8,
    parameter CLKOP_CPHASE = 0,
    parameter CLKOP_ENABLE = "ENABLED",
    parameter CLKOS_DIV    = 8,
    parameter CLKOS_CPHASE = 0,
    parameter CLKOS_ENABLE = "DISABLED",
    parameter CLKOS2_DIV   = 8,
    parameter CLKOS2_CPHASE = 0,
    parameter CLKOS2_ENABLE = "DISABLED",
    parameter FEEDBK_PATH  = "CLKOP"
) (
    input  wire CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP, ENCLKOS, ENCLKOS2,
    output wire CLKOP, CLKOS, CLKOS2, LOCK
);
endmodule
`default_nettype wire
