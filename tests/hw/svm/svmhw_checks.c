/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks of VMRUN: what they do not let through is VMEXIT_INVALID. Reference 4.6, 2.4, 2.1. */
#include "svmhw_internal.h"

static bool address_is_legal(const struct svmhw_core *core, enum svmhw_cached_field field, uint64_t bytes)
{
    return svmhw_in_range(core->machine, svmhw_field(core, field) & SVMHW_ENTRY_PAGE, bytes);
}

static bool memory_is_there(const struct svmhw_core *core, enum svmhw_cached_field field, unsigned pages)
{
    uint64_t pa = svmhw_field(core, field) & SVMHW_ENTRY_PAGE;

    for (unsigned i = 0; i < pages; i++) {
        if (!svmhw_memory(core->machine, pa + (uint64_t)i * SVMHW_PAGE_BYTES, SVMHW_PAGE_BYTES)) {
            return false;
        }
    }
    return true;
}

/* A capability that is missing makes its enable bit illegal: a choice of the model, the reference has no rule. */
static bool enables_are_legal(const struct svmhw_core *core)
{
    const struct svmhw_capabilities *can = &core->machine->capabilities;
    uint64_t enables = svmhw_field(core, SVMHW_C_AVIC_ENABLE);

    if ((enables & SVMHW_X2AVIC_ENABLE) && !(enables & SVMHW_AVIC_ENABLE)) {
        return false;
    }
    if ((enables & SVMHW_AVIC_ENABLE) && !can->avic) {
        return false;
    }
    if ((enables & SVMHW_X2AVIC_ENABLE) && !can->x2avic) {
        return false;
    }
    if (svmhw_v_intr(core, SVMHW_V_GIF_ENABLE) && !can->vgif) {
        return false;
    }
    return !svmhw_v_intr(core, SVMHW_V_NMI_ENABLE) || (can->vnmi && svmhw_intercepts(core, SVMHW_EXIT_NMI));
}

static bool index_is_legal(const struct svmhw_core *core)
{
    uint32_t max = svmhw_max_index(core);

    if (!svmhw_has_x2avic(core)) {
        return max <= 255;
    }
    return core->machine->capabilities.x2avic_4096 || max <= 511; /* A32 */
}

static bool pointers_are_legal(const struct svmhw_core *core)
{
    bool x2avic = svmhw_has_x2avic(core);
    unsigned table_pages = x2avic ? (svmhw_max_index(core) >> 9) + 1 : 1;

    if (!memory_is_there(core, SVMHW_C_BACKING_PAGE, 1) ||
        !memory_is_there(core, SVMHW_C_PHYSICAL_TABLE, table_pages)) {
        return false;
    }
    if (x2avic && svmhw_plays(core, 6, SVMHW_A6_UNUSED)) {
        return true;
    }
    if (!address_is_legal(core, SVMHW_C_APIC_BAR, SVMHW_PAGE_BYTES) ||
        !address_is_legal(core, SVMHW_C_LOGICAL_TABLE, SVMHW_PAGE_BYTES)) {
        return false;
    }
    return x2avic || memory_is_there(core, SVMHW_C_LOGICAL_TABLE, 1);
}

/* Restricted Injection, Alternate Injection, Secure AVIC. */
#define SEV_FEATURES_AGAINST_AVIC (UINT64_C(1) << 3 | UINT64_C(1) << 4 | UINT64_C(1) << 16)

static bool owner_is_legal(const struct svmhw_core *core)
{
    const struct svmhw_machine *machine = core->machine;

    if (!machine->capabilities.snp_host || !machine->callbacks.hypervisor_owned) {
        return true;
    }
    return machine->callbacks.hypervisor_owned(machine->context,
                                               svmhw_field(core, SVMHW_C_BACKING_PAGE) & SVMHW_ENTRY_PAGE);
}

static bool avic_is_legal(const struct svmhw_core *core)
{
    bool sev_es = svmhw_field(core, SVMHW_C_NP) & 4;

    if (!svmhw_has_avic(core)) {
        return true;
    }
    if (sev_es && (svmhw_get(core->vmcb + SVMHW_SEV_FEATURES, 8) & SEV_FEATURES_AGAINST_AVIC)) {
        return false;
    }
    if (!svmhw_nested_paging(core) && svmhw_plays(core, 7, SVMHW_A7_INVALID)) {
        return false;
    }
    return index_is_legal(core) && pointers_are_legal(core) && owner_is_legal(core);
}

static bool injection_is_legal(const struct svmhw_core *core)
{
    uint64_t event = svmhw_get(core->vmcb + SVMHW_EVENTINJ, 8);
    unsigned vector = event & 0xFF;

    if (!(event & SVMHW_EVENT_VALID)) {
        return true;
    }
    switch (event >> 8 & 7) {
    case SVMHW_TYPE_INTR:
    case SVMHW_TYPE_NMI:
    case SVMHW_TYPE_SOFTWARE:
        return true;
    case SVMHW_TYPE_EXCEPTION:
        return vector < 32 && vector != 2;
    default:
        return false;
    }
}

static bool tlb_control_is_legal(const struct svmhw_core *core)
{
    switch (core->vmcb[SVMHW_TLB_CONTROL]) {
    case 0:
    case 1:
        return true;
    case 3:
    case 7:
        return core->machine->capabilities.flush_by_asid;
    default:
        return false;
    }
}

static bool maps_are_legal(const struct svmhw_core *core)
{
    bool msrpm = address_is_legal(core, SVMHW_C_MSRPM, 2 * (uint64_t)SVMHW_PAGE_BYTES);

    if (svmhw_intercepts(core, SVMHW_EXIT_MSR) && !memory_is_there(core, SVMHW_C_MSRPM, 2)) {
        return false;
    }
    return msrpm && address_is_legal(core, SVMHW_C_IOPM, 3 * (uint64_t)SVMHW_PAGE_BYTES);
}

static bool nested_paging_is_legal(const struct svmhw_core *core)
{
    if (!svmhw_nested_paging(core)) {
        return true;
    }
    return core->host_paging && svmhw_in_range(core->machine, svmhw_field(core, SVMHW_C_N_CR3), 1);
}

static bool cr0_is_legal(const struct svmhw_core *core)
{
    uint64_t cr0 = svmhw_field(core, SVMHW_C_CR0);
    bool cd = cr0 >> 30 & 1, nw = cr0 >> 29 & 1;

    return cr0 >> 32 == 0 && (cd || !nw);
}

bool svmhw_vmcb_is_legal(struct svmhw_core *core)
{
    return svmhw_intercepts(core, SVMHW_EXIT_VMRUN) && svmhw_field(core, SVMHW_C_ASID) != 0 &&
           enables_are_legal(core) && avic_is_legal(core) && injection_is_legal(core) && tlb_control_is_legal(core) &&
           maps_are_legal(core) && nested_paging_is_legal(core) && cr0_is_legal(core);
}
