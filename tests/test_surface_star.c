/* Six B-spline patches about star-shaped bodies, against the bodies themselves. */
#include "surface_fields.h"

/* 34 x 24 x 18 mm: no wider seen than 60 degrees from its normals. */
static double egg(es_vec3 p) {
    double r = sqrt(p.x * p.x / 289 + p.y * p.y / 144 + p.z * p.z / 81);
    return 9 * (r - 1);
}

static double moved_egg(es_vec3 p) { return egg(es_vec3_sub(p, es_vec3_make(2.5, -3, 4))); }

static double torus(es_vec3 p) { return hypot(hypot(p.x, p.z) - 12, p.y) - 5; }

/* A cup: its inside cannot be seen from within its wall. */
static double cup(es_vec3 p) {
    double ball = es_vec3_length(p) - 16, hole = es_vec3_length(es_vec3_make(p.x, p.y, p.z - 9));
    return fmax(ball, 13 - hole);
}

static double two_balls(es_vec3 p) {
    double a = es_vec3_length(es_vec3_sub(p, es_vec3_make(8, 0, 0)));
    double b = es_vec3_length(es_vec3_sub(p, es_vec3_make(-8, 0, 0)));
    return fmin(a, b) - 6;
}

static es_spline_cube fit(const es_mesh *mesh, double tolerance, es_pool *pool,
                          es_cube_report *report) {
    es_spline_cube cube;
    es_error err = {0};
    if (!es_surface_cube(mesh, tolerance, pool, &cube, report, &err)) fail_msg("%s", err.message);
    return cube;
}

static void an_egg_becomes_six_patches_of_its_volume(void **state) {
    (void)state;
    es_cube_report r;
    es_patches patches;
    es_mesh mesh = mesh_of_field(moved_egg, 24, 0.5);
    es_spline_cube cube = fit(&mesh, 0.05, NULL, &r);
    assert_true(r.reached);
    assert_int_equal(cube.size, r.size);
    assert_true(es_spline_cube_patches(&cube, &patches, NULL));
    assert_int_equal(patches.count, 6 * (cube.size - 3) * (cube.size - 3));
    double worst = 0, volume = 4 / 3.0 * 3.14159265358979 * 17 * 12 * 9;
    for (size_t p = 0; p < patches.count; p++)
        for (int i = 0; i < 16; i++)
            worst =
                fmax(worst, fabs(moved_egg(es_patch_point(&patches, p, i / 4 / 3.0, i % 4 / 3.0))));
    /* The field is a lower bound of twice the distance at most: 95 % within 0.05 mm. */
    assert_true(worst < 0.2);
    /* Facets of 0.5 mm take at most (s/R)^2 = 3e-3 of the volume away. */
    assert_near(es_patches_measured(&patches).volume_mm3, volume, 3e-3 * volume);
    es_patches_clear(&patches);
    es_spline_cube_clear(&cube);
    es_mesh_clear(&mesh);
}

static void a_finer_tolerance_takes_more_controls(void **state) {
    (void)state;
    es_cube_report coarse, fine;
    es_mesh mesh = mesh_of_field(egg, 20, 0.5);
    es_spline_cube a = fit(&mesh, 1, NULL, &coarse), b = fit(&mesh, 0.02, NULL, &fine);
    assert_true(coarse.reached && fine.reached);
    assert_true(a.size < b.size);
    assert_true(fine.to_mesh.p95_mm <= 0.02 && fine.from_mesh.p95_mm <= 0.02);
    es_spline_cube_clear(&a);
    es_spline_cube_clear(&b);
    es_mesh_clear(&mesh);
}

