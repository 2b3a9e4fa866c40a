/* SPDX-License-Identifier: BSD-2-Clause */
/* What is compared: results, callbacks, the whole state, and what the guest reads; and how a difference is told. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential.h"
#include "differential_internal.h"

void say(const struct machine *m, const char *format, ...)
{
    va_list arguments;

    if (!m->tracing) {
        return;
    }
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

/* What led here is told by running the same bytes again, aloud. */
void differ(const struct machine *m, unsigned cpu, const char *what, uint64_t oracle, uint64_t library)
{
    if (!m->tracing) {
        differential_again();
    }
    fprintf(stderr, "\nDIFFERENCE in step %u, vCPU %u: %s: oracle %" PRIX64 "h, library %" PRIX64 "h\n", m->step, cpu,
            what, oracle, library);
    abort();
}

void compare_result(struct machine *m, unsigned cpu, const char *what, enum oracle_result oracle,
                    enum vlapic_access library)
{
    same(m, cpu, what, (uint64_t)oracle, (uint64_t)library);
}

void compare_calls(struct machine *m)
{
    same(m, 0, "number of callbacks", m->model.count, m->library.count);
    for (unsigned i = 0; i < m->model.count && i < CALLS; i++) {
        const struct call *x = &m->model.call[i], *y = &m->library.call[i];

        same(m, x->cpu, "callback", (uint64_t)x->kind, (uint64_t)y->kind);
        same(m, x->cpu, "callback's vCPU", x->cpu, y->cpu);
        same(m, x->cpu, "callback's first argument", x->a, y->a);
        same(m, x->cpu, "callback's second argument", x->b, y->b);
    }
}

/* ---- the state ---- */

/* Eight of the oracle's booleans, in memory, for each value of a byte. */
static uint64_t spread(uint8_t byte)
{
    static uint64_t table[256];
    static bool ready;

    for (unsigned value = 0; !ready && value < 256; value++) {
        bool bits[8];

        for (unsigned bit = 0; bit < 8; bit++) {
            bits[bit] = (value >> bit & 1) != 0;
        }
        memcpy(&table[value], bits, 8);
    }
    ready = true;
    return table[byte];
}

static uint32_t gather(const bool vectors[256], unsigned word)
{
    uint32_t value = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        value |= vectors[word * 32 + bit] ? 1u << bit : 0;
    }
    return value;
}

static void same_vectors(const struct machine *m, unsigned cpu, const char *what, const bool oracle[256],
                         const uint32_t library[8])
{
    for (unsigned word = 0; word < 8; word++) {
        for (unsigned byte = 0; byte < 4; byte++) {
            uint64_t eight;

            memcpy(&eight, &oracle[word * 32 + byte * 8], 8);
            if (eight != spread((uint8_t)(library[word] >> 8 * byte))) {
                say(m, "\nvectors from %u on:", word * 32);
                differ(m, cpu, what, gather(oracle, word), library[word]);
            }
        }
    }
}

static uint32_t pending_errors(const struct oracle_apic *a)
{
    uint32_t value = 0;

    for (unsigned bit = 0; bit < 8; bit++) {
        value |= a->esr_pending[bit] ? 1u << bit : 0;
    }
    return value;
}

static uint32_t events(const struct oracle_apic *a)
{
    return (a->init || a->init_reported ? VLAPIC_EVENT_INIT : 0) | (a->sipi ? VLAPIC_EVENT_SIPI : 0) |
           (a->nmi ? VLAPIC_EVENT_NMI : 0) | (a->smi ? VLAPIC_EVENT_SMI : 0) | (a->extint ? VLAPIC_EVENT_EXTINT : 0) |
           (a->waits_for_sipi ? VLAPIC_EVENT_WAIT_FOR_SIPI : 0) | (a->line[0] ? VLAPIC_EVENT_LINE0 : 0) |
           (a->line[1] ? VLAPIC_EVENT_LINE1 : 0);
}

