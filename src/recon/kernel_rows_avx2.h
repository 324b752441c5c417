/* NEAREST MEAN of bytes for rows that mostly follow the volume's x axis: the
 * runs of pixels that share a voxel are not looked for, their ends are known.
 *
 * The number of pixels before the plane between voxels k - 1 and k of x is a
 * division, done for all 16 planes at once. Sums and counts of the first n pixels
 * stand in a table; what falls between two planes is the difference of two of
 * its entries, for 16 voxels at once. Where y or z change, the row goes on in
 * another row of voxels: since the table rises, an entry that is cut at the
 * entry of that pixel counts just the pixels before it. So each piece of a row
 * adds to 16 voxels in a few instructions, whatever the number of its pixels.
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
    for (int a = 0; a < 3; a++) step[a] = fabs((double)(int64_t)t->step[a]) / (double)ONE_VOXEL;
    return step[0] >= 0.25 && step[0] <= 0.75 && step[1] + step[2] <= 0.4 * step[0] &&
           step[1] <= 0.1 && step[2] <= 0.1;
}

/* Where the planes between voxels lie in a row: from a pixel's position, lanes
 * x y z, to the first plane of x, and the next ones of y and z. */
typedef struct row_planes {
    __m256i mask;             /* x keeps its whole voxels */
    __m256d offset, inverse;  /* pixels * 2^20 = (offset - position) * inverse */
    __m256i x[2], y, z;       /* from the first plane to those after it */
    ptrdiff_t y_step, z_step; /* from voxel to voxel, where y and z change */
    bool rises;               /* x does */
} row_planes;

static inline __m256i plane_steps(double pixels) {
    const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_mullo_epi32(numbers, _mm256_set1_epi32((int)lrint(pixels * ONE_PIXEL)));
}

static inline row_planes make_planes(const tile *t) {
    double way[3], inverse[3], offset[3];
    for (int a = 0; a < 3; a++) {
        const double step = (double)(int64_t)t->step[a];
        inverse[a] = step != 0 ? ONE_PIXEL / step : (double)ONE_VOXEL; /* no plane: far away */
        offset[a] = a == 0 || step >= 0 ? (double)ONE_VOXEL : 0;
        way[a] = inverse[a] * (double)ONE_VOXEL / ONE_PIXEL;
        if (a > 0) way[a] = fmin(fabs(way[a]), FARTHEST);
    }
    row_planes p = {.y = plane_steps(way[1]), .z = plane_steps(way[2]), .rises = way[0] > 0};
    p.x[0] = plane_steps(way[0]);
    p.x[1] = _mm256_add_epi32(p.x[0], _mm256_set1_epi32((int)lrint(way[0] * ONE_PIXEL) * 8));
    p.mask = _mm256_setr_epi64x(-1, ONE_VOXEL - 1, ONE_VOXEL - 1, 0);
    p.offset = _mm256_setr_pd(offset[0], offset[1], offset[2], 0);
    p.inverse = _mm256_setr_pd(inverse[0], inverse[1], inverse[2], 0);
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

/* What is known of a row before its pixels are looked at. */
typedef struct row_cuts {
    __m256i x[2];                                     /* pixels before planes 1 to 16 */
    _Alignas(32) uint32_t y[CROSSINGS], z[CROSSINGS]; /* where they change, then `count`s */
} row_cuts;

static inline __m256i whole_pixels(__m256i planes, __m256i most) {
    return _mm256_min_epi32(_mm256_srai_epi32(planes, PIXEL_BITS), most);
}

/* False where a plane is too close to a pixel: its fraction below twice the margin. */
static inline bool cut_at_planes(const row_planes *p, __m256i at, uint32_t count, row_cuts *cuts) {
    const __m256i most = _mm256_set1_epi32((int)count), none = _mm256_setzero_si256();
    const __m128i first = first_planes(p, at);
    const __m256i first_x = _mm256_broadcastd_epi32(first);
    const __m256i x0 = _mm256_add_epi32(first_x, p->x[0]);
    const __m256i x1 = _mm256_add_epi32(first_x, p->x[1]);
    const __m256i y =
        _mm256_add_epi32(_mm256_broadcastd_epi32(_mm_shuffle_epi32(first, 0x55)), p->y);
    const __m256i z =
        _mm256_add_epi32(_mm256_broadcastd_epi32(_mm_shuffle_epi32(first, 0xaa)), p->z);
    cuts->x[0] = _mm256_max_epi32(whole_pixels(x0, most), none);
    cuts->x[1] = _mm256_max_epi32(whole_pixels(x1, most), none);
    _mm256_store_si256((__m256i *)cuts->y, whole_pixels(y, most));
    _mm256_store_si256((__m256i *)cuts->z, whole_pixels(z, most));
    const int up = 32 - PIXEL_BITS;
    __m256i least =
        _mm256_min_epu32(_mm256_min_epu32(_mm256_slli_epi32(x0, up), _mm256_slli_epi32(x1, up)),
                         _mm256_min_epu32(_mm256_slli_epi32(y, up), _mm256_slli_epi32(z, up)));
    __m256i sure = _mm256_max_epu32(least, _mm256_set1_epi32((2 * UNSURE) << up));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(sure, least)) == -1;
}

