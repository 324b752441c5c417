/* What a motion over a floor determines.
 *
 * J holds the derivatives of all residuals by the parameters. Its normal
 * matrix J'J says how much the recording knows of every combination of them,
 * so no rule of thumb is needed for "enough tilt". A line's height and slope
 * share the errors of their pose, hence the sandwich (J'J)^-1 (sum of s s') (J'J)^-1
 * with one s = J'r a picture. A very wide prior stands for common sense (a
 * marker is not a metre away from the probe) and keeps everything finite.
 *
 * Which motion is missing is asked of the model too: each candidate is acted
 * out about a few of the recorded poses, the lines that would be seen are
 * added to the normal matrix, and the one that shrinks the interval of a point
 * in the picture most is named; then again, with that one made. */
#include <math.h>
#include <string.h>

#include "calib_internal.h"
#include "wall.h"

enum { N = WALL_PARAMETERS, ACTORS = 10, AIMS = 40 };
static const double LEAST_MM = 0.05; /* no tracker and line agree better than that */
static const double DEGREE = 0.017453292519943295;

/* What is believed without any recording, one standard deviation. */
static const double PRIOR[N] = {1, 1, 1, 300, 300, 300, 1, 1, 1000, 1, 1, 1};
static const double STEP[N] = {1e-5, 1e-5, 1e-5, 1e-3, 1e-3, 1e-3,
                               1e-5, 1e-5, 1e-3, 1e-5, 1e-5, 1e-3};

const char *es_wall_motion_text(es_wall_motion motion) {
    static const char *const texts[ES_WALL_MOTIONS] = {
        [ES_WALL_ROCK] = "rock the probe by 20 degrees both ways in the image plane (left end of "
                         "the face up, then the right end)",
        [ES_WALL_TILT] = "tilt the probe by 20 degrees both ways out of the image plane (forward "
                         "and back)",
        [ES_WALL_TURN] = "turn the probe about its long axis by 90 degrees",
        [ES_WALL_RAISE] = "raise and lower the probe by 30 mm",
        [ES_WALL_SLIDE] = "slide the probe along the floor by 60 mm, along and across the image"};
    return motion >= 0 && motion < ES_WALL_MOTIONS ? texts[motion] : "";
}

typedef struct view {
    const wall_fit *fit;
    int n;
    double normal[N * N], spread[N * N]; /* J'J; sum of s s' */
    double variance;                     /* of a residual */
    double ends;                         /* used, of lines */
} view;

/* Derivatives of one end's residual at the base. False when parallel. */
static bool derive(const wall_fit *fit, double time_s, const double px[2], const es_mat4 *fixed,
                   double j[N]) {
    for (int k = 0; k < wall_parameter_count(fit->options); k++) {
        double x[N] = {0}, miss[2], step = STEP[wall_kind(fit->options, k)];
        for (int side = 0; side < 2; side++) {
            es_mat4 pose;
            x[k] = side ? -step : step;
            wall_state s = wall_moved(fit, x);
            es_wall_line line = {.time_s = time_s};
            if (fixed)
                pose = *fixed;
            else if (!wall_pose(fit, &line, s.lag, &pose))
                return false;
            miss[side] = wall_miss(&s, pose, px);
        }
        j[k] = (miss[0] - miss[1]) / (2 * step);
        if (!isfinite(j[k])) return false;
    }
    return true;
}

static void add_outer(double *matrix, const double *v, int n, double weight) {
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) matrix[r * n + c] += weight * v[r] * v[c];
}

/* Residuals of a line, height and slope, with their derivatives. */
typedef struct line_view {
    double miss[2], j[2][N];
} line_view;

/* From misses of the ends to parts, in place. */
static void take_parts(const view *v, line_view *line) {
    double ends[2] = {line->miss[0], line->miss[1]};
    wall_parts(v->fit, ends, line->miss);
    for (int k = 0; k < v->n; k++) {
        double parts[2];
        ends[0] = line->j[0][k], ends[1] = line->j[1][k];
        wall_parts(v->fit, ends, parts);
        line->j[0][k] = parts[0], line->j[1][k] = parts[1];
    }
}

