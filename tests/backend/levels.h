/* SPDX-License-Identifier: BSD-2-Clause */
/* The levels of the vmx backend that everything is run on. */
#ifndef TESTS_BACKEND_LEVELS_H
#define TESTS_BACKEND_LEVELS_H

#include <vlapic/vmx.h>

struct vmx_level {
    const char *name;
    uint32_t features;
};

#define LEVEL_SHADOW VLAPIC_VMX_TPR_SHADOW
#define LEVEL_ACCESS (LEVEL_SHADOW | VLAPIC_VMX_APIC_ACCESS)
#define LEVEL_REGISTERS (LEVEL_ACCESS | VLAPIC_VMX_REGISTERS)
#define LEVEL_DELIVERY (LEVEL_REGISTERS | VLAPIC_VMX_DELIVERY)
#define LEVEL_POSTED (LEVEL_DELIVERY | VLAPIC_VMX_POSTED)
#define LEVEL_IPI (LEVEL_POSTED | VLAPIC_VMX_IPI)

static const struct vmx_level vmx_levels[] = {
    { "none", 0 },
    { "TPR shadow", LEVEL_SHADOW },
    { "APIC accesses", LEVEL_ACCESS },
    { "x2APIC mode", LEVEL_ACCESS | VLAPIC_VMX_X2APIC },
    { "registers", LEVEL_REGISTERS | VLAPIC_VMX_X2APIC },
    { "delivery", LEVEL_DELIVERY | VLAPIC_VMX_X2APIC },
    { "delivery, no x2APIC mode", LEVEL_DELIVERY },
    { "delivery alone", LEVEL_ACCESS | VLAPIC_VMX_DELIVERY },
    { "posted", LEVEL_POSTED | VLAPIC_VMX_X2APIC },
    { "IPI", LEVEL_IPI | VLAPIC_VMX_X2APIC },
};
#define VMX_LEVELS (sizeof vmx_levels / sizeof vmx_levels[0])

#endif
