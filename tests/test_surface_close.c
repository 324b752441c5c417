/* Holes closed and sheets capped: against shapes whose missing part is known. */
#include "surface_fields.h"

static double ball20(es_vec3 p) { return es_vec3_length(p) - 20; }
static double plane(es_vec3 p) { return 0.36 * p.x - 0.48 * p.y + 0.8 * p.z; }
static double noisy_plane(es_vec3 p) { return plane(p) + 0.1 * place_noise(p); }
static double saddle(es_vec3 p) { return p.z - 0.04 * (p.x * p.x - p.y * p.y); }

typedef bool keep_fn(es_vec3 middle);

/* The triangles whose middle is kept. */
static es_mesh part_of(field_fn *field, double half_mm, double spacing_mm, keep_fn *keep) {
    es_mesh mesh = mesh_of_field(field, half_mm, spacing_mm);
    size_t kept = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        uint32_t *corner = mesh.triangles + 3 * t;
        es_vec3 sum = {0, 0, 0};
        for (int k = 0; k < 3; k++) {
            const float *v = mesh.vertices + 3 * corner[k];
            sum = es_vec3_add(sum, es_vec3_make(v[0], v[1], v[2]));
        }
        if (keep(es_vec3_scale(sum, 1.0 / 3)))
            memmove(mesh.triangles + 3 * kept++, corner, 3 * sizeof *corner);
    }
    mesh.triangle_count = kept;
    assert_true(es_mesh_keep_components(&mesh, 1, 0, NULL, NULL, NULL));
    assert_true(es_mesh_clean(&mesh, 0.1 * spacing_mm, NULL, NULL));
    return mesh;
}

static double tube(es_vec3 p) { return hypot(p.x, p.y) - 8; }
static bool upper(es_vec3 p) { return p.z > 0; }
static bool all(es_vec3 p) { return p.x == p.x; }
static bool pierced(es_vec3 p) { return p.z < 19 && hypot(p.x, p.y - 12) > 2; }
static bool flat_with_holes(es_vec3 p) {
    return hypot(p.x, p.y) > 1.5 && hypot(p.x - 5, p.y) > 2.5 && hypot(p.x, p.y) < 9;
}

static es_mesh_closing close_holes(es_mesh *mesh, double diameter_mm) {
    es_mesh_closing closing;
    es_error err = {0};
    if (!es_mesh_close_holes(mesh, diameter_mm, &closing, &err)) fail_msg("%s", err.message);
    return closing;
}

static es_mesh cap(const es_mesh *sheet, double least_mm, es_mesh_closing *closing) {
    es_mesh solid;
    es_error err = {0};
    if (!es_mesh_cap(sheet, least_mm, &solid, closing, &err)) fail_msg("%s", err.message);
    return solid;
}

/* The old mesh comes first; what was added has no confidence; each added triangle has
 * an added vertex. */
static void assert_marked(const es_mesh *before, const es_mesh *after) {
    assert_memory_equal(before->vertices, after->vertices,
                        3 * before->vertex_count * sizeof(float));
    assert_memory_equal(before->triangles, after->triangles,
                        3 * before->triangle_count * sizeof(uint32_t));
    for (size_t v = 0; v < after->vertex_count; v++)
        assert_true(after->confidence[v] == (v < before->vertex_count ? 1.0f : 0.0f));
    for (size_t t = before->triangle_count; t < after->triangle_count; t++) {
        bool marked = false;
        for (size_t k = 3 * t; k < 3 * t + 3; k++)
            marked |= after->triangles[k] >= before->vertex_count;
        assert_true(marked);
    }
}

