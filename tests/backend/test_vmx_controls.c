/* SPDX-License-Identifier: BSD-2-Clause */
/* What the backend writes into the VMCS to turn its features on and off: controls, addresses, MSR bitmap; and when it asks for flushes. */
#include "vmx_rig.h"

#include "levels.h"

#define X2 VLAPIC_VMX_X2APIC
#define ALL VLAPIC_VMX_ALL_FEATURES
#define MAPPING VLAPIC_VMX_CHANGED_MAPPING
#define CONTROLS VLAPIC_VMX_CHANGED_CONTROLS

enum mode { DISABLED, XAPIC, X2APIC };

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static struct rig_cpu *start(uint32_t features, enum mode mode)
{
    struct rig_cpu *c = rig_one(&rig, features, mode == X2APIC);

    if (mode == DISABLED)
        guest_disable_apic(c->cpu);
    rig_forget(c);
    return c;
}

/* ---- controls ---- */

/* The backend's bits of each control field, by reference 1. */
struct words {
    uint64_t pin, primary, secondary, tertiary;
};

static const struct words ours = { .pin = 0x80, .primary = 0x00380000, .secondary = 0x311, .tertiary = 0x10 };

static struct words read_words(struct rig_cpu *c)
{
    return (struct words){ rig_get(c, APICV_PIN_CONTROLS), rig_get(c, APICV_PRIMARY_CONTROLS),
                           rig_get(c, APICV_SECONDARY_CONTROLS), rig_get(c, APICV_TERTIARY_CONTROLS) };
}

/* Reference 1, 7, 17: what should be on; `on` are features in use. */
static struct words wanted(uint32_t on)
{
    struct words w = { .primary = on & LEVEL_SHADOW ? 0x00200000 : 0x00180000 };

    w.pin = on & VLAPIC_VMX_POSTED ? 0x80 : 0;
    w.secondary = (on & VLAPIC_VMX_APIC_ACCESS ? 0x1 : 0) | (on & X2 ? 0x10 : 0) |
                  (on & VLAPIC_VMX_REGISTERS ? 0x100 : 0) | (on & VLAPIC_VMX_DELIVERY ? 0x200 : 0);
    w.tertiary = on & VLAPIC_VMX_IPI ? 0x10 : 0;
    return w;
}

/* Reference 17's table, and vmx.h for what needs another feature. */
static uint32_t in_use(uint32_t features, enum mode mode)
{
    uint32_t access = mode == XAPIC ? VLAPIC_VMX_APIC_ACCESS : X2;

    if (mode == DISABLED)
        return features & LEVEL_SHADOW;
    features &= ~(uint32_t)(mode == XAPIC ? X2 : VLAPIC_VMX_APIC_ACCESS);
    return features & access ? features : features & ~(uint32_t)(VLAPIC_VMX_REGISTERS | VLAPIC_VMX_IPI);
}

static void assert_controls(struct rig_cpu *c, uint32_t on)
{
    struct words now = read_words(c), expected = wanted(on);

    assert_int_equal(c->entry.features, on);
    assert_int_equal(now.pin & ours.pin, expected.pin);
    assert_int_equal(now.primary & ours.primary, expected.primary);
    assert_int_equal(now.secondary & ours.secondary, expected.secondary);
    assert_int_equal(now.tertiary & ours.tertiary, expected.tertiary);
    if (expected.secondary)
        assert_true(now.primary & APICV_PRIMARY_SECONDARY);
    if (expected.tertiary)
        assert_true(now.primary & APICV_PRIMARY_TERTIARY);
}

static void each_level_has_its_controls_in_each_mode(void **state)
{
    /* Reference 1, 7, 17 */
    (void)state;
    for (size_t i = 0; i < VMX_LEVELS; i++) {
        for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
            struct rig_cpu *c = start(vmx_levels[i].features, mode);

            rig_enter_open(c);
            assert_controls(c, in_use(vmx_levels[i].features, mode));
            assert_int_equal(rig_run(c).outcome, APICV_DONE);
            rig_kick_out(c);
        }
    }
}

