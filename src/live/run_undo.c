/* Taking back the last seconds.
 *
 * The taker cuts the frames that it sends to the volume into slices of half a
 * second; before the first frame of a slice the volume gets a checkpoint (recon.h).
 * So what is taken back are whole slices, and what is left is what the frames
 * before them made. Their frames are recorded already: a line behind them says which
 * they are. */
#include <math.h>
#include <string.h>

#include "run.h"

/* A slice is this part of what is taken back at a time. */
static const double PART = 0.1;

/* ---- slices ------------------------------------------------------------------ */

bool run_slices_make(es_live_run *r, es_error *err) {
    const es_live_run_options *o = &r->options;
    run_slices *s = &r->slices;
    s->stamp_s = NAN;
    s->most = o->undo_s > 0 ? (size_t)ceil(o->undo_keep_s / (PART * o->undo_s)) : 0;
    if (s->most == 0) return true;
    s->items = es_alloc_zero(s->most, sizeof *s->items, err);
    return s->items != NULL;
}

/* Of no frames as yet. `early`: what a client has recorded before them was never inserted. */
static void begin_slice(es_live_run *r, int64_t first, bool early) {
    run_slices *s = &r->slices;
    if (s->count == s->most) memmove(s->items, s->items + 1, --s->count * sizeof *s->items);
    s->items[s->count++] = (run_slice){.first = first,
                                       .begin_s = s->scan_s,
                                       .end_s = s->scan_s,
                                       .capture = r->captures,
                                       .capture_first = early ? 0 : r->capture.frames};
}

/* Steps of time are cut: where nothing comes, or the clock jumps, no time passes. */
static bool count_frame(es_live_run *r, const es_frame *frame, bool may_begin) {
    run_slices *s = &r->slices;
    const double stamp_s = frame->has_time ? frame->time_s : es_clock_s();
    const double slice_s = PART * r->options.undo_s;
    if (s->most == 0) return false;
    pthread_mutex_lock(&r->lock);
    if (stamp_s > s->stamp_s) s->scan_s += fmin(stamp_s - s->stamp_s, slice_s);
    const run_slice *newest = s->count > 0 ? &s->items[s->count - 1] : NULL;
    bool begins =
        !newest || (may_begin && (isnan(s->stamp_s) || s->scan_s - newest->begin_s >= slice_s));
    if (begins) begin_slice(r, frame->index, !may_begin);
    s->items[s->count - 1].frames++;
    s->items[s->count - 1].end_s = s->scan_s;
    s->stamp_s = stamp_s;
    pthread_mutex_unlock(&r->lock);
    return begins;
}

bool run_slice_frame(es_live_run *r, const es_frame *frame) { return count_frame(r, frame, true); }
bool run_slice_early(es_live_run *r, const es_frame *frame) { return count_frame(r, frame, false); }
void run_slices_end(es_live_run *r) { r->slices.stamp_s = NAN; }

double run_undo_s(const es_live_run *r) {
    const run_slices *s = &r->slices;
    size_t kept = s->kept < s->count ? s->kept : s->count;
    return kept > 0 ? s->items[s->count - 1].end_s - s->items[s->count - kept].begin_s : 0;
}

/* ---- the volume ---------------------------------------------------------------- */

void run_checkpoint(es_live_run *r) {
    const es_undo_limit limit = {r->slices.most, r->options.undo_bytes};
    if (r->model)
        es_model_checkpoint(r->model, &limit);
    else
        es_volume_checkpoint(r->volume, &limit);
}

size_t run_checkpoints(const es_live_run *r) {
    return r->model ? es_model_checkpoints(r->model) : es_volume_checkpoints(r->volume);
}

uint64_t run_undo_bytes(const es_live_run *r) {
    const es_distance *distance = r->model ? es_model_distance(r->model) : NULL;
    return es_volume_statistics(r->volume).undo_bytes +
           (distance ? es_distance_statistics(distance).undo_bytes : 0);
}

static bool wait_inserted(es_live_run *r) {
    pthread_mutex_lock(&r->lock);
    while (r->count > 0 && !r->failed) pthread_cond_wait(&r->changed, &r->lock);
    bool ok = !r->failed;
    pthread_mutex_unlock(&r->lock);
    return ok;
}

/* Slices of the last undo_s, of those that can be gone back over. */
static size_t count_steps(const es_live_run *r, size_t kept) {
    const run_slices *s = &r->slices;
    const size_t most = kept < s->count ? kept : s->count;
    size_t steps = 0;
    while (steps < most && (steps == 0 || s->items[s->count - 1 - steps].end_s >
                                              s->items[s->count - 1].end_s - r->options.undo_s))
        steps++;
    return steps;
}

/* Takes the slices away. */
static run_slice join_slices(run_slices *s, size_t steps) {
    run_slice all = s->items[s->count - steps];
    all.end_s = s->items[s->count - 1].end_s;
    for (size_t i = 1; i < steps; i++) all.frames += s->items[s->count - steps + i].frames;
    s->count -= steps;
    s->scan_s = all.begin_s;
    s->stamp_s = NAN;
    return all;
}

static bool take_back(es_live_run *r, run_slice *slice) {
    run_lock_work(r);
    const size_t steps = count_steps(r, run_checkpoints(r));
    bool ok =
        steps > 0 && (r->model ? es_model_undo(r->model, steps) : es_volume_undo(r->volume, steps));
    const es_volume_stats v = es_volume_statistics(r->volume);
    pthread_mutex_lock(&r->lock);
    if (ok) {
        *slice = join_slices(&r->slices, steps);
        r->slices.kept = run_checkpoints(r);
        r->state.inserted -= slice->frames;
        r->state.undone += slice->frames;
        r->state.bricks = v.bricks;
        r->state.volume_bytes = v.bytes;
        r->changes++;
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    run_unlock_work(r);
    return ok;
}

/* ---- the recordings -------------------------------------------------------------- */

static bool put_mark(es_journal *journal, int64_t *marks, int64_t first, int64_t last,
                     es_error *err) {
    char key[64], value[64];
    if (!journal || last < first) return true;
    snprintf(key, sizeof key, "%s%lld", ES_LIVE_UNDONE, (long long)++*marks);
    snprintf(value, sizeof value, "%lld %lld", (long long)first, (long long)last);
    return es_journal_field(journal, key, value, err);
}

static void mark_recordings(es_live_run *r, const run_slice *slice) {
    es_error err = {0};
    run_capture *c = &r->capture;
    /* One that was started since holds later frames alone. */
    int64_t first = slice->capture == r->captures ? slice->capture_first : 0;
    if (!put_mark(c->journal, &c->marks, first, c->frames - 1, &err)) run_capture_end(r, &err);
    if (!put_mark(r->journal, &r->slices.marks, slice->first, r->state.received - 1, &err))
        run_record_end(r, &err);
}

bool es_live_run_undo(es_live_run *r, es_live_undone *undone) {
    run_slice slice;
    *undone = (es_live_undone){0};
    if (!r->ready || !wait_inserted(r) || !take_back(r, &slice)) return false;
    *undone = (es_live_undone){slice.first, slice.frames, slice.end_s - slice.begin_s};
    mark_recordings(r, &slice);
    if (r->options.watch.undone) r->options.watch.undone(r->options.watch.context, slice.first);
    return true;
}
