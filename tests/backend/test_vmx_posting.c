/* SPDX-License-Identifier: BSD-2-Clause */
/* Posting by way of the descriptor: what a post does in each state of its vCPU, and what the owner makes of NV, NDST and SN. */
#include "vmx_rig.h"

#include "levels.h"

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct rig_cpu *start(uint32_t features)
{
    return rig_one(&rig, features, false);
}

static void post(struct rig_cpu *c, uint8_t vector, bool level)
{
    assert_true(vlapic_cpu_post(c->cpu, vector, level));
}

static unsigned kicks(void)
{
    return fake_count(&rig.fake, FAKE_KICK);
}

static unsigned notifications(const struct rig_cpu *c)
{
    unsigned count = 0;

    for (unsigned i = 0; i < c->calls; i++)
        count += c->call[i].kind == RIG_NOTIFY;
    return count;
}

/* ---- what a post does ---- */

static void a_post_to_a_vcpu_in_the_host_waits_in_the_descriptor(void **state)
{
    /* Reference 15, steps 2 to 5, then b and c */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    post(c, 0x61, false);
    assert_true(rig_posted(c, 0x61) && rig_on(c));
    assert_true(vlapic_vmx_is_outstanding(c->cpu));
    assert_int_equal(kicks() + c->calls, 0);
    rig_enter_open(c);
    assert_false(rig_posted(c, 0x61) || rig_on(c));
    assert_false(vlapic_vmx_is_outstanding(c->cpu));
    assert_true(rig_page_has(c, APICV_VIRR, 0x61));
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

static void a_post_into_the_guest_notifies_after_pir_and_on_are_set(void **state)
{
    /* Reference 15: PIR, ON, then the notification NV to NDST */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    post(c, 0x61, false);
    assert_int_equal(kicks(), 0);
    assert_int_equal(c->calls, 1);
    assert_int_equal(c->call[0].kind, RIG_NOTIFY);
    assert_int_equal(c->call[0].apic_id, 16);
    assert_int_equal(c->call[0].vector, RIG_NOTIFICATION);
    assert_int_equal(c->call[0].seen.pir[1], 1ull << 33);
    assert_int_equal(c->call[0].seen.control & APICV_DESCRIPTOR_ON, APICV_DESCRIPTOR_ON);
}

static void hardware_that_looks_at_the_notification_finds_the_vector(void **state)
{
    /* Reference 10 and 15: posted-interrupt processing at the moment of the IPI */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct apicv_result r;

    (void)state;
    rig_go(c);
    post(c, 0x61, false);
    r = apicv_boundary(&c->core);
    assert_true(r.delivered && r.vector == 0x61);
    assert_int_equal(r.posted, 1);
    assert_false(rig_on(c) || rig_posted(c, 0x61));
    rig_kick_out(c);
    assert_int_equal(kicks(), 0);
    assert_true(rig_page_has(c, APICV_VISR, 0x61));
}

static void one_notification_is_enough_until_somebody_looks(void **state)
{
    /* Reference 15, steps 2 and 3 */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    post(c, 0x61, false);
    post(c, 0x61, false); /* pending already */
    post(c, 0x71, false); /* ON is set already */
    assert_int_equal(notifications(c), 1);
    assert_int_equal(kicks(), 0);
    assert_true(rig_posted(c, 0x61) && rig_posted(c, 0x71));
    c->descriptor->pir[1] = 0; /* hardware looks */
    c->descriptor->control &= ~APICV_DESCRIPTOR_ON;
    post(c, 0x61, false);
    assert_int_equal(notifications(c), 2);
}

static void without_posted_interrupts_a_vcpu_in_the_guest_is_kicked(void **state)
{
    /* Reference 15, last paragraph: the same descriptor in software */
    static const uint32_t levels[] = { 0, LEVEL_SHADOW, LEVEL_REGISTERS, LEVEL_DELIVERY };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct rig_cpu *c = start(levels[i]);

        rig_enter_open(c);
        post(c, 0x61, false);
        assert_int_equal(kicks(), 1);
        assert_int_equal(c->calls, 0);
        assert_true(rig_posted(c, 0x61) && rig_on(c));
        rig_exit_plain(c);
        rig_enter_open(c);
        if (levels[i] == LEVEL_DELIVERY)
            assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
        else
            assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000061);
    }
}

