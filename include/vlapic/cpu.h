/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * `struct vlapic_cpu`: one vCPU's local APIC. This header makes and unmakes it; access.h is what the guest does to it,
 * run.h what its owner does between guest entries, event.h what other threads do to it, state.h its state in the open.
 *
 * Its *owner* is the thread that runs the vCPU, or anyone while the vCPU is stopped. Functions tagged ctx_owner belong to the
 * owner, one at a time; those tagged ctx_any to everybody at any time.
 */
#ifndef VLAPIC_CPU_H
#define VLAPIC_CPU_H

#include "platform.h"
#include "status.h"
#include "vm.h"

VLAPIC_BEGIN_DECLS

/** A 4-KiB page for the backend: zeroed, page aligned, pinned. */
struct vlapic_page {
    void *va;    /**< where the library finds it */
    uint64_t pa; /**< what hardware is told */
};

/** Settings of one vCPU. */
struct vlapic_cpu_config {
    uint32_t size;                   /**< sizeof(struct vlapic_cpu_config) */
    uint32_t apic_id;                /**< hardware (x2APIC) ID, at most the VM's max_apic_id; unique in the VM */
    bool bsp;                        /**< bootstrap processor: BSP bit set at RESET, does not wait for SIPI */
    void *cookie;                    /**< first argument of the callbacks that take a vCPU cookie */
    const struct vlapic_page *pages; /**< layout.pages of them; NULL if 0. Copied. */
};

/**
 * Tells the memory that one vCPU needs.
 * \param config  the VM's configuration
 * \param layout  receives the sizes
 * \return VLAPIC_OK, or what is wrong with the configuration (VLAPIC_INVALID, VLAPIC_BAD_ABI)
 * \ctx_setup
 * \manual{Library}
 */
enum vlapic_status vlapic_cpu_layout(const struct vlapic_vm_config *config, struct vlapic_layout *layout);

/**
 * Makes a vCPU's local APIC in memory of the caller's, in the RESET state. It is not yet addressable: vlapic_cpu_attach() does that.
 * \param memory  block of at least layout.bytes, aligned; need not be zeroed; freed by the caller after vlapic_cpu_destroy()
 * \param bytes   its size
 * \param vm      the VM that it will belong to
 * \param config  the vCPU's settings; copied
 * \param cpu     receives the object, which lies in \p memory
 * \return VLAPIC_OK, VLAPIC_INVALID (ID too large, pages missing), VLAPIC_BAD_ABI, VLAPIC_TOO_SMALL, VLAPIC_MISALIGNED, or what the
 *         backend's cpu_init says
 * \ctx_setup
 * \manual{Intel SDM 3A, "Local APIC State After Power-Up or Reset"}
 */
enum vlapic_status vlapic_cpu_create(void *memory, size_t bytes, struct vlapic_vm *vm,
                                     const struct vlapic_cpu_config *config, struct vlapic_cpu **cpu);

/**
 * Makes the vCPU addressable by messages. Other vCPUs may be running (hot plug).
 * \param cpu  the vCPU
 * \return VLAPIC_OK; VLAPIC_IN_USE if its APIC ID is taken, by itself included
 * \ctx_owner
 * \manual{Library}
 */
enum vlapic_status vlapic_cpu_attach(struct vlapic_cpu *cpu);

/**
 * Takes the vCPU off the bus. A message that another thread is just sending may still reach it: before its memory is freed, let
 * every call into the library that began before this one come to its end (a grace period of the embedder's). No effect if it is not
 * attached. Direct posts, pins, local events and its timer go on working, and its IPIs are
 * sent; those to all, itself included, reach it no more.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_cpu_detach(struct vlapic_cpu *cpu);

/**
 * Ends the object: detaches it, cancels an armed host timer, tells the backend. The host is called no more, also not for a late
 * expiry or post; but a kick that a sender has decided on may still come until the grace period is over. The memory is the caller's again, under the rule of
 * vlapic_cpu_detach().
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Library}
 */
void vlapic_cpu_destroy(struct vlapic_cpu *cpu);

/**
 * Power-up or RESET: every register, the mode and the latched events. A processor whose BSP bit was configured runs afterwards,
 * any other waits for SIPI. LINT pin levels and the run state (in the guest, halted) stay; an armed host timer is cancelled.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Intel SDM 3A, "Local APIC State After Power-Up or Reset"}
 */
void vlapic_cpu_reset(struct vlapic_cpu *cpu);

/**
 * The core takes an INIT, that vlapic_cpu_poll() reported or that came to its INIT pin: everything but the APIC ID and
 * IA32_APIC_BASE is reset, whatever was accepted since is wiped, a latched SIPI that came after the INIT is kept. An INIT
 * message that no poll has reported yet is reported afterwards. With the BSP bit of IA32_APIC_BASE clear the vCPU then waits for SIPI.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Intel SDM 3A, "Local APIC State After an INIT Reset"}
 */
void vlapic_cpu_take_init(struct vlapic_cpu *cpu);

/**
 * The INIT that vlapic_cpu_poll() reported is not taken, because something consumed it: a VM exit of a nested guest, #SX. A SIPI that was
 * latched meanwhile is void, unless a newer INIT came before it. No effect without a reported INIT.
 * \param cpu  the vCPU
 * \ctx_owner
 * \manual{Intel SDM 3C, "Other Causes of VM Exits"; AMD APM 2, "INIT Support"}
 */
void vlapic_cpu_drop_init(struct vlapic_cpu *cpu);

/**
 * The hardware APIC ID.
 * \param cpu  the vCPU
 * \return the 32-bit x2APIC ID, whatever the mode: what CPUID leaves 0Bh and 1Fh have to show in EDX
 * \ctx_any
 * \manual{Intel SDM 3A, "x2APIC State Transitions"}
 */
uint32_t vlapic_cpu_apic_id(const struct vlapic_cpu *cpu);

/**
 * The embedder's cookie.
 * \param cpu  the vCPU
 * \return what vlapic_cpu_config.cookie was
 * \ctx_any
 * \manual{Library}
 */
void *vlapic_cpu_cookie(const struct vlapic_cpu *cpu);

VLAPIC_END_DECLS

#endif
