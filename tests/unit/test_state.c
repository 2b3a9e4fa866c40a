/* SPDX-License-Identifier: BSD-2-Clause */
/* State in the open: include/vlapic/state.h. What may be in a register: Intel SDM 3A, "Local APIC Register Address Map". */
#include "fake_host.h"
#include "state_helpers.h"

#include <string.h>

static struct fake_vm fake;

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static struct vlapic_cpu *start(enum vlapic_vendor vendor, bool everything)
{
    fake_vm_prepare(&fake, vendor);
    fake.config.max_lvt = everything ? 6 : 5;
    fake.config.ext_space = everything;
    fake.config.tsc_deadline = everything;
    fake.config.eoi_suppression = everything;
    fake_vm_start(&fake, 1, NULL);
    return fake_cpu_at(&fake, 0);
}

static void a_state_goes_into_a_fresh_vcpu_and_comes_out_the_same(void **state)
{
    struct vlapic_cpu_state saved, loaded;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_AMD, true);

    (void)state;
    for (int x2apic = 0; x2apic < 2; x2apic++) {
        vlapic_cpu_reset(cpu);
        if (x2apic) {
            guest_enable_x2apic(cpu);
        }
        busy_state(&fake);
        state_read(cpu, &saved);
        vlapic_cpu_reset(cpu);
        assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
        state_read(cpu, &loaded);
        assert_same_state(&saved, &loaded);
    }
}

static void a_load_sends_nothing(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    busy_state(&fake);
    state_read(cpu, &saved);
    fake_forget(&fake);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_int_equal(
        fake_count(&fake, FAKE_KICK) + fake_count(&fake, FAKE_EOI_BROADCAST) + fake_count(&fake, FAKE_EOI_NOTIFY), 0);
}

static void what_was_posted_but_not_polled_is_in_the_state(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    guest_software_enable(cpu);
    vlapic_cpu_post(cpu, 0x85, true);
    state_read(cpu, &saved);
    assert_int_equal(saved.irr[4], 1u << 5);
    assert_int_equal(saved.tmr[4], 1u << 5);
}

static void latched_events_and_pins_survive(void **state)
{
    static const uint32_t ids[] = { 0, 1 };
    struct vlapic_cpu_state saved, loaded;
    struct vlapic_poll duty;
    struct vlapic_cpu *bsp, *ap;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 2, ids);
    bsp = fake_cpu_at(&fake, 0);
    ap = fake_cpu_at(&fake, 1);
    guest_icr(bsp, 1u << 24, 0x400); /* NMI */
    guest_icr(bsp, 1u << 24, 0x200); /* SMI */
    guest_icr(bsp, 1u << 24, 0x69A); /* SIPI */
    guest_software_enable(ap);
    vlapic_vm_msi(fake.vm, 0xFEE01000, 0x700, NULL); /* ExtINT */
    vlapic_cpu_lint(ap, 0, true);
    vlapic_cpu_lint(ap, 1, true);
    state_read(ap, &saved);
    assert_int_equal(saved.events, VLAPIC_EVENT_NMI | VLAPIC_EVENT_SMI | VLAPIC_EVENT_EXTINT | VLAPIC_EVENT_SIPI |
                                       VLAPIC_EVENT_WAIT_FOR_SIPI | VLAPIC_EVENT_LINE0 | VLAPIC_EVENT_LINE1);
    vlapic_cpu_lint(ap, 0, false);
    vlapic_cpu_lint(ap, 1, false);
    vlapic_cpu_reset(ap);
    assert_int_equal(vlapic_cpu_set_state(ap, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    state_read(ap, &loaded);
    assert_same_state(&saved, &loaded);
    vlapic_cpu_poll(ap, &duty);
    assert_true(duty.sipi && duty.nmi && duty.smi && duty.extint_message);
    assert_int_equal(duty.sipi_vector, 0x9A);
    assert_false(duty.wait_for_sipi);
}

/* A poll hands an INIT over, but until it is taken it is still to be done. */
static void an_init_that_was_not_taken_is_reported_again_after_a_load(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_poll duty;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    guest_icr(cpu, 0, 0x500);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
    state_read(cpu, &saved);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
}

static void an_init_that_was_reported_is_forgotten_by_a_load_without_it(void **state)
{
    struct vlapic_cpu_state saved, loaded;
    struct vlapic_poll duty;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    state_read(cpu, &saved);
    guest_icr(cpu, 0, 0x500);
    vlapic_cpu_poll(cpu, &duty);
    assert_true(duty.init);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    state_read(cpu, &loaded);
    assert_same_state(&saved, &loaded);
}

static void run_timer(struct vlapic_cpu *cpu)
{
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    guest_write(cpu, VLAPIC_REG_LVT_TIMER, VLAPIC_LVT_TIMER_PERIODIC | 0x40);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
}

static void with_the_clock_stopped_the_timer_goes_on_where_it_was(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    run_timer(cpu);
    fake_advance_ns(&fake, 300);
    state_read(cpu, &saved);
    fake_set_ns(&fake, fake.now_ns + 123456);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 700);
    fake_advance_ns(&fake, 700);
    assert_int_equal(take_vector(cpu), 0x40);
}

