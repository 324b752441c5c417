/* ImageToProbe from the dots of an N-wire phantom. */
#include "calib_internal.h"
#include "echosolid/calib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROTATION = 0, SHIFT = 3, SCALE_U = 6, SCALE_V = 7, LAG = 8, PARAMETERS = 9 };
enum { LEAST_FRAMES = 8, ROUNDS = 5 };

/* ---- poses ---------------------------------------------------------------------------- */

/* `share` is that of the later of the two neighbours. */
static bool pose_between(const es_wire_poses *p, double time, double max_gap, es_mat4 *pose,
                         double *share) {
    *share = 0;
    size_t low = 0, high = p->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (p->times_s[middle] <= time)
            low = middle;
        else
            high = middle;
    }
    if (p->count == 0 || !(time >= p->times_s[0])) return false;
    if (p->times_s[low] == time || low + 1 == p->count) {
        *pose = p->probe_to_reference[low];
        return p->times_s[low] == time && es_mat4_finite(*pose);
    }
    double span = p->times_s[low + 1] - p->times_s[low];
    es_mat4 a = p->probe_to_reference[low], b = p->probe_to_reference[low + 1];
    if (span > max_gap || !es_mat4_finite(a) || !es_mat4_finite(b)) return false;
    *share = (time - p->times_s[low]) / span;
    *pose = es_pose_interpolate(a, b, *share);
    return true;
}

static bool pose_at(const es_wire_poses *p, double time, double max_gap, es_mat4 *pose) {
    double share;
    return pose_between(p, time, max_gap, pose, &share);
}

static bool phantom_in_probe(const es_wire_poses *poses, const es_wire_options *o, double time,
                             es_mat4 *phantom_to_probe) {
    es_mat4 probe, inverse;
    if (!pose_at(poses, time, o->max_gap_s, &probe) || !es_mat4_invert(probe, &inverse, NULL))
        return false;
    *phantom_to_probe = es_mat4_multiply(inverse, o->phantom_to_reference);
    return true;
}

/* ---- the phantom ------------------------------------------------------------------------ */

static es_vec3 along(const es_wire *w) { return es_vec3_sub(w->back, w->front); }

bool es_wire_phantom_check(const es_wire_phantom *phantom, es_error *err) {
    if (phantom->patterns < 1 || phantom->patterns > ES_PATTERNS_MAX)
        return es_fail(err, ES_FORMAT, "%d patterns of wires; expected 1 to %d", phantom->patterns,
                       ES_PATTERNS_MAX);
    for (int p = 0; p < phantom->patterns; p++) {
        const es_wire *w = &phantom->wires[3 * p];
        es_vec3 a = along(&w[0]), b = along(&w[1]), c = along(&w[2]);
        double la = es_vec3_length(a), lb = es_vec3_length(b), lc = es_vec3_length(c);
        if (!(la > 0) || !(lb > 0) || !(lc > 0))
            return es_fail(err, ES_FORMAT, "a wire of pattern %d (%s, %s, %s) has no length", p + 1,
                           w[0].name, w[1].name, w[2].name);
        if (es_vec3_length(es_vec3_cross(a, c)) > 0.0175 * la * lc)
            return es_fail(err, ES_FORMAT,
                           "wires %s and %s are not parallel: the first and the third of an N are",
                           w[0].name, w[2].name);
        if (es_vec3_length(es_vec3_cross(a, b)) < 0.0175 * la * lb)
            return es_fail(err, ES_FORMAT, "wire %s runs along %s: no N", w[1].name, w[0].name);
        es_vec3 across = es_vec3_sub(w[2].front, w[0].front);
        es_vec3 normal = es_vec3_unit(es_vec3_cross(a, across));
        double off = es_vec3_dot(es_vec3_sub(w[1].front, w[0].front), normal);
        double off_back = es_vec3_dot(es_vec3_sub(w[1].back, w[0].front), normal);
        if (fabs(off) > 0.5 || fabs(off_back) > 0.5)
            return es_fail(err, ES_FORMAT, "wires %s, %s, %s do not lie in one plane (%.1f mm off)",
                           w[0].name, w[1].name, w[2].name, fmax(fabs(off), fabs(off_back)));
    }
    return true;
}

/* The place on the middle wire that divides the outer ones at `ratio`. */
static es_vec3 middle_at(const es_wire *w, double ratio) {
    es_vec3 d = es_vec3_unit(along(&w[0])), across = es_vec3_sub(w[2].front, w[0].front);
    across = es_vec3_sub(across, es_vec3_scale(d, es_vec3_dot(across, d)));
    double width = es_vec3_dot(across, across);
    double front = es_vec3_dot(es_vec3_sub(w[1].front, w[0].front), across) / width;
    double back = es_vec3_dot(es_vec3_sub(w[1].back, w[0].front), across) / width;
    double t = (ratio - front) / (back - front);
    return es_vec3_add(w[1].front, es_vec3_scale(along(&w[1]), t));
}

static double pixels_apart(const double a[2], const double b[2]) {
    return hypot(a[0] - b[0], a[1] - b[1]);
}

static bool sees_pattern(const es_wire_frame *f, int p) {
    return f->seen[3 * p] && f->seen[3 * p + 1] && f->seen[3 * p + 2];
}

