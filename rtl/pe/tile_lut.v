// tile_lut.v - lookup tables (LUT Tensor Core): weights as signed powers of two, +-1 in every bit-plane.
//
// A cell is TableK lanes. Its half table holds the sums of those lanes in which the cell's first lane counts
// positive; the packer has already turned each weight pattern into an entry number and a sign, so a lookup is one
// multiplexer and one XOR, one LUT4 per bit for the pair table (TableK = 2). The table is built once for all rows.
// All entries of a cell, whatever their signs, are even or odd alike: 2 H + odd. The tables keep H alone. Then an odd
// entry's negative has just H's complement; an even one's has that plus one, and that one rides in an adder's carry.
// How many are odd is added up once for all rows and joins the sums in the drain.
// In hardware sign_tree.v adds them up: it takes every other lookup without a sign, a bare multiplexer, which a carry cell
// does beside its addition.
// A row's sum is registered before it is accumulated; not if Small.
// The sum P over n planes of +-1 is 2 u-sum - (2^n - 1) S; the drain turns it into D.
// Ports and beat order: docs/core.md. Cycles per step: the code's width.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_lut #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
    parameter Small      = 0,               // 1: the next chunk waits until the last one's D are taken
    parameter TableK     = 2                // lanes of one table: 2 (LUT4 fabrics), 3 (Lanes three times a power of two) or 4
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
    localparam [1:0] Signed = 2'd0, Unsigned = 2'd1;
    wire unused_ok = &{1'b0, table_i, word_i, sel_i};
    localparam Cells   = Lanes / TableK;
    localparam Entries = 1 << (TableK - 1);
    localparam Stages  = Small != 0 ? 0 : 1;    // of registers between a beat's tables and the sums
    generate
        if (TableK < 2 || TableK > 4) tile_lut_table_k_must_be_2_to_4 bad_parameter();
        if (Cells * TableK != Lanes || (1 << $clog2(Cells)) != Cells) tile_lut_cells_must_be_a_power_of_two bad_parameter();
    endgenerate

    function [31:0] lane(input [7:0] x);
        lane = {{24{x[7]}}, x};
    endfunction

    // s ? b : a, simulated without a branch, which would be mispredicted every other time. Where a and b do not
    // depend on the row, a ^ ((a ^ b) & s) is faster still, since the compiler keeps a ^ b for all rows.
`define MUX(s, a, b) ((a & {32{!s}}) | (b & {32{s}}))

    // entry e of cell k, modulo their number: what other values of TableK look up must be legal, too
`define ENTRY(e) table1[(k*Entries+e%Entries)*32+:32]

    // H of an entry
`define HALF(a) ({a[31], a[31:1]})

    // ---- stage 1: the tables. Entry e of a cell: x0 +- x1 (+- x2 (+- x3)), minus where e has the bit.
    wire                          en;       // all stages move
    reg                           v1, first1, plane1, last1;
    reg signed [16:0]             sum1;
    reg [Cells*Entries*32-1:0]    table1;
    reg [Rows*Lanes-1:0]          w1;
    reg [Lanes-1:0]               even1;    // at a cell's sign bit: its entries are even
    reg [15:0]                    odds1;    // how many are odd: cells; in hardware the sum over all cells, 0 or 1
    reg [Cells*Entries*32-1:0]    table_next;
    reg [Lanes-1:0]               even_next;
    reg [Cells*16-1:0]            odds;
    reg [31:0]                    sum;
    integer                       c, e, g, j;
    always @* begin
        table_next = {Cells*Entries*32{1'b0}};
        even_next  = {Lanes{1'b0}};
        odds       = {Cells*16{1'b0}};
        sum        = 32'd0;
        if (valid_i) begin
            for (c = 0; c < Cells; c = c + 1) begin
                for (e = 0; e < Entries; e = e + 1) begin
                    sum = lane(x_i[c*TableK*8+:8]);
                    for (j = 1; j < TableK; j = j + 1)
                        sum = (e >> (j - 1)) % 2 == 0 ? sum + lane(x_i[(c*TableK+j)*8+:8])
                                                      : sum - lane(x_i[(c*TableK+j)*8+:8]);
                    table_next[(c*Entries+e)*32+:32] = `HALF(sum);
                end
                even_next[(c+1)*TableK-1] = !sum[0];
                odds[c*16]                = sum[0];
            end
            for (g = Cells / 2; g > 0; g = g / 2)
                for (c = 0; c < g; c = c + 1)
                    odds[c*16+:16] = odds[2*c*16+:16] + odds[(2*c+1)*16+:16];
        end
    end
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            plane1 <= plane_i;
            last1  <= last_i;
            sum1   <= sum_i;
            table1 <= table_next;
`ifdef YOSYS
            w1     <= w_next;
            odd1   <= odd_next;
            odds1  <= {15'd0, odd_next[1]};
`else
            w1     <= w_i;
            even1  <= even_next;
            odds1  <= odds[15:0];
`endif
        end

`ifdef YOSYS
    // What sign_tree.v asks for: at a cell's sign bit w1 has whether an operand is negated; which nodes are odd is the same in
    // all rows.
    reg  [2*Cells-1:1]            odd1;
    wire [2*Cells-1:1]            odd_next;
    wire [Rows*Lanes-1:0]         w_next;
    genvar                        gr, gk, gt;
    generate
        for (gk = 0; gk < Cells; gk = gk + 1) begin : g_odd_cell
            assign odd_next[Cells+gk] = !even_next[(gk+1)*TableK-1];
        end
        for (gt = 1; gt < Cells; gt = gt + 1) begin : g_odd_node
            assign odd_next[gt] = odd_next[2*gt] ^ odd_next[2*gt+1];
        end
        for (gr = 0; gr < Rows; gr = gr + 1) begin : g_sign
            for (gk = 0; gk < Cells; gk = gk + 1) begin : g_cell
                localparam Other = (gk | (gk + 1)) % Cells;         // last cell of the other operand
                localparam At    = gr * Lanes + gk * TableK;
                assign w_next[At+:TableK] = {w_i[At+TableK-1] ^ (gk < Cells - 1 && w_i[gr*Lanes+(Other+1)*TableK-1]), w_i[At+:TableK-1]};
            end
        end
    endgenerate
`endif

    // ---- stage 2: look up, add up by a tree
    wire                   v2, first2, plane2, last2;
    wire signed [16:0]     sum2;
    wire [15:0]            odds2;
    wire [Rows*32-1:0]     beat2;           // the rows' sums of H
    beat_delay #(.Width(36), .Stages(Stages)) stage2 (
        .clk_i(clk_i), .rst_i(rst_i), .en_i(en), .valid_i(v1), .data_i({first1, plane1, last1, sum1, odds1}),
        .valid_o(v2), .data_o({first2, plane2, last2, sum2, odds2}));
`ifdef YOSYS
    localparam Bits = TableK == 2 ? 8 : 9;  // of H
    localparam Held = Stages == 0 ? 0 : Cells < 4 ? 1 : 2;
    wire [Rows-1:0]        one2;            // the ones that the sums still miss
    generate
        for (gr = 0; gr < Rows; gr = gr + 1) begin : g_row
            wire [Cells*Bits-1:0] h;
            wire [Cells-1:0]      neg;
            for (gk = 0; gk < Cells; gk = gk + 1) begin : g_cell
                wire [TableK-1:0] w = w1[gr*Lanes+gk*TableK+:TableK];
                assign h[gk*Bits+:Bits] = table1[(gk*Entries+{{32-TableK+1{1'b0}}, w[TableK-2:0]})*32+:Bits];
                assign neg[gk]          = w[TableK-1];
            end
            sign_tree #(.Leaves(Cells), .Bits(Bits), .Held(Held)) tree (
                .clk_i(clk_i), .en_i(en && v1), .leaf_i(h), .neg_i(neg), .odd_i(odd1), .sum_o(beat2[gr*32+:32]), .one_o(one2[gr]));
        end
    endgenerate
`else
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest. The carries of
    // a row are counted at once.
    localparam Most = TableK == 3 ? 24 : 32;
    localparam Word = Lanes < Most ? Lanes : Most;
    reg [Rows*32-1:0]      beat;
    wire                   unused_v;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]             m;               // as many of these bits, to be counted
    reg [31:0]             t0, t1, t2, t3, t4, t5, t6, v;
    integer                r, k, at, b;
    /*verilator tracing_on*/
    beat_delay #(.Width(Rows * 32), .Stages(Stages)) sums (
        .clk_i(clk_i), .rst_i(rst_i), .en_i(en), .valid_i(v1), .data_i(beat), .valid_o(unused_v), .data_o(beat2));
    always @* begin
        beat = {Rows*32{1'b0}};
        {t0, t1, t2, t3, t4, t5, t6, m, v} = 288'd0;
        at = 0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                v = 32'd0;
                for (b = 0; b < Lanes; b = b + Word) begin
                    m[Word-1:0] = w1[r*Lanes+b+:Word] & even1[b+:Word];
                    m = m - ((m >> 1) & 32'h55555555);
                    m = (m & 32'h33333333) + ((m >> 2) & 32'h33333333);
                    m = (m + (m >> 4)) & 32'h0f0f0f0f;
                    v = v + ((m * 32'h01010101) >> 24);
                    m = 32'd0;
                end
                beat[r*32+:32] = v;
                for (k = 0; k < Cells; k = k + 1) begin
                    at = r * Lanes + k * TableK;
                    if (TableK == 2)
                        v = `ENTRY(0) ^ ((`ENTRY(0) ^ `ENTRY(1)) & {32{w1[at]}});
                    else
                        v = `MUX(w1[at+1], `MUX(w1[at], `ENTRY(0), `ENTRY(1)), `MUX(w1[at], `ENTRY(2), `ENTRY(3)));
                    if (TableK == 4)
                        v = `MUX(w1[at+TableK-2], v,
                            `MUX(w1[at+1], `MUX(w1[at], `ENTRY(4), `ENTRY(5)), `MUX(w1[at], `ENTRY(6), `ENTRY(7))));
                    v = v ^ {32{w1[at+TableK-1]}};
                    if (k % 2   == 1)   v = t0 + v;
                    if (k % 4   == 3)   v = t1 + v;
                    if (k % 8   == 7)   v = t2 + v;
                    if (k % 16  == 15)  v = t3 + v;
                    if (k % 32  == 31)  v = t4 + v;
                    if (k % 64  == 63)  v = t5 + v;
                    if (k % 128 == 127) v = t6 + v;
                    if      (k % 2   == 0)  t0 = v;
                    else if (k % 4   == 1)  t1 = v;
                    else if (k % 8   == 3)  t2 = v;
                    else if (k % 16  == 7)  t3 = v;
                    else if (k % 32  == 15) t4 = v;
                    else if (k % 64  == 31) t5 = v;
                    else if (k % 128 == 63) t6 = v;
                end
                beat[r*32+:32] = beat[r*32+:32] + v;
            end
    end
`endif

    // ---- stage 3: accumulate; only 23 bits of each row's word are ever used
    reg                    v3;              // p is complete
    reg signed [16:0]      sum3;
    reg [Rows*32-1:0]      p, p_next;       // sums of H
    reg [16:0]             odd_sum;         // P = 2 p + odd_sum in every row
    wire [31:0]            keep = {32{!first2 && !plane2}};         // masks: a simulator need not branch
    wire [31:0]            dbl  = {32{!first2 && plane2}};
    /*verilator tracing_off*/
    reg [31:0]             kept;
    integer                n;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        kept   = 32'd0;
        if (v2)
            for (n = 0; n < Rows; n = n + 1) begin
                kept = ({{9{p[n*32+22]}}, p[n*32+:23]} & keep) | ({{9{p[n*32+21]}}, p[n*32+:22], 1'b0} & dbl);
`ifdef YOSYS
                p_next[n*32+:32] = ({kept, 1'b1} + {beat2[n*32+:32], one2[n]}) >> 1;
`else
                p_next[n*32+:32] = kept + beat2[n*32+:32];
`endif
            end
    end
    always @(posedge clk_i)
        if (rst_i) v3 <= 1'b0;
        else if (en) v3 <= v2 && last2;
    always @(posedge clk_i)
        if (en && v2) begin
            p       <= p_next;
            sum3    <= sum2;
            odd_sum <= {1'b0, odds2} + (first2 ? 17'd0 : plane2 ? {odd_sum[15:0], 1'b0} : odd_sum);
        end

    // ---- drain: D = (P - S) / 2 (signed), (P + (2^n - 1) S) / 2 (unsigned), P (bipolar), with P = 2 p + odd_sum
    wire signed [24:0] s   = {{8{sum3[16]}}, sum3};
    wire signed [24:0] odd = {8'd0, odd_sum};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:   corr = (odd - s) >>> 1;
            Unsigned: corr = (odd - s + (s <<< planes_i)) >>> 1;
            default:  corr = odd;
        endcase
    wire               drain_ready;
    assign en      = !v3 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = {p[q*32+22], p[q*32+:23]};
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits), .Hold(Small)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v3), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i != Signed && coding_i != Unsigned), .corr_i(corr), .sum_i(sum3),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`undef ENTRY
`undef HALF
`undef MUX
`default_nettype wire
