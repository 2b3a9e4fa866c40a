/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the guest and back. Intel SDM 3C, "VM Entries", "Loading Host State". */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/unwind_hints.h>

#include "guest_registers.inc"

#define HOST_RSP 0x6C14
#define HOST_RIP 0x6C16

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
    LOAD_GUEST
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
    SAVE_GUEST
    pop %rcx
    mov %rcx, GENERAL(0)
    FORGET_GUEST
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
