/* floor.c: the hand over a water tank: five motions at once, each a sum of
 * three sines with its own pace, so that no two go together. */
#include "floor.h"

#include <math.h>

#include "shapes.h"

enum { STREAM_FLOOR = 1 << 10, WAVES = 3 };
#define SLICE_MM 0.8 /* standard deviation of the beam across the image */
#define DEGREE 0.017453292519943295

/* About -1 to 1; each motion its own stream of chance. */
static double sway(const es_simulation *s, int motion, double share) {
    static const double turns[WAVES] = {2.2, 4.7, 7.9}, shares[WAVES] = {0.55, 0.3, 0.15};
    es_random random = es_random_new(s->seed, STREAM_FLOOR + (uint64_t)motion);
    double sum = 0;
    for (int i = 0; i < WAVES; i++) {
        double pace = turns[i] * (0.8 + 0.4 * es_random_uniform(&random));
        double phase = es_random_uniform(&random);
        sum += shares[i] * sin(2 * M_PI * (pace * share + phase));
    }
    return sum;
}

static double unless(const es_simulation *s, unsigned held, double value) {
    return s->hold & held ? 0 : value;
}

static es_mat4 turned(es_mat4 m, es_vec3 axis, double angle_rad) {
    return angle_rad != 0 ? es_mat4_multiply(m, es_mat4_rotation(axis, angle_rad)) : m;
}

es_mat4 floor_face_to_scene(const es_simulation *s, double share) {
    const es_mat4 down = {{1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1}};
    es_mat4 m = es_mat4_translation(unless(s, ES_HOLD_SLIDE, 40 * sway(s, 0, share)),
                                    40 + unless(s, ES_HOLD_RAISE, 14 * sway(s, 1, share)),
                                    unless(s, ES_HOLD_SLIDE, 40 * sway(s, 2, share)));
    m = turned(m, es_vec3_make(0, 1, 0), unless(s, ES_HOLD_TURN, 60 * DEGREE * sway(s, 3, share)));
    m = es_mat4_multiply(m, down);
    m = turned(m, es_vec3_make(0, 0, 1), unless(s, ES_HOLD_ROCK, 32 * DEGREE * sway(s, 4, share)));
    return turned(m, es_vec3_make(1, 0, 0),
                  unless(s, ES_HOLD_TILT, 34 * DEGREE * sway(s, 5, share)));
}

double floor_slice_smear_mm(const tissue_line *line) {
    double along = line->cos_incidence, in_plane = along * line->slope;
    double out2 = 1 - along * along - in_plane * in_plane;
    return out2 > 0 && along > 0.1 ? SLICE_MM * sqrt(out2) / along : 0;
}
