// icebreaker.v - the core on an iCEBreaker (iCE40 UP5K): 12 MHz oscillator, the serial port of its FT2232H.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module icebreaker #(
    parameter Mhz = 24                      // clock of the core, a multiple of 3 from 12 to 33
) (
    input  wire clk_12mhz_i,
    input  wire rx_i,
    output wire tx_o,
    input  wire button_n_i,
    output wire led_r_n_o,
    output wire led_g_n_o
);
    wire clk, locked, rst, alive, work;
    wire [38:0] sdram;                      // there is none
    wire        unused_ok = &{1'b0, sdram};
    ice40_clock #(.Mhz(Mhz)) clock (.clk_i(clk_12mhz_i), .clk_o(clk), .locked_o(locked));
    board board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rx_i(rx_i), .tx_o(tx_o), .rst_o(rst),
        .alive_o(alive), .work_o(work), .sdram_o(sdram), .sdram_i(16'd0));
    assign led_r_n_o = !(rst || work);      // in reset, and while it works
    assign led_g_n_o = !alive;
endmodule
`default_nettype wire
