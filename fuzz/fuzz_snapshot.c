/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots as hostile bytes: the input itself, or a valid export of some state, mutated item by item. A refused import leaves
 * everything as it was and says where it stopped; an accepted one gives an APIC that keeps all rules.
 */
#include "machine.h"

#include <string.h>

#define HEADER 16u
#define ITEM_HEADER 8u
#define MAX_BYTES 2048u

struct snapshot {
    uint8_t bytes[MAX_BYTES];
    size_t length;
};

/* --- mutating -------------------------------------------------------------------------------------------------------------- */

static uint32_t read_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_number(uint8_t *p, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

/* Goes on to the item after that at `at`, or to the first if `size` is zero. False at the end, or if a length leads out of the bytes. */
static bool next_item(const struct snapshot *s, size_t *at, size_t *size)
{
    size_t offset = *size == 0 ? HEADER : *at + *size, length;

    if (s->length < offset + ITEM_HEADER) {
        return false;
    }
    length = ITEM_HEADER + (size_t)read_u32(s->bytes + offset + 4);
    if (length > s->length - offset) {
        return false;
    }
    *at = offset;
    *size = length;
    return true;
}

/* Start and length of the item with this number. */
static bool find(const struct snapshot *s, unsigned number, size_t *at, size_t *size)
{
    *size = 0;
    do {
        if (!next_item(s, at, size)) {
            return false;
        }
    } while (number-- != 0);
    return true;
}

static void fix_length(struct snapshot *s)
{
    if (s->length >= HEADER) {
        write_number(s->bytes + 12, s->length, 4);
    }
}

/* Appends; what does not fit is left out. */
static void append(struct snapshot *s, const uint8_t *bytes, size_t length)
{
    if (length <= MAX_BYTES - s->length) {
        memmove(s->bytes + s->length, bytes, length);
        s->length += length;
    }
}

/* A value of the item becomes another number: the mutation that finds what the checks let through. */
static void set_value(struct snapshot *s, struct fuzz_input *in)
{
    unsigned item = fuzz_u8(in), element = fuzz_u8(in);
    size_t at, size, width, offset;

    if (!find(s, item, &at, &size) || size == ITEM_HEADER) {
        return;
    }
    size -= ITEM_HEADER;
    width = size % 8 == 0 && (element & 0x80u) != 0 ? 8 : size % 4 == 0 ? 4 : 1;
    offset = at + ITEM_HEADER + (element & 0x7Fu) * width % size;
    write_number(s->bytes + offset, fuzz_number(in, (unsigned)width), (unsigned)width);
}

/* One bit of an item's value. */
static void flip_bit(struct snapshot *s, struct fuzz_input *in)
{
    unsigned item = fuzz_u8(in), bit = fuzz_u8(in);
    size_t at, size;

    if (find(s, item, &at, &size) && size > ITEM_HEADER) {
        s->bytes[at + ITEM_HEADER + bit / 8 % (size - ITEM_HEADER)] ^= (uint8_t)(1u << bit % 8);
    }
}

static void set_byte(struct snapshot *s, struct fuzz_input *in)
{
    size_t offset = fuzz_u16(in);

    if (s->length != 0) {
        s->bytes[offset % s->length] = fuzz_u8(in);
    }
}

static void drop_item(struct snapshot *s, struct fuzz_input *in)
{
    size_t at, size;

    if (find(s, fuzz_u8(in), &at, &size)) {
        memmove(s->bytes + at, s->bytes + at + size, s->length - at - size);
        s->length -= size;
    }
}

static void repeat_item(struct snapshot *s, struct fuzz_input *in)
{
    size_t at, size;

    if (find(s, fuzz_u8(in), &at, &size)) {
        append(s, s->bytes + at, size);
    }
}

/* The order of items means nothing. */
static void move_to_end(struct snapshot *s, struct fuzz_input *in)
{
    static uint8_t item[MAX_BYTES];
    size_t at, size;

    if (find(s, fuzz_u8(in), &at, &size)) {
        memcpy(item, s->bytes + at, size);
        memmove(s->bytes + at, s->bytes + at + size, s->length - at - size);
        memcpy(s->bytes + s->length - size, item, size);
    }
}

/* Tag, flags and length may be those of a later version's item, or of no item. */
static void add_item(struct snapshot *s, struct fuzz_input *in)
{
    uint8_t item[ITEM_HEADER + 15] = { 0 };
    unsigned size = fuzz_u8(in) & 15u;

    write_number(item, fuzz_u16(in), 2);
    write_number(item + 2, fuzz_u8(in), 2);
    write_number(item + 4, size, 4);
    append(s, item, ITEM_HEADER + size);
}

static void set_item_header(struct snapshot *s, struct fuzz_input *in)
{
    size_t at, size;

    if (find(s, fuzz_u8(in), &at, &size)) {
        at += fuzz_u8(in) % ITEM_HEADER;
        s->bytes[at] = fuzz_u8(in);
    }
}

static void truncate(struct snapshot *s, struct fuzz_input *in)
{
    s->length -= s->length == 0 ? 0 : fuzz_u16(in) % s->length;
}

static void overlay(struct snapshot *s, struct fuzz_input *in)
{
    size_t offset = fuzz_u16(in), count = fuzz_u8(in);

    for (size_t i = 0; i < count && s->length != 0; i++) {
        s->bytes[(offset + i) % s->length] = fuzz_u8(in);
    }
}

static void mutate(struct snapshot *s, struct fuzz_input *in)
{
    static void (*const mutations[])(struct snapshot *, struct fuzz_input *) = {
        set_value,   flip_bit, set_byte,        drop_item, repeat_item,
        move_to_end, add_item, set_item_header, truncate,  overlay,
    };
    uint8_t byte = fuzz_u8(in);

    mutations[(byte & 0x7Fu) % (sizeof(mutations) / sizeof(mutations[0]))](s, in);
    if ((byte & 0x80u) == 0) {
        fix_length(s);
    }
}

/* --- what the format allows ------------------------------------------------------------------------------------------------ */

#define CPU_TAGS 26u
#define TAG_TIME_NS 24u

/* Bytes of each tag's value, by docs/SNAPSHOT.md. */
static const uint8_t cpu_value_bytes[CPU_TAGS + 1] = {
    0, 4, 8, 4, 4, 4, 4, 4, 4, 4, 8, 28, 32, 32, 32, 32, 32, 4, 4, 4, 4, 8, 8, 8, 8, 4, 4,
};

/* Where each tag's item stands; zero if there is none. */
struct places {
    size_t of[CPU_TAGS + 1];
};

static bool is_good_item(const struct snapshot *s, size_t at, size_t size, struct places *places)
{
    uint32_t tag = s->bytes[at] | (uint32_t)s->bytes[at + 1] << 8;

    if (tag == 0 || tag > CPU_TAGS) {
        return (s->bytes[at + 2] & 1u) == 0; /* not mandatory: skipped */
    }
    if (places->of[tag] != 0 || size != ITEM_HEADER + cpu_value_bytes[tag]) {
        return false;
    }
    places->of[tag] = at;
    return true;
}

static bool is_good_header(const struct snapshot *s)
{
    static const uint8_t start[12] = { 'v', 'l', 'a', 'p', 'i', 'c', 0x1A, '\n', 1, 0, 1, 0 };

    return s->length >= HEADER && memcmp(s->bytes, start, sizeof(start)) == 0 && read_u32(s->bytes + 12) == s->length;
}

/* Every tag once, with its length; others only if they may be skipped. The values are another matter. */
static bool is_well_formed_cpu(const struct snapshot *s, struct places *places)
{
    size_t at = HEADER, size = 0;
    bool good = is_good_header(s);

    *places = (struct places){ 0 };
    while (good && next_item(s, &at, &size)) {
        good = is_good_item(s, at, size, places);
    }
    for (uint32_t tag = 1; tag <= CPU_TAGS; tag++) {
        good = good && places->of[tag] != 0;
    }
    return good && at + size == s->length;
}

/* Each item comes out as it went in; but the time is the importer's. */
static void check_taken(const struct snapshot *in, const struct places *places, const struct snapshot *out)
{
    struct places after;

    MUST(is_well_formed_cpu(out, &after));
    for (uint32_t tag = 1; tag <= CPU_TAGS; tag++) {
        MUST(tag == TAG_TIME_NS || memcmp(in->bytes + places->of[tag] + ITEM_HEADER,
                                          out->bytes + after.of[tag] + ITEM_HEADER, cpu_value_bytes[tag]) == 0);
    }
}

/* --- importing ------------------------------------------------------------------------------------------------------------- */

static void export_cpu(struct machine_cpu *c, struct snapshot *s)
{
    MUST(vlapic_snapshot_export_cpu(c->cpu, s->bytes, VLAPIC_SNAPSHOT_MAX, &s->length) == VLAPIC_OK);
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static uint64_t expiries_of(const struct machine_cpu *c)
{
    struct vlapic_cpu_stats stats;

    MUST(vlapic_cpu_get_stats(c->cpu, &stats, sizeof(stats)) == VLAPIC_OK);
    return stats.timer_expiries;
}

static void check_error(const struct snapshot *s, enum vlapic_status status, const struct vlapic_snapshot_error *error)
{
    MUST(status == VLAPIC_BAD_FORMAT || status == VLAPIC_BAD_VERSION || status == VLAPIC_BAD_VALUE ||
         status == VLAPIC_MISMATCH);
    MUST(error->field != NULL && error->field[0] != '\0');
    MUST(error->offset <= s->length);
    MUST(status != VLAPIC_BAD_VALUE || error->tag != 0);
}

/* Bytes in a block of their own length, so that a read beyond them is seen. */
static enum vlapic_status import(struct machine_cpu *c, const struct snapshot *s, enum vlapic_time time,
                                 struct vlapic_snapshot_error *error)
{
    static uint8_t room[MAX_BYTES];
    uint8_t *bytes = room + MAX_BYTES - s->length; /* its end is the end of the object */

    memcpy(bytes, s->bytes, s->length);
    return vlapic_snapshot_import_cpu(c->cpu, bytes, s->length, time, error);
}

static void import_cpu(struct machine_cpu *c, const struct snapshot *s, enum vlapic_time time)
{
    static struct snapshot before, after;
    struct machine *m = c->machine;
    struct vlapic_snapshot_error error;
    uint64_t drift_ns = m->drift_ns, expiries;
    struct places places;
    bool well_formed = is_well_formed_cpu(s, &places);
    enum vlapic_status status;

    machine_come_home(c);
    m->drift_ns = 0;
    export_cpu(c, &before);
    expiries = expiries_of(c);
    status = import(c, s, time, &error);
    if (status == VLAPIC_OK) {
        m->imported = true;
        c->init_handed_over = false;
        MUST(error.field == NULL);
        MUST(well_formed);
        machine_observe(c);
        export_cpu(c, &after);
        /* What has expired by now has left its marks. */
        if (time == VLAPIC_TIME_STOPPED && expiries_of(c) == expiries) {
            check_taken(s, &places, &after);
        }
    } else {
        MUST(well_formed == (status == VLAPIC_BAD_VALUE || status == VLAPIC_MISMATCH));
        check_error(s, status, &error);
        export_cpu(c, &after);
        MUST(same(&before, &after));
    }
    m->drift_ns = drift_ns;
}

static void import_vm(struct machine *m, const struct snapshot *s)
{
    struct vlapic_snapshot_error error;
    enum vlapic_status status = vlapic_snapshot_import_vm(m->vm, s->bytes, s->length, &error);

    if (status == VLAPIC_OK) {
        MUST(error.field == NULL);
    } else {
        check_error(s, status, &error);
    }
}

/* A snapshot of this VM fits; with a bit of any value changed it does not. */
static void import_changed_vm(struct machine *m, struct fuzz_input *in)
{
    static struct snapshot s;
    size_t at = 0, size = 0;
    unsigned byte = fuzz_u8(in);
    struct vlapic_snapshot_error error;

    MUST(vlapic_snapshot_export_vm(m->vm, s.bytes, VLAPIC_SNAPSHOT_MAX, &s.length) == VLAPIC_OK);
    MUST(vlapic_snapshot_import_vm(m->vm, s.bytes, s.length, &error) == VLAPIC_OK);
    while (next_item(&s, &at, &size)) {
        uint8_t *changed = s.bytes + at + ITEM_HEADER + byte / 8 % (size - ITEM_HEADER);

        *changed ^= (uint8_t)(1u << byte % 8);
        MUST(vlapic_snapshot_import_vm(m->vm, s.bytes, s.length, &error) == VLAPIC_MISMATCH);
        MUST(error.field != NULL && error.offset == at);
        *changed ^= (uint8_t)(1u << byte % 8);
    }
    MUST(size != 0);
    while (fuzz_more(in)) {
        mutate(&s, in);
        import_vm(m, &s);
    }
}

/* --- operations ------------------------------------------------------------------------------------------------------------ */

static void op_import(struct machine *m, struct fuzz_input *in)
{
    static struct snapshot s;
    uint8_t how = fuzz_u8(in);

    machine_come_home(m->current);
    export_cpu(m->current, &s);
    for (unsigned n = 0; n <= (how & 7u); n++) {
        mutate(&s, in);
    }
    if ((how & 0x40u) != 0) {
        machine_pass(m, 1ull << (fuzz_u8(in) & 63u)); /* saved some time ago */
    }
    import_cpu(m->current, &s, (how & 0x80u) != 0 ? VLAPIC_TIME_RAN : VLAPIC_TIME_STOPPED);
    machine_settle(m);
}

/* A state that another vCPU had is not this one's. */
static void op_import_other(struct machine *m, struct fuzz_input *in)
{
    struct machine_cpu *other = &m->cpus[fuzz_u8(in) % m->cpu_count];
    static struct snapshot s;
    struct vlapic_snapshot_error error;
    enum vlapic_status status;

    machine_come_home(m->current);
    machine_come_home(other);
    export_cpu(other, &s);
    status = import(m->current, &s, VLAPIC_TIME_STOPPED, &error);
    MUST(status == (m->current->apic_id == other->apic_id ? VLAPIC_OK : VLAPIC_MISMATCH));
    if (status == VLAPIC_OK) {
        m->current->init_handed_over = false;
        m->imported = m->current != other || m->imported;
        machine_observe(m->current); /* the lines may be others now */
    }
    machine_settle(m);
}

static void run(struct machine *m, struct fuzz_input *in)
{
    static machine_op *const ops[] = {
        machine_op_write,       op_import,
        machine_op_post,        machine_op_take,
        machine_op_eoi,         machine_op_poll,
        machine_op_advance,     machine_op_mode,
        machine_op_lint,        machine_op_lvt_event,
        machine_op_msi,         machine_op_enter,
        machine_op_take_init,   machine_op_fire,
        machine_op_accept,      machine_op_unaccept,
        machine_op_acknowledge, machine_op_reset,
        machine_op_snapshot,    op_import_other,
    };

    /* Fewer: an import costs as much as many accesses. */
    machine_run(m, in, ops, sizeof(ops) / sizeof(ops[0]), MACHINE_MAX_OPS / 2);
}

/* The rest of the input is the snapshot. */
static void import_raw(struct machine *m, struct fuzz_input *in, bool of_vm)
{
    static struct snapshot s;

    s.length = 0;
    append(&s, in->bytes, in->left < MAX_BYTES ? in->left : MAX_BYTES);
    if (of_vm) {
        import_vm(m, &s);
    } else {
        import_cpu(m->current, &s, VLAPIC_TIME_STOPPED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { .bytes = data, .left = size };
    uint8_t what = fuzz_u8(&in);
    struct machine *m = machine_start(&in, 2);

    switch (what) {
    case 1:
        import_raw(m, &in, false);
        break;
    case 2:
        import_raw(m, &in, true);
        break;
    case 3:
        import_changed_vm(m, &in);
        break;
    default:
        run(m, &in);
        break;
    }
    machine_stop(m);
    return 0;
}
