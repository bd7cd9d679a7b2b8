// ecp5_clock.v - as ecp5_clocks.v, the one clock alone.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ecp5_clock #(
    parameter CrystalMhz = 25,
    parameter Slow       = 1,
    parameter Again      = 1,
    parameter Turns      = 18,
    parameter Mhz        = 45
) (
    input  wire clk_i,
    output wire clk_o,
    output wire locked_o
);
    wire early;
    wire unused_ok = &{1'b0, early};
    ecp5_clocks #(.CrystalMhz(CrystalMhz), .Slow(Slow), .Again(Again), .Turns(Turns), .Mhz(Mhz)) clocks (
        .clk_i(clk_i), .clk_o(clk_o), .early_o(early), .locked_o(locked_o));
endmodule
`default_nettype wire
