/* NRRD recordings: header variants, encodings, detached data, key/values. */
#include "format_support.h"

#include <zlib.h>

static const unsigned char pixels[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

#define HEAD                                                                                       \
    "NRRD0004\n# a comment: with a colon\ntype: uchar\ndimension: 3\nsizes: 3 2 2\n"               \
    "kinds: domain domain list\n"

static es_source *open_ok(const char *path) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    return source;
}

static void assert_two_frames(const char *path) {
    es_source *source = open_ok(path);
    es_frame frame = {0};
    assert_int_equal(es_source_info(source)->frame_count, 2);
    for (int f = 0; f < 2; f++) {
        assert_true(next_frame(source, &frame, ES_READ_PIXELS));
        assert_memory_equal(frame.image.data, pixels + 6 * f, 6);
    }
    assert_false(next_frame(source, &frame, ES_READ_PIXELS));
    es_frame_clear(&frame);
    es_source_free(source);
}

static size_t gzip(const void *bytes, size_t length, unsigned char *out, size_t size) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)bytes;
    stream.avail_in = (uInt)length;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return size - stream.avail_out;
}

static void raw_pixels_behind_the_header_are_read(void **state) {
    (void)state;
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: raw\n\n", pixels, 12));
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: raw\nbyte skip: 3\n\nxyz", pixels, 12));
    assert_two_frames(
        write_mixed("a.nrrd", HEAD "encoding: raw\nline skip: 2\n\none\ntwo\n", pixels, 12));
    assert_two_frames(
        write_mixed("a.nrrd", HEAD "encoding: raw\nbyte skip: -1\n\nanything", pixels, 12));
}

static void gzip_pixels_are_read_even_in_two_streams(void **state) {
    (void)state;
    unsigned char packed[200];
    size_t length = gzip(pixels, 12, packed, sizeof packed);
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: gzip\n\n", packed, length));
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: gz\n\n", packed, length));
    length = gzip(pixels, 5, packed, sizeof packed);
    length += gzip(pixels + 5, 7, packed + length, sizeof packed - length);
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: gz\n\n", packed, length));
}

static void bytes_are_skipped_after_decompression(void **state) {
    (void)state;
    unsigned char packed[200], padded[15] = "xyz";
    memcpy(padded + 3, pixels, 12);
    size_t length = gzip(padded, 15, packed, sizeof packed);
    assert_two_frames(write_mixed("a.nrrd", HEAD "encoding: gz\nbyte skip: 3\n\n", packed, length));
}

static void detached_pixels_are_read(void **state) {
    (void)state;
    write_bytes("a.raw", pixels, 12);
    write_bytes("p1.raw", pixels, 6);
    write_bytes("p3.raw", pixels + 6, 6);
    assert_two_frames(write_mixed("a.nhdr", HEAD "encoding: raw\ndata file: a.raw\n", "", 0));
    assert_two_frames(write_mixed("a.nhdr", HEAD "encoding: raw\ndatafile: ./a.raw\n\n", "", 0));
    assert_two_frames(
        write_mixed("a.nhdr", HEAD "encoding: raw\ndata file: LIST\np1.raw\np3.raw\n", "", 0));
    assert_two_frames(
        write_mixed("a.nhdr", HEAD "encoding: raw\ndata file: p%d.raw 1 3 2\n", "", 0));
    assert_two_frames(
        write_mixed("a.nhdr", HEAD "encoding: raw\ndata file: p%d.raw 1 3 2 2\n", "", 0));
}

static void big_endian_elements_are_swapped(void **state) {
    (void)state;
    static const unsigned char bytes[4] = {0x01, 0x02, 0xff, 0xfe};
    es_source *source = open_ok(write_mixed(
        "a.nrrd", "NRRD0005\ntype: short\ndimension: 2\nsizes: 2 1\nendian: big\nencoding: raw\n\n",
        bytes, 4));
    es_frame frame = {0};
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    const int16_t *values = frame.image.data;
    assert_int_equal(values[0], 0x0102);
    assert_int_equal(values[1], -2);
    es_frame_clear(&frame);
    es_source_free(source);
}

static void colour_stands_on_the_first_axis(void **state) {
    (void)state;
    static const char *const kinds[] = {"vector", "RGB-color", "3-color"};
    for (int i = 0; i < 3; i++) {
        char header[400];
        snprintf(
            header, sizeof header,
            "NRRD0004\ntype: uint8\ndimension: 4\nsizes: 3 2 1 2\nkinds: %s domain domain list\n"
            "space dimension: 2\nspace directions: none (0.5,0) (0,0.25) none\nencoding: raw\n\n",
            kinds[i]);
        es_source *source = open_ok(write_mixed("a.nrrd", header, pixels, 12));
        const es_stream_info *info = es_source_info(source);
        assert_int_equal(info->channels, 3);
        assert_int_equal(info->width, 2);
        assert_int_equal(info->height, 1);
        assert_int_equal(info->frame_count, 2);
        assert_true(info->spacing_mm[0] == 0.5 && info->spacing_mm[1] == 0.25);
        es_source_free(source);
    }
}

