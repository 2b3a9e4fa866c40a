/* SPDX-License-Identifier: BSD-2-Clause */
/* IA32_APIC_BASE and the modes. Reference 2. */
#include "oracle.h"

bool oracle_in_xapic(const struct oracle_apic *a)
{
    return a->en && !a->extd;
}

bool oracle_in_x2apic(const struct oracle_apic *a)
{
    return a->en && a->extd;
}

uint64_t oracle_base_read(const struct oracle_apic *a)
{
    uint64_t value = a->base;

    if (a->bsp) {
        value |= 1u << 8;
    }
    if (a->extd) {
        value |= 1u << 10;
    }
    if (a->en) {
        value |= 1u << 11;
    }
    return value;
}

static bool has_reserved_bits(const struct oracle_apic *a, uint64_t value)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit <= 7 || bit == 9 || bit >= a->bus->options.phys_bits;

        if (bit == 10 && !a->bus->options.x2apic) {
            reserved = true;
        }
        if (reserved && (value >> bit & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* Reference 2.1, the table cell by cell. */
static bool transition_is_legal(const struct oracle_apic *a, bool en, bool extd)
{
    if (!en && extd) {
        return false;
    }
    if (!a->en) {
        return !extd;
    }
    if (!a->extd) {
        return true;
    }
    if (!en) {
        return !a->bus->options.x2apic_locked;
    }
    return extd;
}

/* Reference 2.2. */
static void enter_mode(struct oracle_apic *a, bool en, bool extd)
{
    bool enables = !a->en && en, disables = a->en && !en, enters_x2apic = !a->extd && extd;

    a->en = en;
    a->extd = extd;
    if (enables || enters_x2apic) {
        a->xapic_id = a->id32 & 0xFF;
    }
    if (enters_x2apic) {
        a->icr_high = 0;
    }
    if (disables) {
        oracle_reset_registers(a);
    }
}

enum oracle_result oracle_base_write(struct oracle_apic *a, uint64_t value)
{
    uint64_t before = oracle_base_read(a);
    bool en = (value >> 11 & 1) != 0, extd = (value >> 10 & 1) != 0;

    if (value == before) {
        return ORACLE_DONE;
    }
    if (has_reserved_bits(a, value) || !transition_is_legal(a, en, extd)) {
        return ORACLE_GP;
    }
    if (a->bus->options.base_fixed && value >> 12 != a->base >> 12) {
        return ORACLE_GP;
    }
    a->base = value >> 12 << 12;
    a->bsp = (value >> 8 & 1) != 0;
    enter_mode(a, en, extd);
    if (a->bus->hooks.base_changed) {
        a->bus->hooks.base_changed(a, before, value);
    }
    return ORACLE_DONE;
}
