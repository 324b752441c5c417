/* STL out and in: every way it is written in the field, and broken. */
#include <locale.h>

#include "cad_files.h"

static const char ONE_FACET[] = "solid one\n facet normal 0 0 1\n  outer loop\n"
                                "   vertex 0 0 0\n   vertex 3 0 0\n   vertex 0 4 0\n"
                                "  endloop\n endfacet\nendsolid one\n";

/* A binary STL of `count` facets by its header, with `there` facets in it. */
static size_t binary_stl(uint8_t *bytes, const char *header, uint32_t count, uint32_t there) {
    static const float facet[12] = {0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0};
    memset(bytes, 0, 84 + 50 * there);
    memcpy(bytes, header, strlen(header));
    memcpy(bytes + 80, &count, 4); /* the test's machines are little endian */
    for (uint32_t t = 0; t < there; t++) {
        memcpy(bytes + 84 + 50 * t, facet, sizeof facet);
        float x = 3 + (float)t;
        memcpy(bytes + 84 + 50 * t + 24, &x, 4);
    }
    return 84 + 50 * there;
}

/* ---- writing -------------------------------------------------------------------- */

static void a_binary_file_has_the_layout_of_the_format(void **state) {
    (void)state;
    es_mesh mesh = cube();
    size_t length;
    write_mesh("a.stl", &mesh, (es_mesh_write_options){.title = "solid knee\nof somebody"});
    char *bytes = es_file_read(in_folder("a.stl"), 10000, &length, NULL);
    uint32_t count;
    assert_non_null(bytes);
    assert_int_equal(length, 84 + 50 * 12);
    memcpy(&count, bytes + 80, 4);
    assert_int_equal(count, 12);
    assert_int_equal(strncmp(bytes, "echosolid ", 10), 0);
    assert_non_null(strstr(bytes, " mm solid knee of somebody"));
    for (int t = 0; t < 12; t++) { /* a cube's normals are the axes, 0.1 / 10 float steps off */
        float normal[3];
        memcpy(normal, bytes + 84 + 50 * t, 12);
        int axis = t / 2 == 0 || t / 2 == 1 ? 2 : t / 2 == 2 || t / 2 == 3 ? 1 : 0;
        assert_true(fabsf(normal[axis] - (t / 2 % 2 ? 1.0f : -1.0f)) < 1e-6f);
        assert_int_equal(bytes[84 + 50 * t + 48] | bytes[84 + 50 * t + 49], 0);
    }
    es_free(bytes);
    es_mesh_clear(&mesh);
}

static void a_long_title_is_cut_and_one_of_ours_is_not_signed_twice(void **state) {
    (void)state;
    es_mesh mesh = cube();
    size_t length;
    char title[200];
    memset(title, 'x', sizeof title);
    memcpy(title, "echosolid 9, mm, ", 17);
    title[199] = 0;
    write_mesh("t.stl", &mesh, (es_mesh_write_options){.title = title});
    char *bytes = es_file_read(in_folder("t.stl"), 10000, &length, NULL);
    assert_int_equal(length, 84 + 50 * 12);
    assert_memory_equal(bytes, title, 80);
    es_free(bytes);
    es_mesh_clear(&mesh);
}

static void both_kinds_read_back_bit_by_bit(void **state) {
    (void)state;
    for (int ascii = 0; ascii < 2; ascii++) {
        es_mesh mesh = cube(), back;
        for (size_t i = 0; i < 24; i++) mesh.vertices[i] *= 1.2345678f; /* many digits */
        mesh.vertices[0] = -1.1754944e-38f;
        mesh.vertices[1] = 3.4028235e38f;
        write_mesh("b.stl", &mesh, (es_mesh_write_options){.ascii = ascii});
        assert_true(es_mesh_read(in_folder("b.stl"), &back, NULL));
        assert_same_triangles(&mesh, &back);
        es_mesh_clear(&mesh);
        es_mesh_clear(&back);
    }
}

