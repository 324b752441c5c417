/* Pictures and poses joined in time.
 *
 * A server sends a picture and the poses of the same moment as messages of
 * their own, with one time stamp, in any order; poses of other trackers come
 * with stamps of their own, at another rate. Each tracker (each name) keeps its
 * last poses in a ring. A picture waits in a short line until all trackers that
 * were heard of within the last second have passed its time: nothing better
 * can come then. */
#include "match.h"

#include <math.h>
#include <string.h>

enum { RING = 512 };

/* A tracker that was silent for so long is not waited for. */
static const double SILENT_S = 1;
/* A stamp so far behind the newest is that of a clock that was set back. */
static const double SET_BACK_S = 1;

typedef struct stamped {
    double time_s;
    es_mat4 matrix;
    bool valid;
} stamped;

typedef struct stream {
    stamped *ring;
    size_t next, count;
    double newest_s, heard_s;
    es_live_pose latest;
} stream;

typedef struct waiting {
    es_frame frame;
    double arrived_s;
} waiting;

struct matcher {
    match_options options;
    stream streams[MATCH_STREAMS];
    size_t stream_count;
    waiting line[MATCH_PENDING]; /* a ring */
    size_t first, count;
    double begun_s; /* the first picture came then; NaN: none yet */
};

matcher *matcher_new(const match_options *options, es_error *err) {
    matcher *m = es_alloc_zero(1, sizeof *m, err);
    if (!m) return NULL;
    m->options = *options;
    m->begun_s = NAN;
    return m;
}

void matcher_free(matcher *m) {
    if (!m) return;
    for (size_t i = 0; i < m->stream_count; i++) es_free(m->streams[i].ring);
    for (size_t i = 0; i < MATCH_PENDING; i++) es_frame_clear(&m->line[i].frame);
    es_free(m);
}

void matcher_reset(matcher *m) {
    for (size_t i = 0; i < m->stream_count; i++) m->streams[i].count = 0;
    m->begun_s = NAN;
}

static stream *find_stream(const matcher *m, const char *name) {
    for (size_t i = 0; i < m->stream_count; i++)
        if (strcmp(m->streams[i].latest.name, name) == 0) return (stream *)&m->streams[i];
    return NULL;
}

static stream *add_stream(matcher *m, const char *name, es_error *err) {
    if (m->stream_count == MATCH_STREAMS) {
        es_fail(err, ES_FORMAT, "pose %.60s: more than %d trackers send; the rest is left out",
                name, MATCH_STREAMS);
        return NULL;
    }
    stream *s = &m->streams[m->stream_count];
    s->ring = es_alloc(RING, sizeof *s->ring, err);
    if (s->ring) m->stream_count++;
    return s->ring ? s : NULL;
}

bool matcher_pose(matcher *m, const es_live_pose *pose, double now_s, es_error *err) {
    stream *s = find_stream(m, pose->name);
    if (!s && !(s = add_stream(m, pose->name, err))) return false;
    if (s->count && pose->time_s < s->newest_s - SET_BACK_S) s->count = 0;
    s->ring[s->next] = (stamped){pose->time_s, pose->matrix, pose->valid};
    s->next = (s->next + 1) % RING;
    s->newest_s = s->count ? fmax(s->newest_s, pose->time_s) : pose->time_s;
    s->count += s->count < RING;
    s->heard_s = now_s;
    s->latest = *pose;
    return true;
}

const es_live_pose *matcher_latest(const matcher *m, const char *name) {
    const stream *s = find_stream(m, name);
    return s && s->count ? &s->latest : NULL;
}

size_t matcher_waiting(const matcher *m) { return m->count; }

static void swap_frames(es_frame *a, es_frame *b) {
    es_frame c = *a;
    *a = *b;
    *b = c;
}

void matcher_picture(matcher *m, es_frame *frame, double arrived_s) {
    waiting *w = &m->line[(m->first + m->count++) % MATCH_PENDING];
    swap_frames(&w->frame, frame);
    w->arrived_s = arrived_s;
    if (isnan(m->begun_s)) m->begun_s = arrived_s;
}

static bool is_alive(const stream *s, double now_s) {
    return s->count > 0 && now_s - s->heard_s < SILENT_S;
}

static bool is_ready(const matcher *m, const waiting *w, double now_s) {
    double wanted_s = w->frame.time_s + m->options.lag_s;
    if (m->count == MATCH_PENDING || now_s - w->arrived_s >= m->options.wait_s) return true;
    bool any = false;
    for (size_t i = 0; i < m->stream_count; i++) {
        if (!is_alive(&m->streams[i], now_s)) continue;
        if (m->streams[i].newest_s < wanted_s) return false;
        any = true;
    }
    /* At the start nobody knows whether trackers will speak at all. */
    return any || now_s - m->begun_s >= SILENT_S;
}

/* The pose of this time, or the nearest within the tolerance; of equally near
 * ones the one that came last. */
static const stamped *nearest(const stream *s, double wanted_s, double tolerance_s) {
    const stamped *best = NULL;
    for (size_t i = 1; i <= s->count; i++) {
        const stamped *p = &s->ring[(s->next + RING - i) % RING];
        double off = fabs(p->time_s - wanted_s);
        if (off <= tolerance_s && (!best || off < fabs(best->time_s - wanted_s))) best = p;
    }
    return best;
}

/* What a frame brought along belongs to it more surely than what came beside it. */
static bool add_pose(const matcher *m, const stream *s, es_frame *frame, bool *paired,
                     es_error *err) {
    if (es_frame_find_transform(frame, s->latest.name)) return true;
    const stamped *p =
        nearest(s, frame->time_s + m->options.lag_s, fmax(m->options.tolerance_s, 0));
    es_mat4 matrix = p ? p->matrix : es_mat4_identity();
    if (!es_frame_set_transform(frame, s->latest.name, matrix, p && p->valid, err)) return false;
    if (!p) {
        strcpy(frame->transforms[frame->transform_count - 1].status, "MISSING");
        *paired = false;
    }
    return true;
}

bool matcher_take(matcher *m, double now_s, es_frame *frame, matched *how, bool *taken,
                  es_error *err) {
    waiting *w = &m->line[m->first];
    *taken = m->count > 0 && is_ready(m, w, now_s);
    if (!*taken) return true;
    how->arrived_s = w->arrived_s;
    how->paired = true;
    for (size_t i = 0; i < m->stream_count; i++)
        if (m->streams[i].count && !add_pose(m, &m->streams[i], &w->frame, &how->paired, err))
            return false;
    swap_frames(&w->frame, frame);
    m->first = (m->first + 1) % MATCH_PENDING;
    m->count--;
    return true;
}