/* The middle wire's place in the phantom, from the three dots of a pattern. */
static es_vec3 middle_of(const es_wire_phantom *phantom, const es_wire_frame *f, int p) {
    double ratio = pixels_apart(f->dots[3 * p], f->dots[3 * p + 1]) /
                   pixels_apart(f->dots[3 * p], f->dots[3 * p + 2]);
    return middle_at(&phantom->wires[3 * p], ratio);
}

/* ---- the model --------------------------------------------------------------------------- */

static es_mat4 matrix_of(const double *x) {
    es_vec3 turn = es_vec3_make(x[0], x[1], x[2]);
    double angle = es_vec3_length(turn);
    es_mat4 r = angle > 1e-12 ? es_mat4_rotation(turn, angle) : es_mat4_identity();
    const double scale[3] = {x[SCALE_U], x[SCALE_V], 0.5 * (x[SCALE_U] + x[SCALE_V])};
    for (int row = 0; row < 3; row++) {
        for (int c = 0; c < 3; c++) r.m[4 * row + c] *= scale[c];
        r.m[4 * row + 3] = x[SHIFT + row];
    }
    return r;
}

/* Where the line a..b (probe) cuts the image plane, in pixels. */
static void cut(const es_mat4 *probe_to_image, es_vec3 a, es_vec3 b, double dot[2]) {
    es_vec3 p = es_mat4_point(*probe_to_image, a), q = es_mat4_point(*probe_to_image, b);
    double t = p.z / (p.z - q.z);
    dot[0] = p.x + t * (q.x - p.x);
    dot[1] = p.y + t * (q.y - p.y);
}

typedef struct wire_fit {
    const es_wire_phantom *phantom;
    const es_wire_frame *frames;
    size_t frame_count;
    es_wire_poses smooth;       /* with a free lag, else as given */
    const es_wire_poses *poses; /* = &smooth */
    const es_wire_options *options;
    es_mat4 *placed;    /* phantom to probe of each frame at the start's lag */
    es_vec3 (*ends)[2]; /* of each dot's wire in the probe's axes, then */
    double *weights;    /* of each residual pair; 0: not seen */
    const es_mat4 *raw; /* poses before they were smoothed for the lag */
    double pose_share;  /* of the residuals' variance that comes from the poses' noise */
    size_t dots;        /* frame_count * wires */
    int wires;
} wire_fit;

/* The lag as a parameter: differences must step by some 0.1 ms, over which the
 * interpolated poses move by more than their rounding. */
static const double LAG_UNIT_S = 10;
static double lag_of(double parameter) { return (parameter - 1) * LAG_UNIT_S; }
static double lag_parameter(double lag_s) { return 1 + lag_s / LAG_UNIT_S; }

static double *spread_parameters(const wire_fit *fit, const double *x, double full[PARAMETERS]) {
    memcpy(full, x, 7 * sizeof *full);
    full[SCALE_V] = fit->options->isotropic ? x[SCALE_U] : x[SCALE_V];
    int at = fit->options->isotropic ? SCALE_V : LAG;
    full[LAG] = fit->options->lag_free ? lag_of(x[at]) : fit->options->lag_s;
    return full;
}

static int parameter_count(const es_wire_options *o) { return 7 + !o->isotropic + o->lag_free; }

static void place_wires(const wire_fit *fit, size_t k, es_mat4 phantom_to_probe) {
    for (int w = 0; w < fit->wires; w++) {
        es_vec3 *ends = fit->ends[k * (size_t)fit->wires + (size_t)w];
        ends[0] = es_mat4_point(phantom_to_probe, fit->phantom->wires[w].front);
        ends[1] = es_mat4_point(phantom_to_probe, fit->phantom->wires[w].back);
    }
}

/* Variance of a mean of two smoothed poses with shares 1 - s and s, by that of
 * one: a parabola over five poses leaves 0.486 of their variance, the mean of
 * two neighbouring ones 0.380. */
static double mean_gain(double share) { return 1 - 4 * (1 - 0.380 / 0.486) * share * (1 - share); }

/* Halfway between two poses their noise is least, and a free lag would be
 * drawn there: residuals are scaled to equal noise. */
static double evening(const wire_fit *fit, double share) {
    return 1 / sqrt(1 - fit->pose_share + fit->pose_share * mean_gain(share));
}

static double shift_wires(const wire_fit *fit, size_t k, double lag) {
    es_mat4 probe, inverse;
    double share;
    if (!pose_between(fit->poses, fit->frames[k].time_s + lag, fit->options->max_gap_s, &probe,
                      &share) ||
        !es_mat4_invert(probe, &inverse, NULL)) {
        place_wires(fit, k, fit->placed[k]);
        return 1;
    }
    place_wires(fit, k, es_mat4_multiply(inverse, fit->options->phantom_to_reference));
    return evening(fit, share);
}

static bool wire_residuals(void *context, const double *x, double *r, es_error *err) {
    const wire_fit *fit = context;
    double full[PARAMETERS], dot[2];
    es_mat4 inverse;
    spread_parameters(fit, x, full);
    if (!(full[SCALE_U] > 0) || !(full[SCALE_V] > 0) ||
        !es_mat4_invert(matrix_of(full), &inverse, NULL))
        return es_fail(err, ES_GEOMETRY, "the fit of ImageToProbe ran away: too little motion");
    for (size_t k = 0; k < fit->frame_count; k++) {
        const es_wire_frame *f = &fit->frames[k];
        double even = 1;
        if (fit->options->lag_free && es_mat4_finite(fit->placed[k]))
            even = shift_wires(fit, k, full[LAG]);
        for (int w = 0; w < fit->wires; w++) {
            size_t i = k * (size_t)fit->wires + (size_t)w;
            r[2 * i] = r[2 * i + 1] = 0;
            if (fit->weights[i] == 0) continue;
            cut(&inverse, fit->ends[i][0], fit->ends[i][1], dot);
            r[2 * i] = even * fit->weights[i] * full[SCALE_U] * (dot[0] - f->dots[w][0]);
            r[2 * i + 1] = even * fit->weights[i] * full[SCALE_V] * (dot[1] - f->dots[w][1]);
        }
    }
    return true;
}

