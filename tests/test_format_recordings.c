/* Real recordings: each opens with the counts, sizes and poses that its header
 * says to a person, and its pixels are those that zlib alone finds. */
#include "format_support.h"

#include <zlib.h>

static const char *data_file(const char *name) {
    static char path[600];
    const char *data = getenv("ES_TEST_DATA");
    snprintf(path, sizeof path, "%s/plus/%s", data ? data : "", name);
    if (!data || !exists(path)) {
        print_message("no recordings at ES_TEST_DATA: skipped\n");
        skip();
    }
    return path;
}

static es_source *open_ok(const char *path) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    return source;
}

/* Read off the headers (text) of the files and the table in their README. */
static const struct facts {
    const char *name;
    int frames, width, height;
    es_type type;
    int channels, transforms, valid, images;
    const char *mark;
} facts[] = {
    {"Agilent_Scope_Recording_DP310.igs.nrrd", 150, 11350, 1, ES_I16, 1, 150, 150, 150, "MFA"},
    {"BkCurvilinearRfData.igs.mhd", 1, 358, 3480, ES_I16, 1, 2, 2, 1, "FM"},
    {"BkCurvilinearScanConvertedData.igs.mha", 1, 600, 400, ES_U8, 1, 2, 2, 1, "MFA"},
    {"BoneUltrasound_L14.igs.mha", 21, 820, 616, ES_U8, 1, 63, 63, 21, "MF"},
    {"ColorNrrdSample.igs.nrrd", 1, 1152, 648, ES_U8, 3, 0, 0, 1, "MFA"},
    {"EightLandmarkPointsTrackedForPhantomRegistration.igs.mha", 1000, 0, 0, ES_U8, 1, 2000, 2000,
     0, "XX"},
    {"NrrdSample.igs.nrrd", 1, 256, 256, ES_I16, 1, 0, 0, 1, "MFA"},
    {"Prostate10_tracker.igs.mha", 10, 1, 1, ES_U8, 1, 10, 10, 10, ""},
    {"Prostate10_video.igs.mhd", 10, 640, 480, ES_U8, 1, 9, 9, 10, ""},
    {"SpinePhantomFreehand.igs.mha", 21, 820, 616, ES_U8, 1, 63, 63, 21, "MFA"},
    {"SyntheticTrackerBuffer20.igs.mha", 20, 1, 1, ES_U8, 1, 20, 20, 20, "MFA"},
    {"SyntheticVideoBuffer20.igs.mha", 20, 320, 240, ES_U8, 1, 20, 20, 20, "MFA"},
    {"TimestampFilteringTest.igs.mha", 500, 1, 1, ES_U8, 1, 500, 500, 500, "MFA"},
    {"TransformInterpolationTest.igs.mha", 500, 1, 1, ES_U8, 1, 1000, 999, 500, "MFA"},
    {"USTC_FrameGrabber_ProbeRotationData.igs.mha", 200, 640, 480, ES_U8, 1, 200, 200, 200, "MN"},
    {"UltrasonixCurvilinearScanConvertedData.igs.mha", 5, 820, 616, ES_U8, 1, 0, 0, 5, "MFA"},
    {"UltrasonixCurvilinearScanConvertedDataGroundTruth.igs.mha", 5, 820, 616, ES_U8, 1, 0, 0, 5,
     "MFA"},
    {"UltrasonixLinearScanConvertedData.igs.mha", 1, 260, 400, ES_U8, 1, 0, 0, 1, "MFA"},
    {"WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha", 801, 0, 0, ES_U8, 1, 2403, 2403, 0,
     "XX"},
    {"WaterTankBottomTranslationTrackerBuffer.igs.mha", 5000, 0, 0, ES_U8, 1, 15000, 15000, 0,
     "MFA"},
    {"WaterTankBottomTranslationVideoBuffer.igs.mha", 201, 820, 616, ES_U8, 1, 0, 0, 201, "MFA"},
    {"fCal_Test_Calibration_3NWires.igs.mha", 188, 820, 616, ES_U8, 1, 564, 564, 188, "MFA"},
    {"fCal_Test_Validation_3NWires.igs.mha", 94, 820, 616, ES_U8, 1, 282, 282, 94, "MFA"},
};

