/* bmode.c: a plain B-mode picture.
 *
 * In scan-line space, rows of samples by lines:
 *   1. speckle: complex white noise through a separable Gaussian point-spread
 *      function (axial, then lateral with a width that depends on depth), of
 *      unit variance;
 *   2. level: the amplitude of the scatterers, by layer, ball and shadow. It
 *      multiplies the speckle after the blur, so that borders are where the
 *      geometry has them, however wide the beam;
 *   3. echo: mirrors (skin, fascia, fibres, bone) as Gaussian profiles along
 *      the line, wider where the bone runs down along the beam;
 *   4. envelope |level * speckle + echo|, logarithm, 60 dB to 256 greys.
 * Then the scan converter: each pixel between its two lines and two rows.
 *
 * Amplitudes are relative to white; the figures were set by eye beside real
 * frames of bone. */
#include "bmode.h"

#include <math.h>
#include <string.h>

#include "floor.h"
#include "shapes.h"
#include "speckle.h"
#include "tissue.h"

enum { MOST_TAPS = 25 };
enum { CELL_LINES = 16, CELL_ROWS = 6 }; /* between two values of slow noise */
#define RANGE_DB 60.0f
#define BACKGROUND 0.02f /* -34 dB: tissue without layers */
#define STREAM_SPECKLE (1ull << 32)

typedef struct pixel {
    int32_t sample; /* upper left of the four samples; -1: outside the fan */
    float right, down;
} pixel;

struct bmode {
    const scene_model *model;
    probe_geometry geometry;
    uint64_t seed;
    float speckle;
    size_t pixel_count;
    pixel *pixels;
    float axial_mm; /* standard deviation of the pulse */
    kernel axial;
    kernel *lateral; /* one a row */
    float *lateral_mm, *gain;
    int margin; /* lines of noise beside the picture */
};

struct bmode_scratch {
    float *noise;   /* (rows + 2 axial.half) x 2 (lines + 2 margin), re and im by turns */
    float *row;     /* one blurred row of it */
    float *speckle; /* rows x 2 lines */
    float *level, *echo, *grey; /* rows x lines */
    tissue_line *lines;
    tissue_fibre fibres[TISSUE_FIBRES];
};

/* ---- tables -------------------------------------------------------------- */

/* Beams are narrowest at the focus, in the middle of the depth. */
static void fill_row_tables(bmode *b) {
    const probe_geometry *g = &b->geometry;
    double size = sqrt(g->depth_mm / 60), focus = 0.45 * g->depth_mm;
    b->axial_mm = (float)(0.13 * size);
    b->axial = gaussian(b->axial_mm / g->row_mm, (MOST_TAPS - 1) / 2);
    for (int r = 0; r < g->rows; r++) {
        double depth = r * g->row_mm, away = (depth - focus) / focus;
        b->lateral_mm[r] = (float)(0.3 * size * sqrt(1 + away * away));
        double sigma = fmax(b->lateral_mm[r] / probe_line_pitch_mm(g, depth), 0.4);
        b->lateral[r] = gaussian(sigma, (MOST_TAPS - 1) / 2);
        if (b->lateral[r].half > b->margin) b->margin = b->lateral[r].half;
        b->gain[r] = b->model->bone ? (float)pow(10, -0.08 * depth / 20) : 1;
    }
}

static void fill_pixels(bmode *b, const uint32_t size[2]) {
    const probe_geometry *g = &b->geometry;
    es_fan fan = probe_fan(g);
    es_mat4 image_to_face = probe_image_to_face(g);
    for (uint32_t v = 0; v < size[1]; v++)
        for (uint32_t u = 0; u < size[0]; u++) {
            pixel *p = &b->pixels[(size_t)v * size[0] + u];
            p->sample = -1;
            if (!es_fan_contains(&fan, u, v)) continue;
            es_vec3 at = es_mat4_point(image_to_face, es_vec3_make(u, v, 0));
            double line, row;
            probe_line_of(g, at.x, at.y, &line, &row);
            int i = (int)shape_clamp(line, 0, g->lines - 2);
            int r = (int)shape_clamp(row, 0, g->rows - 2);
            p->sample = r * g->lines + i;
            p->right = (float)shape_clamp(line - i, 0, 1);
            p->down = (float)shape_clamp(row - r, 0, 1);
        }
}

