/* A frame as scan lines x depth.
 *
 * Bone is a statement about a beam: it comes down, hits, and leaves darkness
 * behind. So every detector works on scan lines from the transducer's face
 * downwards, at a spacing in millimetres that is the same for every machine:
 * 0.3 mm between lines and 0.2 mm in depth, or what a network was trained on,
 * whatever the pixels are. A
 * rectangle is cut into columns, a fan into rays from its apex. A sample is
 * the mean of the picture over the sample's area, taken at as many points as
 * there are pixels in it, so that fine pixels do not alias into speckle. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define TOO_LARGE 1e8f /* grey values times this must stay finite: room for sums */
enum {
    LARGEST_SIDE = 65535, /* positions are floats */
    FEWEST_LINES = 4,
    FEWEST_SAMPLES = 16,
    MOST_TAPS = 8
};

const struct beam_steps beam_steps_fine = {0.3, 0.2, 256, 1024};

struct ray {
    double u, v, du, dv; /* pixels, and pixels per mm */
};

static bool check_size(const es_image *image, es_error *err) {
    if (!image->data || image->width == 0 || image->height == 0)
        return es_fail(err, ES_USAGE, "the image is empty; expected pixels to look for bone in");
    if (image->width <= LARGEST_SIDE && image->height <= LARGEST_SIDE) return true;
    return es_fail(err, ES_UNSUPPORTED, "an image of %u x %u pixels; expected %d a side at most",
                   image->width, image->height, LARGEST_SIDE);
}

static bool readable_area(const es_bone_options *o, const es_image *image, struct beam_area *area,
                          es_error *err) {
    *area = (struct beam_area){0, 0, image->width, image->height};
    if (!o->has_clip) return true;
    int64_t u0 = o->clip_origin[0], v0 = o->clip_origin[1];
    int64_t u1 = u0 + o->clip_size[0], v1 = v0 + o->clip_size[1];
    if (u0 < 0 || v0 < 0 || u1 > image->width || v1 > image->height)
        return es_fail(
            err, ES_USAGE,
            "the clip of %d x %d pixels at (%d, %d) reaches outside the image of %u x %u; "
            "give a clip that belongs to these images",
            o->clip_size[0], o->clip_size[1], o->clip_origin[0], o->clip_origin[1], image->width,
            image->height);
    *area = (struct beam_area){(uint32_t)u0, (uint32_t)v0, (uint32_t)u1, (uint32_t)v1};
    return true;
}

/* Grey of any picture. Echoes are grey, or tinted all alike; what is coloured
 * is graphics or flow. So the least channel counts: it follows the grey of a
 * tint, and is black in a pure colour. */
static bool take_grey(const es_image *image, es_image *grey, es_error *err) {
    if (image->channels == 1) return es_image_to_f32(image, grey, err);
    if (!es_image_resize(grey, ES_F32, 1, image->width, image->height, err)) return false;
    float *out = grey->data;
    size_t count = (size_t)image->width * image->height;
    for (size_t i = 0; i < count; i++) {
        double least = es_type_get(image->type, image->data, 3 * i);
        for (size_t c = 1; c < 3; c++) {
            double other = es_type_get(image->type, image->data, 3 * i + c);
            least = other < least || isnan(other) ? other : least;
        }
        out[i] = (float)least;
    }
    return true;
}

/* ---- the lit part of a picture whose fan is unknown ------------------------ */

/* The brightest pixel of the area; ES_FORMAT when one is not finite or huge. */
static bool brightest(const es_image *grey, struct beam_area area, float *most, es_error *err) {
    *most = 0;
    for (uint32_t v = area.v0; v < area.v1; v++) {
        const float *row = (const float *)grey->data + (size_t)v * grey->width;
        float sum = 0;
        for (uint32_t u = area.u0; u < area.u1; u++) {
            sum += row[u] * TOO_LARGE * 0.0f; /* NaN when the product is not finite */
            *most = row[u] > *most ? row[u] : *most;
        }
        if (sum == 0) continue;
        for (uint32_t u = area.u0; u < area.u1; u++)
            if (!isfinite(row[u] * TOO_LARGE))
                return es_fail(err, ES_FORMAT,
                               "pixel (%u, %u) is %g; expected finite grey values below 1e30: set "
                               "such pixels to 0 first",
                               u, v, (double)row[u]);
    }
    return true;
}

