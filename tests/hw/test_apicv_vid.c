/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual-interrupt delivery: evaluation, delivery, PPR and EOI virtualization.
 */
#include "apicv_machine.h"

static struct machine m;

static const struct controls vid = { .pin = 1,
                                     .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
                                     .secondary = 0x301 };

/* In root operation, with RVI = the vector and its bit in VIRR. */
static struct apicv_cpu *prepare(struct controls controls, uint8_t vector)
{
    machine_start(&m, apicv_caps_skylake());
    machine_controls(&m, 0, controls);
    vmcs_put(&m.cpu[0], APICV_GUEST_RFLAGS, 0x202);
    vmcs_put(&m.cpu[0], APICV_GUEST_INTERRUPT_STATUS, vector);
    if (vector)
        page_add(&m, 0, 0x200, vector);
    return &m.cpu[0];
}

static void leave(struct apicv_cpu *cpu)
{
    is_exit(cpu, apicv_guest_exit(cpu, 10, 0), 10, 0); /* CPUID */
}

static uint16_t status_after_exit(struct apicv_cpu *cpu)
{
    leave(cpu);
    return (uint16_t)vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS);
}

static struct apicv_result eoi(struct apicv_cpu *cpu)
{
    return apicv_guest_write(cpu, FRAME_PA + 0x0B0, 4, 0);
}

static void let_eoi_exit(struct apicv_cpu *cpu, uint8_t vector, bool exits)
{
    if (exits)
        vmcs_put(cpu, 0x201Cu + 2u * (vector / 64u),
                 vmcs_get(cpu, 0x201Cu + 2u * (vector / 64u)) | 1ull << vector % 64);
}

/* ---- delivery ---- */

static void every_vector_against_every_tpr(void **unused)
{
    /* Reference 20, item 4 */
    (void)unused;
    for (unsigned vector = 0x21; vector <= 0xFF; vector++) {
        for (unsigned tpr = 0; tpr <= 0xFF; tpr++) {
            struct apicv_cpu *cpu = prepare(vid, (uint8_t)vector);
            struct apicv_result result;

            page_put(&m, 0, 0x080, tpr);
            is_nothing(apicv_enter(cpu));
            result = apicv_boundary(cpu);
            if (vector / 16 > tpr / 16) {
                is_delivered(result, (uint8_t)vector);
                assert_int_equal(status_after_exit(cpu), vector << 8);
                assert_true(page_has(&m, 0, 0x100, (uint8_t)vector));
                assert_false(page_has(&m, 0, 0x200, (uint8_t)vector));
                assert_int_equal(page_get(&m, 0, 0x0A0), vector & 0xF0);
            } else {
                is_nothing(result);
                assert_int_equal(status_after_exit(cpu), vector);
                assert_false(page_has(&m, 0, 0x100, (uint8_t)vector));
                assert_true(page_has(&m, 0, 0x200, (uint8_t)vector));
                assert_int_equal(page_get(&m, 0, 0x0A0), tpr);
            }
        }
    }
}

static void delivery_waits_for_if_and_blocking(void **unused)
{
    /* Reference 6 */
    struct apicv_cpu *cpu = prepare(vid, 0x51);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x002);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_sti(cpu));
    is_nothing(apicv_boundary(cpu)); /* blocking by STI */
    is_nothing(apicv_guest_mov_ss(cpu));
    is_nothing(apicv_boundary(cpu)); /* blocking by MOV SS */
    is_nothing(apicv_guest_nop(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
    assert_int_equal(cpu->guest.rflags & 0x200, 0);
}

static void sti_with_if_already_set_blocks_nothing(void **unused)
{
    /* Reference 2: interruptibility bit 0 */
    struct apicv_cpu *cpu = prepare(vid, 0x51);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_guest_sti(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
}

static void interrupt_window_exiting_suppresses_recognition(void **unused)
{
    /* Reference 6 and 19, 8; and the exit that comes in its place */
    struct controls controls = vid;
    struct apicv_cpu *cpu;

    (void)unused;
    controls.primary |= APICV_PRIMARY_INTERRUPT_WINDOW_EXITING;
    cpu = prepare(controls, 0x51);
    is_nothing(apicv_enter(cpu));
    assert_false(cpu->recognised);
    is_exit(cpu, apicv_boundary(cpu), 7, 0);
    assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0x0051);
    machine_controls(&m, 0, vid);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
}

static void a_stale_rvi_delivers_all_the_same(void **unused)
{
    /* Reference 6: VIRR[RVI] is not checked */
    struct apicv_cpu *cpu = prepare(vid, 0);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, 0x0077);
    page_add(&m, 0, 0x200, 0x31);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x77);
    assert_int_equal(cpu->rvi, 0x31);
    assert_true(page_has(&m, 0, 0x100, 0x77));
}

