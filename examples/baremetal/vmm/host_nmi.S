/* SPDX-License-Identifier: BSD-2-Clause */
/* Sleep from which an NMI wakes, even one that comes between the look and the HLT: host.h. */
#include "host_range.inc"

.text
.global host_sleep_until_nmi
host_sleep_until_nmi:
    cmpl $0, %gs:HOST_NMI
    jne awake
    hlt
awake:
    ret
RANGE host_sleep_until_nmi, awake, awake
