/* Broken and hostile recordings: each is refused with one message that names
 * the file, the place, what was found and what was expected. */
#include "format_support.h"

#include <zlib.h>

#define HEAD "ObjectType = Image\nNDims = 3\nDimSize = 3 2 2\nElementType = MET_UCHAR\n"
#define LOCAL "ElementDataFile = LOCAL\n"
static const unsigned char pixels[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* Opens and reads everything; false with the message of what failed. */
static bool read_all(const char *path, es_error *err) {
    es_source *source = es_sequence_open(path, err);
    if (!source) return false;
    es_frame frame = {0};
    bool end = false, ok = true;
    while (ok && !end) ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

static void refuse(const char *header, es_code code, const char *says) {
    es_error err = {0};
    if (read_all(write_mixed("b.igs.mha", header, pixels, 12), &err))
        fail_msg("read although wrong:\n%s", header);
    assert_says(&err, code, says);
    assert_says(&err, code, "b.igs.mha: ");
}

static void contradictory_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
        es_code code;
    } cases[] = {
        {HEAD "DimSize = 3 2 3\n" LOCAL, "DimSize stands twice, as \"3 2 2\" and as \"3 2 3\"",
         ES_FORMAT},
        {HEAD "BinaryDataByteOrderMSB = True\nElementByteOrderMSB = False\n" LOCAL, "contradict",
         ES_FORMAT},
        {HEAD "Kinds = domain domain\n" LOCAL, "Kinds: expected 3 words, found 2", ES_FORMAT},
        {HEAD "Kinds = domain list domain\n" LOCAL, "last axis", ES_UNSUPPORTED},
        {HEAD "Seq_Frame0002_Timestamp = 1\n" LOCAL,
         "fields of frame 2, but the sizes announce 2 frames", ES_FORMAT},
        {HEAD "HeaderSize = 10\n" LOCAL, "HeaderSize", ES_FORMAT},
        {HEAD "CompressedData = True\nHeaderSize = -1\n" LOCAL, "HeaderSize", ES_FORMAT},
        {"NDims = 3\nDimSize = 0 0 9\nElementType = MET_OTHER\nSeq_Frame0000_Timestamp = 1\n" LOCAL,
         "9 frames without pixels are announced, found fields of 1", ES_FORMAT},
        {"NDims = 2\nDimSize = 3 2 2\nElementType = MET_UCHAR\n" LOCAL,
         "DimSize: expected 2 numbers, found 3", ES_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].header, cases[i].code, cases[i].says);
}

