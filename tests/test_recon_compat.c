/* The compatibility mode: small cases worked out by hand, bad input, failed
 * allocations. test_recon_compat_igsio.c compares with IGSIO itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/compat.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call)) fail_msg("%s", err.message);                                                  \
    } while (0)

/* ---- small cases by hand ------------------------------------------------------------- */

/* Voxels of 1 mm from 0; a picture of one type whose pixels are given. */
static es_recon_options plain_options(es_type type, int nx, int ny, int nz) {
    es_recon_options o = ES_RECON_DEFAULTS;
    const int size[3] = {nx, ny, nz};
    o.type = type;
    o.has_extent = true;
    for (int a = 0; a < 3; a++) {
        o.spacing_mm[a] = 1;
        o.extent[2 * a + 1] = size[a] - 1;
    }
    return o;
}

static es_compat_volume *new_volume(const es_recon_options *o, es_compat_optimization optimization,
                                    const es_image *mask) {
    es_error err = {0};
    es_compat_volume *volume = es_compat_new(o, optimization, mask, &err);
    if (!volume) fail_msg("%s", err.message);
    return volume;
}

/* Inserts a picture of width x height values, its first pixel at x, 0, 0. */
static void insert_at(es_compat_volume *volume, es_type type, uint32_t width, uint32_t height,
                      const double *pixels, double x) {
    es_error err = {0};
    es_image image = {0};
    es_mat4 pose = es_mat4_translation(x, 0, 0);
    OK(es_image_resize(&image, type, 1, width, height, &err));
    for (size_t i = 0; i < (size_t)width * height; i++) es_type_set(type, image.data, i, pixels[i]);
    OK(es_compat_insert(volume, &image, &pose, &err));
    es_image_clear(&image);
}

static void insert_pixel(es_compat_volume *volume, es_type type, double value, double x) {
    insert_at(volume, type, 1, 1, &value, x);
}

/* The first slice. */
static double value_of(es_compat_volume *volume, es_type type, size_t voxel) {
    uint8_t slice[2048];
    es_error err = {0};
    OK(es_compat_slab(volume, 0, 1, slice, &err));
    return es_type_get(type, slice, voxel);
}

static int weight_of(es_compat_volume *volume, size_t voxel) {
    uint16_t slice[256];
    es_error err = {0};
    OK(es_compat_weight_slab(volume, 0, 1, slice, &err));
    return slice[voxel];
}

static void the_running_mean_is_cut_not_rounded(void **state) {
    (void)state;
    static const struct {
        es_type type;
        double pixels[3], mean;
    } cases[] = {
        {ES_U8, {100, 101, 101}, 100},      /* 100.5 -> 100; 100.33 -> 100 */
        {ES_I8, {-1, 0, 0}, 0},             /* -0.5 -> 0, towards zero */
        {ES_U16, {1000, 1003, 1004}, 1002}, /* 1001.5 -> 1001; (2 * 1001 + 1004) / 3 */
        {ES_I16, {-5, -2, -2}, -2},         /* -3.5 -> -3; -8 / 3 */
        {ES_U32, {7, 8, 8}, 7},
        {ES_I32, {-7, -8, -8}, -7},
        {ES_F32, {100, 101, 102}, 101},
        {ES_F64, {100, 101, 102}, 101},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int optimization = ES_COMPAT_FULL; optimization <= ES_COMPAT_NONE; optimization++) {
            es_recon_options o = plain_options(cases[i].type, 2, 2, 2);
            es_compat_volume *volume = new_volume(&o, (es_compat_optimization)optimization, NULL);
            for (int k = 0; k < 3; k++) insert_pixel(volume, cases[i].type, cases[i].pixels[k], 0);
            assert_float_equal(value_of(volume, cases[i].type, 0), cases[i].mean, 0);
            assert_int_equal(weight_of(volume, 0), 3 * 256);
            es_compat_free(volume);
        }
}

static void after_255_pixels_the_mean_forgets(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_F32, 2, 2, 2);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    for (int i = 0; i < 255; i++) insert_pixel(volume, ES_F32, 100, 0);
    assert_int_equal(weight_of(volume, 0), 65280);
    insert_pixel(volume, ES_F32, 356, 0); /* 1/256 of 256 more */
    assert_float_equal(value_of(volume, ES_F32, 0), 101, 0);
    assert_int_equal(weight_of(volume, 0), 65280);
    es_compat_free(volume);
}

