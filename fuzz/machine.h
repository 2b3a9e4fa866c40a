/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small host for fuzzers: a VM of up to four vCPUs made from a few input bytes, in static memory, with virtual clocks. It keeps
 * to the library's contract itself, and checks after each operation what has to hold whatever the guest, the devices and
 * the host's timers do. A broken rule ends the process with a message.
 *
 *   machine.c         memory, description and life of a VM
 *   machine_host.c    callbacks, clocks, the backend
 *   machine_guest.c   what the guest reads, and the priorities
 *   machine_check.c   what has to hold at any time
 *   machine_ops.c     operations that several harnesses use; machine_modes.c: those of modes and reset
 */
#ifndef FUZZ_MACHINE_H
#define FUZZ_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vlapic/vlapic.h>

#include "input.h"

#define MACHINE_CPUS 4u
/* Operations taken from one input: what comes after them tells a fuzzer little and costs time. */
#define MACHINE_MAX_OPS 96u

/* The rules are checked in release builds too, so this is not assert(). */
#define MUST(condition) ((condition) ? (void)0 : machine_fail(__FILE__, __LINE__, #condition))
_Noreturn void machine_fail(const char *file, int line, const char *condition);

enum machine_run { MACHINE_IN_HOST, MACHINE_IN_GUEST, MACHINE_HALTED };

struct machine;

struct machine_cpu {
    struct machine *machine;
    struct vlapic_cpu *cpu;
    uint32_t apic_id;
    bool bsp;
    bool attached;
    enum machine_run run;
    bool kicked;             /* since the last poll */
    struct vlapic_poll duty; /* of the last poll */
    bool init_handed_over;   /* a poll reported an INIT that was not taken yet */
    uint64_t base;           /* as base_changed told it */
    /* The host timer. */
    bool armed_ns, armed_tsc;
    bool armed_exactly;   /* the clock stood still, and had not gone backwards, when it was armed */
    bool expired;         /* the library was told of an expiry, and the owner may not have looked yet */
    uint64_t deadline;    /* what it is armed for */
    uint64_t earliest_ns; /* now and the floor, when it was armed */
    bool line[2];         /* levels of the LINT pins */
    /* What the last EOI came to. */
    int notified_vector;
    bool notified_level;
    /* What the backend was told since the state was last observed, and that state. */
    uint32_t changed;
    bool in_guest; /* by the backend's enter and exit */
    bool observed;
    struct vlapic_cpu_state state;
};

struct machine {
    struct vlapic_vm *vm;
    struct vlapic_vm_config config;
    struct vlapic_host_ops ops;
    uint64_t now_ns, now_tsc;
    uint64_t drift_ns;  /* what each look at the clock adds */
    uint64_t tsc_rate;  /* ticks in a nanosecond */
    uint64_t latest_ns; /* the furthest that the nanosecond clock ever was */
    bool lazy;          /* nothing is looked at between operations, so that the mailbox fills */
    bool watched;       /* a backend with pages that notes what it is told; else the soft backend itself */
    bool bare;          /* mandatory callbacks only */
    bool notified;      /* vCPUs enter once and never exit: see run.h */
    bool chooser;       /* choose_lowest is there */
    bool eager;         /* some host timers go off while they are being armed */
    bool imported;      /* a state came from outside: ESR may hold bits that this model never sets */
    uint32_t choice;    /* what choose_lowest returns */
    unsigned arms;      /* counts timer_arm_*, for `eager` */
    int broadcast;      /* vector of the last eoi_broadcast, -1 if none since the last EOI */
    bool resend;        /* the I/O APIC sends the vector again from within eoi_broadcast */
    unsigned cpu_count; /* at least 1 */
    struct machine_cpu *current;
    struct machine_cpu cpus[MACHINE_CPUS];
    struct machine_cpu twin; /* snapshots are loaded into it; another VM of the same configuration */
    struct vlapic_vm *twin_vm;
};

/* --- life ------------------------------------------------------------------------------------------------------------------ */

/* Makes the VM that the input's first bytes describe, with at most `max_cpus` vCPUs. All zero: one Intel BSP, defaults, all checks on. */
struct machine *machine_start(struct fuzz_input *in, unsigned max_cpus);
/* Checks everything once more, then destroys all objects. */
void machine_stop(struct machine *m);

/* An operation on m->current, its operands taken from the input. */
typedef void machine_op(struct machine *m, struct fuzz_input *in);
/* At most `max_ops`, until the input is used up: a byte's low six bits choose the operation, its upper two the vCPU. */
void machine_run(struct machine *m, struct fuzz_input *in, machine_op *const *ops, unsigned count, unsigned max_ops);

