/* How far one mesh is from another.
 *
 * Each triangle of `from` stands for its area. The area is shared out evenly
 * over its three corners and over points thrown into it, about one per
 * sample_mm2 over the whole mesh: a running sum of the area says which
 * triangles get a point (systematic sampling), so that a fine mesh and a
 * coarse one of the same shape are sampled alike. The points are a function of
 * the mesh alone. Distances are to triangles, not to vertices: vertices alone
 * leave a floor as large as the facets. */
#include <math.h>
#include <stdlib.h>

#include "nearest.h"
#include "topology.h"

enum { CHUNK = 1024 };
static const uint64_t SEED = 0x5eed;
static const size_t SAMPLES_MAX = (size_t)1 << 28;

typedef struct sample {
    es_vec3 at;
    double weight;   /* mm^2 */
    double distance; /* signed, mm */
} sample;

/* ---- choosing the points ------------------------------------------------------ */

static es_vec3 random_point(const es_mesh *mesh, size_t triangle, es_random *random) {
    const uint32_t *corner = mesh->triangles + 3 * triangle;
    double s = es_random_uniform(random), t = es_random_uniform(random);
    if (s + t > 1) s = 1 - s, t = 1 - t;
    es_vec3 a = surface_vertex(mesh, corner[0]);
    es_vec3 u = es_vec3_sub(surface_vertex(mesh, corner[1]), a);
    es_vec3 v = es_vec3_sub(surface_vertex(mesh, corner[2]), a);
    return es_vec3_add(a, es_vec3_add(es_vec3_scale(u, s), es_vec3_scale(v, t)));
}

static double total_area(const es_mesh *mesh) {
    double sum = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++)
        sum += es_vec3_length(surface_cross(mesh, t)) / 2;
    return sum;
}

/* The vertices first (unless their area goes to the points alone), then the
 * points in the triangles. Returns their number. */
static size_t fill_samples(const es_mesh *mesh, double sample_area, bool vertices,
                           sample *samples) {
    size_t count = vertices ? mesh->vertex_count : 0;
    for (size_t v = 0; v < count; v++)
        samples[v] = (sample){.at = surface_vertex(mesh, (uint32_t)v)};
    double sum = 0.5 * sample_area; /* the first point comes after half a share */
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        double area = es_vec3_length(surface_cross(mesh, t)) / 2;
        size_t before = (size_t)(sum / sample_area);
        sum += area;
        size_t points = (size_t)(sum / sample_area) - before;
        double share = vertices ? area / (double)(3 + points) : sample_area;
        for (int k = 0; k < 3 && vertices; k++) samples[mesh->triangles[3 * t + k]].weight += share;
        es_random random = es_random_new(SEED, t);
        for (size_t i = 0; i < points; i++)
            samples[count++] = (sample){.at = random_point(mesh, t, &random), .weight = share};
    }
    return count;
}

static sample *make_samples(const es_mesh *mesh, double sample_mm2, bool vertices, size_t *count,
                            es_error *err) {
    double area = total_area(mesh), points = area / sample_mm2;
    if (!(area > 0)) {
        es_fail(err, ES_GEOMETRY, "the mesh to compare has no area");
        return NULL;
    }
    if (!(points < (double)SAMPLES_MAX)) {
        es_fail(err, ES_USAGE,
                "a sample each %g mm^2 of %g mm^2 would be %.3g samples; take at least %.3g mm^2",
                sample_mm2, area, points, area / (double)SAMPLES_MAX * 1.01);
        return NULL;
    }
    sample *samples = es_alloc(mesh->vertex_count + (size_t)points + 2, sizeof *samples, err);
    if (samples) *count = fill_samples(mesh, sample_mm2, vertices, samples);
    return samples;
}

/* ---- measuring ------------------------------------------------------------------ */

static size_t chunk_end(size_t index, size_t count) {
    return (index + 1) * CHUNK < count ? (index + 1) * CHUNK : count;
}

typedef struct measuring {
    const nearest_tree *tree;
    sample *samples;
    size_t count;
} measuring;

static void measure_chunk(void *context, size_t index, int worker) {
    (void)worker;
    measuring *work = context;
    size_t end = chunk_end(index, work->count);
    uint32_t near = 0;
    for (size_t i = index * CHUNK; i < end; i++)
        if (work->samples[i].weight > 0)
            work->samples[i].distance =
                surface_nearest_within(work->tree, work->samples[i].at, INFINITY, &near);
}

static int by_distance(const void *a, const void *b) {
    double p = fabs(((const sample *)a)->distance), q = fabs(((const sample *)b)->distance);
    return (p > q) - (p < q);
}

