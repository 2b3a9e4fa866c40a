/* SPDX-License-Identifier: BSD-2-Clause */
/* The devices behind the guest's ports, as contract.h has them: they act on the APICs of the library, past the guest. */
#include "hv.h"
#include "vm.h"

static void line(uint32_t value)
{
    struct vm_line *entry = &vm.lines[value & 0xFF];
    bool asserted = (value & GUEST_LINE_ASSERT) != 0;
    struct vlapic_message message = { .delivery = VLAPIC_DELIVERY_FIXED, .vector = (uint8_t)value, .level = true };

    if (asserted) {
        entry->apic_id = message.destination = value >> 8 & 0xFF;
    }
    if (!__atomic_exchange_n(&entry->asserted, asserted, __ATOMIC_ACQ_REL) && asserted) {
        vlapic_vm_deliver(vm.apics, &message);
    }
}

static void snapshot(struct vcpu *cpu)
{
    uint8_t bytes[VLAPIC_SNAPSHOT_MAX];
    size_t length;

    if (hv->before_snapshot != NULL) {
        hv->before_snapshot(cpu);
    }
    HOST_MUST(vlapic_snapshot_export_cpu(cpu->apic, bytes, sizeof(bytes), &length) == VLAPIC_OK);
    vlapic_cpu_reset(cpu->apic);
    HOST_MUST(vlapic_snapshot_import_cpu(cpu->apic, bytes, length, VLAPIC_TIME_RAN, NULL) == VLAPIC_OK);
    if (hv->after_snapshot != NULL) {
        hv->after_snapshot(cpu);
    }
}

static struct vcpu *other(uint32_t value)
{
    return vm.cpus[(value & 0xFF) % vm.cpu_count];
}

void vm_device_out(struct vcpu *cpu, uint32_t value)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_LINE:
        cpu->line_asked = (uint8_t)value;
        line(value);
        break;
    case GUEST_PORT_MSI_ADDRESS:
        cpu->msi_address = value;
        break;
    case GUEST_PORT_MSI_DATA:
        vlapic_vm_msi(vm.apics, cpu->msi_address, value, &cpu->msi_accepted);
        break;
    case GUEST_PORT_NMI:
        __atomic_store_n(&other(value)->kicked_nmi, true, __ATOMIC_RELEASE);
        vm_kick(other(value));
        break;
    case GUEST_PORT_LINT:
        vlapic_cpu_lint(other(value)->apic, value >> 8 & 0xFF, (value >> 16 & 1) != 0);
        break;
    case GUEST_PORT_LVT_EVENT:
        vlapic_cpu_lvt_event(other(value)->apic, (enum vlapic_lvt)(value >> 8 & 0xFF));
        break;
    case GUEST_PORT_KICK:
        for (uint32_t count = value >> 8; count > 0; count--) {
            vm_kick(other(value));
        }
        break;
    case GUEST_PORT_SNAPSHOT:
        snapshot(cpu);
        break;
    case GUEST_PORT_INHIBIT:
        hv->inhibit(value != 0);
        break;
    case GUEST_PORT_MOVE:
        __atomic_store_n(&vm.move_wanted, 1, __ATOMIC_RELEASE);
        vm_kick(other(cpu->index + 1));
        break;
    case GUEST_PORT_POST:
        vlapic_cpu_post(other(value >> 8)->apic, (uint8_t)value, (value >> 16 & 1) != 0);
        break;
    default:
        break;
    }
}

uint32_t vm_device_in(struct vcpu *cpu)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_LINE:
        return __atomic_load_n(&vm.lines[cpu->line_asked].eois, __ATOMIC_ACQUIRE);
    case GUEST_PORT_MSI_DATA:
        return cpu->msi_accepted;
    default:
        return UINT32_MAX;
    }
}
