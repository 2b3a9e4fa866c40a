/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INITs and SIPIs that user space is to hear of: whom they name, and to whom they are news. The library delivers them itself; here the ICR value
 * is only read beside it, by its functions for hosts without a model (icr.h, startup.h).
 */
#include "vlapic_bhyve_internal.h"

/* How a vCPU answers to destinations, in one word that any thread reads: bits 31:24 of ID, LDR, DFR, and the mode. */
#define ID_SHIFT 0
#define LDR_SHIFT 8
#define DFR_SHIFT 16
#define ENABLED (1u << 24)
#define X2APIC (1u << 25)

static uint32_t top_byte(struct vlapic_bhyve_cpu *cpu, uint32_t offset)
{
    uint64_t value = 0;

    (void)vlapic_cpu_mmio_read(cpu->apic, offset, 4, &value);
    return (uint32_t)value >> 24;
}

void vlapic_bhyve_identity_changed(struct vlapic_bhyve_cpu *cpu)
{
    uint64_t base = vlapic_cpu_apic_base(cpu->apic);
    uint32_t identity = 0;

    if ((base & VLAPIC_BASE_EN) != 0) {
        identity |= ENABLED;
    }
    if ((base & VLAPIC_BASE_EXTD) != 0) {
        identity |= X2APIC;
    } else if (identity != 0) {
        identity |= top_byte(cpu, VLAPIC_REG_ID) << ID_SHIFT | top_byte(cpu, VLAPIC_REG_LDR) << LDR_SHIFT |
                    top_byte(cpu, VLAPIC_REG_DFR) << DFR_SHIFT;
    }
    __atomic_store_n(&cpu->identity, identity, __ATOMIC_RELEASE);
}

static struct vlapic_target target_of(const struct vlapic_bhyve_cpu *cpu)
{
    uint32_t identity = __atomic_load_n(&cpu->identity, __ATOMIC_ACQUIRE);

    return (struct vlapic_target){
        .apic_base = ((identity & ENABLED) != 0 ? VLAPIC_BASE_EN : 0) |
                     ((identity & X2APIC) != 0 ? VLAPIC_BASE_EXTD : 0),
        .apic_id = cpu->vcpuid,
        .xapic_id = identity >> ID_SHIFT << 24,
        .ldr = identity >> LDR_SHIFT << 24,
        .dfr = identity >> DFR_SHIFT << 24,
    };
}

static bool starts_or_stops(const struct vlapic_icr *icr)
{
    return icr->delivery == VLAPIC_DELIVERY_INIT || icr->delivery == VLAPIC_DELIVERY_SIPI;
}

/* Fills the sender's set; true if it is not empty. */
static bool name_targets(struct vlapic_bhyve_cpu *sender, const struct vlapic_icr *icr,
                         const struct vlapic_icr_rules *rules)
{
    const struct vlapic_bhyve_vm *vm = sender->vm;
    bool any = false;

    memset(sender->set, 0, vlapic_bhyve_set_words(vm) * sizeof(sender->set[0]));
    for (unsigned int i = 0; i < vm->max_cpus; i++) {
        struct vlapic_bhyve_cpu *cpu = vlapic_bhyve_cpu_at(vm, i);
        struct vlapic_target target;

        if (cpu == NULL) {
            continue;
        }
        target = target_of(cpu);
        if (vlapic_icr_matches(icr, rules, &target, cpu == sender) &&
            vlapic_startup_post(&cpu->startup, icr->delivery, icr->vector)) {
            sender->set[i / 64] |= 1ull << (i % 64);
            any = true;
        }
    }
    return any;
}

struct vlapic_bhyve_ipi vlapic_bhyve_ipi_before(struct vlapic_bhyve_cpu *cpu, enum vlapic_icr_format format,
                                                uint64_t value)
{
    const struct vlapic_vm_config *config = vlapic_vm_get_config(cpu->vm->fabric);
    struct vlapic_icr_rules rules = {
        .vendor = config->vendor,
        .policy = config->icr_policy,
        .lowest_in_x2apic = config->lowest_in_x2apic,
        .dest_alias = config->dest_alias,
    };
    struct vlapic_bhyve_ipi ipi = { .told = false };
    struct vlapic_icr icr;

    if (cpu->vm->host->ipi_exit == NULL) {
        return ipi;
    }
    vlapic_icr_decode(format, value, &icr);
    if (starts_or_stops(&icr) && vlapic_icr_check(&icr, &rules) == VLAPIC_ICR_SENT) {
        ipi.told = name_targets(cpu, &icr, &rules);
        ipi.mode = icr.delivery;
        ipi.vector = icr.vector;
    }
    return ipi;
}

bool vlapic_bhyve_ipi_after(struct vlapic_bhyve_cpu *cpu, const struct vlapic_bhyve_ipi *ipi)
{
    return ipi->told &&
           cpu->vm->host->ipi_exit(cpu->vcpu, ipi->mode, ipi->vector, cpu->set, vlapic_bhyve_set_words(cpu->vm));
}

/*
 * A SIPI may stay latched in the word, whose CPU runs: the next one is no news either way. An INIT that came by another way than an ICR is not in
 * the word, and counts all the same.
 */
void vlapic_bhyve_init_taken(struct vlapic_bhyve_cpu *cpu)
{
    uint8_t page;

    if (vlapic_startup_take(&cpu->startup, &page) != VLAPIC_STARTUP_INIT) {
        (void)vlapic_startup_post(&cpu->startup, VLAPIC_DELIVERY_INIT, 0);
        (void)vlapic_startup_take(&cpu->startup, &page);
    }
}
