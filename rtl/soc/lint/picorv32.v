// picorv32.v - ports of the processor, which is fetched and not ours, for those who look at accel_cpu.v alone.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module picorv32 #(
    parameter [0:0]  COMPRESSED_ISA    = 0,
    parameter [0:0]  BARREL_SHIFTER    = 0,
    parameter [0:0]  ENABLE_COUNTERS64 = 1,
    parameter [31:0] STACKADDR         = 32'hffffffff
) (
    input  wire        clk,
    input  wire        resetn,
    output reg         trap,
    output reg         mem_valid,
    output reg         mem_instr,
    input  wire        mem_ready,
    output reg  [31:0] mem_addr,
    output reg  [31:0] mem_wdata,
    output reg  [3:0]  mem_wstrb,
    input  wire [31:0] mem_rdata,
    output wire        mem_la_read,
    output wire        mem_la_write,
    output wire [31:0] mem_la_addr,
    output wire [31:0] mem_la_wdata,
    output wire [3:0]  mem_la_wstrb,
    output reg         pcpi_valid,
    output reg  [31:0] pcpi_insn,
    output wire [31:0] pcpi_rs1,
    output wire [31:0] pcpi_rs2,
    input  wire        pcpi_wr,
    input  wire [31:0] pcpi_rd,
    input  wire        pcpi_wait,
    input  wire        pcpi_ready,
    input  wire [31:0] irq,
    output reg  [31:0] eoi,
    output reg         trace_valid,
    output reg  [35:0] trace_data
);
    // every output depends on the clock and on inputs: a linter must not find constants, or nothing behind them
    wire [31:0] any = mem_rdata ^ pcpi_rd ^ irq ^ STACKADDR ^ {28'd0, mem_ready, pcpi_wr, pcpi_wait, pcpi_ready};
    assign {mem_la_read, mem_la_write, mem_la_wstrb, mem_la_addr, mem_la_wdata, pcpi_rs1, pcpi_rs2} =
        {any[5:0], {4{any}}};
    always @(posedge clk)
        if (!resetn) {trap, mem_valid, mem_instr, mem_wstrb, pcpi_valid, trace_valid} <= 9'd0;
        else {trap, mem_valid, mem_instr, mem_wstrb, pcpi_valid, trace_valid} <= any[8:0] ^ {6'd0, COMPRESSED_ISA,
                                                                                             BARREL_SHIFTER, ENABLE_COUNTERS64};
    always @(posedge clk) {mem_addr, mem_wdata, pcpi_insn, eoi, trace_data} <= {any, any, any, any, 4'd0, any};
endmodule
`default_nettype wire
