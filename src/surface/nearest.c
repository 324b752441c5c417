/* Nearest point on a mesh through a tree of boxes.
 *
 * Each node has four children. The triangles are put in an order in which every
 * node owns a run of them: a run is halved by the median of the middles along its
 * longest side, and each half again. Because all the runs but the last of a level
 * are full, children are found by arithmetic alone. A search starts with a
 * triangle that the caller met last, whose distance already leaves out most
 * boxes, then goes down the nearer boxes first. The four boxes of a node are held
 * side by side, so that one loop without branches measures them all. Boxes are a
 * little too large and their distances a little too short, by more than what
 * floats round: the answer is exact, the least of all the distances.
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

enum { WIDE = 4, LEVELS = 17, STACK_MAX = (WIDE - 1) * LEVELS + WIDE };
/* Triangles about a vertex that are asked for its normal. */
enum { AROUND_MOST = 1000 };

typedef struct wide_box {
    float low[3][WIDE], high[3][WIDE]; /* per axis, of the children */
} wide_box;

struct nearest_tree {
    const es_mesh *mesh;
    uint32_t *order; /* triangles by slot */
    float *corners;  /* nine numbers per slot */
    /* Level 1: children are slots; level 2: children are nodes of level 1; ... */
    wide_box *nodes;
    size_t level_start[LEVELS], level_count[LEVELS];
    int levels; /* the root's level is levels - 1; level 0 are the slots */
    bool with_sign;
    mesh_topology topology; /* with sign */
};

#define NO_SLOT UINT32_MAX

/* What part of a triangle a nearest point lies on: FACE, EDGE + k, CORNER + k. */
enum { FACE = 0, EDGE = 1, CORNER = 4 };

typedef struct nearest_hit {
    double squared;
    es_vec3 way; /* from the surface to the point */
    uint32_t triangle, slot;
    int feature;
} nearest_hit;

/* ---- building -------------------------------------------------------------- */

typedef struct middle {
    float at[3];
    uint32_t triangle;
} middle;

static void swap_middles(middle *a, middle *b) {
    middle keep = *a;
    *a = *b;
    *b = keep;
}

static int longest_axis(const middle *items, size_t count) {
    float side[3];
    for (int a = 0; a < 3; a++) {
        float low = items[0].at[a], high = low;
        for (size_t i = 1; i < count; i++) {
            low = items[i].at[a] < low ? items[i].at[a] : low;
            high = items[i].at[a] > high ? items[i].at[a] : high;
        }
        side[a] = high - low;
    }
    int longest = side[1] > side[0] ? 1 : 0;
    return side[2] > side[longest] ? 2 : longest;
}

/* Of the first, the middle and the last value: the one between. */
static float pivot_of(const middle *items, size_t low, size_t high, int axis) {
    float a = items[low].at[axis], b = items[low + (high - low) / 2].at[axis],
          c = items[high].at[axis];
    float least = a < b ? a : b, most = a < b ? b : a;
    return c < least ? least : c > most ? most : c;
}

/* Puts the `first` smallest along the axis in front (Hoare 1961). */
static void part_items(middle *items, size_t count, size_t first, int axis) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        float pivot = pivot_of(items, low, high, axis);
        size_t i = low, j = high;
        for (;;) {
            while (items[i].at[axis] < pivot) i++;
            while (items[j].at[axis] > pivot) j--;
            if (i >= j) break;
            swap_middles(&items[i++], &items[j--]);
        }
        /* Up to j none is above the pivot; from j + 1 on none is below it. */
        if (first <= j)
            high = j;
        else
            low = j + 1;
        if (first == low) return;
    }
}

typedef struct run {
    size_t start, count, child; /* child: slots of a full child of the node */
} run;

/* Runs are cut into children, two by two, until they are single triangles. */
static void sort_items(middle *items, size_t count, size_t root_child) {
    run stack[2 * LEVELS * WIDE];
    int depth = 0;
    stack[depth++] = (run){0, count, root_child};
    while (depth > 0) {
        run r = stack[--depth];
        while (r.count <= r.child && r.child > 1) r.child /= WIDE;
        if (r.count <= r.child) continue;
        size_t half = r.count > 2 * r.child ? 2 * r.child : r.child;
        middle *first = items + r.start;
        part_items(first, r.count, half, longest_axis(first, r.count));
        stack[depth++] = (run){r.start, half, r.child};
        stack[depth++] = (run){r.start + half, r.count - half, r.child};
    }
}

