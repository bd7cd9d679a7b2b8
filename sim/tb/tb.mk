# tb.mk - testbenches of the RTL: one Verilated top for each module and shape, one program a bench.
# SPDX-License-Identifier: Apache-2.0
#
# A top is NAME:MODULE:PARAMETER=VALUE:...; its class is VNAME. A bench sim/tb/tb_BENCH.cpp uses the tops of
# TB_TOPS_BENCH. Verilator's time is not what counts here, the C++ compiler's is: small shapes, -O1, loops left rolled.

TB      := $(SIM)/tb
space   := $() $()
TB_RTL  := rtl/files.f $(shell cat rtl/files.f)
TB_CORE_RTL := $(filter-out rtl/link/% rtl/soc/%,$(TB_RTL))

TB_BENCHES := fifo plane_gather weight_buffer walk_buffer act_buffer counters requant tile_drain sequencer header_loader group_scale \
              outliers beat_delay sign_tree link soc cpu cpu_memory board uart usb usb_phy sdram resident
TB_TOPS_fifo          := fifo_2x8:fifo:Depth=2:Width=8 fifo_8x37:fifo:Depth=8:Width=37
TB_TOPS_plane_gather  := plane_gather:plane_gather:Width=40 plane_gather_4:plane_gather:Width=40:Planes=4 \
                         plane_gather_8x1:plane_gather:Width=40:Extra=1:Ctl=8 plane_gather_8x3:plane_gather:Width=40:Extra=3:Ctl=8 \
                         plane_gather_4x4:plane_gather:Width=40:Planes=4:Extra=4:Ctl=8
TB_TOPS_walk_buffer   := walk_buffer:walk_buffer:Depth=8:Width=8
TB_TOPS_weight_buffer := weight_buffer:weight_buffer:Depth=8:Width=24
TB_TOPS_act_buffer    := act_buffer_16x16:act_buffer:Lanes=16:Depth=16 act_buffer_12x32:act_buffer:Lanes=12:Depth=32 \
                         act_buffer_256x4:act_buffer:Lanes=256:Depth=4
TB_TOPS_outliers      := outliers_8x16:outliers:Rows=8:Lanes=16:ScaleUnits=2:Depth=16 \
                         outliers_4x24:outliers:Rows=4:Lanes=24:ScaleUnits=4:Depth=32:DBits=30
TB_TOPS_sign_tree     := sign_tree_1x8:sign_tree:Leaves=1:Bits=8 sign_tree_2x8:sign_tree:Leaves=2:Bits=8 sign_tree_16x9:sign_tree:Leaves=16:Bits=9 \
                         sign_tree_1x8_1:sign_tree:Leaves=1:Bits=8:Held=1 sign_tree_16x9_4:sign_tree:Leaves=16:Bits=9:Held=4
TB_TOPS_beat_delay    := beat_delay_0x5:beat_delay:Stages=0:Width=5 beat_delay_1x40:beat_delay:Stages=1:Width=40 beat_delay_3x12:beat_delay:Stages=3:Width=12
TB_TOPS_counters      := counters:counters:Kind=2:Rows=16:Lanes=32:ScaleUnits=4:MaxN=8:XDepth=128:WDepth=64:ODepth=512
TB_TOPS_requant       := requant:requant
TB_TOPS_sequencer     := sequencer_one:sequencer:Lanes=32:MaxN=4:XDepth=32:AllPlanes=0:Requant=1:Outliers=1:Sel=1 \
                         sequencer_all:sequencer:Lanes=32:MaxN=4:XDepth=32:AllPlanes=1:Requant=0 \
                         sequencer_skip:sequencer:Lanes=32:MaxN=4:XDepth=32:AllPlanes=1:Window=1 \
                         sequencer_shift:sequencer:Lanes=32:MaxN=4:XDepth=32:AllPlanes=1:Window=3:Outliers=1
TB_TOPS_header_loader := header_loader_8x2:header_loader:Rows=8:ScaleUnits=2 header_loader_8x8:header_loader:Rows=8:ScaleUnits=8 \
                         header_loader_sel:header_loader:Rows=8:ScaleUnits=2:Sel=1 header_loader_late:header_loader:Rows=8:ScaleUnits=2:Late=1
