/* A shaded picture of a triangle mesh.
 *
 * Orthographic: vertices are turned into a frame whose z points at the eye
 * and scaled so that the mesh fills the picture. Corners are snapped to 1/256
 * of a sample, so that the edge tests are exact whole numbers: neighbours
 * leave no gap, and every machine draws the same bytes. Each pixel has 2 x 2
 * samples; each sample keeps the nearest triangle's colour. Light comes from
 * the eye; a triangle seen from its inside gets another tint, so that an open
 * sheet cannot be taken for a solid. */
#include <math.h>
#include <string.h>

#include "picture_internal.h"

static const es_colour background = {246, 247, 249}, ink = {44, 50, 60}, bone = {233, 219, 192},
                       inside = {112, 132, 176}, no_value = {150, 150, 150};

enum { SUB = 256, SAMPLES = 2, SHADES = 256 };

/* One vertex on the canvas: x and y in 1/SUB samples, z in mm towards the eye,
 * `facing` the cosine between normal and eye, `t` the colour map's place. */
typedef struct corner {
    int32_t x, y;
    float z, facing, t;
    bool finite;
} corner;

typedef struct renderer {
    const es_mesh *mesh;
    const es_mesh_view *view;
    double low, high;       /* of the scalar */
    es_vec3 right, up, eye; /* unit vectors of the view */
    double px_per_mm;
    uint32_t width, height; /* of the canvas, samples */
    corner *corners;
    float *depth; /* nearest z per sample; -inf: background */
    es_colour *colour;
    float gain[SHADES], shine[SHADES];
    es_colour map[SHADES];
} renderer;

/* Room around the mesh, pixels of the picture at letter scale 1. */
enum { MARGIN = 6, FOOT = 38, BAR_WIDTH = 64, BAR_TITLE = 14 };

static void renderer_clear(renderer *r) {
    es_free(r->corners);
    es_free(r->depth);
    es_free(r->colour);
}

/* ---- the view ----------------------------------------------------------------- */

static bool choose_axes(renderer *r, es_error *err) {
    r->eye = es_vec3_unit(r->view->toward_eye);
    double length = es_vec3_length(r->eye);
    if (!(length > 0.5 && length < 2))
        return es_fail(err, ES_USAGE, "the direction to the eye has no length");
    es_vec3 up = es_vec3_unit(r->view->up);
    if (!(es_vec3_length(es_vec3_cross(up, r->eye)) > 1e-6)) /* along the view, 0 or NaN */
        up = fabs(r->eye.z) < 0.9 ? es_vec3_make(0, 0, 1) : es_vec3_make(0, 1, 0);
    r->right = es_vec3_unit(es_vec3_cross(up, r->eye));
    r->up = es_vec3_cross(r->eye, r->right);
    return true;
}

static es_vec3 vertex_at(const es_mesh *mesh, size_t i) {
    const float *v = mesh->vertices + 3 * i;
    return es_vec3_make((double)v[0], (double)v[1], (double)v[2]);
}

static bool is_finite(es_vec3 p) { return isfinite(p.x) && isfinite(p.y) && isfinite(p.z); }

static es_vec3 to_view(const renderer *r, es_vec3 p) {
    return es_vec3_make(es_vec3_dot(p, r->right), es_vec3_dot(p, r->up), es_vec3_dot(p, r->eye));
}

/* Box of the mesh in the view's frame; corners of triangles only. */
static bool view_box(const renderer *r, es_box3 *box, es_error *err) {
    *box = es_box3_empty();
    for (size_t i = 0; i < 3 * r->mesh->triangle_count; i++) {
        uint32_t vertex = r->mesh->triangles[i];
        if (vertex >= r->mesh->vertex_count)
            return es_fail(err, ES_FORMAT, "triangle %zu names vertex %u; the mesh has %zu", i / 3,
                           vertex, r->mesh->vertex_count);
        es_vec3 p = vertex_at(r->mesh, vertex);
        if (is_finite(p)) es_box3_add(box, to_view(r, p));
    }
    if (es_box3_is_empty(*box)) return es_fail(err, ES_USAGE, "the mesh to be drawn is empty");
    return true;
}

