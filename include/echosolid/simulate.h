/* echosolid/simulate.h: known objects as signed distances, a probe, a hand, a
 * tracker with errors, and the frames that they give: the truth that every
 * other room is tested against. Same seed, same bytes. */
#ifndef ECHOSOLID_SIMULATE_H
#define ECHOSOLID_SIMULATE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scenes, mm, in their own axes:
 *   "sphere"    radius 20
 *   "box"       44 x 30 x 52 (x y z), sharp edges
 *   "cylinder"  radius 15, 70 long, along z
 *   "torus"     about the y axis, ring radius 24, tube radius 9
 *   "knee"      right knee in extension: distal femur, patella, proximal tibia
 *               and fibula; x lateral, y anterior, z proximal, origin in the
 *               middle of the joint line; shafts end 150 mm from it
 *   "abdomen"   a cyst of 20 mm diameter at (-24, -55, -12) and a bright ball
 *               of 30 mm at (20, -65, 12) in even speckle, skin at y = 0: grey,
 *               no bone. Its "surface" is that of the two.
 * All but the last are centred on the origin and cast shadows like bone. */
typedef struct es_scene es_scene;
es_scene *es_scene_new(const char *name, es_error *err); /* unknown: ES_USAGE with the list */
void es_scene_free(es_scene *scene);
const char *const *es_scene_names(void); /* NULL terminated */
/* Signed distance to the scene's surface, mm, negative inside. Exact outside
 * the simple scenes; for the knee true to first order near the surface, and
 * within a quarter further away. Thread-safe. */
double es_scene_distance(const es_scene *scene, es_vec3 p);
es_box3 es_scene_box(const es_scene *scene); /* contains the surface */
/* Distances in a band about the surface, for the true mesh; `band` voxels on
 * each side have weight 1. Voxel (0,0,0) lies at the origin. ES_USAGE for a
 * spacing outside .01 to 100 mm or a band outside 1 to 100 voxels. */
es_bricks *es_scene_bricks(const es_scene *scene, double spacing_mm, double band_voxels,
                           es_pool *pool, es_error *err);

/* What is left out of the picture: the thickness of the slice, refraction,
 * and speckle that lives in the body (it is drawn anew for every frame). */
typedef struct es_probe {
    bool curved;
    double width_mm;       /* linear: aperture; curved: 0 */
    double radius_mm;      /* curved: of the face; linear: 0 */
    double half_angle_rad; /* curved; linear: 0 */
    double depth_mm;       /* from the face */
    uint32_t image_size[2];
    double spacing_mm; /* square pixels; 0: chosen so that the picture fits */
} es_probe;

typedef struct es_simulation {
    const char *scene;
    es_probe probe;
    int frames; /* over the whole motion, whose path does not depend on it */
    double rate_hz;
    double pose_noise_mm, pose_noise_rad; /* standard deviation per frame, each axis, of the
                                             marker in ProbeToTracker, about the marker */
    double lag_s;   /* the tracker is late: a frame of time t comes with the poses
                       of t - lag_s; before the start the hand rests */
    double speckle; /* 0: a plain picture without noise or layers; 1: natural */
    uint64_t seed;  /* of the hand's wobble, the tissue, the speckle and the noise */
    int threads;    /* <= 0: all the cores; never changes a byte */
} es_simulation;
/* A linear 50 mm probe, 60 mm deep, over the knee. */
#define ES_SIMULATION_DEFAULTS                                                                     \
    {                                                                                              \
        .scene = "knee", .probe = {.width_mm = 50, .depth_mm = 60, .image_size = {512, 512}},      \
        .frames = 600, .rate_hz = 25, .speckle = 1, .seed = 1                                      \
    }
/* The defaults with a probe and a number of frames that suit the scene. */
bool es_simulation_preset(const char *scene, es_simulation *simulation, es_error *err);

/* The recording as a source: transforms ProbeToTracker and ReferenceToTracker
 * per frame (Reference = the scene's own axes up to a fixed transform),
 * Timestamp, and the header fields that say what was simulated. It can be
 * rewound. A frame is a function of the simulation and its index. Pictures
 * are made ahead, 16 at a time on `threads` threads, only when asked for.
 * ES_USAGE for an unknown scene, a probe that cannot be, a picture that does
 * not fit, and numbers out of their range (each message has the range). */
es_source *es_simulation_open(const es_simulation *simulation, es_error *err);
/* What a user would have calibrated: ImageToProbe (columns as long as the
 * pixel spacing, the third one across the image, after PLUS) and the fan.
 * Identity and kind NONE for a probe that es_simulation_open would refuse. */
es_mat4 es_simulation_image_to_probe(const es_simulation *simulation);
es_fan es_simulation_fan(const es_simulation *simulation);
/* Scene axes -> Reference of the recording: rigid, the same for all. */
es_mat4 es_simulation_scene_to_reference(const es_simulation *simulation);
/* Where the beams of all the frames (true poses) met the surface first,
 * within the depth, at any incidence (in the picture the echo fades where the
 * cosine between beam and normal falls from .4 to .15): 3 floats a point in
 * scene axes, by frame, then by line. es_free it. */
float *es_simulation_first_hits(const es_simulation *simulation, es_pool *pool, size_t *count,
                                es_error *err);

#ifdef __cplusplus
}
#endif
#endif
