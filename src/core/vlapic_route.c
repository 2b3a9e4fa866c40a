/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a destination to the vCPUs that it names. Intel SDM 3A, "Determining IPI Destination", "Logical x2APIC ID"; AMD APM 2,
 * "Interrupt Destination".
 *
 * Every word of the tables is valid by itself and is only a hint: whoever it names is asked by its own route word whether the
 * message is for it. (By physical ID, while no ID is irregular, the table itself is the answer, and only EN is
 * asked.) So readers need no lock and no grace period, and a register that changes while a message is under way looks as it does on a
 * real bus. What the tables cannot express (vlapic_tables.c) is counted; while such a count is not zero, messages that it may concern
 * take a slower path that is still exact.
 */
#include "vlapic_mailbox.h"
#include "vlapic_match.h"

/* One x2APIC cluster has 16 members; an 8-bit destination can name 8 of those, 8 flat and 4 cluster members. */
#define MAX_LISTED 20u

/* What a look-up has come to. */
struct outcome {
    bool all;          /* nothing was delivered or listed: every vCPU is to be asked */
    uint32_t accepted; /* not arbitrated: delivered on the way */
    uint32_t count;    /* arbitrated: the candidates, by ascending APIC ID */
    struct vlapic_cpu *candidates[MAX_LISTED];
};

/* --- looking up --------------------------------------------------------------------------------------------------------- */

static struct vlapic_cpu *by_id(const struct vlapic_vm *vm, uint32_t apic_id)
{
    return apic_id <= vm->config.max_apic_id ? vlapic_load_acquire(&vm->by_id[apic_id]) : NULL;
}

/* Next present word of the bitmap at or after `word`, by the summary. */
static uint32_t next_word(const struct vlapic_vm *vm, uint32_t word)
{
    for (uint32_t s = word / 64; s < vm->summary_words; s++) {
        uint64_t bits = vlapic_load_relaxed(&vm->summary[s]);

        if (s == word / 64) {
            bits &= UINT64_MAX << (word % 64);
        }
        if (bits != 0) {
            return s * 64 + vlapic_bit_index(bits);
        }
    }
    return UINT32_MAX;
}

struct vlapic_cpu *vlapic_core_route_next(const struct vlapic_vm *vm, uint32_t from)
{
    uint64_t mask = UINT64_MAX << (from % 64);
    uint32_t word = from <= vm->config.max_apic_id ? from / 64 : UINT32_MAX;

    for (; word != UINT32_MAX; word = next_word(vm, word + 1)) {
        for (uint64_t bits = vlapic_load_relaxed(&vm->present[word]) & mask; bits != 0; bits &= bits - 1) {
            struct vlapic_cpu *cpu = vlapic_load_acquire(&vm->by_id[word * 64 + vlapic_bit_index(bits)]);

            if (cpu != NULL) { /* NULL: leaving at this moment */
                return cpu;
            }
        }
        mask = UINT64_MAX;
    }
    return NULL;
}

static inline uint32_t route_of(const struct vlapic_cpu *cpu)
{
    return vlapic_load_acquire(&cpu->route);
}

static vlapic_always_inline uint32_t deliver(const struct vlapic_request *q, struct vlapic_cpu *cpu, uint32_t route)
{
    enum vlapic_posted posted = vlapic_post(cpu, route, q->delivery, q->vector, q->level);

    vlapic_kick(cpu, posted);
    return vlapic_is_accepted(posted);
}

/* Tables mostly name vCPUs in the order of their IDs. */
static inline void add_candidate(struct outcome *o, struct vlapic_cpu *cpu, uint32_t route)
{
    uint32_t at = o->count;

    if ((route & VLAPIC_ROUTE_SOFTWARE_ENABLED) == 0 || o->count == MAX_LISTED) {
        return;
    }
    for (; at > 0 && o->candidates[at - 1]->apic_id > cpu->apic_id; at--) {
        o->candidates[at] = o->candidates[at - 1];
    }
    o->candidates[at] = cpu;
    o->count++;
}

/* The message is for this vCPU. */
static vlapic_always_inline void meet(struct outcome *o, const struct vlapic_request *q, struct vlapic_cpu *cpu,
                                      uint32_t route)
{
    if (q->arbitrated) {
        add_candidate(o, cpu, route);
    } else {
        o->accepted += deliver(q, cpu, route);
    }
}

