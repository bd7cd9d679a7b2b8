// decode_fp6.v - FP6 (E3M2) weights kept as a 2-bit and a 4-bit stream to 6-bit codes, Lanes weights a beat.
// Words of both streams are equally wide, so that memory stays aligned: one of the 2-bit stream serves two beats.
// Weights are in order in both, the first one lowest.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module decode_fp6 #(
    parameter Lanes = 8,                    // >= 1
    parameter Split = 0                     // 2 bits and 4 bits are: 0 {s,e2} and {e1,e0,m1,m0}; 1 {m1,m0} and {s,e2,e1,e0}
) (
    input  wire               clk_i,
    input  wire               rst_i,        // synchronous, active high
    input  wire               two_valid_i,
    output wire               two_ready_o,
    input  wire [Lanes*4-1:0] two_i,        // 2 * Lanes weights
    input  wire               four_valid_i,
    output wire               four_ready_o,
    input  wire [Lanes*4-1:0] four_i,       // Lanes weights
    output reg                valid_o,
    input  wire               ready_i,
    output reg  [Lanes*6-1:0] code_o        // {s,e2,e1,e0,m1,m0} of lane l at bit 6 l
);
    generate
        if (Lanes < 1) decode_fp6_lanes_must_be_positive bad_parameter();
        if (Split != 0 && Split != 1) decode_fp6_split_must_be_0_or_1 bad_parameter();
    endgenerate

    reg  upper;                             // the second half of the 2-bit word is next
    wire take = two_valid_i && four_valid_i && (!valid_o || ready_i);
    assign four_ready_o = take;
    assign two_ready_o  = take && upper;

    wire [Lanes*2-1:0] two = upper ? two_i[Lanes*4-1:Lanes*2] : two_i[Lanes*2-1:0];
    integer            l;
    always @(posedge clk_i)
        if (take)
            for (l = 0; l < Lanes; l = l + 1)
                code_o[l*6+:6] <= Split == 0 ? {two[l*2+:2], four_i[l*4+:4]} : {four_i[l*4+:4], two[l*2+:2]};
    always @(posedge clk_i)
        if (rst_i) begin
            valid_o <= 1'b0;
            upper   <= 1'b0;
        end else begin
            if (!valid_o || ready_i) valid_o <= take;
            if (take) upper <= !upper;
        end
endmodule
`default_nettype wire
