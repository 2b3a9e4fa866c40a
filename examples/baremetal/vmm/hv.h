/* SPDX-License-Identifier: BSD-2-Clause */
/* A hypervisor: the processor's part of running a vCPU. One of them works on a machine. */
#ifndef EXAMPLES_BAREMETAL_HV_H
#define EXAMPLES_BAREMETAL_HV_H

#include "vm.h"

enum hv_window { HV_WINDOW_NONE, HV_WINDOW_READS, HV_WINDOW_ALL };

struct hv {
    const char *name;
    const char *default_backend;
    enum vlapic_vendor vendor;
    /* TSC ticks after which what a guest waits for is lost, on the machines and emulators that have it. */
    uint64_t patience;
    /* The clock of the guest's timer is the TSC, divided by 2 to the power of this. */
    uint32_t clock_shift;

    /* This machine has it. */
    bool (*supported)(void);
    /* The backend of this name (option `backend=`) and its settings; NULL if it has none of that name. Called for each VM. */
    const struct vlapic_backend *(*backend)(const char *name, const void **config);
    /* Turns it on, on the calling CPU. Once. */
    void (*cpu_on)(struct host_cpu *host);

    /* Control structures of a vCPU; its APIC is made afterwards. In the arena: there is no opposite. */
    void (*create)(struct vcpu *cpu);
    /* Brings the core into the state in which the contract starts it; registers are set by the caller afterwards. Loaded. */
    void (*reset)(struct vcpu *cpu);
    /* Binds to, and frees from, the calling CPU. Interrupts are off. */
    void (*load)(struct vcpu *cpu);
    void (*put)(struct vcpu *cpu);

    /*
     * Enters the guest once and comes back, with cpu->regs, shadow, in_flight and exit filled in. Interrupts are off and stay off: what ended the
     * guest has been dispatched. \p duty is what the poll just before said. False: nothing ran, poll again.
     *
     * This is where the APIC's backend comes in: between the poll and the entry (announce, inject or set up), and between
     * the exit and everything else (end the announcement, take from hardware what is its).
     */
    bool (*run)(struct vcpu *cpu, const struct vlapic_poll *duty); /* thin mode: NULL */
    /* GUEST_FREE_* bits as they stand. */
    uint32_t (*free)(struct vcpu *cpu);
    /* Thin mode: what accesses to a page of the windows go to the physical APIC; others exit. Loaded. */
    void (*show_window)(struct vcpu *cpu, uint64_t window, enum hv_window what);
    /* A physical INIT ends the guest, and is gone; in the VMM it waits. */
    bool init_exits;
    /* Withdraws acceleration, or gives it back. */
    void (*inhibit)(bool on);
    /* Before and after an in-place restore of the APIC: what is in flight goes with the core's state. NULL: nothing to do. */
    void (*before_snapshot)(struct vcpu *cpu);
    void (*after_snapshot)(struct vcpu *cpu);
};

extern const struct hv hv_vmx, hv_svm;
extern const struct hv *hv;

#endif
