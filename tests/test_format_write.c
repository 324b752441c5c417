/* Writing: whole or not at all, in flat memory, whatever goes wrong. */
#include "format_support.h"

#include <signal.h>
#include <sys/resource.h>

enum { W = 32, H = 16, FRAMES = 4 };

static const char *const recordings[] = {"w.igs.mha", "w.igs.mhd", "w.igs.nrrd", "w.igs.nhdr"};
static const char *const volumes[] = {"v.mha", "v.mhd", "v.nrrd", "v.nhdr", "v.nii", "v.nii.gz"};
enum { RECORDINGS = 4, VOLUMES = 6 };

static es_stream_info small_info(void) {
    return (es_stream_info){.frame_count = -1,
                            .width = W,
                            .height = H,
                            .channels = 1,
                            .spacing_mm = {1, 1},
                            .orientation = "MFA"};
}

static bool fill_frame(es_frame *frame, int f, es_error *err) {
    if (!es_image_resize(&frame->image, ES_U8, 1, W, H, err)) return false;
    memset(frame->image.data, f, W * H);
    frame->has_image = frame->has_time = true;
    frame->time_s = f / 10.0;
    char number[20];
    snprintf(number, sizeof number, "%d", f);
    return es_frame_set_transform(frame, "ProbeToTracker", es_mat4_translation(f, 0, 0), true,
                                  err) &&
           es_fields_set(&frame->fields, "FrameNumber", number, err);
}

static bool write_recording(const char *name, bool compress, es_error *err) {
    es_stream_info info = small_info();
    es_sequence_options options = {.compress = compress, .level = 1};
    es_frame frame = {0};
    es_sink *sink = es_sequence_create(in_folder(name), &info, &options, err);
    bool ok = sink != NULL;
    for (int f = 0; ok && f < FRAMES; f++)
        ok = fill_frame(&frame, f, err) && es_sink_put(sink, &frame, err);
    ok = ok && es_sink_finish(sink, err);
    es_sink_free(sink);
    es_frame_clear(&frame);
    return ok;
}

static bool write_volume(const char *name, bool compress, es_error *err) {
    es_grid grid = {.info = {.size = {8, 8, 8},
                             .spacing_mm = {1, 1, 1},
                             .channels = 1,
                             .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .type = ES_F32}};
    es_grid_options options = {.compress = compress, .level = 1};
    bool ok = es_grid_alloc(&grid, err) &&
              es_grid_write(in_folder(name), &grid.info, es_grid_slab, &grid, &options, err);
    es_grid_clear(&grid);
    return ok;
}

typedef bool write_fn(const char *name, bool compress, es_error *err);

/* Every write fails once, from the first to the last; then all succeeds. */
static void fail_every_write(write_fn *write, const char *name, bool compress) {
    bool ok = false;
    int n = 0;
    for (; !ok && n < 1000; n++) {
        es_error err = {0};
        es_output_fail_after(n);
        ok = write(name, compress, &err);
        es_output_fail_after(-1);
        int left = empty_folder();
        if (!ok && left) fail_msg("%s: write %d failed and left %d files", name, n, left);
        if (!ok) assert_says(&err, ES_IO, "writing failed");
    }
    assert_true(ok && n > 3);
}

static void a_full_disk_leaves_nothing_behind(void **state) {
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        for (int i = 0; i < RECORDINGS; i++)
            fail_every_write(write_recording, recordings[i], packed);
        for (int i = 0; i < VOLUMES; i++) fail_every_write(write_volume, volumes[i], packed);
    }
}

