/* SPDX-License-Identifier: BSD-2-Clause */
/* IA32_APIC_BASE, RESET and INIT: which changes are legal, and what each does to the registers. */
#include "machine.h"

#include <string.h>

/* --- modes ----------------------------------------------------------------------------------------------------------------- */

void machine_check_reset(const struct vlapic_cpu_state *s)
{
    MUST(s->tpr == 0 && s->ldr == 0 && s->dfr == UINT32_MAX && s->svr == 0xFF);
    MUST(s->esr == 0 && s->esr_pending == 0 && s->icr == 0 && s->ext_control == 0);
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        MUST(s->lvt[i] == VLAPIC_LVT_MASKED);
    }
    for (uint32_t i = 0; i < 8; i++) {
        MUST(s->isr[i] == 0 && s->irr[i] == 0 && s->tmr[i] == 0 && s->ier[i] == UINT32_MAX);
        MUST(s->lvt_ext[i] == VLAPIC_LVT_MASKED);
    }
    MUST(s->initial_count == 0 && s->divide_config == 0 && s->timer_running == 0 && s->tsc_deadline == 0);
}

static bool base_is_legal(const struct vlapic_vm_config *config, uint64_t from, uint64_t to)
{
    uint64_t address = ((1ull << config->phys_bits) - 1) & ~0xFFFull;
    uint64_t known = address | VLAPIC_BASE_BSP | VLAPIC_BASE_EN | (config->x2apic ? VLAPIC_BASE_EXTD : 0);
    unsigned old_mode = (unsigned)(from >> 10) & 3u, mode = (unsigned)(to >> 10) & 3u;
    /* Rows and columns: EN and EXTD as bits 1 and 0. */
    static const bool legal[4][4] = {
        { true, false, true, false }, { false }, { true, false, true, true }, { true, false, false, true }
    };

    if (from == to) {
        return true;
    }
    if ((to & ~known) != 0 || (config->base_fixed && ((from ^ to) & address) != 0)) {
        return false;
    }
    if (config->x2apic_locked && old_mode == 3 && mode != 3) {
        return false;
    }
    return legal[old_mode][mode];
}

static bool same_registers(const struct vlapic_cpu_state *a, const struct vlapic_cpu_state *b)
{
    return a->tpr == b->tpr && a->svr == b->svr && memcmp(a->lvt, b->lvt, sizeof(a->lvt)) == 0 &&
           memcmp(a->isr, b->isr, sizeof(a->isr)) == 0 && memcmp(a->tmr, b->tmr, sizeof(a->tmr)) == 0 &&
           memcmp(a->irr, b->irr, sizeof(a->irr)) == 0 && a->esr == b->esr && a->esr_pending == b->esr_pending &&
           a->initial_count == b->initial_count && a->timer_remaining == b->timer_remaining &&
           a->tsc_deadline == b->tsc_deadline && (uint32_t)a->icr == (uint32_t)b->icr;
}

static void check_new_mode(const struct machine_cpu *c, const struct vlapic_cpu_state *old)
{
    const struct vlapic_cpu_state *s = &c->state;
    bool was_enabled = (old->apic_base & VLAPIC_BASE_EN) != 0, is_enabled = (s->apic_base & VLAPIC_BASE_EN) != 0;
    bool was_x2apic = (old->apic_base & VLAPIC_BASE_EXTD) != 0, is_x2apic = (s->apic_base & VLAPIC_BASE_EXTD) != 0;

    if (was_enabled && !is_enabled) {
        machine_check_reset(s);
    } else {
        MUST(same_registers(s, old));
    }
    if (!was_x2apic && is_x2apic) {
        MUST(s->icr >> 32 == 0);
    } else if (!was_enabled && is_enabled) {
        MUST(s->xapic_id == (c->apic_id & 0xFF));
    } else {
        MUST(s->icr >> 32 == old->icr >> 32 || !is_enabled);
    }
}

