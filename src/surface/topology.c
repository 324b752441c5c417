/* Edges, fans and components of a mesh, all in linear time and in an order
 * that depends on the mesh alone. */
#include <math.h>
#include <string.h>

#include "topology.h"

bool surface_check_mesh(const es_mesh *mesh, es_error *err) {
    if (mesh->triangle_count > ES_MESH_TRIANGLES_MAX)
        return es_fail(err, ES_MEMORY, "%zu triangles: more than the %zu that a mesh may have",
                       mesh->triangle_count, ES_MESH_TRIANGLES_MAX);
    if (mesh->vertex_count > ES_MESH_TRIANGLES_MAX)
        return es_fail(err, ES_MEMORY, "%zu vertices: more than the %zu that a mesh may have",
                       mesh->vertex_count, ES_MESH_TRIANGLES_MAX);
    for (size_t i = 0; i < 3 * mesh->triangle_count; i++)
        if (mesh->triangles[i] >= mesh->vertex_count)
            return es_fail(err, ES_FORMAT, "triangle %zu: vertex %u, but there are %zu", i / 3,
                           mesh->triangles[i], mesh->vertex_count);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        if (!isfinite(mesh->vertices[i]))
            return es_fail(err, ES_FORMAT, "vertex %zu: %g is not a coordinate", i / 3,
                           (double)mesh->vertices[i]);
    return true;
}

/* ---- edges ---------------------------------------------------------------- */

static uint32_t lower_end(const es_mesh *mesh, size_t h) {
    uint32_t a = mesh->triangles[h], b = mesh->triangles[surface_next(h)];
    return a < b ? a : b;
}

static uint32_t higher_end(const es_mesh *mesh, size_t h) {
    uint32_t a = mesh->triangles[h], b = mesh->triangles[surface_next(h)];
    return a < b ? b : a;
}

/* Sorts half-edges stably by one end (a counting sort); `from` NULL: in order. */
static void sort_by_end(const es_mesh *mesh, uint32_t end_of(const es_mesh *, size_t),
                        const uint32_t *from, uint32_t *to, uint32_t *starts) {
    size_t count = 3 * mesh->triangle_count;
    memset(starts, 0, (mesh->vertex_count + 1) * sizeof *starts);
    for (size_t h = 0; h < count; h++) starts[end_of(mesh, h) + 1]++;
    for (size_t v = 0; v < mesh->vertex_count; v++) starts[v + 1] += starts[v];
    for (size_t i = 0; i < count; i++) {
        uint32_t h = from ? from[i] : (uint32_t)i;
        to[starts[end_of(mesh, h)]++] = h;
    }
}

/* The half-edges of one edge, next to each other in `group`. */
static void settle_edge(const es_mesh *mesh, const uint32_t *group, size_t uses,
                        mesh_topology *topology) {
    topology->edges++;
    bool loop = lower_end(mesh, group[0]) == higher_end(mesh, group[0]);
    if (uses == 2 && !loop && mesh->triangles[group[0]] != mesh->triangles[group[1]]) {
        topology->twin[group[0]] = group[1];
        topology->twin[group[1]] = group[0];
    } else if (uses == 1 && !loop) {
        topology->boundary_edges++;
    } else {
        topology->bad_edges++;
    }
}

static void pair_half_edges(const es_mesh *mesh, const uint32_t *sorted, mesh_topology *topology) {
    for (size_t i = 0, j; i < topology->half_edges; i = j) {
        uint32_t low = lower_end(mesh, sorted[i]), high = higher_end(mesh, sorted[i]);
        for (j = i + 1; j < topology->half_edges && lower_end(mesh, sorted[j]) == low &&
                        higher_end(mesh, sorted[j]) == high;)
            j++;
        settle_edge(mesh, sorted + i, j - i, topology);
    }
}