static void bits_of_the_embedder_stay_as_they_are(void **state)
{
    /* vmx.h: "and no others" */
    struct rig_cpu *c = start(ALL, XAPIC);
    struct words before, after;

    (void)state;
    rig_set(c, APICV_PIN_CONTROLS, 0xFFFFFFFF);
    rig_set(c, APICV_PRIMARY_CONTROLS, 0xFFFFFFFF & ~(uint64_t)0x80200000);
    rig_set(c, APICV_SECONDARY_CONTROLS, 0xFFFFFFFF);
    rig_set(c, APICV_TERTIARY_CONTROLS, UINT64_MAX);
    before = read_words(c);
    rig_enter_open(c);
    after = read_words(c);
    assert_int_equal(before.pin, after.pin);
    /* windows are the backend's, too; it sets 31 and 17, and no APIC access is intercepted otherwise */
    assert_int_equal((before.primary | 0x80220000) & ~0x00580004ull, after.primary);
    assert_int_equal(before.secondary & ~0x10ull, after.secondary);
    assert_int_equal(before.tertiary, after.tertiary);

    rig_set(c, APICV_PIN_CONTROLS, 0);
    rig_set(c, APICV_SECONDARY_CONTROLS, 0);
    rig_set(c, APICV_TERTIARY_CONTROLS, 0);
    rig_set(c, APICV_PRIMARY_CONTROLS, 0);
    vlapic_cpu_exit(c->cpu);
    vlapic_vmx_vmcs_replaced(c->cpu);
    rig_enter_open(c);
    after = read_words(c);
    assert_int_equal(after.pin, 0x80);
    assert_int_equal(after.primary, 0x80220000);
    assert_int_equal(after.secondary, 0x301);
    assert_int_equal(after.tertiary, 0x10);
}

static void an_activating_bit_is_set_but_never_cleared(void **state)
{
    /* vmx.h: bits 17 and 31 of the primary controls are set where needed; the embedder may need them, too */
    struct rig_cpu *c = start(LEVEL_SHADOW, XAPIC);

    (void)state;
    rig_set(c, APICV_PRIMARY_CONTROLS, rig_get(c, APICV_PRIMARY_CONTROLS) & ~0x80020000ull);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 0x80020000, 0);

    c = start(ALL, XAPIC);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 0x80020000, 0x80020000);
    vlapic_cpu_exit(c->cpu);
    guest_disable_apic(c->cpu);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_PRIMARY_CONTROLS) & 0x80020000, 0x80020000);
}

static void parts_without_a_group_are_not_asked_for_its_field(void **state)
{
    /* Reference 2: the fields exist with the groups; VMWRITE of another fails in the bench */
    (void)state;
    rig_prepare(&rig, ALL);
    rig.caps = apicv_caps_skylake();
    rig.vmx.capabilities.primary &= ~((uint64_t)APICV_PRIMARY_TERTIARY << 32);
    rig.vmx.capabilities.tertiary = 0;
    rig_start(&rig, 1, false);
    rig_enter_open(&rig.cpu[0]);
    assert_int_equal(rig.cpu[0].entry.features, ALL & ~(X2 | VLAPIC_VMX_IPI));
    rig_stop(&rig);

    rig_prepare(&rig, ALL);
    rig.caps = apicv_caps_none();
    rig.vmx.capabilities = (struct vlapic_vmx_capabilities){ .pin = 0x7Full << 32 };
    rig_start(&rig, 1, false);
    rig_enter_open(&rig.cpu[0]);
    assert_int_equal(rig_get(&rig.cpu[0], APICV_PRIMARY_CONTROLS) & 0x00180000, 0x00180000);
    assert_int_equal(rig.cpu[0].entry.features, 0);
}

/* ---- addresses ---- */

