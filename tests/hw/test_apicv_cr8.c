/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR8, and the TPR threshold by CR8, memory and MSR.
 */
#include "apicv_machine.h"

static struct machine m;

static void enter_again(struct apicv_cpu *cpu)
{
    if (!cpu->in_guest)
        is_nothing(apicv_enter(cpu));
}

static void cr8_and_tpr_are_the_same(void **unused)
{
    /* Reference 7: every value, both ways; bits 3:0 and 31:8 of TPR are cleared */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_core2(),
                                          (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });
    uint64_t value = 0;

    (void)unused;
    for (uint32_t cr8 = 0; cr8 < 16; cr8++) {
        page_put(&m, 0, 0x080, 0xFFFFFFFF);
        is_nothing(apicv_guest_write_cr8(cpu, 3, cr8));
        assert_int_equal(page_get(&m, 0, 0x080), cr8 << 4);
        is_nothing(apicv_guest_read_cr8(cpu, 3, &value));
        assert_int_equal(value, cr8);
    }
    for (uint32_t tpr = 0; tpr < 256; tpr++) {
        page_put(&m, 0, 0x080, 0xABCDEF00 | tpr);
        is_nothing(apicv_guest_read_cr8(cpu, 3, &value));
        assert_int_equal(value, tpr / 16);
    }
}

static void reserved_bits_of_cr8_fault(void **unused)
{
    /* Reference 7: with TPR shadow the processor raises it, and nothing is written */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_core2(),
                                          (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW });

    (void)unused;
    page_put(&m, 0, 0x080, 0x31);
    for (unsigned bit = 4; bit < 64; bit++) {
        is_gp(apicv_guest_write_cr8(cpu, 0, 1ull << bit));
        assert_int_equal(page_get(&m, 0, 0x080), 0x31);
        assert_int_equal(cpu->guest.rip, 0);
    }
}

static void cr8_exiting_has_priority(void **unused)
{
    /* Reference 7: over TPR shadow and over the fault; qualification [3:0] = 8, [5:4] direction, [11:8] register */
    static const uint32_t shadow[] = { 0, APICV_PRIMARY_TPR_SHADOW };
    uint64_t value = 0;

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_core2(),
                                              (struct controls){ .primary = shadow[i] | APICV_PRIMARY_CR8_LOAD_EXITING |
                                                                            APICV_PRIMARY_CR8_STORE_EXITING });

        for (unsigned gpr = 0; gpr < 16; gpr++) {
            is_exit(cpu, apicv_guest_write_cr8(cpu, gpr, 5), 28, gpr << 8 | 0x08);
            assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), 0);
            assert_int_equal(vmcs_get(cpu, APICV_EXIT_INSTRUCTION_LENGTH), 3);
            enter_again(cpu);
            is_exit(cpu, apicv_guest_write_cr8(cpu, gpr, 1ull << 63), 28, gpr << 8 | 0x08);
            enter_again(cpu);
            is_exit(cpu, apicv_guest_read_cr8(cpu, gpr, &value), 28, gpr << 8 | 0x18);
            enter_again(cpu);
        }
        assert_int_equal(page_get(&m, 0, 0x080), 0);
    }
}

static void each_direction_has_its_control(void **unused)
{
    /* Reference 7 */
    struct apicv_cpu *cpu = machine_enter(
        &m, apicv_caps_core2(),
        (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_CR8_LOAD_EXITING });
    uint64_t value = 0;

    (void)unused;
    is_nothing(apicv_guest_read_cr8(cpu, 0, &value));
    is_exit(cpu, apicv_guest_write_cr8(cpu, 0, 0), 28, 0x08);
    machine_controls(&m, 0, (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_CR8_STORE_EXITING });
    enter_again(cpu);
    is_nothing(apicv_guest_write_cr8(cpu, 0, 0));
    is_exit(cpu, apicv_guest_read_cr8(cpu, 0, &value), 28, 0x18);
}

static void without_shadow_and_exiting_cr8_is_the_hosts(void **unused)
{
    /* Reference 7: must never be allowed */
    struct apicv_cpu *cpu = machine_enter(&m, apicv_caps_none(), (struct controls){ 0 });
    uint64_t value = 0;

    (void)unused;
    assert_int_equal(apicv_guest_read_cr8(cpu, 0, &value).outcome, APICV_HOST_ACCESS);
    assert_int_equal(apicv_guest_write_cr8(cpu, 0, 15).outcome, APICV_HOST_ACCESS);
    is_gp(apicv_guest_write_cr8(cpu, 0, 16));
}

