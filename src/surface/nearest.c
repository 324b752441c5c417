/* Nearest point on a mesh through a tree of boxes.
 *
 * The triangles are put in the order of a Morton curve through their centres,
 * so that neighbours in the list are neighbours in space; each LEAF in a row
 * get a box, each two boxes a box, and so on to the root. A search goes down
 * the nearer box first and leaves out boxes that are farther than the best
 * triangle so far. The answer is exact: the least of all the distances.
 *
 * The sign is that of the angle between the way to the point and the
 * pseudo-normal of what was hit: the face's normal, the sum of the two faces'
 * at an edge, the sum weighted by angle at a vertex (Baerentzen and Aanaes,
 * "Signed distance computation using the angle weighted pseudonormal", 2005:
 * right for every point about a closed mesh). */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "topology.h"

enum { LEAF = 4, LEVELS = 32 };

typedef struct bounds {
    float low[3], high[3];
} bounds;

struct nearest_tree {
    const es_mesh *mesh;
    uint32_t *order; /* triangles along the curve */
    float *corners;  /* nine numbers per triangle, in that order */
    bounds *boxes;   /* level 0 (leaves), level 1, ..., root */
    size_t level_start[LEVELS], level_count[LEVELS];
    int levels;
    bool with_sign;
    mesh_topology topology;
    float *vertex_normals; /* angle-weighted, of any length */
    bool *rim;             /* per vertex: on the boundary */
};

/* What part of a triangle a nearest point lies on: FACE, EDGE + k, CORNER + k. */
enum { FACE = 0, EDGE = 1, CORNER = 4 };

typedef struct nearest_hit {
    double squared;
    es_vec3 way; /* from the surface to the point */
    uint32_t triangle;
    int feature;
} nearest_hit;

/* ---- building -------------------------------------------------------------- */

typedef struct curve_key {
    uint64_t code;
    uint32_t triangle;
} curve_key;

static int by_code(const void *a, const void *b) {
    const curve_key *p = a, *q = b;
    if (p->code != q->code) return p->code < q->code ? -1 : 1;
    return p->triangle < q->triangle ? -1 : p->triangle > q->triangle;
}

/* Puts two zero bits after each of the 21 bits of x. */
static uint64_t spread_bits(uint64_t x) {
    x = (x | x << 32) & 0x001f00000000ffffu;
    x = (x | x << 16) & 0x001f0000ff0000ffu;
    x = (x | x << 8) & 0x100f00f00f00f00fu;
    x = (x | x << 4) & 0x10c30c30c30c30c3u;
    return (x | x << 2) & 0x1249249249249249u;
}

static uint64_t curve_code(const es_mesh *mesh, size_t triangle, es_vec3 low, double scale) {
    const uint32_t *corner = mesh->triangles + 3 * triangle;
    es_vec3 centre = es_vec3_scale(
        es_vec3_add(es_vec3_add(surface_vertex(mesh, corner[0]), surface_vertex(mesh, corner[1])),
                    surface_vertex(mesh, corner[2])),
        1.0 / 3);
    es_vec3 cell = es_vec3_scale(es_vec3_sub(centre, low), scale);
    return spread_bits((uint64_t)cell.x) | spread_bits((uint64_t)cell.y) << 1 |
           spread_bits((uint64_t)cell.z) << 2;
}

static bool order_triangles(nearest_tree *tree, es_error *err) {
    const es_mesh *mesh = tree->mesh;
    curve_key *keys = es_alloc(mesh->triangle_count, sizeof *keys, err);
    if (!keys) return false;
    es_box3 all = es_mesh_box(mesh);
    es_vec3 size = es_vec3_sub(all.max, all.min);
    double scale = (double)((1 << 21) - 1) / fmax(fmax(size.x, size.y), fmax(size.z, DBL_MIN));
    if (isinf(scale)) scale = 0; /* all in one point */
    for (size_t t = 0; t < mesh->triangle_count; t++)
        keys[t] = (curve_key){curve_code(mesh, t, all.min, scale), (uint32_t)t};
    qsort(keys, mesh->triangle_count, sizeof *keys, by_code);
    for (size_t t = 0; t < mesh->triangle_count; t++) tree->order[t] = keys[t].triangle;
    es_free(keys);
    return true;
}

