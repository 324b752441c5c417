/* ImageToProbe from a flat floor.
 *
 * In every picture the floor of a tank, or a plate, is a straight line. A
 * point (u, v) of it lies at P (R S (u, v, 0) + t) in the reference: R, S, t
 * are ImageToProbe (rotation, scales, shift) and P is the tracked pose. All of
 * these places lie in one unknown plane n . p = d. Given enough poses that
 * differ in height and inclination, this alone determines everything.
 *
 * What the plane does not see: turning about its normal and sliding along it
 * change no picture. A probe that is only moved up and down shows a scale and
 * little else, so how well each parameter is known is reckoned from the very
 * motion (wall_observe.c). */
#include "wall.h"

#include <math.h>
#include <string.h>

#include "calib_internal.h"

enum { LEAST_LINES = 20, ROUNDS = 5, STARTS = 8, QUICK_LINES = 80, QUICK_ROUNDS = 10 };
/* Beyond this the lines are no plane at all. */
static const double MOST_RMS_MM = 4;
/* Of a result as vague as that only the missing motions are of use, and they
 * are best told from the start, which stays near what was recorded. */
static const double OPEN_MM = 20;

/* ---- the model --------------------------------------------------------------------------- */

bool wall_spacing_given(const es_wall_options *o) { return o->spacing_mm[0] > 0; }

static int scale_count(const es_wall_options *o) {
    return wall_spacing_given(o) ? 0 : o->isotropic ? 1 : 2;
}

int wall_parameter_count(const es_wall_options *o) {
    return WALL_SCALE_U + scale_count(o) + o->lag_free;
}

int wall_kind(const es_wall_options *o, int k) {
    return k - WALL_SCALE_U < scale_count(o) ? k : WALL_LAG;
}

static es_mat4 small_turn(const double w[3]) {
    es_vec3 axis = es_vec3_make(w[0], w[1], w[2]);
    double angle = es_vec3_length(axis);
    return angle > 1e-14 ? es_mat4_rotation(axis, angle) : es_mat4_identity();
}

/* Two unit vectors across `n`. */
static void across(es_vec3 n, es_vec3 *a, es_vec3 *b) {
    es_vec3 other = fabs(n.x) < 0.6 ? es_vec3_make(1, 0, 0) : es_vec3_make(0, 1, 0);
    *a = es_vec3_unit(es_vec3_cross(n, other));
    *b = es_vec3_cross(n, *a);
}

wall_state wall_moved(const wall_fit *fit, const double *x) {
    wall_state s = fit->base;
    es_vec3 a, b;
    int scales = scale_count(fit->options);
    across(s.normal, &a, &b);
    s.turn = es_mat4_multiply(s.turn, small_turn(x + WALL_TURN));
    s.shift = es_vec3_add(s.shift, es_vec3_make(x[3], x[4], x[5]));
    s.normal = es_vec3_add(s.normal, es_vec3_scale(a, x[WALL_NORMAL]));
    s.normal = es_vec3_unit(es_vec3_add(s.normal, es_vec3_scale(b, x[WALL_NORMAL + 1])));
    s.distance += x[WALL_DISTANCE];
    if (scales > 0) s.scale[0] *= exp(x[WALL_SCALE_U]);
    if (scales > 0) s.scale[1] *= exp(x[scales > 1 ? WALL_SCALE_V : WALL_SCALE_U]);
    if (fit->options->lag_free) s.lag += x[WALL_SCALE_U + scales];
    return s;
}

es_mat4 wall_image_to_probe(const wall_state *s) {
    es_mat4 scale = es_mat4_scaling(s->scale[0], s->scale[1], 0.5 * (s->scale[0] + s->scale[1]));
    es_mat4 m = es_mat4_multiply(s->turn, scale);
    m.m[3] = s->shift.x, m.m[7] = s->shift.y, m.m[11] = s->shift.z;
    return m;
}

