/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the host supplies: one const table for all vCPUs of a VM. The first argument of every callback is a cookie of the
 * embedder's (of the vCPU, or of the VM, as the parameter's name says). No callback runs under a lock of the library.
 *
 * Which library calls a callback may make:
 *
 * | callback         | runs in                      | may call back into                             |
 * |------------------|------------------------------|------------------------------------------------|
 * | now_ns, now_tsc  | the owner thread             | nothing                                        |
 * | timer_arm_*, timer_cancel | the owner thread    | vlapic_cpu_timer_expired                       |
 * | kick, kick_many  | the thread that posts        | everything ctx_any, of any vCPU; nothing ctx_owner |
 * | eoi_broadcast, eoi_notify | the owner thread    | everything ctx_any, of any vCPU            |
 * | base_changed     | the owner thread             | everything ctx_any, of any vCPU            |
 * | choose_lowest    | the thread that posts        | nothing                                        |
 * | on_cpu_thread    | any                          | nothing                                        |
 */
#ifndef VLAPIC_HOST_H
#define VLAPIC_HOST_H

#include "platform.h"

VLAPIC_BEGIN_DECLS

/** Version of struct vlapic_host_ops. */
#define VLAPIC_HOST_ABI 1u

/** The host's callbacks. None may sleep where the thread that calls the library may not. */
struct vlapic_host_ops {
    /** sizeof(struct vlapic_host_ops) as the embedder compiled it: members beyond it count as NULL. The table is copied. */
    uint32_t size;
    /** VLAPIC_HOST_ABI. */
    uint32_t abi;

    /** The clock behind the one-shot and periodic timer: nanoseconds, monotonic, 64 bits. It stands still while the VM is
     *  paused if the guest is not to see the pause. A value below an earlier one counts as no time passed. Mandatory. */
    uint64_t (*now_ns)(void *cpu_cookie);

    /** See to it that vlapic_cpu_timer_expired() is called once now_ns() has reached \p deadline_ns (same clock). Replaces
     *  whatever was armed. Late is fine, early is harmless (the library looks at the clock and re-arms); if it is
     *  never reported, the expiry takes place at the guest's next look at the timer. Mandatory. */
    void (*timer_arm_ns)(void *cpu_cookie, uint64_t deadline_ns);

    /** Forget the armed deadline. An expiry that is already under way may still arrive: it is harmless. Mandatory. */
    void (*timer_cancel)(void *cpu_cookie);

    /** Duty: the vCPU's owner calls vlapic_cpu_poll() before the vCPU next executes a guest instruction or goes (back) to
     *  sleep. Called only when the run state makes it necessary (see vlapic_cpu_enter()). Must not sleep. Mandatory. */
    void (*kick)(void *cpu_cookie);

    /** An EOI of a vector whose TMR bit is set, and EOI broadcast is not suppressed: hand it to the I/O APICs. By then ISR
     *  is updated, so an I/O APIC may send the vector again from within. It cannot fail: the APIC has gone on. NULL: there is
     *  no I/O APIC. */
    void (*eoi_broadcast)(void *vm_cookie, uint8_t vector);

    /** Every EOI that cleared an ISR bit, with the TMR bit that was used, before eoi_broadcast: for devices that wait for
     *  the EOI of an edge interrupt (timers with tick policies, assigned devices). NULL: nobody listens. */
    void (*eoi_notify)(void *cpu_cookie, uint8_t vector, bool level);

    /** IA32_APIC_BASE changed, by a WRMSR, a RESET or a load, from \p old_value to \p new_value: refresh CPUID.01h:EDX[9]
     *  (clear while EN is 0), MMIO mapping and MSR intercepts. NULL: nothing of the host depends on it. */
    void (*base_changed)(void *cpu_cookie, uint64_t old_value, uint64_t new_value);

    /** The TSC that the guest sees: offset and scaling applied. NULL: there is no TSC-deadline timer; a configuration with
     *  `tsc_deadline` then is invalid. */
    uint64_t (*now_tsc)(void *cpu_cookie);

    /** As timer_arm_ns, for a deadline in guest TSC ticks, handed on as the guest wrote it so that a preemption timer or a
     *  host TSC-deadline timer can be used. NULL only if now_tsc is. */
    void (*timer_arm_tsc)(void *cpu_cookie, uint64_t deadline_tsc);

    /** Replaces the choice among the candidates of a lowest-priority message: returns the number of the chosen one, in the
     *  order of their APIC IDs; \p count is at least 1, a result that is not below it is taken modulo count. NULL: vector
     *  modulo count. */
    uint32_t (*choose_lowest)(void *vm_cookie, uint8_t vector, uint32_t count);

    /** True if the calling thread owns this vCPU. Asked by debug builds only, which trap if the answer is false. NULL:
     *  ownership is not checked. */
    bool (*on_cpu_thread)(void *cpu_cookie);

    /** The duty of `kick` for several vCPUs at once, so that one notification can serve them all: \p count of them, 1..16, by their
     *  cookies. A message to many may call it several times. Must not sleep. NULL: `kick` is called for each. */
    void (*kick_many)(void *vm_cookie, void *const *cpu_cookies, uint32_t count);
};

VLAPIC_END_DECLS

#endif
