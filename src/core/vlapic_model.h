/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's objects and what the core's files offer each other. Who may touch what:
 *   - "mailbox": any thread, atomically;
 *   - "fixed": written before the object is visible, read by anyone;
 *   - "owner": the thread that runs the vCPU.
 * Cross-file functions are named vlapic_core_*; they expect the owner's thread unless they say "any thread".
 */
#ifndef VLAPIC_MODEL_H
#define VLAPIC_MODEL_H

#include <vlapic/vlapic.h>

#include "vlapic_atomic.h"
#include "vlapic_clock.h"

/* --- the work word: what other threads want of the vCPU ------------------------------------------------------------ */
#define VLAPIC_WORK_POSTED (1ull << 0) /* vectors were posted, here or at the backend */
#define VLAPIC_WORK_TIMER (1ull << 1)  /* the host timer went off */
#define VLAPIC_WORK_INIT (1ull << 2)
#define VLAPIC_WORK_SIPI (1ull << 3) /* its vector is in bits 39:32 */
#define VLAPIC_WORK_NMI (1ull << 4)
#define VLAPIC_WORK_SMI (1ull << 5)
#define VLAPIC_WORK_EXTINT (1ull << 6)
#define VLAPIC_WORK_BAD_VECTOR (1ull << 7) /* a message with an illegal vector was received */
#define VLAPIC_WORK_RISE(pin) (1ull << (8 + (pin)))
#define VLAPIC_WORK_LVT(entry) (1ull << (16 + (entry))) /* entry: enum vlapic_lvt, at most 15 */
#define VLAPIC_WORK_SIPI_SHIFT 32
#define VLAPIC_WORK_SIPI_VECTOR (0xFFull << VLAPIC_WORK_SIPI_SHIFT)
/* What goes to the core of the vCPU through a poll. */
#define VLAPIC_WORK_CORE_EVENTS                                                                                        \
    (VLAPIC_WORK_INIT | VLAPIC_WORK_SIPI | VLAPIC_WORK_SIPI_VECTOR | VLAPIC_WORK_NMI | VLAPIC_WORK_SMI |               \
     VLAPIC_WORK_EXTINT)

/* --- the route word: what a sender must know of a receiver ---------------------------------------------------------- */
#define VLAPIC_ROUTE_ID8(r) ((uint32_t)(r)&0xFFu)
#define VLAPIC_ROUTE_LDR8(r) ((uint32_t)((r) >> 8) & 0xFFu)
#define VLAPIC_ROUTE_DFR4(r) ((uint32_t)((r) >> 16) & 0xFu)
#define VLAPIC_ROUTE_LOGICAL(dfr4, ldr8) ((uint32_t)(dfr4) << 16 | (uint32_t)(ldr8) << 8)
#define VLAPIC_ROUTE_EN (1u << 20)
#define VLAPIC_ROUTE_EXTD (1u << 21)
#define VLAPIC_ROUTE_SOFTWARE_ENABLED (1u << 22)
#define VLAPIC_ROUTE_BACKEND_POSTS (1u << 23) /* vectors go through the backend, not through `posted` */
#define VLAPIC_ROUTE_POSTS_ORDERED (1u << 24) /* the VM's setting, where posters look anyway */

enum vlapic_run_state { VLAPIC_RUN_HOST = 0, VLAPIC_RUN_GUEST = 1, VLAPIC_RUN_HALTED = 2 };

/* Timer modes, as in LVT timer bits 18:17. */
enum vlapic_timer_mode {
    VLAPIC_TIMER_ONE_SHOT = 0,
    VLAPIC_TIMER_PERIODIC = 1,
    VLAPIC_TIMER_DEADLINE = 2,
    VLAPIC_TIMER_RESERVED = 3
};

struct vlapic_timer {
    uint64_t origin_ns; /* `due` counts from here */
    uint64_t phase;     /* of the input clock at the origin, in billionths */
    uint64_t due;       /* input clocks after the origin */
    uint64_t deadline;  /* IA32_TSC_DEADLINE */
    uint8_t mode;       /* enum vlapic_timer_mode */
    uint8_t shift;      /* log2 of the divisor */
    bool running;       /* one-shot or periodic, and counting */
    bool armed;         /* the host timer is */
};

