/* Poses between samples, judged against motions that are known at every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/geom.h"

/* Slerp of two poses with translations of some 100 mm, in doubles. */
#define ROUNDING 1e-9

/* A screw about an axis through `centre`: 1.5 rad/s and 20 mm/s. */
static es_mat4 screw(double time_s, es_vec3 centre) {
    es_vec3 axis = es_vec3_unit(es_vec3_make(1, -2, 0.5));
    es_vec3 along = es_vec3_scale(axis, 20 * time_s);
    es_mat4 turn = es_mat4_rotation(axis, 1.5 * time_s);
    es_mat4 about = es_mat4_multiply(
        es_mat4_translation(centre.x + along.x, centre.y + along.y, centre.z + along.z), turn);
    return es_mat4_multiply(about, es_mat4_translation(-centre.x, -centre.y, -centre.z));
}

static const es_vec3 ORIGIN = {0, 0, 0};

static double apart(es_mat4 a, es_mat4 b) {
    double most = 0;
    for (int i = 0; i < 16; i++) most = fmax(most, fabs(a.m[i] - b.m[i]));
    return most;
}

static void add(es_pose_track *track, double time_s, es_mat4 pose, bool valid) {
    es_error err = {0};
    if (!es_pose_track_add(track, time_s, pose, valid, &err)) fail_msg("%s", err.message);
}

static es_pose_track *new_track(void) {
    es_pose_track *track = es_pose_track_new(NULL);
    assert_non_null(track);
    return track;
}

/* 0.05 s apart with jitter, from 100 s on. */
static es_pose_track *screw_track(es_vec3 centre, double times[], int count) {
    es_random random = es_random_new(3, 0);
    es_pose_track *track = new_track();
    for (int i = 0; i < count; i++) {
        times[i] = 100 + 0.05 * i + 0.02 * es_random_uniform(&random);
        add(track, times[i], screw(times[i], centre), true);
    }
    return track;
}

static es_mat4 at(const es_pose_track *track, double time_s, double max_gap_s) {
    es_error err = {0};
    es_mat4 pose;
    if (!es_pose_track_at(track, time_s, max_gap_s, &pose, &err)) fail_msg("%s", err.message);
    return pose;
}