static void small_holes_of_a_plate_are_closed_and_larger_ones_stay(void **state) {
    (void)state;
    es_mesh mesh = part_of(plane, 14, 0.5, flat_with_holes), before;
    assert_true(es_mesh_copy(&mesh, &before, NULL));
    double seen = inspect(&mesh).area_mm2;
    es_mesh_closing closing = close_holes(&mesh, 4.6);
    /* Cut out along facets of 0.5 mm, of a plane that leans by 37 degrees. */
    double hole = 3.14159265 * 1.5 * 1.5 / 0.8, slack = 2 * 3.14159265 * 1.5 * 0.5 / 0.8;
    assert_int_equal(closing.closed, 1);
    assert_int_equal(closing.left, 1);
    assert_near(closing.area_mm2, hole, slack);
    /* A flat hole is closed flat. */
    assert_near(inspect(&mesh).area_mm2, seen + closing.area_mm2, 1e-3);
    assert_int_equal(inspect(&mesh).boundary_loops, 2);
    assert_two_manifold(&mesh, false);
    assert_marked(&before, &mesh);
    closing = close_holes(&mesh, INFINITY);
    assert_int_equal(closing.closed, 1); /* not the rim round the plate */
    assert_int_equal(inspect(&mesh).boundary_loops, 1);
    es_mesh_clear(&mesh);
    es_mesh_clear(&before);
}

static void a_pierced_ball_is_closed_though_one_hole_is_its_longest_rim(void **state) {
    (void)state;
    es_mesh mesh = part_of(ball20, 23, 0.5, pierced);
    es_mesh_closing closing = close_holes(&mesh, 15);
    double ball = 4.0 / 3 * 3.14159265 * 8000, lid = 3.14159265 * (3 * 20 - 1) / 3;
    assert_int_equal(closing.closed, 3); /* the lid, and a drill's way in and out */
    assert_int_equal(closing.left, 0);
    assert_two_manifold(&mesh, true);
    assert_int_equal(inspect(&mesh).euler, 2);
    /* The lid of height 1 mm is cut off, the small hole's is 0.1 mm high; 0.5 mm voxels. */
    assert_near(inspect(&mesh).volume_mm3, ball - lid, 0.3 * lid);
    es_mesh_clear(&mesh);
}

