/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a destination to the vCPUs that it names. Intel SDM 3A, "Determining IPI Destination", "Logical x2APIC ID"; AMD APM 2,
 * "Interrupt Destination".
 *
 * Every word of the tables is valid by itself and is only a hint: whoever it names is asked by its own route word whether the
 * message is for it. So readers need no lock and no grace period, and a register that changes while a message is under way
 * looks as it does on a real bus. What the tables cannot express (IDs that the guest wrote, wide IDs in xAPIC mode, logical IDs of
 * several bits or in use twice) is counted; while such a count is not zero, messages that it may concern take a slower path that is
 * still exact.
 */
#include "vlapic_model.h"

#define NO_ENTRY 0u
#define ENTRY_FLAT(bit) (1u + (bit))
#define ENTRY_CLUSTER(index) (9u + (index))
#define ENTRY_ODD 100u
/* Set besides in vlapic_cpu.contribution. */
#define ODD_ID (1u << 8)
#define WIDE_ID (1u << 9)

/* One x2APIC cluster has 16 members; an 8-bit destination can name 8 of those, 8 flat and 4 cluster members. */
#define MAX_LISTED 20u

struct targets {
    uint32_t count;
    bool all; /* not listed: every vCPU is to be asked */
    struct vlapic_cpu *list[MAX_LISTED];
};

/* --- matching --------------------------------------------------------------------------------------------------------- */

static bool is_broadcast(const struct vlapic_vm *vm, const struct vlapic_request *q, bool to_x2apic)
{
    switch (q->source) {
    case VLAPIC_FROM_XAPIC:
        return q->destination == 0xFF;
    case VLAPIC_FROM_X2APIC:
        return q->destination == UINT32_MAX;
    default:
        return q->destination == UINT32_MAX ||
               (q->destination == 0xFF && (!to_x2apic || !vm->config.msi_ff_not_broadcast));
    }
}

static bool matches_physical(const struct vlapic_cpu *cpu, uint32_t route, uint32_t destination)
{
    if ((route & VLAPIC_ROUTE_EXTD) == 0) {
        if (destination <= 0xFF) {
            return destination == VLAPIC_ROUTE_ID8(route);
        }
        if (cpu->vm->config.dest_alias) {
            return (destination & 0xFF) == VLAPIC_ROUTE_ID8(route);
        }
    }
    return destination == cpu->apic_id;
}

static bool matches_logical(const struct vlapic_cpu *cpu, uint32_t route, uint32_t destination)
{
    uint32_t ldr = VLAPIC_ROUTE_LDR8(route);

    if ((route & VLAPIC_ROUTE_EXTD) != 0) {
        return (destination >> 16) == ((cpu->apic_id >> 4) & 0xFFFFu) &&
               ((destination >> (cpu->apic_id & 0xFu)) & 1u) != 0;
    }
    if (destination > 0xFF) {
        return false;
    }
    switch (VLAPIC_ROUTE_DFR4(route)) {
    case 0xF:
        return (destination & ldr) != 0;
    case 0x0:
        return (destination >> 4) == (ldr >> 4) && (destination & ldr & 0xFu) != 0;
    default:
        return false;
    }
}

static bool matches(const struct vlapic_request *q, const struct vlapic_cpu *cpu)
{
    uint32_t route = vlapic_load_acquire(&cpu->route);

    if ((route & VLAPIC_ROUTE_EN) == 0) {
        return false;
    }
    switch (q->shorthand) {
    case VLAPIC_SHORTHAND_SELF:
        return cpu == q->sender;
    case VLAPIC_SHORTHAND_ALL:
        return true;
    case VLAPIC_SHORTHAND_OTHERS:
        return cpu != q->sender;
    default:
        break;
    }
    if (is_broadcast(cpu->vm, q, (route & VLAPIC_ROUTE_EXTD) != 0)) {
        return true;
    }
    return q->logical ? matches_logical(cpu, route, q->destination) : matches_physical(cpu, route, q->destination);
}

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
    uint32_t word = from / 64;
    uint64_t mask = UINT64_MAX << (from % 64);

    while (from <= vm->config.max_apic_id) {
        uint64_t bits = vlapic_load_relaxed(&vm->present[word]) & mask;
        struct vlapic_cpu *cpu;

        if (bits == 0) {
            word = next_word(vm, word + 1);
            if (word == UINT32_MAX) {
                return NULL;
            }
            mask = UINT64_MAX;
            from = word * 64;
            continue;
        }
        from = word * 64 + vlapic_bit_index(bits);
        cpu = by_id(vm, from);
        if (cpu != NULL) {
            return cpu;
        }
        mask &= ~(1ull << (from % 64)); /* leaving at this moment */
    }
    return NULL;
}

