/* What is made of traces: pieces, agreement of two detectors, the picture of
 * probability, the two edges of an echo, and wires and bone in water. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/bone.h"
#include "echosolid/format.h"

enum { LINES = 20 };

/* Columns 3 pixels apart, 0.1 mm a pixel, all at one depth. */
static void flat(es_trace *trace, double depth_mm) {
    assert_true(es_trace_resize(trace, LINES, NULL));
    for (size_t i = 0; i < LINES; i++)
        trace->lines[i] = (es_scan_line){.u = 3. * (double)i + 10,
                                         .v = 4,
                                         .dv = 10,
                                         .length_mm = 30,
                                         .found = true,
                                         .depth_mm = depth_mm,
                                         .confidence = 0.5f,
                                         .cos_incidence = 1};
}

static void pieces_end_at_gaps_and_jumps_but_not_on_steep_flanks(void **state) {
    (void)state;
    es_trace trace = {0};
    flat(&trace, 10);
    assert_int_equal(es_bone_piece_end(&trace, 0), LINES);
    trace.lines[5].found = false;
    for (size_t i = 12; i < LINES; i++) trace.lines[i].depth_mm = 15; /* a jump of 5 mm */
    assert_int_equal(es_bone_piece_end(&trace, 0), 5);
    assert_int_equal(es_bone_piece_end(&trace, 5), 6);
    assert_int_equal(es_bone_piece_end(&trace, 6), 12);
    assert_int_equal(es_bone_piece_end(&trace, 12), LINES);
    /* 70 degrees: 2.7 mm of depth per mm across, lines .3 mm apart */
    flat(&trace, 5);
    for (size_t i = 0; i < LINES; i++) trace.lines[i].depth_mm = 5 + 0.3 * 2.7 * (double)i;
    assert_int_equal(es_bone_piece_end(&trace, 0), LINES);
    es_trace_clear(&trace);
}

static void a_point_lies_along_its_line(void **state) {
    (void)state;
    es_scan_line line = {.u = 10, .v = 4, .du = 1, .dv = 9, .found = true, .depth_mm = 2};
    double u, v;
    es_bone_point(&line, &u, &v);
    assert_true(u == 12 && v == 22);
}

static void confidence_is_that_of_the_found_lines(void **state) {
    (void)state;
    es_trace trace = {0};
    flat(&trace, 10);
    trace.lines[0].confidence = 1;
    trace.lines[1].found = false;
    assert_true(fabs(es_bone_confidence(&trace, 0, 3) - 0.75) < 1e-9);
    assert_true(es_bone_confidence(&trace, 1, 2) == 0);
    es_trace_clear(&trace);
}

static void two_detectors_agree_where_both_or_neither_found_bone(void **state) {
    (void)state;
    es_trace a = {0}, b = {0};
    double share;
    flat(&a, 10);
    flat(&b, 11.4);
    assert_true(es_bone_agreement(&a, &b, 1.5, &share, NULL) && share == 1);
    for (size_t i = 0; i < 5; i++) b.lines[i].depth_mm = 11.6; /* too far */
    for (size_t i = 5; i < 8; i++) b.lines[i].found = false;   /* one alone */
    a.lines[9].found = b.lines[9].found = false;               /* neither */
    assert_true(es_bone_agreement(&a, &b, 1.5, &share, NULL));
    assert_true(fabs(share - 12. / LINES) < 1e-9);
    /* on a flank of 60 degrees 2 mm of depth are 1 mm across the surface */
    for (size_t i = 0; i < LINES; i++) {
        a.lines[i].found = b.lines[i].found = true;
        a.lines[i].cos_incidence = b.lines[i].cos_incidence = 0.5f;
        b.lines[i].depth_mm = a.lines[i].depth_mm + 2;
    }
    assert_true(es_bone_agreement(&a, &b, 1.5, &share, NULL) && share == 1);
    es_trace_clear(&a);
    es_trace_clear(&b);
}

static void only_what_both_found_is_kept(void **state) {
    (void)state;
    es_trace a = {0}, b = {0};
    flat(&a, 10);
    flat(&b, 10.5);
    b.lines[3].found = false;
    b.lines[4].depth_mm = 20;
    assert_true(es_bone_keep_agreed(&a, &b, 1.5, NULL));
    for (size_t i = 0; i < LINES; i++) {
        assert_int_equal(a.lines[i].found, i != 3 && i != 4);
        assert_true(a.lines[i].u == 3. * (double)i + 10 && a.lines[i].length_mm == 30);
    }
    es_trace_clear(&a);
    es_trace_clear(&b);
}

