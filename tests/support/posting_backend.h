/* SPDX-License-Identifier: BSD-2-Clause */
/* A backend for tests with `post` and `collect` of its own; otherwise like soft. */
#ifndef TESTS_SUPPORT_POSTING_BACKEND_H
#define TESTS_SUPPORT_POSTING_BACKEND_H

#include <vlapic/backend.h>

extern const struct vlapic_backend posting_backend;

#endif
