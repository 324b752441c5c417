/* The dual of a coarse grid: a mesh of quadrilaterals about a surface.
 *
 * Signed distances are taken at the corners of cubic cells. Each grid edge with
 * its ends on both sides of the surface gives a quad, whose corners lie in the
 * four cells about the edge. A cell may hold several sheets of the surface;
 * each gets a vertex of its own (Nielson, "Dual marching cubes", 2004): the
 * crossed edges of the cell are joined across its faces, and where all four
 * edges of a face are crossed, the bilinear saddle says which ones belong
 * together (Nielson and Hamann 1991), which is the same seen from both cells.
 * One case is left where the mesh is not two-manifold; it is counted, and the
 * caller tries another grid. */
#include "quads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t NODES_MAX = (size_t)1 << 23;

typedef struct dual_grid {
    const nearest_tree *tree;
    const quad_grid *how;
    double cell, reach; /* reach: no cell is wider than this, mm */
    es_vec3 origin;
    size_t size[3], stride[3], count; /* of nodes */
    float *distance;                  /* per node */
    uint32_t *active;                 /* per node: cell that starts there as number + 1, or 0 */
    uint32_t (*edge_vertex)[12];      /* per active cell: vertex of its edges, UINT32_MAX: none */
    size_t active_count;
} dual_grid;

/* ---- distances --------------------------------------------------------------------- */

/* r -> r (1 - (1 - scale) (1 - r^2)^2): slope `scale` in the middle, 1 at the
 * border, and never above 1 + 0.8 (1 - scale), at r^2 = 0.6. */
static es_vec3 through_lens(const quad_lens *lens, es_vec3 p) {
    es_vec3 way = es_vec3_sub(p, lens->centre);
    double r2 = es_vec3_dot(way, way) / (lens->radius * lens->radius);
    if (r2 >= 1) return p;
    return es_vec3_add(lens->centre,
                       es_vec3_scale(way, 1 - (1 - lens->scale) * (1 - r2) * (1 - r2)));
}

/* The widest that cells become between lenses that may overlap. */
static double find_reach(const quad_grid *how) {
    double reach = how->cell_mm;
    for (size_t i = 0; i < how->lens_count; i++) reach *= 1 + 0.8 * (1 - how->lenses[i].scale);
    return reach;
}

static es_vec3 node_place(const dual_grid *g, size_t x, size_t y, size_t z) {
    es_vec3 p = es_vec3_add(g->origin,
                            es_vec3_scale(es_vec3_make((double)x, (double)y, (double)z), g->cell));
    for (size_t i = 0; i < g->how->lens_count; i++) p = through_lens(&g->how->lenses[i], p);
    return p;
}

/* Corners of a cell that the surface meets lie nearer than its diagonal: only
 * those are measured. Farther ones have the side of the node before, which lies
 * in the same empty ball; rows begin outside. */
static void fill_row(dual_grid *g, size_t y, size_t z, uint32_t *near) {
    float *row = g->distance + y * g->stride[1] + z * g->stride[2];
    double far = 1.75 * g->reach, side = 1;
    for (size_t x = 0; x < g->size[0]; x++) {
        double d = surface_nearest_within(g->tree, node_place(g, x, y, z), far, near);
        if (isinf(d)) d = copysign(far, side);
        row[x] = (float)(d == 0 ? 1e-9 * g->cell : d);
        side = row[x];
    }
}

static bool open_grid(dual_grid *g, es_box3 box, es_error *err) {
    es_vec3 size = es_vec3_sub(box.max, box.min);
    const double sides[3] = {size.x, size.y, size.z};
    double nodes = 1;
    for (int a = 0; a < 3; a++) {
        double along = ceil(sides[a] / g->cell) + 6;
        nodes *= along;
        g->size[a] = (size_t)fmin(along, 1e9);
        g->stride[a] = a == 0 ? 1 : g->stride[a - 1] * (size_t)fmin((double)g->size[a - 1], 1e6);
    }
    if (!(nodes <= (double)NODES_MAX))
        return es_fail(err, ES_MEMORY, "cells of %g mm over %g x %g x %g mm are too many", g->cell,
                       size.x, size.y, size.z);
    g->count = (size_t)nodes;
    es_vec3 shift = g->how->shift, start = es_vec3_make(2 + shift.x, 2 + shift.y, 2 + shift.z);
    g->origin = es_vec3_sub(box.min, es_vec3_scale(start, g->cell));
    g->distance = es_alloc(g->count, sizeof *g->distance, err);
    g->active = g->distance ? es_alloc_zero(g->count, sizeof *g->active, err) : NULL;
    return g->active != NULL;
}

