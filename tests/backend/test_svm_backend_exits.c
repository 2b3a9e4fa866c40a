/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits that concern the APIC: 402h of every register, the window, CR8, MSRs. AMD APM 2, "AVIC Unaccelerated Access", table "Guest vAPIC
 * Register Access Behavior", "Nested Paging", "SVM Intercept Exit Codes".
 */
#include "svm_bed.h"

#define WINDOW 0xFEE00000ull
#define WRITES 0x2u
#define FETCHES 0x10u

static void start(uint32_t features)
{
    bed_prepare(features);
    bed_start(1);
}

static uint32_t page(uint32_t offset)
{
    return bed.cpu[0].page[offset / 4];
}

/* ---- 402h, a trap: the page has the guest's value, raw; the register table decides what stays ---- */

static const struct {
    uint32_t offset, written, kept;
} traps[] = {
    { VLAPIC_REG_ID, 0x05FFFFFF, 0x00000000 }, /* not writable in this VM */
    { VLAPIC_REG_LDR, 0x04FFFFFF, 0x04000000 },
    { VLAPIC_REG_DFR, 0xF0000000, 0xFFFFFFFF },
    { VLAPIC_REG_DFR, 0x00000000, 0x0FFFFFFF },
    { VLAPIC_REG_SVR, 0xFFFFFDFF, 0x000001FF },
    { VLAPIC_REG_ESR, 0xFFFFFFFF, 0x00000000 },
    { VLAPIC_REG_RRD, 0xFFFFFFFF, 0x00000000 },
    { VLAPIC_REG_LVT_TIMER, 0xFFF9FFEC, 0x000100EC },
    { VLAPIC_REG_LVT_THERMAL, 0xFFFFF8EC, 0x000100EC },
    { VLAPIC_REG_LVT_PERF, 0xFFFFFCEC, 0x000104EC },
    { VLAPIC_REG_LVT_LINT0, 0xFFFF78EC, 0x000120EC },
    { VLAPIC_REG_LVT_LINT1, 0xFFFF78EC, 0x000120EC },
    { VLAPIC_REG_LVT_ERROR, 0xFFFFFFEC, 0x000100EC },
    { VLAPIC_REG_INITIAL_COUNT, 0x12345678, 0x12345678 },
    { VLAPIC_REG_DIVIDE_CONFIG, 0xFFFFFFF4, 0x00000000 },
    { VLAPIC_REG_DIVIDE_CONFIG, 0xFFFFFFFF, 0x0000000B },
};

static void a_trapped_write_is_sanitised_in_the_page(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++) {
        start(BED_AVIC);
        bed_enter(0);
        bed.cpu[0].length = 77;
        assert_int_equal(bed_trap(0, traps[i].offset, traps[i].written), VLAPIC_SVM_RESUME);
        assert_int_equal(bed.cpu[0].length, 0);
        if (page(traps[i].offset) != traps[i].kept) {
            fail_msg("register %x: %x, not %x", traps[i].offset, page(traps[i].offset), traps[i].kept);
        }
        assert_int_equal(bed_read(0, traps[i].offset), traps[i].kept);
        bed_end();
    }
}

/* As soft has it: the same write by the model's door. */
static void a_trapped_write_leaves_what_a_write_leaves(void **state)
{
    static const uint32_t values[] = { 0, 0xFFFFFFFF, 0xA5A5A5A5, 0x000100FE, 0x000000FE, 0x0002A0FE, 0x04000000 };

    (void)state;
    for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++) {
        for (unsigned k = 0; k < sizeof values / sizeof values[0]; k++) {
            struct vlapic_cpu_state by_door = { 0 }, by_trap = { 0 };

            for (unsigned way = 0; way < 2; way++) {
                start(BED_AVIC);
                bed_write(0, VLAPIC_REG_LVT_ERROR, 0xFD);
                bed_enter(0);
                if (way == 0) {
                    bed_leave(0);
                    bed_write(0, traps[i].offset, values[k]);
                } else {
                    assert_int_equal(bed_trap(0, traps[i].offset, values[k]), VLAPIC_SVM_RESUME);
                }
                assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, way == 0 ? &by_door : &by_trap, sizeof by_door),
                                 VLAPIC_OK);
                bed_end();
            }
            assert_memory_equal(&by_door, &by_trap, sizeof by_door);
        }
    }
}

