/* Hole filling once more, compiled for AVX2: the same C, the same bits. */
#include "fill_internal.h"

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,popcnt")
#endif

#define FILL_AVX2
#include "fill_steps.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const fill_kernels fill_kernels_avx2 = {make_bits, fill_brick, write_brick};
#endif