/* Beyond the rim of an open mesh distances have the sign of its last triangles;
 * far away that means nothing. */
static bool is_crossed(const dual_grid *g, size_t node, int axis) {
    float a = g->distance[node], b = g->distance[node + g->stride[axis]];
    if ((a < 0) == (b < 0)) return false;
    return g->how->closed || (fabs(a) <= 1.3 * g->reach && fabs(b) <= 1.3 * g->reach);
}

/* ---- cells --------------------------------------------------------------------------- */

/* Edge e of a cell: axis e / 4, and which of the four along it, bit 0 on the
 * next axis and bit 1 on the one after. */
static size_t edge_node(const dual_grid *g, size_t cell, int e) {
    int axis = e / 4, b = (axis + 1) % 3, c = (axis + 2) % 3;
    return cell + (size_t)(e & 1) * g->stride[b] + (size_t)(e >> 1 & 1) * g->stride[c];
}

/* The face with normal `axis` on one side: its four corners in a circle, and
 * edge i from corner i to the next. */
static void face_circle(const dual_grid *g, size_t cell, int axis, int side, size_t corner[4],
                        int edge[4]) {
    int b = (axis + 1) % 3, c = (axis + 2) % 3;
    size_t base = cell + (size_t)side * g->stride[axis];
    corner[0] = base;
    corner[1] = base + g->stride[b];
    corner[2] = base + g->stride[b] + g->stride[c];
    corner[3] = base + g->stride[c];
    /* Along b: the other two axes are c, then axis. Along c: axis, then b. */
    edge[0] = 4 * b + 2 * side;
    edge[1] = 4 * c + side + 2;
    edge[2] = 4 * b + 2 * side + 1;
    edge[3] = 4 * c + side;
}

static void join_edges(int group[12], int a, int b) {
    int from = group[a] > group[b] ? group[a] : group[b], to = group[a] + group[b] - from;
    if (group[a] < 0 || group[b] < 0) return;
    for (int e = 0; e < 12; e++)
        if (group[e] == from) group[e] = to;
}

static void join_face(const dual_grid *g, size_t cell, int axis, int side, int group[12]) {
    size_t corner[4];
    int edge[4], changes = 0, last = -1;
    face_circle(g, cell, axis, side, corner, edge);
    double f[4];
    for (int i = 0; i < 4; i++) f[i] = g->distance[corner[i]];
    for (int i = 0; i < 4; i++) changes += (f[i] < 0) != (f[(i + 1) % 4] < 0);
    if (changes == 4) {
        int inside = f[0] < 0 ? 0 : 1;
        bool joined = f[inside] * f[inside + 2] > f[1 - inside] * f[(3 - inside) % 4];
        for (int i = joined ? 1 - inside : inside; i < 4; i += 2)
            join_edges(group, edge[(i + 3) % 4], edge[i]);
        return;
    }
    for (int i = 0; i < 4; i++) {
        if ((f[i] < 0) == (f[(i + 1) % 4] < 0)) continue;
        if (last >= 0) join_edges(group, edge[last], edge[i]);
        last = i;
    }
}

/* Which of the cell's crossed edges belong to one sheet; -1: not crossed. */
static bool group_edges(const dual_grid *g, size_t cell, int group[12]) {
    bool any = false;
    for (int e = 0; e < 12; e++) {
        group[e] = is_crossed(g, edge_node(g, cell, e), e / 4) ? e : -1;
        any |= group[e] >= 0;
    }
    for (int face = 0; any && face < 6; face++) join_face(g, cell, face / 2, face % 2, group);
    return any;
}

static es_vec3 place_of(const dual_grid *g, size_t node) {
    return node_place(g, node % g->size[0], node / g->stride[1] % g->size[1], node / g->stride[2]);
}

static es_vec3 crossing_place(const dual_grid *g, size_t node, int axis) {
    size_t end = node + g->stride[axis];
    double a = g->distance[node], b = g->distance[end], t = a / (a - b);
    es_vec3 p = place_of(g, node), way = es_vec3_sub(place_of(g, end), p);
    return es_vec3_add(p, es_vec3_scale(way, t));
}

