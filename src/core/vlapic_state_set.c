/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replacing the state by one that may come from anywhere. The checks ask what an APIC of this VM could hold; nothing is changed
 * before all of them have passed.
 */
#include "vlapic_items.h"

#define STATE_LDR_BITS 0xFF000000u
#define STATE_DFR_LOW 0x0FFFFFFFu
#define STATE_EVENTS 0xFFu

/* --- checking -------------------------------------------------------------------------------------------------------------- */

static uint64_t wide(const struct vlapic_values *s, enum vlapic_state_item item)
{
    return s->value(s, item, 0);
}

static uint32_t element(const struct vlapic_values *s, enum vlapic_state_item item, uint32_t index)
{
    return (uint32_t)s->value(s, item, index);
}

static uint32_t word(const struct vlapic_values *s, enum vlapic_state_item item)
{
    return element(s, item, 0);
}

struct verdict {
    enum vlapic_status status;
    enum vlapic_state_item item;
};

/* Keeps the first thing found wrong. */
static void require(struct verdict *v, bool good, enum vlapic_status status, enum vlapic_state_item item)
{
    if (!good && v->status == VLAPIC_OK) {
        v->status = status;
        v->item = item;
    }
}

static uint32_t reg_bits(const struct vlapic_vm *vm, uint32_t offset)
{
    return vlapic_slot_at(vm, offset)->writable;
}

static bool is_enabled(const struct vlapic_values *s)
{
    return (wide(s, VLAPIC_STATE_APIC_BASE) & VLAPIC_BASE_EN) != 0;
}

static bool is_x2apic(const struct vlapic_values *s)
{
    return (wide(s, VLAPIC_STATE_APIC_BASE) & VLAPIC_BASE_EXTD) != 0;
}

static void check_identity(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;
    uint64_t apic_base = wide(s, VLAPIC_STATE_APIC_BASE);
    uint32_t xapic_id = word(s, VLAPIC_STATE_XAPIC_ID);
    uint32_t ldr_bits = is_x2apic(s) ? 0 : STATE_LDR_BITS;
    bool own_id = xapic_id == (cpu->apic_id & 0xFFu);

    require(v, word(s, VLAPIC_STATE_APIC_ID) == cpu->apic_id, VLAPIC_MISMATCH, VLAPIC_STATE_APIC_ID);
    require(v, config->x2apic || !is_x2apic(s), VLAPIC_MISMATCH, VLAPIC_STATE_APIC_BASE);
    require(v, vlapic_core_base_is_valid(cpu->vm, apic_base), VLAPIC_BAD_VALUE, VLAPIC_STATE_APIC_BASE);
    require(v, xapic_id <= 0xFF, VLAPIC_BAD_VALUE, VLAPIC_STATE_XAPIC_ID);
    require(v, own_id || (config->id_writable && !is_x2apic(s)), VLAPIC_MISMATCH, VLAPIC_STATE_XAPIC_ID);
    require(v, (word(s, VLAPIC_STATE_LDR) & ~ldr_bits) == 0, VLAPIC_BAD_VALUE, VLAPIC_STATE_LDR);
    require(v, (word(s, VLAPIC_STATE_DFR) & STATE_DFR_LOW) == STATE_DFR_LOW, VLAPIC_BAD_VALUE, VLAPIC_STATE_DFR);
}

static void check_control(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    const struct vlapic_vm *vm = cpu->vm;
    uint64_t icr_high = is_x2apic(s) ? 0xFFFFFFFFull : 0xFF000000ull;
    uint64_t icr_bits = icr_high << 32 | reg_bits(vm, VLAPIC_REG_ICR_LOW);
    uint32_t svr_bits = reg_bits(vm, VLAPIC_REG_SVR), ext_bits = reg_bits(vm, VLAPIC_REG_EXT_CONTROL);

    require(v, word(s, VLAPIC_STATE_TPR) <= 0xFF, VLAPIC_BAD_VALUE, VLAPIC_STATE_TPR);
    require(v, (word(s, VLAPIC_STATE_SVR) & ~svr_bits) == 0, VLAPIC_BAD_VALUE, VLAPIC_STATE_SVR);
    require(v, word(s, VLAPIC_STATE_ESR) <= 0xFF, VLAPIC_BAD_VALUE, VLAPIC_STATE_ESR);
    require(v, word(s, VLAPIC_STATE_ESR_PENDING) <= 0xFF, VLAPIC_BAD_VALUE, VLAPIC_STATE_ESR_PENDING);
    require(v, (wide(s, VLAPIC_STATE_ICR) & ~icr_bits) == 0, VLAPIC_BAD_VALUE, VLAPIC_STATE_ICR);
    require(v, (word(s, VLAPIC_STATE_EXT_CONTROL) & ~ext_bits) == 0, VLAPIC_MISMATCH, VLAPIC_STATE_EXT_CONTROL);
}

