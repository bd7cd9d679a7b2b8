// ecp5_clocks.v - the core's clock from a board's crystal, by an ECP5's PLL, and one that runs a little ahead of it.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ecp5_clocks #(
    parameter CrystalMhz = 25,              // 10..400
    parameter Slow       = 1,               // of the crystal's frequency the PLL compares so many parts with
    parameter Again      = 1,               // so many parts of the first output's
    parameter Turns      = 18,              // the PLL's oscillator: CrystalMhz * Again / Slow * Turns, 400 to 800 MHz; 1..128
    parameter Mhz        = 45,              // what comes out, a divisor of the oscillator's
    parameter Ahead      = 1                // turns of the oscillator by which early_o is, 0..Oscillator / Mhz - 1
) (
    input  wire clk_i,
    output wire clk_o,
    output wire early_o,
    output wire locked_o
);
    localparam Oscillator = CrystalMhz * Again / Slow * Turns, Slower = Oscillator / Mhz;
    generate
        if (Oscillator < 400 || Oscillator > 800 || CrystalMhz * Again % Slow != 0) ecp5_clocks_oscillator_must_run_at_400_to_800_mhz bad_parameter();
        if (Slower * Mhz != Oscillator || Slower > 128) ecp5_clocks_mhz_must_divide_that_of_the_oscillator bad_parameter();
        if (Ahead < 0 || Ahead >= Slower) ecp5_clocks_ahead_out_of_range bad_parameter();
    endgenerate
    wire again;                             // the first output, fed back
    EHXPLLL #(
        .CLKI_DIV(Slow), .CLKFB_DIV(Again), .CLKOP_DIV(Turns), .CLKOP_CPHASE(Turns - 1), .CLKOP_ENABLE("ENABLED"),
        .CLKOS_DIV(Slower), .CLKOS_CPHASE(Slower - 1), .CLKOS_ENABLE("ENABLED"),
        .CLKOS2_DIV(Slower), .CLKOS2_CPHASE((2 * Slower - 1 - Ahead) % Slower), .CLKOS2_ENABLE("ENABLED"), .FEEDBK_PATH("CLKOP")
    ) pll (
        .CLKI(clk_i), .CLKFB(again), .CLKOP(again), .CLKOS(clk_o), .CLKOS2(early_o), .LOCK(locked_o), .RST(1'b0), .STDBY(1'b0),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
        .ENCLKOS(1'b0), .ENCLKOS2(1'b0));
endmodule
`default_nettype wire
