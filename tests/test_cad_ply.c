/* PLY out and in: text, both byte orders, all kinds of headers, and broken. */
#include "cad_files.h"

#define TRIANGLE_HEADER                                                                            \
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"                \
    "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"

/* ---- writing --------------------------------------------------------------------- */

static void both_kinds_read_back_bit_by_bit(void **state) {
    (void)state;
    for (int ascii = 0; ascii < 2; ascii++)
        for (int confidence = 0; confidence < 2; confidence++) {
            es_mesh mesh = cube(), back;
            for (size_t i = 0; i < 24; i++) mesh.vertices[i] *= 1.2345678f;
            if (!confidence) {
                es_free(mesh.confidence);
                mesh.confidence = NULL;
            }
            write_mesh("b.ply", &mesh, (es_mesh_write_options){.ascii = ascii});
            assert_true(es_mesh_read(in_folder("b.ply"), &back, NULL));
            assert_int_equal(back.vertex_count, 8);
            assert_int_equal(back.triangle_count, 12);
            assert_memory_equal(back.vertices, mesh.vertices, 24 * sizeof(float));
            assert_memory_equal(back.triangles, mesh.triangles, 36 * sizeof(uint32_t));
            assert_int_equal(back.confidence != NULL, confidence);
            if (confidence)
                assert_memory_equal(back.confidence, mesh.confidence, 8 * sizeof(float));
            es_mesh_clear(&mesh);
            es_mesh_clear(&back);
        }
}

static void the_header_says_what_it_is(void **state) {
    (void)state;
    es_mesh mesh = cube();
    size_t length;
    write_mesh("h.ply", &mesh, (es_mesh_write_options){.title = "a\nend_header"});
    char *bytes = es_file_read(in_folder("h.ply"), 10000, &length, NULL);
    assert_non_null(bytes);
    assert_int_equal(strncmp(bytes, "ply\nformat binary_little_endian 1.0\ncomment echosolid ", 54),
                     0);
    assert_non_null(strstr(bytes, " mm a end_header\nelement vertex 8\n"));
    assert_non_null(
        strstr(bytes, "property float nz\nproperty float confidence\nelement face 12\n"));
    const char *end = strstr(bytes, "\nend_header\n") + 12;
    assert_int_equal(length - (size_t)(end - bytes), 8 * 28 + 12 * 13);
    es_free(bytes);
    es_mesh_clear(&mesh);
}

static void further_values_stand_beside_the_vertices(void **state) {
    (void)state;
    float frames[8], directions[8];
    for (int v = 0; v < 8; v++) frames[v] = (float)(10 + v), directions[v] = (float)(v % 3);
    const es_mesh_values values[] = {{"frames", frames}, {"directions", directions}};
    for (int ascii = 0; ascii < 2; ascii++) {
        es_mesh mesh = cube(), back = {0};
        es_mesh_write_options options = {.ascii = ascii, .values = values, .value_count = 2};
        es_error err = {0};
        size_t length;
        assert_true(es_mesh_write(in_folder("values.ply"), &mesh, &options, &err));
        char *bytes = es_file_read(in_folder("values.ply"), 1 << 20, &length, NULL);
        assert_non_null(strstr(bytes, "property float frames\nproperty float directions\n"));
        if (ascii) assert_non_null(strstr(bytes, " 17 1\n"));            /* the last vertex */
        assert_true(es_mesh_read(in_folder("values.ply"), &back, &err)); /* they are skipped */
        assert_memory_equal(back.vertices, mesh.vertices, 24 * sizeof(float));
        assert_memory_equal(back.triangles, mesh.triangles, 36 * sizeof(uint32_t));
        options.value_count = 9;
        assert_false(es_mesh_write(in_folder("values.ply"), &mesh, &options, &err));
        assert_int_equal(err.code, ES_USAGE);
        es_free(bytes);
        es_mesh_clear(&mesh);
        es_mesh_clear(&back);
    }
}

