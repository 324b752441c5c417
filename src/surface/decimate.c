/* Fewer triangles, not far from the many.
 *
 * Each vertex carries the sum of the squared distances to the planes of its
 * triangles as a quadratic form (Garland and Heckbert, "Surface simplification
 * using quadric error metrics", 1997). The edge whose two forms have the least
 * minimum goes first, and its ends meet at that minimum. The quadric is a good
 * order but no bound (it was off by a factor of two in trials), so distances are
 * kept apart from it: each vertex of the original hangs on a triangle within the
 * allowed distance, and an edge goes only if all that hangs on the triangles
 * about it finds one of the new ones that near. What is between the vertices is
 * measured at the end, and where facets cross it is done again with the vertices
 * near there left as they are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collapse.h"
#include "nearest.h"
#include "untangle.h"

enum { MEASURED_TRIES = 5, HOLD_ROUNDS = 4 };
static const double RIM_WEIGHT = 1e2, TURN_LEAST = 0.2; /* cosine; 78 degrees at one collapse */
static const double SAFETY = 0.85, SAMPLES = 50000, SAMPLES_PER_FACET = 16;

/* x'Ax + 2b'x + c; A by rows of its upper half. */
typedef struct quadric {
    double a[6], b[3], c;
} quadric;

typedef struct heap_edge {
    double cost;
    uint32_t ends[2], stamp; /* sum of the ends' versions when it was made */
} heap_edge;

typedef struct decimating {
    mesh_rings rings;
    const es_mesh *original;
    const nearest_tree *tree; /* of the original */
    double allowed;           /* mm */
    const bool *held;         /* per vertex: stays */
    quadric *quadrics;
    uint32_t *version; /* per vertex: how often it moved */
    uint32_t *hung;    /* per triangle: the first of the original's vertices on it */
    uint32_t *after;   /* per vertex of the original: the next on its triangle */
    heap_edge *heap;
    size_t heap_count, heap_capacity;
    size_t triangles;
    es_error *err;
} decimating;

/* ---- quadrics -------------------------------------------------------------------- */

static void add_plane(quadric *q, es_vec3 n, double d, double weight) {
    const double v[3] = {n.x, n.y, n.z};
    for (int i = 0, k = 0; i < 3; i++) {
        for (int j = i; j < 3; j++) q->a[k++] += weight * v[i] * v[j];
        q->b[i] += weight * v[i] * d;
    }
    q->c += weight * d * d;
}

static void add_quadric(quadric *q, const quadric *more) {
    for (int i = 0; i < 6; i++) q->a[i] += more->a[i];
    for (int i = 0; i < 3; i++) q->b[i] += more->b[i];
    q->c += more->c;
}

static double quadric_at(const quadric *q, es_vec3 p) {
    const double *a = q->a;
    return a[0] * p.x * p.x + a[3] * p.y * p.y + a[5] * p.z * p.z +
           2 * (a[1] * p.x * p.y + a[2] * p.x * p.z + a[4] * p.y * p.z + q->b[0] * p.x +
                q->b[1] * p.y + q->b[2] * p.z) +
           q->c;
}

/* The minimum; false where the form is too flat to have one. Cramer's rule. */
static bool quadric_minimum(const quadric *q, es_vec3 *p) {
    const double *a = q->a;
    es_vec3 r0 = es_vec3_make(a[0], a[1], a[2]), r1 = es_vec3_make(a[1], a[3], a[4]),
            r2 = es_vec3_make(a[2], a[4], a[5]);
    es_vec3 right = es_vec3_make(-q->b[0], -q->b[1], -q->b[2]);
    double det = es_vec3_dot(r0, es_vec3_cross(r1, r2)), trace = a[0] + a[3] + a[5];
    if (!(fabs(det) > 1e-4 * trace * trace * trace / 27)) return false;
    *p = es_vec3_scale(es_vec3_make(es_vec3_dot(right, es_vec3_cross(r1, r2)),
                                    es_vec3_dot(right, es_vec3_cross(r2, r0)),
                                    es_vec3_dot(right, es_vec3_cross(r0, r1))),
                       1 / det);
    return true;
}

static void add_rim(decimating *d, size_t half_edge) {
    const es_mesh *mesh = d->rings.mesh;
    uint32_t a = mesh->triangles[half_edge], b = mesh->triangles[surface_next(half_edge)];
    es_vec3 p = surface_vertex(mesh, a), along = es_vec3_sub(surface_vertex(mesh, b), p);
    es_vec3 n = es_vec3_unit(es_vec3_cross(along, surface_cross(mesh, half_edge / 3)));
    double weight = RIM_WEIGHT * es_vec3_dot(along, along);
    add_plane(&d->quadrics[a], n, -es_vec3_dot(n, p), weight);
    add_plane(&d->quadrics[b], n, -es_vec3_dot(n, p), weight);
}

