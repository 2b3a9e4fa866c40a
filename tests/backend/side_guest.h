/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers and the code bytes of a hardware side's guest, as far as an access to the APIC needs them. */
#ifndef TESTS_BACKEND_SIDE_GUEST_H
#define TESTS_BACKEND_SIDE_GUEST_H

#include <vlapic/decode.h>

#include "side.h"

#define SIDE_RFLAGS_ALWAYS 2u
#define SIDE_RFLAGS_IF 0x200u

struct side_guest {
    uint64_t reg[16];
    uint8_t code[8];
    unsigned code_bytes;
};

/* Loads the registers, and composes the instruction that makes the access. */
void side_guest_compose(struct side_guest *guest, const struct side_access *access, uint64_t window);
/* The value of a read that was emulated is in the registers. */
void side_guest_fetch_value(const struct side_guest *guest, struct side_access *access);
uint64_t side_guest_read_register(const struct side_guest *guest, uint32_t reg);

#endif
