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