static void a_decimal_comma_of_the_locale_does_not_get_in(void **state) {
    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE")) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    both_kinds_read_back_bit_by_bit(state);
    setlocale(LC_ALL, "C");
}

static void vtk_reads_the_same(void **state) {
    (void)state;
    es_mesh mesh = cube();
    for (int ascii = 0; ascii < 2; ascii++) {
        long points, triangles;
        double volume;
        write_mesh("v.stl", &mesh, (es_mesh_write_options){.ascii = ascii});
        if (!ask_vtk("vtkSTLReader", in_folder("v.stl"), &points, &triangles, &volume)) {
            print_message("python3-vtk9 is not installed\n");
            es_mesh_clear(&mesh);
            skip();
        }
        assert_int_equal(points, 8);
        assert_int_equal(triangles, 12);
        assert_true(fabs(volume - 1000) < 1e-3); /* float32 coordinates of 10 mm: 1e-6 */
    }
    es_mesh_clear(&mesh);
}

/* ---- reading, well-formed ------------------------------------------------------------ */

static void equal_corners_are_welded(void **state) {
    (void)state;
    es_mesh mesh = cube(), back;
    write_mesh("w.stl", &mesh, (es_mesh_write_options){0});
    assert_true(es_mesh_read(in_folder("w.stl"), &back, NULL));
    es_mesh_check check;
    assert_true(es_mesh_inspect(&back, &check, NULL));
    assert_int_equal(back.vertex_count, 8);
    assert_true(check.closed);
    es_mesh_clear(&mesh);
    es_mesh_clear(&back);
    back = read_text("zero.stl", "solid\nfacet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 "
                                 "vertex 0 1 0 endloop endfacet\nfacet normal 0 0 1 outer loop "
                                 "vertex -0 -0 0 vertex 0 1 0 vertex -1 0 0 endloop endfacet\n"
                                 "endsolid\n");
    assert_int_equal(back.vertex_count, 4); /* -0 is 0 */
    es_mesh_clear(&back);
}

static void a_binary_file_that_starts_with_solid_is_read_as_binary(void **state) {
    (void)state;
    uint8_t bytes[84 + 50 * 3];
    size_t length = binary_stl(bytes, "solid but binary", 3, 3);
    es_mesh mesh = read_bytes("s.stl", bytes, length);
    assert_int_equal(mesh.triangle_count, 3);
    assert_int_equal(mesh.vertex_count, 5);
    es_mesh_clear(&mesh);
}

static void bytes_after_the_last_facet_are_ignored(void **state) {
    (void)state;
    uint8_t bytes[84 + 50 * 3 + 7];
    binary_stl(bytes, "x", 2, 3);
    es_mesh mesh = read_bytes("more.stl", bytes, 84 + 50 * 2 + 7);
    assert_int_equal(mesh.triangle_count, 2);
    es_mesh_clear(&mesh);
}

static void text_is_read_in_all_its_habits(void **state) {
    (void)state;
    static const char *const variants[] = {
        ONE_FACET,
        "SOLID\r\nFACET NORMAL 0 0 1\r\nOUTER LOOP\r\nVERTEX 0 0 0\r\nVERTEX 3 0 0\r\n"
        "VERTEX 0 4 0\r\nENDLOOP\r\nENDFACET\r\nENDSOLID\r\n",
        "\xef\xbb\xbfsolid with a mark\nfacet normal nan nan nan\nouter loop\nvertex 0e0 +0. .0\n"
        "vertex 3.0000E+00 0 0\nvertex 0 40e-1 0\nendloop\nendfacet\nendsolid with a mark",
        "\n\n  solid facet normal in the name\nfacet normal 0 0 1 outer loop vertex 0 0 0 "
        "vertex 3 0 0 vertex 0 4 0 endloop endfacet endsolid\n\n",
        "solid empty\nendsolid empty\nsolid one\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n"
        "vertex 3 0 0\nvertex 0 4 0\nendloop\nendfacet\nendsolid one\n",
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        es_mesh mesh = read_text("variant.STL", variants[i]);
        const float truth[9] = {0, 0, 0, 3, 0, 0, 0, 4, 0};
        assert_int_equal(mesh.triangle_count, 1);
        assert_int_equal(mesh.vertex_count, 3);
        assert_memory_equal(mesh.vertices, truth, sizeof truth);
        es_mesh_clear(&mesh);
    }
}

