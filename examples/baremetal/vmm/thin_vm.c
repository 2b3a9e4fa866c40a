/* SPDX-License-Identifier: BSD-2-Clause */
/* The mode in which the guest has the physical APICs: the VM, and what has exited. */
#include "hv.h"
#include "thin.h"

#define CPUID_X2APIC (1u << 21)
#define CPUID_DEADLINE (1u << 24)

static uint32_t counts[THIN_EXIT_KINDS];

void thin_count(enum thin_exit kind)
{
    __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);
}

void thin_print_counts(void)
{
    host_print("# exits in xAPIC mode: ICR %u, EOI %u, other writes %u\n", counts[THIN_XAPIC_ICR],
               counts[THIN_XAPIC_EOI], counts[THIN_XAPIC_OTHER]);
    host_print("# exits in x2APIC mode: ICR %u, EOI %u, others %u\n", counts[THIN_X2APIC_ICR], counts[THIN_X2APIC_EOI],
               counts[THIN_X2APIC_OTHER]);
    host_print("# exits in both: IA32_APIC_BASE %u, NMI %u, INIT %u\n", counts[THIN_BASE], counts[THIN_INTERRUPT],
               counts[THIN_INIT]);
}

/* The processor's, since nothing stands between. */
static uint32_t features(void)
{
    uint32_t leaf[4];

    cpuid(1, leaf);
    return GUEST_FEATURE_PHYSICAL | (hv->init_exits ? GUEST_FEATURE_INIT : 0) |
           (options.release ? 0 : GUEST_FEATURE_ICR_TRAP) | ((leaf[2] & CPUID_X2APIC) != 0 ? GUEST_FEATURE_X2APIC : 0) |
           ((leaf[2] & CPUID_DEADLINE) != 0 ? GUEST_FEATURE_DEADLINE : 0);
}

static uint32_t cpus(const struct guest_payload *payload)
{
    (void)payload;
    return host_cpu_count;
}

static void create(void)
{
    const void *config;

    hv->backend("thin", &config);
    host_nmi_hook = thin_take_nmi;
}

static void create_cpu(struct vcpu *cpu)
{
    cpu->thin = host_alloc(sizeof(*cpu->thin), 64);
    vlapic_startup_reset(&cpu->thin->startup, cpu->index == 0, cpu->index != 0);
    cpu->thin->target.apic_id = host_cpus[cpu->index].apic_id;
}

/* A kick that arrives later would be taken for the guest's in the next VM. All APICs are the VMM's again, so one that does not come is a fault. */
static void ended(void)
{
    uint64_t start = rdtsc();

    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        while (__atomic_load_n(&vm.cpus[i]->thin->kicked, __ATOMIC_ACQUIRE) && rdtsc() - start < vm.patience) {
            relax();
        }
        if (__atomic_load_n(&vm.cpus[i]->thin->kicked, __ATOMIC_ACQUIRE)) {
            host_print("FAIL %s: a kick for vCPU %u has been lost\n", vm.payload->name, i);
            vm.verdict = VERDICT_FAIL;
        }
    }
}

/* From elsewhere than the ICR: as if it were an IPI. */
static void physical_init(struct vcpu *cpu)
{
    vlapic_startup_post(&cpu->thin->startup, VLAPIC_DELIVERY_INIT, 0);
    thin_count(THIN_INIT);
}

/* The one device: what a real one could do. */
static void out(struct vcpu *cpu, uint32_t value)
{
    if (cpu->exit.port == GUEST_PORT_INIT && hv->init_exits) {
        thin_send(vm.cpus[value % vm.cpu_count], VLAPIC_DELIVERY_INIT);
    } else {
        vm_give_up(cpu);
    }
}

static uint32_t in(struct vcpu *cpu)
{
    vm_give_up(cpu);
    return UINT32_MAX;
}

const struct vm_mode vm_thin = {
    .name = "thin",
    .features = features,
    .cpus = cpus,
    .create = create,
    .create_cpu = create_cpu,
    .thread = thin_thread,
    .kick = thin_kick,
    .ended = ended,
    .clock = host_lapic_clock,
    .mmio = thin_mmio,
    .msr = thin_msr,
    .init = physical_init,
    .out = out,
    .in = in,
};
