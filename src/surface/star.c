/* A star-shaped mesh as six B-spline patches.
 *
 * A place inside is sought from which the whole surface is seen from its inner
 * side: from the centroid on, away from the facets that are seen too flatly. Then
 * the facets are drawn on the faces of a cube about that place, as in a picture,
 * which says for each direction of a fixed raster where its ray leaves the body.
 * The controls of the six splines follow by least squares from these hits; the
 * normal equations are solved by conjugate gradients through products alone. */
#include <math.h>
#include <string.h>

#include "conjugate.h"
#include "nearest.h"
#include "topology.h"

enum { MOVES = 60, STEPS_MAX = 200, PER_CONTROL = 3, DRAWN_STEPS = 3, SIZES = 6 };
static const int SIZE[SIZES] = {8, 12, 16, 24, 32, 48};
/* Rays that leave the surface at more than 75 degrees from its normal are too flat. */
static const double FLAT_COSINE = 0.2588, WANTED_COSINE = 0.35;
/* Parts of the area: noise in a few facets does not refuse a bone. */
static const double FLAT_SHARE = 0.005, BEHIND_SHARE = 0.001;
static const double SOLVED = 1e-7, SAMPLES_WANTED = 30000;

typedef struct star_job {
    const es_mesh *mesh;
    nearest_tree *tree;
    es_pool *pool;
    double area, volume, tolerance;
    es_vec3 centre;
    /* of the present size */
    es_spline_cube cube;
    int side;     /* rays a side of a face */
    double *hits; /* per ray: less the centre */
    int *first;   /* per ray of a side: its weights */
    double (*weight)[4], *slope;
} star_job;

/* ---- the centre --------------------------------------------------------------------- */

typedef struct star_view {
    double flat, behind; /* parts of the area */
    es_vec3 push;        /* from the facets that are seen too flatly */
} star_view;

static star_view view_from(const es_mesh *mesh, es_vec3 centre, size_t every) {
    star_view view = {0};
    double all = 0;
    for (size_t t = 0; t < mesh->triangle_count; t += every) {
        es_vec3 cross = surface_cross(mesh, t);
        double area = es_vec3_length(cross);
        es_vec3 ray = es_vec3_sub(surface_vertex(mesh, mesh->triangles[3 * t]), centre);
        double cosine = es_vec3_dot(cross, ray) / fmax(area * es_vec3_length(ray), 1e-300);
        all += area;
        if (cosine < FLAT_COSINE) view.flat += area;
        if (cosine <= 0) view.behind += area;
        if (cosine < WANTED_COSINE)
            view.push = es_vec3_sub(view.push, es_vec3_scale(cross, WANTED_COSINE - cosine));
    }
    view.flat /= all;
    view.behind /= all;
    return view;
}

static es_vec3 find_centroid(const es_mesh *mesh) {
    es_vec3 apex = surface_vertex(mesh, mesh->triangles[0]), sum = {0, 0, 0};
    double volume = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *k = mesh->triangles + 3 * t;
        es_vec3 a = es_vec3_sub(surface_vertex(mesh, k[0]), apex);
        es_vec3 b = es_vec3_sub(surface_vertex(mesh, k[1]), apex);
        es_vec3 c = es_vec3_sub(surface_vertex(mesh, k[2]), apex);
        double part = es_vec3_dot(a, es_vec3_cross(b, c));
        volume += part;
        sum = es_vec3_add(sum, es_vec3_scale(es_vec3_add(a, es_vec3_add(b, c)), part / 4));
    }
    return es_vec3_add(apex, es_vec3_scale(sum, 1 / volume));
}

