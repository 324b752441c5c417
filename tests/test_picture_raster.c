/* Lines, discs, letters, windows and PNG: judged by areas, by hand-placed
 * pixels and by libpng's own reader. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <png.h>

#include "echosolid/picture.h"

static const es_colour black = {0, 0, 0}, white = {255, 255, 255};

static es_colour pixel(const es_image *picture, uint32_t u, uint32_t v) {
    return ((const es_colour *)picture->data)[(size_t)v * picture->width + u];
}

/* Sum of the red channel in units of full pixels. */
static double painted(const es_image *picture) {
    double sum = 0;
    for (uint32_t v = 0; v < picture->height; v++)
        for (uint32_t u = 0; u < picture->width; u++) sum += pixel(picture, u, v).r;
    return sum / 255;
}

static es_image canvas(uint32_t width, uint32_t height) {
    es_image picture = {0};
    assert_true(es_picture_new(&picture, width, height, black, NULL));
    return picture;
}

static void a_line_covers_its_length_times_its_width(void **state) {
    (void)state;
    for (int i = 0; i < 24; i++) {
        es_image picture = canvas(200, 200);
        double angle = i * 0.2617993877991494, du = 80 * cos(angle), dv = 80 * sin(angle);
        es_picture_line(&picture, 100 - du, 100 - dv, 100 + du, 100 + dv, 3, white);
        double truth = 160 * 3 + M_PI * 1.5 * 1.5; /* round ends */
        /* 2 %: coverage by distance is exact for straight edges on average,
         * the ends and the rounding to 255 levels are not. */
        assert_true(fabs(painted(&picture) - truth) < 0.02 * truth);
        es_image_clear(&picture);
    }
}

static void a_line_is_smooth_across_its_edge(void **state) {
    (void)state;
    es_image picture = canvas(20, 9);
    es_picture_line(&picture, -5, 4.25, 25, 4.25, 1, white);
    /* Row 4 lies 0.25 from the middle: covered by 1 - 0.25; row 5 by 0.25. */
    assert_int_equal(pixel(&picture, 10, 4).r, 191);
    assert_int_equal(pixel(&picture, 10, 5).r, 64);
    assert_int_equal(pixel(&picture, 10, 3).r, 0);
    es_image_clear(&picture);
}

static void a_disc_covers_its_area(void **state) {
    (void)state;
    for (double radius = 2; radius < 40; radius *= 1.7) {
        es_image picture = canvas(100, 100);
        es_picture_disc(&picture, 49.3, 50.6, radius, white);
        double truth = M_PI * radius * radius;
        assert_true(fabs(painted(&picture) - truth) < 0.01 * truth + 0.3);
        es_image_clear(&picture);
    }
}

static void what_lies_outside_is_clipped(void **state) {
    (void)state;
    es_image picture = canvas(10, 10);
    es_picture_line(&picture, -1e300, 5, 1e300, 5, 1, white);
    es_picture_line(&picture, -1e9, -1e9, -5, -5, 2, white);
    es_picture_line(&picture, NAN, 0, 5, 5, 1, white);
    es_picture_line(&picture, 0, 0, INFINITY, 5, 1, white);
    es_picture_disc(&picture, NAN, 5, 3, white);
    es_picture_disc(&picture, -1e12, 5, 3, white);
    es_picture_text(&picture, -100000, 3, 2, white, "far to the left");
    es_picture_text(&picture, 2147483600, 2147483600, 5, white, "far away");
    es_picture_text(&picture, -2147483647, -2147483647, 16000, white, "huge");
    assert_int_equal(painted(&picture), 0);
    es_picture_disc(&picture, 5, 5, 1e9, white);
    assert_int_equal(painted(&picture), 100);
    es_image_clear(&picture);
}

static void a_picture_that_is_not_rgb_is_left_alone(void **state) {
    (void)state;
    es_image grey = {0};
    assert_true(es_image_resize(&grey, ES_U8, 1, 8, 8, NULL));
    memset(grey.data, 7, 64);
    es_picture_line(&grey, 0, 0, 8, 8, 3, white);
    es_picture_disc(&grey, 4, 4, 3, white);
    es_picture_text(&grey, 0, 0, 1, white, "x");
    for (int i = 0; i < 64; i++) assert_int_equal(((uint8_t *)grey.data)[i], 7);
    es_image_clear(&grey);
}

/* ---- letters ---------------------------------------------------------------- */

static void every_letter_differs_from_every_other(void **state) {
    (void)state;
    static uint8_t seen[95][6 * 10 * 3];
    for (int c = 32; c < 127; c++) {
        es_image picture = canvas(6, 10);
        const char text[2] = {(char)c, '\0'};
        es_picture_text(&picture, 0, 0, 1, white, text);
        memcpy(seen[c - 32], picture.data, sizeof seen[0]);
        assert_true(c == 32 || painted(&picture) >= 2);
        for (int other = 32; other < c; other++)
            assert_memory_not_equal(seen[c - 32], seen[other - 32], sizeof seen[0]);
        es_image_clear(&picture);
    }
}

