/* DICOM through the library: failures of memory and disk, threads, limits.
 * Against other programs it is judged in test_dicom.py. */
#include "format_support.h"

#include <pthread.h>

enum { WIDTH = 12, HEIGHT = 10, FRAMES = 5 };

static es_stream_info cine_info(es_type type, int channels) {
    es_stream_info info = {.frame_count = FRAMES,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .type = type,
                           .channels = channels,
                           .spacing_mm = {0.2, 0.3}};
    return info;
}

static bool fill_frame(es_frame *frame, const es_stream_info *info, int64_t index, es_error *err) {
    if (!es_image_resize(&frame->image, info->type, info->channels, info->width, info->height, err))
        return false;
    size_t count = (size_t)info->width * info->height * (size_t)info->channels;
    for (size_t i = 0; i < count; i++)
        es_type_set(info->type, frame->image.data, i,
                    sample(info->type, (uint64_t)index * count + i));
    frame->has_image = frame->has_time = true;
    frame->time_s = 7 + 0.04 * (double)index;
    return true;
}

static bool write_cine(const char *path, const es_stream_info *info, es_error *err) {
    es_sink *sink = es_sequence_create(path, info, NULL, err);
    es_frame frame = {0};
    bool ok = sink != NULL;
    for (int64_t f = 0; ok && f < FRAMES; f++)
        ok = fill_frame(&frame, info, f, err) && es_sink_put(sink, &frame, err);
    ok = ok && es_sink_finish(sink, err);
    es_sink_free(sink);
    es_frame_clear(&frame);
    return ok;
}

static es_grid make_volume(es_type type) {
    es_error err = {0};
    es_grid grid = {.info = {.size = {WIDTH, HEIGHT, FRAMES},
                             .origin_mm = {1, -2, 3},
                             .spacing_mm = {0.5, 0.25, 2},
                             .direction = {0, 0, 1, 1, 0, 0, 0, 1, 0},
                             .type = type,
                             .channels = 1}};
    assert_ok(es_grid_alloc(&grid, &err));
    for (size_t i = 0; i < WIDTH * HEIGHT * FRAMES; i++)
        es_type_set(type, grid.data, i, sample(type, i));
    return grid;
}

static bool write_volume(const char *path, es_grid *grid, es_error *err) {
    return es_grid_write(path, &grid->info, es_grid_slab, grid, NULL, err);
}

/* ---- there and back ------------------------------------------------------------ */

static void frames_come_back_with_pixels_times_and_scale(void **state) {
    (void)state;
    const struct {
        es_type type;
        int channels;
    } kinds[] = {{ES_U8, 1}, {ES_U8, 3}, {ES_U16, 1}};
    for (int k = 0; k < 3; k++) {
        es_error err = {0};
        es_stream_info info = cine_info(kinds[k].type, kinds[k].channels);
        const char *path = in_folder("cine.dcm");
        es_frame expected = {0}, found = {0};
        assert_ok(write_cine(path, &info, &err));
        es_source *source = es_sequence_open(path, &err);
        assert_ok(source != NULL);
        assert_int_equal(es_source_info(source)->frame_count, FRAMES);
        /* Regions hold the scale of 8-bit ultrasound; a capture has none. */
        double scale = kinds[k].type == ES_U8 ? 0.2 : 1;
        assert_float_equal(es_source_info(source)->spacing_mm[0], scale, 1e-15);
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t f = 0; next_frame(source, &found, ES_READ_PIXELS); f++) {
                assert_ok(fill_frame(&expected, &info, f, &err));
                assert_int_equal(found.index, f);
                assert_memory_equal(found.image.data, expected.image.data,
                                    es_image_bytes(&expected.image));
                /* From the first frame, in whole microseconds. */
                assert_float_equal(found.time_s, 0.04 * (double)f, 1e-9);
            }
            assert_ok(es_source_rewind(source, &err));
        }
        es_source_free(source);
        es_frame_clear(&expected);
        es_frame_clear(&found);
    }
}

static void poses_alone_are_read_without_decoding(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1);
    es_frame frame = {0};
    int frames = 0;
    assert_ok(write_cine(in_folder("cine.dcm"), &info, &err));
    es_source *source = es_sequence_open(in_folder("cine.dcm"), &err);
    assert_ok(source != NULL);
    for (; next_frame(source, &frame, 0); frames++) assert_false(frame.has_image);
    assert_int_equal(frames, FRAMES);
    es_source_free(source);
    es_frame_clear(&frame);
}

