/* SPDX-License-Identifier: BSD-2-Clause */
/* libvlapic's callbacks. A "nanosecond" of now_ns() is an input clock of the guest's timer: the TSC, or, where emulators take long for an interrupt, a
 * fraction of it. */
#include "hv.h"
#include "vm.h"

uint64_t vm_clock(void)
{
    return rdtsc() >> hv->clock_shift;
}

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return vm_clock();
}

static uint64_t now_tsc(void *cookie)
{
    (void)cookie;
    return rdtsc();
}

static void arm_physical(uint64_t deadline)
{
    uint64_t now = rdtsc();
    uint64_t ticks = deadline > now ? deadline - now : 0;

    host_lapic_timer(ticks < vm_watchdog() ? ticks : vm_watchdog());
}

static void timer_arm_tsc(void *cookie, uint64_t deadline)
{
    struct vcpu *cpu = cookie;

    cpu->timer_deadline = deadline;
    /* Made or reset by another CPU's thread: vm_timer_bind() arms. */
    if (this_cpu()->vcpu == cpu) {
        arm_physical(deadline);
    }
}

static void timer_arm_ns(void *cookie, uint64_t deadline)
{
    timer_arm_tsc(cookie, deadline << hv->clock_shift);
}

static void timer_cancel(void *cookie)
{
    ((struct vcpu *)cookie)->timer_deadline = UINT64_MAX;
}

void vm_timer_bind(struct vcpu *cpu)
{
    arm_physical(cpu->timer_deadline);
}

/* In the interrupt: of the vCPU's state only what the owner, who is this CPU, has written. */
void vm_timer_interrupt(struct host_cpu *host)
{
    struct vcpu *cpu = host->vcpu;

    if (cpu == NULL) {
        return;
    }
    if (rdtsc() >= cpu->timer_deadline) {
        cpu->timer_deadline = UINT64_MAX;
        vlapic_cpu_timer_expired(cpu->apic);
    }
    arm_physical(cpu->timer_deadline);
}

static void kick(void *cookie)
{
    struct vcpu *cpu = cookie;

    if (this_cpu()->vcpu != NULL) {
        trace(this_cpu()->vcpu, 'k', cpu->index, 0);
    }
    vm_kick(cpu);
}

/* The level lines: an I/O APIC reduced to its duty. The EOI is the owner's; lines may be driven by any vCPU's thread. */
static void eoi_broadcast(void *cookie, uint8_t vector)
{
    struct vm_line *line = &vm.lines[vector];
    struct vlapic_message message = {
        .destination = line->apic_id, .delivery = VLAPIC_DELIVERY_FIXED, .vector = vector, .level = true
    };

    (void)cookie;
    __atomic_fetch_add(&line->eois, 1, __ATOMIC_ACQ_REL);
    if (__atomic_load_n(&line->asserted, __ATOMIC_ACQUIRE)) {
        vlapic_vm_deliver(vm.apics, &message);
    }
}

static bool on_cpu_thread(void *cookie)
{
    return this_cpu()->vcpu == cookie || __atomic_load_n(&((struct vcpu *)cookie)->host, __ATOMIC_ACQUIRE) == NULL;
}

const struct vlapic_host_ops vm_host_ops = {
    .size = sizeof(vm_host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = timer_cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
    .now_tsc = now_tsc,
    .timer_arm_tsc = timer_arm_tsc,
    .on_cpu_thread = on_cpu_thread,
};
