/* A surface inside DICOM: its bytes, and what happens when memory or room runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "echosolid/solid.h"

static char folder[64], path[100];

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/es-dcm-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/m.dcm", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    remove(path);
    return remove(folder);
}

static float vertices[] = {0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0, 10};
static uint32_t triangles[] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};

static es_mesh tetrahedron(void) {
    return (es_mesh){
        .vertices = vertices, .vertex_count = 4, .triangles = triangles, .triangle_count = 4};
}

static const es_mesh_write_options OPTIONS = {.title = "echosolid, mm"};

static void the_stl_inside_is_the_one_that_is_written_beside(void **state) {
    (void)state;
    es_mesh mesh = tetrahedron();
    size_t stl_length, length, plain_length;
    char plain_path[120];
    uint8_t *stl = es_mesh_stl(&mesh, OPTIONS.title, &stl_length, NULL);
    assert_int_equal(stl_length, 84 + 50 * 4);
    snprintf(plain_path, sizeof plain_path, "%s/m.stl", folder);
    assert_true(es_surface_write(plain_path, &mesh, &OPTIONS, NULL));
    char *plain = es_file_read(plain_path, 1000, &plain_length, NULL);
    assert_int_equal(plain_length, stl_length);
    assert_memory_equal(plain, stl, stl_length);
    assert_true(es_surface_write(path, &mesh, &OPTIONS, NULL));
    char *dicom = es_file_read(path, 10000, &length, NULL);
    assert_memory_equal(dicom + 128, "DICM", 4);
    assert_non_null(memmem(dicom, length, stl, stl_length));
    assert_non_null(memmem(dicom, length, "model/stl", 9));
    remove(plain_path);
    es_free(plain);
    es_free(dicom);
    es_free(stl);
}

static void what_is_no_surface_is_refused_and_an_older_file_stays(void **state) {
    (void)state;
    es_mesh mesh = tetrahedron(), empty = {0};
    es_error err = {0};
    size_t before, after;
    assert_true(es_surface_write(path, &mesh, &OPTIONS, NULL));
    char *old = es_file_read(path, 10000, &before, NULL);
    assert_false(es_surface_write(path, &empty, &OPTIONS, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    for (long n = 0; n < 2; n++) {
        es_output_fail_after(n);
        bool ok = es_surface_write(path, &mesh, NULL, &err);
        es_output_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_IO);
        char *now = es_file_read(path, 10000, &after, NULL);
        assert_int_equal(before, after);
        assert_memory_equal(now, old, before);
        es_free(now);
    }
    bool ok = false;
    for (long n = 0; !ok && n < 60; n++) {
        es_alloc_fail_after(n);
        ok = es_surface_write(path, &mesh, &OPTIONS, &err);
        es_alloc_fail_after(-1);
        if (!ok) assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(ok);
    es_free(old);
}

static void the_name_tells_the_format(void **state) {
    (void)state;
    es_error err = {0};
    assert_true(es_surface_can_write("knee.DCM", &err) && es_surface_can_write("knee.stl", &err));
    assert_false(es_surface_can_write("knee.txt", &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_non_null(strstr(err.message, ".dcm"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stl_inside_is_the_one_that_is_written_beside),
        cmocka_unit_test(what_is_no_surface_is_refused_and_an_older_file_stays),
        cmocka_unit_test(the_name_tells_the_format),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