static bool column_is_lit(const es_image *grey, struct beam_area area, uint32_t u, float black) {
    const float *data = grey->data;
    for (uint32_t v = area.v0; v < area.v1; v++)
        if (data[(size_t)v * grey->width + u] > black) return true;
    return false;
}

static bool row_is_lit(const es_image *grey, struct beam_area area, uint32_t v, float black) {
    const float *row = (const float *)grey->data + (size_t)v * grey->width;
    for (uint32_t u = area.u0; u < area.u1; u++)
        if (row[u] > black) return true;
    return false;
}

/* Leaves out black columns at the sides and black rows at the top. The bottom
 * stays: below a bone everything may be black. */
static struct beam_area lit_area(const es_image *grey, struct beam_area area, float most) {
    float black = 0.02f * most;
    struct beam_area lit = area;
    while (lit.u1 > lit.u0 && !column_is_lit(grey, area, lit.u1 - 1, black)) lit.u1--;
    while (lit.u0 < lit.u1 && !column_is_lit(grey, area, lit.u0, black)) lit.u0++;
    while (lit.v0 < lit.v1 && !row_is_lit(grey, area, lit.v0, black)) lit.v0++;
    return most > 0 ? lit : area;
}

/* ---- where the scan lines are ------------------------------------------------ */

/* The fan that was given, or the lit rectangle. */
static es_fan fan_of(const es_bone_options *o, const es_image *grey, struct beam_area area,
                     float most) {
    if (o->fan.kind != ES_FAN_NONE) return o->fan;
    struct beam_area lit = lit_area(grey, area, most);
    return (es_fan){.kind = ES_FAN_LINEAR, .u0 = lit.u0, .v0 = lit.v0, .u1 = lit.u1, .v1 = lit.v1};
}

static bool check_fan(const es_fan *fan, const es_image *image, es_error *err) {
    if (fan->kind == ES_FAN_LINEAR && (fan->u0 < -1 || fan->v0 < -1 ||
                                       fan->u1 > image->width + 1. || fan->v1 > image->height + 1.))
        return es_fail(err, ES_USAGE,
                       "the fan's rectangle (%g, %g) to (%g, %g) reaches outside the image of %u x "
                       "%u; is the fan that of another image size?",
                       fan->u0, fan->v0, fan->u1, fan->v1, image->width, image->height);
    return true;
}

/* The ray through the middle of scan line `line`, which may be a fraction. */
static struct ray ray_at(const es_fan *fan, const double spacing_mm[2], size_t lines, double line) {
    double share = (line + 0.5) / (double)lines;
    if (fan->kind == ES_FAN_LINEAR)
        return (struct ray){fan->u0 - 0.5 + share * (fan->u1 - fan->u0), fan->v0, 0,
                            1 / spacing_mm[1]};
    double angle = fan->angle_start_rad + share * (fan->angle_stop_rad - fan->angle_start_rad);
    double s = sin(angle), c = cos(angle);
    return (struct ray){fan->apex_u + fan->radius_start * s / fan->aspect,
                        fan->apex_v + fan->radius_start * c, s / spacing_mm[0], c / spacing_mm[1]};
}

static double fan_depth_mm(const es_fan *fan, const double spacing_mm[2]) {
    double pixels =
        fan->kind == ES_FAN_LINEAR ? fan->v1 - fan->v0 : fan->radius_stop - fan->radius_start;
    return pixels * spacing_mm[1];
}

/* Curved: the arc half way down. */
static double fan_width_mm(const es_fan *fan, const double spacing_mm[2]) {
    if (fan->kind == ES_FAN_LINEAR) return (fan->u1 - fan->u0) * spacing_mm[0];
    return (fan->angle_stop_rad - fan->angle_start_rad) * spacing_mm[1] *
           (fan->radius_start + fan->radius_stop) / 2;
}

