/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshot of a vCPU: the items of vlapic_state.c. docs/SNAPSHOT.md lists the tags. */
#include "vlapic_items.h"

static enum vlapic_status write(struct vlapic_cpu *cpu, uint8_t *bytes, size_t size, size_t *length)
{
    const struct vlapic_values values = vlapic_core_state_read(cpu);

    return vlapic_core_snapshot_encode(&values, bytes, size, length);
}

enum vlapic_status vlapic_snapshot_export_cpu(struct vlapic_cpu *cpu, uint8_t *bytes, size_t size, size_t *length)
{
    if (cpu == NULL || length == NULL || (bytes == NULL && size != 0)) {
        return VLAPIC_INVALID;
    }
    VLAPIC_ASSERT_OWNER(cpu);
    return write(cpu, bytes, size, length);
}

static enum vlapic_status replace(struct vlapic_cpu *cpu, const struct vlapic_snapshot_view *view,
                                  enum vlapic_time time, struct vlapic_snapshot_error *error)
{
    const struct vlapic_values values = vlapic_core_values_of_snapshot(view);
    uint32_t fault;
    enum vlapic_status status = vlapic_core_state_replace(cpu, &values, time, &fault);

    if (fault < VLAPIC_STATE_ITEMS) {
        vlapic_core_snapshot_blame(view, fault, error);
    }
    return status;
}

enum vlapic_status vlapic_snapshot_import_cpu(struct vlapic_cpu *cpu, const uint8_t *bytes, size_t size,
                                              enum vlapic_time time, struct vlapic_snapshot_error *error)
{
    struct vlapic_snapshot_view view;
    enum vlapic_status status;

    if (error != NULL) {
        *error = (struct vlapic_snapshot_error){ 0 };
    }
    if (cpu == NULL || bytes == NULL) {
        return VLAPIC_INVALID;
    }
    status = vlapic_core_snapshot_view(&view, &vlapic_core_state_items, bytes, size, error);
    return status == VLAPIC_OK ? replace(cpu, &view, time, error) : status;
}
