// counters.v - what the core is and what it has done, as 32-bit words at combinational read addresses.
//
//   0 magic "ACCL"   1 interface version   2 Kind   3 Rows   4 Lanes   5 ScaleUnits   6 MaxN   7 XDepth
//   8 WDepth   9 {overflow ever seen, busy}   10 DBits
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
    parameter DBits      = 24
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire [9:0]  event_i,             // counter i counts this cycle
    input  wire        overflow_i,          // remembered until reset
    input  wire [5:0]  addr_i,
    output reg  [31:0] data_o
);
    localparam Count = 10;
    reg [Count*48-1:0] counter;
    reg        overflow;
    integer    i;
    always @(posedge clk_i)
        for (i = 0; i < Count; i = i + 1)
            if (rst_i) counter[i*48+:48] <= 48'd0;
            else if (event_i[i]) counter[i*48+:48] <= counter[i*48+:48] + 48'd1;
    always @(posedge clk_i)
        if (rst_i) overflow <= 1'b0;
        else if (overflow_i) overflow <= 1'b1;

    integer c;
    always @* begin
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
            default: data_o = 32'd0;
        endcase
        for (c = 0; c < Count; c = c + 1) begin
            if (addr_i == 6'd16 + {c[4:0], 1'b0}) data_o = counter[c*48+:32];
            if (addr_i == 6'd17 + {c[4:0], 1'b0}) data_o = {16'd0, counter[c*48+32+:16]};
        end
    end
endmodule
`default_nettype wire
