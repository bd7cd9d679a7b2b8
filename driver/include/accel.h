/* accel.h - libaccel: exact mixed-precision matrix multiplies on an accelerator.
 * SPDX-License-Identifier: Apache-2.0
 *
 * One job does one thing: it multiplies a quantized weight matrix W[rows x cols] by n columns of
 * int8 activations and returns exact integers. In use:
 *
 *     accel_dev *dev;  accel_matrix *mat;  accel_weights *w;  struct accel_error err;
 *     accel_open("sim:", NULL, &dev, &err);                        // or "cpu:", "sim:pe=mac,rows=16"
 *     accel_matrix_quantize(ACCEL_INT(4), 32, rows, cols, values, &mat, &err);
 *     accel_load(dev, mat, &w, &err);                              // packs for this device's kind
 *     struct accel_job job = { .weights = w, .x = x, .n = 1, .x_stride = cols,
 *                              .out = ACCEL_OUT_ACC, .y = acc, .y_stride = rows };
 *     accel_run(dev, &job, NULL, &err);
 *
 * The numeric contract (what every backend returns, bit for bit). Row m of W is cut into groups of
 * `group` consecutive columns. With k the integer a weight code decodes to, x the activations:
 *
 *     D[m,n,g] = sum over i in g of k[m,i] * x[n,i]
 *     S[n,g]   = sum over i in g of x[n,i]
 *     acc[m,n] = sum over g of ( sc[m,g] * D[m,n,g] + oc[m,g] * S[n,g] ) << sh[m,g]
 *              + ( sc_o[m] * sum over outliers j of row m of k_j * x[n,col_j] ) << sh_o[m]
 *
 *   x    signed 8 bit            k    decoded code, within ACCEL_K_MAX (see enum accel_coding)
 *   sc   signed 12 bit           sh   0..15             oc   signed 20 bit
 *   k_j  signed 16 bit, the sum of |k_j| of a row <= 65535; sc_o, sh_o as sc, sh
 *   acc  exact, two's complement, at most 48 bits: nothing rounds or saturates inside
 *
 * accel_matrix_* refuse a matrix (ACCEL_E_OVERFLOW) unless they can prove from its codes and
 * scales that no activations can make acc leave 48 bits.
 *
 * Errors: every call that can fail returns ACCEL_OK or a negative ACCEL_E_* and, where it takes a
 * struct accel_error, writes a sentence that names what was wrong and what to do about it (err may
 * be NULL). On failure outputs keep their old bytes unless a call says otherwise. Nothing prints,
 * exits or aborts; there are no globals.
 *
 * Threads: calls on different devices never share state. Calls on one device may come from any
 * thread: each takes the device's lock. A matrix is immutable once made and may be shared.
 * Freeing an object while another thread uses it is the caller's error.
 */
#ifndef ACCEL_H
#define ACCEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ACCEL_VERSION_MAJOR 0
#define ACCEL_VERSION_MINOR 1
#define ACCEL_VERSION_PATCH 0
#define ACCEL_API_VERSION 1            /**< raised whenever a struct or a meaning changes */

/** The API version the linked library was built with; compare with ACCEL_API_VERSION. */
unsigned accel_api_version(void);
/** "0.1.0"; static storage. */
const char *accel_version_string(void);

/* ------------------------------------------------------------------------------- errors */

enum accel_status {
    ACCEL_OK            = 0,
    ACCEL_E_ARG         = -1,   /**< NULL where a value is needed, or a value out of range */
    ACCEL_E_NOMEM       = -2,   /**< out of memory; nothing was changed */
    ACCEL_E_IO          = -3,   /**< the operating system refused to open, map or write a file */
    ACCEL_E_URI         = -4,   /**< unknown device scheme, parameter or value in a device URI */
    ACCEL_E_CORRUPT     = -5,   /**< a file is truncated, corrupt or contradicts itself */
    ACCEL_E_UNSUPPORTED = -6,   /**< well-formed, but this build or device cannot do it */
    ACCEL_E_CONTEXT     = -7,   /**< more tokens than the model's context holds */
    ACCEL_E_TIMEOUT     = -8,   /**< the deadline passed; the job was stopped */
    ACCEL_E_CANCELLED   = -9,   /**< accel_cancel() took the job out of the queue */
    ACCEL_E_QUEUE       = -10,  /**< the job queue is full: wait for a ticket first */
    ACCEL_E_OVERFLOW    = -11,  /**< 48 bits cannot be proved to hold this matrix's results */
    ACCEL_E_DEVICE      = -12,  /**< the device broke the protocol or reported a fault */
    ACCEL_E_GONE        = -13,  /**< the device is closed or unplugged; only close is left */
    ACCEL_E_MISMATCH    = -14   /**< two devices disagree (accel verify) */
};

