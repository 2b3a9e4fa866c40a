/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of the access decoder. All of it is pure but for the embedder's callbacks; widths are in bytes.
 */
#ifndef VLAPIC_DECODE_INTERNAL_H
#define VLAPIC_DECODE_INTERNAL_H

#include <vlapic/decode.h>

/* Register numbers that instructions imply. */
enum { RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7, NONE = VLAPIC_DECODE_NO_REGISTER };

/* How the operands are encoded, and which of them comes first. */
enum vlapic_decode_form {
    FORM_NONE = 0, /* not supported */
    FORM_MEMORY_REGISTER,
    FORM_REGISTER_MEMORY,
    FORM_MEMORY_IMMEDIATE,
    FORM_MEMORY,
    FORM_GROUP,       /* the reg field of ModR/M chooses a row of a group */
    FORM_LOAD_OFFSET, /* accumulator and an address in the instruction */
    FORM_STORE_OFFSET,
    FORM_STRING
};

/* Flags of an opcode. */
#define OPCODE_BYTE (1u << 0)     /* the memory operand has one byte */
#define OPCODE_WORD (1u << 1)     /* two, whatever the operand size */
#define OPCODE_DOUBLE (1u << 2)   /* four */
#define OPCODE_EXTENDS (1u << 3)  /* the register operand has the operand size nevertheless */
#define OPCODE_IMM8 (1u << 4)     /* the immediate has one byte */
#define OPCODE_ONLY_64 (1u << 5)  /* another instruction outside 64-bit code */
#define OPCODE_NEVER_64 (1u << 6) /* none in 64-bit code */

struct vlapic_decode_opcode {
    uint8_t form;
    uint8_t operation; /* enum vlapic_decode_operation; of FORM_GROUP: the group */
    uint8_t flags;
};

#define REX_B (1u << 0)
#define REX_X (1u << 1)
#define REX_R (1u << 2)
#define REX_W (1u << 3)

/* An instruction on its way from bytes to *insn. */
struct vlapic_decode_parser {
    const uint8_t *bytes;
    uint32_t count; /* at most VLAPIC_DECODE_MAX_LENGTH */
    uint32_t at;    /* at most count */
    struct vlapic_decode_insn *insn;
    struct vlapic_decode_opcode opcode;
    uint8_t rex; /* 0: none. Of a byte register, its presence alone has a meaning. */
    bool operand_size;
    bool address_size;
    bool segment_given;
    enum vlapic_decode_repeat repeat;
};

/* vlapic_decode.c: the next `width` bytes, little-endian; zero if they are not there. */
enum vlapic_decode_status vlapic_decode_take(struct vlapic_decode_parser *p, uint32_t width, uint64_t *value);
enum vlapic_decode_status vlapic_decode_take_signed(struct vlapic_decode_parser *p, uint32_t width, uint64_t *value);

/* vlapic_decode_operand.c: all that follows the opcode. */
enum vlapic_decode_status vlapic_decode_take_operands(struct vlapic_decode_parser *p);

/* vlapic_decode_table.c */
struct vlapic_decode_opcode vlapic_decode_opcode(bool has_escape, uint8_t opcode);
struct vlapic_decode_opcode vlapic_decode_group(struct vlapic_decode_opcode opcode, uint32_t reg);

/* vlapic_decode_alu.c: the result, `width` bytes wide; status flags in *rflags are replaced. */
uint64_t vlapic_decode_alu(enum vlapic_decode_operation operation, uint32_t width, uint64_t a, uint64_t b,
                           uint64_t *rflags);
uint64_t vlapic_decode_alu_bit(enum vlapic_decode_operation operation, uint32_t width, uint64_t a, uint64_t offset,
                               uint64_t *rflags);

/* vlapic_decode_address.c */
bool vlapic_decode_usable(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops,
                          struct vlapic_decode_ops *usable);
void vlapic_decode_locate(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops, void *cookie,
                          bool write, struct vlapic_decode_address *address);

/* RFLAGS, Intel SDM 1, "EFLAGS Register". */
#define FLAG_CF (1u << 0)
#define FLAG_PF (1u << 2)
#define FLAG_AF (1u << 4)
#define FLAG_ZF (1u << 6)
#define FLAG_SF (1u << 7)
#define FLAG_DF (1u << 10)
#define FLAG_OF (1u << 11)

static inline bool is_64(const struct vlapic_decode_insn *insn)
{
    return insn->mode == VLAPIC_DECODE_MODE_64;
}

static inline uint64_t width_mask(uint32_t width)
{
    return width < 8 ? (1ull << (8 * width)) - 1 : UINT64_MAX;
}

static inline uint64_t top_bit(uint32_t width)
{
    return width_mask(width) ^ (width_mask(width) >> 1);
}

static inline uint64_t sign_extend(uint64_t value, uint32_t width)
{
    return ((value & width_mask(width)) ^ top_bit(width)) - top_bit(width);
}

#endif
