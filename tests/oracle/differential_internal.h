/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two machines that are compared, and the files that make up the driver:
 *
 *   differential_machine.c  the configuration, both machines, the host of the library
 *   differential_compare.c  what is compared, and when
 *   differential_numbers.c  destinations out of the bytes
 *   differential_guest.c    operations: register accesses
 *   differential_bus.c      operations: messages, pins, local events, time
 *   differential_core.c     operations: polling, accepting, INIT, RESET, snapshots, run state
 *   differential.c          the sequence
 */
#ifndef TESTS_DIFFERENTIAL_INTERNAL_H
#define TESTS_DIFFERENTIAL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vlapic/vlapic.h>

#include "input.h"
#include "oracle.h"
#include "pick.h"

#define CALLS 32

enum call_kind { CALL_NOTIFY = 1, CALL_BROADCAST, CALL_BASE };

/* A callback of either side. */
struct call {
    enum call_kind kind;
    unsigned cpu;
    uint64_t a, b;
};

struct calls {
    struct call call[CALLS];
    unsigned count;
};

struct machine;

/* A vCPU of the library, and what its host knows about it. */
struct twin {
    struct machine *m;
    unsigned index;
    struct vlapic_cpu *cpu;
    unsigned memory; /* which of its two blocks */
    bool armed_ns, armed_tsc;
    uint64_t deadline;
    bool away;                  /* in the guest or asleep: vlapic_cpu_enter() or _halt() said so */
    bool kicked;                /* since the last poll */
    bool polled;                /* the owner's last call was a poll */
    bool quiet;                 /* and nothing at all happened since */
    struct oracle_duty at_poll; /* what a second poll at once would have said */
    int offered;                /* the vector that the last poll offered, or -1 */
    uint8_t taken;              /* the vector accepted last */
};

struct machine {
    struct fuzz_input in;
    bool tracing;
    unsigned step, unseen, stride;
    struct vlapic_host_ops host;
    struct vlapic_vm_config config;
    struct vlapic_vm *vm;
    struct oracle oracle; /* also the clocks: now_ns, and the TSC of each vCPU */
    uint64_t passed_ns;
    unsigned count;
    struct twin twin[ORACLE_APICS];
    struct calls library, model; /* what each side called in this step */
    bool resends;                /* an I/O APIC whose line stays up: it answers EOI broadcasts */
    struct vlapic_message level_message;
};

/* differential.c: runs the same bytes once more, aloud, and aborts. */
_Noreturn void differential_again(void);

/* differential_machine.c */
void machine_make(struct machine *m);
void machine_end(struct machine *m);
void twin_make(struct machine *m, unsigned index);
struct oracle_message oracle_message_of(const struct vlapic_message *message);

/* differential_compare.c */
void say(const struct machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
void differ(const struct machine *m, unsigned cpu, const char *what, uint64_t oracle, uint64_t library)
    __attribute__((noreturn));
void compare_calls(struct machine *m);
void compare_states(struct machine *m);
void compare_doors(struct machine *m, unsigned cpu);
void compare_doors_fully(struct machine *m, unsigned cpu);
void compare_result(struct machine *m, unsigned cpu, const char *what, enum oracle_result oracle,
                    enum vlapic_access library);
struct oracle_duty duty_now(const struct machine *m, unsigned cpu, bool with_time);
bool has_news(const struct oracle_duty *before, const struct oracle_duty *now);

static inline void same(const struct machine *m, unsigned cpu, const char *what, uint64_t oracle, uint64_t library)
{
    if (oracle != library) {
        differ(m, cpu, what, oracle, library);
    }
}

/* differential_numbers.c */
uint32_t pick_destination(struct machine *m);

/* Operations: of one vCPU, or of the VM. */
typedef void (*operation)(struct machine *m, unsigned cpu);

void op_register_write(struct machine *m, unsigned cpu);
void op_register_read(struct machine *m, unsigned cpu);
void op_mmio_write(struct machine *m, unsigned cpu);
void op_mmio_read(struct machine *m, unsigned cpu);
void op_msr_write(struct machine *m, unsigned cpu);
void op_msr_read(struct machine *m, unsigned cpu);
void op_base(struct machine *m, unsigned cpu);
void op_cr8(struct machine *m, unsigned cpu);
void op_deadline(struct machine *m, unsigned cpu);
void op_icr(struct machine *m, unsigned cpu);
void op_eoi(struct machine *m, unsigned cpu);
void op_seoi(struct machine *m, unsigned cpu);
void op_svr(struct machine *m, unsigned cpu);
void op_lvt(struct machine *m, unsigned cpu);
void op_timer(struct machine *m, unsigned cpu);
void op_tpr(struct machine *m, unsigned cpu);
void op_logical(struct machine *m, unsigned cpu);
void op_esr(struct machine *m, unsigned cpu);
void op_self_ipi(struct machine *m, unsigned cpu);
void op_extended(struct machine *m, unsigned cpu);
void op_start(struct machine *m, unsigned cpu);

void op_post(struct machine *m, unsigned cpu);
void op_msi(struct machine *m, unsigned cpu);
void op_raw_msi(struct machine *m, unsigned cpu);
void op_deliver(struct machine *m, unsigned cpu);
void op_pin(struct machine *m, unsigned cpu);
void op_lvt_event(struct machine *m, unsigned cpu);
void op_lvt_event_all(struct machine *m, unsigned cpu);
void op_pass(struct machine *m, unsigned cpu);
void op_pass_to_expiry(struct machine *m, unsigned cpu);
void op_expired(struct machine *m, unsigned cpu);
void op_tsc(struct machine *m, unsigned cpu);
void pass(struct machine *m, uint64_t ns, bool host_timers);

void op_poll(struct machine *m, unsigned cpu);
void op_serve(struct machine *m, unsigned cpu);
void op_accept(struct machine *m, unsigned cpu);
void op_unaccept(struct machine *m, unsigned cpu);
void op_acknowledge(struct machine *m, unsigned cpu);
void op_take_init(struct machine *m, unsigned cpu);
void op_drop_init(struct machine *m, unsigned cpu);
void op_reset(struct machine *m, unsigned cpu);
void op_bus_link(struct machine *m, unsigned cpu);
void op_enter(struct machine *m, unsigned cpu);
void op_leave(struct machine *m, unsigned cpu);
void op_load(struct machine *m, unsigned cpu);
void op_snapshot_same(struct machine *m, unsigned cpu);
void op_snapshot_fresh(struct machine *m, unsigned cpu);
void op_state(struct machine *m, unsigned cpu);
void op_stride(struct machine *m, unsigned cpu);

#endif
