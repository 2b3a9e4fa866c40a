/* SPDX-License-Identifier: BSD-2-Clause */
/* Where assembly finds the fields of host.h that it reads. */
#ifndef EXAMPLES_BAREMETAL_HOST_OFFSETS_H
#define EXAMPLES_BAREMETAL_HOST_OFFSETS_H

#define HOST_NMI 16 /* host_cpu.nmi */

#endif
