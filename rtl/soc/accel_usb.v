// accel_usb.v - accel_soc.v behind USB. Its parameters are those of accel_soc.v and usb_device.v, with the same meaning.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_usb #(
    parameter HighSpeed = 1,
    parameter Millisecond = 60000,
    parameter [63:0] Serial = "00000001",
    `SOC_PARAMETERS(60000000, 16384)
) (
    input  wire       clk_i,                // the transceiver's
    input  wire       rst_i,
    input  wire [1:0] line_state_i,
    input  wire       rx_active_i,
    input  wire       rx_valid_i,
    input  wire       rx_error_i,
    input  wire [7:0] rx_data_i,
    output wire       tx_valid_o,
    input  wire       tx_ready_i,
    output wire [7:0] tx_data_o,
    output wire [1:0] xcvr_select_o,
    output wire       term_select_o,
    output wire [1:0] op_mode_o,
    output wire       busy_o,
    output wire       awake_o,              // the firmware has something to do
    `SOC_MEMORY_PORTS
);
    wire        in_valid, in_ready, out_valid, out_ready, abort, side_valid, side_write, side_done;
    wire [7:0]  in_byte, out_byte;
    wire [15:0] side_addr;
    wire [31:0] side_out, side_in, bus_data;
    wire        bus_valid, bus_write; // there are no registers beside the link
    wire [15:0] bus_addr;
    wire        unused_ok = &{1'b0, bus_valid, bus_write, bus_addr, bus_data};
    usb_device #(.HighSpeed(HighSpeed), .Millisecond(Millisecond), .Serial(Serial), .ClockHz(ClockHz),
                 .Build(Build)) usb (
        .clk_i(clk_i), .rst_i(rst_i), .line_state_i(line_state_i), .rx_active_i(rx_active_i), .rx_valid_i(rx_valid_i),
        .rx_error_i(rx_error_i), .rx_data_i(rx_data_i), .tx_valid_o(tx_valid_o), .tx_ready_i(tx_ready_i), .tx_data_o(tx_data_o),
        .xcvr_select_o(xcvr_select_o), .term_select_o(term_select_o), .op_mode_o(op_mode_o), .valid_o(in_valid),
        .ready_i(in_ready), .data_o(in_byte), .valid_i(out_valid), .ready_o(out_ready), .data_i(out_byte), .abort_o(abort),
        .busy_i(busy_o), .reg_valid_o(side_valid), .reg_write_o(side_write), .reg_addr_o(side_addr), .reg_data_o(side_out),
        .reg_done_i(side_done), .reg_data_i(side_in));
    accel_soc #(`SOC_PASSED) soc (
        .clk_i(clk_i), .rst_i(rst_i || abort), .valid_i(in_valid), .ready_o(in_ready), .data_i(in_byte), .valid_o(out_valid),
        .ready_i(out_ready), .data_o(out_byte), .busy_o(busy_o), .awake_o(awake_o), .side_valid_i(side_valid), .side_write_i(side_write),
        .side_addr_i(side_addr), .side_data_i(side_out), .side_done_o(side_done), .side_data_o(side_in),
        .bus_valid_o(bus_valid), .bus_write_o(bus_write), .bus_addr_o(bus_addr), .bus_data_o(bus_data), .bus_done_i(1'b1),
        .bus_data_i(32'd0), `SOC_MEMORY_SPLIT);
endmodule
`default_nettype wire