bool surface_topology_find(const es_mesh *mesh, mesh_topology *topology, es_error *err) {
    *topology = (mesh_topology){.half_edges = 3 * mesh->triangle_count};
    if (!surface_check_mesh(mesh, err)) return false;
    size_t count = topology->half_edges;
    uint32_t *by_high = es_alloc(count, sizeof *by_high, err);
    uint32_t *sorted = by_high ? es_alloc(count, sizeof *sorted, err) : NULL;
    uint32_t *starts = sorted ? es_alloc(mesh->vertex_count + 1, sizeof *starts, err) : NULL;
    topology->twin = starts ? es_alloc(count, sizeof *topology->twin, err) : NULL;
    if (topology->twin) {
        memset(topology->twin, 0xff, count * sizeof *topology->twin); /* NO_TWIN */
        sort_by_end(mesh, higher_end, NULL, by_high, starts);
        sort_by_end(mesh, lower_end, by_high, sorted, starts);
        pair_half_edges(mesh, sorted, topology);
    }
    es_free(by_high);
    es_free(sorted);
    es_free(starts);
    return topology->twin != NULL;
}

void surface_topology_clear(mesh_topology *topology) {
    es_free(topology->twin);
    *topology = (mesh_topology){0};
}

/* ---- disjoint sets --------------------------------------------------------- */

uint32_t *surface_sets_new(size_t count, es_error *err) {
    uint32_t *sets = es_alloc(count, sizeof *sets, err);
    if (sets)
        for (size_t i = 0; i < count; i++) sets[i] = (uint32_t)i;
    return sets;
}

uint32_t surface_sets_root(uint32_t *sets, uint32_t member) {
    while (sets[member] != member) {
        sets[member] = sets[sets[member]];
        member = sets[member];
    }
    return member;
}

void surface_sets_join(uint32_t *sets, uint32_t a, uint32_t b) {
    a = surface_sets_root(sets, a);
    b = surface_sets_root(sets, b);
    if (a < b)
        sets[b] = a;
    else
        sets[a] = b;
}

uint32_t *surface_components(const es_mesh *mesh, es_error *err) {
    uint32_t *sets = surface_sets_new(mesh->vertex_count, err);
    if (!sets) return NULL;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *corner = mesh->triangles + 3 * t;
        surface_sets_join(sets, corner[0], corner[1]);
        surface_sets_join(sets, corner[0], corner[2]);
    }
    return sets;
}

/* ---- fans ------------------------------------------------------------------- */

static void join_fans(const mesh_topology *topology, uint32_t *sets) {
    for (size_t h = 0; h < topology->half_edges; h++) {
        uint32_t twin = topology->twin[h];
        if (twin == NO_TWIN || twin < h) continue;
        surface_sets_join(sets, (uint32_t)h, (uint32_t)surface_next(twin));
        surface_sets_join(sets, (uint32_t)surface_next(h), twin);
    }
}

bool surface_fans(const es_mesh *mesh, const mesh_topology *topology, uint32_t *fans, size_t *extra,
                  es_error *err) {
    *extra = 0;
    uint32_t *sets = surface_sets_new(topology->half_edges, err);
    bool *seen = sets ? es_alloc_zero(mesh->vertex_count, sizeof *seen, err) : NULL;
    if (seen) {
        join_fans(topology, sets);
        for (size_t h = 0; h < topology->half_edges; h++) {
            uint32_t vertex = mesh->triangles[h], root = surface_sets_root(sets, (uint32_t)h);
            if (root != h)
                fans[h] = fans[root]; /* the root comes first: it is the smallest */
            else
                fans[h] = seen[vertex] ? (uint32_t)(mesh->vertex_count + (*extra)++) : vertex;
            seen[vertex] = true;
        }
    }
    es_free(sets);
    bool ok = seen != NULL;
    es_free(seen);
    return ok;
}

/* ---- other meshes ------------------------------------------------------------ */

void surface_copy_vertex(const es_mesh *from, size_t vertex, es_mesh *to, size_t place) {
    memcpy(to->vertices + 3 * place, from->vertices + 3 * vertex, 3 * sizeof(float));
    if (to->confidence) to->confidence[place] = from->confidence[vertex];
}

