# start.S - from reset to main.
# SPDX-License-Identifier: Apache-2.0
    .section .start, "ax"
    .globl start
start:
    la sp, __stack
    li t0, 0x50000000
    la t1, __protect
    sw t1, 8(t0)
    la t0, __data_image
    la t1, __data
    la t2, __data_end
1:  bgeu t1, t2, 2f
    lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    j 1b
2:  la t1, __bss
    la t2, __bss_end
3:  bgeu t1, t2, 4f
    sw zero, 0(t1)
    addi t1, t1, 4
    j 3b
4:  call main
5:  j 5b
