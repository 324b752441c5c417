/* What is written of a surface: the one rule for scans that see one side. */
#include <math.h>
#include <string.h>

#include "echosolid/solid.h"

void es_shape_clear(es_shape *shape) {
    es_mesh_clear(&shape->mesh);
    es_mesh_clear(&shape->sheet);
    *shape = (es_shape){0};
}

bool es_shape_check_size(const es_mesh *surface, es_error *err) {
    if (surface->triangle_count <= ES_SHAPE_TRIANGLES_MAX) return true;
    return es_fail(err, ES_UNSUPPORTED,
                   "%zu triangles: a model is made of %zu at most; take larger voxels, a smaller "
                   "region, or another level (noise has a surface about every voxel)",
                   surface->triangle_count, ES_SHAPE_TRIANGLES_MAX);
}

const es_mesh *es_shape_source(const es_shape *shape) {
    return shape->kind == ES_SHAPE_THICKENED ? &shape->sheet : &shape->mesh;
}

void es_shape_words(const es_shape *shape, const es_shape_options *o, char words[64]) {
    static const char *const kinds[] = {"closed", "open sheet", "thickened", "cap not measured"};
    char holes[40] = "", thickness[24] = "";
    if (shape->kind == ES_SHAPE_THICKENED)
        snprintf(thickness, sizeof thickness, " %g mm", o->thickness_mm);
    if (shape->holes.closed > 0)
        snprintf(holes, sizeof holes, ", %zu hole%s closed", shape->holes.closed,
                 shape->holes.closed == 1 ? "" : "s");
    snprintf(words, 64, "%s%s%s", kinds[shape->kind], thickness, holes);
}

/* `shape->mesh` is the sheet, holes closed. */
static bool make_solid(const es_shape_options *o, es_pool *pool, es_shape *shape, es_error *err) {
    es_mesh solid;
    shape->kind = o->cap ? ES_SHAPE_CAPPED : ES_SHAPE_THICKENED;
    bool ok = o->cap ? es_mesh_cap(&shape->mesh, o->thickness_mm, &solid, &shape->cap, err)
                     : es_mesh_thicken(&shape->mesh, o->thickness_mm, pool, &solid,
                                       &shape->left_out, err);
    if (!ok) return false;
    if (o->cap)
        es_mesh_clear(&shape->mesh);
    else
        shape->sheet = shape->mesh;
    shape->mesh = solid;
    return es_mesh_inspect_welded(&shape->mesh, &shape->check, err);
}

bool es_shape_make(const es_mesh *sheet, const es_shape_options *o, es_pool *pool, es_shape *shape,
                   es_error *err) {
    *shape = (es_shape){0};
    if (o->open && o->cap)
        return es_fail(err, ES_USAGE, "a sheet is either left open or capped, not both");
    bool ok = es_mesh_copy(sheet, &shape->mesh, err);
    if (ok && !isnan(o->close_holes_mm))
        ok = es_mesh_close_holes(&shape->mesh, o->close_holes_mm, &shape->holes, err);
    ok = ok && es_mesh_inspect_welded(&shape->mesh, &shape->check, err);
    if (ok && !shape->check.closed) {
        shape->kind = ES_SHAPE_OPEN;
        if (!o->open) ok = make_solid(o, pool, shape, err);
    }
    ok = ok && es_mesh_find_crossings(&shape->mesh, pool, NULL, &shape->crossings, err);
    if (!ok) es_shape_clear(shape);
    return ok;
}
