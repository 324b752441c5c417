/* From spots and poses to ImageToProbe.
 *
 * 1. Each picture's spots are matched to the phantom; the recording votes on
 *    the view (which side of the phantom is seen) and on the pixel spacing,
 *    and all pictures are matched again with both known.
 * 2. A first solution, its lag free wherever it can be, says where the wires
 *    must be in each picture: pictures that failed are tried again there, and
 *    dots that are elsewhere are dropped.
 * 3. The solution that was asked for, from what is left, is judged on the
 *    second recording, or on blocks of time that are left out in turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { VOTERS = 40, BLOCKS = 5, LEAST = 8, FROZEN = 10 };
static const double LOST_MM = 3;         /* a solution this bad tells nothing of single dots */
static const double NEAR_MM[2] = {1, 3}; /* how near a dot must be, least and most */

/* Halves differ by less where pictures come ten times a second and stamps jitter by one. */
static const double TWO_LAGS_S = 0.1;

typedef struct work {
    const es_wire_phantom *phantom;
    es_wire_recording *calibration, *validation;
    const es_wire_options *options;
    es_wire_outcome *out;
    es_wire_prior prior;
    bool *dropped; /* of the calibration's frames: the pose stands still */
} work;

static es_wire_poses poses_of(const es_wire_recording *r) {
    return (es_wire_poses){r->track_times_s, r->track, r->track_count};
}

static bool matched(const es_wire_recording *r, size_t k) { return r->whys[k].step[0] == '\0'; }

/* ---- matching ------------------------------------------------------------------------------ */

static bool has_picture(const es_wire_recording *r, size_t k) {
    return strcmp(r->whys[k].step, "image") != 0;
}

/* How well each view explains some of the pictures. */
static void vote(const work *w, double sums[ES_VIEWS], int counts[ES_VIEWS]) {
    const es_wire_recording *r = w->calibration;
    size_t step = r->count > VOTERS ? r->count / VOTERS : 1;
    for (int view = 0; view < ES_VIEWS; view++) {
        es_wire_prior prior = {1U << view, NAN, 0};
        sums[view] = counts[view] = 0;
        for (size_t k = 0; k < r->count; k += step) {
            es_wire_frame frame = r->frames[k];
            es_wire_match match;
            es_wire_reject why;
            if (!has_picture(r, k) ||
                !es_wire_match_dots(w->phantom, r->spots[k].dots, r->spots[k].count, &prior, &frame,
                                    &match, &why))
                continue;
            sums[view] += match.score;
            counts[view]++;
        }
    }
}

/* Matches every picture; the median spacing of those that were. */
static bool match_all(const es_wire_phantom *phantom, es_wire_recording *r,
                      const es_wire_prior *prior, double *spacing, es_error *err) {
    size_t n = 0;
    double *found = es_alloc(r->count, sizeof *found, err);
    if (!found) return false;
    for (size_t k = 0; k < r->count; k++) {
        es_wire_match match;
        es_wire_reject why;
        if (!has_picture(r, k)) continue;
        bool ok = es_wire_match_dots(phantom, r->spots[k].dots, r->spots[k].count, prior,
                                     &r->frames[k], &match, &why);
        why.index = r->frames[k].index;
        r->whys[k] = why;
        if (ok) found[n++] = match.spacing_mm;
    }
    if (n) qsort(found, n, sizeof *found, es_compare_doubles);
    *spacing = n ? found[n / 2] : NAN;
    es_free(found);
    return true;
}

static bool match_with_spacing(work *w, es_error *err) {
    w->prior.spacing_mm = NAN;
    if (!match_all(w->phantom, w->calibration, &w->prior, &w->prior.spacing_mm, err)) return false;
    double ignored;
    w->prior.spacing_spread = 0.12;
    return isnan(w->prior.spacing_mm) ||
           match_all(w->phantom, w->calibration, &w->prior, &ignored, err);
}

