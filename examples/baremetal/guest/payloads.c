/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of payloads, and the image's header. Most payloads run in both modes of the APIC. */
#include "payloads.h"

#define BOTH(X, name, function, cpus, needs)                                                                           \
    X(name, function, false, cpus, needs)                                                                              \
    X(name "_x2", function, true, cpus, (needs) | GUEST_NEEDS_X2APIC)

/* clang-format off */
#define PAYLOADS(X) \
    BOTH(X, "delivery", payload_delivery, 1, 0) \
    BOTH(X, "tpr", payload_tpr, 1, 0) \
    BOTH(X, "cr8", payload_cr8, 1, 0) \
    BOTH(X, "nesting", payload_nesting, 1, 0) \
    BOTH(X, "eoi", payload_eoi, 1, 0) \
    BOTH(X, "spurious", payload_spurious, 1, 0) \
    BOTH(X, "software_disable", payload_software_disable, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "level", payload_level, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "level_nested", payload_level_nested, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "level_masked", payload_level_masked, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "lint", payload_lint, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "self_ipi", payload_self_ipi, 1, 0) \
    X("registers", payload_registers, false, 1, GUEST_NEEDS_DEADLINE) \
    X("registers_x2", payload_registers_x2apic, true, 1, GUEST_NEEDS_X2APIC | GUEST_NEEDS_DEADLINE) \
    X("icr", payload_icr, false, 1, 0) \
    X("msrs_xapic", payload_msrs_xapic, false, 1, 0) \
    X("instructions", payload_instructions, false, 1, 0) \
    BOTH(X, "esr", payload_esr, 1, GUEST_NEEDS_DEVICES) \
    X("lowest_x2", payload_lowest_x2apic, true, 1, GUEST_NEEDS_X2APIC) \
    BOTH(X, "timer_one_shot", payload_timer_one_shot, 1, 0) \
    BOTH(X, "timer_periodic", payload_timer_periodic, 1, 0) \
    BOTH(X, "deadline", payload_deadline, 1, GUEST_NEEDS_DEADLINE) \
    BOTH(X, "halt_timer", payload_halt_timer, 1, 0) \
    BOTH(X, "nmi_lvt", payload_nmi_lvt, 1, GUEST_NEEDS_DEVICES) \
    X("modes", payload_modes, false, 1, GUEST_NEEDS_X2APIC | GUEST_NEEDS_DEVICES) \
    X("relocation", payload_relocation, false, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "kick_storm", payload_kick_storm, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "snapshot", payload_snapshot, 1, GUEST_NEEDS_SNAPSHOT) \
    BOTH(X, "inhibit", payload_inhibit, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "exits", payload_exits, 1, GUEST_NEEDS_DEVICES) \
    BOTH(X, "init_sipi", payload_init_sipi, 2, 0) \
    BOTH(X, "init_busy", payload_init_busy, 2, 0) \
    BOTH(X, "ipi_fixed", payload_ipi_fixed, 2, 0) \
    BOTH(X, "ipi_shorthands", payload_ipi_shorthands, 2, 0) \
    BOTH(X, "ipi_logical", payload_ipi_logical, 2, 0) \
    X("ipi_lowest", payload_ipi_lowest, false, 2, 0) \
    X("mixed_modes", payload_mixed_modes, false, 2, GUEST_NEEDS_X2APIC) \
    BOTH(X, "halt_ipi", payload_halt_ipi, 2, 0) \
    BOTH(X, "nmi_ipi", payload_nmi_ipi, 2, 0) \
    BOTH(X, "nmi_halt", payload_nmi_halt, 2, 0) \
    BOTH(X, "kick_storm_other", payload_kick_storm_other, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "msi_storm", payload_msi_storm, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "msi_storm_halt", payload_msi_storm_halt, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "post", payload_post, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "inhibit_storm", payload_inhibit_storm, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "move", payload_move, 2, GUEST_NEEDS_MOVE) \
    BOTH(X, "exits_posted", payload_exits_posted, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "exits_ipi", payload_exits_ipi, 2, GUEST_NEEDS_DEVICES) \
    BOTH(X, "thin_off", payload_thin_off, 2, GUEST_NEEDS_PHYSICAL) \
    X("thin_id", payload_thin_id, false, 2, GUEST_NEEDS_PHYSICAL) \
    X("thin_moved", payload_thin_moved, false, 1, GUEST_NEEDS_PHYSICAL) \
    BOTH(X, "thin_exits", payload_thin_exits, 1, GUEST_NEEDS_PHYSICAL) \
    BOTH(X, "thin_exits_ipi", payload_thin_exits_ipi, 2, GUEST_NEEDS_PHYSICAL) \
    X("thin_forms", payload_thin_forms, false, 2, GUEST_NEEDS_PHYSICAL | GUEST_NEEDS_ICR_TRAP) \
    BOTH(X, "thin_start", payload_thin_start, 2, GUEST_NEEDS_PHYSICAL | GUEST_NEEDS_ICR_TRAP) \
    BOTH(X, "thin_start_all", payload_thin_start_all, 2, GUEST_NEEDS_PHYSICAL | GUEST_NEEDS_ICR_TRAP) \
    BOTH(X, "thin_race", payload_thin_race, 2, GUEST_NEEDS_PHYSICAL) \
    BOTH(X, "thin_init", payload_thin_init, 2, GUEST_NEEDS_PHYSICAL | GUEST_NEEDS_INIT | GUEST_NEEDS_ICR_TRAP)
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
