/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of the processor's side of Intel's APIC virtualization: what VMX hardware does between VM entry and VM exit with the
 * virtual-APIC page, the posted-interrupt descriptor and the APIC fields of the VMCS. Slow and obvious, written from the project's
 * reference; the numbers behind "reference" in the sources are its sections. It shares nothing with the library, so that a backend can
 * be run against it. Who calls it plays two parts:
 *
 *   - the VMM (root operation): apicv_vmptrld(), apicv_vmwrite(), apicv_enter(), then looks at the exit with apicv_vmread();
 *   - the guest: one call an instruction (apicv_guest_*), and apicv_boundary() between instructions, where interrupts come in.
 *
 *     struct apicv_cpu cpu;  struct apicv_vmcs vmcs;
 *     apicv_cpu_init(&cpu, apicv_caps_skylake(), &host);      // host.memory finds bytes by physical address
 *     apicv_vmcs_init(&vmcs);
 *     apicv_vmptrld(&cpu, &vmcs);
 *     apicv_vmwrite(&cpu, APICV_PIN_CONTROLS, 0x16 | APICV_PIN_EXTERNAL_INTERRUPT_EXITING);   ...
 *     result = apicv_enter(&cpu);                             // APICV_DONE: in the guest now
 *     result = apicv_guest_write(&cpu, 0xFEE000B0, 4, 0);     // an EOI
 *     if (result.outcome == APICV_EXIT) ...                   // in root operation again; result.exit has what the VMCS has
 *     result = apicv_boundary(&cpu);                          // result.delivered: the vector went through the guest's IDT
 *
 * Every call belongs to the thread that is this logical processor, except apicv_interrupt_arrives(), apicv_nmi_arrives(),
 * apicv_init_arrives(), apicv_sipi_arrives(), which any thread may call at any time. Accesses to the virtual-APIC page and to descriptors are
 * atomic in units of the access; those that the manual calls locked are locked operations, so that other threads may post meanwhile.
 *
 * A call that no processor could be asked for (a guest instruction in root operation, VMWRITE in the guest, an address without memory
 * where the processor needs some) is a mistake of the test: a message, then abort().
 *
 * Not modelled: SMI, machine checks, VMX-preemption timer, APIC-timer virtualization (its fields exist, no more), user interrupts, nested use,
 * pending debug exceptions, MSR-load/store areas, paging of the guest (addresses are guest-physical; host.translate is EPT), TLBs: a change of
 * controls, mappings or EOI-exit bitmap is effective at the next entry. The processor's own local APIC is a set of pending vectors, without
 * priorities against its ISR.
 */
#ifndef TESTS_HW_APICV_H
#define TESTS_HW_APICV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apicv_fields.h"

struct apicv_cpu;

/* ---- capabilities (apicv_caps.c) ---- */

/* Which controls exist: a bit that is 1 may be set to 1 in the control. What must be 1 is the model's: the manual's default-1 class. */
struct apicv_caps {
    uint32_t pin, primary, secondary, exit, entry;
    uint64_t tertiary;
    unsigned physical_bits; /* physical-address width, 32..52 */
    bool true_msrs;         /* IA32_VMX_BASIC bit 55: the TRUE capability MSRs exist */
    bool vmwrite_any;       /* IA32_VMX_MISC bit 29: VMWRITE may write the exit information fields */
};

/* Typical parts; take one and clear bits for others. */
struct apicv_caps apicv_caps_none(void);         /* no TPR shadow, no secondary controls */
struct apicv_caps apicv_caps_core2(void);        /* TPR shadow, APIC accesses */
struct apicv_caps apicv_caps_sandy_bridge(void); /* + x2APIC mode, EPT, VPID */
struct apicv_caps
apicv_caps_skylake(void); /* + register virtualization, virtual-interrupt delivery, posted interrupts */
struct apicv_caps apicv_caps_sapphire_rapids(void); /* + IPI virtualization, APIC-timer virtualization */

/* RDMSR of a capability MSR (enum apicv_capability). False: the MSR does not exist on this part (#GP). */
bool apicv_capability_msr(const struct apicv_caps *caps, uint32_t msr, uint64_t *value);

/* ---- what is around the processor ---- */

