/* The reference of the networks' kernel: one fused multiply-add a tap, in the
 * order of the taps. What other kernels give is compared with this bit by bit. */
#include <math.h>

#include "network_internal.h"

/* Pixels at a time: the sums stay in the cache beside what the taps read. */
enum { BLOCK = 64 };

static void sum_block(const struct taps *taps, int out, float bias, size_t first, size_t count,
                      float sum[BLOCK]) {
    for (size_t p = 0; p < count; p++) sum[p] = bias;
    for (size_t t = 0; t < taps->count; t++) {
        float weight = taps->weight[t * TILE_OUTS + (size_t)out];
        const float *in = taps->at[t] + first;
        for (size_t p = 0; p < count; p++) sum[p] = fmaf(weight, in[p], sum[p]);
    }
}

void network_kernel_plain(const struct taps *taps, const float bias[TILE_OUTS], bool relu,
                          size_t length, float *const out[TILE_OUTS]) {
    float sum[BLOCK];
    for (size_t first = 0; first < length; first += BLOCK) {
        size_t count = length - first < BLOCK ? length - first : BLOCK;
        for (int o = 0; o < TILE_OUTS; o++) {
            sum_block(taps, o, bias[o], first, count, sum);
            for (size_t p = 0; p < count; p++)
                out[o][first + p] = relu && !(sum[p] > 0) ? 0 : sum[p];
        }
    }
}
