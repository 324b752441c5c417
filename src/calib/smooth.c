/* Poses smoothed over time, for finding a lag: the noise of single poses would
 * draw the lag to where two of them are averaged, and hide how fast the probe
 * moves. Each is replaced by the parabola through it and its two neighbours on
 * each side (Savitzky and Golay 1964, for uneven times), which leaves a hand's
 * motion as it is and half of the noise's variance. */
#include <math.h>

#include "calib_internal.h"

enum { SIDE = 2, WINDOW = 2 * SIDE + 1 };

/* Weights of the parabola's value at time 0; false for times that do not
 * determine it. */
static bool parabola(const double t[WINDOW], double weights[WINDOW]) {
    double s[5] = {0};
    for (int k = 0; k < WINDOW; k++)
        for (int p = 0; p < 5; p++) s[p] += pow(t[k], p);
    /* first row of the inverse of the moments' matrix */
    double a = s[2] * s[4] - s[3] * s[3], b = s[2] * s[3] - s[1] * s[4],
           c = s[1] * s[3] - s[2] * s[2], det = s[0] * a + s[1] * b + s[2] * c;
    if (!(det > 1e-9 * s[0] * s[2] * s[4])) return false;
    for (int k = 0; k < WINDOW; k++) weights[k] = (a + b * t[k] + c * t[k] * t[k]) / det;
    return true;
}

static es_mat4 smooth_one(const double *times, const es_mat4 *poses, size_t k, double max_gap) {
    double t[WINDOW], weights[WINDOW], scale = times[k + SIDE] - times[k - SIDE];
    es_mat4 here = poses[k], inverse;
    for (int j = 0; j < WINDOW; j++) {
        size_t at = k + (size_t)j - SIDE;
        if (!es_mat4_finite(poses[at]) || (j > 0 && times[at] - times[at - 1] > max_gap))
            return here;
        t[j] = (times[at] - times[k]) / scale;
    }
    if (!(scale > 0) || !es_mat4_invert(here, &inverse, NULL) || !parabola(t, weights)) return here;
    es_vec3 turn = es_vec3_make(0, 0, 0), place = turn;
    for (int j = 0; j < WINDOW; j++) {
        es_mat4 step = es_mat4_multiply(inverse, poses[k + (size_t)j - SIDE]);
        turn = es_vec3_add(turn, es_vec3_scale(es_mat4_turn(step), weights[j]));
        place = es_vec3_add(place, es_vec3_scale(es_mat4_column(step, 3), weights[j]));
    }
    double angle = es_vec3_length(turn);
    es_mat4 step = angle > 1e-12 ? es_mat4_rotation(turn, angle) : es_mat4_identity();
    step.m[3] = place.x;
    step.m[7] = place.y;
    step.m[11] = place.z;
    return es_mat4_multiply(here, step);
}

void calib_smooth_track(const double *times, const es_mat4 *poses, size_t count, double max_gap,
                        es_mat4 *smooth) {
    for (size_t k = 0; k < count; k++)
        smooth[k] = k >= SIDE && k + SIDE < count ? smooth_one(times, poses, k, max_gap) : poses[k];
}