static void a_mean_of_bright_16_bit_pixels_overflows(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_U16, 2, 2, 2);
    o.interpolation = ES_LINEAR;
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    /* One whole pixel: 65535 * 2^14 fits in 30 bits. Two: 65535 * 2^15, still.
     * Three: 65535 * 3 * 2^14 is 2^31 or more and wraps to -1,073,790,976,
     * which by 3 * 2^14 is -21846.33, and 43690 in 16 bits. */
    for (int i = 0; i < 2; i++) insert_pixel(volume, ES_U16, 65535, 0);
    assert_float_equal(value_of(volume, ES_U16, 0), 65535, 0);
    insert_pixel(volume, ES_U16, 65535, 0);
    assert_float_equal(value_of(volume, ES_U16, 0), 43690, 0);
    es_compat_free(volume);
}

static void latest_and_maximum_forget_weights_unless_unoptimised(void **state) {
    (void)state;
    static const int weights[] = {256, 256, 512};
    for (int optimization = ES_COMPAT_FULL; optimization <= ES_COMPAT_NONE; optimization++)
        for (int compounding = ES_LATEST; compounding <= ES_MAXIMUM; compounding += 2) {
            es_recon_options o = plain_options(ES_U8, 2, 2, 2);
            o.compounding = (es_compounding)compounding;
            es_compat_volume *volume = new_volume(&o, (es_compat_optimization)optimization, NULL);
            insert_pixel(volume, ES_U8, 90, 0);
            insert_pixel(volume, ES_U8, 40, 0);
            assert_float_equal(value_of(volume, ES_U8, 0), compounding == ES_LATEST ? 40 : 90, 0);
            assert_int_equal(weight_of(volume, 0), weights[optimization]);
            es_compat_free(volume);
        }
}

static void full_counts_positions_in_steps_of_two_to_the_minus_14(void **state) {
    (void)state;
    for (int optimization = ES_COMPAT_FULL; optimization <= ES_COMPAT_NONE; optimization++) {
        es_recon_options o = plain_options(ES_U8, 4, 2, 2);
        o.interpolation = ES_LINEAR;
        es_compat_volume *volume = new_volume(&o, (es_compat_optimization)optimization, NULL);
        bool full = optimization == ES_COMPAT_FULL;
        insert_pixel(volume, ES_U8, 100, 0x1p-15); /* a tie, to the even step: 0 */
        assert_float_equal(value_of(volume, ES_U8, 0), 100, 0);
        /* A weight under 1/512 sets the value and still counts as a hole. */
        assert_float_equal(value_of(volume, ES_U8, 1), full ? 0 : 100, 0);
        assert_int_equal(weight_of(volume, 1), 0);
        insert_pixel(volume, ES_U8, 50, 2 + 1.0 / 3);
        assert_int_equal(weight_of(volume, 2), 171); /* 2/3 of 256 is 170.67 */
        assert_int_equal(weight_of(volume, 3), 85);  /* 85.33 */
        es_compat_free(volume);
    }
}

static void linear_latest_copies_the_pixel_where_its_weight_is_an_eighth(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_U8, 4, 2, 2);
    o.interpolation = ES_LINEAR;
    o.compounding = ES_LATEST;
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    insert_pixel(volume, ES_U8, 80, 0.875);
    assert_float_equal(value_of(volume, ES_U8, 0), 80, 0);
    assert_int_equal(weight_of(volume, 0), 32);
    insert_pixel(volume, ES_U8, 70, 2.9);
    assert_int_equal(weight_of(volume, 2), 0); /* 0.1 */
    assert_float_equal(value_of(volume, ES_U8, 3), 70, 0);
    es_compat_free(volume);
}

