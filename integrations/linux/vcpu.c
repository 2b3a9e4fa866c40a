/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU: its making, and its descriptor. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vmm.h"

#define RSP 4

/* --- the VMCB ------------------------------------------------------------------------------------------------------------ */

static void intercept(struct vmcb *vmcb, unsigned int bit)
{
    vmcb->control.intercepts[bit / 32] |= 1u << bit % 32;
}

/* All that reaches past what the guest owns. CR8, VINTR and IRET are the backend's. */
static void set_intercepts(struct vmcb *vmcb)
{
    static const u8 bits[] = {
        INTERCEPT_CR0_WRITE,
        INTERCEPT_CR3_WRITE,
        INTERCEPT_CR4_WRITE,
        INTERCEPT_INTR,
        INTERCEPT_NMI,
        INTERCEPT_SMI,
        INTERCEPT_INIT,
        INTERCEPT_RDPMC,
        INTERCEPT_CPUID,
        INTERCEPT_RSM,
        INTERCEPT_INVD,
        INTERCEPT_HLT,
        INTERCEPT_INVLPGA,
        INTERCEPT_IOIO_PROT,
        INTERCEPT_MSR_PROT,
        INTERCEPT_TASK_SWITCH,
        INTERCEPT_FERR_FREEZE,
        INTERCEPT_SHUTDOWN,
        INTERCEPT_VMRUN,
        INTERCEPT_VMMCALL,
        INTERCEPT_VMLOAD,
        INTERCEPT_VMSAVE,
        INTERCEPT_STGI,
        INTERCEPT_CLGI,
        INTERCEPT_SKINIT,
        INTERCEPT_RDTSCP,
        INTERCEPT_ICEBP,
        INTERCEPT_WBINVD,
        INTERCEPT_MONITOR,
        INTERCEPT_MWAIT,
        INTERCEPT_XSETBV,
        INTERCEPT_RDPRU,
        INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB,
        INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
    };
    size_t i;

    vmcb->control.intercepts[INTERCEPT_DR] = ~0u; /* the host's debug registers are there */
    for (i = 0; i < ARRAY_SIZE(bits); i++) {
        intercept(vmcb, bits[i]);
    }
}

static void set_segment(struct vmcb_seg *segment, u16 selector, u16 attributes, u32 limit)
{
    *segment = (struct vmcb_seg){ .selector = selector, .attrib = attributes, .limit = limit };
}

/* Long mode, CPL 0, flat. CR0.TS stays set: an FPU instruction is #NM in the guest, so the FPU is the host's throughout. */
static void make_vmcb(struct vmm_vcpu *vcpu)
{
    struct vmcb_control_area *control = &vcpu->vmcb->control;
    struct vmcb_save_area *save = &vcpu->vmcb->save;

    set_intercepts(vcpu->vmcb);
    control->iopm_base_pa = __pa(vmm_io_map);
    control->msrpm_base_pa = __pa(vmm_msr_map);
    control->asid = 1;
    control->int_ctl = V_INTR_MASKING_MASK;
    control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
    control->nested_cr3 = __pa(vcpu->vm->nested_root);
    set_segment(&save->cs, 8, 0xA9B, U32_MAX);
    set_segment(&save->ds, 16, 0xC93, U32_MAX);
    save->es = save->ss = save->fs = save->gs = save->ds;
    set_segment(&save->tr, 0, 0x08B, 0x67);
    set_segment(&save->ldtr, 0, 0x082, 0);
    save->efer = EFER_SVME | EFER_LME | EFER_LMA;
    save->cr0 = X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_TS | X86_CR0_MP | X86_CR0_PE;
    save->cr4 = X86_CR4_PAE;
    save->dr6 = 0xFFFF0FF0;
    save->dr7 = 0x400;
    save->g_pat = 0x0007040600070406;
}

/* --- calls, with the lock held ------------------------------------------------------------------------------------------ */

