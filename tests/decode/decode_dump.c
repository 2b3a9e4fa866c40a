/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes what it reads and prints the fields, for check_binutils.py. A line in is "MODE HEX", MODE being 16, 32 or 64; a line out
 * is the status, and if that is 0 the members of struct vlapic_decode_insn in the order below.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <vlapic/decode.h>

static enum vlapic_decode_mode mode_of(unsigned bits)
{
    if (bits == 64) {
        return VLAPIC_DECODE_MODE_64;
    }
    return bits == 32 ? VLAPIC_DECODE_MODE_32 : VLAPIC_DECODE_MODE_16;
}

static size_t bytes_of(const char *hex, uint8_t *bytes, size_t capacity)
{
    size_t count = 0;
    unsigned byte;

    while (count < capacity && sscanf(hex + 2 * count, "%2x", &byte) == 1) {
        bytes[count++] = (uint8_t)byte;
    }
    return count;
}

static void print(const struct vlapic_decode_insn *insn)
{
    printf("0 %u %d %u %u %d %u %u %d %d %d %d %d %u %u %u %u %" PRIu64 " %" PRIu64 "\n", insn->length,
           (int)insn->operation, insn->access, insn->width, (int)insn->other, insn->other_width, insn->reg,
           insn->high_byte, insn->memory_first, insn->lock, (int)insn->repeat, (int)insn->segment, insn->address_width,
           insn->base, insn->index, insn->scale, insn->displacement, insn->immediate);
}

int main(void)
{
    char line[64], hex[33];
    unsigned bits;

    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct vlapic_decode_insn insn;
        enum vlapic_decode_status status;
        uint8_t bytes[16];

        if (sscanf(line, "%u %32s", &bits, hex) != 2) {
            fprintf(stderr, "not understood: %s", line);
            return 1;
        }
        status = vlapic_decode_parse(mode_of(bits), bytes, bytes_of(hex, bytes, sizeof(bytes)), &insn);
        if (status == VLAPIC_DECODE_DONE) {
            print(&insn);
        } else {
            printf("%d\n", (int)status);
        }
    }
    return 0;
}
