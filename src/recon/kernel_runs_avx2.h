/* NEAREST MEAN of bytes for rows that cross the volume's axes, where a voxel
 * gets two or three pixels of a row.
 *
 * The way along a row is the same for all rows of a frame, so that positions are
 * a table plus where the row starts, 28 bits of fraction, exactly (see row_start),
 * in two halves of 16 bits. Sixteen pixels at a time, the first pixel of each run
 * is packed into a list: its voxel, its number in the list and the sum of all the
 * pixels before it, so that what a run adds to its voxel is the difference to the
 * next entry. Finding runs and adding them are separate loops: the lengths of runs
 * are nothing that the processor has to guess. Included by kernels_avx2.c. */

enum { VOXEL_BITS = 12, WAYS = 240, RUNS = 1024, HALF = 8 };
static const double LONG_STEP = 0.07; /* of a voxel: runs are shorter than 16 pixels */

/* Runs: voxel, and above it the number modulo 16 of the first pixel; the sum
 * modulo 65536 of the pixels before it. Written and read in whole steps. */
typedef struct run_list {
    uint32_t count;
    uint16_t voxel[RUNS + WAYS + 2 * LANES], sum[RUNS + WAYS + 2 * LANES];
} run_list;

/* The way from pixel 0 to the pixels `first` and following: the upper half, and
 * what the lower half lacks to a carry, less 2^15 for signed comparison. */
typedef struct row_ways {
    uint32_t first;
    uint16_t upper[3][WAYS + LANES], lack[3][WAYS + LANES];
} row_ways;

/* Both halves for 16 pixels; then goes on. */
static inline void next_ways(const axis *a, place *at, uint16_t *upper, uint16_t *lack) {
    const sixteen way = next_16(a, at);
    const __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(way.even, 16), way.odd, 0xaa);
    const __m256i low = _mm256_blend_epi16(way.even, _mm256_slli_epi32(way.odd, 16), 0xaa);
    _mm256_storeu_si256((__m256i *)(void *)upper, high);
    _mm256_storeu_si256((__m256i *)(void *)lack, _mm256_xor_si256(low, _mm256_set1_epi16(0x7fff)));
}

/* False where runs are too long, or rows: the list could not count them. */
static inline bool make_ways(const tile *t, const axis axes[3], row_ways *ways) {
    uint32_t first = UINT32_MAX, end = 0;
    double longest = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->cuts[i].pixels.from < first) first = t->cuts[i].pixels.from;
        if (t->cuts[i].pixels.to > end) end = t->cuts[i].pixels.to;
    }
    for (int a = 0; a < 3; a++)
        longest = fmax(longest, fabs((double)(int64_t)t->layout.step[a]) / (double)ONE_VOXEL);
    if (t->count == 0 || end - first > WAYS || longest < LONG_STEP) return false;
    ways->first = first;
    for (int a = 0; a < 3; a++) {
        place at = start_at(&axes[a], first * t->layout.step[a]);
        for (uint32_t i = 0; i <= end - first; i += LANES)
            next_ways(&axes[a], &at, ways->upper[a] + i, ways->lack[a] + i);
    }
    return true;
}

/* Where a row starts, in all lanes: halves as in row_ways, 1 less 2^15. */
typedef struct row_at {
    __m256i upper[3], lower[3];
} row_at;

/* `position`: x y z in 64-bit lanes. */
static inline row_at spread_row(__m256i position) {
    const __m256i lower = _mm256_set1_epi16(0x0100), upper = _mm256_set1_epi16(0x0302);
    const __m256i at = _mm256_xor_si256(_mm256_srli_epi64(position, FRACTION - ROW_FRACTION),
                                        _mm256_set1_epi64x(0x8000));
    const __m256i axes[3] = {_mm256_permute4x64_epi64(at, 0x00), _mm256_permute4x64_epi64(at, 0x55),
                             _mm256_permute4x64_epi64(at, 0xaa)};
    row_at out;
    for (int a = 0; a < 3; a++) {
        out.upper[a] = _mm256_shuffle_epi8(axes[a], upper);
        out.lower[a] = _mm256_shuffle_epi8(axes[a], lower);
    }
    return out;
}

static inline __m256i load_ways(const uint16_t *ways) {
    return _mm256_loadu_si256((const __m256i *)(const void *)ways);
}

