/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of payloads, and the image's header. Most payloads run in both modes of the APIC. */
#include "payloads.h"

#define BOTH(X, name, function, cpus, needs)                                                                           \
    X(name, function, false, cpus, needs)                                                                              \
    X(name "_x2", function, true, cpus, (needs) | GUEST_NEEDS_X2APIC)

/* clang-format off */
#define PAYLOADS(X) \
    BOTH(X, "delivery", payload_delivery, 1, 0)
/* clang-format on */

#define DESCRIPTION(name, function, x2apic, cpus, needs) { name, cpus, needs },
#define FUNCTION(name, function, x2apic, cpus, needs) { function, x2apic },

const struct guest_payload guest_payloads[] = { PAYLOADS(DESCRIPTION) };
const struct guest_function guest_functions[] = { PAYLOADS(FUNCTION) };

/* Symbols: the last two have their values for addresses. */
extern char guest_entry[], guest_ap_entry[], image_file_bytes[], image_memory_bytes[];

const struct guest_header guest_header __attribute__((section(".header"), used)) = {
    .magic = GUEST_MAGIC,
    .payload_count = sizeof(guest_payloads) / sizeof(guest_payloads[0]),
    .entry = (uint64_t)guest_entry,
    .ap_entry = (uint64_t)guest_ap_entry,
    .file_bytes = (uint64_t)image_file_bytes,
    .memory_bytes = (uint64_t)image_memory_bytes,
    .payloads = (uint64_t)guest_payloads,
};
