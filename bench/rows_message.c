/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: messages. MSIs, IPIs, multicasts, broadcasts, lowest priority. A burst uses a new vector for each operation. */
#include "bench.h"

#define FIRST_VECTOR 0x20u
#define SPREAD 7919u /* a prime: rotating targets visit all vCPUs in no order that a cache would like */

static void settle_all(struct bench_machine *m, const struct bench_row *row)
{
    (void)row;
    bench_settle(m, 0, m->count);
}

/* Everybody in the guest: the first post to each kicks. */
static void in_guest(struct bench_machine *m, const struct bench_row *row)
{
    settle_all(m, row);
    bench_enter(m, 0, m->count);
}

/* In the guest, and each one's notification is outstanding. */
static void outstanding(struct bench_machine *m, const struct bench_row *row)
{
    in_guest(m, row);
    for (unsigned i = 0; i < m->count; i++) {
        vlapic_cpu_post(m->cpus[i], 0xFE, false);
    }
}

static uint8_t vector_of(unsigned i)
{
    return (uint8_t)(FIRST_VECTOR + i);
}

static unsigned pending_of(struct bench_machine *m, unsigned first)
{
    unsigned sum = 0;

    for (unsigned i = first; i < m->count; i++) {
        vlapic_cpu_exit(m->cpus[i]);
        sum += bench_pending(m, i);
    }
    return sum;
}

/* --- MSI ------------------------------------------------------------------------------------------------------------------------- */

static void msi_each(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_vm_msi(m->vm, 0xFEE00000u | i << 12, 0x61, NULL);
    }
}

static bool each_kicked(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.kicks == row->burst && pending_of(m, 0) == row->burst;
}

static void msi_stream(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_vm_msi(m->vm, 0xFEE00000u, vector_of(i), NULL);
    }
}

static bool streamed(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.kicks == 0 && pending_of(m, 0) == row->burst + 1;
}

static void msi_same(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_vm_msi(m->vm, 0xFEE00000u, 0xFE, NULL);
    }
}

static void post_same(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_post(m->cpus[0], 0xFE, false);
    }
}

static bool coalesced(struct bench_machine *m, const struct bench_row *row)
{
    (void)row;
    return bench_counters.kicks == 0 && pending_of(m, 0) == 1;
}

/* Lowest priority to flat members 1..6. */
static void msi_lowest(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_vm_msi(m->vm, 0xFEE00000u | row->argument << 12 | 4, 0x100u | vector_of(i), NULL);
    }
}

static bool one_each(struct bench_machine *m, const struct bench_row *row)
{
    return pending_of(m, 0) == row->burst + m->count; /* and the outstanding one of each */
}

/* --- IPIs ------------------------------------------------------------------------------------------------------------------------ */

static void send(struct bench_machine *m, uint32_t destination, uint32_t low)
{
    if (m->mode == BENCH_X2APIC) {
        vlapic_cpu_msr_write(m->cpus[0], VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), (uint64_t)destination << 32 | low);
    } else {
        vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_ICR_HIGH, 4, destination << 24);
        vlapic_cpu_mmio_write(m->cpus[0], VLAPIC_REG_ICR_LOW, 4, low);
    }
}

static void ipi_fixed(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        send(m, 1, vector_of(i));
    }
}

static unsigned rotating(const struct bench_machine *m, unsigned i)
{
    return 1 + i * SPREAD % (m->count - 1);
}

static void ipi_rotating(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        send(m, rotating(m, i), 0x61);
    }
}

static bool arrived_at_one(struct bench_machine *m, const struct bench_row *row)
{
    vlapic_cpu_exit(m->cpus[1]);
    return bench_pending(m, 1) == row->burst + 1;
}

static bool arrived_rotating(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.kicks == row->burst && pending_of(m, 1) == row->burst;
}

static void self_ipi(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        vlapic_cpu_msr_write(m->cpus[0], VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), vector_of(i));
    }
}

static bool arrived_at_self(struct bench_machine *m, const struct bench_row *row)
{
    return bench_pending(m, 0) == row->burst;
}

static void multicast(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        send(m, row->argument, VLAPIC_ICR_LOGICAL | vector_of(i));
    }
}

static bool arrived_at_four(struct bench_machine *m, const struct bench_row *row)
{
    return pending_of(m, 0) == 4 * row->burst + m->count;
}

static void broadcast(struct bench_machine *m, const struct bench_row *row)
{
    for (unsigned i = 0; i < row->burst; i++) {
        send(m, 0, VLAPIC_SHORTHAND_OTHERS << VLAPIC_ICR_SHORTHAND_SHIFT | vector_of(i));
    }
}

static bool arrived_everywhere(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.kicks == 0 && pending_of(m, 1) == (row->burst + 1) * (m->count - 1);
}

