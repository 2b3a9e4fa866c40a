/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the guest and back. Intel SDM 3C, "VM Entries", "Loading Host State". */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#define HOST_RSP 0x6C14
#define HOST_RIP 0x6C16
#define GENERAL(number) ((number) * 8)(%rax)

/* u32 vmm_vmx_enter(u64 *general)
 *
 * The guest's RSP, RIP and RFLAGS are in the VMCS. An exit comes to the label with the stack that was there at the VMLAUNCH. */
SYM_FUNC_START(vmm_vmx_enter)
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi

    mov $HOST_RSP, %eax
    vmwrite %rsp, %rax
    lea vmm_vmx_guest_exit(%rip), %rcx
    mov $HOST_RIP, %eax
    vmwrite %rcx, %rax

    mov %rdi, %rax
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
    mov GENERAL(0), %rax
    UNWIND_HINT_SAVE
    vmlaunch
    mov $1, %eax
    jmp .Lout

SYM_INNER_LABEL(vmm_vmx_guest_exit, SYM_L_LOCAL)
    ANNOTATE_NOENDBR
    UNWIND_HINT_RESTORE
    push %rax
    mov 8(%rsp), %rax
    mov %rcx, GENERAL(1)
    pop %rcx
    mov %rcx, GENERAL(0)
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
    xor %eax, %eax
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
.Lout:
    pop %rdi
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    RET
SYM_FUNC_END(vmm_vmx_enter)
