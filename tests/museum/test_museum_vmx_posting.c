/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum on Intel's APIC virtualization: posted interrupts, sleep, save and restore. See museum.h and tests/backend/vmx_rig.h.
 */
#include "museum.h"

#include <vlapic/vtd.h>

#include "levels.h"
#include "museum_threads.h"
#include "vmx_rig.h"

static struct rig rig;
static struct fake_vm soft;

static int stop(void **state)
{
    (void)state;
    rig_clean(&rig);
    museum_stop(&soft);
    return 0;
}

static struct rig_cpu *start(uint32_t features)
{
    return rig_one(&rig, features, false);
}

static void post(struct rig_cpu *c, uint8_t vector)
{
    assert_true(vlapic_cpu_post(c->cpu, vector, false));
}

/* ---- 093: words that several write ---- */

struct poster {
    struct vlapic_cpu *cpu;
    uint8_t vector;
    unsigned done;
};

static unsigned begun;

/* In turn level and edge, so that the EOI-exit set changes with each round. */
static void *post_each_round(void *argument)
{
    struct poster *p = argument;

    for (unsigned round = 1; museum_wait(&begun, round); round++) {
        vlapic_cpu_post(p->cpu, p->vector, round % 2 != 0);
        museum_set(&p->done, round);
    }
    return NULL;
}

static bool take_both(struct rig_cpu *c, struct poster posters[2], unsigned round)
{
    uint64_t both = 6ull << 32; /* 61h and 62h */
    bool good = true;
    uint32_t irr;

    museum_set(&begun, round);
    (void)guest_read(c->cpu, 0x230); /* merges whatever is there by now */
    good &= museum_wait(&posters[0].done, round) && museum_wait(&posters[1].done, round);
    irr = guest_read(c->cpu, 0x230);
    good &= irr == 6;
    rig_enter_open(c);
    good &= rig_get(c, APICV_EOI_EXIT_BITMAP_1) == (round % 2 != 0 ? both : 0);
    rig_exit_plain(c);
    rig_forget(c);
    while (take_vector(c->cpu) >= 0)
        guest_eoi(c->cpu);
    return good;
}

static void museum_093_pir_is_merged_by_atomic_operations(void **state)
{
    /* ACRN, KVM: a word that hardware and other CPUs write was changed by plain read-modify-writes, and bits of it were lost. */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct poster posters[2] = { { c->cpu, 0x61, 0 }, { c->cpu, 0x62, 0 } };
    pthread_t threads[2];
    unsigned round = 0;
    bool good = true;

    (void)state;
    begun = 0;
    museum_loop_begin();
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_each_round, &posters[i]), 0);
    while (good && museum_loop_goes_on(round))
        good = take_both(c, posters, ++round);
    museum_loop_join(threads, 2);
    assert_true(good);
}

/* ---- who is told ---- */

static void museum_096_a_running_vcpu_gets_a_notification(void **state)
{
    /* KVM: a post from the physical CPU that the vCPU had blocked on did not wake it. Posted by the owner's own thread here. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_true(vlapic_cpu_halt(c->cpu));
    post(c, 0x61);
    assert_int_equal(fake_count(&rig.fake, FAKE_KICK), 1);
    vlapic_cpu_exit(c->cpu);
    rig_enter_open(c);
    rig_forget(c);
    post(c, 0x62);
    assert_int_equal(fake_count(&rig.fake, FAKE_KICK), 0);
    assert_int_equal(c->calls, 1);
    assert_int_equal(c->call[0].kind, RIG_NOTIFY);
}

static void museum_100_clearing_sn_looks_for_bits_without_on(void **state)
{
    /* KVM, Xen: what a device posts while SN is set does not set ON, and was overlooked. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_put(c);
    rig_device_posts(c, 0x61);
    post(c, 0x71);
    assert_int_equal(c->calls, 0);
    assert_true(rig_sn(c) && rig_posted(c, 0x61) && rig_posted(c, 0x71));

    c = start(LEVEL_POSTED);
    rig_put(c);
    rig_device_posts(c, 0x61);
    assert_false(rig_on(c));
    rig_load(c, 16);
    assert_true(rig_on(c) && !rig_sn(c));
    rig_enter_open(c);
    assert_true(rig_page_has(c, APICV_VIRR, 0x61));
    assert_false(rig_posted(c, 0x61) || rig_on(c));
}

static void museum_102_a_notification_in_root_mode_leads_to_a_merge(void **state)
{
    /* ACRN: a notification between the exit and the host's interrupt window was left to the hardware and lost. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_go(c);
    rig_kick_out(c);
    rig_device_posts(c, 0x61);
    assert_int_equal(apicv_host_takes_interrupt(&c->core), RIG_NOTIFICATION); /* the host's handler: an EOI, no more */
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
}

