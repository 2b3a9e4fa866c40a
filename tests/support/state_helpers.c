/* SPDX-License-Identifier: BSD-2-Clause */
#include "state_helpers.h"

#include <string.h>

void busy_state(struct fake_vm *f)
{
    struct vlapic_cpu *cpu = fake_cpu_at(f, 0);
    const struct vlapic_vm_config *config = &f->config;
    bool x2apic = (vlapic_cpu_apic_base(cpu) & VLAPIC_BASE_EXTD) != 0;
    uint32_t nobody = x2apic ? 0x000A0000u : 0xEE000000u;

    guest_set(cpu, VLAPIC_REG_SVR,
              0x1E7u | (config->svr_bit9_faults ? 0 : 0x200u) | (config->eoi_suppression ? 0x1000u : 0));
    guest_set(cpu, VLAPIC_REG_TPR, 0x15);
    if (!x2apic) {
        guest_write(cpu, VLAPIC_REG_LDR, 0x5A000000);
        guest_write(cpu, VLAPIC_REG_DFR, 0x0FFFFFFF);
        if (config->id_writable)
            guest_write(cpu, VLAPIC_REG_ID, 0x77000000);
    }

    /* Send-illegal-vector twice: once made visible, once recorded only. */
    guest_icr(cpu, nobody, 0x03);
    guest_set(cpu, VLAPIC_REG_ESR, 0);
    guest_icr(cpu, nobody, 0x03);
    guest_icr(cpu, nobody, 0x000000B7);

    assert_true(vlapic_cpu_post(cpu, BUSY_IN_SERVICE, true));
    assert_int_equal(take_vector(cpu), BUSY_IN_SERVICE);
    assert_true(vlapic_cpu_post(cpu, BUSY_PENDING_EDGE, false));
    assert_true(vlapic_cpu_post(cpu, BUSY_PENDING_LEVEL, true));

    guest_set(cpu, VLAPIC_REG_LVT_THERMAL, 0x000002D1);
    guest_set(cpu, VLAPIC_REG_LVT_PERF, 0x000004D2);
    guest_set(cpu, VLAPIC_REG_LVT_LINT0, 0x0000A000 | BUSY_LINT0);
    guest_set(cpu, VLAPIC_REG_LVT_LINT1, 0x000024D3);
    guest_set(cpu, VLAPIC_REG_LVT_ERROR, 0x000000D4);
    if (config->max_lvt >= 6)
        guest_set(cpu, VLAPIC_REG_LVT_CMCI, 0x000002D6);
    vlapic_cpu_lint(cpu, 0, true);
    poll_vector(cpu);

    guest_set(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_set(cpu, VLAPIC_REG_LVT_TIMER, 0x000200D7);
    guest_set(cpu, VLAPIC_REG_INITIAL_COUNT, 0x01234567);
    fake_advance_ns(f, 1000);

    if (config->ext_space) {
        guest_set(cpu, VLAPIC_REG_EXT_CONTROL, config->ext_features);
        for (uint32_t i = 0; i < config->ext_lvt_count; i++)
            guest_set(cpu, VLAPIC_REG_EXT_LVT + 16 * i, 0x000000D8 + i);
        if (config->ext_features & VLAPIC_EXT_IER)
            for (uint32_t i = 0; i < 8; i++)
                guest_set(cpu, VLAPIC_REG_IER + 16 * i, 0xF7F7F7F0u + i);
    }
    poll_vector(cpu);
    fake_forget(f);
}

void start_aps(struct fake_vm *f)
{
    struct vlapic_poll duty;

    guest_icr(fake_cpu_at(f, 0), 0, 0xC0610);
    for (unsigned i = 1; i < f->cpu_count; i++) {
        vlapic_cpu_poll(fake_cpu_at(f, i), &duty);
        assert_true(duty.sipi);
        assert_false(duty.wait_for_sipi);
    }
    fake_forget(f);
}

void state_read(struct vlapic_cpu *cpu, struct vlapic_cpu_state *state)
{
    memset(state, 0, sizeof *state);
    assert_int_equal(vlapic_cpu_get_state(cpu, state, sizeof *state), VLAPIC_OK);
}

void state_after_reset(const struct fake_vm *f, uint32_t apic_id, bool bsp, struct vlapic_cpu_state *state)
{
    memset(state, 0, sizeof *state);
    state->size = sizeof *state;
    state->apic_id = apic_id;
    state->apic_base = bsp ? 0xFEE00900 : 0xFEE00800;
    state->xapic_id = apic_id & 0xFF;
    state->dfr = 0xFFFFFFFF;
    state->svr = 0xFF;
    for (unsigned i = 0; i < VLAPIC_LVT_COUNT; i++)
        state->lvt[i] = 0x10000;
    for (unsigned i = 0; i < VLAPIC_LVT_EXT_MAX; i++)
        state->lvt_ext[i] = 0x10000;
    for (unsigned i = 0; i < 8; i++)
        state->ier[i] = 0xFFFFFFFF;
    state->time_ns = f->now_ns;
    state->events = bsp ? 0 : VLAPIC_EVENT_WAIT_FOR_SIPI;
}

#define SAME(member)                                                                                                   \
    do {                                                                                                               \
        if (expected->member != actual->member)                                                                        \
            fail_msg("state: %s is %#llx, expected %#llx", #member, (unsigned long long)actual->member,                \
                     (unsigned long long)expected->member);                                                            \
    } while (0)

#define SAME_WORDS(member)                                                                                             \
    do {                                                                                                               \
        for (unsigned i = 0; i < sizeof expected->member / sizeof expected->member[0]; i++)                            \
            if (expected->member[i] != actual->member[i])                                                              \
                fail_msg("state: %s[%u] is %#x, expected %#x", #member, i, actual->member[i], expected->member[i]);    \
    } while (0)

void assert_same_state(const struct vlapic_cpu_state *expected, const struct vlapic_cpu_state *actual)
{
    SAME(size);
    SAME(apic_id);
    SAME(apic_base);
    SAME(xapic_id);
    SAME(tpr);
    SAME(ldr);
    SAME(dfr);
    SAME(svr);
    SAME(esr);
    SAME(esr_pending);
    SAME(icr);
    SAME_WORDS(lvt);
    SAME_WORDS(lvt_ext);
    SAME_WORDS(isr);
    SAME_WORDS(tmr);
    SAME_WORDS(irr);
    SAME_WORDS(ier);
    SAME(ext_control);
    SAME(initial_count);
    SAME(divide_config);
    SAME(timer_running);
    SAME(timer_remaining);
    SAME(timer_phase);
    SAME(tsc_deadline);
    SAME(time_ns);
    SAME(events);
    SAME(sipi_vector);
}
