/* SPDX-License-Identifier: BSD-2-Clause */
/* VMRUN. Reference 16.2, 2.4, 2.5 and 4.5. */
#include "svmhw_internal.h"

#include <stdlib.h>

static void load_virtual_interrupts(struct svmhw_core *core)
{
    uint64_t control = svmhw_field(core, SVMHW_C_VINTR);

    core->v_tpr = control & SVMHW_V_TPR;
    core->v_irq = control & SVMHW_V_IRQ;
    core->v_gif = control & SVMHW_V_GIF;
    core->v_nmi = control & SVMHW_V_NMI;
    core->v_nmi_mask = control & SVMHW_V_NMI_MASK;
}

static void load_guest(struct svmhw_core *core)
{
    load_virtual_interrupts(core);
    core->rip = svmhw_get(core->vmcb + SVMHW_RIP, 8);
    core->interrupts_enabled = svmhw_get(core->vmcb + SVMHW_RFLAGS, 8) >> 9 & 1;
    core->shadow = core->vmcb[SVMHW_SHADOW] & 1;
    core->gif = true;
    core->halted = false;
    core->host_if_at_vmrun = core->host_if;
    core->recognised = SVMHW_NO_VECTOR;
    core->evaluate = true;
    core->page = NULL;
    if (svmhw_has_avic(core)) {
        core->page = svmhw_memory(core->machine, svmhw_field(core, SVMHW_C_BACKING_PAGE) & SVMHW_ENTRY_PAGE,
                                  SVMHW_PAGE_BYTES);
    }
}

/* 7 keeps global translations, and a guest may map its APIC globally: only 1 and 3 are sure to drop it. */
static void flush(struct svmhw_core *core)
{
    if (core->vmcb[SVMHW_TLB_CONTROL] == 1 || core->vmcb[SVMHW_TLB_CONTROL] == 3) {
        core->translation.valid = false;
    }
}

/* A doorbell that comes from here on is recognised right after entry; one that came just before is made up for by the evaluation. */
static void enter_guest_mode(struct svmhw_core *core)
{
    if (!svmhw_plays(core, 20, SVMHW_A20_LATCHED)) {
        __atomic_store_n(&core->bell, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&core->in_guest, 1, __ATOMIC_SEQ_CST);
    svmhw_tell(core, SVMHW_TRACE_VMRUN, core->vmcb_pa, 0);
}

static struct svmhw_result inject(struct svmhw_core *core)
{
    uint64_t event = svmhw_get(core->vmcb + SVMHW_EVENTINJ, 8);
    bool masks = (event >> 8 & 7) == SVMHW_TYPE_NMI && svmhw_v_intr(core, SVMHW_V_NMI_ENABLE);

    if (!(event & SVMHW_EVENT_VALID)) {
        return (struct svmhw_result){ .happened = SVMHW_DONE };
    }
    core->v_nmi_mask |= masks && !core->delivery_exit.armed;
    return svmhw_delivers(core, event);
}

struct svmhw_result svmhw_vmrun(struct svmhw_core *core, uint64_t vmcb_pa)
{
    core->vmcb_pa = vmcb_pa;
    core->vmcb = svmhw_memory(core->machine, vmcb_pa, SVMHW_PAGE_BYTES);
    if (core->in_guest || !core->vmcb || vmcb_pa % SVMHW_PAGE_BYTES != 0) {
        abort(); /* the test's mistake: #GP in the host */
    }
    svmhw_load_fields(core);
    if (!svmhw_vmcb_is_legal(core)) {
        return svmhw_refuses(core);
    }
    load_guest(core);
    flush(core);
    enter_guest_mode(core);
    if (svmhw_has_avic(core)) {
        svmhw_reconcile_at_vmrun(core);
    }
    return inject(core);
}