TB_TOPS_group_scale   := group_scale_8x2:group_scale:Rows=8:ScaleUnits=2:MaxN=4 group_scale_8x8:group_scale:Rows=8:ScaleUnits=8:MaxN=4 \
                         group_scale_plain:group_scale:Rows=8:ScaleUnits=4:MaxN=4:Requant=0 \
                         group_scale_apart:group_scale:Rows=8:ScaleUnits=2:MaxN=4:Requant=0:Apart=1 \
                         group_scale_serial_1:group_scale:Rows=8:ScaleUnits=8:MaxN=4:Serial=1 \
                         group_scale_serial_2:group_scale:Rows=8:ScaleUnits=4:MaxN=4:Serial=2:DBits=36 \
                         group_scale_serial_3:group_scale:Rows=8:ScaleUnits=2:MaxN=4:Serial=3:DBits=40:Requant=0
TB_TOPS_tile_drain    := tile_drain_16x4:tile_drain:Rows=16:ScaleUnits=4 tile_drain_16x16:tile_drain:Rows=16:ScaleUnits=16 \
                         tile_drain_hold:tile_drain:Rows=16:ScaleUnits=4:Hold=1

# The link and what stands around the core. Small buffers, so that they fill.
TB_TOPS_link := link_rx:link_rx link_tx:link_tx link_fifo_16:link_fifo:Depth=16 link_fifo_64:link_fifo:Depth=64 \
                bytes_to_beat_2:bytes_to_beat:Bytes=2 bytes_to_beat_9:bytes_to_beat:Bytes=9 \
                beat_to_bytes_2:beat_to_bytes:Bytes=2 beat_to_bytes_12:beat_to_bytes:Bytes=12 \
                link_results:link_results:Bytes=16:Slots=4
TB_TOPS_uart := uart_rx_4:uart_rx:Divisor=4 uart_rx_87:uart_rx:Divisor=87 uart_tx_4:uart_tx:Divisor=4 uart_tx_87:uart_tx:Divisor=87 \
                accel_uart:accel_uart:Divisor=4:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:XDepth=64:WDepth=512:ClockHz=12345678
TB_TOPS_soc  := soc_mac:accel_soc:Kind=0:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:ODepth=16:CmdRoom=64:XRoom=256:WRoom=512:HRoom=64:ORoom=64:ResultBytes=64:ResultSlots=4 \
                soc_lut:accel_soc:Kind=2:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:XRoom=1024:WRoom=16384:HRoom=1024:ORoom=16:ResultBytes=256:ResultSlots=2 \
                soc_small:accel_soc:Small=1:Kind=2:Rows=8:Lanes=8:ScaleUnits=1:MaxN=4:XDepth=64:WDepth=512:XRoom=512:WRoom=1024:HRoom=512:ORoom=0:ResultBytes=256:ResultSlots=2
# A processor, with the firmware for its array.
TB_TOPS_cpu  := soc_cpu:accel_soc:Kind=0:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:ODepth=16:XRoom=256:WRoom=512:HRoom=64:ORoom=64:ResultBytes=64:Cpu=1:Watchdog=50000
TB_TOPS_cpu_memory := soc_cpu_memory:accel_soc:Memory=1:Kind=0:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:ODepth=16:XRoom=256:WRoom=512:HRoom=64:ORoom=64:ResultBytes=64:Cpu=1:Watchdog=50000 \
                      cpu_sdram:sdram:ClockHz=50000000:RowBits=5:ColBits=5:RetainMs=1:PowerUs=2