static const char *refused(const es_pose_track *track, double time_s, double max_gap_s) {
    static es_error err;
    es_mat4 pose;
    err = (es_error){0};
    assert_false(es_pose_track_at(track, time_s, max_gap_s, &pose, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    return err.message;
}

static void assert_says(const char *message, const char *part) {
    if (!strstr(message, part)) fail_msg("\"%s\" does not say \"%s\"", message, part);
}

/* ---- truth ------------------------------------------------------------- */

/* Slerp and a straight line are exact for a screw through the origin. */
static void a_screw_through_the_origin_is_exact_at_any_time(void **state) {
    (void)state;
    double times[200];
    es_pose_track *track = screw_track(ORIGIN, times, 200);
    es_random random = es_random_new(4, 0);
    for (int i = 0; i < 5000; i++) {
        double t = times[0] + (times[199] - times[0]) * es_random_uniform(&random);
        double error = apart(at(track, t, 0.1), screw(t, ORIGIN));
        if (!(error < ROUNDING)) fail_msg("%g at %g s", error, t);
    }
    assert_int_equal(es_pose_track_count(track), 200);
    es_pose_track_free(track);
}

/* About a far axis the translation runs on an arc, the interpolation on its
 * chord: off by at most the sagitta r (1 - cos(angle / 2)), here 100 mm and
 * 1.5 rad/s * 0.07 s. The sagitta is 0.138 mm. */
static void a_screw_about_a_far_axis_is_off_by_the_sagitta_at_most(void **state) {
    (void)state;
    es_vec3 centre = {100 * 2 / sqrt(5), 100 / sqrt(5), 0}; /* 100 mm, square to the axis */
    double times[100], worst = 0, sagitta = 100 * (1 - cos(1.5 * 0.07 / 2));
    es_pose_track *track = screw_track(centre, times, 100);
    for (int i = 0; i < 4000; i++) {
        double t = times[0] + (times[99] - times[0]) * i / 4000;
        es_vec3 off =
            es_vec3_sub(es_mat4_column(at(track, t, 0.1), 3), es_mat4_column(screw(t, centre), 3));
        worst = fmax(worst, es_vec3_length(off));
    }
    assert_true(worst < sagitta);
    assert_true(worst > sagitta / 10); /* else the motion was no test */
    es_pose_track_free(track);
}

static void at_a_sample_the_pose_is_the_sample(void **state) {
    (void)state;
    double times[50];
    es_pose_track *track = screw_track(ORIGIN, times, 50);
    for (int i = 0; i < 50; i++)
        assert_true(apart(at(track, times[i], 0), screw(times[i], ORIGIN)) == 0);
    es_pose_track_free(track);
}

static void the_shorter_way_round_is_taken(void **state) {
    (void)state;
    es_vec3 z = {0, 0, 1};
    es_pose_track *track = new_track();
    add(track, 0, es_mat4_rotation(z, 3.0), true);
    add(track, 1, es_mat4_rotation(z, -3.0), true); /* 0.283 rad on, over pi */
    assert_true(apart(at(track, 0.5, 2), es_mat4_rotation(z, 3.14159265358979323846)) < ROUNDING);
    es_pose_track_free(track);
}

/* ---- gaps -------------------------------------------------------------- */

static void invalid_samples_are_bridged_within_the_gap(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    for (int i = 0; i <= 10; i++) {
        bool valid = i < 4 || i > 6;
        es_mat4 nonsense = es_mat4_translation(1e6, 1e6, 1e6);
        add(track, 0.1 * i, valid ? screw(0.1 * i, ORIGIN) : nonsense, valid);
    }
    assert_true(apart(at(track, 0.5, 0.41), screw(0.5, ORIGIN)) < ROUNDING);
    const char *message = refused(track, 0.5, 0.39);
    assert_says(message, "0.3 s and 0.7 s");
    assert_says(message, "0.4 s apart");
    assert_says(message, "at most 0.39 s");
    es_pose_track_free(track);
}

static void a_gap_in_time_is_refused_with_its_times(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    add(track, 1, screw(1, ORIGIN), true);
    add(track, 9, screw(9, ORIGIN), true);
    assert_says(refused(track, 5, 1), "1 s and 9 s");
    assert_true(apart(at(track, 9, 0), screw(9, ORIGIN)) == 0);
    at(track, 5, INFINITY);
    refused(track, 5, NAN);
    es_pose_track_free(track);
}

static void no_pose_is_made_up_outside_the_samples(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    assert_says(refused(track, 0, 1), "there are no samples");
    add(track, 1, screw(1, ORIGIN), true);
    add(track, 2, screw(2, ORIGIN), true);
    assert_says(refused(track, 0.999, 9), "from 1 s to 2 s");
    assert_says(refused(track, 2.001, 9), "from 1 s to 2 s");
    refused(track, NAN, 9);
    es_pose_track_free(track);
}

static void invalid_samples_at_the_ends_are_no_neighbours(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    add(track, 1, screw(1, ORIGIN), false);
    add(track, 2, screw(2, ORIGIN), true);
    add(track, 3, screw(3, ORIGIN), false);
    assert_says(refused(track, 1.5, 9), "no valid sample within 9 s before");
    assert_says(refused(track, 2.5, 9), "no valid sample within 9 s after");
    refused(track, 3, 9);
    es_pose_track_free(track);
}

/* A million invalid samples between two valid ones must not make each look-up
 * walk over all of them. */
static void a_long_loss_of_sight_is_given_up_quickly(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    add(track, 0, es_mat4_identity(), true);
    for (int i = 1; i < 1000000; i++) add(track, 1e-3 * i, es_mat4_identity(), false);
    add(track, 1000, es_mat4_identity(), true);
    double start_s = es_clock_s();
    for (int i = 1; i < 20000; i++) refused(track, 100 + 0.04 * i, 0.1);
    assert_true(es_clock_s() - start_s < 20); /* walking all takes minutes */
    es_pose_track_free(track);
}

/* ---- refused samples --------------------------------------------------- */

static void times_that_do_not_grow_are_refused_with_both(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    es_error err = {0};
    add(track, 5.25, es_mat4_identity(), true);
    const double bad[] = {5.25, 5, -INFINITY, INFINITY, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(es_pose_track_add(track, bad[i], es_mat4_identity(), true, &err));
        assert_int_equal(err.code, ES_FORMAT);
    }
    assert_false(es_pose_track_add(track, 5.125, es_mat4_identity(), false, &err));
    assert_says(err.message, "5.125 s, not after 5.25 s");
    assert_int_equal(es_pose_track_count(track), 1);
    es_pose_track_free(track);
}

static void poses_that_cannot_be_turned_are_refused(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    es_error err = {0};
    const es_mat4 bad[] = {es_mat4_scaling(0.1, 0.1, 0.1), es_mat4_scaling(1, 1, -1),
                           es_mat4_scaling(1, 0, 1), es_mat4_scaling(1.02, 1.02, 1.02)};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(es_pose_track_add(track, 1, bad[i], true, &err));
        assert_int_equal(err.code, ES_GEOMETRY);
    }
    assert_int_equal(es_pose_track_count(track), 0);
    es_pose_track_free(track);
}

static void a_pose_with_nan_is_a_gap(void **state) {
    (void)state;
    es_pose_track *track = new_track();
    add(track, 0, screw(0, ORIGIN), true);
    add(track, 1, es_mat4_translation(NAN, 0, 0), true);
    add(track, 2, screw(2, ORIGIN), true);
    assert_true(apart(at(track, 1, 3), screw(1, ORIGIN)) < ROUNDING);
    es_pose_track_free(track);
}

static void a_failed_allocation_loses_no_sample(void **state) {
    (void)state;
    es_error err = {0};
    es_alloc_fail_after(0);
    assert_null(es_pose_track_new(&err));
    assert_int_equal(err.code, ES_MEMORY);
    es_alloc_fail_after(-1);
    es_pose_track *track = new_track();
    int added = 0, failed = 0;
    while (added < 1000) {
        es_alloc_fail_after(0);
        bool good = es_pose_track_add(track, added, es_mat4_identity(), true, &err);
        es_alloc_fail_after(-1);
        if (!good) {
            failed++;
            assert_int_equal(err.code, ES_MEMORY);
            add(track, added, es_mat4_identity(), true);
        }
        added++;
    }
    assert_int_equal(es_pose_track_count(track), 1000);
    assert_in_range(failed, 1, 20);
    at(track, 500.5, 1);
    es_pose_track_free(track);
    es_pose_track_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_screw_through_the_origin_is_exact_at_any_time),
        cmocka_unit_test(a_screw_about_a_far_axis_is_off_by_the_sagitta_at_most),
        cmocka_unit_test(at_a_sample_the_pose_is_the_sample),
        cmocka_unit_test(the_shorter_way_round_is_taken),
        cmocka_unit_test(invalid_samples_are_bridged_within_the_gap),
        cmocka_unit_test(a_gap_in_time_is_refused_with_its_times),
        cmocka_unit_test(no_pose_is_made_up_outside_the_samples),
        cmocka_unit_test(invalid_samples_at_the_ends_are_no_neighbours),
        cmocka_unit_test(a_long_loss_of_sight_is_given_up_quickly),
        cmocka_unit_test(times_that_do_not_grow_are_refused_with_both),
        cmocka_unit_test(poses_that_cannot_be_turned_are_refused),
        cmocka_unit_test(a_pose_with_nan_is_a_gap),
        cmocka_unit_test(a_failed_allocation_loses_no_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
