/* Meshes that stay two-manifold without their indices: short edges collapsed,
 * the shape kept, nothing in one place. */
#include "surface_fields.h"

static double ball10(es_vec3 p) { return es_vec3_length(p) - 10; }
static double ring(es_vec3 p) { return hypot(hypot(p.x, p.y) - 8, p.z) - 3; }
static double white(es_vec3 p) { return place_noise(p); }
/* A slab whose faces lie within 1 % of a voxel of lattice planes (of 0.5 mm,
 * from 0.007 mm): an edge of that length at every point. */
static double slab(es_vec3 p) {
    return fabs(p.z - 0.007) - 2.0 + 0.005 * sin(7 * p.x) * cos(5 * p.y);
}

static void clean(es_mesh *mesh, double min_edge_mm, es_mesh_cleaning *cleaning) {
    es_error err = {0};
    if (!es_mesh_clean(mesh, min_edge_mm, cleaning, &err)) fail_msg("%s", err.message);
}

static size_t count_short(const es_mesh *mesh, double length_mm) {
    size_t count = 0;
    for (size_t h = 0; h < 3 * mesh->triangle_count; h++) {
        const float *a = mesh->vertices + 3 * (size_t)mesh->triangles[h];
        const float *b = mesh->vertices + 3 * (size_t)mesh->triangles[h % 3 == 2 ? h - 2 : h + 1];
        count +=
            hypot(hypot((double)a[0] - b[0], (double)a[1] - b[1]), (double)a[2] - b[2]) < length_mm;
    }
    return count;
}

static es_mesh_check inspect_welded(const es_mesh *mesh) {
    es_mesh_check check;
    es_error err = {0};
    if (!es_mesh_inspect_welded(mesh, &check, &err)) fail_msg("%s", err.message);
    return check;
}

static void assert_same_mesh(const es_mesh *a, const es_mesh *b) {
    assert_int_equal(a->vertex_count, b->vertex_count);
    assert_int_equal(a->triangle_count, b->triangle_count);
    assert_memory_equal(a->vertices, b->vertices, 3 * a->vertex_count * sizeof(float));
    assert_memory_equal(a->triangles, b->triangles, 3 * a->triangle_count * sizeof(uint32_t));
}

/* ---- what a reader without indices sees ------------------------------------------ */

static void vertices_in_one_place_count_as_one(void **state) {
    (void)state;
    /* Two tetrahedra, one on its head, with tips of their own in one place. */
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0,    0, 1,
                              0, 0, 2, 0, 1, 2, 1, 0, 2, -0.f, 0, 1};
    const uint32_t triangles[] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3,
                                  4, 6, 5, 4, 5, 7, 4, 7, 6, 5, 6, 7};
    es_mesh mesh = mesh_by_hand(vertices, 8, triangles, 8);
    assert_true(inspect(&mesh).closed);
    assert_int_equal(inspect(&mesh).components, 2);
    assert_false(inspect_welded(&mesh).closed);
    assert_int_equal(inspect_welded(&mesh).bad_vertices, 1); /* -0 is 0 */
    assert_int_equal(inspect_welded(&mesh).components, 1);
    mesh.vertices[3 * 7 + 2] = nextafterf(1, 2);
    assert_true(inspect_welded(&mesh).closed);
    es_mesh_clear(&mesh);
}

static void triangles_with_two_corners_in_one_place_are_gone(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0};
    const uint32_t triangles[] = {0, 1, 2, 1, 3, 2};
    es_mesh mesh = mesh_by_hand(vertices, 4, triangles, 2);
    es_mesh_check check = inspect_welded(&mesh);
    assert_int_equal(check.degenerate, 1);
    assert_int_equal(check.boundary_edges, 3);
    assert_int_equal(mesh.triangle_count, 2); /* the mesh itself stays */
    es_mesh_clear(&mesh);
}

/* ---- fields ------------------------------------------------------------------------ */

