/* STEP out: the text by itself, Open CASCADE's verdict, and what is refused. */
#include "step_check.h"

/* The surface of a box as six patches on a lattice of control points: closed,
 * sharp edges, exact volume. */
static es_patches patch_box(double x, double y, double z) {
    static const int AXES[6][3] = {{0, 1, 2}, {1, 0, 2}, {1, 2, 0},
                                   {2, 1, 0}, {2, 0, 1}, {0, 2, 1}};
    const double size[3] = {x, y, z};
    es_patches box = {.point_count = 64, .count = 6};
    box.points = es_alloc(64, 3 * sizeof(double), NULL);
    box.patches = es_alloc_zero(6, sizeof *box.patches, NULL);
    for (int p = 0; p < 64; p++) {
        const int at[3] = {p & 3, p >> 2 & 3, p >> 4};
        for (int a = 0; a < 3; a++) box.points[3 * p + a] = size[a] * at[a] / 3;
    }
    for (int f = 0; f < 6; f++)
        for (int i = 0; i < 16; i++) { /* u x v = third axis, or against it on the low side */
            int at[3];
            at[AXES[f][0]] = i / 4;
            at[AXES[f][1]] = i % 4;
            at[AXES[f][2]] = f % 2 ? 0 : 3;
            box.patches[f].point[i] = (uint32_t)(at[0] + 4 * at[1] + 16 * at[2]);
        }
    return box;
}

static es_step_report write_ok(const char *name, const es_step_body *bodies, size_t count,
                               const es_step_options *options) {
    es_step_report report = {0};
    es_error err = {0};
    if (!es_step_write(in_folder(name), bodies, count, options, &report, &err))
        fail_msg("%s", err.message);
    return report;
}

static void refuse(const es_step_body *body, const es_step_options *options, es_code code,
                   const char *words) {
    es_error err = {0};
    assert_false(es_step_write(in_folder("refused.step"), body, 1, options, NULL, &err));
    if (err.code != code || !strstr(err.message, words))
        fail_msg("code %d, expected %d, and '%s' in: %s", err.code, code, words, err.message);
    assert_false(file_exists(in_folder("refused.step")));
    assert_false(file_exists(in_folder("refused.step.part")));
}

/* Rounded to 1e-4 mm: a cube of 10 x 10 x 10 mm. */
static const double CUBE_VOLUME = 1000;

static void a_cube_of_facets_is_one_closed_solid_in_the_text(void **state) {
    (void)state;
    es_mesh mesh = cube();
    es_step_body body = {.name = "cube", .mesh = &mesh};
    es_step_report r = write_ok("cube.step", &body, 1, NULL);
    step_text t = read_step(in_folder("cube.step"));
    assert_int_equal(t.faces, 12);
    assert_int_equal(t.solids, 1);
    assert_int_equal(t.euler, 2);
    assert_true(t.closed);
    assert_int_equal(r.vertices, 8);
    assert_int_equal(r.edges, 18);
    assert_true(fabs(r.volume_mm3 - CUBE_VOLUME) < 1e-6 * CUBE_VOLUME);
    assert_true(fabs(r.area_mm2 - 600) < 1e-3);
    assert_true(fabs(r.centroid.x - 5.1) < 1e-3); /* from 0.1 to 10.1 */
    es_mesh_clear(&mesh);
}

static void patches_share_edges_and_vertices_in_the_text(void **state) {
    (void)state;
    es_patches box = patch_box(10, 20, 30);
    es_step_body body = {.name = "box", .patches = &box};
    es_step_report r = write_ok("box.step", &body, 1, NULL);
    step_text t = read_step(in_folder("box.step"));
    assert_int_equal(t.faces, 6);
    assert_int_equal(t.edges, 12);
    assert_int_equal(t.vertices, 8);
    assert_true(t.closed);
    /* Gauss's quadrature is exact for these polynomials; the rest is rounding to 1e-5 mm. */
    assert_true(fabs(r.volume_mm3 - 6000) < 1e-2);
    assert_true(fabs(r.area_mm2 - 2200) < 1e-2);
    assert_true(fabs(r.centroid.z - 15) < 1e-4);
    es_patches_clear(&box);
}

