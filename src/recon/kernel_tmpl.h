/* The kernels of one pixel type. Before each inclusion: PIXEL, SUFFIX, SMALL (1
 * for 1- and 2-byte integers), LOWEST (smallest value of a small type),
 * IS_FLOAT, HITS and HITS_MOST (counter beside a kept value). */

/* ---- nearest ---------------------------------------------------------------- */

typedef struct NAME(picked) {
    PIXEL value;
    HITS hits;
} NAME(picked);

static inline void NAME(pick_pixels)(void *state, const row_span *span, bool latest) {
    const PIXEL *pixels = span->pixels;
    uint32_t voxel[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        nearest_voxels(span, first, count, voxel);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            NAME(picked) *s = (NAME(picked) *)state + voxel[i];
            PIXEL value = pixels[first + i];
            s->value = latest || s->hits == 0 || value > s->value ? value : s->value;
            s->hits = (HITS)(s->hits + (s->hits < HITS_MOST));
        }
    }
}

static void NAME(nearest_latest)(void *state, const row_span *span) {
    NAME(pick_pixels)(state, span, true);
}
static void NAME(nearest_maximum)(void *state, const row_span *span) {
    NAME(pick_pixels)(state, span, false);
}
static void NAME(read_picked)(const void *state, size_t voxel, reading *out) {
    const NAME(picked) *s = (const NAME(picked) *)state + voxel;
    *out = (reading){(double)s->value, (double)s->hits, 0};
}

#if SMALL

static void NAME(nearest_mean)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    uint64_t *packed = state;
    uint32_t voxel[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        nearest_voxels(span, first, count, voxel);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            packed[voxel[i]] += ONE_HIT + (uint64_t)(pixels[first + i] - LOWEST);
        }
    }
}

static void NAME(nearest_spread)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    packed_spread *voxels = state;
    uint32_t voxel[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        nearest_voxels(span, first, count, voxel);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            uint64_t value = (uint64_t)(pixels[first + i] - LOWEST);
            voxels[voxel[i]].packed += ONE_HIT + value;
            voxels[voxel[i]].squares += value * value;
        }
    }
}

static void NAME(read_packed)(const void *state, size_t voxel, reading *out) {
    uint64_t packed = ((const uint64_t *)state)[voxel];
    double hits = (double)(packed >> COUNT_SHIFT), sum = (double)(packed & SUM_MASK);
    *out = (reading){hits > 0 ? sum / hits + LOWEST : 0, hits, 0};
}

static void NAME(read_packed_spread)(const void *state, size_t voxel, reading *out) {
    const packed_spread *s = (const packed_spread *)state + voxel;
    double hits = (double)(s->packed >> COUNT_SHIFT), sum = (double)(s->packed & SUM_MASK);
    *out = (reading){0, hits, 0};
    if (hits == 0) return;
    out->value = sum / hits + LOWEST;
    out->spread = spread_of(sum, (double)s->squares, hits);
}

#else

static void NAME(nearest_mean)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    sums *voxels = state;
    uint32_t voxel[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        nearest_voxels(span, first, count, voxel);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            voxels[voxel[i]].sum += (double)pixels[first + i];
            voxels[voxel[i]].weight += 1;
        }
    }
}

static void NAME(nearest_spread)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    sums_spread *voxels = state;
    uint32_t voxel[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        nearest_voxels(span, first, count, voxel);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            double value = (double)pixels[first + i];
            voxels[voxel[i]].sum += value;
            voxels[voxel[i]].weight += 1;
            voxels[voxel[i]].squares += value * value;
        }
    }
}

#endif

/* ---- linear ----------------------------------------------------------------- */

static void NAME(linear_mean)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    corner corners[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        linear_corners(span, first, count, corners);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            float weight[8];
            corner_weights(&corners[i], weight);
            double value = (double)pixels[first + i];
            sums *low = (sums *)state + corners[i].voxel;
            for (int c = 0; c < 8; c++) {
                low[corner_step[c]].sum += (double)weight[c] * value;
                low[corner_step[c]].weight += (double)weight[c];
            }
        }
    }
}

