/* SPDX-License-Identifier: BSD-2-Clause */
/* The two entries, and 256 interrupt entries. The registers at the entries: contract.h. */
#define STACK_BYTES 32768

.text
.global guest_entry, guest_ap_entry
guest_entry:
guest_ap_entry:
    mov %rdi, %rax
    inc %rax
    imul $STACK_BYTES, %rax
    lea stacks(%rax), %rsp
    lgdt gdt_register
    push $8
    push $1f
    lretq
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    /* RDI, RSI, RDX, RCX, R8 are C's first five arguments already. */
    xor %ebp, %ebp
    call guest_main
2:  cli
    hlt
    jmp 2b

/* Its index, for whoever asks: which stack it is on. */
.global guest_index
guest_index:
    mov %rsp, %rax
    sub $stacks, %rax
    shr $15, %rax
    ret

.align 16
.global guest_vectors
guest_vectors:
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
    lea 72(%rsp), %rdi          /* struct guest_frame */
    cld
    call guest_interrupt
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

.data
.align 8
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
gdt_end:
gdt_register:
    .word gdt_end - gdt - 1
    .quad gdt

.bss
.align 4096
stacks:
    .skip 4 * STACK_BYTES