/* What the register does may depend on its old value. */
static void a_trapped_write_acts_on_the_old_value(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed_write(0, VLAPIC_REG_LVT_TIMER, 0x000EC);
    bed_write(0, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    bed_write(0, VLAPIC_REG_INITIAL_COUNT, 1000);
    bed.now_ns += 400;
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_LVT_TIMER, 0x200EC), VLAPIC_SVM_RESUME); /* periodic: goes on */
    assert_int_equal(bed_read(0, VLAPIC_REG_CURRENT_COUNT), 600);
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_INITIAL_COUNT, 50), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_read(0, VLAPIC_REG_CURRENT_COUNT), 50);
    /* LVTs lose their enable with SVR: the mask was not in the page. */
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_SVR, 0x0FF), VLAPIC_SVM_RESUME);
    assert_int_equal(page(VLAPIC_REG_LVT_TIMER), 0x300EC);
}

/* A22: some processors report other messages by 402h. */
static void an_icr_that_traps_is_sent(void **state)
{
    struct vlapic_poll duty;

    (void)state;
    bed_prepare(BED_AVIC);
    bed_start(2);
    bed_enter(0);
    bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4] = 0x01000000;
    assert_int_equal(bed_trap(0, VLAPIC_REG_ICR_LOW, 0x5400), VLAPIC_SVM_RESUME);
    vlapic_cpu_poll(bed.cpu[1].cpu, &duty);
    assert_true(duty.nmi);
    assert_int_equal(page(VLAPIC_REG_ICR_LOW), 0x4400);
}

/* ---- EOI ---- */

static void a_level_eoi_is_told_once(void **state)
{
    (void)state;
    for (unsigned cleared = 0; cleared < 2; cleared++) {
        start(BED_AVIC);
        assert_true(vlapic_cpu_post(bed.cpu[0].cpu, 0x61, true));
        bed_enter(0);
        /* Hardware delivers it, and one above it. */
        __atomic_fetch_and(&bed.cpu[0].page[VLAPIC_REG_IRR / 4 + 3 * 4], ~2u, __ATOMIC_SEQ_CST);
        bed_set_bit(0, VLAPIC_REG_ISR, 0x61);
        bed_set_bit(0, VLAPIC_REG_ISR, 0x41);
        bed_forget();
        if (cleared) {
            __atomic_fetch_and(&bed.cpu[0].page[VLAPIC_REG_ISR / 4 + 3 * 4], ~2u, __ATOMIC_SEQ_CST);
        }
        bed.cpu[0].page[VLAPIC_REG_EOI / 4] = 0x1234;
        assert_int_equal(bed_exit(0, SVMHW_EXIT_NOACCEL, 0x1000000B0, 0xFFFFFFFFFFFFFF61), VLAPIC_SVM_RESUME);
        assert_int_equal(bed.cpu[0].length, 0);
        assert_false(bed_bit(0, VLAPIC_REG_ISR, 0x61));
        assert_true(bed_bit(0, VLAPIC_REG_ISR, 0x41)); /* never "the highest" */
        assert_int_equal(bed.events, 1);
        assert_int_equal(bed_event_at(0, BED_BROADCAST)->value, 0x61);
        assert_int_equal(bed_read(0, VLAPIC_REG_PPR), 0x40);
        assert_int_equal(page(VLAPIC_REG_EOI), 0);
        bed_end();
    }
}

/* ---- 402h, a fault: nothing has happened yet ---- */

static bool is_trap(uint32_t offset)
{
    for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++) {
        if (traps[i].offset == offset) {
            return true;
        }
    }
    return offset == VLAPIC_REG_EOI || offset == VLAPIC_REG_ICR_LOW;
}

