/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU, in the thread that called RUN: poll, carry out the duties, sleep or enter the guest. */
#include <linux/hw_breakpoint.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <asm/debugreg.h>

#include "hv.h"

static void take_init(struct vmm_vcpu *vcpu)
{
    vcpu->started = vcpu->halted = vcpu->nmi_pending = false;
    vcpu->exception = 0;
    vcpu->shadow = 0;
    vlapic_cpu_take_init(vcpu->apic);
}

static bool is_awake(const struct vmm_vcpu *vcpu, const struct vlapic_poll *duty)
{
    if (!vcpu->started || duty->wait_for_sipi) {
        return false;
    }
    return !vcpu->halted || (vcpu->nmi_pending && !vmm_hv->nmi_is_blocked(vcpu)) ||
           (duty->vector >= 0 && vcpu->rflags & X86_EFLAGS_IF);
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

/* It came after this turn had looked, and its kick may have come before `cpu` was set. An exit that is wanted ends the guest at once: by an IPI to ourselves. */
bool vmm_must_not_enter(struct vmm_vcpu *vcpu)
{
    if (READ_ONCE(vcpu->nmi_injected)) {
        return true;
    }
    if (xchg(&vcpu->exit_wanted, false)) {
        smp_send_reschedule(vcpu->cpu);
    }
    return false;
}

/* With interrupts off. Signals and reschedules that come from now on end the guest at once, by their IPIs. */
static int try_to_enter(struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    struct vmm_cpu *host = this_cpu_ptr(&vmm_cpus);
    int ran;

    if (!READ_ONCE(host->on) || signal_pending(current) || need_resched()) {
        return 0;
    }
    WRITE_ONCE(vcpu->cpu, smp_processor_id());
    ran = vmm_hv->run(vcpu, host, exit);
    WRITE_ONCE(vcpu->cpu, -1);
    if (ran > 0 && hw_breakpoint_active()) {
        hw_breakpoint_restore(); /* the exit has disabled them in DR7 */
    }
    return ran;
}

/* One binding to the physical CPU an entry, vlapic_cpu_load() and _put() in vmm_hv->run(): a preempted vCPU is bound to none. */
static int enter(struct vmm_vcpu *vcpu)
{
    struct vmm_exit exit;
    int ran;

    preempt_disable();
    local_irq_disable();
    ran = try_to_enter(vcpu, &exit);
    local_irq_enable();
    preempt_enable();
    if (ran <= 0) {
        return ran < 0 ? ran : 1;
    }
    return vmm_exit(vcpu, &exit);
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