static void ask(struct outcome *o, const struct vlapic_request *q, struct vlapic_cpu *cpu)
{
    uint32_t route = cpu != NULL ? route_of(cpu) : 0;

    if ((route & VLAPIC_ROUTE_EN) != 0 && vlapic_matches(q, cpu, route)) {
        meet(o, q, cpu, route);
    }
}

static void find_physical(const struct vlapic_vm *vm, struct outcome *o, const struct vlapic_request *q)
{
    bool aliases = q->destination > 0xFF ? vm->config.dest_alias : vlapic_load_acquire(&vm->wide_ids) != 0;

    /* In xAPIC mode the ID register may not hold the whole ID: those with the same low byte may match, if they are few. */
    if (vlapic_load_acquire(&vm->odd_ids) != 0 || (aliases && vm->config.max_apic_id >= MAX_LISTED * 256)) {
        o->all = true;
        return;
    }
    ask(o, q, by_id(vm, q->destination));
    for (uint32_t id = q->destination & 0xFFu; aliases && id <= vm->config.max_apic_id; id += 256) {
        if (id != q->destination) {
            ask(o, q, by_id(vm, id));
        }
    }
}

/* Slots and IDs may name the same vCPU while its mode changes: each look-up takes those of its own mode only. In x2APIC mode the
 * logical ID is the place in the table of IDs. */
static inline void ask_x2apic_cluster(const struct vlapic_vm *vm, struct outcome *o, const struct vlapic_request *q)
{
    const uint32_t in_mode = VLAPIC_ROUTE_EN | VLAPIC_ROUTE_EXTD;
    uint32_t first = (q->destination >> 16) * 16;

    for (uint32_t bits = q->destination & 0xFFFFu; bits != 0; bits &= bits - 1) {
        struct vlapic_cpu *cpu = by_id(vm, first + vlapic_bit_index(bits));
        uint32_t route = cpu != NULL ? route_of(cpu) : 0;

        if ((route & in_mode) == in_mode) {
            meet(o, q, cpu, route);
        }
    }
}

/* Whoever is rightly in a slot has the slot's one bit in its LDR; `rest` is what its route word has besides. */
static vlapic_noinline void ask_slots(struct outcome *o, const struct vlapic_request *q,
                                      struct vlapic_cpu *const *slots, uint32_t bits, uint32_t rest)
{
    const uint32_t mask = VLAPIC_ROUTE_EN | VLAPIC_ROUTE_EXTD | VLAPIC_ROUTE_LOGICAL(0xF, 0xFF);

    for (; bits != 0; bits &= bits - 1) {
        struct vlapic_cpu *cpu = vlapic_load_acquire(&slots[vlapic_bit_index(bits)]);
        uint32_t route = cpu != NULL ? route_of(cpu) : 0;

        if ((route & mask) == (rest | VLAPIC_ROUTE_LOGICAL(0, bits & -bits))) {
            meet(o, q, cpu, route);
        }
    }
}

/* Whole tables are passed over that nobody is in; they are entered before the route word says so. */
static void find_logical(const struct vlapic_vm *vm, struct outcome *o, const struct vlapic_request *q)
{
    uint32_t destination = q->destination;

    if (destination <= 0xFF && vlapic_load_acquire(&vm->odd_logical) != 0) {
        o->all = true;
        return;
    }
    if (vlapic_load_acquire(&vm->x2apic_cpus) != 0) {
        ask_x2apic_cluster(vm, o, q);
    }
    if (destination > 0xFF) {
        return;
    }
    if (vlapic_load_acquire(&vm->flat_used) != 0) {
        ask_slots(o, q, vm->flat, destination, VLAPIC_ROUTE_EN | VLAPIC_ROUTE_LOGICAL(0xF, 0));
    }
    if (vlapic_load_acquire(&vm->cluster_used) != 0) {
        ask_slots(o, q, &vm->cluster[(size_t)(destination >> 4) * 4], destination & 0xFu,
                  VLAPIC_ROUTE_EN | VLAPIC_ROUTE_LOGICAL(0, destination & 0xF0u));
    }
}

