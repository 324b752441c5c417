/* Distances between meshes: against brute force, against spheres whose distance
 * is known, with the right sign at faces, edges and vertices. */
#include "surface_fields.h"

static double ball20(es_vec3 p) { return es_vec3_length(p) - 20; }
static double ball19(es_vec3 p) { return es_vec3_length(p) - 19; }
static double lumps(es_vec3 p) {
    return sin(1.3 * p.x) + cos(1.7 * p.y + 0.3) * sin(p.z) + 0.2 * sin(9 * p.x * p.y);
}

/* ---- an oracle: the nearest point by projection onto the barycentric square -- */

static double segment_distance(es_vec3 p, es_vec3 a, es_vec3 b) {
    es_vec3 d = es_vec3_sub(b, a);
    double length2 = es_vec3_dot(d, d), t = 0;
    if (length2 > 0) t = fmin(1, fmax(0, es_vec3_dot(es_vec3_sub(p, a), d) / length2));
    return es_vec3_length(es_vec3_sub(p, es_vec3_add(a, es_vec3_scale(d, t))));
}

static double triangle_distance(es_vec3 p, const es_vec3 c[3]) {
    double best = INFINITY;
    for (int k = 0; k < 3; k++) best = fmin(best, segment_distance(p, c[k], c[(k + 1) % 3]));
    es_vec3 n = es_vec3_unit(es_vec3_cross(es_vec3_sub(c[1], c[0]), es_vec3_sub(c[2], c[0])));
    for (int k = 0; k < 3; k++) { /* over the triangle: on the inner side of all three sides */
        es_vec3 side = es_vec3_sub(c[(k + 1) % 3], c[k]);
        if (es_vec3_dot(es_vec3_cross(side, es_vec3_sub(p, c[k])), n) < 0) return best;
    }
    return es_vec3_dot(n, n) > 0 ? fmin(best, fabs(es_vec3_dot(es_vec3_sub(p, c[0]), n))) : best;
}

static double brute_distance(const es_mesh *mesh, es_vec3 p) {
    double best = INFINITY;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        es_vec3 c[3];
        for (size_t k = 0; k < 3; k++) {
            const float *v = mesh->vertices + 3 * mesh->triangles[3 * t + k];
            c[k] = es_vec3_make(v[0], v[1], v[2]);
        }
        best = fmin(best, triangle_distance(p, c));
    }
    return best;
}

static void check_points(const es_mesh *mesh, double reach_mm) {
    enum { POINTS = 300 };
    float points[3 * POINTS], distances[POINTS];
    es_random random = es_random_new(1, 2);
    for (int i = 0; i < 3 * POINTS; i++)
        points[i] = (float)(reach_mm * (2 * es_random_uniform(&random) - 1));
    assert_true(es_mesh_point_distances(mesh, points, POINTS, NULL, distances, NULL));
    for (int i = 0; i < POINTS; i++) {
        const float *p = points + 3 * i;
        double truth = brute_distance(mesh, es_vec3_make(p[0], p[1], p[2]));
        assert_near(distances[i], truth, 1e-6 * (1 + truth)); /* the answer is a float */
    }
}

static void point_distances_agree_with_brute_force(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(lumps, 6, 0.75);
    assert_true(mesh.triangle_count > 2000);
    check_points(&mesh, 8);   /* near and inside */
    check_points(&mesh, 300); /* far away */
    es_mesh_clear(&mesh);
}

static void facets_without_area_are_measured_too(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 4, 0, 0, 2, 0, 0, 1,         1,
                              1, 1, 1, 1, 5, 3, 2, 9, 3, 2.0000002f};
    const uint32_t triangles[] = {0, 1, 2, 3, 4, 3, 3, 5, 6};
    es_mesh mesh = mesh_by_hand(vertices, 7, triangles, 3);
    check_points(&mesh, 10);
    mesh.triangle_count = 1; /* a segment alone */
    check_points(&mesh, 10);
    es_mesh_clear(&mesh);
}

static void points_that_are_not_finite_have_no_distance(void **state) {
    (void)state;
    const float vertices[] = {0, 0, 0, 4, 0, 0, 2, 1, 0};
    const uint32_t triangles[] = {0, 1, 2};
    const float points[] = {NAN, 0, 0, 0, INFINITY, 0, 0, 0, 3};
    float distances[3];
    es_mesh mesh = mesh_by_hand(vertices, 3, triangles, 1);
    assert_true(es_mesh_point_distances(&mesh, points, 3, NULL, distances, NULL));
    assert_true(isnan(distances[0]) && isnan(distances[1]));
    assert_near(distances[2], 3, 0);
    assert_true(es_mesh_point_distances(&mesh, points, 0, NULL, distances, NULL));
    es_mesh_clear(&mesh);
}