static bool make_quadrics(decimating *d) {
    const es_mesh *mesh = d->rings.mesh;
    mesh_topology topology;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        es_vec3 cross = surface_cross(mesh, t), n = es_vec3_unit(cross);
        double away = -es_vec3_dot(n, surface_vertex(mesh, mesh->triangles[3 * t]));
        for (int k = 0; k < 3; k++)
            add_plane(&d->quadrics[mesh->triangles[3 * t + (size_t)k]], n, away,
                      es_vec3_length(cross) / 6);
    }
    if (!surface_topology_find(mesh, &topology, d->err)) return false;
    for (size_t h = 0; h < topology.half_edges; h++)
        if (topology.twin[h] == NO_TWIN) add_rim(d, h);
    surface_topology_clear(&topology);
    return true;
}

/* ---- the heap ---------------------------------------------------------------------- */

/* Equal costs in a fixed order, so that the result depends on the mesh alone. */
static bool goes_first(const heap_edge *p, const heap_edge *q) {
    if (p->cost != q->cost) return p->cost < q->cost;
    if (p->ends[0] != q->ends[0]) return p->ends[0] < q->ends[0];
    return p->ends[1] < q->ends[1];
}

static bool push(decimating *d, heap_edge edge) {
    if (d->heap_count == d->heap_capacity) {
        size_t wanted = 2 * d->heap_capacity + 1024;
        if (!es_resize(&d->heap, wanted, sizeof *d->heap, d->err)) return false;
        d->heap_capacity = wanted;
    }
    size_t at = d->heap_count++;
    for (; at > 0 && goes_first(&edge, &d->heap[(at - 1) / 2]); at = (at - 1) / 2)
        d->heap[at] = d->heap[(at - 1) / 2];
    d->heap[at] = edge;
    return true;
}

static heap_edge pop(decimating *d) {
    heap_edge top = d->heap[0], last = d->heap[--d->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < d->heap_count) {
        if (child + 1 < d->heap_count && goes_first(&d->heap[child + 1], &d->heap[child])) child++;
        if (!goes_first(&d->heap[child], &last)) break;
        d->heap[at] = d->heap[child];
        at = child;
    }
    d->heap[at] = last;
    return top;
}

static es_vec3 best_place(const decimating *d, uint32_t a, uint32_t b, double *cost) {
    quadric sum = d->quadrics[a];
    add_quadric(&sum, &d->quadrics[b]);
    es_vec3 p = surface_vertex(d->rings.mesh, a), q = surface_vertex(d->rings.mesh, b), best;
    es_vec3 along = es_vec3_sub(q, p);
    /* A minimum far away is one of a flat form. */
    if (!quadric_minimum(&sum, &best) ||
        es_vec3_length(es_vec3_sub(best, es_vec3_add(p, es_vec3_scale(along, 0.5)))) >
            1.5 * es_vec3_length(along)) {
        best = es_vec3_scale(es_vec3_add(p, q), 0.5);
        if (quadric_at(&sum, p) < quadric_at(&sum, best)) best = p;
        if (quadric_at(&sum, q) < quadric_at(&sum, best)) best = q;
    }
    *cost = fmax(0, quadric_at(&sum, best));
    return best;
}

static bool push_edge(decimating *d, uint32_t a, uint32_t b) {
    heap_edge edge = {.ends = {a < b ? a : b, a < b ? b : a},
                      .stamp = d->version[a] + d->version[b]};
    best_place(d, edge.ends[0], edge.ends[1], &edge.cost);
    return push(d, edge);
}

/* ---- one edge ------------------------------------------------------------------------ */

static bool is_going(const decimating *d, uint32_t corner, uint32_t other) {
    return surface_next_vertex(&d->rings, corner) == other ||
           surface_previous_vertex(&d->rings, corner) == other;
}

static bool turns_little(const decimating *d, const mesh_star *s, uint32_t other, es_vec3 at) {
    for (int i = 0; i < s->count; i++) {
        uint32_t h = s->corner[i];
        if (is_going(d, h, other)) continue;
        es_vec3 now = surface_cross_at(&d->rings, h, at);
        es_vec3 was = surface_cross(d->rings.mesh, h / 3);
        double size = es_vec3_length(now) * es_vec3_length(was);
        if (!(es_vec3_dot(now, was) > TURN_LEAST * size)) return false;
    }
    return true;
}