enum apicv_trace_kind {
    APICV_TRACE_ENTERED,  /* VM entry complete */
    APICV_TRACE_VMFAIL,   /* a: enum apicv_check */
    APICV_TRACE_EXIT,     /* a: exit reason field, b: exit qualification */
    APICV_TRACE_INJECTED, /* an event of the VM-entry interruption field was delivered; a: vector, b: type */
    APICV_TRACE_VIRTUAL,  /* a virtual interrupt was delivered; a: vector */
    APICV_TRACE_PHYSICAL, /* an external interrupt or NMI went through the guest's IDT without exit; a: vector, b: type */
    APICV_TRACE_EOI,      /* EOI virtualization; a: vector */
    APICV_TRACE_SELF_IPI,   /* self-IPI virtualization; a: vector */
    APICV_TRACE_IPI,        /* IPI virtualization succeeded; a: vector, b: virtual destination */
    APICV_TRACE_POSTED,     /* posted-interrupt processing; a: RVI after it */
    APICV_TRACE_GP,         /* #GP(0) */
    APICV_TRACE_HOST_ACCESS /* the guest reached the host's own APIC or MSR; a: MSR number, 8 for CR8, or a
                                physical address without memory; b: 1 if a write */
};

struct apicv_trace {
    enum apicv_trace_kind kind;
    uint64_t a, b;
};

/* One line without a newline, e.g. "exit 44 qualification 10b0", into a text of at least APICV_TRACE_TEXT bytes. Returns text. */
#define APICV_TRACE_TEXT 80
const char *apicv_trace_text(const struct apicv_trace *trace, char *text);

/* Callbacks; `context` is passed to each. All but `memory` may be NULL. */
struct apicv_host {
    void *context;

    /*
     * The bytes at a physical address, or NULL if there is no memory. Asked for the virtual-APIC page (4096 bytes), the MSR bitmap (4096),
     * a descriptor (64), an entry of the PID-pointer table (8), and by the guest's own accesses outside of the APIC-access page (1..64).
     * They must lie together in memory and be aligned as the physical address is (at least to 64).
     */
    uint8_t *(*memory)(void *context, uint64_t physical_address, size_t bytes);

    /*
     * EPT: false if the guest-physical address is not mapped, which exits with reason 48. *large is set if the mapping is no 4-KiB one. Asked
     * only if "enable EPT" = 1. NULL: all addresses are mapped to themselves by 4-KiB pages.
     */
    bool (*translate)(void *context, uint64_t guest_physical, uint64_t *physical, bool *large);

    /* IPI virtualization sends a notification: to that physical APIC ID (taken out of NDST by the host's APIC mode). NULL: dropped. */
    void (*send_ipi)(void *context, uint32_t destination, uint8_t vector);

    void (*trace)(void *context, const struct apicv_trace *trace);
};

/* ---- where the reference leaves it open: all false and 0 is what it takes as the default ---- */
struct apicv_knobs {
    bool
        read_0b0_300_by_register_virtualization; /* 8.1: VID alone does not virtualize reads of 0B0h and 300h (Bochs) */
    bool self_ipi_msr_stored_on_exit_only;       /* 9.2: WRMSR 83Fh leaves its value at 3F0h only if it exits (Bochs) */
    bool apic_access_length_undefined;           /* 8.5: exits 44 and 48 leave `poison` as the instruction length */
    bool entry_clears_vtpr;                      /* 3: VM entry clears bytes 3:1 of VTPR, even if it then fails */
    bool rmw_exits_as_write;           /* 8.4: what exit 44 calls a read-modify-write whose read is not virtualized */
    bool monitor_exits_as_monitor;     /* 8.5: MONITOR is access type 4, not 0 */
    bool large_page_bypasses;          /* 8: an access by a large page goes straight to the frame */
    bool simd_always_exits;            /* 8.4: FP, SSE and AVX accesses are never virtualized */
    bool nmi_injection_needs_no_sti;   /* 13: NMI injection with blocking by STI fails */
    bool delivery_stores_vppr_byte;    /* 6, 21: delivery leaves bytes 3:1 of VPPR alone */
    bool ipi_virtualization_needs_vid; /* 3, 21: entry fails with IPIv = 1 and VID = 0 (as check 9) */
    uint32_t poison;                   /* what undefined fields hold; apicv_cpu_init() makes it no length there is */
};

