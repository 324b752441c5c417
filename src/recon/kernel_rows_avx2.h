/* NEAREST MEAN of bytes for rows that mostly follow the volume's x axis: the
 * runs of pixels that share a voxel are not looked for, their ends are known.
 *
 * Where a row meets the planes of x is a division, done for 16 planes at once.
 * Between two planes stand at most four pixels: each voxel takes them into 32 bits of a
 * register. Where y or z change, the row goes on in another row of voxels: a piece of the
 * row is what a comparison of pixels' numbers with where it ends leaves, and adds to
 * eight voxels in a few instructions, whatever the number of its pixels.
 *
 * Divisions are made in 32-bit fixed point; where one comes so close to a whole
 * pixel that it cannot be sure, the row is left to the kernel that compares
 * neighbours. Included by kernels_avx2.c. */

/* Fixed point: pixels times 2^20. Steps are rounded to half a unit and taken 16
 * times at most, starts to half a unit. */
enum { PIXEL_BITS = 20, UNSURE = 16, CHANGES = 8 };
static const double ONE_PIXEL = 1 << PIXEL_BITS;
static const double FAR = 250.5, FARTHEST = 100; /* pixels: past the end of a chunk */

/* Longer pixels leave nothing to gather; shorter ones make long runs, and spans
 * of more than a chunk; and y, or z, must change less than four times in a row of 16
 * voxels: at most 1 + 16 * 0.18 times. */
static inline bool follows_x(const tile *t) {
    double step[3];
    for (int a = 0; a < 3; a++)
        step[a] = fabs((double)(int64_t)t->layout.step[a]) / (double)ONE_VOXEL;
    return step[0] >= 0.25 && step[0] <= 0.75 && step[1] <= 0.18 * step[0] &&
           step[2] <= 0.18 * step[0];
}

/* Where the planes between voxels lie in a row: from its first pixel's position, lanes
 * x y z, to the next plane of each axis, and from there to those after it. */
typedef struct row_planes {
    __m256d offset, inverse; /* pixels * 2^20 = (offset - fraction of position) * inverse */
    __m256i x[2];            /* to where each voxel is entered, and a pixel more */
    __m256i yz;              /* y in the lower four lanes, z in the upper ones, falling */
    __m256i y_step, z_step;  /* from voxel to voxel, where y and z change */
    bool falls;              /* x does, from pixel to pixel */
    /* Factors of add_piece(), in memory, from where they need no instruction. */
    __m256i one_pixel, one_pair, minus_hit, hit_pair;
} row_planes;

static inline __m256i plane_steps(double pixels, __m256i numbers) {
    return _mm256_mullo_epi32(numbers, _mm256_set1_epi32((int)lrint(pixels * ONE_PIXEL)));
}

static inline row_planes make_planes(const tile *t) {
    const __m256i in_order = _mm256_setr_epi32(-1, 0, 1, 2, 3, 4, 5, 6);
    const __m256i rising = _mm256_setr_epi32(0, 1, 2, 3, 0, 0, 0, 0);
    const __m256i falling = _mm256_setr_epi32(0, 0, 0, 0, 3, 2, 1, 0);
    double way[3], inverse[3], offset[3];
    for (int a = 0; a < 3; a++) {
        const double step = (double)(int64_t)t->layout.step[a];
        inverse[a] = step != 0 ? ONE_PIXEL / step : (double)ONE_VOXEL; /* no plane: far away */
        offset[a] = step >= 0 ? (double)ONE_VOXEL : 0;
        const double pixels = fabs(inverse[a]) * (double)ONE_VOXEL / ONE_PIXEL;
        way[a] = pixels < FARTHEST ? pixels : FARTHEST;
    }
    const __m256i one = _mm256_set1_epi32(1 << PIXEL_BITS);
    const __m256i eight = _mm256_set1_epi32(8 * (int)lrint(way[0] * ONE_PIXEL));
    row_planes p = {
        .yz = _mm256_add_epi32(plane_steps(way[1], rising), plane_steps(way[2], falling))};
    p.falls = inverse[0] < 0;
    p.one_pixel = _mm256_set1_epi8(1);
    p.one_pair = _mm256_set1_epi16(1);
    p.minus_hit = _mm256_set1_epi8(-128); /* 128 of either sign: a mask is -1 */
    p.hit_pair = _mm256_set1_epi16(-(1 << (FEW_SHIFT - 7)));
    p.x[0] = _mm256_add_epi32(plane_steps(way[0], in_order), one);
    p.x[1] = _mm256_add_epi32(p.x[0], eight);
    p.offset = _mm256_setr_pd(offset[0], offset[1], offset[2], offset[2]);
    p.inverse = _mm256_setr_pd(inverse[0], inverse[1], inverse[2], inverse[2]);
    p.y_step = _mm256_set1_epi32(offset[1] > 0 ? ES_BRICK : -ES_BRICK);
    p.z_step = _mm256_set1_epi32(offset[2] > 0 ? ES_BRICK * ES_BRICK : -ES_BRICK * ES_BRICK);
    return p;
}

