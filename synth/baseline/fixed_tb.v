// fixed_tb.v - fixed_tile.v, or a netlist of it, against dot products worked out by multiplication here: random chunks, stalls,
// extreme values, every slice of D and the sums that go with it. synth/baseline.sh defines ROWS, LANES, WIDTH, PRODUCTS, CHUNKS
// and, for a netlist, NETLIST.
// SPDX-License-Identifier: Apache-2.0
module fixed_tb;
    reg                              clk = 1'b0, rst = 1'b1, valid = 1'b0, first = 1'b1, last = 1'b0, d_ready = 1'b0;
    reg  [`LANES*8-1:0]              x;
    reg  [`ROWS*`LANES*`WIDTH-1:0]   w;
    reg  signed [16:0]               sum;
    wire                             ready, d_valid;
    wire signed [23:0]               d;
    wire signed [16:0]               d_sum;
`ifdef NETLIST
    netlist dut (
`else
    fixed_tile #(.Rows(`ROWS), .Lanes(`LANES), .ScaleUnits(1), .Width(`WIDTH), .Products(`PRODUCTS)) dut (
`endif
        .clk_i(clk), .rst_i(rst), .valid_i(valid), .ready_o(ready), .first_i(first), .last_i(last), .x_i(x), .w_i(w), .sum_i(sum),
        .d_valid_o(d_valid), .d_ready_i(d_ready), .d_o(d), .d_sum_o(d_sum));
    always #5 clk = !clk;

    // what was sent: a chunk's D of each row, and S
    integer             want [0:`ROWS*`CHUNKS-1];
    integer             acc [0:`ROWS-1];
    reg signed [16:0]   want_sum [0:`CHUNKS-1];
    integer             seed = 1, sent = 0, seen = 0, bad = 0, cycle = 0, i, r, p, kind, code;
    reg                 taken = 1'b1;
    reg signed [7:0]    xi;
    initial begin
        repeat (3) @(negedge clk);
        rst = 1'b0;
        while (seen < `ROWS * `CHUNKS && cycle < 200 * `ROWS * `CHUNKS) begin
            if (taken) begin
                kind  = {$random(seed)} % 6;
                valid = sent < `CHUNKS && {$random(seed)} % 4 != 0;
                last  = {$random(seed)} % 3 == 0;
                sum   = $random(seed);
                for (i = 0; i < `LANES; i = i + 1) x[i*8+:8] = kind == 0 ? 8'h80 : kind == 1 ? 8'h7f : $random(seed);
                for (i = 0; i < `ROWS * `LANES * `WIDTH; i = i + 1)
                    w[i] = kind == 2 ? 1'b1 : kind < 2 ? i >= `ROWS * `LANES * (`WIDTH - 1) : $random(seed);
            end
            d_ready = {$random(seed)} % 3 != 0;
            #4;
            taken = !valid || ready === 1'b1;
            if (valid && taken) begin
                for (r = 0; r < `ROWS; r = r + 1) begin
                    if (first) acc[r] = 0;
                    for (i = 0; i < `LANES; i = i + 1) begin
                        code = 0;
                        for (p = 0; p < `WIDTH; p = p + 1)
                            if (w[p*`ROWS*`LANES+r*`LANES+i]) code = code + (p == `WIDTH - 1 ? -(1 << p) : 1 << p);
                        xi     = x[i*8+:8];
                        acc[r] = acc[r] + code * xi;
                    end
                    want[sent*`ROWS+r] = acc[r];
                end
                want_sum[sent] = sum;
                sent = sent + last;
            end
            if (d_valid === 1'bx || ready === 1'bx) bad = bad + 1;
            if (d_valid === 1'b1 && d_ready) begin
                if (seen >= sent * `ROWS || d !== want[seen][23:0] || d_sum !== want_sum[seen/`ROWS]) begin
                    bad = bad + 1;
                    if (bad < 4) $display("chunk %0d, row %0d: %0d instead of %0d", seen / `ROWS, seen % `ROWS, d, want[seen]);
                end
                seen = seen + 1;
            end
            @(negedge clk);
            if (valid && taken) first = last;
            cycle = cycle + 1;
        end
        if (bad == 0 && seen == `ROWS * `CHUNKS) $display("PASS %0d values of D in %0d cycles", seen, cycle);
        else $display("FAIL %0d wrong of %0d values of D, %0d missing", bad, seen, `ROWS * `CHUNKS - seen);
        $finish;
    end
endmodule