#define ACCEL_ERROR_TEXT 256
/** What went wrong, in words. text is always terminated; "" after success. */
struct accel_error {
    int  status;
    char text[ACCEL_ERROR_TEXT];
};

/** One sentence for a status code; static storage, never NULL. */
const char *accel_strerror(int status);

/* ------------------------------------------------------------------------------- formats */

/** How a weight code decodes to the integer k. The low byte is the width in bits (1..8). */
enum accel_coding {
    ACCEL_CODING_SIGNED   = 0x100,  /**< two's complement: -2^(n-1) .. 2^(n-1)-1 */
    ACCEL_CODING_UNSIGNED = 0x200,  /**< 0 .. 2^n-1; the zero point lives in oc */
    ACCEL_CODING_BIPOLAR  = 0x300,  /**< 2u - (2^n-1): every odd number, no zero */
    ACCEL_CODING_TERNARY  = 0x400,  /**< codes 0, 1, 2 are -1, 0, +1; 3 is illegal */
    ACCEL_CODING_FLOAT    = 0x500,  /**< minifloat: sign, e exponent bits, m mantissa bits, no
                                         infinity: k = value / the least positive value */
    ACCEL_CODING_TABLE    = 0x600   /**< one of the named tables below */
};
typedef uint32_t accel_format;
#define ACCEL_INT(bits)  ((accel_format)(ACCEL_CODING_SIGNED   | (unsigned)(bits)))
#define ACCEL_UINT(bits) ((accel_format)(ACCEL_CODING_UNSIGNED | (unsigned)(bits)))
#define ACCEL_BIP(bits)  ((accel_format)(ACCEL_CODING_BIPOLAR  | (unsigned)(bits)))
#define ACCEL_TERNARY    ((accel_format)(ACCEL_CODING_TERNARY  | 2u))
/** ExMy, e 1..4 exponent bits and m >= 0 mantissa bits, 3..8 bits with the sign. E2M1 is MXFP4's
 * element, E2M3 and E3M2 those of MXFP6 (E3M2 also FP6's), E4M3 that of MXFP8: its codes 0x7F and
 * 0xFF are NaN and illegal. Negative zero decodes to 0. E5M2 would need k of 32 bits: refused. */
#define ACCEL_FLOAT(e, m) \
    ((accel_format)(ACCEL_CODING_FLOAT | (unsigned)(e) << 16 | (1u + (unsigned)(e) + (unsigned)(m))))
#define ACCEL_TABLE(id, bits) ((accel_format)(ACCEL_CODING_TABLE | (unsigned)(id) << 16 | (bits)))
/** BitMoD: sign-magnitude floats whose negative zero is a special value chosen per group by sel:
 * k = +3, -3, +6, -6 (FP3), +10, -10, +16, -16 (FP4, k = 2 * value). */
#define ACCEL_FP3       ACCEL_TABLE(0, 3u)
#define ACCEL_FP4       ACCEL_TABLE(1, 4u)
/** ANT: signed powers of two (0, 1..64), signed flint (0, 1, 2, 3, 4, 6, 8, 16), unsigned flint, and ANT4, where
 * sel says for each group: 0 INT4, 1 POT4, 2 FLINT4, 3 E2M1. */