static void list(struct targets *t, const struct vlapic_request *q, struct vlapic_cpu *cpu)
{
    if (cpu != NULL && t->count < MAX_LISTED && matches(q, cpu)) {
        t->list[t->count++] = cpu;
    }
}

/* vCPUs in xAPIC mode whose ID register does not hold their whole ID: those with the same low byte may match. */
static void list_aliases(const struct vlapic_vm *vm, struct targets *t, const struct vlapic_request *q)
{
    uint32_t low = q->destination & 0xFFu;

    t->all = vm->config.max_apic_id >= MAX_LISTED * 256;
    for (uint32_t id = low; !t->all && id <= vm->config.max_apic_id; id += 256) {
        if (id != q->destination) {
            list(t, q, by_id(vm, id));
        }
    }
}

static void find_physical(const struct vlapic_vm *vm, struct targets *t, const struct vlapic_request *q)
{
    bool aliases = q->destination > 0xFF ? vm->config.dest_alias : vlapic_load_acquire(&vm->wide_ids) != 0;

    if (vlapic_load_acquire(&vm->odd_ids) != 0) {
        t->all = true;
        return;
    }
    list(t, q, by_id(vm, q->destination));
    if (aliases) {
        list_aliases(vm, t, q);
    }
}

/* Slots and IDs may name the same vCPU while its mode changes: each look-up takes those of its own mode only. */
static void list_in_mode(struct targets *t, const struct vlapic_request *q, struct vlapic_cpu *cpu, uint32_t extd)
{
    if (cpu != NULL && (vlapic_load_acquire(&cpu->route) & VLAPIC_ROUTE_EXTD) == extd) {
        list(t, q, cpu);
    }
}

static void find_logical(const struct vlapic_vm *vm, struct targets *t, const struct vlapic_request *q)
{
    uint32_t cluster = q->destination >> 16;
    uint32_t narrow = q->destination <= 0xFF ? q->destination : 0;

    if (narrow != 0 && vlapic_load_acquire(&vm->odd_logical) != 0) {
        t->all = true;
        return;
    }
    for (uint32_t bits = q->destination & 0xFFFFu; bits != 0; bits &= bits - 1) {
        list_in_mode(t, q, by_id(vm, cluster * 16 + vlapic_bit_index(bits)), VLAPIC_ROUTE_EXTD);
    }
    if (narrow == 0 || vlapic_load_acquire(&vm->slots_used) == 0) {
        return;
    }
    for (uint32_t bits = narrow; bits != 0; bits &= bits - 1) {
        list_in_mode(t, q, vlapic_load_acquire(&vm->flat[vlapic_bit_index(bits)]), 0);
    }
    for (uint32_t bits = narrow & 0xFu; bits != 0; bits &= bits - 1) {
        uint32_t slot = (narrow >> 4) * 4 + vlapic_bit_index(bits);

        list_in_mode(t, q, vlapic_load_acquire(&vm->cluster[slot]), 0);
    }
}

static void find(const struct vlapic_vm *vm, struct targets *t, const struct vlapic_request *q)
{
    t->count = 0;
    t->all = false;
    if (q->shorthand == VLAPIC_SHORTHAND_SELF) {
        list(t, q, q->sender);
    } else if (q->shorthand != VLAPIC_SHORTHAND_NONE || is_broadcast(vm, q, false)) {
        t->all = true;
    } else if (q->logical) {
        find_logical(vm, t, q);
    } else {
        find_physical(vm, t, q);
    }
}

/* --- delivering --------------------------------------------------------------------------------------------------------- */

static uint32_t deliver(const struct vlapic_request *q, struct vlapic_cpu *cpu)
{
    return vlapic_core_post(cpu, q->delivery, q->vector, q->level) ? 1 : 0;
}

static bool is_candidate(const struct vlapic_cpu *cpu)
{
    return (vlapic_load_acquire(&cpu->route) & VLAPIC_ROUTE_SOFTWARE_ENABLED) != 0;
}

/* Walks the targets by ascending APIC ID: the next one at or after `from`, NULL at the end. */
static struct vlapic_cpu *next_target(const struct vlapic_vm *vm, const struct targets *t,
                                      const struct vlapic_request *q, uint32_t from)
{
    struct vlapic_cpu *best = NULL;

    if (t->all) {
        do {
            best = vlapic_core_route_next(vm, from);
            from = best != NULL ? best->apic_id + 1 : from;
        } while (best != NULL && !matches(q, best));
        return best;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->list[i]->apic_id >= from && (best == NULL || t->list[i]->apic_id < best->apic_id)) {
            best = t->list[i];
        }
    }
    return best;
}

