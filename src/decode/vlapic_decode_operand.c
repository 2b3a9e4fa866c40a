/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operands: ModR/M, SIB, displacement, immediate, and what strings imply. Intel SDM 2A, "Instruction Format", "REX Prefixes".
 */
#include "vlapic_decode_internal.h"

static void set_register(struct vlapic_decode_parser *p, uint32_t reg)
{
    struct vlapic_decode_insn *insn = p->insn;

    insn->other = VLAPIC_DECODE_OTHER_REGISTER;
    insn->reg = (uint8_t)(reg | ((p->rex & REX_R) != 0 ? 8 : 0));
    if (insn->other_width == 1 && p->rex == 0 && reg >= 4) {
        insn->high_byte = true;
        insn->reg = (uint8_t)(reg - 4);
    }
}

/* A segment that no prefix has named: SS for addresses by the stack or base pointer. */
static void default_segment(struct vlapic_decode_parser *p)
{
    if (!p->segment_given) {
        p->insn->segment = p->insn->base == RSP || p->insn->base == RBP ? VLAPIC_DECODE_SS : VLAPIC_DECODE_DS;
    }
}

/* Table "16-Bit Addressing Forms with the ModR/M Byte". */
static enum vlapic_decode_status take_address_16(struct vlapic_decode_parser *p, uint32_t mod, uint32_t rm)
{
    static const uint8_t bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const uint8_t indices[8] = { RSI, RDI, RSI, RDI, NONE, NONE, NONE, NONE };

    p->insn->base = bases[rm & 7];
    p->insn->index = indices[rm & 7];
    if (mod == 0 && rm == 6) {
        p->insn->base = NONE;
        mod = 2;
    }
    default_segment(p);
    return vlapic_decode_take_signed(p, mod, &p->insn->displacement);
}

/* Table "32-Bit Addressing Forms with the SIB Byte"; "Special Cases of REX Encodings". */
static enum vlapic_decode_status take_sib(struct vlapic_decode_parser *p, uint32_t *base)
{
    uint64_t sib;
    enum vlapic_decode_status status = vlapic_decode_take(p, 1, &sib);
    uint32_t index = ((uint32_t)(sib >> 3) & 7) | ((p->rex & REX_X) != 0 ? 8 : 0);

    *base = (uint32_t)sib & 7;
    if (index != RSP) {
        p->insn->index = (uint8_t)index;
        p->insn->scale = (uint8_t)(sib >> 6);
    }
    return status;
}

/* Tables "32-Bit Addressing Forms with the ModR/M Byte" and "... the SIB Byte"; "RIP-Relative Addressing". */
static enum vlapic_decode_status take_address_32(struct vlapic_decode_parser *p, uint32_t mod, uint32_t rm)
{
    enum vlapic_decode_status status = VLAPIC_DECODE_DONE;
    uint32_t base = rm;

    if (rm == 4) {
        status = take_sib(p, &base);
    }
    if (status != VLAPIC_DECODE_DONE) {
        return status;
    }
    p->insn->base = (uint8_t)(base | ((p->rex & REX_B) != 0 ? 8 : 0));
    if (mod == 0 && base == 5) {
        p->insn->base = rm == 5 && is_64(p->insn) ? VLAPIC_DECODE_RIP : NONE;
        mod = 2;
    }
    default_segment(p);
    return vlapic_decode_take_signed(p, mod == 2 ? 4 : mod, &p->insn->displacement);
}

static enum vlapic_decode_status take_modrm(struct vlapic_decode_parser *p)
{
    uint64_t modrm;
    enum vlapic_decode_status status = vlapic_decode_take(p, 1, &modrm);
    uint32_t mod = (uint32_t)(modrm >> 6);
    uint32_t reg = (uint32_t)(modrm >> 3) & 7;
    uint32_t rm = (uint32_t)modrm & 7;

    if (status != VLAPIC_DECODE_DONE) {
        return status;
    }
    if (p->opcode.form == FORM_GROUP) {
        p->opcode = vlapic_decode_group(p->opcode, reg);
    }
    if (mod == 3 || p->opcode.form == FORM_NONE) {
        return VLAPIC_DECODE_UNSUPPORTED;
    }
    if (p->opcode.form == FORM_MEMORY_REGISTER || p->opcode.form == FORM_REGISTER_MEMORY) {
        set_register(p, reg);
    }
    return p->insn->address_width == 2 ? take_address_16(p, mod, rm) : take_address_32(p, mod, rm);
}

/* Immediates have at most four bytes, also for operands of eight. */
static enum vlapic_decode_status take_immediate(struct vlapic_decode_parser *p)
{
    uint32_t width = p->insn->width < 4 ? p->insn->width : 4;

    if ((p->opcode.flags & OPCODE_IMM8) != 0) {
        width = 1;
    }
    p->insn->other = VLAPIC_DECODE_OTHER_IMMEDIATE;
    return vlapic_decode_take_signed(p, width, &p->insn->immediate);
}

static void set_accumulator(struct vlapic_decode_parser *p)
{
    p->insn->other = VLAPIC_DECODE_OTHER_REGISTER;
    p->insn->reg = RAX;
}

static enum vlapic_decode_status take_offset(struct vlapic_decode_parser *p)
{
    set_accumulator(p);
    default_segment(p);
    return vlapic_decode_take_signed(p, p->insn->address_width, &p->insn->displacement);
}

/* The destination is ES:rDI whatever the prefixes. */
static enum vlapic_decode_status set_string(struct vlapic_decode_parser *p)
{
    struct vlapic_decode_insn *insn = p->insn;
    bool source = p->opcode.operation == VLAPIC_DECODE_OP_MOVS || p->opcode.operation == VLAPIC_DECODE_OP_LODS;

    if (p->opcode.operation != VLAPIC_DECODE_OP_MOVS) {
        set_accumulator(p);
    }
    insn->base = source ? RSI : RDI;
    insn->repeat = p->repeat;
    default_segment(p);
    if (!source) {
        insn->segment = VLAPIC_DECODE_ES;
    }
    return VLAPIC_DECODE_DONE;
}

enum vlapic_decode_status vlapic_decode_take_operands(struct vlapic_decode_parser *p)
{
    enum vlapic_decode_status status;

    switch (p->opcode.form) {
    case FORM_NONE:
        return VLAPIC_DECODE_UNSUPPORTED;
    case FORM_LOAD_OFFSET:
    case FORM_STORE_OFFSET:
        return take_offset(p);
    case FORM_STRING:
        return set_string(p);
    default:
        status = take_modrm(p);
        break;
    }
    if (status == VLAPIC_DECODE_DONE && p->opcode.form == FORM_MEMORY_IMMEDIATE) {
        status = take_immediate(p);
    }
    return status;
}
