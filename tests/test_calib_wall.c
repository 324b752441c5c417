/* ImageToProbe from a flat floor, against simulated hands over a known one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/calib.h"

static const double DEG = 0.017453292519943295;
enum { WIDTH = 512 };

/* A hand over a floor: how far each motion goes, what the tracker and the
 * line finder add. */
typedef struct hand {
    size_t count;
    double rock_rad, tilt_rad, turn_rad, raise_mm, slide_mm;
    double noise_mm, noise_rad, noise_px, outliers, lag_s;
    double scale[2];
    uint64_t seed;
} hand;

/* The motion of the aims: 30 degrees each way, 300 pictures in 15 s. */
static hand full_motion(uint64_t seed) {
    return (hand){.count = 300,
                  .rock_rad = 30 * DEG,
                  .tilt_rad = 30 * DEG,
                  .turn_rad = 60 * DEG,
                  .raise_mm = 20,
                  .slide_mm = 40,
                  .noise_mm = 0.3,
                  .noise_px = 0.3,
                  .scale = {0.12, 0.15},
                  .seed = seed};
}

typedef struct recording {
    es_wall_line *lines;
    es_pose_track *poses;
    es_mat4 image_to_probe;
    size_t count;
} recording;

static double wave(const hand *h, int which, double time_s) {
    es_random random = es_random_new(h->seed, 100 + (uint64_t)which);
    double sum = 0;
    for (int k = 0; k < 3; k++) {
        static const double periods[] = {7, 3.1, 1.9}, shares[] = {0.5, 0.35, 0.15};
        double period = periods[k] * (0.8 + 0.4 * es_random_uniform(&random));
        double phase = 6.283185307179586 * es_random_uniform(&random);
        sum += shares[k] * sin(6.283185307179586 * time_s / period + phase);
    }
    return sum;
}

/* Image axes over a floor at y = 0 (seen from above), then an unknown place. */
static es_mat4 image_to_reference(const hand *h, double t) {
    es_mat4 down = {{1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1}}; /* v points to the floor */
    es_mat4 m = es_mat4_translation(h->slide_mm * wave(h, 0, t), 40 + h->raise_mm * wave(h, 1, t),
                                    h->slide_mm * wave(h, 2, t));
    m = es_mat4_multiply(
        m, es_mat4_rotation(es_vec3_make(0, 1, 0), h->turn_rad * wave(h, 3, t) + 1e-9));
    m = es_mat4_multiply(m, down);
    m = es_mat4_multiply(
        m, es_mat4_rotation(es_vec3_make(0, 0, 1), h->rock_rad * wave(h, 4, t) + 1e-9));
    m = es_mat4_multiply(
        m, es_mat4_rotation(es_vec3_make(1, 0, 0), h->tilt_rad * wave(h, 5, t) + 1e-9));
    m = es_mat4_multiply(m, es_mat4_translation(-0.5 * WIDTH * h->scale[0], 0, 0));
    es_mat4 place = es_mat4_multiply(es_mat4_translation(120, -340, 900),
                                     es_mat4_rotation(es_vec3_make(0.3, 0.9, -0.5), 1.3));
    return es_mat4_multiply(place, m);
}

static es_mat4 true_image_to_probe(const hand *h, bool scaled) {
    es_mat4 m = es_mat4_multiply(es_mat4_translation(-31, 62, 18),
                                 es_mat4_rotation(es_vec3_make(0.7, -0.2, 0.6), 2.0));
    if (!scaled) return m;
    return es_mat4_multiply(
        m, es_mat4_scaling(h->scale[0], h->scale[1], 0.5 * (h->scale[0] + h->scale[1])));
}

static es_mat4 probe_pose(const hand *h, double t) {
    es_mat4 inverse;
    assert_true(es_mat4_invert(true_image_to_probe(h, false), &inverse, NULL));
    return es_mat4_multiply(image_to_reference(h, t), inverse);
}

static es_vec3 normals(es_random *random, double deviation) {
    double x = es_random_normal(random), y = es_random_normal(random);
    return es_vec3_scale(es_vec3_make(x, y, es_random_normal(random)), deviation);
}

