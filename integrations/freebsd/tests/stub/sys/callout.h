/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_CALLOUT_H
#define STUB_SYS_CALLOUT_H

#include <sys/types.h>

#define C_ABSOLUTE 0x0200

struct callout {
    struct callout *next;
    sbintime_t due;
    void (*function)(void *);
    void *argument;
    int state;
};

void callout_init(struct callout *callout, int mpsafe);
int callout_reset_sbt_on(struct callout *callout, sbintime_t due, sbintime_t precision, void (*function)(void *),
                         void *argument, int cpu, int flags);
int callout_stop(struct callout *callout);
int callout_drain(struct callout *callout);

int kernel_curcpu(void);
#define callout_reset_sbt_curcpu(callout, due, precision, function, argument, flags)                                   \
    callout_reset_sbt_on(callout, due, precision, function, argument, kernel_curcpu(), flags)

#endif
