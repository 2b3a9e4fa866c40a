/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCS: its fields, which of them exist, VMREAD and VMWRITE, VMCLEAR and VMPTRLD. Reference 1 and 2. */
#include "apicv_internal.h"

#include <string.h>

/* Reference 2, "exists if". */
enum need { ALWAYS, TPR_SHADOW, MSR_BITMAPS, SECONDARY, TERTIARY, APIC_ACCESSES, EPT, VID, POSTED, IPIV, TIMER };

static const struct {
    enum apicv_field encoding;
    enum need need;
} fields[] = {
    { APICV_NOTIFICATION_VECTOR, POSTED },
    { APICV_LAST_PID_INDEX, IPIV },
    { APICV_VIRTUAL_TIMER_VECTOR, TIMER },
    { APICV_GUEST_INTERRUPT_STATUS, VID },
    { APICV_MSR_BITMAP, MSR_BITMAPS },
    { APICV_TSC_OFFSET, ALWAYS },
    { APICV_VIRTUAL_APIC_ADDRESS, TPR_SHADOW },
    { APICV_APIC_ACCESS_ADDRESS, APIC_ACCESSES },
    { APICV_DESCRIPTOR_ADDRESS, POSTED },
    { APICV_EOI_EXIT_BITMAP_0, VID },
    { APICV_EOI_EXIT_BITMAP_1, VID },
    { APICV_EOI_EXIT_BITMAP_2, VID },
    { APICV_EOI_EXIT_BITMAP_3, VID },
    { APICV_TERTIARY_CONTROLS, TERTIARY },
    { APICV_PID_TABLE_ADDRESS, IPIV },
    { APICV_GUEST_DEADLINE_SHADOW, TIMER },
    { APICV_GUEST_PHYSICAL_ADDRESS, EPT },
    { APICV_GUEST_DEADLINE, TIMER },
    { APICV_PIN_CONTROLS, ALWAYS },
    { APICV_PRIMARY_CONTROLS, ALWAYS },
    { APICV_EXIT_CONTROLS, ALWAYS },
    { APICV_ENTRY_CONTROLS, ALWAYS },
    { APICV_ENTRY_INTERRUPTION, ALWAYS },
    { APICV_ENTRY_ERROR_CODE, ALWAYS },
    { APICV_ENTRY_INSTRUCTION_LENGTH, ALWAYS },
    { APICV_TPR_THRESHOLD, TPR_SHADOW },
    { APICV_SECONDARY_CONTROLS, SECONDARY },
    { APICV_INSTRUCTION_ERROR, ALWAYS },
    { APICV_EXIT_REASON, ALWAYS },
    { APICV_EXIT_INTERRUPTION, ALWAYS },
    { APICV_EXIT_ERROR_CODE, ALWAYS },
    { APICV_IDT_VECTORING, ALWAYS },
    { APICV_IDT_VECTORING_ERROR_CODE, ALWAYS },
    { APICV_EXIT_INSTRUCTION_LENGTH, ALWAYS },
    { APICV_GUEST_INTERRUPTIBILITY, ALWAYS },
    { APICV_GUEST_ACTIVITY, ALWAYS },
    { APICV_EXIT_QUALIFICATION, ALWAYS },
    { APICV_GUEST_LINEAR_ADDRESS, ALWAYS },
    { APICV_GUEST_RIP, ALWAYS },
    { APICV_GUEST_RFLAGS, ALWAYS },
};
#define FIELDS (sizeof fields / sizeof fields[0])
_Static_assert(FIELDS <= APICV_VMCS_FIELDS, "a VMCS has room for all fields");

static bool needed_exists(const struct apicv_caps *caps, enum need need)
{
    uint32_t secondary = caps->primary & APICV_PRIMARY_SECONDARY ? caps->secondary : 0;
    uint64_t tertiary = caps->primary & APICV_PRIMARY_TERTIARY ? caps->tertiary : 0;

    switch (need) {
    case TPR_SHADOW:
        return caps->primary & APICV_PRIMARY_TPR_SHADOW;
    case MSR_BITMAPS:
        return caps->primary & APICV_PRIMARY_MSR_BITMAPS;
    case SECONDARY:
        return caps->primary & APICV_PRIMARY_SECONDARY;
    case TERTIARY:
        return caps->primary & APICV_PRIMARY_TERTIARY;
    case APIC_ACCESSES:
        return secondary & APICV_SECONDARY_APIC_ACCESSES;
    case EPT:
        return secondary & APICV_SECONDARY_EPT;
    case VID:
        return secondary & APICV_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY;
    case POSTED:
        return caps->pin & APICV_PIN_POSTED_INTERRUPTS;
    case IPIV:
        return tertiary & APICV_TERTIARY_IPI_VIRTUALIZATION;
    case TIMER:
        return tertiary & APICV_TERTIARY_TIMER_VIRTUALIZATION;
    case ALWAYS:
        break;
    }
    return true;
}

/* ---- encodings: bit 0 high half, bits 11:10 type, bits 14:13 width ---- */

static bool is_64_bit(uint32_t encoding)
{
    return (encoding >> 13 & 3) == 1;
}

static bool is_exit_information(uint32_t encoding)
{
    return (encoding >> 10 & 3) == 1;
}

