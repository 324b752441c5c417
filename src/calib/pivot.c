/* Pivot and spin: the tip and the axis of a stylus from poses alone. */
#include "calib_internal.h"
#include "echosolid/calib.h"

#include <math.h>
#include <string.h>

enum { LEAST_POSES = 10, DRAWS = 300, RANGE_SAMPLES = 400 };

/* The normal equations of |R t + p - c| over (t, c), kept apart: with c
 * eliminated, sum (R - Rm)'(R - Rm) t = -sum (R - Rm)'(p - pm). */
typedef struct pivot_sums {
    double turn[9]; /* sum (R - Rm)'(R - Rm) */
    double mean[12];
    size_t count;
} pivot_sums;

static const double RIGHT_ANGLE = 1.5707963267948966;

static void find_mean(const es_mat4 *poses, const size_t *index, size_t count, double mean[12]) {
    memset(mean, 0, 12 * sizeof *mean);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 12; k++) mean[k] += poses[index[i]].m[k] / (double)count;
}

static void gather(const es_mat4 *poses, const size_t *index, size_t count, pivot_sums *sums,
                   double right[3]) {
    memset(sums, 0, sizeof *sums);
    memset(right, 0, 3 * sizeof *right);
    sums->count = count;
    find_mean(poses, index, count, sums->mean);
    for (size_t i = 0; i < count; i++) {
        double d[12];
        for (int k = 0; k < 12; k++) d[k] = poses[index[i]].m[k] - sums->mean[k];
        for (int row = 0; row < 3; row++)
            for (int a = 0; a < 3; a++) {
                right[a] -= d[4 * row + a] * d[4 * row + 3];
                for (int b = 0; b < 3; b++)
                    sums->turn[3 * a + b] += d[4 * row + a] * d[4 * row + b];
            }
    }
}

/* Inverse of a symmetric positive 3 x 3 matrix; false when singular. */
static bool invert3(const double a[9], double inverse[9]) {
    double values[3], v[9];
    es_eigen_symmetric(a, 3, values, v);
    if (!(values[2] > 1e-12 * values[0]) || !(values[0] > 0)) return false;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            inverse[3 * r + c] = 0;
            for (int k = 0; k < 3; k++)
                inverse[3 * r + c] += v[3 * r + k] * v[3 * c + k] / values[k];
        }
    return true;
}

static es_vec3 times3(const double a[9], const double b[3]) {
    return es_vec3_make(a[0] * b[0] + a[1] * b[1] + a[2] * b[2],
                        a[3] * b[0] + a[4] * b[1] + a[5] * b[2],
                        a[6] * b[0] + a[7] * b[1] + a[8] * b[2]);
}

static bool solve(const es_mat4 *poses, const size_t *index, size_t count, pivot_sums *sums,
                  es_vec3 *tip, es_vec3 *pivot) {
    double right[3], inverse[9];
    gather(poses, index, count, sums, right);
    if (!invert3(sums->turn, inverse)) return false;
    *tip = times3(inverse, right);
    es_mat4 mean = es_mat4_identity();
    memcpy(mean.m, sums->mean, sizeof sums->mean);
    *pivot = es_mat4_point(mean, *tip);
    return true;
}

static double miss(es_mat4 pose, es_vec3 tip, es_vec3 pivot) {
    return es_vec3_length(es_vec3_sub(es_mat4_point(pose, tip), pivot));
}

/* The tip whose median miss is least over fixed random triples. */
static bool find_start(const es_mat4 *poses, const size_t *valid, size_t count, double *misses,
                       es_vec3 *tip, es_vec3 *pivot, double *median) {
    es_random random = es_random_new(20, 0);
    *median = INFINITY;
    for (int draw = 0; draw < DRAWS; draw++) {
        size_t three[3];
        pivot_sums sums;
        es_vec3 t, c;
        for (int k = 0; k < 3; k++)
            three[k] = valid[(size_t)(es_random_uniform(&random) * (double)count)];
        if (!solve(poses, three, 3, &sums, &t, &c)) continue;
        for (size_t i = 0; i < count; i++) misses[i] = miss(poses[valid[i]], t, c);
        double m = calib_median(misses, count);
        if (m >= *median) continue;
        *median = m;
        *tip = t;
        *pivot = c;
    }
    return isfinite(*median);
}

/* Largest angle between any two places of one direction of the marker. */
static double range_of(const es_mat4 *poses, const size_t *index, size_t count, es_vec3 axis) {
    size_t step = count / RANGE_SAMPLES + 1;
    double widest = 0;
    for (size_t i = 0; i < count; i += step) {
        es_vec3 a = es_mat4_vector(poses[index[i]], axis);
        for (size_t j = i + step; j < count; j += step) {
            es_vec3 b = es_mat4_vector(poses[index[j]], axis);
            double angle = atan2(es_vec3_length(es_vec3_cross(a, b)), es_vec3_dot(a, b));
            widest = fmax(widest, angle);
        }
    }
    return widest;
}