static void with_the_clock_running_the_time_between_is_taken_off(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    run_timer(cpu);
    fake_advance_ns(&fake, 300);
    state_read(cpu, &saved);
    fake_set_ns(&fake, fake.now_ns + 3100);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_RAN, NULL), VLAPIC_OK);
    assert_int_equal(take_vector(cpu), 0x40); /* one, for the periods in between */
    guest_eoi(cpu);
    assert_int_equal(take_vector(cpu), -1);
    assert_int_equal(guest_read(cpu, VLAPIC_REG_CURRENT_COUNT), 600);
}

static uint64_t ticking_clock(void *cookie)
{
    struct fake_cpu *c = cookie;

    c->owner->now_ns += 7;
    return c->owner->now_ns;
}

/* time_ns is the moment at which that much was left, though every look at the clock takes time. */
static void time_and_remaining_count_belong_together(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.ops.now_ns = ticking_clock;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    run_timer(cpu);
    for (int i = 0; i < 3; i++) {
        state_read(cpu, &saved);
        assert_true(saved.timer_remaining < 1000);
        assert_int_equal(saved.time_ns + saved.timer_remaining, fake_last(&fake, FAKE_ARM_NS)->a);
    }
}

/* Each row spoils one member of a good state. */
struct spoil {
    const char *field;
    enum vlapic_status status;
    void (*spoil)(struct vlapic_cpu_state *s);
};

#define SPOIL(name, code)                                                                                              \
    static void name(struct vlapic_cpu_state *s)                                                                       \
    {                                                                                                                  \
        code;                                                                                                          \
    }

SPOIL(other_id, s->apic_id = 1)
SPOIL(base_reserved, s->apic_base |= 1)
SPOIL(base_bit_9, s->apic_base |= 1u << 9)
SPOIL(base_too_wide, s->apic_base |= 1ull << 52)
SPOIL(base_invalid_mode, s->apic_base = (s->apic_base & ~VLAPIC_BASE_EN) | VLAPIC_BASE_EXTD)
SPOIL(wide_xapic_id, s->xapic_id = 0x100)
SPOIL(other_xapic_id, s->xapic_id = 7)
SPOIL(wide_tpr, s->tpr = 0x100)
SPOIL(low_ldr, s->ldr |= 1)
SPOIL(dfr_without_ones, s->dfr &= ~1u)
SPOIL(svr_reserved, s->svr |= 1u << 10)
SPOIL(svr_suppress, s->svr |= 1u << 12)
SPOIL(wide_esr, s->esr = 0x100)
SPOIL(wide_pending, s->esr_pending = 0x100)
SPOIL(icr_reserved, s->icr |= 1u << 13)
SPOIL(icr_status, s->icr |= 1u << 12)
SPOIL(icr_high, s->icr |= 1ull << 32)
SPOIL(lvt_reserved, s->lvt[VLAPIC_LVT_ERROR] |= 0x700)
SPOIL(lvt_status, s->lvt[VLAPIC_LVT_THERMAL] |= 1u << 12)
SPOIL(lvt_deadline, s->lvt[VLAPIC_LVT_TIMER] |= 1u << 18)
SPOIL(lint1_remote_irr, s->lvt[VLAPIC_LVT_LINT1] |= 1u << 14)
SPOIL(lint0_edge_remote_irr, s->lvt[VLAPIC_LVT_LINT0] = 0x4040)
SPOIL(lint0_nmi_remote_irr, s->lvt[VLAPIC_LVT_LINT0] = 0xC440)
SPOIL(unmasked_while_disabled, s->svr &= ~VLAPIC_SVR_ENABLE; s->lvt[VLAPIC_LVT_PERF] = 0x40)
SPOIL(absent_cmci, s->lvt[VLAPIC_LVT_CMCI] = 0x40)
SPOIL(absent_extended, s->lvt_ext[0] = 0x40)
SPOIL(low_isr, s->isr[0] = 1)
SPOIL(low_tmr, s->tmr[0] = 0x8000)
SPOIL(low_irr, s->irr[0] = 0x8000)
SPOIL(pending_while_disabled, s->apic_base &= ~VLAPIC_BASE_EN; memset(s->isr, 0, 32); memset(s->tmr, 0, 32);
      s->irr[5] = 4)
