// code_planes.v - decoded codes become the planes of a core's code stream (docs/core.md), so that a decoder can stand before
// the tile of any kind that takes planes. Takes all codes of a step at once and gives a plane a beat, most significant
// first: those of each step (mac and others that gather them), or of each chunk (PlaneMajor: bitserial, lut and others).
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module code_planes #(
    parameter Width      = 64,              // codes of a step: Rows * Lanes
    parameter Bits       = 8,               // of a code, 1..8
    parameter PlaneMajor = 0,               // 1: the planes of a chunk's steps follow each other
    parameter Offset     = 0,               // 1: signed codes' top plane goes out inverted
    parameter Cell       = 1,               // lanes recoded together for a table: 1 (none), 2, 3, 4; divides Width
    parameter Chunk      = 8                // PlaneMajor: steps of a chunk at most, a power of two, >= 2
) (
    input  wire                  clk_i,
    input  wire                  rst_i,
    input  wire [15:0]           steps_i,       // of a row tile, >= 1; as in the command, constant while any code is in here
    input  wire [15:0]           chunk_steps_i, // 1..Chunk
    input  wire                  valid_i,
    output wire                  ready_o,
    input  wire [Width*Bits-1:0] code_i,        // code i at bit i * Bits
    output wire                  valid_o,
    input  wire                  ready_i,
    output wire [Width-1:0]      data_o
);
    localparam LastPlane = Bits - 1;
    generate
        if (Bits < 1 || Bits > 8) code_planes_bits_must_be_1_to_8 bad_parameter();
        if (Cell < 1 || Cell > 4 || Width % Cell != 0) code_planes_cell_must_be_1_to_4_and_divide_width bad_parameter();
        if (Chunk < 2 || (1 << $clog2(Chunk)) != Chunk) code_planes_chunk_must_be_a_power_of_two bad_parameter();
    endgenerate

    // ---- a step's codes and which plane of them is due, one way or the other
    wire [Width*Bits-1:0] code;
    wire [3:0]            plane;            // 0 is the most significant
    generate
        if (PlaneMajor == 0) begin : g_steps
            reg [Width*Bits-1:0] held;
            reg [3:0]            at;
            reg                  full;
            wire                 last = at == LastPlane[3:0];
            wire                 unused_ok = &{1'b0, steps_i, chunk_steps_i};
            assign ready_o = !full || (last && ready_i);
            assign valid_o = full;
            assign code    = held;
            assign plane   = at;
            always @(posedge clk_i)
                if (valid_i && ready_o) held <= code_i;
            always @(posedge clk_i)
                if (rst_i) begin
                    full <= 1'b0;
                    at   <= 4'd0;
                end else begin
                    if (ready_o) full <= valid_i;
                    if (full && ready_i) at <= last ? 4'd0 : at + 4'd1;
                end
        end else begin : g_chunks
            // two halves: one chunk arrives while the planes of the one before leave
            localparam Cw = $clog2(Chunk);
            reg [Width*Bits-1:0] mem [0:2*Chunk-1];
            reg [15:0]           left;          // steps of this row tile that have not arrived; 0: of a new one
            reg [Cw-1:0]         wr_step, rd_step, len0, len1;
            reg                  wr, rd, busy;
            reg [1:0]            full;
            reg [3:0]            rd_plane, at;
            reg [Width*Bits-1:0] held;
            wire [15:0]          todo = left == 0 ? steps_i : left;
            wire                 wr_last = todo == 16'd1 || {{16-Cw{1'b0}}, wr_step} + 16'd1 == chunk_steps_i;
            wire                 take = valid_i && ready_o;
            wire                 go = full[rd] && (!busy || ready_i);
            wire                 rd_last = rd_step == (rd ? len1 : len0);
            assign ready_o = !full[wr];
            assign valid_o = busy;
            assign code    = held;
            assign plane   = at;
            always @(posedge clk_i) begin
                if (take) mem[{wr, wr_step}] <= code_i;
                if (go) held <= mem[{rd, rd_step}];
                if (go) at <= rd_plane;
                if (take && !wr) len0 <= wr_step;
                if (take && wr)  len1 <= wr_step;
            end
            always @(posedge clk_i)
                if (rst_i) begin
                    left     <= 16'd0;
                    wr_step  <= {Cw{1'b0}};
                    rd_step  <= {Cw{1'b0}};
                    rd_plane <= 4'd0;
                    wr       <= 1'b0;
                    rd       <= 1'b0;
                    busy     <= 1'b0;
                    full     <= 2'b00;
                end else begin
                    if (take) begin
                        left    <= todo - 16'd1;
                        wr_step <= wr_last ? {Cw{1'b0}} : wr_step + 1'b1;
                        if (wr_last) begin
                            full[wr] <= 1'b1;
                            wr       <= !wr;
                        end
                    end
                    if (!busy || ready_i) busy <= full[rd];
                    if (go) begin
                        rd_step <= rd_last ? {Cw{1'b0}} : rd_step + 1'b1;
                        if (rd_last) begin
                            rd_plane <= rd_plane == LastPlane[3:0] ? 4'd0 : rd_plane + 4'd1;
                            if (rd_plane == LastPlane[3:0]) begin
                                full[rd] <= 1'b0;
                                rd       <= !rd;
                            end
                        end
                    end
                end
        end
    endgenerate

    // ---- one bit of each code, recoded cell by cell: which entry, and whether to negate it
    reg [Width-1:0] bits, cells;
    integer         i, p;
    always @* begin
        bits = {Width{1'b0}};
        for (p = 0; p < Bits; p = p + 1)
            if (plane == p[3:0])
                for (i = 0; i < Width; i = i + 1)
                    bits[i] = code[i*Bits+Bits-1-p] ^ (Offset != 0 && p == 0);
        cells = bits;
        if (Cell > 1)
            for (i = 0; i < Width; i = i + Cell) begin
                for (p = 1; p < Cell; p = p + 1) cells[i+p-1] = bits[i] ^ bits[i+p];
                cells[i+Cell-1] = !bits[i];
            end
    end
    assign data_o = cells;
endmodule
`default_nettype wire
