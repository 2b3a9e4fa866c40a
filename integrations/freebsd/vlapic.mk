# SPDX-License-Identifier: BSD-2-Clause
# Adds the library with its backend soft, and the glue for bhyve's vmm, to a kernel module. In its Makefile, before <bsd.kmod.mk>:
#
#     .include "/path/to/libvlapic/integrations/freebsd/vlapic.mk"
#
# VLAPIC_COMPONENTS chooses among the components of src/sources.txt; the glue needs the default ones.
VLAPIC_FREEBSD:=	${.PARSEDIR}
VLAPIC_ROOT?=	${VLAPIC_FREEBSD}/../..
VLAPIC_COMPONENTS?=	core soft thin

VLAPIC_LIST!=	sed -n '/^[a-z]/p' ${VLAPIC_ROOT}/src/sources.txt
.for component source in ${VLAPIC_LIST}
.if ${VLAPIC_COMPONENTS:M${component}}
.PATH: ${VLAPIC_ROOT}/src/${source:H}
SRCS+=	${source:T}
.endif
.endfor

.PATH: ${VLAPIC_FREEBSD}
SRCS+=	vlapic_bhyve.c vlapic_bhyve_access.c vlapic_bhyve_events.c vlapic_bhyve_ipi.c vlapic_bhyve_timer.c

CFLAGS+=	-I${VLAPIC_ROOT}/include -I${VLAPIC_FREEBSD} -I${VLAPIC_FREEBSD}/kernel
CFLAGS+=	-DVLAPIC_PLATFORM_HEADER='<vlapic_freebsd.h>'
