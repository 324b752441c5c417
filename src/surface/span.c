/* The triangles of a spanned rim, made as fine as the mesh about it.
 *
 * First each side across is halved, so that no triangle has corners of the rim
 * alone: what was added can be told by its vertices, and no side can be one that
 * the mesh already has on the other side of the rim. Then large triangles are
 * parted at their middle and sides turned until each pair of triangles is
 * Delaunay (Liepa, "Filling holes in meshes", 2003). */
#include <math.h>
#include <string.h>

#include "span.h"

enum { REFINE_ROUNDS = 40, TURN_ROUNDS = 30, SPOKES_MOST = 1000 };
static const double VERTICES_MOST = 300000;

void surface_span_clear(mesh_span *s) {
    es_mesh_clear(&s->mesh);
    es_free(s->twin);
    *s = (mesh_span){0};
}

/* ---- growing -------------------------------------------------------------------- */

static bool make_room(mesh_span *s, size_t vertices, size_t triangles, es_error *err) {
    if (vertices > s->vertex_room) {
        size_t room = vertices + vertices / 2;
        if (!es_resize(&s->mesh.vertices, room, 3 * sizeof(float), err)) return false;
        s->vertex_room = room;
    }
    if (triangles > s->triangle_room) {
        size_t room = triangles + triangles / 2;
        if (!es_resize(&s->mesh.triangles, room, 3 * sizeof(uint32_t), err) ||
            !es_resize(&s->twin, room, 3 * sizeof(uint32_t), err))
            return false;
        s->triangle_room = room;
    }
    return true;
}

static uint32_t add_vertex(mesh_span *s, es_vec3 at) {
    float *place = s->mesh.vertices + 3 * s->mesh.vertex_count;
    place[0] = (float)at.x;
    place[1] = (float)at.y;
    place[2] = (float)at.z;
    return (uint32_t)s->mesh.vertex_count++;
}

static void link(mesh_span *s, uint32_t h, uint32_t twin) {
    s->twin[h] = twin;
    if (twin != NO_TWIN) s->twin[twin] = h;
}

static void set_triangle(mesh_span *s, size_t t, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t *corner = s->mesh.triangles + 3 * t;
    corner[0] = a;
    corner[1] = b;
    corner[2] = c;
}

static uint32_t next(uint32_t h) { return (uint32_t)surface_next(h); }
static uint32_t previous(uint32_t h) { return next(next(h)); }
static es_vec3 corner_at(const mesh_span *s, uint32_t h) {
    return surface_vertex(&s->mesh, s->mesh.triangles[h]);
}

static es_vec3 middle_of(const mesh_span *s, size_t t) {
    uint32_t h = (uint32_t)(3 * t);
    es_vec3 sum =
        es_vec3_add(es_vec3_add(corner_at(s, h), corner_at(s, h + 1)), corner_at(s, h + 2));
    return es_vec3_scale(sum, 1.0 / 3);
}

/* ---- parting and turning ------------------------------------------------------------ */

/* Triangle t = (a, b, c) becomes (a, b, v), (b, c, v) and (c, a, v). Room is there. */
static void part_triangle(mesh_span *s, uint32_t t, es_vec3 at) {
    uint32_t v = add_vertex(s, at), n = (uint32_t)s->mesh.triangle_count, m = n + 1;
    const uint32_t *corner = s->mesh.triangles + 3 * (size_t)t;
    uint32_t a = corner[0], b = corner[1], c = corner[2];
    uint32_t bc = s->twin[3 * t + 1], ca = s->twin[3 * t + 2];
    s->mesh.triangle_count += 2;
    set_triangle(s, t, a, b, v);
    set_triangle(s, n, b, c, v);
    set_triangle(s, m, c, a, v);
    link(s, 3 * n, bc);
    link(s, 3 * m, ca);
    link(s, 3 * t + 1, 3 * n + 2);
    link(s, 3 * n + 1, 3 * m + 2);
    link(s, 3 * m + 1, 3 * t + 2);
}