bmode *bmode_new(const es_simulation *simulation, const scene_model *model,
                 const probe_geometry *geometry, es_error *err) {
    bmode *b = es_alloc_zero(1, sizeof *b, err);
    if (!b) return NULL;
    const uint32_t *size = simulation->probe.image_size;
    b->model = model;
    b->geometry = *geometry;
    b->seed = simulation->seed;
    b->speckle = (float)simulation->speckle;
    b->pixel_count = (size_t)size[0] * size[1];
    b->pixels = es_alloc(b->pixel_count, sizeof *b->pixels, err);
    b->lateral = es_alloc((size_t)geometry->rows, sizeof *b->lateral, err);
    b->lateral_mm = es_alloc((size_t)geometry->rows, sizeof *b->lateral_mm, err);
    b->gain = es_alloc((size_t)geometry->rows, sizeof *b->gain, err);
    if (!b->pixels || !b->lateral || !b->lateral_mm || !b->gain) {
        bmode_free(b);
        return NULL;
    }
    fill_row_tables(b);
    fill_pixels(b, size);
    return b;
}

void bmode_free(bmode *b) {
    if (!b) return;
    es_free(b->pixels);
    es_free(b->lateral);
    es_free(b->lateral_mm);
    es_free(b->gain);
    es_free(b);
}

bmode_scratch *bmode_scratch_new(const bmode *b, es_error *err) {
    bmode_scratch *s = es_alloc_zero(1, sizeof *s, err);
    if (!s) return NULL;
    size_t lines = (size_t)b->geometry.lines, rows = (size_t)b->geometry.rows;
    size_t wide = 2 * (lines + 2 * (size_t)b->margin);
    s->noise = es_alloc(rows + 2 * (size_t)b->axial.half, wide * sizeof(float), err);
    s->row = es_alloc(wide, sizeof(float), err);
    s->speckle = es_alloc(rows, 2 * lines * sizeof(float), err);
    s->level = es_alloc(rows, lines * sizeof(float), err);
    s->echo = es_alloc(rows, lines * sizeof(float), err);
    s->grey = es_alloc(rows, lines * sizeof(float), err);
    s->lines = es_alloc(lines, sizeof *s->lines, err);
    if (s->noise && s->row && s->speckle && s->level && s->echo && s->grey && s->lines) return s;
    bmode_scratch_free(s);
    return NULL;
}

void bmode_scratch_free(bmode_scratch *s) {
    if (!s) return;
    es_free(s->noise);
    es_free(s->row);
    es_free(s->speckle);
    es_free(s->level);
    es_free(s->echo);
    es_free(s->grey);
    es_free(s->lines);
    es_free(s);
}

/* ---- 1. speckle ---------------------------------------------------------- */

static void make_speckle(const bmode *b, bmode_scratch *s, int64_t index) {
    size_t lines = (size_t)b->geometry.lines, margin = (size_t)b->margin;
    size_t wide = 2 * (lines + 2 * margin), rows = (size_t)b->geometry.rows;
    fill_noise(es_random_new(b->seed, STREAM_SPECKLE + (uint64_t)index), s->noise,
               wide * (rows + 2 * (size_t)b->axial.half));
    for (size_t r = 0; r < rows; r++)
        blur_row(s->noise + wide * r, wide, &b->axial, &b->lateral[r], b->margin, lines, s->row,
                 s->speckle + 2 * lines * r);
}

/* ---- 2. level ------------------------------------------------------------ */

