// tile_tb.v - a synthesized tile against its RTL: same random jobs, stalls and resets, every output in every cycle.
// Macros: TOP, ROWS, LANES, UNITS, PARAMS (further parameters of TOP), W_BITS (of w_i), D_BITS (of one D), CYCLES;
// HAVE_TABLE, HAVE_SEL, HAVE_WORD if the tile has those ports. synth/netlist_check.sh reads all of them off the netlist.
// SPDX-License-Identifier: Apache-2.0
`timescale 1ns / 1ps
module tile_tb;
    reg                             clk = 1'b0, rst = 1'b1;
    reg  [3:0]                      planes;
    reg  [1:0]                      coding;
    reg                             valid, first, plane, last, d_ready;
    reg  [`LANES*8-1:0]             x;
    reg  [`W_BITS-1:0]              w;
    reg  [4:0]                      table_id;
    reg  [`ROWS*2-1:0]              sel;
    reg                             word;
    reg  signed [16:0]              sum;
    wire                            ready_a, ready_b, d_valid_a, d_valid_b;
    wire [`UNITS*`D_BITS-1:0]            d_a, d_b;
    wire [16:0]                     d_sum_a, d_sum_b;
    `TOP #(.Rows(`ROWS), .Lanes(`LANES), .ScaleUnits(`UNITS) `PARAMS) rtl (
`ifdef HAVE_TABLE
        .table_i(table_id),
`endif
`ifdef HAVE_SEL
        .sel_i(sel),
`endif
`ifdef HAVE_WORD
        .word_i(word),
`endif
        .clk_i(clk), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(valid), .ready_o(ready_a),
        .first_i(first), .plane_i(plane), .last_i(last), .x_i(x), .w_i(w), .sum_i(sum), .d_valid_o(d_valid_a),
        .d_ready_i(d_ready), .d_o(d_a), .d_sum_o(d_sum_a));
    netlist dut (
`ifdef HAVE_TABLE
        .table_i(table_id),
`endif
`ifdef HAVE_SEL
        .sel_i(sel),
`endif
`ifdef HAVE_WORD
        .word_i(word),
`endif
        .clk_i(clk), .rst_i(rst), .planes_i(planes), .coding_i(coding), .valid_i(valid), .ready_o(ready_b),
        .first_i(first), .plane_i(plane), .last_i(last), .x_i(x), .w_i(w), .sum_i(sum), .d_valid_o(d_valid_b),
        .d_ready_i(d_ready), .d_o(d_b), .d_sum_o(d_sum_b));
    always #5 clk = !clk;

`ifdef HAVE_TABLE
    localparam CODINGS = 4;                 // 3: a table
`else
    localparam CODINGS = 3;
`endif
    integer seed = 1, cycle, slices = 0, bad = 0, i, kind;
    initial begin
        // the first chunk starts the sums, whatever the tile held before
        {valid, first, plane, last, d_ready} = 5'b0;
        table_id = 5'd0;
        word     = 1'b1;
        sel      = {`ROWS*2{1'b0}};
        planes = 4'd2;
        coding = 2'd0;
        repeat (3) @(negedge clk);
        rst = 1'b0;
        for (cycle = 0; cycle < `CYCLES; cycle = cycle + 1) begin
            // the coding and the width change now and then, after the tile has run empty
            if (cycle % 64 == 0) begin
                {valid, d_ready} = 2'b01;
                repeat (2 * `ROWS + 8) begin
                    #4 check;
                    @(negedge clk);
                end
                planes = 1 + {$random(seed)} % 8;
                coding = {$random(seed)} % CODINGS;
                if (coding == 3) table_id = {$random(seed)} % 32;
                first  = 1'b1;
                plane  = 1'b0;
            end
            valid   = {$random(seed)} % 4 != 0;
            d_ready = {$random(seed)} % 3 != 0;
            last    = {$random(seed)} % 3 == 0;
            sum     = $random(seed);
            word    = {$random(seed)} % 4 != 0;
            for (i = 0; i < `ROWS * 2; i = i + 1) sel[i] = $random(seed);
            kind    = {$random(seed)} % 8;
            for (i = 0; i < `LANES; i = i + 1)
                x[i*8+:8] = kind == 0 ? 8'h80 : kind == 1 ? 8'h7f : $random(seed);
            for (i = 0; i < `W_BITS; i = i + 1)
                w[i] = kind == 2 ? 1'b1 : kind == 3 ? 1'b0 : $random(seed);
            #4 check;
            @(negedge clk);
            // a beat that was not taken would have to stay: checking a tile alone does not need that
            if (valid && ready_was) begin
                first = last;
                plane = !last && {$random(seed)} % 3 == 0;
            end
        end
        if (bad == 0 && slices > `CYCLES / 16)
            $display("PASS %0d cycles, %0d slices", `CYCLES, slices);
        else
            $display("FAIL %0d differences, %0d slices in %0d cycles", bad, slices, `CYCLES);
        $finish;
    end

    reg ready_was;
    task check;
        begin
            ready_was = ready_a;
            if (ready_a !== ready_b || d_valid_a !== d_valid_b || ready_a === 1'bx || d_valid_a === 1'bx) bad = bad + 1;
            if (d_valid_a === 1'b1) begin
                if (d_ready) slices = slices + 1;
                if (d_a !== d_b || d_sum_a !== d_sum_b || ^d_a === 1'bx) begin
                    bad = bad + 1;
                    if (bad < 4) $display("cycle %0d, %0d planes, coding %0d: D %h of the RTL, %h of the netlist; sums %h, %h",
                                          cycle, planes, coding, d_a, d_b, d_sum_a, d_sum_b);
                end
            end
        end
    endtask
endmodule
