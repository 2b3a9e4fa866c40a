/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the multiboot loader, or from a SIPI, to C in long mode. All CPUs share one set of page tables: linear = physical, 4 GiB,
 * the last of it uncached.
 */
#define MULTIBOOT_MAGIC 0x1BADB002
#define TRAMPOLINE 0x8000
#define STACK_BYTES 16384

.section .multiboot, "a"
.align 4
    .long MULTIBOOT_MAGIC, 3, -(MULTIBOOT_MAGIC + 3)

.text
.code32
.global boot32
boot32:
    cli
    mov $boot_stack_end, %esp
    mov %eax, %esi              /* loader's magic, for vmm_main */
    mov %ebx, %edi
    push %esi
    push %edi

    /* PML4 -> PDPT -> four page directories of 2-MiB pages. */
    movl $pdpt + 3, pml4
    mov $pdpt, %edi
    mov $directories + 3, %eax
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 1b
    mov $directories, %edi
    mov $0x83, %eax
    mov $2048, %ecx
2:  mov %eax, (%edi)
    cmp $0xC0000083, %eax
    jb 3f
    orl $0x18, (%edi)           /* PCD, PWT */
3:  add $0x200000, %eax
    add $8, %edi
    loop 2b

    pop %edi
    pop %esi
    call long_mode
    ljmp $8, $boot64

/* Paging and long mode on; returns to 32-bit code in compatibility mode. */
long_mode:
    mov %cr4, %eax
    or $0x20, %eax              /* PAE */
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx       /* EFER.LME */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    and $0x9FFFFFFF, %eax       /* caches on */
    or $0x80010021, %eax        /* PG, WP, NE, PE */
    mov %eax, %cr0
    lgdt boot_gdt_register
    ret

.code64
boot64:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %edi, %edi
    mov %esi, %esi
    xchg %rdi, %rsi             /* magic, information */
    mov $boot_stack_end, %rsp
    call vmm_main
    ud2

ap64:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov ap_stack, %rsp
    call host_ap_main
    ud2

/* Copied to TRAMPOLINE: real mode, CS = TRAMPOLINE >> 4. */
.code16
.global ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl trampoline_gdt_register - ap_trampoline
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $24, $ap32
.align 4
trampoline_gdt_register:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
ap_trampoline_end:

.code32
ap32:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov ap_stack, %esp
    call long_mode
    ljmp $8, $ap64

.data
.align 8
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF    /* 64-bit code */
    .quad 0x00CF93000000FFFF    /* data */
    .quad 0x00CF9B000000FFFF    /* 32-bit code */
boot_gdt_end:
boot_gdt_register:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
.align 8
.global ap_stack
ap_stack:
    .quad 0

.bss
.align 4096
.global pml4
pml4:
    .skip 4096
pdpt:
    .skip 4096
directories:
    .skip 4 * 4096
    .skip STACK_BYTES
boot_stack_end:
