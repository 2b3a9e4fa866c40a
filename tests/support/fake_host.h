/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host for tests: a settable clock, a record of every callback in order, and a failed test on any callback that the test
 * did not ask for. No real time passes.
 */
#ifndef TESTS_SUPPORT_FAKE_HOST_H
#define TESTS_SUPPORT_FAKE_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include <vlapic/vlapic.h>

enum fake_call_kind {
    FAKE_ARM_NS,
    FAKE_ARM_TSC,
    FAKE_CANCEL,
    FAKE_KICK,
    FAKE_EOI_BROADCAST,
    FAKE_EOI_NOTIFY,
    FAKE_BASE_CHANGED,
    FAKE_CHOOSE_LOWEST,
    FAKE_KIND_COUNT
};

/* One recorded callback. `cpu` is the index of the vCPU in struct fake_vm, or -1 for callbacks of the VM. */
struct fake_call {
    enum fake_call_kind kind;
    int cpu;
    uint64_t a; /* deadline, vector, old value, count */
    uint64_t b; /* level, new value, vector of choose_lowest */
};

struct fake_vm;

struct fake_cpu {
    struct fake_vm *owner;
    struct vlapic_cpu *cpu;
    void *memory;
    /* What the host timer is armed for; the fake host calls vlapic_cpu_timer_expired() as time is advanced. */
    bool armed_ns, armed_tsc;
    uint64_t deadline;
};

#define FAKE_MAX_CALLS 4096

struct fake_vm {
    struct vlapic_vm *vm;
    void *memory;
    struct vlapic_vm_config config;
    struct vlapic_host_ops ops; /* the table in use; a test may change it before fake_vm_start() */
    uint64_t now_ns, now_tsc;   /* set with fake_set_ns/fake_advance_ns/... */
    uint32_t choose_result;     /* what choose_lowest returns */
    struct fake_cpu *cpus;
    unsigned cpu_count;
    struct fake_call calls[FAKE_MAX_CALLS];
    unsigned call_count;
    bool expect
        [FAKE_KIND_COUNT]; /* kinds that may be called; any other fails the test. Default: all but FAKE_CHOOSE_LOWEST */
    /* Hook run inside eoi_broadcast, NULL for none: what an I/O APIC would do. */
    void (*on_eoi_broadcast)(struct fake_vm *f, uint8_t vector);
};

/* The backend of VMs prepared from now on; soft unless a test's main() runs its group on another one too. */
extern const struct vlapic_backend *fake_backend;

/* Fills f->config with the defaults for the vendor, fake_backend, fake ops, max_apic_id 254. choose_lowest is NULL in the table
 * unless the test sets f->ops.choose_lowest = fake_choose_lowest. now_tsc and timer_arm_tsc are there. */
void fake_vm_prepare(struct fake_vm *f, enum vlapic_vendor vendor);
uint32_t fake_choose_lowest(void *vm_cookie, uint8_t vector, uint32_t count);

/* Creates the VM from f->config and attaches `count` vCPUs with the given APIC IDs (NULL: 0, 1, 2, ...); the first is the BSP.
 * Every vCPU is left as after RESET; recorded calls are forgotten. Fails the test if the library refuses. */
void fake_vm_start(struct fake_vm *f, unsigned count, const uint32_t *apic_ids);
/* One more vCPU; returns its index. */
unsigned fake_vm_add_cpu(struct fake_vm *f, uint32_t apic_id);
/* Destroys everything and frees the memory. Checks that no host timer is left armed. */
void fake_vm_stop(struct fake_vm *f);

/* prepare + start with one vCPU, APIC software-enabled (SVR = 1FFh) in xAPIC mode. */
void fake_one_cpu(struct fake_vm *f, enum vlapic_vendor vendor);
/* The same, in x2APIC mode. */
void fake_one_x2apic_cpu(struct fake_vm *f, enum vlapic_vendor vendor);

struct vlapic_cpu *fake_cpu_at(struct fake_vm *f, unsigned index);

/* Clock. advance_* runs the host timers that fall due on the way, in order, at their exact deadlines, and polls nothing. */
void fake_advance_ns(struct fake_vm *f, uint64_t ns);
void fake_advance_tsc(struct fake_vm *f, uint64_t ticks);
/* Sets the clocks without running any timer: a late host. */
void fake_set_ns(struct fake_vm *f, uint64_t ns);
void fake_set_tsc(struct fake_vm *f, uint64_t ticks);

/* Calls recorded. */
unsigned fake_count(const struct fake_vm *f, enum fake_call_kind kind);
const struct fake_call *fake_last(const struct fake_vm *f,
                                  enum fake_call_kind kind); /* fails the test if there is none */
void fake_forget(struct fake_vm *f);

/* Guest accesses that must come to DONE (they fail the test otherwise). */
uint32_t guest_read(struct vlapic_cpu *cpu, uint32_t offset);              /* 4-byte MMIO */
void guest_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value); /* 4-byte MMIO */
uint64_t guest_rdmsr(struct vlapic_cpu *cpu, uint32_t msr);
void guest_wrmsr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value);
/* By offset, in whichever of the two modes the APIC is in. The 64-bit ICR of x2APIC mode: guest_wrmsr. */
uint32_t guest_get(struct vlapic_cpu *cpu, uint32_t offset);
void guest_set(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value);
/* Accesses that must come to #GP. */
void guest_rdmsr_faults(struct vlapic_cpu *cpu, uint32_t msr);
void guest_wrmsr_faults(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value);

/* Modes: puts the APIC into the mode by legal transitions, keeping base and BSP bit. */
void guest_enable_x2apic(struct vlapic_cpu *cpu);
void guest_disable_apic(struct vlapic_cpu *cpu);
void guest_enable_xapic(struct vlapic_cpu *cpu); /* from disabled */
/* SVR := 1FFh. */
void guest_software_enable(struct vlapic_cpu *cpu);

/* Bit of a 256-bit register (VLAPIC_REG_ISR, _TMR, _IRR) as the guest reads it. */
bool guest_bit(struct vlapic_cpu *cpu, uint32_t base, uint8_t vector);
/* Polls and returns duty.vector. */
int poll_vector(struct vlapic_cpu *cpu);
/* Polls, accepts the vector offered and returns it; -1 if there was none. */
int take_vector(struct vlapic_cpu *cpu);
void guest_eoi(struct vlapic_cpu *cpu); /* in either mode */
/* Writes ESR, then reads it: what has been recorded since the last such call. */
uint32_t guest_esr(struct vlapic_cpu *cpu);
/* Sends an ICR in either mode: high is the xAPIC destination in bits 31:24 or the 32-bit x2APIC destination. */
void guest_icr(struct vlapic_cpu *cpu, uint32_t high, uint32_t low);

#endif
