/* SPDX-License-Identifier: BSD-2-Clause */
/* See vlapic_window.h. */
#include "vlapic_window.h"

#define WINDOW_BYTES 0x1000u

/* The decoder's cookie is ours, to find the APIC; the embedder's callbacks want theirs. */
struct access {
    struct vlapic_cpu *cpu;
    const struct vlapic_decode_ops *guest;
    void *cookie;
};

static bool apic_read(void *cookie, uint32_t offset, uint32_t width, uint64_t *value)
{
    const struct access *access = cookie;

    return vlapic_cpu_mmio_read(access->cpu, offset, width, value) == VLAPIC_ACCESS_DONE;
}

static bool apic_write(void *cookie, uint32_t offset, uint32_t width, uint64_t value)
{
    const struct access *access = cookie;

    return vlapic_cpu_mmio_write(access->cpu, offset, width, value) == VLAPIC_ACCESS_DONE;
}

static uint64_t read_register(void *cookie, uint32_t reg)
{
    const struct access *access = cookie;

    return access->guest->read_register(access->cookie, reg);
}

static void write_register(void *cookie, uint32_t reg, uint64_t value)
{
    const struct access *access = cookie;

    access->guest->write_register(access->cookie, reg, value);
}

static uint64_t segment_base(void *cookie, enum vlapic_decode_segment segment)
{
    const struct access *access = cookie;

    return access->guest->segment_base(access->cookie, segment);
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    const struct access *access = cookie;

    return access->guest->memory_read(access->cookie, address, width, value);
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    const struct access *access = cookie;

    return access->guest->memory_write(access->cookie, address, width, value);
}

static enum vlapic_decode_status execute(struct access *access, const struct vlapic_decode_insn *insn,
                                         uint64_t guest_physical, uint32_t untold, bool write)
{
    const struct vlapic_decode_ops *guest = access->guest;
    const struct vlapic_decode_ops ops = {
        .size = sizeof(ops),
        .abi = VLAPIC_DECODE_ABI,
        .read_register = read_register,
        .write_register = write_register,
        .apic_read = apic_read,
        .apic_write = apic_write,
        .segment_base = guest->segment_base != NULL ? segment_base : NULL,
        .memory_read = guest->memory_read != NULL ? memory_read : NULL,
        .memory_write = guest->memory_write != NULL ? memory_write : NULL,
    };
    struct vlapic_decode_address operand;

    if (untold != 0 && vlapic_decode_address(insn, &ops, access, write, &operand) == VLAPIC_DECODE_DONE) {
        guest_physical = (guest_physical & ~(uint64_t)untold) | (operand.linear & untold);
    }
    return vlapic_decode_execute(insn, &ops, access, guest_physical, write);
}

bool vlapic_window_has(struct vlapic_cpu *cpu, uint64_t guest_physical)
{
    uint64_t base = vlapic_cpu_apic_base(cpu);

    return (base & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == VLAPIC_BASE_EN &&
           guest_physical - (base & ~(uint64_t)(WINDOW_BYTES - 1)) < WINDOW_BYTES;
}

enum vlapic_window_result vlapic_window_access(struct vlapic_cpu *cpu, const struct vlapic_window_host *host,
                                               uint64_t guest_physical, enum vlapic_window_direction direction,
                                               uint32_t *length)
{
    struct access access = { .cpu = cpu, .guest = host->guest, .cookie = vlapic_cpu_cookie(cpu) };
    uint8_t bytes[VLAPIC_DECODE_MAX_LENGTH];
    enum vlapic_decode_mode mode = VLAPIC_DECODE_MODE_64;
    struct vlapic_decode_insn insn;
    enum vlapic_decode_status status;
    size_t count;

    if (host->fetch == NULL) {
        return VLAPIC_WINDOW_UNSUPPORTED;
    }
    count = host->fetch(access.cookie, bytes, sizeof(bytes), &mode);
    status = vlapic_decode_parse(mode, bytes, count, &insn);
    if (status == VLAPIC_DECODE_DONE) {
        status = execute(&access, &insn, guest_physical, host->untold, direction == VLAPIC_WINDOW_WRITE);
        if (direction == VLAPIC_WINDOW_EITHER && status == VLAPIC_DECODE_MISMATCH) {
            status = execute(&access, &insn, guest_physical, host->untold, true);
        }
    }
    switch (status) {
    case VLAPIC_DECODE_DONE:
        *length = insn.length;
        return VLAPIC_WINDOW_DONE;
    case VLAPIC_DECODE_AGAIN:
    case VLAPIC_DECODE_FAULT:
    case VLAPIC_DECODE_MISMATCH:
        return VLAPIC_WINDOW_RESUME;
    default:
        return VLAPIC_WINDOW_UNSUPPORTED;
    }
}