SPOIL(absent_ier, s->ier[3] = 0)
SPOIL(absent_first_ier, s->ier[0] = 0)
SPOIL(absent_last_ier, s->ier[7] = 0x7FFFFFFF)
SPOIL(disabled, s->apic_base &= ~VLAPIC_BASE_EN; memset(s->isr, 0, 32); memset(s->tmr, 0, 32); memset(s->irr, 0, 32))
SPOIL(first_while_disabled, disabled(s); s->irr[0] = 0x10000)
SPOIL(last_while_disabled, disabled(s); s->irr[7] = 1u << 31)
SPOIL(served_while_disabled, disabled(s); s->isr[0] = 0x10000)
SPOIL(level_while_disabled, disabled(s); s->tmr[7] = 1)
SPOIL(absent_control, s->ext_control = 1)
SPOIL(divide_bit_2, s->divide_config = 4)
SPOIL(running_two, s->timer_running = 2)
SPOIL(running_without_count, s->initial_count = 0)
SPOIL(remaining_zero, s->timer_remaining = 0)
SPOIL(remaining_too_long, s->timer_remaining = ((uint64_t)s->initial_count << 7) + 1)
SPOIL(remaining_while_stopped, s->timer_running = 0)
SPOIL(phase_too_long, s->timer_phase = 1000000000)
SPOIL(stopped, s->timer_running = 0; s->timer_remaining = 0; s->timer_phase = 0)
SPOIL(phase_while_stopped, stopped(s); s->timer_phase = 1)
SPOIL(count_while_disabled, disabled(s); stopped(s); s->initial_count = 5)
SPOIL(deadline_elsewhere, s->tsc_deadline = 5)
SPOIL(unknown_event, s->events |= 1u << 8)
SPOIL(vector_without_sipi, s->sipi_vector = 1)
SPOIL(wide_sipi_vector, s->events |= VLAPIC_EVENT_SIPI; s->sipi_vector = 0x100)