/* Rows [from, to) of a line, in mm. */
static void fill_depths(const bmode *b, float *plane, int line, double from_mm, double to_mm,
                        float level) {
    const probe_geometry *g = &b->geometry;
    int first = (int)shape_clamp(ceil(from_mm / g->row_mm), 0, g->rows);
    int last = (int)shape_clamp(ceil(to_mm / g->row_mm), 0, g->rows);
    for (int r = first; r < last; r++) plane[(size_t)r * (size_t)g->lines + (size_t)line] = level;
}

static void fill_evenly(const bmode *b, bmode_scratch *s) {
    size_t count = (size_t)b->geometry.lines * (size_t)b->geometry.rows;
    for (size_t i = 0; i < count; i++) s->level[i] = BACKGROUND;
}

static void fill_layers(const bmode *b, bmode_scratch *s) {
    const float skin = from_db(-27), fat = from_db(-38), muscle = from_db(-48);
    for (int i = 0; i < b->geometry.lines; i++) {
        const tissue_line *line = &s->lines[i];
        fill_depths(b, s->level, i, 0, line->skin_mm, skin);
        fill_depths(b, s->level, i, line->skin_mm, line->fat_mm, fat);
        fill_depths(b, s->level, i, line->fat_mm, HUGE_VAL, muscle);
        if (line->cartilage_mm > 0)
            fill_depths(b, s->level, i, line->bone_mm - line->cartilage_mm, line->bone_mm, 0.0008f);
    }
}

/* Where the beam is inside the balls. */
static void fill_balls(const bmode *b, bmode_scratch *s, es_mat4 face_to_scene) {
    for (int i = 0; i < b->geometry.lines; i++) {
        es_vec3 start, direction;
        probe_beam(&b->geometry, face_to_scene, i, &start, &direction);
        for (int j = 0; j < b->model->ball_count; j++) {
            const scene_ball *ball = &b->model->balls[j];
            es_vec3 to_centre = es_vec3_sub(ball->centre, start);
            double nearest = es_vec3_dot(to_centre, direction);
            double half2 = ball->radius_mm * ball->radius_mm + nearest * nearest -
                           es_vec3_dot(to_centre, to_centre);
            if (half2 <= 0) continue;
            double half = sqrt(half2);
            fill_depths(b, s->level, i, nearest - half, nearest + half, BACKGROUND * ball->gain);
        }
    }
}

/* Slow changes of brightness: clouds in space, and streaks along the skin as
 * muscle has them (noise that is squeezed along the beam). */
static float slow_factor(const bmode *b, es_mat4 face_to_scene, int line, int row) {
    es_vec3 start, direction;
    probe_beam(&b->geometry, face_to_scene, line, &start, &direction);
    es_vec3 depth = es_vec3_scale(direction, row * b->geometry.row_mm);
    es_vec3 squeezed = es_vec3_add(start, es_vec3_scale(depth, 5));
    double db = 4 * tissue_noise(b->seed + 10, es_vec3_add(start, depth), 11) +
                12 * tissue_noise(b->seed + 11, squeezed, 6);
    return from_db(db * b->speckle);
}

/* One cell of samples, bilinear between its corners. */
static void scale_cell(const bmode *b, float *level, int line0, int row0, const float corner[4]) {
    int lines = b->geometry.lines, rows = b->geometry.rows;
    for (int r = row0; r < row0 + CELL_ROWS && r < rows; r++) {
        float down = (float)(r - row0) / CELL_ROWS;
        float left = corner[0] + down * (corner[2] - corner[0]);
        float step = (corner[1] + down * (corner[3] - corner[1]) - left) / CELL_LINES;
        float *row = level + (size_t)r * (size_t)lines;
        for (int i = line0; i < line0 + CELL_LINES && i < lines; i++)
            row[i] *= left + step * (float)(i - line0);
    }
}

