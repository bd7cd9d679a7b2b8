// beat_delay.v - what belongs to a beat, so many enabled cycles later: the stages of a tile's pipeline, which move together.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module beat_delay #(
    parameter Width  = 1,
    parameter Stages = 1                    // 0: none, wires
) (
    input  wire             clk_i,
    input  wire             rst_i,
    input  wire             en_i,
    input  wire             valid_i,
    input  wire [Width-1:0] data_i,
    output wire             valid_o,
    output wire [Width-1:0] data_o
);
    wire [Stages:0]             valid;
    wire [(Stages+1)*Width-1:0] data;
    assign valid[0]        = valid_i;
    assign data[Width-1:0] = data_i;
    assign valid_o         = valid[Stages];
    assign data_o          = data[Stages*Width+:Width];
    genvar g;
    generate
        if (Stages == 0) begin : g_none
            wire unused_ok = &{1'b0, clk_i, rst_i, en_i};
        end
        for (g = 0; g < Stages; g = g + 1) begin : g_stage
            reg             v;
            reg [Width-1:0] d;
            assign valid[g+1]               = v;
            assign data[(g+1)*Width+:Width] = d;
            always @(posedge clk_i)
                if (rst_i) v <= 1'b0;
                else if (en_i) v <= valid[g];
            always @(posedge clk_i)
                if (en_i && valid[g]) d <= data[g*Width+:Width];
        end
    endgenerate
endmodule
`default_nettype wire