#define VLAPIC_CACHE_LINE 64
#define VLAPIC_WINDOW 0x1000u
/* Slots of 16 bytes in the register block: through the last extended LVT entry, 570h. */
#define VLAPIC_SLOTS 0x58u
#define VLAPIC_REGS_BYTES ((size_t)VLAPIC_SLOTS * 16u)

/* Padded on purpose: who writes a cache line decides what lies in it. */
struct vlapic_cpu { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    /* mailbox: all that a sender writes for an edge, in one cache line */
    uint64_t work;
    uint32_t route;
    uint32_t run_state;   /* enum vlapic_run_state; written by the owner, read by senders */
    struct vlapic_vm *vm; /* fixed, as the cookie */
    void *cookie;
    uint64_t posted[4]; /* vectors on their way to IRR, unless the backend carries them */
    /* the second line: written by others only when a vector changes its trigger mode, or a pin its level */
    uint64_t posted_level[4]; /* trigger mode of each vector's last post */
    uint32_t lines;           /* levels of the LINT pins: bit n is LINTn */
    /* fixed */
    const struct vlapic_backend *backend;
    void *backend_shared;
    uint32_t apic_id;
    bool bsp;
    bool backend_watches; /* the backend has a `changed` */
    bool irr_is_shared;   /* VLAPIC_BACKEND_SHARES_IRR */

    /* owner */
    uint32_t *regs __attribute__((aligned(VLAPIC_CACHE_LINE))); /* the register page, hardware layout */
    void *backend_state;
    uint64_t apic_base;
    uint32_t window; /* derived: bytes of the MMIO window that answer, 1000h in xAPIC mode, else 0 */
    /* Derived: bit w of *_words tells that 32-bit word w is not zero; pending and in_service are the highest IRR and ISR
     * vectors (0: none) that count for the priority; the page's PPR follows from in_service and TPR. */
    uint32_t irr_words;
    uint32_t isr_words;
    uint32_t pending;
    uint32_t in_service;
    bool ier_masks; /* some IER bit is zero */
    bool attached;
    bool wait_for_sipi;
    bool init_handed_over; /* a poll reported an INIT that was not taken yet */
    bool repoll;           /* what the last poll told is out of date */
    uint32_t esr_pending;
    uint32_t lvt_lint0; /* sanitised LVT LINT0 with remote IRR: the page may be written by hardware */
    uint64_t events;    /* VLAPIC_WORK_CORE_EVENTS taken from the mailbox, not yet reported */
    struct vlapic_timer timer;
    uint32_t contribution; /* what this vCPU contributes to the VM's routing: see vlapic_tables.c */
    struct vlapic_cpu_stats stats;
};

/* A register as one VM has it: the settings that decide about its bits are applied. */
struct vlapic_slot {
    uint32_t (*read)(struct vlapic_cpu *cpu, uint32_t offset);              /* NULL: what the block holds */
    void (*write)(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value); /* NULL: store */
    uint32_t writable;                                                      /* bits that a write changes */
    uint32_t valid;                                                         /* bits that may be 1 in a WRMSR */
    uint8_t xapic;                                                          /* enum vlapic_reg_access */
    uint8_t x2apic;
};

/* A register whose RESET value is not zero. */
struct vlapic_reset {
    uint32_t offset;
    uint32_t value;
};
#define VLAPIC_RESETS_MAX 32u

struct vlapic_vm {
    /* fixed */
    struct vlapic_vm_config config;
    struct vlapic_host_ops host; /* members that the embedder's table lacks are NULL */
    void *backend_state;
    struct vlapic_cpu **by_id; /* the words are any thread's, see vlapic_route.c */
    uint64_t *present;         /* bitmap of by_id */
    uint64_t *summary;         /* bitmap of non-zero words of `present` */
    uint32_t summary_words;
    uint32_t plain_limit; /* largest destination for vlapic_core_send_plain() */
    struct vlapic_slot slots[VLAPIC_WINDOW >> 4];
    struct vlapic_reset resets[VLAPIC_RESETS_MAX];
    uint32_t reset_count;
    /* any thread */
    uint32_t irregular_ids __attribute__((aligned(VLAPIC_CACHE_LINE))); /* odd and wide ones */
    uint32_t odd_ids;
    uint32_t wide_ids;
    uint32_t odd_logical;
    uint32_t x2apic_cpus;
    uint32_t flat_used; /* of the two tables below */
    uint32_t cluster_used;
    struct vlapic_cpu *flat[8];
    struct vlapic_cpu *cluster[64];
};

