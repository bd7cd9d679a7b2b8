// tile_bitserial.v - weight bit-planes: each plane's bits gate the activations, planes are added MSB first.
// Signed codes arrive as offset binary u = w + 2^(n-1), so that every plane counts positive; the drain takes
// 2^(n-1) * S off again. Ports and beat order: docs/core.md. Cycles per step: the code's width.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_bitserial #(
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
    input  wire [Rows*Lanes-1:0]    w_i,
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam [1:0] Signed = 2'd0, Bipolar = 2'd2;
    wire unused_ok = &{1'b0, table_i, word_i, sel_i};

    // ---- stage 1: activations, sign-extended to words once for all rows
    wire                  en;               // all stages move
    reg                   v1, first1, plane1, last1;
    reg signed [16:0]     sum1;
    reg [Lanes*32-1:0]    x1;
    reg [Rows*Lanes-1:0]  w1;
    integer               i;
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
            for (i = 0; i < Lanes; i = i + 1) x1[i*32+:32] <= {{24{x_i[i*8+7]}}, x_i[i*8+:8]};
        end

    // ---- stage 2: gate, add up each half of a row by a tree.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    localparam Half = Lanes / 2;
    wire                  v2, first2, plane2, last2;
    wire signed [16:0]    sum2;
    wire [Rows*64-1:0]    beat2;            // two sums a row
    reg [Rows*64-1:0]     beat;
    beat_delay #(.Width(Rows * 64 + 20)) stage2 (
        .clk_i(clk_i), .rst_i(rst_i), .en_i(en), .valid_i(v1), .data_i({beat, first1, plane1, last1, sum1}),
        .valid_o(v2), .data_o({beat2, first2, plane2, last2, sum2}));
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]            t0, t1, t2, t3, t4, t5, t6, v;
    integer               h, k;             // half of a row, leaf
    /*verilator tracing_on*/
    always @* begin
        beat = {Rows*64{1'b0}};
        {t0, t1, t2, t3, t4, t5, t6, v} = 256'd0;
        if (v1)
            for (h = 0; h < 2 * Rows; h = h + 1) begin
                for (k = 0; k < Half; k = k + 1) begin
                    v = x1[(h%2*Half+k)*32+:32] & {32{w1[h*Half+k]}};
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
                beat[h*32+:32] = v;
            end
    end

    // ---- stage 3: accumulate; only 24 bits of each row's word are ever used
    reg                   v3;               // p is complete
    reg signed [16:0]     sum3;
    reg [Rows*32-1:0]     p, p_next;
    wire [31:0]           keep = {32{!first2 && !plane2}};          // masks: a simulator need not branch
    wire [31:0]           dbl  = {32{!first2 && plane2}};
    integer               r;
    always @* begin
        p_next = p;
        if (v2)
            for (r = 0; r < Rows; r = r + 1)
                p_next[r*32+:32] = (beat2[r*64+:32] + beat2[r*64+32+:32]) +
                    (({{8{p[r*32+23]}}, p[r*32+:24]} & keep) | ({{8{p[r*32+22]}}, p[r*32+:23], 1'b0} & dbl));
    end
    always @(posedge clk_i)
        if (rst_i) v3 <= 1'b0;
        else if (en) v3 <= v2 && last2;
    always @(posedge clk_i)
        if (en && v2) begin
            p    <= p_next;
            sum3 <= sum2;
        end

    // ---- drain: D = u-sum - 2^(n-1) S (signed), u-sum (unsigned), 2 u-sum - (2^n - 1) S (bipolar)
    wire signed [24:0] s = {{8{sum3[16]}}, sum3};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:  corr = -((s <<< planes_i) >>> 1);
            Bipolar: corr = s - (s <<< planes_i);
            default: corr = 25'sd0;
        endcase
    wire drain_ready;
    assign en      = !v3 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v3), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum3),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
