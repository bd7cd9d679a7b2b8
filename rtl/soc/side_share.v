// side_share.v - two who read registers beside the link: the first one goes first, the second one when it asks for nothing.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module side_share (
    input  wire        clk_i,
    input  wire        rst_i,
    // each request holds until done, or is withdrawn for a cycle at least
    input  wire        first_valid_i,
    input  wire        first_write_i,
    input  wire [15:0] first_addr_i,
    input  wire [31:0] first_data_i,
    output wire        first_done_o,
    input  wire        second_valid_i,
    input  wire        second_write_i,
    input  wire [15:0] second_addr_i,
    input  wire [31:0] second_data_i,
    output wire        second_done_o,
    output wire        valid_o,
    output wire        write_o,
    output wire [15:0] addr_o,
    output wire [31:0] data_o,
    input  wire        done_i
);
    reg second;                             // it has its turn
    always @(posedge clk_i)
        if (rst_i) second <= 1'b0;
        else if (second) second <= second_valid_i && !done_i;
        else second <= second_valid_i && !first_valid_i;
    assign valid_o       = second ? second_valid_i : first_valid_i;
    assign write_o       = second ? second_write_i : first_write_i;
    assign addr_o        = second ? second_addr_i : first_addr_i;
    assign data_o        = second ? second_data_i : first_data_i;
    assign first_done_o  = done_i && !second;
    assign second_done_o = done_i && second;
endmodule
`default_nettype wire
