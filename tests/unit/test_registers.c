/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every register, offset, width, MSR number and bit, against a table written by hand from the manuals. It shares nothing with
 * the library's own table: where the two differ, one of them is wrong.
 */
#include "fake_host.h"
#include "state_helpers.h"

#include <string.h>

/* ---- the table ---- */

enum access {
    RESERVED, /* xAPIC: ESR bit 7, reads 0; x2APIC: #GP */
    RO,       /* xAPIC: writes ignored; x2APIC: writes #GP */
    RW,
    WO,     /* xAPIC: reads 0; x2APIC: reads #GP */
    ZERO,   /* exists, reads 0, writes ignored */
    LATCH,  /* ESR: a write moves what is pending to what is visible */
    COMMAND /* AMD SEOI: a write does something, reads give 0 in both modes */
};

/* On what a register's presence depends. */
enum when { ALWAYS, IF_CMCI, IF_EXT, IF_SEOI, IF_IER, IF_EXT_LVT };

struct row {
    const char *name;
    uint32_t offset;
    uint32_t slots;
    enum when when;
    enum access xapic, x2apic;
    uint32_t stored;  /* bits that a write sets */
    uint32_t allowed; /* x2APIC: bits 31:0 that may be 1 in a write */
    uint32_t ones;    /* bits that read as 1 */
    uint32_t reset;
};

/* clang-format off */
static const struct row rows[] = {
    /* name        offset slots when        xAPIC     x2APIC    stored      allowed     ones        reset */
    {"ID",         0x020, 1, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"version",    0x030, 1, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"TPR",        0x080, 1, ALWAYS,     RW,       RW,       0x000000FF, 0x000000FF, 0,          0},
    {"APR",        0x090, 1, ALWAYS,     ZERO,     RESERVED, 0,          0,          0,          0},
    {"PPR",        0x0A0, 1, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"EOI",        0x0B0, 1, ALWAYS,     WO,       WO,       0,          0,          0,          0},
    {"RRD",        0x0C0, 1, ALWAYS,     ZERO,     RESERVED, 0,          0,          0,          0},
    {"LDR",        0x0D0, 1, ALWAYS,     RW,       RO,       0xFF000000, 0,          0,          0},
    {"DFR",        0x0E0, 1, ALWAYS,     RW,       RESERVED, 0xF0000000, 0,          0x0FFFFFFF, 0xFFFFFFFF},
    {"SVR",        0x0F0, 1, ALWAYS,     RW,       RW,       0x000003FF, 0x000003FF, 0,          0x000000FF},
    {"ISR",        0x100, 8, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"TMR",        0x180, 8, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"IRR",        0x200, 8, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"ESR",        0x280, 1, ALWAYS,     LATCH,    LATCH,    0,          0,          0,          0},
    {"LVT CMCI",   0x2F0, 1, IF_CMCI,    RW,       RW,       0x000107FF, 0x000117FF, 0,          0x00010000},
    {"ICR",        0x300, 1, ALWAYS,     RW,       RW,       0x000CCFFF, 0x000CDFFF, 0,          0},
    {"ICR high",   0x310, 1, ALWAYS,     RW,       RESERVED, 0xFF000000, 0,          0,          0},
    {"LVT timer",  0x320, 1, ALWAYS,     RW,       RW,       0x000300FF, 0x000310FF, 0,          0x00010000},
    {"LVT therm",  0x330, 1, ALWAYS,     RW,       RW,       0x000107FF, 0x000117FF, 0,          0x00010000},
    {"LVT perf",   0x340, 1, ALWAYS,     RW,       RW,       0x000107FF, 0x000117FF, 0,          0x00010000},
    {"LVT LINT0",  0x350, 1, ALWAYS,     RW,       RW,       0x0001A7FF, 0x0001F7FF, 0,          0x00010000},
    {"LVT LINT1",  0x360, 1, ALWAYS,     RW,       RW,       0x0001A7FF, 0x0001F7FF, 0,          0x00010000},
    {"LVT error",  0x370, 1, ALWAYS,     RW,       RW,       0x000100FF, 0x000110FF, 0,          0x00010000},
    {"TICR",       0x380, 1, ALWAYS,     RW,       RW,       0xFFFFFFFF, 0xFFFFFFFF, 0,          0},
    {"CCR",        0x390, 1, ALWAYS,     RO,       RO,       0,          0,          0,          0},
    {"DCR",        0x3E0, 1, ALWAYS,     RW,       RW,       0x0000000B, 0x0000000B, 0,          0},
    {"SELF IPI",   0x3F0, 1, ALWAYS,     RESERVED, WO,       0,          0x000000FF, 0,          0},
    {"ext feat",   0x400, 1, IF_EXT,     RO,       RO,       0,          0,          0,          0},
    {"ext ctrl",   0x410, 1, IF_EXT,     RW,       RW,       0,          0,          0,          0},
    {"SEOI",       0x420, 1, IF_SEOI,    COMMAND,  COMMAND,  0,          0x000000FF, 0,          0},
    {"IER",        0x480, 8, IF_IER,     RW,       RW,       0xFFFFFFFF, 0xFFFFFFFF, 0,          0xFFFFFFFF},
    {"ext LVT",    0x500, 8, IF_EXT_LVT, RW,       RW,       0x000107FF, 0x000117FF, 0,          0x00010000},
};
/* clang-format on */

