/* Containers of frames as sources and sinks: going back, passing frames over,
 * failing memory and disks. Contents are judged in test_media.py. */
#include "format_support.h"

enum { N = 5, W = 24, H = 18 };

static unsigned char value(int f, int v, int u) { return (unsigned char)(40 * f + 3 * v + 5 * u); }

static void fill(unsigned char *pixels, int f) {
    for (int v = 0; v < H; v++)
        for (int u = 0; u < W; u++) *pixels++ = value(f, v, u);
}

/* YUV4MPEG2 without colour: a line of text, then frames of plain bytes. */
static const char *write_video(const char *name) {
    unsigned char file[200 + N * (6 + W * H)];
    int length = snprintf((char *)file, 200,
                          "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 Cmono "
                          "XCOLORRANGE=FULL\n",
                          W, H);
    for (int f = 0; f < N; f++) {
        memcpy(file + length, "FRAME\n", 6);
        fill(file + length + 6, f);
        length += 6 + W * H;
    }
    return write_bytes(name, file, (size_t)length);
}

static const char *write_array(const char *name, bool fortran) {
    unsigned char file[128 + N * W * H];
    memset(file, ' ', 128);
    memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
    int n = snprintf((char *)file + 10, 117,
                     "{'descr': '|u1', 'fortran_order': %s, 'shape': (%d, %d, %d)}",
                     fortran ? "True" : "False", N, H, W);
    file[10 + n] = ' ';
    file[127] = '\n';
    for (int f = 0; f < N; f++)
        for (int v = 0; v < H; v++)
            for (int u = 0; u < W; u++)
                file[128 + (fortran ? (u * H + v) * N + f : (f * H + v) * W + u)] = value(f, v, u);
    return write_bytes(name, file, sizeof file);
}

static es_source *open_source(const char *path) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source && err.code == ES_UNSUPPORTED && strstr(err.message, "was not found")) {
        print_message("skipped: built without FFmpeg\n");
        skip();
    }
    if (!source) fail_msg("%s", err.message);
    return source;
}

static void assert_frame(const es_frame *frame, int f) {
    unsigned char truth[W * H];
    fill(truth, f);
    assert_int_equal(frame->index, f);
    assert_true(frame->has_image);
    assert_int_equal(frame->image.width, W);
    assert_int_equal(frame->image.height, H);
    assert_memory_equal(frame->image.data, truth, sizeof truth);
}

/* All, again after going back, every second one's pixels, and back from the middle. */
static void read_in_many_ways(const char *path) {
    es_error err = {0};
    es_source *source = open_source(path);
    es_frame frame = {0};
    assert_int_equal(es_source_info(source)->frame_count, N);
    for (int pass = 0; pass < 4; pass++) {
        int stop = pass == 2 ? 2 : N;
        for (int f = 0; f < stop; f++) {
            bool pixels = pass != 1 || f % 2 == 1;
            assert_true(next_frame(source, &frame, pixels ? ES_READ_PIXELS : 0));
            if (pixels)
                assert_frame(&frame, f);
            else
                assert_false(frame.has_image);
        }
        if (stop == N) assert_false(next_frame(source, &frame, ES_READ_PIXELS));
        assert_ok(es_source_rewind(source, &err));
    }
    es_frame_clear(&frame);
    es_source_free(source);
}

static void video_goes_back_and_passes_frames_over(void **state) {
    (void)state;
    read_in_many_ways(write_video("a.y4m"));
}

static void the_times_of_a_video_are_known_without_decoding(void **state) {
    (void)state;
    es_source *source = open_source(write_video("a.y4m"));
    es_frame frame = {0};
    for (int f = 0; f < N; f++) {
        assert_true(next_frame(source, &frame, 0));
        assert_true(frame.has_time);
        assert_true(fabs(frame.time_s - 0.1 * f) < 1e-9); /* 10 frames a second */
    }
    es_frame_clear(&frame);
    es_source_free(source);
}

static void arrays_go_back_and_pass_frames_over(void **state) {
    (void)state;
    read_in_many_ways(write_array("c.npy", false));
    read_in_many_ways(write_array("f.npy", true));
}

