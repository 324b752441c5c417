/* scene.h: what the room knows of a scene: its field, its skin, and where a
 * person would put the probe. */
#ifndef SIMULATE_SCENE_H
#define SIMULATE_SCENE_H

#include "echosolid/simulate.h"
#include "knee.h"

enum { SCENE_SWEEPS = 5 };

/* A ball in soft tissue; gain 0 is a cyst without any echo. */
typedef struct scene_ball {
    es_vec3 centre;
    double radius_mm;
    float gain;
} scene_ball;

/* How the hand goes about it: sweeps along z, each from its own side. */
typedef struct scene_hand {
    es_vec3 axis_mm; /* the sweeps look at the line through here along z */
    int sweeps;
    double azimuth_rad[SCENE_SWEEPS]; /* 0: from +y (anterior); pi/2: from +x (lateral) */
    double z_low_mm, z_high_mm;
    int frames; /* about .7 mm apart */
} scene_hand;

typedef struct scene_model scene_model;
struct scene_model {
    const char *name;
    bool bone;  /* a hard surface with a shadow, or balls in tissue */
    bool water; /* nothing but water over the surface; see floor.h */
    bool deep;  /* for a curved probe */
    /* A distance within about 20 % near the surface; positive outside the body; mm over the
     * surface at p, may be NULL. */
    double (*field)(const scene_model *model, es_vec3 p);
    double (*skin)(const scene_model *model, es_vec3 p);
    double (*cartilage)(const scene_model *model, es_vec3 p);
    es_box3 box;             /* contains the surface */
    double safe_step;        /* times the field: never steps over the surface */
    const scene_ball *balls; /* in soft tissue, may be NULL */
    int ball_count;
    scene_hand hand;
    knee_anatomy anatomy; /* of the knee */
};

/* `anatomy`: 0 is the standard one; ES_USAGE for another where there is none. */
bool scene_model_find(const char *name, uint64_t anatomy, scene_model *model, es_error *err);

/* Gradient of the field by central differences. */
es_vec3 scene_gradient(const scene_model *model, es_vec3 p);

/* Where a beam from `start` along the unit vector `direction` first meets the
 * surface: its length in mm, or infinity when that is past `limit_mm`. A
 * start inside gives 0. */
double scene_trace(const scene_model *model, es_vec3 start, es_vec3 direction, double limit_mm);

#endif
