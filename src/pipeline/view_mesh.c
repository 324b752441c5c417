/* A mesh for the browser: few enough triangles, 16-bit corners, and what its
 * corners can be coloured by. */
#include <math.h>
#include <string.h>

#include "echosolid/pipeline.h"
#include "report_internal.h"
#include "view_internal.h"

#define DISTANCE_HIGH_MM 2.0 /* as the report's still picture and histogram */

typedef struct packer {
    es_view *view;
    const es_view_mesh *given;
    es_mesh mesh;     /* what is shown */
    double within_mm; /* of the given one; 0: it is the given one */
    es_pool *pool;
    json_t *out;
} packer;

static bool check_mesh(const es_view_mesh *given, es_error *err) {
    const es_mesh *m = given->mesh;
    if (m->triangle_count == 0)
        return es_fail(err, ES_GEOMETRY, "view: %s has no triangles", given->name);
    for (size_t i = 0; i < 3 * m->vertex_count; i++)
        if (!isfinite(m->vertices[i]))
            return es_fail(err, ES_GEOMETRY, "view: vertex %zu of %s is not finite", i / 3,
                           given->name);
    for (size_t i = 0; i < 3 * m->triangle_count; i++)
        if (m->triangles[i] >= m->vertex_count)
            return es_fail(err, ES_GEOMETRY, "view: triangle %zu of %s asks for vertex %u of %zu",
                           i / 3, given->name, m->triangles[i], m->vertex_count);
    return true;
}

/* Edges are collapsed where the mesh is a two-manifold, which keeps its shape
 * best; any other is put on a grid. */
static bool make_small(packer *p, es_error *err) {
    es_decimate_options options = {.triangles = ES_VIEW_TRIANGLES, .max_distance_mm = INFINITY};
    es_decimate_report report;
    es_error why = {0};
    if (!es_mesh_copy(p->given->mesh, &p->mesh, err)) return false;
    if (p->mesh.triangle_count <= ES_VIEW_TRIANGLES) return true;
    if (es_mesh_decimate(&p->mesh, &options, p->pool, &report, &why)) {
        p->within_mm = fmax(report.to_original.max_mm, report.from_original.max_mm);
    } else if (why.code != ES_GEOMETRY) {
        if (err) *err = why;
        return false;
    }
    return p->mesh.triangle_count <= ES_VIEW_TRIANGLES ||
           view_cluster(&p->mesh, ES_VIEW_TRIANGLES, &p->within_mm, err);
}

/* ---- corners ------------------------------------------------------------------ */

static bool put_corners(packer *p, es_error *err) {
    const es_mesh *m = &p->mesh;
    es_box3 box = es_mesh_box(m);
    const double origin[3] = {box.min.x, box.min.y, box.min.z};
    double side = fmax(box.max.x - box.min.x, fmax(box.max.y - box.min.y, box.max.z - box.min.z));
    double step = side > 0 ? side / 65535 : 1;
    uint32_t *numbers = es_alloc(3 * m->vertex_count, sizeof *numbers, err);
    if (!numbers) return false;
    for (size_t i = 0; i < 3 * m->vertex_count; i++)
        numbers[i] = (uint32_t)fmin(65535, round(((double)m->vertices[i] - origin[i % 3]) / step));
    bool ok =
        view_set(p->out, "positions", view_put(p->view, numbers, 3 * m->vertex_count, 2), err);
    es_free(numbers);
    return ok && view_set(p->out, "origin", view_vector(origin[0], origin[1], origin[2]), err) &&
           view_set(p->out, "step", json_real(step), err);
}

static bool put_triangles(packer *p, es_error *err) {
    const es_mesh *m = &p->mesh;
    int size = m->vertex_count > 65536 ? 4 : 2;
    return view_set(p->out, "indices", view_put(p->view, m->triangles, 3 * m->triangle_count, size),
                    err);
}

/* ---- colourings ------------------------------------------------------------------ */

typedef struct colouring {
    const char *name, *unit;
    double high;
    bool open; /* the last colour stands for more, too */
    const float *values;
} colouring;