#define ACCEL_POT4      ACCEL_TABLE(2, 4u)
#define ACCEL_FLINT4    ACCEL_TABLE(3, 4u)
#define ACCEL_UFLINT4   ACCEL_TABLE(4, 4u)
#define ACCEL_ANT4      ACCEL_TABLE(5, 4u)
/** OliVe: pairs of columns (2i, 2i+1); code 8 marks the victim (k = 0), whose neighbour is then an outlier
 * (abfloat E2M1: 12..96 for INT4 normals, 24..192 for FLINT4 normals in OLIVE4F). */
#define ACCEL_OLIVE4    ACCEL_TABLE(6, 4u)
#define ACCEL_OLIVE4F   ACCEL_TABLE(7, 4u)
/** A table of 8 or 16 int8 values for each row (SqueezeLLM). */
#define ACCEL_CODEBOOK3 ACCEL_TABLE(8, 3u)
#define ACCEL_CODEBOOK4 ACCEL_TABLE(9, 4u)
/** Largest |k| of any format: E4M3's 448 * 2^9. */
#define ACCEL_K_MAX     229376

/** Width of a code in bits, 1..8. */
unsigned accel_format_bits(accel_format f);
/** 1 if f is one of the formats above, else 0. */
int accel_format_valid(accel_format f);
/** Decode one code to k where the code alone decides: codes are taken modulo 2^bits, illegal ones decode to 0, and
 * so do special values, outliers and codebooks. accel_matrix_k knows those. */
int accel_format_decode(accel_format f, unsigned code);
/** k of a code in its context.
 * @param sel       the group's selector 0..3 (FP3, FP4, ANT4; else ignored)
 * @param pair      the code of the other column of the pair (OLIVE4, OLIVE4F; else ignored)
 * @param codebook  the row's table (CODEBOOK3, CODEBOOK4; else ignored) */
int accel_format_decode_in(accel_format f, unsigned code, unsigned sel, unsigned pair,
                           const int8_t *codebook);
/** 1 if groups of this format have a selector (FP3, FP4, ANT4). sc is then -512..511: the group header holds sel in
 * the other two bits. */
int accel_format_has_sel(accel_format f);
/** NULL, or why a format one might ask for is none of ours ("e5m2", "abfloat8"), as the end of a sentence.
 * Static storage. */
const char *accel_format_refusal(const char *name);
/** "int4", "uint4", "bipolar2", "ternary", "e2m1", "fp3", "olive4"; "?" if invalid. Static storage. */
const char *accel_format_name(accel_format f);
/** The format of that name, or of another name for it: mxfp4, mxfp6e2m3, mxfp6e3m2, fp6, mxfp8, mxint8.
 * @return ACCEL_OK or ACCEL_E_ARG; accel_format_refusal may say why. */
int accel_format_parse(const char *name, accel_format *f);
/** The i-th of all formats, counting from 0; 0 (no format) behind the last. */
accel_format accel_format_at(unsigned i);

/* ------------------------------------------------------------------------------- matrices */

/** A quantized matrix: codes, group scales and row scales, independent of any device. */
typedef struct accel_matrix accel_matrix;

/** Single weights beside the codes of a matrix, to which they add: sparse, row by row. */
struct accel_outliers {
    const uint32_t *first; /**< [rows + 1]: row m's are first[m] .. first[m + 1] - 1; first[0] = 0 */
    const uint32_t *col;   /**< the entries' columns, ascending within a row, < cols */
    const int16_t  *k;     /**< the entries; sum of |k| of a row <= 65535 */
    const int16_t  *sc;    /**< [rows], -2048..2047 */
    const uint8_t  *sh;    /**< [rows], 0..15; NULL: all 0 */
};

