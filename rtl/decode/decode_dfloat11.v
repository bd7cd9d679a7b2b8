// decode_dfloat11.v - bf16 weights whose exponents are Huffman coded (DFloat11), bit for bit, one a cycle.
//
// Three streams in: commands {load, count}; code words, 32 bits, most significant bit first; and one byte a weight with
// the rest of it, {sign, mantissa}. A command with load takes a table from the table port first, then count weights
// leave. The codes of each command begin in a new word. The code is canonical: codes of one length are consecutive
// numbers, longer ones follow. Table, 32-bit words: for each length 1..MaxLen the last code of that length (left-aligned,
// below it ones), then {used, offset} = {bit 8, bits 7:0}; then 64 words with the exponents in the order of their codes,
// four a word. offset + code is the place in that order.
// Codes of up to 16 bits keep one weight a cycle; a longer one may wait a cycle for its bits.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module decode_dfloat11 #(
    parameter MaxLen = 32                   // longest code, 8..32 bits
) (
    input  wire        clk_i,
    input  wire        rst_i,               // synchronous, active high
    input  wire        cmd_valid_i,
    output wire        cmd_ready_o,
    input  wire [32:0] cmd_i,               // {load, count}
    input  wire        tbl_valid_i,
    output wire        tbl_ready_o,
    input  wire [31:0] tbl_i,
    input  wire        code_valid_i,
    output wire        code_ready_o,
    input  wire [31:0] code_i,
    input  wire        rest_valid_i,
    output wire        rest_ready_o,
    input  wire [7:0]  rest_i,
    output reg         valid_o,
    input  wire        ready_i,
    output wire [15:0] data_o,
    output reg         error_o              // no such code: sticky; exponents are 0 from there until reset
);
    generate
        if (MaxLen < 8 || MaxLen > 32) decode_dfloat11_max_len_must_be_8_to_32 bad_parameter();
    endgenerate
    localparam integer LengthWords = 2 * MaxLen;
    localparam integer LastWord = LengthWords + 63;

    localparam [1:0] Idle = 2'd0, Load = 2'd1, Run = 2'd2, Align = 2'd3;
    reg [1:0]  state;
    reg [31:0] left;                        // weights of the command still to come
    reg [6:0]  loaded;                      // table words so far

    // The table. Words arrive in order, so the lengths' part is a shift register: length 1 ends lowest.
    reg  [MaxLen*MaxLen-1:0] lasts;
    reg  [MaxLen*9-1:0]      offsets;
    reg  [31:0]              exponents [0:63];
    wire                     lengths = loaded < LengthWords[6:0];
    wire [6:0]               ex_at = loaded - LengthWords[6:0];
    assign tbl_ready_o = state == Load;
    always @(posedge clk_i)
        if (tbl_valid_i && tbl_ready_o) begin
            if (lengths && !loaded[0]) lasts <= {tbl_i[31:32-MaxLen], lasts[MaxLen*MaxLen-1:MaxLen]};
            if (lengths && loaded[0]) offsets <= {tbl_i[8:0], offsets[MaxLen*9-1:9]};
            if (!lengths) exponents[ex_at[5:0]] <= tbl_i;
        end

    // Two words, and how many bits of the first are decoded. What has not come reads as zeros.
    reg  [31:0]       word0, word1;
    reg               here0, here1;
    reg  [4:0]        pos;
    wire [63:0]       ahead  = {word0, word1 & {32{here1}}} << pos;
    wire [MaxLen-1:0] window = ahead[63:64-MaxLen];
    wire [MaxLen+6:0] wide   = {7'd0, window}; // so that short codes have eight bits, too

    // A code is as long as the shortest length whose last code the window does not exceed.
    reg  [MaxLen-1:0] fits, hit;
    reg  [5:0]        len;
    reg  [7:0]        code, offset;         // the code's lowest bits, all that its place needs
    integer           l;
    always @* begin
        for (l = 0; l < MaxLen; l = l + 1)
            fits[l] = offsets[l*9+8] && window <= lasts[l*MaxLen+:MaxLen];
        hit    = fits & (~fits + {{MaxLen-1{1'b0}}, 1'b1});
        len    = 6'd0;
        code   = 8'd0;
        offset = 8'd0;
        for (l = 0; l < MaxLen; l = l + 1) begin
            len    = len | ({6{hit[l]}} & (l[5:0] + 6'd1));
            offset = offset | ({8{hit[l]}} & offsets[l*9+:8]);
            code   = code | ({8{hit[l]}} & wide[MaxLen-1-l+:8]);
        end
    end

    wire       found = |hit;
    wire       out   = !valid_o || ready_i;
    wire [6:0] end_  = {2'd0, pos} + {1'b0, len};
    wire       whole = found && here0 && (end_ <= 7'd32 || here1);
    wire       fire  = state == Run && rest_valid_i && out && (error_o || whole);
    wire       step  = fire && !error_o;
    wire       drop  = (step && |end_[6:5]) || (state == Align && pos != 5'd0); // the first word is done
    wire       next0 = drop ? here1 : here0;
    wire       fill  = code_valid_i && code_ready_o;

    assign cmd_ready_o  = state == Idle;
    assign code_ready_o = !(here0 && here1);
    assign rest_ready_o = fire;

    always @(posedge clk_i) begin
        if (drop) word0 <= word1;
        if (fill && !next0) word0 <= code_i;
        if (fill) word1 <= code_i;
    end

    // The exponent memory is read at the same edge that fills the output register.
    reg [31:0] word;
    reg [7:0]  rest;
    reg [1:0]  lane;
    reg        broken;
    wire [7:0] place = code + offset;
    always @(posedge clk_i)
        if (fire) begin
            word   <= exponents[place[7:2]];
            lane   <= place[1:0];
            rest   <= rest_i;
            broken <= error_o;
        end
    wire [31:0] shifted  = word >> {lane, 3'd0};
    wire [7:0]  exponent = shifted[7:0] & {8{!broken}};
    assign data_o = {rest[7], exponent, rest[6:0]};

    always @(posedge clk_i)
        if (rst_i) begin
            state   <= Idle;
            here0   <= 1'b0;
            here1   <= 1'b0;
            pos     <= 5'd0;
            valid_o <= 1'b0;
            error_o <= 1'b0;
            loaded  <= 7'd0;
            left    <= 32'd0;
        end else begin
            here0 <= next0 || fill;
            here1 <= (here1 && !drop) || (fill && next0);
            if (step) pos <= end_[4:0];
            if (state == Align) pos <= 5'd0;
            if (out) valid_o <= fire;
            if (state == Run && here0 && !found) error_o <= 1'b1;
            case (state)
                Idle: if (cmd_valid_i) begin
                    left   <= cmd_i[31:0];
                    loaded <= 7'd0;
                    state  <= cmd_i[32] ? Load : cmd_i[31:0] != 32'd0 ? Run : Idle;
                end
                Load: if (tbl_valid_i) begin
                    loaded <= loaded + 7'd1;
                    if (loaded == LastWord[6:0]) state <= left != 32'd0 ? Run : Idle;
                end
                Run: if (fire) begin
                    left <= left - 32'd1;
                    if (left == 32'd1) state <= Align;
                end
                default: state <= Idle;     // Align drops the rest of the last word
            endcase
        end
    wire unused_ok = &{1'b0, ahead, tbl_i[31:9], ex_at[6], shifted[31:8]};
endmodule
`default_nettype wire