static void facets_with_two_corners_in_one_place_are_left_out(void **state) {
    (void)state;
    uint8_t bytes[84 + 50 * 2];
    size_t length = binary_stl(bytes, "x", 2, 2);
    memcpy(bytes + 84 + 50 + 24, bytes + 84 + 50 + 12, 12);
    es_mesh mesh = read_bytes("point.stl", bytes, length);
    assert_int_equal(mesh.triangle_count, 1);
    es_mesh_clear(&mesh);
}

/* ---- reading, broken ------------------------------------------------------------------- */

static void a_truncated_binary_file_is_refused(void **state) {
    (void)state;
    uint8_t bytes[84 + 50 * 3];
    size_t length = binary_stl(bytes, "x", 3, 3);
    refuse_bytes("t.stl", bytes, length - 1, ES_FORMAT, "cut off: 3 facets");
    refuse_bytes("t.stl", bytes, 84, ES_FORMAT, "cut off: 3 facets");
    refuse_bytes("t.stl", bytes, 83, ES_FORMAT, "83 bytes");
    refuse_bytes("t.stl", bytes, 0, ES_FORMAT, "0 bytes");
}

static void a_count_that_overflows_is_refused(void **state) {
    (void)state;
    uint8_t bytes[84 + 50];
    size_t length = binary_stl(bytes, "x", UINT32_MAX, 1);
    refuse_bytes("o.stl", bytes, length, ES_FORMAT, "cut off: 4294967295 facets");
}

static void a_file_without_facets_is_refused(void **state) {
    (void)state;
    uint8_t bytes[84 + 50];
    refuse_bytes("n.stl", bytes, binary_stl(bytes, "x", 0, 0), ES_FORMAT, "no facets");
    refuse_text("n.stl", "solid\nendsolid\n", "no facets");
    memset(bytes + 84, 0, 50);
    binary_stl(bytes, "x", 1, 1);
    memset(bytes + 84, 0, 50); /* one facet, all in one point */
    refuse_bytes("n.stl", bytes, 134, ES_FORMAT, "no facets");
}

static void coordinates_that_are_no_numbers_are_refused(void **state) {
    (void)state;
    uint8_t bytes[84 + 50 * 2];
    size_t length = binary_stl(bytes, "x", 2, 2);
    float bad[2] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        memcpy(bytes + 84 + 50 + 12, &bad[i], 4);
        refuse_bytes("c.stl", bytes, length, ES_FORMAT, "facet 1 of 2: corner 0");
    }
    static const char *const numbers[] = {"nan", "inf", "1e39", "x", "1,5", "", "0x", "--1"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "solid\nfacet normal 0 0 1\nouter loop\nvertex 0 %s 0\nvertex 3 0 0\n"
                 "vertex 0 4 0\nendloop\nendfacet\nendsolid\n",
                 numbers[i]);
        refuse_text("c.stl", text, *numbers[i] ? "line 4" : "line 5");
    }
}

static void text_cut_anywhere_is_refused(void **state) {
    (void)state;
    /* Up to "endsoli": with the whole word it is complete. */
    for (size_t length = 0; length < sizeof ONE_FACET - sizeof " one\n"; length++) {
        es_mesh mesh;
        es_error err = {0};
        put_file("cut.stl", ONE_FACET, length);
        assert_false(es_mesh_read(in_folder("cut.stl"), &mesh, &err));
        assert_int_equal(err.code, ES_FORMAT);
    }
}

