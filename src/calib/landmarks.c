/* Phantom registration: which touched points are which landmarks, and the
 * rigid motion between them. Matches are grown from triples whose distances
 * agree; a mirror is looked for when nothing else fits. */
#include "echosolid/calib.h"

#include <math.h>
#include <string.h>

enum { LEAST = 3, POINTS_MAX = 256 };

typedef struct matcher {
    const es_vec3 *landmarks, *points;
    size_t landmark_count, point_count;
    double tolerance;
    bool in_order; /* points must come in the order of the landmarks */
    int best[ES_LANDMARKS_MAX];
    size_t best_count;
    double best_square; /* mean square miss of the best match */
} matcher;

static double apart(es_vec3 a, es_vec3 b) { return es_vec3_length(es_vec3_sub(a, b)); }

static size_t collect(const matcher *m, const int *match, es_vec3 *from, es_vec3 *to) {
    size_t n = 0;
    for (size_t i = 0; i < m->landmark_count; i++) {
        if (match[i] < 0) continue;
        from[n] = m->landmarks[i];
        to[n++] = m->points[match[i]];
    }
    return n;
}

/* The nearest free point of each landmark under the motion, within tolerance;
 * in order: after the point of the landmark before. */
static size_t assign(const matcher *m, const es_mat4 *motion, int *match) {
    bool taken[POINTS_MAX] = {false};
    size_t count = 0;
    int last = -1;
    for (size_t i = 0; i < m->landmark_count; i++) {
        es_vec3 at = es_mat4_point(*motion, m->landmarks[i]);
        double nearest = m->tolerance;
        match[i] = -1;
        for (size_t j = m->in_order ? (size_t)(last + 1) : 0; j < m->point_count; j++) {
            double d = apart(at, m->points[j]);
            if (taken[j] || d > nearest) continue;
            nearest = d;
            match[i] = (int)j;
        }
        if (match[i] < 0) continue;
        taken[match[i]] = true;
        last = match[i];
        count++;
    }
    return count;
}

static double mean_square(const matcher *m, const int *match, const es_mat4 *motion) {
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < m->landmark_count; i++) {
        if (match[i] < 0) continue;
        double d = apart(es_mat4_point(*motion, m->landmarks[i]), m->points[match[i]]);
        sum += d * d;
        n++;
    }
    return n ? sum / (double)n : INFINITY;
}

/* Takes the motion of three pairs, assigns, fits to all, assigns again. */
static void grow(matcher *m, const es_vec3 from[3], const es_vec3 to[3]) {
    es_mat4 motion;
    int match[ES_LANDMARKS_MAX];
    es_vec3 a[ES_LANDMARKS_MAX], b[ES_LANDMARKS_MAX];
    if (!es_align_points(from, to, NULL, 3, NULL, &motion, NULL)) return;
    for (int round = 0; round < 2; round++) {
        size_t count = assign(m, &motion, match);
        if (count < m->best_count || count < LEAST) return;
        size_t n = collect(m, match, a, b);
        if (!es_align_points(a, b, NULL, n, NULL, &motion, NULL)) return;
    }
    size_t count = assign(m, &motion, match);
    double square = mean_square(m, match, &motion);
    bool better = count > m->best_count || (count == m->best_count && square < m->best_square);
    if (!better || count < LEAST) return;
    m->best_count = count;
    m->best_square = square;
    memcpy(m->best, match, sizeof match);
}

static bool third_allowed(const matcher *m, int b, int c) { return !m->in_order || c > b; }

static void try_triple(matcher *m, size_t i, size_t j, size_t k) {
    const es_vec3 from[3] = {m->landmarks[i], m->landmarks[j], m->landmarks[k]};
    double ij = apart(from[0], from[1]), ik = apart(from[0], from[2]), jk = apart(from[1], from[2]);
    double loose = 2 * m->tolerance;
    for (int a = 0; a < (int)m->point_count; a++)
        for (int b = m->in_order ? a + 1 : 0; b < (int)m->point_count; b++) {
            if (b == a || fabs(apart(m->points[a], m->points[b]) - ij) > loose) continue;
            for (int c = m->in_order ? b + 1 : 0; c < (int)m->point_count; c++) {
                if (c == a || c == b || !third_allowed(m, b, c)) continue;
                if (fabs(apart(m->points[a], m->points[c]) - ik) > loose) continue;
                if (fabs(apart(m->points[b], m->points[c]) - jk) > loose) continue;
                const es_vec3 to[3] = {m->points[a], m->points[b], m->points[c]};
                grow(m, from, to);
            }
        }
}

/* Triples of landmarks; the first few wide ones suffice when most are found. */
static bool search(matcher *m, es_error *err) {
    size_t n = m->landmark_count;
    m->best_count = 0;
    m->best_square = INFINITY;
    for (size_t i = 0; i + 2 < n; i++)
        for (size_t j = i + 1; j + 1 < n; j++) {
            if (es_cancelled(err)) return false;
            for (size_t k = j + 1; k < n; k++) {
                try_triple(m, i, j, k);
                if (m->best_count == n && i > 0) return true;
            }
        }
    return true;
}

/* ---- the result -------------------------------------------------------------------- */

/* Fitzpatrick, West and Maurer's expected square error at a target, over the
 * fiducial localisation error: (1 + sum d_k^2 / f_k^2 / 3) / N. */