/* The reason that most pictures failed for. */
static bool fail_unmatched(const work *w, size_t good, es_error *err) {
    const es_wire_recording *r = w->calibration;
    size_t most = 0;
    const es_wire_reject *reason = NULL;
    for (size_t k = 0; k < r->count; k++) {
        size_t same = 0;
        if (matched(r, k)) continue;
        for (size_t j = 0; j < r->count; j++)
            same += strncmp(r->whys[j].reason, r->whys[k].reason, 13) == 0;
        if (same > most) most = same, reason = &r->whys[k];
    }
    return es_fail(err, ES_GEOMETRY,
                   "the wires were found in %zu of %zu pictures, too few for a calibration (%d or "
                   "more that agree). Most often (%zu times): step %s, %s",
                   good, r->count, LEAST, most, reason ? reason->step : "none",
                   reason ? reason->reason : "no reason");
}

static size_t count_matched(const es_wire_recording *r) {
    size_t n = 0;
    for (size_t k = 0; k < r->count; k++) n += matched(r, k);
    return n;
}

/* ---- solving --------------------------------------------------------------------------------- */

/* Frames first <= k < last, less those in skip .. skip_end, that have wires. */
static size_t gather(const work *w, const size_t range[2], const size_t skip[2],
                     es_wire_frame *frames) {
    size_t n = 0;
    for (size_t k = range[0]; k < range[1]; k++)
        if (matched(w->calibration, k) && !w->dropped[k] && (k < skip[0] || k >= skip[1]))
            frames[n++] = w->calibration->frames[k];
    return n;
}

static bool solve_part(const work *w, const size_t range[2], const size_t skip[2], bool lag_free,
                       es_wire_result *result, es_error *err) {
    es_wire_poses poses = poses_of(w->calibration);
    es_wire_options options = *w->options;
    es_wire_frame *frames = es_alloc(w->calibration->count, sizeof *frames, err);
    if (!frames) return false;
    options.lag_free = lag_free;
    size_t n = gather(w, range, skip, frames);
    bool ok = es_wire_solve(w->phantom, frames, n, &poses, &options, result, NULL, err);
    es_free(frames);
    return ok;
}

static bool solve_all(const work *w, bool lag_free, es_wire_result *result, es_error *err) {
    const size_t all[2] = {0, w->calibration->count}, none[2] = {0, 0};
    return solve_part(w, all, none, lag_free, result, err);
}

/* ---- views that look alike ------------------------------------------------------------------- */

/* A symmetric phantom fits in several views: the poses decide. */
static bool choose_view(work *w, es_error *err) {
    double sums[ES_VIEWS], best = 0, least = INFINITY;
    int counts[ES_VIEWS], rivals = 0;
    vote(w, sums, counts);
    for (int v = 0; v < ES_VIEWS; v++)
        if (sums[v] > best) best = sums[v], w->out->view = v;
    for (int v = 0; v < ES_VIEWS; v++) rivals += best > 0 && sums[v] > 0.93 * best;
    w->out->view_by_fit = rivals > 1;
    for (int v = 0; v < ES_VIEWS && rivals > 1; v++) {
        es_wire_result result;
        w->prior.views = 1U << v;
        if (!(sums[v] > 0.93 * best)) continue;
        if (!match_with_spacing(w, err)) return false;
        bool timed = w->calibration->poses.timed;
        if (!solve_all(w, timed, &result, NULL) && !solve_all(w, false, &result, NULL)) continue;
        if (result.calibration.m95_mm < least) {
            least = result.calibration.m95_mm;
            w->out->view = v;
        }
    }
    w->prior.views = 1U << w->out->view;
    return match_with_spacing(w, err);
}

/* ---- poses that do not move
 * ---------------------------------------------------------------------- */

static bool same_pose(es_mat4 a, es_mat4 b) { return memcmp(&a, &b, sizeof a) == 0; }

