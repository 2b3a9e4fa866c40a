/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ICR: every combination of its fields, for both vendors and every policy, against the decision table written down
 * below; read-back, the order of the checks, SELF IPI.
 */
#include "fake_host.h"
#include "reception.h"
#include "state_helpers.h"

#include <stdio.h>
#include <string.h>

#define CPUS 4u
#define SENDER 0u
#define WAITING 3u /* the vCPU that waits for SIPI */

static struct fake_vm host;

struct setting {
    enum vlapic_vendor vendor;
    bool x2apic;
    bool strict;
    bool lowest_in_x2apic;
    bool sender_enabled; /* SVR[8] of the sender */
};

/* Logical ID of vCPU n is bit n in both modes. */
static void set_logical_id(unsigned index)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&host, index);

    if (!(vlapic_cpu_apic_base(cpu) & VLAPIC_BASE_EXTD))
        guest_write(cpu, VLAPIC_REG_LDR, 1u << (24 + index));
}

static void start(const struct setting *s)
{
    fake_vm_prepare(&host, s->vendor);
    host.config.icr_policy = s->strict ? VLAPIC_ICR_STRICT : VLAPIC_ICR_PERMISSIVE;
    host.config.lowest_in_x2apic = s->lowest_in_x2apic;
    fake_vm_start(&host, CPUS, NULL);
    start_aps(&host);
    for (unsigned i = 0; i < CPUS; i++) {
        guest_software_enable(fake_cpu_at(&host, i));
        set_logical_id(i);
        if (s->x2apic)
            guest_enable_x2apic(fake_cpu_at(&host, i));
    }
    vlapic_cpu_take_init(fake_cpu_at(&host, WAITING));
    set_logical_id(WAITING);
    if (!s->sender_enabled)
        guest_set(fake_cpu_at(&host, SENDER), VLAPIC_REG_SVR, 0xFF);
    fake_forget(&host);
}

static struct vlapic_cpu *sender(void)
{
    return fake_cpu_at(&host, SENDER);
}

/* ---- the decisions ---- */

struct icr {
    uint32_t destination; /* FFFFFFFF: broadcast of the mode */
    enum vlapic_delivery delivery;
    enum vlapic_shorthand shorthand;
    bool logical, level, assert;
    uint8_t vector;
};

static uint32_t icr_low(const struct icr *icr)
{
    return (uint32_t)icr->vector | (uint32_t)icr->delivery << VLAPIC_DELIVERY_SHIFT |
           (icr->logical ? VLAPIC_ICR_LOGICAL : 0) | (icr->assert ? VLAPIC_ICR_ASSERT : 0) |
           (icr->level ? VLAPIC_ICR_LEVEL : 0) | (uint32_t)icr->shorthand << VLAPIC_ICR_SHORTHAND_SHIFT;
}

static bool has_vector(const struct icr *icr)
{
    return icr->delivery == VLAPIC_DELIVERY_FIXED || icr->delivery == VLAPIC_DELIVERY_LOWEST;
}

enum verdict { DROP, AS_EDGE, AS_LEVEL };

/* Steps 2 to 6 of the manual's tables as decided for either vendor. Adds what the sender's ESR records. */
static enum verdict decide(const struct setting *s, const struct icr *icr, uint8_t *errors)
{
    bool amd = s->vendor == VLAPIC_VENDOR_AMD;
    bool de_assert = icr->level && !icr->assert;

    if (icr->delivery == VLAPIC_DELIVERY_RESERVED || icr->delivery == VLAPIC_DELIVERY_EXTINT)
        return DROP;
    if (icr->delivery == VLAPIC_DELIVERY_INIT && de_assert)
        return DROP;
    if (amd && de_assert && icr->delivery != VLAPIC_DELIVERY_SIPI && icr->delivery != VLAPIC_DELIVERY_INIT)
        return DROP;
    if (s->strict && icr->delivery != VLAPIC_DELIVERY_FIXED &&
        (icr->shorthand == VLAPIC_SHORTHAND_SELF || icr->shorthand == VLAPIC_SHORTHAND_ALL))
        return DROP;
    if (icr->delivery == VLAPIC_DELIVERY_LOWEST && s->x2apic && !amd && !s->lowest_in_x2apic) {
        *errors |= VLAPIC_ESR_REDIRECTABLE_IPI;
        return DROP;
    }
    if (has_vector(icr) && icr->vector < 16) {
        *errors |= VLAPIC_ESR_SEND_ILLEGAL_VECTOR;
        if (icr->shorthand == VLAPIC_SHORTHAND_SELF && s->sender_enabled)
            *errors |= VLAPIC_ESR_RECEIVE_ILLEGAL_VECTOR;
        return DROP;
    }
    return has_vector(icr) && icr->level && amd ? AS_LEVEL : AS_EDGE;
}

