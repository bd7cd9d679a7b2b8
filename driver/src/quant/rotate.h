/* rotate.h - accel_fold with rotate set.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_QUANT_ROTATE_H
#define ACCEL_QUANT_ROTATE_H

#include "accel_quant.h"

int fold_rotate(struct accel_model *model, const char *out, const struct accel_fold_options *o,
                struct accel_error *err);

#endif