static void edges_at_lattice_points_go_and_the_ball_stays(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ball10, 12, 0.5);
    es_mesh_check before = inspect(&mesh);
    es_mesh_cleaning cleaning;
    size_t were_short = count_short(&mesh, 0.05);
    assert_true(were_short > 100);
    clean(&mesh, 0.05, &cleaning);
    assert_two_manifold(&mesh, true);
    assert_int_equal(inspect(&mesh).euler, 2);
    assert_int_equal(cleaning.pieces_dropped, 0);
    assert_int_equal(mesh.triangle_count,
                     (size_t)(2 * (long)mesh.vertex_count - 4)); /* Euler, all used */
    assert_true(count_short(&mesh, 0.05) < were_short / 20);
    /* An edge of 0.05 mm on a radius of 10 mm: a sagitta of 3e-5 mm, three
     * times that where several were collapsed into one. */
    double worst = 0;
    for (size_t v = 0; v < mesh.vertex_count; v++) {
        const float *at = mesh.vertices + 3 * v;
        worst = fmax(worst, fabs(ball10(es_vec3_make(at[0], at[1], at[2]))));
    }
    es_mesh exact = mesh_of_field(ball10, 12, 0.5);
    double was = 0;
    for (size_t v = 0; v < exact.vertex_count; v++) {
        const float *at = exact.vertices + 3 * v;
        was = fmax(was, fabs(ball10(es_vec3_make(at[0], at[1], at[2]))));
    }
    assert_true(worst < was + 1e-4);
    assert_near(inspect(&mesh).volume_mm3, before.volume_mm3, 1e-4 * before.volume_mm3);
    es_mesh_clear(&mesh);
    es_mesh_clear(&exact);
}

static void a_surface_along_lattice_planes_is_cleaned(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(slab, 6, 0.5);
    es_mesh_check before = inspect(&mesh);
    size_t were_short = count_short(&mesh, 0.05);
    assert_true(were_short > 100);
    clean(&mesh, 0.05, NULL);
    assert_two_manifold(&mesh, false);
    assert_int_equal(inspect(&mesh).euler, before.euler);
    assert_int_equal(inspect(&mesh).boundary_loops, before.boundary_loops);
    /* Two rims that come close must not meet: some edges have no way to go. */
    assert_true(count_short(&mesh, 0.05) < were_short / 5);
    assert_near(inspect(&mesh).area_mm2, before.area_mm2, 0.01 * before.area_mm2);
    es_mesh_clear(&mesh);
}

static void a_hole_through_the_solid_stays(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ring, 12, 0.5);
    assert_int_equal(inspect(&mesh).euler, 0);
    /* As coarse as the tube allows, and then coarser: it is never pinched. */
    for (double edge = 0.1; edge < 10; edge *= 2) {
        es_mesh copy;
        assert_true(es_mesh_copy(&mesh, &copy, NULL));
        clean(&copy, edge, NULL);
        if (copy.triangle_count) {
            assert_int_equal(inspect_welded(&copy).euler, 0);
            assert_true(inspect_welded(&copy).closed);
        }
        assert_true(copy.triangle_count > 0 || edge > 3);
        es_mesh_clear(&copy);
    }
    es_mesh_clear(&mesh);
}

static void noise_stays_two_manifold(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(white, 6, 0.5);
    es_iso_options options = ES_ISO_DEFAULTS;
    options.outside_unknown = true;
    es_mesh mesh = extract(bricks, options, NULL);
    es_mesh_check before = inspect(&mesh);
    es_mesh_cleaning cleaning;
    clean(&mesh, 0.2, &cleaning);
    es_mesh_check after = inspect_welded(&mesh);
    assert_true(cleaning.collapsed > 1000);
    assert_true(after.closed);
    assert_int_equal(after.components, before.components - cleaning.pieces_dropped);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

/* Noise, a tenth of its voxels unknown: every kind of rim there is. */
static es_mesh ragged_noise(uint64_t seed) {
    es_bricks *bricks = bricks_of_field(white, 5, 0.5);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_random random = es_random_new(seed, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++)
            if (es_random_uniform(&random) < 0.1) es_bricks_get(bricks, i)->weight[v] = 0;
    }
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    es_bricks_free(bricks);
    return mesh;
}