/* 1 to 255 over 0..high; 0: not known. */
static bool put_colouring(packer *p, const colouring *c, es_error *err) {
    size_t count = p->mesh.vertex_count;
    uint8_t *bytes = es_alloc(count, 1, err);
    if (!bytes) return false;
    for (size_t i = 0; i < count; i++) {
        double share = fmin(1, fmax(0, (double)c->values[i] / c->high));
        bytes[i] = isnan(c->values[i]) ? 0 : (uint8_t)(1 + lround(254 * share));
    }
    json_t *scalar = json_pack("{s:s, s:s, s:f, s:f, s:b, s:o}", "name", c->name, "unit", c->unit,
                               "low", 0.0, "high", c->high, "open", c->open, "values",
                               view_put_bytes(p->view, bytes, count));
    es_free(bytes);
    if (json_array_append_new(json_object_get(p->out, "scalars"), scalar) == 0) return true;
    return es_fail(err, ES_MEMORY, "view: out of memory");
}

static bool put_distance(packer *p, es_error *err) {
    const es_mesh *m = &p->mesh;
    float *distances = es_alloc(m->vertex_count, sizeof *distances, err);
    colouring c = {"distance to the truth", "mm", DISTANCE_HIGH_MM, true, distances};
    bool ok = distances &&
              es_mesh_point_distances(p->given->truth, m->vertices, m->vertex_count, p->pool,
                                      distances, err) &&
              put_colouring(p, &c, err);
    es_free(distances);
    return ok;
}

/* Twice the median of the frames, so that most of the surface differs in colour. */
static bool put_seen(packer *p, es_error *err) {
    es_seen seen;
    if (!es_seen_find(p->given->seen, &p->mesh, &seen, err)) return false;
    if (!seen.frames) return true;
    colouring directions = {"directions it was seen from", "", 4, true, seen.directions};
    colouring frames = {"frames that saw it", "", fmax(2, 2 * seen.frames_p50), true, seen.frames};
    bool ok = put_colouring(p, &directions, err) && put_colouring(p, &frames, err);
    es_seen_clear(&seen);
    return ok;
}

static bool put_colourings(packer *p, es_error *err) {
    colouring confidence = {"confidence", "", 1, false, p->mesh.confidence};
    if (!view_set(p->out, "scalars", json_array(), err)) return false;
    if (p->given->truth && !put_distance(p, err)) return false;
    if (confidence.values && !put_colouring(p, &confidence, err)) return false;
    return !p->given->seen || put_seen(p, err);
}

/* ---- all of it ---------------------------------------------------------------------- */

static bool pack_mesh(packer *p, es_error *err) {
    char *name = report_clean(p->given->name, err);
    if (!name) return false;
    p->out = json_pack("{s:s, s:b, s:I, s:I, s:f}", "name", name, "sheet", p->given->sheet,
                       "triangles", (json_int_t)p->mesh.triangle_count, "of_triangles",
                       (json_int_t)p->given->mesh->triangle_count, "within_mm", p->within_mm);
    es_free(name);
    if (!p->out) return es_fail(err, ES_MEMORY, "view: out of memory");
    return put_corners(p, err) && put_triangles(p, err) && put_colourings(p, err);
}

bool es_view_add_mesh(es_view *view, const es_view_mesh *mesh, es_pool *pool, es_error *err) {
    json_t *meshes = json_object_get(view->head, "meshes");
    packer p = {.view = view, .given = mesh, .pool = pool};
    if (json_array_size(meshes) >= ES_VIEW_MESHES)
        return es_fail(err, ES_USAGE, "view: %d meshes at most in one view", ES_VIEW_MESHES);
    bool ok = check_mesh(mesh, err) && make_small(&p, err) && pack_mesh(&p, err);
    if (ok && json_array_append(meshes, p.out) != 0)
        ok = es_fail(err, ES_MEMORY, "view: out of memory");
    json_decref(p.out);
    es_mesh_clear(&p.mesh);
    return ok;
}
