/* A simple rule for bone: a bright ridge, a step down right below it, and
 * darkness in all that lies below. Each of the three is a number 0..1 on the
 * frame's tone, and the map is their product; so a fascia (no darkness
 * below), a shadow's upper edge without an echo (no ridge) and bright speckle
 * (no step) all fail on one of them. */
#include <math.h>

#include "bone_internal.h"

#define SMOOTH_MM 0.4
#define NEAR_MM 2.0 /* the step looks at this depth below the ridge */
#define ONSET_MM 1.0
#define FULL_RIDGE 0.25f
#define FULL_STEP 0.5f
#define GREY_SHADOW 0.35f /* a mean below as bright as this is no shadow */

static float unit(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

void shadow_map(const struct beams *beams, float *scratch[BONE_SCRATCHES], float *map) {
    float *blur = scratch[0], *below = scratch[1];
    size_t n = beams->samples, wing = (size_t)lround(2 * SMOOTH_MM / beams->depth_step_mm);
    size_t near = (size_t)lround(NEAR_MM / beams->depth_step_mm);
    beams_smooth(beams, beams->tone, SMOOTH_MM, SMOOTH_MM, scratch[2], blur);
    beams_mean_below(beams, blur, ONSET_MM, below);
    for (size_t line = 0; line < beams->lines; line++) {
        const float *b = blur + line * n;
        float *out = map + line * n;
        for (size_t z = 0; z < n; z++) {
            out[z] = 0;
            if (z < wing || z + near >= n) continue;
            float ridge = unit((b[z] - 0.5f * (b[z - wing] + b[z + wing])) / FULL_RIDGE);
            float step = unit((b[z] - b[z + near]) / FULL_STEP);
            float dark = unit(1 - below[line * n + z] / GREY_SHADOW);
            out[z] = ridge * step * dark;
        }
    }
}