static void fail_every_allocation(write_fn *write, const char *name) {
    bool ok = false;
    int n = 0;
    for (; !ok && n < 5000; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        ok = write(name, true, &err);
        es_alloc_fail_after(-1);
        int left = empty_folder();
        if (!ok && left) fail_msg("%s: allocation %d failed and left %d files", name, n, left);
        if (!ok) assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(ok && n > 3);
}

static void failed_allocations_leave_nothing_behind(void **state) {
    (void)state;
    for (int i = 0; i < RECORDINGS; i++) fail_every_allocation(write_recording, recordings[i]);
    for (int i = 0; i < VOLUMES; i++) fail_every_allocation(write_volume, volumes[i]);
}

static void an_old_file_stays_whole_when_writing_fails(void **state) {
    (void)state;
    for (int i = 0; i < RECORDINGS; i++) {
        es_error err = {0};
        write_bytes(recordings[i], "old", 3);
        es_output_fail_after(2);
        assert_false(write_recording(recordings[i], true, &err));
        es_output_fail_after(-1);
        size_t length;
        char *text = slurp(in_folder(recordings[i]), &length);
        assert_string_equal(text, "old");
        es_free(text);
        assert_int_equal(empty_folder(), 1);
    }
}

/* The disk really refuses: the pixels wait in a scratch file of their own. */
static void a_refused_scratch_file_leaves_nothing_behind(void **state) {
    (void)state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000; /* less than one frame of 512 bytes and its fields thrice */
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    es_error err = {0};
    bool ok = write_recording("w.igs.mha", false, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, before);
    assert_false(ok);
    assert_says(&err, ES_IO, "w.igs.mha");
    assert_int_equal(empty_folder(), 0);
}

static void a_sink_that_is_not_finished_leaves_nothing(void **state) {
    (void)state;
    for (int i = 0; i < RECORDINGS; i++) {
        es_error err = {0};
        es_stream_info info = small_info();
        es_frame frame = {0};
        es_sink *sink = es_sequence_create(in_folder(recordings[i]), &info, NULL, &err);
        assert_ok(fill_frame(&frame, 1, &err) && es_sink_put(sink, &frame, &err));
        assert_false(exists(in_folder(recordings[i])));
        es_sink_free(sink);
        es_frame_clear(&frame);
        assert_int_equal(empty_folder(), 0);
    }
}

static void cancelling_leaves_nothing(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = small_info();
    es_frame frame = {0};
    es_sink *sink = es_sequence_create(in_folder("w.igs.mha"), &info, NULL, &err);
    assert_ok(fill_frame(&frame, 1, &err) && es_sink_put(sink, &frame, &err));
    es_cancel();
    assert_false(es_sink_finish(sink, &err));
    assert_int_equal(err.code, ES_CANCELLED);
    assert_false(write_volume("v.mha", true, &err));
    es_cancel_reset();
    es_sink_free(sink);
    es_frame_clear(&frame);
    assert_int_equal(empty_folder(), 0);
}

static bool failing_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    (void)context, (void)z0, (void)count, (void)out;
    return es_fail(err, ES_GEOMETRY, "no such slice");
}

