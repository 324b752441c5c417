/* A mesh that stays two-manifold when it is written without indices.
 *
 * Marching cubes leaves tiny triangles where the surface passes close to a
 * lattice point, and smoothing may draw their corners into one place. Written
 * as STL, where a vertex is its coordinates, they become one vertex, and the
 * surface is pinched there. So short edges are collapsed first, each only if
 * the link condition says that the surface stays a two-manifold of the same
 * shape (Dey, Edelsbrunner, Guha and Nekhayev, "Topology preserving edge
 * contraction", 1999), here: if the ends have no common neighbours but the
 * opposite corners of the triangles at the edge, and are not both on a rim
 * that the edge is not part of. Vertices that still lie in one place are moved
 * apart, and so are fans of triangles that touch in one vertex. */
#include <math.h>
#include <string.h>

#include "topology.h"

/* Fans of more triangles are left alone: a bound on the work at one edge. */
enum { STAR_MOST = 64, COLLAPSE_ROUNDS = 16 };

static const double STEP_PART = 0.01; /* of the shortest edge: how far doubles are moved apart */

#define NONE UINT32_MAX

/* The corners of a vertex hang in a ring. */
typedef struct collapsing {
    es_mesh *mesh;
    double shortest2;
    uint32_t *ring;  /* per corner the next one of its vertex, for the last the first */
    uint32_t *first; /* per vertex; NONE without triangles */
    bool *rim;       /* per vertex */
    bool *moved;     /* per vertex: in this round */
    bool *keep;      /* per triangle: it is still there */
} collapsing;

/* The corners of one vertex in triangles that are still there. */
typedef struct star {
    uint32_t vertex, corner[STAR_MOST];
    int count;
} star;

/* ---- one edge ----------------------------------------------------------------- */

static uint32_t next_of(const collapsing *c, uint32_t corner) {
    return c->mesh->triangles[surface_next(corner)];
}

static uint32_t previous_of(const collapsing *c, uint32_t corner) {
    return c->mesh->triangles[surface_next(surface_next(corner))];
}

/* False when the vertex has more corners than a star has room for. */
static bool gather(const collapsing *c, uint32_t vertex, star *s) {
    uint32_t h = c->first[vertex];
    *s = (star){.vertex = vertex};
    for (int walked = 0; walked < STAR_MOST; walked++) {
        if (c->keep[h / 3]) s->corner[s->count++] = h;
        h = c->ring[h];
        if (h == c->first[vertex]) return true;
    }
    return false;
}

static bool precedes(const collapsing *c, const star *s, uint32_t vertex) {
    for (int i = 0; i < s->count; i++)
        if (next_of(c, s->corner[i]) == vertex) return true;
    return false;
}

static bool follows(const collapsing *c, const star *s, uint32_t vertex) {
    for (int i = 0; i < s->count; i++)
        if (previous_of(c, s->corner[i]) == vertex) return true;
    return false;
}

/* Of two stars: how many triangles they share, and how many neighbours. */
static void count_common(const collapsing *c, const star *a, const star *b, int *triangles,
                         int *neighbours) {
    *triangles = *neighbours = 0;
    for (int i = 0; i < b->count; i++) {
        uint32_t next = next_of(c, b->corner[i]), previous = previous_of(c, b->corner[i]);
        *triangles += next == a->vertex || previous == a->vertex;
        *neighbours += precedes(c, a, next) || follows(c, a, next);
        if (!precedes(c, b, previous)) /* else it is counted as a next one */
            *neighbours += precedes(c, a, previous) || follows(c, a, previous);
    }
}

static bool stays_manifold(const collapsing *c, const star *a, const star *b) {
    int triangles, neighbours;
    bool rim = c->rim[a->vertex] && c->rim[b->vertex];
    count_common(c, a, b, &triangles, &neighbours);
    if (triangles != neighbours || triangles != (rim ? 1 : 2)) return false;
    /* A triangle by itself and a tetrahedron have nothing to collapse to. */
    return a->count > (rim ? 1 : 3) || b->count > (rim ? 1 : 3);
}

/* Twice the area of the corner's triangle, its own vertex at `at`. */
static es_vec3 cross_at(const collapsing *c, uint32_t corner, es_vec3 at) {
    es_vec3 b = surface_vertex(c->mesh, next_of(c, corner));
    es_vec3 d = surface_vertex(c->mesh, previous_of(c, corner));
    return es_vec3_cross(es_vec3_sub(b, at), es_vec3_sub(d, at));
}

