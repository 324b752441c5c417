/* Planes through sparse bricks, as a person wants to see them: right
 * proportions in mm, what was never seen in dark blue, a scale and the axes. */
#include <math.h>
#include <stdio.h>

#include "picture_internal.h"

static const es_colour unknown = {18, 26, 72}, frame_colour = {22, 24, 29},
                       letters = {214, 218, 224};

enum { TITLE_HEIGHT = 13, FOOT_HEIGHT = 28 }; /* at letter scale 1 */

/* The voxels of one plane, dense: `value` is 0 where `known` is 0. The first
 * row is drawn at the top: the highest z for planes that hold z, else the
 * lowest y (front of the body up in LPS). */
typedef struct plane {
    int normal, across, down;
    bool flipped;
    int64_t low[3], high[3], at; /* in voxels; `at` along the normal */
    uint32_t size[2];
    double size_mm[2];
    float *value, *known;
} plane;

static int64_t floor_brick(int64_t voxel) {
    return voxel >= 0 ? voxel / ES_BRICK : -((-voxel + ES_BRICK - 1) / ES_BRICK);
}

/* ---- the grey window ------------------------------------------------------ */

static bool known_range(const es_bricks *bricks, double *low, double *high, uint64_t *count) {
    *low = INFINITY;
    *high = -INFINITY;
    *count = 0;
    for (size_t b = 0; b < es_bricks_count(bricks); b++) {
        const es_brick *brick = es_bricks_get(bricks, b);
        for (int i = 0; i < ES_BRICK_VOXELS; i++) {
            if (!(brick->weight[i] > 0) || !isfinite(brick->value[i])) continue;
            *low = fmin(*low, (double)brick->value[i]);
            *high = fmax(*high, (double)brick->value[i]);
            ++*count;
        }
    }
    return *count > 0;
}

enum { BINS = 4096 };

static void count_values(const es_bricks *bricks, double low, double high, uint64_t *bins) {
    double scale = (BINS - 1) / (high - low);
    for (size_t b = 0; b < es_bricks_count(bricks); b++) {
        const es_brick *brick = es_bricks_get(bricks, b);
        for (int i = 0; i < ES_BRICK_VOXELS; i++)
            if (brick->weight[i] > 0 && isfinite(brick->value[i]))
                bins[(int)(((double)brick->value[i] - low) * scale)]++;
    }
}

static double quantile(const uint64_t *bins, uint64_t count, double share) {
    uint64_t sum = 0;
    int bin = 0;
    for (; bin < BINS - 1; bin++)
        if ((double)(sum += bins[bin]) >= share * (double)count) break;
    return bin / (BINS - 1.0);
}

/* The 1 and 99 % of the known voxels; the full range where those coincide. */
static void choose_window(const es_bricks *bricks, double *low, double *high) {
    uint64_t bins[BINS] = {0}, count;
    double least, most;
    *low = *high = 0;
    if (!known_range(bricks, &least, &most, &count)) return;
    *low = least - 1; /* one value only: mid grey */
    *high = most + 1;
    if (most <= least) return;
    count_values(bricks, least, most, bins);
    double first = quantile(bins, count, 0.01), last = quantile(bins, count, 0.99);
    bool useful = last > first;
    *low = useful ? least + first * (most - least) : least;
    *high = useful ? least + last * (most - least) : most;
}

/* ---- the plane -------------------------------------------------------------- */

static void plane_clear(plane *p) {
    es_free(p->value);
    es_free(p->known);
}

static bool plane_locate(plane *p, const es_bricks *bricks, const es_slice_view *view,
                         es_error *err) {
    if (view->axis < 0 || view->axis > 2)
        return es_fail(err, ES_USAGE, "slice axis %d; expected 0 (x), 1 (y) or 2 (z)", view->axis);
    if (!es_bricks_extent(bricks, p->low, p->high))
        return es_fail(err, ES_USAGE, "a slice of an empty volume; it has no known voxel");
    p->normal = view->axis;
    p->across = view->axis == 0 ? 1 : 0;
    p->down = view->axis == 2 ? 1 : 2;
    p->flipped = p->down == 2;
    const double *origin = es_bricks_origin(bricks), *spacing = es_bricks_spacing(bricks);
    int n = p->normal;
    double at = (view->position_mm - origin[n]) / spacing[n];
    if (isnan(view->position_mm)) at = (double)(p->low[n] + p->high[n]) / 2;
    if (!(at > (double)p->low[n] - 1 && at < (double)p->high[n] + 1))
        return es_fail(err, ES_USAGE, "slice at %c = %.6g mm; the volume reaches from %.6g to %.6g",
                       "xyz"[n], view -> position_mm, origin[n] + spacing[n] * (double)p -> low[n],
                       origin[n] + spacing[n] * (double)p -> high[n]);
    p->at = (int64_t)fmin(fmax(round(at), (double)p->low[n]), (double)p->high[n]);
    return true;
}

static bool plane_alloc(plane *p, const double *spacing, es_error *err) {
    int axes[2] = {p->across, p->down};
    for (int i = 0; i < 2; i++) {
        int64_t voxels = p->high[axes[i]] - p->low[axes[i]] + 1;
        if (voxels > UINT32_MAX / 4)
            return es_fail(err, ES_MEMORY, "a slice of %lld voxels along %c is too large",
                           (long long)voxels, "xyz"[axes[i]]);
        p->size[i] = (uint32_t)voxels;
        p->size_mm[i] = (double)voxels * spacing[axes[i]];
    }
    p->value = es_alloc_zero(p->size[0], (size_t)p->size[1] * sizeof *p->value, err);
    if (p->value) p->known = es_alloc_zero(p->size[0], (size_t)p->size[1] * sizeof *p->known, err);
    return p->known != NULL;
}

