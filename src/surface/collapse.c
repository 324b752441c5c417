/* One edge and the triangles about its ends. An edge may go if its ends have no
 * common neighbours but the opposite corners of the triangles at the edge, and
 * are not both on a rim that the edge is not part of. */
#include "collapse.h"

bool surface_rings_open(mesh_rings *r, es_mesh *mesh, es_error *err) {
    mesh_topology topology;
    *r = (mesh_rings){.mesh = mesh};
    r->ring = es_alloc(3 * mesh->triangle_count, sizeof *r->ring, err);
    r->first = r->ring ? es_alloc(mesh->vertex_count, sizeof *r->first, err) : NULL;
    r->rim = r->first ? es_alloc_zero(mesh->vertex_count, sizeof *r->rim, err) : NULL;
    r->keep = r->rim ? es_alloc(mesh->triangle_count, sizeof *r->keep, err) : NULL;
    if (!r->keep || !surface_topology_find(mesh, &topology, err)) return false;
    for (size_t t = 0; t < mesh->triangle_count; t++) r->keep[t] = true;
    for (size_t h = 0; h < topology.half_edges; h++)
        if (topology.twin[h] == NO_TWIN)
            r->rim[mesh->triangles[h]] = r->rim[mesh->triangles[surface_next(h)]] = true;
    surface_topology_clear(&topology);
    return true;
}

void surface_rings_clear(mesh_rings *r) {
    es_free(r->ring);
    es_free(r->first);
    es_free(r->rim);
    es_free(r->keep);
    *r = (mesh_rings){0};
}

void surface_rings_make(mesh_rings *c) {
    for (size_t v = 0; v < c->mesh->vertex_count; v++) c->first[v] = NO_CORNER;
    for (size_t h = 0; h < 3 * c->mesh->triangle_count; h++) {
        if (!c->keep[h / 3]) continue;
        uint32_t *first = &c->first[c->mesh->triangles[h]];
        c->ring[h] = (uint32_t)h;
        if (*first == NO_CORNER) {
            *first = (uint32_t)h;
        } else {
            c->ring[h] = c->ring[*first];
            c->ring[*first] = (uint32_t)h;
        }
    }
}

bool surface_star(const mesh_rings *c, uint32_t vertex, mesh_star *s) {
    uint32_t h = c->first[vertex];
    *s = (mesh_star){.vertex = vertex};
    for (int walked = 0; walked < STAR_MOST; walked++) {
        if (c->keep[h / 3]) s->corner[s->count++] = h;
        h = c->ring[h];
        if (h == c->first[vertex]) return true;
    }
    return false;
}

static bool precedes(const mesh_rings *c, const mesh_star *s, uint32_t vertex) {
    for (int i = 0; i < s->count; i++)
        if (surface_next_vertex(c, s->corner[i]) == vertex) return true;
    return false;
}

static bool follows(const mesh_rings *c, const mesh_star *s, uint32_t vertex) {
    for (int i = 0; i < s->count; i++)
        if (surface_previous_vertex(c, s->corner[i]) == vertex) return true;
    return false;
}

/* Of two stars: how many triangles they share, and how many neighbours. */
static void count_common(const mesh_rings *c, const mesh_star *a, const mesh_star *b,
                         int *triangles, int *neighbours) {
    *triangles = *neighbours = 0;
    for (int i = 0; i < b->count; i++) {
        uint32_t next = surface_next_vertex(c, b->corner[i]),
                 previous = surface_previous_vertex(c, b->corner[i]);
        *triangles += next == a->vertex || previous == a->vertex;
        *neighbours += precedes(c, a, next) || follows(c, a, next);
        if (!precedes(c, b, previous)) /* else it is counted as a next one */
            *neighbours += precedes(c, a, previous) || follows(c, a, previous);
    }
}

bool surface_stays_manifold(const mesh_rings *c, const mesh_star *a, const mesh_star *b) {
    int triangles, neighbours;
    bool rim = c->rim[a->vertex] && c->rim[b->vertex];
    count_common(c, a, b, &triangles, &neighbours);
    if (triangles != neighbours || triangles != (rim ? 1 : 2)) return false;
    /* A triangle by itself and a tetrahedron have nothing to collapse to. */
    return a->count > (rim ? 1 : 3) || b->count > (rim ? 1 : 3);
}

es_vec3 surface_cross_at(const mesh_rings *c, uint32_t corner, es_vec3 at) {
    es_vec3 b = surface_vertex(c->mesh, surface_next_vertex(c, corner));
    es_vec3 d = surface_vertex(c->mesh, surface_previous_vertex(c, corner));
    return es_vec3_cross(es_vec3_sub(b, at), es_vec3_sub(d, at));
}

void surface_join_stars(mesh_rings *c, const mesh_star *a, const mesh_star *b) {
    for (int i = 0; i < b->count; i++)
        if (surface_next_vertex(c, b->corner[i]) == a->vertex ||
            surface_previous_vertex(c, b->corner[i]) == a->vertex)
            c->keep[b->corner[i] / 3] = false;
    uint32_t last = NO_CORNER, first = NO_CORNER;
    for (int i = 0; i < a->count + b->count; i++) {
        uint32_t h = i < a->count ? a->corner[i] : b->corner[i - a->count];
        if (!c->keep[h / 3]) continue;
        c->mesh->triangles[h] = a->vertex;
        if (last == NO_CORNER)
            first = h;
        else
            c->ring[last] = h;
        last = h;
    }
    c->ring[last] = first;
    c->first[a->vertex] = first;
    c->first[b->vertex] = NO_CORNER;
    c->rim[a->vertex] |= c->rim[b->vertex];
}
