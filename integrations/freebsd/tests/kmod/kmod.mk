# SPDX-License-Identifier: BSD-2-Clause
# What <bsd.kmod.mk> would do with SRCS and CFLAGS, where there is no FreeBSD: compiles each source as an amd64 kernel does, against the stub headers
# and nothing else, and links the objects into one. All of them lie in one folder.
.SUFFIXES: .c .o

STUB:=	${.PARSEDIR}/../stub
CC=	clang
CSTD?=	gnu17
CFLAGS+=	--target=x86_64-unknown-freebsd -std=${CSTD} -nostdinc -I${STUB} -O2 -pipe -D_KERNEL -ffreestanding -fwrapv
CFLAGS+=	-mcmodel=kernel -mno-red-zone -mno-mmx -mno-sse -mno-avx -mno-aes -msoft-float -fno-asynchronous-unwind-tables
CFLAGS+=	-fno-omit-frame-pointer -fstack-protector -fno-common -fno-pic
CFLAGS+=	-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wcast-qual -Wshadow -Wvla -Werror

OBJS=	${SRCS:.c=.o}

all: ${KMOD}.o

${KMOD}.o: ${OBJS}
	ld.lld -r -o ${.TARGET} ${OBJS}

.c.o:
	${CC} ${CFLAGS} -c ${.IMPSRC} -o ${.TARGET}
