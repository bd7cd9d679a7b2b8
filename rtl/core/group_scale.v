// group_scale.v - acc += (sc * D + oc * S) << sh for one slice of rows a cycle, exactly.
//
//   cycle 0  D slice accepted, header read        cycle 2  shifted; accumulator read
//   cycle 1  products                             cycle 3  added; written back, or on to requant if the chunk is the last
//
// Accumulators of all columns live in a memory; those of a row tile's last chunk go to the result stream
// instead of back. A row tile's last chunks may be outliers', whose D come from another source. One slice may follow the other at once even for the same accumulator: the sum written
// last is forwarded.
//
// Serial: no multipliers. As in BitMoD (arXiv 2411.11745) a scale is multiplied in digit by digit, while the next chunk's
// beats are in the tile. Digits are Booth's, radix 4, of sc and of S, most significant first; D waits where it is until the
// last has been added. A slice takes as many cycles as sc has digits, or S where groups have offsets, over Serial: 6 or 9, 3
// or 5, 2 or 3.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module group_scale #(
    parameter Rows       = 8,
    parameter ScaleUnits = 2,
    parameter MaxN       = 4,
    parameter Requant    = 1,
    parameter DBits      = 24,              // 24..40
    parameter Chunks     = 8,               // that may be on their way here, power of two, >= 2
    parameter Apart      = 0,               // 1: a slice every 2 + sh cycles: it is shifted bit by bit, and nothing needs to be forwarded.
                                            // Its product has two cycles
    parameter Serial     = 0                // 0: multipliers, a slice a cycle; 1..3: so many digits a cycle
) (
    input  wire                      clk_i,
    input  wire                      rst_i,
    // what each chunk and column is, pushed when its last beat is issued
    input  wire                      ctl_valid_i,
    output wire                      ctl_ready_o,
    input  wire [$clog2(MaxN)-1:0]   col_i,
    input  wire                      chunk_first_i,
    input  wire                      chunk_last_i,
    input  wire                      hdr_last_i,    // ... that uses its header
    input  wire                      sparse_i,      // ... is one of outliers
    input  wire                      col_last_i,
    input  wire                      tile_last_i,
    // D, slice by slice, of the chunk at hand: from outliers.v or from the tile
    output wire                      sparse_o,
    input  wire                      d_valid_i,
    output wire                      d_ready_o,
    input  wire [ScaleUnits*DBits-1:0] d_i,           // the tile's,
    input  wire [ScaleUnits*DBits-1:0] o_d_i,         // the outliers'
    input  wire signed [16:0]        sum_i,
    // headers
    output wire [$clog2(Rows)-1:0]   slice_o,
    input  wire                      hdr_valid_i,
    input  wire [ScaleUnits*12-1:0]  sc_i,
    input  wire [ScaleUnits*4-1:0]   sh_i,
    input  wire [ScaleUnits*20-1:0]  oc_i,
    output wire                      hdr_free_o,
    input  wire                      asym_i,        // groups have offsets; else oc_i is 0. Constant during a job, as requant_i
    input  wire                      requant_i,
    input  wire                      rq_valid_i,
    input  wire [ScaleUnits*31-1:0]  mul_i,
    input  wire [ScaleUnits*6-1:0]   shift_i,
    output wire                      rq_free_o,
    // results
    output wire                      r_valid_o,
    input  wire                      r_ready_i,
    output wire [ScaleUnits*48-1:0]  r_o,
    output wire                      job_done_o,    // the job's last result is taken in this cycle
    output reg                       overflow_o,    // sticky until clear_i
    input  wire                      clear_i
);
    localparam Slices = Rows / ScaleUnits;
    localparam Jw = Slices > 1 ? $clog2(Slices) : 1;
    localparam Nw = $clog2(MaxN);
    localparam LastSlice = Slices - 1;
    localparam Aw = Slices > 1 ? Nw + Jw : Nw;
    localparam Gw = DBits + 14;             // bits of sc * D + oc * S
    generate
        if (Serial < 0 || Serial > 3) group_scale_serial_must_be_0_to_3 bad_parameter();
    endgenerate

    wire [Nw-1:0] c_col;
    wire          c_valid, c_first, c_last, c_hdr_last, c_col_last, c_tile_last;
    wire          accept;
    reg  [Jw-1:0] slice;
    wire          slice_last = slice == LastSlice[Jw-1:0];
    fifo #(.Width(Nw + 6), .Depth(Chunks)) ctl (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(ctl_valid_i), .ready_o(ctl_ready_o),
        .data_i({sparse_i, col_i, chunk_first_i, chunk_last_i, hdr_last_i, col_last_i, tile_last_i}),
        .valid_o(c_valid), .ready_i(accept && slice_last),
        .data_o({sparse_o, c_col, c_first, c_last, c_hdr_last, c_col_last, c_tile_last}));

    // ---- cycle 0: accept a slice
    wire en;                                // the pipeline moves
    wire rq_wait = requant_i && c_last && !rq_valid_i;
    reg  v1, v2;                            // slices accepted one and two moves ago
    wire still;
    wire open = en && c_valid && hdr_valid_i && !rq_wait && !(Apart != 0 && (v1 || !still));
    wire last_turn;                         // of those that a slice takes
    generate
        if (Apart != 0) begin : g_still     // the multipliers' operands have stood for a cycle: two cycles for the product
            reg held;
            assign still = held;
            always @(posedge clk_i) held <= d_valid_i && c_valid && hdr_valid_i && !accept;
        end else begin : g_moving
            assign still = 1'b1;
        end
    endgenerate
    assign d_ready_o  = open && last_turn;
    assign accept     = d_valid_i && d_ready_o;
    assign hdr_free_o = accept && slice_last && c_col_last && c_hdr_last;
    assign rq_free_o  = accept && slice_last && c_col_last && c_last && requant_i;
    generate
        if ($clog2(Rows) > Jw) assign slice_o = {{$clog2(Rows)-Jw{1'b0}}, slice};
        else                   assign slice_o = slice[$clog2(Rows)-1:0];
    endgenerate
    always @(posedge clk_i)
        if (rst_i) slice <= {Jw{1'b0}};
        else if (accept) slice <= slice_last ? {Jw{1'b0}} : slice + 1'b1;

    // ---- Serial: which digits' turn it is, and those of S, alike for all rows; DigitBits with one to the right
    localparam DigitBits = Serial == 2 ? 21 : 19;
    wire                   turn = open && d_valid_i;
    wire [3:0]             digit;           // the lowest of this cycle
    wire [2*Serial:0]      s_digits;
    generate
        if (Serial == 0) begin : g_at_once
            assign last_turn = 1'b1;
            assign digit     = 4'd0;
            assign s_digits  = 1'b0;
            wire unused_ok = &{1'b0, asym_i, turn, digit, s_digits};
        end else begin : g_turns
            localparam Plain = (6 + Serial - 1) / Serial - 1, Offset = (9 + Serial - 1) / Serial - 1;  // the last turns
            reg  [3:0]           gone;
            wire [3:0]           left = (asym_i ? Offset[3:0] : Plain[3:0]) - gone;
            wire [DigitBits-1:0] s = {{DigitBits-18{sum_i[16]}}, sum_i, 1'b0};
            wire [DigitBits-1:0] s_here = s >> {digit, 1'b0};
            assign last_turn = left == 4'd0;
            assign digit     = (left & {4{Serial != 2}}) + ({left[2:0], 1'b0} & {4{Serial != 1}});  // left * Serial
            assign s_digits  = s_here[2*Serial:0];
            wire unused_ok = &{1'b0, s_here[DigitBits-1:2*Serial+1]};
            always @(posedge clk_i)
                if (rst_i || accept) gone <= 4'd0;
                else if (turn) gone <= gone + 4'd1;
        end
    endgenerate

    // ---- control along the pipeline; address of an accumulator: column, slice
    localparam Late = Requant != 0 ? 7 : 1; // stages of requant
    reg              first1, first2, last1, last2, end1, end2;
    reg  [Late:1]    late, late_end;        // results in requant; the job's last
    reg  [Aw-1:0]    at1, at2, at_prev;
    wire [Aw-1:0]    at0;
    reg              prev;                  // the slice before the one in cycle 3 was written to at_prev
    generate
        if (Slices > 1) begin : g_at
            assign at0 = {c_col, slice};
        end else begin : g_at_col
            assign at0 = c_col;
        end
    endgenerate
    integer k;
    wire [ScaleUnits-1:0] shift_left;       // Apart: terms that are not shifted yet
    wire   shifting = shift_left != {ScaleUnits{1'b0}};
    assign en = !(late[Late] && !r_ready_i) && !shifting;
    always @(posedge clk_i)
        if (rst_i) begin
            v1   <= 1'b0;
            v2   <= 1'b0;
            late <= {Late{1'b0}};
            prev <= 1'b0;
        end else if (en) begin
            v1   <= accept;
            v2   <= v1;
            late[1] <= v2 && last2;
            for (k = 2; k <= Late; k = k + 1) late[k] <= late[k-1];
            prev <= v2 && !last2;
        end
    always @(posedge clk_i)
        if (en) begin
            first1 <= c_first;
            last1  <= c_last;
            end1   <= c_last && c_col_last && c_tile_last && slice_last;
            at1    <= at0;
            first2 <= first1;
            last2  <= last1;
            end2   <= end1;
            at2    <= at1;
            late_end[1] <= end2;
            for (k = 2; k <= Late; k = k + 1) late_end[k] <= late_end[k-1];
            at_prev <= at2;
        end
    wire forward = Apart == 0 && prev && at_prev == at2;
    assign r_valid_o  = late[Late] && !shifting;
    assign job_done_o = r_valid_o && r_ready_i && late_end[Late];

    // ---- one scaler and its accumulators per row of the slice
    wire [ScaleUnits-1:0] overflow;
    genvar u;
    generate
        for (u = 0; u < ScaleUnits; u = u + 1) begin : g_unit
            (* no_rw_check *) reg signed [47:0] acc [0:MaxN*Slices-1];  // one that is being written is forwarded
            wire       [DBits-1:0] d = sparse_o ? o_d_i[u*DBits+:DBits] : d_i[u*DBits+:DBits];
            wire signed [Gw-1:0] group;     // sc * D + oc * S
            reg        [3:0]  sh;
            reg signed [Gw+14:0] term;      // << 15
            reg signed [47:0] acc_read, acc_prev;
            wire signed [47:0] old = first2 ? 48'sd0 : forward ? acc_prev : acc_read;
            wire signed [Gw+15:0] sum = {{Gw-32{old[47]}}, old} + {term[Gw+14], term};
            assign overflow[u] = v2 && !shifting && sum[Gw+15:47] != {Gw-31{sum[Gw+15]}};
            always @(posedge clk_i)
                if (en) begin
                    if (accept) sh <= sh_i[u*4+:4];
                    if (v1) acc_read <= acc[at1];
                    if (v2) acc_prev <= sum[47:0];
                    if (v2 && !last2) acc[at2] <= sum[47:0];
                end

            wire signed [Gw+14:0] wide = {{15{group[Gw-1]}}, group};
            if (Apart != 0) begin : g_apart
                reg [3:0] left;
                assign shift_left[u] = v2 && left != 4'd0;
                always @(posedge clk_i)
                    if (en && v1) begin
                        term <= wide;
                        left <= sh;
                    end else if (shift_left[u]) begin
                        term <= term <<< 1;
                        left <= left - 4'd1;
                    end
            end else begin : g_shift
                assign shift_left[u] = 1'b0;
                always @(posedge clk_i)
                    if (en && v1) term <= wide <<< sh;
            end

            if (Serial == 0) begin : g_mul
                reg signed [DBits+11:0] prod_d; // 12 x DBits
                reg signed [36:0]       prod_o; // 20 x 17 bits
                assign group = {{2{prod_d[DBits+11]}}, prod_d} + {{Gw-37{prod_o[36]}}, prod_o};
                always @(posedge clk_i)
                    if (en && accept) begin
                        prod_d <= $signed({{DBits{sc_i[u*12+11]}}, sc_i[u*12+:12]}) *
                                  $signed({{12{d[DBits-1]}}, d});
                        prod_o <= $signed({{17{oc_i[u*20+19]}}, oc_i[u*20+:20]}) *
                                  $signed({{20{sum_i[16]}}, sum_i});
                    end
            end else begin : g_serial
                wire [DigitBits-1:0] factor = {{DigitBits-13{sc_i[u*12+11]}}, sc_i[u*12+:12], 1'b0};
                wire [DigitBits-1:0] sc_here = factor >> {digit, 1'b0};
                wire [2*Serial:0]    sc_digits = sc_here[2*Serial:0];
                wire                 unused_ok = &{1'b0, sc_here[DigitBits-1:2*Serial+1]};
                wire [19:0]          oc = oc_i[u*20+:20];
                reg  [Gw-1:0]        part, part_next, prod;
                reg  [DBits:0]       dd;    // a digit times D; a digit of S times oc
                reg  [20:0]          os;
                reg  [DBits+1:0]     both;
                reg                  dn, on;
                integer              i;
                assign group = prod;
                always @* begin
                    part_next = part;
                    for (i = Serial - 1; i >= 0; i = i - 1) begin
                        dn   = sc_digits[2*i+2];
                        on   = s_digits[2*i+2];
                        dd   = ({d[DBits-1], d} & {DBits+1{sc_digits[2*i+1] ^ sc_digits[2*i]}}) |
                               ({d, 1'b0} & {DBits+1{sc_digits[2*i+:3] == 3'd3 || sc_digits[2*i+:3] == 3'd4}});
                        os   = ({oc[19], oc} & {21{s_digits[2*i+1] ^ s_digits[2*i]}}) |
                               ({oc, 1'b0} & {21{s_digits[2*i+:3] == 3'd3 || s_digits[2*i+:3] == 3'd4}});
                        dd   = dd ^ {DBits+1{dn}};
                        os   = os ^ {21{on}};
                        both = {dd[DBits], dd} + {{DBits-19{os[20]}}, os};
                        // the plus ones of what is negated stand where four times the part has zeros
                        part_next = {part_next[Gw-3:0], dn & on, dn ^ on} + {{12{both[DBits+1]}}, both};
                    end
                end
                always @(posedge clk_i)
                    if (rst_i || accept) part <= {Gw{1'b0}};
                    else if (turn) part <= part_next;
                always @(posedge clk_i)
                    if (accept) prod <= part_next;
            end

            if (Requant != 0) begin : g_rq
                reg [30:0] mul1, mul2;
                reg [5:0]  shift1, shift2;
                always @(posedge clk_i)
                    if (en) begin
                        mul1   <= mul_i[u*31+:31];
                        mul2   <= mul1;
                        shift1 <= shift_i[u*6+:6];
                        shift2 <= shift1;
                    end
                requant rq (
                    .clk_i(clk_i), .en_i(en), .valid_i(v2 && last2), .pass_i(!requant_i), .acc_i(sum[47:0]),
                    .mul_i(mul2), .shift_i(shift2), .data_o(r_o[u*48+:48]));
            end else begin : g_no_rq
                wire unused_ok = &{1'b0, mul_i[u*31+:31], shift_i[u*6+:6]};
                reg [47:0] out;
                always @(posedge clk_i)
                    if (en && v2 && last2) out <= sum[47:0];
                assign r_o[u*48+:48] = out;
            end
        end
    endgenerate

    always @(posedge clk_i)
        if (rst_i || clear_i) overflow_o <= 1'b0;
        else if (en && |overflow) overflow_o <= 1'b1;
endmodule
`default_nettype wire