static const struct row reserved_row = { .name = "reserved", .xapic = RESERVED, .x2apic = RESERVED };

/* ---- profiles ---- */

struct profile {
    const char *name;
    enum vlapic_vendor vendor;
    uint8_t version, max_lvt;
    bool deadline, eoi_suppression, bit9_faults, id_writable, no_x2apic;
    bool ext;
    uint8_t ext_lvts, ext_features;
};

static const struct profile profiles[] = {
    { .name = "intel", .vendor = VLAPIC_VENDOR_INTEL, .version = 0x14, .max_lvt = 5 },
    { .name = "intel, all options",
      .vendor = VLAPIC_VENDOR_INTEL,
      .version = 0x15,
      .max_lvt = 6,
      .deadline = true,
      .eoi_suppression = true },
    { .name = "intel, CMCI only", .vendor = VLAPIC_VENDOR_INTEL, .version = 0x14, .max_lvt = 6 },
    { .name = "intel, deadline only", .vendor = VLAPIC_VENDOR_INTEL, .version = 0x14, .max_lvt = 5, .deadline = true },
    { .name = "intel, EOI suppression only",
      .vendor = VLAPIC_VENDOR_INTEL,
      .version = 0x14,
      .max_lvt = 5,
      .eoi_suppression = true },
    { .name = "intel, SVR bit 9 faults",
      .vendor = VLAPIC_VENDOR_INTEL,
      .version = 0x14,
      .max_lvt = 5,
      .bit9_faults = true },
    { .name = "intel, ID writable", .vendor = VLAPIC_VENDOR_INTEL, .version = 0x14, .max_lvt = 5, .id_writable = true },
    { .name = "intel, no x2APIC", .vendor = VLAPIC_VENDOR_INTEL, .version = 0x14, .max_lvt = 5, .no_x2apic = true },
    { .name = "intel, extended space",
      .vendor = VLAPIC_VENDOR_INTEL,
      .version = 0x14,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 4,
      .ext_features = 7 },
    { .name = "amd", .vendor = VLAPIC_VENDOR_AMD, .version = 0x10, .max_lvt = 5 },
    { .name = "amd, extended space",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 4,
      .ext_features = 7 },
    { .name = "amd, everything",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 6,
      .deadline = true,
      .eoi_suppression = true,
      .ext = true,
      .ext_lvts = 8,
      .ext_features = 7 },
    { .name = "amd, extended space without features",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 0,
      .ext_features = 0 },
    { .name = "amd, IER only",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 1,
      .ext_features = 1 },
    { .name = "amd, SEOI only",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 7,
      .ext_features = 2 },
    { .name = "amd, 8-bit ID only",
      .vendor = VLAPIC_VENDOR_AMD,
      .version = 0x10,
      .max_lvt = 5,
      .ext = true,
      .ext_lvts = 3,
      .ext_features = 4 },
};

#define PROFILES (sizeof profiles / sizeof profiles[0])
#define APIC_ID 0x0B

static struct fake_vm host;

static struct vlapic_cpu *start(const struct profile *p)
{
    const uint32_t id = APIC_ID;

    fake_vm_prepare(&host, p->vendor);
    host.config.version = p->version;
    host.config.max_lvt = p->max_lvt;
    host.config.tsc_deadline = p->deadline;
    host.config.eoi_suppression = p->eoi_suppression;
    host.config.svr_bit9_faults = p->bit9_faults;
    host.config.id_writable = p->id_writable;
    host.config.x2apic = !p->no_x2apic;
    host.config.ext_space = p->ext;
    host.config.ext_lvt_count = p->ext_lvts;
    host.config.ext_features = p->ext_features;
    fake_vm_start(&host, 1, &id);
    return fake_cpu_at(&host, 0);
}

/* Fresh state: software-enabled, extended features switched on, in the mode asked for. */
static void fresh(struct vlapic_cpu *cpu, const struct profile *p, bool x2apic)
{
    vlapic_cpu_reset(cpu);
    guest_software_enable(cpu);
    if (p->ext)
        guest_write(cpu, 0x410, p->ext_features);
    if (x2apic)
        guest_enable_x2apic(cpu);
    fake_forget(&host);
}

static bool present(const struct profile *p, const struct row *r, uint32_t slot)
{
    switch (r->when) {
    case ALWAYS:
        return true;
    case IF_CMCI:
        return p->max_lvt >= 6;
    case IF_EXT:
        return p->ext;
    case IF_SEOI:
        return p->ext && (p->ext_features & 2);
    case IF_IER:
        return p->ext && (p->ext_features & 1);
    case IF_EXT_LVT:
        return p->ext && slot < p->ext_lvts;
    }
    return false;
}

/* The row that describes the slot at `offset` (a multiple of 16), or reserved_row. */
static const struct row *row_at(const struct profile *p, uint32_t offset)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];

        if (offset >= r->offset && offset < r->offset + 16 * r->slots)
            return present(p, r, (offset - r->offset) / 16) ? r : &reserved_row;
    }
    return &reserved_row;
}