/* --- register block -------------------------------------------------------------------------------------------------- */
static inline uint32_t vlapic_get(const struct vlapic_cpu *cpu, uint32_t offset)
{
    return cpu->regs[offset / 4];
}

/* Of any register: of IRR hardware may set bits at any time. */
static inline uint32_t vlapic_get_any(const struct vlapic_cpu *cpu, uint32_t offset)
{
    return vlapic_load_relaxed(&cpu->regs[offset / 4]);
}

/* Of the 256-bit register at `base`. */
static inline uint32_t vlapic_get_word(const struct vlapic_cpu *cpu, uint32_t base, uint32_t word)
{
    const uint32_t *at = &cpu->regs[base / 4 + word * 4];

    return base == VLAPIC_REG_IRR ? vlapic_load_relaxed(at) : *at;
}

static inline void vlapic_put(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    cpu->regs[offset / 4] = value;
}

/* The word that holds a vector, in one of the three 256-bit registers or IER. */
static inline uint32_t *vlapic_word_at(const struct vlapic_cpu *cpu, uint32_t base, uint32_t vector)
{
    return &cpu->regs[base / 4 + (vector >> 5) * 4];
}

static inline bool vlapic_test_vector(const struct vlapic_cpu *cpu, uint32_t base, uint32_t vector)
{
    const uint32_t *at = vlapic_word_at(cpu, base, vector);

    return ((base == VLAPIC_REG_IRR ? vlapic_load_relaxed(at) : *at) >> (vector & 31)) & 1u;
}

static inline bool vlapic_is_enabled(const struct vlapic_cpu *cpu)
{
    return (cpu->apic_base & VLAPIC_BASE_EN) != 0;
}

static inline bool vlapic_is_x2apic(const struct vlapic_cpu *cpu)
{
    return (cpu->apic_base & VLAPIC_BASE_EXTD) != 0;
}

static inline bool vlapic_is_software_enabled(const struct vlapic_cpu *cpu)
{
    return (vlapic_get(cpu, VLAPIC_REG_SVR) & VLAPIC_SVR_ENABLE) != 0;
}

static inline uint32_t vlapic_bit_index(uint64_t word)
{
    return (uint32_t)__builtin_ctzll(word);
}

static inline uint32_t vlapic_top_bit(uint32_t word)
{
    return 31u ^ (uint32_t)__builtin_clz(word);
}

static inline void vlapic_tell_backend(struct vlapic_cpu *cpu, uint32_t what)
{
    if (vlapic_unlikely(cpu->backend_watches)) {
        cpu->backend->changed(cpu->backend_state, what);
    }
}

/* --- debug builds ---------------------------------------------------------------------------------------------------- */
#ifdef VLAPIC_DEBUG
#define VLAPIC_CHECK(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define VLAPIC_CHECK(condition) ((void)0)
#endif
#define VLAPIC_ASSERT_OWNER(cpu)                                                                                       \
    VLAPIC_CHECK((cpu)->vm->host.on_cpu_thread == NULL || (cpu)->vm->host.on_cpu_thread((cpu)->cookie))

/* --- vlapic_regs.c: the register table ------------------------------------------------------------------------------- */
enum vlapic_reg_access {
    VLAPIC_REG_NONE = 0, /* reserved: ESR bit 7 or #GP */
    VLAPIC_REG_RO = 1,
    VLAPIC_REG_WO = 2,
    VLAPIC_REG_RW = 3
};

/* Fills vm->slots and vm->resets from the register table and the configuration. */
void vlapic_core_reg_resolve(struct vlapic_vm *vm);
/* The register at `offset` of the window; one without any access if there is none. */
static inline const struct vlapic_slot *vlapic_slot_at(const struct vlapic_vm *vm, uint32_t offset)
{
    return &vm->slots[offset >> 4];
}
/* True if this VM has the register, in either mode. */
static inline bool vlapic_reg_exists(const struct vlapic_vm *vm, uint32_t offset)
{
    const struct vlapic_slot *slot = vlapic_slot_at(vm, offset);

    return (slot->xapic | slot->x2apic) != VLAPIC_REG_NONE;
}
/* Writes the RESET value of every register but ID and version into the block. */
void vlapic_core_reg_reset(struct vlapic_cpu *cpu);

