/* What a mesh is said to be, keeping its parts, smoothing it. */
#include "surface_fields.h"

static const float CORNERS[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0, -1, 0, 0};
static const uint32_t TETRAHEDRON[] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};

static es_mesh_check inspect_by_hand(const uint32_t *triangles, size_t count) {
    es_mesh mesh = mesh_by_hand(CORNERS, 6, triangles, count);
    es_mesh_check check = inspect(&mesh);
    es_mesh_clear(&mesh);
    return check;
}

/* ---- inspect ------------------------------------------------------------------- */

static void a_tetrahedron_is_closed_and_has_its_volume(void **state) {
    (void)state;
    es_mesh_check check = inspect_by_hand(TETRAHEDRON, 4);
    assert_true(check.closed);
    assert_int_equal(check.euler, 2); /* the two unused vertices do not count */
    assert_int_equal(check.components, 1);
    assert_int_equal(check.boundary_edges + check.boundary_loops, 0);
    assert_int_equal(check.bad_edges + check.bad_vertices + check.degenerate, 0);
    assert_near(check.volume_mm3, 1.0 / 6, 1e-12); /* double rounding */
    assert_near(check.area_mm2, 1.5 + sqrt(3) / 2, 1e-12);
}

static void inside_out_the_volume_is_negative(void **state) {
    (void)state;
    uint32_t turned[12];
    for (int i = 0; i < 12; i += 3) {
        turned[i] = TETRAHEDRON[i];
        turned[i + 1] = TETRAHEDRON[i + 2];
        turned[i + 2] = TETRAHEDRON[i + 1];
    }
    assert_near(inspect_by_hand(turned, 4).volume_mm3, -1.0 / 6, 1e-12);
}

static void a_missing_triangle_is_one_boundary_loop(void **state) {
    (void)state;
    es_mesh_check check = inspect_by_hand(TETRAHEDRON, 3);
    assert_false(check.closed);
    assert_int_equal(check.boundary_edges, 3);
    assert_int_equal(check.boundary_loops, 1);
    assert_int_equal(check.euler, 1);
    assert_int_equal(check.bad_edges + check.bad_vertices, 0);
}

static void a_triangle_turned_over_makes_its_edges_bad(void **state) {
    (void)state;
    uint32_t turned[12];
    memcpy(turned, TETRAHEDRON, sizeof turned);
    turned[0] = 2, turned[1] = 0;
    es_mesh_check check = inspect_by_hand(turned, 4);
    assert_false(check.closed);
    assert_int_equal(check.bad_edges, 3);
    assert_int_equal(check.boundary_edges, 0);
}

static void three_triangles_at_an_edge_are_bad(void **state) {
    (void)state;
    const uint32_t fan[] = {0, 1, 2, 1, 0, 3, 0, 1, 4};
    es_mesh_check check = inspect_by_hand(fan, 3);
    assert_int_equal(check.bad_edges, 1);
    assert_int_equal(check.boundary_edges, 6);
    assert_false(check.closed);
}

static void two_fans_at_a_vertex_are_bad_and_two_loops(void **state) {
    (void)state;
    const uint32_t bow_tie[] = {0, 1, 2, 0, 5, 4};
    es_mesh_check check = inspect_by_hand(bow_tie, 2);
    assert_int_equal(check.bad_vertices, 1);
    assert_int_equal(check.bad_edges, 0);
    assert_int_equal(check.boundary_edges, 6);
    assert_int_equal(check.boundary_loops, 2);
    assert_int_equal(check.components, 1); /* they share the vertex */
    assert_false(check.closed);
}

static void facets_without_area_are_counted(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, 0};
    const uint32_t triangles[] = {0, 1, 2, 0, 1, 3, 1, 4, 3}; /* in line, good, coincident */
    es_mesh mesh = mesh_by_hand(vertices, 5, triangles, 3);
    assert_int_equal(inspect(&mesh).degenerate, 2);
    es_mesh_clear(&mesh);
    const uint32_t same_twice[] = {0, 1, 1};
    mesh = mesh_by_hand(vertices, 5, same_twice, 1);
    assert_int_equal(inspect(&mesh).degenerate, 1);
    assert_int_equal(inspect(&mesh).bad_edges, 1); /* from the point to itself */
    assert_false(inspect(&mesh).closed);
    es_mesh_clear(&mesh);
}

static void an_empty_mesh_is_not_closed(void **state) {
    (void)state;
    es_mesh mesh = {0};
    es_mesh_check check = inspect(&mesh);
    assert_false(check.closed);
    assert_int_equal(check.components, 0);
    assert_int_equal(check.euler, 0);
}

