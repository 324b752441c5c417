/* A surface spanned into a rim; shared inside the room. */
#ifndef ECHOSOLID_SURFACE_SPAN_H
#define ECHOSOLID_SURFACE_SPAN_H

#include "nearest.h"
#include "topology.h"

/* Longer rims are not spanned. */
enum { SPAN_RIM_MOST = 100000 };

/* The triangles, 3 (count - 2) corners, of the surface of least area between the
 * points of a closed polygon: indices into the points, turning as they do. Exact to
 * some hundred points (Barequet and Sharir, "Filling gaps in the boundary of a
 * polyhedron", 1995); of longer rims every n-th point first, then what lies between. */
bool surface_span_polygon(const es_vec3 *at, size_t count, uint32_t *triangles, es_error *err);

/* A patch with a rim: its first `rim` vertices. Arrays grow. */
typedef struct mesh_span {
    es_mesh mesh;
    size_t rim, vertex_room, triangle_room;
    uint32_t *twin; /* per half-edge, as in mesh_topology */
    double side_mm; /* about how long its sides shall be */
} mesh_span;

/* Spans the rim with triangles of sides of about side_mm, each of which has a vertex
 * that is not of the rim; not fair yet. {0} on failure. */
bool surface_span_make(const es_vec3 *at, size_t count, double side_mm, mesh_span *span,
                       es_error *err);
void surface_span_clear(mesh_span *span);

/* What a spanned surface must keep away from: a sheet whose triangles turn against
 * the span's. Behind it by `least_mm`, or half of the distance to its rim if that is
 * less. */
typedef struct span_obstacle {
    const nearest_tree *sheet; /* with sign */
    double least_mm;
} span_obstacle;

/* Moves the vertices that are not of the rim to where the surface is fair: a membrane,
 * harmonic by cotangent weights (Pinkall and Polthier 1993). `obstacle` may be NULL. */
bool surface_span_relax(mesh_span *span, const span_obstacle *obstacle, es_error *err);

#endif
