/* Frames into the volume, by brick.
 *
 * A batch of up to 64 frames is placed on the lattice; the bricks that any of
 * them touches are found and allocated; then each brick is one task, which
 * cuts the rows of its frames to the brick, in order of frames and rows, and
 * hands the runs to the row kernel. A brick has one writer, so that the bytes
 * cannot depend on the number of threads, and its state stays in the cache
 * while all the frames of the batch pass through it. */
#include <math.h>
#include <string.h>

#include "recon_internal.h"

typedef struct batch {
    es_volume *volume;
    size_t count;
    const es_image *images[BATCH];
    placed frames[BATCH];
    uint32_t most_hits;   /* no frame has more pixels in one voxel */
    uint64_t first_frame; /* frames in the volume before this batch */
} batch;

/* ---- life ------------------------------------------------------------------------ */

size_t es_volume_brick_bytes(const es_recon_options *options) {
    return kernel_find(options, ES_CPU_SCALAR).brick_bytes * (size_t)options->channels;
}

/* A copy that kernels may read in whole chunks. */
static bool copy_mask(es_volume *volume, es_error *err) {
    const es_image *mask = volume->options.mask;
    if (!mask) return true;
    const size_t pixels = (size_t)mask->width * mask->height;
    uint8_t *weights = es_alloc(pixels + CHUNK, 1, err);
    if (!weights) return false;
    memcpy(weights, mask->data, pixels);
    memset(weights + pixels, 0, CHUNK);
    volume->mask = *mask;
    volume->mask.data = weights;
    volume->options.mask = &volume->mask;
    return true;
}

es_volume *es_volume_new(const es_recon_options *options, es_pool *pool, es_error *err) {
    es_cpu level;
    if (!check_options(options, err) || !es_cpu_level(&level, err)) return NULL;
    es_volume *volume = es_alloc_zero(1, sizeof *volume, err);
    if (!volume) return NULL;
    volume->options = *options;
    volume->pool = pool;
    volume->kernel = kernel_find(options, level);
    volume->batch = es_alloc_zero(1, sizeof *volume->batch, err);
    const size_t channels = (size_t)options->channels;
    if (!volume->batch || !copy_mask(volume, err) ||
        !store_init(&volume->store, volume->kernel.brick_bytes * channels, options->memory_limit,
                    err)) {
        es_volume_free(volume);
        return NULL;
    }
    volume->store.deep_bytes = volume->kernel.deep_bytes * channels;
    volume->batch->volume = volume;
    return volume;
}

void es_volume_free(es_volume *volume) {
    if (!volume) return;
    store_clear(&volume->store);
    support_clear(&volume->support);
    es_image_clear(&volume->mask);
    es_free(volume->batch);
    es_free(volume);
}

es_volume_stats es_volume_statistics(const es_volume *volume) {
    es_volume_stats stats = volume->stats;
    stats.bricks = volume->store.settled;
    stats.bytes = store_bytes(&volume->store);
    stats.undo_bytes = store_undo_bytes(&volume->store);
    return stats;
}

/* ---- bricks ------------------------------------------------------------------------ */

bool brick_range(const es_recon_options *options, const int32_t at[3], int64_t first[3],
                 int64_t last[3]) {
    for (int a = 0; a < 3; a++) {
        first[a] = (int64_t)at[a] * ES_BRICK;
        last[a] = first[a] + ES_BRICK - 1;
        if (!options->has_extent) continue;
        if (options->extent[2 * a] > first[a]) first[a] = options->extent[2 * a];
        if (options->extent[2 * a + 1] < last[a]) last[a] = options->extent[2 * a + 1];
        if (first[a] > last[a]) return false;
    }
    return true;
}

size_t state_index(const es_recon_options *options, int x, int y, int z) {
    if (options->interpolation == ES_LINEAR)
        return (size_t)(RIM_FIRST + x + RIM_ROW * y + RIM_SLICE * z);
    return (size_t)(x + ES_BRICK * (y + ES_BRICK * z));
}

/* The box of pixel positions that count for a brick: its voxels, or, LINEAR,
 * also the positions up to one voxel before the first. */
static bool pixel_range(const es_recon_options *options, const placed *frame, const int32_t at[3],
                        fixed_box *box) {
    int64_t first[3], last[3];
    if (!brick_range(options, at, first, last)) return false;
    if (options->interpolation == ES_LINEAR)
        for (int a = 0; a < 3; a++) first[a]--;
    *box = make_fixed_box(frame, first, last);
    return true;
}

/* ---- which bricks a frame touches ---------------------------------------------------- */

