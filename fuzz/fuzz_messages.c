/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages: MSIs, decoded messages and IPIs among several vCPUs in mixed modes, while IDs, LDR, DFR and the set of vCPUs change.
 * Who has to take a message is worked out receiver by receiver, as the manuals tell it.
 */
#include "machine.h"

struct message {
    struct machine_cpu *sender; /* NULL: from outside */
    uint32_t destination;
    uint8_t vector;
    uint8_t delivery;
    uint8_t shorthand;
    bool logical, level, arbitrated;
};

/* --- who takes it ---------------------------------------------------------------------------------------------------------- */

static bool enabled(const struct machine_cpu *c)
{
    return (c->state.apic_base & VLAPIC_BASE_EN) != 0;
}

static bool x2apic(const struct machine_cpu *c)
{
    return (c->state.apic_base & VLAPIC_BASE_EXTD) != 0;
}

static bool software_enabled(const struct machine_cpu *c)
{
    return enabled(c) && (c->state.svr & VLAPIC_SVR_ENABLE) != 0;
}

static bool is_broadcast(const struct machine_cpu *r, const struct message *q)
{
    if (q->sender != NULL) {
        return q->destination == (x2apic(q->sender) ? UINT32_MAX : 0xFFu);
    }
    return q->destination == UINT32_MAX ||
           (q->destination == 0xFF && (!x2apic(r) || !r->machine->config.msi_ff_not_broadcast));
}

static bool matches_physical(const struct machine_cpu *r, uint32_t destination)
{
    if (x2apic(r)) {
        return destination == r->apic_id;
    }
    if (destination <= 0xFF) {
        return destination == r->state.xapic_id;
    }
    return r->machine->config.dest_alias ? (destination & 0xFF) == r->state.xapic_id : destination == r->apic_id;
}

static bool matches_logical(const struct machine_cpu *r, uint32_t destination)
{
    uint32_t ldr = r->state.ldr >> 24;

    if (x2apic(r)) {
        return destination >> 16 == (r->apic_id >> 4 & 0xFFFF) && (destination & 1u << (r->apic_id & 15)) != 0;
    }
    if (destination > 0xFF) {
        return false;
    }
    if (r->state.dfr >> 28 == 0xF) {
        return (destination & ldr) != 0;
    }
    return r->state.dfr >> 28 == 0 && destination >> 4 == ldr >> 4 && (destination & ldr & 15) != 0;
}

static bool matches(const struct machine_cpu *r, const struct message *q)
{
    if (!r->attached || !enabled(r)) {
        /* Its own shorthand needs no bus. */
        return r == q->sender && enabled(r) && q->shorthand == VLAPIC_SHORTHAND_SELF;
    }
    switch (q->shorthand) {
    case VLAPIC_SHORTHAND_SELF:
        return r == q->sender;
    case VLAPIC_SHORTHAND_ALL:
        return true;
    case VLAPIC_SHORTHAND_OTHERS:
        return r != q->sender;
    default:
        break;
    }
    if (is_broadcast(r, q)) {
        return true;
    }
    return q->logical ? matches_logical(r, q->destination) : matches_physical(r, q->destination);
}

static bool accepts(const struct machine_cpu *r, const struct message *q)
{
    switch (q->delivery) {
    case VLAPIC_DELIVERY_FIXED:
    case VLAPIC_DELIVERY_LOWEST:
        return software_enabled(r) && q->vector >= 16;
    case VLAPIC_DELIVERY_EXTINT:
        return software_enabled(r);
    default:
        return true;
    }
}

/* The candidate with the given number, by ascending APIC ID. */
static int nth_candidate(const struct machine *m, unsigned candidates, unsigned number)
{
    for (unsigned k = 0; k < m->cpu_count; k++) {
        unsigned below = 0;

        for (unsigned i = 0; i < m->cpu_count; i++) {
            below += (candidates >> i & 1u) != 0 && m->cpus[i].apic_id < m->cpus[k].apic_id;
        }
        if ((candidates >> k & 1u) != 0 && below == number) {
            return (int)k;
        }
    }
    return -1;
}

