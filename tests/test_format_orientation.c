/* Orientation marks, judged by their definition: a picture of known places is
 * stored the way each mark says and must come back as MF. */
#include "format_support.h"

enum { LATERAL = 5, DEPTH = 3 }; /* pixels along the transducer and into the body */

/* Brightness of a place: m counts towards the marked end, d away from the probe. */
static unsigned char place(int m, int d) { return (unsigned char)(16 * d + m + 1); }

/* Where the i-th pixel along an axis of that letter lies on its own axis. */
static int along(char letter, int i) {
    switch (letter) {
    case 'M':
    case 'F': return i;
    case 'U': return LATERAL - 1 - i;
    default: return DEPTH - 1 - i; /* N */
    }
}
static bool is_lateral(char letter) { return letter == 'M' || letter == 'U'; }

/* The stored picture of `channels` equal bytes a pixel. */
static void store(const char *mark, int channels, unsigned char *out, int *width, int *height) {
    bool upright = is_lateral(mark[0]);
    *width = upright ? LATERAL : DEPTH;
    *height = upright ? DEPTH : LATERAL;
    for (int y = 0; y < *height; y++)
        for (int x = 0; x < *width; x++) {
            int a = along(mark[0], x), b = along(mark[1], y);
            unsigned char value = upright ? place(a, b) : place(b, a);
            for (int c = 0; c < channels; c++) *out++ = (unsigned char)(value + c);
        }
}

static const char *write_marked(const char *mark, int channels) {
    unsigned char bytes[3 * LATERAL * DEPTH];
    int width, height;
    char header[500];
    store(mark, channels, bytes, &width, &height);
    snprintf(header, sizeof header,
             "NDims = 3\nDimSize = %d %d 1\nElementType = MET_UCHAR\n"
             "ElementNumberOfChannels = %d\nElementSpacing = %s 1\n"
             "UltrasoundImageOrientation = %s\nElementDataFile = LOCAL\n",
             width, height, channels, is_lateral(mark[0]) ? "0.2 0.1" : "0.1 0.2", mark);
    return write_mixed("a.igs.mha", header, bytes, (size_t)(width * height * channels));
}

static void assert_mf(const char *path, const char *mark, int channels) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    const es_stream_info *info = es_source_info(source);
    assert_int_equal(info->width, LATERAL);
    assert_int_equal(info->height, DEPTH);
    assert_true(info->spacing_mm[0] == 0.2 && info->spacing_mm[1] == 0.1);
    assert_string_equal(info->orientation, mark);
    es_frame frame = {0};
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_int_equal(frame.image.width, LATERAL);
    const unsigned char *value = frame.image.data;
    for (int v = 0; v < DEPTH; v++)
        for (int u = 0; u < LATERAL; u++)
            for (int c = 0; c < channels; c++, value++)
                if (*value != place(u, v) + c)
                    fail_msg("%s: (%d, %d) holds %d, expected %d", mark, u, v, *value,
                             place(u, v) + c);
    es_frame_clear(&frame);
    es_source_free(source);
}

static const char *const pairs[] = {"MF", "MN", "UF", "UN", "FM", "FU", "NM", "NU"};

static void every_mark_is_brought_to_mf(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int third = 0; third < 3; third++)
            for (int channels = 1; channels <= 3; channels += 2) {
                char mark[4];
                snprintf(mark, sizeof mark, "%s%s", pairs[i],
                         third == 0   ? ""
                         : third == 1 ? "A"
                                      : "D");
                assert_mf(write_marked(mark, channels), mark, channels);
            }
}

static void written_files_carry_the_mark_they_lie_in(void **state) {
    (void)state;
    static const char *const names[] = {"b.igs.mha", "b.igs.nrrd"};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int n = 0; n < 2; n++) {
            es_error err = {0};
            es_source *source = es_sequence_open(write_marked(pairs[i], 1), &err);
            assert_non_null(source);
            es_sink *sink =
                es_sequence_create(in_folder(names[n]), es_source_info(source), NULL, &err);
            if (!sink) fail_msg("%s", err.message);
            es_frame frame = {0};
            while (next_frame(source, &frame, ES_READ_PIXELS))
                assert_ok(es_sink_put(sink, &frame, &err));
            assert_ok(es_sink_finish(sink, &err));
            es_sink_free(sink);
            es_source_free(source);
            es_frame_clear(&frame);
            assert_mf(in_folder(names[n]), "MFA", 1);
        }
}

static void an_unmarked_file_stays_unmarked(void **state) {
    (void)state;
    es_error err = {0};
    es_source *source = es_sequence_open(
        write_mixed("a.mha",
                    "NDims = 2\nDimSize = 2 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
                    "ab", 2),
        &err);
    assert_non_null(source);
    assert_string_equal(es_source_info(source)->orientation, "");
    es_sink *sink = es_sequence_create(in_folder("b.mha"), es_source_info(source), NULL, &err);
    es_frame frame = {0};
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_memory_equal(frame.image.data, "ab", 2);
    assert_ok(es_sink_put(sink, &frame, &err));
    assert_ok(es_sink_finish(sink, &err));
    es_sink_free(sink);
    es_source_free(source);
    es_frame_clear(&frame);
    source = es_sequence_open(in_folder("b.mha"), &err);
    assert_string_equal(es_source_info(source)->orientation, "");
    es_source_free(source);
}

static void unknown_marks_are_refused(void **state) {
    (void)state;
    static const char *const marks[] = {"M",   "MM",   "FN",  "MU",  "XX", "AB",
                                        "MFX", "MFAA", "M F", "FNA", "1F", "UXA"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char header[300];
        snprintf(header, sizeof header,
                 "NDims = 3\nDimSize = 2 2 1\nElementType = MET_UCHAR\n"
                 "UltrasoundImageOrientation = %s\nElementDataFile = LOCAL\n",
                 marks[i]);
        es_error err = {0};
        assert_null(es_sequence_open(write_mixed("a.igs.mha", header, "abcd", 4), &err));
        assert_says(&err, ES_FORMAT, marks[i]);
        assert_says(&err, ES_FORMAT, "a.igs.mha");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mark_is_brought_to_mf),
        cmocka_unit_test(written_files_carry_the_mark_they_lie_in),
        cmocka_unit_test(an_unmarked_file_stays_unmarked),
        cmocka_unit_test(unknown_marks_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
