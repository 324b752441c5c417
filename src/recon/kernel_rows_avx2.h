/* NEAREST MEAN of bytes for rows that mostly follow the volume's x axis: the
 * runs of pixels that share a voxel are not looked for, their ends are known.
 *
 * The number of pixels before the plane between voxels k - 1 and k of x is a
 * division, done for all 16 planes at once. Between two planes stand at most four
 * pixels: each voxel takes them into 32 bits of a register, and they are summed
 * there for 16 voxels at once. Where y or z change, the row goes on in another
 * row of voxels: sums of the pixels before that one, less what was added already,
 * are what a piece of the row adds. So each piece adds to 16 voxels in a few
 * instructions, whatever the number of its pixels.
 *
 * Divisions are made in 32-bit fixed point; where one comes so close to a whole
 * pixel that it cannot be sure, the chunk is left to the kernel that compares
 * neighbours. Included by kernels_avx2.c. */

/* Fixed point: pixels times 2^20. Steps are rounded to half a unit and taken 16
 * times at most, starts to half a unit. */
enum { PIXEL_BITS = 20, UNSURE = 16, CROSSINGS = 8 };
static const double ONE_PIXEL = 1 << PIXEL_BITS;
static const double FAR = 250.5, FARTHEST = 100; /* pixels: past the end of a chunk */

/* Longer pixels leave nothing to gather; shorter ones make long runs, and spans
 * of more than a chunk; and there must be fewer than CROSSINGS changes of y, and
 * of z, in a chunk. */
static inline bool follows_x(const tile *t) {
    double step[3];
    for (int a = 0; a < 3; a++)
        step[a] = fabs((double)(int64_t)t->layout.step[a]) / (double)ONE_VOXEL;
    return step[0] >= 0.25 && step[0] <= 0.75 && step[1] + step[2] <= 0.4 * step[0] &&
           step[1] <= 0.1 && step[2] <= 0.1;
}

/* Where the planes between voxels lie in a row: from a pixel's position, lanes
 * x y z, to the first plane of x, and the next ones of y and z. */
typedef struct row_planes {
    __m256i mask;             /* x keeps its whole voxels */
    __m256d offset, inverse;  /* pixels * 2^20 = (offset - position) * inverse */
    __m256i x[2];             /* from the first plane to where each voxel is entered */
    __m256i y, z;             /* from the first plane to those after it */
    ptrdiff_t y_step, z_step; /* from voxel to voxel, where y and z change */
    __m256i order;            /* of eight voxels, for add_sums */
    size_t half[2];           /* the first voxel of each eight, as the row meets them */
} row_planes;

static inline __m256i plane_steps(double pixels) {
    const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_mullo_epi32(numbers, _mm256_set1_epi32((int)lrint(pixels * ONE_PIXEL)));
}

static inline row_planes make_planes(const tile *t) {
    double way[3], inverse[3], offset[3];
    for (int a = 0; a < 3; a++) {
        const double step = (double)(int64_t)t->layout.step[a];
        inverse[a] = step != 0 ? ONE_PIXEL / step : (double)ONE_VOXEL; /* no plane: far away */
        offset[a] = a == 0 || step >= 0 ? (double)ONE_VOXEL : 0;
        way[a] = inverse[a] * (double)ONE_VOXEL / ONE_PIXEL;
        if (a > 0) way[a] = fmin(fabs(way[a]), FARTHEST);
    }
    row_planes p = {.y = plane_steps(way[1]), .z = plane_steps(way[2])};
    const bool falls = way[0] < 0;
    const int one = (int)lrint(fabs(way[0]) * ONE_PIXEL);
    for (int h = 0; h < 2; h++) {
        const int before = (falls ? ES_BRICK - 1 : 1) - ES_BRICK / 2 * h; /* planes */
        p.x[h] = _mm256_sub_epi32(plane_steps(fabs(way[0])), _mm256_set1_epi32(before * one));
        p.half[h] = (size_t)(ES_BRICK / 2 * (falls ? 1 - h : h));
    }
    p.order = falls ? _mm256_setr_epi32(7, 6, 3, 2, 5, 4, 1, 0)
                    : _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
    p.mask = _mm256_setr_epi64x(-1, ONE_VOXEL - 1, ONE_VOXEL - 1, 0);
    p.offset = _mm256_setr_pd(offset[0], offset[1], offset[2], offset[2]);
    p.inverse = _mm256_setr_pd(inverse[0], inverse[1], inverse[2], inverse[2]);
    p.y_step = offset[1] > 0 ? ES_BRICK : -ES_BRICK;
    p.z_step = offset[2] > 0 ? ES_BRICK * ES_BRICK : -ES_BRICK * ES_BRICK;
    return p;
}

/* The first planes of x, y and z, in fixed point. A pixel that is not before a
 * plane comes after it, hence one more; the margin is for the test of fractions. */
