/* A calibration while the frames come.
 *
 * The thread that takes frames gives each of them; while a wizard collects, it is
 * copied into a store of bounded size. The wizard's own thread looks at what is there
 * about once a second, by the very solvers that will finish it, and says what they
 * refuse it for: that is what is missing. A look holds the frames that it reads, so
 * that nobody waits for it; what it finds is left out when another collection has begun
 * meanwhile. */
#include "echosolid/wizard.h"

#include <math.h>
#include <string.h>

#include "clock.h"
#include "wizard_store.h"
#include "wizard_work.h"

const char *const es_wizard_names[ES_WIZARD_METHODS] = {"pivot", "lag", "nwire", "wall", "self"};

static const double TELL_EVERY_S = 1;
/* Poses are bridged over half a second. */
static const double APART_S = 0.25;
/* A look reads about so many frames where each takes its time. */
enum { LOOK_FRAMES = 120 };

struct es_wizard {
    es_wizard_options options;
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t wake;
    bool stop, wants_keep;
    uint64_t number; /* of the collection */
    es_wizard_state state;
    wizard_store store;
    double began_s, told_s, due_s;
    size_t looked; /* frames that had come at the last look */
};

static void changed(es_wizard *w) {
    if (w->options.changed) w->options.changed(w->options.context);
}

/* ---- what the thread does ---------------------------------------------------------------- */

typedef struct job {
    uint64_t number;
    bool whole;
    size_t seen;
    es_wizard_request request;
    wizard_store frames;
    wizard_figures figures;
} job;

static bool needs_pixels(es_wizard_method method) { return method != ES_WIZARD_PIVOT; }

/* The lag's signal goes from picture to picture, and the others' are quickly read. */
static wizard_limits limits_of_look(es_wizard_method method) {
    bool slow = method == ES_WIZARD_NWIRE || method == ES_WIZARD_WALL;
    return (wizard_limits){slow ? LOOK_FRAMES : SIZE_MAX / 2, 0, APART_S};
}

/* With the lock held; false: there is nothing to do. */
static bool take_job(es_wizard *w, job *j, es_error *err) {
    es_wizard_phase phase = w->state.phase;
    bool look = phase == ES_WIZARD_COLLECTING && w->store.count > 0 && w->state.seen != w->looked &&
                es_clock_s() >= w->due_s;
    if (!look && phase != ES_WIZARD_SOLVING) return false;
    *j = (job){.number = w->number,
               .whole = phase == ES_WIZARD_SOLVING,
               .seen = w->state.seen,
               .request = w->state.request};
    wizard_limits limits = limits_of_look(j->request.method);
    if (j->whole) limits.frames = SIZE_MAX / 2;
    wizard_store_hold(&w->store, &limits, &j->frames, err);
    return true;
}

static void tell_figures(es_wizard_state *s, const job *j, const es_error *why) {
    s->check_count = j->figures.count;
    memcpy(s->checks, j->figures.checks, sizeof s->checks);
    s->ready = why->code == ES_OK;
    snprintf(s->advice, sizeof s->advice, "%s", why->message);
}

/* With the lock held. */
static void end_job(es_wizard *w, job *j, const es_error *why, double took_s) {
    for (size_t i = 0; i < j->frames.count; i++) wizard_held_drop(j->frames.items[i]);
    j->frames.count = 0;
    if (j->number != w->number) return;
    tell_figures(&w->state, j, why);
    w->looked = j->seen;
    w->due_s = es_clock_s() + fmax(w->options.look_every_s, took_s);
    if (!j->whole) return;
    w->state.phase = why->code == ES_OK ? ES_WIZARD_DONE : ES_WIZARD_REFUSED;
    wizard_store_drop(&w->store);
    w->state.bytes = 0;
}

static bool work(es_wizard *w, job *j, es_error *err) {
    es_wizard_result *result = es_alloc_zero(1, sizeof *result, err);
    es_source *source = result ? wizard_store_source(&j->frames, err) : NULL;
    bool ok = source && wizard_prepare(w->options.plus, &j->request, result, err) &&
              wizard_work(source, w->options.plus, j->whole, result, &j->figures, err);
    if (ok && j->whole && w->options.solved) {
        pthread_mutex_lock(&w->lock);
        bool wanted = j->number == w->number;
        pthread_mutex_unlock(&w->lock);
        if (wanted) w->options.solved(w->options.context, result);
    }
    es_source_free(source);
    if (result) wizard_result_clear(result);
    es_free(result);
    return ok;
}

/* Without the lock. */
static void do_job(es_wizard *w, job *j, es_error *err) {
    double start_s = es_clock_s();
    if (err->code == ES_OK) work(w, j, err);
    pthread_mutex_lock(&w->lock);
    end_job(w, j, err, es_clock_s() - start_s);
    pthread_mutex_unlock(&w->lock);
    wizard_store_drop(&j->frames);
    changed(w);
}

static void do_keep(es_wizard *w) {
    if (w->options.keep) w->options.keep(w->options.context);
    changed(w);
}

