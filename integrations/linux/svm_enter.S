/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the guest and back. AMD APM 2, "VMRUN Instruction", "Saving and Restoring the Host State". */
#include <linux/linkage.h>
#include <asm/asm.h>

#include "guest_registers.inc"

/* void vmm_svm_enter(u64 vmcb_pa, u64 *general, u64 host_vmcb_pa)
 *
 * VMRUN switches less than the guest can change. FS, GS, TR, LDTR and the MSRs of system calls are moved by VMSAVE and VMLOAD; between the guest's
 * VMLOAD and the host's nothing may be used that hangs on GS. While GIF is 0 nothing interrupts, not even an NMI; IF is 1 at VMRUN because it is the
 * host's IF that lets interrupts end the guest. */
SYM_FUNC_START(vmm_svm_enter)
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rsi
    push %rdx
    push %rdi

    clgi
    mov %rdx, %rax
    vmsave %rax

    mov %rsi, %rax
    LOAD_GUEST

    pop %rax
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
    cli
    pop %rax
    vmload %rax

    pop %rax
    SAVE_GUEST
    FORGET_GUEST
    stgi

    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    RET
SYM_FUNC_END(vmm_svm_enter)