static void add_vertices(const dual_grid *g, size_t cell, const int group[12],
                         uint32_t edge_vertex[12], quad_mesh *quads) {
    memset(edge_vertex, 0xff, 12 * sizeof *edge_vertex);
    for (int root = 0; root < 12; root++) {
        if (group[root] != root) continue;
        es_vec3 sum = {0, 0, 0};
        int count = 0;
        for (int e = root; e < 12; e++) {
            if (group[e] != root) continue;
            sum = es_vec3_add(sum, crossing_place(g, edge_node(g, cell, e), e / 4));
            edge_vertex[e] = (uint32_t)quads->vertex_count;
            count++;
        }
        double *at = quads->vertices + 3 * quads->vertex_count++;
        at[0] = sum.x / count;
        at[1] = sum.y / count;
        at[2] = sum.z / count;
    }
}

/* At least `margin` nodes before it and one behind it along each axis. */
static bool is_inner(const dual_grid *g, size_t node, size_t margin) {
    const size_t at[3] = {node % g->size[0], node / g->stride[1] % g->size[1], node / g->stride[2]};
    for (int a = 0; a < 3; a++)
        if (at[a] < margin || at[a] + 1 >= g->size[a]) return false;
    return true;
}

static bool make_vertices(dual_grid *g, quad_mesh *quads, es_error *err) {
    int group[12];
    for (size_t n = 0; n < g->count; n++)
        if (is_inner(g, n, 0) && group_edges(g, n, group))
            g->active[n] = (uint32_t)++g->active_count;
    size_t most = 4 * g->active_count; /* a cell has four sheets at most */
    g->edge_vertex = es_alloc(g->active_count, sizeof *g->edge_vertex, err);
    quads->vertices = g->edge_vertex ? es_alloc(most, 3 * sizeof(double), err) : NULL;
    if (!quads->vertices) return false;
    for (size_t n = 0; n < g->count; n++) {
        if (!g->active[n]) continue;
        group_edges(g, n, group);
        add_vertices(g, n, group, g->edge_vertex[g->active[n] - 1], quads);
    }
    return true;
}

/* ---- quads ------------------------------------------------------------------------------ */

/* The quad of a crossed edge: the four cells about it, in a circle seen from
 * its far end, or the other way round when that is inside. */
static void add_quad(const dual_grid *g, size_t node, int axis, quad_mesh *quads) {
    static const int ROUND[4] = {3, 2, 0, 1}; /* which edge of each cell it is: bits b, c */
    size_t b = g->stride[(axis + 1) % 3], c = g->stride[(axis + 2) % 3];
    const size_t cells[4] = {node - b - c, node - c, node, node - b};
    bool outwards = g->distance[node] < 0;
    uint32_t *quad = quads->quads + 4 * quads->quad_count++;
    for (int i = 0; i < 4; i++) {
        uint32_t cell = g->active[cells[i]] - 1;
        quad[outwards ? i : 3 - i] = g->edge_vertex[cell][4 * axis + ROUND[i]];
    }
}

static bool make_quads(const dual_grid *g, quad_mesh *quads, es_error *err) {
    quads->quads = es_alloc(12 * g->active_count, 4 * sizeof *quads->quads, err);
    if (!quads->quads) return false;
    for (size_t n = 0; n < g->count; n++)
        for (int axis = 0; axis < 3; axis++)
            if (is_inner(g, n, 1) && is_crossed(g, n, axis)) add_quad(g, n, axis, quads);
    return true;
}

typedef struct quad_side {
    uint32_t low, high, half_edge;
} quad_side;

static int by_ends(const void *a, const void *b) {
    const quad_side *p = a, *q = b;
    if (p->low != q->low) return p->low < q->low ? -1 : 1;
    if (p->high != q->high) return p->high < q->high ? -1 : 1;
    return (p->half_edge > q->half_edge) - (p->half_edge < q->half_edge);
}

