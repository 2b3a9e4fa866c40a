/* SPDX-License-Identifier: BSD-2-Clause */
.section .guest, "a"
.align 4096
.global guest_image, guest_image_end
guest_image:
    .incbin "guest.bin"
guest_image_end:
