/* SPDX-License-Identifier: BSD-2-Clause */
/* The glue's objects and what its files offer each other. */
#ifndef VLAPIC_BHYVE_INTERNAL_H
#define VLAPIC_BHYVE_INTERNAL_H

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/errno.h>

#include "vlapic_bhyve.h"

struct vlapic_bhyve_vm {
    struct vlapic_vm *fabric;
    void *memory; /* of the fabric, as allocated */
    const struct vlapic_bhyve_host *host;
    void *vm;
    unsigned int max_cpus;
    struct vlapic_bhyve_cpu *cpus[]; /* by vcpuid; NULL: not there. Read by any thread: __atomic */
};

struct vlapic_bhyve_cpu {
    struct vlapic_bhyve_vm *vm;
    struct vlapic_cpu *apic;
    void *memory; /* of the APIC, as allocated */
    void *vcpu;
    unsigned int vcpuid;
    struct callout timer;

    /* Any thread: how this vCPU answers to destinations (vlapic_bhyve_ipi.c), and whether it waits for SIPI. */
    uint32_t identity;
    struct vlapic_startup startup;

    /* Owner. */
    bool starts_in_x2apic;
    bool extint_told;        /* the host was told of the level that is high now */
    struct vlapic_poll held; /* events that a poll reported and vlapic_bhyve_events() has not handed over */
    uint64_t *set;           /* room for the set of ipi_exit */
};

/* vlapic_bhyve_timer.c: the library's host ops, all of them. */
extern const struct vlapic_host_ops vlapic_bhyve_host_ops;
void vlapic_bhyve_timer_init(struct vlapic_bhyve_cpu *cpu);
void vlapic_bhyve_timer_drain(struct vlapic_bhyve_cpu *cpu);

/* vlapic_bhyve_ipi.c. Owner: the registers that name this vCPU may have changed. */
void vlapic_bhyve_identity_changed(struct vlapic_bhyve_cpu *cpu);
/* Owner: the vCPU has taken an INIT. */
void vlapic_bhyve_init_taken(struct vlapic_bhyve_cpu *cpu);
/* Owner, before an ICR write: what ipi_exit has to be told after it. */
struct vlapic_bhyve_ipi {
    bool told; /* there is something to tell */
    enum vlapic_delivery mode;
    uint8_t vector;
};
struct vlapic_bhyve_ipi vlapic_bhyve_ipi_before(struct vlapic_bhyve_cpu *cpu, enum vlapic_icr_format format,
                                                uint64_t icr);
bool vlapic_bhyve_ipi_after(struct vlapic_bhyve_cpu *cpu, const struct vlapic_bhyve_ipi *ipi);

static inline size_t vlapic_bhyve_set_words(const struct vlapic_bhyve_vm *vm)
{
    return (vm->max_cpus + 63) / 64;
}

static inline struct vlapic_bhyve_cpu *vlapic_bhyve_cpu_at(const struct vlapic_bhyve_vm *vm, unsigned int vcpuid)
{
    return __atomic_load_n(&vm->cpus[vcpuid], __ATOMIC_ACQUIRE);
}

#endif