static bool gather_corners(nearest_tree *tree, es_error *err) {
    const es_mesh *mesh = tree->mesh;
    tree->corners = es_alloc(mesh->triangle_count, 9 * sizeof(float), err);
    if (!tree->corners) return false;
    for (size_t i = 0; i < mesh->triangle_count; i++)
        for (size_t k = 0; k < 3; k++)
            memcpy(tree->corners + 9 * i + 3 * k,
                   mesh->vertices + 3 * (size_t)mesh->triangles[3 * (size_t)tree->order[i] + k],
                   3 * sizeof(float));
    return true;
}

static void box_add(bounds *to, const float low[3], const float high[3]) {
    for (int a = 0; a < 3; a++) {
        to->low[a] = fminf(to->low[a], low[a]);
        to->high[a] = fmaxf(to->high[a], high[a]);
    }
}

static const bounds EMPTY_BOX = {{FLT_MAX, FLT_MAX, FLT_MAX}, {-FLT_MAX, -FLT_MAX, -FLT_MAX}};

static size_t leaf_end(const nearest_tree *tree, size_t leaf) {
    size_t end = LEAF * (leaf + 1);
    return end < tree->mesh->triangle_count ? end : tree->mesh->triangle_count;
}

static void box_leaves(nearest_tree *tree) {
    for (size_t leaf = 0; leaf < tree->level_count[0]; leaf++) {
        tree->boxes[leaf] = EMPTY_BOX;
        for (size_t i = 3 * LEAF * leaf; i < 3 * leaf_end(tree, leaf); i++)
            box_add(&tree->boxes[leaf], tree->corners + 3 * i, tree->corners + 3 * i);
    }
}

static void box_levels(nearest_tree *tree) {
    for (int level = 1; level < tree->levels; level++) {
        const bounds *below = tree->boxes + tree->level_start[level - 1];
        bounds *here = tree->boxes + tree->level_start[level];
        for (size_t i = 0; i < tree->level_count[level]; i++) {
            here[i] = below[2 * i];
            if (2 * i + 1 < tree->level_count[level - 1])
                box_add(&here[i], below[2 * i + 1].low, below[2 * i + 1].high);
        }
    }
}

static bool build_boxes(nearest_tree *tree, es_error *err) {
    size_t count = (tree->mesh->triangle_count + LEAF - 1) / LEAF, total = 0;
    for (;; count = (count + 1) / 2) {
        tree->level_start[tree->levels] = total;
        tree->level_count[tree->levels++] = count;
        total += count;
        if (count == 1) break;
    }
    tree->boxes = es_alloc(total, sizeof *tree->boxes, err);
    if (!tree->boxes) return false;
    box_leaves(tree);
    box_levels(tree);
    return true;
}

/* ---- pseudo-normals ----------------------------------------------------------- */

static double corner_angle(const es_mesh *mesh, size_t h) {
    es_vec3 at = surface_vertex(mesh, mesh->triangles[h]);
    es_vec3 a = es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(h)]), at);
    es_vec3 b =
        es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(surface_next(h))]), at);
    return atan2(es_vec3_length(es_vec3_cross(a, b)), es_vec3_dot(a, b));
}

static bool find_vertex_normals(nearest_tree *tree, es_error *err) {
    const es_mesh *mesh = tree->mesh;
    tree->vertex_normals = es_alloc_zero(mesh->vertex_count, 3 * sizeof(float), err);
    if (!tree->vertex_normals) return false;
    for (size_t h = 0; h < 3 * mesh->triangle_count; h++) {
        es_vec3 normal =
            es_vec3_scale(es_vec3_unit(surface_cross(mesh, h / 3)), corner_angle(mesh, h));
        float *sum = tree->vertex_normals + 3 * (size_t)mesh->triangles[h];
        sum[0] += (float)normal.x;
        sum[1] += (float)normal.y;
        sum[2] += (float)normal.z;
    }
    return true;
}

static bool find_rim(nearest_tree *tree, es_error *err) {
    tree->rim = es_alloc_zero(tree->mesh->vertex_count, sizeof *tree->rim, err);
    if (!tree->rim) return false;
    for (size_t h = 0; h < tree->topology.half_edges; h++)
        if (tree->topology.twin[h] == NO_TWIN)
            tree->rim[tree->mesh->triangles[h]] =
                tree->rim[tree->mesh->triangles[surface_next(h)]] = true;
    return true;
}