/* The mesh between the margins, above the foot, left of the colour bar. */
static void place_corners(renderer *r, const es_box3 *box, const float *normals) {
    int scale = picture_letter_scale(r->view->width);
    double wide = r->view->width - 2.0 * MARGIN * scale - (r->view->scalar ? BAR_WIDTH * scale : 0);
    double high = r->view->height - (2.0 * MARGIN + FOOT) * scale;
    double size_x = fmax(box->max.x - box->min.x, 1e-6),
           size_y = fmax(box->max.y - box->min.y, 1e-6);
    r->px_per_mm = fmax(fmin(wide / size_x, high / size_y), 1e-9);
    double unit = r->px_per_mm * SAMPLES * SUB;
    double left = (MARGIN * scale + wide / 2) * SAMPLES * SUB;
    double top = (MARGIN * scale + high / 2) * SAMPLES * SUB;
    double middle_x = (box->min.x + box->max.x) / 2, middle_y = (box->min.y + box->max.y) / 2;
    for (size_t i = 0; i < r->mesh->vertex_count; i++) {
        es_vec3 p = to_view(r, vertex_at(r->mesh, i));
        corner *c = &r->corners[i];
        double x = left + (p.x - middle_x) * unit, y = top - (p.y - middle_y) * unit;
        c->finite = fabs(x) < INT32_MAX / 4 && fabs(y) < INT32_MAX / 4 && isfinite(p.z);
        if (!c->finite) continue;
        c->x = (int32_t)lround(x);
        c->y = (int32_t)lround(y);
        c->z = (float)p.z;
        const float *n = normals + 3 * i;
        c->facing = (float)(n[0] * r->eye.x + n[1] * r->eye.y + n[2] * r->eye.z);
        c->t = NAN;
        if (r->view->scalar && !isnan(r->view->scalar[i]))
            c->t = (float)picture_window((double)r->view->scalar[i], r->low, r->high);
    }
}

/* ---- light -------------------------------------------------------------------- */

/* Ambient + headlight, and a small highlight, by the cosine to the eye. */
static void make_shades(renderer *r) {
    for (int i = 0; i < SHADES; i++) {
        double facing = i / (SHADES - 1.0), glint = facing;
        for (int k = 0; k < 5; k++) glint *= glint; /* facing^32 */
        r->gain[i] = (float)(0.28 + 0.72 * facing);
        r->shine[i] = (float)(14 * glint);
        r->map[i] = es_picture_colour_map(facing);
    }
}

static es_colour shade(const renderer *r, float facing, float t, bool back) {
    es_colour base = r->view->scalar ? no_value : bone;
    if (!isnan(t)) base = r->map[(int)(t * (SHADES - 1) + 0.5f)];
    if (back) base = isnan(t) ? inside : picture_mix(base, inside, 0.5);
    facing = back ? -facing : facing;
    int i = facing > 0 ? (int)(fminf(facing, 1) * (SHADES - 1)) : 0;
    return (es_colour){picture_byte((double)(base.r * r->gain[i] + r->shine[i])),
                       picture_byte((double)(base.g * r->gain[i] + r->shine[i])),
                       picture_byte((double)(base.b * r->gain[i] + r->shine[i]))};
}

/* Vertex normals smooth the shading, except over creases of more than 60
 * degrees, where the triangle's own normal is the better one. */
static void corner_facings(const renderer *r, const uint32_t *triangle, float facing[3]) {
    es_vec3 a = vertex_at(r->mesh, triangle[0]), b = vertex_at(r->mesh, triangle[1]);
    es_vec3 c = vertex_at(r->mesh, triangle[2]);
    es_vec3 normal = es_vec3_unit(es_vec3_cross(es_vec3_sub(b, a), es_vec3_sub(c, a)));
    float flat = (float)es_vec3_dot(normal, r->eye);
    for (int k = 0; k < 3; k++) {
        float smooth = r->corners[triangle[k]].facing;
        facing[k] = fabsf(smooth - flat) <= 0.5f ? smooth : flat;
    }
}

/* ---- filling ------------------------------------------------------------------ */

/* Twice the signed area of a, b, p: positive when p lies left of a -> b on a
 * canvas whose y points down and whose triangle winds the other way. */
static int64_t edge(const corner *a, const corner *b, int64_t x, int64_t y) {
    return (int64_t)(b->x - a->x) * (y - a->y) - (int64_t)(b->y - a->y) * (x - a->x);
}

static int32_t least(int32_t a, int32_t b, int32_t c) {
    int32_t low = a < b ? a : b;
    return low < c ? low : c;
}

static int32_t most(int32_t a, int32_t b, int32_t c) { return -least(-a, -b, -c); }

/* Samples lie at (i + 1/2) * SUB: those within [low, high], clipped. */
static bool sample_range(int32_t low, int32_t high, uint32_t size, int32_t *first, int32_t *last) {
    *first = low > SUB / 2 ? (low + SUB / 2 - 1) / SUB : 0;
    *last = high >= SUB / 2 ? (high - SUB / 2) / SUB : -1;
    if (*last >= (int32_t)size) *last = (int32_t)size - 1;
    return *first <= *last;
}

