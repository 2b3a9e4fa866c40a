/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opcodes that are decoded. Intel SDM 2D, appendix "Opcode Map"; its "Opcode Extensions for One-Byte and Two-Byte Opcodes" are
 * the groups here.
 */
#include "vlapic_decode_internal.h"

#define OP(name) VLAPIC_DECODE_OP_##name

enum group { GROUP_ARITHMETIC, GROUP_UNARY, GROUP_STEP, GROUP_MOV, GROUP_BIT, GROUPS = 8 };

/* The first four of the eight opcodes that each arithmetic operation has; the others have no memory operand. */
#define ARITHMETIC(first, name)                                                                                        \
    [(first)] = { FORM_MEMORY_REGISTER, OP(name), OPCODE_BYTE },                                                       \
    [(first) + 1] = { FORM_MEMORY_REGISTER, OP(name), 0 },                                                             \
    [(first) + 2] = { FORM_REGISTER_MEMORY, OP(name), OPCODE_BYTE },                                                   \
    [(first) + 3] = { FORM_REGISTER_MEMORY, OP(name), 0 }

/* An opcode for bytes, and the next one for the operand size. */
#define PAIR(first, form, operation)                                                                                   \
    [(first)] = { form, operation, OPCODE_BYTE }, [(first) + 1] = { form, operation, 0 }

/* clang-format off */
static const struct vlapic_decode_opcode one_byte[256] = {
    ARITHMETIC(0x00, ADD), ARITHMETIC(0x08, OR), ARITHMETIC(0x10, ADC), ARITHMETIC(0x18, SBB),
    ARITHMETIC(0x20, AND), ARITHMETIC(0x28, SUB), ARITHMETIC(0x30, XOR), ARITHMETIC(0x38, CMP),
    [0x63] = { FORM_REGISTER_MEMORY, OP(MOVSX), OPCODE_DOUBLE | OPCODE_EXTENDS | OPCODE_ONLY_64 },
    PAIR(0x80, FORM_GROUP, GROUP_ARITHMETIC),
    [0x82] = { FORM_GROUP, GROUP_ARITHMETIC, OPCODE_BYTE | OPCODE_NEVER_64 },
    [0x83] = { FORM_GROUP, GROUP_ARITHMETIC, OPCODE_IMM8 },
    PAIR(0x84, FORM_MEMORY_REGISTER, OP(TEST)),
    PAIR(0x86, FORM_MEMORY_REGISTER, OP(XCHG)),
    PAIR(0x88, FORM_MEMORY_REGISTER, OP(MOV)),
    PAIR(0x8A, FORM_REGISTER_MEMORY, OP(MOV)),
    PAIR(0xA0, FORM_LOAD_OFFSET, OP(MOV)),
    PAIR(0xA2, FORM_STORE_OFFSET, OP(MOV)),
    PAIR(0xA4, FORM_STRING, OP(MOVS)),
    PAIR(0xAA, FORM_STRING, OP(STOS)),
    PAIR(0xAC, FORM_STRING, OP(LODS)),
    PAIR(0xAE, FORM_STRING, OP(SCAS)),
    PAIR(0xC6, FORM_GROUP, GROUP_MOV),
    PAIR(0xF6, FORM_GROUP, GROUP_UNARY),
    PAIR(0xFE, FORM_GROUP, GROUP_STEP),
};

static const struct vlapic_decode_opcode two_byte[256] = {
    [0xA3] = { FORM_MEMORY_REGISTER, OP(BT), 0 },
    [0xAB] = { FORM_MEMORY_REGISTER, OP(BTS), 0 },
    [0xB3] = { FORM_MEMORY_REGISTER, OP(BTR), 0 },
    [0xB6] = { FORM_REGISTER_MEMORY, OP(MOVZX), OPCODE_BYTE | OPCODE_EXTENDS },
    [0xB7] = { FORM_REGISTER_MEMORY, OP(MOVZX), OPCODE_WORD | OPCODE_EXTENDS },
    [0xBA] = { FORM_GROUP, GROUP_BIT, OPCODE_IMM8 },
    [0xBB] = { FORM_MEMORY_REGISTER, OP(BTC), 0 },
    [0xBE] = { FORM_REGISTER_MEMORY, OP(MOVSX), OPCODE_BYTE | OPCODE_EXTENDS },
    [0xBF] = { FORM_REGISTER_MEMORY, OP(MOVSX), OPCODE_WORD | OPCODE_EXTENDS },
};

static const struct vlapic_decode_opcode groups[GROUPS][8] = {
    [GROUP_ARITHMETIC] = {
        { FORM_MEMORY_IMMEDIATE, OP(ADD), 0 }, { FORM_MEMORY_IMMEDIATE, OP(OR), 0 },
        { FORM_MEMORY_IMMEDIATE, OP(ADC), 0 }, { FORM_MEMORY_IMMEDIATE, OP(SBB), 0 },
        { FORM_MEMORY_IMMEDIATE, OP(AND), 0 }, { FORM_MEMORY_IMMEDIATE, OP(SUB), 0 },
        { FORM_MEMORY_IMMEDIATE, OP(XOR), 0 }, { FORM_MEMORY_IMMEDIATE, OP(CMP), 0 },
    },
    /* /1 is in AMD's map alone, but processors of both vendors take it for /0. */
    [GROUP_UNARY] = {
        { FORM_MEMORY_IMMEDIATE, OP(TEST), 0 }, { FORM_MEMORY_IMMEDIATE, OP(TEST), 0 },
        { FORM_MEMORY, OP(NOT), 0 }, { FORM_MEMORY, OP(NEG), 0 },
    },
    [GROUP_STEP] = { { FORM_MEMORY, OP(INC), 0 }, { FORM_MEMORY, OP(DEC), 0 } },
    [GROUP_MOV] = { { FORM_MEMORY_IMMEDIATE, OP(MOV), 0 } },
    [GROUP_BIT] = {
        [4] = { FORM_MEMORY_IMMEDIATE, OP(BT), 0 }, [5] = { FORM_MEMORY_IMMEDIATE, OP(BTS), 0 },
        [6] = { FORM_MEMORY_IMMEDIATE, OP(BTR), 0 }, [7] = { FORM_MEMORY_IMMEDIATE, OP(BTC), 0 },
    },
};
/* clang-format on */

struct vlapic_decode_opcode vlapic_decode_opcode(bool has_escape, uint8_t opcode)
{
    return has_escape ? two_byte[opcode] : one_byte[opcode];
}

/* A row says what is done; the width is the opcode's. */
struct vlapic_decode_opcode vlapic_decode_group(struct vlapic_decode_opcode opcode, uint32_t reg)
{
    struct vlapic_decode_opcode row = groups[opcode.operation % GROUPS][reg & 7];

    row.flags = opcode.flags;
    return row;
}
