/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID: what KVM supports, but of the local APIC what libvlapic does. */
#include "vmm.h"

#include <stdlib.h>
#include <sys/ioctl.h>

#define ENTRIES 256
#define LEAF_FEATURES 1u
#define LEAF_POWER 6u
#define LEAF_TOPOLOGY 0xBu
#define LEAF_TOPOLOGY_V2 0x1Fu
#define LEAF_KVM 0x40000000u /* to 400000FFh */
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_ADDRESSES 0x80000008u
#define LEAF_AMD_TOPOLOGY 0x8000001Eu
#define ECX_X2APIC (1u << 21)
#define ECX_DEADLINE (1u << 24)
#define ECX_HYPERVISOR (1u << 31)
#define EDX_APIC (1u << 9)
#define EBX_GENU 0x756E6547u /* "Genu" of "GenuineIntel" */
#define EAX_ARAT (1u << 2)
#define ECX_EXT_APIC_SPACE (1u << 3)

static struct kvm_cpuid2 *supported(void)
{
    static struct kvm_cpuid2 *cpuid;

    if (cpuid == NULL) {
        cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
        MUST(cpuid != NULL);
        cpuid->nent = ENTRIES;
        MUST(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0);
    }
    return cpuid;
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function)
{
    const struct kvm_cpuid2 *cpuid = supported();

    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == function) {
            return &cpuid->entries[i];
        }
    }
    return NULL;
}

bool cpuid_is_intel(void)
{
    const struct kvm_cpuid_entry2 *vendor = leaf(0);

    return vendor != NULL && vendor->ebx == EBX_GENU;
}

uint32_t cpuid_phys_bits(void)
{
    const struct kvm_cpuid_entry2 *addresses = leaf(LEAF_ADDRESSES);

    return addresses != NULL ? addresses->eax & 0xFF : 36;
}

/* False: the guest does not get to see it. KVM makes EDX[9] itself, from the IA32_APIC_BASE that vmm_run.c hands on. */
static bool adapt(struct kvm_cpuid_entry2 *entry, uint32_t apic_id)
{
    const struct vlapic_vm_config *config = vlapic_vm_get_config(vm.apics);

    switch (entry->function) {
    case LEAF_FEATURES:
        entry->ebx = (entry->ebx & 0x00FFFFFF) | apic_id << 24;
        entry->ecx &= ~(ECX_X2APIC | ECX_DEADLINE);
        entry->ecx |= ECX_HYPERVISOR | (config->x2apic ? ECX_X2APIC : 0) | (config->tsc_deadline ? ECX_DEADLINE : 0);
        entry->edx |= EDX_APIC;
        break;
    case LEAF_POWER:
        entry->eax |= EAX_ARAT; /* our timer never sleeps */
        break;
    case LEAF_TOPOLOGY:
    case LEAF_TOPOLOGY_V2:
        entry->edx = apic_id;
        break;
    case LEAF_AMD_FEATURES:
        entry->ecx &= ~ECX_EXT_APIC_SPACE;
        break;
    case LEAF_AMD_TOPOLOGY:
        entry->eax = apic_id;
        break;
    default: /* most of KVM's own features are those of its APIC: IPIs and EOI by hypercall, kicks, MSI destinations */
        return entry->function < LEAF_KVM || entry->function > LEAF_KVM + 0xFF;
    }
    return true;
}

void cpuid_set(const struct vcpu *cpu)
{
    const struct kvm_cpuid2 *all = supported();
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + all->nent * sizeof(cpuid->entries[0]));

    MUST(cpuid != NULL);
    for (uint32_t i = 0; i < all->nent; i++) {
        cpuid->entries[cpuid->nent] = all->entries[i];
        if (adapt(&cpuid->entries[cpuid->nent], cpu->index)) {
            cpuid->nent++;
        }
    }
    MUST(ioctl(cpu->fd, KVM_SET_CPUID2, cpuid) == 0);
    free(cpuid);
}
