/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_PARAM_H
#define STUB_SYS_PARAM_H

#include <sys/types.h>

#define NULL ((void *)0)

#endif
