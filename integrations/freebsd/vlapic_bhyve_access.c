/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest does to its APIC: registers by memory and by MSR, CR8. */
#include "vlapic_bhyve_internal.h"

#define WINDOW 0x1000u

static int errno_of(enum vlapic_access access)
{
    return access == VLAPIC_ACCESS_DONE ? 0 : EINVAL;
}

static bool is_mode(const struct vlapic_bhyve_cpu *cpu, uint64_t mode)
{
    return (vlapic_cpu_apic_base(cpu->apic) & (VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) == mode;
}

/* ---- memory ---- */

static uint64_t all_ones(int size)
{
    return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static void mmio_read(struct vlapic_bhyve_cpu *cpu, uint64_t offset, int size, uint64_t *data)
{
    if (size < 1 || size > 8 || offset >= WINDOW ||
        vlapic_cpu_mmio_read(cpu->apic, (uint32_t)offset, (uint32_t)size, data) != VLAPIC_ACCESS_DONE) {
        *data = all_ones(size < 1 ? 0 : size);
    }
}

static bool names_cpu(uint64_t offset)
{
    return offset == VLAPIC_REG_LDR || offset == VLAPIC_REG_DFR; /* the ID is not the guest's to write */
}

/* The destination is what ICR high holds when ICR low is written. */
static struct vlapic_bhyve_ipi ipi_by_memory(struct vlapic_bhyve_cpu *cpu, uint64_t offset, int size, uint64_t low)
{
    uint64_t high = 0;

    if (offset != VLAPIC_REG_ICR_LOW || size != 4 || !is_mode(cpu, VLAPIC_BASE_EN)) {
        return (struct vlapic_bhyve_ipi){ .told = false };
    }
    (void)vlapic_cpu_mmio_read(cpu->apic, VLAPIC_REG_ICR_HIGH, 4, &high);
    return vlapic_bhyve_ipi_before(cpu, VLAPIC_ICR_FORMAT_XAPIC, high << 32 | (uint32_t)low);
}

static void mmio_write(struct vlapic_bhyve_cpu *cpu, uint64_t offset, int size, uint64_t data, bool *exit)
{
    struct vlapic_bhyve_ipi ipi;

    if (size < 1 || size > 8 || offset >= WINDOW) {
        return;
    }
    ipi = ipi_by_memory(cpu, offset, size, data);
    (void)vlapic_cpu_mmio_write(cpu->apic, (uint32_t)offset, (uint32_t)size, data);
    if (names_cpu(offset)) {
        vlapic_bhyve_identity_changed(cpu);
    }
    *exit = vlapic_bhyve_ipi_after(cpu, &ipi);
}

/* ---- MSRs ---- */

bool vlapic_bhyve_handles_msr(uint32_t msr)
{
    return msr == VLAPIC_MSR_APIC_BASE || (msr >= VLAPIC_MSR_X2APIC_FIRST && msr <= VLAPIC_MSR_X2APIC_LAST);
}

int vlapic_bhyve_rdmsr(struct vlapic_bhyve_cpu *cpu, uint32_t msr, uint64_t *data)
{
    return vlapic_bhyve_handles_msr(msr) ? errno_of(vlapic_cpu_msr_read(cpu->apic, msr, data)) : EINVAL;
}

static struct vlapic_bhyve_ipi ipi_by_msr(struct vlapic_bhyve_cpu *cpu, uint32_t msr, uint64_t icr)
{
    if (msr != VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW) || !is_mode(cpu, VLAPIC_BASE_EN | VLAPIC_BASE_EXTD)) {
        return (struct vlapic_bhyve_ipi){ .told = false };
    }
    return vlapic_bhyve_ipi_before(cpu, VLAPIC_ICR_FORMAT_X2APIC, icr);
}

int vlapic_bhyve_wrmsr(struct vlapic_bhyve_cpu *cpu, uint32_t msr, uint64_t data, bool *exit)
{
    struct vlapic_bhyve_ipi ipi;
    int error;

    *exit = false;
    if (!vlapic_bhyve_handles_msr(msr)) {
        return EINVAL;
    }
    ipi = ipi_by_msr(cpu, msr, data);
    error = errno_of(vlapic_cpu_msr_write(cpu->apic, msr, data));
    if (msr == VLAPIC_MSR_APIC_BASE) {
        vlapic_bhyve_identity_changed(cpu);
    }
    *exit = vlapic_bhyve_ipi_after(cpu, &ipi);
    return error;
}

/* ---- by offset, and CR8 ---- */

/* The MSR of a register; an offset outside of the window is none of ours. */
static uint32_t msr_of(uint64_t offset)
{
    return offset < WINDOW ? VLAPIC_MSR_OF((uint32_t)offset) : 0;
}

int vlapic_bhyve_read(struct vlapic_bhyve_cpu *cpu, bool mmio, uint64_t offset, int size, uint64_t *data)
{
    if (!mmio) {
        return vlapic_bhyve_rdmsr(cpu, msr_of(offset), data);
    }
    mmio_read(cpu, offset, size, data);
    return 0;
}

int vlapic_bhyve_write(struct vlapic_bhyve_cpu *cpu, bool mmio, uint64_t offset, int size, uint64_t data, bool *exit)
{
    *exit = false;
    if (!mmio) {
        return vlapic_bhyve_wrmsr(cpu, msr_of(offset), data, exit);
    }
    mmio_write(cpu, offset, size, data, exit);
    return 0;
}

uint64_t vlapic_bhyve_get_cr8(struct vlapic_bhyve_cpu *cpu)
{
    return vlapic_cpu_cr8_read(cpu->apic);
}

int vlapic_bhyve_set_cr8(struct vlapic_bhyve_cpu *cpu, uint64_t value)
{
    return errno_of(vlapic_cpu_cr8_write(cpu->apic, value));
}