static bool find_centre(star_job *job, es_error *err) {
    const es_mesh *mesh = job->mesh;
    size_t every = mesh->triangle_count / 20000 + 1;
    es_vec3 at = find_centroid(mesh);
    double step = 0.2 * cbrt(job->volume), least = INFINITY;
    for (int move = 0; move < MOVES && least > 0; move++, step *= 0.93) {
        star_view view = view_from(mesh, at, every);
        if (view.flat + view.behind < least) job->centre = at;
        least = fmin(least, view.flat + view.behind);
        at = es_vec3_add(at, es_vec3_scale(es_vec3_unit(view.push), step));
    }
    star_view view = view_from(mesh, job->centre, 1);
    if (view.flat <= FLAT_SHARE && view.behind <= BEHIND_SHARE) return true;
    return es_fail(err, ES_GEOMETRY,
                   "not star-shaped: from the best place inside (%.1f, %.1f, %.1f mm) %.1f %% of "
                   "the surface is seen from behind and %.1f %% flatter than 15 degrees, so six "
                   "patches cannot follow it; take smooth patches",
                   job->centre.x, job->centre.y, job->centre.z, 100 * view.behind, 100 * view.flat);
}

/* ---- rays ----------------------------------------------------------------------------- */

/* The axes of a face: outwards, u, v. */
static void face_axes(int face, int axis[3]) {
    axis[0] = face / 2;
    axis[1] = (face / 2 + (face % 2 ? 1 : 2)) % 3;
    axis[2] = (face / 2 + (face % 2 ? 2 : 1)) % 3;
}

static es_vec3 ray_of(const star_job *job, int face, int i, int j) {
    int axis[3];
    double d[3];
    face_axes(face, axis);
    d[axis[0]] = face % 2 ? 1 : -1;
    d[axis[1]] = job->slope[i];
    d[axis[2]] = job->slope[j];
    return es_vec3_make(d[0], d[1], d[2]);
}

/* How far along the ray the triangle is met; 0: not at all. */
static double meet(const es_vec3 p[3], es_vec3 ray) {
    double a = es_vec3_dot(ray, es_vec3_cross(p[1], p[2]));
    double b = es_vec3_dot(ray, es_vec3_cross(p[2], p[0]));
    double c = es_vec3_dot(ray, es_vec3_cross(p[0], p[1])), sum = a + b + c;
    double slack = -1e-12 * fabs(sum);
    if (!(sum > 0) || a < slack || b < slack || c < slack) return 0;
    return es_vec3_dot(p[0], es_vec3_cross(p[1], p[2])) / sum;
}

/* Keeps the farther hit. */
static void offer_hit(star_job *job, int face, int i, int j, const es_vec3 p[3]) {
    es_vec3 ray = ray_of(job, face, i, j);
    double *hit = job->hits + 3 * (size_t)((face * job->side + i) * job->side + j);
    double along = meet(p, ray);
    es_vec3 at = es_vec3_scale(ray, along);
    if (along > 0 && es_vec3_dot(at, at) > hit[0] * hit[0] + hit[1] * hit[1] + hit[2] * hit[2])
        memcpy(hit, (double[3]){at.x, at.y, at.z}, 3 * sizeof *hit);
}

/* The first and last ray of a side between two slopes. */
static void ray_range(const star_job *job, const double slope[3], int range[2]) {
    double low = fmin(slope[0], fmin(slope[1], slope[2]));
    double high = fmax(slope[0], fmax(slope[1], slope[2]));
    double to_ray = 4 / 3.14159265358979323846 * 0.5 * job->side, half = 0.5 * job->side - 0.5;
    range[0] = (int)fmax(0, ceil(atan(low) * to_ray + half - 1e-6));
    range[1] = (int)fmin(job->side - 1, floor(atan(high) * to_ray + half + 1e-6));
}

/* On a face that it is wholly in front of. */
static void draw_triangle(star_job *job, int face, const es_vec3 p[3]) {
    int axis[3], u[2], v[2];
    double slope[2][3];
    face_axes(face, axis);
    for (int k = 0; k < 3; k++) {
        const double at[3] = {p[k].x, p[k].y, p[k].z};
        double depth = face % 2 ? at[axis[0]] : -at[axis[0]];
        if (!(depth > 1e-3 * es_vec3_length(p[k]))) return;
        slope[0][k] = at[axis[1]] / depth;
        slope[1][k] = at[axis[2]] / depth;
    }
    ray_range(job, slope[0], u);
    ray_range(job, slope[1], v);
    for (int i = u[0]; i <= u[1]; i++)
        for (int j = v[0]; j <= v[1]; j++) offer_hit(job, face, i, j, p);
}

