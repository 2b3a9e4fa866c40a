/* SPDX-License-Identifier: BSD-2-Clause */
/* Which features a VM has: what the processor offers, what settings allow, what the embedder supplies, what needs what. Settings that are refused. */
#include "vmx_rig.h"

#define TPR VLAPIC_VMX_TPR_SHADOW
#define ACCESS VLAPIC_VMX_APIC_ACCESS
#define REGISTERS VLAPIC_VMX_REGISTERS
#define DELIVERY VLAPIC_VMX_DELIVERY
#define POSTED VLAPIC_VMX_POSTED
#define X2APIC VLAPIC_VMX_X2APIC
#define IPI VLAPIC_VMX_IPI
#define ALL VLAPIC_VMX_ALL_FEATURES

static struct rig rig;

static int clean(void **state)
{
    (void)state;
    rig_clean(&rig);
    return 0;
}

static uint64_t capability(const struct apicv_caps *caps, uint32_t msr, uint32_t without_true)
{
    uint64_t value = 0;

    if (apicv_capability_msr(caps, msr, &value))
        return value;
    return without_true != 0 && apicv_capability_msr(caps, without_true, &value) ? value : 0;
}

/* Everything else that features need is there. */
static uint32_t features_of(const struct apicv_caps *caps, uint32_t allowed)
{
    rig_prepare(&rig, allowed);
    rig.vmx.capabilities = (struct vlapic_vmx_capabilities){
        .pin = capability(caps, APICV_MSR_TRUE_PINBASED, APICV_MSR_PINBASED),
        .primary = capability(caps, APICV_MSR_TRUE_PROCBASED, APICV_MSR_PROCBASED),
        .secondary = capability(caps, APICV_MSR_PROCBASED2, 0),
        .tertiary = capability(caps, APICV_MSR_PROCBASED3, 0),
        .exit = capability(caps, APICV_MSR_TRUE_EXIT, APICV_MSR_EXIT),
    };
    return vlapic_vmx_features(&rig.vmx);
}

static void generations_offer_what_they_have(void **state)
{
    /* Reference 1, "Typical hardware generations" */
    struct apicv_caps none = apicv_caps_none(), core2 = apicv_caps_core2(), sandy = apicv_caps_sandy_bridge();
    struct apicv_caps skylake = apicv_caps_skylake(), sapphire = apicv_caps_sapphire_rapids();

    (void)state;
    assert_int_equal(features_of(&none, ALL), 0);
    assert_int_equal(features_of(&core2, ALL), TPR | ACCESS);
    assert_int_equal(features_of(&sandy, ALL), TPR | ACCESS | X2APIC);
    assert_int_equal(features_of(&skylake, ALL), ALL & ~IPI);
    assert_int_equal(features_of(&sapphire, ALL), ALL);
}

static void an_inactive_group_of_controls_is_zero(void **state)
{
    /* Reference, conventions: "an inactive group behaves as all zeros" */
    (void)state;
    rig_prepare(&rig, ALL);
    rig.vmx.capabilities.primary &= ~((uint64_t)APICV_PRIMARY_SECONDARY << 32);
    assert_int_equal(vlapic_vmx_features(&rig.vmx), TPR);
    rig_prepare(&rig, ALL);
    rig.vmx.capabilities.primary &= ~((uint64_t)APICV_PRIMARY_TERTIARY << 32);
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~IPI);
}

/* What is left of a wish: reference 3, checks 2 and 8; register virtualization for IPI virtualization is reference 8.2's advice, posted
 * interrupts vmx.h's. */
static uint32_t closed(uint32_t wish)
{
    if (!(wish & TPR))
        return 0;
    if (!(wish & DELIVERY))
        wish &= ~(uint32_t)POSTED;
    if (!(wish & POSTED) || !(wish & REGISTERS))
        wish &= ~(uint32_t)IPI;
    return wish;
}

static void every_set_of_settings_is_cut_to_what_its_members_need(void **state)
{
    /* Reference 3, checks 2 and 8 */
    struct apicv_caps caps = apicv_caps_sapphire_rapids();

    (void)state;
    for (uint32_t wish = 0; wish <= ALL; wish++)
        assert_int_equal(features_of(&caps, wish), closed(wish));
    assert_int_equal(features_of(&caps, UINT32_MAX), ALL);
}

