/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Priorities: TPR, CR8, PPR, and what they let through.
 */
#include "fake_host.h"

static struct fake_vm host;

static struct vlapic_cpu *start(bool x2apic)
{
    if (x2apic)
        fake_one_x2apic_cpu(&host, VLAPIC_VENDOR_INTEL);
    else
        fake_one_cpu(&host, VLAPIC_VENDOR_INTEL);
    return fake_cpu_at(&host, 0);
}

static uint32_t ppr_by_the_manual(uint32_t tpr, uint32_t isrv)
{
    return tpr >> 4 >= isrv >> 4 ? tpr : isrv & 0xF0;
}

static void post_and_take(struct vlapic_cpu *cpu, uint8_t vector)
{
    assert_true(vlapic_cpu_post(cpu, vector, false));
    assert_int_equal(take_vector(cpu), vector);
}

/* ---- PPR ---- */

static void ppr_is_tpr_or_the_class_in_service(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": PPR of every TPR and every highest vector in service */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t isrv = 0; isrv < 256; isrv = isrv ? isrv + 1 : 16) {
            if (isrv)
                post_and_take(cpu, (uint8_t)isrv);
            for (uint32_t tpr = 0; tpr < 256; tpr++) {
                guest_set(cpu, VLAPIC_REG_TPR, tpr);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), tpr);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), ppr_by_the_manual(tpr, isrv));
            }
            guest_set(cpu, VLAPIC_REG_TPR, 0);
            guest_eoi(cpu);
            fake_forget(&host);
        }
        fake_vm_stop(&host);
    }
}

static void ppr_follows_the_highest_of_several_in_service(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": ISRV is the highest vector in ISR */
    static const uint8_t nested[] = { 0x10, 0x21, 0x3F, 0x40, 0x8E, 0xFF };
    struct vlapic_cpu *cpu = start(false);
    size_t n = sizeof nested;

    (void)unused;
    guest_set(cpu, VLAPIC_REG_TPR, 0x0A);
    for (size_t i = 0; i < n; i++) {
        post_and_take(cpu, nested[i]);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), nested[i] & 0xF0);
    }
    for (size_t i = n; i-- > 0;) {
        guest_eoi(cpu);
        assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), i ? nested[i - 1] & 0xF0 : 0x0A);
    }
    fake_vm_stop(&host);
}

static void a_pending_request_does_not_show_in_ppr(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": PPR is a function of TPR and ISR */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_set(cpu, VLAPIC_REG_TPR, 0x23);
    assert_true(vlapic_cpu_post(cpu, 0x91, false));
    assert_int_equal(poll_vector(cpu), 0x91);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), 0x23);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_APR), 0);
    fake_vm_stop(&host);
}

/* ---- dispatch ---- */

static void equal_class_is_not_dispatched(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": a class must be above TPR's; the sub-class never matters */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t vector = 16; vector < 256; vector++) {
            assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, false));
            for (uint32_t tpr = 0; tpr < 256; tpr++) {
                guest_set(cpu, VLAPIC_REG_TPR, tpr);
                assert_int_equal(poll_vector(cpu), vector >> 4 > tpr >> 4 ? (int)vector : -1);
            }
            guest_set(cpu, VLAPIC_REG_TPR, 0);
            assert_int_equal(take_vector(cpu), vector);
            guest_eoi(cpu);
            fake_forget(&host);
        }
        fake_vm_stop(&host);
    }
}

static void a_class_in_service_holds_back_its_own_and_all_lower(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": every pair of a vector in service and a pending one */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (uint32_t served = 16; served < 256; served++)
        for (uint32_t pending = 16; pending < 256; pending++) {
            post_and_take(cpu, (uint8_t)served);
            assert_true(vlapic_cpu_post(cpu, (uint8_t)pending, false));
            if (pending >> 4 > served >> 4) {
                assert_int_equal(take_vector(cpu), pending);
                guest_eoi(cpu);
                guest_eoi(cpu);
            } else {
                assert_int_equal(poll_vector(cpu), -1);
                guest_eoi(cpu);
                assert_int_equal(take_vector(cpu), pending);
                guest_eoi(cpu);
            }
            assert_int_equal(poll_vector(cpu), -1);
            fake_forget(&host);
        }
    fake_vm_stop(&host);
}

