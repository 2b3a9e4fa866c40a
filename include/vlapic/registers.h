/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Register offsets, MSR numbers and bit fields of the local APIC, named as in the manuals: Intel SDM volume 3A, chapter
 * "Advanced Programmable Interrupt Controller (APIC)"; AMD APM volume 2, same chapter title. Constants only.
 */
#ifndef VLAPIC_REGISTERS_H
#define VLAPIC_REGISTERS_H

/* Offsets in the 4-KiB xAPIC window. Each register is 32 bits at the start of a 16-byte slot. */
#define VLAPIC_REG_ID 0x020u
#define VLAPIC_REG_VERSION 0x030u
#define VLAPIC_REG_TPR 0x080u
#define VLAPIC_REG_APR 0x090u
#define VLAPIC_REG_PPR 0x0A0u
#define VLAPIC_REG_EOI 0x0B0u
#define VLAPIC_REG_RRD 0x0C0u
#define VLAPIC_REG_LDR 0x0D0u
#define VLAPIC_REG_DFR 0x0E0u
#define VLAPIC_REG_SVR 0x0F0u
#define VLAPIC_REG_ISR 0x100u /* eight slots, 32 vectors each */
#define VLAPIC_REG_TMR 0x180u
#define VLAPIC_REG_IRR 0x200u
#define VLAPIC_REG_ESR 0x280u
#define VLAPIC_REG_LVT_CMCI 0x2F0u
#define VLAPIC_REG_ICR_LOW 0x300u
#define VLAPIC_REG_ICR_HIGH 0x310u
#define VLAPIC_REG_LVT_TIMER 0x320u
#define VLAPIC_REG_LVT_THERMAL 0x330u
#define VLAPIC_REG_LVT_PERF 0x340u
#define VLAPIC_REG_LVT_LINT0 0x350u
#define VLAPIC_REG_LVT_LINT1 0x360u
#define VLAPIC_REG_LVT_ERROR 0x370u
#define VLAPIC_REG_INITIAL_COUNT 0x380u
#define VLAPIC_REG_CURRENT_COUNT 0x390u
#define VLAPIC_REG_DIVIDE_CONFIG 0x3E0u
#define VLAPIC_REG_SELF_IPI 0x3F0u    /* x2APIC only */
#define VLAPIC_REG_EXT_FEATURE 0x400u /* AMD extended APIC space from here on */
#define VLAPIC_REG_EXT_CONTROL 0x410u
#define VLAPIC_REG_SEOI 0x420u
#define VLAPIC_REG_IER 0x480u     /* eight slots */
#define VLAPIC_REG_EXT_LVT 0x500u /* up to eight slots */

/* Model-specific registers that the library answers. */
#define VLAPIC_MSR_APIC_BASE 0x01Bu
#define VLAPIC_MSR_TSC_DEADLINE 0x6E0u
#define VLAPIC_MSR_X2APIC_FIRST 0x800u
#define VLAPIC_MSR_X2APIC_LAST 0x8FFu
/** MSR number of the register at \p offset of the xAPIC window. */
#define VLAPIC_MSR_OF(offset) (VLAPIC_MSR_X2APIC_FIRST + ((offset) >> 4))

/* IA32_APIC_BASE. */
#define VLAPIC_BASE_BSP (1ull << 8)
#define VLAPIC_BASE_EXTD (1ull << 10)
#define VLAPIC_BASE_EN (1ull << 11)
#define VLAPIC_BASE_DEFAULT 0xFEE00000ull

/* SVR. */
#define VLAPIC_SVR_ENABLE (1u << 8)
#define VLAPIC_SVR_FOCUS_DISABLE (1u << 9)
#define VLAPIC_SVR_EOI_SUPPRESS (1u << 12)

/* Version register. */
#define VLAPIC_VERSION_MAX_LVT_SHIFT 16
#define VLAPIC_VERSION_EOI_SUPPRESS (1u << 24)
#define VLAPIC_VERSION_EXT_SPACE (1u << 31)