static void far_from_the_origin_the_volume_stays_exact(void **state) {
    (void)state;
    float far[18];
    for (int i = 0; i < 18; i++) far[i] = CORNERS[i] + 4096; /* whole numbers: exact floats */
    es_mesh mesh = mesh_by_hand(far, 6, TETRAHEDRON, 4);
    assert_near(inspect(&mesh).volume_mm3, 1.0 / 6, 1e-12);
    es_mesh_clear(&mesh);
}

/* ---- components --------------------------------------------------------------------- */

static double two_balls(es_vec3 p) {
    double small = es_vec3_length(es_vec3_sub(p, es_vec3_make(-6, 0, 0))) - 2;
    double large = es_vec3_length(es_vec3_sub(p, es_vec3_make(4, 0, 0))) - 4;
    return small < large ? small : large;
}

static void the_largest_components_are_kept(void **state) {
    (void)state;
    size_t kept, dropped;
    es_bricks *bricks = bricks_of_field(two_balls, 9, 0.5);
    es_iso_options options = ES_ISO_DEFAULTS;
    options.half_weight = 1;
    es_mesh mesh = extract(bricks, options, NULL), copy;
    assert_true(es_mesh_copy(&mesh, &copy, NULL));
    assert_int_equal(inspect(&mesh).components, 2);
    assert_true(es_mesh_keep_components(&mesh, 1, 0, &kept, &dropped, NULL));
    assert_int_equal(kept, 1);
    assert_int_equal(dropped, 1);
    assert_two_manifold(&mesh, true);
    assert_near(inspect(&mesh).volume_mm3, 4.0 / 3 * M_PI * 64, 3); /* 1 %: 0.5 on 4 mm */
    assert_true(es_mesh_box(&mesh).min.x > -0.1);
    for (size_t v = 0; v < mesh.vertex_count; v++) assert_near(mesh.confidence[v], 0.5, 0);
    /* All of them, and by area: the small ball has 50 mm^2. */
    assert_true(es_mesh_keep_components(&copy, 0, 40, &kept, &dropped, NULL));
    assert_int_equal(kept, 2);
    assert_true(es_mesh_keep_components(&copy, 0, 60, &kept, &dropped, NULL));
    assert_int_equal(kept, 1);
    assert_int_equal(dropped, 1);
    assert_int_equal(copy.triangle_count, mesh.triangle_count);
    assert_memory_equal(copy.vertices, mesh.vertices, 3 * mesh.vertex_count * sizeof(float));
    /* Nothing is large enough. */
    assert_true(es_mesh_keep_components(&copy, 3, 1e6, &kept, NULL, NULL));
    assert_int_equal(kept, 0);
    assert_int_equal(copy.triangle_count + copy.vertex_count, 0);
    es_mesh_clear(&mesh);
    es_mesh_clear(&copy);
    es_bricks_free(bricks);
}

static void vertices_that_no_triangle_uses_are_dropped(void **state) {
    (void)state;
    const uint32_t triangles[] = {1, 2, 4};
    es_mesh mesh = mesh_by_hand(CORNERS, 6, triangles, 1);
    assert_true(es_mesh_keep_components(&mesh, 0, 0, NULL, NULL, NULL));
    assert_int_equal(mesh.vertex_count, 3);
    assert_memory_equal(mesh.vertices + 6, CORNERS + 12, 3 * sizeof(float));
    es_mesh_clear(&mesh);
}

/* ---- smoothing ------------------------------------------------------------------------ */

static double ball(es_vec3 p) { return es_vec3_length(p) - 20; }

/* RMS of the vertices' distances to the sphere of 20 mm. */
static double roughness(const es_mesh *mesh) {
    double squares = 0;
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->vertices + 3 * v;
        squares += pow(es_vec3_length(es_vec3_make(p[0], p[1], p[2])) - 20, 2);
    }
    return sqrt(squares / (double)mesh->vertex_count);
}

static void add_noise(es_mesh *mesh, double sigma_mm) {
    es_random random = es_random_new(5, 0);
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        float *p = mesh->vertices + 3 * v;
        double scale = 1 + sigma_mm / 20 * es_random_normal(&random);
        for (int a = 0; a < 3; a++) p[a] = (float)(p[a] * scale);
    }
}