static void addresses_are_those_of_the_page_the_frame_the_descriptor_and_the_table(void **state)
{
    /* Reference 2 */
    struct rig_cpu *c = start(ALL, XAPIC);

    (void)state;
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_VIRTUAL_APIC_ADDRESS), (uintptr_t)c->page);
    assert_int_equal(rig_get(c, APICV_APIC_ACCESS_ADDRESS), (uintptr_t)rig.apic_access);
    assert_int_equal(rig_get(c, APICV_DESCRIPTOR_ADDRESS), (uintptr_t)c->descriptor);
    assert_int_equal(vlapic_vmx_descriptor(c->cpu), (uintptr_t)c->descriptor);
    assert_int_equal(rig_get(c, APICV_NOTIFICATION_VECTOR), RIG_NOTIFICATION);
    assert_int_equal(rig_get(c, APICV_PID_TABLE_ADDRESS), (uintptr_t)rig.pid_table);
    assert_int_equal(rig_get(c, APICV_LAST_PID_INDEX), 300);
}

static void the_last_pid_index_is_within_table_and_field(void **state)
{
    /* Reference 11: at most 65536 entries; IDs beyond the last index exit */
    static const struct {
        uint32_t max_apic_id, entries, last;
    } cases[] = { { 300, 512, 300 },       { 511, 512, 511 },        { 512, 512, 511 },      { 300, 1, 0 },
                  { 70000, 65536, 65535 }, { 70000, 100000, 65535 }, { 40000, 65536, 40000 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_clean(&rig);
        rig_prepare(&rig, ALL);
        rig.fake.config.max_apic_id = cases[i].max_apic_id;
        rig.vmx.pid_table_entries = cases[i].entries;
        rig_start(&rig, 1, true);
        rig_enter_open(&rig.cpu[0]);
        assert_int_equal(rig_get(&rig.cpu[0], APICV_LAST_PID_INDEX), cases[i].last);
    }
}

static void the_address_of_a_feature_out_of_use_is_not_written(void **state)
{
    /* Reference 2: such a field need not exist */
    struct rig_cpu *c = start(0, XAPIC);

    (void)state;
    rig_enter_open(c);
    assert_int_equal(rig_wrote(c, APICV_VIRTUAL_APIC_ADDRESS), 0);
    c = start(LEVEL_SHADOW, XAPIC);
    rig_enter_open(c);
    assert_int_equal(rig_wrote(c, APICV_VIRTUAL_APIC_ADDRESS), 1);
    assert_int_equal(rig_wrote(c, APICV_APIC_ACCESS_ADDRESS), 0);
    c = start(LEVEL_DELIVERY, XAPIC);
    rig_enter_open(c);
    assert_int_equal(rig_wrote(c, APICV_DESCRIPTOR_ADDRESS), 0);
    assert_int_equal(rig_wrote(c, APICV_NOTIFICATION_VECTOR), 0);
    c = start(LEVEL_POSTED, XAPIC);
    rig_enter_open(c);
    assert_int_equal(rig_wrote(c, APICV_PID_TABLE_ADDRESS), 0);
    assert_int_equal(rig_wrote(c, APICV_LAST_PID_INDEX), 0);
}

/* ---- nothing that need not be ---- */

static void a_second_entry_writes_no_more_than_the_interrupt_status(void **state)
{
    /* vmx_run.h: VMWRITEs are not free */
    (void)state;
    for (size_t i = 0; i < VMX_LEVELS; i++) {
        for (enum mode mode = DISABLED; mode <= X2APIC; mode++) {
            struct rig_cpu *c = start(vmx_levels[i].features, mode);
            bool delivers;

            rig_enter_open(c);
            delivers = (c->entry.features & VLAPIC_VMX_DELIVERY) != 0;
            rig_exit_plain(c);
            rig_forget(c);
            rig_enter_open(c);
            assert_int_equal(c->writes, delivers);
            assert_int_equal(rig_wrote(c, APICV_GUEST_INTERRUPT_STATUS), delivers);
            assert_int_equal(c->entry.changes, 0);
        }
    }
}

static bool was_written_whole(const struct rig_cpu *c)
{
    static const uint32_t fields[] = {
        APICV_PIN_CONTROLS,         APICV_PRIMARY_CONTROLS,    APICV_SECONDARY_CONTROLS,     APICV_TERTIARY_CONTROLS,
        APICV_VIRTUAL_APIC_ADDRESS, APICV_APIC_ACCESS_ADDRESS, APICV_DESCRIPTOR_ADDRESS,     APICV_NOTIFICATION_VECTOR,
        APICV_PID_TABLE_ADDRESS,    APICV_LAST_PID_INDEX,      APICV_EOI_EXIT_BITMAP_0,      APICV_EOI_EXIT_BITMAP_1,
        APICV_EOI_EXIT_BITMAP_2,    APICV_EOI_EXIT_BITMAP_3,   APICV_GUEST_INTERRUPT_STATUS,
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (rig_wrote(c, fields[i]) == 0) {
            print_error("%04X was not written\n", fields[i]);
            return false;
        }
    }
    return true;
}

static void a_replaced_vmcs_is_written_whole(void **state)
{
    /* vmx_run.h, vlapic_vmx_vmcs_replaced() */
    struct rig_cpu *c = start(ALL, XAPIC);

    (void)state;
    rig_serve(c, 0x61, true);
    rig_pend(c, 0x45, false);
    rig_enter_open(c);
    rig_exit_plain(c);
    rig_new_vmcs(c);
    vlapic_vmx_vmcs_replaced(c->cpu);
    rig_forget(c);
    rig_enter_open(c);
    assert_true(was_written_whole(c));
    assert_int_equal(rig_get(c, APICV_EOI_EXIT_BITMAP_1), 1ull << 33);
    assert_int_equal(rig_get(c, APICV_GUEST_INTERRUPT_STATUS), 0x6145);
    assert_int_equal(c->entry.changes & CONTROLS, CONTROLS); /* whatever was cached with the old one */
    assert_controls(c, in_use(ALL, XAPIC));
    rig_forget(c);
    rig_exit_plain(c);
    rig_enter_open(c);
    assert_int_equal(c->writes, 1);
}

static void a_replaced_vmcs_gets_threshold_and_windows_anew(void **state)
{
    /* vmx_run.h, vlapic_vmx_vmcs_replaced() */
    struct rig_cpu *c = start(LEVEL_SHADOW, XAPIC);
    struct vlapic_vmx_guest closed = rig_guest(false);

    (void)state;
    guest_write(c->cpu, VLAPIC_REG_TPR, 0x80);
    rig_pend(c, 0x51, false);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 5);
    rig_exit_plain(c);
    rig_new_vmcs(c);
    vlapic_vmx_vmcs_replaced(c->cpu);
    rig_enter_open(c);
    assert_int_equal(rig_get(c, APICV_TPR_THRESHOLD), 5);
    rig_exit_plain(c);

    guest_write(c->cpu, VLAPIC_REG_TPR, 0);
    rig_enter(c, &closed);
    assert_true(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_INTERRUPT_WINDOW_EXITING);
    rig_exit_plain(c);
    rig_new_vmcs(c);
    vlapic_vmx_vmcs_replaced(c->cpu);
    rig_enter(c, &closed);
    assert_true(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_INTERRUPT_WINDOW_EXITING);
    rig_exit_plain(c);
    rig_new_vmcs(c);
    rig_set(c, APICV_PRIMARY_CONTROLS, rig_get(c, APICV_PRIMARY_CONTROLS) | APICV_PRIMARY_INTERRUPT_WINDOW_EXITING);
    vlapic_vmx_vmcs_replaced(c->cpu);
    rig_enter_open(c);
    assert_false(rig_get(c, APICV_PRIMARY_CONTROLS) & APICV_PRIMARY_INTERRUPT_WINDOW_EXITING);
}

