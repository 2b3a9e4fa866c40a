/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x2APIC rules that hardware may check before the AVIC filter. Reference A14, A12 and 5.3; the bits that a write may have set are those of
 * the project's local-APIC reference, section 5, for AMD without TSC deadlines.
 */
#include "svmhw_internal.h"

struct rule {
    uint16_t first, last;
    uint32_t writable; /* bits that may be 1 */
};

static const struct rule rules[] = {
    { 0x080, 0x080, 0x000000FF }, /* TPR */
    { 0x0B0, 0x0B0, 0 },          /* EOI */
    { 0x0F0, 0x0F0, 0x000003FF }, /* SVR */
    { 0x280, 0x280, 0 },          /* ESR */
    { 0x300, 0x300, 0x000CCFFF }, /* ICR, low half: without bit 12, which has no rule for itself */
    { 0x320, 0x320, 0x000310FF }, /* LVT timer */
    { 0x330, 0x340, 0x000117FF }, /* LVT thermal, perf */
    { 0x350, 0x360, 0x0001F7FF }, /* LVT LINT0, LINT1 */
    { 0x370, 0x370, 0x000110FF }, /* LVT error */
    { 0x3E0, 0x3E0, 0x0000000B }, /* divide configuration */
    { 0x3F0, 0x3F0, 0x000000FF }, /* SELF IPI */
    { 0x500, 0x530, 0x000117FF }, /* extended LVT */
};

/* A14: 802h 803h 809h 80Ah 80Dh 810h-827h 839h. */
static bool is_read_only(uint32_t offset)
{
    switch (offset) {
    case 0x020:
    case 0x030:
    case 0x090:
    case 0x0A0:
    case 0x0D0:
    case 0x390:
        return true;
    default:
        return offset >= 0x100 && offset <= 0x270;
    }
}

static bool has_reserved_bits(uint32_t offset, uint32_t value)
{
    for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (offset >= rules[i].first && offset <= rules[i].last) {
            return value & ~rules[i].writable;
        }
    }
    return false;
}

bool svmhw_x2apic_read_faults(const struct svmhw_core *core, uint32_t offset)
{
    if (offset == SVMHW_REG_SELF_IPI) {
        return !svmhw_plays(core, 12, SVMHW_A12_READS_3F0);
    }
    return offset == SVMHW_REG_EOI && svmhw_plays(core, 14, SVMHW_A14_ALL);
}

bool svmhw_x2apic_write_faults(const struct svmhw_core *core, uint32_t offset, uint64_t value)
{
    if (svmhw_plays(core, 14, SVMHW_A14_NONE) || (svmhw_plays(core, 14, SVMHW_A14_ICR) && offset != SVMHW_REG_ICR)) {
        return false;
    }
    if (is_read_only(offset) || (value >> 32 != 0 && offset != SVMHW_REG_ICR)) {
        return true;
    }
    return has_reserved_bits(offset, (uint32_t)value);
}