static void every_other_register_is_a_fault(void **state)
{
    (void)state;
    for (uint32_t offset = 0; offset < 0x1000; offset += 16) {
        for (unsigned write = 0; write < 2; write++) {
            if (write && is_trap(offset)) {
                continue;
            }
            bed_prepare(BED_AVIC);
            bed.svm.cpuid_edx = ~(1u << 27); /* the extended LVT */
            bed_start(1);
            bed.cpu[0].reg[7] = WINDOW + offset;
            bed.cpu[0].reg[0] = 0x5A5A5A5A;
            bed_code(0, write ? "\x89\x07" : "\x8B\x07", 2); /* MOV [RDI], EAX; MOV EAX, [RDI] */
            bed_enter(0);
            assert_int_equal(bed_fault(0, offset, write), VLAPIC_SVM_ADVANCE);
            assert_int_equal(bed.cpu[0].length, 2);
            if (!write) {
                assert_int_equal(bed.cpu[0].reg[0], bed_read(0, offset));
            }
            bed_end();
        }
    }
}

static void a_fault_is_carried_out_by_the_model(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed_write(0, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    bed_write(0, VLAPIC_REG_INITIAL_COUNT, 5000);
    bed.now_ns += 1000;
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_CURRENT_COUNT;
    bed_code(0, "\x8B\x07", 2);
    bed_enter(0);
    /* Reserved bits of the information are noise. */
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NOACCEL, 0xFFFFFFFEFFFFF39F, UINT64_MAX), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].reg[0], 4000);
    /* A write to a register that is read only changes nothing: MOV [RDI], EAX. */
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_VERSION;
    bed.cpu[0].reg[0] = 0;
    bed_code(0, "\x89\x07", 2);
    bed_enter(0);
    assert_int_equal(bed_fault(0, VLAPIC_REG_VERSION, true), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed_read(0, VLAPIC_REG_VERSION), 0x00050014);
}

/* Reference 5.1, EDX[27]: a write has happened, and RIP is behind it. The VM has no such registers. */
static void a_write_of_the_extended_lvt_may_be_a_trap(void **state)
{
    (void)state;
    for (uint32_t offset = VLAPIC_REG_EXT_LVT; offset <= VLAPIC_REG_EXT_LVT + 0x30; offset += 0x10) {
        start(BED_AVIC);
        bed.cpu[0].reg[7] = WINDOW + offset;
        bed_code(0, "\x89\x07", 2); /* the next one is another MOV [RDI], EAX */
        bed_enter(0);
        assert_int_equal(bed_trap(0, offset, 0x000200FF), VLAPIC_SVM_RESUME);
        assert_int_equal(bed.cpu[0].length, 0);
        assert_int_equal(page(offset), VLAPIC_LVT_MASKED);
        /* A read, if it exits, is a fault still; beyond 530h so are writes. */
        bed_code(0, "\x8B\x07", 2);
        bed_enter(0);
        assert_int_equal(bed_fault(0, offset, false), VLAPIC_SVM_ADVANCE);
        bed.cpu[0].reg[7] = WINDOW + 0x540;
        bed_code(0, "\x89\x07", 2);
        bed_enter(0);
        assert_int_equal(bed_fault(0, 0x540, true), VLAPIC_SVM_ADVANCE);
        bed_end();
    }
}

/* Reference 7.2: 402h tells bits 11:4 of the offset alone, and a fault may be anywhere in the register's 16 bytes. */
static void a_fault_between_registers_makes_progress(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < 16; low++) {
        start(BED_AVIC);
        bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_CURRENT_COUNT + low;
        bed.cpu[0].reg[0] = UINT64_MAX;
        bed_code(0, "\x8A\x07", 2); /* MOV AL, [RDI] */
        bed_enter(0);
        assert_int_equal(bed_fault(0, VLAPIC_REG_CURRENT_COUNT, false), VLAPIC_SVM_ADVANCE);
        assert_int_equal(bed.cpu[0].length, 2);
        assert_int_equal(bed.cpu[0].reg[0] & 0xFF, 0);
        /* Another register: the code has changed. */
        bed_enter(0);
        assert_int_equal(bed_fault(0, VLAPIC_REG_APR, false), VLAPIC_SVM_RESUME);
        bed_end();
    }
}

