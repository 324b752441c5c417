/* The estimate of where rows meet a box once more, compiled for AVX2. */
#include "recon_internal.h"

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#include "place_rows.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

estimate_rows_fn *find_estimate(es_cpu level) {
    return level >= ES_CPU_AVX2 ? estimate_rows : NULL;
}

#else

estimate_rows_fn *find_estimate(es_cpu level) {
    (void)level;
    return NULL;
}

#endif