/* ---- the start: middle wires by their ratio, linearly --------------------------------------- */

/* Normal equations of (u, v, 1) -> probe, over the pairs with weight. */
static bool solve_affine(const double (*dots)[2], const es_vec3 *places, const bool *take, size_t n,
                         es_vec3 columns[3]) {
    double a[9] = {0}, values[3], v[9];
    es_vec3 b[3] = {{0}};
    for (size_t i = 0; i < n; i++) {
        if (!take[i]) continue;
        const double h[3] = {dots[i][0] / 100, dots[i][1] / 100, 1};
        for (int r = 0; r < 3; r++) {
            b[r] = es_vec3_add(b[r], es_vec3_scale(places[i], h[r]));
            for (int c = 0; c < 3; c++) a[3 * r + c] += h[r] * h[c];
        }
    }
    es_eigen_symmetric(a, 3, values, v);
    if (!(values[2] > 1e-9 * values[0])) return false;
    for (int r = 0; r < 3; r++) {
        columns[r] = es_vec3_make(0, 0, 0);
        for (int k = 0; k < 3; k++)
            for (int c = 0; c < 3; c++)
                columns[r] = es_vec3_add(
                    columns[r], es_vec3_scale(b[c], v[3 * r + k] * v[3 * c + k] / values[k]));
        if (r < 2) columns[r] = es_vec3_scale(columns[r], 0.01);
    }
    return true;
}

static double affine_miss(const es_vec3 c[3], const double dot[2], es_vec3 place) {
    es_vec3 at = es_vec3_add(es_vec3_scale(c[0], dot[0]), es_vec3_scale(c[1], dot[1]));
    return es_vec3_length(es_vec3_sub(es_vec3_add(at, c[2]), place));
}

/* The affine fit with what is beyond three robust deviations left out. */
static bool robust_affine(const double (*dots)[2], const es_vec3 *places, bool *take,
                          double *misses, size_t n, es_vec3 columns[3]) {
    for (size_t i = 0; i < n; i++) take[i] = true;
    for (int round = 0; round < ROUNDS; round++) {
        if (!solve_affine(dots, places, take, n, columns)) return false;
        for (size_t i = 0; i < n; i++) misses[i] = affine_miss(columns, dots[i], places[i]);
        double limit = 3 * 1.4826 * calib_median(misses, n) + 1e-9;
        for (size_t i = 0; i < n; i++) take[i] = affine_miss(columns, dots[i], places[i]) <= limit;
    }
    return true;
}

/* Orthogonal axes nearest to the affine ones: the angle is shared. */
static void orthogonal(const es_vec3 c[3], double x[PARAMETERS]) {
    double su = es_vec3_length(c[0]), sv = es_vec3_length(c[1]);
    es_vec3 u = es_vec3_unit(c[0]), v = es_vec3_unit(c[1]);
    es_vec3 sum = es_vec3_unit(es_vec3_add(u, v)), off = es_vec3_unit(es_vec3_sub(u, v));
    es_vec3 a = es_vec3_unit(es_vec3_add(sum, off)), b = es_vec3_unit(es_vec3_sub(sum, off));
    es_vec3 n = es_vec3_cross(a, b);
    es_mat4 r = {{a.x, b.x, n.x, 0, a.y, b.y, n.y, 0, a.z, b.z, n.z, 0, 0, 0, 0, 1}};
    es_vec3 turn = es_mat4_turn(r);
    const double start[PARAMETERS] = {turn.x, turn.y, turn.z, c[2].x, c[2].y, c[2].z, su, sv, 0};
    memcpy(x, start, sizeof start);
}

static bool find_start(const wire_fit *fit, double lag, double x[PARAMETERS], double *miss,
                       es_error *err) {
    size_t n = 0, room = fit->frame_count * (size_t)fit->phantom->patterns;
    double(*dots)[2] = es_alloc(room, sizeof *dots, err);
    es_vec3 *places = es_alloc(room, sizeof *places, err), columns[3];
    double *misses = es_alloc(room, sizeof *misses, err);
    bool *take = es_alloc(room, sizeof *take, err);
    bool ok = dots && places && misses && take;
    for (size_t k = 0; k < fit->frame_count && ok; k++) {
        const es_wire_frame *f = &fit->frames[k];
        es_mat4 place;
        if (!phantom_in_probe(fit->poses, fit->options, f->time_s + lag, &place)) continue;
        for (int p = 0; p < fit->phantom->patterns; p++) {
            if (!sees_pattern(f, p)) continue;
            memcpy(dots[n], f->dots[3 * p + 1], sizeof dots[n]);
            places[n++] = es_mat4_point(place, middle_of(fit->phantom, f, p));
        }
    }
    if (ok && n < 12)
        ok = es_fail(err, ES_GEOMETRY,
                     "%zu whole patterns with a pose: ImageToProbe takes twelve or more, from "
                     "many directions",
                     n);
    if (ok && !robust_affine(dots, places, take, misses, n, columns))
        ok = es_fail(err, ES_GEOMETRY,
                     "the middle wires' dots lie on one line in all pictures: the image plane is "
                     "not determined; the phantom needs patterns at several depths");
    if (ok) {
        orthogonal(columns, x);
        for (size_t i = 0; i < n; i++) misses[i] = affine_miss(columns, dots[i], places[i]);
        *miss = calib_median(misses, n);
    }
    es_free(dots);
    es_free(places);
    es_free(misses);
    es_free(take);
    return ok;
}

