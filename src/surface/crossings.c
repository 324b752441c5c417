/* Triangles of a mesh that run through one another.
 *
 * A tree of boxes over the triangles, halved again and again at the middle one along
 * the longer way; each triangle looks for those whose boxes it touches. Neighbours
 * share corners: across a common corner or side they meet, and that does not count;
 * what else they have in common does (predicates.h). */
#include <float.h>
#include <math.h>
#include <string.h>

#include "predicates.h"
#include "topology.h"

enum { LEAF = 4, DEPTH_MOST = 64, RUN = 256 };

typedef struct box_node {
    float low[3], high[3];
    uint32_t first, count; /* of order[]; count 0: inner */
    uint32_t right;        /* inner: the left one follows */
} box_node;

typedef struct crossing_work {
    const es_mesh *mesh;
    const uint32_t *places; /* per vertex: the first at its place */
    uint32_t *order;
    box_node *nodes;
    size_t node_count;
    bool *crossed; /* per triangle */
    size_t *pairs; /* per run of triangles */
} crossing_work;

/* Without the calls that fminf and fmaxf are; there are no NaNs here. */
static float least3(float a, float b, float c) {
    float least = a < b ? a : b;
    return c < least ? c : least;
}

static float most3(float a, float b, float c) {
    float most = a > b ? a : b;
    return c > most ? c : most;
}

/* ---- the tree --------------------------------------------------------------------- */

static const float *corner_of(const crossing_work *w, uint32_t triangle, int k) {
    return w->mesh->vertices + 3 * (size_t)w->mesh->triangles[3 * (size_t)triangle + (size_t)k];
}

static void find_box(const crossing_work *w, uint32_t first, uint32_t count, float low[3],
                     float high[3]) {
    for (int a = 0; a < 3; a++) {
        low[a] = FLT_MAX;
        high[a] = -FLT_MAX;
    }
    for (uint32_t i = first; i < first + count; i++)
        for (int k = 0; k < 3; k++) {
            const float *p = corner_of(w, w->order[i], k);
            for (int a = 0; a < 3; a++) {
                low[a] = p[a] < low[a] ? p[a] : low[a];
                high[a] = p[a] > high[a] ? p[a] : high[a];
            }
        }
}

static float centre(const crossing_work *w, uint32_t triangle, int axis) {
    return corner_of(w, triangle, 0)[axis] + corner_of(w, triangle, 1)[axis] +
           corner_of(w, triangle, 2)[axis];
}

