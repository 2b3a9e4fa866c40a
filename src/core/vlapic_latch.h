/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and SIPI, as they wait in a word to be taken. Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems".
 */
#ifndef VLAPIC_LATCH_H
#define VLAPIC_LATCH_H

#include "vlapic_model.h"

/* An INIT voids a SIPI that is older; of several SIPIs the first is kept. */
static inline uint64_t vlapic_latch(uint64_t work, uint8_t delivery, uint8_t vector)
{
    if (delivery == VLAPIC_DELIVERY_INIT) {
        return (work & ~(VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR)) | VLAPIC_WORK_INIT;
    }
    if ((work & VLAPIC_WORK_SIPI) != 0) {
        return work;
    }
    return work | VLAPIC_WORK_SIPI | (uint64_t)vector << VLAPIC_WORK_SIPI_SHIFT;
}

#endif
