# cuda.mk - the cuda: backend: kernels by nvcc, the rest by the C compiler; its tests and its benchmark.
# SPDX-License-Identifier: Apache-2.0
#
# Only with CUDA=1. The runtime is linked statically: programs start on machines without CUDA, too.
#   NVCC, CUDA_HOME   where the toolkit is
#   CUDA_ARCHS        GPUs to compile for; the last goes in as PTX, too, for all later ones

NVCC       ?= $(or $(shell command -v nvcc 2>/dev/null),/usr/local/cuda/bin/nvcc)
CUDA_HOME  ?= $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
CUDA_ARCHS ?= 80 90
CUDA_SRC   := driver/src/backend/cuda

ifeq ($(wildcard $(NVCC)),)
$(error CUDA=1 needs nvcc (tested with CUDA 13.0); NVCC=PATH says where it is)
endif

CUDA_FLAGS  := -std=c++17 -O3 -Idriver/include -Idriver/src -Xcompiler -fPIC,-Wall,-Wextra \
               $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
               -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CUDA_WIDTHS := 1 2 3 4 5 6 7 8 9 10
CUDA_OBJS   := $(CUDA_WIDTHS:%=$(B)/cuda/bytes_%.o) $(CUDA_WIDTHS:%=$(B)/cuda/tiles_%.o) $(B)/cuda/planes.o $(B)/cuda/kernels.o $(B)/cuda/floats.o $(B)/cuda/token.o $(B)/cuda/layers.o
CUDA_LIBS   := -L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt -lstdc++
CUDA_CFLAGS := -DACCEL_WITH_CUDA -isystem $(CUDA_HOME)/include
CUDA_H      := $(wildcard $(CUDA_SRC)/*.h $(CUDA_SRC)/*.cuh) driver/src/internal.h driver/include/accel.h
LIB_SRC     += $(CUDA_SRC)/backend.c $(CUDA_SRC)/model.c $(CUDA_SRC)/nccl.c

$(B)/cuda/bytes_%.o: $(CUDA_SRC)/bytes.cu $(CUDA_H) $(CUDA_SRC)/cuda.mk
	$(call say,NVCC,$< width $*)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CUDA_FLAGS) -DACCEL_WIDTH=$* -c -o $@ $<
# warpgroup products are in no other GPU's instructions, not even as PTX
$(B)/cuda/tiles_%.o: $(CUDA_SRC)/tiles.cu $(CUDA_H) $(CUDA_SRC)/cuda.mk
	$(call say,NVCC,$< width $*)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(filter-out -gencode arch=%,$(CUDA_FLAGS)) -gencode arch=compute_90a,code=sm_90a -DACCEL_WIDTH=$* -c -o $@ $<
$(B)/cuda/%.o: $(CUDA_SRC)/%.cu $(CUDA_H) $(CUDA_SRC)/cuda.mk
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CUDA_FLAGS) -c -o $@ $<

# floats as on the host, where products and sums round by themselves
$(B)/cuda/floats.o $(B)/cuda/token.o $(B)/cuda/layers.o: CUDA_FLAGS += -fmad=false
$(B)/cuda/floats.o $(B)/cuda/token.o $(B)/cuda/layers.o: driver/src/fmath.h

CUDA_C_SRC := tests/cuda/test_cuda.c
$(B)/cuda/test_cuda: $(B)/release/tests/cuda/test_cuda.o $(B)/release/tests/unit/random_matrix.o \
                    $(B)/release/tests/unit/tiny_llama.o $(B)/release/tests/unit/gguf_writer.o $(B)/release/libaccel.a $(SIM_OBJS) $(CUDA_OBJS)
	$(call say,LD,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBS)
$(B)/cuda/bench_cuda: tests/cuda/bench_cuda.cu tests/cuda/bench.cuh $(CUDA_OBJS) $(CUDA_H)
	$(call say,NVCC,$<)
	$(Q)$(NVCC) $(CUDA_FLAGS) -o $@ $(filter %.cu %.o,$^) -ldl
$(B)/cuda/bench_model: tests/cuda/bench_model.cu tests/cuda/bench.cuh $(CUDA_OBJS) $(SIM_OBJS) $(B)/release/libaccel.a $(CUDA_H)
	$(call say,NVCC,$<)
	$(Q)$(NVCC) $(CUDA_FLAGS) -o $@ -Xlinker --start-group $(filter %.cu %.o %.a,$^) -Xlinker --end-group $(LIBS)

.PHONY: test-cuda bench-cuda
test-cuda: $(B)/cuda/test_cuda ## CUDA=1: every format on a GPU against cpu:, bit for bit
	@$(RUN_TESTS) --suite cuda $(B)/cuda/test_cuda

bench-cuda: $(B)/cuda/bench_cuda $(B)/cuda/bench_model ## CUDA=1: speed of the GPU's kernels and of a model beside that of its memory
	@$(B)/cuda/bench_cuda
	@$(B)/cuda/bench_model