static void in_x2apic_mode_a_fault_is_an_msr_access(void **state)
{
    (void)state;
    start(BED_ALL);
    bed_x2apic(0);
    bed_write(0, VLAPIC_REG_DIVIDE_CONFIG, 0xB);
    bed_write(0, VLAPIC_REG_INITIAL_COUNT, 5000);
    bed_code(0, "\x0F\x32", 2);
    bed.cpu[0].reg[1] = 0x839;
    bed.cpu[0].reg[0] = UINT64_MAX;
    bed.cpu[0].reg[2] = UINT64_MAX;
    bed_enter(0);
    assert_int_equal(bed_fault(0, VLAPIC_REG_CURRENT_COUNT, false), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 2);
    assert_int_equal(bed.cpu[0].reg[0], 5000);
    assert_int_equal(bed.cpu[0].reg[2], 0);
    bed_code(0, "\x0F\x30", 2);
    bed.cpu[0].reg[1] = 0x80A;
    bed_enter(0);
    assert_int_equal(bed_fault(0, VLAPIC_REG_PPR, true), VLAPIC_SVM_GP);
    assert_int_equal(bed.cpu[0].length, 0);
    /* A trap comes too late for #GP: the old value stays. */
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_SVR, 0xFFFFFFFF), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_read(0, VLAPIC_REG_SVR), 0x1FF);
    bed_enter(0);
    assert_int_equal(bed_trap(0, VLAPIC_REG_LVT_ERROR, 0x000000FD), VLAPIC_SVM_RESUME);
    assert_int_equal(bed_read(0, VLAPIC_REG_LVT_ERROR), 0xFD);
}

/* ---- the window by a nested page fault ---- */

static void the_window_is_decoded(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR;
    bed.cpu[0].reg[0] = 0x35;
    bed_code(0, "\x89\x07", 2);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, WRITES, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 2);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x35);
    bed.cpu[0].reg[0] = 0;
    bed_code(0, "\x8B\x07", 2);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].reg[0], 0x35);
    /* Both of it: ADD DWORD [RDI], 1. */
    bed_code(0, "\x83\x07\x01", 3);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, WRITES, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 3);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x36);
}

static void other_addresses_are_not_ours(void **state)
{
    static const uint64_t elsewhere[] = { WINDOW - 1, WINDOW + 0x1000, 0, WINDOW | 1ull << 40 };

    (void)state;
    start(0);
    bed_code(0, "\x8B\x07", 2);
    for (unsigned i = 0; i < 4; i++) {
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, elsewhere[i]), VLAPIC_SVM_NOT_MINE);
    }
    /* In x2APIC mode, and with the APIC disabled, there is no window. */
    bed_x2apic(0);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW), VLAPIC_SVM_NOT_MINE);
    bed_set_base(0, 0);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW), VLAPIC_SVM_NOT_MINE);
}

/* Reference 2.6: a fetch, a walk of the page tables and the delivery of an event are not the instruction's at RIP. */
static void what_the_instruction_does_not_do_is_not_carried_out(void **state)
{
    static const struct {
        uint64_t info1, interrupted;
    } rows[] = { { FETCHES, 0 },
                 { 1ull << 33, 0 },
                 { 1ull << 33 | WRITES, 0 },
                 { 1ull << 32 | WRITES, SVMHW_EVENT_VALID | 0x61 },
                 { 1ull << 32 | WRITES, SVMHW_EVENT_VALID | 0xB0E } };

    (void)state;
    start(0);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR;
        bed.cpu[0].reg[0] = 0x35;
        bed_code(0, (rows[i].info1 & WRITES) != 0 ? "\x89\x07" : "\x8B\x07", 2);
        bed_enter(0);
        bed_set(0, SVMHW_EXITINTINFO, 8, rows[i].interrupted);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, rows[i].info1, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_UNSUPPORTED);
        assert_int_equal(bed.cpu[0].length, 0);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0);
        assert_int_equal(bed.cpu[0].reg[0], 0x35);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, rows[i].info1, 0x2000), VLAPIC_SVM_NOT_MINE);
    }
    bed_end();
    /* With AVIC, where the stack is in the window. */
    start(BED_AVIC);
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_VERSION;
    bed_code(0, "\x89\x07", 2);
    bed_enter(0);
    bed_set(0, SVMHW_EXITINTINFO, 8, SVMHW_EVENT_VALID | 0xB0E);
    assert_int_equal(bed_fault(0, VLAPIC_REG_VERSION, true), VLAPIC_SVM_UNSUPPORTED);
}

