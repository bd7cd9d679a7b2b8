// fv_weight_buffer.v - weight_buffer.v against counters and one marked word.
// Freeing goes on from the oldest word kept, as the sequencer does on the last column; rewinding may come at any read.
// The marked word is any word ever written: it must be the one read at its place, in every pass, until it is freed.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_weight_buffer #(
    parameter Width = 2,
    parameter Depth = 4
) (
    input wire             clk_i,
    input wire             reset,
    input wire             mark,
    input wire             valid_i,
    input wire             read,
    input wire             rewind,
    input wire             free,
    input wire [Width-1:0] data_i
);
    reg              up = 1'b0;
    wire             rst_i = reset || !up;
    wire             ready_o, avail_o;
    wire [Width-1:0] data_o;
    reg  [7:0]       kept = 8'd0, pos = 8'd0;       // words not freed; words of them read in this pass
    wire             read_i = read && avail_o, free_i = free && pos == 0, rewind_i = rewind && !free_i;
    weight_buffer #(.Width(Width), .Depth(Depth)) dut (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .ready_o(ready_o), .data_i(data_i), .avail_o(avail_o),
        .read_i(read_i), .rewind_i(rewind_i), .free_i(free_i), .data_o(data_o));

    wire             in = valid_i && ready_o, gone = read_i && free_i;
    reg              marked = 1'b0, show = 1'b0, was_full = 1'b0;
    reg  [7:0]       at = 8'd0, passes = 8'd0;      // the marked word's place among those kept
    reg  [Width-1:0] word = 0, shown = 0;
    always @(posedge clk_i) begin
        up <= 1'b1;
        if (rst_i) begin
            kept   <= 8'd0;
            pos    <= 8'd0;
            marked <= 1'b0;
            show   <= 1'b0;
        end else begin
            kept <= kept + in - gone;
            if (kept == Depth) was_full <= 1'b1;
            if (read_i && !free_i) pos <= rewind_i ? 8'd0 : pos + 1'b1;
            if (mark && in && !marked) begin
                marked <= 1'b1;
                word   <= data_i;
                at     <= kept - gone;
                passes <= 8'd0;
            end else if (marked && gone) begin
                marked <= at != 0;
                at     <= at - 1'b1;
            end
            if (read_i) begin
                show  <= marked && at == pos;
                shown <= word;
                if (marked && at == pos && passes != 3) passes <= passes + 1'b1;
            end
        end
    end
    always @* if (up) begin
        assert (kept <= Depth && pos <= kept);
        assert (ready_o == (kept != Depth));
        assert (avail_o == (pos != kept));
        if (marked) assert (at < kept);
        if (show) assert (data_o == shown);         // until the next read
    end
`ifdef COVER
    always @* if (up) begin
        cover (was_full && kept == 0);
        cover (show && passes == 3 && shown != 0);
        cover (marked && at == Depth - 1 && pos == Depth - 1);
    end
`endif
endmodule
`default_nettype wire
