/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's I/O ports: contract.h says what they do. */
#include "hv.h"
#include "vm.h"

static void console(struct vcpu *cpu, char character)
{
    if (character != '\n' && cpu->line_length < VM_LINE_BYTES - 1) {
        cpu->line[cpu->line_length++] = character;
        return;
    }
    cpu->line[cpu->line_length] = 0;
    host_print("%s\n", cpu->line);
    cpu->line_length = 0;
}

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

static void out(struct vcpu *cpu, uint32_t value)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_CONSOLE:
        console(cpu, (char)value);
        break;
    case GUEST_PORT_VERDICT:
        vm_end(value == 0 ? VERDICT_PASS : VERDICT_FAIL, value);
        break;
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
    case GUEST_PORT_EXITS:
        cpu->exits_asked = value;
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

static uint32_t exits(const struct vcpu *cpu)
{
    uint32_t sum = 0;

    if (cpu->exits_asked < GUEST_EXIT_KINDS) {
        return cpu->exits[cpu->exits_asked];
    }
    for (uint32_t kind = GUEST_EXIT_MMIO; kind < GUEST_EXIT_KINDS; kind++) {
        sum += cpu->exits[kind];
    }
    return sum;
}

static uint32_t in(struct vcpu *cpu)
{
    switch (cpu->exit.port) {
    case GUEST_PORT_CLOCK:
        cpu->clock_latch = vm_clock();
        return (uint32_t)cpu->clock_latch;
    case GUEST_PORT_CLOCK_HIGH:
        return (uint32_t)(cpu->clock_latch >> 32);
    case GUEST_PORT_PATIENCE:
        return (uint32_t)(vm.patience < UINT32_MAX ? vm.patience : UINT32_MAX - 1);
    case GUEST_PORT_LINE:
        return __atomic_load_n(&vm.lines[cpu->line_asked].eois, __ATOMIC_ACQUIRE);
    case GUEST_PORT_MSI_DATA:
        return cpu->msi_accepted;
    case GUEST_PORT_EXITS:
        return exits(cpu);
    case GUEST_PORT_FREE:
        return hv->free(cpu);
    default:
        return UINT32_MAX;
    }
}

void vm_port(struct vcpu *cpu)
{
    uint64_t *rax = &cpu->regs.general[REG_RAX];
    uint64_t mask = UINT64_MAX >> (64 - 8 * cpu->exit.width);

    if (cpu->exit.write) {
        trace(cpu, 'o', cpu->exit.port, *rax & mask);
        out(cpu, (uint32_t)(*rax & mask));
    } else {
        *rax = cpu->exit.width == 4 ? in(cpu) : (*rax & ~mask) | (in(cpu)&mask);
    }
}
