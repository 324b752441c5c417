/* Least squares: the vertices of a quad mesh such that its patches lie on a
 * surface.
 *
 * A sample of a patch is a sum over its 16 control points, each of which is a
 * sum over vertices: s = B M x. Rounds of: the nearest point t of the surface to
 * each sample and the normal n there; then the change of x that makes
 *     sum w |n.(s - t)|^2 + w e |s - t|^2 + lambda |L x|^2
 * least, e being small: a patch may glide along the surface. Samples of a rim are
 * drawn to the surface's rim in the same way, and may glide along that. L is the distance
 * of a vertex from the mean of its neighbours, and lambda falls from round to
 * round, so that the mesh is fair first and close last. The system is symmetric
 * and positive; conjugate gradients solve it through products with B, M and L,
 * without ever making its matrix. */
#include "patch_fit.h"

#include <math.h>
#include <string.h>

#include "conjugate.h"

enum { ROUNDS = 5, STEPS_MAX = 40, QUADS_AT_ONCE = 16 };
static const double LAMBDA[ROUNDS] = {1, 0.2, 0.05, 0.02, 0.01};
static const double GLIDE[ROUNDS] = {1, 0.5, 0.1, 0.03, 0.02};
static const double SOLVED = 1e-3; /* of the first residual */
static const double RIM_WEIGHT = 2;

typedef struct sample_target {
    es_vec3 at, normal;
    double weight;
    uint32_t near; /* where the last round's search ended */
} sample_target;

typedef struct fit_state {
    const patch_fit *fit;
    size_t unknowns; /* 3 per vertex */
    double basis[FIT_SAMPLES][4];
    uint32_t (*rows)[16];
    bool *whole;
    sample_target *targets;
    uint32_t *rim_sides; /* half-edges on the rim of rimmed quads */
    size_t rim_count;
    rim_place *rim_targets;  /* FIT_SAMPLES each */
    double *points, *forces; /* per control point, 3 each */
    double (*patch_forces)[48];
    double *mean, *steps; /* of L: per vertex, 3 each; and its neighbours' count */
    double lambda, glide;
    const double *points_in; /* what a task reads */
    bool against_targets;
} fit_state;

/* ---- patches ------------------------------------------------------------------------ */

static void gather_points(const fit_state *s, size_t quad, double p[16][3]) {
    for (int i = 0; i < 16; i++)
        memcpy(p[i], s->points_in + 3 * (size_t)s->rows[quad][i], 3 * sizeof(double));
}

/* Samples of a patch: first along u, then along v. */
static void sample_patch(const fit_state *s, double p[16][3], double out[FIT_POINTS][3]) {
    for (int i = 0; i < FIT_SAMPLES; i++) {
        double row[4][3] = {{0}};
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++)
                for (int a = 0; a < 3; a++) row[j][a] += s->basis[i][k] * p[4 * k + j][a];
        for (int m = 0; m < FIT_SAMPLES; m++)
            for (int a = 0; a < 3; a++)
                out[FIT_SAMPLES * i + m][a] =
                    s->basis[m][0] * row[0][a] + s->basis[m][1] * row[1][a] +
                    s->basis[m][2] * row[2][a] + s->basis[m][3] * row[3][a];
    }
}

/* The transpose of sample_patch. */
static void spread_samples(const fit_state *s, double in[FIT_POINTS][3], double p[16][3]) {
    memset(p, 0, 16 * sizeof *p);
    for (int i = 0; i < FIT_SAMPLES; i++) {
        double row[4][3] = {{0}};
        for (int m = 0; m < FIT_SAMPLES; m++)
            for (int j = 0; j < 4; j++)
                for (int a = 0; a < 3; a++)
                    row[j][a] += s->basis[m][j] * in[FIT_SAMPLES * i + m][a];
        for (int k = 0; k < 4; k++)
            for (int j = 0; j < 4; j++)
                for (int a = 0; a < 3; a++) p[4 * k + j][a] += s->basis[i][k] * row[j][a];
    }
}

