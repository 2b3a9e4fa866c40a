/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state in the open: reading it, and replacing it by one that may come from anywhere. The checks ask what an APIC of
 * this VM could hold; nothing is changed before all of them have passed.
 */
#include "vlapic_model.h"

#define STATE_LDR_BITS 0xFF000000u
#define STATE_DFR_LOW 0x0FFFFFFFu
#define STATE_EVENTS 0xFFu

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static void get_vectors(const struct vlapic_cpu *cpu, uint32_t base, uint32_t out[8])
{
    for (uint32_t w = 0; w < 8; w++) {
        out[w] = vlapic_get(cpu, base + (w << 4));
    }
}

static void get_lvts(const struct vlapic_cpu *cpu, struct vlapic_cpu_state *state)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        uint32_t offset = vlapic_core_lvt_offset(cpu->vm, i);

        state->lvt[i] = offset != 0 ? vlapic_get(cpu, offset) : VLAPIC_LVT_MASKED;
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        state->lvt_ext[i] = vlapic_get(cpu, VLAPIC_REG_EXT_LVT + (i << 4));
    }
}

/* An INIT that was reported but not taken is still to be done by whoever goes on from this state. */
static void get_events(const struct vlapic_cpu *cpu, struct vlapic_cpu_state *state)
{
    uint32_t lines = vlapic_load_acquire(&cpu->lines);
    bool init = (cpu->events & VLAPIC_WORK_INIT) != 0 || cpu->init_handed_over;

    state->events = (init ? VLAPIC_EVENT_INIT : 0) | ((cpu->events & VLAPIC_WORK_SIPI) != 0 ? VLAPIC_EVENT_SIPI : 0) |
                    ((cpu->events & VLAPIC_WORK_NMI) != 0 ? VLAPIC_EVENT_NMI : 0) |
                    ((cpu->events & VLAPIC_WORK_SMI) != 0 ? VLAPIC_EVENT_SMI : 0) |
                    ((cpu->events & VLAPIC_WORK_EXTINT) != 0 ? VLAPIC_EVENT_EXTINT : 0) |
                    (cpu->wait_for_sipi ? VLAPIC_EVENT_WAIT_FOR_SIPI : 0) |
                    ((lines & 1u) != 0 ? VLAPIC_EVENT_LINE0 : 0) | ((lines & 2u) != 0 ? VLAPIC_EVENT_LINE1 : 0);
    state->sipi_vector = (uint32_t)(cpu->events >> VLAPIC_WORK_SIPI_SHIFT) & 0xFFu;
}

enum vlapic_status vlapic_cpu_get_state(struct vlapic_cpu *cpu, struct vlapic_cpu_state *state, size_t size)
{
    if (cpu == NULL || state == NULL) {
        return VLAPIC_INVALID;
    }
    if (size != sizeof(*state)) {
        return VLAPIC_BAD_ABI;
    }
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_core_settle_all(cpu);
    *state = (struct vlapic_cpu_state){ .size = (uint32_t)size };
    vlapic_core_timer_get_state(cpu, state);
    state->apic_id = cpu->apic_id;
    state->apic_base = cpu->apic_base;
    state->xapic_id = vlapic_is_x2apic(cpu) ? cpu->apic_id & 0xFFu : vlapic_get(cpu, VLAPIC_REG_ID) >> 24;
    state->tpr = vlapic_get(cpu, VLAPIC_REG_TPR);
    state->ldr = vlapic_is_x2apic(cpu) ? 0 : vlapic_get(cpu, VLAPIC_REG_LDR);
    state->dfr = vlapic_get(cpu, VLAPIC_REG_DFR);
    state->svr = vlapic_get(cpu, VLAPIC_REG_SVR);
    state->esr = vlapic_get(cpu, VLAPIC_REG_ESR);
    state->esr_pending = cpu->esr_pending;
    state->icr = (uint64_t)vlapic_get(cpu, VLAPIC_REG_ICR_HIGH) << 32 | vlapic_get(cpu, VLAPIC_REG_ICR_LOW);
    state->ext_control = vlapic_get(cpu, VLAPIC_REG_EXT_CONTROL);
    get_lvts(cpu, state);
    get_vectors(cpu, VLAPIC_REG_ISR, state->isr);
    get_vectors(cpu, VLAPIC_REG_TMR, state->tmr);
    get_vectors(cpu, VLAPIC_REG_IRR, state->irr);
    get_vectors(cpu, VLAPIC_REG_IER, state->ier);
    get_events(cpu, state);
    return VLAPIC_OK;
}