static void linear_drops_a_pixel_with_a_neighbour_outside(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_U8, 4, 2, 2);
    o.interpolation = ES_LINEAR;
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    insert_pixel(volume, ES_U8, 80, 3.25);
    insert_pixel(volume, ES_U8, 80, -0.25);
    assert_int_equal(weight_of(volume, 3), 0);
    assert_int_equal(weight_of(volume, 0), 0);
    insert_pixel(volume, ES_U8, 80, 3);
    assert_int_equal(weight_of(volume, 3), 256);
    es_compat_free(volume);
}

static void a_maximum_starts_at_0(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_I16, 2, 2, 2);
    o.compounding = ES_MAXIMUM;
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    insert_pixel(volume, ES_I16, -30, 0);
    assert_float_equal(value_of(volume, ES_I16, 0), 0, 0);
    assert_int_equal(weight_of(volume, 0), 256);
    es_compat_free(volume);
    o.interpolation = ES_LINEAR; /* black is not even seen */
    volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    insert_pixel(volume, ES_I16, 0, 0);
    assert_int_equal(weight_of(volume, 0), 0);
    es_compat_free(volume);
}

/* Columns of row 5 that a picture of 21 x 11 pixels sets. */
static void check_columns(const es_recon_options *o, es_compat_optimization optimization,
                          const char *expected) {
    double pixels[21 * 11];
    char columns[22] = {0};
    for (int i = 0; i < 21 * 11; i++) pixels[i] = 1;
    es_compat_volume *volume = new_volume(o, optimization, NULL);
    insert_at(volume, ES_U8, 21, 11, pixels, 0);
    for (size_t u = 0; u < 21; u++) columns[u] = weight_of(volume, 5 * 21 + u) ? '#' : '.';
    assert_string_equal(columns, expected);
    es_compat_free(volume);
}

static void the_clip_rectangle_has_one_pixel_more_than_its_size(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_U8, 21, 11, 1);
    o.has_clip = true;
    o.clip_origin[0] = 2;
    o.clip_size[0] = 3;
    o.clip_origin[1] = 1;
    o.clip_size[1] = 4; /* row 5 is the one too many */
    for (int i = ES_COMPAT_FULL; i <= ES_COMPAT_NONE; i++)
        check_columns(&o, (es_compat_optimization)i, "..####...............");
    o.clip_size[1] = 3;
    for (int i = ES_COMPAT_FULL; i <= ES_COMPAT_NONE; i++)
        check_columns(&o, (es_compat_optimization)i, ".....................");
}

static void the_fan_is_a_pixel_narrower_on_every_side_unless_unoptimised(void **state) {
    (void)state;
    es_recon_options o = plain_options(ES_U8, 21, 11, 1);
    /* The apex at column 10 of row 0: row 5 is 5 from it, and its borders lie
     * 0.7 * 5 = 3.5 columns to either side. */
    o.fan = (es_fan){.kind = ES_FAN_CURVED,
                     .apex_u = 10,
                     .radius_stop = 100,
                     .aspect = 1,
                     .angle_start_rad = -atan(0.7),
                     .angle_stop_rad = atan(0.7)};
    check_columns(&o, ES_COMPAT_NONE, ".......#######.......");
    check_columns(&o, ES_COMPAT_PARTIAL, "........#####........");
    check_columns(&o, ES_COMPAT_FULL, "........#####........");
    /* The inner circle cuts row 5 at sqrt(5.5^2 - 5^2) = 2.29 columns: the gap
     * is narrower by a pixel, too. */
    o.fan.radius_start = 5.5;
    check_columns(&o, ES_COMPAT_NONE, ".......#.....#.......");
    check_columns(&o, ES_COMPAT_FULL, "........#...#........");
    /* The outer one at sqrt(8^2 - 5^2) = 6.24, in a fan that is wide enough. */
    o.fan.radius_start = 0;
    o.fan.radius_stop = 8;
    o.fan.angle_start_rad = -1.4;
    o.fan.angle_stop_rad = 1.4;
    check_columns(&o, ES_COMPAT_NONE, "....#############....");
    check_columns(&o, ES_COMPAT_FULL, ".....###########.....");
    /* The angles may come in either order. */
    o.fan.angle_start_rad = 1.4;
    o.fan.angle_stop_rad = -1.4;
    check_columns(&o, ES_COMPAT_FULL, ".....###########.....");
}

