/* The finders of the shape of the echoes against pictures drawn here, whose
 * geometry is known to a part of a pixel, and against what must not be taken
 * for a fan or an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/format.h"
#include "echosolid/spacing.h"

enum { WIDTH = 480, HEIGHT = 400, FRAMES = 4, FANS = 15 };

/* ---- drawing ------------------------------------------------------------------ */

typedef struct scene {
    uint32_t width, height;
    int frames;
    es_fan fan;       /* KIND_NONE: none */
    double shadow[2]; /* a black sector (angles) or strip (columns) */
    bool overlay, flipped, dark;
    double noise, soft; /* grey; px */
    double dark_right;  /* LINEAR: the last columns fade over this many */
    uint64_t seed;
} scene;

/* How much of the pixel is inside, from the distance to the nearest edge. */
static double coverage(const scene *s, double u, double v) {
    const es_fan *f = &s->fan;
    double d;
    if (f->kind == ES_FAN_LINEAR) {
        d = fmin(fmin(u - f->u0, f->u1 - u), fmin(v - f->v0, f->v1 - v));
        if (u > s->shadow[0] && u < s->shadow[1]) return 0;
    } else {
        double r, t;
        es_fan_polar(f, u, v, &r, &t);
        if (t > s->shadow[0] && t < s->shadow[1]) return 0;
        d = fmin(fmin(r - f->radius_start, f->radius_stop - r),
                 r * fmin(sin(t - f->angle_start_rad), sin(f->angle_stop_rad - t)));
    }
    return s->soft > 0 ? fmin(fmax(.5 + d / s->soft, 0), 1) : d >= 0;
}

static double brightness(const scene *s, double u, double v, es_random *random) {
    double speckle = 90 + 40 * es_random_normal(random);
    if (s->dark) {
        double r, t;
        es_fan_polar(&s->fan, u, v, &r, &t);
        speckle = r < s->fan.radius_start + 9 ? 150 + 10 * es_random_normal(random) : 0;
    }
    if (s->dark_right > 0) speckle *= fmin(1, (s->fan.u1 - u) / s->dark_right);
    return fmax(speckle, s->dark ? 0 : 6);
}

static void draw_overlay(es_image *picture) {
    uint8_t *grey = picture->data;
    for (uint32_t v = 10; v + 10 < picture->height; v += 16) /* ticks */
        for (uint32_t u = 4; u < 9; u++) grey[v * picture->width + u] = 200;
    for (uint32_t v = 6; v < 14; v++) /* letters */
        for (uint32_t u = 20; u < 90; u++)
            if ((u * 7 + v * 3) % 5 < 2) grey[v * picture->width + u] = 220;
}

static void draw(const scene *s, es_random *random, es_image *picture) {
    es_error err = {0};
    if (!es_image_resize(picture, ES_U8, 1, s->width, s->height, &err)) fail_msg("%s", err.message);
    uint8_t *grey = picture->data;
    for (uint32_t v = 0; v < s->height; v++)
        for (uint32_t u = 0; u < s->width; u++) {
            double row = s->flipped ? s->height - 1. - v : v;
            double share = s->fan.kind == ES_FAN_NONE ? 0 : coverage(s, u, row);
            double value = share > 0 ? share * brightness(s, u, row, random) : 0;
            value += s->noise * es_random_normal(random);
            grey[v * s->width + u] = (uint8_t)fmin(fmax(lrint(value), 0), 255);
        }
    if (s->overlay) draw_overlay(picture);
}

static es_still make_still(const scene *s) {
    es_error err = {0};
    es_image picture = {0};
    es_still still = {0};
    es_random random = es_random_new(s->seed, 1);
    es_still_maker *maker = es_still_maker_new(&err);
    for (int f = 0; maker && f < s->frames; f++) {
        draw(s, &random, &picture);
        if (!es_still_maker_add(maker, &picture, &err)) fail_msg("%s", err.message);
    }
    if (!maker || !es_still_maker_finish(maker, &still, &err)) fail_msg("%s", err.message);
    es_still_maker_free(maker);
    es_image_clear(&picture);
    return still;
}

