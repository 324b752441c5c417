/* Quads up to the rim of an open mesh.
 *
 * The quads that lie well inside of the rim are kept; their outline is a stair.
 * Each vertex of it gets a partner on the rim, and each of its edges a quad between:
 * one more row, whose outer side follows the rim whatever the stair does (the
 * isomorphism of Schneiders, "A grid-based algorithm for the generation of hexahedral
 * element meshes", 1996). Rims much shorter than a cell are passed over: patches
 * close them. */
#include <math.h>
#include <string.h>

#include "quads.h"

enum { TRIMS = 8 };
/* In cells: how far inside the kept quads end, and the shortest rim that counts. */
static const double INSIDE = 0.3, SHORTEST = 4;
/* Partners are no nearer to each other than this part of their mean distance. */
static const double CLOSEST = 0.3;

struct rim_line {
    es_mesh_loops loops;
    const es_mesh *mesh;
    double *along; /* per place of loops.vertices: from the loop's start, mm */
    double shortest;
};

/* ---- the rim as lines --------------------------------------------------------------- */

static es_vec3 rim_vertex(const rim_line *rim, size_t place) {
    return surface_vertex(rim->mesh, rim->loops.vertices[place]);
}

static size_t rim_next(const es_mesh_loop *loop, size_t place) {
    return place + 1 == loop->first + loop->edges ? loop->first : place + 1;
}

rim_line *surface_rim_new(const es_mesh *mesh, double cell_mm, es_error *err) {
    rim_line *rim = es_alloc_zero(1, sizeof *rim, err);
    if (!rim) return NULL;
    rim->mesh = mesh;
    rim->shortest = SHORTEST * cell_mm;
    bool ok = es_mesh_find_loops(mesh, &rim->loops, err) &&
              (rim->along = es_alloc(rim->loops.vertex_count + 1, sizeof *rim->along, err)) != NULL;
    if (!ok) {
        surface_rim_free(rim);
        return NULL;
    }
    for (size_t l = 0; l < rim->loops.count; l++) {
        const es_mesh_loop *loop = &rim->loops.items[l];
        double sum = 0;
        for (size_t p = loop->first; p < loop->first + loop->edges; p++) {
            rim->along[p] = sum;
            sum +=
                es_vec3_length(es_vec3_sub(rim_vertex(rim, rim_next(loop, p)), rim_vertex(rim, p)));
        }
    }
    return rim;
}

size_t surface_rim_bridged(const rim_line *rim, double *longest_mm) {
    size_t count = 0;
    *longest_mm = 0;
    for (size_t l = 0; l < rim->loops.count; l++) {
        double length = rim->loops.items[l].length_mm;
        if (length >= rim->shortest) continue;
        count++;
        *longest_mm = fmax(*longest_mm, length);
    }
    return count;
}

void surface_rim_free(rim_line *rim) {
    if (!rim) return;
    es_mesh_loops_clear(&rim->loops);
    es_free(rim->along);
    es_free(rim);
}

rim_place surface_rim_nearest(const rim_line *rim, es_vec3 p, size_t only) {
    rim_place best = {.loop = SIZE_MAX, .distance = INFINITY};
    for (size_t l = 0; l < rim->loops.count; l++) {
        const es_mesh_loop *loop = &rim->loops.items[l];
        if (loop->length_mm < rim->shortest || (only != SIZE_MAX && l != only)) continue;
        for (size_t k = loop->first; k < loop->first + loop->edges; k++) {
            es_vec3 a = rim_vertex(rim, k),
                    side = es_vec3_sub(rim_vertex(rim, rim_next(loop, k)), a);
            double length = es_vec3_length(side);
            double t = length > 0 ? es_vec3_dot(es_vec3_sub(p, a), side) / (length * length) : 0;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            es_vec3 at = es_vec3_add(a, es_vec3_scale(side, t));
            double distance = es_vec3_length(es_vec3_sub(p, at));
            if (distance < best.distance)
                best = (rim_place){at, es_vec3_unit(side), distance, rim->along[k] + t * length, l};
        }
    }
    return best;
}

/* The point of a loop at a length from its start. */
static es_vec3 rim_point(const rim_line *rim, size_t l, double s) {
    const es_mesh_loop *loop = &rim->loops.items[l];
    s = fmod(s, loop->length_mm);
    if (s < 0) s += loop->length_mm;
    size_t low = loop->first, high = loop->first + loop->edges - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (rim->along[middle] <= s)
            low = middle;
        else
            high = middle - 1;
    }
    es_vec3 a = rim_vertex(rim, low), side = es_vec3_sub(rim_vertex(rim, rim_next(loop, low)), a);
    double length = es_vec3_length(side);
    return length > 0 ? es_vec3_add(a, es_vec3_scale(side, (s - rim->along[low]) / length)) : a;
}