/* The lag whose linear fit leaves least, on a grid. */
static bool find_lag(const wire_fit *fit, double x[PARAMETERS], es_error *err) {
    double best = INFINITY, miss = INFINITY, one[PARAMETERS];
    for (double lag = -1.5; lag <= 1.5001; lag += 0.1) {
        if (!find_start(fit, lag, one, &miss, lag < 1.45 ? NULL : err)) {
            if (lag >= 1.45 && !isfinite(best)) return false;
            continue;
        }
        if (miss >= best) continue;
        best = miss;
        memcpy(x, one, sizeof one);
        x[LAG] = lag;
    }
    return isfinite(best) ||
           es_fail(err, ES_GEOMETRY, "no lag between -1.5 and 1.5 s has enough frames with poses");
}

/* ---- the fit ---------------------------------------------------------------------------- */

/* Distance in the plane, mm, from unweighted residuals. */
static double dot_miss(const double *r, size_t i) { return hypot(r[2 * i], r[2 * i + 1]); }

static void set_weights(wire_fit *fit, double lag) {
    for (size_t k = 0; k < fit->frame_count; k++) {
        const es_wire_frame *f = &fit->frames[k];
        bool placed = phantom_in_probe(fit->poses, fit->options, f->time_s + lag, &fit->placed[k]);
        if (!placed) fit->placed[k] = es_mat4_scaling(NAN, NAN, NAN);
        place_wires(fit, k, fit->placed[k]);
        for (int w = 0; w < fit->wires; w++)
            fit->weights[k * (size_t)fit->wires + (size_t)w] = placed && f->seen[w];
    }
}

/* Variance, per axis, of the poses' noise at the middle of the picture: fourth
 * differences hold 70 times it and next to nothing of a hand's motion. The
 * median of a chi-squared with three degrees of freedom is 2.366. */
static double pose_variance(const wire_fit *fit, es_vec3 middle, double *values) {
    static const double terms[5] = {1, -4, 6, -4, 1};
    size_t n = 0, limit = fit->dots;
    for (size_t k = 4; k < fit->poses->count && n < limit; k++) {
        es_vec3 sum = es_vec3_make(0, 0, 0);
        for (size_t j = 0; j < 5; j++)
            sum = es_vec3_add(sum, es_vec3_scale(es_mat4_point(fit->raw[k - j], middle), terms[j]));
        double square = es_vec3_dot(sum, sum);
        if (isfinite(square)) values[n++] = square;
    }
    return n >= 10 ? calib_median(values, n) / (2.366 * 70) : 0;
}

static es_vec3 middle_of_dots(const wire_fit *fit) {
    double u = 0, v = 0, n = 0;
    for (size_t i = 0; i < fit->dots; i++) {
        if (fit->weights[i] == 0) continue;
        const double *dot = fit->frames[i / (size_t)fit->wires].dots[i % (size_t)fit->wires];
        u += dot[0], v += dot[1], n++;
    }
    return es_vec3_make(u / n, v / n, 0);
}

/* What part of the residuals' variance (`deviation` squared, per axis) the
 * poses' noise makes, from what it is at the lag of x. */
static void share_out(wire_fit *fit, const double *x, double deviation, double *work) {
    double full[PARAMETERS], gain = 0, n = 0;
    fit->pose_share = 0;
    if (!fit->options->lag_free) return;
    spread_parameters(fit, x, full);
    for (size_t k = 0; k < fit->frame_count; k++) {
        double share;
        es_mat4 pose;
        if (!pose_between(fit->poses, fit->frames[k].time_s + full[LAG], fit->options->max_gap_s,
                          &pose, &share))
            continue;
        gain += mean_gain(share);
        n++;
    }
    gain = n > 0 ? gain / n : 1;
    es_vec3 middle = es_mat4_point(matrix_of(full), middle_of_dots(fit));
    double poses = 0.486 * pose_variance(fit, middle, work);
    double rest = fmax(deviation * deviation - poses * gain, 0);
    if (poses + rest > 0) fit->pose_share = poses / (poses + rest);
}

/* Huber's weights, as factors of the residuals, from a robust deviation. */
static bool weigh(wire_fit *fit, const double *x, double *r, double *misses, es_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < fit->dots; i++) fit->weights[i] = fit->weights[i] != 0;
    fit->pose_share = 0;
    if (!wire_residuals(fit, x, r, err)) return false;
    for (size_t i = 0; i < fit->dots; i++)
        if (fit->weights[i] != 0) misses[n++] = dot_miss(r, i);
    /* the median of a Rayleigh distribution is 1.1774 deviations */
    double deviation = calib_median(misses, n) / 1.1774, limit = 3 * deviation + 1e-9;
    share_out(fit, x, deviation, misses);
    for (size_t i = 0; i < fit->dots; i++)
        if (fit->weights[i] != 0 && dot_miss(r, i) > limit)
            fit->weights[i] = sqrt(limit / dot_miss(r, i));
    return true;
}

