/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory window: any offset, width and value, with interrupts and time in between. */
#include "machine.h"

/* Slots that answer with ESR bit 7, by the register map of the manuals. SELF IPI exists in x2APIC mode only. */
static bool is_reserved(const struct vlapic_vm_config *c, uint32_t slot)
{
    if (slot < 0x02 || (slot >= 0x04 && slot <= 0x07) || (slot >= 0x29 && slot <= 0x2E) ||
        (slot >= 0x3A && slot <= 0x3D) || slot == 0x3F) {
        return true;
    }
    if (slot == 0x2F) {
        return c->max_lvt < 6;
    }
    if (slot < 0x40) {
        return false;
    }
    if (slot == 0x42) {
        return !c->ext_space || (c->ext_features & VLAPIC_EXT_SEOI) == 0;
    }
    if (slot >= 0x48 && slot <= 0x4F) {
        return !c->ext_space || (c->ext_features & VLAPIC_EXT_IER) == 0;
    }
    if (slot >= 0x50) {
        return !c->ext_space || slot - 0x50 >= c->ext_lvt_count;
    }
    return !c->ext_space || slot > 0x41;
}

static bool is_read_only(uint32_t slot)
{
    return slot == 0x03 || slot == 0x09 || slot == 0x0A || slot == 0x0C || (slot >= 0x10 && slot <= 0x27) ||
           slot == 0x39 || slot == 0x40;
}

/* What a read right after the write gives, for registers that are plain storage but for missing bits. False if it is no such register. */
static bool stored(const struct machine_cpu *c, uint32_t offset, uint32_t value, uint32_t *expected)
{
    static const uint16_t lvts[VLAPIC_LVT_COUNT] = { 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x2F0 };
    const struct vlapic_vm_config *config = &c->machine->config;
    bool forced = (c->state.svr & VLAPIC_SVR_ENABLE) == 0;

    switch (offset) {
    case VLAPIC_REG_TPR:
        *expected = value & 0xFF;
        return true;
    case VLAPIC_REG_LDR:
    case VLAPIC_REG_ICR_HIGH:
        *expected = value & 0xFF000000u;
        return true;
    case VLAPIC_REG_DFR:
        *expected = value | 0x0FFFFFFFu;
        return true;
    case VLAPIC_REG_SVR:
        *expected = value & (config->eoi_suppression ? 0x13FFu : 0x3FFu);
        return true;
    case VLAPIC_REG_ICR_LOW:
        *expected = value & 0x000CCFFFu;
        return true;
    case VLAPIC_REG_DIVIDE_CONFIG:
        *expected = value & 0xBu;
        return true;
    default:
        break;
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        /* Remote IRR of LINT0 may come up by the write itself. */
        if (lvts[i] == offset && i != VLAPIC_LVT_LINT0 && machine_lvt_bits(config, i) != 0) {
            *expected = (value & machine_lvt_bits(config, i)) | (forced ? VLAPIC_LVT_MASKED : 0);
            return true;
        }
    }
    return false;
}

static bool answers(const struct machine_cpu *c, uint32_t offset)
{
    return machine_is_enabled(c) && !machine_is_x2apic(c) && offset < 0x1000;
}

/* No effect but that of an error, if any: state before and after, the clock standing still. */
static void check_untouched(struct machine_cpu *c, const struct vlapic_cpu_state *before, bool error)
{
    struct vlapic_cpu_state after = *machine_observe(c);

    if (error) {
        MUST((after.esr_pending & VLAPIC_ESR_ILLEGAL_REGISTER) != 0);
        after.esr_pending = before->esr_pending;
        /* The error interrupt. */
        for (uint32_t w = 0; w < 8; w++) {
            after.irr[w] = before->irr[w];
            after.tmr[w] = before->tmr[w];
        }
    }
    MUST(machine_same_state(&after, before));
}

