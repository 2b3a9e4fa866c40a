/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The svm backend's objects, and the VMCB's fields. Posting knows struct svm_shared alone: nothing in it leads to a VMCB. AMD APM 2, "Secure
 * Virtual Machine", appendix B for the VMCB.
 */
#ifndef VLAPIC_SVM_INTERNAL_H
#define VLAPIC_SVM_INTERNAL_H

#include <vlapic/svm_run.h>
#include <vlapic/vlapic.h>

#include "../shared/vlapic_events.h"
#include "../shared/vlapic_shadow.h"
#include "../shared/vlapic_window.h"

/* --- VMCB ----------------------------------------------------------------------------------------------------------------- */
#define VMCB_CR_INTERCEPTS 0x000u
#define VMCB_INTERCEPTS3 0x00Cu
#define VMCB_INTERRUPT_CONTROL 0x060u
#define VMCB_EXIT_CODE 0x070u
#define VMCB_EXIT_INFO1 0x078u
#define VMCB_EXIT_INFO2 0x080u
#define VMCB_EXIT_EVENT 0x088u
#define VMCB_APIC_BAR 0x098u
#define VMCB_EVENT_INJECTION 0x0A8u
#define VMCB_CLEAN 0x0C0u
#define VMCB_BACKING_PAGE 0x0E0u
#define VMCB_LOGICAL_TABLE 0x0F0u
#define VMCB_PHYSICAL_TABLE 0x0F8u
#define VMCB_RIP 0x578u

#define CR8_READ (1u << 8)
#define CR8_WRITE (1u << 24)
#define INTERCEPT_VINTR (1u << 4)
#define INTERCEPT_IRET (1u << 20)

#define CONTROL_V_TPR 0xFull
#define CONTROL_V_IRQ (1ull << 8)
#define CONTROL_V_NMI (1ull << 11)
#define CONTROL_V_NMI_MASK (1ull << 12)
#define CONTROL_V_PRIORITY (0xFull << 16)
#define CONTROL_V_IGNORE_TPR (1ull << 20)
#define CONTROL_V_NMI_ENABLE (1ull << 26)
#define CONTROL_X2AVIC (1ull << 30)
#define CONTROL_AVIC (1ull << 31)
#define CONTROL_V_VECTOR (0xFFull << 32)

#define CLEAN_INTERCEPTS (1u << 0)
#define CLEAN_MSR_MAP (1u << 1)
#define CLEAN_CONTROL (1u << 3)
#define CLEAN_AVIC (1u << 11)

/* --- tables ------------------------------------------------------------------------------------------------------------- */
#define PHYSICAL_VALID (1ull << 63)
#define PHYSICAL_RUNNING (1ull << 62)
#define PHYSICAL_PAGE (((1ull << 52) - 1) & ~0xFFFull)
#define PHYSICAL_HOST 0xFFFull
#define LOGICAL_VALID (1u << 31)

#define EVENT_NMI_BLOCKED (1u << 29) /* of what is saved as in flight; not hardware's */
#define RFLAGS_IF (1u << 9)
#define ILLEGAL_VECTORS 0xFFFFu /* of the first word of IRR, ISR and TMR */

/* --- objects ------------------------------------------------------------------------------------------------------------ */

/* What posters know of a vCPU. */
struct svm_shared {
    uint64_t level[4]; /* TMR: a vector that is posted in the other mode goes round by the owner */
    uint32_t *page;    /* the register page: IRR is any thread's */
    void (*doorbell)(void *cpu_cookie, uint32_t apic_id);
    void *cookie;
    uint32_t host_id;  /* where it runs */
    bool delivers;     /* by AVIC: posters set IRR */
    bool asks;         /* `pending` is to look: VMRUN does not */
    uint32_t known[8]; /* IRR as the core has seen it: the owner's */
};

