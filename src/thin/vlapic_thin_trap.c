/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a host that leaves the physical APIC to its guest has to see of it, and the maps by which MSRs are trapped. Intel SDM 3C, "MSR-Bitmap
 * Address"; AMD APM 2, "MSR Intercepts".
 */
#include <vlapic/registers.h>
#include <vlapic/trap.h>

enum vlapic_trap vlapic_trap_mmio(uint32_t offset, uint32_t length, bool write)
{
    uint64_t end = (uint64_t)offset + length;

    return write && offset < VLAPIC_REG_ICR_HIGH && end > VLAPIC_REG_ICR_LOW && length != 0 ? VLAPIC_TRAP_ICR
                                                                                            : VLAPIC_TRAP_NONE;
}

enum vlapic_trap vlapic_trap_msr(uint32_t msr, bool write)
{
    if (!write) {
        return VLAPIC_TRAP_NONE;
    }
    switch (msr) {
    case VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW):
        return VLAPIC_TRAP_ICR;
    case VLAPIC_MSR_APIC_BASE:
        return VLAPIC_TRAP_BASE;
    default:
        return VLAPIC_TRAP_NONE;
    }
}

/* Either map has one range of 8,192 MSRs for each of these. */
#define RANGE_MSRS 0x2000u
static const uint32_t range_first[] = { 0, 0xC0000000u, 0xC0010000u };
#define VMX_RANGES 2u
#define SVM_RANGES 3u

/* Number of the range, or `ranges` if there is none. */
static uint32_t range_of(uint32_t msr, uint32_t ranges)
{
    uint32_t range = 0;

    while (range < ranges && msr - range_first[range] >= RANGE_MSRS) {
        range++;
    }
    return range;
}

static void put(uint8_t *byte, uint32_t bits, bool on)
{
    *byte = (uint8_t)(on ? *byte | bits : *byte & ~bits);
}

/* A KiB each: read low, read high, write low, write high. */
#define VMX_RANGE_BYTES (RANGE_MSRS / 8u)
#define VMX_WRITES (VMX_RANGES * VMX_RANGE_BYTES)

bool vlapic_trap_vmx_set(uint8_t *bitmap, uint32_t msr, uint32_t access, bool trap)
{
    uint32_t range = range_of(msr, VMX_RANGES);
    uint32_t byte = range * VMX_RANGE_BYTES + (msr % RANGE_MSRS) / 8;
    uint32_t bit = 1u << (msr % 8);

    if (range == VMX_RANGES) {
        return false;
    }
    if ((access & VLAPIC_TRAP_READ) != 0) {
        put(&bitmap[byte], bit, trap);
    }
    if ((access & VLAPIC_TRAP_WRITE) != 0) {
        put(&bitmap[VMX_WRITES + byte], bit, trap);
    }
    return true;
}

uint32_t vlapic_trap_vmx_get(const uint8_t *bitmap, uint32_t msr)
{
    uint32_t range = range_of(msr, VMX_RANGES);
    uint32_t byte = range * VMX_RANGE_BYTES + (msr % RANGE_MSRS) / 8;
    uint32_t bit = 1u << (msr % 8);

    if (range == VMX_RANGES) {
        return VLAPIC_TRAP_READ | VLAPIC_TRAP_WRITE;
    }
    return ((bitmap[byte] & bit) != 0 ? VLAPIC_TRAP_READ : 0) |
           ((bitmap[VMX_WRITES + byte] & bit) != 0 ? VLAPIC_TRAP_WRITE : 0);
}

/* Two bits an MSR: read, and above it write, like the bits of an access set. */
#define SVM_RANGE_BYTES (RANGE_MSRS / 4u)
#define BOTH (VLAPIC_TRAP_READ | VLAPIC_TRAP_WRITE)

bool vlapic_trap_svm_set(uint8_t *map, uint32_t msr, uint32_t access, bool trap)
{
    uint32_t range = range_of(msr, SVM_RANGES);

    if (range == SVM_RANGES) {
        return false;
    }
    put(&map[range * SVM_RANGE_BYTES + (msr % RANGE_MSRS) / 4], (access & BOTH) << (2 * (msr % 4)), trap);
    return true;
}

uint32_t vlapic_trap_svm_get(const uint8_t *map, uint32_t msr)
{
    uint32_t range = range_of(msr, SVM_RANGES);

    if (range == SVM_RANGES) {
        return BOTH;
    }
    return map[range * SVM_RANGE_BYTES + (msr % RANGE_MSRS) / 4] >> (2 * (msr % 4)) & BOTH;
}
