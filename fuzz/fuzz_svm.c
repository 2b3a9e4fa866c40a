/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soft backend against the svm backend on the hardware model: the first byte tells the features, the second how the manual is read where
 * it leaves that open.
 */
#include "compare.h"
#include "side_svm.h"
#include "svmhw_readings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the readings that a backend has to be right under. */
static uint32_t pick_variant(uint8_t byte)
{
    struct svmhw_variant variant;
    unsigned count = 0;

    while (svmhw_variant(count, &variant)) {
        count++;
    }
    for (unsigned n = byte % count; n != 0; n--) {
        if (svmhw_variant(n, &variant) && variant.required) {
            return n << SIDE_SVM_VARIANT_SHIFT;
        }
    }
    return 0;
}

static uint32_t pick_features(uint8_t byte)
{
    static const uint32_t switches[] = { VLAPIC_SVM_AVIC,     VLAPIC_SVM_X2AVIC,   VLAPIC_SVM_X2AVIC_EXT,
                                         VLAPIC_SVM_VNMI,     SIDE_SVM_POISON,     SIDE_SVM_ERRATUM_1235,
                                         SIDE_SVM_NO_ASSISTS, SIDE_SVM_EOI_WATCHED };
    uint32_t features = 0;

    for (unsigned i = 0; i < 8; i++) {
        features |= (byte >> i & 1) != 0 ? switches[i] : 0;
    }
    return features;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2) {
        compare_run(&side_svm, pick_features(data[0]) | pick_variant(data[1]), data + 2, size - 2);
    }
    return 0;
}
