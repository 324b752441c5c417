/* Pictures from a grabber, a stream or a file, as a live source.
 *
 * Two threads: the grabber's blocks in FFmpeg, makes pictures ready and puts them into a
 * ring of few; the feed's takes them from there and joins them with poses. In the first
 * pictures the field of the echoes is looked for. */
#include "capture.h"

#include <math.h>
#include <string.h>

#include "clock.h"

enum { RING = 8 };

static const double BACK_OFF_S = 0.25, BACK_OFF_MOST_S = 4, SILENT_S = 5;

typedef struct captured {
    es_frame frame;
    double arrived_s;
} captured;

typedef struct capture {
    capture_grab grab; /* the grabber thread's */
    es_live *live;
    pthread_t thread;
    bool started;
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    captured ring[RING];
    size_t first, count;
    bool over, failed;
    es_error error;
} capture;

/* ---- the ring ------------------------------------------------------------------------ */

static void swap(es_frame *a, es_frame *b) {
    es_frame c = *a;
    *a = *b;
    *b = c;
}

/* What finds no room is lost. */
static void put(capture *c, es_frame *frame, double arrived_s) {
    pthread_mutex_lock(&c->lock);
    bool room = c->count < RING;
    if (room) {
        captured *slot = &c->ring[(c->first + c->count++) % RING];
        swap(&slot->frame, frame);
        slot->arrived_s = arrived_s;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    if (room) return;
    feed_lock(c->live);
    c->live->stats.lost++;
    feed_unlock(c->live);
}

/* The next one into live->incoming; false when there is none in time. */
static bool take(capture *c, double timeout_s, double *arrived_s) {
    double end_s = es_clock_s() + timeout_s;
    pthread_mutex_lock(&c->lock);
    while (c->count == 0 && !c->over && clock_wait(&c->changed, &c->lock, end_s)) {
    }
    bool some = c->count > 0;
    if (some) {
        captured *slot = &c->ring[c->first];
        swap(&slot->frame, &c->live->incoming);
        *arrived_s = slot->arrived_s;
        c->first = (c->first + 1) % RING;
        c->count--;
    }
    pthread_mutex_unlock(&c->lock);
    return some;
}

static bool is_over(capture *c) {
    pthread_mutex_lock(&c->lock);
    bool over = c->over && c->count == 0;
    pthread_mutex_unlock(&c->lock);
    return over;
}

/* ---- the grabber's thread --------------------------------------------------------------- */

static void tell_stats(capture *c) {
    const capture_grab *g = &c->grab;
    feed_lock(c->live);
    c->live->stats.duplicates = g->duplicates;
    c->live->stats.missed = g->missed;
    c->live->stats.damaged = g->damaged;
    c->live->stats.odd = g->odd;
    feed_unlock(c->live);
}

/* The pictures of one connection. */
static bool grab_all(capture *c, bool *came, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false;
    double arrived_s;
    while (ok) {
        ok = capture_next(&c->grab, &frame, &arrived_s, &end, err);
        if (!ok || end) break;
        *came = true;
        put(c, &frame, arrived_s);
        tell_stats(c);
    }
    es_frame_clear(&frame);
    tell_stats(c);
    return ok;
}

static bool is_lasting(es_code code) {
    return code == ES_USAGE || code == ES_UNSUPPORTED || code == ES_MEMORY || code == ES_CANCELLED;
}

static void set_busy(es_live *l, bool busy) {
    feed_lock(l);
    l->busy = busy;
    feed_unlock(l);
}

static bool open_grab(capture *c, es_error *err) {
    bool ok = capture_connect(&c->grab, err);
    feed_connected(c->live, ok, err);
    if (!ok || c->grab.ready) return ok;
    set_busy(c->live, true);
    ok = capture_prepare(&c->grab, err);
    set_busy(c->live, false);
    return ok;
}

/* One connection, from its start to its end. False: another try makes no sense. */
static bool session(capture *c, bool *came, es_error *err) {
    es_error why = {0};
    bool opened = open_grab(c, &why), ok = opened && grab_all(c, came, &why);
    bool stopped = feed_is_stopped(c->live);
    capture_disconnect(&c->grab);
    if (opened) feed_connected(c->live, false, ok ? NULL : &why);
    if (stopped || (ok && c->grab.is_file)) return true;
    if (ok) es_fail(&why, ES_IO, "%s: it has ended", c->grab.name);
    if (c->grab.is_file || is_lasting(why.code)) {
        *err = why;
        return false;
    }
    if (*came) es_log(ES_WARNING, "%s; connecting anew", why.message);
    return true;
}

static bool grab_again_and_again(capture *c, es_error *err) {
    double pause_s = BACK_OFF_S;
    for (bool ok = true; ok && !feed_is_stopped(c->live);) {
        bool came = false;
        ok = session(c, &came, err);
        if (!ok) return false;
        if (c->grab.is_file) return true;
        pause_s = came ? BACK_OFF_S : fmin(2 * pause_s, BACK_OFF_MOST_S);
        feed_pause(c->live, pause_s);
    }
    return true;
}

static void *run_grabber(void *context) {
    capture *c = context;
    es_error err = {0};
    bool ok = grab_again_and_again(c, &err);
    pthread_mutex_lock(&c->lock);
    c->over = true;
    c->failed = !ok;
    c->error = err;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the feed's thread -------------------------------------------------------------------- */

/* Frames that came last wait for their poses as all others do. */
static bool wait_for_the_last(es_live *l, es_error *err) {
    bool ok = true;
    while (ok && matcher_waiting(l->match) > 0 && !feed_is_stopped(l)) {
        feed_pause(l, 0.002);
        ok = feed_look_around(l, err);
    }
    return ok;
}

static bool join_all(es_live *l, es_error *err) {
    capture *c = l->link;
    bool ok = true;
    double arrived_s;
    while (ok && !is_over(c) && !feed_is_stopped(l)) {
        if (take(c, l->options.poses ? 0.002 : 0.02, &arrived_s))
            ok = feed_picture(l, c->grab.spacing_mm, arrived_s, err);
        ok = ok && feed_look_around(l, err);
    }
    return ok && wait_for_the_last(l, err);
}

static bool stops(void *context) { return feed_is_stopped(context); }

static bool run(es_live *l, es_error *err) {
    capture *c = l->link;
    c->live = l;
    c->grab.stop = stops;
    c->grab.stop_context = l;
    c->grab.header = &l->header;
    c->started = pthread_create(&c->thread, NULL, run_grabber, c) == 0;
    if (!c->started) return es_fail(err, ES_MEMORY, "the thread that grabs could not be started");
    bool ok = join_all(l, err);
    if (!ok) es_live_stop(l); /* the grabber too */
    pthread_join(c->thread, NULL);
    if (ok && c->failed && err) *err = c->error;
    return ok && !c->failed;
}

static bool refuse(const es_live *l, const es_live_stats *stats, es_error *err) {
    (void)stats;
    return es_fail(err, ES_IO, "%s: no picture came within %g s", l->name, l->options.first_s);
}

static void free_capture(void *link) {
    capture *c = link;
    if (!c) return;
    capture_grab_clear(&c->grab);
    for (size_t i = 0; i < RING; i++) es_frame_clear(&c->ring[i].frame);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    es_free(c);
}

es_live *es_live_capture(const es_live_capture_options *o, const es_live_options *options,
                         es_error *err) {
    static const feed_kind kind = {"capture", "", run, refuse, free_capture};
    capture *c = es_alloc_zero(1, sizeof *c, err);
    if (!c) return NULL;
    pthread_mutex_init(&c->lock, NULL);
    clock_condition(&c->changed);
    if (!capture_grab_init(&c->grab, o, SILENT_S, err)) {
        free_capture(c);
        return NULL;
    }
    return feed_open(&kind, c, options, c->grab.name, err);
}