/* Shrinks [t0, t1] to where low <= at + t * step <= high. */
static void cut(double at, double step, double low, double high, double *t0, double *t1) {
    if (fabs(step) < 1e-12) {
        if (at < low || at > high) *t1 = *t0;
        return;
    }
    double a = (low - at) / step, b = (high - at) / step;
    *t0 = fmax(*t0, fmin(a, b));
    *t1 = fmin(*t1, fmax(a, b));
}

static void place_line(struct beams *beams, size_t index, struct ray ray, struct beam_area area) {
    double length = (double)beams->samples * beams->depth_step_mm, t0 = 0, t1 = length;
    cut(ray.u, ray.du, area.u0 - 0.5, area.u1 - 0.5, &t0, &t1);
    cut(ray.v, ray.dv, area.v0 - 0.5, area.v1 - 0.5, &t0, &t1);
    beams->line[index] =
        (es_scan_line){.u = ray.u, .v = ray.v, .du = ray.du, .dv = ray.dv, .length_mm = length};
    t0 = fmin(t0, length);
    beams->first[index] = (uint32_t)ceil(t0 / beams->depth_step_mm);
    beams->last[index] = t1 > t0 ? (uint32_t)floor(t1 / beams->depth_step_mm + 1e-6) : 0;
    if (beams->last[index] < beams->first[index]) beams->last[index] = beams->first[index];
}

static bool make_room(struct beams *beams, es_error *err) {
    size_t lines = beams->lines, samples = beams->lines * beams->samples;
    if (lines > beams->line_capacity) {
        if (!es_resize(&beams->line, lines, sizeof *beams->line, err) ||
            !es_resize(&beams->first, lines, sizeof *beams->first, err) ||
            !es_resize(&beams->last, lines, sizeof *beams->last, err) ||
            !es_resize(&beams->tap, lines * MOST_TAPS, sizeof *beams->tap, err))
            return false;
        for (int i = 0; i < 3; i++)
            if (!es_resize(&beams->row[i], lines, sizeof *beams->row[i], err)) return false;
        beams->line_capacity = lines;
    }
    if (samples > beams->sample_capacity) {
        if (!es_resize(&beams->echo, samples, sizeof *beams->echo, err) ||
            !es_resize(&beams->tone, samples, sizeof *beams->tone, err))
            return false;
        beams->sample_capacity = samples;
    }
    return true;
}

/* Chooses the numbers of lines and samples and their steps. */
static bool choose_steps(struct beams *beams, const struct beam_steps *steps,
                         const double spacing_mm[2], es_error *err) {
    double width = fan_width_mm(&beams->fan, spacing_mm);
    double depth = fan_depth_mm(&beams->fan, spacing_mm);
    double lines = fmin(floor(width / steps->line_mm), steps->most_lines);
    double samples = fmin(floor(depth / steps->depth_mm), steps->most_samples);
    if (!(lines >= FEWEST_LINES && samples >= FEWEST_SAMPLES))
        return es_fail(err, ES_USAGE,
                       "the echoes cover %.3g mm across and %.3g mm in depth; expected at least "
                       "%.3g x %.3g mm: check the pixel spacing (%g x %g mm) and the fan or clip",
                       width, depth, FEWEST_LINES * steps->line_mm,
                       FEWEST_SAMPLES * steps->depth_mm, spacing_mm[0], spacing_mm[1]);
    beams->lines = (size_t)lines;
    beams->samples = (size_t)samples;
    beams->line_step_mm = width / lines;
    beams->depth_step_mm = fmax(steps->depth_mm, depth / steps->most_samples);
    return true;
}

/* ---- sampling ------------------------------------------------------------------ */

static float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static float bilinear(const es_image *grey, struct beam_area area, float u, float v) {
    u = clamp(u, (float)area.u0, (float)(area.u1 - 1));
    v = clamp(v, (float)area.v0, (float)(area.v1 - 1));
    int x = (int)u, y = (int)v;
    float fx = u - (float)x, fy = v - (float)y;
    size_t right = x + 1 < (int)area.u1, down = y + 1 < (int)area.v1 ? grey->width : 0;
    const float *p = (const float *)grey->data + (size_t)y * grey->width + (size_t)x;
    float top = p[0] + fx * (p[right] - p[0]);
    float bottom = p[down] + fx * (p[down + right] - p[down]);
    return top + fy * (bottom - top);
}

