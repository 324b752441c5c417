/* Slices of sparse bricks and the histogram: each pixel where its voxel is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libxml/parser.h>

#include "echosolid/picture.h"

static es_colour pixel(const es_image *picture, uint32_t u, uint32_t v) {
    return ((const es_colour *)picture->data)[(size_t)v * picture->width + u];
}

static bool is_grey(es_colour c) { return c.r == c.g && c.g == c.b; }

static void put(es_bricks *bricks, int32_t x, int32_t y, int32_t z, float value) {
    /* Arithmetic shift of negative numbers rounds down with gcc and clang. */
    es_brick *brick = es_bricks_add(bricks, x >> 4, y >> 4, z >> 4, NULL);
    assert_non_null(brick);
    int i = (x & 15) + 16 * (y & 15) + 256 * (z & 15);
    brick->value[i] = value;
    brick->weight[i] = 1;
}

enum { X0 = -21, X1 = 42, Y0 = -5, Y1 = 26, Z0 = -40, Z1 = -1 }; /* 64 x 32 x 40 voxels */
static const double origin[3] = {100, 200, 300}, spacing[3] = {1, 2, 0.5};

/* A box of value 0 with the corner x < X0 + 8, y < Y0 + 8, z < Z0 + 8 at 100. */
static es_bricks *marked_box(void) {
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    for (int32_t z = Z0; z <= Z1; z++)
        for (int32_t y = Y0; y <= Y1; y++)
            for (int32_t x = X0; x <= X1; x++)
                put(bricks, x, y, z, x < X0 + 8 && y < Y0 + 8 && z < Z0 + 8 ? 100 : 0);
    return bricks;
}

static bool is_strip(const es_image *picture, uint32_t v) {
    es_colour corner = pixel(picture, picture->width - 1, 0);
    es_colour here = pixel(picture, picture->width - 1, v);
    return memcmp(&corner, &here, sizeof here) == 0;
}

/* The rows of the data, between the strips above and below. */
static void data_rows(const es_image *picture, uint32_t *first, uint32_t *last) {
    *first = 0;
    *last = picture->height - 1;
    while (is_strip(picture, *first)) ++*first;
    while (is_strip(picture, *last)) --*last;
}

static void the_marked_corner_stands_where_the_axes_say(void **state) {
    (void)state;
    es_bricks *bricks = marked_box();
    /* size: mm across and down; the corner has low x, y, z. */
    const struct {
        int axis;
        double position, across, down, mark_across, mark_down;
        bool mark_at_bottom;
    } cases[] = {
        {0, 100 + X0 + 2.0, 64, 20, 16, 4, true}, /* y to the right, z up */
        {1, 200 + 2 * (Y0 + 2.0), 64, 20, 8, 4, true},
        {2, 300 + 0.5 * (Z0 + 2.0), 64, 64, 8, 16, false},
    };
    for (size_t i = 0; i < 3; i++) {
        es_slice_view view = {.axis = cases[i].axis,
                              .position_mm = cases[i].position,
                              .low = 0,
                              .high = 100,
                              .width = 320};
        es_image picture = {0};
        es_error err = {0};
        assert_true(es_picture_slice(bricks, &view, &picture, &err));
        uint32_t first, last;
        data_rows(&picture, &first, &last);
        double px = 320 / cases[i].across; /* pixels per mm */
        assert_true(fabs((last - first + 1) - cases[i].down * px) <= 1);
        for (uint32_t v = first; v <= last; v++)
            for (uint32_t u = 0; u < 320; u++) {
                double across = (u + 0.5) / px, down = (v - first + 0.5) / px;
                if (cases[i].mark_at_bottom) down = cases[i].down - down;
                double inside = fmin(cases[i].mark_across - across, cases[i].mark_down - down);
                if (fabs(inside) < 2) continue; /* a voxel of smoothing, up to 2 mm */
                assert_int_equal(pixel(&picture, u, v).r, inside > 0 ? 255 : 0);
                assert_true(is_grey(pixel(&picture, u, v)));
            }
        es_image_clear(&picture);
    }
    es_bricks_free(bricks);
}

