// fv_tiles.v - the kinds side by side: four lanes, one chunk of one step, any activations, given codes.
// Each tile gets the beats that the core would give it, and D of each row has to be the sum that the format defines.
// Row r has the codes codes_i + Codes + r: four codes of two bits, or two of four bits, and so on, lane 0 in the lowest bits.
// Codes count from the format's least number. A code beyond the eight bits is zero, and so must its activation be.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_tiles #(
    parameter Rows   = 1,
    parameter Planes = 2,
    parameter Codes  = 0,
    parameter Coding = 0
) (
    input  wire        clk_i,
    input  wire        start_i,             // take over activations and coding, begin again
    input  wire [31:0] x_i,
    input  wire [7:0]  codes_i,
    input  wire [1:0]  coding_i,            // 0 signed, 1 unsigned, 2 bipolar
    output reg         done_o,              // outputs go before a proof: abc would take them for properties
    output reg  [3:0]  bad_o                // with done_o: mac, bitserial, lut, lut4 went wrong
);
    reg  [4:0]  t = 5'd0;                   // cycle since start; the first one resets
    reg  [31:0] x = 32'd0;
    reg  [1:0]  coding = 2'd0;
`ifdef FORMAL
    // once, with a constant code and coding: a proof for each is feasible, one for all is not
    wire        start = 1'b0;
    wire [7:0]  codes = Codes;
    wire [1:0]  kind  = Coding;
`else
    wire        start = start_i;
    reg  [7:0]  codes = 8'd0;
    wire [1:0]  kind  = coding_i == 3 ? 2'd0 : coding_i;
    always @(posedge clk_i) if (start_i) codes <= codes_i + Codes;
`endif
    always @(posedge clk_i)
        if (start || t == 0) begin
            t      <= 5'd1;
            x      <= x_i;
            coding <= kind;
        end else if (t != 5'd31) t <= t + 5'd1;
    wire rst = start || t == 0;

    wire signed [16:0] sum = {{9{x[7]}}, x[7:0]} + {{9{x[15]}}, x[15:8]} + {{9{x[23]}}, x[23:16]} + {{9{x[31]}}, x[31:24]};
    wire [7:0]         top = 8'd1 << (Planes - 1);

    // the definition, and the planes, most significant first, as docs/core.md orders them
    reg  [Rows*24-1:0] exact;
    reg  [Rows*4-1:0]  u, pairs, fours;
    reg  [Rows*32-1:0] all;                 // mac: bit p of row r, lane l at p * Rows * 4 + r * 4 + l
    reg  [7:0]         code;
    reg  [31:0]        value, total;
    integer            r, l, p;
    always @* begin
        for (r = 0; r < Rows; r = r + 1) begin
            total = 32'd0;
            for (l = 0; l < 4; l = l + 1) begin
                code  = (codes + r[7:0]) >> (Planes * l);
                code  = code & ((8'd1 << Planes) - 8'd1);
                value = coding == 0 ? {24'd0, code} - {24'd0, top} :
                        coding == 1 ? {24'd0, code} : {23'd0, code, 1'b0} - ((32'd1 << Planes) - 32'd1);
                total = total + value * {{24{x[l*8+7]}}, x[l*8+:8]};
                u[r*4+l] = (code >> (Planes - t)) & 1;
                if (coding == 0) code = code - top;
                for (p = 0; p < 8; p = p + 1) all[p*Rows*4+r*4+l] = code[p];
            end
            exact[r*24+:24] = total[23:0];
            pairs[r*4+:4] = {!u[r*4+2], u[r*4+2] ^ u[r*4+3], !u[r*4], u[r*4] ^ u[r*4+1]};
            fours[r*4+:4] = {!u[r*4], u[r*4] ^ u[r*4+3], u[r*4] ^ u[r*4+2], u[r*4] ^ u[r*4+1]};
        end
    end

    wire              beat = t >= 1 && t <= Planes;
    wire [3:0]        planes = Planes;
    wire [3:0]        ready, valid;
    wire [Rows*24-1:0] d_mac, d_bitserial, d_lut, d_lut4;
    wire [16:0]       s_mac, s_bitserial, s_lut, s_lut4;
    tile_mac #(.Rows(Rows), .Lanes(4), .ScaleUnits(Rows)) mac (
        .clk_i(clk_i), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(t == 1), .ready_o(ready[0]),
        .first_i(1'b1), .plane_i(1'b0), .last_i(1'b1), .table_i(5'd0), .word_i(1'b1), .sel_i({Rows*2{1'b0}}), .x_i(x), .w_i(all), .sum_i(sum), .d_valid_o(valid[0]),
        .d_ready_i(1'b0), .d_o(d_mac), .d_sum_o(s_mac));
    tile_bitserial #(.Rows(Rows), .Lanes(4), .ScaleUnits(Rows)) bitserial (
        .clk_i(clk_i), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(beat), .ready_o(ready[1]),
        .first_i(t == 1), .plane_i(t != 1), .last_i(t == Planes), .table_i(5'd0), .word_i(1'b1), .sel_i({Rows*2{1'b0}}), .x_i(x), .w_i(u), .sum_i(sum), .d_valid_o(valid[1]),
        .d_ready_i(1'b0), .d_o(d_bitserial), .d_sum_o(s_bitserial));
`ifdef NO_LUT
    assign valid[3:2] = 2'b11;
    assign {d_lut, d_lut4, s_lut, s_lut4} = {exact, exact, sum, sum};
`else
    tile_lut #(.Rows(Rows), .Lanes(4), .ScaleUnits(Rows), .TableK(2)) lut (
        .clk_i(clk_i), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(beat), .ready_o(ready[2]),
        .first_i(t == 1), .plane_i(t != 1), .last_i(t == Planes), .table_i(5'd0), .word_i(1'b1), .sel_i({Rows*2{1'b0}}), .x_i(x), .w_i(pairs), .sum_i(sum),
        .d_valid_o(valid[2]), .d_ready_i(1'b0), .d_o(d_lut), .d_sum_o(s_lut));
    tile_lut #(.Rows(Rows), .Lanes(4), .ScaleUnits(Rows), .TableK(4)) lut4 (
        .clk_i(clk_i), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(beat), .ready_o(ready[3]),
        .first_i(t == 1), .plane_i(t != 1), .last_i(t == Planes), .table_i(5'd0), .word_i(1'b1), .sel_i({Rows*2{1'b0}}), .x_i(x), .w_i(fours), .sum_i(sum),
        .d_valid_o(valid[3]), .d_ready_i(1'b0), .d_o(d_lut4), .d_sum_o(s_lut4));
`endif
    always @* begin
        done_o   = t == Planes + 4;
        bad_o[0] = !valid[0] || d_mac != exact || s_mac != sum;
        bad_o[1] = !valid[1] || d_bitserial != exact || s_bitserial != sum;
        bad_o[2] = !valid[2] || d_lut != exact || s_lut != sum;
        bad_o[3] = !valid[3] || d_lut4 != exact || s_lut4 != sum;
`ifdef FORMAL
        if (done_o) assert (bad_o == 0);
`endif
    end
endmodule
`default_nettype wire