/* Points over a distance in pixels; bilinear reading covers a little more than
 * one pixel each. */
static int taps_for(double pixels) { return (int)fmin(fmax(ceil(pixels / 1.25), 1), MOST_TAPS); }

/* Adds `share` times the mean over each sample's depth along one ray. */
static void add_ray(const struct beams *beams, struct beam_area area, size_t line, struct ray ray,
                    float share) {
    int taps = taps_for(beams->depth_step_mm * hypot(ray.du, ray.dv));
    float step = (float)beams->depth_step_mm / (float)taps;
    float du = step * (float)ray.du, dv = step * (float)ray.dv;
    float first = 0.5f - 0.5f * (float)taps; /* taps lie about the sample's middle */
    float u = (float)ray.u + first * du, v = (float)ray.v + first * dv;
    float *out = beams->echo + line * beams->samples;
    for (uint32_t z = beams->first[line]; z < beams->last[line]; z++) {
        float sum = 0;
        for (int tap = 0; tap < taps; tap++) {
            float t = (float)((int)z * taps + tap);
            sum += bilinear(beams->grey, area, u + t * du, v + t * dv);
        }
        out[z] += share / (float)taps * sum;
    }
}

/* ---- sampling columns ------------------------------------------------------------
 *
 * Most pictures are of linear arrays: their lines are columns, and a row of
 * the picture serves all of them. So rows are averaged across first, each
 * once, and the lines are read down the averaged rows, which gives the same
 * means as ray by ray at a fraction of the time. */

/* Where each line's points lie in a row. */
static int place_taps(struct beams *beams, const es_fan *fan, const double spacing_mm[2],
                      struct beam_area area) {
    int taps = taps_for(beams->line_step_mm / spacing_mm[0]);
    for (size_t line = 0; line < beams->lines; line++)
        for (int k = 0; k < taps; k++) {
            double at = (double)line + (k + 0.5) / taps - 0.5;
            float u = clamp((float)ray_at(fan, spacing_mm, beams->lines, at).u, (float)area.u0,
                            (float)(area.u1 - 1));
            uint32_t left = (uint32_t)u;
            beams->tap[line * (size_t)taps + (size_t)k] =
                (struct beam_tap){left, left + 1 < area.u1 ? left + 1 : left, u - (float)left};
        }
    return taps;
}

static void average_row(const struct beams *beams, uint32_t v, int taps, float *out) {
    const float *row = (const float *)beams->grey->data + (size_t)v * beams->grey->width;
    const struct beam_tap *tap = beams->tap;
    float share = 1 / (float)taps;
    for (size_t line = 0; line < beams->lines; line++) {
        float sum = 0;
        for (int k = 0; k < taps; k++, tap++)
            sum += row[tap->left] + tap->share * (row[tap->right] - row[tap->left]);
        out[line] = share * sum;
    }
}

/* The averaged rows v and v + 1, kept from call to call in the two slots. */
struct row_pair {
    int64_t at[2]; /* which row each slot holds; -1: none */
};

static const float *averaged(const struct beams *beams, struct row_pair *pair, uint32_t v,
                             int taps) {
    float *slot = beams->row[v & 1];
    if (pair->at[v & 1] != (int64_t)v) average_row(beams, v, taps, slot);
    pair->at[v & 1] = v;
    return slot;
}