static es_vec3 pseudo_normal(const nearest_tree *tree, const nearest_hit *hit) {
    size_t first = 3 * (size_t)hit->triangle;
    es_vec3 face = es_vec3_unit(surface_cross(tree->mesh, hit->triangle));
    if (hit->feature >= CORNER) {
        const float *n = tree->vertex_normals +
                         3 * (size_t)tree->mesh->triangles[first + (size_t)(hit->feature - CORNER)];
        return es_vec3_make(n[0], n[1], n[2]);
    }
    if (hit->feature == FACE) return face;
    uint32_t twin = tree->topology.twin[first + (size_t)(hit->feature - EDGE)];
    if (twin == NO_TWIN) return face;
    return es_vec3_add(face, es_vec3_unit(surface_cross(tree->mesh, twin / 3)));
}

/* ---- life ---------------------------------------------------------------------- */

nearest_tree *surface_nearest_new(const es_mesh *mesh, bool with_sign, es_error *err) {
    if (!surface_check_mesh(mesh, err)) return NULL;
    if (mesh->triangle_count == 0) {
        es_fail(err, ES_GEOMETRY, "the mesh has no triangles, so nothing has a distance to it");
        return NULL;
    }
    nearest_tree *tree = es_alloc_zero(1, sizeof *tree, err);
    if (!tree) return NULL;
    tree->mesh = mesh;
    tree->with_sign = with_sign;
    tree->order = es_alloc(mesh->triangle_count, sizeof *tree->order, err);
    bool ok = tree->order && order_triangles(tree, err) && gather_corners(tree, err) &&
              build_boxes(tree, err);
    if (ok && with_sign)
        ok = surface_topology_find(mesh, &tree->topology, err) && find_vertex_normals(tree, err) &&
             find_rim(tree, err);
    if (ok) return tree;
    surface_nearest_free(tree);
    return NULL;
}

void surface_nearest_free(nearest_tree *tree) {
    if (!tree) return;
    surface_topology_clear(&tree->topology);
    es_free(tree->vertex_normals);
    es_free(tree->rim);
    es_free(tree->order);
    es_free(tree->corners);
    es_free(tree->boxes);
    es_free(tree);
}

/* ---- searching ------------------------------------------------------------------ */

/* Without branches: max instructions. fmax is a call, and there are no NaNs here. */
static double outside_range(float low, double x, float high) {
    double below = low - x, above = x - high;
    double most = below > above ? below : above;
    return most > 0 ? most : 0;
}

static double box_distance_squared(const bounds *box, es_vec3 p) {
    double dx = outside_range(box->low[0], p.x, box->high[0]);
    double dy = outside_range(box->low[1], p.y, box->high[1]);
    double dz = outside_range(box->low[2], p.z, box->high[2]);
    return dx * dx + dy * dy + dz * dz;
}

static void offer(nearest_hit *best, es_vec3 way, uint32_t triangle, int feature) {
    double squared = es_vec3_dot(way, way);
    if (squared >= best->squared) return;
    *best = (nearest_hit){squared, way, triangle, feature};
}

/* The nearest point of the side from corner k to the next. */
static void offer_side(nearest_hit *best, const es_vec3 corner[3], int k, es_vec3 p,
                       uint32_t triangle) {
    int next = (k + 1) % 3;
    es_vec3 side = es_vec3_sub(corner[next], corner[k]), way = es_vec3_sub(p, corner[k]);
    double along = es_vec3_dot(way, side), length2 = es_vec3_dot(side, side);
    if (along <= 0)
        offer(best, way, triangle, CORNER + k);
    else if (along >= length2)
        offer(best, es_vec3_sub(p, corner[next]), triangle, CORNER + next);
    else
        offer(best, es_vec3_sub(way, es_vec3_scale(side, along / length2)), triangle, EDGE + k);
}

/* A facet thinner than this (squared sine of an angle) is taken as its sides:
 * its normal is rounding error. */
static const double THIN = 1e-24;

