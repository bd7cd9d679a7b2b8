// plane_gather.v - collect the bit-planes of one word: first Extra planes of selectors or positions, then the code's.
// Code planes come most significant first and leave right-aligned, plane p at bit p * Width; the planes above the code's
// width are copies of the top plane (signed) or zero, so that a column of planes reads as one number.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module plane_gather #(
    parameter Width  = 64,                  // bits of one plane
    parameter Planes = 8,                   // code planes of a word: 4 or 8
    parameter Extra  = 0,                   // planes before them, 0..4; they leave above the code, the first one topmost
    parameter Ctl    = 1                    // bits that come along with a word's first plane
) (
    input  wire                            clk_i,
    input  wire                            rst_i,
    input  wire [3:0]                      planes_i,     // 1..Planes, constant while planes of a job arrive
    input  wire                            signed_i,     // codes are two's complement
    input  wire                            valid_i,
    output wire                            ready_o,
    input  wire [Width-1:0]                data_i,       // one plane
    input  wire [Ctl-1:0]                  ctl_i,
    output reg                             valid_o,
    input  wire                            ready_i,
    output wire [Width*(Planes+Extra)-1:0] data_o,
    output reg  [Ctl-1:0]                  ctl_o
);
    localparam Before = Extra;
    localparam [3:0] First = Before[3:0];
    generate
        if (Planes != 4 && Planes != 8) plane_gather_planes_must_be_4_or_8 bad_parameter();
        if (Extra < 0 || Extra > 4) plane_gather_extra_must_be_0_to_4 bad_parameter();
    endgenerate
    reg [3:0] count;                        // planes of the current word that have arrived
    wire      take = valid_i && ready_o;
    wire      full = count + 4'd1 == planes_i + First;

    assign ready_o = !valid_o || ready_i;

    reg [Width*Planes-1:0] code;
    always @(posedge clk_i) begin
        if (take && count + 4'd1 > First)         // shift up by a plane; the first one also fills what lies above
            code <= {count == First ? {Planes-1{data_i & {Width{signed_i}}}} : code[Width*(Planes-1)-1:0], data_i};
        if (take && count == 0) ctl_o <= ctl_i;
    end
    generate
        if (Extra > 1) begin : g_extra
            reg [Width*Extra-1:0] extra;
            always @(posedge clk_i)
                if (take && count < First) extra <= {extra[Width*(Extra-1)-1:0], data_i};
            assign data_o = {extra, code};
        end else if (Extra == 1) begin : g_one
            reg [Width-1:0] extra;
            always @(posedge clk_i)
                if (take && count == 0) extra <= data_i;
            assign data_o = {extra, code};
        end else begin : g_none
            assign data_o = code;
        end
    endgenerate
    always @(posedge clk_i)
        if (rst_i) begin
            count   <= 4'd0;
            valid_o <= 1'b0;
        end else begin
            if (take) count <= full ? 4'd0 : count + 4'd1;
            if (ready_o) valid_o <= take && full;
        end
endmodule
`default_nettype wire