static es_vec3 sum_crosses(const collapsing *c, const star *s) {
    es_vec3 sum = {0, 0, 0};
    for (int i = 0; i < s->count; i++)
        sum = es_vec3_add(sum, surface_cross(c->mesh, s->corner[i] / 3));
    return sum;
}

/* Whether moving the star's vertex turns no triangle over, but for those at
 * `other`, which go: each keeps its side, or has that of the whole about it,
 * for the side of a sliver is chance. */
static bool keeps_sides(const collapsing *c, const star *s, uint32_t other, es_vec3 at,
                        es_vec3 whole) {
    for (int i = 0; i < s->count; i++) {
        uint32_t h = s->corner[i];
        if (next_of(c, h) == other || previous_of(c, h) == other) continue;
        es_vec3 now = cross_at(c, h, at);
        if (es_vec3_dot(now, surface_cross(c->mesh, h / 3)) < 0 && es_vec3_dot(now, whole) < 0)
            return false;
    }
    return true;
}

/* The middle; but a rim is not drawn inwards. */
static es_vec3 meeting_point(const collapsing *c, uint32_t a, uint32_t b) {
    es_vec3 p = surface_vertex(c->mesh, a), q = surface_vertex(c->mesh, b);
    if (c->rim[a] != c->rim[b]) return c->rim[a] ? p : q;
    return es_vec3_scale(es_vec3_add(p, q), 0.5);
}

/* Vertex a takes over the corners of b, less the triangles at both. */
static void join_stars(collapsing *c, const star *a, const star *b) {
    for (int i = 0; i < b->count; i++)
        if (next_of(c, b->corner[i]) == a->vertex || previous_of(c, b->corner[i]) == a->vertex)
            c->keep[b->corner[i] / 3] = false;
    uint32_t last = NONE, first = NONE;
    for (int i = 0; i < a->count + b->count; i++) {
        uint32_t h = i < a->count ? a->corner[i] : b->corner[i - a->count];
        if (!c->keep[h / 3]) continue;
        c->mesh->triangles[h] = a->vertex;
        if (last == NONE)
            first = h;
        else
            c->ring[last] = h;
        last = h;
    }
    c->ring[last] = first;
    c->first[a->vertex] = first;
    c->first[b->vertex] = NONE;
    c->rim[a->vertex] |= c->rim[b->vertex];
}

static bool collapse(collapsing *c, uint32_t corner) {
    star a, b;
    uint32_t from = c->mesh->triangles[corner], to = next_of(c, corner);
    if (c->moved[from] || c->moved[to]) return false;
    if (!gather(c, from < to ? from : to, &a) || !gather(c, from < to ? to : from, &b) ||
        a.count + b.count > STAR_MOST || !stays_manifold(c, &a, &b))
        return false;
    es_vec3 at = meeting_point(c, a.vertex, b.vertex);
    es_vec3 whole = es_vec3_add(sum_crosses(c, &a), sum_crosses(c, &b));
    if (!keeps_sides(c, &a, b.vertex, at, whole) || !keeps_sides(c, &b, a.vertex, at, whole))
        return false;
    join_stars(c, &a, &b);
    c->moved[a.vertex] = true;
    float *place = c->mesh->vertices + 3 * (size_t)a.vertex;
    place[0] = (float)at.x;
    place[1] = (float)at.y;
    place[2] = (float)at.z;
    float *confidence = c->mesh->confidence;
    if (confidence) confidence[a.vertex] = (confidence[a.vertex] + confidence[b.vertex]) / 2;
    return true;
}

/* ---- all edges ------------------------------------------------------------------ */

static bool is_short(const collapsing *c, uint32_t corner) {
    es_vec3 side = es_vec3_sub(surface_vertex(c->mesh, next_of(c, corner)),
                               surface_vertex(c->mesh, c->mesh->triangles[corner]));
    return es_vec3_dot(side, side) < c->shortest2;
}

static void make_rings(collapsing *c) {
    for (size_t v = 0; v < c->mesh->vertex_count; v++) c->first[v] = NONE;
    for (size_t h = 0; h < 3 * c->mesh->triangle_count; h++) {
        if (!c->keep[h / 3]) continue;
        uint32_t *first = &c->first[c->mesh->triangles[h]];
        c->ring[h] = (uint32_t)h;
        if (*first == NONE) {
            *first = (uint32_t)h;
        } else {
            c->ring[h] = c->ring[*first];
            c->ring[*first] = (uint32_t)h;
        }
    }
}