static void take_brick(plane *p, const es_brick *brick) {
    static const int stride[3] = {1, ES_BRICK, ES_BRICK * ES_BRICK};
    int64_t u0 = (int64_t)brick->at[p->across] * ES_BRICK - p->low[p->across];
    int64_t v0 = (int64_t)brick->at[p->down] * ES_BRICK - p->low[p->down];
    int layer = (int)(p->at - (int64_t)brick->at[p->normal] * ES_BRICK) * stride[p->normal];
    for (int j = 0; j < ES_BRICK; j++)
        for (int i = 0; i < ES_BRICK; i++) {
            int voxel = layer + i * stride[p->across] + j * stride[p->down];
            if (!(brick->weight[voxel] > 0) || !isfinite(brick->value[voxel])) continue;
            int64_t row = p->flipped ? p->size[1] - 1 - (v0 + j) : v0 + j;
            size_t to = (size_t)row * p->size[0] + (size_t)(u0 + i);
            p->value[to] = brick->value[voxel];
            p->known[to] = 1;
        }
}

static void plane_fill(plane *p, const es_bricks *bricks) {
    int64_t layer = floor_brick(p->at);
    for (size_t b = 0; b < es_bricks_count(bricks); b++) {
        const es_brick *brick = es_bricks_get(bricks, b);
        if (brick->at[p->normal] == layer) take_brick(p, brick);
    }
}

/* ---- drawing ------------------------------------------------------------------ */

/* Grey where at least half of what a pixel covers is known. */
static bool plane_draw(const plane *p, double low, double high, es_image *data, es_error *err) {
    const uint32_t size[2] = {data->width, data->height};
    size_t pixels = (size_t)size[0] * size[1];
    es_colour *out = data->data;
    float *value = es_alloc(pixels, sizeof *value, err);
    float *known = value ? es_alloc(pixels, sizeof *known, err) : NULL;
    bool ok = known && picture_resample(p->value, p->size, value, size, err) &&
              picture_resample(p->known, p->size, known, size, err);
    for (size_t i = 0; ok && i < pixels; i++) {
        if (known[i] < 0.4999f) continue;
        uint8_t grey =
            picture_byte(255 * picture_window((double)value[i] / (double)known[i], low, high));
        out[i] = (es_colour){grey, grey, grey};
    }
    es_free(value);
    es_free(known);
    return ok;
}

static void draw_title(const plane *p, const double *origin, const double *spacing,
                       es_image *picture) {
    char number[ES_NUMBER_SIZE], title[ES_NUMBER_SIZE + 8];
    double mm = origin[p->normal] + spacing[p->normal] * (double)p->at;
    snprintf(title, sizeof title, "%c = %s mm", "xyz"[p->normal], picture_number(mm, 2, number));
    int scale = picture_letter_scale(picture->width);
    es_picture_text(picture, 3 * scale, 2 * scale, scale, letters, title);
}

static void draw_foot(const plane *p, double px_per_mm, es_image *picture) {
    static const char *const names[3] = {"x", "y", "z"};
    int scale = picture_letter_scale(picture->width), width = (int)picture->width;
    int bottom = (int)picture->height;
    double length = 13 * scale;
    const double tips[2][2] = {{length, 0}, {0, p->flipped ? -length : length}};
    const char *const shown[2] = {names[p->across], names[p->down]};
    const es_colour colours[2] = {letters, letters};
    picture_axes(picture, 10 * scale, bottom - (p->flipped ? 6 : 26) * scale, tips, shown, colours,
                 2);
    picture_scale_bar(picture, width / 2, bottom - 7 * scale, px_per_mm, width / 2 - 8 * scale,
                      letters);
}

/* Pixels of the data for a picture of this width: the height is at most twice
 * the width, a long thin plane gets narrower instead. */
static double fit_data(const plane *p, uint32_t width, uint32_t size[2]) {
    double mm_per_px = fmax(p->size_mm[0] / width, p->size_mm[1] / (2.0 * width));
    for (int i = 0; i < 2; i++) size[i] = (uint32_t)fmax(1, round(p->size_mm[i] / mm_per_px));
    return 1 / mm_per_px;
}

bool es_picture_slice(const es_bricks *bricks, const es_slice_view *view, es_image *picture,
                      es_error *err) {
    plane p = {0};
    es_image data = {0};
    double low = view->low, high = view->high, px_per_mm;
    uint32_t size[2];
    const double *origin = es_bricks_origin(bricks), *spacing = es_bricks_spacing(bricks);
    bool ok = picture_check_size(view->width, view->width, err) &&
              plane_locate(&p, bricks, view, err) && plane_alloc(&p, spacing, err);
    if (!ok) goto done;
    plane_fill(&p, bricks);
    if (low == high) choose_window(bricks, &low, &high);
    px_per_mm = fit_data(&p, view->width, size);
    int scale = picture_letter_scale(view->width);
    uint32_t strips = (uint32_t)(scale * (TITLE_HEIGHT + FOOT_HEIGHT));
    ok = es_picture_new(&data, size[0], size[1], unknown, err) &&
         plane_draw(&p, low, high, &data, err) &&
         es_picture_new(picture, view->width, size[1] + strips, frame_colour, err);
    if (!ok) goto done;
    es_picture_paste(picture, &data, (int)(view->width - size[0]) / 2, scale * TITLE_HEIGHT);
    draw_title(&p, origin, spacing, picture);
    draw_foot(&p, px_per_mm, picture);
done:
    plane_clear(&p);
    es_image_clear(&data);
    return ok;
}
