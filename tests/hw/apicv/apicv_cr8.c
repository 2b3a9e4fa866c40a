/* SPDX-License-Identifier: BSD-2-Clause */
/* MOV from and to CR8. Reference 7. */
#include "apicv_internal.h"

static uint64_t qualification(bool from, unsigned gpr)
{
    return (uint64_t)(gpr & 0xF) << 8 | (uint64_t)from << 4 | 8;
}

struct apicv_result apicv_guest_read_cr8(struct apicv_cpu *cpu, unsigned gpr, uint64_t *value)
{
    apicv_instruction_starts(cpu);
    if (cpu->guest.cpl > 0) {
        return apicv_instruction_gp(cpu);
    }
    if (apicv_primary(cpu, APICV_PRIMARY_CR8_STORE_EXITING)) {
        return apicv_fault_exit(cpu, APICV_EXIT_CR_ACCESS, qualification(true, gpr));
    }
    if (!apicv_primary(cpu, APICV_PRIMARY_TPR_SHADOW)) {
        *value = 0;
        return apicv_instruction_reaches_host(cpu, 8, false);
    }
    *value = apicv_page_read(cpu, APICV_VTPR) >> 4 & 0xF;
    apicv_instruction_completes(cpu);
    return apicv_result(APICV_DONE);
}

/* The exit has priority over the #GP for reserved bits. */
struct apicv_result apicv_guest_write_cr8(struct apicv_cpu *cpu, unsigned gpr, uint64_t value)
{
    struct apicv_trap trap;

    apicv_instruction_starts(cpu);
    if (cpu->guest.cpl > 0) {
        return apicv_instruction_gp(cpu);
    }
    if (apicv_primary(cpu, APICV_PRIMARY_CR8_LOAD_EXITING)) {
        return apicv_fault_exit(cpu, APICV_EXIT_CR_ACCESS, qualification(false, gpr));
    }
    if (value >> 4 != 0) {
        return apicv_instruction_gp(cpu);
    }
    if (!apicv_primary(cpu, APICV_PRIMARY_TPR_SHADOW)) {
        return apicv_instruction_reaches_host(cpu, 8, true);
    }
    apicv_page_write(cpu, APICV_VTPR, (uint32_t)value << 4);
    trap = apicv_tpr_virtualization(cpu);
    apicv_instruction_completes(cpu);
    return apicv_trap_exit(cpu, trap, apicv_result(APICV_DONE));
}
