/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault-like exits: CR8, MSRs, the APIC-access page, EPT; and those that ask for nothing. Trap-like ones: test_vmx_apic_write.c. */
#include "vmx_rig.h"

#include "levels.h"

#define RAX 0
#define RCX 1
#define RDX 2
#define RDI 7
#define RESUME VLAPIC_VMX_RESUME
#define ADVANCE VLAPIC_VMX_ADVANCE
#define GP VLAPIC_VMX_GP
#define NOT_MINE VLAPIC_VMX_NOT_MINE
#define UNSUPPORTED VLAPIC_VMX_UNSUPPORTED

static struct rig rig;
static struct rig_cpu *c;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

/* In the guest, as far as the library knows. */
static void start(uint32_t features, bool x2apic)
{
    c = rig_one(&rig, features, x2apic);
    rig_enter_open(c);
}

static void assert_exit(uint32_t reason, uint64_t qualification, enum vlapic_vmx_result result, uint32_t length)
{
    assert_int_equal(rig_exit(c, reason, qualification), result);
    if (result == ADVANCE)
        assert_int_equal(c->length, length);
    rig_enter_open(c);
}

static uint32_t apic_get(uint32_t offset)
{
    uint32_t value;

    vlapic_cpu_exit(c->cpu);
    value = guest_get(c->cpu, offset);
    rig_enter_open(c);
    return value;
}

/* ---- nothing to do, or nothing of ours ---- */

static void windows_and_the_threshold_are_finished_by_the_next_entry(void **state)
{
    /* Reference 12 */
    (void)state;
    start(LEVEL_ACCESS, false);
    assert_exit(APICV_EXIT_INTERRUPT_WINDOW, 0, RESUME, 0);
    assert_exit(APICV_EXIT_NMI_WINDOW, 0, RESUME, 0);
    assert_exit(APICV_EXIT_TPR_BELOW_THRESHOLD, 0, RESUME, 0);
}

static void exits_of_others_are_not_mine(void **state)
{
    /* Reference 12 */
    (void)state;
    start(LEVEL_POSTED, false);
    for (uint32_t reason = 0; reason < 80; reason++) {
        switch (reason) {
        case 7:
        case 8:
        case 28:
        case 31:
        case 32:
        case 43:
        case 44:
        case 45:
        case 48:
        case 49:
        case 56:
            break;
        default:
            assert_exit(reason, 0x10B0, NOT_MINE, 0);
        }
    }
}

/* ---- CR8 ---- */

static uint64_t cr8(unsigned gpr, bool store)
{
    return 8 | (store ? 0x10u : 0) | gpr << 8;
}

static void cr8_goes_to_and_from_each_register(void **state)
{
    /* Reference 7 */
    (void)state;
    start(0, false);
    for (unsigned gpr = 0; gpr < 16; gpr++) {
        c->reg[gpr] = gpr ^ 5;
        assert_exit(APICV_EXIT_CR_ACCESS, cr8(gpr, false), ADVANCE, 3);
        assert_int_equal(apic_get(VLAPIC_REG_TPR), (gpr ^ 5) << 4);
        c->reg[gpr] = UINT64_MAX;
        assert_exit(APICV_EXIT_CR_ACCESS, cr8(gpr, true), ADVANCE, 3);
        assert_int_equal(c->reg[gpr], gpr ^ 5);
    }
}

static void reserved_bits_of_cr8_fault(void **state)
{
    /* Reference 7: "the exit-28 handler must test source[63:4] itself" */
    (void)state;
    start(0, false);
    c->reg[3] = 7;
    assert_exit(APICV_EXIT_CR_ACCESS, cr8(3, false), ADVANCE, 3);
    for (unsigned bit = 4; bit < 64; bit++) {
        c->reg[3] = 1ull << bit | 2;
        assert_exit(APICV_EXIT_CR_ACCESS, cr8(3, false), GP, 0);
    }
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x70);
}

static void other_control_registers_are_not_mine(void **state)
{
    /* Reference 7: [3:0] is the register; CLTS and LMSW are types 2 and 3 */
    (void)state;
    start(0, false);
    for (unsigned cr = 0; cr < 16; cr++) {
        if (cr != 8)
            assert_exit(APICV_EXIT_CR_ACCESS, cr, NOT_MINE, 0);
    }
    assert_exit(APICV_EXIT_CR_ACCESS, 8 | 0x20, NOT_MINE, 0);
    assert_exit(APICV_EXIT_CR_ACCESS, 8 | 0x30, NOT_MINE, 0);
}