/* A triangle in the order that makes its area positive on the canvas. */
typedef struct face {
    const corner *a, *b, *c;
    float facing[3];
    double inverse_area;
    bool back;
} face;

static void draw_sample(renderer *r, const face *f, size_t at, int64_t wa, int64_t wb) {
    float p = (float)((double)wa * f->inverse_area), q = (float)((double)wb * f->inverse_area);
    float s = 1 - p - q;
    float z = p * f->a->z + q * f->b->z + s * f->c->z;
    if (!(z > r->depth[at])) return;
    r->depth[at] = z;
    float facing = p * f->facing[0] + q * f->facing[1] + s * f->facing[2];
    float t = p * f->a->t + q * f->b->t + s * f->c->t;
    r->colour[at] = shade(r, facing, t > 1 ? 1 : t < 0 ? 0 : t, f->back);
}

static void fill_face(renderer *r, const face *f) {
    const corner *a = f->a, *b = f->b, *c = f->c;
    int32_t u0, u1, v0, v1;
    if (!sample_range(least(a->x, b->x, c->x), most(a->x, b->x, c->x), r->width, &u0, &u1)) return;
    if (!sample_range(least(a->y, b->y, c->y), most(a->y, b->y, c->y), r->height, &v0, &v1)) return;
    for (int32_t v = v0; v <= v1; v++) {
        int64_t x = (int64_t)u0 * SUB + SUB / 2, y = (int64_t)v * SUB + SUB / 2;
        int64_t wa = edge(b, c, x, y), wb = edge(c, a, x, y), wc = edge(a, b, x, y);
        size_t row = (size_t)v * r->width;
        for (int32_t u = u0; u <= u1; u++) {
            if ((wa | wb | wc) >= 0) draw_sample(r, f, row + (size_t)u, wa, wb);
            wa -= (int64_t)(c->y - b->y) * SUB;
            wb -= (int64_t)(a->y - c->y) * SUB;
            wc -= (int64_t)(b->y - a->y) * SUB;
        }
    }
}

static void draw_triangle(renderer *r, const uint32_t *triangle) {
    const corner *a = &r->corners[triangle[0]], *b = &r->corners[triangle[1]];
    const corner *c = &r->corners[triangle[2]];
    if (!a->finite || !b->finite || !c->finite) return;
    int64_t area = edge(a, b, c->x, c->y);
    if (area == 0) return;
    /* Counter-clockwise seen from the front has negative area where y points down. */
    face f = {.a = a, .b = b, .c = c, .back = area > 0};
    corner_facings(r, triangle, f.facing);
    if (area < 0) {
        float swap = f.facing[1];
        f.facing[1] = f.facing[2];
        f.facing[2] = swap;
        f.b = c;
        f.c = b;
        area = -area;
    }
    f.inverse_area = 1 / (double)area;
    fill_face(r, &f);
}

static void resolve(const renderer *r, es_image *picture) {
    es_colour *out = picture->data;
    for (uint32_t v = 0; v < picture->height; v++)
        for (uint32_t u = 0; u < picture->width; u++) {
            const es_colour *s = r->colour + (size_t)v * SAMPLES * r->width + (size_t)u * SAMPLES;
            const es_colour *n = s + r->width;
            *out++ = (es_colour){(uint8_t)((s[0].r + s[1].r + n[0].r + n[1].r + 2) / 4),
                                 (uint8_t)((s[0].g + s[1].g + n[0].g + n[1].g + 2) / 4),
                                 (uint8_t)((s[0].b + s[1].b + n[0].b + n[1].b + 2) / 4)};
        }
}

/* ---- what stands beside the mesh --------------------------------------------- */

