/* Keeping the largest components of a mesh. */
#include <math.h>
#include <stdlib.h>

#include "nearest.h"
#include "topology.h"

typedef struct component {
    uint32_t root; /* its smallest vertex */
    bool kept;
    double area_mm2;
} component;

static int by_area(const void *a, const void *b) {
    const component *p = a, *q = b;
    if (p->area_mm2 != q->area_mm2) return p->area_mm2 > q->area_mm2 ? -1 : 1;
    return p->root < q->root ? -1 : p->root > q->root;
}

/* area[root]: the component's area; -1 where no triangle is. */
static void sum_areas(const es_mesh *mesh, uint32_t *sets, double *area) {
    for (size_t v = 0; v < mesh->vertex_count; v++) area[v] = -1;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        uint32_t root = surface_sets_root(sets, mesh->triangles[3 * t]);
        area[root] = fmax(area[root], 0) + es_vec3_length(surface_cross(mesh, t)) / 2;
    }
}

/* Marks the components to keep in `keep[root]`, and counts. */
static bool choose(const double *area, size_t vertex_count, size_t limit, double min_area_mm2,
                   bool *keep, size_t *kept, size_t *dropped, es_error *err) {
    size_t count = 0;
    for (size_t v = 0; v < vertex_count; v++) count += area[v] >= 0;
    component *all = es_alloc(count, sizeof *all, err);
    if (!all) return false;
    for (size_t v = 0, i = 0; v < vertex_count; v++)
        if (area[v] >= 0) all[i++] = (component){.root = (uint32_t)v, .area_mm2 = area[v]};
    qsort(all, count, sizeof *all, by_area);
    *kept = 0;
    while (*kept < count && (limit == 0 || *kept < limit) && all[*kept].area_mm2 >= min_area_mm2)
        keep[all[(*kept)++].root] = true;
    *dropped = count - *kept;
    es_free(all);
    return true;
}

static bool keep_chosen(es_mesh *mesh, uint32_t *sets, const bool *chosen, es_error *err) {
    bool *keep = es_alloc(mesh->triangle_count, sizeof *keep, err);
    if (!keep) return false;
    for (size_t t = 0; t < mesh->triangle_count; t++)
        keep[t] = chosen[surface_sets_root(sets, mesh->triangles[3 * t])];
    bool ok = surface_keep_triangles(mesh, keep, err);
    es_free(keep);
    return ok;
}

bool es_mesh_keep_components(es_mesh *mesh, size_t count, double min_area_mm2, size_t *kept,
                             size_t *dropped, es_error *err) {
    size_t kept_here, dropped_here;
    if (isnan(min_area_mm2)) return es_fail(err, ES_USAGE, "the least area is not a number");
    if (!surface_check_mesh(mesh, err)) return false;
    uint32_t *sets = surface_components(mesh, err);
    bool *chosen = sets ? es_alloc_zero(mesh->vertex_count, sizeof *chosen, err) : NULL;
    double *area = chosen ? es_alloc(mesh->vertex_count, sizeof *area, err) : NULL;
    bool ok = area != NULL;
    if (ok) {
        sum_areas(mesh, sets, area);
        ok = choose(area, mesh->vertex_count, count, min_area_mm2, chosen, &kept_here,
                    &dropped_here, err) &&
             keep_chosen(mesh, sets, chosen, err);
    }
    if (ok) {
        if (kept) *kept = kept_here;
        if (dropped) *dropped = dropped_here;
    }
    es_free(sets);
    es_free(chosen);
    es_free(area);
    return ok;
}

/* ---- by a point ------------------------------------------------------------------ */

static double squared_distance(const es_mesh *mesh, size_t triangle, es_vec3 p, double limit) {
    es_vec3 corner[3];
    for (size_t k = 0; k < 3; k++)
        corner[k] = surface_vertex(mesh, mesh->triangles[3 * triangle + k]);
    return surface_triangle_squared(corner, p, limit);
}

