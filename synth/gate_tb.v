// gate_tb.v - runs the jobs of gate_jobs.c on a core's netlist, in four states: every flip-flop and memory begins unknown, and
// beats that are not valid are unknown, so whatever leaks from either into a handshake or a result is seen.
// Usage: synth/gate.sh. Macros: LANES, UNITS, W_BITS; STALLS: every so many cycles one is without a beat, 1 for none;
// NO_RESET.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
`timescale 1ns / 1ps
module gate_tb;
    reg clk = 1'b0, rst = 1'bx;
    always #5 clk = ~clk;

    // ---- inputs: from files, a beat a line
    reg [127:0]          cmd;
    reg [`LANES*8-1:0]   x;
    reg [`W_BITS-1:0]    w;
    reg [`UNITS*16-1:0]  h;
    reg [63:0]           o;
    reg [4:0]            there = 0, valid = 0;      // cmd, x, w, h, o: a beat was read; it is offered
    wire [4:0]           ready;
    integer              file [0:4];
    integer              r_file, cpl_file, got, i;

    wire                 r_valid, cpl_valid;
    reg                  r_ready = 1'b0, cpl_ready = 1'b0;
    wire [`UNITS*48-1:0] r;
    wire [23:0]          cpl;
    reg  [`UNITS*48-1:0] r_want;
    reg  [23:0]          cpl_want;
    integer              due, results, completions, cycles, idle, seed, bad;
    reg                  cpl_more, open;
    wire [31:0]          reg_data;

    netlist dut (
        .clk_i(clk), .rst_i(rst),
        .cmd_valid_i(valid[0]), .cmd_ready_o(ready[0]), .cmd_i(valid[0] ? cmd : 128'bx),
        .x_valid_i(valid[1]), .x_ready_o(ready[1]), .x_i(valid[1] ? x : {`LANES*8{1'bx}}),
        .w_valid_i(valid[2]), .w_ready_o(ready[2]), .w_i(valid[2] ? w : {`W_BITS{1'bx}}),
        .h_valid_i(valid[3]), .h_ready_o(ready[3]), .h_i(valid[3] ? h : {`UNITS*16{1'bx}}),
        .o_valid_i(valid[4]), .o_ready_o(ready[4]), .o_i(valid[4] ? o : 64'bx),
        .r_valid_o(r_valid), .r_ready_i(r_ready), .r_o(r),
        .cpl_valid_o(cpl_valid), .cpl_ready_i(cpl_ready), .cpl_o(cpl),
        .reg_addr_i(6'd2), .reg_data_o(reg_data));

    // The next beat of a stream, if there is one.
    task next(input integer s);
        begin
            case (s)
            0: got = $fscanf(file[0], "%h", cmd);
            1: got = $fscanf(file[1], "%h", x);
            2: got = $fscanf(file[2], "%h", w);
            3: got = $fscanf(file[3], "%h", h);
            default: got = $fscanf(file[4], "%h", o);
            endcase
            there[s] = got == 1;
        end
    endtask

    task complain(input [8*40-1:0] what);
        begin
            if (bad < 10) $display("FAIL %0s in cycle %0d, after %0d results and %0d completions", what, cycles, results, completions);
            bad = bad + 1;
        end
    endtask

    function stall(input integer unused);
        stall = `STALLS > 1 && $random(seed) % `STALLS == 0;
    endfunction

    initial begin
        file[0] = $fopen("cmd.hex", "r");
        file[1] = $fopen("x.hex", "r");
        file[2] = $fopen("w.hex", "r");
        file[3] = $fopen("h.hex", "r");
        file[4] = $fopen("o.hex", "r");
        r_file   = $fopen("r.hex", "r");
        cpl_file = $fopen("cpl.hex", "r");
        seed = 1; bad = 0; results = 0; completions = 0; cycles = 0; idle = 0;
        for (i = 0; i < 5; i = i + 1) next(i);
        cpl_more = $fscanf(cpl_file, "%h %h", due, cpl_want) == 2;
        // Two clocks of reset, after some without: nothing but reset brings the core into a known state.
        repeat (3) @(negedge clk);
`ifdef NO_RESET
        rst = 1'b0;
`else
        rst = 1'b1;
`endif
        repeat (2) @(negedge clk);
        rst = 1'b0;
        while (idle < 50 && bad == 0 && cycles < 200000) begin
            for (i = 0; i < 5; i = i + 1) valid[i] = there[i] && (valid[i] || !stall(0));
            r_ready   = !stall(0);
            cpl_ready = !stall(0);
            #1;
            if (^{ready, r_valid, cpl_valid} === 1'bx) complain("an unknown handshake");
            if (^reg_data === 1'bx) complain("an unknown register");
            if (r_valid === 1'b1 && ^r === 1'bx) complain("an unknown result");
            if (cpl_valid === 1'b1 && ^cpl === 1'bx) complain("an unknown completion");
            open = 1'b0;
            if (r_valid && r_ready) begin
                open = 1'b1;
                if ($fscanf(r_file, "%h", r_want) != 1) complain("a result more than there are");
                else if (r !== r_want) complain("a wrong result");
                results = results + 1;
            end
            if (cpl_valid && cpl_ready) begin
                open = 1'b1;
                if (!cpl_more) complain("a completion more than commands");
                else if (cpl !== cpl_want) complain("a wrong completion");
                else if (results < due) complain("a completion before its results");
                cpl_more    = $fscanf(cpl_file, "%h %h", due, cpl_want) == 2;
                completions = completions + 1;
            end
            idle = open || |(valid & ready) || cpl_more ? 0 : idle + 1;
            @(posedge clk);
            #1;
            for (i = 0; i < 5; i = i + 1)
                if (valid[i] && taken[i]) begin
                    next(i);
                    valid[i] = 1'b0;
                end
            cycles = cycles + 1;
            @(negedge clk);
        end
        if (bad == 0) begin
            if (cpl_more) complain("a completion is missing");
            if ($fscanf(r_file, "%h", r_want) == 1) complain("a result is missing");
            if (there != 0) complain("beats are left");
            if (completions == 0 || results == 0) complain("nothing was run");
        end
        if (bad == 0) $display("PASS %0d results, %0d completions, %0d cycles", results, completions, cycles);
        $finish;
    end

    // the handshakes as the clock's edge saw them
    reg [4:0] taken;
    always @(posedge clk) taken <= valid & ready;
endmodule
`default_nettype wire