static bool is_addressed(const struct setting *s, const struct icr *icr, unsigned index, const struct receiver *r)
{
    switch (icr->shorthand) {
    case VLAPIC_SHORTHAND_SELF:
        return index == SENDER;
    case VLAPIC_SHORTHAND_ALL:
        return true;
    case VLAPIC_SHORTHAND_OTHERS:
        return index != SENDER;
    default:
        return destination_names(&host.config, s->x2apic ? SENDER_X2APIC_ICR : SENDER_XAPIC_ICR,
                                 s->x2apic ? icr->destination : icr->destination & 0xFF, icr->logical, r);
    }
}

static void expect(const struct setting *s, const struct icr *icr, struct reception expected[CPUS])
{
    unsigned candidates[CPUS], count = 0;
    bool arbitrated = icr->delivery == VLAPIC_DELIVERY_LOWEST && (icr->shorthand || icr->logical);
    enum verdict verdict;

    memset(expected, 0, CPUS * sizeof expected[0]);
    verdict = decide(s, icr, &expected[SENDER].errors);
    if (verdict == DROP)
        return;
    for (unsigned i = 0; i < CPUS; i++) {
        struct receiver r = receiver_of(fake_cpu_at(&host, i));

        if (!is_addressed(s, icr, i, &r))
            continue;
        expected[i].smi = icr->delivery == VLAPIC_DELIVERY_SMI;
        expected[i].nmi = icr->delivery == VLAPIC_DELIVERY_NMI;
        expected[i].init = icr->delivery == VLAPIC_DELIVERY_INIT;
        if (icr->delivery == VLAPIC_DELIVERY_SIPI && i == WAITING) {
            expected[i].sipi = true;
            expected[i].page = icr->vector;
        }
        if (has_vector(icr) && r.software_enabled)
            candidates[count++] = i;
    }
    for (unsigned i = 0; i < count; i++)
        if (!arbitrated || i == icr->vector % count) {
            expected[candidates[i]].vectors = 1;
            expected[candidates[i]].vector = icr->vector;
            expected[candidates[i]].level = verdict == AS_LEVEL;
        }
}

/* NMI and SMI stay latched in a vCPU that waits for SIPI; starting it makes it show them. */
static struct reception received_by(unsigned index)
{
    struct vlapic_cpu *cpu = fake_cpu_at(&host, index);
    struct reception got = receive(cpu), more;
    struct vlapic_message init = { .destination = vlapic_cpu_apic_id(cpu), .delivery = VLAPIC_DELIVERY_INIT };

    if (index != WAITING || got.init || got.sipi)
        return got;
    guest_icr(sender(), vlapic_cpu_apic_base(sender()) & VLAPIC_BASE_EXTD ? index : index << 24, 0x4600 | 0x99);
    more = receive(cpu);
    assert_true(more.sipi);
    got.nmi |= more.nmi;
    got.smi |= more.smi;
    assert_int_equal(vlapic_vm_deliver(host.vm, &init), 1);
    assert_true(receive(cpu).init);
    return got;
}

static void check(const struct setting *s, const struct icr *icr)
{
    uint32_t low = icr_low(icr);
    uint32_t high = s->x2apic ? icr->destination : icr->destination << 24;
    struct reception expected[CPUS];
    char what[160];

    snprintf(what, sizeof what, "%s %s%s%s%s ICR %08x %08x", s->vendor ? "amd" : "intel",
             s->x2apic ? "x2apic" : "xapic", s->strict ? " strict" : "", s->lowest_in_x2apic ? " lowest" : "",
             s->sender_enabled ? "" : " disabled", high, low);
    expect(s, icr, expected);
    guest_icr(sender(), high, low);
    if (s->x2apic) {
        assert_int_equal(guest_rdmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)), (uint64_t)high << 32 | low);
    } else {
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_LOW), low);
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_HIGH), high);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        struct reception got = received_by(i);

        assert_reception(&expected[i], &got, what, i);
    }
    vlapic_cpu_take_init(fake_cpu_at(&host, WAITING));
    set_logical_id(WAITING);
    fake_forget(&host);
}

