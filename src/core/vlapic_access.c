/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's three doors: memory window, MSRs, CR8. Intel SDM 3A, "Local APIC Register Address Map", "x2APIC Register
 * Address Space", "Reserved Bit Checking", "Interaction of Task Priorities between CR8 and APIC". The rules of one register
 * are in the register table and its topic's file.
 */
#include "vlapic_model.h"

#define REGISTER_BYTES 4u

static bool is_well_formed(uint32_t offset, uint32_t length)
{
    return (length == 1 || length == 2 || length == 4) && (offset & 15u) + length <= REGISTER_BYTES;
}

static inline uint32_t read_register(struct vlapic_cpu *cpu, const struct vlapic_slot *slot, uint32_t offset)
{
    return slot->read != NULL ? slot->read(cpu, offset) : vlapic_get_any(cpu, offset);
}

static inline void write_register(struct vlapic_cpu *cpu, const struct vlapic_slot *slot, uint32_t offset,
                                  uint32_t value)
{
    value &= slot->writable;
    if (slot->write != NULL) {
        slot->write(cpu, offset, value);
    } else {
        vlapic_put(cpu, offset, value);
    }
}

/* A well-formed access to a reserved address is an error; one that the register does not support is not. */
static vlapic_cold void refuse_slot(struct vlapic_cpu *cpu, const struct vlapic_slot *slot)
{
    if (slot->xapic == VLAPIC_REG_NONE) {
        vlapic_core_error(cpu, VLAPIC_ESR_ILLEGAL_REGISTER);
    }
}

static inline void write_slot(struct vlapic_cpu *cpu, uint32_t offset, uint32_t value)
{
    const struct vlapic_slot *slot = vlapic_slot_at(cpu->vm, offset);

    if (vlapic_unlikely((slot->xapic & VLAPIC_REG_WO) == 0)) {
        refuse_slot(cpu, slot);
        return;
    }
    write_register(cpu, slot, offset, value);
}

/* Reads that are not just what the block holds. */
static vlapic_noinline enum vlapic_access read_computed(struct vlapic_cpu *cpu, const struct vlapic_slot *slot,
                                                        uint32_t offset, uint64_t *value)
{
    if ((slot->xapic & VLAPIC_REG_RO) != 0) {
        *value = read_register(cpu, slot, offset);
    } else {
        refuse_slot(cpu, slot);
        *value = 0;
    }
    return VLAPIC_ACCESS_DONE;
}

static inline enum vlapic_access read_slot(struct vlapic_cpu *cpu, uint32_t offset, uint64_t *value)
{
    const struct vlapic_slot *slot = vlapic_slot_at(cpu->vm, offset);

    if (vlapic_unlikely((slot->xapic & VLAPIC_REG_RO) == 0 || slot->read != NULL)) {
        return read_computed(cpu, slot, offset, value);
    }
    *value = vlapic_get_any(cpu, offset);
    return VLAPIC_ACCESS_DONE;
}

static vlapic_cold enum vlapic_access read_narrow(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length,
                                                  uint64_t *value)
{
    if (!is_well_formed(offset, length)) {
        cpu->stats.bad_reads++;
        *value = 0;
        return VLAPIC_ACCESS_DONE;
    }
    (void)read_slot(cpu, offset & ~15u, value);
    *value = (*value >> (8 * (offset & 15u))) & (length == 1 ? 0xFFu : 0xFFFFu);
    return VLAPIC_ACCESS_DONE;
}

static inline enum vlapic_access read_window(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t *value)
{
    if (vlapic_unlikely(length != REGISTER_BYTES || (offset & 15u) != 0)) {
        return read_narrow(cpu, offset, length, value);
    }
    return read_slot(cpu, offset, value);
}

static vlapic_cold enum vlapic_access settle_and_read(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length,
                                                      uint64_t *value)
{
    vlapic_core_settle(cpu);
    return read_window(cpu, offset, length, value);
}

enum vlapic_access vlapic_cpu_mmio_read(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t *value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(offset >= cpu->window)) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    if (vlapic_unlikely(vlapic_has_work(cpu))) {
        return settle_and_read(cpu, offset, length, value);
    }
    return read_window(cpu, offset, length, value);
}

/* With narrow_write_merge, the bytes of a narrow write replace those of the register's present value. */
static vlapic_cold void write_narrow(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint32_t value)
{
    const struct vlapic_slot *slot = vlapic_slot_at(cpu->vm, offset);
    uint32_t shift = 8 * (offset & 15u);
    uint32_t mask, present = 0;

    if (!cpu->vm->config.narrow_write_merge || !is_well_formed(offset, length) || length == REGISTER_BYTES) {
        cpu->stats.bad_writes++;
        return;
    }
    mask = (length == 1 ? 0xFFu : 0xFFFFu) << shift;
    if ((slot->xapic & VLAPIC_REG_RO) != 0) {
        present = read_register(cpu, slot, offset & ~15u);
    }
    write_slot(cpu, offset & ~15u, (present & ~mask) | ((value << shift) & mask));
}

static inline enum vlapic_access write_window(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t value)
{
    if (vlapic_unlikely(length != REGISTER_BYTES || (offset & 15u) != 0)) {
        write_narrow(cpu, offset, length, (uint32_t)value);
    } else {
        write_slot(cpu, offset, (uint32_t)value);
    }
    return VLAPIC_ACCESS_DONE;
}

