/* The screens of scanners are judged by measuring their pixels: areas, rows
 * and marks against what the struct says was drawn. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/simulate.h"

/* Bright everywhere in the field: nothing falls below the shown range. */
static es_screen bright_fan(void) {
    return (es_screen){.width = 500,
                       .height = 400,
                       .frames = 3,
                       .spacing_mm = {0.4, 0.4},
                       .setting_mm = 100,
                       .curved = true,
                       .radius_mm = 40,
                       .half_angle_rad = 0.6,
                       .face_u = 250,
                       .face_v = 40,
                       .depth_mm = 100,
                       .panel = {0, 0, 500, 400},
                       .range_db = 200,
                       .change = 1,
                       .gamma = 1,
                       .seed = 5};
}

static es_screen bright_linear(void) {
    es_screen s = bright_fan();
    s.curved = false;
    s.radius_mm = s.half_angle_rad = 0;
    s.width_mm = 60;
    return s;
}

static es_screen without_echoes(void) {
    es_screen s = bright_fan();
    s.panel[2] = s.panel[3] = 0;
    return s;
}

static void open_frame(const es_screen *screen, int64_t index, es_frame *frame) {
    es_error err = {0};
    bool end = false;
    es_source *source = es_screen_open(screen, 1, &err);
    if (!source) fail_msg("%s", err.message);
    for (int64_t f = 0; f <= index; f++)
        assert_true(es_source_next(source, frame, ES_READ_PIXELS, &end, &err) && !end);
    es_source_free(source);
}

static int pixel(const es_frame *frame, int u, int v) {
    return ((const uint8_t *)frame->image.data)[(size_t)v * frame->image.width + (size_t)u];
}

static double lit_count(const es_frame *frame) {
    double count = 0;
    for (size_t i = 0; i < es_image_bytes(&frame->image); i++)
        count += ((const uint8_t *)frame->image.data)[i] > 0;
    return count;
}

/* First and last lit pixel of a row (axis 0) or column (axis 1). */
static void lit_run(const es_frame *frame, int axis, int at, int *first, int *last) {
    int n = (int)(axis ? frame->image.height : frame->image.width);
    *first = n;
    *last = -1;
    for (int i = 0; i < n; i++) {
        if (!(axis ? pixel(frame, at, i) : pixel(frame, i, at))) continue;
        if (*first == n) *first = i;
        *last = i;
    }
}

/* ---- echoes -------------------------------------------------------------------- */

static void a_fan_has_the_area_and_the_rows_of_its_radii(void **state) {
    (void)state;
    static const double aspects[] = {1, 0.95, 1.06};
    for (int i = 0; i < 3; i++) {
        es_screen s = bright_fan();
        es_frame frame = {0};
        s.spacing_mm[0] = 0.4 * aspects[i];
        open_frame(&s, 0, &frame);
        /* An annular sector: angle * (R2^2 - R1^2) / 2, in mm2. The edge is
         * some 1000 px long; each of its pixels is in or out by chance, so the
         * count is true to about sqrt(1000)/3 = 10 px of 73 thousand. */
        double area = 2 * 0.6 * (140 * 140 - 40 * 40) / 2 / (s.spacing_mm[0] * s.spacing_mm[1]);
        assert_true(fabs(lit_count(&frame) / area - 1) < 1e-3);
        int first, last;
        lit_run(&frame, 1, 250, &first, &last);
        assert_int_equal(first, 40);            /* the face, on a pixel's centre */
        assert_int_equal(last, 40 + 100 / 0.4); /* the same */
        /* Ends of the face: R sin h to each side of the middle, R (1 - cos h) above. */
        double end_v = 40 - 40 * (1 - cos(0.6)) / 0.4, end_u = 40 * sin(0.6) / s.spacing_mm[0];
        lit_run(&frame, 0, (int)ceil(end_v) + 1, &first, &last);
        assert_true(fabs(first - (250 - end_u)) < 3 && fabs(last - (250 + end_u)) < 3);
        es_frame_clear(&frame);
    }
}