static const struct spoil spoils[] = {
    { "apic_id", VLAPIC_MISMATCH, other_id },
    { "apic_base", VLAPIC_BAD_VALUE, base_reserved },
    { "apic_base", VLAPIC_BAD_VALUE, base_bit_9 },
    { "apic_base", VLAPIC_BAD_VALUE, base_too_wide },
    { "apic_base", VLAPIC_BAD_VALUE, base_invalid_mode },
    { "xapic_id", VLAPIC_BAD_VALUE, wide_xapic_id },
    { "xapic_id", VLAPIC_MISMATCH, other_xapic_id },
    { "tpr", VLAPIC_BAD_VALUE, wide_tpr },
    { "ldr", VLAPIC_BAD_VALUE, low_ldr },
    { "dfr", VLAPIC_BAD_VALUE, dfr_without_ones },
    { "svr", VLAPIC_BAD_VALUE, svr_reserved },
    { "svr", VLAPIC_BAD_VALUE, svr_suppress },
    { "esr", VLAPIC_BAD_VALUE, wide_esr },
    { "esr_pending", VLAPIC_BAD_VALUE, wide_pending },
    { "icr", VLAPIC_BAD_VALUE, icr_reserved },
    { "icr", VLAPIC_BAD_VALUE, icr_status },
    { "icr", VLAPIC_BAD_VALUE, icr_high },
    { "lvt", VLAPIC_BAD_VALUE, lvt_reserved },
    { "lvt", VLAPIC_BAD_VALUE, lvt_status },
    { "lvt", VLAPIC_BAD_VALUE, lvt_deadline },
    { "lvt", VLAPIC_BAD_VALUE, lint1_remote_irr },
    { "lvt", VLAPIC_BAD_VALUE, lint0_edge_remote_irr },
    { "lvt", VLAPIC_BAD_VALUE, lint0_nmi_remote_irr },
    { "lvt", VLAPIC_BAD_VALUE, unmasked_while_disabled },
    { "lvt", VLAPIC_MISMATCH, absent_cmci },
    { "lvt_ext", VLAPIC_MISMATCH, absent_extended },
    { "isr", VLAPIC_BAD_VALUE, low_isr },
    { "tmr", VLAPIC_BAD_VALUE, low_tmr },
    { "irr", VLAPIC_BAD_VALUE, low_irr },
    { "irr", VLAPIC_BAD_VALUE, pending_while_disabled },
    { "ier", VLAPIC_MISMATCH, absent_ier },
    { "ier", VLAPIC_MISMATCH, absent_first_ier },
    { "ier", VLAPIC_MISMATCH, absent_last_ier },
    { "irr", VLAPIC_BAD_VALUE, first_while_disabled },
    { "irr", VLAPIC_BAD_VALUE, last_while_disabled },
    { "isr", VLAPIC_BAD_VALUE, served_while_disabled },
    { "tmr", VLAPIC_BAD_VALUE, level_while_disabled },
    { "ext_control", VLAPIC_MISMATCH, absent_control },
    { "divide_config", VLAPIC_BAD_VALUE, divide_bit_2 },
    { "timer_running", VLAPIC_BAD_VALUE, running_two },
    { "timer_running", VLAPIC_BAD_VALUE, running_without_count },
    { "timer_remaining", VLAPIC_BAD_VALUE, remaining_zero },
    { "timer_remaining", VLAPIC_BAD_VALUE, remaining_too_long },
    { "timer_remaining", VLAPIC_BAD_VALUE, remaining_while_stopped },
    { "timer_phase", VLAPIC_BAD_VALUE, phase_too_long },
    { "timer_phase", VLAPIC_BAD_VALUE, phase_while_stopped },
    { "initial_count", VLAPIC_BAD_VALUE, count_while_disabled },
    { "tsc_deadline", VLAPIC_BAD_VALUE, deadline_elsewhere },
    { "events", VLAPIC_BAD_VALUE, unknown_event },
    { "sipi_vector", VLAPIC_BAD_VALUE, vector_without_sipi },
    { "sipi_vector", VLAPIC_BAD_VALUE, wide_sipi_vector },
};

static void each_bad_member_is_named_and_nothing_changes(void **state)
{
    struct vlapic_cpu_state good, bad, after;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    busy_state(&fake);
    state_read(cpu, &good);
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        const char *field = NULL;

        bad = good;
        spoils[i].spoil(&bad);
        assert_int_equal(vlapic_cpu_set_state(cpu, &bad, VLAPIC_TIME_STOPPED, &field), spoils[i].status);
        assert_string_equal(field, spoils[i].field);
        state_read(cpu, &after);
        assert_same_state(&good, &after);
    }
}

