/* OBJ out and in, and what 3MF and GLB share with it: nothing half written. */
#include "cad_files.h"

static void what_is_written_reads_back_bit_by_bit(void **state) {
    (void)state;
    es_mesh mesh = cube(), back;
    for (size_t i = 0; i < 24; i++) mesh.vertices[i] *= 1.2345678f;
    write_mesh("b.obj", &mesh, (es_mesh_write_options){.title = "a\nf 1 2 3"});
    assert_true(es_mesh_read(in_folder("b.obj"), &back, NULL));
    assert_int_equal(back.vertex_count, 8);
    assert_int_equal(back.triangle_count, 12);
    assert_memory_equal(back.vertices, mesh.vertices, 24 * sizeof(float));
    assert_memory_equal(back.triangles, mesh.triangles, 36 * sizeof(uint32_t));
    es_mesh_clear(&mesh);
    es_mesh_clear(&back);
}

static void vtk_reads_the_same(void **state) {
    (void)state;
    es_mesh mesh = cube();
    long points, triangles;
    double volume;
    write_mesh("v.obj", &mesh, (es_mesh_write_options){0});
    es_mesh_clear(&mesh);
    if (!ask_vtk("vtkOBJReader", in_folder("v.obj"), &points, &triangles, &volume)) {
        print_message("python3-vtk9 is not installed\n");
        skip();
    }
    assert_int_equal(triangles, 12);
    assert_true(fabs(volume - 1000) < 1e-3); /* float32 coordinates of 10 mm: 1e-6 */
}

static void corners_may_carry_other_numbers_and_count_from_the_end(void **state) {
    (void)state;
    es_mesh mesh =
        read_text("c.obj", "# a comment\r\nmtllib x.mtl\r\nv 0 0 0 1\r\nv 2 0 0\r\nv 2 2 0\r\n"
                           "vt 0 0\r\nvn 0 0 1\r\nv 0 2 0\r\ng part\r\nf 1/1/1 2/1 3//1 4\r\n"
                           "f -4 -3 -2\r\nf 1 2\r\n");
    const uint32_t truth[] = {0, 1, 2, 0, 2, 3, 0, 1, 2};
    assert_int_equal(mesh.vertex_count, 4);
    assert_int_equal(mesh.triangle_count, 3);
    assert_memory_equal(mesh.triangles, truth, sizeof truth);
    es_mesh_clear(&mesh);
}

static void what_is_wrong_is_named_with_its_line(void **state) {
    (void)state;
    static const char three[] = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";
    char text[200];
    const char *const cases[][2] = {{"f 1 2 4\n", "line 4: vertex 4, but there are 3"},
                                    {"f 1 2 0\n", "line 4: vertex 0"},
                                    {"f 1 2 -4\n", "line 4: vertex -4"},
                                    {"f 1 2 x\n", "line 4: 'x' is not the number"},
                                    {"f 1 2 99999999999999999999\n", "line 4"},
                                    {"v 1 nan 2\nf 1 2 3\n", "line 4"},
                                    {"v 1 1e99 2\nf 1 2 3\n", "line 4"},
                                    {"v 1 2\nf 1 2 3\n", "line 4"},
                                    {"f 1 1 2\n", "no face"},
                                    {"", "no face"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", three, cases[i][0]);
        refuse_text("w.obj", text, cases[i][1]);
    }
}

static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    check_failed_writes("f.obj", (es_mesh_write_options){0});
    check_failed_writes("f.3mf", (es_mesh_write_options){0});
    check_failed_writes("f.glb", (es_mesh_write_options){0});
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    static const char *const names[] = {"m.obj", "m.3mf", "m.glb"};
    es_mesh mesh = cube();
    write_mesh("r.obj", &mesh, (es_mesh_write_options){0});
    check_failed_allocations("r.obj");
    for (size_t i = 0; i < 3; i++) {
        bool ok = false;
        for (int failures = 0; !ok && failures < 200; failures++) {
            es_error err = {0};
            es_alloc_fail_after(failures);
            ok = es_mesh_write(in_folder(names[i]), &mesh, NULL, &err);
            es_alloc_fail_after(-1);
            if (!ok) assert_int_equal(err.code, ES_MEMORY);
        }
        assert_true(ok);
    }
    es_mesh_clear(&mesh);
}

static void formats_that_are_only_written_say_so(void **state) {
    (void)state;
    refuse_bytes("x.3mf", "PK", 2, ES_UNSUPPORTED, "written, not read");
    refuse_bytes("x.glb", "glTF", 4, ES_UNSUPPORTED, "written, not read");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back_bit_by_bit),
        cmocka_unit_test(vtk_reads_the_same),
        cmocka_unit_test(corners_may_carry_other_numbers_and_count_from_the_end),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(each_failed_allocation_is_reported),
        cmocka_unit_test(formats_that_are_only_written_say_so),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
