/* A sheet made solid: closed by construction, as thick as asked where the
 * shape allows it, the measured side untouched. */
#include "surface_fields.h"

static double tilted_plane(es_vec3 p) { return 0.36 * p.x - 0.48 * p.y + 0.8 * p.z; }
static double ball20(es_vec3 p) { return es_vec3_length(p) - 20; }
static double hollow20(es_vec3 p) { return 20 - es_vec3_length(p); }
static double ball1(es_vec3 p) { return es_vec3_length(p) - 1.2; }
static double wave(es_vec3 p) { return p.z - 1.5 * sin(p.x / 1.5); } /* least radius 1.5 */

static double noisy_plane(es_vec3 p) { return tilted_plane(p) + 0.1 * place_noise(p); }
static double noisy_ball(es_vec3 p) { return ball20(p) + 0.1 * place_noise(p); }
static double white(es_vec3 p) { return place_noise(p); }

/* The surface in z > 0 alone. */
static es_mesh upper_sheet(field_fn *field, double half_mm, double spacing_mm) {
    es_bricks *bricks = bricks_of_field(field, half_mm, spacing_mm);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_brick *brick = es_bricks_get(bricks, i);
        if (brick->at[2] < 0) memset(brick->weight, 0, sizeof brick->weight);
    }
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    es_bricks_free(bricks);
    return mesh;
}

static es_mesh thicken(const es_mesh *sheet, double thickness_mm) {
    es_mesh solid;
    es_error err = {0};
    if (!es_mesh_thicken(sheet, thickness_mm, NULL, &solid, NULL, &err))
        fail_msg("%s", err.message);
    return solid;
}

/* ---- how thick ------------------------------------------------------------------ */

typedef struct thickness {
    double least, p5, median, p95, most; /* distance of the copy's vertices to the sheet */
    size_t turned;                       /* copied triangles that do not look backwards */
} thickness;

static es_vec3 facet_cross(const es_mesh *mesh, size_t t) {
    es_vec3 corner[3];
    for (size_t k = 0; k < 3; k++) {
        const float *v = mesh->vertices + 3 * mesh->triangles[3 * t + k];
        corner[k] = es_vec3_make(v[0], v[1], v[2]);
    }
    return es_vec3_cross(es_vec3_sub(corner[1], corner[0]), es_vec3_sub(corner[2], corner[0]));
}

static es_vec3 gradient(field_fn *field, es_vec3 p) {
    const double step = 1e-3;
    double here = field(p);
    return es_vec3_make(field(es_vec3_make(p.x + step, p.y, p.z)) - here,
                        field(es_vec3_make(p.x, p.y + step, p.z)) - here,
                        field(es_vec3_make(p.x, p.y, p.z + step)) - here);
}

/* For a sheet that is open in all its parts and has no bow-ties; `truth` is
 * the field without noise. */
static thickness measure(const es_mesh *sheet, const es_mesh *solid, field_fn *truth) {
    size_t count = solid->vertex_count - sheet->vertex_count;
    float *distance = malloc(count * sizeof *distance);
    assert_int_equal(count, sheet->vertex_count);
    assert_true(es_mesh_point_distances(sheet, solid->vertices + 3 * sheet->vertex_count, count,
                                        NULL, distance, NULL));
    qsort(distance, count, sizeof *distance, es_compare_floats);
    thickness result = {.least = distance[0],
                        .p5 = distance[count / 20],
                        .median = distance[count / 2],
                        .p95 = distance[count - 1 - count / 20],
                        .most = distance[count - 1]};
    free(distance);
    for (size_t t = 0; t < sheet->triangle_count; t++) {
        const float *v = sheet->vertices + 3 * sheet->triangles[3 * t];
        es_vec3 outwards = gradient(truth, es_vec3_make(v[0], v[1], v[2]));
        result.turned += es_vec3_dot(facet_cross(solid, sheet->triangle_count + t), outwards) >= 0;
    }
    return result;
}

static void assert_sheet_is_kept(const es_mesh *sheet, const es_mesh *solid) {
    assert_memory_equal(sheet->vertices, solid->vertices, 3 * sheet->vertex_count * sizeof(float));
    assert_memory_equal(sheet->triangles, solid->triangles,
                        3 * sheet->triangle_count * sizeof(uint32_t));
}

