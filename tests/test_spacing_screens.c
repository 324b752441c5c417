/* Screens that once gave a confident wrong width or radius: the truth is the
 * simulated screen itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/simulate.h"
#include "echosolid/spacing.h"

static void finish(es_still_maker *maker, es_shapes *shapes) {
    es_still still = {0};
    es_error err = {0};
    if (!es_still_maker_finish(maker, &still, &err) || !es_shapes_find(&still, shapes, &err))
        fail_msg("%s", err.message);
    es_still_maker_free(maker);
    es_still_clear(&still);
}

static void look(const es_screen *screen, es_shapes *shapes) {
    es_error err = {0};
    es_source *source = es_screen_open(screen, 2, &err);
    es_still_maker *maker = es_still_maker_new(&err);
    es_frame frame = {0};
    bool end = false;
    if (!source || !maker) fail_msg("%s", err.message);
    while (es_source_next(source, &frame, ES_READ_PIXELS, &end, &err) && !end)
        assert_true(es_still_maker_add(maker, &frame.image, &err));
    es_frame_clear(&frame);
    es_source_free(source);
    finish(maker, shapes);
}

/* 40 mm at .12 mm a pixel in the middle of a screen. */
static es_screen array(void) {
    return (es_screen){.width = 512,
                       .height = 384,
                       .frames = 8,
                       .spacing_mm = {0.12, 0.12},
                       .setting_mm = 40,
                       .width_mm = 40,
                       .face_u = 255.5,
                       .face_v = 20,
                       .depth_mm = 40,
                       .panel = {0, 0, 512, 384},
                       .haze_mm = 8,
                       .range_db = 60,
                       .change = 1,
                       .gamma = 1,
                       .seed = 9};
}

static bool is_equal(const es_aperture_found *a) {
    return a->found && a->left_sharp && a->right_sharp;
}

/* A shadow over one end, from the face to the last row: its edge is drawn from
 * one scan line to the next, the field's own is cut within a pixel. */
static void a_black_shadow_over_one_end_makes_the_width_a_bound(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        es_screen s = array();
        es_shapes found;
        bool right = k % 2;
        s.shadows = 1;
        s.shadow[0] = right ? (es_screen_shadow){0.93 - 0.02 * k, 1.01, 0, 0}
                            : (es_screen_shadow){-0.01, 0.06 + 0.03 * k, 0, 0};
        look(&s, &found);
        assert_true(found.aperture.found);
        assert_false(is_equal(&found.aperture));
        assert_true(right ? found.aperture.left_sharp : found.aperture.right_sharp);
    }
}

/* Without a shadow the same array is measured: .5 px of 333 is .15 %. */
static void the_same_array_without_a_shadow_is_measured(void **state) {
    (void)state;
    es_screen s = array();
    es_shapes found;
    look(&s, &found);
    assert_true(is_equal(&found.aperture));
    assert_true(fabs((found.aperture.right - found.aperture.left) * 0.12 / 40 - 1) < 0.005);
}

static void a_black_shadow_within_the_field_does_not_end_it(void **state) {
    (void)state;
    es_screen s = array();
    es_shapes found;
    s.shadows = 1;
    s.shadow[0] = (es_screen_shadow){0.22, 0.38, 0, 0};
    look(&s, &found);
    assert_true(is_equal(&found.aperture));
    assert_true(fabs((found.aperture.right - found.aperture.left) * 0.12 / 40 - 1) < 0.005);
}

/* What the end of a field can meet and still be measured, by what is between:
 * a strip of it beyond a black shadow, a shadow that begins below the face, the
 * outline of its panel two pixels outside, in a compressed picture. Half a
 * pixel at each end, .3 %, and as much for compression. */
static void an_end_beside_a_shadow_or_an_outline_is_measured(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        es_screen s = array();
        es_shapes found;
        s.shadows = k < 2;
        s.shadow[0] =
            k == 0 ? (es_screen_shadow){0.03, 0.09, 0, 0} : (es_screen_shadow){-0.02, 0.03, 2, 0.3};
        if (k == 2) {
            s.jpeg = 85;
            s.items = 1;
            s.item[0] = (es_screen_item){.kind = ES_SCREEN_BOX, .u = 86, .v = 17, .level = 190};
            s.item[0].width = 339;
            s.item[0].height = 340;
        }
        look(&s, &found);
        if (!is_equal(&found.aperture)) fail_msg("case %d: %s", k, found.aperture.why);
        double width = (found.aperture.right - found.aperture.left) * 0.12;
        if (!(fabs(width / 40 - 1) < 0.006)) fail_msg("case %d: %.2f mm of 40", k, width);
    }
}

