/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's memory: the image at its start, page tables at its end. Where it has none, KVM reports each access: that is how the APIC's page
 * is emulated, wherever the guest moves it. */
#include "vmm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u
#define PRESENT_WRITABLE 3u
#define ADDRESS_MASK 0x000FFFFFFFFFF000ull

static uint8_t *image;
static uint64_t tables_used;

void image_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t bytes;

    MUST(file != NULL);
    image = calloc(1, GUEST_BYTES);
    MUST(image != NULL);
    bytes = fread(image, 1, GUEST_BYTES - GUEST_TABLES, file);
    fclose(file);
    MUST(bytes >= sizeof(struct guest_header) && image_header()->magic == GUEST_MAGIC);
    MUST(image_header()->file_bytes == bytes && image_header()->memory_bytes <= GUEST_BYTES - GUEST_TABLES);
}

const struct guest_header *image_header(void)
{
    return (const struct guest_header *)image;
}

const struct guest_payload *image_payloads(void)
{
    return (const struct guest_payload *)(image + (image_header()->payloads - GUEST_BASE));
}

static uint64_t *table_at(uint64_t address)
{
    return (uint64_t *)(vm.memory + ((address & ADDRESS_MASK) - GUEST_BASE));
}

static uint64_t new_table(void)
{
    MUST(tables_used < GUEST_TABLES);
    tables_used += PAGE_BYTES;
    return GUEST_BASE + GUEST_BYTES - GUEST_TABLES + tables_used - PAGE_BYTES;
}

static void map(uint64_t address)
{
    uint64_t *table = table_at(memory_page_tables());

    for (int level = 3; level > 0; level--) {
        uint64_t *entry = &table[address >> (12 + 9 * level) & 511];

        if (*entry == 0) {
            *entry = new_table() | PRESENT_WRITABLE;
        }
        table = table_at(*entry);
    }
    table[address >> 12 & 511] = address | PRESENT_WRITABLE;
}

uint64_t memory_page_tables(void)
{
    return GUEST_BASE + GUEST_BYTES - GUEST_TABLES;
}

void memory_create(void)
{
    struct kvm_userspace_memory_region region = { .guest_phys_addr = GUEST_BASE, .memory_size = GUEST_BYTES };

    vm.memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(vm.memory != MAP_FAILED);
    memcpy(vm.memory, image, image_header()->file_bytes);
    tables_used = PAGE_BYTES; /* the first one is the root */
    for (uint64_t address = GUEST_BASE; address < GUEST_BASE + GUEST_BYTES; address += PAGE_BYTES) {
        map(address);
    }
    map(GUEST_WINDOW);
    map(GUEST_WINDOW_MOVED);
    region.userspace_addr = (uint64_t)(uintptr_t)vm.memory;
    MUST(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region) == 0);
}

void memory_destroy(void)
{
    munmap(vm.memory, GUEST_BYTES);
}
