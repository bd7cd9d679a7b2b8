// naf_encoder.v - 8-bit numbers as signed powers of two: digits of -1, 0, 1 of which no two neighbours are both nonzero,
// which are as few as can be. So there is at most one in each pair of places. Combinational, Width numbers side by side.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module naf_encoder #(
    parameter Width = 16                    // numbers
) (
    input  wire [Width*8-1:0] b_i,          // two's complement: bit p of number i at p * Width + i
    output reg  [Width*4-1:0] any_o,        // pair j of places of number i, at j * Width + i: one digit is not zero,
    output reg  [Width*4-1:0] up_o,         // it is the upper one,
    output reg  [Width*4-1:0] neg_o         // it is -1
);
    wire [Width*9-1:0] b = {b_i[7*Width+:Width], b_i};
    /*verilator tracing_off*/
    reg  [Width-1:0]   b0, b1, b2, c, even, up;     // c: a run of ones below ends here, and is 1 - 2^-length
    integer            j;
    /*verilator tracing_on*/
    always @* begin
        {b0, b1, b2, c, even, up} = {6*Width{1'b0}};
        for (j = 0; j < 4; j = j + 1) begin
            b0   = b[2*j*Width+:Width];
            b1   = b[(2*j+1)*Width+:Width];
            b2   = b[(2*j+2)*Width+:Width];
            even = b0 ^ c;
            c    = (b0 & b1) | (c & (b0 | b1));
            up   = b1 ^ c;
            c    = (b1 & b2) | (c & (b1 | b2));
            any_o[j*Width+:Width] = even | up;
            up_o[j*Width+:Width]  = up;
            neg_o[j*Width+:Width] = (up & b2) | (~up & b1);
        end
    end
endmodule
`default_nettype wire