static void a_volume_is_read_slab_by_slab(void **state) {
    (void)state;
    const es_type types[] = {ES_U8, ES_U16};
    for (int k = 0; k < 2; k++) {
        es_error err = {0};
        es_grid grid = make_volume(types[k]);
        assert_ok(write_volume(in_folder("volume.dcm"), &grid, &err));
        bool is_grid = false;
        assert_ok(es_file_is_grid(in_folder("volume.dcm"), &is_grid, &err));
        assert_true(is_grid);
        es_grid_file *file = es_grid_open(in_folder("volume.dcm"), &err);
        assert_ok(file != NULL);
        const es_grid_info *info = es_grid_file_info(file);
        for (int i = 0; i < 3; i++) {
            assert_float_equal(info->origin_mm[i], grid.info.origin_mm[i], 1e-12);
            assert_float_equal(info->spacing_mm[i], grid.info.spacing_mm[i], 1e-12);
        }
        for (int i = 0; i < 9; i++)
            assert_float_equal(info->direction[i], grid.info.direction[i], 1e-12);
        size_t slice = WIDTH * HEIGHT * es_type_size(types[k]);
        char *slab = malloc(2 * slice);
        assert_ok(es_grid_file_slab(file, 3, 2, slab, &err)); /* backwards too */
        assert_memory_equal(slab, (char *)grid.data + 3 * slice, 2 * slice);
        assert_ok(es_grid_file_slab(file, 0, 1, slab, &err));
        assert_memory_equal(slab, grid.data, slice);
        assert_false(es_grid_file_slab(file, 4, 2, slab, &err));
        free(slab);
        es_grid_close(file);
        es_grid_clear(&grid);
    }
}

static void a_frame_without_an_image_keeps_its_place(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1);
    es_frame frame = {0};
    es_sink *sink = es_sequence_create(in_folder("blank.dcm"), &info, NULL, &err);
    assert_ok(sink != NULL);
    assert_ok(fill_frame(&frame, &info, 0, &err));
    assert_ok(es_sink_put(sink, &frame, &err));
    frame.has_image = false;
    assert_ok(es_sink_put(sink, &frame, &err));
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source *source = es_sequence_open(in_folder("blank.dcm"), &err);
    assert_ok(source != NULL);
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    for (size_t i = 0; i < WIDTH * HEIGHT; i++)
        assert_int_equal(((uint8_t *)frame.image.data)[i], 0);
    es_source_free(source);
    es_frame_clear(&frame);
}

/* ---- refusals -------------------------------------------------------------------- */

static void what_dicom_cannot_hold_is_refused_at_the_start(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_F32, 1);
    assert_null(es_sequence_create(in_folder("x.dcm"), &info, NULL, &err));
    assert_says(&err, ES_UNSUPPORTED, "f32");
    info = cine_info(ES_U16, 3);
    assert_null(es_sequence_create(in_folder("x.dcm"), &info, NULL, &err));
    assert_says(&err, ES_UNSUPPORTED, "u16 RGB");
    info = cine_info(ES_U8, 1);
    info.width = 65536;
    assert_null(es_sequence_create(in_folder("x.dcm"), &info, NULL, &err));
    assert_says(&err, ES_UNSUPPORTED, "65535");
    info.width = info.height = 0; /* poses alone */
    assert_null(es_sequence_create(in_folder("x.dcm"), &info, NULL, &err));
    assert_false(exists(in_folder("x.dcm")));
    assert_false(exists(in_folder("x.dcm.part")));
}

static void a_frame_of_another_size_ends_the_recording(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1), other = cine_info(ES_U8, 3);
    es_frame frame = {0};
    es_sink *sink = es_sequence_create(in_folder("x.dcm"), &info, NULL, &err);
    assert_ok(sink != NULL);
    assert_ok(fill_frame(&frame, &other, 0, &err));
    assert_false(es_sink_put(sink, &frame, &err));
    assert_says(&err, ES_USAGE, "12 x 10 x 3");
    assert_false(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_frame_clear(&frame);
    assert_false(exists(in_folder("x.dcm")));
}

