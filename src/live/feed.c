/* Pictures and poses on their way from a thread that reads to one that takes.
 *
 * Finished frames go into a bounded queue; one that finds it full is lost and
 * counted: the reader never waits for who takes. */
#include "feed.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "clock.h"

enum { QUEUE_LEAST = 8, QUEUE_MOST = 256 };

void feed_lock(es_live *l) { pthread_mutex_lock(&l->lock); }
void feed_unlock(es_live *l) { pthread_mutex_unlock(&l->lock); }

bool feed_is_stopped(es_live *l) {
    feed_lock(l);
    bool stop = l->stop;
    feed_unlock(l);
    return stop;
}

void feed_pause(es_live *l, double seconds) {
    double end_s = es_clock_s() + seconds;
    feed_lock(l);
    while (!l->stop && clock_wait(&l->changed, &l->lock, end_s)) {
    }
    feed_unlock(l);
}

void feed_connected(es_live *l, bool connected, const es_error *why) {
    feed_lock(l);
    l->stats.connected = connected;
    l->stats.connections += connected;
    if (why) l->error = *why;
    feed_unlock(l);
}

double feed_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the queue ------------------------------------------------------------------ */

/* The first picture says what all are; under the lock. */
static bool learn_frames(es_live *l, const es_frame *frame, const double spacing_mm[2],
                         es_error *err) {
    const es_image *image = &frame->image;
    size_t bytes = es_image_bytes(image), slots = (size_t)l->options.queue_bytes / (bytes + 1);
    slots = slots < QUEUE_LEAST ? QUEUE_LEAST : slots > QUEUE_MOST ? QUEUE_MOST : slots;
    l->queue = es_alloc_zero(slots, sizeof *l->queue, err);
    if (!l->queue) return false;
    l->capacity_slots = slots;
    l->info = (es_stream_info){.frame_count = -1,
                               .width = image->width,
                               .height = image->height,
                               .type = image->type,
                               .channels = image->channels,
                               .spacing_mm = {spacing_mm[0], spacing_mm[1]}};
    snprintf(l->info.orientation, sizeof l->info.orientation, "%s", l->kind->orientation);
    snprintf(l->info.format, sizeof l->info.format, "%s", l->kind->format);
    l->has_info = es_fields_copy(&l->header, &l->info.fields, err);
    return l->has_info;
}

/* Under the lock. */
static void put_ready(es_live *l, const matched *how) {
    l->stats.paired += how->paired;
    l->stats.unpaired += !how->paired;
    if (l->count == l->capacity_slots) {
        l->stats.lost++;
        l->next_index++;
        return;
    }
    feed_slot *s = &l->queue[(l->first + l->count++) % l->capacity_slots];
    es_frame swapped = s->frame;
    s->frame = l->ready;
    l->ready = swapped;
    s->frame.index = l->next_index++;
    s->arrived_s = how->arrived_s;
    pthread_cond_broadcast(&l->changed);
}

/* Everything that waits no longer. */
bool feed_release(es_live *l, es_error *err) {
    for (;;) {
        matched how;
        bool taken;
        if (!matcher_take(l->match, es_clock_s(), &l->ready, &how, &taken, err)) return false;
        if (!taken) return true;
        feed_lock(l);
        put_ready(l, &how);
        feed_unlock(l);
    }
}

/* ---- from the reader --------------------------------------------------------------- */

static bool fits(const es_live *l, const es_image *image) {
    return !l->has_info || (image->width == l->info.width && image->height == l->info.height &&
                            image->type == l->info.type && image->channels == l->info.channels);
}

/* Counts the picture; false when it is not of the kind. */
static bool admit(es_live *l, const double spacing_mm[2], bool *ok, es_error *err) {
    feed_lock(l);
    bool wanted = fits(l, &l->incoming.image);
    *ok = true;
    if (wanted && !l->has_info) {
        *ok = learn_frames(l, &l->incoming, spacing_mm, err);
        pthread_cond_broadcast(&l->changed);
    }
    l->stats.pictures += wanted;
    l->stats.odd += !wanted;
    feed_unlock(l);
    if (!wanted && !l->warned)
        es_log(ES_WARNING,
               "%s: an image of another size or kind than the first is left out, as all "
               "of its kind will be; start anew after the scanner's setting was changed",
               l->name);
    l->warned |= !wanted;
    return wanted && *ok;
}

bool feed_picture(es_live *l, const double spacing_mm[2], double arrived_s, es_error *err) {
    bool ok;
    if (!admit(l, spacing_mm, &ok, err)) return ok;
    matcher_picture(l->match, &l->incoming, arrived_s);
    return feed_release(l, err);
}

bool feed_pose(es_live *l, es_live_pose *pose, es_error *err) {
    es_error why = {0};
    if (!(pose->time_s > 0)) pose->time_s = feed_now();
    feed_lock(l);
    l->stats.poses++;
    feed_unlock(l);
    if (matcher_pose(l->match, pose, es_clock_s(), &why)) return true;
    if (why.code == ES_MEMORY) return es_fail(err, ES_MEMORY, "%s", why.message);
    if (!l->warned) es_log(ES_WARNING, "%s", why.message);
    return l->warned = true;
}

