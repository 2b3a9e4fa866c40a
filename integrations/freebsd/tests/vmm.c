/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm.h"

#include <string.h>

void kernel_fault(const char *what)
{
    fail_msg("%s", what);
}

/* ---- the host ---- */

static void notify(void *cookie)
{
    struct vcpu *vcpu = cookie;

    __atomic_fetch_add(&vcpu->notified, 1, __ATOMIC_SEQ_CST);
}

static void ioapic_eoi(void *cookie, int vector)
{
    struct vmm *vmm = cookie;

    vmm->eois++;
    vmm->last_eoi = vector;
}

static void inject_nmi(void *cookie)
{
    struct vcpu *vcpu = cookie;

    vcpu->nmis++;
}

static void inject_extint(void *cookie)
{
    struct vcpu *vcpu = cookie;

    vcpu->extints++;
}

static void init(void *cookie)
{
    struct vcpu *vcpu = cookie;

    vcpu->inits++;
}

static void sipi(void *cookie, uint8_t vector)
{
    struct vcpu *vcpu = cookie;

    vcpu->sipis++;
    vcpu->page = vector;
}

bool vmm_ipi_exit(void *cookie, enum vlapic_delivery mode, uint8_t vector, const uint64_t *set, size_t words)
{
    struct vcpu *vcpu = cookie;
    struct vmm *vmm = vcpu->vmm;

    assert_true(words <= sizeof vmm->exit_set / sizeof vmm->exit_set[0]);
    memcpy(vmm->exit_set, set, words * sizeof set[0]);
    vmm->exit_words = words;
    vmm->exit_mode = mode;
    vmm->exit_vector = vector;
    vmm->exit_sender = vcpu;
    vmm->exits++;
    return vmm->to_user;
}

/* ---- life ---- */

void vmm_prepare(struct vmm *vmm)
{
    memset(vmm, 0, sizeof *vmm);
    kernel_start();
    vmm->host = (struct vlapic_bhyve_host){
        .notify = notify,
        .ioapic_eoi = ioapic_eoi,
        .inject_nmi = inject_nmi,
        .inject_extint = inject_extint,
        .init = init,
        .sipi = sipi,
    };
    vmm->options = (struct vlapic_bhyve_options){
        .host = &vmm->host, .vendor = VLAPIC_VENDOR_INTEL, .x2apic = true, .max_cpus = 4
    };
}

struct vcpu *vmm_add(struct vmm *vmm, unsigned id)
{
    struct vcpu *vcpu = &vmm->vcpu[id];

    vcpu->vmm = vmm;
    vcpu->id = id;
    vcpu->apic = vlapic_bhyve_create(vmm->vm, id, vcpu);
    assert_non_null(vcpu->apic);
    return vcpu;
}

void vmm_start(struct vmm *vmm, unsigned count)
{
    vmm->vm = vlapic_bhyve_vm_create(vmm, &vmm->options);
    assert_non_null(vmm->vm);
    for (unsigned i = 0; i < count; i++)
        vmm_add(vmm, i);
    guest_write(&vmm->vcpu[0], VLAPIC_REG_SVR, 0x1FF);
}

void vmm_stop(struct vmm *vmm)
{
    for (unsigned i = 0; i < MAX_VCPUS; i++)
        vlapic_bhyve_destroy(vmm->vcpu[i].apic);
    vlapic_bhyve_vm_destroy(vmm->vm);
    assert_int_equal(kernel_allocations(), 0);
    assert_int_equal(kernel_armed(), 0);
    assert_false(kernel_run_stopped());
}

void vmm_start_aps(struct vmm *vmm, unsigned count)
{
    guest_icr(&vmm->vcpu[0], 0, 0xC4500);
    guest_icr(&vmm->vcpu[0], 0, 0xC4610);
    for (unsigned i = 1; i < count; i++) {
        assert_true(events(&vmm->vcpu[i]));
        guest_write(&vmm->vcpu[i], VLAPIC_REG_SVR, 0x1FF);
        notified(&vmm->vcpu[i]);
    }
}

/* ---- entry points ---- */

static void leave(void)
{
    assert_int_equal(kernel_critical_depth(), 1);
    kernel_critical_exit();
}

uint32_t guest_read(struct vcpu *vcpu, uint32_t offset)
{
    uint64_t value = 0;

    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_read(vcpu->apic, true, offset, 4, &value), 0);
    leave();
    return (uint32_t)value;
}

bool guest_write(struct vcpu *vcpu, uint32_t offset, uint32_t value)
{
    bool exit = true;

    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_write(vcpu->apic, true, offset, 4, value, &exit), 0);
    leave();
    return exit;
}

uint64_t guest_rdmsr(struct vcpu *vcpu, uint32_t msr)
{
    uint64_t value = 0;

    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_rdmsr(vcpu->apic, msr, &value), 0);
    leave();
    return value;
}

bool guest_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    bool exit = true;

    kernel_critical_enter();
    assert_int_equal(vlapic_bhyve_wrmsr(vcpu->apic, msr, value, &exit), 0);
    leave();
    return exit;
}

void guest_rdmsr_faults(struct vcpu *vcpu, uint32_t msr)
{
    uint64_t value = 0x5A;

    kernel_critical_enter();
    assert_int_not_equal(vlapic_bhyve_rdmsr(vcpu->apic, msr, &value), 0);
    leave();
    assert_int_equal(value, 0x5A);
}

void guest_wrmsr_faults(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    bool exit = true;

    kernel_critical_enter();
    assert_int_not_equal(vlapic_bhyve_wrmsr(vcpu->apic, msr, value, &exit), 0);
    leave();
    assert_false(exit);
}

bool guest_icr(struct vcpu *vcpu, uint32_t high, uint32_t low)
{
    assert_false(guest_write(vcpu, VLAPIC_REG_ICR_HIGH, high));
    return guest_write(vcpu, VLAPIC_REG_ICR_LOW, low);
}

bool events(struct vcpu *vcpu)
{
    bool runs;

    kernel_critical_enter();
    runs = vlapic_bhyve_events(vcpu->apic);
    leave();
    return runs;
}

bool events_pending(struct vcpu *vcpu)
{
    bool is;

    kernel_critical_enter();
    is = vlapic_bhyve_events_pending(vcpu->apic);
    leave();
    return is;
}

int pending(struct vcpu *vcpu)
{
    int vector = -1;
    bool is;

    kernel_critical_enter();
    is = vlapic_bhyve_pending_intr(vcpu->apic, &vector);
    assert_int_equal(vlapic_bhyve_pending_intr(vcpu->apic, NULL), is);
    leave();
    assert_int_equal(is, vector >= 0);
    return vector;
}

int take(struct vcpu *vcpu)
{
    int vector = pending(vcpu);

    kernel_critical_enter();
    if (vector >= 0)
        vlapic_bhyve_intr_accepted(vcpu->apic, vector);
    leave();
    return vector;
}

bool post(struct vcpu *vcpu, int vector, bool level)
{
    bool accepted;

    kernel_critical_enter();
    accepted = vlapic_bhyve_set_intr_ready(vcpu->apic, vector, level);
    leave();
    return accepted;
}

unsigned notified(struct vcpu *vcpu)
{
    return __atomic_exchange_n(&vcpu->notified, 0, __ATOMIC_SEQ_CST);
}
