/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU, in the thread that called RUN: poll, carry out the duties, sleep or enter the guest. */
#include <linux/hw_breakpoint.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <asm/debugreg.h>

#include "vmm.h"

/* QEMU's emulation lets reserved bits be written to CR8 without #GP. */
static bool cr8_exits;
module_param(cr8_exits, bool, 0444);
MODULE_PARM_DESC(cr8_exits, "let every MOV to and from CR8 exit");

static void take_init(struct vmm_vcpu *vcpu)
{
    vcpu->started = vcpu->halted = vcpu->nmi_pending = false;
    vcpu->exception = 0;
    vlapic_cpu_take_init(vcpu->apic);
}

/* The backend has the IRET intercept on while NMIs are blocked. */
static bool nmi_is_blocked(const struct vmm_vcpu *vcpu)
{
    return vcpu->vmcb->control.intercepts[INTERCEPT_IRET / 32] & 1u << INTERCEPT_IRET % 32;
}

static bool is_awake(const struct vmm_vcpu *vcpu, const struct vlapic_poll *duty)
{
    if (!vcpu->started || duty->wait_for_sipi) {
        return false;
    }
    return !vcpu->halted || (vcpu->nmi_pending && !nmi_is_blocked(vcpu)) ||
           (duty->vector >= 0 && vcpu->vmcb->save.rflags & X86_EFLAGS_IF);
}

/* Whatever came since the turn began has set `woken`. */
static int sleep(struct vmm_vcpu *vcpu)
{
    int error;

    if (!vlapic_cpu_halt(vcpu->apic)) {
        return 1;
    }
    error = rcuwait_wait_event(&vcpu->wait, READ_ONCE(vcpu->woken), TASK_INTERRUPTIBLE);
    vlapic_cpu_exit(vcpu->apic);
    return error ? error : 1;
}

/* --- once into the guest, with interrupts off ------------------------------------------------------------------------------- */

/* All vCPUs have ASID 1: whoever follows another one, or has run elsewhere meanwhile, begins with an empty TLB. Nothing of the VMCB is
 * declared clean: that would save time on hardware, and need care. */
static void prepare_vmcb(struct vmm_vcpu *vcpu, struct vmm_cpu *host, int cpu)
{
    struct vmcb_control_area *control = &vcpu->vmcb->control;
    bool foreign = host->last_vcpu != vcpu->serial || vcpu->last_cpu != cpu;

    control->tlb_ctl = foreign ? TLB_CONTROL_FLUSH_ALL_ASID : TLB_CONTROL_DO_NOTHING;
    control->clean = 0;
    host->last_vcpu = vcpu->serial;
    vcpu->last_cpu = cpu;
    if (vcpu->exception) {
        control->event_inj = (u32)vcpu->exception;
        control->event_inj_err = vcpu->exception >> 32;
        vcpu->exception = 0;
    }
    /* QEMU's emulation ends itself if MOV to CR8 finds V_IRQ set. The backend handles these exits whether it wanted them or not. */
    if (cr8_exits || control->int_ctl & V_IRQ_MASK) {
        control->intercepts[INTERCEPT_CR] |= 1u << INTERCEPT_CR8_WRITE;
    }
    if (cr8_exits) {
        control->intercepts[INTERCEPT_CR] |= 1u << INTERCEPT_CR8_READ;
    }
}

/*
 * QEMU 7.2 forgets the interrupt shadow at VMRUN: a window would open before the instruction behind an STI, and if that is a HLT, the interrupt that was to
 * end it would come before it. So that instruction runs alone first, whatever the processor, and is covered until it has run.
 */
static bool is_shadowed(const struct vmcb *vmcb)
{
    return vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK;
}

static bool must_step(struct vmcb *vmcb)
{
    if (!is_shadowed(vmcb) || !(vmcb->control.int_ctl & V_IRQ_MASK)) {
        return false;
    }
    vmcb->control.int_ctl &= ~V_IRQ_MASK; /* the next entry asks for it again */
    return true;
}

/* An instruction that is stepped ends with #DB, which is intercepted. Guests have no single-stepping of their own. */
static void run_guest(struct vmm_vcpu *vcpu, struct vmm_cpu *host, bool step)
{
    struct vmcb *vmcb = vcpu->vmcb;
    bool shadowed = is_shadowed(vmcb);
    u64 rip = vmcb->save.rip;

    if (must_step(vmcb) || step) {
        vmcb->save.rflags |= X86_EFLAGS_TF;
    }
    if (xchg(&vcpu->exit_wanted, false)) {
        smp_send_reschedule(vcpu->cpu); /* to ourselves: it ends the guest at once */
    }
    vmm_svm_enter(__pa(vmcb), vcpu->general, __pa(host->host_vmcb));
    vmcb->save.rflags &= ~(u64)X86_EFLAGS_TF;
    if (shadowed && vmcb->save.rip == rip && vmcb->control.exit_code != SVM_EXIT_EXCP_BASE + X86_TRAP_DB) {
        vmcb->control.int_state |= SVM_INTERRUPT_SHADOW_MASK;
    }
    if (hw_breakpoint_active()) {
        hw_breakpoint_restore(); /* #VMEXIT has disabled them in DR7 */
    }
}

