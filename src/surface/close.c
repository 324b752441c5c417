/* Holes of a mesh closed by membranes. What is added was not measured: its vertices
 * have no confidence, and it is counted. */
#include <math.h>
#include <string.h>

#include "span.h"
#include "untangle.h"

enum { SKIP_ROUNDS = 5 };

/* Of the mean side: how far vertices that would share a place are moved. */
static const double STEP_PART = 1e-3;

typedef struct closing_work {
    es_mesh mesh; /* one fan per vertex; grows */
    es_mesh_loops loops;
    double *piece_mm2; /* per vertex that stands for a component: its area */
    uint32_t *sets;
    double side_mm; /* mean of the mesh */
    es_mesh_closing *report;
} closing_work;

static double mean_side(const es_mesh *mesh) {
    double sum = 0;
    for (size_t h = 0; h < 3 * mesh->triangle_count; h++)
        sum += es_vec3_length(es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(h)]),
                                          surface_vertex(mesh, mesh->triangles[h])));
    return mesh->triangle_count ? sum / (double)(3 * mesh->triangle_count) : 0;
}

static bool open_work(closing_work *w, const es_mesh *mesh, es_error *err) {
    if (!surface_split_fans(mesh, &w->mesh, err) || !es_mesh_find_loops(&w->mesh, &w->loops, err))
        return false;
    size_t count = w->mesh.vertex_count;
    w->side_mm = mean_side(&w->mesh);
    w->sets = surface_components(&w->mesh, err);
    w->piece_mm2 = w->sets ? es_alloc_zero(count, sizeof *w->piece_mm2, err) : NULL;
    if (!w->piece_mm2) return false;
    for (size_t t = 0; t < w->mesh.triangle_count; t++)
        w->piece_mm2[surface_sets_root(w->sets, w->mesh.triangles[3 * t])] +=
            es_vec3_length(surface_cross(&w->mesh, t)) / 2;
    if (w->mesh.confidence || w->loops.count == 0) return true;
    w->mesh.confidence = es_alloc(count, sizeof(float), err);
    for (size_t v = 0; w->mesh.confidence && v < count; v++) w->mesh.confidence[v] = 1;
    return w->mesh.confidence != NULL;
}

static void close_work(closing_work *w) {
    es_mesh_clear(&w->mesh);
    es_mesh_loops_clear(&w->loops);
    es_free(w->sets);
    es_free(w->piece_mm2);
}

/* ---- how large a rim is ------------------------------------------------------------ */

static es_vec3 loop_point(const closing_work *w, const es_mesh_loop *loop, size_t i) {
    return surface_vertex(&w->mesh, w->loops.vertices[loop->first + i]);
}

/* Whether no two of its points are farther apart than `most`. */
static bool is_within(const closing_work *w, const es_mesh_loop *loop, double most) {
    es_box3 box = es_box3_empty();
    for (size_t i = 0; i < loop->edges; i++) es_box3_add(&box, loop_point(w, loop, i));
    es_vec3 size = es_vec3_sub(box.max, box.min);
    if (es_vec3_length(size) <= most) return true;
    if (fmax(fmax(size.x, size.y), size.z) > most || loop->edges > SPAN_RIM_MOST) return false;
    for (size_t i = 0; i < loop->edges; i++)
        for (size_t j = 0; j < i; j++) {
            es_vec3 way = es_vec3_sub(loop_point(w, loop, i), loop_point(w, loop, j));
            if (es_vec3_dot(way, way) > most * most) return false;
        }
    return true;
}

/* The longest rim of a piece goes round it, unless the piece is so large for its rim
 * that it is nearly closed: larger than the ball with the rim's width. */
static bool is_hole(closing_work *w, const es_mesh_loop *loop) {
    uint32_t root = surface_sets_root(w->sets, w->loops.vertices[loop->first]);
    double width = sqrt(w->piece_mm2[root] / 3.14159265358979323846);
    return !loop->outer || is_within(w, loop, width);
}

/* ---- one rim ----------------------------------------------------------------------- */

static bool grow(es_mesh *mesh, size_t vertices, size_t triangles, es_error *err) {
    if (vertices + mesh->vertex_count > ES_MESH_TRIANGLES_MAX ||
        triangles + mesh->triangle_count > ES_MESH_TRIANGLES_MAX)
        return es_fail(err, ES_MEMORY, "the closed mesh would have more than %zu triangles",
                       ES_MESH_TRIANGLES_MAX);
    return es_resize(&mesh->vertices, mesh->vertex_count + vertices, 3 * sizeof(float), err) &&
           es_resize(&mesh->confidence, mesh->vertex_count + vertices, sizeof(float), err) &&
           es_resize(&mesh->triangles, mesh->triangle_count + triangles, 3 * sizeof(uint32_t), err);
}

/* The rim's vertex number i of the span: the loop the other way round. */
static uint32_t rim_vertex(const closing_work *w, const es_mesh_loop *loop, size_t i) {
    return w->loops.vertices[loop->first + loop->edges - 1 - i];
}

