/* probe.h: the scan lines of a probe, and where they lie in the picture.
 *
 * Face coordinates (mm): origin in the middle of the transducer's face, x
 * along the face as u, y into the body as v, z = x cross y across the image. */
#ifndef SIMULATE_PROBE_H
#define SIMULATE_PROBE_H

#include "echosolid/simulate.h"

typedef struct probe_geometry {
    double spacing_mm;
    double centre_u, face_v; /* pixel of the face's middle */
    double radius_mm;        /* 0: linear */
    double half_width_mm, half_angle_rad;
    double depth_mm;
    int lines, rows; /* scan lines, samples of each */
    double row_mm;   /* sample r lies r * row_mm deep */
} probe_geometry;

/* ES_USAGE in words when the probe cannot be. */
bool probe_geometry_make(const es_probe *probe, probe_geometry *geometry, es_error *err);

es_fan probe_fan(const probe_geometry *geometry);
es_mat4 probe_image_to_face(const probe_geometry *geometry);
/* The marker on the probe: rigid, fixed. */
es_mat4 probe_face_to_marker(void);

/* Start and unit direction of a scan line in face coordinates, z = 0. */
void probe_line(const probe_geometry *geometry, int line, es_vec3 *start, es_vec3 *direction);

/* The same in scene axes. */
void probe_beam(const probe_geometry *geometry, es_mat4 face_to_scene, int line, es_vec3 *start,
                es_vec3 *direction);

/* Distance of neighbouring lines at a depth. */
double probe_line_pitch_mm(const probe_geometry *geometry, double depth_mm);

/* Line and row, as fractions, that a point of the image plane falls on. */
void probe_line_of(const probe_geometry *geometry, double x_mm, double y_mm, double *line,
                   double *row);

#endif
