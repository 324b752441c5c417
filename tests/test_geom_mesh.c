/* The mesh as a value: copies, boxes and normals of shapes that are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/geom.h"

enum { RINGS = 60, SPOKES = 120, SPHERE_VERTICES = (RINGS - 1) * SPOKES + 2 };

static uint32_t on_ring(int ring, int spoke) {
    return (uint32_t)((ring - 1) * SPOKES + spoke % SPOKES);
}

static void add_triangle(es_mesh *mesh, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t *corner = &mesh->triangles[3 * mesh->triangle_count++];
    corner[0] = a;
    corner[1] = b;
    corner[2] = c;
}

/* A sphere of 20 mm about (5, -3, 40), by latitude and longitude, seen
 * counter-clockwise from outside. The poles are the last two vertices. */
static es_mesh sphere(void) {
    const uint32_t north = SPHERE_VERTICES - 2, south = SPHERE_VERTICES - 1;
    es_mesh mesh = {.vertex_count = SPHERE_VERTICES};
    mesh.vertices = es_alloc(3 * SPHERE_VERTICES, sizeof(float), NULL);
    mesh.triangles = es_alloc(6 * RINGS * SPOKES, sizeof(uint32_t), NULL);
    mesh.confidence = es_alloc_zero(SPHERE_VERTICES, sizeof(float), NULL);
    for (int r = 0; r <= RINGS; r++)
        for (int s = 0; s < SPOKES; s++) {
            double polar = M_PI * r / RINGS, turn = 2 * M_PI * s / SPOKES;
            uint32_t v = r == 0 ? north : r == RINGS ? south : on_ring(r, s);
            mesh.vertices[3 * v] = (float)(5 + 20 * sin(polar) * cos(turn));
            mesh.vertices[3 * v + 1] = (float)(-3 + 20 * sin(polar) * sin(turn));
            mesh.vertices[3 * v + 2] = (float)(40 + 20 * cos(polar));
        }
    for (int s = 0; s < SPOKES; s++) {
        add_triangle(&mesh, north, on_ring(1, s), on_ring(1, s + 1));
        add_triangle(&mesh, south, on_ring(RINGS - 1, s + 1), on_ring(RINGS - 1, s));
        for (int r = 1; r < RINGS - 1; r++) {
            add_triangle(&mesh, on_ring(r, s), on_ring(r + 1, s), on_ring(r + 1, s + 1));
            add_triangle(&mesh, on_ring(r, s), on_ring(r + 1, s + 1), on_ring(r, s + 1));
        }
    }
    return mesh;
}

/* The normal of a smooth surface from flat triangles is off by a share of the
 * angle between neighbours (3 deg here), and less where they lie evenly. */
static void normals_of_a_sphere_point_away_from_its_centre(void **state) {
    (void)state;
    es_mesh mesh = sphere();
    float *normals = es_alloc(3 * mesh.vertex_count, sizeof(float), NULL);
    es_mesh_normals(&mesh, normals);
    for (size_t i = 0; i < mesh.vertex_count; i++) {
        const float *v = &mesh.vertices[3 * i], *n = &normals[3 * i];
        es_vec3 normal = es_vec3_make(n[0], n[1], n[2]);
        es_vec3 truth = es_vec3_unit(es_vec3_make(v[0] - 5.0, v[1] + 3.0, v[2] - 40.0));
        assert_float_equal(es_vec3_length(normal), 1, 1e-6);
        assert_true(es_vec3_dot(normal, truth) > cos(1.5 * M_PI / 180));
    }
    es_free(normals);
    es_mesh_clear(&mesh);
}

/* Two triangles at a right angle share an edge; one has three times the area,
 * so that the normal there leans 3 to 1. */
static void normals_are_weighted_by_area(void **state) {
    (void)state;
    float vertices[] = {0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1};
    uint32_t triangles[] = {0, 1, 2, 0, 3, 1};
    es_mesh mesh = {
        .vertices = vertices, .vertex_count = 4, .triangles = triangles, .triangle_count = 2};
    float n[12];
    es_mesh_normals(&mesh, n);
    double length = sqrt(10.0);
    assert_float_equal(n[0], 0, 1e-6);
    assert_float_equal(n[1], 1 / length, 1e-6);
    assert_float_equal(n[2], 3 / length, 1e-6);
    assert_float_equal(n[8], 1, 1e-6);  /* vertex 2 belongs to the first alone */
    assert_float_equal(n[10], 1, 1e-6); /* vertex 3 to the second */
}

