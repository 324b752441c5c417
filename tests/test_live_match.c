/* Pictures and poses joined in time, without sockets. */
#include "live_scene.h"

#include "../src/live/match.h"

static const match_options USUAL = {.tolerance_s = 0.02, .wait_s = 0.1};

static matcher *make(const match_options *options) {
    matcher *m = matcher_new(options, NULL);
    assert_non_null(m);
    return m;
}

static void pose(matcher *m, const char *name, double time_s, double x, bool valid, double now_s) {
    es_live_pose p = {.time_s = time_s, .matrix = es_mat4_translation(x, 0, 0), .valid = valid};
    snprintf(p.name, sizeof p.name, "%s", name);
    assert_true(matcher_pose(m, &p, now_s, NULL));
}

static void picture(matcher *m, double time_s, double now_s) {
    es_frame frame = {.has_time = true, .time_s = time_s};
    matcher_picture(m, &frame, now_s);
    es_frame_clear(&frame);
}

/* The frame that is ready now, or NULL. */
static const es_frame *take(matcher *m, double now_s, bool *paired) {
    static es_frame frame;
    matched how = {0};
    bool taken;
    es_frame_clear(&frame);
    assert_true(matcher_take(m, now_s, &frame, &how, &taken, NULL));
    if (paired) *paired = how.paired;
    return taken ? &frame : NULL;
}

static double x_of(const es_frame *frame, const char *name) {
    const es_frame_transform *t = es_frame_find_transform(frame, name);
    assert_non_null(t);
    assert_true(t->valid);
    return t->matrix.m[3];
}

static void a_picture_takes_the_pose_of_its_own_stamp(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    bool paired;
    pose(m, "ProbeToTracker", 10.00, 1, true, 0);
    pose(m, "ProbeToTracker", 10.01, 2, true, 0);
    pose(m, "ProbeToTracker", 10.02, 3, true, 0);
    picture(m, 10.01, 0);
    const es_frame *frame = take(m, 0, &paired);
    assert_non_null(frame);
    assert_true(paired);
    assert_true(x_of(frame, "ProbeToTracker") == 2);
    matcher_free(m);
}

static void a_picture_waits_for_the_pose_that_comes_behind_it(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    pose(m, "ProbeToTracker", 9.96, 1, true, 0);
    picture(m, 10, 0.04);
    assert_null(take(m, 0.04, NULL));
    pose(m, "ProbeToTracker", 10, 2, true, 0.05);
    const es_frame *frame = take(m, 0.05, NULL);
    assert_non_null(frame);
    assert_true(x_of(frame, "ProbeToTracker") == 2);
    matcher_free(m);
}

static void a_picture_waits_no_longer_than_it_may(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    bool paired;
    pose(m, "ProbeToTracker", 9, 1, true, 0);
    picture(m, 10, 0.04);
    assert_null(take(m, 0.13, NULL));
    const es_frame *frame = take(m, 0.15, &paired);
    assert_non_null(frame);
    assert_false(paired);
    const es_frame_transform *t = es_frame_find_transform(frame, "ProbeToTracker");
    assert_non_null(t);
    assert_false(t->valid);
    assert_string_equal(t->status, "MISSING");
    matcher_free(m);
}

static void without_an_equal_stamp_the_nearest_within_the_tolerance_is_taken(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    for (int i = 0; i < 100; i++) /* 120 Hz */
        pose(m, "ProbeToTracker", 10 + i / 120.0, i, true, 0);
    picture(m, 10 + 30.4 / 120, 0);
    assert_true(x_of(take(m, 0, NULL), "ProbeToTracker") == 30);
    picture(m, 10 + 30.6 / 120, 0);
    assert_true(x_of(take(m, 0, NULL), "ProbeToTracker") == 31);
    picture(m, 10 - 0.021, 0); /* one millisecond past the tolerance */
    assert_false(es_frame_find_transform(take(m, 0, NULL), "ProbeToTracker")->valid);
    matcher_free(m);
}

static void a_late_tracker_is_asked_for_a_later_stamp(void **state) {
    (void)state;
    const match_options late = {.tolerance_s = 0.02, .wait_s = 0.1, .lag_s = 0.05};
    matcher *m = make(&late);
    for (int i = 0; i < 20; i++) pose(m, "ProbeToTracker", 10 + 0.05 * i, i, true, 0);
    picture(m, 10.2, 0);
    assert_true(x_of(take(m, 0, NULL), "ProbeToTracker") == 5);
    matcher_free(m);
}

static void a_tool_that_was_not_seen_is_never_replaced_by_an_older_pose(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    pose(m, "ProbeToTracker", 9.99, 1, true, 0);
    pose(m, "ProbeToTracker", 10, 2, false, 0);
    picture(m, 10, 0);
    const es_frame *frame = take(m, 0, NULL);
    assert_non_null(frame);
    assert_false(es_frame_find_transform(frame, "ProbeToTracker")->valid);
    matcher_free(m);
}

static void a_tracker_that_fell_silent_keeps_nobody_waiting(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    pose(m, "StylusToTracker", 5, 1, true, 0);
    pose(m, "ProbeToTracker", 10, 2, true, 5);
    picture(m, 10, 5);
    const es_frame *frame = take(m, 5, NULL);
    assert_non_null(frame);
    assert_true(x_of(frame, "ProbeToTracker") == 2);
    assert_false(es_frame_find_transform(frame, "StylusToTracker")->valid);
    matcher_free(m);
}

static void a_clock_that_was_set_back_is_believed(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    pose(m, "ProbeToTracker", 1000, 1, true, 0);
    pose(m, "ProbeToTracker", 10, 2, true, 0.1);
    picture(m, 10, 0.1);
    assert_true(x_of(take(m, 0.1, NULL), "ProbeToTracker") == 2);
    matcher_free(m);
}

