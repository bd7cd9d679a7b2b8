// bf16_block.v - bf16 weights to blocks of 32 int8 codes with a shared exponent (MXINT8), Lanes weights a beat.
// scale = the largest exponent field of the block, where a field of 0 counts as 1; a code is the weight divided by
// 2^(scale - 133), rounded half to even, at most 127 in magnitude: weight = code * 2^-6 * 2^(scale - 127), as E8M0 has it.
// A NaN or infinity makes scale 255, E8M0's NaN, and sets error_o. Blocks leave one block after they came.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module bf16_block #(
    parameter Lanes = 1                     // weights a beat: 1, 2, 4, 8 or 16
) (
    input  wire                clk_i,
    input  wire                rst_i,       // synchronous, active high
    input  wire                valid_i,
    output wire                ready_o,
    input  wire [Lanes*16-1:0] data_i,      // the first weight lowest
    output reg                 valid_o,
    input  wire                ready_i,
    output reg  [Lanes*8-1:0]  code_o,
    output reg  [7:0]          scale_o,     // the same in all beats of a block
    output reg                 last_o,      // last beat of a block
    output reg                 error_o      // a NaN or infinity has come: sticky until reset
);
    localparam Aw = $clog2(32 / Lanes);
    generate
        if (Lanes < 1 || Lanes > 16 || (Lanes & (Lanes - 1)) != 0) bf16_block_lanes_must_be_1_2_4_8_or_16 bad_parameter();
    endgenerate

    // Two blocks: one fills while the other leaves.
    reg [Lanes*16-1:0] mem [0:(2<<Aw)-1];
    reg [Aw-1:0]       wr, rd;
    reg                wr_half, rd_half;
    reg [1:0]          full;
    reg [7:0]          scale0, scale1, top; // top: largest exponent so far in the block that fills

    wire put  = valid_i && ready_o;
    wire take = full[rd_half] && (!valid_o || ready_i);
    assign ready_o = !full[wr_half];

    integer   i;
    reg [7:0] max /* verilator tracing_off */;
    reg [7:0] field /* verilator tracing_off */;
    always @* begin
        max   = wr == {Aw{1'b0}} ? 8'd1 : top;
        field = 8'd0;
        for (i = 0; i < Lanes; i = i + 1) begin
            field = data_i[i*16+7+:8];
            if (field > max) max = field;
        end
    end

    always @(posedge clk_i)
        if (put) begin
            mem[{wr_half, wr}] <= data_i;
            top                <= max;
            if (&wr && !wr_half) scale0 <= max;
            if (&wr && wr_half) scale1 <= max;
        end

    wire [Lanes*16-1:0] now   = mem[{rd_half, rd}];
    wire [7:0]          scale = rd_half ? scale1 : scale0;

    reg [Lanes*8-1:0] codes;
    integer           j;
    reg [7:0]         down /* verilator tracing_off */; // how far the mantissa moves down, less one
    reg [7:0]         m    /* verilator tracing_off */;
    reg [15:0]        cut  /* verilator tracing_off */; // mantissa with the bits that fall off below it
    reg [8:0]         k    /* verilator tracing_off */;
    always @* begin
        codes = {Lanes*8{1'b0}};
        down  = 8'd0;
        m     = 8'd0;
        cut   = 16'd0;
        k     = 9'd0;
        for (j = 0; j < Lanes; j = j + 1) begin
            m    = {now[j*16+7+:8] != 8'd0, now[j*16+:7]};
            down = scale - (m[7] ? now[j*16+7+:8] : 8'd1);
            cut  = |down[7:3] ? 16'd0 : {m, 8'd0} >> down[2:0];
            k    = {2'b00, cut[15:9]} + {8'd0, cut[8] && (cut[9] || cut[7:0] != 8'd0)};
            k    = k - {8'd0, k[7]};        // 128 becomes 127
            codes[j*8+:8] = (k[7:0] ^ {8{now[j*16+15]}}) + {7'd0, now[j*16+15]};
        end
    end

    always @(posedge clk_i)
        if (take) begin
            code_o  <= codes;
            scale_o <= scale;
            last_o  <= &rd;
        end
    always @(posedge clk_i)
        if (rst_i) begin
            valid_o <= 1'b0;
            error_o <= 1'b0;
            full    <= 2'b00;
            wr      <= {Aw{1'b0}};
            rd      <= {Aw{1'b0}};
            wr_half <= 1'b0;
            rd_half <= 1'b0;
        end else begin
            if (put) begin
                wr      <= wr + 1'b1;
                wr_half <= wr_half ^ (&wr);
                if (&wr) full[wr_half] <= 1'b1;
                if (max == 8'd255) error_o <= 1'b1;
            end
            if (!valid_o || ready_i) valid_o <= take;
            if (take) begin
                rd      <= rd + 1'b1;
                rd_half <= rd_half ^ (&rd);
                if (&rd) full[rd_half] <= 1'b0;
            end
        end
    wire unused_ok = &{1'b0, k[8]};
endmodule
`default_nettype wire
