// act_buffer.v - the activations of one job and the sum of each step, written once, read at random.
// The sum is taken while writing, so that S of a group costs one add per step however often it is read: by fours in the cycle
// in which the step is taken, the rest in the next one.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module act_buffer #(
    parameter Lanes = 8,                    // int8 activations of one step, 8..256
    parameter Depth = 16                    // steps of all columns, a power of two, >= 2
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    input  wire                     start_i,      // forget everything and expect count_i steps
    input  wire [$clog2(Depth):0]   count_i,
    output wire [$clog2(Depth):0]   loaded_o,     // steps that have arrived since start
    input  wire                     valid_i,
    output wire                     ready_o,      // only while steps are expected
    input  wire [Lanes*8-1:0]       data_i,
    input  wire [$clog2(Depth)-1:0] addr_i,
    output wire                     avail_o,      // the step at addr_i has arrived
    input  wire                     read_i,       // only with avail_o; data_o and sum_o from the next cycle
    output reg  [Lanes*8-1:0]       data_o,
    output wire signed [16:0]       sum_o         // sum of the step's lanes
);
    localparam Aw = $clog2(Depth);
    generate
        if (Depth < 2 || (1 << Aw) != Depth) act_buffer_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    localparam Fours = (Lanes + 3) / 4;
    localparam Sw = 8 + $clog2(Lanes);      // bits that a sum needs
    // what is read has long been written
    (* no_rw_check *) reg [Lanes*8-1:0] mem [0:Depth-1];
    (* no_rw_check *) reg [Sw-1:0] sums [0:Depth-1];
    reg [Sw-1:0]      sum_read;
    assign sum_o = {{17-Sw{sum_read[Sw-1]}}, sum_read};
    reg [Aw:0]        wr, count, summed;    // steps taken, expected, and those whose sums are there, too
    reg               adding;
    wire              take = valid_i && ready_o;

    assign ready_o  = wr != count;
    assign loaded_o = wr;
    assign avail_o  = {1'b0, addr_i} < summed;

    reg [Fours*17-1:0] fours, fours_next, tree;
    reg signed [16:0]  lane;
    integer            i, n;
    always @* begin
        fours_next = {Fours*17{1'b0}};
        lane       = 17'sd0;
        if (take)
            for (i = 0; i < Lanes; i = i + 1) begin
                lane = {{9{data_i[i*8+7]}}, data_i[i*8+:8]};
                fours_next[i/4*17+:17] = i % 4 == 0 ? lane : fours_next[i/4*17+:17] + lane;
            end
    end
    // a tree: a chain would be the slowest path of the core
    always @* begin
        tree = fours;
        if (adding)
            for (n = Fours; n > 1; n = (n + 1) / 2) begin
                for (i = 0; i < n / 2; i = i + 1) tree[i*17+:17] = tree[2*i*17+:17] + tree[(2*i+1)*17+:17];
                if (n % 2 != 0) tree[n/2*17+:17] = tree[(n-1)*17+:17];
            end
    end

    always @(posedge clk_i) begin
        if (take) mem[wr[Aw-1:0]] <= data_i;
        if (take) fours <= fours_next;
        if (adding) sums[summed[Aw-1:0]] <= tree[Sw-1:0];
        if (read_i) data_o <= mem[addr_i];
        if (read_i) sum_read <= sums[addr_i];
    end
    always @(posedge clk_i)
        if (rst_i) begin
            wr     <= 0;
            count  <= 0;
            summed <= 0;
            adding <= 1'b0;
        end else if (start_i) begin
            wr     <= 0;
            count  <= count_i;
            summed <= 0;
            adding <= 1'b0;
        end else begin
            if (take) wr <= wr + 1'b1;
            if (adding) summed <= summed + 1'b1;
            adding <= take;
        end
endmodule
`default_nettype wire