static void a_failing_slab_leaves_nothing(void **state) {
    (void)state;
    es_error err = {0};
    es_grid_info info = {.size = {8, 8, 8},
                         .spacing_mm = {1, 1, 1},
                         .channels = 1,
                         .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    for (int i = 0; i < VOLUMES; i++) {
        assert_false(es_grid_write(in_folder(volumes[i]), &info, failing_slab, NULL, NULL, &err));
        assert_int_equal(err.code, ES_GEOMETRY);
        assert_int_equal(empty_folder(), 0);
    }
}

static void frames_that_do_not_fit_are_refused(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = small_info();
    es_frame frame = {0};
    es_sink *sink = es_sequence_create(in_folder("w.igs.mha"), &info, NULL, &err);
    assert_ok(fill_frame(&frame, 1, &err) && es_sink_put(sink, &frame, &err));
    assert_ok(es_image_resize(&frame.image, ES_U8, 1, W, H + 1, &err));
    assert_false(es_sink_put(sink, &frame, &err));
    assert_says(&err, ES_USAGE, "32 x 17 x 1 u8 in a recording of 32 x 16 x 1 u8");
    assert_false(es_sink_finish(sink, &err)); /* a recording with a hole is not written */
    es_sink_free(sink);
    es_frame_clear(&frame);
    assert_int_equal(empty_folder(), 0);
}

static void odd_fields_are_refused_or_made_harmless(void **state) {
    (void)state;
    static const char *const keys[] = {"", "a=b", "a\nElementDataFile", "a:b"};
    es_stream_info info = small_info();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        es_error err = {0};
        es_frame frame = {0};
        es_sink *sink = es_sequence_create(in_folder("w.igs.mha"), &info, NULL, &err);
        assert_ok(fill_frame(&frame, 1, &err) && es_fields_set(&frame.fields, keys[i], "1", &err));
        assert_false(es_sink_put(sink, &frame, &err));
        assert_int_equal(err.code, ES_USAGE);
        es_sink_free(sink);
        es_frame_clear(&frame);
    }
    es_error err = {0};
    es_frame frame = {0};
    bool end;
    es_sink *sink = es_sequence_create(in_folder("w.igs.mha"), &info, NULL, &err);
    assert_ok(fill_frame(&frame, 1, &err) &&
              es_fields_set(&frame.fields, "Note", "one\nElementDataFile = LOCAL", &err));
    assert_ok(es_sink_put(sink, &frame, &err) && es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source *source = es_sequence_open(in_folder("w.igs.mha"), &err);
    assert_ok(es_source_next(source, &frame, ES_READ_PIXELS, &end, &err));
    assert_string_equal(es_fields_get(&frame.fields, "Note"), "one ElementDataFile = LOCAL");
    es_source_free(source);
    es_frame_clear(&frame);
    empty_folder();
}

static void a_frame_without_an_image_keeps_its_place(void **state) {
    (void)state;
    for (int i = 0; i < RECORDINGS; i++) {
        es_error err = {0};
        es_stream_info info = small_info();
        es_frame frame = {0};
        es_sink *sink = es_sequence_create(in_folder(recordings[i]), &info, NULL, &err);
        for (int f = 0; f < FRAMES; f++) {
            assert_ok(fill_frame(&frame, f, &err));
            frame.has_image = f != 1;
            assert_ok(es_sink_put(sink, &frame, &err));
        }
        assert_ok(es_sink_finish(sink, &err));
        es_sink_free(sink);
        es_source *source = es_sequence_open(in_folder(recordings[i]), &err);
        for (int f = 0; next_frame(source, &frame, ES_READ_PIXELS); f++) {
            assert_int_equal(frame.has_image, f != 1);
            if (f != 1) assert_int_equal(((unsigned char *)frame.image.data)[7], f);
            assert_true(frame.time_s == f / 10.0);
        }
        es_source_free(source);
        es_frame_clear(&frame);
    }
    empty_folder();
}

/* Poses that nobody may use come back as such. */
static void invalid_poses_stay_invalid(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = small_info();
    es_frame frame = {0};
    bool end;
    es_mat4 nan = es_mat4_identity();
    nan.m[3] = NAN;
    es_sink *sink = es_sequence_create(in_folder("w.igs.mha"), &info, NULL, &err);
    assert_ok(fill_frame(&frame, 0, &err));
    assert_ok(es_frame_set_transform(&frame, "AToB", nan, true, &err));
    assert_ok(es_frame_set_transform(&frame, "CToD", es_mat4_identity(), false, &err));
    strcpy(frame.transforms[2].status, "OUT_OF_VIEW");
    assert_ok(es_sink_put(sink, &frame, &err) && es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source *source = es_sequence_open(in_folder("w.igs.mha"), &err);
    assert_ok(es_source_next(source, &frame, 0, &end, &err));
    assert_true(es_frame_find_transform(&frame, "ProbeToTracker")->valid);
    assert_false(es_frame_find_transform(&frame, "AToB")->valid);
    assert_false(es_frame_find_transform(&frame, "CToD")->valid);
    assert_string_equal(es_frame_find_transform(&frame, "CToD")->status, "OUT_OF_VIEW");
    es_source_free(source);
    es_frame_clear(&frame);
    empty_folder();
}

static void unwritable_places_and_names_are_said_at_once(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = small_info();
    assert_null(es_sequence_create(in_folder("no/such/folder.mha"), &info, NULL, &err));
    assert_int_equal(err.code, ES_IO);
    assert_null(es_sequence_create(in_folder("w.avi"), &info, NULL, &err));
    assert_says(&err, ES_USAGE, ".mha, .mhd, .nrrd, .nhdr");
    assert_null(es_sequence_create(in_folder("w.nii"), &info, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_sequence_can_write("w.nii", &err));
    assert_true(es_sequence_can_write("W.IGS.MHA", &err));
    assert_true(es_grid_can_write("w.nii.gz", &err));
    assert_false(es_grid_can_write("w.stl", &err));
    assert_says(&err, ES_USAGE, ".nii.gz");
    es_sequence_options wrong = {.compress = true, .level = 12};
    assert_null(es_sequence_create(in_folder("w.mha"), &info, &wrong, &err));
    assert_says(&err, ES_USAGE, "level 12; expected 1 to 9");
    assert_int_equal(empty_folder(), 0);
}

static void the_same_frames_give_the_same_bytes(void **state) {
    (void)state;
    for (int i = 0; i < RECORDINGS; i++) {
        char first[33], second[33];
        es_error err = {0};
        assert_ok(write_recording(recordings[i], true, &err));
        assert_ok(es_file_digest(in_folder(recordings[i]), first, &err));
        assert_ok(write_recording(recordings[i], true, &err));
        assert_ok(es_file_digest(in_folder(recordings[i]), second, &err));
        assert_string_equal(first, second);
    }
    empty_folder();
}

/* 200 frames of 1 MB that are made as they go, out and in again. The slack is
 * for two frames, zlib and stdio; the recording is 200 MB. */
static void a_long_recording_streams_in_flat_memory(void **state) {
    (void)state;
    static const char *const names[] = {"s.igs.mha", "s.igs.nrrd", "s.igs.mhd"};
    es_stream_info info = {.width = 1000, .height = 1000, .channels = 1, .spacing_mm = {1, 1}};
    uint64_t before = es_memory_peak();
    for (int i = 0; i < 3; i++) {
        es_error err = {0};
        es_sequence_options options = {.compress = i != 1, .level = 1};
        es_sink *sink = es_sequence_create(in_folder(names[i]), &info, &options, &err);
        es_frame frame = {.has_image = true};
        assert_ok(es_image_resize(&frame.image, ES_U8, 1, 1000, 1000, &err));
        for (int f = 0; f < 200; f++) {
            memset(frame.image.data, f, 1000000);
            assert_ok(es_sink_put(sink, &frame, &err));
        }
        assert_ok(es_sink_finish(sink, &err));
        es_sink_free(sink);
        es_source *source = es_sequence_open(in_folder(names[i]), &err);
        int f = 0;
        for (; next_frame(source, &frame, ES_READ_PIXELS); f++)
            assert_int_equal(((unsigned char *)frame.image.data)[999999], f);
        assert_int_equal(f, 200);
        es_source_free(source);
        es_frame_clear(&frame);
        empty_folder();
    }
    uint64_t grown = es_memory_peak() - before;
    if (grown > (16u << 20)) fail_msg("%.1f MB for a recording of 200 MB", (double)grown / 1e6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_leaves_nothing_behind),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
        cmocka_unit_test(an_old_file_stays_whole_when_writing_fails),
        cmocka_unit_test(a_refused_scratch_file_leaves_nothing_behind),
        cmocka_unit_test(a_sink_that_is_not_finished_leaves_nothing),
        cmocka_unit_test(cancelling_leaves_nothing),
        cmocka_unit_test(a_failing_slab_leaves_nothing),
        cmocka_unit_test(frames_that_do_not_fit_are_refused),
        cmocka_unit_test(odd_fields_are_refused_or_made_harmless),
        cmocka_unit_test(a_frame_without_an_image_keeps_its_place),
        cmocka_unit_test(invalid_poses_stay_invalid),
        cmocka_unit_test(unwritable_places_and_names_are_said_at_once),
        cmocka_unit_test(the_same_frames_give_the_same_bytes),
        cmocka_unit_test(a_long_recording_streams_in_flat_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