static bool remote_irr_fits(uint32_t entry, uint32_t value)
{
    return entry == VLAPIC_LVT_LINT0 && (value & VLAPIC_DELIVERY_MASK) == 0 && (value & VLAPIC_LVT_LEVEL) != 0;
}

static void check_lvt(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s, uint32_t entry,
                      uint32_t value, enum vlapic_state_item item)
{
    uint32_t offset = vlapic_core_lvt_offset(cpu->vm, entry);
    uint32_t bits = remote_irr_fits(entry, value) ? VLAPIC_LVT_REMOTE_IRR : 0;
    bool software_enabled = (word(s, VLAPIC_STATE_SVR) & VLAPIC_SVR_ENABLE) != 0;

    if (offset == 0) {
        require(v, value == VLAPIC_LVT_MASKED, VLAPIC_MISMATCH, item);
        return;
    }
    require(v, (value & ~(bits | reg_bits(cpu->vm, offset))) == 0, VLAPIC_BAD_VALUE, item);
    require(v, software_enabled || (value & VLAPIC_LVT_MASKED) != 0, VLAPIC_BAD_VALUE, item);
}

static void check_lvts(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        check_lvt(v, cpu, s, i, element(s, VLAPIC_STATE_LVT, i), VLAPIC_STATE_LVT);
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        check_lvt(v, cpu, s, VLAPIC_LVT_EXT0 + i, element(s, VLAPIC_STATE_LVT_EXT, i), VLAPIC_STATE_LVT_EXT);
    }
}

/* Vectors 0..15 are never stored, and a disabled APIC holds nothing. */
static void check_vectors(struct verdict *v, const struct vlapic_values *s, enum vlapic_state_item item)
{
    uint32_t any = 0;

    require(v, (word(s, item) & 0xFFFFu) == 0, VLAPIC_BAD_VALUE, item);
    for (uint32_t w = 0; w < 8; w++) {
        any |= element(s, item, w);
    }
    require(v, is_enabled(s) || any == 0, VLAPIC_BAD_VALUE, item);
}

static void check_ier(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    bool exists = vlapic_reg_exists(cpu->vm, VLAPIC_REG_IER);

    for (uint32_t w = 0; w < 8; w++) {
        require(v, exists || element(s, VLAPIC_STATE_IER, w) == UINT32_MAX, VLAPIC_MISMATCH, VLAPIC_STATE_IER);
    }
}