static enum access class_of(const struct profile *p, const struct row *r, bool x2apic)
{
    if (r->offset == 0x020 && !x2apic && p->id_writable)
        return RW;
    return x2apic ? r->x2apic : r->xapic;
}

static uint32_t stored_bits(const struct profile *p, const struct row *r)
{
    switch (r->offset) {
    case 0x020:
        return 0xFF000000;
    case 0x0F0:
        return r->stored | (p->eoi_suppression ? 0x1000 : 0);
    case 0x320:
        return r->stored | (p->deadline ? 0x40000 : 0);
    case 0x410:
        return p->ext_features;
    default:
        return r->stored;
    }
}

/* x2APIC: the 64 bits that may be 1 in a WRMSR. */
static uint64_t allowed_bits(const struct profile *p, const struct row *r)
{
    switch (r->offset) {
    case 0x0F0:
        return (r->allowed | (p->eoi_suppression ? 0x1000 : 0)) & ~(p->bit9_faults ? 0x200u : 0);
    case 0x300:
        return 0xFFFFFFFF00000000ull | (p->vendor == VLAPIC_VENDOR_AMD ? r->allowed & ~0x1000u : r->allowed);
    case 0x320:
        return r->allowed | (p->deadline ? 0x40000 : 0);
    case 0x410:
        return p->ext_features;
    default:
        return r->allowed;
    }
}

/* What a register holds after RESET, as a read in the given mode shows it. */
static uint32_t reset_value(const struct profile *p, const struct row *r, bool x2apic)
{
    switch (r->offset) {
    case 0x020:
        return x2apic ? APIC_ID : (uint32_t)APIC_ID << 24;
    case 0x030:
        return p->version | (uint32_t)p->max_lvt << 16 | (p->eoi_suppression ? 1u << 24 : 0) | (p->ext ? 1u << 31 : 0);
    case 0x0D0:
        return x2apic ? 1u << APIC_ID : 0;
    case 0x400:
        return (uint32_t)p->ext_lvts << 16 | p->ext_features;
    default:
        return r->reset;
    }
}

#define FAIL_AT(p, r, offset, ...)                                                                                     \
    do {                                                                                                               \
        print_error("profile %s, %s at %03x: ", (p)->name, (r)->name, offset);                                         \
        fail_msg(__VA_ARGS__);                                                                                         \
    } while (0)

static uint64_t bad_reads(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_stats stats;

    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    return stats.bad_reads;
}

static uint64_t bad_writes(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_stats stats;

    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    return stats.bad_writes;
}

static uint64_t faults(struct vlapic_cpu *cpu)
{
    struct vlapic_cpu_stats stats;

    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof stats), VLAPIC_OK);
    return stats.faults;
}

/* ---- tests ---- */

static void every_register_has_its_reset_value_in_xapic_mode(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map"; "Local APIC State After Power-Up or Reset" */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);

        for (uint32_t offset = 0; offset < 0x1000; offset += 16) {
            const struct row *r = row_at(p, offset);
            uint32_t value = guest_read(cpu, offset);

            if (value != reset_value(p, r, false))
                FAIL_AT(p, r, offset, "reads %#x after RESET, expected %#x", value, reset_value(p, r, false));
        }
        fake_vm_stop(&host);
    }
}

static void every_register_has_its_reset_value_in_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space", table "Local APIC Register Address Map Supported by x2APIC" */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu;

        if (p->no_x2apic)
            continue;
        cpu = start(p);
        guest_enable_x2apic(cpu);
        for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
            uint32_t offset = (msr - 0x800) << 4;
            const struct row *r = row_at(p, offset);
            uint64_t value;

            if (r->x2apic == RESERVED || r->x2apic == WO) {
                guest_rdmsr_faults(cpu, msr);
                continue;
            }
            value = guest_rdmsr(cpu, msr);
            if (value != reset_value(p, r, true))
                FAIL_AT(p, r, offset, "reads %#llx after RESET, expected %#x", (unsigned long long)value,
                        reset_value(p, r, true));
        }
        fake_vm_stop(&host);
    }
}

static void every_bit_of_every_xapic_register_is_stored_or_ignored(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map"; "Error Handling" (ESR bit 7) */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);

        for (uint32_t offset = 0; offset < 0x1000; offset += 16) {
            const struct row *r = row_at(p, offset);
            enum access class = class_of(p, r, false);

            for (unsigned bit = 0; bit < 34; bit++) {
                /* 32 single bits, then none and all. */
                uint32_t value = bit < 32 ? 1u << bit : bit == 32 ? 0 : 0xFFFFFFFF;
                struct vlapic_cpu_state before, after;
                uint32_t old, expected, actual;

                fresh(cpu, p, false);
                old = guest_read(cpu, offset);
                guest_esr(cpu);
                guest_esr(cpu);
                state_read(cpu, &before);
                guest_write(cpu, offset, value);
                state_read(cpu, &after);

                expected = class == RW ? (value & stored_bits(p, r)) | r->ones : old;
                if (class == RESERVED)
                    before.esr_pending = VLAPIC_ESR_ILLEGAL_REGISTER;
                else if (after.esr_pending & VLAPIC_ESR_ILLEGAL_REGISTER)
                    FAIL_AT(p, r, offset, "write of %#x sets ESR bit 7", value);
                if (class != RW)
                    assert_same_state(&before, &after);
                actual = guest_read(cpu, offset);
                if (actual != expected)
                    FAIL_AT(p, r, offset, "reads %#x after a write of %#x, expected %#x", actual, value, expected);
            }
        }
        fake_vm_stop(&host);
    }
}

