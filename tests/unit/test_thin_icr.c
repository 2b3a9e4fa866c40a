/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ICR without a model: decoding in both formats, every combination against the tables of the manuals as decided for either vendor,
 * destinations against the rules for one receiver. Intel SDM 3A, "Interrupt Command Register (ICR)", "Determining IPI Destination".
 */
#include "fake_host.h"
#include "reception.h"

#include <vlapic/icr.h>

#include <stdio.h>

#define XAPIC VLAPIC_ICR_FORMAT_XAPIC
#define X2APIC VLAPIC_ICR_FORMAT_X2APIC

/* ---- decoding ---- */

static void fields_are_where_the_manual_draws_them(void **unused)
{
    /* Intel SDM 3A, figures "Interrupt Command Register (ICR)" and "ICR in x2APIC Mode" */
    struct vlapic_icr icr;

    (void)unused;
    vlapic_icr_decode(XAPIC, 0xA5000000000C0000ull | 0x4000 | 0x800 | 0x600 | 0x9A, &icr);
    assert_int_equal(icr.format, XAPIC);
    assert_int_equal(icr.destination, 0xA5);
    assert_int_equal(icr.delivery, VLAPIC_DELIVERY_SIPI);
    assert_int_equal(icr.shorthand, VLAPIC_SHORTHAND_OTHERS);
    assert_int_equal(icr.vector, 0x9A);
    assert_true(icr.logical && icr.asserted && !icr.level);
    assert_int_equal(icr.reserved, 0);

    vlapic_icr_decode(X2APIC, 0x89ABCDEF00048000ull | 0x500, &icr);
    assert_int_equal(icr.format, X2APIC);
    assert_int_equal(icr.destination, 0x89ABCDEF);
    assert_int_equal(icr.delivery, VLAPIC_DELIVERY_INIT);
    assert_int_equal(icr.shorthand, VLAPIC_SHORTHAND_SELF);
    assert_int_equal(icr.vector, 0);
    assert_true(!icr.logical && !icr.asserted && icr.level);
}

static void each_bit_of_the_value_goes_to_one_field(void **unused)
{
    (void)unused;
    for (unsigned bit = 0; bit < 64; bit++)
        for (unsigned format = 0; format < 2; format++) {
            struct vlapic_icr icr;
            uint64_t back;

            vlapic_icr_decode((enum vlapic_icr_format)format, 1ull << bit, &icr);
            back = icr.vector | (uint64_t)icr.delivery << 8 | (uint64_t)icr.logical << 11 |
                   (uint64_t)icr.asserted << 14 | (uint64_t)icr.level << 15 | (uint64_t)icr.shorthand << 18 |
                   icr.reserved | (uint64_t)icr.destination << (format == XAPIC ? 56 : 32);
            if (format == XAPIC && bit >= 32 && bit < 56)
                assert_int_equal(back, 0); /* reserved bits of ICR high */
            else
                assert_true(back == 1ull << bit);
        }
}

/* ---- what is sent ---- */

/* By delivery mode and shorthand (none, self, all, others). S: sent; P: sent by a permissive policy alone; D: dropped. */
static const char combination[8][5] = {
    "SSSS", /* Fixed */
    "SPPS", /* lowest priority */
    "SPPS", /* SMI */
    "DDDD", /* reserved, remote read */
    "SPPS", /* NMI */
    "SPPS", /* INIT */
    "SPPS", /* SIPI */
    "DDDD", /* ExtINT */
};
/* The same with trigger mode level and level bit 0, whatever the shorthand: a D here drops what that one sends. By vendor. */
static const char withdrawal[2][9] = { "SSSSSDSS", "DDDDDDSD" };

static enum vlapic_icr_verdict expected(const struct vlapic_icr_rules *rules, bool x2apic, uint32_t low)
{
    unsigned delivery = low >> 8 & 7, vector = low & 0xFF;
    char c = combination[delivery][low >> 18 & 3];
    bool withdraws = (low & 0xC000) == 0x8000;

