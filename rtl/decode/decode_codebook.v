// decode_codebook.v - indices into a codebook of each row (SqueezeLLM) to int8 codes, Rows x Lanes weights a beat.
// For each row tile 2^Bits beats come on the table port, beat e with entry e of all rows, then steps_i beats of indices.
// The codebooks of the next row tile load while the indices of this one pass.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module decode_codebook #(
    parameter Rows  = 4,                    // >= 1
    parameter Lanes = 8,                    // >= 1
    parameter Bits  = 4                     // of an index: 3 or 4
) (
    input  wire                       clk_i,
    input  wire                       rst_i,        // synchronous, active high
    input  wire [15:0]                steps_i,      // index beats of a row tile, >= 1; constant while any is in here
    input  wire                       tbl_valid_i,
    output wire                       tbl_ready_o,
    input  wire [Rows*8-1:0]          tbl_i,        // row r at bit 8 r
    input  wire                       valid_i,
    output wire                       ready_o,
    input  wire [Rows*Lanes*Bits-1:0] index_i,      // row r lane l at bit (r * Lanes + l) * Bits
    output reg                        valid_o,
    input  wire                       ready_i,
    output reg  [Rows*Lanes*8-1:0]    code_o        // row r lane l at bit (r * Lanes + l) * 8
);
    generate
        if (Bits != 3 && Bits != 4) decode_codebook_bits_must_be_3_or_4 bad_parameter();
        if (Rows < 1 || Lanes < 1) decode_codebook_rows_and_lanes_must_be_positive bad_parameter();
    endgenerate

    reg [1:0]      full;                    // which of the two sets of codebooks are complete
    reg            wr, rd;                  // the set that loads, the set in use
    reg [Bits-1:0] entry;
    reg [15:0]     step;
    wire           load = tbl_valid_i && tbl_ready_o;
    wire           take = valid_i && ready_o;
    wire           last = step + 16'd1 == steps_i;

    assign tbl_ready_o = !full[wr];
    assign ready_o     = full[rd] && (!valid_o || ready_i);

    genvar r;
    generate
        for (r = 0; r < Rows; r = r + 1) begin : g_row
            reg [7:0] book [0:(2<<Bits)-1];
            integer   l;
            always @(posedge clk_i)
                if (load) book[{wr, entry}] <= tbl_i[r*8+:8];
            always @(posedge clk_i)
                if (take)
                    for (l = 0; l < Lanes; l = l + 1)
                        code_o[(r*Lanes+l)*8+:8] <= book[{rd, index_i[(r*Lanes+l)*Bits+:Bits]}];
        end
    endgenerate

    always @(posedge clk_i)
        if (rst_i) begin
            full    <= 2'b00;
            wr      <= 1'b0;
            rd      <= 1'b0;
            entry   <= {Bits{1'b0}};
            step    <= 16'd0;
            valid_o <= 1'b0;
        end else begin
            if (load) begin
                entry <= entry + 1'b1;
                if (&entry) begin
                    full[wr] <= 1'b1;
                    wr       <= !wr;
                end
            end
            if (!valid_o || ready_i) valid_o <= take;
            if (take) begin
                step <= last ? 16'd0 : step + 16'd1;
                if (last) begin
                    full[rd] <= 1'b0;
                    rd       <= !rd;
                end
            end
        end
endmodule
`default_nettype wire
