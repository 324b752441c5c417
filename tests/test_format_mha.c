/* MetaImage recordings: header variants, fields, data files, round trips. */
#include "format_support.h"

#include <zlib.h>

/* 2 frames of 3 x 2 u8 pixels, values 0..11. */
static const unsigned char pixels[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

#define HEAD                                                                                       \
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"           \
    "DimSize = 3 2 2\nElementType = MET_UCHAR\n"
#define POSE(frame, name, tx)                                                                      \
    "Seq_Frame000" frame "_" name "Transform = 1 0 0 " tx " 0 1 0 0 0 0 1 0 0 0 0 1\n"

static es_source *open_ok(const char *path) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    return source;
}

static void assert_two_frames(const char *path) {
    es_source *source = open_ok(path);
    es_frame frame = {0};
    const es_stream_info *info = es_source_info(source);
    assert_int_equal(info->frame_count, 2);
    assert_int_equal(info->width, 3);
    assert_int_equal(info->height, 2);
    for (int f = 0; f < 2; f++) {
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        assert_true(frame.has_image);
        assert_int_equal(frame.index, f);
        assert_memory_equal(frame.image.data, pixels + 6 * f, 6);
    }
    assert_false(next_frame(source, &frame, ES_READ_PIXELS));
    es_frame_clear(&frame);
    es_source_free(source);
}

static void pixels_behind_the_header_are_read(void **state) {
    (void)state;
    assert_two_frames(write_mixed("a.mha", HEAD "ElementDataFile = LOCAL\n", pixels, 12));
}

static void header_keys_may_come_in_any_order(void **state) {
    (void)state;
    assert_two_frames(
        write_mixed("a.mha",
                    "NDims = 3\r\n" POSE(
                        "0", "AToB", "1") "ElementType=MET_UCHAR\r\n  BinaryData   =  True \n"
                                          "\nCompressedData = False\nDimSize = 3 2 2               "
                                          "  \nKinds = domain domain list\n"
                                          "Kinds = domain domain list\nElementDataFile = LOCAL\r\n",
                    pixels, 12));
}

static void pixels_in_a_file_beside_the_header_are_read(void **state) {
    (void)state;
    write_mixed("a.raw", "1234567", pixels, 12);
    assert_two_frames(
        write_mixed("a.mhd", HEAD "HeaderSize = 7\nElementDataFile = a.raw\n", "", 0));
    assert_two_frames(
        write_mixed("a.mhd", HEAD "HeaderSize = -1\nElementDataFile = a.raw\n", "", 0));
}

static void pixels_in_a_list_of_files_are_read(void **state) {
    (void)state;
    write_bytes("p0.raw", pixels, 6);
    write_bytes("p1.raw", pixels + 6, 6);
    assert_two_frames(write_mixed("a.mhd", HEAD "ElementDataFile = LIST\np0.raw\np1.raw\n", "", 0));
    assert_two_frames(write_mixed("a.mhd", HEAD "ElementDataFile = p%d.raw 0 1 1\n", "", 0));
    assert_two_frames(write_mixed("a.mhd", HEAD "ElementDataFile = p%01d.raw 0 1\n", "", 0));
}

static void compressed_pixels_are_read_with_and_without_their_size(void **state) {
    (void)state;
    unsigned char packed[100];
    uLongf length = sizeof packed;
    assert_int_equal(compress(packed, &length, pixels, 12), Z_OK);
    char header[1000];
    static const char *const sizes[] = {"", "CompressedDataSize = 0\n",
                                        "CompressedDataSize = %lu\n"};
    for (int i = 0; i < 3; i++) {
        char line[60];
        snprintf(line, sizeof line, sizes[i], (unsigned long)length);
        snprintf(header, sizeof header, "%sCompressedData = True\n%sElementDataFile = LOCAL\n",
                 HEAD, line);
        assert_two_frames(write_mixed("a.mha", header, packed, length));
    }
}

