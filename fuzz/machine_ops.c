/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations that several harnesses use, each with what it must and must not do. */
#include "machine_internal.h"

#include <string.h>

/* --- polling --------------------------------------------------------------------------------------------------------------- */

/* ExtINT reaches the core through an unmasked pin in that mode; a disabled APIC passes LINT0 on. */
static bool extint_of(const struct vlapic_cpu_state *s)
{
    bool high0 = (s->events & VLAPIC_EVENT_LINE0) != 0, high1 = (s->events & VLAPIC_EVENT_LINE1) != 0;
    const uint32_t bits = VLAPIC_DELIVERY_MASK | VLAPIC_LVT_MASKED;

    if ((s->apic_base & VLAPIC_BASE_EN) == 0) {
        return high0;
    }
    return (high0 && (s->lvt[VLAPIC_LVT_LINT0] & bits) == 0x700) ||
           (high1 && (s->lvt[VLAPIC_LVT_LINT1] & bits) == 0x700);
}

/* Duties by the state, but for the vector. An INIT that was handed over keeps a SIPI back. */
static struct vlapic_poll predict(const struct machine_cpu *c)
{
    const struct vlapic_cpu_state *s = &c->state;
    bool init = c->init_handed_over || (s->events & VLAPIC_EVENT_INIT) != 0;
    bool waits = (s->events & VLAPIC_EVENT_WAIT_FOR_SIPI) != 0;
    struct vlapic_poll p = { .init = init, .vector = -1 };

    p.sipi = waits && !init && (s->events & VLAPIC_EVENT_SIPI) != 0;
    p.sipi_vector = p.sipi ? (uint8_t)s->sipi_vector : 0;
    p.wait_for_sipi = waits && !p.sipi;
    if (!p.wait_for_sipi) {
        p.nmi = (s->events & VLAPIC_EVENT_NMI) != 0;
        p.smi = (s->events & VLAPIC_EVENT_SMI) != 0;
        p.extint_message = (s->events & VLAPIC_EVENT_EXTINT) != 0;
        p.extint = extint_of(s);
    }
    return p;
}

static void check_prediction(const struct machine_cpu *c, const struct vlapic_poll *expected,
                             const struct vlapic_poll *duty)
{
    MUST(duty->init == expected->init || c->init_handed_over);
    MUST(duty->sipi == expected->sipi && duty->sipi_vector == expected->sipi_vector);
    MUST(duty->wait_for_sipi == expected->wait_for_sipi);
    MUST(duty->nmi == expected->nmi);
    MUST(duty->smi == expected->smi);
    MUST(duty->extint_message == expected->extint_message);
    MUST(duty->extint == expected->extint);
}

/* Nobody has kicked: the poll before knew it all. */
static void check_no_news(const struct vlapic_poll *old, const struct vlapic_poll *duty)
{
    MUST(!duty->init && !duty->sipi && !duty->nmi && !duty->smi && !duty->extint_message);
    MUST(!duty->extint || old->extint);
    MUST(duty->vector == old->vector && duty->wait_for_sipi == old->wait_for_sipi);
}

static void check_duty(struct machine_cpu *c, const struct vlapic_poll *duty)
{
    if (duty->wait_for_sipi) {
        MUST(!duty->sipi && !duty->nmi && !duty->smi && !duty->extint_message && !duty->extint && duty->vector == -1);
    } else {
        MUST(duty->vector == machine_deliverable(c));
    }
}

const struct vlapic_poll *machine_poll(struct machine_cpu *c)
{
    bool away = !machine_is_home(c), kicked = c->kicked;
    bool predictable = !away && !c->machine->lazy;
    struct vlapic_poll expected, duty;

    if (away) {
        c->run = MACHINE_IN_HOST;
        vlapic_cpu_exit(c->cpu);
    }
    if (predictable) {
        machine_observe(c);
        expected = predict(c);
    }
    c->kicked = false;
    c->expired = false;
    memset(&duty, 0xA5, sizeof(duty));
    vlapic_cpu_poll(c->cpu, &duty);
    check_duty(c, &duty);
    if (predictable) {
        check_prediction(c, &expected, &duty);
    } else if (away && !kicked) {
        check_no_news(&c->duty, &duty);
    }
    c->init_handed_over = c->init_handed_over || duty.init;
    c->duty = duty;
    return &c->duty;
}

void machine_op_poll(struct machine *m, struct fuzz_input *in)
{
    (void)in;
    machine_poll(m->current);
    machine_settle(m);
}

/* --- taking vectors -------------------------------------------------------------------------------------------------------- */

/* A poll's offer stands; giving it back leaves everything as it was. */
void machine_op_take(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    int vector = machine_poll(c)->vector;
    bool give_back = (fuzz_u8(in) & 1u) != 0;

    if (vector >= 0) {
        MUST(vlapic_cpu_accept(c->cpu, (uint8_t)vector));
        MUST(machine_in_service(c) == vector);
    }
    if (vector >= 0 && give_back) {
        MUST(vlapic_cpu_unaccept(c->cpu, (uint8_t)vector));
        MUST(machine_deliverable(c) == vector);
    }
    machine_settle(m);
}

