/* tissue.h: what lies under the probe's face in one frame: bone, layers,
 * bright sheets. Everything is a function of the position in the scene and
 * the seed, so that neighbouring frames show the same body. */
#ifndef SIMULATE_TISSUE_H
#define SIMULATE_TISSUE_H

#include "probe.h"
#include "scene.h"

/* One scan line, mm from the face; depths that are not reached are infinite. */
typedef struct tissue_line {
    double bone_mm, cos_incidence; /* between the beam and the surface's normal, 3-D */
    double bone_db;                /* roughness: how much brighter than the next place */
    double slope;                  /* of the bone in the picture, depth over width */
    double cartilage_mm;           /* along the beam, over the bone */
    double skin_mm, fat_mm;        /* lower borders */
    double septum_mm;              /* a fascia within the muscle */
    double strength[3];            /* 0..1: of the fascia in the fat, under it, the septum */
} tissue_line;

/* The bone alone. */
void tissue_trace_bone(const scene_model *model, const probe_geometry *geometry,
                       es_mat4 face_to_scene, uint64_t seed, tissue_line *lines);

/* The layers above it. */
void tissue_find_layers(const probe_geometry *geometry, es_mat4 face_to_scene, uint64_t seed,
                        tissue_line *lines);

/* Smooth noise in space, about -1 to 1, that changes over `size_mm`. */
double tissue_noise(uint64_t seed, es_vec3 p, double size_mm);

/* A short bright sheet of fibres where the image plane cuts it: a piece of a
 * line through (x, y) in face coordinates. */
typedef struct tissue_fibre {
    double x, y;               /* middle */
    double normal_x, normal_y; /* unit */
    double half_mm, amplitude;
} tissue_fibre;
enum { TISSUE_FIBRES = 256 };
int tissue_find_fibres(const scene_model *model, const probe_geometry *geometry,
                       es_mat4 face_to_scene, uint64_t seed, tissue_fibre fibres[TISSUE_FIBRES]);

#endif
