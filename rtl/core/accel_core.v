// accel_core.v - the accelerator: command queue, activation and weight buffers, one tile of PEs, group scaling
// with exact accumulators, requantization, counters. Knows nothing of links; docs/core.md describes every stream.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none

// What the kinds need, by Kind (docs/core.md has the table):
//   0 mac  1 bitserial  2 lut  3 lut4  4 lut3  5 popcount  6 tlut  7 term  8 shiftadd  9 dpred  10 laconic  11 tclp
//   12 tcle  13 nm  14 nm16  15 olive  16 ant  17 bismo
// steps that a tile chooses activations from: 0, words and steps go together
`define WINDOW (Kind == 11 || Kind == 12 ? 3 : Kind == 13 || Kind == 14 ? 1 : 0)
// bits of one plane of a word, and of a beat of the code stream
`define PLANE (Kind == 6 ? Rows * Lanes / 3 * 5 : Kind == 13 ? Rows * Lanes / 2 : Kind == 14 ? Rows * Lanes / 8 : Rows * Lanes)
`define BEAT (`PLANE + (`WINDOW != 0 ? 8 : 0))

module accel_core #(
    parameter Kind       = 2,               // 0..17, see above
    parameter Rows       = 32,              // 4..256, power of two
    parameter Lanes      = 32,              // 8..256, power of two (lut3, tlut: three times one, 12..192); Rows * Lanes a multiple of 32
    parameter ScaleUnits = 8,               // power of two, divides Rows
    parameter MaxN       = 16,              // 2..256, power of two
    parameter XDepth     = 1024,            // steps, power of two, >= 256 / Lanes
    parameter WDepth     = 128,             // array words, power of two, >= two chunks of the widest format
    parameter Requant    = 1,               // 0: leave the requantizers out
    parameter ODepth     = 0,               // outliers in a chunk: 0 for none at all, or a power of two, 16..1024
    parameter DBits      = 24,              // bits of D, 24..40; more than 24 for term only: |k| <= 2^(DBits - 16) - 1
    parameter Small      = 0,               // 1: fewer cells: no counters, no queue of commands, headers in block RAM, a slice in two cycles
    parameter ScaleSerial = Kind == 7 ? 2 : 0   // 0: multipliers for group scales; 1..3: serially, see group_scale.v
) (
    input  wire                        clk_i,
    input  wire                        rst_i,
    // commands in, completions out
    input  wire                        cmd_valid_i,
    output wire                        cmd_ready_o,
    input  wire [127:0]                cmd_i,
    output wire                        cpl_valid_o,
    input  wire                        cpl_ready_i,
    output wire [23:0]                 cpl_o,
    // activations, weight codes, group headers in
    input  wire                        x_valid_i,
    output wire                        x_ready_o,
    input  wire [Lanes*8-1:0]          x_i,
    input  wire                        w_valid_i,
    output wire                        w_ready_o,
    input  wire [`BEAT-1:0]            w_i,
    input  wire                        h_valid_i,
    output wire                        h_ready_o,
    input  wire [ScaleUnits*16-1:0]    h_i,
    // outliers in
    input  wire                        o_valid_i,
    output wire                        o_ready_o,
    input  wire [63:0]                 o_i,
    // results out
    output wire                        r_valid_o,
    input  wire                        r_ready_i,
    output wire [ScaleUnits*48-1:0]    r_o,
    // registers, counters.v
    input  wire [5:0]                  reg_addr_i,
    output wire [31:0]                 reg_data_o
);
    localparam Plane  = `PLANE;
    localparam Window = `WINDOW;
    localparam Ctl    = Window != 0 ? 8 : 1;
    // planes that a word holds, 1 where the planes of a step follow each other through the tile
    localparam WordPlanes = Kind == 8 || Kind == 15 || Kind == 16 ? 4 : Kind == 0 || Kind == 7 || (Kind >= 9 && Kind <= 14) ? 8 : 1;
    localparam Extra  = Window == 3 ? 3 : Kind == 13 ? 2 : Kind == 14 ? 4 : 0;   // selector or position planes
    localparam Native = Kind == 7 || Kind == 8 || Kind == 15 || Kind == 16;      // decodes table formats itself
    localparam Sel    = Kind == 7 || Kind == 8 || Kind == 16;
    localparam Threes = Kind == 4 || Kind == 6;
    localparam Unit   = Threes ? Lanes / 3 : Lanes;
    localparam WordsPerStep = Kind == 14 ? 8 : WordPlanes > 1 || Kind == 6 ? 1 : 8; // at most
    localparam Nw = $clog2(MaxN);
    localparam Xw = $clog2(XDepth);
    localparam Steps = (1 << $clog2(2 * XDepth)) - 1;   // bits of a legal number of steps
    generate
        if (Small < 0 || Small > 1) accel_core_small_must_be_0_or_1 bad_parameter();
        if (Kind < 0 || Kind > 17) accel_core_kind_must_be_0_to_17 bad_parameter();
        if (DBits != 24 && Kind != 7) accel_core_d_bits_must_be_24_but_for_term bad_parameter();
        if (Rows < 2 || Rows > 256 || (1 << $clog2(Rows)) != Rows)
            accel_core_rows_must_be_a_power_of_two_from_2_to_256 bad_parameter();
        if (Lanes < 8 || Lanes > 256 || (1 << $clog2(Unit)) != Unit || (Threes && Unit * 3 != Lanes) || Rows * Lanes % 32 != 0)
            accel_core_lanes_must_be_a_power_of_two_from_8_to_256 bad_parameter();
        if (Kind == 14 && Lanes < 16) accel_core_nm16_needs_16_lanes bad_parameter();
        if (ScaleUnits < 1 || ScaleUnits > Rows || (1 << $clog2(ScaleUnits)) != ScaleUnits)
            accel_core_scale_units_must_be_a_power_of_two_up_to_rows bad_parameter();
        if (MaxN < 2 || MaxN > 256 || (1 << $clog2(MaxN)) != MaxN)
            accel_core_max_n_must_be_a_power_of_two_from_2_to_256 bad_parameter();
        if (XDepth * Lanes < 256 || XDepth > 65536)
            accel_core_x_depth_must_hold_256_activations bad_parameter();
        if (WDepth < (256 + Lanes - 1) / Lanes * 2 * WordsPerStep)
            accel_core_w_depth_must_hold_two_chunks bad_parameter();
    endgenerate

    // ---- commands
    wire         cmd_valid, cmd_ready;
    wire [127:0] cmd;
    generate
        if (Small != 0) begin : g_no_queue
            assign {cmd_valid, cmd_ready_o, cmd} = {cmd_valid_i, cmd_ready, cmd_i};
        end else begin : g_queue
            fifo #(.Width(128), .Depth(4)) queue (
                .clk_i(clk_i), .rst_i(rst_i), .valid_i(cmd_valid_i), .ready_o(cmd_ready_o), .data_i(cmd_i),
                .valid_o(cmd_valid), .ready_i(cmd_ready), .data_o(cmd));
        end
    endgenerate

    wire          start, busy, sel, asym, row_header, rq, has_outliers, job_done, overflow;
    wire [4:0]    table_id;
    wire [3:0]    planes;
    wire [1:0]    coding;
    wire [15:0]   row_tiles, steps, chunk_steps;
    wire          x_start, x_avail, x_zero, w_avail, w_read, w_rewind, w_free, w_last, sel_avail, sel_free;
    wire [4:0]    w_advance;
    wire [Xw:0]   x_count, x_loaded;
    wire [Xw-1:0] x_addr;
    wire          ready, issue, want, first, plane, plane0, word, last;
    wire [Nw-1:0] col;
    wire          chunk_first, chunk_last, hdr_last, col_last, tile_last;
    wire          o_avail, o_last, o_read, o_room, sparse;
    wire [15:0]   o_step;
    sequencer #(.Lanes(Lanes), .MaxN(MaxN), .XDepth(XDepth), .AllPlanes(WordPlanes > 1 || Kind == 6), .Requant(Requant),
                .Table(Native), .Sel(Sel), .Outliers(ODepth != 0), .Steps(Steps), .Hold(Small), .Window(Window)) seq (
        .clk_i(clk_i), .rst_i(rst_i), .cmd_valid_i(cmd_valid), .cmd_ready_o(cmd_ready), .cmd_i(cmd),
        .cpl_valid_o(cpl_valid_o), .cpl_ready_i(cpl_ready_i), .cpl_o(cpl_o),
        .start_o(start), .busy_o(busy), .planes_o(planes), .coding_o(coding), .table_o(table_id), .sel_o(sel), .asym_o(asym),
        .row_header_o(row_header), .requant_o(rq), .outliers_o(has_outliers), .row_tiles_o(row_tiles), .steps_o(steps),
        .chunk_steps_o(chunk_steps), .job_done_i(job_done), .overflow_i(overflow),
        .x_start_o(x_start), .x_count_o(x_count), .x_loaded_i(x_loaded), .x_addr_o(x_addr), .x_avail_i(x_there),
        .x_zero_o(x_zero), .w_avail_i(w_avail), .w_last_i(w_last), .w_advance_i(w_advance), .w_read_o(w_read),
        .o_avail_i(o_avail), .o_step_i(o_step), .o_last_i(o_last), .o_read_o(o_read), .sparse_o(sparse),
        .w_rewind_o(w_rewind), .w_free_o(w_free), .ready_i(ready), .sel_avail_i(sel_avail), .sel_free_o(sel_free), .issue_o(issue), .want_o(want), .first_o(first), .plane_o(plane), .plane0_o(plane0),
        .word_o(word), .last_o(last), .col_o(col), .chunk_first_o(chunk_first), .chunk_last_o(chunk_last), .col_last_o(col_last),
        .hdr_last_o(hdr_last), .tile_last_o(tile_last));

    // Words may leave steps out, but a job does not end before its last activations have been taken: they would be
    // mistaken for the next one's.
    wire          x_there = (x_avail || x_zero) &&
                            !(Window != 0 && x_ready_o && last && col_last && chunk_last && tile_last);

    reg           started;                  // one cycle after start: the job's registers are set
    always @(posedge clk_i) started <= start && !rst_i;

    // ---- buffers
    wire [Lanes*8-1:0]          x;
    wire signed [16:0]          x_sum;
    act_buffer #(.Lanes(Lanes), .Depth(XDepth)) acts (
        .clk_i(clk_i), .rst_i(rst_i), .start_i(x_start), .count_i(x_count), .loaded_o(x_loaded),
        .valid_i(x_valid_i), .ready_o(x_ready_o), .data_i(x_i), .addr_i(x_addr), .avail_o(x_avail),
        .read_i(issue || o_read), .data_o(x), .sum_o(x_sum));

    wire                                g_valid, g_ready, g_take;
    wire [Plane*(WordPlanes+Extra)-1:0] g_data, w;
    wire [Ctl-1:0]                      g_ctl, ctl;
    wire                                g_last;     // the word is its chunk's last (Window)
    // codes are taken only while a job runs, and where planes are gathered only those of this job, since the next
    // one's may come before it starts: planes and coding are then the right ones
    wire   w_ready, w_open;
    assign g_take    = w_valid_i && w_open;
    assign w_ready_o = w_ready && w_open;
    generate
        if (WordPlanes > 1) begin : g_gather
            reg  [15:0] tiles, left;        // row tiles and, in the first of them, steps not yet in the buffer
            wire [15:0] gone = Window == 0 ? 16'd1 : g_last ? chunk_steps : 16'd0;
            wire        step_last = left <= gone;
            assign w_open = busy && tiles != 0 && !(g_valid && tiles == 16'd1 && step_last);
            always @(posedge clk_i)
                if (rst_i) tiles <= 16'd0;
                else if (started) tiles <= row_tiles;
                else if (g_valid && g_ready && step_last) tiles <= tiles - 16'd1;
            always @(posedge clk_i)
                if (started) left <= steps;
                else if (g_valid && g_ready) left <= step_last ? steps : left - gone;
            plane_gather #(.Width(Plane), .Planes(WordPlanes), .Extra(Extra), .Ctl(Ctl)) gather (
                .clk_i(clk_i), .rst_i(rst_i), .planes_i(planes), .signed_i(coding == 2'd0),
                .valid_i(g_take), .ready_o(w_ready), .data_i(w_i[Plane-1:0]), .ctl_i(w_i[`BEAT-1-:Ctl]),
                .valid_o(g_valid), .ready_i(g_ready), .data_o(g_data), .ctl_o(g_ctl));
        end else begin : g_direct
            assign w_open  = busy;
            assign g_valid = g_take;
            assign w_ready = g_ready;
            assign g_data  = w_i;
            assign g_ctl   = 1'b0;
        end
    endgenerate
    weight_buffer #(.Width(Plane * (WordPlanes + Extra)), .Depth(WDepth)) weights (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(g_valid), .ready_o(g_ready), .data_i(g_data),
        .avail_o(w_avail), .read_i(w_read), .rewind_i(w_rewind), .free_i(w_free), .data_o(w));
    generate
        if (Window != 0) begin : g_walk
            walk_buffer #(.Width(Ctl), .Depth(WDepth)) walk (
                .clk_i(clk_i), .rst_i(rst_i), .write_i(g_valid && g_ready), .data_i(g_ctl), .read_i(w_read),
                .rewind_i(w_rewind), .free_i(w_free), .data_o(ctl));
            assign g_last    = g_ctl[Ctl-1];
            assign w_last    = ctl[Ctl-1];
            assign w_advance = ctl[4:0];
            wire unused_ctl = &{1'b0, g_ctl[Ctl-2:0], ctl[Ctl-2:5]};
        end else begin : g_no_walk
            assign ctl       = g_ctl;
            assign g_last    = 1'b0;
            assign w_last    = 1'b0;
            assign w_advance = 5'd0;
            wire unused_ctl = &{1'b0, ctl, g_last};
        end
    endgenerate

    // ---- array beat: the cycle after issue; S grows while the first plane passes
    reg               b_valid, b_first, b_plane, b_plane0, b_word, b_zero, b_last;
    reg signed [16:0] s_acc;
    wire              tile_ready;
    // (words with a window leave out steps without weights, so there is no S; their formats need none)
    wire signed [16:0] s_now = Window != 0 ? 17'sd0 : (b_first ? 17'sd0 : s_acc) + (b_plane0 ? x_sum : 17'sd0);
    wire              ctl_ready;
    assign ready = (!b_valid || tile_ready) && o_room && ctl_ready;    // x stays while a beat or an entry waits for it
    always @(posedge clk_i)
        if (rst_i) b_valid <= 1'b0;
        else if (issue) b_valid <= 1'b1;
        else if (tile_ready) b_valid <= 1'b0;
    always @(posedge clk_i) begin
        if (issue) begin
            b_first  <= first;
            b_plane  <= plane;
            b_plane0 <= plane0;
            b_word   <= word;
            b_zero   <= x_zero;
            b_last   <= last;
        end
        if (b_valid && tile_ready) s_acc <= s_now;
    end

    // ---- the tile: the one place that knows the kinds
    wire                        d_valid, d_ready;
    wire [ScaleUnits*DBits-1:0] d;
    wire signed [16:0]          d_sum;
    wire [Rows*2-1:0]           sels;
    reg  [Rows*2-1:0]           b_sel;      // the set in the loader may change with the next beat
    always @(posedge clk_i)
        if (issue) b_sel <= sels;
    wire [Lanes*8-1:0]          b_x = b_zero ? {Lanes*8{1'b0}} : x;
`define SHAPE .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits)
`define PORTS .clk_i(clk_i), .rst_i(rst_i), .planes_i(planes), .coding_i(coding), .table_i(table_id), .valid_i(b_valid), \
        .ready_o(tile_ready), .first_i(b_first), .plane_i(b_plane), .last_i(b_last), .word_i(b_word), .sel_i(b_sel), \
        .x_i(b_x), .w_i(w), .sum_i(s_now), .d_valid_o(d_valid), .d_ready_i(d_ready), .d_o(d), .d_sum_o(d_sum)
    generate
        case (Kind)
            0:       begin : g_mac       tile_mac       #(`SHAPE) tile (`PORTS); end
            1:       begin : g_bitserial tile_bitserial #(`SHAPE) tile (`PORTS); end
            2:       begin : g_lut       tile_lut       #(`SHAPE, .Small(Small), .TableK(2)) tile (`PORTS); end
            3:       begin : g_lut4      tile_lut       #(`SHAPE, .Small(Small), .TableK(4)) tile (`PORTS); end
            4:       begin : g_lut3      tile_lut       #(`SHAPE, .Small(Small), .TableK(3)) tile (`PORTS); end
            5:       begin : g_popcount  tile_popcount  #(`SHAPE, .ActPlanes(8)) tile (`PORTS); end
            6:       begin : g_tlut      tile_tlut      #(`SHAPE) tile (`PORTS); end
            7:       begin : g_term      tile_term      #(`SHAPE, .DBits(DBits)) tile (`PORTS); end
            8:       begin : g_shiftadd  tile_shiftadd  #(`SHAPE) tile (`PORTS); end
            9:       begin : g_dpred     tile_dpred     #(`SHAPE) tile (`PORTS); end
            10:      begin : g_laconic   tile_laconic   #(`SHAPE) tile (`PORTS); end
            11:      begin : g_tclp      tile_tclp      #(`SHAPE) tile (`PORTS); end
            12:      begin : g_tcle      tile_tcle      #(`SHAPE) tile (`PORTS); end
            13:      begin : g_nm        tile_nm        #(`SHAPE, .Block(4)) tile (`PORTS); end
            14:      begin : g_nm16      tile_nm        #(`SHAPE, .Block(16)) tile (`PORTS); end
            15:      begin : g_olive     tile_olive     #(`SHAPE) tile (`PORTS); end
            16:      begin : g_ant       tile_ant       #(`SHAPE) tile (`PORTS); end
            default: begin : g_bismo     tile_popcount  #(`SHAPE, .ActPlanes(1)) tile (`PORTS); end
        endcase
    endgenerate
`undef SHAPE
`undef PORTS

    // ---- outliers
    wire                        o_d_valid, o_d_ready;
    wire [ScaleUnits*DBits-1:0] o_d;
    generate
        if (ODepth != 0) begin : g_outliers
            wire o_open;
            assign o_ready_o = o_open && busy;
            outliers #(.Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .Depth(ODepth), .DBits(DBits)) unit (
                .clk_i(clk_i), .rst_i(rst_i), .valid_i(o_valid_i && busy), .ready_o(o_open), .data_i(o_i),
                .avail_o(o_avail), .step_o(o_step), .last_o(o_last), .read_i(o_read), .col_last_i(col_last), .x_i(x),
                .room_o(o_room), .d_valid_o(o_d_valid), .d_ready_i(o_d_ready), .d_o(o_d));
        end else begin : g_no_outliers
            assign o_ready_o = 1'b0;
            assign o_avail   = 1'b0;
            assign o_step    = 16'd0;
            assign o_last    = 1'b0;
            assign o_room    = 1'b1;
            assign o_d_valid = 1'b0;
            assign o_d       = {ScaleUnits*DBits{1'b0}};
            wire unused_o = &{1'b0, o_valid_i, o_i, o_read, o_d_ready};
        end
    endgenerate

    // ---- scaling, accumulators, results
    wire                       s_sparse;    // the D at hand are the outliers'
    wire [$clog2(Rows)-1:0]    slice;
    wire                       hdr_valid, hdr_free, rq_valid, rq_free;
    wire [ScaleUnits*12-1:0]   sc;
    wire [ScaleUnits*4-1:0]    sh;
    wire [ScaleUnits*20-1:0]   oc;
    wire [ScaleUnits*31-1:0]   mul;
    wire [ScaleUnits*6-1:0]    shift;
    header_loader #(.Rows(Rows), .ScaleUnits(ScaleUnits), .Requant(Requant), .Sel(Sel), .Late(Small), .Steps(Steps)) headers (
        .clk_i(clk_i), .rst_i(rst_i), .start_i(started), .busy_i(busy), .row_tiles_i(row_tiles), .steps_i(steps),
        .chunk_steps_i(chunk_steps), .asym_i(asym), .row_header_i(row_header), .requant_i(rq), .outliers_i(has_outliers), .sel_i(sel), .sparse_i(s_sparse),
        .sel_valid_o(sel_avail), .sel_o(sels), .sel_free_i(sel_free), .valid_i(h_valid_i), .ready_o(h_ready_o), .data_i(h_i), .slice_i(slice), .hdr_valid_o(hdr_valid),
        .sc_o(sc), .sh_o(sh), .oc_o(oc), .hdr_free_i(hdr_free), .rq_valid_o(rq_valid), .mul_o(mul),
        .shift_o(shift), .rq_free_i(rq_free));
    wire                        s_ready;
    wire                        s_valid = s_sparse ? o_d_valid : d_valid;
    wire signed [16:0]          s_sum   = s_sparse ? 17'sd0 : d_sum;
    assign d_ready   = s_ready && !s_sparse;
    assign o_d_ready = s_ready && s_sparse;
    group_scale #(.Rows(Rows), .ScaleUnits(ScaleUnits), .MaxN(MaxN), .Requant(Requant), .DBits(DBits), .Serial(ScaleSerial), .Chunks(Small != 0 ? 2 : 8), .Apart(Small)) scale (
        .clk_i(clk_i), .rst_i(rst_i), .ctl_valid_i((issue || o_read) && last), .ctl_ready_o(ctl_ready), .col_i(col),
        .chunk_first_i(chunk_first), .chunk_last_i(chunk_last), .hdr_last_i(hdr_last), .sparse_i(sparse),
        .col_last_i(col_last), .tile_last_i(tile_last), .sparse_o(s_sparse),
        .d_valid_i(s_valid), .d_ready_o(s_ready), .d_i(d), .o_d_i(o_d), .sum_i(s_sum), .slice_o(slice), .hdr_valid_i(hdr_valid), .sc_i(sc), .sh_i(sh), .oc_i(oc), .hdr_free_o(hdr_free),
        .asym_i(asym), .requant_i(rq), .rq_valid_i(rq_valid), .mul_i(mul), .shift_i(shift), .rq_free_o(rq_free),
        .r_valid_o(r_valid_o), .r_ready_i(r_ready_i), .r_o(r_o), .job_done_o(job_done), .overflow_o(overflow),
        .clear_i(start));

    counters #(.Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN), .XDepth(XDepth),
               .WDepth(WDepth), .DBits(DBits), .ODepth(ODepth), .Requant(Requant), .Small(Small)) regs (
        .clk_i(clk_i), .rst_i(rst_i),
        .event_i({job_done, want && w_avail && x_there && !ready, want && w_avail && !x_there, want && !w_avail,
                  r_valid_o && r_ready_i, x_valid_i && x_ready_o, h_valid_i && h_ready_o, w_valid_i && w_ready_o,
                  issue, busy}),
        .overflow_i(overflow), .addr_i(reg_addr_i), .data_o(reg_data_o));
endmodule
// `BEAT stays defined, and what it is made of: accel_soc.v has the same parameters.
`default_nettype wire
