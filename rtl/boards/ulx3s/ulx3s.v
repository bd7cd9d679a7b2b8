// ulx3s.v - the core on a ULX3S (ECP5): 25 MHz crystal, the serial port of its FT231X.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ulx3s #(
    parameter Mhz = 45                      // clock of the core, a divisor of 450
) (
    input  wire       clk_25mhz_i,
    input  wire       ftdi_txd_i,           // named as the FT231X names them: this one it sends on
    output wire       ftdi_rxd_o,
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
    wire clk, early, locked, rst, alive, work;
    wire [38:0] to_sdram;
    wire [15:0] from_sdram;
    ecp5_sdram sdram (
        .early_i(early), .sdram_i(to_sdram), .sdram_o(from_sdram), .clk_o(sdram_clk_o), .cke_o(sdram_cke_o), .cs_n_o(sdram_cs_n_o),
        .ras_n_o(sdram_ras_n_o), .cas_n_o(sdram_cas_n_o), .we_n_o(sdram_we_n_o), .ba_o(sdram_ba_o), .a_o(sdram_a_o),
        .dqm_o(sdram_dqm_o), .d_io(sdram_d_io));
    ecp5_clocks #(.CrystalMhz(25), .Turns(18), .Mhz(Mhz)) clock (.clk_i(clk_25mhz_i), .clk_o(clk), .early_o(early), .locked_o(locked));
    board board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rx_i(ftdi_txd_i), .tx_o(ftdi_rxd_o), .rst_o(rst),
        .alive_o(alive), .work_o(work), .sdram_o(to_sdram), .sdram_i(from_sdram));
    assign led_o = {locked, rst, 4'd0, work, alive};
endmodule
`default_nettype wire
