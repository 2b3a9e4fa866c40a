/* SPDX-License-Identifier: BSD-2-Clause */
/* #VMEXIT: what hardware writes into the VMCB. Reference 16.2, 2.2, 2.5, 2.6 and 7. */
#include "svmhw_internal.h"

#include <string.h>

/* Bits of 060h that a run may have changed. */
static uint64_t written_back(const struct svmhw_core *core)
{
    uint64_t bits = SVMHW_V_TPR | SVMHW_V_IRQ;

    if (svmhw_v_intr(core, SVMHW_V_GIF_ENABLE)) {
        bits |= SVMHW_V_GIF;
    }
    if (svmhw_v_intr(core, SVMHW_V_NMI_ENABLE)) {
        bits |= SVMHW_V_NMI | SVMHW_V_NMI_MASK;
    }
    return bits;
}

static void save_virtual_interrupts(struct svmhw_core *core)
{
    uint64_t bits = written_back(core), state = core->v_tpr;
    uint8_t *at = core->vmcb + SVMHW_VINTR_CONTROL;

    state |= core->v_irq ? SVMHW_V_IRQ : 0;
    state |= core->v_gif ? SVMHW_V_GIF : 0;
    state |= core->v_nmi ? SVMHW_V_NMI : 0;
    state |= core->v_nmi_mask ? SVMHW_V_NMI_MASK : 0;
    svmhw_put(at, 8, (svmhw_get(at, 8) & ~bits) | (state & bits));
    core->cached->value[SVMHW_C_VINTR] = (svmhw_field(core, SVMHW_C_VINTR) & ~bits) | (state & bits);
}

static void save_guest(struct svmhw_core *core)
{
    uint8_t *vmcb = core->vmcb;
    uint64_t rflags = svmhw_get(vmcb + SVMHW_RFLAGS, 8), sev_es = svmhw_field(core, SVMHW_C_NP) & 4;
    uint64_t shadow = svmhw_get(vmcb + SVMHW_SHADOW, 8) & ~UINT64_C(3);

    shadow |= core->shadow ? 1 : 0;
    shadow |= sev_es && core->interrupts_enabled ? 2 : 0;
    svmhw_put(vmcb + SVMHW_SHADOW, 8, shadow);
    svmhw_put(vmcb + SVMHW_RFLAGS, 8, (rflags & ~UINT64_C(0x200)) | (core->interrupts_enabled ? 0x200 : 0));
    svmhw_put(vmcb + SVMHW_RIP, 8, core->rip);
}

static uint64_t with_noise(const struct svmhw_core *core, uint64_t value, uint64_t defined)
{
    return (value & defined) | (core->machine->options.poison ? UINT64_C(0xA5C3969A5AF0E1D2) & ~defined : 0);
}

static void save_reason(struct svmhw_core *core, const struct svmhw_exit *exit)
{
    uint8_t *vmcb = core->vmcb;
    bool shows = exit->shows_instruction && core->machine->capabilities.decode_assists;

    svmhw_put(vmcb + SVMHW_EXITCODE, 8, exit->code);
    svmhw_put(vmcb + SVMHW_EXITINFO1, 8, with_noise(core, exit->info1, exit->info1_defined));
    svmhw_put(vmcb + SVMHW_EXITINFO2, 8, with_noise(core, exit->info2, exit->info2_defined));
    svmhw_put(vmcb + SVMHW_EXITINTINFO, 8, exit->exitintinfo);
    vmcb[SVMHW_FETCHED] = shows ? core->instruction_length : 0;
    if (shows) {
        memcpy(vmcb + SVMHW_FETCHED + 1, core->instruction_bytes, sizeof core->instruction_bytes);
    }
    if (core->machine->capabilities.nrip_save && exit->nrip != SVMHW_NRIP_STALE) {
        svmhw_put(vmcb + SVMHW_NRIP, 8, exit->nrip == SVMHW_NRIP_VALID ? exit->next_rip : 0);
    }
}

static struct svmhw_result to_host(struct svmhw_core *core, uint64_t code, uint64_t info1)
{
    core->gif = false;
    core->halted = false;
    core->recognised = SVMHW_NO_VECTOR;
    core->evaluate = false;
    __atomic_store_n(&core->in_guest, 0, __ATOMIC_SEQ_CST);
    svmhw_tell(core, SVMHW_TRACE_EXIT, code, info1);
    return (struct svmhw_result){ .happened = SVMHW_EXIT, .code = code };
}

