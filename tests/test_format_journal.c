/* A recording that survives its writer: killed at any moment, what was put
 * before can be read. */
#include "format_support.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { WIDTH = 40, HEIGHT = 30, PIXELS = WIDTH * HEIGHT };

static es_stream_info journal_info(void) {
    return (es_stream_info){.frame_count = -1,
                            .width = WIDTH,
                            .height = HEIGHT,
                            .type = ES_U8,
                            .channels = 1,
                            .spacing_mm = {0.2, 0.3},
                            .orientation = "MFA"};
}

static uint8_t pixel(int64_t f, int i) { return (uint8_t)(f * 17 + i * 3 + 1); }

static es_mat4 pose_of(int64_t f) {
    es_mat4 pose = es_mat4_rotation(es_vec3_make(1, 1, 0), 0.01 * (double)f + 0.3);
    pose.m[3] = (double)f / 3;
    return pose;
}

static void fill_frame(es_frame *frame, int64_t f) {
    char text[32];
    assert_true(es_image_resize(&frame->image, ES_U8, 1, WIDTH, HEIGHT, NULL));
    for (int i = 0; i < PIXELS; i++) ((uint8_t *)frame->image.data)[i] = pixel(f, i);
    frame->has_image = frame->has_time = true;
    frame->time_s = 1.7e9 + (double)f / 30;
    snprintf(text, sizeof text, "value %lld", (long long)f);
    assert_true(es_fields_set(&frame->fields, "Word", text, NULL));
    assert_true(es_frame_set_transform(frame, "ProbeToTracker", pose_of(f), f % 5 != 4, NULL));
}

static void check_frame(const es_frame *frame, int64_t f) {
    char text[32];
    assert_int_equal(frame->index, f);
    assert_true(frame->has_image);
    for (int i = 0; i < PIXELS; i++)
        assert_int_equal(((uint8_t *)frame->image.data)[i], pixel(f, i));
    assert_true(frame->has_time && frame->time_s == 1.7e9 + (double)f / 30);
    const es_frame_transform *t = es_frame_find_transform(frame, "ProbeToTracker");
    assert_non_null(t);
    assert_int_equal(t->valid, f % 5 != 4);
    es_mat4 pose = pose_of(f);
    if (t->valid) assert_memory_equal(&t->matrix, &pose, sizeof pose);
    snprintf(text, sizeof text, "value %lld", (long long)f);
    assert_string_equal(es_fields_get(&frame->fields, "Word"), text);
}

/* Frames that can be read; each of the first `sure` must be right. */
static int64_t count_frames(const char *path, int64_t sure) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    es_frame frame = {0};
    if (!source) fail_msg("%s", err.message);
    int64_t frames = 0;
    for (bool end = false;; frames++) {
        if (!es_source_next(source, &frame, ES_READ_PIXELS, &end, &err))
            fail_msg("%s", err.message);
        if (end) break;
        if (frames < sure) check_frame(&frame, frames);
    }
    es_frame_clear(&frame);
    es_source_free(source);
    return frames;
}

static es_journal *create(const char *path) {
    es_stream_info info = journal_info();
    es_error err = {0};
    es_journal *journal = es_journal_create(path, &info, &err);
    if (!journal) fail_msg("%s", err.message);
    return journal;
}

static void put_frames(es_journal *journal, int64_t first, int64_t count) {
    es_frame frame = {0};
    for (int64_t f = first; f < first + count; f++) {
        fill_frame(&frame, f);
        assert_true(es_journal_put(journal, &frame, NULL));
    }
    es_frame_clear(&frame);
}

static void what_was_put_can_be_read_while_it_is_written(void **state) {
    (void)state;
    const char *path = in_folder("a.igs.nhdr");
    es_journal *journal = create(path);
    for (int64_t f = 0; f < 30; f++) {
        put_frames(journal, f, 1);
        assert_int_equal(count_frames(path, f + 1), f + 1);
    }
    assert_true(es_journal_field(journal, "LaterKnown", "1 2 3", NULL));
    assert_true(es_journal_sync(journal, NULL));
    es_source *source = es_sequence_open(path, NULL);
    assert_non_null(source);
    assert_string_equal(es_fields_get(&es_source_info(source)->fields, "LaterKnown"), "1 2 3");
    assert_true(es_source_info(source)->spacing_mm[1] == 0.3);
    es_source_free(source);
    es_journal_free(journal);
    empty_folder();
}

