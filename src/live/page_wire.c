/* Pictures, meshes and paths as bytes for the page; page_wire.h has the layout. */
#include "page_wire.h"

#include <math.h>
#include <string.h>

#include "echosolid/bone.h"
#include "little_wire.h"

static void put_u32(es_text *out, size_t value) { little_put(out, (uint32_t)value, 4); }

static void pad(es_text *out) { es_text_add_bytes(out, "\0\0\0", (4 - out->length % 4) % 4); }

static void begin(es_text *out, const char kind[5]) {
    out->length = 0;
    out->failed = false;
    es_text_add_bytes(out, kind, 4);
    put_u32(out, PAGE_WIRE_VERSION);
}

/* ---- the picture ------------------------------------------------------------------- */

/* The mean of a block of the frame, 0 to 255. */
static uint8_t block_mean(const es_image *image, uint32_t u0, uint32_t v0, uint32_t block,
                          double full) {
    uint32_t u1 = u0 + block < image->width ? u0 + block : image->width,
             v1 = v0 + block < image->height ? v0 + block : image->height;
    double sum = 0;
    size_t channels = (size_t)image->channels;
    for (uint32_t v = v0; v < v1; v++)
        for (size_t i = ((size_t)v * image->width + u0) * channels;
             i < ((size_t)v * image->width + u1) * channels; i++)
            sum += image->type == ES_U8 ? ((const uint8_t *)image->data)[i]
                                        : es_type_get(image->type, image->data, i);
    double mean = sum / ((double)(u1 - u0) * (v1 - v0) * (double)channels) / full;
    return mean > 1 ? 255 : mean > 0 ? (uint8_t)lround(255 * mean) : 0;
}

static double white_of(const es_image *image, double known) {
    size_t count = (size_t)image->width * image->height * (size_t)image->channels;
    double most = known > 0 ? known : 1;
    if (image->type == ES_U8) return 255;
    for (size_t i = 0; i < count; i += 7) /* enough to see how bright it is */
        most = fmax(most, es_type_get(image->type, image->data, i));
    return isfinite(most) ? most : 1;
}

static void put_grey(es_text *out, const es_image *image, uint32_t block, double full) {
    if (block == 1 && image->type == ES_U8 && image->channels == 1) { /* as it is: white is 255 */
        es_text_add_bytes(out, image->data, (size_t)image->width * image->height);
        return;
    }
    for (uint32_t v = 0; v < image->height; v += block)
        for (uint32_t u = 0; u < image->width; u += block) {
            uint8_t grey = block_mean(image, u, v, block, full);
            es_text_add_bytes(out, &grey, 1);
        }
}

/* Places of the found bone, with a NaN between two pieces; how many. */
static size_t put_bone(es_text *out, const es_trace *trace) {
    size_t count = 0;
    for (size_t i = 0, end; trace && i < trace->count; i = end) {
        end = es_bone_piece_end(trace, i);
        if (!trace->lines[i].found) continue;
        for (size_t k = i; k < end; k++) {
            double u, v;
            es_bone_point(&trace->lines[k], &u, &v);
            little_put_f32(out, u);
            little_put_f32(out, v);
            little_put_f32(out, (double)trace->lines[k].confidence);
        }
        for (int k = 0; k < 3; k++) little_put_f32(out, NAN);
        count += end - i + 1;
    }
    return count;
}

bool page_put_picture(es_text *out, const page_picture *p) {
    const es_image *image = &p->frame->image;
    uint32_t longer = image->width > image->height ? image->width : image->height;
    uint32_t block = longer / (uint32_t)p->side + (longer % (uint32_t)p->side != 0);
    *p->full = white_of(image, *p->full);
    begin(out, "PICT");
    little_put_f64(out, p->frame->has_time ? p->frame->time_s : NAN);
    little_put_f64(out, (double)p->frame->index);
    put_u32(out, (image->width + block - 1) / block);
    put_u32(out, (image->height + block - 1) / block);
    put_u32(out, image->width);
    put_u32(out, image->height);
    put_u32(out, (size_t)(p->place != NULL) + (p->trace ? 2 : 0));
    size_t points_at = out->length;
    put_u32(out, 0);
    for (int i = 0; i < 12; i++) little_put_f32(out, p->place ? p->place->m[i] : 0);
    size_t points = put_bone(out, p->trace);
    for (int i = 0; i < 4 && !out->failed; i++)
        out->bytes[points_at + (size_t)i] = (char)(points >> 8 * i);
    put_grey(out, image, block, *p->full);
    pad(out);
    return !out->failed;
}

