/* Keeping the largest components of a mesh. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Triangles and vertices in their old order, piece by piece: where each piece's begin. */
typedef struct parted {
    uint32_t *number;            /* per root: its piece; then per vertex: its number there */
    uint32_t *triangle, *vertex; /* old numbers */
    size_t *first_triangle, *first_vertex; /* pieces + 1 */
} parted;

static void clear_parted(parted *p) {
    es_free(p->number);
    es_free(p->triangle);
    es_free(p->vertex);
    es_free(p->first_triangle);
    es_free(p->first_vertex);
}

/* Puts 0, 1, 2, ... in the order of their pieces (NO_PIECE: left out); first[p]: where those
 * of piece p begin. */
#define NO_PIECE UINT32_MAX

static void sort_by_piece(const uint32_t *piece, size_t count, size_t pieces, uint32_t *order,
                          size_t *first) {
    memset(first, 0, (pieces + 1) * sizeof *first);
    for (size_t i = 0; i < count; i++)
        if (piece[i] != NO_PIECE) first[piece[i] + 1]++;
    for (size_t p = 0; p < pieces; p++) first[p + 1] += first[p];
    for (size_t i = 0; i < count; i++)
        if (piece[i] != NO_PIECE) order[first[piece[i]]++] = (uint32_t)i;
    for (size_t p = pieces; p > 0; p--) first[p] = first[p - 1];
    first[0] = 0;
}

static bool part(const es_mesh *mesh, uint32_t *sets, const sized_piece *pieces, size_t count,
                 parted *p, es_error *err) {
    size_t vertices = mesh->vertex_count, triangles = mesh->triangle_count;
    uint32_t *of_vertex = es_alloc(vertices, sizeof *of_vertex, err);
    uint32_t *of_triangle = of_vertex ? es_alloc(triangles, sizeof *of_triangle, err) : NULL;
    p->number = of_triangle ? es_alloc(vertices, sizeof *p->number, err) : NULL;
    p->triangle = p->number ? es_alloc(triangles, sizeof *p->triangle, err) : NULL;
    p->vertex = p->triangle ? es_alloc(vertices, sizeof *p->vertex, err) : NULL;
    p->first_triangle = p->vertex ? es_alloc(count + 1, sizeof *p->first_triangle, err) : NULL;
    p->first_vertex = p->first_triangle ? es_alloc(count + 1, sizeof *p->first_vertex, err) : NULL;
    if (p->first_vertex) {
        memset(p->number, 0xff, vertices * sizeof *p->number);
        for (size_t i = 0; i < count; i++) p->number[pieces[i].root] = (uint32_t)i;
        for (uint32_t v = 0; v < vertices; v++)
            of_vertex[v] = p->number[surface_sets_root(sets, v)];
        for (size_t t = 0; t < triangles; t++) of_triangle[t] = of_vertex[mesh->triangles[3 * t]];
        sort_by_piece(of_vertex, vertices, count, p->vertex, p->first_vertex);
        sort_by_piece(of_triangle, triangles, count, p->triangle, p->first_triangle);
        for (size_t i = 0; i < count; i++)
            for (size_t k = p->first_vertex[i]; k < p->first_vertex[i + 1]; k++)
                p->number[p->vertex[k]] = (uint32_t)(k - p->first_vertex[i]);
    }
    es_free(of_vertex);
    es_free(of_triangle);
    return p->first_vertex != NULL;
}

static bool copy_piece(const es_mesh *mesh, const parted *p, size_t i, es_mesh *piece,
                       es_error *err) {
    const uint32_t *triangle = p->triangle + p->first_triangle[i];
    const uint32_t *vertex = p->vertex + p->first_vertex[i];
    piece->triangle_count = p->first_triangle[i + 1] - p->first_triangle[i];
    piece->vertex_count = p->first_vertex[i + 1] - p->first_vertex[i];
    if (!(piece->triangles = es_alloc(piece->triangle_count, 3 * sizeof(uint32_t), err)) ||
        !(piece->vertices = es_alloc(piece->vertex_count, 3 * sizeof(float), err)) ||
        (mesh->confidence &&
         !(piece->confidence = es_alloc(piece->vertex_count, sizeof(float), err))))
        return false;
    for (size_t t = 0; t < piece->triangle_count; t++)
        for (size_t k = 0; k < 3; k++)
            piece->triangles[3 * t + k] = p->number[mesh->triangles[3 * (size_t)triangle[t] + k]];
    for (size_t v = 0; v < piece->vertex_count; v++) {
        memcpy(piece->vertices + 3 * v, mesh->vertices + 3 * (size_t)vertex[v], 3 * sizeof(float));
        if (mesh->confidence) piece->confidence[v] = mesh->confidence[vertex[v]];
    }
    return true;
}

es_mesh *es_mesh_split(const es_mesh *mesh, size_t *count, es_error *err) {
    *count = 0;
    if (!surface_check_mesh(mesh, err)) return NULL;
    parted p = {0};
    uint32_t *sets = surface_components(mesh, err);
    sized_piece *pieces = sets ? list_pieces(mesh, sets, count, err) : NULL;
    es_mesh *apart = pieces ? es_alloc_zero(*count, sizeof *apart, err) : NULL;
    bool ok = apart && part(mesh, sets, pieces, *count, &p, err);
    for (size_t i = 0; ok && i < *count; i++) ok = copy_piece(mesh, &p, i, &apart[i], err);
    for (size_t i = 0; apart && !ok && i < *count; i++) es_mesh_clear(&apart[i]);
    if (!ok) {
        es_free(apart);
        apart = NULL;
    }
    clear_parted(&p);
    es_free(pieces);
    es_free(sets);
    return apart;
}
