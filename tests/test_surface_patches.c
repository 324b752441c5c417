/* Smooth patches about meshes of known shapes, against the shapes themselves. */
#include "surface_fields.h"

static double sphere(es_vec3 p) { return es_vec3_length(p) - 15; }

static double torus(es_vec3 p) {
    double ring = hypot(p.x, p.z) - 16;
    return hypot(ring, p.y) - 6;
}

/* Seen from +y only: what lies behind y = 0 is not there. */
static es_mesh front_of(field_fn *field) {
    es_mesh mesh = mesh_of_field(field, 26, 0.7);
    size_t kept = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        const uint32_t *k = mesh.triangles + 3 * t;
        if (mesh.vertices[3 * k[0] + 1] < 2) continue;
        memmove(mesh.triangles + 3 * kept++, k, 3 * sizeof *k);
    }
    mesh.triangle_count = kept;
    assert_true(es_mesh_clean(&mesh, 0.05, NULL, NULL));
    return mesh;
}

static es_patches fit(const es_mesh *mesh, es_patch_options options, es_patch_report *report) {
    es_patches patches = {0};
    es_error err = {0};
    if (!es_surface_patches(mesh, &options, NULL, &patches, report, &err))
        fail_msg("%s", err.message);
    return patches;
}

static void assert_each_edge_joins_two_patches(const es_patches *patches) {
    es_patch_edges edges;
    assert_true(es_patch_edges_find(patches, &edges, NULL));
    for (size_t e = 0; e < edges.count; e++) {
        assert_int_equal(edges.edges[e].uses, 2);
        assert_true(edges.edges[e].opposite);
    }
    es_patch_edges_clear(&edges);
}

static void a_sphere_becomes_a_closed_surface_of_its_volume(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(sphere, 18, 0.5);
    options.tolerance_mm = 0.05;
    es_patches patches = fit(&mesh, options, &r);
    double worst = 0, volume = 4 / 3.0 * 3.14159265358979 * 15 * 15 * 15;
    assert_true(r.closed && r.reached);
    assert_int_equal(r.euler, 2);
    assert_each_edge_joins_two_patches(&patches);
    for (size_t p = 0; p < patches.count; p++)
        for (int i = 0; i < 16; i++)
            worst =
                fmax(worst, fabs(sphere(es_patch_point(&patches, p, i / 4 / 3.0, i % 4 / 3.0))));
    /* The tolerance holds for 95 %; four times it for all, on a shape without edges. */
    assert_true(worst < 0.2);
    /* Flat facets of 0.5 mm take (s/R)^2 of the volume away, 1e-3 at most. */
    assert_near(es_patches_measured(&patches).volume_mm3, volume, 1e-3 * volume);
    es_patches_clear(&patches);
    es_mesh_clear(&mesh);
}

/* A ball of 36 mm with two humps, 6 mm apart, and a sharp valley between them. */
static double humped(es_vec3 p) {
    double x = fabs(p.x - 2) - 3, y = p.y + 1, z = p.z - 34;
    double hump = sqrt(x * x + y * y / 4 + z * z) - 4.5;
    return fmin(es_vec3_length(p) - 36, hump);
}

static void a_sharp_valley_is_followed_without_finer_patches_elsewhere(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(humped, 41, 0.6);
    options.tolerance_mm = 0.09;
    es_patches patches = fit(&mesh, options, &r);
    assert_true(r.closed && r.reached);
    /* With smaller cells everywhere instead it took 576. */
    assert_true(patches.count < 540);
    /* Two thirds of the tolerance; patches across the valley leave 0.069 mm. */
    assert_true(r.to_mesh.rms_mm < 0.06 && r.from_mesh.rms_mm < 0.06);
    assert_each_edge_joins_two_patches(&patches);
    es_patches_clear(&patches);
    es_mesh_clear(&mesh);
}

static void a_torus_keeps_its_hole(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(torus, 26, 0.6), drawn;
    es_patches patches = fit(&mesh, options, &r);
    assert_true(r.closed && r.reached);
    assert_int_equal(r.euler, 0);
    assert_true(es_patches_mesh(&patches, 6, &drawn, NULL));
    es_mesh_check check = inspect(&drawn);
    assert_true(check.closed);
    assert_int_equal(check.euler, 0);
    double volume = 2 * 3.14159265358979 * 3.14159265358979 * 16 * 36;
    /* The tolerance over the whole area were 0.25 x 3790 / 22700 = 4 %; the fit is no offset. */
    assert_near(es_patches_measured(&patches).volume_mm3, volume, 5e-3 * volume);
    es_mesh_clear(&drawn);
    es_patches_clear(&patches);
    es_mesh_clear(&mesh);
}

