// outliers.v - weights beside the codes: sums k * x of single weights into P of their rows, and hands P out as D.
// The entries of a chunk are read once for each column and freed with the last one, as weight_buffer's words are.
//
//   cycle 0  entry read; its step's activations are fetched   cycle 2  multiplied
//   cycle 1  its lane picked                                  cycle 3  added to P of its row
//
// One entry a cycle, whatever rows follow each other: P is read, added to and written within one cycle.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module outliers #(
    parameter Rows       = 8,               // 4..256, power of two
    parameter Lanes      = 8,               // 8..256
    parameter ScaleUnits = 2,               // power of two, divides Rows
    parameter Depth      = 16,              // entries of the longest chunk, a power of two, 16..1024
    parameter DBits      = 24               // of D as the tile has it; P needs 24
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    // entries, docs/core.md
    input  wire                     valid_i,
    output wire                     ready_o,
    input  wire [63:0]              data_i,
    // the walk
    output wire                     avail_o,      // the entry at the read position has arrived
    output wire [15:0]              step_o,       // ... and its step in the column,
    output wire                     last_o,       // ... and whether it is its chunk's last
    input  wire                     read_i,       // take it; only with avail_o and room_o
    input  wire                     col_last_i,   // of the column that it is read for: free it; else go back after the chunk
    input  wire [Lanes*8-1:0]       x_i,          // its step's activations, from the cycle after read_i to the next read of any
    output wire                     room_o,       // x_i is not waited for: they may be read again
    output reg                      d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*DBits-1:0] d_o
);
    localparam Aw = $clog2(Depth);
    localparam Lw = $clog2(Lanes);
    localparam Rw = $clog2(Rows);
    localparam Slices = Rows / ScaleUnits;
    localparam Jw = Slices > 1 ? $clog2(Slices) : 1;
    localparam Pw = Slices > 1 ? Jw + 1 : 1;
    localparam Uw = ScaleUnits > 1 ? $clog2(ScaleUnits) : 1;
    localparam Pb = ScaleUnits * 24;
    localparam LastSlice = Slices - 1;
    localparam Full = Depth;
    generate
        if (Depth < 16 || Depth > 1024 || (1 << Aw) != Depth) outliers_depth_must_be_a_power_of_two_from_16_to_1024 bad_parameter();
    endgenerate

    // ---- entries
    reg  [33+Lw+Rw-1:0] mem [0:Depth-1];
    reg  [Aw:0]         wr, rd, base;       // base: oldest entry kept
    wire [Aw:0]         level = wr - base;
    wire [15:0]         k;
    wire [Lw-1:0]       lane;
    wire [Rw-1:0]       row;
    wire                unused_ok = &{1'b0, data_i};        // the upper bits of lane and row, the spare ones
    assign ready_o = level != Full[Aw:0];
    assign avail_o = rd != wr;
    assign {last_o, row, lane, step_o, k} = mem[rd[Aw-1:0]];
    always @(posedge clk_i)
        if (valid_i && ready_o) mem[wr[Aw-1:0]] <= {data_i[48], data_i[40+:Rw], data_i[32+:Lw], data_i[31:0]};
    always @(posedge clk_i)
        if (rst_i) begin
            wr   <= 0;
            rd   <= 0;
            base <= 0;
        end else begin
            if (valid_i && ready_o) wr <= wr + 1'b1;
            if (read_i) rd <= last_o && !col_last_i ? base : rd + 1'b1;
            if (read_i && col_last_i) base <= base + 1'b1;
        end

    // ---- cycles 1 and 2
    wire               en;                  // everything behind the activations moves
    reg                v1, v2, v3, last1, last2, last3;
    reg         [15:0] k1, k2;
    reg       [Lw-1:0] lane1;
    reg       [Rw-1:0] row1, row2, row3;
    reg          [7:0] x, x2;
    reg  signed [23:0] product;
    integer            i;
    assign room_o = !v1 || en;
    always @* begin
        x = 8'd0;
        if (v1)
            for (i = 0; i < Lanes; i = i + 1)
                if (lane1 == i[Lw-1:0]) x = x | x_i[i*8+:8];
    end
    always @(posedge clk_i)
        if (rst_i) begin
            v1 <= 1'b0;
            v2 <= 1'b0;
            v3 <= 1'b0;
        end else begin
            if (room_o) v1 <= read_i;
            if (en) v2 <= v1;
            if (en) v3 <= v2;
        end
    always @(posedge clk_i) begin
        if (read_i) {last1, row1, lane1, k1} <= {last_o, row, lane, k};
        if (en && v1) {last2, row2, k2, x2} <= {last1, row1, k1, x};
        if (en && v2) begin
            {last3, row3} <= {last2, row2};
            product <= $signed({{8{k2[15]}}, k2}) * $signed({{16{x2[7]}}, x2});
        end
    end

    // ---- cycle 3. P is two sets of Slices words: entries are added to one while the other is handed out. A row without
    // an entry is 0, whatever its part of the word holds.
    reg                set;                 // the one that entries are added to
    reg     [Rows-1:0] live, d_live;        // its rows with an entry; those of the other set, the slice at hand lowest
    reg                busy;                // the other set is being handed out
    reg       [Jw-1:0] slice;
    wire               slice_last = slice == LastSlice[Jw-1:0];
    wire               complete   = v3 && last3;
    wire               load       = busy && (!d_valid_o || d_ready_i);
    wire      [Pw-1:0] at, d_at;            // set, slice
    wire      [Uw-1:0] unit3;
    assign en = !complete || !busy || (load && slice_last);
    generate
        if (ScaleUnits > 1) assign unit3 = row3[Uw-1:0];
        else                assign unit3 = 1'b0;
        if (Slices > 1) begin : g_slices
            assign at   = {set, row3[Rw-1-:Jw]};
            assign d_at = {!set, slice};
        end else begin : g_one_slice
            assign at   = set;
            assign d_at = !set;
        end
    endgenerate
    always @(posedge clk_i)
        if (rst_i) begin
            set       <= 1'b0;
            live      <= {Rows{1'b0}};
            busy      <= 1'b0;
            slice     <= {Jw{1'b0}};
            d_valid_o <= 1'b0;
        end else begin
            if (load) begin
                busy  <= !slice_last;
                slice <= slice_last ? {Jw{1'b0}} : slice + 1'b1;
            end
            if (load || d_ready_i) d_valid_o <= load;
            if (en && v3) live[row3] <= 1'b1;
            if (en && complete) begin
                set  <= !set;
                live <= {Rows{1'b0}};
                busy <= 1'b1;
            end
        end
    always @(posedge clk_i)
        if (en && complete) begin
            d_live       <= live;
            d_live[row3] <= 1'b1;
        end else if (load) d_live <= d_live >> ScaleUnits;

    // Whole words are read, changed and written: a simulator then does nothing here while there are no outliers.
    reg [Pb-1:0] p [0:2*Slices-1];
    reg [Pb-1:0] word, d_word, d;
    reg [23:0]   sum;
    integer      j;
    /*verilator lint_off BLKSEQ*/           // word, sum and d_word are temporaries of one edge
    always @(posedge clk_i) begin
        if (en && v3) begin
            word = p[at];
            sum  = 24'd0;
            for (j = 0; j < ScaleUnits; j = j + 1)
                if (live[row3] && unit3 == j[Uw-1:0]) sum = sum | word[j*24+:24];
            sum = sum + product;
            for (j = 0; j < ScaleUnits; j = j + 1)
                if (unit3 == j[Uw-1:0]) word[j*24+:24] = sum;
            p[at] <= word;
        end
        if (load) begin
            d_word = p[d_at];
            for (j = 0; j < ScaleUnits; j = j + 1)
                if (!d_live[j]) d_word[j*24+:24] = 24'd0;
            d <= d_word;
        end
    end
    /*verilator lint_on BLKSEQ*/
    genvar u;
    generate
        if (DBits == 24) assign d_o = d;
        else
            for (u = 0; u < ScaleUnits; u = u + 1) begin : g_unit
                assign d_o[u*DBits+:DBits] = {{DBits-24{d[u*24+23]}}, d[u*24+:24]};
            end
    endgenerate
endmodule
`default_nettype wire