static void swap(uint32_t *a, uint32_t *b) {
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

/* Puts the lower half of order[low..high] along the axis in front (Hoare's find). */
static void part_at_middle(crossing_work *w, uint32_t low, uint32_t high, uint32_t middle,
                           int axis) {
    uint32_t *order = w->order;
    while (low < high) {
        float pivot = centre(w, order[low + (high - low) / 2], axis);
        int64_t i = low, j = high;
        while (i <= j) {
            while (centre(w, order[i], axis) < pivot) i++;
            while (centre(w, order[j], axis) > pivot) j--;
            if (i <= j) swap(&order[i++], &order[j--]);
        }
        if ((int64_t)middle <= j)
            high = (uint32_t)j;
        else if ((int64_t)middle >= i)
            low = (uint32_t)i;
        else
            return;
    }
}

static int longest(const box_node *n) {
    float size[3];
    for (int a = 0; a < 3; a++) size[a] = n->high[a] - n->low[a];
    return size[0] >= size[1] ? (size[0] >= size[2] ? 0 : 2) : (size[1] >= size[2] ? 1 : 2);
}

/* Nodes in the order of a walk, the left one next to its parent. */
static void build(crossing_work *w) {
    struct {
        uint32_t first, count, parent;
    } stack[DEPTH_MOST];
    int depth = 0;
    stack[depth].first = 0;
    stack[depth].count = (uint32_t)w->mesh->triangle_count;
    stack[depth++].parent = UINT32_MAX;
    while (depth > 0) {
        uint32_t first = stack[--depth].first, count = stack[depth].count;
        uint32_t here = (uint32_t)w->node_count++, parent = stack[depth].parent;
        box_node *n = &w->nodes[here];
        if (parent != UINT32_MAX) w->nodes[parent].right = here;
        *n = (box_node){.first = first, .count = count};
        find_box(w, first, count, n->low, n->high);
        if (count <= LEAF) continue;
        uint32_t half = count / 2;
        part_at_middle(w, first, first + count - 1, first + half, longest(n));
        n->count = 0;
        stack[depth].first = first + half;
        stack[depth].count = count - half;
        stack[depth++].parent = here;
        stack[depth].first = first;
        stack[depth].count = half;
        stack[depth++].parent = UINT32_MAX; /* follows its parent */
    }
}

/* ---- one triangle against all -------------------------------------------------------- */

/* The common corners first in both, the same order; how many. */
static int pair_up(const crossing_work *w, uint32_t t, uint32_t u, es_vec3 p[3], es_vec3 q[3]) {
    const uint32_t *a = w->mesh->triangles + 3 * (size_t)t, *b = w->mesh->triangles + 3 * (size_t)u;
    int of_a[3] = {0, 1, 2}, of_b[3] = {0, 1, 2}, shared = 0;
    for (int i = 0; i < 3; i++)
        for (int j = shared; j < 3; j++) {
            if (w->places[a[i]] != w->places[b[of_b[j]]]) continue;
            int from = of_b[j];
            of_b[j] = of_b[shared];
            of_b[shared] = from;
            for (int k = i; k > shared; k--) of_a[k] = of_a[k - 1];
            of_a[shared++] = i;
            break;
        }
    for (int k = 0; k < 3; k++) {
        p[k] = surface_vertex(w->mesh, a[of_a[k]]);
        q[k] = surface_vertex(w->mesh, b[of_b[k]]);
    }
    return shared;
}

static bool has_no_area(const crossing_work *w, uint32_t t) {
    const uint32_t *a = w->mesh->triangles + 3 * (size_t)t;
    return w->places[a[0]] == w->places[a[1]] || w->places[a[1]] == w->places[a[2]] ||
           w->places[a[2]] == w->places[a[0]];
}

static bool meet(const crossing_work *w, uint32_t t, uint32_t u) {
    es_vec3 p[3], q[3];
    if (t == u || has_no_area(w, u)) return false;
    int shared = pair_up(w, t, u, p, q);
    return shared == 3 || surface_triangles_meet(p, q, shared);
}

static bool boxes_touch(const box_node *n, const float low[3], const float high[3]) {
    return n->low[0] <= high[0] && low[0] <= n->high[0] && n->low[1] <= high[1] &&
           low[1] <= n->high[1] && n->low[2] <= high[2] && low[2] <= n->high[2];
}

static bool box_touches(const crossing_work *w, uint32_t t, const float low[3],
                        const float high[3]) {
    const float *p = corner_of(w, t, 0), *q = corner_of(w, t, 1), *r = corner_of(w, t, 2);
    for (int a = 0; a < 3; a++)
        if (least3(p[a], q[a], r[a]) > high[a] || most3(p[a], q[a], r[a]) < low[a]) return false;
    return true;
}

/* Marks t if it meets any other; how many of a higher number it meets. */
static size_t look(const crossing_work *w, uint32_t t) {
    uint32_t stack[DEPTH_MOST];
    box_node own;
    int depth = 0;
    size_t pairs = 0;
    if (has_no_area(w, t)) return 0;
    for (int a = 0; a < 3; a++) {
        float p = corner_of(w, t, 0)[a], q = corner_of(w, t, 1)[a], r = corner_of(w, t, 2)[a];
        own.low[a] = least3(p, q, r);
        own.high[a] = most3(p, q, r);
    }
    stack[depth++] = 0;
    while (depth > 0) {
        uint32_t at = stack[--depth];
        const box_node *n = &w->nodes[at];
        if (!boxes_touch(n, own.low, own.high)) continue;
        if (n->count == 0) {
            stack[depth++] = n->right;
            stack[depth++] = at + 1;
            continue;
        }
        for (uint32_t i = n->first; i < n->first + n->count; i++) {
            uint32_t u = w->order[i];
            if (!box_touches(w, u, own.low, own.high) || !meet(w, t, u)) continue;
            w->crossed[t] = true;
            pairs += u > t;
        }
    }
    return pairs;
}

static void look_run(void *context, size_t run, int worker) {
    crossing_work *w = context;
    size_t end = RUN * (run + 1), count = w->mesh->triangle_count;
    (void)worker;
    for (size_t i = RUN * run; i < end && i < count; i++) w->pairs[run] += look(w, w->order[i]);
}

/* ---- the whole -------------------------------------------------------------------------- */

bool es_mesh_find_crossings(const es_mesh *mesh, es_pool *pool, bool *crossed, size_t *pairs,
                            es_error *err) {
    *pairs = 0;
    if (!surface_check_mesh(mesh, err)) return false;
    size_t count = mesh->triangle_count, runs = (count + RUN - 1) / RUN;
    if (count == 0) return true;
    crossing_work w = {.mesh = mesh};
    uint32_t *places = surface_places(mesh, err);
    bool *own = places && !crossed ? es_alloc(count, sizeof *own, err) : NULL;
    w.places = places;
    w.crossed = crossed ? crossed : own;
    w.order = places && w.crossed ? es_alloc(count, sizeof *w.order, err) : NULL;
    w.nodes = w.order ? es_alloc(count, 2 * sizeof *w.nodes, err) : NULL;
    w.pairs = w.nodes ? es_alloc_zero(runs, sizeof *w.pairs, err) : NULL;
    bool ok = w.pairs != NULL;
    if (ok) {
        memset(w.crossed, 0, count * sizeof *w.crossed);
        for (size_t t = 0; t < count; t++) w.order[t] = (uint32_t)t;
        build(&w);
        es_pool_run(pool, runs, look_run, &w);
        for (size_t r = 0; r < runs; r++) *pairs += w.pairs[r];
    }
    es_free(places);
    es_free(own);
    es_free(w.order);
    es_free(w.nodes);
    es_free(w.pairs);
    return ok;
}
