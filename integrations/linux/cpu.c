/* SPDX-License-Identifier: BSD-2-Clause */
/* The physical CPUs: virtualization is on while the module is loaded, also on those that come later. */
#include <linux/cpuhotplug.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/smp.h>

#include "hv.h"

DEFINE_PER_CPU(struct vmm_cpu, vmm_cpus);
const struct vmm_hv *vmm_hv;
static int hotplug_state;

/* In the thread of a CPU that comes or goes, on that CPU. */
static int turn_on(unsigned int cpu)
{
    struct vmm_cpu *host = this_cpu_ptr(&vmm_cpus);
    int error = vmm_hv->cpu_on(cpu);

    if (!error) {
        host->last_vcpu = 0;
        WRITE_ONCE(host->on, true);
    }
    return error;
}

/* Its vCPUs, if any, see `on` when they next want to enter: an entry and this cannot run here at the same time. */
static int turn_off(unsigned int cpu)
{
    struct vmm_cpu *host = this_cpu_ptr(&vmm_cpus);

    if (READ_ONCE(host->on)) {
        WRITE_ONCE(host->on, false);
        vmm_hv->cpu_off();
    }
    return 0;
}

static void turn_off_here(void *unused)
{
    turn_off(smp_processor_id());
}

/* A CPU with VMX on does not take the INIT by which firmware starts it anew. */
static int on_reboot(struct notifier_block *notifier, unsigned long what, void *unused)
{
    on_each_cpu(turn_off_here, NULL, 1);
    return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = { .notifier_call = on_reboot };

int vmm_cpus_start(void)
{
    int error;

    vmm_hv = vmm_vmx.is_there() ? &vmm_vmx : &vmm_svm;
    error = vmm_hv->start();
    if (error) {
        return error;
    }
    hotplug_state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "vlapic_vmm:online", turn_on, turn_off);
    if (hotplug_state < 0) {
        vmm_hv->stop();
        return hotplug_state;
    }
    register_reboot_notifier(&reboot_notifier);
    pr_info("vlapic_vmm: backend %s\n", vmm_hv->name);
    return 0;
}

void vmm_cpus_stop(void)
{
    unregister_reboot_notifier(&reboot_notifier);
    cpuhp_remove_state(hotplug_state);
    vmm_hv->stop();
}