static void check_timer(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    uint32_t mode = element(s, VLAPIC_STATE_LVT, VLAPIC_LVT_TIMER) & VLAPIC_LVT_TIMER_MODE_MASK;
    bool counts = mode == VLAPIC_LVT_TIMER_ONE_SHOT || mode == VLAPIC_LVT_TIMER_PERIODIC;
    uint32_t divide_config = word(s, VLAPIC_STATE_DIVIDE_CONFIG);
    uint32_t initial_count = word(s, VLAPIC_STATE_INITIAL_COUNT);
    uint64_t full = (uint64_t)initial_count << vlapic_core_clock_shift(divide_config);
    uint64_t remaining = wide(s, VLAPIC_STATE_TIMER_REMAINING);
    bool running = word(s, VLAPIC_STATE_TIMER_RUNNING) != 0;

    require(v, (divide_config & ~reg_bits(cpu->vm, VLAPIC_REG_DIVIDE_CONFIG)) == 0, VLAPIC_BAD_VALUE,
            VLAPIC_STATE_DIVIDE_CONFIG);
    require(v, initial_count == 0 || (counts && is_enabled(s)), VLAPIC_BAD_VALUE, VLAPIC_STATE_INITIAL_COUNT);
    require(v, word(s, VLAPIC_STATE_TIMER_RUNNING) <= (initial_count != 0 ? 1u : 0u), VLAPIC_BAD_VALUE,
            VLAPIC_STATE_TIMER_RUNNING);
    require(v, running ? remaining >= 1 && remaining <= full : remaining == 0, VLAPIC_BAD_VALUE,
            VLAPIC_STATE_TIMER_REMAINING);
    require(v, wide(s, VLAPIC_STATE_TIMER_PHASE) < (running ? VLAPIC_NS_PER_S : 1), VLAPIC_BAD_VALUE,
            VLAPIC_STATE_TIMER_PHASE);
    require(v, wide(s, VLAPIC_STATE_TSC_DEADLINE) == 0 || (mode == VLAPIC_LVT_TIMER_DEADLINE && is_enabled(s)),
            VLAPIC_BAD_VALUE, VLAPIC_STATE_TSC_DEADLINE);
}

static void check_events(struct verdict *v, const struct vlapic_values *s)
{
    uint32_t events = word(s, VLAPIC_STATE_EVENTS);
    uint32_t highest = (events & VLAPIC_EVENT_SIPI) != 0 ? 0xFF : 0;

    require(v, (events & ~STATE_EVENTS) == 0, VLAPIC_BAD_VALUE, VLAPIC_STATE_EVENTS);
    require(v, word(s, VLAPIC_STATE_SIPI_VECTOR) <= highest, VLAPIC_BAD_VALUE, VLAPIC_STATE_SIPI_VECTOR);
}

static struct verdict check(const struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    struct verdict v = { VLAPIC_OK, VLAPIC_STATE_ITEMS };

    check_identity(&v, cpu, s);
    check_control(&v, cpu, s);
    check_lvts(&v, cpu, s);
    check_vectors(&v, s, VLAPIC_STATE_ISR);
    check_vectors(&v, s, VLAPIC_STATE_TMR);
    check_vectors(&v, s, VLAPIC_STATE_IRR);
    check_ier(&v, cpu, s);
    check_timer(&v, cpu, s);
    check_events(&v, s);
    return v;
}

/* --- replacing ------------------------------------------------------------------------------------------------------------- */

static void put_lvts(struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        uint32_t offset = vlapic_core_lvt_offset(cpu->vm, i);

        if (offset != 0) {
            vlapic_put(cpu, offset, element(s, VLAPIC_STATE_LVT, i));
        }
    }
    cpu->lvt_lint0 = vlapic_get(cpu, VLAPIC_REG_LVT_LINT0);
}

static void put_registers(struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    uint64_t icr = wide(s, VLAPIC_STATE_ICR);

    for (uint32_t item = 0; item < VLAPIC_STATE_ITEMS; item++) {
        uint32_t offset = vlapic_core_state_registers[item];

        for (uint32_t i = 0; offset != 0 && i < s->table->items[item].count; i++) {
            vlapic_put(cpu, offset + (i << 4), (uint32_t)s->value(s, item, i));
        }
    }
    vlapic_put(cpu, VLAPIC_REG_LDR, word(s, VLAPIC_STATE_LDR));
    vlapic_put(cpu, VLAPIC_REG_ICR_LOW, (uint32_t)icr);
    vlapic_put(cpu, VLAPIC_REG_ICR_HIGH, (uint32_t)(icr >> 32));
    put_lvts(cpu, s);
    cpu->esr_pending = word(s, VLAPIC_STATE_ESR_PENDING);
}

