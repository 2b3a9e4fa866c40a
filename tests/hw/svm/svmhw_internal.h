/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the model share. Each group names the file that has it. */
#ifndef TESTS_SVMHW_INTERNAL_H
#define TESTS_SVMHW_INTERNAL_H

#include "svmhw.h"
#include "svmhw_vmcb.h"

#define SVMHW_NO_VECTOR 0x100u
#define SVMHW_PAGE_BYTES 4096u

/* Registers in the backing page: reference 4.2. */
enum {
    SVMHW_REG_ID = 0x020,
    SVMHW_REG_TPR = 0x080,
    SVMHW_REG_PPR = 0x0A0,
    SVMHW_REG_EOI = 0x0B0,
    SVMHW_REG_DFR = 0x0E0,
    SVMHW_REG_ISR = 0x100,
    SVMHW_REG_TMR = 0x180,
    SVMHW_REG_IRR = 0x200,
    SVMHW_REG_ICR = 0x300,
    SVMHW_REG_ICR_HIGH = 0x310,
    SVMHW_REG_SELF_IPI = 0x3F0
};

/* ---- svmhw_core.c ---- */
bool svmhw_plays(const struct svmhw_core *core, unsigned ambiguity, unsigned reading);
void svmhw_tell(struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b);
/* #GP(0), or its intercept. */
struct svmhw_result svmhw_gp(struct svmhw_core *core);

/* ---- svmhw_memory.c ---- */
/* Whether the range lies below the supported physical-address width. */
bool svmhw_in_range(const struct svmhw_machine *machine, uint64_t pa, uint64_t bytes);
/* The memory there, or NULL. */
uint8_t *svmhw_memory(const struct svmhw_machine *machine, uint64_t pa, size_t bytes);
/* Little-endian fields of 1, 2, 4 or 8 bytes. */
uint64_t svmhw_get(const uint8_t *at, unsigned bytes);
void svmhw_put(uint8_t *at, unsigned bytes, uint64_t value);

/* ---- svmhw_page.c: registers of a backing page, 32 bits each ---- */
uint32_t svmhw_page_read(const uint8_t *page, uint32_t offset);
void svmhw_page_write(uint8_t *page, uint32_t offset, uint32_t value);
/* Of the 256-bit registers at ISR, TMR and IRR. */
bool svmhw_vector_test(const uint8_t *page, uint32_t base, unsigned vector);
void svmhw_vector_set(uint8_t *page, uint32_t base, unsigned vector);
/* False: it was not set. */
bool svmhw_vector_clear(uint8_t *page, uint32_t base, unsigned vector);
/* The highest that is set, or SVMHW_NO_VECTOR. */
unsigned svmhw_vector_top(const uint8_t *page, uint32_t base);

/* ---- svmhw_clean.c: VMCB fields as the core sees them ---- */
enum svmhw_cached_field {
    SVMHW_C_CR,
    SVMHW_C_EXCEPTIONS,
    SVMHW_C_WORD_3,
    SVMHW_C_WORD_4,
    SVMHW_C_WORD_5,
    SVMHW_C_IOPM,
    SVMHW_C_MSRPM,
    SVMHW_C_ASID,
    SVMHW_C_VINTR,
    SVMHW_C_AVIC_ENABLE,
    SVMHW_C_NP,
    SVMHW_C_N_CR3,
    SVMHW_C_CR0,
    SVMHW_C_CPL,
    SVMHW_C_APIC_BAR,
    SVMHW_C_BACKING_PAGE,
    SVMHW_C_LOGICAL_TABLE,
    SVMHW_C_PHYSICAL_TABLE,
    SVMHW_C_COUNT
};
_Static_assert(SVMHW_C_COUNT <= sizeof((struct svmhw_cached_vmcb){ 0 }.value) / sizeof(uint64_t), "all fields fit");
void svmhw_load_fields(struct svmhw_core *core);
uint64_t svmhw_field(const struct svmhw_core *core, enum svmhw_cached_field field);
/* The intercept with this exit code. */
bool svmhw_intercepts(const struct svmhw_core *core, unsigned exitcode);
bool svmhw_has_avic(const struct svmhw_core *core);
bool svmhw_has_x2avic(const struct svmhw_core *core);
bool svmhw_v_intr(const struct svmhw_core *core, uint64_t bit);
uint32_t svmhw_max_index(const struct svmhw_core *core);
bool svmhw_nested_paging(const struct svmhw_core *core);

/* ---- svmhw_checks.c ---- */
bool svmhw_vmcb_is_legal(struct svmhw_core *core);