/* ---- MSRs ---- */

static void assert_rdmsr(uint32_t msr, enum vlapic_vmx_result result, uint64_t value)
{
    c->reg[RCX] = 0xFFFFFFFF00000000ull | msr; /* ECX counts */
    c->reg[RAX] = UINT64_MAX;
    c->reg[RDX] = UINT64_MAX;
    assert_exit(APICV_EXIT_RDMSR, 0, result, 3);
    assert_true(c->reg[RAX] == (result == ADVANCE ? (uint32_t)value : UINT64_MAX));
    assert_true(c->reg[RDX] == (result == ADVANCE ? value >> 32 : UINT64_MAX));
}

static void assert_wrmsr(uint32_t msr, uint64_t value, enum vlapic_vmx_result result)
{
    c->reg[RCX] = 0xFFFFFFFF00000000ull | msr;
    c->reg[RAX] = 0xFFFFFFFF00000000ull | (uint32_t)value; /* so does EAX */
    c->reg[RDX] = value >> 32;
    assert_exit(APICV_EXIT_WRMSR, 0, result, 3);
}

static void msrs_are_read_and_written_by_edx_eax(void **state)
{
    /* Reference 9, 12 */
    (void)state;
    start(0, true);
    assert_rdmsr(0x1B, ADVANCE, 0xFEE00D00);
    assert_wrmsr(0x808, 0x42, ADVANCE);
    assert_rdmsr(0x808, ADVANCE, 0x42);
    assert_wrmsr(0x830, 0x1200000000004400ull, ADVANCE);
    assert_rdmsr(0x830, ADVANCE, 0x1200000000004400ull);
}

static void msrs_fault_as_the_registers_do(void **state)
{
    /* Reference 12: "inject #GP on fault" */
    (void)state;
    start(0, true);
    assert_rdmsr(0x80B, GP, 0);
    assert_rdmsr(0x83F, GP, 0);
    assert_rdmsr(0x8FF, GP, 0);
    assert_wrmsr(0x802, 0, GP);
    assert_wrmsr(0x80B, 1, GP);
    assert_wrmsr(0x808, 0x100, GP);
    assert_wrmsr(0x808, 1ull << 32, GP);
    assert_wrmsr(0x1B, 1, GP);
    assert_rdmsr(0x808, ADVANCE, 0);
    start(0, false); /* xAPIC mode */
    assert_rdmsr(0x808, GP, 0);
    assert_wrmsr(0x808, 0, GP);
}

static void msrs_of_others_are_not_mine(void **state)
{
    /* museum 7 */
    (void)state;
    start(LEVEL_POSTED | VLAPIC_VMX_X2APIC, true);
    assert_rdmsr(0x7FF, NOT_MINE, 0);
    assert_rdmsr(0x900, NOT_MINE, 0);
    assert_wrmsr(0x10, 5, NOT_MINE);
}

/* ---- the APIC-access page ---- */

static void set_code(const char *bytes, size_t count)
{
    memcpy(c->code, bytes, count);
    c->code_bytes = count;
}
#define CODE(bytes) set_code(bytes, sizeof(bytes) - 1)

static void assert_access(uint32_t offset, bool write, enum vlapic_vmx_result result, uint32_t length)
{
    c->reg[RDI] = RIG_APIC + offset;
    assert_exit(APICV_EXIT_APIC_ACCESS, offset | (write ? 0x1000u : 0), result, length);
}

