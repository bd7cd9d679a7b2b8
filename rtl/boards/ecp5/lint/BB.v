// BB.v - for lint only: the ports of the pad that ecp5_pad.v uses. yosys brings its own.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module BB (
    inout  wire B,
    input  wire I, T,
    output wire O
);
    assign B = T ? 1'bz : I;
    assign O = B;
endmodule
`default_nettype wire
