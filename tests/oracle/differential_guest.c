/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest does: registers through whichever door is open, wild accesses through all of them, and whole idioms. */
#include "differential_internal.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- both machines through one door ---- */

static void mmio_write(struct machine *m, unsigned cpu, uint32_t offset, uint32_t length, uint64_t value)
{
    say(m, "  mmio write %03Xh, %u bytes: %llXh\n", offset, length, (unsigned long long)value);
    compare_result(m, cpu, "result of MMIO write", oracle_mmio_write(&m->oracle.apic[cpu], offset, length, value),
                   vlapic_cpu_mmio_write(m->twin[cpu].cpu, offset, length, value));
}

static void mmio_read(struct machine *m, unsigned cpu, uint32_t offset, uint32_t length)
{
    uint64_t x = 0x5A5A, y = 0x5A5A;

    say(m, "  mmio read %03Xh, %u bytes\n", offset, length);
    compare_result(m, cpu, "result of MMIO read", oracle_mmio_read(&m->oracle.apic[cpu], offset, length, &x),
                   vlapic_cpu_mmio_read(m->twin[cpu].cpu, offset, length, &y));
    same(m, cpu, "value of MMIO read", x, y);
}

static void msr_write(struct machine *m, unsigned cpu, uint32_t msr, uint64_t value)
{
    say(m, "  wrmsr %Xh: %llXh\n", msr, (unsigned long long)value);
    compare_result(m, cpu, "result of WRMSR", oracle_msr_write(&m->oracle.apic[cpu], msr, value),
                   vlapic_cpu_msr_write(m->twin[cpu].cpu, msr, value));
}

static void msr_read(struct machine *m, unsigned cpu, uint32_t msr)
{
    uint64_t x = 0x5A5A, y = 0x5A5A;

    say(m, "  rdmsr %Xh\n", msr);
    compare_result(m, cpu, "result of RDMSR", oracle_msr_read(&m->oracle.apic[cpu], msr, &x),
                   vlapic_cpu_msr_read(m->twin[cpu].cpu, msr, &y));
    same(m, cpu, "value of RDMSR", x, y);
}

static void door_write(struct machine *m, unsigned cpu, uint32_t offset, uint32_t value)
{
    if (oracle_in_x2apic(&m->oracle.apic[cpu])) {
        msr_write(m, cpu, VLAPIC_MSR_OF(offset), value);
    } else {
        mmio_write(m, cpu, offset, 4, value);
    }
}

static void door_read(struct machine *m, unsigned cpu, uint32_t offset)
{
    if (oracle_in_x2apic(&m->oracle.apic[cpu])) {
        msr_read(m, cpu, VLAPIC_MSR_OF(offset));
    } else {
        mmio_read(m, cpu, offset, 4);
    }
}

/* ---- any register ---- */

/* Registers that can be written, with about the bits that may be: a mask that mostly avoids #GP. */
static const struct {
    uint32_t offset, bits;
} writables[] = {
    { VLAPIC_REG_TPR, 0xFF },
    { VLAPIC_REG_EOI, 0 },
    { VLAPIC_REG_LDR, 0xFF000000 },
    { VLAPIC_REG_DFR, 0xF0000000 },
    { VLAPIC_REG_SVR, 0x13FF },
    { VLAPIC_REG_ESR, 0 },
    { VLAPIC_REG_LVT_CMCI, 0x107FF },
    { VLAPIC_REG_ICR_LOW, 0xCCFFF },
    { VLAPIC_REG_ICR_HIGH, 0xFF000000 },
    { VLAPIC_REG_LVT_TIMER, 0x700FF },
    { VLAPIC_REG_LVT_THERMAL, 0x107FF },
    { VLAPIC_REG_LVT_PERF, 0x107FF },
    { VLAPIC_REG_LVT_LINT0, 0x1F7FF },
    { VLAPIC_REG_LVT_LINT1, 0x1F7FF },
    { VLAPIC_REG_LVT_ERROR, 0x100FF },
    { VLAPIC_REG_INITIAL_COUNT, 0xFFFFFFFF },
    { VLAPIC_REG_DIVIDE_CONFIG, 0xB },
    { VLAPIC_REG_SELF_IPI, 0xFF },
    { VLAPIC_REG_EXT_CONTROL, 7 },
    { VLAPIC_REG_SEOI, 0xFF },
    { VLAPIC_REG_IER, 0xFFFFFFFF },
    { VLAPIC_REG_IER + 0x10, 0xFFFFFFFF },
    { VLAPIC_REG_IER + 0x20, 0xFFFFFFFF },
    { VLAPIC_REG_IER + 0x70, 0xFFFFFFFF },
    { VLAPIC_REG_EXT_LVT, 0x107FF },
    { VLAPIC_REG_EXT_LVT + 0x10, 0x107FF },
    { VLAPIC_REG_EXT_LVT + 0x70, 0x107FF },
    { VLAPIC_REG_ID, 0xFF000000 },
    { VLAPIC_REG_VERSION, 0xFFFFFFFF },
    { VLAPIC_REG_PPR, 0xFF },
};

