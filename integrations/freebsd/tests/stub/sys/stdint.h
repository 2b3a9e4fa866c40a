/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_STDINT_H
#define STUB_SYS_STDINT_H

#include <sys/types.h>

#define UINT8_MAX 0xFF
#define UINT16_MAX 0xFFFF
#define UINT32_MAX 0xFFFFFFFFu
#define UINT64_MAX 0xFFFFFFFFFFFFFFFFul
#define INT32_MAX 0x7FFFFFFF
#define INT64_MAX 0x7FFFFFFFFFFFFFFFl
#define SIZE_MAX UINT64_MAX

#endif