static double moved_px(const es_wire_frame *a, const es_wire_frame *b) {
    double most = 0;
    for (int w = 0; w < ES_WIRES_MAX; w++)
        if (a->seen[w] && b->seen[w])
            most = fmax(most, hypot(a->dots[w][0] - b->dots[w][0], a->dots[w][1] - b->dots[w][1]));
    return most;
}

/* Runs of one and the same pose, in which the wires wander. */
static size_t drop_frozen(work *w) {
    es_wire_recording *r = w->calibration;
    const es_pose_list *p = &r->poses;
    size_t dropped = 0, first = 0, count = r->count < p->count ? r->count : p->count;
    for (size_t k = 1; k <= count; k++) {
        if (k < count && p->valid[k] && same_pose(p->poses[k], p->poses[first])) continue;
        double moved = 0;
        for (size_t j = first; j < k && k - first >= FROZEN; j++)
            if (matched(r, j) && matched(r, first))
                moved = fmax(moved, moved_px(&r->frames[first], &r->frames[j]));
        for (size_t j = first; j < k && moved > 4; j++) {
            w->dropped[j] = true;
            dropped++;
            es_wire_refuse(
                &r->whys[j], "pose",
                "the pose stands still for %zu frames while the wires move by %.0f px: frozen "
                "tracking",
                k - first, moved);
        }
        first = k;
    }
    return dropped;
}

/* How far the probe moved over the frames that have wires. */
static bool check_motion(work *w, es_error *err) {
    const es_wire_recording *r = w->calibration;
    es_mat4 first;
    bool any = false;
    for (size_t k = 0; k < r->count && k < r->poses.count; k++) {
        es_mat4 inverse, p = r->poses.poses[k];
        if (!matched(r, k) || !r->poses.valid[k]) continue;
        if (!any) first = p, any = true;
        if (!es_mat4_invert(first, &inverse, NULL)) continue;
        es_mat4 step = es_mat4_multiply(inverse, p);
        es_quat q = es_quat_from_mat4(step);
        double turn = 2 * atan2(sqrt(q.x * q.x + q.y * q.y + q.z * q.z), fabs(q.w));
        w->out->motion_rad = fmax(w->out->motion_rad, turn);
        w->out->motion_mm = fmax(w->out->motion_mm, es_vec3_length(es_mat4_column(step, 3)));
    }
    return w->out->motion_rad > 0.05 || w->out->motion_mm > 4 ||
           es_fail(
               err, ES_GEOMETRY,
               "the probe stood still: %.1f degrees and %.1f mm over the recording; slide, turn "
               "and tilt it over the wires (the tool may also be another one than the probe's)",
               w->out->motion_rad * 57.29578, w->out->motion_mm);
}

/* ---- the second look ----------------------------------------------------------------------------
 */

static double farthest_px(const es_wire_frame *f, double expected[ES_WIRES_MAX][2], int wires) {
    double most = 0;
    for (int i = 0; i < wires; i++)
        if (f->seen[i])
            most =
                fmax(most, hypot(f->dots[i][0] - expected[i][0], f->dots[i][1] - expected[i][1]));
    return most;
}

/* Takes back frames whose wires are where they should be, drops others. */
static void look_again(work *w, const es_wire_result *first) {
    es_wire_recording *r = w->calibration;
    es_wire_poses poses = poses_of(r);
    double spacing = 0.5 * (first->spacing_mm[0] + first->spacing_mm[1]);
    double near_mm = fmin(fmax(4 * first->calibration.rms_2d_mm, NEAR_MM[0]), NEAR_MM[1]);
    for (size_t k = 0; k < r->count; k++) {
        double expected[ES_WIRES_MAX][2];
        es_wire_reject why;
        if (w->dropped[k] || !has_picture(r, k) ||
            !es_wire_predict(w->phantom, &poses, w->options, first, r->frames[k].time_s, expected))
            continue;
        bool good = matched(r, k);
        double off = good ? farthest_px(&r->frames[k], expected, 3 * w->phantom->patterns) : NAN;
        if (good && off * spacing < near_mm) continue;
        es_wire_frame again = r->frames[k];
        if (es_wire_match_expected(w->phantom, r->spots[k].dots, r->spots[k].count, expected,
                                   near_mm / spacing, &again, &why)) {
            r->frames[k] = again;
            r->whys[k].step[0] = '\0';
        } else if (good) {
            es_wire_refuse(
                &r->whys[k], "fit",
                "a dot is %.1f mm from where the poses put its wire, and no other is nearer",
                off * spacing);
        }
    }
}