/* ---- VMCS (apicv_vmcs.c) ---- */

#define APICV_VMCS_FIELDS 48

/* Members are the model's. */
struct apicv_vmcs {
    uint64_t value[APICV_VMCS_FIELDS];
    const struct apicv_cpu *active_on;
};

enum apicv_vm_status {
    APICV_VM_OK,
    APICV_VM_NO_CURRENT = -1, /* VMfailInvalid */
    APICV_VM_UNSUPPORTED = 12,
    APICV_VM_READ_ONLY = 13
};

/* All fields 0, active nowhere; RFLAGS as after reset. */
void apicv_vmcs_init(struct apicv_vmcs *vmcs);

/* VMCLEAR, VMPTRLD. A VMCS that is active on another processor has to be cleared there first: false, and nothing happens. */
bool apicv_vmclear(struct apicv_cpu *cpu, struct apicv_vmcs *vmcs);
bool apicv_vmptrld(struct apicv_cpu *cpu, struct apicv_vmcs *vmcs);

/*
 * VMREAD, VMWRITE of the current VMCS by encoding (enum apicv_field; | 1 for the high half of a 64-bit field). The status is VM_UNSUPPORTED
 * for what is no field or does not exist on this part, READ_ONLY for exit information. Values are cut to the field's width. In
 * the same place: the status goes into the VM-instruction error field.
 */
enum apicv_vm_status apicv_vmread(struct apicv_cpu *cpu, uint32_t encoding, uint64_t *value);
enum apicv_vm_status apicv_vmwrite(struct apicv_cpu *cpu, uint32_t encoding, uint64_t value);

/* ---- the logical processor ---- */

/* How an access was made (8.4, 8.5). The first five are linear accesses, and their numbers those of the exit qualification. */
enum apicv_access_type {
    APICV_ACCESS_READ = 0,
    APICV_ACCESS_WRITE = 1,
    APICV_ACCESS_FETCH = 2,
    APICV_ACCESS_DELIVERY = 3, /* of event delivery; direction by `write` */
    APICV_ACCESS_MONITOR = 4,
    APICV_ACCESS_GUEST_PHYSICAL_DELIVERY = 10,
    APICV_ACCESS_GUEST_PHYSICAL = 15
};

struct apicv_access {
    enum apicv_access_type type;
    uint64_t address; /* guest-physical */
    uint32_t size;    /* bytes, 1..64 */
    bool write;       /* for types 3, 10 and 15; WRITE and READ say it themselves */
    bool rmw;         /* a READ whose operation will write the same place */
    bool simd;
    bool asynchronous; /* to instruction execution: bit 16 of the qualification */
};

/* The guest's state that matters; loaded at entry, saved at exit, in between the caller's to change. */
struct apicv_guest {
    uint64_t rip;              /* moves by the length of completed instructions; not by events */
    uint64_t rflags;           /* IF and RF are used */
    uint32_t interruptibility; /* APICV_BLOCKING_* */
    enum apicv_activity activity;

    /* Not in the VMCS of this model; kept over exits. */
    unsigned cpl; /* apicv_cpu_init(): 0 */
    uint32_t
        instruction_length; /* of every instruction that comes (0: an iteration of REP that is not the last); init: 3 */

    /* The access that delivery of an event through the IDT makes (its stack push), if any; type DELIVERY or GUEST_PHYSICAL_DELIVERY. */
    bool delivery_accesses;
    struct apicv_access delivery_access;
};

/* The operation under way: an instruction, an iteration, a delivery (8.1, 8.2). The model's. */
struct apicv_operation {
    bool open, wrote;
    bool delivering; /* of the event below */
    uint32_t offset, size;
    uint32_t event, error_code; /* as the IDT-vectoring fields */
};

struct apicv_cpu {
    struct apicv_caps caps;
    struct apicv_knobs knobs;
    const struct apicv_host *host;
    bool host_x2apic; /* mode of the processor's own APIC; apicv_cpu_init(): true */

    struct apicv_vmcs *current;
    bool in_guest;
    struct apicv_guest guest;