/* Copies one recording into another; false with the reason in err. */
static bool copy_recording(const char *from, const char *to, es_error *err) {
    es_source *source = es_sequence_open(from, err);
    es_sink *sink = source ? es_sequence_create(to, es_source_info(source), NULL, err) : NULL;
    es_frame frame = {0};
    bool end = false, ok = sink != NULL;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end) {
        ok = es_frame_set_transform(&frame, "ProbeToTracker", es_mat4_translation(1, 2, 3), true,
                                    err);
        frame.has_time = true;
        ok = ok && es_sink_put(sink, &frame, err);
    }
    ok = ok && es_sink_finish(sink, err);
    es_frame_clear(&frame);
    es_sink_free(sink);
    es_source_free(source);
    return ok;
}

static void what_was_written_is_read_again(void **state) {
    (void)state;
    static const char *const names[] = {"o.npz", "o.h5", "o.npy"};
    es_error err = {0};
    for (int i = 0; i < 3; i++) {
        assert_ok(copy_recording(write_array("c.npy", false), in_folder(names[i]), &err));
        read_in_many_ways(in_folder(names[i]));
        es_source *source = open_source(in_folder(names[i]));
        es_frame frame = {0};
        assert_true(next_frame(source, &frame, 0));
        const es_frame_transform *t = es_frame_find_transform(&frame, "ProbeToTracker");
        if (i < 2) {
            assert_non_null(t);
            assert_true(t->valid && t->matrix.m[7] == 2);
        } else {
            assert_null(t);
        }
        es_frame_clear(&frame);
        es_source_free(source);
    }
}

/* HDF5, libzip and FFmpeg allocate by themselves: only our part is injected. */
static void failing_memory_is_told_and_leaves_nothing(void **state) {
    (void)state;
    static const char *const from[] = {"c.npy", "f.npy", "p.npz"};
    static const char *const to[] = {"m.npz", "m.h5", "m.npy"};
    es_error err = {0};
    write_array("c.npy", false);
    write_array("f.npy", true);
    assert_ok(copy_recording(in_folder("c.npy"), in_folder("p.npz"), &err));
    for (int i = 0; i < 3; i++) {
        bool done = false;
        for (long n = 0; !done && n < 500; n++) {
            es_alloc_fail_after(n);
            err = (es_error){0};
            done = copy_recording(in_folder(from[i]), in_folder(to[i]), &err);
            es_alloc_fail_after(-1);
            if (done) break;
            assert_int_equal(err.code, ES_MEMORY);
            assert_false(exists(in_folder(to[i])));
        }
        assert_true(done);
    }
}

static void failing_disks_leave_the_old_file(void **state) {
    (void)state;
    static const char *const to[] = {"d.npz", "d.npy"};
    es_error err = {0};
    write_array("c.npy", false);
    for (int i = 0; i < 2; i++) {
        bool done = false;
        for (long n = 0; !done && n < 500; n++) {
            write_bytes(to[i], "old", 3);
            es_output_fail_after(n);
            done = copy_recording(in_folder("c.npy"), in_folder(to[i]), &err);
            es_output_fail_after(-1);
            if (done) break;
            size_t length;
            char *text = slurp(in_folder(to[i]), &length);
            assert_int_equal(length, 3);
            es_free(text);
        }
        assert_true(done);
    }
}

static void unwritable_names_and_what_is_kept_are_told(void **state) {
    (void)state;
    es_error err = {0};
    assert_true(es_sequence_can_write("a.npz", &err) && es_sequence_can_write("a/", &err));
    assert_false(es_sequence_can_write("a.mp4", &err));
    assert_says(&err, ES_USAGE, ".npz");
    assert_int_equal(es_sequence_keeps("a.mha"), ES_KEEPS_ALL);
    assert_int_equal(es_sequence_keeps("a.dcm"), ES_KEEPS_TIMES | ES_KEEPS_SPACING);
    assert_int_equal(es_sequence_keeps("a.npy"), 0);
    assert_int_equal(es_sequence_keeps("a.h5"), ES_KEEPS_POSES | ES_KEEPS_TIMES);
}

static void containers_are_recordings_and_no_volumes(void **state) {
    (void)state;
    es_error err = {0};
    bool is_grid = true;
    assert_ok(es_file_is_grid(write_array("c.npy", false), &is_grid, &err));
    assert_false(is_grid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(video_goes_back_and_passes_frames_over),
        cmocka_unit_test(the_times_of_a_video_are_known_without_decoding),
        cmocka_unit_test(arrays_go_back_and_pass_frames_over),
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(failing_memory_is_told_and_leaves_nothing),
        cmocka_unit_test(failing_disks_leave_the_old_file),
        cmocka_unit_test(unwritable_names_and_what_is_kept_are_told),
        cmocka_unit_test(containers_are_recordings_and_no_volumes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
