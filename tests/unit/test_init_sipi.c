/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT, SIPI, NMI, SMI. Intel SDM 3A, "MP Initialization Protocol", "Local APIC State After an INIT Reset". */
#include "fake_host.h"
#include "state_helpers.h"

#define INIT 0x4500u
#define SIPI(page) (0x4600u | (page))
#define TO(id) ((uint32_t)(id) << 24)

static struct fake_vm fake;
static struct vlapic_cpu *bsp, *ap;
static struct vlapic_poll duty;

static int start(void **state)
{
    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake_vm_start(&fake, 2, NULL);
    bsp = fake_cpu_at(&fake, 0);
    ap = fake_cpu_at(&fake, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_vm_stop(&fake);
    return 0;
}

static void poll(struct vlapic_cpu *cpu)
{
    vlapic_cpu_poll(cpu, &duty);
}

static void the_start_up_protocol_starts_an_ap_once(void **state)
{
    (void)state;
    poll(ap);
    assert_true(duty.wait_for_sipi);
    guest_icr(bsp, TO(1), INIT | 0x8000);
    guest_icr(bsp, TO(1), 0x8500); /* de-assert */
    poll(ap);
    assert_true(duty.init && duty.wait_for_sipi);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(!duty.init && !duty.sipi && duty.wait_for_sipi);
    guest_icr(bsp, TO(1), SIPI(0x9A));
    guest_icr(bsp, TO(1), SIPI(0x12));
    poll(ap);
    assert_true(duty.sipi && !duty.wait_for_sipi);
    assert_int_equal(duty.sipi_vector, 0x9A);
    guest_icr(bsp, TO(1), SIPI(0x12));
    poll(ap);
    assert_false(duty.sipi);
}

static void every_page_is_a_legal_sipi(void **state)
{
    (void)state;
    for (uint32_t page = 0; page < 256; page++) {
        vlapic_cpu_reset(ap);
        guest_icr(bsp, TO(1), SIPI(page));
        poll(ap);
        assert_true(duty.sipi);
        assert_int_equal(duty.sipi_vector, page);
    }
    assert_int_equal(guest_esr(bsp), 0);
}

/* The SIPI may come before the INIT is taken; it counts after it. */
static void a_sipi_behind_a_pending_init_is_kept(void **state)
{
    (void)state;
    guest_icr(bsp, TO(1), INIT);
    guest_icr(bsp, TO(1), SIPI(0x33));
    poll(ap);
    assert_true(duty.init && !duty.sipi);
    poll(ap);
    assert_true(!duty.init && !duty.sipi);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x33);
}

static void an_init_voids_an_older_sipi(void **state)
{
    (void)state;
    guest_icr(bsp, TO(1), SIPI(0x33));
    guest_icr(bsp, TO(1), INIT);
    poll(ap);
    assert_true(duty.init && !duty.sipi);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(!duty.sipi && duty.wait_for_sipi);
    /* Nothing of its page is left for the next one. */
    guest_icr(bsp, TO(1), SIPI(0xAA));
    guest_icr(bsp, TO(1), INIT);
    guest_icr(bsp, TO(1), SIPI(0x55));
    poll(ap);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x55);
    guest_icr(bsp, TO(1), INIT);
    poll(ap);
    vlapic_cpu_take_init(ap);
    /* The same when the owner has seen the SIPI's mailbox in between. */
    guest_icr(bsp, TO(1), SIPI(0x44));
    assert_int_equal(guest_read(ap, VLAPIC_REG_TPR), 0);
    guest_icr(bsp, TO(1), INIT);
    guest_icr(bsp, TO(1), SIPI(0x55));
    poll(ap);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(duty.sipi);
    assert_int_equal(duty.sipi_vector, 0x55);
}

