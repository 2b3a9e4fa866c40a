/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's sources want memcpy, memmove, memset and memcmp from <string.h>: in a kernel they are here. */
#include <linux/string.h>
