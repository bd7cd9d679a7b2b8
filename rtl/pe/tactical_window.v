// tactical_window.v - the front end of Bit-Tactical (arXiv 1803.03688), T<2,5>, for tclp and tcle: a window of three
// steps of activations, in which each lane of each row chooses among eight by its weight's select; and what the
// activations of the window are worked off by: bits (Terms = 0) or signed powers of two (Terms = 1).
// Steps enter one by one while the word before is worked on, so that a word costs the greater of its own cycles and,
// before it can begin, one for each step that enters.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tactical_window #(
    parameter Rows  = 8,
    parameter Lanes = 16,                   // a power of two, >= 8
    parameter Terms = 0
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    // beats as the tile gets them, docs/core.md
    input  wire                     valid_i,
    output wire                     ready_o,
    input  wire                     first_i,
    input  wire                     last_i,
    input  wire                     word_i,
    input  wire [Lanes*8-1:0]       x_i,
    input  wire [Rows*Lanes*11-1:0] w_i,
    input  wire                     signed_i,     // weights are two's complement
    // one cycle of work: each weight times what its activation gives now
    output reg                      valid_o,
    input  wire                     ready_i,
    output reg                      first_o,      // the chunk's first
    output reg                      last_o,       // the chunk's last
    output reg  [Rows*Lanes*32-1:0] w_o,          // weights, as words
    // Terms = 0: a bit, all of weight 2^shift_o, negative if neg_o. Terms = 1: {not zero, negative, exponent}, as planes
    output reg  [Rows*Lanes*(Terms ? 5 : 1)-1:0] pick_o,
    output reg  [2:0]               shift_o,
    output reg                      neg_o
);
    localparam Cells = Rows * Lanes;
    localparam Planes = Terms ? 16 : 8;     // of an activation: its bits, or which digits are not zero and which are negative
    localparam Picks = Terms ? 5 : 1;
    localparam Step = Lanes * Planes;
    generate
        if (Terms != 0 && Terms != 1) tactical_window_terms_must_be_0_or_1 bad_parameter();
        if (Lanes < 8 || (1 << $clog2(Lanes)) != Lanes) tactical_window_lanes_must_be_a_power_of_two_from_8 bad_parameter();
    endgenerate

    // ---- the step that enters, and the two before it
    wire            take = valid_i && ready_o;
    reg  [Step-1:0] step, h1, h2;           // h2 came last
    wire [Step-1:0] s1 = first_i ? {Step{1'b0}} : h1;
    wire [Step-1:0] s2 = first_i ? {Step{1'b0}} : h2;
    reg             fresh;                  // the chunk's first beat came without a word
    always @(posedge clk_i)
        if (take) begin
            h1    <= s2;
            h2    <= step;
            fresh <= !word_i && (first_i || fresh);
        end

    // ---- the word being worked on
    reg                 busy, begins, first, last;
    wire                done;               // this is its last cycle
    reg  [Cells*3-1:0]  sel;
    reg  [Cells*32-1:0] weights;
    integer             i;
    assign ready_o = !word_i || !busy || (ready_i && done);
    wire   load    = take && word_i;
    always @(posedge clk_i)
        if (rst_i) busy <= 1'b0;
        else if (load) busy <= 1'b1;
        else if (ready_i && done) busy <= 1'b0;
    always @(posedge clk_i)
        if (load) begin
            begins <= 1'b1;
            first  <= first_i || fresh;
            last   <= last_i;
            sel    <= w_i[Cells*8+:Cells*3];
            for (i = 0; i < Cells; i = i + 1)
                weights[i*32+:32] <= {{24{w_i[7*Cells+i] & signed_i}}, w_i[7*Cells+i], w_i[6*Cells+i],
                                      w_i[5*Cells+i], w_i[4*Cells+i], w_i[3*Cells+i], w_i[2*Cells+i],
                                      w_i[1*Cells+i], w_i[i]};
        end else if (ready_i) begins <= 1'b0;

    // ---- what the activations of the window give in this cycle: give[t], Picks planes of Lanes
    wire [Lanes*Picks-1:0] give0, give1, give2;
    wire [2:0]             shift;
    wire                   neg;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
    integer                l, b;
    generate
        if (Terms == 0) begin : g_bits
            // Only the bits between the lowest that is set in any activation and the highest that any needs (DPRed,
            // arXiv 1804.06732). Of each step: which bits are set anywhere, and which differ from the sign.
            reg  [Step-1:0] c0, c1, c2;
            reg  [7:0]      any, any1, any2, all;
            reg  [6:0]      odd, odd1, odd2, far;
            reg  [2:0]      low, high, at, top;
            reg             minus;
            always @* begin
                step = 0;
                any  = 8'd0;
                odd  = 7'd0;
                for (l = 0; l < Lanes; l = l + 1) begin
                    for (b = 0; b < 8; b = b + 1) step[b*Lanes+l] = x_i[l*8+b];
                    any = any | x_i[l*8+:8];
                    odd = odd | (x_i[l*8+:7] ^ {7{x_i[l*8+7]}});
                end
                all  = any | (first_i ? 8'd0 : any1 | any2);
                far  = odd | (first_i ? 7'd0 : odd1 | odd2);
                low  = 3'd0;
                high = 3'd0;
                for (b = 0; b < 8; b = b + 1) if (all[7-b]) low = 3'd7 - b[2:0];
                for (b = 0; b < 7; b = b + 1) if (far[b]) high = b[2:0] + {2'd0, all[7]};
            end
            always @(posedge clk_i)
                if (take) begin
                    any1 <= first_i ? 8'd0 : any2;
                    odd1 <= first_i ? 7'd0 : odd2;
                    any2 <= any;
                    odd2 <= odd;
                end
            always @(posedge clk_i)
                if (load) begin
                    c0    <= s1;
                    c1    <= s2;
                    c2    <= step;
                    at    <= low;
                    top   <= high;
                    minus <= all[7];
                end else if (ready_i) at <= at + 3'd1;
            assign done    = busy && at == top;
            assign shift   = at;
            assign neg     = minus && at == top;
            reg [Lanes-1:0] g0, g1, g2;
            integer         k;
            always @* begin
                g0 = {Lanes{1'b0}};
                g1 = {Lanes{1'b0}};
                g2 = {Lanes{1'b0}};
                for (k = 0; k < 8; k = k + 1) begin
                    g0 = g0 | (c0[k*Lanes+:Lanes] & {Lanes{at == k[2:0]}});
                    g1 = g1 | (c1[k*Lanes+:Lanes] & {Lanes{at == k[2:0]}});
                    g2 = g2 | (c2[k*Lanes+:Lanes] & {Lanes{at == k[2:0]}});
                end
            end
            assign give0 = g0;
            assign give1 = g1;
            assign give2 = g2;
        end else begin : g_terms
            // The non-adjacent form of x: digits of 3x and x that differ, of half the weight. Lowest digits first.
            localparam All = Lanes * 3;
            reg  [All*8-1:0] left, minus, left_next;    // of the three steps side by side, plane by plane
            reg  [All-1:0]   none, now, sign, e0, e1, e2;
            reg  [9:0]       x, x3;
            integer          k;
            always @* begin
                step = 0;
                x    = 10'd0;
                x3   = 10'd0;
                for (l = 0; l < Lanes; l = l + 1) begin
                    x  = {{2{x_i[l*8+7]}}, x_i[l*8+:8]};
                    x3 = x + {x[8:0], 1'b0};
                    for (b = 0; b < 8; b = b + 1) begin
                        step[b*Lanes+l]     = x[b+1] ^ x3[b+1];
                        step[(b+8)*Lanes+l] = x[b+1];
                    end
                end
            end
            always @* begin
                none = {All{1'b1}};
                sign = {All{1'b0}};
                e0   = {All{1'b0}};
                e1   = {All{1'b0}};
                e2   = {All{1'b0}};
                now  = {All{1'b0}};
                left_next = 0;
                for (k = 0; k < 8; k = k + 1) begin
                    now  = left[k*All+:All] & none;
                    none = none & ~left[k*All+:All];
                    sign = sign | (now & minus[k*All+:All]);
                    e0   = e0 | (now & {All{k[0]}});
                    e1   = e1 | (now & {All{k[1]}});
                    e2   = e2 | (now & {All{k[2]}});
                    left_next[k*All+:All] = left[k*All+:All] & ~now;
                end
            end
            always @(posedge clk_i)
                if (load)
                    for (k = 0; k < 8; k = k + 1) begin
                        left[k*All+:All]  <= {step[k*Lanes+:Lanes], s2[k*Lanes+:Lanes], s1[k*Lanes+:Lanes]};
                        minus[k*All+:All] <= {step[(k+8)*Lanes+:Lanes], s2[(k+8)*Lanes+:Lanes], s1[(k+8)*Lanes+:Lanes]};
                    end
                else if (ready_i) left <= left_next;
            assign done    = busy && left_next == 0;
            assign shift   = 3'd0;
            assign neg     = 1'b0;
            assign give0   = {~none[0+:Lanes], sign[0+:Lanes], e2[0+:Lanes], e1[0+:Lanes], e0[0+:Lanes]};
            assign give1   = {~none[Lanes+:Lanes], sign[Lanes+:Lanes], e2[Lanes+:Lanes], e1[Lanes+:Lanes],
                              e0[Lanes+:Lanes]};
            assign give2   = {~none[2*Lanes+:Lanes], sign[2*Lanes+:Lanes], e2[2*Lanes+:Lanes], e1[2*Lanes+:Lanes],
                              e0[2*Lanes+:Lanes]};
        end
    endgenerate

    // ---- the choice of each weight: own lane in each step, then the near ones
    reg  [Lanes-1:0] g0, g1, g2, q0, q1, q2, a, c, d, e;
    integer          p, r;
    reg  [Cells*Picks-1:0] pick;
    /*verilator tracing_on*/
    always @* begin
        pick = 0;
        {g0, g1, g2, q0, q1, q2, a, c, d, e} = {Lanes*10{1'b0}};
        for (p = 0; p < Picks; p = p + 1) begin
            g0 = give0[p*Lanes+:Lanes];
            g1 = give1[p*Lanes+:Lanes];
            g2 = give2[p*Lanes+:Lanes];
            for (r = 0; r < Rows; r = r + 1) begin
                q0 = sel[r*Lanes+:Lanes];
                q1 = sel[Cells+r*Lanes+:Lanes];
                q2 = sel[Cells*2+r*Lanes+:Lanes];
                a  = g0 ^ ((g0 ^ g1) & q0);
                c  = g2 ^ ((g2 ^ {g1[Lanes-2:0], g1[Lanes-1]}) & q0);
                d  = {g1[0], g1[Lanes-1:1]} ^ (({g1[0], g1[Lanes-1:1]} ^ {g2[Lanes-3:0], g2[Lanes-1-:2]}) & q0);
                e  = {g2[1:0], g2[Lanes-1:2]} ^ (({g2[1:0], g2[Lanes-1:2]} ^ {g1[2:0], g1[Lanes-1:3]}) & q0);
                a  = a ^ ((a ^ c) & q1);
                d  = d ^ ((d ^ e) & q1);
                pick[p*Cells+r*Lanes+:Lanes] = a ^ ((a ^ d) & q2);
            end
        end
    end
    always @(posedge clk_i)
        if (rst_i) valid_o <= 1'b0;
        else if (ready_i) valid_o <= busy;
    always @(posedge clk_i)
        if (ready_i && busy) begin
            first_o <= first && begins;
            last_o  <= last && done;
            pick_o  <= pick;
            shift_o <= shift;
            neg_o   <= neg;
            if (begins) w_o <= weights;
        end
endmodule
`default_nettype wire
