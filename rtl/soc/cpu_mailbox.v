// cpu_mailbox.v - the registers by which host and firmware talk, words LINK_REG_CPU and up: docs/firmware.md. The host never waits.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module cpu_mailbox #(
    parameter RamBytes = 16384,
    parameter Held     = 0                  // 1: the processor waits for the host from the beginning
) (
    input  wire        clk_i,
    input  wire        rst_i,
    input  wire        host_valid_i,        // answered in the same cycle
    input  wire        host_write_i,
    input  wire [4:0]  host_addr_i,
    input  wire [31:0] host_data_i,
    input  wire        cpu_valid_i,
    input  wire        cpu_write_i,
    input  wire [4:0]  cpu_addr_i,
    input  wire [31:0] cpu_data_i,
    output wire        cpu_ready_o,
    output wire [31:0] data_o,              // to whoever is answered
    output reg         hold_o,              // the processor stays in reset
    output reg         pending_o,           // the firmware has not read the host's last command yet
    // what happens to the processor
    input  wire        cpu_rst_i,           // what the firmware said of itself holds no more
    input  wire        fault_i,
    input  wire [1:0]  fault_cause_i,
    input  wire [31:0] fault_where_i
);
    localparam [31:0] Ram = RamBytes << 6 | 1;
    // what only holds while the firmware that said it runs: version, state, heartbeat, mailbox, vectors
    localparam [31:0] OfFirmware = 32'h0000c0e0;
    reg  [31:0] box [0:31];
    reg  [31:0] said, resets, where;
    reg  [2:0]  cause;
    wire        cpu   = cpu_valid_i && !host_valid_i;
    wire [4:0]  addr  = host_valid_i ? host_addr_i : cpu_addr_i;
    wire [31:0] word  = {27'd0, addr} + `LINK_REG_CPU;
    wire [31:0] data  = host_valid_i ? host_data_i : cpu_data_i;
    wire        host_write  = host_valid_i && host_write_i;
    wire        command     = host_write && word == `LINK_REG_CPU_COMMAND;
    wire        host_writes = command || (host_write && word == `LINK_REG_CPU_ARGUMENT);
    wire        cpu_writes  = cpu && cpu_write_i && word >= `LINK_REG_CPU_VERSION &&
                              word != `LINK_REG_CPU_COMMAND && word != `LINK_REG_CPU_ARGUMENT;
    wire        control     = host_write && word == `LINK_REG_CPU_CONTROL;
    assign cpu_ready_o = cpu;

    integer i;
    initial for (i = 0; i < 32; i = i + 1) box[i] = 32'd0;
    always @(posedge clk_i)
        if (host_writes || cpu_writes) box[addr] <= data;

    reg  [31:0] value;
    wire        holds = said[addr] || !OfFirmware[addr];
    wire [31:0] kept = box[addr];
    always @*
        case (word)
            `LINK_REG_CPU:         value = Ram;
            `LINK_REG_CPU_CONTROL: value = {31'd0, hold_o};
            `LINK_REG_CPU_RESETS:  value = resets;
            `LINK_REG_CPU_CAUSE:   value = {29'd0, cause};
            `LINK_REG_CPU_WHERE:   value = where;
            default:               value = holds ? kept : 32'd0;
        endcase
    assign data_o = value;

    always @(posedge clk_i)
        if (rst_i) begin
            hold_o    <= Held != 0;
            pending_o <= 1'b0;
            said      <= 32'd0;
            resets    <= 32'd0;
            where     <= 32'd0;
            cause     <= 3'd`LINK_CPU_CAUSE_POWER;
        end else begin
            if (control) hold_o <= data[0];
            if (command) pending_o <= 1'b1;
            else if (cpu && !cpu_write_i && word == `LINK_REG_CPU_COMMAND) pending_o <= 1'b0;
            if (cpu_rst_i) said <= 32'd0;
            else if (cpu_writes) said[addr] <= 1'b1;
            if (control && data[0]) cause <= 3'd`LINK_CPU_CAUSE_HOST;
            else if (fault_i) begin
                cause  <= {1'b0, fault_cause_i} + 3'd`LINK_CPU_CAUSE_WATCHDOG;
                where  <= fault_where_i;
                resets <= resets + 32'd1;
            end
        end
endmodule
`default_nettype wire
