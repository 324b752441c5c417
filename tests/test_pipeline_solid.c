/* From a surface to a STEP file and what Open CASCADE finds in it. */
#include "step_check.h"

#include "echosolid/solid.h"
#include "surface_fields.h"

static double bone(es_vec3 p) { /* two lumps on a shaft, which hang together */
    double a = es_vec3_length(es_vec3_sub(p, es_vec3_make(-9, 0, -12))) - 10;
    double b = es_vec3_length(es_vec3_sub(p, es_vec3_make(9, 0, -12))) - 9;
    double z = fmax(-12, fmin(14, p.z));
    double shaft = es_vec3_length(es_vec3_sub(p, es_vec3_make(0, 0, z))) - 7;
    double d[3] = {a, b, shaft}, sum = 0;
    for (int i = 0; i < 3; i++) sum += exp(-d[i]); /* a smooth union */
    return -log(sum);
}

static double two_bones(es_vec3 p) {
    double ball = es_vec3_length(es_vec3_sub(p, es_vec3_make(0, 17, 12))) - 7;
    return fmin(bone(p), ball);
}

static double hollow(es_vec3 p) {
    double r = es_vec3_length(p);
    return fmax(r - 15, 8 - r);
}

static es_mesh seen_from_front(void) {
    es_mesh mesh = mesh_of_field(bone, 26, 0.7);
    size_t kept = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        const uint32_t *k = mesh.triangles + 3 * t;
        if (mesh.vertices[3 * k[0] + 1] < 1) continue;
        memmove(mesh.triangles + 3 * kept++, k, 3 * sizeof *k);
    }
    mesh.triangle_count = kept;
    assert_true(es_mesh_clean(&mesh, 0.05, NULL, NULL));
    return mesh;
}

static es_solid_report write_solid(const char *name, const es_mesh *mesh,
                                   es_solid_options options) {
    es_solid_report report;
    es_error err = {0};
    if (!es_solid_write_step(in_folder(name), mesh, &options, NULL, &report, &err))
        fail_msg("%s", err.message);
    return report;
}

/* The file as the writer says, by both judges. */
static void judge(const char *name, const es_solid_report *r, size_t solids, size_t shells) {
    step_verdict v;
    step_text t = read_step(in_folder(name));
    assert_int_equal(t.solids, solids);
    assert_int_equal(t.shells, shells);
    assert_int_equal(t.faces, r->file.faces);
    assert_int_equal(t.closed, shells == 0);
    if (!ask_occt(in_folder(name), &v)) return;
    assert_int_equal(v.solids, solids);
    assert_int_equal(v.shells, solids + shells);
    assert_int_equal(v.valid, 1);
    assert_int_equal(v.free_edges == 0, shells == 0);
    assert_int_equal(v.faces, r->file.faces);
    assert_true(v.tolerance < 1e-5);
    assert_true(fabs(v.area - r->file.area_mm2) < 1e-4 * v.area); /* OCCT's own quadrature */
    if (shells == 0) assert_true(fabs(v.volume - r->file.volume_mm3) < 1e-6 * v.volume);
}

static void a_bone_becomes_one_smooth_solid_within_the_tolerance(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(bone, 26, 0.5);
    es_mesh_check check = inspect(&mesh);
    options.tolerance_mm = 0.12;
    es_solid_report r = write_solid("bone.step", &mesh, options);
    assert_true(r.reached && !r.thickened);
    assert_true(r.to_mesh.p95_mm <= 0.12 && r.from_mesh.p95_mm <= 0.12);
    assert_true(r.file.faces <= 1000 && r.file.bytes <= 1500000);           /* asked of each bone */
    assert_true(fabs(r.file.volume_mm3 / check.volume_mm3 - 1) < 2e-4 * 5); /* 0.5 mm voxels */
    judge("bone.step", &r, 1, 0);
    es_mesh_clear(&mesh);
}

/* The shaft cut off at a slant, 8 mm above the lumps. */
static double sawn_bone(es_vec3 p) {
    return fmax(bone(p), (p.z + 0.3 * p.x - 8) / sqrt(1 + 0.3 * 0.3));
}

