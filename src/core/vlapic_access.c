/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's three doors: memory window, MSRs, CR8. Intel SDM 3A, "Local APIC Register Address Map", "x2APIC Register
 * Address Space", "Reserved Bit Checking", "Interaction of Task Priorities between CR8 and APIC". The rules of one register
 * are in the register table and its topic's file.
 */
#include "vlapic_model.h"

#define WINDOW 0x1000u
#define REGISTER_BYTES 4u

static bool answers_mmio(const struct vlapic_cpu *cpu, uint32_t offset)
{
    return vlapic_is_enabled(cpu) && !vlapic_is_x2apic(cpu) && offset < WINDOW;
}

static uint32_t read_register(struct vlapic_cpu *cpu, const struct vlapic_reg *reg, uint32_t offset)
{
    return reg->read != NULL ? reg->read(cpu, offset) : vlapic_get(cpu, offset);
}

static void write_register(struct vlapic_cpu *cpu, const struct vlapic_reg *reg, uint32_t offset, uint32_t value)
{
    value &= vlapic_core_reg_mask(cpu->vm, reg, reg->writable);
    if (reg->write != NULL) {
        reg->write(cpu, offset, value);
    } else {
        vlapic_put(cpu, offset, value);
    }
}

/* A well-formed access to a reserved address is an error; one that the register does not support is not. */
static uint32_t read_slot(struct vlapic_cpu *cpu, uint32_t offset)
{
    const struct vlapic_reg *reg = vlapic_core_reg_find(cpu->vm, offset);

    if (reg == NULL || reg->xapic == VLAPIC_REG_NONE) {
        vlapic_core_error(cpu, VLAPIC_ESR_ILLEGAL_REGISTER);
        return 0;
    }
    return reg->xapic == VLAPIC_REG_WO ? 0 : read_register(cpu, reg, offset);
}

static void write_slot(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    const struct vlapic_reg *reg = vlapic_core_reg_find(cpu->vm, offset);

    if (reg == NULL || reg->xapic == VLAPIC_REG_NONE) {
        vlapic_core_error(cpu, VLAPIC_ESR_ILLEGAL_REGISTER);
    } else if (reg->xapic != VLAPIC_REG_RO) {
        write_register(cpu, reg, offset, value);
    }
}

enum vlapic_access vlapic_cpu_mmio_read(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t *value)
{
    uint32_t byte = offset & 15u;

    VLAPIC_ASSERT_OWNER(cpu);
    if (!answers_mmio(cpu, offset)) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    vlapic_settle(cpu);
    if ((length != 1 && length != 2 && length != 4) || byte + length > REGISTER_BYTES) {
        cpu->stats.bad_reads++;
        *value = 0;
        return VLAPIC_ACCESS_DONE;
    }
    *value = ((uint64_t)read_slot(cpu, offset & ~15u) >> (8 * byte)) & (UINT64_MAX >> (64 - 8 * length));
    return VLAPIC_ACCESS_DONE;
}

/* With narrow_write_merge, the bytes of a narrow write replace those of the register's present value. */
static uint32_t merge_narrow(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t value)
{
    const struct vlapic_reg *reg = vlapic_core_reg_find(cpu->vm, offset & ~15u);
    uint32_t shift = 8 * (offset & 15u);
    uint32_t mask = (length == 1 ? 0xFFu : 0xFFFFu) << shift;
    uint32_t present = 0;

    if (reg != NULL && (reg->xapic & VLAPIC_REG_RO) != 0) {
        present = read_register(cpu, reg, offset & ~15u);
    }
    return (present & ~mask) | (((uint32_t)value << shift) & mask);
}

enum vlapic_access vlapic_cpu_mmio_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t value)
{
    uint32_t byte = offset & 15u;

    VLAPIC_ASSERT_OWNER(cpu);
    if (!answers_mmio(cpu, offset)) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    vlapic_settle(cpu);
    if (length == REGISTER_BYTES && byte == 0) {
        write_slot(cpu, offset, (uint32_t)value);
    } else if (cpu->vm->config.narrow_write_merge && (length == 1 || length == 2) && byte + length <= REGISTER_BYTES) {
        write_slot(cpu, offset & ~15u, merge_narrow(cpu, offset, length, value));
    } else {
        cpu->stats.bad_writes++;
    }
    return VLAPIC_ACCESS_DONE;
}

static const struct vlapic_reg *find_x2apic(const struct vlapic_cpu *cpu, uint32_t msr, uint8_t access)
{
    const struct vlapic_reg *reg;

    if (!vlapic_is_x2apic(cpu)) {
        return NULL;
    }
    reg = vlapic_core_reg_find(cpu->vm, (msr - VLAPIC_MSR_X2APIC_FIRST) << 4);
    return reg != NULL && (reg->x2apic & access) != 0 ? reg : NULL;
}