typedef struct toucher {
    es_volume *volume;
    const placed *frame;
    int number;
} toucher;

static bool any_pixel_in_box(const support *s, const placed *frame, const fixed_box *box) {
    uint32_t first, last;
    row_cut cuts[CUTS];
    if (!rows_of_box(frame, box, s->box, &first, &last)) return false;
    /* The middle row is the likeliest; the others matter at corners only. */
    uint32_t v = first + (last - first) / 2;
    if (cut_rows(frame, box, s, &v, v, cuts) > 0) return true;
    for (v = first; v <= last;)
        if (cut_rows(frame, box, s, &v, last, cuts) > 0) return true;
    return false;
}

static bool touch_brick(void *context, const int32_t at[3], es_error *err) {
    toucher *t = context;
    store *s = &t->volume->store;
    fixed_box box;
    if (!pixel_range(&t->volume->options, t->frame, at, &box)) return true;
    /* Counting goes on past the limit, so that the message can say how much
     * is needed, but not for ever. */
    if (store_hopeless(s)) return store_settle(s, t->volume->options.spacing_mm, err);
    return store_touch(s, at, t->number, err);
}

/* Takes back the marks of frames that have no pixel in the brick after all. Whether a
 * brick that is there already has any is seen soon enough, unless it would be copied. */
static void verify_brick(void *context, size_t index, int worker) {
    const batch *b = context;
    const store *s = &b->volume->store;
    cell *c = &s->cells[s->touched[index]];
    (void)worker;
    if (c->state && s->log.count == 0) return;
    for (size_t f = 0; f < b->count; f++) {
        fixed_box box;
        if (!(c->frames >> f & 1)) continue;
        if (!pixel_range(&b->volume->options, &b->frames[f], c->at, &box) ||
            !any_pixel_in_box(&b->volume->support, &b->frames[f], &box))
            c->frames &= ~((uint64_t)1 << f);
    }
}

static bool touch_bricks(es_volume *volume, const placed *frame, int number, es_error *err) {
    if (volume->support.pixels == 0) return true;
    toucher t = {volume, frame, number};
    double reach = volume->options.interpolation == ES_LINEAR ? 1 : 0;
    return visit_bricks(frame, volume->support.box, reach, touch_brick, &t, err);
}

/* ---- one brick ------------------------------------------------------------------------ */

/* Room for one run of pixels taken out of interleaved channels. */
enum { PICKED = 256 };

static bool must_check(const es_recon_options *o) {
    return !isnan(o->threshold) || o->type == ES_F32 || o->type == ES_F64;
}

/* What each pixel counts: 0 if its value or its mask (NULL: none) leaves it out.
 * Returns how many stay. */
static uint32_t weigh_pixels(const es_volume *volume, const void *pixels, const uint8_t *mask,
                             uint32_t count, uint8_t keep[PICKED]) {
    const es_recon_options *o = &volume->options;
    uint32_t kept = volume->kernel.keep(pixels, count, o->channels, o->threshold, keep);
    if (!mask) return kept;
    kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        keep[i] = keep[i] ? mask[i] : 0;
        kept += keep[i] > 0;
    }
    return kept;
}

/* `count` more hits in one voxel of a state or of a deep part, which can count `most`. */
static void count_hits(const es_volume *volume, void *part, size_t channel_bytes, uint32_t most,
                       uint32_t count, uint32_t *hits) {
    const uint32_t half = (MOST_HITS + 1) / 2;
    if ((uint64_t)*hits + count > most) {
        for (int channel = 0; channel < volume->options.channels; channel++)
            volume->kernel.make_room((char *)part + (size_t)channel * channel_bytes);
        *hits = half;
    }
    *hits += count < most - half ? count : most - half;
}

static void count_deep_hits(const es_volume *volume, cell *c, uint32_t count) {
    /* Together with those in the state, hits have room in what holds both. */
    count_hits(volume, c->deep, volume->kernel.deep_bytes, MOST_HITS - volume->kernel.state_hits,
               count, &c->deep_hits);
}

static void deepen(const es_volume *volume, cell *c) {
    const kernel *k = &volume->kernel;
    if (c->most_hits == 0) return;
    count_deep_hits(volume, c, c->most_hits);
    for (int channel = 0; channel < volume->options.channels; channel++)
        k->deepen((char *)c->state + (size_t)channel * k->brick_bytes,
                  (char *)c->deep + (size_t)channel * k->deep_bytes);
    c->most_hits = 0;
}

