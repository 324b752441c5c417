/* The same results as the plain kernels, bit for bit, with AVX2.
 *
 * NEAREST: one pass finds the voxel numbers of 64 pixels and, as bits of a
 * word, the last pixel of each run of pixels that share a voxel; the state is
 * then touched once a run. The sum of a run of bytes is the difference of two
 * prefix sums, so that a pixel costs a few lanes and no instruction of its own.
 * Most means of bytes take a faster way: kernel_rows_avx2.h, kernel_pixels_avx2.h.
 *
 * LINEAR: weights of 8 pixels are made side by side, turned so that one register
 * holds the 8 corners of one pixel, and gathered in registers until the cell
 * changes.
 *
 * Positions are 64-bit as in the plain kernels; only their upper halves are
 * looked at. This file is compiled for AVX2 and BMI and is called only where
 * the processor has them. */
#include "kernel_state.h"

#if defined(__AVX2__) && defined(__BMI__) && defined(__BMI2__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LANES = 16 }; /* pixels of one step; arrays are read and written in whole steps */

/* ---- positions ------------------------------------------------------------------- */

/* Upper halves of eight positions. */
static inline __m256i upper_halves(__m256i a, __m256i b) {
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
}

static inline __m256i multiples(uint64_t step, int a, int b, int c, int d) {
    return _mm256_setr_epi64x((int64_t)((uint64_t)a * step), (int64_t)((uint64_t)b * step),
                              (int64_t)((uint64_t)c * step), (int64_t)((uint64_t)d * step));
}

/* One axis of a tile, shifted up so that the voxel stands in the 4 topmost
 * bits: the ways from a pixel to the even ones of 16, to the next one, and to
 * the next 16. */
enum { NEAREST_SHIFT = 64 - FRACTION - 4 };
typedef struct axis {
    __m256i even[2], one, sixteen;
} axis;

static inline void make_axes(const tile *t, axis axes[3]) {
    for (int a = 0; a < 3; a++) {
        const uint64_t step = t->layout.step[a] << NEAREST_SHIFT;
        axes[a] = (axis){{multiples(step, 0, 2, 8, 10), multiples(step, 4, 6, 12, 14)},
                         _mm256_set1_epi64x((int64_t)step),
                         _mm256_set1_epi64x((int64_t)(step << 4))};
    }
}

/* The positions of the even ones of 16 pixels along one axis. */
typedef struct place {
    __m256i even[2];
} place;

static inline place start_at(const axis *a, uint64_t first) {
    __m256i at = _mm256_set1_epi64x((int64_t)(first << NEAREST_SHIFT));
    return (place){{_mm256_add_epi64(at, a->even[0]), _mm256_add_epi64(at, a->even[1])}};
}

/* The upper halves of the positions of 16 pixels, even and odd ones; then goes on. */
typedef struct sixteen {
    __m256i even, odd;
} sixteen;

static inline sixteen next_16(const axis *a, place *at) {
    const sixteen upper = {
        upper_halves(at->even[0], at->even[1]),
        upper_halves(_mm256_add_epi64(at->even[0], a->one), _mm256_add_epi64(at->even[1], a->one))};
    at->even[0] = _mm256_add_epi64(at->even[0], a->sixteen);
    at->even[1] = _mm256_add_epi64(at->even[1], a->sixteen);
    return upper;
}

/* Their upper 16 bits, in order. */
static inline __m256i next_voxels(const axis *a, place *at) {
    const sixteen upper = next_16(a, at);
    return _mm256_blend_epi16(_mm256_srli_epi32(upper.even, 16), upper.odd, 0xaa);
}

/* ---- runs of pixels in one voxel ---------------------------------------------------- */

