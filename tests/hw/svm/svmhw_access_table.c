/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest may do to which register of its APIC. Reference 5.1, row by row. */
#include "svmhw_internal.h"

enum { IN_BOTH, NOT_AN_MSR, NOT_IN_MMIO };

struct row {
    uint16_t first, last;
    enum svmhw_class read, write;
    int where;
};

#define A SVMHW_CLASS_ALLOWED
#define F SVMHW_CLASS_FAULT
#define T SVMHW_CLASS_TRAP

static const struct row rows[] = {
    { 0x020, 0x020, A, T, IN_BOTH },                        /* ID */
    { 0x030, 0x030, A, F, IN_BOTH },                        /* version */
    { 0x080, 0x080, A, SVMHW_CLASS_TPR, IN_BOTH },          /* TPR */
    { 0x090, 0x090, F, F, IN_BOTH },                        /* APR */
    { 0x0A0, 0x0A0, A, F, IN_BOTH },                        /* PPR */
    { 0x0B0, 0x0B0, A, SVMHW_CLASS_EOI, IN_BOTH },          /* EOI */
    { 0x0C0, 0x0C0, A, T, NOT_AN_MSR },                     /* remote read */
    { 0x0D0, 0x0D0, A, T, IN_BOTH },                        /* LDR */
    { 0x0E0, 0x0E0, A, T, NOT_AN_MSR },                     /* DFR */
    { 0x0F0, 0x0F0, A, T, IN_BOTH },                        /* SVR */
    { 0x100, 0x170, A, F, IN_BOTH },                        /* ISR */
    { 0x180, 0x1F0, A, F, IN_BOTH },                        /* TMR */
    { 0x200, 0x270, A, F, IN_BOTH },                        /* IRR */
    { 0x280, 0x280, A, T, IN_BOTH },                        /* ESR */
    { 0x300, 0x300, A, SVMHW_CLASS_ICR, IN_BOTH },          /* ICR low */
    { 0x310, 0x310, A, A, NOT_AN_MSR },                     /* ICR high */
    { 0x320, 0x370, A, T, IN_BOTH },                        /* LVT */
    { 0x380, 0x380, A, T, IN_BOTH },                        /* initial count */
    { 0x390, 0x390, F, F, IN_BOTH },                        /* current count */
    { 0x3E0, 0x3E0, A, T, IN_BOTH },                        /* divide configuration */
    { 0x3F0, 0x3F0, A, SVMHW_CLASS_SELF_IPI, NOT_IN_MMIO }, /* SELF IPI */
    { 0x400, 0x420, F, F, IN_BOTH },                        /* extended feature, control, SEOI */
    { 0x480, 0x4F0, F, F, IN_BOTH },                        /* IER */
    { 0x500, 0x530, A, T, IN_BOTH },                        /* extended LVT */
    { 0x540, 0xFF0, F, F, NOT_AN_MSR },                     /* reserved */
};

static bool is_in(const struct row *row, uint32_t offset, bool x2avic)
{
    return offset >= row->first && offset <= row->last && row->where != (x2avic ? NOT_AN_MSR : NOT_IN_MMIO);
}

enum svmhw_class svmhw_access_class(const struct svmhw_core *core, uint32_t offset, bool write)
{
    bool x2avic = svmhw_has_x2avic(core);

    offset &= ~UINT32_C(0xF);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_in(&rows[i], offset, x2avic)) {
            continue;
        }
        if (rows[i].first == 0x500 && !core->machine->capabilities.extended_lvt_access) {
            return F;
        }
        return write ? rows[i].write : rows[i].read;
    }
    return SVMHW_CLASS_UNLISTED;
}
