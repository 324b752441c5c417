/* Flat ends of a closed mesh: a sawn shaft, the end of what was scanned.
 *
 * Smooth patches would run round the edge of such an end. So it is found: triangles in
 * one plane are gathered from neighbour to neighbour, and if the surface turns away sharply
 * all round, they are a cut, which becomes one flat face. What is left is a sheet, but the
 * mesh is rounded at the edge: over about a voxel by its extraction, over some more by
 * smoothing. So the vertices near the rim are moved to where the side, as it is a little
 * further down, would have them (the idea of Kobbelt, Botsch, Schwanecke and Seidel,
 * "Feature sensitive surface extraction from volume data", 2001): the side goes on to the
 * plane, and the rim is a line in it. */
#include "cuts.h"

#include <math.h>
#include <string.h>

#include "topology.h"

/* Lengths in edges of the mesh. */
static const double OFF_PLANE = 0.1, ROUNDED = 4, SIDE = 9, NEIGHBOURS = 1.8;
/* A cut has this share of the mesh's area, and at least so many triangles. */
static const double LEAST_SHARE = 0.004;
/* 1 is a circle, 0.1 a rectangle 30 times as long as wide. */
static const double COMPACT = 0.15;
enum { LEAST_TRIANGLES = 150, CUTS_MOST = 60, RIM_ASKED = 40, FILLS = 8 };
/* Cosines: of triangles that may start a cut and be of it; of a side that is no edge, 30 degrees.
 */
static const double STARTS = 0.9998, BELONGS = 0.94, TURNS = 0.866;
static const double SHARP_SHARE = 0.9; /* of the rim */
/* What else is left without the cuts are crumbs on them. */
static const double ONE_PIECE = 0.97;

enum { NONE = 0, TRIED = UINT32_MAX };

typedef struct side_part { /* a triangle of the side, beyond what is rounded */
    es_vec3 at, normal;    /* normal: times its area */
} side_part;

typedef struct cut_search {
    const es_mesh *mesh;
    mesh_topology topology;
    es_vec3 *cross;  /* per triangle: twice its area long, outwards */
    uint32_t *owner; /* per triangle: cut + 1, NONE or TRIED */
    uint32_t *queue; /* triangles */
    uint32_t *mark;  /* per triangle: the last walk along a side that met it */
    uint32_t walk;
    uint32_t *rims;  /* half-edges of cuts whose other side is none of theirs, by cuts: */
    uint32_t *first; /* cut + 1 has those from first[cut + 1] up to first[cut + 2] */
    double edge, area;
    flat_cut *cuts;
    size_t count, capacity;
    float *moved; /* vertices of the sheet */
    side_part *parts;
    size_t part_count;
} cut_search;

static es_vec3 middle_of(const es_mesh *mesh, size_t t) {
    const uint32_t *k = mesh->triangles + 3 * t;
    es_vec3 sum = es_vec3_add(surface_vertex(mesh, k[0]), surface_vertex(mesh, k[1]));
    return es_vec3_scale(es_vec3_add(sum, surface_vertex(mesh, k[2])), 1 / 3.0);
}

/* ---- triangles in one plane ------------------------------------------------------- */

/* All three neighbours face the same way. */
static bool may_start(const cut_search *s, size_t t) {
    es_vec3 n = es_vec3_unit(s->cross[t]);
    if (s->owner[t] != NONE || !(es_vec3_length(s->cross[t]) > 0.1 * s->edge * s->edge))
        return false;
    for (size_t k = 0; k < 3; k++) {
        uint32_t twin = s->topology.twin[3 * t + k];
        if (es_vec3_dot(n, es_vec3_unit(s->cross[twin / 3])) < STARTS) return false;
    }
    return true;
}

static bool lies_in(const cut_search *s, size_t t, const flat_cut *plane) {
    const uint32_t *k = s->mesh->triangles + 3 * t;
    for (int i = 0; i < 3; i++)
        if (fabs(surface_cut_height(plane, surface_vertex(s->mesh, k[i]))) > OFF_PLANE * s->edge)
            return false;
    double twice = es_vec3_length(s->cross[t]);
    return twice < 0.05 * s->edge * s->edge ||
           es_vec3_dot(s->cross[t], plane->normal) > BELONGS * twice;
}

/* Those that hang together with `start` in its plane, which is that of all gathered so
 * far. They stand in the queue; returns how many. */
static size_t gather(cut_search *s, size_t start, uint32_t number, flat_cut *plane) {
    size_t count = 1;
    double weight = 0;
    es_vec3 normals = {0, 0, 0}, middles = {0, 0, 0};
    *plane = (flat_cut){middle_of(s->mesh, start), es_vec3_unit(s->cross[start])};
    s->queue[0] = (uint32_t)start;
    s->owner[start] = number;
    for (size_t i = 0; i < count; i++) {
        size_t t = s->queue[i];
        double area = es_vec3_length(s->cross[t]);
        weight += area;
        normals = es_vec3_add(normals, s->cross[t]);
        middles = es_vec3_add(middles, es_vec3_scale(middle_of(s->mesh, t), area));
        *plane = (flat_cut){es_vec3_scale(middles, 1 / weight), es_vec3_unit(normals)};
        for (size_t k = 0; k < 3; k++) {
            uint32_t twin = s->topology.twin[3 * t + k];
            if (s->owner[twin / 3] != NONE || !lies_in(s, twin / 3, plane)) continue;
            s->owner[twin / 3] = number;
            s->queue[count++] = twin / 3;
        }
    }
    return count;
}

static bool add_cut(cut_search *s, flat_cut cut, es_error *err) {
    if (s->count == s->capacity) {
        size_t more = 2 * s->capacity + 4;
        if (!es_resize(&s->cuts, more, sizeof *s->cuts, err)) return false;
        s->capacity = more;
    }
    s->cuts[s->count++] = cut;
    return true;
}

/* Large, and no strip along a shaft. The triangles stand in the queue. */
static bool may_be_cut(const cut_search *s, size_t count, uint32_t number) {
    double area = 0, around = 0;
    if (count < LEAST_TRIANGLES) return false;
    for (size_t i = 0; i < count; i++) {
        const uint32_t *k = s->mesh->triangles + 3 * (size_t)s->queue[i];
        area += es_vec3_length(s->cross[s->queue[i]]) / 2;
        for (size_t side = 0; side < 3; side++) {
            if (s->owner[s->topology.twin[3 * (size_t)s->queue[i] + side] / 3] == number) continue;
            es_vec3 a = surface_vertex(s->mesh, k[side]),
                    b = surface_vertex(s->mesh, k[(side + 1) % 3]);
            around += es_vec3_length(es_vec3_sub(a, b));
        }
    }
    return area >= LEAST_SHARE * s->area && 4 * M_PI * area >= COMPACT * around * around;
}

static bool gather_all(cut_search *s, es_error *err) {
    for (size_t t = 0; t < s->mesh->triangle_count; t++) {
        if (!may_start(s, t)) continue;
        flat_cut plane;
        size_t count = gather(s, t, (uint32_t)s->count + 1, &plane);
        if (may_be_cut(s, count, (uint32_t)s->count + 1)) {
            if (!add_cut(s, plane, err)) return false;
            continue;
        }
        for (size_t i = 0; i < count; i++) s->owner[s->queue[i]] = TRIED;
    }
    return true;
}

/* ---- the side ------------------------------------------------------------------------- */

static bool is_cut(const cut_search *s, size_t t) {
    return s->owner[t] != NONE && s->owner[t] != TRIED;
}

/* Of a closed mesh, where every half-edge has a twin. */
static bool is_rim(const cut_search *s, size_t h) {
    return is_cut(s, h / 3) && s->owner[s->topology.twin[h] / 3] != s->owner[h / 3];
}

static bool list_rims(cut_search *s, es_error *err) {
    s->first = es_alloc_zero(s->count + 3, sizeof *s->first, err);
    if (!s->first) return false;
    for (size_t h = 0; h < s->topology.half_edges; h++)
        if (is_rim(s, h)) s->first[s->owner[h / 3] + 2]++;
    for (size_t c = 1; c <= s->count + 2; c++) s->first[c] += s->first[c - 1];
    s->rims = es_alloc(s->first[s->count + 2], sizeof *s->rims, err);
    for (size_t h = 0; s->rims && h < s->topology.half_edges; h++)
        if (is_rim(s, h)) s->rims[s->first[s->owner[h / 3] + 1]++] = (uint32_t)h;
    return s->rims != NULL;
}

static bool is_side(const cut_search *s, size_t t, uint32_t number) {
    return s->owner[t] != number && s->mark[t] != s->walk;
}

/* Triangles from the rim of a cut down to SIDE edges below its plane; returns how many
 * stand in the queue. */
static size_t walk_side(cut_search *s, uint32_t number) {
    const flat_cut *cut = &s->cuts[number - 1];
    size_t count = 0;
    s->walk++;
    for (size_t i = s->first[number]; i < s->first[number + 1]; i++) {
        uint32_t next = s->topology.twin[s->rims[i]] / 3;
        if (!is_side(s, next, number)) continue;
        s->mark[next] = s->walk;
        s->queue[count++] = next;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 3; k++) {
            uint32_t next = s->topology.twin[3 * (size_t)s->queue[i] + k] / 3;
            if (!is_side(s, next, number) ||
                surface_cut_height(cut, middle_of(s->mesh, next)) < -SIDE * s->edge)
                continue;
            s->mark[next] = s->walk;
            s->queue[count++] = next;
        }
    return count;
}

/* Of the walk, what is not rounded. */
static void list_parts(cut_search *s, const flat_cut *cut, size_t count) {
    s->part_count = 0;
    for (size_t i = 0; i < count; i++) {
        es_vec3 at = middle_of(s->mesh, s->queue[i]);
        if (surface_cut_height(cut, at) < -ROUNDED * s->edge)
            s->parts[s->part_count++] = (side_part){at, s->cross[s->queue[i]]};
    }
}

/* The side's plane under a place, from its parts nearby as seen along the cut's normal. */
static flat_cut side_under(const cut_search *s, const flat_cut *cut, es_vec3 p) {
    double reach = NEIGHBOURS * s->edge, sum = 0;
    es_vec3 at = {0, 0, 0}, normal = {0, 0, 0};
    for (size_t i = 0; i < s->part_count; i++) {
        const side_part *part = &s->parts[i];
        es_vec3 way = es_vec3_sub(part->at, p);
        double down = es_vec3_dot(way, cut->normal);
        double across2 = es_vec3_dot(way, way) - down * down;
        if (across2 > 9 * reach * reach) continue;
        double near = exp(-across2 / (2 * reach * reach)),
               weight = near * es_vec3_length(part->normal);
        sum += weight;
        at = es_vec3_add(at, es_vec3_scale(part->at, weight));
        normal = es_vec3_add(normal, es_vec3_scale(part->normal, near));
    }
    return (flat_cut){es_vec3_scale(at, sum > 0 ? 1 / sum : 0), es_vec3_unit(normal)};
}

static void put(cut_search *s, uint32_t v, es_vec3 p) {
    float *at = s->moved + 3 * (size_t)v;
    at[0] = (float)p.x;
    at[1] = (float)p.y;
    at[2] = (float)p.z;
}

/* It meets the plane at more than 30 degrees. */
static bool is_sharp(const flat_cut *side, const flat_cut *cut) {
    double along = es_vec3_dot(side->normal, cut->normal);
    return es_vec3_length(side->normal) > 0 && along < TURNS && along > -TURNS;
}

/* A vertex of the rim to where the side meets the plane. */
static void move_rim(cut_search *s, const flat_cut *cut, uint32_t v) {
    es_vec3 p = surface_vertex(s->mesh, v);
    flat_cut side = side_under(s, cut, p);
    p = es_vec3_sub(p, es_vec3_scale(cut->normal, surface_cut_height(cut, p)));
    if (is_sharp(&side, cut)) {
        double along = es_vec3_dot(side.normal, cut->normal), most = ROUNDED * s->edge;
        es_vec3 flat = es_vec3_sub(side.normal, es_vec3_scale(cut->normal, along));
        double step = -surface_cut_height(&side, p) / es_vec3_length(flat);
        p = es_vec3_add(p, es_vec3_scale(es_vec3_unit(flat), fmax(-most, fmin(most, step))));
    }
    put(s, v, p);
}

/* A vertex of what is rounded, onto the side. */
static void move_down(cut_search *s, const flat_cut *cut, uint32_t v) {
    es_vec3 p = surface_vertex(s->mesh, v);
    flat_cut side = side_under(s, cut, p);
    double off = surface_cut_height(&side, p);
    if (es_vec3_length(side.normal) > 0 && fabs(off) < ROUNDED * s->edge)
        put(s, v, es_vec3_sub(p, es_vec3_scale(side.normal, off)));
}

/* The vertices of a cut's rim; returns how many. `done`, per vertex: the last walk that
 * took it. */
static size_t list_rim(cut_search *s, uint32_t number, uint32_t *done, uint32_t *rim) {
    size_t count = 0;
    for (size_t i = s->first[number]; i < s->first[number + 1]; i++) {
        uint32_t v = s->mesh->triangles[s->rims[i]];
        if (done[v] == s->walk) continue;
        done[v] = s->walk;
        rim[count++] = v;
    }
    return count;
}