    /* Registers of the processor in the guest (reference 5, 6); the VMCS has them at exits. For tests to look at. */
    uint8_t rvi, svi;
    bool recognised;

    uint64_t physical_eois; /* written by posted-interrupt processing (10, step 4) */
    uint64_t arrived[4];    /* external interrupts not yet acknowledged: atomic, any thread */
    uint32_t arrived_other; /* NMI, INIT, SIPI with its vector: atomic, any thread */
    struct apicv_operation operation;
};

/* The host's callbacks must outlive the processor. In root operation, no current VMCS, knobs at their defaults. */
void apicv_cpu_init(struct apicv_cpu *cpu, struct apicv_caps caps, const struct apicv_host *host);

/* ---- results ---- */

enum apicv_outcome {
    APICV_DONE, /* the instruction completed, or the boundary passed; or entered */
    APICV_GP,   /* #GP(0), nothing changed; the caller delivers it, or goes on */
    APICV_HOST_ACCESS, /* the instruction completed on the host's own APIC or MSR. No VMM may let that happen to an APIC MSR or CR8 */
    APICV_EXIT,  /* in root operation; `exit` has the details */
    APICV_VMFAIL /* of apicv_enter(): still in root operation; `check`, `instruction_error` */
};

/* Reference 3, by its numbers; then the ones that its text has. */
enum apicv_check {
    APICV_CHECK_NONE = 0,
    APICV_CHECK_VIRTUAL_APIC_ADDRESS = 1,
    APICV_CHECK_NEEDS_TPR_SHADOW = 2,
    APICV_CHECK_THRESHOLD_RESERVED = 3,
    APICV_CHECK_THRESHOLD_ABOVE_VTPR = 4,
    APICV_CHECK_APIC_ACCESS_ADDRESS = 5,
    APICV_CHECK_X2APIC_AND_APIC_ACCESSES = 6,
    APICV_CHECK_VID_NEEDS_EXTERNAL_INTERRUPT_EXITING = 7,
    APICV_CHECK_POSTED_INTERRUPTS = 8,
    APICV_CHECK_PID_TABLE = 9,
    APICV_CHECK_VIRTUAL_NMIS = 10,
    APICV_CHECK_NMI_WINDOW = 11,
    APICV_CHECK_CONTROLS = 12,           /* 1: a bit that must be 1 is 0, or one that must be 0 is 1 */
    APICV_CHECK_ENTRY_INTERRUPTION = 13, /* 2: reserved bits or an impossible type and vector in 4016h */
    APICV_CHECK_MSR_BITMAP_ADDRESS = 14  /* 2: a page within the physical-address width */
};

/* What the exit information fields hold. Undefined ones hold knobs.poison. */
struct apicv_exit {
    uint32_t reason; /* of an entry failure with bit 31 */
    uint64_t qualification;
    uint32_t interruption, idt_vectoring;
    uint32_t interruption_error_code, idt_vectoring_error_code;
    uint32_t instruction_length;
    bool trap_like; /* not in the VMCS: the instruction has completed, RIP is the next one */
};

struct apicv_result {
    enum apicv_outcome outcome;
    bool delivered; /* an event went through the guest's IDT (also if an exit came right after it): */
    uint8_t vector;
    enum apicv_event_type type;
    unsigned posted; /* how often posted-interrupt processing took place */
    struct apicv_exit exit;
    enum apicv_check check;
    uint32_t instruction_error;
};

/* ---- VMM: entry (apicv_entry.c) ---- */

/*
 * VMLAUNCH or VMRESUME, whichever is due. VMFAIL with instruction error 7 and the first check that failed (reference 3); EXIT with reason 33 | bit 31
 * if the guest's state does not allow the event to be injected (13); else entered, in the order of 13: PPR virtualization, evaluation, the
 * injected event (delivered, type, vector; an exit of its delivery), and EXIT 43 if TPR is below the threshold right after it.
 * Virtual interrupts and everything else that is pending come with the next apicv_boundary().
 */
struct apicv_result apicv_enter(struct apicv_cpu *cpu);

/* ---- guest: data accesses (apicv_mmio.c) ---- */

