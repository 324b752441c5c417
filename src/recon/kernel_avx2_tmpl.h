/* The AVX2 kernels of one pixel type: see kernel_types.h. */

DEFINE_PICKED;

static inline void NAME(add_hits)(NAME(picked) * s, uint32_t hits) {
    s->hits = hits < (uint32_t)(HITS_MOST - s->hits) ? (HITS)(s->hits + hits) : HITS_MOST;
}

static inline void NAME(latest_chunk)(NAME(picked) * voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        NAME(picked) *s = &voxels[voxel[last]];
        s->value = pixels[last];
        NAME(add_hits)(s, last + 1 - from);
    }
}

static inline void NAME(maximum_chunk)(NAME(picked) * voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        NAME(picked) *s = &voxels[voxel[last]];
        PIXEL most = s->hits == 0 ? pixels[from] : s->value;
        for (uint32_t i = from; i <= last; i++) most = pixels[i] > most ? pixels[i] : most;
        s->value = most;
        NAME(add_hits)(s, last + 1 - from);
    }
}

/* Pixel by pixel, as the plain kernel does. */
static inline void NAME(maximum_each)(NAME(picked) * voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    find_runs(c, axes, voxel);
    for (uint32_t i = 0; i < c->count; i++) {
        NAME(picked) *s = &voxels[voxel[i]];
        s->value = s->hits == 0 || pixels[i] > s->value ? pixels[i] : s->value;
        s->hits = (HITS)(s->hits + (s->hits < HITS_MOST));
    }
}

/* Sums of floats go on from the voxel's own, pixel by pixel, as the plain ones do. */
static inline void NAME(sums_chunk)(sums *voxels, const chunk *c, const axis axes[3], bool masked) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        sums s = voxels[voxel[last]];
        for (uint32_t i = from; i <= last; i++) {
            if (masked && !c->keep[i]) continue;
            const double weight = masked ? (double)importance(c->keep[i]) : 1;
            s.sum += weight * (double)pixels[i];
            s.weight += weight;
        }
        voxels[voxel[last]] = s;
    }
}

static void NAME(nearest_weighted)(void *state, const tile *t) {
    axis axes[3];
    make_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(sums_chunk)(state, &c, axes, true));
}

#if SMALL

static inline void NAME(mean_chunk)(uint64_t *voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        uint64_t sum = (uint64_t)(last + 1 - from) << COUNT_SHIFT;
        for (uint32_t i = from; i <= last; i++) sum += (uint64_t)(pixels[i] - LOWEST);
        voxels[voxel[last]] += sum;
    }
}

static inline void NAME(spread_chunk)(packed_spread *voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        uint64_t sum = (uint64_t)(last + 1 - from) << COUNT_SHIFT, squares = 0;
        for (uint32_t i = from; i <= last; i++) {
            uint64_t value = (uint64_t)(pixels[i] - LOWEST);
            sum += value;
            squares += value * value;
        }
        voxels[voxel[last]].packed += sum;
        voxels[voxel[last]].squares += squares;
    }
}

#else

static inline void NAME(mean_chunk)(sums *voxels, const chunk *c, const axis axes[3]) {
    NAME(sums_chunk)(voxels, c, axes, false);
}

static inline void NAME(spread_chunk)(sums_spread *voxels, const chunk *c, const axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) uint16_t voxel[CHUNK];
    uint64_t ends = find_runs(c, axes, voxel);
    FOR_EACH_RUN(ends) {
        sums_spread s = voxels[voxel[last]];
        for (uint32_t i = from; i <= last; i++) {
            s.sum += (double)pixels[i];
            s.squares += (double)pixels[i] * (double)pixels[i];
        }
        s.weight += last + 1 - from;
        voxels[voxel[last]] = s;
    }
}

#endif