/* R' n for the rotation in m. */
static es_vec3 turned_back(const es_mat4 *m, es_vec3 n) {
    const double *r = m->m;
    return es_vec3_make(r[0] * n.x + r[4] * n.y + r[8] * n.z, r[1] * n.x + r[5] * n.y + r[9] * n.z,
                        r[2] * n.x + r[6] * n.y + r[10] * n.z);
}

double wall_miss(const wall_state *s, es_mat4 pose, const double px[2]) {
    es_vec3 in_probe = turned_back(&pose, s->normal), in_image = turned_back(&s->turn, in_probe);
    double height = es_vec3_dot(s->normal, es_mat4_point(pose, s->shift)) - s->distance;
    return in_image.x * s->scale[0] * px[0] + in_image.y * s->scale[1] * px[1] + height;
}

void wall_parts(const wall_fit *fit, const double miss[2], double parts[2]) {
    const double half = 0.7071067811865476; /* a turn: equal weights change nothing */
    parts[0] = half * (miss[0] + miss[1]);
    parts[1] = fit->slope * half * (miss[0] - miss[1]);
}

bool wall_pose(const wall_fit *fit, const es_wall_line *line, double lag, es_mat4 *pose) {
    return es_pose_track_at(fit->poses, line->time_s + lag, fit->options->max_gap_s, pose, NULL);
}

/* ---- the fit ------------------------------------------------------------------------------- */

/* The fit's numbers are 1 + change / UNIT: forward differences, which step by
 * a share of the number, then move everything by some micrometres. */
static const double UNIT[WALL_PARAMETERS] = {1, 1, 1, 100, 100, 100, 1, 1, 100, 1, 1, 10};
/* A weak pull to the anchor keeps what the motion does not determine where it
 * was: 0.1 mm of residual for so much change. */
static const double PULL[WALL_PARAMETERS] = {1, 1, 1, 300, 300, 300, 1, 1, 1000, 1, 1, 1};

static void changes(const wall_fit *fit, const double *x, double change[WALL_PARAMETERS]) {
    for (int k = 0; k < wall_parameter_count(fit->options); k++)
        change[k] = (x[k] - 1) * UNIT[wall_kind(fit->options, k)];
}

static double mean_scale(const wall_state *s) { return sqrt(s->scale[0] * s->scale[1]); }

/* The misses of a line's ends; false: not placed. */
static bool line_misses(const wall_fit *fit, const wall_state *s, size_t i, double miss[2]) {
    es_mat4 pose;
    if (!wall_pose(fit, &fit->lines[i], s->lag, &pose)) return false;
    double unit = fit->far ? sqrt(mean_scale(s)) : 1;
    for (int e = 0; e < 2; e++) miss[e] = wall_miss(s, pose, fit->lines[i].ends[e]) / unit;
    return isfinite(miss[0]) && isfinite(miss[1]);
}

/* How far the base has gone from the anchor: what nothing determines would
 * else go a little further in every round. */
static double gone(const wall_fit *fit, int kind) {
    const wall_state *a = &fit->anchor, *b = &fit->base;
    const double shift[3] = {b->shift.x - a->shift.x, b->shift.y - a->shift.y,
                             b->shift.z - a->shift.z};
    if (kind >= WALL_SHIFT && kind < WALL_NORMAL) return shift[kind - WALL_SHIFT];
    if (kind == WALL_DISTANCE) return b->distance - a->distance;
    if (kind == WALL_SCALE_U) return log(b->scale[0] / a->scale[0]);
    return kind == WALL_SCALE_V ? log(b->scale[1] / a->scale[1]) : 0;
}