/* Voxel numbers of the chunk; returns a bit for the last pixel of each run. */
static inline uint64_t find_runs(const chunk *c, const axis axes[3], uint16_t voxel[CHUNK]) {
    const __m256i y_bits = _mm256_set1_epi16(0x00f0), z_bits = _mm256_set1_epi16(0x0f00);
    place x = start_at(&axes[0], c->x), y = start_at(&axes[1], c->y);
    place z = start_at(&axes[2], c->z);
    __m256i before = _mm256_setzero_si256();
    uint64_t same = 0; /* bit i: pixel i and the one before it share a voxel */
    for (uint32_t i = 0; i < c->count; i += LANES) {
        __m256i number = _mm256_srli_epi16(next_voxels(&axes[0], &x), 12);
        number = _mm256_or_si256(
            number, _mm256_and_si256(_mm256_srli_epi16(next_voxels(&axes[1], &y), 8), y_bits));
        number = _mm256_or_si256(
            number, _mm256_and_si256(_mm256_srli_epi16(next_voxels(&axes[2], &z), 4), z_bits));
        _mm256_store_si256((__m256i *)(voxel + i), number);
        __m256i shifted =
            _mm256_alignr_epi8(number, _mm256_permute2x128_si256(before, number, 0x21), 14);
        uint32_t equal = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(shifted, number));
        same |= (uint64_t)_pext_u32(equal, 0x55555555) << i;
        before = number;
    }
    return _bzhi_u64(~same >> 1, c->count - 1) | (uint64_t)1 << (c->count - 1);
}

/* Planes between voxels are met every three pixels or more often: to go through the
 * runs costs more than to go through the pixels. */
static inline bool has_short_runs(const tile *t) {
    double planes = 0;
    for (int a = 0; a < 3; a++)
        planes += fabs((double)(int64_t)t->layout.step[a]) / (double)ONE_VOXEL;
    return planes >= 0.36;
}

/* Once for each run: pixels `from` to `last` of the chunk; uses up `ends`. */
#define FOR_EACH_RUN(ends)                                                                         \
    for (uint32_t from = 0, last; (ends) && (last = (uint32_t)_tzcnt_u64(ends), true);             \
         (ends) = _blsr_u64(ends), from = last + 1)

/* ---- sums of bytes -------------------------------------------------------------------- */

/* Up to a chunk of pixels, or a copy where whole steps would be read past `end`. */
static inline const void *whole_steps(const void *pixels, uint32_t count, const void *end,
                                      size_t pixel_bytes, void *copy) {
    if ((const char *)pixels + CHUNK * pixel_bytes <= (const char *)end) return pixels;
    return memcpy(copy, pixels, count * pixel_bytes);
}

/* Sums of the 16 pixels, each with the bits of `flip` changed, up to each of
 * them, on top of the sum so far, which stands in every lane of `carry`. */
static inline __m256i next_sums(const uint8_t *pixels, uint8_t flip, __m256i *carry) {
    const __m256i top = _mm256_set1_epi16(0x0f0e);
    __m128i bytes = _mm_loadu_si128((const __m128i *)pixels);
    if (flip) bytes = _mm_xor_si128(bytes, _mm_set1_epi8((char)flip));
    const __m256i value = _mm256_cvtepu8_epi16(bytes);
    __m256i s = _mm256_add_epi16(value, _mm256_slli_si256(value, 2));
    s = _mm256_add_epi16(s, _mm256_slli_si256(s, 4));
    s = _mm256_add_epi16(s, _mm256_slli_si256(s, 8));
    __m256i half = _mm256_shuffle_epi8(s, top); /* the sum of each half, everywhere */
    s = _mm256_add_epi16(s, _mm256_permute2x128_si256(half, half, 0x08));
    s = _mm256_add_epi16(s, *carry);
    half = _mm256_shuffle_epi8(s, top);
    *carry = _mm256_permute2x128_si256(half, half, 0x11);
    return s;
}

/* sum[i] = pixels 0 to i. */
static inline void prefix_sums(const uint8_t *pixels, uint32_t count, uint8_t flip,
                               uint16_t sum[CHUNK]) {
    __m256i carry = _mm256_setzero_si256();
    for (uint32_t i = 0; i < count; i += LANES)
        _mm256_store_si256((__m256i *)(sum + i), next_sums(pixels + i, flip, &carry));
}

/* Into 32 bits a voxel, or those of the deep part. */
static inline __attribute__((always_inline)) void mean_bytes(void *voxels, bool deep,
                                                             const chunk *c, const axis axes[3],
                                                             const void *end, uint8_t flip) {
    const int shift = deep ? COUNT_SHIFT : FEW_SHIFT;
    uint8_t copy[CHUNK];
    _Alignas(32) uint16_t voxel[CHUNK], sum[CHUNK];
    prefix_sums(whole_steps(c->pixels, c->count, end, 1, copy), c->count, flip, sum);
    uint64_t before = -((uint64_t)1 << shift);
    for (uint64_t ends = find_runs(c, axes, voxel); ends; ends = _blsr_u64(ends)) {
        const uint64_t last = _tzcnt_u64(ends), here = (last << shift) + sum[last];
        if (deep)
            ((uint64_t *)voxels)[voxel[last]] += here - before;
        else
            ((uint32_t *)voxels)[voxel[last]] += (uint32_t)(here - before);
        before = here;
    }
}