bool es_mesh_keep_nearest(es_mesh *mesh, es_vec3 point, size_t *dropped, es_error *err) {
    if (!isfinite(point.x) || !isfinite(point.y) || !isfinite(point.z))
        return es_fail(err, ES_USAGE, "the point that chooses a piece is not finite");
    if (!surface_check_mesh(mesh, err)) return false;
    uint32_t *sets = surface_components(mesh, err);
    bool *chosen = sets ? es_alloc_zero(mesh->vertex_count, sizeof *chosen, err) : NULL;
    size_t nearest = 0, pieces = 0;
    double least = INFINITY;
    for (size_t t = 0; chosen && t < mesh->triangle_count; t++) {
        double squared = squared_distance(mesh, t, point, least);
        if (squared < least) nearest = t;
        least = fmin(least, squared);
        bool *seen = &chosen[surface_sets_root(sets, mesh->triangles[3 * t])];
        pieces += !*seen;
        *seen = true;
    }
    bool ok = chosen != NULL;
    if (ok && mesh->triangle_count > 0) {
        uint32_t root = surface_sets_root(sets, mesh->triangles[3 * nearest]);
        for (size_t v = 0; v < mesh->vertex_count; v++) chosen[v] = v == root;
        ok = keep_chosen(mesh, sets, chosen, err);
    }
    if (ok && dropped) *dropped = pieces > 0 ? pieces - 1 : 0;
    es_free(sets);
    es_free(chosen);
    return ok;
}

/* ---- apart --------------------------------------------------------------------- */

typedef struct sized_piece {
    uint32_t root;
    double area;
} sized_piece;

static int by_falling_area(const void *a, const void *b) {
    const sized_piece *p = a, *q = b;
    if (p->area != q->area) return p->area > q->area ? -1 : 1;
    return (p->root > q->root) - (p->root < q->root);
}

/* The components by falling area; es_free it. */
static sized_piece *list_pieces(const es_mesh *mesh, uint32_t *sets, size_t *count, es_error *err) {
    double *areas = es_alloc_zero(mesh->vertex_count, sizeof *areas, err);
    sized_piece *pieces = areas ? es_alloc(mesh->vertex_count, sizeof *pieces, err) : NULL;
    *count = 0;
    if (pieces) {
        for (size_t t = 0; t < mesh->triangle_count; t++)
            areas[surface_sets_root(sets, mesh->triangles[3 * t])] +=
                es_vec3_length(surface_cross(mesh, t)) / 2;
        for (uint32_t v = 0; v < mesh->vertex_count; v++)
            if (areas[v] > 0) pieces[(*count)++] = (sized_piece){v, areas[v]};
        qsort(pieces, *count, sizeof *pieces, by_falling_area);
    }
    es_free(areas);
    return pieces;
}

static bool copy_piece(const es_mesh *mesh, uint32_t *sets, uint32_t root, es_mesh *piece,
                       es_error *err) {
    bool *keep = es_alloc(mesh->triangle_count, sizeof *keep, err);
    bool ok = keep && es_mesh_copy(mesh, piece, err);
    if (ok) {
        for (size_t t = 0; t < mesh->triangle_count; t++)
            keep[t] = surface_sets_root(sets, mesh->triangles[3 * t]) == root;
        ok = surface_keep_triangles(piece, keep, err);
    }
    es_free(keep);
    return ok;
}

es_mesh *es_mesh_split(const es_mesh *mesh, size_t *count, es_error *err) {
    *count = 0;
    if (!surface_check_mesh(mesh, err)) return NULL;
    uint32_t *sets = surface_components(mesh, err);
    sized_piece *pieces = sets ? list_pieces(mesh, sets, count, err) : NULL;
    es_mesh *apart = pieces ? es_alloc_zero(*count, sizeof *apart, err) : NULL;
    bool ok = apart != NULL;
    for (size_t i = 0; ok && i < *count; i++)
        ok = copy_piece(mesh, sets, pieces[i].root, &apart[i], err);
    for (size_t i = 0; apart && !ok && i < *count; i++) es_mesh_clear(&apart[i]);
    if (!ok) {
        es_free(apart);
        apart = NULL;
    }
    es_free(pieces);
    es_free(sets);
    return apart;
}