struct svmhw_result svmhw_exits(struct svmhw_core *core, const struct svmhw_exit *exit)
{
    uint64_t injection = svmhw_get(core->vmcb + SVMHW_EVENTINJ, 8);

    save_virtual_interrupts(core);
    save_guest(core);
    save_reason(core, exit);
    svmhw_put(core->vmcb + SVMHW_EVENTINJ, 8, injection & ~SVMHW_EVENT_VALID);
    return to_host(core, exit->code, exit->info1);
}

/* VMEXIT_INVALID: the guest's state was never loaded, so none is saved. */
struct svmhw_result svmhw_refuses(struct svmhw_core *core)
{
    save_reason(core, &(struct svmhw_exit){ .code = SVMHW_EXIT_INVALID });
    return to_host(core, SVMHW_EXIT_INVALID, 0);
}

struct svmhw_result svmhw_plain_exit(struct svmhw_core *core, uint64_t code)
{
    return svmhw_exits(core, &(struct svmhw_exit){ .code = code });
}

struct svmhw_result svmhw_instruction_exit(struct svmhw_core *core, uint64_t code, uint64_t info1,
                                           uint64_t info1_defined)
{
    return svmhw_exits(core, &(struct svmhw_exit){ .code = code,
                                                   .info1 = info1,
                                                   .info1_defined = info1_defined,
                                                   .nrip = SVMHW_NRIP_VALID,
                                                   .next_rip = core->rip + core->instruction_length });
}

static enum svmhw_nrip nrip_of_avic(const struct svmhw_core *core)
{
    static const enum svmhw_nrip played[] = {
        [SVMHW_A5_ZERO] = SVMHW_NRIP_ZERO, [SVMHW_A5_VALID] = SVMHW_NRIP_VALID, [SVMHW_A5_STALE] = SVMHW_NRIP_STALE
    };

    return played[core->machine->readings.play[5]];
}

#define NOACCEL_INFO1 (UINT64_C(1) << 32 | 0xFF0)

struct svmhw_result svmhw_noaccel_fault(struct svmhw_core *core, uint32_t offset, bool write)
{
    return svmhw_exits(core, &(struct svmhw_exit){ .code = SVMHW_EXIT_NOACCEL,
                                                   .info1 = (uint64_t)write << 32 | (offset & 0xFF0),
                                                   .info1_defined = NOACCEL_INFO1,
                                                   .nrip = nrip_of_avic(core),
                                                   .next_rip = core->rip + core->instruction_length });
}

/* Built before the instruction retires. */
struct svmhw_exit svmhw_noaccel_trap(const struct svmhw_core *core, uint32_t offset)
{
    return (struct svmhw_exit){ .code = SVMHW_EXIT_NOACCEL,
                                .info1 = UINT64_C(1) << 32 | (offset & 0xFF0),
                                .info1_defined = NOACCEL_INFO1,
                                .nrip = nrip_of_avic(core),
                                .next_rip = core->rip + core->instruction_length };
}

struct svmhw_exit svmhw_noaccel_eoi(const struct svmhw_core *core, uint8_t vector)
{
    struct svmhw_exit exit = svmhw_noaccel_trap(core, SVMHW_REG_EOI);

    exit.info2 = vector;
    exit.info2_defined = 0xFF;
    return exit;
}

struct svmhw_exit svmhw_incomplete_ipi(const struct svmhw_core *core, uint64_t icr, unsigned id, uint32_t index)
{
    bool has_index = id >= 1 && id <= 3;

    return (struct svmhw_exit){ .code = SVMHW_EXIT_INCOMPLETE_IPI,
                                .info1 = icr,
                                .info1_defined = UINT64_MAX,
                                .info2 = (uint64_t)id << 32 | (index & 0xFFF),
                                .info2_defined = UINT64_C(0xFFFFFFFF) << 32 | (has_index ? 0xFFF : 0),
                                .nrip = nrip_of_avic(core),
                                .next_rip = core->rip + core->instruction_length };
}
