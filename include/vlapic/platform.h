/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the library needs of the compiler: fixed-width types, sizes, booleans, C linkage. Nothing else of a libc is used by
 * the headers; the sources want memcpy, memmove, memset and memcmp from whoever links them.
 *
 * An embedder whose kernel has headers of its own defines VLAPIC_PLATFORM_HEADER (for instance
 * `-DVLAPIC_PLATFORM_HEADER='<my/vlapic_types.h>'`) to a header that supplies bool, size_t, the uintN_t and intN_t types,
 * the UINTN_MAX limits, NULL and offsetof; the three freestanding headers below are then not included.
 */
#ifndef VLAPIC_PLATFORM_H
#define VLAPIC_PLATFORM_H

#ifdef VLAPIC_PLATFORM_HEADER
#include VLAPIC_PLATFORM_HEADER
#else
#ifndef __cplusplus
#include <stdbool.h>
#endif
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
#define VLAPIC_BEGIN_DECLS extern "C" {
#define VLAPIC_END_DECLS }
#else
#define VLAPIC_BEGIN_DECLS
#define VLAPIC_END_DECLS
#endif

#endif