static void what_cannot_be_decoded_is_said(void **state)
{
    uint32_t length = 5;

    (void)state;
    start(0);
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR;
    bed_code(0, "\x0F\x0B", 2); /* UD2 */
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_UNSUPPORTED);
    assert_int_equal(bed.cpu[0].length, 0);
    /* The code has changed meanwhile: a store is there, a load exited. The guest comes back. */
    bed_code(0, "\x89\x07", 2);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_RESUME);
    assert_int_equal(vlapic_svm_access(bed.cpu[0].cpu, WINDOW + VLAPIC_REG_TPR, true, &length), VLAPIC_SVM_ADVANCE);
    assert_int_equal(length, 2);
    assert_int_equal(vlapic_svm_access(bed.cpu[0].cpu, 0x1000, true, &length), VLAPIC_SVM_NOT_MINE);
    assert_int_equal(length, 0);
    bed_end();

    bed_prepare(0);
    bed.ops.fetch = NULL;
    bed_start(1);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW), VLAPIC_SVM_UNSUPPORTED);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_UNSUPPORTED);
}

/* A guest with segments and memory: one doubleword at 2000h. */
static uint32_t guest_memory;
static bool memory_faults;

static uint64_t gs_base(void *cookie, enum vlapic_decode_segment segment)
{
    assert_ptr_equal(cookie, &bed.cpu[0]);
    return segment == VLAPIC_DECODE_GS ? 0x10 : 0;
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    assert_ptr_equal(cookie, &bed.cpu[0]);
    assert_int_equal(address->linear, 0x2000);
    assert_int_equal(width, 4);
    *value = guest_memory;
    return !memory_faults;
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    assert_ptr_equal(cookie, &bed.cpu[0]);
    assert_int_equal(address->linear, 0x2000);
    assert_int_equal(width, 4);
    guest_memory = (uint32_t)value;
    return true;
}

static void the_guests_segments_and_memory_are_the_embedders(void **state)
{
    static struct vlapic_decode_ops ops;

    (void)state;
    bed_prepare(0);
    ops = *bed.ops.guest;
    ops.segment_base = gs_base;
    ops.memory_read = memory_read;
    ops.memory_write = memory_write;
    bed.ops.guest = &ops;
    bed_start(1);
    /* MOVSD into TPR, and out of it. */
    guest_memory = 0x47;
    memory_faults = false;
    bed_code(0, "\xA5", 1);
    bed.cpu[0].reg[6] = 0x2000;
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, WRITES, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 1);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x47);
    bed_write(0, VLAPIC_REG_TPR, 0x35);
    bed.cpu[0].reg[6] = WINDOW + VLAPIC_REG_TPR;
    bed.cpu[0].reg[7] = 0x2000;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(guest_memory, 0x35);
    /* A fault on the way is the instruction's result. */
    memory_faults = true;
    bed.cpu[0].reg[6] = 0x2000;
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, WRITES, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_RESUME);
    assert_int_equal(bed.cpu[0].length, 0);
    /* MOV EAX, GS:[RDI]. */
    bed_code(0, "\x65\x8B\x07", 3);
    bed.cpu[0].reg[7] = WINDOW + VLAPIC_REG_TPR - 0x10;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_NPF, 0, WINDOW + VLAPIC_REG_TPR), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].reg[0], 0x35);
}

/* ---- CR8 ---- */