static bool pair_sides(quad_mesh *quads, es_error *err) {
    size_t count = 4 * quads->quad_count;
    quad_side *sides = es_alloc(count, sizeof *sides, err);
    quads->twin = sides ? es_alloc(count, sizeof *quads->twin, err) : NULL;
    if (!quads->twin) {
        es_free(sides);
        return false;
    }
    memset(quads->twin, 0xff, count * sizeof *quads->twin); /* NO_TWIN */
    for (uint32_t h = 0; h < count; h++) {
        uint32_t a = quads->quads[h], b = quads->quads[quad_next(h)];
        sides[h] = (quad_side){a < b ? a : b, a < b ? b : a, h};
    }
    qsort(sides, count, sizeof *sides, by_ends);
    for (size_t i = 0, j; i < count; i = j) {
        for (j = i + 1;
             j < count && sides[j].low == sides[i].low && sides[j].high == sides[i].high;)
            j++;
        uint32_t a = sides[i].half_edge, b = j - i == 2 ? sides[i + 1].half_edge : a;
        if (j - i > 2 || (j - i == 2 && quads->quads[a] == quads->quads[b])) quads->bad++;
        if (j - i != 2) continue;
        quads->twin[a] = b;
        quads->twin[b] = a;
    }
    es_free(sides);
    return true;
}

/* Walks about each vertex; what a walk does not meet is another fan. */
static bool find_valences(quad_mesh *quads, es_error *err) {
    size_t count = 4 * quads->quad_count, walked = 0;
    quads->valence = es_alloc_zero(quads->vertex_count, sizeof *quads->valence, err);
    uint32_t *first = es_alloc(quads->vertex_count, sizeof *first, err);
    if (quads->valence && first) {
        memset(first, 0xff, quads->vertex_count * sizeof *first);
        for (uint32_t h = 0; h < count; h++)
            if (first[quads->quads[h]] == UINT32_MAX) first[quads->quads[h]] = h;
        for (size_t v = 0; v < quads->vertex_count; v++) {
            uint32_t h = first[v], steps = 0;
            while (h != UINT32_MAX && steps < count) {
                steps++;
                h = quads->twin[quad_previous(h)];
                if (h == first[v]) break;
            }
            if (h != UINT32_MAX) quads->valence[v] = steps;
            walked += h != UINT32_MAX ? steps : 0;
        }
        for (uint32_t h = 0; h < count; h++) walked += quads->valence[quads->quads[h]] == 0;
        quads->bad += walked != count;
    }
    es_free(first);
    return quads->valence && first;
}

bool surface_quads_copy(const quad_mesh *from, quad_mesh *to, es_error *err) {
    *to = (quad_mesh){.vertex_count = from->vertex_count,
                      .quad_count = from->quad_count,
                      .cell_mm = from->cell_mm};
    to->vertices = es_alloc(from->vertex_count, 3 * sizeof(double), err);
    to->quads = to->vertices ? es_alloc(from->quad_count, 4 * sizeof *to->quads, err) : NULL;
    if (!to->quads) {
        surface_quads_clear(to);
        return false;
    }
    memcpy(to->vertices, from->vertices, 3 * from->vertex_count * sizeof(double));
    memcpy(to->quads, from->quads, 4 * from->quad_count * sizeof *to->quads);
    return true;
}

bool surface_quads_join(quad_mesh *quads, es_error *err) {
    es_free(quads->twin);
    es_free(quads->valence);
    quads->twin = quads->valence = NULL;
    quads->bad = 0;
    return pair_sides(quads, err) && find_valences(quads, err);
}

bool surface_quads_keep(quad_mesh *quads, const bool *keep, es_error *err) {
    size_t kept = 0, vertices = 0;
    uint32_t *number = es_alloc_zero(quads->vertex_count, sizeof *number, err);
    if (!number) return false;
    for (size_t q = 0; q < quads->quad_count; q++)
        if (keep[q])
            memmove(quads->quads + 4 * kept++, quads->quads + 4 * q, 4 * sizeof *quads->quads);
    for (size_t i = 0; i < 4 * kept; i++) number[quads->quads[i]] = 1;
    for (size_t v = 0; v < quads->vertex_count; v++) {
        if (!number[v]) continue;
        memmove(quads->vertices + 3 * vertices, quads->vertices + 3 * v, 3 * sizeof(double));
        number[v] = (uint32_t)vertices++;
    }
    for (size_t i = 0; i < 4 * kept; i++) quads->quads[i] = number[quads->quads[i]];
    quads->quad_count = kept;
    quads->vertex_count = vertices;
    es_free(number);
    return surface_quads_join(quads, err);
}