static void headers_that_lack_or_misspell_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
        es_code code;
    } cases[] = {
        {"NDims = 3\nElementType = MET_UCHAR\n" LOCAL, "DimSize is missing", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 2\n" LOCAL, "ElementType is missing", ES_FORMAT},
        {"NDims = 1\nDimSize = 3\nElementType = MET_UCHAR\n" LOCAL,
         "NDims: expected 2, 3 or 4, found 1", ES_UNSUPPORTED},
        {"NDims = 99999999999999999999\nDimSize = 3\n" LOCAL, "NDims", ES_FORMAT},
        {"NDims = three\nDimSize = 3 2 2\n" LOCAL, "found \"three\"", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 x\nElementType = MET_UCHAR\n" LOCAL,
         "DimSize: expected 3 numbers", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 -2\nElementType = MET_UCHAR\n" LOCAL, "found -2", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 1.5\nElementType = MET_UCHAR\n" LOCAL, "found 1.5", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 nan\nElementType = MET_UCHAR\n" LOCAL, "not finite", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 0 2\nElementType = MET_UCHAR\n" LOCAL, "size 2 of 3 is 0",
         ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 0\nElementType = MET_UCHAR\n" LOCAL, "size 3 of 3 is 0",
         ES_FORMAT},
        {"NDims = 4\nDimSize = 3 2 2 1\nElementType = MET_UCHAR\nKinds = domain domain domain "
         "list\n" LOCAL,
         "single pictures", ES_UNSUPPORTED},
        {"NDims = 3\nDimSize = 3 2 2\nElementType = MET_LONG_LONG\n" LOCAL, "MET_LONG_LONG",
         ES_UNSUPPORTED},
        {"NDims = 3\nDimSize = 3 2 2\nElementType = uchar\n" LOCAL, "\"uchar\"", ES_FORMAT},
        {"NDims = 3\nDimSize = 3 2 2\nElementType = MET_OTHER\n" LOCAL, "MET_OTHER",
         ES_UNSUPPORTED},
        {HEAD "ElementNumberOfChannels = 2\n" LOCAL, "2 channels", ES_UNSUPPORTED},
        {HEAD "ElementNumberOfChannels = 0\n" LOCAL, "ElementNumberOfChannels", ES_FORMAT},
        {HEAD "BinaryData = False\n" LOCAL, "BinaryData", ES_UNSUPPORTED},
        {HEAD "BinaryDataByteOrderMSB = maybe\n" LOCAL, "expected True or False, found \"maybe\"",
         ES_FORMAT},
        {HEAD "CompressedData = yes please\n" LOCAL, "CompressedData", ES_FORMAT},
        {HEAD "CompressedDataSize = many\n" LOCAL, "CompressedDataSize", ES_FORMAT},
        {HEAD "ElementSpacing = 1 nan 1\n" LOCAL, "ElementSpacing: number 2 is not finite",
         ES_FORMAT},
        {HEAD "ElementSpacing = 0 1 1\n" LOCAL, "spacing of 0", ES_FORMAT},
        {HEAD "no equals sign\n" LOCAL,
         "line 5: expected \"Key = value\", found \"no equals sign\"", ES_FORMAT},
        {HEAD "Seq_Frame_Timestamp = 1\n" LOCAL, "expected Seq_Frame<number>_<name>", ES_FORMAT},
        {HEAD "Seq_Frame0000 = 1\n" LOCAL, "line 5: ", ES_FORMAT},
        {HEAD "Seq_Frame99999999999999999999_A = 1\n" LOCAL, "line 5: ", ES_FORMAT},
        {HEAD "Seq_Frame-001_A = 1\n" LOCAL, "line 5: ", ES_FORMAT},
        {HEAD "ElementDataFile = \n", "is empty", ES_FORMAT},
        {HEAD "ElementDataFile = LIST\n\n", "line ", ES_FORMAT}, /* the pixels are no names */
        {HEAD "ElementDataFile = p%d.raw 3 1 1\n", "name%03d.raw", ES_FORMAT},
        {HEAD "ElementDataFile = p%d.raw one two\n", "name%03d.raw", ES_FORMAT},
        {HEAD "ElementDataFile = %s%s%n 1 2\n", "name%03d.raw", ES_FORMAT},
        {HEAD "ElementDataFile = p%99999d.raw 1 2\n", "name%03d.raw", ES_FORMAT},
        {HEAD "ElementDataFile = p%d.raw 1 5\n", "do not divide among 5 data files", ES_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].header, cases[i].code, cases[i].says);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    static const char *const sizes[] = {"4294967295 4294967295 4294967295",
                                        "4294967296 1 1",
                                        "9007199254740992 1 1",
                                        "1 9007199254740992 1",
                                        "65536 65536 9007199254740992",
                                        "1e300 1 1"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char header[300];
        snprintf(header, sizeof header, "NDims = 3\nDimSize = %s\nElementType = MET_DOUBLE\n" LOCAL,
                 sizes[i]);
        refuse(header, ES_FORMAT, "b.igs.mha");
    }
}

