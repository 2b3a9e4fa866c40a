/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who receives a message. Intel SDM 3A, "Determining IPI Destination", "Logical x2APIC ID"; AMD APM 2, "Interrupt
 * Destination". The rule is written again here, receiver by receiver and without tables, and compared with the library over
 * topologies that mix modes, aliases and odd logical IDs.
 */
#include "fake_host.h"

#include "vlapic_model.h"

#define VECTOR 0x77u
#define CPUS 10u

enum source { FROM_XAPIC, FROM_X2APIC, FROM_OUTSIDE };
enum mode { DISABLED, XAPIC, X2APIC };

struct receiver {
    uint32_t id;
    enum mode mode;
    bool enabled; /* by software */
    uint32_t xapic_id, ldr, dfr;
};

struct sent {
    enum source source;
    uint32_t destination;
    bool logical;
};

static struct fake_vm fake;
static struct receiver receivers[CPUS];

/* --- the rule, from the reference -------------------------------------------------------------------------------------- */

static bool is_broadcast(const struct sent *s, const struct receiver *r)
{
    if (s->source == FROM_XAPIC) {
        return s->destination == 0xFF;
    }
    if (s->source == FROM_X2APIC) {
        return s->destination == 0xFFFFFFFF;
    }
    return s->destination == 0xFFFFFFFF ||
           (s->destination == 0xFF && (r->mode == XAPIC || !fake.config.msi_ff_not_broadcast));
}

static bool physical(const struct sent *s, const struct receiver *r)
{
    if (r->mode == X2APIC) {
        return s->destination == r->id;
    }
    if (s->destination <= 0xFF) {
        return s->destination == r->xapic_id;
    }
    return fake.config.dest_alias ? (s->destination & 0xFF) == r->xapic_id : s->destination == r->id;
}

static bool logical(const struct sent *s, const struct receiver *r)
{
    if (r->mode == X2APIC) {
        uint32_t ldr = ((r->id >> 4) & 0xFFFF) << 16 | 1u << (r->id & 15);

        return s->destination >> 16 == ldr >> 16 && (s->destination & ldr & 0xFFFF) != 0;
    }
    if (s->destination > 0xFF) {
        return false;
    }
    if (r->dfr == 0xF) {
        return (s->destination & r->ldr) != 0;
    }
    return r->dfr == 0 && s->destination >> 4 == r->ldr >> 4 && (s->destination & r->ldr & 0xF) != 0;
}

static bool receives(const struct sent *s, const struct receiver *r)
{
    return r->mode != DISABLED && (is_broadcast(s, r) || (s->logical ? logical(s, r) : physical(s, r)));
}

/* --- the library's side -------------------------------------------------------------------------------------------------- */

static void set_up(unsigned index)
{
    const struct receiver *r = &receivers[index];
    struct vlapic_cpu *cpu = fake_cpu_at(&fake, index);

    if (fake.config.id_writable) {
        guest_write(cpu, VLAPIC_REG_ID, r->xapic_id << 24);
    }
    guest_write(cpu, VLAPIC_REG_DFR, r->dfr << 28);
    guest_write(cpu, VLAPIC_REG_LDR, r->ldr << 24);
    if (r->enabled) {
        guest_software_enable(cpu);
    }
    if (r->mode == X2APIC) {
        guest_enable_x2apic(cpu);
    } else if (r->mode == DISABLED) {
        guest_disable_apic(cpu);
    }
}

static void start(void)
{
    uint32_t ids[CPUS];

    for (unsigned i = 0; i < CPUS; i++) {
        ids[i] = receivers[i].id;
    }
    fake_vm_start(&fake, CPUS, ids);
    for (unsigned i = 0; i < CPUS; i++) {
        set_up(i);
    }
}

/* Returns how many accepted it; CPUS + 1 if nobody tells. */
static uint32_t send(const struct sent *s)
{
    uint32_t mode = s->logical ? VLAPIC_ICR_LOGICAL : 0;

    /* vCPU 0 sends IPIs: its own mode is the format. */
    if (s->source == FROM_XAPIC) {
        guest_icr(fake_cpu_at(&fake, 0), s->destination << 24, VECTOR | mode);
    } else if (s->source == FROM_X2APIC) {
        guest_icr(fake_cpu_at(&fake, 0), s->destination, VECTOR | mode);
    } else {
        return vlapic_vm_deliver(fake.vm, &(struct vlapic_message){
                                              .destination = s->destination, .logical = s->logical, .vector = VECTOR });
    }
    return CPUS + 1;
}

