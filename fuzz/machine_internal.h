/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files machine*.c keep among themselves. */
#ifndef FUZZ_MACHINE_INTERNAL_H
#define FUZZ_MACHINE_INTERNAL_H

#include "machine.h"

/* The table of callbacks and the backend, as the flags of the machine ask for. */
void machine_set_host(struct machine *m);
/* A bit of a 256-bit register (VLAPIC_REG_ISR, _TMR, _IRR) as the guest reads it. */
bool machine_has(struct machine_cpu *c, uint32_t base, uint8_t vector);
bool machine_has_ier(const struct vlapic_vm_config *config);
/* The highest vector of a set, -1 if it is empty. */
int machine_highest(const uint32_t words[8]);
/* PPR, with the highest vector in service or -1. */
uint32_t machine_ppr_of(uint32_t tpr, int in_service);

#endif