static es_fan_found find_fan(const scene *s) {
    es_error err = {0};
    es_still still = make_still(s);
    es_fan_found found;
    if (!es_fan_find(&still, &found, &err)) fail_msg("%s", err.message);
    es_still_clear(&still);
    return found;
}

static es_aperture_found find_aperture(const scene *s) {
    es_error err = {0};
    es_still still = make_still(s);
    es_aperture_found found;
    if (!es_aperture_find(&still, &found, &err)) fail_msg("%s", err.message);
    es_still_clear(&still);
    return found;
}

static es_rows_found find_rows(const scene *s) {
    es_error err = {0};
    es_still still = make_still(s);
    es_rows_found found;
    if (!es_rows_find(&still, &found, &err)) fail_msg("%s", err.message);
    es_still_clear(&still);
    return found;
}

static scene plain_fan(void) {
    scene s = {.width = WIDTH, .height = HEIGHT, .frames = FRAMES, .seed = 5, .shadow = {9, 9}};
    s.fan = (es_fan){.kind = ES_FAN_CURVED,
                     .apex_u = 239.3,
                     .apex_v = -60.4,
                     .radius_start = 110.7,
                     .radius_stop = 440.2,
                     .angle_start_rad = -.5,
                     .angle_stop_rad = .5,
                     .aspect = 1};
    return s;
}

static scene plain_rectangle(void) {
    scene s = {.width = WIDTH, .height = HEIGHT, .frames = FRAMES, .seed = 6};
    s.fan = (es_fan){.kind = ES_FAN_LINEAR, .u0 = 99.5, .u1 = 371.5, .v0 = 19.5, .v1 = 360.5};
    return s;
}

/* ---- fans ---------------------------------------------------------------------- */

static double span(es_random *random, double low, double high) {
    return low + (high - low) * es_random_uniform(random);
}

/* A fan of another probe, depth, margin and state. */
static scene random_fan(uint64_t seed) {
    es_random random = es_random_new(seed, 7);
    scene s = plain_fan();
    double half = span(&random, .4, 1.1), ratio = span(&random, .15, .5);
    double size = span(&random, 300, 370) / (1 - ratio * cos(half));
    s.seed = seed;
    s.fan.angle_start_rad = -half;
    s.fan.angle_stop_rad = half;
    s.fan.radius_stop = size;
    s.fan.radius_start = ratio * size;
    s.fan.apex_u = WIDTH / 2. + span(&random, -6, 6);
    s.fan.apex_v = span(&random, 4, 20) - s.fan.radius_start * cos(half);
    s.overlay = seed % 2;
    s.noise = seed % 3 == 1 ? 1.5 : 0;
    s.soft = seed % 4 == 2 ? 1.5 : 0;
    if (seed % 5 == 3) s.shadow[0] = -.2, s.shadow[1] = -.1;
    return s;
}

static void radii_of_fans_are_found_to_three_thousandths(void **state) {
    (void)state;
    double errors[2 * FANS];
    int count = 0;
    for (uint64_t seed = 1; seed <= FANS; seed++) {
        scene s = random_fan(seed);
        es_fan_found f = find_fan(&s);
        if (!f.found) fail_msg("seed %d: %s", (int)seed, f.why);
        assert_true(f.start_seen && f.stop_seen);
        double start = f.fan.radius_start - s.fan.radius_start;
        double stop = f.fan.radius_stop - s.fan.radius_stop;
        errors[count++] = fabs(start) / s.fan.radius_start;
        errors[count++] = fabs(stop) / s.fan.radius_stop;
        /* nothing may miss by more than three times its 95 % interval */
        assert_true(fabs(start) < 3 * 1.96 * f.radius_start_sigma);
        assert_true(fabs(stop) < 3 * 1.96 * f.radius_stop_sigma);
    }
    qsort(errors, (size_t)count, sizeof *errors, es_compare_doubles);
    print_message("95th percentile of the radii: %.3f %%\n", 100 * errors[count * 95 / 100]);
    assert_true(errors[count * 95 / 100] < .003); /* asked by the project's figures */
}

