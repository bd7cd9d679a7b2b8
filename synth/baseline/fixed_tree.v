// fixed_tree.v - dot product of one row of fixed_tile.v: products of int8 and weights of one width, added up by a binary tree.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fixed_tree #(
    parameter Lanes = 8,                    // a power of two
    parameter Width = 1                     // 1: a mask, 0 or 1; 2..8: two's complement
) (
    input  wire [Lanes*8-1:0]     x_i,
    input  wire [Lanes*Width-1:0] w_i,      // bit p of lane l at p * Lanes + l
    output wire [23:0]            sum_o
);
    // Nodes as in a heap: 1 is the root, Lanes.. are the leaves. What of the 24 bits only repeats the sign is dropped by
    // the synthesis.
    reg [2*Lanes*24-1:0]   node;
    reg signed [7:0]       x;
    reg signed [Width-1:0] w;
    reg signed [23:0]      product;
    integer                n, p;
    always @* begin
        node    = {2*Lanes*24{1'b0}};
        x       = 8'sd0;
        w       = {Width{1'b0}};
        product = 24'sd0;
        for (n = 0; n < Lanes; n = n + 1) begin
            x = x_i[n*8+:8];
            for (p = 0; p < Width; p = p + 1) w[p] = w_i[p*Lanes+n];
            if (Width == 1) product = {{16{x[7] & w[0]}}, x & {8{w[0]}}};
            else            product = x * w;
            node[(Lanes+n)*24+:24] = product;
        end
        for (n = Lanes - 1; n > 0; n = n - 1) node[n*24+:24] = node[2*n*24+:24] + node[(2*n+1)*24+:24];
    end
    assign sum_o = node[24+:24];
endmodule
`default_nettype wire
