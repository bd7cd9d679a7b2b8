// ulx3s.v - the core on a ULX3S (ECP5): 25 MHz crystal, PLL, the serial port of its FT231X at 3 Mbaud.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ulx3s #(
    parameter Times       = 9,              // clock of the core in units of 5 MHz: 3..24, a multiple of 3 since 3 Mbaud divide it
    parameter Kind        = 2,              // of the core, see accel_core.v
    parameter Rows        = 16,
    parameter Lanes       = 32,
    parameter ScaleUnits  = 2,
    parameter MaxN        = 16,
    parameter XDepth      = 1024,
    parameter WDepth      = 512,            // a block RAM has as many words
    parameter Build       = 0
) (
    input  wire       clk_25mhz_i,
    input  wire       ftdi_txd_i,           // named as the FT231X names them: this one it sends on
    output wire       ftdi_rxd_o,
    input  wire       button_n_i,           // the button "PWR", low when pressed
    output wire [7:0] led_o,
    output wire       wifi_gpio0_o          // high, or the ESP32 takes the board for itself
);
    localparam ClockHz = 5000000 * Times;
    localparam Baud    = 3000000;
    localparam Divide  = 600 / (5 * Times); // the PLL's oscillator runs at 600 MHz or up to an eighth less
    generate
        if (Times < 3 || Times > 24 || Times % 3 != 0) ulx3s_clock_must_be_a_multiple_of_15_mhz bad_parameter();
    endgenerate
    assign wifi_gpio0_o = 1'b1;

    wire clk, locked, rst, busy;
    (* FREQUENCY_PIN_CLKI = "25" *)
    EHXPLLL #(
        .CLKI_DIV(5), .CLKFB_DIV(Times), .CLKOP_DIV(Divide), .CLKOP_CPHASE(Divide - 1), .CLKOP_ENABLE("ENABLED"),
        .FEEDBK_PATH("CLKOP")
    ) pll (
        .CLKI(clk_25mhz_i), .CLKFB(clk), .CLKOP(clk), .LOCK(locked), .RST(1'b0), .STDBY(1'b0), .PHASESEL0(1'b0),
        .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0));
    board_reset reset (.clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .rst_o(rst));
    accel_uart #(.Divisor(ClockHz / Baud), .Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN),
                 .XDepth(XDepth), .WDepth(WDepth), .ClockHz(ClockHz), .Build(Build)) uart (
        .clk_i(clk), .rst_i(rst), .rx_i(ftdi_txd_i), .tx_o(ftdi_rxd_o), .busy_o(busy));
    wire alive, work;
    board_lights lights (.clk_i(clk), .rst_i(rst), .busy_i(busy), .alive_o(alive), .busy_o(work));
    assign led_o = {locked, rst, 4'd0, work, alive};
endmodule
`default_nettype wire
