/* SPDX-License-Identifier: BSD-2-Clause */
#include "side_guest.h"

#include <string.h>

#define RAX 0
#define RCX 1
#define RDX 2
#define RDI 7

static void set_code(struct side_guest *guest, const uint8_t *bytes, unsigned count)
{
    memcpy(guest->code, bytes, count);
    guest->code_bytes = count;
}

/* MOV [RDI], RAX and MOV RAX, [RDI] of all widths. */
static void compose_move(struct side_guest *guest, bool write, uint32_t length)
{
    uint8_t *code = guest->code;

    if (length == 2) {
        *code++ = 0x66;
    }
    if (length == 8) {
        *code++ = 0x48;
    }
    *code++ = (uint8_t)((write ? 0x88 : 0x8A) | (length != 1));
    *code++ = 0x07;
    guest->code_bytes = (unsigned)(code - guest->code);
}

void side_guest_compose(struct side_guest *guest, const struct side_access *access, uint64_t window)
{
    static const uint8_t rdmsr[] = { 0x0F, 0x32 }, wrmsr[] = { 0x0F, 0x30 };
    static const uint8_t from_cr8[] = { 0x44, 0x0F, 0x20, 0xC0 }, to_cr8[] = { 0x44, 0x0F, 0x22, 0xC0 };

    guest->reg[RAX] = access->value;
    guest->reg[RCX] = access->where;
    guest->reg[RDX] = access->value >> 32;
    guest->reg[RDI] = window + access->where;
    switch (access->kind) {
    case SIDE_MMIO_READ:
    case SIDE_MMIO_WRITE:
        compose_move(guest, access->kind == SIDE_MMIO_WRITE, access->length);
        break;
    case SIDE_RDMSR:
        set_code(guest, rdmsr, sizeof rdmsr);
        break;
    case SIDE_WRMSR:
        guest->reg[RAX] = (uint32_t)access->value;
        set_code(guest, wrmsr, sizeof wrmsr);
        break;
    case SIDE_READ_CR8:
        set_code(guest, from_cr8, sizeof from_cr8);
        break;
    default:
        set_code(guest, to_cr8, sizeof to_cr8);
        break;
    }
}

static uint64_t low_bytes(uint64_t value, uint32_t length)
{
    return length == 8 ? value : value & ((1ull << (8 * length)) - 1);
}

void side_guest_fetch_value(const struct side_guest *guest, struct side_access *access)
{
    switch (access->kind) {
    case SIDE_MMIO_READ:
        access->value = low_bytes(guest->reg[RAX], access->length);
        break;
    case SIDE_RDMSR:
        access->value = guest->reg[RDX] << 32 | (uint32_t)guest->reg[RAX];
        break;
    case SIDE_READ_CR8:
        access->value = guest->reg[RAX];
        break;
    default:
        break;
    }
}

uint64_t side_guest_read_register(const struct side_guest *guest, uint32_t reg)
{
    return reg < 16 ? guest->reg[reg] : reg == VLAPIC_DECODE_RFLAGS ? SIDE_RFLAGS_ALWAYS : 0x1000;
}