static void open_cascade_reads_both_as_valid_solids_of_that_size(void **state) {
    (void)state;
    step_verdict v;
    es_mesh mesh = cube();
    es_patches box = patch_box(10, 20, 30);
    es_step_body facets = {.name = "cube", .mesh = &mesh},
                 smooth = {.name = "box", .patches = &box};
    for (es_step_schema schema = ES_STEP_AP214; schema <= ES_STEP_AP242; schema++) {
        es_step_options options = {.schema = schema, .name = "thing"};
        write_ok("a.step", &facets, 1, &options);
        write_ok("b.stp", &smooth, 1, &options);
        if (!ask_occt(in_folder("a.step"), &v)) {
            es_mesh_clear(&mesh);
            es_patches_clear(&box);
            skip();
        }
        assert_int_equal(v.solids, 1);
        assert_int_equal(v.free_edges, 0);
        assert_int_equal(v.valid, 1);
        assert_true(fabs(v.volume - CUBE_VOLUME) < 1e-6 * CUBE_VOLUME);
        assert_true(ask_occt(in_folder("b.stp"), &v));
        assert_int_equal(v.solids, 1);
        assert_int_equal(v.faces, 6);
        assert_int_equal(v.free_edges, 0);
        assert_int_equal(v.valid, 1);
        assert_true(fabs(v.volume - 6000) < 1e-2);
        assert_true(fabs(v.size[2] - 30) < 1e-3); /* millimetres */
        assert_string_equal(v.name, "thing");
    }
    es_mesh_clear(&mesh);
    es_patches_clear(&box);
}

/* The judge itself: what it is there to find, it finds. */
static void the_strict_oracle_notices_an_edge_used_the_wrong_way(void **state) {
    (void)state;
    step_verdict v;
    size_t length;
    es_patches box = patch_box(10, 20, 30);
    es_step_body body = {.name = "box", .patches = &box};
    write_ok("good.step", &body, 1, NULL);
    char *text = es_file_read(in_folder("good.step"), 1 << 20, &length, NULL);
    char *edge = strstr(text, "ORIENTED_EDGE");
    char *flag = strstr(edge, ".T.");
    flag[1] = 'F';
    put_file("bad.step", text, length);
    es_free(text);
    es_patches_clear(&box);
    if (!ask_occt(in_folder("bad.step"), &v)) skip();
    assert_true(v.valid == 0 || fabs(v.volume - 6000) > 1);
}

static void pieces_become_solids_with_numbered_names(void **state) {
    (void)state;
    step_verdict v;
    es_mesh a = cube(), two = {.vertex_count = 16, .triangle_count = 24};
    two.vertices = es_alloc(48, sizeof(float), NULL);
    two.triangles = es_alloc(72, sizeof(uint32_t), NULL);
    for (int i = 0; i < 48; i++) two.vertices[i] = a.vertices[i % 24] + (i < 24 ? 0.0f : 30.0f);
    for (int i = 0; i < 72; i++) two.triangles[i] = a.triangles[i % 36] + (i < 36 ? 0 : 8);
    es_step_body body = {.name = "bone", .mesh = &two};
    es_step_report r = write_ok("two.step", &body, 1, NULL);
    step_text t = read_step(in_folder("two.step"));
    assert_int_equal(r.solids, 2);
    assert_int_equal(t.solids, 2);
    assert_int_equal(t.euler, 4);
    size_t length;
    char *text = es_file_read(in_folder("two.step"), 1 << 20, &length, NULL);
    assert_non_null(strstr(text, "FACETED_BREP('bone 1',"));
    assert_non_null(strstr(text, "FACETED_BREP('bone 2',"));
    es_free(text);
    es_mesh_clear(&a);
    es_mesh_clear(&two);
    if (!ask_occt(in_folder("two.step"), &v)) skip();
    assert_int_equal(v.solids, 2);
    assert_int_equal(v.valid, 1);
    assert_true(fabs(v.volume - 2 * CUBE_VOLUME) < 1e-2);
}

