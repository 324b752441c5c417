/* What a pixel does to the voxels round it.
 *
 * NEAREST gives it to one voxel. The mean is a running one: the old value
 * times its weight, plus the pixel times 256, divided by the new weight, and
 * for whole-number types cut, not rounded. From weight 65280 on (255 pixels)
 * it forgets: 1/256 of the pixel and 255/256 of the old value.
 *
 * LINEAR gives it to the 8 voxels round it, or to none when one of them lies
 * outside. LATEST and MAXIMUM take the pixel as it is wherever its weight is
 * at least 1/8. The running mean is rounded, and the weight is rounded to
 * 1/256, so that a small one is lost. With FULL its numbers are 32-bit
 * integers that count steps of 2^-14, products and all: 16-bit pixels overflow.
 *
 * FULL and PARTIAL read pixels and mask one after the other with a cursor. It
 * runs ahead when the fan's gap reaches past the end of a row, and stays behind
 * when a mask value of 0 ends a row early (NEAREST), and is never put right:
 * the rest of the frame is then read from the wrong place. */
#include <math.h>

#include "compat_internal.h"

enum { WHOLE = 256, MOST_WEIGHT = 65535, FULL_WEIGHT = MOST_WEIGHT - WHOLE };

static double element(const es_compat_volume *volume, const void *data, int64_t i) {
    return compat_number(volume->options.type, data, i);
}

static void copy_pixel(es_compat_volume *volume, int64_t voxel, const es_image *image,
                       int64_t pixel) {
    es_type type = volume->options.type;
    if (compat_is_float(type))
        compat_put(type, volume->values, voxel, element(volume, image->data, pixel));
    else
        compat_put_whole(type, volume->values, voxel, compat_whole(type, image->data, pixel));
}

static bool brighter(const es_compat_volume *volume, const es_image *image, int64_t pixel,
                     int64_t voxel) {
    return element(volume, image->data, pixel) > element(volume, volume->values, voxel);
}

/* ---- nearest ---------------------------------------------------------------------- */

static void blend_whole(es_compat_volume *volume, int64_t voxel, int64_t pixel, uint32_t weight) {
    es_type type = volume->options.type;
    uint32_t known = volume->weights[voxel], total = known + weight;
    uint32_t old = (uint32_t)compat_whole(type, volume->values, voxel);
    uint32_t sum = (uint32_t)pixel * weight + old * known; /* of 32 bits, whatever the type */
    int64_t mean = type == ES_U32 ? (int64_t)(sum / total) : (int32_t)sum / (int32_t)total;
    compat_put_whole(type, volume->values, voxel, mean);
}

static void blend(es_compat_volume *volume, int64_t voxel, const es_image *image, int64_t pixel,
                  uint32_t weight) {
    uint32_t known = volume->weights[voxel], total = known + weight;
    if (volume->options.type == ES_F32) {
        float *value = (float *)volume->values + voxel, p = ((const float *)image->data)[pixel];
        *value = (p * (float)weight + *value * (float)known) / (float)total;
    } else if (volume->options.type == ES_F64) {
        double *value = (double *)volume->values + voxel, p = ((const double *)image->data)[pixel];
        *value = (p * weight + *value * known) / total;
    } else {
        blend_whole(volume, voxel, compat_whole(volume->options.type, image->data, pixel), weight);
    }
    volume->weights[voxel] = (uint16_t)total;
}

static void blend_slowly(es_compat_volume *volume, int64_t voxel, const es_image *image,
                         int64_t pixel) {
    double p = element(volume, image->data, pixel), old = element(volume, volume->values, voxel);
    compat_put(volume->options.type, volume->values, voxel, p * (1.0 / 256) + old * (255.0 / 256));
}

static void add_weight(es_compat_volume *volume, int64_t voxel) {
    int weight = WHOLE; /* FULL and PARTIAL forget what was there */
    if (volume->optimization == ES_COMPAT_NONE) weight += volume->weights[voxel];
    volume->weights[voxel] = (uint16_t)(weight < MOST_WEIGHT ? weight : MOST_WEIGHT);
}

