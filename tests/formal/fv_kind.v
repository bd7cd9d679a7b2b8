// fv_kind.v - one PE kind, one row, one chunk of one step: any activations, any codes, any selector, any stalls of D's
// reader before D comes. D has to be the sum that the format defines, and it has to come within Cycles.
// For a proof the format is a parameter and the rest is free; else all are inputs, to be tried exhaustively.
// Macros: TILE (module), PARAMS (its further parameters, with a comma before), and how words are made of codes:
//   PLANES   a beat for each plane, most significant first; CELL lanes of a table are recoded together (1: not at all)
//   WORD     all planes at once, WORD of them (8 or 4)
//   TLUT     three ternary weights in five bits
//   NM       two slots for a block of Lanes lanes
//   WINDOW   three steps of activations and a select of one of eight positions for each lane
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_kind #(
    parameter Lanes  = 2,
    parameter Planes = 2,                   // bits of a code
    parameter Coding = 0,                   // as in the command: 0 signed, 1 unsigned, 2 bipolar, 3 table
    parameter Table  = 0,
    parameter DBits  = 24,
    parameter Cycles = 12
) (
    input wire                  clk_i,
    input wire [Lanes*24-1:0]   x_i,        // three steps (WINDOW), else the lowest Lanes * 8
    input wire [Lanes*8-1:0]    codes_i,
    input wire [Lanes*4-1:0]    select_i,   // positions (NM) or selects (WINDOW)
    input wire [1:0]            sel_i
`ifndef FORMAL
    ,
    input wire                  start_i,    // take over the inputs, begin again
    input wire [3:0]            planes_i,
    input wire [1:0]            coding_i,
    input wire [4:0]            table_i,
    output wire                 done_o,
    output wire                 legal_o,
    output wire                 bad_o       // with done_o
`endif
);
`ifdef FORMAL
    wire [3:0] planes = Planes;
    wire [1:0] coding = Coding;
    wire [4:0] tbl    = Table;
    wire       start  = 1'b0;
`else
    wire [3:0] planes = planes_i;
    wire [1:0] coding = coding_i;
    wire [4:0] tbl    = table_i;
    wire       start  = start_i;
`endif
`ifdef WINDOW
    wire [5:0] beats = 6'd3;
`elsif PLANES
    wire [5:0] beats = {2'd0, planes};
`else
    wire [5:0] beats = 6'd1;
`endif
`ifdef NM
    localparam Codes = 2;