void machine_op_accept(struct machine *m, struct fuzz_input *in)
{
    struct vlapic_cpu *cpu = machine_come_home(m->current);
    uint8_t vector = fuzz_u8(in);
    bool may = machine_may_accept(m->current, vector);

    MUST(vlapic_cpu_accept(cpu, vector) == may);
    machine_settle(m);
}

void machine_op_unaccept(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    struct vlapic_cpu *cpu = machine_come_home(c);
    uint8_t vector = fuzz_u8(in);
    bool served = machine_has(c, VLAPIC_REG_ISR, vector);

    MUST(vlapic_cpu_unaccept(cpu, vector) == served);
    MUST(!served || (!machine_has(c, VLAPIC_REG_ISR, vector) && machine_has(c, VLAPIC_REG_IRR, vector)));
    machine_settle(m);
}

void machine_op_acknowledge(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    struct vlapic_cpu *cpu = machine_come_home(c);
    int expected = machine_deliverable(c);
    uint8_t vector = 0;

    (void)in;
    MUST(vlapic_cpu_acknowledge(cpu, &vector) == (expected >= 0));
    if (expected >= 0) {
        MUST(vector == expected && machine_has(c, VLAPIC_REG_ISR, vector) && !machine_has(c, VLAPIC_REG_IRR, vector));
    } else if (machine_is_enabled(c)) {
        MUST(vector == (machine_read(c, VLAPIC_REG_SVR) & 0xFF));
    }
    machine_settle(m);
}

/* --- the guest ------------------------------------------------------------------------------------------------------------- */

void machine_op_read(struct machine *m, struct fuzz_input *in)
{
    machine_come_home(m->current);
    (void)machine_read(m->current, (uint32_t)fuzz_u8(in) << 4);
    machine_settle(m);
}

void machine_op_write(struct machine *m, struct fuzz_input *in)
{
    uint32_t offset = (uint32_t)fuzz_u8(in) << 4;

    machine_come_home(m->current);
    machine_write(m->current, offset, fuzz_u32(in));
    machine_settle(m);
}

/* The highest vector in service goes; level-triggered ones are told to the I/O APICs unless that is suppressed. */
void machine_op_eoi(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    int vector;
    bool level, suppressed;

    (void)in;
    machine_come_home(c);
    vector = machine_in_service(c);
    level = vector >= 0 && machine_has(c, VLAPIC_REG_TMR, (uint8_t)vector);
    suppressed = (machine_read(c, VLAPIC_REG_SVR) & VLAPIC_SVR_EOI_SUPPRESS) != 0;
    machine_write(c, VLAPIC_REG_EOI, 0);
    MUST(vector < 0 || !machine_has(c, VLAPIC_REG_ISR, (uint8_t)vector));
    if (!m->bare) {
        MUST(c->notified_vector == vector && (vector < 0 || c->notified_level == level));
        MUST(m->broadcast == (level && !suppressed ? vector : -1));
    }
    machine_settle(m);
}

void machine_op_cr8(struct machine *m, struct fuzz_input *in)
{
    struct vlapic_cpu *cpu = machine_come_home(m->current);
    uint8_t byte = fuzz_u8(in);
    uint64_t value = (byte & 0x80u) != 0 ? 1ull << (byte & 63u) : byte & 15u;
    uint64_t old = vlapic_cpu_cr8_read(cpu);

    if (value > 15) {
        MUST(vlapic_cpu_cr8_write(cpu, value) == VLAPIC_ACCESS_GP);
        MUST(vlapic_cpu_cr8_read(cpu) == old);
    } else {
        MUST(vlapic_cpu_cr8_write(cpu, value) == VLAPIC_ACCESS_DONE);
        MUST(vlapic_cpu_cr8_read(cpu) == value);
        MUST(!machine_is_enabled(m->current) || machine_read(m->current, VLAPIC_REG_TPR) == value << 4);
    }
    machine_settle(m);
}

/* --- running --------------------------------------------------------------------------------------------------------------- */

/* Poll, perhaps something comes in, then the guest runs or the vCPU sleeps: unless something came in. */
void machine_op_enter(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    uint8_t how = fuzz_u8(in);
    bool waits = machine_poll(c)->wait_for_sipi;
    bool halts = waits || (how & 2u) != 0;
    bool posted, entered;

    if (m->notified) {
        machine_settle(m);
        return;
    }
    posted = (how & 1u) != 0 && vlapic_cpu_post(c->cpu, (uint8_t)(how | 0x10u), false);
    vlapic_cpu_load(c->cpu);
    entered = halts ? vlapic_cpu_halt(c->cpu) : vlapic_cpu_enter(c->cpu);
    MUST(entered == !(posted || c->expired));
    if (entered) {
        c->run = halts ? MACHINE_HALTED : MACHINE_IN_GUEST;
    } else {
        vlapic_cpu_put(c->cpu);
    }
    machine_settle(m);
}