static void a_finer_tolerance_takes_more_patches_and_is_kept(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(torus, 26, 0.6);
    size_t last = 0;
    static const double TOLERANCES[] = {0.5, 0.05, 0.02};
    for (int i = 0; i < 3; i++) {
        es_patch_options options = ES_PATCH_DEFAULTS;
        es_patch_report r;
        options.tolerance_mm = TOLERANCES[i];
        es_patches patches = fit(&mesh, options, &r);
        assert_true(r.reached);
        assert_true(r.to_mesh.p95_mm <= TOLERANCES[i] && r.from_mesh.p95_mm <= TOLERANCES[i]);
        assert_true(patches.count > last);
        last = patches.count;
        es_patches_clear(&patches);
    }
    es_mesh_clear(&mesh);
}

static void a_tolerance_out_of_reach_is_said_and_the_best_given(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(torus, 26, 1);
    options.tolerance_mm = 1e-6;
    options.patches_max = 400;
    es_patches patches = fit(&mesh, options, &r);
    assert_false(r.reached);
    assert_true(patches.count > 0);
    assert_true(r.to_mesh.p95_mm > 1e-6 && r.to_mesh.p95_mm < 0.3);
    es_patches_clear(&patches);
    es_mesh_clear(&mesh);
}

/* ---- flat ends ------------------------------------------------------------------- */

/* A shaft of 10 mm radius with a round head, sawn off at a slant. */
static const es_vec3 SAW = {0.2721655269759087, -0.1360827634879543, 0.9525793444156804};
static const double SAW_MM = 17;

static double shaft(es_vec3 p) {
    double side = hypot(p.x, p.y) - 10;
    double head = es_vec3_length(es_vec3_make(p.x, p.y, p.z + 10)) - 14;
    if (p.z < -10) return head;
    double h = fmax(4 - fabs(side - head), 0) / 4;
    return fmin(side, head) - h * h;
}

static double sawn_shaft(es_vec3 p) { return fmax(shaft(p), es_vec3_dot(p, SAW) - SAW_MM); }

/* A cylinder: two flat ends, and hardly anything else. */
static double drum(es_vec3 p) { return fmax(hypot(p.x, p.z) - 12, fabs(p.y) - 9); }

/* Flat above, and round all about. */
static double pebble(es_vec3 p) {
    es_vec3 q = es_vec3_make(fmax(fabs(p.x) - 6, 0), fmax(fabs(p.y) - 6, 0), fabs(p.z));
    return es_vec3_length(q) - 8;
}

static double brick(es_vec3 p) { return fmax(fabs(p.x) - 9, fmax(fabs(p.y) - 11, fabs(p.z) - 13)); }

/* The ring's own curve lies in the plane, and on the side of the shape as if that went
 * on: how far it is from there at most. */
static double ring_off(const es_patches *patches, size_t which, field_fn *side) {
    const es_patch_plane *plane = &patches->planes[which];
    double worst = 0;
    for (size_t i = 0; i < plane->count; i++)
        for (int k = 0; k <= 4; k++) {
            uint32_t number = patches->plane_sides[plane->first + i];
            double t = k / 4.0, u[4] = {t, 1, 1 - t, 0}, v[4] = {0, t, 1, 1 - t};
            es_vec3 p = es_patch_point(patches, number / 4, u[number % 4], v[number % 4]);
            assert_near(es_vec3_dot(es_vec3_sub(p, plane->at), plane->normal), 0, 1e-9);
            worst = fmax(worst, fabs(side(p)));
        }
    return worst;
}

static void a_sawn_shaft_keeps_its_flat_end_and_a_sharp_edge(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(sawn_shaft, 27, 0.5), drawn;
    options.tolerance_mm = 0.12;
    for (int smooth = 0; smooth < 2; smooth++) {
        if (smooth) assert_true(es_mesh_smooth(&mesh, 20, 0.5, -0.53, NULL));
        es_patches patches = fit(&mesh, options, &r);
        assert_true(r.closed && r.reached);
        assert_int_equal(r.planes, 1);
        assert_int_equal(patches.plane_count, 1);
        assert_int_equal(r.euler, 2);
        assert_each_edge_joins_two_patches(&patches);
        /* A mesh of a linear field is exact there, up to floats. */
        assert_near(es_vec3_dot(patches.planes[0].normal, SAW), 1, 1e-6);
        assert_near(es_vec3_dot(patches.planes[0].at, SAW), SAW_MM, 0.01);
        /* What is asked of the surface; the mesh's own edge is 0.2 mm short of it. */
        assert_true(ring_off(&patches, 0, shaft) < 0.12);
        assert_true(es_patches_mesh(&patches, 6, &drawn, NULL));
        assert_true(inspect(&drawn).closed);
        assert_near(es_patches_measured(&patches).volume_mm3, inspect(&drawn).volume_mm3,
                    2e-3 * inspect(&drawn).volume_mm3);
        es_mesh_clear(&drawn);
        es_patches_clear(&patches);
    }
    es_mesh_clear(&mesh);
}

