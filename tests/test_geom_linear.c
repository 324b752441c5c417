/* Matrices, quaternions, boxes and point sets against closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/geom.h"

static es_vec3 random_vec3(es_random *r) {
    return es_vec3_make(es_random_normal(r), es_random_normal(r), es_random_normal(r));
}

static void assert_same(es_mat4 a, es_mat4 b, double tolerance) {
    for (int i = 0; i < 16; i++) assert_float_equal(a.m[i], b.m[i], tolerance);
}

static void a_rotation_turns_as_rodrigues_says(void **state) {
    (void)state;
    es_random r = es_random_new(1, 0);
    for (int i = 0; i < 100; i++) {
        es_vec3 axis = es_vec3_unit(random_vec3(&r)), p = random_vec3(&r);
        double angle = 6 * es_random_uniform(&r) - 3, c = cos(angle), s = sin(angle);
        es_vec3 expected =
            es_vec3_add(es_vec3_add(es_vec3_scale(p, c), es_vec3_scale(es_vec3_cross(axis, p), s)),
                        es_vec3_scale(axis, es_vec3_dot(axis, p) * (1 - c)));
        es_vec3 turned = es_mat4_point(es_mat4_rotation(axis, angle), p);
        /* a dozen rounded operations on numbers near 1 */
        assert_true(es_vec3_length(es_vec3_sub(turned, expected)) < 1e-14 * 10);
    }
}

static void an_inverse_undoes_its_matrix(void **state) {
    (void)state;
    es_random r = es_random_new(2, 0);
    for (int i = 0; i < 100; i++) {
        es_mat4 m = es_mat4_multiply(
            es_mat4_translation(100, -20, 3),
            es_mat4_multiply(es_mat4_rotation(random_vec3(&r), 2), es_mat4_scaling(0.1, 0.2, 3)));
        es_mat4 inverse;
        assert_true(es_mat4_invert(m, &inverse, NULL));
        assert_same(es_mat4_multiply(m, inverse), es_mat4_identity(), 1e-12);
    }
}

static void bad_matrices_are_refused_with_the_reason(void **state) {
    (void)state;
    es_error err = {0};
    es_mat4 inverse, m = es_mat4_scaling(1, 1, 0);
    assert_false(es_mat4_invert(m, &inverse, &err));
    assert_non_null(strstr(err.message, "singular"));
    m = es_mat4_identity();
    m.m[5] = NAN;
    assert_false(es_mat4_invert(m, &inverse, &err));
    assert_non_null(strstr(err.message, "NaN"));
    m = es_mat4_identity();
    m.m[12] = 5; /* the translation of a transposed matrix */
    assert_false(es_mat4_invert(m, &inverse, &err));
    assert_non_null(strstr(err.message, "transposed"));
    /* A tiny but well-formed scale is no reason to refuse. */
    assert_true(es_mat4_invert(es_mat4_scaling(1e-6, 1e-6, 1e-6), &inverse, &err));
}

static void quaternions_survive_the_way_through_matrices(void **state) {
    (void)state;
    es_random r = es_random_new(3, 0);
    for (int i = 0; i < 200; i++) {
        double angle = i % 4 == 0 ? 3.14159265358979 : 6.28 * es_random_uniform(&r);
        es_mat4 m = es_mat4_rotation(random_vec3(&r), angle);
        assert_same(es_quat_to_mat4(es_quat_from_mat4(m), es_vec3_make(0, 0, 0)), m, 1e-7);
    }
}

static void slerp_turns_evenly_along_the_shorter_way(void **state) {
    (void)state;
    es_vec3 axis = {1, 2, 3};
    es_mat4 a = es_mat4_rotation(axis, 0.2), b = es_mat4_rotation(axis, 1.4);
    for (int i = 0; i <= 10; i++) {
        es_mat4 expected = es_mat4_rotation(axis, 0.2 + 1.2 * i / 10.0);
        assert_same(es_pose_interpolate(a, b, i / 10.0), expected, 1e-12);
    }
    es_quat qa = es_quat_from_mat4(a), qb = es_quat_from_mat4(b);
    es_quat opposite = {-qb.w, -qb.x, -qb.y, -qb.z};
    es_quat q = es_quat_slerp(qa, qb, 0.3), p = es_quat_slerp(qa, opposite, 0.3);
    assert_float_equal(q.w, p.w, 1e-12);
    assert_float_equal(q.z, p.z, 1e-12);
}

static void rigid_defect_is_zero_for_rotations_only(void **state) {
    (void)state;
    assert_true(es_mat4_rigid_defect(es_mat4_rotation(es_vec3_make(1, 1, 0), 1)) < 1e-15 * 10);
    assert_float_equal(es_mat4_rigid_defect(es_mat4_scaling(1.1, 1, 1)), 0.21, 1e-12);
    assert_float_equal(es_mat4_det3(es_mat4_scaling(2, 3, -4)), -24, 0);
}

static void a_box_grows_to_its_points(void **state) {
    (void)state;
    es_box3 box = es_box3_empty();
    assert_true(es_box3_is_empty(box));
    es_box3_add(&box, es_vec3_make(1, 2, 3));
    es_box3_add(&box, es_vec3_make(-1, 5, 3));
    assert_false(es_box3_is_empty(box));
    assert_float_equal(box.min.x, -1, 0);
    assert_float_equal(box.max.y, 5, 0);
}

static void a_point_set_agrees_with_brute_force(void **state) {
    (void)state;
    enum { COUNT = 500 };
    static float points[3 * COUNT];
    es_random r = es_random_new(4, 0);
    for (int i = 0; i < 3 * COUNT; i++) points[i] = (float)(20 * es_random_uniform(&r) - 10);
    points[30] = NAN; /* left out */
    es_point_set *set = es_point_set_new(points, COUNT, 1.5, NULL);
    assert_non_null(set);
    int near_count = 0;
    for (int k = 0; k < 1000; k++) {
        float p[3];
        for (int i = 0; i < 3; i++) p[i] = (float)(24 * es_random_uniform(&r) - 12);
        bool near_one = false;
        for (int i = 0; i < COUNT; i++) {
            double dx = points[3 * i] - p[0], dy = points[3 * i + 1] - p[1],
                   dz = points[3 * i + 2] - p[2];
            near_one |= dx * dx + dy * dy + dz * dz <= 1.5 * 1.5;
        }
        near_count += near_one;
        assert_int_equal(es_point_set_near(set, p), near_one);
    }
    assert_in_range(near_count, 100, 900); /* both answers occur */
    es_point_set_free(set);
    es_error err = {0};
    assert_null(es_point_set_new(points, COUNT, 0, &err));
    assert_int_equal(err.code, ES_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_turns_as_rodrigues_says),
        cmocka_unit_test(an_inverse_undoes_its_matrix),
        cmocka_unit_test(bad_matrices_are_refused_with_the_reason),
        cmocka_unit_test(quaternions_survive_the_way_through_matrices),
        cmocka_unit_test(slerp_turns_evenly_along_the_shorter_way),
        cmocka_unit_test(rigid_defect_is_zero_for_rotations_only),
        cmocka_unit_test(a_box_grows_to_its_points),
        cmocka_unit_test(a_point_set_agrees_with_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