static vlapic_noinline void find(const struct vlapic_vm *vm, struct outcome *o, const struct vlapic_request *q)
{
    o->count = 0;
    o->accepted = 0;
    o->all = false;
    if (q->shorthand == VLAPIC_SHORTHAND_SELF) {
        meet(o, q, q->sender, route_of(q->sender)); /* it has just written its ICR, hence is enabled */
    } else if (q->shorthand != VLAPIC_SHORTHAND_NONE || vlapic_is_broadcast(vm, q, false)) {
        o->all = true;
    } else if (q->logical) {
        find_logical(vm, o, q);
    } else {
        find_physical(vm, o, q);
    }
}

/* --- delivering ------------------------------------------------------------------------------------------------------------- */

int32_t vlapic_core_send_plain(struct vlapic_vm *vm, uint32_t destination, uint8_t delivery, uint8_t vector, bool level)
{
    enum vlapic_posted posted;
    struct vlapic_cpu *cpu;
    uint32_t route;

    /* FFh is a broadcast to some. Otherwise, with no irregular ID about, whoever has the ID is the one. */
    if (vlapic_unlikely(destination == 0xFF || destination > vm->plain_limit ||
                        vlapic_load_acquire(&vm->irregular_ids) != 0)) {
        return -1;
    }
    cpu = vlapic_load_acquire(&vm->by_id[destination]);
    if (vlapic_unlikely(cpu == NULL)) {
        return 0;
    }
    route = route_of(cpu);
    if (vlapic_unlikely((route & VLAPIC_ROUTE_EN) == 0)) {
        return 0;
    }
    posted = vlapic_post(cpu, route, delivery, vector, level);
    vlapic_kick(cpu, posted);
    return vlapic_is_accepted(posted);
}

/*
 * Whom a message to many concerns. For shorthands and broadcasts the route word says it by a mask; `exact` is for what the tables
 * cannot express: then each vCPU is asked.
 */
struct audience {
    const struct vlapic_cpu *except;
    uint32_t mask, value;
    bool exact;
};

static struct audience audience_of(const struct vlapic_vm *vm, const struct vlapic_request *q)
{
    struct audience a = { .mask = VLAPIC_ROUTE_EN, .value = VLAPIC_ROUTE_EN };

    if (q->shorthand == VLAPIC_SHORTHAND_OTHERS) {
        a.except = q->sender;
    } else if (q->shorthand == VLAPIC_SHORTHAND_NONE) {
        /* An FFh from outside may be a broadcast to those in xAPIC mode, and a plain destination to the others. */
        a.exact = !vlapic_is_broadcast(vm, q, true);
    }
    return a;
}

static inline bool is_called(const struct audience *a, const struct vlapic_cpu *cpu, uint32_t route)
{
    return (route & a->mask) == a->value && cpu != a->except;
}

/* Kicks that are due are handed to the host in batches if it takes them. */
#define KICK_BATCH 16u

struct kicks {
    uint32_t count;
    void *cookies[KICK_BATCH];
};

static void flush_kicks(const struct vlapic_vm *vm, struct kicks *kicks)
{
    if (kicks->count != 0) {
        vm->host.kick_many(vm->config.cookie, kicks->cookies, kicks->count);
        kicks->count = 0;
    }
}

static vlapic_noinline void kick_later(const struct vlapic_vm *vm, struct kicks *kicks, struct vlapic_cpu *cpu)
{
    if (vm->host.kick_many == NULL) {
        vm->host.kick(cpu->cookie);
        return;
    }
    kicks->cookies[kicks->count++] = cpu->cookie;
    if (kicks->count == KICK_BATCH) {
        flush_kicks(vm, kicks);
    }
}

/* What is not a legal vector to everyone that the mask lets through, or not to one that takes it the ordinary way. */
static vlapic_noinline enum vlapic_posted post_rare(const struct audience *a, const struct vlapic_request *q,
                                                    struct vlapic_cpu *cpu, uint32_t route)
{
    if (a->exact && !vlapic_matches(q, cpu, route)) {
        return VLAPIC_REFUSED;
    }
    return vlapic_post(cpu, route, q->delivery, q->vector, q->level);
}

/* To those of the 64 IDs from `first` on whose bit is set; returns how many accepted. */
static inline uint32_t fan_out(const struct vlapic_vm *vm, const struct vlapic_request *q, const struct audience *a,
                               struct kicks *kicks, uint32_t first, uint64_t bits)
{
    const bool rare = a->exact || q->delivery > VLAPIC_DELIVERY_LOWEST || q->vector < 16;
    const uint8_t vector = q->vector;
    const bool level = q->level;
    uint32_t accepted = 0;