static void vtk_reads_the_same(void **state) {
    (void)state;
    es_mesh mesh = cube();
    for (int ascii = 0; ascii < 2; ascii++) {
        long points, triangles;
        double volume;
        write_mesh("v.ply", &mesh, (es_mesh_write_options){.ascii = ascii});
        if (!ask_vtk("vtkPLYReader", in_folder("v.ply"), &points, &triangles, &volume)) {
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

/* A normal per vertex, as VTK reads it: along the diagonals of the cube, outwards (up to
 * how many triangles of each side meet in the corner: at worst (2, 1, 1), 19.5 degrees off). */
static void vtk_reads_normals_that_point_outwards(void **state) {
    (void)state;
    static const char script[] =
        "import sys, vtk\n"
        "r = getattr(vtk, sys.argv[1])(); r.SetFileName(sys.argv[2]); r.Update()\n"
        "o = r.GetOutput(); n = o.GetPointData().GetNormals(); worst = 1\n"
        "c = o.GetCenter()\n"
        "for i in range(o.GetNumberOfPoints()):\n"
        "    d = [a - b for a, b in zip(o.GetPoint(i), c)]\n"
        "    l = sum(a * a for a in d) ** .5\n"
        "    worst = min(worst, sum(a * b for a, b in zip(n.GetTuple(i), d)) / l)\n"
        "print(n.GetNumberOfTuples(), worst)\n";
    static const char *const files[][2] = {{"vtkPLYReader", "n.ply"}, {"vtkOBJReader", "n.obj"}};
    es_mesh mesh = cube();
    put_file("normals.py", script, sizeof script - 1);
    for (int i = 0; i < 2; i++) {
        char command[1024], line[200] = "";
        long count = 0;
        double worst = 0;
        write_mesh(files[i][1], &mesh, (es_mesh_write_options){0});
        snprintf(command, sizeof command, "/usr/bin/python3 '%s' %s '%s' 2>/dev/null",
                 in_folder("normals.py"), files[i][0], in_folder(files[i][1]));
        FILE *answer = popen(command, "r");
        assert_non_null(answer);
        bool ok = fgets(line, sizeof line, answer) != NULL;
        if (pclose(answer) != 0 || !ok) {
            es_mesh_clear(&mesh);
            print_message("python3-vtk9 is not installed\n");
            skip();
        }
        assert_int_equal(sscanf(line, "%ld %lf", &count, &worst), 2);
        assert_int_equal(count, 8);
        assert_true(worst > cos(20 * 3.14159265 / 180)); /* a side's own normal is 55 degrees off */
    }
    es_mesh_clear(&mesh);
}

/* ---- reading, well-formed ------------------------------------------------------------- */

static void polygons_are_fanned_and_stubs_left_out(void **state) {
    (void)state;
    es_mesh mesh = read_text(
        "p.ply", "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\n"
                 "property float z\nelement face 5\nproperty list uchar int vertex_index\n"
                 "end_header\n0 0 0\n2 0 0\n3 2 0\n1 3 0\n-1 2 0\n5 0 1 2 3 4\n2 0 1\n0\n"
                 "4 0 1 1 2\n3 4 3 2\n");
    const uint32_t truth[] = {0, 1, 2, 0, 2, 3, 0, 3, 4, 0, 1, 2, 4, 3, 2};
    assert_int_equal(mesh.triangle_count, 5);
    assert_memory_equal(mesh.triangles, truth, sizeof truth);
    es_mesh_clear(&mesh);
}

static void unknown_elements_and_properties_are_skipped(void **state) {
    (void)state;
    es_mesh mesh = read_text(
        "u.ply",
        "ply\r\nformat ascii 1.0\r\ncomment made elsewhere\r\nobj_info num 3\r\n\r\n"
        "element camera 2\r\nproperty double f\r\nproperty list short float ks\r\n"
        "element nothing 7\r\n"
        "element vertex 3\r\nproperty uchar red\r\nproperty double z\r\nproperty float32 x\r\n"
        "property list uchar int16 tags\r\nproperty int y\r\nproperty float quality\r\n"
        "element face 1\r\nproperty list uint8 float texcoord\r\n"
        "property list uint8 uint32 vertex_indices\r\nproperty float flags\r\n"
        "element edge 1\r\nproperty int a\r\nproperty int b\r\nend_header\r\n"
        "1.5 3 1 2 3\r\n2.5 0\r\n"
        "255 1.5 1 2 7 8 2 0.25\r\n0 2.5 3 0 4 -1\r\n9 3.5 5 1 9 6 nan\r\n"
        "2 0.1 0.2 3 2 1 0 0.5\r\n0 1\r\n");
    const float truth[] = {1, 2, 1.5f, 3, 4, 2.5f, 5, 6, 3.5f};
    const uint32_t corners[] = {2, 1, 0};
    assert_int_equal(mesh.vertex_count, 3);
    assert_memory_equal(mesh.vertices, truth, sizeof truth);
    assert_memory_equal(mesh.triangles, corners, sizeof corners);
    assert_true(mesh.confidence[0] == 0.25f);
    assert_true(mesh.confidence[1] == 0 && mesh.confidence[2] == 0); /* clamped; NaN */
    es_mesh_clear(&mesh);
}

/* Bytes of a number in the asked order. */
static size_t put_number(uint8_t *to, const void *number, size_t size, bool big) {
    const uint8_t *from = number; /* the test's machines are little endian */
    for (size_t i = 0; i < size; i++) to[i] = from[big ? size - 1 - i : i];
    return size;
}

static size_t binary_ply(uint8_t *bytes, bool big, int16_t last_corner) {
    size_t at = (size_t)sprintf(
        (char *)bytes,
        "ply\nformat binary_%s_endian 1.0\nelement vertex 3\nproperty double x\n"
        "property short y\nproperty float z\nproperty uchar confidence\nelement face 2\n"
        "property list ushort short vertex_indices\nend_header\n",
        big ? "big" : "little");
    for (int v = 0; v < 3; v++) {
        double x = 1.5 * v;
        int16_t y = (int16_t)(-300 * v);
        float z = 0.25f * (float)v;
        at += put_number(bytes + at, &x, 8, big);
        at += put_number(bytes + at, &y, 2, big);
        at += put_number(bytes + at, &z, 4, big);
        bytes[at++] = (uint8_t)(v > 1);
    }
    for (int f = 0; f < 2; f++) {
        const int16_t face[] = {3, (int16_t)f, (int16_t)(1 - f), last_corner};
        for (int i = 0; i < 4; i++) at += put_number(bytes + at, &face[i], 2, big);
    }
    return at;
}

static void both_byte_orders_are_read(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        uint8_t bytes[600];
        size_t length = binary_ply(bytes, big, 2);
        es_mesh mesh = read_bytes("e.ply", bytes, length);
        const float truth[] = {0, 0, 0, 1.5f, -300, 0.25f, 3, -600, 0.5f};
        const uint32_t corners[] = {0, 1, 2, 1, 0, 2};
        assert_memory_equal(mesh.vertices, truth, sizeof truth);
        assert_memory_equal(mesh.triangles, corners, sizeof corners);
        assert_true(mesh.confidence[2] == 1 && mesh.confidence[1] == 0);
        es_mesh_clear(&mesh);
    }
}

static void faces_may_come_before_vertices(void **state) {
    (void)state;
    es_mesh mesh = read_text(
        "f.ply", "ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int vertex_indices\n"
                 "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
                 "end_header\n3 0 1 2\n0 0 0\n1 0 0\n0 1 0\n");
    assert_int_equal(mesh.triangle_count, 1);
    es_mesh_clear(&mesh);
}

/* ---- reading, broken ---------------------------------------------------------------------- */

static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    uint8_t bytes[600];
    size_t whole = binary_ply(bytes, true, 2);
    for (size_t length = 0; length < whole; length++) {
        es_mesh mesh;
        es_error err = {0};
        put_file("cut.ply", bytes, length);
        assert_false(es_mesh_read(in_folder("cut.ply"), &mesh, &err));
        assert_true(err.code == ES_FORMAT || err.code == ES_UNSUPPORTED);
    }
    static const char text[] = TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n3 0 1 2";
    for (size_t length = 0; length < sizeof text - 1; length++) {
        es_mesh mesh;
        es_error err = {0};
        put_file("cut.ply", text, length);
        assert_false(es_mesh_read(in_folder("cut.ply"), &mesh, &err));
        assert_true(err.code == ES_FORMAT || err.code == ES_UNSUPPORTED);
    }
}

static void broken_headers_are_refused_with_their_line(void **state) {
    (void)state;
    refuse_text("h.ply", "", "first line");
    refuse_text("h.ply", "plyx\n", "first line");
    refuse_text("h.ply", "ply\nformat ascii 1.0\n", "line 3: ends before 'end_header'");
    refuse_text("h.ply", "ply\nformat binary 1.0\n", "line 2: format 'binary'");
    refuse_text("h.ply", "ply\nfromat ascii 1.0\n", "line 2: 'fromat'");
    refuse_text("h.ply", "ply\nproperty float x\n", "line 2: a property stands before");
    refuse_text("h.ply", "ply\nelement vertex -1\n", "line 2: element 'vertex': '-1'");
    refuse_text("h.ply", "ply\nelement vertex 99999999999999999999\n", "is not a count");
    refuse_text("h.ply", "ply\nelement vertex\n", "is not a count");
    refuse_text("h.ply", "ply\nelement vertex 1\nproperty flaot x\n", "line 3: 'flaot'");
    refuse_text("h.ply", "ply\nelement vertex 1\nproperty float\n", "line 3: a property of");
    refuse_text("h.ply", "ply\nelement face 1\nproperty list float int vertex_indices\n",
                "line 3: 'float' is not a type for the length");
    refuse_text("h.ply", "ply\nelement face 1\nproperty list uchar\n", "line 3");
    refuse_text("h.ply", "ply\nend_header\n", "no 'format'");
    refuse_text("h.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n",
                "no element 'vertex' with x, y and z");
    refuse_text("h.ply", "ply\nformat ascii 1.0\nelement vertex 1\nelement vertex 2\nend_header\n",
                "declared twice");
}

static void headers_without_end_are_bounded(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add(&text, "ply\nformat ascii 1.0\n");
    for (int i = 0; i < 40; i++) es_text_add(&text, "element e%d 1\n", i);
    refuse_bytes("many.ply", text.bytes, text.length, ES_UNSUPPORTED, "kinds of element");
    text.length = 0;
    es_text_add(&text, "ply\nformat ascii 1.0\nelement vertex 1\n");
    for (int i = 0; i < 300; i++) es_text_add(&text, "property float p%d\n", i);
    refuse_bytes("many.ply", text.bytes, text.length, ES_UNSUPPORTED, "properties");
    text.length = 0;
    es_text_add(&text, "ply\nformat ascii 1.0\n");
    for (int i = 0; i < 5000; i++) es_text_add(&text, "x");
    refuse_bytes("many.ply", text.bytes, text.length, ES_FORMAT, "line 3");
    es_text_free(&text);
}

static void sizes_past_the_file_are_refused_before_memory_is_asked_for(void **state) {
    (void)state;
    refuse_text("s.ply",
                "ply\nformat binary_little_endian 1.0\nelement vertex 2000000000\n"
                "property float x\nproperty float y\nproperty float z\nelement face 1\n"
                "property list uchar int vertex_indices\nend_header\n1234",
                "2000000000 of element 'vertex', but 4 bytes are left");
    refuse_text("s.ply",
                "ply\nformat ascii 1.0\nelement camera 4000000000000000000\nproperty int a\n"
                "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
                "element face 1\nproperty list uchar int vertex_indices\nend_header\n1",
                "of element 'camera'");
    refuse_text("s.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n4000000000 0 1 2\n",
                "face 0: a list of 4e+09 entries");
    refuse_text("s.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n-3 0 1 2\n", "a list of -3");
    refuse_text("s.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n2.5 0 1 2\n", "a list of 2.5");
}

static void indices_out_of_range_are_refused(void **state) {
    (void)state;
    uint8_t bytes[600];
    refuse_bytes("i.ply", bytes, binary_ply(bytes, false, 3), ES_FORMAT,
                 "face 0: vertex 3, but there are 3");
    refuse_bytes("i.ply", bytes, binary_ply(bytes, true, -1), ES_FORMAT, "face 0: vertex -1");
    refuse_text("i.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n3 0 1 nan\n", "face 0");
    refuse_text("i.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n3 0 1 1.5\n", "vertex 1.5");
}

static void coordinates_that_are_no_numbers_are_refused(void **state) {
    (void)state;
    refuse_text("c.ply", TRIANGLE_HEADER "0 0 0\n1 0 x\n0 1 0\n3 0 1 2\n",
                "vertex 1: line 11: 'x'");
    refuse_text("c.ply", TRIANGLE_HEADER "0 0 0\n1 0 nan\n0 1 0\n3 0 1 2\n", "vertex 1: nan");
    refuse_text("c.ply", TRIANGLE_HEADER "0 0 0\n1 0 1e39\n0 1 0\n3 0 1 2\n", "vertex 1: 1e+39");
}

static void files_without_faces_are_refused(void **state) {
    (void)state;
    static const char cloud[] = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\n"
                                "property float y\nproperty float z\nend_header\n0 0 0\n";
    refuse_bytes("n.ply", cloud, sizeof cloud - 1, ES_UNSUPPORTED, "no faces");
    refuse_text("n.ply", TRIANGLE_HEADER "0 0 0\n1 0 0\n0 1 0\n3 0 1 1\n", "no face has three");
}

/* ---- failures ---------------------------------------------------------------------------- */

static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    check_failed_writes("full.ply", (es_mesh_write_options){0});
    check_failed_writes("full.ply", (es_mesh_write_options){.ascii = true});
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = cube();
    write_mesh("m.ply", &mesh, (es_mesh_write_options){0});
    check_failed_allocations("m.ply");
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_read_back_bit_by_bit),
        cmocka_unit_test(the_header_says_what_it_is),
        cmocka_unit_test(further_values_stand_beside_the_vertices),
        cmocka_unit_test(vtk_reads_the_same),
        cmocka_unit_test(vtk_reads_normals_that_point_outwards),
        cmocka_unit_test(polygons_are_fanned_and_stubs_left_out),
        cmocka_unit_test(unknown_elements_and_properties_are_skipped),
        cmocka_unit_test(both_byte_orders_are_read),
        cmocka_unit_test(faces_may_come_before_vertices),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(broken_headers_are_refused_with_their_line),
        cmocka_unit_test(headers_without_end_are_bounded),
        cmocka_unit_test(sizes_past_the_file_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(indices_out_of_range_are_refused),
        cmocka_unit_test(coordinates_that_are_no_numbers_are_refused),
        cmocka_unit_test(files_without_faces_are_refused),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
