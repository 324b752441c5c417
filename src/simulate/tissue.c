/* tissue.c: bone by sphere tracing, soft tissue by noise.
 *
 * Soft tissue is not anatomy. It is there so that a bone detector meets what
 * misleads it in a real picture: skin, a layer of fat with a fascia in it, a
 * bright fascia between fat and muscle, septa and short bright fibres that
 * run along the bone. */
#include "tissue.h"

#include <math.h>
#include <string.h>

#include "shapes.h"

/* ---- noise --------------------------------------------------------------- */

/* One draw per cell of a lattice, -1 to 1. */
static double cell_value(uint64_t seed, int64_t x, int64_t y, int64_t z) {
    uint64_t cell =
        ((uint64_t)x & 0x1fffff) << 42 | ((uint64_t)y & 0x1fffff) << 21 | ((uint64_t)z & 0x1fffff);
    es_random random = es_random_new(seed, cell);
    return 2 * es_random_uniform(&random) - 1;
}

static double mix(double a, double b, double t) { return a + t * (b - a); }

double tissue_noise(uint64_t seed, es_vec3 p, double size_mm) {
    double x = p.x / size_mm, y = p.y / size_mm, z = p.z / size_mm;
    int64_t i = (int64_t)floor(x), j = (int64_t)floor(y), k = (int64_t)floor(z);
    double u = shape_ramp(x - (double)i, 0, 1), v = shape_ramp(y - (double)j, 0, 1);
    double w = shape_ramp(z - (double)k, 0, 1), plane[2];
    for (int d = 0; d < 2; d++)
        plane[d] = mix(
            mix(cell_value(seed, i, j, k + d), cell_value(seed, i + 1, j, k + d), u),
            mix(cell_value(seed, i, j + 1, k + d), cell_value(seed, i + 1, j + 1, k + d), u), v);
    return mix(plane[0], plane[1], w);
}

/* ---- bone ---------------------------------------------------------------- */

/* `start` and `direction` in scene axes. */
static void trace_line(const scene_model *model, es_vec3 start, es_vec3 direction, double limit_mm,
                       uint64_t seed, tissue_line *line) {
    memset(line, 0, sizeof *line);
    line->bone_mm = scene_trace(model, start, direction, limit_mm);
    if (!isfinite(line->bone_mm)) return;
    es_vec3 hit = es_vec3_add(start, es_vec3_scale(direction, line->bone_mm));
    es_vec3 normal = es_vec3_unit(scene_gradient(model, hit));
    line->cos_incidence = fmax(-es_vec3_dot(normal, direction), 0);
    if (model->cartilage)
        line->cartilage_mm = model->cartilage(model, hit) / fmax(line->cos_incidence, 0.3);
    line->bone_db = 4 * tissue_noise(seed + 9, hit, 2.5);
}

/* The flatter of the two sides: at a step of the bone there is no slope. */
static double line_slope(const probe_geometry *geometry, const tissue_line *lines, int index) {
    double slope = HUGE_VAL, here = lines[index].bone_mm;
    double pitch = probe_line_pitch_mm(geometry, here);
    for (int side = -1; side <= 1; side += 2) {
        int other = index + side;
        if (other < 0 || other >= geometry->lines || !isfinite(lines[other].bone_mm)) continue;
        slope = fmin(slope, fabs(lines[other].bone_mm - here) / pitch);
    }
    return isfinite(slope) ? slope : 0;
}

void tissue_trace_bone(const scene_model *model, const probe_geometry *geometry,
                       es_mat4 face_to_scene, uint64_t seed, tissue_line *lines) {
    for (int i = 0; i < geometry->lines; i++) {
        es_vec3 start, direction;
        probe_beam(geometry, face_to_scene, i, &start, &direction);
        trace_line(model, start, direction, geometry->depth_mm, seed, &lines[i]);
    }
    for (int i = 0; i < geometry->lines; i++)
        if (isfinite(lines[i].bone_mm)) lines[i].slope = line_slope(geometry, lines, i);
}

/* ---- layers -------------------------------------------------------------- */

/* Layers shrink where the bone is near. */
static void find_layers(es_vec3 p, uint64_t seed, tissue_line *line) {
    double room = fmin(line->bone_mm - line->cartilage_mm, 60);
    line->skin_mm = fmin(1.7 + 0.25 * tissue_noise(seed + 1, p, 9), 0.3 * room);
    double fat = 4.2 + 2.2 * tissue_noise(seed + 2, p, 26) + 0.5 * tissue_noise(seed + 3, p, 6);
    line->fat_mm = fmin(line->skin_mm + fat, 0.6 * room);
    line->septum_mm =
        line->fat_mm + 7 + 5 * tissue_noise(seed + 4, p, 22) + 0.8 * tissue_noise(seed + 5, p, 7);
    for (int i = 0; i < 3; i++)
        line->strength[i] =
            shape_ramp(tissue_noise(seed + 6 + (uint64_t)i, p, 11), i == 1 ? -0.7 : -0.1, 0.7);
    if (line->septum_mm > room - 1.5 || line->septum_mm < line->fat_mm + 1) line->strength[2] = 0;
}

