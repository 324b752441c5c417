/* The spacing from motion: pictures of a tissue fixed in space, seen by a probe
 * whose poses are known, with a calibration whose scale is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "echosolid/judge.h"
#include "pose_scene.h"

/* ---- the scene with its poses ------------------------------------------------------ */

typedef struct tracked {
    pose_scene scene;
    int late;        /* frames by which the poses lag behind the pictures */
    double noise_mm; /* of each pose, each axis */
} tracked;

static bool tracked_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    tracked *t = self;
    if (!scene_next(&t->scene, frame, flags, end, err) || *end) return !err || !err->code;
    int from = t->scene.next - 1 - t->late;
    es_mat4 pose = t->scene.truth[from < 0 ? 0 : from];
    es_random noise = es_random_new(t->scene.seed, 5000 + (uint64_t)t->scene.next);
    for (int a = 0; a < 3; a++) pose.m[4 * a + 3] += t->noise_mm * es_random_normal(&noise);
    return es_frame_set_transform(frame, "ProbeToTracker", pose, true, err);
}
static bool tracked_rewind(void *self, es_error *err) {
    return scene_rewind(&((tracked *)self)->scene, err);
}
static void tracked_leave(void *self) { ((tracked *)self)->scene.next = 0; }

static es_source *tracked_open(tracked *t, es_error *err) {
    static const es_source_ops ops = {tracked_next, tracked_rewind, tracked_leave};
    es_stream_info info = {.frame_count = t->scene.frames,
                           .width = SCENE_SIDE,
                           .height = SCENE_SIDE,
                           .type = ES_U8,
                           .channels = 1,
                           .spacing_mm = {1, 1}};
    t->scene.next = 0;
    return es_source_new(&ops, t, &info, err);
}

/* ImageToProbe whose columns are `scale` times too long. */
static es_plus *calibration(const pose_scene *s, double scale, es_error *err) {
    pose_scene wrong = *s;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) wrong.image_to_probe.m[4 * r + c] *= scale;
    return scene_plus(&wrong, err);
}

/* The evidence of this source; false when there is none. */
static bool judge_for(const char *name, tracked *t, double scale, es_evidence *found) {
    es_error err = {0};
    es_judge_request request;
    es_judgement judgement = {0};
    es_judge_request_init(&request);
    es_plus *plus = calibration(&t->scene, scale, &err);
    es_source *source = tracked_open(t, &err);
    request.plus = plus;
    request.config = "rig.xml";
    request.motion = true;
    if (!es_judge(source, &request, &judgement, &err)) fail_msg("%s", err.message);
    bool yes = false;
    for (size_t i = 0; i < judgement.evidence.count; i++)
        if (strcmp(judgement.evidence.items[i].source, name) == 0)
            *found = judgement.evidence.items[i], yes = true;
    es_judgement_clear(&judgement);
    es_source_free(source);
    es_plus_free(plus);
    return yes;
}

static bool judge(tracked *t, double scale, es_evidence *found) {
    return judge_for("motion", t, scale, found);
}

/* ---- the sentences -------------------------------------------------------------------- */

/* Within twice its stated sigma, which is 3 % at least: dragging is its floor. */
static void expect_truth(const es_evidence *e, uint64_t seed) {
    int axes = 0;
    for (int a = 0; a < 2; a++) {
        if (isnan(e->spacing_mm[a])) continue;
        double error = log(e->spacing_mm[a] / SCENE_PIXEL_MM);
        axes++;
        if (!(fabs(error) <= 2 * e->sigma[a]))
            fail_msg("seed %llu axis %d: %.4f for %.4f, sigma %.3f: %s", (unsigned long long)seed,
                     a, e->spacing_mm[a], SCENE_PIXEL_MM, e->sigma[a], e->note);
        assert_true(e->sigma[a] >= 0.03);
    }
    assert_true(axes > 0);
}

static void motion_in_the_plane_gives_the_scale_whatever_the_calibration_says(void **state) {
    (void)state;
    int found = 0;
    for (uint64_t seed = 1; seed <= 3; seed += 2) {
        tracked t = {.noise_mm = 0.05};
        es_evidence e;
        scene_make(&t.scene, seed, true);
        if (judge(&t, seed == 1 ? 0.5 : 1.3, &e)) {
            expect_truth(&e, seed);
            found++;
        }
        scene_clear(&t.scene);
    }

    assert_int_equal(found, 2);
}

