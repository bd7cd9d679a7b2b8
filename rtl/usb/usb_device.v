// usb_device.v - a USB 2.0 device behind a UTMI transceiver: endpoint 0, and bulk endpoints 1 OUT and 1 IN that carry
// bytes. docs/link.md says what the requests do.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_device #(
    parameter HighSpeed   = 1,              // 0: full speed only
    parameter Millisecond = 60000,          // cycles; fewer make simulations short, 2400 at least
    parameter [63:0] Serial = "00000001",   // eight characters
    parameter ClockHz     = 60000000,       // of clk_i, what INFO says; 48000000 will do at full speed
    parameter Build       = 0
) (
    input  wire        clk_i,               // the transceiver's
    input  wire        rst_i,
    input  wire [1:0]  line_state_i,        // UTMI
    input  wire        rx_active_i,
    input  wire        rx_valid_i,
    input  wire        rx_error_i,
    input  wire [7:0]  rx_data_i,
    output wire        tx_valid_o,
    input  wire        tx_ready_i,
    output wire [7:0]  tx_data_o,
    output wire [1:0]  xcvr_select_o,
    output wire        term_select_o,
    output wire [1:0]  op_mode_o,
    // bytes from the host and to it
    output wire        valid_o,
    input  wire        ready_i,
    output wire [7:0]  data_o,
    input  wire        valid_i,
    output wire        ready_o,
    input  wire [7:0]  data_i,
    // what the host asks for beside them
    output wire        abort_o,             // pulse: forget what was begun
    input  wire        busy_i,
    output wire        reg_valid_o,         // holds until reg_done_i
    output wire        reg_write_o,
    output wire [15:0] reg_addr_o,
    output wire [31:0] reg_data_o,
    input  wire        reg_done_i,
    input  wire [31:0] reg_data_i
);
    localparam [3:0] Out = 4'd1, In = 4'd9, Setup = 4'd13, Ping = 4'd4, Ack = 4'd2, Nak = 4'd10, Stall = 4'd14, Nyet = 4'd6;
    wire bus_rst, high, chirp;
    usb_reset #(.HighSpeed(HighSpeed), .Millisecond(Millisecond)) lines (
        .clk_i(clk_i), .rst_i(rst_i), .line_state_i(line_state_i), .bus_rst_o(bus_rst), .high_o(high), .chirp_o(chirp),
        .xcvr_select_o(xcvr_select_o), .term_select_o(term_select_o), .op_mode_o(op_mode_o));

    wire [3:0]  pid;
    wire [10:0] field;
    wire        token, handshake, good, bad, byte_valid;
    wire [7:0]  byte_in;
    usb_rx rx (
        .clk_i(clk_i), .rst_i(bus_rst), .rx_active_i(rx_active_i), .rx_valid_i(rx_valid_i), .rx_error_i(rx_error_i),
        .rx_data_i(rx_data_i), .pid_o(pid), .field_o(field), .token_o(token), .handshake_o(handshake), .good_o(good), .bad_o(bad),
        .byte_valid_o(byte_valid), .byte_o(byte_in));

    // ---- one transaction after the other
    localparam Idle = 2'd0, Data = 2'd1, Turn = 2'd2, Sent = 2'd3;
    reg  [1:0]  state;
    reg         bulk, setup;                // endpoint 1, SETUP
    reg  [3:0]  reply;                      // PID
    reg  [3:0]  turn;                       // cycles until it may go out
    reg         room;                       // for a whole packet, at the token
    reg  [9:0]  count;                      // bytes of the packet that comes
    reg         toggle_out, toggle_in;
    reg  [31:0] received, delivered;        // packets
    wire [6:0]  address;
    wire        configured, halt_out, halt_in, clear_out, clear_in, reset_stream, abort;
    wire        c_stall, c_out_ready, c_in_ready, c_toggle, c_more;
    wire [7:0]  c_byte, b_byte;
    wire        b_full, b_more, more, take, tx_busy, tx_valid;
    wire [16:0] free;
    wire [9:0]  packet   = high ? 10'd512 : 10'd64;
    wire        to_bulk  = field[10:7] == 4'd1;
    wire        ours     = field[6:0] == address && (field[10:7] == 4'd0 || (to_bulk && configured));
    wire        fits     = free >= {7'd0, packet};
    wire        is_in    = pid == In, is_ping = pid == Ping && high;
    wire        listens  = pid == Out || (pid == Setup && !to_bulk);
    wire        in_stall = to_bulk ? halt_in : c_stall;
    wire        in_ready = to_bulk ? b_full : c_in_ready;
    wire        fresh    = pid[3] == toggle_out;
    wire        keep     = state == Data && bulk && good && fresh && room && count <= packet && !halt_out;
    wire        start    = state == Turn && turn == 4'd0 && !tx_busy;
    wire        arrived  = state == Sent && handshake && pid == Ack;
    wire        open     = token && ours && is_in && !in_stall && in_ready;
    wire        clear    = bus_rst || reset_stream || abort;
    assign abort_o = bus_rst || abort;

    reg [3:0] out_reply;
    always @*
        if (setup) out_reply = Ack;
        else if (bulk ? halt_out : c_stall) out_reply = Stall;
        else if (!bulk) out_reply = c_out_ready ? Ack : Nak;
        else if (!fresh) out_reply = Ack;   // it was taken before, the host did not hear so
        else if (!room) out_reply = Nak;
        else out_reply = high && free < {6'd0, packet, 1'b0} ? Nyet : Ack;

    always @(posedge clk_i)
        if (bus_rst) begin
            state <= Idle;
            turn  <= 4'd0;
        end else begin
            if (turn != 4'd0) turn <= turn - 4'd1;
            if (token) begin
                state <= Idle;
                bulk  <= to_bulk;
                setup <= pid == Setup;
                room  <= fits;
                turn  <= high ? 4'd2 : 4'd12;
                if (ours && listens) state <= Data;
                if (ours && (is_in || is_ping)) state <= Turn;
                if (is_in) reply <= in_stall ? Stall : !in_ready ? Nak : {to_bulk ? toggle_in : c_toggle, 3'b011};
                if (is_ping) reply <= (to_bulk ? halt_out : c_stall) ? Stall : (to_bulk ? fits : c_out_ready) ? Ack : Nak;
            end else if (state == Data && good) begin
                state <= bulk && count > packet ? Idle : Turn;
                reply <= out_reply;
                turn  <= high ? 4'd2 : 4'd12;
            end else if (state == Data && (bad || handshake)) state <= Idle;
            else if (start) state <= reply[2:0] == 3'b011 ? Sent : Idle;
            else if (state == Sent && (handshake || good || bad)) state <= Idle;
        end
    always @(posedge clk_i) begin
        if (token) count <= 10'd0;
        else if (byte_valid && count != 10'd1023) count <= count + 10'd1;
        if (bus_rst || clear_out) toggle_out <= 1'b0;
        else if (keep) toggle_out <= !toggle_out;
        if (bus_rst || clear_in) toggle_in <= 1'b0;
        else if (arrived && bulk) toggle_in <= !toggle_in;
        if (rst_i) {received, delivered} <= 64'd0;
        else begin
            if (keep) received <= received + 32'd1;
            if (arrived && bulk) delivered <= delivered + 32'd1;
        end
    end

    // ---- endpoints
    wire mine = state == Data && byte_valid && !bulk;
    usb_control #(.HighSpeed(HighSpeed), .Serial(Serial), .ClockHz(ClockHz), .Build(Build)) control (
        .clk_i(clk_i), .rst_i(bus_rst), .high_i(high), .setup_i(setup), .byte_valid_i(mine), .byte_i(byte_in), .begin_i(token),
        .setup_good_i(state == Data && !bulk && good && setup),
        .out_good_i(state == Data && !bulk && good && !setup && out_reply == Ack), .stall_o(c_stall), .out_ready_o(c_out_ready),
        .in_ready_o(c_in_ready), .toggle_o(c_toggle), .open_i(open && !to_bulk), .more_o(c_more), .byte_o(c_byte),
        .take_i(take && !bulk), .done_i(arrived && !bulk), .address_o(address), .configured_o(configured), .clear_out_o(clear_out),
        .clear_in_o(clear_in), .halt_out_o(halt_out), .halt_in_o(halt_in), .reset_stream_o(reset_stream), .abort_o(abort),
        .status_i({delivered, received, 16'd0, 8'd0, 2'd0, b_full, fits, halt_in, halt_out, high, busy_i}),
        .reg_valid_o(reg_valid_o), .reg_write_o(reg_write_o), .reg_addr_o(reg_addr_o), .reg_data_o(reg_data_o),
        .reg_done_i(reg_done_i), .reg_data_i(reg_data_i));

    wire [31:0] limit;
    wire        grown;
    link_fifo #(.Depth(2048)) received_bytes (
        .clk_i(clk_i), .rst_i(clear), .write_i(state == Data && bulk && byte_valid && fresh && room && count < packet),
        .data_i(byte_in), .commit_i(keep), .undo_i(token || (good && !keep)), .free_o(free), .limit_o(limit), .told_i(1'b1), .grown_o(grown),
        .valid_o(valid_o), .ready_i(ready_i), .data_o(data_o));
    usb_bulk_in sender (
        .clk_i(clk_i), .rst_i(clear), .packet_i(packet), .valid_i(valid_i), .ready_o(ready_o), .data_i(data_i), .full_o(b_full),
        .open_i(open && to_bulk), .more_o(b_more), .byte_o(b_byte), .take_i(take && bulk), .done_i(arrived && bulk));

    assign more = bulk ? b_more : c_more;
    wire [7:0] tx_byte;
    usb_tx tx (
        .clk_i(clk_i), .rst_i(bus_rst), .start_i(start), .pid_i(reply), .more_i(more), .byte_i(bulk ? b_byte : c_byte),
        .take_o(take), .busy_o(tx_busy), .tx_valid_o(tx_valid), .tx_data_o(tx_byte), .tx_ready_i(tx_ready_i));
    assign tx_valid_o = tx_valid || chirp;
    assign tx_data_o  = chirp ? 8'd0 : tx_byte;
    wire unused_ok = &{1'b0, limit, grown};
endmodule
`default_nettype wire
