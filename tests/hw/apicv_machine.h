/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the APIC-virtualization model have around it: two processors, a VMCS each, some memory, a VMM that sets controls.
 */
#ifndef TESTS_HW_APICV_MACHINE_H
#define TESTS_HW_APICV_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apicv.h"

#define CPUS 2

/* Physical addresses. */
#define MEMORY_BASE 0x10000ull
#define MEMORY_PAGES 8
#define PAGE_PA(cpu) (MEMORY_BASE + 0x1000ull * (cpu)) /* virtual-APIC pages */
#define BITMAP_PA (MEMORY_BASE + 0x2000)
#define TABLE_PA (MEMORY_BASE + 0x3000)                           /* PID-pointer table */
#define DESCRIPTOR_PA(cpu) (MEMORY_BASE + 0x4000 + 64ull * (cpu)) /* posted-interrupt descriptors */
#define FRAME_PA (MEMORY_BASE + 0x5000) /* APIC-access page; ordinary memory before and behind it */
#define RAM_PA (MEMORY_BASE + 0x6000)
#define APIC_GPA 0xFEE00000ull /* mapped to FRAME_PA where EPT is on */

#define NOTIFICATION 0xF2

/* Which controls are 1, on top of those that must be; the activating bits follow from the groups. */
struct controls {
    uint32_t pin, primary, secondary, exit;
    uint64_t tertiary;
};

struct machine {
    uint8_t memory[MEMORY_PAGES * 4096] __attribute__((aligned(4096)));
    struct apicv_host host;
    struct apicv_cpu cpu[CPUS];
    struct apicv_vmcs vmcs[CPUS];
    unsigned ipis; /* sent, and the last one: */
    uint32_t ipi_destination;
    uint8_t ipi_vector;
    bool unmapped; /* EPT has nothing for APIC_GPA */
    bool large;    /* or a large page */
    unsigned traced;
    struct apicv_trace trace[16];
};

/* Memory 0 but for the MSR bitmap, which lets everything exit; the addresses and the notification vector are in the VMCSs. */
void machine_start(struct machine *m, struct apicv_caps caps);
void machine_controls(struct machine *m, unsigned cpu, struct controls controls);

/* For most tests: cpu 0 with these controls, in the guest, IF = 1. */
struct apicv_cpu *machine_enter(struct machine *m, struct apicv_caps caps, struct controls controls);

uint8_t *machine_at(struct machine *m, uint64_t physical_address);
uint32_t page_get(struct machine *m, unsigned cpu, uint32_t offset);
void page_put(struct machine *m, unsigned cpu, uint32_t offset, uint32_t value);
bool page_has(struct machine *m, unsigned cpu, uint32_t base, uint8_t vector); /* base: 100h ISR, 200h IRR */
void page_add(struct machine *m, unsigned cpu, uint32_t base, uint8_t vector);

uint64_t vmcs_get(struct apicv_cpu *cpu, uint32_t encoding);
void vmcs_put(struct apicv_cpu *cpu, uint32_t encoding, uint64_t value);

/* The descriptor as a poster sees it. */
void descriptor_post(struct machine *m, unsigned cpu, uint8_t vector);
bool descriptor_has(struct machine *m, unsigned cpu, uint8_t vector);
uint64_t *descriptor_control(struct machine *m, unsigned cpu);

void pass_msr(struct machine *m, uint32_t msr, bool read, bool write); /* not intercepted, that is */

/* ---- claims about results ---- */
void is_done(struct apicv_result result);
void is_gp(struct apicv_result result);
void is_exit(struct apicv_cpu *cpu, struct apicv_result result, uint32_t reason, uint64_t qualification);
void is_delivered(struct apicv_result result, uint8_t vector);
void is_nothing(struct apicv_result result); /* done, and nothing was delivered */

#endif
