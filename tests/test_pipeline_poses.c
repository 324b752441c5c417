/* Frames joined with the poses of a table: what goes with what, and which
 * reading is right, judged in mm against the simulated truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "pose_scene.h"

static char path[128];

static int make_path(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/echosolid-poses-XXXXXX", base ? base : "/tmp");
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void assert_says(const es_error *err, es_code code, const char *part) {
    if (err->code != code || !strstr(err->message, part))
        fail_msg("expected code %d with \"%s\", got %d: %s", (int)code, part, (int)err->code,
                 err->message);
}

static es_source *join(pose_scene *s, es_pose_request r, es_decisions *d, es_error *err) {
    r.path = path;
    return es_pose_join(scene_open(s, err), &r, d, err);
}

static es_pose_request request(void) {
    es_pose_request r;
    es_pose_request_init(&r);
    return r;
}

static bool told(const es_decisions *d, const char *what, const char *part) {
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->items[i].what, what) == 0 &&
            (strstr(d->items[i].value, part) || strstr(d->items[i].why, part)))
            return true;
    return false;
}

/* ---- the guess ---------------------------------------------------------------- */

/* Every other attribute than the order is in doubt too: bench_poses goes
 * through all 48 layouts. */
static void the_pictures_motion_tells_the_layout(void **state) {
    (void)state;
    for (int n = 0; n < LAYOUTS; n += 7) {
        es_error err = {0};
        es_decisions d = {0};
        pose_scene s;
        scene_make(&s, 40 + (uint64_t)n, true);
        scene_write(&s, path, scene_layout_number(n));
        es_pose_request r = request();
        es_plus *plus = scene_plus(&s, &err);
        r.plus = plus;
        es_source *joined = join(&s, r, &d, &err);
        if (!joined) fail_msg("layout %d: %s", n, err.message);
        /* A millimetre's fifth: the table's digits and readings that are alike. */
        double error = scene_error_mm(&s, joined);
        if (!(error < 0.2)) fail_msg("layout %d: %g mm off", n, error);
        assert_true(told(&d, "poses' direction", "foretells how the pictures move"));
        es_source_free(joined);
        es_decisions_clear(&d);
        es_plus_free(plus);
        scene_clear(&s);
    }
}

static void without_motion_in_the_plane_nobody_guesses(void **state) {
    (void)state;
    for (int n = 0; n < 4; n++) {
        es_error err = {0};
        es_decisions d = {0};
        pose_scene s;
        scene_make(&s, 60 + (uint64_t)n, false);
        scene_write(&s, path, scene_layout_number(5 * n));
        es_plus *plus = scene_plus(&s, &err);
        es_pose_request r = request();
        r.plus = plus;
        assert_null(join(&s, r, &d, &err));
        assert_says(&err, ES_GEOMETRY, "handedness=right or left");
        assert_says(&err, ES_GEOMETRY, "--pose-layout");
        es_decisions_clear(&d);
        es_plus_free(plus);
        scene_clear(&s);
    }
}

static void pictures_of_another_motion_answer_nothing(void **state) {
    (void)state;
    pose_scene s, other;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 70, true);
    scene_make(&other, 71, true);
    scene_write(&other, path, scene_layout_number(0));
    es_plus *plus = scene_plus(&s, &err);
    es_pose_request r = request();
    r.plus = plus;
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_GEOMETRY, "no reading foretells");
    es_decisions_clear(&d);
    es_plus_free(plus);
    scene_clear(&s);
    scene_clear(&other);
}

static void the_example_of_the_refusal_is_taken_by_the_option(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 80, false);
    scene_write(&s, path, scene_layout_number(0));
    assert_null(join(&s, request(), &d, &err));
    assert_says(&err, ES_GEOMETRY, "--config");
    char layout[ES_POSE_TEXT], *quoted = strchr(err.message, '"');
    assert_non_null(quoted);
    snprintf(layout, sizeof layout, "%.*s", (int)strcspn(quoted + 1, "\""), quoted + 1);
    es_pose_request r = request();
    r.layout = layout;
    es_source *joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    es_source_free(joined);
    r.layout = "quaternion=wxyz,unit=mm,direction=tool-to-tracker,handedness=right";
    joined = join(&s, r, &d, &err);
    assert_non_null(joined);
    assert_true(scene_error_mm(&s, joined) < 1e-3);
    es_source_free(joined);
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void a_frozen_table_is_refused_unless_all_is_said(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 90, true);
    for (int f = 1; f < s.frames; f++) s.truth[f] = s.truth[0];
    scene_write(&s, path, scene_layout_number(0));
    assert_null(join(&s, request(), &d, &err));
    assert_says(&err, ES_FORMAT, "all 64 poses of the probe are the same");
    es_decisions_clear(&d);
    scene_clear(&s);
}

/* ---- joining -------------------------------------------------------------------- */

static const char said[] = "quaternion=wxyz,unit=mm,direction=tool-to-tracker,handedness=right";

/* A table of the scene's poses with times, at `rate_hz`, starting at
 * `start_s` of its own clock; the pose lies between those of the frames. */
static void write_timed(const pose_scene *s, double start_s, double rate_hz, double seconds) {
    FILE *file = fopen(path, "w");
    fprintf(file, "time_s,tx,ty,tz,qw,qx,qy,qz\n");
    for (int i = 0; i < (int)(seconds * rate_hz) + 1; i++) {
        double f = i / rate_hz * s->rate_hz;
        int a = (int)f, b = a + 1 < s->frames ? a + 1 : a;
        if (a >= s->frames) break;
        fprintf(file, "%.9f,", start_s + i / rate_hz);
        scene_write_row(file, es_pose_interpolate(s->truth[a], s->truth[b], f - a), 0, ",");
    }
    fclose(file);
}