/* --- vlapic_base.c, vlapic_reset.c ----------------------------------------------------------------------------------- */
enum vlapic_access vlapic_core_base_write(struct vlapic_cpu *cpu, uint64_t value);
bool vlapic_core_base_is_valid(const struct vlapic_vm *vm, uint64_t value);
/* IA32_APIC_BASE after RESET. */
uint64_t vlapic_core_reset_base(const struct vlapic_cpu *cpu);
/* Stores a checked value, and what is derived from it. */
void vlapic_core_set_base(struct vlapic_cpu *cpu, uint64_t value);
/* Registers to their RESET values, ID and IA32_APIC_BASE kept; everything posted but not merged is dropped. `what` is what the backend is told. */
void vlapic_core_reset_registers(struct vlapic_cpu *cpu, uint32_t what);
/* Writes the ID, version and LDR registers as the mode shows them, and tells senders and the backend. */
void vlapic_core_identity_changed(struct vlapic_cpu *cpu, uint32_t xapic_id);

/* --- vlapic_prio.c --------------------------------------------------------------------------------------------------- */
void vlapic_core_write_tpr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
/* accept() of the reference: a Fixed interrupt of local origin, or one whose sender is the vCPU itself. */
void vlapic_core_accept_local(struct vlapic_cpu *cpu, uint8_t vector, bool level);
/* The 64 vectors of word `w`, 0..3: the posted ones become pending, each in its trigger mode. */
void vlapic_core_merge(struct vlapic_cpu *cpu, uint32_t w, uint64_t posted, uint64_t level);
uint32_t vlapic_core_highest_unmasked(const struct vlapic_cpu *cpu, uint32_t base);
/* The vector that the priority rules let through now, -1 for none. A class equal to that of PPR is blocked. */
static inline int16_t vlapic_deliverable(const struct vlapic_cpu *cpu)
{
    bool above = (cpu->pending & 0xF0u) > (vlapic_get(cpu, VLAPIC_REG_PPR) & 0xF0u);

    return (int16_t)(above ? (int32_t)cpu->pending : -1);
}
/* Recomputes everything derived from IRR, ISR, IER and TPR, and tells the backend. */
void vlapic_core_derive(struct vlapic_cpu *cpu);
/* The same after hardware had the page: the backend knows. */
void vlapic_core_page_changed(struct vlapic_cpu *cpu);
#ifdef VLAPIC_DEBUG
/* Traps if anything derived is stale. */
void vlapic_core_check_derived(const struct vlapic_cpu *cpu);
#else
static inline void vlapic_core_check_derived(const struct vlapic_cpu *cpu)
{
    (void)cpu;
}
#endif

/* --- vlapic_eoi.c ---------------------------------------------------------------------------------------------------- */
void vlapic_core_write_eoi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
uint32_t vlapic_core_read_seoi(struct vlapic_cpu *cpu, uint32_t offset);
void vlapic_core_write_seoi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);

/* --- vlapic_esr.c ---------------------------------------------------------------------------------------------------- */
void vlapic_core_error(struct vlapic_cpu *cpu, uint32_t bit);
void vlapic_core_write_esr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);