static void an_inhibited_vcpu_is_kicked(void **state)
{
    /* Reference 15, 17; the processor does not process the descriptor */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_enter_open(c);
    post(c, 0x61, false);
    assert_int_equal(kicks(), 1);
    assert_int_equal(notifications(c), 0);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    rig_enter_open(c);
    rig_forget(c);
    post(c, 0x62, false);
    assert_int_equal(kicks(), 0);
    assert_int_equal(notifications(c), 1);
    rig_exit_plain(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_enter_open(c);
    rig_forget(c);
    fake_forget(&rig.fake);
    post(c, 0x63, false);
    assert_int_equal(kicks(), 1);
    assert_int_equal(notifications(c), 0);
}

static void a_change_of_trigger_mode_goes_by_way_of_the_owner(void **state)
{
    /* Reference 15, step 1: the EOI-exit bitmap first, so the vCPU has to leave the guest */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_enter_open(c);
    post(c, 0x61, true);
    assert_int_equal(kicks(), 1);
    assert_int_equal(notifications(c), 0);
    assert_false(rig_posted(c, 0x61));
    rig_exit_plain(c);
    rig_enter_open(c);
    assert_true(rig_eoi_exits(c, 0x61));
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
    rig_forget(c);
    post(c, 0x61, true); /* now the bitmap has it */
    assert_int_equal(kicks(), 0);
    assert_int_equal(notifications(c), 1);
    post(c, 0x61, false);
    assert_int_equal(kicks(), 1);
    rig_exit_plain(c);
    rig_enter_open(c);
    assert_false(rig_eoi_exits(c, 0x61));
}

static void a_reset_drops_what_was_posted(void **state)
{
    /* Reference 17: "clear PIR and ON" */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    post(c, 0x61, false);
    vlapic_cpu_reset(c->cpu);
    assert_false(rig_posted(c, 0x61) || rig_on(c));
    guest_software_enable(c->cpu);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0);
}

static void on_without_a_vector_is_legal(void **state)
{
    /* Reference 15: "ON = 1 with empty PIR is legal (spurious)" */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct vlapic_vmx_guest guest = rig_guest(true);

    (void)state;
    c->descriptor->control |= APICV_DESCRIPTOR_ON;
    assert_false(rig_try(c, &guest));
    assert_true(rig_try(c, &guest));
    assert_false(rig_on(c));
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0);
}

/* ---- NV, NDST, SN ---- */

static void assert_control(const struct rig_cpu *c, uint8_t nv, uint32_t ndst, bool sn)
{
    uint64_t rest = ~(0xFFFFFFFFull << 32 | 0xFFull << 16 | 3);

    assert_int_equal(rig_nv(c), nv);
    assert_int_equal(rig_ndst(c), ndst);
    assert_int_equal(rig_sn(c), sn);
    assert_int_equal(c->descriptor->control & rest, 0); /* reserved: reference 10 */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(c->descriptor->unused[i], 0);
}

static void load_and_put_say_where_the_vcpu_is(void **state)
{
    /* Reference 10 and 16; NDST in the format of the host's APICs */
    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct rig_cpu *c = &rig.cpu[0];

        rig_clean(&rig);
        rig_prepare(&rig, LEVEL_POSTED);
        rig.vmx.host_x2apic = x2apic;
        rig_start(&rig, 1, false);
        assert_control(c, RIG_NOTIFICATION, x2apic ? 16 : 0x1000, false);
        rig_put(c);
        assert_control(c, RIG_NOTIFICATION, x2apic ? 16 : 0x1000, true);
        rig_load(c, x2apic ? 0x12345 : 0xA5);
        assert_control(c, RIG_NOTIFICATION, x2apic ? 0x12345 : 0xA500, false);
        rig_enter_open(c);
        rig_forget(c);
        post(c, 0x61, false);
        assert_int_equal(c->call[0].apic_id, x2apic ? 0x12345 : 0xA5);
        rig_exit_plain(c);
    }
}

