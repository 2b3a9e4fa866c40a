/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshot codec, format 1: docs/SNAPSHOT.md. Bytes are hostile until proved otherwise: nothing outside of `size` is read, and each
 * length, tag and flag is checked before it is used.
 */
#include <string.h>

#include "vlapic_snapshot_internal.h"

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

/* Members are of 1, 4 or 8 bytes, in the host's order. */
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

static void store_member(uint8_t *member, uint32_t width, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    if (width == 1) {
        *member = (uint8_t)value;
    } else if (width == 4) {
        memcpy(member, &narrow, sizeof(narrow));
    } else {
        memcpy(member, &value, sizeof(value));
    }
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

static uint32_t item_bytes(const struct vlapic_snapshot_item *item)
{
    return (uint32_t)item->width * item->count;
}

static size_t total_bytes(const struct vlapic_snapshot_table *table)
{
    size_t total = HEADER_BYTES;

    for (uint32_t i = 0; i < table->count; i++) {
        total += ITEM_HEADER_BYTES + item_bytes(&table->items[i]);
    }
    return total;
}

static uint8_t *put_item(uint8_t *bytes, const struct vlapic_snapshot_item *item, const uint8_t *object)
{
    put_number(bytes, item->tag, 2);
    put_number(bytes + 2, FLAG_MANDATORY, 2);
    put_number(bytes + 4, item_bytes(item), 4);
    bytes += ITEM_HEADER_BYTES;
    for (uint32_t i = 0; i < item->count; i++) {
        put_number(bytes, load_member(object + item->offset + (size_t)i * item->width, item->width), item->width);
        bytes += item->width;
    }
    return bytes;
}

enum vlapic_status vlapic_core_snapshot_encode(const struct vlapic_snapshot_table *table, const void *object,
                                               uint8_t *bytes, size_t size, size_t *length)
{
    size_t total = total_bytes(table);

    *length = total;
    if (size < total) {
        return VLAPIC_TOO_SMALL;
    }
    memcpy(bytes, magic, sizeof(magic));
    put_number(bytes + 8, VLAPIC_SNAPSHOT_VERSION, 2);
    put_number(bytes + 10, (uint64_t)table->kind, 2);
    put_number(bytes + 12, total, 4);
    bytes += HEADER_BYTES;
    for (uint32_t i = 0; i < table->count; i++) {
        bytes = put_item(bytes, &table->items[i], object);
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

static enum vlapic_status check_header(const struct vlapic_snapshot_table *table, const uint8_t *bytes, size_t size,
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

static uint32_t find_item(const struct vlapic_snapshot_table *table, uint32_t tag)
{
    uint32_t i = 0;

    while (i < table->count && table->items[i].tag != tag) {
        i++;
    }
    return i;
}

static void take_item(const struct vlapic_snapshot_item *item, uint8_t *object, const uint8_t *value)
{
    for (uint32_t i = 0; i < item->count; i++) {
        size_t at = (size_t)i * item->width;

        store_member(object + item->offset + at, item->width, get_number(value + at, item->width));
    }
}

/* One item at `offset`; `seen` has a bit for each line of the table. */
static enum vlapic_status read_item(const struct vlapic_snapshot_table *table, uint8_t *object, const uint8_t *bytes,
                                    size_t size, size_t *offset, uint64_t *seen, struct vlapic_snapshot_error *error)
{
    const uint8_t *item = bytes + *offset;
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
        if ((*seen >> index & 1u) != 0 || length != item_bytes(&table->items[index])) {
            return fail(error, VLAPIC_BAD_FORMAT, table->items[index].name, tag, *offset);
        }
        *seen |= 1ull << index;
        take_item(&table->items[index], object, item + ITEM_HEADER_BYTES);
    }
    *offset += ITEM_HEADER_BYTES + (size_t)length;
    return VLAPIC_OK;
}

enum vlapic_status vlapic_core_snapshot_decode(const struct vlapic_snapshot_table *table, void *object,
                                               const uint8_t *bytes, size_t size, struct vlapic_snapshot_error *error)
{
    enum vlapic_status status = check_header(table, bytes, size, error);
    size_t offset = HEADER_BYTES;
    uint64_t seen = 0;

    while (status == VLAPIC_OK && offset < size) {
        status = read_item(table, object, bytes, size, &offset, &seen, error);
    }
    for (uint32_t i = 0; i < table->count && status == VLAPIC_OK; i++) {
        if ((seen >> i & 1u) == 0) {
            status = fail(error, VLAPIC_BAD_FORMAT, table->items[i].name, table->items[i].tag, size);
        }
    }
    return status;
}

static bool same_name(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The snapshot has been decoded once: its items are known to be well formed. */
static size_t offset_of_tag(const uint8_t *bytes, size_t size, uint32_t tag)
{
    size_t offset = HEADER_BYTES;

    while (offset < size && get_number(bytes + offset, 2) != tag) {
        offset += ITEM_HEADER_BYTES + (size_t)get_number(bytes + offset + 4, 4);
    }
    return offset;
}

void vlapic_core_snapshot_name(const struct vlapic_snapshot_table *table, const char *field, const uint8_t *bytes,
                               size_t size, struct vlapic_snapshot_error *error)
{
    if (error == NULL || field == NULL) {
        return;
    }
    error->field = field;
    for (uint32_t i = 0; i < table->count; i++) {
        if (same_name(table->items[i].name, field)) {
            error->tag = table->items[i].tag;
            error->offset = offset_of_tag(bytes, size, error->tag);
        }
    }
}
