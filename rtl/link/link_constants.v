// link_constants.v - numbers of the link's protocol that host and device share; docs/link.md says what they mean.
// The Makefile makes the C header from this file: one name and one decimal number a line.
// SPDX-License-Identifier: Apache-2.0
`define LINK_PROTOCOL_MIN 1
`define LINK_PROTOCOL_MAX 1

// frame
`define LINK_MAGIC_0 195
`define LINK_MAGIC_1 90
`define LINK_HEADER_BYTES 16
`define LINK_CHECKED_BYTES 14
`define LINK_CRC_BYTES 4
`define LINK_MAX_PAYLOAD 4096
`define LINK_WINDOW 8

// control frames
`define LINK_TYPE_RESET 1
`define LINK_TYPE_READY 2
`define LINK_TYPE_ACK 3
`define LINK_TYPE_PEEK 4
`define LINK_TYPE_PEEKED 5
`define LINK_TYPE_POKE 6
`define LINK_TYPE_POKED 7
// data frames to the device: 16 + stream
`define LINK_TYPE_STREAM 16
`define LINK_STREAM_COMMAND 0
`define LINK_STREAM_X 1
`define LINK_STREAM_W 2
`define LINK_STREAM_H 3
`define LINK_STREAM_O 4
`define LINK_STREAMS 5
// data frames to the host
`define LINK_TYPE_RESULT 32
`define LINK_TYPE_COMPLETION 33

// flags
`define LINK_FLAG_POLL 1
`define LINK_FLAG_NAK 2

// registers, by word
`define LINK_REG_CORE 0
`define LINK_REG_MAGIC 64
`define LINK_REG_PROTOCOL 65
`define LINK_REG_SESSION 66
`define LINK_REG_SCRATCH 67
`define LINK_REG_CLOCK 68
`define LINK_REG_BUILD 69
`define LINK_REG_RESULT 70
`define LINK_REG_ROOM 72
`define LINK_REG_GOOD 80
`define LINK_REG_BAD_HEADER 81
`define LINK_REG_BAD_CRC 82
`define LINK_REG_OUT_OF_ORDER 83
`define LINK_REG_NO_ROOM 84
`define LINK_REG_SENT 85
`define LINK_REG_REWOUND 86
// those from here on lie outside the link
`define LINK_REG_FAR 96
// the processor's mailbox: 32 words, of which the last 16 are the error log
`define LINK_REG_CPU 96
`define LINK_REG_CPU_CONTROL 97
`define LINK_REG_CPU_RESETS 98
`define LINK_REG_CPU_CAUSE 99
`define LINK_REG_CPU_WHERE 100
`define LINK_REG_CPU_VERSION 101
`define LINK_REG_CPU_STATE 102
`define LINK_REG_CPU_HEARTBEAT 103
`define LINK_REG_CPU_COMMAND 104
`define LINK_REG_CPU_ARGUMENT 105
`define LINK_REG_CPU_ANSWERED 106
`define LINK_REG_CPU_STATUS 107
`define LINK_REG_CPU_ANSWER 108
`define LINK_REG_CPU_ERRORS 109
`define LINK_REG_CPU_PROTOCOL 110
`define LINK_REG_CPU_VECTORS 111
`define LINK_REG_CPU_LOG 112
`define LINK_CPU_LOG_WORDS 16
// its memory, while it is held
`define LINK_REG_CPU_RAM 16384
// why it began anew last
`define LINK_CPU_CAUSE_POWER 0
`define LINK_CPU_CAUSE_HOST 1
`define LINK_CPU_CAUSE_WATCHDOG 2
`define LINK_CPU_CAUSE_TRAP 3
`define LINK_CPU_CAUSE_ADDRESS 4
// what the firmware is about
`define LINK_CPU_BOOTING 1
`define LINK_CPU_READY 2
`define LINK_CPU_BUSY 3
// commands: bits 15:0; bits 31:16 are a number that changes with each
`define LINK_CPU_PING 1
`define LINK_CPU_SELFTEST 2
`define LINK_CPU_MEMTEST 3
`define LINK_CPU_CLEAR_LOG 4
`define LINK_CPU_HANG 5
`define LINK_CPU_CRASH 6
`define LINK_CPU_READ 7
`define LINK_CPU_EXTERNAL 8
// what is wrong with the external memory, bits 31:28 of the answer
`define LINK_CPU_DATA_LINES 1
`define LINK_CPU_ADDRESS_BITS 2
`define LINK_CPU_CELLS 3
// how they end
`define LINK_CPU_DONE 0
`define LINK_CPU_UNKNOWN 1
`define LINK_CPU_LOST 2
`define LINK_CPU_CORE_IN_USE 3
`define LINK_CPU_WRONG 4
`define LINK_CPU_STUCK 5
`define LINK_CPU_NOTHING 6
// versions of the mailbox that the firmware knows
`define LINK_CPU_PROTOCOL 65537
`define LINK_REGS 128
// external memory
`define LINK_REG_MEM_MAGIC 128
`define LINK_REG_MEM_BYTES 129
`define LINK_REG_MEM_TAG 130
`define LINK_REG_MEM_STATE 131
`define LINK_REG_MEM_PAGE 132
`define LINK_REG_MEM_READ 133
`define LINK_REG_MEM_WRITTEN 134
`define LINK_REG_MEM_WINDOW 32768
// what the register LINK_REG_MEM_MAGIC reads: "MEMO"
`define LINK_MEM_WORD 1330464077
// commands for it, and what completions say
`define LINK_OP_STORE 16
`define LINK_OP_FETCH 17
`define LINK_STATUS_ILLEGAL 1
`define LINK_STATUS_MEMORY 3
// USB, for tests until there is a number of our own
`define LINK_USB_VENDOR 4617
`define LINK_USB_PRODUCT 1
`define LINK_USB_ENDPOINT 1
// vendor requests of endpoint 0
`define LINK_USB_INFO 1
`define LINK_USB_STATUS 2
`define LINK_USB_RESET_STREAM 3
`define LINK_USB_ABORT 4
`define LINK_USB_PEEK 5
`define LINK_USB_POKE 6
`define LINK_USB_MS_OS 32
// what the register LINK_REG_MAGIC reads: "LINK"
`define LINK_MAGIC_WORD 1263421772
// words that one PEEK may ask for
`define LINK_PEEK_WORDS 32
