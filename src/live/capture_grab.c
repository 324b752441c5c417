/* One grabber, stream or file: opening it, when its pictures were taken, what of them is
 * taken, and which are left out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "echosolid/format.h"
#include "echosolid/judge.h"
#include "frame_list.h"

/* Pictures in which the echoes are looked for. */
enum { LOOK = 30 };
/* A stream begins with pictures that have waited somewhere: what is fresh shows later. */
static const double SETTLE_S = 1;
/* A file without times, and gaps in files that are not waited for. */
static const double FILE_STEP_S = 0.04, FILE_GAP_S = 2;

/* ---- opening ------------------------------------------------------------------------ */

bool capture_grab_init(capture_grab *g, const es_live_capture_options *o, double silence_s,
                       es_error *err) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    g->unix_s = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - es_clock_s();
    g->address = es_copy_text(o->address, err);
    g->is_file = !es_capture_is(o->address);
    g->whole = o->whole;
    g->silence_s = silence_s;
    g->spacing_mm[0] = g->spacing_mm[1] = 1;
    memcpy(g->crop, o->crop, sizeof g->crop);
    es_capture_name(o->address, g->name);
    return g->address != NULL;
}

void capture_grab_clear(capture_grab *g) {
    capture_disconnect(g);
    es_source_free(g->cut);
    es_image_clear(&g->last);
    es_free(g->address);
}

void capture_disconnect(capture_grab *g) {
    es_capture_close(g->device);
    es_source_free(g->file);
    g->device = NULL;
    g->file = NULL;
}

static bool open_file(capture_grab *g, es_error *err) {
    g->file = es_sequence_open(g->address, err);
    if (!g->file) return false;
    const es_stream_info *info = es_source_info(g->file);
    memcpy(g->spacing_mm, info->spacing_mm, sizeof g->spacing_mm);
    if (info->width > 0 && info->frame_count != 0) return true;
    return es_fail(err, ES_UNSUPPORTED, "%s: there are no pictures in it", g->name);
}

bool capture_connect(capture_grab *g, es_error *err) {
    const es_capture_options options = {g->stop, g->stop_context, g->silence_s};
    g->clock = (clock_fit){0};
    g->step_count = 0;
    g->frames = 0;
    g->last_s = NAN;
    if (g->is_file) return open_file(g, err);
    g->device = es_capture_open(g->address, &options, err);
    g->begun_s = g->arrived_s = es_clock_s();
    if (g->device && !g->ready)
        es_log(ES_NOTE, "%s: %s", g->name, es_capture_description(g->device));
    return g->device != NULL;
}

/* ---- when it was taken ---------------------------------------------------------------- */

static int compare(const void *a, const void *b) { return es_compare_doubles(a, b); }

