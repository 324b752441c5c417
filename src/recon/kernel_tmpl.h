/* The plain kernels of one pixel type: see kernel_types.h. */

/* ---- nearest ---------------------------------------------------------------- */

DEFINE_PICKED;

static inline void NAME(pick_chunk)(NAME(picked) * voxels, const chunk *c, bool latest) {
    const PIXEL *pixels = c->pixels;
    uint32_t voxel[CHUNK];
    nearest_voxels(c, voxel);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        NAME(picked) *s = &voxels[voxel[i]];
        s->value = latest || s->hits == 0 || pixels[i] > s->value ? pixels[i] : s->value;
        s->hits = (HITS)(s->hits + (s->hits < HITS_MOST));
    }
}

static void NAME(nearest_latest)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(pick_chunk)(state, &c, true));
}
static void NAME(nearest_maximum)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(pick_chunk)(state, &c, false));
}
static inline reading NAME(reading_of_picked)(const NAME(picked) * s) {
    return (reading){(double)s->value, (double)s->hits, 0};
}
READ_ROWS(NAME(read_picked), NAME(picked), NAME(reading_of_picked))
VALUE_ROWS(NAME(values_picked), NAME(picked), NAME(reading_of_picked))

static inline void NAME(sums_chunk)(sums *voxels, const chunk *c, bool masked) {
    const PIXEL *pixels = c->pixels;
    uint32_t voxel[CHUNK];
    nearest_voxels(c, voxel);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        const double weight = masked ? (double)importance(c->keep[i]) : 1;
        voxels[voxel[i]].sum += weight * (double)pixels[i];
        voxels[voxel[i]].weight += weight;
    }
}

static inline void NAME(sums_spread_chunk)(sums_spread *voxels, const chunk *c, bool masked) {
    const PIXEL *pixels = c->pixels;
    uint32_t voxel[CHUNK];
    nearest_voxels(c, voxel);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        const double weight = masked ? (double)importance(c->keep[i]) : 1;
        const double value = (double)pixels[i];
        voxels[voxel[i]].sum += weight * value;
        voxels[voxel[i]].weight += weight;
        voxels[voxel[i]].squares += weight * (value * value);
    }
}

static void NAME(nearest_weighted)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(sums_chunk)(state, &c, true));
}
static void NAME(nearest_weighted_spread)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(sums_spread_chunk)(state, &c, true));
}

#if SMALL

MEAN_CHUNK(NAME(mean_chunk), uint64_t, ONE_HIT)

static inline void NAME(spread_chunk)(packed_spread *voxels, const chunk *c) {
    const PIXEL *pixels = c->pixels;
    uint32_t voxel[CHUNK];
    nearest_voxels(c, voxel);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        uint64_t value = (uint64_t)(pixels[i] - LOWEST);
        voxels[voxel[i]].packed += ONE_HIT + value;
        voxels[voxel[i]].squares += value * value;
    }
}

static inline reading NAME(reading_of_packed)(const uint64_t *s) {
    double hits = (double)(int32_t)(*s >> COUNT_SHIFT), sum = (double)(int64_t)(*s & SUM_MASK);
    return (reading){hits > 0 ? sum / hits + LOWEST : 0, hits, 0};
}

#if IS_BYTE

MEAN_CHUNK(NAME(few_chunk), uint32_t, ONE_OF_FEW)

/* Elements of the state, and of its deep part if there is one. */
static inline reading NAME(reading_of_few)(const void *state, const void *deep, size_t i) {
    uint64_t packed = unpack_few(((const few_state *)state)->voxel[i]);
    if (deep) packed += ((const uint64_t *)deep)[i];
    return NAME(reading_of_packed)(&packed);
}
static void NAME(read_few)(const void *state, const void *deep, size_t first, uint32_t count,
                           reading *out) {
    for (uint32_t i = 0; i < count; i++) out[i] = NAME(reading_of_few)(state, deep, first + i);
}
static void NAME(values_few)(const void *state, const void *deep, size_t first, uint32_t count,
                             void *out) {
    for (uint32_t i = 0; i < count; i++)
        ((PIXEL *)out)[i] = TO_PIXEL(NAME(reading_of_few)(state, deep, first + i).value);
}

#else

READ_ROWS(NAME(read_packed), uint64_t, NAME(reading_of_packed))
VALUE_ROWS(NAME(values_packed), uint64_t, NAME(reading_of_packed))

#endif