/* `inner`, turned inside out and in the middle, in the same list as `outer`. */
static es_patches patches_with_hollow(es_patches outer, es_patches inner, bool hollow_first) {
    es_patches all = {.point_count = 128, .count = 12};
    all.points = es_alloc(128, 3 * sizeof(double), NULL);
    all.patches = es_alloc_zero(12, sizeof *all.patches, NULL);
    memcpy(all.points, outer.points, 192 * sizeof(double));
    const double *far_outer = outer.points + 189, *far_inner = inner.points + 189;
    for (int i = 0; i < 192; i++)
        all.points[192 + i] = inner.points[i] + (far_outer[i % 3] - far_inner[i % 3]) / 2;
    es_patch *outside = all.patches + (hollow_first ? 6 : 0);
    es_patch *inside = all.patches + (hollow_first ? 0 : 6);
    memcpy(outside, outer.patches, 6 * sizeof *outside);
    for (int f = 0; f < 6; f++)
        for (int i = 0; i < 16; i++)
            inside[f].point[i] = 64 + inner.patches[f].point[4 * (i % 4) + i / 4];
    es_patches_clear(&outer);
    es_patches_clear(&inner);
    return all;
}

static void a_small_hollow_of_patches_is_left_out_and_counted(void **state) {
    (void)state;
    step_verdict v;
    for (int first = 0; first < 2; first++) {
        es_patches all = patches_with_hollow(patch_box(10, 20, 30), patch_box(2, 2, 2), first);
        es_step_body body = {.name = "bone", .patches = &all};
        es_step_report r = write_ok("hollow.step", &body, 1, NULL);
        step_text t = read_step(in_folder("hollow.step"));
        assert_int_equal(r.hollows, 1);
        assert_int_equal(r.solids, 1);
        assert_int_equal(r.faces, 6);
        assert_int_equal(t.solids, 1);
        assert_int_equal(t.faces, 6);
        assert_true(t.closed);
        assert_true(fabs(r.volume_mm3 - 6000) < 1e-2); /* of the box alone */
        size_t length;
        char *text = es_file_read(in_folder("hollow.step"), 1 << 20, &length, NULL);
        assert_non_null(strstr(text, "MANIFOLD_SOLID_BREP('bone',")); /* one of one: no number */
        es_free(text);
        es_patches_clear(&all);
        if (!ask_occt(in_folder("hollow.step"), &v)) continue;
        assert_int_equal(v.solids, 1);
        assert_int_equal(v.valid, 1);
        assert_true(fabs(v.volume - 6000) < 1e-2);
    }
}

static void a_large_hollow_or_turned_patches_are_refused(void **state) {
    (void)state;
    es_patches all = patches_with_hollow(patch_box(10, 20, 30), patch_box(5, 5, 5), false);
    es_step_body body = {.name = "bone", .patches = &all};
    refuse(&body, NULL, ES_GEOMETRY, "a piece of 6 patches has its inside out (-125 mm3)");
    es_patches_clear(&all);
    all = patch_box(10, 20, 30);
    for (int f = 0; f < 6; f++) {
        es_patch was = all.patches[f];
        for (int i = 0; i < 16; i++) all.patches[f].point[i] = was.point[4 * (i % 4) + i / 4];
    }
    refuse(&body, NULL, ES_GEOMETRY, "has its inside out (-6000 mm3)");
    es_patches_clear(&all);
}

/* The box whose top, z = 30, is a plane. */
static es_patches plane_box(void) {
    es_patches box = patch_box(10, 20, 30);
    es_patch_edges edges;
    memmove(box.patches, box.patches + 1, 5 * sizeof *box.patches);
    box.count = 5;
    assert_true(es_patch_edges_find(&box, &edges, NULL));
    box.planes = es_alloc_zero(1, sizeof *box.planes, NULL);
    box.plane_sides = es_alloc(4, sizeof *box.plane_sides, NULL);
    box.planes[0] = (es_patch_plane){.at = {5, 10, 30}, .normal = {0, 0, 1}};
    box.plane_count = 1;
    uint32_t along[4], end = UINT32_MAX;
    for (int turn = 0; turn < 4; turn++)
        for (uint32_t side = 0; side < 20; side++) {
            es_patch_side(&box.patches[side / 4], (int)(side % 4), along);
            if (edges.edges[edges.of_side[side]].uses != 1 || (turn > 0 && along[0] != end))
                continue;
            end = along[3];
            box.plane_sides[box.planes[0].count++] = side;
            break;
        }
    es_patch_edges_clear(&edges);
    assert_int_equal(box.planes[0].count, 4);
    return box;
}

