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