/* 126 pixels wide and blurred by .85: one line of 128 is a pixel, so that the
 * end of a shadow cannot be told from the array's. */
static void a_picture_that_shows_no_lines_tells_of_no_end(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        es_screen s = array();
        es_shapes found;
        s.spacing_mm[0] = s.spacing_mm[1] = 40 / 126.;
        s.depth_mm = s.setting_mm = 100;
        s.blur_px = 0.85;
        s.noise = 1.8;
        s.shadows = k;
        s.shadow[0] = (es_screen_shadow){-0.01, 0.11, 0, 0};
        look(&s, &found);
        assert_true(found.aperture.found);
        assert_false(is_equal(&found.aperture));
        /* a bound: no more than the whole, up to the half pixel at each end */
        assert_true((found.aperture.right - found.aperture.left) * s.spacing_mm[0] < 40 * 1.02);
    }
}

/* Two fields of one width: a dual view, not an array with a shadow. */
static void two_pictures_side_by_side_are_not_one_array(void **state) {
    (void)state;
    enum { WIDTH = 480, HEIGHT = 300, FIELD = 170, GAP = 60, FIRST = 40 };
    es_error err = {0};
    es_still_maker *maker = es_still_maker_new(&err);
    es_image picture = {0};
    es_shapes found;
    assert_true(es_image_resize(&picture, ES_U8, 1, WIDTH, HEIGHT, &err));
    for (uint64_t f = 0; f < 8; f++) {
        es_random random = es_random_new(11, f);
        uint8_t *pixels = picture.data;
        for (int v = 0; v < HEIGHT; v++)
            for (int u = 0; u < WIDTH; u++) {
                int at = u - FIRST;
                bool lit = v > 20 && v < 280 && at >= 0 && at < 2 * FIELD + GAP &&
                           !(at >= FIELD && at < FIELD + GAP);
                pixels[v * WIDTH + u] = lit ? (uint8_t)(60 + 150 * es_random_uniform(&random)) : 0;
            }
        assert_true(es_still_maker_add(maker, &picture, &err));
    }
    es_image_clear(&picture);
    finish(maker, &found);
    double width = found.aperture.right - found.aperture.left;
    assert_false(is_equal(&found.aperture) && width > FIELD + GAP);
}

/* A scanner's screen of two pictures, the second one `right` and `down` of the
 * first; a strip of noise, as M-mode looks, where `strip`. */
static void look_at_two(const es_screen *screen, int right, int down, bool strip,
                        es_shapes *shapes) {
    es_error err = {0};
    es_source *source = es_screen_open(screen, 2, &err);
    es_still_maker *maker = es_still_maker_new(&err);
    es_image both = {0};
    es_frame frame = {0};
    bool end = false;
    uint32_t w = screen->width, h = screen->height;
    assert_true(es_image_resize(&both, ES_U8, 1, w + (uint32_t)right, h + (uint32_t)down, &err));
    es_random random = es_random_new(5, 0);
    while (es_source_next(source, &frame, ES_READ_PIXELS, &end, &err) && !end) {
        memset(both.data, 0, es_image_bytes(&both));
        for (uint32_t v = 0; v < h; v++) {
            const uint8_t *from = (uint8_t *)frame.image.data + (size_t)v * w;
            uint8_t *to = (uint8_t *)both.data + (size_t)v * both.width;
            memcpy(to, from, w);
            if (!strip) memcpy(to + (size_t)down * both.width + right, from, w);
        }
        for (uint32_t v = h + 10; strip && v + 5 < both.height; v++)
            for (uint32_t u = 20; u < w - 20; u++)
                ((uint8_t *)both.data)[(size_t)v * both.width + u] =
                    (uint8_t)(40 + 180 * es_random_uniform(&random));
        assert_true(es_still_maker_add(maker, &both, &err));
    }
    es_frame_clear(&frame);
    es_image_clear(&both);
    es_source_free(source);
    finish(maker, shapes);
}

