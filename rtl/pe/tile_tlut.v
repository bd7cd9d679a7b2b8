// tile_tlut.v - ternary weights by table lookup (TeLLMe v2, arXiv 2510.15926): three weights in five bits.
//
// A cell is three lanes with activations a0, a1, a2. Up to its sign, what three ternary weights make of them is one of 14
// entries of a table that is built online, once for all rows. The table is folded: an entry is nothing, a2, a1, a1 + a2 or
// a1 - a2, and a0 on top of it, or taken off it, or neither. So four sums are kept beside a0, and a lookup is a multiplexer
// of four and one adder: a multiplexer of 14 would cost twice as much in four-input LUTs. The code of an entry says just that.
// In hardware sign_tree.v adds the cells up: half of the signs cost nothing there.
// What differs from the paper: the folding, and that one lookup unit serves each cell of each row. Five weights in eight bits
// (G = 5) would need 122 entries, or as many adders as three in five, to stream 4 % less.
// Ports and code words: docs/core.md. Cycles per step: 1.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_tlut #(
    parameter Rows       = 8,
    parameter Lanes      = 12,              // three times a power of two, 6..192
    parameter ScaleUnits = 2
) (
    input  wire                        clk_i,
    input  wire                        rst_i,
    input  wire [3:0]                  planes_i,
    input  wire [1:0]                  coding_i,
    input  wire [4:0]                  table_i,
    input  wire                        valid_i,
    output wire                        ready_o,
    input  wire                        first_i,
    input  wire                        plane_i,
    input  wire                        last_i,
    input  wire                        word_i,
    input  wire [Rows*2-1:0]           sel_i,
    input  wire [Lanes*8-1:0]          x_i,
    input  wire [Rows*(Lanes/3)*5-1:0] w_i,     // cell c of row r at 5 (r * Lanes / 3 + c), docs/core.md
    input  wire signed [16:0]          sum_i,
    output wire                        d_valid_o,
    input  wire                        d_ready_i,
    output wire [ScaleUnits*24-1:0]    d_o,
    output wire signed [16:0]          d_sum_o
);
    localparam Cells = Lanes / 3;
    localparam All   = Rows * Cells;
    wire unused_ok = &{1'b0, planes_i, coding_i, table_i, plane_i, word_i, sel_i};
    generate
        if (Cells * 3 != Lanes || (1 << $clog2(Cells)) != Cells)
            tile_tlut_lanes_must_be_three_times_a_power_of_two bad_parameter();
    endgenerate

    // ---- stage 1: the tables; and what each code selects
    wire                  en;               // all stages move
    reg                   v1, first1, last1;
    reg signed [16:0]     sum1;
    reg [Cells*32-1:0]    a0, a1, a2, add, diff;        // a1 + a2, a1 - a2
    reg [All-1:0]         third1, minus1;   // a0 counts, negatively
    reg [All-1:0]         pair1, neg1, q1, q0;          // the other two count; the cell is negated; which entry
    reg [All-1:0]         third, minus, pair, neg, qh, ql;
    reg [4:0]             code;
    integer               i;
    always @* begin
        {third, minus, pair, neg, qh, ql} = {6*All{1'b0}};
        code = 5'd0;
        for (i = 0; i < All; i = i + 1) begin
            code     = w_i[i*5+:5];         // {sign, how, entry}; how 0: entry, 1: a0 + entry, 2: entry - a0, 3: entry[0] ? a0 : 0
            third[i] = code[3:2] == 2'd3 ? code[0] : code[3:2] != 2'd0;
            minus[i] = code[3:2] == 2'd2;
            pair[i]  = code[3:2] != 2'd3;
            neg[i]   = code[4];
            qh[i]    = code[1];             // entries: a2, a1, a1 - a2, a1 + a2
            ql[i]    = code[0];
        end
    end
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            last1  <= last_i;
            sum1   <= sum_i;
            {third1, minus1, pair1, neg1, q1, q0} <= {third, minus, pair, neg_next, qh, ql};
            for (i = 0; i < Cells; i = i + 1) begin
                a0[i*32+:32]   <= {{24{x_i[i*24+7]}}, x_i[i*24+:8]};
                a1[i*32+:32]   <= {{24{x_i[i*24+15]}}, x_i[i*24+8+:8]};
                a2[i*32+:32]   <= {{24{x_i[i*24+23]}}, x_i[i*24+16+:8]};
                add[i*32+:32]  <= {{24{x_i[i*24+15]}}, x_i[i*24+8+:8]} + {{24{x_i[i*24+23]}}, x_i[i*24+16+:8]};
                diff[i*32+:32] <= {{24{x_i[i*24+15]}}, x_i[i*24+8+:8]} - {{24{x_i[i*24+23]}}, x_i[i*24+16+:8]};
            end
        end

    // ---- stage 2: look up, add up by a tree
    wire                  v2, first2, last2;
    wire signed [16:0]    sum2;
    wire [Rows*32-1:0]    beat2;            // the rows' sums
    beat_delay #(.Width(19)) stage2 (
        .clk_i(clk_i), .rst_i(rst_i), .en_i(en), .valid_i(v1), .data_i({first1, last1, sum1}), .valid_o(v2), .data_o({first2, last2, sum2}));
`ifdef YOSYS
    // neg1 has at a cell whether an operand is negated, as sign_tree.v asks
    wire [All-1:0]        neg_next;
    wire [Rows-1:0]       one2;             // the ones that the sums still miss
    genvar                gr, gk;
    generate
        for (gr = 0; gr < Rows; gr = gr + 1) begin : g_row
            wire [Cells*10-1:0] value;
            for (gk = 0; gk < Cells; gk = gk + 1) begin : g_cell
                localparam Other = (gk | (gk + 1)) % Cells;         // last cell of the other operand
                localparam At    = gr * Cells + gk;
                wire [8:0]  single = q0[At] ? {a1[gk*32+7], a1[gk*32+:8]} : {a2[gk*32+7], a2[gk*32+:8]};
                wire [8:0]  double = q0[At] ? add[gk*32+:9] : diff[gk*32+:9];
                wire [8:0]  entry  = (q1[At] ? double : single) & {9{pair1[At]}};
                wire [9:0]  a      = ({{2{a0[gk*32+7]}}, a0[gk*32+:8]} & {10{third1[At]}}) ^ {10{minus1[At]}};
                wire [10:0] sum    = {entry[8], entry, 1'b1} + {a, minus1[At]};
                assign neg_next[At] = neg[At] ^ (gk < Cells - 1 && neg[gr*Cells+Other]);
                assign value[gk*10+:10] = sum[10:1];
            end
            sign_tree #(.Leaves(Cells), .Bits(10), .Held(Cells < 4 ? 1 : Cells / 4)) tree (
                .clk_i(clk_i), .en_i(en && v1), .leaf_i(value), .neg_i(neg1[gr*Cells+:Cells]), .odd_i({2*Cells-1{1'b0}}),
                .sum_o(beat2[gr*32+:32]), .one_o(one2[gr]));
        end
    endgenerate
`else
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    wire [All-1:0]        neg_next = neg;
    reg [Rows*32-1:0]     beat;
    wire                  unused_v;
    beat_delay #(.Width(Rows * 32)) sums (
        .clk_i(clk_i), .rst_i(rst_i), .en_i(en), .valid_i(v1), .data_i(beat), .valid_o(unused_v), .data_o(beat2));
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]            t0, t1, t2, t3, t4, t5, u, v;
    integer               r, k;
    /*verilator tracing_on*/
    always @* begin
        beat = {Rows*32{1'b0}};
        {t0, t1, t2, t3, t4, t5, u, v} = 256'd0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Cells; k = k + 1) begin
                    u = a2[k*32+:32] ^ ((a2[k*32+:32] ^ a1[k*32+:32]) & {32{q0[r*Cells+k]}});
                    v = diff[k*32+:32] ^ ((diff[k*32+:32] ^ add[k*32+:32]) & {32{q0[r*Cells+k]}});
                    v = (u ^ ((u ^ v) & {32{q1[r*Cells+k]}})) & {32{pair1[r*Cells+k]}};
                    u = a0[k*32+:32] & {32{third1[r*Cells+k]}};
                    v = v + (u ^ {32{minus1[r*Cells+k]}}) + {31'd0, minus1[r*Cells+k]};
                    v = (v ^ {32{neg1[r*Cells+k]}}) + {31'd0, neg1[r*Cells+k]};
                    if (k % 2  == 1)  v = t0 + v;
                    if (k % 4  == 3)  v = t1 + v;
                    if (k % 8  == 7)  v = t2 + v;
                    if (k % 16 == 15) v = t3 + v;
                    if (k % 32 == 31) v = t4 + v;
                    if (k % 64 == 63) v = t5 + v;
                    if      (k % 2  == 0)  t0 = v;
                    else if (k % 4  == 1)  t1 = v;
                    else if (k % 8  == 3)  t2 = v;
                    else if (k % 16 == 7)  t3 = v;
                    else if (k % 32 == 15) t4 = v;
                    else if (k % 64 == 31) t5 = v;
                end
                beat[r*32+:32] = v;
            end
    end
`endif

    // ---- stage 3: accumulate; only 24 bits of each row's word are ever used
    reg                   v3;               // p is complete
    reg signed [16:0]     sum3;
    reg [Rows*32-1:0]     p, p_next;
    wire [31:0]           keep = {32{!first2}};
    integer               n;
    always @* begin
        p_next = p;
        if (v2)
            for (n = 0; n < Rows; n = n + 1)
`ifdef YOSYS
                p_next[n*32+:32] = ({{{8{p[n*32+23]}}, p[n*32+:24]} & keep, 1'b1} + {beat2[n*32+:32], one2[n]}) >> 1;
`else
                p_next[n*32+:32] = ({{8{p[n*32+23]}}, p[n*32+:24]} & keep) + beat2[n*32+:32];
`endif
    end
    always @(posedge clk_i)
        if (rst_i) v3 <= 1'b0;
        else if (en) v3 <= v2 && last2;
    always @(posedge clk_i)
        if (en && v2) begin
            p    <= p_next;
            sum3 <= sum2;
        end

    wire drain_ready;
    assign en      = !v3 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v3), .ready_o(drain_ready), .p_i(p24), .dbl_i(1'b0), .corr_i(25'sd0),
        .sum_i(sum3), .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
