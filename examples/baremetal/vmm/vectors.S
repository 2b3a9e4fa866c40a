/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's 256 interrupt entries, 16 bytes each, and their way to host_interrupt(). */
.text
.align 16
.global host_vectors
host_vectors:
vector = 0
.rept 256
    .align 16
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17
    push $0
    .endif
    push $vector
    jmp common
    vector = vector + 1
.endr

/* Any vector, on its way to nowhere: host_drain(). */
.global host_drain_vector
host_drain_vector:
    push $0
    push $0x100
common:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov 72(%rsp), %rdi          /* vector */
    mov 80(%rsp), %rsi          /* error code */
    lea 88(%rsp), %rdx          /* RIP */
    cld
    call host_interrupt
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq
