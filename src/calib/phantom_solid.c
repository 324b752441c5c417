/* The printable phantom as a closed solid.
 *
 * Its surface is a list of planar faces, each an outline with holes, and of
 * what joins the rims of holes: tubes through walls, cones of landmarks. The
 * rims come from the same functions on either side, so their points are the
 * same to the last bit, and every edge has two triangles by construction. */
#include <math.h>
#include <string.h>

#include "echosolid/phantom.h"
#include "phantom_internal.h"

enum { ROUND = 16, TEAR = ROUND * 3 / 4 + 2, CONE = 32, LOOP_MAX = CONE };
static const double PI = 3.14159265358979;
static const double SCREW_MM = 3.4, SCREWS_APART_MM = 10; /* M3; from the middle of the wall */

/* A plane across an axis, and the two axes in it, such that first x second is
 * the axis, or its opposite where `turned`. */
typedef struct plane {
    int axis;
    double at;
    bool down; /* the outside is towards smaller coordinates */
} plane;

typedef struct loop {
    double points[LOOP_MAX][2]; /* counter-clockwise in the plane's two axes */
    int count;
} loop;

typedef struct builder {
    es_mesh *mesh;
    size_t vertex_room, triangle_room;
    face_outline outline;
    int triangles[FACE_CORNERS][3];
    bool ok; /* no triangulation failed */
} builder;

/* ---- vertices and triangles --------------------------------------------------------------- */

static void place(const plane *p, const double at[2], float xyz[3]) {
    static const int axes[3][2] = {{1, 2}, {0, 2}, {0, 1}};
    xyz[p->axis] = (float)p->at;
    for (int k = 0; k < 2; k++) xyz[axes[p->axis][k]] = (float)at[k];
}

static bool find_vertex(builder *b, const float xyz[3], uint32_t *index, es_error *err) {
    es_mesh *m = b->mesh;
    for (size_t i = 0; i < m->vertex_count; i++)
        if (memcmp(&m->vertices[3 * i], xyz, 3 * sizeof *xyz) == 0) {
            *index = (uint32_t)i;
            return true;
        }
    if (m->vertex_count == b->vertex_room) {
        size_t room = b->vertex_room ? 2 * b->vertex_room : 256;
        if (!es_resize(&m->vertices, 3 * room, sizeof *m->vertices, err)) return false;
        b->vertex_room = room;
    }
    memcpy(&m->vertices[3 * m->vertex_count], xyz, 3 * sizeof *xyz);
    *index = (uint32_t)m->vertex_count++;
    return true;
}

static bool add_triangle(builder *b, const uint32_t corners[3], bool turned, es_error *err) {
    es_mesh *m = b->mesh;
    if (m->triangle_count == b->triangle_room) {
        size_t room = b->triangle_room ? 2 * b->triangle_room : 512;
        if (!es_resize(&m->triangles, 3 * room, sizeof *m->triangles, err)) return false;
        b->triangle_room = room;
    }
    uint32_t *t = &m->triangles[3 * m->triangle_count++];
    t[0] = corners[0];
    t[1] = corners[turned ? 2 : 1];
    t[2] = corners[turned ? 1 : 2];
    return true;
}

/* ---- loops ------------------------------------------------------------------------------------
 */

static loop polygon(const double (*points)[2], int count) {
    loop l = {.count = count};
    memcpy(l.points, points, (size_t)count * sizeof *points);
    return l;
}

static loop rectangle(double u0, double v0, double u1, double v1) {
    const double points[4][2] = {{u0, v0}, {u1, v0}, {u1, v1}, {u0, v1}};
    return polygon(points, 4);
}

/* Round below, a roof of 45 degrees above. */
static loop tear(double u, double v, double radius) {
    loop l = {.count = TEAR};
    l.points[0][0] = u;
    l.points[0][1] = v + radius * sqrt(2);
    for (int k = 1; k < TEAR; k++) {
        double angle = 0.75 * PI + 2 * PI * (k - 1) / ROUND;
        l.points[k][0] = u + radius * cos(angle);
        l.points[k][1] = v + radius * sin(angle);
    }
    return l;
}

/* The middles of its sides lie on the circle. */
static loop disc(double u, double v, double radius) {
    loop l = {.count = CONE};
    for (int k = 0; k < CONE; k++) {
        double angle = 2 * PI * k / CONE, reach = radius / cos(PI / CONE);
        l.points[k][0] = u + reach * cos(angle);
        l.points[k][1] = v + reach * sin(angle);
    }
    return l;
}

/* ---- faces -------------------------------------------------------------------------------------
 */

static void begin(builder *b, loop outer) {
    b->outline.loops = 1;
    b->outline.first[0] = 0;
    b->outline.first[1] = outer.count;
    memcpy(b->outline.points, outer.points, (size_t)outer.count * sizeof *outer.points);
}

static void add_hole(builder *b, loop l) {
    face_outline *o = &b->outline;
    int first = o->first[o->loops];
    if (o->loops >= FACE_LOOPS || first + l.count > FACE_POINTS) {
        b->ok = false;
        return;
    }
    for (int k = 0; k < l.count; k++)
        memcpy(o->points[first + k], l.points[l.count - 1 - k], sizeof *o->points);
    o->first[++o->loops] = first + l.count;
}

/* First x second axis of a plane: x, -y, z. */
static bool is_turned(const plane *p) { return (p->axis == 1) != p->down; }

static bool end_face(builder *b, plane p, es_error *err) {
    int n = outline_triangles(&b->outline, b->triangles);
    b->ok = b->ok && n > 0;
    for (int t = 0; t < n; t++) {
        uint32_t corners[3];
        for (int k = 0; k < 3; k++) {
            float xyz[3];
            place(&p, b->outline.points[b->triangles[t][k]], xyz);
            if (!find_vertex(b, xyz, &corners[k], err)) return false;
        }
        if (!add_triangle(b, corners, is_turned(&p), err)) return false;
    }
    return true;
}

/* The inside of a hole between planes of one axis, from the lower to the upper. */
static bool add_tube(builder *b, plane low, plane high, const loop *l, es_error *err) {
    for (int k = 0; k < l->count; k++) {
        const double *p = l->points[k], *q = l->points[(k + 1) % l->count];
        float xyz[4][3];
        uint32_t c[4];
        place(&low, p, xyz[0]);
        place(&low, q, xyz[1]);
        place(&high, q, xyz[2]);
        place(&high, p, xyz[3]);
        for (int i = 0; i < 4; i++)
            if (!find_vertex(b, xyz[i], &c[i], err)) return false;
        bool turned = low.axis != 1;
        if (!add_triangle(b, (uint32_t[3]){c[0], c[1], c[2]}, turned, err) ||
            !add_triangle(b, (uint32_t[3]){c[0], c[2], c[3]}, turned, err))
            return false;
    }
    return true;
}

/* ---- landmarks ----------------------------------------------------------------------------------
 */

static bool in_face(const es_phantom_design *d, int k, double z, const double box[4]) {
    es_vec3 p = d->cones[k];
    return p.z == z && p.x > box[0] && p.y > box[1] && p.x < box[2] && p.y < box[3];
}

/* Holes and cones of the landmarks of a level face within x0 y0 x1 y1. */
static bool add_cones(builder *b, const es_phantom_design *d, double z, const double box[4],
                      es_error *err) {
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
        if (!in_face(d, k, z, box)) continue;
        loop l = disc(d->cones[k].x, d->cones[k].y, d->divot);
        const plane rim = {2, z, false}, foot = {2, z - d->divot, false};
        uint32_t c[3];
        float xyz[3];
        add_hole(b, l);
        place(&foot, (const double[2]){d->cones[k].x, d->cones[k].y}, xyz);
        if (!find_vertex(b, xyz, &c[2], err)) return false;
        for (int i = 0; i < l.count; i++) {
            for (int e = 0; e < 2; e++) {
                place(&rim, l.points[(i + e) % l.count], xyz);
                if (!find_vertex(b, xyz, &c[e], err)) return false;
            }
            if (!add_triangle(b, c, false, err)) return false;
        }
    }
    return true;
}

static bool add_level(builder *b, const es_phantom_design *d, double z, const double box[4],
                      es_error *err) {
    begin(b, rectangle(box[0], box[1], box[2], box[3]));
    return add_cones(b, d, z, box, err) && end_face(b, (plane){2, z, false}, err);
}

/* ---- the parts
 * ------------------------------------------------------------------------------------ */

