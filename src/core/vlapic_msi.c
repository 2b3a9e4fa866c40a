/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages from outside: MSI decoding, and messages that come decoded. Intel SDM 3A, "Message Address Register Format",
 * "Message Data Register Format". Address bit 4 (remappable format) is ignored: remapping happens before this layer.
 */
#include "vlapic_model.h"

#define MSI_WINDOW 0xFEEu
#define ADDRESS_LOGICAL (1u << 2)
#define ADDRESS_HINT (1u << 3)
/* Where some formats have more bits of the destination. */
#define HIGH_BITS (0xFFFFFFFFull << 32 | 0x7Fu << 5)
#define DATA_LEVEL (1u << 15)
#define DATA_ASSERT (1u << 14)

static inline bool is_dropped(const struct vlapic_message *message)
{
    bool carries_vector = message->delivery <= VLAPIC_DELIVERY_LOWEST;

    return message->delivery == VLAPIC_DELIVERY_RESERVED || message->delivery == VLAPIC_DELIVERY_SIPI ||
           (carries_vector && message->level && message->deassert);
}

static uint32_t send_logical_or_odd(struct vlapic_vm *vm, const struct vlapic_message *message)
{
    struct vlapic_request request = {
        .sender = NULL,
        .destination = message->destination,
        .vector = message->vector,
        .delivery = (uint8_t)message->delivery,
        .shorthand = VLAPIC_SHORTHAND_NONE,
        .source = VLAPIC_FROM_OUTSIDE,
        .logical = message->logical,
        .level = message->level,
        .arbitrated = message->logical && (message->redirection_hint || message->delivery == VLAPIC_DELIVERY_LOWEST),
    };

    return vlapic_core_send(vm, &request);
}

static inline uint32_t deliver(struct vlapic_vm *vm, const struct vlapic_message *message)
{
    int32_t accepted = -1;

    if (vlapic_unlikely(is_dropped(message))) {
        return 0;
    }
    if (!message->logical) {
        accepted = vlapic_core_send_plain(vm, message->destination, (uint8_t)message->delivery, message->vector,
                                          message->level);
    }
    return accepted >= 0 ? (uint32_t)accepted : send_logical_or_odd(vm, message);
}

uint32_t vlapic_vm_deliver(struct vlapic_vm *vm, const struct vlapic_message *message)
{
    return (uint32_t)message->delivery <= VLAPIC_DELIVERY_EXTINT ? deliver(vm, message) : 0;
}

static uint32_t destination_of(const struct vlapic_vm_config *config, uint64_t address)
{
    uint32_t destination = (uint32_t)(address >> 12) & 0xFFu;

    if (config->msi_ext_dest) {
        destination |= ((uint32_t)(address >> 5) & 0x7Fu) << 8;
    }
    if (config->msi_dest32) {
        destination |= (uint32_t)(address >> 32) & 0xFFFFFF00u;
    }
    return destination;
}

static uint32_t deliver_decoded(struct vlapic_vm *vm, uint64_t address, uint32_t data)
{
    struct vlapic_message message = {
        .destination = destination_of(&vm->config, address),
        .delivery = (enum vlapic_delivery)((data & VLAPIC_DELIVERY_MASK) >> VLAPIC_DELIVERY_SHIFT),
        .vector = (uint8_t)data,
        .logical = (address & ADDRESS_LOGICAL) != 0,
        .level = (data & DATA_LEVEL) != 0,
        .deassert = (data & DATA_ASSERT) == 0,
        .redirection_hint = (address & ADDRESS_HINT) != 0,
    };

    if (vm->config.msi_dest32 && ((address >> 32) & 0xFFu) != 0) {
        return 0;
    }
    return deliver(vm, &message);
}

enum vlapic_access vlapic_vm_msi(struct vlapic_vm *vm, uint64_t address, uint32_t data, uint32_t *accepted)
{
    int32_t count = -1;

    if ((uint32_t)address >> 20 != MSI_WINDOW) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    /* Most are Fixed and edge triggered, to one APIC ID of eight bits. */
    if ((address & (HIGH_BITS | ADDRESS_LOGICAL)) == 0 && (data & (VLAPIC_DELIVERY_MASK | DATA_LEVEL)) == 0) {
        count = vlapic_core_send_plain(vm, (uint32_t)(address >> 12) & 0xFFu, VLAPIC_DELIVERY_FIXED, (uint8_t)data,
                                       false);
    }
    if (count < 0) {
        count = (int32_t)deliver_decoded(vm, address, data);
    }
    if (accepted != NULL) {
        *accepted = (uint32_t)count;
    }
    return VLAPIC_ACCESS_DONE;
}