/* ---- lags
 * ------------------------------------------------------------------------------------------ */

static void look_for_two_lags(work *w) {
    es_wire_result half[2];
    size_t n = w->calibration->count, none[2] = {0, 0};
    w->out->half_lag_s[0] = w->out->half_lag_s[1] = NAN;
    for (int h = 0; h < 2; h++) {
        const size_t range[2] = {h ? n / 2 : 0, h ? n : n / 2};
        if (!solve_part(w, range, none, true, &half[h], NULL)) return;
    }
    double apart = fabs(half[0].lag_s - half[1].lag_s);
    for (int h = 0; h < 2; h++) w->out->half_lag_s[h] = half[h].lag_s;
    bool sure = fmax(half[0].lag_ci95_s, half[1].lag_ci95_s) < TWO_LAGS_S &&
                fmax(fabs(half[0].lag_s), fabs(half[1].lag_s)) < 1.5;
    w->out->two_lags =
        sure && apart > fmax(TWO_LAGS_S, 2 * hypot(half[0].lag_ci95_s, half[1].lag_ci95_s));
}

/* The solution with a free lag, whatever was asked for; false when there is none. */
static bool first_solution(work *w, es_wire_result *first, es_error *err) {
    es_error why = {0};
    w->out->lag_free_s = w->out->lag_free_ci95_s = w->out->lag_free_m95_mm = NAN;
    if (w->calibration->poses.timed && solve_all(w, true, first, &why)) {
        w->out->lag_free_s = first->lag_s;
        w->out->lag_free_ci95_s = first->lag_ci95_s;
        w->out->lag_free_m95_mm = first->calibration.m95_mm;
        look_for_two_lags(w);
        return true;
    }
    if (why.code == ES_MEMORY) return es_fail(err, why.code, "%s", why.message);
    return solve_all(w, false, first, err);
}

/* ---- the solution and its judges
 * --------------------------------------------------------------------- */

static bool solve_final(work *w, es_error *err) {
    es_wire_outcome *o = w->out;
    const size_t all[2] = {0, w->calibration->count}, none[2] = {0, 0};
    es_wire_poses poses = poses_of(w->calibration);
    o->frames = es_alloc(w->calibration->count, sizeof *o->frames, err);
    o->influence_mm = es_alloc_zero(w->calibration->count, sizeof *o->influence_mm, err);
    o->rejects = es_alloc(2 * w->calibration->count, sizeof *o->rejects, err);
    if (!o->frames || !o->influence_mm || !o->rejects) return false;
    o->frame_count = gather(w, all, none, o->frames);
    es_wire_details details = {.rejects = o->rejects, .influence_mm = o->influence_mm};
    if (!es_wire_solve(w->phantom, o->frames, o->frame_count, &poses, w->options, &o->result,
                       &details, err))
        return false;
    o->reject_count = details.reject_count;
    for (size_t k = 0; k < w->calibration->count; k++)
        if (!matched(w->calibration, k)) o->rejects[o->reject_count++] = w->calibration->whys[k];
    return true;
}

static int by_index(const void *a, const void *b) {
    int64_t x = ((const es_wire_reject *)a)->index, y = ((const es_wire_reject *)b)->index;
    return (x > y) - (x < y);
}

