/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor core with AMD SVM, as far as virtual interrupts go: V_IRQ, vNMI, AVIC and x2AVIC. It plays the CPU's side for tests
 * of software that programs such hardware, and shares nothing with that software but VMCBs, tables and backing pages in memory.
 * Written from the project's SVM reference; the numbers behind "reference" are its sections. Obvious before fast.
 *
 * How a test uses it. A machine is what all cores have in common: capabilities, readings of what the manual leaves open,
 * callbacks. A core is run by one thread at a time, its owner. The owner fills in a VMCB, calls svmhw_vmrun(), then plays the guest, one
 * instruction a call, until a result says SVMHW_EXIT; the VMCB then has what hardware writes at #VMEXIT. Whatever is pending at
 * an instruction boundary is taken first: a call that plays an instruction begins as svmhw_boundary() does, and if that takes something,
 * its result is returned and the instruction has NOT been executed; the guest comes back to it.
 *
 * Threads. Calls take the owner of the core, but for svmhw_doorbell_arrives(), svmhw_physical_raise(), svmhw_host_writes_doorbell() and
 * svmhw_iommu_post(), which any thread may make at any time. IRR is only changed by locked operations, table entries are read at once,
 * and IRR is written before IR is read.
 *
 * Not here: Secure AVIC (reference 14), nested guests, everything of a guest that is not an interrupt or an access to the local APIC.
 * Of "illegal CR/EFER/DR state" VMRUN checks CR0 alone; injected exceptions are not held against the guest's mode.
 */
#ifndef TESTS_SVMHW_H
#define TESTS_SVMHW_H

#include "svmhw_readings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct svmhw_core;

/** What the processor can do: reference 1. */
struct svmhw_capabilities {
    bool avic;                /**< Fn8000_000A EDX[13] */
    bool x2avic;              /**< EDX[18] */
    bool x2avic_4096;         /**< ECX[6]: IDs up to 4095 */
    bool vnmi;                /**< EDX[25] */
    bool vgif;                /**< EDX[16] */
    bool nrip_save;           /**< EDX[3]; false: 0C8h is never written */
    bool decode_assists;      /**< EDX[7]: GPR number of MOV CR8, instruction bytes of a nested page fault */
    bool vmcb_clean;          /**< EDX[5]; false: every field is loaded at every VMRUN */
    bool flush_by_asid;       /**< EDX[6]; false: TLB_CONTROL 3 and 7 are VMEXIT_INVALID (a choice of the model) */
    bool extended_lvt_access; /**< EDX[27]: 500h-530h can be read, and trap when written */
    bool idle_hlt;            /**< EDX[30] */
    bool snp_host;            /**< SNP is enabled: VMRUN asks `hypervisor_owned` about the backing page */
    unsigned physical_bits;   /**< width of a physical address; 0 stands for 52 */
    bool narrow_host_id;      /**< table entries: host physical APIC ID bits 11:8 are ignored, as in early parts */
};

/** Everything there is, 52-bit addresses, 12-bit host IDs, no SNP. */
extern const struct svmhw_capabilities svmhw_all_capabilities;

/** Behaviour that is no reading of the manual. All false: an orderly processor. */
struct svmhw_options {
    /** Reserved and undefined bits of exit fields read as noise (reference 7.1); false: 0. */
    bool poison;
    /** Reference 10, erratum 1235: a core that saw IR = 1 in an entry sees it once more after it was cleared. */
    bool erratum_1235;
    /** The x2APIC part of the MSR permission map is cached under clean bit 1, not the pointer alone (reference 2.5). */
    bool msrpm_cached;
};

