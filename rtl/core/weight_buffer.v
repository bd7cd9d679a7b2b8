// weight_buffer.v - ring buffer of array words that are read once for each column and then freed.
// The reader walks forward from the oldest word it has not freed; at the end of a column it either goes
// back there (rewind) or, on the last column, frees each word as it reads it. A word read in one cycle is
// on data_o from the next cycle on, until the next read.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module weight_buffer #(
    parameter Width = 64,                   // bits of one array word
    parameter Depth = 16                    // words, a power of two, >= 2
) (
    input  wire             clk_i,
    input  wire             rst_i,
    input  wire             valid_i,
    output wire             ready_o,
    input  wire [Width-1:0] data_i,
    output wire             avail_o,        // the word at the read position has arrived
    input  wire             read_i,         // read it and step forward; only with avail_o
    input  wire             rewind_i,       // with read_i: then go back to the oldest word kept
    input  wire             free_i,         // with read_i: the word is not needed again
    output reg  [Width-1:0] data_o
);
    localparam Aw = $clog2(Depth);
    localparam Full = Depth;
    generate
        if (Depth < 2 || (1 << Aw) != Depth) weight_buffer_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    (* no_rw_check *) reg [Width-1:0] mem [0:Depth-1];    // what has arrived is not being written
    reg [Aw:0]      wr, rd, base;           // base: oldest word kept
    wire [Aw:0]     level = wr - base;

    assign ready_o = level != Full[Aw:0];
    assign avail_o = rd != wr;

    always @(posedge clk_i) begin
        if (valid_i && ready_o) mem[wr[Aw-1:0]] <= data_i;
        if (read_i) data_o <= mem[rd[Aw-1:0]];
    end
    always @(posedge clk_i)
        if (rst_i) begin
            wr   <= 0;
            rd   <= 0;
            base <= 0;
        end else begin
            if (valid_i && ready_o) wr <= wr + 1'b1;
            if (read_i) rd <= rewind_i ? base : rd + 1'b1;
            if (read_i && free_i) base <= base + 1'b1;
        end
endmodule
`default_nettype wire
