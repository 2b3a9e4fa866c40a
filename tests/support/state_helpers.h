/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole-state helpers: an APIC in which every register differs from its reset value, the state that a reset must give, and
 * a comparison that names the member that differs.
 */
#ifndef TESTS_SUPPORT_STATE_HELPERS_H
#define TESTS_SUPPORT_STATE_HELPERS_H

#include "fake_host.h"

/* Vectors in the state that busy_state() leaves. */
#define BUSY_IN_SERVICE 0x93 /* level: TMR set */
#define BUSY_PENDING_EDGE 0x41
#define BUSY_PENDING_LEVEL 0x52
#define BUSY_LINT0 0xD5 /* level, line high: pending with remote IRR */

/*
 * Gives every register a value of its own, in whichever mode the APIC is in: software-enabled, three vectors pending, one in
 * service, both ESR values non-zero, LINT0 high with remote IRR, a periodic timer running. The vCPU has index 0 in f.
 */
void busy_state(struct fake_vm *f);

/* Starts every vCPU that waits for SIPI, with SIPIs from the first vCPU, which is in xAPIC mode. */
void start_aps(struct fake_vm *f);

/* Reads the state; must succeed. */
void state_read(struct vlapic_cpu *cpu, struct vlapic_cpu_state *state);

/* The state after RESET by section 3 of the reference with both LINT lines low; bsp decides base and waiting for SIPI. */
void state_after_reset(const struct fake_vm *f, uint32_t apic_id, bool bsp, struct vlapic_cpu_state *state);

/* Fails the test, naming the first member that differs. */
void assert_same_state(const struct vlapic_cpu_state *expected, const struct vlapic_cpu_state *actual);

#endif