/** What the trace callback is told. `a` and `b` are said behind each; v is a vector, i a guest physical APIC ID. */
enum svmhw_trace {
    SVMHW_TRACE_VMRUN,          /**< a: VMCB. Checks passed, mode is guest, nothing injected or evaluated yet */
    SVMHW_TRACE_EXIT,           /**< a: exit code, b: EXITINFO1. The VMCB is written */
    SVMHW_TRACE_EVALUATE,       /**< a: v that IRR offers and the priorities let through, or 100h */
    SVMHW_TRACE_DELIVER,        /**< a: v, b: enum svmhw_event_type. Before the IDT is read */
    SVMHW_TRACE_TRAP_STORE,     /**< a: offset, b: value. The page has it, the exit comes */
    SVMHW_TRACE_TARGET,         /**< a: i, b: the entry. An IPI's target, before anything is sent */
    SVMHW_TRACE_IRR_SET,        /**< a: i, b: v. Before the entry is read again: the place to race with a clear of IR */
    SVMHW_TRACE_RUNNING_READ,   /**< a: i, b: 1 if IR was seen set. Before the doorbell, if any */
    SVMHW_TRACE_DOORBELL_SENT,  /**< a: host APIC ID */
    SVMHW_TRACE_DOORBELL_TAKEN, /**< at a boundary in guest mode */
    SVMHW_TRACE_STALE_FIELD, /**< a: clean bit, b: VMCB offset. A copy is used that differs from the VMCB: a forgotten clear */
    SVMHW_TRACE_STALE_PAGE, /**< a: gpa, b: pa. A stale translation of the APIC page is used: a forgotten flush */
};

/** A nested translation. */
struct svmhw_nested_page {
    bool present, writable;
    uint64_t frame; /**< host physical address of the 4-KiB page */
};

/** What the embedding test supplies. The context pointer comes first everywhere. */
struct svmhw_callbacks {
    /**
     * Physical memory: where \p bytes bytes at \p pa are, aligned as \p pa is. NULL: there is no such memory, which hardware takes
     * as an address beyond the supported range. Called from any thread that uses a core or posts. Mandatory.
     */
    uint8_t *(*memory)(void *context, uint64_t pa, size_t bytes);
    /** Nested page tables. NULL: the APIC page is mapped while xAVIC is on, nothing else is. */
    struct svmhw_nested_page (*nested_page)(void *context, uint64_t n_cr3, uint64_t gpa);
    /**
     * Hardware sends a doorbell: find the core with this ID and call svmhw_doorbell_arrives() on it, if there is one. May be called with the
     * sender's own ID. \p sender is NULL for the IOMMU. NULL: doorbells go astray.
     */
    void (*doorbell)(void *context, struct svmhw_core *sender, uint32_t host_apic_id);
    /** A doorbell reached the host as an interrupt (A20). Runs on the thread that rang. NULL: not of interest. */
    void (*host_interrupt)(void *context, struct svmhw_core *core);
    /** The IOMMU writes a GA log entry with this tag. NULL: not of interest. */
    void (*ga_log)(void *context, uint32_t ga_tag);
    /** With snp_host: whether the page at \p pa is owned by the hypervisor. NULL: all are. */
    bool (*hypervisor_owned)(void *context, uint64_t pa);
    /** Told of each event in its place, on the thread that caused it; may change memory and ring doorbells, but not call the core's owner
     *  functions. \p core is NULL for the IOMMU. NULL: not of interest. */
    void (*trace)(void *context, struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b);
};

/** What all cores share. Constant while a core or a device uses it. */
struct svmhw_machine {
    struct svmhw_capabilities capabilities;
    struct svmhw_readings readings;
    struct svmhw_options options;
    struct svmhw_callbacks callbacks;
    void *context;
};

/** What became of a call. */
enum svmhw_happened {
    SVMHW_DONE,     /**< the instruction is done; for svmhw_boundary() and svmhw_vmrun(): there was nothing to take */
    SVMHW_EXIT,     /**< #VMEXIT: `code`; the rest is in the VMCB, the core is in host mode */
    SVMHW_GP,       /**< the guest got #GP(0) at the instruction, RIP is there */
    SVMHW_EVENT,    /**< the guest took an event through its IDT: `type`, `vector`. Its gate cleared IF */
    SVMHW_PHYSICAL, /**< a physical event was taken without an exit, `physical`: the host's own, lost in the guest */
    SVMHW_MEMORY, /**< an ordinary memory access: `address` is the host physical address. RIP is past the instruction */
    SVMHW_HOST_MSR, /**< the access went to the host's own MSR: nothing intercepts it. RIP is past the instruction */
    SVMHW_HALTED,   /**< the guest sleeps in HLT and nothing wakes it yet */
    SVMHW_NOT_IN_GUEST, /**< the core is in host mode: nothing was done */
};