static void two_clocks_join_poses_between_their_samples(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 100, true);
    s.rate_hz = 20;
    s.start_s = 500;
    write_timed(&s, 500, 130, 3.2);
    es_pose_request r = request();
    r.layout = said;
    es_source *joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    /* 130 Hz is no multiple of 20: corners between samples, where the motion
     * bends by less than this in 8 ms. */
    assert_true(scene_error_mm(&s, joined) < 0.2);
    assert_true(told(&d, "poses joined", "by time, 64 of 64"));
    assert_true(told(&d, "poses joined", "the clocks overlap"));
    es_source_free(joined);
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void clocks_that_count_from_their_own_start_need_the_offset(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 101, true);
    s.rate_hz = 20;
    write_timed(&s, 900, 130, 3.2);
    es_pose_request r = request();
    r.layout = said;
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_FORMAT, "--time-offset");
    r.time_offset_s = -900;
    es_source *joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    assert_true(scene_error_mm(&s, joined) < 0.2);
    es_source_free(joined);
    r.time_offset_s = 5;
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_FORMAT, "no frame of");
    /* Frames without times: their rate and the offset. */
    s.rate_hz = 0;
    r.time_offset_s = NAN;
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_FORMAT, "64 frames, but 416 poses");
    assert_says(&err, ES_FORMAT, "--fps");
    r.rate_hz = 20;
    r.time_offset_s = -900;
    joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    assert_true(scene_error_mm(&s, joined) < 0.2);
    es_source_free(joined);
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void wrong_counts_are_refused_with_both(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 102, true);
    s.frames = 50;
    scene_write(&s, path, scene_layout_number(0));
    s.frames = 64;
    assert_null(join(&s, request(), &d, &err));
    assert_says(&err, ES_FORMAT, "64 frames, but 50 poses");
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void gaps_become_invalid_poses_and_are_counted(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 103, true);
    FILE *file = fopen(path, "w");
    for (int f = 0; f < s.frames; f++)
        if (f == 3)
            fprintf(file, "NaN,NaN,NaN,NaN,NaN,NaN,NaN\n");
        else
            scene_write_row(file, s.truth[f], 0, ",");
    fclose(file);
    es_pose_request r = request();
    r.layout = said;
    es_source *joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    assert_true(told(&d, "frames without pose", "1 of 64"));
    es_frame frame = {0};
    bool end = false;
    for (int f = 0; es_source_next(joined, &frame, 0, &end, &err) && !end; f++)
        assert_int_equal(es_frame_find_transform(&frame, "ProbeToTracker")->valid, f != 3);
    es_frame_clear(&frame);
    es_source_free(joined);
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void tools_are_named_or_asked_for(void **state) {
    (void)state;
    pose_scene s;
    es_error err = {0};
    es_decisions d = {0};
    scene_make(&s, 104, true);
    FILE *file = fopen(path, "w");
    fprintf(file, "A tx,A ty,A tz,A qw,A qx,A qy,A qz,B 2_tx,B 2_ty,B 2_tz,B 2_qw,B 2_qx,B 2_qy,B "
                  "2_qz\n");
    for (int f = 0; f < s.frames; f++) {
        fprintf(file, "1,2,3,1,0,0,0,");
        scene_write_row(file, s.truth[f], 0, ",");
    }
    fclose(file);
    es_pose_request r = request();
    r.layout = said;
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_USAGE, "'A', 'B_2'");
    r.tools = "B_2";
    es_source *joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    assert_true(scene_error_mm(&s, joined) < 1e-3);
    assert_true(told(&d, "pose tool", "'A' as AToTracker"));
    es_source_free(joined);
    r.tools = "B_2=Probe, A = Reference";
    joined = join(&s, r, &d, &err);
    if (!joined) fail_msg("%s", err.message);
    assert_true(told(&d, "pose tool", "'A' as ReferenceToTracker"));
    es_source_free(joined);
    r.tools = "B_2=Probe,A=Probe";
    assert_null(join(&s, r, &d, &err));
    assert_says(&err, ES_USAGE, "two tools");
    es_decisions_clear(&d);
    scene_clear(&s);
}

static void failing_memory_is_told_and_nothing_leaks(void **state) {
    (void)state;
    pose_scene s;
    scene_make(&s, 105, true);
    scene_write(&s, path, scene_layout_number(0));
    es_pose_request r = request();
    r.layout = said;
    for (long n = 0; n < 400; n++) {
        es_error err = {0};
        es_decisions d = {0};
        es_source *source = scene_open(&s, &err);
        r.path = path;
        es_alloc_fail_after(n);
        es_source *joined = es_pose_join(source, &r, &d, &err);
        es_alloc_fail_after(-1);
        es_decisions_clear(&d);
        if (joined) {
            es_source_free(joined);
            scene_clear(&s);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(err.code, ES_MEMORY);
    }
    fail_msg("never succeeded");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pictures_motion_tells_the_layout),
        cmocka_unit_test(without_motion_in_the_plane_nobody_guesses),
        cmocka_unit_test(pictures_of_another_motion_answer_nothing),
        cmocka_unit_test(the_example_of_the_refusal_is_taken_by_the_option),
        cmocka_unit_test(a_frozen_table_is_refused_unless_all_is_said),
        cmocka_unit_test(two_clocks_join_poses_between_their_samples),
        cmocka_unit_test(clocks_that_count_from_their_own_start_need_the_offset),
        cmocka_unit_test(wrong_counts_are_refused_with_both),
        cmocka_unit_test(gaps_become_invalid_poses_and_are_counted),
        cmocka_unit_test(tools_are_named_or_asked_for),
        cmocka_unit_test(failing_memory_is_told_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
