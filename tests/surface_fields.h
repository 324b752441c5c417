/* Fields on bricks and checks of meshes that the tests of src/surface share. */
#ifndef ECHOSOLID_TESTS_SURFACE_FIELDS_H
#define ECHOSOLID_TESTS_SURFACE_FIELDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/surface.h"

typedef double field_fn(es_vec3 p);

/* Voxel v of a brick, counted from the lattice's first. */
static inline void voxel_index(const es_brick *brick, int v, int index[3]) {
    for (int a = 0; a < 3; a++) index[a] = 16 * brick->at[a] + (v >> 4 * a & 15);
}

static inline void fill_brick(es_brick *brick, field_fn *field, const double origin_mm[3],
                              double spacing_mm, int half) {
    for (int v = 0; v < ES_BRICK_VOXELS; v++) {
        int at[3];
        voxel_index(brick, v, at);
        if (abs(at[0]) > half || abs(at[1]) > half || abs(at[2]) > half) continue;
        brick->weight[v] = 1;
        brick->value[v] = (float)field(es_vec3_make(origin_mm[0] + spacing_mm * at[0],
                                                    origin_mm[1] + spacing_mm * at[1],
                                                    origin_mm[2] + spacing_mm * at[2]));
    }
}

/* A cube of voxels from -half to +half about the origin, weight 1. */
static inline es_bricks *bricks_of_field(field_fn *field, double half_mm, double spacing_mm) {
    const double origin[3] = {0.013, -0.021, 0.007};
    const double spacing[3] = {spacing_mm, spacing_mm, spacing_mm};
    int half = (int)ceil(half_mm / spacing_mm), last = half >> 4;
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    assert_non_null(bricks);
    for (int z = -last - 1; z <= last; z++)
        for (int y = -last - 1; y <= last; y++)
            for (int x = -last - 1; x <= last; x++) {
                es_brick *brick = es_bricks_add(bricks, x, y, z, NULL);
                assert_non_null(brick);
                fill_brick(brick, field, origin, spacing_mm, half);
            }
    return bricks;
}

static inline es_mesh extract(es_bricks *bricks, es_iso_options options, es_pool *pool) {
    es_mesh mesh = {0};
    es_error err = {0};
    if (!es_surface_extract(bricks, &options, pool, &mesh, &err)) fail_msg("%s", err.message);
    return mesh;
}

static inline es_mesh mesh_of_field(field_fn *field, double half_mm, double spacing_mm) {
    es_bricks *bricks = bricks_of_field(field, half_mm, spacing_mm);
    es_mesh mesh = extract(bricks, (es_iso_options)ES_ISO_DEFAULTS, NULL);
    es_bricks_free(bricks);
    return mesh;
}

static inline es_mesh mesh_by_hand(const float *vertices, size_t vertex_count,
                                   const uint32_t *triangles, size_t triangle_count) {
    es_mesh mesh = {.vertex_count = vertex_count, .triangle_count = triangle_count};
    mesh.vertices = es_alloc(3 * vertex_count, sizeof(float), NULL);
    mesh.triangles = es_alloc(3 * triangle_count, sizeof(uint32_t), NULL);
    memcpy(mesh.vertices, vertices, 3 * vertex_count * sizeof(float));
    memcpy(mesh.triangles, triangles, 3 * triangle_count * sizeof(uint32_t));
    return mesh;
}

/* Normal noise, a function of the place alone. */
static inline double place_noise(es_vec3 p) {
    int64_t x = (int64_t)floor(p.x * 64), y = (int64_t)floor(p.y * 64),
            z = (int64_t)floor(p.z * 64);
    es_random random = es_random_new(7, (uint64_t)(x * 73856093 ^ y * 19349663 ^ z * 83492791));
    return es_random_normal(&random);
}

static inline es_mesh_check inspect(const es_mesh *mesh) {
    es_mesh_check check;
    es_error err = {0};
    if (!es_mesh_inspect(mesh, &check, &err)) fail_msg("%s", err.message);
    return check;
}

/* ---- an oracle apart from es_mesh_inspect: sorted sides ------------------- */

typedef struct mesh_side {
    uint32_t low, high;
    int forward;
} mesh_side;

static inline int by_side(const void *a, const void *b) {
    const mesh_side *p = a, *q = b;
    if (p->low != q->low) return p->low < q->low ? -1 : 1;
    return p->high < q->high ? -1 : p->high > q->high;
}

/* How often an edge is used other than once, or twice in opposite senses;
 * *open: how many are used once. */
static inline size_t count_bad_edges(const es_mesh *mesh, size_t *open) {
    size_t count = 3 * mesh->triangle_count, bad = 0;
    mesh_side *sides = malloc((count + 1) * sizeof *sides);
    for (size_t h = 0; h < count; h++) {
        uint32_t a = mesh->triangles[h], b = mesh->triangles[h % 3 == 2 ? h - 2 : h + 1];
        sides[h] = a < b ? (mesh_side){a, b, 1} : (mesh_side){b, a, -1};
    }
    qsort(sides, count, sizeof *sides, by_side);
    *open = 0;
    for (size_t i = 0, j; i < count; i = j) {
        int sum = sides[i].forward;
        for (j = i + 1; j < count && by_side(&sides[i], &sides[j]) == 0; j++)
            sum += sides[j].forward;
        *open += j - i == 1;
        bad += j - i > 2 || (j - i == 2 && sum != 0);
    }
    free(sides);
    return bad;
}

static inline int by_point(const void *a, const void *b) { return memcmp(a, b, 3 * sizeof(float)); }

/* How many vertices stand where another one stands. */
static inline size_t count_coincident(const es_mesh *mesh) {
    size_t count = 0, size = 3 * mesh->vertex_count * sizeof(float);
    float *points = malloc(size + 1);
    memcpy(points, mesh->vertices, size);
    qsort(points, mesh->vertex_count, 3 * sizeof(float), by_point);
    for (size_t v = 1; v < mesh->vertex_count; v++)
        count += by_point(points + 3 * v - 3, points + 3 * v) == 0;
    free(points);
    return count;
}

/* Also when equal points are welded, as a file of loose triangles is. */
static inline void assert_two_manifold(const es_mesh *mesh, bool closed) {
    size_t open;
    es_mesh_check check = inspect(mesh);
    assert_true(mesh->triangle_count > 0);
    assert_int_equal(count_bad_edges(mesh, &open), 0);
    assert_int_equal(count_coincident(mesh), 0);
    assert_int_equal(check.bad_edges, 0);
    assert_int_equal(check.bad_vertices, 0);
    assert_int_equal(check.degenerate, 0);
    assert_int_equal(check.boundary_edges, open);
    assert_int_equal(check.closed, open == 0);
    assert_int_equal(check.closed, closed);
}

static inline void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g is not within %g of %.12g", a, tolerance, b);
}

#endif