/* --- checking -------------------------------------------------------------------------------------------------------------- */

struct verdict {
    enum vlapic_status status;
    const char *field;
};

/* Keeps the first thing found wrong. */
static void require(struct verdict *v, bool good, enum vlapic_status status, const char *field)
{
    if (!good && v->status == VLAPIC_OK) {
        v->status = status;
        v->field = field;
    }
}

static uint32_t reg_bits(const struct vlapic_vm *vm, uint32_t offset)
{
    return vlapic_slot_at(vm, offset)->writable;
}

static bool is_x2apic(const struct vlapic_cpu_state *s)
{
    return (s->apic_base & VLAPIC_BASE_EXTD) != 0;
}

static void check_identity(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;
    bool own_id = s->xapic_id == (cpu->apic_id & 0xFFu);

    require(v, s->apic_id == cpu->apic_id, VLAPIC_MISMATCH, "apic_id");
    require(v, config->x2apic || !is_x2apic(s), VLAPIC_MISMATCH, "apic_base");
    require(v, vlapic_core_base_is_valid(cpu->vm, s->apic_base), VLAPIC_BAD_VALUE, "apic_base");
    require(v, s->xapic_id <= 0xFF, VLAPIC_BAD_VALUE, "xapic_id");
    require(v, own_id || (config->id_writable && !is_x2apic(s)), VLAPIC_MISMATCH, "xapic_id");
    require(v, (s->ldr & ~(is_x2apic(s) ? 0 : STATE_LDR_BITS)) == 0, VLAPIC_BAD_VALUE, "ldr");
    require(v, (s->dfr & STATE_DFR_LOW) == STATE_DFR_LOW, VLAPIC_BAD_VALUE, "dfr");
}

static void check_control(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    const struct vlapic_vm *vm = cpu->vm;
    uint64_t icr_high = is_x2apic(s) ? 0xFFFFFFFFull : 0xFF000000ull;

    require(v, s->tpr <= 0xFF, VLAPIC_BAD_VALUE, "tpr");
    require(v, (s->svr & ~reg_bits(vm, VLAPIC_REG_SVR)) == 0, VLAPIC_BAD_VALUE, "svr");
    require(v, s->esr <= 0xFF, VLAPIC_BAD_VALUE, "esr");
    require(v, s->esr_pending <= 0xFF, VLAPIC_BAD_VALUE, "esr_pending");
    require(v, (s->icr & ~(icr_high << 32 | reg_bits(vm, VLAPIC_REG_ICR_LOW))) == 0, VLAPIC_BAD_VALUE, "icr");
    require(v, (s->ext_control & ~reg_bits(vm, VLAPIC_REG_EXT_CONTROL)) == 0, VLAPIC_MISMATCH, "ext_control");
}

static bool remote_irr_fits(uint32_t entry, uint32_t value)
{
    return entry == VLAPIC_LVT_LINT0 && (value & VLAPIC_DELIVERY_MASK) == 0 && (value & VLAPIC_LVT_LEVEL) != 0;
}

static void check_lvt(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s, uint32_t entry,
                      uint32_t value, const char *field)
{
    uint32_t offset = vlapic_core_lvt_offset(cpu->vm, entry);
    uint32_t bits = remote_irr_fits(entry, value) ? VLAPIC_LVT_REMOTE_IRR : 0;

    if (offset == 0) {
        require(v, value == VLAPIC_LVT_MASKED, VLAPIC_MISMATCH, field);
        return;
    }
    require(v, (value & ~(bits | reg_bits(cpu->vm, offset))) == 0, VLAPIC_BAD_VALUE, field);
    require(v, (s->svr & VLAPIC_SVR_ENABLE) != 0 || (value & VLAPIC_LVT_MASKED) != 0, VLAPIC_BAD_VALUE, field);
}

static void check_lvts(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        check_lvt(v, cpu, s, i, s->lvt[i], "lvt");
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        check_lvt(v, cpu, s, VLAPIC_LVT_EXT0 + i, s->lvt_ext[i], "lvt_ext");
    }
}

