/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vlapic-run IMAGE [--loop] [PAYLOAD...]: runs the payloads of the guest image on /dev/vlapic-vmm: those that are named, or all; -PAYLOAD leaves one
 * out. Each runs in a new VM with two vCPUs, a thread each. Prints PASS or FAIL for each of them and "RESULT n passed, m failed". --loop begins anew for ever.
 * vlapic-run IMAGE --hold: a guest starts its timer; then of all descriptors that of its vCPU alone stays open, until a signal comes.
 * What the ports do says examples/baremetal/contract.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../examples/baremetal/contract.h"
#include "../vlapic_vmm.h"

#define CPUS 2
#define PAGE 4096u
#define LINE_BYTES 256
#define LIMIT_SECONDS 30
#define PATIENCE_SECONDS 5
#define MSI_BASE 0xFEE00000u
#define MSI_LEVEL_ASSERT (3u << 14)
#define RDI 7
#define RSI 6
#define RDX 2
#define RCX 1
#define R8 8

_Static_assert((int)VLAPIC_VMM_KIND_IO == (int)GUEST_EXIT_IO && (int)VLAPIC_VMM_KIND_WINDOW == (int)GUEST_EXIT_WINDOW &&
                   (int)VLAPIC_VMM_KIND_MMIO == (int)GUEST_EXIT_MMIO &&
                   (int)VLAPIC_VMM_KIND_CR8 == (int)GUEST_EXIT_CR8 && (int)VLAPIC_VMM_KIND_TPR == (int)GUEST_EXIT_TPR,
               "the kinds of exits are those of the contract");
_Static_assert(VLAPIC_VMM_FREE_CR8 == GUEST_FREE_CR8 && VLAPIC_VMM_FREE_TPR == GUEST_FREE_TPR &&
                   VLAPIC_VMM_FREE_EOI == GUEST_FREE_EOI && VLAPIC_VMM_FREE_SELF_IPI == GUEST_FREE_SELF_IPI &&
                   VLAPIC_VMM_FREE_READS == GUEST_FREE_READS && VLAPIC_VMM_FREE_DELIVERY == GUEST_FREE_DELIVERY,
               "so is what is free of them");

struct cpu {
    uint32_t index;
    int fd;
    pthread_t thread;
    struct vlapic_vmm_run run;
    uint32_t exits_asked, msi_address, msi_accepted;
    uint8_t line_asked;
    uint64_t clock_latch;
    char line[LINE_BYTES];
    uint32_t line_length;
};

/* A level-triggered input of an I/O APIC that has only these. */
struct line {
    uint32_t apic_id, eois;
    bool asserted;
};

static struct vm {
    int fd;
    uint8_t *memory;
    uint32_t payload;
    struct cpu cpus[CPUS];
    struct line lines[256];
    uint32_t places; /* how often the vCPUs have changed places */
    bool ended;
    uint32_t verdict; /* 0: passed */
} vm;

static const char *image_file;
static uint8_t *image;
static size_t image_bytes;
static int device;
static long host_cpus;
static uint64_t patience;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(2);
}

static const struct guest_header *header(void)
{
    return (const struct guest_header *)image;
}

static const struct guest_payload *payloads(void)
{
    return (const struct guest_payload *)(image + header()->payloads - GUEST_BASE);
}

static void end(uint32_t verdict)
{
    if (!__atomic_load_n(&vm.ended, __ATOMIC_ACQUIRE)) {
        vm.verdict = verdict;
        __atomic_store_n(&vm.ended, true, __ATOMIC_RELEASE);
    }
}

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("FAIL %s: ", payloads()[vm.payload].name);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    end(UINT32_MAX);
}

/* --- ports ----------------------------------------------------------------------------------------------------------------- */

static void inject(struct vlapic_vmm_inject *inject)
{
    if (ioctl(vm.fd, VLAPIC_VMM_INJECT, inject) != 0) {
        fail("INJECT %u: %s", inject->what, strerror(errno));
    }
}