static inline reading NAME(reading_of_packed_spread)(const packed_spread *s) {
    reading r = NAME(reading_of_packed)(&s->packed);
    if (r.hits > 0)
        r.spread = spread_of((double)(s->packed & SUM_MASK), (double)s->squares, r.hits);
    return r;
}
READ_ROWS(NAME(read_packed_spread), packed_spread, NAME(reading_of_packed_spread))
VALUE_ROWS(NAME(values_packed_spread), packed_spread, NAME(reading_of_packed_spread))

#else

static inline void NAME(mean_chunk)(sums *voxels, const chunk *c) {
    NAME(sums_chunk)(voxels, c, false);
}
static inline void NAME(spread_chunk)(sums_spread *voxels, const chunk *c) {
    NAME(sums_spread_chunk)(voxels, c, false);
}

#endif

static void NAME(nearest_mean)(void *state, const tile *t) {
#if IS_BYTE
    if (t->deep)
        FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(mean_chunk)(t->deep, &c))
    else
        FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(few_chunk)(((few_state *)state)->voxel, &c))
#else
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(mean_chunk)(state, &c));
#endif
}
static void NAME(nearest_spread)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(spread_chunk)(state, &c));
}

/* ---- linear ----------------------------------------------------------------- */

/* Neighbouring pixels mostly share their 8 voxels: their sums are gathered
 * first, which rounds a little, always alike, and then added. */
static inline void NAME(linear_mean_chunk)(sums *voxels, const chunk *c, bool masked) {
    const PIXEL *pixels = c->pixels;
    corners at;
    linear_corners(c, &at);
    for (uint32_t i = 0; i < c->count;) {
        const uint32_t voxel = at.voxel[i];
        GATHER sum[8] = {0}, weights[8] = {0};
        for (; i < c->count && at.voxel[i] == voxel; i++) {
            if (c->keep && !c->keep[i]) continue;
            float weight[8];
            corner_weights(&at, i, weight);
            if (masked) weigh_corners(weight, c->keep[i]);
            for (int k = 0; k < 8; k++) {
                sum[k] += (GATHER)weight[k] * (GATHER)pixels[i];
                weights[k] += (GATHER)weight[k];
            }
        }
        for (int k = 0; k < 8; k++) {
            voxels[voxel + corner_step[k]].sum += (double)sum[k];
            voxels[voxel + corner_step[k]].weight += (double)weights[k];
        }
    }
}

static inline void NAME(linear_spread_chunk)(sums_spread *voxels, const chunk *c, bool masked) {
    const PIXEL *pixels = c->pixels;
    corners at;
    linear_corners(c, &at);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        float weight[8];
        corner_weights(&at, i, weight);
        if (masked) weigh_corners(weight, c->keep[i]);
        const double value = (double)pixels[i];
        for (int k = 0; k < 8; k++) {
            sums_spread *s = &voxels[at.voxel[i] + corner_step[k]];
            s->sum += (double)weight[k] * value;
            s->weight += (double)weight[k];
            s->squares += (double)weight[k] * (value * value);
        }
    }
}

static inline void NAME(frames_chunk)(frames *voxels, const chunk *c, uint32_t frame, bool latest) {
    const PIXEL *pixels = c->pixels;
    corners at;
    linear_corners(c, &at);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->keep && !c->keep[i]) continue;
        float weight[8];
        corner_weights(&at, i, weight);
        for (int k = 0; k < 8; k++)
            add_to_frame(&voxels[at.voxel[i] + corner_step[k]], frame, weight[k], (double)pixels[i],
                         latest);
    }
}

static void NAME(linear_mean)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(linear_mean_chunk)(state, &c, false));
}
static void NAME(linear_weighted)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(linear_mean_chunk)(state, &c, true));
}
static void NAME(linear_spread)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(linear_spread_chunk)(state, &c, false));
}
static void NAME(linear_weighted_spread)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(linear_spread_chunk)(state, &c, true));
}
static void NAME(linear_latest)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(frames_chunk)(state, &c, t->frame, true));
}
static void NAME(linear_maximum)(void *state, const tile *t) {
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(frames_chunk)(state, &c, t->frame, false));
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

VALUE_ROWS(NAME(values_sums), sums, reading_of_sums)
VALUE_ROWS(NAME(values_sums_spread), sums_spread, reading_of_sums_spread)
VALUE_ROWS(NAME(values_latest), frames, reading_of_latest)
VALUE_ROWS(NAME(values_largest), frames, reading_of_largest)

