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
    output wire       sdram_clk_o,
    output wire       sdram_cke_o,
    output wire       sdram_cs_n_o,
    output wire       sdram_ras_n_o,
    output wire       sdram_cas_n_o,
    output wire       sdram_we_n_o,
    output wire [1:0] sdram_ba_o,
    output wire [12:0] sdram_a_o,
    output wire [1:0] sdram_dqm_o,
    inout  wire [15:0] sdram_d_io,
    output wire [7:0] led_o,
    output wire       wifi_gpio0_o          // high, or the ESP32 takes the board for itself
);
    assign wifi_gpio0_o = 1'b1;
    wire clk, early, locked, rst, alive, work, dp_in, dn_in, dp_out, dn_out, oe;
    wire [38:0] to_sdram;
    wire [15:0] from_sdram;
    ecp5_sdram sdram (
        .early_i(early), .sdram_i(to_sdram), .sdram_o(from_sdram), .clk_o(sdram_clk_o), .cke_o(sdram_cke_o), .cs_n_o(sdram_cs_n_o),
        .ras_n_o(sdram_ras_n_o), .cas_n_o(sdram_cas_n_o), .we_n_o(sdram_we_n_o), .ba_o(sdram_ba_o), .a_o(sdram_a_o),
        .dqm_o(sdram_dqm_o), .d_io(sdram_d_io));
    ecp5_clocks #(.CrystalMhz(25), .Slow(5), .Again(12), .Turns(8), .Mhz(Mhz)) clock (
        .clk_i(clk_25mhz_i), .clk_o(clk), .early_o(early), .locked_o(locked));
    ecp5_pad dp (.pad_io(usb_dp_io), .oe_i(oe), .data_i(dp_out), .data_o(dp_in));
    ecp5_pad dn (.pad_io(usb_dn_io), .oe_i(oe), .data_i(dn_out), .data_o(dn_in));
    board_usb_fs board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .dp_i(dp_in), .dn_i(dn_in), .dp_o(dp_out), .dn_o(dn_out),
        .oe_o(oe), .rst_o(rst), .alive_o(alive), .work_o(work), .sdram_o(to_sdram), .sdram_i(from_sdram));
    assign usb_pull_dp_o = !rst;
    assign led_o = {locked, rst, 4'd0, work, alive};
endmodule
`default_nettype wire