/* The vCPU's thread is in the host now, as after a VM exit. */
struct vlapic_cpu *machine_come_home(struct machine_cpu *c);
/* Comes home and polls. The duties are checked, and that what is new was announced by a kick. */
const struct vlapic_poll *machine_poll(struct machine_cpu *c);
/* True if the owner may call the library: it is not in the guest or asleep. */
bool machine_is_home(const struct machine_cpu *c);

/* Makes a vCPU in RESET state, not attached. */
void machine_create_cpu(struct machine_cpu *c, struct vlapic_vm *vm, uint32_t apic_id, bool bsp);
void machine_destroy_cpu(struct machine_cpu *c);
/* The other VM of the same configuration, made when it is first asked for. */
struct vlapic_vm *machine_twin_vm(struct machine *m);
/* Checks that the result is what the IDs of the other vCPUs ask for. */
void machine_attach_cpu(struct machine_cpu *c);

/* If vCPUs are notified and never exit, this one is in the guest now. */
void machine_enter_for_good(struct machine_cpu *c);

/* --- time ------------------------------------------------------------------------------------------------------------------ */

/* Both clocks go on. The nanosecond clock ends at 2^64 - 1, the TSC wraps. No timer goes off. */
void machine_pass(struct machine *m, uint64_t ns);
/* The host timer goes off, due or not. */
void machine_fire(struct machine_cpu *c);
/* Host timers that are due go off. */
void machine_fire_due(struct machine *m);
/* It went backwards, and has not yet come to where it was. */
bool machine_clock_is_behind(const struct machine *m);

/* --- checks ---------------------------------------------------------------------------------------------------------------- */

/* Takes the state and checks it. To be called only while the vCPU is home. */
const struct vlapic_cpu_state *machine_observe(struct machine_cpu *c);
/* The same, for all that are home, unless the machine is lazy: what operations end with. */
void machine_settle(struct machine *m);
/* Export, import into a twin, export again: the same bytes, state and timer. Not while the clock is behind. */
void machine_check_snapshot(struct machine_cpu *c);
void machine_check_guards(const struct machine *m);
/* An event was accepted for this vCPU just now. */
void machine_check_kick(const struct machine_cpu *c);
/* The vector that the priority rules let through, by the registers as the guest reads them; -1 for none. */
int machine_deliverable(struct machine_cpu *c);
bool machine_may_accept(struct machine_cpu *c, uint8_t vector);
/* Highest vector in service that counts, -1 for none. */
int machine_in_service(struct machine_cpu *c);

bool machine_is_enabled(const struct machine_cpu *c);
bool machine_is_x2apic(const struct machine_cpu *c);
/* A register by its xAPIC offset, in either mode; zero if the APIC is disabled or has no such register. */
uint32_t machine_read(struct machine_cpu *c, uint32_t offset);
void machine_write(struct machine_cpu *c, uint32_t offset, uint32_t value);
bool machine_test_vector(const uint32_t words[8], uint8_t vector);
/* To be called before anything that may end in an EOI: at most one is told of. */
void machine_forget_eoi(struct machine_cpu *c);
/* WRMSR of IA32_APIC_BASE: checks the result, and what the change of mode has to do to the registers. */
void machine_write_base(struct machine_cpu *c, uint64_t value);
bool machine_same_state(const struct vlapic_cpu_state *a, const struct vlapic_cpu_state *b);
/* Every register but the ID is as after RESET. */
void machine_check_reset(const struct vlapic_cpu_state *s);
/* Bits of an LVT entry that this VM has; 0 if it has no such entry. */
uint32_t machine_lvt_bits(const struct vlapic_vm_config *config, uint32_t entry);

/* --- operations ------------------------------------------------------------------------------------------------------------ */

/* The guest: registers in whichever mode, EOI, CR8, IA32_APIC_BASE by legal steps. */
machine_op machine_op_read, machine_op_write, machine_op_eoi, machine_op_cr8, machine_op_mode;
/* The owner. */
machine_op machine_op_poll, machine_op_take, machine_op_accept, machine_op_unaccept, machine_op_acknowledge;
machine_op machine_op_enter, machine_op_take_init, machine_op_drop_init, machine_op_reset, machine_op_snapshot;
/* Others. */
machine_op machine_op_post, machine_op_lint, machine_op_lvt_event, machine_op_msi, machine_op_advance, machine_op_fire;

#endif