static bool wall_residuals(void *context, const double *x, double *r, es_error *err) {
    const wall_fit *fit = context;
    (void)err;
    double change[WALL_PARAMETERS];
    changes(fit, x, change);
    wall_state s = wall_moved(fit, change);
    for (size_t i = 0; i < fit->count; i += fit->stride, r += 2) {
        double miss[2];
        bool used = fit->weights[i] > 0 && line_misses(fit, &s, i, miss);
        if (used) wall_parts(fit, miss, r);
        for (int k = 0; k < 2; k++) r[k] = used ? fit->weights[i] * r[k] : 0;
    }
    for (int k = 0; k < wall_parameter_count(fit->options); k++) {
        int kind = wall_kind(fit->options, k);
        *r++ = 0.1 * (change[k] + gone(fit, kind)) / PULL[kind];
    }
    return true;
}

/* Robust deviations of the heights and the slopes, mm, as weighted now.
 * `misses` has room for all. */
static void find_deviations(const wall_fit *fit, double *misses, double deviations[2]) {
    for (int k = 0; k < 2; k++) {
        size_t n = 0;
        for (size_t i = 0; i < fit->count; i += fit->stride) {
            double miss[2], parts[2];
            if (!line_misses(fit, &fit->base, i, miss)) continue;
            wall_parts(fit, miss, parts);
            misses[n++] = fabs(parts[k]);
        }
        deviations[k] = 1.4826 * calib_median(misses, n) + 1e-6;
    }
}

/* Factors of the residuals: Huber's weights, or, once near, Tukey's biweight,
 * under which another echo counts nothing. Returns the lines' deviation from
 * the floor, NaN when nothing is placed. */
static double weigh(wall_fit *fit, bool near, double *misses) {
    double deviations[2];
    find_deviations(fit, misses, deviations);
    for (size_t i = 0; i < fit->count; i += fit->stride) {
        double miss[2], parts[2];
        fit->weights[i] = 0;
        if (!line_misses(fit, &fit->base, i, miss)) continue;
        wall_parts(fit, miss, parts);
        double far = fmax(fabs(parts[0]) / deviations[0], fabs(parts[1]) / deviations[1]);
        fit->weights[i] = near ? fmax(1 - far * far / 36, 0) : far > 3 ? sqrt(3 / far) : 1;
    }
    return hypot(deviations[0], deviations[1]);
}

/* Slopes count by how much less they scatter than heights, within reason. */
static void balance(wall_fit *fit, double *misses) {
    const double least_mm = 0.05, most = 8;
    double deviations[2];
    fit->slope = 1;
    find_deviations(fit, misses, deviations);
    double ratio = hypot(deviations[0], least_mm) / hypot(deviations[1], least_mm);
    fit->slope = fmin(fmax(ratio, 1 / most), most);
}

/* One fit with the weights as they are. */
static bool fit_once(wall_fit *fit, es_error *err) {
    size_t rows = (fit->count + fit->stride - 1) / fit->stride;
    int n = wall_parameter_count(fit->options);
    es_fit how = {.residuals = wall_residuals,
                  .context = fit,
                  .n = n,
                  .m = (int)(2 * rows) + n,
                  .max_evaluations = 40 * (n + 1),
                  .tolerance = 1e-8,
                  .step = 1e-6};
    double x[WALL_PARAMETERS], change[WALL_PARAMETERS];
    es_fit_result info;
    for (int k = 0; k < n; k++) x[k] = 1;
    if (!es_fit_run(&how, x, NULL, &info, err)) return false;
    changes(fit, x, change);
    fit->base = wall_moved(fit, change);
    return true;
}

/* From a state near the solution: Tukey's weights, and slopes count as they
 * deserve. */
static bool refine(wall_fit *fit, double *misses, es_error *err) {
    fit->anchor = fit->base;
    for (int round = 0; round < ROUNDS; round++) {
        balance(fit, misses);
        weigh(fit, true, misses);
        if (!fit_once(fit, err)) return false;
    }
    weigh(fit, true, misses);
    return true;
}

/* ---- from several starts --------------------------------------------------------------------- */

