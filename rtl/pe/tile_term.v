// tile_term.v - BitMoD (arXiv 2411.11745): every weight is a fixed number of signed powers of two, its terms, by the format
// alone; a lane adds or subtracts its activation, shifted, for one term a cycle. Cycles per step: terms.
//   integers of n bits: Booth's radix-4 digits                                                        ceil(n / 2) terms
//   FP3, FP4 with their groups' special values, E2M1, flint4, pot4: the leading one, then the other      2
//   uflint4, ant4, OliVe pairs: Booth digits of a base of four bits, shifted                              2
//   other minifloats: Booth digits of the mantissa, shifted by the exponent                     ceil((m + 2) / 2)
// D of 24 bits: the paper's formats (integers, FP3, FP4, E2M1, flint4), lanes shift by 0..3. More bits: all of the above,
// lanes shift by 0..15. What all lanes' shifts have in common is made up for once a row.
// What differs from the paper:
// - Activations are int8, sums exact. The paper aligns fp16 products and drops bits.
// - Unsigned codes count from the middle of their range, which the drain gives back, and so need no digit more than
//   signed ones.
// - The scale of a group, 12 bits instead of 8, is multiplied in behind the next group by two digits of two bits a cycle
//   (group_scale.v), not bit by bit: groups are as small as two beats here.
// Ports and beat order: docs/core.md.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
/* verilator lint_off WIDTHCONCAT */ // a plane of the largest arrays has more than 8192 bits
module tile_term #(
    parameter Rows       = 8,
    parameter Lanes      = 8,
    parameter ScaleUnits = 2,
    parameter DBits      = 24               // bits of D, 24..40
) (
    input  wire                     clk_i,
    input  wire                     rst_i,
    input  wire [3:0]               planes_i,
    input  wire [1:0]               coding_i,
    input  wire [4:0]               table_i,
    input  wire                     valid_i,
    output wire                     ready_o,      // with the last term
    input  wire                     first_i,
    input  wire                     plane_i,
    input  wire                     last_i,
    input  wire                     word_i,
    input  wire [Rows*2-1:0]        sel_i,
    input  wire [Lanes*8-1:0]       x_i,
    input  wire [Rows*Lanes*8-1:0]  w_i,          // bit p of row r, lane l at p * Rows * Lanes + r * Lanes + l
    input  wire signed [16:0]       sum_i,
    output wire                     d_valid_o,
    input  wire                     d_ready_i,
    output wire [ScaleUnits*DBits-1:0] d_o,
    output wire signed [16:0]       d_sum_o
);
    localparam [1:0] Signed = 2'd0, Unsigned = 2'd1, Bipolar = 2'd2, Table = 2'd3;
    localparam [4:0] Fp3 = 5'd0, Fp4 = 5'd1, Pot4 = 5'd2, Flint4 = 5'd3, Uflint4 = 5'd4, Ant4 = 5'd5, Olive4 = 5'd6,
                     E2 = 5'd17;            // 7: Olive4f
    localparam Plane = Rows * Lanes;
    localparam Wide  = DBits > 24;
    localparam Word  = DBits > 32 ? 64 : 32; // of the sums
    wire unused_ok = &{1'b0, plane_i, word_i, twice[0]};

    // ---- which format, and which of its terms
    wire       en;                          // the stages behind the decoder move
    wire       is_table = coding_i == Table;
    wire       e2m1  = is_table && table_i == E2 && planes_i == 4'd4;
    wire       float = Wide && is_table && table_i[4] && !e2m1;
    wire       ant   = Wide && is_table && table_i == Ant4;
    wire       olive = Wide && is_table && table_i[4:1] == Olive4[4:1];
    wire       olive4f = table_i[0];
    wire       pot    = Wide && is_table && table_i == Pot4;
    wire       uflint = Wide && is_table && table_i == Uflint4;
    wire       fp4    = is_table && table_i == Fp4;
    wire       flint  = is_table && table_i == Flint4;
    // the other formats up to 4 bits have no more than two ones in a value
    wire       peel  = is_table && !float && !ant && !olive && !uflint;
    wire [3:0] man   = planes_i - 4'd2 - table_i[3:0];      // mantissa bits, modulo 16 (float)
    wire [2:0] twice = float ? man[2:0] + 3'd3 : is_table ? 3'd4 : planes_i[2:0] + 3'd1;
    reg  [1:0] t;
    wire       t_last = t == twice[2:1] - 2'd1;

    // ---- stage 0: decoder. Every field is a plane, a bit for each weight.
    //   Booth: k = (negative ? -r : r) << a, r two's complement; its digits are the terms.
    //   peel:  r[0] is the one that is left, r[1] the leading one, worth 2, or 4 where r[2] is set.
    reg  [Plane-1:0]   minus, far;          // selectors: FP3's special values are +-3, far +-6; FP4's +-10, far +-16
    reg  [Plane-1:0]   as_int, as_e2m1, as_flint, as_pot;   // by row
    reg  [Plane-1:0]   special, victim, out;                // out: OliVe's outliers
    reg  [Plane-1:0]   negative, a0, a1, a2, a3, e0, e1, e2, e3, kill;
    reg  [Plane*8-1:0] r;
    wire [Plane-1:0]   c0 = w_i[0+:Plane], c1 = w_i[Plane+:Plane], c2 = w_i[2*Plane+:Plane], c3 = w_i[3*Plane+:Plane];
    wire [Plane-1:0]   is_fp3 = {Plane{is_table && table_i == Fp3}}, is_fp4 = {Plane{is_table && table_i == Fp4}};
    wire [Plane-1:0]   is_uflint = {Plane{uflint}}, of = {Plane{olive4f}};
    integer            i;
    always @* begin
        for (i = 0; i < Rows; i = i + 1) begin
            minus[i*Lanes+:Lanes]    = {Lanes{sel_i[2*i]}};
            far[i*Lanes+:Lanes]      = {Lanes{sel_i[2*i+1]}};
            as_int[i*Lanes+:Lanes]   = {Lanes{!is_table || (olive && !olive4f) || (ant && sel_i[2*i+:2] == 2'd0)}};
            as_pot[i*Lanes+:Lanes]   = {Lanes{pot || (ant && sel_i[2*i+:2] == 2'd1)}};
            as_flint[i*Lanes+:Lanes] = {Lanes{flint || (olive && olive4f) || (ant && sel_i[2*i+:2] == 2'd2)}};
            as_e2m1[i*Lanes+:Lanes]  = {Lanes{fp4 || e2m1 || (ant && sel_i[2*i+:2] == 2'd3)}};
        end
        special = ~c1 & ~c0 & ((is_fp3 & c2) | (is_fp4 & c3 & ~c2));
        victim  = {Plane{olive}} & c3 & ~c2 & ~c1 & ~c0;
        for (i = 0; i < Plane; i = i + 2) begin
            out[i]   = victim[i+1];
            out[i+1] = victim[i];
        end
        r    = w_i;
        kill = (as_flint & c2 & ~c1 & ~out) | (is_fp3 & c1) | (is_uflint & c3 & ~c2 & ~c1);
        r[0+:Plane]       = (c0 & ~kill) | (as_pot & (c2 | c1)) | (special & (is_fp3 | ~far));
        r[Plane+:Plane]   = (c1 & ~as_pot) | (c2 & (as_e2m1 | as_flint)) | (is_uflint & c3 & ~c2) | out | special;
        r[2*Plane+:Plane] = (c2 & (as_int | is_uflint) & ~out) | (special & is_fp4 & ~far);
        r[3*Plane+:Plane] = c3 & as_int & ~out & ~victim;
        a0 = (c2 & ((as_flint & (c1 | ~c0) & ~out) | (as_e2m1 & ~c1))) | (is_fp3 & c1 & c0) | (as_pot & ~c0) |
             (is_uflint & c3 & (c2 | c1 | ~c0)) | (out & (c1 ^ of)) | (special & (is_fp4 | far));
        a1 = (c2 & ((as_flint & ~c1 & ~out) | (as_e2m1 & c1))) | (as_pot & ~(c1 ^ c0)) | (is_uflint & c3 & ~c2 & c1) |
             (out & ~(c2 ^ (c1 & of))) | (special & is_fp4 & far);
        a2 = (as_pot & c2 & (c1 | c0)) | (is_uflint & c3 & ~c2 & ~c1) | (out & (c2 | (c1 & of)));
        a3 = {Plane{1'b0}};
        negative = (special & minus) | (~special & ((is_fp3 & c2) | ((as_e2m1 | as_flint | as_pot | out) & c3)));
        {e0, e1, e2, e3} = {4*Plane{1'b0}};
        if (float) begin                    // mantissa with the hidden one; exponent less one, subnormals as they are
            negative = {Plane{1'b0}};
            for (i = 0; i < 8; i = i + 1) begin
                negative = negative | (w_i[i*Plane+:Plane] & {Plane{{28'd0, planes_i} == i + 1}});
                e0 = e0 | (w_i[i*Plane+:Plane] & {Plane{{28'd0, man} == i}});
                e1 = e1 | (w_i[i*Plane+:Plane] & {Plane{{28'd0, man} + 1 == i && table_i[1:0] != 2'd0}});
                e2 = e2 | (w_i[i*Plane+:Plane] & {Plane{{28'd0, man} + 2 == i && table_i[1]}});
                e3 = e3 | (w_i[i*Plane+:Plane] & {Plane{{28'd0, man} + 3 == i && table_i[1] && table_i[0]}});
            end
            for (i = 0; i < 8; i = i + 1)
                r[i*Plane+:Plane] = (w_i[i*Plane+:Plane] & {Plane{i < {28'd0, man}}}) |
                                    ((e0 | e1 | e2 | e3) & {Plane{i == {28'd0, man}}});
            a0 = ~e0 & (e1 | e2 | e3);
            a1 = ~(e1 ^ e0) & (e1 | e2 | e3);
            a2 = ~(e2 ^ (e1 | e0)) & (e2 | e3);
            a3 = e3 & (e2 | e1 | e0);
        end
    end

    reg                 valid0, first0, last0;
    reg signed [16:0]   sum0;
    reg [Lanes*8-1:0]   x0;
    reg [Plane*9-1:0]   r0;                 // moves down by two planes for each term
    reg [Plane*5-1:0]   na0;                // {a, negative}
    assign ready_o = !valid0 || (en && t_last);
    always @(posedge clk_i)
        if (rst_i) valid0 <= 1'b0;
        else if (ready_o) valid0 <= valid_i;
    always @(posedge clk_i)
        if (ready_o && valid_i) begin
            first0 <= first_i;
            last0  <= last_i;
            sum0   <= sum_i;
            x0     <= x_i;
            na0    <= {a3, a2, a1, a0, negative};
        end
    always @(posedge clk_i)
        if (ready_o) r0 <= {r, {Plane{1'b0}}};
        else if (en) r0 <= {{2*Plane{1'b0}}, r0[9*Plane-1:2*Plane]};
    always @(posedge clk_i)
        if (rst_i) t <= 2'd0;
        else if (en && valid0) t <= t_last ? 2'd0 : t + 2'd1;

    // ---- stage 1: the term at hand, and activations, sign-extended to words once for all rows. A Booth digit is
    // mid + lo - 2 hi. Unsigned codes of an even width count from the middle of their range; those of an odd width have
    // a zero above.
    reg  [Plane-1:0]      hi, mid, lo, two, some, carry;
    reg  [Plane*6-1:0]    term;             // {shift, negate, some}
    always @* begin
        hi  = (r0[2*Plane+:Plane] & {Plane{!(peel && t == 2'd0)}}) ^
              {Plane{t_last && !is_table && coding_i != Signed && !planes_i[0]}};
        mid = r0[Plane+:Plane];
        lo  = r0[0+:Plane];
        some = (hi ^ mid) | (mid ^ lo);
        two  = (hi ^ mid) & ~(mid ^ lo);
        term[0+:Plane]       = some;
        term[Plane+:Plane]   = (hi ^ na0[0+:Plane]) & some;
        term[2*Plane+:Plane] = na0[Plane+:Plane] ^ two;
        carry = na0[Plane+:Plane] & two;
        term[3*Plane+:Plane] = na0[2*Plane+:Plane] ^ carry;
        carry = na0[2*Plane+:Plane] & carry;
        term[4*Plane+:Plane] = na0[3*Plane+:Plane] ^ carry;
        term[5*Plane+:Plane] = na0[4*Plane+:Plane] ^ (carry & na0[3*Plane+:Plane]);
    end

    reg                   valid1, first1, last1;
    reg signed [16:0]     sum1;
    reg [2:0]             up1;              // shift of all lanes
    reg [Lanes*32-1:0]    x1;
    reg [Plane*6-1:0]     term1;
    always @(posedge clk_i)
        if (rst_i) valid1 <= 1'b0;
        else if (en) valid1 <= valid0;
    always @(posedge clk_i)
        if (en && valid0) begin
            first1 <= first0 && t == 2'd0;
            last1  <= last0 && t_last;
            sum1   <= sum0;
            up1    <= peel ? {2'd0, t[0]} : {t, 1'b0};
            term1  <= term;
            for (i = 0; i < Lanes; i = i + 1) x1[i*32+:32] <= {{24{x0[i*8+7]}}, x0[i*8+:8]};
        end

    // a + b + c. A LUT4 fabric's carry chain has no free carry input: there c enters by one more bit, and a negated lane's
    // plus one by the carry of some adder in its row's tree. Simulation adds it at once instead.
`ifdef YOSYS
`define ADD_CARRY(a, b, c) (({a, 1'b1} + {b, c}) >> 1)
`else
`define ADD_CARRY(a, b, c) (a + b)
`endif
`define SHIFT(s, a, n) ((a & {32{!s}}) | ({a[31-n:0], {n{1'b0}}} & {32{s}}))

    // ---- stage 2: shift, negate, add up by a tree. It is walked leaf by leaf, level l keeping its left operand in t[l]:
    // scalars simulate fastest.
    reg                   valid2, first2, last2;
    reg signed [16:0]     sum2;
    reg [2:0]             up2;
    reg [Rows*32-1:0]     total, total_next;
    /*verilator tracing_off*/               // traced scalars would have to be kept in memory
`ifdef YOSYS
    wire [Plane-1:0]      one = term1[Plane+:Plane];
`endif
    reg [31:0]            t0, t1, t2, t3, t4, t5, t6, t7, v;
    integer               m, k, at;
    /*verilator tracing_on*/
    always @* begin
        total_next = total;
        {t0, t1, t2, t3, t4, t5, t6, t7, v} = 288'd0;
        at = 0;
        if (valid1)
            for (m = 0; m < Rows; m = m + 1) begin
                for (k = 0; k < Lanes; k = k + 1) begin
                    at = m * Lanes + k;
                    v = x1[k*32+:32] & {32{term1[at]}};
                    v = `SHIFT(term1[2*Plane+at], v, 1);
                    v = `SHIFT(term1[3*Plane+at], v, 2);
                    if (Wide) v = `SHIFT(term1[4*Plane+at], v, 4);
                    if (Wide) v = `SHIFT(term1[5*Plane+at], v, 8);
                    v = v ^ {32{term1[Plane+at]}};
`ifndef YOSYS
                    v = v + {31'd0, term1[Plane+at]};
`endif
                    if (k % 2   == 1)   v = `ADD_CARRY(t0, v, one[m*Lanes+Lanes/2+k/2]);
                    if (k % 4   == 3)   v = `ADD_CARRY(t1, v, one[m*Lanes+Lanes/4+k/4]);
                    if (k % 8   == 7)   v = `ADD_CARRY(t2, v, one[m*Lanes+Lanes/8+k/8]);
                    if (k % 16  == 15)  v = `ADD_CARRY(t3, v, one[m*Lanes+Lanes/16+k/16]);
                    if (k % 32  == 31)  v = `ADD_CARRY(t4, v, one[m*Lanes+Lanes/32+k/32]);
                    if (k % 64  == 63)  v = `ADD_CARRY(t5, v, one[m*Lanes+Lanes/64+k/64]);
                    if (k % 128 == 127) v = `ADD_CARRY(t6, v, one[m*Lanes+Lanes/128+k/128]);
                    if (k % 256 == 255) v = `ADD_CARRY(t7, v, one[m*Lanes+Lanes/256+k/256]);
                    if      (k % 2   == 0)   t0 = v;
                    else if (k % 4   == 1)   t1 = v;
                    else if (k % 8   == 3)   t2 = v;
                    else if (k % 16  == 7)   t3 = v;
                    else if (k % 32  == 15)  t4 = v;
                    else if (k % 64  == 31)  t5 = v;
                    else if (k % 128 == 63)  t6 = v;
                    else if (k % 256 == 127) t7 = v;
                end
`ifdef YOSYS
                v = v + {31'd0, one[m*Lanes]};
`endif
                total_next[m*32+:32] = v;
            end
    end
    always @(posedge clk_i)
        if (rst_i) valid2 <= 1'b0;
        else if (en) valid2 <= valid1;
    always @(posedge clk_i)
        if (en && valid1) begin
            first2 <= first1;
            last2  <= last1;
            sum2   <= sum1;
            up2    <= up1;
            total  <= total_next;
        end

    // ---- stage 3: shift, accumulate; only DBits of each row's word are ever used
    reg                   valid3;           // p is complete
    reg signed [16:0]     sum3;
    reg [Rows*Word-1:0]   p, p_next;
    reg [Word-1:0]        acc;
    integer               q;
    always @* begin
        p_next = p;
        acc = {Word{1'b0}};
        if (valid2)
            for (q = 0; q < Rows; q = q + 1) begin
                acc = {{Word-31{total[q*32+31]}}, total[q*32+:31]};
                acc = acc ^ ((acc ^ {acc[Word-2:0], 1'b0}) & {Word{up2[0]}});
                acc = acc ^ ((acc ^ {acc[Word-3:0], 2'b0}) & {Word{up2[1]}});
                acc = acc ^ ((acc ^ {acc[Word-5:0], 4'b0}) & {Word{up2[2]}});
                p_next[q*Word+:Word] = acc + ({{Word-DBits{p[q*Word+DBits-1]}}, p[q*Word+:DBits]} & {Word{!first2}});
            end
    end
    always @(posedge clk_i)
        if (rst_i) valid3 <= 1'b0;
        else if (en) valid3 <= valid2 && last2;
    always @(posedge clk_i)
        if (en && valid2) begin
            p    <= p_next;
            sum3 <= sum2;
        end

    // ---- drain: D = P (signed, tables), P + h S (unsigned), 2 (P + h S) - (2^n - 1) S (bipolar); h = 2^(n-1) if n is even
    wire signed [24:0] s = {{8{sum3[16]}}, sum3};
    reg  signed [24:0] corr;
    always @*
        case (coding_i)
            Unsigned: corr = planes_i[0] ? 25'sd0 : (s <<< planes_i) >>> 1;
            Bipolar:  corr = planes_i[0] ? s - (s <<< planes_i) : s;
            default:  corr = 25'sd0;
        endcase
    wire drain_ready;
    assign en = !valid3 || drain_ready;

    reg [Rows*DBits-1:0] p_out;
    always @*
        for (q = 0; q < Rows; q = q + 1) p_out[q*DBits+:DBits] = p[q*Word+:DBits];
    tile_drain #(.Rows(Rows), .ScaleUnits(ScaleUnits), .DBits(DBits)) drain (
        .clk_i(clk_i), .rst_i(rst_i), .valid_i(valid3), .ready_o(drain_ready), .p_i(p_out),
        .dbl_i(coding_i == Bipolar), .corr_i(corr), .sum_i(sum3),
        .d_valid_o(d_valid_o), .d_ready_i(d_ready_i), .d_o(d_o), .d_sum_o(d_sum_o));
endmodule
`undef ADD_CARRY
`undef SHIFT
/* verilator lint_on WIDTHCONCAT */
`default_nettype wire
