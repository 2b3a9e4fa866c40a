/* SPDX-License-Identifier: BSD-2-Clause */
/* What the owner of a vCPU does: polls, takes what it is given, resets, saves and restores, comes and goes. */
#include "differential_internal.h"

static void compare_duty(struct machine *m, unsigned cpu, const struct oracle_duty *x, const struct vlapic_poll *y)
{
    same(m, cpu, "poll: init", x->init, y->init);
    same(m, cpu, "poll: sipi", x->sipi, y->sipi);
    same(m, cpu, "poll: sipi_vector", x->sipi_vector, y->sipi ? y->sipi_vector : 0);
    same(m, cpu, "poll: nmi", x->nmi, y->nmi);
    same(m, cpu, "poll: smi", x->smi, y->smi);
    same(m, cpu, "poll: extint_message", x->extint_message, y->extint_message);
    same(m, cpu, "poll: extint", x->extint, y->extint);
    same(m, cpu, "poll: wait_for_sipi", x->wait_for_sipi, y->wait_for_sipi);
    same(m, cpu, "poll: vector", (uint64_t)x->vector, (uint64_t)y->vector);
}

static struct oracle_duty poll(struct machine *m, unsigned cpu)
{
    struct twin *t = &m->twin[cpu];
    struct oracle_duty duty;
    struct vlapic_poll library;

    oracle_poll(&m->oracle.apic[cpu], &duty);
    vlapic_cpu_poll(t->cpu, &library);
    compare_duty(m, cpu, &duty, &library);
    say(m, "  poll: vector %d%s%s%s%s%s\n", duty.vector, duty.init ? ", INIT" : "", duty.sipi ? ", SIPI" : "",
        duty.nmi ? ", NMI" : "", duty.smi ? ", SMI" : "", duty.wait_for_sipi ? ", waits" : "");
    t->offered = duty.vector;
    t->kicked = false;
    t->polled = true;
    t->quiet = true;
    t->at_poll = duty_now(m, cpu, false);
    return duty;
}

static void accept(struct machine *m, unsigned cpu, uint8_t vector)
{
    bool x = oracle_take(&m->oracle.apic[cpu], vector), y = vlapic_cpu_accept(m->twin[cpu].cpu, vector);

    say(m, "  accept %02Xh: %s\n", vector, x ? "yes" : "no");
    same(m, cpu, "accepted", x, y);
    m->twin[cpu].polled = false;
    m->twin[cpu].quiet = false;
    if (x) {
        m->twin[cpu].taken = vector;
    }
}

void op_poll(struct machine *m, unsigned cpu)
{
    poll(m, cpu);
}

static void take_init(struct machine *m, unsigned cpu)
{
    say(m, "  take INIT\n");
    oracle_take_init(&m->oracle.apic[cpu]);
    vlapic_cpu_take_init(m->twin[cpu].cpu);
    m->twin[cpu].polled = false;
    m->twin[cpu].quiet = false;
}

/* Poll and carry out the duties. */
void op_serve(struct machine *m, unsigned cpu)
{
    struct oracle_duty duty = poll(m, cpu);

    if (duty.init) {
        take_init(m, cpu);
    } else if (duty.vector >= 0) {
        accept(m, cpu, (uint8_t)duty.vector);
    }
}

/* What the last poll offered, or anything. */
void op_accept(struct machine *m, unsigned cpu)
{
    uint8_t how = fuzz_u8(&m->in), vector = pick_vector(&m->in);

    if ((how & 1) == 0 && m->twin[cpu].offered >= 0) {
        vector = (uint8_t)m->twin[cpu].offered;
    }
    accept(m, cpu, vector);
}

void op_unaccept(struct machine *m, unsigned cpu)
{
    uint8_t how = fuzz_u8(&m->in), vector = pick_vector(&m->in);
    bool x, y;

    if ((how & 3) != 0) {
        vector = m->twin[cpu].taken;
    }
    x = oracle_give_back(&m->oracle.apic[cpu], vector);
    y = vlapic_cpu_unaccept(m->twin[cpu].cpu, vector);
    say(m, "  unaccept %02Xh: %s\n", vector, x ? "yes" : "no");
    same(m, cpu, "given back", x, y);
}

void op_acknowledge(struct machine *m, unsigned cpu)
{
    uint8_t v = 0, w = 0;
    bool x = oracle_acknowledge(&m->oracle.apic[cpu], &v), y = vlapic_cpu_acknowledge(m->twin[cpu].cpu, &w);

    say(m, "  acknowledge: %02Xh, %s\n", v, x ? "taken" : "spurious");
    same(m, cpu, "acknowledged", x, y);
    same(m, cpu, "acknowledged vector", v, w);
    if (x) {
        m->twin[cpu].taken = v;
    }
}