static void museum_104_pir_is_merged_without_acceleration_too(void **state)
{
    /* KVM: while acceleration was withdrawn, what devices had posted stayed in PIR. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_go(c);
    rig_device_posts(c, 0x61);
    (void)rig_take_reason(c, apicv_boundary(&c->core), APICV_EXIT_EXTERNAL_INTERRUPT);
    assert_int_equal(rig_get(c, APICV_EXIT_INTERRUPTION) & 0xFF, RIG_NOTIFICATION);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000061);
    assert_false(rig_posted(c, 0x61) || rig_on(c));
}

static void museum_123_only_unicast_vectors_can_be_posted(void **state)
{
    /* KVM: a remapping entry for an NMI, or for several recipients, was programmed as a posted vector. Ours names one descriptor and one
     * legal vector, and no delivery mode; which routes are of that kind is for the embedder to know, whose table it is (vtd.h). */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct vlapic_vtd_irte remapped = { .low = 0x0000000100610001ull | 4u << 5, .high = 0x00040008 }, posted;
    uint64_t descriptor = 0;
    uint8_t vector = 0;

    (void)state;
    assert_int_equal(vlapic_vtd_irte_post(&remapped, vlapic_vmx_descriptor(c->cpu), 0x0F, false, &posted),
                     VLAPIC_INVALID);
    assert_int_equal(vlapic_vtd_irte_post(&remapped, vlapic_vmx_descriptor(c->cpu), 0x61, false, &posted), VLAPIC_OK);
    assert_int_equal(posted.low >> 5 & 7, 0); /* delivery mode of the remapped format: no such field */
    assert_true(vlapic_vtd_irte_is_posted(&posted, &descriptor, &vector));
    assert_int_equal(descriptor, vlapic_vmx_descriptor(c->cpu));
    assert_int_equal(vector, 0x61);
}

/* The physical CPUs' APICs in either mode. */
static void block_and_load(bool host_x2apic)
{
    struct rig_cpu *c = &rig.cpu[0];

    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    rig.vmx.host_x2apic = host_x2apic;
    rig_start(&rig, 1, false);
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_int_equal(rig_nv(c), RIG_WAKEUP);
    assert_true(vlapic_cpu_halt(c->cpu));
    assert_int_equal(c->calls, 1);
    vlapic_cpu_exit(c->cpu);
    rig_device_posts(c, 0x61);
    assert_false(vlapic_cpu_halt(c->cpu)); /* ON */
    rig_put(c);
    rig_load(c, 5);
    assert_int_equal(rig_nv(c), RIG_NOTIFICATION);
    assert_int_equal(rig_ndst(c), host_x2apic ? 5 : 5 << 8);
    assert_false(rig_sn(c));
}

static void museum_124_blocking_switches_the_notification_vector(void **state)
{
    /* KVM: a device's post came just before the notification vector was switched, and woke nobody. */
    (void)state;
    block_and_load(true);
    block_and_load(false);
}

/* ---- save and restore ---- */

/* A soft vCPU that can be given the state of one of the bench. */
static struct vlapic_cpu *start_soft(void)
{
    fake_vm_prepare(&soft, VLAPIC_VENDOR_INTEL);
    soft.config.max_apic_id = 300;
    soft.config.tsc_deadline = true;
    museum_start(&soft, 1, NULL, false);
    return fake_cpu_at(&soft, 0);
}

static void museum_204_a_save_has_the_posted_interrupt_requests(void **state)
{
    /* Xen: the posted-interrupt requests were not folded into the IRR that was saved. */
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct vlapic_cpu *other = start_soft();
    struct museum_blob blob;

    (void)state;
    c->descriptor->pir[1] = 1ull << 33;
    c->descriptor->control |= APICV_DESCRIPTOR_ON;
    museum_save(c->cpu, &blob);
    museum_restore(other, &blob, VLAPIC_TIME_STOPPED);
    assert_int_equal(poll_vector(other), 0x61);
    museum_only(other, VLAPIC_REG_IRR, 0x61, -1);
}

static void museum_206_hardware_fields_are_derived_after_a_restore(void **state)
{
    /* Xen: RVI, SVI and the EOI-exit bitmaps were left as they had been. */
    struct vlapic_cpu *other = start_soft();
    struct rig_cpu *c = start(LEVEL_POSTED);
    struct museum_blob blob;

    (void)state;
    museum_in_service(other, 0x61, true);
    assert_true(vlapic_cpu_post(other, 0x71, false) && vlapic_cpu_post(other, 0x31, false));
    museum_save(other, &blob);
    rig_serve(c, 0xE1, true);
    rig_enter_open(c);
    rig_exit_plain(c);
    museum_restore(c->cpu, &blob, VLAPIC_TIME_STOPPED);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x6171);
    assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_1), 1ull << 33);
    assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_3), 0);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x71);
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0).outcome, APICV_DONE);
    assert_int_equal(rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
                     VLAPIC_VMX_RESUME);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&rig.fake, FAKE_EOI_BROADCAST)->a, 0x61);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_093_pir_is_merged_by_atomic_operations),
        TEST(museum_096_a_running_vcpu_gets_a_notification),
        TEST(museum_100_clearing_sn_looks_for_bits_without_on),
        TEST(museum_102_a_notification_in_root_mode_leads_to_a_merge),
        TEST(museum_104_pir_is_merged_without_acceleration_too),
        TEST(museum_123_only_unicast_vectors_can_be_posted),
        TEST(museum_124_blocking_switches_the_notification_vector),
        TEST(museum_204_a_save_has_the_posted_interrupt_requests),
        TEST(museum_206_hardware_fields_are_derived_after_a_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