/* ---- intervals -------------------------------------------------------------------------- */

enum { MEMORY = 6 }; /* frames over which errors are taken as related */

typedef struct wire_spread {
    double inverse[PARAMETERS * PARAMETERS]; /* of the normal matrix */
    double *pulls;                           /* gradient of each frame, n each */
    double *columns;                         /* Jacobian, column by column */
    size_t frames;                           /* with dots */
} wire_spread;

/* How far apart poses are. The derivative by the lag is taken over twice that
 * on both sides: over less, the poses' noise would look like speed and make
 * the lag look surer than it is. */
static double pose_interval(const wire_fit *fit) {
    size_t n = fit->poses->count;
    return n > 1 ? 2 * (fit->poses->times_s[n - 1] - fit->poses->times_s[0]) / (double)(n - 1)
                 : 0.1;
}

/* Columns of the Jacobian by central differences; `work` has 4 dots. */
static bool find_jacobian(wire_fit *fit, double *x, int n, double *columns, double *work,
                          es_error *err) {
    size_t m = 2 * fit->dots;
    for (int k = 0; k < n; k++) {
        double at = x[k], step = 1e-5 * fmax(fabs(at), 1e-2);
        if (fit->options->lag_free && k == n - 1) step = pose_interval(fit) / LAG_UNIT_S;
        x[k] = at + step;
        bool ok = wire_residuals(fit, x, work, err);
        x[k] = at - step;
        ok = ok && wire_residuals(fit, x, work + m, err);
        x[k] = at;
        if (!ok) return false;
        for (size_t i = 0; i < m; i++)
            columns[(size_t)k * m + i] = (work[i] - work[m + i]) / (2 * step);
    }
    return true;
}

static bool invert_normal(const double *columns, int n, size_t m, double *inverse) {
    double scale[PARAMETERS], normal[PARAMETERS * PARAMETERS] = {0}, values[PARAMETERS],
                                                  vectors[PARAMETERS * PARAMETERS];
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            for (size_t i = 0; i < m; i++)
                normal[a * n + b] += columns[(size_t)a * m + i] * columns[(size_t)b * m + i];
    for (int a = 0; a < n; a++) scale[a] = sqrt(normal[a * n + a]);
    for (int i = 0; i < n * n; i++) normal[i] /= scale[i / n] * scale[i % n];
    for (int i = 0; i < n * n; i++)
        if (!isfinite(normal[i])) return false;
    es_eigen_symmetric(normal, n, values, vectors);
    if (!(values[n - 1] > 1e-14 * values[0])) return false;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += vectors[a * n + k] * vectors[b * n + k] / values[k];
            inverse[a * n + b] = sum / (scale[a] * scale[b]);
        }
    return true;
}

static void find_pulls(const wire_fit *fit, const double *r, int n, wire_spread *s) {
    size_t m = 2 * fit->dots, each = 2 * (size_t)fit->wires;
    s->frames = 0;
    for (size_t k = 0; k < fit->frame_count; k++) {
        bool any = false;
        for (int p = 0; p < n; p++) {
            const double *column = s->columns + (size_t)p * m;
            double sum = 0;
            for (size_t i = k * each; i < (k + 1) * each; i++) sum += column[i] * r[i];
            s->pulls[k * (size_t)n + (size_t)p] = sum;
            any = any || sum != 0;
        }
        s->frames += any;
    }
}

/* Sum of the products of the frames' pulls, neighbours in time included. */
static void find_meat(const wire_fit *fit, int n, const wire_spread *s, double *meat) {
    memset(meat, 0, (size_t)(n * n) * sizeof *meat);
    for (size_t lag = 0; lag < MEMORY && lag < fit->frame_count; lag++) {
        double weight = 1 - (double)lag / MEMORY;
        for (size_t k = lag; k < fit->frame_count; k++) {
            const double *g = s->pulls + k * (size_t)n, *h = s->pulls + (k - lag) * (size_t)n;
            for (int a = 0; a < n; a++)
                for (int b = 0; b < n; b++)
                    meat[a * n + b] += lag ? weight * (g[a] * h[b] + h[a] * g[b]) : g[a] * g[b];
        }
    }
}

/* Of the parameters, scaled so that the root of its diagonal is an interval. */
static void find_covariance(const wire_fit *fit, int n, const wire_spread *s, double *covariance) {
    double meat[PARAMETERS * PARAMETERS];
    find_meat(fit, n, s, meat);
    /* with this share of the frames as memory 1.96 becomes more: Kiefer and
     * Vogelsang, "A new asymptotic theory for heteroskedasticity-autocorrelation
     * robust tests", 2005 (Bartlett's kernel) */
    double frames = (double)s->frames, memory = fmin(MEMORY / fmax(frames, 1), 1);
    double quantile = 1.96 + memory * (2.9694 + memory * (0.416 - 0.5324 * memory));
    double factor = quantile * quantile * frames / fmax(frames - n, 1);
    for (int p = 0; p < n; p++)
        for (int q = 0; q < n; q++) {
            double sum = 0;
            for (int a = 0; a < n; a++)
                for (int b = 0; b < n; b++)
                    sum += s->inverse[p * n + a] * meat[a * n + b] * s->inverse[b * n + q];
            covariance[p * n + q] = factor * sum;
        }
}

