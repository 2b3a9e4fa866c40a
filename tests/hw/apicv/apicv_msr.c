/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMSR and WRMSR: the MSR bitmap and x2APIC virtualization. Reference 2 (bitmap) and 9. */
#include "apicv_internal.h"

static bool is_x2apic_msr(uint32_t msr)
{
    return msr >= 0x800 && msr <= 0x8FF;
}

/* Read-low, read-high, write-low, write-high, 1 KiB each; MSRs outside of the two ranges always exit. */
static bool exits(struct apicv_cpu *cpu, uint32_t msr, bool write)
{
    uint32_t part = write ? 0x800 : 0;
    const uint8_t *bitmap;

    if (!apicv_primary(cpu, APICV_PRIMARY_MSR_BITMAPS)) {
        return true;
    }
    if (msr >= 0xC0000000 && msr <= 0xC0001FFF) {
        msr -= 0xC0000000;
        part += 0x400;
    } else if (msr > 0x1FFF) {
        return true;
    }
    bitmap = apicv_memory(cpu, apicv_get(cpu, APICV_MSR_BITMAP), 4096);
    return bitmap[part + (msr >> 3)] >> (msr & 7) & 1;
}

/* On the processor's own MSR; its x2APIC MSRs fault while its APIC is in another mode. */
static struct apicv_result on_the_host(struct apicv_cpu *cpu, uint32_t msr, bool write)
{
    if (is_x2apic_msr(msr) && !cpu->host_x2apic) {
        return apicv_instruction_gp(cpu);
    }
    return apicv_instruction_reaches_host(cpu, msr, write);
}

/* ---- RDMSR (9.1) ---- */

struct apicv_result apicv_guest_rdmsr(struct apicv_cpu *cpu, uint32_t msr, uint64_t *value)
{
    uint32_t offset = (msr & 0xFF) << 4;

    apicv_instruction_starts(cpu);
    if (cpu->guest.cpl > 0) {
        return apicv_instruction_gp(cpu);
    }
    if (exits(cpu, msr, false)) {
        return apicv_fault_exit(cpu, APICV_EXIT_RDMSR, 0);
    }
    if (!apicv_secondary(cpu, APICV_SECONDARY_X2APIC_MODE) || !is_x2apic_msr(msr) ||
        (!apicv_secondary(cpu, APICV_SECONDARY_REGISTER_VIRTUALIZATION) && msr != 0x808)) {
        *value = 0;
        return on_the_host(cpu, msr, false);
    }
    *value = (uint64_t)apicv_page_read(cpu, offset + 4) << 32 | apicv_page_read(cpu, offset);
    apicv_instruction_completes(cpu);
    return apicv_result(APICV_DONE);
}

/* ---- WRMSR (9.2) ---- */

static void store_8_bytes(struct apicv_cpu *cpu, uint32_t offset, uint64_t value)
{
    apicv_page_write(cpu, offset, (uint32_t)value);
    apicv_page_write(cpu, offset + 4, (uint32_t)(value >> 32));
}

static struct apicv_result completed(struct apicv_cpu *cpu, struct apicv_trap trap)
{
    apicv_instruction_completes(cpu);
    return apicv_trap_exit(cpu, trap, apicv_result(APICV_DONE));
}

static struct apicv_result write_tpr(struct apicv_cpu *cpu, uint64_t value)
{
    if (value >> 8 != 0) {
        return apicv_instruction_gp(cpu);
    }
    store_8_bytes(cpu, APICV_VTPR, value);
    return completed(cpu, apicv_tpr_virtualization(cpu));
}

static struct apicv_result write_eoi(struct apicv_cpu *cpu, uint64_t value)
{
    if (value != 0) {
        return apicv_instruction_gp(cpu);
    }
    store_8_bytes(cpu, APICV_VEOI, 0);
    return completed(cpu, apicv_eoi_virtualization(cpu));
}

static struct apicv_result write_self_ipi(struct apicv_cpu *cpu, uint64_t value)
{
    bool legal = (value >> 4 & 0xF) != 0;

    if (value >> 8 != 0) {
        return apicv_instruction_gp(cpu);
    }
    if (!legal || !cpu->knobs.self_ipi_msr_stored_on_exit_only) {
        store_8_bytes(cpu, APICV_SELF_IPI, value);
    }
    if (!legal) {
        return completed(cpu, apicv_write_trap(APICV_SELF_IPI));
    }
    apicv_self_ipi_virtualization(cpu, (uint8_t)value);
    return completed(cpu, apicv_no_trap());
}

/* Bits 31:20, 17:16 and 13 fault. Bit 12 does not: it forces the exit, as everything does but a plain unicast. */
static struct apicv_result write_icr(struct apicv_cpu *cpu, uint64_t value)
{
    uint32_t low = (uint32_t)value;
    bool unicast = (low >> 18 & 3) == 0 && (low >> 15 & 1) == 0 && (low >> 12 & 1) == 0 && (low >> 11 & 1) == 0 &&
                   (low >> 8 & 7) == 0;

    if (low >> 20 != 0 || (low >> 16 & 3) != 0 || (low >> 13 & 1) != 0) {
        return apicv_instruction_gp(cpu);
    }
    store_8_bytes(cpu, APICV_VICR_LO, value);
    if (!unicast) {
        return completed(cpu, apicv_write_trap(APICV_VICR_LO));
    }
    return completed(cpu, apicv_ipi_virtualization(cpu, (uint8_t)low, (uint32_t)(value >> 32)));
}

struct apicv_result apicv_guest_wrmsr(struct apicv_cpu *cpu, uint32_t msr, uint64_t value)
{
    apicv_instruction_starts(cpu);
    if (cpu->guest.cpl > 0) {
        return apicv_instruction_gp(cpu);
    }
    if (exits(cpu, msr, true)) {
        return apicv_fault_exit(cpu, APICV_EXIT_WRMSR, 0);
    }
    if (apicv_secondary(cpu, APICV_SECONDARY_X2APIC_MODE)) {
        if (msr == 0x808) {
            return write_tpr(cpu, value);
        }
        if (msr == 0x80B && apicv_virtual_interrupt_delivery(cpu)) {
            return write_eoi(cpu, value);
        }
        if (msr == 0x83F && apicv_virtual_interrupt_delivery(cpu)) {
            return write_self_ipi(cpu, value);
        }
        if (msr == 0x830 && apicv_tertiary(cpu, APICV_TERTIARY_IPI_VIRTUALIZATION)) {
            return write_icr(cpu, value);
        }
    }
    return on_the_host(cpu, msr, true);
}
