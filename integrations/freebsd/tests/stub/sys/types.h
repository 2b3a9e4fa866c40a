/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name: what the library and the glue use of it, for a 64-bit kernel. */
#ifndef STUB_SYS_TYPES_H
#define STUB_SYS_TYPES_H

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned long uintptr_t;
typedef unsigned long size_t;
typedef int64_t sbintime_t;

#define bool _Bool
#define true 1
#define false 0

#endif