/* The triangles that stay, their corner of the edge at the new place. */
typedef struct new_triangles {
    es_vec3 corner[2 * STAR_MOST][3];
    uint32_t triangle[2 * STAR_MOST];
    int count;
} new_triangles;

static void list_new(const decimating *d, const mesh_star *s, uint32_t other, es_vec3 at,
                     new_triangles *n) {
    for (int i = 0; i < s->count; i++) {
        uint32_t h = s->corner[i];
        if (is_going(d, h, other)) continue;
        n->corner[n->count][0] = at;
        n->corner[n->count][1] = surface_vertex(d->rings.mesh, surface_next_vertex(&d->rings, h));
        n->corner[n->count][2] =
            surface_vertex(d->rings.mesh, surface_previous_vertex(&d->rings, h));
        n->triangle[n->count++] = h / 3;
    }
}

/* The first of the new triangles near enough; -1 for none. */
static int find_near(const decimating *d, const new_triangles *n, uint32_t point) {
    es_vec3 p = surface_vertex(d->original, point);
    double limit = d->allowed * d->allowed;
    for (int i = 0; i < n->count; i++)
        if (surface_triangle_squared(n->corner[i], p, limit) <= limit) return i;
    return -1;
}

/* What hangs on the star's triangles, as one list. */
static uint32_t take_hung(decimating *d, const mesh_star *s, uint32_t list) {
    for (int i = 0; i < s->count; i++) {
        uint32_t triangle = s->corner[i] / 3;
        while (d->hung[triangle] != NO_CORNER) {
            uint32_t point = d->hung[triangle];
            d->hung[triangle] = d->after[point];
            d->after[point] = list;
            list = point;
        }
    }
    return list;
}

static bool all_near(const decimating *d, const mesh_star *s, const new_triangles *n) {
    for (int i = 0; i < s->count; i++)
        for (uint32_t p = d->hung[s->corner[i] / 3]; p != NO_CORNER; p = d->after[p])
            if (find_near(d, n, p) < 0) return false;
    return true;
}

/* The other way: middles of the new triangles and of their sides at the new place
 * are near the original, which a triangle folded over another is not. */
static bool lies_near(const decimating *d, const new_triangles *n) {
    for (int i = 0; i < n->count; i++) {
        const es_vec3 *k = n->corner[i];
        es_vec3 side = es_vec3_scale(es_vec3_add(k[0], k[1]), 0.5);
        es_vec3 middle = es_vec3_scale(es_vec3_add(es_vec3_add(k[0], k[1]), k[2]), 1.0 / 3);
        if (surface_nearest_distance(d->tree, side) > d->allowed ||
            surface_nearest_distance(d->tree, middle) > d->allowed)
            return false;
    }
    return true;
}

static void hang(decimating *d, uint32_t list, const new_triangles *n) {
    while (list != NO_CORNER) {
        uint32_t next = d->after[list], triangle = n->triangle[find_near(d, n, list)];
        d->after[list] = d->hung[triangle];
        d->hung[triangle] = list;
        list = next;
    }
}

static void move_vertex(decimating *d, const mesh_star *a, const mesh_star *b, es_vec3 at) {
    es_mesh *mesh = d->rings.mesh;
    float *place = mesh->vertices + 3 * (size_t)a->vertex;
    place[0] = (float)at.x;
    place[1] = (float)at.y;
    place[2] = (float)at.z;
    float *confidence = mesh->confidence;
    if (confidence) confidence[a->vertex] = (confidence[a->vertex] + confidence[b->vertex]) / 2;
    add_quadric(&d->quadrics[a->vertex], &d->quadrics[b->vertex]);
    d->version[a->vertex]++;
    d->version[b->vertex]++;
}

static bool push_star(decimating *d, uint32_t vertex) {
    mesh_star s;
    if (!surface_star(&d->rings, vertex, &s)) return true;
    for (int i = 0; i < s.count; i++)
        if (!push_edge(d, vertex, surface_next_vertex(&d->rings, s.corner[i])) ||
            (d->rings.rim[vertex] &&
             !push_edge(d, vertex, surface_previous_vertex(&d->rings, s.corner[i]))))
            return false;
    return true;
}