    if (c == 'D' || (withdraws && withdrawal[rules->vendor][delivery] == 'D') ||
        (c == 'P' && rules->policy == VLAPIC_ICR_STRICT))
        return VLAPIC_ICR_DROPPED;
    if (delivery == 1 && x2apic && rules->vendor == VLAPIC_VENDOR_INTEL && !rules->lowest_in_x2apic)
        return VLAPIC_ICR_REDIRECTABLE;
    return delivery < 2 && vector < 16 ? VLAPIC_ICR_ILLEGAL_VECTOR : VLAPIC_ICR_SENT;
}

static void check_all_values(const struct vlapic_icr_rules *rules, bool x2apic)
{
    /* All of the bits that are not reserved: bits 7:0 by the interesting vectors. */
    static const uint32_t vectors[] = { 0, 1, 15, 16, 31, 0x80, 0xF0, 0xFF };
    unsigned wrong = 0;

    for (uint32_t n = 0; n < 8 * 256; n++)
        for (unsigned v = 0; v < 8; v++) {
            uint32_t low = vectors[v] | (n & 0xF) << 8 | (n >> 4 & 3) << 14 | (n >> 6 & 3) << 18;
            struct vlapic_icr icr;

            vlapic_icr_decode(x2apic ? X2APIC : XAPIC, low, &icr);
            if (vlapic_icr_check(&icr, rules) != expected(rules, x2apic, low)) {
                wrong++;
                print_error("ICR %05x: verdict %d, expected %d\n", low, vlapic_icr_check(&icr, rules),
                            expected(rules, x2apic, low));
            }
        }
    assert_int_equal(wrong, 0);
}

static void every_combination_is_judged_as_vendor_and_policy_say(void **unused)
{
    /* Intel SDM 3A, table "Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local xAPIC ICR"; AMD APM 2, table "Valid ICR
     * Field Combinations" */
    (void)unused;
    for (unsigned n = 0; n < 16; n++) {
        struct vlapic_icr_rules rules = {
            .vendor = n & 1 ? VLAPIC_VENDOR_AMD : VLAPIC_VENDOR_INTEL,
            .policy = n & 2 ? VLAPIC_ICR_STRICT : VLAPIC_ICR_PERMISSIVE,
            .lowest_in_x2apic = n & 4,
        };

        check_all_values(&rules, n & 8);
    }
}

static void a_reserved_bit_faults_in_x2apic_mode_alone(void **unused)
{
    /* Intel SDM 3A, "Reserved Bit Checking"; the delivery status, bit 12, is reserved for AMD */
    (void)unused;
    for (unsigned bit = 0; bit < 32; bit++)
        for (unsigned vendor = 0; vendor < 2; vendor++) {
            struct vlapic_icr_rules rules = { .vendor = (enum vlapic_vendor)vendor };
            bool reserved = (0xFFF32000u >> bit & 1) || (vendor == VLAPIC_VENDOR_AMD && bit == 12);
            struct vlapic_icr icr;

            vlapic_icr_decode(X2APIC, 0x40 | 1u << bit, &icr);
            assert_int_equal(vlapic_icr_check(&icr, &rules) == VLAPIC_ICR_FAULT, reserved);
            vlapic_icr_decode(XAPIC, 0x40 | 1u << bit, &icr);
            assert_int_not_equal(vlapic_icr_check(&icr, &rules), VLAPIC_ICR_FAULT);
            /* A fault comes before everything else. */
            vlapic_icr_decode(X2APIC, 0x2300, &icr);
            assert_int_equal(vlapic_icr_check(&icr, &rules), VLAPIC_ICR_FAULT);
        }
}

/* ---- whom it names ---- */

static struct vlapic_target target_of(const struct receiver *r)
{
    return (struct vlapic_target){
        .apic_base = VLAPIC_BASE_DEFAULT | (r->enabled ? VLAPIC_BASE_EN : 0) | (r->x2apic ? VLAPIC_BASE_EXTD : 0),
        .apic_id = r->id,
        .xapic_id = r->xapic_id << 24,
        .ldr = r->ldr << 24,
        .dfr = r->dfr << 28 | 0x0FFFFFFF,
    };
}

