/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands for FreeBSD's header of this name. */
#ifndef STUB_SYS_ERRNO_H
#define STUB_SYS_ERRNO_H

#define EINVAL 22
#define ENOSPC 28

#endif