/* ---- the mesh ------------------------------------------------------------------------ */

enum { CORNER_STEPS = 65535, SHORT_INDICES = 65536 };

/* Corners as steps from the lowest one: one step for all axes, so that normals stay. */
typedef struct corner_lattice {
    float origin[3];
    float step;
} corner_lattice;

static corner_lattice lattice_of(const es_mesh *mesh) {
    corner_lattice l = {{0, 0, 0}, 1};
    float widest = 0;
    for (size_t a = 0; a < 3 && mesh->vertex_count > 0; a++) {
        float low = mesh->vertices[a], high = low;
        for (size_t i = a; i < 3 * mesh->vertex_count; i += 3) {
            low = fminf(low, mesh->vertices[i]);
            high = fmaxf(high, mesh->vertices[i]);
        }
        l.origin[a] = low;
        widest = fmaxf(widest, high - low);
    }
    if (widest > 0) l.step = widest / CORNER_STEPS;
    return l;
}

/* Numbers of 16 bits, many at once: a call for each would take longer than the rest. */
typedef struct shorts {
    es_text *out;
    size_t count;
    uint8_t bytes[2048];
} shorts;

static void flush_shorts(shorts *s) {
    es_text_add_bytes(s->out, s->bytes, s->count);
    s->count = 0;
}

static void put_short(shorts *s, uint32_t value) {
    s->bytes[s->count++] = (uint8_t)value;
    s->bytes[s->count++] = (uint8_t)(value >> 8);
    if (s->count == sizeof s->bytes) flush_shorts(s);
}

static void put_corners(es_text *out, const es_mesh *mesh) {
    const corner_lattice l = lattice_of(mesh);
    shorts s = {.out = out};
    for (size_t a = 0; a < 3; a++) little_put_f32(out, (double)l.origin[a]);
    little_put_f32(out, (double)l.step);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) {
        float at = (mesh->vertices[i] - l.origin[i % 3]) / l.step;
        put_short(&s, (uint32_t)fminf(at + 0.5f, CORNER_STEPS));
    }
    flush_shorts(&s);
    pad(out);
}

static void put_normals(es_text *out, const float *normals, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int8_t packed[4] = {0};
        for (int a = 0; a < 3; a++) packed[a] = (int8_t)lroundf(127 * normals[3 * i + (size_t)a]);
        es_text_add_bytes(out, packed, 4);
    }
}

static void put_confidence(es_text *out, const es_mesh *mesh) {
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        float share = mesh->confidence ? fminf(fmaxf(mesh->confidence[i], 0), 1) : 1;
        uint8_t byte = (uint8_t)lroundf(255 * share);
        es_text_add_bytes(out, &byte, 1);
    }
    pad(out);
}

static void put_triangles(es_text *out, const es_mesh *mesh) {
    const bool is_short = mesh->vertex_count <= SHORT_INDICES;
    shorts s = {.out = out};
    for (size_t i = 0; i < 3 * mesh->triangle_count; i++) {
        put_short(&s, mesh->triangles[i]);
        if (!is_short) put_short(&s, mesh->triangles[i] >> 16);
    }
    flush_shorts(&s);
    pad(out);
}

