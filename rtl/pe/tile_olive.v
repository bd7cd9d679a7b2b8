// tile_olive.v - OliVe (arXiv 2304.07493): outlier-victim pairs. The code 8 marks a victim, which counts as zero; its
// neighbour in the pair is then an outlier, an abfloat (2 + m) << (e + bias). Decoders at the array's edge make an integer
// and a shift of every code, shift_mult_array.v multiplies. Normal values are INT4 (OLIVE4) or flint (OLIVE4F); plain
// integers of up to four bits pass as they are. Cycles per step: 1.
// What differs from the paper: weights alone are coded so, activations are plain int8.
// Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_olive #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    input  wire [3:0]               planes_i,
    input  wire [1:0]               coding_i,
    input  wire [4:0]               table_i,
    input  wire                     valid_i,
    output wire                     ready_o,
    input  wire                     first_i,
    input  wire                     plane_i,
    input  wire                     last_i,
    input  wire                     word_i,
    input  wire [Rows*2-1:0]        sel_i,
    input  wire [Lanes*8-1:0]       x_i,
    input  wire [Rows*Lanes*4-1:0]  w_i,          // bit p of row r, lane l at p * Rows * Lanes + r * Lanes + l
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam [1:0] Signed = 2'd0, Bipolar = 2'd2, Table = 2'd3;
    localparam [4:0] Olive4f = 5'd7;
    localparam Plane = Rows * Lanes;
    wire unused_ok = &{1'b0, plane_i, word_i, sel_i};
    generate
        if (Lanes % 2 != 0) tile_olive_lanes_must_be_even bad_parameter();
    endgenerate

    // ---- decoder: planes of bits, all weights at once
    wire [Plane-1:0] pairs  = {Plane{coding_i == Table}};
    wire [Plane-1:0] flint  = {Plane{coding_i == Table && table_i == Olive4f}};
    wire [Plane-1:0] c3 = w_i[3*Plane+:Plane], c2 = w_i[2*Plane+:Plane], c1 = w_i[Plane+:Plane], c0 = w_i[0+:Plane];
    wire [Plane-1:0] odd    = {Plane/2{2'b10}};
    wire [Plane-1:0] victim = pairs & c3 & ~c2 & ~c1 & ~c0;
    wire [Plane-1:0] out    = ((victim & odd) >> 1 | (victim & ~odd) << 1) & ~victim;
    wire [Plane-1:0] plain  = ~flint & ~out & ~victim;
    // an outlier: magnitude 2 + c0, shift {c2, c1} + 2, or + 3 among flints. Flints: 0 1 2 3 1<<4 1<<3 1<<2 3<<1
    wire [Plane-1:0] m1 = out | (flint & ~victim & c1 & (~c2 | c0));
    wire [Plane-1:0] m0 = (out & c0) | (flint & ~out & ~victim & (c2 | c0));
    wire [Plane*3-1:0] shift = {(out & (c2 | (flint & c1))) | (flint & ~out & c2 & ~c1 & ~c0),
                                (out & ((flint & ~(c2 ^ c1)) | (~flint & ~c2))) | (flint & ~out & c2 & (c1 ^ c0)),
                                (out & (c1 ^ flint)) | (flint & ~out & c2 & c0)};

    // ---- the integer that goes with a sign and a magnitude of two bits; plain integers are one already
    wire [Plane-1:0] minus = c3 & ~plain;
    wire [Plane-1:0] top = {Plane{coding_i == Signed || coding_i == Table}} & c3;
    wire [Plane*5-1:0] base = {(plain & top) | (minus & (m1 | m0)), (plain & c3) | (minus & (m1 | m0)),
                               (plain & c2) | (minus & (m1 | m0)), (plain & c1) | (~plain & (m1 ^ (minus & m0))),
                               (plain & c0) | (~plain & m0)};
    shift_mult_array #(.Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits)) array (
        .clk_i(clk_i), .rst_i(rst_i), .planes_i(planes_i), .bipolar_i(coding_i == Bipolar), .valid_i(valid_i),
        .ready_o(ready_o), .first_i(first_i), .last_i(last_i), .x_i(x_i), .base_i(base), .shift_i(shift), .sum_i(sum_i),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