/* Intel SDM 3A, "Local Vector Table": delivery mode INIT. */
static void an_init_by_pin_voids_an_older_sipi_too(void **state)
{
    struct vlapic_cpu_state seen;

    (void)state;
    guest_software_enable(ap);
    guest_write(ap, VLAPIC_REG_LVT_LINT1, 0x500);
    guest_icr(bsp, TO(1), SIPI(0x9A));
    state_read(ap, &seen); /* latched, not reported */
    assert_int_equal(seen.events, VLAPIC_EVENT_SIPI | VLAPIC_EVENT_WAIT_FOR_SIPI);
    vlapic_cpu_lint(ap, 1, true);
    poll(ap);
    assert_true(duty.init && !duty.sipi && duty.wait_for_sipi);
    vlapic_cpu_take_init(ap);
    poll(ap);
    assert_true(!duty.init && !duty.sipi && duty.wait_for_sipi);
}

static void a_sipi_to_a_running_cpu_is_lost(void **state)
{
    (void)state;
    guest_icr(bsp, TO(0), SIPI(0x33));
    poll(bsp);
    assert_false(duty.sipi);
    guest_icr(bsp, TO(0), INIT);
    poll(bsp);
    vlapic_cpu_take_init(bsp);
    poll(bsp);
    assert_true(!duty.sipi && !duty.wait_for_sipi); /* a BSP starts at once */
}

/* IA32_APIC_BASE.BSP decides, not what the vCPU was created as. */
static void the_bsp_bit_decides_who_waits(void **state)
{
    (void)state;
    guest_wrmsr(bsp, VLAPIC_MSR_APIC_BASE, guest_rdmsr(bsp, VLAPIC_MSR_APIC_BASE) & ~VLAPIC_BASE_BSP);
    vlapic_cpu_take_init(bsp);
    poll(bsp);
    assert_true(duty.wait_for_sipi);
    vlapic_cpu_reset(bsp);
    poll(bsp);
    assert_false(duty.wait_for_sipi);
    assert_true((guest_rdmsr(bsp, VLAPIC_MSR_APIC_BASE) & VLAPIC_BASE_BSP) != 0);
}

static void two_inits_merge(void **state)
{
    (void)state;
    guest_icr(bsp, TO(1), INIT);
    guest_icr(bsp, TO(1), INIT);
    poll(ap);
    assert_true(duty.init);
    poll(ap);
    assert_false(duty.init);
    guest_icr(bsp, TO(1), INIT);
    poll(ap);
    assert_true(duty.init);
}

/* The reset is applied when the core takes the INIT, and wipes what was accepted in between. */
static void an_init_is_applied_when_it_is_taken(void **state)
{
    (void)state;
    guest_software_enable(bsp);
    guest_icr(bsp, TO(0), INIT);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_SVR), 0x1FF);
    vlapic_cpu_post(bsp, 0x41, true);
    poll(bsp);
    assert_true(duty.init);
    assert_int_equal(duty.vector, 0x41);
    vlapic_cpu_post(bsp, 0x51, false);
    vlapic_cpu_take_init(bsp);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_SVR), 0xFF);
    assert_int_equal(poll_vector(bsp), -1);
    assert_false(guest_bit(bsp, VLAPIC_REG_IRR, 0x51));
    assert_false(guest_bit(bsp, VLAPIC_REG_TMR, 0x41));
}

static void nmi_and_smi_wait_while_the_cpu_waits_for_sipi(void **state)
{
    (void)state;
    guest_icr(bsp, TO(1), 0x400);
    guest_icr(bsp, TO(1), 0x200);
    poll(ap);
    assert_true(!duty.nmi && !duty.smi);
    guest_icr(bsp, TO(1), SIPI(1));
    poll(ap);
    assert_true(duty.sipi && duty.nmi && duty.smi);
    poll(ap);
    assert_true(!duty.sipi && !duty.nmi && !duty.smi);
}

static void an_event_is_reported_once_for_each_collection(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        guest_icr(bsp, TO(0), 0x400);
        guest_icr(bsp, TO(0), 0x400);
        guest_icr(bsp, TO(0), 0x200);
        poll(bsp);
        assert_true(duty.nmi && duty.smi);
        poll(bsp);
        assert_true(!duty.nmi && !duty.smi);
    }
}

