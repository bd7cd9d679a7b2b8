// usb_tx.v - packets to the host: a PID, and behind that of data the bytes and their CRC.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_tx (
    input  wire       clk_i,
    input  wire       rst_i,
    input  wire       start_i,
    input  wire [3:0] pid_i,                // with start_i
    input  wire       more_i,               // there is another byte of data
    input  wire [7:0] byte_i,
    output wire       take_o,
    output wire       busy_o,
    output wire       tx_valid_o,           // UTMI
    output wire [7:0] tx_data_o,
    input  wire       tx_ready_i
);
    localparam Idle = 2'd0, Pid = 2'd1, Data = 2'd2, High = 2'd3;
    reg  [1:0]  state;
    reg  [3:0]  pid;
    reg  [15:0] crc;
    wire [15:0] crc_next;
    usb_crc16 step (.crc_i(crc), .byte_i(byte_i), .crc_o(crc_next));
    wire bytes = state == Data && more_i;
    assign busy_o     = state != Idle;
    assign tx_valid_o = busy_o;
    assign take_o     = bytes && tx_ready_i;
    assign tx_data_o  = state == Pid ? {~pid, pid} : bytes ? byte_i : state == High ? ~crc[15:8] : ~crc[7:0];

    always @(posedge clk_i)
        if (rst_i) state <= Idle;
        else if (start_i) state <= Pid;
        else if (tx_ready_i)
            case (state)
                Pid:     state <= pid[1:0] == 2'b11 ? Data : Idle;
                Data:    state <= more_i ? Data : High;     // the CRC's low byte goes out here
                default: state <= Idle;
            endcase
    always @(posedge clk_i)
        if (start_i) begin
            pid <= pid_i;
            crc <= 16'hffff;
        end else if (take_o) crc <= crc_next;
endmodule
`default_nettype wire
