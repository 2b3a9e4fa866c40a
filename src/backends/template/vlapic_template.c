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

/* Per vCPU: the descriptor that other threads post into, and what mirrors hardware fields. */
struct template_cpu {
    uint64_t unused;
};

static enum vlapic_status vm_init(void *vm_state)
{
    (void)vm_state;
    return VLAPIC_OK;
}

static enum vlapic_status cpu_init(void *cpu_state, void *vm_state, struct vlapic_cpu *cpu)
{
    (void)cpu_state;
    (void)vm_state;
    (void)cpu;
    return VLAPIC_INVALID; /* these post and collect lose every vector */
}

static void cpu_fini(void *cpu_state)
{
    (void)cpu_state;
}

/* Any thread: nothing here may touch what is valid only while the vCPU is loaded. */
static enum vlapic_post post(void *cpu_state, uint8_t vector, bool level)
{
    (void)cpu_state;
    (void)vector;
    (void)level;
    return VLAPIC_POST_NONE;
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

static void enter(void *cpu_state)
{
    (void)cpu_state;
}

static void leave(void *cpu_state)
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
    .cpu_pages = 0,
    .vm_init = vm_init,
    .cpu_init = cpu_init,
    .cpu_fini = cpu_fini,
    .post = post,
    .collect = collect,
    .load = load,
    .put = put,
    .enter = enter,
    .exit = leave,
    .changed = changed,
    .inhibits = inhibits,
};
