// orangecrab.v - the core on an OrangeCrab r0.2 (ECP5): 48 MHz crystal, a serial port at the pins 0 (RX) and 1 (TX).
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module orangecrab #(
    parameter Mhz = 45                      // clock of the core, a divisor of 720
) (
    input  wire       clk_48mhz_i,
    input  wire       rx_i,
    output wire       tx_o,
    input  wire       button_n_i,
    output wire [2:0] led_n_o               // red, green, blue
);
    wire clk, locked, rst, alive, work;
    wire [38:0] sdram;                      // not this kind of memory
    wire        unused_ok = &{1'b0, sdram};
    ecp5_clock #(.CrystalMhz(48), .Turns(15), .Mhz(Mhz)) clock (.clk_i(clk_48mhz_i), .clk_o(clk), .locked_o(locked));
    board board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rx_i(rx_i), .tx_o(tx_o), .rst_o(rst),
        .alive_o(alive), .work_o(work), .sdram_o(sdram), .sdram_i(16'd0));
    assign led_n_o = ~{work, alive, rst};
endmodule
`default_nettype wire