static void a_descriptor_that_was_never_loaded_suppresses(void **state)
{
    /* Reference 16: nobody knows a processor to notify */
    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    fake_vm_start(&rig.fake, 1, NULL);
    rig.count = 1;
    assert_true(vlapic_vmx_descriptor(fake_cpu_at(&rig.fake, 0)) != 0);
    assert_int_equal(*(uint64_t *)(uintptr_t)(vlapic_vmx_descriptor(fake_cpu_at(&rig.fake, 0)) + 32), 2);
}

static void load_finds_what_devices_posted_while_sn_was_set(void **state)
{
    /* Reference 15: "after clearing SN the VMM must test PIR itself and set ON if non-empty" */
    (void)state;
    for (unsigned v = 0x10; v < 0x100; v += 0x2F) {
        struct rig_cpu *c = start(LEVEL_POSTED);

        rig_put(c);
        rig_device_posts(c, (uint8_t)v);
        assert_false(rig_on(c));
        rig_load(c, 17);
        assert_true(rig_on(c));
        rig_enter_open(c);
        assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), v);
        assert_int_equal(kicks() + c->calls, 0);
    }
}

static void without_posted_interrupts_the_descriptors_control_is_left_alone(void **state)
{
    /* Nobody but software looks at it: SN stays, ON is the software's */
    struct rig_cpu *c = start(LEVEL_DELIVERY);

    (void)state;
    assert_control(c, 0, 0, true);
    rig_put(c);
    rig_load(c, 17);
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_control(c, 0, 0, true);
    assert_int_equal(c->calls, 0);
    post(c, 0x61, false);
    assert_int_equal(kicks(), 1);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(take_vector(c->cpu), 0x61);
}

/* ---- sleeping ---- */