static void the_truth_of_a_fan_contains_the_lit_pixels_and_no_others(void **state) {
    (void)state;
    es_screen s = bright_fan();
    s.spacing_mm[0] = 0.43;
    es_fan fan = es_screen_fan(&s);
    es_frame frame = {0};
    open_frame(&s, 1, &frame);
    int wrong = 0;
    for (int v = 0; v < 400; v++)
        for (int u = 0; u < 500; u++)
            wrong += es_fan_contains(&fan, u, v) != (pixel(&frame, u, v) > 0);
    assert_true(wrong <= 4); /* centres on the edge to the last bit */
    es_frame_clear(&frame);
}

static void a_linear_field_is_as_wide_and_deep_as_said(void **state) {
    (void)state;
    double sum = 0;
    enum { TRIALS = 20 };
    for (int i = 0; i < TRIALS; i++) {
        es_screen s = bright_linear();
        es_frame frame = {0};
        int first, last;
        s.width_mm = 50 + 0.537 * i;
        s.depth_mm = 80 + 0.311 * i;
        s.face_u = 250 + 0.17 * i;
        open_frame(&s, 0, &frame);
        lit_run(&frame, 0, 100, &first, &last);
        double error = last - first + 1 - s.width_mm / 0.4;
        assert_true(fabs(error) < 1); /* two edges, each at the nearest pixel */
        sum += error;
        lit_run(&frame, 1, 250, &first, &last);
        assert_true(fabs(last - first + 1 - s.depth_mm / 0.4) <= 1);
        es_frame_clear(&frame);
    }
    /* Each is uniform within a pixel (sd .41 for two edges): 3 standard errors. */
    assert_true(fabs(sum / TRIALS) < 3 * 0.41 / sqrt(TRIALS));
}

static void a_trapezoid_widens_by_its_angle(void **state) {
    (void)state;
    es_screen s = bright_linear();
    es_frame frame = {0};
    int first, last;
    s.width_mm = 40;
    s.half_angle_rad = 0.3;
    open_frame(&s, 0, &frame);
    for (int v = 45; v < 280; v += 50) {
        lit_run(&frame, 0, v, &first, &last);
        double width = 40 + 2 * (v - 40) * 0.4 * tan(0.3);
        assert_true(fabs(last - first + 1 - width / 0.4) <= 1);
    }
    es_frame_clear(&frame);
}

static void the_panel_cuts_and_blank_samples_stay_dark(void **state) {
    (void)state;
    es_screen s = bright_fan();
    es_frame frame = {0};
    int first, last;
    s.blank_first_mm = 1.3;
    s.panel[0] = 150;
    s.panel[2] = 340;
    s.panel[3] = 230;
    open_frame(&s, 0, &frame);
    lit_run(&frame, 1, 250, &first, &last);
    assert_int_equal(first, (int)ceil(40 + 1.3 / 0.4));
    assert_int_equal(last, 229);
    lit_run(&frame, 0, 200, &first, &last);
    assert_int_equal(first, 150);
    assert_int_equal(last, 339);
    s.panel[3] = 400;
    s.blank_last_mm = 2.1;
    open_frame(&s, 0, &frame);
    lit_run(&frame, 1, 250, &first, &last);
    assert_int_equal(last, (int)floor(40 + (100 - 2.1) / 0.4));
    es_frame_clear(&frame);
}

static void shadows_are_black_where_they_are_said_to_be(void **state) {
    (void)state;
    es_screen s = bright_fan();
    es_frame frame = {0};
    s.shadows = 1;
    s.shadow[0] = (es_screen_shadow){0.6, 0.7, 30, 0};
    open_frame(&s, 0, &frame);
    /* share .65 is .3 of the half angle right of the middle */
    double angle = 0.3 * 0.6;
    for (double depth = 5; depth < 95; depth += 10) {
        int u = (int)lround(250 + (40 + depth) * sin(angle) / 0.4);
        int v = (int)lround(40 - 40 / 0.4 + (40 + depth) * cos(angle) / 0.4);
        assert_int_equal(pixel(&frame, u, v) > 0, depth < 30);
        assert_true(pixel(&frame, 500 - u, v) > 0); /* the other side */
    }
    es_frame_clear(&frame);
}

