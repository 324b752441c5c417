/* Facets that have come to cross, and the vertices near them; inside the room. */
#ifndef ECHOSOLID_SURFACE_UNTANGLE_H
#define ECHOSOLID_SURFACE_UNTANGLE_H

#include "topology.h"

typedef struct crossed_facets {
    const es_mesh *mesh; /* borrowed */
    bool *crossed;       /* per triangle */
    size_t pairs, count; /* count: of crossed triangles */
} crossed_facets;
/* surface_crossed_clear it on failure too. */
bool surface_crossed_new(crossed_facets *crossed, const es_mesh *mesh, es_pool *pool,
                         es_error *err);
void surface_crossed_clear(crossed_facets *crossed);

/* Sets held[v] for the vertices of `original` within reach_mm of a crossed facet's
 * corner. */
bool surface_hold_near(const crossed_facets *crossed, double reach_mm, const es_mesh *original,
                       bool *held, es_error *err);

/* `moved` is the mesh with vertices at other places. Where facets of it cross, the
 * vertices about them go back half of their way, then all of it, in ever wider
 * surroundings. *left: pairs that still cross. */
bool surface_go_back(const es_mesh *mesh, es_mesh *moved, es_pool *pool, size_t *left,
                     es_error *err);

/* es_mesh_thicken, and what the solid consists of: the sheet's vertices and triangles
 * first, then the copies', then those of the walls. */
typedef struct thickened_parts {
    size_t sheet_vertices, sheet_triangles, walls;
    size_t left_out; /* facets of the sheet */
} thickened_parts;
bool surface_thicken(const es_mesh *sheet, double thickness_mm, es_pool *pool, es_mesh *solid,
                     thickened_parts *parts, es_error *err);

#endif
