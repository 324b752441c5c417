/* A live run: frames as they come, recorded, and inserted as far as time allows.
 *
 * The caller's thread takes frames. It alone decides which are inserted, before
 * it records them, so that the recording says of each frame what became of it
 * and reading it again gives the same volume. */
#include "run.h"

#include <math.h>
#include <string.h>

#include "clock.h"

static const double TELL_S = 1, WAIT_S = 0.02;

/* ---- figures --------------------------------------------------------------------- */

es_live_state es_live_run_state(es_live_run *r) {
    pthread_mutex_lock(&r->lock);
    es_live_state state = r->state;
    state.waiting = (int64_t)r->count;
    state.undo_s = run_undo_s(r);
    state.undo_step_s = r->options.undo_s;
    state.latency_median_s = latencies_percentile(&r->inserted, 0.5);
    state.latency_p99_s = latencies_percentile(&r->inserted, 0.99);
    state.shown_median_s = latencies_percentile(&r->shown, 0.5);
    state.shown_p99_s = latencies_percentile(&r->shown, 0.99);
    state.seconds = r->started_s > 0 ? es_clock_s() - r->started_s : 0;
    state.record_error = r->record_error[0] ? r->record_error : NULL;
    pthread_mutex_unlock(&r->lock);
    state.memory_peak = es_memory_peak();
    if (r->options.live) state.link = es_live_statistics(r->options.live);
    return state;
}

static void tell(es_live_run *r, bool now) {
    if (!r->options.watch.state || (!now && es_clock_s() - r->told_s < TELL_S)) return;
    r->told_s = es_clock_s();
    es_live_state state = es_live_run_state(r);
    r->options.watch.state(r->options.watch.context, &state);
}

/* ---- one frame ----------------------------------------------------------------------- */

static void count(es_live_run *r, int64_t *counter) {
    pthread_mutex_lock(&r->lock);
    ++*counter;
    pthread_mutex_unlock(&r->lock);
}

/* A full disk must not stop what is seen. */
void run_record_end(es_live_run *r, const es_error *why) {
    pthread_mutex_lock(&r->lock);
    snprintf(r->record_error, sizeof r->record_error, "%s", why->message);
    pthread_mutex_unlock(&r->lock);
    es_log(ES_WARNING, "the recording ends here: %s", why->message);
    es_journal_free(r->journal);
    r->journal = NULL;
}

static void record(es_live_run *r) {
    es_error err = {0};
    if (!run_capture_put(r, &r->frame, &err)) run_capture_end(r, &err);
    if (!r->journal) return;
    if (es_journal_put(r->journal, &r->frame, &err))
        count(r, &r->state.recorded);
    else
        run_record_end(r, &err);
}

static bool is_wanted(const es_live_run *r) {
    return r->setup.skip <= 1 || r->frame.index % r->setup.skip == 0;
}

/* The first frames, of which the setup is made; then they are inserted too. */
static bool finish_warm_up(es_live_run *r, es_error *err) {
    if (!run_make_ready(r, err)) return false;
    for (size_t i = 0; i < r->early.count; i++) {
        es_frame *frame = &r->early.frames[i];
        run_arrival a = {.arrived_s = NAN, .patient = true};
        bool placed = false;
        if (!es_placement_find(r->placement, frame, &a.place, &placed, err)) return false;
        bool wanted = r->setup.skip <= 1 || frame->index % r->setup.skip == 0;
        if (!placed || !wanted || !frame->has_image) continue;
        a.begins = run_slice_early(r, frame);
        run_push(r, frame, &a);
    }
    run_slices_end(r);
    frame_list_clear(&r->early);
    r->ready_s = es_clock_s();
    return true;
}

/* The frame is recorded, and its mark says that it is not in the volume. */
static bool mark_dropped(es_live_run *r, es_error *err) {
    count(r, &r->state.dropped);
    return es_fields_set(&r->frame.fields, ES_LIVE_INSERTED, "0", err);
}

static bool warm_up(es_live_run *r, bool placed, es_error *err) {
    bool wanted = placed && r->frame.has_image;
    if (wanted && r->paused && !mark_dropped(r, err)) return false;
    record(r);
    if (!wanted || r->paused) return true;
    return frame_list_add(&r->early, &r->frame, err) &&
           (r->early.count < (size_t)r->options.warm_up || finish_warm_up(r, err));
}

static bool insert_or_drop(es_live_run *r, const es_mat4 *place, es_error *err) {
    bool wanted = place && r->frame.has_image && is_wanted(r);
    /* The first frames go into memory that was never touched: that takes time. */
    bool patient = !r->options.live || es_clock_s() - r->ready_s < r->options.catch_up_s;
    run_arrival a = {.arrived_s = r->options.live ? es_live_arrived(r->options.live) : NAN,
                     .patient = patient};
    bool dropped = wanted && (r->paused || (!patient && !run_has_room(r)));
    if (dropped && !mark_dropped(r, err)) return false;
    if (wanted && !dropped) a.begins = run_slice_frame(r, &r->frame);
    record(r);
    if (wanted && !dropped) {
        a.place = *place;
        run_push(r, &r->frame, &a);
    }
    return true;
}

/* Its transforms alone. */
static bool keep_newest(es_live_run *r, es_error *err) {
    for (size_t i = 0; i < r->frame.transform_count; i++) {
        const es_frame_transform *t = &r->frame.transforms[i];
        if (!es_frame_set_transform(&r->newest, t->name, t->matrix, t->valid, err)) return false;
    }
    return true;
}