/* 60 mm radius at .4 mm: 150 px, and 330 px to the last echo. */
static es_screen fan(void) {
    es_screen s = array();
    s.width = 400;
    s.height = 300;
    s.panel[2] = 400;
    s.panel[3] = 300;
    s.spacing_mm[0] = s.spacing_mm[1] = 0.4;
    s.curved = true;
    s.width_mm = 0;
    s.radius_mm = 60;
    s.half_angle_rad = 0.5;
    s.setting_mm = s.depth_mm = 72;
    s.face_u = 199.5;
    s.face_v = 60;
    return s;
}

static void two_fans_or_a_strip_below_are_told_and_not_measured_as_one(void **state) {
    (void)state;
    es_screen s = fan();
    es_shapes one, dual, below;
    look(&s, &one);
    look_at_two(&s, 400, 0, false, &dual);
    look_at_two(&s, 0, 150, true, &below);
    assert_string_equal(one.views, "");
    assert_non_null(strstr(dual.views, "2 pictures beside one another"));
    assert_non_null(strstr(below.views, "M-mode"));
    const es_shapes *all[] = {&one, &dual, &below};
    for (int i = 0; i < 3; i++) { /* what is measured is one of them: half a percent of 150 px */
        if (all[i]->fan.found) assert_true(fabs(all[i]->fan.fan.radius_start / 150 - 1) < 0.005);
        assert_false(is_equal(&all[i]->aperture) && !all[i]->fan.found && i < 2);
    }
    assert_true(one.fan.found);
}

static void a_shadow_through_the_middle_makes_no_two_pictures(void **state) {
    (void)state;
    es_screen s = array();
    es_shapes found;
    s.shadows = 1;
    s.shadow[0] = (es_screen_shadow){0.46, 0.54, 0, 0};
    look(&s, &found);
    assert_string_equal(found.views, "");
}

/* Seeds of es_screen_random that were wrong by more than their interval. */
static void screens_that_were_wrong_are_right_or_a_bound(void **state) {
    (void)state;
    static const uint64_t linear[] = {1061, 812029, 814002, 910328};
    for (int i = 0; i < 4; i++) {
        es_screen s;
        es_shapes found;
        es_screen_random(linear[i], &s);
        look(&s, &found);
        const es_aperture_found *a = &found.aperture;
        double truth = s.width_mm / s.spacing_mm[0];
        if (is_equal(a) && !(fabs(a->right - a->left - truth) < 3 * 1.96 * a->sigma))
            fail_msg("seed %d: %.1f px for %.1f: %s", (int)linear[i], a->right - a->left, truth,
                     a->why);
    }
}

/* Trapezoids with dark ends that are not recognised as such: what is lit further
 * down is wider than the array, so only the first rows bound it; they widen by
 * up to 6 px (8 rows, 20 degrees), under 3 % of these. */
static void the_width_of_a_dark_trapezoid_is_no_more_than_its_face(void **state) {
    (void)state;
    static const uint64_t seeds[] = {812054, 812096, 812107, 812159};
    for (int i = 0; i < 4; i++) {
        es_screen s;
        es_shapes found;
        es_screen_random(seeds[i], &s);
        look(&s, &found);
        const es_aperture_found *a = &found.aperture;
        if (a->found && !is_equal(a))
            assert_true((a->right - a->left) * s.spacing_mm[0] < 1.03 * s.width_mm);
    }
}

static double folded(double rate) { return fabs(rate - round(rate)); }

/* Once or twice the lines a pixel. Of 300 columns a peak of the spectrum is .003 wide. */
static bool shows_lines(const es_lines_found *found, const es_screen *s) {
    double once = (es_screen_lines(s) - 1) * s->spacing_mm[0] / s->width_mm;
    return fabs(found->per_px - folded(once)) < 0.002 ||
           fabs(found->per_px - folded(2 * once)) < 0.002;
}

/* Also where an end of the array is dark or in a shadow, so that its width is not seen. */
static void the_scan_lines_of_an_array_show_in_its_speckle(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        es_screen s = array();
        es_shapes found;
        s.spacing_mm[0] = k == 3 ? 0.1 : 0.12;
        s.dark_left_mm = k == 1 ? 8 : 0;
        s.shadows = k == 2;
        s.shadow[0] = (es_screen_shadow){0.85, 1.01, 0, 0};
        look(&s, &found);
        if (!found.lines.found || !shows_lines(&found.lines, &s))
            fail_msg("case %d: %s", k, found.lines.why);
    }
}

