/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a VM for one payload, running it, ending it. */
#include "hv.h"
#include "vm.h"

extern const uint8_t guest_image[], guest_image_end[];

struct vm vm;

const struct guest_header *vm_image(void)
{
    return (const struct guest_header *)guest_image;
}

static void load_image(void)
{
    const struct guest_header *header = vm_image();
    uint8_t *memory = (uint8_t *)(uintptr_t)GUEST_BASE;

    HOST_MUST(header->magic == GUEST_MAGIC && header->memory_bytes <= GUEST_BYTES - GUEST_TABLES);
    HOST_MUST(header->file_bytes == (size_t)(guest_image_end - guest_image));
    memcpy(memory, guest_image, header->file_bytes);
    memset(memory + header->file_bytes, 0, header->memory_bytes - header->file_bytes);
}

static void create_apics(void)
{
    struct vlapic_vm_config config;
    struct vlapic_layout layout;

    HOST_MUST(vlapic_vm_config_defaults(&config, sizeof(config), VLAPIC_VENDOR_INTEL) == VLAPIC_OK);
    config.host = &vm_host_ops;
    config.backend = hv->backend(options.backend, &config.backend_config);
    HOST_MUST(config.backend != NULL);
    config.cookie = &vm;
    config.max_apic_id = VM_CPUS - 1;
    config.x2apic = (vm.features & GUEST_FEATURE_X2APIC) != 0;
    config.tsc_deadline = (vm.features & GUEST_FEATURE_DEADLINE) != 0;
    HOST_MUST(vlapic_vm_layout(&config, &layout) == VLAPIC_OK);
    HOST_MUST(vlapic_vm_create(host_alloc(layout.bytes, layout.alignment), layout.bytes, &config, &vm.apics) ==
              VLAPIC_OK);
}

void vm_create(const struct guest_payload *payload, uint32_t index)
{
    host_alloc_reset();
    memset(&vm, 0, sizeof(vm));
    vm.payload = payload;
    vm.payload_index = index;
    vm.cpu_count = payload->cpus;
    vm.features = VM_FEATURES;
    vm.patience = hv->patience;
    load_image();
    create_apics();
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vcpu_create(i);
    }
}

void vm_end(enum vm_verdict verdict, uint32_t line)
{
    enum vm_verdict none = VERDICT_NONE;

    vm.fail_line = line;
    if (!__atomic_compare_exchange_n(&vm.verdict, &none, verdict, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return;
    }
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        vm_kick(vm.cpus[i]);
    }
}

/* An interrupt for the CPU that runs it: ends its guest, or its sleep. */
void vm_kick(struct vcpu *cpu)
{
    struct host_cpu *host = __atomic_load_n(&cpu->host, __ATOMIC_ACQUIRE);

    if (host != NULL) {
        host_lapic_send(host->apic_id, VLAPIC_ICR_ASSERT | HOST_VECTOR_KICK);
    }
}

void vm_run(void)
{
    vm.give_up = rdtsc() + 20 * vm.patience;
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        host_cpus[i].vcpu = vm.cpus[i];
        vm.cpus[i]->host = &host_cpus[i];
    }
    for (uint32_t i = 1; i < vm.cpu_count; i++) {
        host_run_on(&host_cpus[i], vcpu_thread);
    }
    vcpu_thread(&host_cpus[0]);
    for (uint32_t i = 1; i < vm.cpu_count; i++) {
        while (!host_is_idle(&host_cpus[i])) {
            relax();
        }
    }
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        host_cpus[i].vcpu = NULL;
        vm.cpus[i]->host = NULL;
        vlapic_cpu_destroy(vm.cpus[i]->apic);
    }
}