static void the_apex_is_pinned_by_the_side_edges(void **state) {
    (void)state;
    scene s = plain_fan();
    es_fan_found f = find_fan(&s);
    assert_true(f.found && f.pinned);
    assert_float_equal(f.fan.apex_u, s.fan.apex_u, .3); /* a third of a pixel, as the radii */
    assert_float_equal(f.fan.apex_v, s.fan.apex_v, .3);
    assert_float_equal(f.fan.angle_start_rad, -.5, .005);
    assert_float_equal(f.fan.angle_stop_rad, .5, .005);
}

static void a_picture_upside_down_is_noticed(void **state) {
    (void)state;
    scene s = plain_fan();
    s.flipped = true;
    es_fan_found f = find_fan(&s);
    assert_true(f.found && f.flipped);
    assert_float_equal(f.fan.radius_start, s.fan.radius_start, .4);
    assert_float_equal(f.fan.apex_v, s.fan.apex_v, .4);
}

static void pixels_that_are_not_square_are_noticed(void **state) {
    (void)state;
    scene s = plain_fan();
    s.fan.aspect = 1.05;
    es_fan_found f = find_fan(&s);
    assert_true(f.found);
    assert_float_equal(f.fan.aspect, 1.05, .004);
    assert_float_equal(f.fan.radius_stop, s.fan.radius_stop, .003 * s.fan.radius_stop);
}

static void a_fan_cut_by_the_picture_keeps_its_radii(void **state) {
    (void)state;
    scene s = plain_fan();
    s.width = 300;
    s.fan.apex_u = 149.3;
    es_fan_found f = find_fan(&s);
    if (!f.found) fail_msg("%s", f.why);
    assert_true(f.cut_left && f.cut_right);
    assert_float_equal(f.fan.radius_start, s.fan.radius_start, .003 * s.fan.radius_start);
    assert_float_equal(f.fan.radius_stop, s.fan.radius_stop, .003 * s.fan.radius_stop);
}

static void an_end_below_the_picture_is_no_radius(void **state) {
    (void)state;
    scene s = plain_fan();
    s.height = 300;
    es_fan_found f = find_fan(&s);
    assert_true(f.found && f.start_seen);
    assert_false(f.stop_seen);
    assert_float_equal(f.fan.radius_start, s.fan.radius_start, .003 * s.fan.radius_start);
}

static void a_black_sector_at_the_side_does_not_take_the_edge(void **state) {
    (void)state;
    scene s = plain_fan();
    s.shadow[0] = -.4;
    s.shadow[1] = -.25;
    es_fan_found f = find_fan(&s);
    assert_true(f.found);
    assert_float_equal(f.fan.angle_start_rad, -.5, .02);
    assert_float_equal(f.fan.radius_start, s.fan.radius_start, .003 * s.fan.radius_start);
}

static void the_ring_shows_the_face_of_a_dark_field(void **state) {
    (void)state;
    scene s = plain_fan();
    s.dark = true;
    s.fan.angle_start_rad = -1;
    s.fan.angle_stop_rad = 1;
    es_fan_found f = find_fan(&s);
    if (!f.found) fail_msg("%s", f.why);
    assert_true(f.ring && f.start_seen && !f.stop_seen);
    /* by .75 % on the recording that the ring was tried on */
    assert_float_equal(f.fan.radius_start, s.fan.radius_start, .01 * s.fan.radius_start);
}

/* ---- arrays --------------------------------------------------------------------- */

static void the_aperture_of_an_array_is_found_to_a_pixel(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        scene s = plain_rectangle();
        s.seed += (uint64_t)k;
        s.overlay = k & 1;
        s.noise = k & 2 ? 1.5 : 0;
        es_aperture_found a = find_aperture(&s);
        if (!a.found) fail_msg("%s", a.why);
        assert_true(a.left_sharp && a.right_sharp && !a.trapezoid);
        assert_float_equal(a.left, s.fan.u0, 1);
        assert_float_equal(a.right, s.fan.u1, 1);
    }
}

static void a_dark_edge_makes_the_width_a_bound(void **state) {
    (void)state;
    scene s = plain_rectangle();
    s.dark_right = 60;
    s.noise = 1;
    es_aperture_found a = find_aperture(&s);
    assert_true(a.found);
    assert_true(a.left_sharp);
    assert_false(a.right_sharp);
    assert_true(a.right <= s.fan.u1 + 1);
}