/* Distance between where two states put the lines' middles, RMS. */
static double apart(const wall_fit *fit, const wall_state *a, const wall_state *b) {
    es_mat4 first = wall_image_to_probe(a), second = wall_image_to_probe(b);
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < fit->count; i += fit->stride, n++) {
        const double(*e)[2] = fit->lines[i].ends;
        es_vec3 px = es_vec3_make(0.5 * (e[0][0] + e[1][0]), 0.5 * (e[0][1] + e[1][1]), 0);
        es_vec3 d = es_vec3_sub(es_mat4_point(first, px), es_mat4_point(second, px));
        sum += es_vec3_dot(d, d);
    }
    return n ? sqrt(sum / (double)n) : 0;
}

/* A marker is no two metres away from the picture, nor a pixel a centimetre. */
static bool is_probe(const wall_state *s) {
    return es_vec3_length(s->shift) < 2000 && s->scale[0] < 10 && s->scale[1] < 10;
}

/* From a start that may be far off. In mm a scale that shrinks to nothing makes
 * all misses small, in pixels one that grows: other echoes, which lie far away,
 * drive a fit into either. Between the two, over the root of the scale, there
 * is no such way out. *score gets the miss in pixels; NaN: none. */
static bool approach(wall_fit *fit, double *misses, double *score, es_error *err) {
    fit->far = true;
    fit->anchor = fit->base;
    for (int round = 0; round < QUICK_ROUNDS; round++) {
        wall_state before = fit->base;
        weigh(fit, 2 * round >= QUICK_ROUNDS, misses);
        if (!fit_once(fit, err)) return false;
        if (is_probe(&fit->base)) continue;
        fit->base = before; /* what the motion leaves open has run away */
        break;
    }
    *score = weigh(fit, true, misses) / sqrt(mean_scale(&fit->base));
    fit->far = false;
    if (!(mean_scale(&fit->base) > 1e-3)) *score = NAN;
    return true;
}

/* The start that leaves least. *rival gets the best state elsewhere. */
static bool try_starts(wall_fit *fit, const wall_state *starts, size_t count, double *misses,
                       wall_state *rival, double score[2], es_error *err) {
    wall_state best = {.lag = 0};
    score[0] = score[1] = INFINITY;
    for (size_t k = 0; k < count; k++) {
        double px;
        fit->base = starts[k];
        if (!approach(fit, misses, &px, err)) return false;
        if (!isfinite(px)) continue;
        bool elsewhere = !isfinite(score[0]) || apart(fit, &fit->base, &best) > 5;
        if (px < score[0]) {
            if (elsewhere && isfinite(score[0])) *rival = best, score[1] = score[0];
            best = fit->base, score[0] = px;
        } else if (elsewhere && px < score[1]) {
            *rival = fit->base, score[1] = px;
        }
    }
    fit->base = best;
    return isfinite(score[0]) ||
           es_fail(
               err, ES_GEOMETRY,
               "the fit shrinks the picture to nothing: the probe's height over the floor hardly "
               "changes. Record again and also %s; and %s",
               es_wall_motion_text(ES_WALL_RAISE), es_wall_motion_text(ES_WALL_SLIDE));
}

/* A lag can be found only where poses stand on both sides of most lines. */
static bool check_track(const wall_fit *fit, es_error *err) {
    size_t both = 0, any = 0;
    es_mat4 pose;
    for (size_t i = 0; i < fit->count; i++) {
        double time = fit->lines[i].time_s;
        any += es_pose_track_at(fit->poses, time, fit->options->max_gap_s, &pose, NULL);
        both += es_pose_track_at(fit->poses, time - 0.05, fit->options->max_gap_s, &pose, NULL) &&
                es_pose_track_at(fit->poses, time + 0.05, fit->options->max_gap_s, &pose, NULL);
    }
    return 2 * both >= any ||
           es_fail(err, ES_GEOMETRY,
                   "poses stand before and after %zu of %zu pictures only: too sparse in time to "
                   "find a lag; give it, as 0 if need be",
                   both, any);
}