static bool turns_away(cut_search *s, uint32_t number, uint32_t *done, uint32_t *rim) {
    const flat_cut *cut = &s->cuts[number - 1];
    size_t sharp = 0;
    list_parts(s, cut, walk_side(s, number));
    size_t count = list_rim(s, number, done, rim), step = count / RIM_ASKED + 1, asked = 0;
    for (size_t i = 0; i < count; i += step, asked++) {
        flat_cut side = side_under(s, cut, surface_vertex(s->mesh, rim[i]));
        sharp += is_sharp(&side, cut);
    }
    return asked > 0 && (double)sharp >= SHARP_SHARE * (double)asked;
}

/* How often the rim of a cut leaves each vertex. */
static void count_leaving(const cut_search *s, uint32_t number, uint32_t *leaving) {
    memset(leaving, 0, s->mesh->vertex_count * sizeof *leaving);
    for (size_t h = 0; h < s->topology.half_edges; h++)
        if (s->owner[h / 3] == number && s->owner[s->topology.twin[h] / 3] != number)
            leaving[s->mesh->triangles[h]]++;
}

/* Bays one triangle wide and places where the rim touches itself become part of the cut,
 * so that its rim is one plain ring. `leaving`: room for a number per vertex. */
static void fill_bays(cut_search *s, uint32_t number, uint32_t *leaving) {
    for (int round = 0, added = 1; added > 0 && round < FILLS; round++) {
        added = 0;
        count_leaving(s, number, leaving);
        for (size_t t = 0; t < s->mesh->triangle_count; t++) {
            int beside = 0, pinched = 0;
            if (is_cut(s, t)) continue;
            for (size_t k = 3 * t; k < 3 * t + 3; k++) {
                beside += s->owner[s->topology.twin[k] / 3] == number;
                pinched += leaving[s->mesh->triangles[k]] > 1;
            }
            if (beside < 2 && !pinched) continue;
            s->owner[t] = number;
            added++;
        }
    }
}

/* Flat places that go over into the rest are none. The others get new numbers. */
static bool drop_blunt(cut_search *s, uint32_t *done, uint32_t *rim, es_error *err) {
    uint32_t *number = es_alloc(s->count + 1, sizeof *number, err); /* of those that stay */
    size_t kept = 0;
    if (!number) return false;
    for (uint32_t c = 1; c <= s->count; c++)
        number[c] = turns_away(s, c, done, rim) ? (uint32_t)++kept : TRIED;
    for (uint32_t c = 1; c <= s->count; c++)
        if (number[c] != TRIED) s->cuts[number[c] - 1] = s->cuts[c - 1];
    for (size_t t = 0; t < s->mesh->triangle_count; t++)
        if (is_cut(s, t)) s->owner[t] = number[s->owner[t]];
    s->count = kept;
    for (uint32_t c = 1; c <= kept; c++) fill_bays(s, c, rim);
    es_free(number);
    es_free(s->rims);
    es_free(s->first);
    s->rims = s->first = NULL;
    return list_rims(s, err);
}

static void sharpen(cut_search *s, uint32_t number, uint32_t *done, uint32_t *rim) {
    const flat_cut *cut = &s->cuts[number - 1];
    size_t count = walk_side(s, number), rim_count = list_rim(s, number, done, rim);
    list_parts(s, cut, count);
    for (size_t i = 0; i < rim_count; i++) move_rim(s, cut, rim[i]);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 3; k++) {
            uint32_t v = s->mesh->triangles[3 * (size_t)s->queue[i] + k];
            double height = surface_cut_height(cut, surface_vertex(s->mesh, v));
            if (done[v] == s->walk || height < -(ROUNDED + 0.5) * s->edge) continue;
            done[v] = s->walk;
            move_down(s, cut, v);
        }
}

/* ---- the sheet ------------------------------------------------------------------------- */

/* Which cut each rim of the sheet lies in; false unless each has one. */
static bool match_rims(const cut_search *s, flat_cuts *cuts, es_error *err, bool *ok) {
    es_mesh_loops loops;
    *ok = es_mesh_find_loops(&cuts->sheet, &loops, err) &&
          (cuts->rim_cut = es_alloc(s->count, sizeof *cuts->rim_cut, err)) != NULL;
    bool match = *ok && loops.count == s->count;
    uint64_t taken = 0;
    for (size_t l = 0; match && l < loops.count; l++) {
        const es_mesh_loop *loop = &loops.items[l];
        size_t best = 0;
        double least = INFINITY;
        for (size_t c = 0; c < s->count; c++) {
            double worst = 0;
            for (size_t i = 0; i < loop->edges; i++) {
                es_vec3 p = surface_vertex(&cuts->sheet, loops.vertices[loop->first + i]);
                worst = fmax(worst, fabs(surface_cut_height(&s->cuts[c], p)));
            }
            if (worst < least) best = c, least = worst;
        }
        cuts->rim_cut[l] = best;
        match = least < OFF_PLANE * s->edge && !(taken >> best & 1);
        taken |= (uint64_t)1 << best;
    }
    es_mesh_loops_clear(&loops);
    return match;
}