static void letters_stay_in_their_cell_and_scale(void **state) {
    (void)state;
    es_image small = canvas(60, 10), large = canvas(180, 30);
    es_picture_text(&small, 0, 0, 1, white, "Wgj|_@#{}~");
    es_picture_text(&large, 0, 0, 3, white, "Wgj|_@#{}~");
    for (uint32_t v = 0; v < 30; v++)
        for (uint32_t u = 0; u < 180; u++)
            assert_int_equal(pixel(&large, u, v).r, pixel(&small, u / 3, v / 3).r);
    for (uint32_t u = 5; u < 60; u += 6) /* the gap between two cells */
        for (uint32_t v = 0; v < 10; v++) assert_int_equal(pixel(&small, u, v).r, 0);
    es_image_clear(&small);
    es_image_clear(&large);
}

static void a_letter_of_another_script_takes_one_cell(void **state) {
    (void)state;
    es_image picture = canvas(30, 10), plain = canvas(30, 10);
    es_picture_text(&picture, 0, 0, 1, white, "1\xc2\xb0\x32"); /* degree sign */
    es_picture_text(&plain, 0, 0, 1, white, "1 2");
    for (uint32_t v = 0; v < 10; v++)
        for (uint32_t u = 0; u < 30; u++)
            if (u < 6 || u >= 12) assert_int_equal(pixel(&picture, u, v).r, pixel(&plain, u, v).r);
    assert_true(painted(&picture) > painted(&plain));
    es_image_clear(&picture);
    es_image_clear(&plain);
}

/* ---- images as pictures ------------------------------------------------------- */

static void pasting_is_clipped_on_every_side(void **state) {
    (void)state;
    es_image small = {0};
    assert_true(es_picture_new(&small, 4, 4, white, NULL));
    const int at[][3] = {{0, 0, 16}, {-2, 0, 8}, {8, 8, 4}, {9, -3, 1}, {-4, 0, 0}, {10, 0, 0}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        es_image picture = canvas(10, 10);
        es_picture_paste(&picture, &small, at[i][0], at[i][1]);
        assert_int_equal(painted(&picture), at[i][2]);
        es_image_clear(&picture);
    }
    es_image_clear(&small);
}

static void a_window_maps_low_to_black_and_high_to_white(void **state) {
    (void)state;
    int16_t values[5] = {-200, -100, 0, 100, 200};
    es_image image = {.type = ES_I16, .channels = 1, .width = 5, .height = 1, .data = values};
    es_image picture = {0};
    assert_true(es_picture_from_image(&image, -100, 100, 5, 1, &picture, NULL));
    const int expected[5] = {0, 0, 128, 255, 255}; /* 127.5 rounds up */
    for (uint32_t u = 0; u < 5; u++) {
        es_colour c = pixel(&picture, u, 0);
        assert_int_equal(c.r, expected[u]);
        assert_true(c.r == c.g && c.g == c.b);
    }
    assert_true(es_picture_from_image(&image, 0, 0, 5, 1, &picture, NULL)); /* full range */
    assert_int_equal(pixel(&picture, 0, 0).r, 0);
    assert_int_equal(pixel(&picture, 4, 0).r, 255);
    es_image_clear(&picture);
}

static void colours_survive(void **state) {
    (void)state;
    uint8_t values[6] = {255, 0, 0, 0, 128, 255};
    es_image image = {.type = ES_U8, .channels = 3, .width = 2, .height = 1, .data = values};
    es_image picture = {0};
    assert_true(es_picture_from_image(&image, 0, 255, 2, 1, &picture, NULL));
    assert_memory_equal(picture.data, values, 6);
    es_image_clear(&picture);
}

static void shrinking_keeps_the_mean_of_a_fine_pattern(void **state) {
    (void)state;
    es_image image = {0}, picture = {0};
    assert_true(es_image_resize(&image, ES_U8, 1, 400, 300, NULL));
    for (size_t i = 0; i < 400 * 300; i++)
        ((uint8_t *)image.data)[i] = ((i % 400 + i / 400) & 1) ? 200 : 0; /* checkerboard */
    assert_true(es_picture_from_image(&image, 0, 255, 57, 43, &picture, NULL));
    for (uint32_t v = 0; v < 43; v++)
        for (uint32_t u = 0; u < 57; u++) /* 7 x 7 pixels each: at most 1/49 off balance */
            assert_in_range(pixel(&picture, u, v).r, 95, 105);
    es_image_clear(&image);
    es_image_clear(&picture);
}

