/* SPDX-License-Identifier: BSD-2-Clause */
/* Items as members of a struct: elements of 1, 4 or 8 bytes, in the host's order. */
#include <string.h>

#include "vlapic_items.h"

static uint64_t load_member(const uint8_t *member, uint32_t width)
{
    uint32_t narrow = 0;
    uint64_t wide = 0;

    if (width == 1) {
        return *member;
    }
    if (width == 4) {
        memcpy(&narrow, member, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, member, sizeof(wide));
    return wide;
}

static uint64_t value_in_struct(const struct vlapic_values *values, uint32_t item, uint32_t index)
{
    const struct vlapic_item *line = &values->table->items[item];

    return load_member((const uint8_t *)values->object + line->offset + (size_t)index * line->width, line->width);
}

struct vlapic_values vlapic_core_values_of_struct(const struct vlapic_item_table *table, const void *object)
{
    return (struct vlapic_values){ .value = value_in_struct, .table = table, .object = object };
}

/* Into a vCPU's state, which has no elements of one byte. */
void vlapic_core_item_store(const struct vlapic_item *item, void *object, uint32_t index, uint64_t value)
{
    uint8_t *member = (uint8_t *)object + item->offset + (size_t)index * item->width;
    uint32_t narrow = (uint32_t)value;

    if (item->width == 4) {
        memcpy(member, &narrow, sizeof(narrow));
    } else {
        memcpy(member, &value, sizeof(value));
    }
}
