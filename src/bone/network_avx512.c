/* The networks' kernel with AVX-512: 24 sums in 24 of the 32 registers. */
#include "network_internal.h"

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif
#include <immintrin.h>

enum { LANES = 16, VECTORS = 6 };

typedef __m512 vector;

#define INTRINSIC(name) _mm512_##name
#define KERNEL network_kernel_avx512
#include "network_block.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
