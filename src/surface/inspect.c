/* What a mesh is: closed or not, of how many parts, how large. */
#include <math.h>
#include <string.h>

#include "topology.h"

/* A facet is taken for degenerate when its height is under this part of its
 * longest side: then its normal is rounding error. */
static const double DEGENERATE_RATIO = 1e-9;

static double longest_side_squared(const es_mesh *mesh, size_t triangle) {
    double longest = 0;
    for (size_t h = 3 * triangle; h < 3 * triangle + 3; h++) {
        es_vec3 side = es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(h)]),
                                   surface_vertex(mesh, mesh->triangles[h]));
        longest = fmax(longest, es_vec3_dot(side, side));
    }
    return longest;
}

/* Area, facets without any, and the volume by the divergence theorem: a sum of
 * tetrahedra to a point, here the first vertex, which keeps the terms small. */
static void measure(const es_mesh *mesh, es_mesh_check *check) {
    if (mesh->triangle_count == 0) return;
    es_vec3 apex = surface_vertex(mesh, mesh->triangles[0]);
    double area2 = 0, volume6 = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        es_vec3 cross = surface_cross(mesh, t);
        es_vec3 corner = surface_vertex(mesh, mesh->triangles[3 * t]);
        double length = es_vec3_length(cross);
        area2 += length;
        volume6 += es_vec3_dot(cross, es_vec3_sub(corner, apex));
        if (length <= DEGENERATE_RATIO * longest_side_squared(mesh, t)) check->degenerate++;
    }
    check->area_mm2 = area2 / 2;
    check->volume_mm3 = volume6 / 6;
}

/* Vertices that some triangle uses, and how many components they form. */
static bool count_components(const es_mesh *mesh, size_t *used_count, es_mesh_check *check,
                             es_error *err) {
    uint32_t *sets = surface_components(mesh, err);
    bool *used = sets ? es_alloc_zero(mesh->vertex_count, sizeof *used, err) : NULL;
    bool ok = used != NULL;
    if (ok) {
        for (size_t i = 0; i < 3 * mesh->triangle_count; i++) used[mesh->triangles[i]] = true;
        for (size_t v = 0; v < mesh->vertex_count; v++) {
            *used_count += used[v];
            check->components += used[v] && sets[v] == v;
        }
    }
    es_free(sets);
    es_free(used);
    return ok;
}

static bool count_loops(const es_mesh *mesh, const mesh_topology *topology, const uint32_t *fans,
                        size_t fan_count, es_mesh_check *check, es_error *err) {
    es_mesh_loops loops;
    bool ok = surface_loops(mesh, topology, fans, fan_count, &loops, err);
    check->boundary_loops = loops.count;
    es_mesh_loops_clear(&loops);
    return ok;
}

static bool count_bad_vertices(const es_mesh *mesh, const uint32_t *fans, es_mesh_check *check,
                               es_error *err) {
    bool *bad = es_alloc_zero(mesh->vertex_count, sizeof *bad, err);
    if (!bad) return false;
    for (size_t h = 0; h < 3 * mesh->triangle_count; h++) {
        uint32_t vertex = mesh->triangles[h];
        if (fans[h] == vertex || bad[vertex]) continue;
        bad[vertex] = true;
        check->bad_vertices++;
    }
    es_free(bad);
    return true;
}

bool es_mesh_inspect(const es_mesh *mesh, es_mesh_check *check, es_error *err) {
    *check = (es_mesh_check){0};
    mesh_topology topology;
    uint32_t *fans = NULL;
    size_t extra, used = 0;
    bool ok = surface_topology_find(mesh, &topology, err);
    if (ok) ok = (fans = es_alloc(topology.half_edges, sizeof *fans, err)) != NULL;
    ok = ok && surface_fans(mesh, &topology, fans, &extra, err) &&
         count_bad_vertices(mesh, fans, check, err) &&
         count_loops(mesh, &topology, fans, mesh->vertex_count + extra, check, err) &&
         count_components(mesh, &used, check, err);
    if (ok) {
        measure(mesh, check);
        check->boundary_edges = topology.boundary_edges;
        check->bad_edges = topology.bad_edges;
        check->closed = mesh->triangle_count > 0 && topology.boundary_edges == 0 &&
                        topology.bad_edges == 0 && check->bad_vertices == 0;
        check->euler = (long)used - (long)topology.edges + (long)mesh->triangle_count;
    }
    es_free(fans);
    surface_topology_clear(&topology);
    return ok;
}

/* Corners to the first vertex of their place; triangles that have two corners
 * in one are left out and counted. */
static size_t weld(es_mesh *mesh, const uint32_t *places) {
    size_t kept = 0, count = mesh->triangle_count;
    for (size_t t = 0; t < count; t++) {
        uint32_t corner[3];
        for (int k = 0; k < 3; k++) corner[k] = places[mesh->triangles[3 * t + (size_t)k]];
        if (corner[0] == corner[1] || corner[1] == corner[2] || corner[2] == corner[0]) continue;
        memcpy(mesh->triangles + 3 * kept++, corner, sizeof corner);
    }
    mesh->triangle_count = kept;
    return count - kept;
}

bool es_mesh_inspect_welded(const es_mesh *mesh, es_mesh_check *check, es_error *err) {
    *check = (es_mesh_check){0};
    if (!surface_check_mesh(mesh, err)) return false;
    es_mesh welded = {0};
    uint32_t *places = surface_places(mesh, err);
    bool ok = places && es_mesh_copy(mesh, &welded, err);
    if (ok) {
        size_t gone = weld(&welded, places);
        ok = es_mesh_inspect(&welded, check, err);
        check->degenerate += gone;
    }
    es_free(places);
    es_mesh_clear(&welded);
    return ok;
}
