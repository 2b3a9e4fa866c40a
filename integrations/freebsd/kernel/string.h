/* SPDX-License-Identifier: BSD-2-Clause */
/* The library asks for memcpy, memmove, memset and memcmp by the standard's header, which a FreeBSD kernel has under another name. */
#ifndef VLAPIC_FREEBSD_STRING_H
#define VLAPIC_FREEBSD_STRING_H

#include <sys/param.h>
#include <sys/systm.h>

#endif