static void sample_columns(struct beams *beams, const es_fan *fan, const double spacing_mm[2],
                           struct beam_area area) {
    struct ray ray = ray_at(fan, spacing_mm, beams->lines, 0);
    struct row_pair pair = {{-1, -1}};
    int across = place_taps(beams, fan, spacing_mm, area);
    int taps = taps_for(beams->depth_step_mm * ray.dv);
    float dv = (float)(beams->depth_step_mm * ray.dv) / (float)taps, share = 1 / (float)taps;
    float v0 = (float)ray.v + (0.5f - 0.5f * (float)taps) * dv, *sum = beams->row[2];
    for (size_t z = 0; z < beams->samples; z++) {
        memset(sum, 0, beams->lines * sizeof *sum);
        for (int k = 0; k < taps; k++) {
            float v =
                clamp(v0 + (float)((int)z * taps + k) * dv, (float)area.v0, (float)(area.v1 - 1));
            uint32_t y = (uint32_t)v;
            const float *upper = averaged(beams, &pair, y, across);
            const float *lower = y + 1 < area.v1 ? averaged(beams, &pair, y + 1, across) : upper;
            float lean = v - (float)y;
            for (size_t i = 0; i < beams->lines; i++)
                sum[i] += share * (upper[i] + lean * (lower[i] - upper[i]));
        }
        for (size_t i = 0; i < beams->lines; i++)
            if (z >= beams->first[i] && z < beams->last[i])
                beams->echo[i * beams->samples + z] = sum[i];
    }
}

/* ---- sampling rays ------------------------------------------------------------------ */

static void sample_rays(struct beams *beams, const es_fan *fan, const double spacing_mm[2],
                        struct beam_area area) {
    int taps = taps_for(beams->line_step_mm / spacing_mm[0]);
    for (size_t line = 0; line < beams->lines; line++)
        for (int tap = 0; tap < taps; tap++) {
            double at = (double)line + (tap + 0.5) / taps - 0.5;
            add_ray(beams, area, line, ray_at(fan, spacing_mm, beams->lines, at),
                    1.0f / (float)taps);
        }
}

static void sample_lines(struct beams *beams, const es_fan *fan, const double spacing_mm[2],
                         struct beam_area area) {
    memset(beams->echo, 0, beams->lines * beams->samples * sizeof *beams->echo);
    if (fan->kind == ES_FAN_LINEAR)
        sample_columns(beams, fan, spacing_mm, area);
    else
        sample_rays(beams, fan, spacing_mm, area);
}

static bool any_sample(const struct beams *beams) {
    for (size_t line = 0; line < beams->lines; line++)
        if (beams->last[line] > beams->first[line]) return true;
    return false;
}

/* The lines of beams->fan through beams->grey. */
static bool take_lines(struct beams *beams, const struct beam_steps *steps,
                       const double spacing_mm[2], es_error *err) {
    if (!choose_steps(beams, steps, spacing_mm, err) || !make_room(beams, err)) return false;
    for (size_t line = 0; line < beams->lines; line++)
        place_line(beams, line, ray_at(&beams->fan, spacing_mm, beams->lines, (double)line),
                   beams->area);
    if (!any_sample(beams))
        return es_fail(err, ES_USAGE,
                       "no scan line of the fan crosses the image of %u x %u; is the fan that of "
                       "another image size?",
                       beams->grey->width, beams->grey->height);
    sample_lines(beams, &beams->fan, spacing_mm, beams->area);
    return true;
}

bool beams_from_image(struct beams *beams, const es_bone_options *options, const es_image *image,
                      es_error *err) {
    if (!check_size(image, err) || !readable_area(options, image, &beams->area, err) ||
        !check_fan(&options->fan, image, err) || !take_grey(image, &beams->own_grey, err) ||
        !brightest(&beams->own_grey, beams->area, &beams->most, err))
        return false;
    beams->grey = &beams->own_grey;
    beams->fan = fan_of(options, beams->grey, beams->area, beams->most);
    return take_lines(beams, &beam_steps_fine, options->spacing_mm, err);
}

bool beams_again(struct beams *beams, const struct beams *of, const struct beam_steps *steps,
                 const double spacing_mm[2], es_error *err) {
    beams->grey = of->grey;
    beams->area = of->area;
    beams->fan = of->fan;
    beams->most = of->most;
    return take_lines(beams, steps, spacing_mm, err);
}

void beams_clear(struct beams *beams) {
    es_free(beams->line);
    es_free(beams->first);
    es_free(beams->last);
    es_free(beams->echo);
    es_free(beams->tone);
    es_free(beams->tap);
    for (int i = 0; i < 3; i++) es_free(beams->row[i]);
    es_image_clear(&beams->own_grey);
    *beams = (struct beams){0};
}
