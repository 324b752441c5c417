/* Stops and phantom registration against made-up truths. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/calib.h"

enum { COUNT = 8 };
/* Not symmetric: no other order of these fits within some millimetres. */
static const es_vec3 LANDMARKS[COUNT] = {{104, 5, 20},  {104, 45, 22}, {100, 45, 0},  {104, -5, 0},
                                         {-34, 45, 15}, {-30, -5, 20}, {-34, -12, 0}, {-20, 50, 3}};
static const es_vec3 TARGET = {40, 20, 10};

static es_mat4 truth(void) {
    return es_mat4_multiply(es_mat4_translation(22, -40, 25),
                            es_mat4_rotation(es_vec3_make(0.2, 1, -0.4), 1.9));
}

static void touch(es_vec3 *points, double noise_mm, uint64_t seed) {
    es_random random = es_random_new(seed, 5);
    for (int i = 0; i < COUNT; i++) {
        double n[3];
        for (int k = 0; k < 3; k++) n[k] = noise_mm * es_random_normal(&random);
        points[i] =
            es_vec3_add(es_mat4_point(truth(), LANDMARKS[i]), es_vec3_make(n[0], n[1], n[2]));
    }
}

static void touched_in_order_they_register(void **state) {
    (void)state;
    es_vec3 points[COUNT];
    es_landmark_result r;
    touch(points, 0, 1);
    assert_true(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT, TARGET, NAN, &r, NULL));
    assert_true(r.in_order && r.touched == COUNT && r.fre_mm < 1e-9);
    for (int i = 0; i < 16; i++)
        assert_true(fabs(r.phantom_to_reference.m[i] - truth().m[i]) < 1e-9); /* rounding */
}

/* The predicted error is the RMS of the true one over many noises, within a
 * fifth: four deviations of an RMS over 300 draws of 3 degrees of freedom. */
static void the_expected_error_is_what_comes(void **state) {
    (void)state;
    double square = 0, expected = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        es_vec3 points[COUNT];
        es_landmark_result r;
        touch(points, 0.2, seed);
        assert_true(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT, TARGET, NAN, &r, NULL));
        double off = es_vec3_length(es_vec3_sub(es_mat4_point(r.phantom_to_reference, TARGET),
                                                es_mat4_point(truth(), TARGET)));
        square += off * off / 300;
        expected += r.tre_mm * r.tre_mm / 300;
    }
    assert_true(fabs(sqrt(square) / sqrt(expected) - 1) < 0.2);
}

static void another_order_and_strange_points_are_sorted_out(void **state) {
    (void)state;
    es_vec3 points[COUNT], mixed[COUNT + 3];
    static const int order[COUNT] = {3, 1, 0, 7, 5, 2, 6, 4};
    es_landmark_result r;
    touch(points, 0.2, 3);
    mixed[0] = es_vec3_make(300, 200, 10);
    for (int i = 0; i < COUNT; i++) mixed[i + 1] = points[order[i]];
    mixed[COUNT + 1] = es_vec3_make(-100, 20, 10);
    mixed[COUNT + 2] = es_vec3_make(0, 0, 0);
    assert_true(es_landmarks_solve(LANDMARKS, COUNT, mixed, COUNT + 3, TARGET, NAN, &r, NULL));
    assert_int_equal(r.touched, COUNT);
    assert_false(r.in_order);
    for (int i = 0; i < COUNT; i++) assert_int_equal(r.point_of[order[i]], i + 1);
}

static void two_landmarks_may_be_left_out(void **state) {
    (void)state;
    es_vec3 points[COUNT];
    es_landmark_result r;
    touch(points, 0.2, 4);
    assert_true(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT - 2, TARGET, NAN, &r, NULL));
    assert_int_equal(r.touched, COUNT - 2);
    assert_int_equal(r.point_of[COUNT - 1], -1);
    assert_true(isnan(r.error_mm[COUNT - 1]));
}

static void a_mirrored_set_is_named(void **state) {
    (void)state;
    es_vec3 points[COUNT];
    es_landmark_result r;
    es_error err = {0};
    touch(points, 0.2, 5);
    for (int i = 0; i < COUNT; i++) points[i].y = -points[i].y;
    assert_false(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT, TARGET, NAN, &r, &err));
    assert_true(r.mirrored);
    assert_non_null(strstr(err.message, "mirror"));
}

