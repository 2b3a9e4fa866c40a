/* SPDX-License-Identifier: BSD-2-Clause */
/* The bare machine under the VMM: what of an operating system it needs, and no more. Nothing here knows of guests. */
#ifndef EXAMPLES_BAREMETAL_HOST_H
#define EXAMPLES_BAREMETAL_HOST_H

#include "host_offsets.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_CPUS 4u
#define PAGE_BYTES 4096u

#define CR4_VMXE (1ull << 13)
#define RFLAGS_IF (1ull << 9)

/* Selectors. */
#define HOST_CS 8u
#define HOST_DS 16u
#define HOST_TR 24u

/* Host vectors. */
#define HOST_VECTOR_TIMER 0xF0u
#define HOST_VECTOR_KICK 0xF1u
#define HOST_VECTOR_NOTIFY 0xF2u /* posted interrupts, to a CPU in the host: nothing to do */
#define HOST_VECTOR_WAKEUP 0xF3u /* posted interrupts, to a sleeping vCPU: ends the sleep, as any interrupt does */
#define HOST_VECTOR_SPURIOUS 0xFFu
#define HOST_VECTOR_DRAIN 0x100u /* one of host_drain(): any vector */

struct vcpu;

/* One physical CPU. GS base points to it. */
struct host_cpu {
    struct host_cpu *self;
    uint32_t index;
    uint32_t apic_id;
    uint32_t nmi; /* one has come since whoever waits for it wrote 0; atomic. At HOST_NMI: assembly reads it */
    uint64_t gdt[5];
    uint8_t tss[104];
    void *hv_page;     /* the hypervisor's: VMXON region, host save area */
    struct vcpu *vcpu; /* that is bound to it */
    void (*task)(struct host_cpu *cpu);
    uint32_t kicks; /* that arrived */
};

extern struct host_cpu host_cpus[HOST_CPUS];
extern uint32_t host_cpu_count;

static inline struct host_cpu *this_cpu(void)
{
    struct host_cpu *cpu;

    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline void cpuid(uint32_t leaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

/* Sleeps until an interrupt, one that is pending included; interrupts are off before and after. */
static inline void sleep_until_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

/* host_memory.c: one arena, emptied at once. Zeroed; ends the machine if there is no more. */
void *host_alloc(size_t bytes, size_t alignment);
void *host_alloc_page(void);
void host_alloc_reset(void);
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
bool strings_are_equal(const char *left, const char *right);

/* host_console.c: the first serial port. %s, %c, %u, %x (both of 64 bits), %d. */
void host_console_start(void);
void host_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the machine: RESULT PASS or FAIL, then whatever turns this machine off. */
_Noreturn void host_end(bool pass);
#define HOST_MUST(condition) ((condition) ? (void)0 : host_panic(__FILE__, __LINE__, #condition))
_Noreturn void host_panic(const char *file, int line, const char *what);

/* host_cpu.c */
void host_cpu_start(uint32_t wanted);
void host_ap_main(void);
/* Runs \p task on another CPU; that of before must have ended. */
void host_run_on(struct host_cpu *cpu, void (*task)(struct host_cpu *cpu));
bool host_is_idle(struct host_cpu *cpu);
/* Called from the vectors, and for the vector of an exit that acknowledged it, without `rip`. What it leaves in `rip` is where to go on. */
void host_interrupt(uint64_t vector, uint64_t error, uint64_t *rip);
/* What the VMM does in the timer's interrupt. */
extern void (*host_timer_hook)(struct host_cpu *cpu);

/*
 * host_nmi.c: NMIs, as the one kick that finds a CPU with interrupts off, or in a guest that has the interrupts for itself. An NMI sets
 * host_cpu.nmi. That would come too late if whoever has just looked there then went to sleep or into a guest: such code lies in a range (RANGE in
 * host_nmi.S), from its look to its last instruction, and an NMI in a range sends it out of there.
 */
extern void (*host_nmi_hook)(struct host_cpu *cpu); /* NULL: no NMI is expected, and one ends the machine */
void host_take_nmi(struct host_cpu *cpu, uint64_t *rip);
/* Returns at an NMI, or at once if there was one. Interrupts are off and stay off. */
void host_sleep_until_nmi(void);
/* Interrupts that have been accepted by this CPU's APIC are taken here, and lead to nothing. The APIC is software-enabled, TPR 0; if others do not stop
 * sending to it, something may be left, and it is for the caller to disable it. */
void host_drain(void);

/* host_lapic.c: the physical local APIC, in the mode that it is in. The VMM by itself leaves it in xAPIC mode, for Bochs cannot go back from
 * x2APIC mode. */
bool host_lapic_is_x2apic(void);
uint32_t host_lapic_read(uint32_t offset);
void host_lapic_write(uint32_t offset, uint32_t value);
void host_lapic_start(void);
uint32_t host_lapic_id(void);
void host_lapic_eoi(void);
void host_lapic_send(uint32_t apic_id, uint32_t icr_low);
void host_lapic_calibrate(void);
/* Input clocks of the APIC's timer, from the TSC: not slower than the timer itself. */
uint64_t host_lapic_clock(void);
/* Interrupts this CPU so many TSC ticks from now, at least 1. */
void host_lapic_timer(uint64_t tsc_ticks);

#endif
