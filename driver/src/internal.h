/* internal.h - what the library's own files share: backends, packed streams, error helper.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INTERNAL_H
#define ACCEL_INTERNAL_H

#include "accel.h"

#include <stdbool.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Write status and a formatted sentence to err (may be NULL); returns status. */
int accel_fail(struct accel_error *err, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* else it follows paths on which accel_fail succeeds */
#define accel_fail(err, status, ...) ((accel_fail)(err, status, __VA_ARGS__), (status))
#endif

/* What err (may be NULL) holds after success; public calls begin with it. */
static inline void accel_no_error(struct accel_error *err)
{
    if (err) {
        err->status = ACCEL_OK;
        err->text[0] = '\0';
    }
}

/* a * b, or false if it does not fit. */
static inline bool mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* a * b * c zeroed elements, at least one; NULL if they do not fit. */
static inline void *new_array(size_t a, size_t b, size_t c, size_t size)
{
    size_t n;
    if (!mul_size(a, b, &n) || !mul_size(n, c, &n))
        return NULL;
    return calloc(n ? n : 1, size);
}

/* splitmix64: every seed, 0 too, starts a good sequence. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* ---- quantized matrix (matrix.c) ---- */

/* Weights beside the codes (outliers.c). Row m's are first[m] .. first[m + 1] - 1. */
struct outliers {
    uint32_t *first; /* [rows + 1] */
    uint32_t *col;   /* ascending within a row */
    int16_t *k;
    int16_t *sc; /* [rows] */
    uint8_t *sh; /* [rows] */
};

struct accel_matrix {
    accel_format format;
    uint32_t rows, cols;
    uint32_t group;  /* 0: one group per row */
    uint32_t groups; /* per row */
    bool asymmetric;
    unsigned acc_bits;
    double scale_error;
    uint8_t *codes;            /* [rows][cols] */
    int16_t *sc;               /* [rows][groups] */
    uint8_t *sh;               /* [rows][groups] */
    int32_t *oc;               /* [rows][groups] */
    float *row_scale;          /* [rows] */
    uint8_t *sel;              /* [rows][groups]; NULL if the format has none */
    int8_t *codebook;          /* [rows][2^bits]; NULL if the format has none */
    struct outliers *outliers; /* NULL: none */
};

/* ---- packed streams (pack/pack.c and one file a kind) ---- */

struct pack_shape {
    uint32_t rows, lanes, scale_units;
    uint32_t d_bits;  /* of D; 0: 24 */
    uint32_t o_depth; /* outliers in one chunk; 0: the array has no unit for them */
};

/* A matrix as docs/core.md's streams, for one kind and shape. */
struct packed {
    uint32_t row_tiles, steps, chunk_steps, planes;
    uint32_t coding;    /* as in the command: 0 signed, 1 unsigned, 2 bipolar, 3 table */
    uint32_t table;     /* which one */
    bool has_sel;       /* headers carry group selectors */
    bool asymmetric;    /* 3 header words instead of 1 */
    bool row_header;    /* one header a row tile */
    uint32_t group_pad; /* steps * lanes elements; each group padded to chunk_steps * lanes */
    uint32_t beat_bits; /* of the code stream */
    size_t beat_bytes;  /* of one beat in codes: beat_bits / 8, rounded up */
    size_t code_beats;
    uint8_t *codes;      /* bit i of a beat is bit i % 8 of its byte i / 8 */
    size_t header_beats; /* of scale_units 16-bit words, without requantization words */
    uint16_t *headers;
    uint32_t outlier_chunks; /* of a row tile; 0: no outliers */
    size_t outlier_beats;
    uint64_t *outliers;
    struct resident *resident; /* its place in a device's memory (link/resident.h), or NULL */
};

struct pack_chunk; /* pack/pack.h */
struct beats;

struct pe_kind {
    const char *name;
    uint32_t id;           /* accel_core's Kind */
    bool step_major;       /* the planes of a step come together, not those of a chunk */
    bool offset_binary;    /* signed codes go out with the top bit inverted */
    bool threes;           /* lanes are three times a power of two */
    unsigned word_planes;  /* planes that the tile takes at once; 0: one */
    unsigned extra_planes; /* planes of selectors or positions in front of a word's code */
    unsigned
        window; /* steps a word takes activations from, and says how many to go on; 0: words go with steps */
    unsigned plane_num, plane_den; /* bits of a plane = rows * lanes * num / den; 0: 1 */
    unsigned
        block; /* lanes that share slots for weights that are not zero; 0: each lane has its own */
    unsigned keeps; /* weights in a block of a row that may be other than zero; 0: all */
    /* Recode one plane's row of lanes in place (bits 0..lanes-1 of row), or NULL. */
    void (*recode)(uint8_t *row, uint32_t lanes);
    /* Pack one chunk of a row tile, or NULL: as planes. */
    int (*pack_chunk)(const struct pack_chunk *c, struct beats *out, struct accel_error *err);
    /* Whether the tile decodes this float or table format itself; NULL: none. Others go out as the integers k. */
    bool (*native)(accel_format f, unsigned d_bits);
    /* NULL if any format runs; else says why one does not, or NULL if it does. */
    const char *(*refuse)(accel_format f);
};
extern const struct pe_kind accel_kinds[];
extern const size_t accel_kind_count;
const struct pe_kind *accel_find_kind(const char *name); /* or NULL */

/* How a format travels to a kind's tile. */
struct pack_wire {
    unsigned planes, coding, table;
    bool has_sel, expanded; /* expanded: as the integers k */
};
/* NULL, or why tiles of this kind with D of d_bits cannot run it. */
const char *pack_wire_format(const struct pe_kind *kind, unsigned d_bits, accel_format f,
                             struct pack_wire *wire);
uint32_t pack_plane_bits(const struct pe_kind *kind, const struct pack_shape *shape);

int pack_matrix(const struct pe_kind *kind, const struct pack_shape *shape,
                const struct accel_matrix *mat, struct packed *out, struct accel_error *err);
void pack_free(struct packed *p);
/* Lay one column of cols activations out as steps * lanes bytes, padding every group. */
void pack_activations(const struct packed *p, uint32_t lanes, uint32_t cols, uint32_t group,
                      const int8_t *x, int8_t *out);

/* ---- activations ---- */

/* accel_quantize_activations with other widths: scale = max|v| / 7, and max|v| / 32639 for values of 256 * q + low. */
float quantize_activations_4(const float *v, size_t count, int8_t *q);
float quantize_activations_16(const float *v, size_t count, int8_t *q, int8_t *low);

/* ---- backends ---- */

struct accel_weights {
    struct accel_dev *dev; /* used for its backend's unload only */
    uint32_t rows, cols, group;
    float *row_scale;
    void *priv; /* the backend's own */
    void (*free_priv)(void *priv);
    struct accel_weights_info info;
};

/* One job as a backend sees it: everything checked, results as exact acc or requantized int8. */
struct backend_job {
    const struct accel_weights *weights;
    const int8_t *x; /* column i at x + i * x_stride */
    uint32_t n;
    size_t x_stride;
    int64_t *acc; /* [n][rows], when requant_mul is NULL */
    int8_t *i8;   /* [n][rows], else */
    const uint32_t *requant_mul;
    const uint8_t *requant_shift;
    uint64_t deadline_ns;
};

/* Tokens for a whole model on a device. */
struct accel_llm;
struct backend_tokens {
    const float *x; /* [n][embd], their embeddings */
    uint32_t n, pos;
    uint32_t want; /* logits of the last ones */
    float *logits; /* [want][vocab] */
    uint64_t deadline_ns;
};

struct accel_backend {
    const char *scheme; /* "cpu" */
    const char *what;   /* one line for accel_list; NULL: only what list() names can be opened */
    /* params: the URI after "scheme:". Sets dev->priv and dev->caps. */
    int (*open)(struct accel_dev *dev, const char *params, struct accel_error *err);
    void (*close)(struct accel_dev *dev);
    /* Fills w->priv, w->free_priv and w->info from the matrix; may keep nothing of it. */
    int (*load)(struct accel_dev *dev, const struct accel_matrix *mat, struct accel_weights *w,
                struct accel_error *err);
    /* Runs one job to its end. Returns _OK, _E_TIMEOUT, _E_DEVICE, _E_NOMEM, _E_GONE. */
    int (*run)(struct accel_dev *dev, const struct backend_job *job, struct accel_stats *stats,
               struct accel_error *err);
    int (*can_run)(const struct accel_dev *dev, accel_format f, uint32_t group,
                   struct accel_error *err);
    /* Other URIs than "scheme:" to list; NULL: none. */
    int (*list)(int (*fn)(void *user, const char *uri, const char *what), void *user);
    /* Registers behind a link: read `count` of them, or write one. NULL: there are none. */
    int (*peek)(struct accel_dev *dev, uint16_t word, uint16_t count, uint32_t *values,
                struct accel_error *err);
    int (*poke)(struct accel_dev *dev, uint16_t word, uint32_t value, struct accel_error *err);
    /* Stop whatever runs and empty the buffers. NULL if peek is. */
    int (*reset)(struct accel_dev *dev, struct accel_error *err);
    /* As accel_replay. NULL if peek is. */
    int (*replay)(struct accel_dev *dev, const void *bytes, size_t count,
                  struct accel_replay_stats *done, struct accel_error *err);
    /* NULL: not at USB. */
    int (*usb_status)(struct accel_dev *dev, struct accel_usb_status *status,
                      struct accel_error *err);
    /* Find a device that was gone again; it must be the same kind and shape. NULL: it is never gone. */
    int (*reopen)(struct accel_dev *dev, struct accel_error *err);
    /* Whole models: what is no matrix goes to the device, too. NULL, or _E_UNSUPPORTED: it stays on the host.
     * llm has its matrices loaded, and outlives the model. */
    int (*open_model)(struct accel_dev *dev, const struct accel_llm *llm, void **model,
                      struct accel_error *err);
    /* As run; also _E_CORRUPT: values that are not finite. */
    int (*run_model)(struct accel_dev *dev, void *model, const struct backend_tokens *tokens,
                     struct accel_stats *stats, struct accel_error *err);
    void (*close_model)(void *model);
};
extern const struct accel_backend accel_backend_cpu;
extern const struct accel_backend accel_backend_serial;
extern const struct accel_backend accel_backend_usb;  /* where libusb is */
extern const struct accel_backend accel_backend_sim;  /* in sim/, linked when built with it */
extern const struct accel_backend accel_backend_cuda; /* in backend/cuda/, with CUDA=1 */

struct accel_dev {
    const struct accel_backend *backend;
    void *priv;
    struct accel_caps caps;
    struct accel_options options;
    bool registers_only; /* set before the backend opens it: no session, no jobs */
    bool no_requant;     /* it has no requantizers: device.c rounds, by accel_requantize */
    struct accel_stats totals;
    struct device_queue *queue; /* device.c: lock and jobs in flight */
};

/* device.c: the backend's functions for whole models, in turn with jobs. */
int device_open_model(struct accel_dev *dev, const struct accel_llm *llm, void **model,
                      struct accel_error *err);
int device_run_model(struct accel_dev *dev, void *model, const struct backend_tokens *tokens,
                     struct accel_error *err);
void device_close_model(struct accel_dev *dev, void *model); /* NULL is fine */

void accel_log(const struct accel_dev *dev, enum accel_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Walks "a=1,b=2" parameters. Returns 1 and the pair, 0 at the end, negative ACCEL_E_URI. Values
 * end at the next comma. Buffers must hold 256 bytes. */
int uri_next_param(const char **cursor, char *key, char *value, struct accel_error *err);
/* A parameter's value as a number from 1 to 100000000. @return ACCEL_OK, _E_URI */
int uri_number(const char *scheme, const char *key, const char *value, uint32_t *v,
               struct accel_error *err);

#ifdef __cplusplus
}
#endif
#endif
