/* SPDX-License-Identifier: BSD-2-Clause */
/* Nested page tables, of 4-KiB pages alone: AMD's, in the format of the host's own, and Intel's. AMD APM 2, "Nested Paging"; Intel SDM 3C, "The Extended Page Table
 * Mechanism (EPT)". */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/io.h>

#include "hv.h"

#define ENTRIES 512
#define ADDRESS_MASK 0x000FFFFFFFFFF000ull

static u64 *table_at(u64 entry)
{
    return __va(entry & ADDRESS_MASK);
}

static u64 *entry_of(u64 *table, u64 guest_physical, int level)
{
    return &table[guest_physical >> (12 + 9 * level) & (ENTRIES - 1)];
}

static u64 *new_table(void)
{
    return kzalloc(PAGE_SIZE, GFP_ATOMIC | __GFP_ACCOUNT);
}

int vmm_npt_map(u64 *root, u64 guest_physical, u64 pa)
{
    u64 *table = root;
    int level;

    for (level = vmm_hv->npt_levels() - 1; level > 0; level--) {
        u64 *entry = entry_of(table, guest_physical, level);

        if (*entry == 0) {
            u64 *next = new_table();

            if (!next) {
                return -ENOMEM;
            }
            *entry = __pa(next) | vmm_hv->npt_table;
        }
        table = table_at(*entry);
    }
    *entry_of(table, guest_physical, 0) = pa | vmm_hv->npt_leaf;
    return 0;
}

void vmm_npt_unmap(u64 *root, u64 guest_physical)
{
    u64 *table = root;
    int level;

    for (level = vmm_hv->npt_levels() - 1; level > 0 && table; level--) {
        u64 entry = *entry_of(table, guest_physical, level);

        table = entry != 0 ? table_at(entry) : NULL;
    }
    if (table) {
        *entry_of(table, guest_physical, 0) = 0;
    }
}

u64 *vmm_npt_create(const struct vmm_vm *vm)
{
    u64 *root = new_table(), i;

    for (i = 0; root && i < vm->page_count; i++) {
        if (vmm_npt_map(root, vm->guest_physical + i * PAGE_SIZE, page_to_phys(vm->pages[i]))) {
            vmm_npt_free(root);
            root = NULL;
        }
    }
    return root;
}

/* As deep as there are levels. */
static void free_table(u64 *table, int level)
{
    int i;

    for (i = 0; level > 0 && i < ENTRIES; i++) {
        if (table[i] != 0) {
            free_table(table_at(table[i]), level - 1);
        }
    }
    kfree(table);
}

void vmm_npt_free(u64 *root)
{
    if (root) {
        free_table(root, vmm_hv->npt_levels() - 1);
    }
}