static void cr8_is_moved_from_and_to_every_register(void **state)
{
    (void)state;
    start(0);
    for (unsigned reg = 0; reg < 16; reg++) {
        const uint8_t to[] = { (uint8_t)(0x44 | reg >> 3), 0x0F, 0x22, (uint8_t)(0xC0 | (reg & 7)) };
        const uint8_t from[] = { (uint8_t)(0x44 | reg >> 3), 0x0F, 0x20, (uint8_t)(0xC0 | (reg & 7)) };

        bed.cpu[0].reg[reg] = 15 - reg;
        bed_code(0, to, 4);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_ADVANCE);
        assert_int_equal(bed.cpu[0].length, 4);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), (15 - reg) << 4);
        bed.cpu[0].reg[reg] = UINT64_MAX;
        bed_code(0, from, 4);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_READ, 0, 0), VLAPIC_SVM_ADVANCE);
        assert_int_equal(bed.cpu[0].length, 4);
        assert_int_equal(bed.cpu[0].reg[reg], 15 - reg);
    }
}

static void reserved_bits_of_cr8_are_gp(void **state)
{
    static const uint64_t values[] = { 0x10, 0xFF, 1ull << 32, 1ull << 63 };

    (void)state;
    start(0);
    bed_code(0, "\x44\x0F\x22\xC0", 4);
    for (unsigned i = 0; i < 4; i++) {
        bed.cpu[0].reg[0] = values[i];
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_GP);
        assert_int_equal(bed.cpu[0].length, 0);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0);
    }
}

/* AltMovCr8, and prefixes that do nothing. */
static void other_forms_of_the_move_are_known(void **state)
{
    static const struct {
        const char *bytes;
        unsigned count;
        enum vlapic_decode_mode mode;
    } forms[] = {
        { "\xF0\x0F\x22\xC3", 4, VLAPIC_DECODE_MODE_32 },
        { "\xF0\x0F\x22\xC3", 4, VLAPIC_DECODE_MODE_64 },
        { "\x66\x67\x2E\x44\x0F\x22\xC3", 7, VLAPIC_DECODE_MODE_64 },
        { "\xF2\xF3\x64\x65\x44\x0F\x22\xC3", 8, VLAPIC_DECODE_MODE_64 },
    };

    (void)state;
    start(0);
    for (unsigned i = 0; i < 4; i++) {
        bed.cpu[0].mode = forms[i].mode;
        bed.cpu[0].reg[3] = 5 + i;
        bed_code(0, forms[i].bytes, forms[i].count);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_ADVANCE);
        assert_int_equal(bed.cpu[0].length, forms[i].count);
        assert_int_equal(bed_read(0, VLAPIC_REG_TPR), (5 + i) << 4);
    }
}

/* AltMovCr8 in 32-bit mode: what is above the register's 32 bits does not count. */
static void outside_of_64_bit_mode_cr8_has_32_bits(void **state)
{
    (void)state;
    start(0);
    bed.cpu[0].mode = VLAPIC_DECODE_MODE_32;
    bed.cpu[0].reg[3] = 0xFFFFFFFF00000007;
    bed_code(0, "\xF0\x0F\x22\xC3", 4);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed_read(0, VLAPIC_REG_TPR), 0x70);
    bed.cpu[0].reg[3] = 0x10;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_GP);
}

static void a_move_that_cannot_be_read_is_not_guessed(void **state)
{
    static const struct {
        const char *bytes;
        unsigned count;
    } rows[] = { { "", 0 },         { "\x44", 1 },     { "\x44\x0F", 2 },        { "\x44\x0F\x22", 3 },
                 { "\x90\x90", 2 }, { "\x66\x66", 2 }, { "\x44\x89\x22\xC0", 4 } };

    (void)state;
    start(0);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bed_code(0, rows[i].bytes, rows[i].count);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_CR8_WRITE, 0, 0), VLAPIC_SVM_UNSUPPORTED);
        assert_int_equal(bed.cpu[0].length, 0);
    }
}

/* ---- MSRs ---- */

static void msrs_are_read_and_written(void **state)
{
    (void)state;
    start(0);
    bed_x2apic(0);
    bed_code(0, "\x0F\x30", 2);
    bed.cpu[0].reg[1] = 0xFFFFFFFF00000830; /* ECX */
    bed.cpu[0].reg[0] = 0xFFFFFFFF000000F1;
    bed.cpu[0].reg[2] = 0xFFFFFFFF00000077;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 1, 0), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 2);
    bed_code(0, "\x0F\x32", 2);
    bed.cpu[0].reg[0] = UINT64_MAX;
    bed.cpu[0].reg[2] = UINT64_MAX;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 0, 0), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].reg[0], 0xF1);
    assert_int_equal(bed.cpu[0].reg[2], 0x77);
}

