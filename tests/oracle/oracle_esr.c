/* SPDX-License-Identifier: BSD-2-Clause */
/* Error status. Reference 15. */
#include "oracle.h"

void oracle_error(struct oracle_apic *a, unsigned bit)
{
    const struct oracle_lvt *l = &a->lvt[ORACLE_ERROR];

    if (!a->en || a->esr_pending[bit]) {
        return;
    }
    a->esr_pending[bit] = true;
    if (l->masked) {
        return;
    }
    if (l->vector < 16) {
        a->esr_pending[6] = true;
        return;
    }
    oracle_accept(a, l->vector, false);
}

uint32_t oracle_esr_read(const struct oracle_apic *a)
{
    uint32_t value = 0;

    for (unsigned bit = 0; bit < 8; bit++) {
        value |= a->esr_visible[bit] ? 1u << bit : 0;
    }
    return value;
}

void oracle_esr_write(struct oracle_apic *a)
{
    for (unsigned bit = 0; bit < 8; bit++) {
        a->esr_visible[bit] = a->esr_pending[bit];
        a->esr_pending[bit] = false;
    }
}
