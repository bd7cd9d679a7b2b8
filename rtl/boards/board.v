// board.v - what all boards have in common: reset, the core behind a UART at 3 Mbaud, lights. Tops instantiate it as it is, so
// that boards of a family can share one netlist of it; its parameters are given where it is synthesized.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board #(
    parameter ClockHz     = 45000000,       // a multiple of 3000000, at least four times that
    parameter Kind        = 2,              // of the core, see accel_core.v; those below, too
    parameter Rows        = 16,
    parameter Lanes       = 32,
    parameter ScaleUnits  = 2,
    parameter MaxN        = 16,
    parameter XDepth      = 1024,
    parameter WDepth      = 512,            // a block RAM has as many words
    parameter Requant     = 1,
    parameter CmdRoom     = 64,             // of the link, see accel_soc.v
    parameter XRoom       = 2048,
    parameter WRoom       = 8192,
    parameter HRoom       = 2048,
    parameter ORoom       = 512,
    parameter ResultBytes = 512,
    parameter Build       = 0
) (
    input  wire clk_i,
    input  wire locked_i,                   // of the PLL; asynchronous, as the button
    input  wire button_i,
    input  wire rx_i,
    output wire tx_o,
    output wire rst_o,
    output wire alive_o,                    // blinks while the clock runs
    output wire work_o                      // on while a command is being executed, and a moment longer
);
    localparam Baud = 3000000;
    generate
        if (ClockHz % Baud != 0 || ClockHz / Baud < 4) board_clock_must_be_a_multiple_of_3_mhz_from_12_on bad_parameter();
    endgenerate

    wire rst, busy;
    assign rst_o = rst;
    board_reset reset (.clk_i(clk_i), .locked_i(locked_i), .button_i(button_i), .rst_o(rst));
    accel_uart #(.Divisor(ClockHz / Baud), .Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN),
                 .XDepth(XDepth), .WDepth(WDepth), .Requant(Requant), .CmdRoom(CmdRoom), .XRoom(XRoom), .WRoom(WRoom),
                 .HRoom(HRoom), .ORoom(ORoom), .ResultBytes(ResultBytes), .ClockHz(ClockHz), .Build(Build)) uart (
        .clk_i(clk_i), .rst_i(rst), .rx_i(rx_i), .tx_o(tx_o), .busy_o(busy));
    board_lights lights (.clk_i(clk_i), .rst_i(rst), .busy_i(busy), .alive_o(alive_o), .busy_o(work_o));
endmodule
`default_nettype wire