static bool kicked_everywhere(struct bench_machine *m, const struct bench_row *row)
{
    return bench_counters.kicks == m->count - 1 && pending_of(m, 1) == row->burst * (m->count - 1);
}

/* clang-format off */
#define FIXED(name, vcpus, mode) \
    { name, vcpus, mode, 64, 1, 1, 0, 0, 0, outstanding, ipi_fixed, arrived_at_one }
#define ROTATING(name, vcpus, mode) \
    { name, vcpus, mode, (vcpus) < 65 ? (vcpus) - 1 : 64, 1, 2, 1, 0, 0, in_guest, ipi_rotating, arrived_rotating }
#define FOUR(name, vcpus, mode, destination) \
    { name, vcpus, mode, 32, 1, 4, 0, 0, destination, outstanding, multicast, arrived_at_four }
#define OTHERS(name, vcpus, mode) \
    { name, vcpus, mode, 1, (vcpus) - 1, 1, 0, 0, 0, outstanding, broadcast, arrived_everywhere }
#define OTHERS_NOTIFY(name, vcpus, mode) \
    { name, vcpus, mode, 1, (vcpus) - 1, 2, 1, 0, 0, in_guest, broadcast, kicked_everywhere }

static const struct bench_row rows[] = {
    { "msi-new-notify", 8, BENCH_FLAT, 8, 1, 2, 1, 0, 0, in_guest, msi_each, each_kicked },
    { "msi-new-outstanding", 1, BENCH_FLAT, 64, 1, 1, 0, 0, 0, outstanding, msi_stream, streamed },
    { "msi-pending", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0, outstanding, msi_same, coalesced },
    { "msi-pending-ordered", 1, BENCH_ORDERED, 256, 1, 0, 0, 0, 0, outstanding, msi_same, coalesced },
    { "post-pending", 1, BENCH_FLAT, 256, 1, 0, 0, 0, 0, outstanding, post_same, coalesced },
    { "post-pending-ordered", 1, BENCH_ORDERED, 256, 1, 0, 0, 0, 0, outstanding, post_same, coalesced },
    { "msi-lowest-6-of-8", 8, BENCH_FLAT, 64, 1, 1, 0, 0, 0x7E, outstanding, msi_lowest, one_each },
    { "msi-lowest-ffh-8", 8, BENCH_FLAT, 64, 1, 1, 0, 0, 0xFF, outstanding, msi_lowest, one_each },
    FIXED("ipi-xapic-2", 2, BENCH_FLAT),
    FIXED("ipi-xapic-64", 64, BENCH_FLAT),
    FIXED("ipi-xapic-255", 255, BENCH_FLAT),
    FIXED("ipi-x2apic-2", 2, BENCH_X2APIC),
    FIXED("ipi-x2apic-64", 64, BENCH_X2APIC),
    FIXED("ipi-x2apic-255", 255, BENCH_X2APIC),
    FIXED("ipi-x2apic-1024", 1024, BENCH_X2APIC),
    FIXED("ipi-x2apic-4096", 4096, BENCH_X2APIC),
    ROTATING("ipi-rotating-xapic-64", 64, BENCH_FLAT),
    ROTATING("ipi-rotating-xapic-255", 255, BENCH_FLAT),
    ROTATING("ipi-rotating-x2apic-64", 64, BENCH_X2APIC),
    ROTATING("ipi-rotating-x2apic-1024", 1024, BENCH_X2APIC),
    ROTATING("ipi-rotating-x2apic-4096", 4096, BENCH_X2APIC),
    { "self-ipi", 1, BENCH_X2APIC, 64, 1, 0, 0, 0, 0, settle_all, self_ipi, arrived_at_self },
    FOUR("multicast-4-flat-8", 8, BENCH_FLAT, 0x1E),
    FOUR("multicast-4-cluster-60", 60, BENCH_CLUSTER, 0x3F),
    FOUR("multicast-4-x2apic-64", 64, BENCH_X2APIC, 0x2001E),
    FOUR("multicast-4-x2apic-1024", 1024, BENCH_X2APIC, 0x2001E),
    FOUR("multicast-4-x2apic-4096", 4096, BENCH_X2APIC, 0x2001E),
    OTHERS("others-8", 8, BENCH_X2APIC),
    OTHERS("others-255", 255, BENCH_X2APIC),
    OTHERS("others-1024", 1024, BENCH_X2APIC),
    OTHERS("others-4096", 4096, BENCH_X2APIC),
    OTHERS_NOTIFY("others-notify-8", 8, BENCH_X2APIC),
    OTHERS_NOTIFY("others-notify-255", 255, BENCH_X2APIC),
    OTHERS_NOTIFY("others-notify-1024", 1024, BENCH_X2APIC),
    OTHERS_NOTIFY("others-notify-4096", 4096, BENCH_X2APIC),
};
/* clang-format on */

const struct bench_table bench_message_rows = { rows, sizeof(rows) / sizeof(rows[0]) };
