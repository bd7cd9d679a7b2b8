// decode_qmoe.v - mostly zero ternary weights from 16-bit dictionary words (QMoE's idea, a dictionary of our own).
//
// The dictionary is computed, not stored: a word is three tokens, bits 4:0, 9:5 and 15:10. With Z = 15 zeros at most in
// the first two and Z = 31 in the third, a token t below 2 Z is t / 2 zeros and then +1 (t even) or -1 (t odd); t = 2 Z is Z
// zeros; t = 31 of a 5-bit token is 30 zeros; t = 63 of the 6-bit one is none. A command says how many weights follow;
// they begin in a new word and leave as beats of Lanes, the last one filled up with zeros. One token a cycle.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module decode_qmoe #(
    parameter Lanes = 32                    // weights a beat: a power of two, >= 32
) (
    input  wire               clk_i,
    input  wire               rst_i,        // synchronous, active high
    input  wire               cmd_valid_i,
    output wire               cmd_ready_o,
    input  wire [31:0]        cmd_i,        // weights, >= 1
    input  wire               word_valid_i,
    output wire               word_ready_o,
    input  wire [15:0]        word_i,
    output reg                valid_o,
    input  wire               ready_i,
    output reg  [Lanes*2-1:0] code_o,       // two's complement, lane l at bit 2 l
    output reg                last_o,       // last beat of a command
    output reg                error_o       // a token is none, or a weight comes behind the last: sticky until reset
);
    localparam Pw = $clog2(Lanes);
    localparam [31:0] LanesW = Lanes;
    generate
        if (Lanes < 32 || (1 << Pw) != Lanes) decode_qmoe_lanes_must_be_a_power_of_two_from_32 bad_parameter();
    endgenerate

    localparam [1:0] Idle = 2'd0, Run = 2'd1, Flush = 2'd2;
    reg [1:0]         state;
    reg [31:0]        left;                 // weights of the command still to come
    reg [1:0]         field;
    reg [Lanes*2-1:0] beat;                 // fills up
    reg [Pw:0]        fill;                 // 0..Lanes weights of it

    // The token: zeros, then perhaps a weight that is none.
    wire       wide   = field == 2'd2;
    wire [5:0] token  = wide ? word_i[15:10] : {1'b0, field[0] ? word_i[9:5] : word_i[4:0]};
    wire       dull   = wide ? &token[5:1] : &token[4:1];
    wire [4:0] run    = !dull ? token[5:1] : wide ? 5'd31 : token[0] ? 5'd30 : 5'd15;
    wire       none   = wide && &token;

    // Not beyond the last weight.
    wire        ends  = {27'd0, run} >= left;
    wire [4:0]  zeros = ends ? left[4:0] : run;
    wire        one   = !dull && !ends;
    wire [5:0]  len   = {1'b0, zeros} + {5'd0, one};
    wire        done  = {26'd0, len} == left;
    wire [Pw+1:0] sum  = {1'b0, fill} + {{Pw-4{1'b0}}, len};
    wire [Pw+1:0] over = sum - LanesW[Pw+1:0];
    wire        emit  = !over[Pw+1] && |over; // more than the beat holds
    wire [Pw-1:0] at  = sum[Pw-1:0] - {{Pw-1{1'b0}}, 1'b1};

    // Where it goes is known a cycle before it goes there, decoded in two halves: one small gate for each bit of the beat.
    reg               placed, emits, flush;
    reg [7:0]         low, sign;
    reg [Lanes/8-1:0] high;
    wire              out   = !valid_o || ready_i;
    wire              place = placed && (out || !(emits || flush));
    wire              move  = !placed || place;
    wire              go    = state == Run && word_valid_i && move;
    assign cmd_ready_o  = state == Idle;
    assign word_ready_o = go && (wide || done);

    always @(posedge clk_i)
        if (move) begin
            emits <= emit;
            flush <= state == Flush;
            low   <= {7'd0, one && go} << at[2:0];
            sign  <= {7'd0, one && go && token[0]} << at[2:0];
            high  <= {{Lanes/8-1{1'b0}}, 1'b1} << at[Pw-1:3];
        end

    reg [Lanes*2-1:0] put;
    integer           l;
    always @* begin
        put = {Lanes*2{1'b0}};
        for (l = 0; l < Lanes; l = l + 1)
            put[l*2+:2] = {sign[l%8], low[l%8]} & {2{high[l/8]}};
    end

    always @(posedge clk_i)
        if (rst_i) beat <= {Lanes*2{1'b0}};
        else if (place) beat <= (emits || flush ? {Lanes*2{1'b0}} : beat) | put;
    always @(posedge clk_i)
        if (out) begin
            code_o <= beat;
            last_o <= flush;
        end
    always @(posedge clk_i)
        if (rst_i) begin
            state   <= Idle;
            left    <= 32'd0;
            field   <= 2'd0;
            fill    <= {Pw+1{1'b0}};
            placed  <= 1'b0;
            valid_o <= 1'b0;
            error_o <= 1'b0;
        end else begin
            if (move) placed <= go || state == Flush;
            if (out) valid_o <= placed && (emits || flush);
            case (state)
                Idle: begin
                    left  <= cmd_i;
                    field <= 2'd0;
                    fill  <= {Pw+1{1'b0}};
                    if (cmd_valid_i && cmd_i != 32'd0) state <= Run;
                end
                Run: if (go) begin
                    left  <= left - {26'd0, len};
                    field <= wide ? 2'd0 : field + 2'd1;
                    fill  <= emit ? over[Pw:0] : sum[Pw:0];
                    if (none || (ends && !dull)) error_o <= 1'b1;
                    if (done) state <= Flush;
                end
                default: if (move) state <= Idle;
            endcase
        end
endmodule
`default_nettype wire
