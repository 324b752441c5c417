/* Smoothing and sums in beam space. Beyond the first and last line and sample
 * the outermost value goes on. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define LEAST_BEYOND_MM 3.0 /* less shows no shadow */
#define GAP_MM 3.0          /* nearer together it is the same echo */
enum { MOST_RADIUS = 24 };

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

/* One line along depth: in and out differ. */
static void smooth_depth(const float *in, size_t count, const float *kernel, int radius,
                         float *out) {
    for (size_t z = 0; z < count; z++) {
        float sum = kernel[0] * in[z];
        if (z >= (size_t)radius && z + (size_t)radius < count)
            for (int k = 1; k <= radius; k++) sum += kernel[k] * (in[z - k] + in[z + k]);
        else
            for (int k = 1; k <= radius; k++)
                sum += kernel[k] *
                       (in[within((ptrdiff_t)z - k, count)] + in[within((ptrdiff_t)z + k, count)]);
        out[z] = sum;
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

/* out[z] += weight * in[z + shift], the ends going on. */
static void add_shifted(const float *in, ptrdiff_t shift, float weight, size_t count, float *out) {
    ptrdiff_t n = (ptrdiff_t)count;
    ptrdiff_t first = shift < 0 ? -shift : 0, last = shift > 0 ? n - shift : n;
    if (first > n) first = n;
    if (last < first) last = first;
    for (ptrdiff_t z = 0; z < first; z++) out[z] += weight * in[0];
    for (ptrdiff_t z = first; z < last; z++) out[z] += weight * in[z + shift];
    for (ptrdiff_t z = last; z < n; z++) out[z] += weight * in[n - 1];
}

void beams_smooth_line(const struct beams *beams, const float *in, size_t line, double slope,
                       double sigma_mm, float *out) {
    float kernel[MOST_RADIUS + 1];
    /* the Gaussian is as long along the slope as across */
    double sigma = sigma_mm / sqrt(1 + slope * slope) / beams->line_step_mm;
    int radius = gaussian(sigma, kernel);
    memset(out, 0, beams->samples * sizeof *out);
    for (int k = -radius; k <= radius; k++) {
        ptrdiff_t shift = lround(slope * k * beams->line_step_mm / beams->depth_step_mm);
        size_t from = (size_t)within((ptrdiff_t)line + k, beams->lines);
        add_shifted(in + from * beams->samples, shift, kernel[k < 0 ? -k : k], beams->samples, out);
    }
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