static void instructions_are_decoded_and_carried_out(void **state)
{
    /* Reference 8.5: "The exit gives no data and no operand". Lengths are those of the encodings; the VMCS's is undefined and not used */
    (void)state;
    start(LEVEL_ACCESS, false);
    CODE("\x89\x07"); /* mov [rdi], eax */
    c->reg[RAX] = 0x1F3;
    assert_access(0xF0, true, ADVANCE, 2);
    assert_int_equal(apic_get(VLAPIC_REG_SVR), 0x1F3);
    CODE("\x8B\x0F"); /* mov ecx, [rdi] */
    c->reg[RCX] = UINT64_MAX;
    assert_access(0xF0, false, ADVANCE, 2);
    assert_true(c->reg[RCX] == 0x1F3);
    CODE("\xC7\x07\x41\x00\x02\x00"); /* mov dword [rdi], 20041h */
    assert_access(0x320, true, ADVANCE, 6);
    assert_int_equal(apic_get(VLAPIC_REG_LVT_TIMER), 0x20041);
    CODE("\x81\x0F\x00\x00\x01\x00"); /* or dword [rdi], 10000h: either direction may be told */
    assert_access(0x320, false, ADVANCE, 6);
    assert_int_equal(apic_get(VLAPIC_REG_LVT_TIMER), 0x30041);
    CODE("\x81\x27\xFF\xFF\xFE\xFF"); /* and dword [rdi], FFFEFFFFh */
    assert_access(0x320, true, ADVANCE, 6);
    assert_int_equal(apic_get(VLAPIC_REG_LVT_TIMER), 0x20041);
    CODE("\x0F\xB6\x17"); /* movzx edx, byte [rdi] */
    assert_access(0xF0, false, ADVANCE, 3);
    assert_int_equal(c->reg[RDX], 0xF3);
    CODE("\x87\x07"); /* xchg [rdi], eax */
    c->reg[RAX] = 0x20042;
    assert_access(0x320, true, ADVANCE, 2);
    assert_int_equal(c->reg[RAX], 0x20041);
    assert_int_equal(apic_get(VLAPIC_REG_LVT_TIMER), 0x20042);
}

static void rep_stos_goes_on_at_the_same_instruction(void **state)
{
    /* decode.h, VLAPIC_DECODE_AGAIN: one iteration an exit */
    (void)state;
    start(LEVEL_ACCESS, false);
    CODE("\xF3\xAB"); /* rep stosd */
    c->reg[RAX] = 0x55;
    c->reg[RCX] = 2;
    assert_access(0x80, true, RESUME, 0);
    assert_int_equal(c->reg[RCX], 1);
    assert_int_equal(c->reg[RDI], RIG_APIC + 0x84);
    assert_exit(APICV_EXIT_APIC_ACCESS, 0x1084, ADVANCE, 2);
    assert_int_equal(c->reg[RCX], 0);
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x55);
}

static bool memory_read(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t *value)
{
    (void)cookie;
    assert_int_equal(width, 4);
    *value = 0x66;
    return address->linear == 0x5000;
}

static bool memory_write(void *cookie, const struct vlapic_decode_address *address, uint32_t width, uint64_t value)
{
    (void)cookie;
    assert_int_equal(width, 4);
    rig.cpu[0].reg[15] = value;
    return address->linear == 0x5000;
}

static uint64_t segment_base(void *cookie, enum vlapic_decode_segment segment)
{
    (void)cookie;
    (void)segment;
    return 0x100000;
}

static void assert_ept(uint32_t reason, uint64_t qualification, uint64_t address, enum vlapic_vmx_result result,
                       uint32_t length)
{
    struct vlapic_vmx_exit exit = {
        .reason = reason, .qualification = qualification, .guest_physical = address, .instruction_length = 7
    };

    c->reg[RDI] = address;
    assert_int_equal(rig_exit_full(c, &exit), result);
    if (result == ADVANCE)
        assert_int_equal(c->length, length);
    rig_enter_open(c);
}

static void the_embedders_memory_and_segments_are_used(void **state)
{
    /* decode.h: MOVS and FS; the cookie is that of the vCPU */
    (void)state;
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_ACCESS);
    rig.guest.memory_read = memory_read;
    rig.guest.memory_write = memory_write;
    rig.guest.segment_base = segment_base;
    rig_start(&rig, 1, false);
    c = &rig.cpu[0];
    rig_enter_open(c);
    CODE("\xA5"); /* movsd */
    c->reg[6] = 0x5000;
    assert_access(0x80, true, ADVANCE, 1);
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x66);
    c->reg[6] = RIG_APIC + 0x80;
    c->reg[RDI] = 0x5000;
    assert_exit(APICV_EXIT_APIC_ACCESS, 0x80, ADVANCE, 1);
    assert_int_equal(c->reg[15], 0x66);
    c->reg[6] = 0x6000; /* faults */
    assert_access(0x80, true, RESUME, 0);
    CODE("\x64\x8B\x07"); /* mov eax, fs:[rdi] */
    c->reg[RDI] = RIG_APIC + 0x80 - 0x100000;
    assert_exit(APICV_EXIT_APIC_ACCESS, 0x80, ADVANCE, 3);
    assert_int_equal(c->reg[RAX], 0x66);
    CODE("\xA5"); /* a misconfiguration does not tell which of the two places it was */
    c->reg[6] = 0x5000;
    assert_ept(49, 0, RIG_APIC + 0x80, ADVANCE, 1);
    c->reg[6] = RIG_APIC + 0x80;
    c->reg[15] = 0;
    assert_ept(49, 0, RIG_APIC + 0x80, RESUME, 0); /* RDI is the same: writing there faults */
    assert_int_equal(c->reg[15], 0x66);
}

