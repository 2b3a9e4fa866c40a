/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Results and status flags, pure. Intel SDM 1, "Status Flags", and appendix "EFLAGS Cross-Reference".
 */
#include "vlapic_decode_internal.h"

#define STATUS_FLAGS ((uint64_t)(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF))

/* One operation under way: operands cut to the width, the carry that goes in and the flags that come out. */
struct sum {
    uint64_t a, b, carry;
    uint64_t result;
    uint32_t width;
    uint32_t flags;
};

static uint32_t flag_if(bool condition, uint32_t flag)
{
    return condition ? flag : 0;
}

static bool even_parity(uint64_t value)
{
    uint32_t byte = (uint32_t)value & 0xFF;

    byte ^= byte >> 4;
    byte ^= byte >> 2;
    byte ^= byte >> 1;
    return (byte & 1) == 0;
}

static void add(struct sum *s)
{
    s->result = (s->a + s->b + s->carry) & width_mask(s->width);
    s->flags = flag_if(s->result < s->a || (s->carry != 0 && s->result == s->a), FLAG_CF) |
               flag_if(((s->a ^ s->result) & (s->b ^ s->result) & top_bit(s->width)) != 0, FLAG_OF) |
               ((uint32_t)(s->a ^ s->b ^ s->result) & FLAG_AF);
}

static void subtract(struct sum *s)
{
    s->result = (s->a - s->b - s->carry) & width_mask(s->width);
    s->flags = flag_if(s->a < s->b || (s->carry != 0 && s->a == s->b), FLAG_CF) |
               flag_if(((s->a ^ s->b) & (s->a ^ s->result) & top_bit(s->width)) != 0, FLAG_OF) |
               ((uint32_t)(s->a ^ s->b ^ s->result) & FLAG_AF);
}

static void step(struct sum *s, void (*by)(struct sum *), uint64_t rflags)
{
    s->b = 1;
    by(s);
    s->flags = (s->flags & ~FLAG_CF) | ((uint32_t)rflags & FLAG_CF);
}

static void negate(struct sum *s)
{
    s->b = s->a;
    s->a = 0;
    subtract(s);
}

static void calculate(enum vlapic_decode_operation operation, struct sum *s, uint64_t rflags)
{
    switch (operation) {
    case VLAPIC_DECODE_OP_ADC:
        s->carry = rflags & FLAG_CF;
        add(s);
        break;
    case VLAPIC_DECODE_OP_ADD:
        add(s);
        break;
    case VLAPIC_DECODE_OP_SBB:
        s->carry = rflags & FLAG_CF;
        subtract(s);
        break;
    case VLAPIC_DECODE_OP_AND:
    case VLAPIC_DECODE_OP_TEST:
        s->result = s->a & s->b;
        break;
    case VLAPIC_DECODE_OP_OR:
        s->result = s->a | s->b;
        break;
    case VLAPIC_DECODE_OP_XOR:
        s->result = s->a ^ s->b;
        break;
    case VLAPIC_DECODE_OP_INC:
        step(s, add, rflags);
        break;
    case VLAPIC_DECODE_OP_DEC:
        step(s, subtract, rflags);
        break;
    case VLAPIC_DECODE_OP_NEG:
        negate(s);
        break;
    default: /* SUB, CMP, SCAS */
        subtract(s);
        break;
    }
}

uint64_t vlapic_decode_alu(enum vlapic_decode_operation operation, uint32_t width, uint64_t a, uint64_t b,
                           uint64_t *rflags)
{
    struct sum s = { .a = a & width_mask(width), .b = b & width_mask(width), .width = width };

    if (operation == VLAPIC_DECODE_OP_NOT) {
        return s.a ^ width_mask(width);
    }
    calculate(operation, &s, *rflags);
    s.flags |= flag_if(s.result == 0, FLAG_ZF) | flag_if((s.result & top_bit(width)) != 0, FLAG_SF) |
               flag_if(even_parity(s.result), FLAG_PF);
    *rflags = (*rflags & ~STATUS_FLAGS) | s.flags;
    return s.result;
}

uint64_t vlapic_decode_alu_bit(enum vlapic_decode_operation operation, uint32_t width, uint64_t a, uint64_t offset,
                               uint64_t *rflags)
{
    uint64_t bit = 1ull << (offset & (8 * width - 1) & 63);

    *rflags = (*rflags & ~(uint64_t)FLAG_CF) | flag_if((a & bit) != 0, FLAG_CF);
    switch (operation) {
    case VLAPIC_DECODE_OP_BTS:
        return a | bit;
    case VLAPIC_DECODE_OP_BTR:
        return a & ~bit;
    case VLAPIC_DECODE_OP_BTC:
        return a ^ bit;
    default: /* BT */
        return a;
    }
}