static void a_bit_of_virr_without_rvi_is_not_delivered(void **unused)
{
    /* Reference 6 */
    struct apicv_cpu *cpu = prepare(vid, 0);

    (void)unused;
    page_add(&m, 0, 0x200, 0x77);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
}

static void the_next_interrupt_waits_for_an_evaluation(void **unused)
{
    /* Reference 6: after delivery nothing is recognised; a raised RVI has no effect by itself */
    struct apicv_cpu *cpu = prepare(vid, 0x41);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x41);
    is_nothing(apicv_guest_iret(cpu, true));
    page_add(&m, 0, 0x200, 0x61);
    cpu->rvi = 0x61;
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x080, 4, 0));
    is_delivered(apicv_boundary(cpu), 0x61);
}

static void delivery_evaluates_nothing(void **unused)
{
    /* Reference 6: RVI was stale, and is now above the class in service; it waits for an evaluation nevertheless */
    struct apicv_cpu *cpu = prepare(vid, 0x31);

    (void)unused;
    page_add(&m, 0, 0x200, 0x77);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x31);
    assert_int_equal(cpu->rvi, 0x77);
    is_nothing(apicv_guest_iret(cpu, true));
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_write_cr8(cpu, 0, 0));
    is_delivered(apicv_boundary(cpu), 0x77);
}

static void the_width_of_the_vppr_store_of_delivery_is_a_knob(void **unused)
{
    /* Reference 6, 21 */
    (void)unused;
    for (unsigned byte = 0; byte < 2; byte++) {
        struct apicv_cpu *cpu = prepare(vid, 0x51);

        cpu->knobs.delivery_stores_vppr_byte = byte;
        is_nothing(apicv_enter(cpu));
        page_put(&m, 0, 0x0A0, 0x12345600);
        is_delivered(apicv_boundary(cpu), 0x51);
        assert_int_equal(page_get(&m, 0, 0x0A0), byte ? 0x12345650 : 0x50);
    }
}

/* ---- PPR virtualization ---- */

static void ppr_of_every_tpr_and_svi(void **unused)
{
    /* Reference 5: at VM entry */
    (void)unused;
    for (unsigned svi = 0; svi < 256; svi++) {
        for (unsigned tpr = 0; tpr < 256; tpr++) {
            struct apicv_cpu *cpu = prepare(vid, 0);

            vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, svi << 8);
            page_put(&m, 0, 0x080, 0xABCDEF00 | tpr);
            page_put(&m, 0, 0x0A0, 0xFFFFFFFF);
            is_nothing(apicv_enter(cpu));
            assert_int_equal(page_get(&m, 0, 0x0A0), tpr / 16 >= svi / 16 ? tpr : svi & 0xF0);
        }
    }
}

static void without_vid_nothing_is_written_to_ppr(void **unused)
{
    /* Reference 5 */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_skylake(),
                                          (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x101 });

    (void)unused;
    page_put(&m, 0, 0x0A0, 0x99);
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x080, 4, 0x50));
    is_nothing(apicv_guest_write_cr8(cpu, 0, 6));
    assert_int_equal(page_get(&m, 0, 0x0A0), 0x99);
}

static void tpr_writes_uncover_an_interrupt(void **unused)
{
    /* Reference 5: TPR virtualization evaluates; by CR8, MMIO */
    struct apicv_cpu *cpu = prepare(vid, 0x51);

    (void)unused;
    page_put(&m, 0, 0x080, 0xF0);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_write_cr8(cpu, 0, 5));
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_write_cr8(cpu, 0, 4));
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x080, 4, 0x50)); /* covered again */
    is_nothing(apicv_boundary(cpu));
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x080, 4, 0x4F));
    is_delivered(apicv_boundary(cpu), 0x51);
}

/* ---- EOI virtualization ---- */

