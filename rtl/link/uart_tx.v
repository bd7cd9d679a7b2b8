// uart_tx.v - bytes onto a serial line: 8 data bits, no parity, one stop bit.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module uart_tx #(
    parameter Divisor = 16                  // cycles of a bit, 4..65535
) (
    input  wire       clk_i,
    input  wire       rst_i,
    input  wire       valid_i,
    output wire       ready_o,
    input  wire [7:0] data_i,
    output wire       line_o
);
    localparam Whole = Divisor - 1;
    generate
        if (Divisor < 4 || Divisor > 65535) uart_tx_divisor_must_be_4_to_65535 bad_parameter();
    endgenerate

    reg [9:0]  bits;                        // still to send, the lowest is on the line; ones are the idle line
    reg [3:0]  left;                        // bits to send
    reg [15:0] count;                       // cycles of this bit to come
    assign ready_o = left == 4'd0;
    assign line_o  = bits[0];

    always @(posedge clk_i)
        if (rst_i) begin
            bits  <= 10'h3FF;
            left  <= 4'd0;
            count <= 16'd0;
        end else if (ready_o) begin
            if (valid_i) begin
                bits  <= {1'b1, data_i, 1'b0};
                left  <= 4'd10;
                count <= Whole[15:0];
            end
        end else if (count != 16'd0) count <= count - 16'd1;
        else begin
            bits  <= {1'b1, bits[9:1]};
            left  <= left - 4'd1;
            count <= Whole[15:0];
        end
endmodule
`default_nettype wire
