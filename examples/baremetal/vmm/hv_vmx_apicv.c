/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for backend `vmx`: what the processor's APIC virtualization can do is left to it. Option `level=` lowers that, for models that can do more. */
#include "hv_vmx.h"
#include <vlapic/vmx.h>
#include <vlapic/vmx_run.h>

#define MSR_TERTIARY 0x492u
#define PRIMARY_TERTIARY (1u << 17)

/* Where each level ends. */
static const uint32_t levels[] = {
    0,
    VLAPIC_VMX_TPR_SHADOW,
    VLAPIC_VMX_TPR_SHADOW | VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC,
    VLAPIC_VMX_TPR_SHADOW | VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC | VLAPIC_VMX_REGISTERS,
    VLAPIC_VMX_TPR_SHADOW | VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC | VLAPIC_VMX_REGISTERS | VLAPIC_VMX_DELIVERY,
    VLAPIC_VMX_ALL_FEATURES & ~VLAPIC_VMX_IPI,
    VLAPIC_VMX_ALL_FEATURES,
};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

static uint64_t apic_access_page;

static void write_field(void *cookie, uint32_t field, uint64_t value)
{
    (void)cookie;
    vmwrite(field, value);
}

static uint64_t read_field(void *cookie, uint32_t field)
{
    (void)cookie;
    return vmread(field);
}

static uint8_t *msr_bitmap(void *cookie)
{
    return hv_vmx_of(cookie)->msr_bitmap;
}

static uint32_t physical_apic_id(void *cookie)
{
    (void)cookie;
    return this_cpu()->apic_id;
}

static void notify(void *cookie, uint32_t apic_id, uint8_t vector)
{
    (void)cookie;
    if (apic_id != this_cpu()->apic_id) {
        host_lapic_send(apic_id, VLAPIC_ICR_ASSERT | vector);
    }
}

/* No `blocked`: a vCPU sleeps on the CPU that runs it, where any interrupt, the wake-up vector's too, ends the sleep. */
static const struct vlapic_vmx_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_VMX_ABI,
    .vmwrite = write_field,
    .vmread = read_field,
    .msr_bitmap = msr_bitmap,
    .physical_apic_id = physical_apic_id,
    .notify = notify,
    .fetch = vm_fetch,
    .guest = &vm_guest_ops,
};

static const void *config(void)
{
    static struct vlapic_vmx_config settings;

    HOST_MUST(vlapic_vmx_config_defaults(&settings, sizeof(settings)) == VLAPIC_OK);
    settings.capabilities = (struct vlapic_vmx_capabilities){
        .pin = hv_vmx_can.pin,
        .primary = hv_vmx_can.primary,
        .secondary = hv_vmx_can.secondary,
        .tertiary = (hv_vmx_can.primary >> 32 & PRIMARY_TERTIARY) != 0 ? rdmsr(MSR_TERTIARY) : 0,
        .exit = hv_vmx_can.exit,
    };
    settings.features = levels[options.level < LEVELS ? options.level : LEVELS - 1];
    settings.ops = &ops;
    apic_access_page = settings.apic_access_page = (uint64_t)(uintptr_t)host_alloc_page();
    settings.notification_vector = HOST_VECTOR_NOTIFY;
    settings.wakeup_vector = HOST_VECTOR_WAKEUP;
    settings.pid_table.va = host_alloc_page();
    settings.pid_table.pa = (uint64_t)(uintptr_t)settings.pid_table.va;
    settings.pid_table_entries = VM_CPUS;
    return &settings;
}

static uint32_t seen_features; /* told on the console, so that a run can show what it ran on */

static void obey(struct vcpu *cpu, const struct vlapic_vmx_entry *entry)
{
    struct hv_vmx_vcpu *v = hv_vmx_of(cpu);
    uint64_t window = 0;

    if ((entry->changes & VLAPIC_VMX_CHANGED_MAPPING) != 0) {
        if (!vlapic_vmx_apic_page(cpu->apic, &window)) {
            window = 0;
        }
        if (v->window != 0) {
            hv_vmx_map_window(cpu, v->window, 0);
        }
        if (window == GUEST_WINDOW || window == GUEST_WINDOW_MOVED) {
            hv_vmx_map_window(cpu, window, apic_access_page);
            v->window = window;
        } else {
            v->window = 0;
        }
    }
    if ((entry->changes & VLAPIC_VMX_CHANGED_CONTROLS) != 0) {
        hv_vmx_flush(cpu);
    }
    if (v->features != entry->features) {
        trace(cpu, 'F', entry->features, entry->changes);
    }
    if ((entry->features & ~seen_features) != 0) {
        seen_features |= entry->features;
        host_print("# vmx features in use %x\n", seen_features);
    }
    v->features = entry->features;
}

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vlapic_vmx_guest guest = {
        .rflags = cpu->regs.rflags,
        .interruptibility = cpu->shadow,
        .busy = cpu->gp_pending || cpu->in_flight.type == EVENT_EXCEPTION,
        .nmi = cpu->nmi_pending,
    };
    struct vlapic_vmx_entry entry;

    (void)duty;
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, cpu->shadow);
    if (!vlapic_vmx_enter(cpu->apic, &guest, &entry)) {
        return false;
    }
    cpu->shadow = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY); /* an NMI that is injected again */
    obey(cpu, &entry);
    if (guest.busy) {
        hv_vmx_inject(&(struct vcpu_event){ EVENT_EXCEPTION, 13 });
        cpu->gp_pending = false;
        cpu->in_flight.type = EVENT_NONE;
    }
    if (entry.injected == VLAPIC_VMX_INJECTED_NMI) {
        cpu->nmi_pending = false;
    }
    if (entry.injected != VLAPIC_VMX_INJECTED_NONE) {
        trace(cpu, entry.injected == VLAPIC_VMX_INJECTED_NMI ? 'N' : 'V', entry.vector,
              entry.injected == VLAPIC_VMX_INJECTED_AGAIN);
    }
    return true;
}