static bool has_it(unsigned index)
{
    struct vlapic_cpu_state state;

    assert_int_equal(vlapic_cpu_get_state(fake_cpu_at(&fake, index), &state, sizeof(state)), VLAPIC_OK);
    if (state.irr[VECTOR / 32] == 0) {
        return false;
    }
    state.irr[VECTOR / 32] = 0;
    assert_int_equal(vlapic_cpu_set_state(fake_cpu_at(&fake, index), &state, VLAPIC_TIME_STOPPED, NULL), VLAPIC_OK);
    return true;
}

static void compare(const struct sent *s)
{
    uint32_t accepted = send(s), count = 0;

    for (unsigned i = 0; i < CPUS; i++) {
        bool expected = receivers[i].enabled && receives(s, &receivers[i]);

        count += expected;

        if (has_it(i) != expected) {
            fail_msg("source %d, destination %x, logical %d: vCPU %u (id %x, mode %d, LDR %x, DFR %x) %s", s->source,
                     s->destination, s->logical, i, receivers[i].id, receivers[i].mode, receivers[i].ldr,
                     receivers[i].dfr, expected ? "should have it" : "should not");
        }
    }
    if (accepted <= CPUS && accepted != count) {
        fail_msg("destination %x, logical %d: accepted %u times, not %u", s->destination, s->logical, accepted, count);
    }
    fake_forget(&fake);
}

/* Of the candidates, by ascending ID, number `vector % count` takes a lowest-priority message. */
static void compare_lowest(uint32_t destination)
{
    const struct sent s = { FROM_OUTSIDE, destination, true };
    unsigned candidates[CPUS], count = 0;
    uint32_t accepted = vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .destination = destination,
                                                                             .logical = true,
                                                                             .vector = VECTOR,
                                                                             .delivery = VLAPIC_DELIVERY_LOWEST });

    for (unsigned i = 0; i < CPUS; i++) {
        if (receivers[i].enabled && receives(&s, &receivers[i])) {
            candidates[count++] = i;
        }
    }
    assert_int_equal(accepted, count != 0);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(has_it(i), count != 0 && i == candidates[VECTOR % count]);
    }
    fake_forget(&fake);
}

static uint32_t random_state;

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static void compare_from(enum source source)
{
    static const uint32_t special[] = { 0xFF,    0x100,   0x101,    0x103,      0x1FF,     0x1FFFF,
                                        0x10001, 0x1000F, 0xFF0001, 0xFFFFFFFE, 0xFFFFFFFF };

    for (int mode = 0; mode < 2; mode++) {
        for (uint32_t d = 0; d < 0x100; d++) {
            compare(&(struct sent){ source, d, mode != 0 });
        }
        for (unsigned i = 0; source != FROM_XAPIC && i < sizeof(special) / sizeof(special[0]); i++) {
            compare(&(struct sent){ source, special[i], mode != 0 });
        }
        for (uint32_t d = 0; source == FROM_OUTSIDE && mode != 0 && d < 0x100; d++) {
            compare_lowest(d);
        }
        for (unsigned i = 0; source != FROM_XAPIC && i < CPUS; i++) {
            compare(&(struct sent){ source, receivers[i].id, mode != 0 });
            compare(&(struct sent){ source, ((receivers[i].id >> 4) & 0xFFFF) << 16 | 0x8421, mode != 0 });
            compare(&(struct sent){ source, ((receivers[i].id >> 4) & 0xFFFF) << 16 | 1u << (receivers[i].id & 15),
                                    mode != 0 });
        }
    }
}

static void compare_all(void)
{
    start();
    compare_from(receivers[0].mode == X2APIC ? FROM_X2APIC : FROM_XAPIC);
    compare_from(FROM_OUTSIDE);
    fake_vm_stop(&fake);
}

static void prepare(void)
{
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 0xFFFF;
    fake.config.lowest_in_x2apic = true;
}

static struct receiver plain(unsigned i, enum mode mode, uint32_t ldr, uint32_t dfr)
{
    return (struct receiver){ .id = i, .mode = mode, .enabled = true, .xapic_id = i & 0xFF, .ldr = ldr, .dfr = dfr };
}

static void flat_mode_matches_by_mask(void **state)
{
    (void)state;
    for (int odd = 0; odd < 3; odd++) {
        prepare();
        for (unsigned i = 0; i < CPUS; i++) {
            receivers[i] = plain(i, XAPIC, i < 8 ? 1u << i : 0, 0xF);
        }
        if (odd == 1) {
            receivers[3].ldr = 0xC1; /* several bits */
        } else if (odd == 2) {
            receivers[3].ldr = receivers[5].ldr; /* the same twice */
        }
        compare_all();
    }
}