static void big_endian_elements_are_swapped(void **state) {
    (void)state;
    static const unsigned char bytes[4] = {0x01, 0x02, 0xff, 0xfe};
    static const char *const keys[] = {"BinaryDataByteOrderMSB", "ElementByteOrderMSB"};
    for (int i = 0; i < 2; i++) {
        char header[400];
        snprintf(header, sizeof header,
                 "NDims = 2\nDimSize = 2 1\nElementType = MET_SHORT\n%s = True\n"
                 "ElementDataFile = LOCAL\n",
                 keys[i]);
        es_source *source = open_ok(write_mixed("a.mha", header, bytes, 4));
        es_frame frame = {0};
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        const int16_t *values = frame.image.data;
        assert_int_equal(values[0], 0x0102);
        assert_int_equal(values[1], -2);
        es_frame_clear(&frame);
        es_source_free(source);
    }
}

static const char rich[] = HEAD
    "ElementSpacing = 0.25 0.5 1\nUltrasoundImageOrientation = MFA\n"
    "UltrasoundImageType = BRIGHTNESS\nDefaultFrameTransformName = ProbeToTracker\n"
    "Seq_Frame0000_ProbeToTrackerTransformStatus = OK\n" POSE("0", "ProbeToTracker", "7.5")
        POSE("0", "StylusToTracker",
             "1") "Seq_Frame0000_StylusToTrackerTransformStatus = MISSING\n"
                  "Seq_Frame0000_Timestamp = 12.125\nSeq_Frame0000_UnfilteredTimestamp = 12.1\n"
                  "Seq_Frame0000_FrameNumber = 77\nSeq_Frame0000_Stylus = 1 0 0 0 0 1 0 0 0 0 1 0 "
                  "0 0 0 1\n"
                  "Seq_Frame0000_Note = two words\nSeq_Frame0000_ImageStatus = OK\n"
                  "Seq_Frame0001_ImageStatus = INVALID\n" POSE("1", "ProbeToTracker",
                                                               "8") "ElementDataFile = LOCAL\n";

static void check_rich_frame(const es_frame *frame) {
    const es_frame_transform *probe = es_frame_find_transform(frame, "ProbeToTracker");
    const es_frame_transform *stylus = es_frame_find_transform(frame, "StylusToTracker");
    assert_non_null(probe);
    assert_true(probe->valid);
    assert_float_equal(probe->matrix.m[3], 7.5, 0);
    assert_non_null(stylus);
    assert_false(stylus->valid);
    assert_string_equal(stylus->status, "MISSING");
    assert_true(frame->has_time);
    assert_true(frame->time_s == 12.125);
    assert_true(frame->has_unfiltered_time);
    assert_true(frame->unfiltered_time_s == 12.1);
    assert_string_equal(es_fields_get(&frame->fields, "FrameNumber"), "77");
    assert_string_equal(es_fields_get(&frame->fields, "Note"), "two words");
    assert_non_null(es_fields_get(&frame->fields, "Stylus"));
    assert_int_equal(frame->fields.count, 3);
}

static void check_rich(es_source *source) {
    const es_stream_info *info = es_source_info(source);
    es_frame frame = {0};
    assert_true(info->spacing_mm[0] == 0.25 && info->spacing_mm[1] == 0.5);
    assert_string_equal(info->image_kind, "BRIGHTNESS");
    assert_string_equal(es_fields_get(&info->fields, "DefaultFrameTransformName"),
                        "ProbeToTracker");
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    check_rich_frame(&frame);
    assert_true(frame.has_image);
    assert_memory_equal(frame.image.data, pixels, 6);
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_false(frame.has_image);
    assert_false(frame.has_time);
    assert_int_equal(frame.fields.count, 0);
    const es_frame_transform *probe = es_frame_find_transform(&frame, "ProbeToTracker");
    assert_true(probe && probe->valid); /* no status: valid */
    assert_null(es_frame_find_transform(&frame, "StylusToTracker"));
    es_frame_clear(&frame);
}

