/* SPDX-License-Identifier: BSD-2-Clause */
/* The state in the open: the items that it is made of, and reading them. Replacing it: vlapic_state_set.c. */
#include "vlapic_items.h"

/* --- the items --------------------------------------------------------------------------------------------------------------- */

/* Tags are never reused; docs/SNAPSHOT.md lists them. */
#define ITEM(place, tag, member, elements) [place] = VLAPIC_ITEM(tag, struct vlapic_cpu_state, member, elements)

static const struct vlapic_item items[VLAPIC_STATE_ITEMS] = {
    ITEM(VLAPIC_STATE_APIC_ID, 1, apic_id, 1),
    ITEM(VLAPIC_STATE_APIC_BASE, 2, apic_base, 1),
    ITEM(VLAPIC_STATE_XAPIC_ID, 3, xapic_id, 1),
    ITEM(VLAPIC_STATE_TPR, 4, tpr, 1),
    ITEM(VLAPIC_STATE_LDR, 5, ldr, 1),
    ITEM(VLAPIC_STATE_DFR, 6, dfr, 1),
    ITEM(VLAPIC_STATE_SVR, 7, svr, 1),
    ITEM(VLAPIC_STATE_ESR, 8, esr, 1),
    ITEM(VLAPIC_STATE_ESR_PENDING, 9, esr_pending, 1),
    ITEM(VLAPIC_STATE_ICR, 10, icr, 1),
    ITEM(VLAPIC_STATE_LVT, 11, lvt, 7),
    ITEM(VLAPIC_STATE_LVT_EXT, 12, lvt_ext, 8),
    ITEM(VLAPIC_STATE_ISR, 13, isr, 8),
    ITEM(VLAPIC_STATE_TMR, 14, tmr, 8),
    ITEM(VLAPIC_STATE_IRR, 15, irr, 8),
    ITEM(VLAPIC_STATE_IER, 16, ier, 8),
    ITEM(VLAPIC_STATE_EXT_CONTROL, 17, ext_control, 1),
    ITEM(VLAPIC_STATE_INITIAL_COUNT, 18, initial_count, 1),
    ITEM(VLAPIC_STATE_DIVIDE_CONFIG, 19, divide_config, 1),
    ITEM(VLAPIC_STATE_TIMER_RUNNING, 20, timer_running, 1),
    ITEM(VLAPIC_STATE_TIMER_REMAINING, 21, timer_remaining, 1),
    ITEM(VLAPIC_STATE_TIMER_PHASE, 22, timer_phase, 1),
    ITEM(VLAPIC_STATE_TSC_DEADLINE, 23, tsc_deadline, 1),
    ITEM(VLAPIC_STATE_TIME_NS, 24, time_ns, 1),
    ITEM(VLAPIC_STATE_EVENTS, 25, events, 1),
    ITEM(VLAPIC_STATE_SIPI_VECTOR, 26, sipi_vector, 1),
};

_Static_assert(VLAPIC_LVT_COUNT == 7 && VLAPIC_LVT_EXT_MAX == 8, "item counts of tags 11 and 12");
_Static_assert(VLAPIC_STATE_ITEMS <= VLAPIC_ITEMS_MAX, "a view has room for all items");

const struct vlapic_item_table vlapic_core_state_items = {
    .kind = VLAPIC_ITEMS_OF_CPU,
    .count = VLAPIC_STATE_ITEMS,
    .items = items,
};

const uint16_t vlapic_core_state_registers[VLAPIC_STATE_ITEMS] = {
    [VLAPIC_STATE_TPR] = VLAPIC_REG_TPR,
    [VLAPIC_STATE_DFR] = VLAPIC_REG_DFR,
    [VLAPIC_STATE_SVR] = VLAPIC_REG_SVR,
    [VLAPIC_STATE_ESR] = VLAPIC_REG_ESR,
    [VLAPIC_STATE_LVT_EXT] = VLAPIC_REG_EXT_LVT,
    [VLAPIC_STATE_ISR] = VLAPIC_REG_ISR,
    [VLAPIC_STATE_TMR] = VLAPIC_REG_TMR,
    [VLAPIC_STATE_IRR] = VLAPIC_REG_IRR,
    [VLAPIC_STATE_IER] = VLAPIC_REG_IER,
    [VLAPIC_STATE_EXT_CONTROL] = VLAPIC_REG_EXT_CONTROL,
    [VLAPIC_STATE_INITIAL_COUNT] = VLAPIC_REG_INITIAL_COUNT,
    [VLAPIC_STATE_DIVIDE_CONFIG] = VLAPIC_REG_DIVIDE_CONFIG,
};

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static uint32_t lvt_of(const struct vlapic_cpu *cpu, uint32_t entry)
{
    uint32_t offset = vlapic_core_lvt_offset(cpu->vm, entry);

    return offset != 0 ? vlapic_get(cpu, offset) : VLAPIC_LVT_MASKED;
}