static void a_hemisphere_is_capped_flat(void **state) {
    (void)state;
    es_mesh sheet = part_of(ball20, 23, 0.5, upper);
    es_mesh_closing closing;
    es_mesh solid = cap(&sheet, 2, &closing);
    double half = 2.0 / 3 * 3.14159265 * 8000, disc = 3.14159265 * 400;
    assert_two_manifold(&solid, true);
    assert_marked(&sheet, &solid);
    assert_int_equal(inspect(&solid).euler, 2);
    /* The rim is a row of facets of 0.5 mm. */
    assert_near(closing.area_mm2, disc, 0.03 * disc);
    assert_near(inspect(&solid).volume_mm3, half, 0.02 * half);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

static void a_tube_gets_a_cap_at_either_end(void **state) {
    (void)state;
    es_mesh sheet = part_of(tube, 12, 0.5, all);
    es_mesh_closing closing;
    es_mesh solid = cap(&sheet, 2, &closing);
    double volume = 3.14159265 * 64 * 24;
    assert_int_equal(closing.closed, 2);
    assert_two_manifold(&solid, true);
    assert_near(inspect(&solid).volume_mm3, volume, 0.02 * volume);
    es_mesh_clear(&sheet);
    es_mesh_clear(&solid);
}

/* Where a membrane would lie on the sheet, or in front of it. */
static void a_cap_stays_behind_its_sheet(void **state) {
    (void)state;
    field_fn *fields[] = {plane, noisy_plane, saddle};
    for (int i = 0; i < 3; i++) {
        es_mesh sheet = part_of(fields[i], 10, 0.5, all);
        es_mesh solid = cap(&sheet, 2, NULL);
        double area = inspect(&sheet).area_mm2;
        assert_two_manifold(&solid, true);
        /* 2 mm behind, but for a strip of 4 mm at the rim, where it falls to nothing. */
        assert_true(inspect(&solid).volume_mm3 > 0.6 * 2 * area);
        assert_true(inspect(&solid).volume_mm3 < 4 * area);
        es_mesh_clear(&sheet);
        es_mesh_clear(&solid);
    }
}

static void wrong_input_is_refused(void **state) {
    (void)state;
    const double wrong[] = {0, -1, NAN};
    es_mesh mesh = mesh_of_field(plane, 3, 0.5), solid;
    for (int i = 0; i < 3; i++) {
        es_error err = {0};
        assert_false(es_mesh_close_holes(&mesh, wrong[i], NULL, &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_false(es_mesh_cap(&mesh, wrong[i], &solid, NULL, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    const float vertices[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, -1};
    const uint32_t triangles[] = {0, 1, 2, 0, 1, 3, 0, 1, 4};
    es_mesh bad = mesh_by_hand(vertices, 5, triangles, 3);
    es_error err = {0};
    assert_false(es_mesh_close_holes(&bad, 1, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    es_mesh_clear(&bad);
    es_mesh_clear(&mesh);
}

static void an_empty_mesh_and_a_closed_one_stay_as_they_are(void **state) {
    (void)state;
    es_mesh empty = {0}, solid, ball = mesh_of_field(ball20, 23, 1);
    size_t count = ball.triangle_count;
    assert_int_equal(close_holes(&empty, 5).closed, 0);
    assert_int_equal(close_holes(&ball, 5).closed, 0);
    assert_int_equal(ball.triangle_count, count);
    assert_null(ball.confidence);
    solid = cap(&ball, 2, NULL);
    assert_int_equal(solid.triangle_count, count);
    es_mesh_clear(&solid);
    es_mesh_clear(&ball);
    es_mesh_clear(&empty);
}

/* The least holes: of one and of two triangles of a mesh. */
static void a_missing_triangle_is_closed_and_marked(void **state) {
    (void)state;
    for (size_t missing = 1; missing <= 2; missing++) {
        es_mesh mesh = mesh_of_field(ball20, 23, 2);
        mesh.triangle_count -= missing;
        size_t vertices = mesh.vertex_count;
        es_mesh_closing closing = close_holes(&mesh, 10);
        assert_true(closing.closed >= 1);
        assert_true(closing.vertices >= 1);
        assert_int_equal(mesh.vertex_count, vertices + closing.vertices);
        assert_two_manifold(&mesh, true);
        es_mesh_clear(&mesh);
    }
}

static void failing_allocations_leave_the_mesh_as_it_was(void **state) {
    (void)state;
    es_mesh mesh = part_of(plane, 6, 1, flat_with_holes), before, solid;
    assert_true(es_mesh_copy(&mesh, &before, NULL));
    bool done = false;
    for (long n = 0; n < 5000 && !done; n += 1 + n / 16) { /* the later ones by samples */
        es_error err = {0};
        es_alloc_fail_after(n);
        bool ok = es_mesh_cap(&mesh, 2, &solid, NULL, &err);
        bool closed = ok && es_mesh_close_holes(&mesh, 9, NULL, &err);
        es_alloc_fail_after(-1);
        es_mesh_clear(&solid);
        done = closed;
        if (closed) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_int_equal(mesh.triangle_count, before.triangle_count);
        assert_memory_equal(mesh.vertices, before.vertices,
                            3 * before.vertex_count * sizeof(float));
    }
    assert_true(done);
    es_mesh_clear(&mesh);
    es_mesh_clear(&before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_holes_of_a_plate_are_closed_and_larger_ones_stay),
        cmocka_unit_test(a_pierced_ball_is_closed_though_one_hole_is_its_longest_rim),
        cmocka_unit_test(a_hemisphere_is_capped_flat),
        cmocka_unit_test(a_tube_gets_a_cap_at_either_end),
        cmocka_unit_test(a_cap_stays_behind_its_sheet),
        cmocka_unit_test(wrong_input_is_refused),
        cmocka_unit_test(an_empty_mesh_and_a_closed_one_stay_as_they_are),
        cmocka_unit_test(a_missing_triangle_is_closed_and_marked),
        cmocka_unit_test(failing_allocations_leave_the_mesh_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
