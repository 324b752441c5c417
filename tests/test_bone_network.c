/* Networks: what the kernels compute, on every processor, and which files are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "echosolid/bone_flow.h"
#include "network_support.h"

static const int shipped[] = {4, 8, 16, 32, 0}, two_levels[] = {4, 12, 0}, wide[] = {16, 64, 0};

static float *random_picture(int width, int height, uint64_t seed) {
    es_random random = es_random_new(seed, 2);
    float *grey = malloc((size_t)(width * height) * sizeof *grey);
    for (int i = 0; i < width * height; i++) grey[i] = (float)es_random_uniform(&random);
    return grey;
}

static void apply(const test_net *n, const float *grey, int width, int height, float *logits) {
    es_error err = {0};
    es_network *network = es_network_new(n->bytes, n->length, &err);
    if (!network) fail_msg("%s", err.message);
    es_network_run *run = es_network_run_new(network, &err);
    assert_non_null(run);
    if (!es_network_apply(run, grey, (uint32_t)width, (uint32_t)height, logits, &err))
        fail_msg("%s", err.message);
    es_network_run_free(run);
    es_network_free(network);
}

/* Largest difference from the plain double code, as a share of the largest
 * logit. Sums of some hundred floats through 15 layers: 1e-5 is ten times what
 * rounding makes of them, a wrong tap is 1e-2 and more. */
static void check_against_reference(const int *widths, int inputs, int stem, int width,
                                    int height) {
    test_net n = net_make(widths, inputs, stem, 5);
    float *grey = random_picture(width, height, 9);
    size_t count = (size_t)(width * height);
    float *logits = malloc(count * sizeof *logits);
    double *expected = malloc(count * sizeof *expected), most = 0, off = 0;
    apply(&n, grey, width, height, logits);
    net_reference(&n, grey, width, height, expected);
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs(expected[i]));
        off = fmax(off, fabs(expected[i] - (double)logits[i]));
    }
    if (!(most > 0.01 && off <= 1e-5 * most)) fail_msg("off by %g of %g", off, most);
    free(expected);
    free(logits);
    free(grey);
    net_free(&n);
}

static void a_network_gives_what_its_definition_says(void **state) {
    (void)state;
    check_against_reference(shipped, 2, 0, 40, 48);
    check_against_reference(two_levels, 1, 0, 26, 14);
    check_against_reference(wide, 2, 0, 20, 12);
}

static void a_picture_of_any_size_is_padded_with_black(void **state) {
    (void)state;
    check_against_reference(shipped, 2, 0, 33, 19);
    check_against_reference(shipped, 2, 0, 1, 1);
    check_against_reference(shipped, 2, 0, 3, 50);
}

static void a_stem_halves_the_picture_and_the_logits_come_back_bilinear(void **state) {
    (void)state;
    check_against_reference(shipped, 2, 1, 48, 64);
    check_against_reference(two_levels, 1, 1, 21, 35);
}

static void every_processor_gives_the_same_bytes(void **state) {
    (void)state;
    const int *const all[] = {shipped, two_levels, wide};
    static float plain[70 * 90], fast[70 * 90];
    float *grey = random_picture(70, 90, 3);
    for (int i = 0; i < 3; i++) {
        test_net n = net_make(all[i], 2, i == 1, 17 + (uint64_t)i);
        setenv("ES_CPU", "scalar", 1);
        apply(&n, grey, 70, 90, plain);
        unsetenv("ES_CPU");
        apply(&n, grey, 70, 90, fast);
        assert_memory_equal(plain, fast, sizeof plain);
        net_free(&n);
    }
    free(grey);
}