/* LVT entries and ICR low share the positions of vector, delivery mode, status and trigger mode. */
#define VLAPIC_VECTOR_MASK 0xFFu
#define VLAPIC_DELIVERY_SHIFT 8
#define VLAPIC_DELIVERY_MASK 0x700u
#define VLAPIC_LVT_STATUS (1u << 12)
#define VLAPIC_LVT_POLARITY (1u << 13)
#define VLAPIC_LVT_REMOTE_IRR (1u << 14)
#define VLAPIC_LVT_LEVEL (1u << 15)
#define VLAPIC_LVT_MASKED (1u << 16)
#define VLAPIC_LVT_TIMER_MODE_SHIFT 17
#define VLAPIC_LVT_TIMER_ONE_SHOT (0u << 17)
#define VLAPIC_LVT_TIMER_PERIODIC (1u << 17)
#define VLAPIC_LVT_TIMER_DEADLINE (2u << 17)
#define VLAPIC_LVT_TIMER_MODE_MASK (3u << 17)

#define VLAPIC_ICR_LOGICAL (1u << 11)
#define VLAPIC_ICR_STATUS (1u << 12)
#define VLAPIC_ICR_ASSERT (1u << 14)
#define VLAPIC_ICR_LEVEL (1u << 15)
#define VLAPIC_ICR_SHORTHAND_SHIFT 18
#define VLAPIC_ICR_SHORTHAND_MASK (3u << 18)
#define VLAPIC_ICR_BITS 0x000CCFFFu /* of the low half, that software sets: the others are reserved, or the status */

/* ESR. */
#define VLAPIC_ESR_SEND_ACCEPT (1u << 2)
#define VLAPIC_ESR_RECEIVE_ACCEPT (1u << 3)
#define VLAPIC_ESR_REDIRECTABLE_IPI (1u << 4)
#define VLAPIC_ESR_SEND_ILLEGAL_VECTOR (1u << 5)
#define VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define VLAPIC_ESR_ILLEGAL_REGISTER (1u << 7)

/* AMD extended feature and extended control: same positions. */
#define VLAPIC_EXT_IER (1u << 0)
#define VLAPIC_EXT_SEOI (1u << 1)
#define VLAPIC_EXT_8BIT_ID (1u << 2)
#define VLAPIC_EXT_LVT_COUNT_SHIFT 16

/** Delivery modes: ICR and LVT bits 10:8, MSI data bits 10:8. */
enum vlapic_delivery {
    VLAPIC_DELIVERY_FIXED = 0,
    VLAPIC_DELIVERY_LOWEST = 1,
    VLAPIC_DELIVERY_SMI = 2,
    VLAPIC_DELIVERY_RESERVED = 3, /**< remote read on old buses; ignored from every source */
    VLAPIC_DELIVERY_NMI = 4,
    VLAPIC_DELIVERY_INIT = 5,
    VLAPIC_DELIVERY_SIPI = 6,
    VLAPIC_DELIVERY_EXTINT = 7
};

/** Destination shorthands: ICR bits 19:18. */
enum vlapic_shorthand {
    VLAPIC_SHORTHAND_NONE = 0,
    VLAPIC_SHORTHAND_SELF = 1,
    VLAPIC_SHORTHAND_ALL = 2,
    VLAPIC_SHORTHAND_OTHERS = 3
};

/** LVT entries, in the order that the version register counts them; then AMD's extended entries. */
enum vlapic_lvt {
    VLAPIC_LVT_TIMER = 0,
    VLAPIC_LVT_THERMAL = 1,
    VLAPIC_LVT_PERF = 2,
    VLAPIC_LVT_LINT0 = 3,
    VLAPIC_LVT_LINT1 = 4,
    VLAPIC_LVT_ERROR = 5,
    VLAPIC_LVT_CMCI = 6,
    VLAPIC_LVT_COUNT = 7,
    VLAPIC_LVT_EXT0 = 8 /**< extended entry n is VLAPIC_LVT_EXT0 + n, n < 8 */
};
#define VLAPIC_LVT_EXT_MAX 8u

#endif