/* --- from elsewhere -------------------------------------------------------------------------------------------------------- */

void machine_op_post(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    uint8_t vector = fuzz_u8(in);
    bool level = (fuzz_u8(in) & 1u) != 0;
    bool accepted = vlapic_cpu_post(c->cpu, vector, level);

    MUST(!accepted || vector >= 16);
    if (!m->lazy) {
        bool enabled = (c->state.apic_base & VLAPIC_BASE_EN) != 0 && (c->state.svr & VLAPIC_SVR_ENABLE) != 0;

        MUST(accepted == (enabled && vector >= 16));
    }
    if (accepted) {
        machine_check_kick(c);
    }
    machine_settle(m);
}

void machine_op_lint(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    uint8_t byte = fuzz_u8(in);
    uint32_t pin = byte & 3u;
    bool high = (byte & 4u) != 0;

    vlapic_cpu_lint(c->cpu, pin, high);
    if (pin < 2) {
        if (high && !c->line[pin]) {
            machine_check_kick(c);
        }
        c->line[pin] = high;
    }
    machine_settle(m);
}

void machine_op_lvt_event(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    enum vlapic_lvt entry = (enum vlapic_lvt)(byte & 31u);

    if ((byte & 0x80u) != 0) {
        vlapic_vm_lvt_event(m->vm, entry);
    } else {
        vlapic_cpu_lvt_event(m->current->cpu, entry);
    }
    machine_settle(m);
}

void machine_op_msi(struct machine *m, struct fuzz_input *in)
{
    uint64_t address = 0xFEE00000u | (uint64_t)fuzz_u8(in) << 12;
    uint8_t more = fuzz_u8(in);
    uint32_t data = fuzz_u16(in), accepted = 0;

    address |= more & 0x1Fu;
    if ((more & 0x20u) != 0) {
        address ^= fuzz_u64(in);
    }
    if ((address >> 20 & 0xFFF) != 0xFEE) {
        MUST(vlapic_vm_msi(m->vm, address, data, &accepted) == VLAPIC_ACCESS_NOT_MINE);
    } else {
        MUST(vlapic_vm_msi(m->vm, address, data, &accepted) == VLAPIC_ACCESS_DONE);
    }
    MUST(accepted <= m->cpu_count);
    machine_settle(m);
}

/* --- time ------------------------------------------------------------------------------------------------------------------ */

/* Just before, at, or after the moment that the vCPU's host timer is armed for; or any length of time. */
void machine_op_advance(struct machine *m, struct fuzz_input *in)
{
    uint8_t byte = fuzz_u8(in);
    const struct machine_cpu *c = m->current;
    uint64_t left = c->armed_ns && c->deadline > m->now_ns ? c->deadline - m->now_ns : 0;

    switch (byte >> 6) {
    case 0:
    case 1:
        machine_pass(m, (1ull << (byte & 63u)) + fuzz_u8(in));
        break;
    case 2:
        machine_pass(m, left != 0 ? left - 1 + (byte & 3u) : 1);
        break;
    default:
        machine_pass(m, left * (1 + (byte & 7u)));
        break;
    }
    if ((byte & 0x40u) == 0) {
        machine_fire_due(m);
    }
    machine_settle(m);
}

void machine_op_fire(struct machine *m, struct fuzz_input *in)
{
    machine_fire(m->current);
    if ((fuzz_u8(in) & 1u) != 0) {
        machine_fire(m->current);
    }
    machine_settle(m);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------------- */

/* Loads the vCPU with what it is: nothing shows, but that an INIT which was handed over is reported again. */
static void reload(struct machine_cpu *c, enum vlapic_time time)
{
    static uint8_t before[VLAPIC_SNAPSHOT_MAX], after[VLAPIC_SNAPSHOT_MAX];
    uint64_t drift_ns = c->machine->drift_ns;
    struct vlapic_cpu *cpu = machine_come_home(c);
    size_t length = 0, again = 0;

    c->machine->drift_ns = 0;
    MUST(vlapic_snapshot_export_cpu(cpu, before, sizeof(before), &length) == VLAPIC_OK);
    MUST(vlapic_snapshot_import_cpu(cpu, before, length, time, NULL) == VLAPIC_OK);
    c->init_handed_over = false;
    MUST(vlapic_snapshot_export_cpu(cpu, after, sizeof(after), &again) == VLAPIC_OK);
    MUST(again == length && memcmp(before, after, length) == 0);
    c->machine->drift_ns = drift_ns;
}

void machine_op_snapshot(struct machine *m, struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);

    machine_come_home(m->current);
    if (machine_clock_is_behind(m)) {
        machine_pass(m, m->latest_ns - m->now_ns);
    }
    if ((how & 2u) != 0) {
        machine_check_snapshot(m->current);
    } else {
        reload(m->current, (how & 1u) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED);
    }
    machine_settle(m);
}