/* Bit i: vCPU i takes it. */
static unsigned takers_of(const struct machine *m, const struct message *q)
{
    unsigned takers = 0, count = 0, candidates = 0;
    int chosen;

    for (unsigned i = 0; i < m->cpu_count; i++) {
        const struct machine_cpu *r = &m->cpus[i];

        if (matches(r, q)) {
            takers |= accepts(r, q) ? 1u << i : 0;
            candidates |= software_enabled(r) ? 1u << i : 0;
            count += software_enabled(r);
        }
    }
    if (!q->arbitrated) {
        return takers;
    }
    chosen = count == 0 ? -1 : nth_candidate(m, candidates, (m->chooser ? m->choice : q->vector) % count);
    return chosen < 0 ? 0 : takers & 1u << chosen;
}

/* --- what it does ---------------------------------------------------------------------------------------------------------- */

static uint32_t event_of(uint8_t delivery)
{
    static const uint32_t events[8] = {
        0, 0, VLAPIC_EVENT_SMI, 0, VLAPIC_EVENT_NMI, VLAPIC_EVENT_INIT, VLAPIC_EVENT_SIPI, VLAPIC_EVENT_EXTINT
    };

    return events[delivery & 7];
}

static bool holds(const struct vlapic_cpu_state *s, const struct message *q)
{
    uint32_t event = event_of(q->delivery);

    return event != 0 ? (s->events & event) != 0 : machine_test_vector(s->irr, q->vector);
}

static void check_receiver(struct machine_cpu *r, const struct message *q, bool takes)
{
    bool held = holds(&r->state, q), level = machine_test_vector(r->state.tmr, q->vector);
    bool fixed = event_of(q->delivery) == 0;
    const struct vlapic_cpu_state *s;

    if (takes) {
        machine_check_kick(r);
    }
    if (!machine_is_home(r)) {
        return; /* what it holds shows when it comes home */
    }
    s = machine_observe(r);
    MUST(holds(s, q) == (held || takes));
    MUST(!fixed || machine_test_vector(s->tmr, q->vector) == (takes ? q->level : level));
}

static unsigned count_bits(unsigned bits)
{
    unsigned count = 0;

    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

static void check_receivers(struct machine *m, const struct message *q, unsigned takers)
{
    for (unsigned i = 0; i < m->cpu_count; i++) {
        check_receiver(&m->cpus[i], q, (takers >> i & 1u) != 0);
    }
}

/* --- from outside ---------------------------------------------------------------------------------------------------------- */

static struct message from_outside(const struct vlapic_message *v)
{
    struct message q = { .destination = v->destination, .vector = v->vector, .delivery = (uint8_t)v->delivery };

    q.logical = v->logical;
    q.level = v->level;
    q.arbitrated = v->logical && (v->redirection_hint || v->delivery == VLAPIC_DELIVERY_LOWEST);
    return q;
}

static bool is_dropped(const struct vlapic_message *v)
{
    bool fixed = v->delivery == VLAPIC_DELIVERY_FIXED || v->delivery == VLAPIC_DELIVERY_LOWEST;

    return (unsigned)v->delivery > 7 || v->delivery == VLAPIC_DELIVERY_RESERVED ||
           v->delivery == VLAPIC_DELIVERY_SIPI || (fixed && v->level && v->deassert);
}

static void check_outside(struct machine *m, const struct vlapic_message *v, uint32_t accepted)
{
    struct message q = from_outside(v);
    unsigned takers = is_dropped(v) ? 0 : takers_of(m, &q);

    MUST(accepted <= m->cpu_count);
    if (!m->lazy) {
        MUST(accepted == count_bits(takers));
        check_receivers(m, &q, takers);
    }
}

/* Destinations that mean something here, and any other. */
static uint32_t take_destination(const struct machine *m, struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);

    switch (how >> 5) {
    case 0:
    case 1:
        return fuzz_u8(in);
    case 2:
        return m->cpus[how % m->cpu_count].apic_id;
    case 3:
        return UINT32_MAX;
    case 4: {
        uint32_t id = m->cpus[how % m->cpu_count].apic_id; /* its cluster in x2APIC mode */

        return id >> 4 << 16 | fuzz_u16(in);
    }
    case 5:
        return fuzz_u16(in);
    default:
        return fuzz_u32(in);
    }
}