static void NAME(linear_spread)(void *state, const row_span *span) {
    const PIXEL *pixels = span->pixels;
    corner corners[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        linear_corners(span, first, count, corners);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            float weight[8];
            corner_weights(&corners[i], weight);
            double value = (double)pixels[first + i];
            sums_spread *low = (sums_spread *)state + corners[i].voxel;
            for (int c = 0; c < 8; c++) {
                sums_spread *s = &low[corner_step[c]];
                s->sum += (double)weight[c] * value;
                s->weight += (double)weight[c];
                s->squares += (double)weight[c] * (value * value);
            }
        }
    }
}

static inline void NAME(add_frames)(void *state, const row_span *span, bool latest) {
    const PIXEL *pixels = span->pixels;
    corner corners[CHUNK];
    for (uint32_t first = 0; first < span->count; first += CHUNK) {
        uint32_t count = chunk_of(span, first);
        linear_corners(span, first, count, corners);
        for (uint32_t i = 0; i < count; i++) {
            if (span->keep && !span->keep[first + i]) continue;
            float weight[8];
            corner_weights(&corners[i], weight);
            frames *low = (frames *)state + corners[i].voxel;
            for (int c = 0; c < 8; c++)
                add_to_frame(&low[corner_step[c]], span->frame, weight[c],
                             (double)pixels[first + i], latest);
        }
    }
}

static void NAME(linear_latest)(void *state, const row_span *span) {
    NAME(add_frames)(state, span, true);
}
static void NAME(linear_maximum)(void *state, const row_span *span) {
    NAME(add_frames)(state, span, false);
}

/* ---- rows of pixels ------------------------------------------------------------ */

static uint32_t NAME(keep)(const void *row, uint32_t count, int channels, double threshold,
                           uint8_t *keep) {
    const PIXEL *pixels = row;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool finite = true, enough = isnan(threshold);
        for (int c = 0; c < channels; c++) {
            PIXEL value = pixels[(size_t)i * (size_t)channels + (size_t)c];
#if IS_FLOAT
            finite = finite && isfinite(value);
#endif
            enough = enough || (double)value >= threshold;
        }
        keep[i] = finite && enough;
        kept += keep[i];
    }
    return kept;
}

static void NAME(pick)(const void *row, uint32_t count, int channels, int channel, void *out) {
    const PIXEL *pixels = row;
    for (uint32_t i = 0; i < count; i++)
        ((PIXEL *)out)[i] = pixels[(size_t)i * (size_t)channels + (size_t)channel];
}

/* ---- the table ------------------------------------------------------------------- */

#define ENTRY(state, insert_row, read_voxel, room)                                                 \
    { sizeof(state), insert_row, read_voxel, NAME(keep), NAME(pick), room }
static const kernel NAME(kernels)[2][3]
                                 [2] =
                                     {
                                         [ES_NEAREST] =
                                             {
                                                 [ES_LATEST] = {ENTRY(NAME(picked),
                                                                      NAME(nearest_latest),
                                                                      NAME(read_picked), NULL)},
                                                 [ES_MAXIMUM] = {ENTRY(NAME(picked),
                                                                       NAME(nearest_maximum),
                                                                       NAME(read_picked), NULL)},
#if SMALL
                                                 [ES_MEAN] = {ENTRY(
                                                                  uint64_t,
                                                                  NAME(nearest_mean), NAME(read_packed), make_room_packed),
                                                              ENTRY(
                                                                  packed_spread,
                                                                  NAME(nearest_spread), NAME(read_packed_spread), make_room_packed_spread)},
#else
                                                 [ES_MEAN] = {ENTRY(sums, NAME(nearest_mean),
                                                                    read_sums, NULL),
                                                              ENTRY(sums_spread,
                                                                    NAME(nearest_spread),
                                                                    read_sums_spread, NULL)},
#endif
                                             },
                                         [ES_LINEAR] =
                                             {
                                                 [ES_LATEST] = {ENTRY(frames, NAME(linear_latest),
                                                                      read_latest_frame, NULL)},
                                                 [ES_MAXIMUM] = {ENTRY(frames, NAME(linear_maximum),
                                                                       read_largest_frame, NULL)},
                                                 [ES_MEAN] = {ENTRY(sums, NAME(linear_mean),
                                                                    read_sums, NULL),
                                                              ENTRY(sums_spread,
                                                                    NAME(linear_spread),
                                                                    read_sums_spread, NULL)},
                                             },
};
#undef ENTRY
#undef PIXEL
#undef LOWEST
#undef SUFFIX