/* When the foot of the point on the plane lies in the triangle it is the
 * nearest point, else the nearest is on a side. */
static void offer_triangle(const es_vec3 corner[3], uint32_t triangle, es_vec3 p,
                           nearest_hit *best) {
    es_vec3 u = es_vec3_sub(corner[1], corner[0]), v = es_vec3_sub(corner[2], corner[0]);
    es_vec3 way = es_vec3_sub(p, corner[0]), normal = es_vec3_cross(u, v);
    double area2 = es_vec3_dot(normal, normal), height = es_vec3_dot(way, normal);
    if (area2 > THIN * es_vec3_dot(u, u) * es_vec3_dot(v, v)) {
        /* The distance to the plane is a lower bound: most triangles end here. */
        if (height * height > best->squared * area2) return;
        double b = es_vec3_dot(es_vec3_cross(way, v), normal);
        double c = es_vec3_dot(es_vec3_cross(u, way), normal);
        if (b >= 0 && c >= 0 && b + c <= area2) {
            offer(best, es_vec3_scale(normal, height / area2), triangle, FACE);
            return;
        }
    }
    for (int k = 0; k < 3; k++) offer_side(best, corner, k, p, triangle);
}

double surface_triangle_squared(const es_vec3 corner[3], es_vec3 point, double limit) {
    nearest_hit best = {.squared = nextafter(limit, INFINITY)};
    offer_triangle(corner, 0, point, &best);
    return best.squared;
}

typedef struct waiting {
    double squared;
    size_t index;
    int level;
} waiting;

static void search_leaf(const nearest_tree *tree, size_t leaf, es_vec3 p, nearest_hit *best) {
    for (size_t i = LEAF * leaf; i < leaf_end(tree, leaf); i++) {
        const float *n = tree->corners + 9 * i;
        const es_vec3 corner[3] = {es_vec3_make(n[0], n[1], n[2]), es_vec3_make(n[3], n[4], n[5]),
                                   es_vec3_make(n[6], n[7], n[8])};
        offer_triangle(corner, tree->order[i], p, best);
    }
}

static nearest_hit search(const nearest_tree *tree, es_vec3 p) {
    nearest_hit best = {.squared = INFINITY};
    waiting stack[LEVELS + 2];
    int depth = 0;
    stack[depth++] = (waiting){0, 0, tree->levels - 1};
    while (depth > 0) {
        waiting at = stack[--depth];
        if (at.squared >= best.squared) continue;
        if (at.level == 0) {
            search_leaf(tree, at.index, p, &best);
            continue;
        }
        int level = at.level - 1;
        const bounds *below = tree->boxes + tree->level_start[level];
        waiting first = {box_distance_squared(&below[2 * at.index], p), 2 * at.index, level};
        waiting second = {INFINITY, 2 * at.index + 1, level};
        if (second.index < tree->level_count[level])
            second.squared = box_distance_squared(&below[second.index], p);
        bool swap = second.squared < first.squared;
        if (second.squared < INFINITY) stack[depth++] = swap ? first : second;
        stack[depth++] = swap ? second : first;
    }
    return best;
}

double surface_nearest_distance(const nearest_tree *tree, es_vec3 point) {
    if (!isfinite(point.x) || !isfinite(point.y) || !isfinite(point.z)) return NAN;
    nearest_hit best = search(tree, point);
    double distance = sqrt(best.squared);
    if (!tree->with_sign) return distance;
    return es_vec3_dot(best.way, pseudo_normal(tree, &best)) < 0 ? -distance : distance;
}

nearest_place surface_nearest_place(const nearest_tree *tree, es_vec3 point) {
    nearest_hit best = search(tree, point);
    size_t first = 3 * (size_t)best.triangle;
    bool rim = false;
    if (best.feature >= CORNER)
        rim = tree->rim[tree->mesh->triangles[first + (size_t)(best.feature - CORNER)]];
    else if (best.feature != FACE)
        rim = tree->topology.twin[first + (size_t)(best.feature - EDGE)] == NO_TWIN;
    return (nearest_place){.at = es_vec3_sub(point, best.way),
                           .normal = es_vec3_unit(pseudo_normal(tree, &best)),
                           .distance = sqrt(best.squared),
                           .rim = rim};
}
