/* The networks' kernel with AVX2: four outputs of 24 neighbouring pixels at
 * once. Their twelve sums fill twelve of the sixteen registers, so a step of
 * twelve fused multiply-adds costs three loads of pixels and four of weights,
 * and the multipliers never wait for memory. */
#include "network_internal.h"

#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#include <immintrin.h>

enum { LANES = 8, VECTORS = 3, BLOCK = LANES * VECTORS };
_Static_assert((int)BLOCK <= (int)TILE_MOST, "the planes leave that much room behind them");

static inline void store(float *out, __m256 sum, bool relu) {
    _mm256_storeu_ps(out, relu ? _mm256_max_ps(sum, _mm256_setzero_ps()) : sum);
}

static inline void block(const struct taps *taps, const float *bias, bool relu, size_t first,
                         float *const out[TILE_OUTS]) {
    __m256 sum[TILE_OUTS][VECTORS];
    for (int o = 0; o < TILE_OUTS; o++)
        for (int v = 0; v < VECTORS; v++) sum[o][v] = _mm256_set1_ps(bias[o]);
    const float *weight = taps->weight;
    for (size_t t = 0; t < taps->count; t++, weight += TILE_OUTS) {
        const float *in = taps->at[t] + first;
        __m256 a = _mm256_loadu_ps(in), b = _mm256_loadu_ps(in + LANES);
        __m256 c = _mm256_loadu_ps(in + 2 * LANES);
        for (int o = 0; o < TILE_OUTS; o++) {
            __m256 w = _mm256_broadcast_ss(weight + o);
            sum[o][0] = _mm256_fmadd_ps(w, a, sum[o][0]);
            sum[o][1] = _mm256_fmadd_ps(w, b, sum[o][1]);
            sum[o][2] = _mm256_fmadd_ps(w, c, sum[o][2]);
        }
    }
    for (int o = 0; o < TILE_OUTS; o++)
        for (int v = 0; v < VECTORS; v++) store(out[o] + first + LANES * v, sum[o][v], relu);
}

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
