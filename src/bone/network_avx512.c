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

static inline vector load(const float *from) { return _mm512_loadu_ps(from); }
static inline vector broadcast(float value) { return _mm512_set1_ps(value); }
static inline vector multiply_add(vector a, vector b, vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline vector at_least_zero(vector a) { return _mm512_max_ps(a, _mm512_setzero_ps()); }
static inline void store(float *to, vector a) { _mm512_storeu_ps(to, a); }

#include "network_block.h"

void network_kernel_avx512(const struct taps *taps, const float bias[TILE_OUTS], bool relu,
                           size_t length, float *const out[TILE_OUTS]) {
    for (size_t first = 0; first < length; first += BLOCK) block(taps, bias, relu, first, out);
}

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
