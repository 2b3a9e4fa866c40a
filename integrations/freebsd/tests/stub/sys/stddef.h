/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_STDDEF_H
#define STUB_SYS_STDDEF_H

#define offsetof(type, member) __builtin_offsetof(type, member)

#endif
