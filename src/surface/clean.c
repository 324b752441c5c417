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
 * apart, and so are fans of triangles that touch in one vertex. Where facets cross
 * afterwards, it is done again with the vertices near there left as they are. */
#include <math.h>
#include <string.h>

#include "collapse.h"
#include "untangle.h"

enum { COLLAPSE_ROUNDS = 16, HOLD_ROUNDS = 6 };

static const double STEP_PART = 0.01; /* of the shortest edge: how far doubles are moved apart */

typedef struct cleaning_work {
    mesh_rings rings;
    double shortest2;
    bool *moved;      /* per vertex: in this round */
    const bool *held; /* per vertex */
} cleaning_work;

/* ---- one edge ----------------------------------------------------------------- */

static es_vec3 sum_crosses(const mesh_rings *c, const mesh_star *s) {
    es_vec3 sum = {0, 0, 0};
    for (int i = 0; i < s->count; i++)
        sum = es_vec3_add(sum, surface_cross(c->mesh, s->corner[i] / 3));
    return sum;
}

/* Whether moving the star's vertex turns no triangle over, but for those at
 * `other`, which go: each keeps its side, or has that of the whole about it,
 * for the side of a sliver is chance. */
static bool keeps_sides(const mesh_rings *c, const mesh_star *s, uint32_t other, es_vec3 at,
                        es_vec3 whole) {
    for (int i = 0; i < s->count; i++) {
        uint32_t h = s->corner[i];
        if (surface_next_vertex(c, h) == other || surface_previous_vertex(c, h) == other) continue;
        es_vec3 now = surface_cross_at(c, h, at);
        if (es_vec3_dot(now, surface_cross(c->mesh, h / 3)) < 0 && es_vec3_dot(now, whole) < 0)
            return false;
    }
    return true;
}

/* The middle; but a rim is not drawn inwards. */
static es_vec3 meeting_point(const mesh_rings *c, uint32_t a, uint32_t b) {
    es_vec3 p = surface_vertex(c->mesh, a), q = surface_vertex(c->mesh, b);
    if (c->rim[a] != c->rim[b]) return c->rim[a] ? p : q;
    return es_vec3_scale(es_vec3_add(p, q), 0.5);
}

static bool collapse(cleaning_work *w, uint32_t corner) {
    mesh_rings *c = &w->rings;
    mesh_star a, b;
    uint32_t from = c->mesh->triangles[corner], to = surface_next_vertex(c, corner);
    if (w->moved[from] || w->moved[to] || w->held[from] || w->held[to]) return false;
    if (!surface_star(c, from < to ? from : to, &a) ||
        !surface_star(c, from < to ? to : from, &b) || a.count + b.count > STAR_MOST ||
        !surface_stays_manifold(c, &a, &b))
        return false;
    es_vec3 at = meeting_point(c, a.vertex, b.vertex);
    es_vec3 whole = es_vec3_add(sum_crosses(c, &a), sum_crosses(c, &b));
    if (!keeps_sides(c, &a, b.vertex, at, whole) || !keeps_sides(c, &b, a.vertex, at, whole))
        return false;
    surface_join_stars(c, &a, &b);
    w->moved[a.vertex] = true;
    float *place = c->mesh->vertices + 3 * (size_t)a.vertex;
    place[0] = (float)at.x;
    place[1] = (float)at.y;
    place[2] = (float)at.z;
    float *confidence = c->mesh->confidence;
    if (confidence) confidence[a.vertex] = (confidence[a.vertex] + confidence[b.vertex]) / 2;
    return true;
}

/* ---- all edges ------------------------------------------------------------------ */

static bool is_short(const cleaning_work *w, uint32_t corner) {
    const es_mesh *mesh = w->rings.mesh;
    es_vec3 side = es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(corner)]),
                               surface_vertex(mesh, mesh->triangles[corner]));
    return es_vec3_dot(side, side) < w->shortest2;
}

/* A vertex takes part once in a round, else one could run along a row of short
 * edges and swallow them all. */
static size_t collapse_round(cleaning_work *w) {
    const es_mesh *mesh = w->rings.mesh;
    size_t count = 0;
    surface_rings_make(&w->rings);
    memset(w->moved, 0, mesh->vertex_count * sizeof *w->moved);
    for (uint32_t t = 0; t < mesh->triangle_count; t++)
        for (uint32_t h = 3 * t; h < 3 * t + 3 && w->rings.keep[t]; h++)
            count += is_short(w, h) && collapse(w, h);
    return count;
}

