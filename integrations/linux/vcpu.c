/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU: its making, and its descriptor. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"

/* --- calls, with the lock held ------------------------------------------------------------------------------------------ */

static int set_regs(struct vmm_vcpu *vcpu, const void __user *argument)
{
    struct vlapic_vmm_regs regs;

    if (copy_from_user(&regs, argument, sizeof(regs))) {
        return -EFAULT;
    }
    vmm_hv->reset(vcpu, regs.cr3);
    memcpy(vcpu->general, regs.general, sizeof(vcpu->general));
    vcpu->rip = regs.rip;
    vcpu->rflags = (regs.rflags & ~(u64)X86_EFLAGS_TF) | X86_EFLAGS_FIXED;
    vcpu->shadow = 0;
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
        u64 *rax = &vcpu->general[VMM_RAX];
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
    snapshot->in_flight = vmm_hv->get_in_flight(vcpu->apic);
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
        vmm_hv->set_in_flight(vcpu->apic, snapshot->in_flight);
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
    u32 i;

    mutex_lock(&vcpu->lock);
    if (vcpu->apic) {
        vlapic_cpu_destroy(vcpu->apic);
    }
    mutex_unlock(&vcpu->lock);
    hrtimer_cancel(&vcpu->timer);
    kfree(vcpu->apic_memory);
    for (i = 0; i < ARRAY_SIZE(vcpu->apic_pages); i++) {
        kfree(vcpu->apic_pages[i]);
    }
    vmm_npt_free(vcpu->nested_root);
    vmm_hv->free(vcpu);
    kfree(vcpu);
}

static int make_apic(struct vmm_vcpu *vcpu)
{
    struct vlapic_cpu_config config = { .size = sizeof(config), .apic_id = vcpu->index, .bsp = vcpu->index == 0 };
    struct vlapic_page pages[ARRAY_SIZE(vcpu->apic_pages)];
    struct vlapic_layout layout;
    u32 i;

    if (vlapic_cpu_layout(vlapic_vm_get_config(vcpu->vm->apics), &layout) != VLAPIC_OK ||
        layout.pages > ARRAY_SIZE(pages)) {
        return -EINVAL;
    }
    vcpu->apic_memory = vmm_alloc(layout.bytes, layout.alignment);
    for (i = 0; i < layout.pages; i++) {
        vcpu->apic_pages[i] = vmm_alloc(PAGE_SIZE, PAGE_SIZE);
        if (!vcpu->apic_pages[i]) {
            return -ENOMEM;
        }
        pages[i] = (struct vlapic_page){ vcpu->apic_pages[i], __pa(vcpu->apic_pages[i]) };
    }
    if (!vcpu->apic_memory) {
        return -ENOMEM;
    }
    config.pages = pages;
    config.cookie = vcpu;
    return vlapic_cpu_create(vcpu->apic_memory, layout.bytes, vcpu->vm->apics, &config, &vcpu->apic) == VLAPIC_OK
               ? 0
               : -EINVAL;
}

static int make_parts(struct vmm_vcpu *vcpu)
{
    int error;

    vcpu->nested_root = vmm_npt_create(vcpu->vm);
    if (!vcpu->nested_root) {
        return -ENOMEM;
    }
    error = vmm_hv->create(vcpu);
    return error ? error : make_apic(vcpu);
}

static struct vmm_vcpu *make(struct vmm_vm *vm, u32 index)
{
    static atomic64_t serials;
    struct vmm_vcpu *vcpu = vmm_alloc(sizeof(*vcpu), 1);
    int error;

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
    error = make_parts(vcpu);
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
