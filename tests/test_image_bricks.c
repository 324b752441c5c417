/* Sparse bricks: found again after growth, never moved, in a fixed order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/image.h"

static const double origin[3] = {1, 2, 3}, spacing[3] = {0.5, 1, 2};

static es_bricks *new_bricks(void) {
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    assert_non_null(bricks);
    return bricks;
}

static void a_brick_is_found_again_and_never_moves(void **state) {
    (void)state;
    es_bricks *bricks = new_bricks();
    es_brick *first = es_bricks_add(bricks, -1, 0, 7, NULL);
    for (int32_t i = 0; i < 3000; i++)
        assert_non_null(es_bricks_add(bricks, i % 17 - 8, i / 17, -i, NULL));
    assert_int_equal(es_bricks_count(bricks), 3001);
    assert_ptr_equal(es_bricks_find(bricks, -1, 0, 7), first);
    assert_ptr_equal(es_bricks_add(bricks, -1, 0, 7, NULL), first);
    assert_ptr_equal(es_bricks_get(bricks, 0), first);
    assert_null(es_bricks_find(bricks, 100, 0, 0));
    assert_null(es_bricks_get(bricks, 3001));
    for (int i = 0; i < ES_BRICK_VOXELS; i++) assert_true(first->weight[i] == 0);
    es_bricks_free(bricks);
}

static void the_farthest_brick_coordinates_are_bricks_like_any(void **state) {
    (void)state;
    es_bricks *bricks = new_bricks();
    es_brick *low = es_bricks_add(bricks, INT32_MIN, INT32_MIN, INT32_MIN, NULL);
    es_brick *high = es_bricks_add(bricks, INT32_MAX, INT32_MAX, INT32_MAX, NULL);
    assert_true(low != high);
    low->weight[0] = 1;
    high->weight[ES_BRICK_VOXELS - 1] = 1;
    int64_t from[3], to[3];
    assert_true(es_bricks_extent(bricks, from, to));
    for (int a = 0; a < 3; a++) {
        assert_true(from[a] == (int64_t)INT32_MIN * ES_BRICK);
        assert_true(to[a] == (int64_t)INT32_MAX * ES_BRICK + ES_BRICK - 1);
    }
    es_bricks_free(bricks);
}

static void sorting_orders_by_z_then_y_then_x_and_keeps_the_look_up(void **state) {
    (void)state;
    static const int32_t at[5][3] = {{3, -1, 2}, {-3, 5, -2}, {1, -1, 2}, {9, -7, 2}, {0, 0, -2}};
    static const int order[5] = {4, 1, 3, 2, 0};
    es_bricks *bricks = new_bricks();
    for (int i = 0; i < 5; i++)
        es_bricks_add(bricks, at[i][0], at[i][1], at[i][2], NULL)->value[0] = (float)i;
    es_bricks_sort(bricks);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal((int)es_bricks_get(bricks, i)->value[0], order[i]);
    for (int i = 0; i < 5; i++)
        assert_int_equal((int)es_bricks_find(bricks, at[i][0], at[i][1], at[i][2])->value[0], i);
    es_bricks_free(bricks);
}

static void the_extent_is_of_known_voxels_only(void **state) {
    (void)state;
    es_bricks *bricks = new_bricks();
    int64_t low[3], high[3];
    assert_false(es_bricks_extent(bricks, low, high));
    es_bricks_add(bricks, 40, 40, 40, NULL); /* all unknown */
    assert_false(es_bricks_extent(bricks, low, high));
    es_bricks_add(bricks, -1, 0, 2, NULL)->weight[15 + 16 * (3 + 16 * 4)] = 2;
    assert_true(es_bricks_extent(bricks, low, high));
    assert_true(low[0] == -1 && low[1] == 3 && low[2] == 36);
    assert_true(high[0] == -1 && high[1] == 3 && high[2] == 36);
    es_bricks_free(bricks);
}

