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

void payload_exits(void);
void payload_exits_posted(void);
void payload_exits_ipi(void);
void payload_thin_exits(void);
void payload_thin_exits_ipi(void);
void payload_thin_forms(void);
void payload_thin_start(void);
void payload_thin_start_all(void);
void payload_thin_init(void);
void payload_thin_race(void);
void payload_thin_off(void);
void payload_thin_id(void);
void payload_thin_moved(void);
void payload_self_ipi(void);
void payload_ipi_fixed(void);
void payload_ipi_shorthands(void);
void payload_ipi_logical(void);
void payload_ipi_lowest(void);
void payload_lowest_x2apic(void);
void payload_level(void);
void payload_level_nested(void);
void payload_level_masked(void);
void payload_lint(void);
void payload_modes(void);
void payload_relocation(void);
void payload_mixed_modes(void);
void payload_delivery(void);
void payload_tpr(void);
void payload_cr8(void);
void payload_nesting(void);
void payload_eoi(void);
void payload_spurious(void);
void payload_software_disable(void);
void payload_registers(void);
void payload_icr(void);
void payload_registers_x2apic(void);
void payload_msrs_xapic(void);
void payload_instructions(void);
void payload_esr(void);
void payload_init_sipi(void);
void payload_init_busy(void);
void payload_halt_ipi(void);
void payload_nmi_ipi(void);
void payload_nmi_halt(void);
void payload_nmi_lvt(void);
void payload_kick_storm(void);
void payload_kick_storm_other(void);
void payload_msi_storm(void);
void payload_msi_storm_halt(void);
void payload_post(void);
void payload_snapshot(void);
void payload_inhibit(void);
void payload_inhibit_storm(void);
void payload_move(void);
void payload_timer_one_shot(void);
void payload_timer_periodic(void);
void payload_deadline(void);
void payload_halt_timer(void);

#endif
