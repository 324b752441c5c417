/* Fewer triangles for any mesh, however its edges are: corners that fall into
 * one cell of a grid become one, triangles with two corners in one cell go
 * (Rossignac and Borrel 1993). Coarser than collapsing edges, which needs a
 * two-manifold; for meshes that are none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "view_internal.h"

typedef struct corner {
    uint64_t cell;
    uint32_t vertex;
} corner;

static int by_cell(const void *a, const void *b) {
    const corner *p = a, *q = b;
    if (p->cell != q->cell) return p->cell < q->cell ? -1 : 1;
    return p->vertex < q->vertex ? -1 : p->vertex > q->vertex;
}

static double area_of(const es_mesh *mesh) {
    double twice = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        es_vec3 p[3];
        for (int k = 0; k < 3; k++) {
            const float *v = &mesh->vertices[3 * (size_t)mesh->triangles[3 * t + (size_t)k]];
            p[k] = es_vec3_make(v[0], v[1], v[2]);
        }
        twice += es_vec3_length(es_vec3_cross(es_vec3_sub(p[1], p[0]), es_vec3_sub(p[2], p[0])));
    }
    return twice / 2;
}

/* 21 bits an axis: cells are never smaller than 2^-20 of the box. */
static void find_cells(const es_mesh *mesh, double cell_mm, corner *corners) {
    es_box3 box = es_mesh_box(mesh);
    const double low[3] = {box.min.x, box.min.y, box.min.z};
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        uint64_t cell = 0;
        for (size_t k = 0; k < 3; k++)
            cell = cell << 21 | (uint64_t)(((double)mesh->vertices[3 * i + k] - low[k]) / cell_mm);
        corners[i] = (corner){cell, (uint32_t)i};
    }
    qsort(corners, mesh->vertex_count, sizeof *corners, by_cell);
}

/* Numbers the cells in order; the lowest vertex of each stands for it. */
static size_t number_cells(const corner *corners, size_t count, uint32_t *place, uint32_t *chosen) {
    size_t cells = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || corners[i].cell != corners[i - 1].cell) chosen[cells++] = corners[i].vertex;
        place[corners[i].vertex] = (uint32_t)cells - 1;
    }
    return cells;
}

static bool survives(const uint32_t *triangle, const uint32_t *place) {
    uint32_t a = place[triangle[0]], b = place[triangle[1]], c = place[triangle[2]];
    return a != b && b != c && c != a;
}

static size_t count_survivors(const es_mesh *mesh, const uint32_t *place) {
    size_t count = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++)
        count += survives(&mesh->triangles[3 * t], place);
    return count;
}

/* In place; `chosen` may stand in any order, so vertices are gathered aside. */
static bool gather(es_mesh *mesh, const uint32_t *place, const uint32_t *chosen, size_t cells,
                   es_error *err) {
    float *vertices = es_alloc(3 * cells, sizeof *vertices, err);
    float *confidence = mesh->confidence ? es_alloc(cells, sizeof *confidence, err) : NULL;
    if (!vertices || (mesh->confidence && !confidence)) {
        es_free(vertices);
        return false;
    }
    for (size_t i = 0; i < cells; i++) {
        memcpy(&vertices[3 * i], &mesh->vertices[3 * (size_t)chosen[i]], 3 * sizeof *vertices);
        if (confidence) confidence[i] = mesh->confidence[chosen[i]];
    }
    size_t kept = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *from = &mesh->triangles[3 * t];
        if (!survives(from, place)) continue;
        for (size_t k = 0; k < 3; k++) mesh->triangles[3 * kept + k] = place[from[k]];
        kept++;
    }
    es_free(mesh->vertices);
    es_free(mesh->confidence);
    mesh->vertices = vertices;
    mesh->confidence = confidence;
    mesh->vertex_count = cells;
    mesh->triangle_count = kept;
    return true;
}

bool view_cluster(es_mesh *mesh, size_t triangles, double *within_mm, es_error *err) {
    size_t n = mesh->vertex_count, cells = 0;
    es_box3 box = es_mesh_box(mesh);
    double diagonal = es_vec3_length(es_vec3_sub(box.max, box.min));
    double cell_mm =
        fmax(sqrt(2 * area_of(mesh) / (double)triangles), fmax(diagonal / (1 << 20), 1e-30));
    corner *corners = es_alloc(n, sizeof *corners, err);
    uint32_t *place = corners ? es_alloc(n, sizeof *place, err) : NULL;
    uint32_t *chosen = place ? es_alloc(n, sizeof *chosen, err) : NULL;
    bool ok = chosen != NULL;
    for (bool done = !ok; !done; cell_mm *= done ? 1 : 1.25) {
        find_cells(mesh, cell_mm, corners);
        cells = number_cells(corners, n, place, chosen);
        done = count_survivors(mesh, place) <= triangles;
    }
    *within_mm = cell_mm * sqrt(3);
    ok = ok && gather(mesh, place, chosen, cells, err);
    es_free(corners);
    es_free(place);
    es_free(chosen);
    return ok;
}
