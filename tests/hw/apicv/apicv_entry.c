/* SPDX-License-Identifier: BSD-2-Clause */
/* VM entry: checks, loading, injection, the threshold. Reference 3 and 13. */
#include "apicv_internal.h"

#include <string.h>

/* ---- 3: checks on controls, each by its number; false: it fails ---- */

static bool page_address_ok(const struct apicv_cpu *cpu, uint64_t address)
{
    return (address & 0xFFF) == 0 && apicv_within_width(cpu, address);
}

static bool tpr_shadow(const struct apicv_cpu *cpu)
{
    return apicv_primary(cpu, APICV_PRIMARY_TPR_SHADOW);
}

static bool allowed(const struct apicv_cpu *cpu, uint32_t msr, uint64_t controls)
{
    uint64_t capability = 0;

    (void)apicv_capability_msr(&cpu->caps, msr, &capability);
    return (~controls & (capability & 0xFFFFFFFF)) == 0 && (controls & ~(capability >> 32)) == 0;
}

static bool controls_allowed(struct apicv_cpu *cpu)
{
    bool true_msrs = cpu->caps.true_msrs;

    return allowed(cpu, true_msrs ? APICV_MSR_TRUE_PINBASED : APICV_MSR_PINBASED, apicv_get(cpu, APICV_PIN_CONTROLS)) &&
           allowed(cpu, true_msrs ? APICV_MSR_TRUE_PROCBASED : APICV_MSR_PROCBASED,
                   apicv_get(cpu, APICV_PRIMARY_CONTROLS)) &&
           allowed(cpu, true_msrs ? APICV_MSR_TRUE_EXIT : APICV_MSR_EXIT, apicv_get(cpu, APICV_EXIT_CONTROLS)) &&
           allowed(cpu, true_msrs ? APICV_MSR_TRUE_ENTRY : APICV_MSR_ENTRY, apicv_get(cpu, APICV_ENTRY_CONTROLS)) &&
           (!apicv_primary(cpu, APICV_PRIMARY_SECONDARY) ||
            allowed(cpu, APICV_MSR_PROCBASED2, apicv_get(cpu, APICV_SECONDARY_CONTROLS))) &&
           (!apicv_primary(cpu, APICV_PRIMARY_TERTIARY) ||
            (apicv_get(cpu, APICV_TERTIARY_CONTROLS) & ~cpu->caps.tertiary) == 0);
}

static bool virtual_apic_address_ok(struct apicv_cpu *cpu)
{
    return !tpr_shadow(cpu) || page_address_ok(cpu, apicv_get(cpu, APICV_VIRTUAL_APIC_ADDRESS));
}

static bool tpr_shadow_where_needed(struct apicv_cpu *cpu)
{
    return tpr_shadow(cpu) || (!apicv_secondary(cpu, APICV_SECONDARY_X2APIC_MODE) &&
                               !apicv_secondary(cpu, APICV_SECONDARY_REGISTER_VIRTUALIZATION) &&
                               !apicv_secondary(cpu, APICV_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY) &&
                               !apicv_tertiary(cpu, APICV_TERTIARY_IPI_VIRTUALIZATION));
}

static bool threshold_counts(const struct apicv_cpu *cpu)
{
    return tpr_shadow(cpu) && !apicv_virtual_interrupt_delivery(cpu);
}

static bool threshold_ok(struct apicv_cpu *cpu)
{
    return !threshold_counts(cpu) || apicv_get(cpu, APICV_TPR_THRESHOLD) >> 4 == 0;
}

static bool tpr_is_below_threshold(struct apicv_cpu *cpu)
{
    return (apicv_get(cpu, APICV_TPR_THRESHOLD) & 0xF) > (apicv_page_read(cpu, APICV_VTPR) >> 4 & 0xF);
}

static bool threshold_not_above_tpr(struct apicv_cpu *cpu)
{
    return !threshold_counts(cpu) || apicv_secondary(cpu, APICV_SECONDARY_APIC_ACCESSES) ||
           !tpr_is_below_threshold(cpu);
}

static bool apic_access_address_ok(struct apicv_cpu *cpu)
{
    return !apicv_secondary(cpu, APICV_SECONDARY_APIC_ACCESSES) ||
           page_address_ok(cpu, apicv_get(cpu, APICV_APIC_ACCESS_ADDRESS));
}

static bool one_of_x2apic_mode_and_apic_accesses(struct apicv_cpu *cpu)
{
    return !apicv_secondary(cpu, APICV_SECONDARY_X2APIC_MODE) || !apicv_secondary(cpu, APICV_SECONDARY_APIC_ACCESSES);
}

