/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One VM on one backend, with a guest whose every instruction is a call, and an embedder that runs it as docs/PORTING.md says. Two sides
 * that are given the same calls have to show the guest the same: values, faults, interrupts in their order, EOIs.
 *
 *   side.c       the VM, the embedder's part that all backends share
 *   side_soft.c  the soft backend
 *   side_vmx.c   the vmx backend on the hardware model of tests/hw/apicv
 *   side_svm.c   the svm backend on that of tests/hw/svm
 *   side_guest.c registers and code of a hardware side's guest
 *   compare.c    two sides under a random sequence
 */
#ifndef TESTS_BACKEND_SIDE_H
#define TESTS_BACKEND_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <vlapic/vlapic.h>

#define SIDE_CPUS 3
#define SIDE_LOG 64
#define SIDE_MAX_ID 300
/* What the external interrupt controller answers. */
#define SIDE_EXTINT_VECTOR 0x2A

enum side_event_kind {
    SIDE_VECTOR = 1, /* delivered through the IDT */
    SIDE_EXTINT,
    SIDE_NMI,
    SIDE_SMI,
    SIDE_INIT,
    SIDE_SIPI,
    SIDE_BASE,
    SIDE_NOTIFY,
    SIDE_BROADCAST
};

struct side_event {
    enum side_event_kind kind;
    uint64_t value;
};

/* Events in their order; what is more than fits is counted. */
struct side_log {
    unsigned count;
    struct side_event event[SIDE_LOG];
};

enum side_access_kind { SIDE_MMIO_READ, SIDE_MMIO_WRITE, SIDE_RDMSR, SIDE_WRMSR, SIDE_READ_CR8, SIDE_WRITE_CR8 };

struct side_access {
    enum side_access_kind kind;
    uint32_t where;  /* offset in the window, or MSR */
    uint32_t length; /* of MMIO: 1, 2, 4, 8 */
    uint64_t value;  /* written, or read */
};

struct side;

struct side_cpu {
    struct side *side;
    unsigned index;
    struct vlapic_cpu *cpu;
    struct side_log log;
    bool interrupts;     /* IF */
    bool halted;         /* the guest has executed HLT */
    bool waits_for_sipi; /* it executes nothing */
    bool kicked;
    /* pending in the core of the vCPU */
    bool nmi, extint_message, extint;
    bool armed_ns, armed_tsc;
    uint64_t deadline;
    /* of hardware sides */
    void *hardware;
};

struct side_kind {
    const char *name;
    /* Backend and its settings into side->config. */
    void (*prepare)(struct side *side);
    void (*pages)(struct side_cpu *cpu, struct vlapic_page *pages, uint32_t count);
    void (*start)(struct side_cpu *cpu);
    void (*end)(struct side_cpu *cpu);
    /* One instruction of a guest that can execute. */
    enum vlapic_access (*access)(struct side_cpu *cpu, struct side_access *access);
    void (*set_interrupts)(struct side_cpu *cpu, bool on);
    void (*halt)(struct side_cpu *cpu);
    /* Everything that is pending and can be taken now, is. */
    void (*settle)(struct side_cpu *cpu);
    /* Out of the guest, so that the state can be read. */
    void (*leave)(struct side_cpu *cpu);
    void (*kick)(struct side_cpu *cpu);
    /* What an embedder may do at any time. */
    void (*migrate)(struct side_cpu *cpu);
    void (*preempt)(struct side_cpu *cpu);
    void (*inhibit)(struct side *side, bool on);
};

struct side {
    const struct side_kind *kind;
    uint32_t features; /* of hardware sides: which may be used; see levels.h, side_svm.h */
    struct vlapic_host_ops host;
    struct vlapic_vm_config config;
    struct vlapic_vm *vm;
    struct vlapic_vectors watch; /* EOIs that go into the log */
    struct side_log log;
    struct side_cpu cpu[SIDE_CPUS];
    unsigned count;
    uint32_t id[SIDE_CPUS];
    uint64_t now_ns;
    bool resends; /* an I/O APIC whose line stays up answers EOI broadcasts */
    struct vlapic_message level_message;
    void *memory[1 + SIDE_CPUS];
};

extern const struct side_kind side_soft;
extern const struct side_kind side_vmx;
extern const struct side_kind side_svm;

/* Fills kind, host and a default config; then the caller changes config, watch, id, count, and calls side_start(). */
void side_prepare(struct side *side, const struct side_kind *kind);
void side_start(struct side *side);
void side_end(struct side *side);

/* The guest. DONE for what a vCPU does that cannot execute now: nothing. */
enum vlapic_access side_do(struct side *side, unsigned cpu, struct side_access *access);
uint32_t side_read(struct side *side, unsigned cpu, uint32_t offset); /* through the open door */
enum vlapic_access side_write(struct side *side, unsigned cpu, uint32_t offset, uint64_t value);
enum vlapic_access side_wrmsr(struct side *side, unsigned cpu, uint32_t msr, uint64_t value);
void side_interrupts(struct side *side, unsigned cpu, bool on);
void side_halt(struct side *side, unsigned cpu);
/* Every vCPU takes what it can, until nothing is left to take. */
void side_settle(struct side *side);
void side_pass(struct side *side, uint64_t ns);
bool side_can_execute(const struct side *side, unsigned cpu);

/* For the kinds. */
void side_log(struct side_log *log, enum side_event_kind kind, uint64_t value);
/* Polls, and does what concerns the core: INIT, SIPI, SMI, NMI. */
void side_poll(struct side_cpu *cpu, struct vlapic_poll *duty);
_Noreturn void side_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
