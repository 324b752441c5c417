/* Bezier patches: points, meshes, measures, and which sides are one edge. */
#include "echosolid/patches.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void es_patches_clear(es_patches *patches) {
    es_free(patches->points);
    es_free(patches->patches);
    es_free(patches->planes);
    es_free(patches->plane_sides);
    *patches = (es_patches){0};
}

/* ---- points ------------------------------------------------------------------- */

/* The weights of the control points at t, and those of the derivative. */
static void bernstein(double t, bool linear, double weight[4], double slope[4]) {
    double s = 1 - t;
    if (linear) {
        memcpy(weight, (double[4]){s, t, 0, 0}, 4 * sizeof *weight);
        memcpy(slope, (double[4]){-1, 1, 0, 0}, 4 * sizeof *slope);
        return;
    }
    memcpy(weight, (double[4]){s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t},
           4 * sizeof *weight);
    memcpy(slope, (double[4]){-3 * s * s, 3 * s * s - 6 * s * t, 6 * s * t - 3 * t * t, 3 * t * t},
           4 * sizeof *slope);
}

typedef struct patch_place {
    es_vec3 at, du, dv;
} patch_place;

static es_vec3 control_point(const es_patches *patches, uint32_t point) {
    const double *p = patches->points + 3 * (size_t)point;
    return es_vec3_make(p[0], p[1], p[2]);
}

static patch_place place_at(const es_patches *patches, size_t index, double u, double v) {
    const es_patch *patch = &patches->patches[index];
    int columns = patch->ruled ? 2 : 4;
    double bu[4], su[4], bv[4], sv[4];
    bernstein(u, false, bu, su);
    bernstein(v, patch->ruled, bv, sv);
    patch_place place = {0};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < columns; j++) {
            es_vec3 p = control_point(patches, patch->point[columns * i + j]);
            place.at = es_vec3_add(place.at, es_vec3_scale(p, bu[i] * bv[j]));
            place.du = es_vec3_add(place.du, es_vec3_scale(p, su[i] * bv[j]));
            place.dv = es_vec3_add(place.dv, es_vec3_scale(p, bu[i] * sv[j]));
        }
    return place;
}

es_vec3 es_patch_point(const es_patches *patches, size_t patch, double u, double v) {
    return place_at(patches, patch, u, v).at;
}

/* ---- measures -------------------------------------------------------------------- */

/* Six points: exact up to degree 11, that of x du x dv x of a bicubic patch. */
enum { GAUSS = 6 };
static const double GAUSS_AT[GAUSS] = {0.033765242898423986, 0.16939530676686775,
                                       0.38069040695840155,  0.61930959304159845,
                                       0.83060469323313225,  0.96623475710157601};
static const double GAUSS_WEIGHT[GAUSS] = {0.085662246189585173, 0.18038078652406930,
                                           0.23395696728634552,  0.23395696728634552,
                                           0.18038078652406930,  0.085662246189585173};

/* The part of a surface at x, of the size and direction n. */
static void add_measure(es_patches_measure *sum, es_vec3 x, es_vec3 n) {
    sum->area_mm2 += es_vec3_length(n);
    sum->volume_mm3 += es_vec3_dot(x, n) / 3;
    es_vec3 half = es_vec3_make(x.x * x.x * n.x, x.y * x.y * n.y, x.z * x.z * n.z);
    sum->centroid = es_vec3_add(sum->centroid, es_vec3_scale(half, 0.5));
}

static void measure_patch(const es_patches *patches, size_t p, es_patches_measure *sum) {
    for (int i = 0; i < GAUSS * GAUSS; i++) {
        patch_place at = place_at(patches, p, GAUSS_AT[i / GAUSS], GAUSS_AT[i % GAUSS]);
        double weight = GAUSS_WEIGHT[i / GAUSS] * GAUSS_WEIGHT[i % GAUSS];
        add_measure(sum, at.at, es_vec3_scale(es_vec3_cross(at.du, at.dv), weight));
    }
}