static void dark_ends_narrow_what_is_lit(void **state) {
    (void)state;
    es_screen s = bright_linear();
    es_frame frame = {0};
    int first, last;
    s.dark_left_mm = 12;
    open_frame(&s, 0, &frame);
    double left = 250 - 30 / 0.4, right = 250 + 30 / 0.4;
    for (int v = 60; v < 280; v += 40) {
        lit_run(&frame, 0, v, &first, &last);
        /* dark for .75 of the 12 mm, which vary by a tenth */
        assert_true(first - left > 0.75 * 0.9 * 12 / 0.4 - 1 && first - left < 1.1 * 12 / 0.4);
        assert_true(fabs(last + 0.5 - right) <= 0.5);
    }
    es_frame_clear(&frame);
}

static void a_ring_stays_still_and_bright_in_a_dark_field(void **state) {
    (void)state;
    es_screen s = bright_fan();
    es_frame a = {0}, b = {0};
    s.range_db = 60;
    s.dark_field = true;
    s.ring_mm = 2;
    open_frame(&s, 0, &a);
    open_frame(&s, 2, &b);
    for (int degree = -30; degree <= 30; degree += 5) {
        double angle = degree * 0.017453292519943295;
        int u = (int)lround(250 + 40.4 * sin(angle) / 0.4);
        int v = (int)lround(40 - 40 / 0.4 + 40.4 * cos(angle) / 0.4);
        assert_true(pixel(&a, u, v) > 120);
        assert_true(abs(pixel(&a, u, v) - pixel(&b, u, v)) <= 1);
    }
    /* In between, most is black: reflectors cover less than a third. */
    assert_true(lit_count(&a) < 0.33 * 1.2 * (140 * 140 - 40 * 40) / 2 / 0.16);
    es_frame_clear(&a);
    es_frame_clear(&b);
}

static void a_grabber_does_not_move_the_edges(void **state) {
    (void)state;
    es_screen sharp = bright_linear(), soft = bright_linear();
    es_frame a = {0}, b = {0};
    soft.blur_px = 0.8;
    soft.jpeg = 85;

    open_frame(&sharp, 0, &a);
    open_frame(&soft, 0, &b);
    double mass_a = 0, mass_b = 0, inside = 0;
    for (int v = 80; v < 250; v++) {
        for (int u = 0; u < 500; u++) {
            mass_a += pixel(&a, u, v);
            mass_b += pixel(&b, u, v);
        }
        inside += pixel(&a, 250, v);
    }
    /* Light over grey is the width in pixels: kept to .3 px. */
    assert_true(fabs(mass_a - mass_b) / inside < 0.3);
    es_frame_clear(&a);
    es_frame_clear(&b);
}

/* ---- interface -------------------------------------------------------------------- */