/* False only out of memory. */
static bool collapse(decimating *d, const heap_edge *edge) {
    mesh_rings *r = &d->rings;
    mesh_star a, b;
    new_triangles n = {.count = 0};
    double cost;
    if (d->held[edge->ends[0]] || d->held[edge->ends[1]]) return true;
    if (!surface_star(r, edge->ends[0], &a) || !surface_star(r, edge->ends[1], &b) ||
        a.count + b.count > STAR_MOST || !surface_stays_manifold(r, &a, &b))
        return true;
    if (r->rim[a.vertex] != r->rim[b.vertex]) return true; /* a rim is not drawn inwards */
    es_vec3 at = best_place(d, a.vertex, b.vertex, &cost);
    at = es_vec3_make((float)at.x, (float)at.y, (float)at.z);
    if (!turns_little(d, &a, b.vertex, at) || !turns_little(d, &b, a.vertex, at)) return true;
    list_new(d, &a, b.vertex, at, &n);
    list_new(d, &b, a.vertex, at, &n);
    bool bounded = !isinf(d->allowed);
    if (bounded && (!all_near(d, &a, &n) || !all_near(d, &b, &n) ||
                    surface_nearest_distance(d->tree, at) > d->allowed || !lies_near(d, &n)))
        return true;
    uint32_t list = bounded ? take_hung(d, &b, take_hung(d, &a, NO_CORNER)) : NO_CORNER;
    d->triangles -= (size_t)(a.count + b.count - n.count) / 2;
    move_vertex(d, &a, &b, at);
    surface_join_stars(r, &a, &b);
    hang(d, list, &n);
    return push_star(d, a.vertex);
}

/* ---- all edges --------------------------------------------------------------------------- */

static bool open_work(decimating *d, es_mesh *mesh) {
    size_t vertices = mesh->vertex_count, triangles = mesh->triangle_count;
    d->triangles = triangles;
    if (!surface_rings_open(&d->rings, mesh, d->err) ||
        !(d->quadrics = es_alloc_zero(vertices, sizeof *d->quadrics, d->err)) ||
        !(d->version = es_alloc_zero(vertices, sizeof *d->version, d->err)) ||
        !(d->hung = es_alloc(triangles, sizeof *d->hung, d->err)) ||
        !(d->after = es_alloc(vertices, sizeof *d->after, d->err)) || !make_quadrics(d))
        return false;
    surface_rings_make(&d->rings);
    memset(d->hung, 0xff, triangles * sizeof *d->hung); /* NO_CORNER */
    for (uint32_t v = 0; v < vertices; v++) {
        if (d->rings.first[v] == NO_CORNER) continue;
        uint32_t triangle = d->rings.first[v] / 3;
        d->after[v] = d->hung[triangle];
        d->hung[triangle] = v;
    }
    for (uint32_t h = 0; h < 3 * triangles; h++) {
        uint32_t a = mesh->triangles[h], b = mesh->triangles[surface_next(h)];
        bool rim = d->rings.rim[a] && d->rings.rim[b]; /* used once, perhaps */
        if ((a < b || rim) && !push_edge(d, a, b)) return false;
    }
    return true;
}

static void close_work(decimating *d) {
    surface_rings_clear(&d->rings);
    es_free(d->quadrics);
    es_free(d->version);
    es_free(d->hung);
    es_free(d->after);
    es_free(d->heap);
}

static bool is_fresh(const decimating *d, const heap_edge *edge) {
    return d->rings.first[edge->ends[0]] != NO_CORNER &&
           d->rings.first[edge->ends[1]] != NO_CORNER &&
           d->version[edge->ends[0]] + d->version[edge->ends[1]] == edge->stamp;
}

/* `mesh` is a copy of the original with one fan per vertex. */
static bool decimate_once(es_mesh *mesh, const es_mesh *original, const nearest_tree *tree,
                          size_t target, double allowed, const bool *held, es_error *err) {
    decimating d = {
        .original = original, .tree = tree, .allowed = allowed, .held = held, .err = err};
    bool ok = open_work(&d, mesh);
    for (size_t done = 0; ok && d.heap_count > 0 && d.triangles > target; done++) {
        heap_edge edge = pop(&d);
        if (is_fresh(&d, &edge)) ok = collapse(&d, &edge);
        if (done % 4096 == 0) ok = ok && !es_cancelled(err);
    }
    ok = ok && surface_keep_triangles(mesh, d.rings.keep, err);
    close_work(&d);
    return ok;
}

/* Long sides cut across bends, inwards more often than not; an offset by a few
 * micrometres gives a closed mesh the volume that it had. */
