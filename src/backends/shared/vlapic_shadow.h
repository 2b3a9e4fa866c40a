/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers that the guest writes into the page before the library hears of it. What a register does may depend on its old value, so that is
 * kept over each run of the guest, and is back in the page when the model looks there.
 */
#ifndef VLAPIC_SHADOW_H
#define VLAPIC_SHADOW_H

#include <vlapic/registers.h>

#include <vlapic/platform.h>

#define VLAPIC_SHADOWS 14u

struct vlapic_shadow {
    uint32_t value[VLAPIC_SHADOWS];
};

static const uint16_t vlapic_shadow_offsets[VLAPIC_SHADOWS] = {
    VLAPIC_REG_ID,
    VLAPIC_REG_RRD,
    VLAPIC_REG_LDR,
    VLAPIC_REG_DFR,
    VLAPIC_REG_SVR,
    VLAPIC_REG_ESR,
    VLAPIC_REG_LVT_TIMER,
    VLAPIC_REG_LVT_THERMAL,
    VLAPIC_REG_LVT_PERF,
    VLAPIC_REG_LVT_LINT0,
    VLAPIC_REG_LVT_LINT1,
    VLAPIC_REG_LVT_ERROR,
    VLAPIC_REG_INITIAL_COUNT,
    VLAPIC_REG_DIVIDE_CONFIG,
};

static inline void vlapic_shadow_keep(struct vlapic_shadow *shadow, const uint32_t *page)
{
    for (uint32_t i = 0; i < VLAPIC_SHADOWS; i++) {
        shadow->value[i] = page[vlapic_shadow_offsets[i] / 4];
    }
}

/* Not only the register that the exit names: an instruction with several accesses may have written one, and exit for another. */
static inline void vlapic_shadow_restore(const struct vlapic_shadow *shadow, uint32_t *page)
{
    for (uint32_t i = 0; i < VLAPIC_SHADOWS; i++) {
        page[vlapic_shadow_offsets[i] / 4] = shadow->value[i];
    }
}

/* What the guest may write there without an exit, as the model would have kept it. */
static inline void vlapic_shadow_tidy(uint32_t *page, bool x2apic)
{
    page[VLAPIC_REG_TPR / 4] &= 0xFFu;
    page[VLAPIC_REG_EOI / 4] = 0;
    page[VLAPIC_REG_ICR_LOW / 4] &= VLAPIC_ICR_BITS;
    if (!x2apic) {
        page[VLAPIC_REG_ICR_HIGH / 4] &= 0xFF000000u;
    }
    page[VLAPIC_REG_SELF_IPI / 4] = 0;
}

#endif