static void poses_that_are_late_are_shifted_and_told(void **state) {
    (void)state;
    tracked t = {.late = 3};
    es_evidence e;
    scene_make(&t.scene, 3, true);
    assert_true(judge(&t, 1, &e));
    expect_truth(&e, 3);
    assert_non_null(strstr(e.note, "3 frames later"));
    scene_clear(&t.scene);
}

static void a_sweep_across_the_plane_says_nothing(void **state) {
    (void)state;
    tracked t = {.late = 0};
    es_evidence e;
    scene_make(&t.scene, 3, false);
    assert_false(judge(&t, 1, &e));
    scene_clear(&t.scene);
}

/* Poses of quite another time: they move, but not as the pictures do. */
static void poses_that_do_not_belong_to_the_pictures_say_nothing(void **state) {
    (void)state;
    tracked t = {.late = SCENE_FRAMES / 2};
    es_evidence e;
    scene_make(&t.scene, 5, true);
    assert_false(judge(&t, 1, &e));
    scene_clear(&t.scene);
}

/* Crossing pictures of the same tissue agree at one scale only, whatever the
 * calibration's is; its origin is the corner's, which no other place shares. */
static void crossing_pictures_give_the_scale(void **state) {
    (void)state;
    int found = 0;
    for (uint64_t seed = 11; seed <= 12; seed++) {
        tracked t = {.noise_mm = 0.05};
        es_evidence e;
        scene_make(&t.scene, seed, true);
        if (judge_for("overlap", &t, seed % 2 ? 0.75 : 1.3, &e)) {
            expect_truth(&e, seed);
            assert_true(e.sigma[0] >= 0.04);
            found++;
        }
        scene_clear(&t.scene);
    }
    assert_int_equal(found, 2);
}

static void pictures_that_never_cross_say_nothing_of_a_scale(void **state) {
    (void)state;
    tracked t = {.late = 0};
    es_evidence e;
    scene_make(&t.scene, 3, false);
    assert_false(judge_for("overlap", &t, 1, &e));
    scene_clear(&t.scene);
}

static void poses_of_another_time_make_no_scale_agree(void **state) {
    (void)state;
    for (uint64_t seed = 5; seed <= 6; seed++) {
        tracked t = {.late = SCENE_FRAMES / 2};
        es_evidence e;
        scene_make(&t.scene, seed, true);
        assert_false(judge_for("overlap", &t, 1, &e));
        scene_clear(&t.scene);
    }
}

static void running_out_of_memory_is_told(void **state) {
    (void)state;
    tracked t = {.late = 0};
    scene_make(&t.scene, 2, true);
    t.scene.frames = 26; /* enough for crossing pictures, too */
    es_error err = {0};
    es_plus *plus = calibration(&t.scene, 1, &err);
    bool done = false;
    int failures = 0;
    for (int64_t after = 0; !done && after < 100000; after += 1 + after / 3) {
        es_source *source = tracked_open(&t, NULL);
        es_judge_request request;
        es_judgement judgement;
        es_judge_request_init(&request);
        request.plus = plus;
        request.config = "rig.xml";
        request.motion = true;
        err = (es_error){0};
        es_alloc_fail_after(after);
        done = es_judge(source, &request, &judgement, &err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        failures += !done;
        if (done) es_judgement_clear(&judgement);
        es_source_free(source);
    }
    assert_true(done && failures > 5);
    es_plus_free(plus);
    scene_clear(&t.scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(motion_in_the_plane_gives_the_scale_whatever_the_calibration_says),
        cmocka_unit_test(poses_that_are_late_are_shifted_and_told),
        cmocka_unit_test(a_sweep_across_the_plane_says_nothing),
        cmocka_unit_test(poses_that_do_not_belong_to_the_pictures_say_nothing),
        cmocka_unit_test(crossing_pictures_give_the_scale),
        cmocka_unit_test(pictures_that_never_cross_say_nothing_of_a_scale),
        cmocka_unit_test(poses_of_another_time_make_no_scale_agree),
        cmocka_unit_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
