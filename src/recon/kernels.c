/* The plain row kernels: rows of pixels into the state of one brick.
 *
 * A kernel first turns positions into voxel numbers for a chunk of a row, in a
 * loop that compilers vectorise, then adds the pixels one by one, so that
 * pixels of one voxel are added in the order of the row. kernel_tmpl.h is
 * included once per pixel type. Kernels for other processor levels go into
 * tables of the same shape and must give the same bits. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel_state.h"

/* The loops over positions may write BLOCK - 1 further. */
enum { BLOCK = 8 };

/* ---- positions --------------------------------------------------------------- */

/* Whole blocks, so that vectorised loops have no remainders. */
static inline uint32_t whole_blocks(uint32_t count) { return (count + BLOCK - 1) / BLOCK * BLOCK; }

static inline void nearest_voxels(const chunk *c, uint32_t *voxel) {
    uint64_t x = c->x, y = c->y, z = c->z;
    const uint64_t dx = c->dx, dy = c->dy, dz = c->dz;
    const uint32_t count = whole_blocks(c->count);
    for (uint32_t i = 0; i < count; i++) {
        voxel[i] = (uint32_t)(x >> FRACTION | y >> FRACTION << 4 | z >> FRACTION << 8);
        x += dx;
        y += dy;
        z += dz;
    }
}

/* Lowest of the 8 voxels, and how far the pixel is from it, 24 bits exactly. */
typedef struct corners {
    uint32_t voxel[CHUNK];
    float x[CHUNK], y[CHUNK], z[CHUNK];
} corners;

static inline float fraction_of(uint64_t position) {
    return (float)(int32_t)(position >> (FRACTION - 24) & 0xffffff) * 0x1p-24f;
}

static inline void linear_corners(const chunk *c, corners *out) {
    uint64_t x = c->x, y = c->y, z = c->z;
    const uint64_t dx = c->dx, dy = c->dy, dz = c->dz;
    const uint32_t count = whole_blocks(c->count);
    for (uint32_t i = 0; i < count; i++) {
        out->voxel[i] = (uint32_t)(x >> FRACTION) + RIM_ROW * (uint32_t)(y >> FRACTION) +
                        RIM_SLICE * (uint32_t)(z >> FRACTION);
        out->x[i] = fraction_of(x);
        out->y[i] = fraction_of(y);
        out->z[i] = fraction_of(z);
        x += dx;
        y += dy;
        z += dz;
    }
}

/* The weight of each corner. */
static inline void corner_weights(const corners *at, uint32_t i, float weight[8]) {
    float x1 = at->x[i], y1 = at->y[i], z1 = at->z[i];
    float x0 = 1 - x1, y0 = 1 - y1, z0 = 1 - z1;
    float yz[4] = {y0 * z0, y1 * z0, y0 * z1, y1 * z1};
    for (int c = 0; c < 4; c++) {
        weight[2 * c] = yz[c] * x0;
        weight[2 * c + 1] = yz[c] * x1;
    }
}

static inline void weigh_corners(float weight[8], uint8_t mask) {
    const float part = importance(mask);
    for (int k = 0; k < 8; k++) weight[k] *= part;
}

/* ---- states that do not depend on the pixel type ------------------------------ */

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

static void deepen_few(void *state, void *deep) {
    uint32_t *few = ((few_state *)state)->voxel;
    uint64_t *packed = deep;
    for (size_t i = 0; i < ES_BRICK_VOXELS; i++) packed[i] += unpack_few(few[i]);
    memset(few, 0, ES_BRICK_VOXELS * sizeof *few);
}

static uint32_t most_of_few(const void *state) {
    const uint32_t *few = ((const few_state *)state)->voxel;
    uint32_t most = 0;
    for (size_t i = 0; i < ES_BRICK_VOXELS; i++) most = few[i] > most ? few[i] : most;
    return most >> FEW_SHIFT;
}