void op_take_init(struct machine *m, unsigned cpu)
{
    take_init(m, cpu);
}

void op_drop_init(struct machine *m, unsigned cpu)
{
    say(m, "  drop INIT\n");
    oracle_drop_init(&m->oracle.apic[cpu]);
    vlapic_cpu_drop_init(m->twin[cpu].cpu);
}

void op_reset(struct machine *m, unsigned cpu)
{
    say(m, "  RESET\n");
    oracle_reset(&m->oracle.apic[cpu]);
    vlapic_cpu_reset(m->twin[cpu].cpu);
}

void op_bus_link(struct machine *m, unsigned cpu)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    struct twin *t = &m->twin[cpu];

    if (a->attached) {
        say(m, "  detach\n");
        vlapic_cpu_detach(t->cpu);
    } else {
        say(m, "  attach\n");
        same(m, cpu, "attach", VLAPIC_OK, (uint64_t)vlapic_cpu_attach(t->cpu));
    }
    a->attached = !a->attached;
    same(m, cpu, "found by ID", a->attached, vlapic_vm_find(m->vm, a->id32) == t->cpu);
}

/* Either way of going away. After a poll: what has come since must be seen, and nothing may be seen where nothing has come. */
void op_enter(struct machine *m, unsigned cpu)
{
    struct twin *t = &m->twin[cpu];
    uint8_t how = fuzz_u8(&m->in);
    struct oracle_duty now;
    bool away;

    if ((how & 3) == 0) {
        poll(m, cpu);
    }
    now = duty_now(m, cpu, false);
    away = (how & 4) != 0 ? vlapic_cpu_halt(t->cpu) : vlapic_cpu_enter(t->cpu);
    say(m, "  %s: %s\n", (how & 4) != 0 ? "halt" : "enter", away ? "gone" : "stays");
    if (t->quiet) {
        same(m, cpu, "enter or halt, nothing new", true, away);
    }
    if (now.init || now.sipi || now.nmi || now.smi || now.extint_message) {
        same(m, cpu, "enter or halt, an event untold", false, away);
    }
    if (t->polled && has_news(&t->at_poll, &now)) {
        same(m, cpu, "enter or halt, something new", false, away);
    }
    t->away = away;
}

void op_leave(struct machine *m, unsigned cpu)
{
    say(m, "  exit\n");
    vlapic_cpu_exit(m->twin[cpu].cpu);
    m->twin[cpu].away = false;
}

void op_load(struct machine *m, unsigned cpu)
{
    say(m, "  put, load\n");
    vlapic_cpu_put(m->twin[cpu].cpu);
    vlapic_cpu_load(m->twin[cpu].cpu);
}

/* ---- save and restore ---- */

/* Reading the state and replacing it look at everything, the clock included. */
static void look_at_all(struct oracle_apic *a)
{
    oracle_look(a);
    oracle_look_at_clock(a);
}

static size_t save(struct machine *m, unsigned cpu, uint8_t bytes[VLAPIC_SNAPSHOT_MAX])
{
    size_t length = 0;

    look_at_all(&m->oracle.apic[cpu]);
    same(m, cpu, "export", VLAPIC_OK,
         (uint64_t)vlapic_snapshot_export_cpu(m->twin[cpu].cpu, bytes, VLAPIC_SNAPSHOT_MAX, &length));
    return length;
}

/* The state has one INIT for both: latched, and reported but not taken. Whoever goes on from it reports it again. */
static void init_is_reported_again(struct oracle_apic *a)
{
    a->init = a->init || a->init_reported;
    a->init_reported = false;
}

static void load(struct machine *m, unsigned cpu, const uint8_t *bytes, size_t length, enum vlapic_time time)
{
    struct vlapic_snapshot_error error = { .field = "" };
    enum vlapic_status status = vlapic_snapshot_import_cpu(m->twin[cpu].cpu, bytes, length, time, &error);

    if (status != VLAPIC_OK) {
        say(m, "\nimport refuses %s", error.field ? error.field : "it");
    }
    same(m, cpu, "import", VLAPIC_OK, (uint64_t)status);
    init_is_reported_again(&m->oracle.apic[cpu]);
}

/* Time between save and restore: on the same clock, or on one that stood still meanwhile. The TSC goes on. */
static void pass_meanwhile(struct machine *m, unsigned cpu, uint8_t how, enum vlapic_time time)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    uint64_t before = m->oracle.now_ns;

    pass(m, (how & 0xF0) == 0 ? 0 : UINT64_C(1) << (how >> 3), false);
    if (time == VLAPIC_TIME_STOPPED) {
        a->due += (unsigned __int128)(m->oracle.now_ns - before) * m->config.timer_hz;
    }
    look_at_all(a);
}

