/* The thread that inserts: what waits in the queue, in batches, in order. */
#include <string.h>

#include "run.h"

/* Batches as large as what waits: one frame when the machine is fast enough,
 * more when it is not, which is quicker for each. How frames are split into
 * batches does not change the volume. */
enum { BATCH_MOST = 8 };

bool run_has_room(es_live_run *r) {
    pthread_mutex_lock(&r->lock);
    bool room = !r->failed && r->count < (size_t)r->options.queue;
    pthread_mutex_unlock(&r->lock);
    return room;
}

bool run_push(es_live_run *r, es_frame *frame, const run_arrival *a) {
    pthread_mutex_lock(&r->lock);
    while (a->patient && !r->failed && r->count == (size_t)r->options.queue)
        pthread_cond_wait(&r->changed, &r->lock);
    bool room = !r->failed && r->count < (size_t)r->options.queue;
    if (room) {
        run_slot *slot = &r->queue[(r->first + r->count++) % QUEUE_MOST];
        es_frame swapped = slot->frame;
        slot->frame = *frame;
        *frame = swapped;
        slot->place = a->place;
        slot->arrived_s = a->arrived_s;
        slot->begins = a->begins;
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return room;
}

/* What is inserted together. */
typedef struct batch {
    const es_frame *frames[BATCH_MOST];
    es_mat4 places[BATCH_MOST];
    size_t count;
    bool begins; /* a slice, with the first frame */
    es_volume_stats volume;
    size_t checkpoints;
    uint64_t undo_bytes;
} batch;

/* Waits for frames that stand in front of the queue; false when none will come. They stay
 * there, so that nobody overwrites them, until they are inserted. */
static bool wait_batch(es_live_run *r, batch *b) {
    pthread_mutex_lock(&r->lock);
    while (r->count == 0 && !r->no_more) pthread_cond_wait(&r->changed, &r->lock);
    for (b->count = 0; b->count < r->count && b->count < BATCH_MOST; b->count++) {
        run_slot *slot = &r->queue[(r->first + b->count) % QUEUE_MOST];
        if (b->count == 0) b->begins = slot->begins;
        if (b->count > 0 && slot->begins) break;
        b->frames[b->count] = &slot->frame;
        b->places[b->count] = slot->place;
    }
    pthread_mutex_unlock(&r->lock);
    return b->count > 0;
}

static void note_inserted(es_live_run *r, double arrived_s, double now_s) {
    latencies_add(&r->inserted, now_s - arrived_s);
    if (r->unshown_count < UNSHOWN_MOST) r->unshown[r->unshown_count++] = arrived_s;
}

static void batch_done(es_live_run *r, const batch *b, bool ok, const es_error *err) {
    double now_s = es_clock_s();
    const size_t count = b->count;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < count && ok; i++)
        note_inserted(r, r->queue[(r->first + i) % QUEUE_MOST].arrived_s, now_s);
    r->changes++;
    r->first = (r->first + count) % QUEUE_MOST;
    r->count -= count;
    if (r->count == 0) r->first = 0; /* few slots, little memory */
    r->state.inserted += ok ? (int64_t)count : 0;
    r->state.bricks = b->volume.bricks;
    r->state.volume_bytes = b->volume.bytes;
    r->state.undo_bytes = b->undo_bytes;
    r->slices.kept = b->checkpoints;
    if (!ok && !r->failed) {
        r->failed = true;
        r->error = *err;
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void run_lock_work(es_live_run *r) {
    pthread_mutex_lock(&r->turn);
    pthread_mutex_lock(&r->work);
    pthread_mutex_unlock(&r->turn);
}

void run_unlock_work(es_live_run *r) { pthread_mutex_unlock(&r->work); }

/* The bone is found before the volume is locked: it takes longest. */
static bool insert_batch(es_live_run *r, batch *b, es_error *err) {
    if (b->begins) {
        run_lock_work(r);
        run_checkpoint(r);
        run_unlock_work(r);
    }
    if (r->model && !es_model_detect(r->model, b->frames, b->count, err)) return false;
    run_lock_work(r);
    bool ok = r->model ? es_model_insert(r->model, b->frames, b->places, b->count, err)
                       : es_stage_volume(r->volume, b->frames, b->places, b->count, err);
    b->volume = es_volume_statistics(r->volume);
    b->checkpoints = run_checkpoints(r);
    b->undo_bytes = run_undo_bytes(r);
    run_unlock_work(r);
    return ok;
}

static void show_bone(es_live_run *r, const es_frame *frame, const es_mat4 *place, size_t i) {
    const es_live_watch *w = &r->options.watch;
    if (w->bone && r->model) w->bone(w->context, frame, place, es_model_trace(r->model, i));
}

static void *insert_all(void *context) {
    es_live_run *r = context;
    batch b = {0};
    bool ok = true;
    while (ok && wait_batch(r, &b)) {
        const size_t last = b.count - 1;
        es_error err = {0};
        ok = insert_batch(r, &b, &err);
        if (ok) show_bone(r, b.frames[last], &b.places[last], last);
        batch_done(r, &b, ok, &err);
    }
    return NULL;
}

/* ---- the start -------------------------------------------------------------------- */

static bool make_volume(es_live_run *r, es_error *err) {
    if (r->options.bone) {
        es_model_options model = *r->options.bone;
        model.with_grey = true;
        r->model = es_model_new(&r->setup, &model, r->pool, &r->setup.decisions, err);
        r->volume = r->model ? es_model_volume(r->model) : NULL;
    } else {
        r->volume = es_volume_new(&r->setup.recon, r->pool, err);
    }
    return r->volume != NULL;
}

static bool make_setup(es_live_run *r, es_error *err) {
    es_setup_request request = *r->options.request;
    request.grow = true;
    es_source *source = frame_list_source(&r->early, es_source_info(r->options.source), err);
    bool ok = source && es_setup_make(source, &request, &r->setup, err);
    es_source_free(source);
    return ok;
}

bool run_record_survey(es_live_run *r, es_journal *journal, es_error *err) {
    char *text = es_setup_survey_text(&r->setup, err);
    bool ok = text && es_journal_field(journal, ES_LIVE_SURVEY, text, err);
    es_free(text);
    return ok;
}

/* What the choices were made from goes into the recordings. */
static bool record_survey(es_live_run *r, es_error *err) {
    return (!r->journal || run_record_survey(r, r->journal, err)) &&
           (!r->capture.journal || run_record_survey(r, r->capture.journal, err));
}

bool run_make_ready(es_live_run *r, es_error *err) {
    r->queue = es_alloc_zero(QUEUE_MOST, sizeof *r->queue, err);
    if (!r->queue || !run_slices_make(r, err) || !make_setup(r, err) || !make_volume(r, err) ||
        !record_survey(r, err))
        return false;
    r->inserter_runs = pthread_create(&r->inserter, NULL, insert_all, r) == 0;
    const es_live_watch *w = &r->options.watch;
    bool shows = r->options.preview_hz > 0 && (r->options.server || w->mesh || w->volume);
    if (r->inserter_runs && shows)
        r->previewer_runs = pthread_create(&r->previewer, NULL, run_preview, r) == 0;
    r->ready = r->inserter_runs && (!shows || r->previewer_runs);
    return r->ready || es_fail(err, ES_MEMORY, "the threads of the live run could not be started");
}

void run_join(es_live_run *r) {
    pthread_mutex_lock(&r->lock);
    r->no_more = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->inserter_runs) pthread_join(r->inserter, NULL);
    pthread_mutex_lock(&r->lock);
    r->all_inserted = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->previewer_runs) pthread_join(r->previewer, NULL);
    r->inserter_runs = r->previewer_runs = false;
}