static void cluster_mode_matches_cluster_and_member(void **state)
{
    (void)state;
    for (int odd = 0; odd < 4; odd++) {
        prepare();
        for (unsigned i = 0; i < CPUS; i++) {
            receivers[i] = plain(i, XAPIC, (i / 4) << 4 | 1u << (i % 4), 0);
        }
        if (odd == 1) {
            receivers[4].ldr = 0x1F;
        } else if (odd == 2) {
            receivers[4].ldr = 0xF3; /* cluster 15 */
        } else if (odd == 3) {
            receivers[4].dfr = 0x5; /* no defined model */
            receivers[6].ldr = 0x10;
        }
        compare_all();
    }
}

static void x2apic_matches_32_bits_and_derived_clusters(void **state)
{
    static const uint32_t ids[CPUS] = { 0, 1, 15, 16, 17, 0xFF, 0x100, 0x101, 0x1FF, 0xFFFF };

    (void)state;
    prepare();
    for (unsigned i = 0; i < CPUS; i++) {
        receivers[i] = plain(ids[i], X2APIC, 0, 0xF);
    }
    compare_all();
}

static struct receiver random_receiver(unsigned i)
{
    static const uint32_t ids[CPUS] = { 0, 1, 3, 7, 16, 0x80, 0x101, 0x103, 0x203, 0x1010 };
    static const uint32_t dfrs[] = { 0xF, 0xF, 0xF, 0, 0, 0x7 };
    uint32_t ldr = next_random(3) == 0 ? next_random(256) : 1u << next_random(8);

    return (struct receiver){
        .id = ids[i],
        .mode = i == 0                ? XAPIC + next_random(2)
                : next_random(8) == 0 ? DISABLED
                                      : XAPIC + next_random(2),
        .enabled = next_random(6) != 0,
        .xapic_id = fake.config.id_writable && next_random(3) == 0 ? next_random(256) : ids[i] & 0xFF,
        .ldr = ldr,
        .dfr = dfrs[next_random(6)],
    };
}

static void every_mix_of_modes_ids_and_settings_follows_the_rule(void **state)
{
    (void)state;
    random_state = 1;
    for (unsigned round = 0; round < 48; round++) {
        prepare();
        fake.config.dest_alias = round & 1;
        fake.config.msi_ff_not_broadcast = round & 2;
        fake.config.id_writable = round & 4;
        fake.config.max_apic_id = round & 8 ? 0x1010 : VLAPIC_APIC_ID_LIMIT; /* few or many aliases to look for */
        for (unsigned i = 0; i < CPUS; i++) {
            receivers[i] = random_receiver(i);
        }
        compare_all();
    }
}

/* The tables follow the registers: after any sequence of changes the rule holds. */
static void routing_follows_every_change(void **state)
{
    (void)state;
    random_state = 99;
    prepare();
    for (unsigned i = 0; i < CPUS; i++) {
        receivers[i] = plain(i, XAPIC, 1u << (i % 8), 0xF);
    }
    start();
    for (unsigned round = 0; round < 300; round++) {
        struct receiver *r = &receivers[1 + next_random(CPUS - 1)];
        struct vlapic_cpu *cpu = fake_cpu_at(&fake, (unsigned)(r - receivers));

        if (r->mode == XAPIC) {
            r->ldr = next_random(256);
            r->dfr = next_random(2) ? 0xF : 0;
            guest_write(cpu, VLAPIC_REG_LDR, r->ldr << 24);
            guest_write(cpu, VLAPIC_REG_DFR, r->dfr << 28);
        }
        if (next_random(4) == 0) {
            vlapic_cpu_detach(cpu);
            assert_null(vlapic_vm_find(fake.vm, r->id));
            assert_int_equal(vlapic_cpu_attach(cpu), VLAPIC_OK);
        }
        if (r->mode == XAPIC && next_random(4) == 0) {
            guest_enable_x2apic(cpu);
            r->mode = X2APIC;
        } else if (r->mode == X2APIC && next_random(2) == 0) {
            guest_disable_apic(cpu);
            guest_enable_xapic(cpu);
            guest_software_enable(cpu);
            *r = plain(r->id, XAPIC, 0, 0xF);
        }
        for (unsigned i = 0; i < 12; i++) {
            compare(&(struct sent){ FROM_OUTSIDE, next_random(3) ? 1u << next_random(8) : next_random(256),
                                    next_random(3) != 0 });
        }
    }
    fake_vm_stop(&fake);
}