static void draw_colour_bar(const renderer *r, es_image *picture) {
    int scale = picture_letter_scale(picture->width);
    const char *name = r->view->scalar_name ? r->view->scalar_name : "";
    int left = (int)picture->width - (BAR_WIDTH - 6) * scale, top = (MARGIN + BAR_TITLE) * scale;
    int height = (int)picture->height - (FOOT + BAR_TITLE + 2 * MARGIN) * scale;
    int title = (int)picture->width - MARGIN * scale - picture_text_width(name, scale);
    double span = r->high - r->low;
    for (int i = 0; i < height; i++) {
        es_colour colour = es_picture_colour_map(1 - i / fmax(height - 1, 1));
        es_picture_line(picture, left, top + i, left + 9 * scale, top + i, 1, colour);
    }
    double step = span > 0 ? picture_round_length(span / 4) : 1, first = ceil(r->low / step);
    for (int i = 0; i <= 10; i++) {
        double value = (first + i) * step;
        if (value > r->high + step * 1e-6) break;
        int v = top + (int)lround((1 - picture_window(value, r->low, r->high)) * (height - 1));
        char number[ES_NUMBER_SIZE];
        es_picture_line(picture, left + 10 * scale, v, left + 12 * scale, v, 1, ink);
        es_picture_text(picture, left + 15 * scale, v - 3 * scale, scale, ink,
                        picture_number(value, picture_decimals(step), number));
    }
    es_picture_text(picture, title > 0 ? title : 0, MARGIN * scale, scale, ink, name);
}

static void draw_furniture(const renderer *r, es_image *picture) {
    static const char *const names[3] = {"x", "y", "z"};
    static const es_colour colours[3] = {{190, 50, 50}, {40, 130, 60}, {50, 80, 190}};
    int scale = picture_letter_scale(picture->width);
    double length = 12 * scale, right[3] = {r->right.x, r->right.y, r->right.z},
           up[3] = {r->up.x, r->up.y, r->up.z}, tips[3][2];
    for (int i = 0; i < 3; i++) {
        tips[i][0] = right[i] * length;
        tips[i][1] = -up[i] * length;
    }
    picture_axes(picture, 22.0 * scale, picture->height - 22.0 * scale, (const double(*)[2])tips,
                 names, colours, 3);
    picture_scale_bar(picture, 56 * scale, (int)picture->height - 7 * scale, r->px_per_mm,
                      (int)picture->width / 4, ink);
    if (r->view->scalar) draw_colour_bar(r, picture);
}

/* ---- the whole ------------------------------------------------------------------ */

static bool check_view(renderer *r, es_error *err) {
    const es_mesh_view *view = r->view;
    if (!picture_check_size(view->width, view->height, err)) return false;
    int scale = picture_letter_scale(view->width);
    uint32_t wide = (uint32_t)(scale * (BAR_WIDTH + 4 * MARGIN));
    uint32_t high = (uint32_t)(scale * (FOOT + BAR_TITLE + 4 * MARGIN));
    if (view->width < wide || view->height < high)
        return es_fail(err, ES_USAGE, "a mesh picture of %u x %u pixels; at least %u x %u",
                       view->width, view->height, wide, high);
    r->low = view->low;
    r->high = view->high;
    if (view->scalar && !(r->high > r->low) &&
        !picture_range(view->scalar, r->mesh->vertex_count, &r->low, &r->high))
        r->low = r->high = 0;
    if (view->scalar && !(isfinite(r->low) && isfinite(r->high)))
        return es_fail(err, ES_USAGE, "colours from %g to %g; expected finite numbers", r->low,
                       r->high);
    return choose_axes(r, err);
}

static bool make_canvas(renderer *r, es_error *err) {
    r->width = r->view->width * SAMPLES;
    r->height = r->view->height * SAMPLES;
    size_t count = (size_t)r->width * r->height;
    r->corners = es_alloc(r->mesh->vertex_count, sizeof *r->corners, err);
    if (r->corners) r->depth = es_alloc(count, sizeof *r->depth, err);
    if (r->depth) r->colour = es_alloc(count, sizeof *r->colour, err);
    if (!r->colour) return false;
    for (size_t i = 0; i < count; i++) r->depth[i] = -INFINITY;
    for (size_t i = 0; i < count; i++) r->colour[i] = background;
    return true;
}

bool es_picture_mesh(const es_mesh *mesh, const es_mesh_view *view, es_image *picture,
                     es_error *err) {
    renderer r = {.mesh = mesh, .view = view};
    es_box3 box;
    float *normals = NULL;
    bool ok = check_view(&r, err) && view_box(&r, &box, err) && make_canvas(&r, err);
    if (ok) ok = (normals = es_alloc(mesh->vertex_count, 3 * sizeof *normals, err)) != NULL;
    if (ok) ok = es_picture_new(picture, view->width, view->height, background, err);
    if (ok) {
        es_mesh_normals(mesh, normals);
        place_corners(&r, &box, normals);
        make_shades(&r);
        for (size_t i = 0; i < mesh->triangle_count; i++)
            draw_triangle(&r, mesh->triangles + 3 * i);
        resolve(&r, picture);
        draw_furniture(&r, picture);
    }
    es_free(normals);
    renderer_clear(&r);
    return ok;
}
