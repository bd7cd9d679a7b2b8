// plane_gather.v - collect the bit-planes of one step into one word of int8 or uint8 codes (mac kind).
// Planes come most significant first and leave right-aligned, plane p at bit p * Width; the planes above
// the code's width are copies of the top plane (signed) or zero, so a column of planes reads as one byte.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module plane_gather #(
    parameter Width = 64                    // bits of one plane: Rows * Lanes
) (
    input  wire               clk_i,
    input  wire               rst_i,
    input  wire [3:0]         planes_i,     // 1..8, constant while planes of a job arrive
    input  wire               signed_i,     // codes are two's complement
    input  wire               valid_i,
    output wire               ready_o,
    input  wire [Width-1:0]   data_i,       // one plane
    output reg                valid_o,
    input  wire               ready_i,
    output reg  [Width*8-1:0] data_o
);
    reg [3:0] count;                        // planes of the current step that have arrived
    wire      take = valid_i && ready_o;
    wire      full = count + 4'd1 == planes_i;

    assign ready_o = !valid_o || ready_i;

    always @(posedge clk_i)
        if (take)                           // shift up by a plane; the first one also fills what lies above
            data_o <= {count == 0 ? {7{data_i & {Width{signed_i}}}} : data_o[Width*7-1:0], data_i};
    always @(posedge clk_i)
        if (rst_i) begin
            count   <= 4'd0;
            valid_o <= 1'b0;
        end else begin
            if (take) count <= full ? 4'd0 : count + 4'd1;
            if (ready_o) valid_o <= take && full;
        end
endmodule
`default_nettype wire