static void inject_into(enum vlapic_vmm_what what, uint32_t vcpu, uint32_t value, uint32_t level)
{
    struct vlapic_vmm_inject message = { .what = what, .vcpu = (vcpu & 0xFF) % CPUS, .value = value, .level = level };

    inject(&message);
}

static uint32_t send_msi(uint32_t address, uint32_t data)
{
    struct vlapic_vmm_inject message = { .what = VLAPIC_VMM_MSI, .address = address, .value = data };

    inject(&message);
    return message.accepted;
}

static void send_line(uint8_t vector)
{
    if (__atomic_load_n(&vm.lines[vector].asserted, __ATOMIC_ACQUIRE)) {
        send_msi(MSI_BASE | vm.lines[vector].apic_id << 12, MSI_LEVEL_ASSERT | vector);
    }
}

static void drive_line(uint32_t value)
{
    struct line *line = &vm.lines[value & 0xFF];
    bool asserted = (value & GUEST_LINE_ASSERT) != 0;

    if (asserted) {
        line->apic_id = value >> 8 & 0xFF;
    }
    if (!__atomic_exchange_n(&line->asserted, asserted, __ATOMIC_ACQ_REL)) {
        send_line((uint8_t)value);
    }
}

static void take_eoi(uint8_t vector)
{
    __atomic_fetch_add(&vm.lines[vector].eois, 1, __ATOMIC_ACQ_REL);
    send_line(vector);
}

static void console(struct cpu *cpu, char character)
{
    if (character != '\n' && cpu->line_length < LINE_BYTES - 1) {
        cpu->line[cpu->line_length++] = character;
        return;
    }
    printf("%.*s\n", (int)cpu->line_length, cpu->line);
    fflush(stdout);
    cpu->line_length = 0;
}

static void snapshot(struct cpu *cpu)
{
    struct vlapic_vmm_snapshot state;

    if (ioctl(cpu->fd, VLAPIC_VMM_GET_SNAPSHOT, &state) != 0 || ioctl(cpu->fd, VLAPIC_VMM_RESET) != 0 ||
        ioctl(cpu->fd, VLAPIC_VMM_SET_SNAPSHOT, &state) != 0) {
        fail("snapshot: %s", strerror(errno));
    }
}

static void place(pthread_t thread, uint32_t where)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(where % (uint32_t)host_cpus, &set);
    pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void place_all(uint32_t round)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        place(vm.cpus[i].thread, i + round);
    }
}

static void out(struct cpu *cpu, uint32_t value)
{
    switch (cpu->run.port) {
    case GUEST_PORT_CONSOLE:
        console(cpu, (char)value);
        break;
    case GUEST_PORT_VERDICT:
        end(value);
        break;
    case GUEST_PORT_LINE:
        cpu->line_asked = (uint8_t)value;
        drive_line(value);
        break;
    case GUEST_PORT_MSI_ADDRESS:
        cpu->msi_address = value;
        break;
    case GUEST_PORT_MSI_DATA:
        cpu->msi_accepted = send_msi(cpu->msi_address, value);
        break;
    case GUEST_PORT_NMI:
        inject_into(VLAPIC_VMM_NMI, value, 0, 0);
        break;
    case GUEST_PORT_LINT:
        inject_into(VLAPIC_VMM_LINT, value, value >> 8 & 0xFF, value >> 16 & 1);
        break;
    case GUEST_PORT_LVT_EVENT:
        inject_into(VLAPIC_VMM_LVT_EVENT, value, value >> 8 & 0xFF, 0);
        break;
    case GUEST_PORT_EXITS:
        cpu->exits_asked = value;
        break;
    case GUEST_PORT_KICK:
        for (uint32_t count = value >> 8; count > 0; count--) {
            inject_into(VLAPIC_VMM_KICK, value, 0, 0);
        }
        break;
    case GUEST_PORT_SNAPSHOT:
        snapshot(cpu);
        break;
    case GUEST_PORT_INHIBIT:
        ioctl(vm.fd, VLAPIC_VMM_INHIBIT, (unsigned long)(value != 0));
        break;
    case GUEST_PORT_MOVE:
        place_all(__atomic_add_fetch(&vm.places, 1, __ATOMIC_ACQ_REL));
        break;
    case GUEST_PORT_POST:
        inject_into(VLAPIC_VMM_POST, value >> 8, value & 0xFF, value >> 16 & 1);
        break;
    default:
        break;
    }
}