/* Blocks of compression mix with the lines: what is told there is true, or nothing is. */
static void compression_makes_no_lines(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        es_screen s = array();
        es_shapes found;
        s.jpeg = 65 + 10 * k;
        s.seed = 30 + (uint64_t)k;
        look(&s, &found);
        assert_true(!found.lines.found || shows_lines(&found.lines, &s));
    }
}

/* Noise of single pixels, and a fan, whose lines are no columns. */
static void what_has_no_lines_shows_none(void **state) {
    (void)state;
    es_error err = {0};
    es_shapes found;
    es_screen curved = fan();
    look(&curved, &found);
    assert_false(found.lines.found);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        es_still_maker *maker = es_still_maker_new(&err);
        es_image picture = {0};
        assert_true(es_image_resize(&picture, ES_U8, 1, 400, 300, &err));
        memset(picture.data, 0, es_image_bytes(&picture));
        for (uint64_t f = 0; f < 8; f++) {
            es_random random = es_random_new(seed, f);
            for (int v = 20; v < 280; v++)
                for (int u = 30; u < 370; u++)
                    ((uint8_t *)picture.data)[v * 400 + u] =
                        (uint8_t)(60 + 150 * es_random_uniform(&random));
            assert_true(es_still_maker_add(maker, &picture, &err));
        }
        es_image_clear(&picture);
        finish(maker, &found);
        assert_true(found.aperture.found);
        assert_false(found.lines.found);
    }
}

/* Compression lights the two columns between the field and the picture's border. */
static void an_end_beside_a_halo_of_compression_is_measured(void **state) {
    (void)state;
    es_screen s = array();
    es_shapes found;
    s.width = 337; /* 333.3 of them lit */
    s.panel[2] = 337;
    s.face_u = 168;
    s.jpeg = 76;
    look(&s, &found);
    if (!is_equal(&found.aperture)) fail_msg("%s", found.aperture.why);
    double width = (found.aperture.right - found.aperture.left) * 0.12;
    if (!(fabs(width / 40 - 1) < 0.006)) fail_msg("%.2f mm of 40", width);
}

/* Words 10 px apart touch every other dot of a ruler with a step of 19.9 px: what is left
 * looks like a ruler of 40. A fiftieth: same_comb of the bench. */
static void a_ruler_whose_dots_touch_words_keeps_its_step(void **state) {
    (void)state;
    es_screen s;
    es_shapes found;
    es_screen_random(910121, &s);
    look(&s, &found);
    double truth = s.comb[0].step_mm / s.spacing_mm[1];
    for (int i = 0; i < found.tick_count; i++)
        assert_true(fabs(found.ticks[i].period_px / truth - 1) < 0.02);
}

/* In a dark field a still reflector is as bright and as round as the ring. */
static void a_reflector_below_the_ring_is_not_the_face(void **state) {
    (void)state;
    es_screen s;
    es_shapes found;
    es_screen_random(810266, &s);
    look(&s, &found);
    double truth = es_screen_fan(&s).radius_start;
    if (found.fan.found && found.fan.start_seen)
        assert_true(fabs(found.fan.fan.radius_start - truth) <
                    3 * 1.96 * found.fan.radius_start_sigma);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_black_shadow_over_one_end_makes_the_width_a_bound),
        cmocka_unit_test(the_same_array_without_a_shadow_is_measured),
        cmocka_unit_test(a_black_shadow_within_the_field_does_not_end_it),
        cmocka_unit_test(an_end_beside_a_shadow_or_an_outline_is_measured),
        cmocka_unit_test(a_picture_that_shows_no_lines_tells_of_no_end),
        cmocka_unit_test(two_pictures_side_by_side_are_not_one_array),
        cmocka_unit_test(two_fans_or_a_strip_below_are_told_and_not_measured_as_one),
        cmocka_unit_test(a_shadow_through_the_middle_makes_no_two_pictures),
        cmocka_unit_test(screens_that_were_wrong_are_right_or_a_bound),
        cmocka_unit_test(the_width_of_a_dark_trapezoid_is_no_more_than_its_face),
        cmocka_unit_test(a_reflector_below_the_ring_is_not_the_face),
        cmocka_unit_test(a_ruler_whose_dots_touch_words_keeps_its_step),
        cmocka_unit_test(the_scan_lines_of_an_array_show_in_its_speckle),
        cmocka_unit_test(compression_makes_no_lines),
        cmocka_unit_test(what_has_no_lines_shows_none),
        cmocka_unit_test(an_end_beside_a_halo_of_compression_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