static void NAME(nearest_latest)(void *state, const tile *t) {
    axis axes[3];
    make_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(latest_chunk)(state, &c, axes));
}
static void NAME(nearest_maximum)(void *state, const tile *t) {
    axis axes[3];
    make_axes(t, axes);
    if (has_short_runs(t))
        FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(maximum_each)(state, &c, axes))
    else
        FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(maximum_chunk)(state, &c, axes));
}
static void NAME(nearest_mean_any)(void *state, const tile *t) {
    axis axes[3];
    make_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(mean_chunk)(state, &c, axes));
}
static void NAME(nearest_spread)(void *state, const tile *t) {
    axis axes[3];
    make_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(spread_chunk)(state, &c, axes));
}

#if SMALL

/* Values of a chunk's pixels; past its end whatever memory holds, unused. */
static inline void NAME(load_values)(const chunk *c, const void *end, float value[CHUNK]) {
    PIXEL copy[CHUNK];
    const PIXEL *pixels = whole_steps(c->pixels, c->count, end, sizeof(PIXEL), copy);
    for (uint32_t i = 0; i < c->count; i += LINEAR_LANES)
        _mm256_store_ps(value + i, _mm256_cvtepi32_ps(NAME(widen)(pixels + i)));
}

static inline void NAME(insert_linear)(sums *voxels, const tile *t, bool masked) {
    linear_axis axes[3];
    _Alignas(32) weighted pixels;
    make_linear_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), {
        NAME(load_values)(&c, t->end, pixels.value);
        add_weighted(voxels, &pixels, weigh(&c, axes, masked, &pixels));
    });
}

static void NAME(linear_mean)(void *state, const tile *t) { NAME(insert_linear)(state, t, false); }
static void NAME(linear_weighted)(void *state, const tile *t) {
    NAME(insert_linear)(state, t, true);
}

#endif

static inline void NAME(frames_chunk)(frames *voxels, const chunk *c, const linear_axis axes[3],
                                      uint32_t frame, bool latest) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) weighted at;
    uint64_t ends = weigh(c, axes, false, &at);
    FOR_EACH_RUN(ends) {
        frames *voxel = voxels + at.cell[last];
        frames_cell held = open_frames(voxel, frame, latest);
        for (uint32_t i = from; i <= last; i++)
            add_to_frames(&held, at.corner[i], (double)pixels[i]);
        store_frames(voxel, &held);
    }
}

static inline void NAME(linear_spread_chunk)(sums_spread *voxels, const chunk *c,
                                             const linear_axis axes[3]) {
    const PIXEL *pixels = c->pixels;
    _Alignas(32) weighted at;
    uint64_t ends = weigh(c, axes, false, &at);
    FOR_EACH_RUN(ends) {
        sums_spread *voxel = voxels + at.cell[last];
        spread_cell held = load_spread(voxel);
        for (uint32_t i = from; i <= last; i++)
            add_to_spread(&held, at.corner[i], (double)pixels[i]);
        store_spread(voxel, &held);
    }
}

static void NAME(linear_latest)(void *state, const tile *t) {
    linear_axis axes[3];
    make_linear_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(frames_chunk)(state, &c, axes, t->frame, true));
}
static void NAME(linear_maximum)(void *state, const tile *t) {
    linear_axis axes[3];
    make_linear_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(frames_chunk)(state, &c, axes, t->frame, false));
}
static void NAME(linear_spread)(void *state, const tile *t) {
    linear_axis axes[3];
    make_linear_axes(t, axes);
    FOR_EACH_CHUNK(t, sizeof(PIXEL), NAME(linear_spread_chunk)(state, &c, axes));
}

static insert_tile_fn *const NAME(inserters)[INSERTERS] = {
    [ES_LATEST] = NAME(nearest_latest),          [ES_MEAN] = NAME(nearest_mean_any),
    [ES_MAXIMUM] = NAME(nearest_maximum),        [NEAREST_SPREAD] = NAME(nearest_spread),
    [NEAREST_WEIGHTED] = NAME(nearest_weighted), [LINEAR_LATEST] = NAME(linear_latest),
    [LINEAR_MAXIMUM] = NAME(linear_maximum),     [LINEAR_SPREAD] = NAME(linear_spread),
#if SMALL
    [LINEAR_MEAN] = NAME(linear_mean),           [LINEAR_WEIGHTED] = NAME(linear_weighted),
#endif
};