/** Raw parts of a matrix; see accel_matrix_from_codes. groups = ceil(cols / group). */
struct accel_matrix_parts {
    accel_format   format;
    uint32_t       rows, cols;
    uint32_t       group;      /**< 16, 32, 48, 64, 96, 128, 256, or 0: one group per row */
    const uint8_t *codes;      /**< [rows][cols], one legal code a byte */
    const int16_t *sc;         /**< [rows][groups], -2048..2047; -512..511 if accel_format_has_sel */
    const uint8_t *sh;         /**< [rows][groups], 0..15; NULL: all 0 */
    const int32_t *oc;         /**< [rows][groups], -2^19..2^19-1; NULL: symmetric, all 0 */
    const float   *row_scale;  /**< [rows], finite; NULL: all 1 */
    const uint8_t *sel;        /**< [rows][groups], 0..3, if accel_format_has_sel (NULL: all 0); else NULL */
    const int8_t  *codebook;   /**< [rows][2^bits], for CODEBOOK3 and CODEBOOK4; else NULL */
    const struct accel_outliers *outliers; /**< NULL: none */
};

/** Make a matrix from exact parts (copied).
 * @return ACCEL_OK, _E_ARG (names the row and column), _E_OVERFLOW, _E_NOMEM */
int accel_matrix_from_codes(const struct accel_matrix_parts *parts, accel_matrix **mat,
                            struct accel_error *err);

/** Quantize real weights, row by row: s = max|w| / max|k| and the nearest value, halfway the one with
 * the even code; UINT formats s = (max-min)/(2^n-1). docs/contract.md has the rest: selectors, outliers
 * and codebooks are chosen by least squared error. Group scales become (sc, sh) of one row scale.
 * @param group as in accel_matrix_parts
 * @param w [rows][cols], all finite
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (a negative weight for ACCEL_UFLINT4), _E_OVERFLOW,
 *         _E_NOMEM */
int accel_matrix_quantize(accel_format f, uint32_t group, uint32_t rows, uint32_t cols,
                          const float *w, accel_matrix **mat, struct accel_error *err);

/** The same after taking the largest weights out of each row: they become outliers, the rest is
 * quantized as if they were 0. k is what they differ by from their codes' values, rounded half to
 * even in units of the row scale times the least power of two in which |k| <= 32767 and the sum of
 * |k| <= 65535; for that the row scale is made finer as far as sh allows.
 * @param fraction 0..1 of all weights; rows 0..m-1 have floor(m * fraction * cols) together
 * @return ACCEL_OK, _E_ARG, _E_OVERFLOW, _E_NOMEM */
int accel_matrix_quantize_outliers(accel_format f, uint32_t group, uint32_t rows, uint32_t cols,
                                   const float *w, double fraction, accel_matrix **mat,
                                   struct accel_error *err);

/** Convert a tensor of ggml blocks without requantizing its codes. The codes and mins are taken as
 * they are; block scales that do not fit (sc, sh) exactly are rounded and the error is reported
 * in accel_matrix_info.scale_error.
 * @param ggml_type  Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4 TQ1_0 TQ2_0 Q2_K Q3_K Q4_K Q5_K Q6_K by
 *                   ggml's id; F32, F16, BF16 are quantized to `fallback` with group `fallback_group`
 * @param data, size all rows, one after the other: rows * row bytes, checked
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (type, fallback), _E_CORRUPT (size, non-finite scale),
 *         _E_OVERFLOW, _E_NOMEM */
int accel_matrix_from_ggml(uint32_t ggml_type, const void *data, size_t size, uint32_t rows,
                           uint32_t cols, accel_format fallback, uint32_t fallback_group,
                           accel_matrix **mat, struct accel_error *err);

/** Stack matrices of one width and one format on top of each other: one job for, say, Q, K and V.
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (formats, groups or widths differ), _E_NOMEM */
int accel_matrix_stack(const accel_matrix *const *mats, uint32_t count, accel_matrix **mat,
                       struct accel_error *err);

struct accel_matrix_info {
    accel_format format;
    uint32_t rows, cols, group;   /**< group 0: one group per row */
    int      asymmetric;          /**< 1 if any oc is not 0: the group header is longer */
    unsigned acc_bits;            /**< bits the proof needs for |acc|, sign included; <= 48 */
    double   scale_error;         /**< max over groups of |scale kept - scale given| / the row's largest */
    uint32_t outliers;            /**< in all rows */
};
void accel_matrix_get_info(const accel_matrix *mat, struct accel_matrix_info *info);