/* ---- mapping and flushes ---- */

static uint32_t changes_of_entry(struct rig_cpu *c)
{
    uint32_t changes;

    rig_enter_open(c);
    changes = c->entry.changes;
    rig_exit_plain(c);
    return changes;
}

static void mapping_and_flushes_are_asked_for_when_due_and_only_then(void **state)
{
    /* Reference 8, 17: what EPT has to map, and which caches have to go */
    struct rig_cpu *c = start(ALL, XAPIC);
    uint64_t where = 1;

    (void)state;
    assert_int_equal(changes_of_entry(c), MAPPING | CONTROLS);
    assert_true(vlapic_vmx_apic_page(c->cpu, &where));
    assert_int_equal(where, RIG_APIC);
    assert_int_equal(changes_of_entry(c), 0);
    guest_wrmsr(c->cpu, VLAPIC_MSR_APIC_BASE, 0xFEC01900); /* moved */
    assert_int_equal(changes_of_entry(c), MAPPING);
    assert_true(vlapic_vmx_apic_page(c->cpu, &where));
    assert_int_equal(where, 0xFEC01000);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true); /* not of accesses */
    assert_int_equal(changes_of_entry(c), 0);
    vlapic_vmx_inhibit(rig.fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    assert_int_equal(changes_of_entry(c), 0);
    guest_write(c->cpu, VLAPIC_REG_LDR, 0x01000000);
    assert_int_equal(changes_of_entry(c), 0);
    guest_enable_x2apic(c->cpu);
    assert_int_equal(changes_of_entry(c), MAPPING | CONTROLS);
    assert_false(vlapic_vmx_apic_page(c->cpu, &where));
    guest_disable_apic(c->cpu);
    assert_int_equal(changes_of_entry(c), CONTROLS);
    assert_false(vlapic_vmx_apic_page(c->cpu, &where));
    guest_enable_xapic(c->cpu);
    assert_int_equal(changes_of_entry(c), MAPPING | CONTROLS);
    assert_true(vlapic_vmx_apic_page(c->cpu, &where));
    vlapic_cpu_reset(c->cpu); /* moves back */
    assert_int_equal(changes_of_entry(c), MAPPING);
    assert_true(vlapic_vmx_apic_page(c->cpu, &where));
    assert_int_equal(where, RIG_APIC);
}