static void every_combination(const struct setting *s)
{
    /* the sender, another, a waiting one, nobody, a logical group of three and broadcast; read as physical and logical */
    static const uint32_t destinations[] = { 0, 1, 3, 0x40, 0x7, 0xFFFFFFFF };
    static const uint8_t vectors[] = { 0x00, 0x0F, 0x10, 0x45, 0xFE };
    struct icr icr;

    start(s);
    for (unsigned fields = 0; fields < 256; fields++)
        for (size_t d = 0; d < sizeof destinations / sizeof destinations[0]; d++)
            for (size_t v = 0; v < sizeof vectors; v++) {
                icr = (struct icr){
                    .destination = destinations[d],
                    .delivery = (enum vlapic_delivery)(fields & 7),
                    .shorthand = (enum vlapic_shorthand)(fields >> 3 & 3),
                    .logical = fields >> 5 & 1,
                    .level = fields >> 6 & 1,
                    .assert = fields >> 7 & 1,
                    .vector = vectors[v],
                };
                check(s, &icr);
            }
    fake_vm_stop(&host);
}

static void every_field_combination(bool x2apic)
{
    for (unsigned i = 0; i < 16; i++) {
        struct setting s = {
            .vendor = i & 1 ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL,
            .x2apic = x2apic,
            .strict = i >> 1 & 1,
            .lowest_in_x2apic = i >> 2 & 1,
            .sender_enabled = !(i >> 3 & 1),
        };

        every_combination(&s);
    }
}

static void every_xapic_combination_is_sent_as_the_tables_say(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)", tables of valid combinations; AMD APM 2, "Interrupt Command Register" */
    (void)unused;
    every_field_combination(false);
}

static void every_x2apic_combination_is_sent_as_the_tables_say(void **unused)
{
    /* Intel SDM 3A, "ICR Operation in x2APIC Mode", tables of valid combinations; AMD APM 2, "x2APIC Interrupt Command Register" */
    (void)unused;
    every_field_combination(true);
}

/* ---- single rows, by hand ---- */

struct row {
    const char *name;
    uint32_t low;
    /* what vCPU 1 receives, for either vendor */
    struct reception intel, amd;
};

#define EDGE(v)                                                                                                        \
    {                                                                                                                  \
        .vectors = 1, .vector = (v)                                                                                    \
    }
#define LEVEL(v)                                                                                                       \
    {                                                                                                                  \
        .vectors = 1, .vector = (v), .level = true                                                                     \
    }
#define NMI                                                                                                            \
    {                                                                                                                  \
        .nmi = true                                                                                                    \
    }
#define SMI                                                                                                            \
    {                                                                                                                  \
        .smi = true                                                                                                    \
    }
#define INIT                                                                                                           \
    {                                                                                                                  \
        .init = true                                                                                                   \
    }
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        .page = 0                                                                                                      \
    }

static const struct row rows[] = {
    { "INIT de-assert", 0x08500, NOTHING, NOTHING },
    { "INIT level assert", 0x0C500, INIT, INIT },
    { "INIT edge, level 0", 0x00500, INIT, INIT },
    { "INIT edge, level 1", 0x04500, INIT, INIT },
    { "NMI edge, level 0", 0x00400, NMI, NMI },
    { "NMI edge, level 1", 0x04400, NMI, NMI },
    { "NMI level assert", 0x0C400, NMI, NMI },
    { "NMI level de-assert", 0x08400, NMI, NOTHING },
    { "SMI edge, level 0", 0x00200, SMI, SMI },
    { "SMI level assert", 0x0C200, SMI, SMI },
    { "SMI level de-assert", 0x08200, SMI, NOTHING },
    { "Fixed edge, level 0", 0x00051, EDGE(0x51), EDGE(0x51) },
    { "Fixed edge, level 1", 0x04051, EDGE(0x51), EDGE(0x51) },
    { "Fixed level assert", 0x0C051, EDGE(0x51), LEVEL(0x51) },
    { "Fixed level de-assert", 0x08051, EDGE(0x51), NOTHING },
    { "lowest edge, level 0", 0x00151, EDGE(0x51), EDGE(0x51) },
    { "lowest level assert", 0x0C151, EDGE(0x51), LEVEL(0x51) },
    { "lowest level de-assert", 0x08151, EDGE(0x51), NOTHING },
    { "reserved mode 3", 0x04351, NOTHING, NOTHING },
    { "reserved mode 7", 0x04751, NOTHING, NOTHING },
};

