/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access decoder on any bytes, with a guest whose registers and memory come from the input, too.
 *
 * input: settings, failing callbacks, count, bytes of the instruction, registers, what reads give.
 */
#include <stdlib.h>
#include <string.h>

#include <vlapic/decode.h>

#include "input.h"
#include "machine.h"

#define MAX_BYTES 20u
#define MAX_ITERATIONS 8u
#define REGISTERS 18u
#define STATUS_FLAGS 0x8D5u

/* Settings, above two bits for the mode. */
#define WRONG_DIRECTION (1u << 2)
#define NO_SEGMENT_BASE (1u << 3)
#define NO_MEMORY (1u << 4)
#define ANY_ADDRESS (1u << 5)
#define MOVS_WRITES (1u << 6)

enum call { APIC_READ, APIC_WRITE, MEMORY_READ, MEMORY_WRITE, CALLS };

struct guest {
    struct fuzz_input *in;
    uint64_t reg[REGISTERS];
    uint8_t failing; /* a bit each of enum call */
    unsigned calls[CALLS];
    unsigned asked; /* any callback */
    bool written;
};

/* Decoding. The bytes lie in a block of their own, so that a sanitizer sees each read beyond them. */
static enum vlapic_decode_status parse(unsigned mode, const uint8_t *bytes, size_t count,
                                       struct vlapic_decode_insn *insn)
{
    uint8_t *exact = malloc(count + (count == 0));
    enum vlapic_decode_status status;

    MUST(exact != NULL);
    memcpy(exact, bytes, count);
    status = vlapic_decode_parse((enum vlapic_decode_mode)mode, exact, count, insn);
    free(exact);
    return status;
}

static bool is_width(unsigned width)
{
    return width == 1 || width == 2 || width == 4 || width == 8;
}

static void check_operands(const struct vlapic_decode_insn *insn)
{
    MUST(is_width(insn->width) && is_width(insn->other_width) && insn->other_width >= insn->width);
    MUST(is_width(insn->address_width) && insn->address_width != 1);
    MUST(insn->reg < 16 || insn->reg == VLAPIC_DECODE_NO_REGISTER);
    MUST((insn->reg < 16) == (insn->other == VLAPIC_DECODE_OTHER_REGISTER));
    MUST(insn->base <= VLAPIC_DECODE_RIP || insn->base == VLAPIC_DECODE_NO_REGISTER);
    MUST(insn->index < 16 || insn->index == VLAPIC_DECODE_NO_REGISTER);
    MUST(insn->scale < 4 && (unsigned)insn->segment <= VLAPIC_DECODE_GS);
    if (insn->mode != VLAPIC_DECODE_MODE_64) {
        MUST(insn->width < 8 && insn->other_width < 8 && insn->address_width < 8);
        MUST(insn->base < 8 || insn->base == VLAPIC_DECODE_NO_REGISTER);
        MUST(insn->reg < 8 || insn->reg == VLAPIC_DECODE_NO_REGISTER);
    }
}

static void check_insn(const struct vlapic_decode_insn *insn, size_t count)
{
    unsigned both = VLAPIC_DECODE_READ | VLAPIC_DECODE_WRITE;

    MUST(insn->length >= 1 && insn->length <= 15 && insn->length <= count);
    MUST(insn->access != 0 && (insn->access & ~both) == 0);
    MUST((unsigned)insn->operation >= VLAPIC_DECODE_OP_ADD && (unsigned)insn->operation <= VLAPIC_DECODE_OP_SCAS);
    MUST(!insn->lock || insn->access == both);
    MUST(insn->repeat == VLAPIC_DECODE_ONCE || insn->operation >= VLAPIC_DECODE_OP_MOVS);
    check_operands(insn);
}

/* With ever more bytes: truncated until the result is there, which then stays. */
static void check_prefixes(unsigned mode, const uint8_t *bytes, size_t count, enum vlapic_decode_status status,
                           const struct vlapic_decode_insn *insn)
{
    bool is_known = false;

    for (size_t n = 0; n < count; n++) {
        struct vlapic_decode_insn shorter;
        enum vlapic_decode_status result = parse(mode, bytes, n, &shorter);

        MUST(is_known ? result == status : result == status || result == VLAPIC_DECODE_TRUNCATED);
        is_known = result != VLAPIC_DECODE_TRUNCATED;
        if (result == VLAPIC_DECODE_DONE) {
            MUST(n >= insn->length && memcmp(&shorter, insn, sizeof(shorter)) == 0);
        } else if (status == VLAPIC_DECODE_DONE) {
            MUST(n < insn->length);
        }
    }
}

/* The guest. */

static uint64_t read_register(void *cookie, uint32_t reg)
{
    struct guest *g = cookie;

    MUST(reg < REGISTERS);
    g->asked++;
    return g->reg[reg];
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    struct guest *g = cookie;

    MUST(reg < 16 || reg == VLAPIC_DECODE_RFLAGS);
    MUST(reg < 16 || ((g->reg[reg] ^ value) & ~(uint64_t)STATUS_FLAGS) == 0);
    g->asked++;
    g->reg[reg] = value;
}

static uint64_t segment_base(void *cookie, enum vlapic_decode_segment segment)
{
    struct guest *g = cookie;

    MUST((unsigned)segment <= VLAPIC_DECODE_GS);
    g->asked++;
    return g->reg[segment] ^ 0x1000;
}

static bool called(struct guest *g, enum call call)
{
    g->asked++;
    g->calls[call]++;
    return (g->failing >> call & 1u) == 0;
}

