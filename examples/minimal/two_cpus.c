/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest complete embedder: two vCPUs, each in a thread of its own, an IPI from one to the other, a one-shot timer. The "guest"
 * is a few register accesses in the place of instructions. What stands between the two rulers is the example of README.md.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- README ---- */
#include <vlapic/vlapic.h>

/* One turn of a vCPU's loop; `cpu` comes from vlapic_cpu_create(). The functions named my_* are the host's. */
struct my_cpu;
void my_deliver(struct my_cpu *host, const struct vlapic_poll *duty); /* NMI, SMI, INIT, SIPI, ExtINT */
bool my_can_take_interrupt(struct my_cpu *host);
void my_inject(struct my_cpu *host, uint8_t vector);
bool my_is_halted(struct my_cpu *host);
void my_sleep_until_kicked(struct my_cpu *host);
void my_run_guest(struct my_cpu *host);

static void my_turn(struct my_cpu *host, struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    vlapic_cpu_poll(cpu, &duty); /* merges what other threads posted */
    my_deliver(host, &duty);
    if (duty.vector >= 0 && my_can_take_interrupt(host) && /* highest vector above PPR */
        vlapic_cpu_accept(cpu, (uint8_t)duty.vector)) {    /* IRR to ISR */
        my_inject(host, (uint8_t)duty.vector);
    }
    if (duty.wait_for_sipi || my_is_halted(host)) {
        if (vlapic_cpu_halt(cpu)) { /* from here on, posts kick */
            my_sleep_until_kicked(host);
            vlapic_cpu_exit(cpu);
        }
    } else if (vlapic_cpu_enter(cpu)) { /* from here on, posts kick */
        my_run_guest(host);
        vlapic_cpu_exit(cpu);
    }
}
/* ---- README ---- */

#define IPI_VECTOR 0x41
#define TIMER_VECTOR 0xEC
#define TIMER_CLOCKS 1000000 /* of 1 ns */
#define ICR_SIPI ((uint32_t)VLAPIC_DELIVERY_SIPI << VLAPIC_DELIVERY_SHIFT)

/* What the host knows of a vCPU: the cookie of the callbacks. */
struct my_cpu {
    int index;
    struct vlapic_cpu *apic;
    void *memory; /* in which it lies */
    pthread_t thread;

    /* Between the threads: with the lock held. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool kicked;

    /* This vCPU's thread alone. */
    uint64_t timer_ns; /* what its host timer is armed for; 0: not armed */
    int injected;      /* a vector that the guest takes when it runs; 0: none */
    int taken;         /* the last one that it took */
    bool halted;
};

/* ---- the host: what host.h asks for ---- */

static uint64_t now_ns(void *cookie)
{
    struct timespec now;

    (void)cookie;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* No more than a note: the thread that armed it sleeps no longer than that. */
static void timer_arm_ns(void *cookie, uint64_t deadline_ns)
{
    ((struct my_cpu *)cookie)->timer_ns = deadline_ns;
}

static void timer_cancel(void *cookie)
{
    ((struct my_cpu *)cookie)->timer_ns = 0;
}

/* A host that runs real guests interrupts the one that is in the guest, too. */
static void kick(void *cookie)
{
    struct my_cpu *host = cookie;

    pthread_mutex_lock(&host->lock);
    host->kicked = true;
    pthread_cond_signal(&host->wake);
    pthread_mutex_unlock(&host->lock);
}

static const struct vlapic_host_ops host_ops = {
    .size = sizeof(host_ops),
    .abi = VLAPIC_HOST_ABI,
    .now_ns = now_ns,
    .timer_arm_ns = timer_arm_ns,
    .timer_cancel = timer_cancel,
    .kick = kick,
};

/* ---- the host: what my_turn() asks for ---- */

void my_deliver(struct my_cpu *host, const struct vlapic_poll *duty)
{
    if (duty->sipi) {
        printf("vCPU %d starts at page %02Xh\n", host->index, (unsigned)duty->sipi_vector);
    }
}

bool my_can_take_interrupt(struct my_cpu *host)
{
    return host->injected == 0;
}

void my_inject(struct my_cpu *host, uint8_t vector)
{
    host->injected = vector;
    host->halted = false;
}

bool my_is_halted(struct my_cpu *host)
{
    return host->halted;
}

/* A kick that came before the sleep is remembered in `kicked`. */
void my_sleep_until_kicked(struct my_cpu *host)
{
    struct timespec until = { .tv_sec = (time_t)(host->timer_ns / 1000000000u),
                              .tv_nsec = (long)(host->timer_ns % 1000000000u) };

    pthread_mutex_lock(&host->lock);
    while (!host->kicked && (host->timer_ns == 0 || now_ns(host) < host->timer_ns)) {
        if (host->timer_ns == 0) {
            pthread_cond_wait(&host->wake, &host->lock);
        } else {
            pthread_cond_timedwait(&host->wake, &host->lock, &until);
        }
    }
    host->kicked = false;
    pthread_mutex_unlock(&host->lock);
    if (host->timer_ns != 0) {
        vlapic_cpu_timer_expired(host->apic); /* if it is too early, the timer is armed again */
    }
}

/* ---- the guest ---- */

static void send(struct vlapic_cpu *apic, uint32_t to, uint32_t icr)
{
    vlapic_cpu_mmio_write(apic, VLAPIC_REG_ICR_HIGH, 4, to << 24);
    vlapic_cpu_mmio_write(apic, VLAPIC_REG_ICR_LOW, 4, icr);
}

/* vCPU 0 starts the other one, which sends it an IPI and sets a timer. */
static void boot(struct my_cpu *host)
{
    vlapic_cpu_mmio_write(host->apic, VLAPIC_REG_SVR, 4, 0x1FF);
    if (host->index == 0) {
        send(host->apic, 1, ICR_SIPI | 0x9A);
        return;
    }
    send(host->apic, 0, IPI_VECTOR);
    vlapic_cpu_mmio_write(host->apic, VLAPIC_REG_LVT_TIMER, 4, TIMER_VECTOR);
    vlapic_cpu_mmio_write(host->apic, VLAPIC_REG_DIVIDE_CONFIG, 4, 0xB); /* by 1 */
    vlapic_cpu_mmio_write(host->apic, VLAPIC_REG_INITIAL_COUNT, 4, TIMER_CLOCKS);
}

static void handle(struct my_cpu *host)
{
    printf("vCPU %d takes vector %02Xh\n", host->index, (unsigned)host->injected);
    host->taken = host->injected;
    host->injected = 0;
    vlapic_cpu_mmio_write(host->apic, VLAPIC_REG_EOI, 4, 0);
}

void my_run_guest(struct my_cpu *host)
{
    if (host->injected != 0) {
        handle(host);
    } else {
        boot(host);
    }
    host->halted = true;
}

static void *run(void *argument)
{
    struct my_cpu *host = argument;

    while (host->taken == 0) {
        my_turn(host, host->apic);
    }
    return NULL;
}

/* ---- set-up ---- */

static void must(enum vlapic_status status)
{
    if (status != VLAPIC_OK) {
        fprintf(stderr, "two_cpus: status %d\n", status);
        exit(1);
    }
}

static void *memory_for(const struct vlapic_layout *layout)
{
    size_t bytes = (layout->bytes + layout->alignment - 1) / layout->alignment * layout->alignment;
    void *memory = aligned_alloc(layout->alignment, bytes);

    if (memory == NULL) {
        exit(1);
    }
    return memory;
}

static struct vlapic_vm *make_vm(struct vlapic_vm_config *config, void **memory)
{
    struct vlapic_layout layout;
    struct vlapic_vm *vm;

    must(vlapic_vm_config_defaults(config, sizeof(*config), VLAPIC_VENDOR_INTEL));
    config->host = &host_ops;
    config->backend = &vlapic_backend_soft;
    must(vlapic_vm_layout(config, &layout));
    *memory = memory_for(&layout);
    must(vlapic_vm_create(*memory, layout.bytes, config, &vm));
    return vm;
}

static void make_cpu(struct vlapic_vm *vm, struct my_cpu *host, int index)
{
    struct vlapic_cpu_config config = {
        .size = sizeof(config), .apic_id = (uint32_t)index, .bsp = index == 0, .cookie = host
    };
    struct vlapic_layout layout;
    pthread_condattr_t clock;

    host->index = index;
    pthread_mutex_init(&host->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* as now_ns() */
    pthread_cond_init(&host->wake, &clock);
    must(vlapic_cpu_layout(vlapic_vm_get_config(vm), &layout));
    host->memory = memory_for(&layout);
    must(vlapic_cpu_create(host->memory, layout.bytes, vm, &config, &host->apic));
    must(vlapic_cpu_attach(host->apic));
}

int main(void)
{
    struct vlapic_vm_config config;
    struct my_cpu cpus[2] = { 0 };
    void *memory;
    struct vlapic_vm *vm = make_vm(&config, &memory);

    for (int i = 0; i < 2; i++) {
        make_cpu(vm, &cpus[i], i);
    }
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&cpus[i].thread, NULL, run, &cpus[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(cpus[i].thread, NULL);
    }
    for (int i = 0; i < 2; i++) {
        vlapic_cpu_destroy(cpus[i].apic);
        free(cpus[i].memory);
    }
    free(memory);
    return cpus[0].taken == IPI_VECTOR && cpus[1].taken == TIMER_VECTOR ? 0 : 1;
}
