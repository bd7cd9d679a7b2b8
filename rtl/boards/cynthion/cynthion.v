// cynthion.v - the core on a Cynthion r1.4 (ECP5): 60 MHz oscillator, a serial port at PMOD A, laid out as PMODs have it.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module cynthion #(
    parameter Mhz = 45                      // clock of the core, a divisor of 720
) (
    input  wire       clk_60mhz_i,
    input  wire       rx_i,
    output wire       tx_o,
    input  wire       button_n_i,           // "USER"
    output wire [5:0] led_n_o
);
    wire clk, locked, rst, alive, work;
    wire [38:0] sdram;                      // not this kind of memory
    wire        unused_ok = &{1'b0, sdram};
    ecp5_clock #(.CrystalMhz(60), .Turns(12), .Mhz(Mhz)) clock (.clk_i(clk_60mhz_i), .clk_o(clk), .locked_o(locked));
    board board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rx_i(rx_i), .tx_o(tx_o), .rst_o(rst),
        .alive_o(alive), .work_o(work), .sdram_o(sdram), .sdram_i(16'd0));
    assign led_n_o = ~{locked, rst, 2'd0, work, alive};
endmodule
`default_nettype wire