struct svm_vm {
    struct vlapic_svm_ops ops;
    uint64_t *physical;
    uint64_t physical_pa;
    uint32_t *logical;
    uint64_t logical_pa;
    uint64_t discard_pa;
    uint32_t max_apic_id;
    uint32_t table_limit; /* largest ID that the physical table can hold */
    uint32_t features;
    uint32_t lasting_inhibits; /* for as long as the VM is */
    bool erratum_1235;
    bool ext_lvt_traps; /* writes of extended LVT registers are in the page when they exit */
    /* atomic */
    uint32_t inhibits; /* the embedder's */
    uint32_t odd_physical;
    uint32_t odd_logical;
    uint32_t flat_users;
    uint32_t cluster_users;
    uint32_t xapic_users;
    uint32_t x2apic_users;
};

/* What a vCPU contributes to the VM's tables and counts. */
struct svm_place {
    bool odd_physical, odd_logical, flat, cluster, xapic, x2apic;
    bool has_logical;
    uint32_t logical_index;
};

struct svm_cpu {
    struct svm_shared *shared;
    struct svm_vm *vm;
    struct vlapic_cpu *cpu;
    void *cookie;
    uint32_t *page;
    uint64_t page_pa;
    uint8_t *vmcb; /* between enter and exit, and in exit */
    struct svm_place place;
    struct vlapic_events events;
    struct vlapic_shadow shadow;
    uint32_t version; /* the register, over each run */

    uint32_t features; /* in use, and written to the VMCB */
    bool is_stale;     /* the APIC has changed what `features` depend on */
    bool is_written;   /* the VMCB holds what the members say */
    bool is_running;   /* IR: doorbells and hardware's IPIs reach it */
    bool v_nmi;        /* with vNMI: one is pending for hardware to take */
    bool by_hand;      /* what comes next has to be injected, or waited for: AVIC cannot */
    bool needs_flush;  /* another vCPU may have run on this processor */
    bool accepts;      /* the APIC takes fixed interrupts: new bits of IRR count */
    bool is_prepared;  /* AVIC is on or off as the entry that has begun needs it */
    bool unblocks_nmi; /* with vNMI: V_NMI_MASK is to be cleared */
    bool blocks_nmi;   /* ... to be set */
    bool nmi_waits;    /* one was restored that is pending behind the one in service */
    uint32_t changes;  /* enum vlapic_svm_change that the next entry is to tell */
    bool nmi_blocked;  /* with vNMI, as the last exit had it; without it from the injection to the IRET */
    bool iret_is_next; /* the IRET was intercepted at iret_rip, and is executed by the next entry */
    uint64_t iret_rip;
    uint32_t inhibited; /* the inhibits of which `features` know */
    uint64_t mapped;    /* as in the vmx backend: what the embedder was told, with SVM_MAPPED */
    struct vlapic_svm_guest guest;
    struct vlapic_svm_entry entry;
};
#define SVM_MAPPED 1u

static inline struct svm_cpu *svm_of(struct vlapic_cpu *cpu)
{
    return vlapic_backend_cpu_state(cpu, &vlapic_backend_svm);
}

static inline uint32_t svm_page(const struct svm_cpu *state, uint32_t offset)
{
    return state->page[offset / 4];
}