/* A vertex takes part once in a round, else one could run along a row of short
 * edges and swallow them all. */
static size_t collapse_round(collapsing *c) {
    size_t count = 0;
    make_rings(c);
    memset(c->moved, 0, c->mesh->vertex_count * sizeof *c->moved);
    for (uint32_t t = 0; t < c->mesh->triangle_count; t++)
        for (uint32_t h = 3 * t; h < 3 * t + 3 && c->keep[t]; h++)
            count += is_short(c, h) && collapse(c, h);
    return count;
}

static bool find_rims(collapsing *c, es_error *err) {
    mesh_topology topology;
    if (!surface_topology_find(c->mesh, &topology, err)) return false;
    for (size_t h = 0; h < topology.half_edges; h++)
        if (topology.twin[h] == NO_TWIN)
            c->rim[c->mesh->triangles[h]] = c->rim[next_of(c, (uint32_t)h)] = true;
    surface_topology_clear(&topology);
    return true;
}

/* Of triangles that are still there; *dropped counts the components. */
static bool drop_small_components(collapsing *c, size_t *dropped, es_error *err) {
    uint32_t *sets = surface_components(c->mesh, err);
    bool *large = sets ? es_alloc_zero(c->mesh->vertex_count, sizeof *large, err) : NULL;
    bool *small = large ? es_alloc_zero(c->mesh->vertex_count, sizeof *small, err) : NULL;
    bool ok = small != NULL;
    if (ok) {
        for (uint32_t h = 0; h < 3 * c->mesh->triangle_count; h++)
            if (c->keep[h / 3] && !is_short(c, h))
                large[surface_sets_root(sets, c->mesh->triangles[h])] = true;
        for (size_t t = 0; t < c->mesh->triangle_count; t++) {
            uint32_t root = surface_sets_root(sets, c->mesh->triangles[3 * t]);
            if (large[root]) continue;
            *dropped += !small[root];
            small[root] = true;
            c->keep[t] = false;
        }
    }
    es_free(sets);
    es_free(large);
    es_free(small);
    return ok;
}

/* `mesh` has one fan per vertex. */
static bool collapse_all(es_mesh *mesh, double min_edge_mm, es_mesh_cleaning *cleaning,
                         es_error *err) {
    collapsing c = {.mesh = mesh, .shortest2 = min_edge_mm * min_edge_mm};
    c.ring = es_alloc(3 * mesh->triangle_count, sizeof *c.ring, err);
    c.first = c.ring ? es_alloc(mesh->vertex_count, sizeof *c.first, err) : NULL;
    c.rim = c.first ? es_alloc_zero(mesh->vertex_count, sizeof *c.rim, err) : NULL;
    c.moved = c.rim ? es_alloc(mesh->vertex_count, sizeof *c.moved, err) : NULL;
    c.keep = c.moved ? es_alloc(mesh->triangle_count, sizeof *c.keep, err) : NULL;
    bool ok = c.keep && find_rims(&c, err);
    if (ok) {
        for (size_t t = 0; t < mesh->triangle_count; t++) c.keep[t] = true;
        for (int round = 0; round < COLLAPSE_ROUNDS; round++) {
            size_t count = collapse_round(&c);
            cleaning->collapsed += count;
            if (count == 0 || es_cancelled(NULL)) break;
        }
    }
    ok = ok && !es_cancelled(err) && drop_small_components(&c, &cleaning->pieces_dropped, err) &&
         surface_keep_triangles(mesh, c.keep, err);
    es_free(c.ring);
    es_free(c.first);
    es_free(c.rim);
    es_free(c.moved);
    es_free(c.keep);
    return ok;
}

/* ---- the whole -------------------------------------------------------------------- */

bool es_mesh_clean(es_mesh *mesh, double min_edge_mm, es_mesh_cleaning *cleaning, es_error *err) {
    es_mesh_cleaning counts = {0};
    es_mesh clean = {0};
    if (!(min_edge_mm > 0) || isinf(min_edge_mm))
        return es_fail(err, ES_USAGE, "shortest edge %g mm: expected a length above 0",
                       min_edge_mm);
    bool ok = surface_split_fans(mesh, &clean, err) &&
              collapse_all(&clean, min_edge_mm, &counts, err) &&
              surface_part_places(&clean, 0, STEP_PART * min_edge_mm, err);
    if (!ok) {
        es_mesh_clear(&clean);
        return false;
    }
    es_mesh_clear(mesh);
    *mesh = clean;
    if (cleaning) *cleaning = counts;
    return true;
}
