/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's I/O ports: contract.h says what they do. */
#include "vmm.h"

#include <stdio.h>
#include <string.h>

/* A line that says PASS says what the verdict says again. */
static void console(struct vcpu *cpu, char character)
{
    if (character != '\n' && cpu->line_length < VM_LINE_BYTES - 1) {
        cpu->line[cpu->line_length++] = character;
        return;
    }
    cpu->line[cpu->line_length] = 0;
    if (strncmp(cpu->line, "PASS ", 5) != 0) {
        printf("%s\n", cpu->line);
    }
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

    MUST(vlapic_snapshot_export_cpu(cpu->apic, bytes, sizeof(bytes), &length) == VLAPIC_OK);
    vlapic_cpu_reset(cpu->apic);
    MUST(vlapic_snapshot_import_cpu(cpu->apic, bytes, length, VLAPIC_TIME_RAN, NULL) == VLAPIC_OK);
}

static struct vcpu *other(uint32_t value)
{
    return &vm.cpus[(value & 0xFF) % vm.cpu_count];
}

static void ask_for_nmi(struct vcpu *cpu)
{
    __atomic_store_n(&cpu->nmi_asked, true, __ATOMIC_RELEASE);
    vcpu_kick(cpu);
}

static void move(void)
{
    __atomic_fetch_add(&vm.moves, 1, __ATOMIC_ACQ_REL);
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vcpu_kick(&vm.cpus[i]);
    }
}

static void out(struct vcpu *cpu, uint32_t value)
{
    switch (cpu->run->io.port) {
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
        ask_for_nmi(other(value));
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
            vcpu_kick(other(value));
        }
        break;
    case GUEST_PORT_SNAPSHOT:
        snapshot(cpu);
        break;
    case GUEST_PORT_MOVE:
        move();
        break;
    case GUEST_PORT_POST:
        vlapic_cpu_post(other(value >> 8)->apic, (uint8_t)value, (value >> 16 & 1) != 0);
        break;
    default: /* GUEST_PORT_INHIBIT: nothing is accelerated, so nothing can be withdrawn */
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
    switch (cpu->run->io.port) {
    case GUEST_PORT_CLOCK:
        cpu->clock_latch = host_now_ns() / TIMER_CLOCK_NS;
        return (uint32_t)cpu->clock_latch;
    case GUEST_PORT_CLOCK_HIGH:
        return (uint32_t)(cpu->clock_latch >> 32);
    case GUEST_PORT_PATIENCE:
        return UINT32_MAX; /* a busy host may be slow: host_wait() gives up */
    case GUEST_PORT_LINE:
        return __atomic_load_n(&vm.lines[cpu->line_asked].eois, __ATOMIC_ACQUIRE);
    case GUEST_PORT_MSI_DATA:
        return cpu->msi_accepted;
    case GUEST_PORT_EXITS:
        return exits(cpu);
    case GUEST_PORT_FREE:
        return 0;
    default:
        return UINT32_MAX;
    }
}

void vcpu_port(struct vcpu *cpu)
{
    uint8_t *data = (uint8_t *)cpu->run + cpu->run->io.data_offset;
    uint32_t size = cpu->run->io.size, value = 0;

    if (cpu->run->io.direction == KVM_EXIT_IO_OUT) {
        memcpy(&value, data, size);
        out(cpu, value);
    } else {
        value = in(cpu);
        memcpy(data, &value, size);
    }
}