static bool take_frame(es_live_run *r, es_error *err) {
    bool placed = false;
    pthread_mutex_lock(&r->lock);
    r->frame.index = r->state.received++;
    if (r->started_s == 0) r->started_s = es_clock_s();
    pthread_mutex_unlock(&r->lock);
    if (!es_placement_find(r->placement, &r->frame, &r->place, &placed, err)) return false;
    if (!placed) count(r, &r->state.unplaced);
    if (!keep_newest(r, err)) return false;
    run_send_frame(r, &r->frame, placed ? &r->place : NULL);
    return r->ready ? insert_or_drop(r, placed ? &r->place : NULL, err) : warm_up(r, placed, err);
}

/* ---- the whole ------------------------------------------------------------------------- */

static bool has_failed(es_live_run *r, es_error *err) {
    pthread_mutex_lock(&r->lock);
    bool failed = r->failed;
    if (failed && err) *err = r->error;
    pthread_mutex_unlock(&r->lock);
    return failed;
}

static bool take_all(es_live_run *r, es_error *err) {
    bool end = false;
    while (!end) {
        if (r->options.stop && r->options.stop(r->options.stop_context)) return true;
        if (has_failed(r, err)) return false;
        tell(r, false);
        run_commands(r);
        if (r->options.live && !es_live_wait(r->options.live, WAIT_S)) continue;
        if (!es_source_next(r->options.source, &r->frame, ES_READ_PIXELS, &end, err)) return false;
        if (!end && !take_frame(r, err)) return false;
    }
    return true;
}

static bool refuse_unplaced(const es_live_run *r, es_error *err) {
    return es_fail(err, ES_GEOMETRY, "none of the %lld frames has a valid position: %s",
                   (long long)r->state.received, es_placement_reason(r->placement));
}

bool es_live_run_go(es_live_run *r, es_error *err) {
    bool ok = take_all(r, err);
    if (ok && !r->ready) {
        if (r->early.count == 0)
            ok = refuse_unplaced(r, err);
        else
            ok = finish_warm_up(r, err);
    }
    run_join(r);
    ok = ok && !has_failed(r, err);
    if (r->journal && ok) ok = es_journal_sync(r->journal, err);
    es_journal_free(r->journal);
    r->journal = NULL;
    tell(r, true);
    return ok;
}

void es_live_run_pause(es_live_run *r, bool paused) { r->paused = paused; }
bool es_live_run_is_paused(const es_live_run *r) { return r->paused; }

const es_setup *es_live_run_setup(const es_live_run *r) { return r->ready ? &r->setup : NULL; }
es_volume *es_live_run_volume(const es_live_run *r) { return r->volume; }
es_model *es_live_run_model(const es_live_run *r) { return r->model; }

void es_live_run_free(es_live_run *r) {
    if (!r) return;
    run_join(r);
    for (size_t i = 0; r->queue && i < QUEUE_MOST; i++) es_frame_clear(&r->queue[i].frame);
    es_free(r->queue);
    es_free(r->slices.items);
    es_frame_clear(&r->frame);
    es_frame_clear(&r->newest);
    if (r->capture.journal) run_capture_stop(r, NULL);
    es_plus_free(r->plus);
    frame_list_clear(&r->early);
    es_journal_free(r->journal);
    if (r->model)
        es_model_free(r->model);
    else
        es_volume_free(r->volume);
    es_setup_clear(&r->setup);
    es_placement_free(r->placement);
    es_pool_free(r->pool);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->work);
    pthread_mutex_destroy(&r->turn);
    pthread_cond_destroy(&r->changed);
    es_free(r);
}

static bool check(const es_live_run_options *o, es_error *err) {
    if (o->warm_up < 1 || o->warm_up > 1000 || o->queue < 2 || o->queue > QUEUE_MOST)
        return es_fail(err, ES_USAGE,
                       "a warm-up of %d frames and a queue of %d; expected 1 to 1000 and 2 to %d",
                       o->warm_up, o->queue, QUEUE_MOST);
    if (!(o->undo_s >= 0 && o->undo_keep_s >= 0 && o->undo_keep_s <= 32 * o->undo_s))
        return es_fail(
            err, ES_USAGE,
            "%g s are taken back at a time, %g s in all; expected 0 or more, and at most "
            "32 times as much in all",
            o->undo_s, o->undo_keep_s);
    return true;
}

static bool open_all(es_live_run *r, es_error *err) {
    const es_live_run_options *o = &r->options;
    r->pool = es_pool_new(o->threads, err);
    r->plus = r->pool ? es_plus_copy(o->request->plus, err) : NULL;
    r->placement = r->plus ? es_placement_new(o->request->plus, o->request->transform, err) : NULL;
    if (!r->placement || !o->record) return r->placement != NULL;
    r->journal = es_journal_create(o->record, es_source_info(o->source), err);
    return r->journal != NULL;
}

es_live_run *es_live_run_new(const es_live_run_options *options, es_error *err) {
    es_live_run *r = check(options, err) ? es_alloc_zero(1, sizeof *r, err) : NULL;
    if (!r) return NULL;
    r->options = *options;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->work, NULL);
    pthread_mutex_init(&r->turn, NULL);
    clock_condition(&r->changed);
    if (open_all(r, err)) return r;
    es_live_run_free(r);
    return NULL;
}