bool surface_quads_find(const nearest_tree *tree, es_box3 box, const quad_grid *grid,
                        quad_mesh *quads, es_error *err) {
    dual_grid g = {.tree = tree, .how = grid, .cell = grid->cell_mm, .reach = find_reach(grid)};
    *quads = (quad_mesh){.cell_mm = grid->cell_mm};
    bool ok = open_grid(&g, box, err);
    uint32_t near = 0;
    for (size_t z = 0; ok && z < g.size[2]; z++)
        for (size_t y = 0; y < g.size[1]; y++) fill_row(&g, y, z, &near);
    ok = ok && make_vertices(&g, quads, err) && make_quads(&g, quads, err) &&
         pair_sides(quads, err) && find_valences(quads, err) && !es_cancelled(err);
    if (!ok) surface_quads_clear(quads);
    es_free(g.distance);
    es_free(g.active);
    es_free(g.edge_vertex);
    return ok;
}

void surface_quads_clear(quad_mesh *quads) {
    es_free(quads->vertices);
    es_free(quads->quads);
    es_free(quads->twin);
    es_free(quads->valence);
    *quads = (quad_mesh){0};
}

/* ---- masks ---------------------------------------------------------------------------------- */

bool surface_quad_is_whole(const quad_mesh *quads, uint32_t quad) {
    for (uint32_t k = 0; k < 4 && !quads->rimmed; k++)
        if (quads->valence[quads->quads[4 * quad + k]] == 0) return false;
    return true;
}

/* A vertex of the rim counts as one of four quads, two of which are the reflections
 * of the others. */
static uint32_t valence_of(const quad_mesh *q, uint32_t v) {
    return q->rimmed && q->valence[v] == 0 ? 4 : q->valence[v];
}

static void add_term(quad_masks *m, uint32_t *at, uint32_t vertex, double weight) {
    m->vertex[*at] = vertex;
    m->weight[(*at)++] = weight;
}

/* The corner: where Catmull and Clark's surface has the vertex in the limit. */
static void add_corner(const quad_mesh *q, uint32_t first, quad_masks *m, uint32_t *at) {
    uint32_t v = q->quads[first];
    double n = q->valence[v], all = n * (n + 5);
    add_term(m, at, v, n * n / all);
    for (uint32_t i = 0, h = first; i < q->valence[v]; i++, h = q->twin[quad_previous(h)]) {
        add_term(m, at, q->quads[quad_next(h)], 4 / all);
        add_term(m, at, q->quads[quad_next(quad_next(h))], 1 / all);
    }
}

/* A third of the way from a vertex of the rim to the next. */
static void add_rim_point(uint32_t near, uint32_t far, quad_masks *m, uint32_t *at) {
    add_term(m, at, near, 2 / 3.0);
    add_term(m, at, far, 1 / 3.0);
}

/* The spline of the rim's vertices at one of them. first: the side that starts there. */
static void add_rim_corner(const quad_mesh *q, uint32_t first, quad_masks *m, uint32_t *at) {
    uint32_t before = quad_previous(first);
    while (q->twin[before] != NO_TWIN) before = quad_previous(q->twin[before]);
    add_term(m, at, q->quads[first], 4 / 6.0);
    add_term(m, at, q->quads[quad_next(first)], 1 / 6.0);
    add_term(m, at, q->quads[before], 1 / 6.0);
}

static void add_edge_point(const quad_mesh *q, uint32_t h, quad_masks *m, uint32_t *at) {
    uint32_t v = q->quads[h], twin = q->twin[h];
    double n = valence_of(q, v), all = 2 * n + 10;
    if (n == 0 || twin == NO_TWIN) {
        if (q->rimmed) add_rim_point(v, q->quads[quad_next(h)], m, at);
        return;
    }
    add_term(m, at, v, 2 * n / all);
    add_term(m, at, q->quads[quad_next(h)], 4 / all);
    add_term(m, at, q->quads[quad_previous(h)], 2 / all);
    add_term(m, at, q->quads[quad_next(quad_next(h))], 1 / all);
    add_term(m, at, q->quads[quad_next(quad_next(twin))], 2 / all);
    add_term(m, at, q->quads[quad_previous(twin)], 1 / all);
}

