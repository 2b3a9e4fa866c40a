/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is sent to a vCPU, and what the vmm does about it.
 *
 * A poll takes events out of the library, and the vmm polls in places where it cannot act on one (its question for a vector, its decision to
 * sleep). So that none is lost there, they are held until the next vlapic_bhyve_events(), which comes in time: an event that is
 * found by a later look before the same entry came with interrupts disabled, so that the interrupt by which notify() told of it
 * ends the entry at once; and a vCPU does not go to sleep over one (vlapic_bhyve_events_pending()).
 */
#include "vlapic_bhyve_internal.h"

/* ---- sent ---- */

bool vlapic_bhyve_set_intr_ready(struct vlapic_bhyve_cpu *cpu, int vector, bool level)
{
    return vector >= 0 && vector <= 255 && vlapic_cpu_post(cpu->apic, (uint8_t)vector, level);
}

void vlapic_bhyve_deliver(struct vlapic_bhyve_vm *vm, bool level, uint32_t destination, bool physical, int delivery,
                          int vector)
{
    struct vlapic_message message = {
        .destination = destination,
        .delivery = (enum vlapic_delivery)(delivery & 7),
        .vector = (uint8_t)vector,
        .logical = !physical,
        .level = level,
    };

    (void)vlapic_vm_deliver(vm->fabric, &message);
}

int vlapic_bhyve_msi(struct vlapic_bhyve_vm *vm, uint64_t address, uint64_t data)
{
    return vlapic_vm_msi(vm->fabric, address, (uint32_t)data, NULL) == VLAPIC_ACCESS_DONE ? 0 : EINVAL;
}

void vlapic_bhyve_set_lint(struct vlapic_bhyve_vm *vm, struct vlapic_bhyve_cpu *cpu, int pin, bool asserted)
{
    if (cpu != NULL) {
        vlapic_cpu_lint(cpu->apic, (uint32_t)pin, asserted);
        return;
    }
    for (unsigned int i = 0; i < vm->max_cpus; i++) {
        cpu = vlapic_bhyve_cpu_at(vm, i);
        if (cpu != NULL) {
            vlapic_cpu_lint(cpu->apic, (uint32_t)pin, asserted);
        }
    }
}

int vlapic_bhyve_trigger_lvt(struct vlapic_bhyve_vm *vm, struct vlapic_bhyve_cpu *cpu, enum vlapic_lvt entry)
{
    switch (entry) {
    case VLAPIC_LVT_LINT0:
    case VLAPIC_LVT_LINT1:
        vlapic_bhyve_set_lint(vm, cpu, entry == VLAPIC_LVT_LINT1, true);
        vlapic_bhyve_set_lint(vm, cpu, entry == VLAPIC_LVT_LINT1, false);
        return 0;
    case VLAPIC_LVT_THERMAL:
    case VLAPIC_LVT_PERF:
    case VLAPIC_LVT_CMCI:
        if (cpu != NULL) {
            vlapic_cpu_lvt_event(cpu->apic, entry);
        } else {
            vlapic_vm_lvt_event(vm->fabric, entry);
        }
        return 0;
    default:
        return EINVAL;
    }
}

/* ---- taken ---- */

/* Polls; what is no level stays until it is handed over. A SIPI is told only after the INIT before it was taken. */
static void look(struct vlapic_bhyve_cpu *cpu)
{
    struct vlapic_poll before = cpu->held;

    vlapic_cpu_poll(cpu->apic, &cpu->held);
    cpu->held.init |= before.init;
    cpu->held.nmi |= before.nmi;
    cpu->held.extint_message |= before.extint_message;
    if (before.sipi && !cpu->held.sipi) {
        cpu->held.sipi = true;
        cpu->held.sipi_vector = before.sipi_vector;
    }
    if (!cpu->held.extint) {
        cpu->extint_told = false;
    }
}

static bool extint_is_due(const struct vlapic_bhyve_cpu *cpu)
{
    return cpu->vm->host->inject_extint != NULL &&
           (cpu->held.extint_message || (cpu->held.extint && !cpu->extint_told));
}

/* It voids whatever else is held: that came before it, or is wiped by it. */
static void take_init(struct vlapic_bhyve_cpu *cpu)
{
    memset(&cpu->held, 0, sizeof(cpu->held));
    cpu->vm->host->init(cpu->vcpu);
    vlapic_cpu_take_init(cpu->apic);
    vlapic_bhyve_identity_changed(cpu);
    vlapic_bhyve_init_taken(cpu);
}

static void take_sipi(struct vlapic_bhyve_cpu *cpu)
{
    cpu->held.sipi = false;
    cpu->vm->host->sipi(cpu->vcpu, cpu->held.sipi_vector);
}

static void hand_over_the_rest(struct vlapic_bhyve_cpu *cpu)
{
    const struct vlapic_bhyve_host *host = cpu->vm->host;

    if (cpu->held.nmi) {
        host->inject_nmi(cpu->vcpu);
    }
    if (extint_is_due(cpu)) {
        cpu->extint_told = cpu->held.extint;
        host->inject_extint(cpu->vcpu);
    }
    cpu->held.nmi = false;
    cpu->held.extint_message = false;
}

/* One INIT a call, so that others cannot keep us here: a further one has notified meanwhile, and is held. */
bool vlapic_bhyve_events(struct vlapic_bhyve_cpu *cpu)
{
    look(cpu);
    if (cpu->held.init) {
        take_init(cpu);
        look(cpu);
    }
    if (cpu->held.init) {
        return false;
    }
    if (cpu->held.sipi) {
        take_sipi(cpu);
    }
    hand_over_the_rest(cpu);
    return !cpu->held.wait_for_sipi;
}

bool vlapic_bhyve_events_pending(struct vlapic_bhyve_cpu *cpu)
{
    look(cpu);
    return cpu->held.init || cpu->held.sipi || cpu->held.nmi || extint_is_due(cpu);
}

/* None once an INIT is due: it would be lost with the registers. */
bool vlapic_bhyve_pending_intr(struct vlapic_bhyve_cpu *cpu, int *vector)
{
    look(cpu);
    if (cpu->held.vector < 0 || cpu->held.init) {
        return false;
    }
    if (vector != NULL) {
        *vector = cpu->held.vector;
    }
    return true;
}

void vlapic_bhyve_intr_accepted(struct vlapic_bhyve_cpu *cpu, int vector)
{
    (void)vlapic_cpu_accept(cpu->apic, (uint8_t)vector);
}

void vlapic_bhyve_extint_accepted(struct vlapic_bhyve_cpu *cpu)
{
    cpu->extint_told = false;
}