/** Physical events, in the order in which a core takes them. */
enum svmhw_physical { SVMHW_PHYSICAL_INIT, SVMHW_PHYSICAL_SMI, SVMHW_PHYSICAL_NMI, SVMHW_PHYSICAL_INTR };

/** Members that the result does not name are 0. */
struct svmhw_result {
    enum svmhw_happened happened;
    uint64_t value; /**< what a read gave, SVMHW_DONE */
    uint64_t code;  /**< exit code, SVMHW_EXIT */
    uint64_t address;
    uint8_t type; /**< enum svmhw_event_type */
    uint8_t vector;
    enum svmhw_physical physical;
};

/* ---- a core ---- */

#define SVMHW_VMCBS 64
#define SVMHW_GUEST_IDS 4096

/** What a core keeps of a VMCB between runs: reference 2.5. Internal. */
struct svmhw_cached_vmcb {
    uint64_t vmcb_pa;
    bool used;
    uint64_t value[20];
    uint8_t msrpm_x2apic[0x40];
};

/** The one translation of an APIC page that a core remembers: reference 4.5. Internal. */
struct svmhw_translation {
    bool valid;
    bool avic; /**< to a backing page, not to what the nested tables say */
    uint64_t n_cr3, gpa, page;
    bool writable;
};

/** One core. Tests may look at everything; only the members of the first group are theirs to write. */
struct svmhw_core {
    /* The host's and the test's to set, in host mode or between calls. */
    uint32_t host_apic_id;
    bool host_if;                  /**< host RFLAGS.IF at VMRUN */
    bool host_paging;              /**< at VMRUN */
    bool r_init;                   /**< VM_CR.R_INIT */
    uint8_t physical_tpr;          /**< TPR of the core's own APIC; a guest may write it too (reference 3.1) */
    uint8_t instruction_bytes[15]; /**< of the instruction that is played next; a nested page fault may show them */
    uint8_t instruction_length;    /**< by how much RIP advances; svmhw_core_init() sets 3 */

    const struct svmhw_machine *machine;

    /* Any thread, atomically. */
    uint32_t in_guest;
    uint32_t bell;             /**< a doorbell came and was not looked at */
    uint32_t physical_pending; /**< bit enum svmhw_physical */
    uint32_t intr_vector;      /**< host vector of a pending INTR */

    /* The owner's: the guest that runs, or ran last. Reference 16.1. */
    uint64_t vmcb_pa;
    uint8_t *vmcb;
    struct svmhw_cached_vmcb *cached;
    uint8_t *page; /**< the backing page; NULL without AVIC */
    uint64_t rip;
    bool interrupts_enabled; /**< RFLAGS.IF */
    bool shadow;             /**< STI or MOV SS shadow */
    bool gif;
    bool halted;
    bool host_if_at_vmrun;
    uint8_t v_tpr;
    bool v_irq, v_gif, v_nmi, v_nmi_mask;
    bool evaluate;       /**< an evaluation point was passed */
    unsigned recognised; /**< vector that evaluation found deliverable, or 100h */
    struct {
        bool armed;
        uint64_t code, info1, info2;
    } delivery_exit;

    /* The owner's: what a core keeps over runs. */
    struct svmhw_translation translation;
    struct svmhw_cached_vmcb caches[SVMHW_VMCBS];
    uint8_t saw_running[SVMHW_GUEST_IDS / 8]; /**< erratum 1235 */
    unsigned any_index;                       /**< A24: which of several failing targets is reported */
};

/** A core in host mode with nothing pending, paging and interrupts on, GIF = 0 as after CLGI. */
void svmhw_core_init(struct svmhw_core *core, const struct svmhw_machine *machine, uint32_t host_apic_id);

/* ---- the host's side ---- */

/**
 * VMRUN: loads the VMCB at \p vmcb_pa (4-KiB aligned), checks it, enters the guest, delivers EVENTINJ. Results: SVMHW_EXIT
 * (VMEXIT_INVALID, or an exit that interrupted the injection), SVMHW_EVENT (the injected one), SVMHW_DONE. What else is pending is
 * taken by the next call.
 * No more than SVMHW_VMCBS VMCBs can ever run on one core: abort() beyond. Reference 4.6 and 16.2.
 */
struct svmhw_result svmhw_vmrun(struct svmhw_core *core, uint64_t vmcb_pa);