/* Voxel numbers of 16 pixels. */
static inline __m256i sixteen_voxels(const row_ways *ways, uint32_t i, const row_at *row) {
    __m256i at[3];
    for (int a = 0; a < 3; a++) {
        const __m256i carry = _mm256_cmpgt_epi16(row->lower[a], load_ways(ways->lack[a] + i));
        at[a] = _mm256_add_epi16(row->upper[a], load_ways(ways->upper[a] + i));
        at[a] = _mm256_sub_epi16(at[a], carry);
    }
    const __m256i x = _mm256_srli_epi16(at[0], 12);
    const __m256i y = _mm256_and_si256(_mm256_srli_epi16(at[1], 8), _mm256_set1_epi16(0xf0));
    const __m256i z = _mm256_and_si256(_mm256_srli_epi16(at[2], 4), _mm256_set1_epi16(0xf00));
    return _mm256_or_si256(_mm256_or_si256(x, y), z);
}

/* lanes_of[bits]: the bytes of the 16-bit lanes whose bits are set, one after the other. */
#define BIT(m, i) ((uint64_t)((m) >> (i)&1))
#define BELOW_4(m, i)                                                                              \
    (((i) > 0 ? BIT(m, 0) : 0) + ((i) > 1 ? BIT(m, 1) : 0) + ((i) > 2 ? BIT(m, 2) : 0) +           \
     ((i) > 3 ? BIT(m, 3) : 0))
#define BELOW(m, i)                                                                                \
    (BELOW_4(m, i) + ((i) > 4 ? BIT(m, 4) : 0) + ((i) > 5 ? BIT(m, 5) : 0) +                       \
     ((i) > 6 ? BIT(m, 6) : 0))
#define PUT(m, i, h)                                                                               \
    (BELOW(m, i) / 4 == (h) ? BIT(m, i) * (0x0202 * (i) + 0x0100) << 16 * (BELOW(m, i) % 4) : 0)
#define LANES_OF(m, h)                                                                             \
    PUT(m, 0, h) | PUT(m, 1, h) | PUT(m, 2, h) | PUT(m, 3, h) | PUT(m, 4, h) | PUT(m, 5, h) |      \
        PUT(m, 6, h) | PUT(m, 7, h)
#define LANES_1(m) LANES_OF(m, 0), LANES_OF(m, 1)
#define LANES_4(m) LANES_1(m), LANES_1((m) + 1), LANES_1((m) + 2), LANES_1((m) + 3)
#define LANES_16(m) LANES_4(m), LANES_4((m) + 4), LANES_4((m) + 8), LANES_4((m) + 12)
#define LANES_64(m) LANES_16(m), LANES_16((m) + 16), LANES_16((m) + 32), LANES_16((m) + 48)
static const _Alignas(16) uint64_t lanes_of[512] = {LANES_64(0), LANES_64(64), LANES_64(128),
                                                    LANES_64(192)};

/* Puts the lanes whose bits are set behind the `count` entries; returns how many there are. */
static inline uint32_t append(run_list *list, uint32_t count, __m128i voxels, __m128i before,
                              uint32_t bits) {
    const __m128i lanes = _mm_load_si128((const __m128i *)(const void *)(lanes_of + 2 * bits));
    _mm_storeu_si128((__m128i *)(void *)(list->voxel + count), _mm_shuffle_epi8(voxels, lanes));
    _mm_storeu_si128((__m128i *)(void *)(list->sum + count), _mm_shuffle_epi8(before, lanes));
    return count + (uint32_t)_mm_popcnt_u32(bits);
}

/* What goes on from row to row, in every lane: number << VOXEL_BITS, and sum, of
 * the pixels so far. */
typedef struct run_total {
    __m256i number, sum;
} run_total;

/* One lane of v, in every lane. */
static inline __m256i spread_lane(__m256i v, uint32_t lane) {
    const __m256i half = _mm256_permutevar8x32_epi32(v, _mm256_set1_epi32((int)(lane / 2)));
    return _mm256_shuffle_epi8(half, _mm256_set1_epi16((short)(0x0100 + 0x0202 * (lane % 2))));
}

/* The runs of a row, whose pixels can be read up to the next whole step after its
 * last one; `way` is that of the first. */
