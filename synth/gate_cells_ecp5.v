// gate_cells_ecp5.v - ECP5 cells of which yosys knows the ports only, for simulation in four states: what its flow makes of them, and
// nothing else. Written from yosys' own mapping, so that a mistake there is not found here.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none

// No registers, as yosys leaves them all out.
module MULT18X18D (
    input  wire A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input  wire B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input  wire C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input  wire SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output wire P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13,
        P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [35:0] sa = {{18{SIGNEDA & A17}}, a};
    wire signed [35:0] sb = {{18{SIGNEDB & B17}}, b};
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13,
        P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = sa * sb;
endmodule

// 2048 bytes of nine bits; two ports of 1, 2, 4, 9 or 18 bits, or one that writes (A) and one that reads (B), of up to 36. A port that
// writes does not read, unless it reads before it writes.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter GSR = "AUTO"
) (
    input  wire DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input  wire ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input  wire CEA, OCEA, CLKA, WEA, RSTA, CSA0, CSA1, CSA2,
    output wire DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input  wire DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input  wire ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input  wire CEB, OCEB, CLKB, WEB, RSTB, CSB0, CSB1, CSB2,
    output wire DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    generate
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" ||
            (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE") || (WRITEMODE_B != "NORMAL" && WRITEMODE_B != "READBEFOREWRITE") ||
            CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || CSDECODE_A != "0b000" || CSDECODE_B != "0b000")
            DP16KD_in_this_mode_is_not_modelled bad_parameter();
    endgenerate

    wire [35:0] di = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = di[35:18];
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    // bytes that are written: with none of them an address may be unknown
    wire [3:0]  ea = DATA_WIDTH_A == 36 ? ada[3:0] : DATA_WIDTH_A == 18 ? {2'd0, ada[1:0]} : 4'd1;
    wire [3:0]  eb = DATA_WIDTH_B == 18 ? {2'd0, adb[1:0]} : 4'd1;
    reg  [8:0]  mem [0:2047];
    reg  [35:0] a, b;                       // what the ports read
    integer     i;

    always @(posedge CLKA) begin
        // yosys ties RST low: no output here has a reset
        if (CEA !== 1'b0 && WEA !== 1'b0 && ea !== 4'd0) begin
            if (^{CEA, WEA, ada} === 1'bx) for (i = 0; i < 2048; i = i + 1) mem[i] = 9'bx;
            else if (DATA_WIDTH_A == 36) begin
                for (i = 0; i < 4; i = i + 1) if (ada[i]) mem[{ada[13:5], i[1:0]}] <= di[9*i+:9];
            end else if (DATA_WIDTH_A == 18) begin
                for (i = 0; i < 2; i = i + 1) if (ada[i]) mem[{ada[13:4], i[0]}] <= di[9*i+:9];
            end else if (DATA_WIDTH_A == 9) mem[ada[13:3]] <= di[8:0];
            else for (i = 0; i < DATA_WIDTH_A; i = i + 1) mem[ada[13:3]][(ada[2:0] & ~(DATA_WIDTH_A - 1)) + i] <= di[i];
        end
        if (CEA !== 1'b0 && (WEA === 1'b0 || WRITEMODE_A == "READBEFOREWRITE"))
            a <= ^{CEA, WEA} === 1'bx ? 36'bx : DATA_WIDTH_A == 18 ? {mem[{ada[13:4], 1'b1}], mem[{ada[13:4], 1'b0}]} :
                 mem[ada[13:3]] >> (DATA_WIDTH_A == 9 ? 0 : ada[2:0] & ~(DATA_WIDTH_A - 1));
    end
    always @(posedge CLKB) begin
        if (CEB !== 1'b0 && WEB !== 1'b0 && eb !== 4'd0) begin
            if (^{CEB, WEB, adb} === 1'bx) for (i = 0; i < 2048; i = i + 1) mem[i] = 9'bx;
            else if (DATA_WIDTH_B == 18) begin
                for (i = 0; i < 2; i = i + 1) if (adb[i]) mem[{adb[13:4], i[0]}] <= dib[9*i+:9];
            end else if (DATA_WIDTH_B == 9) mem[adb[13:3]] <= dib[8:0];
            else for (i = 0; i < DATA_WIDTH_B; i = i + 1) mem[adb[13:3]][(adb[2:0] & ~(DATA_WIDTH_B - 1)) + i] <= dib[i];
        end
        if (CEB !== 1'b0 && (WEB === 1'b0 || WRITEMODE_B == "READBEFOREWRITE"))
            b <= ^{CEB, WEB} === 1'bx ? 36'bx :
                 DATA_WIDTH_B == 36 ? {mem[{adb[13:5], 2'd3}], mem[{adb[13:5], 2'd2}], mem[{adb[13:5], 2'd1}], mem[{adb[13:5], 2'd0}]} :
                 DATA_WIDTH_B == 18 ? {mem[{adb[13:4], 1'b1}], mem[{adb[13:4], 1'b0}]} :
                 mem[adb[13:3]] >> (DATA_WIDTH_B == 9 ? 0 : adb[2:0] & ~(DATA_WIDTH_B - 1));
    end
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
        DATA_WIDTH_B == 36 ? b[17:0] : a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
        DATA_WIDTH_B == 36 ? b[35:18] : b[17:0];
endmodule
`default_nettype wire