static void fields_of_frames_are_understood(void **state) {
    (void)state;
    es_source *source = open_ok(write_mixed("a.igs.mha", rich, pixels, 12));
    check_rich(source);
    es_error err = {0};
    assert_ok(es_source_rewind(source, &err));
    check_rich(source);
    es_source_free(source);
}

static void copy_recording(const char *from, const char *to, bool compress) {
    es_error err = {0};
    es_source *source = open_ok(from);
    es_sequence_options options = {.compress = compress, .level = 6};
    es_sink *sink = es_sequence_create(to, es_source_info(source), &options, &err);
    if (!sink) fail_msg("%s", err.message);
    es_frame frame = {0};
    while (next_frame(source, &frame, ES_READ_PIXELS)) assert_ok(es_sink_put(sink, &frame, &err));
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source_free(source);
    es_frame_clear(&frame);
}

static void everything_known_of_frames_survives_every_format(void **state) {
    (void)state;
    static const char *const names[] = {"b.igs.mha", "b.igs.mhd", "b.igs.nrrd", "b.igs.nhdr"};
    const char *from = write_mixed("a.igs.mha", rich, pixels, 12);
    for (int i = 0; i < 4; i++)
        for (int packed = 0; packed < 2; packed++) {
            copy_recording(from, in_folder(names[i]), packed);
            es_source *source = open_ok(in_folder(names[i]));
            check_rich(source);
            es_source_free(source);
        }
}

static void written_headers_have_what_other_readers_need(void **state) {
    (void)state;
    const char *from = write_mixed("a.igs.mha", rich, pixels, 12);
    copy_recording(from, in_folder("b.igs.mha"), false);
    char *text = slurp(in_folder("b.igs.mha"), NULL);
    static const char *const needed[] = {
        "ObjectType = Image\nNDims = 3\n", "DimSize = 3 2 2 ",
        "ElementType = MET_UCHAR\n",       "CompressedData = False\n",
        "ElementSpacing = 0.25 0.5 1\n",   "UltrasoundImageOrientation = MFA\n",
        "\nElementDataFile = LOCAL\n"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!strstr(text, needed[i])) fail_msg("no \"%s\" in\n%s", needed[i], text);
    es_free(text);
}

static void poses_alone_are_read_and_written(void **state) {
    (void)state;
    const char *from = write_mixed("a.igs.mha",
                                   "NDims = 3\nDimSize = 0 0 2\nElementType = MET_OTHER\n"
                                   "UltrasoundImageOrientation = XX\n" POSE("0", "AToB", "1")
                                       POSE("1", "AToB", "2") "ElementDataFile = LOCAL\n",
                                   "", 0);
    copy_recording(from, in_folder("b.igs.mha"), true);
    for (int i = 0; i < 2; i++) {
        es_source *source = open_ok(i ? in_folder("b.igs.mha") : from);
        es_frame frame = {0};
        assert_int_equal(es_source_info(source)->width, 0);
        for (int f = 1; f <= 2; f++) {
            assert_true(next_frame(source, &frame, ES_READ_PIXELS));
            assert_false(frame.has_image);
            assert_true(es_frame_find_transform(&frame, "AToB")->matrix.m[3] == f);
        }
        assert_false(next_frame(source, &frame, 0));
        es_frame_clear(&frame);
        es_source_free(source);
    }
}

