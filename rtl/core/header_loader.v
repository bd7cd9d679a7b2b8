// header_loader.v - takes group headers off their stream into two sets: one in use, one arriving.
// After a row tile's last group header comes, if the job has outliers, theirs, and then, if it requantizes, that tile's
// multipliers and shifts.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module header_loader #(
    parameter Rows       = 8,
    parameter ScaleUnits = 2,               // rows of one slice
    parameter Requant    = 1,
    parameter Sel        = 0,               // 1: headers may carry group selectors
    parameter Steps      = 65535,           // bits that steps_i can have
    parameter Late       = 0                // 1: sets in memories whose words come a cycle after their address (block RAM)
) (
    input  wire                           clk_i,
    input  wire                           rst_i,
    input  wire                           start_i,        // a job begins; the rest is constant from the next cycle
    input  wire                           busy_i,
    input  wire [15:0]                    row_tiles_i,
    input  wire [15:0]                    steps_i,
    input  wire [15:0]                    chunk_steps_i,
    input  wire                           asym_i,         // three words a header instead of one
    input  wire                           row_header_i,   // one header a row tile
    input  wire                           requant_i,
    input  wire                           outliers_i,     // a set more after those of the groups
    input  wire                           sel_i,          // word 0 is {sh, sel[1:0], sc[9:0]}; only with Sel
    input  wire                           valid_i,
    output wire                           ready_o,
    input  wire [ScaleUnits*16-1:0]       data_i,
    // the set in use, read slice by slice
    input  wire [$clog2(Rows)-1:0]        slice_i,       // below Rows / ScaleUnits
    input  wire                           sparse_i,       // the set is the outliers': it has no selectors
    output wire                           hdr_valid_o,
    output wire [ScaleUnits*12-1:0]       sc_o,
    output wire [ScaleUnits*4-1:0]        sh_o,
    output wire [ScaleUnits*20-1:0]       oc_o,
    input  wire                           hdr_free_i,     // done with the set
    // selectors of the set that beats are issued for, which is ahead of the set in use
    output wire                           sel_valid_o,
    output wire [Rows*2-1:0]              sel_o,
    input  wire                           sel_free_i,     // the set's last beat is issued
    output wire                           rq_valid_o,
    output wire [ScaleUnits*31-1:0]       mul_o,
    output wire [ScaleUnits*6-1:0]        shift_o,
    input  wire                           rq_free_i
);
    localparam Slices = Rows / ScaleUnits;
    localparam Jw = Slices > 1 ? $clog2(Slices) : 1;
    localparam LastSlice = Slices - 1;

    // ---- where the stream is: slice within word within header within row tile
    reg  [Jw-1:0] slice;
    reg  [1:0]    word;
    reg  [15:0]   left;                     // steps whose header has not arrived in this row tile
    reg  [15:0]   tiles;                    // row tiles whose headers have not all arrived
    reg           in_rq;                    // the words are requantization words
    reg           in_o;                     // ... or the header of the outliers
    wire          word_end  = slice == LastSlice[Jw-1:0];
    wire          set_end   = word_end && word == (asym_i || in_rq ? 2'd2 : 2'd0);
    wire          hdr_last  = row_header_i || left <= chunk_steps_i;
    wire          all_last  = in_o || (hdr_last && !outliers_i);
    wire          tile_end  = set_end && (in_rq || (all_last && !requant_i));

    reg           wr_set, rd_set;
    reg  [1:0]    full;                     // per set
    reg           rq_full;
    wire          expecting = busy_i && tiles != 0;
    wire          take = valid_i && ready_o;
    assign ready_o = expecting && (in_rq ? !rq_full : !full[wr_set]);

    // a set that is in use is not being written
    (* no_rw_check *) reg [ScaleUnits*16-1:0] word0 [0:2*Slices-1];
    (* no_rw_check *) reg [ScaleUnits*16-1:0] word1 [0:2*Slices-1];
    (* no_rw_check *) reg [ScaleUnits*4-1:0]  word2 [0:2*Slices-1];
    wire unused_ok = &{1'b0, slice_i};
    localparam Aw = Slices > 1 ? Jw + 1 : 1;
    wire [Aw-1:0] wr_at, rd_at;             // set, slice
    generate
        if (Slices > 1) begin : g_at
            assign wr_at = {wr_set, slice};
            assign rd_at = {rd_set, slice_i[Jw-1:0]};
        end else begin : g_at_set
            assign wr_at = wr_set;
            assign rd_at = rd_set;
        end
    endgenerate

    reg [ScaleUnits*4-1:0] nibbles;         // oc's top nibbles: word 2 is sign-extended to 16 bits
    integer i;
    always @*
        for (i = 0; i < ScaleUnits; i = i + 1) nibbles[i*4+:4] = data_i[i*16+:4];

    always @(posedge clk_i) begin
        if (take && !in_rq && word == 2'd0) word0[wr_at] <= data_i;
        if (take && !in_rq && word == 2'd1) word1[wr_at] <= data_i;
        if (take && !in_rq && word == 2'd2) word2[wr_at] <= nibbles;
    end

    wire [ScaleUnits*16-1:0] rd0, rd1;
    wire [ScaleUnits*4-1:0]  rd2;
    wire                     there;         // the words are those of rd_at
    generate
        if (Late != 0) begin : g_late
            reg [ScaleUnits*16-1:0] late0, late1;
            reg [ScaleUnits*4-1:0]  late2;
            reg [Aw-1:0]            late_at;
            reg                     late_full;
            always @(posedge clk_i) begin
                late0     <= word0[rd_at];
                late1     <= word1[rd_at];
                late2     <= word2[rd_at];
                late_at   <= rd_at;
                late_full <= full[rd_set];
            end
            assign {rd0, rd1, rd2} = {late0, late1, late2};
            assign there           = late_full && late_at == rd_at;
        end else begin : g_at_once
            assign {rd0, rd1, rd2} = {word0[rd_at], word1[rd_at], word2[rd_at]};
            assign there           = 1'b1;
        end
    endgenerate
    genvar u;
    generate
        for (u = 0; u < ScaleUnits; u = u + 1) begin : g_unit
            assign sc_o[u*12+:12] = sel_i && !sparse_i ? {{2{rd0[u*16+9]}}, rd0[u*16+:10]} : rd0[u*16+:12];
            assign sh_o[u*4+:4]   = rd0[u*16+12+:4];
            assign oc_o[u*20+:20] = asym_i ? {rd2[u*4+:4], rd1[u*16+:16]} : 20'd0;
        end
    endgenerate
    assign hdr_valid_o = full[rd_set] && there;

    generate
        if (Sel != 0) begin : g_sel
            reg  [Rows*2-1:0]       set0, set1;
            reg  [1:0]              sel_full;
            reg                     sel_set;        // the set that beats are issued for
            reg  [ScaleUnits*2-1:0] sels;
            integer                 j;
            always @*
                for (j = 0; j < ScaleUnits; j = j + 1) sels[j*2+:2] = data_i[j*16+10+:2];
            always @(posedge clk_i)
                if (take && !in_rq && word == 2'd0)
                    for (j = 0; j < Slices; j = j + 1)
                        if (slice == j[Jw-1:0]) begin
                            if (wr_set) set1[j*ScaleUnits*2+:ScaleUnits*2] <= sels;
                            else        set0[j*ScaleUnits*2+:ScaleUnits*2] <= sels;
                        end
            always @(posedge clk_i)
                if (rst_i || start_i) begin
                    sel_full <= 2'b00;
                    sel_set  <= rst_i ? 1'b0 : wr_set;
                end else begin
                    if (take && set_end && !in_rq) sel_full[wr_set] <= 1'b1;
                    if (sel_free_i) begin
                        sel_full[sel_set] <= 1'b0;
                        sel_set           <= !sel_set;
                    end
                end
            assign sel_valid_o = sel_full[sel_set];
            assign sel_o       = sel_set ? set1 : set0;
        end else begin : g_no_sel
            wire unused_sel = &{1'b0, sel_free_i};
            assign sel_valid_o = 1'b1;
            assign sel_o       = {Rows*2{1'b0}};
        end
    endgenerate

    generate
        if (Requant != 0) begin : g_rq
            reg [ScaleUnits*16-1:0] rq0 [0:Slices-1];
            reg [ScaleUnits*16-1:0] rq1 [0:Slices-1];
            reg [ScaleUnits*16-1:0] rq2 [0:Slices-1];
            always @(posedge clk_i) begin
                if (take && in_rq && word == 2'd0) rq0[slice] <= data_i;
                if (take && in_rq && word == 2'd1) rq1[slice] <= data_i;
                if (take && in_rq && word == 2'd2) rq2[slice] <= data_i;
            end
            wire [ScaleUnits*16-1:0] q0 = rq0[slice_i[Jw-1:0]];
            wire [ScaleUnits*16-1:0] q1 = rq1[slice_i[Jw-1:0]];
            wire [ScaleUnits*16-1:0] q2 = rq2[slice_i[Jw-1:0]];
            for (u = 0; u < ScaleUnits; u = u + 1) begin : g_unit
                wire unused_bits = &{1'b0, q1[u*16+15], q2[u*16+6+:10]};
                assign mul_o[u*31+:31]  = {q1[u*16+:15], q0[u*16+:16]};
                assign shift_o[u*6+:6]  = q2[u*16+:6];
            end
        end else begin : g_no_rq
            assign mul_o   = {ScaleUnits*31{1'b0}};
            assign shift_o = {ScaleUnits*6{1'b0}};
        end
    endgenerate
    assign rq_valid_o = rq_full;

    always @(posedge clk_i)
        if (rst_i) begin
            slice   <= {Jw{1'b0}};
            word    <= 2'd0;
            left    <= 16'd0;
            tiles   <= 16'd0;
            in_rq   <= 1'b0;
            in_o    <= 1'b0;
            wr_set  <= 1'b0;
            rd_set  <= 1'b0;
            full    <= 2'b00;
            rq_full <= 1'b0;
        end else begin
            if (start_i) begin              // configuration registers follow one cycle later
                tiles <= row_tiles_i;
                left  <= steps_i;
            end
            if (take) begin
                slice <= word_end ? {Jw{1'b0}} : slice + 1'b1;
                if (word_end) word <= set_end ? 2'd0 : word + 2'd1;
                if (set_end && !in_rq) begin
                    full[wr_set] <= 1'b1;
                    wr_set       <= !wr_set;
                    left         <= hdr_last || in_o ? steps_i : (left - chunk_steps_i) & Steps[15:0];
                    in_o         <= !in_o && hdr_last && outliers_i;
                    in_rq        <= all_last && requant_i;
                end
                if (set_end && in_rq) begin
                    rq_full <= 1'b1;
                    in_rq   <= 1'b0;
                end
                if (tile_end) tiles <= tiles - 16'd1;
            end
            if (hdr_free_i) begin
                full[rd_set] <= 1'b0;
                rd_set       <= !rd_set;
            end
            if (rq_free_i) rq_full <= 1'b0;
        end
endmodule
`default_nettype wire