/* Weighted residuals of a used line. */
static bool view_line(const view *v, size_t i, line_view *line) {
    const wall_fit *fit = v->fit;
    const es_wall_line *at = &fit->lines[i];
    double w = fit->weights[i];
    es_mat4 pose;
    if (!(w > 0) || !wall_pose(fit, at, fit->base.lag, &pose)) return false;
    for (int e = 0; e < 2; e++) {
        if (!derive(fit, at->time_s, at->ends[e], NULL, line->j[e])) return false;
        for (int k = 0; k < v->n; k++) line->j[e][k] *= w;
        line->miss[e] = w * wall_miss(&fit->base, pose, at->ends[e]);
    }
    take_parts(v, line);
    return true;
}

static void add_normal(view *v) {
    line_view line;
    double square = 0;
    for (size_t i = 0; i < v->fit->count; i++) {
        if (!view_line(v, i, &line)) continue;
        for (int e = 0; e < 2; e++, v->ends++) {
            add_outer(v->normal, line.j[e], v->n, 1);
            square += line.miss[e] * line.miss[e];
        }
    }
    v->variance = square / fmax(v->ends - v->n, 1) + LEAST_MM * LEAST_MM;
}

/* Tukey's weights give way when a residual grows, so the fit is held less than
 * they say: the mean of psi' over that of psi / r, of which one of a line's two
 * residuals, the worse, sets the weight (Huber 1981, section 7.6). */
static double give_way(const view *v) {
    double held = 0, weights = 0;
    for (size_t i = 0; i < v->fit->count; i++) {
        double w = v->fit->weights[i]; /* 1 - u u, its square is psi / r */
        held += w * (0.5 * (5 * w - 4) + 0.5 * w);
        weights += w * w;
    }
    return fmin(fmax(held / weights, 0.5), 1);
}

static double form(const double *matrix, const double *v, int n) {
    double sum = 0;
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) sum += v[r] * matrix[r * n + c] * v[c];
    return sum;
}

/* A line that the fit leans on has pulled its own residual down by its
 * leverage: it is given back (MacKinnon and White's HC3, 1985). */
static void add_spread(view *v, const double *inverse) {
    line_view line;
    double held = give_way(v);
    for (size_t i = 0; i < v->fit->count; i++) {
        double s[N] = {0};
        if (!view_line(v, i, &line)) continue;
        double lever = form(inverse, line.j[0], v->n) + form(inverse, line.j[1], v->n);
        double back = 1 / (1 - fmin(lever, 0.9));
        for (int e = 0; e < 2; e++)
            for (int k = 0; k < v->n; k++) s[k] += back * line.j[e][k] * line.miss[e];
        add_outer(v->spread, s, v->n, 1 / (held * held));
    }
    for (int k = 0; k < v->n * v->n; k++) v->spread[k] += LEAST_MM * LEAST_MM * v->normal[k];
}

/* Inverse of a positive matrix, scaled by its diagonal first. Returns the
 * ratio of its eigenvalues. */
static double invert(const double *a, int n, double *inverse) {
    double scale[N], unit[N * N] = {0}, values[N], v[N * N];
    for (int k = 0; k < n; k++) scale[k] = sqrt(a[k * n + k]);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) unit[r * n + c] = a[r * n + c] / (scale[r] * scale[c]);
    es_eigen_symmetric(unit, n, values, v);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += v[r * n + k] * v[c * n + k] / fmax(values[k], 1e-15 * values[0]);
            inverse[r * n + c] = sum / (scale[r] * scale[c]);
        }
    return values[0] / values[n - 1];
}

static void add_prior(const view *v, double weight, double *matrix) {
    for (int k = 0; k < v->n; k++) {
        double prior = PRIOR[wall_kind(v->fit->options, k)];
        matrix[k * v->n + k] += weight / (prior * prior);
    }
}

static double invert_normal(const view *v, double *inverse) {
    double a[N * N];
    memcpy(a, v->normal, sizeof a);
    add_prior(v, v->variance, a);
    return invert(a, v->n, inverse);
}