static void ragged_noise_smoothed_and_thickened_is_closed(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        es_mesh mesh = ragged_noise(seed), solid;
        clean(&mesh, 0.05, NULL);
        assert_true(es_mesh_smooth(&mesh, seed % 2 ? 20 : 0, 0.5, -0.53, NULL));
        clean(&mesh, 0.05, NULL);
        assert_int_equal(count_coincident(&mesh), 0);
        assert_int_equal(inspect_welded(&mesh).bad_edges + inspect_welded(&mesh).bad_vertices, 0);
        assert_true(es_mesh_thicken(&mesh, 1, NULL, &solid, NULL, NULL));
        assert_int_equal(count_coincident(&solid), 0);
        assert_true(inspect_welded(&solid).closed);
        es_mesh_clear(&mesh);
        es_mesh_clear(&solid);
    }
}

static void cleaning_twice_changes_no_more(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ball10, 12, 0.5), again;
    clean(&mesh, 0.05, NULL);
    assert_true(es_mesh_copy(&mesh, &again, NULL));
    clean(&again, 0.05, NULL);
    assert_same_mesh(&mesh, &again);
    es_mesh_clear(&mesh);
    es_mesh_clear(&again);
}

/* ---- by hand ------------------------------------------------------------------------ */

static void parts_that_touch_come_apart(void **state) {
    (void)state;
    /* Triangles about one vertex, twice: by index, and by coordinates alone. */
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0, 0, 0, -1, 0, 0, 0, 0};
    const uint32_t by_index[] = {0, 1, 2, 0, 3, 4}, by_place[] = {0, 1, 2, 5, 3, 4};
    es_mesh mesh = mesh_by_hand(vertices, 6, by_index, 2);
    assert_int_equal(inspect_welded(&mesh).bad_vertices, 1);
    clean(&mesh, 0.1, NULL);
    assert_two_manifold(&mesh, false);
    assert_int_equal(inspect_welded(&mesh).components, 2);
    assert_near(inspect(&mesh).area_mm2, 1, 2e-3); /* one is moved by 0.001 mm */
    es_mesh_clear(&mesh);
    mesh = mesh_by_hand(vertices, 6, by_place, 2);
    clean(&mesh, 0.1, NULL);
    assert_two_manifold(&mesh, false);
    assert_int_equal(inspect_welded(&mesh).components, 2);
    es_mesh_clear(&mesh);
}

static void any_number_of_vertices_in_one_place_come_apart(void **state) {
    (void)state;
    enum { COUNT = 300 };
    float vertices[9 * COUNT];
    uint32_t triangles[3 * COUNT];
    for (uint32_t t = 0; t < COUNT; t++) {
        double angle = 2 * M_PI * t / COUNT;
        const float corners[9] = {100,
                                  200,
                                  300,
                                  (float)(100 + cos(angle)),
                                  (float)(200 + sin(angle)),
                                  300,
                                  (float)(100 + cos(angle)),
                                  (float)(200 + sin(angle)),
                                  301};
        memcpy(vertices + 9 * t, corners, sizeof corners);
        for (uint32_t k = 0; k < 3; k++) triangles[3 * t + k] = 3 * t + k;
    }
    es_mesh mesh = mesh_by_hand(vertices, 3 * COUNT, triangles, COUNT);
    clean(&mesh, 0.5, NULL);
    assert_two_manifold(&mesh, false);
    assert_int_equal(inspect_welded(&mesh).components, COUNT);
    es_mesh_clear(&mesh);
}

