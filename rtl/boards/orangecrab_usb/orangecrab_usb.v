// orangecrab_usb.v - the core on an OrangeCrab r0.2 (ECP5) behind its USB socket, whose wires go to the FPGA.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module orangecrab_usb #(
    parameter Mhz = 48                      // clock of the core: full speed's
) (
    input  wire       clk_48mhz_i,
    inout  wire       usb_dp_io,
    inout  wire       usb_dn_io,
    output wire       usb_pull_dp_o,        // 1.5 kOhm to D+: there is a device
    input  wire       button_n_i,
    output wire [2:0] led_n_o               // red, green, blue
);
    wire clk, locked, rst, alive, work, dp_in, dn_in, dp_out, dn_out, oe;
    wire [38:0] sdram;                      // not this kind of memory
    wire        unused_ok = &{1'b0, sdram};
    ecp5_clock #(.CrystalMhz(48), .Turns(15), .Mhz(Mhz)) clock (.clk_i(clk_48mhz_i), .clk_o(clk), .locked_o(locked));
    ecp5_pad dp (.pad_io(usb_dp_io), .oe_i(oe), .data_i(dp_out), .data_o(dp_in));
    ecp5_pad dn (.pad_io(usb_dn_io), .oe_i(oe), .data_i(dn_out), .data_o(dn_in));
    board_usb_fs board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .dp_i(dp_in), .dn_i(dn_in), .dp_o(dp_out), .dn_o(dn_out),
        .oe_o(oe), .rst_o(rst), .alive_o(alive), .work_o(work), .sdram_o(sdram), .sdram_i(16'd0));
    assign usb_pull_dp_o = !rst;
    assign led_n_o = ~{work, alive, rst};
endmodule
`default_nettype wire
