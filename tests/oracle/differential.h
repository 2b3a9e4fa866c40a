/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library and the oracle side by side. Bytes are read as the configuration of a VM and a sequence of operations, both models
 * carry it out, and everything that a guest or an embedder can see is compared. A difference prints the sequence in words, the member
 * and both values, and aborts. Nothing is allocated; the same bytes always do the same.
 */
#ifndef TESTS_DIFFERENTIAL_H
#define TESTS_DIFFERENTIAL_H

#include <stddef.h>
#include <stdint.h>

/* Runs one sequence: at least 32 operations, whatever the size. */
void differential_run(const uint8_t *bytes, size_t size);

/* The same, and says every operation on stderr. */
void differential_trace(const uint8_t *bytes, size_t size);

#endif