static void scale_slowly(const bmode *b, bmode_scratch *s, es_mat4 face_to_scene) {
    for (int i = 0; i < b->geometry.lines; i += CELL_LINES) {
        float corner[4] = {0, 0, slow_factor(b, face_to_scene, i, 0),
                           slow_factor(b, face_to_scene, i + CELL_LINES, 0)};
        for (int r = 0; r < b->geometry.rows; r += CELL_ROWS) {
            corner[0] = corner[2];
            corner[1] = corner[3];
            corner[2] = slow_factor(b, face_to_scene, i, r + CELL_ROWS);
            corner[3] = slow_factor(b, face_to_scene, i + CELL_LINES, r + CELL_ROWS);
            scale_cell(b, s->level, i, r, corner);
        }
    }
}

/* Below the bone little is left, in speckle a faint haze of repeated echoes;
 * the shadow's sides are as soft as the beam is wide. */
static void cast_shadow(const bmode *b, bmode_scratch *s) {
    const probe_geometry *g = &b->geometry;
    const float haze = 0.0012f * b->speckle, through = 0.05f * b->speckle;
    for (int r = 0; r < g->rows; r++) {
        double depth = r * g->row_mm;
        int half = (int)ceil(b->lateral_mm[r] / probe_line_pitch_mm(g, depth));
        float *level = s->level + (size_t)r * (size_t)g->lines;
        int hidden = 0;
        for (int i = -half; i < g->lines; i++) { /* a running count of lines in the shade */
            int in = i + half, out = i - half - 1;
            if (in < g->lines && s->lines[in].bone_mm < depth) hidden++;
            if (out >= 0 && s->lines[out].bone_mm < depth) hidden--;
            if (i < 0) continue;
            float shade = (float)hidden / (float)(2 * half + 1);
            level[i] = level[i] * (1 - shade * (1 - through)) + shade * haze;
            level[i] *= b->gain[r];
        }
    }
}

/* ---- 3. echo ------------------------------------------------------------- */

/* Adds amplitude * exp(-((depth - at) / sigma)^2 / 2) along a line. */
static void add_mirror(const bmode *b, float *echo, int line, double at_mm, double sigma_mm,
                       double amplitude) {
    const probe_geometry *g = &b->geometry;
    if (!(at_mm > -1 && at_mm < g->depth_mm + 3 * sigma_mm) || amplitude <= 0) return;
    int first = (int)fmax(ceil((at_mm - 3 * sigma_mm) / g->row_mm), 0);
    int last = (int)fmin(floor((at_mm + 3 * sigma_mm) / g->row_mm), g->rows - 1);
    for (int r = first; r <= last; r++) {
        float x = (float)((r * g->row_mm - at_mm) / sigma_mm);
        echo[(size_t)r * (size_t)g->lines + (size_t)line] +=
            (float)amplitude * b->gain[r] * expf(-0.5f * x * x);
    }
}

static void add_fascia(const bmode *b, bmode_scratch *s) {
    for (int i = 0; i < b->geometry.lines; i++) {
        const tissue_line *line = &s->lines[i];
        double most = line->bone_mm - line->cartilage_mm - 1;
        double within = 0.5 * (line->skin_mm + line->fat_mm);
        add_mirror(b, s->echo, i, 0, 0.3, 0.5 * b->speckle);
        add_mirror(b, s->echo, i, line->skin_mm, 0.12, 0.10 * b->speckle);
        if (within < most)
            add_mirror(b, s->echo, i, within, 0.13, 0.11 * b->speckle * line->strength[0]);
        if (line->fat_mm < most)
            add_mirror(b, s->echo, i, line->fat_mm, 0.16, 0.28 * b->speckle * line->strength[1]);
        add_mirror(b, s->echo, i, line->septum_mm, 0.14, 0.12 * b->speckle * line->strength[2]);
    }
}