/* The walk over all vCPUs, by words of IDs and words of such words. */
static void a_broadcast_reaches_every_id(void **state)
{
    static const uint32_t ids[] = { 0,     1,     62,    63,    64,     65,     127,   128,  4031,
                                    4032,  4033,  4094,  4095,  4096,   4097,   8127,  8128, 16383,
                                    16384, 65535, 65536, 99999, 262143, 262144, 524287 };
    const uint32_t count = sizeof(ids) / sizeof(ids[0]);

    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = ids[count - 1];
    fake_vm_start(&fake, count, ids);
    for (uint32_t i = 0; i < count; i++) {
        guest_software_enable(fake_cpu_at(&fake, i));
    }
    /* Of those that are left, whoever leaves. */
    for (uint32_t gone = 0; gone < count; gone++) {
        const uint8_t message = (uint8_t)(0x40 + gone), event = (uint8_t)(0x80 + gone);

        for (uint32_t i = gone; i < count; i++) {
            guest_write(fake_cpu_at(&fake, i), VLAPIC_REG_LVT_THERMAL, event);
        }
        assert_int_equal(
            vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .destination = UINT32_MAX, .vector = message }),
            count - gone);
        vlapic_vm_lvt_event(fake.vm, VLAPIC_LVT_THERMAL);
        for (uint32_t i = gone; i < count; i++) {
            assert_true(guest_bit(fake_cpu_at(&fake, i), VLAPIC_REG_IRR, message));
            assert_true(guest_bit(fake_cpu_at(&fake, i), VLAPIC_REG_IRR, event));
        }
        vlapic_cpu_detach(fake_cpu_at(&fake, gone));
    }
    fake_vm_stop(&fake);
}

/* xAPIC mode compares eight bits of the ID: any number of vCPUs may have the same ones. */
static void all_aliases_receive_however_many(void **state)
{
    static const struct {
        uint32_t count, max_apic_id;
    } rows[] = { { 20, 19 * 256 + 1 }, { 21, 20 * 256 + 1 }, { 25, 24 * 256 + 1 }, { 20, VLAPIC_APIC_ID_LIMIT } };

    (void)state;
    for (unsigned row = 0; row < 4; row++) {
        uint32_t ids[25];

        for (uint32_t i = 0; i < rows[row].count; i++) {
            ids[i] = 256 * i + 1;
        }
        fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
        fake.config.max_apic_id = rows[row].max_apic_id;
        fake_vm_start(&fake, rows[row].count, ids);
        for (uint32_t i = 0; i < rows[row].count; i++) {
            guest_software_enable(fake_cpu_at(&fake, i));
        }
        assert_int_equal(vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .destination = 1, .vector = VECTOR }),
                         rows[row].count);
        for (uint32_t i = 0; i < rows[row].count; i++) {
            assert_true(guest_bit(fake_cpu_at(&fake, i), VLAPIC_REG_IRR, VECTOR));
        }
        fake_vm_stop(&fake);
    }
}

