/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory window of xAPIC mode. Reference 4. */
#include "oracle.h"

/* A well-formed access to a reserved address is an error; a read then gives 0. */
static uint32_t checked_read(struct oracle_apic *a, uint32_t slot)
{
    if (!oracle_register_exists(a, slot)) {
        oracle_error(a, 7);
        return 0;
    }
    return oracle_register_read(a, slot);
}

static void checked_write(struct oracle_apic *a, uint32_t slot, uint32_t value)
{
    if (!oracle_register_exists(a, slot)) {
        oracle_error(a, 7);
        return;
    }
    oracle_register_write(a, slot, value);
}

static bool inside(uint32_t offset, uint32_t length)
{
    return (length == 1 || length == 2 || length == 4) && (offset & 15) + length <= 4;
}

enum oracle_result oracle_mmio_read(struct oracle_apic *a, uint32_t offset, uint32_t length, uint64_t *value)
{
    uint32_t word;

    if (!oracle_in_xapic(a) || offset > 0xFFF) {
        return ORACLE_NOT_MINE;
    }
    oracle_look(a);
    *value = 0;
    if (!inside(offset, length)) {
        return ORACLE_DONE;
    }
    word = checked_read(a, offset & 0xFF0);
    for (unsigned byte = 0; byte < length; byte++) {
        *value |= (uint64_t)(word >> 8 * ((offset & 15) + byte) & 0xFF) << 8 * byte;
    }
    return ORACLE_DONE;
}

static uint32_t widened(struct oracle_apic *a, uint32_t offset, uint32_t length, uint64_t value)
{
    uint32_t word = checked_read(a, offset & 0xFF0);

    for (unsigned byte = 0; byte < length; byte++) {
        unsigned shift = 8 * ((offset & 15) + byte);

        word = (word & ~(0xFFu << shift)) | (uint32_t)(value >> 8 * byte & 0xFF) << shift;
    }
    return word;
}

enum oracle_result oracle_mmio_write(struct oracle_apic *a, uint32_t offset, uint32_t length, uint64_t value)
{
    if (!oracle_in_xapic(a) || offset > 0xFFF) {
        return ORACLE_NOT_MINE;
    }
    oracle_look(a);
    if (length == 4 && (offset & 15) == 0) {
        checked_write(a, offset, (uint32_t)value);
    } else if (length < 4 && inside(offset, length) && a->bus->options.narrow_write_merge) {
        checked_write(a, offset & 0xFF0, widened(a, offset, length, value));
    }
    return ORACLE_DONE;
}