/* ---- the table ------------------------------------------------------------------- */

#define ENTRY(bytes, insert_, read_, values_)                                                      \
    .brick_bytes = (bytes), .insert_kept = insert_, .read = read_, .values = values_,              \
    .keep = NAME(keep), .pick = NAME(pick)
#define NEAREST(state, insert_, read_, values_)                                                    \
    ENTRY(ES_BRICK_VOXELS * sizeof(state), insert_, read_, values_)
#define LINEAR(state, insert_, read_, values_)                                                     \
    ENTRY(RIM_VOXELS * sizeof(state), insert_, read_, values_)

#define MEAN_OF_SUMS                                                                               \
    { NEAREST(sums, NAME(nearest_mean), read_sums, NAME(values_sums)) }
#define SPREAD_OF_SUMS                                                                             \
    { NEAREST(sums_spread, NAME(nearest_spread), read_sums_spread, NAME(values_sums_spread)) }
#define MEAN_OF_PACKED                                                                             \
    {                                                                                              \
        NEAREST(uint64_t, NAME(nearest_mean), NAME(read_packed), NAME(values_packed)),             \
            .state_hits = MOST_HITS, .make_room = make_room_packed                                 \
    }
#define SPREAD_OF_PACKED                                                                           \
    {                                                                                              \
        NEAREST(packed_spread, NAME(nearest_spread), NAME(read_packed_spread),                     \
                NAME(values_packed_spread)),                                                       \
            .state_hits = MOST_HITS, .make_room = make_room_packed_spread                          \
    }
#define MEAN_OF_FEW                                                                                \
    {                                                                                              \
        ENTRY(sizeof(few_state), NAME(nearest_mean), NAME(read_few), NAME(values_few)),            \
            .state_hits = FEW_HITS, .make_room = make_room_packed,                                 \
            .deep_bytes = ES_BRICK_VOXELS * sizeof(uint64_t), .deepen = deepen_few,                \
            .count_most = most_of_few                                                              \
    }

#if IS_BYTE
#define MEAN_ENTRY MEAN_OF_FEW
#define SPREAD_ENTRY SPREAD_OF_PACKED
#elif SMALL
#define MEAN_ENTRY MEAN_OF_PACKED
#define SPREAD_ENTRY SPREAD_OF_PACKED
#else
#define MEAN_ENTRY MEAN_OF_SUMS
#define SPREAD_ENTRY SPREAD_OF_SUMS
#endif

/* clang-format off */
static const kernel NAME(kernels)[2][3][4] = {
    [ES_NEAREST] = {
        [ES_LATEST] = {{NEAREST(NAME(picked), NAME(nearest_latest), NAME(read_picked),
                                NAME(values_picked))}},
        [ES_MAXIMUM] = {{NEAREST(NAME(picked), NAME(nearest_maximum), NAME(read_picked),
                                 NAME(values_picked))}},
        [ES_MEAN] = {MEAN_ENTRY, SPREAD_ENTRY,
                     {NEAREST(sums, NAME(nearest_weighted), read_sums, NAME(values_sums))},
                     {NEAREST(sums_spread, NAME(nearest_weighted_spread), read_sums_spread,
                              NAME(values_sums_spread))}},
    },
    [ES_LINEAR] = {
        [ES_LATEST] = {{LINEAR(frames, NAME(linear_latest), read_latest, NAME(values_latest))}},
        [ES_MAXIMUM] = {{LINEAR(frames, NAME(linear_maximum), read_largest,
                                NAME(values_largest))}},
        [ES_MEAN] = {{LINEAR(sums, NAME(linear_mean), read_sums, NAME(values_sums))},
                     {LINEAR(sums_spread, NAME(linear_spread), read_sums_spread,
                             NAME(values_sums_spread))},
                     {LINEAR(sums, NAME(linear_weighted), read_sums, NAME(values_sums))},
                     {LINEAR(sums_spread, NAME(linear_weighted_spread), read_sums_spread,
                             NAME(values_sums_spread))}},
    },
};
/* clang-format on */
#undef ENTRY
#undef NEAREST
#undef LINEAR
#undef MEAN_ENTRY
#undef SPREAD_ENTRY
#undef MEAN_OF_SUMS
#undef SPREAD_OF_SUMS
#undef MEAN_OF_PACKED
#undef SPREAD_OF_PACKED
#undef MEAN_OF_FEW