static uint32_t exits(const struct cpu *cpu)
{
    const uint32_t *count = cpu->run.exits;

    if (cpu->exits_asked == GUEST_EXIT_APIC) {
        return count[VLAPIC_VMM_KIND_MMIO] + count[VLAPIC_VMM_KIND_MSR] + count[VLAPIC_VMM_KIND_CR8] +
               count[VLAPIC_VMM_KIND_WRITE] + count[VLAPIC_VMM_KIND_EOI] + count[VLAPIC_VMM_KIND_TPR];
    }
    return cpu->exits_asked < VLAPIC_VMM_KINDS ? count[cpu->exits_asked] : 0;
}

/* The library's timer counts at 1 GHz, on CLOCK_MONOTONIC. */
static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t in(struct cpu *cpu)
{
    switch (cpu->run.port) {
    case GUEST_PORT_CLOCK:
        cpu->clock_latch = clock_ns();
        return (uint32_t)cpu->clock_latch;
    case GUEST_PORT_CLOCK_HIGH:
        return (uint32_t)(cpu->clock_latch >> 32);
    case GUEST_PORT_PATIENCE:
        return (uint32_t)patience;
    case GUEST_PORT_LINE:
        return __atomic_load_n(&vm.lines[cpu->line_asked].eois, __ATOMIC_ACQUIRE);
    case GUEST_PORT_MSI_DATA:
        return cpu->msi_accepted;
    case GUEST_PORT_EXITS:
        return exits(cpu);
    case GUEST_PORT_FREE:
        return cpu->run.free;
    default:
        return UINT32_MAX;
    }
}

/* --- vCPUs ------------------------------------------------------------------------------------------------------------------ */

static uint64_t *entry_of(uint64_t table, uint64_t address, int level)
{
    return (uint64_t *)(vm.memory + table - GUEST_BASE) + (address >> (12 + 9 * level) & 511);
}

/* Page tables of the guest, in the last GUEST_TABLES bytes of its memory. */
static uint64_t tables_start = GUEST_BASE + GUEST_BYTES - GUEST_TABLES, tables_end;

static void map(uint64_t address)
{
    uint64_t table = tables_start;

    for (int level = 3; level > 0; level--) {
        uint64_t *entry = entry_of(table, address, level);

        if (*entry == 0) {
            *entry = tables_end | 3;
            tables_end += PAGE;
        }
        table = *entry & ~(uint64_t)0xFFF;
    }
    *entry_of(table, address, 0) = address | 3;
}

static void make_tables(void)
{
    tables_end = tables_start + PAGE;
    for (uint64_t address = GUEST_BASE; address < GUEST_BASE + GUEST_BYTES; address += PAGE) {
        map(address);
    }
    map(GUEST_WINDOW);
    map(GUEST_WINDOW_MOVED);
}

static void start(struct cpu *cpu, uint64_t entry, uint32_t sipi_vector)
{
    struct vlapic_vmm_regs regs = { .rip = entry, .rflags = 2, .cr3 = tables_start };

    regs.general[RDI] = cpu->index;
    regs.general[RSI] = vm.payload;
    regs.general[RDX] = GUEST_FEATURE_X2APIC | GUEST_FEATURE_DEADLINE | GUEST_FEATURE_MOVE | GUEST_FEATURE_SNAPSHOT |
                        GUEST_FEATURE_DEVICES;
    regs.general[RCX] = CPUS;
    regs.general[R8] = sipi_vector;
    if (ioctl(cpu->fd, VLAPIC_VMM_SET_REGS, &regs) != 0) {
        fail("SET_REGS: %s", strerror(errno));
    }
}