void op_register_write(struct machine *m, unsigned cpu)
{
    unsigned pick = fuzz_u8(&m->in) % COUNT(writables);
    uint8_t how = fuzz_u8(&m->in);
    uint32_t value = pick_word(&m->in);

    if ((how & 7) != 0) {
        value &= writables[pick].bits;
    }
    door_write(m, cpu, writables[pick].offset, value);
}

void op_register_read(struct machine *m, unsigned cpu)
{
    door_read(m, cpu, (uint32_t)fuzz_u8(&m->in) % 0x60 << 4);
}

/* All lengths, mostly about a slot's start; now and then past the window. */
static uint32_t pick_offset(struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    uint32_t offset = (uint32_t)fuzz_u8(in) << 4 | (byte & 15);

    if ((byte & 0xC0) == 0xC0) {
        return offset ^ fuzz_u32(in);
    }
    return (byte & 0x30) != 0 ? offset & ~15u : offset;
}

static uint32_t pick_length(struct fuzz_input *in)
{
    static const uint8_t lengths[] = { 4, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 4, 1, 2, 4, 8 };

    return lengths[fuzz_below(in, COUNT(lengths))];
}

void op_mmio_write(struct machine *m, unsigned cpu)
{
    uint32_t offset = pick_offset(&m->in), length = pick_length(&m->in), low = pick_word(&m->in);
    uint64_t high = length > 4 ? pick_word(&m->in) : 0;

    mmio_write(m, cpu, offset, length, high << 32 | low);
}

void op_mmio_read(struct machine *m, unsigned cpu)
{
    uint32_t offset = pick_offset(&m->in);

    mmio_read(m, cpu, offset, pick_length(&m->in));
}

static uint32_t pick_msr(struct fuzz_input *in)
{
    static const uint32_t msrs[] = { 0x1B, 0x6E0, 0x7FF, 0x900, 0x1A, 0x6E1, 0x10 };
    uint8_t byte = fuzz_u8(in);

    if ((byte & 3) != 0) {
        return 0x800u + (byte < 0xE0 ? fuzz_u8(in) % 0x60u : fuzz_u8(in));
    }
    byte >>= 2;
    return byte < COUNT(msrs) ? msrs[byte] : byte == 63 ? fuzz_u32(in) : 0x800u + byte;
}

void op_msr_write(struct machine *m, unsigned cpu)
{
    uint32_t msr = pick_msr(&m->in), low = pick_word(&m->in);
    uint8_t how = fuzz_u8(&m->in);
    uint64_t high = (how & 3) == 0 ? pick_word(&m->in) : 0;

    msr_write(m, cpu, msr, high << 32 | low);
}

void op_msr_read(struct machine *m, unsigned cpu)
{
    msr_read(m, cpu, pick_msr(&m->in));
}

/* ---- idioms ---- */

/* Modes, BSP bit, places of the window; with the top bit, a bit that may be reserved. */
void op_base(struct machine *m, unsigned cpu)
{
    static const uint64_t pages[] = { 0xFEE00000, 0xFEE00000, 0xFEE01000, 0 };
    uint8_t byte = fuzz_u8(&m->in);
    uint64_t value = pages[byte >> 3 & 3] | (uint64_t)(byte & 7) << 9;

    value = (value & ~(uint64_t)0x200) | ((byte & 1) != 0 ? VLAPIC_BASE_BSP : 0);
    if ((byte & 0x40) != 0) {
        /* The usual steps: one mode on, or back to the same page. */
        value = (m->oracle.apic[cpu].base & ~(uint64_t)0xF00) | (value & 0xF00);
    }
    if ((byte & 0xA0) == 0xA0) {
        value ^= UINT64_C(1) << (fuzz_u8(&m->in) & 63);
    }
    msr_write(m, cpu, VLAPIC_MSR_APIC_BASE, value);
}