static void a_shadow_beside_echoes_is_no_edge(void **state) {
    (void)state;
    scene s = plain_rectangle();
    s.shadow[0] = 200;
    s.shadow[1] = 290;
    es_aperture_found a = find_aperture(&s);
    double width = a.right - a.left;
    assert_true(!a.found || !(a.left_sharp && a.right_sharp) || fabs(width - 272) < 2);
}

static void a_fan_is_no_aperture(void **state) {
    (void)state;
    scene s = plain_fan();
    assert_false(find_aperture(&s).found);
}

static void rows_of_an_array_are_exact_where_they_stop_at_once(void **state) {
    (void)state;
    scene s = plain_rectangle();
    es_rows_found r = find_rows(&s);
    assert_true(r.found && r.exact);
    assert_float_equal(r.bottom - r.top, s.fan.v1 - s.fan.v0, 1.5);
}

static void rows_that_run_out_of_the_picture_are_not_exact(void **state) {
    (void)state;
    scene s = plain_rectangle();
    s.fan.v1 = HEIGHT + 50;
    es_rows_found r = find_rows(&s);
    assert_false(r.exact);
    /* assumed rows were 9 to 15 % off in trials */
    assert_true(!r.found || r.sigma > .05 * (r.bottom - r.top));
}

static void rows_of_a_fan_are_those_of_its_middle(void **state) {
    (void)state;
    scene s = plain_fan();
    es_rows_found r = find_rows(&s);
    assert_true(r.found);
    assert_float_equal(r.bottom - r.top, s.fan.radius_stop - s.fan.radius_start, 1);
}

/* ---- what is no shape -------------------------------------------------------------- */

static void expect_nothing(const es_still *still, const char *what) {
    es_error err = {0};
    es_fan_found fan;
    es_aperture_found aperture;
    es_rows_found rows;
    if (!es_fan_find(still, &fan, &err) || !es_aperture_find(still, &aperture, &err) ||
        !es_rows_find(still, &rows, &err))
        fail_msg("%s: %s", what, err.message);
    if (fan.found) fail_msg("%s: a fan: %s", what, fan.why);
    if (aperture.found && aperture.left_sharp && aperture.right_sharp)
        fail_msg("%s: an aperture: %s", what, aperture.why);
    if (rows.found && rows.exact) fail_msg("%s: rows: %s", what, rows.why);
    assert_true(fan.why[0] && aperture.why[0] && rows.why[0]);
}

static void expect_nothing_in(const scene *s, const char *what) {
    es_still still = make_still(s);
    expect_nothing(&still, what);
    es_still_clear(&still);
}

static void black_noise_text_and_crumbs_are_no_shapes(void **state) {
    (void)state;
    scene s = {.width = WIDTH, .height = HEIGHT, .frames = FRAMES, .seed = 9};
    expect_nothing_in(&s, "black");
    s.overlay = true;
    expect_nothing_in(&s, "text");
    s.frames = 1;
    expect_nothing_in(&s, "text, one picture");
    s.overlay = false;
    s.noise = 60;
    expect_nothing_in(&s, "noise");
    s.frames = FRAMES;
    expect_nothing_in(&s, "noise that changes");
    s.width = s.height = 8;
    expect_nothing_in(&s, "8 x 8");
    s.width = s.height = 1;
    expect_nothing_in(&s, "1 x 1");
}

static void a_white_picture_is_no_shape(void **state) {
    (void)state;
    scene s = plain_rectangle();
    s.fan.u0 = s.fan.v0 = -100;
    s.fan.u1 = s.fan.v1 = 1000;
    expect_nothing_in(&s, "all lit");
}

