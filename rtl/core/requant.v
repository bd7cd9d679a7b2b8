// requant.v - dyadic requantization of one accumulator: clamp(round_half_even(acc * mul / 2^shift)).
// Two register stages, moved by en_i; with pass_i the accumulator goes through unchanged.
// The same as accel_requantize() in the C library.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module requant (
    input  wire               clk_i,
    input  wire               en_i,         // move both stages on
    input  wire               valid_i,      // acc_i is a result (saves work; not a handshake)
    input  wire               pass_i,       // leave acc_i as it is
    input  wire signed [47:0] acc_i,
    input  wire [30:0]        mul_i,
    input  wire [5:0]         shift_i,      // 0..62
    output reg  signed [47:0] data_o        // two cycles of en_i later
);
    reg signed [79:0] product;
    reg        [5:0]  shift;
    reg               pass, valid;
    reg signed [47:0] acc;

    always @(posedge clk_i)
        if (en_i) begin
            valid <= valid_i;
            pass  <= pass_i;
            acc   <= acc_i;
            if (valid_i && !pass_i) begin
                product <= $signed({{32{acc_i[47]}}, acc_i}) * $signed({49'd0, mul_i});
                shift   <= shift_i;
            end
        end

    // round half to even: up if more than half is cut off, or exactly half and the rest is odd
    reg signed [79:0] whole, rounded;
    reg        [79:0] cut, half;
    reg               up;
    always @* begin
        whole   = 80'sd0;
        rounded = 80'sd0;
        cut     = 80'd0;
        half    = 80'd0;
        up      = 1'b0;
        if (valid && !pass) begin
            whole   = product >>> shift;
            cut     = product & ((80'd1 << shift) - 80'd1);
            half    = (80'd1 << shift) >> 1;
            up      = shift != 0 && (cut > half || (cut == half && whole[0]));
            rounded = whole + {79'd0, up};
        end
    end

    always @(posedge clk_i)
        if (en_i && valid)
            data_o <= pass ? acc : rounded > 80'sd127 ? 48'sd127 : rounded < -80'sd128 ? -48'sd128 : rounded[47:0];
endmodule
`default_nettype wire
