/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum on Intel's APIC virtualization: vectors, priorities, EOI-exit bitmap, TPR threshold. Most of it is section C. See museum.h
 * and tests/backend/vmx_rig.h.
 */
#include "museum.h"

#include "levels.h"
#include "vmx_rig.h"

static struct rig rig;

static int stop(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct rig_cpu *start(uint32_t features)
{
    return rig_one(&rig, features, false);
}

static uint64_t entered(struct rig_cpu *c, uint32_t field)
{
    uint64_t value;

    rig_enter_open(c);
    value = rig_get(c, field);
    rig_exit_plain(c);
    return value;
}

static void hardware_eoi(struct rig_cpu *c)
{
    assert_int_equal(apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0).outcome, APICV_DONE);
}

static void hardware_delivers(struct rig_cpu *c, uint8_t vector)
{
    struct apicv_result r;

    (void)apicv_guest_sti(&c->core);
    (void)apicv_guest_nop(&c->core);
    r = apicv_boundary(&c->core);
    assert_true(r.delivered);
    assert_int_equal(r.vector, vector);
}

/* ---- EOI-exit bitmap ---- */

static void museum_069_a_level_vector_is_in_the_eoi_exit_bitmap_before_it_is_pending(void **state)
{
    /* ACRN, bhyve: a vector turned level while its vCPU ran in the guest, and the EOI did not exit. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    rig_go(c);
    assert_true(vlapic_cpu_post(c->cpu, 0x61, true));
    assert_int_equal(fake_count(&rig.fake, FAKE_KICK), 1);
    assert_int_equal(c->calls, 0); /* no notification */
    assert_false(apicv_boundary(&c->core).delivered);
    rig_kick_out(c);
    rig_enter_open(c);
    assert_true(rig_get(c, APICV_EOI_EXIT_BITMAP_1) >> 33 & 1);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    hardware_delivers(c, 0x61);
    assert_int_equal(rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
                     VLAPIC_VMX_RESUME);
    assert_int_equal(fake_last(&rig.fake, FAKE_EOI_BROADCAST)->a, 0x61);
    assert_true(vlapic_cpu_post(c->cpu, 0x61, false));
    assert_int_equal(entered(c, APICV_EOI_EXIT_BITMAP_1), 0);
}

static void museum_071_a_deferred_update_waits_for_its_own_control_block(void **state)
{
    /* KVM: an EOI-exit update was written into the nested control block that happened to be loaded, and forgotten. */
    struct rig_cpu *c = start(LEVEL_POSTED);

    (void)state;
    assert_int_equal(entered(c, APICV_EOI_EXIT_BITMAP_1), 0);
    apicv_vmcs_init(&c->other_vmcs);
    assert_true(apicv_vmptrld(&c->core, &c->other_vmcs));
    rig_forget(c);
    rig_serve(c, 0x61, true);
    rig_serve(c, 0x72, true);
    assert_int_equal(c->writes, 0);
    assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_1), 0);
    guest_eoi(c->cpu); /* emulated meanwhile: the new set counts */
    assert_int_equal(fake_last(&rig.fake, FAKE_EOI_BROADCAST)->a, 0x72);
    assert_true(apicv_vmptrld(&c->core, &c->vmcs));
    assert_int_equal(entered(c, APICV_EOI_EXIT_BITMAP_1) & 1ull << 33, 1ull << 33);
}

static void museum_072_the_eoi_exit_bitmap_depends_on_known_state_alone(void **state)
{
    /* KVM: a bitmap on the stack was filled on one path only. The fake host's memory is rubbish before it is the library's. */
    (void)state;
    for (unsigned watched = 0; watched < 2; watched++) {
        rig_clean(&rig);
        rig_prepare(&rig, LEVEL_POSTED);
        rig.vmx.watch_given = true;
        rig.vmx.watch.word[0] = watched ? 1ull << 0x30 : 0;
        fake_vm_prepare(&rig.fake, VLAPIC_VENDOR_INTEL); /* with eoi_notify */
        rig.fake.config.backend = &vlapic_backend_vmx;
        rig.fake.config.backend_config = &rig.vmx;
        rig_start(&rig, 1, false);
        rig_enter_open(&rig.cpu[0]);
        assert_int_equal(rig_get(&rig.cpu[0], APICV_EOI_EXIT_BITMAP_0), watched ? 1ull << 48 : 0);
        for (uint32_t w = 1; w < 4; w++)
            assert_int_equal(rig_get(&rig.cpu[0], APICV_EOI_EXIT_BITMAP_0 + 2 * w), 0);
    }
}

static unsigned told;

static void hear(void *cpu_cookie, uint8_t vector, bool level)
{
    (void)cpu_cookie;
    assert_int_equal(vector, 0xD1);
    assert_false(level);
    told++;
}

