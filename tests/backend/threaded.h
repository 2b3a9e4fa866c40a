/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPUs of the vmx backend on threads of their own, on processors of tests/hw/apicv. A vCPU's thread is the two physical CPUs between which
 * the vCPU moves, too: the guest's instructions, the host's interrupt handlers, the run loop and the sleep. It does
 * something when somebody pokes it, with an interrupt or a kick, and for a few steps after that; what nobody tells it of hangs.
 */
#ifndef TESTS_BACKEND_THREADED_H
#define TESTS_BACKEND_THREADED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vlapic/vlapic.h>
#include <vlapic/vmx_run.h>

#include "apicv.h"

#define VCPUS 2u
#define PHYSICAL_CPUS (2 * VCPUS)
#define PAGES_OF_A_VCPU 3u /* register page, descriptor, MSR bitmap */
#define PAGE_BYTES 4096u
/* Nothing takes this long unless it hangs. */
#define PATIENCE_SECONDS 20

/* cmocka fails a test by a long jump, which only the main thread may do. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "[  FAILED  ] " __VA_ARGS__);                                                        \
            (void)fputc('\n', stderr);                                                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct machine;

struct vcpu {
    struct machine *machine;
    struct vlapic_cpu *cpu;
    void *memory;
    unsigned index;
    pthread_t thread;

    /* What others may touch. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool poked;     /* under the lock */
    bool kicked;    /* atomic */
    unsigned where; /* atomic: the physical CPU that its thread is on; written by the thread */

    /* The thread's. */
    struct apicv_vmcs vmcs;
    uint32_t listed_at; /* the physical CPU whose list of blocked vCPUs has it */
    bool loaded, in_guest, halted;
    bool interrupts; /* IF, as of the last exit */
    bool nmi;        /* pending in the core */
    int vector;      /* delivered, its handler has not run; -1: none */
    unsigned steps;  /* left until it waits to be poked */
    uint64_t reg[16];
    uint64_t random;
};

struct physical_cpu {
    struct machine *machine;
    struct apicv_cpu core;
    struct apicv_host host;
};

/* What runs on the vCPUs, on their threads. */
struct guest {
    void (*vector)(struct vcpu *v, uint8_t vector); /* a handler: up to its EOI */
    void (*nmi)(struct vcpu *v);
    void (*broadcast)(struct machine *m, uint8_t vector); /* the I/O APIC */
};

struct machine {
    const struct guest *guest;
    struct vlapic_vm *vm;
    void *memory;
    struct physical_cpu physical[PHYSICAL_CPUS];
    struct vcpu vcpu[VCPUS];
    unsigned ready; /* vCPUs that have an APIC that takes interrupts; atomic, as what follows */
    bool stop;
    unsigned sent; /* interrupts between physical CPUs */
    _Alignas(4096) uint8_t pages[VCPUS * PAGES_OF_A_VCPU + 1][PAGE_BYTES];
};

/* vCPUs with APIC IDs 0, 1; in x2APIC mode once their threads run. */
void machine_make(struct machine *m, uint32_t features, const struct guest *guest);
void machine_start(struct machine *m);
/* Ends the vCPUs' threads: they carry out what is pending before. */
void machine_stop(struct machine *m);
void machine_unmake(struct machine *m);

/* Any thread: as an IOMMU posts, an edge. */
void device_posts(struct machine *m, unsigned target, uint8_t vector);

/* The guest's instructions, which may exit on their way. */
uint64_t guest_rdmsr(struct vcpu *v, uint32_t msr);
void guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

#endif