static void every_bit_of_every_x2apic_register_is_stored_or_faults(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space", "Reserved Bit Checking" */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu;

        if (p->no_x2apic)
            continue;
        cpu = start(p);
        for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
            uint32_t offset = (msr - 0x800) << 4;
            const struct row *r = row_at(p, offset);
            bool writable = r->x2apic == RW || r->x2apic == WO || r->x2apic == LATCH || r->x2apic == COMMAND;

            for (unsigned bit = 0; bit < 66; bit++) {
                uint64_t value = bit < 64 ? 1ull << bit : bit == 64 ? 0 : ~0ull;
                bool fault = !writable || (value & ~allowed_bits(p, r)) != 0;
                struct vlapic_cpu_state before, after;
                uint64_t expected, actual;

                fresh(cpu, p, true);
                state_read(cpu, &before);
                if (fault) {
                    uint64_t count = faults(cpu);

                    guest_wrmsr_faults(cpu, msr, value);
                    state_read(cpu, &after);
                    assert_same_state(&before, &after);
                    assert_int_equal(host.call_count, 0);
                    assert_true(faults(cpu) == count + 1);
                    continue;
                }
                guest_wrmsr(cpu, msr, value);
                state_read(cpu, &after);
                if (after.esr_pending & VLAPIC_ESR_ILLEGAL_REGISTER)
                    FAIL_AT(p, r, offset, "WRMSR of %#llx sets ESR bit 7", (unsigned long long)value);
                if (r->x2apic == COMMAND || r->x2apic == LATCH)
                    assert_same_state(&before, &after);
                if (r->x2apic != RW)
                    continue;
                expected = value & stored_bits(p, r);
                if (r->offset == 0x300)
                    expected |= value & 0xFFFFFFFF00000000ull;
                actual = guest_rdmsr(cpu, msr);
                if (actual != expected)
                    FAIL_AT(p, r, offset, "reads %#llx after a write of %#llx, expected %#llx",
                            (unsigned long long)actual, (unsigned long long)value, (unsigned long long)expected);
            }
        }
        fake_vm_stop(&host);
    }
}

static void every_x2apic_msr_is_readable_writable_or_faults(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space", table "Local APIC Register Address Map Supported by x2APIC" */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu;

        if (p->no_x2apic)
            continue;
        cpu = start(p);
        for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
            const struct row *r = row_at(p, (msr - 0x800) << 4);
            uint64_t value = 0x1122334455667788ull;
            enum vlapic_access access;
            bool readable = r->x2apic != RESERVED && r->x2apic != WO;
            bool writable = r->x2apic != RESERVED && r->x2apic != RO;

            fresh(cpu, p, true);
            access = vlapic_cpu_msr_read(cpu, msr, &value);
            if (access != (readable ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_GP))
                FAIL_AT(p, r, (msr - 0x800) << 4, "RDMSR gives %d", access);
            if (!readable)
                assert_true(value == 0x1122334455667788ull);
            access = vlapic_cpu_msr_write(cpu, msr, 0);
            if (access != (writable ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_GP))
                FAIL_AT(p, r, (msr - 0x800) << 4, "WRMSR of 0 gives %d", access);
        }
        fake_vm_stop(&host);
    }
}

static void x2apic_msrs_fault_outside_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Availability" */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        struct vlapic_cpu *cpu = start(&profiles[n]);

        for (unsigned disabled = 0; disabled < 2; disabled++) {
            struct vlapic_cpu_state before, after;

            if (disabled)
                guest_disable_apic(cpu);
            state_read(cpu, &before);
            for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
                guest_rdmsr_faults(cpu, msr);
                guest_wrmsr_faults(cpu, msr, 0);
            }
            state_read(cpu, &after);
            assert_same_state(&before, &after);
        }
        fake_vm_stop(&host);
    }
}

static void msrs_of_others_are_not_ours(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space": the range claimed is 800h..8FFh */
    static const uint32_t others[] = { 0,     0x10,  0x1A,  0x1C,  0x3B,       0xBD,       0x6DF,      0x6E1,
                                       0x7FF, 0x900, 0xBFF, 0xC00, 0xC0000080, 0xC001001B, 0xFFFFFFFF, 0x1000081B };
    struct vlapic_cpu *cpu = start(&profiles[1]);

    (void)unused;
    for (unsigned mode = 0; mode < 3; mode++) {
        if (mode == 1)
            guest_enable_x2apic(cpu);
        if (mode == 2)
            guest_disable_apic(cpu);
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            uint64_t value = 0x77;

            assert_int_equal(vlapic_cpu_msr_read(cpu, others[i], &value), VLAPIC_ACCESS_NOT_MINE);
            assert_true(value == 0x77);
            assert_int_equal(vlapic_cpu_msr_write(cpu, others[i], 0), VLAPIC_ACCESS_NOT_MINE);
        }
    }
    fake_vm_stop(&host);
}