static void a_plane_closes_patches_with_edges_of_theirs(void **state) {
    (void)state;
    step_verdict v;
    es_patches box = plane_box();
    es_step_body body = {.name = "box", .patches = &box};
    es_step_report r = write_ok("plane.step", &body, 1, NULL);
    step_text t = read_step(in_folder("plane.step"));
    assert_int_equal(r.faces, 6);
    assert_int_equal(t.faces, 6);
    assert_int_equal(t.edges, 12);
    assert_true(t.closed);
    assert_true(fabs(r.volume_mm3 - 6000) < 1e-2); /* as of the box of six patches */
    assert_true(fabs(r.area_mm2 - 2200) < 1e-2);
    assert_true(fabs(r.centroid.z - 15) < 1e-4);
    box.planes[0].normal.z = 2;
    refuse(&body, NULL, ES_GEOMETRY, "plane 0 has no ring, normal or place");
    box.planes[0].normal.z = 1;
    box.plane_sides[2] = 20;
    refuse(&body, NULL, ES_GEOMETRY, "plane 0: side 20, but there are 5 patches");
    box.plane_sides[2] = box.plane_sides[1];
    refuse(&body, NULL, ES_GEOMETRY, "used more than twice");
    es_patches_clear(&box);
    if (!ask_occt(in_folder("plane.step"), &v)) skip();
    assert_int_equal(v.solids, 1);
    assert_int_equal(v.faces, 6);
    assert_int_equal(v.valid, 1);
    assert_int_equal(v.free_edges, 0);
    assert_true(fabs(v.volume - 6000) < 1e-2);
}

static void open_patches_become_an_open_shell_with_its_rim(void **state) {
    (void)state;
    step_verdict v;
    es_patches box = patch_box(10, 20, 30);
    box.count = 5;
    es_step_body body = {.name = "box", .patches = &box, .open = true};
    es_step_report r = write_ok("open.step", &body, 1, NULL);
    step_text t = read_step(in_folder("open.step"));
    assert_int_equal(r.shells, 1);
    assert_int_equal(t.shells, 1);
    assert_int_equal(t.solids, 0);
    assert_int_equal(t.euler, 1);
    assert_int_equal(2 * t.edges - t.edge_uses, 4);
    body.open = false;
    refuse(&body, NULL, ES_GEOMETRY, "4 edges have one patch only");
    es_patches_clear(&box);
    if (!ask_occt(in_folder("open.step"), &v)) skip();
    assert_int_equal(v.solids, 0);
    assert_int_equal(v.shells, 1);
    assert_int_equal(v.free_edges, 4);
    assert_int_equal(v.valid, 1);
}

static void names_with_quotes_backslashes_and_all_of_unicode_come_through(void **state) {
    (void)state;
    static const char name[] = "Knie Größe 'links' 膝 \\ \360\237\246\264";
    step_verdict v;
    es_mesh mesh = cube();
    es_step_body body = {.name = name, .mesh = &mesh};
    es_step_options options = {.name = name, .description = name};
    write_ok("name.step", &body, 1, &options);
    read_step(in_folder("name.step"));
    size_t length;
    char *text = es_file_read(in_folder("name.step"), 1 << 20, &length, NULL);
    for (size_t i = 0; i < length; i++) assert_true((unsigned char)text[i] < 127);
    assert_non_null(strstr(text, "'Knie Gr\\X2\\00F6\\X0\\\\X2\\00DF\\X0\\e ''links'' "
                                 "\\X2\\819D\\X0\\ \\\\ \\X4\\0001F9B4\\X0\\'"));
    es_free(text);
    es_mesh_clear(&mesh);
    if (!ask_occt(in_folder("name.step"), &v)) skip();
    assert_int_equal(strncmp(v.name, "Knie Größe 'links' 膝 \\", 24), 0);
}

