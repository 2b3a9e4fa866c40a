/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the model finds things in a VMCB, and what its bits are called. Reference 2.1 to 2.6. Offsets are from the start of the
 * page; the model reads and writes little-endian bytes there and nowhere else.
 */
#ifndef TESTS_SVMHW_VMCB_H
#define TESTS_SVMHW_VMCB_H

#include <stdint.h>

/* Reference 2.1. */
enum svmhw_field {
    SVMHW_INTERCEPT_CR = 0x000,
    SVMHW_INTERCEPT_EXCEPTIONS = 0x008,
    SVMHW_INTERCEPT_3 = 0x00C,
    SVMHW_INTERCEPT_4 = 0x010,
    SVMHW_INTERCEPT_5 = 0x014,
    SVMHW_IOPM_BASE = 0x040,
    SVMHW_MSRPM_BASE = 0x048,
    SVMHW_ASID = 0x058,
    SVMHW_TLB_CONTROL = 0x05C,
    SVMHW_VINTR_CONTROL = 0x060,
    SVMHW_SHADOW = 0x068,
    SVMHW_EXITCODE = 0x070,
    SVMHW_EXITINFO1 = 0x078,
    SVMHW_EXITINFO2 = 0x080,
    SVMHW_EXITINTINFO = 0x088,
    SVMHW_NP = 0x090,
    SVMHW_APIC_BAR = 0x098,
    SVMHW_EVENTINJ = 0x0A8,
    SVMHW_N_CR3 = 0x0B0,
    SVMHW_CLEAN = 0x0C0,
    SVMHW_NRIP = 0x0C8,
    SVMHW_FETCHED = 0x0D0,
    SVMHW_BACKING_PAGE = 0x0E0,
    SVMHW_LOGICAL_TABLE = 0x0F0,
    SVMHW_PHYSICAL_TABLE = 0x0F8,
    SVMHW_SEV_FEATURES = 0x140,
    SVMHW_CPL = 0x4CB,
    SVMHW_CR0 = 0x558,
    SVMHW_RFLAGS = 0x570,
    SVMHW_RIP = 0x578
};

/* Reference 2.2: 060h. */
#define SVMHW_V_TPR UINT64_C(0xF)
#define SVMHW_V_IRQ (UINT64_C(1) << 8)
#define SVMHW_V_GIF (UINT64_C(1) << 9)
#define SVMHW_V_NMI (UINT64_C(1) << 11)
#define SVMHW_V_NMI_MASK (UINT64_C(1) << 12)
#define SVMHW_V_INTR_PRIO_SHIFT 16
#define SVMHW_V_IGN_TPR (UINT64_C(1) << 20)
#define SVMHW_V_INTR_MASKING (UINT64_C(1) << 24)
#define SVMHW_V_GIF_ENABLE (UINT64_C(1) << 25)
#define SVMHW_V_NMI_ENABLE (UINT64_C(1) << 26)
#define SVMHW_X2AVIC_ENABLE (UINT64_C(1) << 30)
#define SVMHW_AVIC_ENABLE (UINT64_C(1) << 31)
#define SVMHW_V_INTR_VECTOR_SHIFT 32

/* Reference 2.3: intercepts, as the exit code that each causes. */
enum svmhw_exitcode {
    SVMHW_EXIT_CR8_READ = 0x08,
    SVMHW_EXIT_CR8_WRITE = 0x18,
    SVMHW_EXIT_GP = 0x4D,
    SVMHW_EXIT_INTR = 0x60,
    SVMHW_EXIT_NMI = 0x61,
    SVMHW_EXIT_SMI = 0x62,
    SVMHW_EXIT_INIT = 0x63,
    SVMHW_EXIT_VINTR = 0x64,
    SVMHW_EXIT_POPF = 0x71,
    SVMHW_EXIT_IRET = 0x74,
    SVMHW_EXIT_HLT = 0x78,
    SVMHW_EXIT_MSR = 0x7C,
    SVMHW_EXIT_TASK_SWITCH = 0x7D,
    SVMHW_EXIT_VMRUN = 0x80,
    SVMHW_EXIT_STGI = 0x84,
    SVMHW_EXIT_CLGI = 0x85,
    SVMHW_EXIT_CR8_TRAP = 0x98,
    SVMHW_EXIT_IDLE_HLT = 0xA6,
    SVMHW_EXIT_NPF = 0x400,
    SVMHW_EXIT_INCOMPLETE_IPI = 0x401,
    SVMHW_EXIT_NOACCEL = 0x402
};
#define SVMHW_EXIT_INVALID UINT64_MAX

/* Reference 2.4: EVENTINJ and EXITINTINFO. */
#define SVMHW_EVENT_VALID (UINT64_C(1) << 31)
enum svmhw_event_type { SVMHW_TYPE_INTR = 0, SVMHW_TYPE_NMI = 2, SVMHW_TYPE_EXCEPTION = 3, SVMHW_TYPE_SOFTWARE = 4 };

/* Reference 2.5: clean bits. */
enum svmhw_clean {
    SVMHW_CLEAN_INTERCEPTS = 0,
    SVMHW_CLEAN_PERMISSION_MAPS = 1,
    SVMHW_CLEAN_ASID = 2,
    SVMHW_CLEAN_VINTR = 3,
    SVMHW_CLEAN_NP = 4,
    SVMHW_CLEAN_CR = 5,
    SVMHW_CLEAN_SEGMENTS = 8,
    SVMHW_CLEAN_AVIC = 11
};

/* Reference 4.3: an entry of the physical APIC ID table; 4.4: of the logical one. */
#define SVMHW_ENTRY_VALID (UINT64_C(1) << 63)
#define SVMHW_ENTRY_RUNNING (UINT64_C(1) << 62)
#define SVMHW_ENTRY_PAGE UINT64_C(0x000FFFFFFFFFF000)
#define SVMHW_LOGICAL_VALID (UINT32_C(1) << 31)

#endif