/* A cut that the kernel for rows along x cannot take. */
static __attribute__((noinline)) void insert_chunks(uint32_t *voxels, const tile *t, uint32_t index,
                                                    const axis axes[3], uint8_t flip) {
    const row_span span = tile_span(t, index);
    for (uint32_t first = 0; first < span.count; first += CHUNK) {
        const chunk c = make_chunk(t, &span, first, 1);
        mean_bytes(voxels, false, &c, axes, t->end, flip);
    }
}

/* ---- rows of bytes, one after the other ----------------------------------------------- */

/* Where a row starts before it is rounded: x y z in 64-bit lanes. */
typedef struct row_walk {
    __m256i position, down;
    uint32_t next; /* row */
} row_walk;

static inline row_walk start_walk(const layout *l) {
    return (row_walk){.down = _mm256_setr_epi64x(l->dv[0], l->dv[1], l->dv[2], 0),
                      .next = UINT32_MAX};
}

/* Rows mostly follow one another. */
static inline __m256i walk_to(row_walk *walk, const layout *l, uint32_t v) {
    const int64_t rows = v;
    if (v != walk->next)
        walk->position =
            _mm256_setr_epi64x(l->start[0] + rows * l->dv[0], l->start[1] + rows * l->dv[1],
                               l->start[2] + rows * l->dv[2], 0);
    const __m256i at = walk->position;
    walk->position = _mm256_add_epi64(at, walk->down);
    walk->next = v + 1;
    return at;
}

static inline const uint8_t *cut_pixels(const layout *l, const row_cut *cut) {
    return (const uint8_t *)l->pixels + cut->v * l->row_bytes + (cut->pixels.from - l->u0);
}

/* The pixels, or a copy where `more` than `count` would reach past `end`. */
static inline const uint8_t *reachable(const uint8_t *pixels, uint32_t count, uint32_t more,
                                       const void *end, uint8_t *copy) {
    if ((const uint8_t *)end - pixels >= (ptrdiff_t)(count + more)) return pixels;
    return memcpy(copy, pixels, count);
}

#include "kernel_pixels_avx2.h"
#include "kernel_rows_avx2.h"

static inline __attribute__((always_inline)) void insert_bytes(void *state, const tile *t,
                                                               uint8_t flip) {
    uint32_t *voxels = ((few_state *)state)->voxel;
    axis axes[3];
    row_ways ways;
    make_axes(t, axes);
    if (t->deep)
        FOR_EACH_CHUNK(t, 1, mean_bytes(t->deep, true, &c, axes, t->end, flip))
    else if (follows_x(t))
        insert_rows(voxels, t, axes, flip);
    else if (make_ways(t, axes, &ways))
        insert_pixels(voxels, t, &ways, flip);
    else
        FOR_EACH_CHUNK(t, 1, mean_bytes(voxels, false, &c, axes, t->end, flip))
}
static void nearest_mean_u8_avx2(void *state, const tile *t) { insert_bytes(state, t, 0); }
/* value - lowest */
static void nearest_mean_i8_avx2(void *state, const tile *t) { insert_bytes(state, t, 0x80); }

/* ---- bytes out of sums of bytes ------------------------------------------------------- */

/* Four means, rounded; 0 where nothing was hit. A mean is never so close below a
 * half that adding a half would round up to the next number. */
static inline uint32_t four_means(const uint64_t *voxels) {
    const __m256d whole = _mm256_set1_pd(0x1p52); /* makes doubles of integers */
    const __m256i bits = _mm256_castpd_si256(whole);
    const __m256i packed = _mm256_loadu_si256((const __m256i *)voxels);
    __m256i count = _mm256_or_si256(_mm256_srli_epi64(packed, COUNT_SHIFT), bits);
    __m256i total = _mm256_and_si256(packed, _mm256_set1_epi64x((int64_t)SUM_MASK));
    __m256d hits = _mm256_sub_pd(_mm256_castsi256_pd(count), whole);
    __m256d sum = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(total, bits)), whole);
    __m256d mean = _mm256_add_pd(_mm256_div_pd(sum, hits), _mm256_set1_pd(0.5));
    __m256d seen = _mm256_cmp_pd(hits, _mm256_setzero_pd(), _CMP_GT_OQ);
    __m128i four = _mm256_cvttpd_epi32(_mm256_and_pd(mean, seen));
    return (uint32_t)_mm_cvtsi128_si32(_mm_shuffle_epi8(four, _mm_set1_epi32(0x0c080400)));
}