static void each_capability_bit_counts_by_itself(void **state)
{
    /* Reference 1: the high dword has what may be 1; what must be 1, the low one, says nothing about it */
    static const struct {
        size_t member;
        uint64_t bit;
        uint32_t left;
    } bits[] = {
        { offsetof(struct vlapic_vmx_capabilities, primary), (uint64_t)APICV_PRIMARY_TPR_SHADOW << 32, 0 },
        { offsetof(struct vlapic_vmx_capabilities, secondary), 1ull << 32, ALL & ~ACCESS },
        { offsetof(struct vlapic_vmx_capabilities, secondary), 0x10ull << 32, ALL & ~X2APIC },
        { offsetof(struct vlapic_vmx_capabilities, secondary), 0x100ull << 32, ALL & ~(REGISTERS | IPI) },
        { offsetof(struct vlapic_vmx_capabilities, secondary), 0x200ull << 32, ALL & ~(DELIVERY | POSTED | IPI) },
        { offsetof(struct vlapic_vmx_capabilities, pin), 0x80ull << 32, ALL & ~(POSTED | IPI) },
        { offsetof(struct vlapic_vmx_capabilities, exit), 0x8000ull << 32, ALL & ~(POSTED | IPI) },
        { offsetof(struct vlapic_vmx_capabilities, tertiary), 0x10, ALL & ~IPI },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        uint64_t *msr;

        rig_prepare(&rig, ALL);
        msr = (uint64_t *)(void *)((char *)&rig.vmx.capabilities + bits[i].member);
        assert_true((*msr & bits[i].bit) != 0);
        *msr &= ~bits[i].bit;
        assert_int_equal(vlapic_vmx_features(&rig.vmx), bits[i].left);
    }
}

static void what_the_embedder_does_not_supply_is_not_used(void **state)
{
    /* vmx.h, settings and ops */
    (void)state;
    rig_prepare(&rig, ALL);
    rig.vmx.apic_access_page = 0;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~ACCESS);
    for (unsigned vector = 0; vector < 17; vector += vector == 0 ? 15 : 1) {
        rig_prepare(&rig, ALL);
        rig.vmx.notification_vector = (uint8_t)vector;
        assert_int_equal(vlapic_vmx_features(&rig.vmx), vector < 16 ? ALL & ~(POSTED | IPI) : ALL);
    }
    rig_prepare(&rig, ALL);
    rig.ops.notify = NULL;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~(POSTED | IPI));
    rig_prepare(&rig, ALL);
    rig.ops.physical_apic_id = NULL;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~(POSTED | IPI));
    rig_prepare(&rig, ALL);
    rig.vmx.pid_table.va = NULL;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~IPI);
    rig_prepare(&rig, ALL);
    rig.vmx.pid_table_entries = 0;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~IPI);
    rig_prepare(&rig, ALL);
    rig.vmx.ops = NULL;
    assert_int_equal(vlapic_vmx_features(&rig.vmx), ALL & ~(POSTED | IPI));
    assert_int_equal(vlapic_vmx_features(NULL), 0);
}

static void the_vm_uses_what_the_settings_tell(void **state)
{
    /* vmx.h; an ID that the guest may write would be another index (reference 11) */
    struct rig_cpu *c = rig_one(&rig, ALL, true);

    (void)state;
    rig_enter_open(c);
    assert_int_equal(c->entry.features, ALL & ~ACCESS);
    rig_stop(&rig);
    rig_prepare(&rig, ALL);
    rig.fake.config.id_writable = true;
    rig_start(&rig, 1, false);
    rig_enter_open(&rig.cpu[0]);
    assert_int_equal(rig.cpu[0].entry.features, ALL & ~(X2APIC | IPI));
}

static void ipis_are_not_virtualized_where_a_destination_means_two(void **state)
{
    /* Reference 11: the destination is the index; vm.h, dest_alias: above FFh it means a vCPU in xAPIC mode besides */
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        rig_clean(&rig);
        rig_prepare(&rig, ALL);
        rig.fake.config.dest_alias = (i & 1) != 0;
        rig.fake.config.max_apic_id = (i & 2) != 0 ? 0x100 : 0xFF;
        rig_start(&rig, 1, true);
        rig_enter_open(&rig.cpu[0]);
        assert_int_equal(rig.cpu[0].entry.features & IPI, i == 3 ? 0 : IPI);
    }
}

/* ---- settings ---- */

static void defaults_allow_every_feature_and_supply_nothing(void **state)
{
    struct vlapic_vmx_config config;

    (void)state;
    memset(&config, 0xA5, sizeof config);
    assert_int_equal(vlapic_vmx_config_defaults(&config, sizeof config), VLAPIC_OK);
    assert_int_equal(config.size, sizeof config);
    assert_int_equal(config.abi, VLAPIC_VMX_ABI);
    assert_int_equal(config.features, ALL);
    assert_null(config.ops);
    assert_int_equal(config.apic_access_page, 0);
    assert_int_equal(config.capabilities.primary, 0);
    assert_int_equal(vlapic_vmx_features(&config), 0);
    assert_int_equal(vlapic_vmx_config_defaults(NULL, sizeof config), VLAPIC_INVALID);
    assert_int_equal(vlapic_vmx_config_defaults(&config, sizeof config - 1), VLAPIC_BAD_ABI);
}

