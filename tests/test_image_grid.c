/* Dense grids: memory, geometry and slabs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/image.h"

static es_grid_info info_of(uint64_t x, uint64_t y, uint64_t z) {
    es_grid_info info = {.size = {x, y, z},
                         .origin_mm = {10, 20, 30},
                         .spacing_mm = {0.5, 1, 2},
                         .direction = {0, -1, 0, 1, 0, 0, 0, 0, 1},
                         .type = ES_U16,
                         .channels = 3};
    return info;
}

static void a_new_grid_is_zero_and_its_slabs_are_its_slices(void **state) {
    (void)state;
    es_grid grid = {.info = info_of(4, 3, 5)};
    assert_true(es_grid_alloc(&grid, NULL));
    uint16_t *data = grid.data;
    for (int i = 0; i < 180; i++) assert_int_equal(data[i], 0);
    for (int i = 0; i < 180; i++) data[i] = (uint16_t)i;
    uint16_t slab[72];
    assert_true(es_grid_slab(&grid, 2, 2, slab, NULL));
    assert_memory_equal(slab, data + 72, sizeof slab);
    assert_true(es_grid_slab(&grid, 5, 0, slab, NULL));
    es_grid_clear(&grid);
    assert_null(grid.data);
}

static void slices_outside_the_grid_are_refused(void **state) {
    (void)state;
    es_grid grid = {.info = info_of(4, 3, 5)};
    uint16_t slab[36];
    es_error err = {0};
    assert_false(es_grid_slab(&grid, 0, 1, slab, &err)); /* no data yet */
    assert_true(es_grid_alloc(&grid, NULL));
    assert_false(es_grid_slab(&grid, 5, 1, slab, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_grid_slab(&grid, 1, UINT64_MAX, slab, &err));
    es_grid_clear(&grid);
}

static void the_matrix_takes_voxel_indices_to_mm(void **state) {
    (void)state;
    es_grid_info info = info_of(4, 3, 5);
    /* x runs along +y by 0.5 mm, y along -x by 1 mm, z along +z by 2 mm */
    es_vec3 p = es_mat4_point(es_grid_to_mm(&info), es_vec3_make(2, 1, 3));
    assert_true(p.x == 9 && p.y == 21 && p.z == 36);
}

static void sizes_past_memory_are_refused_in_words(void **state) {
    (void)state;
    es_grid grids[2] = {{.info = info_of(UINT64_MAX, 2, 1)},
                        {.info = info_of(1u << 31, 1u << 31, 1u << 31)}};
    for (int i = 0; i < 2; i++) {
        es_error err = {0};
        assert_false(es_grid_alloc(&grids[i], &err));
        assert_int_equal(err.code, ES_MEMORY);
        assert_non_null(strstr(err.message, "voxels"));
    }
    es_grid grid = {.info = info_of(2, 2, 2)};
    grid.info.channels = 0;
    assert_false(es_grid_alloc(&grid, NULL));
}

static void a_failed_allocation_keeps_the_old_data(void **state) {
    (void)state;
    es_grid grid = {.info = info_of(4, 3, 5)};
    assert_true(es_grid_alloc(&grid, NULL));
    void *data = grid.data;
    es_alloc_fail_after(0);
    assert_false(es_grid_alloc(&grid, NULL));
    es_alloc_fail_after(-1);
    assert_ptr_equal(grid.data, data);
    es_grid_clear(&grid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_grid_is_zero_and_its_slabs_are_its_slices),
        cmocka_unit_test(slices_outside_the_grid_are_refused),
        cmocka_unit_test(the_matrix_takes_voxel_indices_to_mm),
        cmocka_unit_test(sizes_past_memory_are_refused_in_words),
        cmocka_unit_test(a_failed_allocation_keeps_the_old_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