static int set_regs(struct vmm_vcpu *vcpu, const void __user *argument)
{
    struct vmcb_save_area *save = &vcpu->vmcb->save;
    struct vlapic_vmm_regs regs;

    if (copy_from_user(&regs, argument, sizeof(regs))) {
        return -EFAULT;
    }
    memset(vcpu->vmcb, 0, PAGE_SIZE);
    make_vmcb(vcpu);
    vlapic_svm_vmcb_replaced(vcpu->apic);
    memcpy(vcpu->general, regs.general, sizeof(vcpu->general));
    save->rax = regs.general[0];
    save->rsp = regs.general[RSP];
    save->rip = regs.rip;
    save->rflags = (regs.rflags & ~(u64)X86_EFLAGS_TF) | X86_EFLAGS_FIXED;
    save->cr3 = regs.cr3;
    vcpu->started = true;
    vcpu->halted = false;
    vcpu->exception = 0;
    vcpu->io_in_width = 0;
    vcpu->last_cpu = -1;
    return 0;
}

static int run(struct vmm_vcpu *vcpu, struct vlapic_vmm_run __user *argument)
{
    u32 value;
    int error;

    if (get_user(value, &argument->value)) {
        return -EFAULT;
    }
    if (vcpu->io_in_width != 0) {
        u64 *rax = &vcpu->vmcb->save.rax;
        u64 mask = U64_MAX >> (64 - 8 * vcpu->io_in_width);

        *rax = vcpu->io_in_width == 4 ? value : (*rax & ~mask) | (value & mask);
        vcpu->io_in_width = 0;
    }
    error = vmm_vcpu_run(vcpu);
    return copy_to_user(argument, &vcpu->run, sizeof(vcpu->run)) ? -EFAULT : error;
}

static int get_snapshot(struct vmm_vcpu *vcpu, void __user *argument)
{
    struct vlapic_vmm_snapshot *snapshot = vmm_alloc(sizeof(*snapshot), 1);
    size_t length;
    int error = 0;

    if (!snapshot) {
        return -ENOMEM;
    }
    snapshot->in_flight = vlapic_svm_get_in_flight(vcpu->apic);
    if (vlapic_snapshot_export_cpu(vcpu->apic, snapshot->bytes, sizeof(snapshot->bytes), &length) != VLAPIC_OK) {
        error = -EINVAL;
    }
    snapshot->length = length;
    if (!error && copy_to_user(argument, snapshot, sizeof(*snapshot))) {
        error = -EFAULT;
    }
    kfree(snapshot);
    return error;
}

static int set_snapshot(struct vmm_vcpu *vcpu, const void __user *argument)
{
    struct vlapic_vmm_snapshot *snapshot = memdup_user(argument, sizeof(*snapshot));
    int error = 0;

    if (IS_ERR(snapshot)) {
        return PTR_ERR(snapshot);
    }
    if (snapshot->length > sizeof(snapshot->bytes) ||
        vlapic_snapshot_import_cpu(vcpu->apic, snapshot->bytes, snapshot->length, VLAPIC_TIME_RAN, NULL) != VLAPIC_OK) {
        error = -EINVAL;
    } else {
        vlapic_svm_set_in_flight(vcpu->apic, snapshot->in_flight);
    }
    kfree(snapshot);
    return error;
}

static long locked_ioctl(struct vmm_vcpu *vcpu, unsigned int command, void __user *argument)
{
    switch (command) {
    case VLAPIC_VMM_SET_REGS:
        return set_regs(vcpu, argument);
    case VLAPIC_VMM_RUN:
        return run(vcpu, argument);
    case VLAPIC_VMM_GET_SNAPSHOT:
        return get_snapshot(vcpu, argument);
    case VLAPIC_VMM_SET_SNAPSHOT:
        return set_snapshot(vcpu, argument);
    case VLAPIC_VMM_RESET:
        vlapic_cpu_reset(vcpu->apic);
        return 0;
    default:
        return -ENOTTY;
    }
}

/* --- the object -------------------------------------------------------------------------------------------------------------- */

static long vcpu_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    struct vmm_vcpu *vcpu = file->private_data;
    long result;

    if (mutex_lock_interruptible(&vcpu->lock)) {
        return -EINTR;
    }
    result = locked_ioctl(vcpu, command, (void __user *)argument);
    mutex_unlock(&vcpu->lock);
    return result;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
    vmm_vm_put(((struct vmm_vcpu *)file->private_data)->vm);
    return 0;
}

static const struct file_operations vcpu_operations = {
    .owner = THIS_MODULE,
    .unlocked_ioctl = vcpu_ioctl,
    .release = vcpu_release,
};