/* The curve of a side at t, and its derivative. */
static patch_place side_at(const es_patches *patches, uint32_t side, double t) {
    uint32_t along[4];
    double weight[4], slope[4];
    int count = es_patch_side(&patches->patches[side / 4], (int)(side % 4), along);
    bernstein(t, count == 2, weight, slope);
    patch_place place = {0};
    for (int i = 0; i < count; i++) {
        es_vec3 p = control_point(patches, along[i]);
        place.at = es_vec3_add(place.at, es_vec3_scale(p, weight[i]));
        place.du = es_vec3_add(place.du, es_vec3_scale(p, slope[i]));
    }
    return place;
}

/* The triangle between the middle and each side: x = at + s (side(t) - at). */
static void measure_plane(const es_patches *patches, size_t p, es_patches_measure *sum) {
    const es_patch_plane *plane = &patches->planes[p];
    for (size_t i = 0; i < plane->count; i++)
        for (int k = 0; k < GAUSS * GAUSS; k++) {
            double s = GAUSS_AT[k / GAUSS];
            patch_place rim =
                side_at(patches, patches->plane_sides[plane->first + i], GAUSS_AT[k % GAUSS]);
            es_vec3 out = es_vec3_sub(rim.at, plane->at);
            double weight = s * GAUSS_WEIGHT[k / GAUSS] * GAUSS_WEIGHT[k % GAUSS];
            add_measure(sum, es_vec3_add(plane->at, es_vec3_scale(out, s)),
                        es_vec3_scale(es_vec3_cross(rim.du, out), weight));
        }
}

es_patches_measure es_patches_measured(const es_patches *patches) {
    es_patches_measure sum = {0};
    for (size_t p = 0; p < patches->count; p++) measure_patch(patches, p, &sum);
    for (size_t p = 0; p < patches->plane_count; p++) measure_plane(patches, p, &sum);
    double volume = sum.volume_mm3;
    sum.centroid = volume != 0 ? es_vec3_scale(sum.centroid, 1 / volume) : es_vec3_make(0, 0, 0);
    return sum;
}

/* ---- sides ------------------------------------------------------------------------- */

int es_patch_side(const es_patch *patch, int k, uint32_t side[4]) {
    static const int CUBIC[4][4] = {{0, 4, 8, 12}, {12, 13, 14, 15}, {15, 11, 7, 3}, {3, 2, 1, 0}};
    static const int RULED[4][4] = {{0, 2, 4, 6}, {6, 7, 0, 0}, {7, 5, 3, 1}, {1, 0, 0, 0}};
    int count = patch->ruled && k % 2 ? 2 : 4;
    for (int i = 0; i < count; i++)
        side[i] = patch->point[patch->ruled ? RULED[k][i] : CUBIC[k][i]];
    return count;
}

typedef struct numbered_side {
    es_patch_edge edge;
    uint32_t side; /* 4 * patch + k */
    bool backwards;
} numbered_side;

static int compare_edges(const es_patch_edge *a, const es_patch_edge *b) {
    if (a->points != b->points) return a->points - b->points;
    for (int i = 0; i < a->points; i++)
        if (a->point[i] != b->point[i]) return a->point[i] < b->point[i] ? -1 : 1;
    return 0;
}

static int by_edge(const void *a, const void *b) {
    const numbered_side *p = a, *q = b;
    int order = compare_edges(&p->edge, &q->edge);
    return order ? order : (p->side > q->side) - (p->side < q->side);
}

static bool make_side(const es_patches *patches, size_t number, numbered_side *side,
                      es_error *err) {
    uint32_t along[4];
    int count = es_patch_side(&patches->patches[number / 4], (int)(number % 4), along);
    *side = (numbered_side){.side = (uint32_t)number, .edge.points = count};
    side->backwards = along[count - 1] < along[0];
    for (int i = 0; i < count; i++) {
        if (along[i] >= patches->point_count)
            return es_fail(err, ES_GEOMETRY, "patch %zu: control point %u, but there are %zu",
                           number / 4, along[i], patches->point_count);
        side->edge.point[side->backwards ? count - 1 - i : i] = along[i];
    }
    if (along[0] != along[count - 1]) return true;
    return es_fail(err, ES_GEOMETRY, "patch %zu: its side %zu ends where it starts", number / 4,
                   number % 4);
}