static void rows_of_the_decision_table(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)"; AMD APM 2, "Valid ICR Field Combinations": xAPIC, physical, to vCPU 1 */
    (void)unused;
    for (unsigned vendor = 0; vendor < 2; vendor++) {
        struct setting s = { .vendor = (enum vlapic_vendor)vendor, .sender_enabled = true };

        start(&s);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            guest_icr(sender(), 1u << 24, rows[i].low);
            assert_received(fake_cpu_at(&host, 1), vendor ? rows[i].amd : rows[i].intel, rows[i].name);
            assert_received_nothing(sender(), rows[i].name);
            assert_received_nothing(fake_cpu_at(&host, 2), rows[i].name);
        }
        fake_vm_stop(&host);
    }
}

struct order {
    const char *name;
    struct setting setting;
    uint32_t low;
    uint8_t errors;
};

static const struct order orders[] = {
    { "reserved mode 3, illegal vector", { .sender_enabled = true }, 0x00305, 0 },
    { "reserved mode 7, illegal vector", { .sender_enabled = true }, 0x00705, 0 },
    { "amd: de-assert, illegal vector", { .vendor = VLAPIC_VENDOR_AMD, .sender_enabled = true }, 0x08005, 0 },
    { "intel: de-assert, illegal vector", { .sender_enabled = true }, 0x08005, 0x20 },
    { "strict: lowest to self, illegal vector", { .strict = true, .sender_enabled = true }, 0x40105, 0 },
    { "strict: lowest to self where not supported",
      { .x2apic = true, .strict = true, .sender_enabled = true },
      0x40151,
      0 },
    { "lowest where not supported, illegal vector", { .x2apic = true, .sender_enabled = true }, 0x00105, 0x10 },
    { "lowest where not supported, to self", { .x2apic = true, .sender_enabled = true }, 0x40105, 0x10 },
    { "lowest where supported, illegal vector",
      { .x2apic = true, .lowest_in_x2apic = true, .sender_enabled = true },
      0x00105,
      0x20 },
    { "amd: lowest in x2APIC mode, illegal vector",
      { .vendor = VLAPIC_VENDOR_AMD, .x2apic = true, .sender_enabled = true },
      0x00105,
      0x20 },
    { "self, illegal vector", { .sender_enabled = true }, 0x40005, 0x60 },
    { "self, illegal vector, software-disabled", { .sender_enabled = false }, 0x40005, 0x20 },
    { "own ID, illegal vector", { .sender_enabled = true }, 0x00005, 0x20 },
    { "all including self, illegal vector", { .sender_enabled = true }, 0x80005, 0x20 },
    { "all excluding self, illegal vector", { .sender_enabled = true }, 0xC0005, 0x20 },
    { "NMI, vector not checked", { .sender_enabled = true }, 0xC0405, 0 },
    { "SIPI, vector not checked", { .sender_enabled = true }, 0x00605, 0 },
};

static void checks_come_in_their_order(void **unused)
{
    /* Intel SDM 3A, "Error Handling", "Interrupt Command Register (ICR)": the first rule that fits decides alone */
    (void)unused;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        start(&orders[i].setting);
        guest_icr(sender(), 0, orders[i].low);
        assert_received(sender(), (struct reception){ .errors = orders[i].errors }, orders[i].name);
        fake_vm_stop(&host);
    }
}

/* ---- the register ---- */

static void writing_the_high_half_sends_nothing(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)": the write of the low doubleword sends */
    struct setting s = { .sender_enabled = true };

    (void)unused;
    start(&s);
    guest_icr(sender(), 1u << 24, 0x4061);
    assert_received(fake_cpu_at(&host, 1), (struct reception)EDGE(0x61), "first");
    guest_write(sender(), VLAPIC_REG_ICR_HIGH, 2u << 24);
    for (unsigned i = 0; i < CPUS - 1; i++)
        assert_received_nothing(fake_cpu_at(&host, i), "high half");
    guest_write(sender(), VLAPIC_REG_ICR_LOW, 0x4062);
    assert_received(fake_cpu_at(&host, 2), (struct reception)EDGE(0x62), "low half");
    assert_received_nothing(fake_cpu_at(&host, 1), "low half");
    fake_vm_stop(&host);
}

