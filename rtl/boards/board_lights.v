// board_lights.v - what eyes can see: a light that blinks while the clock runs, one that stays on a while after work.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board_lights #(
    parameter Bits = 25                     // alive_o has a period of 2^Bits cycles; 5..32
) (
    input  wire clk_i,
    input  wire rst_i,
    input  wire busy_i,
    output wire alive_o,
    output wire busy_o
);
    reg [Bits-1:0] count;
    reg [1:0]      shown;
    wire           tick = &count[Bits-4:0]; // eight times a period
    assign alive_o = count[Bits-1];
    assign busy_o  = shown != 2'd0;
    always @(posedge clk_i)
        if (rst_i) begin
            count <= {Bits{1'b0}};
            shown <= 2'd0;
        end else begin
            count <= count + 1'b1;
            if (busy_i) shown <= 2'd2;
            else if (tick && busy_o) shown <= shown - 2'd1;
        end
endmodule
`default_nettype wire