static size_t take_valid(const es_mat4 *poses, size_t count, size_t *valid, es_use *uses) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        bool ok = es_mat4_finite(poses[i]) && es_mat4_rigid_defect(poses[i]) < 0.01;
        if (uses) uses[i] = ok ? ES_USED : ES_NOT_VALID;
        if (ok) valid[found++] = i;
    }
    return found;
}

/* Keeps the poses within three robust deviations of the present answer. */
static size_t keep_near(const es_mat4 *poses, const size_t *valid, size_t count, es_vec3 tip,
                        es_vec3 pivot, double limit, size_t *kept, es_use *uses) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        bool near = miss(poses[valid[i]], tip, pivot) <= limit;
        if (uses) uses[valid[i]] = near ? ES_USED : ES_OUTLIER;
        if (near) kept[found++] = valid[i];
    }
    return found;
}

static es_mat4 tip_axes(es_vec3 tip) {
    es_vec3 z = es_vec3_length(tip) > 0 ? es_vec3_unit(tip) : es_vec3_make(0, 0, 1);
    es_vec3 other = fabs(z.x) < 0.9 ? es_vec3_make(1, 0, 0) : es_vec3_make(0, 1, 0);
    es_vec3 y = es_vec3_unit(es_vec3_cross(z, other)), x = es_vec3_cross(y, z);
    return (es_mat4){
        {x.x, y.x, z.x, tip.x, x.y, y.y, z.y, tip.y, x.z, y.z, z.z, tip.z, 0, 0, 0, 1}};
}

static void describe(const es_mat4 *poses, const size_t *kept, const pivot_sums *sums,
                     es_pivot_result *r) {
    double square = 0, values[3], vectors[9], inverse[9];
    size_t n = sums->count;
    r->largest_mm = 0;
    for (size_t i = 0; i < n; i++) {
        double m = miss(poses[kept[i]], r->tip_mm, r->pivot_mm);
        square += m * m;
        r->largest_mm = fmax(r->largest_mm, m);
    }
    r->rms_mm = sqrt(square / (double)n);
    double variance = square / (double)(3 * n - 6);
    bool regular = invert3(sums->turn, inverse);
    for (int k = 0; k < 3; k++)
        r->tip_ci95_mm[k] = regular ? 1.96 * sqrt(variance * inverse[4 * k]) : INFINITY;
    es_eigen_symmetric(sums->turn, 3, values, vectors);
    r->condition = sqrt(values[0] / values[2]);
    r->range_rad = range_of(poses, kept, n, es_vec3_make(vectors[2], vectors[5], vectors[8]));
    r->tip_to_marker = tip_axes(r->tip_mm);
}

static double degrees(double rad) { return rad * 90 / RIGHT_ANGLE; }

/* Before any fit: has the marker turned about two axes at all? */
static bool check_range(const es_mat4 *poses, const size_t *index, size_t count, double least,
                        es_pivot_result *r, es_error *err) {
    pivot_sums sums;
    double right[3], values[3], v[9];
    gather(poses, index, count, &sums, right);
    es_eigen_symmetric(sums.turn, 3, values, v);
    double range = range_of(poses, index, count, es_vec3_make(v[2], v[5], v[8]));
    double widest = range_of(poses, index, count, es_vec3_make(v[0], v[3], v[6]));
    r->range_rad = range;
    if (range >= least) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the stylus turned by %.1f degrees at most, and its least turned direction by "
                   "%.1f: the tip needs %.0f degrees or more; keep the tip in its hole and swing "
                   "the stylus widely to all sides%s",
                   degrees(widest), degrees(range), degrees(least),
                   widest > 2 * least ? " (it was mostly spun about one axis)" : "");
}

static bool run(const es_mat4 *poses, size_t count, const es_pivot_options *o, size_t *valid,
                size_t *kept, double *misses, es_use *uses, es_pivot_result *r, es_error *err) {
    double median = 0, least = o->min_range_rad;
    pivot_sums sums;
    size_t n = take_valid(poses, count, valid, uses), used = 0;
    r->poses = count;
    r->used = n;
    if (n < LEAST_POSES)
        return es_fail(err, ES_GEOMETRY,
                       "%zu valid poses of %zu: a pivot takes %d or more; is the marker seen?", n,
                       count, LEAST_POSES);
    if (!check_range(poses, valid, n, least, r, err)) return false;
    if (!find_start(poses, valid, n, misses, &r->tip_mm, &r->pivot_mm, &median))
        return es_fail(err, ES_GEOMETRY, "the poses do not turn: no tip can be found");
    double limit = fmax(3 * 1.4826 * median, 1e-6);
    for (int round = 0; round < 4; round++) {
        used = keep_near(poses, valid, n, r->tip_mm, r->pivot_mm, limit, kept, uses);
        if (2 * used < n || used < LEAST_POSES ||
            !solve(poses, kept, used, &sums, &r->tip_mm, &r->pivot_mm))
            return es_fail(err, ES_GEOMETRY,
                           "only %zu of %zu poses agree on a fixed point: the tip slipped, or the "
                           "reference moved",
                           used, n);
        for (size_t i = 0; i < n; i++) misses[i] = miss(poses[valid[i]], r->tip_mm, r->pivot_mm);
        limit = fmax(3 * 1.4826 * calib_median(misses, n), 1e-6);
    }
    r->used = used;
    r->outliers = n - used;
    if (!check_range(poses, kept, used, least, r, err)) return false;
    describe(poses, kept, &sums, r);
    if (r->rms_mm <= o->max_rms_mm) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the best fixed point is missed by %.1f mm (RMS) where %.1f is allowed: the tip "
                   "did not stay in one place, this is another tool, or the recording is no pivot",
                   r->rms_mm, o->max_rms_mm);
}