static void put_events(struct vlapic_cpu *cpu, uint32_t events, uint32_t sipi_vector)
{
    uint32_t lines = ((events & VLAPIC_EVENT_LINE0) != 0 ? 1u : 0) | ((events & VLAPIC_EVENT_LINE1) != 0 ? 2u : 0);

    /* A vector that was posted since the old ones were dropped has its bit set, and must keep its announcement. */
    vlapic_fetch_and(&cpu->work, VLAPIC_WORK_POSTED);
    vlapic_exchange(&cpu->lines, lines);
    cpu->events = ((events & VLAPIC_EVENT_INIT) != 0 ? VLAPIC_WORK_INIT : 0) |
                  ((events & VLAPIC_EVENT_SIPI) != 0 ? VLAPIC_WORK_SIPI : 0) |
                  ((events & VLAPIC_EVENT_NMI) != 0 ? VLAPIC_WORK_NMI : 0) |
                  ((events & VLAPIC_EVENT_SMI) != 0 ? VLAPIC_WORK_SMI : 0) |
                  ((events & VLAPIC_EVENT_EXTINT) != 0 ? VLAPIC_WORK_EXTINT : 0) |
                  (uint64_t)sipi_vector << VLAPIC_WORK_SIPI_SHIFT;
    cpu->wait_for_sipi = (events & VLAPIC_EVENT_WAIT_FOR_SIPI) != 0;
    cpu->init_handed_over = false;
    cpu->repoll = true;
}

/* The old timer has been stopped. */
static void put_timer(struct vlapic_cpu *cpu, const struct vlapic_values *s)
{
    cpu->timer.running = word(s, VLAPIC_STATE_TIMER_RUNNING) != 0;
    cpu->timer.due = wide(s, VLAPIC_STATE_TIMER_REMAINING);
    cpu->timer.phase = wide(s, VLAPIC_STATE_TIMER_PHASE);
    cpu->timer.deadline = wide(s, VLAPIC_STATE_TSC_DEADLINE);
}

static void replace(struct vlapic_cpu *cpu, const struct vlapic_values *s, enum vlapic_time time)
{
    uint64_t old_base = cpu->apic_base;

    vlapic_core_reset_registers(cpu, VLAPIC_CHANGE_ALL);
    vlapic_core_set_base(cpu, wide(s, VLAPIC_STATE_APIC_BASE));
    put_registers(cpu, s);
    put_events(cpu, word(s, VLAPIC_STATE_EVENTS), word(s, VLAPIC_STATE_SIPI_VECTOR));
    vlapic_core_derive(cpu);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ALL);
    vlapic_core_identity_changed(cpu, word(s, VLAPIC_STATE_XAPIC_ID));
    put_timer(cpu, s);
    vlapic_core_timer_resume(cpu, time == VLAPIC_TIME_RAN ? wide(s, VLAPIC_STATE_TIME_NS) : UINT64_MAX);
    if (old_base != cpu->apic_base && cpu->vm->host.base_changed != NULL) {
        cpu->vm->host.base_changed(cpu->cookie, old_base, cpu->apic_base);
    }
}

enum vlapic_status vlapic_core_state_replace(struct vlapic_cpu *cpu, const struct vlapic_values *values,
                                             enum vlapic_time time, uint32_t *fault)
{
    struct verdict v = { VLAPIC_INVALID, VLAPIC_STATE_ITEMS };

    if (time == VLAPIC_TIME_STOPPED || time == VLAPIC_TIME_RAN) {
        VLAPIC_ASSERT_OWNER(cpu);
        v = check(cpu, values);
    }
    *fault = v.item;
    if (v.status == VLAPIC_OK) {
        replace(cpu, values, time);
    }
    return v.status;
}

enum vlapic_status vlapic_cpu_set_state(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *state,
                                        enum vlapic_time time, const char **field)
{
    enum vlapic_status status = VLAPIC_INVALID;
    const char *wrong = NULL;
    struct vlapic_values values;
    uint32_t fault;

    if (cpu == NULL || state == NULL || (time != VLAPIC_TIME_STOPPED && time != VLAPIC_TIME_RAN)) {
        status = VLAPIC_INVALID;
    } else if (state->size != sizeof(*state)) {
        status = VLAPIC_BAD_ABI;
        wrong = "size";
    } else {
        values = vlapic_core_values_of_struct(&vlapic_core_state_items, state);
        status = vlapic_core_state_replace(cpu, &values, time, &fault);
        wrong = fault < VLAPIC_STATE_ITEMS ? values.table->items[fault].name : NULL;
    }
    if (field != NULL) {
        *field = wrong;
    }
    return status;
}
