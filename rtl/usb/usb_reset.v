// usb_reset.v - what the state of the USB's two lines says: bus reset, and whether the host speaks high speed.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_reset #(
    parameter HighSpeed   = 1,              // 0: full speed only
    parameter Millisecond = 60000           // cycles; fewer make simulations short, at least 2400
) (
    input  wire       clk_i,
    input  wire       rst_i,
    input  wire [1:0] line_state_i,         // UTMI: 0 SE0, 1 J, 2 K
    output wire       bus_rst_o,            // the host resets the bus
    output wire       high_o,               // at high speed
    output wire       chirp_o,              // drive K
    output wire [1:0] xcvr_select_o,
    output wire       term_select_o,
    output wire [1:0] op_mode_o
);
    localparam Reset = 300, Settle = 150, Long = 3 * Millisecond, Chirp = Millisecond + Millisecond / 8, Wait = 2 * Millisecond,
               Look = Millisecond / 4;
    generate
        if (HighSpeed < 0 || HighSpeed > 1) usb_reset_high_speed_must_be_0_or_1 bad_parameter();
        if (Millisecond < 2400 || Millisecond > 60000) usb_reset_millisecond_must_be_2400_to_60000 bad_parameter();
    endgenerate

    // Full: full speed. Chirping: our K. Listening: for the host's chirps. High: high speed. Leaving: three milliseconds
    // of silence at high speed are a reset or suspension, which full speed's terminations tell apart.
    localparam Full = 3'd0, Chirping = 3'd1, Listening = 3'd2, High = 3'd3, Leaving = 3'd4;
    reg [2:0]  state;
    reg [17:0] timer;                       // since the state began
    reg [17:0] same;                        // since the lines changed
    reg [1:0]  line;
    reg [2:0]  chirps;                      // of the host, K and J in turns
    wire       se0 = line == 2'd0;
    wire       steady = same == Settle[17:0];
    wire       begins = state == Full && se0 && same == Reset[17:0];
    assign bus_rst_o     = begins || state == Chirping || rst_i;
    assign high_o        = state == High;
    assign chirp_o       = state == Chirping;
    assign xcvr_select_o = {1'b0, state == Full || state == Leaving};
    assign term_select_o = state != High;
    assign op_mode_o     = state == Chirping || state == Listening ? 2'd2 : 2'd0;

    always @(posedge clk_i) begin
        line <= line_state_i;
        if (rst_i || line != line_state_i) same <= 18'd0;
        else if (same != 18'h3ffff) same <= same + 18'd1;
    end
    always @(posedge clk_i)
        if (rst_i) begin
            state  <= Full;
            timer  <= 18'd0;
            chirps <= 3'd0;
        end else begin
            timer <= timer + 18'd1;
            case (state)
                Full: begin
                    timer  <= 18'd0;
                    if (begins && HighSpeed != 0) state <= Chirping;
                end
                Chirping: if (timer == Chirp[17:0]) begin
                    state  <= Listening;
                    timer  <= 18'd0;
                    chirps <= 3'd0;
                end
                Listening: begin
                    if (steady && !se0 && line == (chirps[0] ? 2'd1 : 2'd2)) chirps <= chirps + 3'd1;
                    if (chirps == 3'd6) state <= High;
                    else if (timer == Wait[17:0]) state <= Full;
                end
                High: if (se0 && same == Long[17:0]) begin
                    state <= Leaving;
                    timer <= 18'd0;
                end
                default: if (timer == Look[17:0]) begin
                    state <= se0 ? Chirping : Full;
                    timer <= 18'd0;
                end
            endcase
        end
endmodule
`default_nettype wire
