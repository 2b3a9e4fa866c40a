/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshot codec, format 1: docs/SNAPSHOT.md. Bytes are hostile until proved otherwise: nothing outside of `size` is read, and each
 * length, tag and flag is checked before it is used.
 */
#include <string.h>

#include "vlapic_items.h"

#define HEADER_BYTES 16u
#define ITEM_HEADER_BYTES 8u
#define FLAG_MANDATORY 1u

static const uint8_t magic[8] = { 'v', 'l', 'a', 'p', 'i', 'c', 0x1A, 0x0A };

/* --- little-endian numbers ------------------------------------------------------------------------------------------------- */

static void put_number(uint8_t *bytes, uint64_t value, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_number(const uint8_t *bytes, uint32_t width)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < width; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

static uint32_t item_bytes(const struct vlapic_item *item)
{
    return (uint32_t)item->width * item->count;
}

static size_t total_bytes(const struct vlapic_item_table *table)
{
    size_t total = HEADER_BYTES;

    for (uint32_t i = 0; i < table->count; i++) {
        total += ITEM_HEADER_BYTES + item_bytes(&table->items[i]);
    }
    return total;
}

static uint8_t *put_item(uint8_t *bytes, const struct vlapic_values *values, uint32_t item)
{
    const struct vlapic_item *line = &values->table->items[item];

    put_number(bytes, line->tag, 2);
    put_number(bytes + 2, FLAG_MANDATORY, 2);
    put_number(bytes + 4, item_bytes(line), 4);
    bytes += ITEM_HEADER_BYTES;
    for (uint32_t i = 0; i < line->count; i++) {
        put_number(bytes, values->value(values, item, i), line->width);
        bytes += line->width;
    }
    return bytes;
}

enum vlapic_status vlapic_core_snapshot_encode(const struct vlapic_values *values, uint8_t *bytes, size_t size,
                                               size_t *length)
{
    size_t total = total_bytes(values->table);

    *length = total;
    if (size < total) {
        return VLAPIC_TOO_SMALL;
    }
    memcpy(bytes, magic, sizeof(magic));
    put_number(bytes + 8, VLAPIC_SNAPSHOT_VERSION, 2);
    put_number(bytes + 10, (uint64_t)values->table->kind, 2);
    put_number(bytes + 12, total, 4);
    bytes += HEADER_BYTES;
    for (uint32_t i = 0; i < values->table->count; i++) {
        bytes = put_item(bytes, values, i);
    }
    return VLAPIC_OK;
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static enum vlapic_status fail(struct vlapic_snapshot_error *error, enum vlapic_status status, const char *field,
                               uint32_t tag, size_t offset)
{
    if (error != NULL) {
        *error = (struct vlapic_snapshot_error){ .field = field, .tag = tag, .offset = offset };
    }
    return status;
}

static enum vlapic_status check_header(const struct vlapic_item_table *table, const uint8_t *bytes, size_t size,
                                       struct vlapic_snapshot_error *error)
{
    if (size < HEADER_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0) {
        return fail(error, VLAPIC_BAD_FORMAT, "magic", 0, 0);
    }
    if (get_number(bytes + 8, 2) != VLAPIC_SNAPSHOT_VERSION) {
        return fail(error, VLAPIC_BAD_VERSION, "version", 0, 8);
    }
    if (get_number(bytes + 10, 2) != (uint64_t)table->kind) {
        return fail(error, VLAPIC_BAD_FORMAT, "kind", 0, 10);
    }
    if (get_number(bytes + 12, 4) != size) {
        return fail(error, VLAPIC_BAD_FORMAT, "length", 0, 12);
    }
    return VLAPIC_OK;
}

static uint32_t find_item(const struct vlapic_item_table *table, uint32_t tag)
{
    uint32_t i = 0;

    while (i < table->count && table->items[i].tag != tag) {
        i++;
    }
    return i;
}

/* One item at `offset`. */
static enum vlapic_status read_item(struct vlapic_snapshot_view *view, size_t size, size_t *offset,
                                    struct vlapic_snapshot_error *error)
{
    const struct vlapic_item_table *table = view->table;
    const uint8_t *item = view->bytes + *offset;
    uint32_t tag, flags, index;
    uint64_t length;

    if (size - *offset < ITEM_HEADER_BYTES) {
        return fail(error, VLAPIC_BAD_FORMAT, "item", 0, *offset);
    }
    tag = (uint32_t)get_number(item, 2);
    flags = (uint32_t)get_number(item + 2, 2);
    length = get_number(item + 4, 4);
    if (length > size - *offset - ITEM_HEADER_BYTES) {
        return fail(error, VLAPIC_BAD_FORMAT, "item", tag, *offset);
    }
    index = find_item(table, tag);
    if (index == table->count && (flags & FLAG_MANDATORY) != 0) {
        return fail(error, VLAPIC_BAD_VERSION, "unknown tag", tag, *offset);
    }
    if (index < table->count) {
        if (view->places[index] != 0 || length != item_bytes(&table->items[index])) {
            return fail(error, VLAPIC_BAD_FORMAT, table->items[index].name, tag, *offset);
        }
        view->places[index] = (uint32_t)(*offset + ITEM_HEADER_BYTES); /* the length of the whole has 32 bits */
    }
    *offset += ITEM_HEADER_BYTES + (size_t)length;
    return VLAPIC_OK;
}

enum vlapic_status vlapic_core_snapshot_view(struct vlapic_snapshot_view *view, const struct vlapic_item_table *table,
                                             const uint8_t *bytes, size_t size, struct vlapic_snapshot_error *error)
{
    enum vlapic_status status = check_header(table, bytes, size, error);
    size_t offset = HEADER_BYTES;

    *view = (struct vlapic_snapshot_view){ .table = table, .bytes = bytes };
    while (status == VLAPIC_OK && offset < size) {
        status = read_item(view, size, &offset, error);
    }
    for (uint32_t i = 0; i < table->count && status == VLAPIC_OK; i++) {
        if (view->places[i] == 0) {
            status = fail(error, VLAPIC_BAD_FORMAT, table->items[i].name, table->items[i].tag, size);
        }
    }
    return status;
}

static uint64_t value_in_snapshot(const struct vlapic_values *values, uint32_t item, uint32_t index)
{
    const struct vlapic_snapshot_view *view = values->view;
    uint32_t width = view->table->items[item].width;

    return get_number(view->bytes + view->places[item] + (size_t)index * width, width);
}

struct vlapic_values vlapic_core_values_of_snapshot(const struct vlapic_snapshot_view *view)
{
    return (struct vlapic_values){ .value = value_in_snapshot, .table = view->table, .view = view };
}

void vlapic_core_snapshot_blame(const struct vlapic_snapshot_view *view, uint32_t item,
                                struct vlapic_snapshot_error *error)
{
    const struct vlapic_item *line = &view->table->items[item];

    fail(error, VLAPIC_OK, line->name, line->tag, view->places[item] - ITEM_HEADER_BYTES);
}
