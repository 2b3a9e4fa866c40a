/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM: its memory, and what comes from outside to its APICs. */
#include <linux/anon_inodes.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"

/* On a machine where an exit takes as long, a guest with a faster timer would get to nothing else. */
static uint timer_floor_us = 50;
module_param(timer_floor_us, uint, 0444);
MODULE_PARM_DESC(timer_floor_us, "no guest makes the host take timer interrupts faster than this");

void *vmm_alloc(size_t bytes, size_t alignment)
{
    return kzalloc(roundup_pow_of_two(max(bytes, alignment)), GFP_KERNEL_ACCOUNT);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------ */

static void unpin(struct vmm_vm *vm)
{
    unpin_user_pages_dirty_lock(vm->pages, vm->page_count, true);
    kvfree(vm->pages);
    vm->pages = NULL;
    vm->page_count = 0;
}

static int pin(struct vmm_vm *vm, const struct vlapic_vmm_memory *memory)
{
    u64 wanted = memory->bytes / PAGE_SIZE;

    vm->pages = kvcalloc(wanted, sizeof(*vm->pages), GFP_KERNEL_ACCOUNT);
    if (!vm->pages) {
        return -ENOMEM;
    }
    while (vm->page_count < wanted) {
        int got = pin_user_pages_fast(memory->user_address + vm->page_count * PAGE_SIZE, wanted - vm->page_count,
                                      FOLL_WRITE | FOLL_LONGTERM, vm->pages + vm->page_count);

        if (got <= 0) {
            unpin(vm);
            return got < 0 ? got : -EFAULT;
        }
        vm->page_count += got;
    }
    return 0;
}

static bool is_good(const struct vlapic_vmm_memory *memory)
{
    return PAGE_ALIGNED(memory->guest_physical | memory->bytes | memory->user_address) && memory->bytes != 0 &&
           memory->bytes <= VLAPIC_VMM_MAX_BYTES && memory->guest_physical <= VLAPIC_VMM_MAX_ADDRESS - memory->bytes;
}

static int set_memory(struct vmm_vm *vm, const void __user *argument)
{
    struct vlapic_vmm_memory memory;
    int error;

    if (copy_from_user(&memory, argument, sizeof(memory))) {
        return -EFAULT;
    }
    if (!is_good(&memory)) {
        return -EINVAL;
    }
    if (mutex_lock_killable(&vm->lock)) {
        return -EINTR;
    }
    error = vm->pages ? -EEXIST : pin(vm, &memory);
    if (!error) {
        vm->guest_physical = memory.guest_physical;
    }
    mutex_unlock(&vm->lock);
    return error;
}

bool vmm_vm_copy(struct vmm_vm *vm, u64 address, void *bytes, size_t count, bool write)
{
    u64 offset = address - vm->guest_physical;

    if (offset >= vm->page_count * PAGE_SIZE || count > vm->page_count * PAGE_SIZE - offset) {
        return false;
    }
    while (count > 0) {
        size_t now = min_t(size_t, count, PAGE_SIZE - offset_in_page(offset));
        u8 *page = kmap_local_page(vm->pages[offset / PAGE_SIZE]);

        if (write) {
            memcpy(page + offset_in_page(offset), bytes, now);
        } else {
            memcpy(bytes, page + offset_in_page(offset), now);
        }
        kunmap_local(page);
        bytes += now;
        offset += now;
        count -= now;
    }
    return true;
}

/* --- from outside ----------------------------------------------------------------------------------------------------------- */

static struct vmm_vcpu *find(struct vmm_vm *vm, u32 index)
{
    return index < VLAPIC_VMM_MAX_VCPUS ? smp_load_acquire(&vm->vcpus[index]) : NULL;
}

/* The flag comes before the kick: whoever is to see it and does not is kicked after. */
static void inject_into_core(struct vmm_vcpu *vcpu, bool *flag)
{
    WRITE_ONCE(*flag, true);
    vmm_kick(vcpu);
}

static int inject_into(struct vmm_vcpu *vcpu, const struct vlapic_vmm_inject *inject)
{
    if (!vcpu) {
        return -ENOENT;
    }
    switch (inject->what) {
    case VLAPIC_VMM_POST:
        vlapic_cpu_post(vcpu->apic, (u8)inject->value, inject->level != 0);
        return 0;
    case VLAPIC_VMM_LINT:
        vlapic_cpu_lint(vcpu->apic, inject->value, inject->level != 0);
        return 0;
    case VLAPIC_VMM_LVT_EVENT:
        vlapic_cpu_lvt_event(vcpu->apic, (enum vlapic_lvt)inject->value);
        return 0;
    case VLAPIC_VMM_NMI:
        inject_into_core(vcpu, &vcpu->nmi_injected);
        return 0;
    case VLAPIC_VMM_KICK:
        inject_into_core(vcpu, &vcpu->exit_wanted);
        return 0;
    default:
        return -EINVAL;
    }
}

static int inject(struct vmm_vm *vm, void __user *argument)
{
    struct vlapic_vmm_inject inject;
    int error = 0;

    if (copy_from_user(&inject, argument, sizeof(inject))) {
        return -EFAULT;
    }
    inject.accepted = 0;
    if (inject.what == VLAPIC_VMM_MSI) {
        vlapic_vm_msi(vm->apics, inject.address, inject.value, &inject.accepted);
    } else {
        error = inject_into(find(vm, inject.vcpu), &inject);
    }
    return !error && copy_to_user(argument, &inject, sizeof(inject)) ? -EFAULT : error;
}

/* --- the object -------------------------------------------------------------------------------------------------------------- */

static long vm_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    struct vmm_vm *vm = file->private_data;
    u32 i;

    switch (command) {
    case VLAPIC_VMM_SET_MEMORY:
        return set_memory(vm, (void __user *)argument);
    case VLAPIC_VMM_CREATE_VCPU:
        return argument < VLAPIC_VMM_MAX_VCPUS ? vmm_vcpu_create(vm, argument) : -EINVAL;
    case VLAPIC_VMM_INJECT:
        return inject(vm, (void __user *)argument);
    case VLAPIC_VMM_INHIBIT:
        vmm_hv->inhibit(vm, argument != 0);
        for (i = 0; i < VLAPIC_VMM_MAX_VCPUS; i++) {
            if (find(vm, i)) {
                vmm_kick(find(vm, i));
            }
        }
        return 0;
    default:
        return -ENOTTY;
    }
}