static void check(const struct facts *f) {
    char name[300];
    snprintf(name, sizeof name, "sequences/%s", f->name);
    const char *path = data_file(name);
    es_source *source = open_ok(path);
    const es_stream_info *info = es_source_info(source);
    bool is_grid;
    es_error err = {0};
    assert_ok(es_file_is_grid(path, &is_grid, &err));
    assert_false(is_grid);
    if (info->frame_count != f->frames || (int)info->width != f->width ||
        (int)info->height != f->height || info->type != f->type || info->channels != f->channels ||
        strcmp(info->orientation, f->mark) != 0)
        fail_msg("%s: %lld x %u x %u %s x %d %s", f->name, (long long)info->frame_count,
                 info->width, info->height, es_type_name(info->type), info->channels,
                 info->orientation);
    es_frame frame = {0};
    int frames = 0, transforms = 0, valid = 0, images = 0;
    for (; next_frame(source, &frame, ES_READ_PIXELS); frames++) {
        images += frame.has_image;
        transforms += (int)frame.transform_count;
        for (size_t i = 0; i < frame.transform_count; i++) valid += frame.transforms[i].valid;
    }
    if (frames != f->frames || transforms != f->transforms || valid != f->valid ||
        images != f->images)
        fail_msg("%s: %d frames, %d transforms, %d valid, %d images", f->name, frames, transforms,
                 valid, images);
    es_frame_clear(&frame);
    es_source_free(source);
}

static void every_recording_is_what_its_header_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) check(&facts[i]);
}

/* Values copied from the text of the header by eye. */
static void poses_and_times_are_those_of_the_header(void **state) {
    (void)state;
    es_source *source = open_ok(data_file("sequences/BoneUltrasound_L14.igs.mha"));
    es_frame frame = {0};
    assert_true(next_frame(source, &frame, 0));
    const es_frame_transform *probe = es_frame_find_transform(&frame, "ProbeToTracker");
    assert_non_null(probe);
    static const double rows[8] = {0.853646, -0.501315, 0.141319, 257.956,
                                   -0.50173, -0.718613, 0.481521, -52.6852};
    for (int i = 0; i < 8; i++) assert_true(probe->matrix.m[i] == rows[i]);
    assert_true(frame.has_time && frame.time_s == 232.542071);
    assert_false(frame.has_image);
    es_source_free(source);
    source =
        open_ok(data_file("sequences/WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha"));
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_string_equal(es_fields_get(&frame.fields, "FrameNumber"), "332203");
    assert_true(frame.unfiltered_time_s == 7415.68);
    es_source_free(source);
    source = open_ok(data_file("sequences/TransformInterpolationTest.igs.mha"));
    assert_true(next_frame(source, &frame, 0));
    assert_string_equal(es_fields_get(&frame.fields, "Stylus"), "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1");
    es_source_free(source);
    es_frame_clear(&frame);
}

/* Our frames against the file's last bytes, inflated in one piece by zlib. */
static void check_pixels(const char *name, bool upside_down) {
    const char *path = data_file(name);
    size_t length;
    char *bytes = slurp(path, &length);
    const char *mark = strstr(bytes, "ElementDataFile = LOCAL\n");
    assert_non_null(mark);
    mark += strlen("ElementDataFile = LOCAL\n");
    es_source *source = open_ok(path);
    const es_stream_info *info = es_source_info(source);
    size_t frame_bytes = (size_t)info->width * info->height;
    uLongf size = (uLongf)(frame_bytes * (size_t)info->frame_count);
    unsigned char *all = malloc(size);
    assert_int_equal(uncompress(all, &size, (const Bytef *)mark, (uLong)(bytes + length - mark)),
                     Z_OK);
    es_frame frame = {0};
    for (int64_t f = 0; f < info->frame_count; f++) {
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        for (uint32_t v = 0; v < info->height; v++) {
            uint32_t stored = upside_down ? info->height - 1 - v : v;
            assert_memory_equal((char *)frame.image.data + (size_t)v * info->width,
                                all + (size_t)f * frame_bytes + (size_t)stored * info->width,
                                info->width);
        }
    }
    es_frame_clear(&frame);
    es_source_free(source);
    free(all);
    es_free(bytes);
}

static void pixels_are_those_that_zlib_finds(void **state) {
    (void)state;
    check_pixels("sequences/SpinePhantomFreehand.igs.mha", false);
    check_pixels("sequences/BoneUltrasound_L14.igs.mha", false);
    check_pixels("sequences/USTC_FrameGrabber_ProbeRotationData.igs.mha", true); /* MN */
}

