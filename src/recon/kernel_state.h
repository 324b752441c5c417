/* What the plain kernels and those of one processor share: chunks of rows and
 * the states of voxels. Kernels of every level work on the same states. */
#ifndef KERNEL_STATE_H
#define KERNEL_STATE_H

#include "recon_internal.h"

/* ---- chunks ------------------------------------------------------------------ */

/* A chunk of a span: a copy, so that compilers know that no store changes it. */
typedef struct chunk {
    const void *pixels;
    const uint8_t *keep;
    uint64_t x, y, z, dx, dy, dz;
    uint32_t count;
} chunk;

static inline chunk make_chunk(const tile *t, const row_span *span, uint32_t first,
                               size_t pixel_bytes) {
    return (chunk){.pixels = (const char *)span->pixels + first * pixel_bytes,
                   .keep = span->keep ? span->keep + first : NULL,
                   .x = span->at[0] + first * t->step[0],
                   .y = span->at[1] + first * t->step[1],
                   .z = span->at[2] + first * t->step[2],
                   .dx = t->step[0],
                   .dy = t->step[1],
                   .dz = t->step[2],
                   .count = span->count - first < CHUNK ? span->count - first : CHUNK};
}

/* Runs the statement for every chunk `c` of every span of the tile. */
#define FOR_EACH_CHUNK(t, pixel_bytes, statement)                                                  \
    for (uint32_t s_ = 0; s_ < (t)->count; s_++)                                                   \
        for (uint32_t first_ = 0; first_ < (t)->spans[s_].count; first_ += CHUNK) {                \
            const chunk c = make_chunk(t, &(t)->spans[s_], first_, pixel_bytes);                   \
            statement;                                                                             \
        }

/* ---- states that do not depend on the pixel type ------------------------------ */

/* NEAREST MEAN of small integers: hits in the upper 24 bits, sum of value -
 * lowest in the lower 40: one addition a pixel. */
enum { COUNT_SHIFT = 40 };
#define ONE_HIT ((uint64_t)1 << COUNT_SHIFT)
#define SUM_MASK (ONE_HIT - 1)

typedef struct packed_spread {
    uint64_t packed, squares;
} packed_spread;

/* NEAREST LATEST and MAXIMUM, per pixel type: the value kept, and hits up to
 * the most that fit. */
#define DEFINE_PICKED                                                                              \
    typedef struct NAME(picked) {                                                                  \
        PIXEL value;                                                                               \
        HITS hits;                                                                                 \
    } NAME(picked)

/* Sums in double: the wide types, and all of LINEAR. */
typedef struct sums {
    double sum, weight;
} sums;
typedef struct sums_spread {
    double sum, weight, squares;
} sums_spread;

/* What a pixel counts by its mask; exactly 1 at 255. */
static inline float importance(uint8_t weight) { return (float)weight / 255.0f; }

/* ---- names per pixel type ------------------------------------------------------- */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)

/* Puts what one processor level has in place of the plain functions. */
void use_avx2(const es_recon_options *options, kernel *k);

#endif