void machine_write_base(struct machine_cpu *c, uint64_t value)
{
    struct vlapic_cpu *cpu = machine_come_home(c);
    uint64_t from = vlapic_cpu_apic_base(cpu), drift_ns = c->machine->drift_ns;
    bool legal = base_is_legal(&c->machine->config, from, value);
    struct vlapic_cpu_state old;

    c->machine->drift_ns = 0;
    old = *machine_observe(c);
    MUST(vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE, value) == (legal ? VLAPIC_ACCESS_DONE : VLAPIC_ACCESS_GP));
    MUST(vlapic_cpu_apic_base(cpu) == (legal ? value : from));
    machine_observe(c);
    if (legal) {
        check_new_mode(c, &old);
    } else {
        MUST(machine_same_state(&c->state, &old));
    }
    c->machine->drift_ns = drift_ns;
    machine_settle(c->machine);
}

void machine_op_mode(struct machine *m, struct fuzz_input *in)
{
    static const uint64_t modes[4] = { 0, VLAPIC_BASE_EN, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD, VLAPIC_BASE_EXTD };
    uint8_t byte = fuzz_u8(in);
    uint64_t base = vlapic_cpu_apic_base(machine_come_home(m->current));

    base = (base & ~(uint64_t)(VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) | modes[byte & 3u];
    base ^= (byte & 4u) != 0 ? VLAPIC_BASE_BSP : 0;
    base ^= (byte & 8u) != 0 ? 0x1000u : 0;
    machine_write_base(m->current, base);
}

/* --- reset and INIT -------------------------------------------------------------------------------------------------------- */

void machine_op_reset(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    const uint32_t lines = VLAPIC_EVENT_LINE0 | VLAPIC_EVENT_LINE1;
    const struct vlapic_cpu_state *s;

    (void)in;
    vlapic_cpu_reset(machine_come_home(c));
    c->init_handed_over = false;
    s = machine_observe(c);
    machine_check_reset(s);
    MUST(s->apic_base == (VLAPIC_BASE_DEFAULT | VLAPIC_BASE_EN | (c->bsp ? VLAPIC_BASE_BSP : 0)));
    MUST(s->xapic_id == (c->apic_id & 0xFF));
    MUST((s->events & ~lines) == (c->bsp ? 0 : VLAPIC_EVENT_WAIT_FOR_SIPI));
    machine_settle(m);
}

/* The ID, IA32_APIC_BASE, a SIPI that came later and an INIT that no poll has reported yet stay. */
void machine_op_take_init(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    struct vlapic_cpu *cpu = machine_come_home(c);
    const struct vlapic_cpu_state *s;
    const uint32_t wiped = VLAPIC_EVENT_NMI | VLAPIC_EVENT_SMI | VLAPIC_EVENT_EXTINT;
    bool unreported = !c->init_handed_over;
    struct vlapic_cpu_state old;

    (void)in;
    old = *machine_observe(c);
    vlapic_cpu_take_init(cpu);
    c->init_handed_over = false;
    s = machine_observe(c);
    machine_check_reset(s);
    MUST(s->apic_base == old.apic_base && s->xapic_id == old.xapic_id);
    MUST(((s->events & VLAPIC_EVENT_WAIT_FOR_SIPI) != 0) == ((s->apic_base & VLAPIC_BASE_BSP) == 0));
    MUST(((s->events ^ old.events) & VLAPIC_EVENT_SIPI) == 0 && s->sipi_vector == old.sipi_vector);
    MUST((s->events & wiped) == 0);
    MUST(!unreported || ((s->events ^ old.events) & VLAPIC_EVENT_INIT) == 0);
    machine_settle(m);
}

/* Something else consumed a reported INIT: the SIPI behind it is void, unless a newer INIT came before that. */
void machine_op_drop_init(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    struct vlapic_cpu *cpu = machine_come_home(c);
    const uint32_t both = VLAPIC_EVENT_INIT | VLAPIC_EVENT_SIPI;
    const struct vlapic_cpu_state *s;
    uint32_t old;

    (void)in;
    old = machine_observe(c)->events;
    vlapic_cpu_drop_init(cpu);
    s = machine_observe(c);
    if (c->init_handed_over && (s->events & VLAPIC_EVENT_INIT) == 0) {
        MUST((s->events & both) == 0 && (s->events & ~both) == (old & ~both));
    } else {
        MUST(s->events == old);
    }
    c->init_handed_over = false;
    machine_settle(m);
}
