// uart_rx.v - bytes from a serial line: 8 data bits, no parity, one stop bit.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module uart_rx #(
    parameter Divisor = 16                  // cycles of a bit, 4..65535
) (
    input  wire       clk_i,
    input  wire       rst_i,
    input  wire       line_i,               // from the pin: asynchronous
    output reg        valid_o,              // pulse: the byte is there in this cycle only
    output reg  [7:0] data_o
);
    localparam Half = Divisor / 2, Whole = Divisor - 1;
    generate
        if (Divisor < 4 || Divisor > 65535) uart_rx_divisor_must_be_4_to_65535 bad_parameter();
    endgenerate

    reg [2:0]  line;                        // two registers against metastability, one to see a start
    reg        busy;
    reg [3:0]  at;                          // bit: 0 start, 1 to 8 data, 9 stop
    reg [15:0] count;                       // cycles to the middle of the next bit

    always @(posedge clk_i) line <= {line[1:0], line_i};
    always @(posedge clk_i)
        if (rst_i) begin
            busy    <= 1'b0;
            valid_o <= 1'b0;
        end else begin
            valid_o <= 1'b0;
            if (!busy) busy <= line[2] && !line[1];
            else if (count == 16'd0) begin
                // a start that was a spike, or a byte whose stop bit is missing: not a byte
                if (at == 4'd0 && line[1]) busy <= 1'b0;
                if (at == 4'd9) begin
                    busy    <= 1'b0;
                    valid_o <= line[1];
                end
            end
        end
    always @(posedge clk_i)
        if (!busy) begin
            at    <= 4'd0;
            count <= Half[15:0] - 16'd1;
        end else if (count != 16'd0) count <= count - 16'd1;
        else begin
            at    <= at + 4'd1;
            count <= Whole[15:0];
            if (at != 4'd0 && at != 4'd9) data_o <= {line[1], data_o[7:1]};
        end
endmodule
`default_nettype wire