static void add_fibre(const bmode *b, bmode_scratch *s, const tissue_fibre *fibre) {
    for (int i = 0; i < b->geometry.lines; i++) {
        es_vec3 start, direction;
        probe_line(&b->geometry, i, &start, &direction);
        double toward = fibre->normal_x * direction.x + fibre->normal_y * direction.y;
        if (fabs(toward) < 0.4) continue;
        double depth =
            (fibre->normal_x * (fibre->x - start.x) + fibre->normal_y * (fibre->y - start.y)) /
            toward;
        double x = start.x + depth * direction.x - fibre->x;
        double y = start.y + depth * direction.y - fibre->y;
        double off = (fibre->normal_y * x - fibre->normal_x * y) / fibre->half_mm;
        if (fabs(off) >= 1 || depth > s->lines[i].bone_mm - s->lines[i].cartilage_mm - 1) continue;
        depth += 0.2 * fibre->half_mm * off * off;
        add_mirror(b, s->echo, i, depth, b->axial_mm,
                   fibre->amplitude * b->speckle * (1 - off * off) * toward * toward);
    }
}

/* How much of the echo comes back: a mirror within a rough surface, nothing
 * once the beam only grazes it. */
static double reflected(double cos_incidence) {
    return fmax(pow(cos_incidence, 1.5), 0.12) * shape_ramp(cos_incidence, 0.15, 0.4);
}

/* Sound that a rough surface scatters comes back later and later. */
static void add_tail(const bmode *b, float *level, int line, double bone_mm, double amplitude) {
    const probe_geometry *g = &b->geometry;
    const double length_mm = 0.6;
    int first = (int)ceil(bone_mm / g->row_mm);
    int last = (int)fmin((bone_mm + 8 * length_mm) / g->row_mm, g->rows - 1);
    for (int r = first; r <= last; r++)
        level[(size_t)r * (size_t)g->lines + (size_t)line] +=
            (float)(amplitude * exp((bone_mm - r * g->row_mm) / length_mm)) * b->gain[r];
}

/* Between face and bone the sound goes twice where they are parallel, and
 * comes back as a cloud at twice the depth. */
static void add_second_echo(const bmode *b, float *level, int line, const tissue_line *bone) {
    const probe_geometry *g = &b->geometry;
    const double spread_mm = 1.8;
    double amplitude = 0.006 * pow(bone->cos_incidence, 10) * b->speckle;
    int first = (int)((2 * bone->bone_mm - 3 * spread_mm) / g->row_mm);
    int last = (int)fmin((2 * bone->bone_mm + 3 * spread_mm) / g->row_mm, g->rows - 1);
    for (int r = (int)fmax(first, bone->bone_mm / g->row_mm); r <= last; r++) {
        double off = (r * g->row_mm - 2 * bone->bone_mm) / spread_mm;
        level[(size_t)r * (size_t)g->lines + (size_t)line] +=
            (float)(amplitude * exp(-0.5 * off * off)) * b->gain[r];
    }
}

static void add_bone(const bmode *b, bmode_scratch *s, int i) {
    const tissue_line *line = &s->lines[i];
    if (!isfinite(line->bone_mm)) return;
    double amplitude = 1.4 * reflected(line->cos_incidence) * from_db(b->speckle * line->bone_db);
    int row = (int)shape_clamp(line->bone_mm / b->geometry.row_mm, 0, b->geometry.rows - 1);
    double smear = fmin(line->slope, 3) * b->lateral_mm[row] * b->speckle;
    double sigma = hypot(b->axial_mm, smear);
    if (b->model->water) sigma = hypot(sigma, b->speckle * floor_slice_smear_mm(line));
    amplitude *= sqrt(b->axial_mm / sigma); /* part of the sound is spread, part lost */
    add_mirror(b, s->echo, i, line->bone_mm, sigma, amplitude);
    if (line->cartilage_mm > 0)
        add_mirror(b, s->echo, i, line->bone_mm - line->cartilage_mm, b->axial_mm,
                   0.2 * b->speckle * amplitude);
    add_tail(b, s->level, i, line->bone_mm, 0.18 * b->speckle * amplitude);
    add_second_echo(b, s->level, i, line);
}

