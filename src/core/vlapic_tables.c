/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The upkeep of the routing tables, by each vCPU's owner: by ID, by flat and by cluster logical ID. Every word is set by itself, in the order
 * that docs/CONCURRENCY.md, section 4, argues. What the tables cannot express is counted: IDs that the guest wrote, wide IDs in xAPIC mode,
 * logical IDs of several bits or in use twice. How senders read all this: vlapic_route.c.
 */
#include "vlapic_model.h"

#define NO_ENTRY 0u
#define ENTRY_FLAT(bit) (1u + (bit))
#define ENTRY_CLUSTER(index) (9u + (index))
#define ENTRY_ODD 100u
/* Set besides in vlapic_cpu.contribution. */
#define ODD_ID (1u << 8)
#define WIDE_ID (1u << 9)
#define IN_X2APIC (1u << 10)

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

static uint32_t mode_flags(const struct vlapic_cpu *cpu, uint32_t route)
{
    if ((route & VLAPIC_ROUTE_EN) == 0) {
        return 0;
    }
    if ((route & VLAPIC_ROUTE_EXTD) != 0) {
        return IN_X2APIC;
    }
    if (VLAPIC_ROUTE_ID8(route) != (cpu->apic_id & 0xFFu)) {
        return ODD_ID;
    }
    return cpu->apic_id > 0xFFu ? WIDE_ID : 0;
}

static void count_flags(struct vlapic_vm *vm, uint32_t flags, uint32_t by)
{
    if ((flags & IN_X2APIC) != 0) {
        vlapic_fetch_add(&vm->x2apic_cpus, by);
    }
    if ((flags & ODD_ID) != 0) {
        vlapic_fetch_add(&vm->odd_ids, by);
    }
    if ((flags & WIDE_ID) != 0) {
        vlapic_fetch_add(&vm->wide_ids, by);
    }
    if ((flags & (ODD_ID | WIDE_ID)) != 0) {
        vlapic_fetch_add(&vm->irregular_ids, by);
    }
}

static uint32_t *uses_of(struct vlapic_vm *vm, uint32_t entry)
{
    if (entry == ENTRY_ODD) {
        return &vm->odd_logical;
    }
    return entry < ENTRY_CLUSTER(0) ? &vm->flat_used : &vm->cluster_used;
}

/* Takes the slot, and says what was taken: a logical ID that somebody else uses already is odd. */
static uint32_t enter_slot(struct vlapic_cpu *cpu, uint32_t entry)
{
    struct vlapic_cpu *holder = NULL;

    if (entry == NO_ENTRY) {
        return NO_ENTRY;
    }
    if (entry != ENTRY_ODD && !vlapic_compare_swap(slot_of(cpu->vm, entry), &holder, cpu) && holder != cpu) {
        entry = ENTRY_ODD;
    }
    vlapic_fetch_add(uses_of(cpu->vm, entry), 1u);
    return entry;
}

/* Counts are raised before, and lowered after, the route word speaks accordingly: a reader may go the slow way for nothing,
 * but never the fast way wrongly. */
static uint32_t enter_tables(struct vlapic_cpu *cpu, uint32_t route)
{
    uint32_t flags = mode_flags(cpu, route);

    count_flags(cpu->vm, flags, 1u);
    return enter_slot(cpu, logical_entry(route)) | flags;
}

/* A slot that the vCPU has entered anew stays its own. */
static void leave_tables(struct vlapic_cpu *cpu, uint32_t contribution)
{
    struct vlapic_vm *vm = cpu->vm;
    uint32_t entry = contribution & 0xFFu;

    count_flags(vm, contribution, UINT32_MAX);
    if (entry == NO_ENTRY) {
        return;
    }
    if (entry != ENTRY_ODD && entry != (cpu->contribution & 0xFFu)) {
        vlapic_store_release(slot_of(vm, entry), NULL);
    }
    vlapic_fetch_add(uses_of(vm, entry), UINT32_MAX);
}

static uint32_t route_word(const struct vlapic_cpu *cpu)
{
    uint32_t id = vlapic_is_x2apic(cpu) ? cpu->apic_id & 0xFFu : vlapic_get(cpu, VLAPIC_REG_ID) >> 24;
    uint32_t ldr = vlapic_get(cpu, VLAPIC_REG_LDR) >> 24;
    uint32_t dfr = vlapic_get(cpu, VLAPIC_REG_DFR) >> 28;

    return id | ldr << 8 | dfr << 16 | (vlapic_is_enabled(cpu) ? VLAPIC_ROUTE_EN : 0) |
           (vlapic_is_x2apic(cpu) ? VLAPIC_ROUTE_EXTD : 0) |
           (vlapic_is_software_enabled(cpu) ? VLAPIC_ROUTE_SOFTWARE_ENABLED : 0) |
           (cpu->backend->post != NULL ? VLAPIC_ROUTE_BACKEND_POSTS : 0) |
           (cpu->vm->config.posts_ordered ? VLAPIC_ROUTE_POSTS_ORDERED : 0);
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
    /* The old slot is given up last: whoever is named by the old and the new word alike is found throughout. */
    cpu->contribution = enter_tables(cpu, route);
    vlapic_store_release(&cpu->route, route);
    leave_tables(cpu, contribution);
}

bool vlapic_core_route_join(struct vlapic_cpu *cpu)
{
    struct vlapic_vm *vm = cpu->vm;
    struct vlapic_cpu *nobody = NULL;
    uint32_t word = cpu->apic_id / 64;
    /* By its logical ID it may be found from here on, even if its ID then turns out to be taken. */
    uint32_t contribution = enter_tables(cpu, vlapic_load_relaxed(&cpu->route));

    if (!vlapic_compare_swap(&vm->by_id[cpu->apic_id], &nobody, cpu)) {
        leave_tables(cpu, contribution);
        return false;
    }
    cpu->contribution = contribution;
    vlapic_fetch_or(&vm->present[word], 1ull << (cpu->apic_id % 64));
    vlapic_fetch_or(&vm->summary[word / 64], 1ull << (word % 64));
    return true;
}

/* The summary bit stays: clearing it would race with a neighbour that joins, and costs a reader one empty word at most. */
void vlapic_core_route_leave(struct vlapic_cpu *cpu)
{
    struct vlapic_vm *vm = cpu->vm;
    uint32_t contribution;

    vlapic_fetch_and(&vm->present[cpu->apic_id / 64], ~(1ull << (cpu->apic_id % 64)));
    vlapic_store_release(&vm->by_id[cpu->apic_id], NULL);
    contribution = cpu->contribution;
    cpu->contribution = NO_ENTRY;
    leave_tables(cpu, contribution);
}
