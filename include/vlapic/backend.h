/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * The backend ABI: what a plugin supplies that turns the model into the programming of some interrupt-virtualization
 * hardware, or, like `soft`, does everything in software. A backend includes nothing but the public headers.
 * src/backends/template/ is an empty one that compiles, for a start.
 *
 * Division of labour: the core keeps every register, decides what a guest access does and which message goes to which
 * vCPU. The backend may carry a vector from any thread to the vCPU (`post`, `collect`), and is told when the vCPU is loaded,
 * enters the guest, leaves it, and when state that hardware mirrors has changed. How an exit is decoded is the business of the backend
 * and the embedder: the core never sees an exit reason.
 */
#ifndef VLAPIC_BACKEND_H
#define VLAPIC_BACKEND_H

#include "platform.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

struct vlapic_cpu;

/** Version of struct vlapic_backend. */
#define VLAPIC_BACKEND_ABI 1u

/** 256 vectors: vector v is bit v % 64 of word v / 64. */
struct vlapic_vectors {
    uint64_t word[4];
};

/** Verdict of `post`: what the core has to see to, once for each target. */
enum vlapic_post {
    /** The vector was pending already, or hardware delivers by itself, also if the vCPU is not in the guest now. */
    VLAPIC_POST_NONE = 0,
    /** The vCPU has to look: the core kicks it if its run state asks for that. */
    VLAPIC_POST_KICK = 1
};

/** What changed in the model, for `changed`; bits may be combined. */
enum vlapic_change {
    VLAPIC_CHANGE_MODE = 1 << 0,     /**< IA32_APIC_BASE: mode or base */
    VLAPIC_CHANGE_IDENTITY = 1 << 1, /**< xAPIC ID, LDR or DFR */
    VLAPIC_CHANGE_TPR = 1 << 2,
    VLAPIC_CHANGE_ISR = 1 << 3,      /**< ISR, hence SVI and PPR */
    VLAPIC_CHANGE_TMR = 1 << 4,      /**< TMR, hence EOI-exit bitmaps */
    VLAPIC_CHANGE_ALL = (1 << 5) - 1 /**< after reset, INIT and restore */
};

/**
 * A backend's const descriptor. Versioned and append-only: new members come at the end, behind a ruler that names the ABI
 * version which brought them; `size` tells what exists. An op that is NULL is not called; where that is allowed says each
 * op. `vm_state` and `cpu_state` are the memory whose size the descriptor declares: zeroed and aligned before `*_init`.
 */
struct vlapic_backend {
    uint32_t abi;     /**< VLAPIC_BACKEND_ABI */
    uint32_t size;    /**< sizeof(struct vlapic_backend) as the backend compiled it */
    const char *name; /**< for people; not NULL */

    uint32_t vm_state_bytes;  /**< 0 for none; aligned to 64 */
    uint32_t cpu_state_bytes; /**< 0 for none; aligned to 64 */
    uint32_t cpu_pages;       /**< 4-KiB pages per vCPU; if not 0, the first is the register page */

    /* ---- ABI 1 ---- */

    /** Prepare the memory of a VM. Set-up context. NULL: zeroed memory will do. */
    enum vlapic_status (*vm_init)(void *vm_state);
    /** Prepare the memory of a vCPU. Set-up context. NULL: zeroed memory will do. */
    enum vlapic_status (*cpu_init)(void *cpu_state, void *vm_state, struct vlapic_cpu *cpu);
    /** Undo cpu_init. The vCPU is detached. NULL: nothing to undo. */
    void (*cpu_fini)(void *cpu_state);

    /**
     * Make \p vector (16..255) pending at this vCPU, edge or level triggered. Any thread, lock-free, never sleeps; must not touch
     * what is valid only while the vCPU is loaded. When it returns, `collect` finds the vector; memory written before the call is
     * visible to whoever collects it, even if it was pending already. A message that was under way may still call it after cpu_fini,
     * until the grace period of vlapic_cpu_detach() is over. NULL, and `collect` too: vectors wait in the core's mailbox.
     */
    enum vlapic_post (*post)(void *cpu_state, uint8_t vector, bool level);

    /**
     * Move what was posted since the last call: \p posted gets the vectors, \p level those of them that are level triggered (other
     * bits of it are ignored). Returns false, and what is in the two does not count, if there was nothing.
     * Called after a KICK verdict, when the state is read, and at RESET, INIT, a disable and a load, where the result is dropped. Owner; the vCPU is not in the guest. NULL together with `post`.
     */
    bool (*collect)(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level);

    /** The vCPU is now bound to the physical CPU that calls. Owner. NULL: not of interest. */
    void (*load)(void *cpu_state);
    /** The opposite of load. Owner. NULL: not of interest. */
    void (*put)(void *cpu_state);
    /** Last thing before the guest runs. Owner, loaded. NULL: not of interest. */
    void (*enter)(void *cpu_state);
    /** First thing after the guest ran. Owner, loaded. NULL: not of interest. */
    void (*exit)(void *cpu_state);
    /** State that hardware may mirror has changed (enum vlapic_change bits). At RESET, VLAPIC_CHANGE_ALL may come before
     *  the identity is in place; VLAPIC_CHANGE_IDENTITY follows. Owner. NULL: not of interest. */
    void (*changed)(void *cpu_state, uint32_t what);
    /** Reasons, as a bitmask of the backend's own, for which acceleration is withdrawn now; 0 for none. Any thread.
     *  NULL: always 0. */
    uint64_t (*inhibits)(const void *cpu_state);
};

/** The software backend: no hardware is used, a posted vector waits in memory until its vCPU polls. */
extern const struct vlapic_backend vlapic_backend_soft;

VLAPIC_END_DECLS

#endif
