/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thin mode: the local APICs are the machine's own, and the guest's; one vCPU a CPU. Of them the VMM sees what sends IPIs and what changes an APIC's mode, keeps
 * INIT, SIPI and NMI to itself, and passes on the rest (docs/THIN.md). There is no vlapic_vm and no vlapic_cpu.
 */
#ifndef EXAMPLES_BAREMETAL_THIN_H
#define EXAMPLES_BAREMETAL_THIN_H

#include "vm.h"

struct thin_cpu {
    struct vlapic_target target; /* its own CPU writes it, word by word; others read */
    struct vlapic_startup startup;
    bool nmi;         /* one of the guest's is to be injected; atomic */
    bool kicked;      /* an NMI of ours is on its way, and will make it look; atomic */
    uint64_t window;  /* where it is shown; 0: nowhere */
    bool was_started; /* once at least; atomic */
    bool writes;      /* it is shown for writes, too */
};

/* What exited, by kind, for the report at the end. Atomic. */
enum thin_exit {
    THIN_XAPIC_ICR,   /* a write of ICR low, in xAPIC mode */
    THIN_XAPIC_EOI,   /* a write of EOI: it lies on the page of ICR */
    THIN_XAPIC_OTHER, /* a write of another register, or to a window that is not there */
    THIN_X2APIC_ICR,
    THIN_X2APIC_EOI,   /* never */
    THIN_X2APIC_OTHER, /* never */
    THIN_BASE,
    THIN_INTERRUPT, /* NMIs and NMI windows; on VMX a timer that ends a guest that is stuck */
    THIN_INIT,      /* a physical one */
    THIN_EXIT_KINDS
};
void thin_count(enum thin_exit kind);
void thin_print_counts(void);

/* thin_vcpu.c */
void thin_thread(struct host_cpu *host);
/* Option release=, and all have been started: no write of the window is looked at any more, neither ICR nor EOI. */
bool thin_is_released(void);

/* thin_apic.c: the physical APIC of this CPU. */
/* As after an INIT; what was pending and in service is gone. */
void thin_apic_init(struct vcpu *cpu);
/* Where the VMM had it, and by the ID that it had, whatever the guest has made of them: the thread ends. */
void thin_apic_restore(struct vcpu *cpu);
/* Notes its registers for those who send to it. */
void thin_apic_note(struct vcpu *cpu);

/* thin_icr.c */
enum thin_verdict { THIN_PASS, THIN_DONE, THIN_GP };
/* What to do about a write of ICR: pass it on to the physical APIC, nothing more, or \#GP. */
enum thin_verdict thin_icr_write(struct vcpu *self, enum vlapic_icr_format format, uint64_t value);
/* An NMI for the CPU that runs it: ends its guest, or its sleep. */
void thin_kick(struct vcpu *cpu);
/* To the CPU that runs it, by the physical APIC, whose ICR high stays as it is. */
void thin_send(const struct vcpu *cpu, enum vlapic_delivery delivery);
/* One has come. */
void thin_take_nmi(struct host_cpu *host);

/* thin_access.c: exits. */
void thin_mmio(struct vcpu *cpu);
void thin_msr(struct vcpu *cpu);
/* Shows the window where the APIC has it. */
void thin_place_window(struct vcpu *cpu);
/* Clears a map of MSRs for what need not be seen. */
void thin_trap_msrs(uint8_t *map, bool (*set)(uint8_t *map, uint32_t msr, uint32_t access, bool trap));
/* GUEST_FREE_* */
uint32_t thin_free(struct vcpu *cpu);

#endif
