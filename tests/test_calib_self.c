/* ImageToProbe from overlapping passes, against simulated hands whose
 * ImageToProbe is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/calibration.h"

static const double DEG = 0.017453292519943295;

typedef struct recording {
    es_self_pictures pictures;
    es_pose_track *poses;
    es_mat4 truth;
    es_vec3 target; /* the picture's middle, 50 mm under the face, pixels */
    double px;      /* mm */
} recording;

static es_simulation six_passes(void) {
    es_simulation s;
    assert_true(es_simulation_preset("abdomen", &s, NULL));
    s.frames = 150;
    s.sweeps = 6;
    s.lean_rad = 20 * DEG;
    s.turn_rad = 40 * DEG;
    s.probe.image_size[0] = s.probe.image_size[1] = 128;
    s.pose_noise_mm = 0.3;
    return s;
}

/* Enough to be refused. */
static es_simulation some_pictures(void) {
    es_simulation s = six_passes();
    s.frames = 110;
    s.probe.image_size[0] = s.probe.image_size[1] = 64;
    return s;
}

static recording record(const es_simulation *s) {
    recording r = {.truth = es_simulation_image_to_probe(s)};
    es_pose_list poses = {0};
    es_error err = {0};
    bool timed;
    es_fan fan = es_simulation_fan(s);
    r.px = es_vec3_length(es_mat4_column(r.truth, 0));
    r.target = es_vec3_make(fan.apex_u, fan.apex_v + fan.radius_start + 50 / r.px, 0);
    es_source *source = es_simulation_open(s, &err);
    if (!source || !es_self_pictures_read(source, NULL, &r.pictures, &timed, &err) ||
        !es_source_rewind(source, &err) ||
        !es_pose_list_read(source, NULL, "ProbeToReference", &poses, &err))
        fail_msg("%s", err.message);
    r.poses = es_pose_list_track(&poses, &err);
    assert_non_null(r.poses);
    es_pose_list_clear(&poses);
    es_source_free(source);
    return r;
}

static void discard(recording *r) {
    es_self_pictures_clear(&r->pictures);
    es_pose_track_free(r->poses);
}

/* About right: 4 degrees and 4 mm off. */
static es_self_options near_truth(const recording *r) {
    es_self_options o = ES_SELF_DEFAULTS;
    o.start = es_mat4_multiply(r->truth, es_mat4_rotation(es_vec3_make(1, -1, 0.5), 4 * DEG));
    o.start.m[3] += 2.5, o.start.m[7] -= 2.5, o.start.m[11] += 2;
    o.isotropic = true;
    o.effort = 0.3;
    return o;
}

static double miss_of(const recording *r, const es_self_result *result) {
    return es_vec3_length(es_vec3_sub(es_mat4_point(result->image_to_probe, r->target),
                                      es_mat4_point(r->truth, r->target)));
}

/* 2 mm is what a result must be known within to be taken, or else it says a
 * wider interval: three times the aim of 1 mm of the median. */
static void overlapping_passes_give_the_image_to_probe_with_an_honest_interval(void **state) {
    (void)state;
    es_simulation s = six_passes();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    es_self_result result;
    es_error err = {0};
    o.limit_mm = INFINITY;
    if (!es_self_solve(&r.pictures, r.poses, &o, &result, &err)) fail_msg("%s", err.message);
    double miss = miss_of(&r, &result);
    print_message("miss %.2f mm, interval %.2f mm\n", miss, result.target_ci95_mm);
    assert_true(miss < 2);
    assert_true(miss < result.target_ci95_mm);
    assert_true(fabs(result.spacing_mm[0] / r.px - 1) < 0.04); /* 2 mm at 50 mm */
    assert_true(result.agreement > 0.4 && result.held_out > 0.4);
    assert_true(result.overlap > 0.4);
    assert_true(es_mat4_det3(result.image_to_probe) > 0);
    assert_int_equal(result.parameter_count, 7);
    discard(&r);
}

static void the_same_recording_gives_the_same_bytes(void **state) {
    (void)state;
    es_simulation s = six_passes();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    es_self_result a, b;
    o.limit_mm = INFINITY;
    o.effort = 0.1;
    assert_true(es_self_solve(&r.pictures, r.poses, &o, &a, NULL));
    assert_true(es_self_solve(&r.pictures, r.poses, &o, &b, NULL));
    assert_memory_equal(&a.image_to_probe, &b.image_to_probe, sizeof a.image_to_probe);
    assert_true(a.target_ci95_mm == b.target_ci95_mm);
    discard(&r);
}

static void refuse(const recording *r, const es_self_options *o, const char *word) {
    es_self_result result;
    es_error err = {0};
    if (es_self_solve(&r->pictures, r->poses, o, &result, &err))
        fail_msg("%s: taken, off by %.1f mm, interval %.1f", word, miss_of(r, &result),
                 result.target_ci95_mm);
    assert_int_equal(err.code, ES_GEOMETRY);
    if (!strstr(err.message, word)) fail_msg("\"%s\" is not in: %s", word, err.message);
}

static es_pose_track *poses_of(const recording *r, es_mat4 (*pose)(size_t index)) {
    es_pose_track *track = es_pose_track_new(NULL);
    for (size_t f = 0; f < r->pictures.count; f++)
        assert_true(es_pose_track_add(track, r->pictures.times_s[f], pose(f), true, NULL));
    return track;
}

