/* SPDX-License-Identifier: BSD-2-Clause */
/* The mode in which each vCPU has an APIC of the library's. */
#include "hv.h"
#include "vm.h"

static uint32_t features(void)
{
    return VM_FEATURES;
}

static uint32_t cpus(const struct guest_payload *payload)
{
    return payload->cpus;
}

static void create(void)
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

static void create_cpu(struct vcpu *cpu)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config), .apic_id = cpu->index, .bsp = cpu->index == 0, .cookie = cpu
    };
    struct vlapic_layout layout;
    struct vlapic_page pages[4];

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

/* An interrupt for the CPU that runs it: ends its guest, or its sleep. */
static void kick(struct vcpu *cpu)
{
    struct host_cpu *host = __atomic_load_n(&cpu->host, __ATOMIC_ACQUIRE);

    if (host != NULL) {
        host_lapic_send(host->apic_id, VLAPIC_ICR_ASSERT | HOST_VECTOR_KICK);
    }
}

static void destroy_cpu(struct vcpu *cpu)
{
    vlapic_cpu_destroy(cpu->apic);
}

const struct vm_mode vm_model = {
    .name = "model",
    .features = features,
    .cpus = cpus,
    .create = create,
    .create_cpu = create_cpu,
    .thread = vcpu_thread,
    .kick = kick,
    .destroy_cpu = destroy_cpu,
    .clock = vm_clock,
    .mmio = vm_mmio,
    .msr = vm_msr,
    .cr8 = vm_cr8,
    .out = vm_device_out,
    .in = vm_device_in,
};