static void look(view *v) {
    double inverse[N * N];
    add_normal(v);
    invert_normal(v, inverse);
    add_spread(v, inverse);
}

/* The sandwich: A^-1 (spread + prior) A^-1 with A = J'J + prior. */
static double find_covariance(const view *v, double *covariance) {
    int n = v->n;
    double inverse[N * N], middle[N * N], half[N * N];
    double condition = invert_normal(v, inverse);
    memcpy(middle, v->spread, sizeof middle);
    add_prior(v, v->variance * v->variance, middle);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            half[r * n + c] = 0;
            for (int k = 0; k < n; k++) half[r * n + c] += inverse[r * n + k] * middle[k * n + c];
        }
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            covariance[r * n + c] = 0;
            for (int k = 0; k < n; k++)
                covariance[r * n + c] += half[r * n + k] * inverse[k * n + c];
        }
    return condition;
}

/* ---- a point of the picture ------------------------------------------------------------------ */

/* Covariance (3 x 3) of where a pixel lies in the probe. */
static void spread_of_point(const view *v, const double *covariance, const double px[2],
                            double out[9]) {
    double j[3][N] = {{0}};
    es_vec3 p = es_vec3_make(px[0], px[1], 0);
    for (int k = 0; k < v->n; k++) {
        double x[N] = {0}, step = STEP[wall_kind(v->fit->options, k)];
        x[k] = step;
        wall_state s = wall_moved(v->fit, x);
        es_vec3 high = es_mat4_point(wall_image_to_probe(&s), p);
        x[k] = -step;
        s = wall_moved(v->fit, x);
        es_vec3 d = es_vec3_sub(high, es_mat4_point(wall_image_to_probe(&s), p));
        j[0][k] = d.x / (2 * step), j[1][k] = d.y / (2 * step), j[2][k] = d.z / (2 * step);
    }
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            out[3 * r + c] = 0;
            for (int a = 0; a < v->n; a++)
                for (int b = 0; b < v->n; b++)
                    out[3 * r + c] += j[r][a] * covariance[a * v->n + b] * j[c][b];
        }
}

/* What the miss of a point stays under 19 times out of 20, whatever the shape
 * of its distribution in space; RMS over places on the lines. */
static double target_ci95(const view *v, const double *covariance) {
    double sum = 0, out[9];
    size_t count = v->fit->count, step = count > AIMS ? count / AIMS : 1, n = 0;
    for (size_t i = 0; i < count; i += step)
        for (int e = 0; e < 2; e++, n++) {
            spread_of_point(v, covariance, v->fit->lines[i].ends[e], out);
            sum += out[0] + out[4] + out[8];
        }
    return 1.96 * sqrt(sum / (double)n);
}

/* ---- motions that were not made
 * ------------------------------------------------------------------ */

/* A turn about the axis through a place, in the image's own axes. */
static es_mat4 turn_at(es_vec3 place, es_vec3 axis, double angle) {
    es_mat4 there = es_mat4_translation(place.x, place.y, place.z);
    es_mat4 back = es_mat4_translation(-place.x, -place.y, -place.z);
    return es_mat4_multiply(there, es_mat4_multiply(es_mat4_rotation(axis, angle), back));
}

/* The pose after a part (-1 .. 1) of the motion, about `middle` (probe). */
static es_mat4 act(const wall_state *s, es_mat4 pose, es_vec3 middle, es_wall_motion motion,
                   double part) {
    es_vec3 n = s->normal,
            side = es_vec3_unit(es_vec3_cross(
                n, es_mat4_vector(pose, es_vec3_make(s->turn.m[2], s->turn.m[6], s->turn.m[10]))));
    es_vec3 move = motion == ES_WALL_RAISE
                       ? es_vec3_scale(n, 15 * (1 + part))
                       : es_vec3_add(es_vec3_scale(side, 30 * part),
                                     es_vec3_scale(es_vec3_cross(n, side), 30 * fabs(part)));
    if (motion == ES_WALL_RAISE || motion == ES_WALL_SLIDE)
        return es_mat4_multiply(es_mat4_translation(move.x, move.y, move.z), pose);
    int column = motion == ES_WALL_ROCK ? 2 : motion == ES_WALL_TILT ? 0 : 1;
    double angle = (motion == ES_WALL_TURN ? 90 : 20) * DEGREE * part;
    return es_mat4_multiply(pose, turn_at(middle, es_mat4_column(s->turn, column), angle));
}