static void a_flat_end_is_one_plane_with_a_sharp_edge(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(sawn_bone, 26, 0.5);
    es_mesh_check check = inspect(&mesh);
    options.tolerance_mm = 0.12;
    es_solid_report r = write_solid("sawn.step", &mesh, options);
    assert_int_equal(r.planes, 1);
    assert_true(r.reached);
    assert_true(r.to_mesh.rms_mm <= 0.08 && r.from_mesh.rms_mm <= 0.08);
    /* A mesh of 0.5 mm voxels falls short of an edge of 44 mm by 1/8 of a voxel's square. */
    assert_true(fabs(r.file.volume_mm3 / check.volume_mm3 - 1) < 1e-3);
    judge("sawn.step", &r, 1, 0);
    size_t length;
    char *text = es_file_read(in_folder("sawn.step"), 1 << 27, &length, NULL);
    assert_non_null(strstr(text, "=PLANE('',#"));
    assert_non_null(strstr(text, "1 flat end kept flat"));
    es_free(text);
    es_mesh_clear(&mesh);
}

static void two_bones_and_a_hollow_are_told_apart(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(two_bones, 28, 0.7);
    es_solid_report r = write_solid("two.step", &mesh, options);
    assert_int_equal(r.pieces, 2);
    judge("two.step", &r, 2, 0);
    es_mesh_clear(&mesh);
    mesh = mesh_of_field(hollow, 18, 0.7);
    r = write_solid("hollow.step", &mesh, options);
    assert_int_equal(r.pieces, 1);
    assert_int_equal(r.hollows, 1);
    judge("hollow.step", &r, 1, 0);
    es_mesh_clear(&mesh);
}

static void a_seen_sheet_becomes_an_open_shell_or_a_thick_solid(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = seen_from_front();
    es_solid_report r = write_solid("thick.step", &mesh, options);
    assert_true(r.thickened);
    assert_true(r.thinnest_mm > 1);
    judge("thick.step", &r, 1, 0);
    size_t length;
    char *text = es_file_read(in_folder("thick.step"), 1 << 27, &length, NULL);
    assert_non_null(strstr(text, "thickened 2 mm, hidden side not measured"));
    assert_non_null(strstr(text, "deviation from the mesh RMS 0."));
    es_free(text);
    options.open = true;
    r = write_solid("open.step", &mesh, options);
    judge("open.step", &r, 0, 1);
    es_mesh_clear(&mesh);
}

static void facets_are_reduced_and_their_volume_is_exact(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(bone, 26, 0.7), sheet = seen_from_front();
    options.mode = ES_STEP_FACETED;
    options.facets = 2000;
    es_solid_report r = write_solid("facets.step", &mesh, options);
    assert_true(r.file.faces <= 2000 && r.file.faces > 1900);
    assert_true(r.to_mesh.p95_mm > 0 && r.to_mesh.p95_mm < 0.1);
    judge("facets.step", &r, 1, 0);
    r = write_solid("sheet.step", &sheet, options);
    assert_true(r.thickened);
    judge("sheet.step", &r, 1, 0);
    es_mesh_clear(&mesh);
    es_mesh_clear(&sheet);
}

static double pebble(es_vec3 p) {
    double r = sqrt(p.x * p.x / 196 + p.y * p.y / 121 + p.z * p.z / 81);
    return 9 * (r - 1) + 0.3 * sin(0.6 * p.x) * cos(0.5 * p.y);
}

static void a_star_shaped_bone_becomes_six_spline_faces(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(pebble, 18, 0.5), other = seen_from_front();
    es_mesh_check check = inspect(&mesh);
    options.mode = ES_STEP_PATCHES6;
    options.tolerance_mm = 0.05;
    es_solid_report r = write_solid("six.step", &mesh, options);
    assert_true(r.reached);
    assert_int_equal(r.file.faces, 6);
    assert_int_equal(r.file.edges, 12);
    assert_true(r.to_mesh.p95_mm <= 0.05 && r.from_mesh.p95_mm <= 0.05);
    assert_true(fabs(r.file.volume_mm3 / check.volume_mm3 - 1) < 1e-3);
    judge("six.step", &r, 1, 0);
    es_error err = {0};
    assert_false(es_solid_write_step(in_folder("no.step"), &other, &options, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "not star-shaped"));
    assert_false(file_exists(in_folder("no.step")));
    es_mesh_clear(&mesh);
    es_mesh_clear(&other);
}

/* The triples of the first "((a,b,c),...)" behind a word. */
static size_t read_triples(const char *text, const char *word, double *out, size_t most) {
    const char *at = strstr(text, word);
    size_t count = 0;
    assert_non_null(at);
    at = strstr(at, "((") + 1;
    while (*at == '(' && count < most) {
        char *end = (char *)at;
        for (int k = 0; k < 3; k++) out[3 * count + (size_t)k] = strtod(end + 1, &end);
        count++;
        at = end + 1 + strspn(end + 1, ",\n");
    }
    return count;
}

