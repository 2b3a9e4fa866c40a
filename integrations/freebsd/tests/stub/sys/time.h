/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name: times are seconds with 32 bits of fraction; both conversions round down. */
#ifndef STUB_SYS_TIME_H
#define STUB_SYS_TIME_H

#include <sys/types.h>

sbintime_t sbinuptime(void);

static inline int64_t sbttons(sbintime_t sbt)
{
    uint64_t fraction = (uint64_t)sbt & 0xFFFFFFFFu;

    return (sbt >> 32) * 1000000000 + (int64_t)(fraction * 1000000000 >> 32);
}

static inline sbintime_t nstosbt(int64_t ns)
{
    uint64_t rest = (uint64_t)ns % 1000000000;

    return (ns / 1000000000 << 32) + (sbintime_t)((rest << 32) / 1000000000);
}

#endif