static void a_sleeping_vcpu_has_the_wakeup_vector(void **state)
{
    /* Reference 16, "vCPU put, blocking in HLT": the list knows it first */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_int_equal(c->calls, 1);
    assert_int_equal(c->call[0].kind, RIG_BLOCKED);
    assert_int_equal(c->call[0].apic_id, 16);
    assert_int_equal(c->call[0].seen.control >> 16 & 0xFF, RIG_NOTIFICATION);
    assert_control(c, RIG_WAKEUP, 16, false);
    rig_put(c);
    assert_control(c, RIG_WAKEUP, 16, false);
    rig_device_posts(c, 0x61);
    assert_true(vlapic_vmx_is_outstanding(c->cpu));
    assert_int_equal(apicv_host_takes_interrupt(&c->core), RIG_WAKEUP);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(c->calls, 2);
    assert_int_equal(c->call[1].kind, RIG_UNBLOCKED);
    assert_int_equal(c->call[1].apic_id, 16);
    rig_load(c, 19);
    assert_control(c, RIG_NOTIFICATION, 19, false);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

static void a_library_post_to_a_sleeping_vcpu_kicks(void **state)
{
    /* Reference 15, step 5: "else: wake/kick T" */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    post(c, 0x61, false);
    assert_int_equal(kicks(), 1);
    assert_int_equal(notifications(c), 0);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(take_vector(c->cpu), 0x61);
}

static void on_forbids_the_sleep(void **state)
{
    /* Reference 16: "then if ON already 1: ... do not block" */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_device_posts(c, 0x61);
    assert_false(vlapic_cpu_halt(c->cpu));
    assert_control(c, RIG_NOTIFICATION, 16, false);
    assert_int_equal(c->calls, 2); /* on the list, and off it */
    assert_int_equal(take_vector(c->cpu), 0x61);
    guest_eoi(c->cpu);
    assert_true(vlapic_cpu_halt(c->cpu));
}

static void what_came_under_sn_forbids_the_sleep_of_a_vcpu_that_is_away(void **state)
{
    /* Reference 15 and 16: blocking clears SN, and PIR without ON is looked for */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_put(c);
    rig_device_posts(c, 0x61);
    assert_false(rig_on(c));
    assert_false(vlapic_cpu_halt(c->cpu));
    assert_int_equal(take_vector(c->cpu), 0x61);
}

static void a_second_halt_is_not_a_second_sleeper(void **state)
{
    /* run.h: "Of several calls of enter and halt the last one counts"; a list would have the vCPU twice */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_int_equal(c->calls, 1);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(c->calls, 2);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(c->calls, 2);
    assert_control(c, RIG_NOTIFICATION, 16, false);
}

static void an_entry_after_a_halt_ends_the_sleep(void **state)
{
    /* run.h: "Of several calls of enter and halt the last one counts" */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    rig_enter_open(c);
    assert_control(c, RIG_NOTIFICATION, 16, false);
    assert_int_equal(c->calls, 2);
    assert_int_equal(c->call[1].kind, RIG_UNBLOCKED);
    rig_exit_plain(c);
    assert_int_equal(c->calls, 2);
}

static void a_sleeper_leaves_the_list_that_it_is_on(void **state)
{
    /* vmx.h, blocked: it moved to another physical CPU before it was told to be awake */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    rig_put(c);
    rig_load(c, 18);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(c->calls, 2);
    assert_int_equal(c->call[1].kind, RIG_UNBLOCKED);
    assert_int_equal(c->call[1].apic_id, 16);
    assert_control(c, RIG_NOTIFICATION, 18, false);
}

static void a_sleeper_that_is_destroyed_leaves_its_list(void **state)
{
    /* vmx.h, blocked */
    struct rig_cpu *c = &rig.cpu[1];

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    rig_start(&rig, 2, false);
    assert_true(vlapic_cpu_halt(c->cpu));
    vlapic_cpu_destroy(c->cpu);
    assert_int_equal(c->calls, 2);
    assert_int_equal(c->call[1].kind, RIG_UNBLOCKED);
    assert_int_equal(c->call[1].apic_id, 17);
}

static void a_sleeper_that_moved_stays_on_the_list_that_it_is_on(void **state)
{
    /* vmx.h, blocked: "It ends with the apic_id that it began with": the wake-up vector goes where the list is */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    rig_put(c);
    rig_load(c, 18);
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_int_equal(c->calls, 1);
    assert_control(c, RIG_WAKEUP, 16, false);
    vlapic_cpu_exit(c->cpu);
    assert_int_equal(c->calls, 2);
    assert_int_equal(c->call[1].kind, RIG_UNBLOCKED);
    assert_int_equal(c->call[1].apic_id, 16);
    assert_control(c, RIG_NOTIFICATION, 18, false);
}

static void an_embedder_without_a_list_is_not_told(void **state)
{
    /* vmx.h, blocked: "NULL: nothing but the library posts" */
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    rig.ops.blocked = NULL;
    rig.vmx.wakeup_vector = 0; /* as the notification vector */
    rig_start(&rig, 1, false);
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_control(c, RIG_NOTIFICATION, 16, false);
    vlapic_cpu_exit(c->cpu);
    assert_control(c, RIG_NOTIFICATION, 16, false);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_post_to_a_vcpu_in_the_host_waits_in_the_descriptor),
        TEST(a_post_into_the_guest_notifies_after_pir_and_on_are_set),
        TEST(hardware_that_looks_at_the_notification_finds_the_vector),
        TEST(one_notification_is_enough_until_somebody_looks),
        TEST(without_posted_interrupts_a_vcpu_in_the_guest_is_kicked),
        TEST(an_inhibited_vcpu_is_kicked),
        TEST(a_change_of_trigger_mode_goes_by_way_of_the_owner),
        TEST(a_reset_drops_what_was_posted),
        TEST(on_without_a_vector_is_legal),
        TEST(load_and_put_say_where_the_vcpu_is),
        TEST(a_descriptor_that_was_never_loaded_suppresses),
        TEST(load_finds_what_devices_posted_while_sn_was_set),
        TEST(without_posted_interrupts_the_descriptors_control_is_left_alone),
        TEST(a_sleeping_vcpu_has_the_wakeup_vector),
        TEST(a_library_post_to_a_sleeping_vcpu_kicks),
        TEST(on_forbids_the_sleep),
        TEST(what_came_under_sn_forbids_the_sleep_of_a_vcpu_that_is_away),
        TEST(a_second_halt_is_not_a_second_sleeper),
        TEST(an_entry_after_a_halt_ends_the_sleep),
        TEST(a_sleeper_leaves_the_list_that_it_is_on),
        TEST(a_sleeper_that_is_destroyed_leaves_its_list),
        TEST(a_sleeper_that_moved_stays_on_the_list_that_it_is_on),
        TEST(an_embedder_without_a_list_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
