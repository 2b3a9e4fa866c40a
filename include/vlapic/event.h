/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What other threads do to a vCPU's local APIC: direct posts, pins, local events, the expiry of its timer. All of it is lock-free,
 * lands in the vCPU's mailbox, and kicks the vCPU if its run state asks for that.
 */
#ifndef VLAPIC_EVENT_H
#define VLAPIC_EVENT_H

#include "cpu.h"
#include "platform.h"

VLAPIC_BEGIN_DECLS

/**
 * A Fixed message to this one vCPU, past all address decoding.
 * \param cpu     the vCPU
 * \param vector  0..255; below 16 is a receive-illegal-vector error of that APIC
 * \param level   trigger mode: level instead of edge
 * \return true if the APIC accepted it (merging into a pending vector counts): it is enabled by hardware and software, vector not below 16
 * \ctx_any
 * \manual{Intel SDM 3A, "Interrupt Acceptance for Fixed Interrupts"}
 */
bool vlapic_cpu_post(struct vlapic_cpu *cpu, uint8_t vector, bool level);

/**
 * The level of a LINT pin, polarity already resolved by the host.
 * \param cpu       the vCPU
 * \param pin       0 or 1; others are ignored
 * \param asserted  true if active
 * \ctx_any
 * \manual{Intel SDM 3A, "Local Vector Table"}
 */
void vlapic_cpu_lint(struct vlapic_cpu *cpu, uint32_t pin, bool asserted);

/**
 * An event on an LVT entry that has no pin: thermal sensor, performance counter overflow, CMCI, an extended entry. An event that finds
 * the previous one of the same entry still unhandled merges with it.
 * \param cpu    the vCPU
 * \param entry  VLAPIC_LVT_THERMAL, _PERF, _CMCI or VLAPIC_LVT_EXT0 + n; entries that the VM has not, and all others, are ignored
 * \ctx_any
 * \manual{Intel SDM 3A, "Local Vector Table"}
 */
void vlapic_cpu_lvt_event(struct vlapic_cpu *cpu, enum vlapic_lvt entry);

/**
 * The host timer armed by timer_arm_ns or timer_arm_tsc went off. Spurious, early, late and repeated calls are harmless: the owner looks at the
 * clock when it polls.
 * \param cpu  the vCPU
 * \ctx_any
 * \manual{Intel SDM 3A, "APIC Timer"}
 */
void vlapic_cpu_timer_expired(struct vlapic_cpu *cpu);

VLAPIC_END_DECLS

#endif