static void add_inner_point(const quad_mesh *q, uint32_t h, quad_masks *m, uint32_t *at) {
    uint32_t v = q->quads[h];
    double n = valence_of(q, v), all = n + 5;
    if (n == 0) return;
    add_term(m, at, v, n / all);
    add_term(m, at, q->quads[quad_next(h)], 2 / all);
    add_term(m, at, q->quads[quad_previous(h)], 2 / all);
    add_term(m, at, q->quads[quad_next(quad_next(h))], 1 / all);
}

static void fill_masks(const quad_mesh *q, const uint32_t *first, quad_masks *m) {
    uint32_t at = 0, row = 0;
    for (uint32_t v = 0; v < q->vertex_count; v++, m->start[++row] = at) {
        if (q->valence[v])
            add_corner(q, first[v], m, &at);
        else if (q->rimmed)
            add_rim_corner(q, first[v], m, &at);
    }
    for (uint32_t h = 0; h < 4 * q->quad_count; h++, m->start[++row] = at)
        add_edge_point(q, h, m, &at);
    for (uint32_t h = 0; h < 4 * q->quad_count; h++, m->start[++row] = at)
        add_inner_point(q, h, m, &at);
    for (uint32_t h = 0; h < 4 * q->quad_count; h++, m->start[++row] = at)
        if (q->rimmed && q->twin[h] == NO_TWIN)
            add_rim_point(q->quads[quad_next(h)], q->quads[h], m, &at);
}

bool surface_masks_find(const quad_mesh *quads, quad_masks *masks, es_error *err) {
    size_t half_edges = 4 * quads->quad_count;
    size_t terms = 3 * quads->vertex_count + (2 + 6 + 4 + 2) * half_edges;
    *masks = (quad_masks){.rows = quads->vertex_count + 3 * half_edges};
    uint32_t *first = es_alloc_zero(quads->vertex_count, sizeof *first, err);
    masks->start = first ? es_alloc_zero(masks->rows + 1, sizeof *masks->start, err) : NULL;
    masks->vertex = masks->start ? es_alloc(terms, sizeof *masks->vertex, err) : NULL;
    masks->weight = masks->vertex ? es_alloc(terms, sizeof *masks->weight, err) : NULL;
    bool ok = masks->weight != NULL;
    if (ok) {
        for (uint32_t h = 0; h < half_edges; h++) first[quads->quads[h]] = h;
        for (uint32_t h = 0; h < half_edges; h++)
            if (quads->twin[h] == NO_TWIN) first[quads->quads[h]] = h;
        fill_masks(quads, first, masks);
    } else {
        surface_masks_clear(masks);
    }
    es_free(first);
    return ok;
}

void surface_masks_clear(quad_masks *masks) {
    es_free(masks->start);
    es_free(masks->vertex);
    es_free(masks->weight);
    *masks = (quad_masks){0};
}

void surface_masks_apply(const quad_masks *masks, const double *vertices, double *points) {
    for (size_t row = 0; row < masks->rows; row++) {
        double sum[3] = {0, 0, 0};
        for (uint32_t i = masks->start[row]; i < masks->start[row + 1]; i++)
            for (int a = 0; a < 3; a++)
                sum[a] += masks->weight[i] * vertices[3 * (size_t)masks->vertex[i] + (size_t)a];
        memcpy(points + 3 * row, sum, sizeof sum);
    }
}

void surface_mask_rows(const quad_mesh *quads, uint32_t quad, uint32_t row[16]) {
    /* Where corner k and the two points of half-edge k and the inner one lie. */
    static const int CORNER[4] = {0, 12, 15, 3}, AFTER[4] = {4, 13, 11, 2},
                     BEFORE[4] = {8, 14, 7, 1}, INNER[4] = {5, 9, 10, 6};
    uint32_t edges = (uint32_t)quads->vertex_count;
    uint32_t inner = edges + 4 * (uint32_t)quads->quad_count;
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t h = 4 * quad + k, twin = quads->twin[h];
        row[CORNER[k]] = quads->quads[h];
        row[AFTER[k]] = edges + h;
        row[BEFORE[k]] = twin != NO_TWIN ? edges + twin
                         : quads->rimmed ? inner + 4 * (uint32_t)quads->quad_count + h
                                         : UINT32_MAX;
        row[INNER[k]] = inner + h;
    }
}
