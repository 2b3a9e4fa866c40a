/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. The functions have other names here, so that a userspace test can link them. */
#ifndef STUB_SYS_MALLOC_H
#define STUB_SYS_MALLOC_H

#include <sys/types.h>

#define M_NOWAIT 0x0001
#define M_WAITOK 0x0002
#define M_ZERO 0x0100

struct malloc_type {
    const char *name;
};

#define MALLOC_DEFINE(type, name, description) struct malloc_type type[1] = { { name } }

void *kernel_malloc(size_t size, struct malloc_type *type, int flags);
void kernel_free(void *memory, struct malloc_type *type);

#define malloc(size, type, flags) kernel_malloc(size, type, flags)
#define free(memory, type) kernel_free(memory, type)

#endif