static void the_same_arguments_give_the_same_bytes(void **state) {
    (void)state;
    es_patches box = patch_box(10, 20, 30);
    es_step_body body = {.name = "box", .patches = &box};
    es_step_options options = {.time = "2026-11-21T08:00:00+00:00"};
    size_t a, b;
    write_ok("one.step", &body, 1, &options);
    write_ok("other.step", &body, 1, &options);
    char *one = es_file_read(in_folder("one.step"), 1 << 20, &a, NULL);
    char *other = es_file_read(in_folder("other.step"), 1 << 20, &b, NULL);
    assert_int_equal(a, b);
    assert_memory_equal(one, other, a);
    assert_non_null(strstr(one, "'2026-11-21T08:00:00+00:00'"));
    es_free(one);
    es_free(other);
    es_patches_clear(&box);
}

/* ---- refusals ---------------------------------------------------------------------- */

static void broken_meshes_are_refused_in_words(void **state) {
    (void)state;
    es_mesh mesh = cube(), none = {0};
    es_step_body body = {.name = "cube", .mesh = &mesh}, empty = {.mesh = &none};
    refuse(&empty, NULL, ES_GEOMETRY, "no triangles");
    mesh.triangle_count = 11;
    refuse(&body, NULL, ES_GEOMETRY, "3 edges have one triangle only");
    mesh.triangle_count = 12;
    mesh.vertices[5] = NAN;
    refuse(&body, NULL, ES_GEOMETRY, "vertex 1");
    mesh.vertices[5] = 1;
    mesh.triangles[7] = 8;
    refuse(&body, NULL, ES_GEOMETRY, "vertex 8, but there are 8");
    es_mesh_clear(&mesh);
    mesh = cube();
    for (int t = 0; t < 12; t++) { /* turned over */
        uint32_t keep = mesh.triangles[3 * t];
        mesh.triangles[3 * t] = mesh.triangles[3 * t + 1];
        mesh.triangles[3 * t + 1] = keep;
    }
    refuse(&body, NULL, ES_GEOMETRY, "inside out");
    es_mesh_clear(&mesh);
    mesh = cube();
    for (int a = 0; a < 3; a++) mesh.vertices[3 + a] = mesh.vertices[a] + 1e-6f;
    refuse(&body, NULL, ES_GEOMETRY, "no area");
    es_mesh_clear(&mesh);
}