static es_mat4 tracked(const hand *h, double t, es_random *random) {
    es_mat4 pose = probe_pose(h, t);
    es_vec3 shift = normals(random, h->noise_mm), turn = normals(random, h->noise_rad);
    if (es_vec3_length(turn) > 0)
        pose = es_mat4_multiply(pose, es_mat4_rotation(turn, es_vec3_length(turn)));
    return es_mat4_multiply(es_mat4_translation(shift.x, shift.y, shift.z), pose);
}

/* Where the floor is seen in column u: mm along v / scale. */
static double floor_row(const hand *h, double t, double u) {
    es_mat4 image = image_to_reference(h, t), place, back;
    place = es_mat4_multiply(es_mat4_translation(120, -340, 900),
                             es_mat4_rotation(es_vec3_make(0.3, 0.9, -0.5), 1.3));
    assert_true(es_mat4_invert(place, &back, NULL));
    image = es_mat4_multiply(back, image);
    double at = es_mat4_point(image, es_vec3_make(u * h->scale[0], 0, 0)).y;
    return -at / (es_mat4_column(image, 1).y * h->scale[1]);
}

static recording record(const hand *h) {
    recording r = {.count = h->count, .image_to_probe = true_image_to_probe(h, true)};
    es_random random = es_random_new(h->seed, 1);
    r.lines = calloc(h->count, sizeof *r.lines);
    r.poses = es_pose_track_new(NULL);
    for (size_t k = 0; k < h->count; k++) {
        double t = 0.05 * (double)k;
        assert_true(es_pose_track_add(r.poses, t, tracked(h, t - h->lag_s, &random), true, NULL));
        r.lines[k] = (es_wall_line){.index = (int64_t)k, .time_s = t};
        bool wild = es_random_uniform(&random) < h->outliers;
        for (int e = 0; e < 2; e++) {
            double u = e ? 460 : 50, v = floor_row(h, t, u);
            r.lines[k].ends[e][0] = u;
            r.lines[k].ends[e][1] = (wild ? 1.8 : 1) * v + h->noise_px * es_random_normal(&random);
        }
    }
    return r;
}

static void discard(recording *r) {
    free(r->lines);
    es_pose_track_free(r->poses);
}

/* Distance at 50 mm depth, the middle of the picture. */
static double target_miss(const hand *h, const recording *r, const es_wall_result *result) {
    es_vec3 px = es_vec3_make(0.5 * WIDTH, 50 / h->scale[1], 0);
    return es_vec3_length(es_vec3_sub(es_mat4_point(result->image_to_probe, px),
                                      es_mat4_point(r->image_to_probe, px)));
}

static bool solve(const hand *h, const es_wall_options *options, double *miss,
                  es_wall_result *result, es_error *err) {
    recording r = record(h);
    bool ok = es_wall_solve(r.lines, r.count, r.poses, options, result, NULL, NULL, err);
    *miss = target_miss(h, &r, result);
    discard(&r);
    return ok;
}

static const es_wall_options GIVEN = {.max_gap_s = 0.5, .limit_mm = 2};
static const es_wall_options FREE = ES_WALL_DEFAULTS;

static void a_clean_recording_gives_the_truth(void **state) {
    (void)state;
    hand h = full_motion(1);
    h.noise_mm = h.noise_px = 0;
    es_wall_result result;
    double miss;
    assert_true(solve(&h, &GIVEN, &miss, &result, NULL));
    assert_true(miss < 1e-3); /* the fit stops at 1e-8 of 100 mm; the pull at less */
    assert_true(fabs(result.spacing_mm[0] - 0.12) < 1e-5);
    assert_true(fabs(result.spacing_mm[1] - 0.15) < 1e-5);
    assert_true(es_mat4_det3(result.image_to_probe) > 0);
    assert_int_equal(result.missing_count, 0);
}

/* The aim of 0.6 mm at 0.3 mm of pose noise, one line in fifty another echo;
 * 43 to 50 of 50 is 95 % within three binomial deviations. */
