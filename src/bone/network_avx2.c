/* The networks' kernel with AVX2: twelve sums in twelve of the sixteen registers. */
#include "network_internal.h"

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#include <immintrin.h>

enum { LANES = 8, VECTORS = 3 };

typedef __m256 vector;

#define INTRINSIC(name) _mm256_##name
#define KERNEL network_kernel_avx2
#include "network_block.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
