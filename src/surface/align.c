/* One mesh laid on another without changing its size: iterated nearest points,
 * each round by the distances along the normals (Chen and Medioni 1992). */
#include <math.h>
#include <stdlib.h>

#include "nearest.h"
#include "topology.h"

enum { POINTS_MAX = 5000, ROUNDS_MAX = 60, FREEDOMS = 6 };
static const double FAR_SCALES = 4;  /* of the median distance: left out */
static const double WEAK = 1e-7;     /* of the strongest direction: not determined */
static const double STILL_MM = 1e-6; /* a round that moves less is the last */

typedef struct pair {
    es_vec3 at, normal;
    double distance; /* along the normal; NaN: nothing to say */
} pair;

typedef struct aligner {
    const es_mesh *from;
    nearest_tree *tree;
    pair *pairs;
    double *sizes;
    size_t count, stride;
    es_vec3 centre;
    double radius;
} aligner;

static es_vec3 point_of(const aligner *a, size_t i) {
    return surface_vertex(a->from, (uint32_t)(i * a->stride));
}

/* Pairs of moved points; those on a rim, and far ones, say nothing. */
static void find_pairs(aligner *a, es_mat4 motion) {
    size_t known = 0;
    uint32_t near = 0;
    for (size_t i = 0; i < a->count; i++) {
        es_vec3 p = es_mat4_point(motion, point_of(a, i));
        nearest_place n = surface_nearest_place(a->tree, p, &near);
        double distance = n.rim ? NAN : es_vec3_dot(es_vec3_sub(p, n.at), n.normal);
        a->pairs[i] = (pair){p, n.normal, distance};
        if (!isnan(distance)) a->sizes[known++] = fabs(distance);
    }
    if (known == 0) return;
    qsort(a->sizes, known, sizeof *a->sizes, es_compare_doubles);
    double limit = FAR_SCALES * fmax(a->sizes[known / 2], STILL_MM);
    for (size_t i = 0; i < a->count; i++)
        if (!(fabs(a->pairs[i].distance) <= limit)) a->pairs[i].distance = NAN;
}

/* Least squares for a small turn about the centre (scaled by the radius, so that
 * all six are mm) and a shift; directions that the surface does not determine,
 * as the turns of a sphere, stay as they are. */
static int solve(const aligner *a, double x[FREEDOMS]) {
    double normal[FREEDOMS * FREEDOMS] = {0}, right[FREEDOMS] = {0};
    double values[FREEDOMS], vectors[FREEDOMS * FREEDOMS];
    int determined = 0;
    for (size_t i = 0; i < a->count; i++) {
        const pair *p = &a->pairs[i];
        if (isnan(p->distance)) continue;
        es_vec3 arm = es_vec3_scale(es_vec3_sub(p->at, a->centre), 1 / a->radius);
        es_vec3 turn = es_vec3_cross(arm, p->normal);
        const double row[FREEDOMS] = {turn.x,      turn.y,      turn.z,
                                      p->normal.x, p->normal.y, p->normal.z};
        for (int r = 0; r < FREEDOMS; r++) {
            right[r] -= row[r] * p->distance;
            for (int c = 0; c < FREEDOMS; c++) normal[FREEDOMS * r + c] += row[r] * row[c];
        }
    }
    es_eigen_symmetric(normal, FREEDOMS, values, vectors);
    for (int k = 0; k < FREEDOMS; k++) x[k] = 0;
    for (int k = 0; k < FREEDOMS && values[k] > WEAK * values[0] && values[0] > 0; k++) {
        double part = 0;
        for (int r = 0; r < FREEDOMS; r++) part += vectors[FREEDOMS * r + k] * right[r];
        for (int r = 0; r < FREEDOMS; r++) x[r] += vectors[FREEDOMS * r + k] * part / values[k];
        determined++;
    }
    return determined;
}

static es_mat4 step_of(const aligner *a, const double x[FREEDOMS]) {
    es_vec3 turn = es_vec3_scale(es_vec3_make(x[0], x[1], x[2]), 1 / a->radius);
    double angle = es_vec3_length(turn);
    es_vec3 axis = angle > 0 ? es_vec3_scale(turn, sin(angle / 2) / angle) : turn;
    es_mat4 spin = es_quat_to_mat4((es_quat){cos(angle / 2), axis.x, axis.y, axis.z},
                                   es_vec3_add(a->centre, es_vec3_make(x[3], x[4], x[5])));
    return es_mat4_multiply(spin, es_mat4_translation(-a->centre.x, -a->centre.y, -a->centre.z));
}

static bool prepare(aligner *a, const es_mesh *to, es_error *err) {
    if (!surface_check_mesh(a->from, err)) return false;
    if (a->from->triangle_count == 0)
        return es_fail(err, ES_GEOMETRY, "the mesh to be aligned has no triangles");
    es_box3 box = es_mesh_box(a->from);
    a->centre = es_vec3_scale(es_vec3_add(box.min, box.max), 0.5);
    a->radius = fmax(es_vec3_length(es_vec3_sub(box.max, box.min)) / 2, STILL_MM);
    a->stride = 1 + a->from->vertex_count / POINTS_MAX;
    a->count = (a->from->vertex_count + a->stride - 1) / a->stride;
    a->tree = surface_nearest_new(to, true, err);
    if (!a->tree) return false;
    a->pairs = es_alloc(a->count, sizeof *a->pairs, err);
    a->sizes = a->pairs ? es_alloc(a->count, sizeof *a->sizes, err) : NULL;
    return a->sizes != NULL;
}

bool es_mesh_align(const es_mesh *from, const es_mesh *to, es_mesh_alignment *result,
                   es_error *err) {
    aligner a = {.from = from};
    *result = (es_mesh_alignment){.motion = es_mat4_identity()};
    bool ok = prepare(&a, to, err);
    while (ok && !result->converged && result->rounds < ROUNDS_MAX && !es_cancelled(err)) {
        double x[FREEDOMS], size = 0;
        find_pairs(&a, result->motion);
        result->determined = solve(&a, x);
        result->motion = es_mat4_multiply(step_of(&a, x), result->motion);
        a.centre = es_vec3_add(a.centre, es_vec3_make(x[3], x[4], x[5]));
        for (int k = 0; k < FREEDOMS; k++) size += x[k] * x[k];
        result->converged = sqrt(size) < STILL_MM;
        result->rounds++;
    }
    surface_nearest_free(a.tree);
    es_free(a.pairs);
    es_free(a.sizes);
    return ok;
}