/* ---- whole meshes ---------------------------------------------------------------- */

static es_mesh_distance compare(const es_mesh *a, const es_mesh *b, double sample_mm2) {
    es_mesh_distance distance;
    es_error err = {0};
    if (!es_mesh_compare(a, b, sample_mm2, NULL, &distance, &err)) fail_msg("%s", err.message);
    return distance;
}

static void a_mesh_has_no_distance_to_itself(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(lumps, 5, 0.5);
    es_mesh_distance d = compare(&mesh, &mesh, 0.5);
    /* Points in a facet are rounded to doubles: 1e-16 of coordinates below 10. */
    assert_near(d.max_mm, 0, 1e-13);
    assert_near(d.mean_mm, 0, 1e-13);
    es_mesh_clear(&mesh);
}

static void concentric_spheres_are_as_far_as_their_radii(void **state) {
    (void)state;
    es_mesh large = mesh_of_field(ball20, 22, 0.5), small = mesh_of_field(ball19, 22, 0.5);
    es_mesh_distance out = compare(&large, &small, 0.5), in = compare(&small, &large, 0.5);
    double area = 4 * M_PI * 400;
    /* Facets of 0.5 mm lie up to 0.5^2 / 8 / 20 = 0.0016 mm inside; twice that. */
    assert_near(out.mean_mm, 1, 0.004);
    assert_near(out.rms_mm, 1, 0.004);
    assert_near(out.p95_mm, 1, 0.006);
    assert_near(out.max_mm, 1, 0.02); /* diagonals are longer, and slivers lean */
    assert_near(out.signed_mean_mm, 1, 0.004);
    assert_near(in.signed_mean_mm, -1, 0.004);
    assert_near(in.mean_mm, 1, 0.004);
    /* Every vertex and two points a square millimetre. */
    assert_near((double)(out.samples - large.vertex_count), area / 0.5, 0.01 * area / 0.5);
    es_mesh_clear(&large);
    es_mesh_clear(&small);
}

/* A rectangle w by h at z, cut into two triangles or into n x n squares. */
static es_mesh plate(double w, double h, double z, uint32_t n) {
    es_mesh mesh = {.vertex_count = (n + 1) * (n + 1), .triangle_count = 2 * n * n};
    mesh.vertices = es_alloc(3 * mesh.vertex_count, sizeof(float), NULL);
    mesh.triangles = es_alloc(3 * mesh.triangle_count, sizeof(uint32_t), NULL);
    for (uint32_t y = 0; y <= n; y++)
        for (uint32_t x = 0; x <= n; x++) {
            float *v = mesh.vertices + 3 * (y * (n + 1) + x);
            v[0] = (float)(w * x / n);
            v[1] = (float)(h * y / n);
            v[2] = (float)z;
        }
    for (uint32_t y = 0, t = 0; y < n; y++)
        for (uint32_t x = 0; x < n; x++) {
            uint32_t a = y * (n + 1) + x, b = a + 1, c = a + n + 1, d = c + 1;
            const uint32_t two[] = {a, b, d, a, d, c};
            for (int i = 0; i < 6; i++) mesh.triangles[t++] = two[i];
        }
    return mesh;
}

static void area_counts_and_not_the_number_of_triangles(void **state) {
    (void)state;
    /* Half the area at 1 mm in 2 triangles, half at 3 mm in 800. */
    es_mesh coarse = plate(10, 10, 1, 1), fine = plate(10, 10, 3, 20), ground = plate(10, 10, 0, 1);
    es_mesh both = {.vertex_count = coarse.vertex_count + fine.vertex_count,
                    .triangle_count = coarse.triangle_count + fine.triangle_count};
    both.vertices = es_alloc(3 * both.vertex_count, sizeof(float), NULL);
    both.triangles = es_alloc(3 * both.triangle_count, sizeof(uint32_t), NULL);
    memcpy(both.vertices, coarse.vertices, 3 * coarse.vertex_count * sizeof(float));
    memcpy(both.vertices + 3 * coarse.vertex_count, fine.vertices,
           3 * fine.vertex_count * sizeof(float));
    memcpy(both.triangles, coarse.triangles, 3 * coarse.triangle_count * sizeof(uint32_t));
    for (size_t i = 0; i < 3 * fine.triangle_count; i++)
        both.triangles[3 * coarse.triangle_count + i] =
            fine.triangles[i] + (uint32_t)coarse.vertex_count;
    es_mesh_distance d = compare(&both, &ground, 1);
    assert_near(d.mean_mm, 2, 1e-6);
    assert_near(d.rms_mm, sqrt(5), 1e-6);
    assert_near(d.p95_mm, 3, 1e-6);
    assert_near(d.max_mm, 3, 1e-6);
    assert_near(d.signed_mean_mm, 2, 1e-6);
    es_mesh_clear(&coarse);
    es_mesh_clear(&fine);
    es_mesh_clear(&both);
    es_mesh_clear(&ground);
}