static void count_levels(nearest_tree *tree, size_t *nodes) {
    size_t count = tree->mesh->triangle_count, total = 0;
    tree->levels = 1;
    do {
        count = (count + WIDE - 1) / WIDE;
        tree->level_start[tree->levels] = total;
        tree->level_count[tree->levels++] = count;
        total += count;
    } while (count > 1);
    *nodes = total;
}

static bool order_triangles(nearest_tree *tree, es_error *err) {
    const es_mesh *mesh = tree->mesh;
    middle *items = es_alloc(mesh->triangle_count, sizeof *items, err);
    if (!items) return false;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        items[t].triangle = (uint32_t)t;
        const float *v[3];
        for (int k = 0; k < 3; k++)
            v[k] = mesh->vertices + 3 * (size_t)mesh->triangles[3 * t + (size_t)k];
        for (int a = 0; a < 3; a++) items[t].at[a] = v[0][a] / 3 + v[1][a] / 3 + v[2][a] / 3;
    }
    size_t child = 1;
    for (int level = 2; level < tree->levels; level++) child *= WIDE;
    sort_items(items, mesh->triangle_count, child);
    for (size_t t = 0; t < mesh->triangle_count; t++) tree->order[t] = items[t].triangle;
    es_free(items);
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

static float least_of(float a, float b) { return b < a ? b : a; }
static float most_of(float a, float b) { return b > a ? b : a; }

/* The box of a triangle, wider by `slack`. */
static void box_slot(const nearest_tree *tree, size_t slot, float slack, wide_box *to, int k) {
    const float *c = tree->corners + 9 * slot;
    for (int a = 0; a < 3; a++) {
        to->low[a][k] = least_of(least_of(c[a], c[3 + a]), c[6 + a]) - slack;
        to->high[a][k] = most_of(most_of(c[a], c[3 + a]), c[6 + a]) + slack;
    }
}

static void box_node(const wide_box *node, wide_box *to, int k) {
    for (int a = 0; a < 3; a++) {
        to->low[a][k] = node->low[a][0];
        to->high[a][k] = node->high[a][0];
        for (int i = 1; i < WIDE; i++) {
            to->low[a][k] = least_of(to->low[a][k], node->low[a][i]);
            to->high[a][k] = most_of(to->high[a][k], node->high[a][i]);
        }
    }
}

static void box_level(nearest_tree *tree, int level, float slack) {
    wide_box *here = tree->nodes + tree->level_start[level];
    size_t below = level > 1 ? tree->level_count[level - 1] : tree->mesh->triangle_count;
    for (size_t i = 0; i < WIDE * tree->level_count[level]; i++) {
        int k = (int)(i % WIDE);
        if (i >= below)
            for (int a = 0; a < 3; a++)
                here[i / WIDE].low[a][k] = FLT_MAX, here[i / WIDE].high[a][k] = -FLT_MAX;
        else if (level == 1)
            box_slot(tree, i, slack, &here[i / WIDE], k);
        else
            box_node(tree->nodes + tree->level_start[level - 1] + i, &here[i / WIDE], k);
    }
}

static bool build_boxes(nearest_tree *tree, size_t nodes, es_error *err) {
    tree->nodes = es_alloc(nodes, sizeof *tree->nodes, err);
    if (!tree->nodes) return false;
    float most = 0;
    for (size_t i = 0; i < 9 * tree->mesh->triangle_count; i++)
        most = most_of(most, fabsf(tree->corners[i]));
    for (int level = 1; level < tree->levels; level++)
        box_level(tree, level, 4 * FLT_EPSILON * most);
    return true;
}

/* ---- pseudo-normals ----------------------------------------------------------- */

/* The triangle's unit normal, and its angle at corner h. */
static es_vec3 face_at(const es_mesh *mesh, size_t h, double *angle) {
    size_t next = surface_next(h);
    es_vec3 at = surface_vertex(mesh, mesh->triangles[h]);
    es_vec3 a = es_vec3_sub(surface_vertex(mesh, mesh->triangles[next]), at);
    es_vec3 b = es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(next)]), at);
    es_vec3 cross = es_vec3_cross(a, b);
    double length = es_vec3_length(cross);
    *angle = atan2(length, es_vec3_dot(a, b));
    return length > 0 ? es_vec3_scale(cross, 1 / length) : cross;
}