/* Blocks of time are left out in turn; their errors are averaged by frames. */
static bool cross_validate(work *w, es_error *err) {
    es_wire_errors *sum = &w->out->validation, one;
    es_wire_poses poses = poses_of(w->calibration);
    double squares = 0;
    size_t n = w->calibration->count;
    es_wire_frame *frames = es_alloc(n, sizeof *frames, err);
    if (!frames) return false;
    memset(sum, 0, sizeof *sum);
    for (size_t b = 0; b < BLOCKS; b++) {
        const size_t all[2] = {0, n}, block[2] = {b * n / BLOCKS, (b + 1) * n / BLOCKS};
        const size_t none[2] = {0, 0};
        es_wire_result part;
        size_t count = gather(w, block, none, frames);
        if (count == 0 || !solve_part(w, all, block, w->options->lag_free, &part, NULL) ||
            !es_wire_validate(w->phantom, frames, count, &poses, w->options, &part, &one, NULL))
            continue;
        sum->m95_mm += one.m95_mm * (double)one.frames;
        sum->mean_mm += one.mean_mm * (double)one.frames;
        sum->largest_mm = fmax(sum->largest_mm, one.largest_mm);
        squares += one.rms_2d_mm * one.rms_2d_mm * (double)one.dots;
        sum->frames += one.frames;
        sum->dots += one.dots;
    }
    es_free(frames);
    if (sum->frames == 0)
        return es_fail(err, ES_GEOMETRY,
                       "too few pictures to leave blocks of time out; give a second recording with "
                       "--validation");
    sum->m95_mm /= (double)sum->frames;
    sum->mean_mm /= (double)sum->frames;
    sum->rms_2d_mm = sqrt(squares / (double)sum->dots);
    w->out->cross_validated = true;
    return true;
}

/* The second recording is matched by geometry alone: nothing of the solution
 * chooses its dots. */
static bool validate(work *w, es_error *err) {
    es_wire_recording *v = w->validation;
    es_wire_outcome *o = w->out;
    es_wire_poses poses = poses_of(v);
    double ignored;
    size_t n = 0;
    if (v->spots && !match_all(w->phantom, v, &w->prior, &ignored, err)) return false;
    o->validation_rejects = es_alloc(v->count, sizeof *o->validation_rejects, err);
    es_wire_frame *frames = es_alloc(v->count, sizeof *frames, err);
    bool ok = o->validation_rejects && frames;
    for (size_t k = 0; k < v->count && ok; k++)
        if (matched(v, k))
            frames[n++] = v->frames[k];
        else
            o->validation_rejects[o->validation_reject_count++] = v->whys[k];
    if (ok && n == 0)
        ok = es_fail(err, ES_GEOMETRY,
                     "the wires were found in none of the %zu validation pictures: step %s, %s",
                     v->count, v->whys[0].step, v->whys[0].reason);
    ok = ok && (es_wire_validate(w->phantom, frames, n, &poses, w->options, &o->result,
                                 &o->validation, err) ||
                es_prefix(err, "validation"));
    es_free(frames);
    return ok;
}

/* ---- what to say
 * ------------------------------------------------------------------------------------ */

/* The wire whose dots are far worse than the others', or NULL. */
static const char *worst_wire(const work *w) {
    double square[ES_WIRES_MAX] = {0}, count[ES_WIRES_MAX] = {0}, rms[ES_WIRES_MAX];
    int wires = 3 * w->phantom->patterns, worst = 0;
    const es_wire_outcome *o = w->out;
    es_wire_poses poses = poses_of(w->calibration);
    for (size_t k = 0; k < o->frame_count; k++) {
        double at[ES_WIRES_MAX][2];
        const es_wire_frame *f = &o->frames[k];
        if (!es_wire_predict(w->phantom, &poses, w->options, &o->result, f->time_s, at)) continue;
        for (int i = 0; i < wires; i++) {
            if (!f->seen[i]) continue;
            square[i] += pow(o->result.spacing_mm[0] * (f->dots[i][0] - at[i][0]), 2) +
                         pow(o->result.spacing_mm[1] * (f->dots[i][1] - at[i][1]), 2);
            count[i]++;
        }
    }
    for (int i = 0; i < wires; i++) {
        rms[i] = count[i] > 0 ? sqrt(square[i] / count[i]) : 0;
        if (rms[i] > rms[worst]) worst = i;
    }
    double most = rms[worst];
    qsort(rms, (size_t)wires, sizeof *rms, es_compare_doubles);
    return most > 1 && most > 2.5 * rms[wires / 2] ? w->phantom->wires[worst].name : NULL;
}

