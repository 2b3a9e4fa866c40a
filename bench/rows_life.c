/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: making vCPUs, joining the fabric, changing what senders must know, snapshots. */
#include <string.h>

#include "bench.h"

static void detach_rest(struct bench_machine *m, const struct bench_row *row)
{
    bench_settle(m, 0, m->count);
    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        vlapic_cpu_detach(m->cpus[i]);
    }
}

static void create_rest(struct bench_machine *m, const struct bench_row *row)
{
    struct vlapic_cpu_config config = { .size = sizeof(config), .bsp = true };

    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        config.apic_id = i;
        (void)vlapic_cpu_create(m->cpu_memory + i * m->cpu_stride, m->cpu_stride, m->vm, &config, &m->cpus[i]);
    }
}

/* The machine is whole again afterwards. */
static bool were_created(struct bench_machine *m, const struct bench_row *row)
{
    bool good = true;

    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        good = good && vlapic_cpu_apic_base(m->cpus[i]) == 0xFEE00900 && vlapic_cpu_attach(m->cpus[i]) == VLAPIC_OK;
    }
    return good;
}

static void join_rest(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        (void)vlapic_cpu_attach(m->cpus[i]);
    }
}

static bool are_found(struct bench_machine *m, const struct bench_row *row)
{
    bool good = true;

    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        good = good && vlapic_vm_find(m->vm, i) == m->cpus[i];
    }
    return good;
}

static void nothing(struct bench_machine *m, const struct bench_row *row)
{
    (void)m;
    (void)row;
}

/* Of the last vCPU, which has no flat bit of its own. */
static void write_ldr(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_mmio_write(m->cpus[7], VLAPIC_REG_LDR, 4, (i & 1) != 0 ? 0x80000000u : 0);
    }
}

static bool ldr_is_last(struct bench_machine *m, const struct bench_row *row)
{
    uint64_t value = 0;

    (void)row;
    vlapic_cpu_mmio_read(m->cpus[7], VLAPIC_REG_LDR, 4, &value);
    return value == 0x80000000u;
}

static void rest_to_xapic(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        vlapic_cpu_reset(m->cpus[i]);
    }
}

static void rest_to_x2apic(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        vlapic_cpu_msr_write(m->cpus[i], VLAPIC_MSR_APIC_BASE, 0xFEE00D00);
    }
}

static bool are_x2apic(struct bench_machine *m, const struct bench_row *row)
{
    bool good = true;

    for (unsigned i = m->count - row->burst; i < m->count; i++) {
        good = good && vlapic_cpu_apic_base(m->cpus[i]) == 0xFEE00D00;
    }
    return good;
}

static uint8_t snapshot[VLAPIC_SNAPSHOT_MAX];
static size_t snapshot_length;
static unsigned snapshots;

static void export_many(struct bench_machine *m, const struct bench_row *row)
{
    snapshots = 0;
    for (unsigned i = 0; i < row->burst; i++) {
        snapshots += vlapic_snapshot_export_cpu(m->cpus[0], snapshot, sizeof(snapshot), &snapshot_length) == VLAPIC_OK;
    }
}

static void exported(struct bench_machine *m, const struct bench_row *row)
{
    (void)row;
    (void)vlapic_snapshot_export_cpu(m->cpus[0], snapshot, sizeof(snapshot), &snapshot_length);
}

static void import_many(struct bench_machine *m, const struct bench_row *row)
{
    snapshots = 0;
    for (unsigned i = 0; i < row->burst; i++) {
        snapshots += vlapic_snapshot_import_cpu(m->cpus[0], snapshot, snapshot_length, VLAPIC_TIME_STOPPED, NULL) ==
                     VLAPIC_OK;
    }
}

static bool all_snapshots(struct bench_machine *m, const struct bench_row *row)
{
    (void)m;
    return snapshots == row->burst;
}

static const struct bench_row rows[] = {
    { "create-and-reset", 64, BENCH_FLAT, 32, 1, 1, 1, 0, 0, detach_rest, create_rest, were_created },
    { "create-and-reset-4096", 4096, BENCH_X2APIC, 32, 1, 1, 1, 0, 0, detach_rest, create_rest, were_created },
    { "join-64", 64, BENCH_FLAT, 32, 1, 3, 0, 0, 0, detach_rest, join_rest, are_found },
    { "join-4096", 4096, BENCH_X2APIC, 32, 1, 3, 0, 0, 0, detach_rest, join_rest, are_found },
    { "ldr-write-8", 8, BENCH_FLAT, 64, 1, 1, 0, 0, 0, nothing, write_ldr, ldr_is_last },
    { "ldr-write-255", 255, BENCH_FLAT, 64, 1, 1, 0, 0, 0, nothing, write_ldr, ldr_is_last },
    { "to-x2apic-64", 64, BENCH_X2APIC, 32, 1, 0, 0, 0, 0, rest_to_xapic, rest_to_x2apic, are_x2apic },
    { "to-x2apic-4096", 4096, BENCH_X2APIC, 32, 1, 0, 0, 0, 0, rest_to_xapic, rest_to_x2apic, are_x2apic },
    { "snapshot-export", 1, BENCH_FLAT, 16, 1, 0, 0, 1, 0, nothing, export_many, all_snapshots },
    { "snapshot-import", 1, BENCH_FLAT, 16, 1, 0, 0, 1, 0, exported, import_many, all_snapshots },
};

const struct bench_table bench_life_rows = { rows, sizeof(rows) / sizeof(rows[0]) };
