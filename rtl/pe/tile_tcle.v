// tile_tcle.v - Bit-Tactical's TCLe (arXiv 1803.03688): zero weights left out by a schedule made beforehand
// (tactical_window.v, driver/src/pack/tactical.c), activations term by term.
// An activation is a sum of signed powers of two, as few as can be (its non-adjacent form, at most four). Each cycle each
// weight is shifted and negated by one term of the activation it chose.
// Cycles per word: the most terms of any activation in the window, at least one; or the steps that enter for the next
// word, if they are more. The paper may limit how far the exponents of a cycle lie apart, to have smaller shifters; here
// they are free. The chunk bounds the schedule, as in tile_tclp.v. Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_tcle #(
    parameter Rows       = 8,
    parameter Lanes      = 16,
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
    input  wire [Rows*Lanes*11-1:0] w_i,          // 8 planes of codes, then 3 of selects
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam Cells = Rows * Lanes;
    wire unused_ok = &{1'b0, planes_i, plane_i, table_i, sel_i, sum_i, shift, neg};

    wire                   en;              // a cycle's sums are taken
    wire                   v1, first1, last1, neg;
    wire [2:0]             shift;
    wire [Cells*32-1:0]    w1;
    wire [Cells*5-1:0]     pick;
    tactical_window #(.Rows(Rows), .Lanes(Lanes), .Terms(1)) window (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .ready_o(ready_o), .first_i(first_i), .last_i(last_i),
        .word_i(word_i), .x_i(x_i), .w_i(w_i), .signed_i(coding_i == 2'd0), .valid_o(v1), .ready_i(en), .first_o(first1),
        .last_o(last1), .w_o(w1), .pick_o(pick), .shift_o(shift), .neg_o(neg));

    // a + b + c. A LUT4 fabric's carry chain has no free carry input: there c enters by one more bit, and a negated lane's
    // plus one by the carry of some adder in its row's tree. Simulation adds it at once instead.
`ifdef YOSYS
`define ADD_CARRY(a, b, c) (({a, 1'b1} + {b, c}) >> 1)
    wire [Cells-1:0]       one = pick[3*Cells+:Cells];
`else
`define ADD_CARRY(a, b, c) (a + b)
`endif

    // ---- stage 2: shift, negate, add up by a tree, accumulate; only 24 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    reg                    v2;              // p is complete
    reg [Rows*32-1:0]      p, p_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]             t0, t1, t2, t3, t4, t5, t6, t7, v;
    integer                r, k, at;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, t7, v} = 288'd0;
        at = 0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Lanes; k = k + 1) begin
                    at = r * Lanes + k;
                    v = w1[at*32+:32] & {32{pick[4*Cells+at]}};
                    v = v ^ ((v ^ {v[30:0], 1'b0}) & {32{pick[at]}});
                    v = v ^ ((v ^ {v[29:0], 2'b0}) & {32{pick[Cells+at]}});
                    v = v ^ ((v ^ {v[27:0], 4'b0}) & {32{pick[2*Cells+at]}}) ^ {32{pick[3*Cells+at]}};
`ifndef YOSYS
                    v = v + {31'd0, pick[3*Cells+at]};
`endif
                    if (k % 2   == 1)   v = `ADD_CARRY(t0, v, one[r*Lanes+Lanes/2+k/2]);
                    if (k % 4   == 3)   v = `ADD_CARRY(t1, v, one[r*Lanes+Lanes/4+k/4]);
                    if (k % 8   == 7)   v = `ADD_CARRY(t2, v, one[r*Lanes+Lanes/8+k/8]);
                    if (k % 16  == 15)  v = `ADD_CARRY(t3, v, one[r*Lanes+Lanes/16+k/16]);
                    if (k % 32  == 31)  v = `ADD_CARRY(t4, v, one[r*Lanes+Lanes/32+k/32]);
                    if (k % 64  == 63)  v = `ADD_CARRY(t5, v, one[r*Lanes+Lanes/64+k/64]);
                    if (k % 128 == 127) v = `ADD_CARRY(t6, v, one[r*Lanes+Lanes/128+k/128]);
                    if (k % 256 == 255) v = `ADD_CARRY(t7, v, one[r*Lanes+Lanes/256+k/256]);
                    if      (k % 2   == 0)    t0 = v;
                    else if (k % 4   == 1)    t1 = v;
                    else if (k % 8   == 3)    t2 = v;
                    else if (k % 16  == 7)    t3 = v;
                    else if (k % 32  == 15)   t4 = v;
                    else if (k % 64  == 31)   t5 = v;
                    else if (k % 128 == 63)   t6 = v;
                    else if (k % 256 == 127)  t7 = v;
                end
                t0 = {{8{p[r*32+23]}}, p[r*32+:24]} & {32{!first1}};
                p_next[r*32+:32] = `ADD_CARRY(t0, v, one[r*Lanes]);
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1;
    always @(posedge clk_i)
        if (en && v1) p <= p_next;

    // ---- drain: all codings count from zero, so the sums are D
    wire drain_ready;
    assign en = !v2 || drain_ready;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(1'b0), .corr_i(25'sd0), .sum_i(17'sd0),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`undef ADD_CARRY
`default_nettype wire