/* Announced sizes are held against the file before memory is asked for. */
static void more_pixels_than_the_file_can_hold_are_refused_at_once(void **state) {
    (void)state;
    uint64_t before = es_memory_peak();
    refuse("NDims = 3\nDimSize = 60000 60000 10\nElementType = MET_DOUBLE\n" LOCAL, ES_FORMAT,
           "expected 288000000000 bytes of pixels, found 12");
    refuse("NDims = 3\nDimSize = 60000 60000 10\nElementType = MET_DOUBLE\nCompressedData = "
           "True\n" LOCAL,
           ES_FORMAT, "expected 288000000000 bytes of pixels, found 12 compressed");
    assert_true(es_memory_peak() - before < (16u << 20));
}

static void data_files_elsewhere_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"/etc/passwd", "../a.raw",          "x/../../a.raw", "..",
                                        "x/..",        "\\\\server\\a.raw", "C:\\a.raw"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char header[300];
        snprintf(header, sizeof header, HEAD "ElementDataFile = %s\n", names[i]);
        refuse(header, ES_FORMAT, "outside the folder");
        snprintf(header, sizeof header, HEAD "ElementDataFile = LIST\n%s\n", names[i]);
        es_error err = {0};
        assert_false(read_all(write_mixed("b.mhd", header, "", 0), &err));
        assert_says(&err, ES_FORMAT, "outside the folder");
    }
}

static void data_files_that_are_no_files_are_refused(void **state) {
    (void)state;
    mkdir(in_folder("dir.raw"), 0700);
    assert_int_equal(mkfifo(in_folder("fifo.raw"), 0600), 0);
    refuse(HEAD "ElementDataFile = dir.raw\n", ES_FORMAT, "not a plain file");
    refuse(HEAD "ElementDataFile = fifo.raw\n", ES_FORMAT,
           "not a plain file"); /* would wait for ever */
    refuse(HEAD "ElementDataFile = gone.raw\n", ES_IO, "gone.raw");
    rmdir(in_folder("dir.raw"));
}

static void data_shorter_than_announced_are_refused(void **state) {
    (void)state;
    for (size_t length = 0; length < 12; length++) {
        es_error err = {0};
        char says[100];
        snprintf(says, sizeof says, "expected 12 bytes of pixels, found %zu", length);
        assert_false(read_all(write_mixed("b.mha", HEAD LOCAL, pixels, length), &err));
        assert_says(&err, ES_FORMAT, says);
    }
}

static size_t packed_frames(unsigned char out[200]) {
    uLongf length = 200;
    assert_int_equal(compress(out, &length, pixels, 12), Z_OK);
    return length;
}

static void compressed_garbage_is_refused(void **state) {
    (void)state;
    unsigned char packed[200];
    size_t length = packed_frames(packed);
    for (size_t cut = 0; cut < length; cut++) { /* the last four bytes are the checksum */
        es_error err = {0};
        assert_false(read_all(
            write_mixed("b.mha", HEAD "CompressedData = True\n" LOCAL, packed, cut), &err));
        assert_says(&err, ES_FORMAT, "b.mha: frame ");
    }
    es_error err = {0};
    char header[300];
    snprintf(header, sizeof header, HEAD "CompressedData = True\nCompressedDataSize = %zu\n" LOCAL,
             length + 1);
    assert_false(read_all(write_mixed("b.mha", header, packed, length), &err));
    assert_says(&err, ES_FORMAT, "cut off");
    refuse(HEAD "CompressedData = True\n" LOCAL, ES_FORMAT, "damaged"); /* pixels are no stream */
    unsigned char stub[200];
    uLongf stub_length = sizeof stub;
    compress(stub, &stub_length, pixels, 5);
    assert_false(read_all(
        write_mixed("b.mha", HEAD "CompressedData = True\n" LOCAL, stub, stub_length), &err));
    assert_says(&err, ES_FORMAT, "frame 0: ");
    assert_says(&err, ES_FORMAT, "end after 5 of 12 bytes");
}

