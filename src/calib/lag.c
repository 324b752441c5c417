/* The lag between a number seen in the pictures and the probe's poses. */
#include "calib_internal.h"
#include "echosolid/calib.h"

#include <math.h>
#include <string.h>

/* Translation and turning vector about the middle pose, and a constant. */
enum { FEATURES = 6, TERMS = FEATURES + 1, BLOCKS = 10, LEAST = 30, ROUNDS = 4 };

typedef struct lag_data {
    const double *times, *signal; /* finite ones only */
    size_t count;
    const double *pose_times;
    double *features; /* FEATURES per pose */
    size_t pose_count;
    const es_lag_options *options;
    double *rows, *weights; /* TERMS and 1 per sample: workspace */
    double *misses;
    size_t skip_first, skip_count; /* a block left out */
} lag_data;

/* ---- features of the poses ------------------------------------------------------------ */

static void features_of(es_mat4 middle_inverse, es_mat4 pose, double f[FEATURES]) {
    es_mat4 d = es_mat4_multiply(middle_inverse, pose);
    es_quat q = es_quat_from_mat4(d);
    double sign = q.w < 0 ? -2 : 2; /* twice the vector part: the turn, to third order */
    f[0] = pose.m[3], f[1] = pose.m[7], f[2] = pose.m[11];
    f[3] = sign * q.x, f[4] = sign * q.y, f[5] = sign * q.z;
}

/* How the probe goes between two poses, in its own axes, by the second: what a
 * picture sees of it is linear in that however the probe is held. */
static void rates_of(es_mat4 before, es_mat4 after, double span_s, bool speeds,
                     double f[FEATURES]) {
    es_mat4 back, step = es_mat4_identity();
    if (es_mat4_invert(before, &back, NULL)) step = es_mat4_multiply(back, after);
    es_vec3 move = es_vec3_scale(es_mat4_column(step, 3), 1 / span_s);
    es_vec3 turn = es_vec3_scale(es_mat4_turn(step), 1 / span_s);
    memset(f, 0, FEATURES * sizeof *f);
    if (speeds) {
        f[0] = es_vec3_length(move), f[3] = es_vec3_length(turn);
    } else {
        f[0] = move.x, f[1] = move.y, f[2] = move.z;
        f[3] = turn.x, f[4] = turn.y, f[5] = turn.z;
    }
}

static void fill_features(lag_data *d, const es_mat4 *poses) {
    const double *times = d->pose_times;
    size_t count = d->pose_count, last = count - 1;
    es_mat4 inverse = es_mat4_identity();
    (void)es_mat4_invert(poses[count / 2], &inverse, NULL); /* a pose can be inverted */
    for (size_t i = 0; i < count; i++) {
        size_t a = i > 0 ? i - 1 : 0, b = i < last ? i + 1 : last;
        if (d->options->rates)
            rates_of(poses[a], poses[b], times[b] - times[a], d->options->speeds,
                     d->features + FEATURES * i);
        else
            features_of(inverse, poses[i], d->features + FEATURES * i);
    }
}

static bool make_features(lag_data *d, const es_mat4 *poses, const double *times, double *kept,
                          size_t count, es_error *err) {
    es_mat4 *valid = es_alloc(2 * count, sizeof *valid, err), *smooth = valid + count;
    if (!valid) return false;
    d->pose_times = kept;
    d->pose_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!es_mat4_finite(poses[i])) continue;
        if (d->pose_count > 0 && !(times[i] > kept[d->pose_count - 1])) continue; /* repeated */
        kept[d->pose_count] = times[i];
        valid[d->pose_count++] = poses[i];
    }
    bool ok = d->pose_count > 1 ||
              es_fail(err, ES_GEOMETRY, "%zu of %zu poses are valid: a lag takes many",
                      d->pose_count, count);
    if (ok) {
        calib_smooth_track(kept, valid, d->pose_count, d->options->max_gap_s, smooth);
        fill_features(d, smooth);
    }
    es_free(valid);
    return ok;
}

/* Features at a time, between the neighbours; false in a gap or outside. */
static bool features_at(const lag_data *d, double time, double f[FEATURES]) {
    size_t low = 0, high = d->pose_count - 1;
    if (!(time >= d->pose_times[0]) || !(time <= d->pose_times[high])) return false;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (d->pose_times[middle] <= time)
            low = middle;
        else
            high = middle;
    }
    double span = d->pose_times[high] - d->pose_times[low];
    double share = (time - d->pose_times[low]) / span;
    if (span > d->options->max_gap_s) return false;
    for (int k = 0; k < FEATURES; k++) {
        double a = d->features[FEATURES * low + (size_t)k],
               b = d->features[FEATURES * high + (size_t)k];
        f[k] = a + share * (b - a);
    }
    return true;
}

