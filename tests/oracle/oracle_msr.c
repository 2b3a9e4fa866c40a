/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs: 1Bh, 6E0h, and 800h..8FFh of x2APIC mode. Reference 5. */
#include "oracle.h"

static uint32_t offset_of(uint32_t msr)
{
    return (msr - 0x800) << 4;
}

/* Reference 5, item 2. */
static bool exists(const struct oracle_apic *a, uint32_t msr)
{
    switch (msr) {
    case 0x809:
    case 0x80C:
    case 0x80E:
    case 0x831:
        return false;
    case 0x83F:
        return true;
    default:
        return oracle_register_exists(a, offset_of(msr));
    }
}

static bool write_only(uint32_t msr)
{
    return msr == 0x80B || msr == 0x83F;
}

static bool read_only(uint32_t msr)
{
    return msr == 0x802 || msr == 0x803 || msr == 0x80A || msr == 0x80D || (msr >= 0x810 && msr <= 0x827) ||
           msr == 0x839 || msr == 0x840;
}

static uint32_t svr_bits(const struct oracle_options *o)
{
    return 0x1FF | (o->svr_bit9_faults ? 0 : 1u << 9) | (o->eoi_suppression ? 1u << 12 : 0);
}

/* The bits that may be 1 in a write: the table of reference 5. Of 830h the low half. */
static uint32_t writable(const struct oracle_options *o, uint32_t msr)
{
    switch (msr) {
    case 0x808:
    case 0x83F:
    case 0x842:
        return 0xFF;
    case 0x80B:
    case 0x828:
        return 0;
    case 0x80F:
        return svr_bits(o);
    case 0x82F:
    case 0x833:
    case 0x834:
        return 0x117FF;
    case 0x830:
        return 0xCCFFF | (o->amd ? 0 : 1u << 12);
    case 0x832:
        return o->deadline ? 0x710FF : 0x310FF;
    case 0x835:
    case 0x836:
        return 0x1F7FF;
    case 0x837:
        return 0x110FF;
    case 0x838:
        return 0xFFFFFFFF;
    case 0x83E:
        return 0xB;
    case 0x841:
        return (o->ext_ier ? 1u : 0) | (o->ext_seoi ? 2u : 0) | (o->ext_8bit_id ? 4u : 0);
    default:
        return msr >= 0x850 ? 0x117FF : 0xFFFFFFFF; /* extended LVT; IER */
    }
}

static enum oracle_result x2apic_read(struct oracle_apic *a, uint32_t msr, uint64_t *value)
{
    if (!oracle_in_x2apic(a) || !exists(a, msr) || write_only(msr)) {
        return ORACLE_GP;
    }
    *value = oracle_register_read(a, offset_of(msr));
    if (msr == 0x830) {
        *value |= (uint64_t)a->icr_high << 32;
    }
    return ORACLE_DONE;
}

static enum oracle_result x2apic_write(struct oracle_apic *a, uint32_t msr, uint64_t value)
{
    if (!oracle_in_x2apic(a) || !exists(a, msr) || read_only(msr)) {
        return ORACLE_GP;
    }
    if (msr != 0x830 && value >> 32 != 0) {
        return ORACLE_GP;
    }
    if (((uint32_t)value & ~writable(&a->bus->options, msr)) != 0) {
        return ORACLE_GP;
    }
    if (msr == 0x830) {
        a->icr_high = (uint32_t)(value >> 32);
    }
    if (msr == 0x83F) {
        oracle_self_ipi(a, value & 0xFF);
    } else {
        oracle_register_write(a, offset_of(msr), (uint32_t)value);
    }
    return ORACLE_DONE;
}

enum oracle_result oracle_msr_read(struct oracle_apic *a, uint32_t msr, uint64_t *value)
{
    oracle_look(a);
    if (msr == 0x1B) {
        *value = oracle_base_read(a);
        return ORACLE_DONE;
    }
    if (msr == 0x6E0) {
        if (!a->bus->options.deadline) {
            return ORACLE_GP;
        }
        *value = oracle_deadline_read(a);
        return ORACLE_DONE;
    }
    if (msr >= 0x800 && msr <= 0x8FF) {
        return x2apic_read(a, msr, value);
    }
    return ORACLE_NOT_MINE;
}

enum oracle_result oracle_msr_write(struct oracle_apic *a, uint32_t msr, uint64_t value)
{
    oracle_look(a);
    if (msr == 0x1B) {
        return oracle_base_write(a, value);
    }
    if (msr == 0x6E0) {
        if (!a->bus->options.deadline) {
            return ORACLE_GP;
        }
        oracle_deadline_write(a, value);
        return ORACLE_DONE;
    }
    if (msr >= 0x800 && msr <= 0x8FF) {
        return x2apic_write(a, msr, value);
    }
    return ORACLE_NOT_MINE;
}