/* ---- which quads stay ------------------------------------------------------------------ */

static es_vec3 quad_vertex(const quad_mesh *q, uint32_t v) {
    return es_vec3_make(q->vertices[3 * v], q->vertices[3 * v + 1], q->vertices[3 * v + 2]);
}

static bool find_inside(const nearest_tree *tree, const rim_line *rim, const quad_mesh *q,
                        double cell, bool *keep, es_error *err) {
    bool *inside = es_alloc(q->vertex_count, sizeof *inside, err);
    uint32_t near = 0;
    if (!inside) return false;
    for (uint32_t v = 0; v < q->vertex_count; v++) {
        es_vec3 at = quad_vertex(q, v);
        nearest_place place = surface_nearest_place(tree, at, &near);
        double off = surface_rim_nearest(rim, place.at, SIZE_MAX).distance;
        inside[v] = off > INSIDE * cell;
    }
    for (size_t i = 0; i < q->quad_count; i++) {
        const uint32_t *k = q->quads + 4 * i;
        keep[i] = inside[k[0]] && inside[k[1]] && inside[k[2]] && inside[k[3]];
    }
    es_free(inside);
    return true;
}

/* Quads at vertices where the outline touches itself. */
static size_t mark_pinches(const quad_mesh *q, uint8_t *exits, bool *keep) {
    size_t dropped = 0;
    memset(exits, 0, q->vertex_count);
    for (uint32_t h = 0; h < 4 * q->quad_count; h++)
        if (q->twin[h] == NO_TWIN && exits[q->quads[h]] < 2) exits[q->quads[h]]++;
    for (size_t i = 0; i < q->quad_count; i++) {
        keep[i] = true;
        for (int k = 0; k < 4; k++) keep[i] &= exits[q->quads[4 * i + (size_t)k]] < 2;
        dropped += !keep[i];
    }
    return dropped;
}

static bool trim(const nearest_tree *tree, const rim_line *rim, double cell, quad_mesh *q,
                 es_error *err) {
    bool *keep = es_alloc(q->quad_count, sizeof *keep, err);
    uint8_t *exits = keep ? es_alloc(q->vertex_count, 1, err) : NULL;
    bool ok =
        exits && find_inside(tree, rim, q, cell, keep, err) && surface_quads_keep(q, keep, err);
    for (int i = 0; ok && i < TRIMS && mark_pinches(q, exits, keep) > 0; i++)
        ok = surface_quads_keep(q, keep, err);
    es_free(keep);
    es_free(exits);
    return ok;
}

/* ---- partners ------------------------------------------------------------------------------- */

typedef struct stair {
    uint32_t *half_edges; /* of all loops, one after another */
    double *at;           /* per half-edge: its start's partner, mm along the rim */
    size_t *first;        /* per loop, and the end */
    size_t *rim;          /* per loop: of the rim's */
    size_t count;
} stair;

static void walk_stair(const quad_mesh *q, stair *s, bool *walked) {
    size_t count = 0;
    for (uint32_t start = 0; start < 4 * q->quad_count; start++) {
        if (q->twin[start] != NO_TWIN || walked[start]) continue;
        s->first[s->count++] = count;
        for (uint32_t h = start; !walked[h];) {
            walked[h] = true;
            s->half_edges[count++] = h;
            h = quad_next(h);
            while (q->twin[h] != NO_TWIN) h = quad_next(q->twin[h]);
        }
    }
    s->first[s->count] = count;
}

/* Steps along the rim from vertex to vertex: forwards, not too short, evened out. */
static void even_out(double *step, double *work, size_t n, double length) {
    for (int pass = 0; pass < 4; pass++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            work[i] = (step[(i + n - 1) % n] + 2 * step[i] + step[(i + 1) % n]) / 4;
            work[i] = fmax(pass ? work[i] : step[i], CLOSEST * length / (double)n);
            sum += work[i];
        }
        for (size_t i = 0; i < n; i++) step[i] = work[i] * length / sum;
    }
}