static void privilege_comes_first(void **unused)
{
    /* Reference 7 */
    struct apicv_cpu *cpu = machine_enter(
        &m, apicv_caps_core2(),
        (struct controls){ .primary = APICV_PRIMARY_CR8_LOAD_EXITING | APICV_PRIMARY_CR8_STORE_EXITING });
    uint64_t value = 0;

    (void)unused;
    cpu->guest.cpl = 3;
    is_gp(apicv_guest_read_cr8(cpu, 0, &value));
    is_gp(apicv_guest_write_cr8(cpu, 0, 0));
}

/* ---- the threshold ---- */

enum door { BY_CR8, BY_MEMORY, BY_MSR };

static struct apicv_result write_tpr(struct apicv_cpu *cpu, enum door door, uint32_t tpr)
{
    switch (door) {
    case BY_CR8:
        return apicv_guest_write_cr8(cpu, 0, tpr >> 4);
    case BY_MEMORY:
        return apicv_guest_write(cpu, FRAME_PA + 0x080, 4, tpr);
    case BY_MSR:
        break;
    }
    return apicv_guest_wrmsr(cpu, 0x808, tpr);
}

static void a_tpr_write_below_the_threshold_exits(void **unused)
{
    /* Reference 5, 20 item 7: every threshold and class, by each door; trap-like, TPR is written */
    (void)unused;
    for (unsigned door = BY_CR8; door <= BY_MSR; door++) {
        for (uint32_t threshold = 0; threshold < 16; threshold++) {
            struct apicv_cpu *cpu;

            machine_start(&m, apicv_caps_sandy_bridge());
            cpu = &m.cpu[0];
            machine_controls(&m, 0,
                             (struct controls){ .primary = APICV_PRIMARY_TPR_SHADOW | APICV_PRIMARY_MSR_BITMAPS,
                                                .secondary = door == BY_MSR ? 0x10 : 0x01 });
            pass_msr(&m, 0x808, true, true);
            vmcs_put(cpu, APICV_TPR_THRESHOLD, threshold);
            for (uint32_t class = 0; class < 16; class ++) {
                uint64_t rip = vmcs_get(cpu, APICV_GUEST_RIP);
                struct apicv_result result;

                page_put(&m, 0, 0x080, 0xF0);
                is_nothing(apicv_enter(cpu));
                result = write_tpr(cpu, (enum door)door, class << 4);
                assert_int_equal(page_get(&m, 0, 0x080), class << 4);
                if (class < threshold) {
                    is_exit(cpu, result, 43, 0);
                    assert_true(result.exit.trap_like);
                    assert_int_equal(result.exit.instruction_length, cpu->knobs.poison);
                } else {
                    is_nothing(result);
                    is_exit(cpu, apicv_guest_exit(cpu, 10, 0), 10, 0);
                }
                assert_int_equal(vmcs_get(cpu, APICV_GUEST_RIP), rip + 3);
            }
        }
    }
}

static void with_vid_there_is_no_threshold(void **unused)
{
    /* Reference 5 */
    struct apicv_cpu *cpu;

    (void)unused;
    machine_start(&m, apicv_caps_skylake());
    cpu = &m.cpu[0];
    machine_controls(&m, 0, (struct controls){ .pin = 1, .primary = APICV_PRIMARY_TPR_SHADOW, .secondary = 0x201 });
    vmcs_put(cpu, APICV_TPR_THRESHOLD, 15);
    is_nothing(apicv_enter(cpu));
    is_nothing(write_tpr(cpu, BY_CR8, 0));
    is_nothing(write_tpr(cpu, BY_MEMORY, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cr8_and_tpr_are_the_same),
        cmocka_unit_test(reserved_bits_of_cr8_fault),
        cmocka_unit_test(cr8_exiting_has_priority),
        cmocka_unit_test(each_direction_has_its_control),
        cmocka_unit_test(without_shadow_and_exiting_cr8_is_the_hosts),
        cmocka_unit_test(privilege_comes_first),
        cmocka_unit_test(a_tpr_write_below_the_threshold_exits),
        cmocka_unit_test(with_vid_there_is_no_threshold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
