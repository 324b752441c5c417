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

#endif
