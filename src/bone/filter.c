/* Smoothing and sums in beam space. Beyond the first and last line and sample
 * the outermost value goes on. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define LEAST_BEYOND_MM 3.0 /* less shows no shadow */
#define GAP_MM 3.0          /* nearer together it is the same echo */

/* Half of a symmetric Gaussian with sum 1; returns its radius. */
static int gaussian(double sigma, float kernel[MOST_RADIUS + 1]) {
    int radius = (int)fmin(ceil(3 * sigma), MOST_RADIUS);
    double sum = 0;
    for (int i = -radius; i <= radius; i++) sum += exp(-0.5 * i * i / (sigma * sigma));
    for (int i = 0; i <= radius; i++)
        kernel[i] = (float)(exp(-0.5 * i * i / (sigma * sigma)) / sum);
    return radius;
}

static ptrdiff_t within(ptrdiff_t index, size_t count) {
    return index < 0 ? 0 : index >= (ptrdiff_t)count ? (ptrdiff_t)count - 1 : index;
}

static void add_scaled(const float *in, float weight, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) out[i] += weight * in[i];
}

/* Samples [first, last) near an end, where the kernel reaches past it. */
static void smooth_end(const float *in, size_t count, float weight, ptrdiff_t k, size_t first,
                       size_t last, float *out) {
    for (ptrdiff_t z = (ptrdiff_t)first; z < (ptrdiff_t)last; z++)
        out[z] += weight * (in[within(z - k, count)] + in[within(z + k, count)]);
}

/* One line along depth: in and out differ. Tap by tap, so that the loop over
 * the samples is one of neighbours in memory. */
static void smooth_depth(const float *restrict in, size_t count, const float *kernel, int radius,
                         float *restrict out) {
    bool fits = 2 * (size_t)radius < count;
    size_t first = fits ? (size_t)radius : count, last = fits ? count - first : count;
    for (size_t z = 0; z < count; z++) out[z] = kernel[0] * in[z];
    for (int k = 1; k <= radius; k++) {
        for (size_t z = first; z < last; z++)
            out[z] += kernel[k] * (in[z - (size_t)k] + in[z + (size_t)k]);
        smooth_end(in, count, kernel[k], k, 0, first, out);
        smooth_end(in, count, kernel[k], k, last, count, out);
    }
}

void beams_smooth(const struct beams *beams, const float *in, double depth_sigma_mm,
                  double line_sigma_mm, float *scratch, float *out) {
    float kernel[MOST_RADIUS + 1];
    size_t n = beams->samples;
    int radius = gaussian(depth_sigma_mm / beams->depth_step_mm, kernel);
    for (size_t line = 0; line < beams->lines; line++)
        smooth_depth(in + line * n, n, kernel, radius, scratch + line * n);
    radius = gaussian(line_sigma_mm / beams->line_step_mm, kernel);
    memset(out, 0, beams->lines * n * sizeof *out);
    for (size_t line = 0; line < beams->lines; line++)
        for (int k = -radius; k <= radius; k++)
            add_scaled(scratch + (size_t)within((ptrdiff_t)line + k, beams->lines) * n,
                       kernel[k < 0 ? -k : k], n, out + line * n);
}

/* One tap of a slanted kernel: the line it reads and how far along depth. */
struct slanted {
    const float *in;
    ptrdiff_t shift;
    float weight;
};

static struct slanted tap_at(const struct beams *beams, const float *in, size_t line,
                             const struct slant *slant, int k) {
    size_t from = (size_t)within((ptrdiff_t)line + k, beams->lines);
    ptrdiff_t shift = lround(slant->slope * k * beams->line_step_mm / beams->depth_step_mm);
    return (struct slanted){in + from * beams->samples, shift, slant->kernel[k < 0 ? -k : k]};
}

