/* What the steps that move or drop vertices do when facets come to cross: they find
 * them, and do their work again with the vertices near there held back. */
#include "untangle.h"

#include <math.h>

bool surface_crossed_new(crossed_facets *c, const es_mesh *mesh, es_pool *pool, es_error *err) {
    *c = (crossed_facets){.mesh = mesh};
    c->crossed = es_alloc(mesh->triangle_count, sizeof *c->crossed, err);
    if (!c->crossed || !es_mesh_find_crossings(mesh, pool, c->crossed, &c->pairs, err))
        return false;
    for (size_t t = 0; c->pairs > 0 && t < mesh->triangle_count; t++) c->count += c->crossed[t];
    return true;
}

void surface_crossed_clear(crossed_facets *c) {
    es_free(c->crossed);
    *c = (crossed_facets){0};
}

/* The corners of crossed facets as points. */
static float *corner_points(const crossed_facets *c, es_error *err) {
    float *points = es_alloc(3 * c->count, 3 * sizeof *points, err);
    size_t used = 0;
    for (size_t t = 0; points && t < c->mesh->triangle_count; t++) {
        if (!c->crossed[t]) continue;
        for (size_t k = 0; k < 3; k++) {
            const float *v = c->mesh->vertices + 3 * (size_t)c->mesh->triangles[3 * t + k];
            for (int a = 0; a < 3; a++) points[used++] = v[a];
        }
    }
    return points;
}

bool surface_hold_near(const crossed_facets *c, double reach_mm, const es_mesh *original,
                       bool *held, es_error *err) {
    float *points = corner_points(c, err);
    es_point_set *set = points ? es_point_set_new(points, 3 * c->count, reach_mm, err) : NULL;
    for (size_t v = 0; set && v < original->vertex_count; v++)
        held[v] |= es_point_set_near(set, original->vertices + 3 * v);
    bool ok = set != NULL;
    es_point_set_free(set);
    es_free(points);
    return ok;
}

/* ---- back -------------------------------------------------------------------------- */

enum { BACK_ROUNDS = 12 };
static const double BACK = 0.5;

/* Marks the neighbours of marked vertices too. */
static void widen(const es_mesh *mesh, bool *marked, bool *scratch) {
    for (size_t v = 0; v < mesh->vertex_count; v++) scratch[v] = marked[v];
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *k = mesh->triangles + 3 * t;
        if (scratch[k[0]] || scratch[k[1]] || scratch[k[2]])
            marked[k[0]] = marked[k[1]] = marked[k[2]] = true;
    }
}

/* `moved` is the mesh with the new places; marks the corners of what crosses there,
 * and `rings` of neighbours. */
static bool mark_crossed(const es_mesh *moved, int rings, es_pool *pool, bool *marked,
                         bool *scratch, size_t *pairs, es_error *err) {
    crossed_facets c;
    bool ok = surface_crossed_new(&c, moved, pool, err);
    for (size_t v = 0; v < moved->vertex_count; v++) marked[v] = false;
    for (size_t h = 0; ok && h < 3 * moved->triangle_count; h++)
        marked[moved->triangles[h]] |= c.crossed[h / 3];
    *pairs = c.pairs;
    surface_crossed_clear(&c);
    for (int r = 0; ok && *pairs > 0 && r < rings; r++) widen(moved, marked, scratch);
    return ok;
}

bool surface_go_back(const es_mesh *mesh, es_mesh *moved, es_pool *pool, size_t *left,
                     es_error *err) {
    bool *marked = es_alloc(mesh->vertex_count, sizeof *marked, err);
    bool *scratch = marked ? es_alloc(mesh->vertex_count, sizeof *scratch, err) : NULL;
    bool ok = scratch != NULL;
    *left = 0;
    for (int round = 0; ok && round < BACK_ROUNDS; round++) {
        ok = mark_crossed(moved, 1 + round / 2, pool, marked, scratch, left, err);
        if (!ok || *left == 0) break;
        double back = round < BACK_ROUNDS / 2 ? BACK : 1;
        for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
            if (marked[i / 3])
                moved->vertices[i] += (float)(back * (mesh->vertices[i] - moved->vertices[i]));
    }
    es_free(marked);
    es_free(scratch);
    return ok;
}
