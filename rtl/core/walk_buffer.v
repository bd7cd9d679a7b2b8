// walk_buffer.v - what the sequencer must know of each array word before it reads it: how far to advance in the
// activations, and whether the word is its chunk's last. Moves in step with weight_buffer.v and holds as many words.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module walk_buffer #(
    parameter Width = 8,
    parameter Depth = 16                    // words, a power of two, >= 2; as weight_buffer
) (
    input  wire             clk_i,
    input  wire             rst_i,
    input  wire             write_i,        // weight_buffer takes a word
    input  wire [Width-1:0] data_i,
    input  wire             read_i,         // as weight_buffer's
    input  wire             rewind_i,
    input  wire             free_i,
    output wire [Width-1:0] data_o          // of the word at the read position, if it has arrived
);
    localparam Aw = $clog2(Depth);
    generate
        if (Depth < 2 || (1 << Aw) != Depth) walk_buffer_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    reg [Width-1:0] mem [0:Depth-1];
    reg [Aw-1:0]    wr, rd, base;
    assign data_o = mem[rd];

    always @(posedge clk_i)
        if (write_i) mem[wr] <= data_i;
    always @(posedge clk_i)
        if (rst_i) begin
            wr   <= 0;
            rd   <= 0;
            base <= 0;
        end else begin
            if (write_i) wr <= wr + 1'b1;
            if (read_i) rd <= rewind_i ? base : rd + 1'b1;
            if (read_i && free_i) base <= base + 1'b1;
        end
endmodule
`default_nettype wire