void op_cr8(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in);
    uint64_t value = byte < 0xF0 ? byte & 15u : UINT64_C(1) << (fuzz_u8(&m->in) & 63);

    say(m, "  mov cr8, %llXh\n", (unsigned long long)value);
    compare_result(m, cpu, "result of MOV to CR8", oracle_cr8_write(&m->oracle.apic[cpu], value),
                   vlapic_cpu_cr8_write(m->twin[cpu].cpu, value));
    same(m, cpu, "CR8", oracle_cr8_read(&m->oracle.apic[cpu]), vlapic_cpu_cr8_read(m->twin[cpu].cpu));
}

/* Near the guest's TSC, on both sides, and far from it. */
static uint64_t pick_deadline(struct machine *m, unsigned cpu)
{
    uint64_t tsc = m->oracle.apic[cpu].tsc;
    uint8_t byte = fuzz_u8(&m->in);

    switch (byte & 7) {
    case 0:
        return byte >> 3;
    case 1:
        return tsc;
    case 2:
        return tsc - (byte >> 3);
    case 3:
        return ~UINT64_C(0) - (byte >> 3);
    case 4:
        return tsc + (UINT64_C(1) << (byte >> 3));
    case 5:
        return fuzz_u64(&m->in);
    default:
        return tsc + fuzz_u16(&m->in);
    }
}

void op_deadline(struct machine *m, unsigned cpu)
{
    msr_write(m, cpu, VLAPIC_MSR_TSC_DEADLINE, pick_deadline(m, cpu));
    msr_read(m, cpu, VLAPIC_MSR_TSC_DEADLINE);
}

/* Bits 18:8 as they come, the vector and the destination chosen. */
void op_icr(struct machine *m, unsigned cpu)
{
    uint32_t low = pick_vector(&m->in), bits = fuzz_u16(&m->in);
    uint32_t destination = pick_destination(m);

    low |= (bits & 0xF) << 8 | (bits >> 4 & 3) << 14 | (bits >> 6 & 3) << 18;
    if (bits >> 8 == 0xFF) {
        low |= fuzz_u32(&m->in);
    }
    if (oracle_in_x2apic(&m->oracle.apic[cpu])) {
        msr_write(m, cpu, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)destination << 32 | low);
        return;
    }
    mmio_write(m, cpu, VLAPIC_REG_ICR_HIGH, 4, destination << 24);
    mmio_write(m, cpu, VLAPIC_REG_ICR_LOW, 4, low);
}

void op_eoi(struct machine *m, unsigned cpu)
{
    door_write(m, cpu, VLAPIC_REG_EOI, 0);
}

void op_seoi(struct machine *m, unsigned cpu)
{
    uint8_t how = fuzz_u8(&m->in);

    if ((how & 1) != 0) {
        door_write(m, cpu, VLAPIC_REG_EXT_CONTROL, how >> 1 & 7);
    }
    door_write(m, cpu, VLAPIC_REG_SEOI, (how & 0x80) != 0 ? pick_vector(&m->in) : m->twin[cpu].taken);
}

void op_svr(struct machine *m, unsigned cpu)
{
    uint8_t how = fuzz_u8(&m->in);
    uint32_t value = (how & 4) != 0 ? pick_vector(&m->in) : 0xFF;

    value |= (how & 3) != 0 ? VLAPIC_SVR_ENABLE : 0;
    value |= (how & 8) != 0 ? VLAPIC_SVR_EOI_SUPPRESS : 0;
    value |= (how & 0x30) == 0x30 ? VLAPIC_SVR_FOCUS_DISABLE : 0;
    door_write(m, cpu, VLAPIC_REG_SVR, value);
}

static uint32_t lvt_offset(unsigned entry)
{
    static const uint32_t offsets[] = { VLAPIC_REG_LVT_TIMER, VLAPIC_REG_LVT_THERMAL, VLAPIC_REG_LVT_PERF,
                                        VLAPIC_REG_LVT_LINT0, VLAPIC_REG_LVT_LINT1,   VLAPIC_REG_LVT_ERROR,
                                        VLAPIC_REG_LVT_CMCI,  VLAPIC_REG_LVT_LINT0 };

    return entry < 8 ? offsets[entry] : VLAPIC_REG_EXT_LVT + ((entry - 8) << 4);
}