static uint32_t choose(const struct vlapic_vm *vm, uint8_t vector, uint32_t count)
{
    uint32_t choice = vector;

    if (vm->host.choose_lowest != NULL) {
        choice = vm->host.choose_lowest(vm->config.cookie, vector, count);
    }
    return choice % count;
}

/* The candidates are counted, then the chosen one is walked to. If one drops out in between, the last one left takes it. */
static uint32_t deliver_arbitrated(const struct vlapic_vm *vm, const struct targets *t, const struct vlapic_request *q)
{
    struct vlapic_cpu *cpu, *chosen = NULL;
    uint32_t count = 0, skip;

    for (cpu = next_target(vm, t, q, 0); cpu != NULL; cpu = next_target(vm, t, q, cpu->apic_id + 1)) {
        count += is_candidate(cpu);
    }
    if (count == 0) {
        return 0;
    }
    skip = choose(vm, q->vector, count);
    for (cpu = next_target(vm, t, q, 0); cpu != NULL; cpu = next_target(vm, t, q, cpu->apic_id + 1)) {
        if (is_candidate(cpu)) {
            chosen = cpu;
            if (skip-- == 0) {
                break;
            }
        }
    }
    return chosen != NULL ? deliver(q, chosen) : 0;
}

uint32_t vlapic_core_send(struct vlapic_vm *vm, const struct vlapic_request *q)
{
    struct targets t;
    uint32_t accepted = 0;

    find(vm, &t, q);
    if (q->arbitrated) {
        return deliver_arbitrated(vm, &t, q);
    }
    for (uint32_t i = 0; i < t.count && !t.all; i++) {
        accepted += deliver(q, t.list[i]);
    }
    if (t.all) {
        struct vlapic_cpu *cpu = next_target(vm, &t, q, 0);

        for (; cpu != NULL; cpu = next_target(vm, &t, q, cpu->apic_id + 1)) {
            accepted += deliver(q, cpu);
        }
    }
    return accepted;
}

/* --- the tables' upkeep, by each vCPU's owner ---------------------------------------------------------------------------- */

static bool is_one_bit(uint32_t bits)
{
    return bits != 0 && (bits & (bits - 1)) == 0;
}

/* The table entry that finds this vCPU by its logical ID. */
static uint32_t logical_entry(uint32_t route)
{
    uint32_t ldr = VLAPIC_ROUTE_LDR8(route);
    uint32_t dfr = VLAPIC_ROUTE_DFR4(route);

    if ((route & VLAPIC_ROUTE_EN) == 0 || (route & VLAPIC_ROUTE_EXTD) != 0) {
        return NO_ENTRY;
    }
    if (dfr == 0xF && ldr != 0) {
        return is_one_bit(ldr) ? ENTRY_FLAT(vlapic_bit_index(ldr)) : ENTRY_ODD;
    }
    if (dfr == 0x0 && (ldr & 0xFu) != 0) {
        return is_one_bit(ldr & 0xFu) ? ENTRY_CLUSTER((ldr >> 4) * 4 + vlapic_bit_index(ldr & 0xFu)) : ENTRY_ODD;
    }
    return NO_ENTRY;
}

static struct vlapic_cpu **slot_of(struct vlapic_vm *vm, uint32_t entry)
{
    return entry < ENTRY_CLUSTER(0) ? &vm->flat[entry - ENTRY_FLAT(0)] : &vm->cluster[entry - ENTRY_CLUSTER(0)];
}

static uint32_t odd_id_flags(const struct vlapic_cpu *cpu, uint32_t route)
{
    if ((route & VLAPIC_ROUTE_EN) == 0 || (route & VLAPIC_ROUTE_EXTD) != 0) {
        return 0;
    }
    if (VLAPIC_ROUTE_ID8(route) != (cpu->apic_id & 0xFFu)) {
        return ODD_ID;
    }
    return cpu->apic_id > 0xFFu ? WIDE_ID : 0;
}

/* Counts are raised before, and lowered after, the route word speaks accordingly: a reader may go the slow way for nothing,
 * but never the fast way wrongly. */