/* One instruction that reads, writes, reads and then writes. An access of more than 8 bytes has its value zero-extended. */
struct apicv_result apicv_guest_read(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t *value);
struct apicv_result apicv_guest_write(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t value);
struct apicv_result apicv_guest_or(struct apicv_cpu *cpu, uint64_t address, uint32_t size, uint64_t value); /* RMW */

/* One instruction with a single access of any type; CLFLUSH is a READ, ENTER a WRITE. PREFETCH never exits and is not asked for. */
struct apicv_result apicv_guest_access(struct apicv_cpu *cpu, const struct apicv_access *access, uint64_t *value);

/*
 * Several accesses in one operation: begin, accesses until one exits, then end (not after an exit): only there APIC-write emulation takes place
 * (8.2). _fault() in place of _end(): the operation faults, the fault is delivered without exit, emulation comes after that.
 */
void apicv_operation_begin(struct apicv_cpu *cpu);
struct apicv_result apicv_operation_access(struct apicv_cpu *cpu, const struct apicv_access *access, uint64_t *value);
struct apicv_result apicv_operation_end(struct apicv_cpu *cpu);
struct apicv_result apicv_operation_fault(struct apicv_cpu *cpu, uint8_t vector);

/* ---- guest: other instructions (apicv_msr.c, apicv_cr8.c, apicv_guest.c) ---- */

struct apicv_result apicv_guest_rdmsr(struct apicv_cpu *cpu, uint32_t msr, uint64_t *value);
struct apicv_result apicv_guest_wrmsr(struct apicv_cpu *cpu, uint32_t msr, uint64_t value);

/* gpr: number of the general register, for the exit qualification. */
struct apicv_result apicv_guest_read_cr8(struct apicv_cpu *cpu, unsigned gpr, uint64_t *value);
struct apicv_result apicv_guest_write_cr8(struct apicv_cpu *cpu, unsigned gpr, uint64_t value);

struct apicv_result apicv_guest_hlt(struct apicv_cpu *cpu); /* EXIT 12, or activity HLT */
struct apicv_result
apicv_guest_nop(struct apicv_cpu *cpu); /* ends blocking by STI and MOV SS, as every instruction does */
struct apicv_result apicv_guest_sti(struct apicv_cpu *cpu); /* blocking by STI if IF was 0 */
struct apicv_result apicv_guest_cli(struct apicv_cpu *cpu);
struct apicv_result apicv_guest_mov_ss(struct apicv_cpu *cpu);                    /* blocking by MOV SS */
struct apicv_result apicv_guest_iret(struct apicv_cpu *cpu, bool interrupt_flag); /* sets IF, ends blocking by NMI */

/* Any other instruction that exits unconditionally or by a control that is not modelled (CPUID, VMCALL): fault-like, length defined. */
struct apicv_result apicv_guest_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification);

/* ---- between instructions (apicv_boundary.c) ---- */

/*
 * One instruction boundary; also what a guest that is not active gets. At most one event, by priority: INIT, NMI window, NMI,
 * interrupt window or recognised virtual interrupt, external interrupt. Posted-interrupt processing is no event: what it lets be recognised is
 * delivered by the same call. DONE without `delivered`: nothing came, the next instruction follows (or the guest sleeps on: look
 * at guest.activity). Delivery goes by an interrupt gate: IF is 0 after it.
 */
struct apicv_result apicv_boundary(struct apicv_cpu *cpu);

/* An external interrupt arrives at the processor's APIC, and waits for a boundary or for the host. Any thread. */
void apicv_interrupt_arrives(struct apicv_cpu *cpu, uint8_t vector);
void apicv_nmi_arrives(struct apicv_cpu *cpu);
void apicv_init_arrives(struct apicv_cpu *cpu);
void apicv_sipi_arrives(struct apicv_cpu *cpu, uint8_t vector);

/* The same followed by a boundary, for a processor in the guest. */
struct apicv_result apicv_external_interrupt(struct apicv_cpu *cpu, uint8_t vector);
struct apicv_result apicv_nmi(struct apicv_cpu *cpu);

/* Root operation with interrupts enabled: the host acknowledges the highest pending interrupt. -1: none. A pending NMI: false or true, and taken. */
int apicv_host_takes_interrupt(struct apicv_cpu *cpu);
bool apicv_host_takes_nmi(struct apicv_cpu *cpu);

#endif
