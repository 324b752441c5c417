/* Iso-surfaces of sparse bricks: true to the field, two-manifold whatever the
 * field, the same bytes on any number of threads. */
#include "surface_fields.h"

static double radius20(es_vec3 p) { return es_vec3_length(p) - 20; }

static double torus(es_vec3 p) { return hypot(hypot(p.x, p.y) - 9, p.z) - 3.5; }

static double white(es_vec3 p) { return place_noise(p); }

/* Only -1, 0 and 1: at level 0 many values equal the level. */
static double three_values(es_vec3 p) { return fmin(1, fmax(-1, round(white(p)))); }

static double smooth_noise(es_vec3 p) {
    return sin(1.9 * p.x) * cos(1.3 * p.y + p.z) + sin(p.y * p.z / 3) + 0.3 * white(p);
}

static es_iso_options closed_options(void) {
    return (es_iso_options){.inside_below = true, .outside_unknown = true};
}

/* ---- truth ------------------------------------------------------------------ */

static double sphere_rms(double spacing_mm, double *volume) {
    es_mesh mesh = mesh_of_field(radius20, 21, spacing_mm);
    double squares = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        double at[3] = {0}; /* centres: vertices lie on the surface far better than facets do */
        for (int k = 0; k < 3; k++)
            for (int a = 0; a < 3; a++)
                at[a] += mesh.vertices[3 * mesh.triangles[3 * t + (size_t)k] + (size_t)a] / 3.0;
        squares += pow(radius20(es_vec3_make(at[0], at[1], at[2])), 2);
    }
    es_mesh_check check = inspect(&mesh);
    assert_two_manifold(&mesh, true);
    assert_int_equal(check.euler, 2);
    assert_int_equal(check.components, 1);
    *volume = check.volume_mm3;
    double rms = sqrt(squares / (double)mesh.triangle_count);
    es_mesh_clear(&mesh);
    return rms;
}

static void a_sphere_is_met_and_converges_with_the_square_of_the_voxel(void **state) {
    (void)state;
    double true_volume = 4.0 / 3 * M_PI * 8000, volume[3], rms[3], spacing[3] = {1, 0.5, 0.25};
    for (int i = 0; i < 3; i++) rms[i] = sphere_rms(spacing[i], &volume[i]);
    assert_true(rms[1] < 0.02); /* the figure the issue asks for at 0.5 mm */
    for (int i = 0; i < 2; i++) {
        double fall = rms[i] / rms[i + 1];
        assert_true(fall > 3.2 && fall < 4.8); /* 4 for second order, a fifth for sampling */
        double error = fabs(volume[i] - true_volume), next = fabs(volume[i + 1] - true_volume);
        assert_true(error / next > 3.2 && error / next < 4.8);
    }
    assert_true(volume[2] > 0.999 * true_volume && volume[2] < true_volume); /* chords lie inside */
}

