/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMCB fields as a core sees them: its cached copies, which a clean bit lets it keep using. Reference 2.5. The model caches as much as
 * it may for as long as it may, so that a forgotten clear of a clean bit shows. A core remembers every VMCB that it ever ran. A VMCB that it
 * never ran and that claims to be clean gets copies of nothing: zeros, which VMRUN refuses.
 */
#include "svmhw_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct field {
    uint16_t offset;
    uint8_t bytes;
    uint8_t clean_bit;
    uint64_t mask;
};

#define AVIC_ENABLES (SVMHW_AVIC_ENABLE | SVMHW_X2AVIC_ENABLE)

static const struct field fields[SVMHW_C_COUNT] = {
    [SVMHW_C_CR] = { SVMHW_INTERCEPT_CR, 4, SVMHW_CLEAN_INTERCEPTS, UINT64_MAX },
    [SVMHW_C_EXCEPTIONS] = { SVMHW_INTERCEPT_EXCEPTIONS, 4, SVMHW_CLEAN_INTERCEPTS, UINT64_MAX },
    [SVMHW_C_WORD_3] = { SVMHW_INTERCEPT_3, 4, SVMHW_CLEAN_INTERCEPTS, UINT64_MAX },
    [SVMHW_C_WORD_4] = { SVMHW_INTERCEPT_4, 4, SVMHW_CLEAN_INTERCEPTS, UINT64_MAX },
    [SVMHW_C_WORD_5] = { SVMHW_INTERCEPT_5, 4, SVMHW_CLEAN_INTERCEPTS, UINT64_MAX },
    [SVMHW_C_IOPM] = { SVMHW_IOPM_BASE, 8, SVMHW_CLEAN_PERMISSION_MAPS, UINT64_MAX },
    [SVMHW_C_MSRPM] = { SVMHW_MSRPM_BASE, 8, SVMHW_CLEAN_PERMISSION_MAPS, UINT64_MAX },
    [SVMHW_C_ASID] = { SVMHW_ASID, 4, SVMHW_CLEAN_ASID, UINT64_MAX },
    [SVMHW_C_VINTR] = { SVMHW_VINTR_CONTROL, 8, SVMHW_CLEAN_VINTR, ~AVIC_ENABLES },
    [SVMHW_C_AVIC_ENABLE] = { SVMHW_VINTR_CONTROL, 8, SVMHW_CLEAN_AVIC, AVIC_ENABLES },
    [SVMHW_C_NP] = { SVMHW_NP, 8, SVMHW_CLEAN_NP, UINT64_MAX },
    [SVMHW_C_N_CR3] = { SVMHW_N_CR3, 8, SVMHW_CLEAN_NP, UINT64_MAX },
    [SVMHW_C_CR0] = { SVMHW_CR0, 8, SVMHW_CLEAN_CR, UINT64_MAX },
    [SVMHW_C_CPL] = { SVMHW_CPL, 1, SVMHW_CLEAN_SEGMENTS, UINT64_MAX },
    [SVMHW_C_APIC_BAR] = { SVMHW_APIC_BAR, 8, SVMHW_CLEAN_AVIC, UINT64_MAX },
    [SVMHW_C_BACKING_PAGE] = { SVMHW_BACKING_PAGE, 8, SVMHW_CLEAN_AVIC, UINT64_MAX },
    [SVMHW_C_LOGICAL_TABLE] = { SVMHW_LOGICAL_TABLE, 8, SVMHW_CLEAN_AVIC, UINT64_MAX },
    [SVMHW_C_PHYSICAL_TABLE] = { SVMHW_PHYSICAL_TABLE, 8, SVMHW_CLEAN_AVIC, UINT64_MAX },
};

static struct svmhw_cached_vmcb *copies_of(struct svmhw_core *core, uint64_t vmcb_pa)
{
    for (unsigned i = 0; i < SVMHW_VMCBS; i++) {
        struct svmhw_cached_vmcb *cached = &core->caches[i];

        if (!cached->used) {
            cached->used = true;
            cached->vmcb_pa = vmcb_pa;
        }
        if (cached->vmcb_pa == vmcb_pa) {
            return cached;
        }
    }
    fprintf(stderr, "svmhw: more than %d VMCBs on one core\n", SVMHW_VMCBS);
    abort();
}

