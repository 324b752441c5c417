/* Keeping the largest components of a mesh. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Drops triangles whose component is not kept, then vertices left unused. */
static void compact(es_mesh *mesh, uint32_t *sets, const bool *keep, uint32_t *renumbered) {
    size_t triangles = 0, vertices = 0;
    memset(renumbered, 0xff, mesh->vertex_count * sizeof *renumbered);
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *corner = mesh->triangles + 3 * t;
        if (!keep[surface_sets_root(sets, corner[0])]) continue;
        for (int k = 0; k < 3; k++) renumbered[corner[k]] = 0;
        memmove(mesh->triangles + 3 * triangles++, corner, 3 * sizeof *corner);
    }
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        if (renumbered[v] == UINT32_MAX) continue;
        memmove(mesh->vertices + 3 * vertices, mesh->vertices + 3 * v, 3 * sizeof(float));
        if (mesh->confidence) mesh->confidence[vertices] = mesh->confidence[v];
        renumbered[v] = (uint32_t)vertices++;
    }
    for (size_t i = 0; i < 3 * triangles; i++) mesh->triangles[i] = renumbered[mesh->triangles[i]];
    mesh->triangle_count = triangles;
    mesh->vertex_count = vertices;
}

bool es_mesh_keep_components(es_mesh *mesh, size_t count, double min_area_mm2, size_t *kept,
                             size_t *dropped, es_error *err) {
    size_t kept_here, dropped_here;
    if (isnan(min_area_mm2)) return es_fail(err, ES_USAGE, "the least area is not a number");
    if (!surface_check_mesh(mesh, err)) return false;
    uint32_t *sets = surface_components(mesh, err);
    uint32_t *renumbered = sets ? es_alloc(mesh->vertex_count, sizeof *renumbered, err) : NULL;
    bool *keep = renumbered ? es_alloc_zero(mesh->vertex_count, sizeof *keep, err) : NULL;
    double *area = keep ? es_alloc(mesh->vertex_count, sizeof *area, err) : NULL;
    bool ok = area != NULL;
    if (ok) {
        sum_areas(mesh, sets, area);
        ok = choose(area, mesh->vertex_count, count, min_area_mm2, keep, &kept_here, &dropped_here,
                    err);
    }
    if (ok) {
        compact(mesh, sets, keep, renumbered);
        if (kept) *kept = kept_here;
        if (dropped) *dropped = dropped_here;
    }
    es_free(sets);
    es_free(renumbered);
    es_free(keep);
    es_free(area);
    return ok;
}