/* False: nothing ran. */
static bool try_to_enter(struct vmm_vcpu *vcpu, struct vmm_cpu *host)
{
    struct vlapic_svm_guest guest = {
        .rflags = vcpu->vmcb->save.rflags,
        .shadow = is_shadowed(vcpu->vmcb),
        .busy = vcpu->exception != 0,
        .nmi = vcpu->nmi_pending,
    };
    struct vlapic_svm_entry entry;

    if (!vlapic_svm_enter(vcpu->apic, &guest, &entry)) {
        return false;
    }
    if (entry.injected == VLAPIC_SVM_INJECTED_NMI) {
        vcpu->nmi_pending = false;
    }
    if (READ_ONCE(
            vcpu->nmi_injected)) { /* it came after this turn had looked, and its kick may have come before `cpu` was set */
        vlapic_svm_cancel(vcpu->apic);
        return false;
    }
    prepare_vmcb(vcpu, host, smp_processor_id());
    run_guest(vcpu, host, entry.changes & VLAPIC_SVM_SINGLE_STEP);
    return true;
}

/* Exceptions that were on their way come again; of INT3 and INTO, RIP is still at the instruction. */
static void keep_exception(struct vmm_vcpu *vcpu)
{
    const struct vmcb_control_area *control = &vcpu->vmcb->control;
    u32 vector = control->exit_int_info & SVM_EXITINTINFO_VEC_MASK;

    if (control->exit_int_info & SVM_EXITINTINFO_VALID &&
        (control->exit_int_info & SVM_EXITINTINFO_TYPE_MASK) == SVM_EXITINTINFO_TYPE_EXEPT && vector != X86_TRAP_BP &&
        vector != X86_TRAP_OF) {
        vcpu->exception = control->exit_int_info | (u64)control->exit_int_info_err << 32;
    }
}

/* One binding to the physical CPU an entry; a preempted vCPU is bound to none. */
static int enter(struct vmm_vcpu *vcpu)
{
    enum vlapic_svm_result result = VLAPIC_SVM_RESUME;
    bool ran = false;
    struct vmm_cpu *host;
    u32 length = 0;

    preempt_disable();
    host = this_cpu_ptr(&vmm_cpus);
    vlapic_cpu_load(vcpu->apic);
    local_irq_disable();
    /* Signals and reschedules that come from now on end the guest at once, by their IPIs. */
    if (READ_ONCE(host->on) && !signal_pending(current) && !need_resched()) {
        WRITE_ONCE(vcpu->cpu, smp_processor_id());
        ran = try_to_enter(vcpu, host);
        WRITE_ONCE(vcpu->cpu, -1);
    }
    local_irq_enable();
    if (ran) {
        result = vlapic_svm_exit(vcpu->apic, &length);
    }
    vlapic_cpu_put(vcpu->apic);
    preempt_enable();
    if (!ran) {
        return 1;
    }
    keep_exception(vcpu);
    return vmm_exit(vcpu, result, length);
}

static int turn(struct vmm_vcpu *vcpu)
{
    struct vlapic_poll duty;

    WRITE_ONCE(vcpu->woken, false);
    smp_mb(); /* against vmm_kick(): either this turn sees what came, or `woken` is set after */
    if (xchg(&vcpu->nmi_injected, false)) {
        vcpu->nmi_pending = true;
    }
    vlapic_cpu_poll(vcpu->apic, &duty);
    if (duty.init) {
        take_init(vcpu);
        return 1;
    }
    if (duty.sipi) {
        vcpu->run.reason = VLAPIC_VMM_SIPI;
        vcpu->run.vector = duty.sipi_vector;
        return 0;
    }
    vcpu->nmi_pending |= duty.nmi;
    if (!is_awake(vcpu, &duty)) {
        return sleep(vcpu);
    }
    vcpu->halted = false;
    return enter(vcpu);
}

int vmm_vcpu_run(struct vmm_vcpu *vcpu)
{
    int result;

    do {
        if (signal_pending(current)) {
            return -EINTR;
        }
        cond_resched();
        result = turn(vcpu);
    } while (result > 0);
    return result;
}
