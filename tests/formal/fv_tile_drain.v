// fv_tile_drain.v - tile_drain.v: the slices of each chunk come once, in order, and are (P << dbl) + corr.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_tile_drain #(
    parameter Rows       = 4,
    parameter ScaleUnits = 1
) (
    input wire                clk_i,
    input wire                reset,
    input wire                valid_i,
    input wire                d_ready_i,
    input wire [Rows*24-1:0]  p_i,
    input wire                dbl_i,
    input wire signed [24:0]  corr_i,
    input wire signed [16:0]  sum_i
);
    localparam Slices = Rows / ScaleUnits;
    reg                       up = 1'b0;
    wire                      rst_i = reset || !up;
    wire                      ready_o, d_valid_o;
    wire [ScaleUnits*24-1:0]  d_o;
    wire signed [16:0]        d_sum_o;
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) dut (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .ready_o(ready_o), .p_i(p_i), .dbl_i(dbl_i),
        .corr_i(corr_i), .sum_i(sum_i), .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));

    wire                in = valid_i && ready_o, out = d_valid_o && d_ready_i;
    reg  [Rows*24-1:0]  p = 0;              // what is left of the chunk, next slice first
    reg                 dbl = 1'b0;
    reg  signed [24:0]  corr = 0;
    reg  signed [16:0]  sum = 0;
    reg  [7:0]          left = 8'd0;        // its slices
    reg  [1:0]          chunks = 2'd0;
    always @(posedge clk_i) begin
        up <= 1'b1;
        if (rst_i) begin
            left   <= 8'd0;
            chunks <= 2'd0;
        end else begin
            if (out) begin
                left <= left - 1'b1;
                p    <= p >> (ScaleUnits * 24);
            end
            if (in) begin
                left <= Slices;
                p    <= p_i;
                dbl  <= dbl_i;
                corr <= corr_i;
                sum  <= sum_i;
                if (chunks != 3) chunks <= chunks + 1'b1;
            end
        end
    end

    wire signed [23:0] p0 = p[23:0];
    wire signed [39:0] wide = p0;           // no overflow in 40 bits
    wire signed [39:0] c = corr;
    wire signed [39:0] exact = (dbl ? wide * 2 : wide) + c;
    always @* if (up) begin
        assert (left <= Slices);
        assert (d_valid_o == (left != 0));
        assert (ready_o == (left == 0 || (left == 1 && d_ready_i)));
        if (d_valid_o) assert (d_sum_o == sum);
        if (d_valid_o) assert (d_o[23:0] == exact[23:0]);
    end
`ifdef COVER
    always @* if (up) begin
        cover (chunks == 3 && left == 1 && dbl && exact[23:0] == 24'h123456);
        cover (chunks == 2 && left == Slices && corr[24] && d_o[23:0] == 24'hfffffe);
    end
`endif
endmodule
`default_nettype wire
