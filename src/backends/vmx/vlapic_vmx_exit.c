/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exits that concern the APIC, made into accesses of the model. Intel SDM 3C, "APIC-Access VM Exits", "APIC-Write VM Exits",
 * "EOI Virtualization", "Basic VM-Exit Information"; appendix C for the reasons.
 */
#include "vlapic_vmx_internal.h"

enum reason {
    REASON_INTERRUPT_WINDOW = 7,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CR_ACCESS = 28,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_TPR_THRESHOLD = 43,
    REASON_APIC_ACCESS = 44,
    REASON_EOI = 45,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIGURATION = 49,
    REASON_APIC_WRITE = 56
};

#define RAX 0u
#define RCX 1u
#define RDX 2u
#define EPT_WRITE (1u << 1)
#define EPT_FETCH (1u << 2)
#define EPT_LINEAR (1u << 7) /* a linear address led there */
#define EPT_FINAL (1u << 8)  /* by its translation, not on the way there */

static uint64_t read_register(const struct vmx_cpu *state, uint32_t reg)
{
    return state->vm->ops.guest->read_register(state->cookie, reg);
}

static void write_register(const struct vmx_cpu *state, uint32_t reg, uint64_t value)
{
    state->vm->ops.guest->write_register(state->cookie, reg, value);
}

static enum vlapic_vmx_result advance(uint32_t by, uint32_t *length)
{
    *length = by;
    return VLAPIC_VMX_ADVANCE;
}

static enum vlapic_vmx_result finish(enum vlapic_access access, uint32_t by, uint32_t *length)
{
    switch (access) {
    case VLAPIC_ACCESS_DONE:
        return advance(by, length);
    case VLAPIC_ACCESS_GP:
        return VLAPIC_VMX_GP;
    default:
        return VLAPIC_VMX_NOT_MINE;
    }
}

/* --- CR8 and MSRs --------------------------------------------------------------------------------------------------------- */

static enum vlapic_vmx_result cr_access(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    uint32_t cr = exit->qualification & 0xF;
    uint32_t type = (uint32_t)(exit->qualification >> 4) & 3u;
    uint32_t reg = (uint32_t)(exit->qualification >> 8) & 0xFu;

    if (cr != 8 || type > 1) {
        return VLAPIC_VMX_NOT_MINE;
    }
    if (type == 0) {
        return finish(vlapic_cpu_cr8_write(state->cpu, read_register(state, reg)), exit->instruction_length, length);
    }
    write_register(state, reg, vlapic_cpu_cr8_read(state->cpu));
    return advance(exit->instruction_length, length);
}

static enum vlapic_vmx_result rdmsr(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    uint64_t value = 0;
    enum vlapic_access access = vlapic_cpu_msr_read(state->cpu, (uint32_t)read_register(state, RCX), &value);

    if (access == VLAPIC_ACCESS_DONE) {
        write_register(state, RAX, (uint32_t)value);
        write_register(state, RDX, value >> 32);
    }
    return finish(access, exit->instruction_length, length);
}

static enum vlapic_vmx_result wrmsr(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    uint64_t value = read_register(state, RDX) << 32 | (uint32_t)read_register(state, RAX);

    return finish(vlapic_cpu_msr_write(state->cpu, (uint32_t)read_register(state, RCX), value),
                  exit->instruction_length, length);
}

/* --- the window ----------------------------------------------------------------------------------------------------------- */

static enum vlapic_vmx_result decode(const struct vmx_cpu *state, uint64_t guest_physical,
                                     enum vlapic_window_direction direction, uint32_t *length)
{
    const struct vlapic_window_host host = { .fetch = state->vm->ops.fetch, .guest = state->vm->ops.guest };

    switch (vlapic_window_access(state->cpu, &host, guest_physical, direction, length)) {
    case VLAPIC_WINDOW_DONE:
        return VLAPIC_VMX_ADVANCE;
    case VLAPIC_WINDOW_RESUME:
        return VLAPIC_VMX_RESUME;
    default:
        return VLAPIC_VMX_UNSUPPORTED;
    }
}

static enum vlapic_window_direction direction_of(bool write)
{
    return write ? VLAPIC_WINDOW_WRITE : VLAPIC_WINDOW_READ;
}

static enum vlapic_vmx_result window_access(const struct vmx_cpu *state, uint64_t guest_physical,
                                            enum vlapic_window_direction direction, uint32_t *length)
{
    return vlapic_window_has(state->cpu, guest_physical) ? decode(state, guest_physical, direction, length)
                                                         : VLAPIC_VMX_NOT_MINE;
}

enum vlapic_vmx_result vlapic_vmx_access(struct vlapic_cpu *cpu, uint64_t guest_physical, bool write, uint32_t *length)
{
    const struct vmx_cpu *state = vmx_of(cpu);

    *length = 0;
    return state != NULL ? window_access(state, guest_physical, direction_of(write), length) : VLAPIC_VMX_NOT_MINE;
}

enum access_type { LINEAR_READ = 0, LINEAR_WRITE = 1 };

/* Fetches from the page, page walks and event deliveries through it are a guest's mistake that no APIC could serve. */
static enum vlapic_vmx_result apic_access(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    uint32_t offset = exit->qualification & 0xFFF;
    uint32_t type = (uint32_t)(exit->qualification >> 12) & 0xFu;

    if (type > LINEAR_WRITE) {
        return VLAPIC_VMX_UNSUPPORTED;
    }
    if (type == LINEAR_WRITE && offset == VLAPIC_REG_EOI && state->vm->length_is_valid) {
        /* Whatever the value. */
        return finish(vlapic_cpu_mmio_write(state->cpu, offset, 4, 0), exit->instruction_length, length);
    }
    return decode(state, offset, direction_of(type == LINEAR_WRITE), length);
}

