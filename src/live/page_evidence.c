/* Takes a copy of a few pictures when it is asked, and lets the pipeline's judge look at
 * them in a thread of its own: that takes a second or more, and nobody waits for it. */
#include "page_evidence.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/judge.h"
#include "frame_list.h"

/* So many pictures, so far apart: enough for what moves to be told from what stands. */
enum { PICTURES = 8 };
static const double APART_S = 0.1;

typedef enum phase { RESTS, COLLECTS, JUDGES, ENDS } phase;

struct page_evidence {
    es_page_server *server;
    int channel;
    const es_plus *plus;
    const char *config;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t changed;
    phase phase;
    evidence_request request;
    frame_list frames; /* the thread's while it judges */
    double due_s;
};

/* ---- what is told ------------------------------------------------------------------ */

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *pair(const double v[2]) { return json_pack("[o, o]", number(v[0]), number(v[1])); }

/* Cut where it was too long for its field: not in the middle of a letter. */
static json_t *words(const char *text) {
    json_t *whole = json_string(text);
    return whole ? whole : json_string("");
}

static json_t *rows_json(const es_evidence_list *list) {
    json_t *rows = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        json_array_append_new(rows, json_pack("{s:o, s:o, s:o, s:i, s:b, s:o}", "source",
                                              words(e->source), "spacing_mm", pair(e->spacing_mm),
                                              "sigma", pair(e->sigma), "bound", e->bound, "suspect",
                                              e->suspect, "note", words(e->note)));
    }
    return rows;
}

static json_t *ticks_json(const es_shapes *shapes) {
    json_t *list = json_array();
    for (int i = 0; i < shapes->tick_count; i++) {
        const es_ticks_found *t = &shapes->ticks[i];
        json_array_append_new(list,
                              json_pack("{s:i, s:f, s:f, s:f, s:i, s:i}", "axis", t->axis, "at",
                                        t->at, "first", t->first, "period", t->period_px, "count",
                                        t->count, "major", t->major_every));
    }
    return list;
}

static json_t *judgement_json(const es_judgement *j) {
    const es_spacing_verdict *v = &j->verdict;
    json_t *ask = json_array();
    for (int i = 0; i < v->ask_count; i++) json_array_append_new(ask, words(v->ask[i]));
    return json_pack("{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "kind", "evidence",
                     "busy", 0, "known", v->known, "spacing_mm", pair(v->spacing_mm), "ci95_mm",
                     json_pack("[o, o]", pair(v->ci95_mm[0]), pair(v->ci95_mm[1])), "rows",
                     rows_json(&j->evidence), "ticks", ticks_json(&j->shapes), "summary",
                     words(v->summary), "ask", ask, "pictures", (json_int_t)j->still.frames);
}

/* Takes `root`. With the lock held, so that answers and requests keep their order. */
static void send(page_evidence *e, json_t *root) {
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text) es_page_server_send(e->server, e->channel, true, text, strlen(text), NULL);
    free(text);
    json_decref(root);
}

static void send_busy(page_evidence *e, const char *what) {
    send(e, json_pack("{s:s, s:b, s:s}", "kind", "evidence", "busy", 1, "what", what));
}

/* ---- the thread ---------------------------------------------------------------------- */

static es_stream_info info_of(const frame_list *frames) {
    const es_image *image = &frames->frames[0].image;
    return (es_stream_info){.frame_count = (int64_t)frames->count,
                            .width = image->width,
                            .height = image->height,
                            .type = image->type,
                            .channels = image->channels,
                            .spacing_mm = {1, 1},
                            .orientation = "MFA",
                            .format = "live"};
}

static json_t *judge(const page_evidence *e, const evidence_request *asked) {
    json_t *answer;
    es_error err = {0};
    es_judgement judgement;
    es_judge_request request;
    const es_stream_info info = info_of(&e->frames);
    es_source *source = frame_list_source(&e->frames, &info, &err);
    es_judge_request_init(&request);
    request.plus = e->plus;
    request.config = e->config;
    request.depth_mm = asked->depth_mm;
    request.depth_sigma_mm = 0.5; /* as echosolid spacing takes it */
    request.probe = asked->probe[0] ? asked->probe : NULL;
    if (source && es_judge(source, &request, &judgement, &err)) {
        answer = judgement_json(&judgement);
        es_judgement_clear(&judgement);
    } else {
        answer = json_pack("{s:s, s:b, s:o}", "kind", "evidence", "busy", 0, "error",
                           words(err.message));
    }
    es_source_free(source);
    return answer;
}

static void *work(void *context) {
    page_evidence *e = context;
    pthread_mutex_lock(&e->lock);
    while (e->phase != ENDS) {
        if (e->phase != JUDGES) {
            pthread_cond_wait(&e->changed, &e->lock);
            continue;
        }
        const evidence_request asked = e->request;
        send_busy(e, "judging");
        pthread_mutex_unlock(&e->lock);
        json_t *answer = judge(e, &asked);
        frame_list_clear(&e->frames);
        pthread_mutex_lock(&e->lock);
        if (e->phase == JUDGES) e->phase = RESTS;
        send(e, answer);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- from outside ---------------------------------------------------------------------- */

void page_evidence_ask(page_evidence *e, const evidence_request *request) {
    pthread_mutex_lock(&e->lock);
    bool takes = e->phase == RESTS;
    if (takes) {
        e->phase = COLLECTS;
        e->request = *request;
        e->due_s = 0;
    }
    if (takes) send_busy(e, "waiting for pictures");
    pthread_mutex_unlock(&e->lock);
}

/* What memory fails for is left out: another one follows. */
void page_evidence_frame(page_evidence *e, const es_frame *frame) {
    const double now_s = es_clock_s();
    pthread_mutex_lock(&e->lock);
    if (e->phase == COLLECTS && frame->has_image && now_s >= e->due_s &&
        frame_list_add(&e->frames, frame, NULL)) {
        e->due_s = now_s + APART_S;
        if (e->frames.count == PICTURES) {
            e->phase = JUDGES;
            pthread_cond_signal(&e->changed);
        }
    }
    pthread_mutex_unlock(&e->lock);
}

page_evidence *page_evidence_new(es_page_server *server, int channel, const es_plus *plus,
                                 const char *config, es_error *err) {
    page_evidence *e = es_alloc_zero(1, sizeof *e, err);
    if (!e) return NULL;
    *e = (page_evidence){.server = server, .channel = channel, .plus = plus, .config = config};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    if (pthread_create(&e->thread, NULL, work, e) == 0) return e;
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
    es_free(e);
    es_fail(err, ES_MEMORY, "the thread that judges the spacing could not be started");
    return NULL;
}

void page_evidence_free(page_evidence *e) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    e->phase = ENDS;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    frame_list_clear(&e->frames);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->changed);
    es_free(e);
}
