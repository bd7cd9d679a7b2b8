// accel_uart.v - accel_soc.v behind a UART. Its parameters are those of accel_soc.v, with the same meaning.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_uart #(
    parameter Divisor = 16,                 // cycles of a bit: ClockHz / baud
    `SOC_PARAMETERS(50000000, 8192)
) (
    input  wire clk_i,
    input  wire rst_i,
    input  wire rx_i,
    output wire tx_o,
    output wire busy_o,
    `SOC_MEMORY_PORTS
);
    wire       in_valid, out_valid, out_ready, soc_ready;
    wire [7:0] in_byte, out_byte;
    wire        side_done, awake, bus_valid, bus_write;
    wire [31:0] side_data, bus_data;
    wire [15:0] bus_addr;
    uart_rx #(.Divisor(Divisor)) rx (
        .clk_i(clk_i), .rst_i(rst_i), .line_i(rx_i), .valid_o(in_valid), .data_o(in_byte));
    uart_tx #(.Divisor(Divisor)) tx (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(out_valid), .ready_o(out_ready), .data_i(out_byte), .line_o(tx_o));
    accel_soc #(`SOC_PASSED) soc (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(in_valid), .ready_o(soc_ready), .data_i(in_byte), .valid_o(out_valid),
        .ready_i(out_ready), .data_o(out_byte), .busy_o(busy_o), .awake_o(awake), .side_valid_i(1'b0), .side_write_i(1'b0),
        .side_addr_i(16'd0), .side_data_i(32'd0), .side_done_o(side_done), .side_data_o(side_data),
        .bus_valid_o(bus_valid), .bus_write_o(bus_write), .bus_addr_o(bus_addr), .bus_data_o(bus_data), .bus_done_i(1'b1),
        .bus_data_i(32'd0), `SOC_MEMORY_SPLIT);
    // it takes every byte; registers are read over the link; there are none beside it
    wire unused_ok = &{1'b0, soc_ready, side_done, side_data, awake, bus_valid, bus_write, bus_addr, bus_data};
endmodule
`default_nettype wire
