/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's VLAPIC_PLATFORM_HEADER in a FreeBSD kernel: bool, size_t, the fixed-width types with their limits, NULL, offsetof. */
#ifndef VLAPIC_FREEBSD_H
#define VLAPIC_FREEBSD_H

#include <sys/param.h>
#include <sys/stddef.h>
#include <sys/stdint.h>

#endif