/* The next planes of x, y and z, in fixed point. A pixel that is not before a
 * plane comes after it, hence one more; the margin is for the test of fractions. */
static inline __m128i next_planes(const row_planes *p, __m256i at) {
    const __m256d whole = _mm256_set1_pd(0x1p52); /* makes doubles of integers */
    const __m256i fraction = _mm256_and_si256(at, _mm256_set1_epi64x(ONE_VOXEL - 1));
    const __m256i bits = _mm256_or_si256(fraction, _mm256_castpd_si256(whole));
    __m256d way = _mm256_sub_pd(p->offset, _mm256_sub_pd(_mm256_castsi256_pd(bits), whole));
    __m256d pixels =
        _mm256_add_pd(_mm256_mul_pd(way, p->inverse), _mm256_set1_pd(ONE_PIXEL + UNSURE));
    return _mm256_cvtpd_epi32(_mm256_min_pd(pixels, _mm256_set1_pd(FAR * ONE_PIXEL)));
}

/* What is known of a row before its pixels are looked at. Voxels stand in the
 * order in which the row meets them. */
typedef struct row_cuts {
    __m256i from[2],
        to[2]; /* the number, 1 and up, of each voxel's first pixel, and past its last */
    _Alignas(32) int32_t end[CHANGES];  /* pixels before y or z changes, then `count`s */
    _Alignas(32) int32_t step[CHANGES]; /* from a row of voxels to the one after the change */
} row_cuts;

/* One stage of Batcher's merge: lanes and their partners, the larger one up where
 * `upper` has a bit. */
#define MERGE(v, partners, upper)                                                                  \
    _mm256_blend_epi32(_mm256_min_epi32(v, partners), _mm256_max_epi32(v, partners), upper)

/* Sorts where y, rising, and z, falling, change; bit 0 says which of them it is. */
static inline void make_changes(const row_planes *p, __m256i planes, __m256i most, row_cuts *cuts) {
    const __m256i is_z = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i pixel = _mm256_min_epi32(_mm256_srai_epi32(planes, PIXEL_BITS), most);
    __m256i v = _mm256_or_si256(_mm256_add_epi32(pixel, pixel), is_z);
    v = MERGE(v, _mm256_permute4x64_epi64(v, 0x4e), 0xf0);
    v = MERGE(v, _mm256_shuffle_epi32(v, 0x4e), 0xcc);
    v = MERGE(v, _mm256_shuffle_epi32(v, 0xb1), 0xaa);
    const __m256i z_first = _mm256_slli_epi32(v, 31);
    _mm256_store_si256((__m256i *)(void *)cuts->end, _mm256_srli_epi32(v, 1));
    _mm256_store_si256((__m256i *)(void *)cuts->step,
                       _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(p->y_step),
                                                            _mm256_castsi256_ps(p->z_step),
                                                            _mm256_castsi256_ps(z_first))));
}

static inline __m256i first_pixels(__m256i planes, __m256i end) {
    const __m256i pixels = _mm256_min_epi32(_mm256_srai_epi32(planes, PIXEL_BITS), end);
    return _mm256_max_epi32(pixels, _mm256_set1_epi32(1));
}

