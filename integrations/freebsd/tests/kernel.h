/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel that the stub headers promise, as far as the glue uses it, in userspace: a settable clock, callouts, counted
 * allocations and critical sections. What a kernel would panic about is a fault.
 */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include <vlapic/platform.h>

/* The test's: ends it. */
void kernel_fault(const char *what);

/* Before each test. */
void kernel_start(void);

/* The clock starts at a second. Callouts run at their time, in order. */
uint64_t kernel_now_ns(void);
void kernel_advance_ns(uint64_t ns);
/* The clock goes to where the next callout is due, not a tick further, and that one runs. False if none is armed. */
bool kernel_run_next(void);
unsigned kernel_armed(void);
/* How often a callout was reset. */
unsigned kernel_resets(void);
/* A callout that was stopped just as it began to run: it runs now. False if none was. */
bool kernel_run_stopped(void);

/* Of the calling thread. Whoever may sleep inside one is a fault. */
void kernel_critical_enter(void);
void kernel_critical_exit(void);
unsigned kernel_critical_depth(void);

unsigned kernel_allocations(void);

#endif