static void what_a_frame_brought_along_stays(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    es_frame frame = {.has_time = true, .time_s = 10};
    assert_true(
        es_frame_set_transform(&frame, "ProbeToTracker", es_mat4_translation(7, 0, 0), true, NULL));
    matcher_picture(m, &frame, 0);
    es_frame_clear(&frame);
    pose(m, "ProbeToTracker", 10, 2, true, 0);
    assert_true(x_of(take(m, 0, NULL), "ProbeToTracker") == 7);
    matcher_free(m);
}

static void pictures_come_out_in_order_and_the_line_is_bounded(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    int out = 0;
    pose(m, "ProbeToTracker", 1, 1, true, 0);
    for (int i = 0; i < 100; i++) {
        picture(m, 10 + i, 0);
        for (const es_frame *frame; (frame = take(m, 0, NULL)); out++)
            assert_true(frame->time_s == 10 + out);
    }
    assert_int_equal(out, 100 - (MATCH_PENDING - 1));
    matcher_free(m);
}

static void more_trackers_than_there_is_room_for_are_refused(void **state) {
    (void)state;
    matcher *m = make(&USUAL);
    es_error err = {0};
    for (int i = 0; i < MATCH_STREAMS; i++) {
        char name[32];
        snprintf(name, sizeof name, "Tool%dToTracker", i);
        pose(m, name, 10, i, true, 0);
    }
    es_live_pose p = {.name = "LastToTracker", .time_s = 10};
    assert_false(matcher_pose(m, &p, 0, &err));
    assert_int_equal(err.code, ES_FORMAT);
    assert_non_null(strstr(err.message, "LastToTracker"));
    matcher_free(m);
}

static void memory_that_runs_out_is_an_error(void **state) {
    (void)state;
    for (long n = 0; n < 2; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        matcher *m = matcher_new(&USUAL, &err);
        es_live_pose p = {.name = "ProbeToTracker", .time_s = 10};
        bool ok = m && matcher_pose(m, &p, 0, &err);
        es_alloc_fail_after(-1);
        assert_false(ok);
        assert_int_equal(err.code, ES_MEMORY);
        matcher_free(m);
    }
}

/* ---- the queue of poses ------------------------------------------------------------ */

static void a_full_queue_of_poses_drops_the_oldest(void **state) {
    (void)state;
    es_live_poses *q = es_live_poses_new(4, NULL);
    es_live_pose out[8];
    uint64_t pushed, dropped;
    for (int i = 0; i < 6; i++) {
        es_live_pose p = {.time_s = i};
        assert_int_equal(es_live_poses_push(q, &p), i < 4);
    }
    es_live_poses_count(q, &pushed, &dropped);
    assert_int_equal(pushed, 6);
    assert_int_equal(dropped, 2);
    assert_int_equal(es_live_poses_take(q, out, 3), 3);
    for (int i = 0; i < 3; i++) assert_true(out[i].time_s == 2 + i);
    assert_int_equal(es_live_poses_take(q, out, 8), 1);
    assert_true(out[0].time_s == 5);
    assert_int_equal(es_live_poses_take(q, out, 8), 0);
    es_live_poses_free(q);
}

static void a_queue_of_poses_needs_room(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_live_poses_new(0, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_live_poses_free(NULL);
}

enum { WRITERS = 4, EACH = 2000 };
static void *push_many(void *q) {
    for (int i = 0; i < EACH; i++) {
        es_live_pose p = {.time_s = i};
        es_live_poses_push(q, &p);
    }
    return NULL;
}

static void many_threads_may_push_and_nothing_is_counted_twice(void **state) {
    (void)state;
    es_live_poses *q = es_live_poses_new(64, NULL);
    pthread_t threads[WRITERS];
    es_live_pose out[16];
    uint64_t pushed = 0, dropped = 0, taken = 0;
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, q), 0);
    while (pushed < WRITERS * EACH) {
        taken += es_live_poses_take(q, out, 16);
        es_live_poses_count(q, &pushed, &dropped);
    }
    for (int i = 0; i < WRITERS; i++) pthread_join(threads[i], NULL);
    for (size_t n; (n = es_live_poses_take(q, out, 16)) > 0;) taken += n;
    es_live_poses_count(q, &pushed, &dropped);
    assert_int_equal(taken + dropped, WRITERS * EACH);
    es_live_poses_free(q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_takes_the_pose_of_its_own_stamp),
        cmocka_unit_test(a_picture_waits_for_the_pose_that_comes_behind_it),
        cmocka_unit_test(a_picture_waits_no_longer_than_it_may),
        cmocka_unit_test(without_an_equal_stamp_the_nearest_within_the_tolerance_is_taken),
        cmocka_unit_test(a_late_tracker_is_asked_for_a_later_stamp),
        cmocka_unit_test(a_tool_that_was_not_seen_is_never_replaced_by_an_older_pose),
        cmocka_unit_test(a_tracker_that_fell_silent_keeps_nobody_waiting),
        cmocka_unit_test(a_clock_that_was_set_back_is_believed),
        cmocka_unit_test(what_a_frame_brought_along_stays),
        cmocka_unit_test(pictures_come_out_in_order_and_the_line_is_bounded),
        cmocka_unit_test(more_trackers_than_there_is_room_for_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
        cmocka_unit_test(a_full_queue_of_poses_drops_the_oldest),
        cmocka_unit_test(a_queue_of_poses_needs_room),
        cmocka_unit_test(many_threads_may_push_and_nothing_is_counted_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
