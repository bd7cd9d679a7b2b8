// far_registers.v - takes the registers that lie outside the link, word LINK_REG_FAR and up, to whoever has them: one request at a
// time, and one that nobody answers reads 0 in the end.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module far_registers #(
    parameter Patience = 1024               // cycles until a request has failed, 2..65536
) (
    input  wire        clk_i,
    input  wire        rst_i,
    // who asks, the first one first; a request holds until the pulse of its done
    input  wire        poke_valid_i,
    input  wire [15:0] poke_addr_i,
    input  wire [31:0] poke_data_i,
    output wire        poke_done_o,
    input  wire        peek_valid_i,
    input  wire [15:0] peek_addr_i,
    output wire        peek_done_o,
    input  wire        side_valid_i,        // may fall before it is done: then nobody hears of it
    input  wire        side_write_i,
    input  wire [15:0] side_addr_i,
    input  wire [31:0] side_data_i,
    output wire        side_done_o,
    output wire [31:0] data_o,              // in the same cycle
    // who is asked: valid and the rest hold until done, or until nothing is expected any more; then valid falls for a cycle at least
    output reg         bus_valid_o,
    output reg         bus_write_o,
    output reg  [15:0] bus_addr_o,
    output reg  [31:0] bus_data_o,
    input  wire        bus_done_i,          // only while valid
    input  wire [31:0] bus_data_i           // in the same cycle
);
    localparam Pw = $clog2(Patience);
    localparam Last = Patience - 1;
    generate
        if (Patience < 2 || Patience > 65536) far_registers_patience_must_be_2_to_65536 bad_parameter();
    endgenerate

    localparam Poke = 2'd0, Peek = 2'd1, Side = 2'd2, Nobody = 2'd3;
    reg  [1:0]    asker;
    reg  [Pw-1:0] waited;
    wire          done = bus_valid_o && (bus_done_i || waited == Last[Pw-1:0]);
    assign data_o      = bus_done_i ? bus_data_i : 32'd0;
    assign poke_done_o = done && asker == Poke;
    assign peek_done_o = done && asker == Peek;
    assign side_done_o = done && asker == Side && side_valid_i;

    always @(posedge clk_i)
        if (rst_i) bus_valid_o <= 1'b0;
        else if (bus_valid_o) bus_valid_o <= !done;
        else bus_valid_o <= poke_valid_i || peek_valid_i || side_valid_i;
    always @(posedge clk_i)
        if (!bus_valid_o) begin
            asker       <= poke_valid_i ? Poke : peek_valid_i ? Peek : Side;
            bus_write_o <= poke_valid_i || (!peek_valid_i && side_write_i);
            bus_addr_o  <= poke_valid_i ? poke_addr_i : peek_valid_i ? peek_addr_i : side_addr_i;
            bus_data_o  <= poke_valid_i ? poke_data_i : side_data_i;
            waited      <= 0;
        end else begin
            if (asker == Side && !side_valid_i) asker <= Nobody;
            waited <= waited + 1'b1;
        end
endmodule
`default_nettype wire
