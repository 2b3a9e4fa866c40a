/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * Which accesses a host that leaves the physical APIC to its guest has to see, and how the MSRs among them are trapped: Intel's MSR
 * bitmap, AMD's MSR permission map (docs/THIN.md). The maps' functions serve any MSR. Optional at link time; pure functions; independent of
 * the rest of the library.
 */
#ifndef VLAPIC_TRAP_H
#define VLAPIC_TRAP_H

#include "platform.h"

VLAPIC_BEGIN_DECLS

/** Why an access has to be seen. */
enum vlapic_trap {
    VLAPIC_TRAP_NONE = 0, /**< it need not: EOI, TPR, timer, SELF IPI and all else concern this CPU alone */
    VLAPIC_TRAP_ICR = 1,  /**< it sends an IPI */
    VLAPIC_TRAP_BASE =
        2 /**< it changes the mode of the APIC, or where its window lies: what is trapped changes with it */
};

/** Bits of an access set. */
#define VLAPIC_TRAP_READ (1u << 0)
#define VLAPIC_TRAP_WRITE (1u << 1)

/** Sizes of the two maps. Either is page aligned and physically contiguous. */
#define VLAPIC_TRAP_VMX_BYTES 4096u
#define VLAPIC_TRAP_SVM_BYTES 8192u

/**
 * An access to the xAPIC window. A write of ICR low sends; ICR high (310h) never does by itself, and is read back from the APIC when
 * ICR low is written. What touches any of the bytes 300h..30Fh counts as well, since the manuals do not say what such a write does, and there are
 * APICs that decode bits 11:4 of the address alone.
 * \param offset  from the window's start
 * \param length  bytes; 0 touches nothing
 * \param write   a write
 * \return VLAPIC_TRAP_NONE or VLAPIC_TRAP_ICR
 * \ctx_any
 * \manual{Intel SDM 3A, "Interrupt Command Register (ICR)"}
 */
enum vlapic_trap vlapic_trap_mmio(uint32_t offset, uint32_t length, bool write);

/**
 * An access to an MSR.
 * \param msr    its number
 * \param write  WRMSR
 * \return VLAPIC_TRAP_ICR for a write of 830h, VLAPIC_TRAP_BASE for one of 1Bh, else VLAPIC_TRAP_NONE
 * \ctx_any
 * \manual{Intel SDM 3A, "ICR Operation in x2APIC Mode", "Local APIC Status and Location"}
 */
enum vlapic_trap vlapic_trap_msr(uint32_t msr, bool write);

/**
 * Sets or clears the exits of one MSR in an Intel MSR bitmap. A map that several threads change is the caller's to lock.
 * \param bitmap  VLAPIC_TRAP_VMX_BYTES bytes
 * \param msr     its number
 * \param access  VLAPIC_TRAP_READ, VLAPIC_TRAP_WRITE or both: which of the two to set or clear; the other stays
 * \param trap    true: exit
 * \return false, and nothing is changed, if the map does not have the MSR: 0..1FFFh and C0000000h..C0001FFFh; others always exit
 * \ctx_any
 * \manual{Intel SDM 3C, "MSR-Bitmap Address"}
 */
bool vlapic_trap_vmx_set(uint8_t *bitmap, uint32_t msr, uint32_t access, bool trap);

/**
 * What an Intel MSR bitmap says of one MSR.
 * \param bitmap  VLAPIC_TRAP_VMX_BYTES bytes
 * \param msr     its number
 * \return the accesses that exit: VLAPIC_TRAP_READ and VLAPIC_TRAP_WRITE bits; both if the map does not have the MSR
 * \ctx_any
 * \manual{Intel SDM 3C, "MSR-Bitmap Address"}
 */
uint32_t vlapic_trap_vmx_get(const uint8_t *bitmap, uint32_t msr);

/**
 * Sets or clears the intercepts of one MSR in an AMD MSR permission map. A map that several threads change is the caller's to lock.
 * \param map     VLAPIC_TRAP_SVM_BYTES bytes
 * \param msr     its number
 * \param access  VLAPIC_TRAP_READ, VLAPIC_TRAP_WRITE or both: which of the two to set or clear; the other stays
 * \param trap    true: intercept
 * \return false, and nothing is changed, if the map does not have the MSR: 0..1FFFh, C0000000h..C0001FFFh and C0010000h..C0011FFFh; others
 *         are always intercepted
 * \ctx_any
 * \manual{AMD APM 2, "MSR Intercepts"}
 */
bool vlapic_trap_svm_set(uint8_t *map, uint32_t msr, uint32_t access, bool trap);

/**
 * What an AMD MSR permission map says of one MSR.
 * \param map  VLAPIC_TRAP_SVM_BYTES bytes
 * \param msr  its number
 * \return the accesses that are intercepted: VLAPIC_TRAP_READ and VLAPIC_TRAP_WRITE bits; both if the map does not have the MSR
 * \ctx_any
 * \manual{AMD APM 2, "MSR Intercepts"}
 */
uint32_t vlapic_trap_svm_get(const uint8_t *map, uint32_t msr);

VLAPIC_END_DECLS

#endif