/** The host takes a pending physical event, as after STGI with IF = 1: false if none is. The vector is that of an INTR. */
bool svmhw_host_takes(struct svmhw_core *core, enum svmhw_physical event, uint8_t *vector);

/**
 * WRMSR C001_011Bh by the host: sends a doorbell. False: #GP. The fence that has to precede it is the caller's. Nothing of the core is
 * touched, so any thread may say that it runs on it. Reference 6.7.
 */
bool svmhw_host_writes_doorbell(struct svmhw_core *core, uint64_t value);

/** RDMSR C001_011Bh by the host. False: #GP. */
bool svmhw_host_reads_doorbell(struct svmhw_core *core, uint64_t *value);

/* ---- from outside, any thread ---- */

/** A doorbell for this core. In guest mode it is latched up to the next boundary. In host mode: A20. */
void svmhw_doorbell_arrives(struct svmhw_core *core);

/** A physical event arrives; it stays pending until it is taken. \p vector is that of an INTR; one is held, and the last stays. */
void svmhw_physical_raise(struct svmhw_core *core, enum svmhw_physical event, uint8_t vector);

/** What svmhw_iommu_post() did. */
enum svmhw_posted { SVMHW_POSTED, SVMHW_NOT_POSTED };

/**
 * A device's MSI, remapped by this interrupt remapping table entry in guest mode. SVMHW_NOT_POSTED: the entry is not valid, not in guest
 * mode, or its page does not exist. Reference 9 and 16.8.
 */
enum svmhw_posted svmhw_iommu_post(const struct svmhw_machine *machine, uint64_t irte_low, uint64_t irte_high);

/* ---- the guest's side ---- */

/**
 * An instruction boundary: takes the most important of what is pending and may be taken now, as an exit or as an event.
 * SVMHW_DONE: nothing, the next instruction may run. SVMHW_HALTED: nothing, and the guest is in HLT.
 */
struct svmhw_result svmhw_boundary(struct svmhw_core *core);

/**
 * The next delivery through the IDT is interrupted by an exit with this code and information, as by a nested page fault on
 * the IDT. Stays armed until a delivery meets it.
 */
void svmhw_interrupt_next_delivery(struct svmhw_core *core, uint64_t code, uint64_t info1, uint64_t info2);

/** Data accesses at guest physical address \p gpa; \p bytes is 1, 2, 4 or 8 and stays within a page. Reference 16.4 and 16.5. */
struct svmhw_result svmhw_mmio_read(struct svmhw_core *core, uint64_t gpa, unsigned bytes);
struct svmhw_result svmhw_mmio_write(struct svmhw_core *core, uint64_t gpa, unsigned bytes, uint64_t value);

/** RDMSR and WRMSR. Known: 1Bh, 6E0h, 800h-8FFh, C001_011Bh and whatever the permission map intercepts. */
struct svmhw_result svmhw_rdmsr(struct svmhw_core *core, uint32_t msr);
struct svmhw_result svmhw_wrmsr(struct svmhw_core *core, uint32_t msr, uint64_t value);

/** MOV from and to CR8; \p gpr is the register's number, for the decode assist. Reference 3.1, 3.4 and 16.5. */
struct svmhw_result svmhw_cr8_read(struct svmhw_core *core, unsigned gpr);
struct svmhw_result svmhw_cr8_write(struct svmhw_core *core, unsigned gpr, uint64_t value);

/** Any instruction that is none of the others. */
struct svmhw_result svmhw_nop(struct svmhw_core *core);
struct svmhw_result svmhw_cli(struct svmhw_core *core);
/** Casts a shadow if IF was 0. */
struct svmhw_result svmhw_sti(struct svmhw_core *core);
struct svmhw_result svmhw_mov_ss(struct svmhw_core *core);
struct svmhw_result svmhw_popf(struct svmhw_core *core, bool interrupts_enabled);
/** Ends vNMI blocking. */
struct svmhw_result svmhw_iret(struct svmhw_core *core, bool interrupts_enabled);
/** SVMHW_DONE: the guest sleeps from now on; svmhw_boundary() tells. */
struct svmhw_result svmhw_hlt(struct svmhw_core *core);
struct svmhw_result svmhw_stgi(struct svmhw_core *core);
struct svmhw_result svmhw_clgi(struct svmhw_core *core);

#endif