static void a_vertex_without_triangles_has_no_normal(void **state) {
    (void)state;
    float vertices[] = {0, 0, 0, 1, 0, 0, 2, 0, 0, 9, 9, 9};
    uint32_t triangles[] = {0, 1, 2}; /* flat: no area */
    es_mesh mesh = {
        .vertices = vertices, .vertex_count = 4, .triangles = triangles, .triangle_count = 1};
    float n[12];
    es_mesh_normals(&mesh, n);
    for (int i = 0; i < 12; i++) assert_true(n[i] == 0);
}

static void the_box_holds_all_vertices_and_touches_them(void **state) {
    (void)state;
    es_mesh mesh = sphere();
    es_box3 box = es_mesh_box(&mesh);
    /* the lattice has vertices at both poles and at 0, 90, 180 and 270 deg of
     * the equator; floats near 60 are 4e-6 apart */
    assert_float_equal(box.min.x, -15, 1e-5);
    assert_float_equal(box.max.x, 25, 1e-5);
    assert_float_equal(box.min.y, -23, 1e-5);
    assert_float_equal(box.max.y, 17, 1e-5);
    assert_float_equal(box.min.z, 20, 1e-5);
    assert_float_equal(box.max.z, 60, 1e-5);
    es_mesh_clear(&mesh);
    assert_true(es_box3_is_empty(es_mesh_box(&mesh)));
}

static void a_copy_holds_the_same_and_lives_on(void **state) {
    (void)state;
    es_mesh mesh = sphere(), again = sphere(), copy;
    for (size_t i = 0; i < mesh.vertex_count; i++)
        again.confidence[i] = mesh.confidence[i] = (float)i;
    assert_true(es_mesh_copy(&mesh, &copy, NULL));
    es_mesh_clear(&mesh);
    assert_int_equal(copy.vertex_count, again.vertex_count);
    assert_int_equal(copy.triangle_count, again.triangle_count);
    assert_memory_equal(copy.vertices, again.vertices, 3 * sizeof(float) * copy.vertex_count);
    assert_memory_equal(copy.triangles, again.triangles,
                        3 * sizeof(uint32_t) * copy.triangle_count);
    assert_memory_equal(copy.confidence, again.confidence, sizeof(float) * copy.vertex_count);
    es_mesh_clear(&again);
    es_mesh_clear(&copy);
}

static void a_mesh_without_anything_is_copied_and_cleared(void **state) {
    (void)state;
    es_mesh mesh = {0}, copy;
    assert_true(es_mesh_copy(&mesh, &copy, NULL));
    assert_null(copy.vertices);
    assert_null(copy.confidence);
    es_mesh_normals(&copy, NULL);
    es_mesh_clear(&copy);
    es_mesh_clear(&copy);
}

static void a_failed_allocation_leaves_the_target_alone(void **state) {
    (void)state;
    es_mesh mesh = sphere();
    for (long n = 0; n < 3; n++) {
        es_mesh copy = {.vertex_count = 77};
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_false(es_mesh_copy(&mesh, &copy, &err));
        es_alloc_fail_after(-1);
        assert_int_equal(err.code, ES_MEMORY);
        assert_int_equal(copy.vertex_count, 77);
    }
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normals_of_a_sphere_point_away_from_its_centre),
        cmocka_unit_test(normals_are_weighted_by_area),
        cmocka_unit_test(a_vertex_without_triangles_has_no_normal),
        cmocka_unit_test(the_box_holds_all_vertices_and_touches_them),
        cmocka_unit_test(a_copy_holds_the_same_and_lives_on),
        cmocka_unit_test(a_mesh_without_anything_is_copied_and_cleared),
        cmocka_unit_test(a_failed_allocation_leaves_the_target_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