/* Sorts the samples: equal distances give equal terms, in whatever order. */
static void summarise(sample *samples, size_t count, es_mesh_distance *result) {
    double weight = 0, sum = 0, squares = 0, signed_sum = 0, below = 0;
    for (size_t i = 0; i < count; i++) {
        const sample *s = &samples[i];
        weight += s->weight;
        sum += s->weight * fabs(s->distance);
        squares += s->weight * s->distance * s->distance;
        signed_sum += s->weight * s->distance;
        result->samples += s->weight > 0;
    }
    result->mean_mm = sum / weight;
    result->rms_mm = sqrt(squares / weight);
    result->signed_mean_mm = signed_sum / weight;
    qsort(samples, count, sizeof *samples, by_distance);
    result->max_mm = fabs(samples[count - 1].distance);
    result->p95_mm = result->max_mm;
    for (size_t i = 0; i < count; i++) {
        below += samples[i].weight;
        if (below < 0.95 * weight) continue;
        result->p95_mm = fabs(samples[i].distance);
        break;
    }
}

static bool compare(const es_mesh *from, measuring *work, double sample_mm2, bool vertices,
                    es_pool *pool, es_error *err) {
    work->samples = make_samples(from, sample_mm2, vertices, &work->count, err);
    if (work->samples) es_pool_run(pool, (work->count + CHUNK - 1) / CHUNK, measure_chunk, work);
    return work->samples && !es_cancelled(err);
}

bool es_mesh_compare(const es_mesh *from, const es_mesh *to, double sample_mm2, es_pool *pool,
                     es_mesh_distance *distance, es_error *err) {
    *distance = (es_mesh_distance){0};
    if (!(sample_mm2 > 0))
        return es_fail(err, ES_USAGE, "a sample each %g mm^2: expected an area above 0",
                       sample_mm2);
    if (!surface_check_mesh(from, err)) return false;
    nearest_tree *tree = surface_nearest_new(to, true, err);
    measuring work = {.tree = tree};
    bool ok = tree && compare(from, &work, sample_mm2, true, pool, err);
    if (ok) summarise(work.samples, work.count, distance);
    es_free(work.samples);
    surface_nearest_free(tree);
    return ok;
}

bool surface_compare_points(const es_mesh *from, const nearest_tree *to, double sample_mm2,
                            es_pool *pool, surface_deviation *found, es_error *err) {
    *found = (surface_deviation){0};
    measuring work = {.tree = to};
    bool ok = compare(from, &work, sample_mm2, false, pool, err);
    for (size_t i = 0, worst = 0; ok && i < work.count; i++) {
        if (fabs(work.samples[i].distance) > fabs(work.samples[worst].distance)) worst = i;
        found->farthest = work.samples[worst].at;
    }
    if (ok) summarise(work.samples, work.count, &found->all);
    es_free(work.samples);
    return ok;
}

bool surface_compare_patches(const es_patches *patches, int steps, const es_mesh *mesh,
                             const patch_judge *judge, surface_deviation found[2], es_error *err) {
    es_mesh drawn = {0};
    nearest_tree *tree = NULL;
    bool ok = es_patches_mesh(patches, steps, &drawn, err) &&
              surface_compare_points(&drawn, judge->tree, judge->sample_mm2, judge->pool, &found[0],
                                     err) &&
              (tree = surface_nearest_new(&drawn, true, err)) != NULL &&
              surface_compare_points(mesh, tree, judge->sample_mm2, judge->pool, &found[1], err);
    surface_nearest_free(tree);
    es_mesh_clear(&drawn);
    return ok;
}

/* ---- points ----------------------------------------------------------------------- */

typedef struct point_measuring {
    const nearest_tree *tree;
    const float *points;
    float *distances;
    size_t count;
} point_measuring;

static void measure_points(void *context, size_t index, int worker) {
    (void)worker;
    point_measuring *work = context;
    size_t end = chunk_end(index, work->count);
    uint32_t near = 0;
    for (size_t i = index * CHUNK; i < end; i++) {
        const float *p = work->points + 3 * i;
        work->distances[i] = (float)surface_nearest_within(
            work->tree, es_vec3_make(p[0], p[1], p[2]), INFINITY, &near);
    }
}

bool es_mesh_point_distances(const es_mesh *mesh, const float *points, size_t count, es_pool *pool,
                             float *distances, es_error *err) {
    nearest_tree *tree = surface_nearest_new(mesh, false, err);
    if (!tree) return false;
    point_measuring work = {tree, points, distances, count};
    es_pool_run(pool, count / CHUNK + 1, measure_points, &work);
    surface_nearest_free(tree);
    return !es_cancelled(err);
}