/* False when the outline does not run once round one rim. `work`: three per vertex. */
static bool find_partners(const quad_mesh *q, const rim_line *rim, stair *s, size_t loop,
                          double *work) {
    size_t first = s->first[loop], n = s->first[loop + 1] - first;
    double *raw = work, *step = work + n, *spare = step + n, round = 0, shift = 0;
    size_t l =
        surface_rim_nearest(rim, quad_vertex(q, q->quads[s->half_edges[first]]), SIZE_MAX).loop;
    if (l == SIZE_MAX || n < 4) return false;
    double length = rim->loops.items[l].length_mm;
    s->rim[loop] = l;
    for (size_t i = 0; i < n; i++) {
        es_vec3 at = quad_vertex(q, q->quads[s->half_edges[first + i]]);
        if (surface_rim_nearest(rim, at, SIZE_MAX).loop != l) return false;
        raw[i] = surface_rim_nearest(rim, at, l).along;
    }
    for (size_t i = 0; i < n; i++) {
        step[i] = remainder(raw[(i + 1) % n] - raw[i], length);
        round += step[i];
    }
    if (fabs(round - length) > 1e-6 * length) return false;
    even_out(step, spare, n, length);
    s->at[first] = 0;
    for (size_t i = 1; i < n; i++) s->at[first + i] = s->at[first + i - 1] + step[i - 1];
    for (size_t i = 0; i < n; i++)
        shift += remainder(raw[i] - raw[0] - s->at[first + i], length) / (double)n;
    for (size_t i = 0; i < n; i++) s->at[first + i] += raw[0] + shift;
    return true;
}

static bool find_all_partners(const quad_mesh *q, const rim_line *rim, stair *s, double *work) {
    size_t wanted = 0;
    for (size_t l = 0; l < rim->loops.count; l++)
        wanted += rim->loops.items[l].length_mm >= rim->shortest;
    if (s->count == 0 || s->count != wanted) return false;
    for (size_t l = 0; l < s->count; l++) {
        if (!find_partners(q, rim, s, l, work)) return false;
        for (size_t k = 0; k < l; k++)
            if (s->rim[k] == s->rim[l]) return false;
    }
    return true;
}

/* ---- the row ----------------------------------------------------------------------------------
 */

static bool add_row(const rim_line *rim, const stair *s, quad_mesh *q, es_error *err) {
    size_t more = s->first[s->count], old = q->vertex_count;
    if (!es_resize(&q->vertices, old + more, 3 * sizeof(double), err) ||
        !es_resize(&q->quads, q->quad_count + more, 4 * sizeof *q->quads, err))
        return false;
    for (size_t l = 0; l < s->count; l++)
        for (size_t i = s->first[l]; i < s->first[l + 1]; i++) {
            size_t next = i + 1 == s->first[l + 1] ? s->first[l] : i + 1;
            es_vec3 p = rim_point(rim, s->rim[l], s->at[i]);
            memcpy(q->vertices + 3 * (old + i), (double[]){p.x, p.y, p.z}, 3 * sizeof(double));
            uint32_t h = s->half_edges[i];
            const uint32_t corner[4] = {q->quads[quad_next(h)], q->quads[h], (uint32_t)(old + i),
                                        (uint32_t)(old + next)};
            memcpy(q->quads + 4 * (q->quad_count + i), corner, sizeof corner);
        }
    q->vertex_count += more;
    q->quad_count += more;
    return surface_quads_join(q, err);
}

bool surface_rim_follow(const nearest_tree *tree, const rim_line *rim, double cell_mm, quad_mesh *q,
                        es_error *err) {
    if (!trim(tree, rim, cell_mm, q, err)) return false;
    size_t sides = 4 * q->quad_count;
    stair s = {0};
    bool *walked = es_alloc_zero(sides + 1, sizeof *walked, err);
    s.half_edges = walked ? es_alloc(sides + 1, sizeof *s.half_edges, err) : NULL;
    s.at = s.half_edges ? es_alloc(sides + 1, 4 * sizeof *s.at, err) : NULL;
    s.first = s.at ? es_alloc(sides + 2, sizeof *s.first, err) : NULL;
    s.rim = s.first ? es_alloc(sides + 1, sizeof *s.rim, err) : NULL;
    bool ok = s.rim != NULL;
    if (ok) walk_stair(q, &s, walked);
    if (ok && q->bad == 0 && find_all_partners(q, rim, &s, s.at + sides + 1)) {
        ok = add_row(rim, &s, q, err);
        q->rimmed = ok && q->bad == 0;
    }
    es_free(walked);
    es_free(s.half_edges);
    es_free(s.at);
    es_free(s.first);
    es_free(s.rim);
    return ok;
}