static double target_factor(const es_vec3 *points, size_t n, es_vec3 target) {
    es_vec3 mean = {0, 0, 0};
    double spread[9] = {0}, values[3], v[9], sum = 0;
    for (size_t i = 0; i < n; i++)
        mean = es_vec3_add(mean, es_vec3_scale(points[i], 1 / (double)n));
    for (size_t i = 0; i < n; i++) {
        es_vec3 d = es_vec3_sub(points[i], mean);
        double x[3] = {d.x, d.y, d.z};
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) spread[3 * r + c] += x[r] * x[c] / (double)n;
    }
    es_eigen_symmetric(spread, 3, values, v);
    es_vec3 off = es_vec3_sub(target, mean);
    for (int k = 0; k < 3; k++) {
        double along = off.x * v[k] + off.y * v[3 + k] + off.z * v[6 + k];
        double d2 = es_vec3_dot(off, off) - along * along;
        double f2 = values[0] + values[1] + values[2] - values[k];
        sum += d2 / f2;
    }
    return (1 + sum / 3) / (double)n;
}

static bool fill_result(const matcher *m, es_vec3 target, es_landmark_result *r, es_error *err) {
    es_vec3 from[ES_LANDMARKS_MAX], to[ES_LANDMARKS_MAX];
    size_t n = collect(m, m->best, from, to);
    int last = -1;
    double square = 0;
    if (!es_align_points(from, to, NULL, n, NULL, &r->phantom_to_reference, err)) return false;
    r->landmarks = m->landmark_count;
    r->touched = n;
    r->in_order = true;
    for (size_t i = 0; i < m->landmark_count; i++) {
        r->point_of[i] = m->best[i];
        r->error_mm[i] = NAN;
        if (m->best[i] < 0) continue;
        r->in_order = r->in_order && m->best[i] > last;
        last = m->best[i];
        r->error_mm[i] =
            apart(es_mat4_point(r->phantom_to_reference, m->landmarks[i]), m->points[m->best[i]]);
        square += r->error_mm[i] * r->error_mm[i];
        r->mean_mm += r->error_mm[i] / (double)n;
    }
    r->fre_mm = sqrt(square / (double)n);
    r->fle_mm = r->fre_mm / sqrt(1 - 2 / (double)n);
    r->tre_mm = r->fle_mm * sqrt(target_factor(from, n, target));
    return true;
}

static bool enough(const matcher *m) {
    return m->best_count >= LEAST && 4 * m->best_count >= 3 * m->landmark_count;
}

/* Whether the points fit the landmarks after a mirror (x -> -x of the
 * phantom; any mirror is that one and a motion). */
static bool fits_mirrored(const matcher *m, bool *fits, es_error *err) {
    es_vec3 turned[ES_LANDMARKS_MAX];
    matcher other = *m;
    for (size_t i = 0; i < m->landmark_count; i++)
        turned[i] = es_vec3_make(-m->landmarks[i].x, m->landmarks[i].y, m->landmarks[i].z);
    other.landmarks = turned;
    other.in_order = false;
    if (!search(&other, err)) return false;
    *fits = enough(&other);
    return true;
}

static bool refuse(const matcher *m, es_landmark_result *r, es_error *err) {
    if (!fits_mirrored(m, &r->mirrored, err)) return false;
    if (r->mirrored)
        return es_fail(err, ES_GEOMETRY,
                       "the touched points fit the landmarks only after a mirror: the phantom's "
                       "axes are left-handed, or the tracker's transforms are mirrored");
    return es_fail(err, ES_GEOMETRY,
                   "of %zu landmarks %zu fit the %zu touched points within %.1f mm: another "
                   "phantom or version, landmarks left out, or a wrong stylus tip; give the "
                   "tip's calibration and touch every landmark for a second",
                   m->landmark_count, m->best_count, m->point_count, m->tolerance);
}

static bool check_numbers(const es_vec3 *p, size_t count, const char *what, es_error *err) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(p[i].x + p[i].y + p[i].z))
            return es_fail(err, ES_GEOMETRY, "%s %zu is not finite", what, i + 1);
    return true;
}

bool es_landmarks_solve(const es_vec3 *landmarks, size_t landmark_count, const es_vec3 *points,
                        size_t point_count, es_vec3 target, double tolerance_mm,
                        es_landmark_result *result, es_error *err) {
    memset(result, 0, sizeof *result);
    if (landmark_count < LEAST || landmark_count > ES_LANDMARKS_MAX || point_count < LEAST ||
        point_count > POINTS_MAX)
        return es_fail(err, ES_GEOMETRY,
                       "%zu landmarks and %zu touched points: 3 to %d and 3 to %d are needed",
                       landmark_count, point_count, ES_LANDMARKS_MAX, POINTS_MAX);
    if (!check_numbers(landmarks, landmark_count, "landmark", err) ||
        !check_numbers(points, point_count, "touched point", err))
        return false;
    matcher ordered = {.landmarks = landmarks,
                       .points = points,
                       .landmark_count = landmark_count,
                       .point_count = point_count,
                       .tolerance = isnan(tolerance_mm) ? 3 : tolerance_mm,
                       .in_order = true};
    if (!search(&ordered, err)) return false;
    if (ordered.best_count == landmark_count) return fill_result(&ordered, target, result, err);
    matcher free_order = ordered;
    free_order.in_order = false;
    if (!search(&free_order, err)) return false;
    const matcher *best = free_order.best_count > ordered.best_count ? &free_order : &ordered;
    return enough(best) ? fill_result(best, target, result, err) : refuse(&free_order, result, err);
}
