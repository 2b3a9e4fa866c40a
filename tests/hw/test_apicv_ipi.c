/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPI virtualization: the PID-pointer table, the target's descriptor, the notification.
 */
#include "apicv_machine.h"

static struct machine m;

#define NV 0xE1ull
#define NDST 0x12345678ull

static uint64_t *table(void)
{
    return (uint64_t *)(void *)machine_at(&m, TABLE_PA);
}

/* cpu 0 sends by memory; entry 3 of the table is the descriptor of cpu 1. */
static struct apicv_cpu *start(void)
{
    struct apicv_cpu *cpu = &m.cpu[0];

    machine_start(&m, apicv_caps_sapphire_rapids());
    machine_controls(&m, 0,
                     (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x101, .tertiary = 0x10 });
    vmcs_put(cpu, APICV_LAST_PID_INDEX, 7);
    is_nothing(apicv_enter(cpu));
    table()[3] = DESCRIPTOR_PA(1) | 1;
    *descriptor_control(&m, 1) = NDST << 32 | NV << 16;
    return cpu;
}

static struct apicv_result send(struct apicv_cpu *cpu, uint32_t target, uint8_t vector)
{
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x310, 4, target << 24));
    return apicv_guest_write(cpu, FRAME_PA + 0x300, 4, vector);
}

static bool pir_is_empty(unsigned cpu)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (descriptor_has(&m, cpu, (uint8_t)vector))
            return false;
    return true;
}

static void is_refused(struct apicv_cpu *cpu, struct apicv_result result)
{
    is_exit(cpu, result, 56, 0x300);
    assert_true(result.exit.trap_like);
    assert_true(pir_is_empty(1));
    assert_int_equal(m.ipis, 0);
    is_nothing(apicv_enter(cpu));
}

static void every_legal_vector_is_posted_and_notified(void **unused)
{
    /* Reference 11 */
    (void)unused;
    for (unsigned vector = 0; vector < 256; vector++) {
        struct apicv_cpu *cpu = start();
        struct apicv_result result = send(cpu, 3, (uint8_t)vector);

        if (vector < 16) {
            is_refused(cpu, result);
            continue;
        }
        is_nothing(result);
        assert_true(descriptor_has(&m, 1, (uint8_t)vector));
        assert_true(*descriptor_control(&m, 1) == (NDST << 32 | NV << 16 | 1));
        assert_int_equal(m.ipis, 1);
        assert_int_equal(m.ipi_vector, NV);
        assert_int_equal(m.ipi_destination, NDST);
        assert_int_equal(page_get(&m, 0, 0x300), vector); /* ICR keeps what was written */
        assert_int_equal(page_get(&m, 0, 0x310), 3u << 24);
    }
}

static void an_xapic_host_is_notified_by_8_bits(void **unused)
{
    /* Reference 10, NDST: bits 15:8 */
    struct apicv_cpu *cpu = start();

    (void)unused;
    cpu->host_x2apic = false;
    is_nothing(send(cpu, 3, 0x31));
    assert_int_equal(m.ipi_destination, 0x56);
}

static void on_and_sn_suppress_the_notification(void **unused)
{
    /* Reference 11: PIR is set in any case; ON only if both are 0 */
    (void)unused;
    for (uint64_t bits = 0; bits < 4; bits++) {
        struct apicv_cpu *cpu = start();

        *descriptor_control(&m, 1) |= bits;
        is_nothing(send(cpu, 3, 0x31));
        assert_true(descriptor_has(&m, 1, 0x31));
        assert_int_equal(m.ipis, bits == 0);
        assert_true(*descriptor_control(&m, 1) == (NDST << 32 | NV << 16 | (bits ? bits : 1)));
    }
}

static void targets_behind_the_last_index_are_refused(void **unused)
{
    /* Reference 11 */
    (void)unused;
    for (uint32_t target = 0; target < 256; target++) {
        struct apicv_cpu *cpu = start();

        for (unsigned i = 0; i < 256; i++)
            table()[i] = DESCRIPTOR_PA(1) | 1;
        if (target > 7)
            is_refused(cpu, send(cpu, target, 0x31));
        else
            is_nothing(send(cpu, target, 0x31));
    }
}

static void an_entry_is_valid_or_refused(void **unused)
{
    /* Reference 11: bit 0 set, bits 5:1 clear, nothing beyond the address width; one by one */
    (void)unused;
    for (unsigned bit = 0; bit < 64; bit++) {
        struct apicv_cpu *cpu = start();

        if (bit >= 6 && bit < 52)
            continue;
        table()[3] ^= 1ull << bit;
        is_refused(cpu, send(cpu, 3, 0x31));
        table()[3] ^= 1ull << bit;
        is_nothing(send(cpu, 3, 0x31));
    }
}

static void the_sender_may_be_the_target(void **unused)
{
    /* Reference 11: through its own descriptor */
    struct apicv_cpu *cpu;

    (void)unused;
    machine_start(&m, apicv_caps_sapphire_rapids());
    cpu = &m.cpu[0];
    machine_controls(&m, 0,
                     (struct controls){ .pin = 0x81,
                                        .primary = APICV_PRIMARY_TPR_SHADOW,
                                        .secondary = 0x301,
                                        .exit = APICV_EXIT_ACKNOWLEDGE_INTERRUPT,
                                        .tertiary = 0x10 });
    vmcs_put(cpu, APICV_GUEST_RFLAGS, 0x202);
    table()[0] = DESCRIPTOR_PA(0) | 1;
    *descriptor_control(&m, 0) = (uint64_t)NOTIFICATION << 16;
    is_nothing(apicv_enter(cpu));
    is_nothing(send(cpu, 0, 0x31));
    assert_int_equal(m.ipi_vector, NOTIFICATION);
    is_nothing(apicv_boundary(cpu));
    is_delivered(apicv_external_interrupt(cpu, m.ipi_vector), 0x31);
}

static void without_register_virtualization_310h_exits(void **unused)
{
    /* Reference 8.2 */
    struct apicv_cpu *cpu;

    (void)unused;
    machine_start(&m, apicv_caps_sapphire_rapids());
    cpu = &m.cpu[0];
    machine_controls(&m, 0,
                     (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x001, .tertiary = 0x10 });
    table()[0] = DESCRIPTOR_PA(1) | 1;
    is_nothing(apicv_enter(cpu));
    is_exit(cpu, apicv_guest_write(cpu, FRAME_PA + 0x310, 4, 0), 44, 0x1310);
    is_nothing(apicv_enter(cpu));
    is_nothing(apicv_guest_write(cpu, FRAME_PA + 0x300, 4, 0x31));
    assert_true(descriptor_has(&m, 1, 0x31));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_legal_vector_is_posted_and_notified),
        cmocka_unit_test(an_xapic_host_is_notified_by_8_bits),
        cmocka_unit_test(on_and_sn_suppress_the_notification),
        cmocka_unit_test(targets_behind_the_last_index_are_refused),
        cmocka_unit_test(an_entry_is_valid_or_refused),
        cmocka_unit_test(the_sender_may_be_the_target),
        cmocka_unit_test(without_register_virtualization_310h_exits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