/* Deadline and reserved mode have no initial count, and only the first has a deadline. */
static void the_timers_mode_decides_what_it_can_hold(void **state)
{
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, true);

    (void)state;
    for (uint32_t mode = 0; mode < 4; mode++) {
        struct vlapic_cpu_state s;
        const char *field = NULL;

        vlapic_cpu_reset(cpu);
        state_read(cpu, &s);
        s.lvt[VLAPIC_LVT_TIMER] |= mode << VLAPIC_LVT_TIMER_MODE_SHIFT;
        s.initial_count = 5;
        assert_int_equal(vlapic_cpu_set_state(cpu, &s, VLAPIC_TIME_STOPPED, &field),
                         mode < 2 ? VLAPIC_OK : VLAPIC_BAD_VALUE);
        assert_true(mode < 2 || strcmp(field, "initial_count") == 0);
        s.initial_count = 0;
        s.tsc_deadline = UINT64_MAX;
        assert_int_equal(vlapic_cpu_set_state(cpu, &s, VLAPIC_TIME_STOPPED, &field),
                         mode == 2 ? VLAPIC_OK : VLAPIC_BAD_VALUE);
        assert_true(mode == 2 || strcmp(field, "tsc_deadline") == 0);
    }
}

static void x2apic_mode_needs_the_feature_and_has_no_ldr_of_its_own(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu;
    const char *field = NULL;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.x2apic = false;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    state_read(cpu, &saved);
    saved.apic_base |= VLAPIC_BASE_EXTD;
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, &field), VLAPIC_MISMATCH);
    assert_string_equal(field, "apic_base");
    fake_vm_stop(&fake);

    fake_one_x2apic_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    state_read(cpu, &saved);
    saved.ldr = 1u << 24;
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, &field), VLAPIC_BAD_VALUE);
    assert_string_equal(field, "ldr");
}

static void a_load_may_change_the_mode_and_tells_the_host(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu;

    (void)state;
    fake_one_x2apic_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    state_read(cpu, &saved);
    vlapic_cpu_reset(cpu);
    fake_forget(&fake);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_int_equal(fake_last(&fake, FAKE_BASE_CHANGED)->b, saved.apic_base);
    assert_int_equal(guest_rdmsr(cpu, VLAPIC_MSR_OF(VLAPIC_REG_LDR)), 1);
}

/* No APIC gets there by itself: SVR is reset when EN is cleared. */
static void a_disabled_apic_accepts_nothing_even_with_svr_enabled(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);

    (void)state;
    guest_disable_apic(cpu);
    state_read(cpu, &saved);
    saved.svr |= VLAPIC_SVR_ENABLE;
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_false(vlapic_cpu_post(cpu, 0x41, false));
    assert_int_equal(vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .vector = 0x41 }), 0);
    assert_int_equal(poll_vector(cpu), -1);
}

/* Another thread posts at the moment at which the old timer is cancelled: half of the state is the old one then. */
static void cancel_and_post(void *cookie)
{
    struct fake_cpu *c = cookie;

    c->armed_ns = false;
    assert_true(vlapic_cpu_post(c->cpu, 0x55, false));
}

/* docs/CONCURRENCY.md, hand-over 1: whatever became of that vector, the next post of it is seen and kicks. */
static void a_post_in_the_middle_of_a_load_does_not_silence_its_vector(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu *cpu;

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.ops.timer_cancel = cancel_and_post;
    fake_vm_start(&fake, 1, NULL);
    cpu = fake_cpu_at(&fake, 0);
    guest_software_enable(cpu);
    guest_write(cpu, VLAPIC_REG_INITIAL_COUNT, 1000);
    state_read(cpu, &saved);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_true(vlapic_cpu_post(cpu, 0x55, false));
    assert_int_equal(take_vector(cpu), 0x55);
    assert_int_equal(poll_vector(cpu), -1);
}

