/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM on the svm backend whose VMCBs are plain pages: the test plays hardware, and sees each field, table entry and call of the
 * backend. svm_bed_hardware() puts cores of tests/hw/svm under it. One VM at a time.
 */
#ifndef TESTS_BACKEND_SVM_BED_H
#define TESTS_BACKEND_SVM_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include <vlapic/svm_run.h>
#include <vlapic/vlapic.h>

#include "svmhw.h"
#include "svmhw_vmcb.h"

#define BED_CPUS 4
#define BED_CORES 8
#define BED_EVENTS 256
#define BED_PAGE 4096u
#define BED_TABLE_PAGES 8
#define BED_EXTINT 0x2A
#define BED_RIP 0x1000u

#define BED_AVIC ((uint32_t)VLAPIC_SVM_AVIC)
#define BED_X2AVIC (BED_AVIC | VLAPIC_SVM_X2AVIC)
#define BED_ALL ((uint32_t)VLAPIC_SVM_DEFAULT_FEATURES)

#define BED_VALID SVMHW_ENTRY_VALID
#define BED_RUNNING SVMHW_ENTRY_RUNNING

/* Calls of the backend and the core, in their order. */
enum bed_kind {
    BED_KICK = 1,
    BED_DOORBELL,  /* value: APIC ID */
    BED_RUNS,      /* the op `running`; value: APIC ID, entry: that of the physical table at the time */
    BED_PUT,       /* ... not running */
    BED_BLOCKED,   /* ... not running, and to be woken */
    BED_BROADCAST, /* value: vector; cpu is not told */
    BED_NOTIFY,    /* value: vector, and 100h for level */
    BED_ACKNOWLEDGE
};

struct bed_event {
    enum bed_kind kind;
    unsigned cpu;
    uint64_t value;
    uint64_t entry;
};

struct bed_cpu {
    unsigned index;
    struct vlapic_cpu *cpu;
    void *memory;
    uint8_t *vmcb;
    uint32_t *page;
    uint8_t *msr_map;
    uint64_t page_pa, vmcb_pa;
    uint32_t core; /* physical APIC ID of the one that it is on */
    /* The guest. */
    uint64_t reg[16];
    uint8_t code[15];
    size_t code_bytes;
    enum vlapic_decode_mode mode;
    struct vlapic_svm_guest guest; /* the test's to set; it starts with IF = 1 and nothing pending */
    struct vlapic_poll duty;       /* of the last poll */
    struct vlapic_svm_entry entry; /* of the last entry */
    uint32_t length;               /* of the last exit */
};

struct bed {
    struct vlapic_host_ops host;
    struct vlapic_vm_config config;
    struct vlapic_svm_ops ops;
    struct vlapic_svm_config svm;
    struct vlapic_vm *vm;
    void *memory;
    struct bed_cpu cpu[BED_CPUS];
    unsigned count;
    uint32_t id[BED_CPUS];
    uint64_t *physical;
    uint32_t *logical;
    unsigned events;
    unsigned events_at_poll; /* of the last entry: a kick that came later ends it */
    struct bed_event event[BED_EVENTS];
    uint64_t now_ns;
    /* Called by the op `running`, to act between the steps of the backend. */
    void (*on_running)(struct bed_cpu *cpu, enum bed_kind kind);
    /* The hardware, if asked for. */
    bool has_hardware;
    struct svmhw_machine machine;
    struct svmhw_core cores[BED_CORES];
};
extern struct bed bed;

/* Everything that hardware can do is there; these features may be used. Then the test changes bed.config, .host, .ops, .svm, .id, and starts. */
void bed_prepare(uint32_t features);
/* `count` vCPUs, each attached, software-enabled in xAPIC mode, loaded; nothing in the record of events. */
void bed_start(unsigned count);
void bed_make_vm(void);
void bed_make_cpu(unsigned cpu);
void bed_end(void);
/* For group teardowns and test teardowns: a failed test leaves nothing behind. */
int bed_teardown(void **state);

/* --- the model's doors, before the guest runs --- */
void bed_write(unsigned cpu, uint32_t offset, uint32_t value);
uint32_t bed_read(unsigned cpu, uint32_t offset);
void bed_x2apic(unsigned cpu);
void bed_set_base(unsigned cpu, uint64_t mode); /* EN and EXTD */

/* --- the run loop --- */
/* Polls, as often as vlapic_svm_enter() says so. */
void bed_enter(unsigned cpu);
/* An exit with this code; RIP stays where it is. */
enum vlapic_svm_result bed_exit(unsigned cpu, uint32_t code, uint64_t info1, uint64_t info2);
/* The exit of a physical interrupt. */
void bed_leave(unsigned cpu);
/* In and out. */
void bed_round(unsigned cpu);
/* What a poll would offer. */
int bed_pending(unsigned cpu);

/* --- what hardware does --- */
uint64_t bed_get(unsigned cpu, uint32_t offset, unsigned bytes);
void bed_set(unsigned cpu, uint32_t offset, unsigned bytes, uint64_t value);
void bed_set_bit(unsigned cpu, uint32_t base, uint8_t vector);
bool bed_bit(unsigned cpu, uint32_t base, uint8_t vector);
/* The guest writes the register in AVIC: the page has it, 402h says so. */
enum vlapic_svm_result bed_trap(unsigned cpu, uint32_t offset, uint32_t value);
enum vlapic_svm_result bed_fault(unsigned cpu, uint32_t offset, bool write);
/* 401h for this ICR, which is in the page. */
enum vlapic_svm_result bed_incomplete(unsigned cpu, uint32_t id, uint32_t high, uint32_t low);
void bed_code(unsigned cpu, const void *bytes, size_t count);

/* --- looking --- */
#define bed_control(cpu) bed_get((cpu), SVMHW_VINTR_CONTROL, 8)
#define bed_injected(cpu) bed_get((cpu), SVMHW_EVENTINJ, 8)
bool bed_uses_avic(unsigned cpu);
uint64_t bed_physical(uint32_t id);
void bed_forget(void);
unsigned bed_count(enum bed_kind kind, unsigned cpu);
/* The nth event of the record has to be of this kind. */
const struct bed_event *bed_event_at(unsigned n, enum bed_kind kind);

/* --- on hardware --- */
void bed_hardware(void);
/* VMRUN on the core where the vCPU is, after bed_enter(). */
struct svmhw_result bed_vmrun(unsigned cpu);
struct svmhw_core *bed_core(unsigned cpu);
void bed_migrate(unsigned cpu, uint32_t core);

#endif
