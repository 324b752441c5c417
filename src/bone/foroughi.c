/* Bone probability after Foroughi, Boctor, Swartz, Taylor and Fichtinger,
 * "Ultrasound bone segmentation using dynamic programming", IEEE Ultrasonics
 * Symposium 2007: a reflection number (how bright, and how much of a ridge)
 * times a shadow value (how dark all that lies below). The powers and widths
 * are those that the PLUS toolkit's filter uses, in millimetres; its
 * normalisation by the frame's maximum is left to the tone, so that a frame
 * without bone does not get one. */
#include <math.h>

#include "bone_internal.h"

#define SMOOTH_MM 0.4    /* sigma of the blur */
#define LEAST_ECHO 0.15f /* darker is no reflection */
#define LOG_GAIN 8.0f    /* weight of the Laplacian of Gaussian, sigma^2 scaled */

/* All that lies below, from half a millimetre on. */
static const struct reach shadow_reach = {.onset_mm = 0.5, .range_mm = 1e6};

static float at_most_1(float x) { return x < 1 ? x : 1; }

void foroughi_map(const struct beams *beams, float *scratch[BONE_SCRATCHES], float *map) {
    float *blur = scratch[0], *below = scratch[1];
    size_t n = beams->samples;
    beams_smooth(beams, beams->tone, SMOOTH_MM, SMOOTH_MM, scratch[2], blur);
    beams_mean_below(beams, blur, shadow_reach, below);
    float across = (float)pow(SMOOTH_MM / beams->line_step_mm, 2);
    float along = (float)pow(SMOOTH_MM / beams->depth_step_mm, 2);
    for (size_t line = 0; line < beams->lines; line++) {
        const float *b = blur + line * n;
        const float *left = line ? b - n : b, *right = line + 1 < beams->lines ? b + n : b;
        float *out = map + line * n;
        out[0] = out[n - 1] = 0;
        for (size_t z = 1; z + 1 < n; z++) {
            float laplacian =
                along * (b[z - 1] + b[z + 1] - 2 * b[z]) + across * (left[z] + right[z] - 2 * b[z]);
            float ridge = laplacian < 0 ? -LOG_GAIN * laplacian : 0;
            float reflection = at_most_1(b[z] * b[z] * b[z] + ridge);
            float dark = 1 - at_most_1(below[line * n + z]);
            float dark2 = dark * dark;
            out[z] = b[z] < LEAST_ECHO ? 0 : reflection * dark2 * dark2 * dark;
        }
    }
    beams_give_way(beams, blur, map);
}
