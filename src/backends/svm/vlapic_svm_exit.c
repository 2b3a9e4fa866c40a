/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits that concern the APIC, made into accesses of the model. AMD APM 2, "SVM Intercept Exit Codes", "AVIC Unaccelerated Access",
 * "Nested Paging"; table "Guest vAPIC Register Access Behavior". Instructions are decoded here where hardware need not tell: nRIP and
 * decode assists are not there on every processor.
 */
#include "vlapic_svm_internal.h"

enum code {
    CODE_READ_CR8 = 0x08,
    CODE_WRITE_CR8 = 0x18,
    CODE_VINTR = 0x64,
    CODE_IRET = 0x74,
    CODE_MSR = 0x7C,
    CODE_TASK_SWITCH = 0x7D,
    CODE_NESTED_PAGE_FAULT = 0x400,
    CODE_INCOMPLETE_IPI = 0x401,
    CODE_NOT_ACCELERATED = 0x402
};

#define RAX 0u
#define RCX 1u
#define RDX 2u
#define FAULT_WRITE (1u << 1)
#define FAULT_FETCH (1u << 4)
#define FAULT_WALK (1ull << 33) /* of the guest's page tables */
#define NOT_ACCELERATED_WRITE (1ull << 32)
#define BITS_NOT_TOLD 0xFu /* of the offset */
#define LAST_EXT_LVT 0x530u

static uint64_t read_register(const struct svm_cpu *state, uint32_t reg)
{
    return state->vm->ops.guest->read_register(state->cookie, reg);
}

static void write_register(const struct svm_cpu *state, uint32_t reg, uint64_t value)
{
    state->vm->ops.guest->write_register(state->cookie, reg, value);
}

static enum vlapic_svm_result finish(enum vlapic_access access, uint32_t by, uint32_t *length)
{
    switch (access) {
    case VLAPIC_ACCESS_DONE:
        *length = by;
        return VLAPIC_SVM_ADVANCE;
    case VLAPIC_ACCESS_GP:
        return VLAPIC_SVM_GP;
    default:
        return VLAPIC_SVM_NOT_MINE;
    }
}

/* --- MOV CR8, RDMSR, WRMSR: two-byte opcodes behind prefixes -------------------------------------------------------------------- */

struct instruction {
    uint8_t bytes[VLAPIC_DECODE_MAX_LENGTH];
    size_t count;
    enum vlapic_decode_mode mode;
    uint32_t rex;
    uint32_t opcode; /* where the second byte of the opcode is, 0: not found */
};

static bool is_prefix(uint8_t byte)
{
    return byte == 0x66 || byte == 0x67 || byte == 0xF0 || byte == 0xF2 || byte == 0xF3 || (byte & 0xE7) == 0x26 ||
           byte == 0x64 || byte == 0x65;
}

static struct instruction fetch(const struct svm_cpu *state)
{
    struct instruction insn = { .mode = VLAPIC_DECODE_MODE_64 };
    uint32_t i = 0;

    if (state->vm->ops.fetch == NULL) {
        return insn;
    }
    insn.count = state->vm->ops.fetch(state->cookie, insn.bytes, sizeof(insn.bytes), &insn.mode);
    while (i < insn.count && is_prefix(insn.bytes[i])) {
        i++;
    }
    if (insn.mode == VLAPIC_DECODE_MODE_64 && i < insn.count && (insn.bytes[i] & 0xF0) == 0x40) {
        insn.rex = insn.bytes[i++];
    }
    insn.opcode = i + 1 < insn.count && insn.bytes[i] == 0x0F ? i + 1 : 0;
    return insn;
}

/* 0: nRIP has to do. */
static uint32_t msr_length(const struct svm_cpu *state)
{
    struct instruction insn = fetch(state);

    return insn.opcode != 0 ? insn.opcode + 1 : 0;
}

