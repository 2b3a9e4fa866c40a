/* SPDX-License-Identifier: BSD-2-Clause */
/* Entering the guest. */
#include "hv_svm.h"

#define FLUSH_ALL 1u
#define FLUSH_ASID 3u

static void clgi(void)
{
    __asm__ volatile("clgi" : : : "memory");
}

static void stgi(void)
{
    __asm__ volatile("stgi" : : : "memory");
}

/* What ended the guest is still pending: SVM acknowledges nothing. */
static void take_interrupts(void)
{
    interrupts_on();
    __asm__ volatile("nop"); /* the shadow of STI */
    interrupts_off();
}

void hv_svm_inject(struct vcpu *cpu, const struct vcpu_event *event)
{
    uint64_t injection = EVENT_VALID | (uint64_t)event->type << 8 | event->vector;

    if (event->type == EVENT_NONE) {
        injection = 0;
    } else if (event->type == EVENT_EXCEPTION) { /* #GP alone */
        injection |= EVENT_ERROR_CODE;
    }
    vmcb_set(cpu, VMCB_EVENT_INJECTION, injection, 0);
}

static void write_guest(struct vcpu *cpu)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);

    vmcb_set(cpu, VMCB_RAX, cpu->regs.general[REG_RAX], 0);
    vmcb_set(cpu, VMCB_RSP, cpu->regs.general[REG_RSP], 0);
    vmcb_set(cpu, VMCB_RIP, cpu->regs.rip, 0);
    vmcb_set(cpu, VMCB_RFLAGS, cpu->regs.rflags, 0);
    vmcb_set(cpu, VMCB_SHADOW, (cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)) != 0, 0);
    v->vmcb[VMCB_TLB_CONTROL] = !v->flush ? 0 : hv_svm_can.flush_by_asid ? FLUSH_ASID : FLUSH_ALL;
    v->flush = false;
}

/* SVM has one bit for both kinds of shadow, and knows nothing of NMIs. */
static void read_guest(struct vcpu *cpu)
{
    cpu->regs.general[REG_RAX] = vmcb_get(cpu, VMCB_RAX);
    cpu->regs.general[REG_RSP] = vmcb_get(cpu, VMCB_RSP);
    cpu->regs.rip = vmcb_get(cpu, VMCB_RIP);
    cpu->regs.rflags = vmcb_get(cpu, VMCB_RFLAGS);
    cpu->shadow = (cpu->shadow & SHADOW_NMI) | ((vmcb_get(cpu, VMCB_SHADOW) & 1) != 0 ? SHADOW_STI : 0);
}

/* The trap flag would be pushed with the flags if an event were injected, and trap in its handler's IRET: an interrupt of the host that is
 * pending ends such an entry instead, when the event has been delivered. */
static void begin_step(struct vcpu *cpu)
{
    if ((vmcb_get(cpu, VMCB_EVENT_INJECTION) & EVENT_VALID) != 0) {
        hv_svm_of(cpu)->step = false;
        vm_kick(cpu);
        return;
    }
    vmcb_set(cpu, VMCB_RFLAGS, cpu->regs.rflags | RFLAGS_TF, 0);
    vmcb_set32(cpu, VMCB_EXCEPTION_INTERCEPTS, EXCEPTION_DB, CLEAN_INTERCEPTS);
}

/* No payload traps itself, so a flag that is still there is ours. */
static void end_step(struct vcpu *cpu)
{
    hv_svm_of(cpu)->step = false;
    cpu->regs.rflags &= ~RFLAGS_TF;
    vmcb_set32(cpu, VMCB_EXCEPTION_INTERCEPTS, 0, CLEAN_INTERCEPTS);
}

static void enter(struct vcpu *cpu)
{
    struct hv_svm_vcpu *v = hv_svm_of(cpu);
    uint64_t rip = cpu->regs.rip;
    uint32_t shadow = cpu->shadow;

    write_guest(cpu);
    hv_svm_work_round(cpu);
    if (v->step) {
        begin_step(cpu);
    }
    hv_svm_enter(&cpu->regs, v->vmcb, hv_svm_host_state());
    vmcb_set32(cpu, VMCB_CLEAN, UINT32_MAX, 0);
    read_guest(cpu);
    hv_svm_keep_shadow(cpu, rip, shadow);
    if (v->step) {
        end_step(cpu);
    }
}

/* The three lines with `hv_svm_driver` and enter() are where a backend sits. */
bool hv_svm_run(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    clgi();
    if (!hv_svm_driver->prepare(cpu, duty)) {
        stgi();
        return false;
    }
    enter(cpu);
    memset(&cpu->exit, 0, sizeof(cpu->exit));
    hv_svm_decode(cpu);
    hv_svm_driver->finish(cpu);
    stgi();
    if (cpu->exit.reason == CODE_INTR) {
        take_interrupts();
    }
    return true;
}