static void noise_is_smoothed_away_and_the_volume_stays(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ball, 22, 0.5);
    double volume = inspect(&mesh).volume_mm3;
    add_noise(&mesh, 0.15);
    assert_true(es_mesh_smooth(&mesh, 20, 0.5, -0.53, NULL));
    assert_two_manifold(&mesh, true);
    /* A prototype left 0.046 of 0.15 mm on a knee; a third is asked for. */
    assert_true(roughness(&mesh) < 0.05);
    assert_near(inspect(&mesh).volume_mm3 / volume, 1, 1e-3);
    es_mesh_clear(&mesh);
}

static void plain_averaging_shrinks(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ball, 22, 1);
    double volume = inspect(&mesh).volume_mm3;
    assert_true(es_mesh_smooth(&mesh, 20, 0.5, 0, NULL));
    assert_true(inspect(&mesh).volume_mm3 < 0.999 * volume);
    es_mesh_clear(&mesh);
}

static double flat(es_vec3 p) { return p.z - 0.25; }

static void a_flat_sheet_stays_flat_and_its_boundary_in_place(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(flat, 8, 0.5);
    es_box3 before = es_mesh_box(&mesh);
    assert_true(es_mesh_smooth(&mesh, 20, 0.5, -0.53, NULL));
    es_box3 after = es_mesh_box(&mesh);
    assert_near(after.max.z, 0.25, 1e-5);
    assert_near(after.min.z, 0.25, 1e-5);
    /* The corners of the square are rounded, and the step outwards swings a fifth
     * of a voxel past the sides next to them. */
    assert_near(after.min.x, before.min.x, 0.1);
    assert_near(after.max.y, before.max.y, 0.1);
    es_mesh_clear(&mesh);
}

static void tips_and_small_holes_of_a_boundary_are_not_flattened(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(ball, 22, 1);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_random random = es_random_new(4, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++)
            if (es_random_uniform(&random) < 0.05) es_bricks_get(bricks, i)->weight[v] = 0;
    }
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    assert_true(inspect(&mesh).boundary_loops > 50);
    assert_true(es_mesh_smooth(&mesh, 20, 0.5, -0.53, NULL));
    assert_two_manifold(&mesh, false); /* no facet without area, no points that weld */
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

/* 9 x 9 vertices 1 mm apart without the cells (2..3, 2..3) and (5, 6). */
static es_mesh sheet_with_two_holes(void) {
    es_mesh mesh = {.vertices = es_alloc(81 * 3, sizeof(float), NULL),
                    .vertex_count = 81,
                    .triangles = es_alloc(128 * 3, sizeof(uint32_t), NULL)};
    for (uint32_t v = 0; v < 81; v++) {
        const float at[3] = {(float)(v % 9), (float)(v / 9), 0};
        memcpy(mesh.vertices + 3 * v, at, sizeof at);
    }
    for (uint32_t c = 0; c < 64; c++) {
        uint32_t x = c % 8, y = c / 8, v = 9 * y + x;
        if ((x / 2 == 1 && y / 2 == 1) || (x == 5 && y == 6)) continue;
        const uint32_t two[6] = {v, v + 1, v + 10, v, v + 10, v + 9};
        memcpy(mesh.triangles + 3 * mesh.triangle_count, two, sizeof two);
        mesh.triangle_count += 2;
    }
    return mesh;
}