static bool external_interrupts_exit_with_vid(struct apicv_cpu *cpu)
{
    return !apicv_virtual_interrupt_delivery(cpu) || apicv_pin(cpu, APICV_PIN_EXTERNAL_INTERRUPT_EXITING);
}

static bool posted_interrupts_ok(struct apicv_cpu *cpu)
{
    uint64_t descriptor = apicv_get(cpu, APICV_DESCRIPTOR_ADDRESS);

    return !apicv_pin(cpu, APICV_PIN_POSTED_INTERRUPTS) ||
           (apicv_virtual_interrupt_delivery(cpu) &&
            (apicv_get(cpu, APICV_EXIT_CONTROLS) & APICV_EXIT_ACKNOWLEDGE_INTERRUPT) != 0 &&
            apicv_get(cpu, APICV_NOTIFICATION_VECTOR) >> 8 == 0 && (descriptor & 0x3F) == 0 &&
            apicv_within_width(cpu, descriptor));
}

static bool pid_table_ok(struct apicv_cpu *cpu)
{
    uint64_t table = apicv_get(cpu, APICV_PID_TABLE_ADDRESS);
    uint64_t last = table + 8 * apicv_get(cpu, APICV_LAST_PID_INDEX);

    if (!apicv_tertiary(cpu, APICV_TERTIARY_IPI_VIRTUALIZATION)) {
        return true;
    }
    if (cpu->knobs.ipi_virtualization_needs_vid && !apicv_virtual_interrupt_delivery(cpu)) {
        return false;
    }
    return (table & 7) == 0 && apicv_within_width(cpu, table) && apicv_within_width(cpu, last);
}

static bool virtual_nmis_ok(struct apicv_cpu *cpu)
{
    return apicv_pin(cpu, APICV_PIN_NMI_EXITING) || !apicv_pin(cpu, APICV_PIN_VIRTUAL_NMIS);
}

static bool nmi_window_ok(struct apicv_cpu *cpu)
{
    return apicv_pin(cpu, APICV_PIN_VIRTUAL_NMIS) || !apicv_primary(cpu, APICV_PRIMARY_NMI_WINDOW_EXITING);
}

static bool msr_bitmap_ok(struct apicv_cpu *cpu)
{
    return !apicv_primary(cpu, APICV_PRIMARY_MSR_BITMAPS) || page_address_ok(cpu, apicv_get(cpu, APICV_MSR_BITMAP));
}

static bool type_and_vector_ok(enum apicv_event_type type, uint8_t vector)
{
    switch (type) {
    case APICV_EVENT_EXTERNAL:
    case APICV_EVENT_SOFTWARE_INTERRUPT:
    case APICV_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
    case APICV_EVENT_SOFTWARE_EXCEPTION:
        return true;
    case APICV_EVENT_NMI:
        return vector == 2;
    case APICV_EVENT_HARDWARE_EXCEPTION:
        return vector < 32;
    case APICV_EVENT_OTHER: /* needs the monitor trap flag, which the model does not have */
        break;
    }
    return false;
}

static bool is_software(enum apicv_event_type type)
{
    return type == APICV_EVENT_SOFTWARE_INTERRUPT || type == APICV_EVENT_PRIVILEGED_SOFTWARE_EXCEPTION ||
           type == APICV_EVENT_SOFTWARE_EXCEPTION;
}

static bool interruption_ok(struct apicv_cpu *cpu)
{
    uint32_t event = apicv_get32(cpu, APICV_ENTRY_INTERRUPTION);
    uint64_t length = apicv_get(cpu, APICV_ENTRY_INSTRUCTION_LENGTH);
    enum apicv_event_type type = apicv_event_type(event);
    bool error_code = (event & APICV_INTERRUPTION_ERROR_CODE) != 0;

    if (!(event & APICV_INTERRUPTION_VALID)) {
        return true;
    }
    return (event & 0x7FFFF000) == 0 && type_and_vector_ok(type, (uint8_t)event) &&
           error_code == (type == APICV_EVENT_HARDWARE_EXCEPTION && apicv_vector_has_error_code((uint8_t)event)) &&
           (!is_software(type) || (length >= 1 && length <= 15));
}