/* An INIT that was reported but not taken is still to be done by whoever goes on from this state. */
static uint32_t events_of(const struct vlapic_cpu *cpu)
{
    uint32_t lines = vlapic_load_acquire(&cpu->lines);
    bool init = (cpu->events & VLAPIC_WORK_INIT) != 0 || cpu->init_handed_over;

    return (init ? VLAPIC_EVENT_INIT : 0) | ((cpu->events & VLAPIC_WORK_SIPI) != 0 ? VLAPIC_EVENT_SIPI : 0) |
           ((cpu->events & VLAPIC_WORK_NMI) != 0 ? VLAPIC_EVENT_NMI : 0) |
           ((cpu->events & VLAPIC_WORK_SMI) != 0 ? VLAPIC_EVENT_SMI : 0) |
           ((cpu->events & VLAPIC_WORK_EXTINT) != 0 ? VLAPIC_EVENT_EXTINT : 0) |
           (cpu->wait_for_sipi ? VLAPIC_EVENT_WAIT_FOR_SIPI : 0) | ((lines & 1u) != 0 ? VLAPIC_EVENT_LINE0 : 0) |
           ((lines & 2u) != 0 ? VLAPIC_EVENT_LINE1 : 0);
}

/* The timer has been settled: if it runs, its origin is now. */
static uint64_t timer_of(const struct vlapic_cpu *cpu, uint32_t item)
{
    const struct vlapic_timer *timer = &cpu->timer;

    switch (item) {
    case VLAPIC_STATE_TIMER_RUNNING:
        return timer->running;
    case VLAPIC_STATE_TIMER_REMAINING:
        return timer->running ? timer->due : 0;
    case VLAPIC_STATE_TIMER_PHASE:
        return timer->running ? timer->phase : 0;
    case VLAPIC_STATE_TSC_DEADLINE:
        return timer->deadline;
    default: /* VLAPIC_STATE_TIME_NS */
        return timer->running ? timer->origin_ns : cpu->vm->host.now_ns(cpu->cookie);
    }
}

static uint64_t value_in_cpu(const struct vlapic_values *values, uint32_t item, uint32_t index)
{
    const struct vlapic_cpu *cpu = values->cpu;

    if (vlapic_core_state_registers[item] != 0) {
        return vlapic_get_any(cpu, vlapic_core_state_registers[item] + (index << 4));
    }
    switch (item) {
    case VLAPIC_STATE_APIC_ID:
        return cpu->apic_id;
    case VLAPIC_STATE_APIC_BASE:
        return cpu->apic_base;
    case VLAPIC_STATE_XAPIC_ID:
        return vlapic_is_x2apic(cpu) ? cpu->apic_id & 0xFFu : vlapic_get(cpu, VLAPIC_REG_ID) >> 24;
    case VLAPIC_STATE_LDR:
        return vlapic_is_x2apic(cpu) ? 0 : vlapic_get(cpu, VLAPIC_REG_LDR);
    case VLAPIC_STATE_ESR_PENDING:
        return cpu->esr_pending;
    case VLAPIC_STATE_ICR:
        return (uint64_t)vlapic_get(cpu, VLAPIC_REG_ICR_HIGH) << 32 | vlapic_get(cpu, VLAPIC_REG_ICR_LOW);
    case VLAPIC_STATE_LVT:
        return lvt_of(cpu, index);
    case VLAPIC_STATE_EVENTS:
        return events_of(cpu);
    case VLAPIC_STATE_SIPI_VECTOR:
        return (cpu->events >> VLAPIC_WORK_SIPI_SHIFT) & 0xFFu;
    default:
        return timer_of(cpu, item);
    }
}

struct vlapic_values vlapic_core_state_read(struct vlapic_cpu *cpu)
{
    vlapic_core_settle_all(cpu);
    vlapic_core_timer_settle(cpu);
    return (struct vlapic_values){ .value = value_in_cpu, .table = &vlapic_core_state_items, .cpu = cpu };
}

enum vlapic_status vlapic_cpu_get_state(struct vlapic_cpu *cpu, struct vlapic_cpu_state *state, size_t size)
{
    struct vlapic_values values;

    if (cpu == NULL || state == NULL) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*state)) {
        return VLAPIC_BAD_ABI;
    }
    VLAPIC_ASSERT_OWNER(cpu);
    values = vlapic_core_state_read(cpu);
    *state = (struct vlapic_cpu_state){ .size = (uint32_t)size };
    for (uint32_t item = 0; item < VLAPIC_STATE_ITEMS; item++) {
        for (uint32_t i = 0; i < items[item].count; i++) {
            vlapic_core_item_store(&items[item], state, i, value_in_cpu(&values, item, i));
        }
    }
    return VLAPIC_OK;
}

enum vlapic_status vlapic_cpu_get_stats(const struct vlapic_cpu *cpu, struct vlapic_cpu_stats *stats, size_t size)
{
    if (cpu == NULL || stats == NULL) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*stats)) {
        return VLAPIC_BAD_ABI;
    }
    VLAPIC_ASSERT_OWNER(cpu);
    *stats = cpu->stats;
    return VLAPIC_OK;
}
