/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshot of a VM: those settings that a guest can tell. A VM has no other state, so loading one is comparing it.
 * docs/SNAPSHOT.md lists the tags.
 */
#include "vlapic_items.h"

#define ITEM(tag, member) VLAPIC_ITEM(tag, struct vlapic_vm_config, member, 1)

static const struct vlapic_item items[] = {
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
_Static_assert(sizeof(items) / sizeof(items[0]) <= VLAPIC_ITEMS_MAX, "a view has room for all items");

static const struct vlapic_item_table table = {
    .kind = VLAPIC_ITEMS_OF_VM,
    .count = sizeof(items) / sizeof(items[0]),
    .items = items,
};

enum vlapic_status vlapic_snapshot_export_vm(const struct vlapic_vm *vm, uint8_t *bytes, size_t size, size_t *length)
{
    struct vlapic_values settings;

    if (vm == NULL || length == NULL || (bytes == NULL && size != 0)) {
        return VLAPIC_INVALID;
    }
    settings = vlapic_core_values_of_struct(&table, vlapic_vm_get_config(vm));
    return vlapic_core_snapshot_encode(&settings, bytes, size, length);
}

/* Compares numbers: a hostile snapshot may hold what is no value of the member's type. */
static enum vlapic_status compare(const struct vlapic_vm *vm, const struct vlapic_snapshot_view *view,
                                  struct vlapic_snapshot_error *error)
{
    const struct vlapic_values settings = vlapic_core_values_of_struct(&table, vlapic_vm_get_config(vm));
    const struct vlapic_values saved = vlapic_core_values_of_snapshot(view);

    for (uint32_t i = 0; i < table.count; i++) {
        if (saved.value(&saved, i, 0) != settings.value(&settings, i, 0)) {
            vlapic_core_snapshot_blame(view, i, error);
            return VLAPIC_MISMATCH;
        }
    }
    return VLAPIC_OK;
}

enum vlapic_status vlapic_snapshot_import_vm(const struct vlapic_vm *vm, const uint8_t *bytes, size_t size,
                                             struct vlapic_snapshot_error *error)
{
    struct vlapic_snapshot_view view;
    enum vlapic_status status;

    if (error != NULL) {
        *error = (struct vlapic_snapshot_error){ 0 };
    }
    if (vm == NULL || bytes == NULL) {
        return VLAPIC_INVALID;
    }
    status = vlapic_core_snapshot_view(&view, &table, bytes, size, error);
    return status == VLAPIC_OK ? compare(vm, &view, error) : status;
}