static void a_frame_without_a_picture_keeps_its_place(void **state) {
    (void)state;
    const char *path = in_folder("a.nhdr");
    es_journal *journal = create(path);
    es_frame frame = {0};
    put_frames(journal, 0, 2);
    fill_frame(&frame, 2);
    frame.has_image = false;
    assert_true(es_journal_put(journal, &frame, NULL));
    put_frames(journal, 3, 1);
    es_journal_free(journal);
    es_source *source = es_sequence_open(path, NULL);
    bool end;
    for (int f = 0; f < 4; f++) {
        assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL));
        assert_int_equal(frame.has_image, f != 2);
    }
    check_frame(&frame, 3);
    es_frame_clear(&frame);
    es_source_free(source);
    empty_folder();
}

/* The child puts frames and says each; it is killed without a warning. */
static void what_was_received_before_a_kill_is_readable(void **state) {
    (void)state;
    for (int round = 0; round < 8; round++) {
        const char *path = in_folder("killed.igs.nhdr");
        int pipes[2];
        char said;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            es_journal *journal = create(path);
            es_frame frame = {0};
            for (int64_t f = 0;; f++) {
                fill_frame(&frame, f);
                if (!es_journal_put(journal, &frame, NULL) || write(pipes[1], "", 1) != 1) _exit(1);
            }
        }
        close(pipes[1]);
        int64_t put = 0;
        while (put < 20 + 13 * round && read(pipes[0], &said, 1) == 1) put++;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(pipes[0], &said, 1) == 1) put++;
        close(pipes[0]);
        int64_t found = count_frames(path, put);
        assert_true(found == put || found == put + 1); /* one may be put and not said */
        empty_folder();
    }
}

/* The header cut at every byte of its last frame's lines, as a kill inside of a
 * write leaves it. */
static void a_header_that_ends_within_a_line_is_read_up_to_it(void **state) {
    (void)state;
    const char *path = in_folder("cut.igs.nhdr");
    es_journal *journal = create(path);
    put_frames(journal, 0, 3);
    size_t before, whole;
    char *text = es_file_read(path, 1 << 20, &before, NULL);
    es_free(text);
    put_frames(journal, 3, 1);
    es_journal_free(journal);
    text = es_file_read(path, 1 << 20, &whole, NULL);
    assert_non_null(text);
    for (size_t length = before; length <= whole; length++) {
        assert_int_equal(truncate(path, (off_t)length), 0);
        assert_int_equal(count_frames(path, 3), 4);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, whole, file), whole);
        fclose(file);
    }
    assert_int_equal(count_frames(path, 4), 4);
    es_free(text);
    empty_folder();
}