static void check_destination(bool x2apic, uint32_t destination, bool logical, bool alias, const struct receiver *r)
{
    const struct vlapic_vm_config config = { .dest_alias = alias };
    struct vlapic_icr_rules rules = { .dest_alias = alias };
    struct vlapic_target target = target_of(r);
    struct vlapic_icr icr;
    bool named;

    vlapic_icr_decode(x2apic ? X2APIC : XAPIC, (uint64_t)destination << (x2apic ? 32 : 56) | (logical ? 0x841 : 0x41),
                      &icr);
    named = vlapic_icr_matches(&icr, &rules, &target, false);
    if (named != destination_names(&config, x2apic ? SENDER_X2APIC_ICR : SENDER_XAPIC_ICR, destination, logical, r))
        fail_msg("destination %x%s from %s: %s CPU %x, ID %x, LDR %x, DFR %x%s", destination, logical ? " logical" : "",
                 x2apic ? "x2APIC" : "xAPIC", named ? "names" : "misses", r->id, r->xapic_id, r->ldr, r->dfr,
                 r->x2apic ? ", x2APIC" : "");
}

static void every_8_bit_destination_names_whom_the_rules_say(void **unused)
{
    static const uint32_t dfrs[] = { 0xF, 0x0, 0x7 };

    (void)unused;
    for (uint32_t destination = 0; destination < 256; destination++)
        for (uint32_t ldr = 0; ldr < 256; ldr++)
            for (unsigned d = 0; d < 3; d++) {
                struct receiver r = { true, false, true, ldr, ldr, ldr, dfrs[d] };

                check_destination(false, destination, true, false, &r);
                check_destination(false, destination, false, false, &r);
                check_destination(true, destination, true, false, &r);
                r.x2apic = true;
                check_destination(false, destination, true, false, &r);
            }
}

static void random_destinations_name_whom_the_rules_say(void **unused)
{
    /* IDs, destinations and modes mixed; the destination is made to be near the receiver. */
    uint64_t seed = 0x9E3779B97F4A7C15ull;

    (void)unused;
    for (unsigned n = 0; n < 300000; n++) {
        uint32_t bits = next_random(&seed), id = next_random(&seed) & (bits & 1 ? 0xFFFFF : 0x3FF);
        struct receiver r = {
            .enabled = (bits & 0x1E) != 0,
            .x2apic = bits & 0x20,
            .id = id,
            .xapic_id = bits & 0x40 ? id & 0xFF : next_random(&seed) & 0xFF,
            .ldr = next_random(&seed) & 0xFF,
            .dfr = bits & 0x80 ? 0xF : 0,
        };
        uint32_t near = bits & 0x100 ? ((id & 0xFFFF0) << 12) | 1u << (id & 0xF) : id;
        uint32_t far = next_random(&seed);
        uint32_t destination = bits & 0x200 ? near : bits & 0x400 ? (near & 0xFF) | (far & 0xF00) : far;
        bool x2apic = bits & 0x800;

        if ((bits & 0xF0000) == 0)
            destination = bits & 0x100000 ? 0xFFFFFFFF : 0xFF;
        check_destination(x2apic, x2apic ? destination : destination & 0xFF, bits & 0x1000, bits & 0x2000, &r);
    }
}