bool surface_alloc_mesh(es_mesh *mesh, bool confidence, es_error *err) {
    mesh->vertices = es_alloc(mesh->vertex_count, 3 * sizeof(float), err);
    mesh->triangles = es_alloc(mesh->triangle_count, 3 * sizeof(uint32_t), err);
    if (confidence) mesh->confidence = es_alloc(mesh->vertex_count, sizeof(float), err);
    return mesh->vertices && mesh->triangles && (!confidence || mesh->confidence);
}

bool surface_split_fans(const es_mesh *sheet, es_mesh *split, es_error *err) {
    mesh_topology topology;
    *split = (es_mesh){0};
    if (!surface_topology_find(sheet, &topology, err)) return false;
    size_t extra = 0, bad = topology.bad_edges;
    uint32_t *fans = es_alloc(topology.half_edges, sizeof *fans, err);
    bool ok = fans && surface_fans(sheet, &topology, fans, &extra, err);
    surface_topology_clear(&topology);
    if (ok && bad > 0)
        ok = es_fail(err, ES_GEOMETRY,
                     "the mesh has %zu edges where more than two triangles meet, or two that face "
                     "opposite ways; it must be repaired first",
                     bad);
    *split = (es_mesh){.vertex_count = sheet->vertex_count + extra,
                       .triangle_count = sheet->triangle_count};
    ok = ok && surface_alloc_mesh(split, sheet->confidence != NULL, err);
    if (ok) {
        for (size_t v = 0; v < sheet->vertex_count; v++) surface_copy_vertex(sheet, v, split, v);
        for (size_t h = 0; h < 3 * sheet->triangle_count; h++) {
            surface_copy_vertex(sheet, sheet->triangles[h], split, fans[h]);
            split->triangles[h] = fans[h];
        }
    } else {
        es_mesh_clear(split);
    }
    es_free(fans);
    return ok;
}

bool surface_keep_triangles(es_mesh *mesh, const bool *keep, es_error *err) {
    uint32_t *renumbered = es_alloc(mesh->vertex_count, sizeof *renumbered, err);
    if (!renumbered) return false;
    size_t triangles = 0, vertices = 0;
    memset(renumbered, 0xff, mesh->vertex_count * sizeof *renumbered);
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *corner = mesh->triangles + 3 * t;
        if (!keep[t]) continue;
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
    es_free(renumbered);
    return true;
}

/* ---- neighbours -------------------------------------------------------------- */

enum { ON_BOUNDARY = 1u << 31 };

static void add_neighbour(const double *value, uint32_t from, uint32_t to, double *sum) {
    for (int a = 0; a < 3; a++) sum[3 * (size_t)to + a] += value[3 * (size_t)from + a];
}

void surface_neighbour_mean(const es_mesh *mesh, const mesh_topology *topology, bool along_rim,
                            const double *value, double *mean, uint32_t *counts) {
    memset(mean, 0, 3 * mesh->vertex_count * sizeof *mean);
    memset(counts, 0, mesh->vertex_count * sizeof *counts);
    for (size_t h = 0; along_rim && h < topology->half_edges; h++)
        if (topology->twin[h] == NO_TWIN) {
            counts[mesh->triangles[h]] = ON_BOUNDARY;
            counts[mesh->triangles[surface_next(h)]] = ON_BOUNDARY;
        }
    for (size_t h = 0; h < topology->half_edges; h++) {
        uint32_t twin = topology->twin[h];
        if (twin != NO_TWIN && twin < h) continue;
        uint32_t end[2] = {mesh->triangles[h], mesh->triangles[surface_next(h)]};
        for (int i = 0; i < 2; i++) {
            if (twin != NO_TWIN && counts[end[i]] & ON_BOUNDARY) continue;
            add_neighbour(value, end[1 - i], end[i], mean);
            counts[end[i]]++;
        }
    }
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        uint32_t count = counts[v] & ~ON_BOUNDARY;
        bool alone = count == 0 || (counts[v] & ON_BOUNDARY && count != 2);
        for (size_t a = 3 * v; a < 3 * v + 3; a++) mean[a] = alone ? value[a] : mean[a] / count;
    }
}