static enum vlapic_access x2apic_read(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    uint32_t offset = (msr - VLAPIC_MSR_X2APIC_FIRST) << 4;
    const struct vlapic_reg *reg = find_x2apic(cpu, msr, VLAPIC_REG_RO);

    if (reg == NULL) {
        return VLAPIC_ACCESS_GP;
    }
    *value = reg->xapic == VLAPIC_REG_WO ? 0 : read_register(cpu, reg, offset);
    if (offset == VLAPIC_REG_ICR_LOW) {
        *value |= (uint64_t)vlapic_get(cpu, VLAPIC_REG_ICR_HIGH) << 32;
    }
    return VLAPIC_ACCESS_DONE;
}

/* Bits of a WRMSR that do not fault: a few more than the table has, or fewer, by vendor and setting. */
static uint64_t valid_bits(const struct vlapic_cpu *cpu, const struct vlapic_reg *reg, uint32_t offset)
{
    const struct vlapic_vm_config *config = &cpu->vm->config;
    uint64_t valid = vlapic_core_reg_mask(cpu->vm, reg, reg->valid);

    if (offset == VLAPIC_REG_SVR && config->svr_bit9_faults) {
        valid &= ~(uint64_t)VLAPIC_SVR_FOCUS_DISABLE;
    }
    if (offset == VLAPIC_REG_ICR_LOW) {
        valid |= 0xFFFFFFFF00000000ull;
        if (config->vendor == VLAPIC_VENDOR_INTEL) {
            valid |= VLAPIC_ICR_STATUS;
        }
    }
    return valid;
}

static enum vlapic_access x2apic_write(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    uint32_t offset = (msr - VLAPIC_MSR_X2APIC_FIRST) << 4;
    const struct vlapic_reg *reg = find_x2apic(cpu, msr, VLAPIC_REG_WO);

    if (reg == NULL || (value & ~valid_bits(cpu, reg, offset)) != 0) {
        return VLAPIC_ACCESS_GP;
    }
    if (offset == VLAPIC_REG_ICR_LOW) {
        vlapic_core_write_x2apic_icr(cpu, value);
    } else {
        write_register(cpu, reg, offset, (uint32_t)value);
    }
    return VLAPIC_ACCESS_DONE;
}

static enum vlapic_access count_fault(struct vlapic_cpu *cpu, enum vlapic_access access)
{
    cpu->stats.faults += access == VLAPIC_ACCESS_GP;
    return access;
}

enum vlapic_access vlapic_cpu_msr_read(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    if (msr >= VLAPIC_MSR_X2APIC_FIRST && msr <= VLAPIC_MSR_X2APIC_LAST) {
        return count_fault(cpu, x2apic_read(cpu, msr, value));
    }
    if (msr == VLAPIC_MSR_TSC_DEADLINE) {
        return count_fault(cpu, vlapic_core_deadline_read(cpu, value));
    }
    if (msr == VLAPIC_MSR_APIC_BASE) {
        *value = cpu->apic_base;
        return VLAPIC_ACCESS_DONE;
    }
    return VLAPIC_ACCESS_NOT_MINE;
}

enum vlapic_access vlapic_cpu_msr_write(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    vlapic_settle(cpu);
    if (msr >= VLAPIC_MSR_X2APIC_FIRST && msr <= VLAPIC_MSR_X2APIC_LAST) {
        return count_fault(cpu, x2apic_write(cpu, msr, value));
    }
    if (msr == VLAPIC_MSR_TSC_DEADLINE) {
        return count_fault(cpu, vlapic_core_deadline_write(cpu, value));
    }
    if (msr == VLAPIC_MSR_APIC_BASE) {
        return count_fault(cpu, vlapic_core_base_write(cpu, value));
    }
    return VLAPIC_ACCESS_NOT_MINE;
}

uint64_t vlapic_cpu_cr8_read(struct vlapic_cpu *cpu)
{
    VLAPIC_ASSERT_OWNER(cpu);
    return vlapic_get(cpu, VLAPIC_REG_TPR) >> 4;
}

enum vlapic_access vlapic_cpu_cr8_write(struct vlapic_cpu *cpu, uint64_t value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if ((value & ~0xFull) != 0) {
        return count_fault(cpu, VLAPIC_ACCESS_GP);
    }
    vlapic_core_set_tpr(cpu, (uint32_t)value << 4);
    return VLAPIC_ACCESS_DONE;
}