static bool read_bytes(struct guest *g, enum call call, uint32_t width, uint64_t *value)
{
    MUST(is_width(width));
    if (!called(g, call)) {
        return false;
    }
    *value = fuzz_u64(g->in);
    return true;
}

static bool write_bytes(struct guest *g, enum call call, uint32_t width, uint64_t value)
{
    MUST(is_width(width) && (width == 8 || value >> (8 * width) == 0));
    if (!called(g, call)) {
        return false;
    }
    g->written = true;
    return true;
}

static bool apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    MUST(offset + width <= 4096);
    return read_bytes(cookie, APIC_READ, width, value);
}

static bool apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    MUST(offset + width <= 4096);
    return write_bytes(cookie, APIC_WRITE, width, value);
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    MUST((unsigned)address->segment <= VLAPIC_DECODE_GS);
    return read_bytes(cookie, MEMORY_READ, width, value);
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    MUST(address->segment == VLAPIC_DECODE_ES);
    return write_bytes(cookie, MEMORY_WRITE, width, value);
}

static struct vlapic_decode_ops ops_of(unsigned settings)
{
    struct vlapic_decode_ops ops = { .size = sizeof(ops),
                                     .abi = VLAPIC_DECODE_ABI,
                                     .read_register = read_register,
                                     .write_register = write_register,
                                     .apic_read = apic_read,
                                     .apic_write = apic_write };

    if ((settings & NO_SEGMENT_BASE) == 0) {
        ops.segment_base = segment_base;
    }
    if ((settings & NO_MEMORY) == 0) {
        ops.memory_read = memory_read;
        ops.memory_write = memory_write;
    }
    return ops;
}

/* Each operand is touched once, and what is not reported as done has changed nothing. */
static void check_run(const struct vlapic_decode_insn *insn, const struct guest *before, const struct guest *g,
                      enum vlapic_decode_status status)
{
    MUST(g->calls[APIC_READ] <= 1 && g->calls[APIC_WRITE] <= 1);
    MUST(g->calls[MEMORY_READ] + g->calls[MEMORY_WRITE] <= 1);
    MUST((insn->access & VLAPIC_DECODE_READ) != 0 || g->calls[APIC_READ] + g->calls[MEMORY_READ] == 0);
    MUST((insn->access & VLAPIC_DECODE_WRITE) != 0 || g->calls[APIC_WRITE] + g->calls[MEMORY_WRITE] == 0);
    MUST(status != VLAPIC_DECODE_INVALID && status != VLAPIC_DECODE_TRUNCATED);
    MUST(status != VLAPIC_DECODE_AGAIN || insn->repeat != VLAPIC_DECODE_ONCE);
    if (status != VLAPIC_DECODE_DONE && status != VLAPIC_DECODE_AGAIN) {
        MUST(!g->written && memcmp(before->reg, g->reg, sizeof(g->reg)) == 0);
    }
    if (status == VLAPIC_DECODE_MISMATCH || status == VLAPIC_DECODE_UNSUPPORTED) {
        MUST(g->calls[APIC_READ] + g->calls[APIC_WRITE] + g->calls[MEMORY_READ] + g->calls[MEMORY_WRITE] == 0);
    }
}

static enum vlapic_decode_status run(const struct vlapic_decode_insn *insn, const struct vlapic_decode_ops *ops,
                                     struct guest *g, unsigned settings)
{
    struct vlapic_decode_address address = { .linear = 0 };
    bool is_movs = insn->operation == VLAPIC_DECODE_OP_MOVS;
    bool write = is_movs ? (settings & MOVS_WRITES) != 0 : (insn->access & VLAPIC_DECODE_WRITE) != 0;
    struct guest before;
    enum vlapic_decode_status status;

    write ^= (settings & WRONG_DIRECTION) != 0;
    MUST(vlapic_decode_address(insn, ops, g, write, &address) == VLAPIC_DECODE_DONE);
    memset(g->calls, 0, sizeof(g->calls));
    g->written = false;
    before = *g;
    status = vlapic_decode_execute(insn, ops, g, (settings & ANY_ADDRESS) != 0 ? fuzz_u64(g->in) : address.linear,
                                   write);
    check_run(insn, &before, g, status);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { .bytes = data, .left = size };
    struct guest g = { .in = &in };
    unsigned settings = fuzz_u8(&in), mode = settings & 3, iterations = 0;
    uint8_t bytes[MAX_BYTES] = { 0 };
    struct vlapic_decode_insn insn;
    struct vlapic_decode_ops ops = ops_of(settings);
    enum vlapic_decode_status status;
    size_t count;

    g.failing = fuzz_u8(&in);
    count = fuzz_below(&in, MAX_BYTES + 1);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = fuzz_u8(&in);
    }
    status = parse(mode, bytes, count, &insn);
    MUST((status == VLAPIC_DECODE_INVALID) == (mode == 3));
    check_prefixes(mode, bytes, count, status, &insn);
    if (status != VLAPIC_DECODE_DONE) {
        MUST(vlapic_decode_execute(&insn, &ops, &g, 0, false) == VLAPIC_DECODE_INVALID && g.asked == 0);
        return 0;
    }
    check_insn(&insn, count);
    for (unsigned i = 0; i < REGISTERS; i++) {
        g.reg[i] = fuzz_u64(&in);
    }
    while (run(&insn, &ops, &g, settings) == VLAPIC_DECODE_AGAIN && ++iterations < MAX_ITERATIONS) {
    }
    return 0;
}
