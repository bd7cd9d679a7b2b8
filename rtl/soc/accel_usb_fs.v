// accel_usb_fs.v - accel_usb.v at full speed behind two pins. Its parameters are accel_usb.v's.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_usb_fs #(
    parameter Millisecond = 48000,
    parameter [63:0] Serial = "00000001",
    `SOC_PARAMETERS(48000000, 16384)
) (
    input  wire       clk_i,                // 48 MHz
    input  wire       rst_i,
    input  wire       dp_i,
    input  wire       dn_i,
    output wire       dp_o,
    output wire       dn_o,
    output wire       oe_o,
    output wire       busy_o,
    `SOC_MEMORY_PORTS
);
    generate
        if (ClockHz != 48000000) accel_usb_fs_clock_must_be_48_mhz bad_parameter();
    endgenerate

    wire [1:0] line_state, xcvr_select, op_mode;
    wire       rx_active, rx_valid, rx_error, tx_valid, tx_ready, term_select, awake;
    wire [7:0] rx_data, tx_data;
    usb_fs_phy phy (
        .clk_i(clk_i), .rst_i(rst_i), .dp_i(dp_i), .dn_i(dn_i), .dp_o(dp_o), .dn_o(dn_o), .oe_o(oe_o), .line_state_o(line_state),
        .rx_active_o(rx_active), .rx_valid_o(rx_valid), .rx_error_o(rx_error), .rx_data_o(rx_data), .tx_valid_i(tx_valid),
        .tx_ready_o(tx_ready), .tx_data_i(tx_data));
    wire unused_ok = &{1'b0, xcvr_select, op_mode, term_select, awake};
    accel_usb #(.HighSpeed(0), .Millisecond(Millisecond), .Serial(Serial), `SOC_PASSED) usb (
        .clk_i(clk_i), .rst_i(rst_i), .line_state_i(line_state), .rx_active_i(rx_active), .rx_valid_i(rx_valid),
        .rx_error_i(rx_error), .rx_data_i(rx_data), .tx_valid_o(tx_valid), .tx_ready_i(tx_ready), .tx_data_o(tx_data),
        .xcvr_select_o(xcvr_select), .term_select_o(term_select), .op_mode_o(op_mode), .busy_o(busy_o),
        .awake_o(awake), `SOC_MEMORY_PASSED);
endmodule
`default_nettype wire
