// usb_rx.v - packets from the host: tokens, handshakes, data. What is damaged is no packet.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_rx (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire        rx_active_i,         // UTMI
    input  wire        rx_valid_i,
    input  wire        rx_error_i,
    input  wire [7:0]  rx_data_i,
    output reg  [3:0]  pid_o,
    output reg  [10:0] field_o,             // of a token: address and endpoint, or the frame's number
    output wire        token_o,             // pulses at the end of a packet
    output wire        handshake_o,
    output wire        good_o,              // data, whole
    output wire        bad_o,               // damaged
    output wire        byte_valid_o,        // data as it comes, without its CRC: not known yet whether it is whole
    output wire [7:0]  byte_o
);
    localparam Crc16Residue = 16'hB001, Crc5Residue = 5'h06;
    reg        active, wrong;
    reg [1:0]  count;                       // bytes, the PID's too, up to 3
    reg [15:0] last;                        // two bytes
    reg [15:0] crc16;
    wire [15:0] crc16_next;
    reg [4:0]  crc5, c;
    integer    i;
    usb_crc16 crc (.crc_i(crc16), .byte_i(rx_data_i), .crc_o(crc16_next));
    always @* begin
        c = crc5;
        for (i = 0; i < 8; i = i + 1) c = {1'b0, c[4:1]} ^ (5'h14 & {5{c[0] ^ rx_data_i[i]}});
    end

    wire ended    = active && !rx_active_i;
    wire is_data  = pid_o[1:0] == 2'b11;
    wire is_hand  = pid_o[1:0] == 2'b10;
    reg  third;                             // a byte beyond three: too long for a token
    wire data_ok  = is_data && !wrong && count == 2'd3 && crc16 == Crc16Residue;
    wire token_ok = !is_data && !is_hand && !wrong && count == 2'd3 && !third && crc5 == Crc5Residue;
    wire hand_ok  = is_hand && !wrong && count == 2'd1;
    assign token_o      = ended && token_ok;
    assign handshake_o  = ended && hand_ok;
    assign good_o       = ended && data_ok;
    assign bad_o        = ended && !data_ok && !token_ok && !hand_ok;
    assign byte_valid_o = rx_active_i && rx_valid_i && is_data && count == 2'd3;
    assign byte_o       = last[7:0];

    always @(posedge clk_i)
        if (rst_i) active <= 1'b0;
        else active <= rx_active_i;
    always @(posedge clk_i)
        if (!rx_active_i) begin
            count <= 2'd0;
            wrong <= 1'b0;
            third <= 1'b0;
            crc16 <= 16'hffff;
            crc5  <= 5'h1f;
        end else begin
            if (rx_error_i) wrong <= 1'b1;
            if (rx_valid_i) begin
                if (count != 2'd3) count <= count + 2'd1;
                else third <= 1'b1;
                if (count == 2'd0) begin
                    pid_o <= rx_data_i[3:0];
                    wrong <= rx_data_i[3:0] != ~rx_data_i[7:4];
                end else begin
                    crc16 <= crc16_next;
                    crc5  <= c;
                    last  <= {rx_data_i, last[15:8]};
                    if (count == 2'd1) field_o[7:0] <= rx_data_i;
                    if (count == 2'd2) field_o[10:8] <= rx_data_i[2:0];
                end
            end
        end
endmodule
`default_nettype wire
