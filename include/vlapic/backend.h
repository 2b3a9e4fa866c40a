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

struct vlapic_vm;
struct vlapic_cpu;
struct vlapic_vm_config;
struct vlapic_page;

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
    VLAPIC_POST_KICK = 1,
    /** As KICK, but a vCPU that is in the guest is told by `notify`, which need not make it leave. */
    VLAPIC_POST_NOTIFY = 2,
    /** Not taken, because hardware could not treat the vector right as things stand (say, its trigger mode changes): the core lets it wait in its
     *  own mailbox and kicks if the run state asks for that. The backend may have made the vector pending besides. */
    VLAPIC_POST_DECLINE = 3
};

/** What changed in the model, for `changed`; bits may be combined. */
enum vlapic_change {
    VLAPIC_CHANGE_MODE = 1 << 0,     /**< IA32_APIC_BASE: mode or base */
    VLAPIC_CHANGE_IDENTITY = 1 << 1, /**< xAPIC ID, LDR or DFR; attached or detached */
    VLAPIC_CHANGE_TPR = 1 << 2,
    VLAPIC_CHANGE_ISR = 1 << 3,    /**< ISR, hence SVI and PPR */
    VLAPIC_CHANGE_TMR = 1 << 4,    /**< TMR, hence EOI-exit bitmaps */
    VLAPIC_CHANGE_ENABLE = 1 << 5, /**< SVR bit 8, software enable */
    VLAPIC_CHANGE_VOID = 1 << 6,   /**< RESET, INIT or another state: what was on its way to the guest is void */
    VLAPIC_CHANGE_ALL =
        (1 << 7) - 1 /**< with VOID; without it when the APIC is disabled, which is no business of the core's NMIs */
};

/** What the model holds at an entry, for `enter`. Vectors 16..255, 0 for none. */
struct vlapic_entry {
    uint8_t pending;    /**< the highest vector of IRR: RVI */
    uint8_t in_service; /**< the highest vector of ISR: SVI */
    uint8_t ppr;
    int16_t deliverable; /**< `pending` if its class is above that of PPR, else -1 */
};

/** The memory of one vCPU, for `cpu_init`. */
struct vlapic_cpu_memory {
    void *owned;                     /**< `cpu_state_bytes`: touched by the owner alone */
    void *shared;                    /**< `cpu_shared_bytes`: touched by posters, too; in cache lines of its own */
    const struct vlapic_page *pages; /**< `cpu_pages` of them, the register page first; gone after cpu_init */
};

/** Properties of a backend; bits of `flags`. */
enum vlapic_backend_flag {
    /** Hardware sets bits of IRR in the register page at any time, also while the vCPU does not run: the core changes IRR by locked
     *  operations only, and derives anew what follows from it whenever it collects. */
    VLAPIC_BACKEND_SHARES_IRR = 1 << 0
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

    uint32_t flags;            /**< enum vlapic_backend_flag */
    uint32_t vm_state_bytes;   /**< 0 for none; aligned to 64 */
    uint32_t cpu_state_bytes;  /**< 0 for none; aligned to 64 */
    uint32_t cpu_shared_bytes; /**< what `post` works on; 0 for none; aligned to 64 */
    uint32_t cpu_pages;        /**< 4-KiB pages per vCPU; if not 0, the first is the register page */

    /* ---- ABI 1 ---- */

    /** Prepare the memory of a VM. \p config is the VM's, its backend_config the embedder's settings for this backend; both
     *  end with the call. Set-up context. NULL: zeroed memory will do. */
    enum vlapic_status (*vm_init)(void *vm_state, const struct vlapic_vm_config *config);
    /** Prepare the memory of a vCPU. Set-up context. NULL: zeroed memory will do. */
    enum vlapic_status (*cpu_init)(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu);
    /** Undo cpu_init. The vCPU is detached. NULL: nothing to undo. */
    void (*cpu_fini)(void *cpu_state);

    /**
     * Make \p vector (16..255) pending at this vCPU, edge or level triggered. Any thread, lock-free, never sleeps. It is given the
     * shared memory alone, so that it cannot touch what is valid only while the vCPU is loaded. When it returns other than DECLINE, `collect` (or
     * hardware) finds the vector; memory written before the call is visible to whoever collects it, even if it was pending already. A
     * message that was under way may still call it after cpu_fini, until the grace period of vlapic_cpu_detach() is over. NULL, and
     * `collect` too: vectors wait in the core's mailbox.
     */
    enum vlapic_post (*post)(void *shared, uint8_t vector, bool level);

