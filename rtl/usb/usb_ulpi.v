// usb_ulpi.v - UTMI behind a ULPI transceiver: packets, the lines' state and the transceiver's settings over eight shared wires.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_ulpi (
    input  wire       clk_i,                // the transceiver's 60 MHz
    input  wire       rst_i,
    // ULPI
    input  wire       dir_i,
    input  wire       nxt_i,
    output reg        stp_o,
    input  wire [7:0] data_i,
    output reg  [7:0] data_o,
    output wire       oe_o,
    // UTMI
    output reg  [1:0] line_state_o,
    output reg        rx_active_o,
    output reg        rx_valid_o,
    output reg        rx_error_o,
    output reg  [7:0] rx_data_o,
    input  wire       tx_valid_i,
    output wire       tx_ready_o,
    input  wire [7:0] tx_data_i,
    input  wire [1:0] xcvr_select_i,
    input  wire       term_select_i,
    input  wire [1:0] op_mode_i
);
    localparam [7:0] SendPid = 8'h40, WriteFunction = 8'h84, WriteOtg = 8'h8A;
    assign oe_o = !dir_i;

    // ---- from the transceiver: data with nxt, else what happens at the bus. The first cycle of a direction carries nothing.
    reg dir;
    always @(posedge clk_i) begin
        dir        <= dir_i;
        rx_valid_o <= 1'b0;
        rx_error_o <= 1'b0;
        if (rst_i) begin
            rx_active_o  <= 1'b0;
            line_state_o <= 2'd1;
        end else if (!dir_i) rx_active_o <= 1'b0;
        else if (!dir) rx_active_o <= nxt_i;
        else if (nxt_i) begin
            rx_valid_o <= 1'b1;
            rx_data_o  <= data_i;
        end else begin
            line_state_o <= data_i[1:0];
            rx_active_o  <= data_i[4];
            rx_error_o   <= data_i[5] && data_i[4];
        end
    end

    // ---- to the transceiver. It may take the bus at any time; a setting is written until it went through.
    localparam Idle = 3'd0, Address = 3'd1, Value = 3'd2, Packet = 3'd3, Stop = 3'd4, Rest = 3'd5;
    reg  [2:0] state;
    reg        otg;                         // the pull-downs of a host are off
    reg  [5:0] function_set;                // what the transceiver has; bit 5: nothing yet
    wire [5:0] function_want = {1'b0, op_mode_i, term_select_i, xcvr_select_i};
    wire       free  = !dir_i && !dir;
    wire       write = !otg || function_set != function_want;
    wire       begins = state == Idle && free && !write && tx_valid_i;
    wire       chirp = op_mode_i == 2'd2;
    assign tx_ready_o = begins || (state == Packet && !dir_i && nxt_i) || state == Rest;
    always @(posedge clk_i) begin
        stp_o <= 1'b0;
        if (rst_i) begin
            state        <= Idle;
            otg          <= 1'b0;
            function_set <= 6'h20;
            data_o       <= 8'd0;
        end else
            case (state)
                Idle: if (free && (write || tx_valid_i)) begin
                    state  <= write ? Address : Packet;
                    data_o <= !write ? SendPid | {4'd0, chirp ? 4'd0 : tx_data_i[3:0]} : otg ? WriteFunction : WriteOtg;
                end
                Address: if (dir_i) state <= Stop;
                else if (nxt_i) begin
                    state  <= Value;
                    data_o <= otg ? {2'd1, 1'b0, function_want[4:0]} : 8'd0;
                end
                Value: if (dir_i) state <= Stop;
                else if (nxt_i) begin
                    state  <= Stop;
                    data_o <= 8'd0;
                    stp_o  <= 1'b1;
                    if (otg) function_set <= {1'b0, data_o[4:0]};
                    otg <= 1'b1;
                end
                Packet: if (dir_i) state <= Rest;
                else if (nxt_i) begin
                    data_o <= tx_valid_i ? tx_data_i : 8'd0;
                    stp_o  <= !tx_valid_i;
                    if (!tx_valid_i) state <= Stop;
                end
                Rest: if (!tx_valid_i || chirp) state <= Stop;  // what is left of a packet that was cut off
                default: begin
                    state  <= Idle;
                    data_o <= 8'd0;
                end
            endcase
    end
endmodule
`default_nettype wire
