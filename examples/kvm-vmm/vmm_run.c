/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU's thread: poll, carry out the duties, sleep or run. One signal is all kicks: blocked here, it ends KVM_RUN and sigwaitinfo(),
 * also if it came before them. */
#include "vmm.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void vcpu_kick(struct vcpu *cpu)
{
    pthread_kill(cpu->thread, KICK_SIGNAL);
}

static void wait_for_kick(const struct timespec *limit)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KICK_SIGNAL);
    sigtimedwait(&set, NULL, limit);
}

static void hand_on_base(struct vcpu *cpu)
{
    struct kvm_sregs sregs;

    cpu->base_changed = false;
    MUST(ioctl(cpu->fd, KVM_GET_SREGS, &sregs) == 0);
    sregs.apic_base = vlapic_cpu_apic_base(cpu->apic);
    MUST(ioctl(cpu->fd, KVM_SET_SREGS, &sregs) == 0);
}

/* KVM_RUN, with CR8 on the run page in both directions: the guest reads it without an exit, and writes it with one only to lower it. */
static int kvm_run(struct vcpu *cpu)
{
    int result;

    if (cpu->base_changed) {
        hand_on_base(cpu);
    }
    cpu->run->cr8 = vlapic_cpu_cr8_read(cpu->apic);
    result = ioctl(cpu->fd, KVM_RUN, 0);
    MUST(result == 0 || errno == EINTR);
    vlapic_cpu_exit(cpu->apic);
    if (cpu->run->cr8 != vlapic_cpu_cr8_read(cpu->apic)) {
        vlapic_cpu_cr8_write(cpu->apic, cpu->run->cr8);
    }
    return result;
}

/* One entry. KVM takes one interrupt, when the guest can take it; until then a window is asked for. */
static void enter(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    static const struct timespec no_time;
    struct kvm_interrupt interrupt = { .irq = (uint32_t)duty->vector };
    bool inject = duty->vector >= 0 && cpu->run->ready_for_interrupt_injection &&
                  vlapic_cpu_accept(cpu->apic, (uint8_t)duty->vector);

    if (!vlapic_cpu_enter(cpu->apic)) {
        if (inject) {
            vlapic_cpu_unaccept(cpu->apic, (uint8_t)duty->vector);
        }
        return;
    }
    if (inject) {
        MUST(ioctl(cpu->fd, KVM_INTERRUPT, &interrupt) == 0);
    }
    if (cpu->nmi_pending) {
        MUST(ioctl(cpu->fd, KVM_NMI, 0) == 0);
        cpu->nmi_pending = false;
    }
    cpu->run->request_interrupt_window = duty->vector >= 0 && !inject;
    if (kvm_run(cpu) == 0) {
        vcpu_exit(cpu);
    } else {
        cpu->exits[GUEST_EXIT_INTERRUPT]++;
        wait_for_kick(&no_time); /* it stays pending, being blocked: the next KVM_RUN would end at once */
    }
}

/* An instruction that exited is finished by the next KVM_RUN, which would be after the INIT. So finish it first: without running any other one. */
static void finish_instruction(struct vcpu *cpu)
{
    cpu->run->immediate_exit = 1;
    cpu->run->request_interrupt_window = 0;
    while (kvm_run(cpu) == 0) { /* read-modify-write: its second half */
        vcpu_exit(cpu);
    }
    cpu->run->immediate_exit = 0;
}

static void take_init(struct vcpu *cpu)
{
    if (cpu->started) {
        finish_instruction(cpu);
    }
    cpu->started = cpu->halted = cpu->nmi_pending = false;
    vlapic_cpu_take_init(cpu->apic);
}

static bool is_awake(const struct vcpu *cpu, const struct vlapic_poll *duty)
{
    if (!cpu->started || duty->wait_for_sipi) {
        return false;
    }
    return !cpu->halted || (duty->vector >= 0 && cpu->run->if_flag) || vcpu_can_take_nmi(cpu);
}

static void turn(struct vcpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu->apic, &duty);
    if (duty.init) {
        take_init(cpu);
        return;
    }
    if (duty.sipi) {
        vcpu_start(cpu, image_header()->ap_entry, duty.sipi_vector);
    }
    if (duty.nmi || __atomic_exchange_n(&cpu->nmi_asked, false, __ATOMIC_ACQ_REL)) {
        cpu->nmi_pending = true;
    }
    if (is_awake(cpu, &duty)) {
        cpu->halted = false;
        enter(cpu, &duty);
    } else if (vlapic_cpu_halt(cpu->apic)) {
        wait_for_kick(NULL);
        vlapic_cpu_exit(cpu->apic);
    }
}

/* GUEST_PORT_MOVE: to the next physical CPU. KVM does the rest. */
static void bind(struct vcpu *cpu)
{
    cpu_set_t allowed, one;
    int place, seen = 0;

    cpu->moves = __atomic_load_n(&vm.moves, __ATOMIC_ACQUIRE);
    if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
        return;
    }
    place = (int)(cpu->index + cpu->moves) % CPU_COUNT(&allowed);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &allowed) && seen++ == place) {
            CPU_SET(i, &one);
        }
    }
    vlapic_cpu_put(cpu->apic);
    MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
    vlapic_cpu_load(cpu->apic);
}

void *vcpu_thread(void *cookie)
{
    struct vcpu *cpu = cookie;

    vlapic_cpu_load(cpu->apic);
    bind(cpu);
    if (cpu->index == 0) {
        vcpu_start(cpu, image_header()->entry, 0);
    }
    while (!vm_has_ended()) {
        if (cpu->moves != __atomic_load_n(&vm.moves, __ATOMIC_ACQUIRE)) {
            bind(cpu);
        }
        turn(cpu);
    }
    vlapic_cpu_put(cpu->apic);
    return NULL;
}
