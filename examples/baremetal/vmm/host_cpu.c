/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical CPUs: descriptor tables, interrupts, starting the others, giving them work. */
#include "host.h"
#include <vlapic/registers.h>

#define MSR_GS_BASE 0xC0000101u
#define TRAMPOLINE 0x8000u
#define AP_STACK_BYTES 16384u

struct idt_gate {
    uint64_t low, high;
};

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern uint8_t ap_trampoline[], ap_trampoline_end[], host_vectors[];
extern void *ap_stack;

struct host_cpu host_cpus[HOST_CPUS] __attribute__((aligned(64)));
uint32_t host_cpu_count = 1;
void (*host_timer_hook)(struct host_cpu *cpu);

static struct idt_gate idt[256];
static uint8_t ap_stacks[HOST_CPUS][AP_STACK_BYTES] __attribute__((aligned(16)));
static uint8_t hv_pages[HOST_CPUS][PAGE_BYTES] __attribute__((aligned(4096)));

static void load_tables(struct host_cpu *cpu)
{
    uint64_t tss = (uint64_t)(uintptr_t)cpu->tss;
    struct table_register gdt = { sizeof(cpu->gdt) - 1, (uint64_t)(uintptr_t)cpu->gdt };
    struct table_register interrupts = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

    cpu->gdt[1] = 0x00AF9B000000FFFFull;
    cpu->gdt[2] = 0x00CF93000000FFFFull;
    cpu->gdt[3] = (sizeof(cpu->tss) - 1) | (tss & 0xFFFFFF) << 16 | 0x89ull << 40 | (tss >> 24 & 0xFF) << 56;
    cpu->gdt[4] = tss >> 32;
    __asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(gdt), "m"(interrupts), "r"(HOST_TR) : "memory");
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
}

static void start_here(uint32_t index)
{
    struct host_cpu *cpu = &host_cpus[index];

    cpu->self = cpu;
    cpu->index = index;
    cpu->hv_page = hv_pages[index];
    load_tables(cpu);
    host_lapic_start();
    cpu->apic_id = host_lapic_id();
}

static void fill_idt(void)
{
    for (uint32_t vector = 0; vector < 256; vector++) {
        uint64_t entry = (uint64_t)(uintptr_t)host_vectors + 16 * vector;

        idt[vector].low = (entry & 0xFFFF) | HOST_CS << 16 | 0x8Eull << 40 | (entry >> 16 & 0xFFFF) << 48;
        idt[vector].high = entry >> 32;
    }
}

static void start_other(uint32_t index)
{
    uint32_t arrived = __atomic_load_n(&host_cpu_count, __ATOMIC_ACQUIRE);

    ap_stack = ap_stacks[index] + AP_STACK_BYTES;
    /* IDs are consecutive on the machines that this is for. INIT, then one SIPI, which emulators want. */
    host_lapic_send(host_cpus[0].apic_id + index, VLAPIC_ICR_ASSERT | VLAPIC_DELIVERY_INIT << VLAPIC_DELIVERY_SHIFT);
    for (uint64_t start = rdtsc(); rdtsc() - start < 100000;) {
        relax();
    }
    host_lapic_send(host_cpus[0].apic_id + index,
                    VLAPIC_ICR_ASSERT | VLAPIC_DELIVERY_SIPI << VLAPIC_DELIVERY_SHIFT | TRAMPOLINE >> 12);
    while (__atomic_load_n(&host_cpu_count, __ATOMIC_ACQUIRE) == arrived) {
        relax();
    }
}

void host_cpu_start(uint32_t wanted)
{
    HOST_MUST(wanted >= 1 && wanted <= HOST_CPUS);
    out8(0x21, 0xFF); /* the 8259s: all masked */
    out8(0xA1, 0xFF);
    fill_idt();
    start_here(0);
    host_lapic_calibrate();
    memcpy((void *)(uintptr_t)TRAMPOLINE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    for (uint32_t index = 1; index < wanted; index++) {
        start_other(index);
    }
}

void host_ap_main(void)
{
    uint32_t index = __atomic_load_n(&host_cpu_count, __ATOMIC_RELAXED);
    struct host_cpu *cpu = &host_cpus[index];

    start_here(index);
    __atomic_store_n(&host_cpu_count, index + 1, __ATOMIC_RELEASE);
    for (;;) {
        void (*task)(struct host_cpu *) = __atomic_load_n(&cpu->task, __ATOMIC_ACQUIRE);

        if (task == NULL) {
            sleep_until_interrupt();
            continue;
        }
        task(cpu);
        __atomic_store_n(&cpu->task, NULL, __ATOMIC_RELEASE);
    }
}

void host_run_on(struct host_cpu *cpu, void (*task)(struct host_cpu *cpu))
{
    __atomic_store_n(&cpu->task, task, __ATOMIC_RELEASE);
    host_lapic_send(cpu->apic_id, VLAPIC_ICR_ASSERT | HOST_VECTOR_KICK);
}

bool host_is_idle(struct host_cpu *cpu)
{
    return __atomic_load_n(&cpu->task, __ATOMIC_ACQUIRE) == NULL;
}

void host_interrupt(uint64_t vector, uint64_t error, uint64_t *rip)
{
    struct host_cpu *cpu = this_cpu();

    if (vector == 2) {
        host_take_nmi(cpu, rip);
        return;
    }
    if (vector < 32) {
        host_print("exception %u, error %x, at %llx on CPU %u\n", (unsigned)vector, (unsigned)error,
                   (unsigned long long)*rip, cpu->index);
        host_panic(__FILE__, __LINE__, "exception in the VMM");
    }
    if (vector == HOST_VECTOR_SPURIOUS) {
        return;
    }
    host_lapic_eoi();
    if (vector == HOST_VECTOR_KICK) {
        __atomic_fetch_add(&cpu->kicks, 1, __ATOMIC_RELAXED);
    } else if (vector == HOST_VECTOR_TIMER && host_timer_hook != NULL) {
        host_timer_hook(cpu);
    }
}