/* Sides in order of their edges; *edges has room for all. */
static void number_edges(const numbered_side *sides, size_t count, es_patch_edges *edges) {
    for (size_t i = 0, j; i < count; i = j) {
        es_patch_edge *edge = &edges->edges[edges->count];
        *edge = sides[i].edge;
        for (j = i; j < count && compare_edges(&sides[j].edge, edge) == 0; j++) {
            edges->of_side[sides[j].side] = (uint32_t)edges->count;
            edge->uses++;
        }
        edge->opposite = edge->uses == 2 && sides[i].backwards != sides[i + 1].backwards;
        edges->count++;
    }
}

/* A side that one patch and one plane use is used in opposite senses, for the plane
 * walks it backwards. */
static bool add_planes(const es_patches *patches, es_patch_edges *edges, es_error *err) {
    for (size_t p = 0; p < patches->plane_count; p++)
        for (size_t i = 0; i < patches->planes[p].count; i++) {
            uint32_t side = patches->plane_sides[patches->planes[p].first + i];
            if (side >= 4 * patches->count)
                return es_fail(err, ES_GEOMETRY, "plane %zu: side %u, but there are %zu patches", p,
                               side, patches->count);
            es_patch_edge *edge = &edges->edges[edges->of_side[side]];
            edge->opposite = ++edge->uses == 2;
        }
    return true;
}

bool es_patch_edges_find(const es_patches *patches, es_patch_edges *edges, es_error *err) {
    *edges = (es_patch_edges){0};
    size_t count = 4 * patches->count;
    if (patches->count > UINT32_MAX / 8)
        return es_fail(err, ES_MEMORY, "%zu patches are too many", patches->count);
    numbered_side *sides = es_alloc(count, sizeof *sides, err);
    edges->edges = sides ? es_alloc(count, sizeof *edges->edges, err) : NULL;
    edges->of_side = edges->edges ? es_alloc(count, sizeof *edges->of_side, err) : NULL;
    bool ok = edges->of_side != NULL;
    for (size_t i = 0; i < count && ok; i++) ok = make_side(patches, i, &sides[i], err);
    if (ok) {
        qsort(sides, count, sizeof *sides, by_edge);
        number_edges(sides, count, edges);
        ok = add_planes(patches, edges, err);
    }
    if (!ok) es_patch_edges_clear(edges);
    es_free(sides);
    return ok;
}

void es_patch_edges_clear(es_patch_edges *edges) {
    es_free(edges->edges);
    es_free(edges->of_side);
    *edges = (es_patch_edges){0};
}

/* ---- meshes ---------------------------------------------------------------------------- */

/* Vertices of the mesh: one per control point that is a corner (made on
 * demand), steps - 1 per edge, and the rest inside of each patch. */
typedef struct tessellation {
    const es_patches *patches;
    const es_patch_edges *edges;
    int steps;
    uint32_t *corner; /* vertex + 1 of a control point, 0: none yet */
    es_mesh *mesh;
} tessellation;

static void put_vertex(es_mesh *mesh, size_t vertex, es_vec3 p) {
    float *at = mesh->vertices + 3 * vertex;
    at[0] = (float)p.x;
    at[1] = (float)p.y;
    at[2] = (float)p.z;
}

static uint32_t corner_vertex(tessellation *t, uint32_t point) {
    if (t->corner[point] == 0) {
        put_vertex(t->mesh, t->mesh->vertex_count, control_point(t->patches, point));
        t->corner[point] = (uint32_t)++t->mesh->vertex_count;
    }
    return t->corner[point] - 1;
}

/* The vertex at i, j of a patch; its place is written each time, equal along
 * shared sides up to rounding. */
static uint32_t grid_vertex(tessellation *t, size_t patch, int i, int j) {
    int n = t->steps;
    size_t inner = (size_t)(n - 1), edges = t->edges->count * inner;
    int side = j == 0 ? 0 : i == n ? 1 : j == n ? 2 : i == 0 ? 3 : -1;
    if (side < 0)
        return (uint32_t)(edges + patch * inner * inner + (size_t)(i - 1) * inner +
                          (size_t)(j - 1));
    uint32_t along[4];
    int count = es_patch_side(&t->patches->patches[patch], side, along);
    int step = side == 0 ? i : side == 1 ? j : side == 2 ? n - i : n - j;
    if (step == 0 || step == n) return corner_vertex(t, along[step == 0 ? 0 : count - 1]);
    if (along[count - 1] < along[0]) step = n - step;
    return (uint32_t)(t->edges->of_side[4 * patch + (size_t)side] * inner + (size_t)(step - 1));
}

