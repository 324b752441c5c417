/* Taubin's smoothing: a step inwards (lambda) takes high frequencies out and
 * shrinks, a slightly larger step outwards (mu < 0) undoes the shrinking of
 * the low ones (Taubin, "A signal processing approach to fair surface
 * design", 1995). Weights are those of the umbrella: all neighbours alike.
 *
 * On a boundary that is a polygon smoothed by itself: a corner that is one
 * triangle is pulled flat, a hole of four sides shrinks to a point. Triangles
 * that lost their area that way get their corners back where they were. Where
 * facets have come to cross, the vertices about them go back half of their way,
 * and again with wider surroundings, until none cross that did not before. */
#include <math.h>

#include "untangle.h"

static bool check_steps(int iterations, double lambda, double mu, es_error *err) {
    if (iterations < 0) return es_fail(err, ES_USAGE, "%d smoothing rounds", iterations);
    if (!(lambda >= 0 && lambda <= 1))
        return es_fail(err, ES_USAGE, "smoothing lambda %g: expected 0 to 1, such as 0.5", lambda);
    if (!(mu <= 0 && mu >= -1.5))
        return es_fail(err, ES_USAGE, "smoothing mu %g: expected -1.5 to 0, such as -0.53", mu);
    return true;
}

static void step(const es_mesh *mesh, const mesh_topology *topology, double part, double *at,
                 double *mean, uint32_t *counts) {
    surface_neighbour_mean(mesh, topology, true, at, mean, counts);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) at[i] += part * (mean[i] - at[i]);
}

enum { RESTORE_ROUNDS = 100 };
static const double LEAST_AREA = 0.01; /* of what it was */

static double area_at(const uint32_t corner[3], const double *at) {
    es_vec3 p[3];
    for (int k = 0; k < 3; k++) {
        const double *v = at + 3 * (size_t)corner[k];
        p[k] = es_vec3_make(v[0], v[1], v[2]);
    }
    return es_vec3_length(es_vec3_cross(es_vec3_sub(p[1], p[0]), es_vec3_sub(p[2], p[0])));
}

/* One round: a corner that goes back may flatten the triangle beside it. */
static bool restore_flattened(const es_mesh *mesh, double *at) {
    bool any = false;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *corner = mesh->triangles + 3 * t;
        if (area_at(corner, at) >= LEAST_AREA * es_vec3_length(surface_cross(mesh, t))) continue;
        for (int k = 0; k < 3; k++)
            for (size_t a = 0; a < 3; a++)
                at[3 * (size_t)corner[k] + a] = mesh->vertices[3 * (size_t)corner[k] + a];
        any = true;
    }
    return any;
}

/* ---- crossings ------------------------------------------------------------------- */

/* Takes the new places into the mesh. */
static bool take_places(es_mesh *mesh, const double *at, es_error *err) {
    es_mesh moved = *mesh;
    moved.vertices = es_alloc(mesh->vertex_count, 3 * sizeof(float), err);
    if (!moved.vertices) return false;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) moved.vertices[i] = (float)at[i];
    size_t left;
    bool ok = surface_go_back(mesh, &moved, NULL, &left, err);
    if (ok) {
        es_free(mesh->vertices);
        mesh->vertices = moved.vertices;
    } else {
        es_free(moved.vertices);
    }
    return ok;
}

bool es_mesh_smooth(es_mesh *mesh, int iterations, double lambda, double mu, es_error *err) {
    mesh_topology topology;
    if (!check_steps(iterations, lambda, mu, err)) return false;
    if (!surface_topology_find(mesh, &topology, err)) return false;
    double *at = es_alloc(mesh->vertex_count, 3 * sizeof *at, err);
    double *mean = at ? es_alloc(mesh->vertex_count, 3 * sizeof *mean, err) : NULL;
    uint32_t *counts = mean ? es_alloc(mesh->vertex_count, sizeof *counts, err) : NULL;
    bool ok = counts != NULL;
    if (ok) {
        for (size_t i = 0; i < 3 * mesh->vertex_count; i++) at[i] = mesh->vertices[i];
        for (int i = 0; i < iterations && ok; i++) {
            step(mesh, &topology, lambda, at, mean, counts);
            step(mesh, &topology, mu, at, mean, counts);
            ok = !es_cancelled(err);
        }
    }
    for (int round = 0; ok && round < RESTORE_ROUNDS && restore_flattened(mesh, at);) round++;
    ok = ok && (iterations == 0 || take_places(mesh, at, err));
    es_free(at);
    es_free(mean);
    es_free(counts);
    surface_topology_clear(&topology);
    return ok;
}
