/* Smoothing and sums in beam space. Beyond the first and last line and sample
 * the outermost value goes on. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

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
    for (size_t i = 0; i < count; i++) out[i] = fmaf(weight, in[i], out[i]);
}

/* One line along depth: in and out differ. */
static void smooth_depth(const float *in, size_t count, const float *kernel, int radius,
                         float *out) {
    for (size_t z = 0; z < count; z++) {
        float sum = kernel[0] * in[z];
        if (z >= (size_t)radius && z + (size_t)radius < count)
            for (int k = 1; k <= radius; k++) sum = fmaf(kernel[k], in[z - k] + in[z + k], sum);
        else
            for (int k = 1; k <= radius; k++)
                sum = fmaf(
                    kernel[k],
                    in[within((ptrdiff_t)z - k, count)] + in[within((ptrdiff_t)z + k, count)], sum);
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

/* The weights' sum and the weighted sum are each a plain sum minus one that
 * fades exponentially, so both run up the line in constant time a sample. */
void beams_mean_below(const struct beams *beams, const float *in, double onset_mm, float *out) {
    float fade = (float)exp(-beams->depth_step_mm / onset_mm);
    for (size_t line = 0; line < beams->lines; line++) {
        const float *x = in + line * beams->samples;
        float *mean = out + line * beams->samples;
        for (size_t z = 0; z < beams->samples; z++) mean[z] = 1;
        float sum = 0, faded = 0, weight = 0, faded_weight = 0;
        for (size_t z = beams->last[line]; z-- > beams->first[line];) {
            float total = weight - faded_weight;
            if (total > 0.5f) mean[z] = (sum - faded) / total;
            sum += x[z];
            weight += 1;
            faded = (faded + x[z]) * fade;
            faded_weight = (faded_weight + 1) * fade;
        }
    }
}
