/* A simple rule for bone: a bright ridge, and darkness in what lies below it.
 * Each is a number 0..1 on the frame's tone, and the map is their product; so
 * a fascia (tissue below is as bright as above), a shadow's upper edge without
 * an echo and bright speckle (no ridge) all fail on one of them.
 *
 * The ridge is measured after smoothing along each of a few slopes, and the
 * best one counts: an echo on bone is a line many times longer than a speckle,
 * and on the flank of a condyle it is a steep one. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define BLUR_MM 0.3  /* before anything */
#define ALONG_MM 1.0 /* sigma of the smoothing along a slope */
#define SIDE_MM 1.0  /* a ridge stands out from what is this far above and below */
#define SHADOW_ABOVE 1.25f
#define LEAST_GREY 0.15f
#define MOST_GREY 0.3f
#define FULL_RIDGE 0.3f

static const double slopes[] = {-3, -2, -1.3, -0.7, -0.3, 0, 0.3, 0.7, 1.3, 2, 3};

/* The shadow counts from 2 mm below the echo, and less and less beyond 12. */
static const struct reach shadow_reach = {.onset_mm = 2, .range_mm = 12};

static float unit(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* ridge[z] = max(ridge[z], how far line[z] stands out from both sides). */
static void add_ridge(const float *line, size_t count, size_t side, float *ridge) {
    for (size_t z = side; z + side < count; z++) {
        float above = line[z] - line[z - side], below = line[z] - line[z + side];
        float least = above < below ? above : below;
        ridge[z] = least > ridge[z] ? least : ridge[z];
    }
}

/* How dark is what lies below, 0..1? A mean below as bright as `grey` is no
 * shadow: a fixed grey, but no more than what lies above the echo, so that
 * uniformly dark tissue is no shadow either; water above may be black. */
static float darkness(float below, float above) {
    float grey = SHADOW_ABOVE * above;
    grey = grey < LEAST_GREY ? LEAST_GREY : grey > MOST_GREY ? MOST_GREY : grey;
    return unit(1 - below / grey);
}

/* The best ridge over all slopes. */
static void find_ridges(const struct beams *beams, const float *blur, float *line, float *map) {
    size_t n = beams->samples;
    memset(map, 0, beams->lines * n * sizeof *map);
    for (size_t s = 0; s < sizeof slopes / sizeof *slopes; s++) {
        struct slant slant;
        double side_mm = SIDE_MM * sqrt(1 + slopes[s] * slopes[s]);
        size_t side = (size_t)lround(side_mm / beams->depth_step_mm);
        beams_slant(beams, slopes[s], ALONG_MM, &slant);
        for (size_t i = 0; i < beams->lines; i++) {
            beams_smooth_line(beams, blur, i, &slant, line);
            add_ridge(line, n, side, map + i * n);
        }
    }
}

void shadow_map(const struct beams *beams, float *scratch[BONE_SCRATCHES], float *map) {
    float *blur = scratch[0], *below = scratch[1], *above = scratch[2];
    size_t samples = beams->lines * beams->samples;
    beams_smooth(beams, beams->tone, BLUR_MM, BLUR_MM, above, blur);
    beams_mean_below(beams, blur, shadow_reach, below);
    beams_mean_above(beams, blur, shadow_reach, above);
    find_ridges(beams, blur, scratch[3], map);
    for (size_t i = 0; i < samples; i++)
        map[i] = unit(map[i] / FULL_RIDGE) * darkness(below[i], above[i]);
    beams_give_way(beams, blur, map);
}
