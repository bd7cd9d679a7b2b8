// board.v - what all boards have in common: reset, the core behind a UART at 3 Mbaud, lights. Tops instantiate it as it is, so
// that boards of a family can share one netlist of it; its parameters are given where it is synthesized.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board #(
    // ClockHz: a multiple of 3000000, at least four times that
    `SOC_PARAMETERS(45000000, 8192)
) (
    input  wire clk_i,
    input  wire locked_i,                   // of the PLL; asynchronous, as the button
    input  wire button_i,
    input  wire rx_i,
    output wire tx_o,
    output wire rst_o,
    output wire alive_o,                    // blinks while the clock runs
    output wire work_o,                     // on while a command is being executed, and a moment longer
    output wire [38:0] sdram_o,             // see board_sdram.v
    input  wire [15:0] sdram_i
);
    localparam Baud = 3000000;
    generate
        if (ClockHz % Baud != 0 || ClockHz / Baud < 4) board_clock_must_be_a_multiple_of_3_mhz_from_12_on bad_parameter();
    endgenerate

    wire rst, busy;
    wire [46:0] mem_out;
    wire [50:0] mem_in;
    assign rst_o = rst;
    board_reset reset (.clk_i(clk_i), .locked_i(locked_i), .button_i(button_i), .rst_o(rst));
    accel_uart #(.Divisor(ClockHz / Baud), `SOC_PASSED) uart (
        .clk_i(clk_i), .rst_i(rst), .rx_i(rx_i), .tx_o(tx_o), .busy_o(busy),
        .mem_o(mem_out), .mem_i(mem_in));
    board_sdram #(.Memory(Memory), .ClockHz(ClockHz)) memory (
        .clk_i(clk_i), .rst_i(rst), .mem_i(mem_out), .mem_o(mem_in), .sdram_o(sdram_o), .sdram_i(sdram_i));
    board_lights lights (.clk_i(clk_i), .rst_i(rst), .busy_i(busy), .alive_o(alive_o), .busy_o(work_o));
endmodule
`default_nettype wire
