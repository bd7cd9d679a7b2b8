// link_control.v - the device's side of the protocol between receiver, stream buffers, results and sender: sessions,
// sequences, acknowledgements, room, register access. docs/link.md says what it does.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module link_control #(
    parameter CmdRoom     = 64,             // bytes of the streams' buffers
    parameter XRoom       = 2048,
    parameter WRoom       = 4096,
    parameter HRoom       = 2048,
    parameter ORoom       = 512,
    parameter ResultBytes = 512,            // of a result frame, and such frames kept
    parameter ResultSlots = 4,
    parameter ClockHz     = 0,
    parameter Build       = 0,
    parameter Small       = 0               // 1: nothing is counted, the registers read 0
) (
    input  wire         clk_i,
    input  wire         rst_i,
    // link_rx
    input  wire [7:0]   type_i,
    input  wire [7:0]   flags_i,
    input  wire [15:0]  session_i,
    input  wire [15:0]  sequence_i,
    input  wire [15:0]  tag_i,
    input  wire [15:0]  length_i,
    input  wire         header_i,
    input  wire         payload_valid_i,
    input  wire [7:0]   payload_i,
    input  wire         good_i,
    input  wire         bad_i,
    input  wire         bad_header_i,
    // stream buffers: one bit each, command x w h o
    output wire [4:0]   write_o,
    output wire [4:0]   commit_o,
    output wire         undo_o,
    input  wire [84:0]  free_i,
    input  wire [159:0] limit_i,
    output wire         told_o,             // the limits go to the host now
    input  wire         grown_i,            // it should hear of them
    output wire         session_rst_o,      // a new session: everything but the link begins anew
    // link_results
    output wire         ack_valid_o,
    output wire         nak_o,
    input  wire         rewound_i,
    input  wire [15:0]  cursor_i,
    input  wire         frame_i,
    input  wire [7:0]   frame_type_i,
    input  wire [15:0]  frame_tag_i,
    input  wire [15:0]  frame_length_i,
    output wire         send_o,
    input  wire         frame_valid_i,
    output wire         frame_ready_o,
    input  wire [7:0]   frame_byte_i,
    // link_tx
    output wire         tx_valid_o,
    input  wire         tx_ready_i,
    output wire [95:0]  tx_field_o,
    output wire         tx_payload_valid_o,
    input  wire         tx_payload_ready_i,
    output wire [7:0]   tx_payload_o,
    // the core's registers
    output wire [5:0]   reg_addr_o,
    input  wire [31:0]  reg_data_i,
    // registers for whom the link is not needed: the request holds until the pulse side_done_o
    input  wire         side_valid_i,
    input  wire         side_write_i,
    input  wire [15:0]  side_addr_i,
    input  wire [31:0]  side_data_i,
    output wire         side_done_o,
    output wire [31:0]  side_data_o,        // in the same cycle
    // registers of others, see far_registers.v
    output wire         bus_valid_o,
    output wire         bus_write_o,
    output wire [15:0]  bus_addr_o,
    output wire [31:0]  bus_data_o,
    input  wire         bus_done_i,
    input  wire [31:0]  bus_data_i
);
    // ---- what came in
    reg  [15:0] session, want;
    wire        data    = type_i[7:3] == 5'd2 && type_i[2:0] < 3'd`LINK_STREAMS;
    wire [4:0]  stream  = data ? 5'd1 << type_i[2:0] : 5'd0;
    wire        ours    = session_i == session && session != 16'd0;
    wire [15:0] ahead   = sequence_i - want;
    wire        gap     = ahead != 16'd0 && !ahead[15];
    // Decided with the header: there may be more room later. What it depends on has not changed for two cycles then, but for
    // room, which grew.
    reg  [16:0] free;
    reg         may, taking;
    always @(posedge clk_i) begin
        case (type_i[2:0])
            3'd`LINK_STREAM_COMMAND: free <= free_i[16:0];
            3'd`LINK_STREAM_X:       free <= free_i[33:17];
            3'd`LINK_STREAM_W:       free <= free_i[50:34];
            3'd`LINK_STREAM_H:       free <= free_i[67:51];
            default:                 free <= free_i[84:68];
        endcase
        may <= data && ours && ahead == 16'd0 && {1'b0, length_i} <= free;
    end
    wire        take = header_i ? may : taking;
    always @(posedge clk_i)
        if (rst_i) taking <= 1'b0;
        else if (header_i) taking <= take;

    assign write_o  = stream & {5{payload_valid_i && take}};
    assign commit_o = stream & {5{good_i && taking}};
    assign undo_o   = bad_i;

    wire is_ack   = type_i == `LINK_TYPE_ACK;
    wire is_poll  = is_ack && (flags_i & `LINK_FLAG_POLL) != 0;
    wire is_reset = type_i == `LINK_TYPE_RESET && session_i != 16'd0;
    wire heard    = good_i && ours && (data || is_ack);
    wire missed   = (heard && gap && (data || is_ack)) || (bad_i && ours);
    assign session_rst_o = good_i && is_reset && session_i != session;
    assign ack_valid_o   = heard;
    assign nak_o         = is_ack && (flags_i & `LINK_FLAG_NAK) != 0;

    // ---- the request that comes in or is being answered: while it is, others are dropped
    reg  [63:0] request;
    wire        is_peek = type_i == `LINK_TYPE_PEEK && length_i == 16'd4 && request[31:16] != 16'd0 &&
                          request[31:16] <= `LINK_PEEK_WORDS;
    wire        is_poke = type_i == `LINK_TYPE_POKE && length_i == 16'd8;
    reg  [15:0] request_session, request_tag, room_tag;
    reg         answer_due, answer_poke, poke_due, ready_due, poll_due, nak_due, nak_sent, ack_due;
    reg  [1:0]  taken;                      // frames since the last acknowledgement: not each one gets its own
    reg         asking;                     // decided with the header, too
    wire        hear = header_i ? (type_i == `LINK_TYPE_PEEK || type_i == `LINK_TYPE_POKE) && !answer_due && !answering : asking;
    wire        ask = good_i && asking && (is_peek || is_poke);
    reg         answering;                  // the request is on its way out
    reg  [31:0] scratch;
    always @(posedge clk_i)
        if (rst_i) asking <= 1'b0;
        else if (header_i) asking <= hear;
    always @(posedge clk_i)                 // the last four bytes of a PEEK, eight of a POKE
        if (payload_valid_i && hear)
            request <= {payload_i, request[63:40], type_i == `LINK_TYPE_PEEK ? payload_i : request[39:32], request[31:8]};

    // a POKE of a far register is answered when it is done
    wire        answer_go = answer_due && !poke_due;
    wire        poke_done;

    // ---- what goes out
    localparam Answer = 2'd0, Room = 2'd1, Frame = 2'd2;
    wire        start  = tx_valid_o && tx_ready_i;
    wire        ack_go = poll_due || ((nak_due || ack_due || grown_i) && session != 16'd0);
    wire [1:0]  source = answer_go ? Answer : ready_due || ack_go ? Room : Frame;
    wire [7:0]  ack_flags = (poll_due ? 8'd`LINK_FLAG_POLL : 8'd0) | (nak_due ? 8'd`LINK_FLAG_NAK : 8'd0);
    wire [15:0] answer_length = answer_poke ? 16'd8 : {8'd0, request[21:16], 2'd0} + 16'd4;
    assign tx_valid_o = answer_go || ready_due || ack_go || frame_i;
    assign send_o     = start && source == Frame;
    wire        say_ready = start && source == Room && ready_due;
    wire        say_ack   = start && source == Room && !ready_due;
    assign tx_field_o =
        source == Answer ? {answer_length, request_tag, want, cursor_i, request_session, 8'd0,
                            answer_poke ? 8'd`LINK_TYPE_POKED : 8'd`LINK_TYPE_PEEKED} :
        source == Frame  ? {frame_length_i, frame_tag_i, want, cursor_i, session, 8'd0, frame_type_i} :
        ready_due        ? {16'd20, room_tag, want, cursor_i, session, 8'd0, 8'd`LINK_TYPE_READY} :
                           {16'd20, poll_due ? room_tag : 16'd0, want, cursor_i, session, ack_flags, 8'd`LINK_TYPE_ACK};
    assign told_o = say_ready || say_ack;
    always @(posedge clk_i)
        if (rst_i) begin
            session    <= 16'd0;
            want       <= 16'd0;
            scratch    <= 32'd0;
            answer_due <= 1'b0;
            poke_due   <= 1'b0;
            ready_due  <= 1'b0;
            poll_due   <= 1'b0;
            ack_due    <= 1'b0;
            nak_due    <= 1'b0;
            nak_sent   <= 1'b0;
            taken      <= 2'd0;
        end else begin
            if (start && source == Answer) answer_due <= 1'b0;
            if (say_ready) ready_due <= 1'b0;
            if (say_ack) begin
                poll_due <= 1'b0;
                ack_due  <= 1'b0;
                nak_due  <= 1'b0;
                taken    <= 2'd0;
                if (nak_due) nak_sent <= 1'b1;
            end
            if (ask) begin
                answer_due <= 1'b1;
                poke_due   <= is_poke && request[15:0] >= `LINK_REG_FAR;
                if (is_poke && request[15:0] == `LINK_REG_SCRATCH) scratch <= request[63:32];
            end
            if (poke_done) poke_due <= 1'b0;
            if (side_done_o && side_write_i && side_addr_i == `LINK_REG_SCRATCH) scratch <= side_data_i;
            if (good_i && is_reset) begin
                ready_due <= 1'b1;
                poll_due  <= 1'b0;
            end
            if (good_i && is_poll) begin
                poll_due <= !ready_due;     // both have one tag
                nak_sent <= 1'b0;
            end
            if (missed && (!nak_sent || is_poll)) nak_due <= 1'b1;
            if (heard && data && !gap && !taking) ack_due <= 1'b1;     // it came before: the host did not hear so
            if (good_i && taking) begin
                taken    <= taken + 2'd1;
                ack_due  <= ack_due || taken == 2'd3;
                want     <= want + 16'd1;
                nak_due  <= 1'b0;
                nak_sent <= 1'b0;
            end
            if (session_rst_o) begin
                session  <= session_i;
                want     <= 16'd0;
                poll_due <= 1'b0;
                ack_due  <= 1'b0;
                nak_due  <= 1'b0;
                nak_sent <= 1'b0;
            end
        end
    always @(posedge clk_i) begin
        if (ask) begin
            request_session <= session_i;
            request_tag     <= tag_i;
            answer_poke     <= is_poke;
        end
        if (good_i && (is_reset || (is_poll && !ready_due))) room_tag <= tag_i;
    end

    // ---- payloads: words of room or registers, or a frame of results
    reg  [1:0]  sending;                    // source of the frame that is going out
    reg  [5:0]  word, shown;                // which word comes next; the one before it
    reg  [2:0]  left;                       // bytes of the current one still to send
    reg  [31:0] bytes;
    // a register goes out in the cycle in which none is left of the word before: others may read in all the rest
    wire        side    = left != 3'd0;
    reg  [15:0] at;                         // the register of that word, a cycle late: none is read while a word goes out
    always @(posedge clk_i) at <= request[15:0] + {10'd0, shown};
    wire [15:0] address = side ? side_addr_i : at;
    // a far one takes its time, and the payload waits for it; a word behind the last one asked for must not be read
    wire        peek_far = !side && sending == Answer && !answer_poke && word != 6'd0 && word <= request[21:16] && at >= `LINK_REG_FAR;
    wire        side_far = side_addr_i >= `LINK_REG_FAR;
    wire        peek_done, side_far_done;
    wire [31:0] far_data;
    far_registers far (
        .clk_i(clk_i), .rst_i(rst_i), .poke_valid_i(poke_due), .poke_addr_i(request[15:0]), .poke_data_i(request[63:32]),
        .poke_done_o(poke_done), .peek_valid_i(peek_far), .peek_addr_i(at), .peek_done_o(peek_done),
        .side_valid_i(side_valid_i && side_far), .side_write_i(side_write_i), .side_addr_i(side_addr_i), .side_data_i(side_data_i),
        .side_done_o(side_far_done), .data_o(far_data), .bus_valid_o(bus_valid_o), .bus_write_o(bus_write_o),
        .bus_addr_o(bus_addr_o), .bus_data_o(bus_data_o), .bus_done_i(bus_done_i), .bus_data_i(bus_data_i));
    assign side_done_o  = side_far ? side_far_done : side && side_valid_i && !(ask && is_poke);
    assign side_data_o  = side_far ? far_data : register;
    reg  [31:0] register, room_word;
    assign reg_addr_o = address[5:0];
    always @*
        case (word[2:0])
            3'd`LINK_STREAM_COMMAND: room_word = limit_i[31:0];
            3'd`LINK_STREAM_X:       room_word = limit_i[63:32];
            3'd`LINK_STREAM_W:       room_word = limit_i[95:64];
            3'd`LINK_STREAM_H:       room_word = limit_i[127:96];
            default:                 room_word = limit_i[159:128];
        endcase
    wire [31:0] next_word = sending == Room ? room_word : word == 6'd0 ? request[31:0] : answer_poke ? request[63:32] :
                            peek_far ? far_data : register;
    always @(posedge clk_i)
        if (start) begin
            sending <= source;
            word    <= 6'd0;
            left    <= 3'd0;
        end else if (rst_i || (left == 3'd0 && (!peek_far || peek_done))) begin
            bytes  <= next_word;
            left   <= 3'd4;
            word   <= word + 6'd1;
            shown  <= word;
        end else if (side && tx_payload_ready_i) begin
            bytes <= {8'd0, bytes[31:8]};
            left  <= left - 3'd1;
        end
    assign tx_payload_valid_o = sending == Frame ? frame_valid_i : left != 3'd0;
    assign tx_payload_o       = sending == Frame ? frame_byte_i : bytes[7:0];
    assign frame_ready_o      = sending == Frame && tx_payload_ready_i;
    always @(posedge clk_i)
        if (rst_i || tx_ready_i) answering <= !rst_i && start && source == Answer;

    // ---- registers
    reg [31:0] good, bad_header, bad_crc, out_of_order, no_room, sent, rewound;
    always @(posedge clk_i)
        if (rst_i || Small != 0) begin
            {good, bad_header, bad_crc, out_of_order} <= 128'd0;
            {no_room, sent, rewound} <= 96'd0;
        end else begin
            if (good_i) good <= good + 32'd1;
            if (bad_header_i) bad_header <= bad_header + 32'd1;
            if (bad_i) bad_crc <= bad_crc + 32'd1;
            if (heard && data && ahead != 16'd0) out_of_order <= out_of_order + 32'd1;
            if (heard && data && ahead == 16'd0 && !taking) no_room <= no_room + 32'd1;
            if (start) sent <= sent + 32'd1;
            if (rewound_i) rewound <= rewound + 32'd1;
        end
    localparam [31:0] Protocol = (`LINK_PROTOCOL_MIN << 16) | `LINK_PROTOCOL_MAX;
    localparam [31:0] Result   = (ResultSlots << 16) | ResultBytes;
    always @*
        case (address)
            `LINK_REG_MAGIC:        register = `LINK_MAGIC_WORD;
            `LINK_REG_PROTOCOL:     register = Protocol;
            `LINK_REG_SESSION:      register = {16'd0, session};
            `LINK_REG_SCRATCH:      register = scratch;
            `LINK_REG_CLOCK:        register = ClockHz;
            `LINK_REG_BUILD:        register = Build;
            `LINK_REG_RESULT:       register = Result;
            `LINK_REG_ROOM:         register = CmdRoom;
            `LINK_REG_ROOM + 1:     register = XRoom;
            `LINK_REG_ROOM + 2:     register = WRoom;
            `LINK_REG_ROOM + 3:     register = HRoom;
            `LINK_REG_ROOM + 4:     register = ORoom;
            `LINK_REG_GOOD:         register = good;
            `LINK_REG_BAD_HEADER:   register = bad_header;
            `LINK_REG_BAD_CRC:      register = bad_crc;
            `LINK_REG_OUT_OF_ORDER: register = out_of_order;
            `LINK_REG_NO_ROOM:      register = no_room;
            `LINK_REG_SENT:         register = sent;
            `LINK_REG_REWOUND:      register = rewound;
            default:                register = address < `LINK_REG_MAGIC ? reg_data_i : 32'd0;
        endcase
endmodule
`default_nettype wire
