/* motion.h: where the probe is at a time, and what a tracker says of it. */
#ifndef SIMULATE_MOTION_H
#define SIMULATE_MOTION_H

#include "probe.h"
#include "scene.h"

enum { MOTION_WAVES = 3, MOTION_FREEDOMS = 5, MOTION_DRIFTS = 6 };

typedef struct motion_wave {
    double wavelength, phase;
} motion_wave;

/* The hand's path over the skin, one knot a millimetre, and its wobble. */
typedef struct motion {
    es_simulation options;
    const scene_model *model; /* &own: a motion stays where it was made */
    scene_model own;
    probe_geometry geometry;
    size_t knots;
    double *azimuth_rad, *z_mm, *reach_mm; /* reach: of the face from the hand's axis */
    double *sweep;                         /* number of the sweep, between two while it changes */
    motion_wave wobble[MOTION_FREEDOMS][MOTION_WAVES];
    motion_wave pace[MOTION_WAVES];
    motion_wave drift[MOTION_DRIFTS]; /* of the patient */
} motion;

bool motion_make(const es_simulation *simulation, const scene_model *model,
                 const probe_geometry *geometry, motion *m, es_error *err);
void motion_clear(motion *m);

/* Of the path, about. */
double motion_length_mm(const es_simulation *simulation, const scene_model *model);

/* The truth at a time of the recording; before its start and after its end
 * the hand rests. */
es_mat4 motion_face_to_scene(const motion *m, double time_s);
es_mat4 motion_scene_to_reference(void);

/* The tracker's words for frame `index`: late by the lag, ProbeToTracker with
 * noise. */
es_mat4 motion_reference_to_tracker(const motion *m, int64_t index);
es_mat4 motion_probe_to_tracker(const motion *m, int64_t index);

#endif