static void another_plane_shows_no_mark(void **state) {
    (void)state;
    es_bricks *bricks = marked_box();
    es_slice_view view = {.axis = 2, .position_mm = 300 - 5, .low = 0, .high = 100, .width = 128};
    es_image picture = {0};
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    uint32_t first, last;
    data_rows(&picture, &first, &last);
    for (uint32_t v = first; v <= last; v++)
        for (uint32_t u = 0; u < 128; u++) assert_int_equal(pixel(&picture, u, v).r, 0);
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void unknown_is_blue_and_never_mixed_into_grey(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, (const double[3]){1, 1, 1}, NULL);
    for (int32_t y = 0; y < 120; y++)
        for (int32_t x = 0; x < 120; x++)
            if (x < 30 || x >= 90 || y < 30 || y >= 90) put(bricks, x, y, 0, 77);
    put(bricks, 60, 60, 0, NAN); /* a value that is no number is unknown too */
    const uint32_t widths[] = {120, 360, 90};
    for (size_t i = 0; i < 3; i++) {
        es_slice_view view = {
            .axis = 2, .position_mm = 300, .low = 0, .high = 154, .width = widths[i]};
        es_image picture = {0};
        assert_true(es_picture_slice(bricks, &view, &picture, NULL));
        uint32_t first, last;
        data_rows(&picture, &first, &last);
        double px = widths[i] / 120.0;
        for (uint32_t v = first; v <= last; v++)
            for (uint32_t u = 0; u < widths[i]; u++) {
                double x = (u + 0.5) / px, y = (v - first + 0.5) / px;
                bool hole = x > 30 && x < 90 && y > 30 && y < 90;
                bool corner = fabs(fabs(x - 60) - 30) < 1 && fabs(fabs(y - 60) - 30) < 1;
                es_colour c = pixel(&picture, u, v);
                if (corner) continue; /* rounded by the interpolation */
                if (hole)
                    assert_true(c.b > c.r + 20 && c.b > c.g + 20);
                else /* 77 of 0..154 is the middle, whatever lies beside it */
                    assert_true(is_grey(c) && c.r >= 127 && c.r <= 128);
            }
        es_image_clear(&picture);
    }
    es_bricks_free(bricks);
}

