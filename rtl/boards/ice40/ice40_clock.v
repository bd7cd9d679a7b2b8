// ice40_clock.v - the core's clock from a pin of 12 MHz, by the PLL of the iCE40.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ice40_clock #(
    parameter Mhz = 24                      // a multiple of 3 from 12 to 33
) (
    input  wire clk_i,                      // the pin itself
    output wire clk_o,
    output wire locked_o
);
    localparam [2:0] Halvings = Mhz < 18 ? 3'd6 : 3'd5;             // the oscillator runs at 533 to 1066 MHz
    localparam [6:0] Times    = (Mhz << Halvings) / 12 - 1;
    generate
        if (Mhz % 3 != 0 || Mhz < 12 || Mhz > 33) ice40_clock_mhz_must_be_a_multiple_of_3_from_12_to_33 bad_parameter();
    endgenerate

    SB_PLL40_PAD #(.FEEDBACK_PATH("SIMPLE"), .DIVR(4'd0), .DIVF(Times), .DIVQ(Halvings), .FILTER_RANGE(3'd1)) pll (
        .PACKAGEPIN(clk_i), .PLLOUTGLOBAL(clk_o), .LOCK(locked_o), .RESETB(1'b1), .BYPASS(1'b0));
endmodule
`default_nettype wire