/** The integer k that row m, column c of the matrix decodes to, in its context; 0 if out of range. */
int accel_matrix_k(const accel_matrix *mat, uint32_t m, uint32_t c);

/** The real value of row m, column c as the device sees it:
 * row_scale * ((sc * k + oc) * 2^sh + sc_o * k_o * 2^sh_o), in double; 0 if out of range. For tests
 * and error reports. */
double accel_matrix_value(const accel_matrix *mat, uint32_t m, uint32_t c);
void accel_matrix_free(accel_matrix *mat);   /**< NULL is fine */

/* ------------------------------------------------------------------------------- devices */

typedef struct accel_dev accel_dev;

enum accel_log_level { ACCEL_LOG_ERROR, ACCEL_LOG_WARN, ACCEL_LOG_INFO, ACCEL_LOG_DEBUG };
/** Called from inside library calls, under the device's lock: must not call back into it. */
typedef void accel_log_fn(void *user, enum accel_log_level level, const char *text);

struct accel_options {
    accel_log_fn *log;       /**< NULL: silent */
    void         *log_user;
    unsigned      api_version; /**< set to ACCEL_API_VERSION; 0 is taken as the same */
};

/** Open a device. URIs:
 *     cpu:                          golden model in C
 *     sim:                          Verilated RTL in this process, default kind and shape
 *     sim:pe=lut,rows=32,lanes=32   a built-in kind (mac, bitserial, lut) and shape
 *     sim:...,trace=FILE            also write an FST waveform (slow, large)
 *     cuda:0                        an NVIDIA GPU by its number, in builds with CUDA=1
 *     serial:/dev/ttyUSB0           a board at a serial port, or accel-board's pseudo terminal
 *     serial:PATH,baud=115200       at another rate than 3000000
 *     serial:PATH,record=FILE       also write down what crosses the link; usb:record=FILE likewise
 *     usb:, usb:serial=N, port=1-2  the board at USB; one by its serial number or port, if there are more
 * @return ACCEL_OK, _E_URI (lists what is built in), _E_IO (trace file; port missing, busy or not
 *         permitted), _E_NOMEM, _E_ARG, _E_UNSUPPORTED (no GPU, no driver, or one too old; another
 *         protocol), _E_GONE (nothing answers), _E_DEVICE */
int accel_open(const char *uri, const struct accel_options *options, accel_dev **dev,
               struct accel_error *err);
/** Stops and forgets all jobs. Weights stay valid for accel_unload only. NULL is fine. */
void accel_close(accel_dev *dev);

/** After ACCEL_E_GONE: look for the device again, where it was, and go on. Loaded weights stay loaded; jobs
 * that ended with ACCEL_E_GONE may be submitted again.
 * @return ACCEL_OK, _E_MISMATCH (another kind or shape is there now), _E_UNSUPPORTED (a device that
 *         cannot be unplugged), else as accel_open, and the device stays gone */
int accel_reopen(accel_dev *dev, struct accel_error *err);

struct accel_caps {
    char     uri[96];         /**< canonical, opens the same device again */
    char     backend[16];     /**< "cpu", "sim", "serial", "usb", "cuda" */
    char     pe[16];          /**< PE kind; "golden" for cpu, "gpu" for cuda */
    uint32_t rows, lanes;     /**< array shape; 1, 1 for cpu */
    uint32_t scale_units;     /**< rows whose group results are scaled in one cycle; 0 for cpu */
    uint32_t max_n;           /**< columns in one job */
    uint32_t max_steps;       /**< activation buffer: n * steps of a column may not exceed it; a step
                                   holds lanes values, and every group begins a new one */
    uint32_t acc_bits;        /**< 48 */
    uint32_t queue;           /**< jobs that may be in flight */
    uint64_t clock_hz;        /**< device time base for deadlines; 0: wall time */
};
void accel_get_caps(const accel_dev *dev, struct accel_caps *caps);

/** Call fn once for each device that can be opened on this machine: URI and one-line description.
 * Stops early if fn returns non-zero, and returns that. */