static double drum_side(es_vec3 p) { return hypot(p.x, p.z) - 12; }

static void a_drum_has_two_flat_ends(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(drum, 14, 0.5);
    options.tolerance_mm = 0.1;
    es_patches patches = fit(&mesh, options, &r);
    assert_int_equal(patches.plane_count, 2);
    assert_each_edge_joins_two_patches(&patches);
    assert_true(ring_off(&patches, 0, drum_side) < 0.1);
    assert_true(ring_off(&patches, 1, drum_side) < 0.1);
    double volume = 3.14159265358979 * 144 * 18;
    es_patches_measure m = es_patches_measured(&patches);
    assert_near(m.volume_mm3, volume, 5e-3 * volume); /* 0.1 mm of the radius were 1.7 % */
    assert_near(m.area_mm2, 2 * 3.14159265358979 * (144 + 12 * 18), 10);
    assert_near(m.centroid.x, 0, 0.05);
    assert_near(m.centroid.y, 0, 0.05);
    es_patches_clear(&patches);
    es_mesh_clear(&mesh);
}

static void what_is_flat_without_a_sharp_edge_all_round_is_no_end(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    field_fn *const shapes[] = {pebble, brick}; /* the brick's flat sides meet each other */
    for (int i = 0; i < 2; i++) {
        es_mesh mesh = mesh_of_field(shapes[i], 16, 0.6);
        es_patches patches = fit(&mesh, options, &r);
        assert_int_equal(r.planes, 0);
        assert_int_equal(patches.plane_count, 0);
        assert_each_edge_joins_two_patches(&patches);
        es_patches_clear(&patches);
        es_mesh_clear(&mesh);
    }
}

static void an_open_sheet_stays_open_or_becomes_a_solid_of_its_thickness(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = front_of(sphere);
    options.tolerance_mm = 0.05;
    options.thickness_mm = 0;
    es_patches sheet = fit(&mesh, options, &r);
    assert_false(r.closed);
    assert_int_equal(r.walls, 0);
    options.thickness_mm = 2;
    es_patches solid = fit(&mesh, options, &r);
    assert_each_edge_joins_two_patches(&solid);
    assert_int_equal(solid.count, 2 * sheet.count + r.walls);
    assert_int_equal(r.folded, 0);
    /* The copy is set right at the patches' corners; between them within a tenth. */
    assert_near(r.thinnest_mm, 2, 0.2);
    double area = es_patches_measured(&sheet).area_mm2;
    double shell = area * 2 * (1 - 2 / 15.0 + 4 / (3 * 15.0 * 15)); /* (R^3 - (R-t)^3) / 3R^2 */
    assert_near(es_patches_measured(&solid).volume_mm3, shell, 0.03 * shell);
    es_patches_clear(&sheet);
    es_patches_clear(&solid);
    es_mesh_clear(&mesh);
}

/* Seen from the front, with a hole of 4 mm radius; cut off at a slant. */
static es_mesh holed_front(void) {
    es_mesh mesh = mesh_of_field(sphere, 18, 0.5);
    size_t kept = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        const uint32_t *k = mesh.triangles + 3 * t;
        const float *p = mesh.vertices + 3 * k[0];
        if (p[1] + 0.3f * p[0] < 3 || hypotf(p[0] - 3, p[2]) < 4) continue;
        memmove(mesh.triangles + 3 * kept++, k, 3 * sizeof *k);
    }
    mesh.triangle_count = kept;
    assert_true(es_mesh_clean(&mesh, 0.05, NULL, NULL));
    return mesh;
}

static void a_sheet_ends_where_the_mesh_does_at_its_rim_and_at_its_hole(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = holed_front();
    es_mesh_check check = inspect(&mesh);
    options.tolerance_mm = 0.1;
    options.thickness_mm = 0;
    es_patches sheet = fit(&mesh, options, &r);
    assert_true(r.rimmed && r.reached);
    assert_true(r.bridged_mm < 5); /* crumbs between triangles that hang by a corner */
    assert_int_equal(r.euler, 0);  /* a disc with a hole */
    /* The rim goes zigzag along triangles of 0.5 mm; the patches' is a smooth line. */
    assert_true(r.from_mesh.p95_mm < 0.1 && r.from_mesh.max_mm < 1);
    assert_near(es_patches_measured(&sheet).area_mm2, check.area_mm2, 0.02 * check.area_mm2);
    es_patches_clear(&sheet);
    es_mesh_clear(&mesh);
}