/* Of eight voxels without a deep part, 0 where nothing was hit. Halves have room in
 * single precision: the closest mean to one is 1 / 8190 off, the quotient 1 / 65536. */
static inline __m256i eight_means(const uint32_t *voxels) {
    const __m256i few = _mm256_loadu_si256((const __m256i *)(const void *)voxels);
    const __m256i total = _mm256_and_si256(few, _mm256_set1_epi32(ONE_OF_FEW - 1));
    const __m256 hits = _mm256_cvtepi32_ps(_mm256_srli_epi32(few, FEW_SHIFT));
    const __m256 mean = _mm256_div_ps(_mm256_cvtepi32_ps(total), hits);
    const __m256 seen = _mm256_cmp_ps(hits, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_cvttps_epi32(_mm256_and_ps(_mm256_add_ps(mean, _mm256_set1_ps(0.5f)), seen));
}

/* Of a row of 16 voxels. */
static inline __m128i row_means(const uint32_t *few, const uint64_t *deep) {
    if (!deep) {
        __m256i words = _mm256_packus_epi32(eight_means(few), eight_means(few + 8));
        words = _mm256_permute4x64_epi64(words, 0xd8);
        return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    }
    uint32_t means[4];
    for (int i = 0; i < 4; i++) {
        uint64_t packed[4];
        for (int k = 0; k < 4; k++) packed[k] = unpack_few(few[4 * i + k]) + deep[4 * i + k];
        means[i] = four_means(packed);
    }
    return _mm_loadu_si128((const __m128i *)(const void *)means);
}

static void values_bytes(const void *state, const void *deep, size_t first, uint32_t count,
                         void *out) {
    /* A row begins here, `count` of its voxels are wanted from `first` on. */
    const size_t row = first / ES_BRICK * ES_BRICK;
    const uint64_t *under = deep ? (const uint64_t *)deep + row : NULL;
    const __m128i means = row_means(((const few_state *)state)->voxel + row, under);
    uint8_t bytes[ES_BRICK];
    if (count == ES_BRICK) {
        _mm_storeu_si128((__m128i *)out, means);
        return;
    }
    _mm_storeu_si128((__m128i *)(void *)bytes, means);
    memcpy(out, bytes + (first - row), count);
}

/* ---- linear -------------------------------------------------------------------------------- */

/* One axis of a tile for LINEAR, with 5 bits of voxel on top: the ways to eight
 * pixels in two lots, and to the next eight. */
enum { LINEAR_SHIFT = 64 - FRACTION - 5, LINEAR_LANES = 8 };
typedef struct linear_axis {
    __m256i lot[2], eight;
} linear_axis;

static inline void make_linear_axes(const tile *t, linear_axis axes[3]) {
    for (int a = 0; a < 3; a++) {
        const uint64_t step = t->layout.step[a] << LINEAR_SHIFT;
        axes[a] = (linear_axis){{multiples(step, 0, 1, 4, 5), multiples(step, 2, 3, 6, 7)},
                                _mm256_set1_epi64x((int64_t)(step << 3))};
    }
}

/* Voxels (0 to 17) and fractions of eight pixels along one axis; then goes on. */
static inline __m256 next_8(const linear_axis *a, __m256i at[2], __m256i *voxel) {
    const __m256i bits = _mm256_set1_epi32(0xffffff);
    __m256i upper = upper_halves(at[0], at[1]);
    at[0] = _mm256_add_epi64(at[0], a->eight);
    at[1] = _mm256_add_epi64(at[1], a->eight);
    *voxel = _mm256_srli_epi32(upper, 27);
    __m256i fraction = _mm256_and_si256(_mm256_srli_epi32(upper, 3), bits);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(fraction), _mm256_set1_ps(0x1p-24f));
}

static inline void start_linear(const linear_axis *a, uint64_t first, __m256i at[2]) {
    __m256i start = _mm256_set1_epi64x((int64_t)(first << LINEAR_SHIFT));
    at[0] = _mm256_add_epi64(start, a->lot[0]);
    at[1] = _mm256_add_epi64(start, a->lot[1]);
}

