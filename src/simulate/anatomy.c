/* anatomy.c: other people's knees, by chance.
 *
 * The standard knee (knee.c) is one adult man's. Here each bone is given a size
 * along its own axes, a place and a turn about the joint, the condyles other
 * radii and places, the plateau another slope and other dishes, the cortex slow
 * waves, and the soft tissue another depth. The variation is invented: its ranges
 * are chosen to look like adults' and to keep the bones apart, not taken from a
 * study. What must not vary by chance follows from it: the tibia is as wide as
 * the femur wants, flexion goes about the condyles' axis. */
#include <math.h>

#include "dice.h"
#include "knee.h"

enum { STREAM_ANATOMY = 0x4b4e4545 };

#define DEGREE (M_PI / 180)

static es_vec3 any_direction(dice *d) {
    double z = between(d, -1, 1), turn = between(d, 0, 2 * M_PI), across = sqrt(1 - z * z);
    return es_vec3_make(across * cos(turn), across * sin(turn), z);
}

/* Up to .35 mm high and 25 to 50 mm long: unevenness that no two bones share. */
static void wave_cortex(dice *d, knee_person *who) {
    who->wave_mm = between(d, 0.1, 0.35);
    for (int i = 0; i < KNEE_WAVES; i++) {
        who->wave[i] = es_vec3_scale(any_direction(d), 2 * M_PI / between(d, 25, 50));
        who->phase[i] = between(d, 0, 2 * M_PI);
    }
}

static es_mat4 turn_about(double x_deg, double y_deg, double z_deg) {
    es_mat4 x = es_mat4_rotation(es_vec3_make(1, 0, 0), x_deg * DEGREE);
    es_mat4 y = es_mat4_rotation(es_vec3_make(0, 1, 0), y_deg * DEGREE);
    es_mat4 z = es_mat4_rotation(es_vec3_make(0, 0, 1), z_deg * DEGREE);
    return es_mat4_multiply(x, es_mat4_multiply(y, z));
}

/* Tibia and fibula go together: flexion of 0 to 8 degrees about the condyles'
 * axis, 2 degrees of varus or valgus, 4 of rotation along the shaft. */
static void place_shank(dice *d, knee_anatomy *a, es_vec3 size) {
    es_mat4 turn = turn_about(-between(d, 0, 8), between(d, -2, 2), between(d, -4, 4));
    es_vec3 pivot = es_vec3_make(0, -14 * size.y, 24 * size.z);
    for (int bone = KNEE_TIBIA; bone <= KNEE_FIBULA; bone++) {
        a->bones[bone].turn = turn;
        a->bones[bone].pivot = pivot;
        a->bones[bone].place = es_vec3_make(0, 0, -0.7);
    }
}

/* High or low by 5 mm, beside the groove by 3, leant by 5 degrees, and as far in
 * front as a thicker one and the femur's own growth ask. */
static void place_patella(dice *d, knee_person *who, es_vec3 size) {
    double grow = between(d, 0.92, 1.06);
    who->size = es_vec3_make(size.x * grow, size.y * grow, size.z * grow);
    who->turn = turn_about(between(d, -4, 4), between(d, -4, 4), between(d, -4, 4));
    who->pivot = es_vec3_make(2 * who->size.x, 44.5 * who->size.y, 38 * who->size.z);
    double forward = 44.5 * size.y * (1 - grow) + 14 * size.y * fabs(grow - 1);
    who->place = es_vec3_make(between(d, -3, 3), between(d, 0.5, 2.5) + forward,
                              38 * size.z * (1 - grow) + between(d, -4, 5));
}

knee_anatomy knee_vary(uint64_t seed) {
    dice d = dice_of(seed, STREAM_ANATOMY);
    knee_anatomy a = {.varied = true};
    double whole_size = between(&d, 0.86, 1.05);
    es_vec3 size = es_vec3_make(whole_size * between(&d, 0.96, 1.04),
                                whole_size * between(&d, 0.95, 1.05), whole_size);
    for (int bone = 0; bone < KNEE_BONES; bone++) {
        a.bones[bone] = (knee_person){.size = size, .turn = es_mat4_identity()};
        wave_cortex(&d, &a.bones[bone]);
    }
    place_shank(&d, &a, size);
    place_patella(&d, &a.bones[KNEE_PATELLA], size);
    a.medial_mm = between(&d, -1.2, 1.2);
    a.lateral_mm = between(&d, -1.2, 1.2);
    a.medial_back_mm = between(&d, -1.5, 1.5);
    a.lateral_back_mm = between(&d, -1.5, 1.5);
    a.apart_mm = between(&d, -1, 1);
    a.slope = tan(between(&d, -3, 3) * DEGREE);
    a.dish = between(&d, -0.001, 0.001);
    a.dome = between(&d, -0.001, 0.001);
    a.groove_mm = between(&d, -1, 1);
    a.tissue_mm = between(&d, -3, 5);
    return a;
}
