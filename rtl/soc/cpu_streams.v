// cpu_streams.v - the core's streams for the firmware, which tests the array by small jobs of its own: docs/firmware.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module cpu_streams (
    input  wire        clk_i,
    input  wire        rst_i,               // the processor's
    // the firmware, answered in the same cycle
    input  wire        valid_i,
    input  wire [3:0]  write_i,             // which bytes; 0: a read
    input  wire [3:0]  addr_i,              // words: 0 own, 1 state, 2 result, 3 completion, 8.. stream
    input  wire [31:0] data_i,
    output reg  [31:0] data_o,
    // the core
    output reg         take_o,              // wants it
    input  wire        own_i,               // has it
    output wire [4:0]  valid_o,             // command x w h o
    input  wire [4:0]  ready_i,
    output wire [39:0] data_bytes_o,
    input  wire        r_valid_i,
    output wire        r_ready_o,
    input  wire [7:0]  r_data_i,
    input  wire        cpl_valid_i,
    output wire        cpl_ready_o,
    input  wire [23:0] cpl_i
);
    wire write = valid_i && write_i != 4'd0, read = valid_i && write_i == 4'd0;
    wire [4:0] busy;
    genvar s;
    generate
        for (s = 0; s < `LINK_STREAMS; s = s + 1) begin : g_stream
            reg [31:0] bytes;
            reg [2:0]  left;
            wire       put = write && addr_i == 4'd8 + s && left == 3'd0;
            assign busy[s]              = left != 3'd0;
            assign valid_o[s]           = busy[s];
            assign data_bytes_o[8*s+:8] = bytes[7:0];
            always @(posedge clk_i)
                if (put) bytes <= data_i;
                else if (ready_i[s]) bytes <= {8'd0, bytes[31:8]};
            always @(posedge clk_i)
                if (rst_i || !own_i) left <= 3'd0;
                else if (put) left <= write_i[3] ? 3'd4 : write_i[1] ? 3'd2 : 3'd1;
                else if (busy[s] && ready_i[s]) left <= left - 3'd1;
        end
    endgenerate

    assign r_ready_o   = read && addr_i == 4'd2;
    assign cpl_ready_o = read && addr_i == 4'd3;
    always @*
        case (addr_i)
            4'd1:    data_o = {21'd0, own_i, cpl_valid_i, r_valid_i, 3'd0, busy};
            4'd2:    data_o = {23'd0, r_valid_i, r_data_i};
            4'd3:    data_o = {7'd0, cpl_valid_i, cpl_i};
            default: data_o = 32'd0;
        endcase
    always @(posedge clk_i)
        if (rst_i) take_o <= 1'b0;
        else if (write && addr_i == 4'd0) take_o <= data_i[0];
endmodule
`default_nettype wire
