// ulx3s_usb.v - the core on a ULX3S (ECP5) behind its second USB socket, US2, whose wires go to the FPGA.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ulx3s_usb #(
    parameter Mhz = 48                      // clock of the core: full speed's
) (
    input  wire       clk_25mhz_i,
    inout  wire       usb_dp_io,
    inout  wire       usb_dn_io,
    output wire       usb_pull_dp_o,        // 1.5 kOhm to D+: there is a device
    input  wire       button_n_i,           // the button "PWR", low when pressed
    output wire [7:0] led_o,
    output wire       wifi_gpio0_o          // high, or the ESP32 takes the board for itself
);
    assign wifi_gpio0_o = 1'b1;
    wire clk, locked, rst, alive, work, dp_in, dn_in, dp_out, dn_out, oe;
    ecp5_clock #(.CrystalMhz(25), .Slow(5), .Again(12), .Turns(8), .Mhz(Mhz)) clock (
        .clk_i(clk_25mhz_i), .clk_o(clk), .locked_o(locked));
    ecp5_pad dp (.pad_io(usb_dp_io), .oe_i(oe), .data_i(dp_out), .data_o(dp_in));
    ecp5_pad dn (.pad_io(usb_dn_io), .oe_i(oe), .data_i(dn_out), .data_o(dn_in));
    board_usb_fs board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .dp_i(dp_in), .dn_i(dn_in), .dp_o(dp_out), .dn_o(dn_out),
        .oe_o(oe), .rst_o(rst), .alive_o(alive), .work_o(work));
    assign usb_pull_dp_o = !rst;
    assign led_o = {locked, rst, 4'd0, work, alive};
endmodule
`default_nettype wire