static void pieces_with_no_longer_edge_are_dropped(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1,    0, 0, 0, 1,    0, 0, 0, 1,    /* a tetrahedron */
                              5, 0, 0, 5.1f, 0, 0, 5, 0.1f, 0, 5, 0, 0.1f, /* a tiny one */
                              8, 0, 0, 8.1f, 0, 0, 8, 0.1f, 0};            /* and a triangle */
    const uint32_t triangles[] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3, 4, 6,
                                  5, 4, 5, 7, 4, 7, 6, 5, 6, 7, 8, 9, 10};
    es_mesh mesh = mesh_by_hand(vertices, 11, triangles, 9);
    es_mesh_cleaning cleaning;
    clean(&mesh, 0.5, &cleaning);
    assert_int_equal(cleaning.pieces_dropped, 2);
    assert_int_equal(cleaning.collapsed, 0);
    assert_int_equal(mesh.triangle_count, 4);
    assert_int_equal(mesh.vertex_count, 4);
    assert_memory_equal(mesh.vertices, vertices, 12 * sizeof(float));
    clean(&mesh, 10, &cleaning); /* and so is everything, if asked for */
    assert_int_equal(mesh.triangle_count + mesh.vertex_count, 0);
    es_mesh_clear(&mesh);
}

static void a_thin_tube_is_not_closed(void **state) {
    (void)state;
    /* An open prism: its short edges are the two rims, three each. */
    const float vertices[] = {0, 0, 0, 0.1f, 0, 0, 0, 0.1f, 0, 0, 0, 5, 0.1f, 0, 5, 0, 0.1f, 5};
    const uint32_t triangles[] = {0, 1, 4, 0, 4, 3, 1, 2, 5, 1, 5, 4, 2, 0, 3, 2, 3, 5};
    es_mesh mesh = mesh_by_hand(vertices, 6, triangles, 6),
            was = mesh_by_hand(vertices, 6, triangles, 6);
    clean(&mesh, 0.5, NULL);
    assert_same_mesh(&mesh, &was);
    assert_int_equal(inspect_welded(&mesh).boundary_loops, 2);
    es_mesh_clear(&mesh);
    es_mesh_clear(&was);
}

static void a_rim_is_not_drawn_inwards(void **state) {
    (void)state;
    /* The middle vertex of a square, 0.01 beside the middle of its lower side. */
    const float vertices[] = {0, 0, 0, 1, 0, 0, 2, 0, 0, 2, 2, 0, 0, 2, 0, 1, 0.01f, 0};
    const uint32_t triangles[] = {0, 1, 5, 1, 2, 5, 2, 3, 5, 3, 4, 5, 4, 0, 5};
    es_mesh mesh = mesh_by_hand(vertices, 6, triangles, 5);
    mesh.confidence = es_alloc(6, sizeof(float), NULL);
    for (int v = 0; v < 6; v++) mesh.confidence[v] = (float)v / 8;
    es_mesh_cleaning cleaning;
    clean(&mesh, 0.1, &cleaning);
    assert_int_equal(cleaning.collapsed, 1);
    assert_int_equal(mesh.triangle_count, 3);
    assert_memory_equal(mesh.vertices, vertices, 15 * sizeof(float));
    assert_near(mesh.confidence[1], 3.0 / 8, 0); /* of 1/8 and 5/8 */
    assert_near(inspect(&mesh).area_mm2, 4, 0);
    es_mesh_clear(&mesh);
}

static void a_hub_of_very_many_triangles_is_left_alone(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    float *vertices = malloc(3 * (COUNT + 1) * sizeof *vertices);
    uint32_t *triangles = malloc(3 * COUNT * sizeof *triangles);
    for (uint32_t i = 0; i < COUNT; i++) {
        double angle = 2 * M_PI * i / COUNT;
        vertices[3 * i] = (float)cos(angle);
        vertices[3 * i + 1] = (float)sin(angle);
        vertices[3 * i + 2] = 0;
        memcpy(triangles + 3 * i, (uint32_t[]){i, (i + 1) % COUNT, COUNT}, 3 * sizeof(uint32_t));
    }
    memset(vertices + 3 * COUNT, 0, 3 * sizeof(float));
    es_mesh mesh = mesh_by_hand(vertices, COUNT + 1, triangles, COUNT);
    clean(&mesh, 0.01, NULL);
    assert_two_manifold(&mesh, false);
    assert_int_equal(inspect(&mesh).euler, 1);
    assert_near(inspect(&mesh).area_mm2, M_PI, 1e-3);
    es_mesh_clear(&mesh);
    free(vertices);
    free(triangles);
}

