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

/* A chunk may begin and end anywhere in lines of cache: two of bytes. */
static inline void fetch_ahead(const tile *t, const void *pixels, size_t bytes) {
    const uintptr_t ahead = (uintptr_t)pixels + t->ahead;
    __builtin_prefetch((const void *)ahead, 0, 2);
    __builtin_prefetch((const void *)(ahead + bytes), 0, 2);
}

static inline __attribute__((always_inline)) row_span tile_span(const tile *t, uint32_t index) {
    const layout *l = &t->layout;
    const row_cut *cut = &t->cuts[index];
    const uint32_t u = cut->pixels.from;
    row_span span = {.pixels = l->pixels + cut->v * l->row_bytes + (u - l->u0) * l->pixel_bytes,
                     .keep = l->keep ? l->keep + cut->v * l->keep_row + (u - l->u0) : NULL,
                     .count = cut->pixels.to - u};
    for (int a = 0; a < 3; a++)
        span.at[a] = (uint64_t)row_start(l->start[a], l->dv[a], cut->v) + u * l->step[a];
    return span;
}

static inline chunk make_chunk(const tile *t, const row_span *span, uint32_t first,
                               size_t pixel_bytes) {
    const char *pixels = (const char *)span->pixels + first * pixel_bytes;
    fetch_ahead(t, pixels, (CHUNK - 1) * pixel_bytes);
    return (chunk){.pixels = pixels,
                   .keep = span->keep ? span->keep + first : NULL,
                   .x = span->at[0] + first * t->layout.step[0],
                   .y = span->at[1] + first * t->layout.step[1],
                   .z = span->at[2] + first * t->layout.step[2],
                   .dx = t->layout.step[0],
                   .dy = t->layout.step[1],
                   .dz = t->layout.step[2],
                   .count = span->count - first < CHUNK ? span->count - first : CHUNK};
}

/* Runs the statement for every chunk `c` of every span of the tile. */
#define FOR_EACH_CHUNK(t, pixel_bytes, statement)                                                  \
    for (uint32_t s_ = 0; s_ < (t)->count; s_++) {                                                 \
        const row_span span_ = tile_span(t, s_);                                                   \
        for (uint32_t first_ = 0; first_ < span_.count; first_ += CHUNK) {                         \
            const chunk c = make_chunk(t, &span_, first_, pixel_bytes);                            \
            statement;                                                                             \
        }                                                                                          \
    }

/* ---- states that do not depend on the pixel type ------------------------------ */

/* NEAREST MEAN of small integers: hits in the upper 24 bits, sum of value -
 * lowest in the lower 40: one addition a pixel. */
enum { COUNT_SHIFT = 40 };
#define ONE_HIT ((uint64_t)1 << COUNT_SHIFT)
#define SUM_MASK (ONE_HIT - 1)

/* The same of bytes: hits in the upper 12 bits, sum in the lower 20; 4095 hits have a sum
 * below 2^20. A brick is 16 KiB, which stay in the first-level cache. What does not fit
 * goes into 64 bits a voxel, as above: the deep part. Up to BESIDE voxels before the
 * brick's first and after its last may be written, with nothing in them. */
enum { FEW_SHIFT = 20, FEW_HITS = 4095, BESIDE = 16 };
#define ONE_OF_FEW ((uint32_t)1 << FEW_SHIFT)
typedef struct few_state {
    uint32_t before[BESIDE], voxel[ES_BRICK_VOXELS], after[BESIDE];
} few_state;

/* A voxel of the state as those of the deep part are. */
static inline uint64_t unpack_few(uint32_t few) {
    return (uint64_t)(few >> FEW_SHIFT) << COUNT_SHIFT | (few & (ONE_OF_FEW - 1));
}

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

/* LINEAR LATEST and MAXIMUM: the weighted mean of the frame in hand, and the
 * best of the frames before it. */
typedef struct frames {
    double sum, best;
    float weight, best_weight; /* best_weight 0: none before */
    float total;               /* weights of all frames */
    uint32_t frame;
} frames;

/* The nearest corner of a pixel gets at least 1/8, but for rounding. */
static const float SPEAKS = 0.1249999f;

static inline bool replaces(const frames *s, double mean, bool latest) {
    bool speaks = s->weight >= SPEAKS, spoke = s->best_weight >= SPEAKS;
    if (speaks && spoke) return latest || mean > s->best;
    if (!speaks && !spoke) return s->weight > s->best_weight;
    return speaks;
}

static inline void close_frame(frames *s, bool latest) {
    if (!(s->weight > 0)) return;
    double mean = s->sum / (double)s->weight;
    if (replaces(s, mean, latest)) {
        s->best = mean;
        s->best_weight = s->weight;
    }
    s->sum = 0;
    s->weight = 0;
}

/* The frame in hand becomes `frame`. */
static inline void start_frame(frames *s, uint32_t frame, bool latest) {
    if (s->frame == frame) return;
    close_frame(s, latest);
    s->frame = frame;
}

/* The element of each corner relative to the lowest of LINEAR. */
static const uint32_t corner_step[8] = {0,
                                        1,
                                        RIM_ROW,
                                        RIM_ROW + 1,
                                        RIM_SLICE,
                                        RIM_SLICE + 1,
                                        RIM_SLICE + RIM_ROW,
                                        RIM_SLICE + RIM_ROW + 1};

/* What a pixel counts by its mask; exactly 1 at 255. */
static inline float importance(uint8_t weight) { return (float)weight / 255.0f; }

/* ---- names per pixel type ------------------------------------------------------- */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)

/* Puts what one processor level has in place of the plain functions. */
void use_avx2(const es_recon_options *options, kernel *k);

#endif