static void a_waiting_cpu_is_offered_no_vector(void **state)
{
    (void)state;
    guest_software_enable(ap);
    vlapic_cpu_lint(ap, 0, true);
    guest_write(ap, VLAPIC_REG_LVT_LINT0, 0x700);
    vlapic_cpu_post(ap, 0x41, false);
    poll(ap);
    assert_true(duty.wait_for_sipi && !duty.extint);
    assert_int_equal(duty.vector, -1);
}

static void a_dropped_init_changes_nothing_and_voids_the_sipi_behind_it(void **state)
{
    (void)state;
    guest_software_enable(bsp);
    guest_icr(bsp, TO(0), INIT);
    guest_icr(bsp, TO(0), SIPI(3));
    poll(bsp);
    assert_true(duty.init && !duty.sipi);
    vlapic_cpu_drop_init(bsp);
    assert_int_equal(guest_read(bsp, VLAPIC_REG_SVR), 0x1FF);
    poll(bsp);
    assert_true(!duty.init && !duty.sipi);
    /* A vCPU that the INIT would have stopped does not start at the stale page later. */
    guest_wrmsr(bsp, VLAPIC_MSR_APIC_BASE, 0xFEE00800);
    guest_icr(bsp, TO(0), INIT);
    poll(bsp);
    vlapic_cpu_take_init(bsp);
    poll(bsp);
    assert_true(duty.wait_for_sipi && !duty.sipi);
}

static void an_init_behind_a_dropped_one_keeps_its_sipi(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    guest_icr(bsp, TO(0), INIT);
    poll(bsp);
    guest_icr(bsp, TO(0), INIT);
    guest_icr(bsp, TO(0), SIPI(4));
    vlapic_cpu_drop_init(bsp);
    assert_int_equal(vlapic_cpu_get_state(bsp, &saved, sizeof(saved)), VLAPIC_OK);
    assert_int_equal(saved.events & (VLAPIC_EVENT_INIT | VLAPIC_EVENT_SIPI), VLAPIC_EVENT_INIT | VLAPIC_EVENT_SIPI);
    assert_int_equal(saved.sipi_vector, 4);
    poll(bsp);
    assert_true(duty.init);
    vlapic_cpu_drop_init(bsp);
    assert_int_equal(vlapic_cpu_get_state(bsp, &saved, sizeof(saved)), VLAPIC_OK);
    assert_int_equal(saved.events & (VLAPIC_EVENT_INIT | VLAPIC_EVENT_SIPI), 0);
}

static void dropping_an_init_that_was_not_reported_keeps_it(void **state)
{
    (void)state;
    guest_icr(bsp, TO(0), INIT);
    vlapic_cpu_drop_init(bsp);
    poll(bsp);
    assert_true(duty.init);
}

static void reset_forgets_every_event(void **state)
{
    (void)state;
    guest_icr(bsp, TO(0), 0x400);
    guest_icr(bsp, TO(0), INIT);
    poll(bsp);
    guest_icr(bsp, TO(0), 0x200);
    vlapic_cpu_reset(bsp);
    poll(bsp);
    assert_true(!duty.nmi && !duty.smi && !duty.init);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_start_up_protocol_starts_an_ap_once),
        TEST(every_page_is_a_legal_sipi),
        TEST(a_sipi_behind_a_pending_init_is_kept),
        TEST(an_init_voids_an_older_sipi),
        TEST(an_init_by_pin_voids_an_older_sipi_too),
        TEST(a_sipi_to_a_running_cpu_is_lost),
        TEST(the_bsp_bit_decides_who_waits),
        TEST(two_inits_merge),
        TEST(an_init_is_applied_when_it_is_taken),
        TEST(nmi_and_smi_wait_while_the_cpu_waits_for_sipi),
        TEST(an_event_is_reported_once_for_each_collection),
        TEST(a_waiting_cpu_is_offered_no_vector),
        TEST(a_dropped_init_changes_nothing_and_voids_the_sipi_behind_it),
        TEST(an_init_behind_a_dropped_one_keeps_its_sipi),
        TEST(dropping_an_init_that_was_not_reported_keeps_it),
        TEST(reset_forgets_every_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
