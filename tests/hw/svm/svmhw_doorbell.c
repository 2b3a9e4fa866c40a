/* SPDX-License-Identifier: BSD-2-Clause */
/* Doorbells, sent and received. Reference 6.7 and 16.7. */
#include "svmhw_internal.h"

void svmhw_doorbell_send(const struct svmhw_machine *machine, struct svmhw_core *sender, uint32_t host_apic_id)
{
    if (machine->callbacks.trace) {
        machine->callbacks.trace(machine->context, sender, SVMHW_TRACE_DOORBELL_SENT, host_apic_id, 0);
    }
    if (machine->callbacks.doorbell) {
        machine->callbacks.doorbell(machine->context, sender, host_apic_id);
    }
}

void svmhw_doorbell_arrives(struct svmhw_core *core)
{
    const struct svmhw_machine *machine = core->machine;

    if (__atomic_load_n(&core->in_guest, __ATOMIC_SEQ_CST) || svmhw_plays(core, 20, SVMHW_A20_LATCHED)) {
        __atomic_store_n(&core->bell, 1, __ATOMIC_SEQ_CST);
    } else if (svmhw_plays(core, 20, SVMHW_A20_HOST_INTERRUPT) && machine->callbacks.host_interrupt) {
        machine->callbacks.host_interrupt(machine->context, core);
    }
}

/* A19. */
bool svmhw_host_writes_doorbell(struct svmhw_core *core, uint64_t value)
{
    uint64_t faults = UINT64_C(0xFFFFFFFF00000000), mask = UINT64_C(0xFFFFFFFF);

    if (svmhw_plays(core, 19, SVMHW_A19_8_BITS)) {
        faults = ~UINT64_C(0xFF);
    } else if (svmhw_plays(core, 19, SVMHW_A19_12_BITS)) {
        faults = 0;
        mask = 0xFFF;
    }
    if (value & faults) {
        return false;
    }
    svmhw_doorbell_send(core->machine, core, (uint32_t)(value & mask));
    return true;
}

bool svmhw_host_reads_doorbell(struct svmhw_core *core, uint64_t *value)
{
    (void)core;
    *value = 0;
    return false;
}
