/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshot of a vCPU: struct vlapic_cpu_state as tagged items. Tags are never reused; docs/SNAPSHOT.md lists them. */
#include "vlapic_snapshot_internal.h"

#define ITEM(tag, member, elements) VLAPIC_SNAPSHOT_ITEM(tag, struct vlapic_cpu_state, member, elements)

static const struct vlapic_snapshot_item items[] = {
    ITEM(1, apic_id, 1),
    ITEM(2, apic_base, 1),
    ITEM(3, xapic_id, 1),
    ITEM(4, tpr, 1),
    ITEM(5, ldr, 1),
    ITEM(6, dfr, 1),
    ITEM(7, svr, 1),
    ITEM(8, esr, 1),
    ITEM(9, esr_pending, 1),
    ITEM(10, icr, 1),
    ITEM(11, lvt, 7),
    ITEM(12, lvt_ext, 8),
    ITEM(13, isr, 8),
    ITEM(14, tmr, 8),
    ITEM(15, irr, 8),
    ITEM(16, ier, 8),
    ITEM(17, ext_control, 1),
    ITEM(18, initial_count, 1),
    ITEM(19, divide_config, 1),
    ITEM(20, timer_running, 1),
    ITEM(21, timer_remaining, 1),
    ITEM(22, timer_phase, 1),
    ITEM(23, tsc_deadline, 1),
    ITEM(24, time_ns, 1),
    ITEM(25, events, 1),
    ITEM(26, sipi_vector, 1),
};

_Static_assert(VLAPIC_LVT_COUNT == 7 && VLAPIC_LVT_EXT_MAX == 8, "item counts of tags 11 and 12");

static const struct vlapic_snapshot_table table = {
    .kind = VLAPIC_SNAPSHOT_CPU,
    .count = sizeof(items) / sizeof(items[0]),
    .items = items,
};

enum vlapic_status vlapic_snapshot_export_cpu(struct vlapic_cpu *cpu, uint8_t *bytes, size_t size, size_t *length)
{
    struct vlapic_cpu_state state;

    if (cpu == NULL || length == NULL || (bytes == NULL && size != 0)) {
        return VLAPIC_INVALID;
    }
    (void)vlapic_cpu_get_state(cpu, &state, sizeof(state));
    return vlapic_core_snapshot_encode(&table, &state, bytes, size, length);
}

enum vlapic_status vlapic_snapshot_import_cpu(struct vlapic_cpu *cpu, const uint8_t *bytes, size_t size,
                                              enum vlapic_time time, struct vlapic_snapshot_error *error)
{
    struct vlapic_cpu_state state = { .size = sizeof(state) };
    enum vlapic_status status;
    const char *field = NULL;

    if (error != NULL) {
        *error = (struct vlapic_snapshot_error){ 0 };
    }
    if (cpu == NULL || bytes == NULL) {
        return VLAPIC_INVALID;
    }
    status = vlapic_core_snapshot_decode(&table, &state, bytes, size, error);
    if (status != VLAPIC_OK) {
        return status;
    }
    status = vlapic_cpu_set_state(cpu, &state, time, &field);
    if (status != VLAPIC_OK) {
        vlapic_core_snapshot_name(&table, field, bytes, size, error);
    }
    return status;
}
