/* Lines, discs, letters and pasting on RGB rasters.
 *
 * Anti-aliasing by distance: a pixel is covered by as much as its centre lies
 * inside the shape's edge, counted from half a pixel outside (0) to half a
 * pixel inside (1). Exact enough for the eye, the same on every machine. */
#include <math.h>

#include "picture_internal.h"

bool picture_check_size(uint32_t width, uint32_t height, es_error *err) {
    if (width > 0 && height > 0 && width <= PICTURE_LARGEST && height <= PICTURE_LARGEST)
        return true;
    return es_fail(err, ES_USAGE, "a picture of %u x %u pixels; each side must be 1 to %d", width,
                   height, PICTURE_LARGEST);
}

bool es_picture_new(es_image *picture, uint32_t width, uint32_t height, es_colour fill,
                    es_error *err) {
    if (!picture_check_size(width, height, err)) return false;
    if (!es_image_resize(picture, ES_U8, 3, width, height, err)) return false;
    es_colour *pixels = picture->data;
    size_t count = (size_t)width * height;
    for (size_t i = 0; i < count; i++) pixels[i] = fill;
    return true;
}

uint8_t picture_byte(double value) {
    return value > 0 ? (uint8_t)lrint(fmin(value, 255)) : 0; /* NaN compares false */
}

es_colour picture_mix(es_colour a, es_colour b, double share_of_b) {
    double keep = 1 - share_of_b;
    return (es_colour){picture_byte(a.r * keep + b.r * share_of_b),
                       picture_byte(a.g * keep + b.g * share_of_b),
                       picture_byte(a.b * keep + b.b * share_of_b)};
}

static bool is_picture(const es_image *image) {
    return image->data && image->type == ES_U8 && image->channels == 3;
}

static void blend(es_image *picture, int u, int v, es_colour colour, double cover) {
    if (!(cover > 0)) return;
    es_colour *pixel = (es_colour *)picture->data + (size_t)v * picture->width + (size_t)u;
    *pixel = picture_mix(*pixel, colour, fmin(cover, 1));
}

/* Whole numbers of [from, to] that lie in [0, size): false when there are none. */
static bool clip_range(double from, double to, uint32_t size, int *first, int *last) {
    double low = fmax(ceil(from), 0), high = fmin(floor(to), (double)size - 1);
    if (!(low <= high)) return false;
    *first = (int)low;
    *last = (int)high;
    return true;
}

/* Distance of (u, v) to the segment that starts at (0, 0) and ends at (du, dv). */
static double segment_distance(double u, double v, double du, double dv) {
    double length2 = du * du + dv * dv;
    double t = length2 > 0 ? (u * du + v * dv) / length2 : 0;
    t = fmin(fmax(t, 0), 1);
    return sqrt((u - t * du) * (u - t * du) + (v - t * dv) * (v - t * dv));
}

/* Walks along the longer axis and visits only the pixels near the line. */
void es_picture_line(es_image *picture, double u0, double v0, double u1, double v1, double width_px,
                     es_colour colour) {
    double start[2] = {u0, v0}, step[2] = {u1 - u0, v1 - v0};
    bool finite = isfinite(u0) && isfinite(v0) && isfinite(u1) && isfinite(v1);
    if (!is_picture(picture) || !finite || !(width_px > 0)) return;
    int along = fabs(step[0]) >= fabs(step[1]) ? 0 : 1, across = 1 - along;
    uint32_t size[2] = {picture->width, picture->height};
    double slope = step[along] != 0 ? step[across] / step[along] : 0;
    double reach = width_px / 2 + 0.5, span = reach * sqrt(1 + slope * slope);
    double from = fmin(start[along], start[along] + step[along]) - reach;
    double to = fmax(start[along], start[along] + step[along]) + reach;
    int first, last, low, high;
    if (!clip_range(from, to, size[along], &first, &last)) return;
    for (int a = first; a <= last; a++) {
        double middle = start[across] + (a - start[along]) * slope;
        if (!clip_range(middle - span, middle + span, size[across], &low, &high)) continue;
        for (int b = low; b <= high; b++) {
            int u = along == 0 ? a : b, v = along == 0 ? b : a;
            blend(picture, u, v, colour,
                  reach - segment_distance(u - u0, v - v0, step[0], step[1]));
        }
    }
}

void es_picture_disc(es_image *picture, double u, double v, double radius_px, es_colour colour) {
    if (!is_picture(picture) || !(radius_px > 0)) return;
    double reach = radius_px + 0.5;
    int u0, u1, v0, v1;
    if (!clip_range(u - reach, u + reach, picture->width, &u0, &u1)) return;
    if (!clip_range(v - reach, v + reach, picture->height, &v0, &v1)) return;
    for (int y = v0; y <= v1; y++)
        for (int x = u0; x <= u1; x++)
            blend(picture, x, y, colour, reach - sqrt((x - u) * (x - u) + (y - v) * (y - v)));
}

static void fill_square(es_image *picture, int64_t u, int64_t v, int side, es_colour colour) {
    int u0, u1, v0, v1;
    if (!clip_range((double)u, (double)(u + side - 1), picture->width, &u0, &u1)) return;
    if (!clip_range((double)v, (double)(v + side - 1), picture->height, &v0, &v1)) return;
    for (int y = v0; y <= v1; y++)
        for (int x = u0; x <= u1; x++) blend(picture, x, y, colour, 1);
}

static bool is_utf8_tail(unsigned char byte) { return (byte & 0xc0) == 0x80; }

int picture_text_width(const char *text, int scale) {
    int letters = 0;
    for (; *text; text++) letters += !is_utf8_tail((unsigned char)*text);
    return letters * PICTURE_CELL_WIDTH * scale;
}

void es_picture_text(es_image *picture, int u, int v, int scale, es_colour colour,
                     const char *text) {
    if (!is_picture(picture) || scale < 1 || scale > PICTURE_LARGEST) return;
    int64_t left = u;
    for (; *text && left < picture->width; text++) {
        if (is_utf8_tail((unsigned char)*text)) continue;
        for (int row = 0; row < PICTURE_GLYPH_ROWS; row++)
            for (int column = 0; column < PICTURE_GLYPH_COLUMNS; column++)
                if (picture_glyph_dot((unsigned char)*text, column, row))
                    fill_square(picture, left + (int64_t)column * scale, v + (int64_t)row * scale,
                                scale, colour);
        left += (int64_t)PICTURE_CELL_WIDTH * scale;
    }
}

void es_picture_paste(es_image *picture, const es_image *from, int u, int v) {
    int u0, u1, v0, v1;
    if (!is_picture(picture) || !is_picture(from)) return;
    if (!clip_range(u, (double)u + from->width - 1, picture->width, &u0, &u1)) return;
    if (!clip_range(v, (double)v + from->height - 1, picture->height, &v0, &v1)) return;
    const es_colour *source = from->data;
    es_colour *target = picture->data;
    for (int y = v0; y <= v1; y++)
        for (int x = u0; x <= u1; x++)
            target[(size_t)y * picture->width + (size_t)x] =
                source[(size_t)(y - v) * from->width + (size_t)(x - u)];
}