static void a_run_keeps_nothing_of_earlier_pictures(void **state) {
    (void)state;
    static float first[40 * 30], other[64 * 50], again[40 * 30];
    test_net n = net_make(shipped, 2, 0, 21);
    es_network *network = es_network_new(n.bytes, n.length, NULL);
    es_network_run *run = es_network_run_new(network, NULL);
    float *small = random_picture(40, 30, 1), *large = random_picture(64, 50, 2);
    assert_true(es_network_apply(run, small, 40, 30, first, NULL));
    assert_true(es_network_apply(run, large, 64, 50, other, NULL));
    assert_true(es_network_apply(run, small, 40, 30, again, NULL));
    assert_memory_equal(first, again, sizeof first);
    free(small);
    free(large);
    es_network_run_free(run);
    es_network_free(network);
    net_free(&n);
}

static void pictures_that_are_empty_or_huge_are_refused(void **state) {
    (void)state;
    test_net n = net_make(two_levels, 1, 0, 21);
    es_network *network = es_network_new(n.bytes, n.length, NULL);
    es_network_run *run = es_network_run_new(network, NULL);
    float value = 0;
    const uint32_t sizes[][2] = {{0, 4}, {4, 0}, {5000, 1}, {1, 5000}, {4000, 4000}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        es_error err = {0};
        assert_false(es_network_apply(run, &value, sizes[i][0], sizes[i][1], &value, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    es_network_run_free(run);
    es_network_free(network);
    net_free(&n);
}

static void weights_that_overflow_are_an_error_not_a_bone(void **state) {
    (void)state;
    test_net n = net_make(two_levels, 1, 0, 21);
    float huge = 1e38f, grey[64], logits[64];
    for (size_t i = 0; i < n.weights; i++) memcpy(n.bytes + 12 + n.header + 4 * i, &huge, 4);
    for (int i = 0; i < 64; i++) grey[i] = 1;
    es_network *network = es_network_new(n.bytes, n.length, NULL);
    es_network_run *run = es_network_run_new(network, NULL);
    es_error err = {0};
    assert_false(es_network_apply(run, grey, 8, 8, logits, &err));
    assert_int_equal(err.code, ES_FORMAT);
    assert_non_null(strstr(err.message, "finite"));
    es_network_run_free(run);
    es_network_free(network);
    net_free(&n);
}

/* ---- files that are refused ----------------------------------------------------- */

static void refuse(const void *bytes, size_t length, const char *word) {
    es_error err = {0};
    es_network *network = es_network_new(bytes, length, &err);
    assert_null(network);
    if (!strstr(err.message, word)) fail_msg("\"%s\" does not say %s", err.message, word);
}

static void a_truncated_file_is_refused_at_every_length(void **state) {
    (void)state;
    test_net n = net_make(two_levels, 1, 0, 2);
    for (size_t length = 0; length < n.length; length += length < 400 ? 1 : 97)
        refuse(n.bytes, length, length < 12 ? "no network" : "truncated");
    net_free(&n);
}

static void a_file_with_more_behind_the_weights_is_refused(void **state) {
    (void)state;
    test_net n = net_make(two_levels, 1, 0, 2);
    n.bytes = realloc(n.bytes, n.length + 4);
    memset(n.bytes + n.length, 0, 4);
    refuse(n.bytes, n.length + 4, "longer");
    net_free(&n);
}

static void a_weight_that_is_not_finite_is_refused_by_its_place(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    test_net n = net_make(two_levels, 1, 0, 2);
    for (int i = 0; i < 3; i++) {
        unsigned char *at = n.bytes + 12 + n.header + (size_t)(4 * 100 * i);
        char place[32], kept[4];
        memcpy(kept, at, 4);
        memcpy(at, &bad[i], 4);
        snprintf(place, sizeof place, "weight %d ", 100 * i);
        refuse(n.bytes, n.length, place);
        memcpy(at, kept, 4);
    }
    net_free(&n);
}

/* A whole file around a header. */
static void refuse_header(const char *header, const char *word) {
    size_t length = strlen(header);
    unsigned char *bytes = calloc(1, 12 + length + 64);
    memcpy(bytes, "ESNN1\0\0", 8);
    bytes[8] = (unsigned char)length, bytes[9] = (unsigned char)(length >> 8);
    memcpy(bytes + 12, header, length);
    refuse(bytes, 12 + length + 64, word);
    free(bytes);
}

#define SHAPES(a, w, i, o, s, mm, t)                                                               \
    "{\"architecture\":" a ",\"widths\":" w ",\"inputs\":" i ",\"outputs\":" o ",\"stem\":" s      \
    ",\"spacing_mm\":" mm ",\"temperature\":" t "}"

static void shapes_that_the_kernels_do_not_run_are_refused_by_name(void **state) {
    (void)state;
    refuse_header("[1]", "spacing_mm");
    refuse_header("{", "JSON");
    refuse_header("{\"stem\":0,\"stem\":1}", "JSON");
    refuse_header(SHAPES("\"mlp\"", "[4,8]", "2", "2", "0", "0.4", "1"), "architecture");
    refuse_header(SHAPES("3", "[4,8]", "2", "2", "0", "0.4", "1"), "architecture");
    refuse_header(SHAPES("\"unet\"", "[4]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,8,8,8,8,8,8]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,6]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,68]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,-8]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,4294967304]", "2", "2", "0", "0.4", "1"), "widths");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "3", "2", "0", "0.4", "1"), "inputs");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "0", "0", "0.4", "1"), "outputs");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "2", "2", "0.4", "1"), "stem");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "2", "0", "0", "1"), "spacing_mm");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "2", "0", "\"0.4\"", "1"), "spacing_mm");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "2", "0", "0.4", "0"), "temperature");
    refuse_header(SHAPES("\"unet\"", "[4,8]", "2", "2", "0", "0.4", "1"), "truncated");
}

