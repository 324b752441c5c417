/* Taubin's smoothing: a step inwards (lambda) takes high frequencies out and
 * shrinks, a slightly larger step outwards (mu < 0) undoes the shrinking of
 * the low ones (Taubin, "A signal processing approach to fair surface
 * design", 1995). Weights are those of the umbrella: all neighbours alike. */
#include <math.h>

#include "topology.h"

/* A rim of fewer edges would be drawn together, for it has no low frequencies:
 * in 20 rounds of 0.5 and -0.53 one of 6 edges to a third, one of 12 by 1 %. */
enum { LOOP_LEAST = 12 };

static bool check_steps(int iterations, double lambda, double mu, es_error *err) {
    if (iterations < 0) return es_fail(err, ES_USAGE, "%d smoothing rounds", iterations);
    if (!(lambda >= 0 && lambda <= 1))
        return es_fail(err, ES_USAGE, "smoothing lambda %g: expected 0 to 1, such as 0.5", lambda);
    if (!(mu <= 0 && mu >= -1.5))
        return es_fail(err, ES_USAGE, "smoothing mu %g: expected -1.5 to 0, such as -0.53", mu);
    return true;
}

/* Marks the vertices of one rim, from the edge that leaves `fan`, if it is a
 * short one; a walk of LOOP_LEAST edges shows that. */
static void hold_loop(const es_mesh *mesh, const uint32_t *fans, const uint32_t *leaving,
                      size_t fan, bool *held) {
    size_t at = fan;
    for (int edges = 0; edges < LOOP_LEAST && leaving[at] != NO_TWIN; edges++) {
        at = fans[surface_next(leaving[at])];
        if (at != fan) continue;
        held[mesh->triangles[leaving[fan]]] = true; /* each fan of the loop has its turn */
        return;
    }
}

static bool hold_short_loops(const es_mesh *mesh, const mesh_topology *topology, bool *held,
                             es_error *err) {
    size_t extra = 0;
    uint32_t *fans = es_alloc(topology->half_edges, sizeof *fans, err), *leaving = NULL;
    bool ok = fans && surface_fans(mesh, topology, fans, &extra, err);
    if (ok) leaving = surface_rim_edges(topology, fans, mesh->vertex_count + extra, err);
    for (size_t f = 0; leaving && f < mesh->vertex_count + extra; f++)
        if (leaving[f] != NO_TWIN) hold_loop(mesh, fans, leaving, f, held);
    ok = leaving != NULL;
    es_free(fans);
    es_free(leaving);
    return ok;
}

typedef struct smoothing {
    double *at, *mean; /* three per vertex */
    uint32_t *counts;
    bool *held; /* per vertex: it stays */
} smoothing;

static bool alloc_smoothing(smoothing *work, size_t count, es_error *err) {
    return (work->at = es_alloc(count, 3 * sizeof *work->at, err)) &&
           (work->mean = es_alloc(count, 3 * sizeof *work->mean, err)) &&
           (work->counts = es_alloc(count, sizeof *work->counts, err)) &&
           (work->held = es_alloc_zero(count, sizeof *work->held, err));
}

static void step(const es_mesh *mesh, const mesh_topology *topology, double part, smoothing *work) {
    surface_neighbour_mean(mesh, topology, work->at, work->mean, work->counts);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        if (!work->held[i / 3]) work->at[i] += part * (work->mean[i] - work->at[i]);
}

bool es_mesh_smooth(es_mesh *mesh, int iterations, double lambda, double mu, es_error *err) {
    mesh_topology topology;
    smoothing work = {0};
    if (!check_steps(iterations, lambda, mu, err)) return false;
    if (!surface_topology_find(mesh, &topology, err)) return false;
    bool ok = alloc_smoothing(&work, mesh->vertex_count, err) &&
              hold_short_loops(mesh, &topology, work.held, err);
    if (ok) {
        for (size_t i = 0; i < 3 * mesh->vertex_count; i++) work.at[i] = mesh->vertices[i];
        for (int i = 0; i < iterations && ok; i++) {
            step(mesh, &topology, lambda, &work);
            step(mesh, &topology, mu, &work);
            ok = !es_cancelled(err);
        }
    }
    if (ok)
        for (size_t i = 0; i < 3 * mesh->vertex_count; i++) mesh->vertices[i] = (float)work.at[i];
    es_free(work.at);
    es_free(work.mean);
    es_free(work.counts);
    es_free(work.held);
    surface_topology_clear(&topology);
    return ok;
}