static bool restore_volume(es_mesh *mesh, const es_mesh *original, double most, es_error *err) {
    es_mesh_check now, before;
    if (!es_mesh_inspect(mesh, &now, err) || !es_mesh_inspect(original, &before, err)) return false;
    if (!before.closed || !now.closed || !(now.area_mm2 > 0)) return true;
    float *normals = es_alloc(mesh->vertex_count, 3 * sizeof *normals, err);
    if (!normals) return false;
    double by = (before.volume_mm3 - now.volume_mm3) / now.area_mm2;
    es_mesh_normals(mesh, normals);
    for (size_t i = 0; i < 3 * mesh->vertex_count && fabs(by) < most; i++)
        mesh->vertices[i] = (float)(mesh->vertices[i] + by * normals[i]);
    es_free(normals);
    return true;
}

static bool measure(const es_mesh *mesh, const es_mesh *original, es_pool *pool,
                    es_decimate_report *report, es_error *err) {
    es_mesh_check check;
    if (!es_mesh_inspect(original, &check, err)) return false;
    double samples = fmin(SAMPLES, SAMPLES_PER_FACET * (double)original->triangle_count);
    double each = check.area_mm2 / samples;
    return es_mesh_compare(mesh, original, each, pool, &report->to_original, err) &&
           es_mesh_compare(original, mesh, each, pool, &report->from_original, err);
}

/* The mean side of crossed facets: how far about them vertices are held. */
static double crossed_side(const crossed_facets *c) {
    double area = 0;
    for (size_t t = 0; t < c->mesh->triangle_count; t++)
        if (c->crossed[t]) area += es_vec3_length(surface_cross(c->mesh, t)) / 2;
    return sqrt(area / (double)c->count);
}

/* decimate_once until nothing crosses, or holding on does not help. The held vertices
 * stay so for the next try with another allowance. */
static bool decimate_untangled(es_mesh *fewer, const es_mesh *whole, const nearest_tree *tree,
                               size_t target, double allowed, bool *held, es_pool *pool,
                               es_error *err) {
    bool ok = true, again = true;
    size_t before = SIZE_MAX;
    for (int round = 0; ok && again && round < HOLD_ROUNDS; round++) {
        crossed_facets c = {0};
        es_mesh_clear(fewer);
        ok = es_mesh_copy(whole, fewer, err) &&
             decimate_once(fewer, whole, tree, target, allowed, held, err) &&
             restore_volume(fewer, whole, 0.5 * allowed, err) &&
             surface_crossed_new(&c, fewer, pool, err);
        again = ok && c.pairs > 0 && c.pairs < before;
        before = c.pairs;
        if (again) ok = surface_hold_near(&c, (1 + round) * crossed_side(&c), whole, held, err);
        surface_crossed_clear(&c);
    }
    return ok;
}

bool es_mesh_decimate(es_mesh *mesh, const es_decimate_options *o, es_pool *pool,
                      es_decimate_report *report, es_error *err) {
    es_decimate_report own;
    es_mesh whole = {0}, fewer = {0};
    if (!report) report = &own;
    *report = (es_decimate_report){.triangles_before = mesh->triangle_count};
    if (!(o->max_distance_mm > 0) || (isinf(o->max_distance_mm) && o->triangles == 0))
        return es_fail(err, ES_USAGE,
                       "fewer triangles within %g mm and down to %zu: give a distance above 0, or "
                       "a number of triangles",
                       o->max_distance_mm, o->triangles);
    bool ok = surface_split_fans(mesh, &whole, err), near = false;
    nearest_tree *tree = ok ? surface_nearest_new(&whole, false, err) : NULL;
    bool *held = tree ? es_alloc_zero(whole.vertex_count, sizeof *held, err) : NULL;
    ok = held != NULL;
    double allowed = SAFETY * o->max_distance_mm, last = 0;
    for (int i = 0; ok && !near && i < MEASURED_TRIES; i++) {
        ok = decimate_untangled(&fewer, &whole, tree, o->triangles, allowed, held, pool, err) &&
             measure(&fewer, &whole, pool, report, err);
        last = fmax(report->to_original.max_mm, report->from_original.max_mm);
        near = ok && last <= o->max_distance_mm;
        allowed *= 0.75 * fmin(1, o->max_distance_mm / last);
    }
    if (ok && !near)
        ok = es_fail(err, ES_GEOMETRY,
                     "the surface could not be kept within %g mm (%g mm at the last try); allow a "
                     "larger distance",
                     o->max_distance_mm, last);
    es_free(held);
    surface_nearest_free(tree);
    es_mesh_clear(&whole);
    if (ok) {
        es_mesh_clear(mesh);
        *mesh = fewer;
    } else {
        es_mesh_clear(&fewer);
    }
    return ok;
}
