/* Resizing and windowing of images for people.
 *
 * Each axis is resampled by itself with a short row of weights per output
 * pixel. Shrinking averages the area that an output pixel covers, so that no
 * speckle aliases; growing interpolates linearly between pixel centres. */
#include <math.h>

#include "picture_internal.h"

/* Output pixel i is the sum over k of weights[i * taps + k] * input[first[i] + k]. */
typedef struct axis {
    uint32_t from, to, taps;
    uint32_t *first;
    float *weights;
} axis;

static void axis_clear(axis *a) {
    es_free(a->first);
    es_free(a->weights);
}

static void area_weights(axis *a, uint32_t i, double scale) {
    double low = i * scale, high = fmin((i + 1) * scale, a->from);
    uint32_t first = (uint32_t)low;
    if (first > a->from - a->taps) first = a->from - a->taps;
    a->first[i] = first;
    for (uint32_t k = 0; k < a->taps; k++) {
        double cover = fmin(high, first + k + 1.0) - fmax(low, first + k);
        a->weights[(size_t)i * a->taps + k] = (float)(fmax(cover, 0) / (high - low));
    }
}

static void linear_weights(axis *a, uint32_t i, double scale) {
    double at = fmin(fmax((i + 0.5) * scale - 0.5, 0), a->from - 1.0);
    uint32_t first = (uint32_t)at;
    if (first > a->from - a->taps) first = a->from - a->taps;
    float *weights = a->weights + (size_t)i * a->taps;
    a->first[i] = first;
    weights[0] = 1;
    if (a->taps == 1) return;
    weights[1] = (float)(at - first);
    weights[0] = 1 - weights[1];
}

static bool axis_make(axis *a, uint32_t from, uint32_t to, es_error *err) {
    double scale = (double)from / to;
    uint32_t taps = scale > 1 ? (uint32_t)ceil(scale) + 1 : 2;
    *a = (axis){.from = from, .to = to, .taps = taps < from ? taps : from};
    a->first = es_alloc(to, sizeof *a->first, err);
    a->weights = a->first ? es_alloc(to, a->taps * sizeof *a->weights, err) : NULL;
    if (!a->weights) return false;
    for (uint32_t i = 0; i < to; i++)
        if (scale > 1)
            area_weights(a, i, scale);
        else
            linear_weights(a, i, scale);
    return true;
}

static void shrink_row(const axis *a, const float *in, float *out) {
    for (uint32_t i = 0; i < a->to; i++) {
        const float *weights = a->weights + (size_t)i * a->taps;
        float sum = 0;
        for (uint32_t k = 0; k < a->taps; k++) sum += weights[k] * in[a->first[i] + k];
        out[i] = sum;
    }
}

static void add_row(float *out, const float *in, float weight, uint32_t width) {
    for (uint32_t i = 0; i < width; i++) out[i] += weight * in[i];
}

bool picture_resample(const float *from, const uint32_t from_size[2], float *to,
                      const uint32_t to_size[2], es_error *err) {
    axis across = {0}, down = {0};
    float *rows = NULL; /* from_size[1] rows of the output's width */
    bool ok = axis_make(&across, from_size[0], to_size[0], err) &&
              axis_make(&down, from_size[1], to_size[1], err);
    size_t width = to_size[0];
    if (ok) ok = (rows = es_alloc(from_size[1], width * sizeof *rows, err)) != NULL;
    for (uint32_t v = 0; ok && v < from_size[1]; v++)
        shrink_row(&across, from + (size_t)v * from_size[0], rows + v * width);
    for (uint32_t v = 0; ok && v < to_size[1]; v++) {
        float *out = to + v * width;
        for (size_t u = 0; u < width; u++) out[u] = 0;
        for (uint32_t k = 0; k < down.taps; k++)
            add_row(out, rows + (down.first[v] + k) * width,
                    down.weights[(size_t)v * down.taps + k], to_size[0]);
    }
    es_free(rows);
    axis_clear(&across);
    axis_clear(&down);
    return ok;
}

/* One channel as floats; what is not finite counts as the lowest value. */
static void take_channel(const es_image *image, int channel, float *plane) {
    size_t count = (size_t)image->width * image->height, step = (size_t)image->channels;
    for (size_t i = 0; i < count; i++) {
        double value = es_type_get(image->type, image->data, i * step + (size_t)channel);
        plane[i] = (float)value;
    }
}

static void replace_infinite(float *plane, size_t count, float by) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(plane[i])) plane[i] = by;
}

static bool full_range(const es_image *image, float *plane, double *low, double *high) {
    size_t count = (size_t)image->width * image->height;
    *low = INFINITY;
    *high = -INFINITY;
    for (int c = 0; c < image->channels; c++) {
        double least, most;
        take_channel(image, c, plane);
        if (!picture_range(plane, count, &least, &most)) continue;
        *low = fmin(*low, least);
        *high = fmax(*high, most);
    }
    return *low <= *high;
}

bool es_picture_from_image(const es_image *image, double low, double high, uint32_t width,
                           uint32_t height, es_image *picture, es_error *err) {
    size_t count = (size_t)image->width * image->height, pixels = (size_t)width * height;
    if (!image->data || count == 0)
        return es_fail(err, ES_USAGE, "the image to be drawn has no pixels");
    if (!es_picture_new(picture, width, height, (es_colour){0}, err)) return false;
    float *plane = es_alloc(count, sizeof *plane, err);
    float *resized = plane ? es_alloc(pixels, sizeof *resized, err) : NULL;
    bool ok = resized != NULL;
    if (ok && low == high && !full_range(image, plane, &low, &high)) low = high = 0;
    const uint32_t from_size[2] = {image->width, image->height}, to_size[2] = {width, height};
    for (int c = 0; ok && c < 3; c++) {
        if (c < image->channels) {
            take_channel(image, c, plane);
            replace_infinite(plane, count, (float)low);
            ok = picture_resample(plane, from_size, resized, to_size, err);
        }
        uint8_t *out = (uint8_t *)picture->data + c;
        for (size_t i = 0; ok && i < pixels; i++)
            out[3 * i] = picture_byte(255 * picture_window((double)resized[i], low, high));
    }
    es_free(plane);
    es_free(resized);
    return ok;
}
