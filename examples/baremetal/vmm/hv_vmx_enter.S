/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the guest and back. RDI: struct vcpu_regs; RSP, RIP and RFLAGS of the guest are in the VMCS. */
#include "host_range.inc"

#define HOST_RSP 0x6C14
#define HOST_RIP 0x6C16

.text
.global hv_vmx_enter
hv_vmx_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi
    mov $HOST_RSP, %eax
    vmwrite %rsp, %rax
    lea guest_exit(%rip), %rcx
    mov $HOST_RIP, %eax
    vmwrite %rcx, %rax
commit:
    cmpl $0, %gs:HOST_NMI
    jne aborted
    test %sil, %sil             /* the loads below keep the flags */
    mov 0x00(%rdi), %rax
    mov 0x08(%rdi), %rcx
    mov 0x10(%rdi), %rdx
    mov 0x18(%rdi), %rbx
    mov 0x28(%rdi), %rbp
    mov 0x30(%rdi), %rsi
    mov 0x40(%rdi), %r8
    mov 0x48(%rdi), %r9
    mov 0x50(%rdi), %r10
    mov 0x58(%rdi), %r11
    mov 0x60(%rdi), %r12
    mov 0x68(%rdi), %r13
    mov 0x70(%rdi), %r14
    mov 0x78(%rdi), %r15
    mov 0x38(%rdi), %rdi
    jnz 1f
    vmlaunch
    jmp failed
1:  vmresume

failed:
    mov $1, %eax
    jmp out

aborted:                        /* in thin mode alone: who takes NMIs clears HOST_NMI */
    mov $2, %eax
    jmp out
RANGE commit, failed, aborted

guest_exit:
    push %rdi
    mov 8(%rsp), %rdi
    mov %rax, 0x00(%rdi)
    mov %rcx, 0x08(%rdi)
    mov %rdx, 0x10(%rdi)
    mov %rbx, 0x18(%rdi)
    mov %rbp, 0x28(%rdi)
    mov %rsi, 0x30(%rdi)
    mov %r8, 0x40(%rdi)
    mov %r9, 0x48(%rdi)
    mov %r10, 0x50(%rdi)
    mov %r11, 0x58(%rdi)
    mov %r12, 0x60(%rdi)
    mov %r13, 0x68(%rdi)
    mov %r14, 0x70(%rdi)
    mov %r15, 0x78(%rdi)
    pop %rax
    mov %rax, 0x38(%rdi)
    xor %eax, %eax
out:
    pop %rdi
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
