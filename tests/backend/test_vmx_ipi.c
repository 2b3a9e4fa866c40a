/* SPDX-License-Identifier: BSD-2-Clause */
/* IPI virtualization: which entries of the PID-pointer table are valid when. */
#include "vmx_rig.h"

#include "levels.h"

#define FEATURES (LEVEL_IPI | VLAPIC_VMX_X2APIC)

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

/* Fails unless exactly the vCPUs of this set have their entries: reference 11, bit 0 valid, then the descriptor's address. */
static void assert_table(unsigned cpus)
{
    uint64_t expected[RIG_PID_ENTRIES] = { 0 };

    for (unsigned i = 0; i < rig.count; i++) {
        if (cpus >> i & 1)
            expected[i] = (uint64_t)(uintptr_t)rig.cpu[i].descriptor | 1;
    }
    for (unsigned i = 0; i < RIG_PID_ENTRIES; i++) {
        if (rig.pid_table[i] != expected[i])
            fail_msg("entry %u is %llx", i, (unsigned long long)rig.pid_table[i]);
    }
}

static struct rig_cpu *start(uint32_t features, bool x2apic)
{
    rig_clean(&rig);
    rig_prepare(&rig, features);
    rig_start(&rig, 2, x2apic);
    return &rig.cpu[0];
}

static void an_entry_is_valid_while_its_apic_accepts_fixed_interrupts(void **state)
{
    /* Reference 11: "Hardware does not look at the target's SVR, APIC mode or activity. Clear the entry's valid bit ..." */
    (void)state;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct rig_cpu *c = start(FEATURES, x2apic);

        assert_table(3);
        guest_set(c->cpu, VLAPIC_REG_SVR, 0xFF);
        assert_table(2);
        guest_set(c->cpu, VLAPIC_REG_SVR, 0x1FF);
        assert_table(3);
        guest_disable_apic(c->cpu);
        assert_table(2);
        guest_enable_xapic(c->cpu); /* enabling does not set SVR bit 8 */
        assert_table(2);
        guest_software_enable(c->cpu);
        assert_table(3);
        vlapic_cpu_reset(c->cpu);
        assert_table(2);
        guest_software_enable(c->cpu);
        assert_table(3);
        vlapic_cpu_take_init(c->cpu);
        assert_table(2);
    }
}

static void a_restored_state_has_its_entry(void **state)
{
    /* Reference 11 */
    struct rig_cpu *c = start(FEATURES, false);
    struct vlapic_cpu_state s = { .size = sizeof s };

    (void)state;
    assert_int_equal(vlapic_cpu_get_state(c->cpu, &s, sizeof s), VLAPIC_OK);
    vlapic_cpu_reset(c->cpu);
    assert_table(2);
    assert_int_equal(vlapic_cpu_set_state(c->cpu, &s, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_table(3);
    s.svr = 0xFF;
    for (unsigned i = 0; i < VLAPIC_LVT_COUNT; i++)
        s.lvt[i] |= VLAPIC_LVT_MASKED;
    assert_int_equal(vlapic_cpu_set_state(c->cpu, &s, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    assert_table(2);
}

static void a_vcpu_that_goes_takes_its_entry_along(void **state)
{
    /* Reference 11: "vCPU being torn down" */
    (void)state;
    (void)start(FEATURES, true);
    assert_table(3);
    rig_stop(&rig);
    for (unsigned i = 0; i < RIG_PID_ENTRIES; i++)
        assert_int_equal(rig.pid_table[i], 0);
}

static void a_vcpu_off_the_bus_has_no_entry(void **state)
{
    /* cpu.h, vlapic_cpu_detach(): no message finds it; nor may one that a processor sends */
    struct rig_cpu *c = start(FEATURES, true);

    (void)state;
    vlapic_cpu_detach(c->cpu);
    assert_table(2);
    assert_int_equal(vlapic_cpu_attach(c->cpu), VLAPIC_OK);
    assert_table(3);
}

static void without_ipi_virtualization_the_table_is_left_alone(void **state)
{
    /* vmx.h */
    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED | VLAPIC_VMX_X2APIC);
    memset(rig.pid_table, 0xA5, sizeof rig.pid_table);
    rig_start(&rig, 2, true);
    rig_stop(&rig);
    for (unsigned i = 0; i < RIG_PID_ENTRIES; i++)
        assert_true(rig.pid_table[i] == 0xA5A5A5A5A5A5A5A5ull);
}

static void broadcast_and_ids_beyond_the_table_have_no_entry(void **state)
{
    /* Reference 11: "in xAPIC mode keep the last index < FFh or entry FFh invalid"; at most `entries` */
    static const struct {
        uint32_t apic_id, entries;
        bool has;
    } rows[] = { { 254, 512, true }, { 255, 512, false }, { 256, 512, true }, { 300, 512, true },
                 { 300, 301, true }, { 300, 300, false }, { 8, 8, false },    { 7, 8, true } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t expected = 0;

        rig_clean(&rig);
        rig_prepare(&rig, FEATURES);
        rig.vmx.pid_table_entries = rows[i].entries;
        fake_vm_start(&rig.fake, 1, &rows[i].apic_id);
        guest_software_enable(fake_cpu_at(&rig.fake, 0));
        guest_enable_x2apic(fake_cpu_at(&rig.fake, 0));
        if (rows[i].has)
            expected = vlapic_vmx_descriptor(fake_cpu_at(&rig.fake, 0)) | 1;
        assert_true(rig.pid_table[rows[i].apic_id] == expected);
        rig_stop(&rig);
        assert_int_equal(rig.pid_table[rows[i].apic_id], 0);
    }
}

static void an_8_bit_id_of_two_vcpus_means_both(void **state)
{
    /* lapic.md: in xAPIC mode the ID is the low 8 bits of the wide one; reference 11: hardware would post to one of them alone */
    static const uint32_t ids[] = { 0, 1, 257 };

    (void)state;
    for (unsigned late = 0; late < 2; late++) { /* the wide one comes before, and after the other */
        struct rig_cpu *c = &rig.cpu[0];
        struct apicv_result r;

        rig_clean(&rig);
        rig_prepare(&rig, FEATURES);
        rig.ids = ids;
        rig_start(&rig, 3, false);
        if (!late) {
            guest_set(rig.cpu[1].cpu, VLAPIC_REG_SVR, 0xFF);
            guest_set(rig.cpu[1].cpu, VLAPIC_REG_SVR, 0x1FF);
        }
        assert_int_equal(rig.pid_table[1] & 1, 0);
        rig_go(c);
        assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0x310, 4, 0x01000000).outcome, APICV_DONE);
        r = apicv_guest_write(&c->core, RIG_APIC + 0x300, 4, 0x4041);
        assert_int_equal(rig_take_reason(c, r, APICV_EXIT_APIC_WRITE), VLAPIC_VMX_RESUME);
        assert_true(rig_posted(&rig.cpu[1], 0x41) && rig_posted(&rig.cpu[2], 0x41));
    }
}

static void no_wide_id_takes_an_entry_that_only_looks_alike(void **state)
{
    /* As above: in x2APIC mode, while software-disabled or off the bus it answers to no 8 bits */
    static const uint32_t ids[] = { 0, 1, 257 };

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, FEATURES);
    rig.ids = ids;
    fake_vm_start(&rig.fake, 3, ids);
    for (unsigned i = 0; i < 2; i++)
        guest_software_enable(fake_cpu_at(&rig.fake, i));
    assert_true((rig.pid_table[1] & 1) != 0);
    guest_enable_x2apic(fake_cpu_at(&rig.fake, 2));
    guest_software_enable(fake_cpu_at(&rig.fake, 2));
    assert_true((rig.pid_table[1] & 1) != 0);
    assert_true((rig.pid_table[257] & 1) != 0);
}