/* Adds the triangles about the corner, one way round and, from a rim on, the
 * other way. */
static es_vec3 corner_normal(const nearest_tree *tree, size_t corner, bool *rim) {
    const uint32_t *twin = tree->topology.twin;
    es_vec3 sum = {0, 0, 0};
    double angle;
    size_t h = corner, steps = 0;
    do {
        es_vec3 face = face_at(tree->mesh, h, &angle);
        sum = es_vec3_add(sum, es_vec3_scale(face, angle));
        h = twin[surface_next(surface_next(h))];
    } while (h != NO_TWIN && h != corner && ++steps < AROUND_MOST);
    *rim = h == NO_TWIN;
    for (h = corner; *rim && twin[h] != NO_TWIN && ++steps < AROUND_MOST;) {
        h = surface_next(twin[h]);
        es_vec3 face = face_at(tree->mesh, h, &angle);
        sum = es_vec3_add(sum, es_vec3_scale(face, angle));
    }
    return sum;
}

/* Of any length; *rim: on the boundary. */
static es_vec3 pseudo_normal(const nearest_tree *tree, const nearest_hit *hit, bool *rim) {
    size_t first = 3 * (size_t)hit->triangle;
    *rim = false;
    if (hit->feature >= CORNER)
        return corner_normal(tree, first + (size_t)(hit->feature - CORNER), rim);
    es_vec3 face = surface_cross(tree->mesh, hit->triangle);
    if (hit->feature == FACE) return face;
    uint32_t twin = tree->topology.twin[first + (size_t)(hit->feature - EDGE)];
    *rim = twin == NO_TWIN;
    if (*rim) return face;
    return es_vec3_add(es_vec3_unit(face), es_vec3_unit(surface_cross(tree->mesh, twin / 3)));
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
    size_t nodes = 0;
    count_levels(tree, &nodes);
    bool ok = tree->order && order_triangles(tree, err) && gather_corners(tree, err) &&
              build_boxes(tree, nodes, err);
    if (ok && with_sign) ok = surface_topology_find(mesh, &tree->topology, err);
    if (ok) return tree;
    surface_nearest_free(tree);
    return NULL;
}

void surface_nearest_free(nearest_tree *tree) {
    if (!tree) return;
    surface_topology_clear(&tree->topology);
    es_free(tree->order);
    es_free(tree->corners);
    es_free(tree->nodes);
    es_free(tree);
}

/* ---- searching ------------------------------------------------------------------ */

/* Shorter than any distance by more than what floats round. */
static const float SHORTER = 0.999999f;

/* Without branches: compilers make max instructions of it, four at a time. */
static void box_distances(const wide_box *box, const float p[3], float squared[WIDE]) {
    for (int k = 0; k < WIDE; k++) squared[k] = 0;
    for (int a = 0; a < 3; a++)
        for (int k = 0; k < WIDE; k++) {
            float below = box->low[a][k] - p[a], above = p[a] - box->high[a][k];
            float most = below > above ? below : above;
            most = most > 0 ? most : 0;
            squared[k] += most * most;
        }
    for (int k = 0; k < WIDE; k++) squared[k] *= SHORTER;
}

