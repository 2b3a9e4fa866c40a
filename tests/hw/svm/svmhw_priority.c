/* SPDX-License-Identifier: BSD-2-Clause */
/* TPR, PPR and what they let through, with AVIC. Reference 6.1, 6.2 and 16.3. */
#include "svmhw_internal.h"

static unsigned class_of(unsigned priority)
{
    return priority >> 4 & 0xF;
}

/* The priority class in service; 0 if nothing is. */
static unsigned in_service(const struct svmhw_core *core)
{
    unsigned top = svmhw_vector_top(core->page, SVMHW_REG_ISR);

    return top == SVMHW_NO_VECTOR ? 0 : top;
}

/* A1. */
static unsigned effective_tpr(const struct svmhw_core *core)
{
    unsigned in_page = svmhw_page_read(core->page, SVMHW_REG_TPR) & 0xFF;
    unsigned in_vmcb = (unsigned)core->v_tpr << 4;

    switch (core->machine->readings.play[1]) {
    case SVMHW_A1_PAGE:
        return in_page;
    case SVMHW_A1_LARGER:
        return in_page > in_vmcb ? in_page : in_vmcb;
    default:
        return class_of(in_page) == core->v_tpr ? in_page : in_vmcb;
    }
}

void svmhw_ppr_update(struct svmhw_core *core)
{
    unsigned tpr = effective_tpr(core), isrv = in_service(core);

    svmhw_page_write(core->page, SVMHW_REG_PPR, class_of(tpr) >= class_of(isrv) ? tpr : isrv & 0xF0);
}

/* A1 and A15. What is copied is the class, the four bits that V_TPR has. */
void svmhw_reconcile_at_vmrun(struct svmhw_core *core)
{
    uint32_t in_page = svmhw_page_read(core->page, SVMHW_REG_TPR);

    if (svmhw_plays(core, 1, SVMHW_A1_VMRUN_TO_V_TPR)) {
        core->v_tpr = (uint8_t)class_of(in_page);
    } else if (svmhw_plays(core, 1, SVMHW_A1_VMRUN_TO_PAGE)) {
        svmhw_page_write(core->page, SVMHW_REG_TPR, (in_page & ~UINT32_C(0xF0)) | (uint32_t)core->v_tpr << 4);
    }
    if (svmhw_plays(core, 15, SVMHW_A15_RECOMPUTED)) {
        svmhw_ppr_update(core);
    }
}

static unsigned threshold(const struct svmhw_core *core)
{
    unsigned tpr, isrv;

    if (svmhw_plays(core, 15, SVMHW_A15_AS_STORED)) {
        return class_of(svmhw_page_read(core->page, SVMHW_REG_PPR));
    }
    tpr = class_of(effective_tpr(core));
    isrv = class_of(in_service(core));
    return tpr > isrv ? tpr : isrv;
}

unsigned svmhw_deliverable(const struct svmhw_core *core)
{
    unsigned irrv = svmhw_vector_top(core->page, SVMHW_REG_IRR);

    if (irrv == SVMHW_NO_VECTOR || class_of(irrv) <= threshold(core)) {
        return SVMHW_NO_VECTOR;
    }
    return irrv;
}