static void marks_stand_at_whole_multiples_of_their_step(void **state) {
    (void)state;
    for (int axis = 0; axis < 2; axis++) {
        es_screen s = without_echoes();
        es_frame frame = {0};
        s.spacing_mm[axis] = 0.2873;
        s.combs = 1;
        s.comb[0] = (es_screen_comb){.axis = axis,
                                     .zero_px = 17.3,
                                     .at_px = 100,
                                     .step_mm = 5,
                                     .marks = 20,
                                     .length = 4,
                                     .major_length = -9,
                                     .major_every = 5,
                                     .thickness = 1,
                                     .level = 200};
        open_frame(&s, 0, &frame);
        int found = 0, long_ones = 0, size = axis ? 400 : 500;
        for (int i = 0; i < size; i++) {
            bool small = (axis ? pixel(&frame, 102, i) : pixel(&frame, i, 102)) == 200;
            bool major = (axis ? pixel(&frame, 92, i) : pixel(&frame, i, 92)) == 200;
            if (!small && !major) continue;
            int k = (int)lround((i - 17.3) * 0.2873 / 5);
            assert_true(fabs(i - (17.3 + k * 5 / 0.2873)) <= 0.5); /* the nearest pixel */
            assert_int_equal(major, k % 5 == 0);
            found++;
            long_ones += major;
        }
        assert_int_equal(found, 20);
        assert_int_equal(long_ones, 4);
        assert_int_equal((int)lit_count(&frame), 16 * 4 + 4 * 9);
        es_frame_clear(&frame);
    }
}

static void only_the_clock_and_the_blink_move_when_nothing_changes(void **state) {
    (void)state;
    es_screen s = bright_fan();
    es_frame a = {0}, b = {0};
    s.change = 0;
    s.items = 3;
    s.item[0] = (es_screen_item){
        .kind = ES_SCREEN_TEXT, .u = 5, .v = 5, .scale = 1, .level = 250, .text = "GAIN 50"};
    s.item[1] =
        (es_screen_item){.kind = ES_SCREEN_CLOCK, .u = 400, .v = 10, .scale = 1, .level = 9};
    s.item[2] =
        (es_screen_item){.kind = ES_SCREEN_BLINK, .u = 20, .v = 350, .width = 9, .level = 9};
    s.frames = 9;
    open_frame(&s, 0, &a);
    open_frame(&s, 6, &b);
    int moved = 0, elsewhere = 0;
    for (int v = 0; v < 400; v++)
        for (int u = 0; u < 500; u++) {
            if (pixel(&a, u, v) == pixel(&b, u, v)) continue;
            bool clock = u >= 400 && u < 448 && v >= 10 && v < 20;
            bool blink = u >= 20 && u < 29 && v >= 350 && v < 359;
            moved++;
            elsewhere += !clock && !blink;
        }
    assert_true(moved > 20);
    assert_int_equal(elsewhere, 0);
    es_frame_clear(&a);
    es_frame_clear(&b);
}

static void echoes_change_from_frame_to_frame(void **state) {
    (void)state;
    es_screen s = bright_fan();
    es_frame a = {0}, b = {0};
    s.range_db = 60;
    open_frame(&s, 0, &a);
    open_frame(&s, 1, &b);
    double moved = 0;
    for (size_t i = 0; i < es_image_bytes(&a.image); i++)
        moved += ((uint8_t *)a.image.data)[i] != ((uint8_t *)b.image.data)[i];
    assert_true(moved > 0.8 * lit_count(&a));
    es_frame_clear(&a);
    es_frame_clear(&b);
}

/* ---- by chance and by name ----------------------------------------------------------- */

static void a_screen_is_a_function_of_its_seed(void **state) {
    (void)state;
    es_screen a, b, c;
    es_screen_random(77, &a);
    es_screen_random(77, &b);
    es_screen_random(78, &c);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(memcmp(&a, &c, sizeof a) != 0);
}

static void all_threads_give_the_same_bytes(void **state) {
    (void)state;
    es_screen s;
    es_error err = {0};
    es_screen_random(31, &s);
    s.frames = 20; /* more than one batch */
    es_source *one = es_screen_open(&s, 1, &err), *three = es_screen_open(&s, 3, &err);
    es_frame a = {0}, b = {0};
    bool end = false;
    assert_true(one && three);
    for (int f = 0; f < 20; f++) {
        assert_true(es_source_next(one, &a, ES_READ_PIXELS, &end, &err) && !end);
        assert_true(es_source_next(three, &b, ES_READ_PIXELS, &end, &err) && !end);
        assert_memory_equal(a.image.data, b.image.data, es_image_bytes(&a.image));
    }
    assert_true(es_source_next(one, &a, ES_READ_PIXELS, &end, &err) && end);
    /* Back to the start, poses alone for 18 frames, then a picture: as before. */
    assert_true(es_source_rewind(one, &err));
    for (int f = 0; f < 19; f++) assert_true(es_source_next(one, &a, 0, &end, &err));
    assert_true(es_source_next(one, &a, ES_READ_PIXELS, &end, &err) && a.has_image);
    assert_memory_equal(a.image.data, b.image.data, es_image_bytes(&a.image));
    es_frame_clear(&a);
    es_frame_clear(&b);
    es_source_free(one);
    es_source_free(three);
}