static void arguments_are_checked(void **state)
{
    struct vlapic_cpu_state saved;
    struct vlapic_cpu_stats stats;
    struct vlapic_cpu *cpu = start(VLAPIC_VENDOR_INTEL, false);
    const char *field = "untouched";

    (void)state;
    assert_int_equal(vlapic_cpu_get_state(NULL, &saved, sizeof(saved)), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_state(cpu, NULL, sizeof(saved)), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_state(cpu, &saved, sizeof(saved) - 1), VLAPIC_BAD_ABI);
    state_read(cpu, &saved);
    assert_int_equal(vlapic_cpu_set_state(NULL, &saved, VLAPIC_TIME_STOPPED, &field), VLAPIC_INVALID);
    assert_null(field);
    assert_int_equal(vlapic_cpu_set_state(cpu, NULL, VLAPIC_TIME_STOPPED, NULL), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, (enum vlapic_time)2, NULL), VLAPIC_INVALID);
    saved.size++;
    assert_int_equal(vlapic_cpu_set_state(cpu, &saved, VLAPIC_TIME_STOPPED, &field), VLAPIC_BAD_ABI);
    assert_string_equal(field, "size");
    assert_int_equal(vlapic_cpu_get_stats(NULL, &stats, sizeof(stats)), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_stats(cpu, NULL, sizeof(stats)), VLAPIC_INVALID);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, 1), VLAPIC_BAD_ABI);
}

static void counters_count(void **state)
{
    struct vlapic_cpu_stats stats;
    struct vlapic_cpu *cpu;
    uint64_t value;
    uint8_t vector;

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    vlapic_cpu_mmio_read(cpu, 2, 4, &value);
    vlapic_cpu_mmio_write(cpu, VLAPIC_REG_TPR, 2, 0);
    guest_wrmsr_faults(cpu, VLAPIC_MSR_APIC_BASE, 1);
    guest_read(cpu, 0x040);
    vlapic_cpu_post(cpu, 0x40, false);
    take_vector(cpu);
    guest_eoi(cpu);
    guest_eoi(cpu);
    vlapic_cpu_acknowledge(cpu, &vector);
    guest_icr(cpu, 0, 0x41);
    guest_icr(cpu, 0, 0x700);
    run_timer(cpu);
    fake_advance_ns(&fake, 1000);
    (void)poll_vector(cpu);
    assert_int_equal(vlapic_cpu_get_stats(cpu, &stats, sizeof(stats)), VLAPIC_OK);
    assert_int_equal(stats.bad_reads, 1);
    assert_int_equal(stats.bad_writes, 1);
    assert_int_equal(stats.faults, 1);
    assert_int_equal(stats.errors, 1);
    assert_int_equal(stats.accepts, 1);
    assert_int_equal(stats.eois, 1);
    assert_int_equal(stats.empty_eois, 1);
    assert_int_equal(stats.spurious, 1);
    assert_int_equal(stats.ipis, 1);
    assert_int_equal(stats.dropped_ipis, 1);
    assert_int_equal(stats.timer_expiries, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_state_goes_into_a_fresh_vcpu_and_comes_out_the_same, stop),
        cmocka_unit_test_teardown(a_load_sends_nothing, stop),
        cmocka_unit_test_teardown(what_was_posted_but_not_polled_is_in_the_state, stop),
        cmocka_unit_test_teardown(latched_events_and_pins_survive, stop),
        cmocka_unit_test_teardown(an_init_that_was_not_taken_is_reported_again_after_a_load, stop),
        cmocka_unit_test_teardown(an_init_that_was_reported_is_forgotten_by_a_load_without_it, stop),
        cmocka_unit_test_teardown(with_the_clock_stopped_the_timer_goes_on_where_it_was, stop),
        cmocka_unit_test_teardown(with_the_clock_running_the_time_between_is_taken_off, stop),
        cmocka_unit_test_teardown(time_and_remaining_count_belong_together, stop),
        cmocka_unit_test_teardown(each_bad_member_is_named_and_nothing_changes, stop),
        cmocka_unit_test_teardown(the_timers_mode_decides_what_it_can_hold, stop),
        cmocka_unit_test_teardown(x2apic_mode_needs_the_feature_and_has_no_ldr_of_its_own, stop),
        cmocka_unit_test_teardown(a_load_may_change_the_mode_and_tells_the_host, stop),
        cmocka_unit_test_teardown(a_disabled_apic_accepts_nothing_even_with_svr_enabled, stop),
        cmocka_unit_test_teardown(a_post_in_the_middle_of_a_load_does_not_silence_its_vector, stop),
        cmocka_unit_test_teardown(arguments_are_checked, stop),
        cmocka_unit_test_teardown(counters_count, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