/* ---- refusals ------------------------------------------------------------------------ */

static void assert_refused(es_mesh *mesh, double min_edge_mm, es_code code) {
    es_mesh was;
    es_error err = {0};
    assert_true(es_mesh_copy(mesh, &was, NULL));
    assert_false(es_mesh_clean(mesh, min_edge_mm, NULL, &err));
    assert_int_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
    assert_same_mesh(mesh, &was);
    es_mesh_clear(&was);
}

static void what_cannot_be_cleaned_is_refused_and_stays(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0};
    const uint32_t good[] = {0, 1, 2}, past[] = {0, 1, 5}, twice[] = {0, 1, 1};
    const uint32_t three_at_an_edge[] = {0, 1, 2, 1, 0, 3, 0, 1, 4};
    es_mesh mesh = mesh_by_hand(vertices, 5, good, 1);
    assert_refused(&mesh, 0, ES_USAGE);
    assert_refused(&mesh, -1, ES_USAGE);
    assert_refused(&mesh, NAN, ES_USAGE);
    assert_refused(&mesh, INFINITY, ES_USAGE);
    mesh.vertices[4] = INFINITY;
    assert_refused(&mesh, 0.1, ES_FORMAT);
    es_mesh_clear(&mesh);
    mesh = mesh_by_hand(vertices, 5, past, 1);
    es_mesh_check check;
    assert_refused(&mesh, 0.1, ES_FORMAT);
    assert_false(es_mesh_inspect_welded(&mesh, &check, NULL));
    es_mesh_clear(&mesh);
    mesh = mesh_by_hand(vertices, 5, twice, 1);
    assert_refused(&mesh, 0.1, ES_GEOMETRY);
    es_mesh_clear(&mesh);
    mesh = mesh_by_hand(vertices, 5, three_at_an_edge, 3);
    assert_refused(&mesh, 0.1, ES_GEOMETRY);
    es_mesh_clear(&mesh);
}

static void an_empty_mesh_stays_empty(void **state) {
    (void)state;
    es_mesh mesh = {0};
    clean(&mesh, 0.1, NULL);
    assert_int_equal(mesh.vertex_count + mesh.triangle_count, 0);
    assert_false(inspect_welded(&mesh).closed);
    es_mesh_clear(&mesh);
}

static void each_failed_allocation_leaves_the_mesh(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(ring, 12, 1), was;
    assert_true(es_mesh_copy(&mesh, &was, NULL));
    int failures = 0;
    for (;; failures++) {
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_clean(&mesh, 0.1, NULL, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_same_mesh(&mesh, &was);
    }
    assert_true(failures > 15);
    for (failures = 0;; failures++) {
        es_mesh_check check;
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_inspect_welded(&mesh, &check, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(failures > 5);
    es_mesh_clear(&mesh);
    es_mesh_clear(&was);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vertices_in_one_place_count_as_one),
        cmocka_unit_test(triangles_with_two_corners_in_one_place_are_gone),
        cmocka_unit_test(edges_at_lattice_points_go_and_the_ball_stays),
        cmocka_unit_test(a_surface_along_lattice_planes_is_cleaned),
        cmocka_unit_test(a_hole_through_the_solid_stays),
        cmocka_unit_test(noise_stays_two_manifold),
        cmocka_unit_test(ragged_noise_smoothed_and_thickened_is_closed),
        cmocka_unit_test(cleaning_twice_changes_no_more),
        cmocka_unit_test(parts_that_touch_come_apart),
        cmocka_unit_test(any_number_of_vertices_in_one_place_come_apart),
        cmocka_unit_test(pieces_with_no_longer_edge_are_dropped),
        cmocka_unit_test(a_thin_tube_is_not_closed),
        cmocka_unit_test(a_rim_is_not_drawn_inwards),
        cmocka_unit_test(a_hub_of_very_many_triangles_is_left_alone),
        cmocka_unit_test(what_cannot_be_cleaned_is_refused_and_stays),
        cmocka_unit_test(an_empty_mesh_stays_empty),
        cmocka_unit_test(each_failed_allocation_leaves_the_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