static bool make_sheet(const cut_search *s, flat_cuts *cuts, es_error *err) {
    es_mesh *sheet = &cuts->sheet;
    size_t kept = 0;
    if (!es_mesh_copy(s->mesh, sheet, err)) return false;
    memcpy(sheet->vertices, s->moved, 3 * sheet->vertex_count * sizeof *s->moved);
    for (size_t t = 0; t < s->mesh->triangle_count; t++) {
        if (is_cut(s, t)) continue;
        memmove(sheet->triangles + 3 * kept++, s->mesh->triangles + 3 * t, 3 * sizeof(uint32_t));
    }
    sheet->triangle_count = kept;
    bool ok = kept > 0 && es_mesh_keep_components(sheet, 1, 0, NULL, NULL, err);
    bool one = ok && (double)sheet->triangle_count > ONE_PIECE * (double)kept &&
               match_rims(s, cuts, err, &ok);
    if (!one) return ok || kept == 0; /* count stays 0 */
    cuts->items = es_alloc(s->count, sizeof *cuts->items, err);
    if (!cuts->items) return false;
    memcpy(cuts->items, s->cuts, s->count * sizeof *s->cuts);
    cuts->count = s->count;
    return true;
}

/* ---- the door ------------------------------------------------------------------------------ */

static bool open_search(cut_search *s, es_error *err) {
    const es_mesh *m = s->mesh;
    if (!surface_topology_find(m, &s->topology, err) ||
        !(s->cross = es_alloc(m->triangle_count, sizeof *s->cross, err)) ||
        !(s->owner = es_alloc_zero(m->triangle_count, sizeof *s->owner, err)) ||
        !(s->queue = es_alloc(m->triangle_count, sizeof *s->queue, err)))
        return false;
    for (size_t t = 0; t < m->triangle_count; t++) {
        s->cross[t] = surface_cross(m, t);
        s->area += es_vec3_length(s->cross[t]) / 2;
    }
    s->edge = sqrt(4 / sqrt(3) * s->area / (double)m->triangle_count);
    return true;
}

static bool sharpen_all(cut_search *s, flat_cuts *cuts, es_error *err) {
    const es_mesh *m = s->mesh;
    uint32_t *done = es_alloc_zero(m->vertex_count, 2 * sizeof *done, err);
    s->mark = done ? es_alloc_zero(m->triangle_count, sizeof *s->mark, err) : NULL;
    s->parts = s->mark ? es_alloc(m->triangle_count, sizeof *s->parts, err) : NULL;
    s->moved = s->parts ? es_alloc(m->vertex_count, 3 * sizeof *s->moved, err) : NULL;
    bool ok = s->moved && list_rims(s, err) && drop_blunt(s, done, done + m->vertex_count, err);
    if (ok && s->count > 0 && s->count <= CUTS_MOST) {
        memcpy(s->moved, m->vertices, 3 * m->vertex_count * sizeof *s->moved);
        for (uint32_t c = 1; c <= s->count; c++) sharpen(s, c, done, done + m->vertex_count);
        ok = make_sheet(s, cuts, err);
    }
    es_free(done);
    return ok;
}

bool surface_cuts_find(const es_mesh *mesh, flat_cuts *cuts, es_error *err) {
    cut_search s = {.mesh = mesh};
    *cuts = (flat_cuts){0};
    bool ok = open_search(&s, err) && gather_all(&s, err);
    if (ok && s.count > 0) ok = sharpen_all(&s, cuts, err);
    if (!ok || cuts->count == 0) surface_cuts_clear(cuts);
    surface_topology_clear(&s.topology);
    es_free(s.cross);
    es_free(s.owner);
    es_free(s.queue);
    es_free(s.mark);
    es_free(s.rims);
    es_free(s.first);
    es_free(s.parts);
    es_free(s.moved);
    es_free(s.cuts);
    return ok;
}

void surface_cuts_clear(flat_cuts *cuts) {
    es_free(cuts->items);
    es_free(cuts->rim_cut);
    es_mesh_clear(&cuts->sheet);
    *cuts = (flat_cuts){0};
}