static void what_is_no_access_of_the_instruction_is_tried_again(void **state)
{
    /* decode.h, VLAPIC_DECODE_MISMATCH: the code changed between exit and fetch */
    (void)state;
    start(LEVEL_ACCESS, false);
    CODE("\x89\x07");
    c->reg[RDI] = RIG_APIC + 0x80;
    assert_exit(APICV_EXIT_APIC_ACCESS, 0x10F0, RESUME, 0); /* another offset */
    assert_exit(APICV_EXIT_APIC_ACCESS, 0x0080, RESUME, 0); /* another direction */
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0);
}

static void what_cannot_be_finished_is_told(void **state)
{
    /* vmx_run.h, VLAPIC_VMX_UNSUPPORTED */
    (void)state;
    start(LEVEL_ACCESS, false);
    CODE("\x0F\xA2"); /* cpuid */
    assert_access(0x80, true, UNSUPPORTED, 0);
    CODE("\x89"); /* cut off */
    assert_access(0x80, true, UNSUPPORTED, 0);
    set_code("", 0);
    assert_access(0x80, true, UNSUPPORTED, 0);
    CODE("\xA5"); /* MOVS, without memory_read */
    assert_access(0x80, true, UNSUPPORTED, 0);
    rig_stop(&rig);
    rig_prepare(&rig, LEVEL_ACCESS);
    rig.ops.fetch = NULL;
    rig_start(&rig, 1, false);
    rig_enter_open(c);
    CODE("\x89\x07");
    assert_access(0x80, true, UNSUPPORTED, 0);
}

static void only_linear_reads_and_writes_are_carried_out(void **state)
{
    /* Reference 8.5: 0 read, 1 write; fetches, deliveries, MONITOR and guest-physical accesses are beyond an APIC */
    (void)state;
    for (uint64_t type = 0; type < 16; type++) {
        start(LEVEL_ACCESS, false);
        CODE("\x09\x07"); /* or [rdi], eax */
        c->reg[RDI] = RIG_APIC + 0x80;
        c->reg[RAX] = 0x33;
        if (type < 2)
            assert_exit(APICV_EXIT_APIC_ACCESS, type << 12 | 0x80, ADVANCE, 2);
        else
            assert_exit(APICV_EXIT_APIC_ACCESS, type << 12 | 0x80, UNSUPPORTED, 0);
        assert_int_equal(apic_get(VLAPIC_REG_TPR), type < 2 ? 0x33 : 0);
    }
}

static void start_with_length(bool is_valid)
{
    rig_clean(&rig);
    rig_prepare(&rig, LEVEL_ACCESS);
    rig.vmx.length_is_valid = is_valid;
    rig.ops.fetch = is_valid ? NULL : rig.ops.fetch;
    rig_start(&rig, 1, false);
    c = &rig.cpu[0];
    rig_serve(c, 0x61, true);
    rig_enter_open(c);
}

static void an_eoi_needs_no_decoding_where_the_length_is_valid(void **state)
{
    /* Reference 8.5: "For type 1 with offset 0B0h a VMM may skip decode (EOI value is irrelevant)" */
    (void)state;
    start_with_length(true);
    assert_access(0xB0, true, ADVANCE, 3);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    assert_access(0xB0, false, UNSUPPORTED, 0);
    assert_access(0xB1, true, UNSUPPORTED, 0);
    start_with_length(false);
    CODE("\x89\x07");
    assert_access(0xB0, true, ADVANCE, 2);
    assert_int_equal(fake_count(&rig.fake, FAKE_EOI_BROADCAST), 1);
    set_code("", 0);
    assert_access(0xB0, true, UNSUPPORTED, 0);
}

