// tile_shiftadd.v - MixPE (arXiv 2411.16158): weights of at most four bits, multiplied without a multiplier by four gated
// shifts of the activation and adders. Group scales follow behind the tile, once a group. Cycles per step: 1.
// Native formats: integers, E2M1, BitMoD's FP3 and FP4 with their special values, signed flint.
// What differs from the paper:
// - Products are not added up lane by lane. Equal shifts of all lanes are summed first and shifted once a row, which is
//   the same sum with narrower adders.
// - A float's exponent opens a gate and its mantissa bit the one below, as in the paper, but gates are those of the two's
//   complement, so that no product has to be negated. Three of the four have a second shift, for values beyond -8..7.
// Ports and beat order: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
/* verilator lint_off WIDTHCONCAT */ // a plane of the largest arrays has more than 8192 bits
module tile_shiftadd #(
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
    localparam [1:0] Signed = 2'd0, Unsigned = 2'd1, Bipolar = 2'd2, Table = 2'd3;
    localparam [4:0] Fp3 = 5'd0, Fp4 = 5'd1, Flint4 = 5'd3;  // any other table is E2M1
    localparam Plane = Rows * Lanes;
    wire unused_ok = &{1'b0, plane_i, word_i};

    // ---- decoder: gates of all weights at once, a plane of bits for each. The sum of a weight's open gates is k.
    //   slot 0: g1          slot 1: g2 or h8          slot 2: g4 or g8          slot 3: n8 or n16, which are negative
    // A float is first written as sign s and E2M1 code m: 0 1 2 3 4 6 8 12. What E2M1 lacks is marked: 10 as x10 (8 + 2 and
    // -12 + 2), 16 as x16 (8 + 8). Special values are +-3, +-6 (FP3), +-10, +-16 (FP4) in the order of selectors.
    wire              float = coding_i == Table;
    wire [Plane-1:0]  is_float = {Plane{float}};
    wire [Plane-1:0]  is_fp3   = {Plane{float && table_i == Fp3}};
    wire [Plane-1:0]  is_fp4   = {Plane{float && table_i == Fp4}};
    wire [Plane-1:0]  is_flint = {Plane{float && table_i == Flint4}};
    wire [Plane-1:0]  c3 = w_i[3*Plane+:Plane], c2 = w_i[2*Plane+:Plane], c1 = w_i[Plane+:Plane], c0 = w_i[0+:Plane];
    reg  [Plane-1:0]  s, m2, m1, m0, x10, x16, special, minus, far, wide, neg;
    reg  [Plane-1:0]  g1, g2, h8, g4, g8, n8, n16;
    integer           i;
    always @* begin
        for (i = 0; i < Rows; i = i + 1) begin
            minus[i*Lanes+:Lanes] = {Lanes{sel_i[2*i]}};
            far[i*Lanes+:Lanes]   = {Lanes{sel_i[2*i+1]}};
        end
        special = (c2 & ~c1 & ~c0 & is_fp3) | (c3 & ~c2 & ~c1 & ~c0 & is_fp4);
        x10 = special & ~far & is_fp4;
        x16 = (special & far & is_fp4) | (c2 & ~c1 & ~c0 & is_flint);
        s   = (special & minus) | (~special & ((c2 & is_fp3) | (c3 & ~is_fp3)));
        m2  = x10 | x16 | (is_fp3 & ((special & far) | (c1 & c0))) | (~is_fp3 & c2);
        m1  = x10 | x16 | (is_fp3 & ((special & ~far) | (c1 & ~c0))) | (~is_fp3 & (c1 ^ (c2 & is_flint)));
        m0  = ((x10 | x16) & s) | (is_fp3 & (special | (~c1 & c0))) | (~is_fp3 & c0 & ~(c2 & ~c1 & is_flint));
        // integers have their own bits as gates; unsigned ones less 8, which the drain gives back as 8 S
        wide = m2 & is_float;               // 4 and more
        neg  = s & is_float;
        g1   = m0 & ~wide;
        g2   = x10 | (wide & ~m1 & m0) | (~wide & (m1 ^ (neg & m0)));
        g4   = ~x16 & ((wide & ((m1 & m0) | (~m1 & ~(m0 & neg)))) | (~wide & (m2 ^ (neg & (m1 | m0)))));
        h8   = wide & m1 & ~neg & (m0 | x16);
        g8   = wide & m1 & ~neg & ~m0;
        n8   = (~is_float & (s ^ {Plane{coding_i != Signed}})) | (neg & (m2 | m1 | m0) & ~(m2 & m1 & m0));
        n16  = wide & m1 & neg & m0;
    end

    // ---- stage 1: gates and activations, sign-extended to words once for all rows
    wire                  en;               // both stages move
    reg                   valid1, first1, last1;
    reg signed [16:0]     sum1;
    reg [Lanes*32-1:0]    x1;
    reg [7*Plane-1:0]     gates;
    always @(posedge clk_i)
        if (rst_i) valid1 <= 1'b0;
        else if (en) valid1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            last1  <= last_i;
            sum1   <= sum_i;
            gates  <= {n16, n8, g8, g4, h8, g2, g1};
            for (i = 0; i < Lanes; i = i + 1) x1[i*32+:32] <= {{24{x_i[i*8+7]}}, x_i[i*8+:8]};
        end

    // ---- stage 2: for each slot gate, add up by a tree; accumulate. Only 24 bits of each row's word are ever used.
    // The trees are walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    reg                   valid2;           // p is complete
    reg signed [16:0]     sum2;
    reg [Rows*32-1:0]     p, p_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]            t0, t1, t2, t3, t4, t5, t6, t7, v, x, acc;
    integer               r, k, slot, at;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, t7, v, x, acc} = 352'd0;
        at = 0;
        if (valid1)
            for (r = 0; r < Rows; r = r + 1) begin
                acc = {{8{p[r*32+23]}}, p[r*32+:24]} & {32{!first1}};
                for (slot = 0; slot < 4; slot = slot + 1) begin
                    for (k = 0; k < Lanes; k = k + 1) begin
                        at = r * Lanes + k;
                        x  = x1[k*32+:32];
                        v  = slot == 0 ? x & {32{gates[at]}} :
                             slot == 1 ? (x & {32{gates[Plane+at]}}) | ({x[29:0], 2'b0} & {32{gates[2*Plane+at]}}) :
                             slot == 2 ? (x & {32{gates[3*Plane+at]}}) | ({x[30:0], 1'b0} & {32{gates[4*Plane+at]}}) :
                                         (x & {32{gates[5*Plane+at]}}) | ({x[30:0], 1'b0} & {32{gates[6*Plane+at]}});
                        if (k % 2   == 1)   v = t0 + v;
                        if (k % 4   == 3)   v = t1 + v;
                        if (k % 8   == 7)   v = t2 + v;
                        if (k % 16  == 15)  v = t3 + v;
                        if (k % 32  == 31)  v = t4 + v;
                        if (k % 64  == 63)  v = t5 + v;
                        if (k % 128 == 127) v = t6 + v;
                        if (k % 256 == 255) v = t7 + v;
                        if      (k % 2   == 0)   t0 = v;
                        else if (k % 4   == 1)   t1 = v;
                        else if (k % 8   == 3)   t2 = v;
                        else if (k % 16  == 7)   t3 = v;
                        else if (k % 32  == 15)  t4 = v;
                        else if (k % 64  == 31)  t5 = v;
                        else if (k % 128 == 63)  t6 = v;
                        else if (k % 256 == 127) t7 = v;
                    end
                    acc = slot == 3 ? acc - {v[28:0], 3'b0} : acc + (v << slot);
                end
                p_next[r*32+:32] = acc;
            end
    end
    always @(posedge clk_i)
        if (rst_i) valid2 <= 1'b0;
        else if (en) valid2 <= valid1 && last1;
    always @(posedge clk_i)
        if (en && valid1) begin
            p    <= p_next;
            sum2 <= sum1;
        end

    // ---- drain: D = P (signed, tables), P + 8 S (unsigned), 2 (P + 8 S) - (2^n - 1) S (bipolar)
    wire signed [24:0] s2 = {{8{sum2[16]}}, sum2};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Unsigned: corr = s2 <<< 3;
            Bipolar:  corr = (s2 <<< 4) + s2 - (s2 <<< planes_i);
            default:  corr = 25'sd0;
        endcase
    wire drain_ready;
    assign en      = !valid2 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum2),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
/* verilator lint_on WIDTHCONCAT */
`default_nettype wire
