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

void vm_create(const struct guest_payload *payload, uint32_t index)
{
    host_alloc_reset();
    memset(&vm, 0, sizeof(vm));
    vm.payload = payload;
    vm.payload_index = index;
    vm.cpu_count = vm_mode->cpus(payload);
    vm.features = vm_mode->features();
    vm.patience = hv->patience;
    load_image();
    if (vm_mode->create != NULL) {
        vm_mode->create();
    }
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

void vm_run(void)
{
    vm.give_up = rdtsc() + 20 * vm.patience;
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        host_cpus[i].vcpu = vm.cpus[i];
        vm.cpus[i]->host = &host_cpus[i];
    }
    for (uint32_t i = 1; i < vm.cpu_count; i++) {
        host_run_on(&host_cpus[i], vm_mode->thread);
    }
    vm_mode->thread(&host_cpus[0]);
    for (uint32_t i = 1; i < vm.cpu_count; i++) {
        while (!host_is_idle(&host_cpus[i])) {
            relax();
        }
    }
    if (vm_mode->ended != NULL) {
        vm_mode->ended();
    }
    for (uint32_t i = 0; i < vm.cpu_count; i++) {
        host_cpus[i].vcpu = NULL;
        vm.cpus[i]->host = NULL;
        if (vm_mode->destroy_cpu != NULL) {
            vm_mode->destroy_cpu(vm.cpus[i]);
        }
    }
}