/* Weights of the 8 corners of each pixel of a chunk, its cell, and its value. */
typedef struct weighted {
    float corner[CHUNK][8], value[CHUNK];
    uint32_t cell[CHUNK];
} weighted;

/* Turns 8 registers, one per corner, into 8 rows, one per pixel. */
static inline void store_turned(const __m256 w[8], float rows[][8]) {
    __m256 t[8], u[8];
    for (int k = 0; k < 8; k += 2) {
        t[k] = _mm256_unpacklo_ps(w[k], w[k + 1]);
        t[k + 1] = _mm256_unpackhi_ps(w[k], w[k + 1]);
    }
    for (int k = 0; k < 8; k += 4)
        for (int i = 0; i < 2; i++) {
            u[k + 2 * i] = _mm256_shuffle_ps(t[k + i], t[k + 2 + i], 0x44);
            u[k + 2 * i + 1] = _mm256_shuffle_ps(t[k + i], t[k + 2 + i], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_store_ps(rows[i], _mm256_permute2f128_ps(u[i], u[4 + i], 0x20));
        _mm256_store_ps(rows[4 + i], _mm256_permute2f128_ps(u[i], u[4 + i], 0x31));
    }
}

static inline __m256 importance_8(const uint8_t *mask) {
    __m256i weights = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)mask));
    return _mm256_div_ps(_mm256_cvtepi32_ps(weights), _mm256_set1_ps(255));
}

/* The products are those of the plain kernel, in its order; mask may be NULL. */
static inline void store_weights(__m256 x1, __m256 y1, __m256 z1, const uint8_t *mask,
                                 float rows[][8]) {
    const __m256 one = _mm256_set1_ps(1);
    __m256 x0 = _mm256_sub_ps(one, x1), y0 = _mm256_sub_ps(one, y1), z0 = _mm256_sub_ps(one, z1);
    __m256 yz[4] = {_mm256_mul_ps(y0, z0), _mm256_mul_ps(y1, z0), _mm256_mul_ps(y0, z1),
                    _mm256_mul_ps(y1, z1)};
    __m256 w[8];
    for (int k = 0; k < 4; k++) {
        w[2 * k] = _mm256_mul_ps(yz[k], x0);
        w[2 * k + 1] = _mm256_mul_ps(yz[k], x1);
    }
    const __m256 part = mask ? importance_8(mask) : one;
    for (int k = 0; mask && k < 8; k++) w[k] = _mm256_mul_ps(w[k], part);
    store_turned(w, rows);
}

/* Fills all but the values; returns a bit for the last pixel of each cell. */
static inline uint64_t weigh(const chunk *c, const linear_axis axes[3], bool masked,
                             weighted *out) {
    const __m256i order = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
    __m256i x[2], y[2], z[2], vx, vy, vz, before = _mm256_setzero_si256();
    start_linear(&axes[0], c->x, x);
    start_linear(&axes[1], c->y, y);
    start_linear(&axes[2], c->z, z);
    uint64_t same = 0;
    for (uint32_t i = 0; i < c->count; i += LINEAR_LANES) {
        __m256 fx = next_8(&axes[0], x, &vx), fy = next_8(&axes[1], y, &vy);
        __m256 fz = next_8(&axes[2], z, &vz);
        store_weights(fx, fy, fz, masked ? c->keep + i : NULL, &out->corner[i]);
        __m256i number = _mm256_add_epi32(
            vx, _mm256_add_epi32(_mm256_mullo_epi32(vy, _mm256_set1_epi32(RIM_ROW)),
                                 _mm256_mullo_epi32(vz, _mm256_set1_epi32(RIM_SLICE))));
        _mm256_store_si256((__m256i *)(out->cell + i), number);
        __m256i turned = _mm256_permutevar8x32_epi32(number, order);
        __m256i shifted = _mm256_blend_epi32(turned, before, 1);
        __m256i equal = _mm256_cmpeq_epi32(shifted, number);
        same |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(equal)) << i;
        before = turned;
    }
    return _bzhi_u64(~same >> 1, c->count - 1) | (uint64_t)1 << (c->count - 1);
}

/* Two voxels that are neighbours in x, one by one: the next cell mostly shares
 * one of them, and a load that straddles two recent stores has to wait. */
