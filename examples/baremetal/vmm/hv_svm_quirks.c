/* SPDX-License-Identifier: BSD-2-Clause */
/* What QEMU's emulation of SVM does otherwise than processors do. Nothing here is for real machines, and none of it is the library's affair. */
#include "hv_svm.h"

/*
 * 1. QEMU (7.2 to 10.2) aborts at a MOV to CR8 that it carries out itself while V_IRQ is set and can be taken: so such a MOV exits.
 * 2. QEMU 7.2 forgets the interrupt shadow at VMRUN. An interrupt that is taken between an STI and the HLT behind it wakes nobody from that HLT, so the
 *    shadowed instruction is executed alone, with no window open; and an exit before it leaves the shadow as it was.
 * 3. QEMU (7.2, 10.0) raises no #GP when the value of a MOV to CR8 that it carries out itself has reserved bits: in the payload that tries that, all exit.
 * 4. QEMU 10.0 takes the intercept of CR0's reads for that of all control registers, and tells the code of CR0: no guest here reads that.
 */
static bool tries_reserved_bits(void)
{
    return strings_are_equal(vm.payload->name, "cr8") || strings_are_equal(vm.payload->name, "cr8_x2");
}

void hv_svm_work_round(struct vcpu *cpu)
{
    bool window = (vmcb_get(cpu, VMCB_INTERRUPT_CONTROL) & CONTROL_V_IRQ) != 0;

    if (!hv_svm_can.tcg || hv_svm_driver->backend == NULL) { /* in thin mode CR8 is the guest's, whatever comes of it */
        return;
    }
    if (window || tries_reserved_bits()) {
        vmcb_set32(cpu, VMCB_CR_INTERCEPTS, vmcb_get32(cpu, VMCB_CR_INTERCEPTS) | CR8_WRITE, CLEAN_INTERCEPTS);
    }
    if ((vmcb_get32(cpu, VMCB_CR_INTERCEPTS) & CR8_READ) != 0) {
        vmcb_set32(cpu, VMCB_CR_INTERCEPTS, vmcb_get32(cpu, VMCB_CR_INTERCEPTS) | CR0_READ, CLEAN_INTERCEPTS);
    }
    if (window && (vmcb_get(cpu, VMCB_SHADOW) & 1) != 0) {
        vmcb_set(cpu, VMCB_INTERRUPT_CONTROL, vmcb_get(cpu, VMCB_INTERRUPT_CONTROL) & ~CONTROL_V_IRQ, CLEAN_CONTROL);
        hv_svm_of(cpu)->step = true;
    }
}

void hv_svm_keep_shadow(struct vcpu *cpu, uint64_t rip, uint32_t shadow)
{
    if (hv_svm_can.tcg && cpu->regs.rip == rip) {
        cpu->shadow |= shadow & (SHADOW_STI | SHADOW_MOV_SS);
    }
}

uint32_t hv_svm_right_code(uint32_t code)
{
    return hv_svm_can.tcg && code == CODE_READ_CR0 ? CODE_READ_CR8 : code;
}