static void a_failed_allocation_leaves_the_bricks_as_they_were(void **state) {
    (void)state;
    for (long n = 0; n < 3; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_bricks *none = es_bricks_new(origin, spacing, &err);
        es_alloc_fail_after(-1);
        assert_null(none);
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_bricks *bricks = new_bricks();
    int failures = 0;
    for (int32_t i = 0; i < 200; i++) { /* past where tables and blocks grow */
        es_brick *brick = NULL;
        for (long n = 0; !brick; n++) {
            es_error err = {0};
            es_alloc_fail_after(n);
            brick = es_bricks_add(bricks, i, 0, 0, &err);
            es_alloc_fail_after(-1);
            if (brick) break;
            failures++;
            assert_int_equal(err.code, ES_MEMORY);
            assert_int_equal(es_bricks_count(bricks), i);
            if (i > 0) assert_int_equal(es_bricks_find(bricks, i - 1, 0, 0)->at[0], i - 1);
        }
        assert_int_equal(brick->at[0], i);
        for (int k = 0; k < ES_BRICK_VOXELS; k++)
            assert_true(brick->value[k] == 0 && brick->weight[k] == 0);
        brick->weight[ES_BRICK_VOXELS - 1] = 1; /* of nobody else's brick */
    }
    assert_true(failures > 3);
    for (int32_t i = 0; i < 200; i++) assert_int_equal(es_bricks_find(bricks, i, 0, 0)->at[0], i);
    es_bricks_free(bricks);
}

static void a_lattice_that_is_no_lattice_is_refused(void **state) {
    (void)state;
    const double bad[4] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        double step[3] = {1, bad[i], 1};
        es_error err = {0};
        assert_null(es_bricks_new(origin, step, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    double nowhere[3] = {0, 0, NAN};
    assert_null(es_bricks_new(nowhere, spacing, NULL));
}

/* ---- from a dense grid -------------------------------------------------- */

static es_grid small_grid(void) {
    es_grid grid = {.info = {.size = {20, 3, 2},
                             .origin_mm = {1, 2, 3},
                             .spacing_mm = {0.5, 1, 2},
                             .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .type = ES_I16,
                             .channels = 1}};
    assert_true(es_grid_alloc(&grid, NULL));
    for (size_t i = 0; i < 120; i++) ((int16_t *)grid.data)[i] = (int16_t)(i - 50);
    return grid;
}

/* The value at a point in mm, through the bricks. */
static float value_at(const es_bricks *bricks, double x, double y, double z, float *weight) {
    const double *from = es_bricks_origin(bricks), *step = es_bricks_spacing(bricks);
    long at[3] = {lround((x - from[0]) / step[0]), lround((y - from[1]) / step[1]),
                  lround((z - from[2]) / step[2])};
    es_brick *brick =
        es_bricks_find(bricks, (int32_t)(at[0] >> 4), (int32_t)(at[1] >> 4), (int32_t)(at[2] >> 4));
    *weight = 0;
    if (!brick) return 0;
    size_t i = (size_t)((at[0] & 15) + 16 * ((at[1] & 15) + 16 * (at[2] & 15)));
    *weight = brick->weight[i];
    return brick->value[i];
}

static void a_dense_grid_keeps_its_values_where_they_were(void **state) {
    (void)state;
    /* As it stands, flipped in x and y (RAS to LPS), and with axes exchanged. */
    static const double directions[3][9] = {
        {1, 0, 0, 0, 1, 0, 0, 0, 1}, {-1, 0, 0, 0, -1, 0, 0, 0, 1}, {0, 0, 1, -1, 0, 0, 0, 1, 0}};
    for (int d = 0; d < 3; d++) {
        es_grid grid = small_grid();
        memcpy(grid.info.direction, directions[d], sizeof directions[d]);
        es_bricks *bricks = es_bricks_from_grid(&grid, NULL, NULL);
        assert_non_null(bricks);
        es_mat4 to_mm = es_grid_to_mm(&grid.info);
        for (size_t i = 0; i < 120; i++) {
            es_vec3 p = es_mat4_point(
                to_mm, es_vec3_make((double)(i % 20), (double)(i / 20 % 3), (double)(i / 60)));
            float weight;
            assert_true(value_at(bricks, p.x, p.y, p.z, &weight) == (float)i - 50);
            assert_true(weight == 1);
        }
        int64_t low[3], high[3];
        assert_true(es_bricks_extent(bricks, low, high));
        assert_true((high[0] + 1) * (high[1] + 1) * (high[2] + 1) == 120 && low[0] == 0);
        es_bricks_free(bricks);
        es_grid_clear(&grid);
    }
}

static void masked_and_nan_voxels_are_unknown(void **state) {
    (void)state;
    es_grid grid = {.info = {.size = {3, 1, 1},
                             .spacing_mm = {1, 1, 1},
                             .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .type = ES_F32,
                             .channels = 1}};
    assert_true(es_grid_alloc(&grid, NULL));
    ((float *)grid.data)[1] = NAN;
    const uint8_t mask[3] = {0, 1, 1};
    es_bricks *bricks = es_bricks_from_grid(&grid, mask, NULL);
    float weight;
    value_at(bricks, 0, 0, 0, &weight);
    assert_true(weight == 0);
    value_at(bricks, 1, 0, 0, &weight);
    assert_true(weight == 0);
    value_at(bricks, 2, 0, 0, &weight);
    assert_true(weight == 1);
    es_bricks_free(bricks);
    es_grid_clear(&grid);
}

static void an_oblique_grid_is_refused(void **state) {
    (void)state;
    es_grid grid = small_grid();
    grid.info.direction[0] = grid.info.direction[4] = 0.8;
    grid.info.direction[1] = -0.6;
    grid.info.direction[3] = 0.6;
    es_error err = {0};
    assert_null(es_bricks_from_grid(&grid, NULL, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    es_grid_clear(&grid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_brick_is_found_again_and_never_moves),
        cmocka_unit_test(the_farthest_brick_coordinates_are_bricks_like_any),
        cmocka_unit_test(sorting_orders_by_z_then_y_then_x_and_keeps_the_look_up),
        cmocka_unit_test(the_extent_is_of_known_voxels_only),
        cmocka_unit_test(a_failed_allocation_leaves_the_bricks_as_they_were),
        cmocka_unit_test(a_lattice_that_is_no_lattice_is_refused),
        cmocka_unit_test(a_dense_grid_keeps_its_values_where_they_were),
        cmocka_unit_test(masked_and_nan_voxels_are_unknown),
        cmocka_unit_test(an_oblique_grid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