static void xapic_mode_keeps_the_defined_bits_alone(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)": reserved bits and delivery status read 0; no error */
    (void)unused;
    for (unsigned vendor = 0; vendor < 2; vendor++) {
        struct setting s = { .vendor = (enum vlapic_vendor)vendor, .sender_enabled = true };

        start(&s);
        for (unsigned bit = 0; bit < 32; bit++) {
            guest_icr(sender(), 1u << bit, 0x700 | 1u << bit);
            assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_LOW), (0x700 | 1u << bit) & 0x000CCFFF);
            assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_HIGH), (1u << bit) & 0xFF000000);
        }
        guest_icr(sender(), 0x40FFFFFF, 0xFFF37745);
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_LOW), 0x00004745);
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_HIGH), 0x40000000);
        assert_int_equal(guest_esr(sender()), 0);
        fake_vm_stop(&host);
    }
}

static void delivery_status_is_always_idle(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)": bit 12; a written 1 is discarded */
    struct setting s = { .sender_enabled = true };

    (void)unused;
    start(&s);
    guest_icr(sender(), 1u << 24, 0x5061);
    assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_LOW), 0x4061);
    assert_received(fake_cpu_at(&host, 1), (struct reception)EDGE(0x61), "status bit written");
    fake_vm_stop(&host);

    s.x2apic = true;
    start(&s);
    guest_icr(sender(), 1, 0x5061);
    assert_int_equal(guest_rdmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)), 0x100004061);
    assert_received(fake_cpu_at(&host, 1), (struct reception)EDGE(0x61), "status bit written");
    fake_vm_stop(&host);

    s.vendor = VLAPIC_VENDOR_AMD;
    start(&s);
    guest_wrmsr_faults(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), 0x100005061);
    assert_received_nothing(fake_cpu_at(&host, 1), "amd: status bit is reserved");
    fake_vm_stop(&host);
}

static void reserved_bits_fault_in_x2apic_mode_and_send_nothing(void **unused)
{
    /* Intel SDM 3A, "ICR Operation in x2APIC Mode" and "Reserved Bit Checking" */
    const uint32_t reserved = 0xFFF32000;
    struct setting s = { .x2apic = true, .sender_enabled = true };

    (void)unused;
    start(&s);
    guest_icr(sender(), 0x55AA0001, 0x44743);
    for (unsigned bit = 0; bit < 32; bit++) {
        if (!(reserved >> bit & 1))
            continue;
        guest_wrmsr_faults(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW), 0x100004061ull | 1ull << bit);
        assert_int_equal(guest_rdmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)), 0x55AA000100044743);
    }
    guest_wrmsr_faults(sender(), 0x831, 0);
    guest_rdmsr_faults(sender(), 0x831);
    assert_received_nothing(fake_cpu_at(&host, 1), "fault");
    fake_vm_stop(&host);
}

static void the_whole_32_bit_destination_counts_in_x2apic_mode(void **unused)
{
    /* Intel SDM 3A, "ICR Operation in x2APIC Mode": destination in bits 63:32 */
    struct setting s = { .x2apic = true, .sender_enabled = true };

    (void)unused;
    start(&s);
    for (unsigned bit = 2; bit < 32; bit++) {
        guest_icr(sender(), 1u | 1u << bit, 0x4061);
        guest_icr(sender(), 0u | 1u << bit, 0x40461);
        assert_int_equal(guest_rdmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)),
                         (uint64_t)(1u << bit) << 32 | 0x40461);
    }
    assert_received_nothing(fake_cpu_at(&host, 1), "other IDs");
    fake_vm_stop(&host);
}

static void the_value_is_stored_whether_or_not_anything_is_sent(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)": storing is the first step */
    static const uint32_t lows[] = { 0x00305, 0x0070F, 0x08500, 0x00005, 0x04077 };
    struct setting s = { .sender_enabled = true };

    (void)unused;
    start(&s);
    for (size_t i = 0; i < sizeof lows / sizeof lows[0]; i++) {
        guest_icr(sender(), 0x77000000, lows[i]);
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_LOW), lows[i]);
        assert_int_equal(guest_read(sender(), VLAPIC_REG_ICR_HIGH), 0x77000000);
    }
    fake_vm_stop(&host);
}