/* Half of a triangle whose side h is parted at v: the side keeps its first half, the
 * new triangle takes the second; returns that half. */
static uint32_t part_half(mesh_span *s, uint32_t h, uint32_t v) {
    uint32_t n = (uint32_t)s->mesh.triangle_count++;
    uint32_t hn = next(h), b = s->mesh.triangles[hn], c = s->mesh.triangles[previous(h)];
    uint32_t outer = s->twin[hn];
    set_triangle(s, n, v, b, c);
    s->mesh.triangles[hn] = v;
    link(s, 3 * n + 1, outer);
    link(s, 3 * n + 2, hn);
    return 3 * n;
}

/* Side h and its twin are parted in the middle. Room is there. */
static void part_side(mesh_span *s, uint32_t h) {
    uint32_t g = s->twin[h];
    es_vec3 at = es_vec3_scale(es_vec3_add(corner_at(s, h), corner_at(s, g)), 0.5);
    uint32_t v = add_vertex(s, at);
    uint32_t h2 = part_half(s, h, v), g2 = part_half(s, g, v);
    link(s, h, g2);
    link(s, g, h2);
}

/* The quadrangle about side h gets its other diagonal. */
static void turn_side(mesh_span *s, uint32_t h) {
    uint32_t g = s->twin[h], t = h / 3, u = g / 3;
    uint32_t a = s->mesh.triangles[h], b = s->mesh.triangles[g];
    uint32_t c = s->mesh.triangles[previous(h)], d = s->mesh.triangles[previous(g)];
    uint32_t bc = s->twin[next(h)], ca = s->twin[previous(h)];
    uint32_t ad = s->twin[next(g)], db = s->twin[previous(g)];
    set_triangle(s, t, d, c, a);
    set_triangle(s, u, c, d, b);
    link(s, 3 * t, 3 * u);
    link(s, 3 * t + 1, ca);
    link(s, 3 * t + 2, ad);
    link(s, 3 * u + 1, db);
    link(s, 3 * u + 2, bc);
}

/* Whether a side from the start of h to `other` exists; true when there are too many
 * sides to look at. */
static bool is_joined(const mesh_span *s, uint32_t h, uint32_t other) {
    uint32_t at = h;
    for (int i = 0; i < SPOKES_MOST; i++) {
        if (s->mesh.triangles[next(at)] == other || s->mesh.triangles[previous(at)] == other)
            return true;
        uint32_t twin = s->twin[previous(at)];
        if (twin == h) return false;
        if (twin == NO_TWIN) break;
        at = twin;
    }
    for (at = h; s->twin[at] != NO_TWIN;) {
        at = next(s->twin[at]);
        if (at == h || s->mesh.triangles[next(at)] == other) return at != h;
    }
    return false;
}

static double cotangent(es_vec3 at, es_vec3 a, es_vec3 b) {
    es_vec3 u = es_vec3_sub(a, at), v = es_vec3_sub(b, at);
    double area = es_vec3_length(es_vec3_cross(u, v));
    return es_vec3_dot(u, v) / fmax(area, 1e-30);
}

/* Whether the other diagonal is better: the angles across from side h make more than
 * half a turn, and no fold comes of it. */
static bool should_turn(const mesh_span *s, uint32_t h) {
    uint32_t g = s->twin[h];
    if (g == NO_TWIN) return false;
    uint32_t c = s->mesh.triangles[previous(h)], d = s->mesh.triangles[previous(g)];
    if (c == d || (c < s->rim && d < s->rim)) return false;
    es_vec3 p = corner_at(s, h), q = corner_at(s, g), r = corner_at(s, previous(h)),
            o = corner_at(s, previous(g));
    if (cotangent(r, p, q) + cotangent(o, q, p) >= -1e-6) return false;
    es_vec3 one = es_vec3_cross(es_vec3_sub(r, o), es_vec3_sub(p, o));
    es_vec3 two = es_vec3_cross(es_vec3_sub(o, r), es_vec3_sub(q, r));
    return es_vec3_dot(one, two) > 0 && !is_joined(s, previous(h), d);
}