static enum vlapic_status create(void)
{
    static _Alignas(4096) uint8_t memory[1 << 20];
    struct vlapic_layout layout;
    struct vlapic_vm *vm;

    assert_int_equal(vlapic_vm_layout(&rig.fake.config, &layout), VLAPIC_OK);
    assert_true(layout.bytes <= sizeof memory);
    return vlapic_vm_create(memory, layout.bytes, &rig.fake.config, &vm);
}

#define REFUSED(status, spoil)                                                                                         \
    do {                                                                                                               \
        rig_prepare(&rig, ALL);                                                                                        \
        spoil;                                                                                                         \
        assert_int_equal(create(), status);                                                                            \
    } while (0)

static void bad_settings_are_refused(void **state)
{
    /* vmx.h: mandatory members, sizes, versions, alignment; reference 3, checks 5 and 9 */
    (void)state;
    REFUSED(VLAPIC_OK, (void)0);
    REFUSED(VLAPIC_INVALID, rig.fake.config.backend_config = NULL);
    REFUSED(VLAPIC_INVALID, rig.vmx.ops = NULL);
    REFUSED(VLAPIC_BAD_ABI, rig.vmx.size--);
    REFUSED(VLAPIC_BAD_ABI, rig.vmx.abi++);
    REFUSED(VLAPIC_BAD_ABI, rig.ops.size--);
    REFUSED(VLAPIC_BAD_ABI, rig.ops.abi++);
    REFUSED(VLAPIC_INVALID, rig.ops.vmwrite = NULL);
    REFUSED(VLAPIC_INVALID, rig.ops.vmread = NULL);
    REFUSED(VLAPIC_INVALID, rig.ops.guest = NULL);
    REFUSED(VLAPIC_INVALID, rig.guest.read_register = NULL);
    REFUSED(VLAPIC_INVALID, rig.guest.write_register = NULL);
    REFUSED(VLAPIC_MISALIGNED, rig.vmx.apic_access_page++);
    REFUSED(VLAPIC_MISALIGNED, rig.vmx.apic_access_page += 0x800);
    REFUSED(VLAPIC_MISALIGNED, rig.vmx.pid_table.pa += 4);
    REFUSED(VLAPIC_OK, rig.vmx.pid_table.pa += 8);
}

static void functions_of_the_backend_leave_other_vms_alone(void **state)
{
    /* backend.h: the state of a backend is NULL for another one */
    struct vlapic_vmx_guest guest = rig_guest(true);
    struct vlapic_vmx_exit exit = { .reason = 12 };
    struct vlapic_vmx_entry entry;
    struct fake_vm fake;
    struct vlapic_cpu *cpu;
    uint64_t where;
    uint32_t length = 5;

    (void)state;
    fake_one_cpu(&fake, VLAPIC_VENDOR_INTEL);
    cpu = fake_cpu_at(&fake, 0);
    memset(&entry, 0xA5, sizeof entry);
    assert_false(vlapic_vmx_enter(cpu, &guest, &entry));
    assert_int_equal(entry.injected | entry.changes | entry.features | entry.vector, 0);
    assert_int_equal(vlapic_vmx_exit(cpu, &exit, &length), VLAPIC_VMX_NOT_MINE);
    assert_int_equal(length, 0);
    assert_int_equal(vlapic_vmx_access(cpu, RIG_APIC, false, &length), VLAPIC_VMX_NOT_MINE);
    assert_false(vlapic_vmx_apic_page(cpu, &where));
    assert_int_equal(vlapic_vmx_descriptor(cpu), 0);
    assert_int_equal(vlapic_vmx_get_in_flight(cpu), 0);
    assert_false(vlapic_vmx_is_outstanding(cpu));
    vlapic_vmx_set_in_flight(cpu, 0x80000030);
    vlapic_vmx_cancel(cpu);
    vlapic_vmx_vmcs_replaced(cpu);
    vlapic_vmx_inhibit(fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, true);
    vlapic_vmx_inhibit(fake.vm, VLAPIC_VMX_INHIBIT_REQUEST, false);
    fake_vm_stop(&fake);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(generations_offer_what_they_have),
        TEST(an_inactive_group_of_controls_is_zero),
        TEST(every_set_of_settings_is_cut_to_what_its_members_need),
        TEST(each_capability_bit_counts_by_itself),
        TEST(what_the_embedder_does_not_supply_is_not_used),
        TEST(the_vm_uses_what_the_settings_tell),
        TEST(ipis_are_not_virtualized_where_a_destination_means_two),
        TEST(defaults_allow_every_feature_and_supply_nothing),
        TEST(bad_settings_are_refused),
        TEST(functions_of_the_backend_leave_other_vms_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
