/* floor.h: a probe over the flat bottom of a water tank. */
#ifndef SIMULATE_FLOOR_H
#define SIMULATE_FLOOR_H

#include "tissue.h"

/* The face's place when a share (0 to 1) of the motion is done. */
es_mat4 floor_face_to_scene(const es_simulation *simulation, double share);

/* The beam is thick across the image: where the floor runs away from the
 * image's normal its echo is smeared along the line, standard deviation. */
double floor_slice_smear_mm(const tissue_line *line);

#endif
