// tile_lut.v - lookup tables (LUT Tensor Core): weights as signed powers of two, +-1 in every bit-plane.
//
// A cell is TableK lanes. Its half table holds the sums of those lanes in which the cell's first lane counts
// positive; the packer has already turned each weight pattern into an entry number and a sign, so a lookup is one
// multiplexer and one XOR, one LUT4 per bit for the pair table (TableK = 2). The table is built once for all rows.
// All entries of a cell, whatever their signs, are even or odd alike: 2 H + odd. The tables keep H alone. Then an odd
// entry's negative has just H's complement; an even one's has that plus one, and that one rides in an adder's carry.
// How many cells were odd is added up once for all rows and joins the sums in the drain.
// The sum P over n planes of +-1 is 2 u-sum - (2^n - 1) S; the drain turns it into D.
// Ports and beat order: docs/core.md. Cycles per step: the code's width.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_lut #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
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
    generate
        if (TableK < 2 || TableK > 4) tile_lut_table_k_must_be_2_to_4 bad_parameter();
        if (Cells * TableK != Lanes || (1 << $clog2(Cells)) != Cells) tile_lut_cells_must_be_a_power_of_two bad_parameter();
    endgenerate

    function [31:0] lane(input [7:0] x);
        lane = {{24{x[7]}}, x};
    endfunction

    // a + b + c. A LUT4 fabric's carry chain has no free carry input: there c enters by one more bit. Simulation counts
    // the row's carries at once instead, see stage 2.
`ifdef YOSYS
`define ADD_CARRY(a, b, c) (({a, 1'b1} + {b, c}) >> 1)
`else
`define ADD_CARRY(a, b, c) (a + b)
`endif

    // s ? b : a, simulated without a branch, which would be mispredicted every other time. Where a and b do not
    // depend on the row, a ^ ((a ^ b) & s) is faster still, since the compiler keeps a ^ b for all rows.
`define MUX(s, a, b) ((a & {32{!s}}) | (b & {32{s}}))

    // entry e of cell k, modulo their number: what other values of TableK look up must be legal, too
`define ENTRY(e) table1[(k*Entries+e%Entries)*32+:32]

    // H of an entry
`define HALF(a) ({a[31], a[31:1]})

    // ---- stage 1: the tables. Entry e of a cell: x0 +- x1 (+- x2 (+- x3)), minus where e has the bit.
    wire                          en;       // both stages move
    reg                           v1, first1, plane1, last1;
    reg signed [16:0]             sum1;
    reg [Cells*Entries*32-1:0]    table1;
    reg [Rows*Lanes-1:0]          w1;
    reg [Lanes-1:0]               even1;    // at a cell's sign bit: its entries are even
    reg [15:0]                    odds1;    // cells whose entries are odd
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
            w1     <= w_i;
            table1 <= table_next;
            even1  <= even_next;
            odds1  <= odds[15:0];
        end

    // ---- stage 2: look up, add up by a tree, accumulate; only 23 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    // Each of its adders, and the accumulator's, takes one cell's plus one as carry.
    reg                    v2;              // p is complete
    reg signed [16:0]      sum2;
    reg [Rows*32-1:0]      p, p_next;       // sums of H
    reg [16:0]             odd_sum;         // P = 2 p + odd_sum in every row
    wire [31:0]            keep = {32{!first1 && !plane1}};         // masks: a simulator need not branch
    wire [31:0]            dbl  = {32{!first1 && plane1}};
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
`ifdef YOSYS
    wire [Rows*Lanes-1:0]  one = w1 & {Rows{even1}};
`else
    localparam Most = TableK == 3 ? 24 : 32;
    localparam Word = Lanes < Most ? Lanes : Most;
    reg [31:0]             m;               // as many of these bits, to be counted
    integer                b;
`endif
    reg [31:0]             t0, t1, t2, t3, t4, t5, t6, v;
    integer                r, k, at;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, v} = 256'd0;
        at = 0;
`ifndef YOSYS
        m = 32'd0;
`endif
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
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
                    if (k % 2   == 1)   v = `ADD_CARRY(t0, v, one[r*Lanes+(Cells/2+k/2+1)*TableK-1]);
                    if (k % 4   == 3)   v = `ADD_CARRY(t1, v, one[r*Lanes+(Cells/4+k/4+1)*TableK-1]);
                    if (k % 8   == 7)   v = `ADD_CARRY(t2, v, one[r*Lanes+(Cells/8+k/8+1)*TableK-1]);
                    if (k % 16  == 15)  v = `ADD_CARRY(t3, v, one[r*Lanes+(Cells/16+k/16+1)*TableK-1]);
                    if (k % 32  == 31)  v = `ADD_CARRY(t4, v, one[r*Lanes+(Cells/32+k/32+1)*TableK-1]);
                    if (k % 64  == 63)  v = `ADD_CARRY(t5, v, one[r*Lanes+(Cells/64+k/64+1)*TableK-1]);
                    if (k % 128 == 127) v = `ADD_CARRY(t6, v, one[r*Lanes+(Cells/128+k/128+1)*TableK-1]);
                    if      (k % 2   == 0)  t0 = v;
                    else if (k % 4   == 1)  t1 = v;
                    else if (k % 8   == 3)  t2 = v;
                    else if (k % 16  == 7)  t3 = v;
                    else if (k % 32  == 15) t4 = v;
                    else if (k % 64  == 31) t5 = v;
                    else if (k % 128 == 63) t6 = v;
                end
`ifndef YOSYS
                for (b = 0; b < Lanes; b = b + Word) begin
                    m[Word-1:0] = w1[r*Lanes+b+:Word] & even1[b+:Word];
                    m = m - ((m >> 1) & 32'h55555555);
                    m = (m & 32'h33333333) + ((m >> 2) & 32'h33333333);
                    m = (m + (m >> 4)) & 32'h0f0f0f0f;
                    v = v + ((m * 32'h01010101) >> 24);
                    m = 32'd0;
                end
`endif
                t0 = ({{9{p[r*32+22]}}, p[r*32+:23]} & keep) | ({{9{p[r*32+21]}}, p[r*32+:22], 1'b0} & dbl);
                p_next[r*32+:32] = `ADD_CARRY(t0, v, one[r*Lanes+TableK-1]);
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1;
    always @(posedge clk_i)
        if (en && v1) begin
            p       <= p_next;
            sum2    <= sum1;
            odd_sum <= {1'b0, odds1} + (first1 ? 17'd0 : plane1 ? {odd_sum[15:0], 1'b0} : odd_sum);
        end

    // ---- drain: D = (P - S) / 2 (signed), (P + (2^n - 1) S) / 2 (unsigned), P (bipolar), with P = 2 p + odd_sum
    wire signed [24:0] s   = {{8{sum2[16]}}, sum2};
    wire signed [24:0] odd = {8'd0, odd_sum};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:   corr = (odd - s) >>> 1;
            Unsigned: corr = (odd - s + (s <<< planes_i)) >>> 1;
            default:  corr = odd;
        endcase
    wire               drain_ready;
    assign en      = !v2 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = {p[q*32+22], p[q*32+:23]};
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i != Signed && coding_i != Unsigned), .corr_i(corr), .sum_i(sum2),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`undef ADD_CARRY
`undef ENTRY
`undef HALF
`undef MUX
`default_nettype wire
