/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM for the benchmark, and a host whose callbacks do the least that a host can do, and count. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

_Thread_local struct bench_counters bench_counters;

static uint64_t now(void *cookie)
{
    (void)cookie;
    bench_counters.clocks++;
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return bench_ticks();
#endif
}

static void arm(void *cookie, uint64_t deadline)
{
    (void)cookie;
    (void)deadline;
    bench_counters.arms++;
}

static void cancel(void *cookie)
{
    (void)cookie;
}

static void kick(void *cookie)
{
    (void)cookie;
    bench_counters.kicks++;
}

static void eoi_broadcast(void *cookie, uint8_t vector)
{
    (void)cookie;
    (void)vector;
    bench_counters.eois++;
}

static const struct vlapic_host_ops host = {
    .size = sizeof(host),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now,
    .timer_arm_ns = arm,
    .timer_cancel = cancel,
    .kick = kick,
    .eoi_broadcast = eoi_broadcast,
    .now_tsc = now,
    .timer_arm_tsc = arm,
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench: %s\n", what);
        exit(2);
    }
}

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(128, (bytes + 127) & ~(size_t)127);

    must(memory != NULL, "out of memory");
    return memory;
}

static void add_cpu(struct bench_machine *m, unsigned index, unsigned step)
{
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = index * step, .bsp = true };
    struct vlapic_cpu *cpu;

    must(vlapic_cpu_create(m->cpu_memory + index * m->cpu_stride, m->cpu_stride, m->vm, &config, &cpu) == VLAPIC_OK &&
             vlapic_cpu_attach(cpu) == VLAPIC_OK,
         "no vCPU");
    m->cpus[index] = cpu;
    vlapic_cpu_mmio_write(cpu, VLAPIC_REG_SVR, 4, 0x1FF);
    if (m->mode == BENCH_X2APIC) {
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_APIC_BASE, vlapic_cpu_apic_base(cpu) | VLAPIC_BASE_EXTD);
    } else if (m->mode == BENCH_CLUSTER) {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_DFR, 4, 0x0FFFFFFF);
        if (index < 60) {
            vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LDR, 4, (index / 4) << 28 | 1u << (24 + index % 4));
        }
    } else if (index < 8) {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_LDR, 4, 1u << (24 + index));
    }
}

struct bench_machine *bench_machine_make(unsigned count, enum bench_mode mode, unsigned step)
{
    struct bench_machine *m = allocate(sizeof(*m));
    struct vlapic_layout layout;

    *m = (struct bench_machine){ .count = count, .mode = mode };
    must(vlapic_vm_config_defaults(&m->config, sizeof(m->config), VLAPIC_VENDOR_INTEL) == VLAPIC_OK, "no defaults");
    m->config.host = &host;
    m->config.backend = &vlapic_backend_soft;
    m->config.max_apic_id = (count - 1) * step;
    m->config.tsc_deadline = true;
    m->config.posts_ordered = mode == BENCH_ORDERED;
    must(vlapic_vm_layout(&m->config, &layout) == VLAPIC_OK, "no layout");
    m->vm_memory = allocate(layout.bytes);
    must(vlapic_vm_create(m->vm_memory, layout.bytes, &m->config, &m->vm) == VLAPIC_OK, "no VM");
    must(vlapic_cpu_layout(&m->config, &layout) == VLAPIC_OK, "no layout");
    m->cpu_stride = layout.bytes;
    m->cpu_memory = allocate(m->cpu_stride * count);
    m->cpus = allocate(count * sizeof(struct vlapic_cpu *));
    for (unsigned i = 0; i < count; i++) {
        add_cpu(m, i, step);
    }
    return m;
}

void bench_machine_free(struct bench_machine *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        vlapic_cpu_destroy(m->cpus[i]);
    }
    free(m->cpus);
    free(m->cpu_memory);
    free(m->vm_memory);
    free(m);
}

static void eoi(struct bench_machine *m, struct vlapic_cpu *cpu)
{
    if (m->mode == BENCH_X2APIC) {
        vlapic_cpu_msr_write(cpu, VLAPIC_MSR_OF(VLAPIC_REG_EOI), 0);
    } else {
        vlapic_cpu_mmio_write(cpu, VLAPIC_REG_EOI, 4, 0);
    }
}

static bool in_service(struct bench_machine *m, struct vlapic_cpu *cpu)
{
    uint64_t ppr = 0;

    if (m->mode == BENCH_X2APIC) {
        vlapic_cpu_msr_read(cpu, VLAPIC_MSR_OF(VLAPIC_REG_PPR), &ppr);
    } else {
        vlapic_cpu_mmio_read(cpu, VLAPIC_REG_PPR, 4, &ppr);
    }
    return ppr != 0;
}

static void settle(struct bench_machine *m, struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_exit(cpu);
    vlapic_cpu_cr8_write(cpu, 0);
    for (;;) {
        vlapic_cpu_poll(cpu, &duty);
        if (duty.vector >= 0) {
            vlapic_cpu_accept(cpu, (uint8_t)duty.vector);
        } else if (!in_service(m, cpu)) {
            break;
        }
        eoi(m, cpu);
    }
}

void bench_settle(struct bench_machine *m, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        settle(m, m->cpus[i]);
    }
}

void bench_enter(struct bench_machine *m, unsigned first, unsigned count)
{
    struct vlapic_poll duty;

    for (unsigned i = first; i < first + count; i++) {
        do {
            vlapic_cpu_poll(m->cpus[i], &duty);
        } while (!vlapic_cpu_enter(m->cpus[i]));
    }
}

unsigned bench_pending(struct bench_machine *m, unsigned cpu)
{
    struct vlapic_cpu_state state;
    unsigned count = 0;

    must(vlapic_cpu_get_state(m->cpus[cpu], &state, sizeof(state)) == VLAPIC_OK, "no state");
    for (unsigned w = 0; w < 8; w++) {
        count += (unsigned)__builtin_popcount(state.irr[w]);
    }
    return count;
}
