// tile_drain.v - holds the row sums of a finished chunk and hands them out slice by slice as D.
// Shared by all kinds: D = (P << dbl) + corr, with P what the kind summed up. That turns sums over
// recoded weights into D at the cost of one adder per row of a slice instead of one per row.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module tile_drain #(
    parameter Rows       = 8,
    parameter ScaleUnits = 2,               // divides Rows
    parameter DBits      = 24,              // 24..40
    parameter Hold       = 0                // 1: keeps no sums itself: what is on p_i stays there until ready_o; a slice in two cycles
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    input  wire                     valid_i,      // a chunk's sums are on p_i
    output wire                     ready_o,
    input  wire [Rows*DBits-1:0]    p_i,
    input  wire                     dbl_i,
    input  wire signed [24:0]       corr_i,       // a multiple of S
    input  wire signed [16:0]       sum_i,        // S
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*DBits-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam Slices = Rows / ScaleUnits;
    localparam Sw = ScaleUnits * DBits;
    localparam Jw = Slices > 1 ? $clog2(Slices) : 1;
    localparam LastSlice = Slices - 1;
    generate
        if (DBits < 24 || DBits > 40) tile_drain_d_bits_must_be_24_to_40 bad_parameter();
        if (Slices * ScaleUnits != Rows) tile_drain_scale_units_must_divide_rows bad_parameter();
    endgenerate

    wire [Rows*DBits-1:0] p;
    wire              busy, dbl;
    wire signed [24:0] corr;
    wire signed [16:0] sum;
    reg [Jw-1:0]      slice;
    wire              last = slice == LastSlice[Jw-1:0];

    assign d_sum_o   = sum;
    wire [Sw-1:0]     d_next;

    generate
        if (Hold != 0) begin : g_hold
            // a cycle for corr, which is long, and one for each D
            reg                 armed, full;
            reg signed [24:0]   held_corr;
            reg [Sw-1:0]        held_d;
            assign ready_o   = full && last && d_ready_i;
            assign d_valid_o = full;
            assign d_o       = held_d;
            assign {p, busy, dbl, corr, sum} = {p_i, armed, dbl_i, held_corr, sum_i};
            always @(posedge clk_i)
                if (rst_i) {armed, full} <= 2'b00;
                else begin
                    armed <= valid_i && !ready_o;
                    full  <= full ? !d_ready_i : armed;
                end
            always @(posedge clk_i) begin
                held_corr <= corr_i;
                if (!full) held_d <= d_next;
            end
        end else begin : g_keep
            reg [Rows*DBits-1:0] kept_p;
            reg                  kept, kept_dbl;
            reg signed [24:0]    kept_corr;
            reg signed [16:0]    kept_sum;
            assign ready_o = !busy || (last && d_ready_i);
            assign d_valid_o = busy;
            assign d_o       = d_next;
            assign {p, busy, dbl, corr, sum} = {kept_p, kept, kept_dbl, kept_corr, kept_sum};
            always @(posedge clk_i)
                if (valid_i && ready_o) begin
                    kept_p    <= p_i;
                    kept_dbl  <= dbl_i;
                    kept_corr <= corr_i;
                    kept_sum  <= sum_i;
                end
            always @(posedge clk_i)
                if (rst_i) kept <= 1'b0;
                else if (ready_o) kept <= valid_i;
        end
    endgenerate
    always @(posedge clk_i)
        if (rst_i) slice <= {Jw{1'b0}};
        else if (d_valid_o && d_ready_i) slice <= last ? {Jw{1'b0}} : slice + 1'b1;

    // an AND-OR multiplexer: a variable part-select would become a barrel shifter
    reg [Sw-1:0] pick;
    integer      j;
    always @* begin
        pick = {Sw{1'b0}};
        if (busy)
            for (j = 0; j < Slices; j = j + 1)
                if (slice == j[Jw-1:0]) pick = pick | p[j*Sw+:Sw];
    end

    genvar u;
    generate
        for (u = 0; u < ScaleUnits; u = u + 1) begin : g_unit
            wire signed [DBits:0] pu = dbl ? {pick[u*DBits+:DBits], 1'b0} : {pick[u*DBits+DBits-1], pick[u*DBits+:DBits]};
            wire signed [DBits:0] d  = pu + {{DBits-24{corr[24]}}, corr};
            assign d_next[u*DBits+:DBits] = d[DBits-1:0];
            wire unused_ok = &{1'b0, d[DBits]};
        end
    endgenerate
endmodule
`default_nettype wire
