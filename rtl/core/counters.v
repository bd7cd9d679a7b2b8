// counters.v - what the core is and what it has done, as 32-bit words at combinational read addresses.
//
//   0 magic "ACCL"   1 interface version   2 Kind   3 Rows   4 Lanes   5 ScaleUnits   6 MaxN   7 XDepth
//   8 WDepth   9 {overflow ever seen, busy}   10 DBits   11 ODepth   12 what is left out: {requantizers, counters}
//   16 + 2i, 17 + 2i: low and high word of counter i, counting from reset:
//   0 cycles busy   1 array beats   2 code words   3 header beats   4 activation beats   5 result beats
//   6 cycles the array waited for codes   7 ... for activations   8 ... for scaling or results   9 jobs done
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module counters #(
    parameter Kind       = 0,
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
    parameter MaxN       = 4,
    parameter XDepth     = 16,
    parameter WDepth     = 16,
    parameter DBits      = 24,
    parameter ODepth     = 0,
    parameter Requant    = 1,
    parameter Small      = 0                // 1: no counters, which read 0
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire [9:0]  event_i,             // counter i counts this cycle
    input  wire        overflow_i,          // remembered until reset
    input  wire [5:0]  addr_i,
    output reg  [31:0] data_o
);
    // named one by one, since a simulator would move all of a vector or a memory of them every cycle
    reg [47:0] c0, c1, c2, c3, c4, c5, c6, c7, c8, c9;
    reg        overflow;
    always @(posedge clk_i)
        if (rst_i || Small != 0) begin
            {c0, c1, c2, c3, c4} <= 240'd0;
            {c5, c6, c7, c8, c9} <= 240'd0;
        end else begin
            if (event_i[0]) c0 <= c0 + 48'd1;
            if (event_i[1]) c1 <= c1 + 48'd1;
            if (event_i[2]) c2 <= c2 + 48'd1;
            if (event_i[3]) c3 <= c3 + 48'd1;
            if (event_i[4]) c4 <= c4 + 48'd1;
            if (event_i[5]) c5 <= c5 + 48'd1;
            if (event_i[6]) c6 <= c6 + 48'd1;
            if (event_i[7]) c7 <= c7 + 48'd1;
            if (event_i[8]) c8 <= c8 + 48'd1;
            if (event_i[9]) c9 <= c9 + 48'd1;
        end
    always @(posedge clk_i)
        if (rst_i) overflow <= 1'b0;
        else if (overflow_i) overflow <= 1'b1;

    reg [47:0] counter;
    always @*
        case (addr_i[5:1])
            5'd8:    counter = c0;
            5'd9:    counter = c1;
            5'd10:   counter = c2;
            5'd11:   counter = c3;
            5'd12:   counter = c4;
            5'd13:   counter = c5;
            5'd14:   counter = c6;
            5'd15:   counter = c7;
            5'd16:   counter = c8;
            5'd17:   counter = c9;
            default: counter = 48'd0;
        endcase
    always @*
        case (addr_i)
            6'd0:    data_o = 32'h4c434341;
            6'd1:    data_o = 32'd1;
            6'd2:    data_o = Kind;
            6'd3:    data_o = Rows;
            6'd4:    data_o = Lanes;
            6'd5:    data_o = ScaleUnits;
            6'd6:    data_o = MaxN;
            6'd7:    data_o = XDepth;
            6'd8:    data_o = WDepth;
            6'd9:    data_o = {30'd0, overflow, event_i[0]};
            6'd10:   data_o = DBits;
            6'd11:   data_o = ODepth;
            6'd12:   data_o = {30'd0, Requant == 0, Small != 0};
            default: data_o = addr_i[0] ? {16'd0, counter[47:32]} : counter[31:0];
        endcase
endmodule
`default_nettype wire
