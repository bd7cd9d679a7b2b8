// tile_ant.v - ANT (arXiv 2208.14286): INT4, powers of two (POT4), flint (FLINT4, UFLINT4) or E2M1 floats, chosen for each
// tensor by the format or for each group by its selector (ANT4). Decoders at the array's edge make an integer and a left
// shift of every code, shift_mult_array.v multiplies. Cycles per step: 1.
// What differs from the paper: weights alone are coded so, activations are plain int8; the type can change by group.
// Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_ant #(
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
    localparam [4:0] Pot4 = 5'd2, Flint4 = 5'd3, Uflint4 = 5'd4, Ant4 = 5'd5, E2m1 = 5'd17;
    localparam Plane = Rows * Lanes;
    wire unused_ok = &{1'b0, plane_i, word_i};

    // ---- decoder: planes of bits, all weights at once
    wire             table_on = coding_i == Table;
    reg  [Plane-1:0] pot, flint, float;
    wire [Plane-1:0] uflint = {Plane{table_on && table_i == Uflint4}};
    integer          r;
    always @*
        for (r = 0; r < Rows; r = r + 1) begin
            pot[r*Lanes+:Lanes]   = {Lanes{table_on && (table_i == Pot4   || (table_i == Ant4 && sel_i[2*r+:2] == 2'd1))}};
            flint[r*Lanes+:Lanes] = {Lanes{table_on && (table_i == Flint4 || (table_i == Ant4 && sel_i[2*r+:2] == 2'd2))}};
            float[r*Lanes+:Lanes] = {Lanes{table_on && (table_i == E2m1   || (table_i == Ant4 && sel_i[2*r+:2] == 2'd3))}};
        end
    wire [Plane-1:0] c3 = w_i[3*Plane+:Plane], c2 = w_i[2*Plane+:Plane], c1 = w_i[Plane+:Plane], c0 = w_i[0+:Plane];
    wire [Plane-1:0] some  = c2 | c1 | c0;
    wire [Plane-1:0] plain = ~(pot | flint | float | uflint);
    // magnitudes    POT4: 1 << (c - 1)   FLINT4: 0 1 2 3 1<<4 1<<3 1<<2 3<<1   E2M1: {e != 0, c0} << (e - 1)
    // UFLINT4: 0..7, 11xx (4 + xx) << 1, 101x (2 + x) << 3, 1001 1 << 5, 1000 1 << 6; its third bit is c2
    wire [Plane-1:0] m1 = (flint & c1 & (~c2 | c0)) | (float & (c2 | c1)) | (uflint & c1);
    wire [Plane-1:0] m0 = (pot & some) | (flint & (c2 | c0)) | (float & c0) | (uflint & (c0 | (c3 & ~c2 & ~c1)));
    wire [Plane*3-1:0] shift = {(pot & c2 & (c1 | c0)) | (flint & c2 & ~c1 & ~c0) | (uflint & c3 & ~c2 & ~c1),
                                (pot & ((c1 & c0) | (c2 & ~c1 & ~c0))) | (flint & c2 & (c1 ^ c0)) | (float & c2 & c1) |
                                    (uflint & c3 & ~c2 & (c1 | ~c0)),
                                (pot & some & ~c0) | (flint & c2 & c0) | (float & c2 & ~c1) | (uflint & c3 & some)};

    // ---- the integer that goes with a sign and a magnitude of two bits; plain integers are one already
    wire [Plane-1:0] minus = c3 & ~plain & ~uflint;
    wire [Plane-1:0] top = {Plane{coding_i == Signed || table_on}} & c3;
    wire [Plane*5-1:0] base = {(plain & top) | (minus & (m1 | m0)), (plain & c3) | (minus & (m1 | m0)),
                               (plain & c2) | (uflint & c2) | (minus & (m1 | m0)), (plain & c1) | (~plain & (m1 ^ (minus & m0))),
                               (plain & c0) | (~plain & m0)};
    shift_mult_array #(.Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits)) array (
        .clk_i(clk_i), .rst_i(rst_i), .planes_i(planes_i), .bipolar_i(coding_i == Bipolar), .valid_i(valid_i),
        .ready_o(ready_o), .first_i(first_i), .last_i(last_i), .x_i(x_i), .base_i(base), .shift_i(shift), .sum_i(sum_i),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
