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
#include "random_bytes.h"

static void run_level(void **state)
{
    const struct vmx_level *level = *state;

    random_sequences(&side_vmx, level->features, 600);
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
