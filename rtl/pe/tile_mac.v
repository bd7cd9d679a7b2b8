// tile_mac.v - the baseline every other kind is compared with: one int8 x int8 multiplier per weight.
// Takes all planes of a step at once (plane_gather.v made int8 or uint8 codes of them), so a step is one cycle
// whatever the width, at the price of a multiplier per row and lane. Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_mac #(
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
    input  wire [Rows*Lanes*8-1:0]  w_i,          // bit p of row r, lane l at p * Rows * Lanes + r * Lanes + l
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*24-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam [1:0] Signed = 2'd0, Bipolar = 2'd2;
    localparam Plane = Rows * Lanes;
    wire unused_ok = &{1'b0, plane_i, table_i, word_i, sel_i};

    // ---- stage 1: operands
    wire                    en;             // both stages move
    reg                     v1, first1, last1;
    reg signed [16:0]       sum1;
    reg [Lanes*32-1:0]      x1;
    reg [Rows*Lanes*8-1:0]  w1;
    integer                 i;
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            last1  <= last_i;
            sum1   <= sum_i;
            w1     <= w_i;
            for (i = 0; i < Lanes; i = i + 1) x1[i*32+:32] <= {{24{x_i[i*8+7]}}, x_i[i*8+:8]};
        end

    // ---- stage 2: multiply, add up by a tree, accumulate; only 24 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    reg                     v2;             // p is complete
    reg signed [16:0]       sum2;
    reg [Rows*32-1:0]       p, p_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg [31:0]              t0, t1, t2, t3, t4, t5, t6, t7, v;
    wire                    is_signed = coding_i == Signed;
    integer                 r, k, at;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, t7, v} = 288'd0;
        at = 0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Lanes; k = k + 1) begin
                    at = r * Lanes + k;
                    v = {{24{w1[7*Plane+at] & is_signed}}, w1[7*Plane+at], w1[6*Plane+at], w1[5*Plane+at],
                         w1[4*Plane+at], w1[3*Plane+at], w1[2*Plane+at], w1[1*Plane+at], w1[at]};
                    v = $signed(v) * $signed(x1[k*32+:32]);
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
                p_next[r*32+:32] = v + ({{8{p[r*32+23]}}, p[r*32+:24]} & {32{!first1}});
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1;
    always @(posedge clk_i)
        if (en && v1) begin
            p    <= p_next;
            sum2 <= sum1;
        end

    // ---- drain: bipolar k = 2u - (2^n - 1), so D = 2 u-sum - (2^n - 1) S
    wire signed [24:0] s = {{8{sum2[16]}}, sum2};
    wire signed [24:0] corr = coding_i == Bipolar ? s - (s <<< planes_i) : 25'sd0;
    wire               drain_ready;
    assign en      = !v2 || drain_ready;
    assign ready_o = en;

    reg [Rows*24-1:0] p24;
    integer           q;
    always @*
        for (q = 0; q < Rows; q = q + 1) p24[q*24+:24] = p[q*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum2),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