static void the_aim_is_reached_over_fifty_hands_and_intervals_hold(void **state) {
    (void)state;
    enum { RUNS = 50 };
    double misses[RUNS];
    int scale = 0, shift = 0, target = 0;
    for (int k = 0; k < RUNS; k++) {
        hand h = full_motion((uint64_t)k + 1);
        es_wall_result result;
        h.outliers = 0.02;
        (void)solve(&h, &GIVEN, &misses[k], &result, NULL); /* a refused one counts as it is */
        scale += fabs(result.spacing_mm[1] - h.scale[1]) <= result.spacing_ci95_mm[1];
        es_mat4 truth = true_image_to_probe(&h, true);
        shift += fabs(result.image_to_probe.m[7] - truth.m[7]) <= result.translation_ci95_mm[1];
        target += misses[k] <= result.target_ci95_mm;
    }
    qsort(misses, RUNS, sizeof *misses, es_compare_doubles);
    print_message("target error at 50 mm: median %.2f mm, worst %.2f; covered: scale %d, "
                  "translation %d, target %d of %d\n",
                  misses[RUNS / 2], misses[RUNS - 1], scale, shift, target, RUNS);
    assert_true(misses[RUNS / 2] <= 0.6);
    assert_in_range(scale, 43, 50);
    assert_in_range(shift, 43, 50);
    assert_in_range(target, 43, 50);
}

static void a_lag_is_found_with_the_rest(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        hand h = full_motion((uint64_t)k + 70);
        es_wall_result result;
        es_error err = {0};
        double miss;
        h.lag_s = 0.13 * (k - 1) - 0.02;
        if (!solve(&h, &FREE, &miss, &result, &err)) fail_msg("%s", err.message);
        assert_true(fabs(result.lag_s - h.lag_s) < 0.01); /* a fifth of the picture's interval */
        assert_true(fabs(result.lag_s - h.lag_s) < 2 * result.lag_ci95_s);
        assert_true(miss < 2);
    }
}

static void refuse(const hand *h, const char *word, es_wall_motion motion) {
    es_wall_result result;
    es_error err = {0};
    double miss;
    if (solve(h, &GIVEN, &miss, &result, &err)) fail_msg("%s: taken, off by %.2f", word, miss);
    assert_int_equal(err.code, ES_GEOMETRY);
    bool named = false;
    for (int k = 0; k < result.missing_count; k++) named = named || result.missing[k] == motion;
    if (!strstr(err.message, word) || !named) fail_msg("%s", err.message);
}

static void what_the_motion_lacks_is_named(void **state) {
    (void)state;
    hand h = full_motion(5);
    h.tilt_rad = 0;
    refuse(&h, "tilt the probe", ES_WALL_TILT);
    h = full_motion(5);
    h.rock_rad = 0;
    refuse(&h, "rock the probe", ES_WALL_ROCK);
    h = full_motion(5);
    h.rock_rad = h.tilt_rad = h.turn_rad = 0;
    refuse(&h, "tilt the probe", ES_WALL_TILT);
}

static void a_probe_that_only_goes_up_and_down_is_refused(void **state) {
    (void)state;
    hand h = full_motion(8);
    h.rock_rad = h.tilt_rad = h.turn_rad = h.slide_mm = 0;
    refuse(&h, "tilt the probe", ES_WALL_ROCK);
    h.raise_mm = 0; /* a still one */
    refuse(&h, "rock the probe", ES_WALL_TILT);
}

static void a_given_spacing_is_kept_and_one_scale_is_one(void **state) {
    (void)state;
    hand h = full_motion(11);
    es_wall_options options = GIVEN;
    es_wall_result result;
    double miss;
    options.spacing_mm[0] = 0.12, options.spacing_mm[1] = 0.15;
    assert_true(solve(&h, &options, &miss, &result, NULL));
    assert_true(result.spacing_mm[0] == 0.12 && result.spacing_ci95_mm[0] == 0);
    assert_int_equal(result.parameter_count, 9);
    assert_true(miss < 1.5 * result.target_ci95_mm);
    h.scale[0] = h.scale[1] = 0.14;
    options = GIVEN;
    options.isotropic = true;
    assert_true(solve(&h, &options, &miss, &result, NULL));
    assert_true(result.spacing_mm[0] == result.spacing_mm[1]);
    assert_true(fabs(result.spacing_mm[0] - 0.14) < 1.5 * result.spacing_ci95_mm[0]);
}

