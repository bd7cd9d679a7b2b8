// tile_dpred.v - activations bit by bit, and of each beat only the bits that its values need: DPRed / Dynamic Stripes,
// "DPRed: Making Typical Activation and Weight Values Matter In Deep Learning Computing" (arXiv 1804.06732).
//
// A bit of each activation gates the lanes' 8-bit weights, a tree adds them up, the sum is shifted by the bit's weight and
// accumulated. Beside the input a detector finds, over all lanes, the top bit nH that a value needs (negative values
// inverted; one more for the sign if there is one) and the lowest bit nL that is set in any.
// Cycles of a beat: nH - nL + 1; one if all activations are zero.
//
// Unlike the paper: the precision is found for the Lanes activations of a beat alone, since all rows share them (the paper
// also shares it among up to 16 columns); bits of lower weight come first, and no column runs ahead of another; whether a
// beat has a sign bit is seen from its values, not told. Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_dpred #(
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

    // ---- detector: the bits that the activations at the input need
    reg  [7:0] any;                         // bits set in any activation
    reg  [6:0] size;                        // likewise, of negative ones the bits that are clear
    reg  [2:0] low, high, length;           // nL, nH, bits of the largest of size
    integer    a, b;
    always @* begin
        any  = 8'd0;
        size = 7'd0;
        for (a = 0; a < Lanes; a = a + 1) begin
            any  = any | x_i[a*8+:8];
            size = size | (x_i[a*8+:7] ^ {7{x_i[a*8+7]}});
        end
        low    = 3'd0;
        length = 3'd0;
        for (b = 7; b >= 0; b = b - 1) if (any[b]) low = b[2:0];
        for (b = 0; b < 7; b = b + 1) if (size[b]) length = b[2:0] + 3'd1;
        high = any[7] ? length : any == 0 ? 3'd0 : length - 3'd1;
    end

    // ---- stage 1: the beat, and which of its bits passes. Weights are int8: unsigned codes lose 128, which the drain
    // gives back.
    wire                      en;           // both stages move
    reg                       v1, fresh1, last1, sign1;
    reg  [2:0]                bit1, high1;
    reg  signed [16:0]        sum1;
    reg  [Lanes*8-1:0]        x1;           // the bits from that one on
    reg  [Rows*Lanes*32-1:0]  w1;
    wire                      done1 = bit1 == high1;
    wire                      flip = coding_i != Signed;
    integer                   i;
    assign ready_o = en && (!v1 || done1);
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (ready_o) v1 <= valid_i;
    always @(posedge clk_i)
        if (valid_i && ready_o) begin
            fresh1 <= first_i;
            last1  <= last_i;
            sign1  <= any[7];
            bit1   <= low;
            high1  <= high;
            sum1   <= sum_i;
            for (i = 0; i < Lanes; i = i + 1) x1[i*8+:8] <= x_i[i*8+:8] >> low;
            for (i = 0; i < Plane; i = i + 1)
                w1[i*32+:32] <= {{25{w_i[7*Plane+i] ^ flip}}, w_i[6*Plane+i], w_i[5*Plane+i], w_i[4*Plane+i],
                                 w_i[3*Plane+i], w_i[2*Plane+i], w_i[1*Plane+i], w_i[i]};
        end else if (en) begin
            fresh1 <= 1'b0;
            bit1   <= bit1 + 3'd1;
            for (i = 0; i < Lanes; i = i + 1) x1[i*8+:8] <= {1'b0, x1[i*8+1+:7]};
        end

    reg  [Lanes*32-1:0] gate;               // the bit that passes, of each lane
    integer             g;
    always @*
        for (g = 0; g < Lanes; g = g + 1) gate[g*32+:32] = {32{x1[g*8]}};

    // ---- stage 2: gate, add up by a tree, shift, accumulate; only 24 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    // The sign bit counts negative: its sum v is inverted, to -v - 1, and the ones are counted for all rows at once.
    reg                     v2;             // p is complete
    reg  signed [16:0]      sum2;
    reg  [Rows*32-1:0]      p, p_next;
    reg  [12:0]             ones;           // at most 256 / 8 beats with 128 each
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg  [31:0]             t0, t1, t2, t3, t4, t5, t6, t7, v;
    wire                    minus = sign1 && done1;
    integer                 r, k;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, t7, v} = 288'd0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Lanes; k = k + 1) begin
                    v = w1[(r*Lanes+k)*32+:32] & gate[k*32+:32];
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
                v = (v ^ {32{minus}}) << bit1;
                p_next[r*32+:32] = v + ({{8{p[r*32+23]}}, p[r*32+:24]} & {32{!fresh1}});
            end
    end
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && done1 && last1;
    always @(posedge clk_i)
        if (en && v1) begin
            p    <= p_next;
            sum2 <= sum1;
            ones <= (fresh1 ? 13'd0 : ones) + (minus ? 13'd1 << bit1 : 13'd0);
        end

    // ---- drain: with v = u - 128, D = v-sum + 128 S (unsigned), 2 v-sum + 256 S - (2^n - 1) S (bipolar)
    wire signed [24:0] s = {{8{sum2[16]}}, sum2};
    wire signed [24:0] more = {12'd0, ones};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:  corr = more;
            Bipolar: corr = (more <<< 1) + (s <<< 8) + s - (s <<< planes_i);
            default: corr = more + (s <<< 7);
        endcase
    wire drain_ready;
    assign en = !v2 || drain_ready;

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
