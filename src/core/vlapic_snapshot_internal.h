/* SPDX-License-Identifier: BSD-2-Clause */
/* The snapshot codec: a header, then items by a table that says where in a struct each value lives. Knows no APIC. */
#ifndef VLAPIC_SNAPSHOT_INTERNAL_H
#define VLAPIC_SNAPSHOT_INTERNAL_H

#include <vlapic/snapshot.h>

enum vlapic_snapshot_kind { VLAPIC_SNAPSHOT_CPU = 1, VLAPIC_SNAPSHOT_VM = 2 };

struct vlapic_snapshot_item {
    uint16_t tag;
    uint16_t offset; /* of the member */
    uint8_t width;   /* of one element: 1, 4 or 8 bytes, in memory as in the snapshot */
    uint8_t count;   /* of elements */
    const char *name;
};

/* One line of a table: the member's name is the item's. */
#define VLAPIC_SNAPSHOT_ITEM(tag_, type, member, elements)                                                             \
    {                                                                                                                  \
        .tag = (tag_), .offset = (uint16_t)offsetof(type, member),                                                     \
        .width = (uint8_t)(sizeof(((type *)0)->member) / (elements)), .count = (elements), .name = #member             \
    }

struct vlapic_snapshot_table {
    enum vlapic_snapshot_kind kind;
    uint32_t count; /* at most 64 */
    const struct vlapic_snapshot_item *items;
};

enum vlapic_status vlapic_core_snapshot_encode(const struct vlapic_snapshot_table *table, const void *object,
                                               uint8_t *bytes, size_t size, size_t *length);

/* Fills `object`, which belongs to the caller until the result is VLAPIC_OK. */
enum vlapic_status vlapic_core_snapshot_decode(const struct vlapic_snapshot_table *table, void *object,
                                               const uint8_t *bytes, size_t size, struct vlapic_snapshot_error *error);

/* Fills `error`, if not NULL, for a value that was decoded but is not good: `field` and where its item stands. */
void vlapic_core_snapshot_name(const struct vlapic_snapshot_table *table, const char *field, const uint8_t *bytes,
                               size_t size, struct vlapic_snapshot_error *error);

#endif