static void msrs_of_others_and_faults_change_nothing(void **state)
{
    (void)state;
    start(0);
    bed_code(0, "\x0F\x32", 2);
    bed.cpu[0].reg[0] = 0x1234;
    bed.cpu[0].reg[1] = 0xC0000080;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 0, 0), VLAPIC_SVM_NOT_MINE);
    assert_int_equal(bed.cpu[0].length, 0);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 1, 0), VLAPIC_SVM_NOT_MINE);
    bed.cpu[0].reg[1] = 0x802; /* not in xAPIC mode */
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 0, 0), VLAPIC_SVM_GP);
    assert_int_equal(bed.cpu[0].length, 0);
    assert_int_equal(bed.cpu[0].reg[0], 0x1234);
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 1, 0), VLAPIC_SVM_GP);
}

/* nRIP has to do where the bytes cannot be had. */
static void without_the_bytes_the_length_is_nrips(void **state)
{
    static const struct {
        const char *bytes;
        unsigned count, length;
    } rows[] = { { "", 0, 0 },         { "\x0F", 1, 0 },         { "\x90", 1, 0 },
                 { "\x0F\x32", 2, 2 }, { "\x66\x0F\x32", 3, 3 }, { "\x48\x0F\x32\x90", 4, 3 } };

    (void)state;
    start(0);
    bed.cpu[0].reg[1] = VLAPIC_MSR_APIC_BASE;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bed_code(0, rows[i].bytes, rows[i].count);
        bed_enter(0);
        assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 0, 0), VLAPIC_SVM_ADVANCE);
        assert_int_equal(bed.cpu[0].length, rows[i].length);
        assert_int_equal(bed.cpu[0].reg[0], 0xFEE00900);
    }
    bed_end();
    bed_prepare(0);
    bed.ops.fetch = NULL;
    bed_start(1);
    bed.cpu[0].reg[1] = VLAPIC_MSR_APIC_BASE;
    bed_enter(0);
    assert_int_equal(bed_exit(0, SVMHW_EXIT_MSR, 0, 0), VLAPIC_SVM_ADVANCE);
    assert_int_equal(bed.cpu[0].length, 0);
}

/* ---- others ---- */

static void other_exits_are_the_embedders(void **state)
{
    static const uint32_t codes[] = { 0x00, 0x10, 0x40, 0x60, 0x61, 0x78, 0x7B, 0x80, 0x98, 0xA6, 0x403, 0xFFFFFFFF };

    (void)state;
    start(BED_ALL);
    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        bed_enter(0);
        bed_set(0, SVMHW_EVENTINJ, 8, 0x80000B0E);
        assert_int_equal(bed_exit(0, codes[i], UINT64_MAX, UINT64_MAX), VLAPIC_SVM_NOT_MINE);
        assert_int_equal(bed_injected(0), 0);
        assert_int_equal(bed_get(0, SVMHW_RIP, 8), BED_RIP);
    }
}

/* ---- what guests and hardware leave in the page ---- */

static void an_exit_tidies_the_page(void **state)
{
    (void)state;
    start(BED_AVIC);
    bed_enter(0);
    bed.cpu[0].page[VLAPIC_REG_TPR / 4] = 0xFFFFFF21;
    bed.cpu[0].page[VLAPIC_REG_ICR_LOW / 4] = 0x000C50F1; /* delivery status */
    bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4] = 0x12345678;
    bed.cpu[0].page[VLAPIC_REG_EOI / 4] = 0x55;
    bed.cpu[0].page[VLAPIC_REG_SELF_IPI / 4] = 0x55;
    bed_leave(0);
    assert_int_equal(page(VLAPIC_REG_TPR), 0x21);
    assert_int_equal(page(VLAPIC_REG_ICR_LOW), 0x000C40F1);
    assert_int_equal(page(VLAPIC_REG_ICR_HIGH), 0x12000000);
    assert_int_equal(page(VLAPIC_REG_EOI), 0);
    assert_int_equal(page(VLAPIC_REG_SELF_IPI), 0);
    bed_x2apic(0);
    bed_enter(0);
    bed.cpu[0].page[VLAPIC_REG_ICR_HIGH / 4] = 0x12345678;
    bed_leave(0);
    assert_int_equal(page(VLAPIC_REG_ICR_HIGH), 0x12345678);
}

