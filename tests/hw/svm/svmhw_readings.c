/* SPDX-License-Identifier: BSD-2-Clause */
/* The register of ambiguities as a table, and the runs that it asks for. Reference 17. */
#include "svmhw_readings.h"

#define MUST true
#define MAY false

const struct svmhw_ambiguity svmhw_ambiguities[SVMHW_AMBIGUITIES + 1] = {
    [1] = { "which TPR masks delivery, and what VMRUN copies",
            5,
            { { "V_TPR masks, VMRUN copies nothing", MUST },
              { "the backing page masks", MUST },
              { "the larger of the two masks", MUST },
              { "VMRUN copies the page to V_TPR", MAY },
              { "VMRUN copies V_TPR to the page", MAY } } },
    [2] = { "does IRR of the backing page count for a guest that halts",
            2,
            { { "it ends HLT and keeps idle HLT from exiting", MUST }, { "it does neither", MUST } } },
    [3] = { "IRR and ISR when an exit interrupts delivery",
            2,
            { { "ISR set, EXITINTINFO valid", MUST }, { "IRR still set, EXITINTINFO invalid", MAY } } },
    [4] = { "which clean bits cover 060h bits 31:30",
            4,
            { { "both must be clear for a change to be seen", MUST },
              { "bit 3", MAY },
              { "bit 11", MAY },
              { "they are never cached", MAY } } },
    [5] = { "nRIP at 401h and 402h", 3, { { "0", MUST }, { "valid", MUST }, { "stale", MUST } } },
    [6] = { "098h and 0F0h in x2AVIC", 2, { { "unused", MUST }, { "checked as if used", MAY } } },
    [7] = { "AVIC with NP_ENABLE = 0", 2, { { "VMEXIT_INVALID", MUST }, { "runs", MAY } } },
    [8] = { "a physical table of several pages", 1, { { "contiguous", MUST } } },
    [9] = { "FFh and entry 255 in x2AVIC",
            2,
            { { "not special", MUST }, { "FFh is broadcast, entry 255 out of reach", MAY } } },
    [10] = { "MMIO at the APIC page with x2AVIC on", 1, { { "ordinary", MUST } } },
    [11] = { "illegal pointers at VMRUN", 1, { { "VMEXIT_INVALID", MUST } } },
    [12] = { "MSR 83Fh: reads, traces in the page, report of a vector below 16",
             5,
             { { "#GP, none, as the equivalent ICR", MUST },
               { "a read gives 3F0h of the page", MAY },
               { "the value is stored at 3F0h", MUST },
               { "the equivalent ICR is stored at 300h and 310h", MUST },
               { "the report has the vector alone", MUST } } },
    [13] = { "unlisted MSRs in x2AVIC", 3, { { "#GP", MUST }, { "backing page", MAY }, { "402h, fault", MAY } } },
    [14] = { "x2APIC rules checked before the AVIC filter",
             3,
             { { "all", MUST }, { "none", MUST }, { "reserved bits of ICR only", MAY } } },
    [15] = { "PPR at VMRUN",
             2,
             { { "recomputed", MUST }, { "as stored until TPR or ISR changes, and decides", MUST } } },
    [16] = { "EOI of a level-triggered vector",
             3,
             { { "trap, ISR kept", MUST }, { "trap, ISR cleared and PPR updated", MUST }, { "fault", MAY } } },
    [17] = { "do senders look at the target's SVR", 1, { { "no", MUST } } },
    [18] = { "TMR of an IPI's target", 2, { { "unchanged", MUST }, { "the vector's bit is cleared", MUST } } },
    [19] = { "width of the doorbell MSR's value",
             3,
             { { "32 bits, #GP above", MUST }, { "8 bits, #GP above", MAY }, { "12 bits", MAY } } },
    [20] = { "a doorbell to a core in host mode",
             3,
             { { "dropped", MUST }, { "latched for the next guest", MAY }, { "an interrupt for the host", MAY } } },
    [21] = { "what is delivered when IF, the shadow or the virtual GIF opens",
             2,
             { { "IRR is looked at again", MUST }, { "what the last evaluation recognised", MUST } } },
    [22] = { "the exit for message types that are not accelerated",
             4,
             { { "401h ID 0", MUST },
               { "402h at 300h, write, trap", MUST },
               { "401h ID 2", MUST },
               { "401h ID 4", MUST } } },
    [23] = { "targets before the one that fails with ID 2 or 3",
             2,
             { { "have got nothing", MUST }, { "have got the interrupt", MUST } } },
    [24] = { "index when several targets fail",
             4,
             { { "the first", MUST },
               { "the last", MUST },
               { "any", MUST },
               { "x2AVIC logical: the bit's number", MAY } } },
    [25] = { "the VINTR intercept with AVIC", 2, { { "ignored", MUST }, { "exit 64h before delivery", MAY } } },
    [26] = { "accesses of other widths", 3, { { "plain memory", MUST }, { "402h, fault", MAY }, { "ignored", MAY } } },
    [27] = { "a bad type and a vector below 16", 2, { { "ID 0", MUST }, { "ID 4", MUST } } },
    [28] = { "destination FFFF_FFFFh", 2, { { "broadcast", MUST }, { "not special", MUST } } },
    [29] = { "how all-excluding-self finds the sender",
             2,
             { { "by the ID in its page", MUST }, { "by the backing page of the entry", MAY } } },
    [30] = { "DFR models other than 0h and Fh", 2, { { "cluster", MUST }, { "ID 2", MAY } } },
    [31] = { "a logical destination without members", 2, { { "nothing is sent", MUST }, { "ID 2", MAY } } },
    [32] = { "MAX_INDEX above 511 with x2AVIC_EXT", 1, { { "accepted", MUST } } },
    [33] = { "the guest's APIC_BASE.AE", 1, { { "unknown to hardware", MUST } } },
    [34] = { "reserved bits of table entries",
             2,
             { { "ignored", MUST }, { "ID 3 in the physical table, ID 2 in the logical one", MUST } } },
    [35] = { "the INTR intercept with host IF = 0 and V_INTR_MASKING = 1", 2, { { "held", MUST }, { "fires", MAY } } },
    [36] = { "CR8 writes under AVIC with V_INTR_MASKING = 0",
             2,
             { { "V_TPR and page only", MUST }, { "the physical TPR too", MAY } } },
    [37] = { "ICR bit 12 in the page after ID 0 or 2", 2, { { "as written", MUST }, { "set", MUST } } },
};

bool svmhw_variant(unsigned n, struct svmhw_variant *variant)
{
    if (n == 0) {
        *variant = (struct svmhw_variant){ .required = true };
        return true;
    }
    for (unsigned a = 1; a <= SVMHW_AMBIGUITIES; a++) {
        unsigned others = svmhw_ambiguities[a].count - 1;

        if (n <= others) {
            *variant = (struct svmhw_variant){ .ambiguity = a,
                                               .reading = n,
                                               .required = svmhw_ambiguities[a].readings[n].required };
            variant->readings.play[a] = (uint8_t)n;
            return true;
        }
        n -= others;
    }
    return false;
}
