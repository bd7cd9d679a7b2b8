// usb_fs_phy.v - a full-speed transceiver on two pins: UTMI on one side, D+ and D- on the other. Sync, NRZI, stuffed bits.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_fs_phy (
    input  wire       clk_i,                // 48 MHz, four cycles a bit
    input  wire       rst_i,
    // pins: 1.5 kOhm from D+ to 3.3 V say that there is a device
    input  wire       dp_i,
    input  wire       dn_i,
    output reg        dp_o,
    output reg        dn_o,
    output reg        oe_o,
    // UTMI
    output wire [1:0] line_state_o,
    output reg        rx_active_o,
    output reg        rx_valid_o,
    output reg        rx_error_o,
    output reg  [7:0] rx_data_o,
    input  wire       tx_valid_i,
    output wire       tx_ready_o,
    input  wire [7:0] tx_data_i
);
    localparam [1:0] SE0 = 2'd0, J = 2'd1, K = 2'd2;

    // ---- from the pins. They change at any time: two flip-flops each, then a look whether both had changed.
    reg  [1:0] first, second, line, earlier;
    always @(posedge clk_i) begin
        first   <= {dn_i, dp_i};
        second  <= first;
        line    <= second;
        earlier <= line;
    end
    assign line_state_o = line;

    // A bit is looked at in the second of its four cycles: it may have three where clocks differ, and in the first D+ and D- may
    // look alike, which is no edge: J and K alone count.
    reg  [1:0] phase, level;                // level: J or K, the last that there was
    wire       differ = line == J || line == K;
    wire       edge_now = differ && line != level;
    wire       sample = phase == 2'd0 && !edge_now;
    reg        was_j;                       // the last bit's level, 1: J
    wire       code  = line[0];
    wire       bit_in = code == was_j;     // NRZI
    reg  [2:0] ones;                        // since the last zero
    reg  [4:0] zeros;                       // the last bits, 1 where there was a zero
    reg  [2:0] count;                       // of the byte
    reg  [1:0] se0s;                        // bits of SE0
    reg  [6:0] shift;
    wire       stuffed = ones == 3'd6;
    always @(posedge clk_i)
        if (rst_i) begin
            phase <= 2'd0;
            level <= J;
        end else begin
            phase <= edge_now ? 2'd0 : phase + 2'd1;
            if (differ) level <= line;
        end
    always @(posedge clk_i) begin
        rx_valid_o <= 1'b0;
        rx_error_o <= 1'b0;
        if (rst_i || oe_o) begin            // what we send is not received
            rx_active_o <= 1'b0;
            was_j      <= 1'b1;
            ones        <= 3'd0;
            zeros       <= 5'd0;
            se0s        <= 2'd0;
        end else if (se0s != 2'd0 && differ) begin
            rx_active_o <= 1'b0;            // the end of a packet ends with J
            se0s        <= 2'd0;
            was_j      <= 1'b1;
            zeros       <= 5'd0;
        end else if (sample && line == SE0 && earlier == SE0) begin
            if (se0s != 2'd3) se0s <= se0s + 2'd1;
            else rx_active_o <= 1'b0;       // a reset
        end else if (sample && differ) begin
            was_j <= code;
            ones   <= !bit_in ? 3'd0 : stuffed ? 3'd6 : ones + 3'd1;
            zeros  <= {zeros[3:0], !bit_in};
            if (!rx_active_o) begin
                if (&zeros && bit_in) begin
                    rx_active_o <= 1'b1;
                    ones        <= 3'd1;
                end
                count <= 3'd0;
            end else if (stuffed) rx_error_o <= bit_in;
            else begin
                shift <= {bit_in, shift[6:1]};
                count <= count + 3'd1;
                if (count == 3'd7) begin
                    rx_data_o  <= {bit_in, shift};
                    rx_valid_o <= 1'b1;
                end
            end
        end
    end

    // ---- to the pins
    localparam Idle = 2'd0, Bits = 2'd1, Low = 2'd2, High = 2'd3;
    reg  [1:0] state, quarter;
    reg  [2:0] left;                        // bits of the byte that have not begun
    reg  [2:0] run;                         // ones since the last zero
    reg  [6:0] byte_out;
    wire       step  = quarter == 2'd3;
    wire       stuff = run == 3'd6;
    wire       empty = left == 3'd0 && !stuff;
    wire       bit_out = !stuff && (empty ? tx_data_i[0] : byte_out[0]);
    assign tx_ready_o = state == Bits && step && empty && tx_valid_i;
    always @(posedge clk_i)
        if (rst_i) begin
            state   <= Idle;
            oe_o    <= 1'b0;
            quarter <= 2'd0;
            {dn_o, dp_o} <= J;
        end else if (state == Idle) begin
            quarter <= 2'd0;
            run     <= 3'd0;
            left    <= 3'd7;
            byte_out <= 7'h40;              // K J K J K J K K: seven zeros, a one; the first goes out here
            if (tx_valid_i) begin
                state <= Bits;
                oe_o  <= 1'b1;
                {dn_o, dp_o} <= K;
            end
        end else begin
            quarter <= quarter + 2'd1;
            if (step)
                case (state)
                    Bits: if (empty && !tx_valid_i) begin
                        state <= Low;
                        left  <= 3'd1;
                        {dn_o, dp_o} <= SE0;
                    end else begin
                        run <= bit_out ? run + 3'd1 : 3'd0;
                        if (!bit_out) {dn_o, dp_o} <= ~{dn_o, dp_o};
                        if (empty) begin
                            left     <= 3'd7;
                            byte_out <= tx_data_i[7:1];
                        end else if (!stuff) begin
                            left     <= left - 3'd1;
                            byte_out <= {1'b0, byte_out[6:1]};
                        end
                    end
                    Low: begin
                        left <= 3'd0;
                        if (left == 3'd0) begin
                            state <= High;
                            {dn_o, dp_o} <= J;
                        end
                    end
                    default: begin
                        state <= Idle;
                        oe_o  <= 1'b0;
                    end
                endcase
        end
endmodule
`default_nettype wire