static void a_snapshot_has_what_hardware_set(void **state)
{
    struct vlapic_cpu_state saved;

    (void)state;
    start(BED_AVIC);
    bed_round(0);
    assert_int_equal(bed_pending(0), -1);
    bed_set_bit(0, VLAPIC_REG_IRR, 0x61); /* an IOMMU, while it is in the host */
    assert_int_equal(vlapic_cpu_get_state(bed.cpu[0].cpu, &saved, sizeof saved), VLAPIC_OK);
    assert_int_equal(saved.irr[3], 2);
    assert_int_equal(bed_pending(0), 0x61);
    bed_end();
    /* Restored elsewhere, without AVIC. */
    start(0);
    assert_int_equal(vlapic_cpu_set_state(bed.cpu[0].cpu, &saved, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    bed_enter(0);
    assert_int_equal(bed_injected(0), SVMHW_EVENT_VALID | 0x61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_trapped_write_is_sanitised_in_the_page, bed_teardown),
        cmocka_unit_test_teardown(a_trapped_write_leaves_what_a_write_leaves, bed_teardown),
        cmocka_unit_test_teardown(a_trapped_write_acts_on_the_old_value, bed_teardown),
        cmocka_unit_test_teardown(an_icr_that_traps_is_sent, bed_teardown),
        cmocka_unit_test_teardown(a_level_eoi_is_told_once, bed_teardown),
        cmocka_unit_test_teardown(every_other_register_is_a_fault, bed_teardown),
        cmocka_unit_test_teardown(a_fault_is_carried_out_by_the_model, bed_teardown),
        cmocka_unit_test_teardown(a_write_of_the_extended_lvt_may_be_a_trap, bed_teardown),
        cmocka_unit_test_teardown(a_fault_between_registers_makes_progress, bed_teardown),
        cmocka_unit_test_teardown(in_x2apic_mode_a_fault_is_an_msr_access, bed_teardown),
        cmocka_unit_test_teardown(the_window_is_decoded, bed_teardown),
        cmocka_unit_test_teardown(other_addresses_are_not_ours, bed_teardown),
        cmocka_unit_test_teardown(what_the_instruction_does_not_do_is_not_carried_out, bed_teardown),
        cmocka_unit_test_teardown(what_cannot_be_decoded_is_said, bed_teardown),
        cmocka_unit_test_teardown(the_guests_segments_and_memory_are_the_embedders, bed_teardown),
        cmocka_unit_test_teardown(cr8_is_moved_from_and_to_every_register, bed_teardown),
        cmocka_unit_test_teardown(reserved_bits_of_cr8_are_gp, bed_teardown),
        cmocka_unit_test_teardown(other_forms_of_the_move_are_known, bed_teardown),
        cmocka_unit_test_teardown(outside_of_64_bit_mode_cr8_has_32_bits, bed_teardown),
        cmocka_unit_test_teardown(a_move_that_cannot_be_read_is_not_guessed, bed_teardown),
        cmocka_unit_test_teardown(msrs_are_read_and_written, bed_teardown),
        cmocka_unit_test_teardown(msrs_of_others_and_faults_change_nothing, bed_teardown),
        cmocka_unit_test_teardown(without_the_bytes_the_length_is_nrips, bed_teardown),
        cmocka_unit_test_teardown(other_exits_are_the_embedders, bed_teardown),
        cmocka_unit_test_teardown(an_exit_tidies_the_page, bed_teardown),
        cmocka_unit_test_teardown(a_snapshot_has_what_hardware_set, bed_teardown),
    };
    return cmocka_run_group_tests_name("svm: exits", tests, NULL, NULL);
}