/* Behind the planes of all the faces of a convex mesh. */
static bool is_inside(const es_mesh *mesh, es_vec3 p) {
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        es_vec3 c[3];
        for (size_t k = 0; k < 3; k++) {
            const float *v = mesh->vertices + 3 * mesh->triangles[3 * t + k];
            c[k] = es_vec3_make(v[0], v[1], v[2]);
        }
        es_vec3 normal = es_vec3_cross(es_vec3_sub(c[1], c[0]), es_vec3_sub(c[2], c[0]));
        if (es_vec3_dot(es_vec3_sub(p, c[0]), normal) > 0) return false;
    }
    return true;
}

static void the_sign_is_right_at_sharp_edges_and_vertices(void **state) {
    (void)state;
    /* A thin spike: for many points about its tip and ridges the nearest is a
     * vertex or an edge, where one face's normal alone gives wrong signs. */
    const float spike[] = {-1, -1, 0, 1, -1, 0, 0, 2, 0, 3, 0.2f, 9};
    const uint32_t faces[] = {0, 2, 1, 0, 1, 3, 1, 2, 3, 2, 0, 3};
    es_mesh mesh = mesh_by_hand(spike, 4, faces, 4);
    assert_true(inspect(&mesh).volume_mm3 > 0);
    es_random random = es_random_new(9, 9);
    for (int i = 0; i < 2000; i++) {
        const float *from = spike + 3 * (i % 4), *to = spike + 3 * (i / 4 % 4);
        double at[3], along = es_random_uniform(&random);
        for (int a = 0; a < 3; a++)
            at[a] = from[a] + along * (to[a] - from[a]) + es_random_normal(&random);
        es_vec3 p = es_vec3_make(at[0], at[1], at[2]);
        float dot[9]; /* a triangle so small that it is a point */
        for (int k = 0; k < 9; k++) dot[k] = (float)(at[k % 3] + (k == 3 || k == 7 ? 1e-4 : 0));
        const uint32_t triangle[] = {0, 1, 2};
        es_mesh point = mesh_by_hand(dot, 3, triangle, 1);
        double distance = compare(&point, &mesh, 1).signed_mean_mm;
        /* The size of the triangle is the tolerance. */
        assert_true(is_inside(&mesh, p) ? distance < 2e-4 : distance > -2e-4);
        assert_near(fabs(distance), brute_distance(&mesh, p), 2e-4);
        es_mesh_clear(&point);
    }
    es_mesh_clear(&mesh);
}

static void threads_change_nothing(void **state) {
    (void)state;
    es_mesh a = mesh_of_field(lumps, 6, 0.5), b = mesh_of_field(ball20, 22, 1);
    es_mesh_distance alone = compare(&a, &b, 0.25), many;
    es_pool *pool = es_pool_new(3, NULL);
    assert_true(es_mesh_compare(&a, &b, 0.25, pool, &many, NULL));
    assert_memory_equal(&alone, &many, sizeof alone);
    es_pool_free(pool);
    es_mesh_clear(&a);
    es_mesh_clear(&b);
}

/* ---- refusals --------------------------------------------------------------------- */

static void assert_refused(const es_mesh *from, const es_mesh *to, double sample_mm2,
                           es_code code) {
    es_mesh_distance distance;
    es_error err = {0};
    assert_false(es_mesh_compare(from, to, sample_mm2, NULL, &distance, &err));
    assert_int_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
}