static void two_pending_vectors_are_served_one_after_the_other(void **unused)
{
    /* Reference 20, item 5: with and without EOI exits */
    (void)unused;
    for (unsigned exits = 0; exits < 4; exits++) {
        struct apicv_cpu *cpu = prepare(vid, 0x80);
        struct apicv_result result;

        page_add(&m, 0, 0x200, 0x70);
        let_eoi_exit(cpu, 0x80, exits & 1);
        let_eoi_exit(cpu, 0x70, exits & 2);
        is_nothing(apicv_enter(cpu));
        is_delivered(apicv_boundary(cpu), 0x80);
        assert_int_equal(cpu->rvi, 0x70);
        is_nothing(apicv_guest_iret(cpu, true));
        is_nothing(apicv_boundary(cpu));

        result = eoi(cpu);
        if (exits & 1) {
            is_exit(cpu, result, 45, 0x80);
            assert_true(result.exit.trap_like);
            assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0x0070);
            assert_int_equal(page_get(&m, 0, 0x0A0), 0);
            assert_int_equal(page_get(&m, 0, 0x0B0), 0);
            assert_false(page_has(&m, 0, 0x100, 0x80));
            is_nothing(apicv_enter(cpu)); /* which evaluates */
        } else {
            is_nothing(result);
        }
        is_delivered(apicv_boundary(cpu), 0x70);
        is_nothing(apicv_guest_iret(cpu, true));
        result = eoi(cpu);
        if (exits & 2)
            is_exit(cpu, result, 45, 0x70);
        else
            leave(cpu);
        assert_int_equal(vmcs_get(cpu, APICV_GUEST_INTERRUPT_STATUS), 0);
        for (uint32_t offset = 0x100; offset < 0x280; offset += 0x10)
            assert_int_equal(page_get(&m, 0, offset), 0);
    }
}

static void the_eoi_exit_bitmap_is_by_vector(void **unused)
{
    /* Reference 2: bit v & 63 of bitmap v >> 6; each vector's bit alone, and all bits but its own */
    (void)unused;
    for (unsigned vector = 16; vector < 256; vector++) {
        for (unsigned inverse = 0; inverse < 2; inverse++) {
            struct apicv_cpu *cpu = prepare(vid, 0);

            for (unsigned i = 0; i < 4; i++) {
                uint64_t own = vector / 64 == i ? 1ull << vector % 64 : 0;

                vmcs_put(cpu, 0x201C + 2 * i, inverse ? ~own : own);
            }
            vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, vector << 8);
            page_add(&m, 0, 0x100, (uint8_t)vector);
            is_nothing(apicv_enter(cpu));
            if (inverse)
                is_nothing(eoi(cpu));
            else
                is_exit(cpu, eoi(cpu), 45, vector);
            assert_false(page_has(&m, 0, 0x100, (uint8_t)vector));
        }
    }
}

static void eoi_clears_svi_not_the_highest_bit(void **unused)
{
    /* Reference 5 */
    struct apicv_cpu *cpu = prepare(vid, 0);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_INTERRUPT_STATUS, 0x4100);
    page_add(&m, 0, 0x100, 0x41);
    page_add(&m, 0, 0x100, 0x91);
    is_nothing(apicv_enter(cpu));
    is_nothing(eoi(cpu));
    assert_false(page_has(&m, 0, 0x100, 0x41));
    assert_true(page_has(&m, 0, 0x100, 0x91));
    assert_int_equal(cpu->svi, 0x91);
    assert_int_equal(page_get(&m, 0, 0x0A0), 0x90);
}

static void eoi_with_svi_0_uses_vector_0(void **unused)
{
    /* Reference 5 */
    struct apicv_cpu *cpu = prepare(vid, 0);

    (void)unused;
    vmcs_put(cpu, APICV_EOI_EXIT_BITMAP_0, 1);
    is_nothing(apicv_enter(cpu));
    page_put(&m, 0, 0x100, 1);
    is_exit(cpu, eoi(cpu), 45, 0);
    assert_int_equal(page_get(&m, 0, 0x100), 0);
}

