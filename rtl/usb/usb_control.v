// usb_control.v - endpoint 0: the standard requests and the vendor's, docs/link.md. It needs nothing that the bulk endpoints
// could hold up.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_control #(
    parameter HighSpeed = 1,
    parameter [63:0] Serial = "00000001",
    parameter ClockHz = 60000000,
    parameter Build   = 0
) (
    input  wire        clk_i,
    input  wire        rst_i,               // bus reset, too
    input  wire        high_i,
    // packets to this endpoint
    input  wire        setup_i,             // the bytes that come are those of a SETUP
    input  wire        byte_valid_i,
    input  wire [7:0]  byte_i,
    input  wire        begin_i,             // a packet to it begins
    input  wire        setup_good_i,
    input  wire        out_good_i,          // answered with ACK
    output wire        stall_o,
    output wire        out_ready_o,
    output wire        in_ready_o,
    output reg         toggle_o,
    input  wire        open_i,
    output wire        more_o,
    output wire [7:0]  byte_o,
    input  wire        take_i,
    input  wire        done_i,              // the host has what was sent
    // what requests change
    output reg  [6:0]  address_o,
    output reg         configured_o,
    output reg         clear_out_o,         // pulses: the toggle begins anew
    output reg         clear_in_o,
    output reg         halt_out_o,
    output reg         halt_in_o,
    output reg         reset_stream_o,
    output reg         abort_o,
    input  wire [95:0] status_i,
    // registers
    output reg         reg_valid_o,
    output wire        reg_write_o,
    output wire [15:0] reg_addr_o,
    output wire [31:0] reg_data_o,
    input  wire        reg_done_i,
    input  wire [31:0] reg_data_i
);
    localparam Idle = 3'd0, In = 3'd1, Out = 3'd2, StatusIn = 3'd3, Stall = 3'd4;
    localparam [31:0] Magic = `LINK_MAGIC_WORD, Protocol = (`LINK_PROTOCOL_MIN << 16) | `LINK_PROTOCOL_MAX;
    localparam [31:0] Clock = ClockHz, BuildWord = Build;
    reg  [2:0]   stage;
    reg  [63:0]  s;                         // the SETUP's bytes
    reg  [3:0]   count;                     // bytes of the packet that comes, up to 9
    reg          decode;
    reg  [31:0]  said;                      // data of a POKE
    reg  [127:0] words;                     // an answer that is no descriptor
    reg          rom;
    reg  [7:0]   size;                      // bytes of the answer
    reg  [7:0]   sent, at;                  // bytes that the host has; next byte
    wire [7:0]   kind    = s[7:0], request = s[15:8];
    wire [15:0]  value   = s[31:16], index = s[47:32], length = s[63:48];
    wire         ms_os   = kind == 8'hC0;
    wire         known;
    wire [7:0]   rom_size, rom_byte;
    usb_descriptors #(.HighSpeed(HighSpeed), .Serial(Serial)) descriptors (
        .high_i(high_i), .type_i(ms_os ? 8'd`LINK_USB_MS_OS : value[15:8]), .index_i(ms_os ? 8'd0 : value[7:0]), .known_o(known),
        .length_o(rom_size), .at_i(at), .data_o(rom_byte));

    wire [7:0] left   = size - sent;
    wire       short  = left < 8'd64;
    wire [7:0] finish = sent + (short ? left : 8'd64);
    assign stall_o     = stage == Stall;
    assign out_ready_o = !reg_valid_o;
    assign in_ready_o  = (stage == In || stage == StatusIn) && !decode && !reg_valid_o;
    assign more_o      = stage == In && at != finish;
    assign byte_o      = rom ? rom_byte : words[8*at[3:0]+:8];
    assign reg_write_o = kind == 8'h40;
    assign reg_addr_o  = index;
    assign reg_data_o  = said;

    // what an IN request with this many bytes answers; 0 bytes: it is refused
    reg  [127:0] answer;
    reg  [7:0]   answer_size;
    wire         endpoint_out = index == 16'h0001, endpoint_in = index == 16'h0081;
    always @* begin
        answer      = {127'd0, (endpoint_out && halt_out_o) || (endpoint_in && halt_in_o)};
        answer_size = 8'd0;
        case ({kind, request})
            16'h8000, 16'h8100: begin
                answer      = 128'd0;
                answer_size = 8'd2;
            end
            16'h8200: answer_size = endpoint_out || endpoint_in || index[6:0] == 7'd0 ? 8'd2 : 8'd0;
            16'h8006: answer_size = known && value[15:8] != `LINK_USB_MS_OS ? rom_size : 8'd0;
            16'h8008: begin
                answer      = {127'd0, configured_o};
                answer_size = 8'd1;
            end
            16'h810A: begin
                answer      = 128'd0;
                answer_size = 8'd1;
            end
            16'hC000 | `LINK_USB_INFO: begin
                answer      = {BuildWord, Clock, Protocol, Magic};
                answer_size = 8'd16;
            end
            16'hC000 | `LINK_USB_STATUS: begin
                answer      = {32'd0, status_i};
                answer_size = 8'd12;
            end
            16'hC000 | `LINK_USB_PEEK: answer_size = 8'd4;
            16'hC000 | `LINK_USB_MS_OS: answer_size = index == 16'd7 ? rom_size : 8'd0;
            default: answer_size = 8'd0;
        endcase
    end
    reg obey;                               // an OUT request that is known
    always @*
        case ({kind, request})
            16'h0005: obey = value < 16'd128;
            16'h0009: obey = value < 16'd2;
            16'h010B: obey = value == 16'd0 && index == 16'd0;
            16'h0201, 16'h0203: obey = value == 16'd0 && (endpoint_out || endpoint_in);
            16'h4000 | `LINK_USB_RESET_STREAM, 16'h4000 | `LINK_USB_ABORT: obey = length == 16'd0;
            16'h4000 | `LINK_USB_POKE: obey = length == 16'd4;
            default: obey = 1'b0;
        endcase
    wire peek = {kind, request} == (16'hC000 | `LINK_USB_PEEK);
    wire [7:0] wanted = length > 16'd255 ? 8'd255 : length[7:0];

    always @(posedge clk_i) begin
        if (begin_i) count <= 4'd0;
        else if (byte_valid_i && count != 4'd9) count <= count + 4'd1;
        if (byte_valid_i && setup_i && count < 4'd8) s <= {byte_i, s[63:8]};
        if (byte_valid_i && !setup_i && count < 4'd4) said <= {byte_i, said[31:8]};
        at <= open_i ? sent : at + {7'd0, take_i};
        if (decode) begin
            rom   <= request == 8'd6 || request == `LINK_USB_MS_OS;
            words <= answer;
            size  <= answer_size < wanted ? answer_size : wanted;
        end
        if (reg_done_i) words[31:0] <= reg_data_i;
    end
    always @(posedge clk_i)
        if (rst_i) begin
            stage        <= Idle;
            decode       <= 1'b0;
            toggle_o     <= 1'b1;
            sent         <= 8'd0;
            address_o    <= 7'd0;
            configured_o <= 1'b0;
            {clear_out_o, clear_in_o, reset_stream_o, abort_o} <= 4'd0;
            {halt_out_o, halt_in_o} <= 2'd0;
            reg_valid_o  <= 1'b0;
        end else begin
            decode <= setup_good_i && count == 4'd8;
            {clear_out_o, clear_in_o, reset_stream_o, abort_o} <= 4'd0;
            if (reg_done_i) reg_valid_o <= 1'b0;
            if (setup_good_i) begin
                stage       <= Stall;
                toggle_o    <= 1'b1;
                sent        <= 8'd0;
                reg_valid_o <= 1'b0;
            end
            if (out_good_i) begin
                stage <= Idle;              // the status of a read, or a POKE's data
                if (stage == Out) begin
                    stage       <= count == 4'd4 ? StatusIn : Stall;
                    reg_valid_o <= count == 4'd4;
                end
            end
            if (done_i) begin
                toggle_o <= !toggle_o;
                if (stage == In) sent <= finish;
                if (stage == StatusIn) begin
                    stage <= Idle;
                    if ({kind, request} == 16'h0005) address_o <= value[6:0];
                end
            end
            if (decode && kind[7] && length != 16'd0) begin
                stage       <= answer_size != 8'd0 ? In : Stall;
                reg_valid_o <= peek;
            end
            if (decode && !kind[7] && obey) begin
                stage <= length != 16'd0 ? Out : StatusIn;
                case ({kind, request})
                    16'h0009: begin
                        configured_o <= value[0];
                        {halt_out_o, halt_in_o}   <= 2'd0;
                        {clear_out_o, clear_in_o} <= 2'd3;
                        abort_o      <= 1'b1;
                    end
                    16'h010B: begin
                        {halt_out_o, halt_in_o}   <= 2'd0;
                        {clear_out_o, clear_in_o} <= 2'd3;
                    end
                    16'h0201: begin
                        if (endpoint_out) {halt_out_o, clear_out_o} <= 2'b01;
                        if (endpoint_in) {halt_in_o, clear_in_o} <= 2'b01;
                    end
                    16'h0203: begin
                        if (endpoint_out) halt_out_o <= 1'b1;
                        if (endpoint_in) halt_in_o <= 1'b1;
                    end
                    16'h4000 | `LINK_USB_RESET_STREAM: reset_stream_o <= 1'b1;
                    16'h4000 | `LINK_USB_ABORT: abort_o <= 1'b1;
                    default: ;
                endcase
            end
        end
endmodule
`default_nettype wire
