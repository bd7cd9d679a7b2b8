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
    output wire [7:0] led_o,
    output wire       wifi_gpio0_o          // high, or the ESP32 takes the board for itself
);
    assign wifi_gpio0_o = 1'b1;
    wire clk, locked, rst, alive, work;
    ecp5_clock #(.CrystalMhz(25), .Turns(18), .Mhz(Mhz)) clock (.clk_i(clk_25mhz_i), .clk_o(clk), .locked_o(locked));
    board board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rx_i(ftdi_txd_i), .tx_o(ftdi_rxd_o), .rst_o(rst),
        .alive_o(alive), .work_o(work));
    assign led_o = {locked, rst, 4'd0, work, alive};
endmodule
`default_nettype wire