static void serve(struct cpu *cpu)
{
    struct vlapic_vmm_run *run = &cpu->run;

    switch (run->reason) {
    case VLAPIC_VMM_IO:
        if (run->write != 0) {
            out(cpu, run->value);
        } else {
            run->value = in(cpu);
        }
        break;
    case VLAPIC_VMM_EOI:
        take_eoi((uint8_t)run->vector);
        break;
    case VLAPIC_VMM_SIPI:
        start(cpu, header()->ap_entry, run->vector);
        break;
    default:
        fail("vCPU %u at %llx: exit %llx (%llx, %llx)", cpu->index, run->rip, run->exit_code, run->exit_info[0],
             run->exit_info[1]);
    }
}

/* A signal ends RUN; whoever sends it goes on sending until the thread is over. */
static void *run_cpu(void *argument)
{
    struct cpu *cpu = argument;

    while (!__atomic_load_n(&vm.ended, __ATOMIC_ACQUIRE)) {
        if (ioctl(cpu->fd, VLAPIC_VMM_RUN, &cpu->run) == 0) {
            serve(cpu);
        } else if (errno != EINTR) {
            fail("RUN: %s", strerror(errno));
        }
    }
    return NULL;
}

/* --- a VM for each payload --------------------------------------------------------------------------------------------------- */

static void make_vm(uint32_t payload)
{
    struct vlapic_vmm_memory memory = { .guest_physical = GUEST_BASE, .bytes = GUEST_BYTES };

    memset(&vm, 0, sizeof(vm));
    vm.payload = payload;
    vm.fd = ioctl(device, VLAPIC_VMM_CREATE_VM);
    vm.memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm.fd < 0 || vm.memory == MAP_FAILED) {
        die("VM");
    }
    memcpy(vm.memory, image, image_bytes);
    make_tables();
    memory.user_address = (uintptr_t)vm.memory;
    if (ioctl(vm.fd, VLAPIC_VMM_SET_MEMORY, &memory) != 0) {
        die("SET_MEMORY");
    }
    for (uint32_t i = 0; i < CPUS; i++) {
        vm.cpus[i].index = i;
        vm.cpus[i].fd = ioctl(vm.fd, VLAPIC_VMM_CREATE_VCPU, (unsigned long)i);
        if (vm.cpus[i].fd < 0) {
            die("CREATE_VCPU");
        }
    }
}

static void end_vm(void)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        close(vm.cpus[i].fd);
    }
    close(vm.fd);
    munmap(vm.memory, GUEST_BYTES);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void run_threads(void)
{
    uint64_t limit = clock_ns() + LIMIT_SECONDS * 1000000000ull;

    start(&vm.cpus[0], header()->entry, 0);
    for (uint32_t i = 0; i < CPUS; i++) {
        if (pthread_create(&vm.cpus[i].thread, NULL, run_cpu, &vm.cpus[i]) != 0) {
            die("thread");
        }
    }
    place_all(0);
    while (!__atomic_load_n(&vm.ended, __ATOMIC_ACQUIRE)) {
        sleep_ms(1);
        if (clock_ns() > limit) {
            fail("no verdict (vCPU 0: %u, %u exits of HLT, %u by interrupts)", vm.cpus[0].run.reason,
                 vm.cpus[0].run.exits[VLAPIC_VMM_KIND_HLT], vm.cpus[0].run.exits[VLAPIC_VMM_KIND_INTERRUPT]);
        }
    }
    for (uint32_t i = 0; i < CPUS; i++) {
        while (pthread_tryjoin_np(vm.cpus[i].thread, NULL) != 0) {
            pthread_kill(vm.cpus[i].thread, SIGUSR1);
            sleep_ms(1);
        }
    }
}

