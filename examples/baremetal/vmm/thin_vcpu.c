/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU in thin mode: what the startup machine says, then the guest. Interrupts are off throughout: they are the guest's. */
#include "hv.h"
#include "thin.h"

bool thin_is_released(void)
{
    bool all = options.release;

    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        all = all && __atomic_load_n(&vm.cpus[i]->thin->was_started, __ATOMIC_SEQ_CST);
    }
    return all;
}

static void start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector)
{
    vcpu_start(cpu, entry, sipi_vector);
    if (!__atomic_exchange_n(&cpu->thin->was_started, true, __ATOMIC_SEQ_CST) && thin_is_released()) {
        for (uint32_t i = 0; i < vm.cpu_count; i++) {
            if (vm.cpus[i] != cpu) { /* which looks before it enters */
                thin_kick(vm.cpus[i]);
            }
        }
    }
}

static void take_init(struct vcpu *cpu)
{
    vcpu_stop(cpu);
    __atomic_store_n(&cpu->thin->nmi, false, __ATOMIC_SEQ_CST);
    thin_apic_init(cpu);
    trace(cpu, 'I', 0, 0);
    if (cpu->index == 0) { /* a BSP begins anew */
        start(cpu, vm_image()->entry, 0);
    }
}

/* After host_cpu.nmi was cleared: whoever posts something from now on ends the sleep or the guest by an NMI. */
static void turn(struct vcpu *cpu)
{
    uint8_t page = 0;

    switch (vlapic_startup_take(&cpu->thin->startup, &page)) {
    case VLAPIC_STARTUP_INIT:
        take_init(cpu);
        return;
    case VLAPIC_STARTUP_SIPI:
        start(cpu, vm_image()->ap_entry, page);
        break;
    case VLAPIC_STARTUP_WAIT:
        trace(cpu, 'H', 0, 0);
        host_sleep_until_nmi();
        return;
    default:
        break;
    }
    if (__atomic_exchange_n(&cpu->thin->nmi, false, __ATOMIC_SEQ_CST)) {
        cpu->nmi_pending = true;
    }
    if (cpu->thin->writes != thin_is_released()) {
        thin_place_window(cpu);
    }
    if (hv->run(cpu, NULL)) {
        if (cpu->exit.kind == GUEST_EXIT_INTERRUPT || cpu->exit.kind == GUEST_EXIT_WINDOW) {
            thin_count(THIN_INTERRUPT);
        }
        vm_exit(cpu);
    }
}

void thin_thread(struct host_cpu *host)
{
    struct vcpu *cpu = host->vcpu;

    interrupts_off();
    thin_apic_init(cpu);
    hv->load(cpu);
    thin_place_window(cpu);
    vcpu_meet(); /* whoever sends finds all targets as they are */
    if (cpu->index == 0) {
        start(cpu, vm_image()->entry, 0);
    }
    for (;;) {
        __atomic_store_n(&host->nmi, 0, __ATOMIC_SEQ_CST);
        if (vm_has_ended() || vcpu_is_overdue(cpu)) {
            break;
        }
        turn(cpu);
    }
    hv->put(cpu);
    thin_apic_restore(cpu);
    thin_apic_init(cpu);
    host_lapic_start();
}