static enum apicv_check first_failing(struct apicv_cpu *cpu)
{
    /* The numbers are the reference's; 12 comes first, so that the others see controls that exist. */
    static const struct {
        enum apicv_check check;
        bool (*passes)(struct apicv_cpu *cpu);
    } checks[] = {
        { APICV_CHECK_CONTROLS, controls_allowed },
        { APICV_CHECK_VIRTUAL_APIC_ADDRESS, virtual_apic_address_ok },
        { APICV_CHECK_NEEDS_TPR_SHADOW, tpr_shadow_where_needed },
        { APICV_CHECK_THRESHOLD_RESERVED, threshold_ok },
        { APICV_CHECK_THRESHOLD_ABOVE_VTPR, threshold_not_above_tpr },
        { APICV_CHECK_APIC_ACCESS_ADDRESS, apic_access_address_ok },
        { APICV_CHECK_X2APIC_AND_APIC_ACCESSES, one_of_x2apic_mode_and_apic_accesses },
        { APICV_CHECK_VID_NEEDS_EXTERNAL_INTERRUPT_EXITING, external_interrupts_exit_with_vid },
        { APICV_CHECK_POSTED_INTERRUPTS, posted_interrupts_ok },
        { APICV_CHECK_PID_TABLE, pid_table_ok },
        { APICV_CHECK_VIRTUAL_NMIS, virtual_nmis_ok },
        { APICV_CHECK_NMI_WINDOW, nmi_window_ok },
        { APICV_CHECK_ENTRY_INTERRUPTION, interruption_ok },
        { APICV_CHECK_MSR_BITMAP_ADDRESS, msr_bitmap_ok },
    };

    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (!checks[i].passes(cpu)) {
            return checks[i].check;
        }
    }
    return APICV_CHECK_NONE;
}

/* ---- 13: guest state that fits the event ---- */

static bool activity_accepts(enum apicv_activity activity, uint32_t event)
{
    enum apicv_event_type type = apicv_event_type(event);
    uint8_t vector = (uint8_t)event;
    bool exception = type == APICV_EVENT_HARDWARE_EXCEPTION;

    switch (activity) {
    case APICV_ACTIVE:
        return true;
    case APICV_HALTED: /* external interrupt, NMI, #DB, #MC */
        return type == APICV_EVENT_EXTERNAL || type == APICV_EVENT_NMI || (exception && (vector == 1 || vector == 18));
    case APICV_SHUTDOWN: /* NMI, #MC */
        return type == APICV_EVENT_NMI || (exception && vector == 18);
    case APICV_WAIT_FOR_SIPI:
        break;
    }
    return false;
}

static bool event_fits(struct apicv_cpu *cpu, uint32_t event)
{
    uint32_t blocking = apicv_get32(cpu, APICV_GUEST_INTERRUPTIBILITY);
    bool interrupt_flag = (apicv_get(cpu, APICV_GUEST_RFLAGS) & APICV_RFLAGS_IF) != 0;

    if (!activity_accepts((enum apicv_activity)apicv_get(cpu, APICV_GUEST_ACTIVITY), event)) {
        return false;
    }
    if (apicv_event_type(event) == APICV_EVENT_EXTERNAL) {
        return interrupt_flag && (blocking & (APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS)) == 0;
    }
    if (apicv_event_type(event) == APICV_EVENT_NMI) {
        return (blocking & APICV_BLOCKING_MOV_SS) == 0 &&
               ((blocking & APICV_BLOCKING_STI) == 0 || !cpu->knobs.nmi_injection_needs_no_sti) &&
               ((blocking & APICV_BLOCKING_NMI) == 0 || !apicv_pin(cpu, APICV_PIN_VIRTUAL_NMIS));
    }
    return true;
}

static bool guest_state_ok(struct apicv_cpu *cpu)
{
    uint32_t blocking = apicv_get32(cpu, APICV_GUEST_INTERRUPTIBILITY);
    uint32_t shadow = blocking & (APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS);
    uint64_t activity = apicv_get(cpu, APICV_GUEST_ACTIVITY);
    uint64_t rflags = apicv_get(cpu, APICV_GUEST_RFLAGS);
    uint32_t event = apicv_get32(cpu, APICV_ENTRY_INTERRUPTION);

    if (!(rflags & APICV_RFLAGS_FIXED) || activity > APICV_WAIT_FOR_SIPI || blocking >> 5 != 0) {
        return false;
    }
    if (shadow == (APICV_BLOCKING_STI | APICV_BLOCKING_MOV_SS) || (shadow != 0 && activity != APICV_ACTIVE)) {
        return false;
    }
    if ((blocking & APICV_BLOCKING_STI) != 0 && !(rflags & APICV_RFLAGS_IF)) {
        return false;
    }
    return !(event & APICV_INTERRUPTION_VALID) || event_fits(cpu, event);
}

/* ---- entry ---- */

