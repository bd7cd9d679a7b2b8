// fixed_tile.v - the conventional array that the tiles of rtl/pe/ are measured against: weights of one fixed width, a step a
// cycle, output-stationary. Operand registers, trees, accumulators and drain are those of the tiles; nothing is chosen at run time,
// and no table is shared between rows.
// Products = 0: a tree of masked activations for each bit of the weights, the bits put together behind the trees.
// Products = 1: a multiplier for each weight and one tree of the products.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fixed_tile #(
    parameter Rows       = 8,
    parameter Lanes      = 8,               // a power of two, 2..256
    parameter ScaleUnits = 2,               // divides Rows
    parameter Width      = 2,               // bits of a weight, two's complement: 2..8
    parameter Products   = 0
) (
    input  wire                        clk_i,
    input  wire                        rst_i,
    input  wire                        valid_i,
    output wire                        ready_o,
    input  wire                        first_i,
    input  wire                        last_i,
    input  wire [Lanes*8-1:0]          x_i,
    input  wire [Rows*Lanes*Width-1:0] w_i,      // bit p of row r, lane l at p * Rows * Lanes + r * Lanes + l
    input  wire signed [16:0]          sum_i,
    output wire                        d_valid_o,
    input  wire                        d_ready_i,
    output wire [ScaleUnits*24-1:0]    d_o,
    output wire signed [16:0]          d_sum_o
);
    localparam Plane = Rows * Lanes;
    generate
        if (Lanes < 2 || Lanes > 256 || (Lanes & (Lanes - 1)) != 0) fixed_tile_lanes_must_be_a_power_of_two bad_parameter();
        if (Width < 2 || Width > 8) fixed_tile_width_must_be_2_to_8 bad_parameter();
        if (Products != 0 && Products != 1) fixed_tile_products_must_be_0_or_1 bad_parameter();
    endgenerate

    // ---- stage 1: operands
    wire                       en;          // both stages move
    reg                        v1, first1, last1;
    reg signed [16:0]          sum1;
    reg [Lanes*8-1:0]          x1;
    reg [Rows*Lanes*Width-1:0] w1;
    always @(posedge clk_i)
        if (rst_i) v1 <= 1'b0;
        else if (en) v1 <= valid_i;
    always @(posedge clk_i)
        if (en && valid_i) begin
            first1 <= first_i;
            last1  <= last_i;
            sum1   <= sum_i;
            x1     <= x_i;
            w1     <= w_i;
        end

    // ---- stage 2: each row's dot product
    wire [Rows*24-1:0] dot;
    genvar r, p;
    generate
        for (r = 0; r < Rows; r = r + 1) begin : g_row
            if (Products != 0) begin : g_products
                wire [Width*Lanes-1:0] w;
                for (p = 0; p < Width; p = p + 1) begin : g_plane
                    assign w[p*Lanes+:Lanes] = w1[p*Plane+r*Lanes+:Lanes];
                end
                fixed_tree #(.Lanes(Lanes), .Width(Width)) tree (.x_i(x1), .w_i(w), .sum_o(dot[r*24+:24]));
            end else begin : g_planes
                for (p = 0; p < Width; p = p + 1) begin : g_plane
                    wire [23:0] ones, sum;  // sum: this plane and those above, in units of this one; the highest is negative
                    fixed_tree #(.Lanes(Lanes), .Width(1)) tree (.x_i(x1), .w_i(w1[p*Plane+r*Lanes+:Lanes]), .sum_o(ones));
                    if (p == Width - 1) begin : g_sum
                        assign sum = ones;
                    end else if (p == Width - 2) begin : g_sum
                        assign sum = ones - (g_plane[p+1].sum << 1);
                    end else begin : g_sum
                        assign sum = ones + (g_plane[p+1].sum << 1);
                    end
                end
                assign dot[r*24+:24] = g_plane[0].sum;
            end
        end
    endgenerate

    reg                v2;                  // acc is complete
    reg signed [16:0]  sum2;
    reg [Rows*24-1:0]  acc;
    integer            i;
    always @(posedge clk_i)
        if (rst_i) v2 <= 1'b0;
        else if (en) v2 <= v1 && last1;
    always @(posedge clk_i)
        if (en && v1) begin
            for (i = 0; i < Rows; i = i + 1) acc[i*24+:24] <= dot[i*24+:24] + (acc[i*24+:24] & {24{!first1}});
            sum2 <= sum1;
        end

    wire drain_ready;
    assign en      = !v2 || drain_ready;
    assign ready_o = en;
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(v2), .ready_o(drain_ready), .p_i(acc), .dbl_i(1'b0), .corr_i(25'sd0),
        .sum_i(sum2), .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`default_nettype wire
