/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the guest and back. AMD APM 2, "VMRUN Instruction", "Saving and Restoring the Host State". */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

#define GENERAL(number) ((number) * 8)(%rax)

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
    mov GENERAL(1), %rcx
    mov GENERAL(2), %rdx
    mov GENERAL(3), %rbx
    mov GENERAL(5), %rbp
    mov GENERAL(6), %rsi
    mov GENERAL(7), %rdi
    mov GENERAL(8), %r8
    mov GENERAL(9), %r9
    mov GENERAL(10), %r10
    mov GENERAL(11), %r11
    mov GENERAL(12), %r12
    mov GENERAL(13), %r13
    mov GENERAL(14), %r14
    mov GENERAL(15), %r15

    pop %rax
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
    cli
    pop %rax
    vmload %rax

    pop %rax
    mov %rcx, GENERAL(1)
    mov %rdx, GENERAL(2)
    mov %rbx, GENERAL(3)
    mov %rbp, GENERAL(5)
    mov %rsi, GENERAL(6)
    mov %rdi, GENERAL(7)
    mov %r8, GENERAL(8)
    mov %r9, GENERAL(9)
    mov %r10, GENERAL(10)
    mov %r11, GENERAL(11)
    mov %r12, GENERAL(12)
    mov %r13, GENERAL(13)
    mov %r14, GENERAL(14)
    mov %r15, GENERAL(15)

    /* Neither the guest's return addresses nor its values are to steer what the host does next. */
    FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    stgi

    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    RET
SYM_FUNC_END(vmm_svm_enter)
