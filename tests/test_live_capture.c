/* Files as if live: what comes is what is in them, with the poses of the moment; queues
 * stay bounded, and stopping never hangs. Grabbers and streams: test_capture.py. */
#include "live_scene.h"

#include <stdio.h>

#include "echosolid/capture.h"

enum { FRAMES = 30 };

static char folder[256], recording[300];

static bool write_scene(const char *path, int64_t frames) {
    live_scene scene = {.width = 32, .height = 24, .frames = frames, .rate_hz = 50};
    es_source *source = scene_open(&scene);
    es_sink *sink = es_sequence_create(path, es_source_info(source), NULL, NULL);
    es_frame frame = {0};
    bool end = false, ok = sink != NULL;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL)) && !end)
        ok = es_sink_put(sink, &frame, NULL);
    ok = ok && es_sink_finish(sink, NULL);
    es_sink_free(sink);
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/echosolid-capture-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) return -1;
    snprintf(recording, sizeof recording, "%s/scene.igs.mha", folder);
    return write_scene(recording, FRAMES) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(recording);
    return rmdir(folder);
}

static es_live *open_file(const es_live_options *options, es_error *err) {
    const es_live_capture_options c = {.address = recording, .whole = true};
    return es_live_capture(&c, options, err);
}

static bool next(es_live *live, es_frame *frame) {
    bool end = true;
    assert_true(es_live_wait(live, 60));
    assert_true(es_source_next(es_live_source(live), frame, ES_READ_PIXELS, &end, NULL));
    return !end;
}

static void a_recordings_frames_come_with_its_poses_and_then_end(void **state) {
    (void)state;
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    live_scene scene = {.width = 32, .height = 24, .frames = FRAMES, .rate_hz = 50};
    es_source *truth = scene_open(&scene);
    es_frame got = {0}, sent = {0};
    bool end;
    es_live *live = open_file(&o, &err);
    if (!live) fail_msg("%s", err.message);
    assert_string_equal(es_source_info(es_live_source(live))->format, "capture");
    double first_s = 0;
    for (int f = 0; f < FRAMES; f++) {
        assert_true(next(live, &got));
        assert_true(es_source_next(truth, &sent, ES_READ_PIXELS, &end, NULL));
        if (f == 0) first_s = got.time_s;
        assert_memory_equal(got.image.data, sent.image.data, 32 * 24);
        /* Unix seconds in a double are true to 2.4e-7 s. */
        assert_true(fabs(got.time_s - first_s - (sent.time_s - 5)) < 1e-5);
        const es_frame_transform *a = es_frame_find_transform(&got, "ProbeToTracker");
        assert_int_equal(a->valid, scene_sees(f));
        assert_string_equal(es_fields_get(&got.fields, "ProbeButton"), f % 2 ? "down" : "up");
    }
    assert_false(next(live, &got));
    es_live_stats s = es_live_statistics(live);
    assert_int_equal(s.pictures, FRAMES);
    assert_int_equal(s.lost + s.odd + s.duplicates, 0);
    assert_false(s.connected);
    es_frame_clear(&got);
    es_frame_clear(&sent);
    es_source_free(truth);
    es_live_free(live);
}

/* ---- a tracker beside it ------------------------------------------------------------------ */

typedef struct pusher {
    pthread_t thread;
    es_live_poses *poses;
    double begun_s;
    atomic_bool over;
} pusher;

static double unix_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Poses every 5 ms, stamped so, whenever this thread may run: x is the time. */
static void *push(void *context) {
    pusher *p = context;
    for (int64_t i = 0; !p->over; i++) {
        es_live_pose pose = {.name = "StylusToTracker",
                             .matrix = es_mat4_identity(),
                             .valid = true,
                             .time_s = p->begun_s + 0.005 * (double)i};
        pose.matrix.m[3] = 0.005 * (double)i;
        while (unix_now() < pose.time_s) rest_s(0.001);
        es_live_poses_push(p->poses, &pose);
    }
    return NULL;
}