static void tsc_deadline_msr_faults_without_the_feature(void **unused)
{
    /* Intel SDM 3A, "TSC-Deadline Mode": the MSR exists if CPUID.01h:ECX[24] is 1 */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);

        for (unsigned mode = 0; mode < 3; mode++) {
            if (mode == 1 && p->no_x2apic)
                continue;
            if (mode == 1)
                guest_enable_x2apic(cpu);
            if (mode == 2)
                guest_disable_apic(cpu);
            if (p->deadline) {
                assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0);
                guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, ~0ull);
                assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 0); /* not in deadline mode: ignored */
            } else {
                guest_rdmsr_faults(cpu, VLAPIC_MSR_TSC_DEADLINE);
                guest_wrmsr_faults(cpu, VLAPIC_MSR_TSC_DEADLINE, 0);
                guest_wrmsr_faults(cpu, VLAPIC_MSR_TSC_DEADLINE, 1);
            }
        }
        fake_vm_stop(&host);
    }
}

static void tsc_deadline_has_no_reserved_bits(void **unused)
{
    /* Intel SDM 3A, "TSC-Deadline Mode": a 64-bit value */
    struct vlapic_cpu *cpu = start(&profiles[1]);

    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++)
        for (unsigned bit = 0; bit < 64; bit++) {
            fresh(cpu, &profiles[1], x2apic);
            fake_set_tsc(&host, 0);
            guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x00040040);
            guest_wrmsr(cpu, VLAPIC_MSR_TSC_DEADLINE, 1ull << bit);
            assert_true(guest_rdmsr(cpu, VLAPIC_MSR_TSC_DEADLINE) == 1ull << bit);
        }
    fake_vm_stop(&host);
}

/* A state in which nearly every register differs from its neighbours and no error is recorded or signalled. */
static void quiet_busy(struct vlapic_cpu *cpu)
{
    busy_state(&host);
    guest_set(cpu, VLAPIC_REG_LVT_ERROR, 0x100D4);
    guest_esr(cpu);
    guest_esr(cpu);
    fake_forget(&host);
}

static bool well_formed_read(uint32_t offset, uint32_t length)
{
    return (length == 1 || length == 2 || length == 4) && offset % 16 + length <= 4;
}

static void reads_of_every_offset_and_width_give_the_bytes_asked_for(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram" (access rules below the register address map) */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);
        struct vlapic_cpu_state before, after;

        quiet_busy(cpu);
        state_read(cpu, &before);
        for (uint32_t offset = 0; offset < 0x1000; offset++) {
            const struct row *r = row_at(p, offset & ~15u);
            uint32_t whole = guest_read(cpu, offset & ~15u);

            if (r->xapic == RESERVED) {
                assert_int_equal(whole, 0);
                assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
            }
            assert_int_equal(guest_esr(cpu), 0);
            for (uint32_t length = 1; length <= 8; length++) {
                bool good = well_formed_read(offset, length);
                uint64_t count = bad_reads(cpu);
                uint64_t value = ~0ull, expected = 0;

                if (good)
                    expected = (whole >> 8 * (offset % 16)) & (length == 4 ? 0xFFFFFFFF : (1ull << 8 * length) - 1);
                assert_int_equal(vlapic_cpu_mmio_read(cpu, offset, length, &value), VLAPIC_ACCESS_DONE);
                if (value != expected)
                    FAIL_AT(p, r, offset, "%u bytes read as %#llx, expected %#llx", length, (unsigned long long)value,
                            (unsigned long long)expected);
                assert_true(bad_reads(cpu) == count + !good);
                if (good && r->xapic == RESERVED)
                    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
                assert_int_equal(guest_esr(cpu), 0);
            }
        }
        state_read(cpu, &after);
        assert_same_state(&before, &after);
        assert_int_equal(host.call_count, 0);
        fake_vm_stop(&host);
    }
}

static void ill_formed_writes_of_every_offset_and_width_are_dropped(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram" (access rules below the register address map) */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);
        struct vlapic_cpu_state before, after;

        quiet_busy(cpu);
        state_read(cpu, &before);
        for (uint32_t offset = 0; offset < 0x1000; offset++)
            for (uint32_t length = 1; length <= 8; length++) {
                uint64_t count = bad_writes(cpu);

                if (length == 4 && offset % 16 == 0)
                    continue;
                assert_int_equal(vlapic_cpu_mmio_write(cpu, offset, length, ~0ull), VLAPIC_ACCESS_DONE);
                assert_int_equal(vlapic_cpu_mmio_write(cpu, offset, length, 0), VLAPIC_ACCESS_DONE);
                assert_true(bad_writes(cpu) == count + 2);
                state_read(cpu, &after);
                assert_same_state(&before, &after);
            }
        assert_int_equal(host.call_count, 0);
        fake_vm_stop(&host);
    }
}