/* Where the floor would be seen in the columns of `line`. */
static bool see(const wall_state *s, es_mat4 pose, const es_wall_line *line, double ends[2][2]) {
    for (int e = 0; e < 2; e++) {
        double at[2] = {line->ends[e][0], 0}, low, high;
        low = wall_miss(s, pose, at);
        at[1] = 1;
        high = wall_miss(s, pose, at);
        ends[e][0] = at[0];
        ends[e][1] = low / (low - high);
        if (!isfinite(ends[e][1])) return false;
    }
    return true;
}

static void add_acted(view *v, size_t i, es_wall_motion motion, double weight) {
    const wall_fit *fit = v->fit;
    const wall_state *s = &fit->base;
    const es_wall_line *line = &fit->lines[i];
    es_mat4 pose, image = wall_image_to_probe(s);
    if (!wall_pose(fit, line, s->lag, &pose)) return;
    es_vec3 middle =
        es_mat4_point(image, es_vec3_make(0.5 * (line->ends[0][0] + line->ends[1][0]),
                                          0.5 * (line->ends[0][1] + line->ends[1][1]), 0));
    for (double part = -1; part <= 1; part += 0.5) {
        es_mat4 moved = act(s, pose, middle, motion, part);
        double ends[2][2];
        line_view seen = {.miss = {0}};
        if (!see(s, moved, line, ends)) continue;
        if (!derive(fit, line->time_s, ends[0], &moved, seen.j[0]) ||
            !derive(fit, line->time_s, ends[1], &moved, seen.j[1]))
            continue;
        take_parts(v, &seen);
        for (int e = 0; e < 2; e++) {
            add_outer(v->normal, seen.j[e], v->n, weight);
            add_outer(v->spread, seen.j[e], v->n, weight * v->variance);
        }
    }
}

/* As many pictures again, of this motion. */
static void add_motion(view *v, es_wall_motion motion) {
    size_t count = v->fit->count, step = count > ACTORS ? count / ACTORS : 1;
    double lines = (double)((count + step - 1) / step) * 5, weight = (double)count / lines;
    for (size_t i = 0; i < count; i += step) add_acted(v, i, motion, fmax(weight, 1));
}

static double ci95_with(const view *v, es_wall_motion motion, view *with) {
    double covariance[N * N];
    *with = *v;
    add_motion(with, motion);
    find_covariance(with, covariance);
    return target_ci95(with, covariance);
}

static bool is_listed(const es_wall_result *r, es_wall_motion motion) {
    for (int k = 0; k < r->missing_count; k++)
        if (r->missing[k] == motion) return true;
    return false;
}

/* While the direction of the image plane is open, one turn about its axes may
 * be taken for the other: then both are asked for. */
static void add_twin(es_wall_result *r, es_wall_motion motion) {
    const double open_rad = 0.2;
    if (motion != ES_WALL_ROCK && motion != ES_WALL_TILT) return;
    es_wall_motion twin = motion == ES_WALL_ROCK ? ES_WALL_TILT : ES_WALL_ROCK;
    if (r->rotation_ci95_rad[1] > open_rad && !is_listed(r, twin))
        r->missing[r->missing_count++] = twin;
}

/* The probe's turns from its first pose, as vectors: their deviations along
 * their own main axes, whatever ImageToProbe is. */