static void traces_of_other_lines_are_not_compared(void **state) {
    (void)state;
    es_trace a = {0}, b = {0};
    double share;
    es_error err = {0};
    flat(&a, 10);
    flat(&b, 10);
    b.lines[2].u += 0.5;
    assert_false(es_bone_agreement(&a, &b, 1.5, &share, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_bone_keep_agreed(&a, &b, 1.5, &err));
    es_trace_clear(&a);
    es_trace_clear(&b);
    flat(&a, 10);
    assert_false(es_bone_agreement(&a, &b, 1.5, &share, &err));
    es_trace_clear(&a);
}

/* ---- the picture of probability ------------------------------------------------ */

static uint8_t pixel(const es_image *image, uint32_t u, uint32_t v) {
    return ((const uint8_t *)image->data)[(size_t)v * image->width + u];
}

static void the_painted_band_is_a_gaussian_of_the_confidence(void **state) {
    (void)state;
    static const double spacing[] = {0.1, 0.1};
    es_trace trace = {0};
    es_image image = {0};
    flat(&trace, 10); /* row 104 */
    assert_true(es_bone_paint(&trace, spacing, 100, 150, &image, NULL));
    assert_true(image.type == ES_U8 && image.channels == 1);
    for (uint32_t u = 10; u <= 10 + 3 * (LINES - 1); u++)
        for (int off = -9; off <= 9; off++) {
            double expected = 255 * 0.5 * exp(-0.5 * pow(off * 0.1 / ES_BONE_BAND_MM, 2));
            assert_true(fabs(pixel(&image, u, (uint32_t)(104 + off)) - expected) <= 0.51);
        }
    assert_int_equal(pixel(&image, 40, 80), 0);
    assert_int_equal(pixel(&image, 90, 104), 0);
    es_trace_clear(&trace);
    es_image_clear(&image);
}

static void pixels_that_are_not_square_are_painted_in_millimetres(void **state) {
    (void)state;
    static const double spacing[] = {0.2, 0.1};
    es_trace trace = {0};
    es_image image = {0};
    flat(&trace, 10);
    for (size_t i = 1; i < LINES; i++) trace.lines[i].found = false; /* one point: a disc */
    assert_true(es_bone_paint(&trace, spacing, 100, 150, &image, NULL));
    assert_true(pixel(&image, 10, 104) > 0);
    assert_int_equal(pixel(&image, 12, 104), pixel(&image, 10, 108)); /* 0.4 mm either way */
    es_trace_clear(&trace);
    es_image_clear(&image);
}

static void bone_outside_of_the_picture_paints_nothing(void **state) {
    (void)state;
    static const double spacing[] = {0.1, 0.1}, wrong[] = {0, 0.1};
    es_trace trace = {0};
    es_image image = {0};
    flat(&trace, 1e6);
    assert_true(es_bone_paint(&trace, spacing, 8, 8, &image, NULL));
    for (uint32_t i = 0; i < 64; i++) assert_int_equal(((uint8_t *)image.data)[i], 0);
    trace.count = 0;
    assert_true(es_bone_paint(&trace, spacing, 8, 8, &image, NULL));
    es_error err = {0};
    assert_false(es_bone_paint(&trace, wrong, 8, 8, &image, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_image_clear(&image);
    es_alloc_fail_after(0);
    assert_false(es_bone_paint(&trace, spacing, 8, 8, &image, &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
    trace.count = LINES;
    es_trace_clear(&trace);
    es_image_clear(&image);
}

/* ---- edges of the echo ------------------------------------------------------------ */

enum { SIDE = 400 }; /* pixels of 0.1 mm */

/* Tissue of grey 60 down to row `top`, then an echo that rises over a
 * millimetre to 240, stays for `thick` rows, falls as fast, and shadow. */
static void paint_echo(es_image *image, int top, int thick) {
    assert_true(es_image_resize(image, ES_U8, 1, SIDE, SIDE, NULL));
    uint8_t *data = image->data;
    for (int v = 0; v < SIDE; v++) {
        double rise = fmin(fmax((v - top) / 10., 0), 1);
        double fall = fmin(fmax((v - top - 10 - thick) / 10., 0), 1);
        double grey = 60 + 180 * rise - 235 * fall;
        es_random random = es_random_new(3, (uint64_t)v);
        for (int u = 0; u < SIDE; u++)
            data[v * SIDE + u] =
                (uint8_t)fmax(grey + (rise == 0 ? 12 * es_random_normal(&random) : 0), 0);
    }
}

static double mean_row(const es_image *image, const es_bone_options *options) {
    es_error err = {0};
    es_trace trace = {0};
    es_bone *bone = es_bone_new(options, &err);
    if (!bone || !es_bone_detect(bone, image, &trace, &err)) fail_msg("%s", err.message);
    double sum = 0, u, v;
    size_t found = 0;
    for (size_t i = 0; i < trace.count; i++) {
        if (!trace.lines[i].found) continue;
        es_bone_point(&trace.lines[i], &u, &v);
        sum += v;
        found++;
    }
    assert_true(found > trace.count * 3 / 4);
    es_trace_clear(&trace);
    es_bone_free(bone);
    return sum / (double)found;
}

static void the_front_edge_is_half_way_up_the_echo(void **state) {
    (void)state;
    es_image image = {0};
    es_bone_options o = ES_BONE_DEFAULTS;
    o.spacing_mm[0] = o.spacing_mm[1] = 0.1;
    paint_echo(&image, 200, 4);
    double crest = mean_row(&image, &o);
    o.edge = ES_BONE_FRONT;
    double front = mean_row(&image, &o);
    /* the crest is flat from row 210 to 214; half of the rise from the darkest
     * speckle is near row 204; a sample is 2 rows, the blur another 2 */
    assert_true(fabs(crest - 212) < 3);
    assert_true(fabs(front - 204) < 3);
    o.offset_mm = 0.7;
    assert_true(fabs(mean_row(&image, &o) - front - 7) < 0.01);
    o.edge = (es_bone_edge)7;
    es_error err = {0};
    assert_null(es_bone_new(&o, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_image_clear(&image);
}

/* ---- water -------------------------------------------------------------------------- */

/* Black, with echoes 1 mm thick: `length` pixels long from column `u`, row v. */
static void draw(es_image *image, int u, int v, int length, uint8_t grey) {
    uint8_t *data = image->data;
    for (int y = v; y < v + 10; y++)
        for (int x = u; x < u + length; x++) data[y * SIDE + x] = grey;
}

static size_t found_in(const es_image *image, es_bone_method method) {
    es_error err = {0};
    es_trace trace = {0};
    es_bone_options o = ES_BONE_DEFAULTS;
    o.method = method;
    o.spacing_mm[0] = o.spacing_mm[1] = 0.1;
    o.fan = (es_fan){.kind = ES_FAN_LINEAR, .u1 = SIDE, .v1 = SIDE};
    es_bone *bone = es_bone_new(&o, &err);
    if (!bone || !es_bone_detect(bone, image, &trace, &err)) fail_msg("%s", err.message);
    size_t found = 0;
    for (size_t i = 0; i < trace.count; i++) found += trace.lines[i].found;
    es_trace_clear(&trace);
    es_bone_free(bone);
    return found;
}

static void wires_and_a_faint_wall_in_water_are_no_bone_but_a_bright_surface_is(void **state) {
    (void)state;
    es_image image = {0};
    for (int method = 0; method <= ES_BONE_FOROUGHI; method++) {
        assert_true(es_image_resize(&image, ES_U8, 1, SIDE, SIDE, NULL));
        memset(image.data, 0, SIDE * SIDE);
        draw(&image, 60, 120, 40, 250); /* 4 mm: a wire and its side lobes */
        draw(&image, 300, 140, 50, 250);
        draw(&image, 100, 250, 200, 40); /* 20 mm of wall */
        assert_int_equal(found_in(&image, (es_bone_method)method), 0);
        draw(&image, 100, 250, 200, 250);
        size_t n = found_in(&image, (es_bone_method)method);
        if (n <= 50) fail_msg("method %d: %zu of 66 lines", method, n);
    }
    es_image_clear(&image);
}

/* ---- as the file stores it ------------------------------------------------------------ */

static void places_are_given_in_the_picture_as_stored(void **state) {
    (void)state;
    static const struct {
        const char *mark;
        double u, v;
    } cases[] = {{"MF", 10, 3},  {"MFA", 10, 3}, {"", 10, 3},   {"UF", 89, 3},
                 {"MN", 10, 46}, {"UN", 89, 46}, {"FM", 3, 10}, {"FU", 3, 89},
                 {"NM", 46, 10}, {"NU", 46, 89}, {"UFA", 89, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_stream_info info = {.width = 100, .height = 50};
        strcpy(info.orientation, cases[i].mark);
        double u = 10, v = 3;
        assert_true(es_stored_place(&info, &u, &v, NULL));
        assert_true(u == cases[i].u && v == cases[i].v);
    }
    es_stream_info info = {.width = 100, .height = 50, .orientation = "XY"};
    double u = 1, v = 1;
    es_error err = {0};
    assert_false(es_stored_place(&info, &u, &v, &err));
    assert_int_equal(err.code, ES_FORMAT);
    /* DICOM pictures are cut to their tissue */
    es_stream_info cut = {.width = 100, .height = 50};
    assert_true(es_fields_set(&cut.fields, "DicomCropOrigin", "7 9", NULL));
    assert_true(es_stored_place(&cut, &u, &v, NULL));
    assert_true(u == 8 && v == 10);
    es_stream_info_clear(&cut);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_end_at_gaps_and_jumps_but_not_on_steep_flanks),
        cmocka_unit_test(a_point_lies_along_its_line),
        cmocka_unit_test(confidence_is_that_of_the_found_lines),
        cmocka_unit_test(two_detectors_agree_where_both_or_neither_found_bone),
        cmocka_unit_test(only_what_both_found_is_kept),
        cmocka_unit_test(traces_of_other_lines_are_not_compared),
        cmocka_unit_test(the_painted_band_is_a_gaussian_of_the_confidence),
        cmocka_unit_test(pixels_that_are_not_square_are_painted_in_millimetres),
        cmocka_unit_test(bone_outside_of_the_picture_paints_nothing),
        cmocka_unit_test(the_front_edge_is_half_way_up_the_echo),
        cmocka_unit_test(wires_and_a_faint_wall_in_water_are_no_bone_but_a_bright_surface_is),
        cmocka_unit_test(places_are_given_in_the_picture_as_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
