// soc_parameters.v - the parameters of accel_soc.v: declared, and handed on by all that stands between it and a board's pins.
// SPDX-License-Identifier: Apache-2.0
//
// Kind Rows Lanes ScaleUnits MaxN XDepth WDepth Requant ODepth DBits: of the core, see accel_core.v
// CmdRoom XRoom WRoom HRoom ORoom: bytes of the streams' buffers, powers of two, 16..65536
// ResultBytes: of results in one frame, power of two, 16..4096; ResultSlots: frames kept until acknowledged, power of two, 2..64
// ClockHz: of clk_i, what the register says; Build: likewise
// Cpu: 1: with a processor, see accel_cpu.v for Firmware, CpuRam (its RamBytes) and Watchdog
`define SOC_PARAMETERS(hz, w_room) \
    parameter Kind = 2, parameter Rows = 32, parameter Lanes = 32, parameter ScaleUnits = 8, parameter MaxN = 16, \
    parameter XDepth = 1024, parameter WDepth = 128, parameter Requant = 1, parameter ODepth = 0, parameter DBits = 24, \
    parameter CmdRoom = 64, parameter XRoom = 2048, parameter WRoom = w_room, parameter HRoom = 2048, parameter ORoom = 512, \
    parameter ResultBytes = 512, parameter ResultSlots = 4, parameter ClockHz = hz, parameter Build = 0, parameter Cpu = 0, \
    parameter Firmware = "", parameter CpuRam = 16384, parameter Watchdog = ClockHz / 10
`define SOC_PASSED \
    .Kind(Kind), .Rows(Rows), .Lanes(Lanes), .ScaleUnits(ScaleUnits), .MaxN(MaxN), .XDepth(XDepth), .WDepth(WDepth), \
    .Requant(Requant), .ODepth(ODepth), .DBits(DBits), .CmdRoom(CmdRoom), .XRoom(XRoom), .WRoom(WRoom), .HRoom(HRoom), \
    .ORoom(ORoom), .ResultBytes(ResultBytes), .ResultSlots(ResultSlots), .ClockHz(ClockHz), .Build(Build), .Cpu(Cpu), \
    .Firmware(Firmware), .CpuRam(CpuRam), .Watchdog(Watchdog)