/* --- vlapic_lvt.c, vlapic_lint.c ------------------------------------------------------------------------------------- */
/* Offset of an entry's register, 0 if the VM has no such entry. */
uint32_t vlapic_core_lvt_offset(const struct vlapic_vm *vm, uint32_t entry);
void vlapic_core_write_lvt(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
void vlapic_core_mask_all_lvts(struct vlapic_cpu *cpu);
void vlapic_core_lvt_event(struct vlapic_cpu *cpu, uint32_t entry);
void vlapic_core_write_lint0(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
void vlapic_core_lint_rise(struct vlapic_cpu *cpu, uint32_t pin);
void vlapic_core_lint0_eoi(struct vlapic_cpu *cpu, uint8_t vector);
bool vlapic_core_lint_extint(const struct vlapic_cpu *cpu);

/* --- vlapic_svr.c, vlapic_ext.c -------------------------------------------------------------------------------------- */
void vlapic_core_write_svr(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
uint32_t vlapic_core_read_ext_feature(struct vlapic_cpu *cpu, uint32_t offset);
void vlapic_core_write_ier(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);

/* --- vlapic_icr.c ---------------------------------------------------------------------------------------------------- */
uint32_t vlapic_core_read_icr_low(struct vlapic_cpu *cpu, uint32_t offset);
void vlapic_core_write_icr_low(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
void vlapic_core_write_x2apic_icr(struct vlapic_cpu *cpu, uint64_t value);
void vlapic_core_write_self_ipi(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);

/* --- vlapic_route.c (any thread unless said) ------------------------------------------------------------------------- */
enum vlapic_source { VLAPIC_FROM_XAPIC, VLAPIC_FROM_X2APIC, VLAPIC_FROM_OUTSIDE };

struct vlapic_request {
    struct vlapic_cpu *sender; /* NULL from outside */
    uint32_t destination;
    uint8_t vector;
    uint8_t delivery;  /* enum vlapic_delivery */
    uint8_t shorthand; /* enum vlapic_shorthand */
    uint8_t source;    /* enum vlapic_source */
    bool logical;
    bool level;
    bool arbitrated; /* one of the candidates takes it */
};

/* Delivers to one physical destination, if it is one that the table of IDs alone can answer: returns 0 or 1, how many accepted,
 * else -1, and the message is to be sent by vlapic_core_send(). */
int32_t vlapic_core_send_plain(struct vlapic_vm *vm, uint32_t destination, uint8_t delivery, uint8_t vector,
                               bool level);
/* Delivers; returns how many accepted. */
uint32_t vlapic_core_send(struct vlapic_vm *vm, const struct vlapic_request *q);
/* The vCPU with the lowest APIC ID that is not below `from`, or NULL. */
struct vlapic_cpu *vlapic_core_route_next(const struct vlapic_vm *vm, uint32_t from);

/* --- vlapic_tables.c -------------------------------------------------------------------------------------------------- */
/* Owner: tells senders what the registers now say of mode, ID, LDR, DFR and SVR. */
void vlapic_core_route_update(struct vlapic_cpu *cpu);
/* Owner: enters the vCPU into the tables, false if the ID is taken; and takes it out. */
bool vlapic_core_route_join(struct vlapic_cpu *cpu);
void vlapic_core_route_leave(struct vlapic_cpu *cpu);

/* --- vlapic_post.c, vlapic_work.c (posting: vlapic_mailbox.h) --------------------------------------------------------- */
/* Any thread: set a work bit; kick if that is news and the vCPU would not look by itself. */
void vlapic_core_notify(struct vlapic_cpu *cpu, uint64_t bit);
/* Owner: forgets the vectors that were posted and not merged. */
void vlapic_core_drop_posted(struct vlapic_cpu *cpu);
/* Takes everything out of the mailbox and acts on it; the next entry is then to be preceded by a poll. */
void vlapic_core_settle(struct vlapic_cpu *cpu);
/* The same, and what a backend holds though it has told the core of nothing. */
void vlapic_core_settle_all(struct vlapic_cpu *cpu);

static inline bool vlapic_has_work(struct vlapic_cpu *cpu)
{
    return vlapic_load_acquire(&cpu->work) != 0;
}

/* What guests see is what has arrived: owner functions begin with this. */
static inline void vlapic_settle(struct vlapic_cpu *cpu)
{
    if (vlapic_unlikely(vlapic_has_work(cpu))) {
        vlapic_core_settle(cpu);
    }
}

/* --- vlapic_timer.c -------------------------------------------------------------------------------------------------- */
uint32_t vlapic_core_read_current_count(struct vlapic_cpu *cpu, uint32_t offset);
void vlapic_core_write_initial_count(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
void vlapic_core_write_divide_config(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
void vlapic_core_write_lvt_timer(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
/* Expiries that are due take place now. */
void vlapic_core_timer_settle(struct vlapic_cpu *cpu);
/* The host timer went off: settle, and arm it again if something is left to wait for. */
void vlapic_core_timer_host_expired(struct vlapic_cpu *cpu);
/* Stopped, nothing armed, one-shot, divide by 2. */
void vlapic_core_timer_reset(struct vlapic_cpu *cpu);
enum vlapic_access vlapic_core_deadline_read(struct vlapic_cpu *cpu, uint64_t *value);
enum vlapic_access vlapic_core_deadline_write(struct vlapic_cpu *cpu, uint64_t value);
/* Goes on from a state that was put in place: from a moment that may have passed, but no later than now. */
void vlapic_core_timer_resume(struct vlapic_cpu *cpu, uint64_t origin_ns);

/* --- vlapic_vm.c ----------------------------------------------------------------------------------------------------- */
enum vlapic_status vlapic_core_config_check(const struct vlapic_vm_config *config);

#endif