static void grey_values_above_the_level_are_inside_when_asked(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(radius20, 22, 1);
    for (size_t i = 0; i < es_bricks_count(bricks); i++)
        for (int v = 0; v < ES_BRICK_VOXELS; v++) {
            es_brick *brick = es_bricks_get(bricks, i);
            brick->value[v] = 100 - 3 * brick->value[v];
        }
    es_mesh mesh = extract(bricks, (es_iso_options){.level = 100}, NULL);
    es_mesh_check check = inspect(&mesh);
    assert_two_manifold(&mesh, true);
    assert_near(check.volume_mm3, 4.0 / 3 * M_PI * 8000, 100); /* 0.3 %: the sphere at 1 mm */
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

static void a_torus_has_genus_one(void **state) {
    (void)state;
    es_mesh mesh = mesh_of_field(torus, 14, 0.5);
    es_mesh_check check = inspect(&mesh);
    assert_two_manifold(&mesh, true);
    assert_int_equal(check.euler, 0);
    /* 2 pi^2 R r^2; chords of 0.5 mm on r = 3.5 lose about (0.5 / 3.5)^2 / 8. */
    assert_near(check.volume_mm3, 2 * M_PI * M_PI * 9 * 3.5 * 3.5, 0.005 * 2176);
    es_mesh_clear(&mesh);
}

static void spacing_may_differ_along_the_axes(void **state) {
    (void)state;
    es_error err = {0};
    double origin[3] = {-20, 30, 7}, spacing[3] = {0.5, 1, 0.75};
    es_bricks *bricks = es_bricks_new(origin, spacing, &err);
    for (int b = 0; b < 64; b++) {
        es_brick *brick = es_bricks_add(bricks, b & 3, b >> 2 & 3, b >> 4, &err);
        assert_non_null(brick);
        for (int v = 0; v < ES_BRICK_VOXELS; v++) {
            int at[3];
            voxel_index(brick, v, at);
            double x = 0.5 * (at[0] - 32), y = at[1] - 32, z = 0.75 * (at[2] - 32);
            brick->weight[v] = 1;
            brick->value[v] = (float)(sqrt(x * x + y * y + z * z) - 12);
        }
    }
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    es_box3 box = es_mesh_box(&mesh);
    assert_two_manifold(&mesh, true);
    double centre[3] = {-20 + 16, 30 + 32, 7 + 24};
    /* The poles of a 12 mm sphere lie on lattice lines, where the field is exact
     * up to the float steps of coordinates below 100 mm. */
    assert_near(box.min.x, centre[0] - 12, 1e-3);
    assert_near(box.max.y, centre[1] + 12, 1e-3);
    assert_near(box.max.z, centre[2] + 12, 1e-3);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

/* ---- any field -------------------------------------------------------------- */

static void check_noise(field_fn *field, double level) {
    es_bricks *bricks = bricks_of_field(field, 6, 0.5); /* 25^3 voxels, across bricks */
    es_iso_options options = closed_options();
    options.level = level;
    es_mesh mesh = extract(bricks, options, NULL);
    assert_two_manifold(&mesh, true);
    assert_true(inspect(&mesh).volume_mm3 > 0);
    es_mesh_clear(&mesh);
    options.outside_unknown = false;
    mesh = extract(bricks, options, NULL);
    assert_two_manifold(&mesh, false);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

static void white_noise_gives_a_two_manifold(void **state) {
    (void)state;
    check_noise(white, 0);
    check_noise(white, 0.6);
    check_noise(white, -0.6);
}

static void smooth_noise_gives_a_two_manifold(void **state) {
    (void)state;
    check_noise(smooth_noise, 0.1);
}

static void values_that_equal_the_level_leave_no_facet_without_area(void **state) {
    (void)state;
    check_noise(three_values, 0);
    check_noise(three_values, 1);
}

static void every_pattern_of_signs_next_to_every_other_is_closed(void **state) {
    (void)state;
    /* 2 x 2 x 2 voxels of one pattern beside 2 x 2 x 2 of another. */
    double origin[3] = {0}, spacing[3] = {1, 1, 1};
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    es_brick *brick = es_bricks_add(bricks, 0, 0, 0, NULL);
    for (unsigned pattern = 1; pattern < 4096; pattern++) {
        memset(brick->weight, 0, sizeof brick->weight);
        for (unsigned c = 0; c < 12; c++) { /* 3 x 2 x 2: both share the middle face */
            size_t v = c % 3 + 16 * (c / 3 % 2) + 256 * (c / 6) + 1 + 16 + 256;
            brick->weight[v] = 1;
            brick->value[v] = pattern >> c & 1 ? -1 : 1;
        }
        es_mesh mesh = extract(bricks, closed_options(), NULL);
        assert_two_manifold(&mesh, true);
        es_mesh_clear(&mesh);
    }
    es_bricks_free(bricks);
}

static void mask(es_bricks *bricks, double part_kept, bool nan) {
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_brick *brick = es_bricks_get(bricks, i);
        es_random random = es_random_new(11, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++) {
            if (es_random_uniform(&random) < part_kept) continue;
            if (nan)
                brick->value[v] = NAN;
            else
                brick->weight[v] = 0;
        }
    }
}

static void unknown_voxels_leave_a_boundary_and_no_bow_ties(void **state) {
    (void)state;
    for (int nan = 0; nan < 2; nan++) {
        es_bricks *bricks = bricks_of_field(white, 6, 0.5);
        mask(bricks, 0.9, nan);
        es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
        assert_two_manifold(&mesh, false);
        es_mesh_clear(&mesh);
        mesh = extract(bricks, closed_options(), NULL);
        assert_two_manifold(&mesh, true);
        es_mesh_clear(&mesh);
        es_bricks_free(bricks);
    }
}

static void weights_under_the_least_are_unknown(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(radius20, 22, 1);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_brick *brick = es_bricks_get(bricks, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++)
            if (brick->at[2] < 0) brick->weight[v] *= 0.5f; /* z < 0 was seen once only */
    }
    es_mesh mesh =
        extract(bricks, (es_iso_options){.inside_below = true, .min_weight = 0.75f}, NULL);
    es_mesh_check check = inspect(&mesh);
    assert_two_manifold(&mesh, false);
    assert_int_equal(check.boundary_loops, 1);
    assert_int_equal(check.euler, 1);                   /* a disc */
    assert_near(es_mesh_box(&mesh).min.z, 0.007, 1e-6); /* the first known layer, z = 0 */
    /* Half the sphere, 2 pi r^2; chords of 1 mm lose (1 / 20)^2 / 8. */
    assert_near(check.area_mm2, 2 * M_PI * 400, 5);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

static void infinite_values_and_a_far_lattice_are_survived(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(white, 4, 0.5);
    for (size_t i = 0; i < es_bricks_count(bricks); i++)
        for (int v = 0; v < ES_BRICK_VOXELS; v += 3)
            es_bricks_get(bricks, i)->value[v] = v & 1 ? INFINITY : -INFINITY;
    es_mesh mesh = extract(bricks, closed_options(), NULL);
    assert_two_manifold(&mesh, true);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
    /* Half a millimetre at 4 m: float steps are 0.00024 mm there. */
    double origin[3] = {4000, -4000, 4000}, spacing[3] = {0.5, 0.5, 0.5};
    bricks = es_bricks_new(origin, spacing, NULL);
    es_brick *brick = es_bricks_add(bricks, 0, 0, 0, NULL);
    for (int v = 0; v < ES_BRICK_VOXELS; v++) {
        brick->weight[v] = 1;
        brick->value[v] = (float)three_values(es_vec3_make(v & 15, v >> 4 & 15, v >> 8));
    }
    mesh = extract(bricks, closed_options(), NULL);
    assert_two_manifold(&mesh, true);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

static void a_field_that_never_crosses_gives_an_empty_mesh(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(radius20, 5, 1);
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    assert_int_equal(mesh.triangle_count, 0);
    assert_int_equal(mesh.vertex_count, 0);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
    double origin[3] = {0}, spacing[3] = {1, 1, 1};
    bricks = es_bricks_new(origin, spacing, NULL);
    mesh = extract(bricks, closed_options(), NULL);
    assert_int_equal(mesh.triangle_count, 0);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

/* ---- confidence, threads, failures ------------------------------------------ */

static void confidence_follows_the_weight_and_is_zero_on_caps(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(radius20, 22, 1);
    for (size_t i = 0; i < es_bricks_count(bricks); i++) {
        es_brick *brick = es_bricks_get(bricks, i);
        for (int v = 0; v < ES_BRICK_VOXELS; v++)
            brick->weight[v] = brick->at[2] < 0 ? 0.0f : 3.0f * brick->weight[v];
    }
    es_iso_options options = closed_options();
    options.half_weight = 1;
    es_mesh mesh = extract(bricks, options, NULL);
    size_t caps = 0;
    assert_non_null(mesh.confidence);
    for (size_t v = 0; v < mesh.vertex_count; v++) {
        bool cap = mesh.vertices[3 * v + 2] < 0; /* half a voxel below the first known layer */
        caps += cap;
        assert_near(mesh.confidence[v], cap ? 0 : 0.75, 1e-6); /* 3 / (3 + 1) */
    }
    assert_true(caps > 1000); /* the flat side: pi 20^2 = 1257 voxels */
    assert_two_manifold(&mesh, true);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
}

static void assert_same_mesh(const es_mesh *a, const es_mesh *b) {
    assert_int_equal(a->vertex_count, b->vertex_count);
    assert_int_equal(a->triangle_count, b->triangle_count);
    assert_memory_equal(a->vertices, b->vertices, 3 * a->vertex_count * sizeof(float));
    assert_memory_equal(a->triangles, b->triangles, 3 * a->triangle_count * sizeof(uint32_t));
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(smooth_noise, 16, 0.5);
    mask(bricks, 0.98, false);
    es_mesh one = extract(bricks, closed_options(), NULL);
    for (int threads = 2; threads < 8; threads += 3) {
        es_pool *pool = es_pool_new(threads, NULL);
        es_mesh many = extract(bricks, closed_options(), pool);
        assert_same_mesh(&one, &many);
        es_mesh_clear(&many);
        es_pool_free(pool);
    }
    es_mesh_clear(&one);
    es_bricks_free(bricks);
}

static void the_order_in_which_bricks_came_does_not_matter(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(white, 9, 0.5);
    es_bricks *turned = es_bricks_new(es_bricks_origin(bricks), es_bricks_spacing(bricks), NULL);
    for (size_t i = es_bricks_count(bricks); i-- > 0;) {
        const es_brick *from = es_bricks_get(bricks, i);
        *es_bricks_add(turned, from->at[0], from->at[1], from->at[2], NULL) = *from;
    }
    es_mesh a = extract(bricks, closed_options(), NULL),
            b = extract(turned, closed_options(), NULL);
    assert_same_mesh(&a, &b);
    es_mesh_clear(&a);
    es_mesh_clear(&b);
    es_bricks_free(bricks);
    es_bricks_free(turned);
}

static void assert_refused(es_bricks *bricks, es_iso_options options, es_code code) {
    es_mesh mesh = {0};
    es_error err = {0};
    assert_false(es_surface_extract(bricks, &options, NULL, &mesh, &err));
    assert_int_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
    assert_null(mesh.vertices);
    assert_null(mesh.triangles);
}

static void options_that_are_no_numbers_are_refused(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(radius20, 2, 1);
    assert_refused(bricks, (es_iso_options){.level = NAN}, ES_USAGE);
    assert_refused(bricks, (es_iso_options){.level = INFINITY}, ES_USAGE);
    assert_refused(bricks, (es_iso_options){.min_weight = NAN}, ES_USAGE);
    assert_refused(bricks, (es_iso_options){.half_weight = -1}, ES_USAGE);
    es_bricks_free(bricks);
}

static void voxels_finer_than_floats_can_tell_are_refused(void **state) {
    (void)state;
    double origin[3] = {1e6, 0, 0}, spacing[3] = {0.1, 0.1, 0.1};
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    assert_non_null(es_bricks_add(bricks, 0, 0, 0, NULL));
    assert_refused(bricks, (es_iso_options)ES_ISO_DEFAULTS, ES_GEOMETRY);
    es_bricks_free(bricks);
    origin[0] = 0;
    bricks = es_bricks_new(origin, spacing, NULL);
    assert_non_null(es_bricks_add(bricks, INT32_MIN, INT32_MAX, 0, NULL));
    assert_refused(bricks, closed_options(), ES_GEOMETRY);
    es_bricks_free(bricks);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_bricks *bricks = bricks_of_field(white, 4, 0.5);
    es_iso_options options = closed_options();
    options.half_weight = 1;
    int failures = 0;
    for (;; failures++) {
        es_mesh mesh = {0};
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_surface_extract(bricks, &options, NULL, &mesh, &err);
        es_alloc_fail_after(-1);
        es_mesh_clear(&mesh);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_int_equal(failures, 5); /* places, parts, vertices, triangles, confidence */
    es_bricks_free(bricks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sphere_is_met_and_converges_with_the_square_of_the_voxel),
        cmocka_unit_test(grey_values_above_the_level_are_inside_when_asked),
        cmocka_unit_test(a_torus_has_genus_one),
        cmocka_unit_test(spacing_may_differ_along_the_axes),
        cmocka_unit_test(white_noise_gives_a_two_manifold),
        cmocka_unit_test(smooth_noise_gives_a_two_manifold),
        cmocka_unit_test(values_that_equal_the_level_leave_no_facet_without_area),
        cmocka_unit_test(every_pattern_of_signs_next_to_every_other_is_closed),
        cmocka_unit_test(unknown_voxels_leave_a_boundary_and_no_bow_ties),
        cmocka_unit_test(weights_under_the_least_are_unknown),
        cmocka_unit_test(infinite_values_and_a_far_lattice_are_survived),
        cmocka_unit_test(a_field_that_never_crosses_gives_an_empty_mesh),
        cmocka_unit_test(confidence_follows_the_weight_and_is_zero_on_caps),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(the_order_in_which_bricks_came_does_not_matter),
        cmocka_unit_test(options_that_are_no_numbers_are_refused),
        cmocka_unit_test(voxels_finer_than_floats_can_tell_are_refused),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
