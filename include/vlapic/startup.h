/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * INIT and SIPI at one CPU, alone: for hosts without a model behind it that start their CPUs on the guest's word (docs/THIN.md).
 * One word a CPU, which any thread may post to. Optional at link time; independent of the rest of the library, which keeps the same rules for
 * its vCPUs by itself.
 *
 *     any CPU, for each target of an IPI:              the CPU itself, before it runs the guest:
 *         if (vlapic_startup_post(&s, mode, vector))       switch (vlapic_startup_take(&s, &page)) {
 *             make_it_look(cpu);                           case VLAPIC_STARTUP_INIT: core to its INIT state; take again
 *                                                          case VLAPIC_STARTUP_SIPI: real mode at page << 12; run
 *                                                          case VLAPIC_STARTUP_WAIT: sleep until made to look; take again
 *                                                          case VLAPIC_STARTUP_RUN:  run }
 *
 * A CPU that was made to look before it slept must not sleep: both sides' operations are sequentially consistent.
 */
#ifndef VLAPIC_STARTUP_H
#define VLAPIC_STARTUP_H

#include "platform.h"
#include "registers.h"

VLAPIC_BEGIN_DECLS

/** One CPU. Only the functions below touch it, atomically. */
struct vlapic_startup {
    uint32_t word;
};

/** What the CPU has to do. */
enum vlapic_startup_duty {
    VLAPIC_STARTUP_RUN = 0, /**< nothing: it runs */
    VLAPIC_STARTUP_INIT =
        1, /**< bring the core to its INIT state: a BSP then starts at its reset vector, another CPU waits. Ask again */
    VLAPIC_STARTUP_SIPI = 2, /**< start in real mode at the given page; from now on it runs */
    VLAPIC_STARTUP_WAIT = 3  /**< it waits for SIPI and must not execute anything */
};

/**
 * The state after power-up or RESET, or the one that the host finds a CPU in.
 * \param startup  the CPU
 * \param bsp      IA32_APIC_BASE bit 8: an INIT restarts it at once
 * \param waits    it waits for SIPI; else it runs
 * \ctx_setup
 * \manual{Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems"}
 */
void vlapic_startup_reset(struct vlapic_startup *startup, bool bsp, bool waits);

/**
 * A message names this CPU. An INIT is latched, and voids a SIPI that was latched before. A SIPI is latched if the CPU waits for one, or
 * will when it has taken its INIT, and none is latched: the first one counts. Anything else changes nothing.
 * \param startup   the CPU
 * \param delivery  VLAPIC_DELIVERY_INIT or VLAPIC_DELIVERY_SIPI; others are ignored
 * \param vector    of a SIPI: the page
 * \return true if that is news: the CPU has to be made to look
 * \ctx_any
 * \manual{Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems"}
 */
bool vlapic_startup_post(struct vlapic_startup *startup, enum vlapic_delivery delivery, uint8_t vector);

/**
 * Takes the next duty: an INIT before the SIPI that came after it.
 * \param startup  the CPU
 * \param vector   receives the page with VLAPIC_STARTUP_SIPI; untouched otherwise
 * \return the duty; INIT and SIPI are told once
 * \ctx_owner
 * \manual{Intel SDM 3A, "MP Initialization Protocol Algorithm for MP Systems"}
 */
enum vlapic_startup_duty vlapic_startup_take(struct vlapic_startup *startup, uint8_t *vector);

VLAPIC_END_DECLS

#endif
