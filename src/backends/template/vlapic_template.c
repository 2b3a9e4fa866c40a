/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a new backend starts: every op of ABI 1, with nothing in it but what makes it compile and refuse to run. Copy the
 * folder, rename, fill in from the top; drop the ops whose NULL will do. The tests compile this file. docs/ARCHITECTURE.md, "To add a
 * backend", has the places where a copy is to be named.
 */
#include <vlapic/backend.h>

/* Per VM: tables that hardware shares between vCPUs (ID tables, a PID-pointer table). */
struct template_vm {
    uint64_t unused;
};

/* Per vCPU, for any thread: what is posted into, and what a poster has to know. */
struct template_shared {
    uint64_t unused;
};

/* Per vCPU, for its owner: what mirrors hardware fields. */
struct template_cpu {
    struct template_shared *shared;
};

static enum vlapic_status vm_init(void *vm_state, const struct vlapic_vm_config *config)
{
    (void)vm_state;
    (void)config;
    return VLAPIC_OK;
}

static enum vlapic_status cpu_init(const struct vlapic_cpu_memory *memory, void *vm_state, struct vlapic_cpu *cpu)
{
    struct template_cpu *owned = memory->owned;

    owned->shared = memory->shared;
    (void)vm_state;
    (void)cpu;
    return VLAPIC_INVALID; /* these post and collect lose every vector */
}

static void cpu_fini(void *cpu_state)
{
    (void)cpu_state;
}

/* Any thread: the shared memory has nothing that is valid only while the vCPU is loaded. */
static enum vlapic_post post(void *shared, uint8_t vector, bool level)
{
    (void)shared;
    (void)vector;
    (void)level;
    return VLAPIC_POST_NONE;
}

/* Hardware that looks by itself when it is told to. */
static void notify(void *shared)
{
    (void)shared;
}

/* Hardware, too, may have posted. */
static bool pending(const void *shared)
{
    (void)shared;
    return false;
}

static bool collect(void *cpu_state, struct vlapic_vectors *posted, struct vlapic_vectors *level)
{
    (void)cpu_state;
    (void)posted;
    (void)level;
    return false;
}

/* From load to put the vCPU's control structure is current on this physical CPU. */
static void load(void *cpu_state)
{
    (void)cpu_state;
}

static void put(void *cpu_state)
{
    (void)cpu_state;
}

static void enter(void *cpu_state, const struct vlapic_entry *entry)
{
    (void)cpu_state;
    (void)entry;
}

static uint32_t leave(void *cpu_state)
{
    (void)cpu_state;
    return 0;
}

/* Asleep or not: where posts by hardware go. */
static void block(void *cpu_state)
{
    (void)cpu_state;
}

static void unblock(void *cpu_state)
{
    (void)cpu_state;
}

static void changed(void *cpu_state, uint32_t what)
{
    (void)cpu_state;
    (void)what;
}

static uint64_t inhibits(const void *cpu_state)
{
    (void)cpu_state;
    return 0;
}

extern const struct vlapic_backend vlapic_backend_template;
const struct vlapic_backend vlapic_backend_template = {
    .abi = VLAPIC_BACKEND_ABI,
    .size = sizeof(struct vlapic_backend),
    .name = "template",
    .vm_state_bytes = sizeof(struct template_vm),
    .cpu_state_bytes = sizeof(struct template_cpu),
    .cpu_shared_bytes = sizeof(struct template_shared),
    .cpu_pages = 0,
    .vm_init = vm_init,
    .cpu_init = cpu_init,
    .cpu_fini = cpu_fini,
    .post = post,
    .notify = notify,
    .pending = pending,
    .collect = collect,
    .load = load,
    .put = put,
    .enter = enter,
    .exit = leave,
    .block = block,
    .unblock = unblock,
    .changed = changed,
    .inhibits = inhibits,
};