static void a_failed_allocation_is_told(void **state) {
    (void)state;
    scene s = plain_fan();
    s.width = s.height = 120;
    s.fan = (es_fan){.kind = ES_FAN_CURVED,
                     .apex_u = 60,
                     .apex_v = -10,
                     .radius_start = 30,
                     .radius_stop = 115,
                     .angle_start_rad = -.4,
                     .angle_stop_rad = .4,
                     .aspect = 1};
    es_still still = make_still(&s);
    es_fan_found fan;
    es_aperture_found aperture;
    es_rows_found rows;
    int failures = 0;
    for (long n = 0; n < 400; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        bool ok = es_fan_find(&still, &fan, &err) && es_aperture_find(&still, &aperture, &err) &&
                  es_rows_find(&still, &rows, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
        failures++;
    }
    assert_true(failures > 5 && failures < 400);
    es_still_clear(&still);
}

static void what_was_seen_can_be_drawn(void **state) {
    (void)state;
    scene s = plain_fan();
    es_error err = {0};
    es_still still = make_still(&s);
    es_fan_found fan;
    es_image with = {0}, without = {0};
    assert_true(es_fan_find(&still, &fan, &err));
    assert_true(es_shape_picture(&still, &fan, NULL, NULL, NULL, 0, &with, &err));
    assert_true(es_shape_picture(&still, NULL, NULL, NULL, NULL, 0, &without, &err));
    assert_int_equal(with.width, still.width);
    assert_true(memcmp(with.data, without.data, es_image_bytes(&with)) != 0);
    es_image_clear(&with);
    es_image_clear(&without);
    es_still_clear(&still);
}

/* ---- recordings ------------------------------------------------------------------ */

static es_still load_still(const char *name) {
    es_error err = {0};
    char path[4096];
    const char *data = getenv("ES_TEST_DATA");
    snprintf(path, sizeof path, "%s/plus/sequences/%s", data ? data : "", name);
    if (!data || access(path, R_OK) != 0) {
        print_message("skipped: no %s below ES_TEST_DATA\n", name);
        skip();
    }
    es_still still = {0};
    es_frame frame = {0};
    bool end = false;
    es_source *source = es_sequence_open(path, &err);
    es_still_maker *maker = es_still_maker_new(&err);
    if (!source || !maker) fail_msg("%s", err.message);
    while (es_source_next(source, &frame, ES_READ_PIXELS, &end, &err) && !end)
        if (frame.has_image && !es_still_maker_add(maker, &frame.image, &err))
            fail_msg("%s", err.message);
    if (!es_still_maker_finish(maker, &still, &err)) fail_msg("%s", err.message);
    es_still_maker_free(maker);
    es_frame_clear(&frame);
    es_source_free(source);
    return still;
}

static void fans_of_recordings_are_those_of_their_configurations(void **state) {
    (void)state;
    /* Radius and end of the configured scan conversion over its spacing. The
     * second one's first and last samples are not lit, 2.5 pixels at most. */
    static const struct {
        const char *name;
        double start, stop, apex_v, unlit;
    } known[] = {{"BkCurvilinearScanConvertedData.igs.mha", 66.67, 400, -13.67, 0},
                 {"UltrasonixCurvilinearScanConvertedData.igs.mha", 66.67, 546.67, 20.33, 2.5}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        es_error err = {0};
        es_still still = load_still(known[k].name);
        es_fan_found f;
        assert_true(es_fan_find(&still, &f, &err) && f.found && f.pinned);
        assert_float_equal(f.fan.apex_v, known[k].apex_v, .3);
        double start = f.fan.radius_start - known[k].start,
               stop = known[k].stop - f.fan.radius_stop;
        assert_true(start > -1.96 * f.radius_start_sigma);
        assert_true(start < known[k].unlit + 1.96 * f.radius_start_sigma);
        assert_true(stop > -1.96 * f.radius_stop_sigma);
        assert_true(stop < known[k].unlit + 1.96 * f.radius_stop_sigma);
        es_still_clear(&still);
    }
}

/* Three of an L14-5/38 and one whose scan conversion says 128 lines over 38 mm: once or
 * twice an element. To 3 %, as the width shown and elements times pitch differ. */
static void the_scan_lines_of_recordings_are_those_of_their_probe(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double spacing_mm;
    } known[] = {{"SpinePhantomFreehand.igs.mha", .08542},
                 {"BoneUltrasound_L14.igs.mha", .08137},
                 {"fCal_Test_Calibration_3NWires.igs.mha", .0774},
                 {"UltrasonixLinearScanConvertedData.igs.mha", .2}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        es_error err = {0};
        es_still still = load_still(known[k].name);
        es_shapes found;
        assert_true(es_shapes_find(&still, &found, &err));
        double once = known[k].spacing_mm / (38. / 128), rate = found.lines.per_px;
        if (!found.lines.found ||
            !(fmin(fmin(fabs(rate / once - 1), fabs((1 - rate) / once - 1)),
                   fmin(fabs(rate / once / 2 - 1), fabs((1 - rate) / once / 2 - 1))) < .03))
            fail_msg("%s: %s", known[k].name, found.lines.why);
        es_still_clear(&still);
    }
}