static bool append(closing_work *w, const es_mesh_loop *loop, const mesh_span *span,
                   es_error *err) {
    es_mesh *mesh = &w->mesh;
    size_t added = span->mesh.vertex_count - span->rim, first = mesh->vertex_count;
    if (!grow(mesh, added, span->mesh.triangle_count, err)) return false;
    memcpy(mesh->vertices + 3 * first, span->mesh.vertices + 3 * span->rim,
           3 * added * sizeof(float));
    memset(mesh->confidence + first, 0, added * sizeof(float));
    for (size_t h = 0; h < 3 * span->mesh.triangle_count; h++) {
        uint32_t v = span->mesh.triangles[h];
        mesh->triangles[3 * mesh->triangle_count + h] =
            v < span->rim ? rim_vertex(w, loop, v) : (uint32_t)(first + v - span->rim);
    }
    for (size_t t = 0; t < span->mesh.triangle_count; t++)
        w->report->area_mm2 += es_vec3_length(surface_cross(&span->mesh, t)) / 2;
    mesh->vertex_count += added;
    mesh->triangle_count += span->mesh.triangle_count;
    w->report->vertices += added;
    w->report->closed++;
    return true;
}

/* As fine as the mesh, or as the rim where that is coarser. */
static bool close_loop(closing_work *w, const es_mesh_loop *loop, es_error *err) {
    mesh_span span = {0};
    es_vec3 *at = es_alloc(loop->edges, sizeof *at, err);
    if (!at) return false;
    for (size_t i = 0; i < loop->edges; i++)
        at[i] = surface_vertex(&w->mesh, rim_vertex(w, loop, i));
    double side = fmax(w->side_mm, loop->length_mm / (double)loop->edges);
    bool ok = surface_span_make(at, loop->edges, side, &span, err) &&
              surface_span_relax(&span, NULL, err) && append(w, loop, &span, err);
    surface_span_clear(&span);
    es_free(at);
    return ok;
}

/* ---- all of them --------------------------------------------------------------------- */

static bool close_all(closing_work *w, double diameter_mm, const bool *skip, size_t *ends,
                      es_error *err) {
    bool ok = true;
    for (size_t i = 0; ok && i < w->loops.count; i++) {
        const es_mesh_loop *loop = &w->loops.items[i];
        if (is_hole(w, loop)) {
            if (!skip[i] && is_within(w, loop, diameter_mm))
                ok = close_loop(w, loop, err);
            else
                w->report->left++;
        }
        ends[i] = w->mesh.triangle_count;
    }
    return ok;
}

/* Sets skip[i] for rims whose membrane crosses the surface; *again: a new one. */
static bool skip_crossing(const closing_work *w, size_t measured, const size_t *ends, bool *skip,
                          bool *again, es_error *err) {
    crossed_facets c;
    bool ok = surface_crossed_new(&c, &w->mesh, NULL, err);
    *again = false;
    for (size_t i = 0, t = measured; ok && i < w->loops.count; i++)
        for (; t < ends[i]; t++)
            if (c.crossed[t] && !skip[i]) *again = skip[i] = true;
    surface_crossed_clear(&c);
    return ok;
}

/* `skip` and `ends` have room for the rims: there are no more than vertices. */
static bool close_once(closing_work *w, const es_mesh *mesh, double diameter_mm, bool *skip,
                       size_t *ends, bool *again, es_error *err) {
    *again = false;
    *w->report = (es_mesh_closing){0};
    if (!open_work(w, mesh, err) || !close_all(w, diameter_mm, skip, ends, err)) return false;
    return w->report->closed == 0 ||
           (surface_part_places(&w->mesh, mesh->vertex_count, STEP_PART * w->side_mm, err) &&
            skip_crossing(w, mesh->triangle_count, ends, skip, again, err));
}

bool es_mesh_close_holes(es_mesh *mesh, double diameter_mm, es_mesh_closing *closing,
                         es_error *err) {
    es_mesh_closing own;
    closing_work w = {.report = closing ? closing : &own};
    if (!(diameter_mm > 0))
        return es_fail(err, ES_USAGE, "holes up to %g mm: expected a diameter above 0",
                       diameter_mm);
    size_t rims = 3 * mesh->triangle_count;
    bool *skip = es_alloc_zero(rims, sizeof *skip, err), again = true;
    size_t *ends = skip ? es_alloc(rims, sizeof *ends, err) : NULL;
    bool ok = ends != NULL;
    for (int round = 0; ok && again && round < SKIP_ROUNDS; round++) {
        es_mesh_closing *report = w.report;
        close_work(&w);
        w = (closing_work){.report = report};
        ok = close_once(&w, mesh, diameter_mm, skip, ends, &again, err);
    }
    if (ok && w.report->closed > 0) {
        es_mesh_clear(mesh);
        *mesh = w.mesh;
        w.mesh = (es_mesh){0};
    }
    close_work(&w);
    es_free(skip);
    es_free(ends);
    return ok;
}
