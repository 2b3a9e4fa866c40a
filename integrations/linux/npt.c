/* SPDX-License-Identifier: BSD-2-Clause */
/* Nested page tables, of 4-KiB pages alone, in the format of the host's own: four levels or five. AMD APM 2, "Nested Paging". */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/pgtable.h>

#include "vmm.h"

#define ENTRIES 512
#define PRESENT_WRITABLE_USER 7ull /* a nested walk is one of user mode */
#define ADDRESS_MASK 0x000FFFFFFFFFF000ull

static int levels(void)
{
    return pgtable_l5_enabled() ? 5 : 4;
}

static u64 *new_table(void)
{
    return vmm_alloc(PAGE_SIZE, PAGE_SIZE);
}

static u64 *table_at(u64 entry)
{
    return __va(entry & ADDRESS_MASK);
}

u64 *vmm_npt_create(void)
{
    return new_table();
}

int vmm_npt_map(u64 *root, u64 guest_physical, u64 pa)
{
    u64 *table = root;
    int level;

    for (level = levels() - 1; level > 0; level--) {
        u64 *entry = &table[guest_physical >> (12 + 9 * level) & (ENTRIES - 1)];

        if (*entry == 0) {
            u64 *next = new_table();

            if (!next) {
                return -ENOMEM;
            }
            *entry = __pa(next) | PRESENT_WRITABLE_USER;
        }
        table = table_at(*entry);
    }
    table[guest_physical >> 12 & (ENTRIES - 1)] = pa | PRESENT_WRITABLE_USER;
    return 0;
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
        free_table(root, levels() - 1);
    }
}