/* The wires' holes in a wall: its two faces and the tubes between them. */
static bool add_wire_wall(builder *b, const es_phantom_design *d, bool back, es_error *err) {
    double x = d->size.x, t = d->options.wall, top = d->size.z, s = d->side_top, f = d->floor_top;
    double inner = back ? d->size.y - t : t, outer = back ? d->size.y : 0;
    const double shape[8][2] = {{t, f},   {x - t, f}, {x - t, s}, {x, s},
                                {x, top}, {0, top},   {0, s},     {t, s}};
    const plane faces[2] = {{1, outer, !back}, {1, inner, back}};
    loop holes[ES_WIRES_MAX];
    int n = 3 * d->wires.patterns;
    for (int w = 0; w < n; w++) {
        es_vec3 p = back ? d->wires.wires[w].back : d->wires.wires[w].front;
        holes[w] = tear(p.x, p.z, 0.5 * d->options.hole);
        if (!add_tube(b, faces[back], faces[!back], &holes[w], err)) return false;
    }
    for (int side = 0; side < 2; side++) {
        begin(b, side ? polygon(shape, 8) : rectangle(0, 0, x, top));
        for (int w = 0; w < n; w++) add_hole(b, holes[w]);
        if (!end_face(b, faces[side], err)) return false;
    }
    const double box[4] = {0, back ? inner : 0, x, back ? d->size.y : t};
    return add_level(b, d, top, box, err);
}

/* The lower walls; the one at the right with the marker's screws. */
static bool add_side_wall(builder *b, const es_phantom_design *d, bool right, es_error *err) {
    double y = d->size.y, t = d->options.wall, top = d->size.z, s = d->side_top;
    double inner = right ? d->size.x - t : t, outer = right ? d->size.x : 0;
    const double shape[8][2] = {{0, 0},     {y, 0}, {y, top}, {y - t, top},
                                {y - t, s}, {t, s}, {t, top}, {0, top}};
    const plane faces[2] = {{0, outer, !right}, {0, inner, right}};
    loop screws[2];
    for (int k = 0; k < 2; k++) {
        screws[k] = tear(0.5 * y + (k ? 1 : -1) * SCREWS_APART_MM, s - 5, 0.5 * SCREW_MM);
        if (right && !add_tube(b, faces[1], faces[0], &screws[k], err)) return false;
    }
    for (int side = 0; side < 2; side++) {
        begin(b, side ? rectangle(t, d->floor_top, y - t, s) : polygon(shape, 8));
        for (int k = 0; k < 2 && right; k++) add_hole(b, screws[k]);
        if (!end_face(b, faces[side], err)) return false;
    }
    const double box[4] = {right ? inner : 0, t, right ? d->size.x : t, y - t};
    return add_level(b, d, s, box, err);
}

static bool add_floor(builder *b, const es_phantom_design *d, es_error *err) {
    double t = d->options.wall, in = t + d->rim, x = d->size.x, y = d->size.y;
    const plane low = {2, 0, true}, high = {2, d->floor_top, false};
    const double box[4] = {t, t, x - t, y - t};
    loop window = rectangle(in, in, x - in, y - in);
    begin(b, rectangle(0, 0, x, y));
    add_hole(b, window);
    if (!end_face(b, low, err)) return false;
    begin(b, rectangle(box[0], box[1], box[2], box[3]));
    add_hole(b, window);
    return add_cones(b, d, d->floor_top, box, err) && end_face(b, high, err) &&
           add_tube(b, low, high, &window, err);
}

bool es_phantom_solid(const es_phantom_design *d, es_mesh *mesh, es_error *err) {
    *mesh = (es_mesh){0};
    builder *b = es_alloc_zero(1, sizeof *b, err);
    if (!b) return false;
    b->mesh = mesh;
    b->ok = true;
    bool ok = add_wire_wall(b, d, false, err) && add_wire_wall(b, d, true, err) &&
              add_side_wall(b, d, false, err) && add_side_wall(b, d, true, err) &&
              add_floor(b, d, err);
    if (ok && !b->ok) ok = es_fail(err, ES_USAGE, "phantom: these sizes make faces that overlap");
    es_free(b);
    if (!ok) es_mesh_clear(mesh);
    return ok;
}
