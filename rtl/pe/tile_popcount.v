// tile_popcount.v - bit-planes of both operands: AND, count the ones, shift and add.
//
// BISMO (arXiv 1806.08862) multiplies matrices as weighted sums of binary ones: each pair of a weight plane and an
// activation plane is one AND and one population count. With ActPlanes = 1 that is this tile: a beat takes 8 cycles, one
// activation plane each. With ActPlanes = 8 all planes of the activations are counted at once and their counts shifted
// together, as NEUREKA does, and a beat takes one cycle.
// Differs from BISMO: its weight plane by weight plane and step by step sums are all shifted by a number from the
// instruction; here counts go most significant plane first, so that every shift is by one and costs no shifter. The
// planes of the activations are made here, where int8 lanes arrive, once for all rows: that is wiring.
// The activations' sign plane counts negative. Signed codes arrive as offset binary u = w + 2^(n-1), so that every weight
// plane counts positive; the drain takes 2^(n-1) * S off again.
// Ports and beat order: docs/core.md. Cycles per step: the code's width (ActPlanes = 8), 8 times that (ActPlanes = 1).
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_popcount #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
    parameter ActPlanes  = 8                // activation planes counted in one cycle: 8 or 1
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
    input  wire [Rows*Lanes-1:0]    w_i,
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam [1:0] Signed = 2'd0, Bipolar = 2'd2;
    localparam Serial = ActPlanes == 1;
    wire unused_ok = &{1'b0, table_i, word_i, sel_i};
    generate
        if (ActPlanes != 8 && ActPlanes != 1) tile_popcount_act_planes_must_be_8_or_1 bad_parameter();
        if (Lanes < 8 || (1 << $clog2(Lanes)) != Lanes) tile_popcount_lanes_must_be_a_power_of_two_from_8 bad_parameter();
    endgenerate

    // ---- activations as planes, plane b at b * Lanes
`ifdef YOSYS
    wire [Lanes*8-1:0] x_next;
    genvar             gi, gj;
    generate
        for (gi = 0; gi < Lanes; gi = gi + 1) begin : g_lane
            for (gj = 0; gj < 8; gj = gj + 1) begin : g_bit
                assign x_next[gj*Lanes+gi] = x_i[gi*8+gj];
            end
        end
    endgenerate
`else
    // the same for a simulator: 8 by 8 bits are transposed by swapping single bits, pairs and fours
    reg [Lanes*8-1:0] x_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [63:0]        a, d;
    integer           i, j;
    /*verilator tracing_on*/
    always @* begin
        x_next = {Lanes*8{1'b0}};
        {a, d} = 128'd0;
        if (valid_i)
            for (i = 0; i < Lanes / 8; i = i + 1) begin
                a = x_i[i*64+:64];
                d = (a ^ (a >> 7)) & 64'h00aa00aa00aa00aa;
                a = a ^ d ^ (d << 7);
                d = (a ^ (a >> 14)) & 64'h0000cccc0000cccc;
                a = a ^ d ^ (d << 14);
                d = (a ^ (a >> 28)) & 64'h00000000f0f0f0f0;
                a = a ^ d ^ (d << 28);
                for (j = 0; j < 8; j = j + 1) x_next[j*Lanes+i*8+:8] = a[j*8+:8];
            end
    end
`endif

    // ---- stage 1: operands; if Serial, the plane to be counted is always the top one of x1
    wire                  en;               // stage 2 moves
    reg                   v1, first1, plane1, last1;
    reg signed [16:0]     sum1;
    reg [Lanes*8-1:0]     x1;
    reg [Rows*Lanes-1:0]  w1;
    reg [2:0]             left;             // planes behind this one
    wire                  more = Serial && left != 3'd0;
    assign ready_o = en && (!v1 || !more);
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (ready_o) v1 <= valid_i;
    always @(posedge clk_i)
        if (ready_o && valid_i) begin
            first1 <= first_i;
            plane1 <= plane_i;
            last1  <= last_i;
            sum1   <= sum_i;
            w1     <= w_i;
            x1     <= x_next;
            left   <= Serial ? 3'd7 : 3'd0;
        end else if (Serial && en) begin
            x1     <= x1 << Lanes;
            left   <= left - 3'd1;
        end

    // ---- stage 2: count, add up the planes, accumulate; only 24 bits of each row's word are ever used.
    localparam            L = $clog2(Lanes);
    localparam            Q = L + 8;        // bits of the sum over the planes of a beat
    reg                   v2;               // p is complete
    reg signed [16:0]     sum2;
    reg [Rows*32-1:0]     p, p_next;
    reg [Rows*32-1:0]     q, q_next;        // Serial: the sum over the beat's planes so far
    wire                  sign = left == 3'd7;                      // Serial: the sign plane is at hand
    wire [31:0]           keep = {32{!first1 && !plane1}};          // masks: a simulator need not branch
    wire [31:0]           dbl  = {32{!first1 && plane1}};
    /*verilator tracing_off*/
    reg [31:0]            v, sum;
    integer               r;
`ifdef YOSYS
    // Pairs of lanes are counted in two LUT4s. On top of them comes a tree of adders, each as wide as its sum: node t is
    // the sum of nodes 2 t and 2 t + 1, node 1 the count.
    /*verilator tracing_on*/
    wire [Rows*32-1:0]    beat;             // the count of the plane at hand, or the sum over all planes
    genvar                gr, gb, gt;
    generate
        for (gr = 0; gr < Rows; gr = gr + 1) begin : g_row
            wire [79:0] count;
            for (gb = 8 - ActPlanes; gb < 8; gb = gb + 1) begin : g_plane
                wire [Lanes-1:0]    both = w1[gr*Lanes+:Lanes] & x1[gb*Lanes+:Lanes];
                wire [Lanes*10-1:0] node;
                for (gt = 1; gt < Lanes / 2; gt = gt + 1) begin : g_add
                    localparam Bits = L - $clog2(gt + 1) + 2;
                    assign node[gt*10+:10] = {{10-Bits{1'b0}}, node[gt*20+:Bits] + node[gt*20+10+:Bits]};
                end
                for (gt = Lanes / 2; gt < Lanes; gt = gt + 1) begin : g_pair
                    assign node[gt*10+:10] = {8'd0, both[2*gt-Lanes] & both[2*gt+1-Lanes], both[2*gt-Lanes] ^ both[2*gt+1-Lanes]};
                end
                assign count[gb*10+:10] = node[19:10];
            end
            if (Serial) begin : g_one
                assign beat[gr*32+:32] = {22'd0, count[79:70]};
            end else begin : g_all
                // planes 6 to 0, doubling; then the sign plane off the bits that it is worth
                wire [16*7-1:0] t;
                wire [L:0]      top = {1'b0, t[6*16+7+:L]} - count[70+:L+1];
                assign t[15:0] = {6'd0, count[69:60]};
                for (gt = 1; gt < 7; gt = gt + 1) begin : g_double
                    assign t[gt*16+:16] = {{15-L-gt{1'b0}}, t[gt*16-16+:L+gt] + {{gt{1'b0}}, count[(6-gt)*10+1+:L]}, count[(6-gt)*10]};
                end
                assign beat[gr*32+:32] = {{31-Q+1{top[L]}}, top, t[6*16+:7]};
            end
        end
    endgenerate
`else
    localparam Word = Lanes < 64 ? Lanes : 64;
    reg [63:0]            m;
    integer               b, k;
    /*verilator tracing_on*/
`endif
    always @* begin
        p_next   = p;
        q_next   = q;
        {v, sum} = 64'd0;
`ifndef YOSYS
        m = 64'd0;
`endif
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
`ifdef YOSYS
                sum = beat[r*32+:32];
`else
                sum = 32'd0;
                for (b = 0; b < ActPlanes; b = b + 1) begin         // plane 7 - b
                    v = 32'd0;
                    for (k = 0; k < Lanes; k = k + Word) begin
                        m = 64'd0;
                        m[Word-1:0] = w1[r*Lanes+k+:Word] & x1[(7-b)*Lanes+k+:Word];
                        // the idiom that compilers know as one instruction
                        m = m - ((m >> 1) & 64'h5555555555555555);
                        m = (m & 64'h3333333333333333) + ((m >> 2) & 64'h3333333333333333);
                        m = (m + (m >> 4)) & 64'h0f0f0f0f0f0f0f0f;
                        m = (m * 64'h0101010101010101) >> 56;
                        v = v + m[31:0];
                    end
                    sum = b == 0 && !Serial ? -v : {sum[30:0], 1'b0} + v;
                end
`endif
                if (Serial) begin
                    // the sign plane, where the sum begins, is subtracted: its complement and one
                    v   = {{31-Q{q[r*32+Q-1]}}, q[r*32+:Q], 1'b0};
                    sum = ((v & {32{!sign}}) | {31'd0, sign}) + (sum ^ {32{sign}});
                    q_next[r*32+:32] = sum;
                end
                p_next[r*32+:32] = sum + (({{8{p[r*32+23]}}, p[r*32+:24]} & keep) |
                                          ({{8{p[r*32+22]}}, p[r*32+:23], 1'b0} & dbl));
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1 && !more;
    always @(posedge clk_i)
        if (en && v1 && !more) begin
            p    <= p_next;
            sum2 <= sum1;
        end
    always @(posedge clk_i)
        if (Serial && en && v1) q <= q_next;

    // ---- drain: D = u-sum - 2^(n-1) S (signed), u-sum (unsigned), 2 u-sum - (2^n - 1) S (bipolar)
    wire signed [24:0] s = {{8{sum2[16]}}, sum2};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:  corr = -((s <<< planes_i) >>> 1);
            Bipolar: corr = s - (s <<< planes_i);
            default: corr = 25'sd0;
        endcase
    wire drain_ready;
    assign en = !v2 || drain_ready;

    reg [Rows*24-1:0] p24;
    integer           n;
    always @*
        for (n = 0; n < Rows; n = n + 1) p24[n*24+:24] = p[n*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum2),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
