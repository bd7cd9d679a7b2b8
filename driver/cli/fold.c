/* fold.c - accel fold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "accel_quant.h"

#include <stdlib.h>
#include <string.h>

struct report {
    struct json *json; /* or NULL */
    bool rotate;       /* nothing to tell of a tensor */
};

static int show(void *user, const struct accel_fold_stage *s)
{
    const struct report *r = user;
    progress_clear();
    if (r->json && !r->rotate) {
        json_object(r->json, NULL);
        json_string(r->json, "name", s->name);
        json_number(r->json, "alpha", s->alpha);
        json_number(r->json, "before", s->before);
        json_number(r->json, "after", s->after);
        json_end_object(r->json);
    } else if (!r->rotate) {
        printf("%-28s %5.2f %11.4e %11.4e %6.1f %%\n", s->name, s->alpha, s->before, s->after,
               s->before > 0 ? 100.0 * s->after / s->before : 100.0);
    }
    progress("%u of %u", s->done, s->total);
    return output_broken();
}

int run_fold(const struct options *o)
{
    struct json j = { .out = stdout };
    struct accel_error err = { 0 };
    char *text = NULL;
    size_t text_len = 0;
    bool smooth = o->method && strcmp(o->method, "smoothquant") == 0;
    int rc = check_rewrite(o, "fold");
    if (rc)
        return rc;
    enum accel_rotation rotate = ACCEL_ROTATE_NONE;
    if (o->method && strcmp(o->method, "hadamard") == 0)
        rotate = ACCEL_ROTATE_HADAMARD;
    else if (o->method && strcmp(o->method, "resq") == 0)
        rotate = ACCEL_ROTATE_RESQ;
    struct report r = { .json = o->json ? &j : NULL, .rotate = rotate != ACCEL_ROTATE_NONE };
    if (o->method && !smooth && !rotate && strcmp(o->method, "awq") != 0)
        return usage_error("--method: \"%.40s\" is not valid: expected awq or smoothquant, "
                           "hadamard or resq",
                           o->method);
    if ((o->given & FLAG(ALPHA)) && !smooth)
        return usage_error("--alpha belongs to --method smoothquant; awq searches for its own");
    if (rotate && (o->given & (FLAG(TYPE) | FLAG(BITS))))
        return usage_error("--format and --bits do not matter to --method %s", o->method);
    if (!o->calibration && !o->self && rotate != ACCEL_ROTATE_HADAMARD)
        return usage_error("fold learns from a text: give --calib FILE or --self-calib");
    if (o->calibration && (rc = read_file(o->calibration, &text, &text_len)))
        return rc;
    struct accel_fold_options f = {
        .rotate = rotate,
        .smoothquant = smooth,
        .alpha = smooth ? o->alpha : 0.0,
        .type = o->type,
        .bits = o->bits,
        .calibration = text,
        .calibration_len = text_len,
        .tokens = (uint32_t)o->count,
        .self_calibrate = o->self,
        .seed = o->seed,
        .threads = o->threads,
        .report = show,
        .user = &r,
    };
    if (o->json) {
        json_object(&j, NULL);
        json_array(&j, "stages");
    } else if (!rotate) {
        printf("%-28s %5s %11s %11s %8s\n", "inputs of", "alpha", "error", "folded", "");
    }
    rc = accel_fold(o->files[0], o->output, &f, &err) ? report_error(&err) : EXIT_OK;
    if (!rc) {
        progress_clear();
        if (o->json) {
            json_end_array(&j);
            json_end_object(&j);
        } else {
            printf("%s: what it computes is the same; quantize it%s\n", o->output,
                   rotate ? "" : " with the same --format or --bits");
        }
    }
    free(text);
    return rc;
}
