// link_results.v - result bytes and completions as data frames, kept until the host has acknowledged them.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module link_results #(
    parameter Bytes = 512,                  // of results in one frame, power of two, 16..4096
    parameter Slots = 4                     // frames kept, power of two, 2..64
) (
    input  wire        clk_i,
    input  wire        rst_i,
    // results of the command whose completion comes next; tag_i is its id
    input  wire        valid_i,
    output wire        ready_o,
    input  wire [7:0]  data_i,
    input  wire [15:0] tag_i,
    // a completion is taken after the results before it
    input  wire        cpl_valid_i,
    output wire        cpl_ready_o,
    input  wire [23:0] cpl_i,
    // frames: the next one to send, from cursor_o on, up to the last one, before top_o
    output reg  [15:0] cursor_o,
    output wire        frame_o,             // there is one
    output wire [7:0]  type_o,
    output wire [15:0] tag_o,
    output wire [15:0] length_o,
    input  wire        send_i,              // it goes out: cursor_o moves on, its bytes follow below
    output wire        payload_valid_o,
    input  wire        payload_ready_i,
    output reg  [7:0]  payload_o,
    // what the host says
    input  wire        ack_valid_i,
    input  wire [15:0] ack_i,               // all before this one arrived
    input  wire        nak_i,               // with ack_valid_i: and the next ones did not
    output wire        rewound_o
);
    localparam Bw = $clog2(Bytes);
    localparam Sw = $clog2(Slots);
    localparam Full = Bytes, All = Slots;
    generate
        if (Bytes < 16 || Bytes > 4096 || (1 << Bw) != Bytes) link_results_bytes_must_be_a_power_of_two bad_parameter();
        if (Slots < 2 || Slots > 64 || (1 << Sw) != Slots) link_results_slots_must_be_a_power_of_two bad_parameter();
    endgenerate

    (* no_rw_check *) reg [7:0] mem [0:Bytes*Slots-1];  // what is being overwritten, nobody wants: see below
    reg [32:0] meta [0:Slots-1];            // completion, tag, length
    reg [15:0] base;
    reg [Sw:0] top;                         // its low bits; the frames from base to top are All at most
    reg [Bw:0] fill;                        // bytes in the frame that is being filled
    reg [1:0]  at;                          // byte of the completion that comes next
    wire [Sw:0] kept = top - base[Sw:0];
    wire        room = kept != All[Sw:0];

    // a completion waits until the bytes before it are in a frame of their own
    wire        byte_in = valid_i && ready_o;
    wire        full    = byte_in && fill == Full[Bw:0] - 1'b1;
    wire        flush   = cpl_valid_i && !valid_i && room && fill != 0;
    wire        cpl     = cpl_valid_i && !valid_i && room && fill == 0;
    wire        last    = cpl && at == 2'd3;
    assign ready_o     = room;
    assign cpl_ready_o = last;

    wire [7:0] cpl_byte = at == 2'd0 ? cpl_i[7:0] : at == 2'd1 ? cpl_i[15:8] : at == 2'd2 ? cpl_i[23:16] : 8'd0;
    wire [Bw-1:0] put_at = cpl ? {{Bw-2{1'b0}}, at} : fill[Bw-1:0];
    always @(posedge clk_i)
        if (byte_in || cpl) mem[{top[Sw-1:0], put_at}] <= cpl ? cpl_byte : data_i;
    always @(posedge clk_i)
        if (full || flush) meta[top[Sw-1:0]] <= {1'b0, tag_i, flush ? {{15-Bw{1'b0}}, fill} : Full[15:0]};
        else if (last) meta[top[Sw-1:0]] <= {1'b1, cpl_i[15:0], 16'd4};

    // an acknowledgement of more than there is was held back, or is of no session of ours
    wire [15:0] arrived = ack_i - base;
    wire [Sw:0] gone    = cursor_o[Sw:0] - base[Sw:0];
    wire        ack = ack_valid_i && arrived <= {{15-Sw{1'b0}}, kept};
    wire        nak = ack && nak_i;
    assign rewound_o = nak && cursor_o != ack_i;
    assign frame_o = cursor_o[Sw:0] != top;
    always @(posedge clk_i)
        if (rst_i) begin
            base     <= 16'd0;
            top      <= 0;
            cursor_o <= 16'd0;
            fill     <= 0;
            at       <= 2'd0;
        end else begin
            if (ack) base <= ack_i;
            if (nak || (ack && gone < arrived[Sw:0])) cursor_o <= ack_i;
            else if (send_i) cursor_o <= cursor_o + 16'd1;
            if (full || flush || last) top <= top + 1'b1;
            if (full || flush) fill <= 0;
            else if (byte_in) fill <= fill + 1'b1;
            if (cpl) at <= at + 2'd1;
        end

    wire [32:0] head = meta[cursor_o[Sw-1:0]];
    assign type_o   = head[32] ? `LINK_TYPE_COMPLETION : `LINK_TYPE_RESULT;
    assign tag_o    = head[31:16];
    assign length_o = head[15:0];

    // Bytes of the frame going out, without an end of their own and untouched by reset: a frame that was begun is
    // finished in any case. Should it have been overwritten, the host no longer wants it.
    reg [Sw+Bw-1:0] from;
    reg             there;
    assign payload_valid_o = there;
    wire   fetch = !there || payload_ready_i;
    always @(posedge clk_i)
        if (send_i) begin
            from  <= {cursor_o[Sw-1:0], {Bw{1'b0}}};
            there <= 1'b0;
        end else if (fetch) begin
            payload_o <= mem[from];
            from      <= from + 1'b1;
            there     <= 1'b1;
        end
endmodule
`default_nettype wire
