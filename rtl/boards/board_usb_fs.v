// board_usb_fs.v - as board.v, with full-speed USB on two pins instead of the UART.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board_usb_fs #(
    `SOC_PARAMETERS(48000000, 16384)
) (
    input  wire clk_i,
    input  wire locked_i,                   // of the PLL; asynchronous, as the button
    input  wire button_i,
    input  wire dp_i,
    input  wire dn_i,
    output wire dp_o,
    output wire dn_o,
    output wire oe_o,
    output wire rst_o,
    output wire alive_o,                    // blinks while the clock runs
    output wire work_o,                     // on while a command is being executed, and a moment longer
    output wire [38:0] sdram_o,             // see board_sdram.v
    input  wire [15:0] sdram_i
);
    wire rst, busy;
    wire [46:0] mem_out;
    wire [50:0] mem_in;
    assign rst_o = rst;
    board_reset reset (.clk_i(clk_i), .locked_i(locked_i), .button_i(button_i), .rst_o(rst));
    accel_usb_fs #(`SOC_PASSED) usb (
        .clk_i(clk_i), .rst_i(rst), .dp_i(dp_i), .dn_i(dn_i), .dp_o(dp_o), .dn_o(dn_o), .oe_o(oe_o), .busy_o(busy),
        .mem_o(mem_out), .mem_i(mem_in));
    board_sdram #(.Memory(Memory), .ClockHz(ClockHz)) memory (
        .clk_i(clk_i), .rst_i(rst), .mem_i(mem_out), .mem_o(mem_in), .sdram_o(sdram_o), .sdram_i(sdram_i));
    board_lights lights (.clk_i(clk_i), .rst_i(rst), .busy_i(busy), .alive_o(alive_o), .busy_o(work_o));
endmodule
`default_nettype wire