static inline __m128i first_planes(const row_planes *p, __m256i at) {
    const __m256d whole = _mm256_set1_pd(0x1p52); /* makes doubles of integers */
    __m256i bits = _mm256_or_si256(_mm256_and_si256(at, p->mask), _mm256_castpd_si256(whole));
    __m256d way = _mm256_sub_pd(p->offset, _mm256_sub_pd(_mm256_castsi256_pd(bits), whole));
    __m256d pixels =
        _mm256_add_pd(_mm256_mul_pd(way, p->inverse), _mm256_set1_pd(ONE_PIXEL + UNSURE));
    return _mm256_cvtpd_epi32(_mm256_min_pd(pixels, _mm256_set1_pd(FAR * ONE_PIXEL)));
}

/* What is known of a row before its pixels are looked at. Voxels stand in the
 * order in which the row meets them. */
typedef struct row_cuts {
    __m256i from[2], to[2]; /* pixels before each of 16 voxels, and up to its last */
    _Alignas(32) uint32_t y[CROSSINGS], z[CROSSINGS]; /* where they change, then `count`s */
} row_cuts;

static inline __m256i whole_pixels(__m256i planes, __m256i most) {
    return _mm256_min_epi32(_mm256_srai_epi32(planes, PIXEL_BITS), most);
}

static inline __m256i pixels_before(__m256i planes, __m256i most) {
    return _mm256_max_epi32(whole_pixels(planes, most), _mm256_setzero_si256());
}

/* False where a plane is too close to a pixel: its fraction below twice the margin. */
static inline bool cut_at_planes(const row_planes *p, __m256i at, uint32_t count, row_cuts *cuts) {
    const __m256i most = _mm256_set1_epi32((int)count);
    const __m128i first = first_planes(p, at);
    const __m256i first_x = _mm256_broadcastd_epi32(first);
    const __m256i next = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0);
    const __m256i x0 = _mm256_add_epi32(first_x, p->x[0]);
    const __m256i x1 = _mm256_add_epi32(first_x, p->x[1]);
    const __m256i y =
        _mm256_add_epi32(_mm256_broadcastd_epi32(_mm_shuffle_epi32(first, 0x55)), p->y);
    const __m256i z =
        _mm256_add_epi32(_mm256_broadcastd_epi32(_mm_shuffle_epi32(first, 0xaa)), p->z);
    cuts->from[0] = pixels_before(x0, most);
    cuts->from[1] = pixels_before(x1, most);
    const __m256i after0 = _mm256_permutevar8x32_epi32(cuts->from[0], next);
    const __m256i after1 = _mm256_permutevar8x32_epi32(cuts->from[1], next);
    cuts->to[0] = _mm256_blend_epi32(after0, after1, 0x80);
    cuts->to[1] = _mm256_blend_epi32(after1, most, 0x80);
    _mm256_store_si256((__m256i *)cuts->y, whole_pixels(y, most));
    _mm256_store_si256((__m256i *)cuts->z, whole_pixels(z, most));
    const int up = 32 - PIXEL_BITS;
    __m256i least =
        _mm256_min_epu32(_mm256_min_epu32(_mm256_slli_epi32(x0, up), _mm256_slli_epi32(x1, up)),
                         _mm256_min_epu32(_mm256_slli_epi32(y, up), _mm256_slli_epi32(z, up)));
    __m256i sure = _mm256_max_epu32(least, _mm256_set1_epi32((2 * UNSURE) << up));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(sure, least)) == -1;
}

/* Loads reach this far past the last pixel. */
enum { LOADED = 16 };

/* Eight voxels of a row: their up to four pixels, and eight times the numbers
 * of pixels before each and up to its last. In the order 0 1 4 5 2 3 6 7 of the
 * volume, in which halves are interleaved to states in their order. */
typedef struct row_eight {
    __m256i pixels, from, to;
} row_eight;

/* The pixels of four voxels lie within 16 bytes. */
static inline row_eight load_eight(const uint8_t *pixels, __m256i from, __m256i to, __m256i order,
                                   uint8_t flip) {
    const __m256i repeated = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0,
                                              0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    const __m256i four = _mm256_set1_epi32(0x03020100);
    const uint32_t low = (uint32_t)_mm256_cvtsi256_si32(from);
    const uint32_t high = (uint32_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(from, 1));
    __m256i first = _mm256_sub_epi32(from, _mm256_shuffle_epi32(from, 0));
    __m256i places = _mm256_add_epi8(_mm256_shuffle_epi8(first, repeated), four);
    __m256i bytes = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(pixels + low))),
        _mm_loadu_si128((const __m128i *)(pixels + high)), 1);
    bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8((char)flip));
    return (row_eight){_mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(bytes, places), order),
                       _mm256_permutevar8x32_epi32(_mm256_slli_epi32(from, 3), order),
                       _mm256_permutevar8x32_epi32(_mm256_slli_epi32(to, 3), order)};
}