static void every_random_screen_can_be_drawn_and_shows_something(void **state) {
    (void)state;
    int curved = 0, with_comb = 0, dark = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        es_screen s;
        es_frame frame = {0};
        es_screen_random(seed, &s);
        s.frames = 1;
        curved += s.curved;
        with_comb += s.combs > 0;
        dark += s.dark_field;
        open_frame(&s, 0, &frame);
        assert_true(lit_count(&frame) > 500);
        assert_true(s.spacing_mm[0] > 0.02 && s.spacing_mm[0] < 1.5);
        es_frame_clear(&frame);
    }
    /* Shares .6, about .5, .1 of 40: none is everything or nothing. */
    assert_in_range(curved, 12, 36);
    assert_in_range(with_comb, 8, 34);
    assert_in_range(dark, 1, 14);
}

static void the_three_readings_of_150_mm_have_the_spacings_of_the_facts(void **state) {
    (void)state;
    static const char *const names[] = {"c5-2r60-a", "c5-2r60-b", "c5-2r60-c"};
    static const double spacing[] = {0.2930, 0.3087, 0.3279}; /* four digits are given */
    static const int bottom[] = {511, 511, 496}, top[] = {0, 0, 15};
    for (int i = 0; i < 3; i++) {
        es_screen s;
        es_error err = {0};
        es_frame frame = {0};
        int first, last, rows_first = 512, rows_last = -1;
        assert_true(es_screen_named(names[i], &s, &err));
        assert_true(fabs(s.spacing_mm[0] - spacing[i]) < 1e-4);
        assert_true(s.spacing_mm[0] == s.spacing_mm[1] && s.setting_mm == 150);
        s.noise = 0;
        open_frame(&s, 0, &frame);
        for (int v = 0; v < 512; v++) {
            lit_run(&frame, 0, v, &first, &last);
            if (last < 0) continue;
            if (rows_first == 512) rows_first = v;
            rows_last = v;
        }
        assert_int_equal(rows_first, top[i]);
        assert_int_equal(rows_last, bottom[i]);
        /* Rows of the middle column: what lies below the face's middle. */
        lit_run(&frame, 1, 256, &first, &last);
        double below = i == 0 ? 150 - 8.038 : 150;
        assert_true(fabs((last - first + 1) * spacing[i] - below) < 1.5 * spacing[i]);
        /* All of them claim 0.2. */
        const es_frame_transform *t = es_frame_find_transform(&frame, "ImageToReference");
        assert_non_null(t);
        assert_true(t->matrix.m[0] == 0.2 && t->matrix.m[5] == 0.2);
        es_frame_clear(&frame);
    }
}

/* ---- bad input ----------------------------------------------------------------------- */

static void assert_refused(const es_screen *s, const char *word) {
    es_error err = {0};
    es_source *source = es_screen_open(s, 1, &err);
    if (source) fail_msg("was not refused for its %s", word);
    assert_int_equal(err.code, ES_USAGE);
    if (!strstr(err.message, word)) fail_msg("\"%s\" does not say \"%s\"", err.message, word);
}

