// sign_tree.v - the sum of a row's table entries, each with its sign, by a tree of carry chains with one carry each.
//
// A sign travels up: s a + t b is t (s t a + b). So a node's sign is that of its last leaf, the right operand of every adder is
// taken as it is, and each leaf but the last is the last one of exactly one left operand. neg_i has at that leaf whether the
// operand is negated: its own sign and that of leaf k | (k + 1), the last of the other operand, exclusive-or. The last leaf
// has its own.
// Entries may be kept halved: a leaf is 2 H + odd, odd_i telling which are odd, and a node's odd is its operands' odd,
// exclusive-or (node 1 is the root, node t adds nodes 2 t and 2 t + 1, leaf k is node Leaves + k). The complement of an
// odd one is its negative, that of an even one lacks one, which is the adder's carry.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module sign_tree #(
    parameter Leaves = 8,                   // power of two, 1..128
    parameter Bits   = 8                    // of a leaf, signed, 1..16
) (
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
    endgenerate

    /* verilator lint_off UNOPTFLAT */      // parts of one vector that depend on each other, no loop
    wire [2*Leaves*N-1:0] node;
    genvar                gk, gl, gt;
    generate
        for (gk = 0; gk < Leaves; gk = gk + 1) begin : g_leaf
            assign node[(Leaves+gk)*N+:N] = {{L+1{leaf_i[gk*Bits+Bits-1]}}, leaf_i[gk*Bits+:Bits]};
        end
        for (gl = 0; gl < L; gl = gl + 1) begin : g_level           // sums of 2^(L - gl) leaves
            localparam From = 1 << gl;
            localparam W    = Bits + L - gl - 1;                    // of the operands
            for (gt = From; gt < 2 * From; gt = gt + 1) begin : g_add
                localparam Last = ((2 * gt + 1 - 2 * From) << (L - gl - 1)) - 1;        // the left operand's last leaf
                wire         neg   = neg_i[Last];
                wire         carry = odd_i[2*gt] ? odd_i[2*gt+1] : neg;
                wire [W-1:0] a     = node[2*gt*N+:W];
                wire [W-1:0] b     = node[(2*gt+1)*N+:W];
                // a carry chain has no free carry input: it enters by one more bit
                wire [W+1:0] both  = {{a[W-1], a} ^ {W+1{neg}}, 1'b1} + {b[W-1], b, carry};
                assign node[gt*N+:N] = {{N-W{both[W+1]}}, both[W:1]};
            end
        end
    endgenerate
    /* verilator lint_on UNOPTFLAT */
    assign node[N-1:0] = {N{1'b0}};         // there is no node 0
    assign sum_o = {{32-N{node[2*N-1]}}, node[N+:N]} ^ {32{neg_i[Leaves-1]}};
    assign one_o = neg_i[Leaves-1] && !odd_i[1];
endmodule
`default_nettype wire
