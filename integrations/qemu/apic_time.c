/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clocks of the local APIC: QEMU's virtual clock for the one-shot and periodic timer, the guest's TSC for TSC-deadline. Both drive
 * the one QEMUTimer of the APIC.
 */
#include "qemu/osdep.h"
#include "apic_vlapic.h"

/* A deadline is looked at again after this time at the latest, so that a wrong guess of the TSC's rate cannot grow. */
#define LOOK_AGAIN_NS (60 * NANOSECONDS_PER_SECOND)
/* Below this much of measured time the TSC's rate is guessed. */
#define MEASURE_NS (10 * SCALE_MS)
/* The guess, ticks per ns. Higher than any real one: looking too early costs a look, too late would be wrong. */
#define GUESSED_TICKS_PER_NS 8.0

/* Where both clocks stood when they were last set: their rate is measured from here. */
static struct {
    int64_t ns;
    int64_t ticks;
} clock_base;

static int64_t virtual_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

void apic_time_rebase(CPUX86State *env)
{
    clock_base.ns = virtual_ns();
    clock_base.ticks = cpu_get_tsc(env);
}

uint64_t apic_now_ns(void *cookie)
{
    return virtual_ns();
}

uint64_t apic_now_tsc(void *cookie)
{
    ApicVlapic *s = cookie;
    CPUX86State *env = &s->common.cpu->env;

    return cpu_get_tsc(env) + env->tsc_offset;
}

void apic_timer_arm_ns(void *cookie, uint64_t deadline_ns)
{
    ApicVlapic *s = cookie;

    timer_mod(s->common.timer, MIN(deadline_ns, (uint64_t)INT64_MAX));
}

/* TCG has no TSC frequency: it shows the host's counter. So the rate is what both clocks did since they were set. */
static double ticks_per_ns(CPUX86State *env)
{
    int64_t ns = virtual_ns() - clock_base.ns;
    int64_t ticks = (int64_t)cpu_get_tsc(env) - clock_base.ticks;

    return ns >= MEASURE_NS && ticks > 0 ? (double)ticks / ns : GUESSED_TICKS_PER_NS;
}

void apic_timer_arm_tsc(void *cookie, uint64_t deadline_tsc)
{
    ApicVlapic *s = cookie;
    uint64_t now = apic_now_tsc(cookie);
    double wait_ns = deadline_tsc > now ? (deadline_tsc - now) / ticks_per_ns(&s->common.cpu->env) : 0;

    /* The library looks at the TSC when this goes off, and arms again for what is left. */
    timer_mod(s->common.timer, virtual_ns() + 1 + (int64_t)MIN(wait_ns, (double)LOOK_AGAIN_NS));
}

void apic_timer_cancel(void *cookie)
{
    ApicVlapic *s = cookie;

    timer_del(s->common.timer);
}

void apic_timer_expired(void *opaque)
{
    ApicVlapic *s = opaque;

    vlapic_cpu_timer_expired(s->lapic);
}

static bool has_tsc_deadline(CPUX86State *env)
{
    return (env->features[FEAT_1_ECX] & CPUID_EXT_TSC_DEADLINE_TIMER) && env_archcpu(env)->apic_state;
}

/* QEMU migrates the deadline with the CPU, from there. As any access it may find the timer expired: apic_sync() must follow. */
void apic_mirror_tsc_deadline(ApicVlapic *s)
{
    CPUX86State *env = &s->common.cpu->env;
    uint64_t deadline;

    if (has_tsc_deadline(env) &&
        vlapic_cpu_msr_read(s->lapic, VLAPIC_MSR_TSC_DEADLINE, &deadline) == VLAPIC_ACCESS_DONE) {
        env->tsc_deadline = deadline;
    }
}

/* After a load: the CPU's section, which has the deadline, may have come after the APIC's. */
void apic_adopt_tsc_deadline(ApicVlapic *s)
{
    CPUX86State *env = &s->common.cpu->env;

    if (has_tsc_deadline(env) && env->tsc_deadline != 0) {
        vlapic_cpu_msr_write(s->lapic, VLAPIC_MSR_TSC_DEADLINE, env->tsc_deadline);
    }
}

bool apic_vlapic_rdmsr_tsc_deadline(CPUX86State *env, uint64_t *value)
{
    BQL_LOCK_GUARD();

    if (!has_tsc_deadline(env)) {
        return false;
    }
    ApicVlapic *s = APIC_VLAPIC(env_archcpu(env)->apic_state);
    vlapic_cpu_exit(s->lapic);
    enum vlapic_access access = vlapic_cpu_msr_read(s->lapic, VLAPIC_MSR_TSC_DEADLINE, value);
    apic_sync(s);
    return access == VLAPIC_ACCESS_DONE;
}

bool apic_vlapic_wrmsr_tsc_deadline(CPUX86State *env, uint64_t value)
{
    BQL_LOCK_GUARD();

    if (!has_tsc_deadline(env)) {
        return false;
    }
    ApicVlapic *s = APIC_VLAPIC(env_archcpu(env)->apic_state);
    vlapic_cpu_exit(s->lapic);
    enum vlapic_access access = vlapic_cpu_msr_write(s->lapic, VLAPIC_MSR_TSC_DEADLINE, value);
    apic_sync(s);
    return access == VLAPIC_ACCESS_DONE;
}
