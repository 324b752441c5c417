/* Shifts between pictures against known ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/image.h"

enum { SIDE = 160, WAVES = 200 };

/* A sum of waves is known between pixels too. */
static double waves[WAVES][4];

static void make_waves(uint64_t seed) {
    es_random r = es_random_new(seed, 1);
    for (int i = 0; i < WAVES; i++) {
        waves[i][0] = es_random_normal(&r) * 0.5;
        waves[i][1] = es_random_normal(&r) * 0.5;
        waves[i][2] = es_random_uniform(&r) * 2 * M_PI;
        waves[i][3] = es_random_normal(&r);
    }
}

static es_image picture(es_type type, int channels, double du, double dv) {
    es_image image = {0};
    es_error err = {0};
    assert_true(es_image_resize(&image, type, channels, SIDE, SIDE, &err));
    for (int v = 0; v < SIDE; v++)
        for (int u = 0; u < SIDE; u++) {
            double sum = 128;
            for (int i = 0; i < WAVES; i++)
                sum += 3 * waves[i][3] *
                       cos(waves[i][0] * (u - du) + waves[i][1] * (v - dv) + waves[i][2]);
            for (int c = 0; c < channels; c++)
                es_type_set(type, image.data,
                            ((size_t)v * SIDE + (size_t)u) * (size_t)channels + (size_t)c, sum);
        }
    return image;
}

static es_shift measure(es_image *a, es_image *b, uint32_t size) {
    es_error err = {0};
    es_shift shift;
    es_flow_plan *plan = es_flow_plan_new(size, &err);
    assert_non_null(plan);
    assert_true(es_flow_shift(plan, a, b, (SIDE - size) / 2, (SIDE - size) / 2, &shift, &err));
    es_flow_plan_free(plan);
    return shift;
}

static void shifts_are_found_to_a_fraction_of_a_pixel(void **state) {
    (void)state;
    static const double shifts[][2] = {{0, 0}, {3, -5}, {0.5, 0.25}, {-7.3, 2.8}, {11.75, 9.4}};
    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
        make_waves(i + 1);
        es_image a = picture(ES_U8, 1, 0, 0), b = picture(ES_U8, 1, shifts[i][0], shifts[i][1]);
        es_shift s = measure(&a, &b, 64);
        /* A twentieth of a pixel: a Gaussian through three samples of a peak
         * that the band only nearly makes one; measured .035 over these. */
        assert_true(fabs(s.u_px - shifts[i][0]) < 0.05);
        assert_true(fabs(s.v_px - shifts[i][1]) < 0.05);
        assert_true(s.response > 0.2);
        es_image_clear(&a);
        es_image_clear(&b);
    }
}

static void types_and_colours_give_the_same_shift(void **state) {
    (void)state;
    make_waves(9);
    es_image a = picture(ES_U16, 3, 0, 0), b = picture(ES_U16, 3, 4, 6);
    es_shift colour = measure(&a, &b, 64);
    assert_true(fabs(colour.u_px - 4) < 0.05 && fabs(colour.v_px - 6) < 0.05);
    es_image_clear(&a);
    es_image_clear(&b);
    a = picture(ES_F32, 1, 0, 0), b = picture(ES_F32, 1, 4, 6);
    es_shift f = measure(&a, &b, 64);
    assert_true(fabs(f.u_px - 4) < 0.05 && fabs(f.v_px - 6) < 0.05);
    es_image_clear(&a);
    es_image_clear(&b);
}

static void an_equal_picture_has_response_one_and_strangers_have_little(void **state) {
    (void)state;
    make_waves(3);
    es_image a = picture(ES_F32, 1, 0, 0);
    assert_true(measure(&a, &a, 64).response > 0.9);
    make_waves(4);
    es_image b = picture(ES_F32, 1, 0, 0);
    /* Chance alone: the largest of 4096 sums of some hundred random phases. */
    assert_true(measure(&a, &b, 64).response < 0.45);
    memset(b.data, 0, es_image_bytes(&b));
    es_shift none = measure(&b, &b, 64);
    assert_true(none.response == 0 && none.u_px == 0 && none.v_px == 0);
    es_image_clear(&a);
    es_image_clear(&b);
}

static void wrong_windows_and_sizes_are_refused(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_flow_plan_new(0, &err));
    assert_null(es_flow_plan_new(48, &err));
    assert_null(es_flow_plan_new(2048, &err));
    assert_int_equal(err.code, ES_USAGE);
    make_waves(1);
    es_image a = picture(ES_U8, 1, 0, 0), small = {0};
    assert_true(es_image_resize(&small, ES_U8, 1, 32, 32, &err));
    es_flow_plan *plan = es_flow_plan_new(64, &err);
    es_shift shift;
    assert_false(es_flow_shift(plan, &a, &a, SIDE - 63, 0, &shift, &err));
    assert_false(es_flow_shift(plan, &a, &small, 0, 0, &shift, &err));
    assert_false(es_flow_shift(plan, &small, &small, 0, 0, &shift, &err));
    es_flow_plan_free(plan);
    es_image_clear(&a);
    es_image_clear(&small);
}

static void failing_memory_is_told(void **state) {
    (void)state;
    for (long n = 0;; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_flow_plan *plan = es_flow_plan_new(32, &err);
        es_alloc_fail_after(-1);
        if (plan) {
            es_flow_plan_free(plan);
            assert_true(n >= 7);
            return;
        }
        assert_int_equal(err.code, ES_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_are_found_to_a_fraction_of_a_pixel),
        cmocka_unit_test(types_and_colours_give_the_same_shift),
        cmocka_unit_test(an_equal_picture_has_response_one_and_strangers_have_little),
        cmocka_unit_test(wrong_windows_and_sizes_are_refused),
        cmocka_unit_test(failing_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