static void what_cannot_be_drawn_is_refused_by_name(void **state) {
    (void)state;
    const es_screen good = bright_fan(), linear = bright_linear();
    es_screen s;
#define REFUSED(base, change, word)                                                                \
    do {                                                                                           \
        s = base;                                                                                  \
        s.change;                                                                                  \
        assert_refused(&s, word);                                                                  \
    } while (0)
    REFUSED(good, width = 10, "width");
    REFUSED(good, height = 100000, "height");
    REFUSED(good, frames = 0, "frames");
    REFUSED(good, spacing_mm[1] = 0, "spacing");
    REFUSED(good, spacing_mm[0] = NAN, "spacing");
    REFUSED(good, radius_mm = 0, "radius");
    REFUSED(good, half_angle_rad = 2, "half angle");
    REFUSED(good, width_mm = 40, "width");
    REFUSED(linear, width_mm = -1, "width");
    REFUSED(linear, radius_mm = 60, "radius");
    REFUSED(good, depth_mm = INFINITY, "depth");
    REFUSED(good, face_u = 1e9, "column of the face");
    REFUSED(good, shadows = ES_SCREEN_SHADOWS + 1, "shadows");
    REFUSED(good, combs = -1, "combs");
    REFUSED(good, items = ES_SCREEN_ITEMS + 1, "items");
    REFUSED(good, jpeg = 5, "quality");
    REFUSED(good, blur_px = 50, "blur");
    REFUSED(good, range_db = 0, "range");
    REFUSED(good, gamma = 0, "gamma");
    REFUSED(good, header_spacing_mm = -1, "header spacing");
#undef REFUSED
    s = good;
    s.combs = 1;
    s.comb[0] = (es_screen_comb){.axis = 2, .step_mm = 5, .marks = 5, .thickness = 1};
    assert_refused(&s, "axis");
    s = good;
    s.items = 1;
    memset(s.item[0].text, 'x', sizeof s.item[0].text);
    s.item[0].scale = 1;
    assert_refused(&s, "no end");
    es_error err = {0};
    assert_false(es_screen_named("c5-2r60-d", &s, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "c5-2r60-b"));
}

static void a_failed_allocation_is_an_error_and_nothing_leaks(void **state) {
    (void)state;
    es_screen s;
    es_screen_random(3, &s);
    bool opened = false;
    int failures = 0;
    for (long n = 0; n < 100 && !opened; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_source *source = es_screen_open(&s, 2, &err);
        es_alloc_fail_after(-1);
        opened = source != NULL;
        if (!opened) {
            assert_int_equal(err.code, ES_MEMORY);
            failures++;
        }
        es_source_free(source);
    }
    assert_true(opened && failures >= 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fan_has_the_area_and_the_rows_of_its_radii),
        cmocka_unit_test(the_truth_of_a_fan_contains_the_lit_pixels_and_no_others),
        cmocka_unit_test(a_linear_field_is_as_wide_and_deep_as_said),
        cmocka_unit_test(a_trapezoid_widens_by_its_angle),
        cmocka_unit_test(the_panel_cuts_and_blank_samples_stay_dark),
        cmocka_unit_test(shadows_are_black_where_they_are_said_to_be),
        cmocka_unit_test(dark_ends_narrow_what_is_lit),
        cmocka_unit_test(a_ring_stays_still_and_bright_in_a_dark_field),
        cmocka_unit_test(a_grabber_does_not_move_the_edges),
        cmocka_unit_test(marks_stand_at_whole_multiples_of_their_step),
        cmocka_unit_test(only_the_clock_and_the_blink_move_when_nothing_changes),
        cmocka_unit_test(echoes_change_from_frame_to_frame),
        cmocka_unit_test(a_screen_is_a_function_of_its_seed),
        cmocka_unit_test(all_threads_give_the_same_bytes),
        cmocka_unit_test(every_random_screen_can_be_drawn_and_shows_something),
        cmocka_unit_test(the_three_readings_of_150_mm_have_the_spacings_of_the_facts),
        cmocka_unit_test(what_cannot_be_drawn_is_refused_by_name),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
