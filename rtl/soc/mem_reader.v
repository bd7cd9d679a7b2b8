// mem_reader.v - beats of a stream out of memory: asks for bursts as its buffer empties, and checks the CRC-32C of what came.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module mem_reader #(
    parameter Words = 4,                    // of 16 bits, of a beat, 1..4096
    parameter Depth = 64                    // words of the buffer, a power of two, 16..1024
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire        start_i,             // only while busy_o is low
    input  wire [27:0] addr_i,              // of 16 bytes
    input  wire [30:0] words_i,             // at least 1
    input  wire [31:0] crc_i,
    output wire        busy_o,
    output wire        pending_o,           // beats of it are still to come
    output reg         wrong_o,             // pulse: all words came, and they are not those of the CRC
    // bursts
    output wire        ask_o,
    input  wire        asked_i,             // the one of addr_o was asked for
    output reg  [27:0] addr_o,
    input  wire        valid_i,             // words, in the order in which they were asked for; never held up
    input  wire [15:0] data_i,
    // the stream
    output wire        valid_o,
    input  wire        ready_i,
    output wire [16*Words-1:0] data_o
);
    localparam Sw = $clog2(Depth) + 1;
    localparam Full = Depth, Half = Depth / 2;
    localparam Cw = $clog2(Words + 1);
    localparam Whole = Words;
    generate
        if (Depth < 16 || Depth > 1024 || (1 << (Sw - 1)) != Depth) mem_reader_depth_must_be_a_power_of_two bad_parameter();
        if (Words < 1 || Words > 4096) mem_reader_words_must_be_1_to_4096 bad_parameter();
    endgenerate

    // ---- words come in
    reg  [27:0]   bursts;                   // to ask for
    reg  [Sw-1:0] space;                    // words that neither lie in the buffer nor are on their way
    reg           filling;                  // from half empty to full, so that a row of the memory is used more than once
    reg  [30:0]   left;                     // words that have not left the buffer
    wire          word_valid, word_take, unused_ready;
    wire [15:0]   word;
    wire          more = bursts != 28'd0;
    assign ask_o  = more && filling && space >= 8;
    assign busy_o = pending_o || more || space != Full[Sw-1:0];
    fifo #(.Width(16), .Depth(Depth)) words (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .ready_o(unused_ready), .data_i(data_i), .valid_o(word_valid),
        .ready_i(word_take), .data_o(word));
    wire unused_ok = &{1'b0, unused_ready}; // there is space for what was asked for

    // ---- and leave as beats; those behind the last one fill up its burst
    reg  [16*Words-1:0]  beat;
    wire [16*Words-1:0]  shifted;
    reg  [Cw-1:0]        count;
    wire                 used = word_valid && left != 31'd0 && (!valid_o || ready_i);
    generate
        if (Words == 1) begin : g_one
            assign shifted = word;
        end else begin : g_more
            assign shifted = {word, beat[16*Words-1:16]};
        end
    endgenerate
    assign word_take = used || left == 31'd0;
    assign valid_o   = count == Whole[Cw-1:0];
    assign data_o    = beat;
    assign pending_o = left != 31'd0 || count != 0;

    reg  [31:0] crc, want;
    reg         check;
    wire [31:0] crc_low, crc_high;
    crc32c low  (.crc_i(crc), .byte_i(word[7:0]), .crc_o(crc_low));
    crc32c high (.crc_i(crc_low), .byte_i(word[15:8]), .crc_o(crc_high));

    always @(posedge clk_i)
        if (rst_i) begin
            bursts  <= 28'd0;
            space   <= Full[Sw-1:0];
            filling <= 1'b0;
            left    <= 31'd0;
            count   <= 0;
            check   <= 1'b0;
            wrong_o <= 1'b0;
        end else begin
            if (asked_i) bursts <= bursts - 28'd1;
            space   <= space - (asked_i ? 8 : 0) + {{Sw-1{1'b0}}, word_valid && word_take};
            filling <= space >= Half[Sw-1:0] || (filling && space >= 8);
            if (used) left <= left - 31'd1;
            if (!valid_o || ready_i) count <= (valid_o ? {Cw{1'b0}} : count) + {{Cw-1{1'b0}}, used};
            check   <= used && left == 31'd1;
            wrong_o <= check && ~crc != want;
            if (start_i) begin
                bursts <= words_i[30:3] + {27'd0, words_i[2:0] != 3'd0};
                left   <= words_i;
            end
        end
    always @(posedge clk_i) begin
        if (used) beat <= shifted;
        if (start_i) begin
            crc  <= 32'hFFFFFFFF;
            want <= crc_i;
        end else if (used) crc <= crc_high;
        if (start_i) addr_o <= addr_i;
        else if (asked_i) addr_o <= addr_o + 28'd1;
    end
endmodule
`default_nettype wire