bool page_put_mesh(es_text *out, const es_mesh *mesh) {
    float *normals = es_alloc(mesh->vertex_count, 3 * sizeof *normals, NULL);
    if (!normals) return false;
    es_mesh_normals(mesh, normals);
    begin(out, "MESH");
    put_u32(out, mesh->vertex_count);
    put_u32(out, mesh->triangle_count);
    put_corners(out, mesh);
    put_normals(out, normals, mesh->vertex_count);
    put_confidence(out, mesh);
    put_triangles(out, mesh);
    es_free(normals);
    return !out->failed;
}

/* ---- the slices ------------------------------------------------------------------------- */

/* More voxels a side are left out, evenly. */
enum { CUT_SIDE = 512 };

static uint64_t step_of(uint64_t count) { return (count + CUT_SIDE - 1) / CUT_SIDE; }

static es_vec3 voxel_mm(const es_mat4 *to_mm, const uint64_t at[3]) {
    return es_mat4_point(*to_mm, es_vec3_make((double)at[0], (double)at[1], (double)at[2]));
}

static void put_cut(es_text *out, const es_grid *g, const uint64_t through[3], int axis,
                    double full) {
    const es_mat4 to_mm = es_grid_to_mm(&g->info);
    const uint64_t *n = g->info.size;
    int u = axis == 0 ? 1 : 0, v = axis == 2 ? 1 : 2;
    uint64_t du = step_of(n[u]), dv = step_of(n[v]), at[3] = {0, 0, 0};
    at[axis] = through[axis];
    put_u32(out, (n[u] + du - 1) / du);
    put_u32(out, (n[v] + dv - 1) / dv);
    es_vec3 first = voxel_mm(&to_mm, at), next;
    little_put_vec3(out, first);
    at[u] = du;
    next = voxel_mm(&to_mm, at);
    little_put_vec3(out, es_vec3_sub(next, first));
    at[u] = 0;
    at[v] = dv;
    next = voxel_mm(&to_mm, at);
    little_put_vec3(out, es_vec3_sub(next, first));
    for (at[v] = 0; at[v] < n[v]; at[v] += dv)
        for (at[u] = 0; at[u] < n[u]; at[u] += du) {
            uint64_t i = (at[2] * n[1] + at[1]) * n[0] + at[0];
            double share =
                es_type_get(g->info.type, g->data, (size_t)i * (size_t)g->info.channels) / full;
            uint8_t grey = share > 1 ? 255 : share > 0 ? (uint8_t)lround(255 * share) : 0;
            es_text_add_bytes(out, &grey, 1);
        }
    pad(out);
}

bool page_put_cuts(es_text *out, const es_grid *g, es_vec3 place, double full) {
    es_mat4 to_voxel;
    uint64_t through[3];
    if (!es_mat4_invert(es_grid_to_mm(&g->info), &to_voxel, NULL)) return false;
    es_vec3 at = es_mat4_point(to_voxel, place);
    const double near[3] = {at.x, at.y, at.z};
    for (int a = 0; a < 3; a++) {
        double last = (double)g->info.size[a] - 1;
        through[a] = near[a] >= 0 ? (uint64_t)lround(fmin(near[a], last)) : 0; /* NaN: 0 */
    }
    begin(out, "CUTS");
    for (int axis = 0; axis < 3; axis++) put_cut(out, g, through, axis, full > 0 ? full : 255);
    for (int a = 0; a < 3; a++) put_u32(out, (size_t)g->info.size[a]);
    for (int a = 0; a < 3; a++) put_u32(out, (size_t)through[a]);
    const es_mat4 to_mm = es_grid_to_mm(&g->info);
    for (int i = 0; i < 12; i++) little_put_f32(out, to_mm.m[i]);
    return !out->failed;
}

/* ---- the path --------------------------------------------------------------------------- */

bool page_put_path(es_text *out, const float *places, size_t count, const es_vec3 *gaps,
                   size_t gap_count) {
    begin(out, "PATH");
    put_u32(out, count);
    put_u32(out, gap_count);
    for (size_t i = 0; i < 3 * count; i++) little_put_f32(out, (double)places[i]);
    for (size_t i = 0; i < gap_count; i++) little_put_vec3(out, gaps[i]);
    return !out->failed;
}
