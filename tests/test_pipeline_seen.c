/* How a surface was seen, looked up in the voxels about it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/pipeline.h"

/* A square of 8 x 8 mm in z = 0 about the origin; its halves are two triangles. */
static es_mesh square(void) {
    static const float corners[12] = {-4, -4, 0, 4, -4, 0, 4, 4, 0, -4, 4, 0};
    static const uint32_t triangles[6] = {0, 1, 2, 0, 2, 3};
    es_mesh mesh = {.vertex_count = 4, .triangle_count = 2};
    mesh.vertices = es_alloc(12, sizeof(float), NULL);
    mesh.triangles = es_alloc(6, sizeof(uint32_t), NULL);
    memcpy(mesh.vertices, corners, sizeof corners);
    memcpy(mesh.triangles, triangles, sizeof triangles);
    return mesh;
}

/* Voxels of 0.5 mm: `frames` and `directions` at the voxel that holds the point. */
static void put(es_bricks *voxels, double x, double y, double z, float frames, float directions) {
    const double at[3] = {x, y, z};
    int32_t brick[3], in[3];
    for (int a = 0; a < 3; a++) {
        double voxel = floor(at[a] / 0.5);
        brick[a] = (int32_t)floor(voxel / ES_BRICK);
        in[a] = (int32_t)voxel - ES_BRICK * brick[a];
    }
    es_brick *b = es_bricks_add(voxels, brick[0], brick[1], brick[2], NULL);
    size_t i = (size_t)(in[0] + ES_BRICK * (in[1] + ES_BRICK * in[2]));
    b->weight[i] = frames;
    b->value[i] = directions;
}

static es_bricks *new_voxels(void) {
    const double origin[3] = {0, 0, 0}, spacing[3] = {0.5, 0.5, 0.5};
    return es_bricks_new(origin, spacing, NULL);
}

static void corners_take_the_most_of_the_voxels_about_them(void **state) {
    (void)state;
    es_mesh mesh = square();
    es_bricks *voxels = new_voxels();
    es_seen seen;
    put(voxels, -4, -4, 0, 7, 1);
    put(voxels, -4, -4, 0.5, 9, 2); /* the voxel above, which the corner also touches */
    put(voxels, 4, -4, 0, 3, 1);
    put(voxels, 4, 4, 0, 5000, 20);
    assert_true(es_seen_find(voxels, &mesh, &seen, NULL));
    const float frames[4] = {9, 3, 5000, 0}, directions[4] = {2, 1, 20, 0};
    for (int v = 0; v < 4; v++) {
        assert_true(seen.frames[v] == frames[v]);
        assert_true(seen.directions[v] == directions[v]);
    }
    /* Corners 0 and 2 belong to both halves, 1 and 3 to one: thirds of the area. */
    const double share[4] = {1 / 6.0, 1 / 6.0, 1 / 3.0, 1 / 3.0};
    for (int i = 0; i < ES_SEEN_SHARES; i++) assert_true(fabs(seen.share[i] - share[i]) < 1e-9);
    assert_true(seen.frames_p50 == 9);
    es_seen_clear(&seen);
    es_bricks_free(voxels);
    es_mesh_clear(&mesh);
}

static void without_voxels_nothing_is_known(void **state) {
    (void)state;
    es_mesh mesh = square(), none = {0};
    es_bricks *voxels = new_voxels();
    es_seen seen;
    assert_true(es_seen_find(NULL, &mesh, &seen, NULL));
    assert_null(seen.frames);
    assert_true(es_seen_find(voxels, &none, &seen, NULL));
    assert_null(seen.frames);
    mesh.vertices[0] = 3e38f; /* further than any voxel */
    assert_true(es_seen_find(voxels, &mesh, &seen, NULL));
    assert_true(seen.frames[0] == 0 && seen.directions[0] == 0);
    es_seen_clear(&seen);
    es_bricks_free(voxels);
    es_mesh_clear(&mesh);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = square();
    es_bricks *voxels = new_voxels();
    bool done = false;
    for (int k = 0; !done && k < 10; k++) {
        es_seen seen;
        es_error err = {0};
        es_alloc_fail_after(k);
        done = es_seen_find(voxels, &mesh, &seen, &err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        if (!done) assert_null(seen.frames);
        es_seen_clear(&seen);
    }
    assert_true(done);
    es_bricks_free(voxels);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners_take_the_most_of_the_voxels_about_them),
        cmocka_unit_test(without_voxels_nothing_is_known),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