static void corners_of(const star_job *job, size_t triangle, es_vec3 p[3]) {
    for (size_t k = 0; k < 3; k++)
        p[k] = es_vec3_sub(surface_vertex(job->mesh, job->mesh->triangles[3 * triangle + k]),
                           job->centre);
}

/* Large triangles reach past a face's half-space: their rays are tried one by one. */
static bool fill_missed(star_job *job, es_error *err) {
    int rays = 6 * job->side * job->side;
    double left = 2e8; /* tests, some seconds */
    for (int r = 0; r < rays; r++) {
        const double *hit = job->hits + 3 * (size_t)r;
        if (hit[0] != 0 || hit[1] != 0 || hit[2] != 0) continue;
        left -= (double)job->mesh->triangle_count;
        for (size_t t = 0; left > 0 && t < job->mesh->triangle_count; t++) {
            es_vec3 p[3];
            corners_of(job, t, p);
            offer_hit(job, r / job->side / job->side, r / job->side % job->side, r % job->side, p);
        }
        if (hit[0] == 0 && hit[1] == 0 && hit[2] == 0)
            return es_fail(err, ES_GEOMETRY,
                           "a ray from inside does not meet the surface; it has "
                           "cracks: take smooth patches");
    }
    return true;
}

static bool cast_rays(star_job *job, es_error *err) {
    memset(job->hits, 0, 18 * (size_t)job->side * (size_t)job->side * sizeof *job->hits);
    for (size_t t = 0; t < job->mesh->triangle_count; t++) {
        es_vec3 p[3];
        corners_of(job, t, p);
        for (int face = 0; face < 6; face++) draw_triangle(job, face, p);
    }
    return fill_missed(job, err);
}

/* ---- least squares ------------------------------------------------------------------------ */

static const uint32_t *row_of(const star_job *job, int face, int i, int k) {
    return job->cube.index + (face * job->cube.size + job->first[i] + k) * job->cube.size;
}

/* out += B' B x, or with `hits` B' (hits - B x); x and out by control. */
static void product(const star_job *job, const double *x, bool hits, double *out) {
    memset(out, 0, 3 * job->cube.point_count * sizeof *out);
    for (int r = 0; r < 6 * job->side * job->side; r++) {
        int face = r / job->side / job->side, i = r / job->side % job->side, j = r % job->side;
        double at[3] = {0};
        for (int k = 0; k < 16; k++) {
            double w = job->weight[i][k / 4] * job->weight[j][k % 4];
            const double *p = x + 3 * (size_t)row_of(job, face, i, k / 4)[job->first[j] + k % 4];
            for (int a = 0; a < 3; a++) at[a] += w * p[a];
        }
        for (int a = 0; a < 3 && hits; a++) at[a] = job->hits[3 * (size_t)r + (size_t)a] - at[a];
        for (int k = 0; k < 16; k++) {
            double w = job->weight[i][k / 4] * job->weight[j][k % 4];
            double *p = out + 3 * (size_t)row_of(job, face, i, k / 4)[job->first[j] + k % 4];
            for (int a = 0; a < 3; a++) p[a] += w * at[a];
        }
    }
}

static void left_side(void *context, const double *x, double *out) {
    product(context, x, false, out);
}