/* ---- the fit at one lag ------------------------------------------------------------------ */

typedef struct lag_fit {
    double share; /* of the variance explained */
    double rms;
    size_t samples;
} lag_fit;

/* Solves the weighted normal equations; directions without motion get nothing. */
static void solve_rows(const double *rows, const double *y, const double *w, size_t n,
                       double x[TERMS]) {
    double a[TERMS * TERMS] = {0}, b[TERMS] = {0}, values[TERMS], v[TERMS * TERMS],
                     scale[TERMS] = {0};
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < TERMS; p++)
            scale[p] += rows[TERMS * i + (size_t)p] * rows[TERMS * i + (size_t)p];
    for (int p = 0; p < TERMS; p++) scale[p] = scale[p] > 0 ? 1 / sqrt(scale[p]) : 0;
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < TERMS; p++) {
            double rp = rows[TERMS * i + (size_t)p] * scale[p] * w[i];
            b[p] += rp * y[i];
            for (int q = 0; q < TERMS; q++)
                a[TERMS * p + q] += rp * rows[TERMS * i + (size_t)q] * scale[q];
        }
    es_eigen_symmetric(a, TERMS, values, v);
    for (int p = 0; p < TERMS; p++) x[p] = 0;
    for (int k = 0; k < TERMS; k++) {
        if (!(values[k] > 1e-9 * values[0])) continue;
        double along = 0;
        for (int p = 0; p < TERMS; p++) along += v[TERMS * p + k] * b[p];
        for (int p = 0; p < TERMS; p++) x[p] += v[TERMS * p + k] * along / values[k];
    }
    for (int p = 0; p < TERMS; p++) x[p] *= scale[p];
}

static size_t gather_rows(const lag_data *d, double lag, double *y) {
    size_t n = 0;
    double mean[FEATURES] = {0};
    for (size_t i = 0; i < d->count; i++) {
        if (i >= d->skip_first && i < d->skip_first + d->skip_count) continue;
        double *row = d->rows + TERMS * n;
        if (!features_at(d, d->times[i] + lag, row)) continue;
        row[FEATURES] = 1;
        for (int k = 0; k < FEATURES; k++) mean[k] += row[k];
        y[n++] = d->signal[i];
    }
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < FEATURES; k++) d->rows[TERMS * i + (size_t)k] -= mean[k] / (double)n;
    return n;
}

static lag_fit fit_at(const lag_data *d, double lag) {
    lag_fit fit = {.share = -INFINITY};
    double x[TERMS], *y = d->misses + d->count, *r = d->misses;
    size_t n = gather_rows(d, lag, y);
    fit.samples = n;
    if (n < LEAST) return fit;
    for (size_t i = 0; i < n; i++) d->weights[i] = 1;
    double mean = 0, variance = 0, sum = 0, square = 0;
    for (int round = 0; round < ROUNDS; round++) {
        solve_rows(d->rows, y, d->weights, n, x);
        for (size_t i = 0; i < n; i++) {
            double model = 0;
            for (int k = 0; k < TERMS; k++) model += x[k] * d->rows[TERMS * i + (size_t)k];
            r[i] = y[i] - model;
            d->rows[TERMS * d->count + i] = fabs(r[i]);
        }
        double limit = 2 * 1.4826 * calib_median(d->rows + TERMS * d->count, n) + 1e-12;
        for (size_t i = 0; i < n; i++) d->weights[i] = fabs(r[i]) > limit ? limit / fabs(r[i]) : 1;
    }
    for (size_t i = 0; i < n; i++) sum += d->weights[i], mean += d->weights[i] * y[i];
    mean /= sum;
    for (size_t i = 0; i < n; i++) {
        square += d->weights[i] * r[i] * r[i];
        variance += d->weights[i] * (y[i] - mean) * (y[i] - mean);
    }
    fit.rms = sqrt(square / sum);
    fit.share = variance > 0 ? 1 - square / variance : 0;
    return fit;
}

/* ---- the search ------------------------------------------------------------------------------ */

/* The share explained falls off on both sides of the best lag. */
static double refine(const lag_data *d, double middle, double step) {
    double low = middle - step, high = middle + step;
    const double golden = 0.6180339887498949;
    double a = high - golden * (high - low), b = low + golden * (high - low);
    double fa = fit_at(d, a).share, fb = fit_at(d, b).share;
    while (high - low > 1e-4) {
        if (fa > fb) {
            high = b, b = a, fb = fa;
            a = high - golden * (high - low);
            fa = fit_at(d, a).share;
        } else {
            low = a, a = b, fa = fb;
            b = low + golden * (high - low);
            fb = fit_at(d, b).share;
        }
    }
    return 0.5 * (low + high);
}