static bool is_saturated(const es_compat_volume *volume, int64_t voxel) {
    return volume->weights[voxel] > FULL_WEIGHT;
}

static void hit_nearest(es_compat_volume *volume, int64_t voxel, const es_image *image,
                        int64_t pixel, uint32_t weight) {
    switch (volume->options.compounding) {
    case ES_MEAN:
        if (is_saturated(volume, voxel))
            blend_slowly(volume, voxel, image, pixel);
        else if (weight > 0)
            blend(volume, voxel, image, pixel, weight);
        break;
    case ES_MAXIMUM:
        if (brighter(volume, image, pixel, voxel)) copy_pixel(volume, voxel, image, pixel);
        add_weight(volume, voxel);
        break;
    default:
        copy_pixel(volume, voxel, image, pixel);
        add_weight(volume, voxel);
        break;
    }
}

/* Index of the nearest voxel. A voxel outside has an index all the same, in
 * the next row or slice; -1 past the ends of the volume. */
static int64_t nearest_voxel(const es_compat_volume *volume, const double at[3], bool *inside) {
    int64_t index = 0;
    *inside = true;
    for (int a = 2; a >= 0; a--) {
        int64_t i = compat_nearest(at[a]) - volume->first[a];
        if (i < 0 || i >= volume->size[a]) *inside = false;
        index = index * volume->size[a] + i;
    }
    return index >= 0 && index < volume->voxels ? index : -1;
}

/* ---- linear ----------------------------------------------------------------------- */

static void set_weight(es_compat_volume *volume, int64_t voxel, double weight) {
    if (weight < MOST_WEIGHT)
        volume->weights[voxel] = (uint16_t)compat_nearest(weight);
    else
        volume->weights[voxel] = MOST_WEIGHT;
}

/* For whole-number types, with FULL: 32-bit numbers of 2^-14. */
static void mix_fixed(es_compat_volume *volume, int64_t voxel, int64_t pixel, double part) {
    es_type type = volume->options.type;
    uint32_t old = (uint32_t)compat_whole(type, volume->values, voxel);
    int32_t share = compat_fixed(part), known = volume->weights[voxel] * (0x4000 / WHOLE);
    uint32_t sum = (uint32_t)share * (uint32_t)pixel + (uint32_t)known * old;
    int32_t mean = compat_fixed((double)(int32_t)sum / (double)(share + known));
    compat_put_whole(type, volume->values, voxel, compat_nearest(compat_from_fixed(mean)));
}

static void mix(es_compat_volume *volume, int64_t voxel, const es_image *image, int64_t pixel,
                double part) {
    es_type type = volume->options.type;
    bool fixed = volume->optimization == ES_COMPAT_FULL;
    double known = volume->weights[voxel] / (double)WHOLE, total = part + known;
    if (type == ES_F32 && fixed) {
        float *value = (float *)volume->values + voxel, p = ((const float *)image->data)[pixel];
        *value = ((float)part * p + (float)known * *value) / (float)total;
    } else if (!compat_is_float(type) && fixed) {
        mix_fixed(volume, voxel, compat_whole(type, image->data, pixel), part);
    } else {
        double p = element(volume, image->data, pixel);
        double mean = (part * p + known * element(volume, volume->values, voxel)) / total;
        if (compat_is_float(type))
            compat_put(type, volume->values, voxel, mean);
        else
            compat_put_whole(type, volume->values, voxel, compat_nearest(mean));
    }
    set_weight(volume, voxel, total * WHOLE);
}

/* ---- linear, with a mask -------------------------------------------------------------- */

/* A product as C++ computes it: floats as floats, whole numbers in 32 bits. */
static double product(es_type type, double value, uint32_t weight) {
    if (type == ES_F64) return value * weight;
    if (type == ES_F32) return (float)value * (float)weight;
    uint32_t bits = (uint32_t)(int64_t)value * weight;
    return type == ES_U32 ? (double)bits : (double)(int32_t)bits;
}