static bool run_payload(uint32_t payload)
{
    make_vm(payload);
    run_threads();
    end_vm();
    return vm.verdict == 0;
}

/* --- from outside ----------------------------------------------------------------------------------------------------------- */

static void load_image(void)
{
    int fd = open(image_file, O_RDONLY);
    off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

    if (bytes <= 0 || bytes > (off_t)(GUEST_BYTES - GUEST_TABLES)) {
        die(image_file);
    }
    image_bytes = (size_t)bytes;
    image = malloc(image_bytes);
    if (image == NULL || pread(fd, image, image_bytes, 0) != bytes || header()->magic != GUEST_MAGIC) {
        die(image_file);
    }
    close(fd);
}

static uint64_t rdtsc(void)
{
    return __builtin_ia32_rdtsc();
}

static void measure_patience(void)
{
    uint64_t tsc = rdtsc(), ns = clock_ns(), ticks;

    sleep_ms(20);
    ticks = (rdtsc() - tsc) * 1000 / ((clock_ns() - ns) / 1000000) * PATIENCE_SECONDS;
    patience = ticks < UINT32_MAX ? ticks : UINT32_MAX;
}

/* A guest: APIC enabled by software, one-shot timer of 200 ms, verdict. Each store is MOV EAX, address; MOV [RAX], value. */
#define STORE(offset, value)                                                                                           \
    0xB8, (offset)&0xFF, (offset) >> 8, 0xE0, 0xFE, 0xC7, 0x00, (value)&0xFF, (value) >> 8 & 0xFF, 0, (value) >> 24
static const uint8_t start_timer[] = {
    STORE(0x0F0, 0x1FF),
    STORE(0x320, 0xA1),
    STORE(0x3E0, 0xB),
    STORE(0x380, 0x0C000000),
    0x66,
    0xBA,
    GUEST_PORT_VERDICT & 0xFF,
    GUEST_PORT_VERDICT >> 8,
    0x31,
    0xC0,
    0xEF,
};

static int hold(void)
{
    make_vm(0);
    close(device);
    memcpy(vm.memory, start_timer, sizeof(start_timer));
    start(&vm.cpus[0], GUEST_BASE, 0);
    run_cpu(&vm.cpus[0]);
    close(vm.cpus[1].fd);
    close(vm.fd);
    puts("holding");
    fflush(stdout);
    pause();
    return 0;
}

static bool is_wanted(const char *name, char **names)
{
    bool wanted = *names == NULL || **names == '-';

    for (; *names != NULL; names++) {
        if (strcmp(name, *names + (**names == '-')) == 0) {
            wanted = **names != '-';
        }
    }
    return wanted;
}

static void on_signal(int number)
{
    (void)number;
}

int main(int argc, char **argv)
{
    bool loop = argc > 2 && strcmp(argv[2], "--loop") == 0;
    char **names = &argv[loop ? 3 : 2];
    uint32_t passed = 0, failed = 0;

    if (argc < 2) {
        fprintf(stderr, "vlapic-run IMAGE [--loop] [PAYLOAD...]\n");
        return 2;
    }
    sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL); /* without SA_RESTART */
    image_file = argv[1];
    load_image();
    measure_patience();
    host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    device = open("/dev/vlapic-vmm", O_RDWR);
    if (device < 0) {
        die("/dev/vlapic-vmm");
    }
    if (argc > 2 && strcmp(argv[2], "--hold") == 0) {
        return hold();
    }
    do {
        for (uint32_t i = 0; i < header()->payload_count; i++) {
            bool is_physical = (payloads()[i].needs & GUEST_NEEDS_PHYSICAL) != 0; /* about the machine's own APICs */

            if (is_wanted(payloads()[i].name, names) && !is_physical) {
                *(run_payload(i) ? &passed : &failed) += 1;
            }
        }
    } while (loop);
    printf("RESULT %u passed, %u failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
