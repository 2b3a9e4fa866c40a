/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends unicast IPIs in a VM of a given size; run under callgrind by bench/route-cost, which counts the instructions of
 * vlapic_cpu_msr_write() and what it calls. Checks that every IPI arrived where it should.
 *
 * usage: vlapic_route_cost VCPUS IPIS x2apic|xapic|cluster
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vlapic/vlapic.h>

#define VECTOR 0x41u

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return 0;
}

static void timer_arm_ns(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
}

static void ignore(void *cookie)
{
    (void)cookie;
}

static const struct vlapic_host_ops host = {
    .size = sizeof(host),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = ignore,
    .kick = ignore,
};

static void die(const char *what)
{
    fprintf(stderr, "route-cost: %s\n", what);
    exit(2);
}

static void *allocate(const struct vlapic_layout *layout)
{
    size_t bytes = (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment;
    void *memory = aligned_alloc(layout->alignment, bytes);

    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static struct vlapic_vm *make_vm(struct vlapic_vm_config *config, uint32_t vcpus)
{
    struct vlapic_layout layout;
    struct vlapic_vm *vm;

    if (vlapic_vm_config_defaults(config, sizeof(*config), VLAPIC_VENDOR_INTEL) != VLAPIC_OK) {
        die("no defaults");
    }
    config->host = &host;
    config->backend = &vlapic_backend_soft;
    config->max_apic_id = vcpus - 1;
    if (vlapic_vm_layout(config, &layout) != VLAPIC_OK ||
        vlapic_vm_create(allocate(&layout), layout.bytes, config, &vm) != VLAPIC_OK) {
        die("no VM");
    }
    return vm;
}

static struct vlapic_cpu *make_cpu(struct vlapic_vm *vm, const struct vlapic_vm_config *config, uint32_t id,
                                   bool x2apic)
{
    struct vlapic_cpu_config cpu_config = { .size = sizeof(cpu_config), .apic_id = id, .bsp = true };
    struct vlapic_layout layout;
    struct vlapic_cpu *cpu;

    vlapic_cpu_layout(config, &layout);
    if (vlapic_cpu_create(allocate(&layout), layout.bytes, vm, &cpu_config, &cpu) != VLAPIC_OK ||
        vlapic_cpu_attach(cpu) != VLAPIC_OK) {
        die("no vCPU");
    }
    vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, 0x1FF);
    if (x2apic) {
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(cpu) | VLAPIC_BASE_EXTD);
    }
    return cpu;
}

enum mode { XAPIC, X2APIC, CLUSTER };

/* Counted: nothing but the guest's writes. */
__attribute__((noinline)) static void send_one_ipi(struct vlapic_cpu *cpu, enum mode mode, uint64_t icr)
{
    if (mode == XAPIC) {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_ICR_HIGH, 4, icr >> 32);
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_ICR_LOW, 4, (uint32_t)icr);
    } else {
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), icr);
    }
}

static uint64_t icr_of(enum mode mode, uint32_t target)
{
    switch (mode) {
    case XAPIC:
        return (uint64_t)target << 56 | VECTOR;
    case CLUSTER:
        return (uint64_t)(target >> 4) << 48 | 1ull << (32 + (target & 15)) | VLAPIC_ICR_LOGICAL | VECTOR;
    default:
        return (uint64_t)target << 32 | VECTOR;
    }
}

/* The target takes the vector, so that each IPI is news. */
static bool take(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty);
    if (duty.vector != VECTOR || !vlapic_cpu_accept(cpu, VECTOR)) {
        return false;
    }
    if ((vlapic_cpu_apic_base(cpu) & VLAPIC_BASE_EXTD) != 0) {
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
    } else {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
    }
    return true;
}

int main(int argc, char **argv)
{
    uint32_t vcpus = argc == 4 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t ipis = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    struct vlapic_vm_config config;
    struct vlapic_cpu **cpus;
    struct vlapic_vm *vm;
    enum mode mode = X2APIC;

    if (vcpus < 2) {
        die("usage: vlapic_route_cost VCPUS IPIS x2apic|xapic|cluster");
    }
    if (strcmp(argv[3], "x2apic") != 0) {
        mode = strcmp(argv[3], "xapic") == 0 ? XAPIC : CLUSTER;
    }
    vm = make_vm(&config, vcpus);
    cpus = calloc(vcpus, sizeof(struct vlapic_cpu *));
    for (uint32_t i = 0; i < vcpus; i++) {
        cpus[i] = make_cpu(vm, &config, i, mode != XAPIC);
    }
    for (uint32_t i = 0; i < ipis; i++) {
        uint32_t target = 1 + i * 7919u % (vcpus - 1);

        send_one_ipi(cpus[0], mode, icr_of(mode, target));
        if (!take(cpus[target])) {
            die("an IPI did not arrive");
        }
    }
    return 0;
}