static void a_recording_is_never_written_over(void **state) {
    (void)state;
    es_stream_info info = journal_info();
    const char *taken[] = {"old.nhdr", "old.raw"};
    for (int i = 0; i < 2; i++) {
        es_error err = {0};
        size_t length;
        write_bytes(taken[i], "precious", 8);
        assert_null(es_journal_create(in_folder("old.nhdr"), &info, &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_non_null(strstr(err.message, taken[i]));
        char *text = es_file_read(in_folder(taken[i]), 100, &length, NULL);
        assert_string_equal(text, "precious");
        es_free(text);
        assert_int_equal(empty_folder(), 1); /* nothing else was left */
    }
}

static void a_full_disk_leaves_the_frames_before_it(void **state) {
    (void)state;
    const char *path = in_folder("full.nhdr");
    struct rlimit old, small = {10 * PIXELS + 77, 10 * PIXELS + 77};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    es_journal *journal = create(path);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    es_frame frame = {0};
    es_error err = {0};
    int64_t put = 0;
    for (bool ok = true; ok && put < 100; put += ok) {
        fill_frame(&frame, put);
        ok = es_journal_put(journal, &frame, &err);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(err.code, ES_IO);
    assert_int_equal(put, 10);
    es_journal_free(journal);
    assert_int_equal(count_frames(path, 10), 10);
    es_frame_clear(&frame);
    empty_folder();
}

static void a_picture_of_another_size_is_refused_and_changes_nothing(void **state) {
    (void)state;
    const char *path = in_folder("size.nhdr");
    es_journal *journal = create(path);
    es_frame frame = {0};
    es_error err = {0};
    put_frames(journal, 0, 2);
    assert_true(es_image_resize(&frame.image, ES_U8, 1, WIDTH + 1, HEIGHT, NULL));
    frame.has_image = true;
    assert_false(es_journal_put(journal, &frame, &err));
    assert_int_equal(err.code, ES_USAGE);
    put_frames(journal, 2, 1);
    es_journal_free(journal);
    assert_int_equal(count_frames(path, 3), 3);
    es_frame_clear(&frame);
    empty_folder();
}

static void a_journal_without_frames_leaves_nothing_behind(void **state) {
    (void)state;
    es_journal_free(create(in_folder("empty.nhdr")));
    assert_int_equal(empty_folder(), 0);
    es_journal_free(NULL);
}

static void a_journal_becomes_another_recording_and_goes(void **state) {
    (void)state;
    const es_sequence_options options = ES_SEQUENCE_DEFAULTS;
    es_error err = {0};
    int64_t frames = 0;
    es_journal *journal = create(in_folder("a.live.nhdr"));
    put_frames(journal, 0, 12);
    es_journal_free(journal);
    es_output_fail_after(5);
    assert_false(es_journal_convert(in_folder("a.live.nhdr"), in_folder("a.igs.mha"), &options,
                                    &frames, &err));
    es_output_fail_after(-1);
    assert_non_null(strstr(err.message, "stays as"));
    assert_int_equal(count_frames(in_folder("a.live.nhdr"), 12), 12);
    assert_true(es_journal_convert(in_folder("a.live.nhdr"), in_folder("a.igs.mha"), &options,
                                   &frames, &err));
    assert_int_equal(frames, 12);
    assert_int_equal(count_frames(in_folder("a.igs.mha"), 12), 12);
    assert_int_equal(empty_folder(), 1);
}

static void other_names_and_poses_alone_are_refused(void **state) {
    (void)state;
    es_stream_info info = journal_info();
    es_error err = {0};
    assert_null(es_journal_create(in_folder("a.mha"), &info, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_null(es_journal_create(in_folder("nowhere/a.nhdr"), &info, &err));
    assert_int_equal(err.code, ES_IO);
    info.width = 0;
    assert_null(es_journal_create(in_folder("a.nhdr"), &info, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_int_equal(empty_folder(), 0);
}

static void memory_that_runs_out_is_an_error(void **state) {
    (void)state;
    es_stream_info info = journal_info();
    es_frame frame = {0};
    fill_frame(&frame, 0);
    for (long n = 0;; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_journal *journal = es_journal_create(in_folder("m.nhdr"), &info, &err);
        bool ok = journal && es_journal_put(journal, &frame, &err);
        es_alloc_fail_after(-1);
        es_journal_free(journal);
        empty_folder();
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 100);
    }
    es_frame_clear(&frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_can_be_read_while_it_is_written),
        cmocka_unit_test(a_frame_without_a_picture_keeps_its_place),
        cmocka_unit_test(what_was_received_before_a_kill_is_readable),
        cmocka_unit_test(a_header_that_ends_within_a_line_is_read_up_to_it),
        cmocka_unit_test(a_recording_is_never_written_over),
        cmocka_unit_test(a_full_disk_leaves_the_frames_before_it),
        cmocka_unit_test(a_picture_of_another_size_is_refused_and_changes_nothing),
        cmocka_unit_test(a_journal_without_frames_leaves_nothing_behind),
        cmocka_unit_test(a_journal_becomes_another_recording_and_goes),
        cmocka_unit_test(other_names_and_poses_alone_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