static void holes_are_told_from_the_rim_and_measured(void **state) {
    (void)state;
    es_mesh mesh = sheet_with_two_holes();
    es_mesh_loops loops;
    double holes = 0;
    assert_true(es_mesh_find_loops(&mesh, &loops, NULL));
    assert_int_equal(loops.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const es_mesh_loop *loop = &loops.items[i];
        assert_int_equal(loop->outer, loop->edges == 32);
        assert_true(fabs(loop->length_mm - (double)loop->edges) < 1e-9);
        if (!loop->outer) holes += loop->area_mm2;
    }
    assert_true(fabs(holes - 5) < 1e-9);
    es_mesh_loops_clear(&loops);
    for (int failures = 0;; failures++) {
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_find_loops(&mesh, &loops, &err);
        es_alloc_fail_after(-1);
        es_mesh_loops_clear(&loops);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_mesh_clear(&mesh);
}

static void no_rounds_change_nothing(void **state) {
    (void)state;
    es_mesh mesh = mesh_by_hand(CORNERS, 6, TETRAHEDRON, 4);
    assert_true(es_mesh_smooth(&mesh, 0, 0.5, -0.53, NULL));
    assert_memory_equal(mesh.vertices, CORNERS, sizeof CORNERS);
    es_mesh_clear(&mesh);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void smoothing_that_blows_up_is_refused(void **state) {
    (void)state;
    es_mesh mesh = mesh_by_hand(CORNERS, 6, TETRAHEDRON, 4);
    const double steps[][2] = {{1.5, 0}, {-0.1, 0}, {NAN, 0}, {0.5, 0.1}, {0.5, -2}, {0.5, NAN}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        es_error err = {0};
        assert_false(es_mesh_smooth(&mesh, 5, steps[i][0], steps[i][1], &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    assert_false(es_mesh_smooth(&mesh, -1, 0.5, -0.53, NULL));
    assert_memory_equal(mesh.vertices, CORNERS, sizeof CORNERS);
    es_mesh_clear(&mesh);
}

static void broken_meshes_are_refused_everywhere(void **state) {
    (void)state;
    const float infinite[] = {0, 0, 0, 1, INFINITY, 0, 0, 1, 0};
    const uint32_t good[] = {0, 1, 2}, past[] = {0, 1, 3};
    for (int i = 0; i < 2; i++) {
        es_mesh mesh = mesh_by_hand(i ? CORNERS : infinite, 3, i ? past : good, 1);
        es_mesh_check check;
        es_error err = {0};
        assert_false(es_mesh_inspect(&mesh, &check, &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_false(es_mesh_smooth(&mesh, 1, 0.5, -0.53, NULL));
        assert_false(es_mesh_keep_components(&mesh, 1, 0, NULL, NULL, NULL));
        es_mesh_clear(&mesh);
    }
    es_mesh mesh = mesh_by_hand(CORNERS, 6, TETRAHEDRON, 4);
    es_error err = {0};
    assert_false(es_mesh_keep_components(&mesh, 1, NAN, NULL, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_mesh_clear(&mesh);
}

typedef bool mesh_action(es_mesh *mesh, es_error *err);
static bool do_inspect(es_mesh *mesh, es_error *err) {
    es_mesh_check check;
    return es_mesh_inspect(mesh, &check, err);
}
static bool do_keep(es_mesh *mesh, es_error *err) {
    return es_mesh_keep_components(mesh, 1, 0, NULL, NULL, err);
}
static bool do_smooth(es_mesh *mesh, es_error *err) { return es_mesh_smooth(mesh, 3, 0.5, 0, err); }

static void failed_allocations_are_reported_and_leave_the_mesh(void **state) {
    (void)state;
    mesh_action *actions[] = {do_inspect, do_keep, do_smooth};
    for (int i = 0; i < 3; i++) {
        es_mesh mesh = mesh_by_hand(CORNERS, 6, TETRAHEDRON, 4);
        int failures = 0;
        for (;; failures++) {
            es_error err = {0};
            es_alloc_fail_after(failures);
            bool ok = actions[i](&mesh, &err);
            es_alloc_fail_after(-1);
            if (ok) break;
            assert_int_equal(err.code, ES_MEMORY);
            assert_memory_equal(mesh.vertices, CORNERS, sizeof CORNERS);
            assert_memory_equal(mesh.triangles, TETRAHEDRON, sizeof TETRAHEDRON);
        }
        assert_true(failures >= 5);
        es_mesh_clear(&mesh);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tetrahedron_is_closed_and_has_its_volume),
        cmocka_unit_test(inside_out_the_volume_is_negative),
        cmocka_unit_test(a_missing_triangle_is_one_boundary_loop),
        cmocka_unit_test(a_triangle_turned_over_makes_its_edges_bad),
        cmocka_unit_test(three_triangles_at_an_edge_are_bad),
        cmocka_unit_test(two_fans_at_a_vertex_are_bad_and_two_loops),
        cmocka_unit_test(facets_without_area_are_counted),
        cmocka_unit_test(an_empty_mesh_is_not_closed),
        cmocka_unit_test(far_from_the_origin_the_volume_stays_exact),
        cmocka_unit_test(the_largest_components_are_kept),
        cmocka_unit_test(vertices_that_no_triangle_uses_are_dropped),
        cmocka_unit_test(noise_is_smoothed_away_and_the_volume_stays),
        cmocka_unit_test(plain_averaging_shrinks),
        cmocka_unit_test(a_flat_sheet_stays_flat_and_its_boundary_in_place),
        cmocka_unit_test(tips_and_small_holes_of_a_boundary_are_not_flattened),
        cmocka_unit_test(holes_are_told_from_the_rim_and_measured),
        cmocka_unit_test(no_rounds_change_nothing),
        cmocka_unit_test(smoothing_that_blows_up_is_refused),
        cmocka_unit_test(broken_meshes_are_refused_everywhere),
        cmocka_unit_test(failed_allocations_are_reported_and_leave_the_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