static void read_window(struct machine_cpu *c, uint32_t offset, uint32_t length)
{
    bool well_formed = (length == 1 || length == 2 || length == 4) && (offset & 15u) + length <= 4;
    bool ours = answers(c, offset);
    bool reserved = is_reserved(&c->machine->config, offset >> 4);
    uint64_t word = ours && !reserved ? machine_read(c, offset & ~15u) : 0, value = 0x5A5A5A5A5A5A5A5Aull;
    struct vlapic_cpu_state before = *machine_observe(c);

    MUST(vlapic_cpu_mmio_read(c->cpu, offset, length, &value) == (ours ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_NOT_MINE));
    check_untouched(c, &before, ours && well_formed && reserved);
    if (!ours) {
        MUST(value == 0x5A5A5A5A5A5A5A5Aull);
    } else if (!well_formed) {
        MUST(value == 0);
    } else {
        word = word >> (8 * (offset & 15u)) & (UINT64_MAX >> (64 - 8 * length));
        MUST(value == word);
    }
}

static void write_window(struct machine_cpu *c, uint32_t offset, uint32_t length, uint64_t value)
{
    bool merges = c->machine->config.narrow_write_merge && (length == 1 || length == 2) && (offset & 15u) + length <= 4;
    bool well_formed = (length == 4 && (offset & 15u) == 0) || merges;
    bool ours = answers(c, offset);
    bool reserved = is_reserved(&c->machine->config, offset >> 4);
    struct vlapic_cpu_state before = *machine_observe(c);
    uint32_t expected;

    machine_forget_eoi(c);
    MUST(vlapic_cpu_mmio_write(c->cpu, offset, length, value) == (ours ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_NOT_MINE));
    if (!ours || !well_formed || reserved || is_read_only(offset >> 4)) {
        check_untouched(c, &before, ours && well_formed && reserved);
    } else if (length == 4 && stored(c, offset, (uint32_t)value, &expected)) {
        MUST(machine_read(c, offset) == expected);
    }
}

static void guarded(struct machine *m, struct fuzz_input *in, uint32_t offset, uint32_t length, bool write)
{
    uint64_t drift_ns = m->drift_ns;

    machine_come_home(m->current);
    m->drift_ns = 0;
    if (write) {
        write_window(m->current, offset, length, fuzz_number(in, length <= 8 ? length : 8));
    } else {
        read_window(m->current, offset, length);
    }
    m->drift_ns = drift_ns;
    machine_settle(m);
}

static void op_read(struct machine *m, struct fuzz_input *in)
{
    guarded(m, in, (uint32_t)fuzz_u8(in) << 4, 4, false);
}

static void op_write(struct machine *m, struct fuzz_input *in)
{
    guarded(m, in, (uint32_t)fuzz_u8(in) << 4, 4, true);
}

/* Offsets up to just beyond the window, and far ones. */
static uint32_t any_offset(struct fuzz_input *in)
{
    uint16_t number = fuzz_u16(in);

    return number >= 0xF000u ? (uint32_t)number << 16 : number & 0x1FFFu;
}

static void op_read_any(struct machine *m, struct fuzz_input *in)
{
    uint32_t offset = any_offset(in);

    guarded(m, in, offset, 1 + fuzz_below(in, 8), false);
}

static void op_write_any(struct machine *m, struct fuzz_input *in)
{
    uint32_t offset = any_offset(in);

    guarded(m, in, offset, 1 + fuzz_below(in, 8), true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static machine_op *const ops[] = {
        op_write,
        op_read,
        machine_op_write,
        machine_op_eoi,
        machine_op_take,
        machine_op_post,
        op_write_any,
        op_read_any,
        machine_op_poll,
        machine_op_accept,
        machine_op_unaccept,
        machine_op_acknowledge,
        machine_op_advance,
        machine_op_fire,
        machine_op_cr8,
        machine_op_mode,
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

    machine_run(m, &in, ops, sizeof(ops) / sizeof(ops[0]), MACHINE_MAX_OPS);
    machine_stop(m);
    return 0;
}
