// tile_laconic.v - both operands as signed powers of two, and only the powers that are there are multiplied: Laconic,
// "Laconic Deep Learning Computing" (arXiv 1805.04513).
//
// At the tile's edge activations and weights are recoded so that no two neighbouring digits of -1, 0, 1 are both nonzero:
// at most four terms are left of eight bits, one in each pair of digits. Then each lane of each row multiplies the terms
// of its two operands, one pair a cycle: exponents added, signs compared. A tree adds up the lanes' powers of two, which
// is order-free: lanes need not work on the same beat. FifoDepth slots hold the beats that not all lanes are done with;
// a lane that is done goes on with the next.
// Cycles of a lane for a beat: terms of the activation * terms of the weight, at least one. The tile takes a beat as soon as
// all lanes are done with the one that came FifoDepth beats before, and the first of a chunk when all are done.
//
// Unlike the paper: the lanes' powers are added by a tree, not counted in a histogram, which costs more here (16 counters
// of 16 lanes); a weight has an encoder of its own, since it meets one activation only and not a row of windows; the paper's
// tile waits for its slowest lane each step, as FifoDepth 1 does. Codes without a sign are made signed of the same width,
// k' = u - 2^(n-1), which has no more terms than other codes and fewer where they lie around the middle; the drain gives
// the difference back. Ports: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_laconic #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
    parameter FifoDepth  = 2                // slots: 1, 2, 4, 8
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
    localparam U  = Rows * Lanes;           // units; most of what follows is vectors with a bit for each, row by row
    localparam Pw = FifoDepth > 1 ? $clog2(FifoDepth) : 1;
    generate
        if (FifoDepth != 1 && FifoDepth != 2 && FifoDepth != 4 && FifoDepth != 8)
            tile_laconic_fifo_depth_must_be_1_2_4_or_8 bad_parameter();
    endgenerate
    wire unused_ok = &{1'b0, plane_i, table_i, word_i, sel_i};

    // ---- edge: the terms of the operands at the input
    wire [8:0]         place = coding_i == Signed ? 9'd0 : 9'h1ff << planes_i;  // p: above the code; p + 1: its top or above
    reg  [U*8-1:0]     w_b;                 // weights in two's complement
    reg  [Lanes*8-1:0] x_b;                 // activations, plane by plane
    wire [U*12-1:0]    w_in;                // terms: {negative, upper place, there}, each of four pairs of places
    wire [Lanes*12-1:0] x_in;
    integer            e, f;
    always @* begin
        w_b[U-1:0] = w_i[U-1:0] ^ {U{place[1]}};
        for (e = 1; e < 8; e = e + 1)
            w_b[e*U+:U] = (w_b[(e-1)*U+:U] & {U{place[e]}}) | ((w_i[e*U+:U] ^ {U{place[e+1]}}) & {U{~place[e]}});
        for (e = 0; e < 8; e = e + 1)
            for (f = 0; f < Lanes; f = f + 1) x_b[e*Lanes+f] = x_i[f*8+e];
    end
    naf_encoder #(.Width(U)) w_terms (
        .b_i(w_b), .any_o(w_in[U*4-1:0]), .up_o(w_in[U*8-1:U*4]), .neg_o(w_in[U*12-1:U*8]));
    naf_encoder #(.Width(Lanes)) x_terms (
        .b_i(x_b), .any_o(x_in[Lanes*4-1:0]), .up_o(x_in[Lanes*8-1:Lanes*4]), .neg_o(x_in[Lanes*12-1:Lanes*8]));

    // ---- slots: beats go round; each unit reads at its own place
    wire                          en;       // everything moves
    wire                          take = valid_i && ready_o;
    reg  [FifoDepth*U*12-1:0]     w_slot;
    reg  [FifoDepth*Lanes*12-1:0] x_slot;
    reg  [FifoDepth*U-1:0]        todo;     // of each slot: the unit is not done with it
    reg  [Pw*U-1:0]               rd;       // the slot that the unit works on, bit by bit
    reg  [Pw-1:0]                 wr;       // the slot for the next beat
    reg                           opened;   // the first beat of a chunk was taken in the cycle before
    reg                           closing;  // the last one was taken
    reg  signed [16:0]            sum0;

    // ---- units: the next pair of terms. All of the activation's go with one of the weight's, then with its next one.
    reg  [U*3-1:0]         w_past, x_past;  // terms left behind; the fourth is the last in any case
    reg  [U*3-1:0]         w_past_next, x_past_next;
    reg  [Pw*U-1:0]        rd_next;
    reg  [FifoDepth*U-1:0] todo_next;
    reg  [U-1:0]           go, neg, e0, e1, e2, e3;     // of the product: it is not zero; its sign and exponent
    /*verilator tracing_off*/
    reg  [FifoDepth*U-1:0] at;
    reg  [U*4-1:0]         w_one, x_one;
    reg  [U-1:0]           busy, fin, there, upper, minus, left, c;
    reg  [U-1:0]           w_seen, w_more, w_up, w_neg, w_at0, w_at1, x_seen, x_more, x_up, x_neg, x_at0, x_at1;
    integer                d, j, b;
    /*verilator tracing_on*/
    always @* begin
        busy = {U{1'b0}};
        for (d = 0; d < FifoDepth; d = d + 1) begin
            left = {U{1'b1}};
            for (b = 0; b < Pw; b = b + 1)
                if (FifoDepth > 1) left = left & (rd[b*U+:U] ^ {U{~d[b]}});
            at[d*U+:U] = left;
            busy = busy | (left & todo[d*U+:U]);
        end
        // the first term not left behind, of either operand
        {w_seen, w_more, w_up, w_neg, w_at0, w_at1} = {6*U{1'b0}};
        {x_seen, x_more, x_up, x_neg, x_at0, x_at1} = {6*U{1'b0}};
        for (j = 0; j < 4; j = j + 1) begin
            {there, upper, minus} = {3*U{1'b0}};
            for (d = 0; d < FifoDepth; d = d + 1) begin
                there = there | (at[d*U+:U] & w_slot[(d*12+j)*U+:U]);
                upper = upper | (at[d*U+:U] & w_slot[(d*12+4+j)*U+:U]);
                minus = minus | (at[d*U+:U] & w_slot[(d*12+8+j)*U+:U]);
            end
            left   = j < 3 ? there & ~w_past[j%3*U+:U] : there;
            c      = left & ~w_seen;
            w_more = w_more | (left & w_seen);
            w_seen = w_seen | left;
            w_up   = w_up | (c & upper);
            w_neg  = w_neg | (c & minus);
            if (j % 2 == 1) w_at0 = w_at0 | c;
            if (j / 2 == 1) w_at1 = w_at1 | c;
            w_one[j*U+:U] = c;
            {there, upper, minus} = {3*U{1'b0}};
            for (d = 0; d < FifoDepth; d = d + 1) begin
                there = there | (at[d*U+:U] & {Rows{x_slot[(d*12+j)*Lanes+:Lanes]}});
                upper = upper | (at[d*U+:U] & {Rows{x_slot[(d*12+4+j)*Lanes+:Lanes]}});
                minus = minus | (at[d*U+:U] & {Rows{x_slot[(d*12+8+j)*Lanes+:Lanes]}});
            end
            left   = j < 3 ? there & ~x_past[j%3*U+:U] : there;
            c      = left & ~x_seen;
            x_more = x_more | (left & x_seen);
            x_seen = x_seen | left;
            x_up   = x_up | (c & upper);
            x_neg  = x_neg | (c & minus);
            if (j % 2 == 1) x_at0 = x_at0 | c;
            if (j / 2 == 1) x_at1 = x_at1 | c;
            x_one[j*U+:U] = c;
        end
        go  = busy & w_seen & x_seen;
        neg = go & (w_neg ^ x_neg);
        e0  = w_up ^ x_up;
        c   = w_up & x_up;
        e1  = w_at0 ^ x_at0 ^ c;
        c   = (w_at0 & x_at0) | (c & (w_at0 | x_at0));
        e2  = w_at1 ^ x_at1 ^ c;
        e3  = (w_at1 & x_at1) | (c & (w_at1 | x_at1));

        fin = busy & ~(go & (w_more | x_more));
        for (j = 0; j < 3; j = j + 1) begin
            x_past_next[j*U+:U] = (x_past[j*U+:U] | x_one[j*U+:U]) & go & x_more;
            w_past_next[j*U+:U] = (w_past[j*U+:U] | (w_one[j*U+:U] & ~x_more)) & go & ~fin;
        end
        c = fin;
        for (b = 0; b < Pw; b = b + 1) begin
            rd_next[b*U+:U] = rd[b*U+:U] ^ c;
            c = c & rd[b*U+:U];
        end
        for (d = 0; d < FifoDepth; d = d + 1) todo_next[d*U+:U] = todo[d*U+:U] & ~(at[d*U+:U] & fin);
    end

    // a chunk's first beat waits for all units, others for a free slot
    wire                   all_done = todo_next == {FifoDepth*U{1'b0}};
    reg                    slot_free;
    integer                n;
    always @* begin
        slot_free = 1'b1;
        for (n = 0; n < FifoDepth; n = n + 1)
            if (FifoDepth == 1 || wr == n[Pw-1:0]) slot_free = todo_next[n*U+:U] == {U{1'b0}};
    end
    assign ready_o = en && (closing ? all_done : slot_free);

    integer q;
    always @(posedge clk_i)
        if (rst_i) begin
            todo    <= {FifoDepth*U{1'b0}};
            rd      <= {Pw*U{1'b0}};
            wr      <= {Pw{1'b0}};
            w_past  <= {U*3{1'b0}};
            x_past  <= {U*3{1'b0}};
            opened  <= 1'b0;
            closing <= 1'b0;
        end else if (en) begin
            todo   <= todo_next;
            if (FifoDepth > 1) rd <= rd_next;
            w_past <= w_past_next;
            x_past <= x_past_next;
            opened <= take && first_i;
            if (take || all_done) closing <= take && last_i;
            if (take) begin
                if (FifoDepth > 1) wr <= wr + 1'b1;
                for (q = 0; q < FifoDepth; q = q + 1)
                    if (FifoDepth == 1 || wr == q[Pw-1:0]) todo[q*U+:U] <= {U{1'b1}};
            end
        end
    // Slots are reset only for simulators of four states: a product that is not there is shifted by what lies there.
    always @(posedge clk_i)
        if (rst_i) begin
            for (q = 0; q < FifoDepth * 12; q = q + 1) begin
                w_slot[q*U+:U]         <= {U{1'b0}};
                x_slot[q*Lanes+:Lanes] <= {Lanes{1'b0}};
            end
        end else if (take) begin
            sum0 <= sum_i;
            for (q = 0; q < FifoDepth; q = q + 1)
                if (FifoDepth == 1 || wr == q[Pw-1:0]) begin
                    w_slot[q*U*12+:U*12]         <= w_in;
                    x_slot[q*Lanes*12+:Lanes*12] <= x_in;
                end
        end

    // ---- stage 1: the units' powers of two
    reg                v1, first1, last1;
    reg  signed [16:0] sum1;
    reg  [U-1:0]       neg1, m0, m1, m2, m3, e2_1, e3_1;   // {neg.., m3, m2, m1, m0} << {e3, e2, 2'b00}: one LUT4 a bit
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= todo != {FifoDepth*U{1'b0}};
    always @(posedge clk_i)
        if (en) begin
            first1 <= opened;
            last1  <= closing && all_done;
            sum1   <= sum0;
            neg1   <= neg;
            m0     <= go & ~e1 & ~e0;
            m1     <= (go & ~e1 & e0) | (neg & ~e1 & ~e0);
            m2     <= (go & e1 & ~e0) | (neg & ~e1);
            m3     <= (go & e1 & e0) | (neg & ~(e1 & e0));
            e2_1   <= e2;
            e3_1   <= e3;
        end

    // ---- stage 2: add up by a tree, accumulate; only 24 bits of each row's word are ever used.
    // The tree is walked leaf by leaf, level l keeping its left operand in t[l]: scalars simulate fastest.
    reg                v2;                  // p is complete
    reg  signed [16:0] sum2;
    reg  [Rows*32-1:0] p, p_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    reg  [31:0]        t0, t1, t2, t3, t4, t5, t6, t7, v;
    integer            r, k;
    /*verilator tracing_on*/
    always @* begin
        p_next = p;
        {t0, t1, t2, t3, t4, t5, t6, t7, v} = 288'd0;
        if (v1)
            for (r = 0; r < Rows; r = r + 1) begin
                for (k = 0; k < Lanes; k = k + 1) begin
                    v = {{28{neg1[r*Lanes+k]}}, m3[r*Lanes+k], m2[r*Lanes+k], m1[r*Lanes+k], m0[r*Lanes+k]} <<
                        {e3_1[r*Lanes+k], e2_1[r*Lanes+k], 2'b00};
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

    // ---- drain: with v = u - 2^(n-1), D = v-sum + 2^(n-1) S (unsigned), 2 v-sum + S (bipolar)
    wire signed [24:0] s = {{8{sum2[16]}}, sum2};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Signed:  corr = 25'sd0;
            Bipolar: corr = s;
            default: corr = (s <<< planes_i) >>> 1;
        endcase
    wire drain_ready;
    assign en = !v2 || drain_ready;

    reg [Rows*24-1:0] p24;
    integer           g;
    always @*
        for (g = 0; g < Rows; g = g + 1) p24[g*24+:24] = p[g*32+:24];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(p24),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum2),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