void op_snapshot_same(struct machine *m, unsigned cpu)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX], how = fuzz_u8(&m->in);
    size_t length = save(m, cpu, bytes);
    enum vlapic_time time = (how & 1) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED;

    say(m, "  save, restore in place\n");
    pass_meanwhile(m, cpu, how, time);
    load(m, cpu, bytes, length, time);
}

/* A load changes IA32_APIC_BASE from what RESET made of it. */
static void base_is_told(struct oracle_apic *a)
{
    uint64_t before = UINT64_C(0xFEE00800) | (a->made_bsp ? VLAPIC_BASE_BSP : 0), after = oracle_base_read(a);

    if (before != after) {
        a->bus->hooks.base_changed(a, before, after);
    }
}

void op_snapshot_fresh(struct machine *m, unsigned cpu)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX], how = fuzz_u8(&m->in);
    struct twin *t = &m->twin[cpu];
    size_t length = save(m, cpu, bytes);
    enum vlapic_time time = (how & 1) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED;

    say(m, "  save, restore elsewhere\n");
    vlapic_cpu_destroy(t->cpu);
    same(m, cpu, "host timer armed after destroy", false, t->armed_ns || t->armed_tsc);
    t->memory ^= 1;
    twin_make(m, cpu);
    t->away = false;
    t->kicked = false;
    pass_meanwhile(m, cpu, how, time);
    if (m->oracle.apic[cpu].attached && (how & 2) == 0) {
        same(m, cpu, "attach", VLAPIC_OK, (uint64_t)vlapic_cpu_attach(t->cpu));
    }
    load(m, cpu, bytes, length, time);
    base_is_told(&m->oracle.apic[cpu]);
    if (m->oracle.apic[cpu].attached && (how & 2) != 0) {
        same(m, cpu, "attach", VLAPIC_OK, (uint64_t)vlapic_cpu_attach(t->cpu));
    }
}

static void set_vector(uint32_t words[8], bool vectors[256], uint8_t vector, bool value)
{
    if (vector < 16) {
        return;
    }
    vectors[vector] = value;
    words[vector / 32] &= ~(1u << vector % 32);
    words[vector / 32] |= value ? 1u << vector % 32 : 0;
}

static void set_event(struct vlapic_cpu_state *s, uint32_t event, bool *flag, bool value)
{
    *flag = value;
    s->events = value ? s->events | event : s->events & ~event;
}

/* A state that no guest need have reached: vectors in service out of order, another start-up state. */
static void change(struct machine *m, unsigned cpu, struct vlapic_cpu_state *s)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    uint8_t how = fuzz_u8(&m->in), vector = pick_vector(&m->in);

    if ((how & 1) != 0) {
        set_event(s, VLAPIC_EVENT_WAIT_FOR_SIPI, &a->waits_for_sipi, (how & 2) != 0);
    }
    if ((how & 4) != 0) {
        set_event(s, VLAPIC_EVENT_NMI, &a->nmi, (how & 8) != 0);
    }
    if (a->en) {
        set_vector(s->isr, a->isr, vector, (how & 0x10) != 0);
        set_vector(s->irr, a->irr, vector, (how & 0x20) != 0);
        set_vector(s->tmr, a->tmr, vector, (how & 0x40) != 0);
    }
}

void op_state(struct machine *m, unsigned cpu)
{
    struct vlapic_cpu_state s;
    const char *field = NULL;
    enum vlapic_status status;
    uint8_t how = fuzz_u8(&m->in);

    say(m, "  get state, set state\n");
    look_at_all(&m->oracle.apic[cpu]);
    same(m, cpu, "get_state", VLAPIC_OK, (uint64_t)vlapic_cpu_get_state(m->twin[cpu].cpu, &s, sizeof s));
    if ((how & 1) != 0) {
        change(m, cpu, &s);
    }
    status = vlapic_cpu_set_state(m->twin[cpu].cpu, &s, (how & 2) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED, &field);
    if (status != VLAPIC_OK) {
        say(m, "\nset_state refuses %s", field ? field : "it");
    }
    same(m, cpu, "set_state", VLAPIC_OK, (uint64_t)status);
    init_is_reported_again(&m->oracle.apic[cpu]);
}

/* How many steps go by between two looks at everything: posts, late timers and merges are then seen by nobody but the APICs. */
void op_stride(struct machine *m, unsigned cpu)
{
    static const uint8_t strides[] = { 1, 2, 3, 4, 6, 8, 12, 20 };

    (void)cpu;
    m->stride = strides[fuzz_u8(&m->in) & 7];
    say(m, "  look every %u steps\n", m->stride);
}
