// board_reset.v - reset of a board's core: after configuration, while the PLL has no lock, and at a button.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board_reset #(
    parameter Bits = 16                     // reset lasts 2^Bits cycles longer than its cause: a button bounces
) (
    input  wire clk_i,
    input  wire locked_i,                   // both asynchronous
    input  wire button_i,
    output wire rst_o
);
    reg [1:0]    good = 2'b00;              // what configuration loads: there is no reset before this one
    reg [Bits:0] count = 0;
    assign rst_o = !count[Bits];
    always @(posedge clk_i) begin
        good <= {good[0], locked_i && !button_i};
        if (!good[1]) count <= 0;
        else if (rst_o) count <= count + 1'b1;
    end
endmodule
`default_nettype wire
