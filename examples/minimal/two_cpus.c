/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest complete embedder: a VM with two vCPUs, an IPI from one to the other, a one-shot timer. The "guest" is a few
 * register accesses; the host is one thread, whose clock is a variable and whose sleep is a message.
 */
#include <stdio.h>
#include <stdlib.h>

#include <vlapic/vlapic.h>

/* What the host knows of a vCPU: the cookie of the callbacks. */
struct my_cpu {
    int index;
    struct vlapic_cpu *apic;
    void *memory;      /* in which it lies */
    uint64_t timer_ns; /* what its host timer is armed for; 0: not armed */
};

static uint64_t clock_ns;

static uint64_t now_ns(void *cookie)
{
    (void)cookie;
    return clock_ns;
}

static void timer_arm_ns(void *cookie, uint64_t deadline_ns)
{
    ((struct my_cpu *)cookie)->timer_ns = deadline_ns;
}

static void timer_cancel(void *cookie)
{
    ((struct my_cpu *)cookie)->timer_ns = 0;
}

/* A real host interrupts the vCPU's thread here, or wakes it. */
static void kick(void *cookie)
{
    printf("host: vCPU %d has to look\n", ((struct my_cpu *)cookie)->index);
}

static const struct vlapic_host_ops host = {
    .size = sizeof(host),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = timer_cancel,
    .kick = kick,
};

static void must(enum vlapic_status status)
{
    if (status != VLAPIC_OK) {
        fprintf(stderr, "two_cpus: status %d\n", status);
        exit(1);
    }
}

static void *memory_for(const struct vlapic_layout *layout)
{
    size_t bytes = (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment;
    void *memory = aligned_alloc(layout->alignment, bytes);

    if (memory == NULL) {
        exit(1);
    }
    return memory;
}

static struct vlapic_vm *make_vm(struct vlapic_vm_config *config, void **memory)
{
    struct vlapic_layout layout;
    struct vlapic_vm *vm;

    must(vlapic_vm_config_defaults(config, sizeof(*config), VLAPIC_VENDOR_INTEL));
    config->host = &host;
    config->backend = &vlapic_backend_soft;
    must(vlapic_vm_layout(config, &layout));
    *memory = memory_for(&layout);
    must(vlapic_vm_create(*memory, layout.bytes, config, &vm));
    return vm;
}

static void make_cpu(struct vlapic_vm *vm, struct my_cpu *cpu, int index)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config), .apic_id = (uint32_t)index, .bsp = index == 0, .cookie = cpu
    };
    struct vlapic_layout layout;

    cpu->index = index;
    must(vlapic_cpu_layout(vlapic_vm_get_config(vm), &layout));
    cpu->memory = memory_for(&layout);
    must(vlapic_cpu_create(cpu->memory, layout.bytes, vm, &config, &cpu->apic));
    must(vlapic_cpu_attach(cpu->apic));
}

/* One turn of a vCPU's loop, up to where the guest would run: returns the vector that it takes, or -1. */
static int turn(struct my_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu->apic, &duty);
    if (duty.sipi) {
        printf("vCPU %d starts at page %02Xh\n", cpu->index, (unsigned)duty.sipi_vector);
    }
    if (duty.wait_for_sipi || duty.vector < 0 || !vlapic_cpu_accept(cpu->apic, (uint8_t)duty.vector)) {
        return -1;
    }
    printf("vCPU %d takes vector %02Xh\n", cpu->index, (unsigned)duty.vector);
    vlapic_cpu_mmio_write(cpu->apic, VLAPIC_REG_EOI, 4, 0);
    return duty.vector;
}

static void send(struct my_cpu *from, uint32_t to, uint32_t icr)
{
    vlapic_cpu_mmio_write(from->apic, VLAPIC_REG_ICR_HIGH, 4, to << 24);
    vlapic_cpu_mmio_write(from->apic, VLAPIC_REG_ICR_LOW, 4, icr);
}

int main(void)
{
    struct vlapic_vm_config config;
    void *memory;
    struct vlapic_vm *vm = make_vm(&config, &memory);
    struct my_cpu cpus[2] = { 0 };
    int ipi, timer;

    make_cpu(vm, &cpus[0], 0);
    make_cpu(vm, &cpus[1], 1);

    /* A vCPU that is not the BSP waits for SIPI; then its guest software-enables the APIC. */
    send(&cpus[0], 1, VLAPIC_DELIVERY_SIPI << VLAPIC_DELIVERY_SHIFT | 0x9A);
    turn(&cpus[1]);
    vlapic_cpu_mmio_write(cpus[1].apic, VLAPIC_REG_SVR, 4, 0x1FF);

    /* vCPU 1 is in the guest: the IPI kicks. */
    vlapic_cpu_enter(cpus[1].apic);
    send(&cpus[0], 1, 0x41);
    vlapic_cpu_exit(cpus[1].apic);
    ipi = turn(&cpus[1]);

    /* One-shot: vector ECh, divide by 1, a thousand input clocks of 1 ns. */
    vlapic_cpu_mmio_write(cpus[1].apic, VLAPIC_REG_LVT_TIMER, 4, 0xEC);
    vlapic_cpu_mmio_write(cpus[1].apic, VLAPIC_REG_DIVIDE_CONFIG, 4, 0xB);
    vlapic_cpu_mmio_write(cpus[1].apic, VLAPIC_REG_INITIAL_COUNT, 4, 1000);
    clock_ns = cpus[1].timer_ns;
    vlapic_cpu_timer_expired(cpus[1].apic);
    timer = turn(&cpus[1]);

    printf("the clock is at %llu ns\n", (unsigned long long)clock_ns);
    for (int i = 0; i < 2; i++) {
        vlapic_cpu_destroy(cpus[i].apic);
        free(cpus[i].memory);
    }
    free(memory);
    return ipi == 0x41 && timer == 0xEC && clock_ns == 1000 ? 0 : 1;
}
