/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU: poll, carry out the duties, sleep or run. Interrupts are off throughout but in sleep. */
#include "hv.h"
#include "vm.h"

static void take_init(struct vcpu *cpu)
{
    vcpu_stop(cpu);
    vlapic_cpu_take_init(cpu->apic);
    trace(cpu, 'I', 0, 0);
}

static bool is_awake(const struct vcpu *cpu, const struct vlapic_poll *duty)
{
    if (!cpu->started || duty->wait_for_sipi) {
        return false;
    }
    return !cpu->halted || (cpu->nmi_pending && (cpu->shadow & SHADOW_NMI) == 0) ||
           (duty->vector >= 0 && (cpu->regs.rflags & RFLAGS_IF) != 0);
}

static void sleep(struct vcpu *cpu)
{
    if (vlapic_cpu_halt(cpu->apic)) {
        trace(cpu, 'H', 0, 0);
        if (!vm_has_ended() && __atomic_load_n(&vm.move_wanted, __ATOMIC_ACQUIRE) == 0 &&
            !__atomic_load_n(&cpu->kicked_nmi, __ATOMIC_ACQUIRE)) {
            sleep_until_interrupt();
        }
        vlapic_cpu_exit(cpu->apic);
    }
}

static void turn(struct vcpu *cpu)
{
    struct vlapic_poll duty;

    if (vcpu_is_overdue(cpu)) {
        return;
    }
    vlapic_cpu_poll(cpu->apic, &duty);
    if (duty.init) {
        take_init(cpu);
        return;
    }
    if (duty.sipi) {
        vcpu_start(cpu, vm_image()->ap_entry, duty.sipi_vector);
    }
    if (duty.nmi || __atomic_exchange_n(&cpu->kicked_nmi, false, __ATOMIC_ACQ_REL)) {
        cpu->nmi_pending = true;
    }
    if (!is_awake(cpu, &duty)) {
        sleep(cpu);
        return;
    }
    cpu->halted = false;
    if (hv->run(cpu, &duty)) {
        vm_exit(cpu);
    }
}

static void bind(struct host_cpu *host, struct vcpu *cpu)
{
    host->vcpu = cpu;
    __atomic_store_n(&cpu->host, host, __ATOMIC_RELEASE);
    hv->load(cpu);
    vlapic_cpu_load(cpu->apic);
    vm_timer_bind(cpu);
}

static void unbind(struct vcpu *cpu)
{
    vlapic_cpu_put(cpu->apic);
    hv->put(cpu);
}

/* Two meetings: the first says that everybody is free, the second that everybody has taken the next vCPU, and that the wish is fulfilled. */
static struct vcpu *move(struct host_cpu *host, struct vcpu *cpu)
{
    struct vcpu *next = vm.cpus[(cpu->index + 1) % vm.cpu_count];

    trace(cpu, 'M', host->index, 0);
    unbind(cpu);
    vcpu_meet();
    if (host->index == 0) {
        __atomic_store_n(&vm.move_wanted, 0, __ATOMIC_RELEASE);
    }
    bind(host, next);
    vcpu_meet();
    return next;
}

void vcpu_thread(struct host_cpu *host)
{
    struct vcpu *cpu = host->vcpu;

    interrupts_off();
    bind(host, cpu);
    if (cpu->index == 0) {
        vcpu_start(cpu, vm_image()->entry, 0);
    }
    while (!vm_has_ended()) {
        if (__atomic_load_n(&vm.move_wanted, __ATOMIC_ACQUIRE) != 0) {
            cpu = move(host, cpu);
        }
        turn(cpu);
    }
    unbind(cpu);
}