/* Sums and counts of the first n pixels, sum + (n << 16), from n = -7 on. */
enum { TABLE_FIRST = 7 };
typedef struct pair_table {
    _Alignas(32) uint32_t pairs[TABLE_FIRST + 1 + CHUNK];
} pair_table;

/* Always a whole chunk: what lies past its end is not looked up. */
static inline void fill_table(const uint8_t *pixels, uint8_t flip, pair_table *table) {
    const __m256i sixteen = _mm256_set1_epi16(16);
    __m256i number = _mm256_setr_epi16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    __m256i carry = _mm256_setzero_si256();
    uint32_t *out = table->pairs + TABLE_FIRST + 1;
    out[-1] = 0;
#pragma GCC unroll 4
    for (int i = 0; i < CHUNK; i += LANES) {
        __m256i sum = next_sums(pixels + i, flip, &carry);
        __m256i low = _mm256_unpacklo_epi16(sum, number), high = _mm256_unpackhi_epi16(sum, number);
        _mm256_store_si256((__m256i *)(out + i), _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_store_si256((__m256i *)(out + i + 8), _mm256_permute2x128_si256(low, high, 0x31));
        number = _mm256_add_epi16(number, sixteen);
    }
}

/* The table's entries before and behind each of 16 voxels of a row, per half:
 * `behind` is the larger one. */
typedef struct row_entries {
    __m256i before[2], behind[2];
} row_entries;

static inline row_entries look_up(const pair_table *table, const __m256i planes[2], bool rises,
                                  uint32_t count) {
    const __m256i turn = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
    const int *pairs = (const int *)table->pairs + TABLE_FIRST;
    __m256i upper[2], lower[2], turned[2];
    for (int h = 0; h < 2; h++) {
        upper[h] = _mm256_i32gather_epi32(pairs, planes[h], 4);
        turned[h] = _mm256_permutevar8x32_epi32(upper[h], turn);
    }
    const __m256i end = _mm256_set1_epi32(rises ? 0 : pairs[count]);
    lower[0] = _mm256_blend_epi32(turned[0], end, 1);
    lower[1] = _mm256_blend_epi32(turned[1], turned[0], 1);
    return rises ? (row_entries){{lower[0], lower[1]}, {upper[0], upper[1]}}
                 : (row_entries){{upper[0], upper[1]}, {lower[0], lower[1]}};
}

/* Adds sum + (count << 16) of eight voxels to their states. */
static inline void add_pairs(uint64_t *voxels, __m256i pairs) {
    const __m256i spread =
        _mm256_setr_epi8(0, 1, -1, -1, -1, 6, 7, -1, 8, 9, -1, -1, -1, 14, 15, -1, 0, 1, -1, -1, -1,
                         6, 7, -1, 8, 9, -1, -1, -1, 14, 15, -1);
    const __m256i first = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const __m256i second = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
    __m256i low = _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(pairs, first), spread);
    __m256i high = _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(pairs, second), spread);
    __m256i *at = (__m256i *)voxels;
    _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), low));
    _mm256_storeu_si256(at + 1, _mm256_add_epi64(_mm256_loadu_si256(at + 1), high));
}

static inline void add_pieces(uint64_t *row, const row_planes *p, const row_cuts *cuts,
                              const pair_table *table, uint32_t count) {
    const row_entries e = look_up(table, cuts->x, p->rises, count);
    const uint32_t *y = cuts->y, *z = cuts->z;
    __m256i done[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (uint32_t to = 0; to < count;) {
        to = *y < *z ? *y : *z;
        const __m256i cut = _mm256_set1_epi32((int)table->pairs[TABLE_FIRST + to]);
        for (int h = 0; h < 2; h++) {
            __m256i now = _mm256_sub_epi32(_mm256_min_epu32(e.behind[h], cut),
                                           _mm256_min_epu32(e.before[h], cut));
            add_pairs(row + 8 * h, _mm256_sub_epi32(now, done[h]));
            done[h] = now;
        }
        const bool by_y = *y == to, by_z = *z == to;
        row += (p->y_step & -(ptrdiff_t)by_y) + (p->z_step & -(ptrdiff_t)by_z);
        y += by_y;
        z += by_z;
    }
}

static inline __attribute__((always_inline)) void insert_rows(uint64_t *voxels, const tile *t,
                                                              const axis axes[3], uint8_t flip) {
    const row_planes p = make_planes(t);
    for (uint32_t s = 0; s < t->count; s++) {
        const row_span *span = &t->spans[s];
        const __m256i at = _mm256_loadu_si256((const __m256i *)span->at); /* and what follows */
        uint8_t copy[CHUNK];
        pair_table table;
        row_cuts cuts;
        if (span->count > CHUNK || !cut_at_planes(&p, at, span->count, &cuts)) {
            for (uint32_t first = 0; first < span->count; first += CHUNK) {
                const chunk c = make_chunk(t, span, first, 1);
                mean_bytes(voxels, &c, axes, t->end, flip);
            }
            continue;
        }
        fill_table(whole_steps(span->pixels, span->count, t->end, 1, copy), flip, &table);
        uint64_t *row = voxels + (span->at[1] >> FRACTION << 4 | span->at[2] >> FRACTION << 8);
        add_pieces(row, &p, &cuts, &table, span->count);
    }
}
