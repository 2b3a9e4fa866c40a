/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/param.h>
#include <sys/stdint.h>
#include <sys/systm.h>
#include <sys/callout.h>
#include <sys/malloc.h>
#include <sys/time.h>

#include "kernel.h"

/* The C library's: there is no header of it here. */
#undef malloc
#undef free
void *calloc(size_t count, size_t size);
void *malloc(size_t size);
void free(void *memory);

enum { UNKNOWN = 0, IDLE = 1, ARMED = 2, STOPPED = 3 };

static sbintime_t now;
static struct callout *callouts;
static unsigned resets, allocations;
static _Thread_local unsigned critical_depth;

static void may_sleep(const char *what)
{
    if (critical_depth != 0) {
        kernel_fault(what);
    }
}

void kernel_start(void)
{
    now = (sbintime_t)1 << 32;
    callouts = NULL;
    resets = 0;
    allocations = 0;
    critical_depth = 0;
}

/* ---- critical sections ---- */

void kernel_critical_enter(void)
{
    critical_depth++;
}

void kernel_critical_exit(void)
{
    if (critical_depth-- == 0) {
        kernel_fault("critical_exit() without critical_enter()");
    }
}

unsigned kernel_critical_depth(void)
{
    return critical_depth;
}

int kernel_curcpu(void)
{
    return 0;
}

/* ---- memory ---- */

void *kernel_malloc(size_t size, struct malloc_type *type, int flags)
{
    char *memory;

    (void)type;
    may_sleep("malloc() in a critical section");
    if ((flags & M_WAITOK) == 0 || (flags & M_ZERO) == 0) {
        kernel_fault("malloc() without M_WAITOK and M_ZERO");
    }
    allocations++;
    memory = calloc(1, size + 8);
    return memory != NULL ? memory + 8 : NULL; /* aligned to no more than that */
}

void kernel_free(void *memory, struct malloc_type *type)
{
    (void)type;
    may_sleep("free() in a critical section");
    if (memory != NULL) {
        allocations--;
        free((char *)memory - 8);
    }
}

unsigned kernel_allocations(void)
{
    return allocations;
}

/* ---- time ---- */

sbintime_t sbinuptime(void)
{
    return now;
}

uint64_t kernel_now_ns(void)
{
    return (uint64_t)sbttons(now);
}

static void must_be_known(const struct callout *callout)
{
    if (callout->state == UNKNOWN) {
        kernel_fault("a callout that is not initialised, or was drained");
    }
}

void callout_init(struct callout *callout, int mpsafe)
{
    if (mpsafe == 0) {
        kernel_fault("a callout under Giant");
    }
    callout->state = IDLE;
    callout->next = callouts;
    callouts = callout;
}

int callout_reset_sbt_on(struct callout *callout, sbintime_t due, sbintime_t precision, void (*function)(void *),
                         void *argument, int cpu, int flags)
{
    int was_armed = callout->state == ARMED;

    (void)precision;
    must_be_known(callout);
    if ((flags & C_ABSOLUTE) == 0) {
        kernel_fault("a relative callout");
    }
    if (cpu != kernel_curcpu()) {
        kernel_fault("a callout on another CPU");
    }
    callout->state = ARMED;
    callout->due = due;
    callout->function = function;
    callout->argument = argument;
    resets++;
    return was_armed;
}

int callout_stop(struct callout *callout)
{
    int was_armed = callout->state == ARMED;

    must_be_known(callout);
    if (was_armed) {
        callout->state = STOPPED;
    }
    return was_armed;
}

int callout_drain(struct callout *callout)
{
    int was_armed = callout->state == ARMED;

    may_sleep("callout_drain() in a critical section");
    must_be_known(callout);
    if (callout->state == STOPPED) {
        callout->function(callout->argument); /* it was under way: draining waits for it */
    }
    callout->state = UNKNOWN;
    for (struct callout **at = &callouts; *at != NULL; at = &(*at)->next) {
        if (*at == callout) {
            *at = callout->next;
            break;
        }
    }
    return was_armed;
}

static struct callout *first_due(sbintime_t until)
{
    struct callout *first = NULL;

    for (struct callout *c = callouts; c != NULL; c = c->next) {
        if (c->state == ARMED && c->due <= until && (first == NULL || c->due < first->due)) {
            first = c;
        }
    }
    return first;
}

static bool run_first(sbintime_t until)
{
    struct callout *c = first_due(until);

    if (c == NULL) {
        return false;
    }
    if (c->due > now) {
        now = c->due;
    }
    c->state = IDLE;
    c->function(c->argument);
    return true;
}

bool kernel_run_next(void)
{
    return run_first(INT64_MAX);
}

void kernel_advance_ns(uint64_t ns)
{
    sbintime_t until = nstosbt((int64_t)(kernel_now_ns() + ns)) + 1;

    while (run_first(until)) {
    }
    now = until;
}

unsigned kernel_armed(void)
{
    unsigned armed = 0;

    for (struct callout *c = callouts; c != NULL; c = c->next) {
        armed += c->state == ARMED;
    }
    return armed;
}

unsigned kernel_resets(void)
{
    return resets;
}

bool kernel_run_stopped(void)
{
    for (struct callout *c = callouts; c != NULL; c = c->next) {
        if (c->state == STOPPED) {
            c->state = IDLE;
            c->function(c->argument);
            return true;
        }
    }
    return false;
}