static void nothing_is_mapped_where_accesses_are_not_virtualized(void **state)
{
    /* Reference 17 */
    struct rig_cpu *c = start(LEVEL_SHADOW, XAPIC);
    uint64_t where;

    (void)state;
    assert_int_equal(changes_of_entry(c) & MAPPING, 0);
    assert_false(vlapic_vmx_apic_page(c->cpu, &where));
}

/* ---- inhibits ---- */

static void an_inhibit_takes_delivery_and_what_needs_it(void **state)
{
    /* vmx.h, enum vlapic_vmx_inhibit; museum 56 */
    static const uint32_t reasons[] = { 1, 2, 4, 0x8000 };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct rig_cpu *c = start(ALL, X2APIC);
        uint32_t less = in_use(ALL, X2APIC) & ~(uint32_t)(VLAPIC_VMX_DELIVERY | VLAPIC_VMX_POSTED | VLAPIC_VMX_IPI);

        rig_enter_open(c);
        rig_exit_plain(c);
        vlapic_vmx_inhibit(rig.fake.vm, reasons[i], true);
        rig_enter_open(c);
        assert_controls(c, less);
        assert_int_equal(vlapic_backend_vmx.inhibits(vlapic_backend_cpu_state(c->cpu, &vlapic_backend_vmx)),
                         reasons[i]);
        rig_exit_plain(c);
        vlapic_vmx_inhibit(rig.fake.vm, 1, i == 0); /* one of two is left */
        rig_enter_open(c);
        assert_controls(c, less);
        rig_exit_plain(c);
        vlapic_vmx_inhibit(rig.fake.vm, reasons[i], false);
        rig_enter_open(c);
        assert_controls(c, in_use(ALL, X2APIC));
    }
}

static uint64_t inhibits_of(struct rig_cpu *c)
{
    return vlapic_backend_vmx.inhibits(vlapic_backend_cpu_state(c->cpu, &vlapic_backend_vmx));
}

