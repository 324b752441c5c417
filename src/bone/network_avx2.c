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

static inline vector load(const float *from) { return _mm256_loadu_ps(from); }
static inline vector broadcast(float value) { return _mm256_set1_ps(value); }
static inline vector multiply_add(vector a, vector b, vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline vector at_least_zero(vector a) { return _mm256_max_ps(a, _mm256_setzero_ps()); }
static inline void store(float *to, vector a) { _mm256_storeu_ps(to, a); }

#include "network_block.h"

void network_kernel_avx2(const struct taps *taps, const float bias[TILE_OUTS], bool relu,
                         size_t length, float *const out[TILE_OUTS]) {
    for (size_t first = 0; first < length; first += BLOCK) block(taps, bias, relu, first, out);
}

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