/* Errors that no wire threaded wrongly makes. */
static const double STRANGE_MM = 15;

static bool hides_lag(const work *w) {
    const es_wire_outcome *o = w->out;
    return !w->options->lag_free && fabs(o->lag_free_s) < 1.5 && o->lag_free_m95_mm < LOST_MM &&
           fabs(o->lag_free_s - w->options->lag_s) > fmax(0.02, 2 * o->lag_free_ci95_s) &&
           o->lag_free_m95_mm < 0.85 * o->result.calibration.m95_mm;
}

static void say(es_wire_outcome *o, const char *format, ...) ES_PRINTF(2, 3);
static void say(es_wire_outcome *o, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(o->next, sizeof o->next, format, list);
    va_end(list);
}

static double widest(const double v[3]) { return fmax(v[0], fmax(v[1], v[2])); }

/* The pattern seen in the fewest pictures, and in how many. */
static size_t rarest_pattern(const work *w, int *pattern) {
    size_t least = SIZE_MAX;
    for (int p = 0; p < w->phantom->patterns; p++) {
        size_t count = 0;
        for (size_t k = 0; k < w->out->frame_count; k++) count += w->out->frames[k].seen[3 * p];
        if (count < least) least = count, *pattern = p;
    }
    return least;
}

static void choose_next(work *w) {
    es_wire_outcome *o = w->out;
    int rare = 0;
    size_t seen = rarest_pattern(w, &rare);
    const char *wire = worst_wire(w);
    double strongest = 0;
    for (size_t k = 0; k < o->frame_count; k++) strongest = fmax(strongest, o->influence_mm[k]);
    if (o->two_lags)
        say(o,
            "The halves of the recording have different lags (%+.3f and %+.3f s): record again "
            "without changing the scanner's or the tracker's settings in between.",
            o->half_lag_s[0], o->half_lag_s[1]);
    else if (hides_lag(w))
        say(o,
            "The poses come %+.3f s against the pictures: calibrate with --lag free (%.2f mm "
            "instead of %.2f).",
            o->lag_free_s, o->lag_free_m95_mm, o->result.calibration.m95_mm);
    else if (wire && o->validation.m95_mm < STRANGE_MM)
        say(o,
            "Dots of wire %s are far worse than the others': check the phantom's version and how "
            "this wire is threaded.",
            wire);
    else if (4 * seen < o->frame_count)
        say(o,
            "The row of wires %s to %s is in %zu of %zu pictures only: is this the right phantom "
            "definition?",
            w->phantom->wires[3 * rare].name, w->phantom->wires[3 * rare + 2].name, seen,
            o->frame_count);
    else if (o->validation.m95_mm > 2)
        say(o, "Dots and poses do not fit together: check that the pictures show this phantom "
               "(--report shows what was found), that the tool is the probe, that the definition "
               "is the right one, and where the phantom lies (calibrate landmarks).");
    else if (o->motion_rad < 0.35)
        say(o,
            "Turn and tilt the probe more: %.0f degrees were seen, 30 or more in all directions "
            "make the result sure (a deep point is to +-%.1f mm).",
            o->motion_rad * 57.29578, o->result.target_ci95_mm);
    else if (o->result.target_ci95_mm > 1)
        say(o,
            "Record more pictures with more tilt, and with the wires at several depths: a deep "
            "point is sure to +-%.1f mm only.",
            o->result.target_ci95_mm);
    else if (widest(o->result.translation_ci95_mm) > 1)
        say(o, "Record more pictures with more tilt: the interval is still %.1f mm wide.",
            widest(o->result.translation_ci95_mm));
    else if (strongest > 0.3)
        say(o, "A single picture moves the result by %.1f mm: record more pictures.", strongest);
    else if (o->validation.m95_mm > 1)
        say(o, "Register the phantom again (calibrate landmarks): what is left looks like its "
               "error, or like a bent wire.");
    else
        say(o, "Use it; measure again when probe, marker or depth change.");
}

