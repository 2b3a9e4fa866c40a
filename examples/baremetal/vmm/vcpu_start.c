/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a vCPU, starting and stopping its core: the same whatever its APIC is. */
#include "hv.h"
#include "vm.h"

void vcpu_create(uint32_t index)
{
    struct vcpu *cpu = host_alloc(sizeof(*cpu), 64);

    vm.cpus[index] = cpu;
    cpu->index = index;
    cpu->timer_deadline = UINT64_MAX;
    cpu->in_flight.type = EVENT_NONE;
    trace_create(cpu);
    vcpu_make_tables(cpu);
    hv->create(cpu);
    vm_mode->create_cpu(cpu);
}

void vcpu_start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector)
{
    hv->reset(cpu);
    memset(&cpu->regs, 0, sizeof(cpu->regs));
    cpu->regs.rip = entry;
    cpu->regs.rflags = 2;
    cpu->regs.general[REG_RDI] = cpu->index;
    cpu->regs.general[REG_RSI] = vm.payload_index;
    cpu->regs.general[REG_RDX] = vm.features;
    cpu->regs.general[REG_RCX] = vm.cpu_count;
    cpu->regs.general[REG_R8] = sipi_vector;
    cpu->started = true;
    trace(cpu, 'S', sipi_vector, 0);
}

void vcpu_stop(struct vcpu *cpu)
{
    cpu->started = cpu->halted = cpu->nmi_pending = cpu->gp_pending = false;
    cpu->shadow = 0;
    cpu->in_flight.type = EVENT_NONE;
}

bool vcpu_is_overdue(const struct vcpu *cpu)
{
    if (rdtsc() <= vm.give_up) {
        return false;
    }
    host_print("FAIL %s: no verdict (vCPU %u at %llx, halted %u, exit %u)\n", vm.payload->name, cpu->index,
               (unsigned long long)cpu->regs.rip, cpu->halted, cpu->exit.reason);
    vm_end(VERDICT_FAIL, 0);
    return true;
}

/* The count goes on from meeting to meeting: if it began anew, who is late to look would wait for ever. */
void vcpu_meet(void)
{
    uint32_t before = __atomic_fetch_add(&vm.arrived, 1, __ATOMIC_ACQ_REL);
    uint32_t all = (before / vm.cpu_count + 1) * vm.cpu_count;

    while (__atomic_load_n(&vm.arrived, __ATOMIC_ACQUIRE) < all && !vm_has_ended()) {
        relax();
    }
}
