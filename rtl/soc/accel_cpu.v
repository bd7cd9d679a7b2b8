// accel_cpu.v - PicoRV32 with its memory, a watchdog and the mailbox: runs the firmware beside the link, which never waits for it.
// docs/firmware.md has the registers and the firmware's view of them.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module accel_cpu #(
    parameter Firmware = "",                // $readmemh's file; "": the processor waits until the host has loaded one
    parameter RamBytes = 16384,             // power of two, 4096..65536
    parameter Watchdog = 5000000            // cycles without a sign of life after which the processor begins anew, >= 50000
) (
    input  wire        clk_i,
    input  wire        rst_i,
    // mailbox and, while the processor is held, its memory
    input  wire        bus_valid_i,
    input  wire        bus_write_i,
    input  wire [15:0] bus_addr_i,
    input  wire [31:0] bus_data_i,
    output wire        bus_done_o,
    output wire [31:0] bus_data_o,
    // registers of the device, as the firmware sees them
    output wire        reg_valid_o,         // may fall before it is done
    output wire        reg_write_o,
    output wire [15:0] reg_addr_o,
    output wire [31:0] reg_data_o,
    input  wire        reg_done_i,
    input  wire [31:0] reg_data_i,
    // the core's streams, see cpu_streams.v
    output wire        take_o,
    input  wire        own_i,
    output wire [4:0]  valid_o,
    input  wire [4:0]  ready_i,
    output wire [39:0] data_o,
    input  wire        r_valid_i,
    output wire        r_ready_o,
    input  wire [7:0]  r_data_i,
    input  wire        cpl_valid_i,
    output wire        cpl_ready_o,
    input  wire [23:0] cpl_i,
    output wire        awake_o              // the firmware has something to do
);
    localparam Words = RamBytes / 4;
    localparam Aw    = $clog2(Words);
    localparam Dog   = Watchdog;
    generate
        if (RamBytes < 4096 || RamBytes > 65536 || (4 << Aw) != RamBytes) accel_cpu_ram_must_be_a_power_of_two bad_parameter();
        if (Watchdog < 50000) accel_cpu_watchdog_must_be_50000_or_more bad_parameter();
    endgenerate

    wire        mem_valid, mem_instr, mem_ready, trap;
    wire [31:0] mem_addr, mem_wdata;
    wire [3:0]  mem_wstrb;
    reg  [31:0] mem_rdata;
    wire        hold, pending;
    reg  [2:0]  rst_left;
    wire        cpu_rst = hold || rst_left != 3'd0;

    // ---- whom the processor asks: by the top four bits of the address
    wire ask        = mem_valid && !cpu_rst;
    wire write      = mem_wstrb != 4'd0;
    wire to_ram     = ask && mem_addr[31:28] == 4'h0 && mem_addr[27:0] < RamBytes;
    wire to_mailbox = ask && mem_addr[31:28] == 4'h4 && !mem_instr;
    wire to_own     = ask && mem_addr[31:28] == 4'h5 && !mem_instr;
    wire to_streams = ask && mem_addr[31:28] == 4'h6 && !mem_instr;
    wire to_regs    = ask && mem_addr[31:28] == 4'h8 && !mem_instr;
    wire to_nothing = ask && !to_ram && !to_mailbox && !to_own && !to_streams && !to_regs;

    // ---- memory
    reg  [31:0]   ram [0:Words-1];
    reg  [31:0]   ram_data;
    reg           ram_done;
    reg  [17:0]   protect;                  // the firmware writes nothing below
    wire          window    = bus_valid_i && bus_addr_i[15:14] == 2'd1;
    wire          window_in = window && hold && {16'd0, bus_addr_i[13:0], 2'd0} < RamBytes;
    wire          ram_valid = hold ? window_in : to_ram;
    wire [Aw-1:0] ram_at    = hold ? bus_addr_i[Aw-1:0] : mem_addr[Aw+1:2];
    wire [31:0]   ram_in    = hold ? bus_data_i : mem_wdata;
    wire          guarded   = to_ram && write && mem_addr[17:0] < protect;
    wire [3:0]    ram_write = hold ? {4{window_in && bus_write_i}} : to_ram && !guarded ? mem_wstrb : 4'd0;
    generate
        if (Firmware != "") begin : g_firmware
            initial $readmemh(Firmware, ram);
        end
    endgenerate
    always @(posedge clk_i) begin
        if (ram_write[0]) ram[ram_at][7:0] <= ram_in[7:0];
        if (ram_write[1]) ram[ram_at][15:8] <= ram_in[15:8];
        if (ram_write[2]) ram[ram_at][23:16] <= ram_in[23:16];
        if (ram_write[3]) ram[ram_at][31:24] <= ram_in[31:24];
        ram_data <= ram[ram_at];
    end
    always @(posedge clk_i)
        if (rst_i) ram_done <= 1'b0;
        else ram_done <= ram_valid && !ram_done;

    // ---- watchdog, sleep, protection: words 0, 1, 2
    reg  [31:0] dog, nap;
    reg         napping;
    wire        awoke = pending || nap == 32'd0;
    wire        own_ready = to_own && (mem_addr[3:2] != 2'd1 || (napping && awoke));
    assign awake_o = !hold && !napping;
    always @(posedge clk_i)
        if (rst_i || cpu_rst) begin
            dog     <= Dog[31:0];
            napping <= 1'b0;
            protect <= 18'd0;
        end else begin
            dog     <= to_own && write && mem_addr[3:2] == 2'd0 ? Dog[31:0] : dog - 32'd1;
            napping <= to_own && write && mem_addr[3:2] == 2'd1 && !own_ready;
            if (to_own && write && mem_addr[3:2] == 2'd2) protect <= mem_wdata[17:0];
        end
    always @(posedge clk_i)
        nap <= napping ? nap - 32'd1 : mem_wdata;

    // ---- when it begins anew, and why
    wire        bad   = guarded || to_nothing;
    wire        fault = !cpu_rst && (trap || dog == 32'd0 || bad);
    wire [1:0]  why   = bad ? 2'd2 : trap ? 2'd1 : 2'd0;
    reg  [31:0] at;                         // the instruction that was fetched last
    always @(posedge clk_i) begin
        if (rst_i || hold || fault) rst_left <= 3'd7;
        else if (rst_left != 3'd0) rst_left <= rst_left - 3'd1;
        if (ask && mem_instr) at <= mem_addr;
    end

    // ---- mailbox
    wire        host = bus_valid_i && bus_addr_i >= `LINK_REG_CPU && bus_addr_i < `LINK_REG_CPU + 32;
    wire        box_ready;
    wire [31:0] box_data;
    cpu_mailbox #(.RamBytes(RamBytes), .Held(Firmware == "")) talk (
        .clk_i(clk_i), .rst_i(rst_i), .host_valid_i(host), .host_write_i(bus_write_i), .host_addr_i(bus_addr_i[4:0]),
        .host_data_i(bus_data_i), .cpu_valid_i(to_mailbox), .cpu_write_i(write), .cpu_addr_i(mem_addr[6:2]),
        .cpu_data_i(mem_wdata), .cpu_ready_o(box_ready), .data_o(box_data), .hold_o(hold), .pending_o(pending),
        .cpu_rst_i(cpu_rst), .fault_i(fault), .fault_cause_i(why), .fault_where_i(at));
    assign bus_done_o = host || (window && (!window_in || ram_done));
    assign bus_data_o = host ? box_data : window_in ? ram_data : 32'd0;

    // ---- streams
    wire [31:0] stream_data;
    cpu_streams streams (
        .clk_i(clk_i), .rst_i(rst_i || cpu_rst), .valid_i(to_streams), .write_i(mem_wstrb), .addr_i(mem_addr[5:2]), .data_i(mem_wdata),
        .data_o(stream_data), .take_o(take_o), .own_i(own_i), .valid_o(valid_o), .ready_i(ready_i), .data_bytes_o(data_o),
        .r_valid_i(r_valid_i), .r_ready_o(r_ready_o), .r_data_i(r_data_i), .cpl_valid_i(cpl_valid_i), .cpl_ready_o(cpl_ready_o),
        .cpl_i(cpl_i));

    // registers of the device: what they answer goes through a register, since it comes out of deep logic and goes into more
    reg         reg_done;
    reg  [31:0] reg_found;
    assign reg_valid_o = to_regs && !reg_done;
    always @(posedge clk_i) begin
        reg_done  <= reg_valid_o && reg_done_i && !rst_i;
        reg_found <= reg_data_i;
    end
    assign reg_write_o = write;
    assign reg_addr_o  = mem_addr[17:2];
    assign reg_data_o  = mem_wdata;

    assign mem_ready = (to_ram && ram_done) || own_ready || to_streams || box_ready || (to_regs && reg_done);
    always @*
        case (mem_addr[31:28])
            4'h0:    mem_rdata = ram_data;
            4'h4:    mem_rdata = box_data;
            4'h6:    mem_rdata = stream_data;
            4'h8:    mem_rdata = reg_found;
            default: mem_rdata = 32'd0;
        endcase

    wire        la_read, la_write, pcpi_valid, trace_valid;
    wire [31:0] la_addr, la_wdata, pcpi_insn, pcpi_rs1, pcpi_rs2, eoi;
    wire [3:0]  la_wstrb;
    wire [35:0] trace_data;
    picorv32 #(.COMPRESSED_ISA(1), .BARREL_SHIFTER(1), .ENABLE_COUNTERS64(0), .STACKADDR(RamBytes)) cpu (
        .clk(clk_i), .resetn(!cpu_rst), .trap(trap), .mem_valid(mem_valid), .mem_instr(mem_instr), .mem_ready(mem_ready),
        .mem_addr(mem_addr), .mem_wdata(mem_wdata), .mem_wstrb(mem_wstrb), .mem_rdata(mem_rdata), .mem_la_read(la_read),
        .mem_la_write(la_write), .mem_la_addr(la_addr), .mem_la_wdata(la_wdata), .mem_la_wstrb(la_wstrb),
        .pcpi_valid(pcpi_valid), .pcpi_insn(pcpi_insn), .pcpi_rs1(pcpi_rs1), .pcpi_rs2(pcpi_rs2), .pcpi_wr(1'b0),
        .pcpi_rd(32'd0), .pcpi_wait(1'b0), .pcpi_ready(1'b0), .irq(32'd0), .eoi(eoi), .trace_valid(trace_valid),
        .trace_data(trace_data));
    wire unused_ok = &{1'b0, la_read, la_write, la_addr, la_wdata, la_wstrb, pcpi_valid, pcpi_insn, pcpi_rs1, pcpi_rs2, eoi,
                       trace_valid, trace_data};
endmodule
`default_nettype wire