static void project_quad(fit_state *s, size_t quad) {
    double p[16][3], at[FIT_POINTS][3];
    gather_points(s, quad, p);
    sample_patch(s, p, at);
    s->fit->seen[quad] = 0;
    for (int i = 0; i < FIT_POINTS; i++) {
        es_vec3 x = es_vec3_make(at[i][0], at[i][1], at[i][2]);
        sample_target *target = &s->targets[FIT_POINTS * quad + (size_t)i];
        uint32_t start = target->near > 0 || i == 0 ? target->near : target[-1].near;
        nearest_place near = surface_nearest_place(s->fit->tree, x, &start);
        s->fit->seen[quad] += !near.rim;
        *target = (sample_target){near.at, near.normal, near.rim ? 0 : 1, start};
    }
}

/* Weighted samples, or weighted ways to the targets, back to control points. */
static void force_quad(fit_state *s, size_t quad) {
    double p[16][3], at[FIT_POINTS][3];
    gather_points(s, quad, p);
    sample_patch(s, p, at);
    for (int i = 0; i < FIT_POINTS; i++) {
        const sample_target *t = &s->targets[FIT_POINTS * quad + (size_t)i];
        es_vec3 x = es_vec3_make(at[i][0], at[i][1], at[i][2]);
        if (s->against_targets) x = es_vec3_sub(t->at, x);
        double across = es_vec3_dot(x, t->normal);
        x = es_vec3_scale(es_vec3_add(es_vec3_scale(t->normal, across), es_vec3_scale(x, s->glide)),
                          t->weight);
        at[i][0] = x.x;
        at[i][1] = x.y;
        at[i][2] = x.z;
    }
    spread_samples(s, at, p);
    memcpy(s->patch_forces[quad], p, sizeof s->patch_forces[quad]);
}

static void quad_task(fit_state *s, size_t index, void work(fit_state *, size_t)) {
    size_t end = (index + 1) * QUADS_AT_ONCE;
    if (end > s->fit->quads->quad_count) end = s->fit->quads->quad_count;
    for (size_t q = index * QUADS_AT_ONCE; q < end; q++)
        if (s->whole[q]) work(s, q);
}

static void project_task(void *context, size_t index, int worker) {
    (void)worker;
    quad_task(context, index, project_quad);
}

static void force_task(void *context, size_t index, int worker) {
    (void)worker;
    quad_task(context, index, force_quad);
}

/* ---- rims ----------------------------------------------------------------------------- */

/* The four points of a rim's side. */
static void rim_rows(const fit_state *s, uint32_t h, uint32_t row[4]) {
    const quad_mesh *q = s->fit->quads;
    uint32_t edges = (uint32_t)q->vertex_count, all = 4 * (uint32_t)q->quad_count;
    row[0] = q->quads[h];
    row[1] = edges + h;
    row[2] = edges + 2 * all + h;
    row[3] = q->quads[quad_next(h)];
}

static es_vec3 rim_sample(const fit_state *s, const uint32_t row[4], int sample) {
    es_vec3 sum = {0, 0, 0};
    for (int k = 0; k < 4; k++) {
        const double *p = s->points + 3 * (size_t)row[k];
        sum = es_vec3_add(sum, es_vec3_scale(es_vec3_make(p[0], p[1], p[2]), s->basis[sample][k]));
    }
    return sum;
}

static void project_rim(fit_state *s) {
    uint32_t row[4];
    for (size_t i = 0; i < s->rim_count * FIT_SAMPLES; i++) {
        rim_rows(s, s->rim_sides[i / FIT_SAMPLES], row);
        es_vec3 at = rim_sample(s, row, (int)(i % FIT_SAMPLES));
        s->rim_targets[i] = surface_rim_nearest(s->fit->rim, at, SIZE_MAX);
    }
}

