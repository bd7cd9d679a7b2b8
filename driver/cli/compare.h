/* compare.h - the jobs that accel compare runs: real weights by real activations.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_COMPARE_H
#define ACCEL_COMPARE_H

#include "cli.h"

enum {
    COMPARE_N = 16,     /* columns of a layer's activations */
    COMPARE_ROWS = 256, /* at most: a cell takes seconds, not minutes */
    COMPARE_COLS = 768,
    COMPARE_LAYERS = 8
};

enum prune { PRUNE_NONE, PRUNE_HALF, PRUNE_2_OF_4, PRUNES };

/* Weights of one linear layer and the activations that a forward pass gave it. */
struct compare_layer {
    char name[32];
    uint32_t rows, cols, n;
    float *w[PRUNES]; /* [rows][cols]; as they are, and pruned by magnitude */
    int8_t *x;        /* [n][cols] */
};

struct workload {
    const char *name, *source; /* "llm", and the file it comes from */
    uint32_t group;            /* what its weights share a scale by; 0: a row */
    uint32_t count;
    struct compare_layer layer[COMPARE_LAYERS];
};

/* Run the model's text on cpu: and keep what the feed-forward matrices of its middle layer saw.
 * Returns an exit code; on failure a message is printed. */
int workload_from_model(const char *path, const char *text, uint32_t group, struct workload *w);
/* Read recorded layers, docs/compare.md. */
int workload_from_file(const char *path, struct workload *w);
/* Keep only the first layer's first rows, columns and activations. */
void workload_cut(struct workload *w, uint32_t rows, uint32_t cols, uint32_t n);
void workload_free(struct workload *w);

#endif
