/* Where the surface lies in every column of a picture.
 *
 * Of bone only the outline that faces the probe is seen, a bright ridge over a
 * shadow. Greys of two pictures some millimetres apart say little about what
 * lies between them where the outline runs aslant: mixed, they are two faint
 * ridges. Its depth does: mixed, it is the outline between. So the ridge's crest
 * is found to a part of a cell, by the parabola through its highest value, and
 * smoothed by lines through its neighbours, which drops what has none. */
#include <math.h>

#include "self.h"

enum { NEAR = 3, LEAST_NEAR = 4, PROFILE = 9, ALONG = 2 };
static const float LEAST_RIDGE = 12; /* grey levels over what lies around */
static const float STEEPEST = 2.5F;  /* rows a column */

/* NaN without a ridge. */
static float find_ridge(const float *column, size_t width, size_t height) {
    size_t at = 0;
    for (size_t y = 1; y < height; y++)
        if (column[y * width] > column[at * width]) at = y;
    if (column[at * width] < LEAST_RIDGE || at == 0 || at + 1 == height) return NAN;
    float above = column[(at - 1) * width], here = column[at * width];
    float below = column[(at + 1) * width], bend = 2 * here - above - below;
    return (float)at + (bend > 0 ? 0.5F * (below - above) / bend : 0);
}

/* The line through what is near `x` in both directions. */
static self_crest line_near(const float *ridges, size_t width, size_t x) {
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t k = x < NEAR ? 0 : x - NEAR; k < width && k <= x + NEAR; k++) {
        float d = (float)k - (float)x, rise = ridges[k] - ridges[x];
        if (!(fabsf(rise) <= STEEPEST * fabsf(d))) continue;
        n++, sx += d, sy += ridges[k], sxx += d * d, sxy += d * ridges[k];
    }
    double spread = n * sxx - sx * sx;
    if (n < LEAST_NEAR || !(spread > 0)) return (self_crest){NAN, NAN};
    double slope = (n * sxy - sx * sy) / spread;
    return (self_crest){(float)((sy - slope * sx) / n), (float)slope};
}

/* Grey of a column between two rows; the last beyond the edge. */
static double grey_at(const float *column, size_t width, size_t height, double row) {
    double at = fmin(fmax(row, 0), (double)height - 1.001);
    size_t y = (size_t)at;
    return column[y * width] + (at - (double)y) * (column[(y + 1) * width] - column[y * width]);
}

/* Across the ridge, the mean along it. */
static void read_profile(const float *grey, size_t width, size_t height, size_t x, self_crest crest,
                         double profile[PROFILE]) {
    for (int t = 0; t < PROFILE; t++) {
        double sum = 0, n = 0;
        for (int d = -ALONG; d <= ALONG; d++) {
            if ((d < 0 && x < (size_t)-d) || x + (size_t)(d + ALONG) >= width + ALONG) continue;
            double row = crest.row + crest.slope * d + (t - PROFILE / 2);
            sum += grey_at(grey + x + d, width, height, row), n++;
        }
        profile[t] = sum / n;
    }
}

/* Sound that comes late draws out the ridge's lower side, the more the less it is
 * slanted: its middle lies deeper than the surface. Where the profile bends most it does
 * not, because what comes late falls off evenly. */
static float sharpest_bend(const double profile[PROFILE]) {
    double bend[PROFILE] = {0};
    int at = 1;
    for (int t = 1; t + 1 < PROFILE; t++) {
        bend[t] = 2 * profile[t] - profile[t - 1] - profile[t + 1];
        if (bend[t] > bend[at]) at = t;
    }
    if (at == 1 || at == PROFILE - 2) return NAN;
    double curve = 2 * bend[at] - bend[at - 1] - bend[at + 1];
    return (float)(at - PROFILE / 2 + 0.5 * (bend[at + 1] - bend[at - 1]) / curve);
}

void self_find_crests(const self_fit *fit, size_t f, float *room) {
    size_t width = fit->pictures->width, height = fit->pictures->height;
    const float *ridges = fit->source + f * width * height;
    const float *grey = fit->pictures->grey + f * width * height;
    self_crest *crests = fit->crests + f * width;
    for (size_t x = 0; x < width; x++) room[x] = find_ridge(ridges + x, width, height);
    for (size_t x = 0; x < width; x++) crests[x] = line_near(room, width, x);
    for (size_t x = 0; x < width; x++) {
        double profile[PROFILE];
        if (isnan(crests[x].row)) continue;
        read_profile(grey, width, height, x, crests[x], profile);
        crests[x].row += sharpest_bend(profile);
    }
}