/* Sums and eight times the counts of voxels. */
typedef struct row_sums {
    __m256i sum, count;
} row_sums;

/* Of the pixels of each voxel before pixel end / 8. */
static inline row_sums sum_before(const row_eight *v, __m256i end) {
    __m256i count = _mm256_sub_epi32(_mm256_min_epu32(v->to, end), _mm256_min_epu32(v->from, end));
    __m256i above = _mm256_sllv_epi32(_mm256_set1_epi32(-1), count);
    __m256i pairs =
        _mm256_maddubs_epi16(_mm256_andnot_si256(above, v->pixels), _mm256_set1_epi8(1));
    return (row_sums){_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)), count};
}

/* Adds to the states of eight voxels. */
static inline void add_sums(uint64_t *voxels, __m256i sum, __m256i count) {
    __m256i hits = _mm256_slli_epi32(count, COUNT_SHIFT - 32 - 3);
    __m256i *at = (__m256i *)voxels;
    _mm256_storeu_si256(at,
                        _mm256_add_epi64(_mm256_loadu_si256(at), _mm256_unpacklo_epi32(sum, hits)));
    _mm256_storeu_si256(
        at + 1, _mm256_add_epi64(_mm256_loadu_si256(at + 1), _mm256_unpackhi_epi32(sum, hits)));
}

static inline __attribute__((always_inline)) void add_pieces(uint64_t *row, const row_planes *p,
                                                             const row_cuts *cuts,
                                                             const row_eight eights[2],
                                                             uint32_t count) {
    const uint32_t *y = cuts->y, *z = cuts->z;
    const __m256i none = _mm256_setzero_si256();
    row_sums done[2] = {{none, none}, {none, none}};
    for (;;) {
        const uint32_t to = *y < *z ? *y : *z;
        const __m256i end = _mm256_set1_epi32((int)(8 * to));
        for (int h = 0; h < 2; h++) {
            const row_sums now = sum_before(&eights[h], end);
            add_sums(row + p->half[h], _mm256_sub_epi32(now.sum, done[h].sum),
                     _mm256_sub_epi32(now.count, done[h].count));
            done[h] = now;
        }
        if (to >= count) return;
        const bool by_y = *y == to, by_z = *z == to;
        row += (by_y ? p->y_step : 0) + (by_z ? p->z_step : 0);
        y += by_y;
        z += by_z;
    }
}

/* The first pixel of a cut; x y z in 64-bit lanes, nothing in the fourth. */
static inline __m256i first_pixel(const layout *l, __m256i row, uint32_t u) {
    const __m256i step =
        _mm256_setr_epi64x((int64_t)l->step[0], (int64_t)l->step[1], (int64_t)l->step[2], 0);
    const __m256i times = _mm256_set1_epi64x(u);
    const __m256i upper = _mm256_mul_epu32(_mm256_srli_epi64(step, 32), times);
    const __m256i way =
        _mm256_add_epi64(_mm256_mul_epu32(step, times), _mm256_slli_epi64(upper, 32));
    return _mm256_add_epi64(_mm256_and_si256(row, _mm256_set1_epi64x(-ROW_UNIT)), way);
}

/* The row of voxels that a pixel lies in. */
static inline size_t row_of_voxels(__m256i at) {
    const __m256i places = _mm256_setr_epi64x(64, 4, 8, 64);
    const __m256i rows = _mm256_sllv_epi64(_mm256_srli_epi64(at, FRACTION), places);
    const __m128i z = _mm256_extracti128_si256(rows, 1);
    return (size_t)_mm_extract_epi64(_mm256_castsi256_si128(rows), 1) +
           (size_t)_mm_cvtsi128_si64(z);
}

static inline __attribute__((always_inline)) void insert_rows(uint64_t *voxels, const tile *t,
                                                              const axis axes[3], uint8_t flip) {
    const row_planes p = make_planes(t);
    const layout l = t->layout;
    row_walk walk = start_walk(&l);
    for (uint32_t i = 0; i < t->count; i++) {
        const row_cut cut = t->cuts[i];
        const uint32_t count = cut.pixels.to - cut.pixels.from;
        const __m256i at = first_pixel(&l, walk_to(&walk, &l, cut.v), cut.pixels.from);
        uint8_t copy[CHUNK + LOADED];
        row_cuts cuts;
        if (count > CHUNK || !cut_at_planes(&p, at, count, &cuts)) {
            insert_chunks(voxels, t, i, axes, flip);
            continue;
        }
        const uint8_t *pixels = cut_pixels(&l, &cut);
        fetch_ahead(t, pixels, count + LOADED - 1);
        pixels = reachable(pixels, count, LOADED, t->end, copy);
        row_eight eights[2];
        for (int h = 0; h < 2; h++)
            eights[h] = load_eight(pixels, cuts.from[h], cuts.to[h], p.order, flip);
        add_pieces(voxels + row_of_voxels(at), &p, &cuts, eights, count);
    }
}
