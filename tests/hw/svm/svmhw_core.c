/* SPDX-License-Identifier: BSD-2-Clause */
/* A core: its making, the physical events that wait for it, and two helpers that all files use. */
#include "svmhw_internal.h"

#include <string.h>

const struct svmhw_capabilities svmhw_all_capabilities = {
    .avic = true,
    .x2avic = true,
    .x2avic_4096 = true,
    .vnmi = true,
    .vgif = true,
    .nrip_save = true,
    .decode_assists = true,
    .vmcb_clean = true,
    .flush_by_asid = true,
    .extended_lvt_access = true,
    .idle_hlt = true,
};

void svmhw_core_init(struct svmhw_core *core, const struct svmhw_machine *machine, uint32_t host_apic_id)
{
    memset(core, 0, sizeof *core);
    core->machine = machine;
    core->host_apic_id = host_apic_id;
    core->host_if = true;
    core->host_paging = true;
    core->instruction_length = 3;
    core->recognised = SVMHW_NO_VECTOR;
}

bool svmhw_plays(const struct svmhw_core *core, unsigned ambiguity, unsigned reading)
{
    return core->machine->readings.play[ambiguity] == reading;
}

void svmhw_tell(struct svmhw_core *core, enum svmhw_trace what, uint64_t a, uint64_t b)
{
    const struct svmhw_machine *machine = core->machine;

    if (machine->callbacks.trace) {
        machine->callbacks.trace(machine->context, core, what, a, b);
    }
}

struct svmhw_result svmhw_gp(struct svmhw_core *core)
{
    if (svmhw_intercepts(core, SVMHW_EXIT_GP)) {
        return svmhw_exits(core, &(struct svmhw_exit){ .code = SVMHW_EXIT_GP, .info1_defined = UINT64_MAX });
    }
    return (struct svmhw_result){ .happened = SVMHW_GP };
}

void svmhw_physical_raise(struct svmhw_core *core, enum svmhw_physical event, uint8_t vector)
{
    if (event == SVMHW_PHYSICAL_INTR) {
        __atomic_store_n(&core->intr_vector, vector, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_or(&core->physical_pending, 1u << event, __ATOMIC_SEQ_CST);
}

bool svmhw_host_takes(struct svmhw_core *core, enum svmhw_physical event, uint8_t *vector)
{
    uint32_t before = __atomic_fetch_and(&core->physical_pending, ~(1u << event), __ATOMIC_SEQ_CST);

    *vector = event == SVMHW_PHYSICAL_INTR ? (uint8_t)__atomic_load_n(&core->intr_vector, __ATOMIC_SEQ_CST) : 0;
    return before >> event & 1;
}
