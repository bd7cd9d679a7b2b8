// fifo.v - small first-in first-out buffer in registers; output is valid in the cycle after the write.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fifo #(
    parameter Width = 8,                // bits of one entry, >= 1
    parameter Depth = 4                 // entries, a power of two, >= 2
) (
    input  wire             clk_i,
    input  wire             rst_i,      // synchronous, active high: empties the buffer
    input  wire             valid_i,
    output wire             ready_o,
    input  wire [Width-1:0] data_i,
    output wire             valid_o,
    input  wire             ready_i,
    output wire [Width-1:0] data_o
);
    localparam Aw = $clog2(Depth);
    localparam Full = Depth;
    generate
        if (Depth < 2 || (1 << Aw) != Depth) fifo_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    reg [Width-1:0] mem [0:Depth-1];
    reg [Aw:0]      wr, rd;             // one bit more than the address tells full from empty
    wire [Aw:0]     level = wr - rd;

    assign ready_o = level != Full[Aw:0];
    assign valid_o = level != 0;
    assign data_o  = mem[rd[Aw-1:0]];

    always @(posedge clk_i)
        if (valid_i && ready_o) mem[wr[Aw-1:0]] <= data_i;
    always @(posedge clk_i)
        if (rst_i) begin
            wr <= 0;
            rd <= 0;
        end else begin
            if (valid_i && ready_o) wr <= wr + 1'b1;
            if (valid_o && ready_i) rd <= rd + 1'b1;
        end
endmodule
`default_nettype wire