/* ---- 4. envelope and picture --------------------------------------------- */

/* 0 dB is white, -RANGE_DB is black. */
static void compress(const bmode *b, bmode_scratch *s) {
    const float s1 = b->speckle, steady = 1 - s1, grey_per_log2 = 255 * 3.0103f / RANGE_DB;
    size_t count = (size_t)b->geometry.lines * (size_t)b->geometry.rows;
    for (size_t i = 0; i < count; i++) {
        float re = s1 * s->speckle[2 * i], im = s1 * s->speckle[2 * i + 1];
        float rough = 0.45f * s->echo[i];
        float x = s->level[i] * (steady + re) + s->echo[i] * (1 - 0.3f * s1) + rough * re;
        float y = (s->level[i] + rough) * im;
        float grey = 255 + grey_per_log2 * fast_log2(x * x + y * y + 1e-12f);
        s->grey[i] = grey < 0 ? 0 : grey > 255 ? 255 : grey;
    }
}

static void convert(const bmode *b, const float *grey, uint8_t *out) {
    int lines = b->geometry.lines;
    for (size_t i = 0; i < b->pixel_count; i++) {
        const pixel *p = &b->pixels[i];
        if (p->sample < 0) {
            out[i] = 0;
            continue;
        }
        const float *a = grey + p->sample, *c = a + lines;
        float upper = a[0] + p->right * (a[1] - a[0]);
        float lower = c[0] + p->right * (c[1] - c[0]);
        out[i] = (uint8_t)(upper + p->down * (lower - upper) + 0.5f);
    }
}

static void show_tissue(const bmode *b, bmode_scratch *s, es_mat4 face_to_scene) {
    fill_layers(b, s);
    scale_slowly(b, s, face_to_scene);
    add_fascia(b, s);
    int fibres = tissue_find_fibres(b->model, &b->geometry, face_to_scene, b->seed, s->fibres);
    for (int i = 0; i < fibres; i++) add_fibre(b, s, &s->fibres[i]);
}

/* A little dirt, the face's own ringing, and the floor's echo that goes to
 * and fro once more. */
static void show_water(const bmode *b, bmode_scratch *s) {
    const float dirt = from_db(-62);
    for (int i = 0; i < b->geometry.lines; i++) {
        const tissue_line *line = &s->lines[i];
        fill_depths(b, s->level, i, 0, HUGE_VAL, dirt * b->speckle);
        add_mirror(b, s->echo, i, 0, 0.4, 0.5 * b->speckle);
        if (!isfinite(line->bone_mm)) continue;
        add_mirror(b, s->echo, i, 2 * line->bone_mm, 2 * b->axial_mm,
                   0.12 * b->speckle * pow(line->cos_incidence, 6));
    }
}

void bmode_render(const bmode *b, bmode_scratch *s, int64_t index, es_mat4 face_to_scene,
                  uint8_t *pixels) {
    const probe_geometry *g = &b->geometry;
    memset(s->echo, 0, (size_t)g->lines * (size_t)g->rows * sizeof *s->echo);
    make_speckle(b, s, index);
    fill_evenly(b, s);
    if (b->model->bone) {
        tissue_trace_bone(b->model, g, face_to_scene, b->seed, s->lines);
        tissue_find_layers(g, face_to_scene, b->seed, s->lines);
        if (b->model->water)
            show_water(b, s);
        else if (b->speckle > 0)
            show_tissue(b, s, face_to_scene);
        cast_shadow(b, s);
        for (int i = 0; i < g->lines; i++) add_bone(b, s, i);
    } else {
        fill_balls(b, s, face_to_scene);
    }
    compress(b, s);
    convert(b, s->grey, pixels);
}