static void a_plane_becomes_a_plate_of_the_thickness(void **state) {
    (void)state;
    es_mesh sheet = mesh_of_field(tilted_plane, 10, 0.5), solid = thicken(&sheet, 2);
    es_mesh_check check = inspect(&solid);
    thickness t = measure(&sheet, &solid, tilted_plane);
    assert_two_manifold(&solid, true);
    assert_sheet_is_kept(&sheet, &solid);
    assert_int_equal(check.euler, 2);
    /* Vertices are float32 below 16 mm: steps of 1e-6 mm, normals from 0.5 mm. */
    assert_near(check.volume_mm3, 2 * inspect(&sheet).area_mm2, 0.01);
    assert_near(t.least, 2, 1e-4);
    assert_near(t.most, 2, 1e-4);
    assert_int_equal(t.turned, 0);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void check_hemisphere(field_fn *field, double inner_mm, double outer_mm) {
    es_mesh sheet = upper_sheet(field, 23, 0.5), solid = thicken(&sheet, 2);
    es_mesh_check check = inspect(&solid);
    thickness t = measure(&sheet, &solid, field);
    double volume = 2.0 / 3 * M_PI * (pow(outer_mm, 3) - pow(inner_mm, 3));
    assert_two_manifold(&solid, true);
    assert_sheet_is_kept(&sheet, &solid);
    assert_int_equal(check.euler, 2);
    /* The averaged normals lean by some degrees at the rim, a strip of 2 mm. */
    assert_near(check.volume_mm3, volume, 0.01 * volume);
    assert_near(t.least, 2, 0.1);
    assert_near(t.p5, 2, 0.01); /* facets of 0.5 mm on 20 mm: sagitta 0.0016 mm */
    assert_near(t.most, 2, 0.01);
    assert_int_equal(t.turned, 0);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void a_hemisphere_becomes_a_bowl(void **state) {
    (void)state;
    check_hemisphere(ball20, 18, 20);
    check_hemisphere(hollow20, 20, 22);
}

static void a_bend_sharper_than_the_thickness_is_not_turned_inside_out(void **state) {
    (void)state;
    es_mesh sheet = upper_sheet(ball1, 2, 0.125), solid = thicken(&sheet, 2);
    thickness t = measure(&sheet, &solid, ball1);
    assert_two_manifold(&solid, true);
    assert_sheet_is_kept(&sheet, &solid);
    assert_true(inspect(&solid).volume_mm3 > 0);
    assert_true(inspect(&solid).volume_mm3 < 2.0 / 3 * M_PI * 1.2 * 1.2 * 1.2);
    assert_int_equal(t.turned, 0);
    assert_true(t.p5 > 0.3); /* half the radius is asked for, 0.6 mm */
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
    sheet = mesh_of_field(wave, 12, 0.25);
    solid = thicken(&sheet, 2);
    t = measure(&sheet, &solid, wave);
    assert_two_manifold(&solid, true);
    assert_true(inspect(&solid).volume_mm3 > 0);
    assert_int_equal(t.turned, 0);
    assert_true(t.p5 > 0.5);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void check_noisy(es_mesh sheet, field_fn *truth) {
    assert_true(es_mesh_keep_components(&sheet, 1, 0, NULL, NULL, NULL));
    assert_two_manifold(&sheet, false);
    /* Handles and holes cannot face one way all round; more noise makes some. */
    assert_int_equal(inspect(&sheet).euler, 1);
    es_mesh solid = thicken(&sheet, 2);
    thickness t = measure(&sheet, &solid, truth);
    assert_two_manifold(&solid, true);
    assert_sheet_is_kept(&sheet, &solid);
    /* Noise of 0.1 mm moves either side's distance by about three times that. */
    assert_near(t.median, 2, 0.15);
    assert_true(t.p5 > 1.4 && t.p95 < 2.5);
    assert_true(t.least > 0.5);
    assert_int_equal(t.turned, 0);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void a_noisy_sheet_is_about_as_thick_as_asked(void **state) {
    (void)state;
    check_noisy(mesh_of_field(noisy_plane, 10, 0.5), tilted_plane);
    check_noisy(upper_sheet(noisy_ball, 23, 0.5), ball20);
}

static void a_ragged_sheet_with_holes_has_no_facet_without_area(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(noisy_ball, 22, 1);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_random random = es_random_new(6, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++)
            if (es_random_uniform(&random) < 0.03) es_bricks_get(bricks, i)->weight[v] = 0;
    }
    es_mesh sheet = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    assert_true(es_mesh_smooth(&sheet, 20, 0.5, -0.53, NULL));
    es_mesh solid = thicken(&sheet, 2);
    assert_true(inspect(&sheet).boundary_loops > 50);
    assert_two_manifold(&solid, true);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
    es_bricks_free(bricks);
}

static void any_sheet_at_all_becomes_closed(void **state) {
    (void)state;
    es_mesh sheet = mesh_of_field(white, 5, 0.5), solid = thicken(&sheet, 2);
    es_mesh_check before = inspect(&sheet), after = inspect(&solid);
    size_t open;
    assert_true(before.boundary_edges > 100);
    assert_int_equal(count_bad_edges(&solid, &open), 0);
    assert_int_equal(open, 0);
    assert_true(after.closed);
    assert_int_equal(after.components, before.components);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

/* ---- small sheets made by hand ------------------------------------------------------ */

static void one_triangle_becomes_a_prism(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 3, 0, 0, 0, 4, 0};
    const uint32_t triangles[] = {0, 1, 2};
    es_mesh sheet = mesh_by_hand(vertices, 3, triangles, 1), solid = thicken(&sheet, 2);
    es_mesh_check check = inspect(&solid);
    assert_two_manifold(&solid, true);
    assert_int_equal(solid.triangle_count, 8);
    assert_int_equal(solid.vertex_count, 6);
    assert_near(check.volume_mm3, 12, 1e-5); /* 3 * 4 / 2 * 2 */
    assert_near(es_mesh_box(&solid).min.z, -2, 1e-6);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void sheets_that_touch_in_a_vertex_come_apart(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0, 0, 0, -1, 0};
    const uint32_t triangles[] = {0, 1, 2, 0, 3, 4};
    es_mesh sheet = mesh_by_hand(vertices, 5, triangles, 2), solid = thicken(&sheet, 1);
    assert_int_equal(inspect(&sheet).bad_vertices, 1);
    assert_two_manifold(&solid, true);
    assert_int_equal(inspect(&solid).components, 2);
    assert_near(inspect(&solid).volume_mm3, 1, 3e-3); /* the double stands 0.1 % of an edge aside */
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void closed_parts_stay_and_confidence_is_repeated(void **state) {
    (void)state;
    /* A tetrahedron beside a single triangle. */
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5, 0, 0, 6, 0, 0, 5, 1, 0};
    const uint32_t triangles[] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3, 4, 5, 6};
    es_mesh sheet = mesh_by_hand(vertices, 7, triangles, 5);
    sheet.confidence = es_alloc(7, sizeof(float), NULL);
    for (int v = 0; v < 7; v++) sheet.confidence[v] = (float)v / 8;
    es_mesh solid = thicken(&sheet, 0.5);
    assert_two_manifold(&solid, true);
    assert_int_equal(solid.vertex_count, 10);
    assert_int_equal(solid.triangle_count, 4 + 8);
    assert_near(inspect(&solid).volume_mm3, 1.0 / 6 + 0.25, 1e-6);
    for (size_t v = 0; v < 10; v++)
        assert_near(solid.confidence[v], (double)(v < 7 ? v : v - 3) / 8, 0);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

/* ---- refusals -------------------------------------------------------------------------- */

static void assert_refused(const es_mesh *sheet, double thickness_mm, es_code code) {
    es_mesh solid;
    es_error err = {0};
    assert_false(es_mesh_thicken(sheet, thickness_mm, NULL, &solid, NULL, &err));
    assert_int_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
    assert_null(solid.vertices);
    assert_null(solid.triangles);
}

static void thicknesses_that_are_no_length_are_refused(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 3, 0, 0, 0, 4, 0};
    const uint32_t triangles[] = {0, 1, 2};
    es_mesh sheet = mesh_by_hand(vertices, 3, triangles, 1);
    assert_refused(&sheet, 0, ES_USAGE);
    assert_refused(&sheet, -2, ES_USAGE);
    assert_refused(&sheet, NAN, ES_USAGE);
    assert_refused(&sheet, INFINITY, ES_USAGE);
    es_mesh_clear(&sheet);
}

static void sheets_with_bad_edges_are_refused(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0};
    const uint32_t three_at_an_edge[] = {0, 1, 2, 1, 0, 3, 0, 1, 4};
    const uint32_t facing_apart[] = {0, 1, 2, 0, 1, 3};
    const uint32_t one_point_twice[] = {0, 1, 1};
    es_mesh sheet = mesh_by_hand(vertices, 5, three_at_an_edge, 3);
    assert_refused(&sheet, 1, ES_GEOMETRY);
    es_mesh_clear(&sheet);
    sheet = mesh_by_hand(vertices, 5, facing_apart, 2);
    assert_refused(&sheet, 1, ES_GEOMETRY);
    es_mesh_clear(&sheet);
    sheet = mesh_by_hand(vertices, 5, one_point_twice, 1);
    assert_refused(&sheet, 1, ES_GEOMETRY);
    es_mesh_clear(&sheet);
}

static void indices_and_coordinates_out_of_range_are_refused(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, NAN, 0};
    const uint32_t past[] = {0, 1, 3}, nan[] = {0, 1, 2};
    es_mesh sheet = mesh_by_hand(vertices, 3, past, 1);
    assert_refused(&sheet, 1, ES_FORMAT);
    es_mesh_clear(&sheet);
    sheet = mesh_by_hand(vertices, 3, nan, 1);
    assert_refused(&sheet, 1, ES_FORMAT);
    es_mesh_clear(&sheet);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh sheet = upper_sheet(ball1, 2, 0.25);
    int failures = 0;
    for (;; failures++) {
        es_mesh solid;
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_thicken(&sheet, 0.5, NULL, &solid, NULL, &err);
        es_alloc_fail_after(-1);
        es_mesh_clear(&solid);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(failures > 15);
    es_mesh_clear(&sheet);
}

static void any_number_of_threads_gives_the_same_solid(void **state) {
    (void)state;
    es_mesh sheet = upper_sheet(noisy_ball, 24, 1), one = thicken(&sheet, 3), three = {0};
    es_pool *pool = es_pool_new(3, NULL);
    assert_true(es_mesh_thicken(&sheet, 3, pool, &three, NULL, NULL));
    assert_int_equal(one.vertex_count, three.vertex_count);
    assert_int_equal(one.triangle_count, three.triangle_count);
    assert_memory_equal(one.vertices, three.vertices, 3 * one.vertex_count * sizeof(float));
    assert_memory_equal(one.triangles, three.triangles, 3 * one.triangle_count * sizeof(uint32_t));
    es_pool_free(pool);
    es_mesh_clear(&sheet);
    es_mesh_clear(&one);
    es_mesh_clear(&three);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plane_becomes_a_plate_of_the_thickness),
        cmocka_unit_test(a_hemisphere_becomes_a_bowl),
        cmocka_unit_test(a_bend_sharper_than_the_thickness_is_not_turned_inside_out),
        cmocka_unit_test(a_noisy_sheet_is_about_as_thick_as_asked),
        cmocka_unit_test(a_ragged_sheet_with_holes_has_no_facet_without_area),
        cmocka_unit_test(any_sheet_at_all_becomes_closed),
        cmocka_unit_test(one_triangle_becomes_a_prism),
        cmocka_unit_test(sheets_that_touch_in_a_vertex_come_apart),
        cmocka_unit_test(closed_parts_stay_and_confidence_is_repeated),
        cmocka_unit_test(any_number_of_threads_gives_the_same_solid),
        cmocka_unit_test(thicknesses_that_are_no_length_are_refused),
        cmocka_unit_test(sheets_with_bad_edges_are_refused),
        cmocka_unit_test(indices_and_coordinates_out_of_range_are_refused),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