/* Makes sure that the brick can count so many more hits in one voxel. Returns the deep
 * part that they must go into at once, or NULL: into the state. */
static void *expect_hits(const es_volume *volume, cell *c, uint32_t count) {
    const kernel *k = &volume->kernel;
    if (k->state_hits == 0) return NULL;
    if (k->deep_bytes == 0) {
        count_hits(volume, c->state, k->brick_bytes, k->state_hits, count, &c->most_hits);
        return NULL;
    }
    /* Bounds are larger than what is really there. */
    if ((uint64_t)c->most_hits + count > k->state_hits) c->most_hits = k->count_most(c->state);
    if ((uint64_t)c->most_hits + count > k->state_hits) deepen(volume, c);
    if (count > k->state_hits) {
        count_deep_hits(volume, c, count);
        return c->deep;
    }
    c->most_hits += count;
    return NULL;
}

/* A cut with channels to part or values to leave out, PICKED pixels at a time. */
static void insert_picked(const es_volume *volume, void *state, const tile *whole,
                          const row_cut *cut) {
    const es_recon_options *o = &volume->options;
    const layout *l = &whole->layout;
    double pixels[PICKED];
    uint8_t keep[PICKED];
    tile part = {.layout = *l, .end = pixels + PICKED, .frame = whole->frame, .count = 1};
    part.layout.pixels = (const char *)pixels;
    part.layout.pixel_bytes = es_type_size(o->type);
    part.layout.row_bytes = part.layout.keep_row = 0;
    for (uint32_t u = cut->pixels.from, count; u < cut->pixels.to; u += count) {
        count = cut->pixels.to - u < PICKED ? cut->pixels.to - u : PICKED;
        const char *source = l->pixels + cut->v * l->row_bytes + (u - l->u0) * l->pixel_bytes;
        const uint8_t *mask = l->keep ? l->keep + cut->v * l->keep_row + (u - l->u0) : NULL;
        uint32_t kept = weigh_pixels(volume, source, mask, count, keep);
        if (kept == 0) continue;
        const bool some = kept < count;
        insert_tile_fn *insert = some ? volume->kernel.insert_kept : volume->kernel.insert;
        part.layout.keep = some || mask ? keep : NULL;
        part.layout.u0 = u;
        part.cuts[0] = (row_cut){cut->v, {u, u + count}};
        for (int channel = 0; channel < o->channels; channel++) {
            const size_t nth = (size_t)channel;
            volume->kernel.pick(source, count, o->channels, channel, pixels);
            if (whole->deep) part.deep = (char *)whole->deep + nth * volume->kernel.deep_bytes;
            insert((char *)state + nth * volume->kernel.brick_bytes, &part);
        }
    }
}

static void insert_tile(const es_volume *volume, cell *c, const tile *t) {
    if (volume->options.channels == 1 && !must_check(&volume->options))
        volume->kernel.insert(c->state, t);
    else
        for (uint32_t i = 0; i < t->count; i++) insert_picked(volume, c->state, t, &t->cuts[i]);
}

static layout lay_out(const batch *b, size_t f, const cell *c) {
    const es_recon_options *o = &b->volume->options;
    const placed *frame = &b->frames[f];
    layout l; /* each field below: clearing it first takes longer */
    l.pixels = b->images[f]->data;
    l.keep = b->volume->mask.data;
    l.u0 = 0;
    l.pixel_bytes = es_type_size(o->type) * (size_t)o->channels;
    l.keep_row = b->images[f]->width;
    l.row_bytes = l.keep_row * l.pixel_bytes;
    for (int a = 0; a < 3; a++) {
        int64_t rim = o->interpolation == ES_LINEAR, first = (int64_t)c->at[a] * ES_BRICK - rim;
        l.start[a] = frame->start[a] - (first - frame->base[a]) * ONE_VOXEL;
        l.step[a] = (uint64_t)frame->du[a];
        l.dv[a] = frame->dv[a];
    }
    return l;
}

static void insert_frame(const batch *b, size_t f, cell *c) {
    const support *s = &b->volume->support;
    const placed *frame = &b->frames[f];
    fixed_box box;
    uint32_t v, last;
    if (!pixel_range(&b->volume->options, frame, c->at, &box) ||
        !rows_of_box(frame, &box, s->box, &v, &last))
        return;
    tile t;
    t.layout = lay_out(b, f, c);
    const char *pixels = t.layout.pixels;
    t.end = pixels + b->images[f]->height * t.layout.row_bytes;
    t.frame = (uint32_t)(b->first_frame + f + 1);
    /* The next frame mostly lies alongside. */
    t.ahead = (uintptr_t)b->images[f + 1 < b->count ? f + 1 : f]->data - (uintptr_t)pixels;
    /* For all tiles at once: what one of them leaves is no bound for the next. */
    t.deep = expect_hits(b->volume, c, frame->most_hits);
    while (v <= last) {
        t.count = (uint32_t)cut_rows(frame, &box, s, &v, last, t.cuts);
        insert_tile(b->volume, c, &t);
    }
}

