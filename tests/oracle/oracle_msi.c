/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages from outside: decoded ones, MSIs, and posts to one APIC. Reference 17. */
#include "oracle.h"

/* Reference 17.1, steps 3 to 5. */
uint32_t oracle_deliver(struct oracle *bus, const struct oracle_message *m)
{
    bool targets[ORACLE_APICS] = { false };
    bool has_vector = m->mode == ORACLE_FIXED || m->mode == ORACLE_LOWEST;

    if (m->mode == ORACLE_REMOTE_READ || m->mode == ORACLE_SIPI) {
        return 0;
    }
    if (has_vector && m->level && m->deassert) {
        return 0;
    }
    for (unsigned i = 0; i < bus->count; i++) {
        targets[i] = oracle_match(&bus->apic[i], ORACLE_FROM_OUTSIDE, m->destination, m->logical);
    }
    if ((m->mode == ORACLE_LOWEST || m->redirection_hint) && m->logical) {
        oracle_arbitrate(bus, targets, m->vector);
    }
    return oracle_receive_all(bus, targets, m->mode, m->vector, m->level);
}

static bool bit(uint64_t value, unsigned number)
{
    return (value >> number & 1) != 0;
}

static uint32_t destination(const struct oracle_options *o, uint64_t address)
{
    uint32_t dest = address >> 12 & 0xFF;

    if (o->msi_ext_dest) {
        dest |= (uint32_t)(address >> 5 & 0x7F) << 8;
    }
    if (o->msi_dest32) {
        dest |= (uint32_t)(address >> 40) << 8;
    }
    return dest;
}

enum oracle_result oracle_msi(struct oracle *bus, uint64_t address, uint32_t data, uint32_t *accepted)
{
    struct oracle_message m = {
        .destination = destination(&bus->options, address),
        .redirection_hint = bit(address, 3),
        .logical = bit(address, 2),
        .vector = data & 0xFF,
        .mode = (enum oracle_mode)(data >> 8 & 7),
        .deassert = !bit(data, 14),
        .level = bit(data, 15),
    };

    if ((address >> 20 & 0xFFF) != 0xFEE) {
        return ORACLE_NOT_MINE;
    }
    if (bus->options.msi_dest32 && (address >> 32 & 0xFF) != 0) {
        *accepted = 0;
    } else {
        *accepted = oracle_deliver(bus, &m);
    }
    return ORACLE_DONE;
}

/* Library: a Fixed message past all address decoding. */
bool oracle_post(struct oracle_apic *a, uint8_t vector, bool level)
{
    return oracle_receive(a, ORACLE_FIXED, vector, level);
}