static inline __attribute__((always_inline)) void list_row(run_list *list, run_total *total,
                                                           const uint8_t *pixels, uint32_t count,
                                                           const row_ways *ways, uint32_t way,
                                                           const row_at *row, uint8_t flip) {
    __m256i before = _mm256_set1_epi16(-1); /* no voxel: the first pixel begins a run */
    const __m256i number = _mm256_add_epi16(
        total->number,
        _mm256_slli_epi16(_mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                          VOXEL_BITS));
    __m256i prior, carry = total->sum;
    uint32_t runs = list->count;
    for (uint32_t i = 0; i <= count; i += LANES) {
        const __m256i voxel = sixteen_voxels(ways, way + i, row);
        const __m256i shifted =
            _mm256_alignr_epi8(voxel, _mm256_permute2x128_si256(before, voxel, 0x21), 14);
        uint32_t same = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi16(voxel, shifted));
        const uint32_t starts =
            _andn_u32(_pext_u32(same, 0x55555555), _bzhi_u32(0xffff, count - i));
        next_sums(pixels + i, flip, &carry, &prior);
        const __m256i entry = _mm256_or_si256(voxel, number);
        runs = append(list, runs, _mm256_castsi256_si128(entry), _mm256_castsi256_si128(prior),
                      starts & 0xff);
        runs = append(list, runs, _mm256_extracti128_si256(entry, 1),
                      _mm256_extracti128_si256(prior, 1), starts >> HALF);
        before = voxel;
    }
    list->count = runs;
    total->sum = spread_lane(prior, count % LANES);
    total->number =
        _mm256_add_epi16(total->number, _mm256_set1_epi16((short)(count << VOXEL_BITS)));
}

/* What sixteen runs add to their voxels, in the order 0-3 8-11 4-7 12-15. */
static inline void make_addends(const run_list *list, uint32_t i, uint64_t addend[LANES]) {
    const __m256i upper = _mm256_set1_epi16((short)0xf000), none = _mm256_setzero_si256();
    const __m256i sum = _mm256_sub_epi16(load_ways(list->sum + i + 1), load_ways(list->sum + i));
    __m256i hits = _mm256_and_si256(load_ways(list->voxel + i), upper);
    hits = _mm256_and_si256(_mm256_sub_epi16(load_ways(list->voxel + i + 1), hits), upper);
    hits = _mm256_srli_epi16(hits, VOXEL_BITS + 32 - COUNT_SHIFT);
    const __m256i values[2] = {_mm256_unpacklo_epi16(sum, none), _mm256_unpackhi_epi16(sum, none)};
    const __m256i counts[2] = {_mm256_unpacklo_epi16(hits, none),
                               _mm256_unpackhi_epi16(hits, none)};
    __m256i *out = (__m256i *)addend;
    for (int h = 0; h < 2; h++) {
        _mm256_store_si256(out + 2 * h, _mm256_unpacklo_epi32(values[h], counts[h]));
        _mm256_store_si256(out + 2 * h + 1, _mm256_unpackhi_epi32(values[h], counts[h]));
    }
}

/* Adds the runs to their voxels and empties the list. */
static inline void add_runs(uint64_t *voxels, run_list *list, const run_total *total) {
    /* Where addends 0 1 | 2 3 | and so on of a step stand: lanes are unpacked in halves. */
    static const uint8_t run_of[LANES] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15};
    const __m256i end[2] = {total->number, total->sum}; /* adds nothing to voxel 0 */
    _mm256_storeu_si256((__m256i *)(void *)(list->voxel + list->count), end[0]);
    _mm256_storeu_si256((__m256i *)(void *)(list->sum + list->count), end[1]);
    list->voxel[list->count + LANES] = list->voxel[list->count];
    list->sum[list->count + LANES] = list->sum[list->count];
    for (uint32_t i = 0; i < list->count; i += LANES) {
        _Alignas(32) uint64_t addend[LANES];
        make_addends(list, i, addend);
        for (int k = 0; k < LANES; k++)
            voxels[list->voxel[i + run_of[k]] & (ES_BRICK_VOXELS - 1)] += addend[k];
    }
    list->count = 0;
}

static inline __attribute__((always_inline)) void insert_runs(uint64_t *voxels, const tile *t,
                                                              const row_ways *ways, uint8_t flip) {
    const layout l = t->layout;
    row_walk walk = start_walk(&l);
    run_total total = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    run_list list;
    list.count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const row_cut cut = t->cuts[i];
        const uint32_t from = cut.pixels.from, count = cut.pixels.to - from;
        const uint8_t *pixels = cut_pixels(&l, &cut);
        uint8_t copy[WAYS + 2 * LANES];
        fetch_ahead(t, pixels, count - 1);
        pixels = reachable(pixels, count, LANES, t->end, copy);
        const row_at row = spread_row(walk_to(&walk, &l, cut.v));
        list_row(&list, &total, pixels, count, ways, from - ways->first, &row, flip);
        if (list.count > RUNS) add_runs(voxels, &list, &total);
    }
    add_runs(voxels, &list, &total);
}
