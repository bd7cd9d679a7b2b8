/* matrix.h - quantized matrices, as the library's own files see them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATRIX_H
#define ACCEL_MATRIX_H

#include "internal.h"

/* 16, 32, 48, 64, 96, 128, 256 or 0 (one group per row). */
bool matrix_group_valid(uint32_t group);

/* An independent copy. @return ACCEL_OK, _E_NOMEM */
int matrix_clone(const struct accel_matrix *mat, struct accel_matrix **copy,
                 struct accel_error *err);

#endif
