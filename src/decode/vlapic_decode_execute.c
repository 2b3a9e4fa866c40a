/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finishing an instruction through the embedder's callbacks. Everything that can fail comes before the first change: a read of an
 * APIC register has no side effect, so it may be followed by a write that fails.
 */
#include "vlapic_decode_internal.h"

#define PAGE_BYTES 4096u

struct run {
    const struct vlapic_decode_insn *insn;
    struct vlapic_decode_ops ops;
    void *cookie;
    uint32_t offset; /* of the APIC's operand in its page */
    bool write;      /* of MOVS: the destination is the APIC's */
};

static uint64_t read_register(const struct run *run, uint32_t reg)
{
    return run->ops.read_register(run->cookie, reg);
}

/* Writes of 32 bits clear the upper half; shorter ones leave the rest. Intel SDM 1, "General-Purpose Registers in 64-Bit Mode". */
static void write_register(const struct run *run, uint32_t reg, uint32_t width, uint64_t value)
{
    uint64_t keep = width < 4 ? ~width_mask(width) : 0;

    if (keep != 0) {
        value = (value & ~keep) | (read_register(run, reg) & keep);
    }
    run->ops.write_register(run->cookie, reg, value & (width_mask(width) | keep));
}

static uint64_t read_other(const struct run *run)
{
    uint64_t value;

    if (run->insn->other != VLAPIC_DECODE_OTHER_REGISTER) {
        return run->insn->immediate;
    }
    value = read_register(run, run->insn->reg);
    return run->insn->high_byte ? value >> 8 : value;
}

static void write_other(const struct run *run, uint64_t value)
{
    uint64_t whole;

    if (!run->insn->high_byte) {
        write_register(run, run->insn->reg, run->insn->other_width, value);
        return;
    }
    whole = read_register(run, run->insn->reg) & ~(uint64_t)0xFF00;
    run->ops.write_register(run->cookie, run->insn->reg, whole | (value & 0xFF) << 8);
}

static bool is_movs(const struct run *run)
{
    return run->insn->operation == VLAPIC_DECODE_OP_MOVS;
}

/* The memory operand's value, upper bits zero. */
static bool load(const struct run *run, uint64_t *value)
{
    uint32_t width = run->insn->width;
    struct vlapic_decode_address address;
    bool done;

    if (is_movs(run) && run->write) {
        vlapic_decode_locate(run->insn, &run->ops, run->cookie, false, &address);
        done = run->ops.memory_read(run->cookie, &address, width, value);
    } else {
        done = run->ops.apic_read(run->cookie, run->offset, width, value);
    }
    *value &= width_mask(width);
    return done;
}

static bool store(const struct run *run, uint64_t value)
{
    uint32_t width = run->insn->width;
    struct vlapic_decode_address address;

    value &= width_mask(width);
    if (is_movs(run) && !run->write) {
        vlapic_decode_locate(run->insn, &run->ops, run->cookie, true, &address);
        return run->ops.memory_write(run->cookie, &address, width, value);
    }
    return run->ops.apic_write(run->cookie, run->offset, width, value);
}

/* MOV in either direction, MOVZX, MOVSX, STOS, LODS. */
static bool move(const struct run *run)
{
    uint64_t value = 0;

    if (run->insn->memory_first) {
        return store(run, read_other(run));
    }
    if (!load(run, &value)) {
        return false;
    }
    if (run->insn->operation == VLAPIC_DECODE_OP_MOVSX) {
        value = sign_extend(value, run->insn->width);
    }
    write_other(run, value);
    return true;
}

static bool copy(const struct run *run)
{
    uint64_t value = 0;

    return load(run, &value) && store(run, value);
}

static bool exchange(const struct run *run)
{
    uint64_t value = 0;

    if (!load(run, &value) || !store(run, read_other(run))) {
        return false;
    }
    write_other(run, value);
    return true;
}

static bool test_bit(const struct run *run)
{
    uint64_t rflags = read_register(run, VLAPIC_DECODE_RFLAGS);
    uint64_t value = 0;

    if (!load(run, &value)) {
        return false;
    }
    value = vlapic_decode_alu_bit(run->insn->operation, run->insn->width, value, read_other(run), &rflags);
    if ((run->insn->access & VLAPIC_DECODE_WRITE) != 0 && !store(run, value)) {
        return false;
    }
    run->ops.write_register(run->cookie, VLAPIC_DECODE_RFLAGS, rflags);
    return true;
}

/* Whether a register is the destination: not of CMP and SCAS, which keep the flags alone. */
static bool writes_other(const struct vlapic_decode_insn *insn)
{
    return !insn->memory_first && insn->operation != VLAPIC_DECODE_OP_CMP && insn->operation != VLAPIC_DECODE_OP_SCAS;
}

static bool calculate(const struct run *run)
{
    const struct vlapic_decode_insn *insn = run->insn;
    uint64_t rflags = read_register(run, VLAPIC_DECODE_RFLAGS);
    uint64_t other = read_other(run);
    uint64_t value = 0;

    if (!load(run, &value)) {
        return false;
    }
    value = vlapic_decode_alu(insn->operation, insn->width, insn->memory_first ? value : other,
                              insn->memory_first ? other : value, &rflags);
    if ((insn->access & VLAPIC_DECODE_WRITE) != 0 && !store(run, value)) {
        return false;
    }
    if (writes_other(insn)) {
        write_other(run, value);
    }
    run->ops.write_register(run->cookie, VLAPIC_DECODE_RFLAGS, rflags);
    return true;
}

