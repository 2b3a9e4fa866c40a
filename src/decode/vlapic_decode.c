/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to an instruction. Intel SDM 2A, "Instruction Format"; the prefixes' effect on sizes is in "Operand-Size and
 * Address-Size Attributes" of SDM 1. What an opcode means is in vlapic_decode_table.c, the operands are in vlapic_decode_operand.c.
 */
#include "vlapic_decode_internal.h"

#include <string.h>

#define PREFIX_OPERAND_SIZE 0x66
#define PREFIX_ADDRESS_SIZE 0x67
#define PREFIX_LOCK 0xF0
#define PREFIX_REPNE 0xF2
#define PREFIX_REPE 0xF3
#define ESCAPE 0x0F

enum vlapic_decode_status vlapic_decode_take(struct vlapic_decode_parser *p, uint32_t width, uint64_t *value)
{
    *value = 0;
    if (width > p->count - p->at) {
        return p->count < VLAPIC_DECODE_MAX_LENGTH ? VLAPIC_DECODE_TRUNCATED : VLAPIC_DECODE_UNSUPPORTED;
    }
    for (uint32_t i = 0; i < width; i++) {
        *value |= (uint64_t)p->bytes[p->at + i] << (8 * i);
    }
    p->at += width;
    return VLAPIC_DECODE_DONE;
}

enum vlapic_decode_status vlapic_decode_take_signed(struct vlapic_decode_parser *p, uint32_t width, uint64_t *value)
{
    enum vlapic_decode_status status = vlapic_decode_take(p, width, value);

    *value = sign_extend(*value, width);
    return status;
}

static enum vlapic_decode_status take_byte(struct vlapic_decode_parser *p, uint8_t *byte)
{
    uint64_t value;
    enum vlapic_decode_status status = vlapic_decode_take(p, 1, &value);

    *byte = (uint8_t)value;
    return status;
}

/* Of several prefixes of a kind the last one counts. In 64-bit code the four older segments have no effect, not even on an FS or
 * GS before them. */
static void set_segment(struct vlapic_decode_parser *p, enum vlapic_decode_segment segment)
{
    if (!is_64(p->insn) || segment >= VLAPIC_DECODE_FS) {
        p->insn->segment = segment;
        p->segment_given = true;
    }
}

static bool legacy_prefix(struct vlapic_decode_parser *p, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
        set_segment(p, (enum vlapic_decode_segment)((byte >> 3) & 3));
        return true;
    case 0x64:
    case 0x65:
        set_segment(p, byte == 0x64 ? VLAPIC_DECODE_FS : VLAPIC_DECODE_GS);
        return true;
    case PREFIX_OPERAND_SIZE:
        p->operand_size = true;
        return true;
    case PREFIX_ADDRESS_SIZE:
        p->address_size = true;
        return true;
    case PREFIX_LOCK:
        p->insn->lock = true;
        return true;
    case PREFIX_REPNE:
    case PREFIX_REPE:
        p->repeat = byte == PREFIX_REPE ? VLAPIC_DECODE_REPE : VLAPIC_DECODE_REPNE;
        return true;
    default:
        return false;
    }
}

/* All prefixes and the opcode's first byte. REX counts only directly before that. */
static enum vlapic_decode_status take_prefixes(struct vlapic_decode_parser *p, uint8_t *byte)
{
    enum vlapic_decode_status status = take_byte(p, byte);

    while (status == VLAPIC_DECODE_DONE) {
        if (is_64(p->insn) && (*byte & 0xF0) == 0x40) {
            p->rex = *byte;
        } else if (legacy_prefix(p, *byte)) {
            p->rex = 0;
        } else {
            break;
        }
        status = take_byte(p, byte);
    }
    return status;
}

static uint8_t operand_width(const struct vlapic_decode_parser *p)
{
    bool short_by_default = p->insn->mode == VLAPIC_DECODE_MODE_16;

    if ((p->rex & REX_W) != 0) {
        return 8;
    }
    return p->operand_size == short_by_default ? 4 : 2;
}

static uint8_t address_width(const struct vlapic_decode_parser *p)
{
    switch (p->insn->mode) {
    case VLAPIC_DECODE_MODE_64:
        return p->address_size ? 4 : 8;
    case VLAPIC_DECODE_MODE_32:
        return p->address_size ? 2 : 4;
    default:
        return p->address_size ? 4 : 2;
    }
}