/* Frames whose elements are sample(type, place), through a file and back. */
static void round_trip(const char *name, es_type type, int channels, bool compress) {
    enum { W = 7, H = 5, FRAMES = 3 };
    es_error err = {0};
    es_stream_info info = {.frame_count = -1,
                           .width = W,
                           .height = H,
                           .type = type,
                           .channels = channels,
                           .spacing_mm = {1, 1},
                           .orientation = "MFA"};
    es_sequence_options options = {.compress = compress, .level = 1};
    es_sink *sink = es_sequence_create(in_folder(name), &info, &options, &err);
    if (!sink) fail_msg("%s", err.message);
    es_frame frame = {0};
    size_t values = (size_t)W * H * (size_t)channels;
    assert_ok(es_image_resize(&frame.image, type, channels, W, H, &err));
    for (int f = 0; f < FRAMES; f++) {
        for (size_t i = 0; i < values; i++)
            es_type_set(type, frame.image.data, i, sample(type, f * values + i));
        frame.has_image = true;
        assert_ok(es_sink_put(sink, &frame, &err));
    }
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source *source = open_ok(in_folder(name));
    assert_int_equal(es_source_info(source)->type, type);
    assert_int_equal(es_source_info(source)->channels, channels);
    for (int f = 0; f < FRAMES; f++) {
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        for (size_t i = 0; i < values; i++)
            if (es_type_get(type, frame.image.data, i) != sample(type, f * values + i))
                fail_msg("%s %s x %d: element %zu of frame %d differs", name, es_type_name(type),
                         channels, i, f);
    }
    assert_false(next_frame(source, &frame, 0));
    es_source_free(source);
    es_frame_clear(&frame);
}

static void every_pixel_type_survives_every_format(void **state) {
    (void)state;
    static const char *const names[] = {"t.mha", "t.mhd", "t.nrrd", "t.nhdr"};
    for (int type = ES_U8; type <= ES_F64; type++)
        for (int i = 0; i < 4; i++)
            for (int channels = 1; channels <= 3; channels += 2)
                for (int packed = 0; packed < 2; packed++)
                    round_trip(names[i], (es_type)type, channels, packed);
}

/* Frame i is filled with the byte i, so any frame tells where it came from. */
static const char *write_counting(const char *name, bool compress, int frames) {
    es_error err = {0};
    es_stream_info info = {.width = 40, .height = 30, .channels = 1, .spacing_mm = {1, 1}};
    es_sequence_options options = {.compress = compress, .level = 1};
    es_sink *sink = es_sequence_create(in_folder(name), &info, &options, &err);
    if (!sink) fail_msg("%s", err.message);
    es_frame frame = {.has_image = true};
    assert_ok(es_image_resize(&frame.image, ES_U8, 1, 40, 30, &err));
    for (int f = 0; f < frames; f++) {
        memset(frame.image.data, f, 1200);
        assert_ok(es_sink_put(sink, &frame, &err));
    }
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_frame_clear(&frame);
    return in_folder(name);
}

static void frames_that_were_skipped_do_not_shift_the_next_ones(void **state) {
    (void)state;
    static const char *const names[] = {"c.mha", "c.nrrd"};
    for (int i = 0; i < 4; i++) {
        es_source *source = open_ok(write_counting(names[i / 2], i % 2, 100));
        es_frame frame = {0};
        es_error err = {0};
        for (int round = 0; round < 2; round++) {
            for (int f = 0; next_frame(source, &frame, f % 7 == 3 ? ES_READ_PIXELS : 0); f++) {
                assert_int_equal(frame.has_image, f % 7 == 3);
                if (frame.has_image) assert_int_equal(((unsigned char *)frame.image.data)[1199], f);
            }
            assert_ok(es_source_rewind(source, &err));
        }
        es_frame_clear(&frame);
        es_source_free(source);
    }
}

static void poses_are_read_without_touching_the_pixels(void **state) {
    (void)state;
    /* The data file does not even exist. */
    es_source *source = open_ok(
        write_mixed("a.mhd", HEAD POSE("1", "AToB", "5") "ElementDataFile = gone.raw\n", "", 0));
    es_frame frame = {0};
    es_error err = {0};
    bool end;
    assert_true(next_frame(source, &frame, 0));
    assert_true(next_frame(source, &frame, 0));
    assert_true(es_frame_find_transform(&frame, "AToB")->matrix.m[3] == 5);
    assert_ok(es_source_rewind(source, &err));
    assert_false(es_source_next(source, &frame, ES_READ_PIXELS, &end, &err));
    assert_says(&err, ES_IO, "gone.raw");
    assert_says(&err, ES_IO, "frame 0");
    es_frame_clear(&frame);
    es_source_free(source);
}

