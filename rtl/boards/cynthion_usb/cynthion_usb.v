// cynthion_usb.v - the core on a Cynthion r1.4 (ECP5) behind the USB transceiver of its socket TARGET C, at high speed.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module cynthion_usb #(
    parameter Mhz = 60                      // clock of the core: ULPI's
) (
    input  wire       clk_60mhz_i,
    output wire       ulpi_clk_o,           // the transceiver takes its clock from here
    output wire       ulpi_rst_n_o,
    input  wire       ulpi_dir_i,
    input  wire       ulpi_nxt_i,
    output wire       ulpi_stp_o,
    inout  wire [7:0] ulpi_data_io,
    input  wire       button_n_i,           // "USER"
    output wire [5:0] led_n_o
);
    wire       clk, locked, rst, alive, work, oe;
    wire [7:0] data_in, data_out;
    ecp5_clock #(.CrystalMhz(60), .Turns(12), .Mhz(Mhz)) clock (.clk_i(clk_60mhz_i), .clk_o(clk), .locked_o(locked));
    genvar i;
    generate
        for (i = 0; i < 8; i = i + 1) begin : g_data
            ecp5_pad pad (.pad_io(ulpi_data_io[i]), .oe_i(oe), .data_i(data_out[i]), .data_o(data_in[i]));
        end
    endgenerate
    board_ulpi board (
        .clk_i(clk), .locked_i(locked), .button_i(!button_n_i), .dir_i(ulpi_dir_i), .nxt_i(ulpi_nxt_i), .stp_o(ulpi_stp_o),
        .data_i(data_in), .data_o(data_out), .oe_o(oe), .rst_o(rst), .alive_o(alive), .work_o(work));
    assign ulpi_clk_o   = clk;
    assign ulpi_rst_n_o = locked;
    assign led_n_o = ~{locked, rst, 2'd0, work, alive};
endmodule
`default_nettype wire