static double scan(const lag_data *d, double from, double to, double step, double *best_share) {
    double best = NAN;
    *best_share = -INFINITY;
    for (double lag = from; lag <= to + step / 2; lag += step) {
        lag_fit fit = fit_at(d, lag);
        if (fit.samples < LEAST || fit.share <= *best_share) continue;
        *best_share = fit.share;
        best = lag;
    }
    return best;
}

/* The best peak that stands apart from the first one. */
static double rival(const lag_data *d, double lag, double range, double step) {
    double best = -INFINITY, before = INFINITY, here = -INFINITY;
    for (double at = -range; at <= range + step / 2; at += step) {
        double next = fit_at(d, at).share;
        bool peak = here > before && here >= next;
        if (peak && fabs(at - step - lag) > 2.5 * step) best = fmax(best, here);
        before = here;
        here = next;
    }
    return best;
}

/* Lags with one block of ten left out: their spread is the interval. */
static double jackknife(lag_data *d, double lag, double step) {
    double sum = 0, square = 0;
    for (int block = 0; block < BLOCKS; block++) {
        d->skip_first = d->count * (size_t)block / BLOCKS;
        d->skip_count = d->count * (size_t)(block + 1) / BLOCKS - d->skip_first;
        double one = refine(d, lag, step) - lag;
        sum += one;
        square += one * one;
    }
    d->skip_count = 0;
    double variance = (BLOCKS - 1.0) / BLOCKS * (square - sum * sum / BLOCKS);
    return 2.262 * sqrt(fmax(variance, 0)); /* Student's t of 9 degrees */
}

static void look_at_halves(lag_data *d, double step, es_lag_result *r) {
    double share;
    for (int half = 0; half < 2; half++) {
        d->skip_first = half ? 0 : d->count / 2;
        d->skip_count = half ? d->count / 2 : d->count - d->count / 2;
        double lag = scan(d, r->lag_s - 1, r->lag_s + 1, step, &share);
        r->half_lag_s[half] =
            isnan(lag) || share < d->options->least_share ? NAN : refine(d, lag, step);
    }
    d->skip_count = 0;
    double apart = fabs(r->half_lag_s[0] - r->half_lag_s[1]);
    r->drifts = apart > fmax(3 * r->lag_ci95_s, 0.04);
}

static double spread_of(const double *values, size_t count, size_t stride) {
    double mean = 0, square = 0;
    for (size_t i = 0; i < count; i++) mean += values[stride * i] / (double)count;
    for (size_t i = 0; i < count; i++) square += pow(values[stride * i] - mean, 2);
    return sqrt(square / (double)count);
}

/* How far the probe went while pictures were taken (NaN: no time in common);
 * its turning in *turn. */
static double motion_seen(const lag_data *d, double *turn) {
    double square = 0;
    size_t n = 0;
    *turn = 0;
    for (size_t i = 0; i < d->count; i++) n += features_at(d, d->times[i], d->rows + FEATURES * n);
    for (size_t k = 0; k < 3 && n > 0; k++) {
        square += pow(spread_of(d->rows + k, n, FEATURES), 2);
        *turn += pow(spread_of(d->rows + 3 + k, n, FEATURES), 2);
    }
    return n > 0 ? sqrt(square) : NAN;
}

static bool check_motion(const lag_data *d, es_lag_result *r, es_error *err) {
    double turn;
    r->turn_rad = 0;
    if (d->count < LEAST)
        return es_fail(
            err, ES_GEOMETRY,
            "%zu pictures show a signal: a lag takes %d or more. Record half a minute of "
            "quick, irregular motion",
            d->count, LEAST);
    r->motion_mm = motion_seen(d, &turn);
    r->turn_rad = sqrt(turn);
    if (r->motion_mm < 0.5 && turn < 1e-4)
        return es_fail(err, ES_GEOMETRY,
                       "the probe moved by %.2f mm%s only: move it up and down by centimetres, "
                       "with changing speed",
                       r->motion_mm, d->options->rates ? " a second" : "");
    if (!(spread_of(d->signal, d->count, 1) > 1e-6))
        return es_fail(err, ES_GEOMETRY, "the signal of the pictures does not change");
    return true;
}

/* Over wide turns the height of a line is no linear function of the pose: what
 * is left out of the model can be mistaken for a lag. */