/* Vectors 0..15 are never stored, and a disabled APIC holds nothing. */
static void check_vectors(struct verdict *v, const uint32_t words[8], bool enabled, const char *field)
{
    uint32_t any = 0;

    require(v, (words[0] & 0xFFFFu) == 0, VLAPIC_BAD_VALUE, field);
    for (uint32_t w = 0; w < 8; w++) {
        any |= words[w];
    }
    require(v, enabled || any == 0, VLAPIC_BAD_VALUE, field);
}

static void check_ier(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    bool exists = vlapic_reg_exists(cpu->vm, VLAPIC_REG_IER);

    for (uint32_t w = 0; w < 8; w++) {
        require(v, exists || s->ier[w] == UINT32_MAX, VLAPIC_MISMATCH, "ier");
    }
}

static void check_timer(struct verdict *v, const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    uint32_t mode = s->lvt[VLAPIC_LVT_TIMER] & VLAPIC_LVT_TIMER_MODE_MASK;
    bool counts = mode == VLAPIC_LVT_TIMER_ONE_SHOT || mode == VLAPIC_LVT_TIMER_PERIODIC;
    bool enabled = (s->apic_base & VLAPIC_BASE_EN) != 0;
    uint32_t shift = vlapic_core_clock_shift(s->divide_config);
    uint64_t full = (uint64_t)s->initial_count << shift;

    require(v, (s->divide_config & ~reg_bits(cpu->vm, VLAPIC_REG_DIVIDE_CONFIG)) == 0, VLAPIC_BAD_VALUE,
            "divide_config");
    require(v, s->initial_count == 0 || (counts && enabled), VLAPIC_BAD_VALUE, "initial_count");
    require(v, s->timer_running <= (s->initial_count != 0 ? 1u : 0u), VLAPIC_BAD_VALUE, "timer_running");
    require(v, s->timer_running ? s->timer_remaining >= 1 && s->timer_remaining <= full : s->timer_remaining == 0,
            VLAPIC_BAD_VALUE, "timer_remaining");
    require(v, s->timer_phase < (s->timer_running ? VLAPIC_NS_PER_S : 1), VLAPIC_BAD_VALUE, "timer_phase");
    require(v, s->tsc_deadline == 0 || (mode == VLAPIC_LVT_TIMER_DEADLINE && enabled), VLAPIC_BAD_VALUE,
            "tsc_deadline");
}

static void check_events(struct verdict *v, const struct vlapic_cpu_state *s)
{
    uint32_t highest = (s->events & VLAPIC_EVENT_SIPI) != 0 ? 0xFF : 0;

    require(v, (s->events & ~STATE_EVENTS) == 0, VLAPIC_BAD_VALUE, "events");
    require(v, s->sipi_vector <= highest, VLAPIC_BAD_VALUE, "sipi_vector");
}

static struct verdict check(const struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    struct verdict v = { VLAPIC_OK, NULL };
    bool enabled = (s->apic_base & VLAPIC_BASE_EN) != 0;

    check_identity(&v, cpu, s);
    check_control(&v, cpu, s);
    check_lvts(&v, cpu, s);
    check_vectors(&v, s->isr, enabled, "isr");
    check_vectors(&v, s->tmr, enabled, "tmr");
    check_vectors(&v, s->irr, enabled, "irr");
    check_ier(&v, cpu, s);
    check_timer(&v, cpu, s);
    check_events(&v, s);
    return v;
}

/* --- replacing ------------------------------------------------------------------------------------------------------------- */

static void put_vectors(struct vlapic_cpu *cpu, uint32_t base, const uint32_t in[8])
{
    for (uint32_t w = 0; w < 8; w++) {
        vlapic_put(cpu, base + (w << 4), in[w]);
    }
}

static void put_lvts(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
        uint32_t offset = vlapic_core_lvt_offset(cpu->vm, i);

        if (offset != 0) {
            vlapic_put(cpu, offset, s->lvt[i]);
        }
    }
    for (uint32_t i = 0; i < VLAPIC_LVT_EXT_MAX; i++) {
        vlapic_put(cpu, VLAPIC_REG_EXT_LVT + (i << 4), s->lvt_ext[i]);
    }
    cpu->lvt_lint0 = s->lvt[VLAPIC_LVT_LINT0];
}

