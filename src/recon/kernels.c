/* The plain row kernels: a run of pixels into the state of one brick.
 *
 * A kernel first turns positions into voxel numbers for a chunk of the row, in
 * a loop that compilers vectorise, then adds the pixels one by one, so that
 * pixels of one voxel are added in the order of the row. kernel_tmpl.h is
 * included once per pixel type. Kernels for other processor levels go into
 * tables of the same shape and must give the same bits. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "recon_internal.h"

enum { CHUNK = 256 };

/* ---- positions --------------------------------------------------------------- */

static inline uint32_t chunk_of(const row_span *span, uint32_t first) {
    return span->count - first < CHUNK ? span->count - first : CHUNK;
}

static inline void nearest_voxels(const row_span *span, uint32_t first, uint32_t count,
                                  uint32_t *voxel) {
    uint64_t x = span->at[0] + first * span->step[0], dx = span->step[0];
    uint64_t y = span->at[1] + first * span->step[1], dy = span->step[1];
    uint64_t z = span->at[2] + first * span->step[2], dz = span->step[2];
    for (uint32_t i = 0; i < count; i++) {
        voxel[i] = (uint32_t)(x >> FRACTION | y >> FRACTION << 4 | z >> FRACTION << 8);
        x += dx;
        y += dy;
        z += dz;
    }
}

/* Lowest of the 8 voxels, and how far the pixel is from it, 24 bits exactly. */
typedef struct corner {
    uint32_t voxel;
    float x, y, z;
} corner;

static inline float fraction_of(uint64_t position) {
    return (float)(int32_t)(position >> (FRACTION - 24) & 0xffffff) * 0x1p-24f;
}

static inline void linear_corners(const row_span *span, uint32_t first, uint32_t count,
                                  corner *corners) {
    uint64_t x = span->at[0] + first * span->step[0], dx = span->step[0];
    uint64_t y = span->at[1] + first * span->step[1], dy = span->step[1];
    uint64_t z = span->at[2] + first * span->step[2], dz = span->step[2];
    for (uint32_t i = 0; i < count; i++) {
        corners[i].voxel =
            (uint32_t)((x >> FRACTION) + RIM_ROW * (y >> FRACTION) + RIM_SLICE * (z >> FRACTION));
        corners[i].x = fraction_of(x);
        corners[i].y = fraction_of(y);
        corners[i].z = fraction_of(z);
        x += dx;
        y += dy;
        z += dz;
    }
}

/* The element of each corner relative to the lowest, and its weight. */
static const uint32_t corner_step[8] = {0,
                                        1,
                                        RIM_ROW,
                                        RIM_ROW + 1,
                                        RIM_SLICE,
                                        RIM_SLICE + 1,
                                        RIM_SLICE + RIM_ROW,
                                        RIM_SLICE + RIM_ROW + 1};

