/* A membrane in a rim: each free vertex at the mean of its neighbours by cotangent
 * weights (Pinkall and Polthier, "Computing discrete minimal surfaces", 1993), which
 * leaves a flat rim's surface flat. Conjugate gradients with the diagonal as
 * preconditioner; sums in the order of the mesh.
 *
 * Where the membrane comes too near to the sheet that it closes, or passes in front
 * of it, its vertices go back to where they came from, behind the sheet, and are held
 * there, and the rest is solved again. */
#include <math.h>
#include <string.h>

#include "span.h"

enum { ROUNDS_MOST = 12, SHAPE_ROUNDS = 2, STEPS_MOST = 3000 };
static const double LEAST_WEIGHT = 0.01, ENOUGH = 1e-6, RIM_SLOPE = 0.5;

typedef struct relaxing {
    const mesh_span *span;
    double *weight;                              /* per half-edge */
    double *at, *residual, *direction, *product; /* three per vertex */
    double *diagonal;                            /* per vertex */
    bool *fixed;
} relaxing;

static es_vec3 at3(const relaxing *r, uint32_t v) {
    return es_vec3_make(r->at[3 * (size_t)v], r->at[3 * (size_t)v + 1], r->at[3 * (size_t)v + 2]);
}

/* The cotangent of the angle across from a side. */
static double across(const relaxing *r, size_t h) {
    const uint32_t *corner = r->span->mesh.triangles;
    size_t n = surface_next(h), p = surface_next(n);
    es_vec3 tip = at3(r, corner[p]);
    es_vec3 u = es_vec3_sub(at3(r, corner[h]), tip), v = es_vec3_sub(at3(r, corner[n]), tip);
    return es_vec3_dot(u, v) / fmax(es_vec3_length(es_vec3_cross(u, v)), 1e-30);
}

static void find_weights(relaxing *r) {
    const mesh_span *s = r->span;
    memset(r->diagonal, 0, s->mesh.vertex_count * sizeof *r->diagonal);
    for (size_t h = 0; h < 3 * s->mesh.triangle_count; h++) {
        uint32_t twin = s->twin[h];
        if (twin == NO_TWIN || twin < h) continue;
        r->weight[h] = fmin(fmax(across(r, h) + across(r, twin), LEAST_WEIGHT), 1 / LEAST_WEIGHT);
        r->diagonal[s->mesh.triangles[h]] += r->weight[h];
        r->diagonal[s->mesh.triangles[twin]] += r->weight[h];
    }
}

static void apply(const relaxing *r, const double *in, double *out) {
    const mesh_span *s = r->span;
    memset(out, 0, 3 * s->mesh.vertex_count * sizeof *out);
    for (size_t h = 0; h < 3 * s->mesh.triangle_count; h++) {
        uint32_t twin = s->twin[h];
        if (twin == NO_TWIN || twin < h) continue;
        size_t a = 3 * (size_t)s->mesh.triangles[h], b = 3 * (size_t)s->mesh.triangles[twin];
        for (size_t k = 0; k < 3; k++) {
            double pull = r->weight[h] * (in[a + k] - in[b + k]);
            out[a + k] += pull;
            out[b + k] -= pull;
        }
    }
    for (size_t v = 0; v < s->mesh.vertex_count; v++)
        if (r->fixed[v]) memset(out + 3 * v, 0, 3 * sizeof *out);
}

/* Of the three coordinates together. */
static double weighted_square(const relaxing *r, const double *values) {
    double sum = 0;
    for (size_t v = 0; v < r->span->mesh.vertex_count; v++)
        if (!r->fixed[v])
            for (size_t k = 3 * v; k < 3 * v + 3; k++)
                sum += values[k] * values[k] / r->diagonal[v];
    return sum;
}

static bool solve(relaxing *r, es_error *err) {
    size_t count = r->span->mesh.vertex_count;
    apply(r, r->at, r->residual);
    for (size_t i = 0; i < 3 * count; i++) {
        r->residual[i] = -r->residual[i];
        r->direction[i] = r->fixed[i / 3] ? 0 : r->residual[i] / r->diagonal[i / 3];
    }
    double square = weighted_square(r, r->residual), enough = ENOUGH * ENOUGH * square;
    for (int step = 0; step < STEPS_MOST && square > enough && square > 0; step++) {
        double along = 0;
        apply(r, r->direction, r->product);
        for (size_t i = 0; i < 3 * count; i++) along += r->direction[i] * r->product[i];
        double way = square / along;
        for (size_t i = 0; i < 3 * count; i++) {
            r->at[i] += way * r->direction[i];
            r->residual[i] -= way * r->product[i];
        }
        double before = square;
        square = weighted_square(r, r->residual);
        for (size_t i = 0; i < 3 * count; i++)
            if (!r->fixed[i / 3])
                r->direction[i] =
                    r->residual[i] / r->diagonal[i / 3] + square / before * r->direction[i];
        if (step % 64 == 0 && es_cancelled(err)) return false;
    }
    return true;
}