    for (; bits != 0; bits &= bits - 1) {
        struct vlapic_cpu *cpu = vlapic_load_acquire(&vm->by_id[first + vlapic_bit_index(bits)]);
        uint32_t route = cpu != NULL ? route_of(cpu) : 0; /* NULL: leaving at this moment */

        if (is_called(a, cpu, route)) {
            enum vlapic_posted posted = vlapic_unlikely(rare || !vlapic_is_ordinary(route))
                                            ? post_rare(a, q, cpu, route)
                                            : vlapic_post_ordinary(cpu, route, vector, level);

            accepted += vlapic_is_accepted(posted);
            if (vlapic_is_kick_due(posted)) {
                kick_later(vm, kicks, cpu);
            }
        }
    }
    return accepted;
}

/* The present ones by ascending ID. */
static vlapic_noinline uint32_t deliver_to_all(const struct vlapic_vm *vm, const struct vlapic_request *q)
{
    const struct audience a = audience_of(vm, q);
    uint32_t accepted = 0;
    struct kicks kicks;

    kicks.count = 0;
    for (uint32_t word = next_word(vm, 0); word != UINT32_MAX; word = next_word(vm, word + 1)) {
        accepted += fan_out(vm, q, &a, &kicks, word * 64, vlapic_load_relaxed(&vm->present[word]));
    }
    flush_kicks(vm, &kicks);
    return accepted;
}

static uint32_t choose(const struct vlapic_vm *vm, uint8_t vector, uint32_t count)
{
    uint32_t choice = vector;

    if (vm->host.choose_lowest != NULL) {
        choice = vm->host.choose_lowest(vm->config.cookie, vector, count);
    }
    return choice % count;
}

static uint32_t deliver_to_candidate(const struct vlapic_vm *vm, const struct outcome *o,
                                     const struct vlapic_request *q)
{
    struct vlapic_cpu *chosen;

    if (o->count == 0) {
        return 0;
    }
    chosen = o->candidates[choose(vm, q->vector, o->count)];
    return deliver(q, chosen, route_of(chosen));
}

/* Walks the candidates among all by ascending APIC ID: tells their count, up to `limit` of them, and the last one met. */
static uint32_t walk_candidates(const struct vlapic_vm *vm, const struct vlapic_request *q, uint32_t limit,
                                struct vlapic_cpu **last)
{
    struct audience a = audience_of(vm, q);
    uint32_t count = 0;

    a.mask |= VLAPIC_ROUTE_SOFTWARE_ENABLED;
    a.value |= VLAPIC_ROUTE_SOFTWARE_ENABLED;
    for (uint32_t word = next_word(vm, 0); word != UINT32_MAX; word = next_word(vm, word + 1)) {
        for (uint64_t bits = vlapic_load_relaxed(&vm->present[word]); bits != 0; bits &= bits - 1) {
            struct vlapic_cpu *cpu = vlapic_load_acquire(&vm->by_id[word * 64 + vlapic_bit_index(bits)]);
            uint32_t route = cpu != NULL ? route_of(cpu) : 0;

            if (is_called(&a, cpu, route) && (!a.exact || vlapic_matches(q, cpu, route))) {
                *last = cpu;
                if (++count == limit) {
                    return count;
                }
            }
        }
    }
    return count;
}

/* The candidates are counted, then the chosen one is walked to. If some drop out in between, the last one left takes it. */
static uint32_t deliver_to_one_of_all(const struct vlapic_vm *vm, const struct vlapic_request *q)
{
    struct vlapic_cpu *chosen = NULL;
    uint32_t count = walk_candidates(vm, q, UINT32_MAX, &chosen);

    if (count == 0) {
        return 0;
    }
    walk_candidates(vm, q, choose(vm, q->vector, count) + 1, &chosen);
    return deliver(q, chosen, route_of(chosen));
}

uint32_t vlapic_core_send(struct vlapic_vm *vm, const struct vlapic_request *q)
{
    struct outcome o;

    find(vm, &o, q);
    if (o.all) {
        return q->arbitrated ? deliver_to_one_of_all(vm, q) : deliver_to_all(vm, q);
    }
    return q->arbitrated ? deliver_to_candidate(vm, &o, q) : o.accepted;
}
