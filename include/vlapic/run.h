/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the owner does between guest entries. The loop of a vCPU thread:
 *
 *     for (;;) {
 *         vlapic_cpu_poll(cpu, &duty);              // what is to be done
 *         ... carry out the duties; for duty.vector, if the guest can take it: inject, vlapic_cpu_accept()
 *         if (halted || duty.wait_for_sipi) {
 *             if (vlapic_cpu_halt(cpu)) { sleep_until_kicked(); vlapic_cpu_exit(cpu); }
 *             continue;
 *         }
 *         disable_host_interrupts();
 *         if (!vlapic_cpu_enter(cpu)) { enable_host_interrupts(); continue; }   // something came in: poll again
 *         run_guest();
 *         vlapic_cpu_exit(cpu);
 *     }
 *
 * A host that has no such loop (a vCPU that is always notified) calls vlapic_cpu_enter() once and never exit: then every
 * post that brings news kicks.
 */
#ifndef VLAPIC_RUN_H
#define VLAPIC_RUN_H

#include "cpu.h"
#include "platform.h"

VLAPIC_BEGIN_DECLS

/** What happens to the vCPU: one duty a field. Event fields are handed over by the poll: the library forgets them. */
struct vlapic_poll {
    /** Take an INIT: when it is not blocked (SMM, VMX root, GIF), reset the core and call vlapic_cpu_take_init().
     *  Reported once; until it is taken or dropped, a SIPI stays latched. Taking it voids what the same poll reports besides: nmi,
     *  smi, extint_message, vector. If something else consumes it (a VM exit, #SX), call vlapic_cpu_drop_init(). */
    bool init;
    /** Start the vCPU in real mode at sipi_vector << 12. Only ever set for a vCPU that waits for SIPI; it no longer does. */
    bool sipi;
    uint8_t sipi_vector;
    /** Pend one NMI in the core; all that came since the last poll are one. */
    bool nmi;
    /** Pend one SMI in the core. */
    bool smi;
    /** An ExtINT message came: pend one 8259-style interrupt; its INTA gets the vector from the external controller. */
    bool extint_message;
    /** A level, not an event: the 8259's INTR line reaches the core now (LINT0, or LINT1, is high, unmasked and ExtINT; or the APIC is
     *  disabled and LINT0 is high). */
    bool extint;
    /** The vCPU waits for SIPI: it must not execute anything. Other events stay latched meanwhile. */
    bool wait_for_sipi;
    /** The vector that can be delivered now by the priority rules, or -1. Nothing is changed by being told: inject it and call
     *  vlapic_cpu_accept(), or do neither. */
    int16_t vector;
};

/**
 * Merges what other threads posted, handles an expired timer, and tells what is to be done. Constant time. May be called while
 * the vCPU is in the guest: posts go on kicking. (With a hardware backend its exit function comes first: until then the page is hardware's.)
 *
 * What came since the owner's last look is taken in this order, whatever the order in which it came: vectors, each with the
 * trigger mode of its last post; LINT0, LINT1; messages of INIT and SIPI, NMI, SMI, ExtINT; events of LVT entries, by their
 * numbers; illegal vectors; the host timer. Guest accesses by MMIO and MSR, vlapic_cpu_acknowledge() and reading the state look
 * as well.
 *
 * An expiry takes place when somebody looks at the clock: after vlapic_cpu_timer_expired(), when the state is read, and when the
 * guest reads a running count, writes the initial count, another divisor or the timer's LVT entry, uses IA32_TSC_DEADLINE in its
 * mode, or disables the APIC by SVR.
 * \param cpu   the vCPU
 * \param duty  receives all fields
 * \ctx_owner
 * \manual{Intel SDM 3A, "Handling Interrupts"}
 */
void vlapic_cpu_poll(struct vlapic_cpu *cpu, struct vlapic_poll *duty);

/**
 * The vCPU takes \p vector, which a poll offered: IRR to ISR. Any pending vector above PPR that IER does not mask is taken, also
 * one that is not the highest.
 * \param cpu     the vCPU
 * \param vector  any
 * \return true if it was deliverable; false, and nothing changed, if not (not pending, not above PPR, masked, 0..15)
 * \ctx_owner
 * \manual{Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts"}
 */
bool vlapic_cpu_accept(struct vlapic_cpu *cpu, uint8_t vector);

/**
 * Takes an accept back, because the entry that was to deliver the vector was cancelled: ISR to IRR. TMR stays. Poll
 * again before the vCPU enters or sleeps.
 * \param cpu     the vCPU
 * \param vector  16..255
 * \return true if the vector was in service; false, and nothing changed, if not
 * \ctx_owner
 * \manual{Library}
 */
bool vlapic_cpu_unaccept(struct vlapic_cpu *cpu, uint8_t vector);

/**
 * The interrupt-acknowledge cycle, for hosts that raise INTR first and fetch the vector later: accepts the highest vector, or gives
 * the spurious one.
 * \param cpu     the vCPU
 * \param vector  receives the vector: SVR bits 7:0 if spurious
 * \return true if a vector went from IRR to ISR; false if it is the spurious vector, for which nothing changed
 * \ctx_owner
 * \manual{Intel SDM 3A, "Spurious Interrupt"}
 */
bool vlapic_cpu_acknowledge(struct vlapic_cpu *cpu, uint8_t *vector);

/**
 * Announces that the guest is about to run, with host interrupts (kicks) held off until it does.
 * \param cpu  the vCPU
 * \return true: enter; from now on posts kick. False: something came since the poll, or a reset, an INIT or a load made it out
 *         of date: poll again instead; the vCPU counts as in the host. Of several calls of enter and halt the last one counts
 * \ctx_owner
 * \manual{Library}
 */
bool vlapic_cpu_enter(struct vlapic_cpu *cpu);

/**
 * The guest has exited: posts no longer kick, since the owner polls before it enters again. No effect if it is in the host already.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_cpu_exit(struct vlapic_cpu *cpu);

/**
 * Announces that the vCPU is about to sleep (HLT, or waiting for SIPI). On waking, call vlapic_cpu_exit() and poll.
 * \param cpu  the vCPU
 * \return true: sleep until kicked; a kick that comes before the sleep begins must end it. False: something came: poll instead
 * \ctx_owner
 * \manual{Library}
 */
bool vlapic_cpu_halt(struct vlapic_cpu *cpu);

/**
 * The vCPU is bound to this physical CPU, for the backend.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_cpu_load(struct vlapic_cpu *cpu);

/**
 * The vCPU is no longer bound to a physical CPU, for the backend.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_cpu_put(struct vlapic_cpu *cpu);

/**
 * The guest's TSC jumped (IA32_TSC or IA32_TSC_ADJUST written, offset changed): the TSC deadline is looked at
 * again. No effect without an armed deadline.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Intel SDM 3A, "TSC-Deadline Mode"}
 */
void vlapic_cpu_tsc_changed(struct vlapic_cpu *cpu);

/**
 * Time that is left, for a host that wants to plan its sleep.
 * \param cpu           the vCPU
 * \param deadline_ns   receives the expiry of a running one-shot or periodic timer on the clock of now_ns()
 * \return true if such a timer runs; a TSC deadline does not count
 * \ctx_owner
 * \manual{Intel SDM 3A, "APIC Timer"}
 */
bool vlapic_cpu_next_expiry(const struct vlapic_cpu *cpu, uint64_t *deadline_ns);

VLAPIC_END_DECLS

#endif
