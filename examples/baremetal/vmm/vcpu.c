/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of a vCPU: poll, carry out the duties, sleep or run. Interrupts are off throughout but in sleep. */
#include "hv.h"
#include "vm.h"

void vcpu_create(uint32_t index)
{
    struct vcpu *cpu = host_alloc(sizeof(*cpu), 64);
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = index, .bsp = index == 0, .cookie = cpu };
    struct vlapic_layout layout;
    struct vlapic_page pages[4];

    vm.cpus[index] = cpu;
    cpu->index = index;
    cpu->timer_deadline = UINT64_MAX;
    cpu->in_flight.type = EVENT_NONE;
    trace_create(cpu);
    vcpu_make_tables(cpu);
    hv->create(cpu);

    HOST_MUST(vlapic_cpu_layout(vlapic_vm_get_config(vm.apics), &layout) == VLAPIC_OK);
    HOST_MUST(layout.pages <= sizeof(pages) / sizeof(pages[0]));
    for (uint32_t i = 0; i < layout.pages; i++) {
        pages[i].va = host_alloc_page();
        pages[i].pa = (uint64_t)(uintptr_t)pages[i].va;
    }
    config.pages = pages;
    HOST_MUST(vlapic_cpu_create(host_alloc(layout.bytes, layout.alignment), layout.bytes, vm.apics, &config,
                                &cpu->apic) == VLAPIC_OK);
    HOST_MUST(vlapic_cpu_attach(cpu->apic) == VLAPIC_OK);
}

/* The start that contract.h describes. */
static void start(struct vcpu *cpu, uint64_t entry, uint8_t sipi_vector)
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

static void take_init(struct vcpu *cpu)
{
    cpu->started = cpu->halted = cpu->nmi_pending = cpu->gp_pending = false;
    cpu->shadow = 0;
    cpu->in_flight.type = EVENT_NONE;
    vlapic_cpu_take_init(cpu->apic);
    trace(cpu, 'I', 0, 0);
}

static bool is_awake(const struct vcpu *cpu, const struct vlapic_poll *duty)
{
    if (!cpu->started || duty->wait_for_sipi) {
        return false;
    }
    return !cpu->halted || (cpu->nmi_pending && (cpu->shadow & SHADOW_NMI) == 0) ||
           (duty->vector >= 0 && (cpu->regs.rflags & RFLAGS_IF) != 0);
}

static void sleep(struct vcpu *cpu)
{
    if (vlapic_cpu_halt(cpu->apic)) {
        trace(cpu, 'H', 0, 0);
        if (!vm_has_ended() && __atomic_load_n(&vm.move_wanted, __ATOMIC_ACQUIRE) == 0 &&
            !__atomic_load_n(&cpu->kicked_nmi, __ATOMIC_ACQUIRE)) {
            sleep_until_interrupt();
        }
        vlapic_cpu_exit(cpu->apic);
    }
}

static void turn(struct vcpu *cpu)
{
    struct vlapic_poll duty;

    if (rdtsc() > vm.give_up) {
        host_print("FAIL %s: no verdict (vCPU %u at %llx, halted %u, exit %u)\n", vm.payload->name, cpu->index,
                   (unsigned long long)cpu->regs.rip, cpu->halted, cpu->exit.reason);
        vm_end(VERDICT_FAIL, 0);
        return;
    }
    vlapic_cpu_poll(cpu->apic, &duty);
    if (duty.init) {
        take_init(cpu);
        return;
    }
    if (duty.sipi) {
        start(cpu, vm_image()->ap_entry, duty.sipi_vector);
    }
    if (duty.nmi || __atomic_exchange_n(&cpu->kicked_nmi, false, __ATOMIC_ACQ_REL)) {
        cpu->nmi_pending = true;
    }
    if (!is_awake(cpu, &duty)) {
        sleep(cpu);
        return;
    }
    cpu->halted = false;
    if (hv->run(cpu, &duty)) {
        vm_exit(cpu);
    }
}

static void bind(struct host_cpu *host, struct vcpu *cpu)
{
    host->vcpu = cpu;
    __atomic_store_n(&cpu->host, host, __ATOMIC_RELEASE);
    hv->load(cpu);
    vlapic_cpu_load(cpu->apic);
    vm_timer_bind(cpu);
}

static void unbind(struct vcpu *cpu)
{
    vlapic_cpu_put(cpu->apic);
    hv->put(cpu);
}

/* Waits until all vCPUs' threads have come. The count goes on from meeting to meeting: if it began anew, who is late to look would wait for ever. */
static void meet(void)
{
    uint32_t before = __atomic_fetch_add(&vm.move_arrived, 1, __ATOMIC_ACQ_REL);
    uint32_t all = (before / vm.cpu_count + 1) * vm.cpu_count;

    while (__atomic_load_n(&vm.move_arrived, __ATOMIC_ACQUIRE) < all && !vm_has_ended()) {
        relax();
    }
}

/* Two meetings: the first says that everybody is free, the second that everybody has taken the next vCPU, and that the wish is fulfilled. */
static struct vcpu *move(struct host_cpu *host, struct vcpu *cpu)
{
    struct vcpu *next = vm.cpus[(cpu->index + 1) % vm.cpu_count];

    trace(cpu, 'M', host->index, 0);
    unbind(cpu);
    meet();
    if (host->index == 0) {
        __atomic_store_n(&vm.move_wanted, 0, __ATOMIC_RELEASE);
    }
    bind(host, next);
    meet();
    return next;
}

void vcpu_thread(struct host_cpu *host)
{
    struct vcpu *cpu = host->vcpu;

    interrupts_off();
    bind(host, cpu);
    if (cpu->index == 0) {
        start(cpu, vm_image()->entry, 0);
    }
    while (!vm_has_ended()) {
        if (__atomic_load_n(&vm.move_wanted, __ATOMIC_ACQUIRE) != 0) {
            cpu = move(host, cpu);
        }
        turn(cpu);
    }
    unbind(cpu);
}