void tissue_find_layers(const probe_geometry *geometry, es_mat4 face_to_scene, uint64_t seed,
                        tissue_line *lines) {
    for (int i = 0; i < geometry->lines; i++) {
        es_vec3 start, direction;
        probe_line(geometry, i, &start, &direction);
        find_layers(es_mat4_point(face_to_scene, start), seed, &lines[i]);
    }
}

/* ---- fibres -------------------------------------------------------------- */

#define CELL_MM 5.0

typedef struct fibre_search {
    const scene_model *model;
    es_mat4 scene_to_face;
    uint64_t seed;
    double half_width_mm, depth_mm;
    tissue_fibre *fibres;
    int count;
} fibre_search;

static double between(es_random *random, double low, double high) {
    return low + (high - low) * es_random_uniform(random);
}

/* Along the skin, give or take. */
static es_vec3 sheet_normal(const scene_model *model, es_vec3 p, es_random *random) {
    double d = model->skin(model, p), h = 0.5;
    es_vec3 slope = es_vec3_make(model->skin(model, es_vec3_make(p.x + h, p.y, p.z)) - d,
                                 model->skin(model, es_vec3_make(p.x, p.y + h, p.z)) - d,
                                 model->skin(model, es_vec3_make(p.x, p.y, p.z + h)) - d);
    slope = es_vec3_unit(slope);
    double x = between(random, -0.3, 0.3), y = between(random, -0.3, 0.3);
    return es_vec3_add(slope, es_vec3_make(x, y, between(random, -0.3, 0.3)));
}

/* The sheet of one cell, if it has one and the image plane cuts it; it never
 * touches the bone. */
static void add_fibre(fibre_search *search, int64_t x, int64_t y, int64_t z) {
    uint64_t cell =
        ((uint64_t)x & 0xffff) << 32 | ((uint64_t)y & 0xffff) << 16 | ((uint64_t)z & 0xffff);
    es_random random = es_random_new(search->seed + 20, cell);
    if (es_random_uniform(&random) > 0.75 || search->count == TISSUE_FIBRES) return;
    double px = between(&random, 0, 1), py = between(&random, 0, 1);
    es_vec3 p = es_vec3_make(((double)x + px) * CELL_MM, ((double)y + py) * CELL_MM,
                             ((double)z + between(&random, 0, 1)) * CELL_MM);
    es_vec3 in_face = es_mat4_point(search->scene_to_face, p);
    double thickness = between(&random, 1.5, 4);
    if (fabs(in_face.z) > thickness || fabs(in_face.x) > search->half_width_mm || in_face.y < 6 ||
        in_face.y > search->depth_mm)
        return;
    if (search->model->field(search->model, p) < 2.5 || search->model->skin(search->model, p) > -3)
        return;
    es_vec3 normal = es_mat4_vector(search->scene_to_face, sheet_normal(search->model, p, &random));
    double in_plane = hypot(normal.x, normal.y);
    if (in_plane < 0.5) return;
    double half = between(&random, 0.8, 4), off = in_face.z / thickness;
    double amplitude = pow(10, between(&random, -34, -12) / 20) * (1 - off * off);
    search->fibres[search->count++] = (tissue_fibre){
        in_face.x, in_face.y, normal.x / in_plane, normal.y / in_plane, half, amplitude};
}

int tissue_find_fibres(const scene_model *model, const probe_geometry *geometry,
                       es_mat4 face_to_scene, uint64_t seed, tissue_fibre fibres[TISSUE_FIBRES]) {
    fibre_search search = {.model = model, .seed = seed, .fibres = fibres};
    es_mat4_invert(face_to_scene, &search.scene_to_face, NULL);
    search.depth_mm = geometry->depth_mm;
    search.half_width_mm = geometry->half_width_mm;
    if (geometry->radius_mm > 0)
        search.half_width_mm =
            (geometry->radius_mm + geometry->depth_mm) * sin(geometry->half_angle_rad);
    es_box3 box = es_box3_empty();
    for (int i = 0; i < 4; i++)
        es_box3_add(
            &box, es_mat4_point(face_to_scene, es_vec3_make(search.half_width_mm * (i % 2 ? 1 : -1),
                                                            search.depth_mm * (i / 2), 0)));
    int64_t low[3] = {(int64_t)floor((box.min.x - 5) / CELL_MM),
                      (int64_t)floor((box.min.y - 5) / CELL_MM),
                      (int64_t)floor((box.min.z - 5) / CELL_MM)};
    int64_t high[3] = {(int64_t)floor((box.max.x + 5) / CELL_MM),
                       (int64_t)floor((box.max.y + 5) / CELL_MM),
                       (int64_t)floor((box.max.z + 5) / CELL_MM)};
    for (int64_t z = low[2]; z <= high[2]; z++)
        for (int64_t y = low[1]; y <= high[1]; y++)
            for (int64_t x = low[0]; x <= high[0]; x++) add_fibre(&search, x, y, z);
    return search.count;
}