static void a_recording_without_frames_is_not_written(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1);
    es_sink *sink = es_sequence_create(in_folder("x.dcm"), &info, NULL, &err);
    assert_ok(sink != NULL);
    assert_false(es_sink_finish(sink, &err));
    assert_says(&err, ES_USAGE, "without frames");
    es_sink_free(sink);
    assert_false(exists(in_folder("x.dcm")));
}

/* ---- failures injected ------------------------------------------------------------- */

static bool read_all(const char *path, es_error *err) {
    es_source *source = es_sequence_open(path, err);
    es_frame frame = {0};
    bool end = false, ok = source != NULL;
    while (ok && !end) ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

static bool read_volume(const char *path, es_error *err) {
    es_grid grid;
    bool ok = es_grid_read(path, &grid, err);
    if (ok) es_grid_clear(&grid);
    return ok;
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 3);
    es_grid grid = make_volume(ES_U8);
    char *cine = strdup(in_folder("cine.dcm")), *volume = strdup(in_folder("volume.dcm"));
    assert_ok(write_cine(cine, &info, &err) && write_volume(volume, &grid, &err));
    for (int task = 0; task < 4; task++) {
        bool ok = false;
        int failures = 0;
        for (long n = 0; !ok && n < 2000; n++) {
            err = (es_error){0};
            es_alloc_fail_after(n);
            ok = task == 0   ? read_all(cine, &err)
                 : task == 1 ? read_volume(volume, &err)
                 : task == 2 ? write_cine(in_folder("new.dcm"), &info, &err)
                             : write_volume(in_folder("new.dcm"), &grid, &err);
            es_alloc_fail_after(-1);
            if (!ok) {
                failures++;
                assert_int_equal(err.code, ES_MEMORY);
                assert_false(exists(in_folder("new.dcm")));
                assert_false(exists(in_folder("new.dcm.part")));
                assert_false(exists(in_folder("new.eus.dcm.part")));
            }
        }
        assert_true(ok);
        assert_true(failures > 3);
        unlink(in_folder("new.dcm"));
        unlink(in_folder("new.eus.dcm"));
    }
    es_grid_clear(&grid);
    free(cine);
    free(volume);
}

static void every_failed_write_leaves_the_old_files(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1);
    es_grid grid = make_volume(ES_U8);
    for (int task = 0; task < 2; task++) {
        bool ok = false;
        int failures = 0;
        for (long n = 0; !ok && n < 100; n++) {
            write_bytes("old.dcm", "old", 3);
            es_output_fail_after(n);
            ok = task ? write_cine(in_folder("old.dcm"), &info, &err)
                      : write_volume(in_folder("old.dcm"), &grid, &err);
            es_output_fail_after(-1);
            if (ok) break;
            size_t length;
            char *text = slurp(in_folder("old.dcm"), &length);
            assert_int_equal(length, 3);
            es_free(text);
            assert_false(exists(in_folder("old.eus.dcm")));
            failures++;
        }
        assert_true(ok && failures >= 2);
        unlink(in_folder("old.eus.dcm"));
    }
    es_grid_clear(&grid);
}

/* ---- threads --------------------------------------------------------------------------- */

static void *read_in_thread(void *path) {
    es_error err = {0};
    bool ok = true;
    for (int i = 0; i < 5; i++) ok = ok && read_all(path, &err);
    return ok ? NULL : path;
}

static void several_threads_read_at_once(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = cine_info(ES_U8, 1);
    pthread_t threads[4];
    char *path = strdup(in_folder("cine.dcm"));
    assert_ok(write_cine(path, &info, &err));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_in_thread, path), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_threads_read_at_once),
        cmocka_unit_test(frames_come_back_with_pixels_times_and_scale),
        cmocka_unit_test(poses_alone_are_read_without_decoding),
        cmocka_unit_test(a_volume_is_read_slab_by_slab),
        cmocka_unit_test(a_frame_without_an_image_keeps_its_place),
        cmocka_unit_test(what_dicom_cannot_hold_is_refused_at_the_start),
        cmocka_unit_test(a_frame_of_another_size_ends_the_recording),
        cmocka_unit_test(a_recording_without_frames_is_not_written),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(every_failed_write_leaves_the_old_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
