// sequencer.v - takes commands and walks a GEMM's loops, one array beat a cycle.
//
//     for each row tile: for each chunk: for each column: for each plane: for each step of the chunk
//                        then for each chunk of outliers: for each column: for each entry
//
// An array beat is issued when its weights and activations have arrived and the pipeline behind can take
// it. Nothing else can hold the array: the loops themselves cost no cycle. While outliers.v takes entries the array is
// idle, since both read the same activation buffer.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module sequencer #(
    parameter Lanes     = 8,
    parameter MaxN      = 4,                // columns in one job, a power of two
    parameter XDepth    = 16,               // steps in the activation buffer
    parameter AllPlanes = 0,                // 1: a word holds all planes of a step (mac)
    parameter Requant   = 1,                // 1: results can be requantized
    parameter Table     = 0,                // 1: the tile decodes table formats itself
    parameter Sel       = 0,                // 1: groups can have selectors
    parameter Outliers  = 0,                // 1: row tiles can have outliers
    parameter Steps     = 65535,            // bits that a legal command can set in steps: registers need no others
    parameter Hold      = 0,                // 1: a command stays at cmd_i until its job is done, so it needs no registers; nor is
                                            // there a multiplier: it begins n + 3 cycles later
    parameter Window    = 0                 // 1, 3: words say which steps they use (docs/core.md); 0: one word a step
) (
    input  wire                      clk_i,
    input  wire                      rst_i,
    // commands, docs/core.md
    input  wire                      cmd_valid_i,
    output wire                      cmd_ready_o,
    input  wire [127:0]              cmd_i,
    output reg                       cpl_valid_o,
    input  wire                      cpl_ready_i,
    output reg  [23:0]               cpl_o,         // {status, id}
    // the running job, constant from start_o to job_done_i
    output wire                      start_o,       // a GEMM begins in this cycle
    output wire                      busy_o,        // a GEMM runs; high from the cycle after start_o
    output wire [3:0]                planes_o,
    output wire [1:0]                coding_o,
    output wire [4:0]                table_o,
    output wire                      sel_o,
    output wire                      asym_o,
    output wire                      row_header_o,
    output wire                      requant_o,
    output wire                      outliers_o,    // the job has outliers: a row tile has one header set more
    output wire [15:0]               row_tiles_o,
    output wire [15:0]               steps_o,
    output wire [15:0]               chunk_steps_o,
    input  wire                      job_done_i,    // the last result has been taken
    input  wire                      overflow_i,    // an accumulator of this job overflowed
    // activation buffer
    output wire                      x_start_o,
    output wire [$clog2(XDepth):0]   x_count_o,
    input  wire [$clog2(XDepth):0]   x_loaded_i,
    output wire [$clog2(XDepth)-1:0] x_addr_o,
    input  wire                      x_avail_i,     // nothing of the activation buffer is missing for this beat
    output wire                      x_zero_o,      // the beat's activations are zeros, not the buffer's
    // weight buffer
    input  wire                      w_avail_i,
    input  wire                      w_last_i,      // of the word at hand: it is its chunk's last;
    input  wire [4:0]                w_advance_i,   // steps to go on before it (Window)
    output wire                      w_read_o,      // a beat is issued that carries the word
    output wire                      w_rewind_o,
    output wire                      w_free_o,
    // outliers
    input  wire                      o_avail_i,     // an entry has arrived;
    input  wire [15:0]               o_step_i,      // its step,
    input  wire                      o_last_i,      // it is its chunk's last
    output wire                      o_read_o,      // it is taken
    output wire                      sparse_o,      // the chunk at hand is one of outliers
    // array beats
    input  wire                      ready_i,       // the pipeline can take a beat, or an entry
    input  wire                      sel_avail_i,   // the chunk's selectors have arrived
    output wire                      sel_free_o,    // the last beat that needs them is issued
    output wire                      issue_o,
    output wire                      want_o,        // a beat is due, whether or not it can be issued
    output wire                      first_o,       // first beat of a chunk
    output wire                      plane_o,       // first step of a later plane
    output wire                      plane0_o,      // the beat belongs to the first plane
    output wire                      word_o,        // the beat carries a code word
    output wire                      last_o,        // last beat of a chunk, or its last entry
    output wire [$clog2(MaxN)-1:0]   col_o,
    output wire                      chunk_first_o, // the chunk is the row tile's first
    output wire                      chunk_last_o,  // ... and last
    output wire                      hdr_last_o,    // ... or the last that uses its header
    output wire                      col_last_o,    // the column is the last
    output wire                      tile_last_o    // the row tile is the last
);
    localparam Nw = $clog2(MaxN);
    localparam Xw = $clog2(XDepth);
    localparam MaxChunk = (256 + Lanes - 1) / Lanes;
    localparam Columns = MaxN;
    localparam Room = XDepth;
    // likewise in steps of a chunk, columns, and the step within a chunk
    localparam ChunkSteps = (1 << $clog2(2 * MaxChunk)) - 1, Cols = 2 * MaxN - 1, InChunk = 127;
    localparam [7:0]  OpFence = 8'd0, OpGemm = 8'd1;
    localparam [7:0]  StDone = 8'd0, StIllegal = 8'd1, StOverflow = 8'd2;

    // ---- command fields and their check
    wire [7:0]  op          = cmd_i[7:0];
    wire [15:0] id          = cmd_i[31:16];
    wire [15:0] row_tiles   = cmd_i[47:32];
    wire [15:0] n           = cmd_i[63:48];
    wire [15:0] steps       = cmd_i[79:64];
    wire [15:0] chunk_steps = cmd_i[95:80];
    wire [3:0]  planes      = cmd_i[99:96];
    wire [1:0]  coding      = cmd_i[101:100];
    wire        x_load      = cmd_i[104];
    wire        plausible = row_tiles != 0 && n != 0 && n <= Columns[15:0] && steps != 0 && chunk_steps != 0 &&
                        chunk_steps <= MaxChunk[15:0] && planes != 0 && planes <= 4'd8 && (coding == 2'd3 ? Table != 0 : cmd_i[110:106] == 0) &&
                        (Requant != 0 || !cmd_i[105]) && (Sel != 0 || !cmd_i[111]) && cmd_i[15:8] == 0 &&
                        (Outliers != 0 || cmd_i[115:112] == 0) && cmd_i[127:116] == 0;
    wire        checked, legal;             // legal is known; it is
    wire [Xw:0] x_count;

    reg         busy, walking;              // busy: until the last result; walking: until the last beat
    wire        free    = !busy && (!cpl_valid_o || cpl_ready_i);
    assign start_o      = cmd_valid_i && checked && free && op == OpGemm && legal;
    wire        refused = cmd_valid_i && checked && free && !start_o;      // or a fence
    assign busy_o      = busy;
    assign x_start_o   = start_o && x_load;
    assign x_count_o   = x_count;

    generate
        if (Hold != 0) begin : g_count      // columns times steps, a column a cycle
            reg  [Xw:0]   count;
            reg  [Nw:0]   counted;
            reg           seen, known, right, over;
            wire [16:0]   wide = {1'b0, steps};
            wire          unused_wide = &{1'b0, wide};
            wire [Xw+1:0] more = {1'b0, count} + {1'b0, wide[Xw:0]};
            wire          enough = counted == n[Nw:0];
            assign {checked, legal, x_count, cmd_ready_o} = {known, right, count, over};
            always @(posedge clk_i) over <= !rst_i && (refused || (busy && job_done_i));
            always @(posedge clk_i)
                if (rst_i || busy || !cmd_valid_i || refused || over) {seen, known} <= 2'b00;
                else {seen, known} <= {1'b1, seen && (enough || !right)};
            always @(posedge clk_i)
                if (!seen) begin
                    right   <= plausible && (steps & ~Steps[15:0]) == 0;
                    count   <= {Xw+1{1'b0}};
                    counted <= {Nw+1{1'b0}};
                end else if (!enough) begin
                    right   <= right && more <= Room[Xw+1:0];
                    count   <= more[Xw:0];
                    counted <= counted + 1'b1;
                end else if (!known) right <= right && (x_load || count <= x_loaded_i);
        end else begin : g_multiply
            wire [31:0] product = {16'd0, n} * {16'd0, steps};
            assign checked = 1'b1;
            assign cmd_ready_o = free;
            assign x_count = product[Xw:0];
            assign legal   = plausible && product <= Room[31:0] && (x_load || x_count <= x_loaded_i);
        end
    endgenerate

    // ---- the job
    localparam Job = 100;
    wire [15:0] id_q, n_q;
    wire [3:0]  o_chunks;
    wire [Job-1:0] job;
    wire [Job-1:0] job_next = {
        id, n & Cols[15:0], planes, coding, cmd_i[111:106], cmd_i[102], cmd_i[103], cmd_i[105],
        Outliers != 0 && cmd_i[115:112] != 0, cmd_i[115:112], row_tiles, steps & Steps[15:0], chunk_steps & ChunkSteps[15:0]};
    assign {id_q, n_q, planes_o, coding_o, sel_o, table_o, asym_o, row_header_o, requant_o, outliers_o, o_chunks, row_tiles_o,
            steps_o, chunk_steps_o} = job;
    generate
        if (Hold != 0) begin : g_hold
            assign job = job_next;
        end else begin : g_keep
            reg [Job-1:0] kept;
            assign job = kept;
            always @(posedge clk_i)
                if (start_o) kept <= job_next;
        end
    endgenerate

    // ---- loops, outermost first; *_last says that the counter is at its last value
    reg  [15:0]   tile;
    reg  [15:0]   chunk_at, chunk_left;     // first step of the chunk; steps from there to the row's end
    reg  [Nw-1:0] col;
    reg  [Xw-1:0] col_at;                   // buffer address of the column's first step
    reg  [3:0]    plane;
    reg  [15:0]   step;                     // within the chunk
    wire [15:0]   chunk_len  = chunk_left < chunk_steps_o ? chunk_left : chunk_steps_o;
    wire          x_end;                    // the step lies behind the chunk's last
    wire [15:0]   x_at;                     // the step in the chunk whose activations the beat takes
    wire          step_last, word;
    reg           fresh;                    // no beat of this chunk and column was issued yet
    reg           sparse;                   // the row tile's chunks are done, those of its outliers are not
    reg  [3:0]    o_chunk;                  // of those
    wire          plane_last = AllPlanes != 0 || plane + 4'd1 == planes_o;
    wire [15:0]   col_next   = {{16-Nw{1'b0}}, col} + 16'd1;
    wire          col_last   = col_next == n_q;
    wire          chunk_last = chunk_left <= chunk_steps_o;
    wire          o_chunk_last = o_chunk + 4'd1 == o_chunks;
    wire          tile_last  = tile + 16'd1 == row_tiles_o;
    wire          beat_last  = step_last && plane_last;
    wire          unused_ok  = &{1'b0, w_last_i, w_advance_i, chunk_len, cmd_i[15:8], o_step_i};  // some, by Window
    wire [Xw-1:0] x_step     = sparse ? o_step_i[Xw-1:0] : chunk_at[Xw-1:0] + x_at[Xw-1:0];

    assign x_addr_o      = col_at + x_step;
    assign x_zero_o      = x_end && !sparse;
    assign want_o        = walking && !sparse;
    assign issue_o       = walking && !sparse && w_avail_i && x_avail_i && (Sel == 0 || sel_avail_i || !sel_o) && ready_i;
    assign o_read_o      = Outliers != 0 && walking && sparse && o_avail_i && x_avail_i &&
                           (Sel == 0 || sel_avail_i || !sel_o) && ready_i;
    assign sparse_o      = sparse;
    assign w_read_o      = issue_o && word;
    assign word_o        = word;
    assign sel_free_o    = Sel != 0 && (issue_o || o_read_o) && sel_o && last_o && col_last && hdr_last_o;
    assign w_rewind_o    = beat_last && !col_last;
    assign w_free_o      = col_last;
    assign first_o       = Window == 0 ? plane == 0 && step == 0 : fresh;
    assign plane_o       = plane != 0 && step == 0;
    assign plane0_o      = plane == 0;
    assign last_o        = sparse ? o_last_i : beat_last;
    assign col_o         = col;
    assign chunk_first_o = chunk_at == 0 && !sparse;
    assign chunk_last_o  = sparse ? o_chunk_last : chunk_last && !outliers_o;
    assign hdr_last_o    = sparse ? o_chunk_last : chunk_last || !row_header_o;
    assign col_last_o    = col_last;
    assign tile_last_o   = tile_last;

    // Without a window the words follow the steps. With one the word says how many steps to go on: at once (1), or beat
    // by beat (3), so that the tile sees every step; then the word goes with the last of those beats.
    generate
        if (Window == 0) begin : g_steps
            assign word      = 1'b1;
            assign x_at      = step;
            assign x_end     = 1'b0;
            assign step_last = step + 16'd1 == chunk_len;
        end else if (Window == 1) begin : g_skip
            assign word      = 1'b1;
            assign x_at      = step + {11'd0, w_advance_i};
            assign x_end     = 1'b0;
            assign step_last = w_last_i;
        end else begin : g_shift
            reg  [4:0] gone;                // beats issued without the word
            assign word      = gone + 5'd1 == w_advance_i;
            assign x_at      = step;
            assign x_end     = step >= chunk_len;
            assign step_last = word && w_last_i;
            always @(posedge clk_i)
                if (rst_i || start_o) gone <= 5'd0;
                else if (issue_o) gone <= word ? 5'd0 : gone + 5'd1;
        end
        if (Window != 0 && Window != 1 && Window != 3) sequencer_window_must_be_0_1_or_3 bad_parameter();
    endgenerate

    always @(posedge clk_i)
        if (start_o) begin
            o_chunk       <= 4'd0;
            sparse        <= 1'b0;
            tile          <= 16'd0;
            chunk_at      <= 16'd0;
            chunk_left    <= steps & Steps[15:0];
            col           <= {Nw{1'b0}};
            col_at        <= {Xw{1'b0}};
            plane         <= 4'd0;
            step          <= 16'd0;
            fresh         <= 1'b1;
        end else if (issue_o) begin
            fresh <= beat_last;
            step <= step_last ? 16'd0 : (x_at + (Window == 1 ? 16'd0 : 16'd1)) & InChunk[15:0];
            if (step_last) plane <= plane_last ? 4'd0 : plane + 4'd1;
            if (beat_last) begin
                col    <= col_last ? {Nw{1'b0}} : col + 1'b1;
                col_at <= col_last ? {Xw{1'b0}} : col_at + steps_o[Xw-1:0];
            end
            if (beat_last && col_last) begin
                chunk_at   <= chunk_last ? 16'd0 : (chunk_at + chunk_steps_o) & Steps[15:0];
                chunk_left <= chunk_last ? steps_o : (chunk_left - chunk_steps_o) & Steps[15:0];
                if (chunk_last && !outliers_o) tile <= tile + 16'd1;
                if (chunk_last) sparse <= outliers_o;
            end
        end else if (o_read_o && o_last_i) begin
            col    <= col_last ? {Nw{1'b0}} : col + 1'b1;
            col_at <= col_last ? {Xw{1'b0}} : col_at + steps_o[Xw-1:0];
            if (col_last) begin
                o_chunk <= o_chunk_last ? 4'd0 : o_chunk + 4'd1;
                sparse  <= !o_chunk_last;
                if (o_chunk_last) tile <= tile + 16'd1;
            end
        end

    always @(posedge clk_i)
        if (rst_i) begin
            busy        <= 1'b0;
            walking     <= 1'b0;
            cpl_valid_o <= 1'b0;
        end else begin
            if (cpl_ready_i) cpl_valid_o <= 1'b0;
            if (start_o) begin
                busy    <= 1'b1;
                walking <= 1'b1;
            end else if (refused) begin
                cpl_valid_o <= 1'b1;
                cpl_o       <= {op == OpFence ? StDone : StIllegal, id};
            end
            if ((issue_o || o_read_o) && last_o && col_last && chunk_last_o && tile_last) walking <= 1'b0;
            if (job_done_i) begin
                busy        <= 1'b0;
                cpl_valid_o <= 1'b1;        // cannot be occupied: no command was taken since the last
                cpl_o       <= {overflow_i ? StOverflow : StDone, id_q};
            end
        end
endmodule
`default_nettype wire