/* The same where no APIC-access page is mapped. The instruction at RIP has nothing to do with such an access. */
static enum vlapic_vmx_result not_by_instruction(const struct vmx_cpu *state, const struct vlapic_vmx_exit *exit)
{
    return vlapic_window_has(state->cpu, exit->guest_physical) ? VLAPIC_VMX_UNSUPPORTED : VLAPIC_VMX_NOT_MINE;
}

static bool is_walk(uint64_t qualification)
{
    return (qualification & (EPT_LINEAR | EPT_FINAL)) == EPT_LINEAR;
}

static bool in_delivery(const struct vlapic_vmx_exit *exit)
{
    return (exit->vectoring & VLAPIC_EVENT_VALID) != 0;
}

static enum vlapic_vmx_result ept_violation(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    if ((exit->qualification & EPT_FETCH) != 0 || is_walk(exit->qualification) || in_delivery(exit)) {
        return not_by_instruction(state, exit);
    }
    return window_access(state, exit->guest_physical, direction_of((exit->qualification & EPT_WRITE) != 0), length);
}

/* It does not tell a direction: the instruction does. */
static enum vlapic_vmx_result ept_misconfiguration(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit,
                                                   uint32_t *length)
{
    return in_delivery(exit) ? not_by_instruction(state, exit)
                             : window_access(state, exit->guest_physical, VLAPIC_WINDOW_EITHER, length);
}

/* --- the page has the value already ------------------------------------------------------------------------------------------ */

/* Of an APIC-write exit. */
static uint32_t written_register(const struct vlapic_vmx_exit *exit)
{
    return exit->qualification & 0xFF0u;
}

/*
 * In x2APIC mode: ICR by IPI virtualization, SELF IPI with an illegal vector. Faults have been taken by the processor, which is Intel's whatever
 * the profile: the status bit is no reason for one.
 */
static void complete_msr(struct vmx_cpu *state, uint32_t offset, uint32_t value)
{
    uint64_t written = value;

    if (offset == VLAPIC_REG_ICR_LOW) {
        written = (uint64_t)vmx_page(state, VLAPIC_REG_ICR_HIGH) << 32 | (value & ~VLAPIC_ICR_STATUS);
    }
    (void)vlapic_cpu_msr_write(state->cpu, VLAPIC_MSR_OF(offset), written);
}

/* The page is as before the write again when the model sees it: what a register does may depend on its old value. */
static void apic_write_exit(struct vmx_cpu *state, uint32_t offset, uint32_t value)
{
    if ((vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EXTD) != 0) {
        complete_msr(state, offset, value);
    } else {
        (void)vlapic_cpu_mmio_write(state->cpu, offset, 4, value);
    }
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------- */

static enum vlapic_vmx_result dispatch(struct vmx_cpu *state, const struct vlapic_vmx_exit *exit, uint32_t written,
                                       uint32_t *length)
{
    switch (exit->reason) {
    case REASON_INTERRUPT_WINDOW:
    case REASON_NMI_WINDOW:
    case REASON_TPR_THRESHOLD:
        return VLAPIC_VMX_RESUME; /* the next entry injects */
    case REASON_CR_ACCESS:
        return cr_access(state, exit, length);
    case REASON_RDMSR:
        return rdmsr(state, exit, length);
    case REASON_WRMSR:
        return wrmsr(state, exit, length);
    case REASON_APIC_ACCESS:
        return apic_access(state, exit, length);
    case REASON_EOI:
        vlapic_backend_eoi(state->cpu, (uint8_t)exit->qualification);
        return VLAPIC_VMX_RESUME;
    case REASON_APIC_WRITE:
        apic_write_exit(state, written_register(exit), written);
        return VLAPIC_VMX_RESUME;
    case REASON_EPT_VIOLATION:
        return ept_violation(state, exit, length);
    case REASON_EPT_MISCONFIGURATION:
        return ept_misconfiguration(state, exit, length);
    default:
        return VLAPIC_VMX_NOT_MINE;
    }
}

/* Types that are not ours are the embedder's. A task gate leaves the delivery to whoever carries out the switch. */
static uint32_t interrupted_event(const struct vlapic_vmx_exit *exit)
{
    return exit->reason == REASON_TASK_SWITCH ? 0 : exit->vectoring;
}

enum vlapic_vmx_result vlapic_vmx_exit(struct vlapic_cpu *cpu, const struct vlapic_vmx_exit *exit, uint32_t *length)
{
    struct vmx_cpu *state = vmx_of(cpu);
    uint32_t written;

    *length = 0;
    if (state == NULL) {
        return VLAPIC_VMX_NOT_MINE;
    }
    written = vmx_page(state, written_register(exit)); /* the model has the old value back after the next lines */
    vlapic_events_exited(&state->events, interrupted_event(exit));
    vlapic_cpu_exit(cpu);
    return dispatch(state, exit, written, length);
}

uint32_t vlapic_vmx_get_in_flight(struct vlapic_cpu *cpu)
{
    struct vmx_cpu *state = vmx_of(cpu);

    return state != NULL ? vlapic_events_take_back(&state->events, cpu, false) : 0;
}

void vlapic_vmx_set_in_flight(struct vlapic_cpu *cpu, uint32_t information)
{
    struct vmx_cpu *state = vmx_of(cpu);

    if (state != NULL) {
        vlapic_events_restore(&state->events, information);
    }
}