static void without_a_window_the_middle_98_percent_fill_the_greys(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, (const double[3]){1, 1, 1}, NULL);
    for (int32_t i = 0; i < 10000; i++) put(bricks, i % 100, i / 100, 0, (float)(i % 100));
    put(bricks, 0, 0, 0, 5000); /* an outlier that must not set the scale */
    es_slice_view view = {.axis = 2, .position_mm = NAN, .width = 100};
    es_image picture = {0};
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    uint32_t first, last;
    data_rows(&picture, &first, &last);
    for (uint32_t u = 2; u < 98; u++) {
        double truth = 255 * (u - 0.5) / 98;
        /* 5 of 255: the quantiles are known to a bin of 5000 / 4095 = 1.2 values. */
        assert_true(fabs(pixel(&picture, u, last).r - truth) < 5);
    }
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void a_constant_volume_is_mid_grey(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    put(bricks, 3, 3, 3, 42);
    es_slice_view view = {.axis = 1, .position_mm = NAN, .width = 64};
    es_image picture = {0};
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    assert_int_equal(pixel(&picture, 32, 13 + 8).r, 128);
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void a_long_thin_volume_keeps_its_proportions(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, (const double[3]){1, 1, 1}, NULL);
    for (int32_t z = 0; z < 1000; z += 10) put(bricks, 0, 0, z, 1);
    es_slice_view view = {.axis = 0, .position_mm = NAN, .width = 100};
    es_image picture = {0};
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    assert_in_range(picture.height, 200, 300); /* twice the width and the strips */
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void the_scale_bar_has_the_length_it_names(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, (const double[3]){1, 1, 1}, NULL);
    put(bricks, 0, 0, 0, 0);
    put(bricks, 79, 79, 0, 0); /* 80 mm on 400 pixels: 5 pixels a mm */
    es_slice_view view = {.axis = 2, .position_mm = NAN, .low = 0, .high = 1, .width = 400};
    es_image picture = {0};
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    /* The longest 1, 2, 5 x 10^n under half the width is 20 mm: 100 pixels. */
    uint32_t longest = 0;
    for (uint32_t v = picture.height - 27; v < picture.height; v++) {
        uint32_t run = 0;
        for (uint32_t u = 200; u < 400; u++) {
            run = pixel(&picture, u, v).r > 150 ? run + 1 : 0;
            if (run > longest) longest = run;
        }
    }
    assert_in_range(longest, 100, 102); /* both end ticks included */
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void views_that_show_nothing_are_refused(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    es_image picture = {0};
    es_error err = {0};
    es_slice_view view = {.axis = 2, .position_mm = NAN, .width = 100};
    assert_false(es_picture_slice(bricks, &view, &picture, &err)); /* empty */
    assert_int_equal(err.code, ES_USAGE);
    put(bricks, 0, 0, 0, 1);
    const es_slice_view wrong[] = {
        {.axis = 3, .width = 100},
        {.axis = -1, .width = 100},
        {.axis = 2, .position_mm = 400, .width = 100},
        {.axis = 2, .position_mm = -INFINITY, .width = 100},
        {.axis = 2, .position_mm = 300, .width = 0},
        {.axis = 2, .position_mm = 300, .width = 70000},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err.code = ES_OK;
        assert_false(es_picture_slice(bricks, &wrong[i], &picture, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    view.width = 1; /* tiny, but there */
    assert_true(es_picture_slice(bricks, &view, &picture, NULL));
    es_image_clear(&picture);
    es_bricks_free(bricks);
}

static void a_slice_too_large_for_memory_is_refused(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    put(bricks, INT32_MIN, INT32_MIN, 0, 1);
    put(bricks, INT32_MAX, INT32_MAX, 0, 1);
    es_slice_view view = {.axis = 2, .position_mm = NAN, .width = 100};
    es_image picture = {0};
    es_error err = {0};
    assert_false(es_picture_slice(bricks, &view, &picture, &err));
    assert_int_equal(err.code, ES_MEMORY);
    es_bricks_free(bricks);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    for (int32_t i = 0; i < 50; i++) put(bricks, i, i, 0, (float)i);
    es_slice_view view = {.axis = 2, .position_mm = NAN, .width = 90};
    bool done = false;
    for (long n = 0; n < 60 && !done; n++) {
        es_image picture = {0};
        es_error err = {0};
        es_alloc_fail_after(n);
        done = es_picture_slice(bricks, &view, &picture, &err);
        es_alloc_fail_after(-1);
        assert_true(done || err.code == ES_MEMORY);
        es_image_clear(&picture);
    }
    assert_true(done);
    es_bricks_free(bricks);
}

/* ---- the histogram ------------------------------------------------------------ */

/* Sum of the heights of the bars, in the plot's pixels, by libxml2. */
static double bar_heights(const es_text *svg, int *bars, double *tallest) {
    xmlDoc *doc = xmlReadMemory(svg->bytes, (int)svg->length, "plot.svg", NULL, XML_PARSE_NONET);
    assert_non_null(doc); /* well-formed */
    double sum = 0;
    *bars = 0;
    *tallest = 0;
    xmlNode *group = xmlFirstElementChild(xmlDocGetRootElement(doc));
    for (xmlNode *bar = xmlFirstElementChild(group); bar; bar = xmlNextElementSibling(bar)) {
        xmlChar *height = xmlGetProp(bar, (const xmlChar *)"height");
        double value;
        assert_true(es_parse_double((const char *)height, &value));
        sum += value;
        *tallest = fmax(*tallest, value);
        ++*bars;
        xmlFree(height);
    }
    xmlFreeDoc(doc);
    return sum;
}

static void a_histogram_shows_each_value_once(void **state) {
    (void)state;
    const float values[] = {0.5f, 1.5f, 1.6f, 1.4f, 3.5f, 3.9f, 9, -2, NAN, INFINITY, 4, 0};
    es_histogram plot = {.values = values,
                         .count = 12,
                         .low = 0,
                         .high = 4,
                         .bins = 4,
                         .label = "a < b & \"c\", mm"};
    es_text svg = {0};
    assert_true(es_plot_histogram(&plot, &svg, NULL));
    int bars;
    double tallest, sum = bar_heights(&svg, &bars, &tallest);
    /* Bins hold 2 3 0 3: an empty one has no bar; 8 values, at most 3 in one. */
    assert_int_equal(bars, 3);
    assert_true(fabs(sum / tallest - 8.0 / 3) < 1e-3);
    assert_non_null(strstr(svg.bytes, "2 of 10 lie beyond"));
    assert_non_null(strstr(svg.bytes, "a &lt; b &amp; "));
    es_text_free(&svg);
}

static void a_histogram_of_one_value_is_drawn(void **state) {
    (void)state;
    const float value = 7;
    es_histogram plot = {.values = &value, .count = 1};
    es_text svg = {0};
    int bars;
    double tallest;
    assert_true(es_plot_histogram(&plot, &svg, NULL));
    bar_heights(&svg, &bars, &tallest);
    assert_int_equal(bars, 1);
    es_text_free(&svg);
}

static void a_histogram_of_nothing_is_refused(void **state) {
    (void)state;
    const float values[2] = {NAN, INFINITY};
    const es_histogram plots[] = {
        {.values = values, .count = 0},
        {.values = values, .count = 2},
        {.values = values, .count = 2, .bins = -1},
        {.values = values, .count = 2, .bins = 401},
    };
    for (size_t i = 0; i < 4; i++) {
        es_text svg = {0};
        es_error err = {0};
        assert_false(es_plot_histogram(&plots[i], &svg, &err));
        assert_int_equal(err.code, ES_USAGE);
        es_text_free(&svg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_marked_corner_stands_where_the_axes_say),
        cmocka_unit_test(another_plane_shows_no_mark),
        cmocka_unit_test(unknown_is_blue_and_never_mixed_into_grey),
        cmocka_unit_test(without_a_window_the_middle_98_percent_fill_the_greys),
        cmocka_unit_test(a_constant_volume_is_mid_grey),
        cmocka_unit_test(a_long_thin_volume_keeps_its_proportions),
        cmocka_unit_test(the_scale_bar_has_the_length_it_names),
        cmocka_unit_test(views_that_show_nothing_are_refused),
        cmocka_unit_test(a_slice_too_large_for_memory_is_refused),
        cmocka_unit_test(each_failed_allocation_is_reported),
        cmocka_unit_test(a_histogram_shows_each_value_once),
        cmocka_unit_test(a_histogram_of_one_value_is_drawn),
        cmocka_unit_test(a_histogram_of_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
