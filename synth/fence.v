// fence.v - technology maps, run by yosys before its own flow, that keep adder trees on carry chains.
//
// Left alone, yosys 0.23 merges a tree of adders into one $macc cell and builds that of full adders in LUTs, which
// doubles the area. synth/tile.ys uses these maps in two steps, chosen by macros:
//   FENCE_SIGNED  sums in which nothing is extended become signed: modulo 2^n the two are the same, and wreduce then
//                 sees that the upper bits of the RTL's 32-bit words only repeat the sign, and drops them
//   FENCE_ALU     adders and subtractors become $alu, one carry chain each,
//   FENCE_MUL     and small multipliers become rows of them
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
`ifdef FENCE_SIGNED
(* techmap_celltype = "$add $sub" *)
module fence_signed (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CELLTYPE_ = "";
    input  wire [A_WIDTH-1:0] A;
    input  wire [B_WIDTH-1:0] B;
    output wire [Y_WIDTH-1:0] Y;
    wire _TECHMAP_FAIL_ = (A_SIGNED && B_SIGNED) || A_WIDTH < Y_WIDTH || B_WIDTH < Y_WIDTH;
    generate
        if (_TECHMAP_CELLTYPE_ == "$sub")
            \$sub #(.A_SIGNED(1), .B_SIGNED(1), .A_WIDTH(Y_WIDTH), .B_WIDTH(Y_WIDTH), .Y_WIDTH(Y_WIDTH))
                _TECHMAP_REPLACE_ (.A(A[Y_WIDTH-1:0]), .B(B[Y_WIDTH-1:0]), .Y(Y));
        else
            \$add #(.A_SIGNED(1), .B_SIGNED(1), .A_WIDTH(Y_WIDTH), .B_WIDTH(Y_WIDTH), .Y_WIDTH(Y_WIDTH))
                _TECHMAP_REPLACE_ (.A(A[Y_WIDTH-1:0]), .B(B[Y_WIDTH-1:0]), .Y(Y));
    endgenerate
endmodule
`endif

`ifdef FENCE_ALU
(* techmap_celltype = "$add $sub" *)
module fence_alu (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CELLTYPE_ = "";
    input  wire [A_WIDTH-1:0] A;
    input  wire [B_WIDTH-1:0] B;
    output wire [Y_WIDTH-1:0] Y;
    localparam [0:0] Sub = _TECHMAP_CELLTYPE_ == "$sub";
    // signs of two kinds mean unsigned, as everywhere in Verilog
    localparam Signed = A_SIGNED && B_SIGNED;
    wire [Y_WIDTH-1:0] x, co;
    \$alu #(.A_SIGNED(Signed), .B_SIGNED(Signed), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH))
        _TECHMAP_REPLACE_ (.A(A), .B(B), .CI(Sub), .BI(Sub), .X(x), .Y(Y), .CO(co));
endmodule
`endif

`ifdef FENCE_MUL
// Signed times signed, at most 9 by 9 bits: one row of carry chain for each bit of B. The row of B's sign subtracts.
// This is smaller than what yosys makes of a multiplier by itself: a baseline should not lose by its tools.
(* techmap_celltype = "$mul" *)
module fence_mul (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    input  wire [A_WIDTH-1:0] A;
    input  wire [B_WIDTH-1:0] B;
    output wire [Y_WIDTH-1:0] Y;
    wire _TECHMAP_FAIL_ = !A_SIGNED || !B_SIGNED || A_WIDTH > 9 || B_WIDTH > 9 || B_WIDTH < 2;
    localparam W = A_WIDTH + 1;
    wire [A_WIDTH+B_WIDTH-1:0] y;
    wire [W*(B_WIDTH+1)-1:0] sum;           // sum[i*W+:W]: rows below i, shifted right by i
    assign sum[W-1:0] = 0;
    genvar i;
    generate
        for (i = 0; i < B_WIDTH; i = i + 1) begin : row
            wire [W-1:0] above, add, x, s, co;
            assign above = {sum[i*W+W-1], sum[i*W+1+:W-1]};
            assign add   = {A[A_WIDTH-1], A} & {W{B[i]}};
            if (i == 0) begin : low
                assign s = add;
            end else begin : next
                \$alu #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(W), .B_WIDTH(W), .Y_WIDTH(W)) adder
                    (.A(above), .B(add), .CI(i == B_WIDTH - 1), .BI(i == B_WIDTH - 1), .X(x), .Y(s), .CO(co));
            end
            assign sum[(i+1)*W+:W] = s;
            assign y[i] = s[0];
        end
    endgenerate
    assign y[A_WIDTH+B_WIDTH-1:B_WIDTH] = sum[B_WIDTH*W+1+:A_WIDTH];
    \$pos #(.A_SIGNED(1), .A_WIDTH(A_WIDTH + B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend (.A(y), .Y(Y));
endmodule
`endif
`default_nettype wire
