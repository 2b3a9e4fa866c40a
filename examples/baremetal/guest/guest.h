/* SPDX-License-Identifier: BSD-2-Clause */
/* What payloads are written with. A payload is a function that returns if all of its CHECKs held; it runs on vCPU 0 with interrupts on, its APIC
 * in the mode that the table of payloads says, software-enabled, TPR 0. */
#ifndef EXAMPLES_BAREMETAL_GUEST_H
#define EXAMPLES_BAREMETAL_GUEST_H

#include "../contract.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vlapic/registers.h>

#define GUEST_CPUS 4
#define SPURIOUS 0xDF /* SVR's vector: one with the low bits set, and no payload's */
#define LOG_ENTRIES 64

struct guest_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* What interrupts have done to a vCPU: written by its handler. */
struct guest_cpu {
    uint32_t count[256];
    uint8_t log[LOG_ENTRIES]; /* vectors in the order in which they came, without the spurious one */
    uint32_t logged;
    void (*handler[256])(uint8_t vector); /* NULL: none. Called with interrupts off, before the EOI */
    bool no_eoi[256];                     /* the handler does it */
    uint32_t spurious;
    uint64_t resume; /* where to go on after a #GP; 0: not expected */
    bool faulted;
    bool x2apic; /* how apic_read() and apic_write() go */
    uint64_t window;
};
extern volatile struct guest_cpu guest_cpus[GUEST_CPUS];
extern uint32_t guest_features, guest_cpu_count;
extern volatile uint8_t guest_sipi_vector; /* that vCPU 1 was started with last */
extern uint64_t guest_patience;

uint64_t guest_index(void);
static inline volatile struct guest_cpu *me(void)
{
    return &guest_cpus[guest_index()];
}

/* Ends the payload. */
_Noreturn void guest_fail(const char *file, int line, const char *what, uint64_t value);
#define CHECK(condition) ((condition) ? (void)0 : guest_fail(__FILE__, __LINE__, #condition, 0))
/* As CHECK(left == right), which shows `left`. */
#define CHECK_IS(left, right)                                                                                          \
    do {                                                                                                               \
        uint64_t left_ = (uint64_t)(left);                                                                             \
        if (left_ != (uint64_t)(right)) {                                                                              \
            guest_fail(__FILE__, __LINE__, #left " == " #right, left_);                                                \
        }                                                                                                              \
    } while (0)

/* A look that comes late, because the machine had something else to do, uses up a part of the patience only. */
struct guest_wait {
    uint64_t last, waited;
};
static inline bool guest_is_out_of_patience(struct guest_wait *wait);

/* Waits until it holds. WAIT exits at each look; SPIN never does, and needs interrupts on: a kick may be the only exit. */
#define WAIT(condition)                                                                                                \
    do {                                                                                                               \
        struct guest_wait wait_ = { rdtsc(), 0 };                                                                      \
        while (!(condition)) {                                                                                         \
            if (guest_is_out_of_patience(&wait_)) {                                                                    \
                guest_fail(__FILE__, __LINE__, "waited for " #condition, 0);                                           \
            }                                                                                                          \
            in32(GUEST_PORT_PATIENCE);                                                                                 \
        }                                                                                                              \
    } while (0)
#define SPIN(condition)                                                                                                \
    do {                                                                                                               \
        struct guest_wait wait_ = { rdtsc(), 0 };                                                                      \
        while (!(condition)) {                                                                                         \
            if (guest_is_out_of_patience(&wait_)) {                                                                    \
                guest_fail(__FILE__, __LINE__, "waited for " #condition, 0);                                           \
            }                                                                                                          \
            __asm__ volatile("pause" : : : "memory");                                                                  \
        }                                                                                                              \
    } while (0)

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port) : "memory");
    return value;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline bool guest_is_out_of_patience(struct guest_wait *wait)
{
    uint64_t now = rdtsc(), passed = now - wait->last, most = guest_patience / 256;

    wait->last = now;
    wait->waited += passed < most ? passed : most;
    return wait->waited > guest_patience;
}

static inline void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* With an instruction behind it that ends the shadow. */
static inline void sti(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

/* Sleeps; interrupts are on from the instruction before. */
static inline void sti_hlt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}

static inline uint64_t read_cr8(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

static inline void write_cr8(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

/* MSRs; the second two tell whether there was a #GP. */
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t value);
bool rdmsr_faults(uint32_t msr);
bool wrmsr_faults(uint32_t msr, uint64_t value);
bool write_cr8_faults(uint64_t value);

/* The APIC's page, whatever the mode. */
uint32_t mmio_read(uint32_t offset);
void mmio_write(uint32_t offset, uint32_t value);

/* A register by its offset, in the mode that is on. */
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
void apic_eoi(void);
/* `low`: bits 31:0 of ICR. */
void apic_send(uint32_t destination, uint32_t low);
void apic_send_self(uint8_t vector);
/* Bit `vector` of ISR, TMR or IRR. */
bool apic_bit(uint32_t first, uint8_t vector);
bool apic_is_empty(uint32_t first);
/* Switches this vCPU's APIC to x2APIC mode. */
void apic_enable_x2apic(void);

#define ICR(mode) ((uint32_t)VLAPIC_DELIVERY_##mode << VLAPIC_DELIVERY_SHIFT)
#define ICR_SELF ((uint32_t)VLAPIC_SHORTHAND_SELF << VLAPIC_ICR_SHORTHAND_SHIFT)
#define ICR_ALL ((uint32_t)VLAPIC_SHORTHAND_ALL << VLAPIC_ICR_SHORTHAND_SHIFT)
#define ICR_OTHERS ((uint32_t)VLAPIC_SHORTHAND_OTHERS << VLAPIC_ICR_SHORTHAND_SHIFT)

/* Clock of the APIC timer, in input clocks. */
uint64_t guest_clock(void);
/* Exits of this vCPU so far. */
uint32_t guest_exits(uint32_t kind);
/* What needs no exit now. */
uint32_t guest_free(void);
/* A message by MSI to one vCPU. */
void guest_msi(uint32_t apic_id, uint32_t data);
/* Lets interrupts in for a moment, with interrupts off before and after. */
void let_in(void);

/* vCPU 1: starts it, with its APIC in the mode of ours, and waits until it is ready; it then spins with interrupts on and does tasks. */
void ap_start(void);
void ap_run(void (*task)(void)); /* returns at once */
void ap_forget(void);            /* there is none to be joined: an INIT will end it */
void ap_join(void);              /* waits until it is done */
void ap_do(void (*task)(void));  /* both */

/* What a vCPU that gets a SIPI does instead; its APIC is as it was found, and interrupts are off. NULL: the above. */
extern void (*volatile guest_ap_main)(uint8_t sipi_vector);
/* This vCPU's IDT, and its APIC in that mode and software-enabled. */
void guest_prepare(bool x2apic);

#endif