static uint64_t cut_to_width(uint32_t encoding, uint64_t value)
{
    switch (encoding >> 13 & 3) {
    case 0:
        return value & 0xFFFF;
    case 2:
        return value & 0xFFFFFFFF;
    default:
        return value;
    }
}

static int index_of(uint32_t encoding)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].encoding == encoding) {
            return (int)i;
        }
    }
    return -1;
}

/* -1: no such field, or not on this part. */
static int accessible(const struct apicv_cpu *cpu, uint32_t encoding)
{
    bool high = is_64_bit(encoding) && (encoding & 1);
    int i = index_of(high ? encoding & ~1u : encoding);

    return i >= 0 && needed_exists(&cpu->caps, fields[i].need) ? i : -1;
}

/* ---- instructions ---- */

static void in_root(const struct apicv_cpu *cpu)
{
    if (cpu->in_guest) {
        apicv_die("a VMX instruction in the guest");
    }
}

void apicv_vmcs_init(struct apicv_vmcs *vmcs)
{
    memset(vmcs, 0, sizeof *vmcs);
    vmcs->value[index_of(APICV_GUEST_RFLAGS)] = APICV_RFLAGS_FIXED;
}

static bool active_elsewhere(const struct apicv_cpu *cpu, const struct apicv_vmcs *vmcs)
{
    return vmcs->active_on && vmcs->active_on != cpu;
}

bool apicv_vmclear(struct apicv_cpu *cpu, struct apicv_vmcs *vmcs)
{
    in_root(cpu);
    if (active_elsewhere(cpu, vmcs)) {
        return false;
    }
    vmcs->active_on = NULL;
    if (cpu->current == vmcs) {
        cpu->current = NULL;
    }
    return true;
}

bool apicv_vmptrld(struct apicv_cpu *cpu, struct apicv_vmcs *vmcs)
{
    in_root(cpu);
    if (active_elsewhere(cpu, vmcs)) {
        return false;
    }
    vmcs->active_on = cpu;
    cpu->current = vmcs;
    return true;
}

static enum apicv_vm_status fail(struct apicv_cpu *cpu, enum apicv_vm_status error)
{
    apicv_set(cpu, APICV_INSTRUCTION_ERROR, (uint64_t)error);
    return error;
}

enum apicv_vm_status apicv_vmread(struct apicv_cpu *cpu, uint32_t encoding, uint64_t *value)
{
    int i;

    in_root(cpu);
    if (!cpu->current) {
        return APICV_VM_NO_CURRENT;
    }
    i = accessible(cpu, encoding);
    if (i < 0) {
        return fail(cpu, APICV_VM_UNSUPPORTED);
    }
    *value = cpu->current->value[i];
    if (is_64_bit(encoding) && (encoding & 1)) {
        *value >>= 32;
    }
    return APICV_VM_OK;
}

enum apicv_vm_status apicv_vmwrite(struct apicv_cpu *cpu, uint32_t encoding, uint64_t value)
{
    int i;

    in_root(cpu);
    if (!cpu->current) {
        return APICV_VM_NO_CURRENT;
    }
    i = accessible(cpu, encoding);
    if (i < 0) {
        return fail(cpu, APICV_VM_UNSUPPORTED);
    }
    if (is_exit_information(encoding) && !cpu->caps.vmwrite_any) {
        return fail(cpu, APICV_VM_READ_ONLY);
    }
    if (is_64_bit(encoding) && (encoding & 1)) {
        value = value << 32 | (cpu->current->value[i] & 0xFFFFFFFF);
    }
    cpu->current->value[i] = cut_to_width(encoding, value);
    return APICV_VM_OK;
}

/* ---- for the model ---- */

uint64_t apicv_get(const struct apicv_cpu *cpu, enum apicv_field field)
{
    return cpu->current->value[index_of(field)];
}

uint32_t apicv_get32(const struct apicv_cpu *cpu, enum apicv_field field)
{
    return (uint32_t)apicv_get(cpu, field);
}

void apicv_set(struct apicv_cpu *cpu, enum apicv_field field, uint64_t value)
{
    cpu->current->value[index_of(field)] = cut_to_width(field, value);
}

bool apicv_pin(const struct apicv_cpu *cpu, uint32_t control)
{
    return (apicv_get(cpu, APICV_PIN_CONTROLS) & control) != 0;
}

bool apicv_primary(const struct apicv_cpu *cpu, uint32_t control)
{
    return (apicv_get(cpu, APICV_PRIMARY_CONTROLS) & control) != 0;
}

bool apicv_secondary(const struct apicv_cpu *cpu, uint32_t control)
{
    return apicv_primary(cpu, APICV_PRIMARY_SECONDARY) && (apicv_get(cpu, APICV_SECONDARY_CONTROLS) & control) != 0;
}

bool apicv_tertiary(const struct apicv_cpu *cpu, uint64_t control)
{
    return apicv_primary(cpu, APICV_PRIMARY_TERTIARY) && (apicv_get(cpu, APICV_TERTIARY_CONTROLS) & control) != 0;
}

bool apicv_virtual_interrupt_delivery(const struct apicv_cpu *cpu)
{
    return apicv_secondary(cpu, APICV_SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
}