static int warnings;
static char last_warning[1000];
static void count_warnings(void *context, es_level level, const char *message) {
    (void)context;
    warnings += level == ES_WARNING;
    snprintf(last_warning, sizeof last_warning, "%s", message);
}

static void a_broken_transform_spoils_its_frame_only(void **state) {
    (void)state;
    static const char *const broken[][2] = {
        {"1 0 0 0 0 1 0 0 0 0 1 0 0 0 0", "frame 0: transform AToB: expected 16 numbers, found 15"},
        {"1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 9", "expected 16 numbers, found 17"},
        {"1 0 0 nan 0 1 0 0 0 0 1 0 0 0 0 1", "not all numbers are finite"},
        {"1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 2", "last row of 0 0 0 1"},
        {"", "found 0"},
        {"one two", "expected 16 numbers, found \"one two\""},
    };
    es_log_set(count_warnings, NULL);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char header[1000];
        snprintf(header, sizeof header,
                 "%sSeq_Frame0000_AToBTransform = %s\n%sElementDataFile = LOCAL\n", HEAD,
                 broken[i][0], POSE("1", "AToB", "4"));
        warnings = 0;
        es_source *source = open_ok(write_mixed("a.mha", header, pixels, 12));
        es_frame frame = {0};
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        assert_false(es_frame_find_transform(&frame, "AToB")->valid);
        assert_int_equal(warnings, 1);
        if (!strstr(last_warning, broken[i][1])) fail_msg("%s", last_warning);
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        assert_true(es_frame_find_transform(&frame, "AToB")->valid);
        es_frame_clear(&frame);
        es_source_free(source);
    }
    es_log_set(NULL, NULL);
}

static void a_broken_time_is_no_time(void **state) {
    (void)state;
    static const char *const broken[] = {"", "soon", "nan", "inf", "1.5 2.5"};
    es_log_set(count_warnings, NULL);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char header[1000];
        snprintf(header, sizeof header, "%sSeq_Frame0000_Timestamp = %s\nElementDataFile = LOCAL\n",
                 HEAD, broken[i]);
        warnings = 0;
        es_source *source = open_ok(write_mixed("a.mha", header, pixels, 12));
        es_frame frame = {0};
        assert_true(next_frame(source, &frame, 0));
        assert_false(frame.has_time);
        assert_int_equal(warnings, 1);
        es_frame_clear(&frame);
        es_source_free(source);
    }
    es_log_set(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_behind_the_header_are_read),
        cmocka_unit_test(header_keys_may_come_in_any_order),
        cmocka_unit_test(pixels_in_a_file_beside_the_header_are_read),
        cmocka_unit_test(pixels_in_a_list_of_files_are_read),
        cmocka_unit_test(compressed_pixels_are_read_with_and_without_their_size),
        cmocka_unit_test(big_endian_elements_are_swapped),
        cmocka_unit_test(fields_of_frames_are_understood),
        cmocka_unit_test(everything_known_of_frames_survives_every_format),
        cmocka_unit_test(written_headers_have_what_other_readers_need),
        cmocka_unit_test(poses_alone_are_read_and_written),
        cmocka_unit_test(every_pixel_type_survives_every_format),
        cmocka_unit_test(frames_that_were_skipped_do_not_shift_the_next_ones),
        cmocka_unit_test(poses_are_read_without_touching_the_pixels),
        cmocka_unit_test(a_broken_transform_spoils_its_frame_only),
        cmocka_unit_test(a_broken_time_is_no_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