static inline void add_pair(sums *voxels, __m128 sum_and_weight) {
    const __m256d both = _mm256_cvtps_pd(sum_and_weight);
    double *at = &voxels->sum;
    _mm_storeu_pd(at, _mm_add_pd(_mm_loadu_pd(at), _mm256_castpd256_pd128(both)));
    at += 2;
    _mm_storeu_pd(at, _mm_add_pd(_mm_loadu_pd(at), _mm256_extractf128_pd(both, 1)));
}

static inline void add_corners(sums *voxels, __m256 sum, __m256 weight) {
    __m256 low = _mm256_unpacklo_ps(sum, weight), high = _mm256_unpackhi_ps(sum, weight);
    add_pair(voxels, _mm256_castps256_ps128(low));
    add_pair(voxels + RIM_ROW, _mm256_castps256_ps128(high));
    add_pair(voxels + RIM_SLICE, _mm256_extractf128_ps(low, 1));
    add_pair(voxels + RIM_SLICE + RIM_ROW, _mm256_extractf128_ps(high, 1));
}

static inline void add_weighted(sums *voxels, const weighted *pixels, uint64_t ends) {
    FOR_EACH_RUN(ends) {
        __m256 sum = _mm256_setzero_ps(), weight = _mm256_setzero_ps();
        for (uint32_t i = from; i <= last; i++) {
            __m256 w = _mm256_load_ps(pixels->corner[i]);
            sum = _mm256_add_ps(sum, _mm256_mul_ps(w, _mm256_broadcast_ss(&pixels->value[i])));
            weight = _mm256_add_ps(weight, w);
        }
        add_corners(voxels + pixels->cell[last], sum, weight);
    }
}

/* The frame in hand of the eight voxels of a cell, whose pixels are added in the
 * order of the row, as the plain kernel does, but without going to memory. */
typedef struct frames_cell {
    __m256d sum[2];
    __m256 weight, total;
} frames_cell;

static inline frames_cell load_frames(const frames *v) {
    enum { A = RIM_ROW, B = RIM_SLICE, C = RIM_SLICE + RIM_ROW };
    return (frames_cell){{_mm256_setr_pd(v[0].sum, v[1].sum, v[A].sum, v[A + 1].sum),
                          _mm256_setr_pd(v[B].sum, v[B + 1].sum, v[C].sum, v[C + 1].sum)},
                         _mm256_setr_ps(v[0].weight, v[1].weight, v[A].weight, v[A + 1].weight,
                                        v[B].weight, v[B + 1].weight, v[C].weight, v[C + 1].weight),
                         _mm256_setr_ps(v[0].total, v[1].total, v[A].total, v[A + 1].total,
                                        v[B].total, v[B + 1].total, v[C].total, v[C + 1].total)};
}

static inline void store_frames(frames *v, const frames_cell *held) {
    _Alignas(32) float weight[8], total[8];
    _Alignas(32) double sum[8];
    _mm256_store_ps(weight, held->weight);
    _mm256_store_ps(total, held->total);
    _mm256_store_pd(sum, held->sum[0]);
    _mm256_store_pd(sum + 4, held->sum[1]);
    for (int k = 0; k < 8; k++) {
        frames *s = &v[corner_step[k]];
        s->sum = sum[k];
        s->weight = weight[k];
        s->total = total[k];
    }
}

static inline frames_cell open_frames(frames *v, uint32_t frame, bool latest) {
    uint32_t other = 0;
    for (int k = 0; k < 8; k++) other |= v[corner_step[k]].frame ^ frame;
    if (other)
        for (int k = 0; k < 8; k++) start_frame(&v[corner_step[k]], frame, latest);
    return load_frames(v);
}

static inline void add_to_frames(frames_cell *held, const float weights[8], double value) {
    const __m256 w = _mm256_load_ps(weights);
    const __m256d v = _mm256_set1_pd(value);
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(w));
    __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(w, 1));
    held->sum[0] = _mm256_add_pd(held->sum[0], _mm256_mul_pd(low, v));
    held->sum[1] = _mm256_add_pd(held->sum[1], _mm256_mul_pd(high, v));
    held->weight = _mm256_add_ps(held->weight, w);
    held->total = _mm256_add_ps(held->total, w);
}

/* The same for sums with squares. */
typedef struct spread_cell {
    __m256d sum[2], weight[2], squares[2];
} spread_cell;