/* The controls are zero so far. */
static bool solve(star_job *job, es_error *err) {
    size_t n = 3 * job->cube.point_count;
    double *x = job->cube.points, *rest = es_alloc(n, 3 * sizeof *rest, err);
    if (!rest) return false;
    product(job, x, true, rest);
    surface_conjugate(left_side, job, n, STEPS_MAX, SOLVED, rest, x);
    for (size_t i = 0; i < n; i += 3) {
        x[i] += job->centre.x;
        x[i + 1] += job->centre.y;
        x[i + 2] += job->centre.z;
    }
    es_free(rest);
    return !es_cancelled(err);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void close_size(star_job *job) {
    es_spline_cube_clear(&job->cube);
    es_free(job->hits);
    es_free(job->first);
    es_free(job->weight);
    es_free(job->slope);
    job->hits = job->slope = NULL;
    job->first = NULL;
    job->weight = NULL;
}

static bool open_size(star_job *job, int size, es_error *err) {
    size_t side = (size_t)(PER_CONTROL * size);
    job->side = (int)side;
    if (!es_spline_cube_new(size, &job->cube, err) ||
        !(job->hits = es_alloc(18 * side * side, sizeof *job->hits, err)) ||
        !(job->first = es_alloc(side, sizeof *job->first, err)) ||
        !(job->weight = es_alloc(side, sizeof *job->weight, err)) ||
        !(job->slope = es_alloc(side, sizeof *job->slope, err)))
        return false;
    for (int i = 0; i < job->side; i++) {
        double t = (i + 0.5) / job->side;
        job->first[i] = es_spline_weights(size, t, job->weight[i]);
        job->slope[i] = tan((2 * t - 1) * 3.14159265358979323846 / 4);
    }
    return true;
}

static bool measure(star_job *job, es_cube_report *report, es_error *err) {
    es_patches patches = {0};
    patch_judge judge = {job->tree, job->area / SAMPLES_WANTED, job->pool};
    surface_deviation found[2] = {{.farthest = {0, 0, 0}}};
    bool ok = es_spline_cube_patches(&job->cube, &patches, err) &&
              surface_compare_patches(&patches, DRAWN_STEPS, job->mesh, &judge, found, err);
    report->to_mesh = found[0].all;
    report->from_mesh = found[1].all;
    report->reached = ok && fmax(found[0].all.p95_mm, found[1].all.p95_mm) <= job->tolerance;
    es_patches_clear(&patches);
    return ok;
}

static bool open_job(star_job *job, es_error *err) {
    es_mesh_check check;
    if (!(job->tolerance > 0))
        return es_fail(err, ES_USAGE, "tolerance %g mm: expected above 0", job->tolerance);
    if (!es_mesh_inspect(job->mesh, &check, err)) return false;
    if (!check.closed || check.components != 1 || check.euler != 2 || !(check.volume_mm3 > 0))
        return es_fail(err, ES_GEOMETRY,
                       "six patches need a closed surface of one piece without handles, seen from "
                       "outside; this one has %zu open edges, %zu pieces, Euler number %ld and "
                       "%g mm3: take smooth patches",
                       check.boundary_edges, check.components, check.euler, check.volume_mm3);
    job->area = check.area_mm2;
    job->volume = check.volume_mm3;
    job->tree = surface_nearest_new(job->mesh, true, err);
    return job->tree && find_centre(job, err);
}

bool es_surface_cube(const es_mesh *mesh, double tolerance_mm, es_pool *pool, es_spline_cube *cube,
                     es_cube_report *report, es_error *err) {
    star_job job = {.mesh = mesh, .pool = pool, .tolerance = tolerance_mm};
    es_cube_report own;
    if (!report) report = &own;
    *cube = (es_spline_cube){0};
    *report = (es_cube_report){0};
    bool ok = open_job(&job, err);
    for (int s = 0; ok && s < SIZES && !report->reached; s++) {
        close_size(&job);
        report->size = SIZE[s];
        report->centre = job.centre;
        ok = open_size(&job, SIZE[s], err) && cast_rays(&job, err) && solve(&job, err) &&
             measure(&job, report, err);
    }
    if (ok) {
        *cube = job.cube;
        job.cube = (es_spline_cube){0};
    }
    close_size(&job);
    surface_nearest_free(job.tree);
    return ok;
}
