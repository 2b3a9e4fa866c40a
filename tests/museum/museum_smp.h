/* SPDX-License-Identifier: BSD-2-Clause */
/* For museum tests with several vCPUs: one poll as a value, and who of them got a message. At most 32 vCPUs. */
#ifndef TESTS_MUSEUM_MUSEUM_SMP_H
#define TESTS_MUSEUM_MUSEUM_SMP_H

#include "museum.h"
#include "reception.h"

#define TO(id) ((uint32_t)(id) << 24) /* ICR high of xAPIC mode */
#define FIXED 0x4000u
#define LOGICAL 0x0800u
#define NMI 0x4400u
#define SMI 0x4200u
#define INIT 0x4500u
#define SIPI(page) (0x4600u | (page))

static inline struct vlapic_poll museum_poll(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty;

    memset(&duty, 0x5A, sizeof duty);
    vlapic_cpu_poll(cpu, &duty);
    return duty;
}

/* The poll reports nothing at all, not even that the vCPU waits for SIPI. */
static inline void museum_idle(struct vlapic_cpu *cpu)
{
    struct vlapic_poll duty = museum_poll(cpu);

    assert_false(duty.init || duty.sipi || duty.nmi || duty.smi || duty.extint_message || duty.extint);
    assert_false(duty.wait_for_sipi);
    assert_int_equal(duty.vector, -1);
}

/* Bit n is set if vCPU n got this vector, once and as an edge; it is taken and ended. Anything else that came fails the
 * test. */
static inline uint32_t museum_takers(struct fake_vm *f, uint8_t vector)
{
    uint32_t takers = 0;

    for (unsigned i = 0; i < f->cpu_count; i++) {
        struct reception got = receive(fake_cpu_at(f, i));
        struct reception expected = { .vectors = got.vectors != 0, .vector = got.vectors != 0 ? vector : 0 };

        assert_reception(&expected, &got, "takers", i);
        takers |= (uint32_t)(got.vectors != 0) << i;
    }
    return takers;
}

/* Bit n is set if vCPU n got an INIT, once; it is taken. Anything else that came fails the test. */
static inline uint32_t museum_inits(struct fake_vm *f)
{
    uint32_t inits = 0;

    for (unsigned i = 0; i < f->cpu_count; i++) {
        struct vlapic_cpu *cpu = fake_cpu_at(f, i);
        struct reception got = receive(cpu);
        struct reception expected = { .init = got.init };

        assert_reception(&expected, &got, "inits", i);
        if (got.init) {
            vlapic_cpu_take_init(cpu);
            assert_false(museum_poll(cpu).init);
            inits |= 1u << i;
        }
    }
    return inits;
}

/* All vCPUs into the guest, where everything that is news to them kicks. */
static inline void museum_enter_all(struct fake_vm *f)
{
    for (unsigned i = 0; i < f->cpu_count; i++) {
        assert_int_equal(poll_vector(fake_cpu_at(f, i)), -1);
        assert_true(vlapic_cpu_enter(fake_cpu_at(f, i)));
    }
    fake_forget(f);
}

static inline void museum_exit_all(struct fake_vm *f)
{
    for (unsigned i = 0; i < f->cpu_count; i++)
        vlapic_cpu_exit(fake_cpu_at(f, i));
}

#endif
