/* The lag without a phantom: how pictures move against how the probe goes.
 *
 * Tissue that lies still moves through the picture as the probe moves over it.
 * The shift between two pictures that follow one another goes with the probe's
 * velocity in the picture's plane, whatever is seen. Where the probe goes
 * across the plane nothing shifts, but the greys change the faster the faster
 * it goes. Which of these a recording has, the poses tell. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { LEAST_WINDOW = 32, MOST_WINDOW = 256 };
static const double LEAST_RESPONSE = 0.2, MOST_SHIFT = 0.4; /* of the window */

typedef struct motion_reader {
    es_flow_plan *plan;
    uint32_t window, u0, v0;
    es_image before, now;
    bool has_before;
    double before_s;
} motion_reader;

static bool prepare(motion_reader *r, const es_image *picture, es_error *err) {
    uint32_t least = picture->width < picture->height ? picture->width : picture->height;
    if (least < LEAST_WINDOW)
        return es_fail(err, ES_GEOMETRY, "pictures of %u x %u: motion takes %d x %d or more",
                       picture->width, picture->height, LEAST_WINDOW, LEAST_WINDOW);
    r->window = LEAST_WINDOW;
    while (2 * r->window <= least && 2 * r->window <= MOST_WINDOW) r->window *= 2;
    r->u0 = (picture->width - r->window) / 2;
    r->v0 = (picture->height - r->window) / 2;
    r->plan = es_flow_plan_new(r->window, err);
    return r->plan != NULL;
}

/* Mean change of the window's greys. */
static double change_of(const motion_reader *r) {
    const float *a = r->before.data, *b = r->now.data;
    double sum = 0;
    for (uint32_t v = r->v0; v < r->v0 + r->window; v++)
        for (uint32_t u = r->u0; u < r->u0 + r->window; u++) {
            size_t at = (size_t)v * r->now.width + u;
            sum += fabsf(a[at] - b[at]);
        }
    return sum / ((double)r->window * r->window);
}

static bool grow(es_motion_signals *s, es_error *err) {
    for (int k = 0; k < ES_MOTIONS; k++) {
        es_image_signal *one = &s->of[k];
        if (one->count < one->capacity) continue;
        size_t capacity = one->capacity ? 2 * one->capacity : 256;
        if (!es_resize(&one->times_s, capacity, sizeof *one->times_s, err) ||
            !es_resize(&one->values, capacity, sizeof *one->values, err))
            return false;
        one->capacity = capacity;
    }
    return true;
}

static bool add(es_motion_signals *s, const double values[ES_MOTIONS], double time_s,
                es_error *err) {
    if (!grow(s, err)) return false;
    for (int k = 0; k < ES_MOTIONS; k++) {
        es_image_signal *one = &s->of[k];
        one->times_s[one->count] = time_s;
        one->values[one->count++] = values[k];
        one->found += isfinite(values[k]);
    }
    return true;
}

static bool compare(motion_reader *r, es_motion_signals *s, double time_s, es_error *err) {
    es_shift shift;
    double span = time_s - r->before_s;
    if (!es_flow_shift(r->plan, &r->before, &r->now, r->u0, r->v0, &shift, err)) return false;
    bool seen =
        shift.response >= LEAST_RESPONSE && hypot(shift.u_px, shift.v_px) < MOST_SHIFT * r->window;
    const double values[ES_MOTIONS] = {[ES_MOTION_DOWN] = seen ? shift.v_px / span : NAN,
                                       [ES_MOTION_ACROSS] = seen ? shift.u_px / span : NAN,
                                       [ES_MOTION_CHANGE] = change_of(r) / span};
    return add(s, values, 0.5 * (time_s + r->before_s), err);
}

static bool take(motion_reader *r, const es_frame *frame, es_motion_signals *s, es_error *err) {
    bool usable = frame->has_image && frame->has_time;
    if (!usable) {
        r->has_before = false;
        return true;
    }
    if (!r->plan && !prepare(r, &frame->image, err)) return false;
    if (!es_image_to_f32(&frame->image, &r->now, err)) return false;
    bool same = r->has_before && r->now.width == r->before.width &&
                r->now.height == r->before.height && frame->time_s > r->before_s;
    if (same && !compare(r, s, frame->time_s, err)) return false;
    es_image swap = r->before;
    r->before = r->now;
    r->now = swap;
    r->before_s = frame->time_s;
    r->has_before = true;
    return true;
}

bool es_motion_signals_read(es_source *source, const es_progress *progress,
                            es_motion_signals *signals, es_error *err) {
    static const char *const units[ES_MOTIONS] = {
        [ES_MOTION_DOWN] = "px/s, the picture's shift down",
        [ES_MOTION_ACROSS] = "px/s, its shift across",
        [ES_MOTION_CHANGE] = "greys/s, the picture's change"};
    motion_reader r = {.window = 0};
    es_frame frame = {0};
    bool end = false, ok = true;
    double count = 0, total = (double)es_source_info(source)->frame_count;
    memset(signals, 0, sizeof *signals);
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end) {
        ok = take(&r, &frame, signals, err) && !es_cancelled(err);
        es_progress_step(progress, "following the picture", ++count, total);
    }
    for (int k = 0; k < ES_MOTIONS; k++)
        snprintf(signals->of[k].unit, sizeof signals->of[k].unit, "%s", units[k]);
    if (ok && signals->of[0].count == 0)
        ok = es_fail(err, ES_GEOMETRY,
                     "no two pictures with time stamps follow one another: a lag takes both");
    es_frame_clear(&frame);
    es_image_clear(&r.before);
    es_image_clear(&r.now);
    es_flow_plan_free(r.plan);
    if (!ok) es_motion_signals_clear(signals);
    return ok;
}

void es_motion_signals_clear(es_motion_signals *signals) {
    for (int k = 0; k < ES_MOTIONS; k++) es_image_signal_clear(&signals->of[k]);
}

bool es_motion_lag(const es_motion_signals *signals, const es_pose_list *poses,
                   const es_lag_options *options, es_lag_result *result, es_motion *which,
                   es_error *err) {
    es_error best = {0};
    double share = -INFINITY, refused = -INFINITY;
    for (int k = 0; k < ES_MOTIONS; k++) {
        const es_image_signal *s = &signals->of[k];
        es_lag_options how = *options;
        es_lag_result one;
        es_error why = {0};
        how.rates = true;
        how.speeds = k == ES_MOTION_CHANGE;
        if (es_lag_solve(s->times_s, s->values, s->count, poses->times_s, poses->poses,
                         poses->count, &how, &one, &why)) {
            if (one.share > share) share = one.share, *result = one, *which = (es_motion)k;
        } else if (why.code == ES_MEMORY) {
            return es_fail(err, why.code, "%s", why.message);
        } else if (one.share > refused || !best.message[0]) {
            refused = one.share, best = why;
        }
    }
    return share > 0 || es_fail(err, best.code, "from the picture's motion: %s", best.message);
}
