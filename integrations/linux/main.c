/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading and unloading; /dev/vlapic-vmm. */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "vmm.h"

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    return command == VLAPIC_VMM_CREATE_VM ? vmm_vm_create() : -ENOTTY;
}

/* With an owner, as the other two kinds of descriptors: the module stays while one of them is open. */
static const struct file_operations device_operations = {
    .owner = THIS_MODULE,
    .unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "vlapic-vmm",
    .fops = &device_operations,
    .mode = 0600,
};

static int __init vmm_init(void)
{
    int error = vmm_selftest();

    if (error) {
        pr_err("vlapic_vmm: self-test failed\n");
        return error;
    }
    pr_info("vlapic_vmm: self-test passed\n");
    error = vmm_cpus_start();
    if (error) {
        return error;
    }
    error = misc_register(&device);
    if (error) {
        vmm_cpus_stop();
    }
    return error;
}

static void __exit vmm_exit_module(void)
{
    misc_deregister(&device);
    vmm_cpus_stop();
}

module_init(vmm_init);
module_exit(vmm_exit_module);
MODULE_DESCRIPTION("libvlapic: a small VMM on SVM or VMX");
MODULE_LICENSE("Dual BSD/GPL");
