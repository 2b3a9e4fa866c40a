/* SPDX-License-Identifier: BSD-2-Clause */
/* What software injects at an entry: for the soft backend everything, in thin mode all but interrupts; with windows for what cannot be injected yet. */
#include "vm.h"

bool vcpu_can_take_interrupt(const struct vcpu *cpu)
{
    return (cpu->regs.rflags & RFLAGS_IF) != 0 && (cpu->shadow & (SHADOW_STI | SHADOW_MOV_SS)) == 0;
}

static bool can_take_nmi(const struct vcpu *cpu)
{
    return (cpu->shadow & (SHADOW_NMI | SHADOW_STI | SHADOW_MOV_SS)) == 0;
}

/* One event an entry: what was interrupted on its way comes first, then exceptions, NMIs, and interrupts last. */
static struct vcpu_event choose_core(const struct vcpu *cpu)
{
    if (cpu->in_flight.type != EVENT_NONE) {
        return cpu->in_flight;
    }
    if (cpu->gp_pending) {
        return (struct vcpu_event){ EVENT_EXCEPTION, 13 };
    }
    if (cpu->nmi_pending && can_take_nmi(cpu)) {
        return (struct vcpu_event){ EVENT_NMI, 2 };
    }
    return (struct vcpu_event){ EVENT_NONE, 0 };
}

static struct vcpu_event choose(struct vcpu *cpu, const struct vlapic_poll *duty)
{
    struct vcpu_event event = choose_core(cpu);

    if (event.type != EVENT_NONE) {
        return event;
    }
    if (duty->vector >= 0 && vcpu_can_take_interrupt(cpu) && vlapic_cpu_accept(cpu->apic, (uint8_t)duty->vector)) {
        return (struct vcpu_event){ EVENT_INTERRUPT, (uint8_t)duty->vector };
    }
    return (struct vcpu_event){ EVENT_NONE, 0 };
}

static void is_injected(struct vcpu *cpu, struct vcpu_entry *entry, bool again)
{
    if (again) {
        cpu->in_flight.type = EVENT_NONE;
    } else if (entry->event.type == EVENT_EXCEPTION) {
        cpu->gp_pending = false;
    } else if (entry->event.type == EVENT_NMI) {
        cpu->nmi_pending = false;
    }
    entry->nmi_window = cpu->nmi_pending;
    if (entry->event.type != EVENT_NONE) {
        trace(cpu, entry->event.type == EVENT_NMI ? 'N' : 'V', entry->event.vector, again);
    }
}

void vcpu_prepare_core(struct vcpu *cpu, struct vcpu_entry *entry)
{
    entry->event = choose_core(cpu);
    entry->window = false;
    is_injected(cpu, entry, cpu->in_flight.type != EVENT_NONE);
}

bool vcpu_prepare_soft(struct vcpu *cpu, const struct vlapic_poll *duty, struct vcpu_entry *entry)
{
    bool again = cpu->in_flight.type != EVENT_NONE, accepted;

    entry->event = choose(cpu, duty);
    accepted = entry->event.type == EVENT_INTERRUPT && !again;
    entry->window = duty->vector >= 0 && !accepted;
    if (!vlapic_cpu_enter(cpu->apic)) {
        if (accepted) {
            vlapic_cpu_unaccept(cpu->apic, entry->event.vector);
        }
        return false;
    }
    is_injected(cpu, entry, again);
    return true;
}