static void nested_interrupts_end_in_reverse(void **unused)
{
    /* Reference 5, 6 */
    static const uint8_t vectors[] = { 0x31, 0x42, 0x53, 0xF4 };
    struct apicv_cpu *cpu = prepare(vid, 0);

    (void)unused;
    is_nothing(apicv_enter(cpu));
    for (size_t i = 0; i < 4; i++) {
        is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x40000u | vectors[i]));
        is_delivered(apicv_boundary(cpu), vectors[i]);
        is_nothing(apicv_guest_sti(cpu));
        is_nothing(apicv_guest_nop(cpu));
    }
    for (size_t i = 4; i-- > 0;) {
        assert_int_equal(cpu->svi, vectors[i]);
        is_nothing(eoi(cpu));
        is_nothing(apicv_boundary(cpu));
        assert_int_equal(page_get(&m, 0, 0x0A0), i ? vectors[i - 1] & 0xF0 : 0);
    }
}

static void a_self_ipi_keeps_the_higher_rvi(void **unused)
{
    /* Reference 5: RVI = max(RVI, v) */
    struct apicv_cpu *cpu = prepare(vid, 0x71);

    (void)unused;
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x002);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x40061));
    assert_int_equal(cpu->rvi, 0x71);
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x40081));
    assert_int_equal(cpu->rvi, 0x81);
    assert_true(page_has(&m, 0, 0x200, 0x61) && page_has(&m, 0, 0x200, 0x71) && page_has(&m, 0, 0x200, 0x81));
}

static void tmr_is_no_affair_of_hardware(void **unused)
{
    /* Reference 5 and 14 */
    struct apicv_cpu *cpu = prepare(vid, 0x51);

    (void)unused;
    for (uint32_t offset = 0x180; offset < 0x200; offset += 0x10)
        page_put(&m, 0, offset, 0xA5A5A5A5);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x51);
    is_nothing(eoi(cpu));
    for (uint32_t offset = 0x180; offset < 0x200; offset += 0x10)
        assert_int_equal(page_get(&m, 0, offset), 0xA5A5A5A5);
}

/* ---- moving ---- */

static void the_state_moves_with_the_vmcs_and_the_page(void **unused)
{
    /* Reference 16: nothing else is per processor */
    struct apicv_cpu *cpu = prepare(vid, 0x81);
    struct apicv_cpu *other = &m.cpu[1];

    (void)unused;
    page_add(&m, 0, 0x200, 0x71);
    is_nothing(apicv_enter(cpu));
    is_delivered(apicv_boundary(cpu), 0x81);
    leave(cpu);
    assert_false(apicv_vmptrld(other, &m.vmcs[0])); /* still active on the first */
    assert_false(apicv_vmclear(other, &m.vmcs[0]));
    assert_true(apicv_vmclear(cpu, &m.vmcs[0]));
    assert_true(apicv_vmptrld(other, &m.vmcs[0]));
    is_nothing(apicv_enter(other));
    assert_int_equal(other->svi, 0x81);
    is_nothing(apicv_guest_iret(other, true));
    is_nothing(eoi(other));
    is_delivered(apicv_boundary(other), 0x71);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_against_every_tpr),
        cmocka_unit_test(delivery_waits_for_if_and_blocking),
        cmocka_unit_test(sti_with_if_already_set_blocks_nothing),
        cmocka_unit_test(interrupt_window_exiting_suppresses_recognition),
        cmocka_unit_test(a_stale_rvi_delivers_all_the_same),
        cmocka_unit_test(a_bit_of_virr_without_rvi_is_not_delivered),
        cmocka_unit_test(the_next_interrupt_waits_for_an_evaluation),
        cmocka_unit_test(delivery_evaluates_nothing),
        cmocka_unit_test(the_width_of_the_vppr_store_of_delivery_is_a_knob),
        cmocka_unit_test(ppr_of_every_tpr_and_svi),
        cmocka_unit_test(without_vid_nothing_is_written_to_ppr),
        cmocka_unit_test(tpr_writes_uncover_an_interrupt),
        cmocka_unit_test(two_pending_vectors_are_served_one_after_the_other),
        cmocka_unit_test(the_eoi_exit_bitmap_is_by_vector),
        cmocka_unit_test(eoi_clears_svi_not_the_highest_bit),
        cmocka_unit_test(eoi_with_svi_0_uses_vector_0),
        cmocka_unit_test(nested_interrupts_end_in_reverse),
        cmocka_unit_test(a_self_ipi_keeps_the_higher_rvi),
        cmocka_unit_test(tmr_is_no_affair_of_hardware),
        cmocka_unit_test(the_state_moves_with_the_vmcs_and_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