static bool check_lines(const wall_fit *fit, es_error *err) {
    size_t placed = 0;
    es_mat4 pose;
    for (size_t i = 0; i < fit->count; i++)
        placed += wall_pose(fit, &fit->lines[i], fit->options->lag_s, &pose);
    if (fit->count < LEAST_LINES || placed < LEAST_LINES)
        return es_fail(err, ES_GEOMETRY,
                       "%zu pictures show the floor and %zu of them have a pose: %d or more are "
                       "needed. Hold the probe over the flat bottom of a water tank or a plate, "
                       "the floor in every picture and the markers in the tracker's sight",
                       fit->count, placed, LEAST_LINES);
    return !fit->options->lag_free || check_track(fit, err);
}

/* ---- the result
 * ---------------------------------------------------------------------------------- */

/* The floor's normal points to the side of the probe. */
static void face_probe(wall_state *s, const wall_fit *fit) {
    double above = 0;
    for (size_t i = 0; i < fit->count; i++) {
        es_mat4 pose;
        if (!wall_pose(fit, &fit->lines[i], s->lag, &pose)) continue;
        above += es_vec3_dot(s->normal, es_mat4_point(pose, s->shift)) - s->distance;
    }
    if (above >= 0) return;
    s->normal = es_vec3_scale(s->normal, -1);
    s->distance = -s->distance;
}

static void reject(es_wall_reject *rejects, size_t *count, int64_t index, const char *step,
                   const char *reason) {
    if (rejects) rejects[*count] = (es_wall_reject){index, step, reason};
    (*count)++;
}

static void sum_up(const wall_fit *fit, es_wall_result *r, es_wall_reject *rejects, size_t *count) {
    double square = 0;
    for (size_t i = 0; i < fit->count; i++) {
        double miss[2];
        if (!line_misses(fit, &fit->base, i, miss))
            reject(rejects, count, fit->lines[i].index, "pose",
                   "no valid pose within the allowed gap at its time, or the picture lies along "
                   "the floor");
        else if (fit->weights[i] == 0)
            reject(rejects, count, fit->lines[i].index, "fit",
                   "the line is far from where the floor should be: another echo, or a wrong pose");
        else
            r->frames_used++, square += 0.5 * (miss[0] * miss[0] + miss[1] * miss[1]);
    }
    const wall_state *s = &fit->base;
    r->frames_rejected = *count;
    r->rms_mm = sqrt(square / (double)r->frames_used);
    r->image_to_probe = wall_image_to_probe(s);
    memcpy(r->spacing_mm, s->scale, sizeof r->spacing_mm);
    r->lag_s = s->lag;
    r->floor_normal = s->normal;
    r->floor_mm = s->distance;
}

/* "tilt ...; then raise ..." */
static void list_missing(const es_wall_result *r, char *text, size_t size) {
    size_t length = 0;
    text[0] = 0;
    for (int k = 0; k < r->missing_count && length < size; k++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", k ? "; and " : "",
                                   es_wall_motion_text(r->missing[k]));
}

static bool judge(const wall_fit *fit, const es_wall_result *r, es_error *err) {
    char missing[500], vague[200] = "";
    if (r->frames_used < LEAST_LINES || r->rms_mm > MOST_RMS_MM)
        return es_fail(err, ES_GEOMETRY,
                       "no ImageToProbe was found that makes the lines one flat floor: the best of "
                       "%zu starts leaves %.2g mm over %zu of %zu pictures. Is this the pose of "
                       "this probe, did the floor or the reference move, is the lag right? If all "
                       "of it is, the fit did not converge: record again, with fewer other echoes",
                       fit->starts, r->rms_mm, r->frames_used, fit->count);
    if (!(r->target_ci95_mm > fit->options->limit_mm)) return true;
    size_t length = 0;
    for (int k = 0; k < r->parameter_count && length < sizeof vague; k++)
        if (!r->parameters[k].determined)
            length += (size_t)snprintf(vague + length, sizeof vague - length, "%s%s",
                                       length ? ", " : "", r->parameters[k].name);
    list_missing(r, missing, sizeof missing);
    return es_fail(err, ES_GEOMETRY,
                   "the motion does not determine %s: a point of the picture is known within %.2g "
                   "mm only, %g is allowed. Record again and also %s",
                   vague[0] ? vague : "ImageToProbe well enough", r->target_ci95_mm,
                   fit->options->limit_mm, missing[0] ? missing : "take more pictures");
}