/* Outside of 64-bit mode, where LOCK MOV CR0 does it, the move has 32 bits. */
static enum vlapic_svm_result cr8(const struct svm_cpu *state, bool write, uint32_t *length)
{
    struct instruction insn = fetch(state);
    uint32_t reg;

    if (insn.opcode == 0 || insn.opcode + 1 >= insn.count) {
        return VLAPIC_SVM_UNSUPPORTED;
    }
    reg = (insn.bytes[insn.opcode + 1] & 7u) | (insn.rex & 1u) << 3;
    if (write) {
        uint64_t bits = insn.mode == VLAPIC_DECODE_MODE_64 ? UINT64_MAX : UINT32_MAX;

        return finish(vlapic_cpu_cr8_write(state->cpu, read_register(state, reg) & bits), insn.opcode + 2, length);
    }
    write_register(state, reg, vlapic_cpu_cr8_read(state->cpu));
    return finish(VLAPIC_ACCESS_DONE, insn.opcode + 2, length);
}

static enum vlapic_svm_result read_msr(const struct svm_cpu *state, uint32_t *length)
{
    uint64_t value = 0;
    enum vlapic_access access = vlapic_cpu_msr_read(state->cpu, (uint32_t)read_register(state, RCX), &value);

    if (access == VLAPIC_ACCESS_DONE) {
        write_register(state, RAX, (uint32_t)value);
        write_register(state, RDX, value >> 32);
    }
    return finish(access, access == VLAPIC_ACCESS_DONE ? msr_length(state) : 0, length);
}

static enum vlapic_svm_result write_msr(const struct svm_cpu *state, uint32_t *length)
{
    uint64_t value = read_register(state, RDX) << 32 | (uint32_t)read_register(state, RAX);
    enum vlapic_access access = vlapic_cpu_msr_write(state->cpu, (uint32_t)read_register(state, RCX), value);

    return finish(access, access == VLAPIC_ACCESS_DONE ? msr_length(state) : 0, length);
}

/* --- the window ------------------------------------------------------------------------------------------------------------------ */

static enum vlapic_svm_result decode(const struct svm_cpu *state, uint64_t guest_physical, uint32_t untold, bool write,
                                     uint32_t *length)
{
    const struct vlapic_window_host host = {
        .fetch = state->vm->ops.fetch,
        .guest = state->vm->ops.guest,
        .untold = untold,
    };

    switch (vlapic_window_access(state->cpu, &host, guest_physical, write ? VLAPIC_WINDOW_WRITE : VLAPIC_WINDOW_READ,
                                 length)) {
    case VLAPIC_WINDOW_DONE:
        return VLAPIC_SVM_ADVANCE;
    case VLAPIC_WINDOW_RESUME:
        return VLAPIC_SVM_RESUME;
    default:
        return VLAPIC_SVM_UNSUPPORTED;
    }
}

enum vlapic_svm_result vlapic_svm_access(struct vlapic_cpu *cpu, uint64_t guest_physical, bool write, uint32_t *length)
{
    const struct svm_cpu *state = svm_of(cpu);

    *length = 0;
    if (state == NULL || !vlapic_window_has(cpu, guest_physical)) {
        return VLAPIC_SVM_NOT_MINE;
    }
    return decode(state, guest_physical, 0, write, length);
}

/* The access is of the delivery of an event, not of the instruction at RIP. */
static bool in_delivery(const struct svm_cpu *state)
{
    return (svm_get32(state, VMCB_EXIT_EVENT) & VLAPIC_EVENT_VALID) != 0;
}

static enum vlapic_svm_result nested_page_fault(const struct svm_cpu *state, uint32_t *length)
{
    uint64_t error = svm_get(state, VMCB_EXIT_INFO1), guest_physical = svm_get(state, VMCB_EXIT_INFO2);

    if ((error & (FAULT_FETCH | FAULT_WALK)) != 0 || in_delivery(state)) {
        return vlapic_window_has(state->cpu, guest_physical) ? VLAPIC_SVM_UNSUPPORTED : VLAPIC_SVM_NOT_MINE;
    }
    return vlapic_svm_access(state->cpu, guest_physical, (error & FAULT_WRITE) != 0, length);
}

