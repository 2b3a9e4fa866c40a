/* SPDX-License-Identifier: BSD-2-Clause */
/* libvlapic's callbacks: time, kicks, EOIs; the guest's registers and memory for the hardware backends. */
#include <linux/math64.h>
#include <linux/smp.h>
#include <asm/tsc.h>

#include "vmm.h"

#define HOUR_SECONDS 3600

/* --- time -------------------------------------------------------------------------------------------------------------------- */

static u64 now_ns(void *cookie)
{
    return ktime_get_ns();
}

/* The TSC offset is 0. */
static u64 now_tsc(void *cookie)
{
    return rdtsc_ordered();
}

static void arm_ns(void *cookie, u64 deadline_ns)
{
    struct vmm_vcpu *vcpu = cookie;

    hrtimer_start(&vcpu->timer, ns_to_ktime(min_t(u64, deadline_ns, KTIME_MAX)), HRTIMER_MODE_ABS);
}

/* An hour at most: early is harmless, and the library arms it again. */
static void arm_tsc(void *cookie, u64 deadline_tsc)
{
    u64 now = rdtsc_ordered();
    u64 ticks = deadline_tsc > now ? deadline_tsc - now : 0;

    ticks = min_t(u64, ticks, (u64)tsc_khz * 1000 * HOUR_SECONDS);
    arm_ns(cookie, ktime_get_ns() + mul_u64_u32_div(ticks, NSEC_PER_MSEC, tsc_khz));
}

static void cancel(void *cookie)
{
    struct vmm_vcpu *vcpu = cookie;

    hrtimer_try_to_cancel(&vcpu->timer); /* one that is just running may run on */
}

enum hrtimer_restart vmm_timer_expired(struct hrtimer *timer)
{
    vlapic_cpu_timer_expired(container_of(timer, struct vmm_vcpu, timer)->apic);
    return HRTIMER_NORESTART;
}

/* --- kicks ------------------------------------------------------------------------------------------------------------------- */

/*
 * Any context. A reschedule IPI that finds nothing to do ends the guest all the same. A vCPU that ran on this CPU is not in the guest now, for we are
 * here; and the owner announces that it enters (an exchange) after it has written `cpu`, so whoever sees the announcement sees that.
 */
void vmm_kick(struct vmm_vcpu *vcpu)
{
    int here = get_cpu();
    int cpu;

    WRITE_ONCE(vcpu->woken, true);
    rcuwait_wake_up(&vcpu->wait); /* begins with a full barrier */
    cpu = READ_ONCE(vcpu->cpu);
    if (cpu >= 0 && cpu != here) {
        smp_send_reschedule(cpu);
    }
    put_cpu();
}

static void kick(void *cookie)
{
    vmm_kick(cookie);
}

/* --- EOIs ---------------------------------------------------------------------------------------------------------------------- */

static void eoi_notify(void *cookie, u8 vector, bool level)
{
    struct vmm_vcpu *vcpu = cookie;

    if (level) {
        vcpu->eoi_came = true;
        vcpu->eoi_vector = vector;
    }
}

static bool on_cpu_thread(void *cookie)
{
    return mutex_is_locked(&((struct vmm_vcpu *)cookie)->lock);
}

const struct vlapic_host_ops vmm_host_ops = {
    .size = sizeof(vmm_host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = arm_ns,
    .timer_cancel = cancel,
    .kick = kick,
    .eoi_notify = eoi_notify,
    .now_tsc = now_tsc,
    .timer_arm_tsc = arm_tsc,
    .on_cpu_thread = on_cpu_thread,
};

/* --- the guest, as the access decoder sees it -------------------------------------------------------------------------------- */

static u64 *find_register(struct vmm_vcpu *vcpu, u32 reg)
{
    switch (reg) {
    case VLAPIC_DECODE_RIP:
        return &vcpu->rip;
    case VLAPIC_DECODE_RFLAGS:
        return &vcpu->rflags;
    default:
        return &vcpu->general[reg];
    }
}

static u64 read_register(void *cookie, u32 reg)
{
    return *find_register(cookie, reg);
}

static void write_register(void *cookie, u32 reg, u64 value)
{
    *find_register(cookie, reg) = value;
}

/* Where neither memory nor the APIC answers, for vcpu_exit.c: the backend has its own for the APIC. */
static bool read_nothing(void *cookie, u32 offset, u32 width, u64 *value)
{
    *value = U64_MAX >> (64 - 8 * width);
    return true;
}

static bool write_nothing(void *cookie, u32 offset, u32 width, u64 value)
{
    return true;
}

/* Linear addresses are physical ones: the guest cannot change CR3. */
static bool read_memory(void *cookie, const struct vlapic_decode_address *address, u32 width, u64 *value)
{
    *value = 0;
    return vmm_vm_copy(((struct vmm_vcpu *)cookie)->vm, address->linear, value, width, false);
}

static bool write_memory(void *cookie, const struct vlapic_decode_address *address, u32 width, u64 value)
{
    return vmm_vm_copy(((struct vmm_vcpu *)cookie)->vm, address->linear, &value, width, true);
}

const struct vlapic_decode_ops vmm_guest_ops = {
    .size = sizeof(vmm_guest_ops),
    .abi = VLAPIC_DECODE_ABI,
    .read_register = read_register,
    .write_register = write_register,
    .apic_read = read_nothing,
    .apic_write = write_nothing,
    .memory_read = read_memory,
    .memory_write = write_memory,
};

size_t vmm_fetch(void *cookie, u8 *bytes, size_t size, enum vlapic_decode_mode *mode)
{
    struct vmm_vcpu *vcpu = cookie;
    size_t count = 0;

    *mode = VLAPIC_DECODE_MODE_64;
    while (count < size && vmm_vm_copy(vcpu->vm, vcpu->rip + count, bytes + count, 1, false)) {
        count++;
    }
    return count;
}