static uint32_t enter_tables(struct vlapic_cpu *cpu, uint32_t route)
{
    struct vlapic_vm *vm = cpu->vm;
    uint32_t flags = odd_id_flags(cpu, route);
    uint32_t entry = logical_entry(route);

    if (flags == ODD_ID) {
        vlapic_fetch_add(&vm->odd_ids, 1u);
    } else if (flags == WIDE_ID) {
        vlapic_fetch_add(&vm->wide_ids, 1u);
    }
    if (entry != NO_ENTRY && entry != ENTRY_ODD) {
        struct vlapic_cpu *nobody = NULL;

        if (vlapic_compare_swap(slot_of(vm, entry), &nobody, cpu)) {
            vlapic_fetch_add(&vm->slots_used, 1u);
        } else {
            entry = ENTRY_ODD; /* the logical ID is in use already */
        }
    }
    if (entry == ENTRY_ODD) {
        vlapic_fetch_add(&vm->odd_logical, 1u);
    }
    return entry | flags;
}

static void leave_tables(struct vlapic_cpu *cpu, uint32_t contribution)
{
    struct vlapic_vm *vm = cpu->vm;
    uint32_t entry = contribution & 0xFFu;

    if ((contribution & ODD_ID) != 0) {
        vlapic_fetch_add(&vm->odd_ids, UINT32_MAX);
    } else if ((contribution & WIDE_ID) != 0) {
        vlapic_fetch_add(&vm->wide_ids, UINT32_MAX);
    }
    if (entry == ENTRY_ODD) {
        vlapic_fetch_add(&vm->odd_logical, UINT32_MAX);
    } else if (entry != NO_ENTRY) {
        vlapic_store_release(slot_of(vm, entry), NULL);
        vlapic_fetch_add(&vm->slots_used, UINT32_MAX);
    }
}

static uint32_t route_word(const struct vlapic_cpu *cpu)
{
    uint32_t id = vlapic_is_x2apic(cpu) ? cpu->apic_id & 0xFFu : vlapic_get(cpu, VLAPIC_REG_ID) >> 24;
    uint32_t ldr = vlapic_get(cpu, VLAPIC_REG_LDR) >> 24;
    uint32_t dfr = vlapic_get(cpu, VLAPIC_REG_DFR) >> 28;

    return id | ldr << 8 | dfr << 16 | (vlapic_is_enabled(cpu) ? VLAPIC_ROUTE_EN : 0) |
           (vlapic_is_x2apic(cpu) ? VLAPIC_ROUTE_EXTD : 0) |
           (vlapic_is_software_enabled(cpu) ? VLAPIC_ROUTE_SOFTWARE_ENABLED : 0);
}

void vlapic_core_route_update(struct vlapic_cpu *cpu)
{
    uint32_t route = route_word(cpu);
    uint32_t old = vlapic_load_relaxed(&cpu->route);
    uint32_t contribution = cpu->contribution;

    if (!cpu->attached || ((route ^ old) & ~VLAPIC_ROUTE_SOFTWARE_ENABLED) == 0) {
        vlapic_store_release(&cpu->route, route);
        return;
    }
    /* The slot is given up first, or a vCPU that keeps its logical ID would find it in use, by itself. */
    if ((contribution & 0xFFu) != ENTRY_ODD) {
        leave_tables(cpu, contribution & 0xFFu);
        contribution &= ~0xFFu;
    }
    cpu->contribution = enter_tables(cpu, route);
    vlapic_store_release(&cpu->route, route);
    leave_tables(cpu, contribution);
}

bool vlapic_core_route_join(struct vlapic_cpu *cpu)
{
    struct vlapic_vm *vm = cpu->vm;
    struct vlapic_cpu *nobody = NULL;
    uint32_t word = cpu->apic_id / 64;

    cpu->contribution = enter_tables(cpu, vlapic_load_relaxed(&cpu->route));
    if (!vlapic_compare_swap(&vm->by_id[cpu->apic_id], &nobody, cpu)) {
        leave_tables(cpu, cpu->contribution);
        return false;
    }
    vlapic_fetch_or(&vm->present[word], 1ull << (cpu->apic_id % 64));
    vlapic_fetch_or(&vm->summary[word / 64], 1ull << (word % 64));
    return true;
}

/* The summary bit stays: clearing it would race with a neighbour that joins, and costs a reader one empty word at most. */
void vlapic_core_route_leave(struct vlapic_cpu *cpu)
{
    struct vlapic_vm *vm = cpu->vm;

    vlapic_fetch_and(&vm->present[cpu->apic_id / 64], ~(1ull << (cpu->apic_id % 64)));
    vlapic_store_release(&vm->by_id[cpu->apic_id], NULL);
    leave_tables(cpu, cpu->contribution);
    cpu->contribution = NO_ENTRY;
}