static void pixels_below_the_threshold_are_left_out(void **state) {
    (void)state;
    static const double pixels[] = {9, 10, 11};
    for (int i = ES_COMPAT_FULL; i <= ES_COMPAT_NONE; i++) {
        es_recon_options o = plain_options(ES_U8, 3, 2, 1);
        o.threshold = 10;
        es_compat_volume *volume = new_volume(&o, (es_compat_optimization)i, NULL);
        insert_at(volume, ES_U8, 3, 1, pixels, 0);
        assert_int_equal(weight_of(volume, 0), 0);
        assert_int_equal(weight_of(volume, 1), 256);
        assert_int_equal(weight_of(volume, 2), 256);
        es_compat_free(volume);
    }
}

static void a_mask_weighs_pixels(void **state) {
    (void)state;
    for (int interpolation = ES_NEAREST; interpolation <= ES_LINEAR; interpolation++)
        for (int i = ES_COMPAT_FULL; i <= ES_COMPAT_NONE; i++) {
            uint8_t weight = 64;
            es_image mask = {.type = ES_U8,
                             .channels = 1,
                             .width = 2,
                             .height = 1,
                             .data = (uint8_t[2]){64, 192}};
            es_recon_options o = plain_options(ES_U8, 4, 2, 2);
            o.interpolation = (es_interpolation)interpolation;
            es_compat_volume *volume = new_volume(&o, (es_compat_optimization)i, &mask);
            insert_at(volume, ES_U8, 2, 1, (const double[2]){100, 10}, 1);
            assert_int_equal(weight_of(volume, 1), weight);
            insert_at(volume, ES_U8, 2, 1, (const double[2]){10, 200}, 0);
            /* (64 * 100 + 192 * 200) / 256 */
            assert_float_equal(value_of(volume, ES_U8, 1), 175, 0);
            assert_int_equal(weight_of(volume, 1), 256);
            es_compat_free(volume);
        }
}

/* IGSIO leaves the row at a mask value of 0, and goes on reading where it was:
 * the second row begins with the pixel that the first one stopped at. */
static void a_mask_value_of_0_shears_the_rows_after_it_when_optimised(void **state) {
    (void)state;
    es_image mask = {.type = ES_U8,
                     .channels = 1,
                     .width = 3,
                     .height = 2,
                     .data = (uint8_t[6]){255, 255, 0, 255, 255, 255}};
    static const double pixels[6] = {10, 20, 30, 40, 50, 60};
    static const double sheared[6] = {10, 20, 0, 0, 0, 0}, plain[6] = {10, 20, 0, 40, 50, 60};
    for (int i = ES_COMPAT_FULL; i <= ES_COMPAT_NONE; i++) {
        es_recon_options o = plain_options(ES_U8, 3, 2, 1);
        es_compat_volume *volume = new_volume(&o, (es_compat_optimization)i, &mask);
        insert_at(volume, ES_U8, 3, 2, pixels, 0);
        for (size_t k = 0; k < 6; k++)
            assert_float_equal(value_of(volume, ES_U8, k),
                               (i == ES_COMPAT_NONE ? plain : sheared)[k], 0);
        es_compat_free(volume);
    }
}

/* ---- holes by hand ---------------------------------------------------------------------- */

/* A line of 12 voxels, NAN for holes, filled by one step. */
static void check_line(es_type type, const double *line, const es_compat_fill_step *step,
                       const double *expected) {
    es_error err = {0};
    es_recon_options o = plain_options(type, 12, 2, 2);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    for (int x = 0; x < 12; x++)
        if (!isnan(line[x])) insert_pixel(volume, type, line[x], x);
    OK(es_compat_fill(volume, step, 1, &err));
    for (size_t x = 0; x < 12; x++) assert_float_equal(value_of(volume, type, x), expected[x], 0);
    es_compat_free(volume);
}

static void sticks_are_skewed_towards_the_far_end(void **state) {
    (void)state;
    es_compat_fill_step step = {.kind = ES_COMPAT_STICK, .stick_length = 9, .sticks = 1};
    /* (1 + 1) / (1 + 1 + 1) of 200; turned round, a third. Three holes: 2/5, 3/5, 4/5. */
    check_line(ES_U8, (double[]){0, NAN, 200, NAN, 0, NAN, NAN, NAN, 200, NAN, NAN, NAN}, &step,
               (double[]){0, 133, 200, 66, 0, 80, 120, 160, 200, 0, 0, 0});
}

