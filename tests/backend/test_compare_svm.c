/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random sequences on the soft backend and on the svm backend at every level, and with AVIC under every reading of what the manual leaves
 * open. The fuzzer fuzz_svm does the same for as long as one likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compare.h"
#include "random_bytes.h"
#include "side_svm.h"
#include "svmhw_readings.h"

#define AVIC ((uint32_t)VLAPIC_SVM_AVIC)
#define X2AVIC (AVIC | VLAPIC_SVM_X2AVIC)
#define ALL (X2AVIC | VLAPIC_SVM_X2AVIC_EXT | VLAPIC_SVM_VNMI)

static void run_level(void **state)
{
    uint32_t features = *(const uint32_t *)*state;

    random_sequences(&side_svm, features, 1500);
}

static const struct {
    const char *name;
    uint32_t features;
} levels[] = {
    { "plain SVM", 0 },
    { "plain SVM without nRIP and decode assists", SIDE_SVM_NO_ASSISTS },
    { "vNMI", VLAPIC_SVM_VNMI },
    { "AVIC", AVIC },
    { "x2AVIC alone", VLAPIC_SVM_X2AVIC },
    { "AVIC and x2AVIC", X2AVIC },
    { "4096 vCPUs and vNMI", ALL },
    { "erratum 1235", ALL | SIDE_SVM_ERRATUM_1235 },
    { "undefined bits are noise", ALL | SIDE_SVM_POISON },
    { "all EOIs watched", ALL | SIDE_SVM_EOI_WATCHED },
};
#define LEVELS (sizeof levels / sizeof levels[0])

/* Under each of them the backend has to be right. */
static void every_reading_of_the_manual(void **state)
{
    struct svmhw_variant variant;

    (void)state;
    for (unsigned n = 1; svmhw_variant(n, &variant); n++) {
        if (variant.required) {
            print_message("A%u: %s\n", variant.ambiguity,
                          svmhw_ambiguities[variant.ambiguity].readings[variant.reading].means);
            random_sequences(&side_svm, ALL | SIDE_SVM_POISON | n << SIDE_SVM_VARIANT_SHIFT, 300);
            random_sequences(&side_svm, AVIC | n << SIDE_SVM_VARIANT_SHIFT, 200);
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[LEVELS + 1];

    for (unsigned i = 0; i < LEVELS; i++) {
        tests[i] = (struct CMUnitTest){ .name = levels[i].name,
                                        .test_func = run_level,
                                        .initial_state = (void *)(uintptr_t)&levels[i].features };
    }
    tests[LEVELS] = (struct CMUnitTest)cmocka_unit_test(every_reading_of_the_manual);
    return cmocka_run_group_tests_name("soft against svm", tests, NULL, NULL);
}