/* The worst direction's interval of a picture point, through the derivatives
 * of its place. */
static double point_interval(const wire_fit *fit, const double *x, int n, es_vec3 pixel,
                             const double *covariance) {
    double full[PARAMETERS], moved[PARAMETERS], square[9] = {0}, values[3], vectors[9];
    es_vec3 slope[PARAMETERS],
        here = es_mat4_point(matrix_of(spread_parameters(fit, x, full)), pixel);
    for (int p = 0; p < n; p++) {
        double step = 1e-6 * fmax(fabs(x[p]), 1e-2);
        memcpy(moved, x, (size_t)n * sizeof *moved);
        moved[p] += step;
        es_vec3 there = es_mat4_point(matrix_of(spread_parameters(fit, moved, full)), pixel);
        slope[p] = es_vec3_scale(es_vec3_sub(there, here), 1 / step);
    }
    for (int p = 0; p < n; p++)
        for (int q = 0; q < n; q++) {
            const double a[3] = {slope[p].x, slope[p].y, slope[p].z},
                         b[3] = {slope[q].x, slope[q].y, slope[q].z};
            for (int i = 0; i < 9; i++) square[i] += a[i / 3] * covariance[p * n + q] * b[i % 3];
        }
    es_eigen_symmetric(square, 3, values, vectors);
    return sqrt(fmax(values[0], 0));
}

static void take_intervals(const wire_fit *fit, const double *x, int n, const wire_spread *s,
                           es_wire_result *r) {
    double covariance[PARAMETERS * PARAMETERS], ci[PARAMETERS] = {0};
    find_covariance(fit, n, s, covariance);
    for (int p = 0; p < n; p++) ci[p] = sqrt(fmax(covariance[p * n + p], 0));
    memcpy(r->rotation_ci95_rad, ci, sizeof r->rotation_ci95_rad);
    memcpy(r->translation_ci95_mm, ci + SHIFT, sizeof r->translation_ci95_mm);
    r->spacing_ci95_mm[0] = ci[SCALE_U];
    r->spacing_ci95_mm[1] = fit->options->isotropic ? ci[SCALE_U] : ci[SCALE_V];
    if (fit->options->lag_free) r->lag_ci95_s = LAG_UNIT_S * ci[n - 1];
    es_vec3 target = middle_of_dots(fit);
    target.y *= 2;
    r->target_ci95_mm = point_interval(fit, x, n, target, covariance);
}

/* One step of Newton without the frame, seen at the middle of the dots. */
static void take_influence(const wire_fit *fit, const double *x, int n, const wire_spread *s,
                           double *influence) {
    double full[PARAMETERS], moved[PARAMETERS];
    es_vec3 middle = middle_of_dots(fit);
    es_vec3 here = es_mat4_point(matrix_of(spread_parameters(fit, x, full)), middle);
    for (size_t k = 0; k < fit->frame_count; k++) {
        const double *g = s->pulls + k * (size_t)n;
        memcpy(moved, x, (size_t)n * sizeof *moved);
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++) moved[a] += s->inverse[a * n + b] * g[b];
        es_mat4 matrix = matrix_of(spread_parameters(fit, moved, full));
        influence[k] = es_vec3_length(es_vec3_sub(es_mat4_point(matrix, middle), here));
    }
}

/* Jacobian, inverse normal matrix and pulls at x. */
static bool look(wire_fit *fit, double *x, double *r, double *work, wire_spread *s, es_error *err) {
    int n = parameter_count(fit->options);
    if (!find_jacobian(fit, x, n, s->columns, work, err) || !wire_residuals(fit, x, r, err))
        return false;
    if (!invert_normal(s->columns, n, 2 * fit->dots, s->inverse))
        return es_fail(err, ES_GEOMETRY,
                       "the motion over the phantom does not determine ImageToProbe: turn and tilt "
                       "the probe more");
    find_pulls(fit, r, n, s);
    return true;
}

/* One step of Gauss and Newton. With a free lag these replace the last of the
 * fit's: its derivative by the lag sees the poses' noise, this one does not. */
static void step_down(const wire_fit *fit, int n, const wire_spread *s, double *x) {
    for (size_t k = 0; k < fit->frame_count; k++)
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                x[a] -= s->inverse[a * n + b] * s->pulls[k * (size_t)n + (size_t)b];
}

/* The result x, its intervals; `r` has 2 dots, `work` 4. */
static bool find_spread(wire_fit *fit, double *x, double *r, double *work, es_wire_result *result,
                        es_wire_details *details, es_error *err) {
    int n = parameter_count(fit->options), steps = fit->options->lag_free ? 4 : 0;
    wire_spread s = {.frames = 0};
    s.columns = es_alloc((size_t)n * 2 * fit->dots, sizeof *s.columns, err);
    s.pulls = es_alloc((size_t)n * fit->frame_count, sizeof *s.pulls, err);
    bool ok = s.columns && s.pulls && look(fit, x, r, work, &s, err);
    for (int k = 0; k < steps && ok; k++) {
        step_down(fit, n, &s, x);
        ok = look(fit, x, r, work, &s, err);
    }
    if (ok) {
        take_intervals(fit, x, n, &s, result);
        if (details && details->influence_mm) take_influence(fit, x, n, &s, details->influence_mm);
    }
    es_free(s.columns);
    es_free(s.pulls);
    return ok;
}