static void offsets_beyond_the_window_are_not_ours(void **unused)
{
    /* Intel SDM 3A, "Local APIC Status and Location": a 4-KiB window */
    static const uint32_t beyond[] = {
        0x1000, 0x1001, 0x1020, 0x1080, 0x10B0, 0x2080, 0x10080, 0x80000080, 0xFFFFFFF0
    };
    struct vlapic_cpu *cpu = start(&profiles[0]);

    (void)unused;
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        uint64_t value = 0x77;

        assert_int_equal(vlapic_cpu_mmio_read(cpu, beyond[i], 4, &value), VLAPIC_ACCESS_NOT_MINE);
        assert_true(value == 0x77);
        assert_int_equal(vlapic_cpu_mmio_write(cpu, beyond[i], 4, 0xFF), VLAPIC_ACCESS_NOT_MINE);
    }
    assert_int_equal(guest_read(cpu, VLAPIC_REG_TPR), 0);
    assert_int_equal(guest_esr(cpu), 0);
    fake_vm_stop(&host);
}

/* ---- narrow writes ---- */

static bool merges(uint32_t offset, uint32_t length)
{
    return (length == 1 || length == 2) && offset % 16 + length <= 4;
}

static void narrow_writes_merge_if_configured(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram": narrow writes are model-specific; setting narrow_write_merge */
    struct profile p = profiles[0];
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.narrow_write_merge = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    for (uint32_t slot = 0; slot < 0x1000; slot += 16) {
        const struct row *r = row_at(&p, slot);

        for (uint32_t byte = 0; byte < 16; byte++)
            for (uint32_t length = 1; length <= 8; length++) {
                struct vlapic_cpu_state merged, whole;
                uint64_t count;
                uint32_t old, mask, value = 0x12345678;

                if (length == 4 && byte == 0)
                    continue;
                fresh(cpu, &p, false);
                guest_esr(cpu);
                guest_esr(cpu);
                count = bad_writes(cpu);
                if (!merges(slot + byte, length)) {
                    state_read(cpu, &whole);
                    assert_int_equal(vlapic_cpu_mmio_write(cpu, slot + byte, length, value), VLAPIC_ACCESS_DONE);
                    state_read(cpu, &merged);
                    assert_same_state(&whole, &merged);
                    assert_true(bad_writes(cpu) == count + 1);
                    continue;
                }
                /* The same as a 4-byte write of the old value with these bytes replaced. */
                assert_int_equal(vlapic_cpu_mmio_write(cpu, slot + byte, length, value), VLAPIC_ACCESS_DONE);
                assert_true(bad_writes(cpu) == count);
                state_read(cpu, &merged);
                fresh(cpu, &p, false);
                old = guest_read(cpu, slot);
                guest_esr(cpu);
                guest_esr(cpu);
                mask = (uint32_t)((1ull << 8 * length) - 1) << 8 * byte;
                guest_write(cpu, slot, (old & ~mask) | (value << 8 * byte & mask));
                state_read(cpu, &whole);
                if (merged.esr_pending != whole.esr_pending)
                    FAIL_AT(&p, r, slot + byte, "%u bytes: ESR %#x, expected %#x", length, merged.esr_pending,
                            whole.esr_pending);
                assert_same_state(&whole, &merged);
            }
    }
    fake_vm_stop(&host);
}

static void a_narrow_write_keeps_the_other_bytes(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram": narrow writes are model-specific; setting narrow_write_merge */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
    host.config.narrow_write_merge = true;
    fake_vm_start(&host, 1, NULL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_SVR, 0x3E5);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 1, 0x77), VLAPIC_ACCESS_DONE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0x377);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR + 1, 1, 0x01), VLAPIC_ACCESS_DONE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_SVR), 0x177);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LDR + 3, 1, 0x5C), VLAPIC_ACCESS_DONE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LDR), 0x5C000000);
    assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LVT_THERMAL + 2, 2, 0), VLAPIC_ACCESS_DONE);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_LVT_THERMAL), 0);
    fake_vm_stop(&host);
}

static void a_narrow_write_of_eoi_is_an_eoi_if_configured(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion"; setting narrow_write_merge */
    (void)unused;
    for (unsigned merge = 0; merge < 2; merge++) {
        struct vlapic_cpu *cpu;

        fake_vm_prepare(&host, VLAPIC_VENDOR_INTEL);
        host.config.narrow_write_merge = merge;
        fake_vm_start(&host, 1, NULL);
        cpu = fake_cpu_at(&host, 0);
        guest_software_enable(cpu);
        vlapic_cpu_post(cpu, 0x60, false);
        assert_int_equal(take_vector(cpu), 0x60);
        assert_int_equal(vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 1, 0), VLAPIC_ACCESS_DONE);
        assert_int_equal(guest_bit(cpu, VLAPIC_REG_ISR, 0x60), !merge);
        fake_vm_stop(&host);
    }
}

/* ---- what the registers show ---- */