static void lines_of_other_echoes_are_named(void **state) {
    (void)state;
    hand h = full_motion(3);
    recording r = record(&h);
    es_wall_reject *rejects = calloc(r.count, sizeof *rejects);
    es_wall_result result;
    size_t count;
    r.lines[17].ends[0][1] += 150; /* 22 mm of noise of 0.3 */
    r.lines[40].time_s = 999;
    assert_true(es_wall_solve(r.lines, r.count, r.poses, &GIVEN, &result, rejects, &count, NULL));
    bool echo = false, late = false;
    for (size_t k = 0; k < count; k++) {
        echo = echo || (rejects[k].index == 17 && strcmp(rejects[k].step, "fit") == 0);
        late = late || (rejects[k].index == 40 && strcmp(rejects[k].step, "pose") == 0);
    }
    assert_true(echo && late);
    assert_int_equal(result.frames_used + result.frames_rejected, r.count);
    assert_true(target_miss(&h, &r, &result) < 1.5 * result.target_ci95_mm);
    free(rejects);
    discard(&r);
}

/* Lines of one recording with poses of another. */
static void poses_of_something_else_are_refused(void **state) {
    (void)state;
    for (uint64_t k = 0; k < 3; k++) {
        hand h = full_motion(20 + k), other = full_motion(40 + k);
        recording r = record(&h), wrong = record(&other);
        es_wall_result result;
        es_error err = {0};
        assert_false(
            es_wall_solve(r.lines, r.count, wrong.poses, &GIVEN, &result, NULL, NULL, &err));
        assert_int_equal(err.code, ES_GEOMETRY);
        discard(&r);
        discard(&wrong);
    }
}

static void too_few_lines_or_poses_are_refused(void **state) {
    (void)state;
    hand h = full_motion(4);
    recording r = record(&h);
    es_pose_track *empty = es_pose_track_new(NULL);
    es_wall_result result;
    es_error err = {0};
    assert_false(es_wall_solve(r.lines, 19, r.poses, &GIVEN, &result, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "19 pictures"));
    assert_false(es_wall_solve(r.lines, r.count, empty, &GIVEN, &result, NULL, NULL, &err));
    assert_false(es_wall_solve(r.lines, 0, r.poses, &FREE, &result, NULL, NULL, &err));
    es_wall_options tight = FREE;
    tight.max_gap_s = 0.01; /* poses stand 0.05 s apart */
    assert_false(es_wall_solve(r.lines, r.count, r.poses, &tight, &result, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "too sparse"));
    es_pose_track_free(empty);
    discard(&r);
}

static void memory_runs_out_cleanly(void **state) {
    (void)state;
    hand h = full_motion(6);
    recording r = record(&h);
    es_wall_result result;
    for (long n = 0; n < 12; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_false(es_wall_solve(r.lines, r.count, r.poses, &GIVEN, &result, NULL, NULL, &err));
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_alloc_fail_after(-1);
    discard(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_recording_gives_the_truth),
        cmocka_unit_test(the_aim_is_reached_over_fifty_hands_and_intervals_hold),
        cmocka_unit_test(a_lag_is_found_with_the_rest),
        cmocka_unit_test(what_the_motion_lacks_is_named),
        cmocka_unit_test(a_probe_that_only_goes_up_and_down_is_refused),
        cmocka_unit_test(a_given_spacing_is_kept_and_one_scale_is_one),
        cmocka_unit_test(lines_of_other_echoes_are_named),
        cmocka_unit_test(poses_of_something_else_are_refused),
        cmocka_unit_test(too_few_lines_or_poses_are_refused),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