static void set_widths(struct vlapic_decode_parser *p)
{
    struct vlapic_decode_insn *insn = p->insn;
    uint8_t width = operand_width(p);

    insn->address_width = address_width(p);
    insn->width = width;
    if ((p->opcode.flags & OPCODE_BYTE) != 0) {
        insn->width = 1;
    } else if ((p->opcode.flags & OPCODE_WORD) != 0) {
        insn->width = 2;
    } else if ((p->opcode.flags & OPCODE_DOUBLE) != 0) {
        insn->width = 4;
    }
    insn->other_width = (p->opcode.flags & OPCODE_EXTENDS) != 0 ? width : insn->width;
}

static enum vlapic_decode_status take_opcode(struct vlapic_decode_parser *p)
{
    uint8_t byte;
    enum vlapic_decode_status status = take_prefixes(p, &byte);
    bool has_escape = byte == ESCAPE;

    if (status == VLAPIC_DECODE_DONE && has_escape) {
        status = take_byte(p, &byte);
    }
    if (status != VLAPIC_DECODE_DONE) {
        return status;
    }
    p->opcode = vlapic_decode_opcode(has_escape, byte);
    set_widths(p);
    if ((p->opcode.flags & (is_64(p->insn) ? OPCODE_NEVER_64 : OPCODE_ONLY_64)) != 0) {
        return VLAPIC_DECODE_UNSUPPORTED;
    }
    /* 66 63: a double word in AMD's manual, a word in Intel's. */
    return p->insn->other_width < p->insn->width ? VLAPIC_DECODE_UNSUPPORTED : VLAPIC_DECODE_DONE;
}

static bool memory_first(const struct vlapic_decode_parser *p)
{
    switch (p->opcode.form) {
    case FORM_REGISTER_MEMORY:
    case FORM_LOAD_OFFSET:
        return false;
    case FORM_STRING:
        return p->opcode.operation == VLAPIC_DECODE_OP_MOVS || p->opcode.operation == VLAPIC_DECODE_OP_STOS;
    default:
        return true;
    }
}

static uint8_t access_of(const struct vlapic_decode_insn *insn)
{
    if (!insn->memory_first) {
        return VLAPIC_DECODE_READ;
    }
    switch (insn->operation) {
    case VLAPIC_DECODE_OP_CMP:
    case VLAPIC_DECODE_OP_TEST:
    case VLAPIC_DECODE_OP_BT:
        return VLAPIC_DECODE_READ;
    case VLAPIC_DECODE_OP_MOV:
    case VLAPIC_DECODE_OP_STOS:
        return VLAPIC_DECODE_WRITE;
    default:
        return VLAPIC_DECODE_READ | VLAPIC_DECODE_WRITE;
    }
}

static bool may_lock(const struct vlapic_decode_insn *insn)
{
    return insn->access == (VLAPIC_DECODE_READ | VLAPIC_DECODE_WRITE) && insn->operation != VLAPIC_DECODE_OP_MOVS;
}

static enum vlapic_decode_status parse(struct vlapic_decode_parser *p)
{
    struct vlapic_decode_insn *insn = p->insn;
    enum vlapic_decode_status status = take_opcode(p);

    if (status == VLAPIC_DECODE_DONE) {
        status = vlapic_decode_take_operands(p);
    }
    if (status != VLAPIC_DECODE_DONE) {
        return status;
    }
    insn->operation = (enum vlapic_decode_operation)p->opcode.operation;
    insn->length = (uint8_t)p->at;
    insn->memory_first = memory_first(p);
    insn->access = access_of(insn);
    return insn->lock && !may_lock(insn) ? VLAPIC_DECODE_UNSUPPORTED : VLAPIC_DECODE_DONE;
}

enum vlapic_decode_status vlapic_decode_parse(enum vlapic_decode_mode mode, const uint8_t *bytes, size_t count,
                                              struct vlapic_decode_insn *insn)
{
    struct vlapic_decode_parser p = { .bytes = bytes, .insn = insn };
    enum vlapic_decode_status status;

    memset(insn, 0, sizeof(*insn));
    if (mode > VLAPIC_DECODE_MODE_64) {
        return VLAPIC_DECODE_INVALID;
    }
    insn->mode = mode;
    insn->reg = NONE;
    insn->base = NONE;
    insn->index = NONE;
    p.count = count < VLAPIC_DECODE_MAX_LENGTH ? (uint32_t)count : VLAPIC_DECODE_MAX_LENGTH;
    status = parse(&p);
    if (status != VLAPIC_DECODE_DONE) {
        memset(insn, 0, sizeof(*insn));
    }
    return status;
}