`else
    localparam Codes = Lanes;
`endif
    // chosen once, in the cycle that resets
    reg  [5:0]           t = 6'd0;
    reg  [Lanes*24-1:0]  x;
    reg  [Lanes*8-1:0]   code;
    reg  [Lanes*4-1:0]   select;
    reg  [1:0]           sel;
    always @(posedge clk_i) begin
        if (start || t == 0) begin
            x      <= x_i;
            code   <= codes_i;
            select <= select_i;
            sel    <= sel_i;
        end
        t <= start ? 6'd1 : t != 6'd63 ? t + 6'd1 : t;
    end
    wire rst = t == 0 || start;

    // ---- what a code means: docs/contract.md, read anew
    function [31:0] magnitude(input [3:0] m, input [4:0] tbl);   // a table's codes without their sign
        case (tbl)
            5'd0: magnitude = m[1:0] == 3 ? 4 : {30'd0, m[1:0]};                                        // FP3
            5'd1: magnitude = m[2:0] < 5 ? {29'd0, m[2:0]} : m[2:0] == 5 ? 6 : m[2:0] == 6 ? 8 : 12;    // FP4
            5'd2: magnitude = m[2:0] == 0 ? 0 : 32'd1 << (m[2:0] - 3'd1);                               // POT4
            5'd3: magnitude = m[2:0] < 4 ? {29'd0, m[2:0]} : m[2:0] == 4 ? 16 : m[2:0] == 5 ? 8 : m[2:0] == 6 ? 4 : 6;
            default: magnitude = 0;
        endcase
    endfunction
    function [31:0] negate(input [31:0] v, input s);
        negate = s ? -v : v;
    endfunction
    function [31:0] minifloat(input [7:0] c, input [3:0] bits, input [4:0] id);
        reg [7:0] e, m;
        reg [3:0] mantissas;
        begin
            mantissas = bits - id[3:0] - 4'd2;  // id is 16 for one exponent bit
            m = c & ((8'd1 << mantissas) - 8'd1);
            e = (c & ((8'd1 << (bits - 4'd1)) - 8'd1)) >> mantissas;
            minifloat = e == 0 ? {24'd0, m} : ((32'd1 << mantissas) + {24'd0, m}) << (e - 8'd1);
            minifloat = negate(minifloat, c >> (bits - 4'd1) != 0);
        end
    endfunction
    function [31:0] outlier(input [3:0] c, input flint);
        outlier = negate(({30'd0, 1'b1, c[0]} << c[2:1]) << (flint ? 3 : 2), c[3]);
    endfunction
    function [31:0] value(input [7:0] c, input [7:0] other, input [1:0] s, input [3:0] bits, input [1:0] how, input [4:0] id);
        case (how)
            0: value = c >> (bits - 4'd1) != 0 ? {24'd0, c} | (~32'd0 << (bits - 4'd1)) : {24'd0, c};
            1: value = {24'd0, c};
            2: value = {23'd0, c, 1'b0} - ((32'd1 << bits) - 32'd1);
            default:
                case (id)
                    0: value = c[2:0] == 4 ? negate(s[1] ? 6 : 3, s[0]) : negate(magnitude({2'd0, c[1:0]}, 5'd0), c[2]);
                    1: value = c == 8 ? negate(s[1] ? 16 : 10, s[0]) : negate(magnitude(c[3:0], 5'd1), c[3]);
                    2: value = negate(magnitude(c[3:0], 5'd2), c[3]);
                    3: value = negate(magnitude(c[3:0], 5'd3), c[3]);
                    4: value = !c[3] ? {24'd0, c} : c[2] ? 8 + 2 * c[1:0] : c[1] ? (c[0] ? 24 : 16) : c[0] ? 32 : 64;
                    5: value = s == 0 ? {{28{c[3]}}, c[3:0]} : s == 1 ? negate(magnitude(c[3:0], 5'd2), c[3]) :
                               s == 2 ? negate(magnitude(c[3:0], 5'd3), c[3]) : negate(magnitude(c[3:0], 5'd1), c[3]);
                    6: value = c == 8 ? 0 : other == 8 ? outlier(c[3:0], 1'b0) : {{28{c[3]}}, c[3:0]};
                    7: value = c == 8 ? 0 : other == 8 ? outlier(c[3:0], 1'b1) : negate(magnitude(c[3:0], 5'd3), c[3]);
                    default: value = minifloat(c, bits, id);
                endcase
        endcase
    endfunction

    // ---- D by the definition; codes that no format has prove nothing
    wire [7:0]        top = 8'd1 << (planes - 4'd1);
    wire [7:0]        mask = top | (top - 8'd1);
    reg  [31:0]       exact, total, chosen;
    reg               legal;
    reg  [7:0]        c, o;
    integer           l, at, lane, step;
    always @* begin
        exact = 32'd0;
        total = 32'd0;
        legal = 1'b1;
        at    = 0;
        {lane, step} = 64'd0;
        for (l = 0; l < Codes; l = l + 1) begin
            c = code[l*8+:8] & mask;
            o = code[(l^1)%Codes*8+:8] & mask;
            if (coding == 3 && (tbl == 6 || tbl == 7) && o == 8 && c[2:0] == 0) legal = 1'b0;
`ifdef TLUT
            if (c == 2) legal = 1'b0;
`endif
`ifdef NM
            at = select[l*4+:4] % Lanes;
`elsif WINDOW
            case (select[l*4+:3])           // time, lane
                0: begin step = 0; lane = l; end
                1: begin step = 1; lane = l; end
                2: begin step = 2; lane = l; end
                3: begin step = 1; lane = l + Lanes - 1; end
                4: begin step = 1; lane = l + 1; end
                5: begin step = 2; lane = l + Lanes - 2; end
                6: begin step = 2; lane = l + 2; end
                default: begin step = 1; lane = l + 3; end
            endcase
            at = step * Lanes + lane % Lanes;
`else
            at = l;
`endif
            chosen = x >> (8 * at);
            exact  = exact + value(c, o, sel, planes, coding, tbl) * {{24{chosen[7]}}, chosen[7:0]};
        end
        for (l = 0; l < Lanes; l = l + 1) total = total + {{24{x[l*8+7]}}, x[l*8+:8]};
    end

    // ---- the beats
    reg  [5:0]          beat = 6'd0;
    wire                ready, d_valid;
    wire                valid = !rst && beat < beats;
    wire [DBits-1:0]    d;
    wire [16:0]         d_sum;
    always @(posedge clk_i)
        if (rst) beat <= 6'd0;
        else if (valid && ready) beat <= beat + 6'd1;

    reg  [7:0]          u;
    reg  [Lanes*16-1:0] word;
    reg  [31:0]         cell_code;
    reg  [1:0]          w0, w1, w2;         // of a cell of three ternary weights
    integer             k, p;
    always @* begin
        word = {Lanes*16{1'b0}};
        u    = 8'd0;
        cell_code = 32'd0;
        {w0, w1, w2} = 6'd0;
        for (k = 0; k < Codes; k = k + 1) begin
            u = code[k*8+:8] & mask;
`ifdef PLANES
            if (coding == 0) u = u ^ top;
            u = u >> (planes - 6'd1 - beat);
            word[k] = u[0];
`elsif WORD
            for (p = 0; p < `WORD; p = p + 1)
                word[p*Codes+k] = p < planes ? u[p] : coding == 0 && (u & top) != 0;
`endif
        end
`ifdef PLANES
        if (`CELL > 1)
            for (k = 0; k + `CELL <= Lanes; k = k + `CELL) begin
                cell_code = word >> k;
                for (p = 1; p < `CELL; p = p + 1) word[k+p-1] = cell_code[0] ^ cell_code[p];
                word[k+`CELL-1] = !cell_code[0];
            end
`endif
`ifdef TLUT
        for (k = 0; k < Lanes; k = k + 3) begin
            w0 = code[k*8+:2];
            w1 = code[k*8+8+:2];
            w2 = code[k*8+16+:2];
            word[k/3*5+4]    = w1 == 0 ? (w2 == 0 ? w0 == 3 : w2 == 3) : w1 == 3;
            word[k/3*5+:2]   = w1 == 0 ? (w2 == 0 ? w0 != 0 : 0) : w2 == 0 ? 1 : w1 != w2 ? 2 : 3;
            word[k/3*5+2+:2] = w1 == 0 && w2 == 0 ? 3 : w0 == 0 ? 0 : (w0 == 3) == word[k/3*5+4] ? 1 : 2;
        end
`elsif NM
        for (k = 0; k < 2; k = k + 1)
            for (p = 0; (1 << p) < Lanes; p = p + 1) word[(8+p)*2+k] = select[k*4+p];
`elsif WINDOW
        for (k = 0; k < Lanes; k = k + 1)
            for (p = 0; p < 3; p = p + 1) word[(8+p)*Lanes+k] = select[k*4+p];
`endif
    end
`ifdef WINDOW
    wire [Lanes*8-1:0] x_beat = x >> (8 * Lanes * beat);
    wire               has_word = beat == 2;
    wire [16:0]        sum = 17'd0;
`else
    wire [Lanes*8-1:0] x_beat = x[Lanes*8-1:0];
    wire               has_word = 1'b1;
    wire [16:0]        sum = total[16:0];
`endif
    `TILE #(.Rows(1), .Lanes(Lanes), .ScaleUnits(1) `PARAMS) tile (
        .clk_i(clk_i), .rst_i(rst), .planes_i(planes), .coding_i(coding), .table_i(tbl), .valid_i(valid),
        .ready_o(ready), .first_i(beat == 0), .plane_i(beat != 0), .last_i(beat + 6'd1 == beats), .word_i(has_word),
        .x_i(x_beat), .w_i(word), .sel_i(sel), .sum_i(sum), .d_valid_o(d_valid), .d_ready_i(1'b0), .d_o(d),
        .d_sum_o(d_sum));

`ifdef NM
    wire               sum_wrong = 1'b0;    // kinds that skip activations have no sum of them
`elsif WINDOW
    wire               sum_wrong = 1'b0;
`else
    wire               sum_wrong = d_sum != sum;
`endif
    wire [63:0]        want = {{32{exact[31]}}, exact};
    wire               bad = d_valid && legal && (d != want[DBits-1:0] || sum_wrong);
`ifdef FORMAL
    always @* begin
        if (t == Cycles) assert (d_valid);
        if (t != 0) assert (!bad);
    end
`else
    assign done_o  = d_valid && !rst;
    assign legal_o = legal;
    assign bad_o   = bad;
`endif
endmodule
`default_nettype wire
