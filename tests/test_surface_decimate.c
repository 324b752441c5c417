/* Fewer triangles: how far off, still two-manifold, of the same volume. */
#include "surface_fields.h"

static double sphere(es_vec3 p) { return es_vec3_length(p) - 15; }

static double torus(es_vec3 p) {
    double ring = hypot(p.x, p.z) - 16;
    return hypot(ring, p.y) - 6;
}

static double half_sphere(es_vec3 p) { return p.y < 3 ? NAN : sphere(p); }

static es_mesh reduced(const es_mesh *mesh, es_decimate_options options,
                       es_decimate_report *report) {
    es_mesh copy;
    es_error err = {0};
    assert_true(es_mesh_copy(mesh, &copy, NULL));
    if (!es_mesh_decimate(&copy, &options, NULL, report, &err)) fail_msg("%s", err.message);
    return copy;
}

static void the_distance_is_kept_both_ways_and_the_volume_too(void **state) {
    (void)state;
    es_decimate_report r;
    es_mesh_distance to, from;
    es_mesh mesh = mesh_of_field(torus, 26, 0.6);
    es_mesh fewer = reduced(&mesh, (es_decimate_options){.max_distance_mm = 0.05}, &r);
    assert_two_manifold(&fewer, true);
    assert_int_equal(inspect(&fewer).euler, 0);
    /* Triangles of equal sides L have a sagitta of L^2 / 24 R': 0.05 mm on a tube of 6 mm needs
     * 2.7 mm; those of the mesh have 0.5. Ten times fewer leaves room for uneven ones. */
    assert_true(fewer.triangle_count < mesh.triangle_count / 5);
    /* Other samples than the ones it measured itself: a tenth over the bound may hide there. */
    assert_true(es_mesh_compare(&fewer, &mesh, 0.01, NULL, &to, NULL));
    assert_true(es_mesh_compare(&mesh, &fewer, 0.01, NULL, &from, NULL));
    assert_true(to.max_mm <= 0.055 && from.max_mm <= 0.055);
    double volume = inspect(&mesh).volume_mm3; /* asked: 0.05 % at 0.05 mm */
    assert_near(inspect(&fewer).volume_mm3, volume, 5e-4 * volume);
    es_mesh_clear(&mesh);
    es_mesh_clear(&fewer);
}

static void a_number_of_triangles_is_met(void **state) {
    (void)state;
    es_decimate_report r;
    es_mesh mesh = mesh_of_field(sphere, 18, 0.5);
    es_mesh fewer =
        reduced(&mesh, (es_decimate_options){.triangles = 1000, .max_distance_mm = INFINITY}, &r);
    assert_true(fewer.triangle_count <= 1000 && fewer.triangle_count >= 998);
    assert_int_equal(r.triangles_before, mesh.triangle_count);
    assert_two_manifold(&fewer, true);
    assert_int_equal(inspect(&fewer).euler, 2);
    /* 1000 even triangles on 2827 mm2 have sides of 2.6 mm: sagitta 2.6^2 / 6 / 15 = 0.07 mm at
     * their centres; three times that for uneven ones. */
    assert_true(r.to_original.max_mm < 0.2);
    es_mesh_clear(&mesh);
    es_mesh_clear(&fewer);
}

static void a_rim_stays_where_it_was(void **state) {
    (void)state;
    es_decimate_report r;
    es_mesh mesh = mesh_of_field(half_sphere, 18, 0.5);
    es_mesh fewer = reduced(&mesh, (es_decimate_options){.max_distance_mm = 0.1}, &r);
    es_mesh_check before = inspect(&mesh), after = inspect(&fewer);
    assert_two_manifold(&fewer, false);
    assert_int_equal(after.boundary_loops, before.boundary_loops);
    assert_int_equal(after.euler, before.euler);
    assert_near(after.area_mm2, before.area_mm2, 0.01 * before.area_mm2);
    assert_true(r.from_original.max_mm <= 0.1);
    es_mesh_clear(&mesh);
    es_mesh_clear(&fewer);
}

