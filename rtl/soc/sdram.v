// sdram.v - the memory port (docs/link.md) to an SDR SDRAM of 16 bits: rows stay open, bursts of eight words, refresh. While
// a burst runs, the row of the next one is opened if it is in another bank. Addresses ascend through a row, then the banks.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module sdram #(
    parameter ClockHz  = 50000000,          // of clk_i, 10 MHz..166 MHz; the times below are rounded up to its cycles
    parameter RowBits  = 13,                // 4..13
    parameter ColBits  = 9,                 // 4..10
    parameter Cas      = 2,                 // latency in cycles, 2 or 3, as the chip asks at ClockHz
    parameter Inverted = 0,                 // 1: the chip's clock is clk_i inverted, so that its data are there a cycle earlier
    parameter RcdNs    = 18,                // of the chip, nanoseconds
    parameter RpNs     = 18,
    parameter RasNs    = 42,
    parameter RcNs     = 60,
    parameter WrNs     = 14,
    parameter RfcNs    = 60,
    parameter RetainMs = 64,                // in which each row is refreshed, 1..64
    parameter PowerUs  = 200                // before the first command, 1..1000
) (
    input  wire        clk_i,
    input  wire        rst_i,
    // the memory port: one request moves the 16 bytes of that number
    input  wire        valid_i,
    output wire        ready_o,
    input  wire        write_i,
    input  wire [RowBits+ColBits-2:0] addr_i,
    output wire        take_o,              // a word to write is taken, the next one follows
    input  wire [15:0] data_i,
    input  wire        strobe_i,            // write this word; 0: leave what is there
    output wire        valid_o,             // a word that was read
    output wire [15:0] data_o,
    // the chip
    output reg         cke_o,
    output wire        cs_n_o,
    output reg         ras_n_o,
    output reg         cas_n_o,
    output reg         we_n_o,
    output reg  [1:0]  ba_o,
    output reg  [12:0] a_o,
    output reg  [1:0]  dqm_o,
    output reg  [15:0] dq_o,
    output reg         dq_oe_o,
    input  wire [15:0] dq_i
);
    localparam KHz = ClockHz / 1000;
    localparam Rcd = (RcdNs * KHz + 999999) / 1000000;
    localparam Rp  = (RpNs * KHz + 999999) / 1000000;
    localparam Ras = (RasNs * KHz + 999999) / 1000000;
    localparam Rc  = (RcNs * KHz + 999999) / 1000000;
    localparam Wr  = (WrNs * KHz + 999999) / 1000000;
    localparam Rfc = (RfcNs * KHz + 999999) / 1000000;
    localparam Open    = Rc - Rp > Ras ? Rc - Rp : Ras;     // a row stays open so long at least
    localparam Rows    = 1 << RowBits;
    // a little more often than needed: a refresh waits for at most one burst and two changes of row, once, not again and again
    localparam Refresh = RetainMs * (KHz / 64) * 60 / Rows; // 60/64 of the time
    localparam PowerUp = PowerUs * (KHz / 1000);
    // what the counters begin with: a counter of n lets its command through n + 1 cycles later
    localparam RcdLeft = Rcd - 1, RpLeft = Rp - 1, RfcLeft = Rfc - 1, OpenLeft = Open - 1, WrLeft = Wr + 6, TurnLeft = Cas + 8;
    localparam Clears  = 8;                                 // refreshes before the mode is set
    localparam Aw      = RowBits + ColBits - 1;
    localparam Pipe    = Cas + 2 - Inverted;                // cycles from a READ's decision to its first word
    generate
        if (ClockHz < 10000000 || ClockHz > 166000000) sdram_clock_must_be_10_to_166_mhz bad_parameter();
        if (RowBits < 4 || RowBits > 13 || ColBits < 4 || ColBits > 10) sdram_rows_or_columns_out_of_range bad_parameter();
        if (Cas < 2 || Cas > 3 || Inverted < 0 || Inverted > 1) sdram_latency_must_be_2_or_3 bad_parameter();
        if (Rcd > 15 || Rp > 15 || Open > 31 || Wr > 15 || Rfc > 31 || Refresh < 64 || PowerUs < 1 || PowerUs > 1000)
            sdram_times_out_of_range bad_parameter();
    endgenerate

    localparam [2:0] Mode = 3'b000, Clear = 3'b001, Precharge = 3'b010, Activate = 3'b011, Write = 3'b100, Read = 3'b101,
                     Nothing = 3'b111;

    // ---- the request at hand
    reg            have, write;
    reg [Aw-1:0]   addr;
    wire [1:0]           bank = addr[ColBits-3+:2];
    wire [RowBits-1:0]   row  = addr[Aw-1-:RowBits];
    wire [ColBits-4:0]   col  = addr[ColBits-4:0];
    reg  [3:0]           open;
    reg  [RowBits-1:0]   rows [0:3];
    wire           hit = open[bank] && rows[bank] == row;

    // ---- times: a command may follow when its counters are 0
    reg  [17:0] power;                      // until the chip takes commands
    reg  [3:0]  start;                      // commands left before it works
    reg  [4:0]  pause;                      // after a command: before any other that opens, closes or refreshes
    reg  [4:0]  held;                       // before a row is closed that was opened last
    reg  [4:0]  wrote;                      // before a row is closed that was written to
    reg  [2:0]  burst;                      // before the next READ or WRITE
    reg  [3:0]  turn;                       // before the next WRITE: the bus is the chip's
    reg  [1:0]  in_use;                     // bank of the burst
    reg  [16:0] until_due;
    reg         due;                        // a refresh
    wire        quiet  = pause == 5'd0;
    wire        may_close = held == 5'd0 && wrote == 5'd0;

    wire access  = start == 4'd0 && quiet && have && hit && burst == 3'd0 && (!write || turn == 4'd0);
    wire close   = start == 4'd0 && quiet && have && !hit && open[bank] && may_close && (bank != in_use || burst == 3'd0);
    wire enter   = start == 4'd0 && quiet && have && !open[bank];
    wire tidy    = start == 4'd0 && quiet && !have && due;     // before a refresh
    wire all     = tidy && open != 4'd0 && may_close && burst == 3'd0;
    wire refresh = tidy && open == 4'd0;
    wire first   = start != 4'd0 && quiet && power == 18'd0;
    assign ready_o = start == 4'd0 && !due && (!have || access);
    wire   taken   = valid_i && ready_o;

    // ---- commands
    reg [2:0]  command;
    reg [12:0] a;
    always @* begin
        command = Nothing;
        a       = 13'd0;
        if (access) begin
            command = write ? Write : Read;
            a[ColBits-1:0] = {col, 3'd0};
        end
        if (enter) begin
            command = Activate;
            a[RowBits-1:0] = row;
        end
        if (close || all || (first && start == Clears + 2)) begin
            command = Precharge;
            a[10]   = !close;               // all banks
        end
        if (refresh || (first && start > 4'd1 && start < Clears + 2)) command = Clear;
        if (first && start == 4'd1) begin
            command = Mode;
            a[6:0]  = {Cas[2:0], 4'b0011};  // eight words, in order
        end
    end
    always @(posedge clk_i)
        if (rst_i) begin
            have      <= 1'b0;
            open      <= 4'd0;
            power     <= PowerUp[17:0];
            start     <= Clears + 2;
            pause     <= 5'd0;
            held      <= 5'd0;
            wrote     <= 5'd0;
            burst     <= 3'd0;
            turn      <= 4'd0;
            until_due <= Refresh[16:0];
            due       <= 1'b0;
        end else begin
            if (power != 18'd0) power <= power - 18'd1;
            if (first) start <= start - 4'd1;
            if (!quiet) pause <= pause - 5'd1;
            if (held != 5'd0) held <= held - 5'd1;
            if (wrote != 5'd0) wrote <= wrote - 5'd1;
            if (burst != 3'd0) burst <= burst - 3'd1;
            if (turn != 4'd0) turn <= turn - 4'd1;
            until_due <= until_due == 17'd1 ? Refresh[16:0] : until_due - 17'd1;
            if (until_due == 17'd1) due <= start == 4'd0;
            else if (refresh) due <= 1'b0;

            if (taken) have <= 1'b1;
            else if (access) have <= 1'b0;
            if (access) begin
                burst <= 3'd7;
                if (write) wrote <= WrLeft[4:0];
                else turn <= TurnLeft[3:0];
            end
            if (enter) begin
                open[bank] <= 1'b1;
                held       <= OpenLeft[4:0];
                pause      <= RcdLeft[4:0];
            end
            if (close) open[bank] <= 1'b0;
            if (all) open <= 4'd0;
            if (command == Precharge) pause <= RpLeft[4:0];
            if (command == Clear) pause <= RfcLeft[4:0];
            if (command == Mode) pause <= 5'd3;
        end
    always @(posedge clk_i) begin
        if (taken) {write, addr} <= {write_i, addr_i};
        if (access) in_use <= bank;
        if (enter) rows[bank] <= row;
    end

    // ---- pins
    reg writing;                            // the burst that runs is one
    assign take_o = (access && write) || (writing && burst != 3'd0);
    assign cs_n_o = 1'b0;
    always @(posedge clk_i) begin
        cke_o   <= 1'b1;
        {ras_n_o, cas_n_o, we_n_o} <= rst_i ? Nothing : command;
        ba_o    <= command == Mode ? 2'd0 : bank;
        a_o     <= a;
        dqm_o   <= {2{take_o && !strobe_i}};
        dq_o    <= data_i;
        dq_oe_o <= take_o && !rst_i;
        if (access) writing <= write;
    end

    // ---- words that come back
    reg [Pipe+6:0] coming;                  // bit i: one comes in i cycles
    reg [15:0]     came;
    wire [Pipe+6:0] eight = {8'hFF, {Pipe-1{1'b0}}};
    assign valid_o = coming[0];
    assign data_o  = came;
    always @(posedge clk_i) begin
        came   <= dq_i;
        coming <= rst_i ? {Pipe+7{1'b0}} : {1'b0, coming[Pipe+6:1]} | (access && !write ? eight : {Pipe+7{1'b0}});
    end
endmodule
`default_nettype wire
