/* SPDX-License-Identifier: BSD-2-Clause */
/* All payloads. payloads.c has the table. */
#ifndef EXAMPLES_BAREMETAL_PAYLOADS_H
#define EXAMPLES_BAREMETAL_PAYLOADS_H

#include "../contract.h"
#include <stdbool.h>

struct guest_function {
    void (*run)(void);
    bool x2apic; /* it starts in x2APIC mode */
};
extern const struct guest_payload guest_payloads[];
extern const struct guest_function guest_functions[];

void payload_delivery(void);

#endif