static void insert_brick(void *context, size_t index, int worker) {
    const batch *b = context;
    store *s = &b->volume->store;
    cell *c = &s->cells[s->touched[index]];
    (void)worker;
    for (size_t f = 0; f < b->count; f++)
        if (c->frames >> f & 1) insert_frame(b, f, c);
}

/* ---- statistics -------------------------------------------------------------------------- */

static fixed_box extent_box(const es_recon_options *o, const placed *frame) {
    int64_t first[3] = {INT64_MIN / 2, INT64_MIN / 2, INT64_MIN / 2};
    int64_t last[3] = {INT64_MAX / 2, INT64_MAX / 2, INT64_MAX / 2};
    for (int a = 0; o->has_extent && a < 3; a++) {
        first[a] = o->extent[2 * a];
        last[a] = o->extent[2 * a + 1];
    }
    return make_fixed_box(frame, first, last);
}

static uint64_t kept_pixels(const es_volume *volume, const es_image *image, row_cut cut) {
    const es_recon_options *o = &volume->options;
    const size_t pixel_bytes = es_type_size(o->type) * (size_t)o->channels;
    const uint8_t *mask = volume->mask.data;
    uint8_t keep[PICKED];
    uint64_t kept = 0;
    for (uint32_t u = cut.pixels.from; u < cut.pixels.to; u += PICKED) {
        uint32_t count = cut.pixels.to - u < PICKED ? cut.pixels.to - u : PICKED;
        const size_t offset = (size_t)cut.v * image->width + u;
        const char *source = (const char *)image->data + offset * pixel_bytes;
        kept += weigh_pixels(volume, source, mask ? mask + offset : NULL, count, keep);
    }
    return kept;
}

/* Counts one frame's pixels: those whose nearest voxel is in the extent, and of
 * them those that are kept. */
static bool count_pixels(es_volume *volume, const es_image *image, const es_mat4 *matrix,
                         es_error *err) {
    const es_recon_options *o = &volume->options;
    const support *s = &volume->support;
    const bool check = must_check(o) || o->mask;
    uint64_t in_extent = s->pixels, kept = s->pixels;
    if (s->pixels > 0 && (o->has_extent || check)) {
        placed frame;
        if (!place_frame(matrix, o->origin_mm, o->spacing_mm, 0.5, s->box, &frame, err))
            return false;
        fixed_box box = extent_box(o, &frame);
        row_cut cuts[CUTS];
        in_extent = kept = 0;
        for (uint32_t v = s->box.v0; v <= s->box.v1;) {
            size_t count = cut_rows(&frame, &box, s, &v, s->box.v1, cuts);
            for (size_t i = 0; i < count; i++) {
                uint32_t pixels = cuts[i].pixels.to - cuts[i].pixels.from;
                in_extent += pixels;
                kept += check ? kept_pixels(volume, image, cuts[i]) : pixels;
            }
        }
    }
    volume->stats.pixels_inserted += kept;
    volume->stats.pixels_ignored += in_extent - kept;
    volume->stats.pixels_outside += s->pixels - in_extent;
    return true;
}

/* ---- batches -------------------------------------------------------------------------------- */

static bool check_image(const es_recon_options *o, const es_image *image, es_error *err) {
    if (image->type != o->type || image->channels != o->channels)
        return es_fail(err, ES_USAGE, "the image is %s with %d channels, the volume %s with %d",
                       es_type_name(image->type), image->channels, es_type_name(o->type),
                       o->channels);
    if (!image->data || image->width == 0 || image->height == 0)
        return es_fail(err, ES_USAGE, "the image has no pixels");
    if (o->mask && (o->mask->width != image->width || o->mask->height != image->height))
        return es_fail(err, ES_USAGE,
                       "the importance mask has %u x %u pixels, the picture %u x %u: they must be "
                       "of one size",
                       o->mask->width, o->mask->height, image->width, image->height);
    return true;
}

