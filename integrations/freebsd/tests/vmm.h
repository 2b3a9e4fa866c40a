/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vmm for the tests: the glue's host, which notes what it is told, and the entry points, each called in a critical section as bhyve
 * does it on its exits.
 */
#ifndef TESTS_VMM_H
#define TESTS_VMM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include "kernel.h"
#include "vlapic_bhyve.h"

#define MAX_VCPUS 130u

struct vcpu {
    struct vmm *vmm;
    unsigned id;
    struct vlapic_bhyve_cpu *apic;
    /* What it was told. */
    unsigned notified; /* atomic */
    unsigned nmis, extints, inits, sipis;
    uint8_t page;
};

struct vmm {
    struct vlapic_bhyve_host host; /* a test may change it before vmm_start() */
    struct vlapic_bhyve_options options;
    struct vlapic_bhyve_vm *vm;
    struct vcpu vcpu[MAX_VCPUS];
    unsigned eois;
    int last_eoi;
    /* ipi_exit. */
    bool to_user;
    unsigned exits;
    enum vlapic_delivery exit_mode;
    uint8_t exit_vector;
    uint64_t exit_set[(MAX_VCPUS + 63) / 64];
    size_t exit_words;
    struct vcpu *exit_sender;
};

/* The host complete but for ipi_exit; Intel, x2APIC allowed, room for 4 vCPUs. */
void vmm_prepare(struct vmm *vmm);
bool vmm_ipi_exit(void *vcpu, enum vlapic_delivery mode, uint8_t vector, const uint64_t *set, size_t words);
/* vCPUs 0 to count - 1; vCPU 0 is software-enabled. */
void vmm_start(struct vmm *vmm, unsigned count);
struct vcpu *vmm_add(struct vmm *vmm, unsigned id);
/* Everything is given back: memory, callouts. */
void vmm_stop(struct vmm *vmm);
/* INIT, SIPI to every other vCPU by vCPU 0, and software-enable: all of them run. */
void vmm_start_aps(struct vmm *vmm, unsigned count);

/* Guest accesses that must succeed, in xAPIC mode by memory. */
uint32_t guest_read(struct vcpu *vcpu, uint32_t offset);
/* Returns whether user space is to hear of it. */
bool guest_write(struct vcpu *vcpu, uint32_t offset, uint32_t value);
uint64_t guest_rdmsr(struct vcpu *vcpu, uint32_t msr);
bool guest_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
void guest_rdmsr_faults(struct vcpu *vcpu, uint32_t msr);
void guest_wrmsr_faults(struct vcpu *vcpu, uint32_t msr, uint64_t value);
/* xAPIC mode: ICR high, then low. */
bool guest_icr(struct vcpu *vcpu, uint32_t high, uint32_t low);

bool events(struct vcpu *vcpu);
bool events_pending(struct vcpu *vcpu);
/* The vector that would be injected, -1 for none. */
int pending(struct vcpu *vcpu);
/* Injects it. */
int take(struct vcpu *vcpu);
bool post(struct vcpu *vcpu, int vector, bool level);
/* How often notify() was called since the last look. */
unsigned notified(struct vcpu *vcpu);

#endif
