// accel_ulpi.v - accel_usb.v behind a ULPI transceiver. Its parameters are accel_usb.v's.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_ulpi #(
    parameter HighSpeed = 1,
    parameter Millisecond = 60000,
    parameter [63:0] Serial = "00000001",
    `SOC_PARAMETERS(60000000, 16384)
) (
    input  wire       clk_i,                // the transceiver's 60 MHz
    input  wire       rst_i,
    input  wire       dir_i,
    input  wire       nxt_i,
    output wire       stp_o,
    input  wire [7:0] data_i,
    output wire [7:0] data_o,
    output wire       oe_o,
    output wire       busy_o,
    `SOC_MEMORY_PORTS
);
    generate
        if (ClockHz != 60000000) accel_ulpi_clock_must_be_60_mhz bad_parameter();
    endgenerate

    wire [1:0] line_state, xcvr_select, op_mode;
    wire       rx_active, rx_valid, rx_error, tx_valid, tx_ready, term_select, awake;
    wire [7:0] rx_data, tx_data;
    usb_ulpi phy (
        .clk_i(clk_i), .rst_i(rst_i), .dir_i(dir_i), .nxt_i(nxt_i), .stp_o(stp_o), .data_i(data_i), .data_o(data_o), .oe_o(oe_o),
        .line_state_o(line_state), .rx_active_o(rx_active), .rx_valid_o(rx_valid), .rx_error_o(rx_error), .rx_data_o(rx_data),
        .tx_valid_i(tx_valid), .tx_ready_o(tx_ready), .tx_data_i(tx_data), .xcvr_select_i(xcvr_select),
        .term_select_i(term_select), .op_mode_i(op_mode));
    wire unused_ok = &{1'b0, awake};
    accel_usb #(.HighSpeed(HighSpeed), .Millisecond(Millisecond), .Serial(Serial), `SOC_PASSED) usb (
        .clk_i(clk_i), .rst_i(rst_i), .line_state_i(line_state), .rx_active_i(rx_active), .rx_valid_i(rx_valid),
        .rx_error_i(rx_error), .rx_data_i(rx_data), .tx_valid_o(tx_valid), .tx_ready_i(tx_ready), .tx_data_o(tx_data),
        .xcvr_select_o(xcvr_select), .term_select_o(term_select), .op_mode_o(op_mode), .busy_o(busy_o),
        .awake_o(awake), `SOC_MEMORY_PASSED);
endmodule
`default_nettype wire
