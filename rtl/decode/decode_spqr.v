// decode_spqr.v - SpQR's 16x16 tiles of 3-bit weights to codes with integer group headers, one row of 16 weights a cycle.
//
// A tile is 16 words of 64 bits, one a row: w_s[2:0], w_z[5:3], sixteen codes [53:6], c[61:54]. The c of rows 2p and 2p + 1
// is byte p of the tile's second-order numbers, which the host has made integers (lowest bits first): a[14], b[16], c[14],
// d[16], signed, and sh[4]. Then, for each row,
//     sc = floor((a * w_s + b + 8) / 16)     nz = c * w_z + d     oc = floor((sc * nz + 128) / 256)
// The numbers are complete with a tile's last row, so that tiles leave one tile later.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module decode_spqr (
    input  wire               clk_i,
    input  wire               rst_i,        // synchronous, active high
    input  wire               valid_i,
    output wire               ready_o,
    input  wire [63:0]        row_i,
    output reg                valid_o,
    input  wire               ready_i,
    output reg  [47:0]        code_o,       // column i at bit 3 i, unsigned
    output reg  signed [11:0] sc_o,
    output reg  [3:0]         sh_o,
    output reg  signed [19:0] oc_o,
    output reg                last_o,       // last row of a tile
    output reg                error_o       // sc or oc did not fit: sticky until reset
);
    // Two tiles: one fills while the other leaves.
    reg [53:0] rows [0:31];
    reg [63:0] numbers, numbers0, numbers1; // of the tile that arrives; of the two kept
    reg [3:0]  wr, rd;
    reg        wr_half, rd_half;
    reg [1:0]  full;

    reg        valid;                       // of the stage between
    wire       move = !valid_o || ready_i;
    wire       put  = valid_i && ready_o;
    wire       take = full[rd_half] && move;
    assign ready_o = !full[wr_half];

    always @(posedge clk_i)
        if (put) begin
            rows[{wr_half, wr}] <= row_i[53:0];
            if (!wr[0]) numbers <= {row_i[61:54], numbers[63:8]};
            if (&wr && !wr_half) numbers0 <= numbers;
            if (&wr && wr_half) numbers1 <= numbers;
        end

    wire [53:0] row = rows[{rd_half, rd}];
    wire [63:0] num = rd_half ? numbers1 : numbers0;

    wire signed [17:0] ws = $signed({15'd0, row[2:0]});
    wire signed [17:0] wz = $signed({15'd0, row[5:3]});
    wire signed [17:0] a  = {{4{num[13]}}, num[13:0]};
    wire signed [17:0] b  = {{2{num[29]}}, num[29:14]};
    wire signed [17:0] c  = {{4{num[43]}}, num[43:30]};
    wire signed [17:0] d  = {{2{num[59]}}, num[59:44]};
    wire signed [17:0] sc_sum = a * ws + b + 18'sd8;
    wire signed [17:0] nz_sum = c * wz + d;

    reg signed [13:0] sc;
    reg signed [17:0] nz;
    reg [47:0]        code;
    reg [3:0]         sh;
    reg               last;
    wire signed [31:0] product = $signed({{18{sc[13]}}, sc}) * $signed({{14{nz[17]}}, nz}) + 32'sd128;
    wire sc_fits = sc[13:11] == {3{sc[13]}};
    wire oc_fits = product[31:27] == {5{product[31]}};

    always @(posedge clk_i)
        if (move) begin
            sc     <= sc_sum[17:4];
            nz     <= nz_sum;
            code   <= row[53:6];
            sh     <= num[63:60];
            last   <= &rd;
            code_o <= code;
            sc_o   <= sc[11:0];
            sh_o   <= sh;
            oc_o   <= product[27:8];
            last_o <= last;
        end
    always @(posedge clk_i)
        if (rst_i) begin
            wr      <= 4'd0;
            rd      <= 4'd0;
            wr_half <= 1'b0;
            rd_half <= 1'b0;
            full    <= 2'b00;
            valid   <= 1'b0;
            valid_o <= 1'b0;
            error_o <= 1'b0;
        end else begin
            if (put) begin
                wr      <= wr + 4'd1;
                wr_half <= wr_half ^ (&wr);
                if (&wr) full[wr_half] <= 1'b1;
            end
            if (take) begin
                rd      <= rd + 4'd1;
                rd_half <= rd_half ^ (&rd);
                if (&rd) full[rd_half] <= 1'b0;
            end
            if (move) begin
                valid   <= full[rd_half];
                valid_o <= valid;
                if (valid && !(sc_fits && oc_fits)) error_o <= 1'b1;
            end
        end
    wire unused_ok = &{1'b0, row_i[63:62], sc_sum[3:0], product[7:0]};
endmodule
`default_nettype wire
