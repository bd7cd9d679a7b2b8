// board_sdram.v - the SDRAM of a board, or none: 32 MB, as the chips of 8192 rows and 512 columns have it (MT48LC16M16,
// IS42S16160, W9825G6); of those with 1024 columns (AS4C32M16) half is used. The times are those of the slower ones.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module board_sdram #(
    parameter Memory  = 0,                  // 0: none
    parameter ClockHz = 45000000            // up to 100 MHz: latency 2
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire [46:0] mem_i,               // the memory port, see soc_parameters.v
    output wire [50:0] mem_o,
    // the chip, whose clock is clk_i or a little earlier: {cke, cs_n, ras_n, cas_n, we_n, ba, a, dqm, dq, dq_oe}; and its data
    output wire [38:0] sdram_o,
    input  wire [15:0] sdram_i
);
    generate
        if (ClockHz > 100000000) board_sdram_clock_must_be_100_mhz_or_less bad_parameter();
        if (Memory != 0) begin : g_memory
            sdram #(.ClockHz(ClockHz), .RowBits(13), .ColBits(9), .Cas(2), .Inverted(0), .RcdNs(21), .RpNs(21), .RasNs(45),
                    .RcNs(70), .WrNs(15), .RfcNs(70), .RetainMs(64), .PowerUs(200)) sdram (
                .clk_i(clk_i), .rst_i(rst_i), .valid_i(mem_i[46]), .ready_o(mem_o[18]), .write_i(mem_i[45]), .addr_i(mem_i[37:17]),
                .take_o(mem_o[17]), .data_i(mem_i[16:1]), .strobe_i(mem_i[0]), .valid_o(mem_o[16]), .data_o(mem_o[15:0]),
                .cke_o(sdram_o[38]), .cs_n_o(sdram_o[37]), .ras_n_o(sdram_o[36]), .cas_n_o(sdram_o[35]), .we_n_o(sdram_o[34]),
                .ba_o(sdram_o[33:32]), .a_o(sdram_o[31:19]), .dqm_o(sdram_o[18:17]), .dq_o(sdram_o[16:1]), .dq_oe_o(sdram_o[0]),
                .dq_i(sdram_i));
            assign mem_o[50:19] = 32'd33554432;
            wire unused_ok = &{1'b0, mem_i[44:38]}; // nobody asks beyond its bytes
        end else begin : g_none
            assign mem_o   = 51'd0;
            assign sdram_o = 39'h0f << 34;  // no clock is enabled, no command given
            wire unused_ok = &{1'b0, clk_i, rst_i, mem_i, sdram_i};
        end
    endgenerate
endmodule
`default_nettype wire