/* Damage in the second frame leaves the first one readable. */
static void damage_is_found_where_it_is(void **state) {
    (void)state;
    enum { SIDE = 200 };
    static unsigned char noise[2 * SIDE * SIDE], packed[2 * SIDE * SIDE + 1000];
    es_random random = es_random_new(1, 2);
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)es_random_bits(&random);
    uLongf length = sizeof packed;
    assert_int_equal(compress2(packed, &length, noise, sizeof noise, 9), Z_OK);
    memset(packed + length * 3 / 4, 0xff, length / 8);
    const char *path = write_mixed("b.mha",
                                   "NDims = 3\nDimSize = 200 200 2\nElementType = MET_UCHAR\n"
                                   "CompressedData = True\n" LOCAL,
                                   packed, length);
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    es_frame frame = {0};
    bool end;
    assert_true(next_frame(source, &frame, ES_READ_PIXELS));
    assert_memory_equal(frame.image.data, noise, SIDE * SIDE);
    /* Noise is stored, not squeezed: only the checksum can tell. */
    assert_false(es_source_next(source, &frame, ES_READ_PIXELS, &end, &err));
    assert_says(&err, ES_FORMAT, "frame 1: ");
    assert_says(&err, ES_FORMAT, "damaged");
    es_frame_clear(&frame);
    es_source_free(source);
}

