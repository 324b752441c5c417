/* Files and meshes that the tests of src/cad share. */
#ifndef ECHOSOLID_TESTS_CAD_FILES_H
#define ECHOSOLID_TESTS_CAD_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "echosolid/cad.h"
#include "echosolid/surface.h"

static char test_folder[256];

static inline int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(test_folder, sizeof test_folder, "%s/echosolid-cad-XXXXXX", base ? base : "/tmp");
    return mkdtemp(test_folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", test_folder);
    return system(command);
}

/* The path of a file in the folder; good until the next but three calls. */
static inline const char *in_folder(const char *name) {
    static char paths[4][400];
    static int next;
    char *path = paths[next++ & 3];
    snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    return path;
}

static inline bool file_exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

static inline void put_file(const char *name, const void *bytes, size_t length) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* The bytes are read as a file of that name. */
static inline es_mesh read_bytes(const char *name, const void *bytes, size_t length) {
    es_mesh mesh;
    es_error err = {0};
    put_file(name, bytes, length);
    if (!es_mesh_read(in_folder(name), &mesh, &err)) fail_msg("%s", err.message);
    return mesh;
}

static inline es_mesh read_text(const char *name, const char *text) {
    return read_bytes(name, text, strlen(text));
}

/* The file is refused with this code and a message that has these words. */
static inline void refuse_bytes(const char *name, const void *bytes, size_t length, es_code code,
                                const char *words) {
    es_mesh mesh;
    es_error err = {0};
    put_file(name, bytes, length);
    assert_false(es_mesh_read(in_folder(name), &mesh, &err));
    if (err.code != code || !strstr(err.message, words) || !strstr(err.message, name))
        fail_msg("code %d, expected %d, and '%s' in: %s", err.code, code, words, err.message);
    assert_null(mesh.vertices);
    assert_null(mesh.triangles);
}

static inline void refuse_text(const char *name, const char *text, const char *words) {
    refuse_bytes(name, text, strlen(text), ES_FORMAT, words);
}

/* A cube of 10 mm with awkward coordinates: 8 vertices, 12 triangles. */
static inline es_mesh cube(void) {
    static const uint32_t corners[36] = {0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4,
                                         2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5};
    es_mesh mesh = {.vertex_count = 8, .triangle_count = 12};
    mesh.vertices = es_alloc(24, sizeof(float), NULL);
    mesh.triangles = es_alloc(36, sizeof(uint32_t), NULL);
    mesh.confidence = es_alloc(8, sizeof(float), NULL);
    memcpy(mesh.triangles, corners, sizeof corners);
    for (uint32_t v = 0; v < 8; v++) {
        mesh.confidence[v] = (float)v / 7;
        for (uint32_t a = 0; a < 3; a++)
            mesh.vertices[3 * v + a] = (v >> a & 1 ? 10.1f : 0.1f) - 1e-3f * (float)a;
    }
    return mesh;
}

static inline void write_mesh(const char *name, const es_mesh *mesh, es_mesh_write_options o) {
    es_error err = {0};
    if (!es_mesh_write(in_folder(name), mesh, &o, &err)) fail_msg("%s", err.message);
}

/* The same triangles in space, in the same order, whatever the numbering. */
static inline void assert_same_triangles(const es_mesh *a, const es_mesh *b) {
    assert_int_equal(a->vertex_count, b->vertex_count);
    assert_int_equal(a->triangle_count, b->triangle_count);
    for (size_t i = 0; i < 3 * a->triangle_count; i++)
        assert_memory_equal(a->vertices + 3 * a->triangles[i], b->vertices + 3 * b->triangles[i],
                            3 * sizeof(float));
}

static inline void check_failed_writes(const char *name, es_mesh_write_options options) {
    es_mesh mesh = cube();
    const char *path = in_folder(name);
    put_file(name, "old", 3);
    int failures = 0;
    for (;; failures++) {
        es_error err = {0};
        es_output_fail_after(failures);
        bool ok = es_mesh_write(path, &mesh, &options, &err);
        es_output_fail_after(-1);
        if (ok) break;
        size_t length;
        char *old = es_file_read(path, 100, &length, NULL);
        assert_int_equal(err.code, ES_IO);
        assert_non_null(old);
        assert_string_equal(old, "old");
        es_free(old);
        char part[420];
        snprintf(part, sizeof part, "%s.part", path);
        assert_false(file_exists(part));
    }
    assert_true(failures >= 2);
    es_mesh_clear(&mesh);
}

static inline void check_failed_allocations(const char *name) {
    const char *path = in_folder(name);
    int failures = 0;
    for (;; failures++) {
        es_mesh mesh;
        es_error err = {0};
        es_alloc_fail_after(failures);
        bool ok = es_mesh_read(path, &mesh, &err);
        es_alloc_fail_after(-1);
        if (!ok) assert_null(mesh.vertices);
        es_mesh_clear(&mesh);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
    }
    assert_true(failures >= 3);
}

/* What VTK makes of a file: points, triangles and volume; false without VTK. */
static inline bool ask_vtk(const char *reader, const char *path, long *points, long *triangles,
                           double *volume) {
    static const char script[] =
        "import sys, vtk\n"
        "r = getattr(vtk, sys.argv[1])(); r.SetFileName(sys.argv[2]); r.Update()\n"
        "o = r.GetOutput(); m = vtk.vtkMassProperties(); m.SetInputData(o); m.Update()\n"
        "print(o.GetNumberOfPoints(), o.GetNumberOfPolys(), repr(m.GetVolume()))\n";
    char command[1024], line[200] = "";
    put_file("ask.py", script, sizeof script - 1);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' %s '%s' 2>/dev/null",
             in_folder("ask.py"), reader, path);
    FILE *answer = popen(command, "r");
    if (!answer) return false;
    bool ok = fgets(line, sizeof line, answer) != NULL;
    ok = pclose(answer) == 0 && ok;
    return ok && sscanf(line, "%ld %ld %lf", points, triangles, volume) == 3;
}

#endif
