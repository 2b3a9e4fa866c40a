/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshot of a VM: those settings that a guest can tell. A VM has no other state, so loading one is comparing it.
 * docs/SNAPSHOT.md lists the tags.
 */
#include <string.h>

#include "vlapic_snapshot_internal.h"

#define ITEM(tag, member) VLAPIC_SNAPSHOT_ITEM(tag, struct vlapic_vm_config, member, 1)

static const struct vlapic_snapshot_item items[] = {
    ITEM(1, phys_bits),
    ITEM(2, timer_hz),
    ITEM(3, vendor),
    ITEM(4, icr_policy),
    ITEM(5, catch_up),
    ITEM(6, version),
    ITEM(7, max_lvt),
    ITEM(8, ext_lvt_count),
    ITEM(9, ext_features),
    ITEM(10, ext_space),
    ITEM(11, eoi_suppression),
    ITEM(12, x2apic),
    ITEM(13, tsc_deadline),
    ITEM(14, svr_bit9_faults),
    ITEM(15, lowest_in_x2apic),
    ITEM(16, msi_ff_not_broadcast),
    ITEM(17, dest_alias),
    ITEM(18, id_writable),
    ITEM(19, narrow_write_merge),
    ITEM(20, msi_ext_dest),
    ITEM(21, msi_dest32),
    ITEM(22, base_fixed),
    ITEM(23, x2apic_locked),
};

_Static_assert(sizeof(enum vlapic_vendor) == 4 && sizeof(bool) == 1, "element widths that the codec knows");

static const struct vlapic_snapshot_table table = {
    .kind = VLAPIC_SNAPSHOT_VM,
    .count = sizeof(items) / sizeof(items[0]),
    .items = items,
};

enum vlapic_status vlapic_snapshot_export_vm(const struct vlapic_vm *vm, uint8_t *bytes, size_t size, size_t *length)
{
    if (vm == NULL || length == NULL || (bytes == NULL && size != 0)) {
        return VLAPIC_INVALID;
    }
    return vlapic_core_snapshot_encode(&table, vlapic_vm_get_config(vm), bytes, size, length);
}

/* Compares bytes: a hostile snapshot may hold what is no value of the member's type. */
enum vlapic_status vlapic_snapshot_import_vm(const struct vlapic_vm *vm, const uint8_t *bytes, size_t size,
                                             struct vlapic_snapshot_error *error)
{
    struct vlapic_vm_config saved;
    enum vlapic_status status;

    if (error != NULL) {
        *error = (struct vlapic_snapshot_error){ 0 };
    }
    if (vm == NULL || bytes == NULL) {
        return VLAPIC_INVALID;
    }
    status = vlapic_core_snapshot_decode(&table, &saved, bytes, size, error);
    for (uint32_t i = 0; i < table.count && status == VLAPIC_OK; i++) {
        size_t offset = items[i].offset;

        if (memcmp((const uint8_t *)&saved + offset, (const uint8_t *)vlapic_vm_get_config(vm) + offset,
                   items[i].width) != 0) {
            vlapic_core_snapshot_name(&table, items[i].name, bytes, size, error);
            status = VLAPIC_MISMATCH;
        }
    }
    return status;
}
