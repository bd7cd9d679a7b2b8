// requant.v - dyadic requantization of one accumulator: clamp(round_half_even(acc * mul / 2^shift)).
// Seven register stages, moved by en_i; with pass_i the accumulator goes through unchanged.
// The same as accel_requantize() in the C library.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module requant (
    input  wire               clk_i,
    input  wire               en_i,         // move all stages on
    input  wire               valid_i,      // acc_i is a result (saves work; not a handshake)
    input  wire               pass_i,       // leave acc_i as it is
    input  wire signed [47:0] acc_i,
    input  wire [30:0]        mul_i,
    input  wire [5:0]         shift_i,      // 0..62
    output reg  signed [47:0] data_o        // seven cycles of en_i later
);
    // What passes is multiplied by one and shifted by none, so that it needs no registers of its own.
    reg [5:0]         valid, pass;          // bit i: of stage i + 1
    reg signed [47:0] acc;
    reg [30:0]        mul;
    reg [5:0]         shift1, shift2, shift3, shift4;
    reg [2:0]         shift5;

    // Digits of 17 bits: what a multiplier of 18 by 18 signed bits takes. Its products, their sums by digits of mul, and
    // the sum of these each have a stage.
    wire signed [17:0] a0 = {1'b0, acc[16:0]}, a1 = {1'b0, acc[33:17]}, a2 = {{4{acc[47]}}, acc[47:34]};
    wire signed [17:0] m0 = {1'b0, mul[16:0]}, m1 = {4'd0, mul[30:17]};
    reg signed [35:0] p00, p10, p01, p11;
    reg signed [30:0] p20;
    reg signed [28:0] p21;
    wire signed [47:0] top0 = {p20, 17'd0} + {{12{p10[35]}}, p10} + {{29{p00[35]}}, p00[35:17]};
    wire signed [45:0] top1 = {p21, 17'd0} + {{10{p11[35]}}, p11} + {{27{p01[35]}}, p01[35:17]};
    reg signed [64:0] part0;
    reg signed [62:0] part1;
    reg signed [79:0] product;

    // Bit 0 is the half, what is cut off below it is remembered in lost: the shift goes by eights, then by ones.
    reg signed [80:0]  coarse;
    reg                lost;
    wire signed [15:0] fine = $signed(coarse[15:0]) >>> shift5;
    wire               sign = coarse[80];
    wire [6:0]         cut  = coarse[6:0] & ~(7'h7F << shift5);
    reg [47:0]         whole;
    reg                up, over;            // half to even: up if more than half is cut off, or half and the rest is odd
    wire [7:0]         near = whole[7:0] + {7'd0, up};

    always @(posedge clk_i)
        if (en_i) begin
            valid <= {valid[4:0], valid_i};
            pass  <= {pass[4:0], pass_i};
            if (valid_i) begin
                acc    <= acc_i;
                mul    <= pass_i ? 31'd1 : mul_i;
                shift1 <= pass_i ? 6'd0 : shift_i;
            end
            if (valid[0]) begin
                p00    <= a0 * m0;
                p10    <= a1 * m0;
                p20    <= a2 * m0;
                p01    <= a0 * m1;
                p11    <= a1 * m1;
                p21    <= a2 * m1;
                shift2 <= shift1;
            end
            if (valid[1]) begin
                part0  <= {top0, p00[16:0]};
                part1  <= {top1, p01[16:0]};
                shift3 <= shift2;
            end
            if (valid[2]) begin
                product <= {{15{part0[64]}}, part0} + {part1, 17'd0};
                shift4  <= shift3;
            end
            if (valid[3]) begin
                coarse <= $signed({product, 1'b0}) >>> {shift4[5:3], 3'd0};
                lost   <= (product & ~({80{1'b1}} << {shift4[5:3], 3'd0}) >> 1) != 80'd0;
                shift5 <= shift4[2:0];
            end
            if (valid[4]) begin
                whole <= pass[4] ? coarse[48:1] : {{40{sign}}, fine[8:1]};
                up    <= fine[0] && (fine[1] || lost || cut != 7'd0);
                over  <= coarse[80:16] != {65{sign}} || fine[15:8] != {8{sign}};
            end
            if (valid[5])
                data_o <= pass[5] ? whole : over || (up && near == 8'h80) ? {{41{whole[47]}}, {7{!whole[47]}}} :
                          {{40{near[7]}}, near};
        end
endmodule
`default_nettype wire
