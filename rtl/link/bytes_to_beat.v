// bytes_to_beat.v - gathers bytes into beats, lowest byte first.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module bytes_to_beat #(
    parameter Bytes = 8                     // of a beat, 2..8192
) (
    input  wire               clk_i,
    input  wire               rst_i,
    input  wire               valid_i,
    output wire               ready_o,
    input  wire [7:0]         data_i,
    output wire               valid_o,
    input  wire               ready_i,
    output wire [Bytes*8-1:0] data_o,
    output wire               empty_o       // not even a part of a beat is there
);
    localparam Cw = $clog2(Bytes + 1);
    localparam Whole = Bytes;
    generate
        if (Bytes < 2 || Bytes > 8192) bytes_to_beat_bytes_must_be_2_to_8192 bad_parameter();
    endgenerate

    reg [Bytes*8-1:0] beat;
    reg [Cw-1:0]      count;
    assign valid_o = count == Whole[Cw-1:0];
    assign ready_o = !valid_o || ready_i;
    assign data_o  = beat;
    assign empty_o = count == 0;

    always @(posedge clk_i)
        if (valid_i && ready_o) beat <= {data_i, beat[Bytes*8-1:8]};
    always @(posedge clk_i)
        if (rst_i) count <= 0;
        else if (ready_o) count <= (valid_o ? {Cw{1'b0}} : count) + {{Cw-1{1'b0}}, valid_i};
endmodule
`default_nettype wire
