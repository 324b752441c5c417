/* How the triangles of a mesh hang together; shared inside the room.
 *
 * Half-edge h = 3 t + k is the side of triangle t from its corner k to the
 * next one; corner h is where it starts. */
#ifndef ECHOSOLID_SURFACE_TOPOLOGY_H
#define ECHOSOLID_SURFACE_TOPOLOGY_H

#include "echosolid/surface.h"

#define NO_TWIN UINT32_MAX

typedef struct mesh_topology {
    size_t half_edges; /* three per triangle */
    /* The half-edge that runs the other way along the same edge, where the
     * edge is used exactly twice in opposite senses; NO_TWIN elsewhere. */
    uint32_t *twin;
    size_t edges, boundary_edges; /* boundary: used once */
    size_t bad_edges;             /* used more than twice, or twice in one sense */
} mesh_topology;

/* ES_FORMAT when an index is past the vertices or a coordinate not finite. */
bool surface_check_mesh(const es_mesh *mesh, es_error *err);
bool surface_topology_find(const es_mesh *mesh, mesh_topology *topology, es_error *err);
void surface_topology_clear(mesh_topology *topology);

static inline size_t surface_next(size_t half_edge) {
    return half_edge % 3 == 2 ? half_edge - 2 : half_edge + 1;
}

/* The fan of each corner: corners of one vertex whose triangles follow one
 * another across edges with twins. A vertex's first fan has the vertex's own
 * number, further ones are numbered from vertex_count up. `fans` has room for
 * half_edges; *extra: how many further ones there are. */
bool surface_fans(const es_mesh *mesh, const mesh_topology *topology, uint32_t *fans, size_t *extra,
                  es_error *err);

/* The walks along edges without twin; first, edges and vertices only. Where a
 * fan ends one walk the next may start: one loop a boundary of a fan. */
bool surface_loops(const es_mesh *mesh, const mesh_topology *topology, const uint32_t *fans,
                   size_t fan_count, es_mesh_loops *loops, es_error *err);

/* Room for vertex_count and triangle_count, with or without confidence. */
bool surface_alloc_mesh(es_mesh *mesh, bool confidence, es_error *err);
void surface_copy_vertex(const es_mesh *from, size_t vertex, es_mesh *to, size_t place);

/* A copy where each vertex has one fan: further fans get vertices of their own
 * at the same place, which follow the old ones. ES_GEOMETRY for bad edges. */
bool surface_split_fans(const es_mesh *sheet, es_mesh *split, es_error *err);

/* In place: the triangles t with keep[t], and the vertices that they use. On
 * failure the mesh is as it was. */
bool surface_keep_triangles(es_mesh *mesh, const bool *keep, es_error *err);

/* Disjoint sets; a set is known by its smallest member. */
uint32_t *surface_sets_new(size_t count, es_error *err);
uint32_t surface_sets_root(uint32_t *sets, uint32_t member);
void surface_sets_join(uint32_t *sets, uint32_t a, uint32_t b);
/* One set of vertices per component of the mesh (by shared vertices). */
uint32_t *surface_components(const es_mesh *mesh, es_error *err);

/* mean[v]: the mean of value over v's neighbours, three doubles per vertex. With
 * `along_rim` a vertex on the boundary has its two neighbours along it only,
 * and where several boundaries touch it keeps its own value, as one without
 * neighbours does. `counts` is scratch, one per vertex. */
void surface_neighbour_mean(const es_mesh *mesh, const mesh_topology *topology, bool along_rim,
                            const double *value, double *mean, uint32_t *counts);

/* Per vertex the first one with the same coordinates: one in a file without
 * indices. */
uint32_t *surface_places(const es_mesh *mesh, es_error *err);

/* Moves vertices from `first` on, by step_mm or a few times that, until none
 * has the coordinates of another before it. */
bool surface_part_places(es_mesh *mesh, size_t first, double step_mm, es_error *err);

static inline es_vec3 surface_vertex(const es_mesh *mesh, uint32_t vertex) {
    const float *v = mesh->vertices + 3 * (size_t)vertex;
    return es_vec3_make(v[0], v[1], v[2]);
}

/* Twice the triangle's area long, pointing outwards. */
static inline es_vec3 surface_cross(const es_mesh *mesh, size_t triangle) {
    const uint32_t *corner = mesh->triangles + 3 * triangle;
    es_vec3 a = surface_vertex(mesh, corner[0]);
    return es_vec3_cross(es_vec3_sub(surface_vertex(mesh, corner[1]), a),
                         es_vec3_sub(surface_vertex(mesh, corner[2]), a));
}

#endif