/* Both recordings have pixels of .15 mm, a radius of 10 mm, and depths of 50 and 72 mm. */
static void evidence_of_recorded_fans_covers_samples_that_are_not_lit(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double depth_mm;
    } known[] = {{"BkCurvilinearScanConvertedData.igs.mha", 50},
                 {"UltrasonixCurvilinearScanConvertedData.igs.mha", 72}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        es_error err = {0};
        es_still still = load_still(known[k].name);
        es_shapes shapes;
        es_evidence_list list = {0};
        es_probe_entry probe = {.name = "known", .curved = true, .radius_mm = 10};
        es_spacing_hints hints = {.depth_mm = known[k].depth_mm,
                                  .depth_sigma_mm = NAN,
                                  .probe = &probe,
                                  .scanner_speed_m_s = NAN,
                                  .true_speed_m_s = NAN};
        probe.radius_sigma = 0.01;
        assert_true(es_shapes_find(&still, &shapes, &err));
        assert_true(es_shape_evidence(&shapes, &hints, &list, &err));
        assert_int_equal(list.count, 2); /* radius, depth */
        for (size_t i = 0; i < list.count; i++)
            for (int a = 0; a < 2; a++)
                assert_true(fabs(log(list.items[i].spacing_mm[a] / 0.15)) <
                            1.96 * list.items[i].sigma[a]);
        es_evidence_clear(&list);
        es_still_clear(&still);
    }
}

static void apertures_of_recordings_are_the_columns_counted_by_hand(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double columns;
    } known[] = {{"SpinePhantomFreehand.igs.mha", 445},
                 {"UltrasonixLinearScanConvertedData.igs.mha", 190},
                 {"BoneUltrasound_L14.igs.mha", 467},
                 {"fCal_Test_Calibration_3NWires.igs.mha", 491}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        es_error err = {0};
        es_still still = load_still(known[k].name);
        es_aperture_found a;
        assert_true(es_aperture_find(&still, &a, &err) && a.found);
        assert_float_equal(a.right - a.left, known[k].columns, .01 * known[k].columns);
        es_still_clear(&still);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(radii_of_fans_are_found_to_three_thousandths),
        cmocka_unit_test(the_apex_is_pinned_by_the_side_edges),
        cmocka_unit_test(a_picture_upside_down_is_noticed),
        cmocka_unit_test(pixels_that_are_not_square_are_noticed),
        cmocka_unit_test(a_fan_cut_by_the_picture_keeps_its_radii),
        cmocka_unit_test(an_end_below_the_picture_is_no_radius),
        cmocka_unit_test(a_black_sector_at_the_side_does_not_take_the_edge),
        cmocka_unit_test(the_ring_shows_the_face_of_a_dark_field),
        cmocka_unit_test(the_aperture_of_an_array_is_found_to_a_pixel),
        cmocka_unit_test(a_dark_edge_makes_the_width_a_bound),
        cmocka_unit_test(a_shadow_beside_echoes_is_no_edge),
        cmocka_unit_test(a_fan_is_no_aperture),
        cmocka_unit_test(rows_of_an_array_are_exact_where_they_stop_at_once),
        cmocka_unit_test(rows_that_run_out_of_the_picture_are_not_exact),
        cmocka_unit_test(rows_of_a_fan_are_those_of_its_middle),
        cmocka_unit_test(black_noise_text_and_crumbs_are_no_shapes),
        cmocka_unit_test(a_white_picture_is_no_shape),
        cmocka_unit_test(a_failed_allocation_is_told),
        cmocka_unit_test(what_was_seen_can_be_drawn),
        cmocka_unit_test(the_scan_lines_of_recordings_are_those_of_their_probe),
        cmocka_unit_test(fans_of_recordings_are_those_of_their_configurations),
        cmocka_unit_test(evidence_of_recorded_fans_covers_samples_that_are_not_lit),
        cmocka_unit_test(apertures_of_recordings_are_the_columns_counted_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
