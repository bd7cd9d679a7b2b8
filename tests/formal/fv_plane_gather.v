// fv_plane_gather.v - plane_gather.v: every code word holds the planes of one step, in order, and fills the rest.
// One column of bits is enough: the planes' bits do not mix, which the two columns here show as well.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module fv_plane_gather #(
    parameter Width = 2
) (
    input wire             clk_i,
    input wire             reset,
    input wire [3:0]       planes,          // taken over by reset, constant until the next
    input wire             signed_codes,
    input wire             valid_i,
    input wire             ready_i,
    input wire [Width-1:0] data_i
);
    reg                up = 1'b0;
    wire               rst_i = reset || !up;
    reg  [3:0]         planes_i = 4'd1;
    reg                signed_i = 1'b0;
    wire               ready_o, valid_o;
    wire [Width*8-1:0] data_o;
    wire               ctl_o;
    plane_gather #(.Width(Width)) dut (
        .clk_i(clk_i), .rst_i(rst_i), .planes_i(planes_i), .signed_i(signed_i), .valid_i(valid_i),
        .ready_o(ready_o), .data_i(data_i), .ctl_i(1'b0), .valid_o(valid_o), .ready_i(ready_i), .data_o(data_o), .ctl_o(ctl_o));

    wire               in = valid_i && ready_o, out = valid_o && ready_i;
    reg  [Width*8-1:0] got = 0, want = 0;   // planes of the step that arrives; the word that has to leave
    reg  [3:0]         count = 4'd0;
    reg                full = 1'b0;         // want has not left
    reg  [2:0]         words = 3'd0;
    wire [Width*8-1:0] next = {count == 0 ? {7{data_i & {Width{signed_i}}}} : got[Width*7-1:0], data_i};
    always @(posedge clk_i) begin
        up <= 1'b1;
        if (rst_i) begin
            planes_i <= planes == 0 || planes > 8 ? 4'd8 : planes;
            signed_i <= signed_codes;
            count    <= 4'd0;
            full     <= 1'b0;
            words    <= 3'd0;
        end else begin
            if (out) full <= 1'b0;
            if (out && words != 7) words <= words + 1'b1;
            if (in) begin
                got   <= next;
                count <= count + 1'b1 == planes_i ? 4'd0 : count + 1'b1;
                if (count + 1'b1 == planes_i) begin
                    want <= next;
                    full <= 1'b1;
                end
            end
        end
    end
    always @* if (up) begin
        assert (valid_o == full);
        if (full) assert (data_o == want);
        if (in) assert (!full || out);              // a word that waits is not overwritten
        if (!full) assert (ready_o);                // nothing else stalls
        assert (count < planes_i);
    end
`ifdef COVER
    always @* if (up) begin
        cover (words == 2 && planes_i == 3 && signed_i && full && data_o[Width*8-1]);
        cover (out && in && planes_i == 1 && words == 2);
        cover (planes_i == 8 && full && data_o[0]);
    end
`endif
endmodule
`default_nettype wire