/* False where a plane is too close to a pixel: its fraction below twice the margin. */
static inline __attribute__((always_inline)) bool cut_at_planes(const row_planes *p, __m256i at,
                                                                uint32_t count, row_cuts *cuts) {
    const __m256i most = _mm256_set1_epi32((int)count);
    const __m256i end = _mm256_sub_epi32(most, _mm256_set1_epi32(-1));
    const __m128i first = next_planes(p, at);
    const __m256i first_x = _mm256_broadcastd_epi32(first);
    const __m256i next = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0);
    const __m256i x0 = _mm256_add_epi32(first_x, p->x[0]);
    const __m256i x1 = _mm256_add_epi32(first_x, p->x[1]);
    const __m256i both = _mm256_setr_epi32(1, 1, 1, 1, 2, 2, 2, 2);
    const __m256i yz =
        _mm256_add_epi32(_mm256_permutevar8x32_epi32(_mm256_castsi128_si256(first), both), p->yz);
    cuts->from[0] = first_pixels(x0, end);
    cuts->from[1] = first_pixels(x1, end);
    const __m256i after0 = _mm256_permutevar8x32_epi32(cuts->from[0], next);
    const __m256i after1 = _mm256_permutevar8x32_epi32(cuts->from[1], next);
    cuts->to[0] = _mm256_blend_epi32(after0, after1, 0x80);
    cuts->to[1] = _mm256_blend_epi32(after1, end, 0x80);
    make_changes(p, yz, most, cuts);
    const int up = 32 - PIXEL_BITS;
    __m256i least =
        _mm256_min_epu32(_mm256_min_epu32(_mm256_slli_epi32(x0, up), _mm256_slli_epi32(x1, up)),
                         _mm256_slli_epi32(yz, up));
    __m256i sure = _mm256_max_epu32(least, _mm256_set1_epi32((2 * UNSURE) << up));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(sure, least)) == -1;
}

/* Loads reach this far past the last pixel. */
enum { LOADED = 16 };

/* Eight voxels of a row: their up to four pixels, and each one's number in the row,
 * 0 where there is none. */
typedef struct row_eight {
    __m256i pixels, numbers;
} row_eight;

/* The pixels of four voxels lie within 16 bytes. */
static inline __attribute__((always_inline)) row_eight
load_eight(const uint8_t *pixels, __m256i from, __m256i to, bool falls, uint8_t flip) {
    const __m256i repeated = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0,
                                              0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    const __m256i four = _mm256_set1_epi32(0x03020100);
    const uint8_t *low = pixels + (uint32_t)_mm256_cvtsi256_si32(from) - 1;
    const uint8_t *high =
        pixels + (uint32_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(from, 1)) - 1;
    __m256i numbers = _mm256_add_epi8(_mm256_shuffle_epi8(from, repeated), four);
    __m256i places = _mm256_sub_epi8(numbers, _mm256_shuffle_epi8(from, _mm256_setzero_si256()));
    __m256i bytes = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
        _mm_loadu_si128((const __m128i *)(const void *)high), 1);
    bytes = _mm256_shuffle_epi8(bytes, places);
    if (flip) bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8((char)flip));
    numbers =
        _mm256_and_si256(numbers, _mm256_cmpgt_epi8(_mm256_shuffle_epi8(to, repeated), numbers));
    if (!falls) return (row_eight){bytes, numbers};
    const __m256i turned = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    return (row_eight){_mm256_permutevar8x32_epi32(bytes, turned),
                       _mm256_permutevar8x32_epi32(numbers, turned)};
}

/* Adds the pixels up to number `end` of those in `left`, which are taken out of it. */
static inline void add_piece(uint32_t *voxels, const row_planes *p, const row_eight *v, __m256i end,
                             __m256i *left) {
    const __m256i after = _mm256_cmpgt_epi8(v->numbers, end);
    const __m256i piece = _mm256_andnot_si256(after, *left);
    const __m256i totals = _mm256_maddubs_epi16(_mm256_and_si256(v->pixels, piece), p->one_pixel);
    const __m256i hits = _mm256_maddubs_epi16(p->minus_hit, piece);
    const __m256i addend = _mm256_add_epi32(_mm256_madd_epi16(totals, p->one_pair),
                                            _mm256_madd_epi16(hits, p->hit_pair));
    __m256i *at = (__m256i *)(void *)voxels;
    _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), addend));
    *left = after;
}