static double masked_fixed(es_type type, double pixel, double old, double part, uint32_t weight,
                           uint32_t known) {
    double total = part * weight + known, share = compat_from_fixed(compat_fixed(known / total));
    if (type == ES_F32) {
        float p = (float)pixel * (float)weight * (float)part / (float)total;
        return compat_from_fixed(compat_fixed(p + (float)share * (float)old));
    }
    if (type == ES_F64)
        return compat_from_fixed(compat_fixed(pixel * weight * part / total + share * old));
    uint32_t product_bits = (uint32_t)(int64_t)pixel * weight * (uint32_t)compat_fixed(part);
    int32_t first = compat_fixed(compat_from_fixed((int32_t)product_bits) / total);
    uint32_t second = (uint32_t)compat_fixed(share) * (uint32_t)(int64_t)old;
    return compat_from_fixed((int32_t)((uint32_t)first + second));
}

static void mix_masked(es_compat_volume *volume, int64_t voxel, const es_image *image,
                       int64_t pixel, double part, uint32_t weight) {
    es_type type = volume->options.type;
    uint32_t known = volume->weights[voxel];
    double p = element(volume, image->data, pixel), old = element(volume, volume->values, voxel);
    double total = weight * part + known, mean;
    if (volume->optimization == ES_COMPAT_FULL)
        mean = masked_fixed(type, p, old, part, weight, known);
    else
        mean = (product(type, p, weight) * part + product(type, old, known)) / total;
    if (compat_is_float(type))
        compat_put(type, volume->values, voxel, mean);
    else
        compat_put_whole(type, volume->values, voxel, compat_nearest(mean));
    set_weight(volume, voxel, total);
}

static void hit_linear(es_compat_volume *volume, int64_t voxel, const es_image *image,
                       int64_t pixel, double part, uint32_t weight) {
    es_compounding compounding = volume->options.compounding;
    if (compounding == ES_MEAN && volume->mask.data) {
        if (weight > 0) mix_masked(volume, voxel, image, pixel, part, weight);
    } else if (compounding == ES_MEAN) {
        mix(volume, voxel, image, pixel, part);
    } else if (part >= 0.125 &&
               (compounding == ES_LATEST || brighter(volume, image, pixel, voxel))) {
        copy_pixel(volume, voxel, image, pixel);
        set_weight(volume, voxel, part * WHOLE);
    }
}

/* Weights of the voxel below and the one above a position, per axis. */
typedef struct surrounding {
    int64_t low[3];
    double parts[2][3];
} surrounding;

/* False when a voxel with a weight lies outside. An extent that does not begin
 * at 0 is taken as if it did. */
static bool surround(const es_compat_volume *volume, const double at[3], surrounding *s) {
    for (int a = 0; a < 3; a++) {
        s->low[a] = compat_floor(at[a]);
        s->parts[1][a] = at[a] - (double)s->low[a];
        s->parts[0][a] = 1 - s->parts[1][a];
        if (s->low[a] < 0 || s->low[a] + (s->parts[1][a] != 0) >= volume->size[a]) return false;
    }
    return true;
}

static double times(const es_compat_volume *volume, double a, double b) {
    if (volume->optimization != ES_COMPAT_FULL) return a * b;
    return (int32_t)(a * b * 0x1p14 + 0.5) * 0x1p-14; /* neither is below 0 */
}

static void insert_linear(es_compat_volume *volume, const double at[3], const es_image *image,
                          int64_t pixel, uint32_t weight) {
    surrounding s;
    if (!surround(volume, at, &s)) return;
    for (int corner = 0; corner < 8; corner++) {
        int dx = corner & 1, dy = corner >> 1 & 1, dz = corner >> 2;
        double part = times(volume, s.parts[dx][0], times(volume, s.parts[dy][1], s.parts[dz][2]));
        if (part == 0) continue;
        int64_t voxel =
            ((s.low[2] + dz) * volume->size[1] + s.low[1] + dy) * volume->size[0] + s.low[0] + dx;
        hit_linear(volume, voxel, image, pixel, part, weight);
    }
}

/* ---- rows, pixel by pixel (NONE) ------------------------------------------------------- */

static bool is_rejected(const es_compat_volume *volume, const es_image *image, int64_t pixel) {
    return element(volume, image->data, pixel) < volume->options.threshold;
}

