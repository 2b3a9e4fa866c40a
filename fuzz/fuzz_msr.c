/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs: every number of the x2APIC range, IA32_APIC_BASE, IA32_TSC_DEADLINE, in every mode; what faults changes nothing. */
#include "machine.h"

#define READABLE 1u
#define WRITABLE 2u

/* What exists of 800h..8FFh, by the register map of the manuals. */
static unsigned access_of(const struct vlapic_vm_config *c, uint32_t slot)
{
    static const uint8_t basic[0x40] = {
        [0x02] = READABLE,
        [0x03] = READABLE,
        [0x08] = READABLE | WRITABLE,
        [0x0A] = READABLE,
        [0x0B] = WRITABLE,
        [0x0D] = READABLE,
        [0x0F] = READABLE | WRITABLE,
        [0x28] = READABLE | WRITABLE,
        [0x30] = READABLE | WRITABLE,
        [0x32] = READABLE | WRITABLE,
        [0x33] = READABLE | WRITABLE,
        [0x34] = READABLE | WRITABLE,
        [0x35] = READABLE | WRITABLE,
        [0x36] = READABLE | WRITABLE,
        [0x37] = READABLE | WRITABLE,
        [0x38] = READABLE | WRITABLE,
        [0x39] = READABLE,
        [0x3E] = READABLE | WRITABLE,
        [0x3F] = WRITABLE,
    };

    if (slot >= 0x10 && slot <= 0x27) {
        return READABLE;
    }
    if (slot < 0x40) {
        return slot == 0x2F && c->max_lvt >= 6 ? READABLE | WRITABLE : basic[slot];
    }
    if (!c->ext_space) {
        return 0;
    }
    if (slot >= 0x48 && slot <= 0x4F) {
        return (c->ext_features & VLAPIC_EXT_IER) != 0 ? READABLE | WRITABLE : 0;
    }
    if (slot == 0x42) {
        return (c->ext_features & VLAPIC_EXT_SEOI) != 0 ? READABLE | WRITABLE : 0;
    }
    if (slot >= 0x50) {
        return slot - 0x50 < c->ext_lvt_count ? READABLE | WRITABLE : 0;
    }
    return slot == 0x40 ? READABLE : slot == 0x41 ? READABLE | WRITABLE : 0;
}

static uint64_t svr_bits(const struct vlapic_vm_config *c)
{
    return (c->eoi_suppression ? 0x13FFu : 0x3FFu) & ~(c->svr_bit9_faults ? 0x200u : 0u);
}

/* Bits that may be 1 in a WRMSR without a fault. */
static uint64_t valid_bits(const struct vlapic_vm_config *c, uint32_t slot)
{
    static const uint64_t lvts[6] = { 0x310FF, 0x117FF, 0x117FF, 0x1F7FF, 0x1F7FF, 0x110FF };

    if (slot == 0x32 && c->tsc_deadline) {
        return 0x710FF;
    }
    if (slot >= 0x32 && slot <= 0x37) {
        return lvts[slot - 0x32];
    }
    switch (slot) {
    case 0x08:
    case 0x3F:
    case 0x42:
        return 0xFF;
    case 0x0F:
        return svr_bits(c);
    case 0x30:
        return 0xFFFFFFFF000CCFFFull | (c->vendor == VLAPIC_VENDOR_INTEL ? 0x1000u : 0u);
    case 0x3E:
        return 0xB;
    case 0x41:
        return c->ext_features;
    case 0x0B:
    case 0x28:
        return 0;
    case 0x38:
        return UINT32_MAX;
    default:
        break;
    }
    return slot == 0x2F || slot >= 0x50 ? 0x117FF : UINT32_MAX;
}

static enum vlapic_access expected_read(const struct machine_cpu *c, uint32_t msr)
{
    if (msr == VLAPIC_MSR_APIC_BASE) {
        return VLAPIC_ACCESS_DONE;
    }
    if (msr == VLAPIC_MSR_TSC_DEADLINE) {
        return c->machine->config.tsc_deadline ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_GP;
    }
    if (msr < 0x800 || msr > 0x8FF) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    return machine_is_x2apic(c) && (access_of(&c->machine->config, msr - 0x800) & READABLE) != 0 ? VLAPIC_ACCESS_DONE
                                                                                                 : VLAPIC_ACCESS_GP;
}

static enum vlapic_access expected_write(const struct machine_cpu *c, uint32_t msr, uint64_t value)
{
    const struct vlapic_vm_config *config = &c->machine->config;

    if (msr < 0x800 || msr > 0x8FF) {
        return expected_read(c, msr);
    }
    return machine_is_x2apic(c) && (access_of(config, msr - 0x800) & WRITABLE) != 0 &&
                   (value & ~valid_bits(config, msr - 0x800)) == 0
               ? VLAPIC_ACCESS_DONE
               : VLAPIC_ACCESS_GP;
}

