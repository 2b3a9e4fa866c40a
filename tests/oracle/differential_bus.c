/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to the APICs from outside: messages, pins, local events, time. */
#include "differential_internal.h"

void op_post(struct machine *m, unsigned cpu)
{
    uint8_t vector = pick_vector(&m->in);
    bool level = (fuzz_u8(&m->in) & 1) != 0;

    say(m, "  post %02Xh, %s\n", vector, level ? "level" : "edge");
    same(m, cpu, "post accepted", oracle_post(&m->oracle.apic[cpu], vector, level),
         vlapic_cpu_post(m->twin[cpu].cpu, vector, level));
}

static void msi(struct machine *m, uint64_t address, uint32_t data)
{
    uint32_t x = 99, y = 99;

    say(m, "  MSI %llXh = %Xh\n", (unsigned long long)address, data);
    compare_result(m, 0, "result of MSI", oracle_msi(&m->oracle, address, data, &x),
                   vlapic_vm_msi(m->vm, address, data, &y));
    same(m, 0, "MSI accepted", x, y);
}

void op_msi(struct machine *m, unsigned cpu)
{
    uint32_t destination = pick_destination(m), data = pick_vector(&m->in);
    uint8_t how = fuzz_u8(&m->in), more = fuzz_u8(&m->in);
    uint64_t address = 0xFEE00000 | (destination & 0xFF) << 12 | (how & 3u) << 2;

    (void)cpu;
    address |= (destination >> 8 & 0x7F) << 5;
    address |= (uint64_t)(destination >> 8) << 40;
    data |= (more & 7u) << 8 | (how & 0xCu) << 12;
    msi(m, address, data);
}

void op_raw_msi(struct machine *m, unsigned cpu)
{
    uint64_t address = fuzz_u64(&m->in);

    (void)cpu;
    if ((address & 1) == 0) {
        address = (address & ~(uint64_t)0xFFF00000) | 0xFEE00000;
    }
    msi(m, address, fuzz_u32(&m->in));
}

void op_deliver(struct machine *m, unsigned cpu)
{
    struct vlapic_message message = { .destination = pick_destination(m), .vector = pick_vector(&m->in) };
    uint8_t how = fuzz_u8(&m->in), more = fuzz_u8(&m->in);
    struct oracle_message same_message;

    (void)cpu;
    message.delivery = (enum vlapic_delivery)((more & 8) != 0 ? more & 7 : more & 1);
    message.logical = (how & 1) != 0;
    message.level = (how & 2) != 0;
    message.deassert = (how & 0x1C) == 0x1C;
    message.redirection_hint = (how & 0x60) == 0x60;
    same_message = oracle_message_of(&message);
    say(m, "  message to %s %Xh, mode %d, vector %02Xh%s%s%s\n", message.logical ? "logical" : "physical",
        message.destination, message.delivery, message.vector, message.level ? ", level" : "",
        message.deassert ? ", de-assert" : "", message.redirection_hint ? ", redirection hint" : "");
    same(m, 0, "message accepted", oracle_deliver(&m->oracle, &same_message), vlapic_vm_deliver(m->vm, &message));
    if (message.level && message.delivery == VLAPIC_DELIVERY_FIXED) {
        m->level_message = message;
    }
}

void op_pin(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in);
    unsigned pin = byte >= 0xF0 ? byte : byte & 1, times = 1 + (byte >> 2 & 3);

    for (unsigned i = 0; i < times; i++) {
        bool asserted = ((byte >> 1 & 1) ^ (i & 1)) != 0;

        say(m, "  LINT%u %s\n", pin, asserted ? "up" : "down");
        oracle_pin(&m->oracle.apic[cpu], pin, asserted);
        vlapic_cpu_lint(m->twin[cpu].cpu, pin, asserted);
    }
}

static unsigned pick_entry(struct fuzz_input *in)
{
    static const uint8_t entries[] = { VLAPIC_LVT_THERMAL, VLAPIC_LVT_PERF, VLAPIC_LVT_CMCI, VLAPIC_LVT_EXT0 };
    uint8_t byte = fuzz_u8(in);

    return byte < 0x80 ? entries[byte & 3] : byte & 31;
}

void op_lvt_event(struct machine *m, unsigned cpu)
{
    unsigned entry = pick_entry(&m->in);

    say(m, "  event of LVT entry %u\n", entry);
    oracle_lvt_event(&m->oracle.apic[cpu], (enum oracle_entry)entry);
    vlapic_cpu_lvt_event(m->twin[cpu].cpu, (enum vlapic_lvt)entry);
}