static void turn_sides(mesh_span *s) {
    for (int round = 0; round < TURN_ROUNDS; round++) {
        size_t turned = 0;
        for (uint32_t h = 0; h < 3 * s->mesh.triangle_count; h++) {
            if (!should_turn(s, h)) continue;
            turn_side(s, h);
            turned++;
        }
        if (turned == 0) break;
    }
}

/* ---- the whole ------------------------------------------------------------------------ */

static bool is_large(const mesh_span *s, size_t t) {
    es_vec3 middle = middle_of(s, t);
    for (uint32_t h = (uint32_t)(3 * t); h < 3 * t + 3; h++) {
        es_vec3 way = es_vec3_sub(corner_at(s, h), middle);
        if (2 * es_vec3_dot(way, way) <= s->side_mm * s->side_mm) return false;
    }
    return true;
}

static bool refine(mesh_span *s, es_error *err) {
    for (int round = 0; round < REFINE_ROUNDS; round++) {
        size_t count = s->mesh.triangle_count, parted = 0;
        turn_sides(s);
        for (uint32_t t = 0; t < count; t++) {
            if (!is_large(s, t)) continue;
            if (!make_room(s, s->mesh.vertex_count + 1, s->mesh.triangle_count + 2, err))
                return false;
            part_triangle(s, t, middle_of(s, t));
            parted++;
        }
        if (parted == 0) break;
        if (es_cancelled(err)) return false;
    }
    turn_sides(s);
    return true;
}

/* A polygon of three points has no side across. */
static bool add_first_vertices(mesh_span *s, es_error *err) {
    size_t sides = 3 * s->mesh.triangle_count;
    if (!make_room(s, s->mesh.vertex_count + sides, 2 * s->mesh.triangle_count + sides + 2, err))
        return false;
    if (s->rim == 3) part_triangle(s, 0, middle_of(s, 0));
    for (uint32_t h = 0; s->rim > 3 && h < 3 * s->mesh.triangle_count; h++) {
        uint32_t twin = s->twin[h];
        if (twin == NO_TWIN || s->mesh.triangles[h] >= s->rim ||
            s->mesh.triangles[next(h)] >= s->rim)
            continue;
        part_side(s, h);
    }
    return true;
}

static bool begin(const es_vec3 *at, size_t count, mesh_span *s, es_error *err) {
    mesh_topology topology;
    if (!make_room(s, count, count, err)) return false;
    for (size_t i = 0; i < count; i++) add_vertex(s, at[i]);
    s->rim = count;
    s->mesh.triangle_count = count - 2;
    if (!surface_span_polygon(at, count, s->mesh.triangles, err)) return false;
    if (!surface_topology_find(&s->mesh, &topology, err)) return false;
    memcpy(s->twin, topology.twin, topology.half_edges * sizeof *s->twin);
    surface_topology_clear(&topology);
    return true;
}

/* Sides so long that what is spanned stays within VERTICES_MOST. */
static double choose_side(const mesh_span *s, double wanted) {
    double area = 0;
    for (size_t t = 0; t < s->mesh.triangle_count; t++)
        area += es_vec3_length(surface_cross(&s->mesh, t)) / 2;
    return fmax(wanted, sqrt(area / VERTICES_MOST));
}

bool surface_span_make(const es_vec3 *at, size_t count, double side_mm, mesh_span *s,
                       es_error *err) {
    *s = (mesh_span){0};
    bool ok = begin(at, count, s, err);
    if (ok) s->side_mm = choose_side(s, side_mm);
    ok = ok && add_first_vertices(s, err) && refine(s, err);
    if (!ok) surface_span_clear(s);
    return ok;
}