/* Of triangles that are still there; *dropped counts the components. */
static bool drop_small_components(cleaning_work *w, size_t *dropped, es_error *err) {
    const es_mesh *mesh = w->rings.mesh;
    bool *keep = w->rings.keep;
    uint32_t *sets = surface_components(mesh, err);
    bool *large = sets ? es_alloc_zero(mesh->vertex_count, sizeof *large, err) : NULL;
    bool *small = large ? es_alloc_zero(mesh->vertex_count, sizeof *small, err) : NULL;
    bool ok = small != NULL;
    if (ok) {
        for (uint32_t h = 0; h < 3 * mesh->triangle_count; h++)
            if (keep[h / 3] && !is_short(w, h))
                large[surface_sets_root(sets, mesh->triangles[h])] = true;
        for (size_t t = 0; t < mesh->triangle_count; t++) {
            uint32_t root = surface_sets_root(sets, mesh->triangles[3 * t]);
            if (large[root]) continue;
            *dropped += !small[root];
            small[root] = true;
            keep[t] = false;
        }
    }
    es_free(sets);
    es_free(large);
    es_free(small);
    return ok;
}

/* `mesh` has one fan per vertex. */
static bool collapse_all(es_mesh *mesh, double min_edge_mm, const bool *held,
                         es_mesh_cleaning *cleaning, es_error *err) {
    cleaning_work w = {.shortest2 = min_edge_mm * min_edge_mm, .held = held};
    bool ok = surface_rings_open(&w.rings, mesh, err) &&
              (w.moved = es_alloc(mesh->vertex_count, sizeof *w.moved, err)) != NULL;
    for (int round = 0; ok && round < COLLAPSE_ROUNDS; round++) {
        size_t count = collapse_round(&w);
        cleaning->collapsed += count;
        if (count == 0 || es_cancelled(NULL)) break;
    }
    ok = ok && !es_cancelled(err) && drop_small_components(&w, &cleaning->pieces_dropped, err) &&
         surface_keep_triangles(mesh, w.rings.keep, err);
    surface_rings_clear(&w.rings);
    es_free(w.moved);
    return ok;
}

/* ---- the whole -------------------------------------------------------------------- */

static bool clean_once(const es_mesh *whole, double min_edge_mm, const bool *held, es_mesh *clean,
                       es_mesh_cleaning *counts, es_error *err) {
    *counts = (es_mesh_cleaning){0};
    return es_mesh_copy(whole, clean, err) && collapse_all(clean, min_edge_mm, held, counts, err) &&
           surface_part_places(clean, 0, STEP_PART * min_edge_mm, err);
}

/* `whole` has one fan per vertex. */
static bool clean_untangled(const es_mesh *whole, double min_edge_mm, es_mesh *clean,
                            es_mesh_cleaning *counts, es_error *err) {
    bool *held = es_alloc_zero(whole->vertex_count, sizeof *held, err), ok = held != NULL;
    size_t before = SIZE_MAX;
    for (int round = 0; ok && round < HOLD_ROUNDS; round++) {
        crossed_facets c = {0};
        es_mesh_clear(clean);
        ok = clean_once(whole, min_edge_mm, held, clean, counts, err) &&
             surface_crossed_new(&c, clean, NULL, err);
        bool better = ok && c.pairs > 0 && c.pairs < before;
        before = c.pairs;
        if (better) ok = surface_hold_near(&c, (2 + round) * min_edge_mm, whole, held, err);
        surface_crossed_clear(&c);
        if (!better) break;
    }
    es_free(held);
    return ok;
}

bool es_mesh_clean(es_mesh *mesh, double min_edge_mm, es_mesh_cleaning *cleaning, es_error *err) {
    es_mesh_cleaning counts = {0};
    es_mesh whole = {0}, clean = {0};
    if (!(min_edge_mm > 0) || isinf(min_edge_mm))
        return es_fail(err, ES_USAGE, "shortest edge %g mm: expected a length above 0",
                       min_edge_mm);
    bool ok = surface_split_fans(mesh, &whole, err) &&
              clean_untangled(&whole, min_edge_mm, &clean, &counts, err);
    es_mesh_clear(&whole);
    if (!ok) {
        es_mesh_clear(&clean);
        return false;
    }
    es_mesh_clear(mesh);
    *mesh = clean;
    if (cleaning) *cleaning = counts;
    return true;
}