/* --- AVIC --------------------------------------------------------------------------------------------------------------------------- */

static bool in_x2apic(const struct svm_cpu *state)
{
    return (vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EXTD) != 0;
}

static bool is_trap(uint32_t offset)
{
    switch (offset) {
    case VLAPIC_REG_ID:
    case VLAPIC_REG_EOI:
    case VLAPIC_REG_RRD:
    case VLAPIC_REG_LDR:
    case VLAPIC_REG_DFR:
    case VLAPIC_REG_SVR:
    case VLAPIC_REG_ESR:
    case VLAPIC_REG_ICR_LOW:
    case VLAPIC_REG_INITIAL_COUNT:
    case VLAPIC_REG_DIVIDE_CONFIG:
        return true;
    default:
        return offset >= VLAPIC_REG_LVT_TIMER && offset <= VLAPIC_REG_LVT_ERROR;
    }
}

static void model_write(struct svm_cpu *state, uint32_t offset, uint32_t value)
{
    if (in_x2apic(state)) {
        (void)vlapic_cpu_msr_write(state->cpu, VLAPIC_MSR_OF(offset), value);
    } else {
        (void)vlapic_cpu_mmio_write(state->cpu, offset, 4, value);
    }
}

/* Whether hardware has cleared the ISR bit is left open by the manual. */
static void level_eoi(struct svm_cpu *state, uint8_t vector)
{
    if ((svm_page(state, VLAPIC_REG_ISR + vector / 32u * 16) >> (vector % 32) & 1) != 0) {
        model_write(state, VLAPIC_REG_EOI, 0);
    } else {
        vlapic_backend_eoi(state->cpu, vector);
    }
}

/* The value was in the page. */
static enum vlapic_svm_result trap(struct svm_cpu *state, uint32_t offset, uint32_t value)
{
    if (offset == VLAPIC_REG_EOI) {
        level_eoi(state, (uint8_t)svm_get(state, VMCB_EXIT_INFO2));
        return VLAPIC_SVM_RESUME;
    }
    if (offset == VLAPIC_REG_ICR_LOW) {
        vlapic_svm_core_send(state, (uint64_t)svm_page(state, VLAPIC_REG_ICR_HIGH) << 32 | value);
    } else {
        model_write(state, offset, value);
    }
    return VLAPIC_SVM_RESUME;
}

static uint32_t accessed_register(const struct svm_cpu *state)
{
    return (uint32_t)svm_get(state, VMCB_EXIT_INFO1) & 0xFF0u;
}

/* This VM has none, or it did without AVIC: the exit has put back what was there. */
static bool is_ext_lvt_trap(const struct svm_cpu *state, uint32_t offset)
{
    return state->vm->ext_lvt_traps && offset >= VLAPIC_REG_EXT_LVT && offset <= LAST_EXT_LVT;
}

static enum vlapic_svm_result not_accelerated(struct svm_cpu *state, uint32_t value, uint32_t *length)
{
    uint64_t info1 = svm_get(state, VMCB_EXIT_INFO1);
    uint32_t offset = accessed_register(state);
    bool write = (info1 & NOT_ACCELERATED_WRITE) != 0;

