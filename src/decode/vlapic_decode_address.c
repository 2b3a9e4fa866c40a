/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the memory operand lies. Intel SDM 1, "Specifying an Offset", "Specifying a Segment Selector"; SDM 2A, "BT-Bit Test" and
 * "Bit(BitBase, BitOffset)". Paging is the embedder's.
 */
#include "vlapic_decode_internal.h"

#include <string.h>

/* Copies the table, so that what an older embedder does not have reads as NULL. */
bool vlapic_decode_usable(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops,
                          struct vlapic_decode_ops *usable)
{
    if (insn->length == 0 || ops->abi != VLAPIC_DECODE_ABI ||
        ops->size < offsetof(struct vlapic_decode_ops, segment_base)) {
        return false;
    }
    memset(usable, 0, sizeof(*usable));
    memcpy(usable, ops, ops->size < sizeof(*usable) ? ops->size : sizeof(*usable));
    return usable->read_register != NULL && usable->write_register != NULL && usable->apic_read != NULL &&
           usable->apic_write != NULL;
}

/* A bit offset in a register is signed and counts from the operand's first bit: how far it moves the operand, in bytes. */
static uint64_t bit_string_offset(const struct vlapic_decode_insn *insn, uint64_t bits)
{
    uint64_t bytes = sign_extend(bits, insn->width) >> 3;
    uint64_t sign = 1ull << 60;

    return ((bytes ^ sign) - sign) & ~(uint64_t)(insn->width - 1u);
}

static bool is_bit_string(const struct vlapic_decode_insn *insn)
{
    return insn->operation >= VLAPIC_DECODE_OP_BT && insn->operation <= VLAPIC_DECODE_OP_BTC &&
           insn->other == VLAPIC_DECODE_OTHER_REGISTER;
}

static uint64_t offset_in_segment(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops,
                                  void *cookie)
{
    uint64_t sum = insn->displacement;

    if (insn->base != NONE) {
        sum += ops->read_register(cookie, insn->base);
    }
    if (insn->base == VLAPIC_DECODE_RIP) {
        sum += insn->length;
    }
    if (insn->index != NONE) {
        sum += ops->read_register(cookie, insn->index) << (insn->scale & 3);
    }
    if (is_bit_string(insn)) {
        sum += bit_string_offset(insn, ops->read_register(cookie, insn->reg));
    }
    return sum;
}

static uint64_t linear(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops, void *cookie,
                       const struct vlapic_decode_address *address)
{
    uint64_t base = 0;

    if (ops->segment_base != NULL && (!is_64(insn) || address->segment >= VLAPIC_DECODE_FS)) {
        base = ops->segment_base(cookie, address->segment);
    }
    return (base + address->effective) & width_mask(is_64(insn) ? 8 : 4);
}

void vlapic_decode_locate(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops, void *cookie,
                          bool write, struct vlapic_decode_address *address)
{
    if (write && insn->operation == VLAPIC_DECODE_OP_MOVS) {
        address->segment = VLAPIC_DECODE_ES;
        address->effective = ops->read_register(cookie, RDI);
    } else {
        address->segment = insn->segment;
        address->effective = offset_in_segment(insn, ops, cookie);
    }
    address->effective &= width_mask(insn->address_width);
    address->linear = linear(insn, ops, cookie, address);
}

enum vlapic_decode_status vlapic_decode_address(const struct vlapic_decode_insn *insn,
                                                const struct vlapic_decode_ops *ops, void *cookie, bool write,
                                                struct vlapic_decode_address *address)
{
    struct vlapic_decode_ops usable;

    if (!vlapic_decode_usable(insn, ops, &usable)) {
        return VLAPIC_DECODE_INVALID;
    }
    vlapic_decode_locate(insn, &usable, cookie, write, address);
    return VLAPIC_DECODE_DONE;
}
