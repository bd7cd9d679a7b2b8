// ecp5_sdram.v - the pins of a board's SDRAM, see board_sdram.v.
//
// The chip's clock runs a tenth of a period ahead of the core's, by ecp5_clocks.v: 2.1 ns of 20.8 at 48 MHz. To the chip: what the
// core gives has 17.2 ns to a pin (nine tenths, less 1.5 ns of setup), and keeps the chip's hold time of 0.8 ns as long as it is not
// 1.3 ns faster there than the clock. In phase it would have none of that to spare. From the chip: words come within 6 ns of its
// edge and stay 2.5 ns beyond the next one, so clock out and data in may take 16.9 ns, and however little. Were the clock inverted,
// 4.4 ns would be left for them, less than two pads take.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module ecp5_sdram (
    input  wire        early_i,
    input  wire [38:0] sdram_i,
    output wire [15:0] sdram_o,
    output wire        clk_o,
    output wire        cke_o,
    output wire        cs_n_o,
    output wire        ras_n_o,
    output wire        cas_n_o,
    output wire        we_n_o,
    output wire [1:0]  ba_o,
    output wire [12:0] a_o,
    output wire [1:0]  dqm_o,
    inout  wire [15:0] d_io
);
    wire [15:0] d;
    wire        oe;
    assign {cke_o, cs_n_o, ras_n_o, cas_n_o, we_n_o, ba_o, a_o, dqm_o, d, oe} = sdram_i;
    ODDRX1F clock (.SCLK(early_i), .RST(1'b0), .D0(1'b1), .D1(1'b0), .Q(clk_o));
    genvar i;
    generate
        for (i = 0; i < 16; i = i + 1) begin : g_data
            ecp5_pad pad (.pad_io(d_io[i]), .oe_i(oe), .data_i(d[i]), .data_o(sdram_o[i]));
        end
    endgenerate
endmodule
`default_nettype wire
