/* NEAREST MEAN of bytes for rows that cross the volume's axes: voxel numbers of 16
 * pixels at a time, then each pixel is added to its voxel.
 *
 * The way along a row is the same for all rows of a frame, so that positions are
 * a table plus where the row starts, 28 bits of fraction, exactly (see row_start),
 * in two halves of 16 bits. Voxels and pixels of many rows go into a list, one behind
 * the other, which is then added in a loop without branches.
 *
 * Included by kernels_avx2.c. */

/* ---- positions ---------------------------------------------------------------------- */

enum { WAYS = 240, LISTED = 1024, ADDED_AT_ONCE = 8 };

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

/* False where rows are too long for the table. */
static inline bool make_ways(const tile *t, const axis axes[3], row_ways *ways) {
    uint32_t first = UINT32_MAX, end = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->cuts[i].pixels.from < first) first = t->cuts[i].pixels.from;
        if (t->cuts[i].pixels.to > end) end = t->cuts[i].pixels.to;
    }
    if (t->count == 0 || end - first > WAYS) return false;
    ways->first = first;
    for (int a = 0; a < 3; a++) {
        place at = start_at(&axes[a], first * t->layout.step[a]);
        for (uint32_t i = 0; i < end - first; i += LANES)
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
    const __m256i y = _mm256_and_si256(_mm256_srli_epi16(at[1], 8), _mm256_set1_epi16(0x00f0));
    const __m256i z = _mm256_and_si256(_mm256_srli_epi16(at[2], 4), _mm256_set1_epi16(0x0f00));
    return _mm256_or_si256(_mm256_or_si256(x, y), z);
}

/* ---- pixels -------------------------------------------------------------------------- */

/* Pixels of some rows: their voxels, and what they add. Written in whole steps. */
typedef struct pixel_list {
    uint32_t count;
    uint16_t voxel[LISTED + WAYS + LANES];
    uint32_t addend[LISTED + WAYS + LANES];
} pixel_list;

/* Eight pixels, each with the bits of `flip` changed. */
static inline void list_eight(uint32_t *addend, const uint8_t *pixels, uint8_t flip) {
    const __m256i value = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)pixels));
    const __m256i one = _mm256_set1_epi32((int)(ONE_OF_FEW | flip));
    _mm256_storeu_si256((__m256i *)(void *)addend, _mm256_xor_si256(value, one));
}

/* A row, whose pixels can be read up to the next whole step; `way` is that of the first. */
static inline __attribute__((always_inline)) void list_row(pixel_list *list, const uint8_t *pixels,
                                                           uint32_t count, const row_ways *ways,
                                                           uint32_t way, const row_at *row,
                                                           uint8_t flip) {
    const uint32_t listed = list->count;
    for (uint32_t i = 0; i < count; i += LANES) {
        _mm256_storeu_si256((__m256i *)(void *)(list->voxel + listed + i),
                            sixteen_voxels(ways, way + i, row));
        list_eight(list->addend + listed + i, pixels + i, flip);
        list_eight(list->addend + listed + i + 8, pixels + i + 8, flip);
    }
    list->count = listed + count;
}

/* Adds the pixels to their voxels and empties the list. */
static inline void add_pixels(uint32_t *voxels, pixel_list *list) {
    for (uint32_t i = list->count; i < list->count + ADDED_AT_ONCE; i++)
        list->voxel[i] = 0, list->addend[i] = 0;
    for (uint32_t i = 0; i < list->count; i += ADDED_AT_ONCE)
        for (int k = 0; k < ADDED_AT_ONCE; k++) voxels[list->voxel[i + k]] += list->addend[i + k];
    list->count = 0;
}

static inline __attribute__((always_inline)) void
insert_pixels(uint32_t *voxels, const tile *t, const row_ways *ways, uint8_t flip) {
    const layout l = t->layout;
    row_walk walk = start_walk(&l);
    pixel_list list;
    list.count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const row_cut cut = t->cuts[i];
        const uint32_t from = cut.pixels.from, count = cut.pixels.to - from;
        const uint8_t *pixels = cut_pixels(&l, &cut);
        uint8_t copy[WAYS + LANES];
        fetch_ahead(t, pixels, count - 1);
        pixels = reachable(pixels, count, LANES, t->end, copy);
        const row_at row = spread_row(walk_to(&walk, &l, cut.v));
        list_row(&list, pixels, count, ways, from - ways->first, &row, flip);
        if (list.count > LISTED) add_pixels(voxels, &list);
    }
    add_pixels(voxels, &list);
}
