// beat_to_bytes.v - hands out the bytes of beats, lowest byte first.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module beat_to_bytes #(
    parameter Bytes = 6                     // of a beat, 2..8192
) (
    input  wire               clk_i,
    input  wire               rst_i,
    input  wire               valid_i,
    output wire               ready_o,
    input  wire [Bytes*8-1:0] data_i,
    output wire               valid_o,
    input  wire               ready_i,
    output wire [7:0]         data_o
);
    localparam Cw = $clog2(Bytes + 1);
    localparam Whole = Bytes;
    generate
        if (Bytes < 2 || Bytes > 8192) beat_to_bytes_bytes_must_be_2_to_8192 bad_parameter();
    endgenerate

    reg [Bytes*8-1:0] beat;
    reg [Cw-1:0]      left;
    assign valid_o = left != 0;
    assign ready_o = left == 0 || (left == 1 && ready_i);
    assign data_o  = beat[7:0];

    always @(posedge clk_i)
        if (valid_i && ready_o) beat <= data_i;
        else if (ready_i) beat <= {8'd0, beat[Bytes*8-1:8]};
    always @(posedge clk_i)
        if (rst_i) left <= 0;
        else if (valid_i && ready_o) left <= Whole[Cw-1:0];
        else if (valid_o && ready_i) left <= left - 1'b1;
endmodule
`default_nettype wire
