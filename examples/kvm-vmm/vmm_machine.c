/* SPDX-License-Identifier: BSD-2-Clause */
/* /dev/kvm, and a VM of it: made for one payload, run, ended. */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GIVE_UP_NS 20000000000ull

struct vm vm;
int kvm;

_Noreturn void die(const char *file, int line, const char *what)
{
    printf("kvm-vmm: %s:%d: %s: %s\n", file, line, what, strerror(errno));
    exit(2);
}

static void need(int capability, const char *name)
{
    if (ioctl(kvm, KVM_CHECK_EXTENSION, capability) <= 0) {
        printf("kvm-vmm: this KVM has no %s\n", name);
        exit(2);
    }
}

/* A VM and a vCPU that never run. With the first ones and after the last ones Linux patches its code, and would do so for each payload; when QEMU 7.2
 * emulates it with a thread a CPU, it may go on with the breakpoint that stood there meanwhile, for ever. */
static void stay_in_use(void)
{
    int machine = ioctl(kvm, KVM_CREATE_VM, 0);

    MUST(machine >= 0 && ioctl(machine, KVM_CREATE_VCPU, 0) >= 0);
}

void kvm_open(void)
{
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    MUST(kvm >= 0);
    MUST(ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
    need(KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT (Linux 4.13)");
    need(KVM_CAP_USER_NMI, "KVM_CAP_USER_NMI");
    need(KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR (Linux 5.10)");
    need(KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER (Linux 5.10)");
    stay_in_use();
}

uint32_t host_features(void)
{
    uint32_t features = GUEST_FEATURE_X2APIC | GUEST_FEATURE_DEADLINE | GUEST_FEATURE_SNAPSHOT | GUEST_FEATURE_DEVICES;
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) >= 2) {
        features |= GUEST_FEATURE_MOVE;
    }
    return features;
}

/* The MSRs of the local APIC come to us. Of those with a filter no bit is set: neither reads nor writes are KVM's. */
static void take_msrs(void)
{
    static uint8_t none[8];
    struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
                                  .args[0] = KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_INVAL |
                                             KVM_MSR_EXIT_REASON_UNKNOWN };
    struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
    static const uint32_t filtered[] = { VLAPIC_MSR_APIC_BASE, VLAPIC_MSR_TSC_DEADLINE };

    for (size_t i = 0; i < sizeof(filtered) / sizeof(filtered[0]); i++) {
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = filtered[i], .bitmap = none
        };
    }
    MUST(ioctl(vm.fd, KVM_ENABLE_CAP, &cap) == 0);
    MUST(ioctl(vm.fd, KVM_X86_SET_MSR_FILTER, &filter) == 0);
}

static void create_apics(void)
{
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    /* The payloads ask for Intel's answers where the vendors differ; a guest that looks at CPUID gets the vendor that CPUID says. */
    MUST(vlapic_vm_config_defaults(&config, sizeof(config), VLAPIC_VENDOR_INTEL) == VLAPIC_OK);
    config.host = &host_ops;
    config.backend = &vlapic_backend_soft;
    config.cookie = &vm;
    config.max_apic_id = VM_CPUS - 1;
    config.phys_bits = cpuid_phys_bits();
    config.timer_hz = TIMER_HZ;
    config.x2apic = (vm.features & GUEST_FEATURE_X2APIC) != 0;
    config.tsc_deadline = (vm.features & GUEST_FEATURE_DEADLINE) != 0;
    MUST(vlapic_vm_layout(&config, &layout) == VLAPIC_OK);
    MUST(posix_memalign(&vm.apics_memory, layout.alignment, layout.bytes) == 0);
    MUST(vlapic_vm_create(vm.apics_memory, layout.bytes, &config, &vm.apics) == VLAPIC_OK);
}

void vm_create(const struct guest_payload *payload, uint32_t index, uint32_t cpu_count)
{
    memset(&vm, 0, sizeof(vm));
    vm.payload = payload;
    vm.payload_index = index;
    vm.cpu_count = cpu_count;
    vm.features = host_features();
    vm.ended = eventfd(0, EFD_CLOEXEC);
    MUST(vm.ended >= 0);
    vm.fd = ioctl(kvm, KVM_CREATE_VM, 0); /* and no KVM_CREATE_IRQCHIP */
    MUST(vm.fd >= 0);
    memory_create();
    take_msrs();
    create_apics();
    for (uint32_t i = 0; i < cpu_count; i++) {
        vcpu_create(i);
    }
}

void vm_destroy(void)
{
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vcpu_destroy(&vm.cpus[i]);
    }
    free(vm.apics_memory);
    memory_destroy();
    close(vm.fd);
    close(vm.ended);
}

void vm_end(enum vm_verdict verdict, uint32_t line)
{
    enum vm_verdict none = VERDICT_NONE;
    uint64_t one = 1;

    if (!__atomic_compare_exchange_n(&vm.verdict, &none, verdict, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return;
    }
    vm.fail_line = line;
    MUST(write(vm.ended, &one, sizeof(one)) == sizeof(one));
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vcpu_kick(&vm.cpus[i]);
    }
}

static void say_where(void)
{
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        const struct vcpu *cpu = &vm.cpus[i];
        struct kvm_regs regs;

        MUST(ioctl(cpu->fd, KVM_GET_REGS, &regs) == 0);
        printf("FAIL %s: no verdict: vCPU %u at %llx, rflags %llx, started %d, halted %d\n", vm.payload->name, i,
               regs.rip, regs.rflags, cpu->started, cpu->halted);
    }
}

/* All threads are made before one of them runs: they kick each other. */
static pthread_barrier_t ready;

static void *thread(void *cookie)
{
    pthread_barrier_wait(&ready);
    return vcpu_thread(cookie);
}

void vm_run(void)
{
    sigset_t kick;
    bool in_time;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &kick, NULL); /* the threads inherit it */
    pthread_barrier_init(&ready, NULL, vm.cpu_count + 1);
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        MUST(pthread_create(&vm.cpus[i].thread, NULL, thread, &vm.cpus[i]) == 0);
        vm.cpus[i].has_thread = true;
    }
    pthread_barrier_wait(&ready);
    host_wait(host_now_ns() + GIVE_UP_NS);
    in_time = vm_has_ended();
    vm_end(VERDICT_FAIL, 0);
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        pthread_join(vm.cpus[i].thread, NULL);
        vm.cpus[i].has_thread = false;
    }
    pthread_barrier_destroy(&ready);
    if (!in_time) {
        say_where();
    }
}
