/* pack.h - what the kinds' packers share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_PACK_H
#define ACCEL_PACK_H

#include "../internal.h"

void lut_recode(uint8_t *row, uint32_t lanes);
void lut4_recode(uint8_t *row, uint32_t lanes);

#endif