bool es_pivot_solve(const es_mat4 *marker_to_reference, size_t count,
                    const es_pivot_options *options, es_use *uses, es_pivot_result *result,
                    es_error *err) {
    memset(result, 0, sizeof *result);
    size_t *valid = es_alloc(2 * count, sizeof *valid, err);
    double *misses = es_alloc(count, sizeof *misses, err);
    bool ok =
        valid && misses &&
        run(marker_to_reference, count, options, valid, valid + count, misses, uses, result, err);
    es_free(misses);
    es_free(valid);
    return ok;
}

/* ---- spin ------------------------------------------------------------------------ */

/* The direction that moves least, and how much each other one does. */
static void find_axis(const es_mat4 *poses, const size_t *kept, size_t n, es_vec3 *axis,
                      es_vec3 *across, double *rest) {
    pivot_sums sums;
    double right[3], values[3], v[9];
    gather(poses, kept, n, &sums, right);
    es_eigen_symmetric(sums.turn, 3, values, v);
    *axis = es_vec3_make(v[2], v[5], v[8]);
    *across = es_vec3_make(v[0], v[3], v[6]);
    *rest = sqrt(fmax(values[2], 0) / (double)n);
}

static bool spin(const es_mat4 *poses, size_t count, double least, size_t *valid, size_t *kept,
                 double *tilts, es_spin_result *r, es_error *err) {
    es_vec3 across;
    size_t n = take_valid(poses, count, valid, NULL), used = n;
    if (n < LEAST_POSES)
        return es_fail(err, ES_GEOMETRY, "%zu valid poses of %zu: a spin takes %d or more", n,
                       count, LEAST_POSES);
    memcpy(kept, valid, n * sizeof *kept);
    for (int round = 0; round < 4; round++) {
        find_axis(poses, kept, used, &r->axis, &across, &r->wobble_rad);
        es_vec3 middle = es_vec3_make(0, 0, 0);
        for (size_t i = 0; i < used; i++)
            middle = es_vec3_add(middle, es_mat4_vector(poses[kept[i]], r->axis));
        middle = es_vec3_unit(middle);
        for (size_t i = 0; i < n; i++)
            tilts[i] =
                es_vec3_length(es_vec3_cross(es_mat4_vector(poses[valid[i]], r->axis), middle));
        for (size_t i = 0; i < n; i++) tilts[n + i] = tilts[i];
        double limit = fmax(4 * calib_median(tilts + n, n), 1e-9);
        used = 0;
        for (size_t i = 0; i < n; i++)
            if (tilts[i] <= limit) kept[used++] = valid[i];
    }
    r->range_rad = range_of(poses, kept, used, across);
    r->poses = count;
    r->used = used;
    r->outliers = n - used;
    if (r->range_rad < least || r->range_rad < 4 * r->wobble_rad)
        return es_fail(err, ES_GEOMETRY,
                       "the stylus was spun by %.1f degrees and tilted by %.1f (RMS): the axis "
                       "takes %.0f degrees or more of spinning with little tilt",
                       degrees(r->range_rad), degrees(r->wobble_rad), degrees(least));
    r->ci95_rad = 1.96 * r->wobble_rad / sqrt((double)used) / fmin(1, r->range_rad);
    return true;
}

bool es_spin_solve(const es_mat4 *marker_to_reference, size_t count, es_vec3 toward,
                   double min_range_rad, es_spin_result *result, es_error *err) {
    memset(result, 0, sizeof *result);
    size_t *valid = es_alloc(2 * count, sizeof *valid, err);
    double *tilts = es_alloc(2 * count, sizeof *tilts, err);
    double least = isnan(min_range_rad) ? RIGHT_ANGLE / 3 : min_range_rad;
    bool ok = valid && tilts &&
              spin(marker_to_reference, count, least, valid, valid + count, tilts, result, err);
    if (ok && es_vec3_dot(result->axis, toward) < 0) result->axis = es_vec3_scale(result->axis, -1);
    es_free(tilts);
    es_free(valid);
    return ok;
}
