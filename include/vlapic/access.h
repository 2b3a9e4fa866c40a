/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * \file
 * What the guest does to its local APIC: memory window, MSRs, CR8. All of it happens in the owner thread. After any of these
 * calls the owner polls (run.h) before it enters the guest again.
 */
#ifndef VLAPIC_ACCESS_H
#define VLAPIC_ACCESS_H

#include "cpu.h"
#include "platform.h"
#include "status.h"

VLAPIC_BEGIN_DECLS

/**
 * A read from the 4-KiB window. Well formed are 1, 2 or 4 bytes inside the low four of a 16-byte slot; any other read
 * gives zero in every byte.
 * \param cpu     the vCPU
 * \param offset  from the window's start, 0..FFFh; larger offsets are not ours
 * \param length  bytes, 1..8; wider accesses are split by the caller or get zeros
 * \param value   receives the bytes, little-endian, upper bytes zero; untouched if not ours
 * \return VLAPIC_ACCESS_DONE, or VLAPIC_ACCESS_NOT_MINE if the APIC is disabled or in x2APIC mode
 * \ctx_owner
 * \manual{Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map"}
 */
enum vlapic_access vlapic_cpu_mmio_read(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t *value);

/**
 * A write to the 4-KiB window. Well formed are 4 bytes at the start of a 16-byte slot; any other write is dropped, but for
 * 1 and 2 bytes with the setting narrow_write_merge.
 * \param cpu     the vCPU
 * \param offset  from the window's start, 0..FFFh; larger offsets are not ours
 * \param length  bytes, 1..8
 * \param value   the bytes, little-endian
 * \return VLAPIC_ACCESS_DONE, or VLAPIC_ACCESS_NOT_MINE if the APIC is disabled or in x2APIC mode
 * \ctx_owner
 * \manual{Intel SDM 3A, "The Local APIC Block Diagram", table "Local APIC Register Address Map"}
 */
enum vlapic_access vlapic_cpu_mmio_write(struct vlapic_cpu *cpu, uint32_t offset, uint32_t length, uint64_t value);

/**
 * RDMSR of IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h) or 800h..8FFh. The caller has checked CPL.
 * \param cpu    the vCPU
 * \param msr    MSR number
 * \param value  receives all 64 bits; untouched unless done
 * \return VLAPIC_ACCESS_DONE, VLAPIC_ACCESS_GP, or VLAPIC_ACCESS_NOT_MINE for any other MSR
 * \ctx_owner
 * \manual{Intel SDM 3A, "x2APIC Register Address Space", "Reserved Bit Checking", "TSC-Deadline Mode"}
 */
enum vlapic_access vlapic_cpu_msr_read(struct vlapic_cpu *cpu, uint32_t msr, uint64_t *value);

/**
 * WRMSR of IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h) or 800h..8FFh. The caller has checked CPL.
 * \param cpu    the vCPU
 * \param msr    MSR number
 * \param value  all 64 bits
 * \return VLAPIC_ACCESS_DONE, VLAPIC_ACCESS_GP (nothing was changed), or VLAPIC_ACCESS_NOT_MINE for any other MSR
 * \ctx_owner
 * \manual{Intel SDM 3A, "x2APIC Register Address Space", "x2APIC State Transitions", "TSC-Deadline Mode"}
 */
enum vlapic_access vlapic_cpu_msr_write(struct vlapic_cpu *cpu, uint32_t msr, uint64_t value);

/**
 * MOV from CR8.
 * \param cpu  the vCPU
 * \return TPR bits 7:4 in bits 3:0, in every mode of the APIC
 * \ctx_owner
 * \manual{Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC"}
 */
uint64_t vlapic_cpu_cr8_read(struct vlapic_cpu *cpu);

/**
 * MOV to CR8: TPR bits 7:4 := value bits 3:0, TPR bits 3:0 := 0, in every mode of the APIC.
 * \param cpu    the vCPU
 * \param value  the 64-bit source
 * \return VLAPIC_ACCESS_DONE, or VLAPIC_ACCESS_GP if bits 63:4 are not all zero
 * \ctx_owner
 * \manual{Intel SDM 3A, "Interaction of Task Priorities between CR8 and APIC"}
 */
enum vlapic_access vlapic_cpu_cr8_write(struct vlapic_cpu *cpu, uint64_t value);

/**
 * IA32_APIC_BASE as it stands: mode (EN, EXTD), BSP bit and base of the window.
 * \param cpu  the vCPU
 * \return the MSR's value
 * \ctx_owner
 * \manual{Intel SDM 3A, "Local APIC Status and Location"}
 */
uint64_t vlapic_cpu_apic_base(const struct vlapic_cpu *cpu);

VLAPIC_END_DECLS

#endif