void op_lvt_event_all(struct machine *m, unsigned cpu)
{
    unsigned entry = pick_entry(&m->in);

    (void)cpu;
    say(m, "  event of LVT entry %u everywhere\n", entry);
    oracle_lvt_event_all(&m->oracle, (enum oracle_entry)entry);
    vlapic_vm_lvt_event(m->vm, (enum vlapic_lvt)entry);
}

/* ---- time ---- */

/* What the host's timer would do now. The vCPU is told of a change that only its timers bring. */
static void fire(struct machine *m, unsigned cpu)
{
    struct twin *t = &m->twin[cpu];
    uint64_t now = t->armed_ns ? m->oracle.now_ns : m->oracle.apic[cpu].tsc;

    if ((!t->armed_ns && !t->armed_tsc) || now < t->deadline) {
        return;
    }
    say(m, "  host timer of vCPU %u\n", cpu);
    t->armed_ns = false;
    t->armed_tsc = false;
    t->quiet = false;
    oracle_rang(&m->oracle.apic[cpu]);
    vlapic_cpu_timer_expired(t->cpu);
    if (t->away) {
        struct oracle_duty before = duty_now(m, cpu, false), after = duty_now(m, cpu, true);

        same(m, cpu, "kick for an expired timer", true, t->kicked || !has_news(&before, &after));
    }
}

/* A sequence lasts 2^60 ns at most, 36 years, and does not reach the end of the clock. The TSC goes twice as fast. */
void pass(struct machine *m, uint64_t ns, bool host_timers)
{
    if (ns >= UINT64_C(1) << 60 || m->passed_ns + ns >= UINT64_C(1) << 60 || m->oracle.now_ns + ns < ns) {
        return;
    }
    m->passed_ns += ns;
    say(m, "  %llu ns pass\n", (unsigned long long)ns);
    m->oracle.now_ns += ns;
    for (unsigned i = 0; i < m->count; i++) {
        m->oracle.apic[i].tsc += 2 * ns;
    }
    for (unsigned i = 0; host_timers && i < m->count; i++) {
        fire(m, i);
    }
}

void op_pass(struct machine *m, unsigned cpu)
{
    uint8_t byte = fuzz_u8(&m->in);
    uint64_t ns = byte >> 3;

    (void)cpu;
    switch (byte & 3) {
    case 0:
        break;
    case 1:
        ns = fuzz_u16(&m->in);
        break;
    case 2:
        ns = UINT64_C(1) << (byte >> 3);
        break;
    default:
        ns = (byte & 0xC0) == 0xC0 ? UINT64_C(1) << (30 + fuzz_below(&m->in, 30)) : (uint64_t)(byte >> 3) * 1000000;
        break;
    }
    pass(m, ns, (byte & 4) == 0);
}

/* To the end of the running count, or a nanosecond off, or some periods further. */
void op_pass_to_expiry(struct machine *m, unsigned cpu)
{
    const struct oracle_apic *a = &m->oracle.apic[cpu];
    uint8_t byte = fuzz_u8(&m->in);
    uint64_t hz = m->config.timer_hz, ns;
    unsigned __int128 due = (a->due + hz - 1) / hz;

    if (!a->counting || due <= m->oracle.now_ns || due > UINT64_MAX) {
        return;
    }
    ns = (uint64_t)due - m->oracle.now_ns;
    if ((byte & 3) == 1) {
        ns--;
    }
    if ((byte & 3) == 2) {
        ns++;
    }
    if ((byte & 3) == 3 && ns < UINT64_C(1) << 56) {
        ns += ns * (byte >> 3 & 7);
    }
    pass(m, ns, (byte & 4) == 0);
}

/* Early, late, twice, never armed: the host timer may go off at any time. */
void op_expired(struct machine *m, unsigned cpu)
{
    say(m, "  host timer goes off\n");
    oracle_rang(&m->oracle.apic[cpu]);
    vlapic_cpu_timer_expired(m->twin[cpu].cpu);
}

void op_tsc(struct machine *m, unsigned cpu)
{
    struct oracle_apic *a = &m->oracle.apic[cpu];
    uint8_t byte = fuzz_u8(&m->in);

    switch (byte & 3) {
    case 0:
        a->tsc = byte >> 2;
        break;
    case 1:
        a->tsc = fuzz_u64(&m->in);
        break;
    case 2:
        a->tsc = a->deadline + (byte >> 2 & 3) - 1;
        break;
    default:
        a->tsc += (byte & 4) != 0 ? ~UINT64_C(0) << (byte >> 3) : UINT64_C(1) << (byte >> 3);
        break;
    }
    say(m, "  TSC := %llXh\n", (unsigned long long)a->tsc);
    oracle_look(a);
    oracle_deadline_read(a);
    vlapic_cpu_tsc_changed(m->twin[cpu].cpu);
}
