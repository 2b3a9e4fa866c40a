/* SPDX-License-Identifier: BSD-2-Clause */
/* A vendor's half: what the module asks of the processor's virtualization. svm_*.c and vmx_*.c are the two; one of them works on a machine. */
#ifndef VMM_HV_H
#define VMM_HV_H

#include "vmm.h"

/* What the backend says about an exit: the first four are the same in vmx_run.h and svm_run.h. */
enum vmm_verdict {
    VMM_NOT_MINE = 0,
    VMM_RESUME = 1,
    VMM_ADVANCE = 2,
    VMM_GP = 3,
    VMM_FAIL = 4 /* nobody can go on */
};

/* An exit, in the words of no vendor. */
struct vmm_exit {
    enum vmm_verdict verdict;
    enum vlapic_vmm_kind kind;
    u32 length; /* of the instruction, where it is to be left behind */
    bool write; /* KIND_IO, KIND_MMIO */
    bool string;
    u32 port, width; /* KIND_IO */
    u64 address;     /* KIND_MMIO: guest-physical */
    u64 code, info[2];
};

struct vmm_hv {
    const char *name;

    bool (*is_there)(void); /* by CPUID */
    int (*start)(void);     /* before any CPU is turned on; says on the console why not */
    void (*stop)(void);
    int (*cpu_on)(unsigned int cpu); /* that CPU is the calling one, and stays it */
    void (*cpu_off)(void);

    /* Nested page tables: what an entry has beside its address, and the levels. */
    u64 npt_table, npt_leaf;
    int (*npt_levels)(void);

    /* Fills in the backend and its settings, and calls vmm_vm_create_apics(). */
    int (*create_apics)(struct vmm_vm *vm, struct vlapic_vm_config *config);
    void (*inhibit)(struct vmm_vm *vm, bool on);

    /* vcpu->hv. What create() has made is freed by free(), also if it failed. */
    int (*create)(struct vmm_vcpu *vcpu);
    void (*free)(struct vmm_vcpu *vcpu);
    /* The core is new: long mode, CPL 0, flat segments. Registers are the caller's. */
    void (*reset)(struct vmm_vcpu *vcpu, u64 cr3);
    bool (*nmi_is_blocked)(const struct vmm_vcpu *vcpu);
    u32 (*get_in_flight)(struct vlapic_cpu *apic);
    void (*set_in_flight)(struct vlapic_cpu *apic, u32 information);

    /*
     * Loads the APIC, goes once into the guest and back, with vcpu's registers, and puts the APIC; interrupts are off, the CPU is on. 1: it ran, and \p exit is
     * filled in, the backend's part done. 0: nothing ran, poll again. Else an error, and nothing ran.
     */
    int (*run)(struct vmm_vcpu *vcpu, struct vmm_cpu *host, struct vmm_exit *exit);
};

extern const struct vmm_hv vmm_svm, vmm_vmx;
extern const struct vmm_hv *vmm_hv;

#endif