static void a_recording_without_its_data_file_gives_its_poses(void **state) {
    (void)state;
    es_source *source = open_ok(data_file("sequences/MetaImageSequenceIOTest1.igs.mhd"));
    es_frame frame = {0};
    es_error err = {0};
    bool end;
    int frames = 0;
    while (next_frame(source, &frame, 0)) {
        assert_true(es_frame_find_transform(&frame, "Custom")->valid);
        frames++;
    }
    assert_int_equal(frames, 567);
    assert_ok(es_source_rewind(source, &err));
    assert_false(es_source_next(source, &frame, ES_READ_PIXELS, &end, &err));
    assert_says(&err, ES_IO, "MetaImageSequenceIOTest1.zraw");
    es_frame_clear(&frame);
    es_source_free(source);
}

static void reference_volumes_are_volumes(void **state) {
    (void)state;
    bool is_grid = false;
    es_error err = {0};
    const char *path = data_file("reference/VolumeReconstructorTestNNLATEvolumeRef.mha");
    assert_ok(es_file_is_grid(path, &is_grid, &err));
    assert_true(is_grid);
    es_grid grid;
    assert_ok(es_grid_read(path, &grid, &err));
    assert_true(grid.info.size[0] == 80 && grid.info.size[1] == 93 && grid.info.size[2] == 98);
    assert_true(grid.info.origin_mm[0] == -57.0272 && grid.info.spacing_mm[2] == 0.5);
    size_t length;
    char *bytes = slurp(path, &length);
    assert_memory_equal(grid.data, bytes + length - 80 * 93 * 98, 80 * 93 * 98);
    es_free(bytes);
    es_grid_clear(&grid);
}

/* Convert, read again, compare everything. */
static void assert_same(const char *a, const char *b) {
    es_source *first = open_ok(a), *second = open_ok(b);
    es_frame p = {0}, q = {0};
    while (next_frame(first, &p, ES_READ_PIXELS)) {
        assert_true(next_frame(second, &q, ES_READ_PIXELS));
        assert_int_equal(p.has_image, q.has_image);
        if (p.has_image) assert_memory_equal(p.image.data, q.image.data, es_image_bytes(&p.image));
        assert_true(p.has_time == q.has_time && (!p.has_time || p.time_s == q.time_s));
        assert_int_equal(p.transform_count, q.transform_count);
        for (size_t i = 0; i < p.transform_count; i++) {
            const es_frame_transform *t = es_frame_find_transform(&q, p.transforms[i].name);
            assert_true(t && t->valid == p.transforms[i].valid);
            assert_memory_equal(t->matrix.m, p.transforms[i].matrix.m, sizeof t->matrix.m);
        }
        assert_int_equal(p.fields.count, q.fields.count);
        for (size_t i = 0; i < p.fields.count; i++)
            assert_string_equal(es_fields_get(&q.fields, p.fields.items[i].key),
                                p.fields.items[i].value);
    }
    assert_false(next_frame(second, &q, 0));
    es_frame_clear(&p);
    es_frame_clear(&q);
    es_source_free(first);
    es_source_free(second);
}

static void recordings_survive_conversion(void **state) {
    (void)state;
    static const char *const recordings[] = {
        "sequences/BoneUltrasound_L14.igs.mha", "sequences/TransformInterpolationTest.igs.mha",
        "sequences/BkCurvilinearRfData.igs.mhd", "sequences/Agilent_Scope_Recording_DP310.igs.nrrd",
        "sequences/ColorNrrdSample.igs.nrrd"};
    static const char *const outputs[] = {"o.igs.mha", "o.igs.mhd", "o.igs.nrrd", "o.igs.nhdr"};
    for (size_t r = 0; r < sizeof recordings / sizeof *recordings; r++)
        for (int o = 0; o < 4; o++) {
            es_error err = {0};
            es_source *source = open_ok(data_file(recordings[r]));
            es_sink *sink =
                es_sequence_create(in_folder(outputs[o]), es_source_info(source), NULL, &err);
            if (!sink) fail_msg("%s", err.message);
            es_frame frame = {0};
            while (next_frame(source, &frame, ES_READ_PIXELS))
                assert_ok(es_sink_put(sink, &frame, &err));
            assert_ok(es_sink_finish(sink, &err));
            es_sink_free(sink);
            es_source_free(source);
            es_frame_clear(&frame);
            assert_same(data_file(recordings[r]), in_folder(outputs[o]));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_is_what_its_header_says),
        cmocka_unit_test(poses_and_times_are_those_of_the_header),
        cmocka_unit_test(pixels_are_those_that_zlib_finds),
        cmocka_unit_test(a_recording_without_its_data_file_gives_its_poses),
        cmocka_unit_test(reference_volumes_are_volumes),
        cmocka_unit_test(recordings_survive_conversion),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
