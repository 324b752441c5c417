/* Collapsing one edge of a mesh where the surface stays what it is; shared inside
 * the room. */
#ifndef ECHOSOLID_SURFACE_COLLAPSE_H
#define ECHOSOLID_SURFACE_COLLAPSE_H

#include "topology.h"

/* Fans of more triangles are left alone: a bound on the work at one edge. */
enum { STAR_MOST = 64 };
#define NO_CORNER UINT32_MAX

/* The corners of a vertex hang in a ring. Corner numbers are half-edges. */
typedef struct mesh_rings {
    es_mesh *mesh;
    uint32_t *ring;  /* per corner the next one of its vertex, for the last the first */
    uint32_t *first; /* per vertex; NO_CORNER without triangles */
    bool *rim;       /* per vertex */
    bool *keep;      /* per triangle: it is still there */
} mesh_rings;
/* Finds the rims, and keeps all; surface_rings_make makes the rings. */
bool surface_rings_open(mesh_rings *rings, es_mesh *mesh, es_error *err);
void surface_rings_make(mesh_rings *rings);
void surface_rings_clear(mesh_rings *rings);

/* The corners of one vertex in triangles that are still there. */
typedef struct mesh_star {
    uint32_t vertex, corner[STAR_MOST];
    int count;
} mesh_star;
/* False when the vertex has more corners than a star has room for. */
bool surface_star(const mesh_rings *rings, uint32_t vertex, mesh_star *star);

static inline uint32_t surface_next_vertex(const mesh_rings *r, uint32_t corner) {
    return r->mesh->triangles[surface_next(corner)];
}
static inline uint32_t surface_previous_vertex(const mesh_rings *r, uint32_t corner) {
    return r->mesh->triangles[surface_next(surface_next(corner))];
}
/* Twice the area of the corner's triangle, its own vertex at `at`. */
es_vec3 surface_cross_at(const mesh_rings *rings, uint32_t corner, es_vec3 at);

/* The link condition (Dey, Edelsbrunner, Guha and Nekhayev 1999). */
bool surface_stays_manifold(const mesh_rings *rings, const mesh_star *a, const mesh_star *b);
/* Vertex a takes over the corners of b, less the triangles at both, which are
 * not kept any more. */
void surface_join_stars(mesh_rings *rings, const mesh_star *a, const mesh_star *b);

#endif
