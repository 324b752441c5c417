/* The one flow: read, place, hand on in batches.
 *
 * A reader thread fills one batch while the stage works on the other, so that
 * decompression and insertion overlap and the whole takes about as long as
 * the slower of the two. Frames reach the stage in the order of the source
 * and in the same batches whatever the timing, so results do not depend on
 * it. Two batches of ES_BATCH frames are all the memory the recording ever
 * takes. */
#include <pthread.h>
#include <string.h>

#include "echosolid/pipeline.h"

typedef struct batch {
    es_frame frames[ES_BATCH];
    const es_frame *pointers[ES_BATCH];
    es_mat4 transforms[ES_BATCH];
    size_t count;
    int64_t read; /* frames of the source up to the end of this batch */
    bool last;    /* the source ended or failed behind it */
    bool full;    /* filled and not yet taken; guarded by the lock */
} batch;

typedef struct reader {
    const es_flow *flow;
    batch batches[2];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;            /* the stage failed: read no further; guarded by the lock */
    es_flow_stats *stats; /* read, placed, read_s: the reader's alone until joined */
    bool ok;
    es_error err;
} reader;

/* Reads one frame into the batch if it can be used. */
static bool read_one(reader *r, batch *b, bool *end) {
    const es_flow *flow = r->flow;
    es_frame *frame = &b->frames[b->count];
    double start = es_clock_s();
    bool ok = es_source_next(flow->source, frame, ES_READ_PIXELS, end, &r->err);
    r->stats->read_s += es_clock_s() - start;
    if (!ok || *end) return ok;
    bool wanted = flow->skip <= 1 || r->stats->read % flow->skip == 0, placed = false;
    r->stats->read++;
    if (!es_placement_find(flow->placement, frame, &b->transforms[b->count], &placed, &r->err))
        return false;
    if (placed) r->stats->placed++;
    wanted = wanted && (flow->all || !es_frame_was_dropped(frame));
    if (placed && wanted && frame->has_image) b->count++;
    return true;
}

static void fill(reader *r, batch *b) {
    bool end = false;
    b->count = 0;
    while (r->ok && !end && b->count < ES_BATCH) r->ok = read_one(r, b, &end);
    b->read = r->stats->read;
    b->last = end || !r->ok;
}

/* Waits until the batch is as wanted; false when the work was stopped. */
static bool wait_for(reader *r, batch *b, bool full) {
    pthread_mutex_lock(&r->lock);
    while (b->full != full && !r->stop) pthread_cond_wait(&r->changed, &r->lock);
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void set_full(reader *r, batch *b, bool full, bool stop) {
    pthread_mutex_lock(&r->lock);
    b->full = full;
    r->stop |= stop;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void *read_all(void *context) {
    reader *r = context;
    for (int i = 0;; i = 1 - i) {
        batch *b = &r->batches[i];
        if (!wait_for(r, b, false)) return NULL;
        fill(r, b);
        bool last = b->last;
        set_full(r, b, true, false);
        if (last) return NULL;
    }
}

static bool hand_on(const reader *r, const batch *b, es_stage_fn *stage, void *context,
                    double *stage_s, es_error *err) {
    if (b->count == 0) return true;
    double start = es_clock_s();
    bool ok = stage(context, b->pointers, b->transforms, b->count, err);
    *stage_s += es_clock_s() - start;
    es_progress_step(r->flow->progress, r->flow->what, (double)b->read, (double)r->flow->total);
    return ok;
}

static bool work(reader *r, es_stage_fn *stage, void *context, es_flow_stats *stats,
                 es_error *err) {
    pthread_t thread;
    double stage_s = 0;
    int64_t inserted = 0;
    bool ok = true, last = false;
    if (pthread_create(&thread, NULL, read_all, r) != 0)
        return es_fail(err, ES_MEMORY, "the thread that reads could not be started");
    for (int i = 0; ok && !last; i = 1 - i) {
        batch *b = &r->batches[i];
        wait_for(r, b, true);
        last = b->last;
        ok = hand_on(r, b, stage, context, &stage_s, err);
        inserted += (int64_t)b->count;
        set_full(r, b, false, !ok);
    }
    pthread_join(thread, NULL);
    stats->stage_s = stage_s;
    stats->inserted = inserted;
    if (ok && !r->ok) {
        if (err) *err = r->err;
        ok = false;
    }
    return ok;
}

bool es_flow_run(const es_flow *flow, es_stage_fn *stage, void *context, es_flow_stats *stats,
                 es_error *err) {
    memset(stats, 0, sizeof *stats);
    reader *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return false;
    r->flow = flow;
    r->stats = stats;
    r->ok = true;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < ES_BATCH; i++) r->batches[k].pointers[i] = &r->batches[k].frames[i];
    double start = es_clock_s();
    bool ok = work(r, stage, context, stats, err);
    stats->wall_s = es_clock_s() - start;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < ES_BATCH; i++) es_frame_clear(&r->batches[k].frames[i]);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    es_free(r);
    return ok;
}

bool es_stage_volume(void *volume, const es_frame *const *frames, const es_mat4 *image_to_reference,
                     size_t count, es_error *err) {
    const es_image *images[ES_BATCH];
    for (size_t i = 0; i < count; i++) images[i] = &frames[i]->image;
    if (es_volume_insert(volume, images, image_to_reference, count, err)) return true;
    return es_prefix(err, "frames %lld to %lld", (long long)frames[0]->index,
                     (long long)frames[count - 1]->index);
}

bool es_stage_compat(void *volume, const es_frame *const *frames, const es_mat4 *image_to_reference,
                     size_t count, es_error *err) {
    for (size_t i = 0; i < count; i++)
        if (!es_compat_insert(volume, &frames[i]->image, &image_to_reference[i], err))
            return es_prefix(err, "frame %lld", (long long)frames[i]->index);
    return true;
}