static void the_backends_own_reasons_follow_mode_and_enable_bit(void **state)
{
    /* vmx.h, enum vlapic_vmx_inhibit; reference 14 for the software-disabled APIC */
    struct rig_cpu *c = start(ALL, XAPIC);

    (void)state;
    assert_int_equal(inhibits_of(c), 0);
    guest_write(c->cpu, VLAPIC_REG_SVR, 0xFF);
    assert_int_equal(inhibits_of(c), VLAPIC_VMX_INHIBIT_SOFTWARE_DISABLED);
    rig_enter_open(c);
    assert_controls(c, in_use(LEVEL_REGISTERS, XAPIC));
    rig_exit_plain(c);
    guest_write(c->cpu, VLAPIC_REG_SVR, 0x1FF);
    rig_enter_open(c);
    assert_controls(c, in_use(ALL, XAPIC));
    rig_exit_plain(c);
    guest_disable_apic(c->cpu);
    assert_true(inhibits_of(c) & VLAPIC_VMX_INHIBIT_MODE);
    vlapic_vmx_inhibit(rig.fake.vm, UINT32_MAX, true); /* those of the backend are not the embedder's to set */
    assert_int_equal(inhibits_of(c) & 0xFFFF, 0xFFFF);
    guest_enable_xapic(c->cpu);
    guest_write(c->cpu, VLAPIC_REG_SVR, 0x1FF);
    assert_int_equal(inhibits_of(c), 0xFFFF);
    vlapic_vmx_inhibit(rig.fake.vm, UINT32_MAX, false);
    assert_int_equal(inhibits_of(c), 0);
}

static void interrupt_enable_registers_inhibit_delivery(void **state)
{
    /* vmx.h: hardware knows nothing of IER */
    (void)state;
    for (unsigned ier = 0; ier < 2; ier++) {
        rig_clean(&rig);
        rig_prepare(&rig, ALL);
        assert_int_equal(vlapic_vm_config_defaults(&rig.fake.config, sizeof rig.fake.config, VLAPIC_VENDOR_AMD),
                         VLAPIC_OK);
        rig.fake.config.host = &rig.fake.ops;
        rig.fake.config.cookie = &rig.fake;
        rig.fake.config.backend = &vlapic_backend_vmx;
        rig.fake.config.backend_config = &rig.vmx;
        rig.fake.config.ext_space = true;
        rig.fake.config.ext_features = ier ? VLAPIC_EXT_IER : VLAPIC_EXT_SEOI;
        rig_start(&rig, 1, false);
        assert_int_equal(inhibits_of(&rig.cpu[0]), ier ? VLAPIC_VMX_INHIBIT_IER : 0);
        rig_enter_open(&rig.cpu[0]);
        assert_int_equal((rig.cpu[0].entry.features & VLAPIC_VMX_DELIVERY) == 0, ier);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_level_has_its_controls_in_each_mode),
        TEST(bits_of_the_embedder_stay_as_they_are),
        TEST(an_activating_bit_is_set_but_never_cleared),
        TEST(parts_without_a_group_are_not_asked_for_its_field),
        TEST(addresses_are_those_of_the_page_the_frame_the_descriptor_and_the_table),
        TEST(the_last_pid_index_is_within_table_and_field),
        TEST(the_address_of_a_feature_out_of_use_is_not_written),
        TEST(a_second_entry_writes_no_more_than_the_interrupt_status),
        TEST(a_replaced_vmcs_is_written_whole),
        TEST(a_replaced_vmcs_gets_threshold_and_windows_anew),
        TEST(mapping_and_flushes_are_asked_for_when_due_and_only_then),
        TEST(nothing_is_mapped_where_accesses_are_not_virtualized),
        TEST(an_inhibit_takes_delivery_and_what_needs_it),
        TEST(the_backends_own_reasons_follow_mode_and_enable_bit),
        TEST(interrupt_enable_registers_inhibit_delivery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