static void growing_keeps_a_ramp_straight(void **state) {
    (void)state;
    float values[4] = {0, 80, 160, 240};
    es_image image = {.type = ES_F32, .channels = 1, .width = 4, .height = 1, .data = values};
    es_image picture = {0};
    assert_true(es_picture_from_image(&image, 0, 255, 40, 3, &picture, NULL));
    for (uint32_t u = 5; u < 35; u++) { /* between the first and the last centre */
        double truth = ((u + 0.5) / 10 - 0.5) * 80;
        assert_true(fabs(pixel(&picture, u, 1).r - truth) <= 0.51); /* rounding */
    }
    assert_int_equal(pixel(&picture, 0, 0).r, 0);
    assert_int_equal(pixel(&picture, 39, 2).r, 240);
    es_image_clear(&picture);
}

static void values_that_are_not_finite_are_drawn_black(void **state) {
    (void)state;
    float values[4] = {NAN, 1, INFINITY, 3};
    es_image image = {.type = ES_F32, .channels = 1, .width = 4, .height = 1, .data = values};
    es_image picture = {0};
    assert_true(es_picture_from_image(&image, 0, 0, 4, 1, &picture, NULL));
    assert_int_equal(pixel(&picture, 0, 0).r, 0);
    assert_int_equal(pixel(&picture, 2, 0).r, 0);
    assert_int_equal(pixel(&picture, 3, 0).r, 255);
    es_image_clear(&picture);
}