static void another_phantom_and_bad_numbers_are_refused(void **state) {
    (void)state;
    es_vec3 points[COUNT];
    es_landmark_result r;
    es_error err = {0};
    for (int i = 0; i < COUNT; i++)
        points[i] = es_vec3_make(37.0 * i, 11.0 * i * i, 90.0 / (i + 1));
    assert_false(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT, TARGET, NAN, &r, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_non_null(strstr(err.message, "another phantom"));
    touch(points, 0, 6);
    assert_false(es_landmarks_solve(LANDMARKS, COUNT, points, 2, TARGET, NAN, &r, &err));
    assert_non_null(strstr(err.message, "3 to"));
    points[3].z = INFINITY;
    assert_false(es_landmarks_solve(LANDMARKS, COUNT, points, COUNT, TARGET, NAN, &r, &err));
    assert_non_null(strstr(err.message, "point 4 is not finite"));
}

/* ---- stops --------------------------------------------------------------------------- */

enum { RATE = 20, STOP = 40, GO = 20, SAMPLES = 4 * (STOP + GO) };

/* Four stops of 2 s with a second of travel between; a hand's tremor of 0.1 mm. */
static void walk(double *times, es_vec3 *tips) {
    es_random random = es_random_new(2, 0);
    for (int i = 0; i < SAMPLES; i++) {
        int stop = i / (STOP + GO), within = i % (STOP + GO);
        double along = stop + fmax(0, (within - STOP) / (double)GO);
        times[i] = i / (double)RATE;
        tips[i] = es_vec3_make(60 * along + 0.1 * es_random_normal(&random),
                               20 * along * along + 0.1 * es_random_normal(&random),
                               0.1 * es_random_normal(&random));
    }
}

static void stops_are_found_where_the_tip_rests(void **state) {
    (void)state;
    double times[SAMPLES];
    es_vec3 tips[SAMPLES];
    es_dwell *dwells = NULL;
    size_t found = 0;
    const es_dwell_options options = ES_DWELL_DEFAULTS;
    walk(times, tips);
    assert_true(es_dwells_find(times, tips, SAMPLES, &options, &dwells, &found, NULL));
    assert_int_equal(found, 4);
    for (int k = 0; k < 4; k++) {
        es_vec3 at = es_vec3_make(60 * k, 20 * k * k, 0);
        /* tremor / sqrt(40), and at most one sample of the way (3 mm / 40) */
        assert_true(es_vec3_length(es_vec3_sub(dwells[k].mean_mm, at)) < 0.25);
    }
    es_free(dwells);
}

static void a_hole_in_the_track_ends_a_stop(void **state) {
    (void)state;
    double times[SAMPLES];
    es_vec3 tips[SAMPLES];
    es_dwell *dwells = NULL;
    size_t found = 0;
    const es_dwell_options options = ES_DWELL_DEFAULTS;
    walk(times, tips);
    for (int i = 0; i < SAMPLES; i += 10) tips[i].x = NAN;
    assert_true(es_dwells_find(times, tips, SAMPLES, &options, &dwells, &found, NULL));
    assert_int_equal(found, 0);
    es_free(dwells);
    const es_dwell_options bad = {.least_s = 0, .radius_mm = 1};
    assert_false(es_dwells_find(times, tips, SAMPLES, &bad, &dwells, &found, NULL));
    for (long n = 0; n < 3; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_false(es_dwells_find(times, tips, SAMPLES, &options, &dwells, &found, &err));
        es_alloc_fail_after(-1);
        assert_int_equal(err.code, ES_MEMORY);
        assert_null(dwells);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(touched_in_order_they_register),
        cmocka_unit_test(the_expected_error_is_what_comes),
        cmocka_unit_test(another_order_and_strange_points_are_sorted_out),
        cmocka_unit_test(two_landmarks_may_be_left_out),
        cmocka_unit_test(a_mirrored_set_is_named),
        cmocka_unit_test(another_phantom_and_bad_numbers_are_refused),
        cmocka_unit_test(stops_are_found_where_the_tip_rests),
        cmocka_unit_test(a_hole_in_the_track_ends_a_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