static void compare_registers(const struct machine *m, unsigned cpu, const struct vlapic_cpu_state *s)
{
    const struct oracle_apic *a = &m->oracle.apic[cpu];

    same(m, cpu, "apic_base", oracle_base_read(a), s->apic_base);
    same(m, cpu, "xapic_id", a->xapic_id, s->xapic_id);
    same(m, cpu, "tpr", a->tpr, s->tpr);
    same(m, cpu, "ldr", oracle_in_x2apic(a) ? 0 : (uint32_t)a->ldr << 24, s->ldr);
    same(m, cpu, "dfr", (uint32_t)a->dfr << 28 | 0x0FFFFFFF, s->dfr);
    same(m, cpu, "svr", oracle_svr_read(a), s->svr);
    same(m, cpu, "esr", oracle_esr_read(a), s->esr);
    same(m, cpu, "esr_pending", pending_errors(a), s->esr_pending);
    same(m, cpu, "icr", (uint64_t)a->icr_high << 32 | a->icr_low, s->icr);
    for (unsigned entry = 0; entry < VLAPIC_LVT_COUNT; entry++) {
        same(m, cpu, "lvt", oracle_lvt_read(a, (enum oracle_entry)entry), s->lvt[entry]);
    }
    for (unsigned entry = 0; entry < VLAPIC_LVT_EXT_MAX; entry++) {
        same(m, cpu, "lvt_ext", oracle_lvt_read(a, (enum oracle_entry)(ORACLE_EXT0 + entry)), s->lvt_ext[entry]);
    }
    same(m, cpu, "ext_control", oracle_register_read((struct oracle_apic *)a, 0x410), s->ext_control);
}

/* The host timer is late at most by what the floor allows; an expiry that does nothing need not be armed. */
static void compare_arming(const struct machine *m, unsigned cpu)
{
    const struct oracle_apic *a = &m->oracle.apic[cpu];
    const struct twin *t = &m->twin[cpu];
    unsigned __int128 due, earliest = (unsigned __int128)m->oracle.now_ns + m->config.timer_floor_ns;

    if (a->deadline != 0) {
        same(m, cpu, "TSC deadline armed", a->deadline, t->armed_tsc ? t->deadline : 0);
    }
    if (!a->counting) {
        return;
    }
    due = (a->due + m->config.timer_hz - 1) / m->config.timer_hz;
    if (due < earliest) {
        due = earliest;
    }
    if (due <= UINT64_MAX && !a->lvt[ORACLE_TIMER].masked) {
        same(m, cpu, "host timer armed", true, t->armed_ns);
        same(m, cpu, "host timer in time", true, t->deadline <= due);
    }
}

static void compare_timer(const struct machine *m, unsigned cpu, const struct vlapic_cpu_state *s)
{
    const struct oracle_apic *a = &m->oracle.apic[cpu];
    uint64_t expiry = 0;

    same(m, cpu, "initial_count", a->initial_count, s->initial_count);
    same(m, cpu, "divide_config", oracle_dcr_read(a), s->divide_config);
    same(m, cpu, "timer_running", a->counting, s->timer_running);
    same(m, cpu, "timer_remaining", oracle_clocks_left(a), s->timer_remaining);
    same(m, cpu, "timer_phase", oracle_clock_phase(a), s->timer_phase);
    same(m, cpu, "tsc_deadline", a->deadline, s->tsc_deadline);
    same(m, cpu, "next expiry known", a->counting, vlapic_cpu_next_expiry(m->twin[cpu].cpu, &expiry));
    if (a->counting) {
        unsigned __int128 due = (a->due + m->config.timer_hz - 1) / m->config.timer_hz;

        same(m, cpu, "next expiry", due > UINT64_MAX ? UINT64_MAX : (uint64_t)due, expiry);
    }
    compare_arming(m, cpu);
}