static void find_turns(const wall_fit *fit, double deviations[3]) {
    double sum[3] = {0}, square[9] = {0}, values[3], vectors[9], count = 0;
    es_mat4 first = {{0}}, pose, turn;
    for (size_t i = 0; i < fit->count; i++) {
        if (!wall_pose(fit, &fit->lines[i], fit->base.lag, &pose)) continue;
        if (count++ == 0 && !es_mat4_invert(pose, &first, NULL)) return;
        turn = es_mat4_multiply(first, pose);
        es_quat q = es_quat_from_mat4(turn);
        double s = sqrt(q.x * q.x + q.y * q.y + q.z * q.z);
        double scale = s > 1e-12 ? 2 * atan2(q.w < 0 ? -s : s, fabs(q.w)) / s : 0;
        const double v[3] = {scale * q.x, scale * q.y, scale * q.z};
        for (int k = 0; k < 3; k++) sum[k] += v[k];
        add_outer(square, v, 3, 1);
    }
    for (int k = 0; k < 9; k++)
        square[k] = square[k] / count - sum[k / 3] * sum[k % 3] / count / count;
    es_eigen_symmetric(square, 3, values, vectors);
    for (int k = 0; k < 3; k++) deviations[k] = sqrt(fmax(values[k], 0));
}

/* A fit that is far off cannot tell what is missing; the poses can, in part. */
static bool ask_poses(const view *v, es_wall_result *r) {
    const double far_mm = 20, least_rad = 5 * DEGREE; /* some 20 degrees both ways is 8 */
    find_turns(v->fit, r->turned_rad);
    if (r->target_ci95_mm < far_mm || r->turned_rad[1] > least_rad) return false;
    r->missing[r->missing_count++] = ES_WALL_ROCK;
    r->missing[r->missing_count++] = ES_WALL_TILT;
    r->missing_ci95_mm = NAN;
    return true;
}

/* Motions are added until a point is known well enough, or none helps. */
static void find_missing(const view *v, es_wall_result *r) {
    view now = *v, tried, best = {0};
    if (ask_poses(v, r)) return;
    r->missing_ci95_mm = r->target_ci95_mm;
    while (r->missing_ci95_mm > 1 && r->missing_count < ES_WALL_MOTIONS) {
        double least = INFINITY;
        es_wall_motion which = ES_WALL_ROCK;
        for (int m = 0; m < ES_WALL_MOTIONS; m++) {
            double ci = ci95_with(&now, (es_wall_motion)m, &tried);
            if (ci >= least) continue;
            least = ci, which = (es_wall_motion)m, best = tried;
        }
        if (is_listed(r, which) || !(least < 0.9 * r->missing_ci95_mm)) return;
        r->missing[r->missing_count++] = which;
        add_twin(r, which);
        r->missing_ci95_mm = least;
        now = best;
    }
}

/* ---- the report
 * ----------------------------------------------------------------------------------- */

static void name_parameters(const view *v, const double *covariance, es_wall_result *r) {
    static const struct {
        const char *name, *unit;
        double limit; /* some 2 mm at 100 mm */
    } words[N] = {{"rotation about the image's x axis", "rad", 0.02},
                  {"rotation about the image's y axis", "rad", 0.02},
                  {"rotation about the image's normal", "rad", 0.02},
                  {"translation x", "mm", 2},
                  {"translation y", "mm", 2},
                  {"translation z", "mm", 2},
                  {"floor's slope, first", "rad", INFINITY},
                  {"floor's slope, second", "rad", INFINITY},
                  {"floor's distance", "mm", INFINITY},
                  {"scale u", "share", 0.02},
                  {"scale v", "share", 0.02},
                  {"lag", "s", 0.1}};
    r->parameter_count = v->n;
    for (int k = 0; k < v->n; k++) {
        int word = wall_kind(v->fit->options, k);
        double ci = 1.96 * sqrt(covariance[k * v->n + k]);
        r->parameters[k] =
            (es_wall_parameter){words[word].name, words[word].unit, ci, ci <= words[word].limit};
    }
    if (v->fit->options->isotropic && v->n > WALL_SCALE_U)
        r->parameters[WALL_SCALE_U].name = "scale";
}

/* Between two poses their noise is averaged, so that a fit likes to be there:
 * with noise V and motion M (squares, over one interval of the poses) a lag
 * that should fall on a pose moves by V / (2 V + M) of the interval. */