static void finish(struct vcpu *cpu)
{
    struct vlapic_vmx_exit exit = {
        .reason = cpu->exit.reason & 0xFFFF,
        .instruction_length = cpu->exit.length,
        .qualification = cpu->exit.qualification,
        .guest_physical = cpu->exit.address,
        .vectoring = (uint32_t)vmread(VMCS_VECTORING),
    };
    uint32_t length = 0;
    enum vlapic_vmx_result result = vlapic_vmx_exit(cpu->apic, &exit, &length);

    if ((exit.vectoring & INFORMATION_VALID) != 0 && (exit.vectoring >> 8 & 7) == EVENT_EXCEPTION) {
        cpu->in_flight = (struct vcpu_event){ EVENT_EXCEPTION, (uint8_t)exit.vectoring };
    }
    if (result == VLAPIC_VMX_NOT_MINE && cpu->exit.kind == GUEST_EXIT_MMIO && exit.reason == REASON_EXCEPTION) {
        result = vlapic_vmx_access(cpu->apic, cpu->exit.address, cpu->exit.write, &length);
    }
    trace(cpu, 'B', result, length);
    cpu->exit.finished = true;
    switch (result) {
    case VLAPIC_VMX_RESUME:
        break;
    case VLAPIC_VMX_ADVANCE:
        vcpu_advance(cpu, length);
        break;
    case VLAPIC_VMX_GP:
        cpu->gp_pending = true;
        break;
    case VLAPIC_VMX_UNSUPPORTED:
        cpu->exit.kind = GUEST_EXIT_OTHER; /* ends the payload */
        cpu->exit.finished = false;
        break;
    default:
        cpu->exit.finished = false;
    }
}

static uint32_t free_of_exits(struct vcpu *cpu)
{
    uint32_t features = hv_vmx_of(cpu)->features;
    bool access = (features & (VLAPIC_VMX_APIC_ACCESS | VLAPIC_VMX_X2APIC)) != 0;
    uint32_t bits = 0;

    bits |= (features & VLAPIC_VMX_TPR_SHADOW) != 0 ? GUEST_FREE_CR8 : 0;
    bits |= (features & VLAPIC_VMX_TPR_SHADOW) != 0 && access ? GUEST_FREE_TPR : 0;
    bits |= (features & VLAPIC_VMX_REGISTERS) != 0 && access ? GUEST_FREE_READS : 0;
    bits |= (features & VLAPIC_VMX_DELIVERY) != 0 ? GUEST_FREE_DELIVERY : 0;
    bits |= (features & VLAPIC_VMX_DELIVERY) != 0 && access ? GUEST_FREE_EOI | GUEST_FREE_SELF_IPI : 0;
    bits |= (features & VLAPIC_VMX_POSTED) != 0 ? GUEST_FREE_POSTED : 0;
    bits |= (features & VLAPIC_VMX_IPI) != 0 ? GUEST_FREE_IPI : 0;
    return bits;
}

static void inhibit(bool on)
{
    vlapic_vmx_inhibit(vm.apics, VLAPIC_VMX_INHIBIT_REQUEST, on);
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vm_kick(vm.cpus[i]);
    }
}

static void before_snapshot(struct vcpu *cpu)
{
    hv_vmx_of(cpu)->saved = vlapic_vmx_get_in_flight(cpu->apic);
}

static void after_snapshot(struct vcpu *cpu)
{
    vlapic_vmx_set_in_flight(cpu->apic, hv_vmx_of(cpu)->saved);
}

const struct hv_vmx_driver hv_vmx_apicv_driver = {
    .name = "vmx",
    .backend = &vlapic_backend_vmx,
    .config = config,
    .prepare = prepare,
    .finish = finish,
    .free = free_of_exits,
    .inhibit = inhibit,
    .before_snapshot = before_snapshot,
    .after_snapshot = after_snapshot,
};