static void a_tessellated_file_has_the_triangles_of_each_piece_in_ap242(void **state) {
    (void)state;
    enum { MOST = 60000 };
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = mesh_of_field(pebble, 18, 0.7);
    options.mode = ES_STEP_TESSELLATED;
    es_solid_report r = write_solid("lists.step", &mesh, options);
    read_step(in_folder("lists.step"));
    size_t length;
    char *text = es_file_read(in_folder("lists.step"), 1 << 27, &length, NULL);
    double *points = malloc(3 * MOST * sizeof *points), *faces = malloc(3 * MOST * sizeof *faces);
    assert_non_null(strstr(text, "AP242_MANAGED_MODEL_BASED_3D_ENGINEERING_MIM_LF"));
    assert_int_equal(read_triples(text, "COORDINATES_LIST", points, MOST), mesh.vertex_count);
    assert_int_equal(read_triples(text, "TRIANGULATED_FACE", faces, MOST), mesh.triangle_count);
    double volume = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        es_vec3 p[3];
        for (int k = 0; k < 3; k++) {
            const double *at = points + 3 * ((size_t)faces[3 * t + (size_t)k] - 1);
            p[k] = es_vec3_make(at[0], at[1], at[2]);
        }
        volume += es_vec3_dot(p[0], es_vec3_cross(p[1], p[2])) / 6;
    }
    es_mesh_check check = inspect(&mesh);
    assert_near(volume, check.volume_mm3, 1e-5 * volume); /* coordinates of 0.1 um */
    assert_near(r.file.volume_mm3, volume, 1e-8 * volume);
    free(points);
    free(faces);
    es_free(text);
    es_mesh_clear(&mesh);
}

static void refuse(const es_mesh *mesh, es_solid_options options, es_code code, const char *words) {
    es_error err = {0};
    assert_false(es_solid_write_step(in_folder("no.step"), mesh, &options, NULL, NULL, &err));
    if (err.code != code || !strstr(err.message, words))
        fail_msg("code %d, expected %d, and '%s' in: %s", err.code, code, words, err.message);
    assert_false(file_exists(in_folder("no.step")));
}

static void what_cannot_be_a_solid_is_refused_in_words(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS, facets = options, open = options;
    es_mesh none = {0}, huge = {.triangle_count = 20000000}, sheet = seen_from_front();
    facets.mode = ES_STEP_FACETED;
    refuse(&none, options, ES_GEOMETRY, "no triangles");
    refuse(&huge, options, ES_UNSUPPORTED, "20000000 triangles");
    facets.facets = 60000;
    refuse(&sheet, facets, ES_UNSUPPORTED, "60000 facets");
    open.mode = ES_STEP_FACETED;
    open.open = true;
    refuse(&sheet, open, ES_USAGE, "open sheet");
    sheet.vertices[4] = NAN;
    refuse(&sheet, options, ES_FORMAT, "not a coordinate");
    es_mesh_clear(&sheet);
}

static void a_surface_of_very_many_triangles_is_refused_before_the_work(void **state) {
    (void)state;
    es_error err = {0};
    es_mesh many = {.triangle_count = 20000000}; /* the count alone is looked at */
    assert_false(es_shape_check_size(&many, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_non_null(strstr(err.message, "20000000 triangles"));
    assert_non_null(strstr(err.message, "larger voxels"));
    many.triangle_count = ES_SHAPE_TRIANGLES_MAX;
    assert_true(es_shape_check_size(&many, &err));
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_solid_options options = ES_SOLID_DEFAULTS;
    es_mesh mesh = cube();
    options.mode = ES_STEP_FACETED;
    int failures = 0;
    for (;; failures++) {
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_solid_write_step(in_folder("m.step"), &mesh, &options, NULL, NULL, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(failures >= 10);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bone_becomes_one_smooth_solid_within_the_tolerance),
        cmocka_unit_test(a_flat_end_is_one_plane_with_a_sharp_edge),
        cmocka_unit_test(two_bones_and_a_hollow_are_told_apart),
        cmocka_unit_test(a_seen_sheet_becomes_an_open_shell_or_a_thick_solid),
        cmocka_unit_test(facets_are_reduced_and_their_volume_is_exact),
        cmocka_unit_test(a_star_shaped_bone_becomes_six_spline_faces),
        cmocka_unit_test(a_tessellated_file_has_the_triangles_of_each_piece_in_ap242),
        cmocka_unit_test(what_cannot_be_a_solid_is_refused_in_words),
        cmocka_unit_test(a_surface_of_very_many_triangles_is_refused_before_the_work),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
