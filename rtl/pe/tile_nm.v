// tile_nm.v - structured sparsity: a multiplier only for weights that are there, which chooses its activation.
// Block = 4: 2:4, the selectors of AccLLM (arXiv 2505.03745) and of GPUs: each block of four lanes has two slots, each a
// weight and its lane in the block. Block = 16: N of 16 as in FlightLLM (arXiv 2401.03868): two slots for each block of
// sixteen lanes, and N / 2 words a step, N of 0, 2, 4, 8, 16 the most that a block of that step has in any row.
// Cycles per step: one word with 2:4, N / 2 words with N of 16, none where no row has a weight. Ports: docs/core.md.
// Both papers multiply in DSP blocks, which they share between two narrow weights (AccLLM) or two activations
// (FlightLLM); here a slot has one int8 multiplier, as every lane of mac, so that the two can be compared.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_nm #(
    parameter Rows       = 8,
    parameter Lanes      = 16,
    parameter ScaleUnits = 2,
    parameter Block      = 4                // lanes that share two slots: 4 or 16
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
    // of slot s of row r, at r * Lanes / Block * 2 + s of each plane: 8 planes of its code, then 2 or 4 of its lane
    input  wire [Rows*Lanes/Block*2*(Block == 4 ? 10 : 12)-1:0] w_i,
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam Slots = Lanes / Block * 2;
    localparam Plane = Rows * Slots;
    generate
        if (Block != 4 && Block != 16) tile_nm_block_must_be_4_or_16 bad_parameter();
        if (Lanes % Block != 0) tile_nm_lanes_must_be_whole_blocks bad_parameter();
    endgenerate
    wire unused_ok = &{1'b0, planes_i, plane_i, table_i, word_i, sel_i, sum_i};

    // ---- stage 1: each slot's activation, sign-extended to a word, and its code
    wire                    en;             // both stages move
    reg                     v1, first1, last1;
    reg [Plane*32-1:0]      x1, pick;
    reg [Plane*8-1:0]       w1;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [Lanes*32-1:0]      x0;
    reg [31:0]              c, c0, c1, c2, a, b, s0, s1, s2, s3;
    integer                 i, j, r, k, at, x;
    /*verilator tracing_on*/
    always @* begin
        pick = x1;
        x0   = 0;
        {c, c0, c1, c2, a, b, s0, s1, s2, s3} = 320'd0;
        x = 0;
        if (valid_i) begin
            for (i = 0; i < Lanes; i = i + 1) x0[i*32+:32] = {{24{x_i[i*8+7]}}, x_i[i*8+:8]};
            for (i = 0; i < Plane; i = i + 1) begin
                x  = i % Slots / 2 * Block;
                s0 = {32{w_i[8*Plane+i]}};
                s1 = {32{w_i[9*Plane+i]}};
                for (j = 0; j < Block; j = j + 4) begin         // one of four, four times if of sixteen
                    a = x0[(x+j)*32+:32]   ^ ((x0[(x+j)*32+:32]   ^ x0[(x+j+1)*32+:32]) & s0);
                    b = x0[(x+j+2)*32+:32] ^ ((x0[(x+j+2)*32+:32] ^ x0[(x+j+3)*32+:32]) & s0);
                    c = a ^ ((a ^ b) & s1);
                    if      (j == 0) c0 = c;
                    else if (j == 4) c1 = c;
                    else if (j == 8) c2 = c;
                end
                if (Block == 16) begin
                    s2 = {32{w_i[(Block == 16 ? 10 : 8)*Plane+i]}};
                    s3 = {32{w_i[(Block == 16 ? 11 : 8)*Plane+i]}};
                    a  = c0 ^ ((c0 ^ c1) & s2);
                    b  = c2 ^ ((c2 ^ c) & s2);
                    c  = a ^ ((a ^ b) & s3);
                end
                pick[i*32+:32] = c;
            end
        end
    end
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            last1  <= last_i;
            x1     <= pick;
            w1     <= w_i[Plane*8-1:0];
        end

    // ---- stage 2: multiply, add up by a tree, accumulate; only 24 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    reg                     v2;             // p is complete
    reg [Rows*32-1:0]       p, p_next;
    /*verilator tracing_off*/
    reg [31:0]              t0, t1, t2, t3, t4, t5, t6, v;
    wire                    is_signed = coding_i == 2'd0;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, v} = 256'd0;
        at = 0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Slots; k = k + 1) begin
                    at = r * Slots + k;
                    v = {{24{w1[7*Plane+at] & is_signed}}, w1[7*Plane+at], w1[6*Plane+at], w1[5*Plane+at],
                         w1[4*Plane+at], w1[3*Plane+at], w1[2*Plane+at], w1[1*Plane+at], w1[at]};
                    v = $signed(v) * $signed(x1[at*32+:32]);
                    if (k % 2   == 1)   v = t0 + v;
                    if (k % 4   == 3)   v = t1 + v;
                    if (k % 8   == 7)   v = t2 + v;
                    if (k % 16  == 15)  v = t3 + v;
                    if (k % 32  == 31)  v = t4 + v;
                    if (k % 64  == 63)  v = t5 + v;
                    if (k % 128 == 127) v = t6 + v;
                    if      (k % 2   == 0)   t0 = v;
                    else if (k % 4   == 1)   t1 = v;
                    else if (k % 8   == 3)   t2 = v;
                    else if (k % 16  == 7)   t3 = v;
                    else if (k % 32  == 15)  t4 = v;
                    else if (k % 64  == 31)  t5 = v;
                    else if (k % 128 == 63)  t6 = v;
                end
                p_next[r*32+:32] = v + ({{8{p[r*32+23]}}, p[r*32+:24]} & {32{!first1}});
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1;
    always @(posedge clk_i)
        if (en && v1) p <= p_next;

    // ---- drain: all codings count from zero, so the sums are D
    wire drain_ready;
    assign en      = !v2 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(1'b0), .corr_i(25'sd0), .sum_i(17'sd0),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