static void text_out_of_order_is_refused_with_its_line(void **state) {
    (void)state;
    refuse_text("w.stl", "solid a\nsolid b\nendsolid\n", "line 2: 'solid' where 'facet'");
    refuse_text("w.stl", "solid a\nfacet nrmal 0 0 1\n", "line 2: 'nrmal'");
    refuse_text("w.stl",
                "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n"
                "endloop\nendfacet\nendsolid\n",
                "line 6: 'endloop' where 'vertex'");
    refuse_text("w.stl",
                "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n"
                "vertex 0 1 0\nvertex 1 1 0\nendloop\nendfacet\nendsolid\n",
                "line 7: 'vertex' where 'endloop'");
    refuse_text("w.stl", "solid a\nendsolid a\nfacet normal 0 0 1\n", "line 3: 'facet'");
    refuse_text("w.stl", "v 1 2 3\nf 1 2 3\n", "neither text");
}

/* ---- paths and failures --------------------------------------------------------------------- */

static void unknown_names_and_places_are_refused(void **state) {
    (void)state;
    es_mesh mesh = cube(), back;
    es_error err = {0};
    assert_false(es_mesh_can_write("a.step", &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_non_null(strstr(err.message, ".stl, .ply"));
    assert_true(es_mesh_can_write("A.STL", NULL) && es_mesh_can_write("a.b.ply", NULL));
    assert_false(es_mesh_can_write("stl", NULL));
    assert_false(es_mesh_write(in_folder("a.fbx"), &mesh, NULL, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_false(es_mesh_write(in_folder("no/such/a.stl"), &mesh, NULL, &err));
    assert_int_equal(err.code, ES_IO);
    assert_false(es_mesh_read(in_folder("absent.stl"), &back, &err));
    assert_int_equal(err.code, ES_IO);
    assert_false(es_mesh_read(in_folder("absent.xyz"), &back, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    es_mesh_clear(&mesh);
}

static void broken_meshes_are_not_written(void **state) {
    (void)state;
    es_mesh mesh = cube(), empty = {0};
    es_error err = {0};
    assert_false(es_mesh_write(in_folder("x.stl"), &empty, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    mesh.triangles[35] = 8;
    assert_false(es_mesh_write(in_folder("x.stl"), &mesh, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_non_null(strstr(err.message, "triangle 11: vertex 8"));
    mesh.triangles[35] = 0;
    mesh.vertices[4] = NAN;
    assert_false(es_mesh_write(in_folder("x.ply"), &mesh, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_false(file_exists(in_folder("x.stl")) || file_exists(in_folder("x.ply")));
    es_mesh_clear(&mesh);
}

static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    check_failed_writes("full.stl", (es_mesh_write_options){0});
    check_failed_writes("full.stl", (es_mesh_write_options){.ascii = true});
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = cube();
    write_mesh("m.stl", &mesh, (es_mesh_write_options){0});
    check_failed_allocations("m.stl");
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binary_file_has_the_layout_of_the_format),
        cmocka_unit_test(a_long_title_is_cut_and_one_of_ours_is_not_signed_twice),
        cmocka_unit_test(both_kinds_read_back_bit_by_bit),
        cmocka_unit_test(a_decimal_comma_of_the_locale_does_not_get_in),
        cmocka_unit_test(vtk_reads_the_same),
        cmocka_unit_test(equal_corners_are_welded),
        cmocka_unit_test(a_binary_file_that_starts_with_solid_is_read_as_binary),
        cmocka_unit_test(bytes_after_the_last_facet_are_ignored),
        cmocka_unit_test(text_is_read_in_all_its_habits),
        cmocka_unit_test(facets_with_two_corners_in_one_place_are_left_out),
        cmocka_unit_test(a_truncated_binary_file_is_refused),
        cmocka_unit_test(a_count_that_overflows_is_refused),
        cmocka_unit_test(a_file_without_facets_is_refused),
        cmocka_unit_test(coordinates_that_are_no_numbers_are_refused),
        cmocka_unit_test(text_cut_anywhere_is_refused),
        cmocka_unit_test(text_out_of_order_is_refused_with_its_line),
        cmocka_unit_test(unknown_names_and_places_are_refused),
        cmocka_unit_test(broken_meshes_are_not_written),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