static struct apicv_result vmfail(struct apicv_cpu *cpu, enum apicv_check check)
{
    struct apicv_result result = apicv_result(APICV_VMFAIL);

    result.check = check;
    result.instruction_error = 7;
    apicv_set(cpu, APICV_INSTRUCTION_ERROR, 7);
    apicv_emit(cpu, APICV_TRACE_VMFAIL, check, 0);
    return result;
}

/* Only the reason and the qualification are written; 4016h stays valid. */
static struct apicv_result entry_failure(struct apicv_cpu *cpu)
{
    struct apicv_result result = apicv_result(APICV_EXIT);

    result.exit.reason = APICV_EXIT_REASON_ENTRY_FAILED | APICV_EXIT_ENTRY_FAILURE;
    apicv_set(cpu, APICV_EXIT_REASON, result.exit.reason);
    apicv_set(cpu, APICV_EXIT_QUALIFICATION, 0);
    apicv_emit(cpu, APICV_TRACE_EXIT, result.exit.reason, 0);
    return result;
}

static void load_guest(struct apicv_cpu *cpu)
{
    cpu->guest.rip = apicv_get(cpu, APICV_GUEST_RIP);
    cpu->guest.rflags = apicv_get(cpu, APICV_GUEST_RFLAGS);
    cpu->guest.interruptibility = apicv_get32(cpu, APICV_GUEST_INTERRUPTIBILITY);
    cpu->guest.activity = (enum apicv_activity)apicv_get(cpu, APICV_GUEST_ACTIVITY);
    cpu->rvi = 0;
    cpu->svi = 0;
    cpu->recognised = false;
    memset(&cpu->operation, 0, sizeof cpu->operation);
    if (apicv_virtual_interrupt_delivery(cpu)) {
        cpu->rvi = (uint8_t)apicv_get(cpu, APICV_GUEST_INTERRUPT_STATUS);
        cpu->svi = (uint8_t)(apicv_get(cpu, APICV_GUEST_INTERRUPT_STATUS) >> 8);
    }
    cpu->in_guest = true;
}

static void clear_upper_vtpr(struct apicv_cpu *cpu)
{
    if (cpu->knobs.entry_clears_vtpr && tpr_shadow(cpu) && virtual_apic_address_ok(cpu)) {
        apicv_page_write(cpu, APICV_VTPR, apicv_page_read(cpu, APICV_VTPR) & 0xFF);
    }
}

static struct apicv_result inject(struct apicv_cpu *cpu)
{
    uint32_t event = apicv_get32(cpu, APICV_ENTRY_INTERRUPTION);

    if (!(event & APICV_INTERRUPTION_VALID)) {
        return apicv_result(APICV_DONE);
    }
    apicv_emit(cpu, APICV_TRACE_INJECTED, event & 0xFF, apicv_event_type(event));
    return apicv_deliver(cpu, event, apicv_get32(cpu, APICV_ENTRY_ERROR_CODE));
}

/* Check 4 leaves this case to an exit. */
static struct apicv_result threshold_exit(struct apicv_cpu *cpu, struct apicv_result otherwise)
{
    struct apicv_trap trap = { false, APICV_EXIT_TPR_BELOW_THRESHOLD, 0 };

    trap.exits = threshold_counts(cpu) && apicv_secondary(cpu, APICV_SECONDARY_APIC_ACCESSES) &&
                 cpu->guest.activity != APICV_SHUTDOWN && cpu->guest.activity != APICV_WAIT_FOR_SIPI &&
                 tpr_is_below_threshold(cpu);
    return apicv_trap_exit(cpu, trap, otherwise);
}

struct apicv_result apicv_enter(struct apicv_cpu *cpu)
{
    struct apicv_result result;
    enum apicv_check check;

    if (cpu->in_guest) {
        apicv_die("a VM entry in the guest");
    }
    if (!cpu->current) {
        return apicv_result(APICV_VMFAIL); /* VMfailInvalid: no VMCS, no error number */
    }
    clear_upper_vtpr(cpu);
    check = first_failing(cpu);
    if (check != APICV_CHECK_NONE) {
        return vmfail(cpu, check);
    }
    if (!guest_state_ok(cpu)) {
        return entry_failure(cpu);
    }
    load_guest(cpu);
    apicv_emit(cpu, APICV_TRACE_ENTERED, 0, 0);
    if (apicv_virtual_interrupt_delivery(cpu)) {
        apicv_ppr_virtualization(cpu);
        apicv_evaluate(cpu);
    }
    result = inject(cpu);
    if (result.outcome == APICV_EXIT) {
        return result;
    }
    return threshold_exit(cpu, result);
}