static void add_patch(tessellation *t, size_t patch) {
    int n = t->steps;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            uint32_t a = grid_vertex(t, patch, i, j), b = grid_vertex(t, patch, i + 1, j);
            uint32_t c = grid_vertex(t, patch, i + 1, j + 1), d = grid_vertex(t, patch, i, j + 1);
            const uint32_t corners[6] = {a, b, c, a, c, d};
            memcpy(t->mesh->triangles + 3 * t->mesh->triangle_count, corners, sizeof corners);
            t->mesh->triangle_count += 2;
            put_vertex(t->mesh, a, es_patch_point(t->patches, patch, (double)i / n, (double)j / n));
            put_vertex(t->mesh, b,
                       es_patch_point(t->patches, patch, (double)(i + 1) / n, (double)j / n));
            put_vertex(t->mesh, c,
                       es_patch_point(t->patches, patch, (double)(i + 1) / n, (double)(j + 1) / n));
            put_vertex(t->mesh, d,
                       es_patch_point(t->patches, patch, (double)i / n, (double)(j + 1) / n));
        }
}

/* Step i along a side as the plane's neighbour has it. */
static uint32_t side_vertex(tessellation *t, uint32_t side, int i) {
    int n = t->steps, k = (int)(side % 4);
    static const int FROM[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    static const int STEP[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    return grid_vertex(t, side / 4, n * FROM[k][0] + i * STEP[k][0],
                       n * FROM[k][1] + i * STEP[k][1]);
}

static void add_plane(tessellation *t, const es_patch_plane *plane) {
    uint32_t middle = (uint32_t)t->mesh->vertex_count++;
    put_vertex(t->mesh, middle, plane->at);
    for (size_t s = 0; s < plane->count; s++)
        for (int i = 0; i < t->steps; i++) {
            uint32_t side = t->patches->plane_sides[plane->first + s];
            const uint32_t corners[3] = {middle, side_vertex(t, side, i + 1),
                                         side_vertex(t, side, i)};
            memcpy(t->mesh->triangles + 3 * t->mesh->triangle_count++, corners, sizeof corners);
        }
}

static size_t count_plane_sides(const es_patches *patches) {
    size_t sum = 0;
    for (size_t p = 0; p < patches->plane_count; p++) sum += patches->planes[p].count;
    return sum;
}

bool es_patches_mesh(const es_patches *patches, int steps, es_mesh *mesh, es_error *err) {
    *mesh = (es_mesh){0};
    if (steps < 1 || steps > 64)
        return es_fail(err, ES_USAGE, "%d steps a patch: expected 1 to 64", steps);
    es_patch_edges edges;
    if (!es_patch_edges_find(patches, &edges, err)) return false;
    size_t inner = (size_t)(steps - 1);
    size_t most = edges.count * inner + patches->count * (inner * inner + 4) + patches->plane_count;
    size_t fans = count_plane_sides(patches) * (size_t)steps;
    tessellation t = {patches, &edges, steps, NULL, mesh};
    t.corner = es_alloc_zero(patches->point_count, sizeof *t.corner, err);
    mesh->vertices = t.corner ? es_alloc(most, 3 * sizeof(float), err) : NULL;
    mesh->triangles = mesh->vertices ? es_alloc(2 * patches->count * (size_t)(steps * steps) + fans,
                                                3 * sizeof(uint32_t), err)
                                     : NULL;
    bool ok = mesh->triangles != NULL;
    if (ok) {
        mesh->vertex_count = edges.count * inner + patches->count * inner * inner;
        for (size_t p = 0; p < patches->count; p++) add_patch(&t, p);
        for (size_t p = 0; p < patches->plane_count; p++) add_plane(&t, &patches->planes[p]);
    } else {
        es_mesh_clear(mesh);
    }
    es_free(t.corner);
    es_patch_edges_clear(&edges);
    return ok;
}