    if (write && is_trap(offset)) {
        return trap(state, offset, value);
    }
    if (write && is_ext_lvt_trap(state, offset)) {
        return VLAPIC_SVM_RESUME;
    }
    if (in_x2apic(state)) {
        return write ? write_msr(state, length) : read_msr(state, length);
    }
    return in_delivery(state) ? VLAPIC_SVM_UNSUPPORTED : decode(state, offset, BITS_NOT_TOLD, write, length);
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------------- */

/* It is executed by the next entry: NMIs are blocked up to its end. */
static enum vlapic_svm_result iret(struct svm_cpu *state)
{
    if (svm_uses_vnmi(state) || !state->nmi_blocked || state->iret_is_next) {
        return VLAPIC_SVM_NOT_MINE;
    }
    state->iret_is_next = true;
    state->iret_rip = svm_get(state, VMCB_RIP);
    return VLAPIC_SVM_RESUME;
}

static enum vlapic_svm_result dispatch(struct svm_cpu *state, uint32_t value, uint32_t *length)
{
    /* Some emulators leave the upper half of the exit code alone. */
    switch (svm_get32(state, VMCB_EXIT_CODE)) {
    case CODE_READ_CR8:
        return cr8(state, false, length);
    case CODE_WRITE_CR8:
        return cr8(state, true, length);
    case CODE_VINTR:
        return VLAPIC_SVM_RESUME;
    case CODE_IRET:
        return iret(state);
    case CODE_MSR:
        return (svm_get(state, VMCB_EXIT_INFO1) & 1) != 0 ? write_msr(state, length) : read_msr(state, length);
    case CODE_NESTED_PAGE_FAULT:
        return nested_page_fault(state, length);
    case CODE_INCOMPLETE_IPI:
        return vlapic_svm_core_incomplete_ipi(state, svm_get(state, VMCB_EXIT_INFO1), svm_get(state, VMCB_EXIT_INFO2));
    case CODE_NOT_ACCELERATED:
        return not_accelerated(state, value, length);
    default:
        return VLAPIC_SVM_NOT_MINE;
    }
}

/* Types that are not ours are the embedder's. A task gate leaves the delivery to whoever carries out the switch. */
static uint32_t interrupted_event(const struct svm_cpu *state)
{
    return svm_get32(state, VMCB_EXIT_CODE) == CODE_TASK_SWITCH ? 0 : svm_get32(state, VMCB_EXIT_EVENT);
}

enum vlapic_svm_result vlapic_svm_exit(struct vlapic_cpu *cpu, uint32_t *length)
{
    struct svm_cpu *state = svm_of(cpu);
    uint32_t value;

    *length = 0;
    if (state == NULL) {
        return VLAPIC_SVM_NOT_MINE;
    }
    value = svm_page(state,
                     accessed_register(state)); /* of a trap: the model has the old value back after the next lines */
    vlapic_events_exited(&state->events, interrupted_event(state));
    *(uint64_t *)(void *)(state->vmcb + VMCB_EVENT_INJECTION) = 0;
    vlapic_cpu_exit(cpu);
    return dispatch(state, value, length);
}

uint32_t vlapic_svm_get_in_flight(struct vlapic_cpu *cpu)
{
    struct svm_cpu *state = svm_of(cpu);
    uint32_t before, information;

    if (state == NULL) {
        return 0;
    }
    before = state->events.in_flight;
    information = vlapic_events_take_back(&state->events, cpu, state->v_nmi || state->nmi_waits);
    if (state->events.in_flight != before) {
        vlapic_svm_core_know_one(state, (uint8_t)before, true);
    }
    /* That an NMI on its way blocks others is its own doing, and will be again. */
    return information | (state->nmi_blocked && !state->events.nmi_in_flight ? EVENT_NMI_BLOCKED : 0);
}

void vlapic_svm_set_in_flight(struct vlapic_cpu *cpu, uint32_t information)
{
    struct svm_cpu *state = svm_of(cpu);

    if (state == NULL) {
        return;
    }
    vlapic_events_restore(&state->events, information);
    state->v_nmi = false;
    state->iret_is_next = false;
    state->nmi_blocked = (information & EVENT_NMI_BLOCKED) != 0;
    state->nmi_waits = false;
    if (state->nmi_blocked) {
        state->nmi_waits = state->events.nmi_in_flight;
        state->events.nmi_in_flight = false;
        state->unblocks_nmi = false;
        state->blocks_nmi = svm_uses_vnmi(state);
    }
}