void compare_states(struct machine *m)
{
    for (unsigned cpu = 0; cpu < m->count; cpu++) {
        struct oracle_apic *a = &m->oracle.apic[cpu];
        struct vlapic_cpu_state s;

        oracle_look(a);
        oracle_look_at_clock(a);
        same(m, cpu, "get_state", VLAPIC_OK, (uint64_t)vlapic_cpu_get_state(m->twin[cpu].cpu, &s, sizeof s));
        same(m, cpu, "apic_id", a->id32, s.apic_id);
        same(m, cpu, "time_ns", m->oracle.now_ns, s.time_ns);
        compare_registers(m, cpu, &s);
        same_vectors(m, cpu, "isr", a->isr, s.isr);
        same_vectors(m, cpu, "tmr", a->tmr, s.tmr);
        same_vectors(m, cpu, "irr", a->irr, s.irr);
        same_vectors(m, cpu, "ier", a->ier, s.ier);
        same(m, cpu, "events", events(a), s.events);
        same(m, cpu, "sipi_vector", a->sipi ? a->sipi_vector : 0, s.sipi_vector);
        compare_timer(m, cpu, &s);
        m->twin[cpu].polled = false;
        m->twin[cpu].quiet = false;
    }
}

/* ---- what the guest reads ---- */

static void compare_door(struct machine *m, unsigned cpu, uint32_t offset)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    struct vlapic_cpu *c = m->twin[cpu].cpu;
    uint64_t x = 0, y = 0;
    bool msr = oracle_in_x2apic(a);
    enum oracle_result oracle;
    enum vlapic_access library;

    if (msr) {
        oracle = oracle_msr_read(a, VLAPIC_MSR_OF(offset), &x);
        library = vlapic_cpu_msr_read(c, VLAPIC_MSR_OF(offset), &y);
    } else {
        oracle = oracle_mmio_read(a, offset, 4, &x);
        library = vlapic_cpu_mmio_read(c, offset, 4, &y);
    }
    if ((uint64_t)oracle != (uint64_t)library || x != y) {
        say(m, "\nlook at %s %Xh: result %d %d", msr ? "MSR" : "offset", msr ? VLAPIC_MSR_OF(offset) : offset, oracle,
            library);
        differ(m, cpu, "register", x, y);
    }
}

/* What the state does not show: values that are computed when they are read. */
void compare_doors(struct machine *m, unsigned cpu)
{
    struct vlapic_cpu *c = m->twin[cpu].cpu;

    compare_door(m, cpu, VLAPIC_REG_PPR);
    compare_door(m, cpu, VLAPIC_REG_CURRENT_COUNT);
    compare_door(m, cpu, VLAPIC_REG_LDR);
    same(m, cpu, "CR8", oracle_cr8_read(&m->oracle.apic[cpu]), vlapic_cpu_cr8_read(c));
    m->twin[cpu].polled = false;
}

void compare_doors_fully(struct machine *m, unsigned cpu)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    uint64_t x = 0, y = 0;

    for (uint32_t offset = 0; offset < 0x600; offset += 0x10) {
        compare_door(m, cpu, offset);
    }
    same(m, cpu, "CR8", oracle_cr8_read(a), vlapic_cpu_cr8_read(m->twin[cpu].cpu));
    same(m, cpu, "IA32_APIC_BASE", oracle_base_read(a), vlapic_cpu_apic_base(m->twin[cpu].cpu));
    compare_result(m, cpu, "read of 6E0h", oracle_msr_read(a, 0x6E0, &x),
                   vlapic_cpu_msr_read(m->twin[cpu].cpu, 0x6E0, &y));
    same(m, cpu, "IA32_TSC_DEADLINE", x, y);
}

/* ---- duties ---- */

/* What a poll would say now, without doing it; the timers aside if wanted, which nobody but the owner looks at. */
struct oracle_duty duty_now(const struct machine *m, unsigned cpu, bool with_time)
{
    struct oracle_apic copy = m->oracle.apic[cpu];
    struct oracle_duty duty;

    if (!with_time) {
        copy.counting = false;
        copy.deadline = 0;
    }
    oracle_poll(&copy, &duty);
    return duty;
}

/* Whether there is more to do than before. That the 8259 has withdrawn its request is no duty. */
bool has_news(const struct oracle_duty *before, const struct oracle_duty *now)
{
    return now->init > before->init || now->sipi > before->sipi || now->nmi > before->nmi || now->smi > before->smi ||
           now->extint_message > before->extint_message || now->extint > before->extint || now->vector > before->vector;
}
