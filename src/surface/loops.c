/* The rims of a mesh: closed walks along edges that one triangle uses. */
#include <math.h>
#include <string.h>

#include "topology.h"

void es_mesh_loops_clear(es_mesh_loops *loops) {
    es_free(loops->items);
    es_free(loops->vertices);
    *loops = (es_mesh_loops){0};
}

/* Per fan the half-edge without twin that leaves it, NO_TWIN elsewhere. */
static uint32_t *find_leaving(const mesh_topology *topology, const uint32_t *fans, size_t count,
                              es_error *err) {
    uint32_t *leaving = es_alloc(count, sizeof *leaving, err);
    if (!leaving) return NULL;
    for (size_t f = 0; f < count; f++) leaving[f] = NO_TWIN;
    for (size_t h = 0; h < topology->half_edges; h++)
        if (topology->twin[h] == NO_TWIN) leaving[fans[h]] = (uint32_t)h;
    return leaving;
}

static void walk(const es_mesh *mesh, const uint32_t *fans, uint32_t *leaving, size_t start,
                 es_mesh_loops *loops) {
    es_mesh_loop *loop = &loops->items[loops->count++];
    *loop = (es_mesh_loop){.first = loops->vertex_count};
    for (size_t at = start; leaving[at] != NO_TWIN;) {
        size_t h = leaving[at];
        leaving[at] = NO_TWIN;
        loops->vertices[loops->vertex_count++] = mesh->triangles[h];
        at = fans[surface_next(h)];
    }
    loop->edges = loops->vertex_count - loop->first;
}

bool surface_loops(const es_mesh *mesh, const mesh_topology *topology, const uint32_t *fans,
                   size_t fan_count, es_mesh_loops *loops, es_error *err) {
    size_t open = 0;
    *loops = (es_mesh_loops){0};
    uint32_t *leaving = find_leaving(topology, fans, fan_count, err);
    if (!leaving) return false;
    for (size_t f = 0; f < fan_count; f++) open += leaving[f] != NO_TWIN;
    loops->items = es_alloc_zero(open + 1, sizeof *loops->items, err);
    loops->vertices = loops->items ? es_alloc(open + 1, sizeof *loops->vertices, err) : NULL;
    bool ok = loops->vertices != NULL;
    for (size_t f = 0; ok && f < fan_count; f++)
        if (leaving[f] != NO_TWIN) walk(mesh, fans, leaving, f, loops);
    es_free(leaving);
    if (!ok) es_mesh_loops_clear(loops);
    return ok;
}

/* The length, and the area of the polygon by its vector area (Newell): that of
 * a flat loop, less for one that bends. */
static void measure(const es_mesh *mesh, const es_mesh_loops *loops, es_mesh_loop *loop) {
    const uint32_t *vertices = loops->vertices + loop->first;
    es_vec3 origin = surface_vertex(mesh, vertices[0]), sum = {0, 0, 0};
    for (size_t i = 0; i < loop->edges; i++) {
        es_vec3 a = es_vec3_sub(surface_vertex(mesh, vertices[i]), origin);
        es_vec3 b = es_vec3_sub(surface_vertex(mesh, vertices[(i + 1) % loop->edges]), origin);
        loop->length_mm += es_vec3_length(es_vec3_sub(b, a));
        sum = es_vec3_add(sum, es_vec3_cross(a, b));
    }
    loop->area_mm2 = es_vec3_length(sum) / 2;
}

/* The longest loop of each component goes round it; the others are holes. */
static bool find_outer(const es_mesh *mesh, es_mesh_loops *loops, es_error *err) {
    uint32_t *sets = surface_components(mesh, err);
    size_t *longest = sets ? es_alloc_zero(mesh->vertex_count, sizeof *longest, err) : NULL;
    for (size_t i = 0; longest && i < loops->count; i++) {
        size_t *best = &longest[sets[loops->vertices[loops->items[i].first]]];
        if (*best == 0 || loops->items[i].length_mm > loops->items[*best - 1].length_mm)
            *best = i + 1;
    }
    for (size_t v = 0; longest && v < mesh->vertex_count; v++)
        if (longest[v]) loops->items[longest[v] - 1].outer = true;
    bool ok = longest != NULL;
    es_free(longest);
    es_free(sets);
    return ok;
}

bool es_mesh_find_loops(const es_mesh *mesh, es_mesh_loops *loops, es_error *err) {
    mesh_topology topology;
    uint32_t *fans = NULL;
    size_t extra;
    *loops = (es_mesh_loops){0};
    bool ok = surface_topology_find(mesh, &topology, err);
    if (ok) ok = (fans = es_alloc(topology.half_edges, sizeof *fans, err)) != NULL;
    ok = ok && surface_fans(mesh, &topology, fans, &extra, err) &&
         surface_loops(mesh, &topology, fans, mesh->vertex_count + extra, loops, err);
    for (size_t i = 0; ok && i < loops->count; i++) measure(mesh, loops, &loops->items[i]);
    ok = ok && find_outer(mesh, loops, err);
    es_free(fans);
    surface_topology_clear(&topology);
    if (!ok) es_mesh_loops_clear(loops);
    return ok;
}
