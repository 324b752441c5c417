/* Floats some at a time, as many as the processor at hand adds at once. The
 * number does not change the results. */
#ifndef RECON_FILL_VECTOR_H
#define RECON_FILL_VECTOR_H

#include "fill_internal.h"

#ifdef FILL_AVX2
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

/* Read and written through pointers. */
typedef float floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static const int32_t bit_of_lane[8] = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80};

/* -1 in the lanes whose bit is set, 0 in the others. */
static inline void make_mask(uint32_t bits, ints *out) {
    *out = ((int32_t)bits & *(const ints *)bit_of_lane) != 0;
}

/* All lanes or-ed together. */
static inline unsigned or_lanes(const ints *v) {
    uint64_t pairs[LANES / 2], all = 0;
    memcpy(pairs, v, sizeof pairs);
    for (int i = 0; i < LANES / 2; i++) all |= pairs[i];
    return (unsigned)(all | all >> 32);
}

#endif