static int vm_release(struct inode *inode, struct file *file)
{
    vmm_vm_put(file->private_data);
    return 0;
}

static const struct file_operations vm_operations = {
    .owner = THIS_MODULE,
    .unlocked_ioctl = vm_ioctl,
    .release = vm_release,
};

int vmm_vm_create_apics(struct vmm_vm *vm, const struct vlapic_vm_config *config)
{
    struct vlapic_layout layout;

    if (vlapic_vm_layout(config, &layout) != VLAPIC_OK) {
        return -EINVAL;
    }
    vm->apics_memory = vmm_alloc(layout.bytes, layout.alignment);
    if (!vm->apics_memory) {
        return -ENOMEM;
    }
    return vlapic_vm_create(vm->apics_memory, layout.bytes, config, &vm->apics) == VLAPIC_OK ? 0 : -EINVAL;
}

/* Intel's behaviour where the vendors' differ, which is what guests expect that are made for either. */
static int create_apics(struct vmm_vm *vm)
{
    struct vlapic_vm_config config;

    if (vlapic_vm_config_defaults(&config, sizeof(config), VLAPIC_VENDOR_INTEL) != VLAPIC_OK) {
        return -EINVAL;
    }
    config.host = &vmm_host_ops;
    config.cookie = vm;
    config.max_apic_id = VLAPIC_VMM_MAX_VCPUS - 1;
    config.timer_floor_ns = (u64)timer_floor_us * NSEC_PER_USEC;
    config.tsc_deadline = true;
    return vmm_hv->create_apics(vm, &config);
}

static void release(struct kref *refs)
{
    struct vmm_vm *vm = container_of(refs, struct vmm_vm, refs);
    u32 i;

    for (i = 0; i < VLAPIC_VMM_MAX_VCPUS; i++) {
        if (vm->vcpus[i]) {
            vmm_vcpu_free(vm->vcpus[i]);
        }
    }
    kfree(vm->apics_memory);
    if (vm->pages) {
        unpin(vm);
    }
    kfree(vm);
}

void vmm_vm_put(struct vmm_vm *vm)
{
    kref_put(&vm->refs, release);
}

int vmm_vm_create(void)
{
    struct vmm_vm *vm = vmm_alloc(sizeof(*vm), 1);
    int result;

    if (!vm) {
        return -ENOMEM;
    }
    kref_init(&vm->refs);
    mutex_init(&vm->lock);
    result = create_apics(vm);
    if (!result) {
        result = anon_inode_getfd("vlapic-vm", &vm_operations, vm, O_RDWR | O_CLOEXEC);
    }
    if (result < 0) {
        vmm_vm_put(vm);
    }
    return result;
}
