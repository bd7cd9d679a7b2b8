// soc_parameters.v - the parameters of accel_soc.v: declared, and handed on by all that stands between it and a board's pins.
// SPDX-License-Identifier: Apache-2.0
//
// Kind Rows Lanes ScaleUnits MaxN XDepth WDepth Requant ODepth DBits Small: of the core, see accel_core.v
// CmdRoom XRoom WRoom HRoom ORoom: bytes of the streams' buffers, powers of two, 16..65536
// ResultBytes: of results in one frame, power of two, 16..4096; ResultSlots: frames kept until acknowledged, power of two, 2..64
// ClockHz: of clk_i, what the register says; Build: likewise
// Cpu: 1: with a processor, see accel_cpu.v for Firmware, CpuRam (its RamBytes) and Watchdog
// Memory: 1: external memory at the ports mem_*, see resident.v
`define SOC_PARAMETERS(hz, w_room) \
    parameter Kind = 2, parameter Rows = 32, parameter Lanes = 32, parameter ScaleUnits = 8, parameter MaxN = 16, \
    parameter XDepth = 1024, parameter WDepth = 128, parameter Requant = 1, parameter ODepth = 0, parameter DBits = 24, parameter Small = 0, \
    parameter CmdRoom = 64, parameter XRoom = 2048, parameter WRoom = w_room, parameter HRoom = 2048, parameter ORoom = 512, \
    parameter ResultBytes = 512, parameter ResultSlots = 4, parameter ClockHz = hz, parameter Build = 0, parameter Cpu = 0, \
    parameter Firmware = "", parameter CpuRam = 16384, parameter Watchdog = ClockHz / 10, parameter Memory = 0
`define SOC_PASSED \
    .Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN), .XDepth(XDepth), .WDepth(WDepth), \
    .Requant(Requant), .ODepth(ODepth), .DBits(DBits), .Small(Small), .CmdRoom(CmdRoom), .XRoom(XRoom), .WRoom(WRoom), .HRoom(HRoom), \
    .ORoom(ORoom), .ResultBytes(ResultBytes), .ResultSlots(ResultSlots), .ClockHz(ClockHz), .Build(Build), .Cpu(Cpu), \
    .Firmware(Firmware), .CpuRam(CpuRam), .Watchdog(Watchdog), .Memory(Memory)
// The memory port, from accel_soc.v's ports of the same names through what stands around it: to the memory {mem_valid_o,
// mem_write_o, mem_addr_o, mem_data_o, mem_strobe_o}, from it {mem_bytes_i, mem_ready_i, mem_take_i, mem_valid_i, mem_data_i}
`define SOC_MEMORY_PORTS output wire [46:0] mem_o, input wire [50:0] mem_i
`define SOC_MEMORY_PASSED .mem_o(mem_o), .mem_i(mem_i)
`define SOC_MEMORY_SPLIT \
    .mem_valid_o(mem_o[46]), .mem_write_o(mem_o[45]), .mem_addr_o(mem_o[44:17]), .mem_data_o(mem_o[16:1]), .mem_strobe_o(mem_o[0]), \
    .mem_bytes_i(mem_i[50:19]), .mem_ready_i(mem_i[18]), .mem_take_i(mem_i[17]), .mem_valid_i(mem_i[16]), .mem_data_i(mem_i[15:0])
