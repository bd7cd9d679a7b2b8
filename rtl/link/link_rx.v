// link_rx.v - finds frames in a stream of bytes: header fields, payload bytes as they come, then whether the CRC held.
// Takes a byte in every cycle. What follows a broken frame is searched for the next magic, docs/link.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module link_rx (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire        valid_i,
    input  wire [7:0]  data_i,
    // fields of the header, from header_o until the next header's first byte
    output wire [7:0]  type_o,
    output wire [7:0]  flags_o,
    output wire [15:0] session_o,
    output wire [15:0] sequence_o,
    output wire [15:0] ack_o,
    output wire [15:0] tag_o,
    output wire [15:0] length_o,
    output reg         header_o,            // pulse: a header was right; not after the first payload byte
    output wire        payload_o,           // data_i is a byte of payload
    output reg         good_o,              // pulse: the frame was whole
    output reg         bad_o,               // pulse: its CRC was wrong
    output reg         bad_header_o         // pulse: what began with the magic was no header
);
    localparam Hunt = 2'd0, Header = 2'd1, Payload = 2'd2, Crc = 2'd3;

    reg [1:0]  state;
    reg [3:0]  at;                          // byte of the header or the CRC that comes next
    reg [15:0] left;                        // bytes of payload to come
    reg [95:0] field;                       // bytes 2 to 13, the first one lowest
    reg [31:0] crc;
    reg [15:0] check;                       // what the header's check must be
    reg        magic, right;                // the byte before was the first magic one; all of the CRC or check so far
    wire [31:0] crc_next;
    crc32c step (.crc_i(crc), .byte_i(data_i), .crc_o(crc_next));

    assign {length_o, tag_o, ack_o, sequence_o, session_o, flags_o, type_o} = field;
    assign payload_o = valid_i && state == Payload;

    wire [7:0] crc_byte   = ~crc[8*at[1:0]+:8];
    wire [7:0] check_byte = at[0] ? check[15:8] : check[7:0];
    wire       same       = right && data_i == (state == Crc ? crc_byte : check_byte);

    always @(posedge clk_i) begin
        header_o     <= 1'b0;
        good_o       <= 1'b0;
        bad_o        <= 1'b0;
        bad_header_o <= 1'b0;
        if (rst_i) begin
            state <= Hunt;
            magic <= 1'b0;
        end else if (valid_i)
            case (state)
                Hunt: begin
                    magic <= data_i == `LINK_MAGIC_0;
                    at    <= 4'd2;
                    if (magic && data_i == `LINK_MAGIC_1) begin
                        state <= Header;
                        magic <= 1'b0;
                    end
                end
                Header: begin
                    at <= at + 4'd1;
                    if (at == 4'd15) begin
                        at           <= 4'd0;
                        left         <= length_o;
                        header_o     <= same && length_o <= `LINK_MAX_PAYLOAD;
                        bad_header_o <= !same || length_o > `LINK_MAX_PAYLOAD;
                        state        <= !same || length_o > `LINK_MAX_PAYLOAD ? Hunt : length_o == 0 ? Crc : Payload;
                    end
                end
                Payload: begin
                    left <= left - 16'd1;
                    if (left == 16'd1) state <= Crc;
                end
                default: begin
                    at <= at + 4'd1;
                    if (at == 4'd3) begin
                        good_o <= same;
                        bad_o  <= !same;
                        state  <= Hunt;
                    end
                end
            endcase
    end
    always @(posedge clk_i)
        if (valid_i) begin
            if (state == Hunt) crc <= magic_crc;
            else if (state != Crc) crc <= crc_next;
            if (state == Header && at < 4'd14) field <= {data_i, field[95:8]};
            if (state == Header && at == 4'd13) check <= ~crc_next[15:0];
            if (state == Header && at < 4'd15) right <= at < 4'd14 || same;
            else if (state == Crc) right <= same;
            else right <= 1'b1;
        end

    // the magic is always the same
    wire [31:0] magic_crc, after_first;
    crc32c first  (.crc_i(32'hFFFFFFFF), .byte_i(8'd`LINK_MAGIC_0), .crc_o(after_first));
    crc32c second (.crc_i(after_first), .byte_i(8'd`LINK_MAGIC_1), .crc_o(magic_crc));
endmodule
`default_nettype wire