static void op_deliver(struct machine *m, struct fuzz_input *in)
{
    struct vlapic_message v = { .destination = take_destination(m, in), .vector = fuzz_u8(in) };
    uint8_t mode = fuzz_u8(in);

    v.delivery = (enum vlapic_delivery)(mode & 15u);
    v.logical = (mode & 0x10u) != 0;
    v.level = (mode & 0x20u) != 0;
    v.deassert = (mode & 0x40u) != 0;
    v.redirection_hint = (mode & 0x80u) != 0;
    check_outside(m, &v, vlapic_vm_deliver(m->vm, &v));
    machine_settle(m);
}

static struct vlapic_message decode_msi(const struct vlapic_vm_config *c, uint64_t address, uint32_t data)
{
    struct vlapic_message v = { .destination = (uint32_t)(address >> 12) & 0xFF, .vector = (uint8_t)data };

    v.destination |= c->msi_ext_dest ? ((uint32_t)(address >> 5) & 0x7F) << 8 : 0;
    v.destination |= c->msi_dest32 ? (uint32_t)(address >> 32) & 0xFFFFFF00u : 0;
    v.delivery = (enum vlapic_delivery)(data >> 8 & 7);
    v.logical = (address & 4) != 0;
    v.redirection_hint = (address & 8) != 0;
    v.level = (data & 0x8000) != 0;
    v.deassert = (data & 0x4000) == 0;
    return v;
}

static void op_msi(struct machine *m, struct fuzz_input *in)
{
    uint32_t destination = take_destination(m, in);
    uint8_t more = fuzz_u8(in);
    uint32_t data = fuzz_u16(in) | (uint32_t)more << 16, accepted = 0;
    uint64_t address = 0xFEE00000u | (uint64_t)(destination & 0xFF) << 12 | (destination >> 8 & 0x7F) << 5;
    struct vlapic_message v;

    address |= (uint64_t)(destination & 0xFFFFFF00u) << 32 | (more & 0x1Fu);
    address |= (more & 0x20u) != 0 ? (uint64_t)more << 32 : 0; /* to be dropped in the 32-bit format */
    MUST(vlapic_vm_msi(m->vm, address, data, &accepted) == VLAPIC_ACCESS_DONE);
    v = decode_msi(&m->config, address, data);
    if (m->config.msi_dest32 && (address >> 32 & 0xFF) != 0) {
        v.delivery = VLAPIC_DELIVERY_RESERVED;
    }
    check_outside(m, &v, accepted);
    machine_settle(m);
}

/* --- IPIs ------------------------------------------------------------------------------------------------------------------ */

/* False if nothing is sent. */
static bool decode_icr(const struct machine_cpu *sender, uint32_t destination, uint32_t low, struct message *q)
{
    const struct vlapic_vm_config *config = &sender->machine->config;
    bool amd = config->vendor == VLAPIC_VENDOR_AMD, level = (low & 0x8000) != 0,
         withdraws = level && (low & 0x4000) == 0;
    unsigned delivery = low >> 8 & 7, shorthand = low >> 18 & 3;
    bool lowest = delivery == VLAPIC_DELIVERY_LOWEST, fixed = delivery == VLAPIC_DELIVERY_FIXED;

    *q = (struct message){ .destination = destination, .vector = (uint8_t)low };
    q->delivery = (uint8_t)delivery;
    q->shorthand = (uint8_t)shorthand;
    q->logical = (low & 0x800) != 0;
    q->level = level && amd;
    q->arbitrated = lowest && (q->logical || shorthand != VLAPIC_SHORTHAND_NONE);
    if (!enabled(sender) || delivery == 3 || delivery == 7 || (delivery == VLAPIC_DELIVERY_INIT && withdraws)) {
        return false;
    }
    if ((shorthand == 1 || shorthand == 2) && !fixed && config->icr_policy == VLAPIC_ICR_STRICT) {
        return false;
    }
    if (amd && withdraws && delivery != VLAPIC_DELIVERY_SIPI) {
        return false;
    }
    if (lowest && x2apic(sender) && !amd && !config->lowest_in_x2apic) {
        return false;
    }
    return (!fixed && !lowest) || q->vector >= 16;
}

static void write_icr(struct machine_cpu *sender, uint32_t destination, uint32_t low)
{
    if (machine_is_x2apic(sender)) {
        MUST(vlapic_cpu_msr_write(sender->cpu, 0x830, (uint64_t)destination << 32 | low) == VLAPIC_ACCESS_DONE);
    } else {
        machine_write(sender, VLAPIC_REG_ICR_HIGH, destination << 24);
        machine_write(sender, VLAPIC_REG_ICR_LOW, low);
    }
}