static void registers_show_what_the_state_says(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map" */
    static const uint32_t lvt_offsets[VLAPIC_LVT_COUNT] = { 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x2F0 };

    (void)unused;
    for (size_t n = 0; n < PROFILES; n++)
        for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
            const struct profile *p = &profiles[n];
            struct vlapic_cpu *cpu;
            struct vlapic_cpu_state s;

            if (x2apic && p->no_x2apic)
                continue;
            cpu = start(p);
            if (x2apic)
                guest_enable_x2apic(cpu);
            busy_state(&host);
            state_read(cpu, &s);

            assert_int_equal(guest_get(cpu, 0x020), x2apic ? APIC_ID : s.xapic_id << 24);
            assert_int_equal(guest_get(cpu, 0x080), 0x15);
            assert_int_equal(s.tpr, 0x15);
            assert_int_equal(guest_get(cpu, 0x0D0), x2apic ? 1u << APIC_ID : 0x5A000000);
            if (!x2apic) {
                assert_int_equal(s.ldr, 0x5A000000);
                assert_int_equal(guest_get(cpu, 0x0E0), 0x0FFFFFFF);
                assert_int_equal(s.dfr, 0x0FFFFFFF);
            }
            assert_int_equal(guest_get(cpu, 0x0F0), s.svr);
            assert_int_equal(s.svr, 0x1E7 | (p->bit9_faults ? 0 : 0x200) | (p->eoi_suppression ? 0x1000 : 0));
            for (uint32_t i = 0; i < 8; i++) {
                assert_int_equal(guest_get(cpu, 0x100 + 16 * i), s.isr[i]);
                assert_int_equal(guest_get(cpu, 0x180 + 16 * i), s.tmr[i]);
                assert_int_equal(guest_get(cpu, 0x200 + 16 * i), s.irr[i]);
                if (p->ext && (p->ext_features & 1))
                    assert_int_equal(guest_get(cpu, 0x480 + 16 * i), s.ier[i]);
                else
                    assert_int_equal(s.ier[i], 0xFFFFFFFF);
            }
            assert_int_equal(s.isr[4], 1u << 0x13);
            assert_int_equal(s.irr[2], 1u << 1 | 1u << 0x12);
            assert_int_equal(s.irr[6], 1u << 0x15);
            assert_int_equal(s.tmr[2], 1u << 0x12);
            assert_int_equal(s.tmr[4], 1u << 0x13);
            assert_int_equal(s.tmr[6], 1u << 0x15);
            assert_int_equal(guest_get(cpu, 0x280), 0x20);
            assert_int_equal(s.esr, 0x20);
            assert_int_equal(s.esr_pending, 0x20);
            assert_int_equal(guest_get(cpu, 0x300), 0xB7);
            assert_true(s.icr == (x2apic ? 0x000A0000000000B7ull : 0xEE000000000000B7ull));
            for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++)
                if (i != VLAPIC_LVT_CMCI || p->max_lvt >= 6)
                    assert_int_equal(guest_get(cpu, lvt_offsets[i]), s.lvt[i]);
            assert_int_equal(s.lvt[VLAPIC_LVT_LINT0], 0x0000E000 | BUSY_LINT0);
            assert_int_equal(guest_get(cpu, 0x380), 0x01234567);
            assert_int_equal(guest_get(cpu, 0x390), 0x01234567 - 1000);
            assert_int_equal(s.timer_remaining, 0x01234567 - 1000);
            assert_int_equal(s.timer_running, 1);
            assert_int_equal(guest_get(cpu, 0x3E0), 0xB);
            if (p->ext) {
                assert_int_equal(guest_get(cpu, 0x410), p->ext_features);
                assert_int_equal(s.ext_control, p->ext_features);
                for (uint32_t i = 0; i < p->ext_lvts; i++)
                    assert_int_equal(guest_get(cpu, 0x500 + 16 * i), 0xD8 + i);
            }
            assert_int_equal(s.events, VLAPIC_EVENT_LINE0);
            fake_vm_stop(&host);
        }
}

static void rdmsr_of_icr_gives_all_64_bits(void **unused)
{
    /* Intel SDM 3A, "x2APIC Register Address Space": ICR is the one 64-bit register */
    struct vlapic_cpu *cpu = start(&profiles[0]);

    (void)unused;
    guest_enable_x2apic(cpu);
    guest_wrmsr(cpu, 0x830, 0xFEDCBA98000040B7ull);
    assert_true(guest_rdmsr(cpu, 0x830) == 0xFEDCBA98000040B7ull);
    fake_vm_stop(&host);
}

static void reading_a_reserved_register_signals_the_error_once(void **unused)
{
    /* Intel SDM 3A, "Error Handling": illegal register address */
    struct vlapic_cpu *cpu;

    (void)unused;
    fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&host, 0);
    guest_write(cpu, VLAPIC_REG_LVT_ERROR, 0xE3);
    guest_read(cpu, 0x040);
    assert_int_equal(take_vector(cpu), 0xE3);
    guest_eoi(cpu);
    guest_write(cpu, 0x2E0, 0);
    assert_int_equal(take_vector(cpu), -1);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
    guest_write(cpu, 0x3F0, 0x40); /* SELF IPI does not exist in xAPIC mode */
    assert_int_equal(take_vector(cpu), 0xE3);
    assert_false(guest_bit(cpu, VLAPIC_REG_IRR, 0x40));
    fake_vm_stop(&host);
}