bool feed_look_around(es_live *l, es_error *err) {
    es_live_pose poses[16];
    size_t count;
    while (l->options.poses && (count = es_live_poses_take(l->options.poses, poses, 16)) > 0)
        for (size_t i = 0; i < count; i++)
            if (!feed_pose(l, &poses[i], err)) return false;
    return feed_release(l, err);
}

static void *run(void *context) {
    es_live *l = context;
    es_error err = {0};
    bool ok = l->kind->run(l, &err);
    feed_lock(l);
    l->done = true;
    if (!ok) l->error = err;
    pthread_cond_broadcast(&l->changed);
    feed_unlock(l);
    return NULL;
}

/* ---- the taker's side ---------------------------------------------------------------------- */

static bool live_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    es_live *l = self;
    (void)flags; /* the pixels are there */
    feed_lock(l);
    while (l->count == 0 && !l->done && !l->stop) pthread_cond_wait(&l->changed, &l->lock);
    bool some = l->count > 0;
    bool failed = !some && l->done && !l->stop && l->error.code != ES_OK;
    if (failed && err) *err = l->error;
    if (some) {
        feed_slot *s = &l->queue[l->first];
        es_frame swapped = *frame;
        *frame = s->frame;
        s->frame = swapped;
        l->arrived_s = s->arrived_s;
        l->first = (l->first + 1) % l->capacity_slots;
        /* Starting over keeps to few slots, and so to little memory. */
        if (--l->count == 0) l->first = 0;
    }
    feed_unlock(l);
    *end = !some;
    return !failed;
}

static void nothing(void *self) { (void)self; }

bool es_live_wait(es_live *l, double timeout_s) {
    double end_s = es_clock_s() + timeout_s;
    feed_lock(l);
    while (l->count == 0 && !l->done && !l->stop && clock_wait(&l->changed, &l->lock, end_s)) {
    }
    bool ready = l->count > 0 || l->done || l->stop;
    feed_unlock(l);
    return ready;
}

es_source *es_live_source(es_live *l) { return l->source; }
double es_live_arrived(const es_live *l) { return l->arrived_s; }

es_live_stats es_live_statistics(es_live *l) {
    feed_lock(l);
    es_live_stats stats = l->stats;
    feed_unlock(l);
    return stats;
}

double es_live_depth_mm(es_live *l) {
    feed_lock(l);
    double depth = l->depth_mm;
    feed_unlock(l);
    return depth;
}

void es_live_stop(es_live *l) {
    feed_lock(l);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    feed_unlock(l);
}

void es_live_free(es_live *l) {
    if (!l) return;
    if (l->started) {
        es_live_stop(l);
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < l->capacity_slots; i++) es_frame_clear(&l->queue[i].frame);
    es_free(l->queue);
    es_frame_clear(&l->incoming);
    es_frame_clear(&l->ready);
    es_fields_clear(&l->header);
    es_stream_info_clear(&l->info);
    matcher_free(l->match);
    es_source_free(l->source);
    if (l->link) l->kind->free(l->link);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    es_free(l);
}

static bool refuse(es_live *l, es_error *err) {
    feed_lock(l);
    es_live_stats s = l->stats;
    es_error why = l->error;
    feed_unlock(l);
    if (why.code) return es_fail(err, why.code, "%s", why.message);
    return l->kind->refuse(l, &s, err);
}

static bool wait_first(es_live *l, es_error *err) {
    double end = es_clock_s() + l->options.first_s;
    bool found = false, failed = false, busy = false;
    while (!found && !failed && es_clock_s() < end) {
        if (es_cancelled(err)) return false;
        if (busy) end = es_clock_s() + l->options.first_s;
        feed_pause(l, 0.05);
        feed_lock(l);
        found = l->has_info;
        failed = l->done;
        busy = l->busy;
        feed_unlock(l);
    }
    return found || refuse(l, err);
}

static es_live *make(const es_live_options *options, const char *name, es_error *err) {
    es_live *l = es_alloc_zero(1, sizeof *l, err);
    if (!l) return NULL;
    l->options = *options;
    l->depth_mm = NAN;
    snprintf(l->name, sizeof l->name, "%s", name);
    pthread_mutex_init(&l->lock, NULL);
    clock_condition(&l->changed);
    match_options match = {options->tolerance_s, options->wait_s, options->lag_s};
    l->match = matcher_new(&match, err);
    if (l->match) return l;
    es_live_free(l);
    return NULL;
}

es_live *feed_open(const feed_kind *kind, void *link, const es_live_options *options,
                   const char *name, es_error *err) {
    static const es_source_ops ops = {live_next, NULL, nothing};
    es_live *l = make(options, name, err);
    if (!l) {
        kind->free(link);
        return NULL;
    }
    l->kind = kind;
    l->link = link;
    l->started = pthread_create(&l->thread, NULL, run, l) == 0;
    bool ok = l->started || es_fail(err, ES_MEMORY, "the thread that reads could not be started");
    ok = ok && wait_first(l, err);
    ok = ok && (l->source = es_source_new(&ops, l, &l->info, err)) != NULL;
    if (ok) return l;
    es_live_free(l);
    return NULL;
}