static bool refine(wire_fit *fit, double x[PARAMETERS], double *work, es_wire_result *result,
                   es_wire_details *details, es_error *err) {
    int n = parameter_count(fit->options);
    double packed[PARAMETERS], *r = work, *misses = r + 2 * fit->dots;
    es_fit_result info;
    memcpy(packed, x, 8 * sizeof *packed);
    if (fit->options->lag_free) packed[n - 1] = lag_parameter(x[LAG]);
    es_fit how = {.residuals = wire_residuals,
                  .context = fit,
                  .n = n,
                  .m = (int)(2 * fit->dots),
                  .tolerance = 1e-7,
                  .step = 1e-5};
    for (int round = 0; round < 4; round++) {
        if (!weigh(fit, packed, r, misses, err)) return false;
        if (!es_fit_run(&how, packed, NULL, &info, err)) return false;
    }
    if (!find_spread(fit, packed, r, work + 2 * fit->dots, result, details, err)) return false;
    spread_parameters(fit, packed, x);
    result->condition = info.condition;
    result->image_to_probe = matrix_of(x);
    result->spacing_mm[0] = x[SCALE_U];
    result->spacing_mm[1] = x[SCALE_V];
    result->lag_s = x[LAG];
    return true;
}

/* ---- judging ------------------------------------------------------------------------------ */

static void sum_up(double *misses, size_t n, double square, size_t dots, es_wire_errors *e) {
    qsort(misses, n, sizeof *misses, es_compare_doubles);
    size_t low = (size_t)(0.95 * (double)n + 0.5);
    for (size_t i = 0; i < n; i++) {
        e->mean_mm += misses[i] / (double)n;
        if (i < low) e->m95_mm += misses[i] / (double)low;
    }
    e->largest_mm = n ? misses[n - 1] : NAN;
    e->rms_2d_mm = sqrt(square / (double)dots);
    e->dots = dots;
}

bool es_wire_validate(const es_wire_phantom *phantom, const es_wire_frame *frames,
                      size_t frame_count, const es_wire_poses *poses,
                      const es_wire_options *options, const es_wire_result *c,
                      es_wire_errors *errors, es_error *err) {
    es_mat4 inverse, place;
    size_t n = 0, dots = 0;
    double square = 0;
    memset(errors, 0, sizeof *errors);
    if (!es_mat4_invert(c->image_to_probe, &inverse, err)) return false;
    double *misses = es_alloc(frame_count * (size_t)phantom->patterns + 1, sizeof *misses, err);
    if (!misses) return false;
    for (size_t k = 0; k < frame_count; k++) {
        const es_wire_frame *f = &frames[k];
        if (!phantom_in_probe(poses, options, f->time_s + c->lag_s, &place)) continue;
        errors->frames++;
        for (int w = 0; w < 3 * phantom->patterns; w++) {
            double dot[2];
            if (!f->seen[w]) continue;
            cut(&inverse, es_mat4_point(place, phantom->wires[w].front),
                es_mat4_point(place, phantom->wires[w].back), dot);
            square += pow(c->spacing_mm[0] * (dot[0] - f->dots[w][0]), 2) +
                      pow(c->spacing_mm[1] * (dot[1] - f->dots[w][1]), 2);
            dots++;
        }
        for (int p = 0; p < phantom->patterns; p++) {
            if (!sees_pattern(f, p)) continue;
            es_vec3 truth = es_mat4_point(place, middle_of(phantom, f, p));
            const double *d = f->dots[3 * p + 1];
            es_vec3 at = es_mat4_point(c->image_to_probe, es_vec3_make(d[0], d[1], 0));
            misses[n++] = es_vec3_length(es_vec3_sub(truth, at));
        }
    }
    bool ok = (n > 0 && dots > 0) ||
              es_fail(err, ES_GEOMETRY, "no frame has both a pose and a whole pattern of dots");
    if (ok) sum_up(misses, n, square, dots, errors);
    es_free(misses);
    return ok;
}

bool es_wire_predict(const es_wire_phantom *phantom, const es_wire_poses *poses,
                     const es_wire_options *options, const es_wire_result *calibration,
                     double time_s, double dots[ES_WIRES_MAX][2]) {
    es_mat4 inverse, place;
    if (!phantom_in_probe(poses, options, time_s + calibration->lag_s, &place) ||
        !es_mat4_invert(calibration->image_to_probe, &inverse, NULL))
        return false;
    for (int w = 0; w < 3 * phantom->patterns; w++)
        cut(&inverse, es_mat4_point(place, phantom->wires[w].front),
            es_mat4_point(place, phantom->wires[w].back), dots[w]);
    return true;
}

static void reject(es_wire_details *details, int64_t index, const char *step, const char *reason,
                   double number) {
    if (!details || !details->rejects) return;
    es_wire_reject *r = &details->rejects[details->reject_count++];
    r->index = index;
    snprintf(r->step, sizeof r->step, "%s", step);
    snprintf(r->reason, sizeof r->reason, reason, number);
}

/* Frames without a pose, and those whose dots are all far off. */
static void name_rejects(const wire_fit *fit, const double *r, es_wire_details *details,
                         es_wire_result *result) {
    for (size_t k = 0; k < fit->frame_count; k++) {
        double best = INFINITY;
        for (int w = 0; w < fit->wires; w++) {
            size_t i = k * (size_t)fit->wires + (size_t)w;
            if (fit->weights[i] == 0) continue;
            result->dots_used++;
            result->dots_rejected += fit->weights[i] < 0.7; /* twice the limit away */
            best = fmin(best, fit->weights[i] < 0.7 ? dot_miss(r, i) : 0);
        }
        if (!es_mat4_finite(fit->placed[k]))
            reject(details, fit->frames[k].index, "pose",
                   "no valid pose of probe and reference within the allowed gap at its time", 0);
        else if (best > 0 && isfinite(best))
            reject(details, fit->frames[k].index, "fit",
                   "all dots are far from where the wires should be, the nearest by %.1f mm", best);
        else
            result->frames_used++;
    }
}

