/* SPDX-License-Identifier: BSD-2-Clause */
/* IPIs of the guest on their way, and NMIs: INIT and SIPI go to the startup machines, and so does nothing but those to the physical bus. */
#include "hv.h"
#include "thin.h"

/*
 * At most one of our NMIs is under way to a CPU: it is sent by who finds `kicked` clear, and clears it when it arrives, before the CPU looks. So an
 * NMI that finds it clear is the machine's, and the guest's. One that arrives together with ours is lost, as hardware keeps one alone.
 */
void thin_kick(struct vcpu *cpu)
{
    if (!__atomic_exchange_n(&cpu->thin->kicked, true, __ATOMIC_SEQ_CST)) {
        thin_send(cpu, VLAPIC_DELIVERY_NMI);
    }
}

void thin_send(const struct vcpu *cpu, enum vlapic_delivery delivery)
{
    uint32_t low = VLAPIC_ICR_ASSERT | (uint32_t)delivery << VLAPIC_DELIVERY_SHIFT, high;

    if (host_lapic_is_x2apic()) {
        host_lapic_send(cpu->host->apic_id, low);
        return;
    }
    high = host_lapic_read(VLAPIC_REG_ICR_HIGH); /* the guest may be between its two writes */
    host_lapic_send(cpu->host->apic_id, low);
    while ((host_lapic_read(VLAPIC_REG_ICR_LOW) & VLAPIC_ICR_STATUS) != 0) {
        relax();
    }
    host_lapic_write(VLAPIC_REG_ICR_HIGH, high);
}

void thin_take_nmi(struct host_cpu *host)
{
    struct vcpu *cpu = host->vcpu;

    if (cpu != NULL && !__atomic_exchange_n(&cpu->thin->kicked, false, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&cpu->thin->nmi, true, __ATOMIC_SEQ_CST);
    }
}

/* True if it has to be made to look. */
static bool post(struct vcpu *cpu, const struct vlapic_icr *icr)
{
    if (icr->delivery == VLAPIC_DELIVERY_NMI) {
        return !__atomic_exchange_n(&cpu->thin->nmi, true, __ATOMIC_SEQ_CST);
    }
    return vlapic_startup_post(&cpu->thin->startup, icr->delivery, icr->vector);
}

/* Fixed and the like are passed on even if they are illegal, and the physical APIC records the error. Of INITs, SIPIs and NMIs none is, and what is
 * illegal of them is dropped: no error is recorded. NMIs, because they exit, and which of them is the guest's would be the question. */
enum thin_verdict thin_icr_write(struct vcpu *self, enum vlapic_icr_format format, uint64_t value)
{
    const struct vlapic_icr_rules rules = { .vendor = hv->vendor, .dest_alias = true };
    enum vlapic_icr_verdict verdict;
    struct vlapic_icr icr;

    vlapic_icr_decode(format, value, &icr);
    verdict = vlapic_icr_check(&icr, &rules);
    if (verdict == VLAPIC_ICR_FAULT) {
        return THIN_GP;
    }
    if (icr.delivery != VLAPIC_DELIVERY_INIT && icr.delivery != VLAPIC_DELIVERY_SIPI &&
        icr.delivery != VLAPIC_DELIVERY_NMI) {
        return THIN_PASS;
    }
    for (uint32_t i = 0; verdict == VLAPIC_ICR_SENT && i < vm.cpu_count; i++) {
        struct vcpu *cpu = vm.cpus[i];

        if (vlapic_icr_matches(&icr, &rules, &cpu->thin->target, cpu == self) && post(cpu, &icr) && cpu != self) {
            thin_kick(cpu);
        }
    }
    return THIN_DONE;
}