TB_EXTRA_cpu_memory := sim/sdram_chip.h
TB_TOPS_board := board_uart:board:ClockHz=48000000:Memory=1:Kind=0:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:ODepth=16:XRoom=256:WRoom=512:HRoom=64:ORoom=64:ResultBytes=64:Cpu=1
TB_EXTRA_board := sim/sdram_chip.h
TB_FIRMWARE  := 0:8:16:2
TB_HEX       := $(B)/firmware/0-8-16-2.hex
TB_VFLAGS_soc_cpu   := -Wno-lint -G'Firmware="$(abspath $(TB_HEX))"' $(B)/firmware/picorv32.v
TB_VFLAGS_soc_cpu_memory := $(TB_VFLAGS_soc_cpu)
TB_VFLAGS_board_uart := $(TB_VFLAGS_soc_cpu) rtl/soc/soc_parameters.v $(wildcard rtl/boards/*.v)
TB_CPPFLAGS_cpu     := -D'FIRMWARE="$(abspath $(TB_HEX))"'
TB_CPPFLAGS_cpu_memory := $(TB_CPPFLAGS_cpu)
TB_CPPFLAGS_board   := $(TB_CPPFLAGS_cpu)
$(TB)/soc_cpu/model.o $(TB)/soc_cpu_memory/model.o $(TB)/board_uart/model.o: $(B)/firmware/picorv32.v
$(TB)/board_uart/model.o: $(wildcard rtl/boards/*.v)
$(TB)/tb_cpu $(TB)/tb_cpu_memory $(TB)/tb_board: $(TB_HEX)

TB_EXTRA_usb := sim/usb_host.cpp sim/usb_host.h
TB_USB_SHAPE := Millisecond=6000:Kind=0:Rows=8:Lanes=16:ScaleUnits=2:MaxN=4:XDepth=64:WDepth=256:ODepth=16:XRoom=1024:HRoom=1024:ORoom=64:ResultBytes=256
TB_TOPS_usb  := usb_mac:accel_usb:$(TB_USB_SHAPE) usb_full:accel_usb:HighSpeed=0:$(TB_USB_SHAPE)
TB_TOPS_usb_phy  := usb_pins:accel_usb_fs:$(TB_USB_SHAPE) usb_ulpi_high:accel_ulpi:$(TB_USB_SHAPE) usb_ulpi_full:accel_ulpi:HighSpeed=0:$(TB_USB_SHAPE)
TB_EXTRA_usb_phy := $(TB_EXTRA_usb)

# External memory. Few rows and columns, so that all are used; the last one is a real chip.
TB_TOPS_sdram := sdram_50:sdram:ClockHz=50000000:RowBits=5:ColBits=5:Cas=2:Inverted=1:RetainMs=1:PowerUs=2 \
                 sdram_100:sdram:ClockHz=100000000:RowBits=5:ColBits=6:Cas=3:RetainMs=1:PowerUs=2 \
                 sdram_133:sdram:ClockHz=133000000:RowBits=6:ColBits=5:Cas=3:Inverted=1:RetainMs=1:PowerUs=2 \
                 sdram_full:sdram:ClockHz=50000000:Inverted=1
TB_EXTRA_sdram := sim/sdram_chip.h
TB_TOPS_resident := resident:resident:WWords=3:HWords=1:OWords=4:WDepth=16:HDepth=16:ODepth=32 \
                    resident_sdram:sdram:ClockHz=50000000:RowBits=5:ColBits=5:Inverted=1:RetainMs=1:PowerUs=2
TB_EXTRA_resident := sim/sdram_chip.h

# Stream decoders. lint-rtl reads these tops, too.
TB_DECODERS := $(patsubst sim/tb/tb_%.cpp,%,$(wildcard sim/tb/tb_decode_*.cpp sim/tb/tb_bf16_block.cpp sim/tb/tb_code_planes.cpp))
TB_BENCHES  += $(TB_DECODERS)
TB_TOPS_decode_dfloat11 := decode_dfloat11_32:decode_dfloat11:MaxLen=32 decode_dfloat11_12:decode_dfloat11:MaxLen=12
TB_TOPS_bf16_block      := bf16_block_1:bf16_block:Lanes=1 bf16_block_8:bf16_block:Lanes=8
TB_TOPS_decode_codebook := decode_codebook_4:decode_codebook:Rows=4:Lanes=8:Bits=4 decode_codebook_3:decode_codebook:Rows=2:Lanes=32:Bits=3
TB_TOPS_decode_spqr     := decode_spqr:decode_spqr
TB_TOPS_decode_fp6      := decode_fp6_8x0:decode_fp6:Lanes=8:Split=0 decode_fp6_16x1:decode_fp6:Lanes=16:Split=1
TB_TOPS_code_planes     := code_planes_mac:code_planes:Width=64:Bits=8:Chunk=16 \
                           code_planes_lut:code_planes:Width=64:Bits=8:PlaneMajor=1:Offset=1:Cell=2:Chunk=16 \
                           code_planes_lut4:code_planes:Width=128:Bits=2:PlaneMajor=1:Offset=1:Cell=4:Chunk=8 \
                           code_planes_bitserial:code_planes:Width=64:Bits=3:PlaneMajor=1:Offset=1:Chunk=32
TB_TOPS_decode_qmoe     := decode_qmoe_32:decode_qmoe:Lanes=32 decode_qmoe_64:decode_qmoe:Lanes=64
LINT_TOPS := $(foreach b,$(TB_DECODERS),$(TB_TOPS_$b)) \
             small:accel_soc:Small=1:Requant=0:ORoom=0:Kind=2:Rows=4:Lanes=8:ScaleUnits=1:XDepth=512:WDepth=512 \
             uart:accel_uart:Kind=2:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512:CmdRoom=16 \
             usb:accel_usb:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512 usb_full:accel_usb:HighSpeed=0:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512 \
             usb_fs:accel_usb_fs:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512 ulpi:accel_ulpi:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512 \
             sdram:sdram sdram_100:sdram:ClockHz=100000000:Cas=3:RowBits=4:ColBits=10:RetainMs=1 \
             memory:accel_soc:Memory=1:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512 memory_odd:accel_soc:Memory=1:Kind=11:Rows=4:Lanes=8:ScaleUnits=1:WDepth=512 \
             core_outliers:accel_core:Kind=0:Rows=4:Lanes=8:ScaleUnits=4:WDepth=512:ODepth=16

# A tile bench for each kind that the library can pack. The tile of kind K is module tile_K, unless TB_TILE_K names
# another, with parameters.
TB_KINDS   := $(shell sed -n 's/.*\.name = "\([a-z0-9_]*\)".*/\1/p' driver/src/pack/kinds.c)
TB_TILE_lut3 := tile_lut:TableK=3
TB_TILE_lut4 := tile_lut:TableK=4
TB_TILE_popcount := tile_popcount:ActPlanes=8
TB_TILE_bismo    := tile_popcount:ActPlanes=1
TB_DEFS_bismo    := -DCYCLE_MODEL=tb::ActPlaneCycles
# term's D holds E4M3; tile term24 is the narrow one.
TB_DBITS_term  := 36
TB_KIND_term24 := term
TB_DEFS_term   := -DCYCLE_MODEL=tb::FixedTerms
TB_DEFS_term24 := $(TB_DEFS_term)
TB_TILE_nm   := tile_nm:Block=4
TB_TILE_nm16 := tile_nm:Block=16
TB_DEFS_tclp := -D'CYCLE_MODEL=tb::WindowCycles<false>'
TB_SHAPES_tclp := 8:16:2 4:64:4 4:8:4
TB_DEFS_tcle := -D'CYCLE_MODEL=tb::WindowCycles<true>'
TB_SHAPES_tcle := 8:16:2 4:64:4 4:8:4
# Shapes of its tile that a kind is tested in: the pair test's first. ROWS:LANES:SCALE_UNITS; TB_SHAPES_K overrides.
TB_SHAPES  := 8:16:2 4:64:4
TB_SHAPES_tlut := 8:24:2 8:48:8
TB_CORES_tlut := 8:24:2:4:64:256
TB_SHAPES_lut3 := 8:24:2 4:48:4 4:96:4
TB_SHAPES_mac := 16:16:4 4:64:4 32:32:8
TB_SHAPES_bitserial := 16:16:4 4:64:4 32:32:8
TB_SHAPES_lut := 16:16:4 8:8:2 4:64:4 32:32:8
TB_SHAPES_dpred := 8:16:8 16:8:4 4:64:4
TB_DEFS_dpred := -DCYCLE_MODEL=tb::PrecisionCycles
TB_SHAPES_laconic := 8:16:8 4:8:1 4:64:4
TB_DEFS_laconic := -DCYCLE_MODEL='tb::TermPairCycles<2>'
# Tile benches beside those of the kinds: other parameters.
TB_VARIANTS := laconic_1 laconic_4 term24
TB_KIND_laconic_1 := laconic
TB_TILE_laconic_1 := tile_laconic:FifoDepth=1
TB_DEFS_laconic_1 := -DCYCLE_MODEL='tb::TermPairCycles<1>'
TB_SHAPES_laconic_1 := 4:8:4
TB_KIND_laconic_4 := laconic
TB_TILE_laconic_4 := tile_laconic:FifoDepth=4
TB_DEFS_laconic_4 := -DCYCLE_MODEL='tb::TermPairCycles<4>'
TB_SHAPES_laconic_4 := 4:16:4
tb_shapes   = $(or $(TB_SHAPES_$1),$(TB_SHAPES))
tb_pair     = $(firstword $(call tb_shapes,$1))
tb_dbits    = $(or $(TB_DBITS_$1),24)
tb_tile     = $(or $(TB_TILE_$1),tile_$(or $(TB_KIND_$1),$1))
tb_x        = $(subst $(space),x,$(wordlist 1,2,$(subst :, ,$1)))
define tb_kind
TB_BENCHES += tile_$1
TB_SRC_tile_$1 := sim/tb/tb_tile.cpp
TB_TOPS_tile_$1 := $(foreach s,$(call tb_shapes,$1),tile_$1_$(call tb_x,$s):$(call tb_tile,$1):Rows=$(call field,$s,1):Lanes=$(call field,$s,2):ScaleUnits=$(call field,$s,3)$(if $(TB_DBITS_$1),:DBits=$(TB_DBITS_$1)))
TB_CPPFLAGS_tile_$1 := -DKIND='"$(or $(TB_KIND_$1),$1)"' -DNAME='"tile_$1 "' -DD_BITS=$(call tb_dbits,$1) $(TB_DEFS_$1) $(foreach s,$(call tb_shapes,$1),-include Vtile_$1_$(call tb_x,$s).h) \
    -D'SHAPES(X)=$(foreach s,$(call tb_shapes,$1),X(Vtile_$1_$(call tb_x,$s),$(call field,$s,1),$(call field,$s,2),$(call field,$s,3)))' \
    -D'PAIR_SHAPE=pair_job<$(call field,$(call tb_pair,$1),1),$(call field,$(call tb_pair,$1),2),$(call field,$(call tb_pair,$1),3),Vtile_$1_$(call tb_x,$(call tb_pair,$1))>'
endef
$(foreach k,$(TB_KINDS) $(TB_VARIANTS),$(eval $(call tb_kind,$k)))

# The whole core of each kind.
TB_KIND_IDS  := $(shell sed -n 's/.*\.name = "\([a-z0-9_]*\)", \.id = \([0-9]*\).*/\1=\2/p' driver/src/pack/kinds.c)
# ROWS:LANES:SCALE_UNITS:MAX_N:X_DEPTH:W_DEPTH[:O_DEPTH] of the core, TB_CORES_K overrides
TB_CORES   := 8:16:2:4:64:256
TB_CORES_lut := 8:16:2:4:64:256 16:32:16:8:64:128:0
TB_CORES_mac := 8:16:2:4:64:256 16:32:16:8:64:128:0
TB_CORES_term := 8:16:2:8:256:256 8:32:8:8:128:256
# cycles that a slice of rows is scaled in, its groups with offsets or without
TB_CORE_DEFS_term := -D'SCALE_TURNS(asym)=((asym)?5:3)'
TB_CORES_lut3 := 8:24:2:4:64:256
tb_cores    = $(or $(TB_CORES_$1),$(TB_CORES))
tb_kind_id  = $(patsubst $1=%,%,$(filter $1=%,$(TB_KIND_IDS)))
define tb_core
TB_BENCHES += core_$1
TB_SRC_core_$1 := sim/tb/tb_core.cpp
TB_TOPS_core_$1 := $(foreach s,$(call tb_cores,$1),core_$1_$(call tb_x,$s):accel_core:Kind=$(call tb_kind_id,$1):Rows=$(call field,$s,1):Lanes=$(call field,$s,2):ScaleUnits=$(call field,$s,3):MaxN=$(call field,$s,4):XDepth=$(call field,$s,5):WDepth=$(call field,$s,6):ODepth=$(or $(call field,$s,7),16)$(if $(TB_DBITS_$1),:DBits=$(TB_DBITS_$1)))
TB_CPPFLAGS_core_$1 := -DKIND='"$1"' -DD_BITS=$(call tb_dbits,$1) $(TB_CORE_DEFS_$1) $(foreach s,$(call tb_cores,$1),-include Vcore_$1_$(call tb_x,$s).h) \
    -D'SHAPES(X)=$(foreach s,$(call tb_cores,$1),X(Vcore_$1_$(call tb_x,$s),$(call field,$s,1),$(call field,$s,2),$(call field,$s,3),$(call field,$s,4),$(call field,$s,5),$(or $(call field,$s,7),16)))'
endef
$(foreach k,$(TB_KINDS),$(eval $(call tb_core,$k)))

# The counters are set to values that no test could reach by counting.
TB_VFLAGS_counters    := --public-flat-rw

RTL_TESTS = $(TB_BENCHES:%=$(TB)/tb_%)

# Registers without reset and x begin as random bits, so that nothing depends on them being zero.
TB_VFLAGS   := -O3 --x-assign unique --x-initial unique --noassert --trace-fst
TB_CXXFLAGS := -std=c++17 -O1 -faligned-new -Idriver/include -Idriver/src -I$(B)/gen -Isim -Isim/tb -Itests/unit \
               -isystem $(SIM_ROOT)/include -isystem $(SIM_ROOT)/include/vltstd -DVM_TRACE=1 -DVM_TRACE_FST=1 \
               -DVM_COVERAGE=0 -DVM_SC=0
tb_name      = $(call field,$1,1)
tb_words     = $(subst :, ,$1)
tb_params    = $(addprefix -G,$(wordlist 3,$(words $(tb_words)),$(tb_words)))

define tb_top
$(TB)/$(tb_name)/model.o: $(if $(filter tile_% core_% accel_core,$(call field,$1,2)),$(TB_CORE_RTL),$(TB_RTL)) sim/tb/tb.mk
	$$(call say,VERILATE,$(tb_name))
	@rm -rf $$(@D) && mkdir -p $$(@D)
	$$(Q)$(VERILATOR) --cc $(TB_VFLAGS) $(TB_VFLAGS_$(tb_name)) -Mdir $$(@D) --prefix V$(tb_name) \
	    --top-module $(call field,$1,2) $(tb_params) -f rtl/files.f
	@cd $$(@D) && for f in *.cpp; do echo "#include \"$$$$f\""; done >all.cc
	$$(Q)$(CXX) $(TB_CXXFLAGS) -w -x c++ -c -o $$@ $$(@D)/all.cc
endef
$(foreach t,$(sort $(foreach b,$(TB_BENCHES),$(TB_TOPS_$b))),$(eval $(call tb_top,$t)))

tb_models = $(foreach t,$(TB_TOPS_$1),$(TB)/$(call field,$t,1)/model.o)
define tb_bench
$(TB)/tb_$1: $(or $(TB_SRC_$1),sim/tb/tb_$1.cpp) $(TB_EXTRA_$1) sim/tb/tb_no_sim.cpp $(wildcard sim/tb/*.h) sim/bad_wire.h $(tb_models) $(SIM)/runtime.a \
             $(B)/release/libaccel.a $(LINK_NUMBERS)
	$$(call say,CXX,$$@)
	$$(Q)$(CXX) $(TB_CXXFLAGS) -Wall -Wextra $(TB_CPPFLAGS_$1) $(foreach m,$(tb_models),-I$(dir $m)) -o $$@ \
	    $$(filter %.cpp %.o,$$^) -Wl,--start-group $(SIM)/runtime.a $(B)/release/libaccel.a -Wl,--end-group \
	    $(SIM_LIBS) $(USB_LIBS) -lpthread -lm
endef
$(foreach b,$(TB_BENCHES),$(eval $(call tb_bench,$b)))
