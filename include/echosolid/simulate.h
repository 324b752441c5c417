/* echosolid/simulate.h: known objects as signed distances, a probe, a hand, a
 * tracker with errors, and the frames that they give: the truth that every
 * other room is tested against. Same seed, same bytes. */
#ifndef ECHOSOLID_SIMULATE_H
#define ECHOSOLID_SIMULATE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scenes: "sphere", "box", "cylinder", "torus", "knee" (distal femur,
 * patella, proximal tibia, fibula: bone in soft tissue) and "abdomen" (a
 * 20 mm cyst and a 30 mm bright ball in speckle: grey, no bone). */
typedef struct es_scene es_scene;
es_scene *es_scene_new(const char *name, es_error *err); /* unknown: ES_USAGE with the list */
void es_scene_free(es_scene *scene);
const char *const *es_scene_names(void); /* NULL terminated */
/* Signed distance to the scene's hard surface, mm, negative inside. */
double es_scene_distance(const es_scene *scene, es_vec3 p);
es_box3 es_scene_box(const es_scene *scene); /* contains the surface */
/* Exact distances in a band about the surface, for the true mesh; `band`
 * voxels on each side. */
es_bricks *es_scene_bricks(const es_scene *scene, double spacing_mm, double band_voxels,
                           es_pool *pool, es_error *err);

typedef struct es_probe {
    bool curved;
    double width_mm;       /* linear: aperture; curved: 0 */
    double radius_mm;      /* curved: of the face */
    double half_angle_rad; /* curved */
    double depth_mm;
    uint32_t image_size[2];
    double spacing_mm; /* square pixels; 0: chosen so that the picture fits */
} es_probe;

typedef struct es_simulation {
    const char *scene;
    es_probe probe;
    int frames; /* over the whole motion */
    double rate_hz;
    double pose_noise_mm, pose_noise_rad; /* standard deviation per frame, each axis */
    double lag_s;                         /* the tracker's clock is late by this much */
    double speckle;                       /* 0: a plain picture without noise; 1: natural */
    uint64_t seed;
    int threads;
} es_simulation;
/* A linear 50 mm probe, 60 mm deep, over the knee. */
#define ES_SIMULATION_DEFAULTS                                                                     \
    {                                                                                              \
        .scene = "knee", .probe = {.width_mm = 50, .depth_mm = 60, .image_size = {512, 512}},      \
        .frames = 600, .rate_hz = 25, .speckle = 1, .seed = 1                                      \
    }

/* The recording as a source: transforms ProbeToTracker and ReferenceToTracker
 * per frame (Reference = the scene's own axes up to a fixed transform),
 * Timestamp, and the header fields that say what was simulated. */
es_source *es_simulation_open(const es_simulation *simulation, es_error *err);
/* What a user would have calibrated: ImageToProbe and the fan. */
es_mat4 es_simulation_image_to_probe(const es_simulation *simulation);
es_fan es_simulation_fan(const es_simulation *simulation);
/* Scene axes -> Reference of the recording. */
es_mat4 es_simulation_scene_to_reference(const es_simulation *simulation);
/* Where the beams of all the frames (true poses) met the surface first:
 * 3 floats a point in scene axes. es_free it. */
float *es_simulation_first_hits(const es_simulation *simulation, es_pool *pool, size_t *count,
                                es_error *err);

#ifdef __cplusplus
}
#endif
#endif