static void running_out_of_memory_anywhere_is_an_error(void **state) {
    (void)state;
    test_net n = net_make(two_levels, 2, 0, 2);
    float grey[64] = {0}, logits[64];
    bool done = false;
    for (long k = 0; !done && k < 50; k++) {
        es_error err = {0};
        es_alloc_fail_after(k);
        es_network *network = es_network_new(n.bytes, n.length, &err);
        es_network_run *run = network ? es_network_run_new(network, &err) : NULL;
        done = run && es_network_apply(run, grey, 8, 8, logits, &err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        es_network_run_free(run);
        es_network_free(network);
    }
    assert_true(done);
    net_free(&n);
}

/* ---- as a detector ---------------------------------------------------------------- */

/* Whatever random weights say of them, odd frames give a trace or an error in
 * words, and the same one twice. */
static void odd_frames_neither_crash_nor_depend_on_earlier_ones(void **state) {
    (void)state;
    const uint32_t sizes[][2] = {{1, 1}, {4, 4000}, {200, 300}, {512, 512}, {1200, 900}};
    test_net n = net_make(shipped, 2, 0, 8);
    es_network *network = es_network_new(n.bytes, n.length, NULL);
    es_bone_options o = ES_BONE_DEFAULTS;
    o.method = ES_BONE_NETWORK;
    o.network = network;
    o.spacing_mm[0] = o.spacing_mm[1] = 0.15;
    es_bone *bone = es_bone_new(&o, NULL);
    assert_non_null(bone);
    es_trace trace = {0}, fresh = {0};
    es_image image = {0};
    for (size_t i = 0; i < 5; i++)
        for (int kind = 0; kind < 4; kind++) {
            assert_true(es_image_resize(&image, kind == 3 ? ES_F32 : ES_U8, kind == 2 ? 3 : 1,
                                        sizes[i][0], sizes[i][1], NULL));
            memset(image.data, kind == 1 ? 255 : 0, es_image_bytes(&image));
            size_t count = (size_t)image.width * image.height * (size_t)image.channels;
            es_random random = es_random_new(i, (uint64_t)kind);
            for (size_t k = 0; kind >= 2 && k < count; k++)
                es_type_set(image.type, image.data, k, 250 * es_random_uniform(&random));
            es_error err = {0};
            bool ok = es_bone_detect(bone, &image, &trace, &err);
            assert_true(ok || (err.code == ES_USAGE && *err.message));
            if (!ok) continue;
            es_bone *other = es_bone_new(&o, NULL);
            assert_true(es_bone_detect(other, &image, &fresh, NULL));
            assert_int_equal(trace.count, fresh.count);
            assert_memory_equal(trace.lines, fresh.lines, trace.count * sizeof *trace.lines);
            es_bone_free(other);
            for (size_t k = 0; kind < 2 && k < trace.count; k++) assert_false(trace.lines[k].found);
        }
    es_trace_clear(&trace);
    es_trace_clear(&fresh);
    es_image_clear(&image);
    es_bone_free(bone);
    es_network_free(network);
    net_free(&n);
}

static void a_file_of_another_name_is_no_network(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_network_open("weights.pt", &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_null(es_network_open("/nowhere/bone.esnn", &err));
    assert_int_equal(err.code, ES_IO);
    assert_non_null(strstr(err.message, "/nowhere/bone.esnn"));
}

static void the_built_in_network_is_whole(void **state) {
    (void)state;
    es_error err = {0};
    es_network *network = es_network_built_in(&err);
    assert_true(es_network_is_built_in() == (network != NULL));
    if (!network) {
        assert_int_equal(err.code, ES_UNSUPPORTED);
        skip(); /* a build without models/bone.esnn */
    }
    assert_true(es_network_about(network)->weights > 1000);
    es_network_free(network);
}

/* Height and width (u32), the input's two planes, the two planes of logits that
 * torch made of it: written when the weights were (training/export.py). */
static void the_built_in_network_gives_what_its_trainer_says(void **state) {
    (void)state;
    char path[4096];
    const char *source = getenv("ES_TEST_SOURCE");
    snprintf(path, sizeof path, "%s/tests/data/bone_net_reference.bin", source ? source : ".");
    size_t length = 0;
    char *bytes = es_file_read(path, 1 << 20, &length, NULL);
    es_network *network = es_network_built_in(NULL);
    if (!bytes || !network) {
        print_message("skipped: no models/bone.esnn or no %s\n", path);
        es_free(bytes);
        es_network_free(network);
        skip();
    }
    uint32_t size[2];
    memcpy(size, bytes, sizeof size);
    size_t count = (size_t)size[0] * size[1];
    assert_true(count > 0 && length == 8 + 16 * count);
    float *values = malloc(16 * count), *logits = malloc(4 * count);
    memcpy(values, bytes + 8, 16 * count);
    es_network_run *run = es_network_run_new(network, NULL);
    assert_true(es_network_apply(run, values, size[1], size[0], logits, NULL));
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)logits[i] - (double)values[2 * count + i]) < 1e-4);
    es_network_run_free(run);
    es_network_free(network);
    es_free(bytes);
    free(values);
    free(logits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_gives_what_its_definition_says),
        cmocka_unit_test(a_picture_of_any_size_is_padded_with_black),
        cmocka_unit_test(a_stem_halves_the_picture_and_the_logits_come_back_bilinear),
        cmocka_unit_test(every_processor_gives_the_same_bytes),
        cmocka_unit_test(a_run_keeps_nothing_of_earlier_pictures),
        cmocka_unit_test(pictures_that_are_empty_or_huge_are_refused),
        cmocka_unit_test(weights_that_overflow_are_an_error_not_a_bone),
        cmocka_unit_test(a_truncated_file_is_refused_at_every_length),
        cmocka_unit_test(a_file_with_more_behind_the_weights_is_refused),
        cmocka_unit_test(a_weight_that_is_not_finite_is_refused_by_its_place),
        cmocka_unit_test(shapes_that_the_kernels_do_not_run_are_refused_by_name),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error),
        cmocka_unit_test(odd_frames_neither_crash_nor_depend_on_earlier_ones),
        cmocka_unit_test(a_file_of_another_name_is_no_network),
        cmocka_unit_test(the_built_in_network_is_whole),
        cmocka_unit_test(the_built_in_network_gives_what_its_trainer_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
