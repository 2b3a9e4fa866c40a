/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver for backend `svm`. No emulator has AVIC, so the backend gets no tables for it: V_TPR, event injection and windows are what is used. */
#include "hv_svm.h"
#include <vlapic/svm.h>
#include <vlapic/svm_run.h>

static void *vmcb(void *cookie)
{
    return hv_svm_of(cookie)->vmcb;
}

static uint8_t *msr_map(void *cookie)
{
    return hv_svm_of(cookie)->msr_map;
}

static const struct vlapic_svm_ops ops = {
    .size = sizeof(ops),
    .abi = VLAPIC_SVM_ABI,
    .vmcb = vmcb,
    .msr_map = msr_map,
    .fetch = vm_fetch,
    .guest = &vm_guest_ops,
};

static const void *config(void)
{
    static struct vlapic_svm_config settings;

    HOST_MUST(vlapic_svm_config_defaults(&settings, sizeof(settings)) == VLAPIC_OK);
    settings.cpuid_edx = hv_svm_can.edx;
    settings.cpuid_ecx = hv_svm_can.ecx;
    settings.ops = &ops;
    return &settings;
}

static void obey(struct vcpu *cpu, const struct vlapic_svm_entry *entry)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    v->flush = v->flush || (entry->changes & VLAPIC_SVM_FLUSH_TLB) != 0;
    v->step = (entry->changes & VLAPIC_SVM_SINGLE_STEP) != 0;
    if (entry->injected == VLAPIC_SVM_INJECTED_NMI) {
        cpu->nmi_pending = false;
    }
    if (entry->injected != VLAPIC_SVM_INJECTED_NONE) {
        trace(cpu, entry->injected == VLAPIC_SVM_INJECTED_NMI ? 'N' : 'V', entry->vector,
              entry->injected == VLAPIC_SVM_INJECTED_AGAIN);
    }
}

static bool prepare(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vlapic_svm_guest guest = {
        .rflags = cpu->regs.rflags,
        .shadow = (cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)) != 0,
        .busy = cpu->gp_pending || cpu->in_flight.type == EVENT_EXCEPTION,
        .nmi = cpu->nmi_pending,
    };
    struct vlapic_svm_entry entry;

    (void)duty;
    if (!vlapic_svm_enter(cpu->apic, &guest, &entry)) {
        return false;
    }
    if (guest.busy) {
        hv_svm_inject(cpu, &(struct vcpu_event){ EVENT_EXCEPTION, 13 });
        cpu->gp_pending = false;
        cpu->in_flight.type = EVENT_NONE;
    }
    obey(cpu, &entry);
    return true;
}

static void finish(struct vcpu *cpu)
{
    uint32_t interrupted = vmcb_get32(cpu, VMCB_EXIT_EVENT), length = 0;
    enum vlapic_svm_result result = vlapic_svm_exit(cpu->apic, &length);

    if ((interrupted & EVENT_VALID) != 0 && (interrupted >> 8 & 7) == EVENT_EXCEPTION) {
        cpu->in_flight = (struct vcpu_event){ EVENT_EXCEPTION, (uint8_t)interrupted };
    }
    trace(cpu, 'B', result, length);
    cpu->exit.finished = true;
    switch (result) {
    case VLAPIC_SVM_RESUME:
        break;
    case VLAPIC_SVM_ADVANCE:
        vcpu_advance(cpu, length);
        break;
    case VLAPIC_SVM_GP:
        cpu->gp_pending = true;
        break;
    case VLAPIC_SVM_NOT_MINE:
        cpu->exit.finished = false;
        break;
    default:
        cpu->exit.kind = GUEST_EXIT_OTHER; /* ends the payload */
        cpu->exit.finished = false;
    }
}

/* CR8 is V_TPR but while something waits for a write to it. */
static uint32_t free_of_exits(struct vcpu *cpu)
{
    return (vmcb_get32(cpu, VMCB_CR_INTERCEPTS) & (CR8_READ | CR8_WRITE)) == 0 ? GUEST_FREE_CR8 : 0;
}

static void inhibit(bool on)
{
    vlapic_svm_inhibit(vm.apics, VLAPIC_SVM_INHIBIT_REQUEST, on);
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vm_kick(vm.cpus[i]);
    }
}

static void before_snapshot(struct vcpu *cpu)
{
    hv_svm_of(cpu)->saved = vlapic_svm_get_in_flight(cpu->apic);
}

static void after_snapshot(struct vcpu *cpu)
{
    vlapic_svm_set_in_flight(cpu->apic, hv_svm_of(cpu)->saved);
}

const struct hv_svm_driver hv_svm_backend_driver = {
    .name = "svm",
    .backend = &vlapic_backend_svm,
    .config = config,
    .prepare = prepare,
    .finish = finish,
    .free = free_of_exits,
    .inhibit = inhibit,
    .before_snapshot = before_snapshot,
    .after_snapshot = after_snapshot,
};
