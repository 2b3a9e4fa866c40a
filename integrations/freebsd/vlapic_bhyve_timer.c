/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's host ops: clock and timer by callout(9), kicks and EOIs handed to the vmm. No lock: an expiry may be early, late, double
 * or after the timer was stopped, and only makes the owner look.
 */
#include "vlapic_bhyve_internal.h"

#include <sys/time.h>

static void expired(void *argument)
{
    struct vlapic_bhyve_cpu *cpu = argument;

    vlapic_cpu_timer_expired(cpu->apic);
}

void vlapic_bhyve_timer_init(struct vlapic_bhyve_cpu *cpu)
{
    callout_init(&cpu->timer, 1);
}

void vlapic_bhyve_timer_drain(struct vlapic_bhyve_cpu *cpu)
{
    callout_drain(&cpu->timer);
}

static uint64_t now_ns(void *cpu_cookie)
{
    (void)cpu_cookie;
    return (uint64_t)sbttons(sbinuptime());
}

/* A nanosecond more: the conversions round, and an expiry before its time would be looked at twice. */
static void timer_arm_ns(void *cpu_cookie, uint64_t deadline_ns)
{
    struct vlapic_bhyve_cpu *cpu = cpu_cookie;

    callout_reset_sbt_curcpu(&cpu->timer, nstosbt((int64_t)(deadline_ns + 1)), 0, expired, cpu, C_ABSOLUTE);
}

static void timer_cancel(void *cpu_cookie)
{
    struct vlapic_bhyve_cpu *cpu = cpu_cookie;

    (void)callout_stop(&cpu->timer);
}

static void kick(void *cpu_cookie)
{
    struct vlapic_bhyve_cpu *cpu = cpu_cookie;

    cpu->vm->host->notify(cpu->vcpu);
}

static void eoi_broadcast(void *vm_cookie, uint8_t vector)
{
    struct vlapic_bhyve_vm *vm = vm_cookie;

    if (vm->host->ioapic_eoi != NULL) {
        vm->host->ioapic_eoi(vm->vm, vector);
    }
}

const struct vlapic_host_ops vlapic_bhyve_host_ops = {
    .size = sizeof(struct vlapic_host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = timer_cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
};