static inline void corner_weights(const corner *c, float weight[8]) {
    float x0 = 1 - c->x, y0 = 1 - c->y, z0 = 1 - c->z;
    float yz[4] = {y0 * z0, c->y * z0, y0 * c->z, c->y * c->z};
    for (int i = 0; i < 4; i++) {
        weight[2 * i] = yz[i] * x0;
        weight[2 * i + 1] = yz[i] * c->x;
    }
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

static uint64_t halve(uint64_t packed) {
    return packed >> COUNT_SHIFT >> 1 << COUNT_SHIFT | (packed & SUM_MASK) >> 1;
}

static void make_room_packed(void *state) {
    uint64_t *packed = state;
    for (size_t i = 0; i < ES_BRICK_VOXELS; i++)
        if (packed[i] >> (COUNT_SHIFT + 23)) packed[i] = halve(packed[i]);
}

static void make_room_packed_spread(void *state) {
    packed_spread *voxels = state;
    for (size_t i = 0; i < ES_BRICK_VOXELS; i++)
        if (voxels[i].packed >> (COUNT_SHIFT + 23)) {
            voxels[i].packed = halve(voxels[i].packed);
            voxels[i].squares >>= 1;
        }
}

/* Sums in double: the wide types, and all of LINEAR. */
typedef struct sums {
    double sum, weight;
} sums;
typedef struct sums_spread {
    double sum, weight, squares;
} sums_spread;

static double spread_of(double sum, double squares, double weight) {
    double mean = sum / weight, variance = squares / weight - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

static void read_sums(const void *state, size_t voxel, reading *out) {
    const sums *s = (const sums *)state + voxel;
    *out = (reading){s->weight > 0 ? s->sum / s->weight : 0, s->weight, 0};
}

static void read_sums_spread(const void *state, size_t voxel, reading *out) {
    const sums_spread *s = (const sums_spread *)state + voxel;
    *out = (reading){0, s->weight, 0};
    if (!(s->weight > 0)) return;
    out->value = s->sum / s->weight;
    out->spread = spread_of(s->sum, s->squares, s->weight);
}

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

static inline void add_to_frame(frames *s, uint32_t frame, float weight, double value,
                                bool latest) {
    if (s->frame != frame) {
        close_frame(s, latest);
        s->frame = frame;
    }
    s->sum += (double)weight * value;
    s->weight += weight;
    s->total += weight;
}

static void read_frames(const void *state, size_t voxel, bool latest, reading *out) {
    frames s = ((const frames *)state)[voxel];
    close_frame(&s, latest);
    *out = (reading){s.best, s.best_weight > 0 ? (double)s.total : 0, 0};
}
static void read_latest_frame(const void *state, size_t voxel, reading *out) {
    read_frames(state, voxel, true, out);
}
static void read_largest_frame(const void *state, size_t voxel, reading *out) {
    read_frames(state, voxel, false, out);
}

/* ---- one table per pixel type --------------------------------------------------- */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)

#define SMALL 1
#define IS_FLOAT 0
#define HITS uint16_t
#define HITS_MOST UINT16_MAX
#define PIXEL uint8_t
#define LOWEST 0
#define SUFFIX u8
#include "kernel_tmpl.h"
#define PIXEL int8_t
#define LOWEST INT8_MIN
#define SUFFIX i8
#include "kernel_tmpl.h"
#define PIXEL uint16_t
#define LOWEST 0
#define SUFFIX u16
#include "kernel_tmpl.h"
#define PIXEL int16_t
#define LOWEST INT16_MIN
#define SUFFIX i16
#include "kernel_tmpl.h"
#undef SMALL
#undef HITS
#undef HITS_MOST

#define SMALL 0
#define HITS uint32_t
#define HITS_MOST UINT32_MAX
#define PIXEL uint32_t
#define LOWEST 0
#define SUFFIX u32
#include "kernel_tmpl.h"
#define PIXEL int32_t
#define LOWEST 0
#define SUFFIX i32
#include "kernel_tmpl.h"
#undef IS_FLOAT

#define IS_FLOAT 1
#define PIXEL float
#define LOWEST 0
#define SUFFIX f32
#include "kernel_tmpl.h"
#define PIXEL double
#define LOWEST 0
#define SUFFIX f64
#include "kernel_tmpl.h"

const kernel *kernel_find(const es_recon_options *options, es_cpu level) {
    static const kernel(*const plain[])[3][2] = {
        [ES_U8] = kernels_u8,   [ES_I8] = kernels_i8,   [ES_U16] = kernels_u16,
        [ES_I16] = kernels_i16, [ES_U32] = kernels_u32, [ES_I32] = kernels_i32,
        [ES_F32] = kernels_f32, [ES_F64] = kernels_f64,
    };
    (void)level; /* the plain kernels serve every level so far */
    const kernel *found =
        &plain[options->type][options->interpolation][options->compounding][options->spread];
    return found->insert ? found : NULL;
}
