/* cpu.h - the golden model: the numeric contract as plain loops.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CPU_H
#define ACCEL_CPU_H

#include "../internal.h"

/* acc[i * rows + m] for column i (at x + i * x_stride) and row m: the definition that everything else
 * in the project is compared with. */
void cpu_reference(const struct accel_matrix *mat, const int8_t *x, uint32_t n, size_t x_stride,
                   int64_t *acc);

#endif