static void sent_and_dropped_ipis_are_counted(void **unused)
{
    /* Library: statistics */
    struct setting s = { .sender_enabled = true };
    struct vlapic_cpu_stats before, after;

    (void)unused;
    start(&s);
    assert_int_equal(vlapic_cpu_get_stats(sender(), &before, sizeof before), VLAPIC_OK);
    guest_icr(sender(), 1u << 24, 0x4061);
    guest_icr(sender(), 1u << 24, 0x4400);
    guest_icr(sender(), 1u << 24, 0x4700);
    guest_icr(sender(), 1u << 24, 0x8500);
    guest_icr(sender(), 1u << 24, 0x4005);
    assert_int_equal(vlapic_cpu_get_stats(sender(), &after, sizeof after), VLAPIC_OK);
    assert_int_equal(after.ipis - before.ipis, 2);
    assert_int_equal(after.dropped_ipis - before.dropped_ipis, 3);
    guest_enable_x2apic(sender());
    guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x10);
    guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0xFF);
    guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x0F);
    assert_int_equal(vlapic_cpu_get_stats(sender(), &after, sizeof after), VLAPIC_OK);
    assert_int_equal(after.ipis - before.ipis, 4);
    assert_int_equal(after.dropped_ipis - before.dropped_ipis, 4);
    fake_vm_stop(&host);
}

/* ---- SELF IPI ---- */

static void self_ipi_is_a_fixed_edge_ipi_to_the_sender(void **unused)
{
    /* Intel SDM 3A, "SELF IPI Register": all vectors, with and without software enable; ICR is not altered */
    (void)unused;
    for (unsigned vendor = 0; vendor < 2; vendor++)
        for (unsigned enabled = 0; enabled < 2; enabled++) {
            struct setting s = { .vendor = (enum vlapic_vendor)vendor, .x2apic = true, .sender_enabled = enabled };

            start(&s);
            guest_icr(sender(), 0x12345678, 0x44743);
            for (uint32_t vector = 0; vector < 256; vector++) {
                struct reception expected = { .vectors = enabled ? 1 : 0, .vector = enabled ? (uint8_t)vector : 0 };

                if (vector < 16)
                    expected = (struct reception){ .errors = enabled ? 0x60 : 0x20 };
                guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), vector);
                assert_received(sender(), expected, "SELF IPI");
                assert_int_equal(guest_rdmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_ICR_LOW)), 0x1234567800044743);
            }
            for (unsigned i = 1; i < CPUS - 1; i++)
                assert_received_nothing(fake_cpu_at(&host, i), "SELF IPI");
            for (unsigned bit = 8; bit < 64; bit++)
                guest_wrmsr_faults(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x61 | 1ull << bit);
            guest_rdmsr_faults(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI));
            assert_received_nothing(sender(), "faults");
            fake_vm_stop(&host);
        }
}

static void self_ipi_clears_tmr(void **unused)
{
    /* Intel SDM 3A, "SELF IPI Register": edge triggered, whatever the vector was used for before */
    struct setting s = { .x2apic = true, .sender_enabled = true };

    (void)unused;
    start(&s);
    assert_true(vlapic_cpu_post(sender(), 0x61, true));
    assert_received(sender(), (struct reception)LEVEL(0x61), "level");
    guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0x61);
    assert_received(sender(), (struct reception)EDGE(0x61), "edge");
    fake_vm_stop(&host);
}

static void self_ipi_is_seen_by_the_next_register_read(void **unused)
{
    /* Intel SDM 3A, "SELF IPI Register": visible in IRR like any other interrupt */
    struct setting s = { .x2apic = true, .sender_enabled = true };

    (void)unused;
    start(&s);
    guest_wrmsr(sender(), VLAPIC_MSR_OF(VLAPIC_REG_SELF_IPI), 0xC7);
    assert_true(guest_bit(sender(), VLAPIC_REG_IRR, 0xC7));
    fake_vm_stop(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_xapic_combination_is_sent_as_the_tables_say),
        cmocka_unit_test(every_x2apic_combination_is_sent_as_the_tables_say),
        cmocka_unit_test(rows_of_the_decision_table),
        cmocka_unit_test(checks_come_in_their_order),
        cmocka_unit_test(writing_the_high_half_sends_nothing),
        cmocka_unit_test(xapic_mode_keeps_the_defined_bits_alone),
        cmocka_unit_test(delivery_status_is_always_idle),
        cmocka_unit_test(reserved_bits_fault_in_x2apic_mode_and_send_nothing),
        cmocka_unit_test(the_whole_32_bit_destination_counts_in_x2apic_mode),
        cmocka_unit_test(the_value_is_stored_whether_or_not_anything_is_sent),
        cmocka_unit_test(sent_and_dropped_ipis_are_counted),
        cmocka_unit_test(self_ipi_is_a_fixed_edge_ipi_to_the_sender),
        cmocka_unit_test(self_ipi_clears_tmr),
        cmocka_unit_test(self_ipi_is_seen_by_the_next_register_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
