# firmware.mk - the processor that accel_cpu.v needs, and firmware for it. docs/firmware.md.
# SPDX-License-Identifier: Apache-2.0

RISCV    ?= riscv64-unknown-elf-
FIRMWARE := $(B)/firmware
# Its memory, and what the jobs of the self-test may take of that.
FIRMWARE_RAM     := 16384
FIRMWARE_VECTORS := 8192
FIRMWARE_CFLAGS  := -march=rv32ic -mabi=ilp32 -Os -std=c11 -ffunction-sections -fdata-sections -Wall -Wextra -Wconversion \
                    -Wshadow -Werror -Ifirmware -I$(B)/gen
FIRMWARE_C       := firmware/main.c firmware/selftest.c firmware/external.c
FIRMWARE_IN      := $(FIRMWARE_C) firmware/start.S firmware/device.h firmware/firmware.ld firmware/firmware.mk

# Pinned Verilog of the processor; only devices with one need it.
PICORV32 := $(FIRMWARE)/picorv32.v
$(PICORV32): firmware/requirements.txt
	$(call say,FETCH,$@)
	@rm -rf $(FIRMWARE)/venv && mkdir -p $(@D)
	$(Q)$(PYTHON) -m venv $(FIRMWARE)/venv
	$(Q)$(FIRMWARE)/venv/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	@cp $(FIRMWARE)/venv/lib/python*/site-packages/pythondata_cpu_picorv32/verilog/picorv32.v $@

# The golden model and the packer, without the simulator.
$(FIRMWARE)/vectors: firmware/vectors.c $(B)/release/libaccel.a
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -march=$(MARCH) $(BASE) -o $@ $^ -lpthread -lm

# $(call firmware,KIND:ROWS:LANES:SCALE_UNITS[:D_BITS]): firmware/ID.hex, for $readmemh, for an array of that kind and shape
firmware_id = $(subst :,-,$1)
define firmware
$(FIRMWARE)/$(call firmware_id,$1).c: $(FIRMWARE)/vectors firmware/firmware.mk
	$$(Q)$(FIRMWARE)/vectors $1 $(FIRMWARE_VECTORS) >$$@
$(FIRMWARE)/$(call firmware_id,$1).elf: $(FIRMWARE)/$(call firmware_id,$1).c $(FIRMWARE_IN) $(LINK_NUMBERS)
	$$(call say,RISCV,$$@)
	$$(Q)$(RISCV)gcc --specs=picolibc.specs $(FIRMWARE_CFLAGS) -nostartfiles -Wl,--gc-sections -Wl,--no-warn-rwx-segments -Wl,--defsym=RAM_BYTES=$(FIRMWARE_RAM) \
	    -T firmware/firmware.ld -o $$@ firmware/start.S $(FIRMWARE_C) $$<
$(FIRMWARE)/$(call firmware_id,$1).hex: $(FIRMWARE)/$(call firmware_id,$1).elf
	$$(Q)$(RISCV)objcopy -O binary $$< $$(@:.hex=.bin)
	$$(Q)od -An -v -tx4 -w4 --endian=little $$(@:.hex=.bin) | tr -d ' ' >$$@
endef

# make firmware FIRMWARE_FOR=0:8:32:4 prints where it is.
FIRMWARE_FOR ?= $(subst $() $(),:,$(wordlist 1,4,$(subst :, ,$(BOARD_MODEL))))
FIRMWARE_ALL := $(sort $(FIRMWARE_FOR) $(subst -,:,$(USB_ID)) $(TB_FIRMWARE) $(BOARD_FIRMWARE))
$(foreach f,$(FIRMWARE_ALL),$(eval $(call firmware,$f)))
.PHONY: firmware
firmware: $(FIRMWARE)/$(call firmware_id,$(FIRMWARE_FOR)).hex ## the firmware for a device with a processor (FIRMWARE_FOR)
	@$(RISCV)size $(<:.hex=.elf)
	@echo '  $<'

# accel_soc.v with a processor, whose ports are all that the linters see of it.
lint-rtl: $(B)/lint/cpu
CPU_LINT_RTL  = $(RTL) rtl/soc/lint/picorv32.v
CPU_LINT     := Kind=0 Rows=4 Lanes=8 ScaleUnits=4 WDepth=512 Cpu=1
$(B)/lint/cpu: $(RTL) $(RTL_LIST) rtl/soc/lint/picorv32.v firmware/firmware.mk
	$(call say,LINT,cpu)
	@mkdir -p $(@D)
	$(Q)verilator --lint-only -Wall --top-module accel_soc $(addprefix -G,$(CPU_LINT)) $(CPU_LINT_RTL)
	$(Q)iverilog -g2005 -Wall -s accel_soc $(addprefix -Paccel_soc.,$(CPU_LINT)) -o $@.vvp $(CPU_LINT_RTL) 2>$@.log && ! [ -s $@.log ] || \
	    { cat $@.log; exit 1; }
	$(Q)yosys -q -p 'read_verilog $(CPU_LINT_RTL)' \
	    -p 'hierarchy -check -top accel_soc $(foreach p,$(CPU_LINT),-chparam $(subst =, ,$p))' \
	    -p 'proc; opt_clean; check -assert' >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@
