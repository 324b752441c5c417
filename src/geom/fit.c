/* Non-linear least squares: cminpack's Levenberg-Marquardt, with a covariance
 * from central differences at the result. */
#include "echosolid/geom.h"

#include <cminpack.h>
#include <math.h>
#include <string.h>

typedef struct fit_state {
    const es_fit *fit;
    es_error *err;
    bool failed;
} fit_state;

static int evaluate(void *context, int m, int n, const double *x, double *residuals, int flag) {
    fit_state *state = context;
    (void)m, (void)n, (void)flag;
    if (state->fit->residuals(state->fit->context, x, residuals, state->err)) return 0;
    state->failed = true;
    return -1;
}

static double cost_of(const double *residuals, int m) {
    double sum = 0;
    for (int i = 0; i < m; i++) sum += residuals[i] * residuals[i];
    return sum;
}

/* The derivative of all residuals by x[k], into column; `work` has 2 m. */
static bool differentiate(fit_state *state, double *x, int k, double *column, double *work) {
    int m = state->fit->m;
    double at = x[k], step = 6e-6 * fmax(fabs(at), 1e-3);
    x[k] = at + step;
    bool ok = evaluate(state, m, state->fit->n, x, work, 1) == 0;
    x[k] = at - step;
    ok = ok && evaluate(state, m, state->fit->n, x, work + m, 1) == 0;
    x[k] = at;
    for (int i = 0; ok && i < m; i++) column[i] = (work[i] - work[m + i]) / (2 * step);
    return ok;
}

/* Inverse of the normal matrix through its eigenvalues after scaling each
 * parameter to unit length; INFINITY where it is singular. */
static double invert_normal(const double *jacobian, int m, int n, double *inverse) {
    double scale[32], normal[32 * 32], values[32], vectors[32 * 32];
    for (int a = 0; a < n; a++) {
        scale[a] = sqrt(cost_of(jacobian + (size_t)a * (size_t)m, m));
        if (!(scale[a] > 0)) scale[a] = 0;
    }
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double sum = 0;
            for (int i = 0; i < m; i++)
                sum += jacobian[(size_t)a * (size_t)m + (size_t)i] *
                       jacobian[(size_t)b * (size_t)m + (size_t)i];
            normal[a * n + b] = scale[a] > 0 && scale[b] > 0 ? sum / (scale[a] * scale[b]) : 0;
        }
    es_eigen_symmetric(normal, n, values, vectors);
    bool singular = !(values[n - 1] > 1e-14 * values[0]);
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double sum = 0;
            for (int k = 0; k < n && !singular; k++)
                sum += vectors[a * n + k] * vectors[b * n + k] / values[k];
            inverse[a * n + b] = singular ? INFINITY : sum / (scale[a] * scale[b]);
        }
    return singular ? INFINITY : values[0] / values[n - 1];
}

static bool find_covariance(fit_state *state, double *x, double *covariance, double *work,
                            es_fit_result *result) {
    const es_fit *fit = state->fit;
    double *jacobian = work, *spare = work + (size_t)fit->n * (size_t)fit->m;
    for (int k = 0; k < fit->n; k++)
        if (!differentiate(state, x, k, jacobian + (size_t)k * (size_t)fit->m, spare)) return false;
    double inverse[32 * 32];
    result->condition = invert_normal(jacobian, fit->m, fit->n, inverse);
    double variance = fit->m > fit->n ? result->cost / (fit->m - fit->n) : INFINITY;
    for (int i = 0; covariance && i < fit->n * fit->n; i++)
        covariance[i] = isfinite(inverse[i]) ? inverse[i] * variance : INFINITY;
    return true;
}

bool es_fit_run(const es_fit *fit, double *x, double *covariance, es_fit_result *result,
                es_error *err) {
    int n = fit->n, m = fit->m;
    *result = (es_fit_result){.condition = INFINITY};
    if (n < 1 || n > 32 || m < n || m > 1 << 24)
        return es_fail(err, ES_GEOMETRY, "a fit of %d parameters to %d numbers cannot be", n, m);
    fit_state state = {.fit = fit, .err = err};
    size_t matrix = (size_t)n * (size_t)m, small = 5 * (size_t)n;
    double *work = es_alloc(matrix + 6 * (size_t)m + small, sizeof *work, err);
    int *pivots = es_alloc((size_t)n, sizeof *pivots, err);
    bool ok = work && pivots;
    if (ok) {
        double *residuals = work + matrix + 2 * (size_t)m, *spare = residuals + m,
               *parts = spare + m;
        double tolerance = fit->tolerance > 0 ? fit->tolerance : 1e-10;
        int limit = fit->max_evaluations > 0 ? fit->max_evaluations : 200 * (n + 1);
        int info = lmdif(evaluate, &state, m, n, x, residuals, tolerance, tolerance, 0, limit,
                         fit->step * fit->step, parts, 1, 10, 0, &result->evaluations, work, m,
                         pivots, parts + n, parts + 2 * n, parts + 3 * n, parts + 4 * n, spare);
        ok = !state.failed && evaluate(&state, m, n, x, residuals, 1) == 0;
        result->converged = info >= 1 && info <= 4;
        result->cost = cost_of(residuals, m);
    }
    ok = ok && find_covariance(&state, x, covariance, work, result);
    es_free(pivots);
    es_free(work);
    return ok;
}

double es_fit_soft(double r, double scale) {
    double t = r / scale;
    return copysign(scale * sqrt(2 * (sqrt(1 + t * t) - 1)), r);
}