static bool carry_out(const struct run *run)
{
    switch (run->insn->operation) {
    case VLAPIC_DECODE_OP_MOV:
    case VLAPIC_DECODE_OP_MOVZX:
    case VLAPIC_DECODE_OP_MOVSX:
    case VLAPIC_DECODE_OP_STOS:
    case VLAPIC_DECODE_OP_LODS:
        return move(run);
    case VLAPIC_DECODE_OP_MOVS:
        return copy(run);
    case VLAPIC_DECODE_OP_XCHG:
        return exchange(run);
    case VLAPIC_DECODE_OP_BT:
    case VLAPIC_DECODE_OP_BTS:
    case VLAPIC_DECODE_OP_BTR:
    case VLAPIC_DECODE_OP_BTC:
        return test_bit(run);
    default:
        return calculate(run);
    }
}

/* Moves a counter or pointer of a string instruction, in the address size. */
static uint64_t advance(const struct run *run, uint32_t reg, uint64_t delta)
{
    uint64_t value = read_register(run, reg) + delta;

    write_register(run, reg, run->insn->address_width, value);
    return value & width_mask(run->insn->address_width);
}

/* What follows the element of a string instruction. Intel SDM 2B, "REP/REPE/REPZ/REPNE/REPNZ-Repeat String Operation Prefix". */
static enum vlapic_decode_status next_element(const struct run *run)
{
    const struct vlapic_decode_insn *insn = run->insn;
    uint64_t rflags = read_register(run, VLAPIC_DECODE_RFLAGS);
    uint64_t delta = (rflags & FLAG_DF) != 0 ? 0ull - insn->width : insn->width;
    bool equal = (rflags & FLAG_ZF) != 0;

    if (insn->base == RSI) {
        advance(run, RSI, delta);
    }
    if (insn->base == RDI || is_movs(run)) {
        advance(run, RDI, delta);
    }
    if (insn->repeat == VLAPIC_DECODE_ONCE || advance(run, RCX, UINT64_MAX) == 0) {
        return VLAPIC_DECODE_DONE;
    }
    if (insn->operation == VLAPIC_DECODE_OP_SCAS && equal != (insn->repeat == VLAPIC_DECODE_REPE)) {
        return VLAPIC_DECODE_DONE;
    }
    return VLAPIC_DECODE_AGAIN;
}

static bool is_string(const struct vlapic_decode_insn *insn)
{
    switch (insn->operation) {
    case VLAPIC_DECODE_OP_MOVS:
    case VLAPIC_DECODE_OP_STOS:
    case VLAPIC_DECODE_OP_LODS:
    case VLAPIC_DECODE_OP_SCAS:
        return true;
    default:
        return false;
    }
}

static bool count_is_zero(const struct run *run)
{
    return run->insn->repeat != VLAPIC_DECODE_ONCE &&
           (read_register(run, RCX) & width_mask(run->insn->address_width)) == 0;
}

/* The code may have changed between the exit and the fetch, so the instruction need not be the one that exited. */
static enum vlapic_decode_status check_exit(const struct run *run)
{
    const struct vlapic_decode_insn *insn = run->insn;
    struct vlapic_decode_address address;
    uint32_t start;

    if (is_movs(run) && (run->write ? run->ops.memory_read == NULL : run->ops.memory_write == NULL)) {
        return VLAPIC_DECODE_UNSUPPORTED;
    }
    vlapic_decode_locate(insn, &run->ops, run->cookie, run->write, &address);
    start = (uint32_t)address.linear & (PAGE_BYTES - 1);
    if (start + insn->width > PAGE_BYTES) {
        return VLAPIC_DECODE_UNSUPPORTED;
    }
    if (start != run->offset || (insn->access & (run->write ? VLAPIC_DECODE_WRITE : VLAPIC_DECODE_READ)) == 0) {
        return VLAPIC_DECODE_MISMATCH;
    }
    return VLAPIC_DECODE_DONE;
}

enum vlapic_decode_status vlapic_decode_execute(const struct vlapic_decode_insn *insn,
                                                const struct vlapic_decode_ops *ops, void *cookie, uint64_t guest_phys,
                                                bool write)
{
    struct run run = { .insn = insn, .cookie = cookie, .write = write };
    enum vlapic_decode_status status;

    if (!vlapic_decode_usable(insn, ops, &run.ops)) {
        return VLAPIC_DECODE_INVALID;
    }
    run.offset = (uint32_t)guest_phys & (PAGE_BYTES - 1);
    if (count_is_zero(&run)) {
        return VLAPIC_DECODE_DONE;
    }
    status = check_exit(&run);
    if (status != VLAPIC_DECODE_DONE) {
        return status;
    }
    if (!carry_out(&run)) {
        return VLAPIC_DECODE_FAULT;
    }
    return is_string(insn) ? next_element(&run) : VLAPIC_DECODE_DONE;
}