static void the_documented_examples_hold(void **unused)
{
    /* Intel SDM 3A, "Logical Destination Mode": flat and cluster model, broadcast; written down by hand, beside the rules above. */
    static const struct {
        uint64_t icr;
        enum vlapic_icr_format format;
        uint32_t apic_id, ldr, dfr;
        bool x2apic, named;
    } rows[] = {
        { 0x0100000000004500, XAPIC, 1, 0, 0xF, false, true },     /* physical */
        { 0x0200000000004500, XAPIC, 1, 0, 0xF, false, false },    /* another one */
        { 0xFF00000000004500, XAPIC, 1, 0, 0xF, false, true },     /* broadcast */
        { 0x0C00000000004841, XAPIC, 1, 0x04, 0xF, false, true },  /* flat: one of two */
        { 0x0C00000000004841, XAPIC, 1, 0x10, 0xF, false, false }, /* flat: neither */
        { 0x2300000000004841, XAPIC, 1, 0x22, 0x0, false, true },  /* cluster 2, members 0 and 1 */
        { 0x3300000000004841, XAPIC, 1, 0x22, 0x0, false, false }, /* cluster 3 */
        { 0xFF00000000004841, XAPIC, 1, 0x00, 0xF, false, true },  /* logical broadcast, no LDR */
        { 0x0000002100004500, X2APIC, 0x21, 0, 0xF, true, true },  /* physical, 32 bits */
        { 0x0001002100004500, X2APIC, 0x21, 0, 0xF, true, false }, /* upper bits count */
        { 0x0002000200004841, X2APIC, 0x21, 0, 0xF, true, true },  /* cluster 2, member 1 */
        { 0x0002FFFD00004841, X2APIC, 0x21, 0, 0xF, true, false }, /* cluster 2, all others */
        { 0xFFFFFFFF00004500, X2APIC, 0x21, 0, 0xF, true, true },  /* broadcast */
        { 0x000000FF00004500, X2APIC, 0x21, 0, 0xF, true, false }, /* which FFh is not */
    };
    struct vlapic_icr_rules rules = { .vendor = VLAPIC_VENDOR_INTEL };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct receiver r = { true,        rows[i].x2apic, true, rows[i].apic_id, rows[i].apic_id & 0xFF,
                              rows[i].ldr, rows[i].dfr };
        struct vlapic_target target = target_of(&r);
        struct vlapic_icr icr;

        vlapic_icr_decode(rows[i].format, rows[i].icr, &icr);
        if (vlapic_icr_matches(&icr, &rules, &target, false) != rows[i].named)
            fail_msg("row %zu", i);
    }
}

static void shorthands_name_by_who_sends_whatever_the_destination(void **unused)
{
    /* Intel SDM 3A, "Interrupt Command Register (ICR)", destination shorthand */
    static const bool named[4][2] = { { false, false }, { false, true }, { true, true }, { true, false } };
    struct vlapic_icr_rules rules = { .vendor = VLAPIC_VENDOR_INTEL };

    (void)unused;
    for (unsigned shorthand = 0; shorthand < 4; shorthand++)
        for (unsigned is_sender = 0; is_sender < 2; is_sender++)
            for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
                struct receiver r = { true, x2apic, false, 5, 5, 0x20, 0xF };
                struct vlapic_target target = target_of(&r);
                struct vlapic_icr icr;

                vlapic_icr_decode(x2apic ? X2APIC : XAPIC,
                                  (uint64_t)7 << (x2apic ? 32 : 56) | shorthand << 18 | 0x4600 | 0x12, &icr);
                assert_int_equal(vlapic_icr_matches(&icr, &rules, &target, is_sender), named[shorthand][is_sender]);
                target.apic_base &= ~VLAPIC_BASE_EN;
                assert_false(vlapic_icr_matches(&icr, &rules, &target, is_sender));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_where_the_manual_draws_them),
        cmocka_unit_test(each_bit_of_the_value_goes_to_one_field),
        cmocka_unit_test(every_combination_is_judged_as_vendor_and_policy_say),
        cmocka_unit_test(a_reserved_bit_faults_in_x2apic_mode_alone),
        cmocka_unit_test(every_8_bit_destination_names_whom_the_rules_say),
        cmocka_unit_test(random_destinations_name_whom_the_rules_say),
        cmocka_unit_test(the_documented_examples_hold),
        cmocka_unit_test(shorthands_name_by_who_sends_whatever_the_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
