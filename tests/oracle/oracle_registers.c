/* SPDX-License-Identifier: BSD-2-Clause */
/* Which registers there are, and what a read and a write of one does. Reference 1, and 19.4 for the extended space. */
#include "oracle.h"

static bool between(uint32_t offset, uint32_t first, uint32_t last)
{
    return offset >= first && offset <= last;
}

static bool extended_exists(const struct oracle_apic *a, uint32_t offset)
{
    const struct oracle_options *o = &a->bus->options;

    if (!o->ext_space) {
        return false;
    }
    if (offset == 0x400 || offset == 0x410) {
        return true;
    }
    if (offset == 0x420) {
        return o->ext_seoi;
    }
    if (between(offset, 0x480, 0x4F0)) {
        return o->ext_ier;
    }
    return offset >= 0x500 && (offset - 0x500) / 0x10 < o->ext_lvts;
}

/* In xAPIC mode. Every other slot is a reserved address (reference 1, "The complete list"). */
bool oracle_register_exists(const struct oracle_apic *a, uint32_t offset)
{
    if (offset >= 0x400) {
        return extended_exists(a, offset);
    }
    if (offset == 0x2F0) {
        return oracle_lvt_exists(a, ORACLE_CMCI);
    }
    return !between(offset, 0x000, 0x010) && !between(offset, 0x040, 0x070) && !between(offset, 0x290, 0x2E0) &&
           !between(offset, 0x3A0, 0x3D0) && offset != 0x3F0;
}

static uint32_t vectors_read(const bool vectors[256], uint32_t slot)
{
    uint32_t value = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        value |= vectors[slot * 32 + bit] ? 1u << bit : 0;
    }
    return value;
}

static enum oracle_entry lvt_at(uint32_t offset)
{
    switch (offset) {
    case 0x2F0:
        return ORACLE_CMCI;
    case 0x320:
        return ORACLE_TIMER;
    case 0x330:
        return ORACLE_THERMAL;
    case 0x340:
        return ORACLE_PERF;
    case 0x350:
        return ORACLE_LINT0;
    case 0x360:
        return ORACLE_LINT1;
    case 0x370:
        return ORACLE_ERROR;
    default:
        break;
    }
    return offset >= 0x500 ? (enum oracle_entry)(ORACLE_EXT0 + (offset - 0x500) / 0x10) : ORACLE_ENTRIES;
}

static uint32_t extended_feature(const struct oracle_options *o)
{
    return o->ext_lvts << 16 | (o->ext_8bit_id ? 4u : 0) | (o->ext_seoi ? 2u : 0) | (o->ext_ier ? 1u : 0);
}

static uint32_t extended_control_read(const struct oracle_apic *a)
{
    return (a->ext_control[2] ? 4u : 0) | (a->ext_control[1] ? 2u : 0) | (a->ext_control[0] ? 1u : 0);
}

/* Of an existing register, in the mode that the APIC is in. 090, 0B0, 0C0 and 420 read as zero. */
uint32_t oracle_register_read(struct oracle_apic *a, uint32_t offset)
{
    if (between(offset, 0x100, 0x170)) {
        return vectors_read(a->isr, (offset - 0x100) / 0x10);
    }
    if (between(offset, 0x180, 0x1F0)) {
        return vectors_read(a->tmr, (offset - 0x180) / 0x10);
    }
    if (between(offset, 0x200, 0x270)) {
        return vectors_read(a->irr, (offset - 0x200) / 0x10);
    }
    if (between(offset, 0x480, 0x4F0)) {
        return vectors_read(a->ier, (offset - 0x480) / 0x10);
    }
    if (lvt_at(offset) != ORACLE_ENTRIES) {
        return oracle_lvt_read(a, lvt_at(offset));
    }
    switch (offset) {
    case 0x020:
        return oracle_id(a);
    case 0x030:
        return oracle_version(a);
    case 0x080:
        return a->tpr;
    case 0x0A0:
        return oracle_ppr(a);
    case 0x0D0:
        return oracle_ldr(a);
    case 0x0E0:
        return (uint32_t)a->dfr << 28 | 0x0FFFFFFF;
    case 0x0F0:
        return oracle_svr_read(a);
    case 0x280:
        return oracle_esr_read(a);
    case 0x300:
        return a->icr_low;
    case 0x310:
        return a->icr_high;
    case 0x380:
        return oracle_initial_count_read(a);
    case 0x390:
        return oracle_current_count(a);
    case 0x3E0:
        return oracle_dcr_read(a);
    case 0x400:
        return extended_feature(&a->bus->options);
    case 0x410:
        return extended_control_read(a);
    default:
        return 0;
    }
}

static void extended_control_write(struct oracle_apic *a, uint32_t value)
{
    const struct oracle_options *o = &a->bus->options;

    a->ext_control[0] = o->ext_ier && (value & 1) != 0;
    a->ext_control[1] = o->ext_seoi && (value & 2) != 0;
    a->ext_control[2] = o->ext_8bit_id && (value & 4) != 0;
}

static void ier_write(struct oracle_apic *a, uint32_t slot, uint32_t value)
{
    if (!a->ext_control[0]) {
        return;
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        a->ier[slot * 32 + bit] = (value >> bit & 1) != 0;
    }
}

/* ICR low keeps 000C_CFFFh. */
static void icr_low_write(struct oracle_apic *a, uint32_t value)
{
    a->icr_low = value & 0xCCFFF;
    oracle_icr_send(a);
}

/* Of an existing register, in the mode that the APIC is in. Writes to read-only registers do nothing. */
void oracle_register_write(struct oracle_apic *a, uint32_t offset, uint32_t value)
{
    if (between(offset, 0x480, 0x4F0)) {
        ier_write(a, (offset - 0x480) / 0x10, value);
        return;
    }
    if (lvt_at(offset) != ORACLE_ENTRIES) {
        oracle_lvt_write(a, lvt_at(offset), value);
        return;
    }
    switch (offset) {
    case 0x020:
        if (a->bus->options.id_writable) {
            a->xapic_id = (uint8_t)(value >> 24);
        }
        break;
    case 0x080:
        a->tpr = value & 0xFF;
        break;
    case 0x0B0:
        oracle_eoi(a);
        break;
    case 0x0D0:
        a->ldr = (uint8_t)(value >> 24);
        break;
    case 0x0E0:
        a->dfr = (uint8_t)(value >> 28);
        break;
    case 0x0F0:
        oracle_svr_write(a, value);
        break;
    case 0x280:
        oracle_esr_write(a);
        break;
    case 0x300:
        icr_low_write(a, value);
        break;
    case 0x310:
        a->icr_high = value & 0xFF000000;
        break;
    case 0x380:
        oracle_initial_count_write(a, value);
        break;
    case 0x3E0:
        oracle_dcr_write(a, value);
        break;
    case 0x410:
        extended_control_write(a, value);
        break;
    case 0x420:
        oracle_seoi(a, value & 0xFF);
        break;
    default:
        break;
    }
}
