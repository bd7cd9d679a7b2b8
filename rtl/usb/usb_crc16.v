// usb_crc16.v - one byte more for the CRC of a USB data packet, combinational.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_crc16 (
    input  wire [15:0] crc_i,               // all ones before the first byte; the CRC is the inverse of the last crc_o
    input  wire [7:0]  byte_i,
    output wire [15:0] crc_o
);
    reg [15:0] c;
    integer    i;
    always @* begin
        c = crc_i ^ {8'd0, byte_i};
        for (i = 0; i < 8; i = i + 1) c = {1'b0, c[15:1]} ^ (16'hA001 & {16{c[0]}});
    end
    assign crc_o = c;
endmodule
`default_nettype wire