static void truncated_headers_are_refused(void **state) {
    (void)state;
    const char *header = HEAD "Seq_Frame0000_Timestamp = 1\nElementDataFile = LOCAL\n";
    size_t whole = strlen(header), name = whole - strlen("LOCAL\n");
    for (size_t cut = 1; cut < name; cut += 3) {
        es_error err = {0};
        assert_false(read_all(write_bytes("b.mha", header, cut), &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_says(&err, ES_FORMAT, "b.mha: ");
    }
}

static void overlong_headers_are_refused(void **state) {
    (void)state;
    size_t length = 3000000;
    char *text = malloc(length + 1);
    memset(text, 'x', length);
    memcpy(text, "Comment = ", 10);
    text[length] = '\0';
    es_error err = {0};
    assert_false(read_all(write_bytes("b.mha", text, length), &err));
    assert_says(&err, ES_FORMAT, "header line 1 is longer than 2097152 bytes");
    free(text);
    static const char zero[] = "ObjectType = Image\nNDims = 3\0\n" LOCAL;
    assert_false(read_all(write_bytes("b.mha", zero, sizeof zero - 1), &err));
    assert_says(&err, ES_FORMAT, "line 2 holds a zero byte");
    es_text many = {0};
    es_text_add(&many, HEAD);
    for (int i = 0; i < 5000; i++) es_text_add(&many, "Field%d = 1\n", i);
    es_text_add(&many, LOCAL);
    assert_false(read_all(write_mixed("b.mha", many.bytes, pixels, 12), &err));
    assert_says(&err, ES_FORMAT, "more than 4096 header fields");
    es_text_free(&many);
    es_text_add(&many, HEAD);
    for (int i = 0; i < 2000; i++) es_text_add(&many, "Seq_Frame0000_Field%d = 1\n", i);
    es_text_add(&many, LOCAL);
    assert_false(read_all(write_mixed("b.mha", many.bytes, pixels, 12), &err));
    assert_says(&err, ES_FORMAT, "frame 0 has more than 1024 fields");
    es_text_free(&many);
}

static void long_names_of_transforms_are_refused(void **state) {
    (void)state;
    char header[1000], name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    snprintf(header, sizeof header, HEAD "Seq_Frame0000_%sTransform = 1\n" LOCAL, name);
    refuse(header, ES_FORMAT, "frame 0: a transform's name of 300 letters");
}

static void files_of_other_kinds_are_named_as_such(void **state) {
    (void)state;
    es_error err = {0};
    assert_false(read_all(write_bytes("b.mha", "", 0), &err));
    assert_says(&err, ES_FORMAT, "is empty");
    assert_false(read_all(in_folder("nothing.mha"), &err));
    assert_says(&err, ES_IO, "nothing.mha: cannot be opened");
    assert_false(read_all(folder, &err));
    assert_says(&err, ES_FORMAT, "folder without pictures");
    assert_false(read_all(write_bytes("b.txt", "hello", 5), &err));
    assert_says(&err, ES_UNSUPPORTED, ".nii.gz");
    assert_false(read_all(write_bytes("b.mha", "\x89PNG\r\n", 6), &err));
    assert_says(&err, ES_FORMAT, "line 1: expected \"Key = value\"");
    assert_false(read_all(write_bytes("b.nrrd", "hello\n", 6), &err));
    assert_says(&err, ES_FORMAT, "line 1: expected NRRD0001");
}

static void content_decides_before_the_name(void **state) {
    (void)state;
    es_error err = {0};
    assert_ok(read_all(write_mixed("b.nrrd", HEAD LOCAL, pixels, 12), &err));
    assert_ok(read_all(write_mixed("b.bin", HEAD LOCAL, pixels, 12), &err));
}

/* 20,000 frames with three transforms in reversed order: sorted once. The
 * bound is 50 times what it takes here, and a quadratic way takes minutes. */
static void twenty_thousand_frames_open_quickly_in_any_order(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add(&text, "NDims = 3\nDimSize = 0 0 20000\nElementType = MET_OTHER\n");
    for (int f = 19999; f >= 0; f--)
        for (int t = 0; t < 3; t++)
            es_text_add(&text,
                        "Seq_Frame%04d_%sToTrackerTransform = 1 0 0 %d 0 1 0 0 0 0 1 0 0 0 0 1\n"
                        "Seq_Frame%04d_%sToTrackerTransformStatus = OK\n",
                        f,
                        t == 0   ? "A"
                        : t == 1 ? "B"
                                 : "C",
                        f, f,
                        t == 0   ? "A"
                        : t == 1 ? "B"
                                 : "C");
    es_text_add(&text, LOCAL);
    const char *path = write_bytes("b.mha", text.bytes, text.length);
    es_text_free(&text);
    double start = es_clock_s();
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    es_frame frame = {0};
    int f = 0;
    for (; next_frame(source, &frame, 0); f++)
        assert_true(frame.transform_count == 3 && frame.transforms[0].matrix.m[3] == f);
    assert_int_equal(f, 20000);
    es_frame_clear(&frame);
    es_source_free(source);
    assert_true(es_clock_s() - start < 10);
}

/* Each allocation fails once: an error, no leak (under ASan), no crash. */
static void every_failed_allocation_is_survived(void **state) {
    (void)state;
    unsigned char packed[200];
    size_t length = packed_frames(packed);
    const char *path =
        write_mixed("b.mha",
                    HEAD "CompressedData = True\nNote = x\nUltrasoundImageOrientation = UN\n"
                         "Seq_Frame0000_AToBTransform = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n"
                         "Seq_Frame0000_Foo = bar\n" LOCAL,
                    packed, length);
    bool ok = false;
    int n = 0;
    for (; !ok && n < 1000; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        ok = read_all(path, &err);
        es_alloc_fail_after(-1);
        if (!ok) assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(ok && n > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictory_headers_are_refused),
        cmocka_unit_test(headers_that_lack_or_misspell_are_refused),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(more_pixels_than_the_file_can_hold_are_refused_at_once),
        cmocka_unit_test(data_files_elsewhere_are_refused),
        cmocka_unit_test(data_files_that_are_no_files_are_refused),
        cmocka_unit_test(data_shorter_than_announced_are_refused),
        cmocka_unit_test(compressed_garbage_is_refused),
        cmocka_unit_test(damage_is_found_where_it_is),
        cmocka_unit_test(truncated_headers_are_refused),
        cmocka_unit_test(overlong_headers_are_refused),
        cmocka_unit_test(long_names_of_transforms_are_refused),
        cmocka_unit_test(files_of_other_kinds_are_named_as_such),
        cmocka_unit_test(content_decides_before_the_name),
        cmocka_unit_test(twenty_thousand_frames_open_quickly_in_any_order),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