static void museum_122_a_tracked_edge_vector_has_an_eoi_exit(void **state)
{
    /* Xen: hardware delivered the tick, and the host did not learn of it. */
    struct rig_cpu *c = &rig.cpu[0];

    (void)state;
    told = 0;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_POSTED);
    rig.fake.ops.eoi_notify = hear;
    rig.vmx.watch_given = true;
    rig.vmx.watch.word[3] = 1ull << 17;
    rig_start(&rig, 1, false);
    rig_pend(c, 0xD1, false);
    rig_pend(c, 0xE1, false);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_3), 1ull << 17);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    hardware_delivers(c, 0xE1);
    hardware_eoi(c);
    hardware_delivers(c, 0xD1);
    (void)rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI);
    assert_int_equal(told, 1);
    assert_false(rig_page_has(c, VLAPIC_REG_TMR, 0xD1));
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 0);
}

/* ---- TPR threshold ---- */

static void museum_073_the_tpr_threshold_follows_irr_isr_and_tpr(void **state)
{
    /* ACRN: the threshold was computed when a vector was injected, and not again after its EOI. */
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    guest_write(c->cpu, VLAPIC_REG_TPR, 0x40);
    rig_pend(c, 0x51, false);
    rig_pend(c, 0x91, false);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000091);
    assert_int_equal(rig_run(c).vector, 0x91);
    assert_int_equal(apicv_guest_write_cr8(&c->core, 0, 9).outcome, APICV_DONE);
    rig_kick_out(c);
    guest_eoi(c->cpu);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0x90);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 5);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    (void)rig_take_reason(c, apicv_guest_write_cr8(&c->core, 0, 0), APICV_EXIT_TPR_BELOW_THRESHOLD);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000051);
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 0);
}

static void museum_075_each_entry_recomputes_the_tpr_threshold(void **state)
{
    /* Xen, KVM: a threshold from an older TPR made an interrupt late by seconds, or exits without end. */
    struct rig_cpu *c = start(LEVEL_SHADOW);

    (void)state;
    guest_write(c->cpu, VLAPIC_REG_TPR, 0x80);
    assert_int_equal(entered(c, APICV_TPR_THRESHOLD), 0);
    assert_true(vlapic_cpu_post(c->cpu, 0x51, false));
    assert_int_equal(entered(c, APICV_TPR_THRESHOLD), 5);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0); /* by the host, past all exits */
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_ENTRY_INTERRUPTION), 0x80000051);
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 0);

    c = start(LEVEL_SHADOW);
    rig_serve(c, 0x91, false);
    rig_pend(c, 0x51, false);
    assert_int_equal(entered(c, APICV_TPR_THRESHOLD), 0);
}

/* ---- RVI, SVI, and what hardware did ---- */

static void museum_103_the_interrupt_window_is_for_extint_alone(void **state)
{
    /* ACRN: with virtual-interrupt delivery the window was asked for APIC vectors, and not for the 8259's. */
    struct vlapic_vmx_guest closed = rig_guest(false), extint = rig_guest(false);
    struct rig_cpu *c = start(LEVEL_DELIVERY);

    (void)state;
    rig_pend(c, 0x61, false);
    rig_enter(c, &closed);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 4, 0);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x61);
    rig_exit_plain(c);
    extint.extint = true;
    rig_enter(c, &extint);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 4, 4);
    rig_exit_plain(c);
    rig_enter(c, &closed);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 4, 0);

    c = start(LEVEL_REGISTERS);
    rig_pend(c, 0x61, false);
    rig_enter(c, &closed);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 4, 4);
}

static void museum_106_isr_caches_end_when_hardware_owned_the_page(void **state)
{
    /* KVM: the highest vector in service was cached from before activation, and the wrong vector ended. */
    struct rig_cpu *c = start(LEVEL_DELIVERY);

    (void)state;
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_serve(c, 0x41, false);
    rig_pend(c, 0x61, false);
    rig_enter_open(c);
    vlapic_vmx_cancel(c->cpu);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    rig_go(c);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x61);
    hardware_eoi(c);
    hardware_eoi(c); /* of 0x41 */
    rig_kick_out(c);
    rig_pend(c, 0x62, false);
    rig_go(c);
    hardware_delivers(c, 0x62);
    rig_kick_out(c);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    rig_enter_open(c);
    assert_int_equal(c->entry.features & VLAPIC_VMX_DELIVERY, 0);
    rig_exit_plain(c);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0x60);
    guest_eoi(c->cpu);
    museum_only(c->cpu, VLAPIC_REG_ISR, -1, -1);
    guest_eoi(c->cpu);
    assert_int_equal(museum_stats(c->cpu).empty_eois, 1);
}

