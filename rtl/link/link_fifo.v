// link_fifo.v - a stream's bytes, kept only if their frame turns out whole: written, then committed or taken back.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module link_fifo #(
    parameter Depth = 2048                  // bytes, a power of two, 16..65536
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire        write_i,             // at most free_o bytes between two of the following
    input  wire [7:0]  data_i,
    input  wire        commit_i,
    input  wire        undo_i,
    output wire [16:0] free_o,              // bytes that may be written
    output reg  [31:0] limit_o,             // bytes since reset that may be written in all, modulo 2^32
    input  wire        told_i,              // the host hears of limit_o
    output wire        grown_o,             // it has grown by a quarter of Depth since
    output reg         valid_o,
    input  wire        ready_i,
    output reg  [7:0]  data_o
);
    localparam Aw = $clog2(Depth);
    localparam Full = Depth;
    generate
        if (Depth < 16 || Depth > 65536 || (1 << Aw) != Depth) link_fifo_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    (* no_rw_check *) reg [7:0] mem [0:Depth-1];  // what is read was committed: it is not being written
    reg [Aw:0] wr, kept;                    // one bit more than the address tells full from empty
    wire [Aw:0] rd = limit_o[Aw:0] ^ Full[Aw:0];    // limit_o is Depth ahead of it
    reg [Aw-2:0] news;                      // bytes freed since the host was told, up to a quarter of Depth
    wire [Aw:0] free  = limit_o[Aw:0] - kept;
    wire        fetch = kept != rd && (!valid_o || ready_i);

    generate
        if (Aw < 16) assign free_o = {{16-Aw{1'b0}}, free};
        else         assign free_o = free;
    endgenerate

    assign grown_o = news[Aw-2];

    always @(posedge clk_i) begin
        if (write_i) mem[wr[Aw-1:0]] <= data_i;
        if (fetch) data_o <= mem[rd[Aw-1:0]];
    end
    always @(posedge clk_i)
        if (rst_i) begin
            wr      <= 0;
            kept    <= 0;
            valid_o <= 1'b0;
            limit_o <= Depth;
            news    <= 0;
        end else begin
            wr <= undo_i ? kept : wr + {{Aw{1'b0}}, write_i};
            if (commit_i) kept <= wr;
            if (fetch) limit_o <= limit_o + 32'd1;
            if (told_i) news <= {{Aw-2{1'b0}}, fetch};
            else if (fetch && !grown_o) news <= news + 1'b1;
            valid_o <= fetch || (valid_o && !ready_i);
        end
endmodule
`default_nettype wire
