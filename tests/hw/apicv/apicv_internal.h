/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the model share. */
#ifndef TESTS_HW_APICV_INTERNAL_H
#define TESTS_HW_APICV_INTERNAL_H

#include "apicv.h"

/* ---- apicv_cpu.c ---- */

/* A mistake of the test. */
_Noreturn void apicv_die(const char *what);

void apicv_emit(struct apicv_cpu *cpu, enum apicv_trace_kind kind, uint64_t a, uint64_t b);
uint8_t *apicv_memory(struct apicv_cpu *cpu, uint64_t physical_address, size_t bytes);
bool apicv_within_width(const struct apicv_cpu *cpu, uint64_t physical_address);
struct apicv_result apicv_result(enum apicv_outcome outcome);

/* ---- apicv_vmcs.c: fields of the current VMCS, without the checks of VMREAD and VMWRITE ---- */
uint64_t apicv_get(const struct apicv_cpu *cpu, enum apicv_field field);
uint32_t apicv_get32(const struct apicv_cpu *cpu, enum apicv_field field);
void apicv_set(struct apicv_cpu *cpu, enum apicv_field field, uint64_t value);

/* Whether a control is 1; those of an inactive group are 0. */
bool apicv_pin(const struct apicv_cpu *cpu, uint32_t control);
bool apicv_primary(const struct apicv_cpu *cpu, uint32_t control);
bool apicv_secondary(const struct apicv_cpu *cpu, uint32_t control);
bool apicv_tertiary(const struct apicv_cpu *cpu, uint64_t control);
bool apicv_virtual_interrupt_delivery(const struct apicv_cpu *cpu);

/* ---- apicv_page.c: the virtual-APIC page; reference 4 to 6 ---- */

/* A trap-like exit to be taken once the instruction or the delivery has completed. */
struct apicv_trap {
    bool exits;
    uint32_t reason;
    uint64_t qualification;
};

uint8_t *apicv_page(struct apicv_cpu *cpu);
uint32_t apicv_page_read(struct apicv_cpu *cpu, uint32_t offset);
void apicv_page_write(struct apicv_cpu *cpu, uint32_t offset, uint32_t value);
void apicv_page_set_vector(struct apicv_cpu *cpu, uint32_t base, uint8_t vector);

void apicv_ppr_virtualization(struct apicv_cpu *cpu);
void apicv_evaluate(struct apicv_cpu *cpu);
struct apicv_trap apicv_tpr_virtualization(struct apicv_cpu *cpu);
struct apicv_trap apicv_eoi_virtualization(struct apicv_cpu *cpu);
void apicv_self_ipi_virtualization(struct apicv_cpu *cpu, uint8_t vector);
uint8_t apicv_take_virtual_interrupt(struct apicv_cpu *cpu); /* 6, "deliver", up to the IDT */

struct apicv_trap apicv_no_trap(void);
struct apicv_trap apicv_write_trap(uint32_t offset); /* APIC-write exit */

/* ---- apicv_ipi.c ---- */
struct apicv_trap apicv_icr_written(struct apicv_cpu *cpu); /* 8.3 */
struct apicv_trap apicv_ipi_virtualization(struct apicv_cpu *cpu, uint8_t vector, uint32_t target);

/* ---- apicv_posted.c ---- */
void apicv_posted_interrupt_processing(struct apicv_cpu *cpu);

/* ---- apicv_mmio.c ---- */
struct apicv_trap apicv_write_emulation(struct apicv_cpu *cpu, const struct apicv_operation *operation);

/* ---- apicv_exit.c ---- */

/* Every exit ends here. */
struct apicv_result apicv_leave(struct apicv_cpu *cpu, struct apicv_exit exit);
struct apicv_result apicv_fault_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification);
struct apicv_result apicv_event_exit(struct apicv_cpu *cpu, uint32_t reason, uint64_t qualification,
                                     uint32_t interruption);

/* The exit if there is one, else `otherwise`. */
struct apicv_result apicv_trap_exit(struct apicv_cpu *cpu, struct apicv_trap trap, struct apicv_result otherwise);

/* ---- apicv_guest.c: frames of instructions ---- */
void apicv_instruction_starts(const struct apicv_cpu *cpu);
void apicv_instruction_completes(struct apicv_cpu *cpu);
struct apicv_result apicv_instruction_gp(struct apicv_cpu *cpu);
struct apicv_result apicv_instruction_reaches_host(struct apicv_cpu *cpu, uint64_t what, bool write);

/* ---- apicv_delivery.c ---- */

/* An event through the guest's IDT; `event` as in the interruption-information fields. */
struct apicv_result apicv_deliver(struct apicv_cpu *cpu, uint32_t event, uint32_t error_code);
uint32_t apicv_event(enum apicv_event_type type, uint8_t vector);
enum apicv_event_type apicv_event_type(uint32_t event);
bool apicv_vector_has_error_code(uint8_t vector);

#endif
