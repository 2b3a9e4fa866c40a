/* SPDX-License-Identifier: BSD-2-Clause */
/* libvlapic's callbacks: clocks, timers, kicks, EOIs of level-triggered lines. */
#include "vmm.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000u
#define MSR_TSC 0x10u

uint64_t host_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return host_now_ns();
}

static void set_timer(const struct vcpu *cpu, uint64_t deadline_ns)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(deadline_ns / NS_PER_SECOND),
                                             .tv_nsec = (long)(deadline_ns % NS_PER_SECOND) } };

    MUST(timerfd_settime(cpu->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

static void timer_arm_ns(void *cookie, uint64_t deadline_ns)
{
    set_timer(cookie, deadline_ns);
}

static void timer_cancel(void *cookie)
{
    set_timer(cookie, 0);
}

/* KVM knows the guest's TSC, whatever offset and scale it has given it. */
static uint64_t now_tsc(void *cookie)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry tsc;
    } msrs = { .head.nmsrs = 1, .tsc.index = MSR_TSC };

    MUST(ioctl(((struct vcpu *)cookie)->fd, KVM_GET_MSRS, &msrs) == 1);
    return msrs.tsc.data;
}

/* Where the calibration of the TSC makes this a little early, the library looks at the clock and asks again. */
static void timer_arm_tsc(void *cookie, uint64_t deadline_tsc)
{
    struct vcpu *cpu = cookie;
    uint64_t now = now_tsc(cookie), ticks = deadline_tsc > now ? deadline_tsc - now : 0, khz;

    khz = (uint64_t)ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);
    /* At most an hour at a time: no overflow, and one look too many. */
    ticks = ticks < khz * 3600000 ? ticks : khz * 3600000;
    set_timer(cpu, host_now_ns() + ticks / khz * 1000000 + ticks % khz * 1000000 / khz + 1);
}

static void kick(void *cookie)
{
    vcpu_kick(cookie);
}

/* The EOI is the owner's; lines may be driven by any vCPU's thread. */
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

static void base_changed(void *cookie, uint64_t old_value, uint64_t new_value)
{
    (void)old_value;
    (void)new_value;
    ((struct vcpu *)cookie)->base_changed = true;
}

static bool on_cpu_thread(void *cookie)
{
    const struct vcpu *cpu = cookie;

    return !cpu->has_thread || pthread_equal(cpu->thread, pthread_self());
}

const struct vlapic_host_ops host_ops = {
    .size = sizeof(host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = timer_cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
    .base_changed = base_changed,
    .now_tsc = now_tsc,
    .timer_arm_tsc = timer_arm_tsc,
    .on_cpu_thread = on_cpu_thread,
};

void host_wait(uint64_t give_up_ns)
{
    struct pollfd fds[VM_CPUS + 1];
    uint64_t now, count;

    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        fds[i] = (struct pollfd){ .fd = vm.cpus[i].timer, .events = POLLIN };
    }
    fds[vm.cpu_count] = (struct pollfd){ .fd = vm.ended, .events = POLLIN };
    while (!vm_has_ended() && (now = host_now_ns()) < give_up_ns) {
        poll(fds, vm.cpu_count + 1, (int)((give_up_ns - now) / 1000000 + 1));
        for (uint32_t i = 0; i < vm.cpu_count; i++) {
            if (read(vm.cpus[i].timer, &count, sizeof(count)) == sizeof(count)) {
                vlapic_cpu_timer_expired(vm.cpus[i].apic);
            }
        }
    }
}
