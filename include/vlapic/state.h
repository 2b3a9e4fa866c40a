/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * A vCPU's state in the open: what a debugger shows, what a converter to another system's format reads and writes. A
 * snapshot (snapshot.h) is the same information as portable bytes.
 */
#ifndef VLAPIC_STATE_H
#define VLAPIC_STATE_H

#include "cpu.h"
#include "platform.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

/** Latched events of struct vlapic_cpu_state. */
/** Latched, or reported by a poll and neither taken nor dropped: whoever goes on from the state is told of it again. */
#define VLAPIC_EVENT_INIT (1u << 0)
#define VLAPIC_EVENT_SIPI (1u << 1)
#define VLAPIC_EVENT_NMI (1u << 2)
#define VLAPIC_EVENT_SMI (1u << 3)
#define VLAPIC_EVENT_EXTINT (1u << 4)        /**< an ExtINT message */
#define VLAPIC_EVENT_WAIT_FOR_SIPI (1u << 5) /**< not an event: the vCPU waits for SIPI */
#define VLAPIC_EVENT_LINE0 (1u << 6)         /**< not an event: LINT0 is high */
#define VLAPIC_EVENT_LINE1 (1u << 7)         /**< not an event: LINT1 is high */

/** Everything that makes up one local APIC. Register values are as in the registers, reserved bits zero. */
struct vlapic_cpu_state {
    uint32_t size;    /**< sizeof(struct vlapic_cpu_state) */
    uint32_t apic_id; /**< hardware (x2APIC) ID; a load into another vCPU is a mismatch */
    uint64_t apic_base;
    uint32_t xapic_id; /**< 8 bits, as xAPIC mode shows in ID bits 31:24 */
    uint32_t tpr;
    uint32_t ldr; /**< the xAPIC register, bits 31:24; zero in x2APIC mode, whose LDR is derived from the ID */
    uint32_t dfr;
    uint32_t svr;
    uint32_t esr;         /**< visible */
    uint32_t esr_pending; /**< recorded since the last ESR write */
    uint64_t icr;
    uint32_t lvt[VLAPIC_LVT_COUNT];       /**< by enum vlapic_lvt; bit 14 of LINT0 is remote IRR */
    uint32_t lvt_ext[VLAPIC_LVT_EXT_MAX]; /**< entries that the VM has not: the reset value */
    uint32_t isr[8];                      /**< vector v is bit v % 32 of word v / 32, in these three */
    uint32_t tmr[8];
    uint32_t irr[8];
    uint32_t ier[8];      /**< AMD; all ones elsewhere */
    uint32_t ext_control; /**< AMD 410h */
    uint32_t initial_count;
    uint32_t divide_config;
    uint32_t timer_running;   /**< 1: the count is going down */
    uint64_t timer_remaining; /**< input clocks until expiry, before division; 0 unless running */
    uint64_t timer_phase;     /**< how much of the current input clock has passed, in billionths of it */
    uint64_t tsc_deadline;    /**< IA32_TSC_DEADLINE */
    uint64_t time_ns;         /**< now_ns() when the state was read */
    uint32_t events;          /**< VLAPIC_EVENT_* */
    uint32_t sipi_vector;     /**< with VLAPIC_EVENT_SIPI */
};

/** How a restored timer relates to the clock of now_ns(). */
enum vlapic_time {
    /** The clock stood still or is another one: what was left is left. */
    VLAPIC_TIME_STOPPED = 0,
    /** The clock of now_ns() is the same one and went on: what has passed since time_ns is taken off; an expiry in between is delivered. */
    VLAPIC_TIME_RAN = 1
};

/**
 * Reads the state. Merges what was posted and lets expiries that are due take place first, otherwise changes nothing. Pins
 * must be still meanwhile. Poll before the next enter or halt, which otherwise may return false.
 * \param cpu    the vCPU
 * \param state  receives it
 * \param size   sizeof(struct vlapic_cpu_state) as the caller compiled it
 * \return VLAPIC_OK, VLAPIC_INVALID for NULL, VLAPIC_BAD_ABI for an unknown size
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_cpu_get_state(struct vlapic_cpu *cpu, struct vlapic_cpu_state *state, size_t size);

/**
 * Replaces the state, after checking all of it. Arms the host timer as the new state asks; sends nothing to anyone. What was posted
 * before belongs to the old state and goes with it; with EN clear in apic_base, registers may hold what they can with EN set (other
 * systems keep them), and show it when EN is set again; a vCPU in the RESET state accepts no Fixed message yet, so restore the APICs before
 * anything that may send. The run state is kept; poll before the next enter or halt.
 * \param cpu    the vCPU
 * \param state  the new state; time_ns is used with VLAPIC_TIME_RAN only
 * \param time   what became of the clock meanwhile
 * \param field  NULL, or receives the name of the first member found wrong (a constant string)
 * \return VLAPIC_OK; VLAPIC_INVALID, VLAPIC_BAD_ABI; VLAPIC_BAD_VALUE for what no APIC can hold; VLAPIC_MISMATCH for what this vCPU or VM
 *         cannot. Unless OK nothing has changed
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_cpu_set_state(struct vlapic_cpu *cpu, const struct vlapic_cpu_state *state,
                                        enum vlapic_time time, const char **field);

/** What happened so far, for people and tests. Counters wrap. */
struct vlapic_cpu_stats {
    uint64_t bad_reads;      /**< ill-formed MMIO reads, answered with zero */
    uint64_t bad_writes;     /**< ill-formed MMIO writes, dropped */
    uint64_t faults;         /**< accesses answered with #GP */
    uint64_t errors;         /**< ESR bits newly recorded */
    uint64_t accepts;        /**< vectors that went from IRR to ISR */
    uint64_t spurious;       /**< acknowledges answered with the spurious vector */
    uint64_t eois;           /**< EOIs that cleared an ISR bit */
    uint64_t empty_eois;     /**< EOIs that found nothing in service */
    uint64_t ipis;           /**< IPIs sent */
    uint64_t dropped_ipis;   /**< ICR writes that sent nothing */
    uint64_t timer_expiries; /**< including masked ones; missed periods count once */
};

/**
 * Reads the counters.
 * \param cpu    the vCPU
 * \param stats  receives them
 * \param size   sizeof(struct vlapic_cpu_stats) as the caller compiled it
 * \return VLAPIC_OK, VLAPIC_INVALID for NULL, VLAPIC_BAD_ABI for an unknown size
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_cpu_get_stats(const struct vlapic_cpu *cpu, struct vlapic_cpu_stats *stats, size_t size);

VLAPIC_END_DECLS

#endif
