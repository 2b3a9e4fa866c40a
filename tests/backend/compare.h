/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two backends side by side: bytes are read as the configuration of a VM and a sequence of what a guest, its devices and its embedder do. What
 * the guest sees and what the embedder is told is compared after each step, the whole state after some. A difference is told and aborts.
 */
#ifndef TESTS_BACKEND_COMPARE_H
#define TESTS_BACKEND_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#include "side.h"

/* The soft backend against `kind`, which may use `features`. */
void compare_run(const struct side_kind *kind, uint32_t features, const uint8_t *bytes, size_t size);

/* What the hardware of a kind does otherwise, so that a sequence has to keep away from it. docs/CAPABILITIES.md lists these. */
enum compare_difference {
    COMPARE_NARROW_WRITES = 1,    /* narrow writes of registers are merged, whatever the VM's setting */
    COMPARE_EDGE_AFTER_LEVEL = 2, /* an IPI that hardware delivers, also one to the vCPU itself, leaves TMR alone */
    COMPARE_WHOLE_REGISTERS =
        4, /* accesses not to a whole register, or to none, and reads of the EOI register do as they like */
    COMPARE_RESERVED_BITS = 8 /* TPR, ICR and the EOI register take reserved bits */
};
uint32_t compare_differences(const struct side_kind *kind, uint32_t features);

#endif