static void a_poisoned_length_is_never_used(void **state)
{
    /* Reference 8.5: the field is formally undefined, so the decoded length counts */
    struct apicv_result r;
    uint64_t value = 0;

    (void)state;
    c = rig_one(&rig, LEVEL_ACCESS, false);
    c->core.knobs.apic_access_length_undefined = true;
    rig_go(c);
    CODE("\x8B\x0F");
    c->reg[RDI] = RIG_APIC + 0x30;
    r = apicv_guest_read(&c->core, RIG_APIC + 0x30, 4, &value);
    assert_int_equal(r.exit.instruction_length, c->core.knobs.poison);
    assert_int_equal(rig_take_reason(c, r, APICV_EXIT_APIC_ACCESS), ADVANCE);
    assert_int_equal(c->length, 2);
    assert_int_equal(c->reg[RCX], 0x00050014);
}

/* ---- EPT ---- */

#define EPT_LINEAR 0x80u
#define EPT_FINAL 0x100u

static void violations_in_the_window_are_carried_out(void **state)
{
    /* Reference 12 and 18.0: qualification bit 0 read, 1 write, 2 fetch */
    (void)state;
    start(0, false);
    CODE("\x89\x07");
    c->reg[RAX] = 0x77;
    assert_ept(48, 2, RIG_APIC + 0x80, ADVANCE, 2);
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x77);
    CODE("\x8B\x0F");
    assert_ept(48, 1, RIG_APIC + 0x80, ADVANCE, 2);
    assert_int_equal(c->reg[RCX], 0x77);
    CODE("\x09\x07"); /* read and write at once */
    c->reg[RAX] = 0x88;
    assert_ept(48, 3, RIG_APIC + 0x80, ADVANCE, 2);
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0xFF);
    assert_ept(48, 2 | EPT_LINEAR | EPT_FINAL, RIG_APIC + 0x80, ADVANCE, 2);
}

static void violations_that_are_no_access_of_the_instruction_touch_nothing(void **state)
{
    /* Reference 12 and 18.0: a fetch, a page walk (bit 7 without bit 8), a push of an event's delivery */
    struct vlapic_vmx_exit delivery = { .qualification = 2 | EPT_LINEAR | EPT_FINAL,
                                        .guest_physical = RIG_APIC + 0x80,
                                        .vectoring = 0x80000B0E };

    (void)state;
    start(0, false);
    CODE("\x89\x07");
    c->reg[RAX] = 0x77;
    assert_ept(48, 4, RIG_APIC + 0x80, UNSUPPORTED, 0);
    assert_ept(48, 4, RIG_APIC + 0x1000, NOT_MINE, 0);
    assert_ept(48, 3 | EPT_LINEAR, RIG_APIC + 0x80, UNSUPPORTED, 0);
    assert_ept(48, 3 | EPT_LINEAR, RIG_APIC + 0x1000, NOT_MINE, 0);
    for (delivery.reason = 48; delivery.reason <= 49; delivery.reason++) {
        c->reg[RDI] = RIG_APIC + 0x80;
        assert_int_equal(rig_exit_full(c, &delivery), UNSUPPORTED);
        rig_enter_open(c);
    }
    assert_int_equal(apic_get(VLAPIC_REG_TPR), 0);
}

static void the_window_is_one_page_at_the_base(void **state)
{
    /* lapic.md, APIC base */
    (void)state;
    start(0, false);
    CODE("\x8B\x0F");
    assert_ept(48, 1, RIG_APIC, ADVANCE, 2);
    assert_ept(48, 1, RIG_APIC + 0xFF0, ADVANCE, 2);
    assert_ept(48, 1, RIG_APIC - 1, NOT_MINE, 0);
    assert_ept(48, 1, RIG_APIC + 0x1000, NOT_MINE, 0);
    assert_ept(48, 1, RIG_APIC + (1ull << 32), NOT_MINE, 0);
    vlapic_cpu_exit(c->cpu);
    guest_wrmsr(c->cpu, VLAPIC_MSR_APIC_BASE, 0xFEC01900);
    rig_enter_open(c);
    assert_ept(48, 1, RIG_APIC + 0x30, NOT_MINE, 0);
    assert_ept(48, 1, 0xFEC01030, ADVANCE, 2);
    assert_int_equal(c->reg[RCX], 0x00050014);
}

