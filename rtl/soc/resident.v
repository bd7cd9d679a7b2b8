// resident.v - streams kept in external memory: the commands that store and fetch them, the memory's registers and a window
// into it. docs/link.md has the commands, the registers and the memory port.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module resident #(
    parameter WWords = 32,                  // of 16 bits, of a beat of the streams
    parameter HWords = 8,
    parameter OWords = 4,
    parameter WDepth = 128,                 // words of their buffers
    parameter HDepth = 32,
    parameter ODepth = 16
) (
    input  wire         clk_i,
    input  wire         rst_i,              // power-on: memory and TAG are forgotten
    input  wire         session_rst_i,      // a new session, or the same
    input  wire [31:0]  bytes_i,            // of memory, constant, a multiple of 16; 0: none
    // commands: those that are not ours go on
    input  wire         cmd_valid_i,
    output wire         cmd_ready_o,
    input  wire [127:0] cmd_i,
    output wire         cmd_valid_o,
    input  wire         cmd_ready_i,
    input  wire         busy_i,             // the core has commands
    // completions: the core's, and ours
    input  wire         cpl_valid_i,
    output wire         cpl_ready_o,
    input  wire [23:0]  cpl_i,
    output wire         cpl_valid_o,
    input  wire         cpl_ready_i,
    output wire [23:0]  cpl_o,
    // bytes of the stream w, while they are to be stored
    output wire         store_o,
    input  wire         byte_valid_i,
    output wire         byte_ready_o,
    input  wire [7:0]   byte_i,
    output wire         quiet_o,            // no command of ours is under way, nor has it left anything
    // beats out of memory: as long as some are pending, none come from elsewhere; w, h, o
    output wire [2:0]   pending_o,
    output wire [2:0]   valid_o,
    input  wire [2:0]   ready_i,
    output wire [16*WWords-1:0] w_o,
    output wire [16*HWords-1:0] h_o,
    output wire [16*OWords-1:0] o_o,
    // registers, see far_registers.v
    input  wire         bus_valid_i,
    input  wire         bus_write_i,
    input  wire [15:0]  bus_addr_i,
    input  wire [31:0]  bus_data_i,
    output wire         bus_done_o,
    output wire [31:0]  bus_data_o,
    // the memory port
    output reg          mem_valid_o,
    input  wire         mem_ready_i,
    output reg          mem_write_o,
    output reg  [27:0]  mem_addr_o,
    input  wire         mem_take_i,
    output wire [15:0]  mem_data_o,
    output wire         mem_strobe_o,
    input  wire         mem_valid_i,
    input  wire [15:0]  mem_data_i
);
    wire rst = rst_i || session_rst_i;

    // ---- commands
    wire [7:0]  stream  = cmd_i[15:8];
    wire [31:0] address = cmd_i[63:32], count = cmd_i[95:64];
    wire        store   = cmd_i[7:0] == `LINK_OP_STORE;
    wire        ours    = bytes_i != 32'd0 && (store || cmd_i[7:0] == `LINK_OP_FETCH);
    wire        fits    = {1'b0, address} + {1'b0, count} <= {1'b0, bytes_i};
    wire        whole   = store ? count[3:0] == 4'd0 : !count[0] && stream >= `LINK_STREAM_W && stream <= `LINK_STREAM_O;
    wire        legal   = fits && whole && address[3:0] == 4'd0 && count != 32'd0;
    wire [2:0]  which   = {stream == `LINK_STREAM_O, stream == `LINK_STREAM_H, stream == `LINK_STREAM_W};
    wire [2:0]  busy, ask, asked, wrong;
    reg         storing, own;               // own: a completion of ours waits
    reg         drain;                      // words that an earlier session asked for are on their way
    reg  [15:0] id;
    reg  [7:0]  status;
    wire        free    = !storing && !own && !drain;
    wire        go      = cmd_valid_i && ours && free && !busy_i && (store ? busy == 3'd0 : (busy & which) == 3'd0);
    wire [2:0]  start   = which & {3{go && !store && legal}};
    assign cmd_valid_o  = cmd_valid_i && !ours && free;
    assign cmd_ready_o  = ours ? go : cmd_ready_i && free;

    // ---- bytes to be stored
    reg  [31:0]   coming;                   // bytes that have not come
    reg  [27:0]   to;                       // where the next 16 go
    wire          block_valid, block_ready, gather_ready, no_bytes;
    wire [127:0]  block;
    assign store_o      = storing;
    assign byte_ready_o = gather_ready && coming != 32'd0;
    bytes_to_beat #(.Bytes(16)) gather (
        .clk_i(clk_i), .rst_i(rst), .valid_i(byte_valid_i && storing && coming != 32'd0), .ready_o(gather_ready),
        .data_i(byte_i), .valid_o(block_valid), .ready_i(block_ready), .data_o(block),
        .empty_o(no_bytes));
    reg           have;                     // a block on its way to memory; it gets there whatever becomes of the session
    wire          stored = storing && coming == 32'd0 && !block_valid && !have;

    // ---- completions. What was computed from words that are wrong is wrong: the core's says so, too
    reg  core_on, tainted;
    assign quiet_o = free && busy == 3'd0 && !tainted && no_bytes;
    wire own_first = own && !core_on;
    wire bad       = tainted || pending_o != 3'd0;
    assign cpl_valid_o = own || cpl_valid_i;
    assign cpl_o       = own_first ? {status, id} : {bad ? 8'd`LINK_STATUS_MEMORY : cpl_i[23:16], cpl_i[15:0]};
    assign cpl_ready_o = cpl_ready_i && !own_first;
    always @(posedge clk_i)
        if (rst) begin
            storing <= 1'b0;
            own     <= 1'b0;
            core_on <= 1'b0;
            tainted <= 1'b0;
        end else begin
            core_on <= cpl_valid_i && !own_first && !cpl_ready_i;
            if (cpl_valid_i && cpl_ready_o) tainted <= 1'b0;
            else if (wrong != 3'd0 || (cpl_valid_i && bad)) tainted <= 1'b1;
            if (own_first && cpl_ready_i) own <= 1'b0;
            if (go) begin
                storing <= store && legal;
                own     <= !legal;
                status  <= `LINK_STATUS_ILLEGAL;
                id      <= cmd_i[31:16];
            end
            if (stored) begin
                storing <= 1'b0;
                own     <= 1'b1;
                status  <= 8'd0;
            end
            if (wrong != 3'd0) begin
                own     <= 1'b1;
                status  <= `LINK_STATUS_MEMORY;
            end
        end
    always @(posedge clk_i)
        if (go) begin
            coming <= count;
            to     <= address[31:4];
        end else begin
            if (byte_valid_i && storing && byte_ready_o) coming <= coming - 32'd1;
            if (block_valid && block_ready) to <= to + 28'd1;
        end

    // ---- registers and the window
    localparam Idle = 2'd0, Ask = 2'd1, Wait = 2'd2, Done = 2'd3;
    wire        window  = bus_addr_i[15];
    reg  [14:0] page;
    wire [27:0] spot    = {page, bus_addr_i[14:2]};
    wire        there   = spot < bytes_i[31:4];
    reg  [1:0]  reading;
    reg         given_up;                   // nobody waits for what is read
    reg  [31:0] found, tag, bursts_read, bursts_written;
    reg  [15:0] wrongs;
    wire        poke    = bus_valid_i && bus_write_i && window && there && reading == Idle;
    wire        poked   = poke && !have;
    wire        last_word, comes;
    wire [1:0]  whose;
    assign bus_done_o = bus_valid_i && (!window || !there || (bus_write_i ? poked : reading == Done && !given_up));
    reg  [31:0] register;
    assign bus_data_o = window ? (there ? found : 32'd0) : register;
    always @*
        case (bus_addr_i)
            `LINK_REG_MEM_MAGIC:   register = bytes_i == 32'd0 ? 32'd0 : `LINK_MEM_WORD;
            `LINK_REG_MEM_BYTES:   register = bytes_i;
            `LINK_REG_MEM_TAG:     register = tag;
            `LINK_REG_MEM_STATE:   register = {wrongs, 11'd0, drain, busy, storing};
            `LINK_REG_MEM_PAGE:    register = {17'd0, page};
            `LINK_REG_MEM_READ:    register = bursts_read;
            `LINK_REG_MEM_WRITTEN: register = bursts_written;
            default:               register = 32'd0;
        endcase
    reg  [2:0]  word;                       // of the burst that comes in
    always @(posedge clk_i)
        if (rst_i) begin
            tag     <= 32'd0;
            page    <= 15'd0;
            reading <= Idle;
            wrongs  <= 16'd0;
        end else begin
            if (bus_valid_i && bus_write_i && bus_addr_i == `LINK_REG_MEM_TAG) tag <= bus_data_i;
            if (bus_valid_i && bus_write_i && bus_addr_i == `LINK_REG_MEM_PAGE) page <= bus_data_i[14:0];
            if (wrong != 3'd0) wrongs <= wrongs + 16'd1;
            case (reading)
                Idle: if (bus_valid_i && !bus_write_i && window && there) reading <= Ask;
                Ask:  if (load && choice == Window) reading <= Wait;
                Wait: if (last_word && whose == Window) reading <= Done;
                default: reading <= Idle;
            endcase
            given_up <= reading != Idle && (given_up || !bus_valid_i);
        end
    always @(posedge clk_i)
        if (comes && whose == Window && word[2:1] == bus_addr_i[1:0]) found <= {mem_data_i, found[31:16]};

    // ---- requests to memory: one at hand, and whose words come back
    localparam Window = 2'd0, W = 2'd1, H = 2'd2, O = 2'd3;
    reg          sent;                      // the block was asked to be written
    reg  [2:0]   words_left;
    reg  [127:0] wdata;
    reg  [7:0]   wstrobe;
    reg  [27:0]  wspot;
    wire [27:0]  w_addr, h_addr, o_addr;
    wire         order_ready, order_valid;
    wire         put     = have && !sent;
    wire [1:0]   choice  = reading == Ask ? Window : ask[2] ? O : ask[1] ? H : W;
    wire         get     = !put && order_ready && (reading == Ask || ask != 3'd0);
    wire         load    = get && (!mem_valid_o || mem_ready_i);
    assign asked       = {choice == O, choice == H, choice == W} & {3{load}};
    assign block_ready = !have && !poke;
    assign mem_data_o   = wdata[15:0];
    assign mem_strobe_o = wstrobe[0];
    assign comes        = mem_valid_i && order_valid; // words asked for before a reset are nobody's
    assign last_word    = comes && word == 3'd7;
    fifo #(.Width(2), .Depth(8)) order (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(load), .ready_o(order_ready), .data_i(choice), .valid_o(order_valid),
        .ready_i(last_word), .data_o(whose));
    always @(posedge clk_i)
        if (rst_i) begin
            mem_valid_o    <= 1'b0;
            have           <= 1'b0;
            sent           <= 1'b0;
            word           <= 3'd0;
            drain          <= 1'b0;
            bursts_read    <= 32'd0;
            bursts_written <= 32'd0;
        end else begin
            if (!mem_valid_o || mem_ready_i) mem_valid_o <= put || get;
            if (put && (!mem_valid_o || mem_ready_i)) sent <= 1'b1;
            if (poked || (block_valid && block_ready)) begin
                have       <= 1'b1;
                words_left <= 3'd7;
            end
            if (mem_take_i) begin
                words_left <= words_left - 3'd1;
                if (words_left == 3'd0) {have, sent} <= 2'd0;
            end
            if (comes) word <= word + 3'd1;
            drain <= session_rst_i || (drain && order_valid);
            if (load) bursts_read <= bursts_read + 32'd1;
            if (mem_take_i && words_left == 3'd0) bursts_written <= bursts_written + 32'd1;
        end
    always @(posedge clk_i) begin
        if (!mem_valid_o || mem_ready_i) begin
            mem_write_o <= put;
            mem_addr_o  <= put ? wspot : choice == Window ? spot : choice == O ? o_addr : choice == H ? h_addr : w_addr;
        end
        if (poked) begin
            wdata   <= {4{bus_data_i}};
            wstrobe <= 8'd3 << {bus_addr_i[1:0], 1'b0};
            wspot   <= spot;
        end else if (block_valid && block_ready) begin
            wdata   <= block;
            wstrobe <= 8'hFF;
            wspot   <= to;
        end else if (mem_take_i) begin
            wdata   <= {16'd0, wdata[127:16]};
            wstrobe <= {1'b0, wstrobe[7:1]};
        end
    end

    // ---- streams out of memory
    wire [2:0] came = {whose == O, whose == H, whose == W} & {3{comes && !drain}};
    mem_reader #(.Words(WWords), .Depth(WDepth)) read_w (
        .clk_i(clk_i), .rst_i(rst), .start_i(start[0]), .addr_i(address[31:4]), .words_i(count[31:1]), .crc_i(cmd_i[127:96]),
        .busy_o(busy[0]), .pending_o(pending_o[0]), .wrong_o(wrong[0]), .ask_o(ask[0]), .asked_i(asked[0]), .addr_o(w_addr),
        .valid_i(came[0]), .data_i(mem_data_i), .valid_o(valid_o[0]), .ready_i(ready_i[0]), .data_o(w_o));
    mem_reader #(.Words(HWords), .Depth(HDepth)) read_h (
        .clk_i(clk_i), .rst_i(rst), .start_i(start[1]), .addr_i(address[31:4]), .words_i(count[31:1]), .crc_i(cmd_i[127:96]),
        .busy_o(busy[1]), .pending_o(pending_o[1]), .wrong_o(wrong[1]), .ask_o(ask[1]), .asked_i(asked[1]), .addr_o(h_addr),
        .valid_i(came[1]), .data_i(mem_data_i), .valid_o(valid_o[1]), .ready_i(ready_i[1]), .data_o(h_o));
    mem_reader #(.Words(OWords), .Depth(ODepth)) read_o (
        .clk_i(clk_i), .rst_i(rst), .start_i(start[2]), .addr_i(address[31:4]), .words_i(count[31:1]), .crc_i(cmd_i[127:96]),
        .busy_o(busy[2]), .pending_o(pending_o[2]), .wrong_o(wrong[2]), .ask_o(ask[2]), .asked_i(asked[2]), .addr_o(o_addr),
        .valid_i(came[2]), .data_i(mem_data_i), .valid_o(valid_o[2]), .ready_i(ready_i[2]), .data_o(o_o));
endmodule
`default_nettype wire