/* A refused IPI may raise the sender's error interrupt: then only the others are checked to take nothing. */
static void check_ipi(struct machine *m, struct message *q, bool sent)
{
    unsigned takers = sent ? takers_of(m, q) : 0;

    for (unsigned i = 0; i < m->cpu_count; i++) {
        if (sent || &m->cpus[i] != q->sender) {
            check_receiver(&m->cpus[i], q, (takers >> i & 1u) != 0);
        }
    }
}

static void op_ipi(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *sender = m->current;
    uint32_t destination = take_destination(m, in), low = fuzz_u8(in);
    struct message q;
    bool sent;

    low |= (uint32_t)fuzz_u16(in) << 8;
    low &= 0x000CCFFFu;
    machine_come_home(sender);
    if (!machine_is_x2apic(sender)) {
        destination &= 0xFF;
    }
    sent = decode_icr(sender, destination, low, &q);
    q.sender = sender;
    write_icr(sender, destination, low);
    if (!m->lazy) {
        check_ipi(m, &q, sent);
    }
    machine_settle(m);
}

/* --- what decides who is addressed ----------------------------------------------------------------------------------------- */

static void op_enable(struct machine *m, struct fuzz_input *in)
{
    machine_come_home(m->current);
    machine_write(m->current, VLAPIC_REG_SVR, fuzz_u8(in) % 4 == 3 ? 0xFF : 0x1FF);
    machine_settle(m);
}

static void op_logical(struct machine *m, struct fuzz_input *in)
{
    uint32_t model = fuzz_u8(in);

    machine_come_home(m->current);
    machine_write(m->current, VLAPIC_REG_DFR, model % 4 == 3 ? model << 24 : model % 2 != 0 ? 0 : UINT32_MAX);
    machine_write(m->current, VLAPIC_REG_LDR, (uint32_t)fuzz_u8(in) << 24);
    machine_settle(m);
}

static void op_id(struct machine *m, struct fuzz_input *in)
{
    machine_come_home(m->current);
    machine_write(m->current, VLAPIC_REG_ID, (uint32_t)fuzz_u8(in) << 24);
    machine_settle(m);
}

static void op_detach(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    bool was = c->attached;

    (void)in;
    vlapic_cpu_detach(machine_come_home(c));
    c->attached = false;
    MUST(!was || vlapic_vm_find(m->vm, c->apic_id) == NULL);
    machine_settle(m);
}

static void op_attach(struct machine *m, struct fuzz_input *in)
{
    (void)in;
    machine_come_home(m->current);
    machine_attach_cpu(m->current);
    machine_settle(m);
}

/* Unplugged, with whatever was armed and pending; another one is plugged in. */
static void op_replace(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *c = m->current;
    uint32_t apic_id = fuzz_u16(in) % (m->config.max_apic_id + 1);

    machine_destroy_cpu(c);
    machine_create_cpu(c, m->vm, apic_id, (fuzz_u8(in) & 1u) != 0);
    machine_attach_cpu(c);
    machine_enter_for_good(c);
    machine_settle(m);
}

static void op_choice(struct machine *m, struct fuzz_input *in)
{
    m->choice = fuzz_u8(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static machine_op *const ops[] = {
        op_ipi,
        op_msi,
        op_deliver,
        op_enable,
        op_logical,
        op_id,
        machine_op_mode,
        machine_op_poll,
        machine_op_take,
        machine_op_eoi,
        machine_op_enter,
        machine_op_take_init,
        machine_op_drop_init,
        op_detach,
        op_attach,
        op_replace,
        op_choice,
        machine_op_write,
        machine_op_post,
        machine_op_lint,
        machine_op_lvt_event,
        machine_op_reset,
        machine_op_snapshot,
        machine_op_advance,
    };
    struct fuzz_input in = { .bytes = data, .left = size };
    struct machine *m = machine_start(&in, MACHINE_CPUS);

    m->drift_ns = 0; /* or a timer could be due at any look */
    machine_run(m, &in, ops, sizeof(ops) / sizeof(ops[0]), MACHINE_MAX_OPS);
    machine_stop(m);
    return 0;
}