static uint32_t pixel_weight(const es_compat_volume *volume, int64_t at) {
    return volume->mask.data ? ((const uint8_t *)volume->mask.data)[at] : WHOLE;
}

static void insert_one(es_compat_volume *volume, const double at[3], const es_image *image,
                       int64_t pixel) {
    uint32_t weight = pixel_weight(volume, pixel);
    if (volume->options.interpolation == ES_LINEAR) {
        insert_linear(volume, at, image, pixel, weight);
        return;
    }
    bool inside;
    int64_t voxel = nearest_voxel(volume, at, &inside);
    if (inside) hit_nearest(volume, voxel, image, pixel, weight);
}

static void insert_pixels(es_compat_volume *volume, const compat_frame *f) {
    int64_t width = f->image->width, height = f->image->height;
    for (int64_t v = 0; v < height; v++)
        for (int64_t u = 0; u < width; u++) {
            int64_t pixel = v * width + u;
            if (!compat_wanted(volume, f->image, u, v) || is_rejected(volume, f->image, pixel))
                continue;
            double at[3];
            for (int a = 0; a < 3; a++)
                at[a] = f->du[a] * (double)u + f->dv[a] * (double)v + f->origin[a];
            insert_one(volume, at, f->image, pixel);
        }
}

/* ---- rows, run by run (FULL and PARTIAL) -------------------------------------------------- */

typedef struct cursor {
    int64_t pixel, mask;
} cursor;

static void advance(cursor *c, int64_t pixels) {
    c->pixel += pixels;
    c->mask += pixels;
}

static bool on_image(const es_image *image, const cursor *c) {
    int64_t pixels = (int64_t)image->width * image->height;
    return c->pixel >= 0 && c->pixel < pixels && c->mask >= 0 && c->mask < pixels;
}

/* False when a mask value of 0 ends the run. */
static bool insert_at_cursor(es_compat_volume *volume, const double at[3], const es_image *image,
                             cursor *c) {
    uint32_t weight = pixel_weight(volume, c->mask);
    bool linear = volume->options.interpolation == ES_LINEAR, inside;
    int64_t voxel = linear ? -1 : nearest_voxel(volume, at, &inside);
    if (linear) {
        insert_linear(volume, at, image, c->pixel, weight);
    } else if (voxel >= 0) {
        bool saturated = is_saturated(volume, voxel);
        if (weight == 0 && !saturated) return false;
        hit_nearest(volume, voxel, image, c->pixel, weight);
        if (saturated && volume->mask.data) c->mask--;
    }
    advance(c, 1);
    return true;
}

static void insert_run(es_compat_volume *volume, const compat_frame *f, int64_t v, compat_run run,
                       cursor *c) {
    double start[3], at[3];
    for (int a = 0; a < 3; a++) start[a] = f->origin[a] + (double)v * f->dv[a];
    for (int64_t u = run.first; u <= run.last; u++) {
        if (!on_image(f->image, c) || is_rejected(volume, f->image, c->pixel)) {
            advance(c, 1);
            continue;
        }
        for (int a = 0; a < 3; a++) at[a] = start[a] + (double)u * f->du[a];
        if (!insert_at_cursor(volume, at, f->image, c)) return;
    }
}

static void insert_row(es_compat_volume *volume, const compat_frame *f, int64_t v, cursor *c) {
    compat_row row = compat_cut_row(volume, f, v);
    compat_run run = row.run;
    int64_t after = (int64_t)f->image->width - 1 - run.last;
    advance(c, run.first);
    if (row.has_gap) {
        insert_run(volume, f, v, (compat_run){run.first, row.gap.first - 1}, c);
        advance(c, row.gap.last - row.gap.first + 1);
        run.first = row.gap.last + 1;
    }
    insert_run(volume, f, v, run, c);
    if (after > 0) advance(c, after);
}

void compat_insert_rows(es_compat_volume *volume, const compat_frame *frame) {
    cursor c = {0, 0};
    if (volume->optimization == ES_COMPAT_NONE) {
        insert_pixels(volume, frame);
        return;
    }
    for (int64_t v = 0; v < frame->image->height; v++) insert_row(volume, frame, v, &c);
}
