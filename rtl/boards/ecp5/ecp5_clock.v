// ecp5_clock.v - the core's clock from a board's crystal, by an ECP5's PLL.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ecp5_clock #(
    parameter CrystalMhz = 25,              // 10..400
    parameter Turns      = 18,              // the PLL's oscillator: CrystalMhz * Turns, 400 to 800 MHz; 1..128
    parameter Mhz        = 45               // what comes out, a divisor of the oscillator's
) (
    input  wire clk_i,
    output wire clk_o,
    output wire locked_o
);
    localparam Slower = CrystalMhz * Turns / Mhz;
    generate
        if (CrystalMhz * Turns < 400 || CrystalMhz * Turns > 800) ecp5_clock_oscillator_must_run_at_400_to_800_mhz bad_parameter();
        if (Slower * Mhz != CrystalMhz * Turns || Slower > 128) ecp5_clock_mhz_must_divide_that_of_the_oscillator bad_parameter();
    endgenerate
    wire again;                             // the crystal's frequency, fed back
    EHXPLLL #(
        .CLKI_DIV(1), .CLKFB_DIV(1), .CLKOP_DIV(Turns), .CLKOP_CPHASE(Turns - 1), .CLKOP_ENABLE("ENABLED"),
        .CLKOS_DIV(Slower), .CLKOS_CPHASE(Slower - 1), .CLKOS_ENABLE("ENABLED"), .FEEDBK_PATH("CLKOP")
    ) pll (
        .CLKI(clk_i), .CLKFB(again), .CLKOP(again), .CLKOS(clk_o), .LOCK(locked_o), .RST(1'b0), .STDBY(1'b0), .PHASESEL0(1'b0),
        .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
        .ENCLKOS(1'b0));
endmodule
`default_nettype wire
