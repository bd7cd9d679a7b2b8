// ecp5_pad.v - a pin that goes both ways.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ecp5_pad (
    inout  wire pad_io,
    input  wire oe_i,
    input  wire data_i,                     // to the pin
    output wire data_o                      // from it
);
    BB pad (.B(pad_io), .I(data_i), .T(!oe_i), .O(data_o));
endmodule
`default_nettype wire
