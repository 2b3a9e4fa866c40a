/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages from outside: MSI decoding, and messages that come decoded. Intel SDM 3A, "Message Address Register Format",
 * "Message Data Register Format". Address bit 4 (remappable format) is ignored: remapping happens before this layer.
 */
#include "vlapic_model.h"

#define MSI_WINDOW 0xFEEu
#define ADDRESS_LOGICAL (1u << 2)
#define ADDRESS_HINT (1u << 3)
#define DATA_LEVEL (1u << 15)
#define DATA_ASSERT (1u << 14)

uint32_t vlapic_vm_deliver(struct vlapic_vm *vm, const struct vlapic_message *message)
{
    bool carries_vector = message->delivery == VLAPIC_DELIVERY_FIXED || message->delivery == VLAPIC_DELIVERY_LOWEST;
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

    if ((uint32_t)message->delivery > VLAPIC_DELIVERY_EXTINT || message->delivery == VLAPIC_DELIVERY_RESERVED ||
        message->delivery == VLAPIC_DELIVERY_SIPI) {
        return 0;
    }
    if (carries_vector && message->level && message->deassert) {
        return 0;
    }
    return vlapic_core_send(vm, &request);
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

enum vlapic_access vlapic_vm_msi(struct vlapic_vm *vm, uint64_t address, uint32_t data, uint32_t *accepted)
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
    uint32_t count = 0;

    if (((uint32_t)address >> 20) != MSI_WINDOW) {
        return VLAPIC_ACCESS_NOT_MINE;
    }
    if (!vm->config.msi_dest32 || ((address >> 32) & 0xFFu) == 0) {
        count = vlapic_vm_deliver(vm, &message);
    }
    if (accepted != NULL) {
        *accepted = count;
    }
    return VLAPIC_ACCESS_DONE;
}