static void offer(nearest_hit *best, es_vec3 way, uint32_t triangle, int feature) {
    double squared = es_vec3_dot(way, way);
    if (squared >= best->squared) return;
    *best = (nearest_hit){squared, way, triangle, best->slot, feature};
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
 * nearest point, else the nearest is on a side that the foot lies beyond. */
static void offer_triangle(const es_vec3 corner[3], uint32_t triangle, es_vec3 p,
                           nearest_hit *best) {
    es_vec3 u = es_vec3_sub(corner[1], corner[0]), v = es_vec3_sub(corner[2], corner[0]);
    es_vec3 way = es_vec3_sub(p, corner[0]), normal = es_vec3_cross(u, v);
    double area2 = es_vec3_dot(normal, normal), height = es_vec3_dot(way, normal);
    if (!(area2 > THIN * es_vec3_dot(u, u) * es_vec3_dot(v, v))) {
        for (int k = 0; k < 3; k++) offer_side(best, corner, k, p, triangle);
        return;
    }
    /* The distance to the plane is a lower bound: many triangles end here. */
    if (height * height > best->squared * area2) return;
    double b = es_vec3_dot(es_vec3_cross(way, v), normal);
    double c = es_vec3_dot(es_vec3_cross(u, way), normal);
    if (b >= 0 && c >= 0 && b + c <= area2) {
        offer(best, es_vec3_scale(normal, height / area2), triangle, FACE);
        return;
    }
    if (c < 0) offer_side(best, corner, 0, p, triangle);
    if (b + c > area2) offer_side(best, corner, 1, p, triangle);
    if (b < 0) offer_side(best, corner, 2, p, triangle);
}

double surface_triangle_squared(const es_vec3 corner[3], es_vec3 point, double limit) {
    nearest_hit best = {.squared = nextafter(limit, INFINITY)};
    offer_triangle(corner, 0, point, &best);
    return best.squared;
}

static void offer_slot(const nearest_tree *tree, size_t slot, es_vec3 p, nearest_hit *best) {
    const float *n = tree->corners + 9 * slot;
    const es_vec3 corner[3] = {es_vec3_make(n[0], n[1], n[2]), es_vec3_make(n[3], n[4], n[5]),
                               es_vec3_make(n[6], n[7], n[8])};
    double before = best->squared;
    offer_triangle(corner, tree->order[slot], p, best);
    if (best->squared < before) best->slot = (uint32_t)slot;
}

typedef struct waiting {
    float squared;
    uint32_t index; /* of a node of the level, or a slot */
    int level;
} waiting;

/* Puts the children nearer than `limit` on the stack, the nearest on top. */
static int push_children(const nearest_tree *tree, waiting at, const float p[3], double limit,
                         waiting *stack) {
    float squared[WIDE];
    int count = 0;
    box_distances(tree->nodes + tree->level_start[at.level] + at.index, p, squared);
    for (uint32_t k = 0; k < WIDE; k++) {
        if (!((double)squared[k] < limit)) continue;
        int i = count++;
        for (; i > 0 && stack[i - 1].squared < squared[k]; i--) stack[i] = stack[i - 1];
        stack[i] = (waiting){squared[k], WIDE * at.index + k, at.level - 1};
    }
    return count;
}

/* Slot NO_SLOT where nothing is as near as the limit. */
static nearest_hit search(const nearest_tree *tree, es_vec3 p, uint32_t near, double limit) {
    nearest_hit best = {.squared = limit, .slot = NO_SLOT};
    const float at_point[3] = {(float)p.x, (float)p.y, (float)p.z};
    waiting stack[STACK_MAX];
    int depth = 0;
    offer_slot(tree, near < tree->mesh->triangle_count ? near : 0, p, &best);
    stack[depth++] = (waiting){0, 0, tree->levels - 1};
    while (depth > 0) {
        waiting at = stack[--depth];
        if (!((double)at.squared < best.squared)) continue;
        if (at.level == 0)
            offer_slot(tree, at.index, p, &best);
        else
            depth += push_children(tree, at, at_point, best.squared, stack + depth);
    }
    return best;
}

double surface_nearest_within(const nearest_tree *tree, es_vec3 point, double limit,
                              uint32_t *near) {
    if (!isfinite(point.x) || !isfinite(point.y) || !isfinite(point.z)) return NAN;
    nearest_hit best = search(tree, point, *near, limit * limit);
    if (best.slot == NO_SLOT) return INFINITY;
    *near = best.slot;
    double distance = sqrt(best.squared);
    bool rim;
    if (!tree->with_sign) return distance;
    return es_vec3_dot(best.way, pseudo_normal(tree, &best, &rim)) < 0 ? -distance : distance;
}

double surface_nearest_distance(const nearest_tree *tree, es_vec3 point) {
    uint32_t near = 0;
    return surface_nearest_within(tree, point, INFINITY, &near);
}

nearest_place surface_nearest_place(const nearest_tree *tree, es_vec3 point, uint32_t *near) {
    nearest_hit best = search(tree, point, *near, INFINITY);
    *near = best.slot;
    nearest_place place = {.at = es_vec3_sub(point, best.way), .distance = sqrt(best.squared)};
    place.normal = es_vec3_unit(pseudo_normal(tree, &best, &place.rim));
    return place;
}