static es_mat4 at_rest(size_t index) {
    (void)index;
    return es_mat4_translation(10, 20, 30);
}
static es_mat4 one_sweep(size_t index) {
    return es_mat4_multiply(es_mat4_translation(0.5 * (double)index, 0, 0),
                            es_mat4_rotation(es_vec3_make(0, 0, 1), 0.005 * (double)index));
}
/* Turns a lot, and not as the pictures say. */
static es_mat4 another_tool(size_t index) {
    double t = 0.13 * (double)index;
    return es_mat4_multiply(
        es_mat4_translation(20 * sin(t), 15 * cos(1.7 * t), 10 * sin(2.3 * t)),
        es_mat4_multiply(es_mat4_rotation(es_vec3_make(1, 0, 0), 0.4 * sin(1.3 * t) + 1e-9),
                         es_mat4_rotation(es_vec3_make(0, 1, 0.2), 0.5 * cos(0.7 * t) + 1e-9)));
}

static void poses_that_say_too_little_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        es_mat4 (*pose)(size_t);
        const char *word;
    } cases[] = {{at_rest, "hardly turned"}, {one_sweep, "about one axis only"}};
    es_simulation s = some_pictures();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    for (int k = 0; k < 2; k++) {
        es_pose_track_free(r.poses);
        r.poses = poses_of(&r, cases[k].pose);
        refuse(&r, &o, cases[k].word);
        refuse(&r, &o, "by 20 degrees");
    }
    discard(&r);
}

static void the_poses_of_another_tool_are_refused(void **state) {
    (void)state;
    es_simulation s = some_pictures();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    o.effort = 0.1;
    es_pose_track_free(r.poses);
    r.poses = poses_of(&r, another_tool);
    refuse(&r, &o, "");
    discard(&r);
}

static void blank_and_frozen_pictures_are_refused(void **state) {
    (void)state;
    es_simulation s = some_pictures();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    size_t cells = (size_t)r.pictures.width * r.pictures.height;
    for (size_t f = 1; f < r.pictures.count; f++)
        memcpy(r.pictures.grey + f * cells, r.pictures.grey, cells * sizeof(float));
    refuse(&r, &o, "frozen");
    memset(r.pictures.grey, 0, r.pictures.count * cells * sizeof(float));
    refuse(&r, &o, "blank");
    discard(&r);
}

static void too_few_pictures_and_poses_are_refused(void **state) {
    (void)state;
    es_simulation s = some_pictures();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    size_t count = r.pictures.count;
    r.pictures.count = 12;
    refuse(&r, &o, "12 pictures");
    r.pictures.count = 0;
    refuse(&r, &o, "0 pictures");
    r.pictures.count = count;
    o.lag_s = 100; /* no pose is there at that time */
    refuse(&r, &o, "0 of 110");
    o = near_truth(&r);
    for (int k = 0; k < 3; k++) o.start.m[4 * k] = 0;
    refuse(&r, &o, "pixels of 0 x");
    discard(&r);
}

static void a_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    es_simulation s = some_pictures();
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    es_self_result result;
    for (long n = 0; n < 12; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        bool ok = es_self_solve(&r.pictures, r.poses, &o, &result, &err);
        es_alloc_fail_after(-1);
        assert_false(ok);
        assert_int_equal(err.code, ES_MEMORY);
    }
    discard(&r);
}

/* 486 mm of path in 45 pictures. */
static void pictures_that_lie_too_far_apart_are_refused(void **state) {
    (void)state;
    es_simulation s = some_pictures();
    s.frames = 45;
    recording r = record(&s);
    es_self_options o = near_truth(&r);
    refuse(&r, &o, "mm from one picture to the next");
    discard(&r);
}

static void real_recordings_of_one_sweep_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"BoneUltrasound_L14", "SpinePhantomFreehand"};
    const char *folder = getenv("ES_TEST_DATA");
    if (!folder) {
        print_message("ES_TEST_DATA is not set: the real recordings are not here\n");
        skip();
    }
    for (int k = 0; k < 2; k++) {
        char path[500];
        es_error err = {0};
        recording r = {.px = 1};
        es_pose_list poses = {0};
        es_self_options o = ES_SELF_DEFAULTS;
        bool timed;
        snprintf(path, sizeof path, "%s/plus/sequences/%s.igs.mha", folder, names[k]);
        es_source *source = es_sequence_open(path, &err);
        if (!source) {
            print_message("%s\n", err.message);
            skip();
        }
        assert_true(es_self_pictures_read(source, NULL, &r.pictures, &timed, &err));
        assert_true(es_source_rewind(source, &err));
        char transform[2 * ES_NAME_SIZE];
        assert_true(es_pose_list_choose(source, "Probe", NULL, transform, &err));
        assert_true(es_pose_list_read(source, NULL, transform, &poses, &err));
        r.poses = es_pose_list_track(&poses, &err);
        refuse(&r, &o, "21 pictures"); /* 30 or more are needed */
        es_pose_list_clear(&poses);
        es_source_free(source);
        discard(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_passes_give_the_image_to_probe_with_an_honest_interval),
        cmocka_unit_test(the_same_recording_gives_the_same_bytes),
        cmocka_unit_test(poses_that_say_too_little_are_refused_by_name),
        cmocka_unit_test(the_poses_of_another_tool_are_refused),
        cmocka_unit_test(blank_and_frozen_pictures_are_refused),
        cmocka_unit_test(too_few_pictures_and_poses_are_refused),
        cmocka_unit_test(pictures_that_lie_too_far_apart_are_refused),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(real_recordings_of_one_sweep_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