/* With Huber's weights in mm, which lead less far. */
static bool stay_near(wall_fit *fit, const wall_state *start, double *misses, es_error *err) {
    fit->base = fit->anchor = *start;
    fit->slope = 1;
    for (int round = 0; round < 3; round++) {
        weigh(fit, false, misses);
        if (!fit_once(fit, err)) return false;
    }
    return true;
}

/* The fit to all lines, and what it is worth. */
static bool settle(wall_fit *fit, double *misses, es_wall_result *result, es_wall_reject *rejects,
                   size_t *reject_count, es_error *err) {
    *reject_count = 0;
    memset(result, 0, sizeof *result);
    if (!refine(fit, misses, err)) return false;
    face_probe(&fit->base, fit);
    sum_up(fit, result, rejects, reject_count);
    return wall_observe(fit, result, err);
}

static bool solve(wall_fit *fit, double *misses, es_wall_result *result, es_wall_reject *rejects,
                  size_t *reject_count, es_error *err) {
    wall_state starts[STARTS], rival;
    double score[2];
    fit->stride = fit->count > QUICK_LINES ? fit->count / QUICK_LINES : 1;
    size_t found = wall_find_starts(fit, starts, STARTS, err);
    fit->starts = found;
    if (found == 0 || !try_starts(fit, starts, found, misses, &rival, score, err)) return false;
    wall_state best = fit->base;
    fit->stride = 1;
    if (!settle(fit, misses, result, rejects, reject_count, err)) return false;
    if (result->target_ci95_mm > OPEN_MM) {
        double rms = result->rms_mm;
        if (!stay_near(fit, &starts[0], misses, err) ||
            !settle(fit, misses, result, rejects, reject_count, err))
            return false;
        if (!(result->rms_mm < 2 * rms)) {
            fit->base = best;
            if (!settle(fit, misses, result, rejects, reject_count, err)) return false;
        }
    }
    if (!judge(fit, result, err)) return false;
    if (score[1] < 1.1 * score[0] + 0.02 && isfinite(fit->options->limit_mm))
        return es_fail(err, ES_GEOMETRY,
                       "two ImageToProbe, %.0f mm apart, go equally well with this recording: "
                       "rock and tilt the probe further, both ways",
                       apart(fit, &best, &rival));
    return true;
}

bool es_wall_solve(const es_wall_line *lines, size_t count, const es_pose_track *poses,
                   const es_wall_options *options, es_wall_result *result, es_wall_reject *rejects,
                   size_t *reject_count, es_error *err) {
    size_t ignored = 0;
    if (!reject_count) reject_count = &ignored;
    *reject_count = 0;
    memset(result, 0, sizeof *result);
    wall_fit fit = {.lines = lines,
                    .count = count,
                    .poses = poses,
                    .options = options,
                    .slope = 1,
                    .stride = 1};
    if (!check_lines(&fit, err)) return false;
    fit.weights = es_alloc_zero(count, sizeof *fit.weights, err);
    double *misses = es_alloc(count, sizeof *misses, err);
    bool ok = fit.weights && misses && solve(&fit, misses, result, rejects, reject_count, err);
    es_free(misses);
    es_free(fit.weights);
    return ok;
}