static bool too_vague(const es_wire_result *r) {
    return widest(r->translation_ci95_mm) > 5 || widest(r->rotation_ci95_rad) > 0.1;
}

/* Large errors make wide intervals too: then it is no question of motion. */
static bool fail_vague(work *w, es_error *err) {
    es_wire_outcome *o = w->out;
    o->validation = o->result.calibration;
    choose_next(w);
    if (o->validation.m95_mm > 2)
        return es_fail(err, ES_GEOMETRY, "dots and poses are %.1f mm apart at best. %s",
                       o->validation.m95_mm, o->next);
    return es_fail(err, ES_GEOMETRY,
                   "dots and poses do not determine ImageToProbe: it is sure to +-%.1f mm and "
                   "+-%.1f degrees only. %s",
                   widest(o->result.translation_ci95_mm),
                   widest(o->result.rotation_ci95_rad) * 57.29578, o->next);
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------ */

static bool find_wires(work *w, es_error *err) {
    es_wire_result first;
    if (w->calibration->spots && !choose_view(w, err)) return false;
    size_t good = count_matched(w->calibration);
    if (good < LEAST) return fail_unmatched(w, good, err);
    size_t frozen = drop_frozen(w);
    if (count_matched(w->calibration) < LEAST && frozen > 0)
        return es_fail(
            err, ES_GEOMETRY,
            "the pose stream is frozen: in %zu of %zu frames the pose stands still while "
            "the wires move in the picture",
            frozen, w->calibration->count);
    if (!check_motion(w, err)) return false;
    if (!first_solution(w, &first, err)) /* of a few pictures, that were matched by chance */
        return 3 * good < w->calibration->count && !(err && err->code == ES_MEMORY)
                   ? fail_unmatched(w, good, err)
                   : false;
    if (w->calibration->spots && first.calibration.m95_mm < LOST_MM) look_again(w, &first);
    return true;
}

bool es_wire_calibrate(const es_wire_phantom *phantom, es_wire_recording *calibration,
                       es_wire_recording *validation, const es_wire_options *options,
                       es_wire_outcome *outcome, es_error *err) {
    memset(outcome, 0, sizeof *outcome);
    work w = {.phantom = phantom,
              .calibration = calibration,
              .validation = validation,
              .options = options,
              .out = outcome,
              .prior = {.views = (1U << ES_VIEWS) - 1, .spacing_mm = NAN}};
    if (options->lag_free && !calibration->poses.timed)
        return es_fail(err, ES_GEOMETRY, "the recording has no time stamps: a lag cannot be found");
    w.dropped = es_alloc_zero(calibration->count, sizeof *w.dropped, err);
    bool ok = w.dropped && es_wire_match_check(phantom, err) && find_wires(&w, err) &&
              solve_final(&w, err);
    if (ok && too_vague(&outcome->result)) ok = fail_vague(&w, err);
    ok = ok && (validation ? validate(&w, err) : cross_validate(&w, err));
    if (ok) {
        qsort(outcome->rejects, outcome->reject_count, sizeof *outcome->rejects, by_index);
        choose_next(&w);
    }
    es_free(w.dropped);
    if (!ok) es_wire_outcome_clear(outcome);
    return ok;
}

void es_wire_outcome_clear(es_wire_outcome *outcome) {
    es_free(outcome->rejects);
    es_free(outcome->validation_rejects);
    es_free(outcome->influence_mm);
    es_free(outcome->frames);
    es_decisions_clear(&outcome->notes);
    memset(outcome, 0, sizeof *outcome);
}