static void keys_and_frame_fields_are_understood(void **state) {
    (void)state;
    es_source *source = open_ok(write_mixed(
        "a.nrrd",
        HEAD "encoding: raw\nultrasound image orientation:=MFA\nultrasound image type:=BRIGHTNESS\n"
             "operator note:=two\\nlines and a \\\\\nSeq_Frame0001_Timestamp:=3.5\n"
             "Seq_Frame0001_AToBTransform:=1 0 0 2 0 1 0 0 0 0 1 0 0 0 0 1\n"
             "Seq_Frame0001_AToBTransformStatus:=OK\nSeq_Frame0001_Status:=OK\n"
             "Seq_Frame0000_Status:=INVALID\n\n",
        pixels, 12));
    const es_stream_info *info = es_source_info(source);
    es_frame frame = {0};
    assert_string_equal(info->orientation, "MFA");
    assert_string_equal(info->image_kind, "BRIGHTNESS");
    assert_string_equal(es_fields_get(&info->fields, "operator note"), "two\nlines and a \\");
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_false(frame.has_image);
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_true(frame.has_image);
    assert_true(frame.has_time && frame.time_s == 3.5);
    assert_true(es_frame_find_transform(&frame, "AToB")->valid);
    assert_int_equal(frame.fields.count, 0);
    /* The line break survives NRRD, which can hold it. */
    es_error err = {0};
    es_sink *sink = es_sequence_create(in_folder("b.nrrd"), info, NULL, &err);
    assert_ok(es_sink_put(sink, &frame, &err));
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source_free(source);
    source = open_ok(in_folder("b.nrrd"));
    assert_string_equal(es_fields_get(&es_source_info(source)->fields, "operator note"),
                        "two\nlines and a \\");
    es_source_free(source);
    es_frame_clear(&frame);
}

static void what_is_not_read_is_said(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
        es_code code;
    } cases[] = {
        {HEAD "encoding: bzip2\n\n", "encoding: \"bzip2\"", ES_UNSUPPORTED},
        {HEAD "encoding: ascii\n\n", "encoding: \"ascii\"", ES_UNSUPPORTED},
        {HEAD "encoding: hex\n\n", "encoding: \"hex\"", ES_UNSUPPORTED},
        {HEAD "\n", "encoding is missing", ES_FORMAT},
        {HEAD "encoding: raw\n", "without an empty one", ES_FORMAT},
        {"NRRD0004\ntype: uint64\ndimension: 2\nsizes: 3 2\nencoding: raw\n\n", "type: \"uint64\"",
         ES_UNSUPPORTED},
        {"NRRD0004\ntype: block\ndimension: 2\nsizes: 3 2\nencoding: raw\n\n", "type: \"block\"",
         ES_UNSUPPORTED},
        {"NRRD0004\ntype: short\ndimension: 2\nsizes: 3 2\nencoding: raw\n\n", "endian is missing",
         ES_FORMAT},
        {"NRRD0004\ntype: short\ndimension: 2\nsizes: 3 2\nencoding: raw\nendian: middle\n\n",
         "expected little or big", ES_FORMAT},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 2\nkinds: domain list domain\n"
         "encoding: raw\n\n",
         "counted by axis 2 of 3", ES_UNSUPPORTED},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 2\nencoding: raw\n\n",
         "sizes: expected 3 numbers, found 2", ES_FORMAT},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 2 -2\nencoding: raw\n\n",
         "sizes: expected whole numbers", ES_FORMAT},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 2 2\nkinds: domain domain\nencoding: "
         "raw\n\n",
         "kinds: expected 3 words, found 2", ES_FORMAT},
        {"NRRD0004\ntype: uchar\ndimension: 1\nsizes: 12\nencoding: raw\n\n", "dimension",
         ES_UNSUPPORTED},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 2 2\nencoding: raw\nspace dimension: 3\n"
         "space directions: (1,0,0) (0,1,0)\n\n",
         "space directions", ES_FORMAT},
        {"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 2 2\nencoding: raw\nspace dimension: 3\n"
         "space directions: (1,0,0) (0,1) (0,0,1)\n\n",
         "expected 3 numbers, found 2", ES_FORMAT},
        {HEAD "encoding: raw\nspace: upside-down\n\n", "space: \"upside-down\"", ES_UNSUPPORTED},
        {HEAD "encoding: raw\nsizes: 3 2 3\n\n", "stands twice", ES_FORMAT},
        {HEAD "encoding: raw\nnonsense\n\n", "line 8: expected \"field: value\"", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: /etc/passwd\n\n", "outside the folder", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: ../a.raw\n\n", "outside the folder", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: p%s.raw 1 2 1\n\n", "name%03d.raw", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: p%d%n.raw 1 2 1\n\n", "name%03d.raw", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: p%d.raw 1 900000000 1\n\n", "name%03d.raw", ES_FORMAT},
        {HEAD "encoding: raw\ndata file: LIST\n", "names none", ES_FORMAT},
        {HEAD "encoding: raw\nbyte skip: -2\n\n", "byte skip", ES_FORMAT},
        {HEAD "encoding: gz\nbyte skip: -1\n\n", "byte skip", ES_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_error err = {0};
        es_source *source = es_sequence_open(write_mixed("a.nrrd", cases[i].header, "", 0), &err);
        if (source) fail_msg("read although wrong: %s", cases[i].header);
        assert_says(&err, cases[i].code, cases[i].says);
        assert_says(&err, cases[i].code, "a.nrrd: ");
    }
}

static void poses_alone_cannot_be_nrrd(void **state) {
    (void)state;
    es_error err = {0};
    es_stream_info info = {.channels = 1, .spacing_mm = {1, 1}};
    assert_null(es_sequence_create(in_folder("n.nrrd"), &info, NULL, &err));
    assert_says(&err, ES_UNSUPPORTED, ".mha");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_pixels_behind_the_header_are_read),
        cmocka_unit_test(gzip_pixels_are_read_even_in_two_streams),
        cmocka_unit_test(bytes_are_skipped_after_decompression),
        cmocka_unit_test(detached_pixels_are_read),
        cmocka_unit_test(big_endian_elements_are_swapped),
        cmocka_unit_test(colour_stands_on_the_first_axis),
        cmocka_unit_test(keys_and_frame_fields_are_understood),
        cmocka_unit_test(what_is_not_read_is_said),
        cmocka_unit_test(poses_alone_cannot_be_nrrd),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