static void the_status_bit_does_not_lose_an_ipi(void **state)
{
    /* Reference 9.2: the processor lets bit 12 pass, whatever vendor the guest sees */
    struct rig_cpu *c = &rig.cpu[0];
    struct apicv_result r;

    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, FEATURES);
    rig.fake.config.vendor = VLAPIC_VENDOR_AMD;
    rig_start(&rig, 2, true);
    rig_go(c);
    r = apicv_guest_wrmsr(&c->core, 0x830, 1ull << 32 | 0x1041);
    if (r.outcome == APICV_EXIT)
        assert_int_equal(rig_take_reason(c, r, APICV_EXIT_APIC_WRITE), VLAPIC_VMX_RESUME);
    assert_true(rig_posted(&rig.cpu[1], 0x41));
}

static void an_inhibited_target_still_gets_what_processors_post(void **state)
{
    /* Reference 10 and 15: its descriptor is processed by software then */
    struct rig_cpu *c = start(FEATURES, true), *to = &rig.cpu[1];

    (void)state;
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_go(to);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    rig_go(c);
    assert_int_equal(apicv_guest_wrmsr(&c->core, 0x830, 0x100004061ull).outcome, APICV_DONE);
    assert_true(rig_posted(to, 0x61) && rig_on(to));
    (void)rig_take_reason(to, apicv_boundary(&to->core), APICV_EXIT_EXTERNAL_INTERRUPT);
    rig_enter_open(to);
    assert_int_equal(rig_get(to, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

static void a_target_that_sleeps_or_is_away_gets_it_later(void **state)
{
    /* Reference 16 and 18.6: "Blocked/preempted protocol ... becomes mandatory" */
    struct rig_cpu *c = start(FEATURES, true), *to = &rig.cpu[1];

    (void)state;
    assert_true(vlapic_cpu_halt(to->cpu));
    rig_go(c);
    assert_int_equal(apicv_guest_wrmsr(&c->core, 0x830, 0x100004061ull).outcome, APICV_DONE);
    assert_int_equal(apicv_host_takes_interrupt(&to->core), RIG_WAKEUP);
    assert_true(vlapic_vmx_is_outstanding(to->cpu));
    vlapic_cpu_exit(to->cpu);
    rig_enter_open(to);
    assert_int_equal(rig_get(to, APICV_GUEST_INTERRUPT_STATUS), 0x61);
    rig_exit_plain(to);
    rig_put(to);
    assert_int_equal(apicv_guest_wrmsr(&c->core, 0x830, 0x100004071ull).outcome, APICV_DONE);
    assert_int_equal(apicv_host_takes_interrupt(&to->core), -1);
    assert_false(rig_on(to));
    rig_load(to, 17);
    rig_enter_open(to);
    assert_int_equal(rig_get(to, APICV_GUEST_INTERRUPT_STATUS), 0x71);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_is_valid_while_its_apic_accepts_fixed_interrupts),
        TEST(a_restored_state_has_its_entry),
        TEST(a_vcpu_that_goes_takes_its_entry_along),
        TEST(a_vcpu_off_the_bus_has_no_entry),
        TEST(without_ipi_virtualization_the_table_is_left_alone),
        TEST(broadcast_and_ids_beyond_the_table_have_no_entry),
        TEST(an_8_bit_id_of_two_vcpus_means_both),
        TEST(no_wide_id_takes_an_entry_that_only_looks_alike),
        TEST(the_status_bit_does_not_lose_an_ipi),
        TEST(an_inhibited_target_still_gets_what_processors_post),
        TEST(a_target_that_sleeps_or_is_away_gets_it_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
