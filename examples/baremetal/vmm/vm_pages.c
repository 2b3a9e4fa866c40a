/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables, of 4-KiB pages alone, and those of the guest, which lie in the last GUEST_TABLES bytes of its memory. */
#include "vm.h"

#define ADDRESS_MASK 0x000FFFFFFFFFF000ull
#define TABLES_PER_CPU (GUEST_TABLES / VM_CPUS / PAGE_BYTES)

const struct page_format vm_guest_pages = { 3, 3 }; /* present, writable */

static uint32_t tables_used[VM_CPUS];

uint64_t *vcpu_new_table(struct vcpu *cpu)
{
    uint64_t start = GUEST_BASE + GUEST_BYTES - GUEST_TABLES + (uint64_t)cpu->index * TABLES_PER_CPU * PAGE_BYTES;

    HOST_MUST(tables_used[cpu->index] < TABLES_PER_CPU);
    start += (uint64_t)PAGE_BYTES * tables_used[cpu->index]++;
    return memset((void *)(uintptr_t)start, 0, PAGE_BYTES);
}

static uint64_t *entry_of(uint64_t *table, uint64_t address, int level)
{
    return &table[address >> (12 + 9 * level) & 511];
}

static uint64_t *table_at(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & ADDRESS_MASK);
}

void pages_map(uint64_t *root, const struct page_format *format, uint64_t *(*new_table)(struct vcpu *cpu),
               struct vcpu *cpu, uint64_t address, uint64_t to)
{
    uint64_t *table = root;

    for (int level = 3; level > 0; level--) {
        uint64_t *entry = entry_of(table, address, level);

        if (*entry == 0) {
            *entry = (uint64_t)(uintptr_t)new_table(cpu) | format->table;
        }
        table = table_at(*entry);
    }
    *entry_of(table, address, 0) = to | format->leaf;
}

void pages_unmap(uint64_t *root, uint64_t address)
{
    uint64_t *table = root;

    for (int level = 3; level > 0; level--) {
        if (*entry_of(table, address, level) == 0) {
            return;
        }
        table = table_at(*entry_of(table, address, level));
    }
    *entry_of(table, address, 0) = 0;
}

/* Linear = physical. The hypervisor takes the windows out where it has nothing but these tables to catch accesses with. */
void vcpu_make_tables(struct vcpu *cpu)
{
    tables_used[cpu->index] = 0;
    cpu->tables = vcpu_new_table(cpu);
    for (uint64_t address = GUEST_BASE; address < GUEST_BASE + GUEST_BYTES; address += PAGE_BYTES) {
        pages_map(cpu->tables, &vm_guest_pages, vcpu_new_table, cpu, address, address);
    }
    pages_map(cpu->tables, &vm_guest_pages, vcpu_new_table, cpu, GUEST_WINDOW, GUEST_WINDOW);
    pages_map(cpu->tables, &vm_guest_pages, vcpu_new_table, cpu, GUEST_WINDOW_MOVED, GUEST_WINDOW_MOVED);
}
