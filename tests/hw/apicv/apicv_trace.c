/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace as text, for comparison with logs of other processors. */
#include "apicv.h"

#include <inttypes.h>
#include <stdio.h>

static const char *format_of(enum apicv_trace_kind kind)
{
    switch (kind) {
    case APICV_TRACE_ENTERED:
        return "entered";
    case APICV_TRACE_VMFAIL:
        return "vmfail check %" PRIu64;
    case APICV_TRACE_INJECTED:
        return "injected %02" PRIx64 " type %" PRIu64;
    case APICV_TRACE_VIRTUAL:
        return "virtual %02" PRIx64;
    case APICV_TRACE_PHYSICAL:
        return "physical %02" PRIx64 " type %" PRIu64;
    case APICV_TRACE_EOI:
        return "eoi %02" PRIx64;
    case APICV_TRACE_SELF_IPI:
        return "self-ipi %02" PRIx64;
    case APICV_TRACE_IPI:
        return "ipi %02" PRIx64 " to %" PRIx64;
    case APICV_TRACE_POSTED:
        return "posted rvi %02" PRIx64;
    case APICV_TRACE_GP:
        return "gp";
    case APICV_TRACE_HOST_ACCESS:
        return "host-access %" PRIx64 " write %" PRIu64;
    case APICV_TRACE_EXIT:
        break;
    }
    return "exit %" PRIu64 " qualification %" PRIx64;
}

const char *apicv_trace_text(const struct apicv_trace *trace, char *text)
{
    const char *format = format_of(trace->kind);

    if (trace->kind == APICV_TRACE_EXIT && trace->a & APICV_EXIT_REASON_ENTRY_FAILED) {
        (void)snprintf(text, APICV_TRACE_TEXT, "entry-failure %" PRIu64, trace->a & 0xFFFF);
        return text;
    }
    /* The format has as many directives as the kind has numbers; the others are evaluated and ignored. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, APICV_TRACE_TEXT, format, trace->a, trace->b);
#pragma GCC diagnostic pop
    return text;
}
