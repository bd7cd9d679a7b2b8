// ice40_clock.v - the core's clock from a pin of 12 MHz, by the PLL of the iCE40.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ice40_clock #(
    parameter Mhz = 24                      // a multiple of 3 from 18 to 33: the oscillator runs at 32 times that, 533..1066 MHz
) (
    input  wire clk_i,                      // the pin itself
    output wire clk_o,
    output wire locked_o
);
    localparam [6:0] Times = Mhz * 32 / 12 - 1;
    generate
        if (Mhz % 3 != 0 || Mhz < 18 || Mhz > 33) ice40_clock_mhz_must_be_a_multiple_of_3_from_18_to_33 bad_parameter();
    endgenerate

    SB_PLL40_PAD #(.FEEDBACK_PATH("SIMPLE"), .DIVR(4'd0), .DIVF(Times), .DIVQ(3'd5), .FILTER_RANGE(3'd1)) pll (
        .PACKAGEPIN(clk_i), .PLLOUTGLOBAL(clk_o), .LOCK(locked_o), .RESETB(1'b1), .BYPASS(1'b0));
endmodule
`default_nettype wire
