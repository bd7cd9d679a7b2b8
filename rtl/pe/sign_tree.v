// sign_tree.v - the sum of a row's table entries, each with its sign, by a tree of carry chains with one carry each.
//
// A sign travels up: s a + t b is t (s t a + b). So a node's sign is that of its last leaf, the right operand of every adder is
// taken as it is, and each leaf but the last is the last one of exactly one left operand. neg_i has at that leaf whether the
// operand is negated: its own sign and that of leaf k | (k + 1), the last of the other operand, exclusive-or. The last leaf
// has its own.
// Entries may be kept halved: a leaf is 2 H + odd, odd_i telling which are odd, and a node's odd is its operands' odd,
// exclusive-or (node 1 is the root, node t adds nodes 2 t and 2 t + 1, leaf k is node Leaves + k). The complement of an
// odd one is its negative, that of an even one lacks one, which is the adder's carry.
// With Held, the nodes of one level are registers, and so are the signs and odds of the levels behind it: sum_o and one_o come
// an enabled cycle later.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module sign_tree #(
    parameter Leaves = 8,                   // power of two, 1..128
    parameter Bits   = 8,                   // of a leaf, signed, 1..16
    parameter Held   = 0                    // so many nodes of one level are registers: a power of two up to Leaves, or 0
) (
    input  wire                   clk_i,
    input  wire                   en_i,
    input  wire [Leaves*Bits-1:0] leaf_i,
    input  wire [Leaves-1:0]      neg_i,
    input  wire [2*Leaves-1:1]    odd_i,    // 0: leaves are whole, not halved
    output wire [31:0]            sum_o,    // complemented if the last leaf is negative,
    output wire                   one_o     // and this is still to be added
);
    localparam L = $clog2(Leaves);
    localparam N = Bits + L + 1;
    generate
        if ((1 << L) != Leaves || Leaves > 128 || Bits < 1 || Bits > 16)
            sign_tree_leaves_must_be_a_power_of_two_up_to_128_of_1_to_16_bits bad_parameter();
        if (Held < 0 || Held > Leaves || (Held > 0 && (1 << $clog2(Held)) != Held))
            sign_tree_held_must_be_a_power_of_two_up_to_leaves bad_parameter();
    endgenerate

    // of the levels behind the registers
    wire [Leaves-1:0]     neg_late;
    wire [2*Leaves-1:1]   odd_late;
    /* verilator lint_off UNOPTFLAT */      // parts of one vector that depend on each other, no loop
    wire [2*Leaves*N-1:N] sum;
    wire [2*Leaves*N-1:0] node;
    genvar                gk, gl, gt;
    generate
        if (Held != 0) begin : g_late
            reg [Leaves-1:0]   neg;
            reg [2*Leaves-1:1] odd;
            assign {neg_late, odd_late} = {neg, odd};
            always @(posedge clk_i)
                if (en_i) {neg, odd} <= {neg_i, odd_i};
        end else begin : g_now
            assign {neg_late, odd_late} = {neg_i, odd_i};
            wire unused_ok = &{1'b0, clk_i, en_i};
        end
        for (gk = 0; gk < Leaves; gk = gk + 1) begin : g_leaf
            assign sum[(Leaves+gk)*N+:N] = {{L+1{leaf_i[gk*Bits+Bits-1]}}, leaf_i[gk*Bits+:Bits]};
        end
        for (gl = 0; gl < L; gl = gl + 1) begin : g_level           // sums of 2^(L - gl) leaves
            localparam From = 1 << gl;
            localparam Late = From < Held;
            localparam W    = Bits + L - gl - 1;                    // of the operands
            for (gt = From; gt < 2 * From; gt = gt + 1) begin : g_add
                localparam Last = ((2 * gt + 1 - 2 * From) << (L - gl - 1)) - 1;        // the left operand's last leaf
                wire         neg   = Late ? neg_late[Last] : neg_i[Last];
                wire [1:0]   odd   = Late ? odd_late[2*gt+:2] : odd_i[2*gt+:2];
                wire         carry = odd[0] ? odd[1] : neg;
                wire [W-1:0] a     = node[2*gt*N+:W];
                wire [W-1:0] b     = node[(2*gt+1)*N+:W];
                // a carry chain has no free carry input: it enters by one more bit
                wire [W+1:0] both  = {{a[W-1], a} ^ {W+1{neg}}, 1'b1} + {b[W-1], b, carry};
                assign sum[gt*N+:N] = {{N-W{both[W+1]}}, both[W:1]};
            end
        end
        for (gt = 1; gt < 2 * Leaves; gt = gt + 1) begin : g_node
            if (gt >= Held && gt < 2 * Held) begin : g_held
                reg [N-1:0] held;
                assign node[gt*N+:N] = held;
                always @(posedge clk_i)
                    if (en_i) held <= sum[gt*N+:N];
            end else begin : g_wire
                assign node[gt*N+:N] = sum[gt*N+:N];
            end
        end
    endgenerate
    assign node[N-1:0] = {N{1'b0}};         // there is no node 0
    /* verilator lint_on UNOPTFLAT */
    assign sum_o = {{32-N{node[2*N-1]}}, node[N+:N]} ^ {32{neg_late[Leaves-1]}};
    assign one_o = neg_late[Leaves-1] && !odd_late[1];
endmodule
`default_nettype wire