static inline bool svm_accepts(const struct svm_cpu *state)
{
    return (vlapic_cpu_apic_base(state->cpu) & VLAPIC_BASE_EN) != 0 &&
           (svm_page(state, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) != 0;
}

static inline uint64_t svm_get(const struct svm_cpu *state, uint32_t offset)
{
    return *(const uint64_t *)(const void *)(state->vmcb + offset);
}

static inline uint32_t svm_get32(const struct svm_cpu *state, uint32_t offset)
{
    return *(const uint32_t *)(const void *)(state->vmcb + offset);
}

static inline void svm_dirty(struct svm_cpu *state, uint32_t clean)
{
    *(uint32_t *)(void *)(state->vmcb + VMCB_CLEAN) &= ~clean;
}

static inline void svm_set(struct svm_cpu *state, uint32_t offset, uint64_t value, uint32_t clean)
{
    uint64_t *field = (uint64_t *)(void *)(state->vmcb + offset);

    if (*field != value) {
        *field = value;
        svm_dirty(state, clean);
    }
}

static inline void svm_set32(struct svm_cpu *state, uint32_t offset, uint32_t value, uint32_t clean)
{
    uint32_t *field = (uint32_t *)(void *)(state->vmcb + offset);

    if (*field != value) {
        *field = value;
        svm_dirty(state, clean);
    }
}

static inline bool svm_uses_avic(const struct svm_cpu *state)
{
    return (state->features & (VLAPIC_SVM_AVIC | VLAPIC_SVM_X2AVIC)) != 0;
}

static inline bool svm_uses_vnmi(const struct svm_cpu *state)
{
    return (state->vm->features & VLAPIC_SVM_VNMI) != 0;
}

/* Hardware may set bits at any time. */
static inline uint32_t svm_irr(const struct svm_shared *shared, uint32_t word)
{
    return __atomic_load_n(&shared->page[VLAPIC_REG_IRR / 4 + word * 4], __ATOMIC_SEQ_CST);
}

/* --- vlapic_svm_avic.c ---------------------------------------------------------------------------------------------------- */
/* Reasons why this vCPU does without AVIC. */
uint32_t vlapic_svm_core_inhibits(const struct svm_cpu *state);
/* Finds the features for the APIC as it stands; writes what depends on them. */
void vlapic_svm_core_update_features(struct svm_cpu *state);

/* --- vlapic_svm_tables.c -------------------------------------------------------------------------------------------------- */
/* ID, logical ID, mode or enable bits may have changed: tables and counts follow. */
void vlapic_svm_core_update_tables(struct svm_cpu *state);
/* The vCPU is no more. */
void vlapic_svm_core_leave_tables(struct svm_cpu *state);
/* IR of the physical table's entry, and the IOMMU. */
void vlapic_svm_core_set_running(struct svm_cpu *state, bool running, bool blocked);
/* Reasons that concern all vCPUs. */
uint32_t vlapic_svm_core_vm_inhibits(const struct svm_vm *vm);

/* --- vlapic_svm_post.c ---------------------------------------------------------------------------------------------------- */
enum vlapic_post vlapic_svm_core_post(void *memory, uint8_t vector, bool level);
void vlapic_svm_core_notify(void *memory);
bool vlapic_svm_core_pending(const void *memory);
bool vlapic_svm_core_collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level);
void vlapic_svm_core_load(void *cpu_state);
void vlapic_svm_core_put(void *cpu_state);
void vlapic_svm_core_block(void *cpu_state);
void vlapic_svm_core_unblock(void *cpu_state);
void vlapic_svm_core_publish_levels(struct svm_cpu *state);
/* The core is about to see IRR as it is now. */
void vlapic_svm_core_know(struct svm_cpu *state);
/* The core has taken this vector out of IRR, or put it back. */
void vlapic_svm_core_know_one(struct svm_cpu *state, uint8_t vector, bool pending);
/* Enable bits, or all of the state, may have changed: whether IRR can get new bits follows. */
void vlapic_svm_core_update_accepts(struct svm_cpu *state, bool replaced);

/* --- vlapic_svm_entry.c --------------------------------------------------------------------------------------------------- */
void vlapic_svm_core_enter(void *cpu_state, const struct vlapic_entry *entry);
uint32_t vlapic_svm_core_exit(void *cpu_state);

/* --- vlapic_svm_ipi.c ----------------------------------------------------------------------------------------------------- */
enum vlapic_svm_result vlapic_svm_core_incomplete_ipi(struct svm_cpu *state, uint64_t info1, uint64_t info2);
/* The guest's ICR as hardware left it in the page: send it by software. */
void vlapic_svm_core_send(struct svm_cpu *state, uint64_t icr);

#endif