static void what_cannot_be_compared_is_refused(void **state) {
    (void)state;
    es_mesh good = plate(10, 10, 0, 2), empty = {0}, bad = plate(10, 10, 0, 1),
            flat = plate(10, 0, 0, 1);
    assert_refused(&good, &good, 0, ES_USAGE);
    assert_refused(&good, &good, -1, ES_USAGE);
    assert_refused(&good, &good, NAN, ES_USAGE);
    assert_refused(&good, &good, 1e-12, ES_USAGE); /* 1e14 samples */
    assert_refused(&empty, &good, 1, ES_GEOMETRY);
    assert_refused(&good, &empty, 1, ES_GEOMETRY);
    assert_refused(&flat, &good, 1, ES_GEOMETRY);
    bad.triangles[1] = 77;
    assert_refused(&bad, &good, 1, ES_FORMAT);
    assert_refused(&good, &bad, 1, ES_FORMAT);
    float out;
    assert_false(es_mesh_point_distances(&bad, good.vertices, 1, NULL, &out, NULL));
    assert_false(es_mesh_point_distances(&empty, good.vertices, 1, NULL, &out, NULL));
    es_mesh_clear(&good);
    es_mesh_clear(&bad);
    es_mesh_clear(&flat);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh a = plate(10, 10, 0, 3), b = plate(10, 10, 1, 3);
    int failures = 0;
    for (;; failures++) {
        es_mesh_distance distance;
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_compare(&a, &b, 1, NULL, &distance, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(failures >= 8);
    es_mesh_clear(&a);
    es_mesh_clear(&b);
}

/* ---- alignment ---------------------------------------------------------------------- */

/* An ellipsoid with a bump: nothing turns it onto itself. */
static double pear(es_vec3 p) {
    es_vec3 q = es_vec3_make(p.x / 1.6, p.y / 1.2, p.z);
    return fmin(es_vec3_length(q) - 10, es_vec3_length(es_vec3_sub(p, es_vec3_make(9, 9, 5))) - 4);
}

static void move(es_mesh *mesh, es_mat4 motion) {
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        float *at = mesh->vertices + 3 * v;
        es_vec3 p = es_mat4_point(motion, es_vec3_make(at[0], at[1], at[2]));
        at[0] = (float)p.x;
        at[1] = (float)p.y;
        at[2] = (float)p.z;
    }
}

static void a_moved_mesh_finds_back(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(pear, 20, 0.8);
    es_mesh b = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL), a;
    es_mesh_alignment found;
    assert_true(es_mesh_copy(&b, &a, NULL));
    es_mat4 away = es_quat_to_mat4((es_quat){cos(0.05), sin(0.05) * 0.6, 0, sin(0.05) * 0.8},
                                   es_vec3_make(1.5, -0.8, 0.6)); /* 5.7 degrees */
    move(&a, away);
    assert_true(es_mesh_align(&a, &b, &found, NULL));
    assert_true(found.converged && found.determined == 6);
    es_mat4 left = es_mat4_multiply(found.motion, away);
    /* Both are the same triangles: float32 coordinates of 20 mm, 2e-6 each. */
    assert_true(es_vec3_length(es_mat4_turn(left)) < 1e-5);
    assert_true(es_vec3_length(es_mat4_column(left, 3)) < 1e-4);
    for (int failures = 0;; failures++) {
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_align(&a, &b, &found, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_mesh_clear(&a);
    es_mesh_clear(&b);
    es_bricks_free(bricks);
}

static void a_sphere_is_shifted_and_not_turned(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(ball20, 23, 1);
    es_mesh b = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL), a, none = {0};
    es_mesh_alignment found;
    es_error err = {0};
    assert_true(es_mesh_copy(&b, &a, NULL));
    move(&a, es_mat4_translation(1, 2, -1));
    assert_true(es_mesh_align(&a, &b, &found, NULL));
    /* Voxels of 1 mm on a radius of 20: the facets' normals differ from the sphere's a little. */
    assert_true(
        es_vec3_length(es_vec3_add(es_mat4_column(found.motion, 3), es_vec3_make(1, 2, -1))) < 0.1);
    assert_false(es_mesh_align(&none, &b, &found, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_false(es_mesh_align(&b, &none, &found, NULL));
    es_mesh_clear(&a);
    es_mesh_clear(&b);
    es_bricks_free(bricks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(point_distances_agree_with_brute_force),
        cmocka_unit_test(facets_without_area_are_measured_too),
        cmocka_unit_test(points_that_are_not_finite_have_no_distance),
        cmocka_unit_test(a_mesh_has_no_distance_to_itself),
        cmocka_unit_test(concentric_spheres_are_as_far_as_their_radii),
        cmocka_unit_test(area_counts_and_not_the_number_of_triangles),
        cmocka_unit_test(the_sign_is_right_at_sharp_edges_and_vertices),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(each_failed_allocation_is_reported),
        cmocka_unit_test(a_moved_mesh_finds_back),
        cmocka_unit_test(a_sphere_is_shifted_and_not_turned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