/* What force_quad is for a patch. */
static void add_rim_forces(fit_state *s, bool against_targets) {
    uint32_t row[4];
    for (size_t i = 0; i < s->rim_count * FIT_SAMPLES; i++) {
        const rim_place *t = &s->rim_targets[i];
        rim_rows(s, s->rim_sides[i / FIT_SAMPLES], row);
        es_vec3 x = rim_sample(s, row, (int)(i % FIT_SAMPLES));
        if (against_targets) x = es_vec3_sub(t->at, x);
        double along = es_vec3_dot(x, t->along_unit) * (1 - s->glide);
        x = es_vec3_scale(es_vec3_sub(x, es_vec3_scale(t->along_unit, along)), RIM_WEIGHT);
        for (int k = 0; k < 4; k++) {
            double *f = s->forces + 3 * (size_t)row[k], b = s->basis[i % FIT_SAMPLES][k];
            f[0] += b * x.x;
            f[1] += b * x.y;
            f[2] += b * x.z;
        }
    }
}

/* ---- products ------------------------------------------------------------------------- */

/* out = L x: the mean of the neighbours less the vertex. */
static void laplace(const fit_state *s, const double *x, double *out) {
    const quad_mesh *q = s->fit->quads;
    memset(out, 0, s->unknowns * sizeof *out);
    for (uint32_t h = 0; h < 4 * q->quad_count; h++)
        for (size_t a = 0; a < 3; a++)
            out[3 * (size_t)q->quads[h] + a] += x[3 * (size_t)q->quads[quad_next(h)] + a];
    for (size_t i = 0; i < s->unknowns; i++)
        out[i] = s->steps[i / 3] > 0 ? out[i] / s->steps[i / 3] - x[i] : 0;
}

/* out += scale L' y. */
static void add_laplace_back(const fit_state *s, const double *y, double scale, double *out) {
    const quad_mesh *q = s->fit->quads;
    for (size_t i = 0; i < s->unknowns; i++) out[i] -= scale * y[i];
    for (uint32_t h = 0; h < 4 * q->quad_count; h++)
        for (size_t a = 0; a < 3; a++)
            out[3 * (size_t)q->quads[quad_next(h)] + a] +=
                scale * y[3 * (size_t)q->quads[h] + a] / s->steps[q->quads[h]];
}

/* out = M' B' W (B M x), or with targets M' B' W (t - B M x); less or plus the
 * part of L. */
static void product(fit_state *s, const double *x, bool against_targets, double *out) {
    const quad_masks *m = s->fit->masks;
    const quad_mesh *q = s->fit->quads;
    surface_masks_apply(m, x, s->points);
    s->points_in = s->points;
    s->against_targets = against_targets;
    es_pool_run(s->fit->pool, (q->quad_count + QUADS_AT_ONCE - 1) / QUADS_AT_ONCE, force_task, s);
    memset(s->forces, 0, 3 * m->rows * sizeof *s->forces);
    for (size_t quad = 0; quad < q->quad_count; quad++)
        for (size_t i = 0; s->whole[quad] && i < 16; i++)
            for (size_t a = 0; a < 3; a++)
                s->forces[3 * (size_t)s->rows[quad][i] + a] += s->patch_forces[quad][3 * i + a];
    add_rim_forces(s, against_targets);
    memset(out, 0, s->unknowns * sizeof *out);
    for (size_t row = 0; row < m->rows; row++)
        for (uint32_t i = m->start[row]; i < m->start[row + 1]; i++)
            for (size_t a = 0; a < 3; a++)
                out[3 * (size_t)m->vertex[i] + a] += m->weight[i] * s->forces[3 * row + a];
    laplace(s, x, s->mean);
    add_laplace_back(s, s->mean, against_targets ? -s->lambda : s->lambda, out);
}

static void left_side(void *context, const double *x, double *out) {
    product(context, x, false, out);
}

/* `work` has room for four vectors. */
static void solve(fit_state *s, double *work) {
    size_t n = s->unknowns;
    double *x = s->fit->quads->vertices, *change = work, *rest = work + n;
    product(s, x, true, rest);
    memset(change, 0, n * sizeof *change);
    surface_conjugate(left_side, s, n, STEPS_MAX, SOLVED, rest, change);
    for (size_t i = 0; i < n; i++) x[i] += change[i];
}