int accel_list(int (*fn)(void *user, const char *uri, const char *what), void *user);

/** Registers of a device behind a link, 32 bits each: docs/link.md lists them.
 * @param count 1 .. 32
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (the device is behind no link), _E_GONE, _E_IO */
int accel_peek(accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
               struct accel_error *err);
int accel_poke(accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err);

/** Open only the registers of a device behind a link. No session begins, so what runs there goes on; a board at USB
 * answers even if its streams are stuck or another process uses it. For accel_peek, accel_poke, accel_reset,
 * accel_get_usb_status and accel_close; accel_load refuses (_E_UNSUPPORTED), and of caps only uri and backend are set.
 * @return as accel_open; _E_UNSUPPORTED if the device is behind no link */
int accel_open_registers(const char *uri, const struct accel_options *options, accel_dev **dev,
                         struct accel_error *err);

/** Stop whatever the device does, for whomever, and empty its buffers. A job of another process that this
 * cuts off begins again there.
 * @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (the device is behind no link), _E_GONE, _E_IO */
int accel_reset(accel_dev *dev, struct accel_error *err);

/** What accel_replay did. */
struct accel_replay_stats {
    uint64_t sessions, jobs;    /**< begun, completed */
    uint64_t sent, compared;    /**< bytes of the streams to the device, of results from it */
    int      truncated;         /**< the recording ends in the middle; what was there has been replayed */
};
/** Send a device what a recording (record=FILE in the URI of a board) sent to another one, and compare what both
 * answered, byte for byte, whenever and in whatever pieces it comes.
 * @return ACCEL_OK, _E_MISMATCH (err names the first difference), _E_CORRUPT (no recording, or damaged),
 *         _E_UNSUPPORTED (no link, a core of another kind or shape, a newer format), _E_ARG, _E_NOMEM, _E_GONE, _E_IO */
int accel_replay(accel_dev *dev, const void *recording, size_t size, struct accel_replay_stats *done,
                 struct accel_error *err);

/** What a board at USB says of itself on endpoint 0, whatever its streams do. */
struct accel_usb_status {
    uint32_t protocol_min, protocol_max, clock_hz, build;
    int      core_busy, high_speed;
    int      out_halted, in_halted;
    int      has_room;          /**< takes a packet from the host */
    int      has_packet;        /**< has one for the host */
    uint32_t received, sent;    /**< packets, since power-on, modulo 2^32 */
};
/** @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (the device is not at USB), _E_GONE, _E_IO */
int accel_get_usb_status(accel_dev *dev, struct accel_usb_status *status, struct accel_error *err);

/** 1 if the device can run this format, else 0 and a reason in err. */
int accel_can_run(const accel_dev *dev, accel_format f, uint32_t group, struct accel_error *err);

/* ------------------------------------------------------------------------------- weights */

/** A matrix packed for one device's PE kind and shape. Keeps no reference to the matrix. */
typedef struct accel_weights accel_weights;

/** @return ACCEL_OK, _E_UNSUPPORTED (names kind, format, reason), _E_NOMEM, _E_ARG */
int accel_load(accel_dev *dev, const accel_matrix *mat, accel_weights **w, struct accel_error *err);
void accel_unload(accel_weights *w);   /**< NULL is fine; also after accel_close */

struct accel_weights_info {
    uint32_t rows, cols;
    uint64_t code_bits;      /**< streamed per use: weight codes, padding included */
    uint64_t header_bits;    /**< streamed per use: group headers (codebooks count here, too) */
};
void accel_weights_get_info(const accel_weights *w, struct accel_weights_info *info);

/* ------------------------------------------------------------------------------- jobs */

enum accel_out {
    ACCEL_OUT_ACC,    /**< y is int64_t: acc */
    ACCEL_OUT_F32,    /**< y is float: (float)((double)acc * row_scale[m] * col_scale[n]) */
    ACCEL_OUT_I8      /**< y is int8_t: accel_requantize(acc, requant_mul[m], requant_shift[m]) */
};