static void read_msr(struct machine_cpu *c, uint32_t msr)
{
    struct vlapic_cpu_state before = *machine_observe(c);
    enum vlapic_access expected = expected_read(c, msr);
    uint64_t value = 0x5A5A5A5A5A5A5A5Aull;

    MUST(vlapic_cpu_msr_read(c->cpu, msr, &value) == expected);
    MUST(machine_same_state(machine_observe(c), &before));
    if (expected != VLAPIC_ACCESS_DONE) {
        MUST(value == 0x5A5A5A5A5A5A5A5Aull);
    } else if (msr == VLAPIC_MSR_TSC_DEADLINE) {
        MUST(value == before.tsc_deadline);
    } else if (msr == 0x830) {
        MUST(value == before.icr);
    } else if (msr != VLAPIC_MSR_APIC_BASE) {
        MUST(value <= UINT32_MAX);
    }
}

static uint64_t faults_of(const struct machine_cpu *c)
{
    struct vlapic_cpu_stats stats;

    MUST(vlapic_cpu_get_stats(c->cpu, &stats, sizeof(stats)) == VLAPIC_OK);
    return stats.faults;
}

static void write_msr(struct machine_cpu *c, uint32_t msr, uint64_t value)
{
    struct vlapic_cpu_state before = *machine_observe(c);
    enum vlapic_access expected = expected_write(c, msr, value);
    uint64_t faults = faults_of(c);

    machine_forget_eoi(c);
    MUST(vlapic_cpu_msr_write(c->cpu, msr, value) == expected);
    MUST(faults_of(c) == faults + (expected == VLAPIC_ACCESS_GP));
    if (expected != VLAPIC_ACCESS_DONE) {
        MUST(machine_same_state(machine_observe(c), &before));
    } else if (msr == 0x830) {
        uint64_t icr = 0;

        MUST(vlapic_cpu_msr_read(c->cpu, msr, &icr) == VLAPIC_ACCESS_DONE);
        MUST(icr == (value & ~0x1000ull));
    }
}

/* The clock stands still between the looks. */
static void guarded(struct machine *m, uint32_t msr, bool write, uint64_t value)
{
    uint64_t drift_ns = m->drift_ns;

    machine_come_home(m->current);
    m->drift_ns = 0;
    if (!write) {
        read_msr(m->current, msr);
    } else if (msr == VLAPIC_MSR_APIC_BASE) {
        machine_write_base(m->current, value);
    } else {
        write_msr(m->current, msr, value);
    }
    m->drift_ns = drift_ns;
    machine_settle(m);
}

static void op_rdmsr(struct machine *m, struct fuzz_input *in)
{
    guarded(m, 0x800u + fuzz_u8(in), false, 0);
}

static void op_wrmsr(struct machine *m, struct fuzz_input *in)
{
    uint32_t msr = 0x800u + fuzz_u8(in);

    guarded(m, msr, true, fuzz_u32(in));
}

static void op_wrmsr_64(struct machine *m, struct fuzz_input *in)
{
    uint32_t msr = 0x800u + fuzz_u8(in);

    guarded(m, msr, true, fuzz_u64(in));
}

static void op_rdmsr_any(struct machine *m, struct fuzz_input *in)
{
    guarded(m, fuzz_u16(in), false, 0);
}

static void op_wrmsr_any(struct machine *m, struct fuzz_input *in)
{
    uint32_t msr = fuzz_u16(in);

    guarded(m, msr, true, fuzz_u64(in));
}

static void op_base(struct machine *m, struct fuzz_input *in)
{
    guarded(m, VLAPIC_MSR_APIC_BASE, true, fuzz_u64(in));
}

static void op_deadline(struct machine *m, struct fuzz_input *in)
{
    uint64_t value = fuzz_u32(in);

    guarded(m, VLAPIC_MSR_TSC_DEADLINE, true, (value & 1u) != 0 ? m->now_tsc + value : value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static machine_op *const ops[] = {
        op_wrmsr,
        op_rdmsr,
        op_wrmsr_64,
        machine_op_write,
        machine_op_mode,
        machine_op_eoi,
        machine_op_take,
        machine_op_post,
        op_rdmsr_any,
        op_wrmsr_any,
        op_base,
        op_deadline,
        machine_op_poll,
        machine_op_accept,
        machine_op_unaccept,
        machine_op_acknowledge,
        machine_op_advance,
        machine_op_fire,
        machine_op_cr8,
        machine_op_lint,
        machine_op_lvt_event,
        machine_op_msi,
        machine_op_enter,
        machine_op_take_init,
        machine_op_drop_init,
        machine_op_reset,
        machine_op_snapshot,
    };
    struct fuzz_input in = { .bytes = data, .left = size };
    struct machine *m = machine_start(&in, 2);

    if (m->config.x2apic) {
        machine_write_base(m->current, vlapic_cpu_apic_base(m->current->cpu) | VLAPIC_BASE_EXTD);
    }
    machine_run(m, &in, ops, sizeof(ops) / sizeof(ops[0]), MACHINE_MAX_OPS);
    machine_stop(m);
    return 0;
}