static double lag_pull_s(const view *v, double period) {
    double rate = v->normal[v->n * v->n - 1] / v->ends;
    return period * v->variance / (2 * v->variance + rate * period * period);
}

static bool widen_lag(const view *v, es_wall_result *r, es_error *err) {
    size_t count = v->fit->count - 1;
    double *gaps = es_alloc(count, sizeof *gaps, err);
    if (!gaps) return false;
    for (size_t i = 0; i < count; i++)
        gaps[i] = v->fit->lines[i + 1].time_s - v->fit->lines[i].time_s;
    double period = calib_median(gaps, count);
    double chord = 0.02 * period; /* poses between two samples are taken on a line */
    r->lag_ci95_s = hypot(hypot(r->parameters[v->n - 1].ci95, chord), lag_pull_s(v, period));
    r->parameters[v->n - 1].ci95 = r->lag_ci95_s;
    es_free(gaps);
    return true;
}

static void take_intervals(const view *v, es_wall_result *r) {
    for (int k = 0; k < 3; k++) {
        r->rotation_ci95_rad[k] = r->parameters[WALL_TURN + k].ci95;
        r->translation_ci95_mm[k] = r->parameters[WALL_SHIFT + k].ci95;
    }
    if (wall_spacing_given(v->fit->options)) return;
    int scale_v = v->fit->options->isotropic ? WALL_SCALE_U : WALL_SCALE_V;
    r->spacing_ci95_mm[0] = r->spacing_mm[0] * r->parameters[WALL_SCALE_U].ci95;
    r->spacing_ci95_mm[1] = r->spacing_mm[1] * r->parameters[scale_v].ci95;
}

typedef struct range {
    double low, high;
} range;
static void widen(range *r, double value) {
    r->low = fmin(r->low, value);
    r->high = fmax(r->high, value);
}

/* How far the probe went, seen from the floor. */
static void find_ranges(const wall_fit *fit, es_wall_result *r) {
    range rock = {INFINITY, -INFINITY}, tilt = rock, raise = rock, slide[2] = {rock, rock};
    const wall_state *s = &fit->base;
    es_vec3 n = s->normal, a = es_vec3_unit(es_vec3_cross(
                               n, fabs(n.x) < 0.6 ? es_vec3_make(1, 0, 0) : es_vec3_make(0, 1, 0)));
    for (size_t i = 0; i < fit->count; i++) {
        es_mat4 pose;
        if (!wall_pose(fit, &fit->lines[i], s->lag, &pose)) continue;
        es_mat4 image = es_mat4_multiply(pose, wall_image_to_probe(s));
        es_vec3 u = es_vec3_unit(es_mat4_column(image, 0));
        es_vec3 z = es_vec3_unit(es_mat4_column(image, 2)), o = es_mat4_column(image, 3);
        widen(&rock, asin(fmax(-1, fmin(1, es_vec3_dot(n, u)))));
        widen(&tilt, asin(fmax(-1, fmin(1, es_vec3_dot(n, z)))));
        widen(&raise, es_vec3_dot(n, o));
        widen(&slide[0], es_vec3_dot(a, o));
        widen(&slide[1], es_vec3_dot(es_vec3_cross(n, a), o));
    }
    r->rock_rad = rock.high - rock.low;
    r->tilt_rad = tilt.high - tilt.low;
    r->raise_mm = raise.high - raise.low;
    r->slide_mm = fmax(slide[0].high - slide[0].low, slide[1].high - slide[1].low);
}

bool wall_observe(const wall_fit *fit, es_wall_result *result, es_error *err) {
    view v = {.fit = fit, .n = wall_parameter_count(fit->options)};
    double covariance[N * N];
    look(&v);
    result->condition = find_covariance(&v, covariance);
    result->target_ci95_mm = target_ci95(&v, covariance);
    name_parameters(&v, covariance, result);
    take_intervals(&v, result);
    find_ranges(fit, result);
    find_missing(&v, result);
    return !fit->options->lag_free || widen_lag(&v, result, err);
}