/* ---- the sheet in the way --------------------------------------------------------------- */

/* The rim as triangles of two corners, whose distance is that of their sides. */
static bool rim_mesh(const mesh_span *s, es_mesh *rim, es_error *err) {
    *rim = (es_mesh){.vertex_count = s->rim, .triangle_count = s->rim};
    if (!surface_alloc_mesh(rim, false, err)) return false;
    memcpy(rim->vertices, s->mesh.vertices, 3 * s->rim * sizeof(float));
    rim->triangle_count = 0;
    for (size_t h = 0; h < 3 * s->mesh.triangle_count; h++) {
        if (s->twin[h] != NO_TWIN) continue;
        uint32_t *corner = rim->triangles + 3 * rim->triangle_count++;
        corner[0] = corner[2] = s->mesh.triangles[h];
        corner[1] = s->mesh.triangles[surface_next(h)];
    }
    return true;
}

/* Puts vertices that are in the sheet's way back where they came from, and holds them:
 * no two come from one place. */
static size_t push_back(relaxing *r, const span_obstacle *o, const nearest_tree *rim) {
    size_t pushed = 0;
    uint32_t near = 0;
    for (uint32_t v = (uint32_t)r->span->rim; v < r->span->mesh.vertex_count; v++) {
        nearest_place place = surface_nearest_place(o->sheet, at3(r, v), &near);
        if (r->fixed[v] || place.rim) continue;
        double depth = es_vec3_dot(es_vec3_sub(place.at, at3(r, v)), place.normal);
        double wanted = fmin(o->least_mm, RIM_SLOPE * surface_nearest_distance(rim, place.at));
        if (depth >= 0.9 * wanted) continue;
        for (size_t i = 3 * (size_t)v; i < 3 * (size_t)v + 3; i++)
            r->at[i] = r->span->mesh.vertices[i];
        r->fixed[v] = true;
        pushed++;
    }
    return pushed;
}

static bool keep_behind(relaxing *r, const span_obstacle *o, es_error *err) {
    es_mesh rim = {0};
    bool ok = rim_mesh(r->span, &rim, err);
    nearest_tree *tree = ok ? surface_nearest_new(&rim, false, err) : NULL;
    ok = tree != NULL;
    for (int round = 0; ok && round < ROUNDS_MOST && push_back(r, o, tree) > 0; round++)
        ok = solve(r, err);
    if (ok) push_back(r, o, tree);
    surface_nearest_free(tree);
    es_mesh_clear(&rim);
    return ok;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool open_work(relaxing *r, es_error *err) {
    const es_mesh *mesh = &r->span->mesh;
    double **fields[4] = {&r->at, &r->residual, &r->direction, &r->product};
    r->weight = es_alloc_zero(mesh->triangle_count, 3 * sizeof *r->weight, err);
    r->diagonal = r->weight ? es_alloc(mesh->vertex_count, sizeof *r->diagonal, err) : NULL;
    r->fixed = r->diagonal ? es_alloc_zero(mesh->vertex_count, sizeof *r->fixed, err) : NULL;
    bool ok = r->fixed != NULL;
    for (int i = 0; i < 4 && ok; i++)
        ok = (*fields[i] = es_alloc(mesh->vertex_count, 3 * sizeof(double), err)) != NULL;
    if (!ok) return false;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) r->at[i] = mesh->vertices[i];
    for (size_t v = 0; v < r->span->rim; v++) r->fixed[v] = true;
    return true;
}

static void close_work(relaxing *r) {
    es_free(r->weight);
    es_free(r->diagonal);
    es_free(r->fixed);
    es_free(r->at);
    es_free(r->residual);
    es_free(r->direction);
    es_free(r->product);
}

bool surface_span_relax(mesh_span *span, const span_obstacle *obstacle, es_error *err) {
    relaxing r = {.span = span};
    bool ok = open_work(&r, err);
    for (int round = 0; ok && round < SHAPE_ROUNDS; round++) {
        find_weights(&r);
        ok = solve(&r, err);
    }
    if (ok && obstacle) ok = keep_behind(&r, obstacle, err);
    if (ok)
        for (size_t i = 3 * span->rim; i < 3 * span->mesh.vertex_count; i++)
            span->mesh.vertices[i] = (float)r.at[i];
    close_work(&r);
    return ok;
}