/* Could the batch bring more hits than the brick's state can count? */
static bool wants_deep(const batch *b, cell *c) {
    const kernel *k = &b->volume->kernel;
    const uint64_t more = (uint64_t)__builtin_popcountll(c->frames) * b->most_hits;
    if (k->deep_bytes == 0 || c->deep || c->most_hits + more <= k->state_hits) return false;
    return (c->state ? k->count_most(c->state) : 0) + more > k->state_hits;
}

static void want_deep(const batch *b) {
    store *s = &b->volume->store;
    for (size_t i = 0; i < s->touched_count; i++)
        s->deep_wanted += wants_deep(b, &s->cells[s->touched[i]]);
}

static bool give_deep(const batch *b, es_error *err) {
    store *s = &b->volume->store;
    for (size_t i = 0; s->deep_wanted > 0 && i < s->touched_count; i++) {
        cell *c = &s->cells[s->touched[i]];
        if (wants_deep(b, c) && !store_deepen(s, c, err)) return false;
    }
    s->deep_wanted = 0;
    return true;
}

/* Bricks, and their memory, for frames that are placed. */
static bool find_bricks(batch *b, es_error *err) {
    es_volume *volume = b->volume;
    store *s = &volume->store;
    es_pool_run(volume->pool, s->touched_count, verify_brick, b);
    store_drop_idle(s);
    want_deep(b);
    if (!store_settle(s, volume->options.spacing_mm, err)) return false;
    store_warm(s, volume->pool);
    store_save(s);
    return give_deep(b, err);
}

/* Places the frames; those that touch nothing stay without bricks. */
static bool place_batch(batch *b, const es_mat4 *matrices, es_error *err) {
    es_volume *volume = b->volume;
    const es_recon_options *o = &volume->options;
    const uint64_t pixels = volume->support.pixels;
    double shift = o->interpolation == ES_NEAREST ? 0.5 : 0;
    b->most_hits = 0;
    for (size_t f = 0; f < b->count; f++) {
        placed *frame = &b->frames[f];
        if (!place_frame(&matrices[f], o->origin_mm, o->spacing_mm, shift, volume->support.box,
                         frame, err) ||
            !touch_bricks(volume, frame, (int)f, err))
            return es_prefix(err, "frame %llu", (unsigned long long)(b->first_frame + f));
        if (volume->kernel.estimate) frame->estimate = volume->kernel.estimate;
        if (frame->most_hits > pixels) frame->most_hits = (uint32_t)pixels;
        if (frame->most_hits > b->most_hits) b->most_hits = frame->most_hits;
    }
    return find_bricks(b, err);
}

/* Frames of one size, at most BATCH of them. */
static bool insert_batch(batch *b, const es_mat4 *matrices, es_error *err) {
    es_volume *volume = b->volume;
    b->first_frame = volume->stats.frames;
    bool ok = !es_cancelled(err) &&
              support_make(&volume->support, &volume->options, b->images[0]->width,
                           b->images[0]->height, err) &&
              place_batch(b, matrices, err);
    if (ok) es_pool_run(volume->pool, volume->store.touched_count, insert_brick, b);
    store_end_batch(&volume->store);
    if (!ok) return false;
    for (size_t f = 0; f < b->count; f++)
        if (!count_pixels(volume, b->images[f], &matrices[f], err)) return false;
    volume->stats.frames += b->count;
    return true;
}

bool es_volume_insert(es_volume *volume, const es_image *const *images,
                      const es_mat4 *image_to_reference, size_t count, es_error *err) {
    const double start_s = es_clock_s();
    for (size_t f = 0; f < count; f++)
        if (!check_image(&volume->options, images[f], err))
            return es_prefix(err, "frame %llu", (unsigned long long)(volume->stats.frames + f));
    bool ok = true;
    batch *b = volume->batch;
    for (size_t f = 0; ok && f < count; f += b->count) {
        b->count = 0;
        while (f + b->count < count && b->count < BATCH) {
            const es_image *next = images[f + b->count];
            if (next->width != images[f]->width || next->height != images[f]->height) break;
            b->images[b->count++] = next;
        }
        ok = insert_batch(b, &image_to_reference[f], err);
    }
    volume->stats.insert_s += es_clock_s() - start_s;
    return ok;
}

/* ---- back ----------------------------------------------------------------------------------- */

void es_volume_checkpoint(es_volume *volume, const es_undo_limit *limit) {
    store_checkpoint(&volume->store, limit, &volume->stats);
}

size_t es_volume_checkpoints(const es_volume *volume) { return volume->store.log.count; }

bool es_volume_undo(es_volume *volume, size_t steps) {
    return store_undo(&volume->store, steps, &volume->stats);
}