/* ---- svmhw_exit.c ---- */
enum svmhw_nrip { SVMHW_NRIP_ZERO, SVMHW_NRIP_VALID, SVMHW_NRIP_STALE };
struct svmhw_exit {
    uint64_t code;
    uint64_t info1, info1_defined; /* bits that have a meaning */
    uint64_t info2, info2_defined;
    uint64_t exitintinfo;
    enum svmhw_nrip nrip;
    uint64_t next_rip;
    bool shows_instruction;
};
struct svmhw_result svmhw_exits(struct svmhw_core *core, const struct svmhw_exit *exit);
struct svmhw_result svmhw_refuses(struct svmhw_core *core);
/* An exit without information at the current RIP. */
struct svmhw_result svmhw_plain_exit(struct svmhw_core *core, uint64_t code);
/* An intercepted instruction: RIP at it, nRIP behind it. */
struct svmhw_result svmhw_instruction_exit(struct svmhw_core *core, uint64_t code, uint64_t info1,
                                           uint64_t info1_defined);
/* 402h before the access. */
struct svmhw_result svmhw_noaccel_fault(struct svmhw_core *core, uint32_t offset, bool write);
/* 402h after the access: RIP has moved already. */
struct svmhw_exit svmhw_noaccel_trap(const struct svmhw_core *core, uint32_t offset);
struct svmhw_exit svmhw_noaccel_eoi(const struct svmhw_core *core, uint8_t vector);
struct svmhw_exit svmhw_incomplete_ipi(const struct svmhw_core *core, uint64_t icr, unsigned id, uint32_t index);

/* ---- svmhw_priority.c ---- */
void svmhw_ppr_update(struct svmhw_core *core);
void svmhw_reconcile_at_vmrun(struct svmhw_core *core);
/* What IRR offers and the priorities let through, or SVMHW_NO_VECTOR. */
unsigned svmhw_deliverable(const struct svmhw_core *core);

/* ---- svmhw_boundary.c ---- */
/* False: something was taken, *result tells; the instruction does not run. */
bool svmhw_begins(struct svmhw_core *core, struct svmhw_result *result);
/* The instruction is done: RIP moves, the shadow ends. */
void svmhw_retires(struct svmhw_core *core);
/* The same, then the result SVMHW_DONE. */
struct svmhw_result svmhw_done(struct svmhw_core *core, uint64_t value);
/* Through the IDT, unless an exit interrupts it; event as in EVENTINJ. */
struct svmhw_result svmhw_delivers(struct svmhw_core *core, uint64_t event);
/* IF, the shadow or the virtual GIF opened. */
void svmhw_gate_opened(struct svmhw_core *core);
bool svmhw_v_gif_allows(const struct svmhw_core *core);

/* ---- svmhw_access_table.c: reference 5.1 ---- */
enum svmhw_class {
    SVMHW_CLASS_UNLISTED,
    SVMHW_CLASS_ALLOWED,
    SVMHW_CLASS_FAULT,
    SVMHW_CLASS_TRAP,
    SVMHW_CLASS_TPR,
    SVMHW_CLASS_EOI,
    SVMHW_CLASS_ICR,
    SVMHW_CLASS_SELF_IPI
};
enum svmhw_class svmhw_access_class(const struct svmhw_core *core, uint32_t offset, bool write);

/* ---- svmhw_register.c: an access that the table lets through or not; page is where data goes ---- */
struct svmhw_result svmhw_register_read(struct svmhw_core *core, const uint8_t *page, uint32_t offset);
struct svmhw_result svmhw_register_write(struct svmhw_core *core, uint8_t *page, uint32_t offset, uint64_t value);
/* A store to TPR, by any door. */
void svmhw_tpr_write(struct svmhw_core *core, uint8_t *page, uint32_t value);

/* ---- svmhw_x2apic_rules.c ---- */
bool svmhw_x2apic_read_faults(const struct svmhw_core *core, uint32_t offset);
bool svmhw_x2apic_write_faults(const struct svmhw_core *core, uint32_t offset, uint64_t value);

/* ---- svmhw_tables.c ---- */
/* Targets of an IPI, in ascending order. `fails` is 0, or the ID of 401h that this target causes. */
struct svmhw_target {
    uint32_t id, report;
    uint64_t entry;
    uint8_t fails;
};
struct svmhw_targets {
    unsigned count;
    struct svmhw_target target[SVMHW_GUEST_IDS];
};
uint64_t svmhw_entry(const struct svmhw_core *core, uint32_t id);
bool svmhw_is_own(const struct svmhw_core *core, const struct svmhw_target *target);
void svmhw_find_targets(struct svmhw_core *core, uint64_t icr, struct svmhw_targets *targets);

/* ---- svmhw_ipi.c ---- */
/* The ICR is in the page. True: *exit is due, once the instruction has retired. */
bool svmhw_ipi(struct svmhw_core *core, uint8_t *page, uint64_t icr, struct svmhw_exit *exit);
bool svmhw_self_ipi(struct svmhw_core *core, uint64_t icr, uint64_t reported, struct svmhw_exit *exit);

/* ---- svmhw_doorbell.c ---- */
void svmhw_doorbell_send(const struct svmhw_machine *machine, struct svmhw_core *sender, uint32_t host_apic_id);

#endif
