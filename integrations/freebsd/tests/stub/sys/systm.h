/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_SYSTM_H
#define STUB_SYS_SYSTM_H

#include <sys/types.h>

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
int memcmp(const void *a, const void *b, size_t count);

#endif
