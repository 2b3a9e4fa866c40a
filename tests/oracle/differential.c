/* SPDX-License-Identifier: BSD-2-Clause */
/* The sequence: which operation is next, and what is checked around each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential.h"
#include "differential_internal.h"

#define MIN_STEPS 32
#define MAX_STEPS 192

/* OWNER: the vCPU's owner does it, and not what a run loop does between a poll and the guest. NEWS: may concern any vCPU. */
enum { OWNER = 1, NEWS = 2 };

static const struct {
    operation run;
    const char *name;
    unsigned weight;
    unsigned kind;
} operations[] = {
    { op_serve, "serve", 24, OWNER | NEWS },
    { op_poll, "poll", 8, OWNER | NEWS },
    { op_accept, "accept", 6, OWNER | NEWS },
    { op_unaccept, "unaccept", 3, OWNER | NEWS },
    { op_acknowledge, "acknowledge", 6, OWNER | NEWS },
    { op_take_init, "take INIT", 2, OWNER | NEWS },
    { op_drop_init, "drop INIT", 1, OWNER | NEWS },
    { op_reset, "reset", 1, OWNER | NEWS },
    { op_bus_link, "attach or detach", 2, OWNER | NEWS },
    { op_enter, "enter or halt", 9, 0 },
    { op_leave, "exit", 4, 0 },
    { op_load, "load", 1, OWNER },
    { op_snapshot_same, "snapshot in place", 2, OWNER | NEWS },
    { op_snapshot_fresh, "snapshot to fresh", 2, OWNER | NEWS },
    { op_state, "state", 5, OWNER | NEWS },
    { op_stride, "stride", 3, 0 },
    { op_post, "post", 12, NEWS },
    { op_msi, "MSI", 8, NEWS },
    { op_raw_msi, "raw MSI", 2, NEWS },
    { op_deliver, "message", 10, NEWS },
    { op_pin, "pin", 10, NEWS },
    { op_lvt_event, "LVT event", 6, NEWS },
    { op_lvt_event_all, "LVT event everywhere", 2, NEWS },
    { op_pass, "time", 9, 0 },
    { op_pass_to_expiry, "time to expiry", 9, 0 },
    { op_expired, "host timer", 3, NEWS },
    { op_tsc, "TSC", 4, OWNER | NEWS },
    { op_register_write, "register write", 12, OWNER | NEWS },
    { op_register_read, "register read", 4, OWNER | NEWS },
    { op_mmio_write, "MMIO write", 5, OWNER | NEWS },
    { op_mmio_read, "MMIO read", 3, OWNER | NEWS },
    { op_msr_write, "WRMSR", 5, OWNER | NEWS },
    { op_msr_read, "RDMSR", 3, OWNER | NEWS },
    { op_base, "APIC base", 5, OWNER | NEWS },
    { op_cr8, "CR8", 3, OWNER | NEWS },
    { op_deadline, "TSC deadline", 6, OWNER | NEWS },
    { op_icr, "ICR", 14, OWNER | NEWS },
    { op_eoi, "EOI", 10, OWNER | NEWS },
    { op_seoi, "SEOI", 3, OWNER | NEWS },
    { op_svr, "SVR", 4, OWNER | NEWS },
    { op_lvt, "LVT", 10, OWNER | NEWS },
    { op_timer, "timer", 8, OWNER | NEWS },
    { op_tpr, "TPR", 4, OWNER | NEWS },
    { op_logical, "LDR", 4, OWNER | NEWS },
    { op_esr, "ESR", 3, OWNER | NEWS },
    { op_self_ipi, "SELF IPI", 3, OWNER | NEWS },
    { op_extended, "IER", 3, OWNER | NEWS },
    { op_start, "start", 3, OWNER | NEWS },
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

/* Two bytes choose an operation: its weight out of their sum. */
static unsigned pick_operation(struct machine *m)
{
    static unsigned sum;
    unsigned number, i = 0;

    if (sum == 0) {
        for (unsigned k = 0; k < OPERATIONS; k++) {
            sum += operations[k].weight;
        }
    }
    number = fuzz_u16(&m->in) % sum;
    while (number >= operations[i].weight) {
        number -= operations[i].weight;
        i++;
    }
    return i;
}

/* What is awaited of the run states before an operation, and looked at after it. */
static void before(struct machine *m, unsigned kind, unsigned cpu, struct oracle_duty duties[ORACLE_APICS])
{
    if ((kind & OWNER) != 0) {
        m->twin[cpu].polled = false;
    }
    for (unsigned i = 0; (kind & NEWS) != 0 && i < m->count; i++) {
        m->twin[i].quiet = false;
        if (m->twin[i].away) {
            duties[i] = duty_now(m, i, false);
        }
    }
}

/* A vCPU that is in the guest or asleep is kicked if it now has something else to do; its own owner need not be told. */
static void after(struct machine *m, unsigned kind, unsigned cpu, const struct oracle_duty duties[ORACLE_APICS])
{
    for (unsigned i = 0; (kind & NEWS) != 0 && i < m->count; i++) {
        struct oracle_duty now;

        if (!m->twin[i].away || m->twin[i].kicked || ((kind & OWNER) != 0 && i == cpu)) {
            continue;
        }
        now = duty_now(m, i, false);
        same(m, i, "kicked", has_news(&duties[i], &now), false);
    }
}

static void observe(struct machine *m, unsigned cpu)
{
    m->unseen++;
    if (m->unseen < m->stride) {
        return;
    }
    m->unseen = 0;
    compare_states(m);
    compare_doors(m, cpu);
}

static void run_step(struct machine *m, unsigned number, unsigned cpu)
{
    struct oracle_duty duties[ORACLE_APICS];

    say(m, "%3u vCPU %u (%Xh): %s\n", m->step, cpu, m->oracle.apic[cpu].id32, operations[number].name);
    m->library.count = 0;
    m->model.count = 0;
    before(m, operations[number].kind, cpu, duties);
    operations[number].run(m, cpu);
    compare_calls(m);
    after(m, operations[number].kind, cpu, duties);
    observe(m, cpu);
    m->step++;
}

static void tell_configuration(const struct machine *m)
{
    const struct vlapic_vm_config *c = &m->config;

    say(m, "%s, %s, catch-up %d, %llu Hz, floor %llu ns, %u bits, version %02Xh, max LVT %u\n",
        c->vendor == VLAPIC_VENDOR_AMD ? "amd" : "intel", c->icr_policy == VLAPIC_ICR_STRICT ? "strict" : "permissive",
        c->catch_up, (unsigned long long)c->timer_hz, (unsigned long long)c->timer_floor_ns, c->phys_bits, c->version,
        c->max_lvt);
    say(m, "%s%s%s%s%s%s%s%s", c->ext_space ? "ext_space " : "", c->eoi_suppression ? "eoi_suppression " : "",
        c->x2apic ? "x2apic " : "", c->tsc_deadline ? "tsc_deadline " : "",
        c->svr_bit9_faults ? "svr_bit9_faults " : "", c->lowest_in_x2apic ? "lowest_in_x2apic " : "",
        c->msi_ff_not_broadcast ? "msi_ff_not_broadcast " : "", c->dest_alias ? "dest_alias " : "");
    say(m, "%s%s%s%s%s%s%s\n", c->id_writable ? "id_writable " : "", c->narrow_write_merge ? "narrow_write_merge " : "",
        c->msi_ext_dest ? "msi_ext_dest " : "", c->msi_dest32 ? "msi_dest32 " : "", c->base_fixed ? "base_fixed " : "",
        c->x2apic_locked ? "x2apic_locked " : "", m->resends ? "(I/O APIC sends again)" : "");
}

/* Saves every input the steps to a vCPU that runs: a bit each for that, x2APIC mode and a first set-up. */
static void start_cpus(struct machine *m)
{
    unsigned bits = fuzz_u16(&m->in);

    for (unsigned cpu = 0; cpu < m->count; cpu++, bits >>= 3) {
        struct vlapic_cpu_state s;

        if ((bits & 1) == 0) {
            same(m, cpu, "get_state", VLAPIC_OK, (uint64_t)vlapic_cpu_get_state(m->twin[cpu].cpu, &s, sizeof s));
            s.events &= ~VLAPIC_EVENT_WAIT_FOR_SIPI;
            same(m, cpu, "set_state", VLAPIC_OK,
                 (uint64_t)vlapic_cpu_set_state(m->twin[cpu].cpu, &s, VLAPIC_TIME_STOPPED, NULL));
            m->oracle.apic[cpu].waits_for_sipi = false;
        }
        if ((bits & 2) != 0 && m->config.x2apic) {
            uint64_t base = oracle_base_read(&m->oracle.apic[cpu]) | VLAPIC_BASE_EXTD;

            compare_result(m, cpu, "WRMSR of IA32_APIC_BASE", oracle_msr_write(&m->oracle.apic[cpu], 0x1B, base),
                           vlapic_cpu_msr_write(m->twin[cpu].cpu, 0x1B, base));
        }
        if ((bits & 4) == 0) {
            op_start(m, cpu);
        }
    }
}

/* When the input has ended, what is still pending is served. */
static void run_on(struct machine *m)
{
    static const operation ends[] = { op_serve, op_eoi };
    unsigned number = 0;

    while (operations[number].run != ends[m->step / m->count % 2]) {
        number++;
    }
    if (m->step % m->count == 0) {
        pass(m, 1000, true);
    }
    run_step(m, number, m->step % m->count);
}

static void run(struct machine *m, const uint8_t *bytes, size_t size)
{
    m->in = (struct fuzz_input){ .bytes = bytes, .left = size };
    machine_make(m);
    m->stride = 1 + (fuzz_u8(&m->in) & 3);
    tell_configuration(m);
    start_cpus(m);
    compare_calls(m);
    while (m->step < MAX_STEPS && fuzz_more(&m->in)) {
        unsigned number = pick_operation(m);

        run_step(m, number, fuzz_below(&m->in, 256) % m->count);
    }
    while (m->step < MIN_STEPS) {
        run_on(m);
    }
    compare_states(m);
    for (unsigned cpu = 0; cpu < m->count; cpu++) {
        compare_doors_fully(m, cpu);
    }
    compare_states(m);
    machine_end(m);
}

static struct machine the_machine;
static const uint8_t *the_bytes;
static size_t the_size;

void differential_trace(const uint8_t *bytes, size_t size)
{
    memset(&the_machine, 0, sizeof the_machine);
    the_machine.tracing = true;
    run(&the_machine, bytes, size);
}

/* Called on a difference: tells it, and what led to it. */
_Noreturn void differential_again(void)
{
    differential_trace(the_bytes, the_size);
    fprintf(stderr, "differential: there was a difference, but not again\n");
    abort();
}

void differential_run(const uint8_t *bytes, size_t size)
{
    the_bytes = bytes;
    the_size = size;
    memset(&the_machine, 0, sizeof the_machine);
    run(&the_machine, bytes, size);
}