static void museum_108_taking_a_vector_sets_rvi_and_svi(void **state)
{
    /* Xen, KVM: software took an interrupt without the state behind it, or one that TPR held back. */
    struct rig_cpu *c = start(LEVEL_DELIVERY);
    uint8_t vector = 0;

    (void)state;
    rig_pend(c, 0x71, false);
    rig_pend(c, 0x61, false);
    assert_true(vlapic_cpu_acknowledge(c->cpu, &vector));
    assert_int_equal(vector, 0x71);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x7161);
    assert_int_equal(rig_page(c, VLAPIC_REG_PPR), 0x70);
    assert_int_equal(rig_run(c).outcome, APICV_DONE);
    assert_false(apicv_boundary(&c->core).delivered);
    hardware_eoi(c);
    assert_int_equal(apicv_boundary(&c->core).vector, 0x61);
    rig_kick_out(c);

    c = start(LEVEL_DELIVERY);
    rig_pend(c, 0x71, false);
    rig_pend(c, 0x61, false);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0x80);
    assert_false(vlapic_cpu_acknowledge(c->cpu, &vector));
    assert_int_equal(vector, 0xFF);
    museum_only(c->cpu, VLAPIC_REG_IRR, 0x71, 0x61);
    assert_int_equal(entered(c, APICV_GUEST_INTERRUPT_STATUS), 0x0071);
}

static void museum_110_an_eoi_exit_is_not_a_second_eoi(void **state)
{
    /* KVM: the handler of the EOI-induced exit ended another vector. */
    struct rig_cpu *c = start(LEVEL_DELIVERY);

    (void)state;
    rig_serve(c, 0x41, false);
    rig_serve(c, 0x61, true);
    rig_go(c);
    assert_int_equal(rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0xB0, 4, 0), APICV_EXIT_VIRTUALIZED_EOI),
                     VLAPIC_VMX_RESUME);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    assert_int_equal(fake_last(&rig.fake, FAKE_EOI_BROADCAST)->a, 0x61);
    museum_only(c->cpu, VLAPIC_REG_ISR, 0x41, -1);
    assert_int_equal(entered(c, APICV_GUEST_INTERRUPT_STATUS), 0x4100);
}

static void museum_112_without_vid_eoi_and_self_ipi_exit(void **state)
{
    /* ACRN: the APIC-write exit of 0B0h was not handled. */
    struct rig_cpu *c = start(LEVEL_REGISTERS);

    (void)state;
    rig_serve(c, 0x61, false);
    rig_enter_open(c);
    rig_page_put(c, 0xB0, 0x1234);
    assert_int_equal(rig_exit(c, APICV_EXIT_APIC_WRITE, 0xB0), VLAPIC_VMX_RESUME);
    museum_only(c->cpu, VLAPIC_REG_ISR, -1, -1);
    rig_enter_open(c);
    rig_page_put(c, 0x300, 0x00044061);
    assert_int_equal(rig_exit(c, APICV_EXIT_APIC_WRITE, 0x300), VLAPIC_VMX_RESUME);
    museum_only(c->cpu, VLAPIC_REG_IRR, 0x61, -1);
    assert_int_equal(museum_stats(c->cpu).ipis, 1);

    c = start(LEVEL_ACCESS);
    guest_write(c->cpu, VLAPIC_REG_TPR, 0x80);
    rig_pend(c, 0x51, false);
    rig_go(c);
    assert_int_equal(
        rig_take_reason(c, apicv_guest_write(&c->core, RIG_APIC + 0x80, 4, 0x30), APICV_EXIT_TPR_BELOW_THRESHOLD),
        VLAPIC_VMX_RESUME);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_PPR), 0x30);
    assert_int_equal(poll_vector(c->cpu), 0x51);
}

static void museum_160_svi_follows_a_synthetic_eoi(void **state)
{
    /* Xen: after an EOI that software did for the guest, SVI was stale, and after the first mend zero. */
    struct rig_cpu *c = start(LEVEL_DELIVERY);

    (void)state;
    rig_serve(c, 0x41, false);
    rig_serve(c, 0x61, false);
    assert_int_equal(entered(c, APICV_GUEST_INTERRUPT_STATUS), 0x6100);
    guest_eoi(c->cpu);
    museum_only(c->cpu, VLAPIC_REG_ISR, 0x41, -1);
    assert_int_equal(entered(c, APICV_GUEST_INTERRUPT_STATUS), 0x4100);
    guest_eoi(c->cpu);
    assert_int_equal(entered(c, APICV_GUEST_INTERRUPT_STATUS), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(museum_069_a_level_vector_is_in_the_eoi_exit_bitmap_before_it_is_pending),
        TEST(museum_071_a_deferred_update_waits_for_its_own_control_block),
        TEST(museum_072_the_eoi_exit_bitmap_depends_on_known_state_alone),
        TEST(museum_122_a_tracked_edge_vector_has_an_eoi_exit),
        TEST(museum_073_the_tpr_threshold_follows_irr_isr_and_tpr),
        TEST(museum_075_each_entry_recomputes_the_tpr_threshold),
        TEST(museum_103_the_interrupt_window_is_for_extint_alone),
        TEST(museum_106_isr_caches_end_when_hardware_owned_the_page),
        TEST(museum_108_taking_a_vector_sets_rvi_and_svi),
        TEST(museum_110_an_eoi_exit_is_not_a_second_eoi),
        TEST(museum_112_without_vid_eoi_and_self_ipi_exit),
        TEST(museum_160_svi_follows_a_synthetic_eoi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