static void a_flat_sheet_keeps_its_outline(void **state) {
    (void)state;
    es_mesh mesh = {0}, fewer;
    es_decimate_report r;
    /* Its inside is free, its rim is not. */
    enum { N = 20 };
    mesh.vertex_count = (N + 1) * (N + 1);
    mesh.triangle_count = 2 * N * N;
    mesh.vertices = es_alloc(mesh.vertex_count, 3 * sizeof(float), NULL);
    mesh.triangles = es_alloc(mesh.triangle_count, 3 * sizeof(uint32_t), NULL);
    for (uint32_t v = 0; v < mesh.vertex_count; v++) {
        mesh.vertices[3 * v] = (float)(v % (N + 1));
        mesh.vertices[3 * v + 1] = (float)(v / (N + 1));
        mesh.vertices[3 * v + 2] = 0;
    }
    for (uint32_t q = 0; q < N * N; q++) {
        uint32_t a = q / N * (N + 1) + q % N;
        const uint32_t two[6] = {a, a + 1, a + N + 2, a, a + N + 2, a + N + 1};
        memcpy(mesh.triangles + 6 * q, two, sizeof two);
    }
    fewer = reduced(&mesh, (es_decimate_options){.max_distance_mm = 0.01}, &r);
    assert_near(inspect(&fewer).area_mm2, N * N, 0.01);
    assert_true(fewer.triangle_count < 40);
    es_mesh_clear(&mesh);
    es_mesh_clear(&fewer);
}

static void the_same_mesh_gives_the_same_bytes(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(torus, 26, 1.5);
    es_decimate_options options = {.triangles = 500, .max_distance_mm = INFINITY};
    es_decimate_report r;
    es_mesh a = reduced(&mesh, options, &r), b = reduced(&mesh, options, &r);
    assert_int_equal(a.triangle_count, b.triangle_count);
    assert_memory_equal(a.vertices, b.vertices, 12 * a.vertex_count);
    assert_memory_equal(a.triangles, b.triangles, 12 * a.triangle_count);
    es_mesh_clear(&mesh);
    es_mesh_clear(&a);
    es_mesh_clear(&b);
}

static void bad_options_and_meshes_are_refused_and_the_mesh_kept(void **state) {
    (void)state;
    static const float corner[12] = {0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 5};
    static const uint32_t twice[6] = {0, 1, 2, 0, 1, 3};
    es_mesh mesh = mesh_by_hand(corner, 4, twice, 2);
    es_error err = {0};
    es_decimate_options bad = {.max_distance_mm = 0}, all = {.max_distance_mm = INFINITY},
                        good = {.max_distance_mm = 1};
    assert_false(es_mesh_decimate(&mesh, &bad, NULL, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_mesh_decimate(&mesh, &all, NULL, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_mesh_decimate(&mesh, &good, NULL, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    mesh.vertices[0] = INFINITY;
    assert_false(es_mesh_decimate(&mesh, &good, NULL, NULL, &err));
    assert_int_equal(err.code, ES_FORMAT);
    assert_int_equal(mesh.triangle_count, 2);
    es_mesh_clear(&mesh);
}

static void each_failed_allocation_leaves_the_mesh(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(sphere, 18, 4);
    es_decimate_options options = {.triangles = 50, .max_distance_mm = INFINITY};
    size_t before = mesh.triangle_count;
    int failures = 0;
    for (;; failures++) {
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_decimate(&mesh, &options, NULL, NULL, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_int_equal(mesh.triangle_count, before);
    }
    assert_true(failures >= 15);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_distance_is_kept_both_ways_and_the_volume_too),
        cmocka_unit_test(a_number_of_triangles_is_met),
        cmocka_unit_test(a_rim_stays_where_it_was),
        cmocka_unit_test(a_flat_sheet_keeps_its_outline),
        cmocka_unit_test(the_same_mesh_gives_the_same_bytes),
        cmocka_unit_test(bad_options_and_meshes_are_refused_and_the_mesh_kept),
        cmocka_unit_test(each_failed_allocation_leaves_the_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
