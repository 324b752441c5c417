/* A sheet closed to a solid by a cap behind it.
 *
 * Its holes are closed first. What is left goes the way of thickening: a copy behind
 * the sheet and a wall along the rim, in which no facets cross. Then the copy lets go
 * of the sheet and becomes a membrane in the wall's lower rim, held behind the sheet;
 * where that makes facets cross, it goes back towards where the thickening had it. */
#include <math.h>
#include <string.h>

#include "span.h"
#include "untangle.h"

typedef struct capping {
    const es_mesh *solid; /* thickened */
    thickened_parts parts;
    mesh_span span;   /* the copies, those of the rim first */
    uint32_t *number; /* per vertex of the solid: its number in the span */
    size_t copies;    /* triangles */
} capping;

static size_t copied_triangles(const capping *c) {
    return c->solid->triangle_count - c->parts.sheet_triangles - c->parts.walls;
}

/* Numbers the copies in the rim, then the others. The walls' triangles have all of the
 * rim's and no other copies. */
static void number_copies(capping *c) {
    const es_mesh *solid = c->solid;
    size_t first = c->parts.sheet_vertices, walls = c->parts.sheet_triangles + c->copies;
    uint32_t next = 0;
    memset(c->number, 0xff, solid->vertex_count * sizeof *c->number); /* UINT32_MAX */
    for (size_t i = 3 * walls; i < 3 * solid->triangle_count; i++) {
        uint32_t v = solid->triangles[i];
        if (v >= first && c->number[v] == UINT32_MAX) c->number[v] = next++;
    }
    c->span.rim = next;
    for (size_t v = first; v < solid->vertex_count; v++)
        if (c->number[v] == UINT32_MAX) c->number[v] = next++;
}

static bool make_span(capping *c, es_error *err) {
    const es_mesh *solid = c->solid;
    es_mesh *mesh = &c->span.mesh;
    mesh_topology topology;
    c->copies = copied_triangles(c);
    *mesh = (es_mesh){.vertex_count = solid->vertex_count - c->parts.sheet_vertices,
                      .triangle_count = c->copies};
    c->number = es_alloc(solid->vertex_count, sizeof *c->number, err);
    if (!c->number || !surface_alloc_mesh(mesh, false, err)) return false;
    number_copies(c);
    for (size_t v = c->parts.sheet_vertices; v < solid->vertex_count; v++)
        memcpy(mesh->vertices + 3 * (size_t)c->number[v], solid->vertices + 3 * v,
               3 * sizeof(float));
    for (size_t i = 0; i < 3 * c->copies; i++)
        mesh->triangles[i] = c->number[solid->triangles[3 * c->parts.sheet_triangles + i]];
    if (!surface_topology_find(mesh, &topology, err)) return false;
    c->span.twin = topology.twin; /* the span frees it */
    return true;
}

/* The copies at the span's places; back to the thickened solid where that crosses. */
static bool let_go(const capping *c, es_mesh *moved, es_pool *pool, es_error *err) {
    size_t left;
    if (!es_mesh_copy(c->solid, moved, err)) return false;
    for (size_t v = c->parts.sheet_vertices; v < moved->vertex_count; v++)
        memcpy(moved->vertices + 3 * v, c->span.mesh.vertices + 3 * (size_t)c->number[v],
               3 * sizeof(float));
    if (!surface_go_back(c->solid, moved, pool, &left, err)) return false;
    if (left > 0)
        memcpy(moved->vertices, c->solid->vertices, 3 * moved->vertex_count * sizeof(float));
    return true;
}

/* `sheet` has confidence; the copies lose theirs. */
static bool make_cap(const es_mesh *sheet, double least_mm, es_mesh *solid,
                     es_mesh_closing *closing, es_error *err) {
    capping c = {0};
    es_mesh thick = {0};
    bool ok = surface_thicken(sheet, least_mm, NULL, &thick, &c.parts, err);
    nearest_tree *tree = ok ? surface_nearest_new(sheet, true, err) : NULL;
    span_obstacle obstacle = {.sheet = tree, .least_mm = least_mm};
    c.solid = &thick;
    ok = tree && make_span(&c, err) && surface_span_relax(&c.span, &obstacle, err) &&
         let_go(&c, solid, NULL, err);
    for (size_t v = c.parts.sheet_vertices; ok && v < solid->vertex_count; v++)
        solid->confidence[v] = 0;
    for (size_t t = c.parts.sheet_triangles; ok && t < solid->triangle_count; t++)
        closing->area_mm2 += es_vec3_length(surface_cross(solid, t)) / 2;
    if (ok) closing->vertices += solid->vertex_count - c.parts.sheet_vertices;
    surface_nearest_free(tree);
    surface_span_clear(&c.span);
    es_free(c.number);
    es_mesh_clear(&thick);
    return ok;
}

static bool with_confidence(es_mesh *mesh, es_error *err) {
    if (mesh->confidence) return true;
    mesh->confidence = es_alloc(mesh->vertex_count, sizeof(float), err);
    for (size_t v = 0; mesh->confidence && v < mesh->vertex_count; v++) mesh->confidence[v] = 1;
    return mesh->confidence != NULL;
}

bool es_mesh_cap(const es_mesh *sheet, double least_mm, es_mesh *solid, es_mesh_closing *closing,
                 es_error *err) {
    es_mesh_closing own;
    es_mesh_check check;
    es_mesh whole = {0};
    if (!closing) closing = &own;
    *closing = (es_mesh_closing){0};
    *solid = (es_mesh){0};
    if (!(least_mm > 0) || isinf(least_mm))
        return es_fail(err, ES_USAGE, "a cap %g mm behind the sheet: expected a length above 0",
                       least_mm);
    bool ok = es_mesh_copy(sheet, &whole, err) &&
              es_mesh_close_holes(&whole, INFINITY, closing, err) &&
              es_mesh_inspect(&whole, &check, err);
    if (ok && check.boundary_loops == 0) {
        *solid = whole;
        return true;
    }
    closing->closed += check.boundary_loops;
    ok = ok && with_confidence(&whole, err) && make_cap(&whole, least_mm, solid, closing, err);
    es_mesh_clear(&whole);
    if (!ok) es_mesh_clear(solid);
    return ok;
}
