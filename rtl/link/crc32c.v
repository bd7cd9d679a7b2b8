// crc32c.v - one byte more for a CRC-32C (reflected polynomial 0x82F63B78), combinational.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module crc32c (
    input  wire [31:0] crc_i,               // all ones before the first byte; the CRC is the inverse of the last crc_o
    input  wire [7:0]  byte_i,
    output wire [31:0] crc_o
);
    reg [31:0] c;
    integer    i;
    always @* begin
        c = crc_i ^ {24'd0, byte_i};
        for (i = 0; i < 8; i = i + 1) c = {1'b0, c[31:1]} ^ (32'h82F63B78 & {32{c[0]}});
    end
    assign crc_o = c;
endmodule
`default_nettype wire