static void a_thickness_past_the_bend_is_noticed(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = front_of(torus); /* bends with a radius of 6 mm */
    options.thickness_mm = 9;
    es_patches solid = fit(&mesh, options, &r);
    assert_true(r.folded > 0 || r.thinnest_mm < 8);
    es_patches_clear(&solid);
    es_mesh_clear(&mesh);
}

static void threads_change_no_byte(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patch_report r;
    es_mesh mesh = mesh_of_field(torus, 26, 1);
    es_pool *pool = es_pool_new(3, NULL);
    es_patches one = fit(&mesh, options, &r), other = {0};
    assert_true(es_surface_patches(&mesh, &options, pool, &other, NULL, NULL));
    assert_int_equal(one.count, other.count);
    assert_memory_equal(one.points, other.points, 3 * one.point_count * sizeof(double));
    es_pool_free(pool);
    es_patches_clear(&one);
    es_patches_clear(&other);
    es_mesh_clear(&mesh);
}

static void refuse(const es_mesh *mesh, es_patch_options options, es_code code, const char *words) {
    es_patches patches;
    es_error err = {0};
    assert_false(es_surface_patches(mesh, &options, NULL, &patches, NULL, &err));
    if (err.code != code || !strstr(err.message, words))
        fail_msg("code %d, expected %d, and '%s' in: %s", err.code, code, words, err.message);
    assert_null(patches.points);
}

static void bad_meshes_and_options_are_refused_in_words(void **state) {
    (void)state;
    static const float corner[12] = {0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 5};
    static const uint32_t twice[6] = {0, 1, 2, 0, 1, 3},
                          over[12] = {0, 1, 2, 0, 3, 1, 0, 2, 3, 1, 3, 2};
    es_patch_options good = ES_PATCH_DEFAULTS, bad = good;
    es_mesh none = {0}, edge = mesh_by_hand(corner, 4, twice, 2),
            in = mesh_by_hand(corner, 4, over, 4);
    refuse(&none, good, ES_GEOMETRY, "no surface");
    refuse(&edge, good, ES_GEOMETRY, "face opposite ways");
    refuse(&in, good, ES_GEOMETRY, "inside out");
    bad.tolerance_mm = 0;
    refuse(&in, bad, ES_USAGE, "tolerance");
    bad = good;
    bad.thickness_mm = NAN;
    refuse(&in, bad, ES_USAGE, "thickness");
    bad = good;
    bad.patches_max = 2;
    refuse(&in, bad, ES_USAGE, "patches");
    in.vertices[4] = NAN;
    refuse(&in, good, ES_FORMAT, "not a coordinate");
    es_mesh_clear(&edge);
    es_mesh_clear(&in);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_mesh mesh = mesh_of_field(drum, 14, 1.2);
    options.cell_mm = 6;
    int failures = 0;
    for (;; failures++) {
        es_patches patches;
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_surface_patches(&mesh, &options, NULL, &patches, NULL, &err);
        es_alloc_fail_after(-1);
        es_patches_clear(&patches);
        if (ok) break;
        if (err.code != ES_MEMORY) fail_msg("%s", err.message);
    }
    assert_true(failures >= 40);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sphere_becomes_a_closed_surface_of_its_volume),
        cmocka_unit_test(a_sharp_valley_is_followed_without_finer_patches_elsewhere),
        cmocka_unit_test(a_torus_keeps_its_hole),
        cmocka_unit_test(a_finer_tolerance_takes_more_patches_and_is_kept),
        cmocka_unit_test(a_tolerance_out_of_reach_is_said_and_the_best_given),
        cmocka_unit_test(a_sawn_shaft_keeps_its_flat_end_and_a_sharp_edge),
        cmocka_unit_test(a_drum_has_two_flat_ends),
        cmocka_unit_test(what_is_flat_without_a_sharp_edge_all_round_is_no_end),
        cmocka_unit_test(an_open_sheet_stays_open_or_becomes_a_solid_of_its_thickness),
        cmocka_unit_test(a_sheet_ends_where_the_mesh_does_at_its_rim_and_at_its_hole),
        cmocka_unit_test(a_thickness_past_the_bend_is_noticed),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(bad_meshes_and_options_are_refused_in_words),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
