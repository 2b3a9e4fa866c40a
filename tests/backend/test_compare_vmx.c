/* SPDX-License-Identifier: BSD-2-Clause */
/* Random sequences on the soft backend and on the vmx backend at every level. The fuzzer fuzz_vmx does the same for as long as one likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compare.h"
#include "levels.h"

#define SEQUENCES 600
#define BYTES 400

static uint64_t seed;

static uint8_t random_byte(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint8_t)(seed >> 56);
}

static void run_level(void **state)
{
    const struct vmx_level *level = *state;
    uint8_t bytes[BYTES];

    seed = 1 + (uint64_t)(level - vmx_levels);
    for (unsigned i = 0; i < SEQUENCES; i++) {
        for (unsigned k = 0; k < BYTES; k++) {
            bytes[k] = random_byte();
        }
        compare_run(&side_vmx, level->features, bytes, sizeof bytes);
    }
}

int main(void)
{
    struct CMUnitTest tests[VMX_LEVELS];

    for (unsigned i = 0; i < VMX_LEVELS; i++) {
        tests[i] = (struct CMUnitTest){ .name = vmx_levels[i].name,
                                        .test_func = run_level,
                                        .initial_state = (void *)(uintptr_t)&vmx_levels[i] };
    }
    return cmocka_run_group_tests_name("soft against vmx", tests, NULL, NULL);
}