static void broken_patches_names_and_mixtures_are_refused_in_words(void **state) {
    (void)state;
    es_mesh mesh = cube();
    es_patches box = patch_box(10, 20, 30), none = {0};
    es_step_body body = {.name = "box", .patches = &box}, empty = {.patches = &none};
    es_step_body both[2] = {{.name = "a", .mesh = &mesh}, body};
    es_error err = {0};
    refuse(&empty, NULL, ES_GEOMETRY, "no patches");
    assert_false(es_step_write(in_folder("x.step"), both, 2, NULL, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_false(es_step_write(in_folder("x.txt"), both, 1, NULL, NULL, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    body.name = "a\xff";
    refuse(&body, NULL, ES_USAGE, "UTF-8");
    body.name = "\xc0\xaf"; /* overlong */
    refuse(&body, NULL, ES_USAGE, "UTF-8");
    body.name = "box";
    box.points[7] = INFINITY;
    refuse(&body, NULL, ES_GEOMETRY, "control point 2");
    box.points[7] = 0;
    box.patches[3].point[5] = 64;
    refuse(&body, NULL, ES_GEOMETRY, "patch 3");
    es_patches_clear(&box);
    box = patch_box(10, 20, 30);
    es_patch turned = box.patches[0];
    for (int i = 0; i < 16; i++) box.patches[0].point[i] = turned.point[4 * (i % 4) + i / 4];
    refuse(&body, NULL, ES_GEOMETRY, "4 edges of the patches");
    es_patches_clear(&box);
    es_mesh_clear(&mesh);
}

/* A long bar of square cross-section: 8 n + 4 triangles. */
static es_mesh bar(uint32_t n) {
    es_mesh mesh = {.vertex_count = 4 * ((size_t)n + 1), .triangle_count = 8 * (size_t)n + 4};
    mesh.vertices = es_alloc(mesh.vertex_count, 3 * sizeof(float), NULL);
    mesh.triangles = es_alloc(mesh.triangle_count, 3 * sizeof(uint32_t), NULL);
    static const float corner[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    uint32_t *t = mesh.triangles;
    for (uint32_t i = 0; i <= n; i++)
        for (uint32_t k = 0; k < 4; k++) {
            float *v = mesh.vertices + 3 * (4 * i + k);
            v[0] = corner[k][0];
            v[1] = corner[k][1];
            v[2] = 0.01f * (float)i;
            if (i == n) continue;
            uint32_t a = 4 * i + k, b = 4 * i + (k + 1) % 4;
            const uint32_t two[6] = {a, b, b + 4, a, b + 4, a + 4};
            memcpy(t, two, sizeof two);
            t += 6;
        }
    const uint32_t e = 4 * n, ends[12] = {0, 2, 1, 0, 3, 2, e, e + 1, e + 2, e, e + 2, e + 3};
    memcpy(t, ends, sizeof ends);
    return mesh;
}

static void too_many_facets_are_refused_unless_forced(void **state) {
    (void)state;
    es_mesh mesh = bar(6250);
    es_step_body body = {.name = "bar", .mesh = &mesh};
    es_step_options options = {.many_facets = true};
    refuse(&body, NULL, ES_UNSUPPORTED, "50004 triangles");
    es_step_report r = write_ok("many.step", &body, 1, &options);
    assert_int_equal(r.faces, 50004);
    assert_true(fabs(r.volume_mm3 - 62.5) < 1e-6 * 62.5); /* 1 x 1 x 62.5 mm; floats of 0.01 */
    es_mesh_clear(&mesh);
}

/* ---- failures ------------------------------------------------------------------------ */

static void a_full_disk_leaves_the_older_file(void **state) {
    (void)state;
    es_mesh mesh = bar(200);
    es_step_body body = {.name = "bar", .mesh = &mesh};
    int failures = 0;
    put_file("full.step", "old", 3);
    for (;; failures++) {
        es_error err = {0};
        es_output_fail_after(failures);
        bool ok = es_step_write(in_folder("full.step"), &body, 1, NULL, NULL, &err);
        es_output_fail_after(-1);
        if (ok) break;
        size_t length;
        char *old = es_file_read(in_folder("full.step"), 100, &length, NULL);
        assert_int_equal(err.code, ES_IO);
        assert_non_null(old);
        assert_string_equal(old, "old");
        es_free(old);
        assert_false(file_exists(in_folder("full.step.part")));
    }
    assert_true(failures >= 2);
    es_mesh_clear(&mesh);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = cube();
    es_patches box = patch_box(10, 20, 30);
    es_step_body bodies[2] = {{.name = "cube", .mesh = &mesh}, {.name = "box", .patches = &box}};
    for (int b = 0; b < 2; b++) {
        int failures = 0;
        for (;; failures++) {
            es_error err = {0};
            es_alloc_fail_after(failures);
            bool ok = es_step_write(in_folder("m.step"), &bodies[b], 1, NULL, NULL, &err);
            es_alloc_fail_after(-1);
            if (ok) break;
            assert_int_equal(err.code, ES_MEMORY);
            assert_false(file_exists(in_folder("m.step")));
        }
        assert_true(failures >= 5);
        unlink(in_folder("m.step"));
    }
    es_mesh_clear(&mesh);
    es_patches_clear(&box);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cube_of_facets_is_one_closed_solid_in_the_text),
        cmocka_unit_test(patches_share_edges_and_vertices_in_the_text),
        cmocka_unit_test(open_cascade_reads_both_as_valid_solids_of_that_size),
        cmocka_unit_test(the_strict_oracle_notices_an_edge_used_the_wrong_way),
        cmocka_unit_test(pieces_become_solids_with_numbered_names),
        cmocka_unit_test(a_small_hollow_of_patches_is_left_out_and_counted),
        cmocka_unit_test(a_large_hollow_or_turned_patches_are_refused),
        cmocka_unit_test(a_plane_closes_patches_with_edges_of_theirs),
        cmocka_unit_test(open_patches_become_an_open_shell_with_its_rim),
        cmocka_unit_test(names_with_quotes_backslashes_and_all_of_unicode_come_through),
        cmocka_unit_test(the_same_arguments_give_the_same_bytes),
        cmocka_unit_test(broken_meshes_are_refused_in_words),
        cmocka_unit_test(broken_patches_names_and_mixtures_are_refused_in_words),
        cmocka_unit_test(too_many_facets_are_refused_unless_forced),
        cmocka_unit_test(a_full_disk_leaves_the_older_file),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