static vlapic_cold enum vlapic_access settle_and_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length,
                                                       uint64_t value)
{
    vlapic_core_settle(cpu);
    return write_window(cpu, offset, length, value);
}

enum vlapic_access vlapic_cpu_mmio_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(offset >= cpu->window)) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    if (vlapic_unlikely(vlapic_has_work(cpu))) {
        return settle_and_write(cpu, offset, length, value);
    }
    return write_window(cpu, offset, length, value);
}

static vlapic_cold enum vlapic_access fault(struct vlapic_cpu *cpu)
{
    cpu->stats.faults++;
    return VLAPIC_ACCESS_GP;
}

static enum vlapic_access count_fault(struct vlapic_cpu *cpu, enum vlapic_access access)
{
    return access == VLAPIC_ACCESS_GP ? fault(cpu) : access;
}

/* The ICR alone has 64 bits. */
static vlapic_noinline enum vlapic_access x2apic_read_computed(struct vlapic_cpu *cpu, const struct vlapic_slot *slot,
                                                               uint32_t offset, uint64_t *value)
{
    if (!vlapic_is_x2apic(cpu) || (slot->x2apic & VLAPIC_REG_RO) == 0) {
        return fault(cpu);
    }
    *value = read_register(cpu, slot, offset);
    if (offset == VLAPIC_REG_ICR_LOW) {
        *value |= (uint64_t)vlapic_get(cpu, VLAPIC_REG_ICR_HIGH) << 32;
    }
    return VLAPIC_ACCESS_DONE;
}

static inline enum vlapic_access x2apic_read(struct vlapic_cpu *cpu, uint32_t offset, uint64_t *value)
{
    const struct vlapic_slot *slot = vlapic_slot_at(cpu->vm, offset);

    if (vlapic_unlikely(!vlapic_is_x2apic(cpu) || (slot->x2apic & VLAPIC_REG_RO) == 0 || slot->read != NULL)) {
        return x2apic_read_computed(cpu, slot, offset, value);
    }
    *value = vlapic_get_any(cpu, offset);
    return VLAPIC_ACCESS_DONE;
}

static inline enum vlapic_access x2apic_write(struct vlapic_cpu *cpu, uint32_t offset, uint64_t value)
{
    const struct vlapic_slot *slot = vlapic_slot_at(cpu->vm, offset);
    bool is_icr = offset == VLAPIC_REG_ICR_LOW; /* which alone has 64 bits */
    uint64_t checked = is_icr ? (uint32_t)value : value;

    if (vlapic_unlikely(!vlapic_is_x2apic(cpu) || (slot->x2apic & VLAPIC_REG_WO) == 0 ||
                        (checked & ~(uint64_t)slot->valid) != 0)) {
        return fault(cpu);
    }
    if (is_icr) {
        vlapic_core_write_x2apic_icr(cpu, value);
    } else {
        write_register(cpu, slot, offset, (uint32_t)value);
    }
    return VLAPIC_ACCESS_DONE;
}

static vlapic_cold enum vlapic_access read_other_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case VLAPIC_MSR_TSC_DEADLINE:
        return count_fault(cpu, vlapic_core_deadline_read(cpu, value));
    case VLAPIC_MSR_APIC_BASE:
        *value = cpu->apic_base;
        return VLAPIC_ACCESS_DONE;
    default:
        return VLAPIC_ACCESS_NOT_MINE;
    }
}

static inline enum vlapic_access read_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    uint32_t index = msr - VLAPIC_MSR_X2APIC_FIRST;

    if (vlapic_unlikely(index > VLAPIC_MSR_X2APIC_LAST - VLAPIC_MSR_X2APIC_FIRST)) {
        return read_other_msr(cpu, msr, value);
    }
    return x2apic_read(cpu, index << 4, value);
}

static vlapic_cold enum vlapic_access settle_and_read_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    vlapic_core_settle(cpu);
    return read_msr(cpu, msr, value);
}

enum vlapic_access vlapic_cpu_msr_read(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(vlapic_has_work(cpu))) {
        return settle_and_read_msr(cpu, msr, value);
    }
    return read_msr(cpu, msr, value);
}

static enum vlapic_access write_other_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case VLAPIC_MSR_TSC_DEADLINE:
        return count_fault(cpu, vlapic_core_deadline_write(cpu, value));
    case VLAPIC_MSR_APIC_BASE:
        return count_fault(cpu, vlapic_core_base_write(cpu, value));
    default:
        return VLAPIC_ACCESS_NOT_MINE;
    }
}

static inline enum vlapic_access write_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    uint32_t index = msr - VLAPIC_MSR_X2APIC_FIRST;

    if (index > VLAPIC_MSR_X2APIC_LAST - VLAPIC_MSR_X2APIC_FIRST) {
        return write_other_msr(cpu, msr, value);
    }
    return x2apic_write(cpu, index << 4, value);
}

static vlapic_cold enum vlapic_access settle_and_write_msr(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    vlapic_core_settle(cpu);
    return write_msr(cpu, msr, value);
}

enum vlapic_access vlapic_cpu_msr_write(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value)
{
    VLAPIC_ASSERT_OWNER(cpu);
    if (vlapic_unlikely(vlapic_has_work(cpu))) {
        return settle_and_write_msr(cpu, msr, value);
    }
    return write_msr(cpu, msr, value);
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
        return fault(cpu);
    }
    vlapic_core_write_tpr(cpu, VLAPIC_REG_TPR, (uint32_t)value << 4);
    return VLAPIC_ACCESS_DONE;
}