static void sizes_that_make_no_picture_are_refused(void **state) {
    (void)state;
    es_image picture = {0}, nothing = {0};
    const uint32_t sizes[][2] = {{0, 5}, {5, 0}, {16385, 1}, {1, 4000000000u}};
    for (size_t i = 0; i < 4; i++) {
        es_error err = {0};
        assert_false(es_picture_new(&picture, sizes[i][0], sizes[i][1], black, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    es_error err = {0};
    assert_false(es_picture_from_image(&nothing, 0, 1, 5, 5, &picture, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_image_clear(&picture);
}

/* ---- the found bone ------------------------------------------------------------ */

static void a_trace_is_drawn_where_it_was_found_and_nowhere_else(void **state) {
    (void)state;
    es_image frame = {0}, picture = {0};
    assert_true(es_image_resize(&frame, ES_U8, 1, 60, 100, NULL));
    memset(frame.data, 0, 6000);
    es_trace trace = {0};
    assert_true(es_trace_resize(&trace, 60, NULL));
    for (size_t i = 0; i < 60; i++) /* 10 pixels a mm, bone at 4 mm, none in the middle */
        trace.lines[i] = (es_scan_line){.u = (double)i,
                                        .dv = 10,
                                        .length_mm = 10,
                                        .found = i < 20 || i >= 40,
                                        .depth_mm = i < 20 ? 4 : 7,
                                        .confidence = 1};
    assert_true(es_picture_trace(&frame, &trace, &picture, NULL));
    assert_true(picture.width == 60 && picture.height == 100);
    for (uint32_t u = 0; u < 60; u++)
        for (uint32_t v = 0; v < 100; v++) {
            bool near = (u < 21 && v >= 39 && v <= 41) || (u > 38 && v >= 69 && v <= 71);
            if (!near) assert_int_equal(pixel(&picture, u, v).r, 0);
        }
    assert_int_equal(pixel(&picture, 10, 40).r, 255);
    assert_int_equal(pixel(&picture, 50, 70).r, 255);
    es_trace_clear(&trace);
    es_image_clear(&frame);
    es_image_clear(&picture);
}

/* ---- PNG ----------------------------------------------------------------------- */

static es_image test_card(int channels) {
    es_image image = {0};
    assert_true(es_image_resize(&image, ES_U8, channels, 61, 37, NULL));
    es_random random = es_random_new(5, 0);
    for (size_t i = 0; i < es_image_bytes(&image); i++)
        ((uint8_t *)image.data)[i] = (uint8_t)es_random_bits(&random);
    return image;
}

static void a_png_reads_back_as_it_was(void **state) {
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        es_image image = test_card(channels);
        size_t length, again_length;
        void *bytes = es_png_encode(&image, &length, NULL);
        void *again = es_png_encode(&image, &again_length, NULL);
        assert_non_null(bytes);
        assert_int_equal(length, again_length);
        assert_memory_equal(bytes, again, length);
        png_image header = {.version = PNG_IMAGE_VERSION};
        assert_true(png_image_begin_read_from_memory(&header, bytes, length));
        assert_true(header.width == 61 && header.height == 37);
        header.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
        uint8_t *back = malloc(PNG_IMAGE_SIZE(header));
        assert_true(png_image_finish_read(&header, NULL, back, 0, NULL));
        assert_memory_equal(back, image.data, es_image_bytes(&image));
        free(back);
        es_free(bytes);
        es_free(again);
        es_image_clear(&image);
    }
}

static void only_u8_becomes_png(void **state) {
    (void)state;
    es_image image = {0};
    size_t length = 77;
    es_error err = {0};
    assert_null(es_png_encode(&image, &length, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_true(es_image_resize(&image, ES_U16, 1, 4, 4, NULL));
    err.code = ES_OK;
    assert_null(es_png_encode(&image, &length, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_image_clear(&image);
}

static void png_writing_leaves_nothing_when_it_fails(void **state) {
    (void)state;
    char folder[] = "/tmp/es_picture_XXXXXX", path[64], part[72];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/p.png", folder);
    snprintf(part, sizeof part, "%s.part", path);
    es_image image = test_card(3);
    for (long n = 0; n < 2; n++) { /* the write, the flush */
        es_error err = {0};
        es_output_fail_after(n);
        assert_false(es_png_write(path, &image, &err));
        assert_int_equal(err.code, ES_IO);
        assert_true(access(path, F_OK) != 0 && access(part, F_OK) != 0);
    }
    es_output_fail_after(-1);
    es_error err = {0};
    assert_false(es_png_write("/nowhere/at/all.png", &image, &err));
    assert_int_equal(err.code, ES_IO);
    assert_true(es_png_write(path, &image, &err));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    rmdir(folder);
    es_image_clear(&image);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_image image = test_card(3), picture = {0};
    bool encoded = false, resized = false;
    for (long n = 0; n < 200 && !(encoded && resized); n++) {
        es_error err = {0};
        size_t length;
        es_alloc_fail_after(n);
        void *bytes = es_png_encode(&image, &length, &err);
        es_alloc_fail_after(-1);
        assert_true(bytes || err.code == ES_MEMORY);
        encoded = bytes != NULL;
        es_free(bytes);
        err.code = ES_OK;
        es_alloc_fail_after(n);
        resized = es_picture_from_image(&image, 0, 0, 30, 90, &picture, &err);
        es_alloc_fail_after(-1);
        assert_true(resized || err.code == ES_MEMORY);
        es_image_clear(&picture);
    }
    assert_true(encoded && resized);
    es_image_clear(&image);
}

static void a_grey_png_file_is_read_and_others_are_refused(void **state) {
    (void)state;
    char folder[] = "/tmp/es_picture_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/p.png", folder);
    es_image grey = {0}, back = {0}, colour = canvas(5, 4);
    es_error err = {0};
    assert_true(es_image_resize(&grey, ES_U8, 1, 7, 3, NULL));
    for (int i = 0; i < 21; i++) ((uint8_t *)grey.data)[i] = (uint8_t)(12 * i);
    assert_true(es_png_write(path, &grey, NULL));
    assert_true(es_png_read(path, &back, &err));
    assert_int_equal(back.width, 7);
    assert_int_equal(back.channels, 1);
    assert_memory_equal(back.data, grey.data, 21);

    assert_true(es_png_write(path, &colour, NULL));
    assert_false(es_png_read(path, &back, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_int_equal(truncate(path, 40), 0);
    assert_false(es_png_read(path, &back, &err));
    assert_int_equal(err.code, ES_FORMAT);
    unlink(path);
    assert_false(es_png_read(path, &back, &err));
    assert_int_equal(err.code, ES_IO);
    rmdir(folder);
    es_image_clear(&grey);
    es_image_clear(&back);
    es_image_clear(&colour);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_covers_its_length_times_its_width),
        cmocka_unit_test(a_line_is_smooth_across_its_edge),
        cmocka_unit_test(a_disc_covers_its_area),
        cmocka_unit_test(what_lies_outside_is_clipped),
        cmocka_unit_test(a_picture_that_is_not_rgb_is_left_alone),
        cmocka_unit_test(every_letter_differs_from_every_other),
        cmocka_unit_test(letters_stay_in_their_cell_and_scale),
        cmocka_unit_test(a_letter_of_another_script_takes_one_cell),
        cmocka_unit_test(pasting_is_clipped_on_every_side),
        cmocka_unit_test(a_window_maps_low_to_black_and_high_to_white),
        cmocka_unit_test(colours_survive),
        cmocka_unit_test(shrinking_keeps_the_mean_of_a_fine_pattern),
        cmocka_unit_test(growing_keeps_a_ramp_straight),
        cmocka_unit_test(values_that_are_not_finite_are_drawn_black),
        cmocka_unit_test(sizes_that_make_no_picture_are_refused),
        cmocka_unit_test(a_trace_is_drawn_where_it_was_found_and_nowhere_else),
        cmocka_unit_test(a_png_reads_back_as_it_was),
        cmocka_unit_test(a_grey_png_file_is_read_and_others_are_refused),
        cmocka_unit_test(only_u8_becomes_png),
        cmocka_unit_test(png_writing_leaves_nothing_when_it_fails),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