static double spread_of(double sum, double squares, double weight) {
    double mean = sum / weight, variance = squares / weight - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

static inline reading reading_of_sums(const sums *s) {
    return (reading){s->weight > 0 ? s->sum / s->weight : 0, s->weight, 0};
}

static inline reading reading_of_sums_spread(const sums_spread *s) {
    if (!(s->weight > 0)) return (reading){0};
    return (reading){s->sum / s->weight, s->weight, spread_of(s->sum, s->squares, s->weight)};
}

static inline void add_to_frame(frames *s, uint32_t frame, float weight, double value,
                                bool latest) {
    start_frame(s, frame, latest);
    s->sum += (double)weight * value;
    s->weight += weight;
    s->total += weight;
}

static inline reading reading_of_frames(const frames *state, bool latest) {
    frames s = *state;
    close_frame(&s, latest);
    return (reading){s.best, s.best_weight > 0 ? (double)s.total : 0, 0};
}
static inline reading reading_of_latest(const frames *s) { return reading_of_frames(s, true); }
static inline reading reading_of_largest(const frames *s) { return reading_of_frames(s, false); }

/* Rounds to the nearest whole number, halves away from zero, as es_type_set
 * does; for numbers that are known to fit. */
static inline int64_t rounded(double value) {
    int64_t whole = (int64_t)value;
    double rest = value - (double)whole;
    return whole + (rest >= 0.5) - (rest <= -0.5);
}

/* Rows of readings and of pixels out of a state. */
#define READ_ROWS(name, state_type, reading_of)                                                    \
    static void name(const void *state, const void *deep, size_t first, uint32_t count,            \
                     reading *out) {                                                               \
        const state_type *s = (const state_type *)state + first;                                   \
        (void)deep;                                                                                \
        for (uint32_t i = 0; i < count; i++) out[i] = reading_of(s + i);                           \
    }
#define VALUE_ROWS(name, state_type, reading_of)                                                   \
    static void name(const void *state, const void *deep, size_t first, uint32_t count,            \
                     void *out) {                                                                  \
        const state_type *s = (const state_type *)state + first;                                   \
        (void)deep;                                                                                \
        for (uint32_t i = 0; i < count; i++)                                                       \
            ((PIXEL *)out)[i] = TO_PIXEL(reading_of(s + i).value);                                 \
    }

READ_ROWS(read_sums, sums, reading_of_sums)
READ_ROWS(read_sums_spread, sums_spread, reading_of_sums_spread)
READ_ROWS(read_latest, frames, reading_of_latest)
READ_ROWS(read_largest, frames, reading_of_largest)

/* Neighbouring pixels mostly fall into one voxel, and adding to memory that was
 * just written is slow; so four quarters of the run go side by side. Whole
 * numbers have the same sum in any order. */
#define MEAN_CHUNK(name, word, one_hit)                                                            \
    static inline void name(word *voxels, const chunk *c) {                                        \
        const PIXEL *pixels = c->pixels;                                                           \
        uint32_t voxel[CHUNK];                                                                     \
        nearest_voxels(c, voxel);                                                                  \
        const uint32_t quarter = c->keep ? 0 : c->count / 4;                                       \
        for (uint32_t i = 0; i < quarter; i++)                                                     \
            for (uint32_t part = 0, k = i; part < 4; part++, k += quarter)                         \
                voxels[voxel[k]] += (one_hit) + (word)(pixels[k] - LOWEST);                        \
        for (uint32_t i = 4 * quarter; i < c->count; i++)                                          \
            if (!c->keep || c->keep[i])                                                            \
                voxels[voxel[i]] += (one_hit) + (word)(pixels[i] - LOWEST);                        \
    }

/* ---- one table per pixel type --------------------------------------------------- */

#define KERNEL_TEMPLATE "kernel_tmpl.h"
#include "kernel_types.h"

kernel kernel_find(const es_recon_options *options, es_cpu level) {
    static const kernel(*const plain[])[3][4] = {
        [ES_U8] = kernels_u8,   [ES_I8] = kernels_i8,   [ES_U16] = kernels_u16,
        [ES_I16] = kernels_i16, [ES_U32] = kernels_u32, [ES_I32] = kernels_i32,
        [ES_F32] = kernels_f32, [ES_F64] = kernels_f64,
    };
    const int kind = options->spread + 2 * (options->mask != NULL);
    kernel found = plain[options->type][options->interpolation][options->compounding][kind];
    found.insert = found.insert_kept;
    found.estimate = find_estimate(level);
    if (level >= ES_CPU_AVX2) use_avx2(options, &found);
    return found;
}
