/* SPDX-License-Identifier: BSD-2-Clause */
/* VLAPIC_PLATFORM_HEADER: the types and limits that include/vlapic/platform.h asks for, as Linux has them. */
#ifndef VLAPIC_LINUX_TYPES_H
#define VLAPIC_LINUX_TYPES_H

#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define UINT8_MAX U8_MAX
#define UINT16_MAX U16_MAX
#define UINT32_MAX U32_MAX
#define UINT64_MAX U64_MAX
#define INT8_MAX S8_MAX
#define INT16_MAX S16_MAX
#define INT32_MAX S32_MAX
#define INT64_MAX S64_MAX

#endif
