// fv_fifo.v - fifo.v against a counter and one marked entry.
// The marked entry is any entry that ever goes in: its data is kept and the entries ahead of it are counted. If it always
// comes out in its turn and unchanged, none is lost, doubled or reordered.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_fifo #(
    parameter Width = 2,
    parameter Depth = 4
) (
    input wire             clk_i,
    input wire             reset,           // the environment's choices, all of them in every cycle
    input wire             mark,
    input wire             valid_i,
    input wire             ready_i,
    input wire [Width-1:0] data_i
);
    reg              up = 1'b0;             // low in the first cycle, which resets
    wire             rst_i = reset || !up;
    wire             ready_o, valid_o;
    wire [Width-1:0] data_o;
    fifo #(.Width(Width), .Depth(Depth)) dut (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .ready_o(ready_o), .data_i(data_i), .valid_o(valid_o),
        .ready_i(ready_i), .data_o(data_o));

    wire             in = valid_i && ready_o, out = valid_o && ready_i;
    reg [7:0]        level = 8'd0, ahead = 8'd0;
    reg              marked = 1'b0, was_full = 1'b0;
    reg [Width-1:0]  kept = 0;
    always @(posedge clk_i) begin
        up <= 1'b1;
        if (rst_i) begin
            level    <= 8'd0;
            marked   <= 1'b0;
            was_full <= 1'b0;
        end else begin
            level <= level + in - out;
            if (level == Depth) was_full <= 1'b1;
            if (mark && in && !marked) begin
                marked <= 1'b1;
                kept   <= data_i;
                ahead  <= level - out;
            end else if (marked && out) begin
                marked <= ahead != 0;
                ahead  <= ahead - 1'b1;
            end
        end
    end
    always @* if (up) begin
        assert (level <= Depth);
        assert (ready_o == (level != Depth));
        assert (valid_o == (level != 0));
        if (marked) assert (ahead < level);
        if (marked && ahead == 0) assert (data_o == kept);
    end
`ifdef COVER
    always @* if (up) begin
        cover (was_full && level == 0);
        cover (marked && ahead == Depth - 1);
        cover (marked && was_full && ahead == 0 && out && kept != 0);
    end
`endif
endmodule
`default_nettype wire
