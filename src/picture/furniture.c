/* What slices and rendered meshes share: numbers, colours, scale bar, axes. */
#include <math.h>
#include <stdio.h>

#include "picture_internal.h"

char *picture_number(double value, int decimals, char text[ES_NUMBER_SIZE]) {
    double unit = 1;
    for (int i = 0; i < decimals; i++) unit *= 10;
    double rounded = round(value * unit) / unit;
    return es_format_double(rounded == 0 ? 0 : rounded, text); /* no "-0" */
}

int picture_decimals(double step) {
    int decimals = 0;
    while (decimals < 6 && step > 0 && step < 0.9999) {
        step *= 10;
        decimals++;
    }
    return decimals;
}

double picture_window(double value, double low, double high) {
    if (!(high > low)) return value > low ? 1 : 0;
    return value > low ? fmin((value - low) / (high - low), 1) : 0;
}

bool picture_range(const float *values, size_t count, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        *low = fmin(*low, (double)values[i]);
        *high = fmax(*high, (double)values[i]);
    }
    return *low <= *high;
}

/* Chosen in CIE L*C*h: lightness 25 to 88 in equal steps while the hue turns
 * from 300 to 90 degrees, at the largest chroma up to 60 that sRGB can show. */
es_colour es_picture_colour_map(double t) {
    static const es_colour stops[] = {
        {43, 47, 140},  {6, 71, 139},   {8, 88, 136},    {8, 103, 139}, {11, 119, 144},
        {2, 135, 149},  {4, 151, 150},  {4, 168, 145},   {8, 186, 126}, {100, 198, 107},
        {156, 207, 96}, {207, 213, 93}, {255, 218, 103},
    };
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    double at = picture_window(t, 0, 1) * LAST;
    int i = at < LAST ? (int)at : LAST - 1;
    return picture_mix(stops[i], stops[i + 1], at - i);
}

int picture_letter_scale(uint32_t width) { return width < 480 ? 1 : width < 1100 ? 2 : 3; }

double picture_round_length(double limit) {
    double unit = 1;
    while (unit > limit) unit /= 10;
    while (unit * 10 <= limit) unit *= 10;
    return unit * 5 <= limit ? unit * 5 : unit * 2 <= limit ? unit * 2 : unit;
}

void picture_scale_bar(es_image *picture, int u, int v, double px_per_mm, int max_px,
                       es_colour colour) {
    double limit_mm = max_px / px_per_mm;
    if (!(limit_mm > 1e-9 && limit_mm < 1e9)) return;
    int scale = picture_letter_scale(picture->width);
    double mm = picture_round_length(limit_mm), end = u + mm * px_per_mm;
    char number[ES_NUMBER_SIZE], label[ES_NUMBER_SIZE + 4];
    snprintf(label, sizeof label, "%s mm", picture_number(mm, 9, number));
    es_picture_line(picture, u, v, end, v, scale, colour);
    es_picture_line(picture, u, v - 2 * scale, u, v + 2 * scale, scale, colour);
    es_picture_line(picture, end, v - 2 * scale, end, v + 2 * scale, scale, colour);
    es_picture_text(picture, u, v - 12 * scale, scale, colour, label);
}

static void arrow(es_image *picture, double u, double v, const double tip[2], double width,
                  es_colour colour) {
    double length = sqrt(tip[0] * tip[0] + tip[1] * tip[1]);
    if (!(length > 1)) return; /* it points at the eye */
    double end[2] = {u + tip[0], v + tip[1]};
    double du = tip[0] / length * 3 * width, dv = tip[1] / length * 3 * width;
    es_picture_line(picture, u, v, end[0], end[1], width, colour);
    es_picture_line(picture, end[0], end[1], end[0] - du - dv / 2, end[1] - dv + du / 2, width,
                    colour);
    es_picture_line(picture, end[0], end[1], end[0] - du + dv / 2, end[1] - dv - du / 2, width,
                    colour);
}

void picture_axes(es_image *picture, double u, double v, const double (*tips)[2],
                  const char *const *names, const es_colour *colours, int count) {
    int scale = picture_letter_scale(picture->width);
    for (int i = 0; i < count; i++) {
        double length = sqrt(tips[i][0] * tips[i][0] + tips[i][1] * tips[i][1]);
        double beyond = length > 1 ? 1 + 6.0 * scale / length : 0;
        arrow(picture, u, v, tips[i], scale, colours[i]);
        if (beyond > 0)
            es_picture_text(picture, (int)lround(u + tips[i][0] * beyond) - 2 * scale,
                            (int)lround(v + tips[i][1] * beyond) - 4 * scale, scale, colours[i],
                            names[i]);
    }
}
