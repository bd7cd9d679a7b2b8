// board_ulpi.v - as board.v, with USB behind a ULPI transceiver instead of the UART.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board_ulpi #(
    `SOC_PARAMETERS(60000000, 16384)
) (
    input  wire clk_i,
    input  wire locked_i,                   // of the PLL; asynchronous, as the button
    input  wire button_i,
    input  wire dir_i,
    input  wire nxt_i,
    output wire stp_o,
    input  wire [7:0] data_i,
    output wire [7:0] data_o,
    output wire oe_o,
    output wire rst_o,
    output wire alive_o,                    // blinks while the clock runs
    output wire work_o                      // on while a command is being executed, and a moment longer
);
    wire rst, busy;
    wire [46:0] mem;                        // there is none
    assign rst_o = rst;
    board_reset reset (.clk_i(clk_i), .locked_i(locked_i), .button_i(button_i), .rst_o(rst));
    accel_ulpi #(`SOC_PASSED) usb (
        .clk_i(clk_i), .rst_i(rst), .dir_i(dir_i), .nxt_i(nxt_i), .stp_o(stp_o), .data_i(data_i), .data_o(data_o), .oe_o(oe_o),
        .busy_o(busy), .mem_o(mem), .mem_i(51'd0));
    wire unused_ok = &{1'b0, mem};
    board_lights lights (.clk_i(clk_i), .rst_i(rst), .busy_i(busy), .alive_o(alive_o), .busy_o(work_o));
endmodule
`default_nettype wire
