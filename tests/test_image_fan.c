/* Fan geometry and traces: polar coordinates, what lies inside, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "echosolid/image.h"

/* Exact up to the rounding of a few double operations on numbers below 1e3. */
#define ROUNDING 1e-9

static void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g is not within %g of %.12g", a, tolerance, b);
}

/* 60 degrees wide, face 40 px below the apex, pixels twice as wide as high. */
static es_fan sample_fan(void) {
    return (es_fan){.kind = ES_FAN_CURVED,
                    .apex_u = 100,
                    .apex_v = -20,
                    .radius_start = 40,
                    .radius_stop = 240,
                    .angle_start_rad = -M_PI / 6,
                    .angle_stop_rad = M_PI / 6,
                    .aspect = 2};
}

static void the_axis_below_the_apex_has_angle_zero(void **state) {
    (void)state;
    es_fan fan = sample_fan();
    double radius, angle;
    es_fan_polar(&fan, 100, 30, &radius, &angle);
    assert_near(radius, 50, ROUNDING);
    assert_near(angle, 0, ROUNDING);
}

static void angles_grow_towards_u_and_pixels_are_made_square(void **state) {
    (void)state;
    es_fan fan = sample_fan();
    double radius, angle;
    es_fan_polar(&fan, 115, 20, &radius, &angle); /* (30, 40): the 3-4-5 triangle */
    assert_near(radius, 50, ROUNDING);
    assert_near(angle, atan2(3, 4), ROUNDING);
    es_fan_polar(&fan, 85, 20, &radius, &angle);
    assert_near(angle, -atan2(3, 4), ROUNDING);
}

static void a_curved_fan_ends_at_its_radii_and_angles(void **state) {
    (void)state;
    es_fan fan = sample_fan();
    assert_true(es_fan_contains(&fan, 100, 21));
    assert_false(es_fan_contains(&fan, 100, 19));
    assert_true(es_fan_contains(&fan, 100, 219));
    assert_false(es_fan_contains(&fan, 100, 221));
    double reach = 100 * tan(M_PI / 6) / fan.aspect; /* at v = 80 */
    assert_true(es_fan_contains(&fan, 100 + reach - .01, 80));
    assert_false(es_fan_contains(&fan, 100 + reach + .01, 80));
    assert_false(es_fan_contains(&fan, 100 - reach - .01, 80));
}

static void a_linear_fan_has_an_inclusive_first_and_an_exclusive_last_edge(void **state) {
    (void)state;
    es_fan fan = {.kind = ES_FAN_LINEAR, .u0 = 10, .v0 = 5, .u1 = 20, .v1 = 50};
    assert_true(es_fan_contains(&fan, 10, 5));
    assert_false(es_fan_contains(&fan, 20, 5));
    assert_false(es_fan_contains(&fan, 10, 50));
    assert_false(es_fan_contains(&fan, 9.99, 5));
    double radius, angle;
    es_fan_polar(&fan, 12, 30, &radius, &angle);
    assert_near(radius, 25, ROUNDING);
    assert_near(angle, 0, ROUNDING);
}

static void an_unknown_fan_contains_every_finite_point(void **state) {
    (void)state;
    es_fan fan = {.kind = ES_FAN_NONE};
    assert_true(es_fan_contains(&fan, -1e6, 1e6));
}

static void no_fan_contains_a_point_that_is_not_a_number(void **state) {
    (void)state;
    es_fan fans[] = {
        sample_fan(), {.kind = ES_FAN_LINEAR, .u1 = 10, .v1 = 10}, {.kind = ES_FAN_NONE}};
    for (size_t i = 0; i < 3; i++) {
        assert_false(es_fan_contains(&fans[i], NAN, 5));
        assert_false(es_fan_contains(&fans[i], 5, INFINITY));
    }
}

static void a_fan_of_nan_contains_nothing(void **state) {
    (void)state;
    es_fan fan = sample_fan();
    fan.radius_stop = NAN;
    assert_false(es_fan_contains(&fan, 100, 50));
}

static void a_trace_keeps_its_lines_and_zeroes_new_ones(void **state) {
    (void)state;
    es_trace trace = {0};
    es_error err = {0};
    assert_true(es_trace_resize(&trace, 2, &err));
    trace.lines[1].depth_mm = 7;
    assert_true(es_trace_resize(&trace, 5, &err));
    assert_true(trace.lines[1].depth_mm == 7);
    assert_true(trace.lines[4].depth_mm == 0 && !trace.lines[4].found);
    trace.lines[4].found = true;
    es_scan_line *before = trace.lines;
    assert_true(es_trace_resize(&trace, 3, &err) && es_trace_resize(&trace, 5, &err));
    assert_ptr_equal(before, trace.lines); /* no allocation below the capacity */
    assert_false(trace.lines[4].found);
    es_trace_clear(&trace);
    assert_true(trace.lines == NULL && trace.count == 0 && trace.capacity == 0);
}

static void a_trace_without_memory_keeps_what_it_had(void **state) {
    (void)state;
    es_trace trace = {0};
    es_error err = {0};
    assert_true(es_trace_resize(&trace, 2, &err));
    es_alloc_fail_after(0);
    assert_false(es_trace_resize(&trace, 1000, &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
    assert_int_equal(trace.count, 2);
    err = (es_error){0};
    assert_false(es_trace_resize(&trace, SIZE_MAX / 2, &err));
    assert_int_equal(err.code, ES_MEMORY);
    es_trace_clear(&trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_axis_below_the_apex_has_angle_zero),
        cmocka_unit_test(angles_grow_towards_u_and_pixels_are_made_square),
        cmocka_unit_test(a_curved_fan_ends_at_its_radii_and_angles),
        cmocka_unit_test(a_linear_fan_has_an_inclusive_first_and_an_exclusive_last_edge),
        cmocka_unit_test(an_unknown_fan_contains_every_finite_point),
        cmocka_unit_test(no_fan_contains_a_point_that_is_not_a_number),
        cmocka_unit_test(a_fan_of_nan_contains_nothing),
        cmocka_unit_test(a_trace_keeps_its_lines_and_zeroes_new_ones),
        cmocka_unit_test(a_trace_without_memory_keeps_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
