/* SPDX-License-Identifier: BSD-2-Clause */
/* What side.features means for the svm side. */
#ifndef TESTS_BACKEND_SIDE_SVM_H
#define TESTS_BACKEND_SIDE_SVM_H

#include <vlapic/svm.h>

/* Bits 7:0: enum vlapic_svm_feature. */
#define SIDE_SVM_FEATURES 0xFFu
/* Bits 15:8: number of the variant of tests/hw/svm that is played: how the manual is read. */
#define SIDE_SVM_VARIANT_SHIFT 8
#define SIDE_SVM_VARIANT(features) ((features) >> SIDE_SVM_VARIANT_SHIFT & 0xFFu)
#define SIDE_SVM_ERRATUM_1235 (1u << 16)
#define SIDE_SVM_POISON (1u << 17)
#define SIDE_SVM_NO_ASSISTS (1u << 18)  /* no nRIP, no decode assists */
#define SIDE_SVM_EOI_WATCHED (1u << 19) /* the host wants all EOIs: no AVIC */

#endif
