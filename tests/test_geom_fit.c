/* Alignments and fits against made-up truths. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/geom.h"

static void pairs_of_points_give_back_their_motion_and_scale(void **state) {
    (void)state;
    es_random random = es_random_new(3, 0);
    es_mat4 motion = es_mat4_multiply(es_mat4_translation(5, -3, 80),
                                      es_mat4_rotation(es_vec3_make(1, 2, -1), 2.7));
    es_vec3 from[9], to[9];
    for (int i = 0; i < 9; i++) {
        from[i] = es_vec3_make(es_random_normal(&random), es_random_normal(&random), 0);
        to[i] = es_mat4_point(motion, es_vec3_scale(from[i], 1.25));
    }
    double scale = 0;
    es_mat4 found;
    assert_true(es_align_points(from, to, NULL, 9, &scale, &found, NULL));
    assert_true(fabs(scale - 1.25) < 1e-12); /* rounding */
    for (int i = 0; i < 9; i++)
        assert_true(es_vec3_length(es_vec3_sub(es_mat4_point(found, from[i]), to[i])) < 1e-12);
}

static void a_mirror_never_comes_out_of_an_alignment(void **state) {
    (void)state;
    const es_vec3 from[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1}};
    es_vec3 to[4];
    es_mat4 found;
    for (int i = 0; i < 4; i++) to[i] = es_vec3_make(-from[i].x, from[i].y, from[i].z);
    assert_true(es_align_points(from, to, NULL, 4, NULL, &found, NULL));
    assert_true(fabs(es_mat4_det3(found) - 1) < 1e-12);
}

static void points_on_a_line_are_refused(void **state) {
    (void)state;
    const es_vec3 line[] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}};
    const es_vec3 bad[] = {{0, 0, 0}, {NAN, 0, 0}, {0, 1, 0}};
    es_mat4 found;
    es_error err = {0};
    assert_false(es_align_points(line, line, NULL, 4, NULL, &found, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_false(es_align_points(line, line, NULL, 2, NULL, &found, &err));
    assert_false(es_align_points(bad, line, NULL, 3, NULL, &found, &err));
    assert_non_null(strstr(err.message, "point 1"));
}

static void eigenvectors_rebuild_their_matrix(void **state) {
    (void)state;
    enum { N = 6 };
    es_random random = es_random_new(7, 0);
    double a[N * N], values[N], v[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++) a[i * N + j] = a[j * N + i] = es_random_normal(&random);
    es_eigen_symmetric(a, N, values, v);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++) sum += v[i * N + k] * values[k] * v[j * N + k];
            assert_true(fabs(sum - a[i * N + j]) < 1e-12);
        }
    for (int k = 1; k < N; k++) assert_true(values[k] <= values[k - 1]);
}

typedef struct decay {
    double t[200], y[200];
} decay;

static bool decay_residuals(void *context, const double *x, double *r, es_error *err) {
    const decay *d = context;
    (void)err;
    for (int i = 0; i < 200; i++) r[i] = x[0] * exp(-x[1] * d->t[i]) + x[2] - d->y[i];
    return true;
}

/* The stated sigma must be that of the parameters over many noises: 2 sigma
 * hold 95 % of 300 draws within four binomial deviations (5 %). */
static void a_fit_knows_how_sure_it_is(void **state) {
    (void)state;
    const double truth[3] = {4, 1.5, -2};
    int inside = 0;
    for (int run = 0; run < 300; run++) {
        es_random random = es_random_new(11, (uint64_t)run);
        decay d;
        for (int i = 0; i < 200; i++) {
            d.t[i] = i * 0.02;
            d.y[i] =
                truth[0] * exp(-truth[1] * d.t[i]) + truth[2] + 0.1 * es_random_normal(&random);
        }
        es_fit fit = {.residuals = decay_residuals, .context = &d, .n = 3, .m = 200};
        double x[3] = {1, 1, 0}, covariance[9];
        es_fit_result result;
        assert_true(es_fit_run(&fit, x, covariance, &result, NULL));
        assert_true(result.converged);
        inside += fabs(x[1] - truth[1]) < 2 * sqrt(covariance[4]);
    }
    assert_true(inside > 300 * 0.90 && inside < 300);
}

static bool lost_residuals(void *context, const double *x, double *r, es_error *err) {
    (void)context;
    (void)err;
    r[0] = x[0] - 1;
    r[1] = 2 * x[0] - 2;
    r[2] = 0;
    return true;
}

static bool broken_residuals(void *context, const double *x, double *r, es_error *err) {
    (void)context, (void)x, (void)r;
    return es_fail(err, ES_GEOMETRY, "on purpose");
}

static void what_is_not_determined_is_said(void **state) {
    (void)state;
    es_fit fit = {.residuals = lost_residuals, .n = 2, .m = 3};
    double x[2] = {0, 5}, covariance[4];
    es_fit_result result;
    es_error err = {0};
    assert_true(es_fit_run(&fit, x, covariance, &result, NULL));
    assert_true(isinf(covariance[3]) && isinf(result.condition));
    fit.residuals = broken_residuals;
    assert_false(es_fit_run(&fit, x, NULL, &result, &err));
    assert_string_equal(err.message, "on purpose");
    fit.m = 1;
    assert_false(es_fit_run(&fit, x, NULL, &result, &err));
}

static void a_fit_without_memory_fails(void **state) {
    (void)state;
    es_fit fit = {.residuals = lost_residuals, .n = 2, .m = 3};
    for (long n = 0; n < 2; n++) {
        double x[2] = {0, 5};
        es_fit_result result;
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_false(es_fit_run(&fit, x, NULL, &result, &err));
        es_alloc_fail_after(-1);
        assert_int_equal(err.code, ES_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_points_give_back_their_motion_and_scale),
        cmocka_unit_test(a_mirror_never_comes_out_of_an_alignment),
        cmocka_unit_test(points_on_a_line_are_refused),
        cmocka_unit_test(eigenvectors_rebuild_their_matrix),
        cmocka_unit_test(a_fit_knows_how_sure_it_is),
        cmocka_unit_test(what_is_not_determined_is_said),
        cmocka_unit_test(a_fit_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
