/* The one flow: read, place, hand on in batches.
 *
 * A ring of ES_BATCH frames is all the memory the recording ever takes. */
#include <string.h>

#include "echosolid/pipeline.h"

typedef struct batch {
    es_frame frames[ES_BATCH];
    const es_frame *pointers[ES_BATCH];
    es_mat4 transforms[ES_BATCH];
    size_t count;
} batch;

static bool hand_on(batch *b, es_stage_fn *stage, void *context, es_flow_stats *stats,
                    es_error *err) {
    if (b->count == 0) return true;
    double start = es_clock_s();
    bool ok = stage(context, b->pointers, b->transforms, b->count, err);
    stats->stage_s += es_clock_s() - start;
    stats->inserted += (int64_t)b->count;
    b->count = 0;
    return ok;
}

/* Reads one frame into the batch if it can be used. */
static bool read_one(const es_flow *flow, batch *b, es_flow_stats *stats, bool *end,
                     es_error *err) {
    es_frame *frame = &b->frames[b->count];
    double start = es_clock_s();
    bool ok = es_source_next(flow->source, frame, ES_READ_PIXELS, end, err);
    stats->read_s += es_clock_s() - start;
    if (!ok || *end) return ok;
    bool wanted = flow->skip <= 1 || stats->read % flow->skip == 0, placed = false;
    stats->read++;
    if (!es_placement_find(flow->placement, frame, &b->transforms[b->count], &placed, err))
        return false;
    if (placed) stats->placed++;
    if (placed && wanted && frame->has_image) b->count++;
    return true;
}

bool es_flow_run(const es_flow *flow, es_stage_fn *stage, void *context, es_flow_stats *stats,
                 es_error *err) {
    memset(stats, 0, sizeof *stats);
    batch *b = es_alloc_zero(1, sizeof *b, err);
    if (!b) return false;
    for (int i = 0; i < ES_BATCH; i++) b->pointers[i] = &b->frames[i];
    bool ok = true, end = false;
    while (ok && !end) {
        ok = read_one(flow, b, stats, &end, err);
        if (ok && (end || b->count == ES_BATCH)) {
            ok = hand_on(b, stage, context, stats, err);
            es_progress_step(flow->progress, flow->what, (double)stats->read, (double)flow->total);
        }
    }
    for (int i = 0; i < ES_BATCH; i++) es_frame_clear(&b->frames[i]);
    es_free(b);
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