static void put_registers(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    vlapic_put(cpu, VLAPIC_REG_TPR, s->tpr);
    vlapic_put(cpu, VLAPIC_REG_LDR, s->ldr);
    vlapic_put(cpu, VLAPIC_REG_DFR, s->dfr);
    vlapic_put(cpu, VLAPIC_REG_SVR, s->svr);
    vlapic_put(cpu, VLAPIC_REG_ESR, s->esr);
    vlapic_put(cpu, VLAPIC_REG_ICR_LOW, (uint32_t)s->icr);
    vlapic_put(cpu, VLAPIC_REG_ICR_HIGH, (uint32_t)(s->icr >> 32));
    vlapic_put(cpu, VLAPIC_REG_INITIAL_COUNT, s->initial_count);
    vlapic_put(cpu, VLAPIC_REG_DIVIDE_CONFIG, s->divide_config);
    vlapic_put(cpu, VLAPIC_REG_EXT_CONTROL, s->ext_control);
    put_lvts(cpu, s);
    put_vectors(cpu, VLAPIC_REG_ISR, s->isr);
    put_vectors(cpu, VLAPIC_REG_TMR, s->tmr);
    put_vectors(cpu, VLAPIC_REG_IRR, s->irr);
    put_vectors(cpu, VLAPIC_REG_IER, s->ier);
    cpu->esr_pending = s->esr_pending;
}

static void put_events(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s)
{
    uint32_t lines = ((s->events & VLAPIC_EVENT_LINE0) != 0 ? 1u : 0) |
                     ((s->events & VLAPIC_EVENT_LINE1) != 0 ? 2u : 0);

    /* A vector that was posted since the old ones were dropped has its bit set, and must keep its announcement. */
    vlapic_fetch_and(&cpu->work, VLAPIC_WORK_POSTED);
    vlapic_exchange(&cpu->lines, lines);
    cpu->events = ((s->events & VLAPIC_EVENT_INIT) != 0 ? VLAPIC_WORK_INIT : 0) |
                  ((s->events & VLAPIC_EVENT_SIPI) != 0 ? VLAPIC_WORK_SIPI : 0) |
                  ((s->events & VLAPIC_EVENT_NMI) != 0 ? VLAPIC_WORK_NMI : 0) |
                  ((s->events & VLAPIC_EVENT_SMI) != 0 ? VLAPIC_WORK_SMI : 0) |
                  ((s->events & VLAPIC_EVENT_EXTINT) != 0 ? VLAPIC_WORK_EXTINT : 0) |
                  (uint64_t)s->sipi_vector << VLAPIC_WORK_SIPI_SHIFT;
    cpu->wait_for_sipi = (s->events & VLAPIC_EVENT_WAIT_FOR_SIPI) != 0;
    cpu->init_handed_over = false;
    cpu->repoll = true;
}

static void replace(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *s, enum vlapic_time time)
{
    uint64_t old_base = cpu->apic_base;

    vlapic_core_reset_registers(cpu);
    vlapic_core_set_base(cpu, s->apic_base);
    put_registers(cpu, s);
    put_events(cpu, s);
    vlapic_core_derive(cpu);
    vlapic_core_identity_changed(cpu, s->xapic_id);
    vlapic_core_timer_set_state(cpu, s, time);
    vlapic_tell_backend(cpu, VLAPIC_CHANGE_ALL);
    if (old_base != cpu->apic_base && cpu->vm->host.base_changed != NULL) {
        cpu->vm->host.base_changed(cpu->cookie, old_base, cpu->apic_base);
    }
}

enum vlapic_status vlapic_cpu_set_state(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *state,
                                        enum vlapic_time time, const char **field)
{
    struct verdict v = { VLAPIC_OK, NULL };

    if (cpu == NULL || state == NULL || (time != VLAPIC_TIME_STOPPED && time != VLAPIC_TIME_RAN)) {
        v.status = VLAPIC_INVALID;
    } else if (state->size != sizeof(*state)) {
        v = (struct verdict){ VLAPIC_BAD_ABI, "size" };
    } else {
        VLAPIC_ASSERT_OWNER(cpu);
        v = check(cpu, state);
    }
    if (field != NULL) {
        *field = v.field;
    }
    if (v.status == VLAPIC_OK) {
        replace(cpu, state, time);
    }
    return v.status;
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