/* Rims of cuts are splines of their vertices: they lie in the plane if these do. */
static void hold(const patch_fit *fit) {
    for (size_t v = 0; fit->held && v < fit->quads->vertex_count; v++) {
        if (fit->held[v] == 0) continue;
        const flat_cut *cut = &fit->cuts[fit->held[v] - 1];
        double *at = fit->quads->vertices + 3 * v;
        double height = surface_cut_height(cut, es_vec3_make(at[0], at[1], at[2]));
        at[0] -= height * cut->normal.x;
        at[1] -= height * cut->normal.y;
        at[2] -= height * cut->normal.z;
    }
}

/* ---- the whole --------------------------------------------------------------------------- */

static bool open_rim(fit_state *s, es_error *err) {
    const quad_mesh *q = s->fit->quads;
    for (size_t h = 0; h < 4 * q->quad_count; h++) s->rim_count += q->twin[h] == NO_TWIN;
    s->rim_sides = es_alloc(s->rim_count + 1, sizeof *s->rim_sides, err);
    s->rim_targets =
        s->rim_sides ? es_alloc(s->rim_count * FIT_SAMPLES + 1, sizeof *s->rim_targets, err) : NULL;
    if (!s->rim_targets) return false;
    size_t at = 0;
    for (uint32_t h = 0; h < 4 * q->quad_count; h++)
        if (q->twin[h] == NO_TWIN) s->rim_sides[at++] = h;
    return true;
}

static bool open_state(fit_state *s, es_error *err) {
    const quad_mesh *q = s->fit->quads;
    size_t quads = q->quad_count, rows = s->fit->masks->rows;
    s->unknowns = 3 * q->vertex_count;
    for (int i = 0; i < FIT_SAMPLES; i++) {
        double t = (i + 0.5) / FIT_SAMPLES, r = 1 - t;
        const double b[4] = {r * r * r, 3 * r * r * t, 3 * r * t * t, t * t * t};
        memcpy(s->basis[i], b, sizeof b);
    }
    if (!(s->rows = es_alloc(quads, sizeof *s->rows, err)) ||
        !(s->whole = es_alloc(quads, sizeof *s->whole, err)) ||
        !(s->targets = es_alloc_zero(quads, FIT_POINTS * sizeof *s->targets, err)) ||
        !(s->points = es_alloc(rows, 3 * sizeof(double), err)) ||
        !(s->forces = es_alloc(rows, 3 * sizeof(double), err)) ||
        !(s->patch_forces = es_alloc(quads, sizeof *s->patch_forces, err)) ||
        !(s->mean = es_alloc(s->unknowns, sizeof(double), err)) ||
        !(s->steps = es_alloc_zero(q->vertex_count, sizeof(double), err)))
        return false;
    for (uint32_t quad = 0; quad < quads; quad++) {
        surface_mask_rows(q, quad, s->rows[quad]);
        s->whole[quad] = surface_quad_is_whole(q, quad);
    }
    for (size_t h = 0; h < 4 * quads; h++) s->steps[q->quads[h]]++;
    return !q->rimmed || open_rim(s, err);
}

static void close_state(fit_state *s) {
    es_free(s->rows);
    es_free(s->whole);
    es_free(s->targets);
    es_free(s->points);
    es_free(s->forces);
    es_free(s->patch_forces);
    es_free(s->mean);
    es_free(s->steps);
    es_free(s->rim_sides);
    es_free(s->rim_targets);
}

bool surface_fit_quads(const patch_fit *fit, es_error *err) {
    fit_state s = {.fit = fit};
    double *work = es_alloc(fit->quads->vertex_count, 12 * sizeof(double), err);
    bool ok = work && open_state(&s, err);
    size_t tasks = (fit->quads->quad_count + QUADS_AT_ONCE - 1) / QUADS_AT_ONCE;
    for (int round = 0; ok && round < ROUNDS; round++) {
        s.lambda = LAMBDA[round];
        s.glide = GLIDE[round];
        surface_masks_apply(fit->masks, fit->quads->vertices, s.points);
        s.points_in = s.points;
        es_pool_run(fit->pool, tasks, project_task, &s);
        project_rim(&s);
        solve(&s, work);
        hold(fit);
        ok = !es_cancelled(err);
    }
    close_state(&s);
    es_free(work);
    return ok;
}