static void a_stick_reaches_over_as_many_holes_as_its_length_less_2(void **state) {
    (void)state;
    es_compat_fill_step step = {.kind = ES_COMPAT_STICK, .stick_length = 5, .sticks = 1};
    check_line(ES_U8, (double[]){50, NAN, NAN, NAN, 50, NAN, NAN, NAN, NAN, 50, 50, 50}, &step,
               (double[]){50, 50, 50, 50, 50, 0, 0, 0, 0, 50, 50, 50});
}

static void cubes_weigh_the_known_voxels_round_a_hole(void **state) {
    (void)state;
    /* The hole at 2 has 90 beside it and 30 two voxels off. */
    double line[12] = {NAN, NAN, NAN, 90, 30, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    es_compat_fill_step step = {.kind = ES_COMPAT_DISTANCE_WEIGHT_INVERSE, .size = 5};
    es_error err = {0};
    /* Inverse distance: (90 + 30 / 2) / 1.5. Gaussian of 1: weights exp(-1/2), exp(-2):
     * (90 * 0.60653 + 30 * 0.13534) / 0.74187 = 79.05. Nearest: the smallest cube has
     * 90 alone. Accumulation: 90 was hit once, 30 four times: (54.588 + 16.240) /
     * (0.60653 + 0.54134) = 61.7. */
    static const double expected[] = {79, 61, 90, 70};
    static const es_compat_fill_kind kinds[] = {ES_COMPAT_GAUSSIAN, ES_COMPAT_GAUSSIAN_ACCUMULATION,
                                                ES_COMPAT_NEAREST_NEIGHBOR,
                                                ES_COMPAT_DISTANCE_WEIGHT_INVERSE};
    es_recon_options o = plain_options(ES_U8, 12, 2, 2);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    for (int x = 3; x < 5; x++)
        for (int n = x == 3 ? 1 : 4; n > 0; n--) insert_pixel(volume, ES_U8, line[x], x);
    step.stdev_voxels = 1;
    for (int k = 0; k < 4; k++) {
        step.kind = kinds[k];
        OK(es_compat_fill(volume, &step, 1, &err));
        assert_float_equal(value_of(volume, ES_U8, 2), expected[k], 0);
        assert_int_equal(weight_of(volume, 2), 0);
    }
    /* Two of 125 voxels are known. */
    step.known_ratio = 0.0161f;
    OK(es_compat_fill(volume, &step, 1, &err));
    assert_float_equal(value_of(volume, ES_U8, 2), 0, 0);
    step.known_ratio = 0.0159f;
    OK(es_compat_fill(volume, &step, 1, &err));
    assert_float_equal(value_of(volume, ES_U8, 2), 70, 0);
    es_compat_free(volume);
}

static void the_first_step_that_succeeds_gives_the_value(void **state) {
    (void)state;
    es_error err = {0};
    es_recon_options o = plain_options(ES_U8, 12, 2, 2);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    insert_pixel(volume, ES_U8, 60, 0);
    insert_pixel(volume, ES_U8, 123, 2);
    es_compat_fill_step steps[] = {
        {.kind = ES_COMPAT_STICK, .stick_length = 3, .sticks = 1},
        {.kind = ES_COMPAT_NEAREST_NEIGHBOR, .size = 3},
    };
    OK(es_compat_fill(volume, steps, 2, &err));
    assert_float_equal(value_of(volume, ES_U8, 1), 102, 0); /* 60 / 3 + 123 * 2 / 3 */
    assert_float_equal(value_of(volume, ES_U8, 3), 123, 0);
    assert_float_equal(value_of(volume, ES_U8, 4), 0, 0); /* filled voxels do not fill */
    insert_pixel(volume, ES_U8, 7, 11);                   /* a frame more: unfilled again */
    assert_float_equal(value_of(volume, ES_U8, 1), 0, 0);
    es_compat_free(volume);
}

/* ---- bad input ------------------------------------------------------------------------------ */

static void refuse(const es_recon_options *o, es_compat_optimization optimization,
                   const es_image *mask, es_code code, const char *word) {
    es_error err = {0};
    assert_null(es_compat_new(o, optimization, mask, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word)) fail_msg("no '%s' in: %s", word, err.message);
}

static void contradictory_options_are_refused_in_words(void **state) {
    (void)state;
    const es_recon_options good = plain_options(ES_U8, 4, 4, 4);
    es_image mask = {
        .type = ES_U16, .channels = 1, .width = 1, .height = 1, .data = (uint16_t[1]){1}};
    es_recon_options o = good;
    o.channels = 3;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "3 channels");
    o = good;
    o.spread = true;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "spread");
    o = good;
    o.has_extent = false;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "extent");
    o = good;
    o.fan = (es_fan){.kind = ES_FAN_LINEAR, .u1 = 1, .v1 = 1};
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "curved fan");
    o = good;
    o.spacing_mm[1] = 0;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "spacing");
    refuse(&good, (es_compat_optimization)7, NULL, ES_USAGE, "optimization 7");
    refuse(&good, ES_COMPAT_FULL, &mask, ES_USAGE, "8-bit");
    mask.type = ES_U8;
    o = good;
    o.compounding = ES_LATEST;
    refuse(&o, ES_COMPAT_FULL, &mask, ES_USAGE, "MEAN");
    o = plain_options(ES_U8, 1, 1, 1);
    refuse(&o, ES_COMPAT_FULL, NULL, ES_USAGE, "one voxel");
    o = plain_options(ES_F64, 2000, 2000, 500);
    o.memory_limit = 1 << 20;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_MEMORY, "2000 x 2000 x 500");
    o = plain_options(ES_U8, 1 << 30, 1 << 30, 1 << 30);
    o.memory_limit = UINT64_MAX;
    refuse(&o, ES_COMPAT_FULL, NULL, ES_MEMORY, "2^31");
}