/* docs/ARCHITECTURE.md, "Routing without locks": what the tables cannot express is counted, and only that. */
static void the_slower_paths_are_taken_only_while_needed(void **state)
{
    static const struct {
        struct receiver first, second;
        uint32_t odd_ids, wide_ids, odd_logical, slots_used;
    } rows[] = {
        { { 0, XAPIC, true, 0, 0, 0xF }, { 1, XAPIC, true, 1, 0, 0xF }, 0, 0, 0, 0 },
        { { 0, XAPIC, true, 0, 1, 0xF }, { 1, XAPIC, true, 1, 2, 0xF }, 0, 0, 0, 2 },
        { { 0, XAPIC, true, 0, 1, 0xF }, { 1, XAPIC, true, 1, 0x80, 0xF }, 0, 0, 0, 2 },
        { { 0, XAPIC, true, 0, 1, 0xF }, { 1, XAPIC, true, 1, 1, 0xF }, 0, 0, 1, 1 },
        { { 0, XAPIC, true, 0, 3, 0xF }, { 1, XAPIC, true, 1, 0x81, 0xF }, 0, 0, 2, 0 },
        { { 0, XAPIC, true, 0, 0x11, 0 }, { 1, XAPIC, true, 1, 0xF8, 0 }, 0, 0, 0, 2 },
        { { 0, XAPIC, true, 0, 0x11, 0 }, { 1, XAPIC, true, 1, 0x13, 0 }, 0, 0, 1, 1 },
        { { 0, XAPIC, true, 0, 0x10, 0 }, { 1, XAPIC, true, 1, 0xF0, 0 }, 0, 0, 0, 0 },
        { { 0, XAPIC, true, 0, 0x11, 7 }, { 1, XAPIC, true, 1, 0x01, 7 }, 0, 0, 0, 0 },
        { { 0, XAPIC, true, 9, 0, 0xF }, { 1, XAPIC, true, 1, 0, 0xF }, 1, 0, 0, 0 },
        { { 0, XAPIC, true, 0, 0, 0xF }, { 0x101, XAPIC, true, 1, 0, 0xF }, 0, 1, 0, 0 },
        { { 0, XAPIC, true, 0, 0, 0xF }, { 0x101, XAPIC, true, 2, 0, 0xF }, 1, 0, 0, 0 },
        { { 0, X2APIC, true, 9, 3, 0xF }, { 0x101, X2APIC, true, 1, 1, 0xF }, 0, 0, 0, 0 },
        { { 0, DISABLED, true, 9, 3, 0xF }, { 0x101, DISABLED, true, 1, 1, 0xF }, 0, 0, 0, 0 },
    };

    (void)state;
    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        const uint32_t ids[] = { rows[row].first.id, rows[row].second.id };

        prepare();
        fake.config.id_writable = true;
        receivers[0] = rows[row].first;
        receivers[1] = rows[row].second;
        fake_vm_start(&fake, 2, ids);
        set_up(0);
        set_up(1);
        assert_int_equal(fake.vm->odd_ids, rows[row].odd_ids);
        assert_int_equal(fake.vm->wide_ids, rows[row].wide_ids);
        assert_int_equal(fake.vm->odd_logical, rows[row].odd_logical);
        assert_int_equal(fake.vm->flat_used + fake.vm->cluster_used, rows[row].slots_used);
        assert_int_equal(fake.vm->irregular_ids, rows[row].odd_ids + rows[row].wide_ids);
        assert_int_equal(fake.vm->x2apic_cpus, (receivers[0].mode == X2APIC) + (receivers[1].mode == X2APIC));
        vlapic_cpu_detach(fake_cpu_at(&fake, 0));
        vlapic_cpu_detach(fake_cpu_at(&fake, 1));
        assert_int_equal(fake.vm->odd_ids + fake.vm->wide_ids + fake.vm->irregular_ids + fake.vm->odd_logical, 0);
        assert_int_equal(fake.vm->flat_used + fake.vm->cluster_used + fake.vm->x2apic_cpus, 0);
        fake_vm_stop(&fake);
    }
}

/* Shorthands go by identity, reach either mode, and only hardware-enabled APICs. */
static void shorthands_reach_both_modes_by_identity(void **state)
{
    (void)state;
    prepare();
    for (unsigned i = 0; i < CPUS; i++) {
        receivers[i] = plain(i, i % 2 ? X2APIC : XAPIC, 0, 0xF);
    }
    receivers[4].mode = DISABLED;
    receivers[6].enabled = false;
    start();
    for (uint32_t shorthand = 1; shorthand <= 3; shorthand++) {
        guest_icr(fake_cpu_at(&fake, 1), 0xFFFFFFFF, VECTOR | shorthand << 18);
        for (unsigned i = 0; i < CPUS; i++) {
            bool addressed = i == 1 ? shorthand != 3 : shorthand != 1;

            assert_int_equal(has_it(i), addressed && i != 4 && i != 6);
        }
    }
    fake_vm_stop(&fake);
}

static void ids_beyond_the_vms_limit_are_just_nobody(void **state)
{
    (void)state;
    fake_vm_prepare(&fake, VLAPIC_VENDOR_INTEL);
    fake.config.max_apic_id = 3;
    fake_vm_start(&fake, 4, NULL);
    for (uint32_t d = 4; d != 0 && d < 0xF0000000; d = d * 3 + 1) {
        assert_int_equal(vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .destination = d, .vector = VECTOR }), 0);
        assert_int_equal(
            vlapic_vm_deliver(fake.vm, &(struct vlapic_message){ .destination = d, .vector = VECTOR, .logical = true }),
            0);
        if (d > 0x40000000) {
            break;
        }
    }
    fake_vm_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_mode_matches_by_mask),
        cmocka_unit_test(cluster_mode_matches_cluster_and_member),
        cmocka_unit_test(x2apic_matches_32_bits_and_derived_clusters),
        cmocka_unit_test(every_mix_of_modes_ids_and_settings_follows_the_rule),
        cmocka_unit_test(routing_follows_every_change),
        cmocka_unit_test(a_broadcast_reaches_every_id),
        cmocka_unit_test(all_aliases_receive_however_many),
        cmocka_unit_test(the_slower_paths_are_taken_only_while_needed),
        cmocka_unit_test(shorthands_reach_both_modes_by_identity),
        cmocka_unit_test(ids_beyond_the_vms_limit_are_just_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