    /** Tell hardware that runs the vCPU in the guest to look at what was posted (notification IPI, doorbell). Any thread, after the verdict
     *  NOTIFY. If the guest has exited meanwhile it does nothing: `pending` says then that there is something. */
    void (*notify)(void *shared);

    /** True if something was posted of which the core may not know: by hardware, or by a post that was to be notified. Owner, before the
     *  vCPU enters or sleeps, its run state announced already. NULL: never. */
    bool (*pending)(const void *shared);

    /**
     * Move what was posted since the last call: \p posted gets the vectors, \p level those of them that are level triggered (other
     * bits of it are ignored). Returns false, and what is in the two does not count, if there was nothing.
     * Called after a KICK verdict, when the state is read, when `pending` said so, and at RESET, INIT, a disable and a load, where the
     * result is dropped. Owner; the vCPU is not in the guest. NULL together with `post`.
     */
    bool (*collect)(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level);

    /** The vCPU is now bound to the physical CPU that calls. Owner. NULL: not of interest. */
    void (*load)(void *cpu_state);
    /** The opposite of load. Owner. NULL: not of interest. */
    void (*put)(void *cpu_state);
    /** Last thing before the guest runs. Owner, loaded. NULL: not of interest. */
    void (*enter)(void *cpu_state, const struct vlapic_entry *entry);
    /** First thing after the guest ran. Returns VLAPIC_CHANGE_TPR and _ISR (which stands for IRR, too) for what hardware may have changed in the
     *  register page: the core derives the rest anew. Owner, loaded. NULL: not of interest. */
    uint32_t (*exit)(void *cpu_state);
    /** The vCPU is about to sleep: whoever posts from now on wakes it, hardware too. Then `pending` is asked. Owner. NULL: not of
     *  interest. */
    void (*block)(void *cpu_state);
    /** It does not sleep any more. Owner. NULL together with block. */
    void (*unblock)(void *cpu_state);
    /** State that hardware may mirror has changed (enum vlapic_change bits). With VLAPIC_CHANGE_VOID the identity need
     *  not be in place yet; VLAPIC_CHANGE_IDENTITY follows. Owner. NULL: not of interest. */
    void (*changed)(void *cpu_state, uint32_t what);
    /** Reasons, as a bitmask of the backend's own, for which acceleration is withdrawn now; 0 for none. Owner: they depend on the APIC's
     *  mode. NULL: always 0. */
    uint64_t (*inhibits)(const void *cpu_state);
};

/**
 * The backend's per-VM memory, for the functions that a backend offers its embedders.
 * \param vm       the VM
 * \param backend  the one that asks
 * \return what vm_init got; NULL if the VM has another backend
 * \ctx_any
 * \manual{Library}
 */
void *vlapic_backend_vm_state(struct vlapic_vm *vm, const struct vlapic_backend *backend);

/**
 * The backend's memory of a vCPU that its owner alone touches, likewise.
 * \param cpu      the vCPU
 * \param backend  the one that asks
 * \return vlapic_cpu_memory.owned; NULL if the VM has another backend
 * \ctx_any
 * \manual{Library}
 */
void *vlapic_backend_cpu_state(struct vlapic_cpu *cpu, const struct vlapic_backend *backend);

/**
 * Hardware has completed the EOI of a vector, its ISR bit is clear already: what is left of an EOI is to tell who waits for it.
 * \param cpu     the vCPU
 * \param vector  whose EOI it was; below 16 nothing happens
 * \ctx_owner
 * \manual{Intel SDM 3C, "EOI Virtualization"; AMD APM 2, "AVIC EOI"}
 */
void vlapic_backend_eoi(struct vlapic_cpu *cpu, uint8_t vector);

/**
 * A vCPU of the same VM.
 * \param cpu      any vCPU of the VM
 * \param apic_id  hardware ID
 * \return the attached vCPU with that ID, NULL if there is none
 * \ctx_any
 * \manual{Library}
 */
struct vlapic_cpu *vlapic_backend_find(const struct vlapic_cpu *cpu, uint32_t apic_id);

/**
 * Something was posted to a vCPU that its owner may not know of, because hardware did it: it has to look, and is kicked if its run state asks
 * for that.
 * \param cpu  the vCPU
 * \ctx_any
 * \manual{AMD APM 2, "AVIC Incomplete IPI"}
 */
void vlapic_backend_wake(struct vlapic_cpu *cpu);

/** The software backend: no hardware is used, a posted vector waits in memory until its vCPU polls. */
extern const struct vlapic_backend vlapic_backend_soft;

VLAPIC_END_DECLS

#endif