static void a_write_of_tpr_or_cr8_counts_at_once(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC" */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    assert_true(vlapic_cpu_post(cpu, 0x55, false));
    assert_int_equal(poll_vector(cpu), 0x55);
    guest_set(cpu, VLAPIC_REG_TPR, 0x50);
    assert_int_equal(poll_vector(cpu), -1);
    assert_false(vlapic_cpu_accept(cpu, 0x55));
    guest_set(cpu, VLAPIC_REG_TPR, 0x4F);
    assert_int_equal(poll_vector(cpu), 0x55);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 5), VLAPIC_ACCESS_DONE);
    assert_int_equal(poll_vector(cpu), -1);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 4), VLAPIC_ACCESS_DONE);
    assert_int_equal(take_vector(cpu), 0x55);
    fake_vm_stop(&host);
}

static void highest_vector_of_a_class_comes_first(void **unused)
{
    /* Intel SDM 3A, "Interrupt, Task, and Processor Priority": the sub-class orders vectors within a class */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    for (uint32_t class = 0x10; class < 0x100; class += 0x10) {
        for (uint32_t i = 0; i < 16; i++)
            assert_true(vlapic_cpu_post(cpu, (uint8_t)(class | (i * 7 & 0xF)), false));
        for (uint32_t i = 16; i-- > 0;) {
            assert_int_equal(take_vector(cpu), class | i);
            assert_int_equal(poll_vector(cpu), -1);
            guest_eoi(cpu);
        }
        fake_forget(&host);
    }
    fake_vm_stop(&host);
}

static void all_vectors_at_once_come_in_descending_order(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts" */
    struct vlapic_cpu *cpu = start(true);

    (void)unused;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t vector = i * 167 & 0xFF;

        if (vector >= 16)
            assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, vector & 1));
    }
    for (uint32_t vector = 255; vector >= 16; vector--) {
        assert_int_equal(take_vector(cpu), vector);
        assert_int_equal(guest_bit(cpu, VLAPIC_REG_TMR, (uint8_t)vector), vector & 1);
        guest_eoi(cpu);
    }
    assert_int_equal(poll_vector(cpu), -1);
    fake_vm_stop(&host);
}

static void task_priority_class_15_blocks_every_vector_and_nothing_else(void **unused)
{
    /* Intel SDM 3A, "Task and Processor Priorities": NMI, SMI, INIT, ExtINT are not subject to priorities */
    struct vlapic_cpu *cpu = start(false);
    struct vlapic_message message = { .destination = 0 };
    struct vlapic_poll duty;

    (void)unused;
    guest_set(cpu, VLAPIC_REG_TPR, 0xF0);
    for (uint32_t vector = 16; vector < 256; vector++)
        assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, false));
    message.delivery = VLAPIC_DELIVERY_NMI;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    message.delivery = VLAPIC_DELIVERY_SMI;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    message.delivery = VLAPIC_DELIVERY_INIT;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    message.delivery = VLAPIC_DELIVERY_EXTINT;
    assert_int_equal(vlapic_vm_deliver(host.vm, &message), 1);
    vlapic_cpu_poll(cpu, &duty);
    assert_int_equal(duty.vector, -1);
    assert_true(duty.nmi && duty.smi && duty.init && duty.extint_message);
    fake_vm_stop(&host);
}

/* ---- CR8 ---- */

static void cr8_is_the_class_of_tpr_in_every_mode(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC": MOV from CR8 */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t tpr = 0; tpr < 256; tpr++) {
            guest_set(cpu, VLAPIC_REG_TPR, tpr);
            assert_int_equal(vlapic_cpu_cr8_read(cpu), tpr >> 4);
            assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), tpr);
        }
        fake_vm_stop(&host);
    }
}

static void a_write_of_cr8_clears_the_sub_class(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC": MOV to CR8 */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        struct vlapic_cpu *cpu = start(x2apic);

        for (uint32_t tpr = 0; tpr < 256; tpr++)
            for (uint32_t cr8 = 0; cr8 < 16; cr8++) {
                guest_set(cpu, VLAPIC_REG_TPR, tpr);
                assert_int_equal(vlapic_cpu_cr8_write(cpu, cr8), VLAPIC_ACCESS_DONE);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), cr8 << 4);
                assert_int_equal(guest_get(cpu, VLAPIC_REG_PPR), cr8 << 4);
                assert_int_equal(vlapic_cpu_cr8_read(cpu), cr8);
            }
        fake_vm_stop(&host);
    }
}

static void cr8_works_while_the_apic_is_disabled(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC"; the value is TPR after the next enable */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_set(cpu, VLAPIC_REG_TPR, 0x9C);
    guest_disable_apic(cpu);
    assert_int_equal(vlapic_cpu_cr8_read(cpu), 0);
    for (uint32_t cr8 = 0; cr8 < 16; cr8++) {
        assert_int_equal(vlapic_cpu_cr8_write(cpu, cr8), VLAPIC_ACCESS_DONE);
        assert_int_equal(vlapic_cpu_cr8_read(cpu), cr8);
    }
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 0x10), VLAPIC_ACCESS_GP);
    assert_int_equal(vlapic_cpu_cr8_write(cpu, 0xB), VLAPIC_ACCESS_DONE);
    guest_enable_xapic(cpu);
    assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), 0xB0);
    fake_vm_stop(&host);
}