static void frames_that_do_not_fit_are_refused_in_words(void **state) {
    (void)state;
    es_error err = {0};
    es_image mask = {
        .type = ES_U8, .channels = 1, .width = 2, .height = 2, .data = (uint8_t[4]){1, 1, 1, 1}};
    es_image image = {
        .type = ES_U16, .channels = 1, .width = 2, .height = 1, .data = (uint16_t[2]){1, 1}};
    es_recon_options o = plain_options(ES_U8, 4, 4, 4);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, &mask);
    es_mat4 pose = es_mat4_identity();
    assert_false(es_compat_insert(volume, &image, &pose, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "u16"));
    image.type = ES_U8;
    assert_false(es_compat_insert(volume, &image, &pose, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "mask"));
    pose.m[3] = NAN;
    assert_false(es_compat_insert(volume, &mask, &pose, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    pose = es_mat4_translation(2e5, 0, 0); /* past the 2^17 of 14-bit fixed point */
    assert_false(es_compat_insert(volume, &mask, &pose, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    pose = es_mat4_identity();
    pose.m[12] = 0.1; /* a perspective */
    assert_false(es_compat_insert(volume, &mask, &pose, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_int_equal(weight_of(volume, 0), 0);
    es_compat_free(volume);
}

static void fill_steps_out_of_range_are_refused_in_words(void **state) {
    (void)state;
    static const struct {
        es_compat_fill_step step;
        const char *word;
    } cases[] = {
        {{.kind = ES_COMPAT_STICK, .stick_length = 2, .sticks = 1}, "sticks of 2"},
        {{.kind = ES_COMPAT_STICK, .stick_length = 13, .sticks = 1}, "longest side"},
        {{.kind = ES_COMPAT_STICK, .stick_length = 9, .sticks = 14}, "14 sticks"},
        {{.kind = ES_COMPAT_GAUSSIAN, .size = 0, .stdev_voxels = 1}, "0 voxels"},
        {{.kind = ES_COMPAT_GAUSSIAN, .size = 3, .stdev_voxels = 0}, "deviation"},
        {{.kind = ES_COMPAT_GAUSSIAN, .size = 3, .stdev_voxels = NAN}, "deviation"},
        {{.kind = ES_COMPAT_NEAREST_NEIGHBOR, .size = 3, .known_ratio = 1}, "ratio"},
        {{.kind = ES_COMPAT_NEAREST_NEIGHBOR, .size = 3, .known_ratio = -1}, "ratio"},
        {{.kind = ES_COMPAT_NEAREST_NEIGHBOR, .size = 1000}, "1000 voxels"},
        {{.kind = (es_compat_fill_kind)9, .size = 3}, "kind 9"},
    };
    es_recon_options o = plain_options(ES_U8, 12, 2, 2);
    es_compat_volume *volume = new_volume(&o, ES_COMPAT_FULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_error err = {0};
        assert_false(es_compat_fill(volume, &cases[i].step, 1, &err));
        assert_int_equal(err.code, ES_USAGE);
        if (!strstr(err.message, cases[i].word)) fail_msg("%s", err.message);
    }
    assert_false(es_compat_fill(volume, NULL, 0, NULL));
    uint8_t slices[48];
    assert_false(es_compat_slab(volume, 1, 2, slices, NULL));
    es_compat_free(volume);
}

static void failed_allocations_leave_the_volume_as_it_was(void **state) {
    (void)state;
    es_image mask = {
        .type = ES_U8, .channels = 1, .width = 1, .height = 1, .data = (uint8_t[1]){1}};
    es_compat_fill_step step = {.kind = ES_COMPAT_GAUSSIAN, .size = 3, .stdev_voxels = 1};
    es_recon_options o = plain_options(ES_U8, 12, 2, 2);
    es_compat_volume *volume = NULL;
    for (long n = 0; !volume; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        volume = es_compat_new(&o, ES_COMPAT_FULL, &mask, &err);
        es_alloc_fail_after(-1);
        if (!volume) assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 20);
    }
    insert_pixel(volume, ES_U8, 77, 0);
    bool filled = false;
    for (long n = 0; !filled; n++) {
        es_error err = {0};
        assert_float_equal(value_of(volume, ES_U8, 1), 0, 0);
        es_alloc_fail_after(n);
        filled = es_compat_fill(volume, &step, 1, &err);
        es_alloc_fail_after(-1);
        if (!filled) assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 20);
    }
    assert_float_equal(value_of(volume, ES_U8, 1), 77, 0);
    es_compat_free(volume);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_running_mean_is_cut_not_rounded),
        cmocka_unit_test(after_255_pixels_the_mean_forgets),
        cmocka_unit_test(a_mean_of_bright_16_bit_pixels_overflows),
        cmocka_unit_test(latest_and_maximum_forget_weights_unless_unoptimised),
        cmocka_unit_test(full_counts_positions_in_steps_of_two_to_the_minus_14),
        cmocka_unit_test(linear_latest_copies_the_pixel_where_its_weight_is_an_eighth),
        cmocka_unit_test(linear_drops_a_pixel_with_a_neighbour_outside),
        cmocka_unit_test(a_maximum_starts_at_0),
        cmocka_unit_test(the_clip_rectangle_has_one_pixel_more_than_its_size),
        cmocka_unit_test(the_fan_is_a_pixel_narrower_on_every_side_unless_unoptimised),
        cmocka_unit_test(pixels_below_the_threshold_are_left_out),
        cmocka_unit_test(a_mask_weighs_pixels),
        cmocka_unit_test(a_mask_value_of_0_shears_the_rows_after_it_when_optimised),
        cmocka_unit_test(sticks_are_skewed_towards_the_far_end),
        cmocka_unit_test(a_stick_reaches_over_as_many_holes_as_its_length_less_2),
        cmocka_unit_test(cubes_weigh_the_known_voxels_round_a_hole),
        cmocka_unit_test(the_first_step_that_succeeds_gives_the_value),
        cmocka_unit_test(contradictory_options_are_refused_in_words),
        cmocka_unit_test(frames_that_do_not_fit_are_refused_in_words),
        cmocka_unit_test(fill_steps_out_of_range_are_refused_in_words),
        cmocka_unit_test(failed_allocations_leave_the_volume_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
