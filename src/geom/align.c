/* Motions from pairs of points, and the symmetric eigenproblem behind them. */
#include "echosolid/geom.h"

#include <math.h>
#include <string.h>

enum { SWEEPS = 60 };

static double off_diagonal(const double *a, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) sum += a[i * n + j] * a[i * n + j];
    return sum;
}

/* One rotation that zeroes a[p][q]. */
static void rotate(double *a, double *v, int n, int p, int q) {
    double apq = a[p * n + q];
    if (apq == 0) return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < n; k++) {
        double kp = a[k * n + p], kq = a[k * n + q];
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for (int k = 0; k < n; k++) {
        double pk = a[p * n + k], qk = a[q * n + k];
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
    }
    for (int k = 0; k < n; k++) {
        double kp = v[k * n + p], kq = v[k * n + q];
        v[k * n + p] = c * kp - s * kq;
        v[k * n + q] = s * kp + c * kq;
    }
}

static void swap_columns(double *values, double *vectors, int n, int i, int j) {
    double value = values[i];
    values[i] = values[j];
    values[j] = value;
    for (int k = 0; k < n; k++) {
        double x = vectors[k * n + i];
        vectors[k * n + i] = vectors[k * n + j];
        vectors[k * n + j] = x;
    }
}

void es_eigen_symmetric(const double *matrix, int n, double *values, double *vectors) {
    double a[32 * 32];
    double size = 0;
    memcpy(a, matrix, sizeof(double) * (size_t)n * (size_t)n);
    for (int i = 0; i < n * n; i++) size += a[i] * a[i];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) vectors[i * n + j] = i == j;
    for (int sweep = 0; sweep < SWEEPS && off_diagonal(a, n) > 1e-32 * size; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) rotate(a, vectors, n, p, q);
    for (int i = 0; i < n; i++) values[i] = a[i * n + i];
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (values[j] > values[i]) swap_columns(values, vectors, n, i, j);
}

/* ---- Horn's quaternion ----------------------------------------------------------- */

typedef struct pairs {
    const es_vec3 *from, *to;
    const double *weights;
    size_t count;
    es_vec3 from_mean, to_mean;
    double total;
} pairs;

static double weight_of(const pairs *p, size_t i) { return p->weights ? p->weights[i] : 1; }

static bool find_means(pairs *p, es_error *err) {
    for (size_t i = 0; i < p->count; i++) {
        double w = weight_of(p, i);
        es_vec3 a = p->from[i], b = p->to[i];
        if (!isfinite(a.x + a.y + a.z + b.x + b.y + b.z + w) || w < 0)
            return es_fail(err, ES_GEOMETRY, "point %zu of an alignment is not finite", i);
        p->from_mean = es_vec3_add(p->from_mean, es_vec3_scale(a, w));
        p->to_mean = es_vec3_add(p->to_mean, es_vec3_scale(b, w));
        p->total += w;
    }
    if (p->count < 3 || p->total <= 0)
        return es_fail(err, ES_GEOMETRY, "an alignment takes 3 points or more, there are %zu",
                       p->count);
    p->from_mean = es_vec3_scale(p->from_mean, 1 / p->total);
    p->to_mean = es_vec3_scale(p->to_mean, 1 / p->total);
    return true;
}

/* Sums of products s[row of from][column of to], and each side's spread. */
static void find_products(const pairs *p, double s[3][3], double spread[9], double *to_square) {
    memset(s, 0, sizeof(double[3][3]));
    memset(spread, 0, sizeof(double[9]));
    *to_square = 0;
    for (size_t i = 0; i < p->count; i++) {
        double w = weight_of(p, i);
        es_vec3 a = es_vec3_sub(p->from[i], p->from_mean), b = es_vec3_sub(p->to[i], p->to_mean);
        double av[3] = {a.x, a.y, a.z}, bv[3] = {b.x, b.y, b.z};
        *to_square += w * es_vec3_dot(b, b);
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) {
                s[r][c] += w * av[r] * bv[c];
                spread[3 * r + c] += w * av[r] * av[c];
            }
    }
}

bool es_align_points(const es_vec3 *from, const es_vec3 *to, const double *weights, size_t count,
                     double *scale, es_mat4 *motion, es_error *err) {
    pairs p = {.from = from, .to = to, .weights = weights, .count = count};
    double s[3][3], spread[9], to_square, values[4], vectors[16];
    if (!find_means(&p, err)) return false;
    find_products(&p, s, spread, &to_square);
    es_eigen_symmetric(spread, 3, values, vectors);
    double from_square = values[0] + values[1] + values[2];
    if (!(values[1] > 1e-12 * values[0]) || values[0] <= 0)
        return es_fail(err, ES_GEOMETRY,
                       "the points of an alignment lie on one line or in one place: a turn about "
                       "it cannot be found");
    const double n[16] = {s[0][0] + s[1][1] + s[2][2],
                          s[1][2] - s[2][1],
                          s[2][0] - s[0][2],
                          s[0][1] - s[1][0],
                          s[1][2] - s[2][1],
                          s[0][0] - s[1][1] - s[2][2],
                          s[0][1] + s[1][0],
                          s[2][0] + s[0][2],
                          s[2][0] - s[0][2],
                          s[0][1] + s[1][0],
                          -s[0][0] + s[1][1] - s[2][2],
                          s[1][2] + s[2][1],
                          s[0][1] - s[1][0],
                          s[2][0] + s[0][2],
                          s[1][2] + s[2][1],
                          -s[0][0] - s[1][1] + s[2][2]};
    es_eigen_symmetric(n, 4, values, vectors);
    es_quat q = {vectors[0], vectors[4], vectors[8], vectors[12]};
    es_mat4 turn = es_quat_to_mat4(q, es_vec3_make(0, 0, 0));
    double size = scale ? sqrt(to_square / from_square) : 1;
    if (scale) *scale = size;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) turn.m[4 * r + c] *= size;
    es_vec3 t = es_vec3_sub(p.to_mean, es_mat4_vector(turn, p.from_mean));
    turn.m[3] = t.x, turn.m[7] = t.y, turn.m[11] = t.z;
    *motion = turn;
    return true;
}