/** A job. The arrays must stay valid and unchanged until the job's ticket was waited for. */
struct accel_job {
    const accel_weights *weights;
    const int8_t   *x;             /**< column i begins at x + i * x_stride; cols values */
    uint32_t        n;             /**< columns, 1 .. caps.max_n */
    size_t          x_stride;      /**< in values, >= cols */
    enum accel_out  out;
    void           *y;             /**< y[i * y_stride + m]; written only on ACCEL_OK */
    size_t          y_stride;      /**< in values, >= rows */
    const float    *col_scale;     /**< [n], for ACCEL_OUT_F32; NULL: all 1 */
    const uint32_t *requant_mul;   /**< [rows], 0 .. 2^31-1, for ACCEL_OUT_I8 */
    const uint8_t  *requant_shift; /**< [rows], 0..62, for ACCEL_OUT_I8 */
    uint64_t        deadline_ns;   /**< device time from the job's start (wall time if clock_hz is 0); 0: none */
};

typedef uint64_t accel_ticket;     /**< 0 is never a ticket */

/** What one job cost, from the device's own counters. All 0 on cpu except macs. */
struct accel_stats {
    uint64_t macs;            /**< rows * cols * n, padding not counted */
    uint64_t cycles;          /**< start of the job to its completion */
    uint64_t array_beats;     /**< cycles in which the array worked */
    uint64_t weight_beats;    /**< code words taken from the weight stream */
    uint64_t header_beats, act_beats, result_beats;
    uint64_t stall_weights;   /**< cycles the array waited for codes */
    uint64_t stall_acts;      /**< ... for activations */
    uint64_t stall_results;   /**< ... for group scaling or for the reader of results */
    uint64_t jobs;
    uint64_t ideal_cycles;    /**< max(array_beats, weight_beats), job by job: no array could be faster */
};
/** Best possible cycles over measured ones: ideal_cycles / cycles, 0 if none. */
double accel_utilisation(const struct accel_stats *stats);

/** Queue a job. @return ACCEL_OK, _E_ARG, _E_UNSUPPORTED (n or cols beyond caps), _E_QUEUE,
 * _E_GONE, _E_NOMEM */
int accel_submit(accel_dev *dev, const struct accel_job *job, accel_ticket *ticket,
                 struct accel_error *err);
/** Wait for a job (jobs run in submission order); forgets the ticket whatever the outcome, except
 * when timeout_ns (wall time, 0: no limit) passes first: then the job keeps its ticket and its
 * place. stats may be NULL.
 * @return the job's own outcome: ACCEL_OK, _E_TIMEOUT, _E_CANCELLED, _E_DEVICE, _E_NOMEM;
 *         _E_ARG for an unknown ticket; _E_GONE */
int accel_wait(accel_dev *dev, accel_ticket ticket, uint64_t timeout_ns, struct accel_stats *stats,
               struct accel_error *err);
/** Take a job that has not begun out of the queue; its wait then returns ACCEL_E_CANCELLED.
 * @return ACCEL_OK, _E_ARG (unknown or already finished) */
int accel_cancel(accel_dev *dev, accel_ticket ticket);
/** accel_submit and accel_wait in one. */
int accel_run(accel_dev *dev, const struct accel_job *job, struct accel_stats *stats,
              struct accel_error *err);

/** Sums over all finished jobs since open or the last reset. */
void accel_get_totals(const accel_dev *dev, struct accel_stats *totals);
void accel_reset_totals(accel_dev *dev);

/** Dyadic requantization: clamp(round_half_even(acc * mul / 2^shift), -128, 127).
 * mul 0..2^31-1, shift 0..62, |acc| < 2^47. The RTL's requant.v returns the same. */
int8_t accel_requantize(int64_t acc, uint32_t mul, unsigned shift);

/** Per-column activation quantizer: scale = max|v| / 127, q = round_half_even(v / scale), all 0 and
 * scale 0 for a zero vector. Division and rounding in float32. @return scale */
float accel_quantize_activations(const float *v, size_t count, int8_t *q);

#ifdef __cplusplus
}
#endif
#endif