/* Mostly unmasked, with the bits that the entry has. */
void op_lvt(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in), bits = fuzz_u8(&m->in);
    unsigned entry = byte & 15;
    uint32_t value = pick_vector(&m->in);

    if (entry != VLAPIC_LVT_TIMER && entry != VLAPIC_LVT_ERROR) {
        value |= (bits & 7u) << 8;
    }
    if (entry == VLAPIC_LVT_LINT0 || entry == VLAPIC_LVT_LINT1 || entry == 7) {
        value |= (bits & 0x38u) << 10; /* 13, 14, 15 */
    }
    if (entry == VLAPIC_LVT_TIMER) {
        value |= (bits & 3u) << 17;
    }
    value |= byte >> 4 == 0 ? VLAPIC_LVT_MASKED : 0;
    door_write(m, cpu, lvt_offset(entry), value);
}

/* Mode and vector, divisor, count; each of the last two may be left out. */
void op_timer(struct machine *m, unsigned cpu)
{
    static const uint32_t counts[] = { 1, 2, 3, 7, 100, 1000, 65536, 0xFFFFFFFF };
    static const uint8_t divisors[] = { 0xB, 0, 1, 2, 3, 8, 9, 0xA };
    uint8_t byte = fuzz_u8(&m->in), second = fuzz_u8(&m->in);

    if ((byte & 3) != 3) {
        door_write(m, cpu, VLAPIC_REG_LVT_TIMER,
                   (byte & 3u) << 17 | pick_vector(&m->in) | ((byte & 0x1C) == 0x1C ? VLAPIC_LVT_MASKED : 0));
    }
    if ((byte & 0x60) != 0) {
        door_write(m, cpu, VLAPIC_REG_DIVIDE_CONFIG, divisors[second & 7]);
    }
    if ((byte & 0x80) == 0) {
        door_write(m, cpu, VLAPIC_REG_INITIAL_COUNT, counts[second >> 3 & 7] + (second >> 6));
    }
}

void op_tpr(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in);

    door_write(m, cpu, VLAPIC_REG_TPR, byte < 0x80 ? (byte & 3u) << 4 : byte);
}

void op_logical(struct machine *m, unsigned cpu)
{
    static const uint32_t formats[] = { 0xFFFFFFFF, 0x0FFFFFFF, 0xFFFFFFFF, 0x5FFFFFFF };
    uint8_t byte = fuzz_u8(&m->in), logical = fuzz_u8(&m->in);

    mmio_write(m, cpu, VLAPIC_REG_DFR, 4, formats[byte & 3]);
    mmio_write(m, cpu, VLAPIC_REG_LDR, 4, (uint32_t)((byte & 4) != 0 ? 1u << (logical & 7) : logical) << 24);
}

void op_esr(struct machine *m, unsigned cpu)
{
    door_write(m, cpu, VLAPIC_REG_ESR, 0);
    door_read(m, cpu, VLAPIC_REG_ESR);
}

void op_self_ipi(struct machine *m, unsigned cpu)
{
    msr_write(m, cpu, VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), pick_vector(&m->in));
}

/* IER: writable, then one word with few bits clear. */
void op_extended(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in);

    door_write(m, cpu, VLAPIC_REG_EXT_CONTROL, byte & 1u ? 7 : 3);
    door_write(m, cpu, VLAPIC_REG_IER + ((byte >> 5 & 7u) << 4), (byte & 2) != 0 ? ~0u : pick_word(&m->in));
    if ((byte & 4) != 0) {
        door_write(m, cpu, VLAPIC_REG_EXT_CONTROL, 2);
    }
}

/* What an operating system does first. */
void op_start(struct machine *m, unsigned cpu)
{
    door_write(m, cpu, VLAPIC_REG_SVR, 0x1FF);
    door_write(m, cpu, VLAPIC_REG_LVT_ERROR, 0xFE);
    door_write(m, cpu, VLAPIC_REG_LVT_LINT0, 0x700);
    door_write(m, cpu, VLAPIC_REG_LVT_LINT1, 0x400);
    door_write(m, cpu, VLAPIC_REG_TPR, 0);
}