/* Two taps in one pass; samples [first, last) need no care for the ends. */
static void add_taps(struct slanted a, struct slanted b, size_t count, float *restrict out) {
    ptrdiff_t n = (ptrdiff_t)count, low = a.shift < b.shift ? a.shift : b.shift;
    ptrdiff_t high = a.shift > b.shift ? a.shift : b.shift;
    ptrdiff_t first = low < 0 ? -low : 0, last = high > 0 ? n - high : n;
    if (first > n) first = n;
    if (last < first) last = first;
    for (ptrdiff_t z = 0; z < first; z++)
        out[z] += a.weight * a.in[within(z + a.shift, count)] +
                  b.weight * b.in[within(z + b.shift, count)];
    for (ptrdiff_t z = first; z < last; z++)
        out[z] += a.weight * a.in[z + a.shift] + b.weight * b.in[z + b.shift];
    for (ptrdiff_t z = last; z < n; z++)
        out[z] += a.weight * a.in[within(z + a.shift, count)] +
                  b.weight * b.in[within(z + b.shift, count)];
}

void beams_slant(const struct beams *beams, double slope, double sigma_mm, struct slant *slant) {
    /* the Gaussian is as long along the slope as across */
    double sigma = sigma_mm / sqrt(1 + slope * slope) / beams->line_step_mm;
    slant->slope = slope;
    slant->radius = gaussian(sigma, slant->kernel);
}

void beams_smooth_line(const struct beams *beams, const float *in, size_t line,
                       const struct slant *slant, float *out) {
    struct slanted middle = tap_at(beams, in, line, slant, 0);
    for (size_t z = 0; z < beams->samples; z++) out[z] = middle.weight * middle.in[z];
    for (int k = 1; k <= slant->radius; k++)
        add_taps(tap_at(beams, in, line, slant, -k), tap_at(beams, in, line, slant, k),
                 beams->samples, out);
}

/* Weights that rise with the onset and fade with the range are the difference
 * of two exponentials, so both sums run along the line in constant time a
 * sample. `step` -1 runs up the line and gives what is below. */
static void mean_beyond(const struct beams *beams, const float *in, struct reach reach, int step,
                        float *out) {
    float fast = (float)exp(-beams->depth_step_mm * (1 / reach.onset_mm + 1 / reach.range_mm));
    float slow = (float)exp(-beams->depth_step_mm / reach.range_mm);
    uint32_t least = (uint32_t)ceil(LEAST_BEYOND_MM / beams->depth_step_mm);
    for (size_t line = 0; line < beams->lines; line++) {
        const float *x = in + line * beams->samples;
        float *mean = out + line * beams->samples;
        for (size_t z = 0; z < beams->samples; z++) mean[z] = 1;
        float far = 0, near = 0, far_weight = 0, near_weight = 0;
        uint32_t count = beams->last[line] - beams->first[line];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t z = step < 0 ? beams->last[line] - 1 - i : beams->first[line] + i;
            if (i >= least) mean[z] = (far - near) / (far_weight - near_weight);
            far = (far + x[z]) * slow;
            near = (near + x[z]) * fast;
            far_weight = (far_weight + 1) * slow;
            near_weight = (near_weight + 1) * fast;
        }
    }
}

void beams_mean_below(const struct beams *beams, const float *in, struct reach reach, float *out) {
    mean_beyond(beams, in, reach, -1, out);
}

void beams_mean_above(const struct beams *beams, const float *in, struct reach reach, float *out) {
    mean_beyond(beams, in, reach, 1, out);
}

void beams_give_way(const struct beams *beams, const float *echo, float *map) {
    size_t gap = (size_t)lround(GAP_MM / beams->depth_step_mm);
    if (gap >= beams->samples) return;
    for (size_t i = 0; i < beams->lines; i++) {
        const float *bright = echo + i * beams->samples;
        float *line = map + i * beams->samples, deeper = 0;
        for (size_t z = beams->samples - gap; z-- > 0;) {
            float below = line[z + gap] * bright[z + gap], here = line[z] * bright[z];
            deeper = below > deeper ? below : deeper;
            if (!(here > 0)) continue;
            float share = deeper / here;
            line[z] = share < 1 ? line[z] * (1 - share * share) : 0;
        }
    }
}
