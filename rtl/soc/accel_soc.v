// accel_soc.v - the core behind the link: bytes in, bytes out, whatever carries them. docs/link.md has the protocol.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_soc #(
    `SOC_PARAMETERS(50000000, 8192)
) (
    input  wire       clk_i,
    input  wire       rst_i,
    input  wire       valid_i,
    output wire       ready_o,              // always
    input  wire [7:0] data_i,
    output wire       valid_o,
    input  wire       ready_i,
    output wire [7:0] data_o,
    output wire       busy_o,               // a command is being executed
    output wire       awake_o,              // the firmware has something to do
    // registers beside the link, see link_control.v
    input  wire        side_valid_i,
    input  wire        side_write_i,
    input  wire [15:0] side_addr_i,
    input  wire [31:0] side_data_i,
    output wire        side_done_o,
    output wire [31:0] side_data_o,
    // registers from word LINK_REG_FAR on, see far_registers.v
    output wire        bus_valid_o,
    output wire        bus_write_o,
    output wire [15:0] bus_addr_o,
    output wire [31:0] bus_data_o,
    input  wire        bus_done_i,
    input  wire [31:0] bus_data_i,
    // external memory, see docs/link.md; unused without Memory
    input  wire [31:0] mem_bytes_i,         // of it, constant
    output wire        mem_valid_o,
    input  wire        mem_ready_i,
    output wire        mem_write_o,
    output wire [27:0] mem_addr_o,          // of 16 bytes
    input  wire        mem_take_i,
    output wire [15:0] mem_data_o,
    output wire        mem_strobe_o,
    input  wire        mem_valid_i,
    input  wire [15:0] mem_data_i
);
    localparam WBytes = (`BEAT + 7) / 8;    // of a beat of codes

    generate
        if (Cpu != 0 && Cpu != 1) accel_soc_cpu_must_be_0_or_1 bad_parameter();
        if (Small != 0 && Memory != 0) accel_soc_small_has_no_memory bad_parameter();
        if (ORoom == 0 && ODepth != 0) accel_soc_outliers_need_o_room bad_parameter();
        if (Memory < 0 || Memory > 1) accel_soc_memory_must_be_0_or_1 bad_parameter();
    endgenerate

    assign ready_o = 1'b1;

    // ---- frames in
    wire [7:0]  type_in, flags;
    wire [15:0] session, number, ack, tag, length;
    wire        header, payload, good, bad, bad_header;
    link_rx rx (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid_i), .data_i(data_i), .type_o(type_in), .flags_o(flags),
        .session_o(session), .sequence_o(number), .ack_o(ack), .tag_o(tag), .length_o(length), .header_o(header),
        .payload_o(payload), .good_o(good), .bad_o(bad), .bad_header_o(bad_header));

    wire [4:0]   write, commit, grown;
    wire         undo, told, session_rst;
    wire [84:0]  free;
    wire [159:0] limit;
    wire         ack_valid, nak, rewound, frame, send, frame_valid, frame_ready;
    wire [15:0]  cursor, frame_tag, frame_length;
    wire [7:0]   frame_type, frame_byte;
    wire         tx_valid, tx_ready, tx_payload_valid, tx_payload_ready;
    wire [95:0]  tx_field;
    wire [7:0]   tx_payload;
    wire [5:0]   reg_addr;
    wire [31:0]  reg_data;
    wire         bus_valid, bus_done;
    wire [31:0]  bus_data;
    // registers: the firmware's requests come behind those from beside the link
    wire        side_valid, side_write, side_done, far_valid, cpu_valid, cpu_write, cpu_reg_done, cpu_here, cpu_done;
    wire [15:0] side_addr, cpu_addr;
    wire [31:0] side_data, cpu_out, cpu_data;
    side_share share (
        .clk_i(clk_i), .rst_i(rst_i), .first_valid_i(side_valid_i), .first_write_i(side_write_i), .first_addr_i(side_addr_i),
        .first_data_i(side_data_i), .first_done_o(side_done_o), .second_valid_i(cpu_valid), .second_write_i(cpu_write),
        .second_addr_i(cpu_addr), .second_data_i(cpu_out), .second_done_o(cpu_reg_done), .valid_o(side_valid),
        .write_o(side_write), .addr_o(side_addr), .data_o(side_data), .done_i(side_done));
    assign cpu_here = Cpu != 0 && (bus_addr_o[15:14] == 2'd1 ||
                                   (bus_addr_o >= `LINK_REG_CPU && bus_addr_o < `LINK_REG_CPU_LOG + `LINK_CPU_LOG_WORDS));
    assign bus_valid = far_valid && !cpu_here;
    link_control #(.CmdRoom(CmdRoom), .XRoom(XRoom), .WRoom(WRoom), .HRoom(HRoom), .ORoom(ORoom),
                   .ResultBytes(ResultBytes), .ResultSlots(ResultSlots), .ClockHz(ClockHz), .Build(Build), .Small(Small)) control (
        .clk_i(clk_i), .rst_i(rst_i), .type_i(type_in), .flags_i(flags), .session_i(session), .sequence_i(number),
        .tag_i(tag), .length_i(length), .header_i(header), .payload_valid_i(payload), .payload_i(data_i),
        .good_i(good), .bad_i(bad), .bad_header_i(bad_header),
        .write_o(write), .commit_o(commit), .undo_o(undo), .free_i(free), .limit_i(limit), .told_o(told), .grown_i(|grown),
        .session_rst_o(session_rst),
        .ack_valid_o(ack_valid), .nak_o(nak), .rewound_i(rewound), .cursor_i(cursor), .frame_i(frame),
        .frame_type_i(frame_type), .frame_tag_i(frame_tag), .frame_length_i(frame_length), .send_o(send),
        .frame_valid_i(frame_valid), .frame_ready_o(frame_ready), .frame_byte_i(frame_byte),
        .tx_valid_o(tx_valid), .tx_ready_i(tx_ready), .tx_field_o(tx_field), .tx_payload_valid_o(tx_payload_valid),
        .tx_payload_ready_i(tx_payload_ready), .tx_payload_o(tx_payload),
        .reg_addr_o(reg_addr), .reg_data_i(reg_data),
        .side_valid_i(side_valid), .side_write_i(side_write), .side_addr_i(side_addr), .side_data_i(side_data),
        .side_done_o(side_done), .side_data_o(side_data_o), .bus_valid_o(far_valid), .bus_write_o(bus_write_o),
        .bus_addr_o(bus_addr_o), .bus_data_o(bus_data_o), .bus_done_i(cpu_here ? cpu_done : bus_done),
        .bus_data_i(cpu_here ? cpu_data : bus_data));
    link_tx tx (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(tx_valid), .ready_o(tx_ready), .field_i(tx_field),
        .payload_valid_i(tx_payload_valid), .payload_ready_o(tx_payload_ready), .payload_i(tx_payload),
        .valid_o(valid_o), .ready_i(ready_i), .data_o(data_o));

    // ---- streams to the core
    wire rst = rst_i || session_rst;
    wire [4:0]  f_valid, s_valid, s_ready;
    wire [39:0] f_byte, s_byte;
    genvar s;
    generate
        for (s = 0; s < `LINK_STREAMS; s = s + 1) begin : g_stream
            if (s == `LINK_STREAM_O && ORoom == 0) begin : g_none
                assign {free[17*s+:17], limit[32*s+:32], grown[s], f_valid[s], f_byte[8*s+:8]} = 59'd0;
                wire unused_ok = &{1'b0, write[s], commit[s], s_ready[s]};
            end else begin : g_some
                link_fifo #(.Depth(s == `LINK_STREAM_COMMAND ? CmdRoom : s == `LINK_STREAM_X ? XRoom : s == `LINK_STREAM_W ? WRoom :
                                    s == `LINK_STREAM_H ? HRoom : ORoom)) buffer (
                    .clk_i(clk_i), .rst_i(rst), .write_i(write[s]), .data_i(data_i), .commit_i(commit[s]), .undo_i(undo),
                    .free_o(free[17*s+:17]), .limit_o(limit[32*s+:32]), .told_i(told), .grown_o(grown[s]),
                    .valid_o(f_valid[s]), .ready_i(s_ready[s] && !own), .data_o(f_byte[8*s+:8]));
            end
        end
    endgenerate

    // The core is the firmware's only while nobody else uses it. Should it be left in mid-job, it begins anew.
    reg         own, took;
    wire        take, idle, rest, drop, quiet, r_byte_valid, out_valid;
    wire [4:0]  t_valid, empty;
    wire [39:0] t_byte;
    assign idle = &empty && !busy_o && !r_byte_valid && !out_valid && quiet;
    assign rest = idle && f_valid == 5'd0;
    always @(posedge clk_i) begin
        if (rst) own <= 1'b0;
        else own <= take && (own || (rest && !took));
        took <= take;                       // what a new session took away is not given back by itself
    end
    assign      drop     = own && !take && !idle;
    wire        core_rst = rst || drop;
    assign s_valid = own ? t_valid : f_valid;
    assign s_byte  = own ? t_byte : f_byte;

    wire                     cmd_valid, cmd_ready, cmd_take, given, given_ready, x_valid, x_ready, w_valid, w_ready, h_valid, h_ready, o_valid, o_ready;
    wire [127:0]             cmd;
    wire [Lanes*8-1:0]       x;
    wire [WBytes*8-1:0]      w, sent_w;
    wire [ScaleUnits*16-1:0] h, sent_h;
    wire [63:0]              o, sent_o;
    wire                     take_w, gathered_w, sent_w_valid, sent_w_ready, sent_h_valid, sent_h_ready, sent_o_valid, sent_o_ready;
    bytes_to_beat #(.Bytes(16)) gather_cmd (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(s_valid[`LINK_STREAM_COMMAND]), .ready_o(s_ready[`LINK_STREAM_COMMAND]),
        .data_i(s_byte[8*`LINK_STREAM_COMMAND+:8]), .valid_o(given), .ready_i(given_ready), .data_o(cmd),
        .empty_o(empty[`LINK_STREAM_COMMAND]));
    bytes_to_beat #(.Bytes(Lanes)) gather_x (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(s_valid[`LINK_STREAM_X]), .ready_o(s_ready[`LINK_STREAM_X]),
        .data_i(s_byte[8*`LINK_STREAM_X+:8]), .valid_o(x_valid), .ready_i(x_ready), .data_o(x),
        .empty_o(empty[`LINK_STREAM_X]));
    bytes_to_beat #(.Bytes(WBytes)) gather_w (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(take_w), .ready_o(gathered_w),
        .data_i(s_byte[8*`LINK_STREAM_W+:8]), .valid_o(sent_w_valid), .ready_i(sent_w_ready), .data_o(sent_w),
        .empty_o(empty[`LINK_STREAM_W]));
    bytes_to_beat #(.Bytes(ScaleUnits * 2)) gather_h (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(s_valid[`LINK_STREAM_H]), .ready_o(s_ready[`LINK_STREAM_H]),
        .data_i(s_byte[8*`LINK_STREAM_H+:8]), .valid_o(sent_h_valid), .ready_i(sent_h_ready), .data_o(sent_h),
        .empty_o(empty[`LINK_STREAM_H]));
    bytes_to_beat #(.Bytes(8)) gather_o (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(s_valid[`LINK_STREAM_O]), .ready_o(s_ready[`LINK_STREAM_O]),
        .data_i(s_byte[8*`LINK_STREAM_O+:8]), .valid_o(sent_o_valid), .ready_i(sent_o_ready), .data_o(sent_o),
        .empty_o(empty[`LINK_STREAM_O]));

    // ids of the commands in the core: results carry the oldest one's
    wire        ids_ready;
    wire [15:0] id;
    wire        cpl_valid, cpl_ready, out_ready;
    wire [23:0] cpl, out;
    assign cmd_take = cmd_ready && ids_ready;
    generate
        if (Small != 0) begin : g_no_ids    // one command at a time, which waits at the core until it is done
            assign {busy_o, id, ids_ready} = {cmd_valid || cpl_valid, cpl_valid ? cpl[15:0] : cmd[31:16], 1'b1};
        end else begin : g_ids
            fifo #(.Width(16), .Depth(8)) ids (
                .clk_i(clk_i), .rst_i(core_rst), .valid_i(cmd_valid && cmd_ready), .ready_o(ids_ready), .data_i(cmd[31:16]),
                .valid_o(busy_o), .ready_i(cpl_valid && cpl_ready), .data_o(id));
        end
    endgenerate

    // ---- weights in memory: what is pending from there comes before what the link has
    generate
        if (Memory != 0) begin : g_memory
            localparam WWords = (WBytes + 1) / 2;
            wire                     ours = bus_addr_o[15] || bus_addr_o[15:6] == 10'd2;
            wire                     done, store, byte_ready;
            wire [31:0]              data;
            wire [2:0]               pending, valid;
            wire [16*WWords-1:0]     memory_w;
            wire [ScaleUnits*16-1:0] memory_h;
            wire [63:0]              memory_o;
            resident #(.WWords(WWords), .HWords(ScaleUnits), .OWords(4)) weights (
                .clk_i(clk_i), .rst_i(rst_i), .session_rst_i(session_rst || drop), .bytes_i(mem_bytes_i), .cmd_valid_i(given),
                .cmd_ready_o(given_ready), .cmd_i(cmd), .cmd_valid_o(cmd_valid), .cmd_ready_i(cmd_take), .busy_i(busy_o),
                .cpl_valid_i(cpl_valid), .cpl_ready_o(cpl_ready), .cpl_i(cpl), .cpl_valid_o(out_valid), .cpl_ready_i(out_ready),
                .cpl_o(out), .store_o(store), .byte_valid_i(s_valid[`LINK_STREAM_W]), .byte_ready_o(byte_ready),
                .byte_i(s_byte[8*`LINK_STREAM_W+:8]),
                .quiet_o(quiet), .pending_o(pending), .valid_o(valid), .ready_i({o_ready, h_ready, w_ready}),
                .w_o(memory_w), .h_o(memory_h), .o_o(memory_o), .bus_valid_i(bus_valid && ours), .bus_write_i(bus_write_o),
                .bus_addr_i(bus_addr_o), .bus_data_i(bus_data_o), .bus_done_o(done), .bus_data_o(data),
                .mem_valid_o(mem_valid_o), .mem_ready_i(mem_ready_i), .mem_write_o(mem_write_o), .mem_addr_o(mem_addr_o),
                .mem_take_i(mem_take_i), .mem_data_o(mem_data_o), .mem_strobe_o(mem_strobe_o), .mem_valid_i(mem_valid_i),
                .mem_data_i(mem_data_i));
            // bytes that are to be stored may be here before their command: they are no beats as long as nothing computes
            assign take_w                  = s_valid[`LINK_STREAM_W] && busy_o && !store;
            assign s_ready[`LINK_STREAM_W] = store ? byte_ready : gathered_w && busy_o;
            assign {o_valid, h_valid, w_valid} = (valid & pending) | ({sent_o_valid, sent_h_valid, sent_w_valid} & ~pending);
            assign {sent_o_ready, sent_h_ready, sent_w_ready} = {o_ready, h_ready, w_ready} & ~pending;
            assign w = pending[0] ? memory_w[WBytes*8-1:0] : sent_w;
            assign h = pending[1] ? memory_h : sent_h;
            assign o = pending[2] ? memory_o : sent_o;
            assign bus_valid_o = bus_valid && !ours;
            assign bus_done    = ours ? done : bus_done_i;
            assign bus_data    = ours ? data : bus_data_i;
            if (WWords * 2 != WBytes) begin : g_odd
                wire unused_ok = &{1'b0, memory_w[16*WWords-1:WBytes*8]};
            end
        end else begin : g_no_memory
            assign {cmd_valid, given_ready} = {given, cmd_take};
            assign {out_valid, cpl_ready, out} = {cpl_valid, out_ready, cpl};
            assign {take_w, s_ready[`LINK_STREAM_W]} = {s_valid[`LINK_STREAM_W], gathered_w};
            assign {w_valid, sent_w_ready, w} = {sent_w_valid, w_ready, sent_w};
            assign {h_valid, sent_h_ready, h} = {sent_h_valid, h_ready, sent_h};
            assign {o_valid, sent_o_ready, o} = {sent_o_valid, o_ready, sent_o};
            assign {bus_valid_o, bus_done, bus_data} = {bus_valid, bus_done_i, bus_data_i};
            assign {mem_valid_o, mem_write_o, mem_addr_o, mem_data_o, mem_strobe_o} = 47'd0;
            assign quiet = 1'b1;
            wire unused_ok = &{1'b0, mem_bytes_i, mem_ready_i, mem_take_i, mem_valid_i, mem_data_i};
        end
    endgenerate

    wire                     r_valid, r_ready, r_byte_ready, results_ready, results_out, t_ready, t_cpl;
    wire [ScaleUnits*48-1:0] r;
    wire [7:0]               r_byte;
    accel_core #(.Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN), .XDepth(XDepth),
                 .WDepth(WDepth), .Requant(Requant), .ODepth(ODepth), .DBits(DBits), .Small(Small)) core (
        .clk_i(clk_i), .rst_i(core_rst), .cmd_valid_i(cmd_valid && ids_ready), .cmd_ready_o(cmd_ready), .cmd_i(cmd),
        .cpl_valid_o(cpl_valid), .cpl_ready_i(cpl_ready), .cpl_o(cpl),
        .x_valid_i(x_valid), .x_ready_o(x_ready), .x_i(x), .w_valid_i(w_valid), .w_ready_o(w_ready), .w_i(w[`BEAT-1:0]),
        .h_valid_i(h_valid), .h_ready_o(h_ready), .h_i(h), .o_valid_i(o_valid), .o_ready_o(o_ready), .o_i(o),
        .r_valid_o(r_valid), .r_ready_i(r_ready), .r_o(r), .reg_addr_i(reg_addr), .reg_data_o(reg_data));
    generate
        if (WBytes * 8 != `BEAT) begin : g_spare
            wire unused_ok = &{1'b0, w[WBytes*8-1:`BEAT]};
        end
    endgenerate

    // ---- results
    beat_to_bytes #(.Bytes(ScaleUnits * 6)) spread (
        .clk_i(clk_i), .rst_i(core_rst), .valid_i(r_valid), .ready_o(r_ready), .data_i(r), .valid_o(r_byte_valid),
        .ready_i(r_byte_ready), .data_o(r_byte));
    assign r_byte_ready = own ? t_ready : results_ready;
    assign out_ready    = own ? t_cpl : results_out;
    link_results #(.Bytes(ResultBytes), .Slots(ResultSlots)) results (
        .clk_i(clk_i), .rst_i(rst), .valid_i(r_byte_valid && !own), .ready_o(results_ready), .data_i(r_byte), .tag_i(busy_o ? id : out[15:0]),
        .cpl_valid_i(out_valid && !own), .cpl_ready_o(results_out), .cpl_i(out), .cursor_o(cursor), .frame_o(frame),
        .type_o(frame_type), .tag_o(frame_tag), .length_o(frame_length), .send_i(send), .payload_valid_o(frame_valid),
        .payload_ready_i(frame_ready), .payload_o(frame_byte), .ack_valid_i(ack_valid), .ack_i(ack), .nak_i(nak),
        .rewound_o(rewound));

    // ---- processor
    generate
        if (Cpu != 0) begin : g_cpu
            accel_cpu #(.Firmware(Firmware), .RamBytes(CpuRam), .Watchdog(Watchdog)) cpu (
                .clk_i(clk_i), .rst_i(rst_i), .bus_valid_i(far_valid && cpu_here), .bus_write_i(bus_write_o),
                .bus_addr_i(bus_addr_o), .bus_data_i(bus_data_o), .bus_done_o(cpu_done), .bus_data_o(cpu_data),
                .reg_valid_o(cpu_valid), .reg_write_o(cpu_write), .reg_addr_o(cpu_addr), .reg_data_o(cpu_out),
                .reg_done_i(cpu_reg_done), .reg_data_i(side_data_o), .take_o(take), .own_i(own), .valid_o(t_valid),
                .ready_i(s_ready), .data_o(t_byte), .r_valid_i(r_byte_valid), .r_ready_o(t_ready), .r_data_i(r_byte),
                .cpl_valid_i(out_valid && !r_byte_valid), .cpl_ready_o(t_cpl), .cpl_i(out), .awake_o(awake_o));
        end else begin : g_no_cpu
            assign {cpu_done, cpu_data, cpu_valid, cpu_write, cpu_addr, cpu_out, take, t_valid, t_byte, t_ready, t_cpl, awake_o} = 0;
            wire unused_ok = &{1'b0, cpu_reg_done};
        end
    endgenerate
endmodule
`default_nettype wire