static void outside_of_xapic_mode_there_is_no_window(void **state)
{
    /* Reference 17: unclaimed */
    (void)state;
    start(LEVEL_ACCESS, true);
    CODE("\x8B\x0F");
    assert_ept(48, 1, RIG_APIC + 0x30, NOT_MINE, 0);
    assert_ept(49, 0, RIG_APIC + 0x30, NOT_MINE, 0);
    vlapic_cpu_exit(c->cpu);
    guest_disable_apic(c->cpu);
    rig_enter_open(c);
    assert_ept(48, 1, RIG_APIC + 0x30, NOT_MINE, 0);
}

static void a_misconfiguration_tells_no_direction(void **state)
{
    /* Reference 12: reason 49 has no qualification; loads, stores and both are done */
    (void)state;
    for (uint64_t rubbish = 0; rubbish < 8; rubbish++) {
        start(0, false);
        CODE("\x89\x07");
        c->reg[RAX] = 0x77;
        assert_ept(49, rubbish, RIG_APIC + 0x80, ADVANCE, 2);
        assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x77);
        CODE("\x8B\x0F");
        assert_ept(49, rubbish, RIG_APIC + 0x80, ADVANCE, 2);
        assert_int_equal(c->reg[RCX], 0x77);
        CODE("\x09\x07");
        c->reg[RAX] = 0x88;
        assert_ept(49, rubbish, RIG_APIC + 0x80, ADVANCE, 2);
        assert_int_equal(apic_get(VLAPIC_REG_TPR), 0xFF);
        CODE("\xF3\xAB");
        c->reg[RCX] = 2;
        assert_ept(49, rubbish, RIG_APIC + 0x80, RESUME, 0);
        assert_int_equal(apic_get(VLAPIC_REG_TPR), 0x88);
        assert_ept(49, rubbish, RIG_APIC + 0x1000, NOT_MINE, 0);
        CODE("\x0F\xA2");
        assert_ept(49, rubbish, RIG_APIC + 0x80, UNSUPPORTED, 0);
    }
}

static void accesses_that_come_another_way_are_carried_out(void **state)
{
    /* vmx_run.h, vlapic_vmx_access() */
    uint32_t length = 0;

    (void)state;
    start(0, false);
    vlapic_cpu_exit(c->cpu);
    CODE("\x89\x07");
    c->reg[RAX] = 0x77;
    c->reg[RDI] = RIG_APIC + 0x80;
    assert_int_equal(vlapic_vmx_access(c->cpu, RIG_APIC + 0x80, true, &length), ADVANCE);
    assert_int_equal(length, 2);
    assert_int_equal(guest_read(c->cpu, VLAPIC_REG_TPR), 0x77);
    assert_int_equal(vlapic_vmx_access(c->cpu, RIG_APIC + 0x80, false, &length), RESUME);
    assert_int_equal(length, 0);
    assert_int_equal(vlapic_vmx_access(c->cpu, RIG_APIC + 0x1080, true, &length), NOT_MINE);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(windows_and_the_threshold_are_finished_by_the_next_entry),
        TEST(exits_of_others_are_not_mine),
        TEST(cr8_goes_to_and_from_each_register),
        TEST(reserved_bits_of_cr8_fault),
        TEST(other_control_registers_are_not_mine),
        TEST(msrs_are_read_and_written_by_edx_eax),
        TEST(msrs_fault_as_the_registers_do),
        TEST(msrs_of_others_are_not_mine),
        TEST(instructions_are_decoded_and_carried_out),
        TEST(rep_stos_goes_on_at_the_same_instruction),
        TEST(the_embedders_memory_and_segments_are_used),
        TEST(what_is_no_access_of_the_instruction_is_tried_again),
        TEST(what_cannot_be_finished_is_told),
        TEST(only_linear_reads_and_writes_are_carried_out),
        TEST(an_eoi_needs_no_decoding_where_the_length_is_valid),
        TEST(a_poisoned_length_is_never_used),
        TEST(violations_in_the_window_are_carried_out),
        TEST(violations_that_are_no_access_of_the_instruction_touch_nothing),
        TEST(the_window_is_one_page_at_the_base),
        TEST(outside_of_xapic_mode_there_is_no_window),
        TEST(a_misconfiguration_tells_no_direction),
        TEST(accesses_that_come_another_way_are_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