/* No other APIC can be using this one: the whole VM goes. */
void vmm_vcpu_free(struct vmm_vcpu *vcpu)
{
    mutex_lock(&vcpu->lock);
    if (vcpu->apic) {
        vlapic_cpu_destroy(vcpu->apic);
    }
    mutex_unlock(&vcpu->lock);
    hrtimer_cancel(&vcpu->timer);
    kfree(vcpu->apic_memory);
    kfree(vcpu->apic_page);
    kfree(vcpu->vmcb);
    kfree(vcpu);
}

static int make_apic(struct vmm_vcpu *vcpu)
{
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = vcpu->index, .bsp = vcpu->index == 0 };
    struct vlapic_page page;
    struct vlapic_layout layout;

    if (vlapic_cpu_layout(vlapic_vm_get_config(vcpu->vm->apics), &layout) != VLAPIC_OK || layout.pages != 1) {
        return -EINVAL;
    }
    vcpu->apic_memory = vmm_alloc(layout.bytes, layout.alignment);
    vcpu->apic_page = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    vcpu->vmcb = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
    if (!vcpu->apic_memory || !vcpu->apic_page || !vcpu->vmcb) {
        return -ENOMEM;
    }
    make_vmcb(vcpu);
    page = (struct vlapic_page){ vcpu->apic_page, __pa(vcpu->apic_page) };
    config.pages = &page;
    config.cookie = vcpu;
    return vlapic_cpu_create(vcpu->apic_memory, layout.bytes, vcpu->vm->apics, &config, &vcpu->apic) == VLAPIC_OK
               ? 0
               : -EINVAL;
}

static struct vmm_vcpu *make(struct vmm_vm *vm, u32 index)
{
    static atomic64_t serials;
    struct vmm_vcpu *vcpu = vmm_alloc(sizeof(*vcpu), 1);
    int error;

    BUILD_BUG_ON(sizeof(*vcpu->vmcb) > PAGE_SIZE);
    BUILD_BUG_ON(sizeof(((struct vlapic_vmm_snapshot *)NULL)->bytes) < VLAPIC_SNAPSHOT_MAX);
    if (!vcpu) {
        return ERR_PTR(-ENOMEM);
    }
    vcpu->vm = vm;
    vcpu->index = index;
    vcpu->serial = atomic64_inc_return(&serials);
    vcpu->cpu = vcpu->last_cpu = -1;
    mutex_init(&vcpu->lock);
    rcuwait_init(&vcpu->wait);
    hrtimer_init(&vcpu->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
    vcpu->timer.function = vmm_timer_expired;
    mutex_lock(&vcpu->lock); /* for nobody but the library's check of ownership */
    error = make_apic(vcpu);
    mutex_unlock(&vcpu->lock);
    if (error) {
        vmm_vcpu_free(vcpu);
        return ERR_PTR(error);
    }
    return vcpu;
}

/* The last step that can fail is the one before the vCPU can be addressed. */
static int publish(struct vmm_vcpu *vcpu)
{
    struct vmm_vm *vm = vcpu->vm;
    int fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
    struct file *file;

    if (fd < 0) {
        return fd;
    }
    kref_get(&vm->refs);
    file = anon_inode_getfile("vlapic-vcpu", &vcpu_operations, vcpu, O_RDWR);
    if (IS_ERR(file)) {
        put_unused_fd(fd);
        vmm_vm_put(vm);
        return PTR_ERR(file);
    }
    mutex_lock(&vcpu->lock);
    WARN_ON(vlapic_cpu_attach(vcpu->apic) != VLAPIC_OK);
    mutex_unlock(&vcpu->lock);
    smp_store_release(&vm->vcpus[vcpu->index], vcpu);
    fd_install(fd, file);
    return fd;
}

int vmm_vcpu_create(struct vmm_vm *vm, u32 index)
{
    struct vmm_vcpu *vcpu;
    int result;

    if (mutex_lock_killable(&vm->lock)) {
        return -EINTR;
    }
    if (vm->vcpus[index] || !vm->pages) {
        result = vm->pages ? -EEXIST : -EINVAL;
    } else {
        vcpu = make(vm, index);
        result = PTR_ERR_OR_ZERO(vcpu);
        if (!result) {
            result = publish(vcpu);
            if (result < 0) {
                vmm_vcpu_free(vcpu);
            }
        }
    }
    mutex_unlock(&vm->lock);
    return result;
}