static bool check_turning(const es_lag_result *r, es_error *err) {
    const double wide = 0.07, needed = 0.95;
    if (!(r->turn_rad > wide) || r->share >= needed) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the probe turned by %.0f degrees (standard deviation), and the best lag of "
                   "%+.3f s explains %.0f %% of what the pictures show, where %.0f %% are needed "
                   "then: move it up and down without turning it, or use calibrate wall --lag free",
                   r->turn_rad * 57.29578, r->lag_s, 100 * r->share, 100 * needed);
}

/* A recording whose halves fit by themselves, each with a lag of its own, has
 * two: what looks like a bad or a double fit of the whole is named so. */
static bool check_halves(lag_data *d, es_lag_result *r, double step, es_error *err) {
    look_at_halves(d, step, r);
    if (!r->drifts) return true;
    return es_fail(err, ES_GEOMETRY,
                   "two lags in one recording: %+.3f s in its first half, %+.3f s in its second. "
                   "Settings changed or a computer stalled: take each part by itself",
                   r->half_lag_s[0], r->half_lag_s[1]);
}

static bool judge(lag_data *d, es_lag_result *r, double step, es_error *err) {
    const es_lag_options *o = d->options;
    double other = rival(d, r->lag_s, o->range_s, step);
    bool alike = 1 - other < 1.3 * (1 - r->share);
    if ((r->share < o->least_share || alike) && !check_halves(d, r, step, err)) return false;
    if (r->share >= o->least_share && !o->rates && !check_turning(r, err)) return false;
    if (r->share < o->least_share)
        return es_fail(err, ES_GEOMETRY,
                       "the poses explain %.0f %% of what the pictures show, at the best lag of "
                       "%+.3f s: they do not belong together, or the motion is not seen in the "
                       "pictures",
                       100 * fmax(0, r->share), r->lag_s);
    if (fabs(r->lag_s) > o->range_s - 2 * step)
        return es_fail(err, ES_GEOMETRY,
                       "the best lag lies at the end of the range, %+.2f s: look further with a "
                       "wider range",
                       r->lag_s);
    if (alike)
        return es_fail(err, ES_GEOMETRY,
                       "several lags fit alike (the best is %+.3f s): the motion repeats itself; "
                       "move with changing speed and stops",
                       r->lag_s);
    return true;
}

static bool solve(lag_data *d, es_lag_result *r, es_error *err) {
    const double step = 0.02;
    double share;
    if (!check_motion(d, r, err)) return false;
    double lag = scan(d, -d->options->range_s, d->options->range_s, step, &share);
    if (isnan(lag))
        return es_fail(err, ES_GEOMETRY,
                       "pictures (%.3f to %.3f s) and poses (%.3f to %.3f s) have less than %d "
                       "samples in common within %.1f s",
                       d->times[0], d->times[d->count - 1], d->pose_times[0],
                       d->pose_times[d->pose_count - 1], LEAST, d->options->range_s);
    r->lag_s = refine(d, lag, step);
    lag_fit fit = fit_at(d, r->lag_s);
    r->share = fit.share;
    r->residual = fit.rms;
    r->samples = fit.samples;
    r->share_unshifted = fit_at(d, 0).share;
    if (!judge(d, r, step, err)) return false;
    r->lag_ci95_s = jackknife(d, r->lag_s, step);
    look_at_halves(d, step, r);
    return true;
}

bool es_lag_solve(const double *signal_times_s, const double *signal, size_t signal_count,
                  const double *pose_times_s, const es_mat4 *poses, size_t pose_count,
                  const es_lag_options *options, es_lag_result *result, es_error *err) {
    memset(result, 0, sizeof *result);
    if (pose_count == 0 || signal_count == 0)
        return es_fail(err, ES_GEOMETRY, "%zu pictures and %zu poses: both are needed",
                       signal_count, pose_count);
    double *numbers =
        es_alloc(4 * signal_count + pose_count * (FEATURES + 1) + (TERMS + 2) * signal_count,
                 sizeof *numbers, err);
    if (!numbers) return false;
    double *times = numbers, *values = times + signal_count, *kept = values + signal_count;
    lag_data d = {.times = times, .signal = values, .options = options};
    d.features = kept + pose_count;
    d.misses = d.features + FEATURES * pose_count;
    d.rows = d.misses + 2 * signal_count;
    d.weights = d.rows + (TERMS + 1) * signal_count;
    for (size_t i = 0; i < signal_count; i++) {
        if (!isfinite(signal[i]) || !isfinite(signal_times_s[i])) continue;
        times[d.count] = signal_times_s[i];
        values[d.count++] = signal[i];
    }
    bool ok =
        make_features(&d, poses, pose_times_s, kept, pose_count, err) && solve(&d, result, err);
    es_free(numbers);
    return ok;
}
