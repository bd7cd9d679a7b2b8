// act_buffer.v - the activations of one job and the sum of each step, written once, read at random.
// The sum is taken while writing, so that S of a group costs one add per step however often it is read.
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
    output reg  signed [16:0]       sum_o         // sum of the step's lanes
);
    localparam Aw = $clog2(Depth);
    generate
        if (Depth < 2 || (1 << Aw) != Depth) act_buffer_depth_must_be_a_power_of_two bad_parameter();
    endgenerate

    reg [Lanes*8-1:0] mem [0:Depth-1];
    reg signed [16:0] sums [0:Depth-1];
    reg [Aw:0]        wr, count;
    wire              take = valid_i && ready_o;

    assign ready_o  = wr != count;
    assign loaded_o = wr;
    assign avail_o  = {1'b0, addr_i} < wr;

    reg signed [16:0] sum;
    integer           i;
    always @* begin
        sum = 17'sd0;
        if (take)
            for (i = 0; i < Lanes; i = i + 1)
                sum = sum + {{9{data_i[i*8+7]}}, data_i[i*8+:8]};
    end

    always @(posedge clk_i) begin
        if (take) mem[wr[Aw-1:0]] <= data_i;
        if (take) sums[wr[Aw-1:0]] <= sum;
        if (read_i) data_o <= mem[addr_i];
        if (read_i) sum_o <= sums[addr_i];
    end
    always @(posedge clk_i)
        if (rst_i) begin
            wr    <= 0;
            count <= 0;
        end else if (start_i) begin
            wr    <= 0;
            count <= count_i;
        end else if (take) wr <= wr + 1'b1;
endmodule
`default_nettype wire