static inline __attribute__((always_inline)) void add_pieces(uint32_t *row, const row_planes *p,
                                                             const row_cuts *cuts,
                                                             const row_eight eights[2],
                                                             uint32_t count, bool wide) {
    const __m256i none = _mm256_setzero_si256();
    const ptrdiff_t second = p->falls ? -8 : 8;
    __m256i left[2];
    for (int h = 0; h < 2; h++) left[h] = _mm256_cmpgt_epi8(eights[h].numbers, none);
    for (int i = 0;; row += cuts->step[i++]) {
        const __m256i end = _mm256_set1_epi8((char)cuts->end[i]);
        add_piece(row, p, &eights[0], end, &left[0]);
        if (wide) add_piece(row + second, p, &eights[1], end, &left[1]);
        if ((uint32_t)cuts->end[i] >= count) return;
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

/* The voxel that a pixel lies in. */
static inline size_t voxel_of(__m256i at) {
    const __m256i places = _mm256_setr_epi64x(0, 4, 8, 64);
    const __m256i axes = _mm256_sllv_epi64(_mm256_srli_epi64(at, FRACTION), places);
    const __m128i pair =
        _mm_add_epi64(_mm256_castsi256_si128(axes), _mm256_extracti128_si256(axes, 1));
    return (size_t)_mm_cvtsi128_si64(pair) + (size_t)_mm_extract_epi64(pair, 1);
}

/* A row whose planes are known. Rows are planned some at a time and then added: how
 * many pieces there are is nothing that the processor can guess, but by then it need not
 * wait for it. */
enum { PLANNED = 8 };
typedef struct planned_row {
    row_cuts cuts;
    const uint8_t *pixels;
    uint32_t voxel, count; /* where it starts */
} planned_row;

/* False where the planes cannot be told from pixels. */
static inline __attribute__((always_inline)) bool plan_row(const row_planes *p, const layout *l,
                                                           row_walk *walk, const row_cut *cut,
                                                           planned_row *row) {
    const __m256i at = first_pixel(l, walk_to(walk, l, cut->v), cut->pixels.from);
    row->count = cut->pixels.to - cut->pixels.from;
    row->pixels = cut_pixels(l, cut);
    row->voxel = (uint32_t)voxel_of(at);
    return row->count <= CHUNK && cut_at_planes(p, at, row->count, &row->cuts);
}

static inline __attribute__((always_inline)) void add_row(uint32_t *voxels, const row_planes *p,
                                                          const planned_row *row, const tile *t,
                                                          uint8_t flip) {
    const row_cuts *cuts = &row->cuts;
    const uint32_t count = row->count;
    uint8_t copy[CHUNK + LOADED];
    row_eight eights[2];
    fetch_ahead(t, row->pixels, count + LOADED - 1);
    const uint8_t *pixels = reachable(row->pixels, count, LOADED, t->end, copy);
    const bool wide = (uint32_t)_mm256_cvtsi256_si32(cuts->from[1]) <= count;
    eights[0] = load_eight(pixels, cuts->from[0], cuts->to[0], p->falls, flip);
    eights[1] = eights[0];
    if (wide) eights[1] = load_eight(pixels, cuts->from[1], cuts->to[1], p->falls, flip);
    add_pieces(voxels + row->voxel - (p->falls ? 7 : 0), p, cuts, eights, count, wide);
}

static inline __attribute__((always_inline)) void insert_rows(uint32_t *voxels, const tile *t,
                                                              const axis axes[3], uint8_t flip) {
    const row_planes p = make_planes(t);
    const layout l = t->layout;
    row_walk walk = start_walk(&l);
    planned_row rows[PLANNED];
    for (uint32_t i = 0; i < t->count;) {
        uint32_t planned = 0;
        for (; planned < PLANNED && i < t->count; i++)
            if (plan_row(&p, &l, &walk, &t->cuts[i], &rows[planned]))
                planned++;
            else
                insert_chunks(voxels, t, i, axes, flip);
        for (uint32_t r = 0; r < planned; r++) add_row(voxels, &p, &rows[r], t, flip);
    }
}
