// asic_tb.v - a tile's netlist of standard cells beside its RTL, at work without pause: beats of random chunks, every output compared,
// a waveform of the netlist's nets while it works.
// Macros: TOP, PARAMS, ROWS, LANES, UNITS, W_BITS, D_BITS, PLANES (bits of a code), WHOLE (1: a beat has all planes of a step), CHUNKS.
// SPDX-License-Identifier: Apache-2.0
`timescale 1ns / 1ps
module asic_tb;
    localparam STEPS = 16;
    localparam CODE  = `WHOLE ? `W_BITS : `ROWS * `LANES;
    reg                       clk = 1'b0, rst = 1'b1, valid = 1'b0, first = 1'b0, plane = 1'b0, last = 1'b0;
    reg  [`LANES*8-1:0]       x = 0, chunk [0:STEPS-1];
    reg  [`W_BITS-1:0]        w = 0;
    reg  signed [16:0]        sum = 0, total;
    wire                      ready_a, ready_b, d_valid_a, d_valid_b;
    wire [`UNITS*`D_BITS-1:0] d_a, d_b;
    wire [16:0]               d_sum_a, d_sum_b;
    `TOP #(.Rows(`ROWS), .Lanes(`LANES), .ScaleUnits(`UNITS) `PARAMS) rtl (
        .clk_i(clk), .rst_i(rst), .planes_i(planes), .coding_i(2'd0), .valid_i(valid), .ready_o(ready_a),
        .first_i(first), .plane_i(plane), .last_i(last), .x_i(x), .w_i(w), .sum_i(sum), .d_valid_o(d_valid_a),
        .d_ready_i(1'b1), .d_o(d_a), .d_sum_o(d_sum_a));
    netlist dut (
        .clk_i(clk), .rst_i(rst), .planes_i(planes), .coding_i(2'd0), .valid_i(valid), .ready_o(ready_b),
        .first_i(first), .plane_i(plane), .last_i(last), .x_i(x), .w_i(w), .sum_i(sum), .d_valid_o(d_valid_b),
        .d_ready_i(1'b1), .d_o(d_b), .d_sum_o(d_sum_b));
    wire [3:0] planes = `PLANES;
    always #5 clk = !clk;

    integer seed = 1, c, p, s, i, cycles = 0, slices = 0, bad = 0;
    reg     counting = 1'b0;
    always @(posedge clk) begin
        if (counting) cycles = cycles + 1;
        if (!rst) begin
            if (ready_a !== ready_b || d_valid_a !== d_valid_b || ready_a === 1'bx || d_valid_a === 1'bx) bad = bad + 1;
            if (d_valid_a === 1'b1) begin
                slices = slices + 1;
                if (d_a !== d_b || d_sum_a !== d_sum_b || ^d_a === 1'bx) bad = bad + 1;
            end
        end
    end

    // Bell-shaped activations, as those of networks are; codes of any value.
    initial begin
        repeat (3) @(negedge clk);
        rst = 1'b0;
        for (c = 0; c < `CHUNKS + 2; c = c + 1) begin
            if (c == 2) begin                   // the first two fill the pipeline
                counting = 1'b1;
                $dumpvars(1, dut);
            end
            total = 0;
            for (s = 0; s < STEPS; s = s + 1)
                for (i = 0; i < `LANES; i = i + 1) begin
                    chunk[s][i*8+:8] = ({$random(seed)} % 64) + ({$random(seed)} % 64) + ({$random(seed)} % 64) + ({$random(seed)} % 64) - 126;
                    total = total + $signed(chunk[s][i*8+:8]);
                end
            for (p = 0; p < (`WHOLE ? 1 : `PLANES); p = p + 1)
                for (s = 0; s < STEPS; s = s + 1) begin
                    valid = 1'b1;
                    first = p == 0 && s == 0;
                    plane = p != 0 && s == 0;
                    last  = s == STEPS - 1 && (`WHOLE || p == `PLANES - 1);
                    sum   = total;
                    x     = chunk[s];
                    for (i = 0; i < CODE; i = i + 1)
                        // planes above the code copy its sign
                        w[i] = `WHOLE && i >= `PLANES * `ROWS * `LANES && `W_BITS == 8 * `ROWS * `LANES ? w[i-`ROWS*`LANES] : $random(seed);
                    @(posedge clk);
                    while (ready_a !== 1'b1) @(posedge clk);
                    @(negedge clk);
                end
        end
        $dumpoff;
        counting = 1'b0;
        valid    = 1'b0;
        repeat (2 * `ROWS + 8) @(negedge clk);
        if (bad == 0 && slices == (`CHUNKS + 2) * `ROWS / `UNITS)
            $display("PASS %0d cycles, %0d multiply-accumulates", cycles, `CHUNKS * STEPS * `ROWS * `LANES);
        else
            $display("FAIL %0d differences, %0d slices", bad, slices);
        $finish;
    end
endmodule