static void software_disabled_apic_still_records_illegal_registers(void **unused)
{
    /* Intel SDM 3A, "Error Handling"; "Local APIC State After It Has Been Software Disabled" */
    struct vlapic_cpu *cpu = start(&profiles[0]);

    (void)unused;
    assert_int_equal(guest_read(cpu, 0x000), 0);
    assert_int_equal(guest_esr(cpu), VLAPIC_ESR_ILLEGAL_REGISTER);
    fake_vm_stop(&host);
}

static void lvt_status_bits_cannot_be_written(void **unused)
{
    /* Intel SDM 3A, "Local Vector Table": delivery status and remote IRR are read-only */
    static const uint32_t lvts[] = { 0x320, 0x330, 0x340, 0x350, 0x360, 0x370 };

    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(&profiles[0]);

        fresh(cpu, &profiles[0], x2apic);
        for (size_t i = 0; i < sizeof lvts / sizeof lvts[0]; i++) {
            bool lint = lvts[i] == 0x350 || lvts[i] == 0x360;

            guest_set(cpu, lvts[i], lint ? 0x1D041 : 0x11041);
            assert_int_equal(guest_get(cpu, lvts[i]), lint ? 0x18041 : 0x10041);
        }
        fake_vm_stop(&host);
    }
}

static void writes_to_read_only_registers_change_nothing(void **unused)
{
    /* Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map"; here with non-zero contents */
    (void)unused;
    for (size_t n = 0; n < PROFILES; n++) {
        const struct profile *p = &profiles[n];
        struct vlapic_cpu *cpu = start(p);
        struct vlapic_cpu_state before, after;

        quiet_busy(cpu);
        state_read(cpu, &before);
        for (uint32_t offset = 0; offset < 0x1000; offset += 16) {
            const struct row *r = row_at(p, offset);
            enum access class = class_of(p, r, false);

            if (class == RW || class == WO || class == COMMAND || class == LATCH)
                continue;
            for (unsigned ones = 0; ones < 2; ones++) {
                uint32_t old = guest_read(cpu, offset);

                guest_write(cpu, offset, ones ? 0xFFFFFFFF : 0);
                assert_int_equal(guest_read(cpu, offset), old);
                assert_int_equal(guest_esr(cpu), class == RESERVED ? VLAPIC_ESR_ILLEGAL_REGISTER : 0);
                guest_esr(cpu);
                state_read(cpu, &after);
                assert_same_state(&before, &after);
            }
        }
        fake_vm_stop(&host);
    }
}

static void a_write_sees_what_was_posted_before_it(void **unused)
{
    /* Intel SDM 3A, "Signaling Interrupt Servicing Completion": the EOI looks at TMR, which the later message has set */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(&profiles[0]);

        fresh(cpu, &profiles[0], x2apic);
        assert_true(vlapic_cpu_post(cpu, 0x60, false));
        assert_int_equal(take_vector(cpu), 0x60);
        assert_true(vlapic_cpu_post(cpu, 0x60, true));
        fake_forget(&host);
        guest_eoi(cpu);
        assert_int_equal(fake_last(&host, FAKE_EOI_BROADCAST)->a, 0x60);
        assert_int_equal(take_vector(cpu), 0x60);
        fake_vm_stop(&host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_register_has_its_reset_value_in_xapic_mode),
        cmocka_unit_test(every_register_has_its_reset_value_in_x2apic_mode),
        cmocka_unit_test(every_bit_of_every_xapic_register_is_stored_or_ignored),
        cmocka_unit_test(every_bit_of_every_x2apic_register_is_stored_or_faults),
        cmocka_unit_test(every_x2apic_msr_is_readable_writable_or_faults),
        cmocka_unit_test(x2apic_msrs_fault_outside_x2apic_mode),
        cmocka_unit_test(msrs_of_others_are_not_ours),
        cmocka_unit_test(tsc_deadline_msr_faults_without_the_feature),
        cmocka_unit_test(tsc_deadline_has_no_reserved_bits),
        cmocka_unit_test(reads_of_every_offset_and_width_give_the_bytes_asked_for),
        cmocka_unit_test(ill_formed_writes_of_every_offset_and_width_are_dropped),
        cmocka_unit_test(offsets_beyond_the_window_are_not_ours),
        cmocka_unit_test(narrow_writes_merge_if_configured),
        cmocka_unit_test(a_narrow_write_keeps_the_other_bytes),
        cmocka_unit_test(a_narrow_write_of_eoi_is_an_eoi_if_configured),
        cmocka_unit_test(registers_show_what_the_state_says),
        cmocka_unit_test(rdmsr_of_icr_gives_all_64_bits),
        cmocka_unit_test(reading_a_reserved_register_signals_the_error_once),
        cmocka_unit_test(software_disabled_apic_still_records_illegal_registers),
        cmocka_unit_test(lvt_status_bits_cannot_be_written),
        cmocka_unit_test(writes_to_read_only_registers_change_nothing),
        cmocka_unit_test(a_write_sees_what_was_posted_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
