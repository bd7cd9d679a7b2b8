// link_tx.v - sends frames: header, payload from a stream of bytes, CRC.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module link_tx (
    input  wire        clk_i,
    input  wire        rst_i,
    // a frame to send: the fields must not change after valid_i and ready_o
    input  wire        valid_i,
    output wire        ready_o,
    input  wire [95:0] field_i,             // bytes 2 to 13 of the header, the first one lowest
    // its payload, as many bytes as the header says
    input  wire        payload_valid_i,
    output wire        payload_ready_o,
    input  wire [7:0]  payload_i,
    // bytes out
    output wire        valid_o,
    input  wire        ready_i,
    output reg  [7:0]  data_o
);
    localparam Idle = 2'd0, Header = 2'd1, Payload = 2'd2, Crc = 2'd3;

    reg [1:0]   state;
    reg [3:0]   at;
    reg [15:0]  left;
    reg [111:0] head;                       // bytes 0 to 13 still to send
    reg [31:0]  crc;
    reg [15:0]  check;
    wire [31:0] crc_next;
    crc32c step (.crc_i(crc), .byte_i(data_o), .crc_o(crc_next));

    assign ready_o = state == Idle;
    assign valid_o = state == Payload ? payload_valid_i : state != Idle;
    assign payload_ready_o = state == Payload && ready_i;
    wire   moves = valid_o && ready_i;

    always @*
        case (state)
            Payload: data_o = payload_i;
            Crc:     data_o = ~crc[8*at[1:0]+:8];
            default: data_o = at == 4'd14 ? check[7:0] : at == 4'd15 ? check[15:8] : head[7:0];
        endcase

    always @(posedge clk_i)
        if (rst_i) state <= Idle;
        else
            case (state)
                Idle:    if (valid_i) state <= Header;
                Header:  if (moves && at == 4'd15) state <= left == 16'd0 ? Crc : Payload;
                Payload: if (moves && left == 16'd1) state <= Crc;
                default: if (moves && at == 4'd3) state <= Idle;
            endcase
    always @(posedge clk_i)
        if (state == Idle) begin
            at   <= 4'd0;
            left <= field_i[95:80];
            head <= {field_i, 8'd`LINK_MAGIC_1, 8'd`LINK_MAGIC_0};
            crc  <= 32'hFFFFFFFF;
        end else if (moves) begin
            if (state == Header || state == Crc) at <= at + 4'd1;
            if (state == Header) head <= {8'd0, head[111:8]};
            if (state == Header && at == 4'd13) check <= ~crc_next[15:0];
            if (state == Payload) left <= left - 16'd1;
            if (state != Crc) crc <= crc_next;
        end
endmodule
`default_nettype wire