/* A gap in the stamps is so many pictures long as the usual step goes into it. */
static void count_missed(capture_grab *g, double time_s) {
    const double longest_s = 5; /* then it was interrupted */
    double step = time_s - g->last_s, sorted[CAPTURE_STEPS];
    size_t count = g->step_count < CAPTURE_STEPS ? g->step_count : CAPTURE_STEPS;
    g->last_s = time_s;
    if (!(step > 0 && step < longest_s)) return;
    memcpy(sorted, g->steps, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    double usual = count ? sorted[count / 2] : 0;
    if (count >= CAPTURE_STEPS / 2 && step > 1.6 * usual)
        g->missed += (uint64_t)(step / usual + 0.5) - 1;
    g->steps[g->step_count++ % CAPTURE_STEPS] = step;
}

/* Unix time; NaN for a picture that must not be used yet. */
static double date_picture(capture_grab *g, const es_capture_moment *moment) {
    double arrived_s = g->arrived_s + g->unix_s, time_s = arrived_s;
    if (moment->clock == ES_CAPTURE_NONE) return time_s;
    time_s = moment->stamp_s;
    count_missed(g, time_s);
    if (moment->clock == ES_CAPTURE_UNIX) return time_s;
    time_s = clock_fit_arrival(&g->clock, moment->stamp_s, arrived_s);
    return g->looking || g->arrived_s - g->begun_s > SETTLE_S ? time_s : NAN;
}

static bool sleep_until(const capture_grab *g, double due_s) {
    for (double rest; (rest = due_s - es_clock_s()) > 0;) {
        struct timespec pause = {.tv_nsec = (long)(fmin(rest, 0.05) * 1e9)};
        if (g->stop(g->stop_context)) return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* A file's frame is due as long after the first as its time says. False: stopped. */
static bool pace(capture_grab *g, es_frame *frame) {
    double time_s = frame->has_time ? frame->time_s : FILE_STEP_S * (double)g->frames;
    if (!frame->has_time && !g->warned_times)
        es_log(ES_WARNING, "%s: its frames have no times; played at %g frames a second", g->name,
               1 / FILE_STEP_S);
    g->warned_times |= !frame->has_time;
    if (g->frames++ == 0) {
        g->start_s = es_clock_s();
        g->first_s = time_s;
    } else if (!(time_s >= g->last_s && time_s - g->last_s < FILE_GAP_S)) {
        g->first_s += time_s - g->last_s - FILE_STEP_S;
    }
    g->last_s = time_s;
    double due_s = g->start_s + time_s - g->first_s;
    frame->has_time = true;
    frame->time_s = due_s + g->unix_s;
    bool go_on = sleep_until(g, due_s);
    g->arrived_s = es_clock_s();
    return go_on;
}

/* ---- what comes -------------------------------------------------------------------------- */

/* The first picture says of what size all are. */
static bool fits(capture_grab *g, const es_image *picture) {
    if (g->width == 0) {
        g->width = picture->width;
        g->height = picture->height;
    }
    bool same = picture->width == g->width && picture->height == g->height;
    g->odd += !same;
    if (!same && !g->warned_size)
        es_log(ES_WARNING,
               "%s: pictures of %u x %u are left out, the first had %u x %u; start anew after the "
               "picture's size was changed",
               g->name, picture->width, picture->height, g->width, g->height);
    g->warned_size |= !same;
    return same;
}

static bool next_of_device(capture_grab *g, es_frame *frame, bool *end, es_error *err) {
    for (;;) {
        es_capture_moment moment;
        if (!es_capture_next(g->device, &frame->image, &moment, end, err)) return false;
        if (*end) return true;
        g->arrived_s = es_clock_s();
        double time_s = date_picture(g, &moment);
        if (moment.interlaced && !g->warned_interlaced)
            es_log(ES_WARNING,
                   "%s: the pictures are interlaced: what moves has combs at its edges; set the "
                   "scanner or the grabber to progressive (1080p, 720p)",
                   g->name);
        g->warned_interlaced |= moment.interlaced;
        if (!fits(g, &frame->image) || isnan(time_s) || (!g->looking && time_s < g->fresh_s))
            continue;
        frame->has_time = true;
        frame->time_s = time_s;
        return true;
    }
}

static bool next_of_file(capture_grab *g, es_frame *frame, bool *end, es_error *err) {
    do
        if (!es_source_next(g->file, frame, ES_READ_PIXELS, end, err)) return false;
    while (!*end && !frame->has_image);
    if (!*end && !g->looking) *end = !pace(g, frame);
    return true;
}

/* The source under all others. */
static bool raw_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    capture_grab *g = self;
    (void)flags;
    if (g->is_file) return next_of_file(g, frame, end, err);
    frame->has_image = true;
    return next_of_device(g, frame, end, err);
}

static void nothing(void *self) { (void)self; }

static es_source *open_raw(capture_grab *g, es_error *err) {
    static const es_source_ops ops = {raw_next, NULL, nothing};
    es_frame frame = {0};
    bool end = false;
    es_stream_info info = {.frame_count = -1, .type = ES_U8, .channels = 1, .spacing_mm = {1, 1}};
    if (g->is_file) return es_source_new(&ops, g, es_source_info(g->file), err);
    bool ok = next_of_device(g, &frame, &end, err);
    es_frame_clear(&frame);
    if (ok && end) ok = es_fail(err, ES_IO, "%s: it ended before its first picture", g->name);
    info.width = g->width;
    info.height = g->height;
    return ok ? es_source_new(&ops, g, &info, err) : NULL;
}

/* ---- where the echoes are --------------------------------------------------------------- */

static bool collect(capture_grab *g, frame_list *list, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false;
    while (ok && !end && list->count < LOOK) {
        ok = es_source_next(g->cut, &frame, ES_READ_PIXELS, &end, err);
        if (ok && !end) ok = frame_list_add(list, &frame, err);
    }
    es_frame_clear(&frame);
    return ok;
}

static bool find_mask(const frame_list *list, const es_stream_info *info, es_image *mask,
                      es_error *err) {
    es_judge_request request;
    es_judgement judgement = {0};
    es_judge_request_init(&request);
    request.frames = LOOK;
    es_source *source = frame_list_source(list, info, err);
    bool ok = source && es_judge(source, &request, &judgement, err) &&
              es_judge_mask(&judgement, mask, err);
    es_judgement_clear(&judgement);
    es_source_free(source);
    return ok;
}

static void tell_mask(const capture_grab *g, const es_image *mask) {
    const uint8_t *inside = mask->data;
    uint32_t low[2] = {mask->width, mask->height}, high[2] = {0, 0};
    for (uint32_t v = 0; v < mask->height; v++)
        for (uint32_t u = 0; u < mask->width; u++) {
            if (!inside[(size_t)v * mask->width + u]) continue;
            if (u < low[0]) low[0] = u;
            if (v < low[1]) low[1] = v;
            if (u > high[0]) high[0] = u;
            if (v > high[1]) high[1] = v;
        }
    es_log(ES_NOTE,
           "%s: the echoes were found within %u,%u,%u,%u (u, v, width, height); the rest of the "
           "picture is black from here on",
           g->name, low[0], low[1], high[0] + 1 - low[0], high[1] + 1 - low[1]);
}

static es_source *window(es_source *inner, const es_window *w, es_error *err) {
    return inner ? es_source_window(inner, w, err) : NULL;
}

/* Takes the mask off what is no echo; without one all stays. */
static bool look_for_echoes(capture_grab *g, es_error *err) {
    frame_list list = {0};
    es_image mask = {0};
    es_error why = {0};
    bool ok = collect(g, &list, err);
    bool found = ok && list.count > 0 && find_mask(&list, es_source_info(g->cut), &mask, &why);
    if (ok && !found && (why.code == ES_MEMORY || why.code == ES_CANCELLED)) {
        if (err) *err = why;
        ok = false;
    }
    if (found) {
        es_window w = {.keep = &mask};
        tell_mask(g, &mask);
        g->cut = window(g->cut, &w, err);
        ok = g->cut != NULL;
    } else if (ok) {
        es_log(ES_WARNING,
               "%s: %s; all of the picture is taken, with what is written on it (--whole says that "
               "this is meant)",
               g->name, why.code ? why.message : "the field of the echoes was not found");
    }
    es_image_clear(&mask);
    frame_list_clear(&list);
    return ok;
}

bool capture_prepare(capture_grab *g, es_error *err) {
    es_window w = {.grey = true,
                   .u0 = g->crop[0],
                   .v0 = g->crop[1],
                   .width = g->crop[2],
                   .height = g->crop[3]};
    g->looking = true;
    g->cut = window(open_raw(g, err), &w, err);
    bool ok = g->cut && (g->whole || look_for_echoes(g, err));
    g->looking = false;
    if (!ok) {
        es_source_free(g->cut);
        g->cut = NULL;
        return false;
    }
    g->ready = true;
    g->fresh_s = es_clock_s() + g->unix_s;
    g->last_s = NAN;
    return es_fields_copy(&es_source_info(g->cut)->fields, g->header, err) &&
           (!g->is_file || es_source_rewind(g->file, err));
}

/* ---- pictures for the feed --------------------------------------------------------------- */

static bool is_same(const capture_grab *g, const es_image *picture) {
    return g->last.data && g->last.width == picture->width && g->last.height == picture->height &&
           memcmp(g->last.data, picture->data, es_image_bytes(picture)) == 0;
}

bool capture_next(capture_grab *g, es_frame *frame, double *arrived_s, bool *end, es_error *err) {
    for (;;) {
        if (!es_source_next(g->cut, frame, ES_READ_PIXELS, end, err)) return false;
        if (*end) return true;
        if (g->device) g->damaged = es_capture_damaged(g->device);
        if (frame->transform_count > 0) break;
        if (!is_same(g, &frame->image)) {
            if (!es_image_copy(&frame->image, &g->last, err)) return false;
            break;
        }
        g->duplicates++;
    }
    *arrived_s = g->arrived_s;
    return true;
}