static bool clean(uint32_t bits, unsigned bit)
{
    return bits >> bit & 1;
}

static bool may_use_copy(const struct svmhw_core *core, unsigned field, uint32_t bits)
{
    if (field == SVMHW_C_AVIC_ENABLE) {
        switch (core->machine->readings.play[4]) {
        case SVMHW_A4_BIT_3:
            return clean(bits, SVMHW_CLEAN_VINTR);
        case SVMHW_A4_BIT_11:
            return clean(bits, SVMHW_CLEAN_AVIC);
        case SVMHW_A4_NEVER_CACHED:
            return false;
        default:
            return clean(bits, SVMHW_CLEAN_VINTR) || clean(bits, SVMHW_CLEAN_AVIC);
        }
    }
    return clean(bits, fields[field].clean_bit);
}

static void load_permissions(struct svmhw_core *core, uint32_t bits)
{
    struct svmhw_cached_vmcb *cached = core->cached;
    const uint8_t *map = svmhw_memory(core->machine, cached->value[SVMHW_C_MSRPM] & SVMHW_ENTRY_PAGE,
                                      2 * (size_t)SVMHW_PAGE_BYTES);

    if (!map) {
        return;
    }
    map += 0x200;
    if (!clean(bits, SVMHW_CLEAN_PERMISSION_MAPS)) {
        memcpy(cached->msrpm_x2apic, map, sizeof cached->msrpm_x2apic);
    } else if (memcmp(cached->msrpm_x2apic, map, sizeof cached->msrpm_x2apic) != 0) {
        svmhw_tell(core, SVMHW_TRACE_STALE_FIELD, SVMHW_CLEAN_PERMISSION_MAPS, SVMHW_MSRPM_BASE);
    }
}

void svmhw_load_fields(struct svmhw_core *core)
{
    uint32_t bits = core->machine->capabilities.vmcb_clean ? (uint32_t)svmhw_get(core->vmcb + SVMHW_CLEAN, 4)
                                                           : UINT32_C(0);

    core->cached = copies_of(core, core->vmcb_pa);
    for (unsigned i = 0; i < SVMHW_C_COUNT; i++) {
        const struct field *f = &fields[i];
        uint64_t in_memory = svmhw_get(core->vmcb + f->offset, f->bytes) & f->mask;

        if (!may_use_copy(core, i, bits)) {
            core->cached->value[i] = in_memory;
        } else if (core->cached->value[i] != in_memory) {
            svmhw_tell(core, SVMHW_TRACE_STALE_FIELD, f->clean_bit, f->offset);
        }
    }
    if (core->machine->options.msrpm_cached) {
        load_permissions(core, bits);
    }
}

uint64_t svmhw_field(const struct svmhw_core *core, enum svmhw_cached_field field)
{
    return core->cached->value[field];
}

bool svmhw_intercepts(const struct svmhw_core *core, unsigned exitcode)
{
    static const enum svmhw_cached_field words[] = { SVMHW_C_CR,     SVMHW_C_COUNT,  SVMHW_C_EXCEPTIONS,
                                                     SVMHW_C_WORD_3, SVMHW_C_WORD_4, SVMHW_C_WORD_5 };

    return svmhw_field(core, words[exitcode / 32]) >> exitcode % 32 & 1;
}

bool svmhw_has_avic(const struct svmhw_core *core)
{
    return svmhw_field(core, SVMHW_C_AVIC_ENABLE) & SVMHW_AVIC_ENABLE;
}

bool svmhw_has_x2avic(const struct svmhw_core *core)
{
    return svmhw_has_avic(core) && (svmhw_field(core, SVMHW_C_AVIC_ENABLE) & SVMHW_X2AVIC_ENABLE);
}

bool svmhw_v_intr(const struct svmhw_core *core, uint64_t bit)
{
    return svmhw_field(core, SVMHW_C_VINTR) & bit;
}

uint32_t svmhw_max_index(const struct svmhw_core *core)
{
    return (uint32_t)svmhw_field(core, SVMHW_C_PHYSICAL_TABLE) & 0xFFF;
}

bool svmhw_nested_paging(const struct svmhw_core *core)
{
    return svmhw_field(core, SVMHW_C_NP) & 1;
}
