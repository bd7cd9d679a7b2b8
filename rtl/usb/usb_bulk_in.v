// usb_bulk_in.v - bytes for the host in two buffers: one is filled while the other is sent, until the host has it.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_bulk_in (
    input  wire       clk_i,
    input  wire       rst_i,                // empties it
    input  wire [9:0] packet_i,             // bytes of a whole packet, 64 or 512
    input  wire       valid_i,
    output wire       ready_o,
    input  wire [7:0] data_i,
    output wire       full_o,               // a packet waits
    input  wire       open_i,               // send it from its first byte on
    output wire       more_o,
    output reg  [7:0] byte_o,
    input  wire       take_i,
    input  wire       done_i                // the host has it
);
    localparam Quiet = 6'd32;               // cycles without a byte after which a short packet is worth it
    reg  [7:0] mem [0:1023];
    reg  [1:0] full;
    reg        filling, sending;            // buffer
    reg  [9:0] count;                       // bytes in the one that is filled
    reg  [9:0] length0, length1;
    reg  [9:0] at;                          // next byte to send
    reg        owed;                        // the last packet was whole: something shorter has to end the transfer
    reg  [5:0] quiet;
    wire       put   = valid_i && ready_o;
    wire [9:0] after = count + {9'd0, put};
    wire       whole = after == packet_i;
    wire       close = whole || (quiet == Quiet && !put && !full[filling] && (count != 10'd0 || owed));
    wire [9:0] length = sending ? length1 : length0;
    wire [9:0] next   = open_i ? 10'd0 : at + {9'd0, take_i};
    assign ready_o = !full[filling];
    assign full_o  = full[sending];
    assign more_o  = at != length;

    always @(posedge clk_i) begin
        if (put) mem[{filling, count[8:0]}] <= data_i;
        byte_o <= mem[{sending, next[8:0]}];
        at     <= next;
        if (close && !filling) length0 <= after;
        if (close && filling) length1 <= after;
    end
    always @(posedge clk_i)
        if (rst_i) begin
            full    <= 2'b00;
            filling <= 1'b0;
            sending <= 1'b0;
            count   <= 10'd0;
            owed    <= 1'b0;
            quiet   <= 6'd0;
        end else begin
            quiet <= put ? 6'd0 : quiet == Quiet ? quiet : quiet + 6'd1;
            count <= close ? 10'd0 : after;
            if (done_i) begin
                full[sending] <= 1'b0;
                sending       <= !sending;
            end
            if (close) begin
                full[filling] <= 1'b1;
                filling       <= !filling;
                owed          <= whole;
            end
        end
endmodule
`default_nettype wire