/* Twelve triangles: each reaches past the faces of the cube that looks at it. */
static void a_box_of_twelve_triangles_is_met_by_every_ray(void **state) {
    (void)state;
    static const float VERTICES[24] = {0, 0, 0,  20, 0, 0,  0, 24, 0,  20, 24, 0,
                                       0, 0, 22, 20, 0, 22, 0, 24, 22, 20, 24, 22};
    static const uint32_t TRIANGLES[36] = {0, 2, 1, 1, 2, 3, 4, 5, 6, 5, 7, 6, 0, 1, 4, 1, 5, 4,
                                           2, 6, 3, 3, 6, 7, 0, 4, 2, 2, 4, 6, 1, 3, 5, 3, 7, 5};
    es_cube_report r;
    es_patches patches;
    es_mesh mesh = mesh_by_hand(VERTICES, 8, TRIANGLES, 12);
    es_spline_cube cube = fit(&mesh, 0.3, NULL, &r);
    assert_true(es_spline_cube_patches(&cube, &patches, NULL));
    /* Splines round the edges: a fillet of radius 1 mm along 264 mm takes 0.2 mm2 each. */
    assert_near(es_patches_measured(&patches).volume_mm3, 20 * 24 * 22, 0.01 * 20 * 24 * 22);
    es_patches_clear(&patches);
    es_spline_cube_clear(&cube);
    es_mesh_clear(&mesh);
}

static void threads_change_no_byte(void **state) {
    (void)state;
    es_cube_report r;
    es_mesh mesh = mesh_of_field(egg, 20, 0.8);
    es_pool *pool = es_pool_new(3, NULL);
    es_spline_cube a = fit(&mesh, 0.1, NULL, &r), b = fit(&mesh, 0.1, pool, &r);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.points, b.points, 3 * a.point_count * sizeof *a.points);
    es_pool_free(pool);
    es_spline_cube_clear(&a);
    es_spline_cube_clear(&b);
    es_mesh_clear(&mesh);
}

static void refuse(field_fn *field, double tolerance, es_code code, const char *words) {
    es_spline_cube cube;
    es_error err = {0};
    es_mesh mesh = mesh_of_field(field, 22, 0.9);
    assert_false(es_surface_cube(&mesh, tolerance, NULL, &cube, NULL, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, words)) fail_msg("%s", err.message);
    assert_null(cube.points);
    es_mesh_clear(&mesh);
}

static void what_is_no_star_is_refused_in_words(void **state) {
    (void)state;
    refuse(torus, 0.1, ES_GEOMETRY, "handles");
    refuse(two_balls, 0.1, ES_GEOMETRY, "2 pieces");
    refuse(cup, 0.1, ES_GEOMETRY, "not star-shaped");
    refuse(egg, 0, ES_USAGE, "tolerance");
    refuse(egg, NAN, ES_USAGE, "tolerance");
    es_spline_cube cube;
    es_error err = {0};
    es_mesh mesh = mesh_of_field(egg, 20, 0.9);
    mesh.triangle_count -= 5;
    assert_false(es_surface_cube(&mesh, 0.1, NULL, &cube, NULL, &err));
    assert_non_null(strstr(err.message, "open edges"));
    es_mesh_clear(&mesh);
    assert_false(es_spline_cube_new(3, &cube, &err));
    assert_false(es_spline_cube_new(ES_CUBE_SIZE_MAX + 1, &cube, &err));
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(egg, 20, 1.5);
    bool ok = false;
    for (int n = 0; n < 200 && !ok; n++) {
        es_spline_cube cube;
        es_error err = {0};
        es_alloc_fail_after(n);
        ok = es_surface_cube(&mesh, 0.3, NULL, &cube, NULL, &err);
        es_alloc_fail_after(-1);
        if (!ok) assert_int_equal(err.code, ES_MEMORY);
        es_spline_cube_clear(&cube);
    }
    assert_true(ok);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_egg_becomes_six_patches_of_its_volume),
        cmocka_unit_test(a_finer_tolerance_takes_more_controls),
        cmocka_unit_test(a_box_of_twelve_triangles_is_met_by_every_ray),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(what_is_no_star_is_refused_in_words),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