static void *run(void *context) {
    es_wizard *w = context;
    job j;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        es_error err = {0};
        bool keep = w->wants_keep, has_job = !keep && take_job(w, &j, &err);
        w->wants_keep = false;
        if (!keep && !has_job) {
            clock_wait(&w->wake, &w->lock, es_clock_s() + 0.2);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        if (keep)
            do_keep(w);
        else
            do_job(w, &j, &err);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- frames ------------------------------------------------------------------------------ */

/* With the lock held: whether this frame is one of those to be held. */
static bool is_wanted(es_wizard *w, const es_frame *frame) {
    es_tool_list_see(&w->state.tools, frame);
    if (w->state.phase != ES_WIZARD_COLLECTING) return false;
    size_t step = w->store.step ? w->store.step : 1, index = w->state.seen++;
    return index % step == 0 && !w->store.full &&
           (frame->has_image || !needs_pixels(w->state.request.method));
}

/* With the lock held. Takes `held`; NULL: there was no memory for it. */
static void put(es_wizard *w, wizard_held *held, uint64_t number) {
    if (number != w->number || w->state.phase != ES_WIZARD_COLLECTING) {
        wizard_held_drop(held);
        return;
    }
    const wizard_limits limits = {w->options.frames_most, w->options.bytes_most,
                                  needs_pixels(w->state.request.method) ? APART_S : INFINITY};
    if (!held || !wizard_store_add(&w->store, held, &limits, NULL)) w->state.lost++;
    w->state.full = w->store.full;
    w->state.kept = w->store.count;
    w->state.step = w->store.step;
    w->state.bytes = w->store.bytes;
}

void es_wizard_frame(es_wizard *w, const es_frame *frame) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    bool wanted = is_wanted(w, frame), pixels = needs_pixels(w->state.request.method);
    uint64_t number = w->number;
    pthread_mutex_unlock(&w->lock);
    wizard_held *held = wanted ? wizard_held_new(frame, pixels, NULL) : NULL;
    pthread_mutex_lock(&w->lock);
    if (wanted) put(w, held, number);
    double now = es_clock_s();
    bool tell = w->state.phase == ES_WIZARD_COLLECTING && now - w->told_s >= TELL_EVERY_S;
    if (tell) w->told_s = now;
    pthread_mutex_unlock(&w->lock);
    if (tell) changed(w);
}

/* ---- what is asked for --------------------------------------------------------------------- */

/* With the lock held. */
static void start_anew(es_wizard *w, es_wizard_phase phase) {
    es_wizard_state *s = &w->state;
    es_tool_list tools = s->tools;
    es_wizard_request request = s->request;
    wizard_store_drop(&w->store);
    w->number++;
    w->looked = 0;
    w->wants_keep = false;
    *s = (es_wizard_state){.phase = phase, .request = request, .step = 1, .tools = tools};
    w->began_s = w->told_s = es_clock_s();
    w->due_s = w->began_s + w->options.look_every_s;
    pthread_cond_signal(&w->wake);
}

static bool check(const es_wizard *w, const es_wizard_request *request, es_error *err) {
    if ((int)request->method < 0 || request->method >= ES_WIZARD_METHODS)
        return es_fail(err, ES_USAGE, "there is no calibration of number %d", (int)request->method);
    es_wizard_result *trial = es_alloc_zero(1, sizeof *trial, err);
    bool ok = trial && wizard_prepare(w->options.plus, request, trial, err);
    es_free(trial);
    return ok;
}

bool es_wizard_begin(es_wizard *w, const es_wizard_request *request, es_error *err) {
    if (!check(w, request, err)) return false;
    pthread_mutex_lock(&w->lock);
    start_anew(w, ES_WIZARD_COLLECTING);
    w->state.request = *request;
    pthread_mutex_unlock(&w->lock);
    changed(w);
    return true;
}

void es_wizard_finish(es_wizard *w) {
    pthread_mutex_lock(&w->lock);
    if (w->state.phase == ES_WIZARD_COLLECTING) w->state.phase = ES_WIZARD_SOLVING;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    changed(w);
}

void es_wizard_cancel(es_wizard *w) {
    pthread_mutex_lock(&w->lock);
    start_anew(w, ES_WIZARD_IDLE);
    pthread_mutex_unlock(&w->lock);
    changed(w);
}

void es_wizard_keep(es_wizard *w) {
    pthread_mutex_lock(&w->lock);
    w->wants_keep = w->state.phase == ES_WIZARD_DONE;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void es_wizard_state_get(es_wizard *w, es_wizard_state *state) {
    pthread_mutex_lock(&w->lock);
    if (w->state.phase == ES_WIZARD_COLLECTING) w->state.seconds = es_clock_s() - w->began_s;
    *state = w->state;
    pthread_mutex_unlock(&w->lock);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

es_wizard *es_wizard_new(const es_wizard_options *options, es_error *err) {
    es_wizard *w = es_alloc_zero(1, sizeof *w, err);
    if (!w) return NULL;
    w->options = *options;
    w->state.step = 1;
    pthread_mutex_init(&w->lock, NULL);
    clock_condition(&w->wake);
    w->thread_runs = pthread_create(&w->thread, NULL, run, w) == 0;
    if (w->thread_runs) return w;
    es_wizard_free(w);
    es_fail(err, ES_IO, "no thread could be started for the calibrations");
    return NULL;
}

void es_wizard_free(es_wizard *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->thread_runs) pthread_join(w->thread, NULL);
    wizard_store_drop(&w->store);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    es_free(w);
}