static double turning(const wire_fit *fit) {
    double widest = 0;
    es_quat first = {0};
    bool any = false;
    for (size_t k = 0; k < fit->frame_count; k++) {
        if (!es_mat4_finite(fit->placed[k])) continue;
        es_quat q = es_quat_from_mat4(fit->placed[k]);
        if (!any) first = q, any = true;
        double c = fabs(q.w * first.w + q.x * first.x + q.y * first.y + q.z * first.z);
        widest = fmax(widest, 2 * acos(fmin(1, c)));
    }
    return widest;
}

/* A lag can be found only where poses stand on both sides of most frames. */
static bool check_track(const wire_fit *fit, double lag, es_error *err) {
    size_t both = 0, any = 0;
    es_mat4 pose;
    for (size_t k = 0; k < fit->frame_count; k++) {
        double time = fit->frames[k].time_s + lag;
        any += pose_at(fit->poses, time, fit->options->max_gap_s, &pose);
        both += pose_at(fit->poses, time - 0.05, fit->options->max_gap_s, &pose) &&
                pose_at(fit->poses, time + 0.05, fit->options->max_gap_s, &pose);
    }
    return 2 * both >= any ||
           es_fail(err, ES_GEOMETRY,
                   "poses stand before and after %zu of %zu pictures only: too sparse in time to "
                   "find a lag; give it, as 0 if need be",
                   both, any);
}

static bool solve(wire_fit *fit, double *work, es_wire_result *result, es_wire_details *details,
                  es_error *err) {
    double x[PARAMETERS] = {0}, miss;
    bool ok = fit->options->lag_free ? find_lag(fit, x, err)
                                     : find_start(fit, fit->options->lag_s, x, &miss, err);
    if (!ok || (fit->options->lag_free && !check_track(fit, x[LAG], err))) return false;
    if (fit->options->isotropic) x[SCALE_U] = 0.5 * (x[SCALE_U] + x[SCALE_V]);
    set_weights(fit, fit->options->lag_free ? x[LAG] : fit->options->lag_s);
    if (!refine(fit, x, work, result, details, err)) return false;
    result->rotation_range_rad = turning(fit);
    /* weights stay as of the last round; residuals without them */
    double *r = work, *keep = work + 2 * fit->dots;
    memcpy(keep, fit->weights, fit->dots * sizeof *keep);
    double packed[PARAMETERS];
    memcpy(packed, x, 8 * sizeof *packed);
    if (fit->options->lag_free) packed[parameter_count(fit->options) - 1] = lag_parameter(x[LAG]);
    for (size_t i = 0; i < fit->dots; i++) fit->weights[i] = fit->weights[i] != 0;
    if (!wire_residuals(fit, packed, r, err)) return false;
    memcpy(fit->weights, keep, fit->dots * sizeof *keep);
    name_rejects(fit, r, details, result);
    const es_wire_poses given = {fit->poses->times_s, fit->raw, fit->poses->count};
    return es_wire_validate(fit->phantom, fit->frames, fit->frame_count, &given, fit->options,
                            result, &result->calibration, err);
}

bool es_wire_solve(const es_wire_phantom *phantom, const es_wire_frame *frames, size_t frame_count,
                   const es_wire_poses *poses, const es_wire_options *options,
                   es_wire_result *result, es_wire_details *details, es_error *err) {
    memset(result, 0, sizeof *result);
    if (details) details->reject_count = 0;
    if (!es_wire_phantom_check(phantom, err)) return false;
    if (frame_count < LEAST_FRAMES)
        return es_fail(err, ES_GEOMETRY,
                       "%zu pictures with found wires: a calibration takes %d or more", frame_count,
                       LEAST_FRAMES);
    wire_fit fit = {.phantom = phantom,
                    .frames = frames,
                    .frame_count = frame_count,
                    .smooth = *poses,
                    .raw = poses->probe_to_reference,
                    .options = options,
                    .wires = 3 * phantom->patterns};
    fit.poses = &fit.smooth;
    fit.dots = frame_count * (size_t)fit.wires;
    fit.placed = es_alloc(frame_count, sizeof *fit.placed, err);
    fit.ends = es_alloc(fit.dots, sizeof *fit.ends, err);
    fit.weights = es_alloc(fit.dots, sizeof *fit.weights, err);
    double *work = es_alloc(6 * fit.dots, sizeof *work, err);
    es_mat4 *smooth = es_alloc(poses->count, sizeof *smooth, err);
    if (options->lag_free && smooth) {
        calib_smooth_track(poses->times_s, poses->probe_to_reference, poses->count,
                           options->max_gap_s, smooth);
        fit.smooth.probe_to_reference = smooth;
    }
    bool ok = fit.placed && fit.ends && fit.weights && work && smooth &&
              solve(&fit, work, result, details, err);
    es_free(smooth);
    es_free(work);
    es_free(fit.weights);
    es_free(fit.ends);
    es_free(fit.placed);
    return ok;
}