static void cr8_bits_above_3_fault(void **unused)
{
    /* Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC": bits 63:4 are reserved */
    struct vlapic_cpu *cpu = start(false);

    (void)unused;
    guest_set(cpu, VLAPIC_REG_TPR, 0x5A);
    for (unsigned bit = 4; bit < 64; bit++) {
        assert_int_equal(vlapic_cpu_cr8_write(cpu, 1ull << bit), VLAPIC_ACCESS_GP);
        assert_int_equal(vlapic_cpu_cr8_write(cpu, 1ull << bit | 3), VLAPIC_ACCESS_GP);
    }
    assert_int_equal(guest_get(cpu, VLAPIC_REG_TPR), 0x5A);
    fake_vm_stop(&host);
}

/* ---- the life of a vector ---- */

static void assert_only_bit(struct vlapic_cpu *cpu, uint32_t base, uint32_t vector, bool set)
{
    for (uint32_t word = 0; word < 8; word++) {
        uint32_t expected = set && word == vector / 32 ? 1u << vector % 32 : 0;

        assert_int_equal(guest_get(cpu, base + word * 16), expected);
    }
}

static void every_vector_goes_from_irr_to_isr_to_nothing(void **unused)
{
    /* Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts": IRR, ISR and TMR at every step */
    (void)unused;
    for (unsigned x2apic = 0; x2apic < 2; x2apic++)
        for (unsigned level = 0; level < 2; level++) {
            struct vlapic_cpu *cpu = start(x2apic);

            for (uint32_t vector = 16; vector < 256; vector++) {
                assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, level));
                assert_only_bit(cpu, VLAPIC_REG_IRR, vector, true);
                assert_only_bit(cpu, VLAPIC_REG_ISR, vector, false);
                assert_only_bit(cpu, VLAPIC_REG_TMR, vector, level);

                assert_int_equal(poll_vector(cpu), vector);
                assert_int_equal(poll_vector(cpu), vector);
                assert_only_bit(cpu, VLAPIC_REG_IRR, vector, true);
                assert_only_bit(cpu, VLAPIC_REG_ISR, vector, false);

                assert_true(vlapic_cpu_accept(cpu, (uint8_t)vector));
                assert_int_equal(poll_vector(cpu), -1);
                assert_only_bit(cpu, VLAPIC_REG_IRR, vector, false);
                assert_only_bit(cpu, VLAPIC_REG_ISR, vector, true);
                assert_only_bit(cpu, VLAPIC_REG_TMR, vector, level);

                guest_eoi(cpu);
                assert_int_equal(poll_vector(cpu), -1);
                assert_only_bit(cpu, VLAPIC_REG_IRR, vector, false);
                assert_only_bit(cpu, VLAPIC_REG_ISR, vector, false);

                assert_true(vlapic_cpu_post(cpu, (uint8_t)vector, false));
                assert_int_equal(take_vector(cpu), vector);
                assert_only_bit(cpu, VLAPIC_REG_TMR, vector, false);
                guest_eoi(cpu);
                fake_forget(&host);
            }
            fake_vm_stop(&host);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ppr_is_tpr_or_the_class_in_service),
        cmocka_unit_test(ppr_follows_the_highest_of_several_in_service),
        cmocka_unit_test(a_pending_request_does_not_show_in_ppr),
        cmocka_unit_test(equal_class_is_not_dispatched),
        cmocka_unit_test(a_class_in_service_holds_back_its_own_and_all_lower),
        cmocka_unit_test(a_write_of_tpr_or_cr8_counts_at_once),
        cmocka_unit_test(highest_vector_of_a_class_comes_first),
        cmocka_unit_test(all_vectors_at_once_come_in_descending_order),
        cmocka_unit_test(task_priority_class_15_blocks_every_vector_and_nothing_else),
        cmocka_unit_test(cr8_is_the_class_of_tpr_in_every_mode),
        cmocka_unit_test(a_write_of_cr8_clears_the_sub_class),
        cmocka_unit_test(cr8_works_while_the_apic_is_disabled),
        cmocka_unit_test(cr8_bits_above_3_fault),
        cmocka_unit_test(every_vector_goes_from_irr_to_isr_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