static void poses_of_a_tracker_are_joined_by_time_and_lag(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        es_live_options o = ES_LIVE_DEFAULTS;
        es_error err = {0};
        es_frame frame = {0};
        pusher p = {.poses = es_live_poses_new(4096, NULL), .begun_s = unix_now() - 1};
        o.poses = p.poses;
        o.lag_s = k ? -0.3 : 0;
        o.tolerance_s = 0.0026; /* half of a step of the poses */
        o.wait_s = 10;          /* on a busy machine too */
        assert_int_equal(pthread_create(&p.thread, NULL, push, &p), 0);
        es_live *live = open_file(&o, &err);
        if (!live) fail_msg("%s", err.message);
        int joined = 0;
        while (next(live, &frame)) {
            const es_frame_transform *t = es_frame_find_transform(&frame, "StylusToTracker");
            if (!t || !t->valid) continue;
            assert_true(fabs(t->matrix.m[3] - (frame.time_s + o.lag_s - p.begun_s)) < 0.0026);
            joined++;
        }
        assert_true(joined > FRAMES / 2);
        p.over = true;
        pthread_join(p.thread, NULL);
        es_frame_clear(&frame);
        es_live_free(live);
        es_live_poses_free(p.poses);
    }
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void who_does_not_take_loses_frames_and_they_are_counted(void **state) {
    (void)state;
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    es_frame frame = {0};
    o.queue_bytes = 1; /* the least: 8 frames */
    es_live *live = open_file(&o, &err);
    if (!live) fail_msg("%s", err.message);
    for (double end = es_clock_s() + 60;
         es_live_statistics(live).pictures < FRAMES && es_clock_s() < end;)
        rest_s(0.01);
    rest_s(0.3); /* what waits for poses comes out within 100 ms */
    int got = 0;
    while (next(live, &frame)) got++;
    es_live_stats s = es_live_statistics(live);
    assert_int_equal(got, 8);
    assert_int_equal(got + s.lost, FRAMES);
    es_frame_clear(&frame);
    es_live_free(live);
}

static void it_can_be_stopped_and_freed_at_any_moment(void **state) {
    (void)state;
    for (int k = 0; k < 8; k++) {
        es_live_options o = ES_LIVE_DEFAULTS;
        es_error err = {0};
        es_frame frame = {0};
        bool end = false;
        es_live *live = open_file(&o, &err);
        if (!live) fail_msg("%s", err.message);
        for (int f = 0; f < k; f++) assert_true(next(live, &frame));
        if (k % 2) {
            es_live_stop(live);
            while (es_source_next(es_live_source(live), &frame, 0, &end, NULL) && !end) continue;
            assert_true(end);
        }
        es_frame_clear(&frame);
        es_live_free(live);
    }
}

static void what_is_not_there_is_told(void **state) {
    (void)state;
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    es_live_capture_options c = {.address = "/nonexistent/scan.mp4"};
    assert_null(es_live_capture(&c, &o, &err));
    assert_int_equal(err.code, ES_IO);
    assert_non_null(strstr(err.message, "scan.mp4"));
    c.address = "gopher://a/b";
    assert_null(es_live_capture(&c, &o, &err));
    assert_int_equal(err.code, ES_USAGE);
    c = (es_live_capture_options){.address = recording, .crop = {30, 0, 8, 8}};
    assert_null(es_live_capture(&c, &o, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "crop"));
}

static void passwords_are_not_shown(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"rtsp://nurse:secret@10.0.0.9:554/a?b=c", "rtsp://10.0.0.9:554/a?b=c"},
        {"rtsp://nurse:p@ss@10.0.0.9/a@b", "rtsp://10.0.0.9/a@b"},
        {"tcp://host:1", "tcp://host:1"},
        {"a@b.mp4", "a@b.mp4"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[300];
        es_capture_name(names[i][0], name);
        assert_string_equal(name, names[i][1]);
    }
}

static void memory_that_runs_out_ends_it_in_words(void **state) {
    (void)state;
    int failures = 0;
    for (int n = 0; n < 60; n++) {
        es_live_options o = ES_LIVE_DEFAULTS;
        es_error err = {0};
        es_alloc_fail_after(n);
        es_live *live = open_file(&o, &err);
        es_alloc_fail_after(-1);
        failures += !live;
        if (!live) assert_int_equal(err.code, ES_MEMORY);
        es_live_free(live);
    }
    assert_true(failures > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recordings_frames_come_with_its_poses_and_then_end),
        cmocka_unit_test(poses_of_a_tracker_are_joined_by_time_and_lag),
        cmocka_unit_test(who_does_not_take_loses_frames_and_they_are_counted),
        cmocka_unit_test(it_can_be_stopped_and_freed_at_any_moment),
        cmocka_unit_test(what_is_not_there_is_told),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(memory_that_runs_out_ends_it_in_words),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