static inline spread_cell load_spread(const sums_spread *voxels) {
    spread_cell held;
    for (int h = 0; h < 2; h++) {
        const sums_spread *v = voxels + h * RIM_SLICE, *w = v + RIM_ROW;
        held.sum[h] = _mm256_setr_pd(v[0].sum, v[1].sum, w[0].sum, w[1].sum);
        held.weight[h] = _mm256_setr_pd(v[0].weight, v[1].weight, w[0].weight, w[1].weight);
        held.squares[h] = _mm256_setr_pd(v[0].squares, v[1].squares, w[0].squares, w[1].squares);
    }
    return held;
}

static inline void store_spread(sums_spread *voxels, const spread_cell *held) {
    for (int h = 0; h < 2; h++) {
        _Alignas(32) double sum[4], weight[4], squares[4];
        _mm256_store_pd(sum, held->sum[h]);
        _mm256_store_pd(weight, held->weight[h]);
        _mm256_store_pd(squares, held->squares[h]);
        for (int k = 0; k < 4; k++)
            voxels[corner_step[4 * h + k]] = (sums_spread){sum[k], weight[k], squares[k]};
    }
}

static inline void add_to_spread(spread_cell *held, const float weights[8], double value) {
    const __m256d v = _mm256_set1_pd(value), square = _mm256_set1_pd(value * value);
    for (int h = 0; h < 2; h++) {
        const __m256d w = _mm256_cvtps_pd(_mm_load_ps(weights + 4 * h));
        held->sum[h] = _mm256_add_pd(held->sum[h], _mm256_mul_pd(w, v));
        held->weight[h] = _mm256_add_pd(held->weight[h], w);
        held->squares[h] = _mm256_add_pd(held->squares[h], _mm256_mul_pd(w, square));
    }
}

/* Eight pixels as 32-bit integers. */
static inline __m256i widen_u8(const void *pixels) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(pixels));
}
static inline __m256i widen_i8(const void *pixels) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(pixels));
}
static inline __m256i widen_u16(const void *pixels) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(pixels));
}
static inline __m256i widen_i16(const void *pixels) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128(pixels));
}

/* ---- one table per pixel type ----------------------------------------------------------- */

/* What stands behind the three kinds of compounding by nearest voxels. */
enum {
    NEAREST_SPREAD = 3,
    NEAREST_WEIGHTED,
    LINEAR_MEAN,
    LINEAR_WEIGHTED,
    LINEAR_LATEST,
    LINEAR_MAXIMUM,
    LINEAR_SPREAD,
    INSERTERS
};

static int linear_kind(const es_recon_options *o) {
    if (o->compounding == ES_LATEST) return LINEAR_LATEST;
    if (o->compounding == ES_MAXIMUM) return LINEAR_MAXIMUM;
    return o->spread ? LINEAR_SPREAD : o->mask ? LINEAR_WEIGHTED : LINEAR_MEAN;
}

#define KERNEL_TEMPLATE "kernel_avx2_tmpl.h"
#include "kernel_types.h"

static insert_tile_fn *find_insert(const es_recon_options *o) {
    static insert_tile_fn *const *const by_type[] = {
        [ES_U8] = inserters_u8,   [ES_I8] = inserters_i8,   [ES_U16] = inserters_u16,
        [ES_I16] = inserters_i16, [ES_U32] = inserters_u32, [ES_I32] = inserters_i32,
        [ES_F32] = inserters_f32, [ES_F64] = inserters_f64,
    };
    if (o->mask && o->spread) return NULL;
    if (o->interpolation == ES_LINEAR) return by_type[o->type][linear_kind(o)];
    if (o->mask) return by_type[o->type][NEAREST_WEIGHTED];
    if (o->compounding == ES_MEAN && !o->spread && o->type == ES_U8) return nearest_mean_u8_avx2;
    if (o->compounding == ES_MEAN && !o->spread && o->type == ES_I8) return nearest_mean_i8_avx2;
    return by_type[o->type][o->spread ? NEAREST_SPREAD : o->compounding];
}

void use_avx2(const es_recon_options *o, kernel *k) {
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2")) return;
    insert_tile_fn *insert = find_insert(o);
    if (insert) k->insert = insert;
    if (insert == nearest_mean_u8_avx2) k->values = values_bytes;
}

#else

void use_avx2(const es_recon_options *options, kernel *k) {
    (void)options;
    (void)k;
}

#endif
